"""Tests that a question or value which is stated twice, differently, is a recorded conflict."""

import polars as pl
import pytest

from imaxray.clinical import load_clinical_rules
from imaxray.curation.joining.conflicts import ConflictRuleConfig, ConflictsConfig
from imaxray.curation.joining.join import join_annotations
from imaxray.schema import ANNOTATIONS, IMAGES, SOURCE_ANNOTATIONS, conform
from imaxray.sources import SourceTables
from imaxray.tasks import make_entries


def images():
    row = {"image_id": "m/1", "patient_id": "p", "study_id": "s", "split": "train", "path": "a",
           "width": 9, "height": 9, "source": "a", "file": "f", "row": 1, "view": "PA"}  # fmt: skip
    return conform(pl.DataFrame([row]), IMAGES)


def join(*rows, effect="downgrade", **options):
    """Rows of (source, origin, further columns) joined to one image."""
    tables = []
    for source in sorted({row[0] for row in rows}):
        own = [
            {"image_id": "m/1", "source": source, "file": "f", "row": number, "origin": origin,
             "quality": "q", **more}
            for number, (name, origin, more) in enumerate(rows, start=1) if name == source
        ]  # fmt: skip
        frame = pl.DataFrame(own, infer_schema_length=None)
        tables.append(SourceTables(annotations=conform(frame, SOURCE_ANNOTATIONS)))
    rules = {name: ConflictRuleConfig(effect=effect, **options)
             for name in ("repeated-question", "repeated-value")}  # fmt: skip
    config = ConflictsConfig(rules=rules)
    return join_annotations(tables, images(), images().head(0), conflicts=config)


def ask(text, *answers, closed=1.0):
    return {"kind": "qa", "text": text, "answers": list(answers), "value": closed}


def value(kind, name, number):
    return {"kind": kind, "name": name, "value": float(number)}


YES, NO = ask("Is there edema?", "yes"), ask("Is there edema?", "no")


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("a", "human", YES), ("a", "human", NO)], [(1, 2)]),
        ([("a", "human", YES), ("b", "human", NO)], [(1, 2)]),
        ([("a", "human", YES), ("a", "human", ask("is there  Edema", "No."))], [(1, 2)]),
        ([("a", "human", YES), ("a", "human", NO), ("b", "silver", NO)], [(1, 2), (1, 3)]),
        ([("a", "human", YES), ("b", "human", ask("Is there edema?", "Yes."))], []),
        ([("a", "human", YES), ("a", "human", ask("Is there a mass?", "no"))], []),
        ([("a", "human", ask("Which?", "edema", "mass", closed=0.0)),
          ("a", "human", ask("Which?", "mass", "edema", closed=0.0))], []),
        ([("a", "human", ask("Where?", "left", closed=0.0)),
          ("b", "human", ask("Where?", "right", closed=0.0))], [(1, 2)]),
        ([("a", "human", value("grade", "edema", 1)),
          ("a", "human", value("grade", "edema", 3))], [(1, 2)]),
        ([("a", "silver", value("measurement", "ctr", 0.50)),
          ("a", "silver", value("measurement", "ctr", 0.51))], []),
        ([("a", "silver", value("measurement", "ctr", 0.50)),
          ("a", "silver", value("measurement", "ctr", 0.53))], [(1, 2)]),
        ([("a", "silver", value("label", "Edema", 1)),
          ("a", "silver", value("label", "Edema", 0))], [(1, 2)]),
        ([("a", "silver", value("label", "Edema", 1)),
          ("a", "silver", value("label", "Edema", -1))], []),
        ([("a", "silver", value("label", "Edema", 1)),
          ("a", "human", value("label", "Edema", 0))], []),
    ],
)  # fmt: skip
def test_what_is_a_contradiction_and_that_both_sides_are_listed(rows, found):
    joined = join(*rows, effect="keep")
    assert joined.conflicts.select("row", "other_row").rows() == found
    assert sum(joined.compared.values()) >= len(found)


def test_by_default_both_answers_are_disputed_and_one_entry_says_so():
    joined = join(("a", "human", YES), ("a", "human", NO))
    assert joined.annotations["quality"].cast(pl.String).to_list() == ["q, disputed"] * 2
    entries = make_entries(joined.annotations, images())
    assert entries["quality"].to_list() == ["human/q, disputed"]
    assert conform(joined.annotations, ANNOTATIONS).height == 2


def test_only_the_weaker_answer_is_disputed():
    joined = join(("a", "silver", YES), ("b", "human", NO))
    by_source = dict(joined.annotations.select("source", "quality").cast(pl.String).iter_rows())
    assert by_source == {"a": "q, disputed", "b": "q"}
    assert make_entries(joined.annotations, images())["target"].to_list() == ["no"]


def test_dropped_answers_make_no_entry_and_are_rejects():
    joined = join(("a", "human", YES), ("a", "human", NO), effect="drop")
    rejects = pl.concat(joined.rejects)
    assert joined.annotations.is_empty()
    assert rejects.select("row", "code").rows() == [(1, "conflict"), (2, "conflict")]


def test_an_answer_that_is_repeated_exactly_is_one_answer():
    joined = join(("a", "human", YES), ("a", "human", YES), ("a", "human", NO))
    assert joined.conflicts.select("row", "other_row").rows() == [(1, 3)]


def test_the_margin_of_ratios_is_the_users():
    rows = [("a", "silver", value("measurement", "ctr", c)) for c in (0.50, 0.53)]
    assert join(*rows, threshold=0.1).conflicts.is_empty()


def test_a_clinical_block_does_not_know_these_rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("clinical: {repeated-question: {severity: warning}}")
    with pytest.raises(Exception, match="repeated-question"):
        load_clinical_rules(path)
