#!/usr/bin/env python3
"""Says what CPython makes of patterns: reads lines of JSON, answers each with one.

{"pattern": "a+", "subjects": ["a", "b"]} is answered with {"matches": [true, false]}, where null stands for a match that
took too long, or with {"error": message, "pos": position or null, "text": the whole message}.
{"describe": true} is answered with the version, {"cases": true} with the patterns of CPython's own test suite.
{"among": ["a", "b"]} sets the subjects for {"everywhere": "a+"}, which is answered with {"found": [0]}, their places;
{"names": true} is answered with all characters that have a name, as {"names": [[97, "LATIN SMALL LETTER A"]]}.
"""

import json
import re
import signal
import sys
import unicodedata
import warnings

SECONDS_A_MATCH = 0.5
AMONG = []


class TooLong(Exception):
    pass


def stop(signum, frame):
    raise TooLong


def answer(request):
    if "describe" in request:
        return {"version": sys.version.split()[0]}
    if "cases" in request:
        return {"cases": cases()}
    if "names" in request:
        named = ((point, unicodedata.name(chr(point), None)) for point in range(0x110000))
        return {"names": [[point, name] for point, name in named if name]}
    if "among" in request:
        AMONG[:] = request["among"]
        return {}
    if "everywhere" in request:
        matches_whole = re.compile(request["everywhere"]).fullmatch
        return {"found": [place for place, subject in enumerate(AMONG) if matches_whole(subject)]}
    try:
        pattern = re.compile(request["pattern"])
    except re.error as error:
        return {"error": error.msg, "pos": error.pos, "text": str(error)}
    except (OverflowError, ValueError, RecursionError, RuntimeError) as error:
        return {"error": str(error), "pos": None, "text": str(error)}
    return {"matches": [matches(pattern, subject) for subject in request["subjects"]]}


def matches(pattern, subject):
    """None where it takes too long, or where CPython finds a fault of its own (SystemError)."""
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS_A_MATCH)
        try:
            return pattern.fullmatch(subject) is not None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (TooLong, MemoryError, SystemError):
        return None


def cases():
    """The patterns of re_tests, and those of test_re (whatever is given to `re` there as a `str` pattern)."""
    found = []
    try:
        from test import re_tests
        for case in re_tests.tests:
            pattern, subject, outcome = case[:3]
            if isinstance(pattern, str) and isinstance(subject, str):
                found.append({"pattern": pattern, "subjects": [subject], "outcome": outcome})
    except ImportError:
        pass
    return found + recorded()


def recorded():
    """Runs CPython's test_re, and writes down what it compiles and what it matches."""
    try:
        import io
        import unittest
        from test import test_re
        from re import _compiler, _parser
    except ImportError:
        return []
    found = {}
    real = _compiler.compile
    real_front = re._compile
    letters = [(2, "i"), (8, "m"), (16, "s"), (64, "x"), (256, "a")]

    def note(pattern, flags):
        known = "".join(letter for flag, letter in letters if flags & flag)
        pattern = f"(?{known}){pattern}" if known else pattern
        return found.setdefault(pattern, set()) if encodable(pattern) else set()

    def compile(p, flags=0):
        if isinstance(p, str):
            note(p, flags)
        return real(p, flags)

    def front(pattern, flags):
        compiled = real_front(pattern, flags)
        return Recorder(compiled, note(pattern, int(flags))) if isinstance(pattern, str) else compiled

    _compiler.compile, re._compile = compile, front
    try:
        suite = unittest.defaultTestLoader.loadTestsFromModule(test_re)
        unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    finally:
        _compiler.compile, re._compile = real, real_front
    subjects = ["", "a", "b", "ab", "abc", "aa", "aaa", "\n", "a\n", " ", "0", "x", "abab", "aB", "İ", "ſ", "-", "]"]
    return [{"pattern": pattern, "subjects": subjects + sorted(found[pattern])}
            for pattern in sorted(found) if len(pattern) < 5000]


def encodable(text):
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


class Recorder:
    """A pattern that remembers what it was asked about."""

    def __init__(self, pattern, subjects):
        self._pattern, self._subjects = pattern, subjects

    def __getattr__(self, name):
        attribute = getattr(self._pattern, name)
        if not callable(attribute):
            return attribute

        def call(*arguments, **named):
            subject = arguments[1 if name in ("sub", "subn") else 0] if arguments else ""
            if isinstance(subject, str) and len(subject) < 5000 and encodable(subject):
                self._subjects.add(subject)
            return attribute(*arguments, **named)

        return call


def prepare():
    """Lets matches be stopped that take too long."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, stop)
    # Whoever starts this process may have blocked the signal, and the block is handed down.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def main():
    prepare()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
