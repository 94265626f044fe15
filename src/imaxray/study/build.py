"""The data half of a study: releases to catalog, IMAX and DMAX."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from imaxray._digests import changed_files
from imaxray._folders import growing_folder
from imaxray._memory import collector_paused
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import (
    CurationConfig,
    DmaxConfig,
    ImaxConfig,
    MatchReport,
    SelectionReport,
    Tables,
    build_catalog,
    density,
    match_dmax,
    select_imax,
    write_dataset,
)
from imaxray.curation.conflicts import count_conflicts
from imaxray.curation.dataset import MANIFEST, content_digest
from imaxray.curation.verify import Verify
from imaxray.schema import SPLITS

ROLES: Final = ("catalog", "imax", "dmax")
"""The datasets of a study, each in a folder of that name."""


class DataConfig(BaseModel):
    """What decides a study's datasets; the manifest of each carries it whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(0, description="Random seed of splits, selection and matching.")
    verify: bool | Verify = Field(
        True,
        description="How images are checked: decoded (decode or true), looked for (exists or "
        "false), or not at all (none).",
    )
    curation: CurationConfig = Field(CurationConfig(), description="How the catalog is made.")
    imax: ImaxConfig = Field(ImaxConfig(), description="How IMAX is selected.")
    dmax: DmaxConfig = Field(DmaxConfig(), description="How DMAX is matched.")
    clinical: ClinicalRules = Field(
        DEFAULT_RULES, description="What differs from the built-in clinical rules."
    )

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an empty ``clinical`` block, so that manifests stay what they were."""
        content: dict[str, Any] = dump(self)
        if not self.clinical.root:
            content.pop("clinical", None)
        return content


@dataclass(frozen=True)
class DataReport:
    """What a build did; ``match.json`` of a study.

    Attributes:
        selection: what IMAX had to choose from and took.
        match: what DMAX achieved.
        density: per dataset and split.
        conflicts: per rule, pairs compared and contradictions found.
        seconds: how long each step took.
    """

    selection: SelectionReport
    match: MatchReport
    density: Mapping[str, Any]
    conflicts: Mapping[str, Any]
    seconds: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            **self.match.as_dict(),
            "selection": self.selection.as_dict(),
            "density": dict(self.density),
            "conflicts": dict(self.conflicts),
            "build_seconds": dict(self.seconds),
        }


def build_datasets(
    releases: Mapping[str, Path], config: DataConfig, out: Path, *, workers: int = 1
) -> DataReport:
    """Write ``catalog/``, ``imax/`` and ``dmax/`` under ``out``.

    Args:
        releases: source name → folder of the release.
        config: what decides the bytes, with the releases' content.
        out: folder of the three.
        workers: processes; the bytes do not depend on it.

    Raises:
        ImaxrayError: as the stages do.
    """
    with collector_paused(), growing_folder(out):
        return _build(releases, config, out, workers)


def _build(releases: Mapping[str, Path], config: DataConfig, out: Path, workers: int) -> DataReport:
    catalog = build_catalog(
        releases,
        config.curation,
        seed=config.seed,
        verify=config.verify,
        workers=workers,
        clinical=config.clinical,
    )
    seconds = dict(catalog.seconds)

    def write(tables: Tables, role: str) -> None:
        content = config.model_dump(mode="json")
        write_dataset(tables, out / role, config=content, seed=config.seed, role=role)

    # the catalog is written while the arms are selected from it
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(write, catalog, "catalog")
        clock = time.perf_counter()
        imax, selection = select_imax(catalog, config.imax)
        seconds["select IMAX"] = time.perf_counter() - clock
        clock = time.perf_counter()
        dmax, match = match_dmax(catalog, imax, config.dmax, seed=config.seed)
        seconds["match DMAX"] = time.perf_counter() - clock
        clock = time.perf_counter()
        written.result()
    write(imax, "imax")
    write(dmax, "dmax")
    seconds["write"] = time.perf_counter() - clock
    return DataReport(
        selection,
        match,
        {
            role: {split: asdict(density(tables, split)) for split in SPLITS}
            for role, tables in zip(ROLES, (catalog, imax, dmax), strict=True)
        },
        count_conflicts(catalog.conflicts, catalog.compared),
        seconds,
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
            manifest = json.loads((out / role / MANIFEST).read_text(encoding="utf-8"))
            same = manifest["config"] == wanted
            if not same or changed_files(out / role, manifest["files"]):
                return None
            found[role] = content_digest(manifest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
    return found
