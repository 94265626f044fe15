"""Commands over runs: whole studies and their dynamics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray.cli._app import Config, Out, Root, app
from imaxray.cli._print import print_annotation, print_table


@app.command()
def study(config: Config, out: Out, root: Root = None) -> None:
    """Run a whole study: build, match, train both arms, evaluate, compare, report.html."""
    from rich.console import Console

    from imaxray.study import load_config, run_study, write_study_report

    outcome = run_study(load_config(config), out, root=root)
    report = write_study_report(outcome)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(outcome.equal_entries.table("Equal entries seen"))
    console.print(outcome.equal_compute.table("Equal compute (wall-clock)"))
    for line in outcome.summary():
        console.print(line, highlight=False)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)


@app.command()
def dynamics(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one arm, a seed each.")],
    out: Out,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Run folder of the other arm; once a seed, same order."),
    ] = None,
    group: Annotated[str, typer.Option("--group", help="Module group, or all.")] = "all",
) -> None:
    """Read recorded Fisher probes: SE, rho and H2 over training, and one arm against another."""
    from imaxray import dynamics as part
    from imaxray.dynamics.plots import plot_spectra

    arms = {"runs": part.run_spectra(runs)}
    if against:
        arms["against"] = part.run_spectra(against)
    out.mkdir(parents=True, exist_ok=True)
    for arm, table in arms.items():
        table.write_csv(out / f"{arm}.csv")
    plot_spectra(arms, out / "spectra.svg", group=group)
    if not against:
        shown = arms["runs"].filter(group=group, reduction="sum")
        rows = [
            [run, f"{seen:,}", f"{se:.3f}", f"{rho:.3f}", f"{h2:.3f}"]
            for run, seen, se, rho, h2 in shown.select(
                "run", "entries_seen", "se", "rho", "h2"
            ).iter_rows()
        ]
        print_table("Empirical Fisher", ["run", "entries seen", "SE", "rho", "H2"], rows)
        return
    found = part.compare_runs(runs, against, group=group)
    found.write_csv(out / "contrast.csv")
    seen = int(found["entries_seen"].to_list()[-1])
    last = found.filter(entries_seen=seen)
    rows = [
        [
            row["reduction"], row["statistic"], f"{row['value']:.3f}", f"{row['other']:.3f}",
            f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            "yes" if row["ordering_holds"] else "no",
        ]
        for row in last.iter_rows(named=True)
    ]  # fmt: skip
    header = ["gradients", "statistic", "runs", "against", "difference", "at N/4 and N/2 too"]
    print_table(f"After {seen:,} entries", header, rows)
    if len(runs) < 3:
        print("Fewer than three seeds an arm: do not report these intervals.", file=sys.stderr)


@app.command()
def annotate(
    run: Annotated[
        str, typer.Argument(help="Run folder, registry name, repository id, or model folder.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Data set folder; its train images.")],
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
        tasks=task or TASKS,  # type: ignore[arg-type]
        vqa_per_image=vqa_per_image, rec_per_image=rec_per_image, reg_per_image=reg_per_image,
        limit=limit, calibration_per_task=calibration_per_task, max_new_tokens=max_new_tokens,
        images_per_batch=images_per_batch, rows_per_batch=rows_per_batch, engine=engine,
        boxes=boxes, revision=revision, dtype=dtype, device=device,
        max_image_tokens=max_image_tokens,
    )  # fmt: skip
    print_annotation(done)
