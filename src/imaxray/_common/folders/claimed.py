"""Claims the names of files that a command writes into a folder which may hold files of the user.

Results such as ``result.json`` or ``tasks.csv`` are written one by one, into any folder that the
user names. A hidden file in it lists the names that imaxray has written there; a file that is not
listed belongs to the user.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imaxray._common.digests import changed_files, digest_file, is_as_written
from imaxray._common.files import sha256
from imaxray._common.state import is_changed, known_state, write_state
from imaxray.errors import ImaxrayError

CLAIMED: Final = ".imaxray-written.json"
"""Name of the file that lists the names."""

_DIGESTS: Final = "file_sha256"
_WRITTEN: Final = "the results there were written"
_HEAD: Final = 65536  # bytes of a file in which its mark is looked for


def claim_files(
    folder: Path, names: Collection[str], what: str, *, known_by: Mapping[str, Sequence[str]]
) -> None:
    """Check that none of the files to write belongs to the user, and list their names as written.

    The names may then be written, replaced and removed.

    Args:
        folder: The folder, which is created.
        names: Names of the files.
        what: What writes them, for the message (``a comparison``).
        known_by: Files by which a folder of an earlier version, which has no list, is known: name →
            texts that all stand near the beginning of the file, enough for no other file to have
            them.

    Raises:
        ImaxrayError: If one of the files is there, and is the user's.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> claim_files(folder, ["tasks.csv"], "a measurement", known_by={})
        >>> _ = (folder / "tasks.csv").write_text("1")
        >>> claim_files(folder, ["tasks.csv"], "a measurement", known_by={})
    """
    require_claimable(folder, names, what, known_by=known_by)
    listed, digests = _listed(folder), claimed_digests(folder)
    kept = {name: digest for name, digest in digests.items() if name not in names}
    if not {*names} <= listed or kept != digests:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, {*names, *listed}, kept)


def record_claimed(folder: Path, names: Collection[str] | None = None) -> None:
    """Record the digests of the claimed files as they lie now, for ``imaxray verify``.

    A command calls this when it has written its files; :func:`claim_files` forgets their digests.

    Args:
        folder: The folder.
        names: Files that the command has written, claimed or not, and those that its results were
            made from, as paths in the folder. The digests of others stay as they are, so that
            damage in them is still found. None: all claimed files.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> claim_files(folder, ["tasks.csv", "power.csv"], "a measurement", known_by={})
        >>> _ = (folder / "tasks.csv").write_text("1")
        >>> record_claimed(folder)
        >>> sorted(claimed_digests(folder))
        ['tasks.csv']
    """
    listed, known = _listed(folder), claimed_digests(folder)
    new = listed if names is None else {*names}
    digests = {name: digest for name, digest in known.items() if name not in new}
    digests |= {name: sha256(folder / name) for name in new if (folder / name).is_file()}
    if digests != known:
        _write(folder, listed, digests)


def record_files(folder: Path) -> None:
    """List all files below a folder that is written as a whole, and record their digests.

    This is for folders without a manifest of their own that holds digests.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "tasks.csv").write_text("1")
        >>> record_files(folder)
        >>> sorted(claimed_digests(folder))
        ['tasks.csv']
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
    _write(folder, digests, digests)


def forget_recorded(folder: Path) -> None:
    """Forget all digests in a folder, because work begins that changes its files.

    Before, :func:`require_records` compares what the work goes on from.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> claim_files(folder, ["tasks.csv"], "a measurement", known_by={})
        >>> _ = (folder / "run.json").write_text("{}")
        >>> record_claimed(folder, ["run.json"])
        >>> forget_recorded(folder)
        >>> claimed_digests(folder)
        {}
    """
    if claimed_digests(folder):
        _write(folder, _listed(folder), {})


def require_recorded(folder: Path, *, advice: str, leave_out: Collection[str] = ()) -> None:
    """Compare what lies in a folder with the digests that :func:`record_claimed` recorded.

    A file that is gone is left to its reader; a folder of an earlier version has no digests.

    Args:
        folder: Folder of results.
        advice: End of the message, which says what the user should do.
        leave_out: Names of files that are not read.

    Raises:
        ImaxrayError: A file was changed since.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> claim_files(folder, ["tasks.csv"], "a measurement", known_by={})
        >>> _ = (folder / "tasks.csv").write_text("1")
        >>> record_claimed(folder)
        >>> require_recorded(folder, advice="measure again")
        >>> _ = (folder / "tasks.csv").write_text("2")
        >>> require_recorded(folder, advice="measure again", leave_out=["tasks.csv"])
        >>> require_recorded(folder, advice="measure again")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        imaxray.errors.ImaxrayError: Expected tasks.csv in ... as it was when the results there \
were written, but it was changed; measure again.
    """
    digests = claimed_digests(folder)
    there = [n for n in digests if n not in leave_out and os.path.lexists(folder / n)]
    _require_same(folder, {name: digests[name] for name in there}, _WRITTEN, advice)


