"""Takes a messy table of a hospital from the file to a trained model, by commands alone."""

import json

import polars as pl
import pytest
import yaml

from hospitals import BAD_DATE, BAD_VIEWS, MISSING, ROWS, SPELLINGS, hospital_rows, write_table
from imaxray.cli import main
from imaxray.curation import build_catalog, open_dataset
from imaxray.errors import ImaxrayError


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    root = tmp_path_factory.mktemp("hospital")
    rows = hospital_rows(root / "images")
    write_table(root / "labels.csv", rows, ";", "utf-8-sig")
    return root


@pytest.fixture
def command(hospital, monkeypatch, capsys):
    """Run a command in the folder of the hospital; return what it prints."""
    monkeypatch.chdir(hospital)

    def run(*args, code=0):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["imaxray", *args])
        try:
            found = main()
        except SystemExit as end:
            found = end.code
        said = capsys.readouterr()
        assert (found or 0) == code, said.err
        return said.out + said.err

    return run


def test_every_column_is_understood_without_a_question(command, hospital):
    said = command("sources", "new", "my-hospital", "--table", "labels.csv", "--images", "images")
    assert "Question" not in said and "imaxray sources check my-hospital" in said
    made = yaml.safe_load((hospital / "my-hospital/source.yaml").read_text())
    assert "questions" not in made
    table = made["tables"][0]
    assert table["columns"] == {
        "image": "Bild", "patient": "Patienten-ID", "sex": "Geschlecht", "age": "Alter",
        "date": "Untersuchungsdatum", "view": "Projektion", "findings": "Befunde", "ctr": "HTQ",
    }  # fmt: skip
    assert table["labels"] == {"Pneumothorax": "Pneumothorax"}
    assert (table["separator"], table["decimal"], table["dates"]) == (";", ",", "%d.%m.%Y")
    assert table["values"] == {"view": {"p.a.": "PA"}, "sex": {"w": "F"}}
    effusion = {word for word, label in made["vocabulary"].items() if label == "Pleural Effusion"}
    assert effusion == set(SPELLINGS) - {"Pleural Effusion"}
    assert made["vocabulary"]["o.B."] == "No Finding"
    text = (hospital / "my-hospital/source.yaml").read_text()
    assert "schräg?" in text and "Bemerkung" in text  # what is not used is said in the file


def test_the_check_counts_every_row_and_names_every_fault(command):
    said = command("sources", "check", "my-hospital", "my-hospital/source.yaml")
    assert "198 images" in said
    for code, count in (("unknown-view", 2), ("missing-image", 1), ("bad-date", 1)):
        row = next(line for line in said.splitlines() if code in line)
        assert row.split("│")[3].strip() == str(count)
    assert "differ only in case, blanks or leading zeros: 1 group, such as 30 and 00030." in said


def test_the_catalog_equals_an_independent_count(hospital):
    tables = build_catalog({"my-hospital": hospital / "my-hospital/source.yaml"})
    rows = hospital_rows()
    seen = {row["Bild"]: row for k, row in enumerate(rows) if k != MISSING}
    images = {row["image_id"]: row for row in tables.images.iter_rows(named=True)}
    assert images.keys() == {f"my-hospital/{name}" for name in seen}
    for name, row in seen.items():
        image = images[f"my-hospital/{name}"]
        assert image["patient_id"] == f"my-hospital/{row['Patienten-ID']}"  # zeros are kept
        assert image["age"] == int(row["Alter"])
        assert image["sex"] == {"m": "M", "w": "F"}[row["Geschlecht"]]
        bad = name in {f"img_{k:04d}.png" for k in BAD_VIEWS}
        assert image["view"] == (None if bad else {"p.a.": "PA"}.get(*[row["Projektion"]] * 2))
    facts = tables.annotations
    effusions = sum(
        any(w in row["Befunde"].split("; ") for w in SPELLINGS) for row in seen.values()
    )
    positive = facts.filter(kind="label", value=1.0)
    assert positive.filter(pl.col("name").cast(str) == "Pleural Effusion").height == effusions
    ratios = facts.filter(kind="measurement")
    by_image = dict(ratios.select("image_id", "value").iter_rows())
    assert by_image == {
        f"my-hospital/{name}": float(row["HTQ"].replace(",", ".")) for name, row in seen.items()
    }
    absent = facts.filter(kind="label", value=0.0).height
    assert absent == sum(row["Pneumothorax"].lower() == "nein" for row in seen.values())
    account = {file: (n, kept + lost) for _, file, n, kept, lost in tables.account.iter_rows()}
    assert account["labels.csv"] == (ROWS, ROWS)
    codes = tables.rejects.filter(pl.col("file").cast(str) == "labels.csv")
    found = {(row, str(code)) for row, code in codes.select("row", "code").iter_rows()}
    assert found == {
        (MISSING + 1, "missing-image"), (BAD_DATE + 1, "bad-date"), (101, "duplicate-annotation"),
        *((k + 1, "unknown-view") for k in BAD_VIEWS),
    }  # fmt: skip


