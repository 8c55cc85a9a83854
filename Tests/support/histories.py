"""Clients that note what they ask and what they are told, for the checker of histories.

Some work on keys one at a time and share them; some put lists and match several keys at once, seldom, so that their
histories stay small enough to be checked as a whole.
"""

import random
import threading
import time

from linearizability import Operation, violations
from twinspace_protocol import Client, OutOfTime

VALUES = "pqrst"
ANSWER_SECONDS = 30.0


class Historian:
    """One client, a thread, from `start` to `stop`."""

    def __init__(self, port, name, choose, pause, limit, seed):
        self.port = port
        self.name = name
        self.choose = choose
        self.pause = pause
        self.limit = limit
        self.dice = random.Random(f"{seed}-{name}")
        self.operations = []
        self.troubles = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            with self._connect() as client:
                while not self.ended.is_set() and len(self.operations) < self.limit:
                    self._ask(client)
                    self.ended.wait(self.dice.random() * 2 * self.pause)
        except (OSError, OutOfTime) as error:
            self.troubles.append(f"{self.name}: {error!r}")

    def _connect(self):
        """A client; the proxy may be away just now."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return Client("127.0.0.1", self.port, timeout=ANSWER_SECONDS, attempt=5.0)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _ask(self, client):
        operator, payload = self.choose(self.dice)
        operation = Operation(time.monotonic(), float("inf"), operator, payload, None, self.name)
        self.operations.append(operation)
        try:
            operation.answer = client.send(operator, payload)
        finally:
            operation.end = time.monotonic()
        if operation.answer.status != "ok":
            self.troubles.append(f"{self.name}: {operator} {payload}: {operation.answer.status}: "
                                 f"{operation.answer.message}")
            operation.answer = None


def one_key(prefix, keys):
    """Requests for single keys."""
    def choose(dice):
        key, value = [prefix, str(dice.randrange(keys))], [dice.choice(VALUES)]
        operator = dice.choice(("GET", "GET", "PUT", "POST", "DELETE"))
        return operator, [[key, value]] if operator in ("PUT", "POST") else [key, ".*"]
    return choose


def several_keys(prefix, keys):
    """Requests that name several keys, by lists and by expressions."""
    def choose(dice):
        operator = dice.choice(("GET", "GET", "PUT", "POST", "DELETE"))
        if operator in ("PUT", "POST"):
            return operator, [[[prefix, str(number)], [dice.choice(VALUES)]]
                              for number in range(keys) if dice.random() < 0.6] or [[[prefix, "0"], ["p"]]]
        return operator, [f"{prefix},{dice.choice(('.*', '[01]', '[0-2]'))}", dice.choice((".*", "[pq]"))]
    return choose


class Histories:
    """Both kinds of clients over one round. The space's part of theirs is read before and after it."""

    def __init__(self, port, seed):
        self.port = port
        self.before = {prefix: self._read(prefix) for prefix in ("one", "many")}
        self.groups = {
            "one": [Historian(port, f"one{number}", one_key("one", 5), 0.02, 2_000, seed) for number in range(3)],
            "many": [Historian(port, f"many{number}", several_keys("many", 4), 0.25, 12, seed) for number in range(3)],
        }
        for historian in self.all():
            historian.thread.start()

    def all(self):
        return [historian for group in self.groups.values() for historian in group]

    def _read(self, prefix):
        with Client("127.0.0.1", self.port, timeout=ANSWER_SECONDS) as client:
            answer = client.get(f"{prefix},.*", ".*")
        if answer.status != "ok":
            raise AssertionError(f"a GET was answered {answer.status}: {answer.message}")
        return frozenset((tuple(key), tuple(value)) for key, value in answer.pairs)

    def stop(self):
        """Ends the clients after their last answers."""
        for historian in self.all():
            historian.ended.set()
        for historian in self.all():
            historian.thread.join(60.0)

    def finish(self):
        """Ends the clients; (how many operations, what is wrong with them)."""
        self.stop()
        problems = []
        for historian in self.all():
            if historian.thread.is_alive():
                problems.append(f"{historian.name} does not end")
            problems += historian.troubles
        count = 0
        for prefix, group in self.groups.items():
            operations = [operation for historian in group for operation in historian.operations]
            count += len(operations)
            now = time.monotonic()
            pairs = self._read(prefix)
            last = [[list(key), list(value)] for key, value in pairs]
            operations += self._last_look(prefix, last, now)
            for lines in violations(operations, self.before[prefix]):
                problems.append("\n      ".join(lines))
        return count, problems

    def _last_look(self, prefix, pairs, now):
        """What was found at the end, as operations of their own: of each key, or of all together."""
        class Found:
            status, reasons = "ok", ()

            def __init__(self, given_back):
                self.given_back = given_back

        if prefix == "many":
            return [Operation(now, now + 1, "GET", ["many,.*", ".*"], Found(pairs), "end")]
        found = {tuple(key): [key, value] for key, value in pairs}
        keys = [("one", str(number)) for number in range(5)]
        return [Operation(now, now + 1, "GET", [list(key), ".*"], Found([found[key]] if key in found else []), "end")
                for key in keys]
