"""Compares the answers of runs that are there already, as ``imaxray compare`` does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray._defaults import RESAMPLES
from imaxray._state import read_state
from imaxray.boxes import BoxConvention, area, box_of, find_convention
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.baseline import constant_baseline
from imaxray.evaluation.comparing import compare, compare_groups
from imaxray.evaluation.comparison import Comparison
from imaxray.evaluation.groups import subgroups
from imaxray.evaluation.predictions import find_predictions, read_predictions
from imaxray.evaluation.scoring import Scores, score
from imaxray.metrics import NORMALISATION, Normalisation
from imaxray.schema import image_sizes

By = Literal["view", "sex", "age", "source", "tasks", "box-size"]

_PROPERTIES: Final = {"tasks": "tasks of the image"}
_BOX_EDGES: Final = (0.02, 0.1)  # shares of the image's area
_SEED: Final = re.compile(r"seed-\d+")


class CompareConfig(BaseModel):
    """Options that say how answers are compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    split: str = Field(default="test", description="Split whose entries were answered.")
    boxes: str | None = Field(
        default=None,
        description="Convention in which the models write boxes; default: that of each run, or "
        "percent for files of answers.",
    )
    by: tuple[By, ...] = Field(
        default=(),
        description="Property whose values are compared one by one: view, sex, age, source, tasks "
        "(of the image) or box-size (of REC and REG); can be repeated.",
    )
    normalisation: Normalisation = Field(
        default=NORMALISATION,
        description="How texts are made comparable: radiology (docs/normalisation.md), or squad "
        "for comparisons with published token F1.",
    )
    seed: int = Field(default=0, ge=0, description="Random seed of the bootstrap over patients.")
    resamples: int = Field(default=RESAMPLES, ge=100, description="Number of bootstrap samples.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the intervals.")


@dataclass(frozen=True)
class AnswersCompared:
    """Two arms compared on one dataset.

    Attributes:
        comparison: Comparison over all entries.
        groups: Property → value → comparison within it.
    """

    comparison: Comparison
    groups: dict[str, dict[str, Comparison]]


def compare_answers(
    runs: Sequence[Path],
    against: Sequence[Path],
    data: Path | Dataset,
    config: CompareConfig | None = None,
) -> AnswersCompared:
    """Compare the answers of one arm with those of another, each with one or several seeds.

    Args:
        runs: Run folders that were evaluated on the dataset, folders with ``predictions.parquet``,
            or files of answers; one per seed.
        against: The same of the reference.
        data: Dataset whose entries were answered, or its folder.
        config: Options.

    Raises:
        ImaxrayError: If answers are missing, or the two arms did not answer the same entries.
    """
    config = config or CompareConfig()
    data = data if isinstance(data, Dataset) else open_dataset(data)
    one, other = _arm(runs), _arm(against)
    if one == other:
        one, other = f"{one} (runs)", f"{other} (against)"
    arms = {
        other: [_scored(path, data, config) for path in against],
        one: [_scored(path, data, config) for path in runs],
    }
    tables = data.tables
    entries = tables.split(config.split)
    constant = (
        constant_baseline(tables.split("train"), entries, tables.images, config.normalisation)
        if tables.split("train").height
        else None
    )
    options: dict[str, Any] = {
        "seed": config.seed, "resamples": config.resamples, "level": config.level,
    }  # fmt: skip
    whole = compare(arms, reference=other, constant=constant, **options)
    if not config.by:
        return AnswersCompared(whole, {})
    found = subgroups(entries, tables.images) | {"box-size": _box_sizes(entries, tables.images)}
    wanted = {str(name): found[_PROPERTIES.get(name, name)] for name in config.by}
    return AnswersCompared(whole, compare_groups(arms, wanted, reference=other, **options))


def _arm(paths: Sequence[Path]) -> str:
    """Return the name of an arm: that of its folder, above the folders of seeds."""
    if not paths:
        raise ImaxrayError(
            "Expected at least one run and one --against, but one of them is missing; name both."
        )
    first = paths[0].resolve()
    name = first.parent.name if _SEED.fullmatch(first.name) else first.name
    return name if first.is_dir() else first.stem


class _Identity(TypedDict):
    identity: dict[str, Any]


def _scored(path: Path, data: Dataset, config: CompareConfig) -> Scores:
    file = find_predictions(path, data.folder, config.split)
    answers = read_predictions(file)
    tables = data.tables
    return score(
        tables.split(config.split), answers.table, tables.images, _convention(file, config),
        normalisation=config.normalisation,
    )  # fmt: skip


def _convention(file: Path, config: CompareConfig) -> BoxConvention:
    if config.boxes is not None:
        return find_convention(config.boxes)
    about = (file if file.is_dir() else file.parent) / "predictions.json"
    if about.is_file():
        known: _Identity = read_state(about, _Identity, advice="evaluate the model again")
        if "boxes" in known["identity"]:
            return BoxConvention.from_dict(known["identity"]["boxes"])
    return find_convention("percent")


def _box_sizes(entries: pl.DataFrame, images: pl.DataFrame) -> dict[str, list[str]]:
    """Return the ids of entries with boxes by the share of the image that their boxes cover."""
    small, large = _BOX_EDGES
    names = (f"<{small:.0%}", f"{small:.0%}-{large:.0%}", f">={large:.0%}")
    found: dict[str, list[str]] = {name: [] for name in names}
    sizes = image_sizes(images)
    for entry, image, boxes in entries.select("entry_id", "image_id", "boxes").iter_rows():
        if boxes:
            width, height = sizes[image]
            share = sum(area(box_of(box)) for box in boxes) / (len(boxes) * width * height)
            found[names[(share >= small) + (share >= large)]].append(entry)
    return {name: ids for name, ids in found.items() if ids}
