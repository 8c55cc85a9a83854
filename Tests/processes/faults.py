#!/usr/bin/env python3
"""Random faults in real processes and a real network, under load: nothing acknowledged is lost, nothing is done twice,
no client sees an error, and every history can be explained by one space.

ROUNDS=N rounds of faults (12 where it is not set; 200 is the whole measurement); SEED=N chooses them again;
ONLY=NAME,NAME takes these kinds alone (methods of `Faults`).
`--soak SECONDS` instead: no fault but every processor busy, and no server may be taken for lost.
"""
# time limit: 900 s

import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import network as networks
import test_linearizability
from checks import Skipped, expect, expect_equal, run_checks
from daemon import end_on_signals, require_programs
from histories import Histories
from load import Load
from suite import Suite
from twinspace_protocol import Client

ROUNDS = int(os.environ.get("ROUNDS") or 12)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
RATE = float(os.environ.get("RATE") or 600)
ONLY = [name for name in (os.environ.get("ONLY") or "").split(",") if name]
CHAPTER_ROUNDS = 10
FREEZES = 5
DISK_MEGABYTES = 256
# Enough to need new segments of the journal: what is preallocated does not notice a full disk.
BULK_KEYS, BULK_REQUESTS, BULK_VALUE = 20, 800, "v" * 60_000
DEFAULT_HEARTBEAT = ()
# A round's faults are over after so long, well within the time that the proxy keeps a request for an active server.
LONGEST_FAULT_SECONDS = 3.0
# What clients must get through at the end of a round, when all faults are over.
SETTLE_SECONDS = 40.0


class NetworkSuite(Suite):
    """A suite of which each server has a namespace, and so a machine, of its own; the proxy's is the test's."""

    def __init__(self, network, **options):
        self.network = network
        self.disks = {}
        super().__init__(start=False, **options)

    def __enter__(self):
        try:
            for name in self.names:
                self.disks[name] = networks.SmallDisk(self.directory / f"server-{name}", DISK_MEGABYTES)
        except networks.Unavailable as reason:
            print(f"    SKIPPED: full disks: {reason}", flush=True)
            self.remove_disks()
        self._start = True
        return super().__enter__()

    def close(self):
        for daemon in self.daemons.values():
            daemon.end_group()
        self.remove_disks()
        super().close()

    def remove_disks(self):
        for disk in self.disks.values():
            disk.remove()
        self.disks = {}

    def address(self, sap):
        host = self.network.addresses["proxy"] if self.network and sap == "servers" else "127.0.0.1"
        return f"{host}:{self.ports[sap]}"

    def add_server(self, name, *flags):
        daemon = super().add_server(name, *flags)
        if self.network:
            at = daemon.arguments.index("--listen") + 1
            daemon.arguments[at] = f"{self.network.addresses[name]}:{daemon.arguments[at].rsplit(':', 1)[1]}"
            daemon.arguments = [*self.network.command(name), *daemon.arguments]
        return daemon


