#!/usr/bin/env python3
"""Measures HTTP services of routers beside proxies, in one run, on loopback.

usage: http_services.py [--seconds N] [--repeat N] [--scenario NAME,...] [--service http,tcp] [--json FILE]
                        NAME=SKROUTERD[,ARGUMENT...] ... [haproxy] [nginx] [nghttpx] [direct]

Each router is measured twice: with httpListener and httpConnector (the row NAME/http), and with tcpListener and
tcpConnector (NAME/tcp). A proxy that is not installed is left out; `direct` is the load without anything between.
The rows take turns; what is printed are medians, and their ratios to the first row: a table for each scenario, and
one of all at the end. CPU is utime and stime of all routers or proxies of the row. Latency is that of each request,
as h2load logs it.

Each run has as many requests as take the given time, by the rate of its warm-up. Anything but an answer 2xx of the
right length to each of them is a failure of the run. Failed runs are no part of the medians, and make the exit
status 1. Needs h2load (nghttp2-client), nginx and openssl.

example: http_services.py --repeat 5 --json out.json ours=target/release/skrouterd haproxy nginx nghttpx
"""

import argparse
import bisect
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from measure import (HOST, PATIENCE, Failure, Ports, Process, add_ratios, find_program, handle_signals, last_words, names,
                     positive, print_summary, report_head, summarise, take_turns, warn)

PROXIES = ("haproxy", "nginx", "nghttpx")
SMALL, SMALL_PATH = b"hello world\n", "/"
LARGE, LARGE_PATH = 100 * 1000, "/large"
# Processors of the machine are shared with load and server, so no proxy gets more threads than this.
THREADS = 2
WARM_UP = 1
# Seconds without an octet after which a connection counts as failed.
STALL = 10
TICK = os.sysconf("SC_CLK_TCK")


class Scenario(NamedTuple):
    """What is asked for, and through how many hops; between two hops there is mutual TLS."""

    hops: int
    h2: bool
    clients: int
    streams: int
    path: str = SMALL_PATH

    @property
    def body(self):
        return LARGE if self.path == LARGE_PATH else len(SMALL)

    @property
    def in_flight(self):
        return self.clients * self.streams

    def describe(self):
        protocol = "HTTP/2" if self.h2 else "HTTP/1.1"
        text = "%s, %d connection(s), %d request(s) at a time on each, %d octets of body, " % (
            protocol, self.clients, self.streams, self.body)
        return text + ("one hop" if self.hops == 1 else "two hops with mutual TLS between them")


SCENARIOS = {
    "h1": Scenario(hops=1, h2=False, clients=32, streams=1),
    "h1-2tls": Scenario(hops=2, h2=False, clients=32, streams=1),
    "h1-2tls-c1": Scenario(hops=2, h2=False, clients=1, streams=1),
    "h2-2tls": Scenario(hops=2, h2=True, clients=4, streams=16),
    "h2-2tls-c1m32": Scenario(hops=2, h2=True, clients=1, streams=32),
    "h1-100k": Scenario(hops=2, h2=False, clients=16, streams=1, path=LARGE_PATH),
}


class Row(NamedTuple):
    """One line of a table: a router with one kind of service, a proxy, or nothing between."""

    name: str
    kind: str
    command: tuple = ()
    service: str = ""


def processes_of(groups):
    """CPU seconds of each process of these groups."""
    seconds = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) in groups:
            seconds[stat.parent.name] = (int(fields[11]) + int(fields[12])) / TICK
    return seconds


class Workplace:
    """The folder of one invocation: certificates, and a folder for each chain."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.ports = Ports()
        # Workers of nginx are of another user, and read the large file.
        self.directory.chmod(0o755)
        self._count = 0
        self._make_certificates()

    def folder(self):
        self._count += 1
        folder = self.directory / str(self._count)
        folder.mkdir()
        return folder

    def file(self, name):
        return str(self.directory / name)

    def _make_certificates(self):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self._openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=http-services-ca", "-keyout", "ca.key",
                      "-out", "ca.crt")
        self._openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "tls.key", "-out", "tls.csr")
        (self.directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "2", "-extfile", "names", "-out", "tls.crt")
        both = (self.directory / "tls.crt").read_text() + (self.directory / "tls.key").read_text()
        (self.directory / "both.pem").write_text(both)

    def _openssl(self, *arguments):
        done = subprocess.run(("openssl",) + arguments, cwd=self.directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure("openssl %s: %s" % (arguments[0], done.stderr.strip()))


# nginx, as server and as proxy

def start_nginx(name, folder, workers, http):
    """`http` is what makes this nginx a server or a proxy."""
    temporary = "".join(
        "  %s_temp_path %s/%s-%s;\n" % (kind, folder, name, kind)
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = folder / (name + ".conf")
    path.write_text("""daemon off;
