"""Tests that every bad value of every option, and every error of the system, is one sentence.

The table of options is made from the application itself, so a new option is tested as well.
"""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import typer

from imaxray._common import files as _files
from imaxray.cli import app, border
from imaxray.cli.border import run_command, sentence
from imaxray.study import build_study_data, load_config

WORDS_OF_LIBRARIES = (
    "constrained-",
    "Value error,",
    "pydantic",
    "Traceback",
    "Input should",
    "Errno",
)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of a small study: catalog, imax and dmax."""
    out = tmp_path_factory.mktemp("built")
    config = out / "tiny.yaml"
    config.write_text(
        "title: t\nphantom: {images: 40, seed: 1}\nworkers: 1\nimax: {min_tasks: 3}\n"
    )
    build_study_data(load_config(config), out)
    return out


def told(capsys, *arguments):
    """Run a command in this process; return its exit code and what it says of a mistake."""
    code = run_command([str(a) for a in arguments])
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("imaxray: ")]
    assert len(lines) == (code == 2), error
    for word in WORDS_OF_LIBRARIES:
        assert word not in error, error
    if code == 2:
        assert re.search(r"Expected .+[,;:] .+[.?)]$", lines[0]), lines[0]
    return code, "".join(lines)


def commands(command=None, words=()):
    command = command or typer.main.get_command(app)
    children = getattr(command, "commands", None)
    for key, child in (children or {}).items():
        yield from commands(child, (*words, key))
    if not children:
        yield words, command


def parameters(words, command):
    found = command.get_params(command.make_context(" ".join(words), [], resilient_parsing=True))
    return [p for p in found if "--help" not in p.opts]


OPTIONS = [(words, p) for words, command in commands() for p in parameters(words, command)]
REQUIRED = {
    words: [p for p in parameters(words, command) if p.required] for words, command in commands()
}


def line_of(words, parameter, value, values=None):
    """Return a command line with one value under test and a nonexistent path elsewhere."""
    line = list(words)
    for other in REQUIRED[words]:
        if other is not parameter:
            filled = (values or {}).get(other.name, "no/such/path")
            line += [other.opts[0], filled] if other.opts[0].startswith("-") else [filled]
    if words == ("train",) and parameter.name != "model":
        line += ["--model", "phantom"]
    if parameter.opts[0].startswith("-"):
        return [*line, f"{parameter.opts[0]}={value}"]
    return [*line, "--", value]


def is_number(parameter):
    words = re.findall(r"\w+", parameter.bare_type())
    return not parameter.type_descriptor.is_choice and bool({"int", "float"} & set(words))


NUMBERS = [(w, p) for w, p in OPTIONS if is_number(p)]
CHOICES = [(w, p) for w, p in OPTIONS if p.type_descriptor.is_choice]
PATHS = [(w, p) for w, p in OPTIONS if "Path" in p.bare_type()]
SWITCHES = [(w, p) for w, p in OPTIONS if p.bare_type() == "bool"]


def test_the_table_has_every_kind_of_option():
    assert len(OPTIONS) > 130 and len(NUMBERS) > 45 and len(CHOICES) > 20
    flags = {flag for _, p in NUMBERS for flag in p.opts}
    assert {"--seed", "--epochs", "--learning-rate", "--tasks-per-image", "--workers"} <= flags


@pytest.mark.parametrize(
    "value", ["-1", "nan", "inf", "-inf", "1e400", "many", "", "99999999999999999999"]
)
def test_a_number_out_of_range_names_its_option(value, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, parameter in NUMBERS:
        code, said = told(capsys, *line_of(words, parameter, value))
        large_is_legal = value.isdigit() and "float" in parameter.bare_type()
        named = parameter.opts[0] in said or large_is_legal
        assert code == 2 and named, (words, parameter.opts, said)
    assert not list(tmp_path.iterdir())


def test_zero_is_legal_or_names_the_option(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, parameter in NUMBERS:
        if words == ("phantom",) and parameter.name == "seed":
            continue  # nothing is missing: it would write a phantom
        code, _ = told(capsys, *line_of(words, parameter, "0"))
        assert code == 2, words  # for the paths do not exist


def test_an_unknown_choice_names_its_option(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, parameter in CHOICES:
        code, said = told(capsys, *line_of(words, parameter, "no-such-choice"))
        assert code == 2 and parameter.opts[0] in said, (words, said)


def test_text_of_any_kind_is_no_traceback(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, parameter in OPTIONS:
        if words == ("phantom",):
            continue  # it would write a phantom, since each of these is the name of a folder
        for value in ("", "\x1b[2J", "a\nb", "\udcff") * ((words, parameter) not in SWITCHES):
            code, said = told(capsys, *line_of(words, parameter, value))
            assert code in (0, 2) and "\x1b" not in said, (words, parameter.opts)


BAD_YAML = {
    "latin": "title: caf\xe9\n".encode("latin-1"),
    "date": b"title: 2024-02-30\n",
    "deep": b"title: " + b"[" * 3000 + b"]" * 3000,
    "levels": b"title: " + b"[" * 60 + b"]" * 60,
    "bomb": b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
    ),
    "itself": b"title: &a [*a]\n",
    "twice": b"title: a\ntitle: b\n",
    "twice inside": b"title: a\nstages: [{name: x, name: y}]\n",
    "zero byte": b"title: a\x00b\n",
    "utf-16": "title: a\n".encode("utf-16"),
    "long number": b"seed: " + b"9" * 5000 + b"\n",
    "unhashable": b"{[1, 2]: 3}\n",
    "tag": b"title: !!python/object/apply:os.getcwd []\n",
    "list": b"- a\n",
    "empty": b"",
    "not finite": b"title: t\nlearning_rate: .nan\ntraining: {learning_rate: .inf}\n",
    "wrong kinds": b"title: [1]\nimax: 3\nstages: x\ntraining: [a]\nmodel: {a: 1}\nclinical: 3\n",
    "union": b"title: t\nimax: {max_entries_per_task: {vqa: many}}\nclinical: {x: 1}\nmodel: 3\n",
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_a_bad_yaml_is_one_sentence_in_every_command(name, capsys, tmp_path, built):
    path = tmp_path / "bad.yaml"
    path.write_bytes(BAD_YAML[name])
    out = tmp_path / "out"
    for line in (
        ("build", path, "--out", out),
        ("study", path, "--out", out),
        ("strategy", path, "--out", out),
        ("train", built / "imax", "--config", path, "--out", out),
        ("audit", built / "imax", "--images", tmp_path, "--clinical", path),
        ("filter", tmp_path, "--data", built / "imax", "--out", out, "--clinical", path),
    ):
        code, said = told(capsys, *line)
        assert code == 2, (line, said)
    assert not out.exists()


def test_a_mark_of_the_encoding_is_no_mistake(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbftitle: t\n")
    assert load_config(path).title == "t"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_the_system_refuses_is_one_sentence(code, capsys, tmp_path, built, monkeypatch):
    def refuse(path):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(_files, "flush", refuse)
    monkeypatch.setattr("imaxray._common.folders.whole.flush", refuse)
    for line in (
        ("match", built / "catalog", built / "imax", "--out", tmp_path / "m"),
        ("cache", built / "imax", "--out", tmp_path / "c", "--workers", 1),
        (
            "export",
            built / "imax",
            "--format",
            "llava",
            "--boxes",
            "percent",
            "--out",
            tmp_path / "e",
        ),
        ("phantom", tmp_path / "p", "--images", 20, "--workers", 1),
    ):
        found, said = told(capsys, *line)
        assert found == 2 and os.strerror(code) in said, (line, said)
    assert not list(tmp_path.glob("*.part*"))


def test_the_current_folder_and_a_mounted_one_are_named(capsys, tmp_path, built, monkeypatch):
    lines = (
        ("match", built / "catalog", built / "imax", "--out"),
        ("export", built / "imax", "--format", "llava", "--boxes", "percent", "--out"),
    )
    monkeypatch.chdir(tmp_path)
    for line in lines:
        assert "current folder" in told(capsys, *line, ".")[1]
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "volume")
    for line in lines:
        assert "mounted volume" in told(capsys, *line, "volume")[1]
    monkeypatch.undo()
    rename = Path.rename

    def busy(path, to):
        if path.name == "volume":
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", busy)
    for line in lines:
        assert "mounted volume" in told(capsys, *line, tmp_path / "volume")[1]
    assert not list((tmp_path / "volume").iterdir())


def test_a_file_in_the_way_is_one_sentence(capsys, tmp_path, built):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "inner"):
        for line in (
            ("match", built / "catalog", built / "imax", "--out", out),
            ("cache", built / "imax", "--out", out),
            ("export", built / "imax", "--format", "llava", "--boxes", "percent", "--out", out),
            ("phantom", out, "--images", 20),
            ("build", "phantom", "--out", out),
        ):
            assert told(capsys, *line)[0] == 2, line
    assert (tmp_path / "file").read_text() == "mine"


def damaged(content):
    yield "empty", b""
    for share in (0.1, 0.5, 0.9, 0.99):
        yield f"cut at {share}", content[: int(share * len(content))]
    for share in (0.05, 0.3, 0.6):
        place = int(share * len(content))
        yield (
            f"bit at {share}",
            content[:place] + bytes([content[place] ^ 0x80]) + content[place + 1 :],
        )
    yield "another kind", b"[1, 2]"
    yield "deep", b"[" * 100_000


def test_a_damaged_state_file_is_one_sentence(capsys, tmp_path, built):
    cache = tmp_path / "cache"
    assert told(capsys, "cache", built / "imax", "--out", cache, "--workers", 1)[0] == 0
    for path, line in (
        (built / "imax" / "manifest.json", ("stats", built / "imax")),
        (built / "imax" / "images.parquet", ("stats", built / "imax")),
        (built / "imax" / "manifest.json", ("rebuild", built / "imax" / "manifest.json", "--out",
                                            tmp_path / "again", "--source", "a=b")),
        (cache / "plan.json", ("cache", built / "imax", "--out", cache)),
    ):  # fmt: skip
        whole = path.read_bytes()
        for what, content in damaged(whole):
            path.write_bytes(content)
            code, said = told(capsys, *line)
            assert code == 2 and str(path.parent) in said, (path, what, said)
        path.write_bytes(whole)


def test_errors_of_libraries_have_a_sentence():
    import polars as pl

    with pytest.raises(json.JSONDecodeError) as of_json:
        json.loads("{")
    for error in (
        MemoryError(), of_json.value, UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        pl.exceptions.ComputeError("a\nb"), OSError("from a\nlibrary"), OSError(5, "I/O error"),
    ):  # fmt: skip
        said = sentence(error)
        assert said.startswith("Expected") and "\n" not in said
    assert sentence(ZeroDivisionError()) is None  # a bug keeps its traceback


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_says_how_to_go_on(number, code, tmp_path):
    line = [
        sys.executable,
        "-m",
        "imaxray.cli",
        "phantom",
        "p",
        "--images",
        "3000",
        "--workers",
        "2",
    ]
    errors = tmp_path / "errors.txt"
    with errors.open("w") as stream:
        process = subprocess.Popen(line, cwd=tmp_path, stderr=stream)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(tmp_path.glob(".p.*.part/*/**/*.*g")):
            time.sleep(0.05)  # until the workers write radiographs
        process.send_signal(number)
        process.wait(timeout=60)
    said = errors.read_text()
    errors.unlink()
    assert process.returncode == code and "Traceback" not in said
    assert "start the command from the beginning: imaxray phantom p --images 3000" in said
    assert not list(tmp_path.iterdir())


def test_resumable_commands_exist_and_say_so(capsys, monkeypatch):
    assert {words[0] for words, _ in commands()} >= border.RESUMABLE

    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(border, "_run", stop)
    assert run_command(["train", "d", "--out", "a b"]) == 130
    assert "the same command continues it: imaxray train d --out 'a b'" in capsys.readouterr().err
    assert run_command(["view", "d"]) == 130
    assert "the viewer has ended and your marks are kept" in capsys.readouterr().err


def test_ascii_output_never_fails(tmp_path, built):
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "imaxray.cli", "audit", built / "imax", "--skip", "x\u2192ü"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_link_that_leads_to_itself_is_one_sentence(built, tmp_path, capsys):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    code, said = told(capsys, "share", built / "imax", "--out", loop)
    assert code == 2 and "Too many levels of symbolic links" in said and str(loop) in said


def test_a_release_of_your_own_has_a_name_of_its_own(tmp_path, capsys):
    code, said = told(
        capsys, "sources", "new", "mimic-cxr", "--table", __file__, "--images", tmp_path
    )
    assert code == 2 and "no installed source has, but mimic-cxr is one" in said


@pytest.mark.parametrize("out", [["--out", ""], ["--out="]])
def test_an_empty_variable_of_the_shell_is_not_the_current_folder(
    out, built, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, text = told(capsys, "compare", built / "imax", *out)
    assert code == 2 and "a value after --out, but it is empty" in text
    code, text = told(capsys, "stats", "")
    assert code == 2 and "a value after stats, but it is empty" in text
    assert not list(tmp_path.iterdir())


def test_what_a_library_says_of_a_cell_is_not_shown():
    text = '["The heart of Ms Miller is enlarged."]'
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        pl.Series([text]).cast(pl.Float64)
    assert "Miller" in str(caught.value) and "Miller" not in (sentence(caught.value) or "")
