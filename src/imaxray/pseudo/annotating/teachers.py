"""Lets several teachers answer, each its own tasks, and joins their answers in one folder.

Each sitting of a teacher is a folder of its own in ``teachers/``, named after its tasks and a
digest of everything that its answers depend on. Finished sittings are kept: if a task gets another
teacher, the answers to the other tasks are taken from there.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

import polars as pl

from imaxray._common.digests import changed_files
from imaxray._common.files import read_parquet
from imaxray._common.folders import growing_folder
from imaxray._common.state import read_state
from imaxray._version import __version__
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import versions, weights_digest, weights_of
from imaxray.models import find_row
from imaxray.pseudo.annotating.annotator_answers import answer_by_annotator, identity_of
from imaxray.pseudo.annotating.config import AnnotateConfig
from imaxray.pseudo.annotating.model_answers import Share, answer_by_model, identity_of_question
from imaxray.pseudo.annotating.sittings import Sitting, needed_by, sittings, task_keys
from imaxray.pseudo.annotating.store import CALIBRATION, CANDIDATES, AnnotationStore
from imaxray.pseudo.annotators import Annotator, find_annotator
from imaxray.pseudo.annotators.registry import require_tasks_of
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import conform

FOLDER: Final = "teachers"
"""Name of the folder with the answers of each sitting."""

_ADVICE: Final = "remove the folder to ask its teacher again"
_PER_TASK: Final = ("lacking", "without_prompt", "known", "rows", "unreadable")


@dataclass(frozen=True)
class Teacher:
    """A model that answers some tasks.

    Attributes:
        run: Run folder, registry name, repository id, or folder of a model or an adapter.
        config: Options with which it is loaded.
    """

    run: str
    config: AnnotateConfig

    def identity(self) -> dict[str, Any]:
        """Return what decides its answers, as far as it is known before the model is loaded."""
        weights, revision = weights_of(self.run), self.config.revision
        if revision is None and (row := find_row(weights)) is not None:
            revision = row.revision
        return {
            "weights": weights_digest(weights) or f"{weights}@{revision}",
            "boxes": None if self.config.boxes is None else str(self.config.boxes),
            "dtype": self.config.dtype,
            "device": "vllm" if self.config.engine == "vllm" else self.config.device,
            "image_tokens": self.config.max_image_tokens,
        }

    def sit(self, dataset: Dataset, folder: Path, share: Share) -> AnnotationStore:
        """Answer the tasks of a share, or continue to do so."""
        return answer_by_model(self.run, dataset, folder, self.config, share)


@dataclass(frozen=True)
class Tool:
    """An external annotator that states the facts of some tasks.

    Attributes:
        annotator: The annotator.
        config: Options of the annotation.
    """

    annotator: Annotator
    config: AnnotateConfig

    def identity(self) -> dict[str, Any]:
        """Return what decides its facts."""
        return identity_of(self.annotator)

    def sit(self, dataset: Dataset, folder: Path, share: Share) -> AnnotationStore:
        """State the facts of a share, or continue to do so."""
        return answer_by_annotator(self.annotator, dataset, folder, self.config, share)


def teacher_digest(name: str) -> str:
    """Return a digest that identifies a teacher, as `annotate` accepts it."""
    annotator = find_annotator(name)
    config = AnnotateConfig()
    teacher = Teacher(name, config) if annotator is None else Tool(annotator, config)
    identity = teacher.identity()
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def answer_by_teachers(
    run: str | Path, dataset: Dataset, out: Path, config: AnnotateConfig
) -> AnnotationStore:
    """Let the teacher of each task answer it, or continue to do so.

    Args:
        run: Model of the tasks that have no teacher of their own.
        dataset: Dataset whose images lack tasks.
        out: Folder to write.
        config: The teachers, the prompts, the decoding, and how models are loaded.

    Returns:
        The finished folder.

    Raises:
        ImaxrayError: A task that is not asked has a teacher, there is no such model, or ``out``
            holds annotations of other data or options.
    """
    names, teachers = _teachers(run, config)
    identities = {name: teacher.identity() for name, teacher in teachers.items()}
    question = identity_of_question(dataset, config)
    who = {task: identities[name] for task, name in names.items()}
    keys = task_keys(config.tasks, who, question)
    _give_way(out, {"teachers": who, **question})
    store = AnnotationStore(
        out, {"teachers": who, **question}, {"imaxray": __version__, "versions": versions()}
    )
    if store.finished:
        return store
    done = _finished(out / FOLDER, keys)
    for sitting in sittings([task for task in config.tasks if task not in done], names):
        share = _share(sitting, keys, done, config.tasks)
        folder = out / FOLDER / _name(sitting, keys)
        with growing_folder(folder, ("annotate.parts",)):
            teachers[sitting.teacher].sit(dataset, folder, share)
        done |= dict.fromkeys(sitting.tasks, folder)
    _join(store, done)
    return store


def _teachers(
    run: str | Path, config: AnnotateConfig
) -> tuple[dict[str, str], dict[str, Teacher | Tool]]:
    """Return the name of each task's teacher, and the teachers by name.

    The box convention and the revision are those of ``run``; another teacher has its own.
    """
    if unasked := [task for task in config.teachers if task not in config.tasks]:
        raise ImaxrayError(
            f"Expected teachers of tasks that are asked, but {unasked[0]} is not among "
            f"{', '.join(config.tasks)}; add the task, or leave its teacher out."
        )
    bare = config.model_copy(update={"teachers": {}})
    other = bare.model_copy(update={"boxes": None, "revision": None})
    names = {task: str(config.teachers.get(task, run)) for task in config.tasks}
    found: dict[str, Teacher | Tool] = {}
    for name in sorted(set(names.values())):
        annotator = find_annotator(name)
        if annotator is None:
            found[name] = Teacher(name, bare if name == str(run) else other)
        else:
            require_tasks_of(annotator, tuple(t for t in config.tasks if names[t] == name))
            found[name] = Tool(annotator, bare)
    return names, found


def _give_way(out: Path, identity: Mapping[str, Any]) -> None:
    """Remove the joined tables if only teachers differ; their answers stay in ``teachers/``.

    The manifest goes last, so that an interrupted call finds it and does the rest.
    """
    manifest = out / f"{AnnotationStore.stem}.json"
    if not manifest.exists():
        return
    found = read_state(manifest, _Joined, advice="choose another --out")["identity"]
    now = json.loads(json.dumps(identity))
    if "teachers" not in found or found == now or {**found, "teachers": now["teachers"]} != now:
        return
    changed = [t for t, who in now["teachers"].items() if found["teachers"].get(t) != who]
    warnings.warn(
        f"Other teachers than before answer {', '.join(changed)} in {out}; the answers that do not "
        "depend on these are kept.",
        stacklevel=2,
    )
    for path in (*(out / f"{stem}.parquet" for stem in reversed(AnnotationStore.tables)), manifest):
        path.unlink(missing_ok=True)


class _Joined(TypedDict):
    """What the manifest of a folder of one or several teachers has."""

    identity: dict[str, Any]
    account: NotRequired[dict[str, Any]]
    files: NotRequired[dict[str, str]]


def _finished(folder: Path, keys: Mapping[str, str]) -> dict[str, Path]:
    """Return the folder of a finished sitting for each task whose answers are wanted again."""
    found: dict[str, Path] = {}
    for manifest in sorted(folder.glob(f"*/{AnnotationStore.stem}.json")):
        known = read_state(manifest, _Joined, advice=_ADVICE)
        wanted = known["identity"].get("tasks", {}).items() & keys.items()
        if not wanted or "files" not in known:
            continue
        if changed := changed_files(manifest.parent, known["files"]):
            raise ImaxrayError(
                f"Expected {manifest.parent} as {manifest.name} describes it, but {changed[0]} is "
                f"missing or was changed; {_ADVICE}."
            )
        for task, _ in wanted:
            found.setdefault(task, manifest.parent)
    return found


def _share(
    sitting: Sitting, keys: Mapping[str, str], done: Mapping[str, Path], tasks: Sequence[str]
) -> Share:
    """Return the share of a sitting; the answers that it needs are those of earlier sittings."""
    files: dict[Path, list[str]] = {}
    for task in sorted(needed_by(sitting.tasks, tasks) - {*sitting.tasks}):
        files.setdefault(done[task] / f"{CANDIDATES}.parquet", []).append(task)
    earlier = tuple((path.resolve(), tuple(some)) for path, some in sorted(files.items()))
    return Share({task: keys[task] for task in sitting.tasks}, earlier)


def _name(sitting: Sitting, keys: Mapping[str, str]) -> str:
    text = " ".join(keys[task] for task in sitting.tasks)
    return f"{'-'.join(sitting.tasks)}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _join(store: AnnotationStore, done: Mapping[str, Path]) -> None:
    """Write the tables and the account of all tasks from those of the sittings."""
    manifests = {
        folder: read_state(folder / f"{AnnotationStore.stem}.json", _Joined, advice=_ADVICE)
        for folder in sorted(set(done.values()))
    }
    accounts = {folder: known["account"] for folder, known in manifests.items()}
    some = next(iter(accounts.values()))
    account = {"images": some["images"], "left_out": some["left_out"]}
    for key in _PER_TASK:
        account[key] = {
            task: accounts[folder][key][task]
            for task, folder in sorted(done.items())
            if task in accounts[folder][key]
        }
    by = {task: manifests[folder]["identity"]["model"] for task, folder in sorted(done.items())}
    store.add_to_manifest({"answered_by": by, "account": account})
    for stem in (CALIBRATION, CANDIDATES):
        for task, folder in sorted(done.items()):
            rows = conform(read_parquet(folder / f"{stem}.parquet"), PSEUDO)
            store.add(f"{stem}-{task}", rows.filter(pl.col("task") == task))
    store.finish([f"{CANDIDATES}-{task}" for task in done], [f"{CALIBRATION}-{t}" for t in done])
