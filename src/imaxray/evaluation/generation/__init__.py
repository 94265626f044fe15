"""Generates answers, greedy or sampled; an image is encoded once for all its prompts.

The first name that needs torch imports it; answers of a chat server (``hosted``) need none.
"""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.evaluation.generation.answering import end_tokens, generate
    from imaxray.evaluation.generation.encoded_images import EncodedImages
    from imaxray.evaluation.generation.evaluate import (
        answer_model,
        evaluate_model,
        served,
        versions,
    )
    from imaxray.evaluation.generation.hosted import evaluate_hosted
    from imaxray.evaluation.generation.image_prefetch import ImagesAhead
    from imaxray.evaluation.generation.outcome import Answers, Evaluation, stored_answers
    from imaxray.evaluation.generation.part_store import PartStore, add_part
    from imaxray.evaluation.generation.prediction_store import PREDICTIONS, PredictionStore
    from imaxray.evaluation.generation.sampling import Sampling, Written
    from imaxray.evaluation.generation.text_only import text_logprobs
    from imaxray.evaluation.generation.vllm_engine import VllmEngine, require_vllm
    from imaxray.training import weights_digest, weights_of
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "answering": ["end_tokens", "generate"],
            "encoded_images": ["EncodedImages"],
            "evaluate": ["answer_model", "evaluate_model", "served", "versions"],
            "hosted": ["evaluate_hosted"],
            "image_prefetch": ["ImagesAhead"],
            "outcome": ["Answers", "Evaluation", "stored_answers"],
            "part_store": ["PartStore", "add_part"],
            "prediction_store": ["PREDICTIONS", "PredictionStore"],
            "sampling": ["Sampling", "Written"],
            "text_only": ["text_logprobs"],
            "vllm_engine": ["VllmEngine", "require_vllm"],
            "imaxray.training": ["weights_digest", "weights_of"],
        },
    )

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
    "evaluate_hosted",
    "evaluate_model",
    "generate",
    "require_vllm",
    "served",
    "stored_answers",
    "text_logprobs",
    "versions",
    "weights_digest",
    "weights_of",
]
