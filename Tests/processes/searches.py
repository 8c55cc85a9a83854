#!/usr/bin/env python3
"""Long and hostile searches beside ordinary work: nobody else waits for them, and nothing is answered wrong.

PAIRS=N pairs in the space (100,000 where it is not set); SECONDS=S for each measurement. The latencies are printed, not
judged: how busy the machine is decides them too.
"""
# time limit: 300 s

import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from daemon import wait_until
from suite import Suite
from twinspace_protocol import Client

HOST = "127.0.0.1"
PAIRS = int(os.environ.get("PAIRS") or 100_000)
SECONDS = float(os.environ.get("SECONDS") or 2)
BATCH = 2_000
HOSTILE = ["(a+)+$", "(a*)*b", "(a|aa)+$", "(?:a|a)*c", "(.*.*)*x", r"([a-z]+\s?)*!", "((a+)+)+$", "(a|a?)+b"]
LONG_ELEMENT = "a" * 30_000 + "0"
TICKS = os.sysconf("SC_CLK_TCK")


def connect(suite, **options):
    return Client(HOST, suite.ports["clients"], **options)


def fill(suite, count=PAIRS):
    with connect(suite) as client:
        for first in range(0, count, BATCH):
            pairs = [[[f"key{number:08}"], [f"value{number:08}"]] for number in range(first, min(first + BATCH, count))]
            expect_equal(client.put(pairs).rejected, [], "pairs given back")
        long = [[["long"], [LONG_ELEMENT]], [["also"], [LONG_ELEMENT]]]
        expect_equal(client.put(long).rejected, [], "pairs given back")


def latencies(suite, seconds):
    """One client's PUT and exact GET, one after the other."""
    times = []
    with connect(suite) as client:
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            begin = time.monotonic()
            if number % 2 == 0:
                answer = client.put([[[f"probe{number}x{end}"], ["1"]]])
            else:
                answer = client.get("key00000042", ".*")
            times.append(time.monotonic() - begin)
            expect_equal(answer.status, "ok", "status beside hostile searches")
            number += 1
    return sorted(times)


def show(what, times):
    def at(share):
        return times[min(len(times) - 1, int(share * len(times)))] * 1000

    print(f"    {what}: {len(times)} requests, p50 {at(.5):.2f} ms, p99 {at(.99):.2f} ms, longest {at(1):.2f} ms")


class Clients:
    """Clients in processes of their own, each of which asks for one thing again and again."""

    def __init__(self, suite, requests):
        self.suite = suite
        self.requests = requests
        self.times = []
        self.statuses = []
        self.problems = []

    def __enter__(self):
        context = multiprocessing.get_context("fork")
        self.ended = context.Event()
        self.pipes = []
        self.processes = []
        for request in self.requests:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=self.run, args=(theirs, *request), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)
        return self

    def __exit__(self, *_):
        self.ended.set()
        for pipe, process in zip(self.pipes, self.processes):
            if pipe.poll(60):
                times, statuses, problems = pipe.recv()
                self.times += times
                self.statuses += statuses
                self.problems += problems
            else:
                self.problems.append("a client never ended")
            process.join(10)
        self.times.sort()

    def run(self, pipe, operator, payload, statuses):
        times, seen, problems = [], [], []
        try:
            with connect(self.suite, timeout=60.0, attempt=60.0) as client:
                while not self.ended.is_set():
                    begin = time.monotonic()
                    answer = client.send(operator, payload)
                    times.append(time.monotonic() - begin)
                    seen.append(answer.status)
                    if answer.status not in statuses:
                        problems.append(f"{operator} {payload}: {answer.status}")
        except Exception as error:  # Told at the end: this process cannot fail the check by itself.
            problems.append(repr(error))
        pipe.send((times, seen, problems[:10]))


