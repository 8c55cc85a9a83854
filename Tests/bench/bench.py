#!/usr/bin/env python3
"""Twinspace beside Redis with a replica and HAProxy, and beside a bare relay, on this machine, in turn.

usage: bench.py [--only SECTION[,SECTION…]] [--rounds N] [--seconds S] [--quick] [--output FILE] …

Sections: put, get, values, memory, takeover, large, soak, scan. Each case of put and get is run by every system in every
round, one after the other, and what is shown is the median of the rounds with the least and the most; ratios are taken
within a round. Redis and HAProxy come from the system's packages and are installed where they are missing. Without
--only everything is run and the tables go to specs/benchmarks.md.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import systems
from daemon import ROOT, SuiteError, end_on_signals, require_programs
from figures import Comparison, machine, milliseconds, paragraph, rate, ratio_table
from large import Large
from sections import Memory, Scan, Soak, Takeover, say
from systems import Case, Redis, Relay, Twinspace, build_tools, require_anchors

SECTIONS = ("put", "get", "values", "memory", "takeover", "large", "soak", "scan")
# More of the machine than this, used by others, makes figures worthless.
FOREIGN_SHARE = 0.05
CLIENTS = 50

CASES = {
    "put": [
        Case("put", depth, connections, durable)
        for durable in (False, True) for depth, connections in ((1, CLIENTS), (16, CLIENTS), (1, 1))
    ],
    "get": [Case("get", depth, connections, False) for depth, connections in ((1, CLIENTS), (16, CLIENTS), (1, 1))],
    # Values as people have them, and lists.
    "values": [
        Case(operation, depth, CLIENTS, durable, value_bytes, pairs)
        for value_bytes, pairs in ((128, 1), (1_024, 1), (8_192, 1), (65_535, 1), (16, 100))
        for operation, durable in (("put", False), ("put", True), ("post", False), ("post", True), ("get", False))
        for depth in (1, 16)
    ],
}
RATES = ("put", "get", "values")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help=f"sections with commas between them, of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="of every case (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="that every case is measured in a round (default 4)")
    parser.add_argument("--depth", type=int, help="only the cases of this depth")
    parser.add_argument("--pairs", type=int, default=10_000_000, help="for memory and large (default 10,000,000)")
    parser.add_argument("--takeovers", type=int, default=25, help="kills, and as many freezes (default 25)")
    parser.add_argument("--soak", type=int, default=60, help="seconds of the long load (default 60)")
    parser.add_argument("--haproxy-threads", type=int, default=1, help="HAProxy's nbthread (default 1)")
    parser.add_argument("--haproxy-busy-polling", action="store_true", help="HAProxy never sleeps (its busy-polling)")
    parser.add_argument("--proxy-flags", default="", help="more flags for the proxy, in one word")
    parser.add_argument("--server-flags", default="", help="more flags for the servers, in one word")
    parser.add_argument("--without", default="", help="systems left out, with commas: redis, relay")
    parser.add_argument("--quick", action="store_true",
                        help="every part for a moment, to see that it runs; no figure means anything")
    parser.add_argument("--directory", type=Path, help="for data; its disk is measured (default .build/bench)")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    parsed = parser.parse_args()
    parsed.sections = parsed.only.split(",") if parsed.only else list(SECTIONS)
    for section in parsed.sections:
        if section not in SECTIONS:
            parser.error(f"there is no section '{section}'; there are {', '.join(SECTIONS)}")
    if parsed.quick:
        parsed.rounds, parsed.seconds, parsed.takeovers, parsed.soak, parsed.pairs = 1, 0.3, 1, 1, 20_000
        systems.KEYS = 2_000
    elif parsed.only is None and parsed.output is None:
        parsed.output = ROOT / "specs" / "benchmarks.md"
    if parsed.rounds < 1 or parsed.seconds < 0.1 or parsed.takeovers < 1 or parsed.soak < 1 or parsed.pairs < 1000:
        parser.error("a number is too small")
    return parsed


class Rounds:
    """The comparisons of rates: every system in turn, in every round, in an order that rotates."""

    def __init__(self, competitors, cases, options):
        self.competitors = competitors
        self.comparisons = {case: Comparison(case) for case in cases}
        self.options = options
        self.failures = 0

    def run(self):
        # Each kind begins from empty data, so that none meets the other's keys.
        groups = sorted({self._group(case) for case in self.comparisons})
        for number in range(self.options.rounds):
            for group in groups:
                turn = number % len(self.competitors)
                for system in self.competitors[turn:] + self.competitors[:turn]:
                    cases = [case for case in self.comparisons
                             if self._group(case) == group and system.supports(case)]
                    if cases:
                        self._run(system, cases, number)

    @staticmethod
    def _group(case):
        return case.operation, case.durable, case.value_bytes, case.pairs

    def _run(self, system, cases, number):
        system.start(cases[0].durable, cases[0])
        try:
            if cases[0].operation != "put":
                system.fill(cases[0].keys, value_bytes=cases[0].value_bytes)
            for case in cases:
                time.sleep(0.2)
                report = system.load(case, self.options.seconds, min(0.5, self.options.seconds / 2))
                self._check(system, case, report)
                self.comparisons[case].add(system, number, report)
                busy = f", {report['foreign']:.0%} of the machine used by others" if report["foreign"] > 0.02 else ""
                say(f"  {number + 1}/{self.options.rounds} {case.title}: {system.name} {rate(report['perSecond'])}/s, "
                    f"p99 {milliseconds(report['latency']['p99'])} ms, {report['cpuServers']:.1f} µs/op{busy}")
        finally:
            system.stop()

    def _check(self, system, case, report):
        problem = None
        if report["failures"]:
            problem = f"{report['failures']} failures {report.get('statuses') or report.get('firstFailure')}"
        elif report.get("givenBack"):
            problem = f"{report['givenBack']} pairs were given back"
        elif case.operation == "get" and report["found"] < report["operations"]:
            problem = f"{report['found']} of {report['operations']} GETs found something"
        elif report["operations"] == 0:
            problem = "no answer"
        if problem:
            self.failures += 1
            say(f"  FAILED {case.title}: {system.name}: {problem}")

    def markdown(self):
        parts = [comparison.markdown() for comparison in self.comparisons.values() if comparison.reports]
        return "\n".join(parts)


def goal_beside_redis(case):
    if case.value_bytes > 16:
        return "1.3" if case.operation == "get" else "1.5"
    if case.pairs > 1:
        return ""
    if case.connections == 1:
        return "1.0" if case.operation == "put" else ""
    return "3.0" if case.operation == "put" else "2.0"


def goal_beside_relay(case):
    if case.value_bytes > 16 or case.pairs > 1:
        return "0.5" if case.value_bytes > 60_000 else ""
    return "0.8" if case.depth == 1 and case.connections > 1 else ""


def document(rounds, others, description, options):
    """The file's text."""
    lines = [
        "# Benchmarks", "",
        paragraph(
            "Status: generated by `make bench` (Tests/bench/bench.py), not by hand. What the figures mean, and what",
            "was done for them, is in [0009](0009-performance.md)."), "",
        paragraph(
            f"On {description}. Clients share the cores with the servers. Medians of {options.rounds} rounds",
            f"[least-most], {options.seconds:g} s each; the systems take turns, ratios are taken within a round.",
            "Keys and, where nothing else is said, values of 16 bytes; each PUT brings a new key. *Redis* is one primary and one replica behind",
            "HAProxy, and a SET counts when `WAIT 1` has answered (once a batch at depth 16). *In memory*:",
            "`--sync never`, no AOF. *fdatasync*: `--sync always`, `appendfsync always`. The *bare",
            "relay* moves frames of the same lengths over the same hops and does nothing else. *By CPU alone*",
            "is the ratio of the CPU time of an operation, servers and client together: what the rates would be if",
            "nothing but CPU counted and nobody else used it."), "",
    ]
    if rounds.comparisons:
        comparisons = [comparison for comparison in rounds.comparisons.values() if comparison.reports]
        worst = max((comparison.foreign for comparison in comparisons), default=0.0)
        if worst > FOREIGN_SHARE:
            lines += [f"**Others used up to {worst:.0%} of the machine during a measurement.**", ""]
        for theirs, goal in (("Redis", goal_beside_redis), ("bare relay", goal_beside_relay)):
            ratios = ratio_table(comparisons, "Twinspace", theirs, goal)
            if ratios:
                lines += [ratios, ""]
        lines += ["## Rates", "", rounds.markdown()]
    for section in others:
        lines += [section.markdown()]
    return "\n".join(lines).rstrip() + "\n"


