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

from websockets.asyncio.server import serve as websocket_server
from websockets.sync.client import connect

LIMIT = 60
MAX_SIZE = 1 << 26
PATTERN = bytes(range(251))


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve(args):
    context = None
    if args.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.certificate, args.key)
    # Without the extension for compression: octets are counted.
    async with websocket_server(echo, "127.0.0.1", args.port, ssl=context, compression=None, max_size=MAX_SIZE) as server:
        await server.serve_forever()


def call(args):
    context = ssl.create_default_context(cafile=args.ca) if args.ca else None
    scheme = "wss" if args.ca else "ws"
    uri = f"{scheme}://localhost:{args.port}/chat"
    with connect(uri, ssl=context, compression=None, max_size=MAX_SIZE, open_timeout=LIMIT) as socket:
        print("open", flush=True)
        for line in sys.stdin:
            size = int(line)
            message = "x" * size if size < 1000 else (PATTERN * (size // len(PATTERN) + 1))[:size]
            socket.send(message)
            assert socket.recv(timeout=LIMIT) == message
            print("echoed", size, flush=True)
        socket.ping().wait(LIMIT)
        socket.close()
        print("closed", socket.protocol.close_code, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["serve", "call"])
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    args = parser.parse_args()
    if args.role == "serve":
        asyncio.run(serve(args))
    else:
        call(args)


if __name__ == "__main__":
    main()
