"""Turns the outcome of a study into its report."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from imaxray._defaults import STUDY_EXAMPLES
from imaxray._files import whole_file
from imaxray._state import read_state_lines
from imaxray._version import __version__
from imaxray.boxes import PERCENT, split_boxes
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, density, open_dataset
from imaxray.evaluation.generation import stored_answers
from imaxray.report import (
    Answer,
    Curve,
    Dynamics,
    Example,
    Question,
    StudyResult,
    View,
    figures,
    thumbnail,
    write_report,
)
from imaxray.sources import get_source, published_sources
from imaxray.study.config import StudyConfig
from imaxray.study.places import answer_folder, run_folder
from imaxray.study.results.dynamics import StudyDynamics
from imaxray.study.results.outcome import ModelOutcome, StudyOutcome, layout_sentences
from imaxray.study.results.sentences import DIRECTIONS, GRADIENTS, LABELS, verdict
from imaxray.training import CurvePoint, RunManifest


def _views(config: StudyConfig, outcome: ModelOutcome, *, named: bool) -> list[View]:
    """Return the comparisons of a model with their explanations."""
    of_model = f"{outcome.name}: " if named else ""
    layouts = {arm.layout for arm in config.arms.values() if arm.is_trained}
    same = "in the same layout" if len(layouts) == 1 else "in the layouts that the names say"
    views = [
        View(
            f"{of_model}Equal entries seen",
            "All arms took the same number of optimizer steps over the same number of entries, "
            f"{same}. An untrained arm took none.",
            outcome.equal_entries.as_dict(),
        )
    ]
    if outcome.equal_compute is not None:
        clock = outcome.clock["clock"][0]
        time = "on the processor" if clock == "cpu" else "on the clock"
        views.append(
            View(
                f"{of_model}Equal compute",
                f"An arm of equal compute trained for the time {time} that {config.reference} "
                f"took, {same}. Its number of steps follows from the speed of finished runs on the "
                "same data. The time for measuring the dynamics is not counted for any arm.",
                outcome.equal_compute.as_dict(),
            )
        )
    return views


def write_study_report(outcome: StudyOutcome) -> Path:
    """Write ``report.html`` and ``results.png`` into the study folder and return the report."""
    config = outcome.config
    imax = open_dataset(outcome.out / "imax")
    dmax = open_dataset(outcome.out / "dmax")
    counts = imax.tables.rejects.group_by("source", "code").len().sort(
        "source", "len", "code", descending=[False, True, False]
    )  # fmt: skip
    several = len(outcome.models) > 1
    views = [
        view for model in outcome.models.values() for view in _views(config, model, named=several)
    ]
    seeds = config.training_seeds
    trained = [arm for arm, block in config.arms.items() if block.is_trained]
    result = StudyResult(
        title=config.title,
        summary=outcome.summary(),
        views=views,
        density={n: asdict(density(d.tables)) for n, d in (("imax", imax), ("dmax", dmax))},
        match=outcome.match,
        curves=[
            Curve(
                f"{name}, {arm}" if several else arm,
                _curve(run_folder(config, outcome.out, name, arm, seed)),
                seed,
            )
            for name in outcome.models
            for arm in trained
            for seed in seeds
        ],
        throughput=[
            _speed(_run_name(config, name, arm, seed), run)
            for name, model in outcome.models.items()
            for arm in trained
            for seed, run in zip(seeds, model.runs[arm], strict=True)
        ],
        clock=[
            {**row, "arm": f"{name}, {row['arm']}" if several else row["arm"]}
            for name, model in outcome.models.items()
            for row in model.clock.iter_rows(named=True)
        ],
        layouts=[line for model in outcome.models.values() for line in layout_sentences(model)],
        models=[] if outcome.table is None else outcome.table.for_report(),
        account=imax.tables.account.to_dicts(),
        reject_codes=[(s, c, n) for s, c, n in counts.iter_rows()],
        examples=_examples(outcome, imax),
        withheld=config.evaluation.examples is None and not example_count(config, imax),
        provenance=_provenance(outcome, imax, dmax),
        config=yaml.safe_dump(config.content(), sort_keys=False),
        untrained=any(model.is_built for model in config.all_models.values()),
        seeds=seeds,
        dynamics=None if outcome.dynamics is None else _dynamics(outcome.dynamics),
    )
    path = outcome.out / "report.html"
    write_report(result, path)
    figure = figures.results(views[-1 if not several else 0].comparison)
    with whole_file(outcome.out / "results.png") as aside:
        figure.savefig(aside, dpi=160, format="png", metadata={"Software": None})
    return path


def _run_name(config: StudyConfig, model: str, arm: str, seed: int) -> str:
    parts = [model] if len(config.all_models) > 1 else []
    parts.append(arm)
    return ", ".join(parts + ([f"seed {seed}"] if len(config.training_seeds) > 1 else []))


def _curve(run: Path) -> list[CurvePoint]:
    return read_state_lines(
        run / "curve.jsonl",
        CurvePoint,
        advice=f"remove {run}, so that the run is trained again",
    )


def _speed(arm: str, manifest: RunManifest) -> dict[str, Any]:
    return {
        "arm": arm,
        "layout": manifest["identity"]["layout"],
        "entries": manifest["entries_seen"],
        "seconds": manifest["seconds"],
        "entries_per_second": manifest["entries_per_second"],
        "tokens_per_entry": manifest["tokens_seen"] / manifest["entries_seen"],
    }


def example_count(config: StudyConfig, dataset: Dataset) -> int:
    """Return how many test images the report shows, with their questions and answers.

    Unless the study asks for a number, images of credentialed releases, of releases that need a
    registration, and of one's own are not shown, because a report is passed on more easily than a
    dataset.
    """
    if config.evaluation.examples is not None:
        return config.evaluation.examples
    if config.phantom is None:
        known = published_sources()
        names = {file.source for file in dataset.tables.files}
        if not all(name in known and get_source(name).access == "open" for name in names):
            return 0
    return STUDY_EXAMPLES


def _examples(outcome: StudyOutcome, imax: Dataset) -> list[Example]:
    """Choose test images, most tasks first and then by a hash of their ids, with all answers."""
    test = imax.tables.split("test")
    per_image = test.group_by("image_id").agg(pl.col("task").n_unique().alias("tasks"))
    ranked = sorted(per_image.iter_rows(), key=lambda row: (-row[1], _mix(row[0])))
    image_of = ImageStore(imax)
    config, out = outcome.config, outcome.out
    compared = [arm for arm, block in config.arms.items() if block.budget == "entries"][:3]
    conventions = {
        arm: stored_answers(
            answer_folder(run_folder(config, out, outcome.only.name, arm, config.training_seeds[0]))
        ).convention
        for arm in compared
    }
    examples = []
    for image_id, _ in ranked[: example_count(outcome.config, imax)]:
        image = imax.tables.images.row(by_predicate=pl.col("image_id") == image_id, named=True)
        size = (image["width"], image["height"])
        rows = test.filter(pl.col("image_id") == image_id).sort("task", "entry_id")
        questions = []
        for entry in rows.iter_rows(named=True):
            boxes = entry["boxes"] or []
            parts = split_boxes(entry["prompt"], entry["target"], boxes)
            shown, gold = parts or ([], [])
            answers = []
            for arm in compared:
                table = outcome.only.scores[arm][0].table  # of the first seed
                text = table.row(by_predicate=pl.col("entry_id") == entry["entry_id"], named=True)[
                    "text"
                ]
                answers.append(Answer(arm, text, conventions[arm].extract(text or "", *size)[1]))
            questions.append(
                Question(
                    entry["task"],
                    PERCENT.fill(entry["prompt"], shown, *size),
                    PERCENT.fill(entry["target"], gold, *size),
                    gold,
                    answers,
                )
            )
        png = thumbnail(image_of(image_id))
        examples.append(Example(image_id, png, *size, questions))
    return examples


def _provenance(outcome: StudyOutcome, imax: Dataset, dmax: Dataset) -> dict[str, str]:
    runs = outcome.only.runs[outcome.config.reference]
    versions = runs[0]["versions"]
    return {
        "imaxray": __version__,
        "seed": str(outcome.config.seed),
        "training seeds": ", ".join(str(seed) for seed in outcome.config.training_seeds),
        "dataset imax": imax.sha256,
        "dataset dmax": dmax.sha256,
        "initial weights": ", ".join(run["identity"]["weights"] for run in runs),
        "parameters": f"{runs[0]['parameters']:,}",
        "torch": versions["torch"],
        "transformers": versions["transformers"],
        "python": platform.python_version(),
        "threads per arm": str(outcome.config.training.threads),
    }


def _dynamics(found: StudyDynamics) -> Dynamics:
    """Return the tables of the dynamics in the form that the report shows."""
    contrast = found.contrast
    if not contrast.is_empty():
        contrast = contrast.filter(
            pl.col("entries_seen") == pl.col("entries_seen").max(),
            pl.col("statistic").is_in(list(LABELS)),
        )
    spectra = found.spectra.filter(pl.col("reduction").is_in(list(GRADIENTS)), group="all")
    return Dynamics(
        sentences=found.sentences(),
        points=spectra.select("arm", "seed", "entries_seen", "reduction", *LABELS).to_dicts(),
        contrast=[
            {**row, "verdict": verdict(row), "paper": DIRECTIONS.get(row["statistic"], "–")}
            for row in contrast.iter_rows(named=True)
        ],
        crossed=found.crossed.to_dicts(),
        tasks=found.tasks.to_dicts(),
        n_curve=found.curve.to_dicts(),
        labels=LABELS,
        gradients=GRADIENTS,
        entries=int(spectra["entries"][0]),
    )


def _mix(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
