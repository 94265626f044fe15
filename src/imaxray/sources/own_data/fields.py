"""Defines the fields that a column of your own table can hold, with units and spellings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imaxray.schema import EDEMA_GRADES, SPLITS
from imaxray.sources._checks.persons import OLDEST, SEXES, VIEWS
from imaxray.sources.own_data.vocabulary import SPLIT_NAMES


@dataclass(frozen=True)
class KnownField:
    """Describes a field of `source.yaml`.

    Attributes:
        meaning: What a cell states.
        values: Unit or allowed spellings.
        columns: Names of columns that are taken for the field, as :func:`plain` writes them.
    """

    meaning: str
    values: str
    columns: tuple[str, ...]


_BOX: Final = "pixels of the image file, or fractions of its width and height, as `box_unit` says"
_TEXT: Final = "any text"
_ID: Final = (
    "any text without control characters; it may name a person ([safety](safety.md#privacy))"
)

FIELDS: Final[dict[str, KnownField]] = {
    "image": KnownField(
        "image that the row is about",
        "path below the folder of the images, or name of a file there, with or without its ending",
        (
            "image", "image id", "image name", "image path", "image file", "file", "file name",
            "filename", "path", "img", "dicom id", "image index", "png", "jpg", "picture", "bild",
            "bilddatei", "dateiname", "datei", "fichier", "archivo", "imagen", "sop instance uid",
            "image filename", "dicom",
        ),
    ),
    "patient": KnownField(
        "patient whom the image shows; all images of a patient are in one split", _ID,
        (
            "patient", "patient id", "patientid", "pid", "pat id", "subject", "subject id", "mrn",
            "person", "person id", "case", "case id", "patient nr", "patient number",
            "patientennummer", "patienten id", "patienten nr", "fallnummer", "paciente",
            "id paciente", "patient no", "patient identifier",
        ),
    ),
    "study": KnownField(
        "examination that the image belongs to; default: one per patient and date", _ID,
        (
            "study", "study id", "studyid", "exam", "exam id", "examination", "accession",
            "accession number", "accession no", "visit", "study instance uid", "untersuchung",
            "untersuchungsnummer", "examen", "estudio", "study uid", "order number",
        ),
    ),
    "view": KnownField(
        "projection", ", ".join(f"`{v}`" for v in VIEWS) + "; upper or lower case",
        (
            "view", "view position", "viewposition", "projection", "position", "orientation",
            "ansicht", "projektion", "incidence", "proyeccion", "vista", "strahlengang",
        ),
    ),
    "sex": KnownField(
        "sex of the patient", ", ".join(f"`{s}`" for s in SEXES) + "; upper or lower case",
        ("sex", "gender", "patient sex", "patient gender", "geschlecht", "sexe", "sexo"),
    ),
    "age": KnownField(
        "age of the patient at the examination",
        f"full years from 0 to {OLDEST}; DICOM's `058Y`, `013M`, `006W` and `030D` too",
        (
            "age", "patient age", "age years", "age at study", "age at exam", "alter", "edad",
            "age yrs", "patientenalter",
        ),
    ),
    "date": KnownField(
        "day of the examination; only used to tell examinations apart, and not written anywhere",
        "in the form that `dates` states, such as `%Y-%m-%d`",
        (
            "date", "study date", "exam date", "examination date", "acquisition date",
            "scan date", "date of exam", "date of study", "datum", "untersuchungsdatum",
            "aufnahmedatum", "date examen", "fecha", "fecha estudio",
        ),
    ),
    "split": KnownField(
        "part of the data that the row is meant for",
        "; ".join(f"{ours}: " + ", ".join(f"`{k}`" for k, v in SPLIT_NAMES.items() if v == ours)
                  for ours in SPLITS),
        ("split", "fold", "subset", "partition", "set", "dataset split"),
    ),
    "findings": KnownField(
        "list of findings that are present; what is not in the list stays unknown",
        "names or spellings of the labels below, separated as `separator_of_findings` states",
        (
            "findings", "finding", "labels", "label", "finding labels", "diagnosis", "diagnoses",
            "pathology", "pathologies", "abnormalities", "befunde", "diagnose", "diagnosen",
            "diagnostic", "hallazgos", "diagnostico", "finding label", "class labels",
        ),
    ),
    "ctr": KnownField(
        "cardiothoracic ratio", "ratio between 0 and 1, such as `0.52`, or with a sign, `52 %`",
        ("ctr", "cardiothoracic ratio", "cardio thoracic ratio", "htq", "herz thorax quotient"),
    ),
    "cpar": KnownField(
        "area of the heart over that of the lungs", "ratio between 0 and 1, or with a sign, `32 %`",
        ("cpar", "cardiopulmonary area ratio"),
    ),
    "edema": KnownField(
        "grade of pulmonary edema", ", ".join(f"`{k}` = {v}" for k, v in enumerate(EDEMA_GRADES)),
        ("edema grade", "oedema grade", "edema severity", "pulmonary edema grade", "pe severity"),
    ),
    "report": KnownField(
        "whole report; findings and impression are read from its headings", _TEXT,
        (
            "report", "report text", "radiology report", "full report", "befund", "compte rendu",
            "informe", "befundtext", "radiologist report", "report findings and impression",
        ),
    ),
    "findings_text": KnownField(
        "the section findings of the report", _TEXT,
        ("findings text", "report findings", "findings section"),
    ),
    "impression": KnownField(
        "the section impression of the report", _TEXT,
        ("impression", "impression text", "report impression", "conclusion"),
    ),
    "phrase": KnownField(
        "finding or phrase that the box shows", _TEXT,
        (
            "phrase", "class name", "category", "region", "label text", "box label", "class",
            "category name",
        ),
    ),
    "box": KnownField(
        "one box or several as a list of numbers, such as `[10, 20, 110, 220]`", _BOX,
        ("box", "boxes", "bbox", "bboxes", "bounding box", "bounding boxes"),
    ),
    "x1": KnownField("left edge of the box", _BOX, ("x1", "xmin", "x min", "left", "x", "bbox x")),
    "y1": KnownField("upper edge of the box", _BOX, ("y1", "ymin", "y min", "top", "y", "bbox y")),
    "x2": KnownField("right edge of the box", _BOX, ("x2", "xmax", "x max", "right")),
    "y2": KnownField("lower edge of the box", _BOX, ("y2", "ymax", "y max", "bottom")),
    "box_width": KnownField(
        "width of the box, in place of `x2`",
        _BOX,
        ("w", "width", "bbox w", "bbox width"),
    ),
    "box_height": KnownField(
        "height of the box, in place of `y2`",
        _BOX,
        ("h", "height", "bbox h", "bbox height"),
    ),
    "image_width": KnownField(
        "width of the image that the boxes are in pixels of; default: that of the file",
        "pixels; boxes are scaled if the file has another size",
        ("image width", "img width", "original width", "dim1"),
    ),
    "image_height": KnownField(
        "height of the image that the boxes are in pixels of; default: that of the file",
        "pixels; boxes are scaled if the file has another size",
        ("image height", "img height", "original height", "dim0"),
    ),
    "mask": KnownField(
        "mask of the phrase as run lengths; it becomes a box",
        "`start length start length …`, starts from 1, in the order that `runs` states",
        ("mask", "rle", "encodedpixels", "encoded pixels", "segmentation"),
    ),
    "question": KnownField("question about the image", _TEXT, ("question", "query", "frage")),
    "answer": KnownField(
        "answer to the question; `yes` and `no` make it a closed question", _TEXT,
        ("answer", "answers", "response", "antwort"),
    ),
    "question_type": KnownField(
        "kind of the question",
        _TEXT,
        ("question type", "content type", "qtype"),
    ),
    "reader": KnownField(
        "person who stated the row, where several read the same image", _TEXT,
        ("reader", "reader id", "rad id", "annotator", "radiologist", "rater"),
    ),
}  # fmt: skip
"""Every field, in the order of the documentation."""
