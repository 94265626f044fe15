"""Writes questions and answers as MIMIC-Ext-MIMIC-CXR-VQA 1.0.0 (sources.md, 8a)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from imaxray.phantom.cohort import Finding
from imaxray.phantom.records import Radiograph, Study
from imaxray.phantom.releases.files import write_json

_ATTRIBUTES: Final = {
    "effusion": "pleural effusion",
    "consolidation": "consolidation",
    "nodule": "lung nodule",
    "pneumothorax": "pneumothorax",
    "edema": "pulmonary edema",
    "cardiomegaly": "enlarged cardiac silhouette",
    "device": "support device",
}
_SIDED: Final = ("effusion", "consolidation", "nodule", "pneumothorax")

QuestionItem = tuple[str, str, str, list[str]]
"""Question, semantic type, content type and list of answers."""


def write_mimic_cxr_vqa(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write train, valid and test JSON and the answer index."""
    files: dict[str, list[dict[str, Any]]] = {"train": [], "valid": [], "test": []}
    for study in studies:
        split = {"validate": "valid"}.get(study.split, study.split)
        for image in study.frontals:
            random = np.random.default_rng([seed, 11, image.plan.index])
            if random.random() > 0.7 and files[split]:
                continue
            items = questions(image, random)
            picked = random.permutation(len(items))[: int(random.integers(2, 5))]
            for k in sorted(picked):
                files[split].append(item(image, split, len(files[split]), items[k]))
    folder = out / "MIMIC-Ext-MIMIC-CXR-VQA" / "dataset"
    for name, rows in files.items():
        write_json(folder / f"{name}.json", rows)
    answers = sorted({a for rows in files.values() for row in rows for a in row["answer"]})
    write_json(folder / "ans2idx.json", {answer: k for k, answer in enumerate(answers)})


def questions(image: Radiograph, random: np.random.Generator) -> list[QuestionItem]:
    """Return the questions that the image answers."""
    plan = image.plan
    present = {f.kind for f in plan.findings}
    absent = [kind for kind in _ATTRIBUTES if kind not in present]
    items: list[QuestionItem] = []

    def verify(kind: str, answer: str) -> None:
        items.append((f"Is there {_ATTRIBUTES[kind]}?", "verify", "presence", [answer]))

    if present:
        verify(str(random.choice(sorted(present))), "yes")
    if absent:
        verify(str(random.choice(absent)), "no")
    sided = [f for f in plan.findings if f.kind in _SIDED]
    if sided:
        one: Finding = sided[int(random.integers(len(sided)))]
        sides = sorted({f"{f.side} lung" for f in sided if f.kind == one.kind})
        name = _ATTRIBUTES[one.kind]
        items.append((f"Where is the {name}?", "query", "anatomy", sides))
        side = str(random.choice(["left lung", "right lung"]))
        truth = "yes" if side in sides else "no"
        items.append((f"Is there {name} in the {side}?", "verify", "presence", [truth]))
    names = sorted(_ATTRIBUTES[kind] for kind in present)
    items.append(("What abnormalities are seen in this image?", "query", "abnormality", names))
    if image.ctr is not None and abs(image.ctr - 0.5) > 0.01:
        wide = "yes" if image.ctr > 0.5 else "no"
        question = "Is the width of the cardiac silhouette wider than 1/2 of the thorax width?"
        items.append((question, "verify", "size", [wide]))
    plane = ["ap" if plan.view == "AP" else "pa"]
    items.append(("Is this an AP or a PA image?", "choose", "plane", plane))
    if random.random() < 0.05:
        gender = ["m" if plan.habitus.sex == "M" else "f"]
        items.append(("What is the gender of the patient?", "query", "gender", gender))
    return items


def item(image: Radiograph, split: str, index: int, question: QuestionItem) -> dict[str, Any]:
    """Return one item of the JSON file."""
    text, semantic, content, answer = question
    # the release was written with default=str: ids are strings in one split, numbers in others
    as_id = str if split == "train" else int
    return {
        "split": split, "idx": index, "subject_id": as_id(image.subject_id),
        "study_id": as_id(image.study_id), "image_id": image.dicom_id,
        "image_path": image.path.removeprefix("files/"), "question": text,
        "semantic_type": semantic, "content_type": content, "template": text,
        "template_program": "program_47" if content == "size" else "program_1",
        "template_arguments": {"object": {}, "attribute": {}, "category": {}, "viewpos": {},
                               "gender": {}},
        "answer": answer,
    }  # fmt: skip
