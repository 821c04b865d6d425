"""`areaDomain` says where the token goes from now on: who may say so, and who may not."""

from __future__ import annotations

import pytest

from pump.vendors.hik_connect.domain import area, parse_server

VENDOR = "https://ieu.hikcentralconnect.com"
TESTS = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("named", "server", "there"),
    [
        ("https://isgp.hikcentralconnect.com", VENDOR, "https://isgp.hikcentralconnect.com"),
        ("https://isgp.hikcentralconnect.com/", VENDOR, "https://isgp.hikcentralconnect.com"),
        ("https://ISGP.HikCentralConnect.COM", VENDOR, "https://isgp.hikcentralconnect.com"),
        ("https://a.b.hikcentralconnect.com:8443", VENDOR, "https://a.b.hikcentralconnect.com:8443"),
        ("isgp.hikcentralconnect.com", VENDOR, "https://isgp.hikcentralconnect.com"),
        (" https://isgp.hikcentralconnect.com ", VENDOR, "https://isgp.hikcentralconnect.com"),
        ("https://hikcentralconnect.com", VENDOR, "https://hikcentralconnect.com"),
        ("https://b.hik.co.uk", "https://a.hik.co.uk", "https://b.hik.co.uk"),
        ("https://b.hik.com.cn", "https://a.hik.com.cn", "https://b.hik.com.cn"),
        ("https://192.0.2.7:444", "https://192.0.2.7", "https://192.0.2.7:444"),
        ("https://intranet", "https://intranet", "https://intranet"),
        ("http://127.0.0.1:9999", TESTS, "http://127.0.0.1:9999"),
        ("http://localhost:9999", TESTS, "http://localhost:9999"),
        ("http://[::1]:9999", "http://[::1]:8080", "http://[::1]:9999"),
    ],
)
def test_may(named: str, server: str, there: str) -> None:
    assert str(area(named, parse_server(server))) == there


@pytest.mark.parametrize(
    ("named", "server"),
    [
        ("http://isgp.hikcentralconnect.com", VENDOR),
        ("https://evil.com", VENDOR),
        ("https://hikcentralconnect.com.evil.com", VENDOR),
        ("https://evilhikcentralconnect.com", VENDOR),
        ("https://evil.com/hikcentralconnect.com", VENDOR),
        ("https://evil.com?x.hikcentralconnect.com", VENDOR),
        ("https://evil.com#.hikcentralconnect.com", VENDOR),
        ("https://evil.com\\@isgp.hikcentralconnect.com", VENDOR),
        ("https://evil.com\\.hikcentralconnect.com", VENDOR),
        ("https://isgp.hikcentralconnect.com@evil.com", VENDOR),
        ("https://user:word@isgp.hikcentralconnect.com", VENDOR),
        ("https://isgp.hikcentralconnect.com:443@evil.com", VENDOR),
        ("https://isgp.hikcentralconnect.com/path", VENDOR),
        ("https://isgp.hikcentralconnect.com\r\nHost: evil.com", VENDOR),
        ("https://isgp.hikcentralconnect.com\n", "https://a.example.com"),
        ("https://evil。hikcentralconnect.com", "https://a.example.com"),
        ("https://evil.com/。hikcentralconnect.com", VENDOR),
        ("https://iѕgp.hikcentralconnect.com", VENDOR),
        ("https://evil.com%2f.hikcentralconnect.com", VENDOR),
        ("https://isgp..hikcentralconnect.com", VENDOR),
        ("https://isgp.hikcentralconnect.com.", VENDOR),
        ("https://isgp.hikcentralconnect.com:0", VENDOR),
        ("https://isgp.hikcentralconnect.com:99999", VENDOR),
        ("https://127.0.0.1", VENDOR),
        ("https://localhost", VENDOR),
        ("https://[::1]", VENDOR),
        ("https://169.254.169.254", VENDOR),
        ("https://2130706433", VENDOR),
        ("https://0x7f000001", VENDOR),
        ("https://com", VENDOR),
        ("https://10.0.2.7", "https://192.0.2.7"),
        ("https://9.192.0.2.7", "https://192.0.2.7"),
        ("https://x.0x7", "https://y.0x7"),
        ("https://other.intranet", "https://intranet"),
        ("https://b.evil.co.uk", "https://a.hik.co.uk"),
        ("https://evil.com.cn", "https://hik.com.cn"),
        ("https://evil.co.uk", "https://co.uk"),
        ("https://isgp.hikcentralconnect.com", TESTS),
        ("ftp://isgp.hikcentralconnect.com", VENDOR),
        ("//isgp.hikcentralconnect.com", VENDOR),
        ("javascript:alert(1)", VENDOR),
        ("", VENDOR),
        (None, VENDOR),
        (7, VENDOR),
        ({"https": "isgp.hikcentralconnect.com"}, VENDOR),
    ],
)
def test_may_not(named: object, server: str) -> None:
    assert area(named, parse_server(server)) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://ieu.hikcentralconnect.com",
        "ieu.hikcentralconnect.com",
        "https://",
        "https://host/path",
        "http://192.0.2.7",
    ],
)
def test_a_server_is_https_or_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="wanted"):
        parse_server(url)
