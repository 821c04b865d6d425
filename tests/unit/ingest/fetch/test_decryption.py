"""Pictures that devices encrypt with their verification codes; vectors of the command line's openssl."""

from __future__ import annotations

import hashlib
from hashlib import sha256

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.decryption import Broken, CodeMissing, Decryptor, digest_of
from pump.simulation.pictures import PictureHost, jpeg
from tests.unit.ingest.fetch.conftest import Ground, alarm

# printf 'a picture' | openssl enc -aes-128-cbc -K 41424344454600… -iv 303132333435363700…
CODE = "ABCDEF"
VECTOR = "c5856e0fd843cd63222ee65667de5e5a"


def encrypted(content: bytes, code: str = CODE) -> bytes:
    """As a device does it, by docs/field.md."""
    key = code.encode().ljust(16, b"\0")
    cipher = Cipher(algorithms.AES(key), modes.CBC(b"01234567" + bytes(8))).encryptor()
    pad = 16 - len(content) % 16
    once = hashlib.md5(code.encode(), usedforsecurity=False).hexdigest()
    twice = hashlib.md5(once.encode(), usedforsecurity=False).hexdigest()
    return b"hikencodepicture" + twice.encode() + cipher.update(content + bytes([pad]) * pad) + cipher.finalize()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 5000])
def test_any_length_comes_out_as_it_went_in(size: int) -> None:
    content = jpeg("x", max(size, 6))[:size]
    assert Decryptor({"D1": "other", "D2": CODE}).opened(encrypted(content)) == content


def test_openssl_s_own_vector() -> None:
    text = bytes.fromhex(VECTOR)
    content = b"hikencodepicture" + digest_of(CODE).encode() + text
    assert Decryptor({"D1": CODE}).opened(content) == b"a picture"


def test_what_cannot_be_decrypted() -> None:
    content = encrypted(b"x" * 100)
    with pytest.raises(CodeMissing):
        Decryptor({"D1": "another"}).opened(content)
    with pytest.raises(CodeMissing):
        Decryptor({}).opened(content[:30])
    for broken in (content[:-1], content[:48], content[:-16], content[:-1] + bytes([content[-1] ^ 1])):
        with pytest.raises(Broken):
            Decryptor({"D1": CODE}).opened(broken)


async def test_a_picture_is_stored_decrypted_and_one_without_a_code_as_it_came(ground: Ground) -> None:
    content = jpeg("secret", 3000)
    async with PictureHost(clock=ground.clock) as host:
        access = PictureAccess(own=host.url, codes={"D1": CODE})
        host.answers |= {
            "a.jpg": lambda request: web.Response(body=encrypted(content)),
            "b.jpg": lambda request: web.Response(body=encrypted(content, "ZZZZZZ")),
            "c.jpg": lambda request: web.Response(body=encrypted(b"<html>no picture</html>")),
        }
        async with ground.running(access) as here:
            await here.intake.put(
                *(alarm(n, host.link(name, 5), encrypted=True) for n, name in enumerate(("a.jpg", "b.jpg", "c.jpg")))
            )
            await here.through(6)
            (stored,) = await here.events("media.stored")
            medium = stored["data"]["media"][0]
            assert (medium["sha256"], medium["bytes"]) == (sha256(content).hexdigest(), 3000)
            assert "encrypted" not in medium
            kept, page = sorted(await here.events("media.failed"), key=lambda event: event["data"]["media"][0]["state"])
            raw = encrypted(content, "ZZZZZZ")
            assert "verification code" in kept["data"]["reason"]
            assert kept["data"]["media"][0]["sha256"] == sha256(raw).hexdigest()
            assert kept["data"]["media"][0]["encrypted"] is True
            assert page["data"]["media"][0]["state"] == "failed"
            assert set(ground.files().values()) == {content, raw}
