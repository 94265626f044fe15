"""Draws the figures of the report as inline SVG; the same input gives the same bytes.

A figure contains no script and loads nothing from outside the file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from imaxray.report.result import Curve, Dynamics
from imaxray.schema import task_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

COLOURS: Final = {"dmax": "#b45f06", "imax": "#1f6f8b", "imax (equal compute)": "#6a4c93"}
"""Colour of each arm; the colours also differ in lightness."""

_FURTHER: Final = ("#3a7d44", "#a23b72", "#8a6d3b", "#4a4e69", "#c1666b", "#2e86ab")
"""Colours of other arms."""


def colour_of(arm: str, arms: Sequence[str]) -> str:
    """Return the colour of an arm among all arms of a figure.

    Example:
        >>> colour_of("imax", ["dmax", "imax"]), colour_of("zero-shot", ["dmax", "zero-shot"])
        ('#1f6f8b', '#3a7d44')
    """
    if arm in COLOURS:
        return COLOURS[arm]
    others = [name for name in arms if name not in COLOURS]
    return _FURTHER[others.index(arm) % len(_FURTHER)] if arm in others else "#555555"


_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#777777",
    "text.color": "#777777",
    "xtick.color": "#888888",
    "ytick.color": "#888888",
    "svg.fonttype": "path",
    "svg.hashsalt": "imaxray",
}


@contextmanager
def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator[Any]:
    import matplotlib as mpl  # imported late, because only reports draw figures
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
        yield figure, axes


def forest(comparison: Mapping[str, Any], arm: str) -> Figure:
    """Draw the relative gain of ``arm`` over the reference per task and as a mean, with intervals.

    Args:
        comparison: Comparison as a dictionary, with tasks, mean_gain and reference.
        arm: Arm whose gain is drawn.
    """
    rows = [(row["task"], row["gains"].get(arm)) for row in comparison["tasks"]]
    rows.append(("mean", comparison["mean_gain"].get(arm)))
    with _figure(6.4, 0.36 * len(rows) + 0.9) as (figure, axes):
        axis = axes[0, 0]
        axis.axvline(0, color="#aaaaaa", linewidth=1)
        for place, (task, gain) in enumerate(reversed(rows)):
            if gain is None:
                continue
            low, value, high = (100 * gain[key] for key in ("low", "value", "high"))
            colour = COLOURS["imax"] if value >= 0 else COLOURS["dmax"]
            axis.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
            axis.plot(value, place, "D" if task == "mean" else "o", color=colour, markersize=6)
        axis.set_yticks(range(len(rows)), [task for task, _ in reversed(rows)])
        axis.set_xlabel(f"relative gain of {arm} over {comparison['reference']} (%)")
    return _made(figure)


def learning(curves: Sequence[Curve], x: str) -> Figure:
    """Draw the training loss of each task over ``x``, with one line per run.

    Args:
        curves: Learning curves of the runs.
        x: Quantity of the horizontal axis, ``entries_seen`` or ``seconds``.
    """
    from matplotlib.ticker import NullFormatter  # imported late, as all of Matplotlib

    arms = list(dict.fromkeys(curve.arm for curve in curves))
    tasks = task_names()
    rows = len(tasks) // 4 + 1  # four cells per row, with at least one free for the legend
    with _figure(9.6, 2.2 * rows, rows, 4) as (figure, axes):
        flat = list(axes.ravel())
        for axis, task in zip(flat, tasks, strict=False):
            known: set[str] = set()
            for curve in curves:
                points = [(p[x], p["losses"][task]) for p in curve.points if task in p["losses"]]
                if points:
                    xs, ys = zip(*points, strict=True)
                    colour = colour_of(curve.arm, arms)
                    label = None if curve.arm in known else curve.arm  # one label per arm
                    known.add(curve.arm)
                    axis.plot(xs, ys, color=colour, linewidth=1.4, label=label)
            axis.set_title(task, fontsize=10)
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(NullFormatter())  # only powers of ten have a label
            axis.tick_params(labelsize=8)
        for axis in flat[len(tasks) :]:
            axis.axis("off")
        handles, labels = flat[0].get_legend_handles_labels()
        flat[len(tasks)].legend(handles, labels, loc="center", frameon=False)
        figure.supxlabel("entries seen" if x == "entries_seen" else "seconds", fontsize=10)
        figure.supylabel("loss", fontsize=10)
    return _made(figure)


def spectra(dynamics: Dynamics) -> Figure:
    """Draw each statistic over entries seen, with one line (mean over seeds) per arm.

    A band around each line covers the values of all seeds.
    """
    rows, columns = len(dynamics.gradients), len(dynamics.labels)
    arms = list(dict.fromkeys(point["arm"] for point in dynamics.points))
    with _figure(9.6, 2.5 * rows + 0.4, rows, columns) as (figure, axes):
        for line, (reduction, gradients) in zip(axes, dynamics.gradients.items(), strict=True):
            for axis, (name, label) in zip(line, dynamics.labels.items(), strict=True):
                for arm in arms:
                    values: dict[int, list[float]] = {}
                    for point in dynamics.points:
                        if point["arm"] == arm and point["reduction"] == reduction:
                            values.setdefault(point["entries_seen"], []).append(point[name])
                    seen = sorted(values)
                    colour = colour_of(arm, arms)
                    lows, highs = ([f(values[x]) for x in seen] for f in (min, max))
                    axis.fill_between(seen, lows, highs, color=colour, alpha=0.2, linewidth=0)
                    means = [sum(values[x]) / len(values[x]) for x in seen]
                    axis.plot(seen, means, color=colour, linewidth=1.8, label=arm)
                axis.set_title(f"{label}, {gradients} gradients", fontsize=9)
                axis.tick_params(labelsize=8)
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        figure.supxlabel("entries seen", fontsize=10)
    return _made(figure)


def tasks_per_image(density: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the number of training images for each number of tasks, with one bar per arm."""
    arms = list(density)
    with _figure(6.4, 2.6) as (figure, axes):
        axis = axes[0, 0]
        wide = 0.8 / len(arms)
        for index, arm in enumerate(arms):
            counts = {int(k): n for k, n in density[arm]["images_by_tasks"].items()}
            places = [k + (index - (len(arms) - 1) / 2) * wide for k in counts]
            axis.bar(places, counts.values(), wide, color=colour_of(arm, arms), label=arm)
        axis.set_xticks(range(1, len(task_names()) + 1))
        axis.set_xlabel("tasks per image")
        axis.set_ylabel("training images")
        axis.legend(frameon=False)
    return _made(figure)


