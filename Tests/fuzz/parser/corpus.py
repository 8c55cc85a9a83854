#!/usr/bin/env python3
"""Writes what the parser's fuzzer begins with: the patterns of CPython's own tests, and a dictionary of tokens.

usage: corpus.py CORPUS-FOLDER DICTIONARY-FILE
"""

import hashlib
import json
import sys
from pathlib import Path

CASES = Path(__file__).resolve().parents[2] / "oracle" / "cpython_cases.jsonl"
LONGEST_PATTERN = 500
TOKENS = r"""
( ) (?: (?P< (?P= (?= (?! (?<= (?<! (?> (?( (?# (?i) (?x) (?a: (?u: (?s: (?m: (?-i: (?ix-ms: (?L) (?t) > : | ^ $ . ?
* + ? *? +? ?? *+ ++ ?+ { } {,} {1,2} {,2}? {2}+ {0} {65535} {65536} {4294967294} {4294967295} [ ] [^ [] [^] - && -- ~~ ||
\d \D \w \W \s \S \b \B \A \Z \1 \2 \10 \0 \07 \377 \400 \x41 \u0061 \U0001f600 \N{DIGIT\x20ONE} \N{nul} \\ \z \p \ud800
[:alpha:] [\d-a] (?(1) (?(n) (?P<n> (?P=n) \g \k \Q \E (*FAIL) (?R) (?| (?1) # \n é ß ſ K İ ı ﬁ Σ ς 漢 😀 \xff
""".split()


def main():
    folder, dictionary = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with CASES.open(encoding="ascii") as lines:
        subjects = json.loads(next(lines))["subjects"]
        for line in lines:
            pattern, matching = json.loads(line)[:2]
            if len(pattern) <= LONGEST_PATTERN:
                subject = subjects[int(matching.replace("-", ",").split(",")[-1])] if matching else "ab"
                data = pattern.encode() + b"\xff" + subject.encode()
                (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    entries = []
    for token in TOKENS:
        text = {r"\n": "\n", r"\N{DIGIT\x20ONE}": r"\N{DIGIT ONE}"}.get(token, token)
        data = b"\xff" if token == r"\xff" else text.encode()
        entries.append('"' + "".join(f"\\x{byte:02x}" for byte in data) + '"\n')
    dictionary.write_text("".join(entries), encoding="ascii")


if __name__ == "__main__":
    main()
