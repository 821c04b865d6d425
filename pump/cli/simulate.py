"""pump simulate."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pump.cli.shared.commanding import Bar, quiet_option


@click.command()
@click.argument("vendor", required=False)
@click.option("--rate", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Events a second.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; 0, the default, takes a free one.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same events.")
@click.option(
    "--from", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Play what pump record wrote.",
)  # fmt: skip
@click.option("--to", metavar="URL", help="With --from: the pump that gets what devices pushed.")
@click.option(
    "--speed", type=click.FloatRange(0, 1e6, min_open=True), default=1.0, show_default=True, metavar="N",
    help="With --from: so many times faster than it was.",
)  # fmt: skip
@click.option("--at-once", is_flag=True, help="With --from: without any waits.")
@quiet_option
def command(
    vendor: str | None, rate: float, host: str, port: int, seed: int, file: Path | None, to: str | None, speed: float,
    at_once: bool, quiet: bool,
) -> None:  # fmt: skip
    """Run the simulator of VENDOR until Ctrl-C (or SIGTERM): its API on a local port, its habits, made-up events.

    Its address goes to standard error, with the table that pump.toml needs to reach it: of a source, or of a sink for
    the cloud of one (tuya). On a terminal a line shows what it did so far. Without VENDOR the vendors are listed.

    With --from a recording is played in its place: streams and answers to who asks for them, behind the same login,
    and requests that devices pushed to the address of --to, signed anew where the vendor signs.

    \b
    Examples:
      pump simulate
      pump simulate hik-connect --rate 200
      pump simulate hik-connect --port 8765 --seed 7
      pump simulate --from gate.recording.jsonl --to http://127.0.0.1:8080 --speed 10
    """
    from pump import registry
    from pump.telemetry import log

    log.configure(json=False, level="warning")

    def show(vendor: str, account: dict[str, Any], url: str) -> None:
        table = "sources" if vendor in registry.source_kinds() else "sinks"
        lines = (f"{vendor} listens at {url}", "", f"[{table}.simulated]", *_toml({"type": vendor, **account}, url))
        log.say("".join(f"{line}\n" for line in lines))

    if file is not None:
        from pump.cli.recording.playing import Wanted, performance

        simulation = performance(Wanted(file, vendor, to, 0.0 if at_once else speed, host, port), show, log.say)
    elif to is not None or at_once:
        raise click.UsageError("--to, --speed and --at-once go with --from")
    elif vendor is None:
        click.echo("\n".join(registry.simulator_kinds()))
        return
    else:
        try:
            module = registry.simulator(vendor)
        except (LookupError, registry.MissingDependency) as error:
            raise click.ClickException(str(error.args[0])) from None
        simulation = module.simulate(
            host=host, port=port, rate=rate, seed=seed,
            on_ready=lambda url: show(vendor, getattr(module, "ACCOUNT", {}), url),
        )  # fmt: skip
    try:
        asyncio.run(_until_asked(simulation, Bar(quiet=quiet, write=log.say)))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


def _toml(keys: dict[str, Any], url: str) -> Iterator[str]:
    """The keys as TOML's lines, for texts and lists of texts."""
    for key, value in keys.items():
        yield f"{key} = {json.dumps(value.replace('{url}', url) if isinstance(value, str) else value)}"


async def _until_asked(simulation: Coroutine[Any, Any, None], bar: Bar) -> None:
    """Run it; on SIGINT and SIGTERM end it as one ends what closes its sockets."""
    running = asyncio.ensure_future(simulation)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    showing = asyncio.create_task(_show(bar), name="progress") if bar.shows else None
    try:
        with suppress(asyncio.CancelledError):
            await running
    finally:
        if showing is not None:
            showing.cancel()
            bar.close()


async def _show(bar: Bar) -> None:
    """What the simulator has done, once a second."""
    from pump.simulation.server import TALLY

    begun = time.monotonic()
    while True:
        await asyncio.sleep(1.0)
        bar.show({**TALLY, "seconds": round(time.monotonic() - begun)})
