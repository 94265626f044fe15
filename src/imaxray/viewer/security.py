"""Lets only the user's own browser use the viewer: a token, and the right Host and Origin.

A web page of a stranger that is open in the same browser can send requests to loopback, and a name
of its own can lead there (DNS rebinding). The token keeps others out, the checks of Host and Origin
and the strict cookie keep such pages out, and the Content-Security-Policy lets the page itself load
nothing from elsewhere and run no script of a text.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY: Final = 64 * 1024
"""Maximum number of bytes of a request; a mark has a few hundred."""

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every response."""

_SAFE: Final = ("GET", "HEAD")


def new_token() -> str:
    """Return a random token, which nobody can guess."""
    return secrets.token_urlsafe(32)


class OnlyThisUser:
    """Refuses every request that does not come from the user's own page of the viewer."""

    def __init__(self, app: App, *, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self.cookie = f"imaxray_view_{port}"
        self._hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost")}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the server closes a WebSocket that is not accepted
        headers = _headers(scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            await _answer(send, 403, refused)
            return
        if scope["path"] == "/" and scope["query_string"]:
            query = parse_qs(scope["query_string"].decode("latin-1"))
            if self._is_token(query.get("token", [""])[-1]):
                # the token leaves the address; the cookie stays in this browser only
                cookie = f"{self.cookie}={self._token.decode()}; Path=/; HttpOnly; SameSite=Strict"
                await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})
                return
        if not self._is_known(headers):
            await _answer(
                send, 403,
                "Expected the address with the token that `imaxray view` printed, but got none or "
                "another one; copy the whole address.",
            )  # fmt: skip
            return
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            length = LARGEST_BODY + 1
        if length > LARGEST_BODY:
            await _answer(send, 413, f"Expected a request of at most {LARGEST_BODY:,} bytes.")
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name, value) for name, value in message.get("headers", [])]
                named = {bytes(name) for name, _ in own}
                own += [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in named
                ]
                message = {**message, "headers": own}
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> str | None:
        """Return why a request may not be answered at all; None if it may."""
        if headers.get("host") not in self._hosts:
            return "Expected the host 127.0.0.1 or localhost, but got another one."
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            return "Expected a request of the viewer's own page, but got one of another origin."
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "Expected a request of the viewer's own page, but got one of another site."
        by_cookie = "authorization" not in headers
        if scope["method"] not in _SAFE and by_cookie and origin is None:
            return "Expected the origin of the viewer's own page, but got none."
        return None

    def _is_known(self, headers: dict[str, str]) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._is_token(token)
        # Cookies of other programs on this machine come too, whatever their port, and may be
        # malformed; a parser of all cookies would stop at them.
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie and self._is_token(value):
                return True
        return False

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode("utf-8", "replace"), self._token)


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name; of a name that occurs twice, all values with a comma between.

    Cookies have a semicolon between them.
    """
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        between = "; " if key == "cookie" else ", "
        found[key] = f"{found[key]}{between}{text}" if key in found else text
    return found


async def _answer(
    send: Send, status: int, sentence: str, headers: dict[str, str] | None = None
) -> None:
    body = orjson.dumps({"error": sentence}) if sentence else b""
    every = {**HEADERS, "content-type": "application/json", **(headers or {})}
    every["content-length"] = str(len(body))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in every.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
