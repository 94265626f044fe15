"""Tests tasks of other packages: runs the code of docs/adding-a-task.md."""

import json

import polars as pl
import pytest

from imaxray import (
    AnnotateConfig,
    annotate,
    build_catalog,
    compare,
    density,
    evaluate_model,
    match_dmax,
    open_dataset,
    select_imax,
    train_dataset,
    write_dataset,
)
from imaxray.audit import audit_dataset
from imaxray.boxes import PERCENT
from imaxray.curation import ImaxConfig
from imaxray.errors import ImaxrayError
from imaxray.evaluation import score
from imaxray.models import PhantomConfig, load_model, phantom
from imaxray.schema import TASKS, task_names
from imaxray.tasks import all_tasks, get_task
from imaxray.training import load_recipe
from plugins import Page, run

PAGE = Page("a-task")
MODULE, TEST = PAGE.code


@pytest.fixture(scope="module")
def seven(phantom_releases):
    """The catalog where no further task is installed."""
    return build_catalog(phantom_releases, verify=False)


def test_a_task_of_another_package_goes_all_the_way(plug, seven, phantom_releases, tmp_path):
    with pytest.raises(ImaxrayError, match="effusion"):
        get_task("effusion")
    plug(PAGE)
    assert task_names() == (*TASKS, "effusion")
    assert [task.name for task in all_tasks()] == [*TASKS, "effusion"]

    # build: entries of the eighth task beside those of the seven, which stay what they are
    catalog = build_catalog(phantom_releases, verify=False)
    others = catalog.entries.filter(pl.col("task") != "effusion")
    assert others.equals(seven.entries) and catalog.entries.height > others.height

    # match: both arms hold as many entries of each of its answers
    config = ImaxConfig(min_tasks=7, max_entries_per_task={"effusion": 1}, target_entries=80)
    imax, _ = select_imax(catalog, config)
    dmax, report = match_dmax(catalog, imax)
    mine = [arm.split("train").filter(pl.col("task") == "effusion") for arm in (imax, dmax)]
    counts = [entries["target"].value_counts(sort=True) for entries in mine]
    assert counts[0].equals(counts[1]) and counts[0].height == 2
    assert density(imax).entries_per_task["effusion"] > 0 and report is not None

    # a small dataset: few images are asked
    entries = imax.entries.filter(pl.col("split") == "train")
    asked = catalog.split("test").filter(pl.col("task").is_in(["effusion", "grading"]))
    kept = pl.concat([entries, asked.sort("image_id", "task").head(12)])
    write_dataset(
        imax.__class__(**{**vars(catalog), "entries": kept}), tmp_path / "data", config={}, seed=0
    )
    data = open_dataset(tmp_path / "data")
    codes = {issue.code for issue in audit_dataset(data.folder).issues}
    assert "prompt-target" not in codes

    # train: the loss of the task is told; evaluate: its metric is computed; compare: gains
    tiny = PhantomConfig(image_size=32, patch_size=8, width=32, vocabulary=400, vision_layers=1)
    phantom.build(tiny, [*entries["prompt"], *entries["target"]], seed=0).save(tmp_path / "model")
    recipe = load_recipe(
        None, model=str(tmp_path / "model"), method="full", steps=3, entries_per_step=16,
        learning_rate=0.01, log_every=1,
    )  # fmt: skip
    run_folder = train_dataset(data, tmp_path / "run", recipe, progress=False)
    assert any("effusion" in point["losses"] for point in run_folder.curve)
    scored = evaluate_model(run_folder.folder, data, tmp_path / "scored")
    told = {task["task"]: task for task in scored.result.data["tasks"]}
    assert list(told) == ["grading", "effusion"]
    assert told["effusion"]["primary"] == "accuracy"
    first = evaluate_model(tmp_path / "model", data, tmp_path / "before")
    arms = {"before": first.result.scores, "after": scored.result.scores}
    rows = compare(arms, reference="before", resamples=50).as_dict()["tasks"]
    assert [row["task"] for row in rows] == ["grading", "effusion"]
    assert load_model(tmp_path / "model").name == "phantom"

    # annotate: images that lack the task are asked it, by default too
    assert AnnotateConfig().tasks == (*TASKS, "effusion")
    few = AnnotateConfig(tasks=("effusion", "grading"), limit=6, max_new_tokens=8)
    done = annotate(run_folder.folder, data, tmp_path / "pseudo", few)
    assert done.manifest["identity"]["config"]["tasks"] == ["grading", "effusion"]
    assert set(done.candidates["task"]) >= {"effusion"}
    assert done.summary()["task"].to_list()[-1] == "effusion"
    assert (
        done.manifest["account"]["lacking"]["effusion"]
        == done.manifest["account"]["rows"]["effusion"]
    )


def test_the_command_line_builds_with_it(phantom_root, phantom_releases, tmp_path):
    site = PAGE.install(tmp_path / "site")
    config = {
        "title": "eight tasks", "releases": {name: name for name in phantom_releases},
        "workers": 1, "verify": "none", "imax": {"min_tasks": 8, "target_entries": 30},
    }  # fmt: skip
    (tmp_path / "eight.json").write_text(json.dumps(config))
    words = ["build", "--config", tmp_path / "eight.json", "--root", phantom_root]
    built = run(site, *words, "--out", tmp_path / "built")
    assert built.returncode == 0, built.stderr
    imax = next(p for p in (tmp_path / "built").rglob("manifest.json") if p.parent.name == "imax")
    train = pl.read_parquet(imax.parent / "entries" / "train.parquet")
    assert set(train["task"]) == {*TASKS, "effusion"}
    # without the package eight tasks are too many, and the folder's eighth task is not known
    few = run(tmp_path / "none", *words, "--out", tmp_path / "seven")
    assert few.returncode == 2 and "at most 7" in few.stderr
    unknown = run(tmp_path / "none", "audit", imax.parent)
    assert unknown.returncode == 2 and "but got effusion" in unknown.stderr.replace("\n", " ")


