"""A WebSocket server that sends messages back, and a client that is told what to send.

    python websocket.py serve PORT [--certificate FILE --key FILE]
    python websocket.py call PORT [--ca FILE]

The client says `open`; for each line of its input, a number, it sends that many octets, as text if they are few, checks
what comes back, and says `echoed N`. At the end of its input it closes, and says `closed CODE`.
"""

import argparse
import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as websocket_server

LIMIT = 60
# Without the extension for compression, as octets are counted, and silent where nothing is to be said.
OPTIONS = {"compression": None, "ping_interval": None, "max_size": 1 << 26, "open_timeout": LIMIT}
PATTERN = bytes(range(251))


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve(args):
    context = None
    if args.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.certificate, args.key)
    async with websocket_server(echo, "127.0.0.1", args.port, ssl=context, **OPTIONS) as server:
        await server.serve_forever()


async def call(args):
    # The library's client for threads reads and writes at the same time what OpenSSL allows one at a time.
    context = ssl.create_default_context(cafile=args.ca) if args.ca else None
    scheme = "wss" if args.ca else "ws"
    uri = f"{scheme}://localhost:{args.port}/chat"
    async with connect(uri, ssl=context, **OPTIONS) as socket:
        print("open", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            size = int(line)
            message = "x" * size if size < 1000 else (PATTERN * (size // len(PATTERN) + 1))[:size]
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), LIMIT) == message
            print("echoed", size, flush=True)
        await asyncio.wait_for(await socket.ping(), LIMIT)
        await socket.close()
        print("closed", socket.close_code, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["serve", "call"])
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    args = parser.parse_args()
    asyncio.run({"serve": serve, "call": call}[args.role](args))


if __name__ == "__main__":
    main()
