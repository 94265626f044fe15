"""Commands over runs: whole studies and their dynamics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imaxray.cli.application import Config, Out, Root, app
from imaxray.cli.printing import print_annotation

if TYPE_CHECKING:
    from imaxray.ablation import AblationConfig


@app.command()
def study(config: Config, out: Out, root: Root = None) -> None:
    """Run a whole study: build, match, train the arms, evaluate, compare, report.html.

    A study with a block `strategy` is the ablation of that strategy: ablation.md.
    """
    from rich.console import Console

    from imaxray.ablation import AblationConfig, load_study
    from imaxray.study import run_study, write_study_report

    loaded = load_study(config)
    if isinstance(loaded, AblationConfig):
        _ablation(loaded, out, root)
        return
    outcome = run_study(loaded, out, root=root)
    report = write_study_report(outcome)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(outcome.equal_entries.table("Equal entries seen"))
    console.print(outcome.equal_compute.table("Equal compute (wall-clock)"))
    for line in outcome.summary():
        console.print(line, highlight=False)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)


def _ablation(config: AblationConfig, out: Path, root: Path | None) -> None:
    from rich.console import Console

    from imaxray.ablation import ablation_tables, run_ablation, summary, write_ablation

    outcome = run_ablation(config, out, root=root)
    written = write_ablation(outcome)
    console = Console(width=None if sys.stdout.isatty() else 180)
    for table in ablation_tables(outcome):
        console.print(table)
    for line in summary(outcome):
        console.print(line, highlight=False)
    console.print(f"Tables: {written}", highlight=False, soft_wrap=True)


@app.command()
def strategy(
    config: Annotated[Path, typer.Argument(help="Strategy (YAML), as configs/strategy.yaml.")],
    out: Out,
) -> None:
    """Train on DMAX, fill its gaps, train on pseudo IMAX, finish on DMAX; again: resume."""
    from rich.console import Console

    from imaxray.strategy import load_strategy, run_strategy

    console = Console(width=None if sys.stdout.isatty() else 140)
    outcome = run_strategy(
        load_strategy(config),
        out,
        tell=lambda line: console.print(line, highlight=False, soft_wrap=True),
        progress=sys.stderr.isatty(),
    )
    if outcome.comparison is not None:
        console.print(outcome.comparison.table("Stages on the test split"))
    console.print(outcome.yields())
    for line in outcome.verdicts():
        console.print(line, highlight=False)
    console.print(f"Final run: {outcome.final}", highlight=False, soft_wrap=True)


@app.command()
def dynamics(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one arm, a seed each.")],
    out: Out,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Run folder of the other arm; once a seed, same order."),
    ] = None,
    group: Annotated[str, typer.Option("--group", help="Module group, or all.")] = "all",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Measure the runs' weights now, on entries of this dataset."),
    ] = None,
    other_data: Annotated[
        Path | None,
        typer.Option("--other-data", help="Dataset of --against: crossed probes, 2 × 2."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose entries of --data are measured.")] = "val",
    probe: Annotated[int, typer.Option(min=1, help="Entries that are.")] = 252,
    draw: Annotated[
        Literal["any", "apart", "together"],
        typer.Option(help="Entries of any image, one an image, or whole images."),
    ] = "any",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 … for --data.")] = "cpu",
    tokens_per_batch: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one forward pass.")
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Correlate with the runs' final task scores.")
    ] = False,
    evaluation: Annotated[
        str | None, typer.Option(help="Which scores, where runs hold several: DATASET-SPLIT.")
    ] = None,
) -> None:
    """SE, rho, H2 and task conflict of runs: recorded in training, or measured from weights."""
    from imaxray.cli.printing import print_dynamics
    from imaxray.curation import open_dataset
    from imaxray.dynamics import run_dynamics

    found = run_dynamics(
        runs, out, against=against or (),
        data=None if data is None else open_dataset(data),
        other_data=None if other_data is None else open_dataset(other_data),
        split=split, size=probe, draw=draw, device=device, tokens_per_batch=tokens_per_batch,
        scores=scores or evaluation is not None, evaluation=evaluation, group=group,
    )  # fmt: skip
    print_dynamics(found, group)


@app.command()
def annotate(
    run: Annotated[
        str, typer.Argument(help="Run folder, registry name, repository id, or model folder.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Dataset folder; its train images.")],
    out: Out,
    samples: Annotated[
        int, typer.Option(min=0, help="Answers drawn beside the greedy one, for agreement.")
    ] = 0,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of the drawn ones.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn ones.")] = 0,
    round_: Annotated[int, typer.Option("--round", min=1, max=127, help="Of the strategy.")] = 1,
    task: Annotated[
        list[str] | None, typer.Option(help="That may be asked; can be repeated. Default: all.")
    ] = None,
    vqa_per_image: Annotated[int, typer.Option(min=0, help="Questions to an image.")] = 2,
    rec_per_image: Annotated[int, typer.Option(min=0, help="Phrases.")] = 3,
    reg_per_image: Annotated[int, typer.Option(min=0, help="Boxes.")] = 3,
    limit: Annotated[int | None, typer.Option(min=1, help="Train images, at most.")] = None,
    calibration_per_task: Annotated[
        int | None, typer.Option(min=0, help="Validation entries of a task. Default: all.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 128,
    images_per_batch: Annotated[
        int, typer.Option(min=1, help="Most images that are encoded together.")
    ] = 16,
    rows_per_batch: Annotated[
        int, typer.Option(min=1, help="Most prompts that are answered together.")
    ] = 256,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of torch, a worker.")] = 1,
    engine: Annotated[
        Literal["local", "ray", "vllm"],
        typer.Option(help="transformers here, the same on a Ray cluster, or vLLM."),
    ] = "local",
    boxes: Annotated[
        str | None, typer.Option(help="Box convention, for models the registry does not know.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Commit or tag on the hub.")] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="Of the weights.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
    max_image_tokens: Annotated[
        int | None, typer.Option(min=1, help="Upper limit of an image's tokens.")
    ] = None,
) -> None:
    """Let a model answer every task that train images lack; a killed run goes on where it was."""
    from imaxray.pseudo import annotate as annotate_data
    from imaxray.schema import TASKS

    done = annotate_data(
        run, data, out, samples=samples, temperature=temperature, seed=seed, round=round_,
        tasks=task or TASKS,
        vqa_per_image=vqa_per_image, rec_per_image=rec_per_image, reg_per_image=reg_per_image,
        limit=limit, calibration_per_task=calibration_per_task, max_new_tokens=max_new_tokens,
        images_per_batch=images_per_batch, rows_per_batch=rows_per_batch, threads=threads,
        engine=engine, boxes=boxes, revision=revision, dtype=dtype, device=device,
        max_image_tokens=max_image_tokens,
    )  # fmt: skip
    print_annotation(done)
