"""One model, its processor and its box convention: everything that turns an entry into tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from imaxray.boxes import PLACEHOLDER, Box, BoxConvention
from imaxray.radiograph import Readable


@dataclass(frozen=True)
class EncodedEntry:
    """Token ids of one entry, image placeholders expanded to one id per image token.

    Attributes:
        prompt: everything up to the place where the answer begins.
        target: the answer and the end-of-turn token; empty when only a prompt was asked for.
    """

    prompt: list[int]
    target: list[int]


class ChatModel(ABC):
    """A vision-language model with the way it is spoken to.

    Subclasses are families. All text goes through the processor's own chat template; boxes are
    written and read in ``convention``; pixels go through the processor's own image processor.

    Attributes:
        name: registry name or path, for manifests.
        model: the ``transformers`` model.
        processor: its processor.
        convention: how it writes boxes.
    """

    def __init__(self, name: str, model: Any, processor: Any, convention: BoxConvention) -> None:
        self.name = name
        self.model = model
        self.processor = processor
        self.convention = convention

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @abstractmethod
    def pixels(self, image: Readable) -> dict[str, torch.Tensor]:
        """Model inputs of one image, batch dimension of 1, e.g. ``pixel_values (1, C, H, W)``.

        ``image`` is a file or cached pixels; :func:`imaxray.radiograph.load` opens either.
        """

    @abstractmethod
    def expand(self, text: str) -> str:
        """Write one image placeholder of ``text`` out to one per image token."""

    def encode(
        self,
        prompt: str,
        target: str | None,
        boxes: Sequence[Box],
        size: tuple[int, int],
    ) -> EncodedEntry:
        """Tokenise one entry as the model is spoken to.

        Args:
            prompt: with ``<box>`` placeholders.
            target: likewise, or ``None`` for a generation prompt only.
            boxes: pixels of the original image, the prompt's first.
            size: width and height of the original image.
        """
        asked = prompt.count(PLACEHOLDER)
        question = self.convention.fill(prompt, boxes[:asked], *size)
        head = self.expand(self._chat(question))
        ids = self.tokenizer(head, add_special_tokens=False)["input_ids"]
        if target is None:
            return EncodedEntry(ids, [])
        answer = self.convention.fill(target, boxes[asked:], *size)
        end = self.tokenizer(answer, add_special_tokens=False)["input_ids"]
        return EncodedEntry(ids, [*end, self.end_of_turn])

    @property
    def end_of_turn(self) -> int:
        """Id of the token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens removed."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and processor so that ``transformers`` loads them."""
        transformers.utils.logging.disable_progress_bar()  # one shard needs no bar
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def _chat(self, question: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return str(
            self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
        )
