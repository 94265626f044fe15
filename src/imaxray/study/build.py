"""Builds the datasets of a study (catalog, IMAX and DMAX) from the releases."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from imaxray._common.digests import changed_files
from imaxray._common.folders import growing_folder
from imaxray._common.memory import collector_paused
from imaxray._common.state import known_state
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import (
    CurationConfig,
    DmaxConfig,
    Exclusions,
    ImaxConfig,
    MatchReport,
    SelectionReport,
    build_catalog,
    density,
    read_exclusions,
    write_dataset,
)
from imaxray.curation.dataset import MANIFEST, content_digest
from imaxray.curation.exclusions import marks_after_deriving
from imaxray.curation.joining.verify import Verify
from imaxray.curation.selecting.densities import density_of
from imaxray.curation.selecting.dmax import choose_dmax
from imaxray.curation.selecting.imax import choose_imax, subset
from imaxray.curation.tables import count_conflicts, of_split
from imaxray.derive import DeriveConfig, derive_tables, with_derived
from imaxray.derive.entries.render import FILE as DERIVATIONS_FILE
from imaxray.derive.rules.chosen import chosen_rules
from imaxray.schema import SPLITS

ROLES: Final = ("catalog", "imax", "dmax")
"""The datasets of a study, each in a folder of that name."""


class DataConfig(BaseModel):
    """Options that the datasets of a study depend on; each dataset's manifest holds all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = Field(default=0, ge=0, description="Random seed of splits, selection and matching.")
    verify: bool | Verify = Field(
        default=True,
        description="How images are checked: decoded (decode or true), looked for (exists or "
        "false), or not at all (none).",
    )
    curation: CurationConfig = Field(
        default=CurationConfig(), description="How the catalog is made."
    )
    imax: ImaxConfig = Field(default=ImaxConfig(), description="How IMAX is selected.")
    dmax: DmaxConfig = Field(default=DmaxConfig(), description="How DMAX is matched.")
    derive: DeriveConfig | None = Field(
        default=None,
        description="How the catalog is derived from before the selection; none: not at all.",
    )
    clinical: ClinicalRules = Field(
        default=DEFAULT_RULES, description="What differs from the built-in clinical rules."
    )

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out empty blocks, so that manifests without them still match."""
        content: dict[str, Any] = dump(self)
        if self.derive is None:
            content.pop("derive", None)
        if not self.clinical.root:
            content.pop("clinical", None)
        return content

    @field_validator("derive", mode="after")
    @classmethod
    def _without_file(cls, derive: DeriveConfig | None) -> DeriveConfig | None:
        # a manifest holds all that decided a dataset, and a path does not tell what a file held
        if derive is not None and (derive.rules is not None or derive.masks is not None):
            raise ValueError("rules and masks are for `imaxray derive`; leave them out")
        return derive


@dataclass(frozen=True)
class DataReport:
    """Report of a build; a study writes it to ``match.json``.

    Attributes:
        selection: Report of the selection of IMAX: what was available and what was selected.
        match: Report of the matching: how close DMAX is to IMAX.
        density: Annotation density of each dataset and split.
        conflicts: Number of compared pairs and of contradictions per clinical rule.
        seconds: Wall-clock seconds of each step.
        derived: Density of the catalog's train split before and after derivation, and the entries
            and rules of the derivation; ``None`` without it.
        marks: What a user's marks left out, by source, and marks that name nothing; ``None``
            without marks.
    """

    selection: SelectionReport
    match: MatchReport
    density: Mapping[str, Any]
    conflicts: Mapping[str, Any]
    seconds: Mapping[str, float]
    derived: Mapping[str, Any] | None = None
    marks: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that can be written as JSON."""
        return {
            **self.match.as_dict(),
            "selection": self.selection.as_dict(),
            "density": dict(self.density),
            "conflicts": dict(self.conflicts),
            "build_seconds": dict(self.seconds),
            **({} if self.derived is None else {"derived": dict(self.derived)}),
            **({} if self.marks is None else {"marks": dict(self.marks)}),
        }


