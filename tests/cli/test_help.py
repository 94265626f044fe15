"""Tests what helps a user: examples, completion, suggestions, JSON as documented, and doctor."""

import json
import re
import shlex
from enum import Enum
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from imaxray._common.names import did_you_mean, nearest
from imaxray.cli import app
from imaxray.cli.border import run_command
from imaxray.cli.help.completion import completion_script
from imaxray.cli.help.examples import EXAMPLES
from imaxray.cli.help.outputs import OUTPUTS
from imaxray.cli.help.page import command_line_page, commands
from imaxray.cli.help.panels import PANELS
from imaxray.configs import list_configs
from imaxray.doctor import Finding, complete, examine, extra_packages
from imaxray.errors import ImaxrayError
from study.made_study import made_study

ROOT = Path(__file__).parents[2]
COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("help") / "study"
    made_study(out)
    return out


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_every_command_has_an_example_and_every_example_a_command():
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_are_parsed_by_their_command(name, monkeypatch):
    """The words of every example are options and arguments that the command takes."""
    for line in EXAMPLES[name]:
        words = shlex.split(line.partition(" >")[0])
        assert words[0] == "imaxray" and words[1 : 1 + len(name.split())] == name.split()
        command = COMMANDS[name]
        context = command.make_context(name, words[1 + len(name.split()) :])
        assert context.params
        assert line in (command.epilog or "")


def test_examples_name_configurations_that_exist():
    known = {config.name for config in list_configs()}
    for lines in EXAMPLES.values():
        for words in map(shlex.split, lines):
            if words[1] in ("study", "strategy", "build") and not words[2].endswith(".yaml"):
                assert words[2] in known, words


def test_help_lists_the_commands_in_the_order_of_the_data():
    said = run("--help").output
    places = [said.index(panel) for panel in PANELS]
    assert places == sorted(places)
    order = ["phantom ", "build ", "match ", "derive ", "train ", "evaluate ", "compare "]
    places = [said.index(f"│ {name}") for name in order]
    assert places == sorted(places)


def test_help_shows_the_example():
    said = " ".join(run("report", "--help").output.split())
    assert "Example: `imaxray report study/phantom --out phantom.html --images 0`" in said


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_at_80_columns_has_every_name_complete_and_no_type_at_switches(name):
    said = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80"}).output
    assert max(map(len, said.splitlines())) <= 80
    assert not re.search(r"--[a-z0-9-]*…", said)
    names = {option for param in COMMANDS[name].params for option in param.opts
             if option.startswith("--") and not getattr(param, "hidden", False)}  # fmt: skip
    assert names <= set(re.findall(r"--[a-z0-9-]+", said))
    assert "bool" not in said


def test_paragraphs_of_the_help_are_filled():
    said = run("view", "--help").output
    assert "conflicts, entries,   \n and the answers of arms side by side." in said


def test_the_page_is_that_of_the_application():
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert page == command_line_page(), (
        "write it again: python -m imaxray.cli.help.page > docs/command-line.md"
    )


def json_flags(command):
    """The options of a command that take the value json."""
    return [
        flag
        for one in command.params
        for flag in one.opts
        if flag in ("--format", "--print") and "json" in values_of(one.type_descriptor.annotation)
    ]


def values_of(annotation):
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    return get_args(annotation)


def command_of(output):
    """The command that prints an output, such as `study` for `study --list` and for an ablation."""
    return output.partition(" --")[0].partition(" (")[0]


def test_every_command_with_json_is_documented():
    with_json = {name for name, command in COMMANDS.items() if json_flags(command)}
    assert with_json == {command_of(name) for name in OUTPUTS}
    for name, output in OUTPUTS.items():
        flag = output.flag.split()[0]
        assert flag in json_flags(COMMANDS[command_of(name)]), name


def documented(name, said):
    value = json.loads(said)
    if OUTPUTS[name].like:
        assert all(isinstance(one, str) for one in value.values())
        return
    rows = value if OUTPUTS[name].rows else [value]
    assert rows
    for row in rows:
        assert set(row) | OUTPUTS[name].optional == set(OUTPUTS[name].keys), name


