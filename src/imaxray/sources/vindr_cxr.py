"""Reads VinDr-CXR, or its Kaggle form VinBigData: boxes and labels by several radiologists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import dicom
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections.vindr_labels import (
    KAGGLE_LABELS,
    KINDS,
    LABELS,
    NONE,
    PHRASES,
    canonical_class,
    one_spelling,
)
from imaxray.sources._shared.files.columns import (
    numeric,
    one_box,
    provenance,
    reject,
    stated_by,
)
from imaxray.sources._shared.files.paths import (
    find_file,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.images.image_files import (
    is_sound,
    list_files,
    read_images,
    reject_images,
)
from imaxray.sources._shared.images.original_sizes import (
    SIZE_COLUMNS,
    original_sizes,
    original_sizes_file,
    stated_sizes,
    with_scales,
)
from imaxray.sources._shared.records import SourceTables

_ENDINGS: Final = (".csv", ".csv.gz", ".csv.zip")
_DICOM: Final = (".dicom", ".dcm")
_SUFFIXES: Final = (*_DICOM, ".png", ".jpg", ".jpeg")
_SETS: Final = ("train", "test")
_PLACES: Final = ("", "vinbigdata/")
_CORNERS: Final = ("x_min", "y_min", "x_max", "y_max")
_USED: Final = ("image_id", "rad_id", "class_name", *_CORNERS, *PHRASES)


@dataclass(frozen=True)
class _Part:
    """Holds one table of the release whose rows are joined with their image files."""

    file: str
    rows: int
    full: pl.DataFrame
    agreed: bool  # True if several readers agreed on each row, which then names no reader


class VindrCxr(Source):
    """Reads train images that three radiologists read each and test images that five agreed on.

    The copy may hold PhysioNet's four tables (in ``annotations/`` or beside the images) or the
    ``train.csv`` of the VinBigData challenge at Kaggle (registration); if it holds both,
    PhysioNet's tables are read. Boxes are in pixels of the DICOM image. Rows of the train set carry
    their ``reader``, and the setting ``readers`` of the curation decides how they become one
    statement.

    Of the 28 labels, 13 equal a finding; 0 means that the reader did not see it. Kaggle has only
    boxes, but the publisher states that its classes are complete (class 14 is the absence of all),
    so a class that a reader does not list is negative there. Boxes of the other classes are regions
    with the class as name; ``Other lesion`` has no phrase, so it makes no entry.

    The release has no patient ids, so an image counts as a patient. All images are postero-anterior
    views of adults, so an age of 0 means that the age is missing. Kaggle's images are PhysioNet's
    train set; they get no split.

    Converted copies (PNG or JPEG, of any size) are read if the size of the original images is
    stated, to which the boxes refer: in the columns ``width`` and ``height`` of ``train.csv``, or
    in ``train_meta.csv`` (``dim0`` is the height, ``dim1`` the width). A box of a converted image
    without a stated size is a reject (``unknown-size``).
    """

    name = "vindr-cxr"
    title = "VinDr-CXR"
    version = "1.0.0"
    collection = "vindr-cxr"
    tasks = ("findings", "rec", "reg")
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Nguyen et al., Sci Data 9:429 (2022), arXiv:2012.15029"
    url = "https://physionet.org/content/vindr-cxr/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        require_root(root, self.name)
        tables = self._tables(root)
        for path, required in tables:
            check_columns(path, [*one_spelling(read_header(path)).values()], required)
        images = [path for name in _SETS for path in self._files(root, name)[:1]]
        if not images:
            raise ImaxrayError(
                f"Expected images that end in {' or '.join(_SUFFIXES)} in {root / 'train'} or "
                f"{root / 'test'}, but found none; boxes are in pixels of the DICOM images."
            )
        if any(path.suffix.lower() in _DICOM for path in images):
            dicom.require_dicom()
        found = [path for path, _ in tables]
        for which, _, _ in self._sets(root):
            meta = original_sizes_file(root, _PLACES, which)
            if meta is not None:
                check_columns(meta, read_header(meta), SIZE_COLUMNS)
                found.append(meta)
        return [relative(path, root) for path in found]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release; read image headers in ``pool`` (see :meth:`Source.read_with`)."""
        self.check(root)
        images, facts, hints, rejects, files = [], [], [], [], []
        for which, boxes_path, labels_path in self._sets(root):
            here = read_images(root, [f"{p}{which}" for p in _PLACES], _SUFFIXES, pool)
            agreed = which == "test"
            sizes, size_hints, bad, size_files = original_sizes(
                root, original_sizes_file(root, _PLACES, which), here, self
            )
            hints.append(size_hints)
            rejects.append(bad)
            files += size_files
            boxes = _part(boxes_path, root, here, sizes, agreed)
            regions, bad = self._boxes(boxes)
            stated, again = self._listed(boxes, complete=labels_path is None)
            facts.append(regions)
            rejects += [bad, again, self._bad_images(boxes)]
            if labels_path is None:
                source = boxes
            else:
                source = labels = _part(labels_path, root, here, sizes, agreed)
                cells, bad = self._cells(labels)
                facts.append(cells)
                hints.append(self._hints(labels, which))
                rejects += [bad, self._bad_images(labels)]
                files.append(release_file(labels_path, root, self.name, labels.rows))
            facts.append(stated)  # after the labels' own table, which states them first
            images.append(self._images(source))
            files.append(release_file(boxes_path, root, self.name, boxes.rows))
        return SourceTables(
            images=pl.concat(images),
            annotations=pl.concat(facts),
            hints=pl.concat(hints),
            rejects=pl.concat(rejects),
            files=tuple(files),
        )

    def remarks(self, root: Path) -> list[str]:
        """State the number of images that no row is about, and name tables that are not read."""
        said = []
        for which, boxes, labels in self._sets(root):
            table = read_csv(labels or boxes, ())
            table = table.rename(one_spelling(table.columns))
            here = {path.stem for path in self._files(root, which)}
            lost = here - set(table["image_id"].to_list())
            said += [f"Images in {which} that no row is about: {len(lost):,}."] if lost else []
        if self._is_physionet(root) and any((root / f"train{e}").is_file() for e in _ENDINGS):
            said.append("Not read, because PhysioNet's tables say more: Kaggle's train.csv.")
        return said

    def _files(self, root: Path, which: str) -> list[Path]:
        """Return the image files of a set."""
        return [path for p in _PLACES for path in list_files(root / f"{p}{which}", _SUFFIXES)]

    def _is_physionet(self, root: Path) -> bool:
        stems = [f"{kind}_{which}" for kind in ("annotations", "image_labels") for which in _SETS]
        return any((root / name).is_file() for stem in stems for name in _names(stem))

    def _sets(self, root: Path) -> Iterator[tuple[str, Path, Path | None]]:
        """Yield each set of images with the table of its boxes and the table of its labels."""
        if self._is_physionet(root):
            for which in _SETS:
                yield (
                    which,
                    find_file(root, _names(f"annotations_{which}"), self.name),
                    find_file(root, _names(f"image_labels_{which}"), self.name),
                )
        else:
            names = [f"{place}train{ending}" for place in _PLACES for ending in _ENDINGS]
            if not any((root / name).is_file() for name in names):
                names = [*_names("annotations_train"), *names]
            yield "train", find_file(root, names, self.name), None

    def _tables(self, root: Path) -> list[tuple[Path, tuple[str, ...]]]:
        """Return every table with the columns that it must have."""
        tables: list[tuple[Path, tuple[str, ...]]] = []
        for which, boxes, labels in self._sets(root):
            reader = ("rad_id",) if which == "train" else ()
            tables.append((boxes, ("image_id", *reader, "class_name", *_CORNERS)))
            if labels is not None:
                tables.append((labels, ("image_id", *reader, *PHRASES)))
        return tables

    def _images(self, part: _Part) -> pl.DataFrame:
        first = part.full.filter(is_sound()).unique("image_id", keep="first", maintain_order=True)
        frame = first.select(
            self._id().alias("image_id"),
            self._id().alias("patient_id"),
            "path",
            "width",
            "height",
            pl.col("view").fill_null("PA"),
            "sex",
            pl.when(pl.col("age") > 0).then("age").alias("age"),
            *provenance(self.name, part.file),
        )
        return conform(frame, IMAGES)

    def _hints(self, part: _Part, split: str) -> pl.DataFrame:
        frame = part.full.filter(is_sound()).select(
            self._id().alias("image_id"),
            pl.lit(split).alias("split"),
            *provenance(self.name, part.file),
        )
        return conform(frame, SPLIT_HINTS)

    def _bad_images(self, part: _Part) -> pl.DataFrame:
        where: dict[str, Any] = {"source": self.name, "file": part.file, "key": "image_id"}
        nobody = part.full.filter(is_sound(), ~_has_reader(part))
        return pl.concat([
            reject_images(part.full, **where),
            reject(nobody, **where, code="bad-id", message="the row has no rad_id"),
        ])  # fmt: skip

    def _boxes(self, part: _Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return regions, and rejects for rows that have neither a sound box nor a label."""
        where: dict[str, Any] = {"source": self.name, "file": part.file, "key": "image_id"}
        scale = {name: f"_scale_{name[0]}" for name in _CORNERS}
        here = part.full.filter(is_sound(), _has_reader(part)).with_columns(
            canonical_class(),
            *((numeric(n) * pl.col(scale[n]).fill_null(1.0)).alias(f"_{n}") for n in _CORNERS),
        )
        corners = [f"_{name}" for name in _CORNERS]
        blank = pl.all_horizontal(
            pl.col(*_CORNERS).is_null() | pl.col(*_CORNERS).is_in(["nan", "NaN"])
        )
        number = pl.all_horizontal(pl.col(*corners).is_finite().fill_null(False))
        sized = (pl.col("_x_min") < pl.col("_x_max")) & (pl.col("_y_min") < pl.col("_y_max"))
        sized = sized.fill_null(False)
        framed = pl.col("_scale_x").is_not_null()
        known, nothing = pl.col("_class").is_not_null(), pl.col("_class") == NONE
        labelled = pl.col("_class").is_in(list(LABELS))
        bad = pl.concat([
            reject(here.filter(~known), **where, code="unknown-label",
                   message="the class is none of the release's"),
            reject(here.filter(known & blank & ~labelled), **where, code="no-box",
                   message="the class has no box, and no equal among the labels"),
            reject(here.filter(nothing & ~blank), **where, code="bad-value",
                   message="No finding has a box"),
            reject(here.filter(known & ~nothing & ~blank & ~number), **where, code="bad-value",
                   message="x_min, y_min, x_max and y_max must be numbers"),
            reject(here.filter(known & ~nothing & number & ~sized), **where, code="zero-area-box",
                   message="the box has no width or no height"),
            reject(here.filter(known & ~nothing & number & sized & ~framed), **where,
                   code="unknown-size", message="the size of the original image is not stated"),
        ])  # fmt: skip
        named = pl.col("_class").replace_strict(PHRASES, return_dtype=pl.String)
        regions = here.filter(known & ~nothing & number & sized & framed).select(
            self._id().alias("image_id"),
            pl.lit("region").alias("kind"),
            pl.col("_class").replace(LABELS).alias("name"),
            named.alias("text"),
            one_box(*corners).alias("boxes"),
            *self._by(part),
        )
        return conform(regions, SOURCE_ANNOTATIONS), bad

    def _cells(self, part: _Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the labels of a table that has one column per label, and rejects."""
        here = part.full.filter(is_sound(), _has_reader(part))
        long = (
            here.unpivot(
                list(PHRASES), index=["row", "image_id", "rad_id"],
                variable_name="_class", value_name="_cell",
            )
            .filter(pl.col("_cell").is_not_null())
            .with_columns(numeric("_cell").alias("value"))
            .sort("row", "_class")
        )  # fmt: skip
        legal = pl.col("value").is_in([0.0, 1.0]).fill_null(False)
        bad = reject(
            long.filter(~legal), source=self.name, file=part.file, key="image_id",
            code="unknown-label", message="a label must be 1, 0 or blank",
        )  # fmt: skip
        equal = pl.col("_class").is_in(list(LABELS))
        kinds = long.filter(legal, pl.col("value") == 1, pl.col("_class").is_in(list(KINDS)))
        facts = [
            self._label_facts(long.filter(legal, equal), part),
            self._label_facts(kinds, part, KINDS).unique(["row", "name"], maintain_order=True),
        ]
        unmapped = self._unmapped(long.filter(legal, pl.col("value") == 1), part)
        return pl.concat(facts), pl.concat([bad, unmapped])

    def _unmapped(self, rows: pl.DataFrame, part: _Part) -> pl.DataFrame:
        """Return rejects for positive labels that are no finding of ours."""
        strange = rows.filter(~pl.col("_class").is_in([*LABELS, *KINDS]))
        key = pl.concat_str("image_id", pl.lit(" "), "_class")
        return reject(
            strange, source=self.name, file=part.file, key=key, code="unmapped-label",
            message="no finding of ours equals the label",
        )  # fmt: skip

    def _listed(self, part: _Part, *, complete: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return labels that follow from rows of boxes, and rejects for rows that repeat a label.

        If the list is ``complete`` (Kaggle), the classes that a reader lists for an image are
        positive and the others are negative. Otherwise (PhysioNet, which has tables of labels) only
        rows without a box state a label, nearly all of them ``No finding``.
        """
        one = ["image_id", "rad_id"]
        rows = part.full.filter(is_sound(), _has_reader(part)).with_columns(canonical_class())
        boxed = pl.any_horizontal(
            pl.col(*_CORNERS).is_not_null() & ~pl.col(*_CORNERS).is_in(["nan", "NaN"])
        )
        labelled = rows.filter(pl.col("_class").is_in(list(LABELS)), ~boxed | complete)
        yes = labelled.unique([*one, "_class"], keep="first", maintain_order=True)
        bare = labelled.filter(~boxed).join(yes.select("row"), on="row", how="anti")
        again = reject(
            bare, source=self.name, file=part.file, key="image_id", code="duplicate-annotation",
            message="the reader says so in an earlier row",
        )  # fmt: skip
        stated = [yes.select("row", *one, "_class", pl.lit(1.0).alias("value"))]
        if complete:
            # If a class of a reader is unknown, it might be any class, so none is negative.
            strange = rows.filter(pl.col("_class").is_null()).select(one)
            read = rows.join(strange, on=one, how="anti", maintain_order="left")
            every = read.unique(one, keep="first", maintain_order=True).select("row", *one)
            no = every.join(pl.DataFrame({"_class": list(KAGGLE_LABELS)}), how="cross").join(
                yes, on=[*one, "_class"], how="anti"
            )
            stated.append(no.select("row", *one, "_class", pl.lit(0.0).alias("value")))
            once = rows.filter(pl.col("_class").is_not_null())
            once = once.unique([*one, "_class"], keep="first", maintain_order=True)
            again = pl.concat([again, self._unmapped(once, part)])
        return self._label_facts(pl.concat(stated).sort("row", "_class"), part), again

    def _label_facts(
        self, long: pl.DataFrame, part: _Part, findings: Mapping[str, str] = LABELS
    ) -> pl.DataFrame:
        frame = long.select(
            self._id().alias("image_id"),
            pl.lit("label").alias("kind"),
            pl.col("_class").replace_strict(findings, return_dtype=pl.String).alias("name"),
            "value",
            *self._by(part),
        )
        return conform(frame, SOURCE_ANNOTATIONS)

    def _id(self) -> pl.Expr:
        return pl.lit(f"{self.collection}/") + pl.col("image_id")

    def _by(self, part: _Part) -> tuple[pl.Expr, ...]:
        return (
            pl.col("rad_id").alias("reader"),
            *stated_by("human", "consensus" if part.agreed else "radiologist"),
            *provenance(self.name, part.file),
        )


def _names(stem: str) -> list[str]:
    return [f"{folder}{stem}{end}" for folder in ("annotations/", "") for end in _ENDINGS]


def _part(path: Path, root: Path, images: pl.DataFrame, sizes: pl.DataFrame, agreed: bool) -> _Part:
    table = read_csv(path, ())
    table = table.rename(one_spelling(table.columns))
    if agreed:
        table = table.with_columns(pl.lit(None, dtype=pl.String).alias("rad_id"))
    # Other columns of a mirror might be called like those of the images.
    used = [name for name in _USED if name in table.columns]
    full = (
        table.select("row", *used, *stated_sizes(table))
        .join(sizes, on="image_id", how="left", maintain_order="left")
        .join(images, left_on="image_id", right_on="stem", how="left", maintain_order="left")
    )
    return _Part(relative(path, root), table.height, with_scales(full, _DICOM), agreed)


def _has_reader(part: _Part) -> pl.Expr:
    return pl.lit(part.agreed) | pl.col("rad_id").is_not_null()
