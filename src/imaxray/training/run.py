"""Runs one training on one or several processes and writes the run folder; resumable."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import PartialState
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback

from imaxray._common.files import write_parquet
from imaxray._common.state import read_state, write_state
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import require_packable, use_packed_attention
from imaxray.schema import mark_pseudo
from imaxray.training.augmenting.augmenter import Augmenter
from imaxray.training.config import Layout, TrainingConfig
from imaxray.training.memory import told_when_memory_runs_out
from imaxray.training.method import make_trainable, save_trained
from imaxray.training.operations import count_operations
from imaxray.training.runs.checkpoint import (
    gathered,
    last_checkpoint,
    remove_checkpoints,
    require_unchanged,
    state_of,
)
from imaxray.training.runs.curves import CURVE, read_curve, read_evaluations
from imaxray.training.runs.folder import (
    DROPS_FILE,
    STARTED,
    device_name,
    only_writer,
    open_run,
    record_digests,
    versions,
    weights_folder,
    written_files,
)
from imaxray.training.runs.learning_curve import LearningCurve, OffTheClock
from imaxray.training.runs.manifest import CurvePoint, RunIdentity, RunManifest
from imaxray.training.steps.conversation import Conversations
from imaxray.training.steps.dataset import Examples, ShareDataset, StepDataset, first_item
from imaxray.training.steps.images import Pixels
from imaxray.training.steps.schedule import drawn_shares, once, schedule
from imaxray.training.steps.shown import StepProgress
from imaxray.training.steps.soft import SoftAnswer
from imaxray.training.trainer import EntryTrainer


@dataclass(frozen=True)
class Run:
    """Gives access to a finished run: weights, learning curve, val losses and manifest."""

    folder: Path
    manifest: RunManifest

    @property
    def curve(self) -> list[CurvePoint]:
        """Points of the learning curve in order."""
        return read_curve(self.folder, advice=_ANOTHER)

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """Losses on the val split during training, in order."""
        return [dict(one) for one in read_evaluations(self.folder, advice=_ANOTHER)]

    @property
    def weights(self) -> Path:
        """Folder for :func:`imaxray.models.load_model`: ``adapter/`` (LoRA) or ``model/``."""
        return self.folder / weights_folder(self.manifest["identity"]["config"]["method"])


def train(
    chat: ChatModel,
    entries: pl.DataFrame,
    encoded: Mapping[str, EncodedEntry],
    pixels: Pixels,
    out: Path,
    *,
    layout: Layout,
    config: TrainingConfig,
    seed: int,
    conversations: Conversations | None = None,
    augmenter: Augmenter | None = None,
    soft: Mapping[str, SoftAnswer] | None = None,
    validation: Examples | None = None,
    about: Mapping[str, Any] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    progress: bool = True,
    overwrite: bool = False,
    operations: bool = False,
    drops: pl.DataFrame | None = None,
) -> Run:
    """Train ``chat`` in place and write the run folder ``out``.

    If a finished run of the same inputs exists, it is returned. An interrupted run continues from
    its last checkpoint, and ends with bit-identical weights if the machine computes in the same
    way. The order of the entries is written to ``schedule.parquet`` before the first step.

    Under ``torchrun`` or ``accelerate launch``, every process calls this function with the same
    arguments. The processes divide the rows of each step, so that a step sees the same entries on
    any number of processes.

    Args:
        chat: Model to train; ``chat.model`` gets adapters if ``config.method`` is ``lora``.
        entries: Entries of the train split, with schema ENTRIES.
        encoded: Token ids by entry id.
        pixels: Image inputs by image id, as a dict or another mapping that loads them.
        out: Run folder.
        layout: How the entries are arranged in rows.
        config: Training configuration.
        seed: Seed of the order of entries and of new weights.
        conversations: Maker of the rows of the layout ``conversation``.
        augmenter: Augmenter of the images, for ``config.augment``.
        soft: Distributions of a teacher by entry id, for ``config.target`` soft.
        validation: Val split, for ``config.eval_every``.
        about: More keys for the manifest; ``dataset`` and ``image_cache`` also identify the run.
        callbacks: Callbacks of the Trainer. Their time does not count as training time. A finished
            run calls none of them.
        progress: Whether to show the progress of the steps, as bar or as lines of a log.
        overwrite: Whether another run in ``out`` gives way; its folder is renamed to
            ``NAME.old-1``, or the next number that is free.
        operations: Whether to count the floating-point operations for the manifest, which takes as
            long as at most 16 steps. They are counted on CPUs and in one process only: the time on
            a GPU does not depend on other work.
        drops: Entries that were left out before, which are written to ``drops.parquet``.

    Raises:
        ImaxrayError: If ``out`` holds another run or other files, or another process writes it; if
            a part of the training raises, memory runs out, or a package of
            ``config.report_to`` is missing.
    """
    if (config.augment is None) != (augmenter is None):
        raise ValueError("an augmenter is needed for config.augment, and for nothing else")
    if (config.target == "soft") != (soft is not None):
        raise ValueError("distributions are needed for config.target soft, and for nothing else")
    if config.real_share is not None or config.pseudo_weight != 1:
        entries = mark_pseudo(entries)
    if layout == "packed":
        use_packed_attention(chat.model)
        require_packable(chat.model)
    steps = config.steps_for(entries.height)
    arguments = _arguments(out, config, steps, seed, validation is not None)
    processes = PartialState()
    table = schedule(
        entries,
        layout=layout,
        entries_per_step=config.entries_per_step,
        steps=steps,
        seed=seed,
        shares=drawn_shares(entries, config),
    )
    with only_writer(out):
        finished = open_run(
            out, chat, table, layout, config, seed, about, processes, overwrite=overwrite
        )
        if finished is not None:
            return Run(out, finished)

        torch.set_num_threads(config.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        make_trainable(chat, config, seed)
        main = processes.is_main_process
        curve = LearningCurve(out / CURVE, config.log_every, writes=main)
        data = StepDataset(
            chat, table, entries, encoded, pixels, layout, conversations,
            pseudo_weight=config.pseudo_weight, augmenter=augmenter, soft=soft,
        )  # fmt: skip
        cut = {
            "ranks": processes.num_processes,
            "at_least": config.accumulate,
            "budget": config.tokens_per_batch,
        }
        with told_when_memory_runs_out(config):
            trainer = EntryTrainer(
                model=chat.model,
                args=arguments,
                train_dataset=ShareDataset(data, **cut),
                eval_dataset=_validation(chat, validation, layout, config, seed, cut),
                data_collator=first_item,
                curve=curve,
                config=config,
            )
            _add_callbacks(trainer, config, callbacks, curve, out)
            shown = StepProgress()
            if progress:
                trainer.add_callback(shown)
            try:
                trainer.train(resume_from_checkpoint=_resumable(out / "checkpoints", trainer))
            finally:
                shown.close()
        if trainer.average is not None:
            trainer.average.apply()
        sharded = trainer.is_fsdp_enabled
        whole = gathered(chat.model, keep=main, all_of_them=True) if sharded else None
        manifest: Any = {
            "identity": read_state(out / STARTED, RunIdentity, advice=_ANOTHER),
            **_amounts(curve, chat),
            "drawn": _by_task(table, entries),
            "processes": processes.num_processes,
            "sharded": sharded,
            "device": device_name(arguments.device),
            "versions": versions(),
            **(about or {}),
        }
        chat.model.eval()
        if main:
            save_trained(chat, out / weights_folder(config.method), whole)
            if operations and _countable(trainer):
                manifest["operations"] = count_operations(trainer, curve.tokens)
            if drops is not None:
                write_parquet(out / DROPS_FILE, drops)
            manifest["files"] = written_files(out)
            manifest["file_sha256"] = record_digests(out)
            remove_checkpoints(out / "checkpoints")
            write_state(
                out / "run.json", manifest
            )  # written last, because it marks the run as finished
        processes.wait_for_everyone()
        del trainer
        gc.collect()  # the Trainer keeps itself and the model alive by a reference cycle
        return Run(out, manifest)


def _countable(trainer: EntryTrainer) -> bool:
    return bool(trainer.args.device.type == "cpu" and trainer.accelerator.num_processes == 1)


def _add_callbacks(
    trainer: EntryTrainer,
    config: TrainingConfig,
    callbacks: Sequence[TrainerCallback],
    curve: LearningCurve,
    out: Path,
) -> None:
    if "tensorboard" in config.report_to:
        # The default folder is inside the checkpoints, which are removed at the end.
        tensorboard = TensorBoardCallback()
        tensorboard.logging_dir = str(out / "tensorboard")
        trainer.add_callback(tensorboard)
    trainer.remove_callback(PrinterCallback)  # the learning curve reports the same losses
    for callback in callbacks:
        trainer.add_callback(OffTheClock(callback, curve))


def _amounts(curve: LearningCurve, chat: ChatModel) -> dict[str, float]:
    """Return entries and tokens seen, times in seconds, and numbers of parameters of a run."""
    parameters = list(chat.model.parameters())
    return {
        "entries_seen": curve.entries,
        "tokens_seen": curve.tokens,
        "seconds": round(curve.seconds, 3),
        "cpu_seconds": round(curve.cpu_seconds, 3),
        "entries_per_second": round(curve.entries / curve.seconds, 2),
        "tokens_per_second": round(curve.tokens / curve.seconds, 1),
        "parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "parameters_in_all": sum(map(_numbers, parameters)),
    }


def _numbers(parameter: torch.nn.Parameter) -> int:
    """Return the number of weights of a parameter; NF4 holds two in each stored byte."""
    packed = 2 if type(parameter).__name__ == "Params4bit" and parameter.element_size() == 1 else 1
    return parameter.numel() * packed


def _validation(
    chat: ChatModel,
    data: Examples | None,
    layout: Layout,
    config: TrainingConfig,
    seed: int,
    cut: dict[str, Any],
) -> ShareDataset | None:
    if data is None or config.eval_every is None:
        return None
    table = once(
        data.entries,
        layout=layout,
        entries_per_step=config.entries_per_step,
        most=config.eval_entries,
        seed=seed,
    )
    steps = StepDataset(
        chat, table, data.entries, data.encoded, data.pixels, layout, data.conversations
    )
    return ShareDataset(steps, **cut)


def _arguments(
    out: Path, config: TrainingConfig, steps: int, seed: int, evaluates: bool
) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1  # set by torchrun or accelerate
    for package in config.report_to:
        if importlib.util.find_spec(package) is None:
            raise ImaxrayError(
                f"Expected the package {package} for --report-to {package}, but it is not "
                f"installed; run pip install 'imaxray[{package}]' or use another tracker."
            )
    checkpointing = {"activation_checkpointing": True} if config.gradient_checkpointing else {}
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
        run_name=out.name,
        max_steps=steps,
        per_device_train_batch_size=1,  # an item of the dataset is one process's share of a step
        train_sampling_strategy="sequential",  # the schedule decides the order
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine_with_min_lr" if config.final_rate else "cosine",
        lr_scheduler_kwargs={"min_lr_rate": config.final_rate} if config.final_rate else {},
        warmup_steps=round(config.warmup * steps),
        max_grad_norm=config.max_gradient_norm,
        bf16=config.bf16,
        use_cpu=not cuda,
        ddp_backend="gloo" if launched and not cuda else None,
        ddp_find_unused_parameters=True,  # the last layers of many vision towers are unused
        fsdp=config.fsdp or None,
        seed=seed,
        data_seed=seed,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=None,  # complete() removes a checkpoint once the next one is complete
        logging_strategy="no",  # the learning curve requests logging
        eval_strategy="steps" if evaluates and config.eval_every else "no",
        eval_steps=config.eval_every,
        report_to=[name for name in config.report_to if name != "tensorboard"] or "none",
        remove_unused_columns=False,
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,  # StepProgress shows the steps
        **checkpointing,
    )


def _resumable(folder: Path, trainer: EntryTrainer) -> str | None:
    """Return the last complete checkpoint, or None.

    Raises:
        ImaxrayError: If FSDP has version 1, or the run was started with FSDP and is resumed without
            it, or the reverse.
    """
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.fsdp_version != 2:
        raise ImaxrayError(
            "Expected FSDP version 2, but the launcher requests version 1; set fsdp_version: 2 in "
            "the accelerate configuration, or configure FSDP with --fsdp only."
        )
    found = last_checkpoint(folder)
    if found is None:
        remove_checkpoints(folder)
        return None
    if trainer.accelerator.is_main_process:
        require_unchanged(found)
    if state_of(found)["sharded"] != trainer.is_fsdp_enabled:
        raise ImaxrayError(
            f"Expected to resume {folder.parent} with or without FSDP as it was started, but that "
            "has changed; start it in the same way, or choose another --out."
        )
    return str(found)


_ANOTHER = "choose another --out, or remove the folder"


def _by_task(table: pl.DataFrame, entries: pl.DataFrame) -> dict[str, int]:
    task = entries.select("entry_id", pl.col("task").cast(pl.String))
    drawn = table.join(task, on="entry_id").group_by("task").len().sort("task")
    return dict(drawn.iter_rows())
