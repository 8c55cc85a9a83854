"""Runs checks one after the other, with a line and the seconds for each.

A check is a function whose name begins with `check_`; the first line of its doc string says what it proves.
"""

import fnmatch
import sys
import time
import traceback

from daemon import end_on_signals, require_programs


class Skipped(Exception):
    """The check cannot be made here; the message says why."""


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def expect_equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {_short(found)}, not {_short(wanted)}")


def _short(value):
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text)} characters)"


def run_checks(namespace, arguments=None):
    """Runs the checks of a module (its `globals()`), all or those whose names match a pattern on the command line.

    Returns the exit code.
    """
    require_programs()
    end_on_signals()
    patterns = sys.argv[1:] if arguments is None else arguments
    checks = [
        (name.removeprefix("check_").replace("_", "-"), function)
        for name, function in namespace.items()
        if name.startswith("check_") and callable(function)
    ]
    if patterns:
        checks = [(name, function) for name, function in checks
                  if any(fnmatch.fnmatch(name, pattern) or pattern in name for pattern in patterns)]
    failed = []
    skipped = 0
    begin = time.monotonic()
    for name, function in checks:
        start = time.monotonic()
        note = (function.__doc__ or "").strip().split("\n")[0]
        try:
            function()
            result = "ok"
        except Skipped as reason:
            result = "SKIPPED"
            note = str(reason)
            skipped += 1
        except Exception:  # one failing check must not hide the others
            result = "FAILED"
            failed.append(name)
            traceback.print_exc()
        print(f"  {result:<7} {time.monotonic() - start:6.1f} s  {name}: {note}", flush=True)
    if failed:
        print(f"  failed: {', '.join(failed)}")
    passed = len(checks) - len(failed) - skipped
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped, {time.monotonic() - begin:.1f} s", flush=True)
    return 1 if failed or not checks else 0
