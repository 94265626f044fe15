"""Says what each command prints with `--format json`; a test holds every command against it.

The value is one object, whose keys are named here, or a list of such objects. Keys are added in
later versions; none changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Output:
    """What a command prints as JSON.

    Attributes:
        keys: Key → what it holds.
        rows: Whether the value is a list of objects with these keys, not one object.
        flag: Option that asks for JSON.
        like: What the keys name if they are no fixed names, e.g. units; the only key is then one
            for all.
        optional: Keys that are absent where they would say nothing.
    """

    keys: dict[str, str]
    rows: bool = False
    flag: str = "--format json"
    like: str = ""
    optional: frozenset[str] = frozenset()


_COMPARED: Final = {
    "reference": "arm that gains are relative to", "arms": "names of all arms",
    "seeds": "arm → number of its runs", "level": "confidence level",
    "resamples": "number of bootstrap samples", "permutations": "number of permutations",
    "patients": "number of tested patients",
    "tasks": "per task: metric, values, differences, gains, p-values, other metrics",
    "mean_gain": "arm → mean relative gain with interval",
}  # fmt: skip

_SCORED: Final = {
    "format": "version of these keys",
    "decided_by": "versions and options that decide the numbers",
    "counts": "numbers of entries, predictions, missing and empty answers",
    "join": "how predictions found their entries",
    "not_computed": "metric → why it was not computed",
    "failed": "task → metric → why it failed", "patients": "number of tested patients",
    "tasks": "per task: metrics with intervals, and baselines",
    "truth": "highest scores that the truth of a phantom allows; null without one",
    "groups": "property → value → metrics of this subgroup",
}  # fmt: skip

OUTPUTS: Final[dict[str, Output]] = {
    "annotate": Output({
        "folder": "folder of the candidates", "candidates": "number of candidates",
        "calibration": "number of answered validation entries",
        "tasks": "per task: prompts, readable answers, mean log-probability, agreement",
        "account": "images, images left out, tasks without a prompt",
        "answered_by": "task → teacher that answered it",
    }),
    "audit": Output({
        "data": "what was checked", "images": "number of images", "entries": "number of entries",
        "checks": "per check: code, what it finds, number of findings, limit",
        "findings": "per finding: code, where, and what was found",
        "clinical_of_manifest": "changes of clinical rules that the dataset states; absent if none",
    }, optional=frozenset({"clinical_of_manifest"})),
    "build": Output({
        "imax": "density of IMAX", "dmax": "density of DMAX", "volume": "task → entries",
        "distance": "task → distance of the answers", "limit": "what limits the spread",
        "shared_images": "images in both", "pool_images": "images that DMAX may use",
        "selection": "how IMAX was selected", "density": "dataset → split → density",
        "marks": "what a user's marks left out; absent without --exclude",
    }, optional=frozenset({"marks"})),
    "cache": Output({
        "folder": "folder of the cache", "images": "number of images",
        "rejects": "code → number of images that cannot be read", "shards": "number of files",
        "kept_shards": "files that an earlier run wrote", "bytes": "size",
        "seconds": "time of this run",
    }),
    "compare": Output({**_COMPARED, "groups": "property → value → the same keys"}),
    "configs list": Output({
        "name": "name of the configuration", "summary": "what it is for",
        "command": "command that uses it",
    }, rows=True),
    "derive": Output({
        "counts": "real, derived, contradicted and disputed entries",
        "yields": "per rule and task: entries and precision",
        "rules": "per rule: how it was judged",
    }),
    "doctor": Output({
        "name": "what was examined", "state": "ok, absent or broken", "said": "what was found",
        "needed": "whether it was asked for",
    }, rows=True),
    "dynamics": Output({
        "spectra": "arm → rows of spectra.parquet", "contrast": "rows of contrast.csv",
        "crossed": "rows of crossed.csv", "tasks": "rows of tasks.csv",
        "pairs": "rows of task_pairs.csv", "scores": "rows of scores.csv",
        "correlations": "rows of correlations.csv", "remarks": "sentences",
    }),
    "evaluate": Output(_SCORED),
    "export": Output({
        "folder": "folder of the export", "counts": "split → rows, entries, images",
        "left_out": "reason → number of entries", "files": "file → sha256",
        "decoded": "reason → number of images written anew", "tokens": "lengths of rows",
    }, flag="--print json"),
    "filter": Output({
        "thresholds": "calibration of each task", "kept": "number of kept candidates",
        "dropped": "code → number", "masked": "number of answers with removed labels",
        "yields": "per task and filter: candidates, kept, precision",
        "rules": "effect of each rule",
        "origins": "per origin of the question: yields",
        "equal_yield": "filters against confidence alone",
    }),
    "formats": Output({
        "formats": "format → tool", "boxes": "per format and box convention: whether it is right",
    }),
    "labeller": Output({
        "labeller": "version", "reports": "number of reports",
        "labels": "label → counts, precision, recall and F1", "micro": "the same over all labels",
        "unmeasured": "label → why a rate cannot be measured",
        "uncertain": "number of uncertain labels, and how many are read as such",
    }),
    "match": Output({
        "density": "split → density of DMAX", "match": "the keys of `build` that are about DMAX",
    }),
    "models": Output({
        "name": "name of the model", "title": "its title", "repository": "its repository",
        "revision": "pinned commit; null: newest", "family": "its family",
        "convention": "how it writes boxes", "licence": "its licence",
        "access": "how it can be had",
        "saw_mimic": "whether it was trained on MIMIC-CXR; null: not stated", "note": "a remark",
    }, rows=True),
    "rebuild": Output({"folder": "folder of the dataset", "files": "file → sha256"}),
    "score": Output(_SCORED),
    "share": Output({
        "folder": "folder that was written", "counts": "table → rows",
        "numbered": "releases whose ids were replaced by numbers",
        "left_out": "what was left out", "files": "file → sha256",
    }),
    "sources check": Output({
        "source": "name of the source", "title": "title of the release", "path": "its folder",
        "files": "per file: rows, rejected rows, sha256", "rejects": "code → number of rejects",
        "images": "number of images", "annotations": "number of annotations",
        "remarks": "sentences on what a build will use",
    }),
    "sources list": Output({
        "name": "name of the source", "title": "title of the release", "version": "its version",
        "tasks": "tasks that it has entries for", "access": "how it can be had",
        "licence": "its licence", "citation": "how it is cited", "url": "where it is",
    }, rows=True),
    "sources new": Output({
        "path": "the source.yaml", "study": "a first study",
        "understood": "per column: what it is taken for", "spellings": "spelling → finding",
        "unused": "what is not used, and why", "questions": "what only you can know",
    }),
    "stats": Output({
        "density": "split → density", "account": "per file: rows, kept and rejected",
    }),
    "strategy": Output({
        "config": "configuration", "dataset": "sha256 of the dataset", "final": "final run",
        "validation": "gains on validation entries that chose the final run; null if none did",
        "done": "records of the work",
    }),
    "study": Output({
        "models": "model → comparisons at equal entries and at equal compute, effects of layouts",
        "table": "gains over models; null with one model", "summary": "sentences",
        "report": "file of the report",
    }),
    "study (of an ablation)": Output({
        "config": "configuration", "arms": "arm → per seed: steps, entries, seconds, work",
        "equal_steps": "comparison of all arms with dmax, the keys of `compare`",
        "equal_compute": "the same with dmax (equal compute); null without this arm",
        "pseudo": "per seed, task and filter: candidates, kept, precision",
        "equal_yield": "filters against as many of the most confident answers",
        "rules": "per seed and clinical rule: what it said, and how much of it is right",
    }),
    "study --dry-run": Output({
        "title": "title of the study", "units": "per training: entries, tokens, parameters, bytes",
        "tokens": "tokens of all trainings", "hours": "hours of all; null if a speed is not known",
        "notes": "sentences",
    }),
    "study --list": Output({"UNIT": "done, running, ready or waiting"}, like="units of the study"),
    "verify": Output({
        "manifest": "manifest that the files were compared with",
        "changed": "files that are missing or were changed",
    }),
}  # fmt: skip
"""Command → what it prints as JSON."""
