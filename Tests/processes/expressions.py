#!/usr/bin/env python3
"""Python's expressions as a client asks them: every case of CPython's own tests of `re`, recorded from CPython 3.11 in
Tests/oracle/cpython_cases.jsonl, through a proxy and two servers.
"""
# time limit: 120 s

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, run_checks
from suite import Suite
from twinspace_protocol import Client

CASES = Path(__file__).resolve().parents[1] / "oracle" / "cpython_cases.jsonl"
# Without the flag a dot takes no line feed.
ANYTHING = "(?s).*"
PAIRS_A_PUT = 200
IN_FLIGHT = 64
SHOWN = 10
# A reason may quote the expression; the service cuts it off somewhere behind this.
REASON_CHARACTERS = 400
# Where CPython's own tests are left without a limit, a pattern's work may exceed the service's.
TOO_COSTLY = 5


def read_cases():
    """The subjects, and (pattern, matching subjects or None, message) of every case."""
    with CASES.open(encoding="ascii") as lines:
        subjects = json.loads(next(lines))["subjects"]
        cases = []
        for line in lines:
            pattern, matching, *refused = json.loads(line)
            found = None if matching is None else {subjects[place] for place in places(matching)}
            cases.append((pattern, found, refused[-1] if refused else ""))
    return subjects, cases


def places(text):
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)


def ask(client, payloads):
    """The answers to GETs of all payloads, many of them in flight."""
    answers = []
    for start in range(0, len(payloads), IN_FLIGHT):
        sequences = [client.request_async("GET", payload) for payload in payloads[start:start + IN_FLIGHT]]
        answers += [client.collect(sequence) for sequence in sequences]
    return answers


def difference(answer, matching, message, subjects, side):
    """What is wrong with an answer, if something is."""
    if matching is None:
        wanted = f"malformed {side} expression{', element 1' if side == 'value' else ''}: {message}"
        if answer.pairs or not answer.warning.startswith(wanted[:REASON_CHARACTERS]):
            return f"{len(answer.pairs)} pairs, warning {answer.warning!r}, not {wanted!r}"
        return None
    found = [pair[0 if side == "key" else 1][0] for pair in answer.pairs]
    wanted = matching & subjects
    if answer.status != "ok" or answer.warning:
        return f"{answer.status}, {answer.message!r}, warning {answer.warning!r}"
    if sorted(found) != sorted(wanted):
        return f"too many {sorted(set(found) - wanted)[:3]}, missing {sorted(wanted - set(found))[:3]}"
    return None


def check_the_cases_of_cpythons_own_tests():
    """each pattern of test_re and re_tests finds exactly the subjects that CPython 3.11 matches, or is refused in its words"""
    everything, cases = read_cases()
    expect(len(cases) > 2900 and len(everything) > 600, f"{len(cases)} cases, {len(everything)} subjects")
    # An element is never empty.
    subjects = {subject for subject in everything if subject}
    with Suite(servers=2, server_flags=("--elements", "text")) as suite, \
            Client("127.0.0.1", suite.ports["clients"], timeout=60.0) as client:
        pairs = [[[subject], [subject]] for subject in sorted(subjects)]
        for start in range(0, len(pairs), PAIRS_A_PUT):
            expect(not client.put(pairs[start:start + PAIRS_A_PUT]).rejected, "a subject was not taken")
        wrong, costly = [], []
        # As the expression of a whole tuple, for the key, and of one element, for the value.
        for side in ("key", "value"):
            payloads = [[pattern, ANYTHING] if side == "key" else [ANYTHING, [pattern]] for pattern, _, _ in cases]
            for (pattern, matching, message), answer in zip(cases, ask(client, payloads), strict=True):
                if answer.status == "too-costly":
                    costly.append(f"{side} {pattern!r}: {answer.message}")
                    continue
                what = difference(answer, matching, message, subjects, side)
                if what:
                    wrong.append(f"{side} {pattern!r}: {what}")
        expect(not wrong, f"{len(wrong)} answers differ from CPython's:\n  " + "\n  ".join(wrong[:SHOWN]))
        expect(len(costly) <= TOO_COSTLY, "too costly:\n  " + "\n  ".join(costly))
    refused = sum(matching is None for _, matching, _ in cases)
    print(f"    {len(cases)} patterns ({refused} refused) × {len(subjects)} subjects, as keys and as values; "
          f"{len(costly)} too costly", flush=True)


