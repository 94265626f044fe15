"""Scores answers, computes baselines, compares arms with intervals and writes result files.

``imaxray.evaluation.generation`` needs torch, so this package does not import it.
"""

from imaxray.evaluation.answers import AnswersCompared, CompareConfig, compare_answers
from imaxray.evaluation.baseline import ceiling, constant_baseline, majority_baseline
from imaxray.evaluation.comparing import compare, compare_groups
from imaxray.evaluation.comparison import (
    Comparison,
    ComparisonData,
    TaskComparison,
    latex_text,
    percent_text,
)
from imaxray.evaluation.config import EvaluateConfig, ModelConfig, ScoreConfig
from imaxray.evaluation.groups import subgroups
from imaxray.evaluation.labels import labeller_on
from imaxray.evaluation.predictions import Predictions, find_predictions, read_predictions
from imaxray.evaluation.resampling import Interval, percents
from imaxray.evaluation.result import Result, score_run, write_result
from imaxray.evaluation.scoring import Scores, TaskScores, per_entry, score, score_answers
from imaxray.evaluation.truth import truth_ceiling

__all__ = [
    "AnswersCompared",
    "CompareConfig",
    "Comparison",
    "ComparisonData",
    "EvaluateConfig",
    "Interval",
    "ModelConfig",
    "Predictions",
    "Result",
    "ScoreConfig",
    "Scores",
    "TaskComparison",
    "TaskScores",
    "ceiling",
    "compare",
    "compare_answers",
    "compare_groups",
    "constant_baseline",
    "find_predictions",
    "labeller_on",
    "latex_text",
    "majority_baseline",
    "per_entry",
    "percent_text",
    "percents",
    "read_predictions",
    "score",
    "score_answers",
    "score_run",
    "subgroups",
    "truth_ceiling",
    "write_result",
]
