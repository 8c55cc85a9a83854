#!/usr/bin/env python3
"""Plants slips of a programmer, one at a time, and looks whether anything notices.

All slips of `slips/*.txt` are planted in one build of the simulator and of the unit tests. Each is then switched on
alone: first the simulator runs, up to 2,000 seeds or a minute, then the unit tests that are named for it, a minute too.
Whatever survives has to be listed as harmless, with the reason, in its file and in specs/0008.

usage: run.py --build DIR                    builds, and tries all
       run.py --build DIR --only NAME,…      some; a pattern for whole words
       run.py --build DIR --quick            those that the simulator finds at once, with nothing but the simulator
       run.py --build DIR --both             the unit tests too where the simulator has found it: who rests on one alone
       run.py --check                        only whether all can be planted
"""

import argparse
import fnmatch
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from instrument import ROOT, VARIABLE, SlipError, load, make_copy, planted_files

SEEDS = 2_000
# Of the processor's time, so that a busy machine changes nothing; of the clock's at most so many times as long.
SECONDS = 60
PATIENCE = 10
# A simulator that does not come to the end of its first seeds hangs.
FIRST_SEEDS = 20
MEMORY_BYTES = 6 << 30
# What --quick tries is found within so many.
QUICK_SEEDS = 20
SWIFT = os.environ.get("SWIFT", "swift")


class Trial:
    """One slip, and what has noticed it."""

    def __init__(self, slip):
        self.slip = slip
        self.by_simulator = ""
        self.seeds = None
        self.by_tests = ""
        self.seconds = 0.0

    @property
    def is_found(self):
        return bool(self.by_simulator or self.by_tests)


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def call(command, slip):
    """The exit code, None where it took too long, and what was printed."""
    environment = dict(os.environ, **{VARIABLE: slip.name if slip else ""}, SWIFT_BACKTRACE="enable=no")
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env=environment, preexec_fn=limits) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            return None, output
        return None if process.returncode == -signal.SIGXCPU else process.returncode, output


class Programs:
    def __init__(self, build):
        self.copy = build / "source"
        self.scratch = build / "build"

    @property
    def simulator(self):
        return self.scratch / "release" / "twinspace-sim"

    @property
    def tests(self):
        return self.scratch / "release" / "twinspacePackageTests.xctest"

    def make(self, slips, without_tests):
        make_copy(slips, self.copy)
        # Without the tests it is the build in which the simulator has the planted bugs of its own.
        flag = "-DPLANTED_BUGS" if without_tests else "-enable-testing"
        command = [SWIFT, "build", "--package-path", self.copy, "--scratch-path", self.scratch, "-c", "release",
                   "-Xswiftc", flag]
        subprocess.run(list(map(str, command + ["--product", "twinspace-sim"])), check=True)
        if not without_tests:
            subprocess.run(list(map(str, command + ["--build-tests"])), check=True)

    def simulate(self, slip, seeds):
        """What the simulator says of the slip, and after how many seeds; nothing where it says nothing."""
        for first, last in ((1, FIRST_SEEDS), (FIRST_SEEDS + 1, seeds)):
            if last < first:
                break
            command = [self.simulator, "--seed", first, "--seeds", last - first + 1, "--failures", 1]
            code, output = call(command, slip)
            failed = re.search(r"^seed (\d+) failed:\n\s*(.*)", output, re.M)
            if failed:
                return failed[2], int(failed[1])
            if code is None:
                return ("it does not end", last) if first == 1 else ("", None)
            if code != 0:
                said = re.search(r"Fatal error.*", output)
                return (said[0] if said else f"it ends with code {code}"), last
        return "", None

    def test(self, slip, pattern):
        command = [self.tests, "--testing-library", "swift-testing", "--filter", pattern]
        code, output = call(command, slip)
        if code is None:
            return "tests do not end"
        if not re.search(r"Test run with [1-9]\d* tests?", output) and "Fatal error" not in output and code in (0, 69):
            raise SlipError(f"{slip.name if slip else 'nothing'}: no test is like {pattern}")
        if code == 0:
            return ""
        failed = re.findall(r"Test (?:case passing .* to )?\"?(\w+\([^)]*\))\"?.* (?:failed|recorded an issue)", output)
        said = re.search(r"Fatal error.*", output)
        return failed[0] if failed else said[0] if said else f"tests end with code {code}"


def attempt(programs, slip, options):
    trial = Trial(slip)
    begin = time.monotonic()
    seeds = QUICK_SEEDS if options.quick else options.seeds
    if not options.tests_only:
        trial.by_simulator, trial.seeds = programs.simulate(slip, seeds)
    if not options.quick and (options.both or not trial.by_simulator):
        trial.by_tests = programs.test(slip, slip.tests)
    trial.seconds = time.monotonic() - begin
    return trial


def line(trial):
    found = []
    if trial.by_simulator:
        found.append(f"simulator, {trial.seeds} seed{'s' if trial.seeds != 1 else ''}: {trial.by_simulator}")
    if trial.by_tests:
        found.append(f"unit test: {trial.by_tests}")
    if not found:
        found.append(f"survives, harmless: {trial.slip.harmless}" if trial.slip.harmless else "SURVIVES")
    return f"{trial.slip.name:<38} {trial.slip.module:<13} {'; '.join(found)[:150]}"


def is_chosen(slip, options):
    if options.quick:
        return "quick" in slip.fields
    if not options.only:
        return True
    return any(fnmatch.fnmatch(slip.name, pattern) for pattern in options.only.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    for toggle in ("quick", "both", "tests-only", "no-build", "check"):
        parser.add_argument(f"--{toggle}", action="store_true")
    options = parser.parse_args()
    slips = load()
    if options.check:
        planted_files(slips, ROOT / "Sources")
        print(f"{len(slips)} slips can be planted")
        return 0
    programs = Programs(options.build.resolve())
    if not options.no_build:
        programs.make(slips, options.quick)
    chosen = [slip for slip in slips if is_chosen(slip, options)]
    trials = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for done in as_completed([pool.submit(attempt, programs, slip, options) for slip in chosen]):
            trials.append(done.result())
            print(line(trials[-1]), flush=True)
    return report(trials)


def report(trials):
    found = [trial for trial in trials if trial.is_found]
    harmless = [trial for trial in trials if not trial.is_found and trial.slip.harmless]
    lively = [trial for trial in trials if trial.is_found and trial.slip.harmless]
    left = [trial for trial in trials if not trial.is_found and not trial.slip.harmless]
    by_simulator = sum(1 for trial in found if trial.by_simulator)
    print(f"{len(trials)} slips: {len(found)} found, {by_simulator} of them by the simulator; "
          f"{len(harmless)} harmless ones and {len(left)} others survive")
    for trial in left:
        print(f"  SURVIVES {trial.slip.name}: {trial.slip.fields['what']} (Sources/{trial.slip.file})")
    for trial in lively:
        print(f"  is found, though it is listed as harmless: {trial.slip.name}")
    return 1 if left or lively else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SlipError, subprocess.CalledProcessError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        sys.exit(2)
