"""Does the work of the arms of an ablation, and lets their models answer the test set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from imaxray._common.digests import digest_file, is_as_written, whole_file_with_digest
from imaxray._common.files import read_parquet, utf8_path
from imaxray._common.state import read_state, write_state
from imaxray.ablation.arms import EQUAL_COMPUTE
from imaxray.boxes import PERCENT
from imaxray.curation import Dataset, open_dataset
from imaxray.evaluation import score
from imaxray.strategy import (
    DeriveResult,
    FilterResult,
    StrategyConfig,
    TrainResult,
    TrainWork,
    Work,
    WorkExecutor,
    choose,
    compared,
    plan,
)
from imaxray.training import base_digest

if TYPE_CHECKING:
    from imaxray.ablation.arms import ArmName
    from imaxray.ablation.config import AblationConfig
    from imaxray.strategy import WorkResult


class ArmRecord(TypedDict):
    """Record of a finished arm, from which the tables are made.

    Attributes:
        arm: Name of the arm.
        seed: Seed of the arm.
        run: Folder of the run that is the arm's result, relative to the study folder.
        key: Key of the arm's last piece of work.
        work: Folders of all its work, relative to the study folder.
        steps: Number of optimizer steps of all its stages.
        entries_seen: Number of entries seen in all its stages.
        clock: Clock of the seconds: ``wall`` (wall-clock time) or ``cpu`` (CPU time).
        train_seconds: Seconds of training in all its stages.
        pseudo_seconds: Seconds of deriving, annotating, filtering and choosing.
        operations: Number of floating-point operations of training in all its stages; None if they
            were not counted.
        derived_entries: Number of derived entries.
        pseudo_entries: Number of kept pseudo entries in each round.
    """

    arm: str
    seed: int
    run: str
    key: str
    work: list[str]
    steps: int
    entries_seen: int
    clock: Literal["wall", "cpu"]
    train_seconds: float
    pseudo_seconds: float
    operations: NotRequired[int | None]
    derived_entries: int
    pseudo_entries: list[int]


def place(out: Path, seed: int, work: Work) -> Path:
    """Return the folder of a piece of work; its name has the key, so that arms can share it."""
    kind = "stages" if isinstance(work, TrainWork) else "pseudo"
    return out / f"seed-{seed}" / kind / f"{work.name.replace('/', '-')}-{work.key[:10]}"


def arm_works(
    config: AblationConfig,
    out: Path,
    seed: int,
    start: Path,
    arm: ArmName,
    steps: int | None = None,
) -> tuple[StrategyConfig, Dataset, list[Work]]:
    """Return the strategy of an arm, its real data and its work.

    Args:
        config: Configuration of the ablation.
        out: Study folder.
        seed: Seed of the arm.
        start: Folder of the model that the arm starts from.
        arm: Name of the arm.
        steps: Number of optimizer steps of ``dmax (equal compute)``; other arms need none.
    """
    strategy = config.arm(arm, out, start, seed, steps=steps)
    assert strategy.data is not None
    data = open_dataset(strategy.data)
    model = base_digest(str(start), None)
    return strategy, data, plan(strategy, data.sha256, model, clinical=data.clinical)


def do_arm_work(
    config: AblationConfig,
    out: Path,
    seed: int,
    start: Path,
    arm: ArmName,
    steps: int | None,
    key: str,
) -> None:
    """Do one piece of an arm's work, or continue it; all work that it depends on must be done.

    Args:
        config: Configuration of the ablation.
        out: Study folder.
        seed: Seed of the arm.
        start: Folder of the model that the arm starts from.
        arm: Name of the arm.
        steps: Number of optimizer steps of ``dmax (equal compute)``; other arms need none.
        key: Key of the piece of work.

    Raises:
        ImaxrayError: If training, deriving, annotating or filtering raises.
    """
    _torch(config)
    strategy, data, works = arm_works(config, out, seed, start, arm, steps)
    images = _Images(out, start)
    executor = _executor(config, strategy, data, out, seed, images, start)
    executor.do(next(work for work in works if work.key == key))


def finish_arm(
    config: AblationConfig,
    out: Path,
    seed: int,
    start: Path,
    arm: ArmName,
    steps: int | None = None,
) -> ArmRecord:
    """Let the model of an arm answer the test set, and return the arm's record.

    Args:
        config: Configuration of the ablation.
        out: Study folder.
        seed: Seed of the arm.
        start: Folder of the model that the arm starts from.
        arm: Name of the arm.
        steps: Number of optimizer steps of ``dmax (equal compute)``; other arms need none.

    Raises:
        ImaxrayError: If answering raises.
    """
    torch = _torch(config)
    strategy, data, works = arm_works(config, out, seed, start, arm, steps)
    images = _Images(out, start)
    executor = _executor(config, strategy, data, out, seed, images, start)
    done = [executor.do(work) for work in works]
    # arms that run side by side slow each other down, so only CPU time is fair without a GPU
    by_wall = torch.cuda.is_available()
    run = compared(done)[-1].folder
    choosing = 0.0
    if strategy.choose == "validation":
        run, choosing = _chosen(config, data, done, images, by_wall=by_wall)
    _answer(config, data, run, "test", images)
    trained = [d.record for d in done if isinstance(d, TrainResult)]
    counted = [r.get("operations") for r in trained]
    others = [d.record for d in done if not isinstance(d, TrainResult)]
    return {
        "arm": arm,
        "seed": seed,
        "run": run.relative_to(out).as_posix(),
        "key": works[-1].key,
        "work": [d.folder.relative_to(out).as_posix() for d in done],
        "steps": sum(r["steps"] for r in trained),
        "entries_seen": sum(r["entries_seen"] for r in trained),
        "clock": "wall" if by_wall else "cpu",
        "train_seconds": sum(
            r["train_seconds" if by_wall else "train_cpu_seconds"] for r in trained
        ),
        "pseudo_seconds": choosing
        + sum(r["seconds" if by_wall else "cpu_seconds"] for r in others),
        "operations": None if None in counted else sum(counted),  # type: ignore[arg-type]
        "derived_entries": sum(d.record["derived"] for d in done if isinstance(d, DeriveResult)),
        "pseudo_entries": [d.record["kept"] for d in done if isinstance(d, FilterResult)],
    }


def _torch(config: AblationConfig) -> Any:
    """Return torch, prepared for a process that shares the machine with others."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(config.training.threads)
    return torch


