"""Numbers that would freeze a command, fill the memory or make a training worthless are refused."""

import pytest

from imaxray._common.config import validated
from imaxray._common.defaults import LARGEST
from imaxray.ablation.config import AblationBlock, PretrainingConfig
from imaxray.curation import DmaxConfig
from imaxray.dynamics.comparing.config import RunDynamicsConfig
from imaxray.errors import ImaxrayError
from imaxray.evaluation.comparing.answers import CompareConfig
from imaxray.evaluation.config import EvaluateConfig, ScoreConfig
from imaxray.models.mini_config import MiniConfig
from imaxray.models.phantom_config import PhantomConfig
from imaxray.models.tiny_config import TinyConfig
from imaxray.pseudo.annotating.config import AskConfig
from imaxray.strategy.config import StageConfig, StrategyConfig
from imaxray.study.arms import StudyArm
from imaxray.study.config import EvaluationConfig, PhantomRelease, StudyConfig
from imaxray.study.estimating.config import EstimateConfig
from imaxray.training.config import LoraSettings, TrainingConfig
from imaxray.training.recipe import Recipe

HUGE = 1e308
NEEDED = {
    StudyConfig: {"title": "t"}, StageConfig: {"name": "a", "on": "dmax", "start": "base"},
    TinyConfig: {"family": "gemma3"}, Recipe: {"model": "phantom"},
}  # fmt: skip
MAX_NEW_TOKENS = (EvaluateConfig, EvaluationConfig, AskConfig)
PHANTOM = ("image_size", "patch_size", "heads", "vision_layers", "text_layers", "vocabulary")
CASES = [
    *((model, "resamples", LARGEST)
      for model in (ScoreConfig, CompareConfig, EvaluationConfig, StrategyConfig)),
    *((model, "max_new_tokens", LARGEST) for model in MAX_NEW_TOKENS),
    *((model, "threads", LARGEST) for model in (EvaluateConfig, AskConfig, TrainingConfig, Recipe)),
    *((model, "workers", LARGEST) for model in (StudyConfig, TrainingConfig)),
    *((model, name, LARGEST) for model in (TrainingConfig, Recipe)
      for name in ("steps", "entries_per_step")),
    *((model, name, HUGE) for model in (TrainingConfig, Recipe, StageConfig)
      for name in ("epochs", "learning_rate", "muon_learning_rate", "pseudo_weight",
                   "soft_temperature")),
    (TrainingConfig, "betas", [1.5, 0.9]), (TrainingConfig, "betas", [0.9, -1]),
    (StageConfig, "steps", LARGEST), (PretrainingConfig, "steps", LARGEST),
    (StrategyConfig, "seed", -1),
    (EvaluationConfig, "examples", LARGEST), (AblationBlock, "seeds", [-1]),
    (AblationBlock, "specialists", {"rec": 0}), (AblationBlock, "lanes", LARGEST),
    (StudyArm, "tasks_per_image", 0.5), (PhantomRelease, "images", LARGEST),
    (AskConfig, "samples", LARGEST), (AskConfig, "temperature", HUGE),
    (RunDynamicsConfig, "draws", LARGEST),
    (LoraSettings, "rank", LARGEST), (LoraSettings, "alpha", HUGE),
    *((PhantomConfig, name, LARGEST) for name in PHANTOM),
    (PhantomConfig, "width", 2**30), (MiniConfig, "image_size", 2**30),
    (TinyConfig, "width", 2**30), (TinyConfig, "text_layers", LARGEST),
    (TinyConfig, "vision_layers", LARGEST), (TinyConfig, "vocabulary", LARGEST),
    (EstimateConfig, "text_tokens", HUGE), (EstimateConfig, "image_width", LARGEST),
    (EstimateConfig, "entries_per_image", {"all": HUGE}),
    (EstimateConfig, "tokens_per_second", {"all": HUGE}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "name", "value"), CASES)
def test_a_number_out_of_its_range_names_its_field(model, name, value):
    with pytest.raises(
        ImaxrayError, match=rf"a valid value for {name}.*it should be (less|greater)"
    ):
        validated(model, {**NEEDED.get(model, {}), name: value}, where="a.yaml")


@pytest.mark.parametrize("model", [TrainingConfig, Recipe, StudyConfig, AskConfig])
def test_a_truth_value_is_no_number(model):
    name = "steps" if model is TrainingConfig else "seed"
    with pytest.raises(ImaxrayError, match=rf"value for {name} .*got true: it should be a number"):
        validated(model, {**NEEDED.get(model, {}), name: True}, where="a.yaml")


def test_weights_whose_sum_is_no_number_are_refused():
    with pytest.raises(ImaxrayError, match="weights must not be negative"):
        validated(TrainingConfig, {"weights": {"rec": HUGE, "reg": HUGE}})


def test_a_dose_of_more_tasks_than_there_are_is_refused():
    with pytest.raises(ImaxrayError, match="at most 7, the number of tasks"):
        validated(DmaxConfig, {"tasks_per_image": HUGE})
    with pytest.raises(ImaxrayError, match="at most 7, the number of tasks"):
        validated(StudyArm, {"data": "dmax", "tasks_per_image": 8})
