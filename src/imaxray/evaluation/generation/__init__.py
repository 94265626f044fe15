"""Generation: greedy answers, the image encoded once for all its prompts.

Needs torch, so it is imported on its own.
"""

from imaxray.evaluation.generation._generate import PREDICTIONS, generate

__all__ = ["PREDICTIONS", "generate"]
