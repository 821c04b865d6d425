"""TLS to real brokers: who vouches for them is checked, and they check the client's certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.sinks.mqtt.sink import MqttSettings, MqttSink
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.testing.brokers import Mosquitto, NatsServer, free_port
from pump.testing.records import record
from tests.certificates import certificate, needs_openssl

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server and client certificates with their keys; other.pem vouches for nobody here."""
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ca", "other"):
        certificate(folder, name)
    for name in ("server", "client"):
        certificate(folder, name, by="ca")
    return folder


def good(pki: Path) -> dict[str, str]:
    return {
        "ca_file": str(pki / "ca.pem"),
        "cert_file": str(pki / "client.pem"),
        "key_file": str(pki / "client.key"),
    }


async def check(sink: Any, pki: Path) -> None:
    """`sink` makes one of settings; all of them are tried."""
    async with sink(**good(pki)) as out:
        await out.send([record(1), record(2)])
    with pytest.raises(Misconfigured, match="certificate"):
        await sink(**{**good(pki), "ca_file": str(pki / "other.pem")}).__aenter__()
    with pytest.raises(Misconfigured, match="read"):
        await sink(**{**good(pki), "ca_file": str(pki / "missing.pem")}).__aenter__()
    with pytest.raises((Misconfigured, Unavailable)):
        await sink(ca_file=str(pki / "ca.pem")).__aenter__()


async def test_mqtt_over_tls_with_a_client_certificate(tmp_path: Path, pki: Path) -> None:
    if Mosquitto.found() is None:
        pytest.skip("mosquitto is not installed")
    extra = (
        f"allow_anonymous true\ncafile {pki}/ca.pem\ncertfile {pki}/server.pem\nkeyfile {pki}/server.key\n"
        "require_certificate true"
    )

    async with Mosquitto(tmp_path / "broker", extra=extra) as server:

        def sink(**more: Any) -> MqttSink:
            url = f"mqtts://127.0.0.1:{server.port}"
            settings = MqttSettings.model_validate({"type": "mqtt", "url": url, **more})
            return MqttSink("out", settings, state=None, clock=Clock(), site="testing")

        await check(sink, pki)


@pytest.mark.parametrize("kind", ["mqtt", "nats"])
async def test_who_cannot_be_reached_is_named_by_address_and_no_class_is(tmp_path: Path, kind: str) -> None:
    port = free_port()

    url = f"{kind}://127.0.0.1:{port}"
    if kind == "mqtt":
        out: Any = MqttSink("o", MqttSettings(type="mqtt", url=url), state=None, clock=Clock(), site="testing")
    else:
        out = NatsSink("o", NatsSettings(type="nats", servers=(url,)), state=None, clock=Clock(), site="testing")
    with pytest.raises(Unavailable) as raised:
        await out.__aenter__()
    assert f"127.0.0.1:{port}" in raised.value.reason
    assert "Error" not in raised.value.reason


@pytest.mark.parametrize("first", [False, True])
async def test_jetstream_over_tls_with_a_client_certificate(tmp_path: Path, pki: Path, first: bool) -> None:
    if NatsServer.found() is None:
        pytest.skip("nats-server is not installed")
    extra = (
        f'tls {{ cert_file: "{pki}/server.pem", key_file: "{pki}/server.key", ca_file: "{pki}/ca.pem", verify: true, '
        f"handshake_first: {'true' if first else 'false'} }}"
    )

    async with NatsServer(tmp_path / "server", extra=extra) as server:

        def sink(**more: Any) -> NatsSink:
            url = f"tls://127.0.0.1:{server.port}"
            settings = NatsSettings.model_validate({"type": "nats", "servers": url, "tls_first": first, **more})
            return NatsSink("out", settings, state=None, clock=Clock(), site="testing")

        await check(sink, pki)
