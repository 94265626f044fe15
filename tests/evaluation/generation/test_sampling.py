"""Tests that sampled answers and log-probabilities equal those of the standard generate."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaxray.evaluation.generation import EncodedImages, Sampling
from imaxray.evaluation.generation.sampling import draw
from imaxray.models.tiny import build_tiny, tiny_families

SIZES = {"a": (96, 96), "b": (120, 60), "c": (64, 112)}
QUESTIONS = ["Where is the nodule?", "Write the report, with all that can be seen.", "Edema?"]
NEW = 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        grey = random.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(grey).save(folder / f"{name}.png")
    return folder


def lively(family):
    chat = build_tiny(family, dtype=torch.float64)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in chat.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return chat


def material(chat, folder):
    images = [name for name in SIZES for _ in QUESTIONS]
    prompts = [chat.encode(q, None, [], SIZES[name]).prompt for name in SIZES for q in QUESTIONS]
    return images, prompts, {name: chat.pixels(folder / f"{name}.png") for name in SIZES}


@pytest.mark.parametrize("family", tiny_families())
def test_shared_prefixes_draw_what_stock_generate_draws(family, pictures, monkeypatch):
    chat = lively(family)
    images, prompts, pixels = material(chat, pictures)
    sampling = Sampling(1.3, [11 * k + 2**63 for k in range(len(prompts))])
    shared = EncodedImages(chat, SIZES, pixels)
    drawn = shared.ask(images, prompts, max_new_tokens=NEW, sampling=sampling)
    greedy = shared.ask(images, prompts, max_new_tokens=NEW)
    small = shared.ask(images, prompts, max_new_tokens=NEW, sampling=sampling, rows_per_batch=2)
    asking = "imaxray.evaluation.generation.encoded_images.PACKABLE"
    monkeypatch.setattr(asking, frozenset())
    alone = EncodedImages(chat, SIZES, pixels)
    for ours, theirs in (
        (drawn, alone.ask(images, prompts, max_new_tokens=NEW, sampling=sampling)),
        (greedy, alone.ask(images, prompts, max_new_tokens=NEW)),
        (drawn, small),
    ):
        assert [w.ids for w in ours] == [w.ids for w in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert len(a.logprobs) == len(a.ids)
            np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-6)
    assert [w.ids for w in drawn] != [w.ids for w in greedy]


def test_a_template_that_begins_with_the_question_shares_nothing(pictures):
    chat = lively("internvl")
    chat.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}"
        "{{ c['text'] }}{% endfor %}<IMG_CONTEXT>\n<|im_end|>{% endfor %}"
    )
    images, prompts, pixels = material(chat, pictures)
    found = EncodedImages(chat, SIZES, pixels).ask(images, prompts, max_new_tokens=3)
    assert len({tuple(w.ids) for w in found}) > 1


def test_tokens_are_drawn_by_their_share():
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, -torch.inf]])
    count = 20_000
    rows = draw(logits.expand(count, -1), Sampling(0.7, range(count)), list(range(count)), 3)
    found = torch.bincount(rows, minlength=5) / count
    wanted = (logits[0] / 0.7).softmax(-1)
    # four standard errors
    assert ((found - wanted).abs() <= 4 * (wanted * (1 - wanted) / count).sqrt() + 1e-12).all()
    assert found[4] == 0


def test_steps_and_rows_have_their_own_chance():
    logits = torch.zeros(4, 50)
    sampling = Sampling(1.0, [7, 8, 9, 10])
    steps = [draw(logits, sampling, [0, 1, 2, 3], step).tolist() for step in range(4)]
    assert len({tuple(step) for step in steps}) == 4
    # a row that others have left before it draws the same
    assert draw(logits[:1], sampling, [2], 1).tolist() == [steps[1][2]]
