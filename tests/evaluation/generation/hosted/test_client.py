"""Tests single requests to a chat server: replies of all kinds, time limits, waits."""

import json
import time

import pytest

from chat_server import answer, refusal
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.address import read_address
from imaxray.evaluation.generation.hosted.client import ChatServer, _wait

ASKED = json.dumps({"model": "m", "messages": []}).encode()


def client(server, **changes):
    given = {"key": None, "timeout": 20.0, "retries": 1}
    return ChatServer(read_address(server.url), **{**given, **changes})


def test_an_answer(server):
    reply = client(server).ask(ASKED)
    assert (reply.text, reply.tokens, reply.finish_reason, reply.model) == (
        "No", 3, "stop", "served-7b",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Welcome</html>", "it is not JSON"),
        (b"", "it is not JSON"),
        (b'{"choices": [{"message": {"content": "N', "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it has no message"),
        (b'{"choices": []}', "it has no message"),
        (b'{"choices": [{"text": "No"}]}', "it has no message"),
        (b'{"choices": [{"message": {"content": 7}}]}', "the message of the model is no text"),
        (b'{"error": {"message": "no such model"}}', "it says: no such model"),
        (b"\xff\xfe\xfa", "it is not JSON"),
    ],
)
def test_a_reply_that_is_no_answer_is_one_sentence(server, body, said):
    server.behave = lambda number, asked: (200, {}, body)
    with pytest.raises(ImaxrayError, match=f"reply cannot be read, because {said}") as error:
        client(server).ask(ASKED)
    assert "\n" not in str(error.value) and len(server.seen) == 1


def test_a_reply_that_is_too_long_is_refused(server, monkeypatch):
    monkeypatch.setattr("imaxray.evaluation.generation.hosted.client._LARGEST", 100)
    server.behave = lambda number, asked: answer("x" * 200)
    with pytest.raises(ImaxrayError, match="longer than 100 bytes"):
        client(server).ask(ASKED)


@pytest.mark.parametrize(("status", "advice"), [
    (400, "check the name of the model"), (401, "--api-key-env"), (403, "--api-key-env"),
    (404, "often ends in /v1"), (413, "lower --max-pixels"), (302, "no redirect is followed"),
    (422, "check the name of the model"),
])  # fmt: skip
def test_a_refusal_is_told_once_with_what_to_do(server, status, advice):
    server.behave = lambda number, asked: refusal(status, "why it is so")
    with pytest.raises(ImaxrayError, match=rf"status {status} \(why it is so\); .*{advice}"):
        client(server).ask(ASKED)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_asked_again(server, quick, status):
    server.behave = lambda number, asked: refusal(status) if number < 2 else answer("Yes")
    made = client(server, retries=2)
    assert made.ask(ASKED).text == "Yes" and made.repeated == 2


def silent(handler):
    time.sleep(1.5)


def dripping(handler):
    """Sends a byte now and then, so that no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def dripping_without_keeping_alive(handler):
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def dripping_headers(handler):
    for sign in "HTTP/1.1 200 OK and more":
        handler.wfile.write(sign.encode())
        handler.wfile.flush()
        time.sleep(0.06)


@pytest.mark.parametrize(
    "behave", [silent, dripping, dripping_without_keeping_alive, dripping_headers]
)
def test_a_slow_server_meets_the_time_limit(server, quick, behave):
    server.behave = lambda number, asked: behave
    began = time.monotonic()
    with pytest.raises(ImaxrayError, match=r"not answer within --timeout 0\.3 seconds"):
        client(server, timeout=0.3, retries=1).ask(ASKED)
    assert 0.6 <= time.monotonic() - began < 1.3 and len(server.seen) == 2


def cut_short(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.close_connection = True


def hung_up(handler):
    handler.close_connection = True


@pytest.mark.parametrize(("behave", "said"), [
    (cut_short, "its reply ends early"), (hung_up, "cannot be reached"),
])  # fmt: skip
def test_a_connection_that_breaks_is_made_again(server, quick, behave, said):
    server.behave = lambda number, asked: behave if number == 0 else answer("Yes")
    assert client(server).ask(ASKED).text == "Yes"
    server.behave = lambda number, asked: behave
    with pytest.raises(ImaxrayError, match=f"{said}.*, in each of 2 attempts"):
        client(server).ask(ASKED)


def in_chunks(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    body = answer("in pieces")[2]
    for piece in (body[:7], body[7:]):
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def until_the_end(handler):
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(answer("to the end")[2])


@pytest.mark.parametrize(("behave", "text"), [
    (in_chunks, "in pieces"), (until_the_end, "to the end"),
])  # fmt: skip
def test_replies_without_a_length(server, behave, text):
    server.behave = lambda number, asked: behave
    assert client(server).ask(ASKED).text == text


def test_a_server_that_is_not_there(server, quick):
    nobody = ChatServer(read_address("http://127.0.0.1:1/v1"), key=None, timeout=5.0, retries=0)
    with pytest.raises(ImaxrayError, match=r"cannot be reached \(Connection refused\), once"):
        nobody.ask(ASKED)


def test_plain_text_on_a_port_of_tls(server, quick):
    url = server.url.replace("http:", "https:")
    made = ChatServer(read_address(url), key=None, timeout=5.0, retries=0)
    with pytest.raises(ImaxrayError, match="cannot be reached"):
        made.ask(ASKED)


def test_a_name_of_this_machine_that_leads_elsewhere_gets_nothing(server, monkeypatch):
    monkeypatch.setattr(
        "imaxray.evaluation.generation.hosted.client.is_loopback", lambda peer: False
    )
    with pytest.raises(ImaxrayError, match=r"its name leads to 127\.0\.0\.1"):
        client(server).ask(ASKED)
    assert server.seen == []


def test_waits():
    assert [_wait(attempt, None) for attempt in (0, 1, 2, 9)] == [1, 2, 4, 60]
    assert _wait(0, "7") == 7 and _wait(0, "-3") == 0 and _wait(0, "1e9") == 600
    assert _wait(1, "nonsense") == 2 and _wait(0, "nan") == 1
    assert _wait(3, "Wed, 21 Oct 2015 07:28:00 GMT") == 0  # it is over
    assert _wait(0, "Wed, 21 Oct 2065 07:28:00 GMT") == 600


def test_the_wish_of_a_server_is_heeded(server, quick):
    server.behave = lambda n, asked: refusal(429, Retry_After="0.4") if n == 0 else answer("Yes")
    began = time.monotonic()
    assert client(server).ask(ASKED).text == "Yes"
    assert time.monotonic() - began >= 0.4
