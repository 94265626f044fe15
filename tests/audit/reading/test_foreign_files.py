"""Tests audits of LLaVA JSON, messages JSONL and ms-swift objects, with and without faults."""

import json

import pytest

from imaxray.audit import audit_dataset
from imaxray.errors import ImaxrayError


def path_of(patient, name="i"):
    return f"files/p10/p{patient}/s5/{name}.png"


def llava(number, image, prompt="<image>\nIs there edema?", answer="No", **more):
    turns = [{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]
    return {"id": number, "image": image, "conversations": turns, **more}


def chat(image, prompt="What is shown?", answer="A chest.", **more):
    prompt = prompt if "<image>" in prompt else f"<image>{prompt}"
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "images": [image], **more}


@pytest.fixture
def write(tmp_path, picture):
    """Write files of records, and an image for every path that they name."""

    def write(**files):
        seen = {}
        for name, records in files.items():
            lines = [json.dumps(record) for record in records]
            suffix = "json" if "conversations" in records[0] else "jsonl"
            text = f"[{','.join(lines)}]" if suffix == "json" else "\n".join(lines)
            (tmp_path / f"{name}.{suffix}").write_text(text)
            for record in records:
                for image in [*record.get("images", []), record.get("image")]:
                    if image and not (tmp_path / image).exists():
                        picture(tmp_path / image, seen.setdefault(image, len(seen)))
        return tmp_path

    return write


def codes(result):
    return [(f.code, f.split, f.id) for f in result.issues]


def clean_pair():
    return {
        "train": [llava(1, path_of(10000001)), llava(2, path_of(10000001, "j"))],
        "test": [llava(3, path_of(10000002))],
    }


def test_clean_files_are_clean(write):
    result = audit_dataset(write(**clean_pair()))
    assert result.issues == ()
    assert (result.images, result.entries, result.title) == (3, 3, "test.json, train.json")
    assert "no label" in result.limits["vqa-labels"]
    assert "patient-over-splits" not in result.limits


def test_a_patient_in_a_path_leaks(write):
    files = clean_pair()
    files["test"].append(llava(4, path_of(10000001, "k")))
    result = audit_dataset(write(**files))
    assert codes(result) == [("patient-over-splits", "train+test", "mimic-cxr/10000001")]


def test_a_patient_in_a_field_leaks(write):
    files = {
        "train": [chat("a.png", subject_id=7)],
        "val": [chat("b.png", meta=json.dumps({"subject_id": 8}))],
        "test": [chat("c.png", subject_id="7")],
    }
    root = write(**files)
    assert codes(audit_dataset(root)) == [("patient-over-splits", "train+test", "7")]
    named = write(train=[chat("a.png", who="x")], val=[chat("b.png", who="y")],
                  test=[chat("c.png", who="y")])  # fmt: skip
    assert codes(audit_dataset(named, patient_field="who")) == [
        ("patient-over-splits", "val+test", "y")
    ]
    assert audit_dataset(named).clean  # nothing names a patient then, and the report says so
    assert "3 of 3" in audit_dataset(named).limits["patient-over-splits"]


def test_a_field_and_a_path_name_the_same_patient(write):
    files = {
        "train": [chat("a.png", subject_id=10000001.0)],
        "test": [chat(path_of(10000001))],
    }
    assert [c for c, _, _ in codes(audit_dataset(write(**files)))] == ["patient-over-splits"]


def test_two_sources_disagree_on_a_patient(write):
    files = {"vqa_train": [llava(1, path_of(10000001))],
             "report-test": [llava(2, path_of(10000001, "k"))]}  # fmt: skip
    result = audit_dataset(write(**files))
    assert codes(result) == [("patient-over-sources", "train+test", "mimic-cxr/10000001")]
    assert result.issues[0].message == "test by report; train by vqa"


def test_an_image_without_a_patient_in_two_splits(write):
    files = {"train": [chat("a.png")], "test": [chat("a.png")]}
    assert codes(audit_dataset(write(**files))) == [("image-over-splits", "train+test", "a.png")]


def test_equal_pixels_over_splits(write):
    root = write(train=[chat("a.png")], test=[chat("b.png")])
    (root / "b.png").write_bytes((root / "a.png").read_bytes())
    assert codes(audit_dataset(root)) == [("duplicate-over-splits", "train+test", "b.png")]


