"""Tests what is proposed for columns, what is asked, and which rows become rejects."""

import polars as pl
import pytest

from hospitals import write_image, write_table
from imaxray.cli.border import run_command
from imaxray.errors import ImaxrayError

ROW = {"image": "1.png", "patient": "A"}


@pytest.fixture(autouse=True)
def images(tmp_path):
    for k in (1, 2, 3):
        write_image(tmp_path / f"images/{k}.png", size=(100, 80), seed=k)


def write(tmp_path, rows, name="t.csv", **options):
    return write_table(tmp_path / name, rows, **options)


def labels(tables):
    found = tables.annotations.filter(kind="label")
    return found.select("image_id", pl.col("name").cast(str), "value").rows()


def codes(tables):
    return [(row, str(code)) for row, code in tables.rejects.select("row", "code").iter_rows()]


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (["31/01/2024", "02/01/2024"], "%d/%m/%Y"),
        (["01/31/2024", "01/02/2024"], "%m/%d/%Y"),
        (["20240131", "20240102"], "%Y%m%d"),
        (["2024-01-31T10:00:00", "2024-01-02T11:30:00"], "%Y-%m-%d"),
    ],
)
def test_an_order_of_day_and_month_that_shows_is_not_asked(tmp_path, release, dates, form):
    write(tmp_path, [{**ROW, "date": dates[0]}, {"image": "2", "patient": "B", "date": dates[1]}])
    tables = release("t.csv")
    assert tables.images["study_id"].to_list() == ["mine/A 2024-01-31", "mine/B 2024-01-02"]
    assert form in (tmp_path / "mine/source.yaml").read_text()


def test_an_order_of_day_and_month_that_does_not_show_is_asked(tmp_path, asked, release):
    write(
        tmp_path,
        [{**ROW, "date": "01/02/2024"}, {"image": "2", "patient": "B", "date": "3/4/2024"}],
    )
    (question,) = asked("t.csv")
    assert "%d/%m/%Y or %m/%d/%Y" in question
    tables = release("t.csv", dates="%m/%d/%Y")
    assert tables.images["study_id"].to_list() == ["mine/A 2024-01-02", "mine/B 2024-03-04"]


def test_a_missing_column_of_patients_is_asked(tmp_path, asked, release):
    write(tmp_path, [{"image": "1.png", "effusion": "0"}, {"image": "2.png", "effusion": "1"}])
    (question,) = asked("t.csv")
    assert question.startswith("columns.patient")
    tables = release("t.csv", columns={"patient": "none"})
    assert tables.images["patient_id"].to_list() == ["mine/1.png", "mine/2.png"]


def test_a_misspelt_finding_is_asked_and_a_foreign_one_is_said(tmp_path, asked, release):
    rows = [{**ROW, "finding": "Pleural Efusion|scoliosis|No Finding"},
            {"image": "2.png", "patient": "B", "finding": "normal"}]  # fmt: skip
    write(tmp_path, rows)
    (question,) = asked("t.csv")
    assert "did you mean Pleural Effusion?" in question
    tables = release("t.csv", means=[("Pleural Efusion", "pleural effusion")])
    assert labels(tables) == [
        ("mine/1.png", "Pleural Effusion", 1.0), ("mine/2.png", "No Finding", 1.0),
    ]  # fmt: skip
    assert codes(tables) == [(1, "unmapped-label"), (1, "no-finding-denied")]
    assert "scoliosis" in (tmp_path / "mine/source.yaml").read_text()


@pytest.mark.parametrize(
    ("cells", "means", "values"),
    [
        (["YES", "No", "?"], [], [1.0, 0.0, -1.0]),
        (["sí", "no", "dudoso"], [], [1.0, 0.0, -1.0]),
        (["oui", "non", ""], [], [1.0, 0.0, None]),
        (["1", "0", "2"], [("2", "uncertain")], [1.0, 0.0, -1.0]),
        (["1", "0", "9"], [("9", "unknown")], [1.0, 0.0, None]),
        (["1", "-1", "-1"], [("-1", "no")], [1.0, 0.0, 0.0]),
        (["x", "", ""], [("", "no")], [1.0, 0.0, 0.0]),
        (["x", "", ""], [("", "unknown")], [1.0, None, None]),
    ],
)
def test_values_of_labels(tmp_path, asked, release, cells, means, values):
    rows = [{"image": f"{k}.png", "patient": k, "PTX": cell} for k, cell in enumerate(cells, 1)]
    write(tmp_path, rows)
    assert len(asked("t.csv")) == len(means)  # what may mean several things is asked, never guessed
    tables = release("t.csv", means=means)
    assert labels(tables) == [
        (f"mine/{k}.png", "Pneumothorax", v) for k, v in enumerate(values, 1) if v is not None
    ]
    assert codes(tables) == []


