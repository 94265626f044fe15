"""Rewrites the spellings in which models write boxes as one form, ``⟦a, b, c, d⟧``.

Only brackets, tags and keys are rewritten. The numbers, their scale and their order stay those of
the model's box convention.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_N: Final = r"\s*(-?\d+(?:\.\d+)?)\s*"
_COMMA: Final = r"(?:,|;|\s(?=\s*-?\d))"
PLAIN: Final = re.compile(rf"⟦{_N},{_N},{_N},{_N}⟧")
"""A rewritten box, with its four numbers as groups."""

_KEY: Final = (
    r"(?:bbox(?:_2d)?|box(?:es)?|bounding_?\s?box(?:es)?|coordinates?|coords|location|position|region"
    r"|answer|bboxes|result|rect)"
)
_CORNERS: Final = (
    ("x1", "y1", "x2", "y2"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
    ("x0", "y0", "x1", "y1"),
)
_WIDTHS: Final = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
)
_VALUE: Final = r"[\"']?\s*(?:[:=]|is)\s*[\"']?(-?\d+(?:\.\d+)?)[\"']?"
_TAGGED: Final = re.compile(
    r"(?:<(?:box|bbox|bounding_?box|quad)>|<\|(?:box|quad)_start\|>)"
    r"(?P<inner>[^<]*)(?:</(?:box|bbox|bounding_?box|quad)>|<\|(?:box|quad)_end\|>|$)",
    re.IGNORECASE,
)
_TOKENS: Final = re.compile(r"<loc_(\d+)>\s*<loc_(\d+)>\s*<loc_(\d+)>\s*<loc_(\d+)>")
_OBJECT: Final = re.compile(
    rf"\{{[^{{}}\[\]]*[\"']?\b{_KEY}[\"']?\s*[:=]\s*[\"']?\[+{_N},{_N},{_N},{_N}\]+[\"']?[^{{}}\[\]]*\}}",
    re.IGNORECASE,
)
_POINT: Final = rf"[(\[]{_N}{_COMMA}{_N}[)\]]"
_POINTS: Final = re.compile(
    rf"(?:[\[(]\s*)?{_POINT}\s*(?:,|;|to|and|-|–|—|→|->|:|x|through|(?:[,;.]?\s*(?:and\s*)?(?:the\s*)?"
    rf"(?:bottom|lower)[ -]right(?:\s*corner)?\s*(?:[:=]|is|at)*))?\s*{_POINT}(?:\s*[\])])?",
    re.IGNORECASE,
)
_ROUND: Final = re.compile(rf"[(\[{{]{_N}{_COMMA}{_N}{_COMMA}{_N}{_COMMA}{_N}[)\]}}]")
_BARE: Final = re.compile(
    rf"^[^\d\[\](){{}}⟦-]{{0,60}}?{_N}{_COMMA}{_N}{_COMMA}{_N}{_COMMA}{_N}[^\d]{{0,3}}$"
)
_SPANS: Final = re.compile(
    rf"\bx\b(?:\s*(?:from|:|=|ranges? from|in))*\s*[\[(]?{_N}(?:to|-|–|,){_N}[\])]?\W*(?:and\s+)?"
    rf"\by\b(?:\s*(?:from|:|=|ranges? from|in))*\s*[\[(]?{_N}(?:to|-|–|,){_N}[\])]?",
    re.IGNORECASE,
)
_PIXELS: Final = re.compile(r"(?<=\d)\s*(?:px|pixels?)\b", re.IGNORECASE)
_PERCENT: Final = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s*%")


def without_percent(text: str, scale: float) -> str:
    """Write percentages as numbers of a scale, e.g. ``28%`` as 280 where the full side is 1000.

    Args:
        text: Text of a model.
        scale: Number that stands for the whole side of the image.

    Example:
        >>> without_percent("x: 28% to 41%", 100), without_percent("12.5 %", 1000)
        ('x: 28 to 41', '125')
    """
    return _PERCENT.sub(lambda m: f"{float(m.group(1)) * scale / 100:g}", text)


def with_marked_boxes(text: str, *, y_first: bool = False, objects: bool = True) -> str:
    """Rewrite the boxes that tags, tokens, keys or names of corners mark as boxes.

    Args:
        text: Text of a model.
        y_first: Whether the convention writes y before x; boxes with named corners are put into
            this order.
        objects: Whether a list under a key such as ``bbox`` is a box.

    Example:
        >>> with_marked_boxes("<box>(10,20),(30,40)</box>")
        '⟦10, 20, 30, 40⟧'
        >>> with_marked_boxes('{"x1": 10, "y1": 20, "x2": 30, "y2": 40}')
        '⟦10, 20, 30, 40⟧'
    """

    def inner(match: re.Match[str]) -> str:
        plain = re.fullmatch(r"\s*\[[^\[\]()]*\]\s*", match.group("inner"))
        return match.group() if plain else with_bracketed_boxes(match.group("inner"))

    text = _PIXELS.sub("", _TAGGED.sub(inner, text))
    text = _TOKENS.sub(lambda m: _box([str(int(number)) for number in m.groups()]), text)
    if objects:
        text = _OBJECT.sub(lambda m: _box(m.groups()), text)
    return _named_corners(text, y_first=y_first)


def with_bracketed_boxes(text: str) -> str:
    """Rewrite four numbers in any brackets, pairs of points, and an answer of numbers only.

    Args:
        text: Text of a model.

    Example:
        >>> with_bracketed_boxes("from (10, 20) to (30, 40)")
        'from ⟦10, 20, 30, 40⟧'
    """
    text = _POINTS.sub(lambda m: _box(m.groups()), text)
    text = _ROUND.sub(lambda m: _box(m.groups()), text)
    bare = _BARE.match(text.strip())
    return _box(bare.groups()) if bare else text


def _box(numbers: Sequence[str]) -> str:
    return f"⟦{', '.join(numbers)}⟧"


def _named_corners(text: str, *, y_first: bool) -> str:
    text = _SPANS.sub(
        lambda m: _box([m[3], m[1], m[4], m[2]] if y_first else [m[1], m[3], m[2], m[4]]), text
    )
    between = r"[\"'\s,;.)(]*(?:and\s+)?[\"']?"
    for names in (*_CORNERS, *_WIDTHS):
        values = r"[\"']?(?<!\w)" + between.join(rf"{name}{_VALUE}" for name in names)
        # the other keys of an object belong to it
        pattern = rf"\{{[^{{}}]*?{values}[^{{}}]*\}}" if "{" in text else values

        def plain(match: re.Match[str], names: tuple[str, ...] = names) -> str:
            a, b, c, d = match.groups()
            if names in _WIDTHS:
                c, d = f"{float(a) + float(c):g}", f"{float(b) + float(d):g}"
            return _box([b, a, d, c] if y_first else [a, b, c, d])

        text = re.sub(pattern, plain, text, flags=re.IGNORECASE)
    return text
