"""Holds the Gram matrix of per-entry gradients, per module group, with metadata of the entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray._common.files import read_parquet, write_parquet
from imaxray.errors import ImaxrayError

Matrix = NDArray[np.float64]
Reduction = Literal["sum", "token-mean", "unit-norm"]
REDUCTIONS: tuple[Reduction, ...] = ("sum", "token-mean", "unit-norm")


@dataclass(frozen=True)
class Gram:
    """Holds K with K_ij = ⟨g_i, g_j⟩ for the gradients of N entries.

    K / N has the same non-zero eigenvalues as the empirical Fisher matrix.

    Attributes:
        groups: Mapping from module group to its part of K, (N, N) float64; the parts add up to K.
        uncovered: Names of trainable parameters whose gradients are not in K.
        ids: Entry ids, or None if unknown.
        tasks: Task of each entry, or None if unknown.
        images: Image id of each entry, or None if unknown.
        tokens: Number of answer tokens of each entry, (N,) float64, or None if unknown.
        reduction: Which gradient is meant: that of the summed answer log-likelihood (``sum``), that
            of its mean over answer tokens (``token-mean``), or the first one scaled to norm one
            (``unit-norm``).
    """

    groups: dict[str, Matrix]
    uncovered: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None
    tokens: Matrix | None = None
    reduction: Reduction = "sum"

    @property
    def matrix(self) -> Matrix:
        """The whole matrix K, (N, N) float64."""
        parts = list(self.groups.values())
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def __len__(self) -> int:
        return len(next(iter(self.groups.values())))

    def reduced(self, reduction: Reduction) -> Gram:
        """Return the matrix of the same entries under another reduction of each entry's loss.

        Only a matrix of summed losses can be converted to another reduction.

        Raises:
            ImaxrayError: If K is not of summed losses, or token counts are missing for
                "token-mean".

        Example:
            >>> gram = Gram({"all": np.array([[4.0, 2.0], [2.0, 9.0]])})
            >>> gram.reduced("unit-norm").matrix.round(3)
            array([[1.   , 0.333],
                   [0.333, 1.   ]])
        """
        if reduction == self.reduction:
            return self
        if self.reduction != "sum":
            raise ImaxrayError(
                f"Expected a Gram matrix of summed losses, but this one is {self.reduction}; keep "
                "the summed one."
            )
        if reduction == "token-mean":
            if self.tokens is None:
                raise ImaxrayError(
                    "Expected answer-token counts for token means, but the Gram matrix has none; "
                    "pass tokens when it is made."
                )
            scale = 1 / np.maximum(self.tokens, 1)
        else:
            norms = np.sqrt(np.diag(self.matrix))
            scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        outer = np.outer(scale, scale)
        return replace(
            self, groups={k: v * outer for k, v in self.groups.items()}, reduction=reduction
        )

    def only(self, index: Sequence[int] | NDArray[np.int64]) -> Gram:
        """Return the part of the matrix for the entries at ``index``, in that order."""
        at = np.asarray(index, dtype=np.int64)

        def picked(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if values is None else tuple(values[i] for i in at)

        return replace(
            self,
            groups={k: v[np.ix_(at, at)] for k, v in self.groups.items()},
            ids=picked(self.ids),
            tasks=picked(self.tasks),
            images=picked(self.images),
            tokens=None if self.tokens is None else self.tokens[at],
        )

    def write(self, path: Path) -> None:
        """Write one Parquet file atomically, with a row per entry and a column per module group."""
        path.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = {
            "entry_id": self.ids or [str(i) for i in range(len(self))],
            "task": self.tasks or [None] * len(self),
            "image_id": self.images or [None] * len(self),
            "tokens": [None] * len(self) if self.tokens is None else self.tokens,
            "reduction": [self.reduction] * len(self),
            "uncovered": [list(self.uncovered)] * len(self),
        }
        schema: dict[str, Any] = {
            "entry_id": pl.String,
            "task": pl.String,
            "image_id": pl.String,
            "tokens": pl.Float64,
            "reduction": pl.String,
            "uncovered": pl.List(pl.String),
        }
        for group, matrix in sorted(self.groups.items()):
            columns[f"gram.{group}"] = matrix.tolist()
            schema[f"gram.{group}"] = pl.List(pl.Float64)
        write_parquet(path, pl.DataFrame(columns, schema=schema))

    @classmethod
    def read(cls, path: Path) -> Gram:
        """Read what :meth:`write` wrote.

        Raises:
            ImaxrayError: If the file does not exist or holds no Gram matrix.
        """
        if not path.is_file():
            raise ImaxrayError(
                f"Expected a Gram matrix at {path}, but there is no such file; give a file that a "
                "probe wrote."
            )
        table = read_parquet(path)
        groups = [c.removeprefix("gram.") for c in table.columns if c.startswith("gram.")]
        if not groups or table.is_empty():
            raise ImaxrayError(
                f"Expected a Gram matrix in {path}, but it has no gram columns; give a file that "
                "a probe wrote."
            )

        def strings(column: str) -> tuple[str, ...] | None:
            return None if table[column].has_nulls() else tuple(table[column].to_list())

        tokens = table["tokens"]
        return cls(
            {g: np.array(table[f"gram.{g}"].to_list(), dtype=np.float64) for g in groups},
            tuple(table["uncovered"][0].to_list()),
            strings("entry_id"),
            strings("task"),
            strings("image_id"),
            None if tokens.has_nulls() else tokens.to_numpy().astype(np.float64),
            table["reduction"][0],
        )