def test_cells_of_a_label_are_no_images_and_no_key(tmp_path, release):
    """0 and 1 are names of images in many folders, and stand in every column of labels."""
    for k in (0, 1):
        write_image(tmp_path / f"images/{k}.png", seed=10 + k)
    scans = [("0", "A", "1"), ("1", "B", "0"), ("3", "C", "1")]
    write(tmp_path, [{"scan": s, "pid": p, "score": v} for s, p, v in scans], "i.csv")
    rows = [{"pid": p, "effusion": v, "score": v, "edema": v} for p, v in ("A0", "B1", "C0")]
    write(tmp_path, rows, "p.csv")
    tables = release("i.csv", "p.csv")
    assert tables.images["image_id"].to_list() == ["mine/0.png", "mine/1.png", "mine/3.png"]
    assert [v for _, name, v in labels(tables) if name == "Pleural Effusion"] == [0.0, 1.0, 0.0]
    assert {name for _, name, _ in labels(tables)} == {"Pleural Effusion", "Edema"}
    assert codes(tables) == []


def test_a_value_that_comes_later_is_a_reject(tmp_path, release):
    write(tmp_path, [{**ROW, "PTX": "1"}, {"image": "2.png", "patient": "B", "PTX": "0"}])
    release("t.csv")
    write(tmp_path, [{**ROW, "PTX": "1"}, {"image": "2.png", "patient": "B", "PTX": "maybe not"}])
    from imaxray.sources import open_release

    source, root = open_release("mine", tmp_path / "mine/source.yaml")
    tables = source.read(root)
    assert codes(tables) == [(2, "unknown-value")] and len(labels(tables)) == 1


def test_yaml_that_reads_no_as_false_is_understood(tmp_path, release, catalog):
    write(tmp_path, [{**ROW, "PTX": "1"}, {"image": "2.png", "patient": "B", "PTX": "0"}])
    release("t.csv")
    path = tmp_path / "mine/source.yaml"
    path.write_text(
        path.read_text().replace("  format: csv", "  format: csv\n  label_values: {1: no, 0: yes}")
    )
    found = catalog().annotations.select("image_id", "value").rows()
    assert found == [("mine/1.png", 0.0), ("mine/2.png", 1.0)]


def test_several_tables_are_joined_by_a_key(tmp_path, release):
    write(tmp_path, [{"file": "1.png", "visit": "v1"}, {"file": "2.png", "visit": "v2"}], "i.csv")
    persons = [("v1", "007", "F"), ("v2", "008", "M"), ("v3", "009", "M"), ("", "1", "M")]
    names = ("visit", "patient_id", "sex")
    write(tmp_path, [dict(zip(names, person, strict=True)) for person in persons], "p.csv")
    write(tmp_path, [{"pid": "007", "CTR": "55"}, {"pid": "008", "CTR": "48"}], "m.csv")
    tables = release("i.csv", "p.csv", "m.csv")
    assert tables.images.select("patient_id", "sex").rows() == [
        ("mine/007", "F"),
        ("mine/008", "M"),
    ]
    assert tables.annotations["value"].to_list() == [0.55, 0.48]
    assert codes(tables) == [(3, "unknown-key"), (4, "bad-id")]


def test_boxes_in_columns_and_in_lists(tmp_path, asked, release):
    names = ("image", "patient", "x", "y", "w", "h", "label")
    cells = [("1.png", "A", "10", "20", "30", "40", "nodule"),
             ("2.png", "B", "", "", "", "", "No finding"),
             ("3.png", "C", "1", "", "2", "3", "mass")]  # fmt: skip
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    write(tmp_path, rows)
    tables = release("t.csv")
    assert tables.annotations.filter(kind="region")["boxes"].to_list() == [
        [[10.0, 20.0, 40.0, 60.0]]
    ]
    assert labels(tables) == [("mine/2.png", "No Finding", 1.0)]
    assert codes(tables) == [(3, "bad-value")]
    write(tmp_path, [{**ROW, "bbox": "[10, 20, 40, 60]", "phrase": "the left base"}])
    (question,) = asked("t.csv")
    assert question.startswith("box_form")
    tables = release("t.csv", boxes="xyxy")
    assert tables.annotations["boxes"].to_list() == [[[10.0, 20.0, 40.0, 60.0]]]


