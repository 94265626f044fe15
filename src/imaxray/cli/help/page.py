"""Writes the page docs/command-line.md from the application itself; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from imaxray.cli.help.examples import EXAMPLES
from imaxray.cli.help.outputs import OUTPUTS

_HEAD: Final = """# Command line

`python -m imaxray.cli.help.page > docs/command-line.md` writes this page from the application; a test compares the two.
Every command says with `--help` what it does, its options and an example.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | a check found something: `audit`, `verify`, `doctor --need`; or the reader of a pipe went away |
| 2 | a mistake of the user, or a file or system that cannot be used; one sentence on stderr says what was expected, what came and what to do |
| 130 | stopped by Ctrl-C |
| 143 | stopped by SIGTERM |

After 130 and 143 one line says whether the same command goes on where it stopped. Any other exception is a bug and shows its traceback.

## Misspelled names

For a misspelled command, option, task, model, source, configuration, export format, box convention, clinical rule or key of a YAML file, the
message names the nearest one: `did you mean grading?`

## Completion in a shell

```
eval "$(imaxray completion bash)"        # in ~/.bashrc
eval "$(imaxray completion zsh)"         # in ~/.zshrc
imaxray completion fish | source         # in ~/.config/fish/config.fish
```

Commands, options and the values of options with fixed values are completed with the Tab key.

## Is this machine ready?

`imaxray doctor` prints one line each on versions, optional parts, GPU, memory, free disk, the folder in which models are kept, and plug-ins of
other packages, which it loads. `--need train --need dicom` makes the exit code 1 if a package of these parts is missing.

"""

_JSON: Final = """
## Results as JSON

With `--format json` (of `export`: `--print json`, because its `--format` names the format to write) standard output is one JSON value and
nothing else; progress goes to stderr. What could not be measured is null. Later versions may add keys, but do not change the meaning of one.

"""


def command_line_page() -> str:
    """Return the page: exit codes, completion, all commands with examples, and what JSON holds."""
    lines = ["## Commands", "", "| command | what it does | example |", "| --- | --- | --- |"]
    for name, command in commands():
        first = " ".join((command.help or "").split("\n\n")[0].split())
        example = "<br>".join(f"`{line}`" for line in EXAMPLES.get(name, ()))
        lines.append(f"| `{name}` | {_cell(first)} | {_cell(example)} |")
    parts = [_JSON.strip("\n"), ""]
    for name, output in OUTPUTS.items():
        kind = "a list of objects" if output.rows else "an object"
        if output.like:
            kind = f"an object whose keys are {output.like}"
        parts += [f"### `{name} {output.flag}`", "", f"Prints {kind}:", "",
                  "| key | content |", "| --- | --- |"]  # fmt: skip
        parts += [f"| `{key}` | {_cell(said)} |" for key, said in output.keys.items()]
        parts.append("")
    return _HEAD + "\n".join(lines) + "\n\n" + "\n".join(parts).rstrip() + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every command, sorted by name."""
    from typer.main import get_command

    from imaxray.cli.commands import app

    def walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, command in sorted(group.commands.items()):
            if hasattr(command, "commands"):
                yield from walk(command, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", command

    return walk(get_command(app), "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(command_line_page(), end="")
