"""Names what is fuzzed: each target reads bytes of a stranger, and may raise nothing of its own."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from fuzz.viewer_requests import REQUESTS, viewer
from imaxray._common.config import parse_yaml
from imaxray._common.verifying import verify_folder
from imaxray.boxes import CONVENTIONS
from imaxray.clinical import load_clinical_rules
from imaxray.curation import open_dataset
from imaxray.derive.rules.own_rules import read_own_rules
from imaxray.errors import ImaxrayError
from imaxray.evaluation import read_predictions
from imaxray.labeller import label_report, stated
from imaxray.marks import read_marks
from imaxray.metrics import normalise, token_f1
from imaxray.radiograph import load_checked
from imaxray.sources import read_csv
from imaxray.sources._shared.files.json_items import check_items, read_items
from imaxray.sources._shared.sections.report_sections import findings_and_impression, split_sections
from imaxray.sources.own_data.mapping import read_mapping
from imaxray.study import load_config
from imaxray.tasks import clean_answer, get_task, to_json
from imaxray.training import load_recipe

SIZE = (600, 1000)
TASKS = ("calculation", "findings", "grading", "rec", "reg", "report", "vqa")
TEMPLATES = {"calculation": "calculation.ctr.0", "vqa": "vqa.closed.0"}


def text_of(data: bytes) -> str:
    """A text of arbitrary characters, as a tokenizer's decoder may give it; no lone surrogates."""
    return data.decode("utf-8", errors="replace")


def answers(data: bytes) -> None:
    """Every task reads an answer, and what it read can be stated and written as JSON."""
    clean = clean_answer(text_of(data))
    for convention in CONVENTIONS.values():
        text, boxes = convention.extract(clean, *SIZE)
        for name in TASKS:
            task, template = get_task(name), TEMPLATES.get(name, f"{name}.x.0")
            answer = task.parse(text, boxes, template)
            if answer is not None:
                to_json(answer)
                gold = task.as_gold(answer, template)
                if gold is not None:
                    to_json(gold.answer)


def boxes(data: bytes) -> None:
    """Every box that is read lies in the image and is not inverted."""
    for convention in CONVENTIONS.values():
        text, found = convention.extract(text_of(data), *SIZE)
        assert text.count("<box>") == len(found)
        for x1, y1, x2, y2 in found:
            assert 0 <= x1 < x2 <= SIZE[0] and 0 <= y1 < y2 <= SIZE[1]


def reports(data: bytes) -> None:
    """Sections, labels and words of a text."""
    text = text_of(data)
    split_sections(text)
    findings_and_impression(text)
    assert set(label_report(text).values()) <= {1, 0, -1}
    stated(text)
    normalise(text)
    assert 0 <= token_f1(text, "small left effusion") <= 1


def _in_a_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ImaxrayError):
            path = Path(folder) / name
            path.write_bytes(data)
            read(path)

    return target


def configs(data: bytes) -> None:
    """Every loader of YAML."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(data)
        for load in (load_config, load_recipe, load_clinical_rules):
            with contextlib.suppress(ImaxrayError):
                load(path)
    with contextlib.suppress(ImaxrayError):
        parse_yaml(text_of(data), "a text")


def manifests(data: bytes) -> None:
    """A manifest of every kind of folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("manifest.json", "export.json", "run.json", "predictions.json", "share.json"):
            (folder / file).write_bytes(data)
            with contextlib.suppress(ImaxrayError):
                verify_folder(folder)
        for marker in (".imaxray.json", ".imaxray-digests.json", "roots.json"):
            (folder / marker).write_bytes(data)
        with contextlib.suppress(ImaxrayError):
            open_dataset(folder)


def _items(path: Path) -> None:
    with contextlib.suppress(ImaxrayError):
        check_items(path, ["a"])
    read_items(path, ["a"])


def _picture() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), 99).save(stream, "PNG")
    return stream.getvalue()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "answers": answers,
    "boxes": boxes,
    "configs": configs,
    "images": _in_a_file("a.png", lambda path: load_checked(path, 8, 8)),
    "manifests": manifests,
    "marks": _in_a_file("m.jsonl", read_marks),
    "own-data": _in_a_file("source.yaml", read_mapping),
    "own-rules": _in_a_file("rules.yaml", read_own_rules),
    "predictions": _in_a_file("p.jsonl", read_predictions),
    "predictions-parquet": _in_a_file("p.parquet", read_predictions),
    "release-json": _in_a_file("t.json", _items),
    "release-tables": _in_a_file("t.csv", lambda path: read_csv(path, ["a", "b"])),
    "reports": reports,
    "viewer": viewer,
}

