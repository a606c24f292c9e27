#!/usr/bin/env python3
"""Counts the instructions of the paths that traffic takes, and compares them with what is recorded in instructions.json.

usage: instructions.py [--update] [--program FILE] [NAME...]

Each path is gone N and 2N times under callgrind, so that what sets it up falls away; what remains is divided by N.
Functions of the simulation and lines of the benchmarks are left out; library functions (memcpy, malloc) count whoever calls
them. A path that needs more than 3 % above what is recorded fails the check, and the functions that grew are
named; one that needs less is told, so that it can be recorded (--update).

Counts are those of one compiler and C library; beside others nothing is compared, and the exit status is 0. Without
valgrind it is too, unless INTEROP_REQUIRE_PEERS is set. Needs the program (cargo build --release --package benches --bin instructions).
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RECORD = HERE / "instructions.json"
PROGRAM = HERE.parent / "target" / "release" / "instructions"
TOLERANCE = 0.03
# Who only makes the paths run: by name where nothing of the product is inlined that matters, else by place, so that what is
# inlined into a benchmark counts.
FOREIGN = re.compile(r"router_engine::sim::|instructions::main")
FOREIGN_FILE = re.compile(r"/router-engine/src/sim/|/benches/src/")
SHOWN = 8


def costs(file):
    """Instructions of each function itself, by name, from the output of callgrind."""
    names, functions = {}, collections.Counter()
    function, place, skip = "", "", False
    with open(file, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            head, separator, value = line.partition("=")
            if separator and head in ("fn", "fl", "fi", "fe", "cfn", "cfi", "cfl", "ob", "cob"):
                number, _, name = value.partition(" ")
                kind = "fn" if head.endswith("fn") else "ob" if head.endswith("ob") else "file"
                if name:
                    names[kind, number] = name
                if head == "fn":
                    function = names[kind, number]
                elif head in ("fl", "fi", "fe"):
                    place = names[kind, number]
            elif head == "calls":
                # What the called function needs follows, and is told where it stands itself.
                skip = True
            elif line[:1].isdigit() or line[:1] in "+-*":
                if skip:
                    skip = False
                elif not FOREIGN.search(function) and not FOREIGN_FILE.search(place):
                    # Costs of nothing are left out.
                    functions[function] += sum(int(cost) for cost in line.split()[1:])
    return functions


def count(program, name, factor, folder):
    file = folder / ("%s.%d" % (name, factor))
    command = ("valgrind", "--tool=callgrind", "--callgrind-out-file=%s" % file, str(program), name, str(factor))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (name, done.stderr.strip()[-2000:]))
    return costs(file)


def measure(program, paths, folder):
    """Instructions of one way along each path, by function."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {(name, factor): pool.submit(count, program, name, factor, folder)
                for name in paths for factor in (1, 2)}
        result = {}
        for name, times in paths.items():
            once, twice = (jobs[name, factor].result() for factor in (1, 2))
            result[name] = {
                function: (twice[function] - once[function]) / times for function in sorted(set(once) | set(twice))}
    return result


def environment():
    compiler = subprocess.run(("rustc", "--version"), capture_output=True, text=True).stdout.strip()
    return {"compiler": compiler, "libc": " ".join(platform.libc_ver()), "machine": platform.machine()}


def record(figures):
    paths = {name: {"total": round(sum(functions.values())), "functions": significant(functions)}
             for name, functions in figures.items()}
    RECORD.write_text(json.dumps({"environment": environment(), "paths": paths}, indent=1) + "\n")


def significant(functions):
    """Those that make up most of it, for the report of what grew."""
    total = sum(functions.values())
    return {name: round(cost) for name, cost in sorted(functions.items()) if cost > total / 200}


def compare(recorded, figures):
    """Prints a table. Returns the names of paths that need too much."""
    failed = []
    print("%-36s %12s %12s %8s" % ("path", "recorded", "now", "ratio"))
    for name, functions in figures.items():
        now, before = sum(functions.values()), recorded.get(name)
        if before is None:
            print("%-36s %12s %12.0f" % (name, "-", now))
            failed.append(name)
            continue
        ratio = now / before["total"]
        verdict = " too much" if ratio > 1 + TOLERANCE else " less" if ratio < 1 - TOLERANCE else ""
        print("%-36s %12d %12.0f %8.3f%s" % (name, before["total"], now, ratio, verdict))
        if verdict == " too much":
            failed.append(name)
            growth = {f: cost - before["functions"].get(f, 0) for f, cost in significant(functions).items()}
            for function, more in sorted(growth.items(), key=lambda item: -item[1])[:SHOWN]:
                if more > 0:
                    print("    %+8d  %s" % (more, function[:150]))
    return failed


def main():
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="record what is counted")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("note: instructions were not counted: valgrind is not installed")
        return 1 if options.update or os.environ.get("INTEROP_REQUIRE_PEERS") else 0
    recorded = {"environment": None, "paths": {}} if options.update else json.loads(RECORD.read_text())
    if not options.update and recorded["environment"] != environment():
        print("note: instructions were not compared: those recorded are of %s, here is %s" % (
            recorded["environment"], environment()))
        return 0
    listed = subprocess.run((str(options.program),), capture_output=True, text=True, check=True).stdout
    paths = {name: int(times) for name, times in (line.split() for line in listed.splitlines())}
    unknown = set(options.names) - set(paths)
    if unknown:
        parser.error("no such path: %s" % ", ".join(sorted(unknown)))
    if options.names:
        paths = {name: paths[name] for name in options.names}
    with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
        figures = measure(options.program, paths, pathlib.Path(folder))
    failed = compare(recorded["paths"], figures)
    if not options.names and not options.update:
        gone = sorted(set(recorded["paths"]) - set(paths))
        gone += [name for name, functions in figures.items() if sum(functions.values()) <= 0]
        for name in gone:
            print("%-36s is recorded, and not counted" % name)
        failed += gone
    if options.update:
        if options.names:
            parser.error("--update records all paths")
        record(figures)
        return 0
    if failed:
        print("more than %d %% above what is recorded, or not recorded: %s" % (TOLERANCE * 100, ", ".join(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