class Faults:
    """What can go wrong, chosen by a seed. Each returns what undoes it."""

    def __init__(self, suite, dice):
        self.suite = suite
        self.dice = dice
        self.story = []

    def note(self, what):
        self.story.append(what)

    def choose(self):
        kinds = [
            (4, self.kill_a_server), (4, self.freeze_a_server), (2, self.restart_the_proxy), (1, self.freeze_the_proxy),
            (2, self.kill_both_servers), (1, self.kill_everything), (2, self.switch_over), (2, self.kill_at_switchover),
            (2, self.kill_while_catching_up),
        ]
        if self.suite.disks:
            kinds.append((1, self.fill_a_disk))
        if self.suite.network:
            kinds += [(8, self.cut_a_link), (3, self.unplug_a_server)]
        kinds = [(weight, kind) for weight, kind in kinds if not ONLY or kind.__name__ in ONLY] or kinds
        weights = [weight for weight, _ in kinds]
        return self.dice.choices([kind for _, kind in kinds], weights)[0]

    def running(self):
        return [name for name in self.suite.names if self.suite.daemons[name].running]

    def _kill(self, names):
        for name in names:
            daemon = self.suite.daemons[name]
            daemon.may_end = True
            daemon.signal(signal.SIGKILL)
        for name in names:
            if self.suite.daemons[name].process is not None:
                self.suite.daemons[name].wait()
        self.note(f"kill -9 of {' and '.join(names)}")

    def _start(self, names):
        for name in names:
            if not self.suite.daemons[name].running:
                self.suite.start(name)

    def kill_a_server(self):
        name = self.dice.choice(self.suite.names)
        self._kill([name])
        return lambda: self._start([name])

    def freeze_a_server(self):
        return self._freeze(self.dice.choice(self.suite.names))

    def freeze_the_proxy(self):
        return self._freeze("proxy")

    def _freeze(self, name):
        self.suite.freeze(name)
        self.note(f"SIGSTOP of {name}")
        return lambda: self.suite.thaw(name)

    def restart_the_proxy(self):
        number = self.dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        self.suite.kill("proxy", number)
        self.note(f"{number.name} of the proxy")
        return lambda: self._start(["proxy"])

    def kill_both_servers(self):
        names = list(self.suite.names)
        self.dice.shuffle(names)
        self._kill(names)
        return lambda: self._start(names)

    def kill_everything(self):
        names = ["proxy", *self.suite.names]
        self.dice.shuffle(names)
        self._kill(names)
        return lambda: self._start(names)

    def switch_over(self):
        target = self.dice.choice([[], [self.dice.choice(self.suite.names)]])
        done = self.suite.cli("--timeout", "3s", "switchover", *target)
        self.note(f"switchover {' '.join(target)} (exit code {done.returncode})")
        return lambda: None

    def kill_at_switchover(self):
        """The server that was chosen dies as soon as it is chosen."""
        done = self.suite.cli("--timeout", "3s", "switchover", "--no-wait")
        target = self.suite.status().get("active") or self.suite.names[0]
        self._kill([target])
        self.note(f"just after a switchover (exit code {done.returncode})")
        return lambda: self._start([target])

    def kill_while_catching_up(self):
        first, second = self.dice.sample(self.suite.names, 2)
        self._kill([first])
        time.sleep(self.dice.random() * 0.3)
        self._start([first])
        time.sleep(self.dice.random() * 0.15)
        self._kill([second])
        return lambda: self._start([second])

    def cut_a_link(self):
        places = ["proxy", *self.suite.names]
        source, target = self.dice.sample(places, 2)
        self.suite.network.cut(source, target)
        both = self.dice.random() < 0.5
        if both:
            self.suite.network.cut(target, source)
        self.note(f"cut {source} {'<->' if both else '->'} {target}")
        return self.suite.network.heal

    def unplug_a_server(self):
        name = self.dice.choice(self.suite.names)
        self.suite.network.unplug(name)
        self.note(f"unplugged {name}")
        return self.suite.network.heal

    def fill_a_disk(self):
        """The passive server's: the service goes on without it. (A full active server refuses updates: storage.py.)"""
        active = self.suite.status().get("active")
        name = next(name for name in self.suite.names if name != active)
        self.suite.disks[name].fill()
        self.note(f"full disk of {name}")
        lines = [json.dumps({"op": "PUT", "payload": [[["bulk", str(number)], ["v"]] for number in range(BULK_KEYS)]})]
        lines += [json.dumps({"op": "POST", "payload": [[["bulk", str(number % BULK_KEYS)], [BULK_VALUE]]]})
                  for number in range(BULK_REQUESTS)]
        done = self.suite.cli("--timeout", "30s", "batch", stdin="\n".join(lines) + "\n")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        wrong = [answer for answer in answers if answer["status"] != "ok"]
        expect(len(answers) == len(lines) and not wrong,
               f"with the passive server's disk full: {wrong[:2]} {done.stderr}")
        if not self.suite.alerts("disk", [name]):
            self.note("which was not noticed")
        return self.suite.disks[name].free

    def round(self):
        """One fault, or two of which the second comes while the first lasts."""
        undo = []
        for number in range(self.dice.choice((1, 1, 2))):
            fault = self.choose()
            if number and fault == self.fill_a_disk:
                break
            frozen = [name for name, daemon in self.suite.daemons.items() if daemon.stopped]
            away = [name for name, daemon in self.suite.daemons.items() if not daemon.running]
            if frozen or away:
                # What needs processes that answer, or that are there, comes alone.
                fault = self.dice.choice([self.kill_a_server, *([self.cut_a_link] if self.suite.network else [])])
            undo.append(fault())
            if fault == self.fill_a_disk:
                break
            # Mostly short, so that faults and recoveries meet; long enough at times that silence is acted on.
            time.sleep(self.dice.random() ** 2 * LONGEST_FAULT_SECONDS)
        for heal in self.dice.sample(undo, len(undo)):
            heal()
        for daemon in self.suite.daemons.values():
            if daemon.stopped:
                self.suite.thaw(daemon.name)


