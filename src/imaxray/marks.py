"""Reads and writes the marks that a user sets on images and annotations while viewing a dataset.

Marks are kept in a file of JSON lines that belongs to the user. A line is added for each mark and
none is ever changed; the last line about a thing counts. A build reads the file to leave out what
is marked (:class:`Exclusions`).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imaxray._common.files import flush, require_file
from imaxray._common.lock import sole_writer
from imaxray._common.state import state_lines
from imaxray.errors import ImaxrayError

Verdict = Literal["wrong", "doubtful", "note", "none"]
"""What a mark says: ``note`` is a remark only, and ``none`` withdraws an earlier mark."""

LONGEST_NOTE: Final = 2000
"""Maximum number of characters of a note."""

_PATIENCE: Final = 10.0  # seconds; another viewer holds the lock for milliseconds only
_START: Final = b'{"image_id": "'  # of every line
_in_process: Final = threading.Lock()

_Text = Field(max_length=1000)


class AnnotationKey(BaseModel):
    """Names one annotation of an image.

    File and row say where the release states it. They do not take part in comparisons, so that a
    mark also holds for the same statement in another version of the release.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = _Text
    name: str | None = Field(default=None, max_length=1000)
    source: str = _Text
    reader: str | None = Field(default=None, max_length=1000)
    fact: str = Field(description="Digest of value, text, boxes and answers.", max_length=64)
    file: str = _Text
    row: int | None = None  # a derived annotation stands in no row of a release

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What two equal annotations of an image have in common."""
        return (self.kind, self.name, self.source, self.reader, self.fact)


class Mark(BaseModel):
    """One mark: what a user says of an image, or of an annotation of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_id: str = Field(min_length=1, max_length=1000)
    verdict: Verdict
    annotation: AnnotationKey | None = None
    note: str = Field(default="", max_length=LONGEST_NOTE)
    dataset: str | None = Field(default=None, max_length=64, description="Digest of the dataset.")
    time: str = Field(default="", max_length=40)

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What the mark is about."""
        of = () if self.annotation is None else self.annotation.identity
        return (self.image_id, *of)


def read_marks(path: Path) -> list[Mark]:
    """Return the marks that count, one per image or annotation, in the order of the file.

    A last line that is cut off is left out: a process was killed while it was written.

    Raises:
        ImaxrayError: The file is missing, or a line is no mark.
    """
    return content_of_marks(path)[0]


def content_of_marks(path: Path) -> tuple[list[Mark], str]:
    """Return the marks that count, and the SHA-256 of the file that they were read from.

    The file is read once, so that both are of the same moment although a viewer may add marks.

    Raises:
        ImaxrayError: The file is missing, or a line is no mark.
    """
    advice = "correct or remove the line, or name another file of marks"
    content = _content(path)
    whole, _ = _parted(content)
    lines = state_lines(whole, dict[str, Any], path, advice=advice)
    marks: dict[tuple[str | None, ...], Mark] = {}
    for number, line in enumerate(lines, start=1):
        try:
            mark = Mark.model_validate(line)
        except ValidationError as error:
            first = error.errors()[0]
            raise ImaxrayError(
                f"Expected a mark in line {number} of {path}, but "
                f"{'.'.join(map(str, first['loc'])) or 'it'} is wrong: {first['msg']}; {advice}."
            ) from error
        marks.pop(mark.identity, None)
        if mark.verdict != "none":
            marks[mark.identity] = mark
    return list(marks.values()), hashlib.sha256(content).hexdigest()


def _parted(content: bytes) -> tuple[bytes, bytes]:
    """Part the whole lines of a file from a line that a killed process left cut off.

    A last line that is whole and only lacks its line break, as an editor leaves it, counts.
    """
    end = content.rfind(b"\n") + 1
    tail = content[end:]
    if not tail or not _is_cut(tail):
        return content, b""
    return content[:end], tail


def _is_cut(tail: bytes) -> bool:
    if tail[: len(_START)] != _START[: len(tail)]:
        return False  # nothing that a viewer wrote; the reader says that it is no mark
    try:
        json.loads(tail)
    except (ValueError, RecursionError):
        return True
    return False


def _content(path: Path) -> bytes:
    require_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImaxrayError(
            f"Expected a file of marks at {path}, which `imaxray view` writes, but the system "
            f"says: {error.strerror}; correct the path."
        ) from error


def append_mark(path: Path, mark: Mark) -> Mark:
    """Add a mark to a file, and return it with its time; the file is made if it is missing.

    The line is on the disk when the function returns. Several processes may add marks to one file.

    Raises:
        ImaxrayError: Another process does not release the file, or the line cannot be written.
    """
    mark = mark.model_copy(update={"time": datetime.now(UTC).isoformat(timespec="seconds")})
    line = json.dumps(mark.model_dump(mode="json", exclude_none=True), ensure_ascii=False) + "\n"
    require_file(path)
    with _in_process, ExitStack() as stack:
        _locked(path, stack)
        try:
            _append(path, line.encode("utf-8", errors="replace"))
        except OSError as error:
            raise ImaxrayError(
                f"Expected to add a mark to {path}, but the system says: {error.strerror}; the "
                "mark is not kept, so free some space or name another file with --marks."
            ) from error
    return mark


def fact_digest(row: Mapping[str, Any]) -> str:
    """Return the digest of what an annotation states: its value, text, boxes and answers.

    Args:
        row: Row of annotations, schema ANNOTATIONS.

    Example:
        >>> row = {"value": 1.0, "text": None, "boxes": None, "answers": None}
        >>> fact_digest(row) == fact_digest({**row, "quality": "expert"})
        True
        >>> fact_digest(row) == fact_digest({**row, "value": 0.0})
        False
    """
    stated = [row["value"], row["text"], _plain(row["boxes"]), _plain(row["answers"])]
    text = json.dumps(stated, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else [v if isinstance(v, str) else list(v) for v in values]


def _locked(path: Path, stack: ExitStack) -> None:
    """Hold the lock of the file until ``stack`` closes; wait a little for another viewer."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            stack.enter_context(sole_writer(path, beside=True))
        except ImaxrayError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _append(path: Path, line: bytes) -> None:
    """Append a line as a whole; what a killed process left of its last line is removed.

    That line was never acknowledged, so no mark is lost.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        size = _whole_lines(descriptor, end)
        tail = os.pread(descriptor, end - size, size)
        if tail and not _is_cut(tail):
            _require_mark(tail, path)
            line, size = b"\n" + line, end  # of an editor, which wrote no last line break
        os.ftruncate(descriptor, size)
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(descriptor, line[written:], size + written)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    flush(path)


def _require_mark(line: bytes, path: Path) -> None:
    try:
        Mark.model_validate_json(line)
    except ValidationError as error:
        raise ImaxrayError(
            f"Expected a file of marks at {path}, but its last line is none; name another file "
            "with --marks."
        ) from error


def _whole_lines(descriptor: int, size: int) -> int:
    """Return the length of the file up to the end of its last whole line."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