def test_broken_paths(write):
    root = write(train=[chat("a.png"), chat("sub/b.png")])
    (root / "sub/b.png").unlink()
    with (root / "train.jsonl").open("a") as stream:
        for path in ("https://x.org/c.png", "../d.png", "/no/such/e.png"):
            stream.write("\n" + json.dumps(chat(path)))
    result = audit_dataset(root / "train.jsonl")
    outside = "the path leads out of the folder of images; pass another one with --images"
    why = {f.id: f.message for f in result.issues}
    assert why == {
        "sub/b.png": "the image file does not exist",
        "https://x.org/c.png": "not the path of a local file",
        "../d.png": outside,
        "/no/such/e.png": outside,
    }


def test_images_below_another_root_and_absolute_paths(write, tmp_path):
    root = write(train=[chat("sub/a.png")])
    inside = tmp_path / "sub"
    (root / "train.jsonl").write_text(
        json.dumps(chat("a.png")) + "\n" + json.dumps(chat(str(inside.resolve() / "a.png")))
    )
    assert not audit_dataset(root).clean
    result = audit_dataset(root, images=inside)
    assert result.clean and result.images == 1  # both paths are one image


@pytest.mark.parametrize(
    ("prompt", "answer", "leaks"),
    [
        ("Which lobe? It is the left upper lobe.", "Left upper lobe", True),
        ("The ratio is 0.52. What is the ratio?", "0.52", True),
        ("The ratio is 0.521. What is the ratio?", "0.52", False),
        ("Is it the left or the right lung?", "right", False),
        ("Options: left, right. Which side?", "left", False),
        ("Which side?\nA. left\nB. right", "left", False),
        ("Is there no edema?", "No", False),
        ("Is this a pneumonia vs. pleural effusion?", "pleural effusion", False),
        ("What is it, pneumonia versus pleural effusion?", "pleural effusion", False),
        ("Is the trachea midline?", "midline", False),
        ("Is the trachea midline? It is midline.", "midline", True),
        ("It is midline. Where is the trachea?", "midline", True),
        ("Where is <bbox>?", "where is", False),  # REG by its box
    ],
)
def test_answers_in_prompts(write, prompt, answer, leaks):
    result = audit_dataset(write(train=[chat("a.png", prompt, answer)]), skip=["marks"])
    assert codes(result) == ([("prompt-target", "train", "train.jsonl:1")] if leaks else [])


def test_each_answer_of_a_conversation_is_an_entry(write):
    record = chat("a.png")
    record["messages"] += [
        {"role": "user", "content": "Say: a heart."}, {"role": "assistant", "content": "A heart"},
        {"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A heart"},
    ]  # fmt: skip
    result = audit_dataset(write(train=[record]))
    assert result.entries == 3
    # an answer that the conversation already holds is no leak of the next question
    assert codes(result) == [("prompt-target", "train", "train.jsonl:1#2")]


def talk(image, *turns, **more):
    roles = ("user", "assistant") * len(turns)
    texts = [text for turn in turns for text in turn]
    texts[0] = "<image>" * len(more.get("images", [image])) + texts[0]
    messages = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
    return {"messages": messages, "images": [image], **more}


@pytest.mark.parametrize(
    ("records", "contradict"),
    [
        ([talk("a.png", ("Is there edema?", "Yes")), talk("a.png", ("Is there edema?", "No"))], 1),
        ([talk("a.png", ("Is there edema?", "Yes")), talk("b.png", ("Is there edema?", "No"))], 0),
        # the order of the questions about an image says nothing
        ([talk("a.png", ("Which view?", "PA"), ("Is there edema in this image?", "Yes")),
          talk("a.png", ("Is there edema in this image?", "No"))], 1),
        # what "it" is, the turn before says
        ([talk("a.png", ("What is up?", "A scar."), ("Is it on the left?", "Yes")),
          talk("a.png", ("What is down?", "A clip."), ("Is it on the left?", "No"))], 0),
        ([talk("a.png", ("What is up?", "A scar."), ("Is it on the left?", "Yes")),
          talk("a.png", ("What is up?", "A scar."), ("Is it on the left?", "No"))], 1),
        # a question that compares two images is another one if the second image is another one
        ([talk("a.png", ("Is the edema worse?", "Yes"), images=["a.png", "b.png"]),
          talk("a.png", ("Is the edema worse?", "No"), images=["a.png", "c.png"])], 0),
        ([talk("a.png", ("Is the edema worse?", "Yes"), images=["a.png", "b.png"]),
          talk("a.png", ("Is the edema worse?", "No"), images=["a.png", "b.png"])], 1),
    ],
)  # fmt: skip
def test_contradicting_answers_are_those_to_the_same_question(write, records, contradict):
    found = [code for code, _, _ in codes(audit_dataset(write(train=records)))]
    assert found == ["contradicting-answers"] * contradict


