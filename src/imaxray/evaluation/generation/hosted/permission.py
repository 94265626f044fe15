"""Decides whether images may be sent to a server, and reads the API key of the server.

Most releases come under data use agreements that forbid passing their images or texts to others,
and a hosted model is somebody else's machine. So nothing leaves this machine unless the user says
so, in words that cannot be given by accident.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.address import Address
from imaxray.sources import get_source, published_sources

KEY_VARIABLE: Final = "OPENAI_API_KEY"
"""Environment variable of the API key, if the user names no other."""

_VARIABLE: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def require_may_send(
    address: Address, releases: Iterable[str], *, allow_remote: bool, may_send_images: bool
) -> None:
    """Check that images and prompts of some releases may be sent to a server.

    Args:
        address: Server.
        releases: Names of the sources of the images and of the annotations.
        allow_remote: Whether the user allowed a server that is not this machine.
        may_send_images: Whether the user stated that the agreements allow it.

    Raises:
        ImaxrayError: The server is another machine and the user has not allowed it, or a release
            is not open and the user has not stated that it may be sent.

    Example:
        >>> from imaxray.evaluation.generation.hosted.address import read_address
        >>> here = read_address("http://localhost:8000/v1")
        >>> require_may_send(here, ["mimic-cxr-jpg"], allow_remote=False, may_send_images=False)
    """
    if address.is_here:
        return
    if not allow_remote:
        raise ImaxrayError(
            f"Expected a server on this machine (localhost or 127.0.0.1), but --base-url names "
            f"{address.host}, to which images and prompts would be sent; use a server on this "
            "machine, or add --allow-remote."
        )
    closed = [f"{name} ({access})" for name in sorted({*releases})
              if (access := _access(name)) != "open"]  # fmt: skip
    if closed and not may_send_images:
        raise ImaxrayError(
            f"Expected --i-may-send-images with --allow-remote, because agreements forbid in "
            f"general to pass on images and texts of {', '.join(closed)}, but it is not given; use "
            "a server on this machine, or add it if your agreements and your institution allow "
            f"sending them to {address.host}."
        )


def api_key(variable: str | None) -> str | None:
    """Return the API key from an environment variable, or None if there is none.

    Args:
        variable: Name of the variable that the user gave. If None, :data:`KEY_VARIABLE` is read.

    Raises:
        ImaxrayError: The variable is not set, or its value cannot be a key. The message repeats
            neither, because a user may have typed the key in place of the name.
    """
    if variable is not None and not _VARIABLE.fullmatch(variable):
        raise ImaxrayError(
            "Expected the name of an environment variable for --api-key-env, but what was given "
            "cannot be one; put the key into a variable and give its name, never the key."
        )
    key = os.environ.get(variable or KEY_VARIABLE, "").strip()
    if not key:
        if variable is None:
            return None
        raise ImaxrayError(
            "Expected an API key in the environment variable that --api-key-env names, but it is "
            "not set; set it, or leave the option out for a server without keys."
        )
    if not all(33 <= ord(sign) < 127 for sign in key):
        raise ImaxrayError(
            "Expected an API key of visible ASCII characters in the environment variable "
            f"{variable or KEY_VARIABLE}, but its value has others; set it again."
        )
    return key


def _access(name: str) -> str:
    """Return how a release can be had; images of one that nobody published are private."""
    return get_source(name).access if name in published_sources() else "not published"
