"""One training run: data set and model in, run folder out; resumable."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
import transformers
from transformers import PrinterCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from imaxray import __version__
from imaxray.models import ChatModel, EncodedEntry
from imaxray.training._config import Layout, TrainingConfig
from imaxray.training._data import Pixels, StepDataset, first_item
from imaxray.training._schedule import schedule
from imaxray.training._trainer import EntryTrainer, LearningCurve


@dataclass(frozen=True)
class Run:
    """A finished run: ``model/``, ``curve.jsonl``, ``schedule.parquet``, ``run.json``."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def curve(self) -> list[dict[str, Any]]:
        """Points of the learning curve, in order."""
        return [json.loads(line) for line in (self.folder / "curve.jsonl").read_text().splitlines()]


def train(
    chat: ChatModel,
    entries: pl.DataFrame,
    encoded: dict[str, EncodedEntry],
    pixels: Pixels,
    out: Path,
    *,
    layout: Layout,
    config: TrainingConfig,
    seed: int,
    progress: bool = True,
) -> Run:
    """Train ``chat`` in place and write the run folder ``out``.

    A finished run of the same inputs is returned as it is; an interrupted one goes on from its last
    checkpoint. The order of the entries is written to ``schedule.parquet`` before the first step.
    """
    table = schedule(
        entries,
        layout=layout,
        entries_per_step=config.entries_per_step,
        steps=config.steps,
        seed=seed,
    )
    identity = {
        "imaxray": __version__,
        "model": chat.name,
        "layout": layout,
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "weights": _fingerprint(chat.model),
        "schedule": hashlib.sha256(
            "\n".join(f"{s} {r} {e}" for s, r, e in table.iter_rows()).encode()
        ).hexdigest(),
    }
    finished = out / "run.json"
    if finished.exists():
        manifest = json.loads(finished.read_text())
        if manifest["identity"] == identity:
            return Run(out, manifest)
        shutil.rmtree(out)
    started = out / "started.json"
    if out.exists() and (not started.exists() or json.loads(started.read_text()) != identity):
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    started.write_text(json.dumps(identity, indent=1))
    table.write_parquet(out / "schedule.parquet")

    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    curve = LearningCurve(out / "curve.jsonl", config.log_every)
    trainer = EntryTrainer(
        model=chat.model,
        args=_arguments(out, config, seed, progress),
        train_dataset=StepDataset(chat, table, entries, encoded, pixels, layout),
        data_collator=first_item,
        curve=curve,
        config=config,
    )
    trainer.remove_callback(PrinterCallback)  # the learning curve says it all
    trainer.train(resume_from_checkpoint=_last_checkpoint(out / "checkpoints"))
    chat.model.eval()
    chat.save(out / "model")
    manifest = {
        "identity": identity,
        "entries_seen": curve.entries,
        "tokens_seen": curve.tokens,
        "seconds": round(curve.seconds, 3),
        "entries_per_second": round(curve.entries / curve.seconds, 2),
        "parameters": sum(p.numel() for p in chat.model.parameters() if p.requires_grad),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    aside = out / "run.json.part"
    aside.write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    aside.rename(finished)
    return Run(out, manifest)


def _arguments(out: Path, config: TrainingConfig, seed: int, progress: bool) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
        max_steps=config.steps,
        per_device_train_batch_size=1,  # one item of the data set is one whole step
        train_sampling_strategy="sequential",  # the schedule is the order
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(config.warmup * config.steps),
        max_grad_norm=config.max_gradient_norm,
        bf16=config.bf16,
        use_cpu=not cuda,
        seed=seed,
        data_seed=seed,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=1,
        logging_strategy="no",  # the learning curve is ours
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=cuda,
        disable_tqdm=not progress,
    )


def _last_checkpoint(folder: Path) -> str | None:
    found: str | None = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    return found


def _fingerprint(model: Any) -> str:
    """Sha256 of all weights: two runs that start from different weights are different runs."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
