"""Draws lines over training: losses, statistics of the Fisher spectrum, and conflicts of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imaxray.report.figures.style import colour_of, dash_of, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Line:
    """A line of an arm: the mean over its seeds, with a band from the lowest to the highest.

    Attributes:
        arm: Name of the arm.
        points: (x, y) of each seed.
    """

    arm: str
    points: Sequence[Sequence[tuple[float, float]]]


def lines(
    panels: Mapping[str, Sequence[Line]],
    x_label: str,
    y_label: str,
    *,
    columns: int = 4,
    height: float = 2.2,
    log: bool = False,
) -> Figure:
    """Draw one panel per key with one line per arm; seeds that share x are drawn as a band.

    Args:
        panels: Title → lines.
        x_label: What the horizontal axes measure.
        y_label: What the vertical axes measure.
        columns: Panels per row.
        height: Height of a panel in inches.
        log: Whether the vertical axes are logarithmic.
    """
    from matplotlib.ticker import (  # imported late, as all of Matplotlib
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
    )

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    arms = list(dict.fromkeys(line.arm for panel in panels.values() for line in panel))
    with figure(9.6, height * rows + 0.7, rows, columns) as (made, axes):
        flat = list(axes.ravel())
        for axis, (title, panel) in zip(flat, panels.items(), strict=False):
            for line in panel:
                colour, dash = colour_of(line.arm, arms), dash_of(line.arm, arms)
                for xs, low, mean, high in _bands(line.points):
                    if low != high:
                        axis.fill_between(xs, low, high, color=colour, alpha=0.2, linewidth=0)
                    axis.plot(xs, mean, color=colour, linestyle=dash, linewidth=1.5, label=line.arm)
            axis.set_title(title, fontsize=10)
            axis.tick_params(labelsize=8)
            axis.xaxis.set_major_locator(MaxNLocator(4))
            if log:
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.yaxis.set_minor_formatter(NullFormatter())
        for axis in flat[len(panels) :]:
            axis.axis("off")
        known = {
            name: handle
            for axis in flat[: len(panels)]
            for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        shown = [arm for arm in arms if arm in known]
        made.legend([known[arm] for arm in shown], shown, loc="outside upper left",
                    ncols=min(5, max(1, len(shown))), frameon=False, fontsize=9)  # fmt: skip
        if x_label:
            made.supxlabel(x_label, fontsize=10)
        made.supylabel(y_label, fontsize=10)
    found: Figure = made
    return found


Band = tuple[list[float], list[float], list[float], list[float]]


def _bands(seeds: Sequence[Sequence[tuple[float, float]]]) -> list[Band]:
    """Return x, lowest, mean and highest value; one band per seed if the seeds do not share x."""
    given = [points for points in seeds if points]
    if len({tuple(x for x, _ in points) for points in given}) == 1:
        xs = [x for x, _ in given[0]]
        values = list(zip(*([y for _, y in points] for points in given), strict=True))
        means = [sum(ys) / len(ys) for ys in values]
        return [(xs, [min(ys) for ys in values], means, [max(ys) for ys in values])]
    return [
        ([x for x, _ in points], ys, ys, ys) for points in given for ys in [[y for _, y in points]]
    ]
