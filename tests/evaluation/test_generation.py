"""Shared-prefix generation gives the very tokens of asking entry by entry."""

import polars as pl
import pytest
import torch

from imaxray.evaluation.generation import generate
from imaxray.models import PhantomConfig, phantom

QUESTIONS = [
    "Measure the ratio.",
    "Where is the heart in this image?",
    "Grade.",
    "List the findings.",
]


@pytest.fixture(scope="module")
def chat():
    config = PhantomConfig(image_size=32, patch_size=8, width=32, vocabulary=340, vision_layers=1)
    made = phantom.build(config, [*QUESTIONS, "yes no 0.52 left right lung"] * 9, seed=0)
    torch.manual_seed(0)
    for parameter in made.model.parameters():  # livelier than at birth: answers differ by image
        parameter.data += 0.12 * torch.randn_like(parameter)
    return made


def test_the_same_tokens_as_one_by_one(chat):
    images = {f"i{k}": {"pixel_values": torch.randn(1, 1, 32, 32)} for k in range(3)}
    rows = [(f"{i}-{q}", i, QUESTIONS[q]) for k, i in enumerate(images) for q in range(k + 2)]
    entries = pl.DataFrame([r[:2] for r in rows], schema=["entry_id", "image_id"], orient="row")
    encoded = {e: chat.encode(text, None, [], (100, 100)) for e, _, text in rows}
    together = dict(
        generate(chat, entries, encoded, images, max_new_tokens=12, images_per_batch=2).iter_rows()
    )
    alone = {}
    for entry, image, _ in rows:
        ids = torch.tensor([encoded[entry].prompt])
        out = chat.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), **images[image],
            max_new_tokens=12, do_sample=False, pad_token_id=chat.tokenizer.pad_token_id,
        )  # fmt: skip
        alone[entry] = chat.decode(out[0, ids.shape[1] :].tolist())
    assert together == alone
    assert len(set(alone.values())) > 2