SEEDS: dict[str, tuple[bytes, ...]] = {
    "answers": (
        b"<think>no</think><answer>yes</answer>", b"Edema: No\n- Pneumonia: Yes", b"Grade 2",
        b'{"grade": 2}', b"CTR = 13.5 / 26.0 = 0.52 (52 %)", b"**Findings:** clear\n## Impression",
        b"```json\n[{\"box_2d\": [1, 2, 3, 4]}]\n```", b"The answer is (B).", b"\\boxed{0.5}",
    ),
    "boxes": (
        b"[10, 20, 30, 40]", b"<box>[[1, 2, 3, 4], [5, 6, 7, 8]]</box>", b"[0.1, 0.2, 0.3, 0.4]",
        b'{"box_2d": [1, 2, 3, 4], "label": "x"}', b"<|box_start|>(1,2),(3,4)<|box_end|>",
        b"<loc_1><loc_2><loc_3><loc_4>", b"[100.0, 1e9, -1, 101]",
    ),
    "configs": (
        b"title: t\nseed: 0\nphantom:\n  images: 20\n", b"steps: 3\noptimizer: muon\n",
        b"a: &a [*a]\n", b"a: 2026-02-31\n", b"a: 1\na: 2\n", b"!!python/object:os.system x\n",
        b"\xef\xbb\xbftitle: t\n", b"rules:\n  ctr:\n    threshold: .nan\n",
    ),
    "images": (_picture(),),
    "manifests": (
        b'{"files": {"a": "0"}}', b'{"files": [], "account": {}, "conflicts": 0, "releases": [{}]}',
        b'{"kind": "dataset", "identity": "", "files": ["../x", "/etc/passwd"]}', b"[" * 2000,
        b'{"files": {"a": "0"}, "content_sha256": "0"}',
    ),
    "marks": (
        b'{"image_id": "a", "verdict": "wrong", "note": "\\u202e"}\n',
        b'{"image_id": "a", "verdict": "none", "annotation": {"kind": "label", "name": "Edema", '
        b'"source": "x", "reader": null, "fact": "0", "file": "a.csv", "row": 1}}\n{"image',
    ),
    "own-data": (
        b"name: x\nroot: .\ntables:\n- file: a.csv\n  format: csv\n  columns: {image: png}\n",
        b"name: x\nroot: ..\ntables: [{file: ../a.csv, columns: {image: a, labels: {a: Edema}}}]\n",
    ),
    "own-rules": (
        b"rules:\n- name: a\n  when: [{label: Edema, is: present}]\n  then: {label: Edema}\n",
        b"builtin: false\nrules:\n- name: a\n  when: [{measurement: ctr, above: .nan}]\n",
        b"rules: [{name: a, when: [{report: '(a+)+$'}, {question: q, answer: [y]}]}]\n",
    ),
    "predictions": (
        b'{"entry_id": "a", "text": "yes"}\n{"entry_id": "b", "text": null}\n', b"\xef\xbb\xbf{}",
    ),
    "predictions-parquet": (b"PAR1" + bytes(32) + b"PAR1",),
    "release-json": (b'[{"a": [1, {"b": null}]}]', b'{"a": 1e400}'),
    "release-tables": (b"a,b\n1,2\n3,\"x\ny\"\n", b"a,b\n1,2,3\n", b"\xff\xfea,b\n"),
    "reports": (
        b"FINAL REPORT\n FINDINGS: No effusion, pneumothorax.\n\n IMPRESSION: 1. Edema 2. ___",
        b"No XXXX airspace disease.", b"Effusion: none. Lungs: clear without A, B, C.",
    ),
    "viewer": REQUESTS,
}  # fmt: skip
assert SEEDS.keys() == TARGETS.keys()

DICTIONARY = (
    b"no ", b"not ", b"yes", b"<box>", b"[", b"]", b"{", b"}", b'"', b"\n", b"\0", b"\xff", b"\\",
    b": ", b"- ", b"1. ", b"</think>", b"<answer>", b"___", b"XXXX", b"0.5", b"-1", b"1e400",
    b"NaN", b",", b"\r\n", b"&a", b"*a", b"!!", json.dumps("\u202e").encode(), "é".encode(),
)  # fmt: skip
"""Bytes that mean something to a parser, which mutations insert."""