def check_hostile():
    """Hostile expressions are too costly, nothing happens by them, and others work on"""
    # The servers' own heartbeat settings: that they keep up is what is shown.
    with Suite(servers=2, heartbeat=()) as suite:
        suite.wait_redundant()
        fill(suite, 1_000)
        mark = suite.mark()
        epoch = suite.status()["epoch"]
        show("alone", latencies(suite, SECONDS))
        requests = [
            ("GET" if number % 2 else "DELETE", ["long|also", pattern], ("too-costly", "ok"))
            for number, pattern in enumerate(HOSTILE)
        ]
        with Clients(suite, requests) as hostile:
            show("beside 8 hostile clients", latencies(suite, SECONDS))
        expect(not hostile.problems, f"hostile clients: {hostile.problems[:3]}")
        for status in ("too-costly", "ok"):
            print(f"    {hostile.statuses.count(status)} times {status}")
        expect("too-costly" in hostile.statuses, "no hostile search was too costly")
        show("the hostile searches themselves", hostile.times)
        expect_equal(suite.status()["epoch"], epoch, "epoch afterwards")
        expect_equal([line.event for line in suite.alerts(since=mark)], [], "alerts")
        with connect(suite) as client:
            expect_equal(len(client.get("long|also", ".*").pairs), 2, "pairs that the hostile ones were after")


def check_scans():
    """Full scans run beside other clients' work, and show the space as it was at one moment"""
    with Suite(servers=2, heartbeat=()) as suite:
        suite.wait_redundant()
        fill(suite)
        epoch = suite.status()["epoch"]
        show("alone", latencies(suite, SECONDS))
        with Clients(suite, [("GET", [".*7.*3", ".*99"], ("ok",))] * 4) as scans:
            show("beside 4 scanning clients", latencies(suite, SECONDS))
        show("the scans themselves", scans.times)
        expect_equal(scans.problems, [], "scans that failed")
        expect_equal(suite.status()["epoch"], epoch, "epoch afterwards")


def check_delete_beside_writes():
    """A long DELETE removes exactly what matches when it takes effect, whatever is written meanwhile"""
    with Suite(servers=2) as suite:
        suite.wait_redundant()
        fill(suite)
        ended = threading.Event()
        written = {}
        problems = []

        def write():
            with connect(suite, timeout=60.0) as client:
                number = 0
                while not ended.is_set():
                    key = f"new{number:08}"
                    status = client.put([[[key], ["value7"]]]).status
                    if status != "ok":
                        problems.append(status)
                    written[key] = True
                    number += 1

        writer = threading.Thread(target=write)
        writer.start()
        removed = set()
        try:
            with connect(suite, timeout=60.0) as client:
                for _ in range(12):
                    answer = client.delete("(?:key|new).*[02468]", "value.*7|value7")
                    expect_equal(answer.status, "ok", "DELETE")
                    for key, _ in answer.pairs:
                        expect(key[0] not in removed, f"{key} was removed twice")
                        removed.add(key[0])
        finally:
            ended.set()
            writer.join(60)
        expect_equal(problems, [], "writes that failed")
        with connect(suite, timeout=60.0) as client:
            left = {key[0] for key, _ in client.get("new.*", ".*").pairs}
        expect_equal(left | (removed & set(written)), set(written), "new pairs, left and removed")
        expect_equal(left & removed, set(), "pairs both left and removed")
        active = suite.active()
        suite.kill(active)
        with connect(suite, timeout=60.0) as client:
            copy = {key[0] for key, _ in client.get("new.*", ".*").pairs}
        expect_equal(copy, left, "new pairs on the other copy")


def check_cancelled():
    """The searches of clients that have left end"""
    with Suite(servers=2) as suite:
        suite.wait_redundant()
        fill(suite, 1_000)
        pid = suite.daemons[suite.active()].process.pid
        clients = [connect(suite) for _ in range(40)]
        for client in clients:
            client.request_async("GET", ["long|also|key.*", "(a+)+$|(.*.*)*x"])
        time.sleep(0.3)
        for client in clients:
            client.close()

        def is_idle():
            before = cpu_seconds(pid)
            time.sleep(0.5)
            return cpu_seconds(pid) - before < 0.2

        wait_until(is_idle, 10, "the active server at rest")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
