"""Defines the commands on models: training, answering and scoring."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray._defaults import LARGEST, PROBE_EVERY
from imaxray._lock import sole_writer
from imaxray._printing import counted, say
from imaxray.cli.application import Format, Model, Out, app
from imaxray.cli.options import chosen, given, options_of
from imaxray.cli.printing import (
    print_filter,
    print_result,
    print_table,
)
from imaxray.errors import ImaxrayError


class _Tracker(StrEnum):
    tensorboard = "tensorboard"
    wandb = "wandb"
    none = "none"


@app.command()
def models(form: Format = "text") -> None:
    """List the models that are known by name: repository, family, boxes, licence, access."""
    from imaxray.models import list_models

    rows = [asdict(row) for row in list_models()]
    if form == "json":
        say(json.dumps(rows, indent=1))
        return
    seen = {True: "yes", False: "no", None: "not stated"}
    header = ["model", "repository", "revision", "family", "boxes", "licence", "access"]
    print_table(
        None,
        [*header, "saw MIMIC-CXR"],
        [[r["name"], r["repository"] or "-", (r["revision"] or "newest")[:12], r["family"],
          r["convention"], r["licence"], r["access"], seen[r["saw_mimic"]]] for r in rows],
    )  # fmt: skip
    for row in rows:
        if row["note"]:
            say(f"{row['name']}: {row['note']}")
    say(
        "The revision `newest` is not pinned yet: pin it on the first download. Runs record the "
        "commit that they used."
    )
    say("For any other native image-text model, give its repository id or folder and --boxes.")


@app.command(
    cls=options_of(
        "imaxray.training:Recipe",
        only=(
            "model", "tasks", "layout", "method", "boxes", "epochs", "steps", "entries_per_step",
            "tokens_per_batch", "accumulate", "learning_rate", "weights", "temperature", "augment",
            "seed", "eval_every", "save_every", "max_image_tokens", "workers", "bf16",
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
    run = train_dataset(
        dataset, out, recipe, callbacks=callbacks, progress=sys.stderr.isatty(),
        overwrite=overwrite,
    )  # fmt: skip
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


@app.command(cls=options_of("imaxray.evaluation:EvaluateConfig"))
def evaluate(
    model: Model,
    data: Annotated[Path, typer.Option("--data", help="Dataset folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write; default: evaluation/DATASET-SPLIT in the run folder."
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Let a model answer every entry of a split, and score the answers.

    With --engine openai, MODEL is the name of a model on the chat server that --base-url names. The
    same command again continues a stopped run.
    """
    from imaxray.evaluation import EvaluateConfig

    config = chosen(EvaluateConfig)
    if config.engine == "openai":  # needs no torch
        from imaxray.evaluation.generation import evaluate_hosted

        done = evaluate_hosted(model, data, out, config)
    else:
        from imaxray.evaluation.generation import evaluate_model

        done = evaluate_model(model, data, out, config)
    if form == "json":
        say(json.dumps(done.result.data, indent=1))
        return
    print_result(done.result.data)
    say(
        f"{counted(done.predictions.height, 'answer')}, {done.unfinished:,} of them cut at "
        f"{counted(config.max_new_tokens, 'token')}, in {done.folder}: predictions.parquet, "
        "scores.parquet, result.json"
    )
    if done.finish_reasons:
        reasons = ", ".join(f"{name} {count:,}" for name, count in done.finish_reasons.items())
        say(f"Finish reasons of the server: {reasons}")


