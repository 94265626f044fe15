"""Calibrates and filters the pseudo annotations of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import polars as pl

from imaxray._common.digests import changed_files
from imaxray._common.files import read_parquet
from imaxray._common.state import read_state
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.advantage import scored_by_advantage
from imaxray.pseudo.selecting.calibrate import Thresholds, calibrate
from imaxray.pseudo.selecting.config import FilterConfig
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.filter import Filtered, filter_candidates
from imaxray.pseudo.selecting.fusing import fuse
from imaxray.pseudo.selecting.oracle import right_candidates
from imaxray.pseudo.selecting.rules import ConsistencyRule, load_rules
from imaxray.pseudo.table import PSEUDO, require_sound
from imaxray.schema import conform


@dataclass(frozen=True)
class FilteredAnnotations:
    """The filtered pseudo annotations of a folder.

    Attributes:
        candidates: Number of candidates in the folder.
        filtered: The kept candidates, the dropped candidates, and the reasons.
        thresholds: Confidence thresholds; ``None`` if confidence is not filtered.
        fusion: What fusion fitted and changed, in a form that JSON can hold; ``None`` without it.
    """

    candidates: int
    filtered: Filtered
    thresholds: Thresholds | None
    fusion: Mapping[str, Any] | None = None


def chosen_rules(
    config: FilterConfig, dataset: Dataset, *, clinical: Path | None = None
) -> tuple[ConsistencyRule, ...]:
    """Return the consistency rules that a filter applies to the candidates about a dataset.

    The clinical rules to which they refer are those of ``clinical``, else those of a
    ``clinical:`` block in the file ``config.rules``, else those with which the dataset was built.

    Args:
        config: The filters that are used; without consistency there are no rules.
        dataset: Dataset that was annotated.
        clinical: YAML file with a ``clinical:`` block (docs/clinical-rules.md).

    Raises:
        ImaxrayError: A file cannot be read, a rule is invalid, or both files have a ``clinical:``
            block.
    """
    if not config.consistency:
        return ()
    default = dataset.clinical if clinical is None else DEFAULT_RULES
    return load_rules(config.rules, clinical=clinical, default=default)


def filter_annotations(
    pseudo: Path,
    dataset: Dataset,
    config: FilterConfig,
    *,
    rules: Sequence[ConsistencyRule] = (),
    clinical: ClinicalRules | None = None,
    truth: Dataset | None = None,
    tolerances: Tolerances = DEFAULT,
) -> FilteredAnnotations:
    """Calibrate on the answers to the val split, then filter the candidates.

    Args:
        pseudo: Folder with ``candidates.parquet`` and, for confidence and fusion,
            ``calibration.parquet``.
        dataset: Dataset that was annotated.
        config: The filters that are used; the argument ``rules`` replaces its field ``rules``.
        rules: Consistency rules; without rules nothing is compared.
        clinical: Clinical rules that connect facts in fusion; by default those of the dataset.
        truth: Dataset (a catalog) whose entries show which candidates are right.
        tolerances: Tolerances within which an answer is right.

    Raises:
        ImaxrayError: A file is missing or damaged, another dataset was annotated, the perfect
            filter is requested without ``truth``, or calibrating or filtering fails.
    """
    _require_same(pseudo, dataset, calibrated=config.confidence or config.fuse)
    candidates = _read(pseudo / "candidates.parquet")
    known = None if truth is None else truth.tables.entries
    asked = candidates.height
    if config.perfect:
        if known is None:
            raise ImaxrayError(
                "Expected the truth for the perfect filter, but none is given; pass a dataset "
                "folder that contains it."
            )
        candidates = right_candidates(candidates, known, tolerances)
    answers = (
        _read(pseudo / "calibration.parquet")
        if config.confidence or config.fuse
        else pl.DataFrame(schema=PSEUDO)
    )

    if config.score == "visual-advantage":
        candidates = scored_by_advantage(candidates)
        answers = scored_by_advantage(answers)

    def filtered_as(
        asked: pl.DataFrame, calibration: pl.DataFrame, plain: pl.DataFrame | None
    ) -> tuple[Filtered, Thresholds | None]:
        thresholds = None
        if config.confidence:
            thresholds = calibrate(
                calibration, dataset.tables.entries, config.precision, risk=config.risk,
                tolerances=tolerances,
            )  # fmt: skip
        found = filter_candidates(
            asked, dataset, thresholds=thresholds, rules=rules, balance=config.balance,
            truth=known, tolerances=tolerances, plain=plain,
        )  # fmt: skip
        return found, thresholds

    filtered, thresholds = filtered_as(candidates, answers, None)
    if not config.fuse or config.perfect:
        return FilteredAnnotations(asked, filtered, thresholds)
    fused = fuse(
        candidates, answers, dataset.tables, precision=config.precision,
        clinical=dataset.clinical if clinical is None else clinical, tolerances=tolerances,
    )  # fmt: skip
    made, thresholds = filtered_as(fused.candidates, fused.calibration, candidates)
    both = replace(
        made,
        yields=pl.concat([filtered.yields, _as_fused(made.yields)]),
        equal_yield=pl.concat([filtered.equal_yield, _as_fused(made.equal_yield)]),
        origins=pl.concat([filtered.origins, _as_fused(made.origins)]),
    )
    return FilteredAnnotations(asked, both, thresholds, fused.report)


def _as_fused(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of yields whose filters are named as those of fused answers."""
    name = pl.when(pl.col("filter") == "confidence").then(pl.lit("fused")).otherwise(
        pl.concat_str(pl.lit("fused, "), "filter")
    )  # fmt: skip
    return table.with_columns(name.alias("filter"))


class _Annotated(TypedDict):
    """The part of annotate.json that is read here."""

    identity: NotRequired[dict[str, Any]]
    files: NotRequired[dict[str, str]]


def _require_same(pseudo: Path, dataset: Dataset, *, calibrated: bool) -> None:
    """Check that this dataset was annotated and the tables are unchanged, as far as is stated.

    Raises:
        ImaxrayError: If the manifest is damaged, names another dataset, or describes a table that
            is missing or was changed.
    """
    manifest = pseudo / "annotate.json"
    if not manifest.exists():
        return
    stated = read_state(manifest, _Annotated, advice="run imaxray annotate again in another folder")
    known = stated.get("identity", {}).get("dataset")
    files = stated.get("files", {})
    if known is not None and known != dataset.sha256:
        raise ImaxrayError(
            f"Expected the dataset that {pseudo} annotates, but {dataset.folder} is another one; "
            "pass the dataset that was given to annotate."
        )
    read = ("candidates.parquet", *(("calibration.parquet",) if calibrated else ()))
    if changed := changed_files(pseudo, {n: d for n, d in files.items() if n in read}):
        raise ImaxrayError(
            f"Expected the pseudo annotations {pseudo} as {manifest.name} describes them, but "
            f"{changed[0]} is missing or was changed; run imaxray annotate again in another folder."
        )


def _read(path: Path) -> pl.DataFrame:
    try:
        table = read_parquet(path)
        require_sound(table, path)
        return conform(table, PSEUDO)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ImaxrayError(
            f"Expected pseudo annotations at {path}, but the file is missing or damaged; "
            "write it with imaxray annotate."
        ) from error
