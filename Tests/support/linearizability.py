"""Whether a history of requests and answers could be that of one space to which the requests were applied one by one.

Each request must have taken effect at one moment between its being sent and its being answered. The search is Wing and
Gong's with Lowe's memory of configurations ("Testing for linearizability", 2017): it takes the requests one after the
other in every order that their times allow, and remembers which sets of them, with which outcome, led nowhere. It is
quick where few requests overlap, so histories are cut at moments when nothing is on its way, and by key where no
request names several.
"""

from dataclasses import dataclass

from model import Space

# A history that has been searched so far without an end is too large to be checked.
MAXIMUM_CONFIGURATIONS = 2_000_000


@dataclass
class Operation:
    """A request and what became of it. Without an answer it may have been carried out at any time since, or never."""

    begin: float
    end: float
    operator: str
    payload: object
    answer: object = None
    client: str = ""

    def __str__(self):
        if self.answer is None:
            told = "no answer"
        else:
            told = f"{self.answer.status} {self.answer.given_back} {self.answer.reasons}"
        return f"{self.begin:.4f} to {self.end:.4f} {self.client} {self.operator} {self.payload} -> {told}"


class TooLarge(Exception):
    """The search was given up."""


def _as_lists(pairs):
    return [[list(item) for item in pair] for pair in pairs]


def step(state, operation):
    """The state after the operation, or None where the answer that it got contradicts the state before."""
    space = Space()
    space.pairs = dict(state)
    wanted = space.answer(operation.operator, operation.payload)
    answer = operation.answer
    if answer is not None:
        given, due = _as_lists(answer.given_back), _as_lists(wanted.pairs)
        if operation.operator in ("GET", "DELETE"):
            given, due = sorted(given), sorted(due)
        if answer.status != wanted.status or given != due or list(answer.reasons) != list(wanted.reasons):
            return None
    return frozenset((tuple(key), tuple(value)) for key, value in space.pairs.items())


class _Event:
    """A sending or an answering, in a list from which operations are lifted out and put back."""

    def __init__(self, number, is_call):
        self.number = number
        self.is_call = is_call
        self.before = self.after = self.match = None

    def lift(self):
        for event in (self, self.match):
            if event is not None:
                event.before.after = event.after
                if event.after is not None:
                    event.after.before = event.before

    def put_back(self):
        for event in (self.match, self):
            if event is not None:
                event.before.after = event
                if event.after is not None:
                    event.after.before = event


def _events(operations):
    """The events in the order of their times, behind a head. At one time, sendings come first: that allows more."""
    timed = []
    for number, operation in enumerate(operations):
        call = _Event(number, True)
        timed.append((operation.begin, 0, number, call))
        if operation.answer is not None:
            call.match = _Event(number, False)
            timed.append((operation.end, 1, number, call.match))
    head = last = _Event(-1, True)
    for *_, event in sorted(timed, key=lambda item: item[:3]):
        last.after, event.before = event, last
        last = event
    return head, sum(operation.answer is not None for operation in operations)


def check(operations, initial=frozenset(), step=step):
    """Whether there is an order that explains all answers. Raises TooLarge where that could not be found out."""
    head, unanswered = _events(operations)
    state, taken = initial, 0
    seen = {(taken, state)}
    trail = []
    event = head.after
    while unanswered:
        if event.is_call:
            after = step(state, operations[event.number])
            configuration = (taken | 1 << event.number, after)
            if after is not None and configuration not in seen:
                if len(seen) > MAXIMUM_CONFIGURATIONS:
                    raise TooLarge(f"{len(operations)} operations")
                seen.add(configuration)
                trail.append((event, state))
                taken, state = configuration
                event.lift()
                unanswered -= event.match is not None
                event = head.after
                continue
            event = event.after
            if event is not None:
                continue
        # An answer that came before any order explains it, or nothing is left to try: another choice.
        if not trail:
            return False
        event, state = trail.pop()
        taken &= ~(1 << event.number)
        event.put_back()
        unanswered += event.match is not None
        event = event.after
        if event is None:
            event = _Event(-1, False)
    return True


def key_of(operation):
    """The one key of a request for a single one: PUT and POST of one pair, GET and DELETE of a literal list."""
    if operation.operator in ("PUT", "POST"):
        return tuple(operation.payload[0][0]) if len(operation.payload) == 1 else None
    expression = operation.payload[0]
    return tuple(expression) if isinstance(expression, list) else None


def violations(operations, initial=frozenset()):
    """The parts of a history that no order explains, each as lines of text; empty where all is well.

    Where each operation has one key, every key is checked by itself.
    """
    parts = {}
    for operation in operations:
        parts.setdefault(key_of(operation), []).append(operation)
    if None in parts:
        parts = {None: operations}
    found = []
    for key, part in parts.items():
        start = initial if key is None else frozenset(item for item in initial if item[0] == key)
        if not check(part, start):
            lines = [f"no order explains these {len(part)} operations (key {key}), begun with {sorted(start)}:"]
            found.append(lines + [str(operation) for operation in sorted(part, key=lambda one: one.begin)])
    return found