def test_the_test_of_the_page_passes(tmp_path):
    site = PAGE.install(tmp_path / "site")
    (tmp_path / "test_effusion.py").write_text(TEST)
    done = run(site, "-q", "-p", "no:cacheprovider", "test_effusion.py", module="pytest",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("import polars", "import no_such_package"), "ModuleNotFoundError"),
        (("(Task)", "(dict)"), r"no subclass of imaxray\.tasks\.Task"),
        (("def as_gold", "def as_golden"), "does not declare as_gold"),
        (("    metrics =", "    numbers ="), "does not declare metrics"),
        (('name = "effusion"', 'name = "other"'), "its name is other"),
        (('"presence": (', '"pre.sence": ('), r"its subtask pre\.sence"),
        (('mean_metric("accuracy", lambda gold, answer: float(answer is gold)),', "max,"),
         "its metrics are not"),
        (("    metrics = (", "    metrics = 3\n    others = ("), "its metrics are not"),
        (("    templates = {", '    templates = ["x"]\n    others = {'), "are of type list"),
        (("    templates = {", '    templates = {"presence": "How?"}\n    others = {'),
         "of the subtask presence are no list of prompts"),
        (("    metrics = (", "    optional = 3\n    metrics = ("), "its optional metrics"),
        (("    def drafts", "    def __init__(self):\n        open('/none')\n\n    def drafts"),
         r"its __init__ failed \(FileNotFoundError"),
        (("import polars", "import sys\nsys.exit(3)\nimport polars"), r"SystemExit: 3"),
    ],
)  # fmt: skip
def test_an_unfit_task_is_one_sentence(change, message, plug):
    assert MODULE.count(change[0]) >= 1
    plug(PAGE, code=MODULE.replace(*change, 1))
    with pytest.raises(ImaxrayError, match=f"effusion.*imaxray-effusion.*{message}"):
        all_tasks()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {}['gone']", r"its drafts failed \(KeyError: 'gone'\)"),
        ("return None", "its drafts are of type NoneType"),
        ("return annotations", r"schema imaxray\.tasks\.DRAFTS \(subtask missing"),
    ],
)
def test_drafts_that_cannot_be_used_are_one_sentence(body, message, plug, seven):
    line = "    def drafts(self, annotations):\n"
    plug(PAGE, code=MODULE.replace(line, f"{line}        {body}\n", 1))
    with pytest.raises(ImaxrayError, match=f"effusion.*imaxray-effusion.*{message}"):
        get_task("effusion").entries(seven.annotations, seven.images)


def test_a_dataset_of_a_task_that_is_not_installed_is_one_sentence(seven, tmp_path):
    entries = seven.entries.with_columns(
        pl.when(pl.col("task") == "grading").then(pl.lit("gone")).otherwise("task").alias("task")
    )
    tables = seven.__class__(**{**vars(seven), "entries": entries})
    write_dataset(tables, tmp_path / "data", config={}, seed=0)
    data = open_dataset(tmp_path / "data")
    nothing = tmp_path / "no-model"  # the tasks are checked before the model is opened
    recipe = load_recipe(None, model=str(nothing), method="full", steps=1)
    asked = seven.split("test").select("entry_id", pl.lit("1").alias("text"))
    for use in (
        lambda: train_dataset(data, tmp_path / "run", recipe, progress=False),
        lambda: evaluate_model(nothing, data, tmp_path / "scored"),
        lambda: annotate(nothing, data, tmp_path / "pseudo"),
        lambda: audit_dataset(data.folder),
        lambda: score(data.tables.split("test"), asked, data.tables.images, PERCENT),
    ):
        with pytest.raises(
            ImaxrayError, match=r"installed tasks calculation.*got gone in.*install"
        ):
            use()


def test_its_statements_are_compared_with_labels(plug, phantom_releases, tmp_path):
    line = "    def parse("
    method = (
        "    def statements(self, question, gold, *, size, usual):\n"
        "        yield Statement('asked', 'Pleural Effusion', int(gold))\n\n"
    )
    code = MODULE.replace(line, method + line).replace("Task, json", "Statement, Task, json")
    plug(PAGE, code=code)
    catalog = build_catalog(phantom_releases, verify=False)
    of_label = (pl.col("kind") == "label") & (pl.col("name") == "Pleural Effusion")
    turned = pl.when(of_label).then(1 - pl.col("value").abs()).otherwise("value")
    facts = catalog.annotations.with_columns(turned.alias("value"))
    tables = catalog.__class__(**{**vars(catalog), "annotations": facts})
    write_dataset(tables, tmp_path / "data", config={}, seed=0)
    issues = audit_dataset(tmp_path / "data").issues
    mine = [issue for issue in issues if issue.id.startswith("effusion-")]
    assert mine and {issue.code for issue in mine} == {"vqa-labels"}
    assert "Pleural Effusion is" in mine[0].message


def test_a_name_of_ours_stays_ours(plug, capsys):
    plug(PAGE, points={"vqa": "effusion_task:Effusion"})
    assert type(get_task("vqa")).__module__ == "imaxray.tasks.vqa"
    assert task_names() == TASKS
    assert capsys.readouterr().err.count("The built-in task vqa is used") == 1
