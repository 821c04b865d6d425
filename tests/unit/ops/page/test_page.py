"""The page as it is served: its headers, who may see it, its languages, and texts of strangers, which stay texts."""

from __future__ import annotations

import asyncio
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape
from structlog.testing import capture_logs

import pump.ops.page.render
from pump.ops.page.texts import LANGUAGES, language_of, texts_in
from tests.unit.ops.page.looking import looking

PAGES = ("/", "/sign-in", "/event/1")
HOSTILE = (
    "<script>alert(1)</script>", "</script><script>alert(1)//", "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)", "javascript:alert(1)", "{{ 7*7 }}", "{% raw %}", "${7*7}", "<!--", "-->", "]]>",
    "<![CDATA[x", "&lt;b&gt;", "&amp;", "&#60;b&#62;", "<b>bold</b>", "</li></ol><h1>mine</h1>", "</template><p>x",
    "</title><title>x", "<iframe src=//example.com>", "<style>*{display:none}</style>", "<base href=//example.com>",
    "<meta http-equiv=refresh content=0>", "<form action=//example.com>", "<a href=//example.com>x</a>",
    "\u202egnp.exe", "\u2066isolated\u2069", "a\x00b", "a\x1b[31mred", "line\nbreak", "tab\there", "\u2028separated",
    "\ufeffmark", "\u200bnothing", "a'b\"c`d", "\\u003cscript\\u003e", "%3Cscript%3E", "😀" * 20,
    "ß" * 100, "=1+1", "@SUM(A1)",
)  # fmt: skip


