"""pump passwd: a hash on standard output and nothing else; what is no password is refused."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.config.passwords import fits


def test_it_prints_the_hash_of_the_first_line() -> None:
    done = CliRunner().invoke(group, ["passwd"], input="a good pässword\nand more\n")
    assert done.exit_code == 0
    (line,) = done.output.splitlines()
    assert fits("a good pässword", line)
    assert "pässword" not in done.output


@pytest.mark.parametrize("password", ["", "short", "x" * 2000])
def test_what_is_no_password_is_refused(password: str) -> None:
    done = CliRunner().invoke(group, ["passwd"], input=f"{password}\n")
    assert done.exit_code == 1
    assert "$scrypt$" not in done.output
