"""Tests the command line: the names of the library, errors in one sentence, exit code 2."""

import json
import subprocess
import sys

import pytest

from imaxray import __version__, open_dataset


def run(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "imaxray.cli", *map(str, args)],
        capture_output=True, text=True, check=False, **kwargs,
    )  # fmt: skip


def test_version():
    assert run("--version").stdout.strip() == __version__


def test_help_needs_no_torch_and_no_polars():
    code = (
        "import sys, runpy; sys.argv = ['imaxray', '--help']\n"
        "try: runpy.run_module('imaxray.cli', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'polars', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "sys.stderr.write('HEAVY ' + ' '.join(sorted(heavy)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.stderr.endswith("HEAVY ")
    for noun in ("phantom", "sources", "build", "match", "stats", "study"):
        assert noun in out.stdout


def test_sources_list_json():
    rows = json.loads(run("sources", "list", "--format", "json").stdout)
    names = [row["name"] for row in rows]
    assert names == sorted(names) and {"mimic-cxr", "chexmask", "vqa-rad"} <= set(names)
    keys = {"name", "title", "version", "tasks", "access", "licence", "citation", "url"}
    for row in rows:
        # a folder of images alone states no task
        stated = {k: v for k, v in row.items() if k != "tasks" or row["name"] != "dicom-folder"}
        assert set(row) == keys and all(stated.values())
        assert row["url"].startswith(("https://", "http://db.jsrt.or.jp"))  # JSRT has no https page
        assert row["access"] in ("open", "registration", "credentialed")


def test_sources_list_says_all_that_json_does():
    rows = json.loads(run("sources", "list", "--format", "json").stdout)
    lines = run("sources", "list").stdout.splitlines()
    starts = [k for k, line in enumerate(lines) if not line.startswith(" ")]
    assert len(starts) == len(rows)
    for row, start in zip(rows, starts, strict=True):
        assert lines[start] == f"{row['name']}: {row['title']}, version {row['version']}"
        assert lines[start + 1 : start + 5] == [
            f"  tasks     {', '.join(row['tasks'])}",
            f"  access    {row['access']}; {row['licence']}",
            f"  cite      {row['citation']}",
            f"  download  {row['url']}",
        ]


def test_models_json():
    rows = json.loads(run("models", "--format", "json").stdout)
    names = {row["name"] for row in rows}
    assert {"lingshu-7b", "medmo-8b", "medgemma-1.5-4b", "radvlm", "llava-med-v1.5"} <= names
    assert all(row["licence"] and row["convention"] and row["family"] for row in rows)


def test_models_table_needs_no_torch():
    code = (
        "import sys, runpy; sys.argv = ['imaxray', 'models']\n"
        "try: runpy.run_module('imaxray.cli', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "sys.stderr.write('HEAVY ' + ' '.join({'torch', 'transformers'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.stderr.endswith("HEAVY ")
    assert "MBZUAI/MedMO-8B" in out.stdout and "gated" in out.stdout


def test_sources_check_shows_files_and_rejects(phantom_root):
    out = run("sources", "check", "cxr-cardiomegaly", phantom_root / "cxr-cardiomegaly")
    assert out.returncode == 0
    assert "CTRs.csv" in out.stdout and "annotations" in out.stdout
    assert "about the images of another one" in " ".join(out.stdout.split())
    out = run("sources", "check", "mimic-cxr-jpg", phantom_root / "mimic-cxr-jpg")
    said = " ".join(out.stdout.split())
    assert "missing images, which the tables name: 0." in said
    assert "A build of this release alone can use" in said


@pytest.mark.parametrize(
    "args",
    [
        ("sources", "check", "mimic-cxr-jgp", "."),
        ("sources", "check", "ms-cxr", "no/such/folder"),
        ("stats", "no/such/folder"),
        ("study", "--config", "none.yaml", "--out", "out"),
        ("phantom", "out", "--images", "3"),
    ],
)
def test_user_errors_are_one_sentence_and_exit_code_2(args, tmp_path):
    out = run(*args, cwd=tmp_path)
    assert out.returncode == 2
    assert out.stderr.startswith("imaxray: Expected") and "Traceback" not in out.stderr
    assert out.stderr.strip().count("\n") == 0


def test_build_match_and_stats(tmp_path):
    config = tmp_path / "tiny.yaml"
    config.write_text(
        "title: tiny\nphantom: {images: 80, seed: 2}\nworkers: 1\n"
        "imax: {min_tasks: 5, max_entries_per_task: 2}\n"
    )
    built = run("build", "--config", config, "--out", tmp_path / "out")
    assert built.returncode == 0, built.stderr
    assert "DMAX spreads" in built.stdout
    dose = run(
        "match", tmp_path / "out/catalog", tmp_path / "out/imax", "--out", tmp_path / "dose",
        "--tasks-per-image", "4",
    )  # fmt: skip
    assert dose.returncode == 0, dose.stderr
    stats = run("stats", tmp_path / "out/catalog", "--format", "json")
    account = json.loads(stats.stdout)["account"]
    assert account and all(r["rows_in"] == r["kept"] + r["rejected"] for r in account)
    assert "rows in" in run("stats", tmp_path / "out/imax").stdout


def test_no_command_writes_over_its_input(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "title: t\nphantom: {images: 60, seed: 1}\nworkers: 1\nimax: {min_tasks: 4}\n"
    )
    assert run("build", config, "--out", tmp_path / "s").returncode == 0
    imax, catalog = tmp_path / "s" / "imax", tmp_path / "s" / "catalog"
    before = open_dataset(imax).sha256
    for out in (imax, catalog, tmp_path / "s"):
        done = run("match", catalog, imax, "--out", out)
        assert done.returncode == 2 and "share files" in done.stderr
    assert open_dataset(imax).sha256 == before


def test_a_file_in_the_way_is_one_sentence(tmp_path):
    (tmp_path / "f").touch()
    done = run("phantom", tmp_path / "f" / "x", "--images", 20)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "Not a directory" in done.stderr
