"""Pictures that a device encrypts with its verification code (docs/field.md, "Hik-Connect for Teams").

`hikencodepicture`, 32 hexadecimal digits MD5(MD5hex(code)), then AES-128-CBC with PKCS#7 padding. The digits name the
code, so that any of the configuration's can be tried without a guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

MARK: Final = b"hikencodepicture"
HEAD: Final = len(MARK) + 32
"""Bytes before the cipher's first block."""
_VECTOR: Final = b"01234567".ljust(16, b"\0")
_BLOCK: Final = 16


class CodeMissing(Exception):
    """No verification code of the configuration is the one that the picture was encrypted with."""


class Broken(ValueError):
    """The cipher's text is cut, or was made otherwise."""


def digest_of(code: str) -> str:
    """The 32 digits by which a picture names the code."""
    return _md5(_md5(code.encode()).encode())


def _md5(text: bytes) -> str:
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


class Decryptor:
    """The codes of one source's devices."""

    def __init__(self, codes: Mapping[str, str]) -> None:
        """`codes` by the device's serial number."""
        self._keys = {digest_of(code): code.encode()[:_BLOCK].ljust(_BLOCK, b"\0") for code in codes.values()}

    def opened(self, content: bytes) -> bytes:
        """The picture in `content`, which begins with MARK. Raises CodeMissing and Broken."""
        named = content[len(MARK) : HEAD].decode("ascii", "replace").lower()
        key = self._keys.get(named)
        if key is None:
            raise CodeMissing
        text = content[HEAD:]
        if not text or len(text) % _BLOCK:
            raise Broken(f"{len(text)} bytes are no whole number of blocks")
        # Imported where it is needed: it costs every daemon 10 MB, and few have encrypted pictures.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7

        cipher = Cipher(algorithms.AES(key), modes.CBC(_VECTOR)).decryptor()
        padding = PKCS7(128).unpadder()
        try:
            return padding.update(cipher.update(text) + cipher.finalize()) + padding.finalize()
        except ValueError as error:
            raise Broken("its padding is wrong") from error
