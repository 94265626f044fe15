"""Writes releases of the size of MIMIC-CXR without pixels: tables, reports and scene graphs.

Findings and reports come from the same anatomy and the same grammar as those of the rendered
phantom. The geometry is measured on a coarse grid and scaled to MIMIC's image sizes.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from imaxray._common.folders import is_complete, record_files, whole_folder
from imaxray._common.state import write_state
from imaxray._common.workers import worker_pool
from imaxray.phantom import anatomy as geometry
from imaxray.phantom.census import MS_CXR_IMAGES, Census, draw_census
from imaxray.phantom.cohort import Finding, ImagePlan, draw_body, draw_findings
from imaxray.phantom.records import Radiograph, Study, make_study
from imaxray.phantom.releases import grounding, measurements, mimic, questions
from imaxray.phantom.releases.regions import all_regions, dense_graph
from imaxray.progress import progress_bar

_MARKER: Final = "phantom.json"
_VERSION: Final = 1
_GRID: Final = 64  # columns on which the anatomy is measured
_PATIENTS: Final = 400  # patients per piece of work
_VIEWS: Final = ("PA", "AP", "LATERAL")
_SIZES: Final = ((2544, 3056), (3056, 2544), (2500, 3056), (2022, 2022))  # width, height
_SPLITS: Final = ("train", "validate", "test")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_REPORTS: Final = "mimic-cxr/mimic-cxr-reports.zip"
_GRAPHS: Final = "chest-imagenome/silver_dataset/scene_graph.zip"
_VQA: Final = "mimic-cxr-vqa/MIMIC-Ext-MIMIC-CXR-VQA/dataset"

_JPG: Final = "mimic-cxr-jpg/mimic-cxr-2.0.0-"
_SEVERITY: Final = "mimic-cxr-pe-severity"
_GENOME: Final = "chest-imagenome/silver_dataset/splits"
_HEADERS: Final = {
    f"{_JPG}metadata.csv.gz": mimic.METADATA,
    f"{_JPG}split.csv.gz": mimic.SPLIT,
    f"{_JPG}chexpert.csv.gz": mimic.LABELS,
    f"{_JPG}negbio.csv.gz": mimic.LABELS,
    "mimic-cxr-jpg/mimic-cxr-2.1.0-test-set-labeled.csv": mimic.RADIOLOGIST,
    "mimic-cxr/cxr-record-list.csv.gz": mimic.RECORDS,
    "mimic-cxr/cxr-study-list.csv.gz": mimic.STUDIES,
    f"{_SEVERITY}/regex_report_edema_severity.csv": measurements.GRADES,
    f"{_SEVERITY}/expert_report_edema_severity.csv": measurements.GRADES,
    f"{_SEVERITY}/consensus_image_edema_severity.csv": measurements.CONSENSUS,
    f"{_SEVERITY}/auxiliary_metadata/mimic_cxr_metadata_available_CHF_view.csv": (
        measurements.COHORT
    ),
    "cxr-cardiomegaly/CTRs.csv": measurements.CTRS,
    "cxr-cardiomegaly/CPARs.csv": measurements.CPARS,
    f"{_GENOME}/train.csv": ("", *grounding.IMAGENOME),
    f"{_GENOME}/valid.csv": ("", *grounding.IMAGENOME),
    f"{_GENOME}/test.csv": ("", *grounding.IMAGENOME),
    f"{_GENOME}/images_to_avoid.csv": grounding.IMAGENOME,
}
"""Header of each table by its path; Chest ImaGenome's split files, which its archive needs, are
among the tables."""


@dataclass
class _Piece:
    """Collects the rows that the patients of one piece of work add to each file."""

    tables: dict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: {name: [] for name in _HEADERS}
    )
    grounded: list[tuple[Any, ...]] = field(default_factory=list)
    asked: dict[str, list[bytes]] = field(
        default_factory=lambda: {"train": [], "valid": [], "test": []}
    )
    reports: list[tuple[str, bytes]] = field(default_factory=list)
    graphs: list[tuple[str, bytes]] = field(default_factory=list)


def write_phantom_tables(
    out: Path, *, times: float = 1.0, seed: int = 0, workers: int = 1, archives: bool = True
) -> None:
    """Write the seven releases of a cohort ``times`` as large as MIMIC-CXR, without images.

    Every table has the published size times ``times`` (see :mod:`imaxray.phantom.census`). The
    bytes depend on ``times``, ``seed`` and ``archives`` only. A complete phantom with the same
    arguments is left as it is.

    Args:
        out: Output folder; it must be empty, absent or an earlier phantom.
        times: Size relative to MIMIC-CXR.
        seed: Seed of all random choices.
        workers: Number of processes.
        archives: Whether to write the reports and the scene graphs too; without them two of the
            seven releases are left out.

    Raises:
        ImaxrayError: ``out`` holds other files, or ``times`` is too small.
    """
    wanted = {"times": times, "seed": seed, "archives": archives, "tables": _VERSION}
    if is_complete(out, _MARKER, wanted):
        return
    census = draw_census(times, seed)
    with whole_folder(out, manifest=_MARKER, keys=("seed",), what="phantom") as aside:
        bar_of = progress_bar("Writing patients", census.patients)
        with _Files(aside, archives) as files, bar_of as bar:
            for piece, patients in _pieces(census, seed, archives, workers):
                files.add(piece)
                bar.advance(patients)
        files.finish(max(1, round(MS_CXR_IMAGES * times)))
        write_state(aside / _MARKER, wanted)
        record_files(aside)


class _Files:
    """Keeps every file of the releases open and appends rows in the order of the patients."""

    def __init__(self, root: Path, archives: bool) -> None:
        self._root = root
        self._archives = archives
        self._grounded: list[tuple[Any, ...]] = []
        self._questions = dict.fromkeys(("train", "valid", "test"), 0)

    def __enter__(self) -> _Files:
        headers = {
            name: header
            for name, header in _HEADERS.items()
            if self._archives or not name.startswith(("chest-imagenome/", "mimic-cxr/"))
        }
        self._streams: dict[str, Any] = {}
        for name, header in headers.items():
            path = self._root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            raw = path.open("wb")
            # without a file name and a time stamp, the bytes depend on the rows only
            self._streams[name] = (
                gzip.GzipFile("", "wb", 6, raw, mtime=0) if name.endswith(".gz") else raw,
                raw,
            )
            self._rows(name, [header])
        self._numbers = {name: 0 for name in headers if headers[name][0] == ""}
        self._asked = {}
        for split in self._questions:
            path = self._root / _VQA / f"{split}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._asked[split] = path.open("wb")
            self._asked[split].write(b"[")
        self._zips = {}
        if self._archives:
            for name in (_REPORTS, _GRAPHS):
                self._zips[name] = zipfile.ZipFile(
                    self._root / name, "w", zipfile.ZIP_DEFLATED, compresslevel=4
                )
        return self

    def __exit__(self, *_: object) -> None:
        for stream, raw in self._streams.values():
            stream.close()
            raw.close()
        for file in self._asked.values():
            file.write(b"]")
            file.close()
        for archive in self._zips.values():
            archive.close()

    def add(self, piece: _Piece) -> None:
        """Append the rows of one piece of work to the files."""
        for name in self._streams:
            rows = piece.tables[name]
            if name in self._numbers:
                start = self._numbers[name]
                self._numbers[name] += len(rows)
                rows = [(start + k, *row) for k, row in enumerate(rows)]
            self._rows(name, rows)
        self._grounded += piece.grounded
        for split, items in piece.asked.items():
            lead = b", " if self._questions[split] and items else b""
            self._asked[split].write(lead + b", ".join(items))
            self._questions[split] += len(items)
        for name, members in ((_REPORTS, piece.reports), (_GRAPHS, piece.graphs)):
            for member, content in members if self._archives else ():
                info = zipfile.ZipInfo(member, date_time=_EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                self._zips[name].writestr(info, content)

    def finish(self, images: int) -> None:
        """Write MS-CXR with the rows of its first ``images`` images."""
        taken = set(list(dict.fromkeys(row[0] for row in self._grounded))[:images])
        rows = [row for row in self._grounded if row[0] in taken]
        folder = self._root / "ms-cxr"
        folder.mkdir(parents=True)
        text = _csv_text([grounding.MS_CXR, *rows])
        (folder / "MS_CXR_Local_Alignment_v1.1.0.csv").write_bytes(text)
        (folder / "MS_CXR_Local_Alignment_v1.1.0.json").write_bytes(
            orjson.dumps(grounding.ms_coco(rows))
        )

    def _rows(self, name: str, rows: list[Any]) -> None:
        self._streams[name][0].write(_csv_text(rows))


def _csv_text(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _pieces(
    census: Census, seed: int, archives: bool, workers: int
) -> Iterator[tuple[_Piece, int]]:
    starts = range(0, census.patients, _PATIENTS)
    if workers <= 1:
        for start in starts:
            yield _piece(census, start, seed, archives), min(_PATIENTS, census.patients - start)
        return
    with worker_pool(workers, _share, (census,)) as pool:
        waiting: list[tuple[Any, int]] = []
        for start in starts:
            size = min(_PATIENTS, census.patients - start)
            waiting.append((pool.submit(_shared_piece, start, seed, archives), size))
            if len(waiting) > 3 * workers:  # finished pieces must not pile up in memory
                job, size = waiting.pop(0)
                yield job.result(), size
        for job, size in waiting:
            yield job.result(), size


_SHARED: dict[str, Census] = {}


def _share(census: Census) -> None:
    _SHARED["census"] = census


def _shared_piece(start: int, seed: int, archives: bool) -> _Piece:
    return _piece(_SHARED["census"], start, seed, archives)


def _piece(census: Census, start: int, seed: int, archives: bool) -> _Piece:
    piece = _Piece()
    end = min(census.patients, start + _PATIENTS)
    first, last = np.searchsorted(census.study_patient, [start, end])
    patient = -1
    for study in range(int(first), int(last)):
        if int(census.study_patient[study]) != patient:
            patient = int(census.study_patient[study])
            random = np.random.default_rng([seed, 21, patient])
            body = draw_body(random)
        begin, stop = np.searchsorted(census.image_study, [study, study + 1])
        findings, ctr = draw_findings(random)
        images = []
        for index in range(int(begin), int(stop)):
            width, height = _SIZES[int(random.integers(len(_SIZES)))]
            plan = ImagePlan(
                index, patient, study, _VIEWS[int(census.image_view[index])], width, height,
                (0.0, 0.0), 0.0, 1.0, 0, body, ctr, findings,
            )  # fmt: skip
            images.append(_radiograph(plan, census, seed, archives))
        if images:
            _add_study(piece, census, study, images, seed, archives)
    return piece


def _radiograph(plan: ImagePlan, census: Census, seed: int, archives: bool) -> Radiograph:
    digest = np.random.default_rng([seed, 22, plan.index]).bytes(20).hex()
    # ids keep MIMIC's formats for a cohort of any size
    subject = 10_000_032 + plan.patient * (9_900_000 // max(1, census.patients))
    study = 50_000_017 + plan.study * (9_900_000 // max(1, census.studies))
    dicom = "-".join(digest[k : k + 8] for k in range(0, 40, 8))
    if plan.view == "LATERAL":
        return Radiograph(plan, subject, study, dicom, None, None, {}, ())
    grounded = bool(census.image_grounded[plan.index])
    if plan.view == "AP" and not grounded and not (archives and census.image_graph[plan.index]):
        return Radiograph(plan, subject, study, dicom, plan.ctr, None, {}, _unplaced(plan))
    coarse = ImagePlan(
        plan.index, plan.patient, plan.study, plan.view, _GRID, _GRID * plan.height // plan.width,
        plan.shift, plan.tilt, 1.0, 0, plan.habitus, plan.ctr, plan.findings,
    )  # fmt: skip
    body = geometry.build(coarse)
    scale = plan.width / _GRID
    regions = {
        name: (x1 * scale, y1 * scale, x2 * scale, y2 * scale)
        for name, (x1, y1, x2, y2) in all_regions(geometry.region_boxes(body), coarse).items()
    }
    found = []
    for finding in plan.findings:
        mask = geometry.finding_mask(body, coarse, finding)
        box = geometry.mask_box(mask) if mask is not None and mask.any() else None
        found.append((finding, tuple(v * scale for v in box) if box is not None else None))
    # the grid is too coarse to measure the ratio, so the planned ratio counts as the true one
    return Radiograph(plan, subject, study, dicom, plan.ctr, body.cpar, regions, tuple(found))  # type: ignore[arg-type]


def _unplaced(plan: ImagePlan) -> tuple[tuple[Finding, None], ...]:
    return tuple((finding, None) for finding in plan.findings)


def _add_study(
    piece: _Piece,
    census: Census,
    number: int,
    images: list[Radiograph],
    seed: int,
    archives: bool,
) -> None:
    patient = int(census.study_patient[number])
    split = _SPLITS[int(census.patient_split[patient])]
    study = make_study(images, seed, split)
    tables = piece.tables
    for image in images:
        tables[f"{_JPG}metadata.csv.gz"].append(mimic.metadata_row(study, image, seed))
        tables[f"{_JPG}split.csv.gz"].append(mimic.split_row(study, image))
        tables["mimic-cxr/cxr-record-list.csv.gz"].append(mimic.record_row(image))
        if image.plan.view == "PA":
            ctr, cpar = measurements.ratio_rows(image, seed)
            tables["cxr-cardiomegaly/CTRs.csv"].append(ctr)
            tables["cxr-cardiomegaly/CPARs.csv"].append(cpar)
    tables["mimic-cxr/cxr-study-list.csv.gz"].append(mimic.study_row(study))
    if census.study_labelled[number]:
        chexpert, negbio = mimic.label_rows(study, np.random.default_rng([seed, 5, number]))
        tables[f"{_JPG}chexpert.csv.gz"].append(chexpert)
        tables[f"{_JPG}negbio.csv.gz"].append(negbio)
    if census.study_radiologist[number]:
        tables["mimic-cxr-jpg/mimic-cxr-2.1.0-test-set-labeled.csv"].append(
            mimic.radiologist_row(study)
        )
    if census.study_grade[number]:
        _add_grades(tables, study, int(census.study_grade[number]), seed)
    for image in study.frontals:
        _add_image(piece, census, study, image, seed, archives)
    if archives:
        piece.reports.append((mimic.report_path(study), study.report.encode()))


def _add_grades(
    tables: dict[str, list[tuple[Any, ...]]], study: Study, kind: int, seed: int
) -> None:
    random = np.random.default_rng([seed, 6, study.number])
    head, grade = (study.subject_id, study.study_id), study.edema_grade
    wrong = kind > 1 and random.random() < 0.1
    tables[f"{_SEVERITY}/regex_report_edema_severity.csv"].append(
        (*head, measurements.misread(grade) if wrong else grade)
    )
    if kind == 2:
        tables[f"{_SEVERITY}/expert_report_edema_severity.csv"].append((*head, grade))
    if kind == 3:
        tables[f"{_SEVERITY}/consensus_image_edema_severity.csv"].append(
            (*head, study.frontals[0].dicom_id, grade)
        )
    tables[f"{_SEVERITY}/auxiliary_metadata/mimic_cxr_metadata_available_CHF_view.csv"] += [
        (*head, image.dicom_id, "frontal") for image in study.frontals
    ]


def _add_image(
    piece: _Piece, census: Census, study: Study, image: Radiograph, seed: int, archives: bool
) -> None:
    index, patient = image.plan.index, image.plan.patient
    gold = bool(census.patient_gold[patient])
    genome = ("train", "valid", "test")[int(census.patient_genome[patient])]
    if census.image_grounded[index]:
        # MS-CXR's own split by patient differs from the official split for some patients
        changed = np.random.default_rng([seed, 8, study.subject_id]).random() < 0.03
        split = {"validate": "val"}.get(study.split, study.split)
        if changed:
            split = "test" if split == "train" else "train"
        random = np.random.default_rng([seed, 9, index])
        piece.grounded += grounding.ms_rows(image, split, random)
    number = int(census.image_questions[index])
    if number:
        random = np.random.default_rng([seed, 11, index])
        items = questions.questions(image, random)
        picked = sorted(random.permutation(len(items))[:number])
        # the questions follow Chest ImaGenome's split; the gold set is their test set
        asked = "test" if gold else "valid" if genome == "test" else "train"
        piece.asked[asked] += [
            orjson.dumps(questions.item(image, asked, 10 * index + int(k), items[k]))
            for k in picked
        ]
    if archives and census.image_graph[index]:
        name = "images_to_avoid" if gold else genome
        piece.tables[f"{_GENOME}/{name}.csv"].append(grounding.imagenome_row(image))
        random = np.random.default_rng([seed, 10, index])
        if random.random() >= 0.002:  # a few graphs are listed but missing
            graph = dense_graph(image, study, random)
            member = f"scene_graph/{image.dicom_id}_SceneGraph.json"
            piece.graphs.append((member, orjson.dumps(graph)))
