"""Reads the URL of a chat server, and tells whether the server is this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from imaxray.errors import ImaxrayError

_PORTS: Final = {"http": 80, "https": 443}
_ENDPOINT: Final = "/chat/completions"


@dataclass(frozen=True)
class Address:
    """Holds the parts of a server's base URL.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or number of the host, without brackets.
        port: Port.
        path: Path of the API without a slash at its end, such as ``/v1``.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The base URL, in one spelling."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def endpoint(self) -> str:
        """Path to which a chat is posted."""
        return self.path + _ENDPOINT

    @property
    def is_here(self) -> bool:
        """Whether the host is this machine: ``localhost``, or a loopback number.

        No other name counts, because a name server decides what it stands for.
        """
        return self.host == "localhost" or is_loopback(self.host)


def read_address(url: str) -> Address:
    """Return the parts of a base URL.

    Raises:
        ImaxrayError: The URL is not of HTTP, or holds a user, a password, a query or a fragment.
            The message does not repeat the URL, which may hold a secret.

    Example:
        >>> read_address("http://LOCALHOST:8000/v1/").url
        'http://localhost:8000/v1'
        >>> read_address("http://127.0.0.1:8000/v1/chat/completions").endpoint
        '/v1/chat/completions'
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _bad("it cannot be read as one") from None
    if parts.scheme not in _PORTS or not host:
        raise _bad("it does not begin with http://HOST or https://HOST")
    if parts.username is not None or parts.password is not None:
        raise _bad("it holds a user or a password")
    if parts.query or parts.fragment:
        raise _bad("it holds a query or a fragment")
    if not all(33 <= ord(sign) < 127 for sign in host + parts.path):
        raise _bad("it holds a space or another character that a URL cannot hold")
    path = parts.path.rstrip("/").removesuffix(_ENDPOINT)
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], path)


def is_loopback(host: str) -> bool:
    """Return whether a number of a host is a loopback address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("10.0.0.7")
        (True, True, False)
        >>> is_loopback("127.0.0.1.example.org")
        False
    """
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    inner = getattr(found, "ipv4_mapped", None)
    return (inner or found).is_loopback


def _bad(why: str) -> ImaxrayError:
    return ImaxrayError(
        f"Expected the base URL of a chat server, such as http://127.0.0.1:8000/v1, but {why}; "
        "correct --base-url, and give an API key in an environment variable only."
    )
