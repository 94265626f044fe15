"""Generation: greedy answers, the image encoded once for all its prompts.

Needs torch, so it is imported on its own.
"""

from imaxray.evaluation.generation._evaluate import Evaluation, evaluate_model
from imaxray.evaluation.generation._generate import PREDICTIONS, generate
from imaxray.evaluation.generation._parts import PredictionStore
from imaxray.training import weights_of

__all__ = [
    "PREDICTIONS",
    "Evaluation",
    "PredictionStore",
    "evaluate_model",
    "generate",
    "weights_of",
]
