"""Draws bars, whose axes always begin at zero, and sets of tasks that occur together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imaxray.report.figures.style import INK, LINE, SOFT, colour_of, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def metric_bars(comparison: Mapping[str, Any]) -> Figure:
    """Draw the primary metric of each task in one panel, for all arms and the constant baseline.

    Args:
        comparison: Comparison as a dictionary, whose tasks have values and intervals.
    """
    tasks = comparison["tasks"]
    columns = min(len(tasks), 7)
    rows = -(-len(tasks) // columns)
    with figure(9.6, 2.5 * rows, rows, columns) as (made, axes):
        flat = list(axes.ravel())
        for axis, row in zip(flat, tasks, strict=False):
            if row["constant"] is not None:
                axis.axhline(row["constant"], color=SOFT, linestyle=":", linewidth=1.5)
            for place, (arm, cell) in enumerate(row["arms"].items()):
                span = [[cell["value"] - cell["low"]], [cell["high"] - cell["value"]]]
                colour = colour_of(arm, comparison["arms"])
                axis.bar(place, cell["value"], 0.7, color=colour, label=arm)
                axis.errorbar(place, cell["value"], yerr=span, color=INK, linewidth=1.2)
            _from_zero(axis)
            axis.set_xticks([])
            arrow = "higher" if row["higher_is_better"] else "lower"
            axis.set_title(f"{row['task']}\n{row['metric']}", fontsize=9)
            axis.set_xlabel(f"{arrow} is better", fontsize=8)
            axis.tick_params(labelsize=8)
        for axis in flat[len(tasks) :]:
            axis.axis("off")
        handles, names = axes[0][0].get_legend_handles_labels()
        made.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)),
                    frameon=False)  # fmt: skip
    found: Figure = made
    return found


def grouped_bars(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]],
    value_label: str,
    *,
    columns: int = 1,
    size: tuple[float, float] = (6.4, 2.6),
    label: str = "",
) -> Figure:
    """Draw one panel of bars per key, with one bar per category and series.

    Args:
        panels: Title → series → category → value; the categories are in the order of the first
            series that has them.
        value_label: What the bars measure.
        columns: Panels per row.
        size: Width and height of a panel in inches.
        label: What the categories are.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    series = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    with figure(size[0] * columns, size[1] * rows + 0.3, rows, columns) as (made, axes):
        flat = list(axes.ravel())
        for axis, (title, panel) in zip(flat, panels.items(), strict=False):
            categories = list(dict.fromkeys(name for bars in panel.values() for name in bars))
            wide = 0.8 / len(series)
            for index, name in enumerate(series):
                values = panel.get(name, {})
                places = [
                    n + (index - (len(series) - 1) / 2) * wide for n in range(len(categories))
                ]
                axis.bar(places, [values.get(c, 0.0) for c in categories], wide,
                         color=colour_of(name, series), label=name)  # fmt: skip
            axis.set_xticks(range(len(categories)), categories)
            axis.tick_params(labelsize=8, axis="both")
            axis.set_title(title, fontsize=9)
            _from_zero(axis)
        for axis in flat[len(panels) :]:
            axis.axis("off")
        for line in axes:
            line[0].set_ylabel(value_label, fontsize=9)
        if label:
            made.supxlabel(label, fontsize=9)
        handles, names = flat[0].get_legend_handles_labels()
        made.legend(handles, names, loc="outside upper left", ncols=len(names), frameon=False)
    found: Figure = made
    return found


