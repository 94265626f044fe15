"""Tests which URLs are accepted, and which of them are this machine."""

import pytest

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.address import read_address


@pytest.mark.parametrize(("url", "whole", "here"), [
    ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1", True),
    ("http://localhost:8000/v1/", "http://localhost:8000/v1", True),
    ("HTTP://LocalHost/v1/chat/completions", "http://localhost:80/v1", True),
    ("http://[::1]:1234", "http://[::1]:1234", True),
    ("http://[::ffff:127.0.0.1]:1/v1", "http://[::ffff:127.0.0.1]:1/v1", True),
    ("http://127.8.9.1:1/v1", "http://127.8.9.1:1/v1", True),
    ("https://api.example.org/v1", "https://api.example.org:443/v1", False),
    ("http://127.0.0.1.example.org/v1", "http://127.0.0.1.example.org:80/v1", False),
    ("http://localhost.example.org/v1", "http://localhost.example.org:80/v1", False),
    ("http://10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1", False),
    ("http://0.0.0.0:8000/v1", "http://0.0.0.0:8000/v1", False),
    ("http://[::ffff:10.0.0.7]:1/v1", "http://[::ffff:10.0.0.7]:1/v1", False),
    ("http://2130706433/v1", "http://2130706433:80/v1", False),
])  # fmt: skip
def test_urls(url, whole, here):
    address = read_address(url)
    assert (address.url, address.is_here) == (whole, here)
    assert address.endpoint.endswith("/chat/completions")


@pytest.mark.parametrize("url", [
    "", "127.0.0.1:8000", "localhost:8000/v1", "ftp://127.0.0.1/v1", "file:///v1", "http://",
    "http:///v1", "http://127.0.0.1:99999/v1", "http://127.0.0.1:port/v1", "http://[::1/v1",
    "http://user@127.0.0.1/v1", "http://user:secret@127.0.0.1/v1", "http://127.0.0.1/v1?key=secret",
    "http://127.0.0.1/v1#secret", "http://127.0.0.1/a b", "http://ex\u00e4mple.org/v1",
])  # fmt: skip
def test_other_texts_are_refused_without_repeating_them(url):
    with pytest.raises(ImaxrayError, match="Expected the base URL of a chat server") as error:
        read_address(url)
    assert "secret" not in str(error.value)
