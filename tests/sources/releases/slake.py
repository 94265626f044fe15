"""Makes an invented SLAKE release: two chest radiographs, a CT and an abdomen."""

import json

import numpy as np
from PIL import Image

BOXES = {
    "xmlab1": [{"Heart": [10, 12, 20.5, 18]}, {"Lung": [2, 4, 15, 30]}, {"Lung": [30, 4, 14, 30]}],
    "xmlab2": [{"Right Lung": [1, 1, 10, 20], "Pneumonia": [3, 5, 4, 4]}],
    "xmlab3": [{"Liver": [1, 1, 10, 10]}],
    "xmlab4": [],
}


def item(qid, folder, question, answer, kind="OPEN", **changes):
    return {
        "img_id": int(folder[5:]), "img_name": f"{folder}/source.jpg", "question": question,
        "answer": answer, "q_lang": "en", "location": "Lung", "modality": "X-Ray",
        "answer_type": kind, "base_type": "vqa", "triple": ["vhead", "_", "_"], "qid": qid,
        "content_type": "Organ",
    } | changes  # fmt: skip


def items():
    return {
        "train": [
            item(1, "xmlab1", "Does the picture contain the lung?", "Yes", "CLOSED"),
            item(2, "xmlab1", "图片中包含肺吗?", "包含", "CLOSED", q_lang="zh"),
            item(3, "xmlab3", "Which organ is this?", "Liver", location="Abdomen", modality="CT"),
            item(4, "xmlab4", "Which organ is this?", "Liver", location="Abdomen"),
        ],
        "validate": [item(5, "xmlab2", "How many lungs?", 2, location="Chest_lung")],
        "test": [item(6, "xmlab2", "Where is the lesion?", "Right Lung", content_type="Position")],
    }


def write(root):
    for split, rows in items().items():
        text = json.dumps(rows, ensure_ascii=False)
        (root / f"{split}.json").write_text(text, encoding="utf-8")
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    for folder, boxes in BOXES.items():
        path = root / "imgs" / folder
        path.mkdir(parents=True)
        (path / "detection.json").write_text(json.dumps(boxes))
        Image.fromarray(noise).save(path / "source.jpg")