def main():
    end_on_signals()
    options = arguments()
    require_programs()
    build = options.directory or ROOT / ".build" / "bench"
    build.mkdir(parents=True, exist_ok=True)
    # All data goes there, so that the disk that is measured is known.
    tempfile.tempdir = str(build)
    tools = build_tools(build)
    without = set(filter(None, options.without.split(",")))
    competitors = [Twinspace(options.proxy_flags.split(), options.server_flags.split())]
    if "redis" not in without:
        reason = require_anchors()
        if reason:
            say(f"SKIPPED Redis: {reason}")
        else:
            competitors.append(Redis(tools, options.haproxy_threads, options.haproxy_busy_polling))
    if "relay" not in without:
        competitors.append(Relay(tools))
    description = machine(build, systems.haproxy_path())
    say(f"on {description}")

    cases = [case for section in RATES if section in options.sections for case in CASES[section]
             if options.depth in (None, case.depth)]
    if options.quick:
        cases = [case for case in cases if case not in CASES["values"]
                 or (case.depth == 16 and not case.durable and (case.pairs > 1 or case.value_bytes > 60_000))]
    rounds = Rounds(competitors, cases, options)
    if cases:
        say(f"{', '.join(section for section in RATES if section in options.sections)}:")
        rounds.run()
    others = []
    has_redis = any(isinstance(system, Redis) for system in competitors)
    makers = {
        "memory": lambda: Memory(competitors, options.pairs),
        "takeover": lambda: Takeover(options.takeovers, tools, has_redis),
        "large": lambda: Large(options.pairs),
        "soak": lambda: Soak(options.soak),
        "scan": lambda: Scan(min(options.pairs, 1_000_000)),
    }
    for section, make in makers.items():
        if section in options.sections:
            say(f"{section}:")
            measured = make()
            measured.run()
            others.append(measured)
    text = document(rounds, others, description, options)
    say("")
    say(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
        say(f"written to {options.output}")
    raw = [{"case": comparison.case.title, "reports": {name: list(reports.values())
            for name, (_, reports) in comparison.reports.items()}} for comparison in rounds.comparisons.values()]
    (build / "results.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    return 1 if rounds.failures or any(getattr(measured, "failures", 0) for measured in others) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SuiteError as error:
        sys.exit(f"bench: {error}")
