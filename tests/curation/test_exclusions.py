"""Tests that a build leaves out exactly what a user marked, and says so."""

import json

import polars as pl
import pytest

from imaxray.cli.border import run_command
from imaxray.curation import build_catalog, open_dataset, read_exclusions, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.export import share_dataset
from imaxray.marks import AnnotationKey, Mark, append_mark, fact_digest
from imaxray.schema import ANNOTATIONS, IMAGES
from imaxray.study import DataConfig, StudyConfig, build_datasets, build_study_data, rebuild_dataset

CONFIG = DataConfig(imax={"min_tasks": 4}, verify=False)
ROLES = ("catalog", "imax", "dmax")


@pytest.fixture(scope="module")
def plain(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


@pytest.fixture(scope="module")
def built(phantom_releases, tmp_path_factory):
    out = tmp_path_factory.mktemp("plain")
    build_datasets(phantom_releases, CONFIG, out)
    return out


def mark_of(row, verdict="wrong"):
    key = AnnotationKey(
        **{name: row[name] for name in ("kind", "name", "source", "reader", "file", "row")},
        fact=fact_digest(row),
    )
    return Mark(image_id=row["image_id"], verdict=verdict, annotation=key)


def file_of(path, marks):
    for mark in marks:
        append_mark(path, mark)
    return path


def rows_of(frame, names):
    """Rows as text, which can be compared whatever their columns hold."""
    return sorted(str(row) for row in frame.select(names).rows())


def without(frame, gone, names):
    rows = rows_of(frame, names)
    for row in gone:
        rows.remove(str(tuple(row[name] for name in names)))
    return rows


def test_a_mark_takes_out_what_it_names_and_nothing_else(plain, phantom_releases, tmp_path):
    by_image = plain.images["image_id"].to_list()
    kinds = ("label", "qa", "report", "region", "measurement", "grade")
    facts = []
    for kind in kinds:
        found = plain.annotations.filter(pl.col("kind") == kind, pl.col("image_id") != by_image[0])
        facts += found.head(1).to_dicts()
    assert len(facts) >= 4
    marks = [Mark(image_id=by_image[0], verdict="wrong"), *map(mark_of, facts)]
    marks.append(Mark(image_id=by_image[1], verdict="doubtful"))
    marks.append(Mark(image_id=by_image[2], verdict="note", note="look again"))
    left = build_catalog(
        phantom_releases, verify=False, exclude=file_of(tmp_path / "marks.jsonl", marks)
    )
    image = plain.images.filter(pl.col("image_id") == by_image[0]).to_dicts()
    assert rows_of(left.images, IMAGES.names()) == without(plain.images, image, IMAGES.names())
    its = plain.annotations.filter(pl.col("image_id") == by_image[0]).to_dicts()
    expected = without(plain.annotations, [*its, *facts], ANNOTATIONS.names())
    assert rows_of(left.annotations, ANNOTATIONS.names()) == expected
    assert by_image[0] not in left.entries["image_id"]
    codes = dict(left.rejects.group_by("code").len().iter_rows())
    assert codes["image-marked-wrong"] == 1
    assert codes["annotation-marked-wrong"] == len(facts)
    assert not any(code.endswith("doubtful") for code in codes)
    account = left.decisions["marks"]
    assert account["images"] == {image[0]["source"]: 1}
    assert sum(account["annotations"].values()) == len(facts)
    assert (account["unmatched"], account["unmatched_images"]) == (0, [])
    assert (left.account["rows_in"] == left.account["kept"] + left.account["rejected"]).all()


def test_entries_of_a_marked_annotation_are_gone(plain, phantom_releases, tmp_path):
    report = plain.annotations.filter(kind="measurement").row(0, named=True)
    before = plain.entries.filter(image_id=report["image_id"], task="calculation")
    left = build_catalog(
        phantom_releases, verify=False, exclude=file_of(tmp_path / "m.jsonl", [mark_of(report)])
    )
    assert before.height and left.entries.height < plain.entries.height
    after = left.entries.filter(image_id=report["image_id"], task="calculation")
    assert after.height < before.height


def test_doubtful_counts_where_it_is_asked_for(plain, phantom_releases, tmp_path):
    first, second = plain.images["image_id"][:2]
    path = file_of(
        tmp_path / "marks.jsonl",
        [Mark(image_id=first, verdict="doubtful"), Mark(image_id=second, verdict="wrong")],
    )
    both = read_exclusions(path, ("wrong", "doubtful"))
    left = build_catalog(phantom_releases, verify=False, exclude=both)
    assert {first, second}.isdisjoint(left.images["image_id"])
    codes = set(left.rejects["code"])
    assert {"image-marked-doubtful", "image-marked-wrong"} <= codes


def test_a_withdrawn_mark_takes_nothing_out(plain, phantom_releases, tmp_path):
    first = plain.images["image_id"][0]
    verdicts = ("wrong", "none")
    path = file_of(tmp_path / "m.jsonl", [Mark(image_id=first, verdict=v) for v in verdicts])
    assert first in build_catalog(phantom_releases, verify=False, exclude=path).images["image_id"]


def test_a_mark_that_names_nothing_is_counted_and_named(plain, phantom_releases, tmp_path):
    fact = plain.annotations.filter(kind="label").row(0, named=True)
    other = {**fact, "value": 17.0}
    image = plain.images.filter(pl.col("image_id") != fact["image_id"])["image_id"][0]
    beside = plain.annotations.filter(image_id=image).row(0, named=True)
    marks = [
        mark_of(other), Mark(image_id="no/such", verdict="wrong"),
        Mark(image_id=image, verdict="wrong"), mark_of(beside),
    ]  # fmt: skip
    left = build_catalog(
        phantom_releases, verify=False, exclude=file_of(tmp_path / "m.jsonl", marks)
    )
    account = left.decisions["marks"]
    assert account["unmatched"] == 2  # the annotation of the image that left is gone, too
    assert account["unmatched_images"] == sorted([fact["image_id"], "no/such"])


def test_all_arms_the_manifest_and_the_card_say_what_was_left_out(
    built, phantom_releases, tmp_path
):
    dense = open_dataset(built / "imax").tables.images["image_id"][0]
    path = file_of(tmp_path / "marks.jsonl", [Mark(image_id=dense, verdict="wrong")])
    report = build_datasets(phantom_releases, CONFIG, tmp_path / "a", exclude=path)
    build_datasets(phantom_releases, CONFIG, tmp_path / "b", exclude=path, workers=2)
    digest = read_exclusions(path).sha256
    for role in ROLES:
        data = open_dataset(tmp_path / "a" / role)
        assert dense not in data.tables.images["image_id"]
        assert dense not in data.tables.entries["image_id"]
        assert data.manifest["decisions"]["marks"] == report.marks
        assert report.marks["sha256"] == digest
        assert "Marked as wrong and left out: 1 image (" in (data.folder / "README.md").read_text()
        for name in data.manifest["files"]:
            assert (data.folder / name).read_bytes() == (tmp_path / "b" / role / name).read_bytes()


def test_ids_of_marks_that_name_nothing_are_not_shared(phantom_releases, tmp_path):
    path = file_of(tmp_path / "marks.jsonl", [Mark(image_id="ward/Jane-Doe", verdict="wrong")])
    catalog = build_catalog(phantom_releases, verify=False, exclude=path)
    write_dataset(catalog, tmp_path / "data", config={}, seed=0)
    assert "Jane-Doe" in (tmp_path / "data" / "manifest.json").read_text()
    share_dataset(tmp_path / "data", tmp_path / "shared")
    for file in (tmp_path / "shared").iterdir():
        assert "Jane-Doe" not in file.read_text()
    shared = json.loads((tmp_path / "shared" / "dataset-manifest.json").read_text())
    assert shared["decisions"]["marks"]["unmatched"] == 1


def test_a_dataset_is_rebuilt_with_the_same_marks_only(built, phantom_releases, tmp_path):
    image = open_dataset(built / "imax").tables.images["image_id"][0]
    path = file_of(tmp_path / "marks.jsonl", [Mark(image_id=image, verdict="wrong")])
    build_datasets(phantom_releases, CONFIG, tmp_path / "out", exclude=path)
    manifest = tmp_path / "out" / "imax" / "manifest.json"
    with pytest.raises(ImaxrayError, match="add --exclude FILE"):
        rebuild_dataset(manifest, phantom_releases, tmp_path / "again")
    other = file_of(tmp_path / "other.jsonl", [Mark(image_id=image, verdict="doubtful")])
    with pytest.raises(ImaxrayError, match="use the file of then"):
        rebuild_dataset(manifest, phantom_releases, tmp_path / "again", exclude=other)
    rebuild_dataset(manifest, phantom_releases, tmp_path / "again", exclude=path)
    assert image not in open_dataset(tmp_path / "again").tables.images["image_id"]
    with pytest.raises(ImaxrayError, match="built with marks"):
        rebuild_dataset(
            built / "imax/manifest.json", phantom_releases, tmp_path / "c", exclude=path
        )


def test_a_changed_file_of_marks_makes_a_build_outdated(phantom_releases, tmp_path):
    root = next(iter(phantom_releases.values())).parent
    path, out = tmp_path / "marks.jsonl", tmp_path / "out"
    config = StudyConfig(
        title="t", workers=1, verify=False, imax={"min_tasks": 4}, root=root, exclude=path,
        releases={name: folder.name for name, folder in phantom_releases.items()},
    )  # fmt: skip
    with pytest.raises(ImaxrayError, match="Expected a file of marks at"):
        build_study_data(config, out)
    assert not out.exists() or not any(out.iterdir())
    file_of(path, [Mark(image_id="no/such", verdict="note")])
    first = build_study_data(config, out)
    assert first["marks"]["images"] == {} and first["marks"]["unmatched"] == 0
    assert build_study_data(config, out) == first
    image = open_dataset(out / "imax").tables.images["image_id"][0]
    file_of(path, [Mark(image_id=image, verdict="wrong")])
    second = build_study_data(config, out)
    assert sum(second["marks"]["images"].values()) == 1
    assert image not in open_dataset(out / "dmax").tables.images["image_id"]
    without_marks = build_study_data(config.model_copy(update={"exclude": None}), out)
    assert "marks" not in without_marks
    assert image in open_dataset(out / "catalog").tables.images["image_id"]
    assert str(tmp_path) not in json.dumps(config.content())


@pytest.mark.parametrize(
    "content",
    [
        b"no json\n", b'{"image_id": "a"}\n', b"[]\n", b"\xff\xfe\n", b"\n",
        b'{"image_id": "a", "verdict": "great"}\n',
        b'{"image_id": "", "verdict": "wrong"}\n', b'{"verdict": "wrong", "image_id": "a"',
        b"[" * 100_000 + b"\n",
    ],
)  # fmt: skip
def test_a_file_that_holds_no_marks_is_one_sentence(content, tmp_path, capsys):
    path = tmp_path / "marks.jsonl"
    path.write_bytes(content)
    told(capsys, "build", "phantom", "--out", tmp_path / "out", "--exclude", path)
    assert not (tmp_path / "out").exists()


def test_a_line_that_was_cut_off_is_no_mark(tmp_path):
    path = file_of(tmp_path / "marks.jsonl", [Mark(image_id="a", verdict="wrong")])
    with path.open("ab") as file:
        file.write(b'{"image_id": "b", "verdict": "wr')
    assert list(read_exclusions(path).images) == ["a"]


def test_a_line_without_its_line_break_counts_if_it_is_whole(tmp_path):
    path = tmp_path / "marks.jsonl"
    path.write_text('{"verdict": "wrong", "image_id": "a"}')  # as an editor leaves it
    assert list(read_exclusions(path).images) == ["a"]
    append_mark(path, Mark(image_id="b", verdict="wrong"))
    assert list(read_exclusions(path).images) == ["a", "b"]


def test_doubtful_without_a_file_is_one_sentence(tmp_path, capsys):
    said = told(capsys, "build", "phantom", "--out", tmp_path / "out", "--exclude-doubtful")
    assert "Expected --exclude MARKS" in said


def told(capsys, *arguments):
    assert run_command([str(word) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("Expected") == 1 and "Traceback" not in said
    return said


def test_the_command_prints_what_was_left_out(tmp_path, capsys):
    config, path = tmp_path / "c.yaml", tmp_path / "marks.jsonl"
    config.write_text("title: t\nphantom: {images: 40}\nworkers: 1\nimax: {min_tasks: 3}\n")
    out = tmp_path / "out"
    assert run_command(["build", str(config), "--out", str(out)]) == 0
    image = open_dataset(out / "imax").tables.images["image_id"][0]
    file_of(path, [Mark(image_id=image, verdict="wrong"), Mark(image_id="x/1", verdict="doubtful")])
    words = ["build", str(config), "--out", str(out), "--exclude", str(path)]
    capsys.readouterr()
    assert run_command([*words, "--exclude-doubtful"]) == 0
    said = capsys.readouterr().out
    assert "Marked as wrong or doubtful and left out: 1 image (" in said
    assert "Images of the marks that name nothing: x/1." in said
    assert run_command([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["marks"]["unmatched"] == 0
    config.write_text(config.read_text() + f"exclude: {path}\n")
    assert run_command(["build", str(config), "--out", str(out)]) == 0
    assert image not in open_dataset(out / "imax").tables.images["image_id"]
