"""Tests the model that arms start from: untrained per seed, or pretrained on other patients."""

import pytest

from imaxray.ablation import AblationConfig
from imaxray.ablation.base_model import base_model
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.study.prepare import build_study_data
from imaxray.training import base_digest

SMALL = {
    "title": "Small",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {
        "min_tasks": 5, "max_entries_per_task": 1, "target_entries": 40,
        "eval_entries_per_task": 2,
    },
    "model": {
        "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1, "text_layers": 1,
        "vocabulary": 400,
    },
    "training": {"entries_per_step": 4, "log_every": 1, "save_every": 100},
    "strategy": {
        "stages": [
            {"name": "dmax", "on": "dmax", "start": "base", "steps": 2},
            {"name": "pseudo-imax", "on": "pseudo", "steps": 2},
            {"name": "finish", "on": "dmax", "steps": 2},
        ],
    },
}  # fmt: skip


def configured(**more):
    return AblationConfig.model_validate({**SMALL, **more})


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "out"
    build_study_data(configured(), folder)
    return folder


def test_from_scratch_every_seed_has_weights_of_its_own(out):
    first, second = (base_model(configured(), out, seed) for seed in (0, 1))
    assert base_digest(str(first), None) != base_digest(str(second), None)


def test_pretrained_on_patients_that_no_arm_sees_and_shared_by_all_seeds(out):
    config = configured(pretraining={"tasks": ["report", "findings"], "steps": 3})
    first = base_model(config, out, 0)
    trained = base_digest(str(first), None)
    assert trained != base_digest(str(out / "pretraining" / "init"), None)
    others = open_dataset(out / "others").tables.entries
    assert set(others["task"]) == {"report", "findings"} and set(others["split"]) == {"train"}
    for name in ("imax", "dmax"):
        assert not set(others["patient_id"]) & set(
            open_dataset(out / name).tables.entries["patient_id"]
        )
    run = first.parent / "run.json"
    before = run.stat().st_mtime_ns
    assert base_model(config, out, 1) == first and run.stat().st_mtime_ns == before
    longer = configured(pretraining={"tasks": ["report", "findings"], "steps": 4})
    assert base_digest(str(base_model(longer, out, 0)), None) != trained


def test_no_patient_left_is_one_sentence(tmp_path):
    greedy = configured(
        imax={"min_tasks": 1, "eval_entries_per_task": 2},
        dmax={},
        pretraining={"tasks": ["calculation"], "steps": 1},
    )
    build_study_data(greedy, tmp_path / "out")
    with pytest.raises(ImaxrayError, match=r"patients are in neither .*raise phantom\.images"):
        base_model(greedy, tmp_path / "out", 0)
