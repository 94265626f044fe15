"""The pseudo annotations of a folder are calibrated and filtered, as every caller needs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from imaxray._files import read_parquet
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.calibrate import Thresholds, calibrate
from imaxray.pseudo.selecting.config import FilterConfig
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.filter import Filtered, filter_candidates
from imaxray.pseudo.selecting.oracle import right_candidates
from imaxray.pseudo.selecting.rules import ConsistencyRule
from imaxray.pseudo.table import PSEUDO, require_sound
from imaxray.schema import conform


@dataclass(frozen=True)
class FilteredAnnotations:
    """The pseudo annotations of a folder, filtered.

    Attributes:
        candidates: number of candidates in the folder.
        filtered: what was kept, dropped and why.
        thresholds: ``None`` without confidence.
    """

    candidates: int
    filtered: Filtered
    thresholds: Thresholds | None


def filter_annotations(
    pseudo: Path,
    dataset: Dataset,
    config: FilterConfig,
    *,
    rules: Sequence[ConsistencyRule] = (),
    truth: Dataset | None = None,
    tolerances: Tolerances = DEFAULT,
) -> FilteredAnnotations:
    """Calibrate on the answers to the val split, then filter the candidates.

    Args:
        pseudo: folder with ``candidates.parquet`` and, for confidence, ``calibration.parquet``.
        dataset: the dataset that was annotated.
        config: which filters decide; its ``rules`` are not read, ``rules`` are.
        rules: of consistency; none: nothing is compared.
        truth: a dataset (a catalog) whose entries tell which candidates are right.
        tolerances: when an answer is right.

    Raises:
        ImaxrayError: a file is missing or damaged; another dataset was annotated; the perfect
            filter is asked for without ``truth``; and as calibration and filter do.
    """
    candidates = _read(pseudo / "candidates.parquet")
    _require_same(pseudo / "annotate.json", dataset)
    thresholds = None
    if config.confidence:
        answers = _read(pseudo / "calibration.parquet")
        thresholds = calibrate(
            answers,
            dataset.tables.entries,
            config.precision,
            risk=config.risk,
            tolerances=tolerances,
        )
    known = None if truth is None else truth.tables.entries
    asked = candidates.height
    if config.perfect:
        if known is None:
            raise ImaxrayError(
                "Expected the truth with the perfect filter, but none is given; name a dataset "
                "folder that knows it."
            )
        candidates = right_candidates(candidates, known, tolerances)
    filtered = filter_candidates(
        candidates, dataset, thresholds=thresholds, rules=rules, balance=config.balance,
        truth=known, tolerances=tolerances,
    )  # fmt: skip
    return FilteredAnnotations(asked, filtered, thresholds)


def _require_same(manifest: Path, dataset: Dataset) -> None:
    """Check that it is this dataset that was annotated, where the folder says which."""
    if not manifest.exists():
        return
    known = json.loads(manifest.read_text()).get("identity", {}).get("dataset")
    if known is not None and known != dataset.sha256:
        raise ImaxrayError(
            f"Expected the dataset that {manifest.parent} annotates, but {dataset.folder} is "
            "another one; name the one that annotate was given."
        )


def _read(path: Path) -> pl.DataFrame:
    try:
        table = read_parquet(path)
        require_sound(table, path)
        return conform(table, PSEUDO)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ImaxrayError(
            f"Expected pseudo annotations at {path}, but there are none or the file is damaged; "
            "write them with imaxray annotate."
        ) from error