def test_a_tiny_model_is_trained_by_the_study_that_was_written(command, hospital):
    path = hospital / "my-hospital/study.yaml"
    content = yaml.safe_load(path.read_text())
    content["training"] |= {"steps": 2, "save_every": 2, "eval_every": 2}
    content["model"] |= {"width": 32, "vision_layers": 1, "text_layers": 1}
    content["evaluation"] = {"max_new_tokens": 4, "resamples": 100}
    (hospital / "quick.yaml").write_text(yaml.safe_dump(content))
    command("study", "--config", "quick.yaml", "--out", "study")
    report = (hospital / "study/report.html").read_text()
    assert "my-hospital" in report
    catalog = open_dataset(hospital / "study/catalog")
    assert not catalog.verify()
    assert "| my-hospital | own | your own |" in (hospital / "study/catalog/README.md").read_text()
    command("build", "--config", "quick.yaml", "--out", "study")  # the datasets are kept
    command("audit", "study/catalog")
    command("export", "study/catalog", "--format", "croissant", "--out", "export")
    described = json.loads((hospital / "export/croissant.json").read_text())
    assert described["license"] == ["your own"] and described["isBasedOn"] == []
    command("share", "study/catalog", "--out", "shared")
    shared = pl.read_csv(hospital / "shared/images.csv")
    assert not shared["image_id"].str.contains("img_").any()  # own ids may name people


def test_a_dataset_is_rebuilt_only_from_the_same_mapping(command, hospital):
    manifest = "study/catalog/manifest.json"
    command(
        "rebuild", manifest, "--source", "my-hospital=my-hospital/source.yaml", "--out", "again"
    )
    path = hospital / "other.yaml"
    text = (hospital / "my-hospital/source.yaml").read_text()
    path.write_text(text.replace("root: ..", "root: .").replace("o.B.: No Finding", "o.B.: null"))
    said = command("rebuild", manifest, "--source", f"my-hospital={path}", "--out", "third", code=2)
    assert "source.yaml of my-hospital" in said


def test_a_changed_mapping_is_a_new_build(command, hospital):
    path = hospital / "my-hospital/source.yaml"
    before = path.read_text()
    command("build", "--config", "quick.yaml", "--out", "study")
    first = (hospital / "study/catalog/manifest.json").read_text()
    path.write_text(before.replace("enlarged heart: Cardiomegaly", "enlarged heart: null"))
    try:
        command("build", "--config", "quick.yaml", "--out", "study")
    finally:
        path.write_text(before)
    assert (hospital / "study/catalog/manifest.json").read_text() != first


def test_an_open_question_stops_the_check(command, hospital):
    text = (hospital / "my-hospital/source.yaml").read_text()
    path = hospital / "asking.yaml"
    path.write_text(text.replace("root: ..", "root: .") + "questions:\n- 'dates: which is it?'\n")
    said = command("sources", "check", "my-hospital", str(path), code=2)
    assert "dates: which is it?" in said and "under questions" in said


def test_a_source_that_is_there_is_not_replaced(command):
    said = command(
        "sources", "new", "my-hospital", "--table", "labels.csv", "--images", "images", code=2
    )
    assert "--overwrite" in said


def test_the_name_of_a_published_release_is_not_taken(hospital, monkeypatch):
    monkeypatch.chdir(hospital)
    with pytest.raises(ImaxrayError, match="its name is my-hospital"):
        build_catalog({"other": hospital / "my-hospital/source.yaml"})
