"""Tests how much more probable the image makes an answer, and the filter by this score."""

import math

import polars as pl
import pytest
import torch

from imaxray.cache import ImageStore
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import text_logprobs
from imaxray.models import build_tiny, phantom
from imaxray.pseudo import (
    PSEUDO,
    AnnotateConfig,
    AskConfig,
    FilterConfig,
    annotate,
    annotate_images,
    ask_entries,
    filter_folder,
)
from imaxray.pseudo.selecting.advantage import scored_by_advantage
from imaxray.pseudo.selecting.calibrate import CONFIDENCE
from imaxray.pseudo.table import ADDED, require_sound
from imaxray.schema import image_sizes
from imaxray.training import prepare_images

ASKED = AskConfig(
    tasks=("grading", "vqa", "rec", "reg"), limit=10, max_new_tokens=12, top_k=1,
    visual_advantage=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def chat(run_folder):
    chat = phantom.load(run_folder / "model")
    chat.model.double()
    return chat


@pytest.fixture(scope="module")
def pixels(chat, decentralized):
    ids = decentralized.tables.images["image_id"].sort().to_list()
    return prepare_images(chat, ids, ImageStore(decentralized))


@pytest.fixture(scope="module")
def made(chat, pixels, decentralized):
    return annotate_images(chat, decentralized.tables, pixels, ASKED)


@torch.inference_mode()
def directly(chat, prompt, answer):
    """The mean log-probability of an answer after a prompt of words, one sequence, float64."""
    ids = torch.tensor([[*prompt, *answer]])
    assert not (ids == chat.image_token).any()
    logits = chat.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].double()
    likely = logits[len(prompt) - 1 : -1].log_softmax(dim=-1)
    return float(likely.gather(1, torch.tensor(answer)[:, None]).mean())


def test_it_is_the_difference_of_two_direct_computations(made, chat, pixels, decentralized):
    sizes = image_sizes(decentralized.tables.images)
    assert set(made["task"]) >= {"grading", "vqa", "rec"}
    for row in made.iter_rows(named=True):
        size = sizes[row["image_id"]]
        whole = chat.encode(row["prompt"], None, row["boxes"], size).prompt
        answer = row["token_ids"]
        ids = torch.tensor([[*whole, *answer]])
        with torch.inference_mode():
            logits = chat.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                **{k: v.double() for k, v in chat.join([pixels[row["image_id"]]]).items()},
            ).logits[0]
        likely = logits[len(whole) - 1 : -1].double().log_softmax(dim=-1)
        seen = float(likely.gather(1, torch.tensor(answer)[:, None]).mean())
        unseen = directly(chat, chat.text_prompt(row["prompt"], row["boxes"], size), answer)
        assert row["logprob"] == pytest.approx(seen, abs=1e-9)
        assert row["visual_advantage"] == pytest.approx(seen - unseen, abs=1e-9)


def test_the_prompt_without_the_image_lacks_the_image_alone(chat):
    assert chat.image_token in chat.encode("Is it?", None, [], (64, 64)).prompt
    bare = chat.text_prompt("Is it <box>?", [[1.0, 2.0, 30.0, 40.0]], (64, 64))
    assert chat.image_token not in bare and "Is it" in chat.decode(bare)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "gemma3", "llava_onevision", "internvl"])
def test_batches_change_nothing_in_any_family(family):
    chat = build_tiny(family)
    chat.model.double().eval()
    texts = ("Is there edema?", "Where is the small left pleural effusion in this image?", "Why?")
    prompts = [chat.text_prompt(text, [], (64, 64)) for text in texts * 2]
    answers = [[95, 96, 97], [98], [99, 100, 101, 102], [64, 65], [66] * 9, [67]]
    wanted = [directly(chat, p, a) for p, a in zip(prompts, answers, strict=True)]
    for rows in (1, 4, 100):
        found = text_logprobs(chat, prompts, answers, rows_per_batch=rows)
        assert found == pytest.approx(wanted, abs=1e-9)


def test_it_is_only_measured_if_it_is_asked_for(chat, pixels, decentralized, made):
    plain = ASKED.model_copy(update={"visual_advantage": False})
    found = annotate_images(chat, decentralized.tables, pixels, plain)
    assert found["visual_advantage"].is_null().all()
    assert found.drop("visual_advantage").equals(made.drop("visual_advantage"))
    assert "visual_advantage" not in plain.decides()
    assert ASKED.decides()["visual_advantage"] is True


