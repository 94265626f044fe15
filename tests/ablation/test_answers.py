"""Answers that were changed, or copied from another arm, are made again."""

from types import SimpleNamespace

import polars as pl
import pytest

from imaxray._common.files import write_parquet
from imaxray.ablation.arm import _answer
from imaxray.evaluation import generation
from imaxray.models import phantom


@pytest.fixture
def asked(monkeypatch):
    """Count how often the model is asked; its answers are a table of one row."""
    times = []

    def generate(*_arguments, **_options):
        times.append(1)
        return pl.DataFrame({"entry_id": ["a"], "text": ["yes"]})

    monkeypatch.setattr(generation, "generate", generate)
    monkeypatch.setattr(phantom, "load", lambda _: None)
    monkeypatch.setattr("imaxray.training.encode_entries", lambda *_, **__: [])
    return times


def test_answers_that_were_changed_are_made_again(tmp_path, asked):
    entries = pl.DataFrame({"entry_id": ["a"], "image_id": ["i"]})
    tables = SimpleNamespace(split=lambda _: entries, images=None)
    evaluation = SimpleNamespace(max_new_tokens=4, images_per_batch=1)
    answer = [SimpleNamespace(evaluation=evaluation), SimpleNamespace(tables=tables), tmp_path,
              "test", lambda _: None]  # fmt: skip
    took = _answer(*answer)
    assert _answer(*answer) == took and len(asked) == 1
    path = tmp_path / "predictions.parquet"
    right = path.read_bytes()
    write_parquet(path, pl.DataFrame({"entry_id": ["a"], "text": ["no"]}))
    _answer(*answer)
    assert len(asked) == 2 and path.read_bytes() == right
    (tmp_path / "predictions.sha256").unlink()  # of an earlier version
    _answer(*answer)
    assert len(asked) == 2
