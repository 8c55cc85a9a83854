"""Measurements that are no plain comparison of rates: memory, takeover, long loads, scans."""

import json
import signal
import subprocess
import time

import sentinel
from daemon import SuiteError, program
from figures import milliseconds, paragraph, quantile, table
from systems import Redis, Twinspace, resident_bytes

LOAD_SECONDS = 2.5
# When, after the load's beginning, the active server is struck.
STRIKE_SECONDS = 1.0
UPDATED_KEYS = 100_000


def say(text):
    print(text, flush=True)


class Memory:
    """Resident memory a pair, at the same number of pairs, everything included."""

    def __init__(self, systems, pairs):
        self.systems = [system for system in systems if isinstance(system, (Twinspace, Redis))]
        self.pairs = pairs
        self.found = {}

    def run(self):
        for system in self.systems:
            system.start(durable=False)
            try:
                report = system.fill(self.pairs)
                if report["failures"]:
                    raise SuiteError(f"{system.name}: {report['failures']} failures while filling")
                # What is freed after the last answers belongs to the load, not to the pairs.
                time.sleep(2)
                self.found[system.name] = {
                    role: resident_bytes(pid) / self.pairs for role, pid in system.processes().items()}
                say(f"  {system.name}: " + ", ".join(f"{role} {value:.1f} bytes a pair"
                                                     for role, value in self.found[system.name].items()))
            finally:
                system.stop()

    def markdown(self):
        rows = []
        for system in self.systems:
            found = self.found.get(system.name)
            if found:
                front, first, second = system.roles
                rows.append([system.name, f"{found[first]:.1f}", f"{found[second]:.1f}",
                             f"{found[front] * self.pairs / 2**20:.0f} MiB"])
        header = ["bytes of RSS a pair", "active / primary", "passive / replica", "proxy in all"]
        text = paragraph(f"Resident memory divided by the number of pairs, after {self.pairs:,} PUTs (or SETs) of",
                         "16 + 16 bytes in random order.")
        return f"## Memory\n\n{text}\n\n{table(header, rows)}\n"