def lying_bars(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]], value_label: str, *, columns: int = 2
) -> Figure:
    """Draw one panel of lying bars per key, for categories with long names.

    Args:
        panels: Title → series → category → value; all series have the same categories.
        value_label: What the bars measure.
        columns: Panels per row.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    series = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    most = [
        max(len(next(iter(panel.values()))) for panel in list(panels.values())[n : n + columns])
        for n in range(0, len(panels), columns)
    ]
    with figure(4.8 * columns, sum(0.2 * n + 0.5 for n in most) + 0.4) as (made, axes):
        axes[0, 0].remove()
        grid = made.add_gridspec(rows, columns, height_ratios=[0.2 * n + 0.2 for n in most])
        flat = [made.add_subplot(grid[divmod(n, columns)]) for n in range(len(panels))]
        for axis, (title, panel) in zip(flat, panels.items(), strict=True):
            categories = list(next(iter(panel.values())))
            wide = 0.8 / len(series)
            for index, name in enumerate(series):
                places = [
                    n + (index - (len(series) - 1) / 2) * wide for n in range(len(categories))
                ]
                axis.barh(places, [panel[name].get(c, 0.0) for c in categories], wide,
                          color=colour_of(name, series), label=name)  # fmt: skip
            axis.set_yticks(range(len(categories)), categories)
            axis.set_ylim(len(categories) - 0.4, -0.6)
            axis.set_xlim(left=0)
            axis.tick_params(labelsize=8)
            axis.set_title(title, fontsize=9)
        for axis in flat[-columns:]:
            axis.set_xlabel(value_label, fontsize=9)
        handles, names = flat[0].get_legend_handles_labels()
        made.legend(handles, names, loc="outside upper left", ncols=len(names), frameon=False)
    found: Figure = made
    return found


def sets(
    combinations: Sequence[tuple[frozenset[str], Mapping[str, int]]], tasks: Sequence[str]
) -> Figure:
    """Draw which tasks occur together on one image, as an UpSet plot.

    Bars at the top count the images of a combination, dots below say which tasks it has, and bars
    at the left count the images of each task.

    Args:
        combinations: Tasks of a combination and the number of its images per arm, the largest
            combination first.
        tasks: Tasks from top to bottom.
    """
    arms = list(dict.fromkeys(arm for _, counts in combinations for arm in counts))
    with figure(1.0, 1.0) as (made, axes):
        axes[0, 0].remove()
        made.set_size_inches(9.6, 2.6 + 0.26 * len(tasks))
        grid = made.add_gridspec(2, 2, width_ratios=[1, 4], height_ratios=[2, 0.24 * len(tasks)])
        top, left, dots = (made.add_subplot(grid[place]) for place in ((0, 1), (1, 0), (1, 1)))
        wide = 0.8 / len(arms)
        for index, arm in enumerate(arms):
            shift = (index - (len(arms) - 1) / 2) * wide
            colour = colour_of(arm, arms)
            counts = [found.get(arm, 0) for _, found in combinations]
            top.bar([n + shift for n in range(len(counts))], counts, wide, color=colour, label=arm)
            of_task = [
                sum(found.get(arm, 0) for has, found in combinations if task in has)
                for task in tasks
            ]
            left.barh([n + shift for n in range(len(tasks))], of_task, wide, color=colour)
        for number, (has, _) in enumerate(combinations):
            rows = [n for n, task in enumerate(tasks) if task in has]
            dots.plot([number] * len(tasks), range(len(tasks)), "o", color=LINE, markersize=6)
            dots.plot([number] * len(rows), rows, "o-", color=INK, markersize=6, linewidth=1.6)
        top.set_ylabel("images", fontsize=9)
        top.set_xticks([])
        left.set_xlabel("images with the task", fontsize=9)
        left.invert_xaxis()
        left.set_yticks([])
        left.spines["left"].set_visible(False)
        dots.set_yticks(range(len(tasks)), tasks)
        dots.set_xticks([])
        for axis in (left, dots):
            axis.set_ylim(len(tasks) - 0.5, -0.5)
        for axis in (top, dots):
            axis.set_xlim(-0.6, len(combinations) - 0.4)
        for side in ("left", "bottom"):
            dots.spines[side].set_visible(False)
        dots.tick_params(length=0)
        for axis in (top, left):
            axis.tick_params(labelsize=8)
        top.legend(frameon=False, loc="upper right")
    found: Figure = made
    return found


def _from_zero(axis: Any) -> None:
    """Let the axis of bars begin at zero, or end there if all values are negative."""
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, 0.0), max(high, 0.0))
