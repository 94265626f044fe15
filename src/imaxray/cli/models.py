"""Commands on models: train, answer, score."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray.cli.application import Format, Out, app
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
    """List the models known by name: repository, family, boxes, licence, access."""
    from imaxray.models import list_models

    rows = [asdict(row) for row in list_models()]
    if form == "json":
        print(json.dumps(rows, indent=1))
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
            print(f"{row['name']}: {row['note']}")
    print(
        "A revision `newest` is to be pinned on first download; runs record the commit they took."
    )
    print("Any other native image-text model: its repository id or folder, with --boxes.")


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder with a train split.")],
    out: Out,
    model: Annotated[
        str | None, typer.Option(help="Registry name, repository id or folder of a model.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Recipe (YAML), as in configs/train.")
    ] = None,
    layout: Annotated[
        Literal["packed", "separate", "conversation"] | None,
        typer.Option(help="Image shared, one sequence an entry, or one chat an image."),
    ] = None,
    method: Annotated[
        Literal["lora", "full", "connector"] | None, typer.Option(help="What is trained.")
    ] = None,
    boxes: Annotated[
        str | None, typer.Option(help="Box convention, for models the registry lacks.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the entries.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps, instead of epochs.")] = None,
    entries_per_step: Annotated[
        int | None, typer.Option(help="Entries of a step, over all processes.")
    ] = None,
    tokens_per_batch: Annotated[
        int | None, typer.Option(help="Most tokens of one forward pass: what memory allows.")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Forward passes of a step, at least.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate.")] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="TASK=SHARE of the entries drawn; once for each task.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Shares ∝ entries^(1/T); 1: as they are.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of entry order and new weights.")] = None,
    eval_every: Annotated[
        int | None, typer.Option(help="Steps between losses on the val split.")
    ] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    report_to: Annotated[
        list[_Tracker] | None,
        typer.Option(help="Tracker; can be repeated."),
    ] = None,
    max_image_tokens: Annotated[
        int | None, typer.Option(help="Upper limit of an image's tokens, where a model has one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that decode images beside training.")
    ] = None,
    bf16: Annotated[bool | None, typer.Option("--bf16/--no-bf16", help="Autocast.")] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option("--gradient-checkpointing/--no-gradient-checkpointing", help="Less memory."),
    ] = None,
    fsdp: Annotated[
        bool | None, typer.Option("--fsdp/--ddp", help="Shard the model over the processes.")
    ] = None,
    probe: Annotated[
        int | None,
        typer.Option(min=1, help="Measure the Fisher spectrum on so many val entries."),
    ] = None,
    probe_every: Annotated[
        int, typer.Option(min=1, help="Entries seen between two measurements.")
    ] = 2048,
) -> None:
    """Train a model on a dataset; the same command again resumes. Also under torchrun."""
    from imaxray.training import load_recipe, train_dataset

    if (steps is None) is False and epochs is not None:
        raise ImaxrayError("Expected --steps or --epochs, but both are given; leave one out.")
    recipe = load_recipe(
        config,
        model=model,
        layout=layout,
        method=method,
        boxes=boxes,
        epochs=epochs,
        steps=steps,
        entries_per_step=entries_per_step,
        tokens_per_batch=tokens_per_batch,
        accumulate=accumulate,
        learning_rate=learning_rate,
        weights=_shares(weights),
        temperature=temperature,
        seed=seed,
        eval_every=eval_every,
        save_every=save_every,
        report_to=None if report_to is None else tuple(str(t) for t in report_to if t != "none"),
        max_image_tokens=max_image_tokens,
        workers=workers,
        bf16=bf16,
        gradient_checkpointing=gradient_checkpointing,
        fsdp=fsdp,
    )
    callbacks = None
    if probe is not None:
        from imaxray.dynamics import probe_while_training

        if recipe.fsdp:
            raise ImaxrayError(
                "Expected --probe without --fsdp, since rows of sharded weights are not measured; "
                "leave one of them out."
            )
        callbacks = probe_while_training(
            out, probe, every=probe_every, entries_per_step=recipe.entries_per_step,
            tokens_per_batch=recipe.tokens_per_batch,
        )  # fmt: skip
    run = train_dataset(dataset, out, recipe, callbacks=callbacks, progress=sys.stderr.isatty())
    if int(os.environ.get("RANK", "0")) == 0:
        last = run.curve[-1]
        print(
            f"{run.weights}: {last['entries_seen']:,} entries in {last['step']:,} steps, loss "
            f"{last['loss']:.4f}, {run.manifest['entries_per_second']:,} entries/s, "
            f"{run.manifest['tokens_per_second']:,} tokens/s; {run.manifest['dropped'] or 'none'} "
            "dropped"
        )


def _shares(items: list[str] | None) -> dict[str, float] | None:
    if items is None:
        return None
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


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(help="Run folder, registry name, repository id, or model folder.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Dataset folder.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Default: evaluation/DATASET-SPLIT in the run folder."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose entries are asked.")] = "test",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 128,
    images_per_batch: Annotated[
        int, typer.Option(min=1, help="Most images that are answered together.")
    ] = 16,
    rows_per_batch: Annotated[int, typer.Option(min=1, help="Most entries that are.")] = 256,
    engine: Annotated[
        Literal["local", "vllm"], typer.Option(help="transformers here, or vLLM.")
    ] = "local",
    boxes: Annotated[
        str | None, typer.Option(help="Box convention, for models the registry does not know.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Commit or tag on the hub.")] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="Of the weights.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …; engine local.")] = "cpu",
    max_image_tokens: Annotated[
        int | None, typer.Option(min=1, help="Upper limit of an image's tokens.")
    ] = None,
    form: Format = "text",
) -> None:
    """Ask a model every entry of a split, and score it; a killed run goes on where it was."""
    from imaxray.evaluation.generation import evaluate_model

    done = evaluate_model(
        model, data, out, split=split, max_new_tokens=max_new_tokens,
        images_per_batch=images_per_batch, rows_per_batch=rows_per_batch, engine=engine,
        boxes=boxes, revision=revision, dtype=dtype, device=device,
        max_image_tokens=max_image_tokens,
    )  # fmt: skip
    if form == "json":
        print(json.dumps(done.result.data, indent=1))
        return
    print_result(done.result.data)
    print(
        f"{done.predictions.height:,} answers, {done.unfinished:,} of them cut at {max_new_tokens} "
        f"tokens, in {done.folder}: predictions.parquet, scores.parquet, result.json"
    )


@app.command("score")
def score_command(
    predictions: Annotated[
        Path, typer.Argument(help="Parquet or JSON lines with entry_id and text, or a run folder.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Dataset folder that was asked.")],
    boxes: Annotated[
        str, typer.Option("--boxes", help="How the model writes boxes, e.g. percent, per-mille.")
    ] = "percent",
    split: Annotated[str, typer.Option(help="Whose entries are scored.")] = "test",
    extra: Annotated[
        list[str] | None,
        typer.Option(help="captions (METEOR, CIDEr) or radiology (RadGraph …); can be repeated."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Reading rule to switch off (thinking, fences …); can be repeated."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="A phantom's folder truth: what true answers get.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap over patients.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for result.json and scores.parquet.")
    ] = None,
    form: Format = "text",
) -> None:
    """Score anybody's answers, without any model: every number, and what decided it."""
    from imaxray.boxes import get_convention
    from imaxray.curation import open_dataset
    from imaxray.evaluation import read_predictions, score_run, write_result
    from imaxray.tasks import reading_rules

    result = score_run(
        open_dataset(data),
        read_predictions(predictions),
        get_convention(boxes),
        split=split,
        rules=reading_rules(without or ()),
        extras=extra or (),
        truth=truth,
        seed=seed,
        resamples=resamples,
    )
    if out is not None:
        write_result(result, out)
    if form == "json":
        print(json.dumps(result.data, indent=1))
        return
    print_result(result.data)


