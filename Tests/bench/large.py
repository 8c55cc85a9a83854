"""A large space: what a full resynchronisation, and a takeover, take at that size."""

import json
import signal
import subprocess
import time

from daemon import SuiteError
from figures import milliseconds, paragraph, table
from systems import Twinspace

# A fifth of what the machine could do or less: resynchronising must not be seen by it.
RATE = 5_000
BASELINE_SECONDS = 5.0
RESYNC_SECONDS = 900.0
STRIKE_SECONDS = 1.0


def say(text):
    print(text, flush=True)


class Large:
    """Twinspace with many pairs, durable, under a steady load."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.found = {}

    def run(self):
        system = Twinspace()
        system.start(durable=True)
        try:
            filled = system.fill(self.pairs)
            say(f"  filled at {filled['perSecond']:.0f} pairs a second")
            self.found["before"] = self._load(system, lambda: time.sleep(BASELINE_SECONDS))
            self.found["resync"] = self._load(system, lambda: self._resync(system))
            self.found["kill"] = self._load(system, lambda: self._kill(system))
        except SuiteError:
            system.suite.show_logs()
            raise
        finally:
            system.stop()

    def _load(self, system, work):
        """The report of a steady load while `work` is done, with the seconds that it took."""
        load = subprocess.Popen(
            system.command("--mix", "get=1,post=1", "--keys", self.pairs, "--rate", RATE, "--depth", 16, "--warmup",
                           0.5, "--seconds", RESYNC_SECONDS + 60),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            time.sleep(1.0)
            seconds = work()
            load.send_signal(signal.SIGINT)
            output, errors = load.communicate(timeout=60)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        try:
            report = json.loads(output)
        except ValueError:
            raise SuiteError(f"the load ended with {load.returncode}: {errors[-600:]}") from None
        report["took"] = seconds
        say(f"  took {seconds or BASELINE_SECONDS:.2f} s: p99 {milliseconds(report['latency']['p99'])} ms, "
            f"longest pause {milliseconds(report['longestPause'])} ms, {report['failures']} failures")
        return report

    def _resync(self, system):
        """The passive server loses its data; seconds until it has all of them again."""
        suite = system.suite
        passive = suite.passives()[0]
        suite.kill(passive)
        # Moved aside: to delete gigabytes keeps the file system's own journal busy, for which the active server's syncs wait.
        # It goes with the suite's directory.
        (suite.directory / f"server-{passive}").rename(suite.directory / f"lost-{passive}")
        begin = time.monotonic()
        suite.start(passive)
        suite.wait_redundant(RESYNC_SECONDS)
        return time.monotonic() - begin

    def _kill(self, system):
        """The active server is killed and started again; seconds from its start until it is in sync."""
        suite = system.suite
        active = suite.active()
        time.sleep(STRIKE_SECONDS)
        suite.kill(active)
        time.sleep(STRIKE_SECONDS)
        begin = time.monotonic()
        suite.start(active)
        suite.wait_redundant(RESYNC_SECONDS)
        return time.monotonic() - begin

    def markdown(self):
        resync, kill = self.found["resync"], self.found["kill"]
        megabytes = self.pairs * 32 / 1e6
        rows = []
        for title, key in (("nothing else", "before"), ("a resynchronisation of everything", "resync"),
                           ("kill -9 of the active server, and its return", "kill")):
            report = self.found[key]
            rows.append([title, milliseconds(report["latency"]["p50"]), milliseconds(report["latency"]["p99"]),
                         milliseconds(report["longestPause"]), report["failures"]])
        text = paragraph(
            f"{self.pairs:,} pairs, default settings, {RATE:,} requests a second (GET and POST) at fixed times. A",
            f"passive server with an empty directory has everything after {resync['took']:.1f} s:",
            f"{self.pairs / resync['took'] / 1e6:.2f} million pairs, or {megabytes / resync['took']:.0f} MB of keys",
            f"and values, a second. A killed active server is in sync again {kill['took']:.1f} s after its start.")
        return (f"## A large space\n\n{text}\n\n"
                f"{table(['meanwhile', 'p50 ms', 'p99 ms', 'longest pause ms', 'failures'], rows)}\n")