def test_questions_reports_and_grades(tmp_path, asked, release):
    side = {"question": "Which side?", "report": ""}
    write(tmp_path, [
        {**ROW, "question": "Is there an effusion?", "answer": "Yes", "edema": "2",
         "report": "Impression: Fine."},
        {"image": "2.png", "patient": "B", **side, "answer": "left", "edema": "0"},
        {"image": "3.png", "patient": "C", **side, "answer": "", "edema": "3"},
    ])  # fmt: skip
    (question,) = asked("t.csv")
    assert "interstitial edema" in question
    tables = release("t.csv", columns={"edema": "edema"})
    facts = tables.annotations.select("image_id", pl.col("kind").cast(str), "value", "text").rows()
    assert facts == [
        ("mine/1.png", "grade", 2.0, None), ("mine/1.png", "report", None, "Fine."),
        ("mine/1.png", "qa", 1.0, "Is there an effusion?"), ("mine/2.png", "grade", 0.0, None),
        ("mine/2.png", "qa", 0.0, "Which side?"), ("mine/3.png", "grade", 3.0, None),
    ]  # fmt: skip
    assert codes(tables) == [(3, "empty-text")]


def test_a_table_of_windows_is_read_in_its_encoding(tmp_path, release):
    rows = [
        {**ROW, "Geschlecht": "männlich"},
        {"image": "2.png", "patient": "B", "Geschlecht": "weiblich"},
    ]
    write(tmp_path, rows, separator=";", encoding="cp1252")
    assert release("t.csv").images["sex"].to_list() == ["M", "F"]
    assert "cp1252" in (tmp_path / "mine/source.yaml").read_text()


def test_the_word_none_is_asked_wherever_it_may_mean_that_nothing_was_found(
    tmp_path, asked, release
):
    cells = [("1", "A", "None", "none", "0"), ("2", "B", "effusion", "yes", "3"),
             ("3", "C", "nodule", "", "None")]  # fmt: skip
    names = ("image", "patient", "findings", "PTX", "edema grade")
    write(tmp_path, [dict(zip(names, row, strict=True)) for row in cells])
    questions = asked("t.csv")
    assert [q.split(" (")[0] for q in questions] == [
        "values.findings: none", "values.edema: none", "label_values: none",
    ]  # fmt: skip
    means = [("findings:none", "No Finding"), ("edema:none", "0"), ("none", "no")]
    tables = release("t.csv", means=means)
    assert labels(tables) == [
        ("mine/1.png", "Pneumothorax", 0.0), ("mine/1.png", "No Finding", 1.0),
        ("mine/2.png", "Pneumothorax", 1.0), ("mine/2.png", "Pleural Effusion", 1.0),
        ("mine/3.png", "Nodule", 1.0),
    ]  # fmt: skip
    assert tables.annotations.filter(kind="grade")["value"].to_list() == [0.0, 3.0, 0.0]
    unknown = [("findings:none", "none"), ("edema:none", "none"), ("none", "unknown")]
    tables = release("t.csv", means=unknown)
    assert tables.annotations.filter(kind="grade")["value"].to_list() == [0.0, 3.0]
    assert [row for row in labels(tables) if row[0] == "mine/1.png"] == []


def test_h_and_m_are_asked(tmp_path, asked, release):
    write(tmp_path, [{**ROW, "sexo": "H"}, {"image": "2.png", "patient": "B", "sexo": "M"}])
    (question,) = asked("t.csv")
    assert "hombre" in question
    assert release("t.csv", means=[("H", "M"), ("M", "F")]).images["sex"].to_list() == ["M", "F"]


def test_a_cell_of_one_field_is_answered(tmp_path, release):
    cells = [("1", "30", "p.a"), ("2", "00030", "oblique?"), ("3", "31", "PA")]
    write(tmp_path, [{"image": i, "patient": p, "view": v} for i, p, v in cells])
    means = [("patient:30", "00030"), ("view:oblique?", "none"), ("view:p.a", "pa")]
    tables = release("t.csv", means=means)
    assert tables.images.select("patient_id", "view").rows() == [
        ("mine/00030", "PA"), ("mine/00030", None), ("mine/31", "PA"),
    ]  # fmt: skip
    assert codes(tables) == []
    for answer, said in [(("view:x", "upside down"), "Expected a known view"),
                         (("sex:w", "F"), "a column of sex")]:  # fmt: skip
        with pytest.raises(ImaxrayError, match=said):
            release("t.csv", means=[answer])


