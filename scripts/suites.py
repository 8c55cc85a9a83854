#!/usr/bin/env python3
"""Runs every suite of real processes in a folder, one after the other, each with a time limit.

A suite is a Python file whose name does not start with `_` and that can be run by itself: exit code 0 passed, 77 skipped,
anything else failed. A line `# time limit: N s` near its top replaces the usual limit.

usage: suites.py FOLDER [NAME]...      NAME is a file's name without `.py`
"""

import re
import subprocess
import sys
import time
from pathlib import Path

USUAL_LIMIT_SECONDS = 300
HEAD_CHARACTERS = 4096


def suites(folder, names):
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith("_") or "__main__" not in text:
            continue
        if names and path.stem not in names:
            continue
        limit = re.search(r"^# time limit: (\d+) s$", text[:HEAD_CHARACTERS], re.MULTILINE)
        found.append((path, int(limit[1]) if limit else USUAL_LIMIT_SECONDS))
    return found


def main():
    folder = Path(sys.argv[1])
    chosen = suites(folder, sys.argv[2:])
    if not chosen:
        print(f"SKIPPED: there are no suites in {folder}")
        return 77

    failed, skipped = [], []
    for path, limit in chosen:
        print(f"\n>>> {path.stem}", flush=True)
        start = time.monotonic()
        command = ["timeout", "--kill-after=15", str(limit), sys.executable, str(path)]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        words = {0: "passed", 77: "SKIPPED", 124: f"FAILED, time limit of {limit} s", 137: "FAILED, killed"}
        print(f"<<< {path.stem}: {words.get(code, f'FAILED, exit code {code}')} "
              f"after {time.monotonic() - start:.1f} s", flush=True)
        if code == 77:
            skipped.append(path.stem)
        elif code != 0:
            failed.append(path.stem)

    print(f"\n{len(chosen)} suites, {len(failed)} failed {failed or ''}, {len(skipped)} skipped {skipped or ''}")
    if failed:
        return 1
    return 77 if len(skipped) == len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
