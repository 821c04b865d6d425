"""pump.toml read: what is right arrives typed, what is wrong is told all at once, each with its line."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pump.config import Config, ConfigError, load, places
from pump.registry import Registry
from tests.unit.config.stand_ins import kinds

GOOD = """\
[pump]
site = "north-garage"
time_zone = "Europe/Paris"
[sources.teams]
type = "cloud-box"
app_key = "key-1"
secret_key = "${SECRET}"
[sinks.out]
type = "paper"
path = "events.jsonl"
"""
ENVIRON = {"SECRET": "hunter22"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return kinds(tmp_path_factory.mktemp("kinds"))


def read(folder: Path, text: str, registry: Registry, environ: Mapping[str, str] | None = None) -> Config:
    file = folder / "pump.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, ENVIRON if environ is None else environ, kinds=registry)


def wrong(folder: Path, text: str, registry: Registry, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as told:
        read(folder, text, registry, environ)
    return [problem.text() for problem in told.value.problems]


def test_a_small_file_and_all_defaults(tmp_path: Path, registry: Registry) -> None:
    config = read(tmp_path, GOOD, registry)
    assert (config.site, config.state_dir) == ("north-garage", Path("pump-state"))
    assert config.time_zone.key == "Europe/Paris"
    assert (config.server.listen, config.server.max_body, config.server.allow) == ("0.0.0.0:8080", 16 << 20, ())
    assert (config.ops.listen.host, config.ops.listen.port) == ("127.0.0.1", 9090)
    assert (config.spool.retention, config.spool.max_bytes, config.spool.when_full) == (7 * 86400, 4 << 30, "block")
    assert config.media.dir == Path("pump-state/media")
    assert config.warnings == ()
    source: Any = config.sources["teams"]
    assert source.secret_key.get_secret_value() == "hunter22"
    assert source.time_zone.key == "Europe/Paris"
    assert config.sinks["out"].types == ("*",)
    assert "hunter22" not in repr(config)


def test_every_table_set(tmp_path: Path, registry: Registry) -> None:
    text = (
        GOOD.replace('site = "north-garage"', 'site = "a"\nstate_dir = "/var/lib/pump"')
        + 'types = ["vehicle.*"]\nhold = false\nmin_severity = "warning"\nsources = ["teams", "pump"]\n'
        '[server]\nlisten = "[::1]:0"\ntls_cert = "c.pem"\ntls_key = "k.pem"\n'
        'max_body = "1MiB"\nallow = ["10.0.0.0/8", "::1"]\n'
        '[ops]\nlisten = "localhost:9100"\n[spool]\nretention = "12h"\nmax_bytes = "64MiB"\nwhen_full = "drop-oldest"\n'
        '[media]\ndir = "/srv/media"\nmax_bytes = "1GiB"\nretention = "1d"\n'
    )
    config = read(tmp_path, text.replace("app_key", 'time_zone = "Asia/Tokyo"\napp_key'), registry)
    assert config.state_dir == Path("/var/lib/pump")
    assert (config.server.listen.host, config.server.listen.port) == ("::1", 0)
    assert config.server.allow == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
    assert config.server.tls_key == Path("k.pem")
    assert (config.spool.retention, config.spool.when_full) == (43200.0, "drop-oldest")
    assert (config.media.dir, config.media.retention) == (Path("/srv/media"), 86400.0)
    zone = config.sources["teams"].time_zone
    assert zone is not None
    assert zone.key == "Asia/Tokyo"
    assert config.sinks["out"].hold is False
    assert config.warnings == ()


@pytest.mark.parametrize(("given", "wanted"), [("/a/state:/b", "/a/state"), ("", "pump-state")])
def test_the_state_directory_of_systemd(tmp_path: Path, registry: Registry, given: str, wanted: str) -> None:
    config = read(tmp_path, GOOD, registry, {**ENVIRON, "STATE_DIRECTORY": given})
    assert (config.state_dir, config.media.dir) == (Path(wanted), Path(wanted) / "media")


def test_secrets_from_everywhere(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "key").write_text("from-file\n")
    (tmp_path / "cred").write_text("from-systemd")
    text = GOOD.replace(
        'secret_key = "${SECRET}"',
        f'secret_key = {{ file = "{tmp_path}/key" }}\n'
        'old_secrets = [{ credential = "cred" }, "literal-one", "${SECRET}"]\neither = ["two-keys", "${SECRET}"]',
    )
    config = read(tmp_path, text, registry, {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    source: Any = config.sources["teams"]
    assert source.secret_key.get_secret_value() == "from-file"
    assert [secret.get_secret_value() for secret in source.old_secrets] == ["from-systemd", "literal-one", "hunter22"]
    assert [secret.get_secret_value() for secret in source.either] == ["two-keys", "hunter22"]


SOURCE = '[sources.teams]\ntype = "cloud-box"\napp_key = "key-1"\nsecret_key = "${SECRET}"\n'
CASES: dict[str, tuple[str, list[str]]] = {
    # what is wrong: the file, then every line that `pump check` prints
    "not toml": ("a = 1\nb = \n", ["pump.toml:2: not TOML: Invalid value"]),
    "ends too early": ("a = [\n\n", ["pump.toml:3: not TOML: Invalid value"]),
    "unknown table": (SOURCE + "[spol]\n", ['pump.toml:5: spol: unknown table; did you mean "spool"?']),
    "unknown table far from all": (
        SOURCE + "\n[x]\n",
        [
            "pump.toml:6: x: found unknown table, wanted one of pump, server, ops, spool, media, commands, "
            "sources, sinks"
        ],
    ),
    "unknown key": (
        SOURCE + "pol_interval = '1s'\n",
        ['pump.toml:5: sources.teams.pol_interval: unknown key; did you mean "poll_interval"?'],
    ),
    "a grant of a verb that there is not": (
        SOURCE + '[[commands.grants]]\ncallers = ["socket"]\nverbs = ["gate.opne"]\ntargets = ["*"]\n',
        ['pump.toml:7: commands.grants[0].verbs[0]: found "gate.opne" is none, wanted gate.open'],
    ),
    "a grant to a token that there is not": (
        SOURCE + '[[commands.grants]]\ncallers = ["token:bord"]\nverbs = ["*"]\ntargets = ["*"]\n'
        '[ops.tokens]\nboard = "${SECRET}"\n',
        ['pump.toml:6: commands.grants[0].callers[0]: found "token:bord" is none, wanted token:board'],
    ),
    "a grant of a topic that no sink hears": (
        SOURCE + '[[commands.grants]]\ncallers = ["mqtt:pump/site/command/*"]\nverbs = ["*"]\ntargets = ["*"]\n',
        [
            'pump.toml:6: commands.grants[0].callers[0]: found "mqtt:pump/site/command/*", of which no sink hears, '
            "wanted a sink that takes them: command_topic"
        ],
    ),
    "unknown key far from all": (
        "[ops]\n\nx = 1\n" + SOURCE,
        [
            "pump.toml:3: ops.x: found unknown key, wanted one of hosts, listen, page, tls_cert, tls_key, tokens, "
            "trusted_proxies, users"
        ],
    ),
    "unknown key in an inner table": (
        SOURCE + "[sources.teams.inner]\ndept = 2\n",
        ['pump.toml:6: sources.teams.inner.dept: unknown key; did you mean "depth"?'],
    ),
    "unknown key in an inline table": (
        SOURCE + "inner = { dept = 2 }\n",
        ['pump.toml:5: sources.teams.inner.dept: unknown key; did you mean "depth"?'],
    ),
    "missing keys": (
        '[sources.teams]\ntype = "cloud-box"\n',
        [
            "pump.toml:1: sources.teams.app_key: found nothing, wanted a value: this key is required",
            "pump.toml:1: sources.teams.secret_key: found nothing, wanted a value: this key is required",
        ],
    ),
    "one of some numbers": (
        SOURCE + "batch_size = 250\n",
        ["pump.toml:5: sources.teams.batch_size: found 250, wanted one of 100, 200, 300"],
    ),
    "one of some words": (
        SOURCE + 'queues = ["combine",\n "alarms"]\n',
        [
            'pump.toml:5: sources.teams.queues[1]: found "alarms", wanted one of "combine", "alarm", "rawmsg"; '
            'did you mean "alarm"?'
        ],
    ),
    "a wrong key of a free table, an empty list": (
        SOURCE + "weights = { alarms = 1 }\nzones = []\n",
        [
            'pump.toml:5: sources.teams.weights.alarms: found "alarms", wanted one of "combine", "alarm", "rawmsg"; '
            'did you mean "alarm"?',
            "pump.toml:6: sources.teams.zones: found an empty list, wanted a list of at least 1",
        ],
    ),
    "a list": (
        SOURCE + 'queues = "alarm"\n',
        ['pump.toml:5: sources.teams.queues: found "alarm", wanted a list in brackets'],
    ),
    "no unit": (
        SOURCE + "poll_interval = 5\n",
        [
            "pump.toml:5: sources.teams.poll_interval: found 5, "
            'wanted a duration such as "500ms", "30s", "5m", "12h" or "7d"'
        ],
    ),
    "wrong unit": (
        SOURCE + 'cache = "5 parsecs"\n',
        ['pump.toml:5: sources.teams.cache: found "5 parsecs", wanted a size such as "256KiB", "64MiB" or "4GiB"'],
    ),
    "out of range": (
        SOURCE + 'retries = 10\nratio = -0.1\npoll_interval = "0s"\n',
        [
            "pump.toml:5: sources.teams.retries: found 10, wanted at most 9",
            "pump.toml:6: sources.teams.ratio: found -0.1, wanted at least 0",
            'pump.toml:7: sources.teams.poll_interval: found "0s", wanted more than 0s',
        ],
    ),
    "types are TOML's own": (
        SOURCE + 'retries = "3"\nverify = 1\nserver = 7\nenabled = "yes"\nratio = "0.5"\n',
        [
            'pump.toml:5: sources.teams.retries: found "3", wanted a whole number',
            "pump.toml:6: sources.teams.verify: found 1, wanted true or false",
            "pump.toml:7: sources.teams.server: found 7, wanted a text in quotes",
            'pump.toml:8: sources.teams.enabled: found "yes", wanted true or false',
            'pump.toml:9: sources.teams.ratio: found "0.5", wanted a number',
        ],
    ),
    "a table": (
        SOURCE + 'inner = 1\n[sources.other]\n[spool]\n[sinks]\nout = "x"\n',
        [
            "pump.toml:5: sources.teams.inner: found 1, wanted a table",
            "pump.toml:6: sources.other.type: found no type, wanted one of cloud-box",
            'pump.toml:9: sinks.out: found "x", wanted a table [sinks.out] with a type',
        ],
    ),
    "values where tables belong": (
        'pump = 1\nops = []\nsources = "x"\n',
        [
            "pump.toml:1: pump: found 1, wanted a table [pump]",
            "pump.toml:2: ops: found an empty list, wanted a table [ops]",
            'pump.toml:3: sources: found "x", wanted tables [sources.NAME]',
        ],
    ),
    "unknown type": (
        '[sources.teams]\n\ntype = "cloud-bix"\n[sinks.out]\ntype = "jsonlines"\n[sinks.odd]\ntype = 3\n',
        [
            'pump.toml:3: sources.teams.type: found type "cloud-bix", wanted one of cloud-box; '
            'did you mean "cloud-box"?',
            'pump.toml:5: sinks.out.type: found type "jsonlines", wanted one of needs-more, paper',
            "pump.toml:7: sinks.odd.type: found type 3, wanted one of needs-more, paper",
        ],
    ),
    "missing package": (
        '[sinks.out]\ntype = "needs-more"\n',
        [
            'pump.toml:2: sinks.out.type: "needs-more" needs the package a_package_that_nobody_has, '
            "which is not installed; install a_package_that_nobody_has"
        ],
    ),
    "names": (
        SOURCE.replace("teams", "pump") + SOURCE.replace("teams", "Teams").replace("key-1", "key-2"),
        [
            'pump.toml:1: sources.pump: the name "pump" is the daemon\'s own: choose another',
            'pump.toml:5: sources.Teams: found the name "Teams", wanted small letters, digits, - and _ '
            "([a-z0-9][a-z0-9_-]*)",
        ],
    ),
    "site, zone, addresses": (
        '[pump]\nsite = "A b"\ntime_zone = "Europe/Pariss"\n[server]\nlisten = ":8080"\nallow = ["10.0.0.1/8"]\n'
        '[ops]\nlisten = "h:70000"\n',
        [
            'pump.toml:2: pump.site: found "A b", wanted a text like ^[a-z0-9][a-z0-9_-]*$',
            'pump.toml:3: pump.time_zone: found "Europe/Pariss", wanted a time zone such as "Europe/Paris"',
            'pump.toml:5: server.listen: found ":8080", '
            'wanted an address and port such as "127.0.0.1:9090" or "[::1]:9090"',
            'pump.toml:6: server.allow[0]: found "10.0.0.1/8", wanted a network such as "10.0.0.0/8" '
            "(no bits set behind the prefix)",
            'pump.toml:8: ops.listen: found "h:70000", '
            'wanted an address and port such as "127.0.0.1:9090" or "[::1]:9090"',
        ],
    ),
    "half of TLS": (
        '[server]\ntls_cert = "c"\n',
        ["pump.toml:1: server: tls_cert and tls_key go together: one is missing"],
    ),
    "one address twice": (
        '[server]\nlisten = "127.0.0.1:9090"\n' + SOURCE + "[ops]\n",
        [
            'pump.toml:7: ops.listen: found "127.0.0.1:9090", which [server] has too, '
            "wanted an address and port of its own"
        ],
    ),
    "one account twice": (
        SOURCE + SOURCE.replace("teams", "again"),
        [
            "pump.toml:5: sources.again: found the same account as sources.teams, "
            "wanted one enabled table for one account"
        ],
    ),
    "one output twice": (
        '[sinks.a]\ntype = "paper"\npath = "p"\n[sinks.b]\ntype = "paper"\npath = "p"\n',
        ["pump.toml:4: sinks.b: found the same output as sinks.a, wanted one enabled table for one output"],
    ),
    "names that no event has": (
        '[sinks.a]\ntype = "paper"\npath = "p"\nmask = ["subject", "data.vehicel.plate"]\n'
        'types = ["vehicle.*", "parkng.*"]\nexclude_types = [\n"device.ofline"]\n',
        [
            'pump.toml:4: sinks.a.mask[1]: no event has "data.vehicel.plate"; did you mean "data.vehicle.plate"?',
            'pump.toml:5: sinks.a.types[1]: "parkng.*" matches no event type; did you mean "parking.*"?',
            'pump.toml:6: sinks.a.exclude_types[0]: "device.ofline" matches no event type; '
            'did you mean "device.offline"?',
        ],
    ),
    "fields of a template that no event has": (
        '[sinks.a]\ntype = "paper"\npath = "{data.place.lot}/{data.plase.zone:levels}"\n',
        ['pump.toml:3: sinks.a.path: no event has {data.plase.zone}; did you mean "data.place.zone"?'],
    ),
    "secrets that are not there": (
        '[sources.a]\ntype = "cloud-box"\napp_key = "abc"\nsecret_key = "${NOT_SET}"\n'
        'old_secrets = [{ file = "/no/such/file" }, { credential = "c" }, { fil = "x" }, "${X"]\n',
        [
            "pump.toml:4: sources.a.secret_key: the environment has no NOT_SET",
            "pump.toml:5: sources.a.old_secrets[0]: the file /no/such/file cannot be read: No such file or directory",
            "pump.toml:5: sources.a.old_secrets[1]: the credential c needs systemd's $CREDENTIALS_DIRECTORY, "
            "which is not set",
            "pump.toml:5: sources.a.old_secrets[2]: found a value that is not shown, "
            'wanted a text, "${NAME}", { file = "…" } or { credential = "…" }',
            "pump.toml:5: sources.a.old_secrets[3]: found a value that is not shown, "
            'wanted a variable of the environment such as "${NAME}" and nothing beside it',
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_mistake_is_told_with_its_line(tmp_path: Path, registry: Registry, name: str) -> None:
    text, wanted = CASES[name]
    assert wrong(tmp_path, text, registry) == wanted


def test_all_mistakes_at_once(tmp_path: Path, registry: Registry) -> None:
    """Every case that is a source alone, all in one file: nothing hides another, and they come in the file's order."""
    cases = [case for case in CASES.values() if re.findall(r"^\[+(.*?)\]", case[0], re.M) == ["sources.teams"]]
    text = "".join(
        case[0].replace("sources.teams", f"sources.t{number}").replace("key-1", f"key-{number}")
        for number, case in enumerate(cases)
    )
    told = wrong(tmp_path, text, registry)
    numbers = [int(line.split(":")[1]) for line in told]
    assert len(told) == sum(len(case[1]) for case in cases) > 15
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"a = 1\nb = '\xff'\n", "bytes that are not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, wanted: str) -> None:
    file = tmp_path / "pump.toml"
    if content is not None:
        file.write_bytes(content)
    for reader in (load, places):
        with pytest.raises(ConfigError) as told:
            reader(file, {})
        (problem,) = told.value.problems
        assert problem.found == wanted
        assert problem.line == (None if content is None else 2)


