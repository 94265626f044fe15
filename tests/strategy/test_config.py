"""Tests strategies in YAML: their plan, the keys of their work, and refused settings."""

import pytest

from imaxray.clinical import ClinicalRules
from imaxray.errors import ImaxrayError
from imaxray.strategy import (
    AnnotateWork,
    DeriveWork,
    FilterWork,
    StrategyConfig,
    TrainWork,
    load_strategy,
    needed_work,
    plan,
)


def strategy(**changes):
    given = {"model": "qwen", "training": {"steps": 4}, **changes}
    return StrategyConfig.model_validate(given)


def works(config):
    return plan(config, "data", "base")


def names(config):
    return [work.name for work in works(config)]


def test_the_default_is_the_three_stages():
    found = works(strategy())
    assert [work.name for work in found] == [
        "1-dmax", "round-1/candidates", "round-1/dataset", "2-pseudo-imax", "3-finish",
    ]  # fmt: skip
    first, candidates, dataset, second, third = found
    assert (first.start, first.data) == (None, None)
    assert candidates.model is first and dataset.candidates is candidates
    assert second.start is first and second.data is dataset
    assert third.start is second and third.data is None
    assert [w.round for w in found] == [0, 1, 1, 1, 1]


def test_rounds_repeat_what_follows_the_opening():
    found = works(strategy(rounds=2))
    assert [work.name for work in found][3:] == [
        "2-pseudo-imax", "3-finish", "round-2/candidates", "round-2/dataset", "4-pseudo-imax",
        "5-finish",
    ]  # fmt: skip
    by = {work.name: work for work in found}
    assert by["round-2/candidates"].model.name == "3-finish"
    assert by["4-pseudo-imax"].start.name == "3-finish"
    assert by["4-pseudo-imax"].data is by["round-2/dataset"]
    other = {w.name: w for w in works(strategy(rounds=2, annotate_with="pseudo-imax"))}
    assert other["round-2/candidates"].model.name == "2-pseudo-imax"


DERIVED = [
    {"name": "derived", "on": "derived", "start": "base"},
    {"name": "pseudo-imax", "on": "mix", "real_share": 0.5},
    {"name": "finish", "on": "dmax"},
]


def test_entries_are_derived_once_and_the_model_answers_what_they_leave_open():
    found = {w.name: w for w in works(strategy(derive={}, stages=DERIVED))}
    assert list(found)[:3] == ["derived", "1-derived", "round-1/candidates"]
    derived, candidates = found["derived"], found["round-1/candidates"]
    assert found["1-derived"].data is candidates.data is derived
    assert found["2-pseudo-imax"].data is found["round-1/dataset"]
    assert found["3-finish"].data is None
    assert needed_work(candidates) == [found["1-derived"], derived]
    assert needed_work(found["round-1/dataset"]) == [candidates, derived]
    assert needed_work(found["2-pseudo-imax"]) == [found["1-derived"], found["round-1/dataset"]]
    assert needed_work(derived) == needed_work(found["1-derived"])[:-1] == []
    recipe = strategy(derive={}, stages=DERIVED).recipe(found["1-derived"].stage, "m", 0)
    assert recipe.task_shares == "real" and recipe.layout == "packed"


