#!/usr/bin/env python3
"""Measures routers with messages between AMQP clients, several binaries in one run, on loopback.

usage: amqp_load.py [--routers 1,2,3] [--pairs 1,8,64] [--multicast 1,10,100] [--size 0,100,4096,65536]
                    [--settled no,yes] [--rate N,...] [--seconds N] [--warm-up N] [--repeat N] [--json FILE]
                    [--load AMQP_LOAD] NAME=SKROUTERD[,ARGUMENT...] ...

Each combination of the values given is a scenario. Senders are at the first router of a line, receivers at the last,
joined by plain links. A pair is a sender and a receiver with an address of their own, each on a connection; with
--multicast there is one sender, and so many receivers get each of its messages. Messages that are not settled by their
sender are accepted on arrival by the receiver. With --rate, so many messages a second are sent at fixed times, and
latency counts from these; without, as many as the router gives credit for.

The binaries take turns, each run with routers of its own; what is printed are medians, and ratios to the first. Rates
are of messages that receivers got, so a multicast message counts for each. A run in which a message was lost, altered,
or came twice, or was not accepted, is a failure, is no part of the medians, and makes the exit status 1; that settled
messages are dropped is told and is none. The load is `amqp_load`, built by cargo build --release --package benches.

example: amqp_load.py --pairs 1,8 --size 100 --settled no,yes ours=target/release/skrouterd up=SKROUTERD,-I,PYTHON
"""

import argparse
import contextlib
import itertools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

from measure import (HOST, PATIENCE, Failure, Ports, Process, add_ratios, find_program, handle_signals, last_words,
                     positive, print_summary, report_head, summarise, take_turns, warn)

LOAD = pathlib.Path(__file__).parent.parent / "target" / "release" / "amqp_load"


class Scenario(NamedTuple):
    """What is sent, and through how many routers."""

    routers: int
    kind: str
    count: int
    size: int
    settled: bool
    rate: int

    @property
    def name(self):
        text = "%dr %s%d %d" % (self.routers, "m" if self.kind == "multicast" else "p", self.count, self.size)
        return text + (" settled" if self.settled else "") + (" %d/s" % self.rate if self.rate else "")


class Row(NamedTuple):
    """A column of the table."""

    name: str
    command: tuple


def start_routers(folder, ports, count, command):
    """Yields the routers of a line as they are started, and the ports for senders and receivers at the end."""
    clients = [ports.take() for _ in range(count)]
    link = None
    for hop in range(count):
        name = "R%d" % hop
        text = "router {\n  mode: interior\n  id: %s\n}\nlog {\n  module: DEFAULT\n  enable: warning+\n}\n" % name
        text += "address {\n  prefix: multicast\n  distribution: multicast\n}\n"
        place = "  host: " + HOST + "\n  port: %d\n  saslMechanisms: ANONYMOUS\n"
        text += "listener {\n  name: clients\n%s  authenticatePeer: no\n}\n" % (place % clients[hop])
        if link is not None:
            text += "connector {\n  name: previous\n  role: inter-router\n%s}\n" % (place % link)
        if hop < count - 1:
            link = ports.take()
            text += "listener {\n  name: next\n  role: inter-router\n%s  authenticatePeer: no\n}\n" % (place % link)
        path = folder / (name + ".conf")
        path.write_text(text)
        process = Process(name, command + ("-c", str(path)), folder)
        yield process
        process.await_port(clients[hop])
        if hop < count - 1:
            # The next one would wait long after it has failed to connect.
            process.await_port(link)
    yield clients[0], clients[-1]


def apply_load(scenario, ports, routers, options):
    """Runs the load and returns its report."""
    command = [str(options.load), "--sender", "%s:%d" % (HOST, ports[0]), "--receiver", "%s:%d" % (HOST, ports[1]),
               "--" + scenario.kind, str(scenario.count), "--size", str(scenario.size),
               "--warm-up", str(options.warm_up), "--seconds", str(options.seconds)]
    command += ["--settled"] if scenario.settled else []
    command += ["--rate", str(scenario.rate)] if scenario.rate else []
    for router in routers:
        command += ["--pid", str(router.group)]
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=3 * PATIENCE + options.warm_up + options.seconds)
    except subprocess.TimeoutExpired:
        raise Failure("the load has not ended") from None
    if done.returncode != 0:
        raise Failure("the load: %s; %s" % (done.stderr.strip()[-300:], last_words(routers)))
    return json.loads(done.stdout)


