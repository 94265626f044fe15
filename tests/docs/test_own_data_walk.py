"""Runs every command of the walk in docs/own-data.md as a newcomer would, and measures its time."""

import os
import re
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
WALK = PAGE.split("## From a messy table")[1].split("\n## ")[0]
BLOCK = re.compile(r"```(bash|text)\n(.*?)```", re.DOTALL)
MOST = 600  # seconds of the processor, which other programs of the machine do not lengthen


def plain(text):
    """Text with single blanks and without the lines of tables."""
    return re.sub(r"[\s┃│|]+", " ", text)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """Pairs of what the commands of a block print and what the page says that they print."""
    work = tmp_path_factory.mktemp("walk")
    (work / "examples").mkdir()
    script = "examples/09_own_data.py"
    (work / script).write_bytes((ROOT / script).read_bytes())
    folder, said, pairs = work, "", []
    started, used = time.monotonic(), processor_seconds()
    for kind, text in BLOCK.findall(WALK):
        if kind == "text":
            pairs.append((said, text))
            continue
        said = ""
        for line in text.splitlines():
            name, *arguments = shlex.split(line)
            if name == "cd":
                folder /= arguments[0]
                continue
            program = {"python": [sys.executable], "imaxray": [sys.executable, "-m", "imaxray.cli"]}
            done = subprocess.run(
                [*program[name], *arguments], cwd=folder, capture_output=True, text=True,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
            )  # fmt: skip
            assert done.returncode == 0, f"{line}: {done.stderr}"
            said += done.stdout
    minutes = (time.monotonic() - started) / 60
    seconds = processor_seconds() - used
    print(f"The walk took {minutes:.1f} minutes, {seconds:.0f} s of the processor.")
    return folder, pairs, seconds


def test_the_page_shows_what_the_commands_print(walked):
    folder, ((_, table), *pairs), _ = walked
    # the first block is the head of the table that the script wrote
    assert (folder / "labels.csv").read_text(encoding="utf-8").startswith(table.strip())
    assert len(pairs) == 5
    for said, shown in pairs:
        for line in shown.splitlines():
            assert plain(line).strip() in plain(said), line


def test_the_walk_ends_with_a_trained_model_in_less_than_ten_minutes(walked):
    folder, _, seconds = walked
    assert list((folder / "study/my-hospital/runs/trained").rglob("*.safetensors"))
    assert (folder / "study/my-hospital/report.html").is_file()
    assert any((folder / "export").iterdir())
    assert seconds < MOST


def test_the_readme_has_the_same_commands():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## With your own data")[1]
    block = section.split("```bash\n")[1].split("```")[0]
    commands = [line.split("#")[0].strip() for line in block.splitlines() if line.strip()]
    assert len(commands) == 3
    assert all(command in WALK for command in commands)


def test_every_code_of_a_reject_is_explained():
    codes = set()
    pattern = (
        r"(?:Fault\(|faults\.append\(\(\w+, |_reject\([^\"()]*(?:\([^()]*\)[^\"()]*)*)"
        r"\"([a-z]+(?:-[a-z]+)+)\""
    )
    for path in (ROOT / "src/imaxray/sources/own_data").glob("*.py"):
        codes |= set(re.findall(pattern, path.read_text(encoding="utf-8")))
    assert len(codes) > 15
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []
