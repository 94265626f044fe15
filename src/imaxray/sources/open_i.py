"""Reads Open-I (Indiana University): reports with MeSH terms, and their radiographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import open_i as _open_i
from imaxray.sources._shared.files.archives import Archive, Member
from imaxray.sources._shared.files.paths import (
    find_file,
    is_inside,
    relative,
    release_file,
    require_root,
    shown,
)
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.files.tarballs import is_tar, tar_members
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_TARS: Final = ("NLMCXR_reports.tgz", "NLMCXR_reports.tar.gz")
_XML: Final = ("ecgen-radiology", "NLMCXR_reports/ecgen-radiology", "NLMCXR_reports")
_REPORTS: Final = "indiana_reports.csv"
_PROJECTIONS: Final = "indiana_projections.csv"
_ENDINGS: Final = ("", ".gz", ".zip")
_REPORT_COLUMNS: Final = ("uid", "MeSH", "findings", "impression")
_PROJECTION_COLUMNS: Final = ("uid", "filename", "projection")
_FOLDERS: Final = (
    "NLMCXR_png", "images/images_normalized", "images_normalized", "images", "png", ".",
)  # fmt: skip
_VIEWS: Final = {"FRONTAL": "FRONTAL", "LATERAL": "LATERAL"}


class OpenI(Source):
    """Reads findings, impression and labels of 3,955 examinations with 7,470 images.

    The copy may hold NLM's files (``NLMCXR_reports.tgz`` or its XML folder, and the unpacked PNG
    files) or the Kaggle mirror (``indiana_reports.csv``, ``indiana_projections.csv``). An image has
    the same id in both. The XML states no view, so the view is read from
    ``indiana_projections.csv`` if that file exists, or from a caption that names only one view. The
    report of an examination without a frontal image belongs to no image.

    Labels are the indexers' MeSH main headings that clearly equal a finding; a finding that they do
    not name is unknown. There are no patient ids, so an examination counts as a patient. The
    curation treats the gaps ``XXXX``, which are kept here.
    """

    name = "open-i"
    title = "Open-I chest X-ray collection (Indiana University)"
    version = "2014"
    collection = _open_i.COLLECTION
    tasks = ("findings", "report")
    access = "open"
    licence = "CC BY-NC-ND 4.0"
    citation = "Demner-Fushman et al., JAMIA 23(2):304-310 (2016)"
    url = "https://openi.nlm.nih.gov/faq#collection"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        require_root(root, self.name)
        reports = _reports_path(root)
        files = [relative(reports, root)]
        if reports.name.startswith(_REPORTS):
            check_columns(reports, read_header(reports), _REPORT_COLUMNS)
            find_file(root, [f"{_PROJECTIONS}{ending}" for ending in _ENDINGS], self.name)
        elif reports.is_dir():
            Archive(root, (), _XML, ".xml", self.name).check()
        elif not is_tar(reports):
            tar_members(reports, ".xml")  # raises an error that says what is wrong
        projections = _table(root, _PROJECTIONS)
        if projections is not None:
            check_columns(projections, read_header(projections), _PROJECTION_COLUMNS)
            files.append(relative(projections, root))
        if not _open_i.has_images(root, _FOLDERS):
            raise ImaxrayError(
                f"Expected PNG files in {' or '.join(_FOLDERS[:-1])} of the {self.name} release at "
                f"{root}, but found none; unpack NLMCXR_png.tgz there, because images are not read "
                "from the archive."
            )
        return files

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        reading = _Reading(self.name, root)
        path = _reports_path(root)
        if path.name.startswith(_REPORTS):
            reading.table(path)
        else:
            reading.archive(path)
        projections = _table(root, _PROJECTIONS)
        if projections is not None:
            reading.projections(projections)
        return reading.tables()

    def remarks(self, root: Path) -> list[str]:
        """Say what the absence of the table of views means."""
        if _table(root, _PROJECTIONS) is not None:
            return []
        return [
            f"Views: {_PROJECTIONS} is not in this copy, so a view is known only where a caption "
            "names one alone; put the table beside the reports, because a report goes to frontal "
            "images."
        ]


def _reports_path(root: Path) -> Path:
    """Return the tar, the XML folder or the table of the reports; NLM's files take precedence."""
    for name in _TARS:
        if (root / name).is_file():
            return root / name
    for name in _XML:
        if (root / name).is_dir():
            return root / name
    table = _table(root, _REPORTS)
    if table is not None:
        return table
    raise ImaxrayError(
        f"Expected {' or '.join((*_TARS, *_XML, _REPORTS))} in the {OpenI.name} release at {root}, "
        "but found none of them; download the file or correct the path."
    )


