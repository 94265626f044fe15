"""Tests contradictions between annotations of one image, for each rule and each effect."""

import polars as pl
import pytest
from pydantic import ValidationError

from imaxray.curation.joining.conflicts import (
    CONFLICT_RULES,
    ConflictRuleConfig,
    ConflictsConfig,
    find_conflicts,
)
from imaxray.schema import ANNOTATIONS, conform


def facts(*rows):
    """Rows of (image, kind, name, value, origin), with more columns as a dict in the end."""
    table = []
    for number, (image, kind, name, value, origin, *more) in enumerate(rows, start=1):
        table.append(
            {"image_id": f"m/{image}", "kind": kind, "name": name, "value": value,
             "origin": origin, "quality": "q", "source": "s", "file": "f", "row": number,
             "_image": image, **(more[0] if more else {})}
        )  # fmt: skip
    frame = pl.DataFrame(table, infer_schema_length=None)
    image = pl.Series("_image", frame["_image"], dtype=pl.UInt32)
    return conform(frame.drop("_image"), ANNOTATIONS).with_columns(image)


def ask(rule, table, effect="keep", threshold=None):
    config = ConflictsConfig(rules={rule: ConflictRuleConfig(effect=effect, threshold=threshold)})
    return find_conflicts(table, config, stage=CONFLICT_RULES[rule].stage)


@pytest.mark.parametrize(
    ("ctr", "label", "found"),
    [(0.40, 1, 1), (0.46, 1, 0), (0.60, 0, 1), (0.54, 0, 0), (0.60, 1, 0), (0.60, -1, 0)],
)
def test_ctr_against_cardiomegaly(ctr, label, found):
    table = facts((0, "measurement", "ctr", ctr, "silver"),
                  (0, "label", "Cardiomegaly", label, "silver"))  # fmt: skip
    _, _, conflicts, compared = ask("ctr-cardiomegaly", table)
    assert conflicts.height == found
    # an uncertain label states nothing, so there is nothing to compare
    assert compared["ctr-cardiomegaly"] == int(label >= 0)


@pytest.mark.parametrize(
    ("grade", "label", "found"), [(0, 1, 1), (1, 0, 0), (2, 0, 1), (3, 1, 0), (0, 0, 0)]
)
def test_edema_grade_against_label(grade, label, found):
    table = facts((0, "grade", "edema", grade, "human"), (0, "label", "Edema", label, "silver"))
    assert ask("edema-grade-label", table)[2].height == found


def test_a_human_box_against_the_label_and_other_images_are_not_compared():
    box = {"boxes": [[0.0, 0.0, 5.0, 5.0]], "text": "left pneumothorax"}
    table = facts(
        (0, "region", "Pneumothorax", None, "human", box),
        (0, "label", "Pneumothorax", 0, "silver"),
        (1, "label", "Pneumothorax", 0, "silver"),
        (0, "label", "Edema", 0, "silver"),
    )
    _, _, conflicts, compared = ask("region-label", table)
    assert compared["region-label"] == 1
    assert conflicts.select("row", "other_row").rows() == [(1, 2)]


@pytest.mark.parametrize(
    ("text", "name", "label", "found"),
    [
        ("No pneumothorax is seen.", "Pneumothorax", 1, 1),
        ("No pneumothorax is seen.", "Pneumothorax", 0, 0),
        ("There is a small left pleural effusion.", "Pleural Effusion", 0, 1),
        ("There is a small left pleural effusion. No right effusion.", "Pleural Effusion", 0, 0),
        ("No right effusion. Small left effusion.", "Pleural Effusion", 1, 0),
        ("Possible pneumonia.", "Pneumonia", 0, 0),
        ("The heart size is normal.", "Cardiomegaly", 1, 1),
        ("The heart is enlarged.", "Cardiomegaly", 0, 1),
        ("The lungs are clear.", "Edema", 1, 0),
    ],
)
def test_report_text_against_labels(text, name, label, found):
    table = facts((0, "report", "findings", None, "human", {"text": text}),
                  (0, "label", name, label, "silver"))  # fmt: skip
    assert ask("report-label", table)[2].height == found


def test_boxes_of_two_readers():
    def box(reader, *corners):
        return (0, "region", "Nodule", None, "human",
                {"boxes": [[float(c) for c in corners]], "reader": reader})  # fmt: skip

    near = facts(box("A", 0, 0, 10, 10), box("B", 1, 1, 11, 11))
    far = facts(box("A", 0, 0, 10, 10), box("B", 50, 50, 60, 60))
    alone = facts(box("A", 0, 0, 10, 10), box("A", 50, 50, 60, 60))
    assert ask("reader-boxes", near)[2].height == 0
    assert ask("reader-boxes", far)[2].height == 2  # each is without an equal at the other's
    assert ask("reader-boxes", alone)[3]["reader-boxes"] == 0


TWO = facts((0, "measurement", "ctr", 0.7, "silver"), (0, "label", "Cardiomegaly", 0, "human"),
            (1, "label", "Cardiomegaly", 0, "human"))  # fmt: skip


def test_keep_only_counts():
    kept, rejects, conflicts, _ = ask("ctr-cardiomegaly", TWO, "keep")
    assert kept.equals(TWO) and rejects.is_empty() and conflicts.height == 1


def test_drop_rejects_the_weaker_of_the_two():
    kept, rejects, _, _ = ask("ctr-cardiomegaly", TWO, "drop")
    assert kept["row"].to_list() == [2, 3]
    assert rejects.select("row", "code").rows() == [(1, "conflict")]


def test_downgrade_marks_the_weaker_and_marks_it_once():
    kept, rejects, _, _ = ask("ctr-cardiomegaly", TWO, "downgrade")
    assert kept["quality"].cast(pl.String).to_list() == ["q, disputed", "q", "q"]
    again = ask("ctr-cardiomegaly", kept, "downgrade")[0]
    assert again["quality"].cast(pl.String).to_list() == ["q, disputed", "q", "q"]
    assert rejects.is_empty()


def test_between_equals_both_are_weaker():
    equal = facts((0, "measurement", "ctr", 0.7, "silver"),
                  (0, "label", "Cardiomegaly", 0, "silver"))  # fmt: skip
    kept, rejects, _, _ = ask("ctr-cardiomegaly", equal, "drop")
    assert kept.is_empty() and rejects.height == 2


def test_the_threshold_is_the_users():
    assert ask("ctr-cardiomegaly", TWO, threshold=0.3)[2].is_empty()


@pytest.mark.parametrize(
    ("rule", "threshold", "found"),
    [("ctr-cardiomegaly", 0.1, 1), ("ctr-cardiomegaly", 0.3, 0), ("edema-grade-label", 1, 1),
     ("edema-grade-label", None, 0), ("region-label", 0, 0), ("region-label", 0.5, 1)],
)  # fmt: skip
def test_a_threshold_of_the_build_comes_before_the_clinical_rule(rule, threshold, found):
    box = {"boxes": [[0.0, 0.0, 5.0, 5.0]], "text": "edema"}
    table = facts(
        (0, "measurement", "ctr", 0.7, "silver"), (0, "label", "Cardiomegaly", 0, "silver"),
        (0, "grade", "edema", 1, "human"), (0, "label", "Edema", 0, "silver"),
        (0, "region", "Edema", None, "human", box),
    )  # fmt: skip
    assert ask(rule, table, threshold=threshold)[2].height == found


def test_unknown_rules_are_refused():
    with pytest.raises(ValidationError, match="unknown rule ctr; known are ctr-cardiomegaly"):
        ConflictsConfig(rules={"ctr": ConflictRuleConfig()})
