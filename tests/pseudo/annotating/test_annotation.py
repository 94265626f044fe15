"""Tests annotation: it is complete, resumes, and is the same with every engine."""

import json
import subprocess
import sys
import time
import types

import polars as pl
import pytest
import torch
from peft import LoraConfig, get_peft_model

from imaxray.cache import ImageStore
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import generate
from imaxray.models import load_model, phantom
from imaxray.models.tiny import build_tiny
from imaxray.pseudo import PSEUDO, AnnotateConfig, annotate, annotate_images, ask_entries
from imaxray.pseudo.annotating.annotation import summarise
from imaxray.pseudo.selecting.questions import truth_of
from imaxray.schema import FRONTAL, TASKS
from imaxray.tasks import from_json, get_task
from imaxray.training import prepare_images


@pytest.fixture(scope="module")
def chat(run_folder):
    return phantom.load(run_folder / "model")


@pytest.fixture(scope="module")
def pixels(chat, decentralized):
    ids = decentralized.tables.images["image_id"].sort().to_list()
    return prepare_images(chat, ids, ImageStore(decentralized))


WORDS = {"max_new_tokens": 40, "images_per_batch": 4, "samples": 2, "calibration_per_task": 3}


@pytest.fixture(scope="module")
def whole(run_folder, decentralized, tmp_path_factory):
    return annotate(
        run_folder,
        decentralized,
        tmp_path_factory.mktemp("out") / "pseudo",
        AnnotateConfig(**WORDS),
    )


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}


def command(run_folder, data, out, *more):
    words = ["annotate", str(run_folder), "--data", str(data.folder), "--out", str(out)]
    for name, value in WORDS.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return [sys.executable, "-m", "imaxray.cli", *words, *more]


def test_every_task_that_an_image_lacks_is_asked(whole, decentralized):
    table, tables = whole.candidates, decentralized.tables
    assert table.schema == PSEUDO and table["pseudo_id"].is_sorted()
    assert table["pseudo_id"].n_unique() == table.height
    assert not set(table["pseudo_id"]) & set(tables.entries["entry_id"])
    train = tables.images.filter(pl.col("split") == "train")
    frontal = train.filter(pl.col("view").is_null() | pl.col("view").is_in(FRONTAL))
    assert 0 < frontal.height < train.height
    has = set(tables.split("train").select("image_id", "task").iter_rows())
    asked = set(table.select("image_id", "task").iter_rows())
    assert not asked & has
    lacking = {(image, task) for image in frontal["image_id"] for task in TASKS} - has
    # REG needs a box: nothing else may be missing
    assert {task for _, task in lacking - asked} <= {"reg"} and not asked - lacking
    account = whole.manifest["account"]
    assert sum(account["lacking"].values()) == len(lacking)
    assert sum(account["without_prompt"].values()) == len(lacking - asked)
    assert account["left_out"]["not-frontal"] == train.height - frontal.height
    assert sum(account["rows"].values()) == table.height
    patients = dict(tables.images.select("image_id", "patient_id").iter_rows())
    assert all(patients[i] == p for i, p in table.select("image_id", "patient_id").iter_rows())


def test_the_images_are_encoded_once(chat, decentralized, pixels):
    seen = []
    handle = chat.model.model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(
            len(args[0] if args else kwargs["pixel_values"])
        ), with_kwargs=True,
    )  # fmt: skip
    config = AnnotateConfig(max_new_tokens=8, samples=2, images_per_batch=5)
    table = annotate_images(chat, decentralized.tables, pixels, config)
    handle.remove()
    assert sum(seen) == table["image_id"].n_unique() < table.height / 5


def test_answers_are_those_of_generate_and_probabilities_those_of_the_model(
    whole, chat, decentralized, pixels
):
    table = whole.candidates
    sizes = {
        i: (w, h)
        for i, w, h in decentralized.tables.images.select("image_id", "width", "height").iter_rows()
    }
    encoded = {
        row["pseudo_id"]: chat.encode(row["prompt"], None, row["boxes"], sizes[row["image_id"]])
        for row in table.iter_rows(named=True)
    }
    entries = table.rename({"pseudo_id": "entry_id"})
    plain = generate(chat, entries, encoded, pixels, max_new_tokens=40)
    both = table.join(plain, left_on="pseudo_id", right_on="entry_id", suffix="_plain")
    for column in ("text", "raw", "tokens", "ended"):
        assert both[column].equals(both[f"{column}_plain"].alias(column))
    for row in table.sample(12, seed=0).iter_rows(named=True):
        prompt = encoded[row["pseudo_id"]].prompt
        # written ids are raw text again: byte-level BPE is read back from the greedy run itself
        ids = torch.tensor([prompt])
        picture = pixels[row["image_id"]]["pixel_values"]
        logprobs = []
        for _ in range(row["tokens"]):
            with torch.inference_mode():
                logits = chat.model(input_ids=ids, pixel_values=picture).logits[0, -1].double()
            best = int(logits.argmax())
            logprobs.append(float(logits.log_softmax(-1)[best]))
            ids = torch.cat([ids, torch.tensor([[best]])], dim=1)
        assert chat.tokenizer.decode(ids[0, len(prompt) :]) == row["raw"]
        assert row["logprob"] == pytest.approx(sum(logprobs) / len(logprobs), abs=1e-4)


