"""Rows in = kept + rejected, proven for every release file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.curation.tables import ACCOUNT
from imaxray.sources import ReleaseFile


def close_account(
    files: Sequence[ReleaseFile], kept: Iterable[pl.DataFrame], rejected: Iterable[pl.DataFrame]
) -> pl.DataFrame:
    """Count, per release file, the rows that came in, that stayed and that did not.

    A row stays if anything of it is in the catalog: an image, an annotation, a split hint that was
    used. A row of which nothing stayed must have a reject.

    Args:
        files: what was read, with its number of rows.
        kept: frames with the columns source, file, row.
        rejected: likewise.

    Returns:
        Schema ACCOUNT, sorted by source and file.

    Raises:
        RuntimeError: a row is neither kept nor rejected, or there are rows that no file has. That
            is a bug in a source, not a mistake of the user.
    """
    # one flag a row of every file: millions of rows cost megabytes, not a join
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
            raise RuntimeError(
                f"{file.source} {file.file}: {file.rows} rows in, but {n_kept} kept and "
                f"{n_rejected} rejected"
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
                raise RuntimeError(f"{source} {file}: a row that the file does not have")
            known[numbers] = True
