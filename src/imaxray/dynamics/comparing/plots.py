"""Plots curves of the spectrum over training as SVG; equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import whole_file

_LABELS: Final = {
    "se": "SE (nats)",
    "rho": "rho",
    "h2": "H2 (nats)",
    "effective_rank": "effective rank",
    "trace": "trace of F",
}
_COLOURS: Final = ("#1f6f8b", "#b45f06", "#6a4c93", "#3a7d44")
_STYLE: Final[dict[Any, Any]] = {"svg.fonttype": "path", "svg.hashsalt": "imaxray"}


def plot_spectra(
    arms: Mapping[str, pl.DataFrame],
    path: Path,
    *,
    statistics: Sequence[str] = ("se", "rho", "h2"),
    group: str = "all",
    reduction: str = "sum",
) -> None:
    """Write one panel per statistic, with a thin line per run and a thick line for the arm's mean.

    Args:
        arms: Mapping from the name of an arm to its table from :func:`run_spectra`.
        path: Path of the SVG file, which is written atomically.
        statistics: Columns of the table to plot.
        group: Name of a module group, or "all".
        reduction: Reduction of each entry's loss.
    """
    import matplotlib as mpl  # imported late, because only this function needs it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.6 * len(statistics), 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(statistics), squeeze=False)[0]
        for axis, name in zip(axes, statistics, strict=True):
            for colour, (arm, table) in zip(_COLOURS, arms.items(), strict=False):
                chosen = table.filter(group=group, reduction=reduction).sort("entries_seen")
                # a single measurement makes no line, so it is drawn as a point
                mark = "o" if chosen["entries_seen"].n_unique() == 1 else None
                for _, run in chosen.group_by("run", maintain_order=True):
                    axis.plot(run["entries_seen"], run[name], color=colour, linewidth=0.6,
                              marker=mark, markersize=2)  # fmt: skip
                mean = chosen.group_by("entries_seen").agg(pl.col(name).mean())
                mean = mean.sort("entries_seen")
                axis.plot(mean["entries_seen"], mean[name], color=colour, linewidth=2, label=arm,
                          marker=mark)  # fmt: skip
            axis.set_xlabel("entries seen")
            axis.set_ylabel(_LABELS.get(name, name))
        axes[0].legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None})
