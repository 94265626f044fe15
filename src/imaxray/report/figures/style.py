"""Colours, marks and fonts of all figures, and their way from Matplotlib to inline SVG."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

INK: Final = "#1d2327"
SOFT: Final = "#5c666d"
LINE: Final = "#c3cacf"
PAPER: Final = "#fefefe"

COLOURS: Final = {"dmax": "#b45309", "imax": "#0b6aa8", "imax (equal compute)": "#521146"}
"""Colour of each arm that most studies have. They differ for every form of colour blindness, and
each arm also has a mark and a dash of its own."""

_FURTHER: Final = ("#00795c", "#8d6f00", "#a6363b", "#3f7fbf", "#5b5b9d", "#6b7780")
"""Colours of other arms."""

_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))

_VARIABLES: Final = {
    INK: "ink", SOFT: "soft", LINE: "line", PAPER: "paper",
    **dict(zip(COLOURS.values(), ("dmax", "imax", "ec"), strict=True)),
    **{colour: f"arm{number}" for number, colour in enumerate(_FURTHER)},
}  # fmt: skip
"""Colour → CSS variable of the page that holds it, one value for light and one for dark mode."""

_COLOUR: Final = re.compile("|".join(_VARIABLES))

_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "imaxray",
}


def colour_of(arm: str, arms: Sequence[str]) -> str:
    """Return the colour of an arm among all arms of a figure.

    Example:
        >>> colour_of("imax", ["dmax", "imax"]), colour_of("zero-shot", ["dmax", "zero-shot"])
        ('#0b6aa8', '#00795c')
    """
    if arm in COLOURS:
        return COLOURS[arm]
    others = [name for name in arms if name not in COLOURS]
    return _FURTHER[others.index(arm) % len(_FURTHER)] if arm in others else SOFT


def css_colour(arm: str, arms: Sequence[str]) -> str:
    """Return the CSS value of an arm's colour, which follows light and dark mode.

    Example:
        >>> css_colour("imax", ["dmax", "imax"])
        'var(--imax)'
    """
    return f"var(--{_VARIABLES[colour_of(arm, arms)]})"


def mark_of(arm: str, arms: Sequence[str]) -> str:
    """Return the shape of an arm's points, so that colour is never the only difference."""
    order = [*COLOURS, *(name for name in arms if name not in COLOURS)]
    return _MARKS[order.index(arm) % len(_MARKS)] if arm in order else "o"


def dash_of(arm: str, arms: Sequence[str]) -> Any:
    """Return the dash of an arm's lines."""
    order = [*COLOURS, *(name for name in arms if name not in COLOURS)]
    return _DASHES[order.index(arm) % len(_DASHES)] if arm in order else "-"


@contextmanager
def figure(width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator[Any]:
    """Yield a figure of this size in inches and its axes, (rows, columns)."""
    import matplotlib as mpl  # imported late, because only reports draw figures
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        axes = made.subplots(rows, columns, squeeze=False)
        yield made, axes


def svg(figure: Figure, title: str, description: str) -> str:
    """Return a figure as an inline SVG element with a title and a description.

    Args:
        figure: Figure that a function of this package drew.
        title: Name of the figure; a screen reader says it first.
        description: What the figure shows, with its numbers, for those who cannot see it.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        # savefig would draw everything twice
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = _COLOUR.sub(lambda found: f"var(--{_VARIABLES[found[0]]})", text)
    # the page's font; a shorthand states size and family together
    text = re.sub(r"(font(?:-family)?: )([^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1\2var(--font)", text)
    # ids of Matplotlib are the same in every figure, but a page must hold each once
    key = hashlib.sha256(f"{title}\0{description}\0{text}".encode()).hexdigest()[:10]
    text = re.sub(r'\bid="', f'id="f{key}-', text)
    text = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>f{key}-", text)
    width = _length(text, "width")
    head = (
        f'<svg role="img" aria-labelledby="t{key} d{key}" style="max-width:{width:.0f}pt" '
        f'viewBox="{_attribute(text, "viewBox")}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="t{key}">{escape(title)}</title><desc id="d{key}">{escape(description)}</desc>'
    )
    return head + text[text.index(">") + 1 :]


def _attribute(text: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', text)
    assert found is not None, name
    return found[1]


def _length(text: str, name: str) -> float:
    return float(_attribute(text, name).removesuffix("pt"))
