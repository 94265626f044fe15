"""Writes and reads the JSON files that imaxray writes for itself, and finds damage in them.

Manifests, identities, records of finished work and learning curves are such files. A disk error, a
full disk or an editor can cut or change them. Every reader names the file, and says what to do.

A file that holds an object also holds the digest of its other keys, so that a changed digit is
found, too. Files of earlier versions have no such key; they are read as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imaxray._common.files import require_file, write_text
from imaxray.errors import ImaxrayError

DIGEST_KEY: Final = "content_sha256"
"""Key of the SHA-256 hex digest of a file's other keys and values, in the file itself."""


def write_state(path: Path, content: Mapping[Any, Any], *, sort_keys: bool = False) -> None:
    """Write ``content`` as JSON with its digest, as a whole or not at all.

    Raises:
        TypeError, ValueError: JSON cannot express ``content``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "steps.json"
        >>> write_state(path, {"steps": 4})
        >>> known_state(path)
        {'steps': 4}
        >>> _ = path.write_text(path.read_text().replace("4", "5", 1))
        >>> known_state(path)
        {}
    """
    write_text(path, state_text(content, sort_keys=sort_keys))


def state_text(
    content: Mapping[Any, Any], *, sort_keys: bool = False, allow_nan: bool = True
) -> str:
    """Return what :func:`write_state` writes.

    Args:
        content: Keys and values.
        sort_keys: Whether the keys are sorted.
        allow_nan: Whether numbers may be NaN or infinite, which only Python reads.

    Raises:
        TypeError, ValueError: JSON cannot express ``content``.
    """
    # as it will be read: the keys of an object are texts then, and tuples are lists
    read = json.loads(json.dumps(content, sort_keys=sort_keys, allow_nan=allow_nan))
    return json.dumps({**read, DIGEST_KEY: _digest(read)}, indent=1) + "\n"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _parsed(text: str) -> Any:
    """Return the content of a JSON text without its digest.

    Raises:
        ValueError, RecursionError: The text is not JSON, an object has a key twice, or the content
            has another digest.
    """
    content = json.loads(text, object_pairs_hook=_once)
    if isinstance(content, dict) and DIGEST_KEY in content:
        stated = content.pop(DIGEST_KEY)
        if stated != _digest(content):
            raise ValueError("its content has another digest")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def is_changed(path: Path) -> bool:
    """Tell whether a file is no JSON, or has other content than its digest says."""
    try:
        require_file(path)
        _parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, ImaxrayError):
        return True
    return False


def read_state(path: Path, shape: Any = dict[str, Any], *, advice: str) -> Any:
    """Return the content of a JSON file that imaxray wrote, without its digest.

    Args:
        path: The file.
        shape: Type of the content, such as a ``TypedDict``; keys beyond those of the type are kept.
        advice: End of the message, which says what the user should do.

    Raises:
        ImaxrayError: The file is missing, is not JSON, has content of another type, or was changed
            after it was written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "steps.json"
        >>> _ = path.write_text('{"steps": 4}')
        >>> read_state(path, dict[str, int], advice="train again")
        {'steps': 4}
    """
    return _checked(_text(path, advice), shape, path, advice)


def read_state_lines(
    path: Path, shape: Any = dict[str, Any], *, advice: str, cut_end: bool = False
) -> list[Any]:
    """Return the content of each line of a file of JSON lines that imaxray wrote.

    Args:
        path: The file.
        shape: Type of the content of a line.
        advice: End of the message, which says what the user should do.
        cut_end: Whether a last line without its line break is left out, as a process that was
            killed leaves it.

    Raises:
        ImaxrayError: The file is missing, or a line is not JSON or of another type.
    """
    return _lines(_text(path, advice), shape, path, advice, cut_end)


def state_lines(content: bytes, shape: Any, path: Path, *, advice: str) -> list[Any]:
    """Return the content of each line of JSON lines that were read before.

    Args:
        content: The bytes of the file.
        shape: Type of the content of a line.
        path: The file, for the message.
        advice: End of the message, which says what the user should do.

    Raises:
        ImaxrayError: A line is not JSON or of another type.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _changed(path, advice) from error
    return _lines(text, shape, path, advice, cut_end=False)


def known_state(path: Path) -> dict[str, Any]:
    """Return the keys and values of a JSON file; empty if the file is missing or damaged.

    This is for files without which the work is only done again.
    """
    try:
        require_file(path)
        content = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, ImaxrayError):
        return {}
    return content if isinstance(content, dict) else {}


def _lines(text: str, shape: Any, path: Path, advice: str, cut_end: bool) -> list[Any]:
    lines = text.split("\n")
    if cut_end or not lines[-1]:
        lines.pop()
    return [
        _checked(line, shape, path, advice, f"line {number} of ")
        for number, line in enumerate(lines, start=1)
    ]


def _text(path: Path, advice: str) -> str:
    require_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _changed(path, advice) from error
    except OSError as error:
        raise ImaxrayError(
            f"Expected {path}, which imaxray writes, but the system says: {error.strerror}; "
            f"{advice}."
        ) from error


def _checked(text: str, shape: Any, path: Path, advice: str, part: str = "") -> Any:
    import msgspec  # late: the command line starts without it

    try:
        content = _parsed(text)
        msgspec.convert(content, shape)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise _changed(path, advice, part) from error
    return content


def _changed(path: Path, advice: str, part: str = "") -> ImaxrayError:
    return ImaxrayError(
        f"Expected {part}{path} as imaxray wrote it, but it was changed or cut; {advice}."
    )