def test_a_file_without_an_end_fills_no_memory(tmp_path: Path) -> None:
    """A link to a device, put in the place of pump.toml under a daemon that is to reload."""
    (tmp_path / "pump.toml").symlink_to("/dev/zero")
    for reader in (load, places):
        with pytest.raises(ConfigError, match="more than 16 MiB: this is no"):
            reader(tmp_path / "pump.toml", {})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path, registry: Registry) -> None:
    assert read(tmp_path, "\ufeff" + GOOD, registry).site == "north-garage"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ["pump.toml: sources: no source is configured and enabled: nothing will arrive",
              "pump.toml: sinks: no sink is configured and enabled: events are stored and go nowhere"]),
        (GOOD + "enabled = false\n",
         ["pump.toml:8: sinks: no sink is configured and enabled: events are stored and go nowhere"]),
        (GOOD.replace("secret_key", 'queues = ["alarm", "combine"]\nsecret_key'),
         ["pump.toml:4: sources.teams: combine beside alarm: the same alarms come twice"]),
        (GOOD + 'sources = ["team", "te*", "pump"]\n',
         ['pump.toml:11: sinks.out.sources: "team" matches no source; did you mean "teams"?']),
        (GOOD + 'exclude_sources = ["tems"]\nsites = ["south", "north*"]\n',
         ['pump.toml:11: sinks.out.exclude_sources: "tems" matches no source; did you mean "teams"?',
          'pump.toml:12: sinks.out.sites: "south" matches no site']),
    ],
)  # fmt: skip
def test_warnings_do_not_refuse(tmp_path: Path, registry: Registry, text: str, wanted: list[str]) -> None:
    assert [warning.text() for warning in read(tmp_path, text, registry).warnings] == wanted