def test_answers_that_can_be_read_are_stated_as_entries_state_them(whole):
    table = pl.concat([whole.candidates, whole.calibration])
    assert table["answer"].is_null().equals(table["target"].is_null())
    assert set(table.drop_nulls("answer")["task"]) == set(TASKS)  # each is read somewhere
    assert table["answer"].is_null().any()  # and what cannot be read stays
    for row in table.drop_nulls("answer").iter_rows(named=True):
        task, asked = get_task(row["task"]), row["prompt"].count("<box>")
        assert asked + row["target"].count("<box>") == len(row["boxes"])
        parsed = task.parse(row["target"], row["boxes"][asked:], row["template"])
        gold = task.as_gold(parsed, row["template"])
        answer = from_json(row["answer"])
        if row["task"] == "calculation":  # the target states two decimals
            assert abs(gold.answer - answer) <= 0.005 + 1e-9
        else:
            assert gold.answer == answer and gold.target == row["target"]
        assert task.same(answer, answer)


def test_prompts_of_later_passes_are_made_of_answers(whole, decentralized):
    table = whole.candidates
    rec = table.filter(pl.col("task") == "rec").drop_nulls("answer")
    given = {(r["image_id"], tuple(from_json(r["answer"])[0])) for r in rec.iter_rows(named=True)}
    reg = table.filter(pl.col("task") == "reg", pl.col("prompt_from") == "model")
    assert reg.height
    for row in reg.iter_rows(named=True):
        assert (row["image_id"], tuple(row["boxes"][0])) in given


def test_nothing_is_asked_that_an_entry_of_the_image_answers(whole, decentralized):
    train, table = decentralized.tables.split("train"), whole.candidates
    assert truth_of(table, train) == {}
    phrases, boxes = set(), set()
    for row in train.iter_rows(named=True):
        if row["task"] == "reg":
            phrases |= {(row["image_id"], phrase) for phrase in from_json(row["answer"])}
        if row["task"] == "rec":
            boxes |= {(row["image_id"], tuple(box)) for box in row["boxes"]}
    rec, reg = get_task("rec"), table.filter(pl.col("task") == "reg")
    located = {
        (row["image_id"], rec.fill_of(row["template"], row["prompt"]))
        for row in table.filter(pl.col("task") == "rec").iter_rows(named=True)
    }
    assert phrases and boxes and located and reg.height
    assert not located & phrases
    assert not {(r["image_id"], tuple(r["boxes"][0])) for r in reg.iter_rows(named=True)} & boxes
    known = whole.manifest["account"]["known"]
    # each phrase of a REG entry was a prompt, and each box of a REC entry that is alone
    frontal = set(table["image_id"])
    assert known["rec"]["box-known"] >= len({p for p in phrases if p[0] in frontal})
    single = train.filter(pl.col("task") == "rec", pl.col("boxes").list.len() == 1)
    alone = {(i, tuple(b[0])) for i, b in single.select("image_id", "boxes").iter_rows()}
    assert known["reg"]["phrase-known"] == len({p for p in alone if p[0] in frontal})
    assert known["vqa"]["implied"] > 0


def test_real_validation_entries_are_asked_as_they_are(whole, chat, decentralized, pixels):
    val = decentralized.tables.split("val")
    asked = whole.calibration.join(val, left_on="pseudo_id", right_on="entry_id", suffix="_of")
    assert asked.height == whole.calibration.height == val.group_by("task").len().select(
        pl.min_horizontal("len", 3).sum()
    ).item()  # fmt: skip
    for column in ("prompt", "template", "task", "image_id"):
        assert asked[column].equals(asked[f"{column}_of"].alias(column))
    everything = ask_entries(
        chat, decentralized.tables, pixels, AnnotateConfig(max_new_tokens=40)
    )  # fmt: skip
    assert everything.height == val.height
    both = everything.join(whole.calibration, on="pseudo_id", suffix="_some")
    assert both["text"].equals(both["text_some"].alias("text"))


