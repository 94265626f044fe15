"""Makes an invented MIMIC-Ext-CXR-QBA release: one study in every layout."""

import json
import zipfile

DICOM, SECOND = ("-".join([f"{k:08x}"] * 5) for k in (1, 2))
STUDY = "59999901"
QA = f"p19/p19999901/s{STUDY}.qa.json"
GRAPH = f"p19/p19999901/s{STUDY}.scene_graph.json"


LEGEND = "field,value,name\nquestion.quality.rating,4,A+\nobs.rating,1,B\nissue_level,4,FIXABLE\n"


def answer(text, kind="main_answer", **more):
    return {
        "answer_id": "a1b2", "answer_type": kind, "answer_level": 0, "text": text,
        "name_tag": text[:9], "laterality": "bilateral", "regions": ["lungs"],
        "obs_entities": ["consolidation"], "positiveness": "neg", "certainty": "certain",
        "modifiers": [["spread", "focal"]], "localization": {DICOM: place([[1.0, 2.0, 3.0, 4.0]])},
        "sub_answers": [], "from_report": True, "answer_quality": {"rating": "A"}, **more,
    }  # fmt: skip


def question(text, *answers, kind="describe_all", quality="A++", **more):
    return {
        "question_id": "c3d4", "question_type": kind, "question_strategy": "abnormal",
        "variables": {}, "obs_ids": ["O01"], "question": text, "answers": list(answers),
        "question_quality": {"rating": quality, "entailment": 6}, **more,
    }  # fmt: skip


def place(boxes, **more):
    return {
        "image_id": DICOM, "localization_reference_ids": ["lungs"], "bboxes": boxes,
        "instance_mask_ids": [], "missing_localization": [], "is_fallback": False,
        "localization_quality": 5, **more,
    }  # fmt: skip


def observation(name, positiveness="pos", entities=("consolidation",), localization=None, **more):
    return {
        "obs_id": "O01", "name": name, "summary_sentence": f"There is {name}.",
        "regions": [{"region": "lungs", "distances": []}], "obs_entities": list(entities),
        "positiveness": positiveness, "modifiers": {"severity": []}, "obs_quality": {},
        "localization": {} if localization is None else localization, **more,
    }  # fmt: skip


QUESTIONS = [
    question("Describe the given study.", answer("There is no  focal consolidation."),
             answer("Small effusion."), answer("A lead.", "related_information")),
    question("Is there edema?", answer("Yes, there is edema."), kind="D02_has_finding",
             quality="B"),
    question("Is it abnormal?", answer("No."), kind="is_abnormal", quality=None),
    question("Is it normal?", answer("Normal study."), kind="B04_is_normal", quality=4),
]  # fmt: skip
OBSERVATIONS = {
    "O01": observation("no consolidation", "neg", localization={DICOM: place([[1, 2, 3, 4]])}),
    "O02": observation(
        "small  left effusion.", entities=["pleural effusion", "fluid"],
        localization={
            DICOM: place([[10.5, 20, 110, 220], [5, 6, 7, 8]]),
            f"{SECOND}": place([[1, 2, 30, 40]], missing_localization=["left lung"]),
        },
    ),
    "O02.01": observation(
        None, summary_sentence="There is a tube.", entities=[], obs_quality={"rating": "A+"},
        localization={
            DICOM: place([[1, 1, 9, 9]]), SECOND: place([[1, 1, 9, 9]], is_fallback=True),
        },
    ),
    "O03": observation("edema"),
}  # fmt: skip


def members(qa=QUESTIONS, graph=OBSERVATIONS, study=f"s{STUDY}"):
    base = {"patient_id": "p19999901", "study_id": study}
    return (
        {QA: json.dumps({**base, "questions": qa})},
        {GRAPH: json.dumps({**base, "sentences": {"S01": {}}, "observations": graph}),
         GRAPH.replace("scene_graph", "metadata"): "{}"},
    )  # fmt: skip


def pack(root, files, qa="qa.zip", graph="scene_data.zip"):
    """Write members as zips (names that end in .zip) or folders."""
    for name, content in zip((qa, graph), files, strict=True):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for member, text in content.items():
                    archive.writestr(member, text)
            continue
        for member, text in content.items():
            (path / member).parent.mkdir(parents=True, exist_ok=True)
            (path / member).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def studies():
    """The study, and the same under two other numbers."""
    qa, graph = members()
    for number in ("59999902", "59999903"):
        for content in (qa, graph):
            content |= {
                name.replace(STUDY, number): text.replace(STUDY, number)
                for name, text in list(content.items())
                if STUDY in name
            }
    return qa, graph


def write_zipped(root):
    pack(root, studies())


def write_unpacked(root):
    pack(root, studies(), "qa", "scene_data")


def write_frontal(root):
    """The frontal export, and what its rating codes mean."""
    (root / "quality_mappings.csv").write_text(LEGEND)
    folder = "exports/A_frontal"
    pack(root, studies(), f"{folder}/qa.zip", f"{folder}/scene_graph.zip")
