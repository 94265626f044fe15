"""Answers that no entry could state are not readable."""

from types import SimpleNamespace

from imaxray.boxes import PERCENT
from imaxray.evaluation.generation import Written
from imaxray.pseudo._read import Reader


def read(text, task, template, boxes=()):
    words = {7: text}
    chat = SimpleNamespace(convention=PERCENT, decode=lambda ids: "".join(words[i] for i in ids))
    prompt = SimpleNamespace(task=task, template=template, boxes=boxes)
    return Reader(chat, [0]).read(prompt, (1000, 500), Written([7, 0], [-0.1, -0.1]), []).gold


def test_a_box_among_words_makes_an_answer_unreadable():
    box = PERCENT.fill("<box>", [(100, 50, 300, 200)], 1000, 500)
    for task, template in (
        ("vqa", "vqa.open.0"),
        ("reg", "reg.box.0"),
        ("report", "report.findings.0"),
    ):
        assert read(f"opacity at {box}", task, template) is None
        assert read("opacity at the left base", task, template) is not None
    located = read(box, "rec", "rec.phrase.0")
    assert len(located.boxes) == located.target.count("<box>") == 1