worker_processes %d;
pid %s/%s.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
%s%s}
""" % (workers, folder, name, temporary, http))
    return Process(name, ("nginx", "-e", "stderr", "-c", str(path)), folder)


def start_server(workplace, folder):
    """The server behind all rows. Returns it with its ports for HTTP/1.1 and HTTP/2."""
    ports = workplace.ports.take(), workplace.ports.take()
    root = folder / "root"
    root.mkdir()
    (root / LARGE_PATH.lstrip("/")).write_bytes(b"x" * LARGE)
    server = start_nginx("server", folder, 1, """  sendfile on;
  open_file_cache max=16;
  server {
    listen %s:%d backlog=4096;
    listen %s:%d http2 backlog=4096;
    root %s;
    location = %s { return 200 "%s"; }
  }
""" % (HOST, ports[0], HOST, ports[1], root, SMALL_PATH, SMALL.decode().replace("\n", "\\n")))
    return server, ports


def nginx_chain(workplace, folder, scenario, servers, entry):
    """Its requests to servers are HTTP/1.1, so with HTTP/2 only the client's side is that."""
    files = {"ca": workplace.file("ca.crt"), "crt": workplace.file("tls.crt"), "key": workplace.file("tls.key")}
    ports = [entry] + [workplace.ports.take() for _ in range(scenario.hops - 1)] + [servers[0]]
    for hop in reversed(range(scenario.hops)):
        first, last = hop == 0, hop == scenario.hops - 1
        listen = "http2" if first and scenario.h2 else "" if first else "ssl"
        inner = "" if first else """    ssl_certificate %(crt)s;
    ssl_certificate_key %(key)s;
    ssl_client_certificate %(ca)s;
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
""" % files
        outer = "" if last else """      proxy_ssl_certificate %(crt)s;
      proxy_ssl_certificate_key %(key)s;
      proxy_ssl_trusted_certificate %(ca)s;
      proxy_ssl_verify on;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_name localhost;
""" % files
        # Buffers that hold the large body, so that none of it goes by way of a file.
        process = start_nginx("nginx%d" % hop, folder, THREADS, """  upstream next {
    server %s:%d;
    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }
  server {
    listen %s:%d %s backlog=4096;
%s    location / {
      proxy_pass %s://next;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffer_size 16k;
      proxy_buffers 8 16k;
      proxy_max_temp_file_size 0;
%s    }
  }
""" % (HOST, ports[hop + 1], HOST, ports[hop], listen, inner, "http" if last else "https", outer))
        yield process
        process.await_port(ports[hop])


# The other proxies, and routers

def haproxy_chain(workplace, folder, scenario, servers, entry):
    ports = [entry] + [workplace.ports.take() for _ in range(scenario.hops - 1)] + [servers[scenario.h2]]
    tls = " ssl crt %s ca-file %s verify required%s" % (
        workplace.file("both.pem"), workplace.file("ca.crt"), " alpn h2" if scenario.h2 else "")
    clear = " proto h2" if scenario.h2 else ""
    for hop in reversed(range(scenario.hops)):
        name = "haproxy%d" % hop
        path = folder / (name + ".cfg")
        path.write_text("""global
  maxconn 4000
  nbthread %d
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen service
  bind %s:%d%s
  server next %s:%d%s
""" % (THREADS, HOST, ports[hop], clear if hop == 0 else tls,
            HOST, ports[hop + 1], clear if hop == scenario.hops - 1 else tls))
        process = Process(name, ("haproxy", "-db", "-f", str(path)), folder)
        yield process
        process.await_port(ports[hop])


