"""Tests a small ablation: the work that arms share, the steps of each arm, and the tables."""

import csv
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from imaxray._common.state import known_state, write_state
from imaxray._common.verifying import verify_folder
from imaxray.ablation import (
    AblationConfig,
    ablation_tables,
    load_study,
    read_ablation,
    run_ablation,
    write_ablation,
    write_ablation_report,
)
from imaxray.ablation.arms import ARMS, CHOSEN, EQUAL_COMPUTE, REFERENCE, WHOLE
from imaxray.derive import DeriveConfig
from imaxray.errors import ImaxrayError
from imaxray.study import StudyConfig
from imaxray.training import AugmentConfig

SPECIALIST = 3  # steps
TINY = {
    "title": "Tiny ablation",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 6},
    "model": {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    },
    "training": {
        "entries_per_step": 12, "log_every": 2, "save_every": 100, "optimizer": "muon",
        "learning_rate": 4e-3, "muon_learning_rate": 8e-3, "augment": "default",
    },
    "evaluation": {"max_new_tokens": 8, "resamples": 100},
    "strategy": {
        "derive": {},
        "stages": [
            {"name": "derived", "on": "derived", "start": "base", "steps": 60},
            {"name": "pseudo-imax", "on": "pseudo", "steps": 4},
            {"name": "finish", "on": "dmax", "steps": 2},
        ],
        "annotate": {"max_new_tokens": 24, "limit": 12, "rec_per_image": 1, "reg_per_image": 1},
        "filter": {"precision": 0.5, "risk": None},
    },
    "ablation": {
        "seeds": [5], "lanes": 1, "specialists": {"calculation": SPECIALIST, "rec": SPECIALIST},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation") / "out"
    config = AblationConfig.model_validate(TINY)
    outcome = run_ablation(config, out)
    return config, out, outcome, write_ablation(outcome)


def test_all_arms_but_one_take_the_same_steps(finished):
    config, out, outcome, _ = finished
    assert tuple(outcome.arms) == tuple(ARMS)
    for arm, runs in outcome.arms.items():
        assert [run["seed"] for run in runs] == [5]
        if arm != EQUAL_COMPUTE:
            apart = 2 * SPECIALIST if arm == "+ specialists" else 0
            assert {run["steps"] for run in runs} == {config.steps + apart} == {66 + apart}
            assert {run["entries_seen"] for run in runs} == {(66 + apart) * 12}
    [run], [whole], [plain] = (outcome.arms[a] for a in (EQUAL_COMPUTE, WHOLE, REFERENCE))
    cost = whole["operations"] * (1 + whole["pseudo_seconds"] / whole["train_seconds"])
    assert run["steps"] == round(cost / (plain["operations"] / plain["steps"]))
    decided = json.loads((out / "seed-5" / "equal-compute.json").read_text())
    assert decided["steps"] == run["steps"] and decided["by"] == "operations"


def test_all_arms_but_two_are_augmented_alike_and_all_are_packed(finished):
    _, out, _, _ = finished
    runs = [json.loads(path.read_text()) for path in out.glob("seed-*/stages/*/run.json")]
    told = {json.dumps(run["identity"]["config"]["augment"]) for run in runs}
    assert told == {json.dumps(AugmentConfig().model_dump()), "null"}
    plain = [run for run in runs if run["identity"]["config"]["augment"] is None]
    assert len(plain) == 2  # dmax and derived, no augmentation
    assert {run["identity"]["layout"] for run in runs} == {"packed"}


def test_shared_work_is_done_once(finished):
    _, out, outcome, _ = finished
    works = {arm: runs[0]["work"] for arm, runs in outcome.arms.items()}

    def kinds(kind):
        return {arm: [w for w in work if kind in w] for arm, work in works.items()}

    derived = kinds("/derived-")
    assert {arm for arm, work in derived.items() if not work} == {
        "dmax", EQUAL_COMPUTE, "dmax, no augmentation", "three stages", "true answers", "imax",
    }  # fmt: skip
    every = {folder for work in derived.values() for folder in work}
    assert len({d for d in every if "/pseudo/" in d}) == 2  # one with the exact rules alone
    asked, filtered = kinds("candidates"), kinds("round-1-dataset")
    staged = [WHOLE, CHOSEN, "+ all answers", "+ model answers", "perfect filter"]
    # the second answers have distributions, the third a visual advantage, the last another teacher
    different = (WHOLE, "+ soft targets", "+ visual advantage", "+ averaged teacher")
    assert len({asked[arm][0] for arm in different}) == 4
    # one stage 1 and one annotation serve all arms that derive; another those of the paper,
    # and a third one the arm with specialists
    assert len({asked[arm][0] for arm in staged}) == 1
    assert asked["three stages"] and asked["three stages"] != asked[WHOLE]
    assert works[CHOSEN] == works[WHOLE] == works["+ model answers"]
    assert len({filtered[arm][0] for arm in staged}) == 3
    assert len([p for p in (out / "seed-5" / "pseudo").glob("*candidates*/") if p.is_dir()]) == 6


def test_soft_targets_are_the_only_difference_from_model_answers(finished):
    _, out, outcome, _ = finished
    [hard], [soft] = outcome.arms["+ model answers"], outcome.arms["+ soft targets"]
    columns = ["pseudo_id", "prompt", "boxes", "answer", "logprob"]

    def read(record, kind, name):
        [folder] = [work for work in record["work"] if kind in work]
        return pl.read_parquet(out / folder / name)

    answers = [read(run, "candidates", "candidates.parquet") for run in (hard, soft)]
    assert answers[0].select(columns).equals(answers[1].select(columns))
    assert answers[0]["top_ids"].is_null().all() and not answers[1]["top_ids"].is_null().any()
    entries = [read(run, "round-1-dataset", "entries/train.parquet") for run in (hard, soft)]
    assert entries[0].equals(entries[1])
    assert soft["pseudo_entries"] == hard["pseudo_entries"]
    # the same entries in the same order (tests/strategy has their weights)
    drawn = [read(run, "/2-pseudo-imax-", "schedule.parquet") for run in (hard, soft)]
    assert drawn[0].equals(drawn[1])
    told = [json.loads((out / next(w for w in run["work"] if "/2-pseudo-imax-" in w)
                        / "run.json").read_text()) for run in (hard, soft)]  # fmt: skip
    configs = [run["identity"]["config"] for run in told]
    assert [config.pop("target") for config in configs] == ["hard", "soft"]
    assert configs[0] == configs[1]


def test_the_validation_split_chooses_among_the_stages(finished):
    _, out, outcome, _ = finished
    [whole], [chosen] = outcome.arms[WHOLE], outcome.arms[CHOSEN]
    stages = [work for work in whole["work"] if "/stages/" in work]
    assert chosen["run"] in stages and chosen["pseudo_seconds"] > whole["pseudo_seconds"]
    assert all((out / stage / "predictions-val.parquet").is_file() for stage in stages)
    # whichever it is, its answers to the test split are those of the stage
    assert (out / chosen["run"] / "predictions.parquet").is_file()


def test_tables_say_everything(finished):
    _, out, outcome, written = finished
    text = written.read_text()
    for part in (*ARMS, "Precision of pseudo labels", "Precision at equal yield", "gain over"):
        assert part in text
    assert len(ablation_tables(outcome)) == 4
    assert "share of the ceiling" in text
    rows = list(csv.DictReader((out / "ablation.csv").open()))
    assert {row["arm"] for row in rows} == set(ARMS)
    means = {row["arm"]: row for row in rows if row["task"] == "mean"}
    gain = outcome.equal_steps.as_dict()["mean_gain"][WHOLE]
    assert float(means[WHOLE]["gain_equal_steps"]) == gain["value"]
    assert means[REFERENCE]["gain_equal_steps"] == "" != means[REFERENCE]["gain_equal_compute"]
    data = json.loads((out / "ablation.json").read_text())
    assert data["equal_steps"]["seeds"] == dict.fromkeys(ARMS, 1)
    assert {row["seed"] for row in data["pseudo"]} == {5}
    assert {row["filter"] for row in data["pseudo"]} == {
        "none", "confidence", "consistency", "both",
    }  # fmt: skip


def test_the_report_says_what_the_comparison_says(finished, tmp_path):
    _, out, outcome, _ = finished
    page = write_ablation_report(out, tmp_path / "report.html").read_text(encoding="utf-8")
    verdict = re.search(r'<p class="verdict">(.*?)</p>', page)[1]
    gain = outcome.equal_compute.as_dict()["mean_gain"][WHOLE]["value"]
    assert "“whole”" in verdict and f"({100 * gain:+z.1f}\N{NO-BREAK SPACE}% [" in verdict
    assert page.count('<li class="card">') in (3, 4)  # without a ceiling that gains, no share
    forest = re.search(r"<svg.*?</svg>", page, re.DOTALL)[0]
    for arm in set(ARMS) - {REFERENCE}:
        assert re.search(rf"<text[^>]*>{re.escape(arm)}<", forest), arm
    assert "Not shown: The table" not in page and "is not there" not in page
    for name in ("arms", "scores", "gains-equal-compute", "rules-1", "yields", "provenance"):
        for end in ("csv", "tex"):
            assert page.count(f'download="{name}.{end}"') == 1, (name, end)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "<script" not in page and "default-src 'none'" in page
    again = write_ablation_report(out, tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == page


def test_the_stored_outcome_is_the_outcome(finished):
    config, out, outcome, _ = finished
    stored = read_ablation(out)
    assert stored.config.content() == config.content()
    assert stored.equal_steps.as_dict() == outcome.equal_steps.as_dict()
    assert stored.equal_compute.as_dict() == outcome.equal_compute.as_dict()
    assert stored.filters.equals(outcome.filters) and stored.rules.equals(outcome.rules)
    assert dict(stored.arms) == {arm: list(runs) for arm, runs in outcome.arms.items()}


def test_an_arm_without_its_files_is_named_and_the_rest_is_shown(finished, tmp_path):
    _, out, _, _ = finished
    copy = tmp_path / "alone"
    copy.mkdir()
    shutil.copy(out / "ablation.json", copy)
    page = write_ablation_report(copy).read_text(encoding="utf-8")
    assert "Not shown: Methods." in page and 'id="tasks"' in page and "“whole”" in page


def test_a_folder_without_results_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match=r"Expected a finished ablation with ablation\.json"):
        write_ablation_report(tmp_path)


def test_the_command_prints_the_documented_keys(finished):
    from imaxray.cli.help.outputs import OUTPUTS

    data = known_state(finished[1] / "ablation.json")
    assert set(data) == set(OUTPUTS["study (of an ablation)"].keys)


def test_a_finished_ablation_is_not_repeated(finished):
    config, out, outcome, _ = finished
    before = {p: p.stat().st_mtime_ns for p in out.glob("seed-*/*/*/run.json")}
    again = run_ablation(config, out)
    assert before == {p: p.stat().st_mtime_ns for p in out.glob("seed-*/*/*/run.json")}
    assert again.equal_steps.as_dict() == outcome.equal_steps.as_dict()


def test_a_record_that_was_edited_or_removed_is_named(finished, tmp_path):
    config, whole, outcome, _ = finished
    out = tmp_path / "out"
    write_ablation(outcome)  # another test may have started the ablation again
    shutil.copytree(whole, out)
    assert verify_folder(out)[1] == []
    [run] = outcome.arms[WHOLE]
    names = ["seed-5/equal-compute.json", "seed-5/init/init.json", f"{run['run']}/run.json"]
    names += [f"{folder}.json" for folder in run["work"]]
    for name in (*names, f"{run['run']}/predictions.json"):
        (out / name).unlink()
        assert verify_folder(out)[1] == [name]
        write_state(out / name, {**known_state(whole / name), "steps": 999})
        assert verify_folder(out)[1] == [name]
        wanted = rf"^Expected {re.escape(name)} in .* was changed; "
        with pytest.raises(ImaxrayError, match=wanted):
            read_ablation(out)
        with pytest.raises(ImaxrayError, match=f"{wanted}put it back"):
            run_ablation(config, out)
        shutil.copy(whole / name, out / name)
    path = out / run["run"] / "predictions.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    path.with_suffix(".sha256").unlink()
    with pytest.raises(ImaxrayError, match=r"predictions\.parquet in .* was changed; put it back"):
        run_ablation(config, out)


def test_arms_are_the_strategy_with_parts_left_out():
    config = AblationConfig.model_validate(TINY)

    def arm(name):
        return config.arm(name, Path("out"), Path("init"), 3)

    def stages(name):
        return [(s.on, s.steps) for s in arm(name).stages]

    def augmented(name):
        return arm(name).training["augment"]

    assert stages("dmax") == [("dmax", 66)] and arm("dmax").derive is None
    assert stages("derived") == [("derived", 66)] and arm("derived").derive == DeriveConfig()
    without = arm("derived, exact").derive.without
    assert "report-label" in without and "rec-reg" not in without
    assert stages("restarted") == [("derived", 60), ("derived", 4), ("derived", 2)]
    softly = arm("+ soft targets")
    assert [s.target for s in softly.stages] == [None, "soft", None]
    assert softly.annotate.top_k and softly.filter == arm("+ model answers").filter
    plain, judged = arm("+ model answers"), arm("+ visual advantage")
    assert judged.annotate.visual_advantage and judged.filter.score == "visual-advantage"
    assert judged.filter.model_copy(update={"score": "confidence"}) == plain.filter
    assert judged.stages == plain.stages and judged.training == plain.training
    averaged = arm("+ averaged teacher")
    assert [s.average for s in averaged.stages] == [0.99, None, None]
    assert averaged.filter == plain.filter and averaged.annotate == plain.annotate
    assert averaged.recipe(averaged.stages[0], "m", 0).average == 0.99
    assert stages("three stages") == [("dmax", 60), ("pseudo", 4), ("dmax", 2)]
    assert arm("three stages").derive is None
    assert arm(WHOLE).stages == config.strategy.stages and arm(WHOLE).filter.confidence
    assert not arm("+ all answers").filter.confidence
    assert not arm("+ all answers").filter.consistency
    assert arm("perfect filter").filter.perfect and not arm("perfect filter").filter.confidence
    assert arm("imax").data == Path("out/imax") and arm("true answers").data == Path("out/dense")
    off = {name for name in ARMS if augmented(name) is None}
    assert off == {"dmax, no augmentation", "derived, no augmentation"}
    layouts = {config.arm(n, Path("out"), Path("i"), 3).recipe(s, "m", 0).layout
               for n in ARMS for s in arm(n).stages}  # fmt: skip
    assert layouts == {"packed"}
    assert all(arm(name).seed == 3 for name in ARMS)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"strategy": {"stages": [{"name": "a", "on": "dmax", "epochs": 1}]}}, "steps"),
        ({"strategy": {"rounds": 2, **TINY["strategy"]}}, "one round"),
        ({"strategy": {"model": "qwen", **TINY["strategy"]}}, "leave model out"),
        ({"ablation": {"arms": ["imax"]}}, "compared with"),
        ({"ablation": {"arms": ["dmax", "+ magic"]}}, "ablation.arms"),
    ],
)
def test_a_bad_ablation_is_one_sentence(tmp_path, change, match):
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump({**TINY, **change}))
    with pytest.raises(ImaxrayError, match=match):
        load_study(path)


def test_the_shipped_ablation_loads_and_other_studies_stay_what_they_are():
    found = load_study("ablation")
    assert isinstance(found, AblationConfig) and set(found.needed()) < set(ARMS)
    assert type(load_study("phantom")) is StudyConfig


def test_a_misspelled_arm_gets_its_nearest_name(tmp_path):
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump({**TINY, "ablation": {"arms": ["dmax", "derved"]}}))
    with pytest.raises(ImaxrayError, match="got derved; did you mean derived"):
        load_study(path)
