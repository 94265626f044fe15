"""Proves for every release file that the rows in are the rows kept plus the rows rejected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.curation.tables import ACCOUNT
from imaxray.errors import ImaxrayError
from imaxray.sources import ReleaseFile


class AccountError(ImaxrayError, RuntimeError):
    """Says that a source lost or invented a row; this is a bug of the source."""


def close_account(
    files: Sequence[ReleaseFile], kept: Iterable[pl.DataFrame], rejected: Iterable[pl.DataFrame]
) -> pl.DataFrame:
    """Count the rows of each release file: all rows, the rows kept and the rows rejected.

    A row is kept if anything of it is in the catalog: an image, an annotation or a split hint that
    was used. A row of which nothing is kept must have a reject.

    Args:
        files: Files that were read, with their numbers of rows.
        kept: Frames with the columns source, file and row of everything in the catalog.
        rejected: Frames with the columns source, file and row of the rejects.

    Returns:
        One row per file (schema ACCOUNT), sorted by source and file.

    Raises:
        AccountError: If a row is neither kept nor rejected, or if a frame names a row that its file
            does not have. Both are bugs in a source, not mistakes of the user.
    """
    # Every row of every file has one flag, so that millions of rows cost megabytes and no join.
    stayed = {(f.source, f.file): np.zeros(f.rows + 1, dtype=bool) for f in files}
    left = {key: np.zeros_like(flags) for key, flags in stayed.items()}
    _mark(stayed, kept)
    _mark(left, rejected)
    account = []
    for file in sorted(files, key=lambda f: (f.source, f.file)):
        key = (file.source, file.file)
        here, gone = stayed[key][1:], left[key][1:]
        n_kept, n_rejected = int(here.sum()), int((gone & ~here).sum())
        if file.rows != n_kept + n_rejected:
            raise AccountError(
                f"Expected the source {file.source} to keep or reject every row; it did not for "
                f"{file.file}: {file.rows} rows in, but {n_kept} kept and {n_rejected} rejected; "
                "correct the source."
            )
        account.append((*key, file.rows, n_kept, n_rejected))
    return pl.DataFrame(account, schema=ACCOUNT, orient="row")


def _mark(flags: dict[tuple[str, str], NDArray[np.bool_]], frames: Iterable[pl.DataFrame]) -> None:
    for frame in frames:
        rows_of = frame.group_by("source", "file").agg("row")
        for k, (source, file) in enumerate(rows_of.select("source", "file").iter_rows()):
            numbers = rows_of["row"][k].to_numpy()
            known = flags.get((source, file))
            if known is None or not 1 <= numbers.min() <= numbers.max() < len(known):
                raise AccountError(
                    f"Expected the source {source} to name rows of its files only, but a table "
                    f"names a row that {file} lacks; correct the source."
                )
            known[numbers] = True
