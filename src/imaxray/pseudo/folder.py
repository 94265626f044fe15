"""From a folder of candidates to a dataset folder, in one call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imaxray._files import sha256
from imaxray._lock import sole_writer
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.resampling import finite
from imaxray.pseudo.dataset import write_pseudo
from imaxray.pseudo.selecting.calibrate import Thresholds
from imaxray.pseudo.selecting.calibrated_filter import filter_annotations
from imaxray.pseudo.selecting.config import FilterConfig
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.filter import Filtered
from imaxray.pseudo.selecting.rules import load_rules

REPORT: Final = "filter.json"
"""In the dataset folder: thresholds, yields, and what the rules did."""


@dataclass(frozen=True)
class FilteredFolder:
    """What :func:`filter_folder` made.

    Attributes:
        dataset: the pseudo IMAX.
        filtered: what was kept, dropped and why.
        thresholds: ``None`` without confidence.
    """

    dataset: Dataset
    filtered: Filtered
    thresholds: Thresholds | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, as in ``filter.json``."""
        return _report(self.filtered, self.thresholds)


def filter_folder(
    pseudo: Path,
    data: Path,
    out: Path,
    config: FilterConfig | None = None,
    *,
    clinical: Path | None = None,
    truth: Path | None = None,
    tolerances: Tolerances = DEFAULT,
) -> FilteredFolder:
    """Calibrate, filter and write pseudo IMAX.

    Args:
        pseudo: folder with ``candidates.parquet`` and ``calibration.parquet``.
        data: the dataset folder that was annotated.
        out: dataset folder to write.
        config: which filters decide, and how strictly.
        clinical: a YAML file with a ``clinical:`` block (docs/clinical-rules.md).
        truth: a dataset folder (a catalog) whose entries tell which candidates are right.
        tolerances: when an answer is.

    Raises:
        ImaxrayError: a file is missing or damaged; and as calibration, filter and writing do.
    """
    config = config or FilterConfig()
    with sole_writer(out, beside=True):
        return _filter(pseudo, data, out, config, clinical, truth, tolerances)


def _filter(
    pseudo: Path,
    data: Path,
    out: Path,
    config: FilterConfig,
    clinical: Path | None,
    truth: Path | None,
    tolerances: Tolerances,
) -> FilteredFolder:
    if config.rules is not None and not config.consistency:
        raise ImaxrayError(
            "Expected rules or no consistency, but both are asked for; leave one out."
        )
    chosen = load_rules(config.rules, clinical=clinical) if config.consistency else ()
    dataset = open_dataset(data)
    known = None if truth is None else open_dataset(truth)
    made = filter_annotations(
        pseudo, dataset, config, rules=chosen, truth=known, tolerances=tolerances
    )
    filtered, thresholds = made.filtered, made.thresholds
    decided = {
        "candidates": sha256(pseudo / "candidates.parquet"),
        "calibration": sha256(pseudo / "calibration.parquet") if config.confidence else None,
        "precision": config.precision if config.confidence else None,
        "risk": config.risk if config.confidence else None,
        "balance": config.balance,
        "tolerances": tolerances.model_dump(),
        "rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in chosen],
    }
    text = json.dumps(_report(filtered, thresholds), indent=1) + "\n"
    written = write_pseudo(
        dataset, filtered.kept, out, dropped=filtered.dropped, config=decided,
        beside={REPORT: text},
    )  # fmt: skip
    return FilteredFolder(written, filtered, thresholds)


def _report(filtered: Filtered, thresholds: Thresholds | None) -> dict[str, Any]:
    codes = filtered.dropped.group_by("code").len().sort("code").iter_rows()
    report = {
        "thresholds": None if thresholds is None else thresholds.as_dict(),
        "kept": filtered.kept.height,
        "dropped": dict(codes),
        "masked": filtered.masked,
        "yields": filtered.yields.to_dicts(),
        "rules": filtered.rules.to_dicts(),
        "origins": filtered.origins.to_dicts(),
        "equal_yield": filtered.equal_yield.to_dicts(),
    }
    plain: dict[str, Any] = finite(report)
    return plain
