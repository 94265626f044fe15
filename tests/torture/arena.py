"""Lists the commands that are tortured, and makes what they read: releases, datasets, a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torture import zygote

SHAPE: Final = {
    "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
    "vocabulary": 400,
}  # fmt: skip

STUDY: Final[dict[str, Any]] = {
    "title": "Tiny study",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": SHAPE,
    "training": {"entries_per_step": 12, "steps": 4, "log_every": 2, "save_every": 2},
    "evaluation": {"max_new_tokens": 8, "resamples": 100, "examples": 2},
}

ABLATION: Final[dict[str, Any]] = {
    "title": "Tiny ablation",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": SHAPE,
    "training": {
        "entries_per_step": 12, "log_every": 2, "save_every": 2, "learning_rate": 4e-3,
    },
    "evaluation": {"max_new_tokens": 4, "resamples": 100},
    "strategy": {
        "derive": {},
        "stages": [
            {"name": "derived", "on": "derived", "start": "base", "steps": 4},
            {"name": "pseudo-imax", "on": "pseudo", "steps": 2},
        ],
        "annotate": {"max_new_tokens": 8, "limit": 12, "rec_per_image": 1, "reg_per_image": 1},
        "filter": {"confidence": False, "consistency": True},
    },
    "ablation": {"arms": ["dmax", "whole"], "seeds": [5], "lanes": 1},
}  # fmt: skip

_ASKED: Final = {
    "max_new_tokens": 8, "rec_per_image": 1, "reg_per_image": 1, "vqa_per_image": 1, "limit": 12,
    "images_per_batch": 4, "calibration_per_task": 2,
}  # fmt: skip


def _report(folder: Path, out: Path, *more: str) -> list[str]:
    """Return the words that write a report; its name is no ``report.html``, which may show times.

    The folder stays the same here, so that its report must be the same, too.
    """
    return ["report", f"{folder}", "--out", f"{out}/page.html", *more]


@dataclass(frozen=True)
class Command:
    """A command that writes a folder.

    Attributes:
        name: Name of the command.
        arguments: Function from arena and output folder to the words of the command line.
        reads: Folders and files of the arena that it reads.
    """

    name: str
    arguments: Callable[[Path, Path], list[str]]
    reads: tuple[str, ...]


COMMANDS: Final = {
    command.name: command
    for command in (
        Command(
            "phantom",
            lambda _, out: ["phantom", f"{out}", "--images", "20", "--workers", "1"],
            (),
        ),
        Command(
            "build",
            lambda arena, out: ["build", f"{arena}/build.yaml", "--out", f"{out}"],
            ("build.yaml", "data/releases"),
        ),
        Command(
            "match",
            lambda arena, out: [
                "match", f"{arena}/data/catalog", f"{arena}/data/imax", "--out", f"{out}",
            ],
            ("data/catalog", "data/imax"),
        ),
        Command(
            "derive",
            lambda arena, out: [
                "derive", f"{arena}/data/dmax", "--truth", f"{arena}/data/catalog", "--out",
                f"{out}",
            ],
            ("data/dmax", "data/catalog"),
        ),
        Command(
            "rebuild",
            lambda arena, out: [
                "rebuild", f"{arena}/data/imax/manifest.json", "--out", f"{out}", "--workers", "1",
                *(word for path in sorted((arena / "data/releases").iterdir())
                  if path.is_dir() and path.name != "truth"
                  for word in ("--source", f"{path.name}={path}")),
            ],
            ("data/imax/manifest.json", "data/releases"),
        ),
        Command(
            "cache",
            lambda arena, out: [
                "cache", f"{arena}/data/imax", "--out", f"{out}", "--workers", "1", "--max-side",
                "64", "--shard-images", "8",
            ],
            ("data/imax", "data/releases"),
        ),
        Command(
            "export",
            lambda arena, out: [
                "export", f"{arena}/data/imax", "--out", f"{out}", "--format", "llava", "--boxes",
                "percent", "--images", "copy",
            ],
            ("data/imax", "data/releases"),
        ),
        Command(
            "train",
            lambda arena, out: [
                "train", f"{arena}/data/imax", "--out", f"{out}", "--config",
                f"{arena}/recipe.yaml", "--model", f"{arena}/base",
            ],
            ("data/imax", "data/releases", "recipe.yaml", "base", "data/image-cache"),
        ),
        Command(
            "probe",
            lambda arena, out: [
                "train", f"{arena}/data/imax", "--out", f"{out}", "--config",
                f"{arena}/recipe.yaml", "--model", f"{arena}/base", "--probe", "7",
            ],
            ("data/imax", "data/releases", "recipe.yaml", "base", "data/image-cache"),
        ),
        Command(
            "evaluate",
            lambda arena, out: [
                "evaluate", f"{arena}/run", "--data", f"{arena}/data/imax", "--out", f"{out}",
                "--max-new-tokens", "8", "--images-per-batch", "4", "--rows-per-batch", "12",
            ],
            ("run", "data/imax", "data/image-cache"),
        ),
        Command(
            "score",
            lambda arena, out: [
                "score", f"{arena}/predictions", "--data", f"{arena}/data/imax", "--out", f"{out}",
                "--resamples", "100",
            ],
            ("predictions", "data/imax"),
        ),
        Command(
            "annotate",
            lambda arena, out: [
                "annotate", f"{arena}/run", "--data", f"{arena}/data/dmax", "--out", f"{out}",
                *(word for key, value in _ASKED.items()
                  for word in (f"--{key.replace('_', '-')}", f"{value}")),
            ],
            ("run", "data/dmax", "data/image-cache"),
        ),
        Command(
            "filter",
            lambda arena, out: [
                "filter", f"{arena}/pseudo", "--data", f"{arena}/data/dmax", "--out", f"{out}",
                "--no-confidence",
            ],
            ("pseudo", "data/dmax"),
        ),
        Command(
            "strategy",
            lambda arena, out: ["strategy", f"{arena}/strategy.yaml", "--out", f"{out}"],
            ("strategy.yaml", "data/dmax"),
        ),
        Command(
            "study",
            lambda arena, out: ["study", f"{arena}/study.yaml", "--out", f"{out}"],
            ("study.yaml",),
        ),
        Command(
            "ablation",
            lambda arena, out: ["study", f"{arena}/ablation.yaml", "--out", f"{out}"],
            ("ablation.yaml",),
        ),
        Command(
            "compare",
            lambda arena, out: [
                "compare", f"{arena}/studied/runs/imax", "--against",
                f"{arena}/studied/runs/dmax", "--data", f"{arena}/data/imax", "--out", f"{out}",
                "--resamples", "100",
            ],
            ("studied/runs/imax", "studied/runs/dmax", "data/imax"),
        ),
        Command(
            "dynamics",
            lambda arena, out: [
                "dynamics", f"{arena}/run", "--data", f"{arena}/data/imax", "--out", f"{out}",
                "--split", "train", "--probe", "14", "--no-groups",
            ],
            ("run", "data/imax", "data/image-cache"),
        ),
        Command(
            "recorded",
            lambda arena, out: ["dynamics", f"{arena}/probed", "--out", f"{out}"],
            ("probed",),
        ),
        Command(
            "share",
            lambda arena, out: ["share", f"{arena}/data/imax", "--out", f"{out}"],
            ("data/imax",),
        ),
        Command(
            "report",
            lambda arena, out: _report(arena / "studied", out, "--images", "2"),
            ("studied",),
        ),
        Command(
            "report-ablation",
            lambda arena, out: _report(arena / "ablated", out),
            ("ablated",),
        ),
        Command(
            "report-strategy",
            lambda arena, out: _report(arena / "strategied", out),
            ("strategied",),
        ),
    )
}  # fmt: skip
"""The commands, by name."""

LIGHT: Final = ("phantom", "build", "match", "derive", "rebuild", "cache", "export", "share")
"""Commands that need no model."""


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))  # JSON is YAML


def _do(arguments: Sequence[str], arena: Path) -> None:
    done = zygote.run(arguments, arena / "logs")
    if done.code:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.code}:\n{done.error}")


def make(arena: Path, *, other: bool = False, light: bool = False) -> Path:
    """Make the inputs of all commands in a folder, unless an earlier call has made them.

    Args:
        arena: The folder.
        other: Whether to make the inputs of another seed, whose files are put in the place of the
            first ones.
        light: Whether to make only what commands without a model read.
    """
    if (arena / "made").exists():
        return arena
    shutil.rmtree(arena, ignore_errors=True)
    arena.mkdir(parents=True)
    seed = int(other)
    study = {**STUDY, "seed": seed, "phantom": {"images": 90, "seed": 1 + seed}}
    _write(arena / "study.yaml", study)
    _write(arena / "build.yaml", study)
    recipe = {
        "method": "full", "layout": "packed", "learning_rate": 4e-3, "entries_per_step": 12,
        "epochs": None, "steps": 6, "log_every": 1, "save_every": 2, "boxes": "percent",
        "model": "base", "seed": seed, "workers": 0,
    }  # fmt: skip
    _write(arena / "recipe.yaml", recipe)
    strategy = {
        "data": f"{arena}/data/dmax", "truth": f"{arena}/data/catalog", "phantom": SHAPE,
        "training": {
            "method": "full", "learning_rate": 4e-3, "entries_per_step": 12, "log_every": 2,
            "save_every": 2, "steps": 4,
        },
        "annotate": _ASKED, "filter": {"confidence": False, "consistency": True},
        "stages": [
            {"name": "dmax", "on": "dmax", "start": "base", "steps": 4},
            {"name": "pseudo", "on": "pseudo", "steps": 2},
        ],
        "max_new_tokens": 4, "resamples": 100,
    }  # fmt: skip
    _write(arena / "strategy.yaml", strategy)
    _write(arena / "ablation.yaml", {**ABLATION, "phantom": study["phantom"]})
    whole = arena / "studied"
    _do(["build" if light else "study", f"{arena}/study.yaml", "--out", f"{whole}"], arena)
    (arena / "data").mkdir()
    for name in ("releases", "catalog", "imax", "dmax"):
        shutil.copytree(whole / name, arena / "data" / name)
    if not light:
        shutil.copytree(whole / "init", arena / "base")
    for role in ("catalog", "imax", "dmax"):
        roots = arena / "data" / role / "roots.json"
        moved = roots.read_text().replace(f"{whole}/releases", f"{arena}/data/releases")
        roots.write_text(moved)
    _do(["cache", f"{arena}/data/catalog", "--workers", "1", "--max-side", "64",
         "--shard-images", "24"], arena)  # fmt: skip
    models = (
        ("train", "run"), ("probe", "probed"), ("evaluate", "predictions"), ("annotate", "pseudo"),
        ("ablation", "ablated"), ("strategy", "strategied"),
    )  # fmt: skip
    for name, out in () if light else models:
        _do(COMMANDS[name].arguments(arena, arena / out), arena)
    (arena / "made").touch()
    return arena
