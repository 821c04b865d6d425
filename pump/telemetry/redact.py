"""Secrets kept out of everything that is written: what the configuration resolved is replaced wherever it turns up."""

from __future__ import annotations

import json
import re
import threading
from typing import Any, Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 4
"""Characters. A shorter text is no secret, and replacing every "a" would leave no log to read."""
HIDDEN: Final = "*****"
_DEEPEST: Final = 8


class Redactor:
    """A growing set of secrets, and the replacing of them. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def redact(self, *secrets: str) -> None:
        """From now on these are hidden, also as they look inside a URL, a JSON text or a Python repr."""
        with self._lock:
            for secret in secrets:
                if len(secret) >= SHORTEST:
                    self._forms |= _forms(secret)
            if self._forms:
                longest_first = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def clean(self, text: str) -> str:
        """The text with each secret replaced."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def value(self, value: Any, depth: int = 0) -> Any:
        """The same for any value of a log line; what is neither plain nor a collection becomes its cleaned text."""
        if value is None or isinstance(value, bool):
            return value
        if type(value) is str:
            return self.clean(value)
        if isinstance(value, int | float):
            text = str(value)
            clean = self.clean(text)
            return value if clean == text else clean
        if depth < _DEEPEST:
            if isinstance(value, dict):
                return {self.clean(str(key)): self.value(inner, depth + 1) for key, inner in value.items()}
            if isinstance(value, list | tuple | set | frozenset):
                return [self.value(inner, depth + 1) for inner in value]
        return self.clean(_text(value))


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as the places that quote it would print it."""
    inside_json = json.dumps(secret)[1:-1]
    forms = {
        secret,
        inside_json,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode("utf-8", "surrogatepass"))[2:-1],
        quote(secret.encode("utf-8", "surrogatepass")),
        quote(secret.encode("utf-8", "surrogatepass"), safe=""),
        quote_plus(secret.encode("utf-8", "surrogatepass")),
    }
    # yarl and others write the hexadecimal digits of an escape either way
    forms |= {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in forms if "%" in form}
    return {form for form in forms if len(form) >= SHORTEST}


def _text(value: Any) -> str:
    """`value` as text: bytes decoded, anything else by its own str, which must not stop a log line."""
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  # any object may come here, and its str may raise anything
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"


DEFAULT: Final = Redactor()
"""The secrets that the process's log and commands hide; loading a configuration fills it."""
redact = DEFAULT.redact
clean = DEFAULT.clean
