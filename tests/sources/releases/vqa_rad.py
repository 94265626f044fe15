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
    """The publisher's one file, with its keys and its name for the folder of images."""
    rows = [
        ("1", "freeform", "synpic1.jpg", "CHEST", "Is there an effusion?", "Yes", "CLOSED",
         "Is an effusion seen?"),
        ("2", "para", "synpic1.jpg", "CHEST", "How many ribs are seen?", 10, "OPEN ", "NULL"),
        ("3", "freeform", "synpic3.jpg", "HEAD", "Is there a bleed?", "No", "CLOSED", "NULL"),
        ("4", "test_freeform", "synpic2.jpg", "CHEST", "Where is the opacity?", "left base", "OPEN",
         "NULL"),
    ]  # fmt: skip
    items = [
        {"qid": qid, "phrase_type": phrase, "qid_linked_id": f"0{qid}",
         "image_case_url": f"https://example.org/{image}", "image_name": image,
         "image_organ": organ, "evaluation": "not evaluated", "question": question,
         "question_rephrase": "NULL", "question_relation": "NULL", "question_frame": frame,
         "question_type": "PRES", "answer": answer, "answer_type": kind}
        for qid, phrase, image, organ, question, answer, kind, frame in rows
    ]  # fmt: skip
    (root / "VQA_RAD Dataset Public.json").write_text(json.dumps(items))
    folder = root / "VQA_RAD Image Folder"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (12, 16)).astype(np.uint8)
    for name in ("synpic1.jpg", "synpic2.jpg", "synpic3.jpg"):
        Image.fromarray(noise).save(folder / name)