def build_datasets(
    releases: Mapping[str, Path],
    config: DataConfig,
    out: Path,
    *,
    workers: int = 1,
    exclude: Exclusions | str | Path | None = None,
) -> DataReport:
    """Write the datasets ``catalog/``, ``imax/`` and ``dmax/`` into the folder ``out``.

    Args:
        releases: Source name → folder of the release.
        config: Options of the datasets. The options and the content of the releases determine
            every written byte.
        out: Folder of the three datasets.
        workers: Number of processes; the written bytes do not depend on it.
        exclude: File of marks that the viewer wrote, or what marks leave out: images and
            annotations that a user marked as wrong are in none of the datasets.

    Raises:
        ImaxrayError: If the file of marks is damaged, or if building the catalog, selecting IMAX,
            matching DMAX or writing raises.
    """
    excluded = read_exclusions(exclude) if isinstance(exclude, str | Path) else exclude
    if config.derive is not None:
        chosen_rules(config.derive)  # a wrong name is found before hours of reading
    with collector_paused(), growing_folder(out):
        return _build(releases, config, out, workers, excluded)


def _build(
    releases: Mapping[str, Path],
    config: DataConfig,
    out: Path,
    workers: int,
    excluded: Exclusions | None,
) -> DataReport:
    catalog = build_catalog(
        releases,
        config.curation,
        seed=config.seed,
        verify=config.verify,
        workers=workers,
        clinical=config.clinical,
        exclude=excluded,
    )
    seconds = dict(catalog.seconds)
    derivations, derived = None, None
    if config.derive is not None:
        clock = time.perf_counter()
        before = asdict(density(catalog))
        made = derive_tables(
            catalog, config.derive, clinical=config.clinical, workers=workers, excluded=excluded
        )
        catalog = with_derived(catalog, made)
        marks = marks_after_deriving(excluded, catalog.rejects)
        catalog = replace(catalog, decisions={**catalog.decisions, **marks})
        derivations = made.rendered.derivations
        after = asdict(density(catalog))
        derived = {"before": before, "after": after, "rules": made.rules.to_dicts()}
        seconds["derive"] = time.perf_counter() - clock

    def write(role: str, entries: pl.DataFrame) -> None:
        tables = catalog if role == "catalog" else subset(catalog, entries)
        content = config.model_dump(mode="json")
        beside = {}
        if derivations is not None:
            own = tables.entries.select("entry_id")
            beside[DERIVATIONS_FILE] = derivations.join(own, on="entry_id", how="semi")
        write_dataset(
            tables, out / role, config=content, seed=config.seed, role=role, tables_beside=beside
        )

    # The catalog is written in a thread while the arms are selected from it, to save time. The
    # arms' images and annotations are copied one arm after the other and only for its files,
    # because the tables of all three datasets would need three times the memory.
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(write, "catalog", catalog.entries)
        clock = time.perf_counter()
        imax, selection = choose_imax(catalog.entries, config.imax)
        seconds["select IMAX"] = time.perf_counter() - clock
        clock = time.perf_counter()
        dmax, match = choose_dmax(catalog.entries, imax, config.dmax, seed=config.seed)
        seconds["match DMAX"] = time.perf_counter() - clock
        clock = time.perf_counter()
        written.result()
    write("imax", imax)
    write("dmax", dmax)
    seconds["write"] = time.perf_counter() - clock
    return DataReport(
        selection,
        match,
        {
            role: {split: asdict(density_of(of_split(entries, split))) for split in SPLITS}
            for role, entries in zip(ROLES, (catalog.entries, imax, dmax), strict=True)
        },
        count_conflicts(catalog.conflicts, catalog.compared),
        seconds,
        derived,
        catalog.decisions.get("marks"),
    )


def built(config: DataConfig, out: Path) -> dict[str, str] | None:
    """Return the sha256 of the three datasets of ``config`` in ``out``, by their roles.

    Each file is compared with its digest in the manifest. None if a dataset is missing, damaged or
    of another configuration.
    """
    wanted = config.model_dump(mode="json")
    found = {}
    for role in ROLES:
        try:
            manifest = known_state(out / role / MANIFEST)
            same = manifest["config"] == wanted
            if not same or changed_files(out / role, manifest["files"]):
                return None
            found[role] = content_digest(manifest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
    return found
