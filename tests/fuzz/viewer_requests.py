"""Sends mutated requests to the viewer, with its token: every answer is a page or one sentence."""

import asyncio
import json
import logging
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

import polars as pl
from PIL import Image

from imaxray.curation import Tables, write_dataset
from imaxray.marks import read_marks
from imaxray.schema import ANNOTATIONS, CONFLICTS, ENTRIES, IMAGES, REJECTS, conform

TOKEN, PORT = "token", 7
SECRET = b"only outside of the release"
REFUSED = {400, 403, 404, 405, 413}

REQUESTS = (
    b"GET /api/images?task=vqa&split=train&sort=entries&order=desc&page=1&size=2&q=a\n\n",
    b"GET /api/facets?origin=human&from=r&quality=expert&conflicted=yes&mark=wrong&mark=no\n\n",
    b"GET /api/image?id=r/%C3%BC%20%3Cb%3E&dataset=data\n\n",
    b"GET /api/neighbours?id=r/a&sort=id&view=PA&conflict=report-label\n\n",
    b"GET /api/python?id=r/a\n\n", b"GET /api/python?q=a&view=&origin=pseudo&mark=any\n\n",
    b"GET /api/pixels?id=r/a\n\n", b"GET /api/picture?id=r/outside\n\n",
    b"GET /api/rendered?id=r/a&model=none\n\n", b"GET /api/about?dataset=\n\n",
    b"GET /api/marks\n\n", b"GET /api/marks/export\n\n", b"GET /static/main.js\n\n",
    b"GET /?token=token\n\n", b"GET /static/..%2f..%2fmarks.py\ncookie: imaxray_view_7=token\n\n",
    b"POST /api/marks?dataset=data\ncontent-type: application/json\n\n"
    b'{"image_id": "r/a", "verdict": "wrong", "note": "x", "annotation": {"kind": "label", "name": '
    b'"Edema", "source": "r", "reader": null, "fact": "0", "file": "t.csv", "row": 1}}',
    b"POST /api/marks\ncontent-type: application/json\n\n"
    b'{"image_id": "r/a", "verdict": "none"}',
    b"HEAD /api/images?low=0.5&high=1&arm=x&disagree=1\norigin: http://127.0.0.1:7\n"
    b"content-length: 3\n\n",
)  # fmt: skip


def viewer(data: bytes) -> None:
    """An answer has a known status, refusals are one sentence, and nothing of outside is shown."""
    method, path, query, headers, body = _parts(data)
    app, marks = _opened()
    status, sent, answered = _answer(app, method, path, query, headers, body)
    assert status in {200, 303} | REFUSED, (status, answered[:300])
    if status in REFUSED:
        said = json.loads(answered)["error"] if answered else "Expected."
        assert said.startswith("Expected") and "\n" not in said and "Traceback" not in said
    assert SECRET not in answered
    for name, value in sent:
        assert b"\n" not in name + value and b"\r" not in name + value
    if marks.exists():
        read_marks(marks)
        if marks.stat().st_size > 200_000:
            marks.unlink()


def _parts(data):
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.partition(b" ")
    path, _, query = target.partition(b"?")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in
               (line.partition(b":") for line in lines)]  # fmt: skip
    if not any(name in (b"cookie", b"authorization") for name, _ in headers):
        headers.append((b"authorization", b"Bearer " + TOKEN.encode()))
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", b"127.0.0.1:%d" % PORT))
    return method.decode("latin-1"), path, query, headers, body


def _answer(app, method, path, query, headers, body):
    """Ask the application as a server does, without a socket."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "path": unquote_to_bytes(path).decode("utf-8", "replace"), "raw_path": path,
        "query_string": query, "headers": headers, "scheme": "http", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", PORT),
    }  # fmt: skip
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    _loop().run_until_complete(app(scope, receive, send))
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], sent[0]["headers"], content


@cache
def _loop():
    return asyncio.new_event_loop()


@cache
def _opened():
    """A viewer of three images, one of them outside its release; its log stays quiet."""
    from imaxray.viewer.application import make_application
    from imaxray.viewer.library import Library
    from imaxray.viewer.opening.subject import open_subject

    logging.getLogger("imaxray.viewer").setLevel(logging.CRITICAL)
    out = Path(tempfile.mkdtemp(prefix="imaxray-fuzz-"))
    root = out / "release"
    root.mkdir()
    Image.new("L", (8, 6), 99).save(root / "a.png")
    Image.new("I;16", (8, 6), 999).save(root / "b.png")
    (out / "secret.png").write_bytes(SECRET)
    where = {"source": "r", "file": "t.csv", "row": 1}
    names = (("r/a", "a.png"), ("r/outside", "../secret.png"), ("r/ü <b>", "b.png"))
    images = [
        {"image_id": i, "patient_id": "r/p", "study_id": "r/s", "split": "train", "path": path,
         "width": 8, "height": 6, "view": "PA", **where}
        for i, path in names
    ]  # fmt: skip
    facts = [
        {"image_id": "r/a", "kind": "label", "name": "Edema", "value": 1.0, "origin": "human",
         "quality": "expert", **where},
        {"image_id": "r/a", "kind": "region", "name": "Edema", "text": "edema",
         "boxes": [[1.0, 1.0, 4.0, 4.0]], "origin": "silver", "quality": "regex", **where},
    ]  # fmt: skip
    entry = {
        "entry_id": "0" * 16, "image_id": "r/a", "patient_id": "r/p", "task": "rec",
        "split": "train", "prompt": "Where is edema?", "target": "<box>",
        "boxes": [[1.0, 1.0, 4.0, 4.0]], "answer": "[[1.0, 1.0, 4.0, 4.0]]",
        "template": "rec.phrase.0", "sources": ["r"], "quality": "silver/regex",
    }  # fmt: skip
    conflict = {
        "rule": "report-label", "image_id": "r/a", "effect": "keep", "source": "r",
        "file": "t.csv", "row": 1, "name": "Edema", "value": 1.0, "other_source": "r",
        "other_file": "t.csv", "other_row": 2, "other_name": "Edema", "other_value": 0.0,
    }  # fmt: skip
    reject = {**where, "key": "r/a", "code": "superseded", "message": "m"}
    tables = Tables(
        images=conform(pl.DataFrame(images), IMAGES),
        annotations=conform(pl.DataFrame(facts), ANNOTATIONS),
        entries=conform(pl.DataFrame([entry]), ENTRIES),
        rejects=conform(pl.DataFrame([reject]), REJECTS),
        conflicts=conform(pl.DataFrame([conflict]), CONFLICTS),
        roots={"r": root},
    )
    write_dataset(tables, out / "data", config={}, seed=0)
    library = Library(open_subject([out / "data"]), out / "marks.jsonl")
    library.dataset("")
    return make_application(library, token=TOKEN, port=PORT), out / "marks.jsonl"
