"""Runs the checks on a dataset and makes the report."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imaxray._common.defaults import AUDIT_EXAMPLES, AUDIT_WORKERS
from imaxray._common.printing import counted
from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.audit.checks import CHECKS
from imaxray.audit.reading import data_files, is_croissant, read_croissant, read_files, read_folder
from imaxray.clinical import DEFAULT_RULES, ClinicalRules, load_clinical_rules
from imaxray.curation.dataset import MANIFEST
from imaxray.errors import ImaxrayError


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        title: Name of the folder or of the files.
        images: Number of images that were checked.
        entries: Number of entries (answers) that were checked.
        issues: All faults, in the order of the checks, then by split, id and message.
        limits: Code of a check → why it could not check everything.
        warnings: Codes of the checks whose findings are only warnings, see ``clean``.
        of_manifest: Clinical rules that the checks took from the dataset's manifest; the built-in
            rules if the manifest changes none, or if other rules were given.
    """

    title: str
    images: int
    entries: int
    issues: tuple[AuditIssue, ...]
    limits: Mapping[str, str]
    warnings: frozenset[str] = frozenset()
    of_manifest: ClinicalRules = DEFAULT_RULES

    @property
    def clean(self) -> bool:
        """Whether only warnings or nothing was found; see also ``limits``."""
        return all(issue.code in self.warnings for issue in self.issues)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of findings of each check, including zeros."""
        counts = dict.fromkeys((check.code for check in CHECKS), 0)
        for issue in self.issues:
            counts[issue.code] += 1
        return counts

    def as_dict(self) -> dict[str, Any]:
        """Return the report with all findings in a form that JSON can hold."""
        counts = self.counts
        block = self.of_manifest.model_dump(mode="json", exclude_defaults=True)
        return {
            "data": self.title,
            "images": self.images,
            "entries": self.entries,
            "checks": [
                {"code": check.code, "description": check.description,
                 "findings": counts[check.code], "limit": self.limits.get(check.code),
                 **({"severity": "warning"} if check.code in self.warnings else {})}
                for check in CHECKS
            ],
            "findings": [asdict(issue) for issue in self.issues],
            **({"clinical_of_manifest": block} if block else {}),
        }  # fmt: skip

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.as_dict(), indent=1)

    def to_text(self, examples: int = AUDIT_EXAMPLES) -> str:
        """Return the report as text: each check with findings, and at most ``examples`` of them."""
        lines = [
            f"{self.title}: {counted(self.images, 'image')}, "
            f"{counted(self.entries, 'entry', 'entries')}"
        ]
        for check in CHECKS:
            found = [issue for issue in self.issues if issue.code == check.code]
            if not found:
                continue
            mark = "; a warning" if check.code in self.warnings else ""
            lines.append(f"{check.code}: {len(found):,} ({check.description}{mark})")
            lines += [f"  [{f.split}] {f.id}: {f.message}" for f in found[:examples]]
            if len(found) > examples:
                lines.append(f"  … and {len(found) - examples:,} more")
        lines += [
            f"{code} did not check everything: {reason}" for code, reason in self.limits.items()
        ]
        if self.of_manifest.root:
            lines.append(
                "the clinical rules are those of the dataset's manifest, which changes "
                f"{', '.join(self.of_manifest.root)}"
            )
        faulty = sum(count > 0 for count in self.counts.values())
        lines.append(
            f"{counted(len(self.issues), 'finding')} from {faulty} of {len(CHECKS)} checks"
            if self.issues
            else f"no findings from {len(CHECKS)} checks"
        )
        return "\n".join(lines)


def audit_dataset(
    path: Path | Sequence[Path],
    *,
    images: Path | None = None,
    patient_field: str | None = None,
    patients: Path | None = None,
    skip: Collection[str] = (),
    workers: int = AUDIT_WORKERS,
    clinical: Path | None = None,
) -> AuditReport:
    """Audit a dataset folder, an export, or files of other projects (docs/audit.md).

    Nothing is written, and the report contains no text of the data.

    Args:
        path: Dataset folder; export; folder with files named ``train``, ``val`` or ``test``; or
            JSON, JSONL and Parquet files.
        images: Folder of the images; by default the releases that the dataset names, or the folder
            of each file.
        patient_field: Field with the patient's id in foreign files; by default ``patient_id``,
            ``subject_id`` or the patient in the path of an image.
        patients: Table of foreign files' images and patients, e.g. that of PadChest's release; it
            is used where a record names no patient.
        skip: Codes of checks to leave out; if all checks of pixels are left out, no image is
            decoded.
        workers: Number of processes that decode images; the result does not depend on it.
        clinical: YAML file with a ``clinical:`` block (docs/clinical-rules.md), which changes
            thresholds and severities of the contradictions; by default the block in the manifest
            of the dataset folder applies, and without one the built-in rules.

    Raises:
        ImaxrayError: A path is missing or holds no such data, a code is unknown, the clinical
            rules cannot be read, or patients are given for a dataset folder.
    """
    codes = [check.code for check in CHECKS]
    unknown = sorted(set(skip) - set(codes))
    if unknown:
        raise ImaxrayError(
            f"Expected codes of checks to skip, but got {', '.join(unknown)}; choose from "
            f"{', '.join(codes)}."
        )
    asked = None if clinical is None else load_clinical_rules(clinical)
    audit_input = _read(
        path, images, patient_field, patients, "near-duplicate" not in skip, workers, asked
    )
    rules = audit_input.clinical
    severities = {check.code: rules[check.rule].severity for check in CHECKS if check.rule}
    issues: list[AuditIssue] = []
    limits: dict[str, str] = {}
    for check in CHECKS:
        if check.code in skip:
            limits[check.code] = "skipped"
            continue
        if severities.get(check.code) == "ignore":
            limits[check.code] = "ignored by the clinical rules"
            continue
        issues += sorted(check.find(audit_input))
        reason = check.limits(audit_input) if check.limits else None
        if reason is not None:
            limits[check.code] = reason
    return AuditReport(
        title=audit_input.title,
        images=audit_input.files.height,
        entries=audit_input.entries.height,
        issues=tuple(issues),
        limits=limits,
        warnings=frozenset(code for code, severity in severities.items() if severity == "warning"),
        of_manifest=rules if asked is None else DEFAULT_RULES,
    )


def _read(
    path: Path | Sequence[Path],
    images: Path | None,
    patient_field: str | None,
    patients: Path | None,
    perceptual: bool,
    workers: int,
    clinical: ClinicalRules | None,
) -> AuditInput:
    paths = [path] if isinstance(path, Path) else list(path)
    if images is not None and not images.is_dir():
        raise ImaxrayError(
            f"Expected a folder of images at {images}, but there is none; correct the path."
        )
    if not paths:
        raise ImaxrayError("Expected a folder or files to audit, but got none; pass a path.")
    if len(paths) == 1 and paths[0].is_dir():
        _require_foreign(paths[0], patient_field, patients)
        if (paths[0] / MANIFEST).is_file():
            return read_folder(
                paths[0], images, perceptual=perceptual, workers=workers, clinical=clinical
            )
        if is_croissant(paths[0]):
            return read_croissant(
                paths[0], images, perceptual=perceptual, workers=workers, clinical=clinical
            )
        paths = data_files(paths[0])
    found = read_files(
        paths, images, patient_field=patient_field, patients=patients, perceptual=perceptual,
        workers=workers,
    )  # fmt: skip
    return replace(found, clinical=DEFAULT_RULES if clinical is None else clinical)


def _require_foreign(folder: Path, patient_field: str | None, patients: Path | None) -> None:
    """Refuse options on patients for a folder that names its patients itself."""
    option = "--patient-field" if patient_field else "--patients" if patients else None
    if option and ((folder / MANIFEST).is_file() or is_croissant(folder)):
        raise ImaxrayError(
            f"Expected {option} with files of other projects, but the dataset folder {folder} "
            "names its patients itself; leave the option out."
        )
