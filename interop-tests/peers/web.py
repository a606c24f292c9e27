"""A server of HTTP/1.1 of Python's library, and clients: requests, http.client and plain sockets.

    python web.py serve PORT
    python web.py call PORT [--ca FILE]
"""

import argparse
import gzip
import hashlib
import http.client
import http.server
import json
import socket
import ssl
import threading
import time

LIMIT = 60
LARGE = 10 << 20
PATTERN = bytes(range(251))
THREADS = 8
REQUESTS = 25


def octets(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def digest(data):
    return hashlib.sha256(data).hexdigest()


# --- server

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One write for head and body, and no waiting for the client's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                assert self.rfile.readline() == b"\r\n"
            while self.rfile.readline() != b"\r\n":
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, data, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def chunks(self, data, size):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "Digest")
        self.end_headers()
        for at in range(0, len(data), size):
            part = data[at:at + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\nDigest: %s\r\n\r\n" % digest(data).encode())

    def do(self):
        data = self.body()
        path = self.path.partition("?")[0]
        if path.startswith("/bytes/"):
            self.answer(200, octets(int(path[7:])))
        elif path.startswith("/chunks/"):
            self.chunks(octets(int(path[8:])), 7001)
        elif path == "/gzip":
            self.answer(200, gzip.compress(octets(100_000)), [("Content-Encoding", "gzip")])
        elif path == "/redirect":
            self.answer(307, b"", [("Location", "/described?redirected")])
        elif path == "/cookies":
            self.answer(200, b"", [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")])
        elif path == "/slow":
            time.sleep(0.05)
            self.answer(200, b"slow")
        else:
            headers = [[name, value] for name, value in self.headers.items()]
            described = {"method": self.command, "path": self.path, "headers": headers, "body": digest(data)}
            self.answer(200, json.dumps(described).encode(), [("Content-Type", "application/json")])

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def serve(args):
    Server(("127.0.0.1", args.port), Handler).serve_forever()


# --- clients

def with_requests(base, ca):
    import requests

    session = requests.Session()
    # What the environment says of certificates would count more.
    session.trust_env = False
    session.verify = ca or True
    options = {"timeout": LIMIT}

    def described(method, path, **more):
        answer = session.request(method, base + path, **options, **more)
        assert answer.status_code == 200, answer
        return answer.json()

    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        seen = described(method, "/described?a=b&c=%20", headers={"X-Mark": "1 2"})
        assert seen["method"] == method and seen["path"] == "/described?a=b&c=%20", seen
        assert ["X-Mark", "1 2"] in [[name.title(), value] for name, value in seen["headers"]], seen
    large = octets(LARGE)
    assert described("POST", "/described", data=large)["body"] == digest(large)
    # Of a length that nobody knows before.
    pieces = (large[at:at + 10_007] for at in range(0, len(large), 10_007))
    assert described("PUT", "/described", data=pieces)["body"] == digest(large)
    assert described("POST", "/described", json={"a": [1, 2]})["body"] == digest(b'{"a": [1, 2]}')
    assert described("POST", "/described", files={"file": ("name", large)})["method"] == "POST"
    assert described("PUT", "/redirect", data=b"again")["body"] == digest(b"again")
    seen = described("GET", "/described", auth=("user", "password"))
    assert "Basic dXNlcjpwYXNzd29yZA==" in [value for _, value in seen["headers"]], seen
    session.get(base + "/cookies", **options)
    seen = described("GET", "/described")
    assert "a=1; b=2" in [value for _, value in seen["headers"]], seen
    for path in (f"/bytes/{LARGE}", f"/chunks/{LARGE}"):
        with session.get(base + path, stream=True, **options) as answer:
            assert b"".join(answer.iter_content(65_537)) == large, path
    assert session.get(base + "/gzip", **options).content == octets(100_000)
    answer = session.head(base + "/bytes/1000", **options)
    assert answer.headers["Content-Length"] == "1000" and not answer.content, answer.headers
    # An answer that is given up does no harm to the next.
    with session.get(f"{base}/bytes/{LARGE}", stream=True, **options) as answer:
        next(answer.iter_content(1000))
    assert session.get(base + "/bytes/3", **options).content == octets(3)


def with_threads(base, ca):
    import requests

    failures = []

    def work(number):
        try:
            with requests.Session() as session:
                session.trust_env, session.verify = False, ca or True
                for at in range(REQUESTS):
                    data = octets(number * 1000 + at)
                    answer = session.post(f"{base}/described?{number}-{at}", data=data, timeout=LIMIT).json()
                    assert answer["path"] == f"/described?{number}-{at}" and answer["body"] == digest(data), answer
        except Exception as error:  # A thread's failure has to reach the end of the test.
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def with_http_client(port, context):
    if context:
        client = http.client.HTTPSConnection("localhost", port, timeout=LIMIT, context=context)
    else:
        client = http.client.HTTPConnection("localhost", port, timeout=LIMIT)
    for _ in range(3):
        client.request("POST", "/described", body=iter([b"a", b"bc", b""]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
        assert json.loads(client.getresponse().read())["body"] == digest(b"abc")
    client.request("GET", "/chunks/100000")
    assert client.getresponse().read() == octets(100_000)
    client.close()


def with_sockets(port, context):
    """Requests that do not wait for answers, at an odd pace."""
    plain = socket.create_connection(("localhost", port), LIMIT)
    client = context.wrap_socket(plain, server_hostname="localhost") if context else plain
    count = 40
    requests = b""
    for number in range(count):
        head = b"PUT /described?%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % number
        data = octets(number)
        chunk = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        requests += head + chunk + b"0\r\n\r\n"
        requests += b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" if number % 10 == 0 else b""
    for at in range(0, len(requests), 97):
        client.sendall(requests[at:at + 97])
    answers = client.makefile("rb")
    for number in range(count):
        seen = json.loads(read_answer(answers))
        assert seen["path"] == f"/described?{number}" and seen["body"] == digest(octets(number)), seen
        if number % 10 == 0:
            assert read_answer(answers) == b"slow"
    client.close()


def read_answer(answers):
    assert answers.readline().startswith(b"HTTP/1.1 200")
    length = None
    while (line := answers.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return answers.read(length)


def call(args):
    context = ssl.create_default_context(cafile=args.ca) if args.ca else None
    base = f"{'https' if args.ca else 'http'}://localhost:{args.port}"
    with_requests(base, args.ca)
    with_threads(base, args.ca)
    with_http_client(args.port, context)
    with_sockets(args.port, context)
    print("all clients are content")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["serve", "call"])
    parser.add_argument("port", type=int)
    parser.add_argument("--ca")
    args = parser.parse_args()
    {"serve": serve, "call": call}[args.role](args)


if __name__ == "__main__":
    main()