def measure(directory, ports, scenario, command, options):
    """Starts routers, and returns the figures of one run."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=directory))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        routers, clients = [], None
        for item in start_routers(folder, ports, scenario.routers, command):
            if isinstance(item, Process):
                stack.callback(item.stop)
                routers.append(item)
            else:
                clients = item
        report = apply_load(scenario, clients, routers, options)
        for router in routers:
            router.check()
        if report["faults"]:
            raise Failure(json.dumps(report["total"]), report["faults"])
    return figures(scenario, report)


def figures(scenario, report):
    latency = report["latency"] or {}
    total = report["total"]
    expected = total["received"] + total["missing"]
    return {
        "failures": 0,
        "messages_per_second": report["received_per_second"],
        "cpu_us_per_message": report["routers"]["cpu_us_per_message"],
        "switches_per_message":
            report["routers"]["waits_per_message"] + report["routers"]["preemptions_per_message"],
        "load_cpu_us_per_message": report["load"]["cpu_us_per_message"],
        "dropped_percent": 100 * total["missing"] / expected if scenario.settled and expected else None,
        **{name: latency.get(name) for name in FIGURES if name.endswith("_us")},
        "report": report,
    }


FIGURES = {
    "messages_per_second": ("messages/s", "{:,.0f}"),
    "cpu_us_per_message": ("CPU us/message", "{:.3f}"),
    "switches_per_message": ("context switches/message", "{:.4f}"),
    "load_cpu_us_per_message": ("CPU us/message of the load", "{:.3f}"),
    "dropped_percent": ("dropped, %", "{:.2f}"),
    "p50_us": ("p50 us", "{:,.0f}"),
    "p90_us": ("p90 us", "{:,.0f}"),
    "p99_us": ("p99 us", "{:,.0f}"),
    "p99_9_us": ("p99.9 us", "{:,.0f}"),
    "p99_99_us": ("p99.99 us", "{:,.0f}"),
    "max_us": ("max us", "{:,.0f}"),
}


def run_scenario(directory, ports, scenario, options):
    """Returns the result of each row."""
    rows = options.rows
    runs = take_turns(scenario.name, rows, options.repeat,
                      lambda row: measure(directory, ports, scenario, row.command, options))
    results = {row: dict(summarise(of_row, FIGURES), runs=of_row) for row, of_row in runs.items()}
    for result in results.values():
        add_ratios(result, results[rows[0].name], FIGURES)
    print_summary({scenario.name: results}, FIGURES)
    return results


def numbers(text):
    return [positive(item) for item in text.split(",")]


def sizes(text):
    return [0 if item == "0" else positive(item) for item in text.split(",")]


def answers(text):
    values = {"no": False, "yes": True}
    if not set(text.split(",")) <= values.keys():
        raise argparse.ArgumentTypeError("%r is neither no nor yes" % text)
    return [values[item] for item in text.split(",")]


def parse_arguments():
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routers", type=numbers, default=[1], metavar="N,...", help="in a line")
    parser.add_argument("--pairs", type=numbers, default=[], metavar="N,...", help="of sender and receiver; 1")
    parser.add_argument("--multicast", type=numbers, default=[], metavar="N,...", help="receivers of one sender")
    parser.add_argument("--size", type=sizes, default=[100], metavar="N,...", help="octets of body; 100")
    parser.add_argument("--settled", type=answers, default=[False], metavar="no,yes", help="by the sender; no")
    parser.add_argument("--rate", type=numbers, default=[0], metavar="N,...", help="messages a second of all senders")
    parser.add_argument("--seconds", type=positive, default=4, help="of load for each figure")
    parser.add_argument("--warm-up", type=positive, default=1, help="seconds of load before")
    parser.add_argument("--repeat", type=positive, default=3, help="how often the rows take turns")
    parser.add_argument("--json", metavar="FILE", help="write the figures of all runs")
    parser.add_argument("--load", type=pathlib.Path, default=LOAD, metavar="AMQP_LOAD", help="the load generator")
    parser.add_argument("rows", nargs="+", metavar="NAME=SKROUTERD[,ARGUMENT...]")
    options = parser.parse_args()
    try:
        options.rows = [Row(name, find_program(name, command))
                        for name, _, command in (row.partition("=") for row in options.rows)]
        if len({row.name for row in options.rows}) < len(options.rows):
            raise ValueError("a name is given twice")
        if not options.load.exists():
            raise ValueError("%s is not built" % options.load)
    except ValueError as error:
        parser.error(str(error))
    return options


def scenarios(options):
    shapes = [("pairs", count) for count in options.pairs] + [("multicast", count) for count in options.multicast]
    for routers, shape, size, settled, rate in itertools.product(
            options.routers, shapes or [("pairs", 1)], options.size, options.settled, options.rate):
        yield Scenario(routers, *shape, size, settled, rate)


def main():
    options = parse_arguments()
    handle_signals()
    report = report_head(options)
    report["scenarios"] = {}
    summary = {}
    failures = 0
    ports = Ports()
    with tempfile.TemporaryDirectory(prefix="amqp-load-") as directory:
        for scenario in scenarios(options):
            results = run_scenario(directory, ports, scenario, options)
            failures += sum(result["failures"] for result in results.values())
            summary[scenario.name] = results
            report["scenarios"][scenario.name] = dict(scenario._asdict(), results=results)
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    if len(summary) > 1:
        print_summary(summary, FIGURES)
    if failures:
        warn("%d failure(s)" % failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
