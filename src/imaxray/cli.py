"""The command line: parse, call the library, print. Everything here is one public call."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from imaxray import __version__
from imaxray._memory import keep_freed_memory
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imaxray.curation import Tables

app = typer.Typer(
    name="imaxray",
    help="Image-centric multi-annotation data for medical multimodal LLMs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sources_app = typer.Typer(
    help="What releases can be read, and whether yours can.", no_args_is_help=True
)
app.add_typer(sources_app, name="sources")

Config = Annotated[Path, typer.Option("--config", help="Study configuration (YAML).")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Root = Annotated[Path | None, typer.Option("--root", help="Folder that holds the releases.")]
Format = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")]


class _Format(StrEnum):
    text = "text"
    json = "json"


class _Tracker(StrEnum):
    tensorboard = "tensorboard"
    wandb = "wandb"
    none = "none"


def main() -> NoReturn:
    """Run the command line: user errors are one sentence on stderr and exit code 2."""
    keep_freed_memory()
    try:
        app()
    except ImaxrayError as error:
        print(f"imaxray: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    images: Annotated[int, typer.Option(help="Radiographs, frontal and lateral.")] = 2000,
    scale: Annotated[
        Literal["images", "mimic"],
        typer.Option(help="As many as --images says, or the exact counts of MIMIC-CXR."),
    ] = "images",
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Tables, reports and scene graphs; no pixels.")
    ] = False,
    times: Annotated[float, typer.Option(help="With --scale mimic: so many MIMIC-CXRs.")] = 1.0,
    no_archives: Annotated[
        bool, typer.Option("--no-archives", help="With --scale mimic: tables only.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; default: all cores.")] = None,
) -> None:
    """Write synthetic radiographs and their releases in the real file formats."""
    from imaxray.phantom import default_workers, write_phantom, write_phantom_tables

    processes = workers or default_workers()
    if scale == "images":
        if no_images or no_archives or times != 1.0:
            raise ImaxrayError(
                "Expected --no-images, --no-archives and --times with --scale mimic, but the scale "
                "is that of --images; add --scale mimic or leave them out."
            )
        write_phantom(out, images=images, seed=seed, workers=processes)
        print(f"{images:,} radiographs and seven releases in {out}")
        return
    if not no_images:
        raise ImaxrayError(
            "Expected --no-images with --scale mimic, but it is not given; 377,110 radiographs of "
            "full size are not drawn, so add it."
        )
    write_phantom_tables(out, times=times, seed=seed, workers=processes, archives=not no_archives)
    print(f"{'Five' if no_archives else 'Seven'} releases of {times:g} MIMIC-CXR in {out}")


@sources_app.command("list")
def sources_list(form: Format = "text") -> None:
    """List the sources: release, tasks, access and licence, citation, download page."""
    from imaxray.sources import list_sources

    keys = ("name", "title", "version", "tasks", "access", "licence", "citation", "url")
    rows = [{key: getattr(source, key) for key in keys} for source in list_sources()]
    if form == "json":
        print(json.dumps(rows, indent=1))
        return
    for row in rows:  # not a table: citations and addresses are too long for columns
        print(f"{row['name']}: {row['title']}, version {row['version']}")
        print(f"  tasks     {', '.join(row['tasks'])}")
        print(f"  access    {row['access']}; {row['licence']}")
        print(f"  cite      {row['citation']}")
        print(f"  download  {row['url']}")


@sources_app.command("check")
def sources_check(
    name: Annotated[str, typer.Argument(help="Source, as `sources list` names it.")],
    path: Annotated[Path, typer.Argument(help="The release's folder.")],
) -> None:
    """Check that PATH holds the release: files, headers, rows, rejects."""
    from imaxray.sources import get_source

    source = get_source(name)
    source.check(path)
    tables = source.read(path)
    counts = tables.rejects.unique(["file", "row"])["file"].value_counts()
    rejected = dict(counts.iter_rows())
    _print_table(
        f"{source.title} at {path}",
        ["file", "rows", "rows with a reject", "sha256"],
        [[f.file, f"{f.rows:,}", f"{rejected.get(f.file, 0):,}", f.sha256[:12]]
         for f in tables.files],
    )  # fmt: skip
    _print_codes(tables.rejects)
    print(
        f"{tables.images.height:,} images, {tables.annotations.height:,} annotations, "
        f"{tables.rejects.height:,} rejects"
    )
    for remark in source.remarks(path):
        print(remark)


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
    _print_table(
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
def build(
    config: Config,
    out: Out,
    root: Root = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: the config's.")] = None,
    verify: Annotated[
        Literal["decode", "exists", "none"] | None,
        typer.Option(help="Decode images, look whether they exist, or believe the tables."),
    ] = None,
) -> None:
    """Build catalog, IMAX and DMAX of a study configuration, without training."""
    from imaxray.study import build_study_data, load_config

    study = load_config(config)
    given = {"workers": workers, "verify": verify}
    study = study.model_copy(update={k: v for k, v in given.items() if v is not None})
    match = build_study_data(study, out, root=root)
    for name, splits in match["density"].items():
        _print_density(name, splits)
    _print_match(match)


@app.command()
def match(
    catalog: Annotated[Path, typer.Argument(help="Catalog data set (`build` writes it).")],
    imax: Annotated[Path, typer.Argument(help="IMAX data set to match.")],
    out: Out,
    tasks_per_image: Annotated[
        float | None, typer.Option(help="Dose: about so many tasks an image; default: fewest.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides among equally good images; default: the build's.")
    ] = None,
) -> None:
    """Match DMAX to IMAX: equal volume per task and answer, spread over the most images."""
    from imaxray.curation import DmaxConfig, match_dmax, open_dataset, write_dataset

    dose = DmaxConfig(tasks_per_image=tasks_per_image, seed=seed)
    selected = open_dataset(imax)
    built = selected.manifest["seed"]
    tables, report = match_dmax(open_dataset(catalog).tables, selected.tables, dose, seed=built)
    config = {**selected.manifest["config"], "dmax": dose.model_dump(mode="json")}
    write_dataset(tables, out, config=config, seed=built, role="dmax")
    _print_density("dmax", _densities(tables))
    _print_match(report.as_dict())


@app.command()
def rebuild(
    manifest: Annotated[Path, typer.Argument(help="manifest.json of the data set to make again.")],
    out: Out,
    source: Annotated[
        list[str], typer.Option(help="NAME=PATH of a release; once for each that is needed.")
    ],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Make the very same data set from your own downloads, and prove it by sha256."""
    from imaxray.study import rebuild_dataset

    releases = {}
    for item in source:
        name, equals, path = item.partition("=")
        if not equals or not path:
            raise ImaxrayError(f"Expected --source NAME=PATH, but got {item}; write both.")
        releases[name] = Path(path)
    report = rebuild_dataset(manifest, releases, out, workers=workers)
    rows = [[name, digest, "identical"] for name, digest in report.files.items()]
    _print_table(f"{out}", ["file", "sha256", "with the manifest"], rows)


