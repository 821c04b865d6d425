"""The kinds of pictures and clips, by their bytes and by their addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.vendors.common.images import MIMES, kind_of, mime_of, mime_of_address, mime_of_ending


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"\x89PNG\r\n\x1a\n0", "image/png"), (b"BM123", "image/bmp"),
        (b"GIF89a", "image/gif"), (b"\x89PNG", None), (b"", None), (b"<html>", None),
    ],
)  # fmt: skip
def test_a_picture_is_known_by_its_first_bytes(content: bytes, mime: str | None) -> None:
    assert mime_of(content) == mime


@pytest.mark.parametrize(
    ("address", "mime"),
    [
        ("https://192.0.2.1/a/b.JPG?sign=x.png", "image/jpeg"), ("/pictures/1.jpeg@WEB000000000085", "image/jpeg"),
        ("https://192.0.2.1/clip.mp4#t=1", "video/mp4"), ("https://example.com", None), ("", None),
        ("https://192.0.2.1/x.wav", "audio/wav"), ("https://192.0.2.1/a.jpg/b", None),
    ],
)  # fmt: skip
def test_a_file_is_known_by_its_address(address: str, mime: str | None) -> None:
    assert mime_of_address(address) == mime


@pytest.mark.parametrize("ending", ["jpg", ".jpg", "JPG", ".Jpg"])
def test_an_ending_is_known_in_every_spelling(ending: str) -> None:
    assert mime_of_ending(ending) == "image/jpeg"


def test_every_kind_of_file_has_the_event_s_word() -> None:
    assert {kind_of(mime) for mime in MIMES.values()} == {"picture", "video", "audio"}
    assert kind_of("text/html") is None


@given(st.text(max_size=60))
def test_no_address_brings_it_down(address: str) -> None:
    assert mime_of_address(address) in (None, *MIMES.values())
