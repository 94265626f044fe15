"""Tests that shared prefixes give the tokens of single prompts, in every model family."""

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import generate
from imaxray.models import PhantomConfig, phantom
from imaxray.models.tiny import build_tiny, tiny_families

SIZES = [(96, 96), (120, 60), (64, 112), (96, 96)]
QUESTIONS = [
    ("Where is the nodule?", []),
    ("What is at <box>?", [(5.0, 5.0, 50.0, 60.0)]),
    ("Write the report, with all that can be seen of heart and lungs.", []),
    ("Edema?", []),
]
NEW = 10


def options(family):
    """Windows shorter than any row, where the family's text model knows windows."""
    slides = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
    return {
        "gemma3": {"sliding_window": 7},
        "llava": {"sliding_window": 7},
        "internvl": slides,
        "llava_onevision": slides,
        "qwen2_5_vl": slides,
    }.get(family, {})


def lively(chat):
    """Weights larger than at birth, so that answers differ by image and question."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in chat.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return chat


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for k, (width, height) in enumerate(SIZES):
        grey = random.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(grey).save(folder / f"i{k}.png")
    return folder


def material(chat, folder, counts=(4, 2, 3, 1)):
    """Entries of four images of three sizes, their tokens, and the image inputs."""
    rows = [(f"i{k}-{q}", f"i{k}", *QUESTIONS[q]) for k, n in enumerate(counts) for q in range(n)]
    entries = pl.DataFrame([r[:2] for r in rows], schema=["entry_id", "image_id"], orient="row")
    encoded = {e: chat.encode(p, None, b, SIZES[int(i[1])]) for e, i, p, b in rows}
    pixels = {f"i{k}": chat.pixels(folder / f"i{k}.png") for k in range(len(counts))}
    return entries, encoded, pixels


def stock(chat, entries, encoded, pixels):
    """New ids by stock ``generate``, by the model's own names for its inputs."""
    found = {}
    for entry, image in entries.rows():
        ids = torch.tensor([encoded[entry].prompt])
        inputs = {
            k: v.to(chat.model.dtype) if v.is_floating_point() else v
            for k, v in pixels[image].items()
        }
        kind = chat.model.config.model_type
        named = {"gemma3": "token_type_ids"}.get(kind, "mm_token_type_ids" if "qwen" in kind else 0)
        if named:
            inputs[named] = (ids == chat.image_token).long()
        out = chat.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), **inputs, max_new_tokens=NEW,
            do_sample=False, pad_token_id=chat.tokenizer.pad_token_id,
            eos_token_id=chat.end_of_turn,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        found[entry] = out
    return found


def one_by_one(chat, *data):
    return {entry: chat.tokenizer.decode(ids) for entry, ids in stock(chat, *data).items()}


@pytest.mark.parametrize("windows", [False, True], ids=["full", "windows"])
@pytest.mark.parametrize("family", tiny_families())
def test_the_same_tokens_as_stock_generate(family, windows, pictures):
    if windows and not options(family):
        pytest.skip("the family knows no windows")
    chat = build_tiny(family, dtype=torch.float64, **(options(family) if windows else {}))
    data = material(lively(chat), pictures)
    alone = one_by_one(chat, *data)
    assert len(set(alone.values())) > 3
    for images in (1, 3, 16):
        together = generate(chat, *data, max_new_tokens=NEW, images_per_batch=images)
        assert dict(together.select("entry_id", "raw").iter_rows()) == alone


def test_rows_leave_when_they_end(pictures):
    chat = lively(build_tiny("qwen2_5_vl", dtype=torch.float64))
    data = material(chat, pictures)
    # the token that rows write at most different places becomes the end of turn
    free = stock(chat, *data).values()
    first = {id_: {row.index(id_) for row in free if id_ in row} for row in free for id_ in row}
    chat.__dict__["end_of_turn"] = max(first, key=lambda id_: len(first[id_]))
    chat.model.generation_config.eos_token_id = None
    ending = generate(chat, *data, max_new_tokens=NEW)
    assert ending["ended"].sum() > 0 and ending["tokens"].n_unique() > 2
    assert dict(ending.select("entry_id", "raw").iter_rows()) == one_by_one(chat, *data)


