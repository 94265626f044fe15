"""Tests that no test can reach another machine."""

import socket
import urllib.request

import pytest

import network


@pytest.mark.parametrize("address", [("203.0.113.7", 80), ("2001:db8::1", 80, 0, 0)])
def test_another_machine_cannot_be_reached(address):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with (
            socket.socket(family, kind) as sock,
            pytest.raises(ConnectionRefusedError, match="loop"),
        ):
            sock.connect(address)
    with socket.socket(family, socket.SOCK_DGRAM) as sock, pytest.raises(ConnectionRefusedError):
        sock.sendto(b"x", address)


def test_no_name_of_another_machine_is_looked_up():
    with pytest.raises(OSError, match="only loopback"):
        urllib.request.urlopen("http://models.example/weights")


def test_loopback_is_reached():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()
    assert network.is_local(socket.AF_INET, ("localhost", 1))
    assert not network.is_local(socket.AF_INET, ("example.org", 1))
