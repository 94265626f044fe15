"""Tests evaluation of a model behind a chat server: answers, stops, resuming, secrets, limits."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from chat_server import SECRET, answer, image_of, refusal, text_of
from imaxray.boxes import PERCENT, PIXELS
from imaxray.cli.border import run_command
from imaxray.errors import ImaxrayError
from imaxray.evaluation import EvaluateConfig
from imaxray.evaluation.generation import evaluate_hosted, evaluate_model
from provenance import unsaid


def config(server, **changes):
    given = {"engine": "openai", "base_url": server.url, "boxes": "percent", "retries": 2}
    return EvaluateConfig(**{**given, **changes})


def echo(number, asked):
    return answer(f"an answer to {text_of(asked)}")


def words(server, data, out, *more):
    return ["evaluate", "served-7b", "--data", str(data.folder), "--out", str(out), "--engine",
            "openai", "--base-url", server.url, "--boxes", "percent", *more]  # fmt: skip


def bytes_below(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_every_entry_is_answered_and_scored(server, data, tmp_path):
    server.behave = echo
    done = evaluate_model("served-7b", data, tmp_path / "out", config(server))
    entries = data.tables.split("test").sort("entry_id")
    assert done.predictions["entry_id"].to_list() == entries["entry_id"].to_list()
    sizes = {row["image_id"]: (row["width"], row["height"])
             for row in data.tables.images.iter_rows(named=True)}  # fmt: skip
    wanted = [
        "an answer to " + PERCENT.fill(
            row["prompt"], (row["boxes"] or [])[: row["prompt"].count("<box>")],
            *sizes[row["image_id"]])
        for row in entries.iter_rows(named=True)
    ]  # fmt: skip
    assert done.predictions["text"].to_list() == wanted
    assert {t["task"] for t in done.result.data["tasks"]} == set(entries["task"].cast(pl.String))
    assert done.finish_reasons == {"stop": entries.height} and done.unfinished == 0
    assert set(done.predictions["served_model"]) == {"served-7b"}
    assert set(server.paths) == {"/v1/chat/completions"}
    first = {k: v for k, v in server.seen[0].items() if k != "messages"}
    assert first == {"model": "served-7b", "temperature": 0, "seed": 0, "max_tokens": 128,
                     "stream": False}  # fmt: skip
    assert all("Authorization" not in headers for headers in server.headers)
    manifest = json.loads((done.folder / "predictions.json").read_text())
    assert manifest["identity"]["model"] == {"name": "served-7b", "server": server.url}
    assert unsaid(manifest) == []


def test_a_model_of_the_registry_brings_its_boxes_and_sees_their_frame(server, data, tmp_path):
    done = evaluate_hosted("lingshu-7b", data, tmp_path / "out", config(server, boxes=None))
    manifest = json.loads((done.folder / "predictions.json").read_text())
    assert manifest["identity"]["boxes"]["name"] == "pixels"
    sizes = {(row["width"], row["height"]) for row in data.tables.images.iter_rows(named=True)}
    frames = {tuple(map(int, (f.width, f.height)))
              for f in (PIXELS.geometry.frame(*size) for size in sizes)}  # fmt: skip
    assert {image_of(asked).size for asked in server.seen} <= frames


def test_images_come_first_in_full_or_below_max_pixels(server, data, tmp_path):
    evaluate_hosted("m", data, tmp_path / "full", config(server))
    sizes = {(row["width"], row["height"]) for row in data.tables.images.iter_rows(named=True)}
    for asked in server.seen:
        kinds = [part["type"] for part in asked["messages"][0]["content"]]
        assert kinds == ["image_url", "text"]
        assert image_of(asked).size in sizes and image_of(asked).mode == "L"
    server.seen.clear()
    evaluate_hosted("m", data, tmp_path / "small", config(server, max_pixels=2000))
    for asked in server.seen:
        width, height = image_of(asked).size
        assert 1500 < width * height <= 2000


def test_an_unknown_model_needs_a_convention(server, data, tmp_path):
    with pytest.raises(ImaxrayError, match="name it with --boxes"):
        evaluate_hosted("somebody/else", data, tmp_path / "out", config(server, boxes=None))
    assert server.seen == []


def test_no_more_requests_at_a_time_than_parallel(server, data, tmp_path):
    def slow(number, asked):
        time.sleep(0.02)
        return answer("No")

    server.behave = slow
    evaluate_hosted("m", data, tmp_path / "three", config(server, parallel=3))
    assert server.most == 3
    server.most = 0
    evaluate_hosted("m", data, tmp_path / "one", config(server, parallel=1))
    assert server.most == 1


def test_a_cut_answer_and_other_reasons_are_told(server, data, tmp_path, capsys):
    reasons = ("stop", "length", "content_filter")
    server.behave = lambda number, asked: answer("x", finish=reasons[number % 3])
    assert run_command(words(server, data, tmp_path / "out", "--parallel", "1")) == 0
    said = capsys.readouterr().out
    table = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    counts = dict(table["finish_reason"].value_counts().iter_rows())
    cut = counts["length"]
    assert table.filter(pl.col("finish_reason") == "length")["ended"].any() is False
    assert f"{cut} of them cut at 128 tokens" in said
    assert f"content_filter {counts['content_filter']}, length {cut}, stop" in said


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, data, tmp_path, quick, caplog, status):
    server.behave = lambda n, asked: refusal(status) if n % 3 == 0 else echo(n, asked)
    done = evaluate_hosted("m", data, tmp_path / "out", config(server, parallel=1))
    assert done.predictions["text"].str.starts_with("an answer to").all()
    repeated = len(server.seen) - done.predictions.height
    assert repeated > 5 and f"{repeated} requests had to be sent again" in caplog.text


def test_a_server_that_stays_broken_is_one_sentence_and_answers_are_kept(
    server, data, tmp_path, quick, capsys
):
    server.behave = lambda n, asked: echo(n, asked) if n < 20 else refusal(500, "out of\nmemory.")
    code = run_command(words(server, data, tmp_path / "out", "--parallel", "1", "--retries", "2"))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("imaxray:")]
    assert code == 2 and len(said) == 1
    told = f"server at {server.url}, but it answers with status 500 (out of memory), in each of 3"
    assert told in said[0]
    server.behave = echo
    server.seen.clear()
    done = evaluate_hosted("served-7b", data, tmp_path / "out", config(server))
    assert len(server.seen) == done.predictions.height - 16


def test_a_killed_command_continues(server, data, tmp_path):
    def slow(number, asked):
        time.sleep(0.05)
        return echo(number, asked)

    server.behave = echo
    whole = evaluate_hosted("served-7b", data, tmp_path / "whole", config(server))
    server.behave = slow
    server.seen.clear()
    out = tmp_path / "out"
    command = [sys.executable, "-m", "imaxray.cli", *words(server, data, out, "--parallel", "2")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if list(out.glob("predictions.parts/*.parquet")):
            process.kill()
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL
    kept = pl.concat(map(pl.read_parquet, out.glob("predictions.parts/*.parquet")))["entry_id"]
    assert 16 <= len(kept) < whole.predictions.height
    server.behave = echo
    time.sleep(0.2)  # until the last slow answers are over
    server.seen.clear()
    done = evaluate_hosted("served-7b", data, out, config(server, parallel=5))
    assert len(server.seen) == whole.predictions.height - len(kept)
    assert done.predictions.equals(whole.predictions)
    same = ("predictions.parquet", "scores.parquet", "result.json")
    assert [(out / name).read_bytes() for name in same] == [
        (tmp_path / "whole" / name).read_bytes() for name in same
    ]
    server.seen.clear()
    evaluate_hosted("served-7b", data, out, config(server))
    assert server.seen == []  # a finished one is only scored again


def test_ctrl_c_ends_at_once_and_tells_how_to_go_on(server, data, tmp_path):
    server.behave = lambda number, asked: time.sleep(20) or answer("No")
    command = [sys.executable, "-m", "imaxray.cli", *words(server, data, tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not server.seen and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130 and "the same command continues it" in said
    assert time.monotonic() - began < 15


def test_another_server_model_or_seed_is_another_evaluation(server, data, tmp_path):
    out = tmp_path / "out"
    evaluate_hosted("served-7b", data, out, config(server))
    for changes in ({"seed": 1}, {"max_new_tokens": 9}, {"max_pixels": 2000}, {"boxes": "unit"},
                    {"base_url": server.url + "/v2"}):  # fmt: skip
        with pytest.raises(ImaxrayError, match="choose another --out"):
            evaluate_hosted("served-7b", data, out, config(server, **changes))
    with pytest.raises(ImaxrayError, match=r"model\.name is served-7b there, other now"):
        evaluate_hosted("other", data, out, config(server))
    evaluate_hosted("served-7b", data, out, config(server, parallel=2, timeout=9, retries=0))


@pytest.mark.parametrize(("variable", "more"), [
    ("OPENAI_API_KEY", ()), ("MY_SERVER_KEY", ("--api-key-env", "MY_SERVER_KEY")),
])  # fmt: skip
def test_the_key_is_sent_and_stands_nowhere(
    server, data, tmp_path, monkeypatch, capsys, caplog, quick, variable, more
):
    caplog.set_level("DEBUG")
    monkeypatch.setenv(variable, f" {SECRET}\n")
    assert run_command(words(server, data, tmp_path / "out", *more)) == 0
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    server.behave = lambda number, asked: refusal(401, f"Wrong key {SECRET}.")
    assert run_command(words(server, data, tmp_path / "refused", *more)) == 2
    server.behave = lambda number, asked: refusal(500, f"Wrong key {SECRET}.")
    assert run_command(words(server, data, tmp_path / "broken", "--retries", "1", *more)) == 2
    said = capsys.readouterr()
    assert "status 401 (Wrong key [API key])" in said.err
    assert SECRET not in said.err + said.out + caplog.text
    assert SECRET.encode() not in bytes_below(tmp_path)


def test_a_base_url_with_a_secret_is_refused_unrepeated(data, tmp_path, capsys):
    for url in (f"http://user:{SECRET}@127.0.0.1:1/v1", f"http://127.0.0.1:1/v1?key={SECRET}"):
        code = run_command(
            [
                "evaluate",
                "m",
                "--data",
                str(data.folder),
                "--engine",
                "openai",
                "--boxes",
                "percent",
                "--out",
                str(tmp_path),
                "--base-url",
                url,
            ]
        )
        assert code == 2 and SECRET not in capsys.readouterr().err


def test_images_stay_in_the_house(data, tmp_path):
    """No request is tried: the tests allow no connection to another machine, and would say so."""
    far = {"engine": "openai", "base_url": "https://models.example/v1", "boxes": "percent"}
    out = tmp_path / "out"
    with pytest.raises(ImaxrayError, match="add --allow-remote"):
        evaluate_hosted("m", data, out, EvaluateConfig(**far))
    with pytest.raises(ImaxrayError, match=r"--i-may-send-images .* mimic-cxr-jpg \(credentialed"):
        evaluate_hosted("m", data, out, EvaluateConfig(**far, allow_remote=True))
    assert not out.exists()
    sure = EvaluateConfig(**far, allow_remote=True, i_may_send_images=True, retries=0)
    with pytest.raises(ImaxrayError, match="only loopback is allowed"):
        evaluate_hosted("m", data, out, sure)


def test_no_proxy_and_no_redirect_gets_an_image(server, data, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    evaluate_hosted("m", data, tmp_path / "out", config(server))
    server.behave = lambda n, asked: refusal(307, "", Location="https://models.example/v1")
    with pytest.raises(ImaxrayError, match=r"status 307.* no redirect is followed"):
        evaluate_hosted("m", data, tmp_path / "moved", config(server))


@pytest.mark.parametrize(("more", "said"), [
    ({"engine": "openai"}, "add --base-url URL"),
    ({"base_url": "http://127.0.0.1:1/v1"}, "--base-url has no effect with --engine local"),
    ({"engine": "vllm", "parallel": 9}, "--parallel has no effect with --engine vllm"),
    ({"engine": "openai", "base_url": "http://h/v1", "device": "cuda"},
     "--device has no effect with --engine openai"),
    ({"engine": "openai", "base_url": "http://h/v1", "rows_per_batch": 2}, "--rows-per-batch"),
])  # fmt: skip
def test_options_of_another_engine_are_refused(more, said):
    with pytest.raises(ValueError, match=said):
        EvaluateConfig(**more)


def test_no_torch_is_needed(server, data, tmp_path):
    code = (
        "import sys; from imaxray.cli.border import run_command\n"
        f"code = run_command({words(server, data, tmp_path / 'out')!r})\n"
        "assert code == 0 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ})  # fmt: skip


def test_a_default_folder_stays_below_the_current_one(server, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("org/model:7b", "../../up"):
        folder = evaluate_hosted(name, data, None, config(server)).folder
        assert folder.parts[0] == "evaluation" and ".." not in folder.parts
        assert Path(folder).is_dir()
