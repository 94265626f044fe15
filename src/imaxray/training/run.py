"""One training run: dataset and model in, run folder out; resumable, on one process or many."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import PartialState
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback

from imaxray._files import write_json
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, EncodedEntry
from imaxray.packing import use_packed_attention
from imaxray.schema import mark_pseudo
from imaxray.training.checkpoint import gathered, last_checkpoint, state_of
from imaxray.training.config import Layout, TrainingConfig
from imaxray.training.conversation import Conversations
from imaxray.training.images import Pixels
from imaxray.training.learning_curve import LearningCurve, OffTheClock
from imaxray.training.memory import told_when_memory_runs_out
from imaxray.training.method import make_trainable, save_trained
from imaxray.training.run_folder import device_name, open_run, versions
from imaxray.training.run_manifest import CurvePoint, RunManifest
from imaxray.training.step_dataset import Examples, ShareDataset, StepDataset, first_item
from imaxray.training.step_schedule import once, origin_shares, schedule, task_shares
from imaxray.training.trainer import EntryTrainer


@dataclass(frozen=True)
class Run:
    """A finished run: weights, ``curve.jsonl``, ``schedule.parquet``, ``run.json``."""

    folder: Path
    manifest: RunManifest

    @property
    def curve(self) -> list[CurvePoint]:
        """Points of the learning curve, in order."""
        points: list[CurvePoint] = _lines(self.folder / "curve.jsonl")
        return points

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """Losses on the val split during training, in order."""
        path = self.folder / "evaluations.jsonl"
        return _lines(path) if path.exists() else []

    @property
    def weights(self) -> Path:
        """For :func:`imaxray.models.load_model`: ``adapter/`` of a LoRA run, or ``model/``."""
        return self.folder / weights_folder(self.manifest["identity"]["config"]["method"])


def weights_folder(method: str) -> str:
    """Where a method's weights lie in a run folder."""
    return "adapter" if method == "lora" else "model"


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
    validation: Examples | None = None,
    about: Mapping[str, Any] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    progress: bool = True,
) -> Run:
    """Train ``chat`` in place and write the run folder ``out``.

    A finished run of the same inputs is returned as it is; an interrupted one goes on from its last
    checkpoint, to the same weights bit by bit where the machine computes alike. The order of the
    entries is written to ``schedule.parquet`` before the first step.

    Under ``torchrun`` or ``accelerate launch`` every process calls this with the same arguments;
    they share out the rows of each step, so that a step sees the same entries on any number of
    processes.

    Args:
        chat: what is trained; ``chat.model`` gets adapters with ``config.method`` lora.
        entries: schema ENTRIES, the train split.
        encoded: their token ids.
        pixels: image inputs by image id; a dict or anything that loads them.
        out: run folder.
        layout: how rows are made.
        config: the recipe.
        seed: of the order of entries and of new weights.
        conversations: makes the rows of that layout.
        validation: the val split, for ``config.eval_every``.
        about: more for the manifest, and for telling runs apart.
        callbacks: of the Trainer; the time they take is not counted as the run's. A finished run
            calls none.
        progress: show the Trainer's bar.

    Raises:
        ImaxrayError: as the parts do; memory ran out; a package of ``config.report_to`` is missing.
    """
    if config.real_share is not None or config.pseudo_weight != 1:
        entries = mark_pseudo(entries)
    steps = config.steps_for(entries.height)
    arguments = _arguments(out, config, steps, seed, progress, validation is not None)
    processes = PartialState()
    table = schedule(
        entries,
        layout=layout,
        entries_per_step=config.entries_per_step,
        steps=steps,
        seed=seed,
        shares=_shares(entries, config),
    )
    finished = open_run(out, chat, table, layout, config, seed, about, processes)
    if finished is not None:
        return Run(out, finished)

    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if layout == "packed":
        use_packed_attention(chat.model)
    make_trainable(chat, config, seed)
    main = processes.is_main_process
    curve = LearningCurve(out / "curve.jsonl", config.log_every, writes=main)
    data = StepDataset(
        chat, table, entries, encoded, pixels, layout, conversations,
        pseudo_weight=config.pseudo_weight,
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
        trainer.train(resume_from_checkpoint=_resumable(out / "checkpoints", trainer))
    sharded = trainer.is_fsdp_enabled
    whole = gathered(chat.model, keep=main, all_of_them=True) if sharded else None
    manifest: Any = {
        "identity": json.loads((out / "started.json").read_text()),
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
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
        write_json(out / "run.json", manifest)  # last: it declares the run finished
    processes.wait_for_everyone()
    del trainer
    gc.collect()  # the Trainer holds itself and the model in a cycle
    return Run(out, manifest)


def _shares(entries: pl.DataFrame, config: TrainingConfig) -> dict[str, float] | None:
    """Share of each task, or of its real and its pseudo entries, in the entries drawn."""
    if config.real_share is None:
        return task_shares(entries, config.weights, config.temperature)
    return origin_shares(entries, config.real_share)


def _add_callbacks(
    trainer: EntryTrainer,
    config: TrainingConfig,
    callbacks: Sequence[TrainerCallback],
    curve: LearningCurve,
    out: Path,
) -> None:
    if "tensorboard" in config.report_to:
        # its default lies among the checkpoints, which are removed at the end
        tensorboard = TensorBoardCallback()
        tensorboard.logging_dir = str(out / "tensorboard")
        trainer.add_callback(tensorboard)
    trainer.remove_callback(PrinterCallback)  # the learning curve reports the same losses
    for callback in callbacks:
        trainer.add_callback(OffTheClock(callback, curve))


def _amounts(curve: LearningCurve, chat: ChatModel) -> dict[str, float]:
    """What a finished run saw, how long it took (seconds), and how much of the model it trained."""
    parameters = list(chat.model.parameters())
    return {
        "entries_seen": curve.entries,
        "tokens_seen": curve.tokens,
        "seconds": round(curve.seconds, 3),
        "cpu_seconds": round(curve.cpu_seconds, 3),
        "entries_per_second": round(curve.entries / curve.seconds, 2),
        "tokens_per_second": round(curve.tokens / curve.seconds, 1),
        "parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "parameters_in_all": sum(p.numel() for p in parameters),
    }


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
    out: Path, config: TrainingConfig, steps: int, seed: int, progress: bool, evaluates: bool
) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1  # by torchrun or accelerate
    for package in config.report_to:
        if importlib.util.find_spec(package) is None:
            raise ImaxrayError(
                f"Expected the package {package} for --report-to {package}, but it is not "
                f"installed; pip install 'imaxray[{package}]' or take another tracker."
            )
    checkpointing = {"activation_checkpointing": True} if config.gradient_checkpointing else {}
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
        run_name=out.name,
        max_steps=steps,
        per_device_train_batch_size=1,  # one item of the dataset is one process's share of a step
        train_sampling_strategy="sequential",  # the schedule is the order
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
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
        save_total_limit=None,  # a checkpoint goes when the next one is whole
        logging_strategy="no",  # the learning curve asks for it
        eval_strategy="steps" if evaluates and config.eval_every else "no",
        eval_steps=config.eval_every,
        report_to=[name for name in config.report_to if name != "tensorboard"] or "none",
        remove_unused_columns=False,
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=cuda,
        disable_tqdm=not progress,
        **checkpointing,
    )


def _resumable(folder: Path, trainer: EntryTrainer) -> str | None:
    """The last whole checkpoint, if this way of training can read it."""
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.fsdp_version != 2:
        raise ImaxrayError(
            "Expected FSDP of version 2, but the launcher asked for version 1; set fsdp_version: 2 "
            "in the accelerate configuration, or leave FSDP to --fsdp."
        )
    found = last_checkpoint(folder)
    if found is None:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    if state_of(found)["sharded"] != trainer.is_fsdp_enabled:
        raise ImaxrayError(
            f"Expected to resume {folder.parent} as it was begun, with or without FSDP, but that "
            "has changed; start it the same way, or choose another --out."
        )
    return str(found)


def _by_task(table: pl.DataFrame, entries: pl.DataFrame) -> dict[str, int]:
    task = entries.select("entry_id", pl.col("task").cast(pl.String))
    drawn = table.join(task, on="entry_id").group_by("task").len().sort("task")
    return dict(drawn.iter_rows())


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]