def test_answers_to_real_entries_are_scored_alike(chat, pixels, decentralized):
    found = ask_entries(chat, decentralized.tables, pixels, split="val", config=ASKED)
    assert found.height and not found["visual_advantage"].is_null().any()


def test_the_score_is_the_share_of_the_probability_that_needs_the_image(made):
    scored = scored_by_advantage(made.with_columns(pl.lit(0.5).alias("agreement")))
    for row in scored.iter_rows(named=True):
        seen = math.exp(row["logprob"])
        unseen = math.exp(row["logprob"] - row["visual_advantage"])
        assert row["score"] == pytest.approx(0.5 * seen / (seen + unseen))
    assert scored.select(CONFIDENCE).to_series().equals(scored["score"], check_names=False)
    # an external annotator's answer has no advantage, so its confidence counts
    mixed = made.with_columns(
        pl.when(pl.int_range(pl.len()) > 0).then("visual_advantage").alias("visual_advantage")
    )
    first = scored_by_advantage(mixed).head(1)
    assert first["score"][0] is None
    assert first.select(CONFIDENCE).item() == pytest.approx(math.exp(first["logprob"][0]))


def test_numbers_that_cannot_be_are_one_sentence(made, tmp_path):
    require_sound(made, tmp_path)
    require_sound(made.drop(*ADDED), tmp_path)
    wrong = made.with_columns(pl.lit(math.inf).alias("visual_advantage"))
    with pytest.raises(ImaxrayError, match="finite numbers in the column visual_advantage"):
        require_sound(wrong, tmp_path)


def test_an_annotation_is_filtered_by_it_and_without_it_that_is_refused(
    run_folder, decentralized, tmp_path
):
    options = {
        "tasks": ("findings", "grading", "vqa"), "max_new_tokens": 12, "limit": 8,
    }  # fmt: skip
    done = annotate(run_folder, decentralized, tmp_path / "with",
                    AnnotateConfig(**options, visual_advantage=True))  # fmt: skip
    assert done.manifest["identity"]["config"]["visual_advantage"] is True
    made = {
        score: filter_folder(
            tmp_path / "with", decentralized.folder, tmp_path / score,
            FilterConfig(score=score, risk=None, precision=0.1, consistency=False),
        )
        for score in ("confidence", "visual-advantage")
    }  # fmt: skip
    content = [made[score].dataset.manifest["config"]["pseudo"] for score in made]
    assert "score" not in content[0] and content[1]["score"] == "visual-advantage"
    with pytest.raises(ImaxrayError, match="another"):
        annotate(run_folder, decentralized, tmp_path / "with", AnnotateConfig(**options))
    annotate(run_folder, decentralized, tmp_path / "without", AnnotateConfig(**options))
    with pytest.raises(ImaxrayError, match="annotate with --visual-advantage"):
        filter_folder(tmp_path / "without", decentralized.folder, tmp_path / "x",
                      FilterConfig(score="visual-advantage", risk=None))  # fmt: skip


def test_killed_and_run_again_gives_the_same(run_folder, decentralized, tmp_path, monkeypatch):
    config = AnnotateConfig(
        tasks=("grading",), max_new_tokens=6, limit=9, calibration_per_task=3,
        images_per_batch=3, visual_advantage=True,
    )  # fmt: skip
    whole = annotate(run_folder, decentralized, tmp_path / "whole", config)
    calls = []

    def stopped(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return text_logprobs(*args, **kwargs)

    monkeypatch.setattr("imaxray.pseudo.annotating.batch.text_logprobs", stopped)
    with pytest.raises(KeyboardInterrupt):
        annotate(run_folder, decentralized, tmp_path / "cut", config)
    again = annotate(run_folder, decentralized, tmp_path / "cut", config)
    assert again.candidates.equals(whole.candidates)
    assert again.candidates.schema == PSEUDO
    for name in ("candidates.parquet", "calibration.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_vllm_cannot_measure_it(run_folder, decentralized, tmp_path):
    config = AnnotateConfig(engine="vllm", visual_advantage=True)
    with pytest.raises(ImaxrayError, match="leave --visual-advantage out"):
        annotate(run_folder, decentralized, tmp_path / "x", config)
