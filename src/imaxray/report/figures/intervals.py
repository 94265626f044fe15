"""Draws values with their intervals, one row each: forest plots and everything like them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imaxray.report.figures.style import LINE, SOFT, colour_of, figure, mark_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_WIDE: Final = 12
"""How many times as far as the median end of an interval the farthest one may be on a linear
axis."""

_NONE: Final = 1e-6
"""End of an interval that counts as 0: ends of arms that do not differ squeeze nothing."""


UNDEFINED: Final = (
    " A gain is undefined where the score of the reference is too near zero to divide by it."
)
"""Sentence for the caption of a picture of gains in which a row has no value."""


@dataclass(frozen=True)
class Row:
    """A row of a figure of intervals.

    Attributes:
        label: Name of the row.
        cells: Series → value, low and high, or None if it was not measured. Low and high may be
            None where there is no interval. A row without any value is told to be undefined.
        strong: Whether the row sums up the others, e.g. a mean.
    """

    label: str
    cells: Mapping[str, Mapping[str, Any] | None]
    strong: bool = False


def intervals(
    rows: Sequence[Row],
    axis_label: str,
    *,
    zero: str | None = None,
    scale: float = 1.0,
    form: str = ".2f",
    from_zero: bool = False,
    told: bool = True,
) -> Figure:
    """Draw values with intervals; the axis covers every interval completely.

    Args:
        rows: Rows from top to bottom.
        axis_label: What the axis measures, with its unit.
        zero: What lies on either side of 0, e.g. ``dmax better | imax better``; None: no line at 0.
        scale: Factor of all numbers, e.g. 100 for percent.
        form: Format of the numbers that are written beside each interval.
        from_zero: Whether the axis begins at 0.
        told: Whether the numbers are written beside each interval.
    """
    series = list(dict.fromkeys(name for row in rows for name in row.cells))
    lines = [[(name, row.cells[name]) for name in series if row.cells.get(name)] for row in rows]
    height = sum(max(1, len(line)) for line in lines) * 0.2 + len(rows) * 0.12
    with figure(7.4 if told else 6.4, height + 0.9 + 0.22 * (len(series) > 1)) as (made, axes):
        axis = axes[0, 0]
        if zero is not None:
            axis.axvline(0, color=SOFT, linewidth=1)
        place, ticks = 0.0, []
        for row, line in zip(rows, lines, strict=True):
            first = place
            for name, cell in line:
                assert cell is not None
                _interval(axis, name, cell, place, row, series, scale, form, told=told)
                place += 0.2
            if not line:
                if told:
                    _told(axis, place, "undefined", color=SOFT)
                place += 0.2
            ticks.append((first + place - 0.2) / 2)
            place += 0.12
            if row is not rows[-1]:
                axis.axhline(place - 0.16, color=LINE, linewidth=0.6)
        axis.set_ylim(place - 0.1, -0.16)  # the first row is at the top
        axis.set_yticks(ticks, [row.label for row in rows])
        axis.tick_params(axis="y", length=0)
        for label, row in zip(axis.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row.strong else "normal")
        if from_zero:
            axis.set_xlim(left=0)
        elif zero is not None:
            axis_label += _spread_out(axis, lines, scale)
        axis.set_xlabel(f"{axis_label}\n{zero}" if zero else axis_label)
        if len(series) > 1:
            handles, names = axis.get_legend_handles_labels()
            known = dict(zip(names, handles, strict=True))
            made.legend(
                [known[name] for name in series if name in known],
                [name for name in series if name in known],
                loc="outside upper left", ncols=min(4, len(series)), frameon=False, fontsize=9,
            )  # fmt: skip
    found: Figure = made
    return found


def _spread_out(axis: Any, lines: Sequence[Any], scale: float) -> str:
    """Make the axis logarithmic far from 0 if few wide intervals would squeeze all others.

    Returns:
        What the label of the axis says about it.
    """
    ends = sorted(
        abs(scale * cell[key])
        for line in lines
        for _, cell in line
        for key in ("low", "value", "high")
        if abs(scale * (cell.get(key) or 0)) > _NONE
    )
    if not ends or ends[-1] < _WIDE * ends[len(ends) // 2]:
        return ""
    from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator  # late, as all of Matplotlib

    edge = 10 ** math.ceil(math.log10(ends[len(ends) // 2]))
    axis.set_xscale("symlog", linthresh=edge, linscale=1.5)
    axis.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=edge, subs=(1,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return f" (logarithmic beyond ±{edge:g})"


def _interval(
    axis: Any,
    name: str,
    cell: Mapping[str, Any],
    place: float,
    row: Row,
    series: Sequence[str],
    scale: float,
    form: str,
    *,
    told: bool,
) -> None:
    colour = colour_of(name, series)
    value = scale * cell["value"]
    text = f"{value:{form}}"
    if cell.get("low") is not None and cell.get("high") is not None:
        low, high = scale * cell["low"], scale * cell["high"]
        axis.plot([low, high], [place, place], color=colour, linewidth=3 if row.strong else 1.8,
                  solid_capstyle="butt")  # fmt: skip
        text += f" [{low:{form}}, {high:{form}}]"
    axis.plot(value, place, mark_of(name, series), color=colour, markersize=8 if row.strong else 6,
              label=name)  # fmt: skip
    if told:
        _told(axis, place, text, fontweight="bold" if row.strong else "normal")


def _told(axis: Any, place: float, text: str, **style: Any) -> None:
    """Write beside a row what it shows."""
    axis.text(
        1.02, place, text, transform=axis.get_yaxis_transform(), fontsize=8.5, va="center", **style
    )
