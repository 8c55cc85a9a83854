"""What a tuple space answers, written with CPython's own `re` and `str.isalnum`.

`Space.answer(operator, payload)` carries a request out on the model. `Generator` makes requests, good and bad.
"""

import collections
import json
import random
import re
import warnings
from dataclasses import dataclass, field

EXISTS, ABSENT, MALFORMED = "exists", "absent", "malformed"


@dataclass
class Answer:
    status: str = "ok"
    pairs: list = field(default_factory=list)
    reasons: list = field(default_factory=list)
    # True or False where the contract says whether there is a warning, None where it is silent.
    warned: object = False


def is_tuple(term):
    return isinstance(term, list) and bool(term) and all(isinstance(part, str) and part.isalnum() for part in term)


def is_pair(term):
    return isinstance(term, list) and len(term) == 2 and is_tuple(term[0]) and is_tuple(term[1])


def compiled(pattern):
    """The compiled expression, or None where CPython rejects it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(pattern)
        except (re.error, OverflowError, RecursionError):
            return None


class Expression:
    """A string or a list of strings; `well_formed` says whether it may be matched."""

    def __init__(self, term):
        self.parts = None
        self.whole = None
        if isinstance(term, str):
            self.whole = compiled(term)
            self.well_formed = self.whole is not None
        elif isinstance(term, list) and all(isinstance(part, str) for part in term):
            self.parts = [compiled(part) for part in term]
            self.well_formed = None not in self.parts
        else:
            self.well_formed = False

    def matches(self, elements):
        if self.parts is None:
            return self.whole.fullmatch(",".join(elements)) is not None
        return len(self.parts) == len(elements) and all(
            part.fullmatch(element) is not None for part, element in zip(self.parts, elements))


class Space:
    """The pairs, by key."""

    def __init__(self):
        self.pairs = {}

    def answer(self, operator, payload):
        if operator in ("GET", "DELETE"):
            return self._match(payload, operator == "DELETE")
        if operator in ("PUT", "POST"):
            return self._update(payload, operator == "PUT")
        return Answer("not-implemented", warned=None)

    def _match(self, payload, remove):
        if not isinstance(payload, list) or len(payload) != 2:
            return Answer(warned=True)
        expressions = [Expression(term) for term in payload]
        if not all(expression.well_formed for expression in expressions):
            return Answer(warned=True)
        key_expression, value_expression = expressions
        found = [key for key, value in self.pairs.items()
                 if key_expression.matches(key) and value_expression.matches(value)]
        pairs = [[list(key), list(self.pairs[key])] for key in found]
        if remove:
            for key in found:
                del self.pairs[key]
        # An expression for no element at all is a list of strings, and matches no tuple: to warn of it is allowed.
        return Answer(pairs=pairs, warned=None if [] in payload else False)

    def _update(self, payload, is_put):
        if not isinstance(payload, list):
            return Answer("malformed", warned=None)
        answer = Answer(warned=None)
        for item in payload:
            if not is_pair(item):
                reason = MALFORMED
            elif (tuple(item[0]) in self.pairs) == is_put:
                reason = EXISTS if is_put else ABSENT
            else:
                self.pairs[tuple(item[0])] = tuple(item[1])
                continue
            answer.pairs.append(item)
            answer.reasons.append(reason)
        return answer

    def everything(self):
        return [[list(key), list(value)] for key, value in self.pairs.items()]


def difference(operator, found, wanted):
    """What `found`, an answer as the command line gives it, has wrong; None where it is right."""
    status = found.get("status")
    if status != wanted.status:
        return f"status {status!r}, not {wanted.status!r}"
    if status != "ok" and not found.get("message"):
        return f"{status} without a message"
    pairs = found.get("pairs", [])
    if operator in ("PUT", "POST"):
        if [canonical(item) for item in pairs] != [canonical(item) for item in wanted.pairs]:
            return f"pairs {pairs}, not {wanted.pairs}"
        reasons = found.get("reasons", [])
        if status == "ok" and list(reasons) != wanted.reasons:
            return f"reasons {reasons}, not {wanted.reasons}"
    elif sorted(map(canonical, pairs)) != sorted(map(canonical, wanted.pairs)):
        found_ones, wanted_ones = set(map(canonical, pairs)), set(map(canonical, wanted.pairs))
        return (f"{len(pairs)} pairs, not {len(wanted.pairs)}: too many {sorted(found_ones - wanted_ones)[:3]}, "
                f"missing {sorted(wanted_ones - found_ones)[:3]}")
    if wanted.warned is not None and bool(found.get("warning")) != wanted.warned:
        return f"warning {found.get('warning')!r}, where one is {'due' if wanted.warned else 'wrong'}"
    return None


def canonical(term):
    return json.dumps(term, sort_keys=True, ensure_ascii=False)


# Requests at random.

WORDS = ["a", "b", "ab", "abc", "user", "x1", "42", "7", "007", "A", "Ab", "z9z9", "aaaa", "0", "k", "q"]
UNICODE_WORDS = ["é", "straße", "Ω", "дом", "日本", "٣٤", "²", "½", "Ⅷ", "ǅ", "𝔘", "𐐀", "İ", "ı", "ſ", "K", "ﬁ",
                 "नम", "ª", "œuvre"]
NOT_ALPHANUMERIC = ["", " ", "a b", "a,b", "-", "a_b", "a\n", "é!", "\u0301", "\u200d", "😀", "a\u0000", "\t"]
CHARACTERS = "ab01xAZz"
CLASSES = [r"\d", r"\w", r"\W", r"\D", r"\s", r"\S", ".", "[a-z]", "[^a-z]", "[0-9A-F]", "[ab]", r"[\d,]", r"[\w]",
           "[^,]", "[a-]", "[]a]", r"[\]\-x]", "é", "[à-ÿ]", "[Ωд日]"]
QUANTIFIERS = ["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "*?", "+?", "??", "{1,2}?"]
MALFORMED_PATTERNS = [
    "(", ")", "[", "a**", "*a", "+", "?x", "(?P<n", "(?P<1a>x)", "(?P=none)", r"\1", r"(\1)", "[z-a]", "a{3,2}",
    "(?<x)", r"\p{L}", "(?z)", "a(?i)b", "(?<=a*)b", "(?P<a>x)(?P<a>y)", r"\q", "(?(2)a|b)", "[a", r"[\q]", "\\", "(?#",
    "x{2}{3}", "(?:", "(?=a", r"\x4", r"\u12", r"\N{NO SUCH NAME}", "(?-i)", "(?i-i:a)", "a++b+++",
]
FULL_ONLY = [
    "a++", "(?>a|ab)b", "(?s:.)", "(?m:^a$)", "(?x: a b # c\n)", r"\N{LATIN SMALL LETTER A}", r"\x61", r"\u0062",
    r"\141", r"\0", "(?a:\\w+)", "(?L:a)", "(?u:\\w+)", "(?i:STRASSE|É)", "(?(1)a|b)", "(a)?(?(1)b|[^b].*)", r"(?P<n>\w)(?P=n)",
    r"\bab\b", r"\B.\B", r"\Aab\Z", "(?<=,)b", "(?<!a)b", r".*(?<=\d)", "[[:alpha:]]+", "a{,2}", "{", "a{", "a{x}",
    "[a&&b]", "[a--b]", "a*+a", "(?i)ſ|K|ı", r"[^\W\d_]+", "(?=.*1)(?!.*2).+",
]
UNKNOWN_OPERATORS = ["", "get", "Put", "LIST", "GETALL", "POST ", "PATCH", "DROP", "ΓET", "G\u0000T", "x" * 200]


class Generator:
    """Requests from a seed. `level` is `common` (the usual syntax of expressions) or `full`."""

    def __init__(self, seed, level="common"):
        self.random = random.Random(seed)
        self.level = level
        # Pairs that were sent lately: expressions are grown from them, or hardly any would match.
        self.recent = collections.deque(maxlen=200)

    def request(self):
        """(operator, payload)"""
        roll = self.random.random()
        if roll < 0.34:
            return "PUT", self.pair_list()
        if roll < 0.52:
            return "POST", self.pair_list()
        if roll < 0.84:
            return "GET", self.match_payload()
        if roll < 0.96:
            return "DELETE", self.match_payload(narrow=True)
        return self.random.choice(UNKNOWN_OPERATORS), self.anything(2)

    # Tuples and lists of pairs.

    def word(self):
        roll = self.random.random()
        if roll < 0.75:
            return self.random.choice(WORDS)
        if roll < 0.9:
            return self.random.choice(UNICODE_WORDS)
        return "".join(self.random.choice(CHARACTERS) for _ in range(self.random.randint(1, 6)))

    def tuple(self):
        return [self.word() for _ in range(self.random.choice([1, 1, 1, 2, 2, 3, 4]))]

    def pair(self):
        key = self.random.choice(self.recent)[0] if self.recent and self.random.random() < 0.3 else self.tuple()
        pair = [key, self.tuple()]
        self.recent.append(pair)
        return pair

    def pair_list(self):
        roll = self.random.random()
        if roll < 0.06:
            return self.anything(1, no_list=True)
        pairs = [self.pair() for _ in range(self.random.choice([0, 1, 1, 1, 2, 2, 3, 5, 12]))]
        if pairs and roll < 0.3:
            for _ in range(self.random.randint(1, 2)):
                pairs.insert(self.random.randrange(len(pairs) + 1), self.malformed_pair())
        if pairs and roll > 0.8:
            # A key that is given twice, with the same value or another one.
            again = [list(self.random.choice([p for p in pairs if is_pair(p)] or [self.pair()])[0]), self.tuple()]
            pairs.insert(self.random.randrange(len(pairs) + 1), again)
        return pairs

    def malformed_pair(self):
        good = self.tuple
        bad = self.random.choice(NOT_ALPHANUMERIC)
        return self.random.choice([
            lambda: [], lambda: [good()], lambda: [good(), good(), good()], lambda: [[], good()], lambda: [good(), []],
            lambda: [self.word(), good()], lambda: [good(), self.word()], lambda: self.word(), lambda: None,
            lambda: [[bad], good()], lambda: [good(), good() + [bad]], lambda: [[1], good()], lambda: [good(), [None]],
            lambda: [good(), [["nested"]]], lambda: {"key": good(), "value": good()}, lambda: [good(), {"a": 1}],
            lambda: self.anything(3),
        ])()

    def anything(self, depth, no_list=False):
        kinds = ["null", "true", "integer", "float", "string", "object"]
        if depth > 0 and not no_list:
            kinds += ["list"] * 3
        kind = self.random.choice(kinds)
        if kind == "null":
            return None
        if kind == "true":
            return self.random.random() < 0.5
        if kind == "integer":
            return self.random.choice([0, -1, 42, 2**31, 2**63, -(2**70)])
        if kind == "float":
            return self.random.choice([0.5, -2.25, 1e300, 1.5e-7])
        if kind == "string":
            return self.random.choice(WORDS + UNICODE_WORDS + NOT_ALPHANUMERIC)
        if kind == "object":
            return {self.word(): self.anything(max(0, depth - 1)) for _ in range(self.random.randint(0, 2))}
        return [self.anything(depth - 1) for _ in range(self.random.randint(0, 4))]

    # Expressions.

    def match_payload(self, narrow=False):
        roll = self.random.random()
        if roll < 0.04:
            return self.anything(2)
        if roll < 0.06:
            return [self.expression([]) for _ in range(self.random.choice([0, 1, 3]))]
        pair = self.random.choice(self.recent) if self.recent and self.random.random() < 0.8 else self.pair()
        key = self.expression(pair[0], narrow)
        value = ".*" if self.random.random() < 0.5 else self.expression(pair[1])
        return [key, value]

    def expression(self, elements, narrow=False):
        """An expression, mostly one that matches `elements`."""
        roll = self.random.random()
        if roll < 0.04:
            return self.random.choice(MALFORMED_PATTERNS)
        if roll < 0.05:
            return self.anything(1)
        if roll < 0.06:
            return ["a", self.random.choice(MALFORMED_PATTERNS)]
        if roll < 0.07:
            return [self.word(), 7]
        if roll < 0.08:
            return [self.pattern(1) for _ in range(self.random.randint(0, 3))]
        if roll < 0.35:
            return [self.grown(element) for element in elements]
        if roll < 0.7:
            return self.grown(",".join(elements))
        if roll < 0.78 and not narrow:
            return self.random.choice([".*", ".+", "[^,]*", r"\w+,\w+", "(.*)"])
        return self.pattern(2)

    def grown(self, text):
        """An expression that mostly matches `text`."""
        pieces = []
        at = 0
        while at < len(text):
            run = text[at:at + self.random.randint(1, 3)]
            at += len(run)
            pieces.append(self.random.choice([
                lambda: re.escape(run), lambda: re.escape(run), lambda: re.escape(run), lambda: "." * len(run),
                lambda: ".*", lambda: ".+?", lambda: "(" + re.escape(run) + ")", lambda: f".{{{len(run)}}}",
                lambda: f"(?:{re.escape(run)}|{self.branch(1)})", lambda: f"[{re.escape(run)}]+", lambda: r"\w+",
                lambda: f"(?={re.escape(run[0])})" + re.escape(run), lambda: r"[^\W,]*" + re.escape(run[-1]) + "?",
                lambda: f"(?!{self.branch(1)}){re.escape(run)}", lambda: f"{re.escape(run)}(?:{self.piece(1)})?",
            ])())
        body = "".join(pieces)
        roll = self.random.random()
        if roll < 0.1 and self.may_ignore_case(body):
            return "(?i)" + (body if "\\" in body else body.swapcase())
        if roll < 0.15:
            return f"({body})|{self.branch(1)}"
        if roll < 0.2:
            return f"^{body}$"
        return body

    def pattern(self, depth):
        if self.level == "full" and self.random.random() < 0.3:
            return self.random.choice(FULL_ONLY)
        body = self.branch(depth)
        if self.random.random() < 0.08:
            body = "^" + body
        if self.random.random() < 0.08:
            body += "$"
        if self.random.random() < 0.08 and self.may_ignore_case(body):
            body = "(?i)" + body
        return body

    def may_ignore_case(self, body):
        """Back-references that ignore case are not common syntax: PCRE2 and CPython fold case differently there."""
        return self.level == "full" or not ("\\1" in body or "(?P=" in body)

    def branch(self, depth):
        return "".join(self.piece(depth) for _ in range(self.random.randint(1, 3)))

    def piece(self, depth):
        roll = self.random.random()
        if roll < 0.3 or depth == 0:
            atom = self.random.choice([re.escape(self.word()), self.random.choice(CHARACTERS)])
        elif roll < 0.65:
            atom = self.random.choice(CLASSES)
        elif roll < 0.75:
            atom = "(" + self.branch(depth - 1) + ")" + self.random.choice(["", "", r"\1"])
        elif roll < 0.85:
            atom = "(?:" + "|".join(self.branch(depth - 1) for _ in range(self.random.randint(1, 3))) + ")"
        elif roll < 0.9:
            return self.random.choice(["(?=", "(?!"]) + self.branch(depth - 1) + ")"
        elif roll < 0.93:
            name = "n" + str(self.random.randrange(1000))
            return f"(?P<{name}>{self.branch(depth - 1)})" + self.random.choice(["", f"(?P={name})"])
        else:
            return self.random.choice([",", ",?", ".*", r"\w+", ",.*"])
        if self.random.random() < 0.35:
            atom += self.random.choice(QUANTIFIERS)
        return atom
