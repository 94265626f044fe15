"""Tests that every row that a source returns is legal or a reject, and that the counts add up."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources import ReleaseFile, Source, SourceTables

FILE = "facts.csv"
NAN, INF = math.nan, math.inf
IMAGE = {"image_id": "c/1", "patient_id": "c/p", "path": "1.png", "width": 10, "height": 10}
FACT = {"image_id": "c/1", "kind": "label", "name": "Edema", "value": 1.0, "text": None,
        "boxes": None, "answers": None, "origin": "human", "quality": "q"}  # fmt: skip
KINDS = {
    "measurement": {"kind": "measurement", "name": "ctr", "value": 0.5},
    "report": {"kind": "report", "name": "findings", "text": "Clear lungs."},
    "grade": {"kind": "grade", "name": "edema", "value": 2.0},
    "label": {},
    "region": {"kind": "region", "name": "Mass", "text": "mass", "boxes": [[1.0, 2.0, 3.0, 4.0]],
               "value": None},
    "qa": {"kind": "qa", "name": "q", "value": 1.0, "text": "Is it?", "answers": ["yes"]},
}  # fmt: skip


class Made(Source):
    """A source of another package, whose release is a table in memory."""

    name = "made"
    title = version = licence = citation = url = "made"
    collection = "c"
    tasks = ("findings",)
    access = "open"
    made = SourceTables()

    def check(self, root):
        return []

    def read(self, root):
        return self.made


def frame(rows, schema=None):
    rows = [{**row, "source": "made", "file": FILE, "row": k} for k, row in enumerate(rows, 1)]
    return pl.DataFrame(rows, schema=schema, infer_schema_length=None)


def read(tmp_path, *, images=(IMAGE,), facts=(), rows=None, **more):
    source = Made()
    frames = {"images": frame(images) if isinstance(images, tuple) else images}
    if len(facts):
        frames["annotations"] = frame(facts) if isinstance(facts, (tuple, list)) else facts
    count = rows or max(len(images), len(facts), 1)
    frames.setdefault("files", (ReleaseFile("made", FILE, count, "0"),))
    source.made = SourceTables(**{**frames, **more})
    return source.read(tmp_path)


def test_a_legal_row_of_every_kind_is_kept(tmp_path):
    tables = read(tmp_path, facts=[{**FACT, **more} for more in KINDS.values()])
    assert tables.annotations.height == len(KINDS) and tables.rejects.is_empty()


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("label", {"name": "Lung Cancer"}, "unknown-label"),
        ("label", {"name": "edema"}, "unknown-label"),
        ("label", {"value": 7.0}, "out-of-range"),
        ("label", {"value": NAN}, "out-of-range"),
        ("label", {"value": None}, "out-of-range"),
        ("label", {"kind": "finding"}, "unknown-kind"),
        ("label", {"origin": "robot"}, "bad-value"),
        ("label", {"quality": None}, "bad-value"),
        ("label", {"image_id": "other/1"}, "bad-id"),
        ("label", {"image_id": "c/"}, "bad-id"),
        ("label", {"image_id": None}, "bad-id"),
        ("grade", {"value": 7.0}, "out-of-range"),
        ("grade", {"value": 1.5}, "out-of-range"),
        ("grade", {"name": "effusion"}, "unknown-name"),
        ("measurement", {"value": 1.7}, "out-of-range"),
        ("measurement", {"value": INF}, "out-of-range"),
        ("measurement", {"value": 0.0}, "out-of-range"),
        ("measurement", {"name": "area"}, "unknown-name"),
        ("report", {"text": "  "}, "empty-text"),
        ("report", {"name": "history"}, "unknown-name"),
        ("region", {"boxes": [[3.0, 2.0, 1.0, 4.0]]}, "zero-area-box"),
        ("region", {"boxes": [[1.0, 2.0, 3.0]]}, "bad-value"),
        ("region", {"boxes": [[1.0, 2.0, 3.0, NAN]]}, "bad-value"),
        ("region", {"boxes": [[1.0, 2.0, 3.0, INF]]}, "bad-value"),
        ("region", {"boxes": [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]]}, "zero-area-box"),
        ("region", {"boxes": []}, "no-box"),
        ("region", {"boxes": None}, "no-box"),
        ("qa", {"value": 2.0}, "out-of-range"),
        ("qa", {"text": None}, "empty-text"),
        ("qa", {"answers": None}, "bad-value"),
        ("qa", {"answers": ["yes", None]}, "bad-value"),
    ],
)
def test_a_breach_is_a_reject_with_a_code(tmp_path, kind, change, code):
    sound = {**FACT, **KINDS[kind]}
    schema = {name: SOURCE_ANNOTATIONS[name] for name in sound} | {
        "kind": pl.String, "origin": pl.String, "source": pl.String, "file": pl.String,
        "row": pl.Int64,
    }  # fmt: skip
    tables = read(tmp_path, facts=frame([sound, {**sound, **change}], schema), rows=2)
    kept = tables.annotations.filter(pl.col("name").cast(pl.String) != "No Finding")
    assert kept["row"].to_list() == [1]
    assert tables.rejects.select("row", "code").rows() == [(2, code)]


@pytest.mark.parametrize("value", [1.0, -1.0, 7.0])
def test_a_label_that_is_none_of_ours_never_becomes_no_finding(tmp_path, value):
    facts = [{**FACT, "name": name, "value": 0.0} for name in ("Edema", "Pneumonia")]
    facts += [{**FACT, "name": "No Finding"}, {**FACT, "name": "Lung Cancer", "value": value}]
    tables = read(tmp_path, facts=facts)
    said = dict(tables.annotations.select(pl.col("name").cast(pl.String), "value").iter_rows())
    assert said == {"Edema": 0.0, "Pneumonia": 0.0, "No Finding": 0.0}
    assert sorted(tables.rejects.select("row", "code").rows()) == [
        (3, "no-finding-denied"), (4, "unknown-label"),
    ]  # fmt: skip
    facts[3]["value"] = 0.0  # an absence says nothing about other findings
    assert read(tmp_path, facts=facts).annotations["value"].to_list() == [0.0, 0.0, 1.0]


def test_the_target_of_such_an_image_is_not_no_finding(tmp_path, monkeypatch):
    (tmp_path / "1.png").touch()
    facts = [{**FACT, "value": 0.0}, {**FACT, "name": "Lung Cancer"}]
    source = Made()
    source.made = SourceTables(
        images=frame([IMAGE]), annotations=frame(facts),
        files=(ReleaseFile("made", FILE, 2, "0"),),
    )  # fmt: skip
    monkeypatch.setattr("imaxray.curation.catalog.open_release", lambda name, path: (source, path))
    catalog = build_catalog({"made": tmp_path}, verify=False)
    assert catalog.entries.is_empty() and "unknown-label" in catalog.rejects["code"].to_list()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image_id": None}, "bad-id"), ({"patient_id": "p"}, "bad-id"),
        ({"width": 0}, "bad-value"), ({"height": -3}, "bad-value"), ({"split": "dev"}, "bad-value"),
    ],
)  # fmt: skip
def test_an_illegal_image_is_a_reject(tmp_path, change, code):
    images = ({**IMAGE, "split": None}, {**IMAGE, "image_id": "c/2", "split": "test", **change})
    tables = read(tmp_path, images=images)
    assert tables.images["image_id"].to_list() == ["c/1"]
    assert tables.rejects.select("row", "code").rows() == [(2, code)]


@pytest.mark.parametrize(
    ("change", "value", "codes"),
    [
        ({"view": "pa"}, "PA", []), ({"view": "Ap"}, "AP", []),
        ({"view": "sideways"}, None, ["unknown-view"]), ({"sex": "Female"}, "F", []),
        ({"sex": "?"}, None, ["unknown-sex"]), ({"age": -5}, None, ["unknown-age"]),
        ({"age": 400}, None, ["unknown-age"]), ({"age": 58}, 58, []),
    ],
)  # fmt: skip
def test_what_is_said_of_a_person_is_read_or_counted(tmp_path, change, value, codes):
    tables = read(tmp_path, images=({**IMAGE, **change},))
    assert tables.images.height == 1 and tables.images[next(iter(change))].item() == value
    assert tables.rejects["code"].to_list() == codes


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"images": [1]}, "images of the source made as a Polars frame"),
        ({"images": frame([{**IMAGE, "colour": "grey"}])}, "also have colour"),
        ({"images": frame([IMAGE]).drop("width")}, "lack width"),
        ({"images": frame([{**IMAGE, "path": [["x"]]}])}, "path of the images"),
        ({"images": frame([IMAGE]).with_columns(row=pl.lit(9))}, "row has 9 for facts.csv"),
        ({"images": frame([IMAGE]).with_columns(row=pl.lit(0))}, "row has 0 for facts.csv"),
        ({"images": frame([IMAGE]).with_columns(file=pl.lit("x"))}, "file has x"),
        ({"images": frame([IMAGE]).with_columns(source=pl.lit("x"))}, "source has x"),
        ({"files": (1,)}, "Expected SourceTables"),
    ],
)
def test_a_fault_of_the_structure_is_one_sentence(tmp_path, one_sentence, broken, message):
    with pytest.raises(ImaxrayError, match=message) as error:
        read(tmp_path, **broken)
    one_sentence(error.value)


def test_an_exception_of_a_plug_in_is_one_sentence(tmp_path, one_sentence):
    class Broken(Made):
        def read(self, root):
            return 1 / 0

    with pytest.raises(ImaxrayError, match=r"made .*ZeroDivisionError") as error:
        Broken().read(tmp_path)
    one_sentence(error.value)


def test_text_where_a_number_belongs_is_a_reject(tmp_path):
    facts = frame([{**FACT, "value": "1.0"}, {**FACT, "value": "much", "image_id": "c/2"}])
    tables = read(tmp_path, facts=facts, rows=2)
    assert tables.annotations["row"].to_list() == [1]
    assert tables.rejects.select("row", "code").rows() == [(2, "bad-value")]


NUMBER = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 7.0, NAN, INF]))
NAME = st.sampled_from(["Edema", "edema", "ctr", "No Finding", "findings", "odd", "", None])
WORDS = st.sampled_from(["Some text.", " ", None])
BOXES = st.one_of(st.none(), st.lists(st.lists(NUMBER, max_size=5), max_size=3))
FACTS = st.fixed_dictionaries({
    "image_id": st.sampled_from(["c/1", "c/", "x/1", None]),
    "study_id": st.sampled_from(["c/s", None]),
    "kind": st.sampled_from([*KINDS, "odd", None]), "name": NAME, "value": NUMBER, "text": WORDS,
    "boxes": BOXES, "answers": st.one_of(st.none(), st.lists(WORDS, max_size=2)),
    "origin": st.sampled_from(["human", "robot", None]), "quality": st.sampled_from(["q", None]),
})  # fmt: skip
SCHEMA = {
    **{name: SOURCE_ANNOTATIONS[name] for name in (*FACT, "study_id")}, "kind": pl.String,
    "origin": pl.String, "source": pl.String, "file": pl.String, "row": pl.Int64,
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(FACTS, min_size=1, max_size=8))
def test_every_row_is_kept_or_rejected(tmp_path_factory, sound, rows):
    schema = {name: SCHEMA[name] for name in (*rows[0], "source", "file", "row")}
    tables = read(tmp_path_factory.getbasetemp(), facts=frame(rows, schema), rows=len(rows))
    kept = tables.annotations.filter(pl.col("name").cast(pl.String).fill_null("") != "No Finding")
    seen = set(tables.annotations["row"]) | set(tables.rejects["row"]) | set(tables.images["row"])
    assert seen == set(range(1, len(rows) + 1)) | {1}
    assert not set(kept["row"]) & set(
        tables.rejects.filter(pl.col("code") != "no-finding-denied")["row"]
    )
    sound(tables, Made())


def test_the_schemas_are_those_of_the_package(tmp_path):
    tables = read(tmp_path, facts=[FACT])
    assert (tables.images.schema, tables.annotations.schema) == (IMAGES, SOURCE_ANNOTATIONS)
    assert tables.hints.schema == SPLIT_HINTS
    hints = conform(frame([{"image_id": "c/1", "split": "dev"}]), SPLIT_HINTS)
    assert read(tmp_path, hints=hints).rejects["code"].to_list() == ["bad-value"]
