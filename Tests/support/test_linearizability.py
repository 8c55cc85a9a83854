"""The checker of histories, held against histories made by hand, good and bad, and against random ones.

usage: python3 test_linearizability.py
"""

import random
import unittest

from linearizability import Operation, check, key_of, violations
from model import Answer, Space


class Told(Answer):
    @property
    def given_back(self):
        return self.pairs


def told(pairs=(), reasons=(), status="ok"):
    return Told(status=status, pairs=list(pairs), reasons=list(reasons))


KEY = ["k"]


def put(begin, end, value, exists=False, key=KEY):
    pair = [key, [value]]
    return Operation(begin, end, "PUT", [pair], told([pair], ["exists"]) if exists else told())


def post(begin, end, value, absent=False, key=KEY):
    pair = [key, [value]]
    return Operation(begin, end, "POST", [pair], told([pair], ["absent"]) if absent else told())


def get(begin, end, value=None, key=KEY):
    return Operation(begin, end, "GET", [key, ".*"], told([[key, [value]]] if value else []))


def delete(begin, end, value=None, key=KEY):
    return Operation(begin, end, "DELETE", [key, ".*"], told([[key, [value]]] if value else []))


class HandMade(unittest.TestCase):
    def good(self, *operations, initial=frozenset()):
        self.assertEqual(violations(list(operations), initial), [])

    def bad(self, *operations, initial=frozenset()):
        self.assertEqual(len(violations(list(operations), initial)), 1)

    def test_one_after_the_other(self):
        self.good(put(0, 1, "a"), get(2, 3, "a"), post(4, 5, "b"), get(6, 7, "b"), delete(8, 9, "b"), get(10, 11))

    def test_a_lost_write(self):
        self.bad(put(0, 1, "a"), get(2, 3))
        self.bad(put(0, 1, "a"), post(2, 3, "b"), get(4, 5, "a"))

    def test_a_write_that_took_effect_twice(self):
        self.bad(put(0, 1, "a"), delete(2, 3, "a"), get(4, 5, "a"))
        self.bad(put(0, 1, "a"), delete(2, 3, "a"), put(4, 5, "b", exists=True))

    def test_a_value_out_of_nowhere(self):
        self.bad(put(0, 1, "a"), get(2, 3, "z"))

    def test_a_stale_read_is_bad_only_when_it_began_after_the_write_ended(self):
        self.bad(put(0, 1, "a"), post(2, 3, "b"), get(4, 5, "a"))
        self.good(put(0, 1, "a"), post(2, 5, "b"), get(4, 6, "a"))

    def test_two_reads_may_not_go_back_in_time(self):
        self.good(put(0, 1, "a"), post(2, 10, "b"), get(3, 4, "a"), get(5, 6, "b"))
        self.bad(put(0, 1, "a"), post(2, 10, "b"), get(3, 4, "b"), get(5, 6, "a"))

    def test_both_of_two_puts_at_once_cannot_succeed(self):
        self.good(put(0, 5, "a"), put(1, 4, "b", exists=True))
        self.bad(put(0, 5, "a"), put(1, 4, "b"))

    def test_without_an_answer_it_may_have_happened_or_not(self):
        open_put = Operation(0, 1, "PUT", [[KEY, ["a"]]])
        self.good(open_put, get(2, 3))
        self.good(open_put, get(2, 3, "a"))
        self.good(open_put, get(2, 3), get(4, 5, "a"))
        self.bad(open_put, get(2, 3, "a"), get(4, 5))

    def test_it_begins_with_what_was_there(self):
        there = frozenset({(("k",), ("a",))})
        self.good(get(0, 1, "a"), initial=there)
        self.bad(get(0, 1), initial=there)

    def test_keys_are_checked_apart(self):
        other = ["l"]
        self.good(put(0, 1, "a"), put(0, 1, "b", key=other), get(2, 3, "b", key=other), get(2, 3, "a"))
        self.bad(put(0, 1, "a"), put(0, 1, "b", key=other), get(2, 3, "a", key=other), get(2, 3, "a"))

    def test_a_list_takes_effect_at_one_moment(self):
        both = Operation(0, 10, "PUT", [[["k"], ["a"]], [["l"], ["a"]]], told())

        def look(begin, end, *keys):
            return Operation(begin, end, "GET", [".*", ".*"], told([[[key], ["a"]] for key in keys]))

        self.assertIsNone(key_of(both))
        self.good(both, look(1, 2), look(3, 4, "k", "l"))
        self.bad(both, look(1, 2), look(3, 4, "k"))
        self.bad(both, look(1, 2, "l", "k"), look(3, 4))


class Made(unittest.TestCase):
    """Histories of a real space are good; with one answer changed they are, as a rule, not."""

    def history(self, dice, clients=4, length=60):
        space, busy, now, operations = Space(), [0.0] * clients, 0.0, []
        for _ in range(length):
            client = dice.randrange(clients)
            begin = max(busy[client], now - dice.random() * 3)
            now = max(now + dice.random(), begin)
            key, value = [dice.choice("kl")], [dice.choice("abc")]
            operator = dice.choice(("GET", "PUT", "POST", "DELETE"))
            payload = [[key, value]] if operator in ("PUT", "POST") else [key, ".*"]
            answer = space.answer(operator, payload)
            end = now + dice.random() * 2
            busy[client] = end
            operations.append(Operation(
                begin, end, operator, payload, told(answer.pairs, answer.reasons), f"c{client}"))
        return operations

    def test_random_histories(self):
        seed = random.SystemRandom().randrange(10**9)
        dice = random.Random(seed)
        found = 0
        for _ in range(60):
            operations = self.history(dice)
            self.assertEqual(violations(operations), [], f"seed {seed}")
            wrong = dice.choice([one for one in operations if one.operator == "GET"])
            wrong.answer = told([[wrong.payload[0], ["never"]]])
            found += bool(violations(operations))
        self.assertEqual(found, 60, f"seed {seed}")

    def test_a_long_history_with_few_at_once_is_quick(self):
        dice = random.Random(7)
        self.assertTrue(check(self.history(dice, clients=3, length=2_000)))


if __name__ == "__main__":
    unittest.main()
