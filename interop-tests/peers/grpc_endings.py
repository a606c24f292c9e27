"""A gRPC server that tells how calls have ended at its side, and a client that ends them in every way.

    python grpc_endings.py serve 127.0.0.1:50051 [--certificate FILE --key FILE]
    python grpc_endings.py call localhost:50051 [--ca FILE]
"""

import threading

import grpc

import grpc_main

SERVICE = "endings.Endings"
LIMIT = 60
# Long enough for a call to get there, short enough to wait for.
DEADLINE = 1
DETAILS = b"\x00\xff\x80details" * 20


# --- server

class Endings:
    """The names of calls that have ended, whoever ended them."""

    def __init__(self):
        self.changed = threading.Condition()
        self.begun, self.ended = [], []

    def watch(self, name, context):
        over = threading.Event()

        def end():
            over.set()
            self.add(self.ended, name)

        self.add(self.begun, name)
        if not context.add_callback(end):
            end()
        return over

    def add(self, names, name):
        with self.changed:
            names.append(name)
            self.changed.notify_all()

    def greet(self, request, context):
        context.set_trailing_metadata([("greeted", request[:100].decode()), ("details-bin", DETAILS)])
        return b"Hello, " + request

    def wait(self, request, context):
        self.watch(request.decode(), context).wait(LIMIT)
        return b"too late"

    def trickle(self, request, context):
        over = self.watch(request.decode(), context)
        yield b"first"
        over.wait(LIMIT)

    def listen(self, requests, context):
        name = next(requests).decode()
        self.watch(name, context)
        for _ in requests:
            pass
        return b"all heard"

    def chat(self, requests, context):
        name = next(requests)
        over = self.watch(name.decode(), context)
        yield name
        over.wait(LIMIT)

    def fail(self, request, context):
        for number in range(int(request)):
            yield b"message %d" % number
        context.set_trailing_metadata([("reason", "enough"), ("details-bin", DETAILS)])
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "100 % is enough: \u00e4\u6f22")

    def refuse(self, request, context):
        context.set_trailing_metadata([("reason", "never")])
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")

    def told(self, names, request):
        """Waits until a call of that name is among them."""
        with self.changed:
            return b"yes" if self.changed.wait_for(lambda: request.decode() in names, LIMIT / 2) else b"no"


ENDINGS = Endings()
METHODS = {
    "Greet": grpc.unary_unary_rpc_method_handler(ENDINGS.greet),
    "Wait": grpc.unary_unary_rpc_method_handler(ENDINGS.wait),
    "Trickle": grpc.unary_stream_rpc_method_handler(ENDINGS.trickle),
    "Listen": grpc.stream_unary_rpc_method_handler(ENDINGS.listen),
    "Chat": grpc.stream_stream_rpc_method_handler(ENDINGS.chat),
    "Fail": grpc.unary_stream_rpc_method_handler(ENDINGS.fail),
    "Refuse": grpc.unary_unary_rpc_method_handler(ENDINGS.refuse),
    "Begun": grpc.unary_unary_rpc_method_handler(lambda request, _: ENDINGS.told(ENDINGS.begun, request)),
    "Ended": grpc.unary_unary_rpc_method_handler(lambda request, _: ENDINGS.told(ENDINGS.ended, request)),
}


# --- client

class Client:
    def __init__(self, channel):
        self.channel = channel

    def unary(self, name, request, timeout=LIMIT):
        return self.channel.unary_unary(f"/{SERVICE}/{name}")(request, timeout=timeout)

    def expect_ended(self, name):
        assert self.unary("Ended", name) == b"yes", f"the server has not seen the end of {name}"

    def expect_begun(self, name):
        assert self.unary("Begun", name) == b"yes", f"the server has not seen {name}"

    def greeted(self):
        method = self.channel.unary_unary(f"/{SERVICE}/Greet")
        answer, call = method.with_call(b"you", timeout=LIMIT, metadata=[("x-long", "y" * 4000), ("x-bin", DETAILS)])
        trailers = dict(call.trailing_metadata())
        assert answer == b"Hello, you" and call.code() == grpc.StatusCode.OK, call
        assert trailers["greeted"] == "you" and trailers["details-bin"] == DETAILS, trailers
        answer = method(b"z" * 100_000, timeout=LIMIT, compression=grpc.Compression.Gzip)
        assert len(answer) == 100_007

    def deadlines(self):
        for name in ("Wait", "Trickle"):
            mark = f"deadline-{name}".encode()
            try:
                if name == "Wait":
                    self.unary("Wait", mark, DEADLINE)
                else:
                    list(self.channel.unary_stream(f"/{SERVICE}/Trickle")(mark, timeout=DEADLINE))
                raise AssertionError("it does not end")
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
            self.expect_ended(mark)

    def cancelled(self):
        call = self.channel.unary_unary(f"/{SERVICE}/Wait").future(b"cancelled-wait", timeout=LIMIT)
        self.expect_begun(b"cancelled-wait")
        call.cancel()
        self.expect_ended(b"cancelled-wait")

        answers = self.channel.unary_stream(f"/{SERVICE}/Trickle")(b"cancelled-trickle", timeout=LIMIT)
        assert next(answers) == b"first"
        answers.cancel()
        self.expect_ended(b"cancelled-trickle")

        over = threading.Event()

        def requests(name):
            yield name
            over.wait(LIMIT)

        call = self.channel.stream_unary(f"/{SERVICE}/Listen").future(requests(b"cancelled-listen"), timeout=LIMIT)
        self.expect_begun(b"cancelled-listen")
        call.cancel()
        self.expect_ended(b"cancelled-listen")
        answers = self.channel.stream_stream(f"/{SERVICE}/Chat")(requests(b"cancelled-chat"), timeout=LIMIT)
        assert next(answers) == b"cancelled-chat"
        answers.cancel()
        self.expect_ended(b"cancelled-chat")
        over.set()

    def failed(self):
        for count in (0, 1, 3, 1000):
            seen = []
            try:
                for answer in self.channel.unary_stream(f"/{SERVICE}/Fail")(str(count).encode(), timeout=LIMIT):
                    seen.append(answer)
                raise AssertionError("it does not fail")
            except grpc.RpcError as error:
                assert seen == [b"message %d" % number for number in range(count)], len(seen)
                assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
                assert error.details() == "100 % is enough: \u00e4\u6f22", error.details()
                trailers = dict(error.trailing_metadata())
                assert trailers["reason"] == "enough" and trailers["details-bin"] == DETAILS, trailers
        try:
            self.unary("Refuse", b"me")
            raise AssertionError("it is not refused")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.PERMISSION_DENIED and error.details() == "not you", error
            assert dict(error.trailing_metadata())["reason"] == "never"
        try:
            self.unary("Nothing", b"")
            raise AssertionError("there is such a method")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def call(connect):
    with connect() as channel:
        client = Client(channel)
        client.greeted()
        client.deadlines()
        client.cancelled()
        client.failed()
        # The connection is as good as before.
        client.greeted()
        # A client that goes away with a call under way.
        with connect() as other:
            # It would be cancelled if nobody held it.
            pending = other.unary_unary(f"/{SERVICE}/Wait").future(b"closed", timeout=LIMIT)
            client.expect_begun(b"closed")
            assert not pending.done()
        client.expect_ended(b"closed")
    print("all calls have ended as they should")


if __name__ == "__main__":
    grpc_main.main(__doc__, SERVICE, METHODS, call)
