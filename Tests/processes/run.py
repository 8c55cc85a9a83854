#!/usr/bin/env python3
"""Runs the suites of this folder one after the other, each with its time limit, and says how long each took.

usage: run.py [--full] [NAME]...     NAME is a file's name without `.py`
--full takes the whole measurement: 50 takeovers and 20,000 random requests.

`make test` goes through scripts/suites.py, which takes every file here that is a program with a main guard; this one
has none, so that it is not taken for a suite itself.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
USUAL_LIMIT_SECONDS = 300
FULL = {"ROUNDS": "50", "COUNT": "20000"}
GRACE_SECONDS = 15
SKIPPED_CODE = 77


def run(path, limit, environment):
    """The suite's exit code; None where time was up."""
    process = subprocess.Popen([sys.executable, str(path)], stdin=subprocess.DEVNULL, env=environment)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        # Asked to end, a suite ends its processes first.
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return None
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise


def main(arguments):
    full = "--full" in arguments
    names = [argument for argument in arguments if argument != "--full"]
    paths = [path for path in sorted(HERE.glob("*.py"))
             if path != Path(__file__).resolve() and not path.name.startswith("_")]
    unknown = set(names) - {path.stem for path in paths}
    if unknown:
        print(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(path.stem for path in paths)}")
        return 2
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    if full:
        environment = {**FULL, **environment}
    results = []
    for path in paths:
        if names and path.stem not in names:
            continue
        limit = re.search(r"^# time limit: (\d+) s$", path.read_text(encoding="utf-8")[:4096], re.MULTILINE)
        seconds = (int(limit[1]) if limit else USUAL_LIMIT_SECONDS) * (5 if full else 1)
        print(f"\n>>> {path.stem}", flush=True)
        start = time.monotonic()
        code = run(path, seconds, environment)
        word = {0: "passed", SKIPPED_CODE: "SKIPPED", None: f"FAILED, time limit of {seconds} s"}.get(
            code, f"FAILED, exit code {code}")
        results.append((path.stem, word, time.monotonic() - start))
        print(f"<<< {path.stem}: {word} after {results[-1][2]:.1f} s", flush=True)
    print()
    for name, word, seconds in results:
        print(f"{name:<14} {seconds:7.1f} s  {word}")
    failed = sum(word.startswith("FAILED") for _, word, _ in results)
    passed = sum(word == "passed" for _, word, _ in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not results else 0


sys.exit(main(sys.argv[1:]))