class _Tags(HTMLParser):
    """Everything of a page that could act: elements, and attributes that run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("href", "src", "action"):
                assert re.match(r"/(?!/)|#", value or ""), (tag, value)


def _tags(page: str) -> set[str]:
    parser = _Tags()
    parser.feed(page)
    parser.close()
    return parser.found


async def test_every_answer_has_the_headers_that_guard_it(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        await there.event()
        for path in (*PAGES, "/static/page.css", "/static/none", "/event/999999", "/live"):
            async with there.session.get(there.url + path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "unsafe" not in policy, path
                assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= {*policy.split("; ")}
                assert "require-trusted-types-for 'script'" in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert answer.headers["Referrer-Policy"] == "same-origin"
                answer.close()


async def test_nothing_in_a_page_runs_but_the_packages_own_files(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        await there.event()
        for path in PAGES:
            _, page = await there.get(path)
            assert (
                re.findall(r"<script(?! type=\"module\" src=\"/static/[a-z]+\.js\?v=[0-9a-f]+\"></script>)", page) == []
            )
            _tags(page)
            for address in re.findall(r'"(/static/[^"]+)"', page):
                async with there.session.get(there.url + address) as answer:
                    assert answer.status == 200
                    assert "immutable" in answer.headers["Cache-Control"]


async def test_a_page_has_landmarks_a_language_and_a_way_past_its_head(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        for path in PAGES:
            _, page = await there.get(path, Accept_Language="de-CH, en;q=0.5")
            assert {"header", "main", "footer", "h1", "nav"} <= _tags(page)
            assert '<html lang="de"' in page
            assert 'class="skip" href="#main"' in page
            assert page.count("<h1") == 1


async def test_language_and_colours_can_be_chosen_and_stay(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        assert "What happens" in (await there.get("/"))[1]
        assert "Was geschieht" in (await there.get("/?lang=de&theme=dark"))[1]
        status, page = await there.get("/")
        assert (status, 'data-theme="dark"' in page, "Was geschieht" in page) == (200, True, True)
        assert 'data-theme="auto"' in (await there.get("/?theme=%22%3E"))[1]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "en"), ("de", "de"), ("fr, de;q=0.4", "de"), ("en, de", "en"), ("de;q=0.1, en;q=0.9", "en"), ("*", "en")],
)
def test_the_browsers_language_is_taken_where_there_is_one(accepted: str, language: str) -> None:
    assert language_of(accepted) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_the_same_gaps_in_its_texts_as_english(language: str) -> None:
    english, other = texts_in("en"), texts_in(language)
    assert other._said.keys() == english._said.keys()
    assert other._types.keys() == english._types.keys()
    for key, text in other._said.items():
        assert re.findall(r"\{\w*\}", text) == re.findall(r"\{\w*\}", english._said[key]), key


def test_the_whole_page_is_small() -> None:
    folder = Path(pump.ops.page.render.__file__).parent
    files = [path for name in ("static", "templates", "texts") for path in (folder / name).iterdir()]
    assert sum(path.stat().st_size for path in files) < 150_000


async def test_what_strangers_write_is_text(tmp_path: Path) -> None:
    """In every place of an event that a device, a camera or a person fills; on each page, and on the stream."""
    async with looking(tmp_path) as there:
        for text in HOSTILE:
            named = {"id": "1", "name": text}
            number = await there.event(
                name=text, code=text, subject=text.replace("\x00", ""), vehicle={"plate": text}, device=named,
                place={"lot": text, "zone": text}, access={"person": text, "granted": True}, raw={text: [text]},
            )  # fmt: skip
            _, page = await there.get(f"/event/{number}")
            _is_harmless(page, text)
            if text.isprintable() and len(text) < 60:
                assert page.count(html.escape(text)) + page.count(str(escape(text))) >= 5, text
        _is_harmless((await there.get("/"))[1], "all of them")
        async with there.live(f"?after={number - len(HOSTILE)}") as live:
            rows = await live.rows()
            assert len(rows) == len(HOSTILE)
            assert all(value.isprintable() for row in rows for value in row.values() if isinstance(value, str))


def _is_harmless(page: str, text: str) -> None:
    assert not _tags(page) & {"iframe", "base", "style", "object", "math", "title2"}, text
    assert page.count("<script") == page.count('<script type="module" src="/static/'), text
    assert (page.count("<h1"), page.count("<title>"), page.count("<img src=x")) == (1, 1, 0), text
    assert not [letter for letter in "\u202e\u2066\u2028\ufeff\u200b\x1b\x00" if letter in page], text


async def test_what_a_reader_sends_is_text_too(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        for text in HOSTILE:
            asked = dict.fromkeys(("text", "plate", "device", "type", "lang", "theme", "before"), text)
            async with there.session.get(f"{there.url}/", params=asked) as answer:
                assert answer.status == 200, text
                _is_harmless(await answer.text(), text)


async def test_a_name_that_is_not_ours_is_answered_by_nothing(tmp_path: Path) -> None:
    async with looking(tmp_path, ops='hosts = ["pump.example.com"]') as there:
        port = there.url.rpartition(":")[2]
        for host, status in (
            (f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), (f"evil.example:{port}", 421), ("evil.test", 421),
            (f"pump.example.com:{port}", 401), ("192.0.2.7", 401), (f"[2001:db8::1]:{port}", 401), ("", 421),
        ):  # fmt: skip
            async with there.session.get(there.url + "/", headers={"Host": host}) as answer:
                assert answer.status == status, host


async def test_who_comes_through_a_proxy_is_not_on_this_machine(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            async with there.session.get(there.url + "/", headers={header: "127.0.0.1"}) as answer:
                assert answer.status == 401, header
        assert (await there.get("/", Via="1.1 x"))[0] == 303
        async with there.session.get(there.url + "/static/page.css", headers={"Via": "1.1 x"}) as answer:
            assert answer.status == 200


async def test_the_page_can_be_switched_off(tmp_path: Path) -> None:
    async with looking(tmp_path, ops="page = false") as there:
        assert (await there.get("/"))[0] == 404
        assert (await there.get("/status"))[0] == 200


async def test_who_does_not_look_pays_nothing(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        await there.event()
        assert not [one for one in _tasks() if "page" in one]
        async with there.live() as live:
            assert [one for one in _tasks() if "page" in one] == ["operators' page: live events"]
            await there.event()
            await live.rows()


def _tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks()]


async def test_the_daemon_stops_though_somebody_looks(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with looking(tmp_path) as there, there.live() as live:
            there.daemon.stop()
            async for _ in live.messages():
                pass
    assert [line["event"] for line in logs if line["log_level"] in ("error", "critical")] == []