def make_network(names):
    try:
        return networks.Network(names)
    except networks.Unavailable as reason:
        print(f"    SKIPPED: cut links: {reason}", flush=True)
        return None


def read_all(suite, name):
    with Client("127.0.0.1", suite.ports["clients"], timeout=30.0) as client:
        answer = client.get(f"{name},.*", ".*")
    expect_equal(answer.status, "ok", f"status of the GET of {name}'s pairs")
    return {tuple(key): value for key, value in answer.pairs}


def verify(suite, load):
    """No client of the load saw an error or a wrong answer, and what is there is what was acknowledged."""
    kept = 0
    for report in load.reports:
        expect(not report["errors"], f"client {report['name']} saw errors: {report['errors'][:3]}")
        expect(not report["violations"], f"client {report['name']} got wrong answers: {report['violations'][:3]}")
        found = read_all(suite, report["name"])
        wanted = {tuple(key): value for key, value in report["pairs"]}
        kept += len(wanted)
        lost = [key for key in wanted if key not in found]
        risen = [key for key in found if key not in wanted]
        other = [key for key in wanted if key in found and found[key] != wanted[key]]
        expect(not (lost or risen or other),
               f"{report['name']}: {len(lost)} pairs lost {lost[:3]}, {len(risen)} came back {risen[:3]}, "
               f"{len(other)} have other values {other[:3]}")
    return kept


def verify_epochs(suite):
    """No epoch had two active servers."""
    holders = {}
    for line in suite.log_lines(suite.names):
        if line.event in ("takeover", "active") and "epoch" in line.fields:
            holders.setdefault(line.fields["epoch"], set()).add(line.fields.get("server"))
    twice = {epoch: names for epoch, names in holders.items() if len(names) > 1}
    expect(not twice, f"epochs with two active servers: {twice}")
    return len(holders)


def wait_settled(suite):
    suite.wait_redundant(SETTLE_SECONDS, names=suite.names)


def check_the_checker_of_histories():
    """the checker finds lost, doubled, stale and invented values in histories made by hand, and takes good ones"""
    tests = unittest.defaultTestLoader.loadTestsFromModule(test_linearizability)
    result = unittest.TextTestRunner(stream=open(os.devnull, "w", encoding="utf-8"), verbosity=0).run(tests)
    broken = [str(test) for test, _ in result.failures + result.errors]
    expect(result.wasSuccessful(), f"failed: {broken}")
    expect(result.testsRun > 10, "the tests of the checker were not found")


def check_that_a_loss_would_be_noticed():
    """an operator gives acknowledged writes up, on purpose: both the load's and the histories' check must find it"""
    with Suite(servers=2) as suite:
        histories = Histories(suite.ports["clients"], SEED)
        suite.kill("b")
        with Load(suite, 1, rate=RATE) as load:
            load.wait_flowing()
            time.sleep(1.0)
        histories.stop()
        suite.kill("a")
        suite.start("b")
        suite.wait_status(lambda status: status.get("servers"), "b is registered")
        suite.cli("switchover", "b", "--accept-data-loss", expect=0)
        suite.wait_ready()
        _, problems = histories.finish()
        expect(problems, "the histories hide the loss")
        try:
            verify(suite, load)
        except AssertionError as found:
            print(f"    found as it must be: {str(found)[:100]}; {len(problems)} histories without an order",
                  flush=True)
        else:
            raise AssertionError("the load hides the loss")