def require_records(folder: Path, names: Collection[str], *, advice: str) -> None:
    """Compare the records that work goes on from with the digests of :func:`record_claimed`.

    A record that is gone, or whose own digest tells that it was damaged, is left to its reader, who
    does the work again. One that is whole but another one was edited, or is that of other work.

    Args:
        folder: Folder of results.
        names: State files of finished work, and tables with their digests beside them, as paths in
            the folder.
        advice: End of the message, which says what the user should do.

    Raises:
        ImaxrayError: A record is another one than when the results were written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_state(folder / "budget.json", {"steps": 4})
        >>> record_claimed(folder, ["budget.json"])
        >>> require_records(folder, ["budget.json"], advice="put it back")
        >>> write_state(folder / "budget.json", {"steps": 5})
        >>> require_records(folder, ["budget.json"], advice="put it back")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        imaxray.errors.ImaxrayError: Expected budget.json in ... as it was when the results there \
were written, but it was changed; put it back.
    """
    known = claimed_digests(folder)
    digests = {name: known[name] for name in sorted({*names} & {*known})}
    require_as_recorded(folder, digests, _WRITTEN, advice=advice)


def require_as_recorded(
    folder: Path, digests: Mapping[str, str], when: str, *, advice: str
) -> None:
    """Compare records with given digests, as :func:`require_records` does with recorded ones.

    Args:
        folder: Folder of results.
        digests: SHA-256 hex digest of each record, by its path in the folder.
        when: What was done when the digests were taken, for the message.
        advice: End of the message, which says what the user should do.

    Raises:
        ImaxrayError: A record is another one than then.
    """
    whole = {name: digest for name, digest in digests.items() if _is_whole(folder / name)}
    _require_same(folder, whole, when, advice)


def _is_whole(path: Path) -> bool:
    if path.suffix == ".json":
        return not is_changed(path)
    return is_as_written(path) or (path.is_file() and not digest_file(path).exists())


def _require_same(folder: Path, digests: Mapping[str, str], when: str, advice: str) -> None:
    changed = changed_files(folder, digests)
    if changed:
        raise ImaxrayError(
            f"Expected {changed[0]} in {folder} as it was when {when}, but it was changed; "
            f"{advice}."
        )


def claimed_digests(folder: Path) -> dict[str, str]:
    """Return the recorded SHA-256 hex digests of the claimed files, by their names."""
    known = known_state(folder / CLAIMED).get(_DIGESTS, {})
    return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}


def _write(folder: Path, names: Collection[str], digests: Mapping[str, str]) -> None:
    content: dict[str, Any] = {"files": sorted(names)}
    if digests:
        content[_DIGESTS] = dict(sorted(digests.items()))
    write_state(folder / CLAIMED, content)


def require_claimable(
    folder: Path, names: Collection[str], what: str, *, known_by: Mapping[str, Sequence[str]]
) -> None:
    """Check, before long work that may still fail, that :func:`claim_files` will take a folder.

    Args:
        folder: As for :func:`claim_files`, like the other arguments.
        names: Names of the files.
        what: What writes them.
        known_by: Files by which a folder of an earlier version is known.

    Raises:
        ImaxrayError: If one of the files is there, and is the user's.
    """
    listed = _listed(folder)
    there = [name for name in sorted({*names} - listed) if os.path.lexists(folder / name)]
    if there and not any(_has(folder / name, texts) for name, texts in known_by.items()):
        raise ImaxrayError(
            f"Expected to keep your file {there[0]} in {folder}, but {what} writes a file of that "
            "name; move yours, or choose another folder."
        )


def has_claims(folder: Path) -> bool:
    """Tell whether the list of a folder can be read; a damaged one names no file."""
    return isinstance(known_state(folder / CLAIMED).get("files"), list)


def _listed(folder: Path) -> set[str]:
    known = known_state(folder / CLAIMED).get("files", [])
    return {str(name) for name in known} if isinstance(known, list) else set()


def _has(path: Path, texts: Sequence[str]) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            return all(text.encode() in head for text in texts)
    except OSError:
        return False
