"""Forbids every connection to another machine while the tests run."""

import ipaddress
import socket
import sys


def is_local(family, address):
    """Tell whether an address of a socket is on this machine."""
    if family == getattr(socket, "AF_UNIX", None):
        return True
    if not isinstance(address, tuple):
        return False
    try:
        return ipaddress.ip_address(address[0].split("%")[0]).is_loopback
    except ValueError:
        return address[0] in ("localhost", "")


def forbid():
    """Raise an error in this process at each attempt to reach another machine; cannot be undone."""

    def hook(event, args):
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            sock, address = args[0], args[1]
            if address is not None and not is_local(sock.family, address):
                raise ConnectionRefusedError(
                    f"a test wants to reach {address!r}; only loopback is allowed"
                )
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = args[0]
            name = host.decode() if isinstance(host, bytes) else host
            own = (None, "", "localhost", socket.gethostname())
            if name not in own and not _is_number(name):
                raise ConnectionRefusedError(f"a test looks up {name!r}; only loopback is allowed")

    sys.addaudithook(hook)


def _is_number(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
