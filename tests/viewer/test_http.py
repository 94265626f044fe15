"""Tests what the viewer answers, and whom it refuses, over a real socket."""

import json
import socket
from contextlib import ExitStack, suppress
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from imaxray import radiograph

PATHS = (
    "/", "/static/main.js", "/api/about", "/api/images", "/api/facets", "/api/image?id=deep/png",
    "/api/pixels?id=deep/png", "/api/picture?id=deep/png", "/api/marks", "/api/marks/export",
    "/api/neighbours?id=deep/png", "/api/python", "/no/such/page",
)  # fmt: skip


@pytest.fixture(scope="module")
def client(running):
    headers = {"authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=running.base, headers=headers, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def stranger(running):
    with httpx.Client(base_url=running.base, timeout=60) as opened:
        yield opened


def sentence(answer):
    said = answer.json()["error"]
    assert said.startswith("Expected") and said.endswith(".") and "\n" not in said
    return said


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Basic {token}"},
        {"cookie": "imaxray_view_{port}=wrong"},
        {"cookie": "imaxray_view_1={token}"},
        {"cookie": "{token}"},
        {"authorization": "Bearer {token}", "host": "evil.example"},
        {"authorization": "Bearer {token}", "host": "127.0.0.1"},
        {"authorization": "Bearer {token}", "host": "127.0.0.1.evil.example:{port}"},
        {"authorization": "Bearer {token}", "origin": "http://evil.example"},
        {"authorization": "Bearer {token}", "origin": "null"},
        {"authorization": "Bearer {token}", "origin": "http://127.0.0.1:1"},
        {"authorization": "Bearer {token}", "sec-fetch-site": "cross-site"},
        {"authorization": "Bearer {token}", "sec-fetch-site": "same-site"},
    ],
)
def test_a_request_of_somebody_else_is_refused(running, stranger, headers):
    port = running.base.rpartition(":")[2]
    filled = {
        name: value.replace("{token}", running.token).replace("{port}", port)
        for name, value in headers.items()
    }
    for path in PATHS:
        answer = stranger.get(path, headers=filled)
        assert answer.status_code == 403
        assert running.token not in answer.text
        sentence(answer)


@pytest.mark.parametrize("token", ["", "wrong", "%00", "a" * 5000, "ü"])
def test_a_wrong_token_in_the_address_is_refused(stranger, token):
    answer = stranger.get(f"/?token={token}")
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_the_token_is_taken_in_the_address_of_the_page_only(running, stranger):
    assert stranger.get(f"/api/about?token={running.token}").status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(running):
    with httpx.Client() as browser:
        first = browser.get(running.address)
        assert first.status_code == 303 and first.headers["location"] == "/"
        assert "HttpOnly" in first.headers["set-cookie"]
        assert "SameSite=Strict" in first.headers["set-cookie"]
        page = browser.get(f"{running.base}/")
        assert page.status_code == 200 and running.token not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "others",
    [
        b'x={"y": 1}', b"bad[]{}=1", b"=", b'"', b'a="unclosed', b"expires=1", b"\xc3\xa9=\xc3\xbc",
        b"a,b=c", b"imaxray_view_1=2", b";;", b"imaxray_view_{port}=an-older-token",
    ],
)  # fmt: skip
def test_cookies_of_other_programs_do_not_lock_the_user_out(running, others):
    port = running.base.rpartition(":")[2].encode()
    own = b"imaxray_view_%s=%s" % (port, running.token.encode())
    others = others.replace(b"{port}", port)
    for cookies in (others + b"; " + own, own + b"; " + others):
        answer = httpx.get(f"{running.base}/api/about", headers={"cookie": cookies})
        assert answer.status_code == 200, cookies
        wrong = httpx.get(f"{running.base}/api/about", headers={"cookie": cookies[:-1] + b"!"})
        assert wrong.status_code == (403 if cookies.endswith(own) else 200)


def test_slow_clients_do_not_hold_up_others(client, running):
    port = int(running.base.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(200):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"GET / HT")
        assert client.get("/api/about", timeout=20).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_proper_request_is_refused(client, running, content):
    port = running.base.rpartition(":")[2]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as raw:
        with suppress(ConnectionError):  # the server closes while the rest is sent
            raw.sendall(content.replace(b"{port}", port.encode()))
        with suppress(ConnectionError):
            answer = raw.recv(4096)
            assert not answer or answer.split()[1] in (b"400", b"403"), answer
    assert client.get("/api/about").status_code == 200


