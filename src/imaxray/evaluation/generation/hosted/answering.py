"""Evaluates a model behind an OpenAI-compatible chat server, as ``--engine openai`` does."""

from __future__ import annotations

import json
import logging
import platform
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import PIL
import polars as pl

from imaxray._common.printing import counted
from imaxray._version import __version__
from imaxray.boxes import BoxConvention, box_of
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.config import EvaluateConfig
from imaxray.evaluation.generation.hosted.address import Address, read_address
from imaxray.evaluation.generation.hosted.client import ChatServer
from imaxray.evaluation.generation.hosted.permission import api_key, require_may_send
from imaxray.evaluation.generation.hosted.pictures import data_url, limited
from imaxray.evaluation.generation.hosted.prompts import written
from imaxray.evaluation.generation.hosted.reply import CUT, Reply
from imaxray.evaluation.generation.outcome import (
    Answers,
    Evaluation,
    entries_of,
    scored,
    subfolder,
    writing,
)
from imaxray.evaluation.generation.prediction_store import PREDICTIONS, PredictionStore
from imaxray.models import convention_of, find_row
from imaxray.progress import progress_bar
from imaxray.schema import image_sizes
from imaxray.tasks import require_tasks

_PART: Final = 16
"""Number of answers in a stored part, which a killed command asks for again. It must not depend on
``--parallel``, so that a run can be continued with another number."""

_POLL: Final = 0.2  # seconds

_log = logging.getLogger(__name__)


class ServedPredictions(PredictionStore):
    """Stores what a server answered, with the finish reason and the model that it names."""

    schema = pl.Schema(
        [*PREDICTIONS.items(), ("finish_reason", pl.String()), ("served_model", pl.String())]
    )


def evaluate_hosted(
    model: str,
    data: Path | Dataset,
    out: Path | None,
    config: EvaluateConfig,
) -> Evaluation:
    """Let a chat server answer every entry of a split, store its answers, and score them.

    Arguments and errors are those of :func:`answer_hosted`.
    """
    data = data if isinstance(data, Dataset) else open_dataset(data)
    # scoring, which follows the answers, compares with baselines of the train entries
    require_tasks(data.tables.entries["task"], data.folder)
    given = answer_hosted(model, data, out, config)
    with writing(given.folder):
        done = scored(given, data, config)
    reasons = done.predictions["finish_reason"].value_counts().sort("finish_reason")
    return replace(done, finish_reasons=dict(reasons.iter_rows()))


def answer_hosted(
    model: str,
    data: Path | Dataset,
    out: Path | None,
    config: EvaluateConfig,
) -> Answers:
    """Let a chat server answer every entry of a split, and store its answers.

    The same call again asks only for what is missing. The API key is read from the environment; it
    is neither stored nor printed.

    Args:
        model: Name of the model on the server. A name of the registry also gives the box
            convention.
        data: Dataset folder, or an open dataset.
        out: Output folder; default: ``evaluation/MODEL/DATASET-SPLIT`` in the current folder.
        config: Settings of the split, the server and the requests.

    Raises:
        ImaxrayError: If the URL, the key or the permission to send images is missing; if the
            server does not answer; or if ``out`` holds other predictions.
    """
    if config.base_url is None:
        raise ImaxrayError(
            "Expected the URL of a chat server for --engine openai, but none was given; add "
            "--base-url http://127.0.0.1:8000/v1, or the URL of your server."
        )
    address = read_address(config.base_url)
    key = api_key(config.api_key_env)
    convention = limited(convention_of(model, config.boxes, find_row(model)), config.max_pixels)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    entries = entries_of(data, config.split)
    require_may_send(
        address, _releases(data, entries),
        allow_remote=config.allow_remote, may_send_images=config.i_may_send_images,
    )  # fmt: skip
    images = ImageStore(data)
    folder = out or Path("evaluation") / _as_name(model) / subfolder(data, config.split)
    about = {
        "imaxray": __version__,
        "versions": {"python": platform.python_version(), "pillow": PIL.__version__},
    }
    with writing(folder):
        identity = _identity(model, address, data, images, convention, config)
        store = ServedPredictions(folder, identity, about)
        if not store.finished:
            if not address.is_here and address.scheme == "http":
                _log.warning("images and prompts go to %s without encryption", address.host)
            server = ChatServer(address, key=key, timeout=config.timeout, retries=config.retries)
            _fill(store, server, model, data, images, entries, convention, config)
        predictions = store.finish(set(entries["entry_id"]))
    return Answers(folder, predictions, convention)


