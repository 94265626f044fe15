"""Makes an invented VQA-RAD release: two chest radiographs and a head."""

import json

import numpy as np
from PIL import Image


def item(qid, image, question, answer, kind="CLOSED", organ="CHEST"):
    return {
        "qid": qid, "image_name": image, "image_organ": organ, "answer": answer,
        "answer_type": kind, "question_type": "PRES", "question": question,
        "phrase_type": "freeform",
    }  # fmt: skip


def write(root):
    train = [
        item(1, "synpic1.jpg", "Is there an effusion?", "Yes"),
        item(2, "synpic1.jpg", "How many ribs are seen?", 10, "OPEN "),
        item(3, "synpic3.jpg", "Is there a bleed?", "No", organ="HEAD"),
    ]
    test = [item(4, "synpic2.jpg", "Where is the opacity?", "left base", "OPEN")]
    (root / "trainset.json").write_text(json.dumps(train))
    (root / "testset.json").write_text(json.dumps(test))
    (root / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (12, 16)).astype(np.uint8)
    for name in ("synpic1.jpg", "synpic2.jpg", "synpic3.jpg"):
        Image.fromarray(noise).save(root / "images" / name)


def write_public(root):
    """The one file of the dataset's page, with its folder of images."""
    write(root)
    train, test = (
        json.loads((root / f"{name}.json").read_text()) for name in ("trainset", "testset")
    )
    for row in test:
        row["phrase_type"] = "test_freeform"
    (root / "VQA_RAD Dataset Public.json").write_text(json.dumps([*train, *test]))
    for name in ("trainset.json", "testset.json"):
        (root / name).unlink()
    (root / "images").rename(root / "VQA_RAD Image Folder")
