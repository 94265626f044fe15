"""Turns the text that a model wrote into rows of the table PSEUDO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from imaxray.boxes import PLACEHOLDER
from imaxray.evaluation.generation import Written
from imaxray.models import ChatModel, tokenizer_digest
from imaxray.pseudo.annotating.config import AskConfig
from imaxray.pseudo.annotating.prompts import Prompt
from imaxray.pseudo.table import PSEUDO, SOFT_COLUMNS
from imaxray.schema import ImageSize
from imaxray.tasks import Gold, get_task, read_answer, to_json


@dataclass(frozen=True)
class Answered:
    """A prompt, the generated text, and the parsed answer, which is ``None`` if unreadable.

    ``sampled`` holds the canonical JSON of each random answer, ``None`` for an unreadable one.
    ``advantage`` is the mean log-probability of the tokens with the image less that without it.
    """

    prompt: Prompt
    written: Written
    text: str
    gold: Gold | None
    agreement: float | None
    sampled: tuple[str | None, ...] | None = None
    advantage: float | None = None


class Reader:
    """Reads the answers of one model in the same way as evaluation.

    Args:
        chat: Model, whose tokenizer and box convention are used.
        ends: Ids of the tokens that end an answer.
    """

    def __init__(self, chat: ChatModel, ends: Sequence[int]) -> None:
        self._chat, self._ends = chat, frozenset(ends)

    def read(
        self,
        prompt: Prompt,
        size: ImageSize,
        written: Written,
        samples: Sequence[Written],
        blind: float | None = None,
    ) -> Answered:
        """Read one greedy answer and compute its agreement with the samples.

        Args:
            prompt: Prompt that was answered.
            size: Width and height of the original image in pixels.
            written: Greedy answer.
            samples: Random answers to the same prompt.
            blind: Mean log-probability of the answer's tokens without the image, if it was
                measured.

        Returns:
            The parsed answer and the share of the samples with the same parsed answer. An
            unreadable greedy answer agrees with no sample; without samples the agreement is
            ``None``.
        """
        text = self._text(written)
        gold = self._gold(prompt, size, text)
        agreement, sampled = None, None
        if samples:
            others = [self._gold(prompt, size, self._text(sample)) for sample in samples]
            same = get_task(prompt.task).same
            equal = [
                gold is not None and other is not None and same(gold.answer, other.answer)
                for other in others
            ]
            agreement = sum(equal) / len(equal)
            sampled = tuple(None if one is None else to_json(one.answer) for one in others)
        advantage = None if blind is None else written.mean - blind
        return Answered(prompt, written, text, gold, agreement, sampled, advantage)

    def _text(self, written: Written) -> str:
        ids = written.ids
        return self._chat.decode(ids[:-1] if self.ended(written) else ids)

    def ended(self, written: Written) -> bool:
        """Return whether the model itself ended the answer."""
        return bool(written.ids) and written.ids[-1] in self._ends

    def _gold(self, prompt: Prompt, size: ImageSize, text: str) -> Gold | None:
        task = get_task(prompt.task)
        parsed = read_answer(
            task, text, prompt.template, prompt=prompt.prompt,
            convention=self._chat.convention, size=size,
        ).value  # fmt: skip
        gold = None if parsed is None else task.as_gold(parsed, prompt.template)
        # no entry has a placeholder without a box, e.g. a box in an answer that must be words
        fits = gold is not None and gold.target.count(PLACEHOLDER) == len(gold.boxes)
        return gold if fits else None

    def table(
        self, answered: Sequence[Answered], config: AskConfig, model: str, checkpoint: str
    ) -> pl.DataFrame:
        """Return the rows of PSEUDO, sorted by id."""
        decoding = to_json(
            {
                "greedy": True,
                "max_new_tokens": config.max_new_tokens,
                "samples": config.samples,
                "temperature": config.temperature if config.samples else None,
                "seed": config.seed,
            }
        )
        return pl.DataFrame(
            [self._row(one, config, model, checkpoint, decoding) for one in answered],
            schema=PSEUDO,
        ).sort("pseudo_id")

    def _row(
        self, one: Answered, config: AskConfig, model: str, checkpoint: str, decoding: str
    ) -> dict[str, Any]:
        prompt, gold = one.prompt, one.gold
        asked = [list(box) for box in prompt.boxes]
        raw = self._chat.tokenizer.decode(one.written.ids, skip_special_tokens=False)
        return {
            "pseudo_id": prompt.pseudo_id,
            "image_id": prompt.image_id,
            "patient_id": prompt.patient_id,
            "task": prompt.task,
            "prompt": prompt.prompt,
            "target": None if gold is None else gold.target,
            "boxes": asked + ([] if gold is None else gold.boxes),
            "answer": None if gold is None else to_json(gold.answer),
            "template": prompt.template,
            "prompt_from": prompt.prompt_from,
            "text": one.text,
            "raw": str(raw),
            "tokens": len(one.written.ids),
            "ended": self.ended(one.written),
            "logprob": one.written.mean,
            "agreement": one.agreement,
            "sampled": None if one.sampled is None else list(one.sampled),
            "score": None,
            "visual_advantage": one.advantage,
            **self._soft(one.written),
            "model": model,
            "checkpoint": checkpoint,
            "decoding": decoding,
            "round": config.round,
        }

    def _soft(self, written: Written) -> dict[str, Any]:
        """Return the columns of the distributions from which the tokens of an answer were taken."""
        if not written.top:
            return dict.fromkeys(SOFT_COLUMNS)
        return {
            "token_ids": written.ids,
            "top_ids": [id_ for place in written.top for id_ in place.ids],
            # rounding may make a log-probability of 0 too high
            "top_logprobs": [min(log, 0.0) for place in written.top for log in place.logprobs],
            "tokenizer": tokenizer_digest(self._chat.tokenizer),
        }
