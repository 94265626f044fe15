"""Turns the formulas of pages into MathML when the site is built, so that no script is needed.

Formulas are written as on the code-hosting site: ``$…$`` in a line and ``$$…$$`` as a block.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

# What pymdownx.arithmatex (generic) makes of a formula.
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?:\(|\[)(?P<latex>.*?)\\(?:\)|\])</(?P=tag)>',
    re.DOTALL,
)


def mathml(match: re.Match[str]) -> str:
    """Return the MathML of a formula that arithmatex marked."""
    latex = html.unescape(match["latex"]).strip()
    if match["tag"] == "span":
        return str(convert(latex, display="inline"))
    return f'<div class="formula">{convert(latex, display="block")}</div>'


def on_page_content(content: str, **_: Any) -> str:
    """Replace every marked formula of a page."""
    return FORMULA.sub(mathml, content)
