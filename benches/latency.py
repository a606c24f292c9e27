#!/usr/bin/env python3
"""Measures how long small requests wait beside bulk flows, through two routers or proxies with mutual TLS between them.

usage: latency.py [--seconds N] [--repeat N] [--rate N] [--scenario NAME,...] [--json FILE]
                  NAME=SKROUTERD[,ARGUMENT...] ... [haproxy] [direct]

One connection carries requests of 100 octets, sent at fixed times whatever the answers do, to a server that echoes
them; in the scenarios `upload` and `download` two other connections to the same servers are as fast as they can be, in
`idle` there are none. Load and server are `tcp_load` of this folder (cargo build --release --package benches --bin
tcp_load). Latency counts from when a request was meant to be sent; it contains what the generator was late itself,
which the row `direct` (no router or proxy) shows.
The rows take turns; what is printed are medians, with their ratios to the first row in brackets. CPU is utime and
stime of both routers or proxies.

example: latency.py --repeat 5 ours=target/release/skrouterd haproxy direct
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from http_services import THREADS, Row, Workplace, processes_of
from measure import HOST, PATIENCE, Failure, Process, add_ratios, find_program, handle_signals, last_words, names
from measure import positive, print_summary, report_head, summarise, take_turns, warn

LOAD = pathlib.Path(__file__).resolve().parent.parent / "target" / "release" / "tcp_load"
WARM_UP = 1
SCENARIOS = {
    "idle": (),
    "upload": ("--flows", "2"),
    "download": ("--flows", "2", "--download"),
}
QUANTILES = ("p50", "p90", "p99", "p99.9", "p99.99")
FIGURES = {"bulk": ("bulk MB/s", "{:,.0f}"), "cpu": ("CPU s/s", "{:.2f}")}
FIGURES.update({q: ("%s ms" % q, "{:.2f}") for q in QUANTILES})
SERVICES = ("probe", "bulk")


def router_chain(workplace, folder, server, entries, row):
    link = workplace.ports.take()
    place = "  host: " + HOST + "\n  port: %d\n"
    tls = "sslProfile {\n  name: mesh\n  caCertFile: %s\n  certFile: %s\n  privateKeyFile: %s\n}\n" % (
        workplace.file("ca.crt"), workplace.file("tls.crt"), workplace.file("tls.key"))
    mesh = "  role: inter-router\n  sslProfile: mesh\n  saslMechanisms: EXTERNAL\n" + place % link
    for hop in range(2):
        name = "R%d" % hop
        text = "router {\n  mode: interior\n  id: %s\n}\nlog {\n  module: DEFAULT\n  enable: warning+\n}\n" % name + tls
        if hop == 0:
            text += "listener {\n%s  authenticatePeer: yes\n  requireSsl: yes\n}\n" % mesh
        else:
            # The C router compares names only, and the host is an address.
            text += "connector {\n%s  verifyHostname: no\n}\n" % mesh
        for service, entry in zip(SERVICES, entries):
            kind, port = ("Listener", entry) if hop == 0 else ("Connector", server)
            text += "tcp%s {\n  name: %s\n  address: %s\n%s}\n" % (kind, service, service, place % port)
        path = folder / (name + ".conf")
        path.write_text(text)
        process = Process(name, row.command + ("-c", str(path)), folder)
        yield process
        if hop == 0:
            process.await_port(link)


def haproxy_chain(workplace, folder, server, entries, _row):
    links = [workplace.ports.take() for _ in SERVICES]
    tls = "ssl crt %s ca-file %s verify required" % (workplace.file("both.pem"), workplace.file("ca.crt"))
    for hop in (1, 0):
        text = "global\n  maxconn 4000\n  nbthread %d\ndefaults\n  mode tcp\n  timeout connect 5s\n" % THREADS
        text += "  timeout client 1h\n  timeout server 1h\n"
        for service, entry, link in zip(SERVICES, entries, links):
            ends = (entry, "", link, " " + tls) if hop == 0 else (link, " " + tls, server, "")
            text += "listen %s\n  bind %s:%d%s\n  server next %s:%d%s\n" % (
                service, HOST, ends[0], ends[1], HOST, ends[2], ends[3])
        path = folder / ("haproxy%d.cfg" % hop)
        path.write_text(text)
        process = Process("haproxy%d" % hop, ("haproxy", "-db", "-f", str(path)), folder)
        yield process
        process.await_port((links if hop else entries)[0])


def load(probe, bulk, scenario, rate, seconds, warm_up=WARM_UP):
    """Applies the load and returns what it tells."""
    command = [str(LOAD), "run", "%s:%d" % (HOST, probe), "--rate", str(rate), "--seconds", str(seconds),
               "--warm-up", str(warm_up)]
    if SCENARIOS[scenario]:
        command += ["--bulk", "%s:%d" % (HOST, bulk), *SCENARIOS[scenario]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failure("the load has not ended") from None
    if done.returncode != 0:
        raise Failure(done.stderr.strip())
    return json.loads(done.stdout)


def await_service(entries, chain):
    """Connections of clients are refused or cut before the other end of the service is known."""
    for attempt in range(200):
        for process in chain:
            process.check()
        try:
            for entry in entries:
                load(entry, None, "idle", 100, 0.05, 0)
            return
        except Failure as failure:
            if attempt == 199:
                raise Failure("%s; %s" % (failure, last_words(chain))) from None
            time.sleep(0.05)


def measure(workplace, scenario, row, options):
    folder = workplace.folder()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server_port = workplace.ports.take()
        server = Process("server", (str(LOAD), "serve", str(server_port)), folder)
        stack.callback(server.stop)
        server.await_port(server_port)
        chain, entries = [], [server_port] * len(SERVICES)
        if row.kind != "direct":
            entries = [workplace.ports.take() for _ in SERVICES]
            start = haproxy_chain if row.kind == "haproxy" else router_chain
            for process in start(workplace, folder, server_port, entries, row):
                stack.callback(process.stop)
                chain.append(process)
        await_service(entries, chain)
        groups = {process.group for process in chain}
        before = processes_of(groups)
        told = load(entries[0], entries[1], scenario, options.rate, options.seconds)
        after = processes_of(groups)
        cpu = sum(after[p] - before.get(p, 0) for p in after) / (options.seconds + WARM_UP)
        return dict(told["intended"], failures=0, bulk=told["bulk"] / 1e6, cpu=cpu, sent=told["sent"], slowest=told["slowest"])


def run_scenario(workplace, name, options):
    """Returns the result of each row."""
    rows = options.rows
    runs = take_turns(name, rows, options.repeat, lambda row: measure(workplace, name, row, options))
    results = {row: dict(summarise(of_row, FIGURES), runs=of_row) for row, of_row in runs.items()}
    for result in results.values():
        add_ratios(result, results[rows[0].name], FIGURES)
    print_summary({name: results}, FIGURES)
    return results


def parse_arguments():
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=positive, default=5, help="of load for each figure")
    parser.add_argument("--repeat", type=positive, default=3, help="how often the rows take turns")
    parser.add_argument("--rate", type=positive, default=500, help="requests a second")
    parser.add_argument("--scenario", type=names(tuple(SCENARIOS)), default=list(SCENARIOS), metavar="NAME,...",
                        help=", ".join(SCENARIOS))
    parser.add_argument("--json", metavar="FILE", help="write the figures of all runs")
    parser.add_argument("subjects", nargs="+", metavar="SUBJECT", help="NAME=SKROUTERD[,ARGUMENT...], haproxy, direct")
    options = parser.parse_args()
    try:
        options.rows = [find_row(subject) for subject in options.subjects]
        if len({row.name for row in options.rows}) < len(options.rows):
            raise ValueError("a name is given twice")
        if not LOAD.exists():
            raise ValueError("%s is not built" % LOAD)
    except ValueError as error:
        parser.error(str(error))
    return options


def find_row(subject):
    name, separator, command = subject.partition("=")
    if separator:
        return Row(name, "router", find_program(name, command))
    if subject not in ("haproxy", "direct"):
        raise ValueError("%r is neither NAME=SKROUTERD nor haproxy or direct" % subject)
    return Row(subject, subject)


def main():
    options = parse_arguments()
    handle_signals()
    report = report_head(options)
    report["scenarios"] = {}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="latency-") as directory:
        workplace = Workplace(directory)
        for name in options.scenario:
            results = run_scenario(workplace, name, options)
            failures += sum(result["failures"] for result in results.values())
            report["scenarios"][name] = results
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
