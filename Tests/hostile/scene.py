"""What every scene stands on: a suite, a bystander whose answers are all checked, and counts of what the attack did.

    @scene(item=7, seconds=3)
    def same_sequence(run):
        '''what is attempted; what must hold'''
        with run.stand(servers=2) as stand, stand.attack() as attack:
            ...
            attack.expect(answers == 2, f"{answers} answers to two updates, not 2")

A scene collects everything that did not hold, and fails with all of it at its end. In two minutes nothing is judged by
time: only by errors, writes, takeovers, answers, bytes, descriptors, lines and deaths. In an hour also by pauses.
"""

import contextlib
import json
import time
from dataclasses import dataclass

import measures
from daemon import SuiteError, wait_until
from load import Load
from measures import MIB
from operator_log import LogLine
from rude import Swarm
from suite import Suite
from twinspace_protocol import Client

HOST = "127.0.0.1"
# Longer than what is usual, for two minutes on a machine that others keep busy: every takeover counts there.
CALM_HEARTBEAT = ("--heartbeat-interval", "40ms", "--heartbeat-misses", "10")
# Words of a change of roles, or of a lost copy: where a scene kills nothing there is none.
TROUBLE = ("active-lost", "passive-lost", "takeover", "not-redundant", "no-active", "deposed", "stepping-aside",
           "divergence", "copy-lost", "copy-suspect", "switchover", "switch-record-lost", "corruption")
SERVER_BYTES = 256 * MIB
PROXY_BYTES = 512 * MIB
LINES_A_MINUTE = 120
SPARE_DESCRIPTORS = 32
DESCRIPTOR_SECONDS = 12.0
LEAST_ANSWERS = 10
PAUSE_SECONDS = 0.100
TURN_MILLISECONDS = 20

SCENES = {}


class Skipped(Exception):
    """The scene cannot be played here; the message says why."""


class Failed(AssertionError):
    """Something that must hold did not."""


@dataclass(frozen=True)
class Scene:
    name: str
    item: int
    seconds: float
    alone: bool
    play: object

    @property
    def note(self):
        return " ".join((self.play.__doc__ or "").split())


def scene(item, seconds, alone=False):
    """Marks a function as a scene for an item of the list of faults.

    `seconds` is what it usually takes; `alone`: it keeps processors or disks busy, so that no other is played meanwhile.
    """
    def take(function):
        name = function.__name__.replace("_", "-")
        SCENES[name] = Scene(name, item, seconds, alone, function)
        return function
    return take


class Run:
    """One playing of a scene: how large it is, and what did not hold."""

    def __init__(self, full=False):
        self.full = full
        self.problems = []
        self.counts = {}

    def amount(self, small, full):
        """A quantity: scaled down for two minutes, or as large as the fault was found with."""
        return full if self.full else small

    def expect(self, holds, problem):
        if not holds:
            self.problems.append(problem)

    def count(self, **counts):
        self.counts.update(counts)

    def stand(self, servers=2, heartbeat=None, **options):
        usual = () if self.full else CALM_HEARTBEAT
        return Stand(self, Suite(servers, heartbeat=usual if heartbeat is None else heartbeat, label="twinspace-hostile",
                                 **options))

    def end(self):
        if self.problems:
            raise Failed("\n".join(self.problems))


class Stand:
    """The suite of a scene. What it finds at its end goes to the run's problems."""

    def __init__(self, run, suite):
        self.run = run
        self.suite = suite

    def __enter__(self):
        self.suite.__enter__()
        return self

    def __exit__(self, kind, error, traceback):
        try:
            if kind is None:
                self.suite.check_health()
        except SuiteError as found:
            self.run.problems.append(str(found))
        if self.run.problems or kind:
            self.suite.show_logs()
        self.suite.close()
        # A suite that is in no state to go on fails the scene; it does not hide what was counted before.
        if kind is not None and issubclass(kind, (SuiteError, OSError)) and self.run.problems:
            self.run.problems.append(f"{kind.__name__}: {error}")
            return True
        return False

    # What scenes need again and again.

    def port(self, sap="clients"):
        return self.suite.ports[sap]

    def listener_port(self, name):
        """The port of a server's own listener."""
        arguments = self.suite.daemons[name].arguments
        return int(arguments[arguments.index("--listen") + 1].rsplit(":", 1)[1])

    def pid(self, name):
        return self.suite.daemons[name].process.pid

    def processor_seconds(self):
        """What all servers have worked so far."""
        return sum(measures.processor_seconds(self.pid(name)) for name in self.suite.names)

    def client(self, **options):
        return Client(HOST, self.port(), **{"timeout": 15.0, "attempt": 15.0, **options})

    def swarm(self, sap="clients", **options):
        return Swarm(sap if isinstance(sap, int) else self.port(sap), **options)

    def put(self, pairs):
        with self.client() as client:
            answer = client.put(pairs)
            if answer.status != "ok":
                raise SuiteError(f"PUT before the attack: {answer.status}: {answer.message}")

    def attack(self, **options):
        return Attack(self, **options)


def complaints(suite, names, since=None, but=()):
    """What daemons have said that is more than a note: lines of WARN and above but for these events, and words that are no
    line of the log, as of a program that does not start."""
    found = []
    for name in names:
        for text in suite.log_text(name, since).splitlines():
            line = LogLine.parse(name, text)
            if text.strip() and (line is None or line.level in ("WARN", "ERROR", "ALERT") and line.event not in but):
                found.append(text)
    return found


