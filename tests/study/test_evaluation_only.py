"""Data without train images can be built, checked, scored and exported, but not trained on."""

import gzip
import json

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from imaxray.boxes import find_convention
from imaxray.cli import app
from imaxray.curation import SplitConfig, open_dataset
from imaxray.curation.joining.splits import assign_splits
from imaxray.errors import ImaxrayError
from imaxray.phantom import write_phantom
from imaxray.schema import IMAGES, SPLIT_HINTS, conform, empty
from imaxray.study import StudyConfig, run_study
from imaxray.training import Recipe, train_dataset

CONFIG = {
    "title": "Test images only", "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
}  # fmt: skip


def run(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A study folder that `imaxray build` wrote; all images of its releases are test images."""
    home = tmp_path_factory.mktemp("evaluation-only")
    root = home / "releases"
    write_phantom(root, images=90, seed=1)
    [table] = root.rglob("mimic-cxr-2.0.0-split.csv*")
    opener = gzip.open if table.suffix == ".gz" else open
    with opener(table, "rt") as stream:
        text = stream.read()
    with opener(table, "wt") as stream:
        stream.write(text.replace(",train\n", ",test\n").replace(",validate\n", ",test\n"))
    names = {p.name: p.name for p in root.iterdir() if p.is_dir() and p.name != "truth"}
    config = {**CONFIG, "releases": names}
    (home / "study.yaml").write_text(yaml.safe_dump(config))
    out = home / "out"
    said = run("build", home / "study.yaml", "--out", out, "--root", root)
    return home, config, out, said


def test_build_says_what_the_datasets_hold(built):
    _, _, out, said = built
    assert "There are no train entries" in " ".join(said.split())
    report = json.loads((out / "match.json").read_text())
    assert report["selection"]["limit"] == report["limit"] == "the catalog has no train entries"
    whole = open_dataset(out / "catalog").tables.entries
    assert whole.height and set(whole["split"]) == {"test"}
    dense, spread = (open_dataset(out / role).tables.entries for role in ("imax", "dmax"))
    assert dense.equals(spread)
    assert 0 < dense.group_by("task").len()["len"].max() <= 6  # eval_entries_per_task holds
    assert "For evaluation only" in (out / "imax" / "README.md").read_text()
    for role in ("catalog", "imax", "dmax"):
        run("verify", out / role)
        run("stats", out / role)


def test_perfect_answers_are_perfect(built, tmp_path):
    """Constant answers are chosen from train entries, so there are none to compare with."""
    _, _, out, _ = built
    data = open_dataset(out / "imax").tables
    sizes = {i: (w, h) for i, w, h in data.images.select("image_id", "width", "height").iter_rows()}
    convention = find_convention("per-mille")
    lines = []
    for entry in data.entries.iter_rows(named=True):
        held = entry["prompt"].count("<box>")
        text = convention.fill(
            entry["target"], (entry["boxes"] or [])[held:], *sizes[entry["image_id"]]
        )
        lines.append(json.dumps({"entry_id": entry["entry_id"], "text": text}))
    (tmp_path / "answers.jsonl").write_text("\n".join(lines))
    run("score", tmp_path / "answers.jsonl", "--data", out / "imax", "--boxes", "per-mille",
        "--out", tmp_path / "scores")  # fmt: skip
    result = json.loads((tmp_path / "scores" / "result.json").read_text())
    assert result["counts"]["missing"] == 0 and len(result["tasks"]) >= 5
    for task in result["tasks"]:
        for metric in task["metrics"]:
            assert set(metric["baselines"]) <= {"ceiling"}
            assert metric["value"] == pytest.approx(metric["baselines"]["ceiling"])


@pytest.mark.parametrize("form", ["llamafactory", "swift", "trl", "llava", "fiftyone", "croissant"])
def test_every_format_exports_them(built, tmp_path, form):
    _, _, out, _ = built
    words = [] if form in ("swift", "fiftyone", "croissant") else ["--boxes", "percent"]
    run("export", out / "imax", "--format", form, "--out", tmp_path / "out", *words)
    made = json.loads((tmp_path / "out" / "export.json").read_text())
    entries = open_dataset(out / "imax").tables.entries
    if form == "croissant":
        described = json.loads((tmp_path / "out" / "croissant.json").read_text())
        names = [record["name"] for record in described["recordSet"]]
        assert [n for n in names if n.startswith("entries")] == ["entries_test"]
        return
    assert made["counts"].keys() == {"test"} and made["left_out"] == {}
    if form != "fiftyone":
        assert made["counts"]["test"]["entries"] == entries.height
        assert made["tokens"]["splits"].keys() == {"test"}
    assert not (tmp_path / "out" / "settings.yaml").exists()
    assert not list((tmp_path / "out").glob("train*"))


def test_the_audit_has_no_finding_of_its_splits(built):
    """Synthetic radiographs look alike, so only copies may be suspected."""
    _, _, out, _ = built
    done = CliRunner().invoke(app, ["audit", str(out / "imax"), "--format", "json"])
    report = json.loads(done.stdout)
    assert {finding["code"] for finding in report["findings"]} <= {"near-duplicate"}
    limited = {check["code"]: check["limit"] for check in report["checks"] if check["limit"]}
    assert limited["patient-over-splits"] == "there is only one split"


def test_training_is_refused_before_it_starts(built):
    home, config, out, _ = built
    study = StudyConfig.model_validate(config)
    with pytest.raises(ImaxrayError, match="Expected train entries for the arms dmax, imax, "):
        run_study(study, out, root=home / "releases")
    with pytest.raises(ImaxrayError, match=r"Expected a train split in .*, but it has no entry"):
        train_dataset(out / "imax", home / "run", Recipe(model="phantom-base"))


def test_shares_can_make_every_patient_a_test_patient():
    images = conform(
        pl.DataFrame({"image_id": [f"x/{n}" for n in range(50)],
                      "patient_id": [f"x/p{n}" for n in range(50)]}),
        IMAGES,
    )  # fmt: skip
    split, _, _ = assign_splits(images, empty(SPLIT_HINTS), SplitConfig(val=0, test=1), seed=0)
    assert set(split["split"]) == {"test"}
    with pytest.raises(ValueError, match="together must not be more than 1"):
        SplitConfig(val=0.5, test=0.6)
