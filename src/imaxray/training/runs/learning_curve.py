"""Writes the learning curve line by line: loss over all and per task, entries and tokens seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from imaxray._common.files import write_text
from imaxray._common.state import read_state_lines
from imaxray.errors import ImaxrayError
from imaxray.schema import task_names
from imaxray.training.clock import Took, now
from imaxray.training.runs.manifest import CurvePoint, Validation

Reduce = Callable[[torch.Tensor], torch.Tensor]
"""Function that sums a tensor over all processes."""


class LossSums:
    """Adds up entry losses and counts by task, and tokens, since the last :meth:`take`."""

    def __init__(self) -> None:
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._tasks = task_names()
        self._sums = torch.zeros(2 * len(self._tasks) + 1, dtype=torch.float64)

    def add(self, losses: torch.Tensor, tasks: torch.Tensor, tokens: int) -> None:
        """Add the entry losses (E,) and task numbers (E,) of one batch without a GPU sync."""
        self._kept.append((losses.detach(), tasks))
        self._sums[-1] += tokens

    def local(self) -> torch.Tensor:
        """Return the sums of this process, float64: losses by task, counts by task, tokens."""
        for losses, tasks in self._kept:
            places = tasks.to("cpu")
            values = losses.to("cpu", torch.float64)
            self._sums.index_add_(0, places, values)
            self._sums.index_add_(0, places + len(self._tasks), torch.ones_like(values))
        self._kept = []
        return self._sums

    def restore(self, sums: torch.Tensor) -> None:
        """Continue from the sums that :meth:`local` returned.

        Raises:
            ImaxrayError: If the sums are from a run in which other tasks were installed.
        """
        if sums.shape != self._sums.shape:
            raise ImaxrayError(
                f"Expected losses of the {len(self._tasks)} tasks {', '.join(self._tasks)} in the "
                f"checkpoint, but it has those of {len(sums) // 2}; install the packages of tasks "
                "that the run was started with."
            )
        self._kept, self._sums = [], sums.to(torch.float64)

    def take(self, reduce: Reduce) -> tuple[dict[str, Any], int, int]:
        """Return ``loss`` and ``losses`` by task over all processes, entries and tokens; reset."""
        sums = reduce(self.local().clone())
        self.restore(torch.zeros_like(self._sums))
        losses, counts = sums[: len(self._tasks)], sums[len(self._tasks) : -1]
        entries = int(counts.sum())
        by_task = {
            task: float(loss / count)
            for task, loss, count in zip(self._tasks, losses, counts, strict=True)
            if count
        }
        loss = float(losses.sum() / max(entries, 1))
        return {"loss": loss, "losses": by_task}, entries, int(sums[-1])


class LearningCurve(TrainerCallback):  # type: ignore[misc]
    """Writes one JSON line every ``every`` steps: entries seen, seconds, loss, loss per task.

    Seconds count training steps only, neither preparation nor evaluation. In a resumed run they
    continue from the interruption. Losses on the val split are written to ``evaluations.jsonl`` in
    the same folder.
    """

    def __init__(self, path: Path, every: int, *, writes: bool = True) -> None:
        self._path = path
        self._evaluations = path.with_name("evaluations.jsonl")
        self._every = every
        self._writes = writes
        self._here = LossSums()
        self.entries = 0
        self.tokens = 0
        self._took = Took(0.0, 0.0)
        self._started = now()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far."""
        return self._took.wall

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of this process in training so far."""
        return self._took.cpu

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Continue the curve at the step from which training resumes."""
        kept = [line for line in _read(self._path, CurvePoint) if line["step"] <= state.global_step]
        if kept:
            self.entries, self.tokens = kept[-1]["entries_seen"], kept[-1]["tokens_seen"]
            self._took = Took(max(self.seconds, kept[-1]["seconds"]), self.cpu_seconds)
        if self._writes:
            _write(self._path, kept)
            past = _read(self._evaluations, Validation)
            if past:
                _write(self._evaluations, [p for p in past if p["step"] <= state.global_step])
        self._started = now() - self._took

    def add(self, losses: torch.Tensor, tasks: torch.Tensor, tokens: int) -> None:
        """Add the entry losses (E,) and task numbers (E,) of one batch."""
        self._here.add(losses, tasks, tokens)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Request a line every ``every`` steps and at the last step."""
        self._took = now() - self._started
        if state.global_step % self._every == 0 or state.global_step == state.max_steps:
            control.should_log = True

    def point(self, step: int, reduce: Reduce) -> dict[str, Any]:
        """Write the line of a step and return it; every process must call this method."""
        found, entries, tokens = self._here.take(reduce)
        self.entries += entries
        self.tokens += tokens
        line = {
            "step": step,
            "entries_seen": self.entries,
            "tokens_seen": self.tokens,
            "seconds": round(self.seconds, 3),
            **found,
        }
        self._append(self._path, line)
        return line

    def evaluated(self, step: int, losses: dict[str, Any], entries: int, began: Took) -> None:
        """Write the val losses of a step and exclude the time of the evaluation."""
        self._append(self._evaluations, {"step": step, "entries": entries, **losses})
        self.skip(began)

    def skip(self, began: Took) -> None:
        """Exclude the time since ``began``, because it was not spent on training."""
        self._started += now() - began

    def state(self) -> dict[str, Any]:
        """Return the state with which a resumed curve equals an uninterrupted one."""
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "sums": self._here.local().tolist(),
        }

    def restore(self, state: dict[str, Any], *, sums: bool = True) -> None:
        """Continue from :meth:`state`; ``sums`` says whether to restore unwritten losses, too."""
        self._took = Took(float(state["seconds"]), float(state["cpu_seconds"]))
        if sums:
            self._here.restore(torch.tensor(state["sums"], dtype=torch.float64))

    def _append(self, path: Path, line: dict[str, Any]) -> None:
        if self._writes:
            with path.open("a") as stream:
                stream.write(json.dumps(line) + "\n")


class OffTheClock:
    """Wraps a callback of the Trainer, so that the learning curve does not count its time."""

    def __init__(self, callback: TrainerCallback, curve: LearningCurve) -> None:
        self._callback = callback
        self._curve = curve

    def __getattr__(self, event: str) -> Callable[..., Any]:
        call = getattr(self._callback, event)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = now()
            try:
                return call(*args, **kwargs)
            finally:
                self._curve.skip(began)

        return timed


def _read(path: Path, shape: type) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return read_state_lines(
        path, shape, advice="choose another --out, or remove the run", cut_end=True
    )


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
