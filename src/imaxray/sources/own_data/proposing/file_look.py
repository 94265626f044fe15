"""Finds the encoding and the separator of tables, and the names of the classes of YOLO files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imaxray._common.config import read_yaml
from imaxray._common.files import require_file
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import DEFAULT_ENCODING
from imaxray.sources._shared.files.tables import read_header
from imaxray.sources.own_data.box_files import NOT_LABELS
from imaxray.sources.own_data.reading import form_of

_MOVED: Final = "correct it, or move it out of the folder of the boxes"
_SEPARATORS: Final = (",", ";", "\t", "|")


def encoding_of(tables: Sequence[Path]) -> tuple[str, str]:
    """Return the encoding of all tables that are text, and a sentence about it."""
    found: dict[str, str] = {}
    example = ""
    for path in tables:
        if form_of(path) not in ("csv", "jsonl") or path.suffix.lower() in (".gz", ".zip"):
            continue
        require_file(path)
        data = path.read_bytes()
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            found["utf-16"] = path.name
            continue
        try:
            data.decode("utf-8-sig")
            found[DEFAULT_ENCODING] = path.name
        except UnicodeDecodeError as error:
            found["cp1252"] = path.name
            # shown to the user as an example, and used for nothing else
            around = data[max(0, error.start - 12) : error.start + 12].decode("cp1252", "replace")
            example = " ".join(around.split())
    if len(found) > 1 and not (set(found) - {DEFAULT_ENCODING, "cp1252"}):
        del found[DEFAULT_ENCODING]  # what is UTF-8 and ASCII alone is cp1252 too
        for path in tables:
            data = path.read_bytes()
            if not data.isascii() and _is_utf8(data):
                found[DEFAULT_ENCODING] = path.name
    if len(found) > 1:
        named = ", ".join(f"{file} is {encoding}" for encoding, file in found.items())
        raise ImaxrayError(
            f"Expected all tables in one encoding, but {named}; save them all as UTF-8."
        )
    encoding = next(iter(found), DEFAULT_ENCODING)
    if encoding == DEFAULT_ENCODING:
        return encoding, ""
    said = f"The tables are no UTF-8 and are read as {encoding}"
    return encoding, (f"{said}, such as: {example}" if encoding == "cp1252" else f"{said}.")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def separator_of(path: Path) -> str:
    """Return the separator that parts the header into most columns."""
    counts = {}
    for separator in _SEPARATORS:
        header = read_header(path, separator=separator)
        counts[separator] = len(header)
    return max(counts, key=lambda separator: counts[separator])


def classes_of(folder: Path) -> list[str]:
    """Return the names of the classes of YOLO files, from a list or a data.yaml beside them."""
    for place in (folder, folder.parent):
        for name in NOT_LABELS[:3]:
            file = place / name
            if file.is_file():
                # names that the user sees and can correct
                lines = file.read_text("utf-8", "replace").splitlines()
                return [line.strip() for line in lines if line.strip()]
        for file in (place / "data.yaml", place / "dataset.yaml"):
            if file.is_file():
                names = read_yaml(file, what="the classes of the boxes", advice=_MOVED).get("names")
                if isinstance(names, dict):
                    names = [names[k] for k in sorted(names)]
                if isinstance(names, list):
                    return [str(item) for item in names]
    return []
