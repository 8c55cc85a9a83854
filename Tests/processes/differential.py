#!/usr/bin/env python3
"""Random requests, good and bad, get the answers that a model written with CPython's `re` gives.

COUNT=N requests (4,000 where it is not set); SEED=N repeats a run; REGEX=common|full syntax of the expressions.
"""
# time limit: 300 s

import json
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, run_checks
from model import Generator, Space, canonical, difference
from suite import Suite
from twinspace_protocol import Client

COUNT = int(os.environ.get("COUNT") or 4000)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
LEVEL = os.environ.get("REGEX") or "common"
BATCH_LINES = max(100, COUNT // 8)
SHOWN = 10
# Most expressions that come by chance cost next to nothing; more than this share would be too small a budget.
COSTLY_SHARE = 0.002


def show(number, operator, payload, what):
    return f"request {number}: {operator!r} {canonical(payload)[:300]}: {what}"


def as_printed(answer):
    """The protocol client's answer as the command line prints it."""
    return {"status": answer.status, "message": answer.message, "warning": answer.warning,
            "pairs": answer.given_back, "reasons": answer.reasons}


def is_too_costly(operator, found):
    """An expression with nested repeats may exceed the work budget. Then nothing was done, in the model neither."""
    return operator in ("GET", "DELETE") and found["status"] == "too-costly" and not found["pairs"]


def compare_spaces(found, wanted, what):
    found, wanted = sorted(map(canonical, found)), sorted(map(canonical, wanted))
    if found != wanted:
        extra = [pair for pair in found if pair not in set(wanted)]
        missing = [pair for pair in wanted if pair not in set(found)]
        raise AssertionError(f"{what}: {len(missing)} pairs missing {missing[:3]}, {len(extra)} too many {extra[:3]}")


def check_random_requests():
    """each answer of the service is the model's, the active server killed half-way; both copies end the same"""
    print(f"    SEED={SEED} COUNT={COUNT} REGEX={LEVEL}", flush=True)
    generator = Generator(SEED, LEVEL)
    space = Space()
    wrong = []
    costly = 0
    with Suite(servers=2) as suite, Client("127.0.0.1", suite.ports["clients"], timeout=30.0) as client:
        begin = time.monotonic()
        for number in range(COUNT):
            if number == COUNT // 2:
                suite.kill(suite.active())
            operator, payload = generator.request()
            found = as_printed(client.send(operator, payload))
            if is_too_costly(operator, found):
                costly += 1
                continue
            what = difference(operator, found, space.answer(operator, payload))
            if what:
                wrong.append(show(number, operator, payload, what))
                if len(wrong) == SHOWN:
                    break
        seconds = time.monotonic() - begin
        expect(costly <= COUNT * COSTLY_SHARE, f"SEED={SEED}: {costly} expressions were too costly")
        expect(not wrong, f"SEED={SEED}: answers that differ from CPython's:\n  " + "\n  ".join(wrong))
        compare_spaces(client.get().pairs, space.everything(), f"SEED={SEED}: at the end")
        dead = next(name for name in suite.names if not suite.daemons[name].running)
        suite.restart(dead)
        suite.wait_redundant()
        suite.kill(suite.active())
        compare_spaces(client.get().pairs, space.everything(), f"SEED={SEED}: on the restored copy")
    print(f"    {COUNT} requests in {seconds:.1f} s, {costly} too costly, {len(space.pairs)} pairs at the end",
          flush=True)


def check_random_batch():
    """the same through `twinspace batch`: one JSON answer a line, in the order of the requests"""
    print(f"    SEED={SEED} lines: {BATCH_LINES}", flush=True)
    generator = Generator(SEED + 1, LEVEL)
    requests = [generator.request() for _ in range(BATCH_LINES)]
    lines = [json.dumps({"op": operator, "payload": payload}, ensure_ascii=number % 2 == 0)
             for number, (operator, payload) in enumerate(requests)]
    space = Space()
    with Suite(servers=1) as suite:
        done = suite.cli("batch", "-", stdin="\n".join(lines) + "\n")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        expect(len(answers) == len(lines), f"{len(answers)} answers to {len(lines)} lines; {done.stderr[-300:]}")
        for number, (operator, payload) in enumerate(requests):
            if is_too_costly(operator, answers[number]):
                continue
            what = difference(operator, answers[number], space.answer(operator, payload))
            if what:
                # Those that follow may differ only because this one did.
                raise AssertionError(f"SEED={SEED}: " + show(number, operator, payload, what))
        exported = [json.loads(line) for line in suite.cli("export", expect=0).stdout.splitlines()]
        compare_spaces(exported, space.everything(), f"SEED={SEED}: the export")


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
