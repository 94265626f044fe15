"""Evaluation: scoring, baselines, comparison with intervals.

``imaxray.evaluation.generation`` needs torch and is imported on its own.
"""

from imaxray.evaluation.baseline import constant_baseline
from imaxray.evaluation.comparison import Comparison, compare
from imaxray.evaluation.scoring import Scores, TaskScores, score, score_answers

__all__ = [
    "Comparison",
    "Scores",
    "TaskScores",
    "compare",
    "constant_baseline",
    "score",
    "score_answers",
]
