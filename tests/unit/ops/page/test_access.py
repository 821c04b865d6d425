"""Who may: users sign in, in vain or not; forms of elsewhere; what a restart and a new password do to sessions."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from yarl import URL

from pump.config.passwords import fits, hashed, is_hash
from pump.ops.page.access.lockout import FREE, LONGEST, PACE, STORE, Lockout
from pump.ops.page.access.signing_in import _target
from pump.testing import ManualClock
from tests.certificates import certificate, needs_openssl
from tests.unit.ops.page.looking import Looking, looking

ANNA, LEO = hashed("anna's password"), hashed("leo's password")
USERS = f"""
[ops.users.anna]
password = "{ANNA}"
role = "act"
[ops.users.leo]
password = "{LEO}"
"""
ELSEWHERE = {"X-Forwarded-For": "192.0.2.9"}
"""It makes a request of this machine one of another."""


async def sign_in(there: Looking, name: str, password: str, **headers: str) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and body of the answer."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    form = {"name": name, "password": password, "to": "/health?x=1"}
    async with there.session.post(f"{there.url}/sign-in", data=form, headers=given, allow_redirects=False) as answer:
        return answer.status, dict(answer.headers), await answer.text()


async def _get(there: Looking, path: str = "/") -> tuple[int, str]:
    async with there.session.get(there.url + path, headers=ELSEWHERE, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_from_elsewhere_one_signs_in_first(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        number = await there.event()
        for path in ("/", f"/event/{number}", "/search?text=x", "/search.csv", "/live"):
            status, page = await _get(there, path)
            assert (status, "Something" in page) == (401, False), path
        async with there.session.get(
            f"{there.url}/search?plate=x", headers={**ELSEWHERE, "Accept": "text/html"}, allow_redirects=False
        ) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/sign-in?to=%2Fsearch%3Fplate%3Dx")
        status, headers, _ = await sign_in(there, "anna", "anna's password")
        assert (status, headers["Location"]) == (303, "/health?x=1")
        cookie = headers["Set-Cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/"))
        status, page = await _get(there)
        assert (status, "anna" in page) == (200, True)
        token = re.findall(r'name="token" value="([0-9a-f]{64})"', page)[0]
        async with there.session.post(f"{there.url}/sign-out", data={"token": "0" * 64}) as answer:
            assert (await _get(there))[0] == 200
        async with there.session.post(f"{there.url}/sign-out", data={"token": token}) as answer:
            assert answer.status == 200
        assert (await _get(there))[0] == 401


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", ""), ("anna", "leo's password"), ("anna", "anna's password "), ("nobody", ""), ("", ""),
        ("nobody", "anna's password"), ("anna\x00", "anna's password"), ("anna", "x" * 9000),
        ("ANNA", "anna's password"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_lets_nobody_in(tmp_path: Path, name: str, password: str) -> None:
    async with looking(tmp_path, USERS) as there:
        status, headers, page = await sign_in(there, name, password)
        assert (status, "Set-Cookie" in headers) == (403, False)
        assert "do not fit" in page
        assert (await _get(there))[0] == 401


async def test_without_users_nobody_signs_in(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        assert "pump passwd" in (await there.get("/sign-in"))[1]
        assert (await sign_in(there, "", ""))[0] == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}]
)
async def test_a_form_of_elsewhere_does_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with looking(tmp_path, USERS) as there:
        status, given, _ = await sign_in(there, "anna", "anna's password", **headers)
        assert (status, "Set-Cookie" in given) == (403, False)
        status, *_ = await sign_in(there, "anna", "anna's password", Origin=there.url, Sec_Fetch_Site="same-origin")
        assert status == 303


async def test_a_guesser_waits(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        tries = 0
        while (status := (await sign_in(there, "anna", "guess"))[0]) == 403:
            tries += 1  # on a slow machine the first waits are over before the next guess comes; they grow
        assert status == 429
        assert tries >= FREE


def test_each_failure_makes_the_wait_longer_and_time_forgives() -> None:
    clock = ManualClock()
    lockout = Lockout(clock)
    waits = []
    for _ in range(FREE + 20):
        lockout.failed("anna", "192.0.2.1")
        waits.append(lockout.wait("leo", "192.0.2.1"))
    assert waits[: FREE - 1] == [0.0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 3] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST
    assert lockout.wait("anna", "192.0.2.2") == 0.0, "nobody from elsewhere holds her off"
    clock.advance(3600.0)
    assert lockout.wait("anna", "192.0.2.1") == 0.0


def test_guesses_from_everywhere_are_held_to_a_pace_that_a_known_address_does_not_feel() -> None:
    clock = ManualClock()
    lockout = Lockout(clock)
    lockout.passed("anna", "10.0.0.7")
    taken = 0
    for number in range(20 * STORE):
        if lockout.wait("anna", f"2001:db8::{number:x}") == 0.0:
            lockout.failed("anna", f"2001:db8::{number:x}")
            taken += 1
    assert taken == STORE
    assert 0.0 < lockout.wait("anna", "192.0.2.1") <= PACE
    assert lockout.wait("anna", "10.0.0.7") == 0.0
    assert lockout.wait("leo", "192.0.2.1") == 0.0
    clock.advance(PACE)
    assert lockout.wait("anna", "192.0.2.1") == 0.0
    lockout.failed("anna", "192.0.2.1")
    assert lockout.wait("anna", "192.0.2.1") > 0.0
    for _ in range(FREE):
        lockout.failed("anna", "10.0.0.7")
    assert lockout.wait("anna", "10.0.0.7") > 0.0, "whoever sits there now guesses no faster than others"


async def test_behind_a_trusted_proxy_each_waits_for_their_own_failures(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS, ops='trusted_proxies = ["127.0.0.0/8"]') as there:
        while (await sign_in(there, "anna", "guess", X_Forwarded_For="192.0.2.66"))[0] == 403:
            pass
        status, *_ = await sign_in(there, "anna", "anna's password", X_Forwarded_For="192.0.2.66, 192.0.2.9")
        assert status == 303


async def test_a_session_outlives_a_restart_and_ends_with_its_password(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        await sign_in(there, "anna", "anna's password")
        cookie = {one.key: one.value for one in there.session.cookie_jar}
        assert (await _get(there))[0] == 200
        await there.daemon.spool.flush()
        assert cookie["pump_session"] not in str(there.daemon.spool.state("pump"))
    async with looking(tmp_path, USERS) as there:
        there.session.cookie_jar.update_cookies(cookie, _address(there))
        assert (await _get(there))[0] == 200
    for users in (USERS.replace(ANNA, hashed("another password")), "", USERS):
        async with looking(tmp_path, users) as there:
            there.session.cookie_jar.update_cookies(cookie, _address(there))
            assert (await _get(there))[0] == 401


async def test_pictures_are_shown_to_who_has_signed_in(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        path = f"/media/{'0' * 64}"
        assert (await _get(there, path))[0] == 401
        await sign_in(there, "leo", "leo's password")
        assert (await _get(there, path))[0] == 404


async def test_a_stream_ends_when_its_reader_signs_out(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        await sign_in(there, "leo", "leo's password")
        token = re.findall(r'name="token" value="([0-9a-f]{64})"', (await _get(there))[1])[0]
        async with there.live(X_Forwarded_For="192.0.2.9") as live:
            async with there.session.post(f"{there.url}/sign-out", data={"token": token}):
                pass
            async for _ in live.messages():
                pass


def _address(there: Looking) -> URL:
    return URL(there.url)


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("/search?x=1", "/search?x=1"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.test", "/"),
        ("", "/"), ("/a\r\nX: 1", "/"), ("javascript:alert(1)", "/"),
    ],
)  # fmt: skip
def test_a_sign_in_leads_nowhere_else(to: str, target: str) -> None:
    assert _target(to) == target


def test_a_hash_fits_its_password_alone() -> None:
    one, other = hashed("pässword"), hashed("pässword")
    assert one != other
    assert is_hash(one)
    assert fits("pässword", one)
    assert fits("pässword", other)
    assert not fits("password", one)
    assert not fits("x" * 2000, one)
    for wrong in (
        "",
        "pässword",
        one[:-1],
        one.replace("ln=15", "ln=30"),
        one.replace("$scrypt", "$argon2"),
        f"{one}\n",
    ):
        assert not is_hash(wrong), wrong
        assert not fits("pässword", wrong)


@needs_openssl
async def test_https_has_a_cookie_for_https_alone(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "ops")
    async with looking(tmp_path, USERS, ops=f'tls_cert = "{cert}"\ntls_key = "{key}"') as there:
        assert there.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(cert))
        trust.check_hostname = False
        form = {"name": "anna", "password": "anna's password"}
        async with there.session.post(f"{there.url}/sign-in", data=form, ssl=trust, allow_redirects=False) as answer:
            assert answer.status == 303
            assert "Secure" in answer.headers["Set-Cookie"]
