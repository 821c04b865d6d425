"""Hostile and odd HTTP, whoever's path it goes to: rows of one connection each, with what must become of it.

A vendor's test sends each row with a path and a body of its own, which it would take.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from tests.unit.vendors.avaeye.site import Answer, read_answer

REFUSED: Final = (400,)
NOWHERE: Final = (404,)
TAKEN: Final = (200,)


class Sent(NamedTuple):
    """What is sent where all is right."""

    path: bytes
    body: bytes


class Wire(NamedTuple):
    """One connection."""

    name: str
    raw: Callable[[Sent], bytes]
    statuses: tuple[int, ...] = REFUSED
    """Of the answers, in order."""
    kept: bool = False
    """Whether the connection takes another request afterwards."""
    stored: int = 0
    """How often the message was taken; the same again is none."""


def post(
    sent: Sent, *lines: bytes, first: bytes = b"", body: bytes | None = None, length: bytes | None = None
) -> bytes:
    """A request; `first` in place of its first line, `length` in place of its Content-Length ("" for none)."""
    content = sent.body if body is None else body
    size = b"Content-Length: %d" % len(content) if length is None else length
    head = [first or b"POST %s HTTP/1.1" % sent.path, b"Host: pump", *((size,) if size else ()), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + content


def chunked(sent: Sent, *lines: bytes, body: bytes | None = None) -> bytes:
    """A request whose body is framed already; the whole message in one chunk where none is given."""
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(sent.body), sent.body) if body is None else body
    return post(sent, *(lines or (b"Transfer-Encoding: chunked",)), body=framed, length=b"")


def _framed(
    before: bytes = b"", extension: bytes = b"", end: bytes = b"\r\n", last: bytes = b"0\r\n\r\n"
) -> Callable[[Sent], bytes]:
    def made(sent: Sent) -> bytes:
        size = b"%s%x%s\r\n" % (before, len(sent.body), extension)
        return chunked(sent, body=size + sent.body + end + last)

    return made


def _line(*lines: bytes) -> Callable[[Sent], bytes]:
    return lambda sent: post(sent, *lines)


def _length(line: bytes) -> Callable[[Sent], bytes]:
    """SIZE stands for the right one."""
    return lambda sent: post(sent, length=line.replace(b"SIZE", b"%d" % len(sent.body)))


def _old(*lines: bytes) -> Callable[[Sent], bytes]:
    """A request of HTTP/1.0."""
    return lambda sent: post(sent, *lines, first=b"POST %s HTTP/1.0" % sent.path)


def _first(line: bytes) -> Callable[[Sent], bytes]:
    """PATH stands for the path."""
    return lambda sent: post(sent, first=line.replace(b"PATH", sent.path))


def _coded(coding: bytes, pack: Callable[[bytes], bytes]) -> Callable[[Sent], bytes]:
    return lambda sent: post(sent, b"Content-Encoding: " + coding, body=pack(sent.body))


def _bytes(raw: bytes) -> Callable[[Sent], bytes]:
    return lambda sent: raw


def _twice(sent: Sent) -> bytes:
    return post(sent) * 2


_CONNECT: Final = b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n"
_BOMB: Final = gzip.compress(bytes(32 << 20))
_HELLO: Final = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160)

WIRE: Final = [
    # --- where a body ends: two readers that differ let one request hide in another ---
    Wire("chunks before a length", lambda sent: chunked(sent, b"Transfer-Encoding: chunked", b"Content-Length: 4")),
    Wire("a length before chunks", lambda sent: chunked(sent, b"Content-Length: 4", b"Transfer-Encoding: chunked")),
    Wire("a length of 0 and chunks", lambda sent: chunked(sent, b"Content-Length: 0", b"Transfer-Encoding: chunked")),
    Wire("the same length twice", lambda sent: post(sent, b"Content-Length: %d" % len(sent.body))),
    Wire("two lengths in one line", _length(b"Content-Length: SIZE, SIZE")),
    Wire("a length with a sign", _length(b"Content-Length: +SIZE")),
    Wire("a length in hexadecimal", lambda sent: post(sent, length=b"Content-Length: 0x%x" % len(sent.body))),
    Wire("a length with a blank in it", _length(b"Content-Length: 1 0")),
    Wire("a length with an underscore", _length(b"Content-Length: 1_0")),
    Wire("a length without digits", _length(b"Content-Length:")),
    Wire("a length beyond 64 bits", _length(b"Content-Length: 18446744073709551617")),
    Wire("a length with a blank before the colon", _length(b"Content-Length : SIZE")),
    Wire("chunks with a blank before the colon", lambda sent: chunked(sent, b"Transfer-Encoding : chunked")),
    Wire("chunks with a tab before them", lambda sent: chunked(sent, b"Transfer-Encoding:\tchunked"), TAKEN, True, 1),
    Wire("chunks in capitals", lambda sent: chunked(sent, b"TRANSFER-ENCODING: CHUNKED"), TAKEN, True, 1),
    Wire("chunks misspelled", lambda sent: chunked(sent, b"Transfer-Encoding: xchunked")),
    Wire("chunks that are not the last coding", lambda sent: chunked(sent, b"Transfer-Encoding: chunked, identity")),
    Wire("chunks twice", lambda sent: chunked(sent, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    Wire("chunks in quotes", lambda sent: chunked(sent, b'Transfer-Encoding: "chunked"')),
    Wire("no coding, by name", lambda sent: post(sent, b"Transfer-Encoding: identity")),
    Wire("a coding without a name", lambda sent: post(sent, b"Transfer-Encoding:")),
    Wire("chunks of HTTP/1.0", lambda sent: chunked(sent).replace(b"HTTP/1.1", b"HTTP/1.0"), TAKEN, False, 1),
    Wire("a chunk's size with 0x", _framed(before=b"0x")),
    Wire("a chunk's size with a sign", _framed(before=b"+")),
    Wire("a chunk's size below nothing", _framed(before=b"-")),
    Wire("a chunk's size with zeros before it", _framed(before=b"000000"), TAKEN, True, 1),
    Wire("a chunk's size beyond 64 bits", _framed(before=b"10000000000000000")),
    Wire("a chunk's size with a blank behind it", _framed(extension=b" ")),
    Wire("a chunk with words about it", _framed(extension=b";a=b;c"), TAKEN, True, 1),
    Wire("a chunk with words in quotes about it", _framed(extension=b';a="b;c"'), TAKEN, True, 1),
    Wire("a chunk with a line's end in its words", _framed(extension=b';a="\nGET / HTTP/1.1"')),
    Wire("a chunk without its end", _framed(end=b"")),
    Wire("a chunk that ends with a bare LF", _framed(end=b"\n")),
    Wire("a chunk that is longer than its size", _framed(end=b"xx\r\n")),
    Wire("a trailer", _framed(last=b"0\r\nX-Sum: 5\r\n\r\n"), TAKEN, True, 1),
    Wire("a trailer that is a length", _framed(last=b"0\r\nContent-Length: 5\r\n\r\n")),
    Wire("a trailer that is none", _framed(last=b"0\r\nno colon\r\n\r\n")),
    Wire("more behind the body", lambda sent: post(sent) + b"xyz\r\n\r\n"),
    Wire("a request hidden behind the body", lambda sent: post(sent) + b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
         (200, 404), True, 1),
    Wire("the same twice over one connection", _twice, (200, 200), True, 1),
    # --- lines ---
    Wire("a header over two lines", _line(b"X-Long: a\r\n b")),
    Wire("a header over two lines, with a tab", _line(b"X-Long: a\r\n\tb")),
    Wire("a blank before the first header", lambda sent: post(sent).replace(b"\r\nHost", b"\r\n Host")),
    Wire("a header without a colon", _line(b"Broken")),
    Wire("a header without a name", _line(b": x")),
    Wire("a header's name with brackets", _line(b"X(y): 1")),
    Wire("a header's name beyond ASCII", _line(b"X-\xc3\xa4: 1")),
    Wire("a header's value beyond ASCII", _line(b"X-Name: \xc3\xa4\xff"), TAKEN, True, 1),
    Wire("a header with a bare CR", _line(b"X-Cr: a\rb")),
    Wire("a header with a bare LF", _line(b"X-Lf: a\nb: c")),
    Wire("a header with an escape", _line(b"X-Esc: \x1b[31m")),
    Wire("a header that ends with a bare LF", lambda sent: post(sent).replace(b"Host: pump\r\n", b"Host: pump\n")),
    Wire("no Host", lambda sent: post(sent).replace(b"Host: pump\r\n", b"")),
    Wire("two Hosts", _line(b"Host: other")),
    Wire("a Host that is none", lambda sent: post(sent).replace(b"Host: pump", b"Host: a b/c@d"), TAKEN, True, 1),
    Wire("more headers than may be", _line(*[b"X-%d: 1" % n for n in range(150)])),
    Wire("headers of more bytes than may be", _line(*[b"X-%d: " % n + b"y" * 4000 for n in range(20)]),
         (431,)),
    Wire("empty lines before it", lambda sent: b"\r\n\r\n" + post(sent), TAKEN, True, 1),
    # --- the first line ---
    Wire("two blanks in the first line", _first(b"POST  PATH HTTP/1.1"), TAKEN, True, 1),
    Wire("tabs in the first line", _first(b"POST\tPATH\tHTTP/1.1")),
    Wire("a blank in the target", _first(b"POST PATH x HTTP/1.1")),
    Wire("a NUL in the target", _first(b"POST PATH\0 HTTP/1.1")),
    Wire("small letters in the protocol", _first(b"POST PATH http/1.1")),
    Wire("HTTP/1.2", _first(b"POST PATH HTTP/1.2")),
    Wire("HTTP/2.0", _first(b"POST PATH HTTP/2.0"), (505,)),
    Wire("HTTP/0.9", _bytes(b"GET /\r\n\r\n"), (505,)),
    Wire("the beginning of HTTP/2", _bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))),
    Wire("a method in small letters", _first(b"post PATH HTTP/1.1")),
    Wire("a method that nobody knows", _first(b"FETCH PATH HTTP/1.1")),
    Wire("a method without end", _bytes(b"A" * 10_000)),
    Wire("TRACE", _first(b"TRACE PATH HTTP/1.1"), (405,), True),
    Wire("PATCH", _first(b"PATCH PATH HTTP/1.1"), (405,), True),
    Wire("CONNECT", _bytes(_CONNECT), NOWHERE, True),
    Wire("CONNECT, and more", lambda sent: _CONNECT + post(sent), (404, 200), True, 1),
    Wire("OPTIONS of all", _bytes(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), NOWHERE, True),
    # --- the target ---
    Wire("an absolute target of another host", _first(b"POST http://other:81PATH HTTP/1.1"), TAKEN, True, 1),
    Wire("an absolute target with a user", _first(b"POST http://a:b@xPATH HTTP/1.1"), TAKEN, True, 1),
    Wire("an absolute target without a host", _first(b"POST http://PATH HTTP/1.1")),
    Wire("an absolute target with a port that is none", _first(b"POST http://x:99999PATH HTTP/1.1")),
    Wire("a target of another scheme", _first(b"POST file:PATH HTTP/1.1")),
    Wire("a fragment in the target", _first(b"POST PATH#x HTTP/1.1"), TAKEN, True, 1),
    Wire("dots in the path", _first(b"POST /x/..PATH HTTP/1.1"), NOWHERE, True),
    Wire("escaped dots in the path", _first(b"POST /x/%2e%2ePATH HTTP/1.1"), NOWHERE, True),
    Wire("a backslash in the path", _first(b"POST /x\\..PATH HTTP/1.1"), NOWHERE, True),
    Wire("an escape that is none", _first(b"POST /%zzPATH HTTP/1.1"), NOWHERE, True),
    Wire("an escape cut short", _first(b"POST /nothing% HTTP/1.1"), NOWHERE, True),
    Wire("an escaped NUL", _first(b"POST /%00PATH HTTP/1.1"), NOWHERE, True),
    Wire("a slash in too many bytes", _first(b"POST /%c0%af HTTP/1.1"), NOWHERE, True),
    Wire("bytes of no encoding in the path", _first(b"POST /\xff\xfe HTTP/1.1")),
    Wire("a query of many fields", _first(b"POST PATH?" + b"a=1&" * 1500 + b" HTTP/1.1"), TAKEN, True, 1),
    Wire("a query that is none", _first(b"POST PATH?%ff=%zz&&=&; HTTP/1.1"), TAKEN, True, 1),
    # --- its fields ---
    Wire("an expectation in capitals", _line(b"Expect: 100-CONTINUE"), TAKEN, True, 1),
    Wire("an expectation of HTTP/1.0", _old(b"Expect: 100-continue"), TAKEN,
         False, 1),
    Wire("a wish for websockets", _line(b"Connection: Upgrade", b"Upgrade: websocket"), TAKEN, True, 1),
    Wire("a wish for HTTP/2", _line(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"), TAKEN,
         True, 1),
    Wire("a wish to close", _line(b"Connection: close"), TAKEN, False, 1),
    Wire("HTTP/1.0 that is to be kept", _old(b"Connection: keep-alive"), TAKEN,
         True, 1),
    Wire("another method by a header", _line(b"X-HTTP-Method-Override: DELETE"), TAKEN, True, 1),
    Wire("another target by a header", _line(b"X-Original-URL: /admin", b"X-Rewrite-URL: /admin"), TAKEN,
         True, 1),
    Wire("an old key of websockets", _line(b"Sec-WebSocket-Key1: x")),
    Wire("a coding in capitals", _coded(b"GZIP", gzip.compress), TAKEN, True, 1),
    Wire("a coding twice", _coded(b"gzip, gzip", lambda body: gzip.compress(gzip.compress(body))), (415,), True),
    Wire("no coding, by its name", _coded(b"identity", bytes), TAKEN, True, 1),
    Wire("a coding beyond ASCII", _coded("gzıp".encode(), gzip.compress), (415,), True),
    Wire("gzip with more behind it", _coded(b"gzip", lambda body: gzip.compress(body) + b"more"), TAKEN, True, 1),
    Wire("gzip with a name of 60 KB", _coded(b"gzip", lambda body: _named(body, 60_000)), TAKEN, True, 1),
    Wire("gzip whose sum is wrong", _coded(b"gzip", lambda body: gzip.compress(body)[:-8] + bytes(8)), REFUSED, True),
    Wire("deflate that is gzip", _coded(b"deflate", gzip.compress), TAKEN, True, 1),
    Wire("gzip that is deflate", _coded(b"gzip", zlib.compress), REFUSED, True),
    Wire("a bomb in a bomb", _coded(b"gzip", lambda body: gzip.compress(_BOMB)), REFUSED, True),
    # --- no HTTP at all ---
    Wire("TLS", _bytes(_HELLO)),
    Wire("SSH", _bytes(b"SSH-2.0-OpenSSH_9.6\r\n")),
    Wire("SMTP", _bytes(b"EHLO x\r\n")),
    Wire("Redis", _bytes(b"*1\r\n$4\r\nPING\r\n")),
    Wire("MQTT", _bytes(b"\x10\x10\x00\x04MQTT\x04\x02\x00<\x00\x04pump")),
    Wire("RTSP", _bytes(b"OPTIONS rtsp://x/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"), NOWHERE),
    Wire("a proxy's own line before it", lambda sent: b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + post(sent)),
    Wire("a proxy's own bytes before it", lambda sent: b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + post(sent)),
    Wire("the body alone", lambda sent: sent.body + b"\r\n\r\n"),
]  # fmt: skip


def _named(body: bytes, size: int) -> bytes:
    packed = gzip.compress(body)
    return packed[:3] + b"\x08" + packed[4:10] + b"n" * size + b"\0" + packed[10:]


class Counts:
    """The requests that a listener has counted, by status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before = self._now()

    def _now(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == "pump_push_requests_total" and sample.value:
                    found[int(sample.labels["status"])] += int(sample.value)
        return found

    def more(self) -> Counter[int]:
        """Since the last time."""
        now = self._now()
        before, self._before = self._before, now
        return now - before


async def wrong(port: int, registry: CollectorRegistry, sent: Iterator[Sent], honest: Iterator[Sent]) -> list[str]:
    """What of the table is not so: answers, what becomes of the connection, what is counted, what comes next."""
    found: list[str] = []
    for row in WIRE:
        counts = Counts(registry)
        raw = row.raw(next(sent))
        got, kept = await answers(port, raw, len(row.statuses), post(next(honest)))
        statuses = tuple(answer.status for answer in got)
        if (statuses, kept) != (row.statuses, row.kept):
            found.append(f"{row.name}: {statuses}, {'kept' if kept else 'closed'}")
        after, _ = await answers(port, post(next(honest)), 1, b"")
        if [answer.status for answer in after] != [200]:
            found.append(f"{row.name}: the next is not served")
        wanted = Counter(row.statuses) + Counter([200] * (1 + row.kept))
        if (more := counts.more()) != wanted:
            found.append(f"{row.name}: counted are {more}, and not {wanted}")
    return found


async def answers(port: int, raw: bytes, count: int, honest: bytes) -> tuple[list[Answer], bool]:
    """The answers to `raw` over one connection, and whether it takes an honest request afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        found = [answer for _ in range(count) if (answer := await read_answer(reader)) is not None]
        if not honest:
            return found, True
        writer.write(honest)
        last = await read_answer(reader)
        return found, last is not None and last.status == 200
    finally:
        writer.transport.abort()