def import_file(suite, pairs):
    """A file for `--import`, and the flags for it: a large space costs the test little that way."""
    path = suite.directory / "import.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(pair, separators=(",", ":")) + "\n")
    return ["--import", str(path)]


def large_pairs(count, elements=4, element_bytes=60_000):
    """Pairs of `elements` × `element_bytes`, in order."""
    element = "x" * element_bytes
    return ([[f"large{number:05}"], [element] * elements] for number in range(count))


class Attack:
    """The time of the attack. Everything is counted from its beginning to its end.

    `kills`: processes die in it, so that roles may change and the bystander may have to connect again; an error is one
    all the same. `watched`: the daemons whose memory and descriptors are counted, or None for all.
    """

    def __init__(self, stand, kills=False, bystander=True, least=LEAST_ANSWERS, watched=None, lines=LINES_A_MINUTE):
        self.stand = stand
        self.suite = stand.suite
        self.run = stand.run
        self.kills = kills
        self.least = least
        self.lines = lines
        self.load = Load(self.suite, clients=1, depth=2, rate=200, label="bystander") if bystander else None
        self.watched = watched

    def __enter__(self):
        self.rest = {}
        for name in self.watched or self.suite.daemons:
            daemon = self.suite.daemons[name]
            if daemon.running:
                measures.forget_peak(daemon.process.pid)
                self.rest[name] = (daemon.process.pid, measures.memory(daemon.process.pid)[0],
                                   measures.descriptors(daemon.process.pid))
        if self.load:
            self.load.__enter__()
            try:
                self.load.wait_flowing()
            except BaseException:
                self.load.__exit__(AssertionError, None, None)
                raise
        self.mark = self.suite.mark()
        self.begin = time.monotonic()
        return self

    def __exit__(self, kind, error, traceback):
        self.end = time.monotonic()
        if self.load:
            self.load.__exit__(None, None, None)
        self._count_bystander()
        self._count_roles()
        self._count_memory()
        self._count_lines()
        if kind is None:
            self._count_descriptors()
            if self.run.full and not self.kills:
                self._measure()
        return False

    def expect(self, holds, problem):
        self.run.expect(holds, problem)

    # Counts.

    def _count_bystander(self):
        if not self.load:
            return
        report = self.load.reports[0]
        self.run.count(answers=report["answered"])
        self.expect(not report["errors"], f"the bystander saw {len(report['errors'])} errors: {report['errors'][:2]}")
        self.expect(not report["violations"],
                    f"the bystander got {len(report['violations'])} wrong answers: {report['violations'][:2]}")
        self.expect(report["answered"] >= self.least,
                    f"the bystander got {report['answered']} answers in {self.end - self.begin:.1f} s")
        if not self.kills:
            self.expect(not report["reconnects"],
                        f"the bystander lost its connection {report['reconnects']} times, and nothing was killed")

    def _count_roles(self):
        if self.kills:
            return
        lines = [line for line in self.suite.alerts(since=self.mark) if line.event in TROUBLE]
        self.run.count(takeovers=sum(line.event == "takeover" and line.source == "proxy" for line in lines))
        self.expect(not lines, f"{len(lines)} alerts, and nothing was killed: {[line.text[25:125] for line in lines[:4]]}")

    def _count_memory(self):
        for name, (pid, rest, _) in self.rest.items():
            peak = measures.memory(pid)[1]
            limit = PROXY_BYTES if name == "proxy" else SERVER_BYTES
            if peak:
                self.run.count(**{f"{name}_MiB": (peak - rest) // MIB})
                self.expect(peak - rest <= limit, f"{name} took {(peak - rest) // MIB} MiB above rest, more than "
                                                  f"{limit // MIB}")

    def _count_lines(self):
        if self.kills:
            return
        minutes = max(1.0, (self.end - self.begin) / 60)
        for name in self.suite.daemons:
            text = self.suite.log_text(name, self.mark)
            count = text.count("\n")
            self.expect(count <= self.lines * minutes,
                        f"{name} wrote {count} lines in {self.end - self.begin:.1f} s, the last: {text[-200:]!r}")

    def _count_descriptors(self):
        for name, (pid, _, rest) in self.rest.items():
            with contextlib.suppress(SuiteError):
                wait_until(lambda: measures.descriptors(pid) <= rest + SPARE_DESCRIPTORS, DESCRIPTOR_SECONDS, "few")
            now = measures.descriptors(pid)
            self.expect(now <= rest + SPARE_DESCRIPTORS,
                        f"{name} holds {now} descriptors after everybody left, {rest} before they came")

    # Times, of which only the hour speaks.

    def _measure(self):
        if self.load:
            gap = self.load.longest_gap(self.begin, self.end)
            self.run.count(pause_ms=round(gap * 1000))
            self.expect(gap <= PAUSE_SECONDS, f"the bystander waited for {gap * 1000:.0f} ms")
        status = self.suite.status()
        turns = {"proxy": status.get("longest_turn_ms"),
                 **{server.get("name"): server.get("longest_turn_ms") for server in status.get("servers", [])}}
        for name, turn in turns.items():
            self.expect(turn is not None and float(turn) <= TURN_MILLISECONDS, f"{name}'s longest turn took {turn} ms")