def nghttpx_chain(workplace, folder, scenario, servers, entry):
    ports = [entry] + [workplace.ports.take() for _ in range(scenario.hops - 1)] + [servers[scenario.h2]]
    protocol = "h2" if scenario.h2 else "http/1.1"
    for hop in reversed(range(scenario.hops)):
        first, last = hop == 0, hop == scenario.hops - 1
        name = "nghttpx%d" % hop
        configuration = folder / (name + ".conf")
        configuration.write_text("")
        command = ["nghttpx", "--conf=%s" % configuration, "--workers=%d" % THREADS, "--log-level=WARN",
                   "--accesslog-file=/dev/null", "--errorlog-file=/dev/stderr", "--no-ocsp",
                   # What the others choose by themselves.
                   "--tls13-ciphers=TLS_AES_256_GCM_SHA384", "--tls13-client-ciphers=TLS_AES_256_GCM_SHA384",
                   "--frontend=%s,%d%s" % (HOST, ports[hop], ";no-tls" if first else ""),
                   "--backend=%s,%d;;proto=%s%s" % (HOST, ports[hop + 1], protocol, ";tls;sni=localhost" * (not last))]
        if not last:
            command += ["--cacert=%s" % workplace.file("ca.crt"), "--client-cert-file=%s" % workplace.file("tls.crt"),
                        "--client-private-key-file=%s" % workplace.file("tls.key")]
        if not first:
            command += ["--verify-client", "--verify-client-cacert=%s" % workplace.file("ca.crt"),
                        workplace.file("tls.key"), workplace.file("tls.crt")]
        process = Process(name, command, folder)
        yield process
        process.await_port(ports[hop])


def router_chain(workplace, folder, scenario, servers, entry, row):
    """The listener is at the first router, the connector at the last."""
    link = workplace.ports.take()
    version = "  protocolVersion: HTTP%d\n" % (2 if scenario.h2 else 1) if row.service == "http" else ""
    place = "  host: " + HOST + "\n  port: %d\n"
    for hop in range(scenario.hops):
        name = "R%d" % hop
        text = "router {\n  mode: interior\n  id: %s\n}\nlog {\n  module: DEFAULT\n  enable: warning+\n}\n" % name
        if scenario.hops > 1:
            text += "sslProfile {\n  name: mesh\n  caCertFile: %s\n  certFile: %s\n  privateKeyFile: %s\n}\n" % (
                workplace.file("ca.crt"), workplace.file("tls.crt"), workplace.file("tls.key"))
            mesh = "  role: inter-router\n  sslProfile: mesh\n  saslMechanisms: EXTERNAL\n" + place % link
            if hop == 0:
                text += "listener {\n%s  authenticatePeer: yes\n  requireSsl: yes\n}\n" % mesh
            else:
                # The C router compares names only, and the host is an address.
                text += "connector {\n%s  verifyHostname: no\n}\n" % mesh
        if hop == 0:
            text += "%sListener {\n  name: in\n  address: service\n%s%s}\n" % (row.service, place % entry, version)
        if hop == scenario.hops - 1:
            text += "%sConnector {\n  name: out\n  address: service\n%s%s}\n" % (
                row.service, place % servers[scenario.h2], version)
        path = folder / (name + ".conf")
        path.write_text(text)
        process = Process(name, row.command + ("-c", str(path)), folder)
        yield process
        if hop < scenario.hops - 1:
            process.await_port(link)


CHAINS = {"haproxy": haproxy_chain, "nginx": nginx_chain, "nghttpx": nghttpx_chain}


def start_chain(workplace, folder, scenario, servers, row):
    """Yields the processes between client and server as they are started, and the port for clients at the end.

    Nothing is started before what it connects to listens, as some wait long after they have failed once.
    """
    if row.kind == "direct":
        yield servers[scenario.h2]
        return
    entry = workplace.ports.take()
    if row.kind == "router":
        yield from router_chain(workplace, folder, scenario, servers, entry, row)
    else:
        yield from CHAINS[row.kind](workplace, folder, scenario, servers, entry)
    yield entry


# Load

