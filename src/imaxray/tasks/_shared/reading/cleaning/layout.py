"""Removes Markdown from an answer and keeps its lines: emphasis, headings, lists, tables."""

from __future__ import annotations

import re
from typing import Final

_RULE: Final = re.compile(r"^[ \t]*(?:[-*_=]){3,}[ \t]*$\n?", re.MULTILINE)
_HEADING: Final = re.compile(r"^[ \t]*#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_QUOTE: Final = re.compile(r"^[ \t]*>(?![ \t]*[\d.])[ \t]?", re.MULTILINE)
_CHECKED: Final = re.compile(r"^[ \t]*[-*+•]?[ \t]*\[([ xX✓✔])\][ \t]*(.+)$", re.MULTILINE)
_BULLET: Final = re.compile(
    r"^[ \t]*(?:[-*+•◦▪·–—●○‣][ \t]+|[•◦▪●○‣]|\(?\d{1,2}[.)][ \t]+(?!\d))+", re.MULTILINE
)
_HEADS: Final = (
    r"(?:findings?|impressions?|conclusion|present|absent|positive|negative|uncertain|answer)"
)
_BOLD_HEAD: Final = re.compile(
    rf"^([ \t]*)(\*\*|__)({_HEADS})\2[ \t]+(?=[^\s:–-])", re.MULTILINE | re.IGNORECASE
)
_EMPHASIS: Final = (
    re.compile(r"\*\*\*(?=\S)(.+?)(?<=\S)\*\*\*", re.DOTALL),
    re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*", re.DOTALL),
    re.compile(r"(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w)", re.DOTALL),
    re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])"),
    re.compile(r"(?<!\w)_(?=[^\s_])([^_\n]+?)(?<=\S)_(?!\w)"),
    re.compile(r"(?<!`)`([^`\n]+)`(?!`)"),
)
_ROW: Final = re.compile(r"^[ \t]*\|(.+)\|[ \t]*$")
_LINE: Final = re.compile(r"^[\s:|-]+$")
_NAMES: Final = re.compile(
    r"(?:#|no\.?|findings?|labels?|conditions?|patholog\w+|abnormalit\w+|diseases?|observations?"
    r"|diagnos[ie]s|features?|measurements?|parameters?|status|presence|present(?: \?)?\??|values?"
    r"|results?|answers?|comments?|notes?|details?|locations?|severity|confidence|assessment"
    r"|descriptions?|yes/no|present/absent)",
    re.IGNORECASE,
)


def without_tables(text: str) -> str:
    r"""Write each row of a table as ``first cell: other cells``; the head of the table is left out.

    Example:
        >>> without_tables("| Finding | Status |\n|---|---|\n| Edema | No |")
        'Edema: No'
    """
    lines: list[str] = []
    rows = 0
    for line in text.split("\n"):
        row = _ROW.match(line)
        if row is None:
            lines.append(line)
            continue
        rows += 1
        cells = [cell.strip().strip("*_") for cell in row.group(1).split("|")]
        if cells and re.fullmatch(r"\d{1,2}\.?", cells[0]) and len(cells) > 2:
            cells = cells[1:]  # the number of the row
        if _LINE.match(line) or all(_NAMES.fullmatch(cell) for cell in cells if cell):
            continue
        rest = ", ".join(cell for cell in cells[1:] if cell)
        lines.append(f"{cells[0]}: {rest}" if rest else cells[0])
    return "\n".join(lines) if rows > 1 else text


def without_markdown(text: str) -> str:
    r"""Remove the marks of emphasis, headings, quotes and lists; a ticked box becomes yes or no.

    Example:
        >>> without_markdown("**Edema**\n- [ ] Fracture")
        'Edema\nFracture: no'
    """
    text = _RULE.sub("", text)
    text = _HEADING.sub(r"\1", text)
    text = _QUOTE.sub("", text)
    text = _CHECKED.sub(lambda m: f"{m.group(2)}: {'no' if m.group(1) == ' ' else 'yes'}", text)
    text = _BULLET.sub("", text)
    text = _BOLD_HEAD.sub(r"\1\3: ", text)
    for pattern in _EMPHASIS:
        text = pattern.sub(r"\1", text)
    return text
