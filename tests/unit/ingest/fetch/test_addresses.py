"""Links that lead where nobody has sent us: the machine itself, its network, the cloud's metadata, other names."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pump.ingest.fetch.access import PictureAccess, Side
from pump.ingest.fetch.errors import LinkForbidden
from pump.ingest.fetch.hosts import HostRule
from pump.simulation.pictures import PictureHost, jpeg
from tests.unit.ingest.fetch.conftest import Ground, alarm, own

EVERYTHING = (HostRule("*.example.com"), HostRule("example.com"))


class Names(AbstractResolver):
    """A name server of the test's: each look-up gets the next answer, the last one again and again."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of the name now."""
        self.asked += 1
        found = self.answers[host]
        addresses = found.pop(0) if len(found) > 1 else found[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in addresses
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""


LINKS = (
    "http://127.0.0.1:{port}/a.jpg", "http://127.0.0.2:{port}/a.jpg", "http://localhost:{port}/a.jpg",
    "http://[::1]:{port}/a.jpg", "http://[::ffff:127.0.0.1]:{port}/a.jpg", "http://2130706433:{port}/a.jpg",
    "http://0x7f.1:{port}/a.jpg", "http://127.1:{port}/a.jpg", "http://0.0.0.0:{port}/a.jpg",
    "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/a.jpg", "http://192.168.1.1/a.jpg",
    "http://[fe80::1]/a.jpg", "http://[fc00::1]/a.jpg", "http://224.0.0.1/a.jpg", "http://[64:ff9b::7f00:1]/a.jpg",
    "http://localhost.:{port}/a.jpg", "http://example.com@127.0.0.1:{port}/a.jpg", "http://elsewhere.test/a.jpg",
    "http://example.com.evil.test/a.jpg", "http://evilexample.com/a.jpg",
)  # fmt: skip


async def test_nothing_is_fetched_from_where_an_event_alone_says_so(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(PictureAccess(hosts=EVERYTHING)) as here:
        port = URL(host.url).port
        links = [link.format(port=port) for link in LINKS]
        await here.intake.put(*(alarm(n, link) for n, link in enumerate(links)))
        await here.quiet()
        assert len(await here.events("media.failed")) == len(links)
        assert not host.asked
        assert ground.value("pump_media_failed_total", source="teams", reason="forbidden") == len(links)
        assert len(here.spool.fetches) == 0


@pytest.mark.parametrize("own_port", [0, 1], ids=["right", "other"])
async def test_the_source_s_own_server_is_fetched_from_at_its_very_port(ground: Ground, own_port: int) -> None:
    async with PictureHost(clock=ground.clock) as host, PictureHost(clock=ground.clock) as other:
        named = (host, other)[own_port]
        async with ground.running(own(named)) as here:
            await here.intake.put(alarm(1, host.link("a.jpg")))
            await here.quiet()
            assert len(await here.events("media.stored")) == 1 - own_port
            assert sum(host.asked.values()) == 1 - own_port


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [("127.0.0.1", True), ("127.0.0.1:{port}", True), ("127.0.0.1:1", False), ("localhost", False),
     ("*.example.com", False), ("10.0.0.1", False)],
)  # fmt: skip
async def test_an_address_that_media_hosts_names_literally(ground: Ground, rule: str, allowed: bool) -> None:
    async with PictureHost(clock=ground.clock) as host:
        hosts = (HostRule.parse(rule.format(port=URL(host.url).port)),)
        async with ground.running(PictureAccess(), hosts=hosts) as here:
            await here.intake.put(alarm(1, host.link("a.jpg")))
            await here.quiet()
            assert len(await here.events("media.stored")) == int(allowed)


@pytest.mark.parametrize(
    "answers",
    [[["127.0.0.1"]], [["::1", "127.0.0.1"]], [["10.0.0.1", "169.254.169.254"]], [["::ffff:127.0.0.1"]]],
    ids=str,
)
async def test_a_name_that_leads_inside_is_not_connected_to(ground: Ground, answers: list[list[str]]) -> None:
    ground.resolver = Names(rebind_example_com=answers)
    async with PictureHost(clock=ground.clock) as host, ground.running(PictureAccess(hosts=EVERYTHING)) as here:
        await here.intake.put(alarm(1, f"http://rebind.example.com:{URL(host.url).port}/a.jpg"))
        await here.quiet()
        assert "private or loopback" in (await here.reasons())[0]
        assert not host.asked


async def test_a_name_that_is_rebound_between_two_look_ups_leads_nowhere(ground: Ground) -> None:
    """Checked first and looked up again to connect, it would be answered a public address and then ours."""
    ground.resolver = Names(rebind_example_com=[["192.0.2.1"], ["127.0.0.1"]])
    async with PictureHost(clock=ground.clock) as host, ground.running(PictureAccess(hosts=EVERYTHING)) as here:
        await here.intake.put(*(alarm(n, f"http://rebind.example.com:{URL(host.url).port}/a.jpg") for n in range(4)))
        await here.through(900)
        assert not host.asked
        assert len(await here.events("media.failed")) == 4


def _to(place: str) -> Any:
    return lambda request: web.Response(status=302, headers={"Location": place})


@pytest.mark.parametrize(
    "place",
    ["http://127.0.0.1:{other}/b.jpg", "http://localhost:{port}/b.jpg", "http://169.254.169.254/", "file:///etc/passwd",
     "http://elsewhere.test/b.jpg", "http://pictures.example.com/b.jpg"],
)  # fmt: skip
async def test_a_redirect_does_not_cross_the_line(ground: Ground, place: str) -> None:
    ground.resolver = Names(pictures_example_com=[["127.0.0.1"]])
    async with PictureHost(clock=ground.clock) as host, PictureHost(clock=ground.clock) as other:
        there = place.format(port=URL(host.url).port, other=URL(other.url).port)
        access = PictureAccess(own=host.url, hosts=EVERYTHING)
        async with ground.running(access) as here:
            host.answers["a.jpg"] = _to(there)
            await here.intake.put(alarm(1, host.link("a.jpg")))
            await here.quiet()
            assert len(await here.events("media.failed")) == 1
            assert not other.asked
            assert host.asked == {"a.jpg": 1}


async def test_a_redirect_on_the_same_side_is_followed_a_few_times(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        host.answers |= {"a.jpg": _to("/b.jpg"), "round.jpg": _to("/round.jpg")}
        await here.intake.put(alarm(1, host.link("a.jpg")), alarm(2, host.link("round.jpg", 5)))
        await here.through(6)
        assert len(await here.events("media.stored")) == 1
        assert len(await here.reasons()) == 1
        assert host.asked["round.jpg"] % 4 == 0


async def test_no_credentials_of_a_link_are_sent_and_no_proxy_is_asked(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        await here.intake.put(alarm(1, host.link("a.jpg").replace("//", "//user:word@")))
        await here.quiet()
        assert len(await here.events("media.stored")) == 1
        assert "Authorization" not in host.headers[0]


async def test_packed_answers_are_not_unpacked(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        packed = {"Content-Encoding": "gzip"}
        host.answers["a.jpg"] = lambda request: web.Response(body=jpeg("a"), headers=packed)
        await here.intake.put(alarm(1, host.link("a.jpg", 3)))
        await here.through(3)
        assert "packs" in (await here.reasons())[0]


@pytest.mark.parametrize(
    ("text", "url", "fits"),
    [
        ("*.example.com", "https://a.example.com/x", True), ("*.example.com", "https://a.b.example.com/x", True),
        ("*.example.com", "https://example.com/x", False), ("*.example.com", "https://badexample.com/x", False),
        ("example.com", "https://EXAMPLE.com./x", True), ("example.com:8443", "https://example.com/x", False),
        ("example.com:443", "https://example.com/x", True), ("[::1]:80", "http://[::1]/x", True),
        ("::1", "http://[0:0::1]:99/x", True), ("10.0.0.5:8080", "http://10.0.0.5:8080/x", True),
    ],
)  # fmt: skip
def test_rules_of_hosts(text: str, url: str, fits: bool) -> None:
    assert HostRule.parse(text).fits(URL(url)) is fits


@pytest.mark.parametrize(
    "text", ["", "*", "*.*", "*.10.0.0.5", "a b", "http://example.com", "example.com/x", "example.com:99999", "a@b"]
)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(ValueError, match=r"a host such as|is wanted"):
        HostRule.parse(text)


def test_a_vendor_s_hosts_may_want_https() -> None:
    access = PictureAccess(hosts=(HostRule("*.example.com", https=True),))
    assert access.side(URL("https://a.example.com/x")) is Side.PUBLIC
    with pytest.raises(LinkForbidden):
        access.side(URL("http://a.example.com/x"))
