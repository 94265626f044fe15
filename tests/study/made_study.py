"""Makes the folder of a finished study without training: data of a phantom, and answers by rule.

What a study leaves of its runs is written as training and answering write it; everything after
that, scores and comparison, is made by the code of a study.
"""

import hashlib
import json
import shutil

import polars as pl
import yaml

from imaxray._common.files import write_text
from imaxray.boxes import PERCENT, split_boxes
from imaxray.curation import open_dataset
from imaxray.evaluation.generation.prediction_store import PREDICTIONS, PredictionStore
from imaxray.schema import TASKS, image_sizes
from imaxray.study import StudyConfig, build_study_data
from imaxray.study.execute import CONFIG
from imaxray.study.places import answer_folder, claim_study, run_folder
from imaxray.study.results.outcome import compare_study

SCRIPT = '<script>document.title = "taken over"</script><img src=x onerror=alert(1)>'
"""An answer that no task can read; a page must show it as text."""

TITLE = 'A <b>made</b> study & "its" report'

MADE = {
    "title": TITLE,
    "phantom": {"images": 150, "seed": 2},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 16},
    "training": {"entries_per_step": 12, "steps": 4, "log_every": 2, "save_every": 2},
    "evaluation": {"resamples": 100, "examples": 3},
}  # fmt: skip

FACTORS = {
    "dmax": {"data": "dmax"},
    "imax": {"data": "imax"},
    "imax (equal compute)": {"data": "imax", "budget": "compute"},
    "dmax, separate": {"data": "dmax", "layout": "separate"},
    "untrained": {"budget": "none"},
}  # fmt: skip

_RIGHT = {"dmax": 0.45, "imax": 0.95, "untrained": 0.05}
"""Share of right answers by the first word of an arm's name."""


def made_study(out, data=None, **changes):
    """Write the folder of a study and return its configuration.

    Args:
        out: Folder to write.
        data: Folder of another made study, whose datasets are copied instead of built.
        changes: Keys of the configuration that differ from MADE.
    """
    config = StudyConfig.model_validate({**MADE, **changes})
    if data is None:
        build_study_data(config, out)
    else:
        for part in ("releases", "catalog", "imax", "dmax", "match.json"):
            out.mkdir(exist_ok=True)
            (out / part).symlink_to(data / part)
    tables = open_dataset(out / "imax").tables
    test, sizes = tables.split("test"), image_sizes(tables.images)
    for model in config.all_models:
        for arm, block in config.arms.items():
            for seed in config.training_seeds:
                run = run_folder(config, out, model, arm, seed)
                if block.is_trained:
                    _write_run(run, arm, block, seed)
                _write_answers(run, test, sizes, arm, f"{model} {arm} {seed}")
    claim_study(out)
    write_text(out / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    compare_study(config, out)
    return config


def _write_run(run, arm, block, seed):
    run.mkdir(parents=True)
    separate = block.layout == "separate"
    seconds = 8.0 if separate else 4.0
    recipe = {
        "method": "full", "optimizer": "adamw", "learning_rate": 1e-3, "entries_per_step": 12,
        "steps": 4,
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps({
        "identity": {
            "imaxray": "0", "model": "phantom", "layout": block.layout, "seed": seed,
            "config": recipe, "weights": "w" * 64, "schedule": "s" * 64, "dataset": "d" * 64,
            "image_cache": None,
        },
        "entries_seen": 48, "tokens_seen": 48 * (60 if separate else 25), "seconds": seconds,
        "cpu_seconds": seconds, "entries_per_second": 48 / seconds,
        "tokens_per_second": 300.0, "parameters": 1000, "parameters_in_all": 2000, "drawn": {},
        "processes": 1, "sharded": False, "device": "x86_64",
        "versions": {"python": "3", "torch": "2", "transformers": "5"}, "entries": 40,
        "recipe": recipe,
    }))  # fmt: skip
    better = 0.1 if arm.startswith("imax") else 0.0
    points = [
        {
            "step": step, "entries_seen": 12 * step, "tokens_seen": 300 * step,
            "seconds": seconds * step / 4, "loss": 3 / step - better,
            "losses": {task: (2 + n) / step for n, task in enumerate(TASKS)},
        }
        for step in (2, 4)
    ]  # fmt: skip
    (run / "curve.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    evaluations = [
        {"step": step, "entries": 8, "loss": 2 / step - better, "losses": {}} for step in (2, 4)
    ]
    (run / "evaluations.jsonl").write_text(
        "".join(json.dumps(point) + "\n" for point in evaluations)
    )


def _write_answers(run, test, sizes, arm, salt):
    identity = {
        "model": {"name": arm}, "boxes": PERCENT.as_dict(), "dataset": "d" * 64, "split": "test",
    }  # fmt: skip
    store = PredictionStore(answer_folder(run), identity)
    share = _RIGHT[arm.replace(",", " ").split()[0]]
    rows = []
    for task in test["task"].unique(maintain_order=True):
        entries = test.filter(task=task)
        texts = [_target(entry, sizes) for entry in entries.iter_rows(named=True)]
        for number, entry_id in enumerate(entries["entry_id"]):
            drawn = int(hashlib.sha256(f"{salt} {entry_id}".encode()).hexdigest()[:8], 16) / 2**32
            text = texts[number] if drawn < share else texts[(number + 1) % len(texts)]
            if drawn > 0.97 or (task == "grading" and number == 0):
                text = SCRIPT
            rows.append((entry_id, text, text, 3, True))
    store.add("all", pl.DataFrame(rows, schema=PREDICTIONS, orient="row"))
    store.finish(set(test["entry_id"]))


def _target(entry, sizes):
    boxes = split_boxes(entry["prompt"], entry["target"], entry["boxes"] or [])
    return PERCENT.fill(entry["target"], boxes[1] if boxes else [], *sizes[entry["image_id"]])


def add_pseudo(out, folder):
    """Write a dataset folder with the reports of a filter and of rules, as pseudo IMAX has them."""
    shutil.copytree(out / "dmax", folder, symlinks=False)
    yields = [
        {
            "task": task, "filter": name, "candidates": 40, "kept": kept, "share": kept / 40,
            "judged": 10, "right": 8, "precision": 0.8, "low": 0.5, "high": 0.95,
        }
        for task in ("rec", "all")
        for name, kept in (("none", 40), ("both", 25))
    ]  # fmt: skip
    rule = {"rule": "ctr-cardiomegaly", "task": "findings", "entries": 7, "judged": 5, "right": 4,
            "precision": 0.8}  # fmt: skip
    (folder / "derive.json").write_text(json.dumps({
        "counts": {"real": {"findings": 20}, "derived": {"findings": 7}}, "rules": [],
        "yields": [rule],
    }))  # fmt: skip
    threshold = {
        "threshold": 0.6, "judged": 30, "right": 24, "passing": 20, "precision": 0.9, "low": 0.7,
        "best": 0.7, "best_precision": 0.9, "best_passing": 20, "design_effect": 1.0,
        "slope": 2.0, "intercept": 1.5, "says": "kept above 0.6",
    }  # fmt: skip
    (folder / "filter.json").write_text(json.dumps({
        "thresholds": {"precision": 0.8, "risk": 0.1, "tasks": {"rec": threshold},
                       "samples": False},
        "kept": 25, "dropped": {"below-threshold": 15}, "masked": 0, "yields": yields,
        "rules": [], "origins": [], "equal_yield": [],
    }))  # fmt: skip