def _executor(
    config: AblationConfig,
    strategy: StrategyConfig,
    data: Dataset,
    out: Path,
    seed: int,
    images: _Images,
    start: Path,
) -> WorkExecutor:
    return WorkExecutor(
        strategy, data, str(start), lambda work: place(out, seed, work),
        images=images, pictures=images.picture, progress=False,
        operations=EQUAL_COMPUTE in config.needed(),
    )  # fmt: skip


def _chosen(
    config: AblationConfig,
    data: Dataset,
    done: Sequence[WorkResult],
    images: Callable[[str], Any],
    *,
    by_wall: bool,
) -> tuple[Path, float]:
    """Return the run of the stage that is best on the validation split.

    Returns:
        The run folder, and the seconds that answering the validation split took.
    """
    val = data.tables.split("val")
    stages = {d.work.name: d.folder for d in compared(done)}
    scores, seconds = {}, 0.0
    for name, run in stages.items():
        took = _answer(config, data, run, "val", images)
        seconds += took["seconds" if by_wall else "cpu_seconds"]
        answers = read_parquet(run / _ANSWERS["val"])
        how = config.evaluation.normalisation
        scores[name] = score(val, answers, data.tables.images, PERCENT, normalisation=how)
    return stages[choose(scores, data.tables).name], seconds


_ANSWERS = {"test": "predictions.parquet", "val": "predictions-val.parquet"}


def _answer(
    config: AblationConfig, data: Dataset, run: Path, split: str, images: Callable[[str], Any]
) -> dict[str, float]:
    """Let a run answer a split, unless it already has, and return the seconds that it took."""
    from imaxray.evaluation.generation import generate
    from imaxray.models import phantom
    from imaxray.training import encode_entries

    path = run / _ANSWERS[split]
    told = path.with_suffix(".json")
    digest = digest_file(path)
    if is_as_written(path) or (path.exists() and not digest.exists()):  # of an earlier version
        known: dict[str, float] = read_state(
            told, dict[str, float], advice=f"remove {path}, so that it is made again"
        )
        return known
    clock, cpu = time.perf_counter(), time.process_time()
    chat = phantom.load(run / "model")
    entries = data.tables.split(split)
    answers = generate(
        chat,
        entries,
        encode_entries(chat, entries, data.tables.images, with_target=False),
        {i: images(i) for i in entries["image_id"].unique().sort().to_list()},
        max_new_tokens=config.evaluation.max_new_tokens,
        images_per_batch=config.evaluation.images_per_batch,
    )
    took = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
    write_state(told, took)  # written first, so that existing answers always have their seconds
    with whole_file_with_digest(path) as aside:
        answers.write_parquet(utf8_path(aside))
    return took


class _Images:
    """Returns the model inputs of an image; a process prepares them once for all arms.

    :meth:`picture` returns what the inputs are made of, which augmentation changes.
    """

    _kept: dict[str, Any] = {}  # noqa: RUF012 - shared by all jobs of this process
    _pictures: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, out: Path, start: Path) -> None:
        self._out, self._start = out, start
        self._ready: tuple[Any, Any] | None = None

    def __call__(self, image_id: str) -> Any:
        key = f"{self._out} {image_id}"
        if key not in self._kept:
            picture = self.picture(image_id)
            self._kept[key] = self._opened()[1].inputs(picture)
        return self._kept[key]

    def picture(self, image_id: str) -> Any:
        """Return the picture of an image."""
        key = f"{self._out} {image_id}"
        if key not in self._pictures:
            store, chat = self._opened()
            self._pictures[key] = chat.picture(store(image_id))
        return self._pictures[key]

    def _opened(self) -> tuple[Any, Any]:
        if self._ready is None:
            from imaxray.cache import ImageStore
            from imaxray.models import phantom

            store = ImageStore(open_dataset(self._out / "catalog"))
            self._ready = store, phantom.load(self._start)
        return self._ready