def test_a_disabled_twin_is_no_twin(tmp_path: Path, registry: Registry) -> None:
    config = read(tmp_path, GOOD + SOURCE.replace("teams", "spare") + "enabled = false\n", registry)
    assert list(config.sources) == ["teams", "spare"]


def test_reading_a_configuration_and_a_spool_loads_no_http_library() -> None:
    """Every command does it, and starts in a third of the time."""
    code = (
        "import sys, pump.config, pump.spool.offline;"
        "print({'aiohttp', 'http.server', 'prometheus_client'} & sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"


def test_a_token_of_ops_is_no_place_s_business(tmp_path: Path) -> None:
    file = tmp_path / "pump.toml"
    file.write_text('[ops]\nlisten = "127.0.0.1:1"\ntokens = { board = "${NOT_THERE}" }\n')
    assert places(file, {}).ops.listen == "127.0.0.1:1"


def test_places_need_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "pump.toml"
    file.write_text(GOOD + '[ops]\nlisten = "127.0.0.1:1"\n[sources.odd]\ntype = "nothing known"\n')
    found = places(file, {"STATE_DIRECTORY": "/var/lib/pump"})
    assert (found.site, found.state_dir, found.ops.listen.port) == ("north-garage", Path("/var/lib/pump"), 1)


HIDDEN_VALUE = "s3cr3t-Value"


@pytest.mark.parametrize(
    "line",
    [
        f'secret_key = ["{HIDDEN_VALUE}"]',
        f'secret_key = {{ fil = "{HIDDEN_VALUE}" }}',
        f'secret_kye = "{HIDDEN_VALUE}"\nsecret_key = "abcd"',
        f'secret_key = "{HIDDEN_VALUE}"\nserver = 1\nretries = "{HIDDEN_VALUE}"',
        f'secret_key = "{HIDDEN_VALUE}"\nqueues = ["{HIDDEN_VALUE}"]\npoll_interval = "{HIDDEN_VALUE}"',
        f'secret_key = "{HIDDEN_VALUE}"\neither = [["{HIDDEN_VALUE}"]]',
        f'secret_key = 1\nold_secrets = "{HIDDEN_VALUE}"',
        f'secret_key = "abcd"\ninner.pin = ["{HIDDEN_VALUE}"]\ninner.depth = "x"',
        f'secret_key = "abcd"\ninner = {{ pin = {{ x = "{HIDDEN_VALUE}" }} }}',
        f'secret_key = "${{SECRET}}"\nbatch_size = "http://user:{HIDDEN_VALUE}@host/"',
        f'secret_key = "${{HELD}}"\nbatch_size = "{HIDDEN_VALUE}"',
        f'app_key = ["{HIDDEN_VALUE}"]\nsecret_key = "abcd"',
        f'secret_key = "abcd"\ntime_zone = {{ password = "{HIDDEN_VALUE}" }}',
    ],
)
def test_no_message_shows_a_secret(tmp_path: Path, registry: Registry, line: str) -> None:
    key = "" if "app_key" in line else 'app_key = "key-1"\n'
    text = f'[sources.teams]\ntype = "cloud-box"\n{key}{line}\n'
    told = "\n".join(wrong(tmp_path, text, registry, {**ENVIRON, "HELD": HIDDEN_VALUE}))
    assert "sources.teams" in told
    assert HIDDEN_VALUE not in told


def test_a_file_made_to_hurt_is_told_as_any_other(tmp_path: Path, registry: Registry) -> None:
    (told,) = wrong(tmp_path, "x=" + "[" * 20_000, registry)
    assert told.endswith("nested too deep")


def test_a_secret_from_a_device_without_an_end_is_refused(tmp_path: Path, registry: Registry) -> None:
    text = GOOD.replace('"${SECRET}"', '{ file = "/dev/zero" }')
    (told,) = wrong(tmp_path, text, registry)
    assert "too long for a secret" in told


@pytest.mark.parametrize("empty", ['""', '"  "'])
def test_an_empty_secret_is_refused_for_it_would_sign_for_anybody(
    tmp_path: Path, registry: Registry, empty: str
) -> None:
    (told,) = wrong(tmp_path, GOOD.replace('"${SECRET}"', empty), registry)
    assert told.endswith("it is empty: leave it out, or say it")