def results(comparison: Mapping[str, Any]) -> Figure:
    """Draw the primary metric of each task in one panel, for all arms and the constant baseline.

    Args:
        comparison: Comparison as a dictionary, whose tasks have values and intervals.
    """
    with _figure(9.6, 2.5, 1, len(comparison["tasks"])) as (figure, axes):
        for axis, row in zip(axes[0], comparison["tasks"], strict=True):
            if row["constant"] is not None:
                axis.axhline(row["constant"], color="#999999", linestyle=":", linewidth=1.5)
            for place, (arm, cell) in enumerate(row["arms"].items()):
                span = [[cell["value"] - cell["low"]], [cell["high"] - cell["value"]]]
                colour = colour_of(arm, comparison["arms"])
                axis.bar(place, cell["value"], 0.7, color=colour, label=arm)
                axis.errorbar(place, cell["value"], yerr=span, color="#333333", linewidth=1.2)
            axis.set_xticks([])
            arrow = "higher" if row["higher_is_better"] else "lower"
            axis.set_title(f"{row['task']}\n{row['metric']}", fontsize=9)
            axis.set_xlabel(f"{arrow} is better", fontsize=8)
            axis.tick_params(labelsize=8)
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return _made(figure)


def svg(figure: Figure) -> str:
    """Return the figure as an inline SVG element."""
    buffer = io.StringIO()
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _made(figure: Any) -> Figure:
    made: Figure = figure
    return made
