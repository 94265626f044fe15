"""Generates answers, greedy or sampled; an image is encoded once for all its prompts.

The package needs torch, so ``imaxray.evaluation`` does not import it.
"""

from imaxray.evaluation.generation.answering import PREDICTIONS, end_tokens, generate
from imaxray.evaluation.generation.encoded_images import EncodedImages
from imaxray.evaluation.generation.evaluate import (
    Answers,
    Evaluation,
    answer_model,
    evaluate_model,
    served,
    stored_answers,
    versions,
)
from imaxray.evaluation.generation.image_prefetch import ImagesAhead
from imaxray.evaluation.generation.part_store import PartStore, add_part
from imaxray.evaluation.generation.prediction_store import PredictionStore
from imaxray.evaluation.generation.sampling import Sampling, Written
from imaxray.evaluation.generation.vllm_engine import VllmEngine, require_vllm
from imaxray.training import weights_digest, weights_of

__all__ = [
    "PREDICTIONS",
    "Answers",
    "EncodedImages",
    "Evaluation",
    "ImagesAhead",
    "PartStore",
    "PredictionStore",
    "Sampling",
    "VllmEngine",
    "Written",
    "add_part",
    "answer_model",
    "end_tokens",
    "evaluate_model",
    "generate",
    "require_vllm",
    "served",
    "stored_answers",
    "versions",
    "weights_digest",
    "weights_of",
]
