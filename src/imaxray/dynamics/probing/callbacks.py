"""Measures the Fisher spectrum during training, on a fixed probe or on the training batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import polars as pl
import torch.distributed as dist
from torch import Tensor
from transformers import TrainerCallback

from imaxray._common.files import write_parquet
from imaxray._common.state import read_state, write_state
from imaxray._version import __version__
from imaxray.dynamics.numbers.gram import Gram, Matrix
from imaxray.dynamics.numbers.tables import PAIRS, SPECTRA
from imaxray.dynamics.probing.store import read_table, record
from imaxray.dynamics.recording.fisher import (
    Losses,
    Rows,
    empirical_fisher,
    one_row_each,
    row_losses,
)
from imaxray.dynamics.recording.recorder import GramRecorder
from imaxray.errors import ImaxrayError


@dataclass(frozen=True)
class Probe:
    """Holds a fixed set of entries in the form of model inputs.

    Attributes:
        batches: Model inputs as separate sequences (one row per entry).
        ids: Entry id of each entry, in the order of the batches.
        tasks: Task of each entry.
        images: Image id of each entry.
        tokens: Number of answer tokens of each entry.
        strata: Stratum of each entry (task and answer length).
    """

    batches: Sequence[Any]
    ids: tuple[str, ...]
    tasks: tuple[str, ...]
    images: tuple[str, ...]
    tokens: tuple[int, ...]
    strata: tuple[str, ...]


def answer_tokens(probe: Probe) -> Matrix:
    """Return the number of answer tokens of each entry, (N,) float64."""
    return np.asarray(probe.tokens, dtype=np.float64)


class _Probe(TypedDict):
    """The part of probe.json that is read here."""

    entry_ids: list[str]


class FisherProbe(TrainerCallback):  # type: ignore[misc]
    """Measures a :class:`Probe` before the first step, at regular intervals, and at the end.

    It writes into ``folder``: ``probe.json`` (ids, strata, uncovered parameters), one Gram matrix
    per measurement (``gram/<entries seen>.parquet``), and ``spectra.parquet`` and ``tasks.parquet``
    with all measurements. A resumed run deletes the measurements after its checkpoint and
    continues. The gradients, mode and weights of the model do not change. With several ranks, the
    batches are divided among them and rank 0 writes.

    Args:
        probe: Entries to measure.
        folder: Folder of the results.
        every: Number of entries between measurements.
        entries_per_step: Number of entries of one optimizer step over all ranks, or a function that
            returns the number of entries seen so far.
        losses: Function that returns the summed loss of each entry of a batch.
        rows: Function that returns the row → sample maps of a batch.
        leave_out: Patterns of parameter names to leave out.

    Raises:
        ImaxrayError: If the folder holds measurements of another probe.
    """

    def __init__(
        self,
        probe: Probe,
        folder: Path,
        *,
        every: int,
        entries_per_step: int | Callable[[], int],
        losses: Losses = row_losses,
        rows: Rows = one_row_each,
        leave_out: Sequence[str] = (),
    ) -> None:
        self._probe = probe
        self._folder = folder
        self._every = every
        self._seen = entries_per_step
        self._losses, self._rows, self._leave_out = losses, rows, tuple(leave_out)
        self._last = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the initial model, or continue from the checkpoint of a resumed run."""
        seen = self._entries(state)
        if _first_rank():
            self._claim()
            for path in sorted((self._folder / "gram").glob("*.parquet")):
                if int(path.stem) > seen:
                    path.unlink()
            for name, schema in (("spectra", SPECTRA), ("tasks", PAIRS)):
                table = read_table(self._folder, name, schema)
                kept = table.filter(pl.col("entries_seen") <= seen)
                write_parquet(self._folder / f"{name}.parquet", kept)
        self._last = seen if state.global_step else -1
        if not state.global_step:
            self._measure(kwargs["model"], 0, 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure when the entries seen have passed a multiple of ``every``, and at the end."""
        seen = self._entries(state)
        if seen // self._every > self._last // self._every or state.global_step >= state.max_steps:
            self._measure(kwargs["model"], state.global_step, seen)

    def _entries(self, state: Any) -> int:
        if callable(self._seen):
            return self._seen()
        return int(state.global_step) * self._seen

    def _measure(self, model: Any, step: int, seen: int) -> None:
        if seen == self._last:
            return
        self._last = seen
        probe = self._probe
        gram = empirical_fisher(
            model, probe.batches, self._losses, self._rows,
            leave_out=self._leave_out, distributed=_ranks() > 1,
            ids=probe.ids, tasks=probe.tasks, images=probe.images, tokens=answer_tokens(probe),
        )  # fmt: skip
        if not _first_rank():
            return
        record(self._folder, gram, step=step, entries_seen=seen)
        self._manifest(gram)

    def _claim(self) -> None:
        """Refuse a folder with measurements of other entries, because a curve needs one probe."""
        path = self._folder / "probe.json"
        advice = "remove the folder, or give another"
        if path.exists() and read_state(path, _Probe, advice=advice)["entry_ids"] != list(
            self._probe.ids
        ):
            raise ImaxrayError(
                f"Expected {path} to hold this probe's entries, but it holds others; give another "
                "folder, or use the same probe."
            )
        (self._folder / "gram").mkdir(parents=True, exist_ok=True)

    def _manifest(self, gram: Gram) -> None:
        told = {
            "entry_ids": list(self._probe.ids),
            "strata": list(self._probe.strata),
            "every": self._every,
            "uncovered": list(gram.uncovered),
            "imaxray": __version__,
        }
        write_state(self._folder / "probe.json", told)


class StepFisher(TrainerCallback):  # type: ignore[misc]
    """Computes K of each training batch from the backward pass that trains on it.

    Each batch is random, so two points of a curve also differ in their entries. Use this class for
    an informal curve and for task conflict during training; use :class:`FisherProbe` to compare
    arms. Dropout is the same as in training.

    Args:
        receive: Function that is called on every rank with the number of the step and its Gram
            matrix, before the optimizer step.
        rows: Function that returns the row → sample maps for keyword arguments of the model.
        scales: Function from keyword arguments to the factor of each sample's loss in the loss that
            backward is called on, (N,): 1/N for a mean over N rows, times the loss scaler.
        leave_out: Patterns of parameter names to leave out.
        accumulation: Whether a step has several micro-batches; their rows are then kept.
    """

    def __init__(
        self,
        receive: Callable[[int, Gram], None],
        *,
        rows: Rows = one_row_each,
        scales: Callable[[Any], Sequence[float] | Tensor] | None = None,
        leave_out: Sequence[str] = (),
        accumulation: bool = False,
    ) -> None:
        self._receive = receive
        self._rows, self._scales = rows, scales
        self._leave_out, self._keep = tuple(leave_out), accumulation or _ranks() > 1
        self._recorder: GramRecorder | None = None
        self._hook: Any = None
        self._step = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach the recorder to the model."""
        model = kwargs["model"]
        recorder = GramRecorder(
            model, keep_rows=self._keep or _ranks() > 1, leave_out=self._leave_out
        )

        def before(module: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
            if self._step and module.training:
                text, scopes = self._rows(module, inputs)
                scales = None if self._scales is None else self._scales(inputs)
                recorder.begin(text, scopes=scopes, scales=scales)

        self._recorder = recorder.attach()
        self._hook = model.register_forward_pre_hook(before, with_kwargs=True)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start to record; the following forward passes belong to the step."""
        self._step = True

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the batch of the recorder after the backward pass of a micro-batch."""
        if self._recorder is not None:
            self._recorder.end()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compute the Gram matrix once all gradients of the step are complete."""
        self._step = False
        if self._recorder is not None:
            gram = self._recorder.gram(distributed=_ranks() > 1)
            self._receive(int(state.global_step) + 1, gram)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Detach the recorder, so that the model is as it was before training."""
        if self._recorder is not None:
            self._recorder.detach()
            self._hook.remove()
            self._recorder = None


def _ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _first_rank() -> bool:
    return _ranks() == 1 or dist.get_rank() == 0
