"""Turns a folder of candidates into a dataset folder, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imaxray._common.files import sha256
from imaxray._common.folders import require_other_folder
from imaxray._common.lock import sole_writer
from imaxray._common.state import state_text
from imaxray.clinical import load_clinical_rules
from imaxray.curation import Dataset, open_dataset
from imaxray.curation.dataset import require_dataset_place
from imaxray.evaluation.comparing.resampling import finite
from imaxray.pseudo.dataset import write_pseudo
from imaxray.pseudo.selecting.calibrate import Thresholds
from imaxray.pseudo.selecting.calibrated_filter import chosen_rules, filter_annotations
from imaxray.pseudo.selecting.config import FilterConfig
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.filter import Filtered

REPORT: Final = "filter.json"
"""Name of the file in the dataset folder with thresholds, yields and the effects of the rules."""


@dataclass(frozen=True)
class FilteredFolder:
    """The result of :func:`filter_folder`.

    Attributes:
        dataset: The pseudo IMAX dataset.
        filtered: The kept candidates, the dropped candidates, and the reasons.
        thresholds: Confidence thresholds; ``None`` if confidence is not filtered.
        fusion: What fusion fitted and changed; ``None`` without it.
    """

    dataset: Dataset
    filtered: Filtered
    thresholds: Thresholds | None
    fusion: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the report that ``filter.json`` contains."""
        return _report(self.filtered, self.thresholds, self.fusion)


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
    """Calibrate and filter candidates, and write pseudo IMAX.

    Args:
        pseudo: Folder with ``candidates.parquet`` and ``calibration.parquet``.
        data: Dataset folder that was annotated.
        out: Dataset folder to write.
        config: The filters that are used, and how strict they are.
        clinical: YAML file with a ``clinical:`` block (docs/clinical-rules.md); by default the
            block in the manifest of ``data`` applies, and without one the built-in rules.
        truth: Dataset folder (a catalog) whose entries show which candidates are right.
        tolerances: Tolerances within which an answer is right.

    Raises:
        ImaxrayError: A file is missing or damaged, or calibrating, filtering or writing fails.
    """
    config = config or FilterConfig()
    require_other_folder(out, pseudo, data)
    with sole_writer(out, beside=True):
        require_dataset_place(out)
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
    dataset = open_dataset(data)
    chosen = chosen_rules(config, dataset, clinical=clinical)
    known = None if truth is None else open_dataset(truth)
    made = filter_annotations(
        pseudo, dataset, config, rules=chosen, truth=known, tolerances=tolerances,
        clinical=None if clinical is None else load_clinical_rules(clinical),
    )  # fmt: skip
    filtered, thresholds = made.filtered, made.thresholds
    decided = {
        "candidates": sha256(pseudo / "candidates.parquet"),
        "calibration": (
            sha256(pseudo / "calibration.parquet") if config.confidence or config.fuse else None
        ),
        # an option that is off must not change the identity of datasets of earlier versions
        **({"fuse": True} if config.fuse else {}),
        **({} if config.score == "confidence" else {"score": config.score}),
        "precision": config.precision if config.confidence else None,
        "risk": config.risk if config.confidence else None,
        "balance": config.balance,
        "tolerances": tolerances.model_dump(),
        "rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in chosen],
    }
    text = state_text(_report(filtered, thresholds, made.fusion))
    written = write_pseudo(
        dataset, filtered.kept, out, dropped=filtered.dropped, config=decided,
        beside={REPORT: text},
    )  # fmt: skip
    return FilteredFolder(written, filtered, thresholds, made.fusion)


def _report(
    filtered: Filtered, thresholds: Thresholds | None, fusion: Mapping[str, Any] | None
) -> dict[str, Any]:
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
        **({} if fusion is None else {"fusion": dict(fusion)}),
    }
    plain: dict[str, Any] = finite(report)
    return plain