def test_an_image_with_more_prompts_than_a_batch_holds(pictures):
    chat = lively(build_tiny("llava", dtype=torch.float64))
    data = material(chat, pictures)
    cut = generate(chat, *data, max_new_tokens=NEW, rows_per_batch=3)
    assert cut.equals(generate(chat, *data, max_new_tokens=NEW))
    assert cut["entry_id"].to_list() == sorted(data[0]["entry_id"])


def test_prompts_that_differ_before_the_image_share_nothing(pictures):
    chat = lively(build_tiny("internvl", dtype=torch.float64))
    chat.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}"
        "{{ c['text'] }}{% endfor %}<IMG_CONTEXT>\n<|im_end|>{% endfor %}"
    )
    data = material(chat, pictures)
    together = generate(chat, *data, max_new_tokens=NEW)
    assert dict(together.select("entry_id", "raw").iter_rows()) == one_by_one(chat, *data)


def test_an_adapter_answers(pictures):
    from peft import LoraConfig, get_peft_model

    chat = lively(build_tiny("qwen3_vl", dtype=torch.float64))
    plain = generate(chat, *material(chat, pictures), max_new_tokens=NEW)
    torch.manual_seed(0)
    chat.model = get_peft_model(
        chat.model, LoraConfig(r=4, target_modules=chat.lora_targets, init_lora_weights=False)
    )
    data = material(chat, pictures)
    adapted = generate(chat, *data, max_new_tokens=NEW)
    assert dict(adapted.select("entry_id", "raw").iter_rows()) == one_by_one(chat, *data)
    assert not adapted.equals(plain)


def test_the_attention_of_before_comes_back(pictures):
    chat = build_tiny("gemma3")
    generate(chat, *material(chat, pictures), max_new_tokens=1)
    assert chat.model.config.get_text_config()._attn_implementation == "sdpa"


def test_a_family_that_is_not_proven_is_asked_one_by_one(pictures, monkeypatch, caplog):
    chat = lively(build_tiny("llava", dtype=torch.float64))
    data = material(chat, pictures)
    shared = generate(chat, *data, max_new_tokens=NEW)
    module = "imaxray.evaluation.generation.answering.PACKABLE"
    monkeypatch.setattr(module, frozenset())
    assert generate(chat, *data, max_new_tokens=NEW).equals(shared)
    assert "one by one" in caplog.text


def test_a_prompt_beyond_the_context_is_told(pictures):
    chat = build_tiny("llava", max_position_embeddings=24)
    with pytest.raises(ImaxrayError, match="within the 24 tokens"):
        generate(chat, *material(chat, pictures))


def test_the_phantom(tmp_path):
    config = PhantomConfig(image_size=32, patch_size=8, width=32, vocabulary=340, vision_layers=1)
    corpus = [*(q for q, _ in QUESTIONS), "yes no 0.52 left right lung"] * 9
    chat = lively(phantom.build(config, corpus, seed=0))
    pixels = {f"i{k}": {"pixel_values": torch.randn(1, 1, 32, 32)} for k in range(4)}
    entries = pl.DataFrame(
        [(f"i{k}-{q}", f"i{k}") for k in range(4) for q in range(k + 1)],
        schema=["entry_id", "image_id"],
        orient="row",
    )
    encoded = {
        e: chat.encode(QUESTIONS[int(e[-1])][0], None, QUESTIONS[int(e[-1])][1], (100, 100))
        for e in entries["entry_id"]
    }
    together = generate(chat, entries, encoded, pixels, max_new_tokens=NEW, images_per_batch=2)
    alone = one_by_one(chat, entries, encoded, pixels)
    assert dict(together.select("entry_id", "raw").iter_rows()) == alone
    assert (together["text"] != "").any()
