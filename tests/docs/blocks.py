"""Reads the fenced blocks of the documents, and checks the commands that they show."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import typer

from imaxray.boxes import get_convention
from imaxray.cli import app
from imaxray.cli.options import _ConfigCommand, _require_valid
from imaxray.configs import find_config
from imaxray.errors import ImaxrayError
from imaxray.export import list_formats
from imaxray.models import list_models
from imaxray.pseudo import list_annotators
from imaxray.sources import list_sources

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
KINDS = ("bash", "python", "yaml", "json", "toml", "text")
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page relative to the repository, its number there, kind and text."""

    page: str
    number: int
    kind: str
    text: str

    @property
    def name(self) -> str:
        """Where the block stands, for messages and as the id of a test."""
        return f"{self.page}#{self.number}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    where = page.relative_to(ROOT).as_posix()
    return [
        Block(where, number, match["kind"].strip(), match["text"])
        for number, match in enumerate(found, 1)
    ]


def all_blocks(kind: str | None = None) -> list[Block]:
    """Return the blocks of all pages; of one kind, if it is given."""
    return [b for page in PAGES for b in blocks(page) if kind in (None, b.kind)]


SPLITS = {"&&", "||", ";", "|", "&"}
SHELL = {"do", "done", "while", "then", "fi", "if", "else", "break", "[", "]", "!"}
PROGRAMS = {"accelerate", "awk", "bash", "cd", "eval", "git", "imaxray", "make", "mapfile", "mkdir",
            "pip",
            "python", "sbatch", "source", "torchrun", "vllm", "xdg-open", "wget"}  # fmt: skip


def commands(text: str) -> list[list[str]]:
    """Return the simple commands of a shell text as words, without comments.

    Example:
        >>> commands("imaxray models  # all\\nA=1 make x && cd y")
        [['imaxray', 'models'], ['make', 'x'], ['cd', 'y']]
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    found: list[list[str]] = []
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>{}")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in SPLITS or word in ("{", "}"):
                if words:
                    found.append(words)
                words = []
            else:
                words.append(word)
    return [command for words in found if (command := _simple(words))]


def _simple(words: list[str]) -> list[str]:
    """Drop words of the shell, assignments before a command, and redirections."""
    words = list(words)
    while words and (words[0] in SHELL or re.fullmatch(r"\w+=.*", words[0]) or
                     words[0] in ("exec", "ready()", "ready")):  # fmt: skip
        words.pop(0)
    if "]" in words:  # a test such as [ -s FILE ]
        return []
    for mark in (">", "<", ">>"):
        if mark in words:
            words = words[: words.index(mark)]
    return words


def fault(words: list[str], files: set[str]) -> str | None:
    """Return what is wrong with a command, or ``None``.

    Args:
        words: Words of the command.
        files: Names of YAML files that the documents show, or tell the reader to write.
    """
    program, *rest = words
    if "imaxray.cli" in rest:
        return cli_fault(rest[rest.index("imaxray.cli") + 1 :], files)
    if program == "imaxray":
        return cli_fault(rest, files)
    if program == "make":
        wanted = [word for word in rest if "=" not in word]
        missing = [word for word in wanted if word not in make_targets()]
        return f"no target {missing} in the Makefile" if missing else None
    if program == "python" and rest and rest[0].endswith(".py"):
        return None if (ROOT / rest[0]).is_file() else f"no script {rest[0]}"
    if program == "pip":
        asked = {e for word in rest for e in re.findall(r"\[([\w,]+)\]", word)}
        missing = {e for group in asked for e in group.split(",")} - extras()
        return f"no extras {sorted(missing)} in pyproject.toml" if missing else None
    return None if program in PROGRAMS else f"the program {program} is not known to this test"


def make_targets() -> set[str]:
    """Return the phony targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {name for line in re.findall(r"^\.PHONY:(.*)$", text, re.M) for name in line.split()}


def extras() -> set[str]:
    """Return the names of the optional dependencies."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return set(tomllib.loads(text)["project"]["optional-dependencies"])


def cli_fault(arguments: list[str], files: set[str]) -> str | None:
    """Parse a command line with the real application; return what it refuses, or ``None``.

    Names, types, bounds and choices of options are those of the application. Values that stand for
    something of the reader are taken as they are: words in capitals, paths, and ``…``.
    """
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="imaxray")
    if arguments in (["--help"], ["--version"]):
        return None
    path = []
    while hasattr(command, "get_command"):
        if not arguments:
            return "no command is given"
        name, *arguments = arguments
        inner = command.get_command(context, name)
        if inner is None:
            return f"no command {name}"
        path.append(name)
        context = typer.Context(inner, info_name=name, parent=context)
        command = inner
    if arguments in (["--help"],):
        return None
    try:
        made = command.make_context(path[-1], list(arguments), parent=context.parent)
        if isinstance(command, _ConfigCommand):
            values = command.generated.callback(
                **{p.name: made.params[p.name] for p in command.generated.params}
            )
            for name, field in command.option_fields().items():
                _require_valid(command._flag(name), field, values[name])
    except ImaxrayError as error:
        return str(error)
    except Exception as error:  # typer's own errors of usage
        if isinstance(error, AssertionError | AttributeError | NameError):
            raise
        return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return value_fault(path, made.params, files)


def _of_the_reader(value: str) -> bool:
    """Return whether a word stands for something that only the reader has."""
    return "…" in value or "$" in value or "/" in value or value.upper() == value


def value_fault(path: list[str], values: dict, files: set[str]) -> str | None:
    """Check the values that name something of the package: configurations, sources and so on."""

    def named(*keys: str) -> list[str]:
        found = [values.get(key) for key in keys]
        return [v for v in found if isinstance(v, str) and not _of_the_reader(v)]

    configurations = named("config", "config_file")
    if path in (["configs", "show"], ["configs", "copy"]):
        configurations += named("name")
    for value in configurations:
        if value not in files and not _is_configuration(value):
            return f"no built-in configuration {value}, and no page shows such a file"
    if path == ["sources", "check"] and not str(values["path"]).endswith(".yaml"):
        known = {*(source.name for source in list_sources()), "ward-ctr"}  # of adding-a-source.md
        if values["name"] not in known:
            return f"no source {values['name']}"
    for value in named("boxes"):
        try:
            get_convention(value)
        except ImaxrayError as error:
            return str(error)
    known = {row.name for row in list_models()}
    if path == ["annotate"]:
        known |= {*list_annotators(), "bright-lungs"}  # that of adding-an-annotator.md
    for value in named("model", "run"):
        if value not in known:
            return f"no model {value}"
    if path == ["export"] and str(values["form"]) not in {*list_formats(), "pairs"}:
        return f"no export format {values['form']}"  # pairs is that of adding-an-export-format.md
    return None


def _is_configuration(name: str) -> bool:
    for candidate in (name, f"train/{name}"):
        try:
            find_config(candidate)
        except ImaxrayError:
            continue
        return True
    return False
