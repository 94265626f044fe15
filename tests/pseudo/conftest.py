"""Makes a small phantom DMAX and answers to its missing tasks with a known error rate."""

import numpy as np
import polars as pl
import pytest

from imaxray.boxes import to_xywh
from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.curation.selecting.imax import subset
from imaxray.pseudo import PSEUDO
from imaxray.schema import conform
from imaxray.tasks import from_json, get_task, to_json


@pytest.fixture(scope="session")
def catalog(phantom_releases):
    return build_catalog(phantom_releases, verify=False)


@pytest.fixture(scope="session")
def dmax_tables(catalog):
    """Each train image keeps the entries of one of its tasks; val and test are whole."""
    train = catalog.split("train")
    tasks = train.group_by("image_id").agg(pl.col("task").unique().sort()).sort("image_id")
    kept = {image: names[k % len(names)] for k, (image, names) in enumerate(tasks.iter_rows())}
    own = train.filter(
        pl.col("task") == pl.col("image_id").replace_strict(kept, return_dtype=pl.String)
    )
    rest = catalog.entries.filter(pl.col("split") != "train")
    return subset(catalog, pl.concat([own, rest]))


@pytest.fixture(scope="session")
def dmax(dmax_tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pseudo") / "dmax"
    write_dataset(dmax_tables, folder, config={}, seed=0, role="dmax")
    return open_dataset(folder)


@pytest.fixture(scope="session")
def lacking(catalog, dmax_tables):
    """Entries of the catalog that DMAX's train images lack."""
    images = dmax_tables.split("train")["image_id"].unique().implode()
    return catalog.split("train").filter(
        pl.col("image_id").is_in(images)
        & ~pl.col("entry_id").is_in(dmax_tables.entries["entry_id"].implode())
    )


@pytest.fixture(scope="session")
def fabricate():
    return fabricated


def fabricated(entries, right, *, seed=0, logprobs=None):
    """Candidates that answer ``entries``: right with the given probability, else plainly wrong.

    Args:
        entries: schema ENTRIES.
        right: probability, or a boolean for each entry.
        seed: of chance.
        logprobs: one for each entry; default: they say nothing.
    """
    random = np.random.default_rng(seed)
    marks = random.random(entries.height) < right if np.isscalar(right) else right
    logs = -random.random(entries.height) if logprobs is None else logprobs
    rows = []
    for entry, mark, log in zip(entries.iter_rows(named=True), marks, logs, strict=True):
        gold = from_json(entry["answer"])
        task = get_task(entry["task"])
        told = task.as_gold(task.given(gold) if mark else wrong(task.name, gold), entry["template"])
        prompt_boxes = (entry["boxes"] or [])[: entry["prompt"].count("<box>")]
        rows.append(
            {
                **{k: entry[k] for k in ("image_id", "patient_id", "task", "prompt", "template")},
                "pseudo_id": entry["entry_id"], "target": told.target,
                "boxes": prompt_boxes + told.boxes, "answer": to_json(told.answer),
                "prompt_from": "template",
                "text": "", "raw": "", "tokens": 5, "ended": True, "logprob": float(log),
                "model": "made-up", "checkpoint": "0" * 64, "decoding": "{}", "round": 1,
            }
        )  # fmt: skip
    schema = {**PSEUDO, "prompt_from": pl.String}
    return conform(pl.DataFrame(rows, schema=schema), PSEUDO).sort("pseudo_id")


def wrong(task, gold):
    if task == "calculation":
        return gold - 0.2 if gold > 0.5 else gold + 0.2
    if task == "grading":
        return (gold + 2) % 4
    if task == "findings":
        positive = [label for label, value in gold.items() if value == 1]
        denied = [label for label, value in gold.items() if value == 0 and label != "No Finding"]
        return {label: 1 for label in positive if label != "No Finding"} | {denied[0]: 1}
    if task == "report":
        return {"findings": "Displaced rib fracture. Large pneumothorax. Pacemaker in place."}
    if task == "rec":
        x, y, w, h = to_xywh(gold[0])
        return [[x - w, y, x, y + h] if x >= w else [0.0, 0.0, w / 4, h / 4]]
    if task == "reg":
        return "something else altogether"
    if gold["answers"] in (["yes"], ["no"]):
        return "no" if gold["answers"] == ["yes"] else "yes"
    return "wholly another thing"


@pytest.fixture(scope="session")
def candidate():
    """One candidate about image ``i`` of patient ``p``."""

    def make(task, answer, *, template=None, prompt=None, boxes=(), number=0, **more):
        known = get_task(task)
        subtask = next(iter(known.templates))
        form = template or f"{task}.{subtask}.0"
        told = known.as_gold(answer, form)
        said = answer if task == "findings" else told.answer  # denied labels are wanted as given
        row = {
            "pseudo_id": f"{task}-{number}", "image_id": "i", "patient_id": "p", "task": task,
            "prompt": prompt or known.templates[subtask][0], "boxes": [list(b) for b in boxes],
            "template": form, "answer": to_json(said),
            "target": told.target if told else "No Finding", "prompt_from": "template",
            "ended": True, "logprob": -0.1, "model": "m", "round": 1, **more,
        }  # fmt: skip
        return row

    return make


@pytest.fixture(scope="session")
def table():
    """Rows of ``candidate`` as a table."""

    def make(*rows):
        schema = {**PSEUDO, "prompt_from": pl.String}
        return conform(
            pl.DataFrame(list(rows), schema=schema, infer_schema_length=None), PSEUDO
        ).sort("pseudo_id")

    return make