@app.command(
    "score",
    cls=options_of(
        "imaxray.evaluation:ScoreConfig", leave_out=("rules", "level"), flags={"extras": "--extra"}
    ),
)
def score_command(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="File of answers (Parquet, JSON lines or CSV with entry_id and text), or a run "
            "folder that was evaluated on this dataset."
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Dataset folder whose entries were answered.")
    ],
    join: Annotated[
        Literal["entry_id", "question"],
        typer.Option(
            help="What an answer names: entry_id, or image, task and question (question); the task "
            "may be missing."
        ),
    ] = "entry_id",
    boxes: Annotated[
        str,
        typer.Option(
            "--boxes",
            help="Convention in which the model writes boxes, such as percent or per-mille, or the "
            "name of a model.",
        ),
    ] = "percent",
    min_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="Smallest area in pixels that the model's processor resizes to; only for "
            "boxes in pixels of the resized image.",
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="Largest area in pixels that the model's processor resizes to; only for "
            "boxes in pixels of the resized image.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Reading rule that is not applied (thinking, fences …); can be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder that result.json and scores.parquet are written to; default: none.",
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Score answers that any model wrote, without running a model."""
    from imaxray.boxes import find_convention
    from imaxray.curation import open_dataset
    from imaxray.evaluation import (
        ScoreConfig,
        find_predictions,
        read_predictions,
        score_run,
        write_result,
    )
    from imaxray.tasks import reading_rules

    config = chosen(ScoreConfig, rules=reading_rules(without or ()))
    convention = find_convention(boxes, min_pixels, max_pixels)
    answers = read_predictions(find_predictions(predictions, data, config.split), join)
    with nullcontext() if out is None else sole_writer(out):
        result = score_run(open_dataset(data), answers, convention, config)
        if out is not None:
            write_result(result, out)
    if form == "json":
        say(json.dumps(result.data, indent=1))
        return
    print_result(result.data)


@app.command()
def labeller(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder with reports and labels.")],
    form: Format = "text",
) -> None:
    """Measure how well the built-in report labeller agrees with the labels of a dataset."""
    from imaxray.curation import open_dataset
    from imaxray.evaluation import labeller_on

    found = labeller_on(open_dataset(dataset).tables.annotations).as_dict()
    if form == "json":
        say(json.dumps(found, indent=1))
        return
    cells = {**found["labels"], "all with negatives": found["micro"]}
    print_table(
        f"Labeller {found['labeller']} against the labels of {found['reports']:,} reports",
        ["label", "positive in both", "only by labeller", "only in dataset", "in neither",
         "precision", "recall", "F1"],
        [
            [label, *(f"{cell[key]:,}" for key in ("tp", "fp", "fn", "tn")),
             *("–" if cell[key] is None else f"{cell[key]:.3f}"
               for key in ("precision", "recall", "f1"))]
            for label, cell in cells.items()
        ],
    )  # fmt: skip
    for label, reason in found["unmeasured"].items():
        say(f"–: {label} has a rate that cannot be measured ({reason}).")
    unsure = found["uncertain"]
    say(
        f"{unsure['given']:,} labels of the dataset are uncertain; the labeller reads "
        f"{unsure['read']:,} of them as uncertain, too."
    )


@app.command("filter", cls=options_of("imaxray.pseudo:FilterConfig", leave_out=("perfect",)))
def filter_command(
    pseudo: Annotated[Path, typer.Argument(help="Folder that `imaxray annotate` wrote.")],
    data: Annotated[Path, typer.Option("--data", help="Dataset folder that was annotated.")],
    out: Out,
    clinical: Annotated[
        Path | None,
        typer.Option(
            help="YAML file whose `clinical:` block changes clinical rules; default: the block in "
            "the manifest of the dataset."
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            help="Dataset folder (a catalog) that tells which answers are right; only reported on.",
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Keep the pseudo annotations that can be trusted, and write pseudo IMAX.

    Pseudo IMAX is the annotated dataset with the kept pseudo annotations beside the real ones.
    """
    from imaxray.pseudo import FilterConfig, filter_folder

    done = filter_folder(pseudo, data, out, chosen(FilterConfig), truth=truth, clinical=clinical)
    report = done.as_dict()
    if form == "json":
        say(json.dumps(report, indent=1))
        return
    print_filter(report)
    say(f"{report['kept']:,} pseudo entries beside the real ones in {out}")
