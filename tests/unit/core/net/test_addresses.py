"""The rule of addresses: what stands for something inside our own network, in whatever spelling."""

from __future__ import annotations

import pytest

from pump.core.net.addresses import Forbidden, Gate, inside, literal


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("172.16.0.1", True), ("192.168.1.1", True), ("169.254.169.254", True),
        ("100.64.0.1", True), ("0.0.0.0", True), ("224.0.0.1", True), ("255.255.255.255", True), ("198.18.0.1", True),
        ("::1", True), ("::", True), ("fe80::1%eth0", True), ("fc00::1", True), ("ff02::1", True),
        ("::ffff:127.0.0.1", True), ("::ffff:10.0.0.1", True), ("64:ff9b::7f00:1", True), ("2002:7f00:1::", True),
        ("fec0::1", True), ("feff::1", True),
        ("2002:a00:1::1", True), ("2001:0:4136:e378:8000:63bf:3fff:fdd2", True), ("2001:db8::1", True),
        ("8.8.8.8", False), ("93.184.215.14", False), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", False),
        ("::ffff:8.8.8.8", False), ("64:ff9b::808:808", False),
    ],
)  # fmt: skip
def test_addresses_inside_our_own_network(address: str, is_inside: bool) -> None:
    assert inside(address) is is_inside
    gate = Gate(private=False)
    info = (2, 1, 6, "", (address, 80))
    if is_inside:
        with pytest.raises(Forbidden):
            gate(info)
        assert address in gate.forbidden
        gate = Gate(private=True)
    gate(info).close()
    assert not gate.forbidden


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.0.0.5", "10.0.0.5"), ("[::1]", "::1"), ("::1", "::1"), ("camera.local", None), ("2130706433", None),
     ("127.1", None), ("0x7f.0.0.1", None), ("", None)],
)  # fmt: skip
def test_a_host_that_is_an_address(host: str, address: str | None) -> None:
    found = literal(host)
    assert (None if found is None else str(found)) == address
