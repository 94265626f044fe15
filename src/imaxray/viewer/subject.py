"""Finds out which datasets, answers and pseudo annotations the paths of a command stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from imaxray._common.files import read_parquet
from imaxray._common.state import known_state
from imaxray.curation.dataset import MANIFEST, content_digest
from imaxray.errors import ImaxrayError
from imaxray.schema import conform

if TYPE_CHECKING:
    from imaxray.evaluation.comparing.run_answers import RunAnswers
    from imaxray.study import StudyConfig

_ROLES: Final = ("imax", "dmax", "catalog")  # the first that is there is shown first
_CANDIDATES: Final = "candidates.parquet"
_PREDICTIONS: Final = "predictions.parquet"


@dataclass(frozen=True)
class Subject:
    """What one viewer shows.

    Attributes:
        title: Title of the page.
        datasets: Name → dataset folder; the first is shown first.
        arms: Name of an arm → its answers to entries of the datasets.
        candidates: Pseudo annotations (schema PSEUDO), accepted or not; None if there are none.
        models: Name → model whose rendering of entries can be shown.
    """

    title: str
    datasets: Mapping[str, Path]
    arms: Mapping[str, RunAnswers] = field(default_factory=dict)
    candidates: pl.DataFrame | None = None
    models: Mapping[str, str] = field(default_factory=dict)


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
            from imaxray.study.execute import CONFIG

            if (path / CONFIG).is_file():
                from imaxray.evaluation.comparing.run_answers import read_run
                from imaxray.study import load_config
                from imaxray.study.places import answer_folder

                config = load_config(path / CONFIG)
                for name, folder in _of_study(config, path, split).items():
                    arms[name] = read_run(answer_folder(folder), None, split)
                    known.setdefault(name, str(folder))
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
        folder = _answered(arms) if arms else _annotated(pseudo[0])
        datasets[folder.name] = folder
    return Subject(
        title=", ".join(path.resolve().name for path in paths),
        datasets=datasets,
        arms=arms,
        candidates=pl.concat(candidates) if candidates else None,
        models=known,
    )


def _add(datasets: dict[str, Path], name: str, folder: Path) -> None:
    if any(folder.resolve() == other.resolve() for other in datasets.values()):
        return
    number, unique = 2, name
    while unique in datasets:
        unique, number = f"{name} ({number})", number + 1
    datasets[unique] = folder


def _built(path: Path) -> bool:
    return any((path / role / MANIFEST).is_file() for role in _ROLES)


def _of_study(config: StudyConfig, out: Path, split: str) -> dict[str, Path]:
    """Return the run folder of each arm, model and seed that was evaluated on the study's test."""
    if split != "test":
        return {}
    from imaxray.study.places import answer_folder, run_folder

    found = {}
    seeds, models = config.training_seeds, list(config.all_models)
    for model in models:
        for arm in config.arms:
            for seed in seeds:
                parts = [model] if len(models) > 1 else []
                parts += [arm, f"seed {seed}"] if len(seeds) > 1 else [arm]
                folder = run_folder(config, out, model, arm, seed)
                if (answer_folder(folder) / _PREDICTIONS).is_file():
                    found[", ".join(parts)] = folder
    return found


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