def test_the_same_name_in_two_folders_is_no_guess(tmp_path, release):
    write_image(tmp_path / "images/old/1.png")
    write(tmp_path, [ROW, {"image": "old/1.png", "patient": "B"}, {"image": "3", "patient": "C"},
                     {"image": "new/2.png", "patient": "D"}])  # fmt: skip
    tables = release("t.csv")
    # 1.png is the file of this path; new/2.png is not 2.png, because folders tell images apart here
    assert tables.images["path"].to_list() == ["images/1.png", "images/3.png", "images/old/1.png"]
    assert codes(tables) == [(4, "missing-image")]


def test_two_folders_of_the_table_and_one_file_are_no_guess(tmp_path, release):
    """The copy is flat; old/1.png and new/1.png are two images, of which one is left."""
    cells = [("old/1.png", "A"), ("new/1.png", "A"), ("new/2", "B"), (r"C:\new\3.png", "C")]
    write(tmp_path, [{"image": image, "patient": patient} for image, patient in cells])
    tables = release("t.csv")
    assert tables.images["image_id"].to_list() == ["mine/2.png", "mine/3.png"]
    assert codes(tables) == [(1, "ambiguous-image"), (2, "ambiguous-image")]


def test_an_image_of_two_patients_and_a_row_without_one(tmp_path, release):
    write(tmp_path, [ROW, {"image": "1.png", "patient": "B"}, {"image": "2.png", "patient": ""}])
    assert codes(release("t.csv")) == [(2, "other-patient"), (3, "bad-id")]


def test_a_column_that_stands_twice_is_refused(tmp_path, release):
    (tmp_path / "t.csv").write_text("image,patient,effusion,effusion\n1.png,A,1,0\n2.png,B,0,0\n")
    with pytest.raises(ImaxrayError, match="several times"):
        release("t.csv")


def test_splits_are_taken_and_folds_are_asked(tmp_path, asked, release):
    rows = [{**ROW, "split": "training"}, {"image": "2.png", "patient": "B", "split": "holdout"}]
    write(tmp_path, rows)
    assert release("t.csv").hints["split"].to_list() == ["train", "test"]
    write(tmp_path, [dict(row, split=str(k)) for k, row in enumerate(rows)])
    assert "which of train, val, test are 0, 1" in asked("t.csv")[0]
    means = [("0", "train"), ("1", "test")]
    assert release("t.csv", means=means).hints["split"].to_list() == ["train", "test"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("columns:\n    imagee: image", "did you mean image"),
        ("columns:\n    image: pixel", "its columns are image, patient"),
        ("columns:\n    image: image\n    question: patient", "the field answer beside question"),
        ("columns:\n    image: image\n    date: patient", "say by dates"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path, release, catalog, change, said):
    write(tmp_path, [ROW])
    release("t.csv")
    path = tmp_path / "mine/source.yaml"
    path.write_text(path.read_text().replace("columns:\n    image: image", change))
    with pytest.raises(ImaxrayError, match=said):
        catalog()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"means": [("x", "efusion")]}, "did you mean"),
        ({"columns": {"patint": "pid"}}, "did you mean patient"),
        ({"images": "nowhere"}, "Expected the images at"),
    ],
)
def test_an_answer_that_is_none_is_one_sentence(tmp_path, release, options, said):
    write(tmp_path, [ROW])
    with pytest.raises(ImaxrayError, match=said):
        release("t.csv", **options)


@pytest.mark.parametrize("column", ["findings", "Pneumothorax", "view", "sex", "split", "phrase"])
def test_prose_in_a_column_of_spellings_is_counted_and_never_shown(tmp_path, column, capsys):
    report = "The heart of Ms Miller is too large, no effusion"
    write(tmp_path, [{**ROW, column: report}, {"image": "2", "patient": "B", column: report}])
    out = tmp_path / "mine"
    code = run_command(
        ["sources", "new", "mine", "--table", f"{tmp_path}/t.csv", "--images",
         f"{tmp_path}/images", "--out", f"{out}", "--column",
         f"{column}={column}"]
    )  # fmt: skip
    said = capsys.readouterr()
    assert code == 0 and "2 cells of" in said.out and "Miller" not in said.out + said.err
    assert "Miller" not in (out / "source.yaml").read_text()
