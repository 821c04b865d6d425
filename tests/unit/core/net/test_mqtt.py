"""aiomqtt's client, and a socket that is closed before the loop has looked at it."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from pump.core.net.mqtt import MqttClient


@pytest.mark.parametrize("by", ["the thread that connects", "the loop"])
async def test_a_socket_that_is_closed_by_then_is_not_watched(by: str) -> None:
    loop = asyncio.get_running_loop()
    nobody_caught: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: nobody_caught.append(context))
    client = MqttClient("127.0.0.1")
    near, far = socket.socketpair()
    if by == "the loop":
        near.close()
        client._on_socket_register_write(client._client, None, near)
    else:
        connecting = threading.Thread(target=client._on_socket_register_write, args=(client._client, None, near))
        connecting.start()
        connecting.join()
        near.close()
    again, other = socket.socketpair()  # a connection of somebody else's gets the number
    await asyncio.sleep(0)
    assert nobody_caught == []
    for one in (again, other, far):
        assert not (one.fileno() >= 0 and loop.remove_writer(one.fileno()))
        one.close()
    client._connected.cancel()
    client._disconnected.cancel()