def check_freeze_at_default_settings():
    """SIGSTOP of the active server with the default heartbeats: the pause is printed, nothing is lost"""
    pauses = []
    with Suite(servers=2, heartbeat=DEFAULT_HEARTBEAT) as suite:
        with Load(suite, 2, rate=RATE) as load:
            load.wait_flowing()
            for _ in range(FREEZES):
                time.sleep(0.5)
                active = suite.active()
                mark = suite.mark()
                frozen = time.monotonic()
                suite.freeze(active)
                suite.wait_alert("takeover", since=mark)
                load.wait_flowing()
                pauses.append(load.longest_gap(frozen - 0.02, time.monotonic()))
                suite.thaw(active)
                wait_settled(suite)
                expect(not suite.alerts("passive-lost", [active], since=mark), f"{active} blames others, awake again")
        verify(suite, load)
    print(f"    no answer for {', '.join(f'{pause * 1000:.0f}' for pause in pauses)} ms", flush=True)


def check_random_faults():
    """rounds of random faults under load: kills, freezes, cut links, restarts, switchovers, one or two at a time"""
    print(f"    SEED={SEED} ROUNDS={ROUNDS}", flush=True)
    dice = random.Random(SEED)
    network = make_network("ab")
    operations, answers, pauses, begin = 0, 0, [], time.monotonic()
    try:
        with NetworkSuite(network, servers=2, heartbeat=DEFAULT_HEARTBEAT) as suite:
            done = 0
            while done < ROUNDS:
                with Load(suite, 2, rate=RATE, label=f"w{done}x") as load:
                    load.wait_flowing()
                    for _ in range(min(CHAPTER_ROUNDS, ROUNDS - done)):
                        done += 1
                        operations += play_round(suite, load, dice, done, pauses)
                verify(suite, load)
                answers += sum(report["answered"] for report in load.reports)
            epochs = verify_epochs(suite)
            compare_copies(suite)
    finally:
        if network:
            network.close()
    print(f"    {ROUNDS} rounds in {time.monotonic() - begin:.0f} s, {epochs} epochs: {answers} answers, "
          f"{operations} operations in histories; longest pause {max(pauses):.1f} s; 0 errors, 0 lost, 0 doubled",
          flush=True)


def play_round(suite, load, dice, number, pauses):
    faults = Faults(suite, dice)
    start = time.monotonic()
    histories = Histories(suite.ports["clients"], f"{SEED}-{number}")
    try:
        faults.round()
        wait_settled(suite)
        load.wait_flowing()
    except BaseException:
        print(f"    round {number}: {', then '.join(faults.story)}", flush=True)
        raise
    count, problems = histories.finish()
    suite.check_health()
    pauses.append(load.longest_gap(start, time.monotonic()))
    print(f"    round {number:>3}: {', then '.join(faults.story)}; no answer for {pauses[-1] * 1000:.0f} ms",
          flush=True)
    expect(not problems, f"round {number} (SEED={SEED}):\n    " + "\n    ".join(problems[:5]))
    return count


def compare_copies(suite):
    """The same pairs are served by each server: the service is moved, and read again."""
    def contents():
        return sorted(map(str, read_all(suite, ".*").items()))

    before = contents()
    active = suite.active()
    suite.cli("switchover", expect=0)
    suite.wait_status(lambda status: status.get("active") not in (None, active), "the other server is active")
    expect(contents() == before, "the two copies differ")


def soak(seconds):
    """Every processor busy at the same priority, and clients at work: no server may be taken for lost."""
    require_programs()
    end_on_signals()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        with Suite(servers=2, heartbeat=DEFAULT_HEARTBEAT) as suite:
            mark, epoch = suite.mark(), suite.status()["epoch"]
            begin = time.monotonic()
            with Load(suite, 2, rate=RATE) as load:
                load.wait_flowing()
                while time.monotonic() - begin < seconds:
                    time.sleep(min(10.0, max(0.1, seconds - (time.monotonic() - begin))))
                    said = [line.text for line in suite.alerts(since=mark)]
                    expect(not said, f"after {time.monotonic() - begin:.0f} s: {said[:5]}")
                gap = load.longest_gap(begin + 1, time.monotonic())
            verify(suite, load)
            expect_equal(suite.status()["epoch"], epoch, "the epoch")
            waits = [line.text for line in suite.log_lines(since=mark) if line.level in ("WARN", "ALERT")]
        print(f"soak: {seconds:.0f} s with {len(busy)} busy processes, load average {os.getloadavg()[0]:.1f}: no "
              f"takeover, longest time without an answer {gap * 1000:.0f} ms, other warnings {waits[:5]}")
        return 0
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--soak"]:
        sys.exit(soak(float(sys.argv[2])))
    sys.exit(run_checks(globals()))