@app.command()
def stats(
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")], form: Format = "text"
) -> None:
    """Density, entries per task and split, and the account: rows in = kept + rejected."""
    from imaxray.curation import open_dataset

    data = open_dataset(dataset)
    if form == "json":
        account = data.tables.account.to_dicts()
        print(json.dumps({"density": _densities(data.tables), "account": account}, indent=1))
        return
    _print_density(dataset.name, _densities(data.tables))
    _print_table(
        "Rows in = kept + rejected",
        ["source", "file", "rows in", "kept", "rejected"],
        [[source, file, f"{rows:,}", f"{kept:,}", f"{rejected:,}"]
         for source, file, rows, kept, rejected in data.tables.account.iter_rows()],
    )  # fmt: skip
    _print_codes(data.tables.rejects)


@app.command()
def cache(
    dataset: Annotated[Path, typer.Argument(help="Data set folder; the catalog serves its arms.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: image-cache beside the data set.")
    ] = None,
    max_side: Annotated[int, typer.Option(min=1, help="Longest side in pixels.")] = 1024,
    shard_images: Annotated[int, typer.Option(min=1, help="Images a shard.")] = 64,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes here, or a Ray cluster.")
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Processes of the engine local.")] = 2,
) -> None:
    """Decode, verify, orient and resize every image once; a killed run goes on where it was."""
    from imaxray.cache import cache_images
    from imaxray.curation import open_dataset

    report = cache_images(
        open_dataset(dataset), out, max_side=max_side, shard_images=shard_images, engine=engine,
        workers=workers,
    )  # fmt: skip
    if report.rejects.height:
        _print_codes(report.rejects)
    print(
        f"{report.images:,} images and {report.rejects.height:,} rejects in {report.shards:,} "
        f"shards ({report.bytes / 1e6:,.1f} MB; {report.kept_shards:,} were there before) in "
        f"{report.folder}, {report.seconds:.1f} s"
    )


