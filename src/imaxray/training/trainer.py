"""Extends ``transformers.Trainer`` with the loss of all layouts and shares of a step."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.fsdp_utils import save_fsdp_optimizer
from torch.distributed.fsdp import FSDPModule
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback

from imaxray.errors import ImaxrayError
from imaxray.packing import Batch, entry_losses, model_inputs, step_loss
from imaxray.training.averaging import WeightAverage
from imaxray.training.clock import now
from imaxray.training.config import TrainingConfig
from imaxray.training.optimizer import make_optimizer
from imaxray.training.runs.checkpoint import (
    complete,
    read_weights,
    reading_state,
    state_of,
    write_weights,
)
from imaxray.training.runs.learning_curve import LearningCurve, LossSums


class EntryTrainer(Trainer):  # type: ignore[misc]
    """Trains on the mean over a step's entries of each entry's mean token loss, in all layouts.

    An item of the dataset is one process's share of a whole optimizer step. Gradient accumulation
    therefore happens inside :meth:`training_step`, and the Trainer itself never accumulates.
    """

    control: Any  # the Trainer's, which has no types

    def __init__(
        self, *args: Any, curve: LearningCurve, config: TrainingConfig, **kwargs: Any
    ) -> None:
        super().__init__(*args, callbacks=[curve, _Completion(self)], **kwargs)
        self._config = config
        self._curve = curve
        self.average: WeightAverage | None = None
        if config.average is not None:
            self.average = WeightAverage(self.model, config.average)
            self.add_callback(self.average)

    def create_accelerator_and_postprocess(self) -> None:
        """Make Accelerate shard the model on CPUs as well.

        Accelerate shards with FSDP2 on accelerators only and falls back to DDP elsewhere without a
        warning. Its sharding also works with the gloo backend, which the tests use.
        """
        super().create_accelerator_and_postprocess()
        state = self.accelerator.state
        if self.args.fsdp and state.distributed_type == DistributedType.MULTI_CPU:
            plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            if self.args.mixed_precision != "no":
                plugin.set_mixed_precision(self.args.mixed_precision)
            state.fsdp_plugin = plugin
            state.distributed_type = DistributedType.FSDP
            PartialState().distributed_type = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Return the optimizer of the configuration."""
        if self.optimizer is None:
            self.optimizer: Any = make_optimizer(self.model, self._config)
        return self.optimizer

    def training_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Run forward and backward over all passes of a share; the last pass reduces gradients."""
        model.train()
        ranks = self.accelerator.num_processes
        total = torch.zeros((), device=self.args.device)
        last = len(inputs["passes"]) - 1
        for number, item in enumerate(inputs["passes"]):
            with self._without_sync(model, number < last):
                losses, item = self._losses(model, item)
                if item["idle"]:
                    losses = losses * 0
                weighted = losses * item["weights"].to(losses) if "weights" in item else losses
                loss = step_loss(weighted, inputs["entries"], ranks=ranks)
                self.accelerator.backward(loss)
            if not item["idle"]:
                self._curve.add(losses.detach(), item["tasks"], item["tokens"])
            total += loss.detach()
        if self.state.global_step < self._config.lora.connector_steps:
            # as if frozen: an optimizer passes over parameters without gradients
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.grad = None
        return total

    def evaluate(
        self,
        eval_dataset: Dataset[Any] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Compute the mean entry loss on the val split, overall and per task; generate nothing."""
        began = now()
        shares: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        sums = LossSums()
        self.model.eval()
        averaged = nullcontext() if self.average is None else self.average.in_place()
        with averaged, torch.no_grad():
            for index in range(self.args.process_index, len(shares), self.args.world_size):
                for item in shares[index]["passes"]:
                    losses, item = self._losses(self.model, item)
                    if not item["idle"]:
                        sums.add(losses, item["tasks"], item["tokens"])
            for module in self.model.modules():
                if isinstance(module, FSDPModule):
                    # No backward pass reshards here, and optimizers work on shards only.
                    module.reshard()
        found, entries, _ = sums.take(self._sum)
        self._curve.evaluated(self.state.global_step, found, entries, began)
        metrics = {f"{metric_key_prefix}_loss": found["loss"]}
        metrics |= {f"{metric_key_prefix}_loss_{t}": v for t, v in found["losses"].items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the point of the learning curve to the values that the Trainer's callbacks report.

        Raises:
            ImaxrayError: If the loss is not finite.
        """
        if "loss" in logs:
            point = self._curve.point(self.state.global_step, self._sum)
            if not point["loss"] < float("inf"):
                raise ImaxrayError(
                    f"Expected a finite loss, but it is {point['loss']} at step "
                    f"{self.state.global_step}; lower the learning rate."
                )
            seconds = max(point["seconds"], 1e-9)
            logs |= {
                "loss": point["loss"],
                **{f"loss_{task}": value for task, value in point["losses"].items()},
                "entries_seen": point["entries_seen"],
                "entries_per_second": point["entries_seen"] / seconds,
                "tokens_per_second": point["tokens_seen"] / seconds,
            }
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the weights of a checkpoint, which are those that are trained."""
        folder, writes = Path(str(output_dir)), self.args.should_save
        write_weights(self.model, folder, writes=writes)
        if self.average is not None:
            self.average.write(folder, writes=writes)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the weights of a checkpoint; see :mod:`imaxray.training.runs.checkpoint`."""
        read_weights(self.model if model is None else model, Path(resume_from_checkpoint))
        if self.average is not None:
            self.average.read(Path(resume_from_checkpoint))
        curve = state_of(Path(resume_from_checkpoint))["curve"]
        # The sums are those of all processes, so only one process takes them.
        self._curve.restore(curve, sums=self.args.should_save)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load as the Trainer does; a state that cannot be loaded is one sentence."""
        if checkpoint is not None:
            with reading_state(Path(checkpoint)):
                super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Load as the Trainer does; a state that cannot be loaded is one sentence."""
        if checkpoint is not None:
            with reading_state(Path(checkpoint)):
                super()._load_rng_state(checkpoint)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Save as the Trainer does, but write no second copy of frozen weights of sharded runs."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), os.path.join(output_dir, "scheduler.pt"))  # noqa: PTH118

    def _losses(self, model: Any, item: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Compute the entry losses (E,) of one pass."""
        device = self.args.device
        batch: Batch = item["batch"].to(device)
        images = {key: value.to(device) for key, value in item["images"].items()}
        outputs = model(**model_inputs(self.model, batch, images))
        soft = item["soft"].to(device) if "soft" in item else None
        losses = entry_losses(
            outputs.logits, batch, soft, temperature=self._config.soft_temperature
        )
        return losses, {**item, "tokens": item["batch"].tokens}

    def _without_sync(self, model: Any, more: bool) -> AbstractContextManager[Any]:
        """Suspend gradient exchange: DDP needs it in the last pass only, sharded models always."""
        if more and not self.is_fsdp_enabled:
            found: AbstractContextManager[Any] = self.accelerator.no_sync(model)
            return found
        return nullcontext()

    def _sum(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.accelerator.num_processes == 1:
            return tensor
        device = self.args.device
        summed: torch.Tensor = self.accelerator.reduce(tensor.to(device), reduction="sum")
        return summed.cpu()


class _Completion(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint as complete once all its files are written."""

    def __init__(self, trainer: EntryTrainer) -> None:
        self._trainer = trainer

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint as complete after every process has written its part."""
        trainer = self._trainer
        curve = trainer._curve.state()
        if trainer.accelerator.num_processes > 1:
            # The first process restores the sums of all processes.
            sums = trainer._sum(torch.tensor(curve["sums"], dtype=torch.float64))
            curve["sums"] = sums.tolist()
            trainer.accelerator.wait_for_everyone()
        if args.should_save:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            complete(folder, {"curve": curve, "sharded": trainer.is_fsdp_enabled})
