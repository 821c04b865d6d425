"""aiomqtt's client, for a socket that is closed while it is about to be written to."""

from __future__ import annotations

import threading
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as Paho


class MqttClient(aiomqtt.Client):
    """aiomqtt 2.5 has the loop watch a socket a turn after paho asked for it, by the number that it had then.

    A broker may have ended the connection meanwhile (it wants a client's certificate): the number is nobody's, an error
    that nobody catches, or another connection's. Here the loop looks once more, and does not wait where it need not.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._thread = threading.get_ident()

    def _on_socket_register_write(self, client: Paho, userdata: Any, sock: Any) -> None:
        if threading.get_ident() == self._thread:
            self._watch(client, sock)
        else:  # the thread that connects
            self._loop.call_soon_threadsafe(self._watch, client, sock)

    def _watch(self, client: Paho, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write, client)

    def _write(self, client: Paho) -> None:
        try:
            client.loop_write()
        except Exception as error:  # noqa: BLE001  # aiomqtt's own rule: whatever fails here ends the connection
            if not self._disconnected.done():
                self._disconnected.set_exception(error)