@app.command()
def audit(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Data set folder, or LLaVA JSON / messages JSONL files."),
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: as the data says.")
    ] = None,
    output: Annotated[_Format, typer.Option("--format", help="What to print.")] = _Format.text,
    patient_field: Annotated[
        str | None, typer.Option(help="Field with the patient's id, in files of other projects.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Code of a check to leave out; can be repeated.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Findings of a check shown as text.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode images.")] = 1,
) -> None:
    """Look for leaks, broken or double images, bad boxes and contradictions; exit code 1 if any."""
    from imaxray.audit import audit as run_audit

    report = run_audit(
        paths, images=images, patient_field=patient_field, skip=skip or (), workers=workers
    )
    print(report.to_json() if output is _Format.json else report.to_text(examples))
    if not report.clean:
        raise typer.Exit(1)


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    form: Annotated[
        str,
        typer.Option("--format", help="llamafactory, swift, trl, llava, fiftyone or croissant."),
    ],
    out: Out,
    boxes: Annotated[
        str | None,
        typer.Option(help="How boxes are written: a convention or a model (docs/export.md)."),
    ] = None,
    per: Annotated[
        Literal["entry", "image"] | None,
        typer.Option(help="A conversation an entry (default), or one of many turns an image."),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="train, val or test; can be repeated. Default: all.")
    ] = None,
    images: Annotated[
        Literal["path", "link", "copy"],
        typer.Option(help="Name images where they lie, link them, or copy them."),
    ] = "path",
    max_turns: Annotated[
        int | None, typer.Option(help="With --per image: most turns of a conversation.")
    ] = None,
    min_pixels: Annotated[
        int | None, typer.Option(help="Qwen2.5-VL: smallest area that the processor resizes to.")
    ] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Likewise the largest.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the order of rows and turns.")] = 0,
    headers: Annotated[
        bool, typer.Option(help="Open each image's header to see that tools can read it.")
    ] = True,
) -> None:
    """Write a data set in the format of another tool."""
    from imaxray.export import export_dataset

    report = export_dataset(
        dataset, form, out, boxes=boxes, per=per, splits=split, images=images,
        max_turns=max_turns, min_pixels=min_pixels, max_pixels=max_pixels, seed=seed,
        headers=headers,
    )  # fmt: skip
    _print_table(
        f"{form} at {out}",
        ["split", "rows", "entries", "images"],
        [[s, *(f"{c[key]:,}" for key in ("rows", "entries", "images"))]
         for s, c in report.counts.items()],
    )  # fmt: skip
    if report.left_out:
        left = [[code, f"{n:,}"] for code, n in report.left_out.items()]
        _print_table("Left out (left_out.jsonl)", ["reason", "number"], left)


