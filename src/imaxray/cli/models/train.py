"""Defines the command that trains a model."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.defaults import LARGEST, PROBE_EVERY
from imaxray._common.printing import counted, say
from imaxray.cli.application import Out, app
from imaxray.cli.options import given, options_of
from imaxray.errors import ImaxrayError


class _Tracker(StrEnum):
    tensorboard = "tensorboard"
    wandb = "wandb"
    none = "none"


@app.command(
    cls=options_of(
        "imaxray.training:Recipe",
        only=(
            "model", "tasks", "layout", "method", "boxes", "epochs", "steps", "entries_per_step",
            "tokens_per_batch", "accumulate", "learning_rate", "weights", "temperature", "augment",
            "average", "seed", "eval_every", "save_every", "max_image_tokens", "workers", "bf16",
            "gradient_checkpointing", "attention", "quantization", "fsdp",
        ),
        flags={"fsdp": "--fsdp/--ddp", "tasks": "--task"},
        unset=True,
    )
)  # fmt: skip
def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder with a train split.")],
    out: Out,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            help="Recipe: the name of a built-in one (`imaxray configs list`), or a YAML file; its "
            "values hold where no option is given.",
        ),
    ] = None,
    report_to: Annotated[
        list[_Tracker] | None,
        typer.Option(help="Tracker that the losses are sent to; can be repeated."),
    ] = None,
    probe: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="Number of validation entries on which the Fisher spectrum is measured.",
        ),
    ] = None,
    probe_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help=f"Number of entries seen between two measurements of --probe; default: "
            f"{PROBE_EVERY}.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Rename the folder of another run at --out to NAME.old-1, and train.",
        ),
    ] = False,
) -> None:
    """Train a model on a dataset.

    The same command again continues a stopped run. The command also works under torchrun.
    """
    from imaxray.training import load_recipe, train_dataset

    options = given()
    if "steps" in options and "epochs" in options:
        raise ImaxrayError("Expected --steps or --epochs, but both are given; leave one out.")
    if "weights" in options:
        options["weights"] = _shares(options["weights"])
    trackers = None if report_to is None else tuple(str(t) for t in report_to if t != "none")
    recipe = load_recipe(config, **{**options, "report_to": trackers})
    callbacks = None
    if probe is None and probe_every is not None:
        raise ImaxrayError(
            "Expected --probe with --probe-every, but nothing is measured without it; add --probe "
            "N, or leave out --probe-every."
        )
    if probe is not None:
        from imaxray.dynamics import probe_while_training

        if recipe.fsdp:
            raise ImaxrayError(
                "Expected --probe or --fsdp, but both are given, and sharded weights cannot be "
                "measured; leave one of them out."
            )
        callbacks = probe_while_training(
            out, probe, every=probe_every or PROBE_EVERY, entries_per_step=recipe.entries_per_step,
            tokens_per_batch=recipe.tokens_per_batch,
        )  # fmt: skip
    run = train_dataset(dataset, out, recipe, callbacks=callbacks, overwrite=overwrite)
    if int(os.environ.get("RANK", "0")) == 0:
        last = run.curve[-1]
        say(
            f"{run.weights}: {counted(last['entries_seen'], 'entry', 'entries')} in "
            f"{counted(last['step'], 'step')}, loss "
            f"{last['loss']:.4f}, {run.manifest['entries_per_second']:,} entries/s, "
            f"{run.manifest['tokens_per_second']:,} tokens/s; dropped entries: "
            f"{run.manifest['dropped'] or 'none'}"
        )


def _shares(items: list[str]) -> dict[str, float]:
    found = {}
    for item in items:
        task, _, share = item.partition("=")
        try:
            found[task] = float(share)
        except ValueError:
            raise ImaxrayError(
                f"Expected --weights TASK=SHARE with a number, but got {item}; for example vqa=2."
            ) from None
    return found
