"""Generates answers with vLLM, which batches prompts itself and caches prefixes with images."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
from PIL import Image

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.answering import as_predictions, end_tokens
from imaxray.evaluation.generation.sampling import Sampling, Written
from imaxray.models import ChatModel


def require_vllm() -> Any:
    """Return the ``vllm`` package.

    Raises:
        ImaxrayError: If the package is not installed.
    """
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise ImaxrayError(
            "Expected the package vllm for --engine vllm, but it is not installed; "
            "pip install 'imaxray[vllm]' on a machine with a GPU, or use --engine local."
        ) from error


class VllmEngine:
    """Serves a model with vLLM in this process.

    Prompts follow the model's own chat template with one image placeholder, which vLLM expands with
    the model's own processor. Images are prepared as for ``transformers``. Decoding is greedy by
    default, as in the local engine. Rounding differs from the local engine, so single tokens may
    differ.

    Args:
        chat: Model that provides template, processor and conventions; its weights are freed.
        source: Folder or repository of the model.
        revision: Commit or tag of the repository.
        adapter: Folder of a PEFT adapter for the model.
        max_new_tokens: Maximum number of tokens per answer; longer answers are cut.

    Raises:
        ImaxrayError: If vLLM is not installed, or the model is the phantom.
    """

    def __init__(
        self,
        chat: ChatModel,
        source: str,
        *,
        revision: str | None,
        adapter: Path | None,
        max_new_tokens: int,
    ) -> None:
        vllm = require_vllm()
        if chat.family == "phantom":
            raise ImaxrayError(
                "Expected a model that vLLM can serve, but the phantom has an image input of one "
                "channel; use --engine local."
            )
        self._ends = end_tokens(chat)
        self._chat = chat
        # Only the configuration and the processor are needed from here on.
        chat.model = SimpleNamespace(
            config=chat.model.config, generation_config=chat.model.generation_config
        )
        options: dict[str, Any] = {
            "model": source,
            "revision": revision,
            "trust_remote_code": False,
            "enable_prefix_caching": True,
            "limit_mm_per_prompt": {"image": 1},
            "seed": 0,
        }
        self._lora = None
        if adapter is not None:
            request = importlib.import_module("vllm.lora.request").LoRARequest
            self._lora = request("adapter", 1, str(adapter))
            options |= {"enable_lora": True, "max_lora_rank": _rank(adapter)}
        self._engine = vllm.LLM(**options)
        self._params = partial(
            vllm.SamplingParams,
            max_tokens=max_new_tokens,
            stop_token_ids=self._ends,
            repetition_penalty=1.0,
            skip_special_tokens=False,
            detokenize=False,
        )

    def answers(
        self,
        batches: Sequence[pl.DataFrame],
        image_of: Callable[[str], Any],
        sizes: Mapping[str, tuple[int, int]],
    ) -> Iterator[pl.DataFrame]:
        """Yield the PREDICTIONS of one batch of entries (schema ENTRIES) after the other."""
        for entries in batches:
            asked = entries.select("image_id", "prompt", "boxes").rows()
            rows = self.write(asked, image_of, sizes, scored=False)
            ids = [written.ids for written in rows]
            yield as_predictions(self._chat, entries["entry_id"].to_list(), ids, self._ends)

    def write(
        self,
        asked: Sequence[tuple[str, str, Any]],
        image_of: Callable[[str], Any],
        sizes: Mapping[str, tuple[int, int]],
        *,
        sampling: Sampling | None = None,
        scored: bool = True,
    ) -> list[Written]:
        """Answer triples of image id, prompt and boxes; greedily unless ``sampling`` is given.

        Log-probabilities are those of the model before temperature; without ``scored`` there are
        none. Sampled answers are reproducible with the same seeds on the same build of vLLM, but
        differ from those of the local engine.
        """
        chat = self._chat
        requests = []
        images: dict[str, Any] = {}
        for image_id, prompt, boxes in asked:
            if image_id not in images:
                picture = Image.fromarray(radiograph.load(image_of(image_id))).convert("RGB")
                if picture.size != sizes[image_id]:  # a resized copy from the image cache
                    picture = chat.enlarge(picture, sizes[image_id])
                images[image_id] = chat.prepare(picture)
            requests.append(
                {
                    "prompt_token_ids": prompt_ids(chat, prompt, boxes, sizes[image_id]),
                    "multi_modal_data": {"image": images[image_id]},
                }
            )
        more = {"logprobs": 1} if scored else {}  # vLLM always adds that of the generated token
        params: Any = self._params(temperature=0.0, **more)
        if sampling is not None:
            params = [
                # vLLM takes signed 64-bit seeds
                self._params(temperature=sampling.temperature, seed=seed >> 1, **more)
                for seed in sampling.seeds
            ]
        outputs = self._engine.generate(
            requests, params, lora_request=self._lora, use_tqdm=False
        )  # fmt: skip
        return [self._written(output.outputs[0], scored) for output in outputs]

    def _written(self, output: Any, scored: bool) -> Written:
        ids = list(output.token_ids)
        scores = [
            float(of_place[id_].logprob)
            for id_, of_place in zip(ids, output.logprobs if scored else (), strict=scored)
        ]
        return Written(self._with_end(ids, output), scores)

    def _with_end(self, ids: list[int], output: Any) -> list[int]:
        """Append the token that ended the answer, if vLLM reports it only as the stop reason."""
        if output.finish_reason == "stop" and (not ids or ids[-1] not in self._ends):
            reason = output.stop_reason
            return [*ids, reason if isinstance(reason, int) else self._chat.end_of_turn]
        return ids


def prompt_ids(
    chat: ChatModel,
    prompt: str,
    boxes: Sequence[tuple[float, float, float, float]] | None,
    size: tuple[int, int],
) -> list[int]:
    """Return the token ids of a prompt with one image placeholder, as the template writes it."""
    question, _ = chat.written(prompt, None, list(boxes or []), size)
    return chat.tokens(chat.chat(question), None)


def _rank(adapter: Path) -> int:
    from peft import PeftConfig  # imported late, because peft is slow to import

    return int(PeftConfig.from_pretrained(str(adapter)).r)
