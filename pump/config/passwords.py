"""Passwords of [ops.users], as scrypt hashes alone: `pump passwd` makes them, a sign-in checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import Final

_COST: Final = 15
"""Of n = 2^15, r = 8, p = 1: 32 MiB and a tenth of a second for each guess, also on the small boards of a site."""
_BLOCK: Final = 8
_LANES: Final = 1
_SALT: Final = 16
_LENGTH: Final = 32
"""Bytes of the salt and of the digest."""
LONGEST: Final = 1024
"""Bytes of a password."""
_FORM: Final = re.compile(
    r"\$scrypt\$ln=(1[4-8]),r=(8|16),p=([1-4])\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43,86})", re.ASCII
)
"""The PHC form, without padding."""


def hashed(password: str) -> str:
    """The hash of a password, with a salt of its own."""
    salt = os.urandom(_SALT)
    digest = _digest(password, salt, _COST, _BLOCK, _LANES, _LENGTH)
    return f"$scrypt$ln={_COST},r={_BLOCK},p={_LANES}${_text(salt)}${_text(digest)}"


def is_hash(text: str) -> bool:
    """True for what `pump passwd` may have made."""
    return _FORM.fullmatch(text) is not None


def fits(password: str, hash_: str) -> bool:
    """True for the password of this hash. Takes a tenth of a second and 32 MiB: to be called in a thread."""
    found = _FORM.fullmatch(hash_)
    if found is None or len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        return False
    known = _bytes(found[5])
    cost, block, lanes = int(found[1]), int(found[2]), int(found[3])
    return hmac.compare_digest(_digest(password, _bytes(found[4]), cost, block, lanes, len(known)), known)


def _digest(password: str, salt: bytes, cost: int, block: int, lanes: int, length: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    memory = 2 * 128 * block * (1 << cost)  # OpenSSL counts some more than it uses
    return hashlib.scrypt(secret, salt=salt, n=1 << cost, r=block, p=lanes, maxmem=memory, dklen=length)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
