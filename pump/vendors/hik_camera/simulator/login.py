"""The simulated device's digest login (RFC 7616, MD5), and the documents that it lets a user read."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from pump.core.clock import Clock
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.simulator.account import Account
from pump.vendors.hik_camera.simulator.quirks import Quirks

_REALM: Final = "DS-0000000"
_FIELD: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')

_INFO: Final = (
    '<DeviceInfo version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"><deviceName>North gate</deviceName>'
    "<model>DS-2CD0000</model><serialNumber>DS-2CD000020260101AAWRTEST00001</serialNumber>"
    "<macAddress>00:00:5e:00:53:01</macAddress><deviceType>IPCamera</deviceType></DeviceInfo>"
)
_INPUTS: Final = (
    "<VideoInputChannelList><VideoInputChannel><id>1</id><name>Lane 1</name></VideoInputChannel>"
    "</VideoInputChannelList>"
)
_PROXIES: Final = (
    "<InputProxyChannelList><InputProxyChannel><id>1</id><name>Yard &amp; fence</name></InputProxyChannel>"
    "</InputProxyChannelList>"
)


def documents(quirks: Quirks) -> dict[str, bytes]:
    """What the device says of itself, by path."""
    found = {device.INFO: _INFO, device.INPUTS: _INPUTS}
    if quirks.recorder:
        found[device.PROXIES] = _PROXIES
    return {path: text.encode() for path, text in found.items()}


class Login:
    """The user and the password, and every nonce that was given out. `account` counts."""

    def __init__(self, clock: Clock, account: Account, username: str, password: str) -> None:
        self.username = username
        self.password = password
        self._clock = clock
        self._account = account
        self._nonces: dict[str, float] = {}

    def expire(self) -> None:
        """Every nonce is too old from now on."""
        self._nonces.clear()

    def check(self, method: str, path: str, said: str, quirks: Quirks) -> str | None:
        """The challenge of a refused login, None where it is accepted."""
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(said)}
        stale = quirks.stale_word
        if fields:
            made = self._nonces.get(fields.get("nonce", ""))
            if made is None or self._clock.monotonic() - made > quirks.nonce_life:
                stale = '"TRUE"'
            elif self._digest(method, path, fields) == fields.get("response") and fields["username"] == self.username:
                self._account.logins += 1
                return None
            else:
                self._account.rejected.append(self._clock.monotonic())
        else:
            self._account.challenges += 1
        return self.challenge(stale)

    def challenge(self, stale: str) -> str:
        """A fresh one."""
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = self._clock.monotonic()
        return f'Digest qop="auth", realm="{_REALM}", nonce="{nonce}", stale={stale}'

    def _digest(self, method: str, path: str, fields: dict[str, str]) -> str:
        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        parts = (fields.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return md5(md5(self.username, _REALM, self.password), *parts, md5(method, path))