def test_a_mark_by_cookie_needs_the_origin_of_the_page(running):
    with httpx.Client() as browser:
        browser.get(running.address)
        body = {"image_id": "deep/png", "verdict": "note"}
        alone = browser.post(f"{running.base}/api/marks", json=body)
        assert alone.status_code == 403 and "origin" in sentence(alone)
        own = browser.post(f"{running.base}/api/marks", json=body, headers={"origin": running.base})
        assert own.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../application.py", "/static/..%2fapplication.py", "/static/%2e%2e/application.py",
        "/static/....//application.py", "/static/none.js", "/static/", "/../../etc/passwd",
        "//etc/passwd", "/api/pixels?id=../secret.png", "/api/pixels?id=/etc/passwd",
        "/api/pixels?id=deep/outside", "/api/picture?id=deep/outside", "/api/pixels?id=deep/gone",
        "/api/images?dataset=../data", "/api/image?id=deep/png&dataset=/etc", "/api/image?id=",
        "/api/image?id=%00", "/api/pixels?id=deep/png%00",
    ],
)  # fmt: skip
def test_what_is_outside_the_dataset_is_not_there(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    sentence(answer)


def test_the_first_page_and_its_neighbours(client):
    about = client.get("/api/about").json()
    assert about["arms"] == ["good", "bad"] and about["datasets"] == ["data"]
    found = client.get("/api/images", params={"size": 5}).json()
    assert found["total"] == about["images"] and len(found["images"]) == 5
    second = client.get("/api/images", params={"size": 5, "page": 2}).json()
    ids = [row["image_id"] for row in found["images"] + second["images"]]
    assert len(set(ids)) == 10
    beside = client.get("/api/neighbours", params={"id": ids[5]}).json()
    assert (beside["previous"], beside["next"], beside["place"]) == (ids[4], ids[6], 6)


def test_an_image_with_an_odd_id_and_hostile_text(client, odd):
    found = client.get("/api/images", params={"q": odd.id}).json()
    assert [row["image_id"] for row in found["images"]] == [odd.id]
    answer = client.get("/api/image", params={"id": odd.id})
    assert answer.headers["content-type"] == "application/json"
    page = answer.json()
    assert page["image"]["image_id"] == odd.id and page["image"]["pixels"]
    assert odd.hostile in {one["text"] for one in page["annotations"]}
    assert [row["rule"] for row in page["conflicts"]] == ["report-label"]
    assert [row["message"] for row in page["rejects"]] == [odd.forged]
    asked = {entry["task"] for entry in page["entries"]}
    assert {"rec", "report"} <= asked
    for entry in page["entries"]:
        good, bad = sorted(entry["answers"], key=lambda one: one["arm"], reverse=True)
        assert (good["arm"], bad["arm"]) == ("good", "bad")
        if entry["task"] == "rec":
            assert good["right"] is True and bad["right"] is False
            assert np.allclose(good["boxes"], entry["target_boxes"], atol=3)
            assert len(bad["boxes"]) == 1


def test_every_annotation_says_where_it_comes_from(client, odd):
    page = client.get("/api/image", params={"id": odd.id}).json()
    for one in page["annotations"]:
        assert one["file"] in page["releases"][one["source"]]["files"]
        assert one["row"] >= 1 and one["origin"] in ("human", "silver")
    assert page["releases"]["mimic-cxr-jpg"]["version"] == "2.1.0"


@pytest.mark.parametrize("name", ["png", "dicom"])
def test_pixels_come_at_full_depth(client, viewed_root, name):
    answer = client.get("/api/pixels", params={"id": f"deep/{name}"})
    about = json.loads(answer.headers["x-pixels"])
    assert about["bits"] == 16
    sent = np.frombuffer(answer.content, "<u2").reshape(about["height"], about["width"])
    path = viewed_root / "deep" / {"png": "ramp.png", "dicom": "film.dcm"}[name]
    low, high = about["low"], about["high"]
    grey = np.clip((sent.astype(float) - low) / (high - low), 0, 1) * 255
    grey = 255 - grey if about["inverted"] else grey
    assert np.abs(grey - radiograph.load(path)).max() <= 1
    if name == "png":
        assert len(np.unique(sent)) > 5000  # nothing of the depth is lost


def test_a_damaged_image_is_one_sentence(client):
    answer = client.get("/api/pixels", params={"id": "deep/bad"})
    assert answer.status_code == 400 and "readable image" in sentence(answer)


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=x", "page=-1", "page=1e9", "size=0", "size=100000", "task=none",
        "split=all", "sort=color", "mark=great", "conflicted=maybe", "arm=third",
        "low=2", "low=nan", "high=x", "low=inf", "low=1e400", "order=sideways", "disagree=maybe",
        "task=", "task", "split=", "from=%3Cb%3E", "page=%D9%A3", "page=1e3", "page=10000001",
        "origin=divine", "q=" + "a" * 301, "view=%00",
    ],
)  # fmt: skip
def test_a_wrong_filter_is_one_sentence(client, query):
    answer = client.get(f"/api/images?{query}")
    assert answer.status_code == 400
    sentence(answer)


