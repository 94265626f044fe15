"""Writes the report of a strategy from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

import polars as pl
import yaml

from imaxray._common.folders import require_recorded
from imaxray._common.state import read_state
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import Comparison, interval_text, number_text, percent_text
from imaxray.evaluation.comparing.comparison import ComparisonData
from imaxray.evaluation.comparing.wording import ahead, arrow
from imaxray.report import (
    REPORT,
    Card,
    Code,
    Missing,
    Part,
    Picture,
    Report,
    Section,
    Table,
    Text,
    attempted,
    report_place,
    write_report,
)
from imaxray.report.citing import bibtex, evaluation_sentences, releases
from imaxray.report.figures import UNDEFINED, Row, intervals, metric_bars, svg
from imaxray.report.words import STRATEGY, explained
from imaxray.schema import task_names
from imaxray.strategy.records import KNOWN_BY, RESULTS
from imaxray.strategy.reporting.yields import as_frame, filter_parts, rule_parts

_AGAIN: Final = "run the strategy again, which repeats no finished work"


class _Strategy(TypedDict):
    """What :func:`imaxray.strategy.run_strategy` writes."""

    config: dict[str, Any]
    dataset: str
    final: str
    validation: dict[str, Any] | None
    done: list[dict[str, Any]]


class _Material:
    """A finished strategy, as its folder holds it."""

    def __init__(self, out: Path) -> None:
        path = out / RESULTS
        if not path.is_file():
            raise ImaxrayError(
                f"Expected a finished strategy with {RESULTS} in {out}, but there is none; run "
                "`imaxray strategy` until it ends."
            )
        self.out = out
        require_recorded(out, advice=_AGAIN, leave_out=[REPORT])
        self.stored: _Strategy = read_state(path, _Strategy, advice=_AGAIN)
        self.comparison: Comparison | None = None
        if (out / "comparison.json").is_file():
            data: ComparisonData = read_state(
                out / "comparison.json", ComparisonData, advice=_AGAIN
            )
            self.comparison = Comparison(data)

    @property
    def final(self) -> str:
        """Name of the stage whose model is the result."""
        return self.stored["final"].rpartition("/")[2]

    def records(self, key: str) -> list[dict[str, Any]]:
        """Return the records of work that have a key."""
        return [record for record in self.stored["done"] if key in record]


def write_strategy_report(out: Path, path: Path | None = None) -> Path:
    """Write the report of a finished strategy, from what its folder holds; nothing is trained.

    Args:
        out: Folder of the strategy, which :func:`imaxray.strategy.run_strategy` wrote.
        path: File to write; None: ``report.html`` in the folder.

    Returns:
        The file that was written.

    Raises:
        ImaxrayError: If the folder holds no finished strategy, or the file cannot be written. What
            the folder lacks otherwise is named in the report.
    """
    material = _Material(out)
    with report_place(out, path, known_by=KNOWN_BY) as target:
        write_report(strategy_report(material), target)
    return target


def strategy_report(material: _Material) -> Report:
    """Return everything that the report of a strategy shows."""
    parts = {
        "stages": ("Stages", _stages),
        "tasks": ("Tasks", _tasks),
        "derived": ("Derived entries", _derived),
        "pseudo": ("Answers of the model", _answers),
        "methods": ("Methods", _methods),
        "provenance": ("Provenance", _provenance),
    }
    comparison = material.comparison
    return Report(
        str(material.stored["config"].get("title") or "Strategy for decentralized data"),
        _verdict(material),
        [] if comparison is None else [comparison.verdict(name) for name in comparison.others],
        _cards(material),
        _front(material),
        [
            Section(key, title, attempted(title, lambda make=make: make(material)))  # type: ignore[misc]
            for key, (title, make) in parts.items()
        ],
        "The strategy fills in, by rules or by answers of the model, what the images of "
        "decentralized data lack, and trains on that. Each stage is compared with the first one.",
        explained(STRATEGY, task_names()),
    )


def _verdict(material: _Material) -> str:
    if material.comparison is None:
        return "The dataset has no test split, so the stages are not compared."
    first, final = material.comparison.as_dict()["reference"], material.final
    if final == first:
        return f"The first stage ({first}) is the result."
    cell = material.comparison.as_dict()["mean_gain"].get(final)
    told = ahead(cell, f"the result ({final})", f"the first stage ({first})")
    return f"{told[0].upper()}{told[1:]}: mean relative gain {percent_text(cell)}."


def _cards(material: _Material) -> list[Card]:
    found = []
    comparison = material.comparison
    if comparison is not None and material.final in comparison.others:
        cell = comparison.as_dict()["mean_gain"].get(material.final)
        text = percent_text(cell)
        value, _, rest = text.partition(" [")
        note = f"{100 * comparison.as_dict()['level']:.0f} % interval"
        found.append(
            Card(
                value,
                f"mean relative gain of {material.final} over {comparison.as_dict()['reference']}",
                f"{note} {rest.rstrip(']').replace(', ', ' to ')} %" if rest else "",
            )
        )
    derived = sum(record["derived"] for record in material.records("derived"))
    found.append(Card(f"{derived:,}", "entries that rules derived"))
    filtered = material.records("dropped")
    if filtered:
        kept = sum(record["kept"] for record in filtered)
        asked = sum(record["candidates"] for record in filtered)
        found.append(Card(f"{kept:,}", f"answers of the model kept, of {asked:,}"))
        judged = [r for r in filtered[-1]["yields"] if r["task"] == "all" and r["precision"]]
        if judged:
            last = judged[-1]
            found.append(
                Card(f"{last['precision']:.2f}", "of the kept answers are right",
                     f"of {last['judged']:,} that can be judged")
            )  # fmt: skip
    return found


def _front(material: _Material) -> list[Part]:
    found: list[Part] = []
    if material.comparison is not None and material.comparison.others:
        found.append(_forest(material.comparison))
    return [*found, _stage_table(material)]


def _forest(comparison: Comparison) -> Picture:
    data = comparison.as_dict()
    rows = [
        Row(f"{task['task']} ({task['metric']})", {a: task["gains"][a] for a in comparison.others})
        for task in data["tasks"]
    ]
    rows.append(Row("mean", {a: data["mean_gain"][a] for a in comparison.others}, True))
    told = " ".join(
        f"{row.label}: "
        + "; ".join(f"{name} {percent_text(cell)}" for name, cell in row.cells.items())  # type: ignore[arg-type]
        + "."
        for row in rows
    )
    first = data["reference"]
    drawn = intervals(
        rows, f"relative gain over {first}, %", zero=f"← {first} better  the stage better →",
        scale=100, form="+z.1f",
    )  # fmt: skip
    return Picture(
        svg(drawn, f"Relative gain over {first} on each task", told),
        f"Relative gain of each later stage over {first} on each task, with "
        f"{100 * data['level']:.0f} % intervals. They cover the choice of the {data['patients']:,} "
        f"tested patients ({data['resamples']:,} paired resamples), but not the choice of the "
        "training seed." + UNDEFINED * any(not any(row.cells.values()) for row in rows),
    )


def _stage_table(material: _Material) -> Table:
    rows = [
        [r["name"], r["on"], r["start"], f"{r['steps']:,}", f"{r['entries_seen']:,}",
         f"{r['train_seconds']:,.0f}"]
        for r in material.records("stage")
    ]  # fmt: skip
    return Table(
        "stages-short", "What was compared with what: the stages, the same test questions for all",
        ["stage", "trained on", "starts from", "steps", "entries seen", "seconds"], rows, texts=3,
    )  # fmt: skip


def _stages(material: _Material) -> list[Part]:
    rows = [
        [r["name"], r["on"], r["start"], r["layout"], f"{r['steps']:,}", f"{r['entries_seen']:,}",
         number_text(r["loss"]), f"{r['train_seconds']:,.0f}", f"{r['train_cpu_seconds']:,.0f}"]
        for r in material.records("stage")
    ]  # fmt: skip
    parts: list[Part] = [
        Table(
            "stages", "All stages",
            ["stage", "trained on", "starts from", "layout", "steps", "entries seen", "last loss",
             "seconds passed", "seconds of the processor"],
            rows, texts=4, frame=as_frame(
                {k: v for k, v in r.items() if k != "drawn"} for r in material.records("stage")
            ),
        )
    ]  # fmt: skip
    found = material.stored["validation"]
    if found is None:
        return [*parts, Text(f"The result is the last stage, {material.final}.")]
    return [*parts, Text(f"The validation split chose {material.final} as the result.")]


def _tasks(material: _Material) -> list[Part]:
    comparison = material.comparison
    if comparison is None:
        return [Missing("Scores on each task", "the dataset has no test split.")]
    data: Mapping[str, Any] = comparison.as_dict()
    told = " ".join(
        f"{t['task']}, {t['metric']}: "
        + ", ".join(f"{a} {interval_text(c)}" for a, c in t["arms"].items()) + "."
        for t in data["tasks"]
    )  # fmt: skip
    others = comparison.others
    rows = [
        [t["task"], f"{t['metric']} {arrow(t['higher_is_better'])}", f"{t['entries']:,}",
         number_text(t["constant"]), *(interval_text(t["arms"][a]) for a in data["arms"]),
         *(percent_text(t["gains"][a]) for a in others)]
        for t in data["tasks"]
    ]  # fmt: skip
    blank = [""] * (3 + len(data["arms"]))
    foot = ["mean", *blank, *(percent_text(data["mean_gain"][a]) for a in others)]
    return [
        Picture(
            svg(metric_bars(data), "Primary metric of each task", told),
            f"Primary metric of each task with {100 * data['level']:.0f} % confidence intervals. "
            "The dotted line is the best constant answer, which ignores the image.",
        ),
        Table(
            "results", "All stages on each task: primary metric with its interval, and gain",
            ["task", "metric", "entries", "constant", *data["arms"],
             *(f"gain of {a}" for a in others)],
            rows, [foot], texts=2, frame=comparison.to_frame(),
        ),
    ]  # fmt: skip


def _derived(material: _Material) -> list[Part]:
    found = material.records("derived")
    if not found:
        return [Missing("Yields of derived entries", "no stage trains on derived entries.")]
    return [
        part
        for number, record in enumerate(found)
        for part in rule_parts(record, "Derived entries", f"rules-{number + 1}")
    ]


def _answers(material: _Material) -> list[Part]:
    found = material.records("dropped")
    if not found:
        return [Missing("Yields of pseudo annotations", "no stage trains on answers of a model.")]
    parts: list[Part] = []
    for record in found:
        asked = next(
            (r for r in material.records("readable") if r["round"] == record["round"]), None
        )
        if asked is not None:
            parts.append(
                Text(
                    f"Round {record['round']}: {asked['by']} wrote {asked['candidates']:,} answers "
                    f"on {asked['images']:,} images, of which {asked['readable']:,} are readable. "
                    f"{record['kept']:,} are kept; dropped: "
                    + (", ".join(f"{why} {n:,}" for why, n in record["dropped"].items()) or "none")
                    + "."
                )
            )
        yields, equal, rules = (as_frame(record[k]) for k in ("yields", "equal_yield", "rules"))
        key = "" if len(found) == 1 else f"-{record['round']}"
        parts += filter_parts(yields, equal, rules, key=key)
        thresholds: Sequence[str] = list(record["thresholds"].values())
        parts += [Text(line, soft=True) for line in thresholds]
    return parts


def _methods(material: _Material) -> list[Part]:
    config = material.stored["config"]
    stages = "; ".join(
        f"{r['name']} ({r['steps']:,} steps on {r['on']}, starting from {r['start']})"
        for r in material.records("stage")
    )
    text = f"The stages are {stages}."
    if material.comparison is not None:
        text += " " + evaluation_sentences(
            material.comparison, seeds=1, max_new_tokens=config["max_new_tokens"]
        )
    cited = [
        source
        for path in sorted((material.out / "pseudo").glob("**/manifest.json"))[:1]
        for source in releases(open_dataset(path.parent))
    ]
    return [Text(text), Code("BibTeX", bibtex(cited))]


def _provenance(material: _Material) -> list[Part]:
    stored = material.stored
    cells = {
        "seed": str(stored["config"]["seed"]),
        "dataset": stored["dataset"],
        "result": stored["final"],
        **{f"key of {r['name']}": r["key"] for r in material.records("stage")},
    }
    return [
        Table("provenance", "Digests and seeds", ["what", "value"],
              [[name, value] for name, value in cells.items()], texts=2,
              frame=pl.DataFrame({"what": list(cells), "value": list(cells.values())})),
        Code("Configuration", yaml.safe_dump(stored["config"], sort_keys=False), folded=True),
    ]  # fmt: skip