def check_hostile_expressions():
    """expressions that are deep, long, or multiply are refused, matched or too costly; the server stays what it was"""
    deep = ["(" * 200 + "a" + ")" * 200, "(?>a|" * 199 + "a" + ")++" * 199, "(?<=" * 199 + "a" + ")" * 199,
            "(a)" + "(?(1)b|" * 198 + "a" + ")" * 198, "(?i:a|" * 199 + "a" + ")*" * 199, "(" * 300, "(?:" * 20000]
    long = ["a|" * 32000, "(a)" * 21000, r"\w" * 32000, "(?i)" + r"[\x00-\uffff]" * 4600, "[" * 65536, "a" * 65537,
            "a{" + "9" * 60000 + "}"]
    multiplied = ["((((a{1,1000}){1,1000}){1,1000}))", "(?:(?:(?:a?){1,1000}){1,1000}){1,1000}", "(?:){4294967294}!",
                  "(a+)+$", "(?:a?){30}a{30}$"]
    with Suite(servers=2, server_flags=("--elements", "text")) as suite, \
            Client("127.0.0.1", suite.ports["clients"], timeout=60.0) as client:
        client.put([[["a" * 40 + "!"], ["1"]], [["a"], ["2"]]])
        active = suite.active()
        answers = [client.get(expression) for expression in deep + long + multiplied]
        for expression, answer in zip(deep + long + multiplied, answers, strict=True):
            expect(answer.status in ("ok", "too-costly") and (answer.status == "ok" or not answer.pairs),
                   f"{expression[:40]!r}: {answer.status} {answer.message}")
        warnings = [answer.warning for answer in answers]
        expect("groups nested deeper than 200 at position 201" in warnings[5], warnings[5])
        expect("pattern of 65537 bytes is longer than 65536" in warnings[len(deep) + 5], warnings[len(deep) + 5])
        expect([answer.status for answer in answers][-2:] == ["too-costly"] * 2, f"{answers[-2:]}")
        expect([pair[0] for pair in client.get("a").pairs] == [["a"]], "the server answers no more")
        expect(suite.active() == active, "another server is active")


def check_expressions_from_the_command_line():
    """a message on the command line has CPython's words and position; what matches is printed"""
    with Suite(servers=1, server_flags=("--elements", "text")) as suite:
        suite.cli("put", '["straße"]', "1", '["STRASSE"]', "2", '["a\\nb"]', "3", expect=0)
        for expression, wanted in (("(?i)STRAẞE", ["straße"]), ("(?i)strasse", ["STRASSE"]), ("a.b", []),
                                   ("(?s)a.b", ["a\nb"]), (r"(?i)(s)\w*\1\w*", ["STRASSE"]),
                                   (r"\w+\Z", ["STRASSE", "straße"])):
            found = sorted(pair[0][0] for pair in suite.answer("get", expression)["pairs"])
            expect(found == wanted, f"{expression!r}: {found}, not {wanted}")
        for expression, message in (
                ("(", "missing ), unterminated subpattern at position 0"),
                ("[z-a]", "bad character range z-a at position 1"),
                ("a**", "multiple repeat at position 2"),
                (r"\z", r"bad escape \z at position 0"),
                ("(?<=a*)b", "look-behind requires fixed-width pattern"),
                ("(?x)a #\n(", "missing ), unterminated subpattern at position 8 (line 2, column 1)")):
            answer = suite.answer("get", expression, expect=3)
            expect(not answer["pairs"] and message in answer.get("warning", ""), f"{expression!r}: {answer}")


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
