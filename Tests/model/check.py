#!/usr/bin/env python3
"""Tries every order of events of takeover.pml, the model of the switch, and breaks its rules one by one.

Spin makes a program of the model, which visits every state that can be reached within bounds and looks whether what
must always hold does. Each rule that keeps acknowledged writes safe is then left out once, and the program has to find
what goes wrong. What goes wrong is told as a story, step by step.

usage: check.py                                 what `make test` runs
       check.py --servers 3 --bits 34 …         one search with other bounds; --bits: with that many (2 to the power)
                                                bits instead of the states themselves, for searches that would not fit
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from compiler import compile_c  # noqa: E402
from daemon import SuiteError  # noqa: E402

MODEL = Path(__file__).resolve().parent / "takeover.pml"
BOUNDS = ("servers", "versions", "writes", "drops", "crashes", "losses", "restarts", "wipes", "orders")

# Searched whole.
SEARCHES = (
    dict(servers=2, versions=5, wipes=1),
    dict(servers=2, versions=4, orders=1, drops=0),
    dict(servers=2, versions=4, restarts=1),
)

# Each rule that is broken, and the bounds within which that must be found.
BROKEN = {
    "ANYBODY_IS_PROMOTED": ("only members of the set are promoted", dict(versions=3)),
    "NEWCOMERS_ARE_NOT_AWAITED": ("who was asked for is waited for", dict(versions=3)),
    "NEWCOMERS_LACK_EARLIER_EPOCHS": ("newcomers hold what was acknowledged in earlier epochs", dict(versions=3)),
    "NEWCOMERS_ARE_NOT_NOTED": ("who was asked for is noted on the disk before", dict(versions=3)),
    "QUESTIONS_ARE_FORGOTTEN": ("a server registers with whom it has asked for", dict(versions=3)),
    "NEWCOMERS_ARE_NOT_STRUCK_OUT": ("who was not taken in is struck out on the disk", dict(versions=4)),
    "NO_RECORD_TELLS_TOO": ("a switch without a record tells nothing", dict(versions=3)),
    "ONE_IS_ENOUGH": ("a lost record is rebuilt from all members", dict(versions=3)),
}

SEARCH_SECONDS = 900
STORY_LINES = 60


def run(command, folder, seconds):
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout + done.stderr


class Search:
    def __init__(self, folder, bounds, broken=None, bits=None, seconds=SEARCH_SECONDS):
        self.folder = folder
        self.bits = bits
        self.seconds = seconds
        self.definitions = [f"-D{name.upper()}={value}" for name, value in bounds.items()]
        if broken:
            self.definitions.append(f"-DBREAK_{broken}")

    def go(self):
        """Returns what was violated, or None, and the number of states."""
        for old in self.folder.iterdir():
            old.unlink()
        shutil.copy(MODEL, self.folder)
        code, said = run(["spin", "-a", *self.definitions, MODEL.name], self.folder, 60)
        if code != 0 or not (self.folder / "pan.c").exists():
            raise SuiteError(f"spin does not take the model:\n{said}")
        storage = ["-DBITSTATE"] if self.bits else ["-DCOLLAPSE"]
        compile_c(self.folder / "pan.c", self.folder / "pan", "-w", "-DSAFETY", "-DNOFAIR", "-DVECTORSZ=2048", *storage)
        search = [self.folder / "pan", "-E", "-n", "-m4000000", f"-w{self.bits or 24}"]
        code, said = run(search, self.folder, self.seconds)
        states = re.search(r"^ *(\S+) states, stored", said, re.MULTILINE)
        errors = re.search(r"errors: (\d+)", said)
        if not states or not errors:
            raise SuiteError(f"the search did not end: exit code {code}\n{said[-2000:]}")
        violated = re.search(r"^pan:\d+: (.*)$", said, re.MULTILINE)
        if int(errors.group(1)) == 0 and (violated or "max search depth too small" in said):
            raise SuiteError(f"the search was not whole:\n{said[-2000:]}")
        return violated.group(1) if violated else None, int(float(states.group(1)))

    def story(self):
        _, said = run(["spin", *self.definitions, "-t", MODEL.name], self.folder, 300)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        end = next((number for number, line in enumerate(lines) if line.startswith("spin: ")), len(lines))
        return "\n".join("    " + line for line in lines[max(0, end - STORY_LINES):end])


def title(bounds):
    return ", ".join(f"{name} {value}" for name, value in bounds.items())


def say(begin, text):
    print(f"[{time.monotonic() - begin:6.1f} s] {text}", flush=True)


def must_hold(begin, folder, bounds, **options):
    search = Search(folder, bounds, **options)
    violated, states = search.go()
    if violated:
        print(search.story(), flush=True)
        raise SuiteError(f"{title(bounds)}: {violated}")
    say(begin, f"{title(bounds)}: {states:,} states, all is well")


def must_fail(begin, folder, rule):
    what, bounds = BROKEN[rule]
    bounds = dict(servers=2) | bounds
    violated, states = Search(folder, bounds, broken=rule).go()
    if not violated:
        raise SuiteError(f"without the rule '{what}' nothing went wrong in {states:,} states")
    if "assertion violated" not in violated:
        raise SuiteError(f"without the rule '{what}' the model itself fails: {violated}")
    say(begin, f"without the rule '{what}': found after {states:,} states")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for bound in BOUNDS:
        parser.add_argument(f"--{bound}", type=int)
    parser.add_argument("--bits", type=int)
    parser.add_argument("--seconds", type=int, default=SEARCH_SECONDS)
    options = parser.parse_args()
    wanted = {bound: getattr(options, bound) for bound in BOUNDS if getattr(options, bound) is not None}
    if not shutil.which("spin"):
        raise SuiteError("spin is missing: apt-get install spin")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="twinspace-model-") as scratch:
        folder = Path(scratch)
        if wanted or options.bits:
            must_hold(begin, folder, wanted, bits=options.bits, seconds=options.seconds)
            return
        for bounds in SEARCHES:
            must_hold(begin, folder, bounds)
        for rule in BROKEN:
            must_fail(begin, folder, rule)


if __name__ == "__main__":
    try:
        main()
    except (SuiteError, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
