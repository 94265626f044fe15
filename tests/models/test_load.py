"""Tests loading of models by name and folder, and the error messages of wrong names."""

import json
import re
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from imaxray.boxes import CONVENTIONS
from imaxray.errors import ImaxrayError
from imaxray.models import (
    ChatModel,
    PhantomConfig,
    adapter_base,
    build_tiny,
    find_row,
    list_models,
    load_model,
    phantom,
)
from imaxray.models.load import FAMILIES
from imaxray.models.saved import SIDECAR


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_registry_rows_are_whole():
    rows = list_models()
    assert [row.name for row in rows] == sorted({row.name for row in rows})
    assert {row.family for row in rows} == set(FAMILIES)
    for row in rows:
        assert row.convention in CONVENTIONS and row.licence
        if row.repository is not None:
            # a commit, or the plain word that none is known yet
            assert re.fullmatch(r"[0-9a-f]{40}", row.pinned) or "first download" in row.pinned
            assert find_row(row.repository) == find_row(row.name.upper()) == row


def test_listing_needs_no_torch():
    code = (
        "import sys; from imaxray.models import list_models; list_models()\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("lingshu", "lingshu-7b"),
        ("medgema", "medgemma-1.5-4b"),
        ("no/such/folder", "imaxray models"),
        ("nobody/has-this", "imaxray models"),
        ("mbzuai/medmo", "medmo-"),
    ],
)
def test_unknown_names_get_the_nearest(name, near):
    with pytest.raises(ImaxrayError, match=near) as error:
        load_model(name, convention="percent", local_files_only=True)
    assert "\n" not in str(error.value)


def test_registry_weights_that_are_not_here():
    with pytest.raises(ImaxrayError, match=r"access: open.*--boxes pixels"):
        load_model("lingshu-7b", local_files_only=True)


def test_the_phantom_is_built_not_downloaded():
    with pytest.raises(ImaxrayError, match="imaxray study"):
        load_model("phantom")


def test_a_text_model_has_no_image_input(tmp_path):
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ImaxrayError, match=r"no image input \(its type is llama\)"):
        load_model(tmp_path, convention="percent")


def test_remote_code_is_never_run(tmp_path):
    (tmp_path / "modeling_evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = {
        "model_type": "chexagent",
        "auto_map": {
            "AutoConfig": "modeling_evil.Config",
            "AutoModelForImageTextToText": "modeling_evil.Model",
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ImaxrayError, match="never run"):
        load_model(tmp_path, convention="percent")
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_refused(tmp_path):
    chat = build_tiny("llava")
    chat.save(tmp_path)
    torch.save(chat.model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ImaxrayError, match="safetensors"):
        load_model(tmp_path)


def test_missing_weights_are_not_made_up(tmp_path):
    chat = build_tiny("llava")
    chat.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in sorted(weights) if "projector" in name)
    del weights[gone]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ImaxrayError, match="1 are missing"):
        load_model(tmp_path)


def test_a_folder_without_convention_must_be_told(tmp_path):
    build_tiny("qwen3_vl").save(tmp_path)
    (tmp_path / "imaxray.json").unlink()
    with pytest.raises(ImaxrayError, match="--boxes"):
        load_model(tmp_path)
    with pytest.raises(ImaxrayError, match="one of percent"):
        load_model(tmp_path, convention="per-mile")
    chat = load_model(tmp_path, convention="per-mille")
    assert (chat.convention.name, chat.family, chat.name) == (
        "per-mille",
        "qwen3_vl",
        str(tmp_path),
    )


def test_a_repository_that_is_another_family(tmp_path, monkeypatch):
    """Lingshu-I's row says InternVL; whatever lies there, its configuration decides."""
    build_tiny("qwen3_vl").save(tmp_path)
    from imaxray.models import load

    real = load.AutoConfig.from_pretrained
    monkeypatch.setattr(load.AutoConfig, "from_pretrained", lambda *_, **k: real(tmp_path))
    with pytest.raises(ImaxrayError, match="configuration says qwen3_vl"):
        load_model("lingshu-i-8b", local_files_only=True)


