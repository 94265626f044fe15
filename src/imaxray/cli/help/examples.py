"""Holds the example of each command, which its help shows; a test parses every one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import typer

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "annotate": ("imaxray annotate runs/dmax --data data/dmax --out work/pseudo",),
    "audit": (
        "imaxray audit study/phantom/imax",
        "imaxray audit train.jsonl test.jsonl --images images --format json",
    ),
    "build": ("imaxray build phantom --out study/phantom",),
    "cache": ("imaxray cache study/phantom/catalog --max-side 512 --workers 8",),
    "completion": ("imaxray completion bash > ~/.local/share/bash-completion/completions/imaxray",),
    "compare": (
        "imaxray compare runs/imax --against runs/dmax --data study/phantom/imax --format csv",
    ),
    "configs copy": ("imaxray configs copy phantom --out my-study.yaml",),
    "configs list": ("imaxray configs list",),
    "configs show": ("imaxray configs show phantom",),
    "derive": ("imaxray derive study/phantom/dmax --out work/derived",),
    "doctor": ("imaxray doctor --need train --need dicom",),
    "dynamics": ("imaxray dynamics runs/imax --against runs/dmax --out work/dynamics",),
    "evaluate": ("imaxray evaluate runs/imax --data study/phantom/imax",),
    "export": ("imaxray export study/phantom/imax --format llamafactory --out work/export",),
    "filter": (
        "imaxray filter work/pseudo --data study/phantom/dmax --out work/pseudo-imax "
        "--precision 0.9",
    ),
    "formats": ("imaxray formats",),
    "labeller": ("imaxray labeller study/phantom/catalog",),
    "match": (
        "imaxray match study/phantom/catalog study/phantom/imax --out work/dose "
        "--tasks-per-image 3",
    ),
    "models": ("imaxray models --format json",),
    "phantom": ("imaxray phantom releases --images 500 --seed 1",),
    "rebuild": (
        "imaxray rebuild shared/manifest.json --out data/imax --source "
        "mimic-cxr-jpg=releases/mimic-cxr-jpg",
    ),
    "report": (
        "imaxray report study/phantom --out phantom.html --images 0",
        "imaxray report study/ablation",
    ),
    "score": ("imaxray score answers.jsonl --data study/phantom/imax --boxes per-mille",),
    "share": ("imaxray share study/phantom/imax --out work/shared",),
    "sources check": ("imaxray sources check ms-cxr releases/ms-cxr",),
    "sources list": ("imaxray sources list --format json",),
    "sources new": (
        "imaxray sources new my-hospital --table readings.csv --images images --column patient=pid",
    ),
    "stats": ("imaxray stats study/phantom/imax",),
    "strategy": ("imaxray strategy strategy --data study/phantom/dmax --out work/strategy",),
    "study": (
        "imaxray study phantom --out study/phantom",
        "imaxray study my-study.yaml --dry-run --text-tokens 40",
    ),
    "train": ("imaxray train study/phantom/imax --model lingshu-7b --out runs/imax",),
    "verify": ("imaxray verify study/phantom/imax",),
    "view": ("imaxray view study/phantom",),
}
"""Command → examples, each a line that can be typed."""


def add_examples(app: typer.Typer) -> None:
    """Show the examples below the help of each command that has any."""
    groups = [("", app)]
    groups += [(f"{group.name} ", group.typer_instance) for group in app.registered_groups
               if group.typer_instance is not None]  # fmt: skip
    for prefix, group in groups:
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__.replace("_", "-")
            lines = EXAMPLES.get(f"{prefix}{name}")
            if lines:
                command.epilog = "Example: " + "   or   ".join(f"`{line}`" for line in lines)