def test_another_derivation_repeats_everything_and_its_rule_file_counts_by_content(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []")

    def derived(**options):
        return keys(strategy(derive=options, stages=DERIVED))

    before = derived(rules=rules)
    assert changed(before, derived(rules=rules, precision=0.5)) == list(before)
    rules.write_text("rules: [] # other")
    assert changed(before, derived(rules=rules)) == list(before)


def test_stages_start_where_they_say():
    stages = [
        {"name": "a", "on": "dmax", "start": "base"},
        {"name": "b", "on": "mix", "real_share": 0.5, "start": "base"},
        {"name": "c", "on": "pseudo", "start": "a"},
    ]
    found = {w.name: w for w in works(strategy(stages=stages))}
    assert found["2-b"].start is None and found["3-c"].start is found["1-a"]
    assert strategy(stages=stages).recipe(found["2-b"].stage, "m", 0).real_share == 0.5


def keys(config, data="data", base="base", **more):
    return {work.name: work.key for work in plan(config, data, base, **more)}


def changed(a, b):
    return [name for name in a if a[name] != b[name]]


STAGES = [
    {"name": "dmax", "on": "dmax", "start": "base"},
    {"name": "pseudo-imax", "on": "mix", "real_share": 0.5},
    {"name": "finish", "on": "dmax"},
]


def with_stage(number, **changes):
    stages = [dict(stage) for stage in STAGES]
    stages[number] |= changes
    return strategy(stages=stages)


def test_a_change_repeats_that_piece_and_the_later_ones_only():
    before, every = keys(strategy()), list(keys(strategy()))
    assert changed(before, keys(with_stage(0, learning_rate=0.5))) == every
    assert changed(before, keys(with_stage(1, pseudo_weight=0.5))) == every[3:]
    assert changed(before, keys(with_stage(2, steps=9))) == every[4:]
    assert changed(before, keys(strategy(filter={"precision": 0.5}))) == every[2:]
    assert changed(before, keys(strategy(annotate={"samples": 3}))) == every[1:]
    assert changed(before, keys(strategy(seed=1))) == every
    assert changed(before, keys(strategy(), data="other")) == every
    assert changed(before, keys(strategy(), base="other")) == every
    block = {"ctr-question": {"thresholds": {"margin": 0.1}}}
    rules = ClinicalRules.model_validate(block)
    # a question that the rule settles is not asked
    assert changed(before, keys(strategy(), clinical=rules)) == every[1:]
    other = ClinicalRules.model_validate({"ctr-cardiomegaly": {"thresholds": {"margin": 0.1}}})
    assert changed(before, keys(strategy(), clinical=other)) == every[2:]
    assert changed(before, keys(strategy(), clinical=ClinicalRules())) == []
    alone = strategy(filter={"consistency": False})
    assert changed(keys(alone), keys(alone, clinical=other)) == []
    # how it is computed, where it lies, and what is reported of it do not count
    for same in ({"training": {"steps": 4, "workers": 2, "threads": 2}}, {"truth": "catalog"},
                 {"title": "x"}, {"annotate": {"engine": "ray"}}):  # fmt: skip
        assert changed(before, keys(strategy(**same))) == []


EXPERTS = [
    {"name": "all", "on": "dmax", "start": "base"},
    {"name": "locator", "on": "dmax", "tasks": ["rec", "reg"]},
    {"name": "next", "on": "mix", "real_share": 0.5},
    {"name": "grader", "on": "dmax", "tasks": ["grading"]},
    {"name": "end", "on": "dmax"},
]


def with_teachers(**teachers):
    return strategy(stages=EXPERTS, annotate={"teachers": teachers})


def test_a_specialist_stands_beside_the_main_line():
    config = with_teachers(rec="locator")
    by_name = {work.name: work for work in works(config)}
    assert list(by_name) == [
        "1-all", "2-locator", "round-1/candidates", "round-1/dataset", "3-next", "4-grader",
        "5-end",
    ]  # fmt: skip
    main = by_name["1-all"]
    assert by_name["2-locator"].start is main and by_name["3-next"].start is main
    assert by_name["4-grader"].start is by_name["5-end"].start is by_name["3-next"]
    asked = by_name["round-1/candidates"]
    assert asked.model is main and asked.teachers == (("rec", by_name["2-locator"]),)
    assert set(needed_work(asked)) == {main, by_name["2-locator"]}
    assert config.recipe(by_name["2-locator"].stage, "m", 0).tasks == ("rec", "reg")


def test_another_teacher_changes_the_annotation_and_what_follows():
    config = with_teachers(rec="locator")
    one, every = keys(config), list(keys(config))
    for other in ({}, {"rec": "locator", "reg": "locator"}, {"rec": "some/repository"}):
        assert changed(one, keys(with_teachers(**other))) == every[2:]
    frames = {
        next(w for w in works(with_teachers(**t)) if isinstance(w, AnnotateWork)).frame
        for t in ({"rec": "locator"}, {"rec": "some/repository"}, {"reg": "locator"})
    }
    assert len(frames) == 1 and frames != {""}
    steps = [{**stage, **({"steps": 9} if stage["name"] == "locator" else {})} for stage in EXPERTS]
    later = strategy(stages=steps, annotate={"teachers": {"rec": "locator"}})
    assert changed(one, keys(later)) == every[1:]
    unused = strategy(stages=steps, annotate={"teachers": {}})
    assert changed(keys(with_teachers()), keys(unused)) == ["2-locator"]


def test_a_teacher_is_known_by_its_weights(tmp_path):
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    (teacher / "model.safetensors").write_bytes(b"one")
    one = keys(with_teachers(rec=str(teacher)))
    moved = teacher.rename(tmp_path / "elsewhere")
    assert changed(one, keys(with_teachers(rec=str(moved)))) == []
    (moved / "model.safetensors").write_bytes(b"other")
    assert "round-1/candidates" in changed(one, keys(with_teachers(rec=str(moved))))


def test_a_rule_file_is_known_by_its_content(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []")
    one = keys(strategy(filter={"rules": rules}))
    rules.write_text("rules: [] # other")
    assert changed(one, keys(strategy(filter={"rules": rules})))[0] == "round-1/dataset"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stages: [", "YAML"),
        ("just text", "keys and values"),
        ("model: qwen", "data:"),
        ("data: x\nmodel: qwen\nphantom: {}", "one of model: or phantom:"),
        ("data: x\nmodel: qwen\ncolour: blue", "colour"),
        ("data: x\nmodel: qwen\nstages: []", "must not be empty"),
        ("data: x\nmodel: qwen\nrounds: 2\nstages: [{name: a, on: dmax}]", "pseudo or mix"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax}, {name: a, on: pseudo}]", "names"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, start: b}]", "starts from b"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: mix}]", "real_share"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, pseudo_weight: 2}]", "weigh"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, steps: 1, epochs: 1}]", "one of them"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, target: soft}]", "no distributions"),
        ("data: x\nmodel: qwen\ntraining: {target: soft}", "set target in the stages on pseudo"),
        (
            "data: x\nmodel: qwen\n"
            "stages: [{name: a, on: dmax}, {name: b, on: pseudo, target: soft}]",
            "set annotate.top_k",
        ),
        (
            "data: x\nmodel: qwen\nannotate: {top_k: 5, engine: vllm}\n"
            "stages: [{name: a, on: dmax}, {name: b, on: pseudo, target: soft}]",
            "engine vllm",
        ),
        ("data: x\nmodel: qwen\nannotate_with: b", "no stage"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: derived}]", "nothing is derived"),
        ("data: x\nmodel: qwen\nderive: {precision: 2}", "derive.precision"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, tasks: [rec]}]", "at least one"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, tasks: []}]", "tasks"),
        ("data: x\nmodel: qwen\nstages: [{name: a, on: dmax, tasks: [x]}]", "tasks"),
        ("data: x\nmodel: qwen\nannotate: {teachers: {x: y}}", "teachers"),
        ("data: x\nmodel: qwen\nannotate: {tasks: [reg], teachers: {rec: y}}", "leaves out"),
        ("data: x\nmodel: qwen\nannotate: {teachers: {rec: finish}}", "after the annotation"),
        (
            "data: x\nmodel: qwen\nannotate: {teachers: {rec: b}}\nstages: "
            "[{name: a, on: dmax}, {name: b, on: dmax, tasks: [reg]}, {name: c, on: pseudo}]",
            "only trained on reg",
        ),
        ("data: x\nmodel: qwen\ntraining: {steps: yes}", "training has true as steps"),
        ("data: x\nmodel: qwen\ntraining: {learning_rate: -1}", "learning_rate|greater"),
        ("data: x\nmodel: qwen\nfilter: {precision: 1.5}", "filter.precision"),
        ("data: x\nmodel: qwen\nfilter: {perfect: true}", "turn the others off"),
        ("data: x\nmodel: qwen\nfilter: {consistency: false, rules: y}", "or give no rules"),
        (
            "data: x\nmodel: qwen\nfilter: {perfect: true, confidence: false, consistency: false}",
            "needs truth",
        ),
    ],
)
def test_a_bad_strategy_is_one_sentence(tmp_path, text, match):
    path = tmp_path / "strategy.yaml"
    path.write_text(text)
    with pytest.raises(ImaxrayError, match=match):
        load_strategy(path)


def test_a_model_from_scratch_cannot_begin_by_annotating():
    config = StrategyConfig(phantom={}, stages=[{"name": "a", "on": "pseudo", "start": "base"}])
    with pytest.raises(ImaxrayError, match="from scratch"):
        plan(config, "data", "base")
    trained = strategy(stages=[{"name": "a", "on": "pseudo", "start": "base"}])
    assert names(trained) == ["round-1/candidates", "round-1/dataset", "1-a"]


def test_the_shipped_strategy_loads_and_its_data_may_lie_beside_it(tmp_path):
    assert [type(work) for work in works(load_strategy("strategy"))] == [DeriveWork, TrainWork]
    assert [type(work) for work in works(load_strategy("paper-strategy"))] == [
        TrainWork, AnnotateWork, FilterWork, TrainWork, TrainWork,
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "s.yaml").write_text("data: data\nmodel: qwen\n")
    assert load_strategy(tmp_path / "s.yaml").data == tmp_path / "data"
