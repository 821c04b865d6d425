#!/usr/bin/env bash
# asyncio's create_server passes over every socket that cannot be made, as it should for an address family that the
# machine lacks, and does so too where the process has no file descriptor left. aiohttp's TCPSite then starts without an
# error and listens nowhere: `addresses` is empty, and whoever takes the first of them (port 0, a log line) meets an
# IndexError far from the cause. uvloop does the same.
# Seen with aiohttp 3.14.5, uvloop 0.23.0, Python 3.11.7:
#   asyncio: started, listens at []
#   uvloop: started, listens at []
# The pump's answer: pump/core/net/listening.py asks for the addresses before a listener counts as open.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 uvloop==0.23.0
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import errno
import os
import resource

import encodings.idna  # what a first use would have to open
import uvloop
from aiohttp import web


async def main(name: str) -> None:
    runner = web.ServerRunner(web.Server(lambda request: None))
    await runner.setup()
    free = os.dup(0)
    os.close(free)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        said = f"started, listens at {runner.addresses}"
    except OSError as error:
        said = f"refused with {errno.errorcode[error.errno]}"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(f"{name}: {said}")
    await runner.cleanup()


for name, loop in {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}.items():
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main(name))
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