def test_the_phantom_loads_as_any_other(tmp_path):
    shape = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, vocabulary=300)
    made = phantom.build(shape, ["Where? [12, 34, 56, 78]"] * 3, seed=0)
    made.save(tmp_path)
    chat = load_model(tmp_path)
    assert isinstance(chat, phantom.PhantomModel) and chat.convention == made.convention
    args = ("Where?", "<box>", [(1.0, 2.0, 30.0, 40.0)], (50, 60))
    assert chat.encode(*args) == made.encode(*args)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl", "gemma3", "llava"])
def test_folders_laid_out_as_older_repositories(family, tmp_path):
    """preprocessor_config.json with a `Fast` class, chat_template.json, no imaxray.json."""
    made = build_tiny(family, seed=2)
    made.save(tmp_path)
    (tmp_path / "imaxray.json").unlink()
    whole = json.loads((tmp_path / "processor_config.json").read_text())
    images = whole.pop("image_processor")
    images["image_processor_type"] = images["image_processor_type"].removesuffix("Pil") + "Fast"
    images["processor_class"] = whole["processor_class"]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(images))
    (tmp_path / "processor_config.json").write_text(json.dumps(whole))
    if family == "llava":  # processors of that age did not count image tokens, nor chat
        (tmp_path / "processor_config.json").unlink()
        (tmp_path / "chat_template.jinja").unlink()
    else:
        template = (tmp_path / "chat_template.jinja").read_text()
        (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": template}))
        (tmp_path / "chat_template.jinja").unlink()
    chat = load_model(tmp_path, convention=made.convention.name)
    assert chat.convention == made.convention
    box = [(10.0, 20.0, 40.0, 80.0)]
    args = ("What is in <box>?", "at <box>", [*box, *box], (90, 133))
    assert chat.encode(*args) == made.encode(*args)
    Image.new("RGB", (90, 133), (70, 70, 70)).save(tmp_path / "image.png")
    one, two = made.pixels(tmp_path / "image.png"), chat.pixels(tmp_path / "image.png")
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_a_model_that_was_never_taught_to_chat(tmp_path):
    build_tiny("qwen3_vl").save(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(ImaxrayError, match=r"add chat_template\.jinja"):
        load_model(tmp_path)


def test_an_adapter_loads_on_its_base(tmp_path):
    from peft import LoraConfig, get_peft_model

    base = build_tiny("qwen2_5_vl", seed=3)
    base.save(tmp_path / "base")
    chat = load_model(tmp_path / "base")
    config = LoraConfig(r=2, target_modules=chat.lora_targets, init_lora_weights=False)
    chat.model = get_peft_model(chat.model, config).eval()
    chat.limit_image_tokens(8)
    chat.save(tmp_path / "adapter")
    again = load_model(tmp_path / "adapter")
    assert again.family == "qwen2_5_vl" and again.convention == chat.convention
    assert again.image_token == chat.image_token and again.image_tokens((640, 480)) <= 8
    ids = torch.tensor([chat.encode("Is there edema?", None, [], (640, 480)).prompt])
    text = torch.tensor([[i for i in ids[0].tolist() if i != chat.image_token]])
    with torch.inference_mode():
        one, two, bare = (m.model(input_ids=text).logits for m in (chat, again, base))
    assert torch.equal(one, two) and not torch.allclose(one, bare)


def trained_adapter(tmp_path, base):
    """An adapter on a folder, which is named as it was given to the training."""
    from peft import LoraConfig, get_peft_model

    build_tiny("llava").save(tmp_path / base)
    chat = load_model(base)
    chat.model = get_peft_model(chat.model, LoraConfig(r=2, target_modules=chat.lora_targets))
    chat.save(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_base_that_was_named_relatively_is_found_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapter = trained_adapter(tmp_path, "models/base")
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "models" / "base")
    monkeypatch.chdir("/")
    assert load_model(adapter).family == "llava"
    assert adapter_base(adapter) == str(tmp_path / "models" / "base")


def test_a_base_is_found_after_both_were_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    adapter = trained_adapter(tmp_path / "here", tmp_path / "here" / "models" / "base")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = tmp_path / "there" / adapter.relative_to(tmp_path / "here")
    assert load_model(moved).family == "llava"


@pytest.mark.parametrize("kept", [True, False])
def test_a_base_folder_is_no_repository(tmp_path, monkeypatch, kept):
    """If it is gone, ``models/base`` must not become a repository that anybody could own."""
    monkeypatch.chdir(tmp_path)
    adapter = trained_adapter(tmp_path, "models/base")
    if not kept:  # an adapter of an earlier version
        for name, key in (("adapter_config.json", "base_model_name_or_path"), (SIDECAR, "base")):
            content = json.loads((adapter / name).read_text())
            content.pop(key)
            content.pop("content_sha256", None)  # as the versions before it wrote
            if key != "base":
                content[key] = "models/base"
            (adapter / name).write_text(json.dumps(content))
    load_model("adapter")
    (tmp_path / "models" / "base").rename(tmp_path / "elsewhere")
    monkeypatch.chdir("/")

    def hub(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("imaxray.models.load.AutoConfig.from_pretrained", hub)
    with pytest.raises(
        ImaxrayError, match=r"base model of the adapter .* no such folder"
    ) as raised:
        load_model(adapter)
    said = str(raised.value)
    assert str(adapter) in said and str(adapter / "adapter_config.json") in said
    assert (str(tmp_path / "models" / "base") if kept else "in the folder models/base") in said


def test_a_base_folder_beside_its_adapter_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapter = trained_adapter(tmp_path, "base")
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../base"
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    monkeypatch.chdir("/")
    assert load_model(adapter).family == "llava"


def test_pickled_adapters_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapter = trained_adapter(tmp_path, "base")
    weights = load_file(adapter / "adapter_model.safetensors")
    torch.save(weights, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ImaxrayError, match="pickled weights are not opened"):
        load_model(adapter)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/x/y.safetensors", "pytorch.bin"])
def test_an_index_names_files_of_its_folder(tmp_path, name):
    build_tiny("llava").save(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    index = {"weight_map": dict.fromkeys(load_file(weights), name)}
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps(index))
    weights.rename(tmp_path / "outside.safetensors")
    with pytest.raises(ImaxrayError, match="safetensors files beside it"):
        load_model(tmp_path / "model")


def test_other_native_models_by_folder(tmp_path):
    """A family without a module of its own: the processor says all that is needed."""
    from transformers import (
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextProcessor,
        Qwen2Config,
    )
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    from imaxray.models.tiny import text

    tokenizer = text.qwen_tokenizer(text.CORPUS, (), image_token="<image>")
    grids = [[28, 56], [56, 28], [56, 56]]
    config = LlavaNextConfig(
        text_config=Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1,
        ),
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            image_size=28, patch_size=14, projection_dim=32,
        ),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=grids,
    )  # fmt: skip
    model = LlavaNextForConditionalGeneration(config)
    processor = LlavaNextProcessor(
        LlavaNextImageProcessorPil(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28},
            image_grid_pinpoints=grids,
        ),
        tokenizer, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=text.TEMPLATES["llava_onevision"],
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    chat = load_model(tmp_path, convention="per-mille")
    assert type(chat) is ChatModel and chat.family == "other"
    for size in [(61, 47), (40, 99)]:
        image = Image.new("RGB", size, (90, 90, 90))
        image.save(tmp_path / "image.png")
        entry = chat.encode("Is there edema?", None, [], size)
        turns = [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": image},
                    {"type": "text", "text": "Is there edema?"},
                ],
            }
        ]
        asked = chat.processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        assert asked["input_ids"][0].tolist() == entry.prompt
        pixels = chat.pixels(tmp_path / "image.png")
        assert set(pixels) == {"pixel_values", "image_sizes"}
        chat.model(input_ids=asked["input_ids"], **pixels)
