"""Finds the runs of a study, an ablation or a strategy whose answers can be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imaxray._common.state import known_state
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from imaxray.evaluation.comparing.run_answers import RunAnswers

ABLATION: Final = "ablation.json"
STRATEGY: Final = "strategy.json"

_STUDY: Final = "study.yaml"
_ANSWERS: Final = "predictions.parquet"
_MOST_RUNS: Final = 12  # arms with each of their seeds; a page with more cannot be read


@dataclass(frozen=True)
class StudyRuns:
    """The runs of a study that can be shown.

    Attributes:
        answers: Name of an arm → its answers.
        runs: Name of an arm → its run folder.
        notes: Sentences on what is not shown, for the user.
    """

    answers: dict[str, RunAnswers] = field(default_factory=dict)
    runs: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def is_study(path: Path) -> bool:
    """Tell whether a folder is one of a study, an ablation or a strategy."""
    return any((path / name).is_file() for name in (_STUDY, ABLATION, STRATEGY))


def runs_of_study(path: Path, split: str) -> StudyRuns:
    """Return the runs of a study folder that answered a split.

    An arm whose answers are damaged is left out, which a note says. If all seeds of all arms are
    too many to look at, the first seed of each arm is taken.

    Raises:
        ImaxrayError: If the file that describes the study is damaged.
    """
    from imaxray.evaluation.comparing.run_answers import read_run

    found = StudyRuns()
    listed = list(_listed(path, split))
    seeds = {seed for _, seed, _, _ in listed if seed is not None}
    if len(listed) > _MOST_RUNS and len(seeds) > 1:
        first = min(seeds)
        found.notes.append(
            f"{len(listed)} runs answered the split {split}; those of the seed {first} are shown. "
            "To look at others, name their run folders."
        )
        listed = [one for one in listed if one[1] in (first, None)]
        seeds = set()
    for arm, seed, run, file in listed:
        name = f"{arm}, seed {seed}" if len(seeds) > 1 else arm
        if not file.is_file():
            continue
        try:
            found.answers[name] = read_run(file.parent, None, split)
        except ImaxrayError as error:
            found.notes.append(f"The answers of {name} are left out. {error}")
        else:
            found.runs[name] = run
    if not found.answers:
        found.notes.append(f"No run of {path} has answered the split {split} yet.")
    return found


def _listed(path: Path, split: str) -> Iterator[tuple[str, int | None, Path, Path]]:
    """Yield arm, seed, run folder and file of answers of each run that a study has."""
    if (path / ABLATION).is_file():
        yield from _of_ablation(path, split)
    elif (path / STRATEGY).is_file():
        yield from _of_strategy(path, split)
    elif (path / _STUDY).is_file():
        yield from _of_study(path, split)


def _of_ablation(path: Path, split: str) -> Iterator[tuple[str, int | None, Path, Path]]:
    if split != "test":
        return
    arms = known_state(path / ABLATION).get("arms")
    if not isinstance(arms, Mapping):
        raise ImaxrayError(
            f"Expected the arms of an ablation in {path / ABLATION}, but it is damaged; run the "
            "ablation again, which repeats no finished work."
        )
    for arm, records in arms.items():
        for record in records if isinstance(records, list) else []:
            known = record if isinstance(record, Mapping) else {}
            place, seed = known.get("run"), known.get("seed")
            run = path / place if isinstance(place, str) else path
            if place and run.resolve().is_relative_to(path.resolve()):
                yield str(arm), seed if isinstance(seed, int) else None, run, run / _ANSWERS


def _of_strategy(path: Path, split: str) -> Iterator[tuple[str, int | None, Path, Path]]:
    for run in sorted(path.glob("stages/*/run.json")):
        # the strategy answers into `test`, `imaxray evaluate` into `NAME-test`; the latest counts
        found = sorted(
            (
                file
                for file in run.parent.glob(f"evaluation/*/{_ANSWERS}")
                if file.parent.name == split or file.parent.name.endswith(f"-{split}")
            ),
            key=lambda file: file.stat().st_mtime,
        )
        if found:
            yield run.parent.name, None, run.parent, found[-1]


def _of_study(path: Path, split: str) -> Iterator[tuple[str, int | None, Path, Path]]:
    if split != "test":
        return
    from imaxray.study import load_config
    from imaxray.study.places import answer_folder, run_folder

    config = load_config(path / _STUDY)
    models = list(config.all_models)
    for model in models:
        for arm in config.arms:
            for seed in config.training_seeds:
                folder = run_folder(config, path, model, arm, seed)
                name = f"{model}, {arm}" if len(models) > 1 else arm
                yield name, seed, folder, answer_folder(folder) / _ANSWERS
