"""Makes the first screen of an ablation: the verdict, the numbers that matter, and all arms."""

from __future__ import annotations

from collections.abc import Sequence

from imaxray.ablation.arms import ARMS, CEILING, EQUAL_COMPUTE, REFERENCE, WHOLE, ArmName
from imaxray.ablation.run import AblationOutcome
from imaxray.errors import ImaxrayError
from imaxray.evaluation import Comparison, percent_text
from imaxray.evaluation.comparing.wording import DASH, ahead, named
from imaxray.report import Card, Part, Picture, Table, Text
from imaxray.report.figures import Row, intervals, svg

STEPS = "equal steps"
COMPUTE = "equal compute"


def main_arm(outcome: AblationOutcome) -> ArmName | None:
    """Return the arm that the verdict is about.

    It is the arm whose compute dmax (equal compute) was given, else the whole strategy, else the
    last one that could be used without the annotations that it lacks.
    """
    config = outcome.config.ablation
    arms = list(outcome.arms)
    fair = [config.compute_of] if EQUAL_COMPUTE in arms else []
    usable = [arm for arm in arms if arm not in (REFERENCE, EQUAL_COMPUTE, CEILING, "imax")]
    return next((arm for arm in [*fair, WHOLE, *reversed(usable)] if arm in usable), None)


def views(outcome: AblationOutcome) -> dict[str, Comparison]:
    """Return the comparisons by their names, the fairest first."""
    found = {COMPUTE: outcome.equal_compute, STEPS: outcome.equal_steps}
    return {name: comparison for name, comparison in found.items() if comparison is not None}


def share(comparison: Comparison, arm: str) -> float | None:
    """Return the gain of an arm as a share of the gain of all true annotations."""
    gains = comparison.as_dict()["mean_gain"]
    own, most = (gain["value"] if (gain := gains.get(a)) else None for a in (arm, CEILING))
    return None if own is None or most is None or most <= 0 else own / most


def verdict(outcome: AblationOutcome) -> str:
    """Say in one sentence whether the main arm is ahead of dmax, and by how much."""
    arm = main_arm(outcome)
    if arm is None:
        return f"No arm but {named(REFERENCE)} uses only what decentralized data has."
    said: list[str] = []
    for name, comparison in views(outcome).items():
        cell = comparison.as_dict()["mean_gain"].get(arm)
        told = f"{ahead(cell, f'“{arm}”', named(REFERENCE))} ({percent_text(cell)}"
        part = share(comparison, arm)
        told += ")" if part is None or (name == STEPS and said) else (
            f", {part:.2f} of what all true annotations give)"
        )  # fmt: skip
        said.append(f"at {name}, {told}")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def cards(outcome: AblationOutcome) -> list[Card]:
    """Return the numbers that matter."""
    arm = main_arm(outcome)
    if arm is None:
        return []
    level = f"{100 * outcome.config.evaluation.level:.0f} % interval"
    found = []
    for name, comparison in views(outcome).items():
        cell = comparison.as_dict()["mean_gain"].get(arm)
        value, note = DASH, "undefined: the reference is near zero"
        if cell is not None and cell["value"] is not None:
            value = f"{100 * cell['value']:+z.1f} %"
            note = percent_text(cell).partition(" % ")[2].strip("[]").replace(", ", " to ")
            note = f"{level} {note} %" if note else ""
        found.append(
            Card(value, f"mean relative gain of “{arm}” over {named(REFERENCE)} at {name}", note)
        )
    part = share(next(iter(views(outcome).values())), arm)
    if part is not None:
        found.append(Card(f"{part:.2f}", f"share of the gain of “{CEILING}”", "1 is the ceiling"))
    derived, pseudo = added(outcome, arm)
    found.append(
        Card(
            f"{derived:,.0f} + {pseudo:,.0f}",
            f"entries that rules derived + that a model answered, in “{arm}”",
            _real(outcome),
        )
    )
    return found


