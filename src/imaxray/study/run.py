"""A whole study: build, match, train the arms, evaluate, compare, report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from imaxray.boxes import PERCENT
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.evaluation import Comparison, Scores, compare, constant_baseline, score
from imaxray.models import phantom
from imaxray.progress import multi_bar
from imaxray.sources import get_source
from imaxray.study.arm import ArmJob, entries_seen, run_arms
from imaxray.study.config import StudyConfig
from imaxray.study.data import build_study_data, write_json
from imaxray.training import (
    StepDataset,
    Throughput,
    encode_entries,
    measure_throughput,
    prepare_images,
    schedule,
)

REFERENCE = "dmax"
ARMS = ("dmax", "imax", "imax (equal compute)")
"""dmax: one sequence an entry. imax: packed, as many entries as dmax. imax (equal compute): packed,
as many more entries as fit into dmax's wall-clock."""

RUN_FOLDERS = {"dmax": "dmax", "imax": "imax", "imax (equal compute)": "imax-equal-compute"}


@dataclass(frozen=True)
class StudyOutcome:
    """What a study found.

    Attributes:
        equal_entries: imax against dmax, both having seen the same number of entries.
        equal_compute: imax against dmax, both having had the same wall-clock.
        scores: of each arm, and of the ``constant`` baseline.
        runs: run manifest of each arm.
        throughput: packing against separate sequences, measured in one process.
        match: what the match achieved.
        seconds: wall-clock of each stage of this call (a stage that was already done takes none).
    """

    config: StudyConfig
    out: Path
    equal_entries: Comparison
    equal_compute: Comparison
    scores: dict[str, Scores]
    runs: dict[str, dict[str, Any]]
    throughput: Throughput
    match: dict[str, Any]
    seconds: dict[str, float]

    def summary(self) -> list[str]:
        """What came out, in sentences, as it fell."""
        fast = self.throughput
        lines = [_verdict(self.equal_entries, "imax", "equal entries seen")]
        lines.append(_verdict(self.equal_compute, "imax", "equal compute"))
        lines.append(
            f"Packing: {fast.packed:.0f} entries/s against {fast.separate:.0f} one sequence an "
            f"entry, {fast.ratio:.2f} times (same model, same process)."
        )
        took = {arm: run["seconds"] for arm, run in self.runs.items()}
        lines.append(
            "Training took "
            + ", ".join(f"{arm} {seconds:.0f} s" for arm, seconds in took.items())
            + "; equal compute is planned from the measured speed, these are the seconds it took."
        )
        roots = open_dataset(self.out / "catalog").tables.roots
        for name, root in sorted(roots.items()):
            lines += [f"{name}: {remark}" for remark in get_source(name).remarks(root)]
        return lines


def _verdict(comparison: Comparison, arm: str, view: str) -> str:
    gain = comparison.as_dict()["mean_gain"][arm]
    if gain is None:
        return f"At {view} no relative gain can be given: the reference is near zero everywhere."
    low, value, high = (100 * gain[key] for key in ("low", "value", "high"))
    who = "IMAX is ahead" if low > 0 else "DMAX is ahead" if high < 0 else "neither arm is ahead"
    return f"At {view} {who}: mean relative gain of IMAX {value:+.1f} % [{low:+.1f}, {high:+.1f}]."


def run_study(config: StudyConfig, out: Path, *, root: Path | None = None) -> StudyOutcome:
    """Run or resume a study in the folder ``out``; finished stages are kept.

    Args:
        config: see :class:`StudyConfig`.
        out: study folder: ``releases/`` (phantom), ``catalog/``, ``imax/``, ``dmax/``, ``runs/``.
        root: folder of the releases; overrides the config's.

    Raises:
        ImaxrayError: as the stages do.
    """
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage] = now - clock
        clock = now

    match = build_study_data(config, out, root=root)
    lap("write releases, build and match")
    imax, dmax = open_dataset(out / "imax"), open_dataset(out / "dmax")
    init = _initial_model(config, out, imax, dmax)
    throughput = _throughput(config, out, init, imax, dmax)
    lap("measure packing")
    runs = _train(config, out, init, throughput)
    lap("train and answer")
    scores = _score(imax, out)
    equal_entries, equal_compute = (
        compare(
            {REFERENCE: scores[REFERENCE], "imax": scores[arm]},
            reference=REFERENCE,
            constant=scores["constant"],
            seed=config.seed,
            resamples=config.evaluation.resamples,
            level=config.evaluation.level,
        )
        for arm in ARMS[1:]
    )
    lap("compare")
    write_json(
        out / "comparison.json",
        {"equal_entries": equal_entries.as_dict(), "equal_compute": equal_compute.as_dict()},
    )
    return StudyOutcome(
        config, out, equal_entries, equal_compute, scores, runs, throughput, match, seconds
    )