def test_samples_do_not_depend_on_the_batch(whole, chat, decentralized, pixels):
    config = AnnotateConfig(max_new_tokens=40, images_per_batch=50, rows_per_batch=64, samples=2)
    other = annotate_images(chat, decentralized.tables, pixels, config)
    both = whole.candidates.join(other, on="pseudo_id", suffix="_other")
    assert both.height == other.height == whole.candidates.height
    assert both["agreement"].equals(both["agreement_other"].alias("agreement"))
    assert both["agreement"].n_unique() == 3  # none, one or both of two
    again = annotate_images(
        chat, decentralized.tables, pixels, config.model_copy(update={"seed": 1})
    )
    assert not again["agreement"].equals(other["agreement"])
    assert again["text"].equals(other["text"])  # the greedy answer knows no seed


def test_without_samples_there_is_no_agreement_and_at_no_temperature_all_agree(
    chat, decentralized, pixels
):
    config = AnnotateConfig(max_new_tokens=40, limit=6)
    none = annotate_images(chat, decentralized.tables, pixels, config)
    assert none["agreement"].is_null().all() and none["image_id"].n_unique() == 6
    cold = config.model_copy(update={"samples": 2, "temperature": 1e-6})
    table = annotate_images(chat, decentralized.tables, pixels, cold)
    assert table["agreement"].equals(table["answer"].is_not_null().cast(float).alias("agreement"))


def test_killed_and_run_again(whole, run_folder, decentralized, tmp_path):
    out = tmp_path / "out"
    words = command(run_folder, decentralized, out)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    parts = out / "annotate.parts"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(parts.glob("*.parquet"))) >= 2:
            process.kill()
            break
        time.sleep(0.002)
    assert process.wait() == -9, process.stderr.read()
    process.stderr.close()
    (parts / f".candidates-000009.parquet.{0:032x}.part").write_bytes(b"half a part")
    before = {p.name: p.stat().st_mtime_ns for p in parts.glob("*.parquet")}
    assert len(before) >= 2 and not (out / "candidates.parquet").exists()
    subprocess.run(words, check=True, capture_output=True)
    assert files(out) == files(whole.folder)


def test_a_finished_one_is_not_asked_again(whole, run_folder, decentralized, monkeypatch):
    def never(*_, **__):
        raise AssertionError("asked again")

    monkeypatch.setattr("imaxray.pseudo.annotating.model_answers.Worker", never)
    again = annotate(run_folder, decentralized, whole.folder, AnnotateConfig(**WORDS))
    assert again.candidates.equals(whole.candidates) and again.manifest == whole.manifest


def test_another_config_is_refused_in_one_sentence(whole, run_folder, decentralized, tmp_path):
    words = {**WORDS, "samples": 3}
    with pytest.raises(
        ImaxrayError, match=r"config.samples is 2 there, 3 now; choose another --out"
    ):
        annotate(run_folder, decentralized, whole.folder, AnnotateConfig(**words))
    (tmp_path / "candidates.parquet").write_bytes(b"somebody's")
    with pytest.raises(ImaxrayError, match=r"of a known origin"):
        annotate(run_folder, decentralized, tmp_path, AnnotateConfig(**WORDS))


def test_a_lora_run_annotates(decentralized, tmp_path):
    base, run = tmp_path / "base", tmp_path / "run"
    build_tiny("qwen3_vl").save(base)
    tuned = load_model(base)
    torch.manual_seed(0)
    tuned.model = get_peft_model(
        tuned.model, LoraConfig(r=4, target_modules=tuned.lora_targets, init_lora_weights=False)
    )
    tuned.model.peft_config["default"].base_model_name_or_path = str(base)
    run.mkdir()
    (run / "started.json").write_text("{}")
    few = {"max_new_tokens": 4, "limit": 3, "calibration_per_task": 1}
    with pytest.raises(ImaxrayError, match="a finished run"):
        annotate(run, decentralized, tmp_path / "out", AnnotateConfig(**few))
    tuned.save(run / "adapter")
    (run / "run.json").write_text("{}")
    adapted = annotate(run, decentralized, tmp_path / "out", AnnotateConfig(**few))
    plain = annotate(base, decentralized, tmp_path / "plain", AnnotateConfig(**few))
    assert adapted.candidates.height and adapted.candidates["image_id"].n_unique() == 3
    assert not adapted.candidates["raw"].equals(plain.candidates["raw"])
    assert set(adapted.candidates["checkpoint"]) != set(plain.candidates["checkpoint"])


