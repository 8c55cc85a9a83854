#!/usr/bin/env python3
"""Runs the stages of `make test` one after the other, each with a time limit, and ends with a table.

A stage that fails does not stop the others, except those that need it. A stage that ends with code 77 was skipped:
it has said why in a line with the word SKIPPED, which the table repeats.

usage: stages.py --logs DIR --stage NAME SECONDS NEEDS COMMAND [--stage ...]
NEEDS is a comma-separated list of earlier stages, or `-`. COMMAND is run by the shell.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SKIPPED_CODE = 77
TAIL_LINES = 25
TELLING_LINES = 60
TELLING = re.compile(r"error:|✘|FAIL|Traceback|AssertionError")
GRACE_SECONDS = 10


class Stage:
    def __init__(self, name, seconds, needs, command):
        self.name = name
        self.limit = int(seconds)
        self.needs = [] if needs == "-" else needs.split(",")
        self.command = command
        self.state = "not run"
        self.note = ""
        self.seconds = 0.0
        self.lines = []


def stop_group(process):
    """Ends the stage and everything it started: asks first, then does not ask."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)


def run(stage, log_path):
    """Runs one stage, shows its output as it comes, and keeps it in a file."""
    start = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", stage.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def copy():
        with open(log_path, "w", encoding="utf-8") as log:
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                print(line, flush=True)
                log.write(line + "\n")
                stage.lines.append(line)

    reader = threading.Thread(target=copy, daemon=True)
    reader.start()
    try:
        code = process.wait(timeout=stage.limit)
    except subprocess.TimeoutExpired:
        stop_group(process)
        code = None
    except KeyboardInterrupt:
        stop_group(process)
        raise
    # Whatever the stage left running would hold the pipe open, and the machine.
    reader.join(timeout=2)
    if reader.is_alive():
        stop_group(process)
        reader.join(timeout=2)
        stage.note = "left processes behind; they were ended"
    stage.seconds = time.monotonic() - start

    if code == 0:
        stage.state = "passed"
    elif code == SKIPPED_CODE:
        stage.state = "SKIPPED"
        reasons = [line for line in stage.lines if "SKIPPED" in line]
        stage.note = reasons[-1].strip() if reasons else "no reason given"
    elif code is None:
        stage.state = "FAILED"
        stage.note = f"time limit of {stage.limit} s"
    else:
        stage.state = "FAILED"
        stage.note = f"exit code {code}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("--stage", nargs=4, action="append", required=True,
                        metavar=("NAME", "SECONDS", "NEEDS", "COMMAND"))
    options = parser.parse_args()
    stages = [Stage(*fields) for fields in options.stage]
    options.logs.mkdir(parents=True, exist_ok=True)
    by_name = {}

    for stage in stages:
        by_name[stage.name] = stage
        unmet = [name for name in stage.needs if by_name[name].state != "passed"]
        print(f"\n=== {stage.name} ===", flush=True)
        if unmet:
            stage.note = f"needs {', '.join(unmet)}"
            print(f"not run: {stage.note}", flush=True)
            continue
        run(stage, options.logs / f"{stage.name}.log")
        print(f"--- {stage.name}: {stage.state} after {stage.seconds:.1f} s {stage.note}", flush=True)

    failed = [stage for stage in stages if stage.state == "FAILED"]
    for stage in failed:
        print(f"\n=== {stage.name} FAILED ({stage.note}); all of it: {options.logs / (stage.name + '.log')} ===")
        # What went wrong first, wherever it stood, and how it ended.
        earlier = [line for line in stage.lines[:-TAIL_LINES] if TELLING.search(line)]
        print("\n".join(earlier[:TELLING_LINES] + ["..."] * bool(earlier) + stage.lines[-TAIL_LINES:]))

    width = max(len(stage.name) for stage in stages)
    print(f"\n{'stage':<{width}}  {'result':<8}  {'seconds':>8}")
    for stage in stages:
        print(f"{stage.name:<{width}}  {stage.state:<8}  {stage.seconds:>8.1f}  {stage.note}".rstrip())
    print(f"{'all':<{width}}  {'':<8}  {sum(stage.seconds for stage in stages):>8.1f}")

    whole = all(stage.state in ("passed", "SKIPPED") for stage in stages)
    skipped = [stage.name for stage in stages if stage.state == "SKIPPED"]
    if not whole:
        names = [stage.name for stage in stages if stage.state not in ("passed", "SKIPPED")]
        print(f"\nFAILED: {', '.join(names)}")
    elif skipped:
        print(f"\nPASSED, but SKIPPED: {', '.join(skipped)}")
    else:
        print("\nPASSED")
    return 0 if whole else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