def _identity(
    model: str,
    address: Address,
    data: Dataset,
    images: ImageStore,
    convention: BoxConvention,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Return everything on this side that decides the answers.

    Number of requests at a time, time limit and retries are left out, because no request knows
    them; what a server makes of requests that arrive together is not known here.
    """
    return {
        "model": {"name": model, "server": address.url},
        "boxes": convention.as_dict(),
        "dataset": data.sha256,
        "image_cache": images.describe(),
        "images": {"format": "png", "max_pixels": config.max_pixels},
        "split": config.split,
        "engine": "openai",
        "decoding": {
            "temperature": 0, "seed": config.seed, "max_new_tokens": config.max_new_tokens
        },
    }  # fmt: skip


def _fill(
    store: PredictionStore,
    server: ChatServer,
    model: str,
    data: Dataset,
    images: ImageStore,
    entries: pl.DataFrame,
    convention: BoxConvention,
    config: EvaluateConfig,
) -> None:
    """Ask for the parts that are missing, and store each one as soon as it is whole."""
    done = store.answered()
    # Entries of an image follow each other, so that it is encoded once and the server can keep it.
    ordered = entries.sort("image_id", "entry_id")
    parts = list(enumerate(ordered.iter_slices(_PART)))
    rest = [(number, part) for number, part in parts if not done.issuperset(part["entry_id"])]
    bodies = _Bodies(model, images, image_sizes(data.tables.images), convention, config)
    asked = (row for _, part in rest for row in part.iter_rows(named=True))
    pool = ThreadPoolExecutor(config.parallel)
    try:
        with progress_bar("Asking the server", total=entries.height) as bar:
            bar.advance(len(done))
            replies = _replies(pool, server, (bodies(row) for row in asked), config.parallel)
            for number, part in rest:
                rows = []
                for entry_id in part["entry_id"]:
                    rows.append(_row(entry_id, next(replies)))
                    bar.advance()
                store.add(f"{number:06}", pl.DataFrame(rows, store.schema, orient="row"))
    finally:
        server.close()  # ends what is still asked, so that Ctrl-C and errors need not wait for it
        pool.shutdown(cancel_futures=True)
    if server.repeated:
        _log.warning("%s had to be sent again", counted(server.repeated, "request"))
    if bodies.broken:
        _log.warning(
            "%s in prompts got a space, because a server would read them as marks",
            counted(bodies.broken, "special token"),
        )


class _Bodies:
    """Makes the JSON of requests; the image of the last entry is kept encoded."""

    def __init__(
        self,
        model: str,
        images: ImageStore,
        sizes: Mapping[str, tuple[int, int]],
        convention: BoxConvention,
        config: EvaluateConfig,
    ) -> None:
        self._images, self._sizes, self._convention = images, sizes, convention
        self._most = config.max_pixels
        self._fixed = {
            "model": model,
            "temperature": 0,
            "seed": config.seed,
            "max_tokens": config.max_new_tokens,
            "stream": False,
        }
        self._last: tuple[str, str] = ("", "")
        self.broken = 0

    def __call__(self, row: Mapping[str, Any]) -> bytes:
        image_id = row["image_id"]
        size = self._sizes[image_id]
        boxes = [box_of(box) for box in row["boxes"] or []]
        text, broken = written(
            row["entry_id"], row["prompt"], row["target"], boxes, size, self._convention
        )
        self.broken += broken
        if self._last[0] != image_id:
            url = data_url(self._images(image_id), size, self._convention, self._most)
            self._last = (image_id, url)
        content = [
            {"type": "image_url", "image_url": {"url": self._last[1]}},
            {"type": "text", "text": text},
        ]
        return json.dumps(
            {**self._fixed, "messages": [{"role": "user", "content": content}]}
        ).encode()


def _replies(
    pool: ThreadPoolExecutor, server: ChatServer, bodies: Iterator[bytes], parallel: int
) -> Iterator[Reply]:
    """Yield the replies in the order of the bodies, of which few are made ahead."""
    waiting: deque[Future[Reply]] = deque()
    for body in bodies:
        waiting.append(pool.submit(server.ask, body))
        if len(waiting) == 2 * parallel:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _result(future: Future[Reply]) -> Reply:
    """Return the result of a future, and let Ctrl-C end the wait.

    A signal that comes just before a wait without a limit is noticed only after the wait.
    """
    while not wait([future], timeout=_POLL).done:
        pass
    return future.result()


def _row(entry_id: str, reply: Reply) -> Sequence[Any]:
    ended = reply.finish_reason != CUT
    return (
        entry_id, reply.text, reply.raw, reply.tokens, ended, reply.finish_reason, reply.model,
    )  # fmt: skip


def _releases(data: Dataset, entries: pl.DataFrame) -> set[str]:
    """Return the releases of the images, and of the annotations behind the prompts."""
    of_images = data.tables.images.join(entries.select("image_id"), on="image_id", how="semi")
    of_prompts = entries["sources"].explode().drop_nulls()
    return {*of_images["source"].cast(pl.String), *of_prompts.cast(pl.String)}


def _as_name(model: str) -> str:
    """Return the name of a model as that of a folder.

    Example:
        >>> _as_name("org/Model-7B"), _as_name("../up")
        ('org--Model-7B', 'up')
    """
    name = re.sub(r"[^\w.@+-]+", "--", model).strip(".-")
    return name or "model"