def test_ray_writes_the_same_bytes(whole, run_folder, decentralized, tmp_path):
    pytest.importorskip("ray.data")
    code = (
        "import sys; from imaxray.cli import main; sys.argv = ['imaxray', *sys.argv[1:]]\n"
        "if __name__ == '__main__': main()"
    )
    words = command(run_folder, decentralized, tmp_path / "out", "--engine", "ray")[3:]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == files(whole.folder)


def test_the_command_tells_what_was_asked(whole, run_folder, decentralized):
    done = subprocess.run(
        command(run_folder, decentralized, whole.folder), capture_output=True, text=True, check=True
    )
    for task, asked, readable in (
        summarise(whole.candidates).select("task", "asked", "readable").iter_rows()
    ):
        line = next(line for line in done.stdout.splitlines() if f" {task} " in line)
        assert f" {asked:,} " in line and f" {readable:,} " in line
    bad = subprocess.run(
        command(run_folder, decentralized, whole.folder, "--temperature", "0"),
        capture_output=True, text=True,
    )  # fmt: skip
    assert bad.returncode == 2


def test_vllm_is_missed_before_anything_is_loaded(decentralized, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ImaxrayError, match=r"pip install 'imaxray\[vllm\]'"):
        annotate("nowhere/at-all", decentralized, tmp_path, AnnotateConfig(engine="vllm"))


def test_vllm_is_sent_the_same_prompts(decentralized, tmp_path, monkeypatch):
    """A stand-in with vLLM's interface, which answers by stock generate."""
    base = tmp_path / "base"
    made = build_tiny("llava", dtype=torch.float64)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in made.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    made.save(base)
    few = {"max_new_tokens": 3, "limit": 3, "calibration_per_task": 1, "samples": 1}
    local = annotate(base, decentralized, tmp_path / "local", AnnotateConfig(**few))
    seeds = []

    class LLM:
        def __init__(self, **options):
            assert options["enable_prefix_caching"] and not options["trust_remote_code"]
            self.chat = load_model(options["model"])

        def generate(self, requests, params, *, lora_request, use_tqdm):
            each = params if isinstance(params, list) else [params] * len(requests)
            for request, sampling in zip(requests, each, strict=True):
                if sampling.temperature:
                    seeds.append(sampling.seed)
                image = request["multi_modal_data"]["image"]
                token, ids = self.chat.image_token, request["prompt_token_ids"]
                at = ids.index(token)
                count = self.chat.processor.replace_image_token(
                    {"pixel_values": torch.zeros(1, 3, 56, 56)}, image_idx=0
                ).count("<image>")
                ids = [*ids[:at], *[token] * count, *ids[at + 1 :]]
                inputs = self.chat._images(self.chat._process([image]))
                out = self.chat.model.generate(
                    input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(),
                    pixel_values=inputs["pixel_values"].to(self.chat.model.dtype),
                    max_new_tokens=sampling.max_tokens, do_sample=False, pad_token_id=0,
                    eos_token_id=sampling.stop_token_ids, output_logits=True,
                    return_dict_in_generate=True,
                )  # fmt: skip
                new = out.sequences[0, len(ids) :].tolist()
                scores = [
                    {id_: types.SimpleNamespace(logprob=float(step[0].log_softmax(-1)[id_]))}
                    for id_, step in zip(new, out.logits, strict=True)
                ]
                ended = new[-1] in sampling.stop_token_ids
                answer = types.SimpleNamespace(
                    token_ids=new, finish_reason="stop" if ended else "length", stop_reason=None,
                    logprobs=scores,
                )  # fmt: skip
                yield types.SimpleNamespace(outputs=[answer])

    class SamplingParams:
        def __init__(self, **options):
            self.__dict__.update(options)
            assert options["logprobs"] == 1

    fake = types.ModuleType("vllm")
    fake.LLM, fake.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", fake)
    served = annotate(
        base, decentralized, tmp_path / "served", AnnotateConfig(engine="vllm", **few)
    )
    assert served.candidates.drop("agreement", "logprob", "sampled").equals(
        local.candidates.drop("agreement", "logprob", "sampled")
    )
    for a, b in zip(served.candidates["logprob"], local.candidates["logprob"], strict=True):
        assert a == pytest.approx(b, abs=1e-6)
    asked = served.candidates.height + served.calibration.height
    assert len(set(seeds)) == asked and max(seeds) < 2**63
    manifest = json.loads((tmp_path / "served" / "annotate.json").read_text())
    assert manifest["identity"]["engine"] == "vllm"
