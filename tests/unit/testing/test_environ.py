"""What a machine has of its own changes nothing of the tests: a proxy, a service that runs them, colours."""

from __future__ import annotations

import os
import tempfile

import pytest

from tests import environ


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "RUNTIME_DIRECTORY", "FORCE_COLOR"])
def test_what_is_the_machine_s_own_is_forgotten(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    environ.forget()
    assert name not in os.environ


@pytest.mark.parametrize(("folder", "root"), [("/workspace/of/a/builder/tmp", "/tmp"), ("/var/tmp", "")])
def test_folders_of_tests_have_short_names(monkeypatch: pytest.MonkeyPatch, folder: str, root: str) -> None:
    """For the addresses of sockets in them."""
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", "")
    monkeypatch.setattr(tempfile, "tempdir", folder)
    environ.forget()
    assert os.environ["PYTEST_DEBUG_TEMPROOT"] == root
