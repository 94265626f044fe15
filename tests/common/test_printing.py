"""What comes from data is printed as text: no control characters, no markup of rich."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

import imaxray
from imaxray._common.printing import printable, say
from imaxray.progress import SafeConsole

EVIL = "a\x1b]0;title\x07b\x1b[2J\x9bc\u202ed\r"


@pytest.mark.parametrize(
    "text", ["Größe ≥ 0,5 – 是", "two\nlines\tand a tab", "[/red] :smile:", ""]
)
def test_ordinary_text_stays(text):
    assert printable(text) == text


def test_text_is_printed_without_control_characters():
    stream = io.StringIO()
    say(EVIL, file=stream)
    assert stream.getvalue() == "a?]0;title?b?[2J?c?d?\n"


def test_tables_are_printed_without_control_characters_and_markup():
    stream = io.StringIO()
    table = Table(title="q[/red]/e")
    table.add_column("[bold]head")
    table.add_row(EVIL)
    table.add_row("x[/red] :smile:")
    console = SafeConsole(width=80, file=stream)
    console.print(table)
    console.print("Report: q[/red]/e\x1b[2J")
    text = stream.getvalue()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    for kept in ("q[/red]/e", "[bold]head", "x[/red] :smile:", "Report: q[/red]/e?[2J"):
        assert kept in text


@pytest.mark.parametrize(
    "command",
    [["sources", "check", EVIL], ["stats", EVIL], ["audit", EVIL], ["configs", "show", EVIL]],
)
def test_errors_are_printed_without_control_characters(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "imaxray.cli", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)


def test_nothing_else_prints():
    source = Path(imaxray.__file__).parent
    plain = re.compile(r"^(?!.*>>>)(?!\s*\.\.\. ).*(?<![\w.])print\(|[^e]Console\(", re.MULTILINE)
    found = {
        p.relative_to(source).as_posix()
        for p in source.rglob("*.py")
        if plain.search(p.read_text())
    }
    assert found == {"_common/printing.py"}