def _initial_model(config: StudyConfig, out: Path, imax: Dataset, dmax: Dataset) -> Path:
    """The one model all arms start from; its tokenizer has read both arms' training text."""
    folder = out / "init"
    corpus: list[str] = []
    for data in (imax, dmax):
        images = data.tables.images
        sizes = {i: (w, h) for i, w, h in images.select("image_id", "width", "height").iter_rows()}
        columns = ["prompt", "target", "boxes", "image_id"]
        for prompt, target, boxes, image in data.tables.split("train").select(columns).iter_rows():
            corpus.append(PERCENT.fill(f"{prompt} {target}", boxes or [], *sizes[image]))
    phantom.build(config.model, corpus, seed=config.seed).save(folder)
    return folder


def _throughput(
    config: StudyConfig, out: Path, init: Path, imax: Dataset, dmax: Dataset
) -> Throughput:
    """Entries per second of the two arms' own steps, layouts in turn, in this process."""
    path = out / "throughput.json"
    key = {"imax": imax.sha256, "dmax": dmax.sha256, **config.content()}
    if path.exists():
        known = json.loads(path.read_text())
        if known.pop("key") == key:
            known["ratios"] = tuple(known["ratios"])
            return Throughput(**known)
    chat = phantom.load(init)
    items: list[list[dict[str, Any]]] = []
    for data, layout in ((imax, "packed"), (dmax, "separate")):
        train = data.tables.split("train")
        table = schedule(
            train,
            layout=layout,  # type: ignore[arg-type]
            entries_per_step=config.training.entries_per_step,
            steps=3,
            seed=config.seed,
        )
        used = train.filter(pl.col("entry_id").is_in(table["entry_id"].unique().to_list()))
        ids = used["image_id"].unique().sort().to_list()
        pixels = prepare_images(chat, ids, ImageStore(data))
        encoded = encode_entries(chat, used, data.tables.images)
        steps = StepDataset(chat, table, used, encoded, pixels, layout)  # type: ignore[arg-type]
        items.append([steps[k] for k in range(len(steps))])
    measured = measure_throughput(chat, items[0], items[1], config.training, repeats=3)
    write_json(path, {"key": key, **measured.__dict__})
    return measured


def _train(
    config: StudyConfig, out: Path, init: Path, throughput: Throughput
) -> dict[str, dict[str, Any]]:
    """Train all arms, dmax beside the two imax ones, each process on its own core."""
    steps = config.training.steps
    longer = max(1, round(steps * throughput.ratio))

    def job(arm: str, dataset: str, layout: Any, arm_steps: int) -> ArmJob:
        folder = out / "runs" / RUN_FOLDERS[arm]
        return ArmJob(arm, out / dataset, init, folder, layout, arm_steps, config)

    lanes = [
        [job("dmax", "dmax", "separate", steps)],
        [
            job("imax (equal compute)", "imax", "packed", longer),
            job("imax", "imax", "packed", steps),
        ],
    ]
    manifests: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(len(lanes), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_arms, lane) for lane in lanes]
        _watch(futures, [job for lane in lanes for job in lane])
        for future in futures:
            manifests.update({manifest["arm"]: manifest for manifest in future.result()})
    return {arm: manifests[arm] for arm in ARMS}


def _watch(futures: Sequence[Any], jobs: Sequence[ArmJob]) -> None:
    """One bar an arm, moved by the entries its learning curve says it has seen."""
    size = jobs[0].config.training.entries_per_step
    totals = {f"Training {job.name}": job.steps * size for job in jobs}
    with multi_bar(totals) as update:
        while not all(future.done() for future in futures):
            time.sleep(1.0)
            for job in jobs:
                update(f"Training {job.name}", entries_seen(job.out))


def _score(imax: Dataset, out: Path) -> dict[str, Scores]:
    """Scores of every arm and of the constant baseline on the shared test set."""
    tables = imax.tables
    test = tables.split("test")
    scores = {"constant": constant_baseline(tables.split("train"), test, tables.images)}
    for arm, folder in RUN_FOLDERS.items():
        predictions = pl.read_parquet(out / "runs" / folder / "predictions.parquet")
        scores[arm] = score(test, predictions, tables.images, PERCENT)
        scores[arm].table.write_parquet(out / "runs" / folder / "scores.parquet")
    return scores
