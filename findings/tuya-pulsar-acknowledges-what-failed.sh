#!/usr/bin/env bash
# Tuya's own Python client takes device messages from the cloud's queue and acknowledges each one, also where the
# listener that was to store it raised: the exception is a line at level "debug", the queue counts the message as
# delivered and never sends it again. A disk that is full for an hour is an hour of counts lost.
# Seen with tuya-connector-python 0.1.2, websocket-client 1.9.2, pycryptodome 3.23.0, Python 3.11.7:
#   the listener could not store: message-1
#   acknowledged: message-1
# The pump's answer: nothing is acknowledged, completed or answered before it is stored with an fsync (docs/architecture.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check tuya-connector-python==0.1.2 \
  websocket-client==1.9.2 pycryptodome==3.23.0 aiohttp==3.14.5
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import base64
import json

from aiohttp import WSMsgType, web
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad
from tuya_connector import TuyaOpenPulsar

SECRET = "0123456789abcdef0123456789abcdef"


def message(name: str) -> str:
    status = json.dumps({"devId": "lot", "status": [{"code": "count", "value": 1}]}).encode()
    data = AES.new(SECRET[8:24].encode(), AES.MODE_ECB).encrypt(pad(status, 16))
    payload = json.dumps({"protocol": 4, "data": base64.b64encode(data).decode()}).encode()
    return json.dumps({"messageId": name, "payload": base64.b64encode(payload).decode()})


async def main() -> None:
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def queue(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        await link.send_str(message("message-1"))
        async for one in link:
            if one.type == WSMsgType.TEXT and not answered.done():
                answered.set_result(json.loads(one.data)["messageId"])
        return link

    app = web.Application()
    app.router.add_get("/{rest:.*}", queue)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    def store(text: str) -> None:
        print("the listener could not store: message-1", flush=True)
        raise OSError(28, "No space left on device")

    consumer = TuyaOpenPulsar("an-id", SECRET, "ws://127.0.0.1:%d/" % runner.addresses[0][1], "event")
    consumer.daemon = True
    consumer.add_message_listener(store)
    consumer.start()
    print("acknowledged:", await asyncio.wait_for(answered, 30), flush=True)


asyncio.run(main())
PYTHON
timeout 60 "$folder/env/bin/python" - >"$folder/seen" <"$folder/try.py" || true
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
