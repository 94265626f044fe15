"""Combines a model, its processor and its box convention, and turns entries into tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from PIL import Image

from imaxray import radiograph
from imaxray.boxes import PLACEHOLDER, Box, BoxConvention, split_boxes
from imaxray.errors import ImaxrayError
from imaxray.geometry import WHOLE, Geometry
from imaxray.models.chat_template import render
from imaxray.models.saved import write_sidecar
from imaxray.models.text_guard import TextGuard
from imaxray.radiograph import Readable


@dataclass(frozen=True)
class EncodedEntry:
    """Holds the token ids of one entry, with one id per image token in place of the image.

    Attributes:
        prompt: Ids of everything before the answer.
        target: Ids of the answer and of the end-of-turn token; empty if only a prompt was encoded.
    """

    prompt: list[int]
    target: list[int]


class BoxCountError(ImaxrayError):
    """Says that the texts of an entry have another number of placeholders than it has boxes."""


class ChatModel:
    """Wraps a vision-language model with its chat format and its box convention.

    Each subclass is a model family. All text goes through the processor's own chat template, all
    image placeholders through its own expansion, all pixels through its own image processor; boxes
    are written and read in ``convention``. The base class itself serves any native model whose
    processor is of the usual kind.

    Attributes:
        name: Registry name, repository id or path, for manifests.
        model: The ``transformers`` model.
        processor: The processor of the model.
        convention: Box convention, in the frame of this processor.
        commit: Commit of the weights on the hub; ``None`` if they did not come from the hub.
    """

    family: ClassVar[str] = "other"
    tower: ClassVar[tuple[str, ...]] = ("model.vision_tower", "model.visual", "model.vision_model")
    """Prefixes of the vision encoder's parameter names; absent prefixes are ignored."""
    connector: ClassVar[tuple[str, ...]] = ("model.multi_modal_projector", "model.connector")
    """Prefixes of the parameters between vision encoder and text model, which connector-only
    training trains."""
    template: ClassVar[str | None] = None
    """Chat template for repositories of the family that do not have one."""

    def __init__(
        self,
        name: str,
        model: Any,
        processor: Any,
        convention: BoxConvention,
        *,
        commit: str | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self.processor = processor
        self.commit = commit
        if not _has_template(processor):
            if self.template is None:
                raise ImaxrayError(
                    f"Expected a chat template with the processor of {name}, but it has none; take "
                    "an instruction-tuned checkpoint or add chat_template.jinja to its folder."
                )
            processor.chat_template = self.template
        self.convention = convention.seen_through(self.geometry(convention))
        self._expansion = lru_cache(maxsize=4096)(self._expand_size)

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @cached_property
    def image_token(self) -> int:
        """Id of the token that stands for one image feature, repeated once per feature."""
        config = self.model.config
        for name in ("image_token_id", "image_token_index"):
            if getattr(config, name, None) is not None:
                return int(getattr(config, name))
        raise ImaxrayError(
            f"Expected the configuration of {self.name} to name an image token, but it has none; "
            "take a model with an image token, because other models are not supported."
        )

    @property
    def context_length(self) -> int:
        """Length in tokens of the longest sequence that the text model's positions allow."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def lora_targets(self) -> str | list[str]:
        """Regular expression that matches every linear layer of the text model's blocks."""
        return (
            r"(?:.*\.)?(?:language_model|text_model)\.layers\.\d+\."
            r"(?:self_attn\.(?:q|k|v|o)_proj|mlp\.(?:gate|up|down)_proj)"
        )

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Return how this processor maps an image to the frame that ``convention`` refers to."""
        # Relative numbers do not depend on the resolution; padding is part of a convention.
        return WHOLE if convention.scale is None else convention.geometry

    def prepare(self, image: Image.Image) -> Image.Image:
        """Prepare a whole RGB image for the processor; the base class returns it unchanged."""
        return image

    def pixels(
        self, image: Readable, size: tuple[int, int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the model inputs of one image, e.g. ``pixel_values (1, C, H, W)`` float32.

        These are the :meth:`inputs` of the image's :meth:`picture`. A family changes those two
        methods, because augmentation acts between them.

        Args:
            image: File, or cached pixels; :func:`imaxray.radiograph.load` opens either.
            size: Width and height of the original in pixels. It is required if ``image`` is a
                smaller copy from an image cache, because the number of tokens follows the
                original, as in :meth:`encode`.

        Raises:
            ImaxrayError: The file does not have this ``size``, or it cannot be read.
        """
        return self.inputs(self.picture(image, size), size)

    def picture(self, image: Readable, size: tuple[int, int] | None = None) -> Image.Image:
        """Return one image as a grey picture of 8 bits, before the processor; it shows all of it.

        The arguments and errors are those of :meth:`pixels`.
        """
        picture = Image.fromarray(radiograph.load(image))
        if size is not None and picture.size != size and isinstance(image, Path):
            raise ImaxrayError(
                f"Expected {image} to have {size[0]} × {size[1]} pixels, as its table says, "
                f"but it has {picture.width} × {picture.height}; correct the table or the file."
            )
        return picture

    def inputs(
        self, picture: Image.Image, size: tuple[int, int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the model inputs of a :meth:`picture`.

        Args:
            picture: Grey picture of 8 bits of the whole image.
            size: Width and height of the original in pixels, if the picture may be a smaller copy.
        """
        coloured = picture.convert("RGB")
        if size is not None and coloured.size != size:
            coloured = self.enlarge(coloured, size)
        return self._images(self._process([self.prepare(coloured)]))

    def enlarge(self, copy: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Resize a smaller copy, so that the processor treats it like the original.

        Families whose processors depend on proportions only return the copy unchanged.
        """
        return copy.resize(size, Image.Resampling.BICUBIC)

    def join(self, images: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Join the inputs of several images, in the order of their placeholder tokens.

        Raises:
            ImaxrayError: The inputs differ in shape, and the family does not support this.
        """
        shapes = {key: {image[key].shape[1:] for image in images} for key in images[0]}
        if any(len(found) > 1 for found in shapes.values()):
            raise ImaxrayError(
                f"Expected images of {self.name} to have inputs of one shape, but the processor "
                "returns several shapes; use one image per row, or scale all images to one size."
            )
        return {key: torch.cat([image[key] for image in images]) for key in images[0]}

    def expand(self, text: str, size: tuple[int, int]) -> str:
        """Expand the image placeholder of ``text`` to one token per image feature.

        Args:
            text: Text from the chat template, with one image placeholder.
            size: Width and height of the original image in pixels.
        """
        return text.replace(self.processor.image_token, self._expansion(size), 1)

    def image_tokens(self, size: tuple[int, int]) -> int:
        """Return the number of image tokens of an original of ``size`` (width, height)."""
        token = self.tokenizer.convert_ids_to_tokens(self.image_token)
        return self._expansion(size).count(token)

    def limit_image_tokens(self, most: int) -> None:
        """Make the processor scale images so that no image has more than ``most`` image tokens.

        Raises:
            ImaxrayError: The family's images cannot be scaled, or they cannot become so small.
        """
        if not self._scale_to(most):
            needed = self.image_tokens((512, 512))
            if needed > most:
                raise ImaxrayError(
                    f"Expected at most {most} image tokens, but {self.name} needs no fewer than "
                    f"{needed} per image; raise the limit or take a model that can scale images."
                )
        self._expansion.cache_clear()
        self.convention = self.convention.seen_through(self.geometry(self.convention))

    def encode(
        self,
        prompt: str,
        target: str | None,
        boxes: Sequence[Box],
        size: tuple[int, int],
        *,
        prompt_ids: list[int] | None = None,
    ) -> EncodedEntry:
        """Tokenise one entry in the chat format of the model.

        The ids of the prompt are those of the prompt alone, as in generation. The ids of the target
        are those that follow when the whole conversation is tokenised; if a token would reach
        across the border, the answer is tokenised by itself. Words of the texts that look like
        marks of the chat format stay words (:class:`~imaxray.models.text_guard.TextGuard`).

        Args:
            prompt: Prompt with ``<box>`` placeholders.
            target: Answer with ``<box>`` placeholders, or ``None`` to encode only the prompt for
                generation.
            boxes: Boxes in pixels of the original image, those of the prompt first. Without a
                target, boxes beyond the placeholders of the prompt are ignored.
            size: Width and height of the original image in pixels.
            prompt_ids: Ids of the prompt, if it was encoded before with the same boxes.

        Raises:
            BoxCountError: The texts have another number of placeholders than there are boxes.
        """
        question, answer = self.written(prompt, target, boxes, size)
        ids = self.tokens(self.chat(question), size) if prompt_ids is None else prompt_ids
        if answer is None:
            return EncodedEntry(ids, [])
        whole = self.tokens(self.chat(question, answer), size)
        rest = whole[len(ids) :] if whole[: len(ids)] == ids else self._ids(answer, False)
        end = self.end_of_turn
        return EncodedEntry(ids, [*(rest[: rest.index(end)] if end in rest else rest), end])

    def written(
        self, prompt: str, target: str | None, boxes: Sequence[Box], size: tuple[int, int]
    ) -> tuple[str, str | None]:
        """Return prompt and target with boxes as text, and with a stand-in for each mark in them.

        The stand-ins become words again in :meth:`tokens`. Arguments are those of :meth:`encode`.

        Raises:
            BoxCountError: The texts have another number of placeholders than there are boxes.
        """
        if target is None:
            boxes = boxes[: prompt.count(PLACEHOLDER)]
        parts = split_boxes(prompt, target or "", boxes)
        if parts is None:
            raise BoxCountError(
                f"Expected one box for each {PLACEHOLDER} of an entry, but there are {len(boxes)} "
                f"boxes for {(prompt + (target or '')).count(PLACEHOLDER)} in "
                f"{prompt[:80]!r}; correct the entry or remove it."
            )
        question, answer = (
            self.convention.fill(self._guard.hide(text, placeholders=bool(some)), some, *size)
            for text, some in zip((prompt, target or ""), parts, strict=True)
        )
        return question, None if target is None else answer

    def shown(self, rendered: str) -> str:
        """Return a text of :meth:`written`, or a conversation of it, as people read it."""
        return self._guard.shown(rendered)

    def tokens(self, rendered: str, size: tuple[int, int] | None) -> list[int]:
        """Return the ids of a conversation that the chat template rendered.

        Args:
            rendered: Text from the chat template, with one image placeholder.
            size: Width and height of the original image in pixels; ``None`` keeps the placeholder.
        """
        return self._tokenize(rendered if size is None else self.expand(rendered, size))

    def chat(self, question: str, answer: str | None = None) -> str:
        """Format a question about one image, and its answer, by the processor's chat template."""
        user = [{"type": "image"}, {"type": "text", "text": question}]
        turns = [{"role": "user", "content": user}]
        if answer is not None:
            turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        return self.render(turns, answering=answer is None)

    def text_prompt(self, prompt: str, boxes: Sequence[Box], size: tuple[int, int]) -> list[int]:
        """Return the ids of a prompt as the chat template writes it without an image.

        Args:
            prompt: Prompt with ``<box>`` placeholders.
            boxes: Boxes in pixels of the original image; those beyond the placeholders are ignored.
            size: Width and height of the original image in pixels.

        Raises:
            BoxCountError: The prompt has more placeholders than there are boxes.
        """
        question, _ = self.written(prompt, None, boxes, size)
        turn = {"role": "user", "content": [{"type": "text", "text": question}]}
        return self.tokens(self.render([turn], answering=True), None)

    def render(self, turns: Sequence[Mapping[str, Any]], *, answering: bool) -> str:
        """Render messages by the processor's chat template.

        Raises:
            ImaxrayError: The template does not come to an end.
        """
        return render(self.processor, turns, answering=answering, name=self.name)

    @cached_property
    def end_of_turn(self) -> int:
        """Id of the token that ends an answer: the first token after it in the template."""
        after = self.chat("?", "!").rpartition("!")[2].lstrip()
        ids = self.tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
        return int(ids[0] if ids else self.tokenizer.eos_token_id)

    def decode(self, ids: Sequence[int]) -> str:
        """Decode generated ids to text, without special tokens except those that mark boxes."""
        kept = [id_ for id_ in ids if int(id_) not in self._silent]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False)).strip()

    @cached_property
    def _silent(self) -> frozenset[int]:
        """Ids of the special tokens that are not part of an answer's text."""
        tags = self.convention.tags or ()
        special = {
            id_: token.content
            for id_, token in self.tokenizer.added_tokens_decoder.items()
            if token.special
        }
        special |= zip(
            self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=True
        )
        return frozenset(id_ for id_, token in special.items() if token not in tags)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), processor and convention for ``load_model`` to read."""
        transformers.utils.logging.disable_progress_bar()  # a single shard needs no progress bar
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        about = {
            "name": self.name,
            "family": self.family,
            "commit": self.commit,
            "convention": self.convention.as_dict(),
        }
        write_sidecar(folder, about)

    def _process(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:
        """Return the image processor's outputs for the arguments that the processor itself uses."""
        merged = self.processor._merge_kwargs(
            tokenizer_init_kwargs=self.tokenizer.init_kwargs, return_tensors="pt"
        )
        outputs: Mapping[str, Any] = self.processor.image_processor(
            list(images), **{**merged["images_kwargs"], "return_tensors": "pt"}
        )
        return outputs

    def _images(self, outputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return the ``outputs`` that the model takes; counts serve the processor's text only."""
        unused = {
            "num_crops",
            "num_patches",
            "batch_num_images",
            *self.processor.unused_input_names,
        }
        return {key: value for key, value in outputs.items() if key not in unused}

    def _scale_to(self, most: int) -> bool:
        """Limit images to ``most`` tokens in the processor; return whether this is possible."""
        return False

    def _expand_size(self, size: tuple[int, int]) -> str:
        """Return the processor's own expansion of one image placeholder."""
        return str(self.processor.replace_image_token(self._stand_in(size), image_idx=0))

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        """Return the image outputs that the expansion reads; the base class uses a blank image.

        Families override this with arithmetic on ``size``; tests check that both are equal.
        """
        return self._process(
            [self.prepare(Image.fromarray(np.zeros((size[1], size[0], 3), "uint8")))]
        )

    def _tokenize(self, text: str) -> list[int]:
        """Return the ids of a rendered conversation, as the processor computes them.

        A run of image tokens is tokenised as one token and repeated afterwards. The image token is
        a special token, so its neighbours cannot merge with it.
        """
        tokenizer, token = self.tokenizer, self.tokenizer.convert_ids_to_tokens(self.image_token)
        runs: list[int] = []

        def once(run: re.Match[str]) -> str:
            runs.append(len(run[0]) // len(token))
            return str(token)

        short = re.sub(f"(?:{re.escape(token)})+", once, text)
        # as in transformers: the tokenizer writes the first token unless the template has done so
        written = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
        ids: list[int] = []
        rest = iter(runs)
        for id_ in self._ids(short, not written):
            ids += [id_] * (next(rest) if id_ == self.image_token else 1)
        return ids

    def _ids(self, text: str, add_special_tokens: bool) -> list[int]:
        if self._guard.hides(text):
            return self._guard.ids(text, add_special_tokens=add_special_tokens)
        ids: list[int] = self.tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"]
        return ids

    @cached_property
    def _guard(self) -> TextGuard:
        return TextGuard(self.tokenizer)


def sides(size: Any) -> tuple[int, int]:
    """Return height and width of a processor's ``size``, which may state the shorter side only."""
    if size["height"] and size["width"]:
        return int(size["height"]), int(size["width"])
    return int(size["shortest_edge"]), int(size["shortest_edge"])


def _has_template(processor: Any) -> bool:
    return bool(processor.chat_template or getattr(processor.tokenizer, "chat_template", None))
