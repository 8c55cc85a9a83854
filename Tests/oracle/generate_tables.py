#!/usr/bin/env python3
"""Writes the Unicode tables of Sources/PythonRegex from the running CPython, which has to be 3.11 (Unicode 14).

Usage: python3 Tests/oracle/generate_tables.py Sources/PythonRegex/Tables [NameAliases.txt]

Names of characters come from Swift at run time; the aliases do not, so their table is written where the file of the
Unicode Character Database is given (its lines are `code point;alias;kind`).
"""

import pathlib
import sys
import unicodedata
import _sre
from re._casefix import _EXTRA_CASES

assert sys.version_info[:2] == (3, 11) and unicodedata.unidata_version == "14.0.0"

HEAD = "// Written by Tests/oracle/generate_tables.py from CPython 3.11 (Unicode 14.0.0); not edited by hand.\n\n"


def rows(numbers, width=12):
    lines = []
    for start in range(0, len(numbers), width):
        lines.append("        " + ", ".join(hex(n) if n > 9 else str(n) for n in numbers[start:start + width]) + ",")
    return "\n".join(lines)


def mapping_runs(function):
    """Runs (first, last, step, delta modulo 2**32) of the code points that `function` changes."""
    keys = [c for c in range(0x110000) if function(c) != c]
    runs = []
    for key in keys:
        delta = (function(key) - key) % 2**32
        if runs:
            first, last, step, known = runs[-1]
            gap = key - last
            if known == delta and gap in (1, 2) and step in (0, gap):
                runs[-1] = (first, key, gap, delta)
                continue
        runs.append((key, key, 0, delta))
    return [(f, l, s or 1, d) for f, l, s, d in runs]


def ranges(predicate):
    result = []
    for c in range(0x110000):
        if predicate(chr(c)):
            if result and result[-1][1] == c - 1:
                result[-1][1] = c
            else:
                result.append([c, c])
    return result


def upper(c):
    # The simple upper-case mapping that `_sre` uses: the first character of the full one, and only where
    # `unicode_iscased` can see it. It is not exported, so it is derived: see Objects/unicodectype.c.
    text = chr(c).upper()
    return ord(text[0])


def flat(table):
    return [n for row in table for n in row]


def table(name, comment, numbers, width=12):
    return (f"    /// {comment}\n    static let {name}: [UInt32] = [\n{rows(numbers, width)}\n    ]\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for c in range(0x110000):
        lower = _sre.unicode_tolower(c)
        assert _sre.unicode_iscased(c) == (c != lower or c != upper(c)), hex(c)
        a, b = chr(c), chr(lower)
        # The translation relies on it: lower-casing never moves a character into or out of a category.
        assert (a.isalnum(), a.isspace(), a.isdecimal()) == (b.isalnum(), b.isspace(), b.isdecimal())
    extra = []
    for key, others in sorted(_EXTRA_CASES.items()):
        extra += [(key, other) for other in others]
    body = HEAD + "/// How CPython's `re` folds case.\nenum CaseTables {\n"
    body += table("lower", "Simple lower-case mapping: first, last, step, offset (modulo 2^32).",
                  flat(mapping_runs(_sre.unicode_tolower)))
    body += "\n" + table("upper", "Upper-case mapping as `_sre` sees it: first, last, step, offset (modulo 2^32).",
                         flat(mapping_runs(upper)))
    body += "\n" + table("extra", "Pairs of different lower-case characters with the same upper-case one.", flat(extra))
    body += "}\n"
    (folder / "CaseTables.swift").write_text(body)

    body = HEAD + "/// What `\\w` and `\\d` hold, as pairs of first and last code point.\nenum ClassTables {\n"
    body += table("word", "`str.isalnum()` or the underscore.", flat(ranges(lambda c: c.isalnum() or c == "_")))
    body += "\n" + table("digit", "`str.isdecimal()`.", flat(ranges(str.isdecimal)))
    body += "\n" + table("space", "`str.isspace()`.", flat(ranges(str.isspace)))
    body += "\n" + table("alphabetic", "`str.isalpha()`.", flat(ranges(str.isalpha)))
    body += "\n" + table("printable", "`str.isprintable()`.", flat(ranges(str.isprintable)))
    body += "\n" + table("identifierStart", "What an identifier may begin with.", flat(ranges(str.isidentifier)))
    body += "\n" + table("identifierPart", "What an identifier may go on with.",
                         flat(ranges(lambda c: ("a" + c).isidentifier())))
    body += "}\n"
    (folder / "ClassTables.swift").write_text(body)
    if len(sys.argv) > 2:
        (folder / "AliasTable.swift").write_text(aliases(sys.argv[2]))


def aliases(path):
    found = set()
    for line in open(path):
        fields = line.split("#")[0].strip().split(";")
        if len(fields) < 2:
            continue
        try:
            character = unicodedata.lookup(fields[1])
        except KeyError:
            continue
        if ord(character) == int(fields[0], 16) and unicodedata.name(character, None) != fields[1]:
            found.add((ord(character), fields[1]))
    lines = "".join(f'        ("{name}", {hex(code)}),\n' for code, name in sorted(found))
    return (HEAD + "/// Formal aliases of characters, control characters' names among them.\nenum AliasTable {\n"
            + f"    static let entries: [(name: String, value: UInt32)] = [\n{lines}    ]\n}}\n")


main()
