"""What the programs that measure have in common: processes that they start, turns, medians, tables."""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HOST = "127.0.0.1"
# Only bounds what fails: nothing waits this long if all is well.
PATIENCE = 30.0


class Failure(Exception):
    """A run that says nothing about speed."""

    def __init__(self, why, count=1):
        super().__init__(why)
        self.count = count


class Ports:
    """Ports below those that the kernel gives to outgoing connections, each once."""

    def __init__(self):
        self._left = list(range(20000, 32000))
        random.shuffle(self._left)

    def take(self):
        while self._left:
            port = self._left.pop()
            with socket.socket() as probe:
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
            return port
        raise Failure("no free port")


class Process:
    """A server that stays in the foreground, with its children in a process group of its own."""

    def __init__(self, name, command, directory):
        self.name = name
        self._output = directory / (name + ".out")
        with open(self._output, "wb") as output:
            self._child = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=subprocess.STDOUT, start_new_session=True)
        self.group = self._child.pid

    def check(self):
        status = self._child.poll()
        if status is not None:
            raise Failure("%s ended with status %d: %s" % (self.name, status, self.last_words()))

    def await_port(self, port):
        end = time.monotonic() + PATIENCE
        while True:
            self.check()
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                return
            if time.monotonic() > end:
                raise Failure("%s does not listen after %.0f s: %s" % (self.name, PATIENCE, self.last_words()))
            time.sleep(0.02)

    def last_words(self):
        text = self._output.read_text(errors="replace").strip()
        return " / ".join(text.splitlines()[-5:]) or "(it has printed nothing)"

    def stop(self):
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            warn("%s has not ended 10 s after SIGTERM" % self.name)
        # The group may have members that outlive its leader.
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)


def last_words(processes):
    return "; ".join("%s: %s" % (process.name, process.last_words()) for process in processes)


def take_turns(title, rows, repeat, measure):
    """Measures each row once, then again in the opposite order, and so on. Returns the runs of each row by its name."""
    runs = {row.name: [] for row in rows}
    for turn in range(repeat):
        for row in rows if turn % 2 == 0 else reversed(rows):
            try:
                run = measure(row)
            except (Failure, OSError) as error:
                run = {"failures": getattr(error, "count", 1), "why": str(error)}
            if run["failures"]:
                warn("%s, %s, turn %d: %s" % (title, row.name, turn + 1, run["why"]))
            runs[row.name].append(run)
    return runs


def summarise(runs, figures):
    """The medians of the runs without failures."""
    summary = {}
    for figure in figures:
        values = [run[figure] for run in runs if run.get(figure) is not None]
        summary[figure] = statistics.median(values) if values else None
    summary["failures"] = sum(run["failures"] for run in runs)
    return summary


def add_ratios(summary, first, figures):
    summary["ratios"] = {
        figure: summary[figure] / first[figure] if summary[figure] is not None and first[figure] else None
        for figure in figures}


def print_summary(scenarios, figures):
    """All scenarios in one table, ratios in brackets."""
    rows = list(next(iter(scenarios.values())))
    print("\n| Scenario | Figure | %s |" % " | ".join(rows))
    print("|---|---|" + "---:|" * len(rows))
    for name, results in scenarios.items():
        head = "`%s`" % name
        for figure, (label, form) in figures.items():
            if all(results[row][figure] is None for row in rows):
                continue
            cells = []
            for row in rows:
                value, ratio = results[row][figure], results[row]["ratios"][figure]
                text = "-" if value is None else form.format(value)
                cells.append(text if ratio is None or row == rows[0] else "%s (%.2f)" % (text, ratio))
            print("| %s | %s | %s |" % (head, label, " | ".join(cells)))
            head = ""
    sys.stdout.flush()


def report_head(options):
    """Tells what is going to be measured, and where. Returns the same for a report."""
    print("%d s of load, median of %d; %d processors, load before: %.2f" % (
        options.seconds, options.repeat, os.cpu_count(), os.getloadavg()[0]), flush=True)
    return {"seconds": options.seconds, "repeat": options.repeat, "processors": os.cpu_count(),
            "load_before": os.getloadavg()}


def warn(text):
    print("%s: %s" % (pathlib.Path(sys.argv[0]).stem, text), file=sys.stderr, flush=True)


def names(allowed):
    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError("%r is none of %s" % (name, ", ".join(allowed)))
        return chosen
    return parse


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError("%r is no positive number" % text)
    return int(text)


def find_program(name, command):
    """The program and its arguments in what follows NAME=, separated by commas."""
    program, *arguments = command.split(",")
    path = shutil.which(os.path.abspath(program) if "/" in program else program)
    if path is None or not name:
        raise ValueError("%r names no program" % (name + "=" + command))
    return (path, *arguments)


def end(number, _frame):
    # Once is enough: what is being cleaned up must not be cut short.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def handle_signals():
    """Lets what is started be stopped and cleaned up, however this program is ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