@app.command()
def labeller(
    dataset: Annotated[Path, typer.Argument(help="Dataset with reports and labels.")],
    form: Format = "text",
) -> None:
    """How well the built-in report labeller agrees with the labels of a dataset."""
    from imaxray.curation import open_dataset
    from imaxray.evaluation import labeller_on

    found = labeller_on(open_dataset(dataset).tables.annotations).as_dict()
    if form == "json":
        print(json.dumps(found, indent=1))
        return
    cells = {**found["labels"], "all labels": found["micro"]}
    print_table(
        f"Labeller {found['labeller']} against the labels of {found['reports']:,} reports",
        ["label", "positive in both", "only read", "only given", "neither", "precision", "recall",
         "F1"],
        [
            [label, *(f"{cell[key]:,}" for key in ("tp", "fp", "fn", "tn")),
             *("–" if cell[key] is None else f"{cell[key]:.3f}"
               for key in ("precision", "recall", "f1"))]
            for label, cell in cells.items()
        ],
    )  # fmt: skip
    unsure = found["uncertain"]
    print(f"Given as uncertain: {unsure['given']:,}; read so too: {unsure['read']:,}")


@app.command("filter")
def filter_command(
    pseudo: Annotated[Path, typer.Argument(help="Folder that annotate wrote.")],
    data: Annotated[Path, typer.Option("--data", help="Dataset folder that was annotated.")],
    out: Out,
    precision: Annotated[
        float, typer.Option(help="Share of right answers wanted of each task.")
    ] = 0.9,
    risk: Annotated[
        float, typer.Option(help="Chance that it is less after all; 0: trust what is observed.")
    ] = 0.1,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Consistency rules of your own (YAML).")
    ] = None,
    clinical: Annotated[
        Path | None,
        typer.Option(help="YAML file whose `clinical:` block changes clinical rules."),
    ] = None,
    no_confidence: Annotated[
        bool, typer.Option("--no-confidence", help="No thresholds of confidence.")
    ] = False,
    no_consistency: Annotated[
        bool, typer.Option("--no-consistency", help="No rules of consistency.")
    ] = False,
    balance: Annotated[
        bool, typer.Option("--balance", help="Keep each answer's share among the real entries.")
    ] = False,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Catalog that knows which answers are right.")
    ] = None,
    form: Format = "text",
) -> None:
    """Keep the pseudo annotations that can be trusted; write pseudo IMAX."""
    from imaxray.pseudo import filter_folder

    done = filter_folder(
        pseudo, data, out, precision=precision, risk=risk or None, rules=rules,
        confidence=not no_confidence, consistency=not no_consistency, balance=balance,
        truth=truth, clinical=clinical,
    )  # fmt: skip
    report = done.as_dict()
    if form == "json":
        print(json.dumps(report, indent=1))
        return
    print_filter(report)
    print(f"{report['kept']:,} pseudo entries beside the real ones in {out}")
