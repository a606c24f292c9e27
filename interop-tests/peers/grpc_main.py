"""The command line of gRPC scripts that are a server or a client, and what both do with it.

    python SCRIPT serve 127.0.0.1:50051 [--certificate FILE --key FILE]
    python SCRIPT call localhost:50051 [--ca FILE]
"""

import argparse
from concurrent import futures

import grpc


def serve(args, service, methods):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=30))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    if args.certificate:
        files = [open(name, "rb").read() for name in (args.key, args.certificate)]
        server.add_secure_port(args.address, grpc.ssl_server_credentials([tuple(files)]))
    else:
        server.add_insecure_port(args.address)
    server.start()
    server.wait_for_termination()


def connect(args):
    if args.ca:
        credentials = grpc.ssl_channel_credentials(open(args.ca, "rb").read())
        return grpc.secure_channel(args.address, credentials)
    return grpc.insecure_channel(args.address)


def main(description, service, methods, call):
    """Serves the methods, or has `call` call them, which gets what makes a channel."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("role", choices=["serve", "call"])
    parser.add_argument("address")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    args = parser.parse_args()
    if args.role == "serve":
        serve(args, service, methods)
    else:
        call(lambda: connect(args))
