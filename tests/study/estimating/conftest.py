"""Gives the tests of estimates a small finished study, whose runs say what was true."""

import pytest

from imaxray.study import StudyConfig, run_study

CONFIG = {
    "title": "Estimated",
    "phantom": {"images": 90, "seed": 1},
    "workers": 1,
    "imax": {"min_tasks": 5, "max_entries_per_task": 1, "eval_entries_per_task": 4},
    "models": {
        "phantom": {
            "phantom": {
                "image_size": 32, "patch_size": 16, "width": 32, "vision_layers": 1,
                "text_layers": 1, "vocabulary": 400,
            }
        },
    },
    "arms": {
        "dmax": {"data": "dmax"},
        "imax": {"data": "imax"},
        "imax (equal compute)": {"data": "imax", "budget": "compute"},
        "imax, separate": {"data": "imax", "layout": "separate"},
        "untrained": {"budget": "none"},
    },
    "training": {"entries_per_step": 12, "steps": 5, "log_every": 2, "save_every": 4},
    "evaluation": {"max_new_tokens": 4, "resamples": 100, "examples": 1},
}  # fmt: skip


@pytest.fixture(scope="package")
def make_config():
    return lambda **changes: StudyConfig.model_validate({**CONFIG, **changes})


@pytest.fixture(scope="package")
def finished(make_config, tmp_path_factory):
    """A study folder, and the manifest of each run."""
    out = tmp_path_factory.mktemp("estimated") / "out"
    outcome = run_study(make_config(), out)
    return out, {arm: runs[0] for arm, runs in outcome.only.runs.items() if runs}
