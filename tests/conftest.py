"""For all tests: each ends (`tests.ending`), none shows a secret (`tests.leaks`), and every event that any of them
stores fits the published schema."""

from __future__ import annotations

from tests import bytecode  # what is imported before it is compiled again and again

# isort: split
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import hypothesis
import jsonschema
import orjson
import pytest
import structlog

import pump.ingest.encoding
from pump.core.event import Event, encode
from pump.core.schema import event_schema
from tests import ending, environ, leaks

environ.forget()  # before a test file is imported: some copy it

# A busy machine is no failure: what takes too long is for --timeout to say. Nor is luck: a run has the examples of the
# one before it (`--hypothesis-profile=search` has others), and keeps none in the checkout, which may be read-only.
hypothesis.settings.register_profile(
    "pump",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.register_profile("search", hypothesis.settings.get_profile("pump"), derandomize=False)
hypothesis.settings.load_profile("pump")

_VALIDATOR = jsonschema.Draft202012Validator(
    event_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
_seen: set[Any] = set()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(bytecode, "tests.bytecode")
    config.pluginmanager.register(ending, "tests.ending")
    config.pluginmanager.register(leaks, "tests.leaks")


def _shape(value: Any) -> Any:
    """What the schema can tell apart: keys and kinds of values, not the values."""
    if isinstance(value, dict):
        return tuple((key, None if key == "raw" else _shape(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return tuple({_shape(inner) for inner in value})
    return type(value)


@pytest.fixture(autouse=True)
def _events_fit_the_schema(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Validate the first event of each shape; the others would say the same, a thousand times slower."""
    wrong: list[str] = []

    def checking(event: Event, source: str, recorded: datetime) -> bytes:
        body = encode(event, source, recorded)
        if event.type.startswith("pump."):
            leaks.look(f"the event {event.type}", body)
        shape = (event.type, _shape(event.data), event.subject is None)
        if shape not in _seen:
            _seen.add(shape)
            wrong.extend(f"{event.type}: {error.message}" for error in _VALIDATOR.iter_errors(orjson.loads(body)))
        return body

    monkeypatch.setattr(pump.ingest.encoding, "encode", checking)
    yield
    assert not wrong, wrong


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets up logging, and others would not see what they log at debug."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run tests that are coroutines on asyncio alone: the pump is an asyncio program."""
    return "asyncio"