def h2load(scenario, port, amount, log=None, patience=PATIENCE):
    """Runs the load and returns what it printed. `amount` is the option that limits it."""
    command = ["h2load", "--threads=1", "--clients=%d" % scenario.clients,
               "--max-concurrent-streams=%d" % scenario.streams]
    command += ["--h1"] if not scenario.h2 else []
    command += ["--log-file=%s" % log] if log else []
    command += amount + ["http://%s:%d%s" % (HOST, port, scenario.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        raise Failure("h2load has not ended after %.0f s" % patience) from None
    if done.returncode != 0:
        raise Failure("h2load ended with status %d: %s" % (done.returncode, done.stderr.strip()[-200:]))
    return done.stdout


def counts(pattern, text):
    found = re.search(pattern, text, re.M)
    if found is None:
        raise Failure("h2load printed something unknown: " + text.strip()[-200:])
    return [int(n) for n in found.groups()]


def read_log(path):
    """Start and end in us of requests that got an answer 2xx, and the number of those that got another one."""
    requests, others = [], 0
    with open(path, encoding="ascii") as lines:
        for line in lines:
            start, status, length = line.split("\t")[:3]
            if len(status) == 3 and status[0] == "2":
                requests.append((int(start), int(start) + int(length)))
            else:
                others += 1
    return requests, others


def apply_load(scenario, port, total, log, patience):
    """Sends so many requests, and returns start and end of each.

    With a time limit, h2load would not tell of lost connections and missing answers.
    """
    amount = ["--requests=%d" % total, "--connection-inactivity-timeout=%d" % STALL]
    text = h2load(scenario, port, amount, log, patience)
    requests, others = read_log(log)
    os.unlink(log)
    succeeded, failed, timed_out = counts(
        r"^requests: .* (\d+) succeeded, (\d+) failed, \d+ errored, (\d+) timeout$", text)
    data, = counts(r"^traffic: .* \((\d+)\) data$", text)
    reasons = {
        "failed": failed, "connections that timed out": timed_out, "answers other than 2xx": others,
        "no answer": total - succeeded, "no time": max(0, succeeded - others - len(requests)),
        "octets of body too few": total * scenario.body - data, "octets of body too many": data - total * scenario.body,
    }
    why = ", ".join("%s: %d" % each for each in reasons.items() if each[1] > 0)
    if why:
        raise Failure(why, max(1, total - len(requests)))
    return requests


def warm_up(scenario, port, log):
    """Longer and longer loads, until one lasts long enough to tell the rate, which is returned.

    No request is cut off, as it would be by a time limit, so nothing is left of them when it is measured.
    """
    total = 10 * scenario.in_flight
    while True:
        requests = apply_load(scenario, port, total, log, PATIENCE)
        seconds = (max(end for _, end in requests) - min(start for start, _ in requests)) / 1e6
        if seconds > WARM_UP / 2:
            return total / seconds
        growth = min(10, WARM_UP / max(seconds, 0.001))
        total = round(total * growth / scenario.in_flight) * scenario.in_flight


def figures(scenario, requests, cpu):
    """Rate and latency while all connections had requests left: a quick one is done with its share before others."""
    starts = sorted(start for start, _ in requests)
    ends = sorted(end for _, end in requests)
    index = len(starts) - 1
    while index >= 0 and index + 1 - bisect.bisect_right(ends, starts[index]) < scenario.in_flight:
        index -= 1
    if index <= 0:
        raise Failure("the load was never as high as it should be")
    last = starts[index]
    times = sorted(end - start for start, end in requests if end <= last)
    if not times:
        raise Failure("the load was not as high as it should be for long enough")
    seconds = (last - starts[0]) / 1e6
    return {
        "failures": 0,
        "requests": len(requests),
        "seconds": seconds,
        "requests_per_second": len(times) / seconds,
        "cpu_us_per_request": cpu * 1e6 / len(requests) if cpu is not None else None,
        "p50_ms": percentile(times, 0.50) / 1000,
        "p99_ms": percentile(times, 0.99) / 1000,
    }


def await_answer(scenario, port, processes):
    """One request after the other, until one is answered by the server itself."""
    end = time.monotonic() + PATIENCE
    probe = scenario._replace(clients=1, streams=1)
    while True:
        for process in processes:
            process.check()
        text = h2load(probe, port, ["--requests=1", "--connection-inactivity-timeout=5"])
        if re.search(r"^status codes: 1 2xx", text, re.M):
            return
        if time.monotonic() > end:
            raise Failure("no answer within %.0f s; %s" % (PATIENCE, last_words(processes)))
        time.sleep(0.05)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(workplace, scenario, row, seconds):
    """Starts server and chain, and returns the figures of one run."""
    folder = workplace.folder()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server, servers = start_server(workplace, folder)
        stack.callback(server.stop)
        for port in servers:
            server.await_port(port)
        chain, port = [], None
        for item in start_chain(workplace, folder, scenario, servers, row):
            if isinstance(item, Process):
                stack.callback(item.stop)
                chain.append(item)
            else:
                port = item
        await_answer(scenario, port, chain + [server])
        groups = {process.group for process in chain}
        try:
            rate = warm_up(scenario, port, folder / "log")
            total = max(2, round(rate * seconds / scenario.in_flight)) * scenario.in_flight
            before = processes_of(groups)
            requests = apply_load(scenario, port, total, folder / "log", 10 * seconds + PATIENCE)
            after = processes_of(groups)
        except Failure as failure:
            raise Failure("%s; %s" % (failure, last_words(chain + [server])), failure.count) from None
        for process in chain + [server]:
            process.check()
        if before.keys() != after.keys():
            raise Failure("a process was replaced meanwhile; " + last_words(chain))
        return figures(scenario, requests, sum(after[p] - before[p] for p in after) if chain else None)


# Tables

FIGURES = {
    "requests_per_second": ("requests/s", "{:,.0f}"),
    "cpu_us_per_request": ("CPU us/request", "{:.1f}"),
    "p50_ms": ("p50 ms", "{:.3f}"),
    "p99_ms": ("p99 ms", "{:.3f}"),
}


def print_table(name, scenario, results):
    print("\n### `%s`\n\n%s%s\n" % (name, scenario.describe()[0], scenario.describe()[1:]))
    print("| | " + " | ".join("%s | ratio" % label for label, _ in FIGURES.values()) + " | failures |")
    print("|---|" + "---:|" * (2 * len(FIGURES) + 1))
    for row, result in results.items():
        cells = []
        for figure, (_, form) in FIGURES.items():
            value, ratio = result[figure], result["ratios"][figure]
            cells += ["-" if value is None else form.format(value), "-" if ratio is None else "%.2f" % ratio]
        print("| %s | %s | %d |" % (row, " | ".join(cells), result["failures"]))
    if scenario.h2 and "nginx" in results:
        print("\nnginx speaks HTTP/2 with the client only: HTTP/1.1 between the proxies, and to the server.")
    sys.stdout.flush()


def run_scenario(workplace, name, rows, options):
    """Returns the result of each row."""
    scenario = SCENARIOS[name]
    runs = take_turns(name, rows, options.repeat, lambda row: measure(workplace, scenario, row, options.seconds))
    results = {row: dict(summarise(of_row, FIGURES), runs=of_row) for row, of_row in runs.items()}
    for result in results.values():
        add_ratios(result, results[rows[0].name], FIGURES)
    return results


# The command line

def parse_arguments():
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=positive, default=4, help="of load for each figure")
    parser.add_argument("--repeat", type=positive, default=3, help="how often the rows take turns")
    parser.add_argument("--scenario", type=names(tuple(SCENARIOS)), default=list(SCENARIOS), metavar="NAME,...",
                        help=", ".join(SCENARIOS))
    parser.add_argument("--service", type=names(("http", "tcp")), default=["http", "tcp"], metavar="KIND,...",
                        help="kinds of services of routers: http, tcp")
    parser.add_argument("--json", metavar="FILE", help="write the figures of all runs")
    parser.add_argument("subjects", nargs="+", metavar="SUBJECT",
                        help="NAME=SKROUTERD[,ARGUMENT...], direct, " + ", ".join(PROXIES))
    options = parser.parse_args()
    try:
        options.rows, options.skipped = find_rows(options)
    except ValueError as error:
        parser.error(str(error))
    return options


def find_rows(options):
    """The rows of the tables, and the proxies that are not installed."""
    rows, skipped = [], []
    for subject in options.subjects:
        name, separator, command = subject.partition("=")
        if separator:
            program = find_program(name, command)
            rows += [Row("%s/%s" % (name, kind), "router", program, kind) for kind in options.service]
        elif subject == "direct":
            rows.append(Row(subject, subject))
        elif subject not in PROXIES:
            raise ValueError("%r is neither NAME=SKROUTERD nor one of %s, direct" % (subject, ", ".join(PROXIES)))
        elif shutil.which(subject) is None:
            skipped.append(subject)
        else:
            rows.append(Row(subject, subject))
    if len({row.name for row in rows}) < len(rows):
        raise ValueError("a name is given twice")
    if not rows:
        raise ValueError("nothing of that is installed")
    return rows, skipped


def version_of(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return ((done.stdout or done.stderr).strip().splitlines() or ["?"])[0]


def versions(rows):
    options = {"haproxy": "-v", "nginx": "-v", "nghttpx": "--version"}
    return {row.kind: version_of((row.kind, options[row.kind])) for row in rows if row.kind in options}


def main():
    options = parse_arguments()
    for tool in ("h2load", "nginx", "openssl"):
        if shutil.which(tool) is None:
            warn("%s is needed, and not installed" % tool)
            return 2
    for name in options.skipped:
        warn("%s is not installed, left out" % name)
    handle_signals()
    report = report_head(options)
    report.update({"versions": versions(options.rows), "skipped": options.skipped, "scenarios": {}})
    failures = 0
    with tempfile.TemporaryDirectory(prefix="http-services-") as directory:
        workplace = Workplace(directory)
        for name in options.scenario:
            results = run_scenario(workplace, name, options.rows, options)
            print_table(name, SCENARIOS[name], results)
            failures += sum(result["failures"] for result in results.values())
            report["scenarios"][name] = results
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    if len(options.scenario) > 1:
        print_summary(report["scenarios"], FIGURES)
    if failures:
        warn("%d failure(s)" % failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
