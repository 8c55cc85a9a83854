#!/usr/bin/env python3
"""Writes cpython_cases.jsonl: what CPython 3.11 answers to the patterns of its own tests of `re`, each asked about every
subject of those tests. So the answers are there on machines with another Python, and without its tests.

The patterns are those of test/re_tests.py, as they are (`fullmatch`) and once more with `.*?` before and `.*` behind
(`search`, which is what that table is about), and all that test/test_re.py compiles, flags written as `(?i)` before.

The file's first line is {"version", "subjects"}. Each further line is a pattern: [pattern, indexes of the subjects that it
matches, as "0-3,7"], or [pattern, null, message, position or null, the whole message] where it is refused.

usage: record_cases.py [--check]     --check compares with the file that is there instead of writing it
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import regex_oracle

FILE = Path(__file__).resolve().with_name("cpython_cases.jsonl")
LEADING_FLAGS = re.compile(r"(?:\(\?[aimsux]+\))*")


def search(pattern):
    """A pattern whose full match is the other's search."""
    flags = LEADING_FLAGS.match(pattern).group()
    rest = pattern[len(flags):]
    end = "\n" if "x" in flags else ""
    return f"{flags}(?s:.*?)(?:{rest}{end})(?s:.*)"


def indexes(numbers):
    """Numbers in order, as runs."""
    runs = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def lines():
    cases = regex_oracle.cases()
    patterns = {case["pattern"] for case in cases}
    table = {(case["pattern"], case["subjects"][0]): case["outcome"] for case in cases if "outcome" in case}
    patterns |= {search(pattern) for pattern, _ in table}
    subjects = sorted({subject for case in cases for subject in case["subjects"]}, key=lambda text: (len(text), text))
    yield {"version": sys.version.split()[0], "subjects": subjects}
    places = {subject: place for place, subject in enumerate(subjects)}
    matched = {}
    for pattern in sorted(patterns):
        answer = regex_oracle.answer({"pattern": pattern, "subjects": subjects})
        if "error" in answer:
            yield [pattern, None, answer["error"], answer["pos"], answer["text"]]
            continue
        if None in answer["matches"]:
            raise SystemExit(f"no answer in time: {pattern!r}")
        matched[pattern] = answer["matches"]
        yield [pattern, indexes(place for place, found in enumerate(answer["matches"]) if found)]
    check_table(table, matched, places)


def check_table(table, matched, places):
    """What the table itself says of each search has come out."""
    from test import re_tests
    for (pattern, subject), outcome in table.items():
        if (outcome == re_tests.SYNTAX_ERROR) != (pattern not in matched):
            raise SystemExit(f"{pattern!r} is taken, or refused, against the table")
        if pattern in matched and matched[search(pattern)][places[subject]] != (outcome == re_tests.SUCCEED):
            raise SystemExit(f"{pattern!r} on {subject!r} is against the table")


def main():
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(f"this is Python {sys.version.split()[0]}; the rules are those of 3.11")
    regex_oracle.prepare()
    text = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines())
    if "--check" not in sys.argv:
        FILE.write_text(text, encoding="ascii")
    elif FILE.read_text(encoding="ascii").splitlines()[1:] != text.splitlines()[1:]:
        raise SystemExit(f"{FILE.name} is not what this Python answers")


if __name__ == "__main__":
    main()