class Takeover:
    """How long no client gets an answer when the active server is killed, or frozen, under full load."""

    def __init__(self, rounds, tools, with_redis):
        self.rounds = rounds
        self.tools = tools
        self.redis_rounds = min(rounds, 5) if with_redis else 0
        self.redis_pauses = {"kill -9": [], "SIGSTOP": []}
        self.redis_errors = 0
        self.pauses = {"nothing": [], "kill -9": [], "SIGSTOP": []}
        self.failures = 0
        # Takeovers beyond the one that the strike calls for.
        self.more = 0

    def run(self):
        for kind, number in (("nothing", None), ("kill -9", signal.SIGKILL), ("SIGSTOP", signal.SIGSTOP)):
            system = Twinspace()
            system.start(durable=True)
            try:
                system.fill(UPDATED_KEYS)
                for count in range(self.rounds):
                    pause = self._strike(system, number)
                    self.pauses[kind].append(pause)
                    say(f"  {kind}, {count + 1} of {self.rounds}: {milliseconds(pause)} ms")
            except SuiteError:
                system.suite.show_logs()
                raise
            finally:
                system.stop()
        for kind, number in (("kill -9", signal.SIGKILL), ("SIGSTOP", signal.SIGSTOP)):
            for count in range(self.redis_rounds):
                pause, errors = sentinel.strike(self.tools, number)
                self.redis_pauses[kind].append(pause)
                self.redis_errors += errors
                say(f"  Redis, {kind}, {count + 1} of {self.redis_rounds}: {milliseconds(pause)} ms")

    def _strike(self, system, number):
        suite = system.suite
        suite.wait_redundant()
        active, epoch = suite.active(), suite.status()["epoch"]
        load = subprocess.Popen(
            system.command("--mix", "post=1", "--keys", UPDATED_KEYS, "--warmup", 0.3, "--seconds", LOAD_SECONDS),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            time.sleep(0.3 + STRIKE_SECONDS)
            if number == signal.SIGKILL:
                suite.kill(active)
            elif number == signal.SIGSTOP:
                suite.freeze(active)
            output, errors = load.communicate(timeout=60)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        try:
            report = json.loads(output)
        except ValueError:
            raise SuiteError(f"the load ended with {load.returncode}: {errors[-600:]}") from None
        self.failures += report["failures"] + report["reconnects"]
        taken = suite.status()
        wanted = epoch if number is None else epoch + 1
        if taken.get("epoch", 0) < wanted:
            raise SuiteError(f"nobody took over from {active} at epoch {epoch}: {taken}")
        self.more += taken["epoch"] - wanted
        if number == signal.SIGKILL:
            suite.start(active)
        elif number == signal.SIGSTOP:
            suite.thaw(active)
        suite.wait_redundant()
        return report["longestPause"]

    def markdown(self):
        rows = [[kind, len(pauses), milliseconds(quantile(pauses, 0.5)), milliseconds(quantile(pauses, 0.99)),
                 milliseconds(max(pauses))] for kind, pauses in self.pauses.items() if pauses]
        rows += [[f"Redis' primary: {kind}", len(pauses), milliseconds(quantile(pauses, 0.5)),
                  milliseconds(quantile(pauses, 0.99)), milliseconds(max(pauses))]
                 for kind, pauses in self.redis_pauses.items() if pauses]
        header = ["the active server gets", "rounds", "p50 ms", "p99 ms", "longest ms"]
        text = paragraph(
            "The longest time in which none of 50 clients got an answer, while they update as fast as they can,",
            "with default settings (`--sync always`). *Nothing* is what the machine itself does in as long a load.",
            f"Errors that clients saw, and connections that they lost: {self.failures}. Takeovers that nothing called",
            f"for: {self.more}.")
        if self.redis_rounds:
            text += "\n\n" + paragraph(
                f"Redis: three sentinels with down-after {sentinel.DOWN_AFTER_MILLISECONDS} ms (their default is 30",
                "s), a tuned HAProxy, no AOF, no `WAIT` (an acknowledged write can be lost). Errors that clients saw,",
                f"and connections that they lost: {self.redis_errors}.")
        return f"## Takeover\n\n{text}\n\n{table(header, rows)}\n"


class Soak:
    """Full load on all cores for long: nobody may take over for it."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.report = None
        self.failures = 0
        self.false_takeovers = 0
        self.lost = 0

    def run(self):
        system = Twinspace()
        system.start(durable=True)
        try:
            system.fill(UPDATED_KEYS)
            suite = system.suite
            mark = suite.mark()
            done = subprocess.run(
                system.command("--mix", "get=2,post=6,put=1,delete=1", "--keys", UPDATED_KEYS, "--depth", 16,
                               "--seconds", self.seconds),
                capture_output=True, text=True, timeout=self.seconds + 120, check=False)
            self.report = json.loads(done.stdout)
            self.false_takeovers = len(suite.alerts("takeover", suite.names, since=mark))
            self.lost = len(suite.alerts("passive-lost", since=mark))
            say(f"  {self.seconds} s: {self.report['operations']} requests, {self.false_takeovers} takeovers, passive "
                f"server lost {self.lost} times, longest pause {milliseconds(self.report['longestPause'])} ms, "
                f"{self.report['longestPauseAt']} s after the beginning")
            self.failures = self.report["failures"]
            if self.failures:
                say(f"  {self.failures} failures {self.report['statuses']}, {self.report['unanswered']} without an "
                    f"answer; {self.report['firstFailure']}")
            for line in suite.log_lines(since=mark):
                if line.level in ("WARN", "ALERT", "ERROR"):
                    say(f"  {line.text}")
        finally:
            system.stop()

    def markdown(self):
        text = paragraph(
            f"{self.seconds} seconds of 50 clients at depth 16, all four operators, default settings:",
            f"{self.report['operations']:,} requests, {self.report['failures']} failures, {self.false_takeovers}",
            f"takeovers, {self.lost} times a passive server counted as lost. Longest time without any answer:",
            f"{milliseconds(self.report['longestPause'])} ms.")
        return f"## A long load\n\n{text}\n"


class Scan:
    """`twinspace-bench scan`, as it prints it."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.text = ""

    def run(self):
        done = subprocess.run([program("twinspace-bench"), "scan", "--pairs", str(self.pairs)], capture_output=True,
                              text=True, timeout=900, check=False)
        if done.returncode != 0:
            raise SuiteError(f"{done.args}: exit code {done.returncode}: {(done.stderr or done.stdout)[-600:]}")
        self.text = done.stdout.rstrip()
        say(self.text)

    def markdown(self):
        return f"## Scans\n\n`twinspace-bench scan`, in one process:\n\n```text\n{self.text}\n```\n"
