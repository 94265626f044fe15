"""Tests reading the JSON of chat servers of several makes."""

import json

import pytest

from imaxray.evaluation.generation.hosted.reply import message_of, read_reply, without_request


def body(message, **choice):
    return json.dumps({"choices": [{"message": message, **choice}]}).encode()


@pytest.mark.parametrize(
    ("message", "text", "raw"),
    [
        ({"content": "Yes"}, "Yes", "Yes"),
        ({"content": ""}, "", ""),
        ({"content": None}, "", ""),
        ({"content": None, "refusal": "I cannot help."}, "I cannot help.", "I cannot help."),
        ({"content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}, "AB", "AB"),
        ({"content": ["A", {"type": "image"}]}, "A", "A"),
        ({"content": "0.5", "reasoning_content": "Half"}, "0.5", "<think>Half</think>0.5"),
        ({"content": "0.5", "reasoning": "Half"}, "0.5", "<think>Half</think>0.5"),
        ({"content": "half \ud83d of a sign"}, "half \ufffd of a sign", "half \ufffd of a sign"),
    ],
)
def test_the_text_of_a_message(message, text, raw):
    reply = read_reply(body(message))
    assert (reply.text, reply.raw) == (text, raw)
    reply.raw.encode()


@pytest.mark.parametrize(("usage", "tokens"), [
    ({"completion_tokens": 7}, 7), ({}, None), (None, None), ({"completion_tokens": "7"}, None),
    ({"completion_tokens": -1}, None), ({"completion_tokens": 2**40}, None),
    ({"completion_tokens": True}, None),
])  # fmt: skip
def test_the_number_of_tokens(usage, tokens):
    data = json.loads(body({"content": "x"})) | {"usage": usage}
    assert read_reply(json.dumps(data).encode()).tokens == tokens


@pytest.mark.parametrize(("given", "told"), [
    ("stop", "stop"), ("length", "length"), (None, "not stated"), ("", "not stated"),
    (3, "not stated"),
])  # fmt: skip
def test_the_finish_reason(given, told):
    assert read_reply(body({"content": "x"}, finish_reason=given)).finish_reason == told


@pytest.mark.parametrize(("content", "said"), [
    (b'{"error": {"message": "Too long."}}', "Too long"),
    (b'{"error": "Too long"}', "Too long"),
    (b'{"message": "Too\\n long"}', "Too long"),
    (b'{"detail": "Not Found"}', "Not Found"),
    (b'{"detail": [{"loc": []}]}', ""),
    (b"<html>", ""), (b"", ""), (b"7", ""),
    (json.dumps({"error": {"message": "x" * 999}}).encode(), "x" * 200 + " …"),
])  # fmt: skip
def test_what_a_server_says_about_an_error(content, said):
    assert message_of(content) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Prompt 'Describe the heart-size of Ms Miller.' is too long", "Prompt […] is too long"),
        ("describe THE heart-size", "[…]"),
        ("the heart-size", "the heart-size"),
        ("Ms Miller\nHow wide is the heart? twice", "[…] twice"),
        ("the model served-7b is not loaded", "the model served-7b is not loaded"),
        ("", ""),
    ],
)
def test_what_a_server_repeats_of_a_request_is_not_shown(said, shown):
    content = [{"type": "image_url", "image_url": {"url": "data:the model served-7b"}},
               {"type": "text", "text": "Describe the heart-size of Ms Miller."},
               {"type": "text", "text": "How wide is the heart?"}]  # fmt: skip
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]})
    assert without_request(said, request.encode()) == shown
