#!/usr/bin/env bash
# aiohttp's DigestAuthMiddleware looks at the beginning of the first WWW-Authenticate header alone. A device that offers
# Basic first and Digest second, in one header or in two (both are RFC 9110, 11.6.1; cameras set to "digest/basic" do
# it), is not logged in to: the caller gets the 401, and no Authorization is ever sent.
# Seen with aiohttp 3.14.5, Python 3.11.7:
#   Digest alone: 200 after 2 requests
#   Digest, then Basic: 200 after 2 requests
#   Basic, then Digest: 401 after 1 requests
#   Basic and Digest in one header: 401 after 1 requests
# The pump's answer: pump/ingest/stream/client.py reads every challenge of every header.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5
cat >"$folder/expected" <<'TEXT'
Digest alone: 200 after 2 requests
Digest, then Basic: 200 after 2 requests
Basic, then Digest: 401 after 1 requests
Basic and Digest in one header: 401 after 1 requests
TEXT
cat >"$folder/try.py" <<'PYTHON'
import asyncio

import aiohttp
from aiohttp import web

DIGEST = 'Digest realm="camera", qop="auth", nonce="6f1c2d", algorithm=MD5'
BASIC = 'Basic realm="camera"'
OFFERS = {
    "Digest alone": [DIGEST],
    "Digest, then Basic": [DIGEST, BASIC],
    "Basic, then Digest": [BASIC, DIGEST],
    "Basic and Digest in one header": [f"{BASIC}, {DIGEST}"],
}


async def main() -> None:
    requests, offer = 0, []

    async def camera(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        if request.headers.get("Authorization", "").startswith("Digest "):
            return web.Response()  # the response's value does not matter here
        return web.Response(status=401, headers=[("WWW-Authenticate", each) for each in offer])

    app = web.Application()
    app.router.add_get("/", camera)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    for name, offer in OFFERS.items():
        requests = 0
        login = aiohttp.DigestAuthMiddleware("admin", "secret")
        async with aiohttp.ClientSession(middlewares=(login,)) as session:
            async with session.get(f"http://127.0.0.1:{port}/") as answer:
                print(f"{name}: {answer.status} after {requests} requests")
    await runner.cleanup()


asyncio.run(main())
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
