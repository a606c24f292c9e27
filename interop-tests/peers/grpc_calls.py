"""A gRPC server with a method of each kind, and a client that calls them all.

Messages are plain octets: what is checked is the transport. For each call the client prints what an observer should
have seen of it: the octets of the request and of the answer, each message with its prefix of five octets.

    python grpc_calls.py serve 127.0.0.1:50051 [--certificate FILE --key FILE]
    python grpc_calls.py call localhost:50051 [--ca FILE]
"""

import queue

import grpc

import grpc_main

SERVICE = "calls.Calls"
PREFIX = 5
LIMIT = 60
SIZES = [0, 1, 1000, 70_000, 1_000_000]
CONCURRENT = 100


def message(size):
    pattern = bytes(range(251))
    return (pattern * (size // len(pattern) + 1))[:size]


# --- server

def echo(request, context):
    return request


def repeat(request, context):
    count, size = map(int, request.split())
    for _ in range(count):
        yield message(size)


def total(requests, context):
    return str(sum(map(len, requests))).encode()


def chat(requests, context):
    yield from requests


def refuse(request, context):
    context.set_trailing_metadata([("reason", "x" * 3000)])
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
}


# --- client

def framed(messages):
    return sum(PREFIX + len(each) for each in messages)


def tell(requests, answers):
    print("call", framed(requests), framed(answers))


def call(connect):
    with connect() as channel:
        single(channel)
        streams(channel)
        concurrent(channel)
        ended_early(channel)


def single(channel):
    method = channel.unary_unary(f"/{SERVICE}/Echo")
    for size in SIZES:
        request = message(size)
        assert method(request, timeout=LIMIT) == request, size
        tell([request], [request])


def streams(channel):
    request = b"50 20000"
    answers = list(channel.unary_stream(f"/{SERVICE}/Repeat")(request, timeout=LIMIT))
    assert answers == [message(20000)] * 50
    tell([request], answers)

    requests = [message(size) for size in SIZES * 3]
    answer = channel.stream_unary(f"/{SERVICE}/Total")(iter(requests), timeout=LIMIT)
    assert answer == str(sum(map(len, requests))).encode(), answer
    tell(requests, [answer])

    # Each message waits for the answer to the one before.
    heard = queue.Queue()

    def questions():
        for request in requests:
            yield request
            assert heard.get(timeout=LIMIT) == request

    for answer in channel.stream_stream(f"/{SERVICE}/Chat")(questions(), timeout=LIMIT):
        heard.put(answer)
    assert heard.empty()
    tell(requests, requests)


def concurrent(channel):
    method = channel.unary_unary(f"/{SERVICE}/Echo")
    requests = [message(size) for size in range(1, CONCURRENT + 1)]
    calls = [method.future(request, timeout=LIMIT) for request in requests]
    for request, answer in zip(requests, calls):
        assert answer.result() == request
        tell([request], [request])


def ended_early(channel):
    try:
        channel.unary_unary(f"/{SERVICE}/Refuse")(b"thing", timeout=LIMIT)
        raise AssertionError("a refused call succeeds")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert dict(error.trailing_metadata())["reason"] == "x" * 3000
    tell([b"thing"], [])

    answers = channel.unary_stream(f"/{SERVICE}/Repeat")(b"1000000 1000", timeout=LIMIT)
    assert [next(answers) for _ in range(3)] == [message(1000)] * 3
    answers.cancel()
    print("cancelled", framed([b"1000000 1000"]))
    # The connection is as good as before.
    single(channel)


if __name__ == "__main__":
    grpc_main.main(__doc__, SERVICE, METHODS, call)
