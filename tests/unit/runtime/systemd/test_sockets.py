"""Which of the descriptors that a service manager hands over are taken up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from structlog.testing import capture_logs

from pump.runtime.systemd import sockets
from pump.runtime.systemd.sockets import inherited


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Two that listen, one for datagrams, in a row; the first number is that of the first."""
    with ExitStack() as stack:
        first = socket.create_server(("127.0.0.1", 0))
        second = socket.create_server(("127.0.0.1", 0))
        third = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made = [stack.enter_context(one) for one in (first, second, third)]
        free = 200  # far above what a test has open
        monkeypatch.setattr(sockets, "FIRST", free)
        for place, one in enumerate(made):
            os.dup2(one.fileno(), free + place)
        yield made
        for place in range(len(made)):
            with suppress(OSError):
                os.close(free + place)


def environ(**more: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", **more}


def test_those_that_listen_are_taken_by_name_and_once(handed: list[socket.socket]) -> None:
    given = environ(LISTEN_FDNAMES="push:push:other")
    with capture_logs() as logs:
        found = inherited(given)
    assert given == {}
    assert [one.getsockname() for one in found["push"]] == [one.getsockname() for one in handed[:2]]
    assert not any(one.get_inheritable() for one in found["push"])
    assert found.keys() == {"push"}
    assert [line["name"] for line in logs] == ["other"]
    assert inherited(given) == {}
    for one in found["push"]:
        one.close()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "3"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
    ],
)
def test_what_is_for_another_process_is_left_alone(given: dict[str, str], handed: list[socket.socket]) -> None:
    assert inherited(given) == {}
    os.fstat(sockets.FIRST)


def test_one_without_a_name_is_called_unknown(handed: list[socket.socket]) -> None:
    found = inherited(environ(LISTEN_FDS="1"))
    assert found.keys() == {"unknown"}
    found["unknown"][0].close()
