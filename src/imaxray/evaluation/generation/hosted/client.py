"""Posts chats to a server: with a time limit, and again if the server is busy or broken."""

from __future__ import annotations

import http.client
import math
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from imaxray._version import __version__
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.address import Address, is_loopback
from imaxray.evaluation.generation.hosted.reply import (
    Reply,
    UnreadableReplyError,
    message_of,
    read_reply,
    without_request,
)

FIRST_WAIT: Final = 1.0
"""Seconds before a request is sent again for the first time; each later wait is twice as long."""

_CONNECT: Final = 10.0  # seconds; a connection that is being made cannot be ended from outside
_LONGEST_WAIT: Final = 60.0
_LONGEST_WISH: Final = 600.0  # a server that wishes a longer wait is asked again all the same
_AGAIN: Final = frozenset({408, 409, 425, 429})  # and every status of 500 or more
_LARGEST: Final = 16 * 2**20  # bytes; a longer reply is no answer


class ChatServer:
    """Posts chats to one server.

    The standard library's client follows no redirect and uses no proxy, so that a request reaches
    the named host or nobody.

    Args:
        address: Server.
        key: API key, which is sent in a header and appears nowhere else.
        timeout: Time limit of one request in seconds.
        retries: Number of times that a request is sent again.

    Attributes:
        repeated: Number of requests that were sent again so far.
    """

    def __init__(self, address: Address, *, key: str | None, timeout: float, retries: int) -> None:
        self._address = address
        self._key = key
        self._timeout = timeout
        self._retries = retries
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.repeated = 0

    def close(self) -> None:
        """End all requests at once; waiting threads get an error."""
        self._closed.set()
        with self._lock:
            for sock in self._open:
                _cut(sock)

    def ask(self, body: bytes) -> Reply:
        """Post one chat in JSON and return the answer; can be called from several threads.

        Raises:
            ImaxrayError: The server refuses the request, sends no readable answer, or is not
                reached or stays broken in all attempts.
        """
        problem = ""
        for attempt in range(self._retries + 1):
            wish: str | None = None
            try:
                status, wish, content = self._post(body)
            except ssl.SSLCertVerificationError as error:
                raise self._failed(
                    f"its certificate is not valid ({error.verify_message})",
                    "correct the URL, or give the server a valid certificate",
                ) from None
            except (OSError, http.client.HTTPException) as error:
                problem = self._cause(error)
            else:
                if status == http.client.OK:
                    return self._read(content, body)
                said = without_request(message_of(content), body)
                problem = f"it answers with status {status}{f' ({said})' if said else ''}"
                if status not in _AGAIN and status < http.client.INTERNAL_SERVER_ERROR:
                    raise self._failed(problem, _advice(status))
            if self._closed.is_set():
                break
            if attempt < self._retries:
                with self._lock:
                    self.repeated += 1
                self._closed.wait(_wait(attempt, wish))
        attempts = f"in each of {self._retries + 1} attempts" if self._retries else "once"
        raise self._failed(f"{problem}, {attempts}", "see to the server, or raise --retries")

    def _post(self, body: bytes) -> tuple[int, str | None, bytes]:
        """Return the status of a reply, its wish for a wait, and its body."""
        connection = self._connection()
        # the reply may take the socket over from the connection, so both are kept here
        socks: list[socket.socket] = []
        expired = threading.Event()

        def end() -> None:
            expired.set()
            for sock in socks:
                _cut(sock)

        # The time limit of a socket starts again with every byte, so a clock of its own is needed.
        clock = threading.Timer(self._timeout, end)
        clock.daemon = True
        clock.start()
        try:
            connection.connect()
            socks.append(connection.sock)
            connection.sock.settimeout(self._timeout)
            with self._lock:
                self._open.add(connection.sock)
            self._require_the_same_machine(connection)
            self._go_on(expired)
            connection.request("POST", self._address.endpoint, body, self._headers())
            with connection.getresponse() as response:
                content = response.read(_LARGEST + 1)
                self._go_on(expired)
                if response.length and len(content) <= _LARGEST:
                    raise http.client.IncompleteRead(content, response.length)
                return response.status, response.getheader("Retry-After"), content
        except ImaxrayError:
            raise
        except Exception:
            self._go_on(expired)  # a TLS socket that is cut raises errors of several kinds
            raise
        finally:
            clock.cancel()
            with self._lock:
                self._open.difference_update(socks)
            connection.close()

    def _go_on(self, expired: threading.Event) -> None:
        if self._closed.is_set():
            raise ConnectionAbortedError("the command ends")
        if expired.is_set():
            raise TimeoutError

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        limit = min(self._timeout, _CONNECT)
        if self._address.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=limit, context=context)
        return http.client.HTTPConnection(host, port, timeout=limit)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"imaxray/{__version__}",
            "Connection": "close",
        }
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def _require_the_same_machine(self, connection: http.client.HTTPConnection) -> None:
        """Check that `localhost` led to this machine, whatever a file of host names says."""
        peer = str(connection.sock.getpeername()[0])
        if self._address.is_here and not is_loopback(peer):
            raise ImaxrayError(
                f"Expected {self._address.host} to be this machine, but its name leads to {peer}; "
                "use http://127.0.0.1, or correct the table of host names."
            )

    def _read(self, content: bytes, request: bytes) -> Reply:
        try:
            if len(content) > _LARGEST:
                raise UnreadableReplyError(f"it is longer than {_LARGEST:,} bytes")
            return read_reply(content)
        except UnreadableReplyError as error:
            raise self._failed(
                f"its reply cannot be read, because {without_request(str(error), request)}",
                "name the base URL of an OpenAI-compatible API, which often ends in /v1",
            ) from None

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"it does not answer within --timeout {self._timeout:g} seconds"
        if isinstance(error, http.client.IncompleteRead):
            return "its reply ends early"
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"it cannot be reached ({' '.join(str(said).split())})"

    def _failed(self, problem: str, advice: str) -> ImaxrayError:
        said = problem if self._key is None else problem.replace(self._key, "[API key]")
        return ImaxrayError(
            f"Expected answers from the chat server at {self._address.url}, but {said}; {advice}; "
            "the answers so far are kept, and the same command continues."
        )


def _wait(attempt: int, wish: str | None) -> float:
    """Return the seconds to wait after an attempt: what the server wishes, or twice the last."""
    wished = None if wish is None else _seconds(wish)
    if wished is None:
        return float(min(FIRST_WAIT * 2**attempt, _LONGEST_WAIT))
    return min(max(wished, 0.0), _LONGEST_WISH)


def _seconds(wish: str) -> float | None:
    """Return the seconds of a header ``Retry-After``: a number, or a date; None if unreadable.

    Example:
        >>> _seconds("2"), _seconds("soon")
        (2.0, None)
    """
    try:
        number = float(wish)
    except ValueError:
        try:
            then = parsedate_to_datetime(wish)
        except ValueError:
            return None
        number = (then.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return number if math.isfinite(number) else None


def _advice(status: int) -> str:
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return "put a valid API key into the environment variable that --api-key-env names"
    if status == http.client.NOT_FOUND:
        return "check --base-url, which often ends in /v1, and the name of the model"
    if status == http.client.REQUEST_ENTITY_TOO_LARGE:
        return "lower --max-pixels"
    if 300 <= status < 400:
        return "name the URL that it redirects to, because no redirect is followed"
    return "check the name of the model, --max-new-tokens and --max-pixels"


def _cut(sock: socket.socket) -> None:
    """End a connection that another thread may be reading."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
