"""The slips of `make mutants` can be planted in the sources as they are, and those that survive are accounted for."""

import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "mutants"))

from instrument import SlipError, load, parse, plant, planted_files  # noqa: E402


class SlipsTest(unittest.TestCase):
    def test_each_can_be_planted(self):
        slips = load()
        self.assertGreaterEqual(len(slips), 80)
        for module in ("Replication", "Routing", "TupleStore", "Journal", "Calling"):
            self.assertTrue(any(slip.module == module for slip in slips), module)
        planted = planted_files(slips, ROOT / "Sources")
        self.assertEqual(set(planted), {slip.file for slip in slips})
        for number in range(len(slips)):
            self.assertEqual(sum(text.count(f"slips({number})") for text in planted.values()), 1)

    def test_the_page_lists_those_that_are_harmless(self):
        page = (ROOT / "specs" / "0008-simulation.md").read_text(encoding="utf-8")
        listed = set(re.findall(r"^\| `([a-z0-9-]+)` \| harmless", page, re.M))
        self.assertEqual(listed, {slip.name for slip in load() if slip.harmless})

    def test_slips_at_one_place_and_inside_each_other_are_planted_apart(self):
        slips = parse("== one\nfile: x\n- a < b\n+ a <= b\n== two\nfile: x\n- a < b\n+ a > b\n"
                      "== three\nfile: x\nas: statement\n- if a < b { f() }\n+\n", "a test")
        text = "if a  < b {\n f() }"
        spans = {}
        for number, slip in enumerate(slips):
            spans.setdefault(slip.span(text), []).append((number, slip))
        self.assertEqual(" ".join(plant(text, 0, len(text), spans).split()),
                         "if slips(2) { } else { if (slips(0) ? (a <= b ) : ((slips(1) ? (a > b ) : (a < b)))) "
                         "{ f() } }".replace("a  <", "a <"))

    def test_a_place_that_is_there_twice_or_not_at_all_is_an_error(self):
        for text in ("", "x = 1\nx = 1"):
            with self.assertRaises(SlipError):
                parse("== one\nfile: x\n- x = 1\n+ x = 2\n", "a test")[0].span(text)


if __name__ == "__main__":
    unittest.main()