def _table(root: Path, name: str) -> Path | None:
    """Return a table of the Kaggle mirror, plain or packed, or None if there is none."""
    paths = (root / f"{name}{ending}" for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


class _Reading:
    """Collects images, facts, hints and rejects while one release is read."""

    def __init__(self, source: str, root: Path) -> None:
        self._source, self._root = source, root
        self._files = _open_i.image_files(root, _FOLDERS)
        self._captions: dict[str, str] = {}  # by uid
        self._views: dict[str, str] = {}  # by image key
        self._images: dict[str, tuple[Any, ...]] = {}  # by image key
        self._hints: list[tuple[Any, ...]] = []
        self._facts: list[tuple[Any, ...]] = []
        self._rejects: list[tuple[Any, ...]] = []
        self._read: list[ReleaseFile] = []

    def archive(self, path: Path) -> None:
        """Read reports from XML: their text, their terms and the images that belong to them."""
        file = relative(path, self._root)
        if path.is_dir():
            folder = Archive(self._root, (), (file,), ".xml", self._source)
            count, parts = folder.map(_parsed, None)
            reports = [item for part in parts for item in part]
            self._read.append(folder.release_file(count))
        else:
            reports = _parsed(iter(tar_members(path, ".xml")))
            self._read.append(release_file(path, self._root, self._source, len(reports)))
        for row, name, report in reports:
            if report is None:
                self._reject(
                    file, row, name, "bad-xml", "the member is no report XML, or too large"
                )
            elif not report.uid:
                self._reject(file, row, name, "bad-id", "uId is none of Open-I's")
            else:
                self._report(report, file, row)
                if not report.images:
                    self._reject(file, row, name, "no-image", "the report names no image")
                for image in report.images:
                    self._image(image, report.uid, file, row)

    def table(self, path: Path) -> None:
        """Read the reports of the Kaggle mirror."""
        table, file = read_csv(path, _REPORT_COLUMNS), relative(path, self._root)
        caption = pl.col("image") if "image" in table.columns else pl.lit(None)
        for row, uid, mesh, findings, impression, image in table.select(
            "row", *_REPORT_COLUMNS, caption.cast(pl.String).alias("_caption")
        ).iter_rows():
            known = _open_i.uid_of(uid or "")
            if known is None:
                self._reject(file, row, uid, "bad-id", "uid is no number")
                continue
            terms = tuple((mesh or "").split(";"))
            report = _open_i.OpenIReport(
                known, findings or "", impression or "", image or "", terms
            )
            self._report(report, file, row)
        self._read.append(release_file(path, self._root, self._source, table.height))

    def projections(self, path: Path) -> None:
        """Read the views of images; the Kaggle mirror lists its images only in this table."""
        table, file = read_csv(path, _PROJECTION_COLUMNS), relative(path, self._root)
        for row, uid, name, projection in table.select("row", *_PROJECTION_COLUMNS).iter_rows():
            known, view = _open_i.uid_of(uid or ""), _VIEWS.get((projection or "").upper())
            if known is None:
                self._reject(file, row, uid, "bad-id", "uid is no number")
                continue
            if view is None:
                what = "projection must be Frontal or Lateral"
                self._reject(file, row, name, "bad-value", what)
            key = self._image(name or "", known, file, row)
            if key is not None and view is not None:
                self._views[key] = view
        self._read.append(release_file(path, self._root, self._source, table.height))

    def tables(self) -> SourceTables:
        """Return everything that was read."""
        rows = [(*image, self._view(key, image[1])) for key, image in self._images.items()]
        where = ("file", "row", "source")
        return SourceTables(
            images=_frame(
                rows, ("image_id", "study_id", "path", "width", "height", *where, "view"), IMAGES
            ).with_columns(pl.col("study_id").alias("patient_id")),
            annotations=_frame(
                self._facts, ("study_id", "kind", "name", "value", "text", "quality", *where),
                SOURCE_ANNOTATIONS,
            ).with_columns(pl.lit("human").cast(SOURCE_ANNOTATIONS["origin"]).alias("origin")),
            hints=_frame(self._hints, ("image_id", *where), SPLIT_HINTS),
            rejects=pl.DataFrame(self._rejects, schema=REJECTS, orient="row"),
            files=tuple(self._read),
        )  # fmt: skip

    def _report(self, report: _open_i.OpenIReport, file: str, row: int) -> None:
        study, where = f"{_open_i.COLLECTION}/CXR{report.uid}", (file, row, self._source)
        self._captions.setdefault(report.uid, report.caption)
        texts = {"findings": report.findings, "impression": report.impression}
        for name, text in texts.items():
            if text:
                self._facts.append((study, "report", name, None, text, "report", *where))
        if not any(texts.values()):
            what = "neither findings nor impression has text"
            self._reject(file, row, study, "empty-text", what)
        for name, value in sorted(_open_i.labels_of(report.terms).items()):
            self._facts.append((study, "label", name, value, None, "mesh", *where))
        for term in _open_i.unmapped(report.terms):
            what = "no finding of ours equals the indexers' term"
            self._reject(file, row, f"{study} {shown(term)}", "unmapped-label", what)

    def _image(self, name: str, uid: str, file: str, row: int) -> str | None:
        """Add the image called ``name``; return its key, or None if it was rejected."""
        key = _open_i.image_key(name)
        if not is_inside(name):
            self._reject(file, row, name, "path-outside-release", "the name leaves the folder")
        elif key is None or key.partition("_")[0] != f"CXR{uid}":
            self._reject(file, row, name, "bad-id", "the image is none of this report's")
        elif key not in self._files:
            self._reject(file, row, name, "missing-image", "the image is not in this copy")
        elif self._files[key][1] is None:
            self._reject(file, row, name, "unreadable-image", "the image file is damaged")
        else:
            path, size = self._files[key]
            assert size is not None  # the branch above rejects an image without a size
            ids = (f"{_open_i.COLLECTION}/{key}", f"{_open_i.COLLECTION}/CXR{uid}")
            where = (file, row, self._source)
            self._images.setdefault(key, (*ids, path, *size, *where))
            self._hints.append((ids[0], *where))  # without a split; shows that the row was used
            return key
        return None

    def _view(self, key: str, study: str) -> str | None:
        """Return PA, AP, FRONTAL or LATERAL, or None if nothing states the view."""
        caption = self._captions.get(study.rpartition("/CXR")[2], "")
        stated = self._views.get(key)
        if stated == "FRONTAL":
            return _open_i.projection_of(caption) or stated
        return stated or _open_i.one_view(caption)

    def _reject(self, file: str, row: int, key: str | None, code: str, message: str) -> None:
        self._rejects.append((self._source, file, row, key, code, message))


def _parsed(members: Iterator[Member]) -> list[tuple[int, str, _open_i.OpenIReport | None]]:
    return [
        (row, name, None if content is None else _open_i.parse_report(content))
        for row, name, content in members
    ]


def _frame(
    rows: list[tuple[Any, ...]], columns: tuple[str, ...], schema: pl.Schema
) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={c: schema[c] for c in columns}, orient="row"), schema)
