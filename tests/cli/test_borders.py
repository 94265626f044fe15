"""Tests that every bad value of every option, and every error of the system, is one sentence.

The table of options is made from the application itself, so a new option is tested as well.
"""

import re

import pytest
import typer

from imaxray.cli import app
from imaxray.cli.border import run_command
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
        assert code == 2 and parameter.opts[0] in said, (words, parameter.opts, said)
    assert not list(tmp_path.iterdir())


def test_zero_is_legal_or_names_the_option(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, parameter in NUMBERS:
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
