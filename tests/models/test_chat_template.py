"""A chat template of a stranger may loop: it is stopped."""

import time

import pytest

from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny
from imaxray.models.chat_template import always_ends
from imaxray.models.tiny import tiny_families
from imaxray.models.tiny.text import TEMPLATES

ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "macro": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}"
    "{{ m(80) }}",
    "doubling": "{% set n = namespace(s='xx') %}{% for a in range(99) %}"
    "{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    "long steps": "{% for a in range(99999) %}{{ range(99999) | list | length }}{% endfor %}",
    "in a message": "{% for message in messages %}{% for a in range(99999) %}"
    "{% for b in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}",
}


@pytest.fixture(scope="module")
def chat():
    return build_tiny("llava")


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_template_is_stopped(chat, kind, monkeypatch):
    monkeypatch.setattr(chat.processor, "chat_template", ENDLESS[kind])
    monkeypatch.setattr("imaxray.models.chat_template.MAX_SECONDS", 1.0)
    start = time.thread_time()
    with pytest.raises(ImaxrayError, match="chat template of tiny-llava to end"):
        chat.chat("Is there edema?")
    assert time.thread_time() - start < 10


@pytest.mark.parametrize("family", sorted(TEMPLATES))
def test_templates_of_the_families_are_not_watched(family):
    assert always_ends(TEMPLATES[family])


@pytest.mark.parametrize("family", tiny_families())
def test_a_watched_template_writes_the_same(family):
    chat = build_tiny(family)
    plain = chat.chat("Is there edema?", "no")
    harmless = "{% if false %}{% for n in range(2) %}{% endfor %}{% endif %}"
    chat.processor.chat_template = chat.processor.chat_template + harmless
    assert not always_ends(chat.processor.chat_template)
    assert chat.chat("Is there edema?", "no") == plain
