"""Makes the sections of an ablation: arms, tasks, derived entries, filters, methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import yaml

from imaxray._common.state import read_state
from imaxray.ablation.arms import CEILING, EQUAL_COMPUTE, REFERENCE
from imaxray.ablation.reporting.front import (
    added,
    cover,
    fair_note,
    main_arm,
    meaning,
    share,
    spoken,
    views,
)
from imaxray.ablation.run import AblationOutcome
from imaxray.ablation.tables import mean_operations, tera
from imaxray.curation import open_dataset
from imaxray.evaluation import interval_text, number_text, percent_text
from imaxray.evaluation.comparing.wording import arrow
from imaxray.report import Code, Heading, Missing, Part, Picture, Table, Text
from imaxray.report.citing import bibtex, data_sentences, evaluation_sentences, releases
from imaxray.report.figures import Row, intervals, lying_bars, metric_bars, svg
from imaxray.strategy.reporting import filter_parts, rule_parts

_FEW = 6
"""Number of arms that bars of one task can show and still be read."""


def arms(outcome: AblationOutcome) -> list[Part]:
    """Return steps, time, added entries and gains of every arm."""
    parts = [*_arm_table(outcome), *fair_note(outcome), *_ceiling(outcome)]
    return [*parts, Text(cover(outcome), soft=True)]


def _arm_table(outcome: AblationOutcome) -> list[Part]:
    compared = views(outcome)
    fairest = next(iter(compared.values()))
    rows, raw = [], []
    for arm, runs in outcome.arms.items():
        derived, pseudo = added(outcome, arm)
        line: dict[str, Any] = {
            "arm": arm,
            "seeds": len(runs),
            "steps": _mean(runs, "steps"),
            "entries_seen": _mean(runs, "entries_seen"),
            "operations": mean_operations(runs),
            "train_seconds": _mean(runs, "train_seconds"),
            "pseudo_seconds": _mean(runs, "pseudo_seconds"),
            "derived_entries": derived,
            "pseudo_entries": pseudo,
            "share_of_ceiling": share(fairest, arm),
        }
        gains = {name: view.as_dict()["mean_gain"].get(arm) for name, view in compared.items()}
        for name, cell in gains.items():
            key = name.replace(" ", "_")
            line |= {
                f"gain_{key}{end}": None if cell is None else cell[of]  # type: ignore[literal-required]
                for end, of in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
        raw.append(line)
        rows.append([
            arm, f"{line['steps']:,.0f}", f"{line['entries_seen']:,.0f}",
            tera(line["operations"]),
            f"{line['train_seconds']:,.0f}", f"{line['pseudo_seconds']:,.0f}", f"{derived:,.0f}",
            f"{pseudo:,.0f}", *(percent_text(cell) for cell in gains.values()),
            number_text(line["share_of_ceiling"], ".2f"),
        ])  # fmt: skip
    clock = "processor" if next(iter(outcome.arms.values()))[0]["clock"] == "cpu" else "clock"
    return [
        Table(
            "arms",
            f"All arms, means over seeds; seconds on the {clock}. Preparing is deriving, "
            "answering, filtering and choosing. Operations are the floating-point operations of "
            "training.",
            ["arm", "steps", "entries seen", "10¹² operations",
             "seconds of training", "seconds of preparing",
             "derived entries", "pseudo entries", *(f"gain at {name}" for name in compared),
             "share of the ceiling"],
            rows, frame=pl.DataFrame(raw, infer_schema_length=None),
        )
    ]  # fmt: skip


def _ceiling(outcome: AblationOutcome) -> list[Part]:
    heading = Heading("Share of the ceiling")
    if CEILING not in outcome.arms:
        why = f"the ablation has no arm “{CEILING}”."
        return [heading, Missing("The share of the ceiling", why)]
    rows = [
        Row(arm, {name: _point(share(view, arm)) for name, view in views(outcome).items()})
        for arm in outcome.arms
        if arm not in (REFERENCE, EQUAL_COMPUTE)
    ]
    rows = [row for row in rows if any(row.cells.values())]
    if not rows:
        why = f"“{CEILING}” gains nothing over {REFERENCE}, so there is nothing to share."
        return [heading, Missing("The share of the ceiling", why)]
    told = " ".join(
        f"{row.label}: "
        + ", ".join(f"{name} {cell['value']:.2f}" for name, cell in row.cells.items() if cell)
        + "."
        for row in rows
    )
    drawn = intervals(rows, f"gain as a share of the gain of {CEILING}", zero="")
    return [
        heading,
        Picture(
            svg(drawn, "Share of the ceiling of each arm", told),
            f"The mean gain of each arm divided by that of “{CEILING}”, which has all real "
            "annotations of the same images. A ratio of two gains has no interval here; the "
            "intervals of the gains themselves are above.",
        ),
    ]


def _point(value: float | None) -> Mapping[str, Any] | None:
    return None if value is None else {"value": value, "low": None, "high": None}


def tasks(outcome: AblationOutcome) -> list[Part]:
    """Return the scores and the gains of every arm on every task."""
    parts: list[Part] = []
    arm = main_arm(outcome)
    if arm is not None:
        parts.append(_task_forest(outcome, arm))
    steps: Mapping[str, Any] = outcome.equal_steps.as_dict()
    chosen = [a for a in (REFERENCE, EQUAL_COMPUTE, arm, CEILING) if a in outcome.arms]
    shown = list(outcome.arms) if len(outcome.arms) <= _FEW else chosen
    few = {
        **steps,
        "arms": shown,
        "tasks": [{**t, "arms": {a: t["arms"][a] for a in shown}} for t in steps["tasks"]],
    }
    told = " ".join(
        f"{t['task']}, {t['metric']}: "
        + ", ".join(f"{a} {interval_text(c)}" for a, c in t["arms"].items())
        + f"; constant {number_text(t['constant'])}."
        for t in few["tasks"]
    )
    level = f"{100 * steps['level']:.0f} %"
    parts.append(
        Picture(
            svg(metric_bars(few), "Primary metric of each task", told),
            f"Primary metric of each task with {level} confidence intervals. The dotted line is "
            "the best constant answer, which ignores the image."
            + ("" if len(shown) == len(outcome.arms) else " The table has all arms."),
        )
    )
    parts.append(_scores(outcome))
    parts += [_gains(outcome, name) for name in views(outcome)]
    return parts


def _task_forest(outcome: AblationOutcome, arm: str) -> Picture:
    compared = {name: view.as_dict() for name, view in views(outcome).items()}
    rows = [
        Row(
            f"{task['task']} ({task['metric']})",
            {name: view["tasks"][n]["gains"].get(arm) for name, view in compared.items()},
        )
        for n, task in enumerate(outcome.equal_steps.as_dict()["tasks"])
    ]
    rows.append(Row("mean", {name: v["mean_gain"].get(arm) for name, v in compared.items()}, True))
    drawn = intervals(
        rows, f"relative gain of {arm}, %", zero=f"← {REFERENCE} better  {arm} better →",
        scale=100, form="+z.1f",
    )  # fmt: skip
    return Picture(
        svg(drawn, f"Relative gain of {arm} on each task", spoken(rows)),
        f"Relative gain of “{arm}” on each task.",
    )


def _scores(outcome: AblationOutcome) -> Table:
    compared = outcome.equal_steps.as_dict()["tasks"]
    head = [
        "arm",
        *(f"{t['task']} ({t['metric']} {arrow(t['higher_is_better'])})" for t in compared),
    ]
    rows = [["constant", *(number_text(t["constant"]) for t in compared)]]
    rows += [[arm, *(interval_text(t["arms"][arm]) for t in compared)] for arm in outcome.arms]
    raw = [
        {"arm": arm, "task": t["task"], "metric": t["metric"], **t["arms"][arm]}
        for arm in outcome.arms for t in compared
    ]  # fmt: skip
    return Table(
        "scores", "Scores on each task, means over seeds with intervals over patients and seeds",
        head, rows, frame=pl.DataFrame(raw, infer_schema_length=None),
    )  # fmt: skip


def _gains(outcome: AblationOutcome, view: str) -> Table:
    compared = views(outcome)[view].as_dict()
    others = [arm for arm in compared["arms"] if arm != compared["reference"]]
    raw = [
        {"arm": arm, "task": t["task"], **(t["gains"][arm] or {}), "p_holm": t["p_holm"].get(arm)}
        for arm in others for t in compared["tasks"]
    ]  # fmt: skip
    return Table(
        f"gains-{view.replace(' ', '-')}",
        f"Relative gain over “{compared['reference']}” on each task, at {view}",
        ["arm", *(t["task"] for t in compared["tasks"]), "mean"],
        [[arm, *(percent_text(t["gains"][arm]) for t in compared["tasks"]),
          percent_text(compared["mean_gain"][arm])] for arm in others],
        frame=pl.DataFrame(raw, infer_schema_length=None), folded=True,
    )  # fmt: skip


def derived(outcome: AblationOutcome) -> list[Part]:
    """Return what each derivation added, rule by rule."""
    seed = outcome.config.ablation.seeds[0]
    by_folder: dict[str, list[str]] = {}
    for arm, runs in outcome.arms.items():
        for work in runs[0]["work"]:
            if work.rpartition("/")[2].startswith("derived-"):
                by_folder.setdefault(work, []).append(arm)
    if not by_folder:
        return [Missing("Yields of derived entries", "no arm of this ablation derives entries.")]
    parts: list[Part] = []
    for number, (folder, names) in enumerate(by_folder.items()):
        path = outcome.out / f"{folder}.json"
        record = read_state(path, advice="run the ablation again")
        title = "Derived entries of " + ", ".join(f"“{name}”" for name in names)
        parts += rule_parts(record, title, f"rules-{number + 1}")
    if len(outcome.config.ablation.seeds) > 1:
        parts.append(Text(f"Numbers are of the first seed, {seed}.", soft=True))
    return parts


def filters(outcome: AblationOutcome) -> list[Part]:
    """Return what each filter of the first round kept, and how much of it is right."""
    if outcome.filters.is_empty():
        return [Missing("Yields of pseudo annotations", "no arm of this ablation trains on them.")]
    return filter_parts(outcome.filters, outcome.equal_yield, outcome.rules)


def speed(outcome: AblationOutcome) -> list[Part]:
    """Return where the time of each arm went."""
    panel: dict[str, dict[str, float]] = {
        "training": {arm: _mean(runs, "train_seconds") for arm, runs in outcome.arms.items()},
        "preparing": {arm: _mean(runs, "pseudo_seconds") for arm, runs in outcome.arms.items()},
    }

    told = " ".join(
        f"{arm}: "
        + ", ".join(f"{what} {seconds[arm]:,.0f} s" for what, seconds in panel.items())
        + "."
        for arm in outcome.arms
    )
    drawn = lying_bars({"seconds of each arm, mean over seeds": panel}, "seconds", columns=1)
    return [
        Picture(
            svg(drawn, "Seconds of training and preparing of each arm", told),
            "Preparing is deriving entries, answering, filtering and choosing a stage.",
        )
    ]


def methods(outcome: AblationOutcome) -> list[Part]:
    """Return the paragraph and the BibTeX, made from the manifests of the ablation."""
    config = outcome.config
    imax, dmax = (open_dataset(outcome.out / name) for name in ("imax", "dmax"))
    stages = "; ".join(
        f"{stage.name} ({stage.steps} steps on {stage.on})" for stage in config.strategy.stages
    )
    seeds = len(config.ablation.seeds)
    compute = (
        f" “{EQUAL_COMPUTE}” was trained for the time of “{config.ablation.compute_of}”."
        if EQUAL_COMPUTE in outcome.arms
        else ""
    )
    pretrained = (
        ""
        if config.pretraining is None
        else f" The model was first trained for {config.pretraining.steps} steps on "
        f"{', '.join(config.pretraining.tasks)} of patients that no arm sees."
    )
    text = " ".join(
        (
            data_sentences(imax, dmax, cohort=config.cohort),
            f"The whole strategy has the stages {stages}, in steps of "
            f"{config.training.entries_per_step} entries with {config.training.optimizer}, "
            f"learning rate {config.training.learning_rate:g}.{pretrained} The arms are "
            + "; ".join(f"“{arm}” ({meaning(outcome, arm)})" for arm in outcome.arms)
            + f"; each was trained with {seeds} {'seed' if seeds == 1 else 'seeds'} for "
            f"{config.steps} steps.{compute}",
            evaluation_sentences(
                outcome.equal_steps, seeds=seeds, max_new_tokens=config.evaluation.max_new_tokens
            ),
        )
    )
    cited = [] if config.cohort is not None else releases(imax)
    return [Text(text), Code("BibTeX", bibtex(cited))]


def reading(_: AblationOutcome) -> list[Part]:
    """Return how to read the numbers."""
    return [
        Text(
            "Every arm is the whole strategy with parts left out. Arms at equal steps saw equally "
            "many entries; some of them needed additional time for deriving, answering and "
            "filtering, which the comparison at equal compute counts."
        ),
        Text(
            f"“{CEILING}” trains on all real annotations of the images of {REFERENCE}, which "
            "decentralized data does not have; it bounds what filling the gaps can give. An arm "
            "may pass it by chance, or because it sees other entries more often."
        ),
        Text(
            "The precision of derived and of pseudo entries is measured against annotations that "
            "the arms do not train on. A dash stands where no such annotation exists."
        ),
    ]


def provenance(outcome: AblationOutcome) -> list[Part]:
    """Return digests, seeds and the configuration."""
    config = outcome.config
    imax, dmax = (open_dataset(outcome.out / name) for name in ("imax", "dmax"))
    cells = {
        "imaxray": str(dmax.manifest["imaxray"]),
        "seed": str(config.seed),
        "training seeds": ", ".join(str(seed) for seed in config.ablation.seeds),
        "dataset imax": imax.sha256,
        "dataset dmax": dmax.sha256,
        "processes": str(config.ablation.lanes),
    }
    rows = [[s.name, s.title, s.version, s.access, s.licence, s.url] for s in releases(imax)]
    return [
        Table("provenance", "Digests, seeds and versions", ["what", "value"],
              [[name, value] for name, value in cells.items()], texts=2),
        Table("releases", "Releases that the datasets were built from"
              + (" (synthetic, in these formats)" if config.cohort is not None else ""),
              ["source", "title", "version", "access", "licence", "address"], rows, texts=6),
        Code("Configuration", yaml.safe_dump(config.content(), sort_keys=False), folded=True),
    ]  # fmt: skip


def _mean(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(sum(run[key] for run in runs) / len(runs))