@pytest.mark.parametrize(
    "text",
    [
        "' OR 1=1 --",
        "\0",
        "\ud800",
        ".*",
        "(",
        "<script>",
        "\U0001f600" * 80,
        "\u202e",
        "\u0130",
        "\u00df",
    ],
)
def test_any_text_can_be_searched(client, text):
    q = quote(text.encode("utf-8", "surrogatepass"))
    assert client.get(f"/api/images?q={q}").json()["total"] == 0
    assert client.get(f"/api/facets?q={q}").status_code == 200
    code = client.get(f"/api/python?q={q}").json()["python"]
    compile(code, "copied", "exec")


def test_a_value_that_is_empty_is_named(client):
    assert "but got (none)" in sentence(client.get("/api/images?task="))


def test_damaged_marks_do_not_keep_a_user_from_looking(client, running):
    before = running.marks.read_bytes() if running.marks.exists() else None
    body = {"image_id": "deep/png", "verdict": "note"}
    try:
        for damage in (b"{\n", b"\xff\xfe\x00" * 100, b"[]\n", None):
            running.marks.unlink(missing_ok=True)
            if damage is None:
                running.marks.mkdir()
            else:
                running.marks.write_bytes(damage)
            page = client.get("/api/images").json()
            assert page["total"] and str(running.marks) in page["marks_problem"]
            one = client.get("/api/image?id=deep/png").json()
            assert one["marks"] == [] and one["marks_problem"] == page["marks_problem"]
            assert client.get("/api/neighbours?id=deep/png").json()["place"]
            assert str(running.marks) in sentence(client.get("/api/images?mark=wrong"))
            assert client.post("/api/marks", json=body).status_code == 400
            if damage is not None:
                assert running.marks.read_bytes() == damage  # a refused mark is not kept
        running.marks.rmdir()
        assert client.get("/api/images").json()["marks_problem"] is None
        assert client.post("/api/marks", json=body).status_code == 200
    finally:
        running.marks.unlink(missing_ok=True)
        if before is not None:
            running.marks.write_bytes(before)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client, running, method):
    answer = client.request(method, "/api/images", headers={"origin": running.base})
    assert answer.status_code in (403, 405)
    sentence(answer)


def test_marks_are_kept_and_withdrawn(client, running, odd):
    page = client.get("/api/image", params={"id": odd.id}).json()
    one = next(a for a in page["annotations"] if a["kind"] == "report")
    key = {k: one[k] for k in ("kind", "name", "source", "reader", "fact", "file", "row")}
    body = {"image_id": odd.id, "verdict": "wrong", "annotation": key, "note": "not his <b>"}
    answer = client.post("/api/marks", json=body)
    assert answer.status_code == 200, answer.text
    assert [m["verdict"] for m in answer.json()["marks"]] == ["wrong"]
    found = client.get("/api/images", params={"mark": "wrong"}).json()
    assert [row["image_id"] for row in found["images"]] == [odd.id]
    exported = client.get("/api/marks/export")
    assert "attachment" in exported.headers["content-disposition"]
    assert odd.id in [json.loads(line)["image_id"] for line in exported.text.splitlines()]
    before = running.marks.read_text().count("\n")
    gone = client.post("/api/marks", json={**body, "verdict": "none"})
    assert gone.json()["marks"] == []
    assert running.marks.read_text().count("\n") == before + 1  # nothing is ever removed
    assert client.get("/api/images", params={"mark": "wrong"}).json()["total"] == 0


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"image_id": "deep/png", "verdict": "great"}', "application/json"),
        (b'{"image_id": "deep/png", "verdict": "wrong", "more": 1}', "application/json"),
        (b'{"image_id": "no/such", "verdict": "wrong"}', "application/json"),
        (b'{"image_id": "deep/png", "verdict": "wrong"}', "text/plain"),
        (b"a" * 70_000, "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"null", "application/json"),
        (b"[" * 50_000, "application/json"),
        (b'{"image_id": 5, "verdict": "wrong"}', "application/json"),
        (b'{"image_id": "deep/png", "verdict": "note", "note": NaN}', "application/json"),
    ],
)
def test_a_wrong_mark_is_one_sentence_and_not_kept(client, running, content, kind):
    before = running.marks.read_bytes() if running.marks.exists() else b""
    answer = client.post("/api/marks", content=content, headers={"content-type": kind})
    assert answer.status_code in (400, 404, 413)
    sentence(answer)
    assert (running.marks.read_bytes() if running.marks.exists() else b"") == before


def test_logs_hold_no_text_of_reports(client, odd, caplog):
    with caplog.at_level(0):
        client.get("/api/image", params={"id": odd.id})
        client.get("/api/images", params={"q": odd.id})
        client.get("/api/pixels", params={"id": "deep/bad"})
    assert "effusion" not in caplog.text
