"""A real small chat server on loopback, for tests."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

SECRET = "sk-a-secret-that-no-file-may-hold-0123456789"


class Server(ThreadingHTTPServer):
    """Answers as `behave` says: it gets the number of the request and its JSON, and returns status,
    headers and body."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.headers, self.paths = [], [], []
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.behave = lambda number, asked: answer("No")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """A client that hung up is what some tests want."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.now += 1
            server.most = max(server.most, server.now)
            number = len(server.seen)
            server.seen.append(asked)
            server.headers.append(dict(self.headers))
            server.paths.append(self.path)
        try:
            made = server.behave(number, asked)
        finally:
            with server.lock:
                server.now -= 1
        if callable(made):
            made(self)
            return
        status, headers, body = made
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def answer(text, finish="stop", **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": text},
              "finish_reason": finish}  # fmt: skip
    body = {"model": "served-7b", "choices": [choice], "usage": {"completion_tokens": 3}, **more}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def refusal(status, message="busy", **headers):
    body = json.dumps({"error": {"message": message}}).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


def image_of(asked):
    url = asked["messages"][0]["content"][0]["image_url"]["url"]
    kind, _, data = url.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def text_of(asked):
    return asked["messages"][0]["content"][1]["text"]
