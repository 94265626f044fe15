"""Scores answers, computes baselines, compares arms with intervals and writes result files.

``imaxray.evaluation.generation`` needs torch, so this package does not import it.
"""

from imaxray.evaluation.baseline import ceiling, constant_baseline, majority_baseline
from imaxray.evaluation.comparing.answers import (
    AnswersCompared,
    CompareConfig,
    compare_answers,
    compare_arms,
)
from imaxray.evaluation.comparing.comparison import (
    Comparison,
    ComparisonData,
    TaskComparison,
)
from imaxray.evaluation.comparing.effects import compare, compare_groups
from imaxray.evaluation.comparing.groups import subgroups
from imaxray.evaluation.comparing.latex import latex_number, latex_table, latex_text
from imaxray.evaluation.comparing.resampling import Interval
from imaxray.evaluation.comparing.wording import (
    ahead,
    gain_sentence,
    interval_text,
    number_text,
    percent_text,
    percents,
    points_text,
    signed_text,
)
from imaxray.evaluation.config import EvaluateConfig, ModelConfig, ScoreConfig
from imaxray.evaluation.joining import Join, JoinBy, join_predictions, why_not_joined
from imaxray.evaluation.labels import labeller_on
from imaxray.evaluation.predictions import Predictions, find_predictions, read_predictions
from imaxray.evaluation.result import Result, require_result_place, score_run, write_result
from imaxray.evaluation.scoring import Scores, TaskScores, per_entry, score, score_answers
from imaxray.evaluation.truth import truth_ceiling

__all__ = [
    "AnswersCompared",
    "CompareConfig",
    "Comparison",
    "ComparisonData",
    "EvaluateConfig",
    "Interval",
    "Join",
    "JoinBy",
    "ModelConfig",
    "Predictions",
    "Result",
    "ScoreConfig",
    "Scores",
    "TaskComparison",
    "TaskScores",
    "ahead",
    "ceiling",
    "compare",
    "compare_answers",
    "compare_arms",
    "compare_groups",
    "constant_baseline",
    "find_predictions",
    "gain_sentence",
    "interval_text",
    "join_predictions",
    "labeller_on",
    "latex_number",
    "latex_table",
    "latex_text",
    "majority_baseline",
    "number_text",
    "per_entry",
    "percent_text",
    "percents",
    "points_text",
    "read_predictions",
    "require_result_place",
    "score",
    "score_answers",
    "score_run",
    "signed_text",
    "subgroups",
    "truth_ceiling",
    "why_not_joined",
    "write_result",
]
