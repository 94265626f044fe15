"""Numbers from a file are checked before they decide anything."""

import polars as pl
import pytest

from imaxray.errors import ImaxrayError
from imaxray.pseudo.table import PSEUDO, require_sound


def table(**values):
    rows = pl.DataFrame({"pseudo_id": ["a", "b"], "logprob": [-0.5, 0.0]})
    empty = [pl.lit(None, dtype=t).alias(n) for n, t in PSEUDO.items() if n not in rows.columns]
    return rows.with_columns(*empty).with_columns(pl.Series(n, v) for n, v in values.items())


def test_a_sound_table_passes(tmp_path):
    require_sound(table(), tmp_path)
    require_sound(table(agreement=[0.0, 1.0], logprob=[None, 1e-9]), tmp_path)


@pytest.mark.parametrize("values", [
    {"logprob": [-1.0, float("nan")]}, {"logprob": [0.5, -1.0]}, {"logprob": [float("inf"), 0.0]},
    {"agreement": [0.5, 1.5]}, {"agreement": [-0.5, 0.5]}, {"agreement": [0.5, float("nan")]},
])  # fmt: skip
def test_a_number_that_cannot_be_is_one_sentence(tmp_path, values):
    with pytest.raises(ImaxrayError, match=rf"in the column {next(iter(values))}.*but 1 are not"):
        require_sound(table(**values), tmp_path)


def test_a_missing_column_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="Expected the column answer in"):
        require_sound(table().drop("answer"), tmp_path)