def added(outcome: AblationOutcome, arm: ArmName) -> tuple[float, float]:
    """Return the derived and the kept pseudo entries of an arm, as means over its seeds."""
    runs = outcome.arms[arm]
    derived = sum(run["derived_entries"] for run in runs) / len(runs)
    return derived, sum(sum(run["pseudo_entries"]) for run in runs) / len(runs)


def _real(outcome: AblationOutcome) -> str:
    from imaxray.curation import open_dataset

    try:
        real = open_dataset(outcome.out / "dmax").tables.split("train").height
    except (ImaxrayError, OSError):  # the section about the data says why
        return ""
    return f"beside {real:,} real train entries"


def front_parts(outcome: AblationOutcome) -> list[Part]:
    """Return the forest plot of all arms and what each arm is."""
    return [forest(outcome), _meanings(outcome)]


def forest(outcome: AblationOutcome) -> Picture:
    """Return the mean relative gain of every arm at equal compute and at equal steps."""
    gains = {name: view.as_dict()["mean_gain"] for name, view in views(outcome).items()}
    rows = []
    for arm in outcome.arms:
        cells = {
            name: of.get(arm)
            for name, of in gains.items()
            if not (name == STEPS and arm == REFERENCE)
        }
        if any(cells.values()):
            rows.append(Row(arm, cells, strong=arm == main_arm(outcome)))
    drawn = intervals(
        rows,
        "mean relative gain, %",
        zero=f"← {named(REFERENCE)} better  the arm better →",
        scale=100,
        form="+z.1f",
    )
    level = f"{100 * outcome.config.evaluation.level:.0f} %"
    return Picture(
        svg(drawn, "Mean relative gain of each arm", spoken(rows)),
        f"Mean relative gain of each arm with {level} intervals: at equal compute over "
        f"“{EQUAL_COMPUTE}”, at equal steps over “{REFERENCE}”. {cover(outcome)}"
        if outcome.equal_compute is not None
        else f"Mean relative gain of each arm over “{REFERENCE}” with {level} intervals. "
        f"{cover(outcome)}",
    )


def cover(outcome: AblationOutcome) -> str:
    """Say what the intervals cover."""
    comparison = outcome.equal_steps.as_dict()
    seeds = len(outcome.config.ablation.seeds)
    said = (
        f"Intervals cover the choice of the {comparison['patients']:,} tested patients "
        f"({comparison['resamples']:,} paired resamples)"
    )
    if seeds == 1:
        return f"{said}, but not the choice of the one training seed."
    few = "; with fewer than five seeds they are still too narrow" if seeds < 5 else ""
    return f"{said} and of the {seeds} training seeds per arm{few}."


def spoken(rows: Sequence[Row]) -> str:
    """Return the numbers of a figure as text."""
    return " ".join(
        f"{row.label}: "
        + "; ".join(f"{name} {percent_text(cell)}" for name, cell in row.cells.items() if cell)  # type: ignore[arg-type]
        + "."
        for row in rows
    )


def _meanings(outcome: AblationOutcome) -> Table:
    return Table(
        "arms-meaning",
        "What was compared with what: the arms, the same test questions for all",
        ["arm", "what it trains on"],
        [[arm, meaning(outcome, arm)] for arm in outcome.arms],
        texts=2,
    )  # fmt: skip


def meaning(outcome: AblationOutcome, arm: ArmName) -> str:
    """Return what an arm trains on, with the name of the arm whose compute it was given."""
    return ARMS[arm].meaning.replace("`compute_of`", f"“{outcome.config.ablation.compute_of}”")


def fair_note(outcome: AblationOutcome) -> list[Part]:
    """Say for which arm the compute of dmax (equal compute) is its own."""
    if outcome.equal_compute is None:
        return []
    return [
        Text(
            f"“{EQUAL_COMPUTE}” trained with as much compute as "
            f"“{outcome.config.ablation.compute_of}” needed, with all that it derived, "
            "answered and filtered. For the other arms it is the same reference, not one of their "
            "own compute; the table says how much each of them needed.",
            soft=True,
        )
    ]
