"""Load: clients in processes of their own that keep requests in flight, and check every answer.

Each client works on keys that nobody else touches, with at most one request in flight for a key, so the right answer to
every request is known: a lost write, a write that took effect twice and an invented pair all show at once. A lost
connection is dialled again, and what was not answered is sent again with the same session and sequence.

As a program (what `Load` starts): load.py --proxy HOST:PORT --name NAME --depth N --rate N --times FILE --report FILE
It runs until its standard input closes, then lets the requests in flight come to their end, and writes its report.
"""

import argparse
import array
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import twinspace_protocol as wire

# A request without an answer for so long counts as an error that the client saw.
ANSWER_SECONDS = 30.0
DIAL_PAUSE_SECONDS = 0.02
FLUSH_SECONDS = 0.05
READ_BYTES = 262_144


class Violation(Exception):
    """An answer that the service must never give."""


# What one key lives through. `life` yields (operator, payload) and is sent the answer.

def _want(answer, pairs, reasons, what):
    if answer.status != "ok":
        raise Violation(f"{what}: {answer.status}: {answer.message}")
    if answer.given_back != pairs or answer.reasons != reasons:
        raise Violation(f"{what}: answered {answer.given_back} {answer.reasons}, not {pairs} {reasons}")


def life(key, space, dice):
    """One key from its birth on; `space` is the client's model, which keeps what stays."""
    first, second = [f"v{dice.randrange(10**6)}"], [f"w{dice.randrange(10**6)}", "x"]
    literal = key if dice.random() < 0.5 else ",".join(key)

    _want((yield "PUT", [[key, first]]), [], [], f"PUT {key}, a new key")
    space[tuple(key)] = first
    if dice.random() < 0.5:
        _want((yield "GET", [literal, ".*"]), [[key, first]], [], f"GET {key} after PUT")
    if dice.random() < 0.3:
        _want((yield "PUT", [[key, second]]), [[key, second]], ["exists"], f"PUT {key} again")
    _want((yield "POST", [[key, second]]), [], [], f"POST {key}")
    space[tuple(key)] = second
    if dice.random() < 0.5:
        _want((yield "GET", [literal, ".*"]), [[key, second]], [], f"GET {key} after POST")
    if dice.random() < 0.7:
        _want((yield "DELETE", [literal, ".*"]), [[key, second]], [], f"DELETE {key}")
        del space[tuple(key)]
        if dice.random() < 0.3:
            _want((yield "GET", [literal, ".*"]), [], [], f"GET {key} after DELETE")
        if dice.random() < 0.3:
            _want((yield "POST", [[key, first]]), [[key, first]], ["absent"], f"POST {key} after DELETE")