def swift(*boxes, kind="real", **more):
    objects = {"ref": ["x"] * len(boxes), "bbox": list(boxes), "bbox_type": kind, **more}
    return chat("a.png", "<image>Find it.", "<bbox>" * len(boxes), objects=objects)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (swift([0, 0, 64, 48]), None),
        (swift([0, 0, 65, 48]), "box-outside-frame"),
        (swift([9, 0, 5, 48]), "box-degenerate"),
        (swift([9, 0, "x", 48]), "box-degenerate"),
        (swift([9, 0, 5]), "box-degenerate"),
        (swift([9, 7]), None),  # a point
        (swift([0.1, 0.1, 1, 1], kind="norm1"), None),
        (swift([0.1, 0.1, 1.2, 1], kind="norm1"), "box-outside-frame"),
        (swift([0, 0, 5, 5], image_id=[1]), "bad-record"),
        (swift(7), "bad-record"),
    ],
)
def test_boxes_of_objects(write, record, code):
    """Images are 64 by 48."""
    assert [c for c, _, _ in codes(audit_dataset(write(train=[record])))] == (
        [code] if code else []
    )


def test_contradictions_between_records_that_name_their_task(write):
    def records(findings):
        return [
            chat("a.png", "List the findings.", findings, task="findings"),
            chat("a.png", "Measure the CTR.", "0.61", task="calculation"),
            chat("a.png", "Grade the edema.", "interstitial edema", task="grading"),
            chat("a.png", "Report.", "FINDINGS: Small pleural effusion.", task="report"),
            chat("a.png", "Is there a fracture?", "Yes", task="vqa"),
        ]

    names = "Cardiomegaly, Edema, Pleural Effusion, Fracture"
    assert audit_dataset(write(train=records(names))).clean
    assert codes(audit_dataset(write(train=records("No Finding")))) == [
        ("ctr-cardiomegaly", "train", "train.jsonl:2"),
        ("edema-grade", "train", "train.jsonl:3"),
        ("report-labels", "train", "train.jsonl:4"),
        ("vqa-labels", "train", "train.jsonl:5"),
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": []},
        {"messages": [{"role": "user", "content": "alone"}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": ["x"]},
        {"text": "x"},
        chat(7),
        [1],
        "x",
    ],
)
def test_bad_records_are_told_and_the_others_are_read(write, record):
    root = write(train=[chat("a.png")])
    with (root / "train.jsonl").open("a") as stream:
        stream.write(f"\n{json.dumps(record)}\n{{broken")
    result = audit_dataset(root)
    assert codes(result) == [
        ("bad-record", "train", "train.jsonl:2"),
        ("bad-record", "train", "train.jsonl:3"),
    ]
    assert result.entries == 1


def test_a_key_that_stands_there_twice_is_told(write, tmp_path):
    root = write(train=[chat("a.png")])
    good = json.dumps(chat("a.png"))
    twice = good[:-1] + ', "split": "train", "split": "test"}'
    lines, whole, list_ = root / "train.jsonl", root / "val.json", root / "test.json"
    lines.write_text(f"{good}\n{twice}\n")
    whole.write_text('{"train": [], "train": [\n' + good + "]}")
    list_.write_text(f"[{twice}, {good}]")
    result = audit_dataset(root)
    bad = {where for code, _, where in codes(result) if code == "bad-record"}
    assert bad == {"train.jsonl:2", "val.json:1", "test.json:1"}
    assert "twice" in result.to_text()


def test_text_blocks_and_image_blocks(write):
    root = write(train=[chat("a.png")])
    blocks = [{"type": "image", "path": "a.png"}, {"type": "text", "text": "Say lung."}]
    turns = [{"role": "user", "content": blocks}, {"role": "assistant", "content": "Lung"}]
    (root / "train.jsonl").write_text(json.dumps({"messages": turns}))
    result = audit_dataset(root)
    assert result.images == 1 and [c for c, _, _ in codes(result)] == ["prompt-target"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[{", "is damaged"),
        (b"hello", "holds neither"),
        (b"", "holds neither"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_none(tmp_path, content, sentence):
    path = tmp_path / "train.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImaxrayError, match=sentence):
        audit_dataset(path)


def test_mistaken_calls_are_sentences(write, tmp_path):
    root = write(train=[chat("a.png")])
    with pytest.raises(ImaxrayError, match="--patient-field"):
        audit_dataset(root, patient_field="nobody")
    with pytest.raises(ImaxrayError, match="Expected codes of checks"):
        audit_dataset(root, skip=["boxes"])
    with pytest.raises(ImaxrayError, match="folder of images"):
        audit_dataset(root, images=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImaxrayError, match="named train, val or test"):
        audit_dataset(tmp_path / "empty")
    with pytest.raises(ImaxrayError, match="got none"):
        audit_dataset([])
