"""``transformers.Trainer`` with the loss that both layouts share and a learning curve per task."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from imaxray.packing import Batch, entry_losses, model_inputs
from imaxray.schema import TASKS
from imaxray.training._config import TrainingConfig
from imaxray.training._optimizer import make_optimizer


class EntryTrainer(Trainer):  # type: ignore[misc]
    """Loss: mean over entries of each entry's mean token loss, identical packed and separate."""

    def __init__(
        self, *args: Any, curve: LearningCurve, config: TrainingConfig, **kwargs: Any
    ) -> None:
        super().__init__(*args, callbacks=[curve], **kwargs)
        self._config = config
        # the loss is a mean over the step's entries, so accumulation must divide it
        self.loss_is_scaled_for_ga = False
        self._curve = curve

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """The recipe's optimizer."""
        if self.optimizer is None:
            self.optimizer: Any = make_optimizer(self.model, self._config)
        return self.optimizer

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Restore the weights of a checkpoint.

        Checkpoints of vision-language models are written under their hub names, which only
        ``from_pretrained`` maps back; the stock method reads the raw file, finds no name of the
        model in it, warns, and goes on with the weights at hand.
        """
        target = self.model if model is None else model
        saved = type(target).from_pretrained(resume_from_checkpoint, local_files_only=True)
        target.load_state_dict(saved.state_dict())

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        device = self.args.device
        return {
            "batch": inputs["batch"].to(device),
            "images": {key: value.to(device) for key, value in inputs["images"].items()},
            "tasks": inputs["tasks"],
        }

    def _get_num_items_in_batch(self, batch_samples: Any, device: Any) -> None:
        """Entries are averaged per step; nothing to count."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean over the step's entries; logs each task's share."""
        batch: Batch = inputs["batch"]
        outputs = model(**model_inputs(model, batch, inputs["images"]))
        losses = entry_losses(outputs.logits, batch)
        self._curve.add(losses.detach(), inputs["tasks"], batch.tokens)
        loss = losses.mean()
        return (loss, outputs) if return_outputs else loss


class LearningCurve(TrainerCallback):  # type: ignore[misc]
    """Writes one JSON line per ``every`` steps: entries seen, seconds, loss, loss per task.

    Seconds count training steps only, not preparation; they go on where a resumed run stopped.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path = path
        self._every = every
        self._losses: list[torch.Tensor] = []
        self._tasks: list[torch.Tensor] = []
        self.entries = 0
        self.tokens = 0
        self.seconds = 0.0
        self._started = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up the curve at the step that training resumes from."""
        kept = [line for line in self._read() if line["step"] <= state.global_step]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        if kept:
            self.entries, self.tokens = kept[-1]["entries_seen"], kept[-1]["tokens_seen"]
            self.seconds = kept[-1]["seconds"]
        self._started = time.perf_counter() - self.seconds

    def add(self, losses: torch.Tensor, tasks: torch.Tensor, tokens: int) -> None:
        """Note the entry losses (E,) and task numbers (E,) of one batch."""
        self._losses.append(losses.cpu())
        self._tasks.append(tasks.cpu())
        self.entries += len(losses)
        self.tokens += tokens

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write a line when it is time for one."""
        self.seconds = time.perf_counter() - self._started
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        losses, tasks = torch.cat(self._losses), torch.cat(self._tasks)
        line = {
            "step": state.global_step,
            "entries_seen": self.entries,
            "tokens_seen": self.tokens,
            "seconds": round(self.seconds, 3),
            "loss": float(losses.mean()),
            "losses": {
                task: float(losses[tasks == number].mean())
                for number, task in enumerate(TASKS)
                if (tasks == number).any()
            },
        }
        self._losses, self._tasks = [], []
        with self._path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def _read(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines()
        # a killed run may have left half a line
        return [json.loads(line) for line in lines if line.endswith("}}")]
