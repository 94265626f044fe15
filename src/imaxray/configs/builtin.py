"""Lists, finds, shows and copies the built-in configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imaxray._common.names import nearest
from imaxray.errors import ImaxrayError

_FOLDER: Final = Path(__file__).parent
_SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True)
class BuiltinConfig:
    """A configuration that ships with the package.

    Attributes:
        name: Path below the folder of configurations, without the suffix (``train/lingshu-7b``).
        path: YAML file of the configuration.
        command: Command that uses the configuration.
        summary: Description of the configuration in one or two sentences.
    """

    name: str
    path: Path
    command: str
    summary: str


def list_configs() -> list[BuiltinConfig]:
    """Return all built-in configurations: first studies and strategies, then training recipes.

    Example:
        >>> [config.name for config in list_configs()][:2]
        ['ablation', 'dose']
    """
    files = sorted(_FOLDER.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return [_described(path) for path in files]


def find_config(name: str | Path, folder: str | None = None) -> Path:
    """Return the file of a configuration.

    Args:
        name: Name of a built-in configuration, or path of a YAML file. Built-in configurations
            are searched first; a ``Path``, or a text that ends in ``.yaml``, is always a file.
        folder: Folder of built-in configurations that is searched first (``train``), so that
            ``lingshu-7b`` finds ``train/lingshu-7b``.

    Returns:
        The path; if ``name`` is a path, it is not checked whether the file exists.

    Raises:
        ImaxrayError: If there is neither a built-in configuration nor a file of that name.

    Example:
        >>> find_config("phantom").name
        'phantom.yaml'
    """
    if isinstance(name, Path):
        return name
    known = _names()
    for candidate in (f"{folder}/{name}" if folder else name, name):
        if candidate in known:
            return known[candidate]
    if name.endswith(_SUFFIXES) or Path(name).is_file():
        return Path(name)
    short = {n.removeprefix(f"{folder}/"): n for n in known} if folder else known
    near = nearest(name, short) or nearest(name, known)
    raise ImaxrayError(
        f"Expected a YAML file or the name of a built-in configuration, but got {name}; "
        + (f"did you mean {near}?" if near else "`imaxray configs list` lists the names.")
    )


def copy_config(name: str, out: Path | None = None) -> Path:
    """Copy a built-in configuration, so that it can be edited.

    Args:
        name: Name of the configuration, as :func:`list_configs` returns it.
        out: File to write; default: the file name of the configuration, in the current folder.

    Returns:
        The written file.

    Raises:
        ImaxrayError: If there is no such configuration, or if ``out`` exists.
    """
    text = show_config(name)
    target = out or Path(f"{name.rpartition('/')[2]}.yaml")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        stream = target.open("x", encoding="utf-8")  # "x": two processes never share it
    except FileExistsError as error:
        raise ImaxrayError(
            f"Expected to write a new file {target}, but it exists already; name another file with "
            "--out."
        ) from error
    try:
        with stream:
            stream.write(text)
    except BaseException:
        target.unlink()  # a part of it would be in the way of the next call
        raise
    return target


def show_config(name: str) -> str:
    """Return the YAML text of a built-in configuration.

    Args:
        name: Name of the configuration; ``lingshu-7b`` is short for ``train/lingshu-7b``.

    Raises:
        ImaxrayError: If there is no configuration of that name.
    """
    known = _names()
    short = [full for full in known if full.rpartition("/")[2] == name]
    if name not in known and len(short) == 1:
        name = short[0]
    if name not in known:
        near = nearest(name, known)
        raise ImaxrayError(
            f"Expected the name of a built-in configuration, but got {name}; "
            + (f"did you mean {near}?" if near else "`imaxray configs list` lists the names.")
        )
    return known[name].read_text(encoding="utf-8")


def require_kind(content: Mapping[str, Any], path: Path, wanted: str) -> None:
    """Check that a configuration is not, by its keys, one of another command.

    Args:
        content: Keys and values of the file.
        path: The file, for messages.
        wanted: Command that reads it: ``study`` (and ``build``), ``strategy`` or ``train``.

    Raises:
        ImaxrayError: The keys are those of another command's configuration.
    """
    kind, command = None, ""
    if "stages" in content:
        kind, command = "strategy", "imaxray strategy CONFIG --out OUT"
    elif content.keys() & {"releases", "imax", "strategy"}:
        kind, command = "study", "imaxray study CONFIG --out OUT"
    elif content.keys() & {"layout", "method", "learning_rate", "lora"}:
        kind, command = "train", "imaxray train DATASET --config CONFIG --out OUT"
    if kind not in (None, wanted):
        raise ImaxrayError(
            f"Expected a configuration of `imaxray {wanted}`, but {path} is one of another "
            f"command; run `{command}` with it."
        )


def instead_of(path: Path) -> str:
    """Return the advice of an error message for a ``path`` without a readable configuration."""
    near = next((name for name in _names() if str(path.with_suffix("")).endswith(name)), None)
    if near is None:
        return "give a YAML file or a name that `imaxray configs list` lists"
    return f"give a YAML file or the name of a built-in configuration, such as {near}"


def _names() -> dict[str, Path]:
    return {
        path.relative_to(_FOLDER).with_suffix("").as_posix(): path
        for path in sorted(_FOLDER.rglob("*.yaml"))
    }


def _described(path: Path) -> BuiltinConfig:
    """Read command and summary from the first two paragraphs of a file's leading comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    paragraphs = [" ".join(p.split("\n")) for p in "\n".join(comment).split("\n\n")]
    name = path.relative_to(_FOLDER).with_suffix("").as_posix()
    return BuiltinConfig(name, path, paragraphs[0], paragraphs[1])