def test_json_has_the_documented_keys(study, tmp_path):
    imax, runs = study / "imax", study / "runs"
    lines = {
        "audit": ("audit", imax, "--workers", 1),
        "cache": ("cache", study / "imax", "--out", tmp_path / "cache", "--workers", 1),
        "compare": ("compare", runs / "imax", "--against", runs / "dmax", "--data", imax,
                    "--resamples", 100),
        "configs list": ("configs", "list"),
        "derive": ("derive", study / "dmax", "--out", tmp_path / "derived"),
        "doctor": ("doctor",),
        "export": ("export", imax, "--format", "llava", "--boxes", "percent",
                   "--out", tmp_path / "export"),
        "formats": ("formats",),
        "labeller": ("labeller", study / "catalog"),
        "match": ("match", study / "catalog", imax, "--out", tmp_path / "match"),
        "models": ("models",),
        "score": ("score", runs / "imax" / "evaluation" / "imax-test" / "predictions.parquet",
                  "--data", imax, "--resamples", 100),
        "share": ("share", imax, "--out", tmp_path / "share"),
        "sources check": ("sources", "check", "ms-cxr", study / "releases" / "ms-cxr"),
        "sources list": ("sources", "list"),
        "stats": ("stats", imax),
        "study --dry-run": ("study", study / "study.yaml", "--out", study, "--dry-run"),
        "study --list": ("study", study / "study.yaml", "--out", study, "--list"),
        "verify": ("verify", imax),
    }  # fmt: skip
    for name, words in lines.items():
        done = run(*words, *OUTPUTS[name].flag.split())
        ended = done.exception is None or isinstance(done.exception, SystemExit)
        assert ended and done.exit_code in (0, 1), (name, done.output, done.exception)
        documented(name, done.stdout)


def test_a_changed_file_is_a_finding_in_json_too(study, tmp_path):
    import shutil

    folder = tmp_path / "imax"
    shutil.copytree(study / "imax", folder)
    (folder / "README.md").write_text("changed")
    done = run("verify", folder, "--format", "json")
    assert done.exit_code == 1 and json.loads(done.stdout)["changed"] == ["README.md"]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("trian x", "train"),
        ("sources chek ms-cxr .", "check"),
        ("stats --fromat json x", "--format"),
        ("configs show phantm", "phantom"),
        ("sources check ms-crx .", "ms-cxr"),
        ("doctor --need trian", "train"),
    ],
)
def test_a_misspelled_name_gets_the_nearest(line, meant, capsys):
    assert run_command(line.split()) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_a_misspelled_task_gets_the_nearest():
    from imaxray.tasks import get_task

    with pytest.raises(ImaxrayError, match="take grading if you meant it"):
        get_task("gradng")


def test_names_are_found_whatever_their_case():
    assert nearest("IMAX", ["dmax", "imax"]) == "imax"
    assert did_you_mean("x" * 9, [str(n) for n in range(99)], listed_by="c") == (
        "`c` lists the known names."
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_program(shell):
    assert "_IMAXRAY_COMPLETE" in completion_script(shell)


def test_a_shell_gets_commands_and_values(monkeypatch, capsys):
    for words, wanted in (("imaxray rep", "report"), ("imaxray stats --format ", "json")):
        monkeypatch.setenv("_IMAXRAY_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        with pytest.raises(SystemExit):
            run_command([])
        assert wanted in capsys.readouterr().out.split()


def test_doctor_names_what_is_needed_and_missing(monkeypatch):
    import imaxray.doctor

    known = {"": {"polars": ">=1"}, "there": {"polars": ">=1"}, "new": {"polars": ">=999"},
             "gone": {"no-such-package": ""}}  # fmt: skip
    monkeypatch.setattr(imaxray.doctor, "extra_packages", lambda: known)
    found = {one.name: one for one in examine(["there"])}
    assert found["extra there"].state == "ok" and complete(found.values())
    assert found["extra new"].state == found["extra gone"].state == "absent"
    for extra, why in (("new", "not at least 999"), ("gone", "is not installed")):
        needed = {one.name: one for one in examine([extra])}
        assert why in needed[f"extra {extra}"].said and not complete(needed.values())
    with pytest.raises(ImaxrayError, match="did you mean there"):
        examine(["theer"])
    assert run("doctor", "--need", "gone").exit_code == 1
    assert run("doctor").exit_code == 0


def test_doctor_says_when_home_cannot_be_written(monkeypatch, tmp_path):
    import tempfile

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    [home] = [one for one in examine() if one.name == "home"]
    assert home.state == "broken" and "Permission denied" in home.said


def test_the_extras_are_those_of_the_package():
    extras = extra_packages()
    assert "torch" in extras["train"] and "polars" in extras[""]
    assert complete([Finding("x", "absent", "")])
