"""Draws answers against the truth: confusion, differences of ratios, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imaxray.report.figures.style import INK, LINE, PAPER, SOFT, colour_of, figure, mark_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

Counts = Sequence[Sequence[int]]


def confusion(matrices: Mapping[str, Counts], gold: Sequence[str], answer: Sequence[str]) -> Figure:
    """Draw one confusion matrix per arm; the shade is the share of the row.

    Args:
        matrices: Arm → counts, one row per gold class and one column per answer.
        gold: Names of the rows.
        answer: Names of the columns.
    """
    arms = list(matrices)
    with figure(3.4 * len(arms) + 0.8, 3.1, 1, len(arms)) as (made, axes):
        for number, (axis, (arm, counts)) in enumerate(zip(axes[0], matrices.items(), strict=True)):
            for row, line in enumerate(counts):
                total = sum(line) or 1
                for column, count in enumerate(line):
                    share = count / total
                    axis.add_patch(_cell(column, row, colour_of(arm, arms), share))
                    axis.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9,
                              color=PAPER if share > 0.55 else INK)  # fmt: skip
            axis.set_xlim(-0.5, len(answer) - 0.5)
            axis.set_ylim(len(gold) - 0.5, -0.5)
            axis.set_xticks(range(len(answer)), answer, rotation=35, ha="right",
                            rotation_mode="anchor", fontsize=8)  # fmt: skip
            axis.set_yticks(range(len(gold)), gold if number == 0 else [""] * len(gold), fontsize=8)
            axis.tick_params(length=0)
            for side in ("left", "bottom"):
                axis.spines[side].set_visible(False)
            axis.set_title(arm, fontsize=10)
            axis.set_xlabel("answer", fontsize=9)
        axes[0][0].set_ylabel("truth", fontsize=9)
    found: Figure = made
    return found


def _cell(column: int, row: int, colour: str, share: float) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=share,
                     edgecolor=LINE, linewidth=0.5)  # fmt: skip


def differences(
    points: Mapping[str, Sequence[tuple[float, float]]],
    limits: Mapping[str, tuple[float, float, float]],
    label: str,
) -> Figure:
    """Draw answer minus truth over their mean (Bland-Altman), with bias and limits of agreement.

    Args:
        points: Arm → (truth, answer) of each entry.
        limits: Arm → lower limit, bias and upper limit.
        label: Name of what was measured.
    """
    arms = list(points)
    ends = [abs(a - t) for found in points.values() for t, a in found]
    reach = 1.1 * max([*ends, *(abs(x) for found in limits.values() for x in found), 0.01])
    with figure(3.6 * len(arms) + 0.6, 3.0, 1, len(arms)) as (made, axes):
        for axis, arm in zip(axes[0], arms, strict=True):
            axis.axhline(0, color=LINE, linewidth=1)
            for height, dash in zip(limits[arm], ("--", "-", "--"), strict=True):
                axis.axhline(height, color=SOFT, linestyle=dash, linewidth=1.2)
                axis.text(1.0, height, f"{height:+.3f}", transform=axis.get_yaxis_transform(),
                          fontsize=8, va="bottom", ha="right")  # fmt: skip
            axis.plot([(t + a) / 2 for t, a in points[arm]], [a - t for t, a in points[arm]],
                      mark_of(arm, arms), color=colour_of(arm, arms), markersize=4, alpha=0.6,
                      markeredgewidth=0)  # fmt: skip
            axis.set_ylim(-reach, reach)
            axis.set_title(arm, fontsize=10)
            axis.set_xlabel(f"mean of truth and answer ({label})", fontsize=9)
            axis.tick_params(labelsize=8)
        axes[0][0].set_ylabel("answer - truth", fontsize=9)
    found: Figure = made
    return found


def agreement(
    bins: Mapping[str, Sequence[tuple[float, float, int]]], x_label: str, y_label: str
) -> Figure:
    """Draw a calibration plot: the share of right answers over the stated confidence.

    Args:
        bins: Series → (mean confidence, share of right answers, number of answers) per bin.
        x_label: What the confidence is.
        y_label: What is right.
    """
    series = list(bins)
    with figure(5.2, 3.8) as (made, axes):
        axis = axes[0, 0]
        axis.plot([0, 1], [0, 1], color=SOFT, linestyle=":", linewidth=1.2)
        for name, found in bins.items():
            axis.plot([x for x, _, _ in found], [y for _, y, _ in found],
                      color=colour_of(name, series), marker=mark_of(name, series), linewidth=1.4,
                      markersize=6, label=name)  # fmt: skip
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_xlabel(x_label, fontsize=9)
        axis.set_ylabel(y_label, fontsize=9)
        made.legend(loc="outside right upper", frameon=False, fontsize=9)
    drawn: Figure = made
    return drawn
