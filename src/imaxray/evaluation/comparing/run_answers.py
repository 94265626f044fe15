"""Finds the answers of a run: in a run folder, a result folder or a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.digests import model_digest
from imaxray._common.state import known_state, read_state
from imaxray.boxes import BoxConvention
from imaxray.curation.dataset import MANIFEST, content_digest
from imaxray.errors import ImaxrayError
from imaxray.evaluation.predictions import find_predictions, read_predictions

_ANSWERS: Final = "predictions.parquet"
_SEED: Final = re.compile(r"seed-\d+")
_NEAR: Final = 7
"""Number of folders above the answers in which their dataset is looked for; a study needs six."""


@dataclass(frozen=True)
class RunAnswers:
    """The answers of one run, with what is known of how they came about.

    Attributes:
        path: File of the answers.
        table: Columns entry_id and text; a null text is an empty answer.
        convention: Convention of the boxes; ``None`` if the folder does not state it.
        rules: Names of the reading rules that the result folder was scored with; ``None`` for all.
        dataset: SHA-256 of the dataset that was answered; ``None`` if the folder does not state it.
    """

    path: Path
    table: pl.DataFrame
    convention: BoxConvention | None = None
    rules: tuple[str, ...] | None = None
    dataset: str | None = None


def runs_of(paths: Sequence[Path]) -> list[Path]:
    """Return the runs that paths stand for: a folder with ``seed-0``, ``seed-1`` … is its seeds.

    Raises:
        ImaxrayError: If a run is named twice, which would count as two trainings.
    """
    found: list[Path] = []
    for path in paths:
        seeds = [one for one in path.glob("seed-*") if _SEED.fullmatch(one.name)]
        found += sorted(seeds, key=lambda one: int(one.name[5:])) or [path]
    resolved = [path.resolve() for path in found]
    for path in resolved:
        if resolved.count(path) > 1:
            raise ImaxrayError(
                f"Expected different runs of an arm, but {path} is named twice; name it once."
            )
    return found


def read_run(path: Path, data: Path | None, split: str) -> RunAnswers:
    """Read the answers of a run.

    Args:
        path: Run folder that was evaluated, folder with ``predictions.parquet``, result folder of
            ``imaxray score``, or file of answers.
        data: Dataset folder whose entries were answered; ``None`` if it is not known. Then a run
            folder must have one evaluation of the split.
        split: Split whose entries were answered.

    Raises:
        ImaxrayError: If there are no such answers, or files of the folder are damaged.
    """
    if path.is_file() and path.name in ("result.json", "scores.parquet"):
        path = path.parent
    if path.is_dir() and not (path / _ANSWERS).is_file() and (path / "scores.parquet").is_file():
        return _of_result(path)
    file = _evaluation(path, split) if data is None else find_predictions(path, data, split)
    file = file / _ANSWERS if file.is_dir() else file
    table = read_predictions(file).table
    about = file.parent / "predictions.json"
    if file.name != _ANSWERS or not about.is_file():
        return RunAnswers(file, table)
    identity = read_state(about, advice="evaluate the model again").get("identity", {})
    _require_own(path, identity, about)
    return RunAnswers(file, table, _convention(identity, about), None, identity.get("dataset"))


def _require_own(run: Path, identity: Mapping[str, Any], about: Path) -> None:
    """Compare the model that answered with that of the run in whose folder the answers lie.

    Raises:
        ImaxrayError: The answers are those of other weights.
    """
    answered = identity.get("model", {}).get("weights")
    trained = _trained(run)
    if answered is not None and trained is not None and answered != trained:
        raise ImaxrayError(
            f"Expected {about.parent} to hold answers of the model in {run}, but they are those of "
            "other weights; name the run that they belong to, or evaluate this one again."
        )


def _trained(run: Path) -> str | None:
    """Return the digest of the weights that a run wrote; ``None`` if it is no run."""
    files = known_state(run / "run.json").get("files")
    if not isinstance(files, dict):
        return None
    for folder in ("adapter/", "model/"):
        names = [name for name in files if name.startswith(folder) and name.count("/") == 1]
        if names:
            return model_digest({name.removeprefix(folder): files[name] for name in names})
    return None


def _of_result(folder: Path) -> RunAnswers:
    """Read a folder that ``imaxray score --out`` wrote, which keeps the text of each answer."""
    told = folder / "result.json"
    decided = read_state(told, advice="score the answers again").get("decided_by", {})
    file = folder / "scores.parquet"
    rules = decided.get("reading_rules")
    return RunAnswers(
        file,
        read_predictions(file).table,
        _convention(decided, told),
        None if rules is None else tuple(rules),
        decided.get("dataset", {}).get("sha256"),
    )


def _convention(about: Mapping[str, Any], file: Path) -> BoxConvention | None:
    if "boxes" not in about:
        return None
    try:
        return BoxConvention.from_dict(about["boxes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ImaxrayError(
            f"Expected a box convention in {file}, but it is damaged; name it with --boxes, or "
            "evaluate the model again."
        ) from error


def _evaluation(path: Path, split: str) -> Path:
    """Return the only evaluation of a run folder on a split, or the path if it is none."""
    if not path.is_dir() or (path / _ANSWERS).is_file():
        return path
    found = sorted(one.parent for one in path.glob(f"evaluation/*-{split}/{_ANSWERS}"))
    if len(found) == 1:
        return found[0]
    there = ", ".join(one.name for one in found)
    raise ImaxrayError(
        f"Expected one evaluation on the split {split} in {path}, but it has "
        f"{there or 'none'}; " + ("name --data." if found else "evaluate the model first.")
    )


def find_dataset(answers: Sequence[RunAnswers]) -> Path:
    """Return the dataset folder that runs answered, which stands near them.

    It is recognised by its digest, so that a dataset that was built anew is not mistaken for it.

    Args:
        answers: Answers of the runs; the first of them that state a dataset decide.

    Raises:
        ImaxrayError: If no answers state their dataset, or it is not near them.
    """
    known = [one for one in answers if one.dataset is not None]
    if not known:
        raise ImaxrayError(
            f"Expected --data with the dataset whose entries were answered, but it is missing, and "
            f"{answers[0].path} does not state its dataset; name it."
        )
    for folder in _near(known[0].path.resolve()):
        if _digest(folder / MANIFEST) == known[0].dataset:
            return folder
    raise ImaxrayError(
        f"Expected the dataset that {known[0].path} answered (sha256 "
        f"{str(known[0].dataset)[:12]}…) near it, but it is not there; name it with --data."
    )


def _near(path: Path) -> Iterator[Path]:
    """Yield the folders of datasets beside a path and beside the folders above it."""
    for parent in path.parents[:_NEAR]:
        try:
            yield from sorted(file.parent for file in parent.glob(f"*/{MANIFEST}"))
        except OSError:  # a folder above that cannot be listed holds no dataset of this user
            continue


def _digest(manifest: Path) -> str | None:
    """Return the digest of a dataset by its manifest; ``None`` for manifests of other kinds."""
    try:
        return content_digest(known_state(manifest))
    except (KeyError, TypeError):
        return None


def arm_names(arms: Sequence[Sequence[Path]]) -> list[str]:
    """Return a name for each arm: the end of the path of its first run that tells arms apart.

    Folders of seeds and of evaluations are left out.

    Example:
        >>> arm_names([[Path("a/dmax/seed-0")], [Path("a/imax/seed-0")]])
        ['dmax', 'imax']
        >>> arm_names([[Path("a/dmax")], [Path("b/dmax")]])
        ['a/dmax', 'b/dmax']
    """
    parts = [_telling_parts(paths[0].resolve()) for paths in arms]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of_arm[-depth:]) for of_arm in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{of_arm[-1]} ({place})" for place, of_arm in enumerate(parts, start=1)]


def _telling_parts(path: Path) -> list[str]:
    """Return the parts of a path without those that are the same for every run."""
    if path.name in (_ANSWERS, "scores.parquet", "result.json"):
        path = path.parent
    if path.parent.name == "evaluation":
        path = path.parent.parent
    if _SEED.fullmatch(path.name):
        path = path.parent
    stem = path.stem if path.suffix in (".parquet", ".jsonl", ".json") else path.name
    return [*path.parts[:-1], stem]