@app.command("score")
def score_command(
    predictions: Annotated[
        Path, typer.Argument(help="Parquet or JSON lines with entry_id and text, or a run folder.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Data set folder that was asked.")],
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
    _print_result(result.data)


@app.command()
def labeller(
    dataset: Annotated[Path, typer.Argument(help="Data set with reports and labels.")],
    form: Format = "text",
) -> None:
    """How well the built-in report labeller agrees with the labels of a data set."""
    from imaxray.curation import open_dataset
    from imaxray.evaluation import labeller_on

    found = labeller_on(open_dataset(dataset).tables.annotations).as_dict()
    if form == "json":
        print(json.dumps(found, indent=1))
        return
    cells = {**found["labels"], "all labels": found["micro"]}
    _print_table(
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


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Data set folder with a train split.")],
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
) -> None:
    """Train a model on a data set; the same command again resumes. Also under torchrun."""
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
    run = train_dataset(dataset, out, recipe, progress=sys.stderr.isatty())
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
    data: Annotated[Path, typer.Option("--data", help="Data set folder.")],
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
        print(json.dumps(done.summary, indent=1))
        return
    rows = []
    for task, found in done.summary["tasks"].items():
        values = [
            f"{name} {'–' if value is None else format(value, '.3f')}"
            for name, value in found["metrics"].items()
        ]
        rows.append([task, f"{found['entries']:,}", f"{found['invalid']:.1%}", ", ".join(values)])
    header = ["task", "entries", "invalid", "scores"]
    _print_table(f"{model} on {data.name} ({split})", header, rows)
    cut = done.summary["unfinished_answers"]
    print(
        f"{done.predictions.height:,} answers, {cut:,} of them cut at {max_new_tokens} tokens, in "
        f"{done.folder}: predictions.parquet, scores.parquet, scores.json"
    )


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
        _print_table("Empirical Fisher", ["run", "entries seen", "SE", "rho", "H2"], rows)
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
    _print_table(f"After {seen:,} entries", header, rows)
    if len(runs) < 3:
        print("Fewer than three seeds an arm: do not report these intervals.", file=sys.stderr)


def _densities(tables: Tables) -> dict[str, Any]:
    from imaxray.curation import density

    return {split: asdict(density(tables, split)) for split in ("train", "val", "test")}


def _print_density(name: str, splits: Mapping[str, Any]) -> None:
    rows = []
    for split, d in splits.items():
        tasks = [f"{n:,}" for n in d["entries_per_task"].values()]
        counts = [f"{d[key]:,}" for key in ("images", "patients", "entries")]
        means = [f"{d[key]:.2f}" for key in ("tasks_per_image", "entries_per_image")]
        rows.append([split, *counts, *means, *tasks])
    header = ["split", "images", "patients", "entries", "tasks/image", "entries/image"]
    _print_table(name, [*header, *splits["train"]["entries_per_task"]], rows)


def _print_match(report: Any) -> None:
    imax, dmax = report["imax"], report["dmax"]
    print(
        f"DMAX spreads {dmax['entries']:,} entries over {dmax['images']:,} images "
        f"({dmax['tasks_per_image']:.2f} tasks an image; IMAX: {imax['images']:,} images, "
        f"{imax['tasks_per_image']:.2f}). Greatest distance of an answer distribution: "
        f"{max(report['distance'].values()):.3f}. Limit: {report['limit']}."
    )


def _print_result(data: Mapping[str, Any]) -> None:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    rows = []
    for task in data["tasks"]:
        for place, metric in enumerate(task["metrics"]):
            down = "→ 0" if metric["low_bound"] < 0 else "↓"
            arrow = "↑" if metric["higher_is_better"] else down
            rows.append([
                task["task"] if place == 0 else "",
                f"{metric['name']} {arrow}",
                f"{number(metric['value'])} [{number(metric['low'])}, {number(metric['high'])}]",
                *(number(metric["baselines"].get(kind))
                  for kind in ("constant", "majority", "ceiling")),
                f"{100 * task['invalid']:.1f} %" if place == 0 else "",
                f"{task['entries']:,}" if place == 0 else "",
                f"{task['patients']:,}" if place == 0 else "",
            ])  # fmt: skip
    level = data["decided_by"]["bootstrap"]["level"]
    _print_table(
        f"Scores with {100 * level:.0f} % intervals over patients",
        ["task", "metric", "value", "constant", "majority", "ceiling", "invalid", "entries",
         "patients"],
        rows,
    )  # fmt: skip
    counts = data["counts"]
    print(
        f"{counts['entries']:,} entries, {counts['predictions']:,} predictions; of the entries "
        f"{counts['missing']:,} have no answer (counted as wrong) and {counts['empty']:,} an empty "
        f"one; {counts['unknown']:,} predictions are of other ids and {counts['doubles']:,} are "
        "doubles (the first counts)."
    )
    for task, of_truth in (data["truth"] or {}).items():
        values = ", ".join(f"{k} {number(v)}" for k, v in of_truth.items() if k != "entries")
        print(f"True answers, {task}, {of_truth['entries']:,} entries: {values}")
    for extra, reason in data["not_computed"].items():
        print(f"Not computed: {extra} metrics ({reason})")


def _print_codes(rejects: Any) -> None:
    counts = (
        rejects.group_by("source", "code").len().sort("source", "len", descending=[False, True])
    )
    _print_table(
        "Rejects",
        ["source", "code", "rows and items"],
        [[source, code, f"{n:,}"] for source, code, n in counts.iter_rows()],
    )


def _print_table(title: str | None, header: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(header):
        table.add_column(column, justify="left" if index == 0 else "default", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # wide enough for a file or a pipe; a terminal's own width otherwise
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    main()
