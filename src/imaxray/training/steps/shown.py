"""Shows the steps of a training as all long commands show their progress."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from imaxray.progress import Bar, progress_bar


class StepProgress(TrainerCallback):  # type: ignore[misc]
    """Moves a bar by each optimizer step of the main process."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._bar: Bar | None = None

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Open the bar where a resumed training stands."""
        if state.is_world_process_zero:
            self._bar = self._open.enter_context(
                progress_bar("Training, optimizer steps", state.max_steps)
            )
            self._bar.reach(state.global_step)

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.reach(state.global_step)

    def close(self) -> None:
        """Close the bar, also after an error."""
        self._open.close()