class Pipeline:
    """One session with several requests in flight."""

    def __init__(self, host, port, name, depth, rate, times_file):
        self.address = (host, port)
        self.name = name
        self.depth = depth
        self.rate = rate
        self.dice = random.Random(name)
        self.session = random.SystemRandom().getrandbits(63) | 1
        self.sequence = 0
        self.waiting = {}  # sequence: [payload, life, seconds of the first sending, parts of the answer]
        self.ready = deque()  # (life, operator, payload)
        self.keys = 0
        self.space = {}
        self.socket = None
        self.decoder = None
        self.output = bytearray()
        self.times = array.array("d")
        self.times_file = times_file
        self.last_flush = 0.0
        self.counts = {"sent": 0, "answered": 0, "reconnects": 0, "resent": 0, "longest": 0.0}
        self.errors = []
        self.violations = []

    # Connection.

    def connect(self):
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self._dial()
                return
            except (OSError, wire.ProtocolError) as error:
                if time.monotonic() > deadline:
                    raise ConnectionError(f"no proxy for {ANSWER_SECONDS} s: {error}") from None
                self.close()
                time.sleep(DIAL_PAUSE_SECONDS)

    def _dial(self):
        self.socket = socket.create_connection(self.address, 2.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = wire.FrameReader()
        self.socket.sendall(wire.hello(f"load/{self.name}").encoded())
        welcome = None
        while welcome is None:
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise ConnectionError("closed before a welcome came")
            self.decoder.feed(data)
            welcome = self.decoder.next()
        if welcome.type != "welcome":
            raise ConnectionError(f"no welcome but {welcome.type}: {welcome.payload[:200]!r}")
        self.socket.setblocking(False)
        self.output = bytearray()
        for sequence, entry in self.waiting.items():
            entry[3] = None
            self.output += self.frame(sequence, entry[0])

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def reconnect(self):
        self.close()
        self.counts["reconnects"] += 1
        self.counts["resent"] += len(self.waiting)
        self.connect()

    # Requests.

    def send(self, story, operator, payload):
        self.sequence += 1
        encoded = wire.request_payload(operator, payload)
        self.waiting[self.sequence] = [encoded, story, time.monotonic(), None]
        self.output += self.frame(self.sequence, encoded)
        self.counts["sent"] += 1

    def frame(self, sequence, payload):
        # Sequences are given out in order, so the first one that waits is the lowest.
        low_water = next(iter(self.waiting))
        return wire.Frame(
            "request", payload, session=self.session, sequence=sequence, low_water=low_water).encoded()

    def advance(self, story, answer=None):
        """Gives the answer to the key's life; its next request goes out, or waits until the rate allows it."""
        try:
            self.ready.append((story, *story.send(answer)))
        except StopIteration:
            pass
        except Violation as violation:
            self.violations.append(str(violation))

    def fill(self, allowed):
        """Sends what is ready, and begins new keys where fewer than `depth` live."""
        while len(self.waiting) < self.depth and self.counts["sent"] < allowed:
            if self.ready:
                self.send(*self.ready.popleft())
                continue
            self.keys += 1
            self.advance(life([self.name, str(self.keys)], self.space, self.dice))

    def take(self, frame):
        if frame.type != "response":
            self.errors.append(f"{frame.type} instead of a response: {frame.payload[:200]!r}")
            return
        entry = self.waiting.get(frame.sequence)
        if entry is None:
            return  # a late duplicate
        part = wire.Answer.of(frame.payload)
        if frame.flags & wire.FIRST:
            entry[3] = part
        elif entry[3] is None:
            self.errors.append("an answer without its beginning")
            return
        else:
            entry[3].extend(part)
        if frame.flags & wire.MORE:
            return
        now = time.monotonic()
        del self.waiting[frame.sequence]
        self.times.append(now)
        self.counts["answered"] += 1
        self.counts["longest"] = max(self.counts["longest"], now - entry[2])
        if entry[3].status != "ok":
            self.errors.append(f"{entry[3].status}: {entry[3].message}")
        self.advance(entry[1], entry[3])

    # The loop.

    def run(self, control):
        self.connect()
        begin = time.monotonic()
        ending = None
        while True:
            now = time.monotonic()
            if ending is None:
                self.fill(self.rate * (now - begin) + self.depth if self.rate else float("inf"))
            elif not self.waiting:
                break
            if self.waiting and now - next(iter(self.waiting.values()))[2] > ANSWER_SECONDS:
                self.errors.append(f"no answer within {ANSWER_SECONDS} s to {len(self.waiting)} requests")
                break
            if ending is None and len(self.errors) + len(self.violations) > 100:
                self.errors.append("too many errors; given up")
                break
            if now - self.last_flush > FLUSH_SECONDS:
                self.flush(now)
            try:
                if self.turn(control if ending is None else None):
                    ending = now
            except OSError:
                self.reconnect()
        self.flush(time.monotonic())
        self.close()

    def turn(self, control):
        """Moves bytes; returns True when the control pipe was closed."""
        readers = [self.socket] + ([control] if control is not None else [])
        readable, writable, _ = select.select(readers, [self.socket] if self.output else [], [], 0.01)
        if self.socket in writable:
            sent = self.socket.send(memoryview(self.output)[:READ_BYTES])
            del self.output[:sent]
        if self.socket in readable:
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise ConnectionError("closed")
            self.decoder.feed(data)
            while frame := self.decoder.next():
                self.take(frame)
        return control in readable and not os.read(control, 4096)

    def flush(self, now):
        self.last_flush = now
        self.times.tofile(self.times_file)
        self.times_file.flush()
        del self.times[:]

    def report(self):
        return {
            "name": self.name, **self.counts, "errors": self.errors, "violations": self.violations,
            "pairs": [[list(key), value] for key, value in self.space.items()],
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as many as there can be")
    parser.add_argument("--times", required=True)
    parser.add_argument("--report", required=True)
    options = parser.parse_args()
    host, port = options.proxy.rsplit(":", 1)
    with open(options.times, "wb") as times:
        pipeline = Pipeline(host, int(port), options.name, options.depth, options.rate, times)
        try:
            pipeline.run(sys.stdin.fileno())
        except ConnectionError as error:
            pipeline.errors.append(str(error))
    Path(options.report).write_text(json.dumps(pipeline.report()), encoding="utf-8")


class Load:
    """Several such clients against a suite's proxy, seen from the test.

        with Load(suite, clients=4, rate=5000) as load: ...
        reports = load.reports
    """

    def __init__(self, suite, clients=4, depth=8, rate=5000.0, label="w"):
        self.suite = suite
        self.names = [f"{label}{number}" for number in range(clients)]
        self.depth = depth
        self.rate = rate / clients
        self.processes = []
        self.reports = []

    def __enter__(self):
        for name in self.names:
            self.processes.append(subprocess.Popen(
                [sys.executable, __file__, "--proxy", self.suite.address("clients"), "--name", name,
                 "--depth", str(self.depth), "--rate", str(self.rate), "--times", str(self._file(name, "times")),
                 "--report", str(self._file(name, "json"))],
                stdin=subprocess.PIPE))
        return self

    def _file(self, name, ending):
        return self.suite.directory / f"load-{name}.{ending}"

    def __exit__(self, kind, error, traceback):
        for process in self.processes:
            process.stdin.close()
        try:
            for process in self.processes:
                process.wait(ANSWER_SECONDS + 15)
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if kind is None:
            self.reports = [json.loads(self._file(name, "json").read_text(encoding="utf-8")) for name in self.names]
        return False

    def times(self, begin=0.0, end=float("inf")):
        """When answers came, by the monotonic clock: those so far that lie in the span, in order."""
        found = []
        for name in self.names:
            path = self._file(name, "times")
            if not path.exists():
                continue
            values = array.array("d")
            whole = path.read_bytes()
            values.frombytes(whole[:len(whole) // 8 * 8])
            found += [value for value in values if begin <= value <= end]
        return sorted(found)

    def wait_flowing(self, seconds=20.0):
        """Waits until answers come to every client."""
        sizes = {name: self._size(name) for name in self.names}
        deadline = time.monotonic() + seconds
        while any(self._size(name) <= sizes[name] for name in self.names):
            if time.monotonic() > deadline:
                raise AssertionError(f"no answers to some clients for {seconds:g} s")
            dead = [process.args[5] for process in self.processes if process.poll() is not None]
            if dead:
                raise AssertionError(f"clients have ended early: {dead}")
            time.sleep(0.02)

    def _size(self, name):
        path = self._file(name, "times")
        return path.stat().st_size if path.exists() else 0

    def longest_gap(self, begin, end):
        """The longest span without any answer to anybody, in seconds, between two moments."""
        times = [begin, *self.times(begin, end), end]
        return max(later - earlier for earlier, later in zip(times, times[1:]))


if __name__ == "__main__":
    main()
