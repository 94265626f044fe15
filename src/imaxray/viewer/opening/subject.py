"""Finds out which datasets, answers and pseudo annotations the paths of a command stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from imaxray._common.files import read_parquet
from imaxray._common.names import require_known
from imaxray._common.state import known_state
from imaxray.curation.dataset import MANIFEST, content_digest
from imaxray.errors import ImaxrayError
from imaxray.schema import SPLITS, conform
from imaxray.viewer.opening.studies import STRATEGY, StudyRuns, is_study, runs_of_study

if TYPE_CHECKING:
    from imaxray.evaluation.comparing.run_answers import RunAnswers

_ROLES: Final = ("imax", "dmax", "catalog")  # the first that is there is shown first
_CANDIDATES: Final = "candidates.parquet"
_PREDICTIONS: Final = "predictions.parquet"
_KINDS: Final = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt")  # of files of answers


@dataclass(frozen=True)
class Subject:
    """What one viewer shows.

    Attributes:
        title: Title of the page.
        datasets: Name → dataset folder; the first is shown first.
        arms: Name of an arm → its answers to entries of the datasets.
        candidates: Pseudo annotations (schema PSEUDO), accepted or not; None if there are none.
        models: Name → model whose rendering of entries can be shown.
        notes: Sentences on what is not shown, for the user.
    """

    title: str
    datasets: Mapping[str, Path]
    arms: Mapping[str, RunAnswers] = field(default_factory=dict)
    candidates: pl.DataFrame | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def open_subject(
    paths: Sequence[Path],
    *,
    data: Path | None = None,
    split: str = "test",
    models: Sequence[str] = (),
) -> Subject:
    """Find the datasets, answers and pseudo annotations that paths stand for.

    Args:
        paths: Dataset folders; study folders, or folders that ``imaxray build`` wrote; run folders
            that were evaluated, result folders of ``imaxray score`` or files of answers; folders
            that ``imaxray annotate`` wrote.
        data: Dataset that runs or pseudo annotations belong to; default: the dataset that they
            state, if its folder stands near them.
        split: Split whose entries were answered.
        models: Models whose rendering of entries can be shown, besides those of the runs.

    Raises:
        ImaxrayError: If a path is none of these, or the dataset of a run is not found.
    """
    # imported where they are needed, because a dataset alone is shown much sooner without them
    require_known(split, SPLITS, "a split")
    if not paths:
        raise ImaxrayError(
            "Expected a dataset, study, run or folder of pseudo annotations, but none is named; "
            "name its folder."
        )
    datasets: dict[str, Path] = {}
    arms: dict[str, RunAnswers] = {}
    runs: list[Path] = []
    pseudo: list[Path] = []
    known = {name: name for name in models}
    notes: list[str] = []
    for path in paths:
        if not path.exists():
            raise ImaxrayError(
                f"Expected a dataset, study, run or folder of pseudo annotations at {path}, but it "
                "does not exist; correct the path."
            )
        if (path / MANIFEST).is_file():
            _add(datasets, path.resolve().name, path)
        elif (path / _CANDIDATES).is_file():
            pseudo.append(path)
        elif _built(path):
            for role in _ROLES:
                if (path / role / MANIFEST).is_file():
                    _add(datasets, role, path / role)
            for dose in sorted((path / "doses").glob(f"*/{MANIFEST}")):
                _add(datasets, f"dose {dose.parent.name}", dose.parent)
            if is_study(path):
                _add_study(runs_of_study(path, split), arms, known, notes)
        elif (path / STRATEGY).is_file():
            found = runs_of_study(path, split)
            _add_study(found, arms, known, notes)
            pseudo += sorted(
                file.parent for file in path.glob(f"pseudo/*/candidates/{_CANDIDATES}")
            )
        elif path.is_dir() and not _holds_answers(path):
            raise ImaxrayError(
                f"Expected a dataset, study, run that was evaluated, or folder of pseudo "
                f"annotations at {path}, but it is none; name such a folder{_inside(path)}."
            )
        elif path.is_file() and path.suffix not in _KINDS:
            raise ImaxrayError(
                f"Expected a folder, or a file of answers ({', '.join(_KINDS)}), but got {path}; "
                "name such a file, or the folder of the study."
            )
        else:
            from imaxray.evaluation.comparing.run_answers import runs_of

            runs += runs_of([path])
    given = data or next(iter(datasets.values()), None)
    if runs:
        from imaxray.evaluation.comparing.run_answers import arm_names, read_run

        for name, run in zip(arm_names([[run] for run in runs]), runs, strict=True):
            arms[name] = read_run(run, given, split)
            if (run / "run.json").is_file():
                known.setdefault(name, str(run))
    if data is not None:
        _add(datasets, data.resolve().name, data)
    candidates = [_candidates(path) for path in pseudo]
    if not datasets:
        if not arms and not pseudo:
            raise ImaxrayError(" ".join([*notes, "Name the dataset with --data to look at it."]))
        folder = _answered(arms) if arms else _annotated(pseudo[0])
        datasets[folder.name] = folder
    return Subject(
        title=", ".join(path.resolve().name for path in paths),
        datasets=datasets,
        arms=arms,
        candidates=pl.concat(candidates) if candidates else None,
        models=known,
        notes=tuple(notes),
    )


def _add(datasets: dict[str, Path], name: str, folder: Path) -> None:
    if any(folder.resolve() == other.resolve() for other in datasets.values()):
        return
    number, unique = 2, name
    while unique in datasets:
        unique, number = f"{name} ({number})", number + 1
    datasets[unique] = folder


def _inside(path: Path) -> str:
    """Return a folder below a path that can be shown, as an example; empty if there is none."""
    for child in sorted(path.iterdir()):
        if child.is_dir() and (_built(child) or is_study(child) or (child / MANIFEST).is_file()):
            return f", such as {child}"
    return ""


def _built(path: Path) -> bool:
    return any((path / role / MANIFEST).is_file() for role in _ROLES)


def _add_study(
    found: StudyRuns, arms: dict[str, RunAnswers], models: dict[str, str], notes: list[str]
) -> None:
    arms.update(found.answers)
    notes += found.notes
    for name, folder in found.runs.items():
        if (folder / "run.json").is_file():
            models.setdefault(name, str(folder))


def _holds_answers(folder: Path) -> bool:
    """Tell whether a folder looks like one whose answers can be read, or of which one can say why.

    A run that was not evaluated is one of the latter.
    """
    wanted = (_PREDICTIONS, "scores.parquet", "run.json", "evaluation")
    return any((one / name).exists() for one in (folder, *folder.glob("seed-*")) for name in wanted)


def _answered(arms: Mapping[str, RunAnswers]) -> Path:
    from imaxray.evaluation.comparing.run_answers import find_dataset

    return find_dataset(list(arms.values()))


def _candidates(folder: Path) -> pl.DataFrame:
    from imaxray.pseudo.table import PSEUDO, require_sound

    path = folder / _CANDIDATES
    table = read_parquet(path)
    require_sound(table, path)
    return conform(table.select(n for n in table.columns if n in PSEUDO), PSEUDO)


def _annotated(folder: Path) -> Path:
    """Return the dataset that was annotated, which stands near the pseudo annotations.

    Raises:
        ImaxrayError: If it is not there.
    """
    wanted = known_state(folder / "annotate.json").get("identity", {}).get("dataset")
    near = folder.resolve()
    for parent in (near, *near.parents[:4]):
        for manifest in sorted(parent.glob(f"*/{MANIFEST}")):
            content = known_state(manifest)
            if "files" in content and content_digest(content) == wanted:
                return manifest.parent
    raise ImaxrayError(
        f"Expected the dataset that {folder} annotates near it, but it is not there; name it with "
        "--data."
    )
