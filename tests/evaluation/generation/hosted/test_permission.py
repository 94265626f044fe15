"""Tests what may leave this machine, and where the API key comes from."""

import pytest

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.address import read_address
from imaxray.evaluation.generation.hosted.permission import api_key, require_may_send
from imaxray.sources import get_source, published_sources

FAR = read_address("https://models.example/v1")
HERE = read_address("http://127.0.0.1:1/v1")


@pytest.mark.parametrize("name", sorted({*published_sources(), "dicom-folder", "of-a-hospital"}))
def test_only_open_published_releases_go_without_a_statement(name):
    require_may_send(HERE, [name], allow_remote=False, may_send_images=False)
    with pytest.raises(ImaxrayError, match=r"names models\.example"):
        require_may_send(FAR, [name], allow_remote=False, may_send_images=True)
    require_may_send(FAR, [name], allow_remote=True, may_send_images=True)
    if name in published_sources() and get_source(name).access == "open":
        require_may_send(FAR, [name], allow_remote=True, may_send_images=False)
        return
    with pytest.raises(ImaxrayError, match=rf"forbid in general .* {name} \("):
        require_may_send(FAR, ["open-i", name], allow_remote=True, may_send_images=False)


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OTHER_KEY", raising=False)
    assert api_key(None) is None
    monkeypatch.setenv("OPENAI_API_KEY", "abc")
    assert api_key(None) == "abc"
    with pytest.raises(ImaxrayError, match="it is not set"):
        api_key("OTHER_KEY")
    monkeypatch.setenv("OTHER_KEY", " xyz\n")
    assert api_key("OTHER_KEY") == "xyz"


@pytest.mark.parametrize("given", ["sk-1234-abcd", "AIzaSyTopSecret", "a b", ""])
def test_a_key_in_place_of_a_name_is_not_repeated(given):
    with pytest.raises(ImaxrayError) as error:
        api_key(given)
    assert not given or given not in str(error.value)


@pytest.mark.parametrize("value", ["a b", "a\nX-Other: 1", "schlüssel"])
def test_a_key_that_no_header_can_hold(monkeypatch, value):
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ImaxrayError, match="visible ASCII") as error:
        api_key(None)
    assert value not in str(error.value)
