"""Medians, ratios, and the tables that show them."""

import math
import os
import platform
import re
import statistics
import subprocess
import textwrap
from pathlib import Path


class Spread:
    """Values of several rounds."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None and math.isfinite(value)]

    @property
    def median(self):
        return statistics.median(self.values) if self.values else float("nan")

    def text(self, show):
        """`median [least-most]`."""
        if not self.values:
            return "-"
        if len(self.values) == 1:
            return show(self.median)
        return f"{show(self.median)} [{show(min(self.values))}-{show(max(self.values))}]"


def rate(value):
    """Operations a second, three digits."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e5:
        return f"{value / 1e3:.0f} k"
    return f"{value / 1e3:.1f} k" if value >= 1e4 else f"{value / 1e3:.2f} k" if value >= 1e3 else f"{value:.0f}"


def milliseconds(microseconds):
    value = microseconds / 1e3
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def micro(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ratio(value):
    return f"{value:.2f}"


def quantile(values, fraction):
    """The smallest value that at least the fraction of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)] if ordered else float("nan")


def table(header, rows):
    """Markdown, its columns aligned for reading as text too."""
    cells = [header, *rows]
    widths = [max(len(str(row[column])) for row in cells) for column in range(len(header))]
    def line(row):
        return "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|",
                      *(line(row) for row in rows)])


def paragraph(*parts):
    return textwrap.fill(" ".join(parts), 120, break_long_words=False, break_on_hyphens=False)


class Comparison:
    """The reports of one case: by system, one for each round."""

    def __init__(self, case):
        self.case = case
        self.reports = {}

    def add(self, system, number, report):
        self.reports.setdefault(system.name, (system, {}))[1][number] = report

    def _spread(self, name, value):
        return Spread([value(report) for report in self.reports[name][1].values()])

    def rows(self):
        rows = []
        for name, (system, reports) in self.reports.items():
            parts = ", ".join(
                f"{role} {micro(statistics.median(report['cpu'][role] for report in reports.values()))}"
                for role in system.roles)
            rows.append([
                name,
                self._spread(name, lambda report: report["perSecond"]).text(rate),
                self._spread(name, lambda report: report["latency"]["p50"]).text(milliseconds),
                self._spread(name, lambda report: report["latency"]["p99"]).text(milliseconds),
                self._spread(name, lambda report: report["cpuServers"]).text(micro),
                parts,
                self._spread(name, lambda report: report["cpuPerOperation"]).text(micro),
            ])
        return rows

    def ratios(self, ours, theirs):
        """Ours to theirs, round by round: rate, the rate that CPU alone would allow (clients included), CPU, p99; None
        where there is nothing to compare."""
        if ours not in self.reports or theirs not in self.reports:
            return None
        mine, others = self.reports[ours][1], self.reports[theirs][1]
        pairs = [(mine[number], others[number]) for number in mine if number in others]
        if not pairs:
            return None
        return {
            "rate": Spread([a["perSecond"] / b["perSecond"] for a, b in pairs]),
            "possible": Spread([
                (b["cpuServers"] + b["cpuPerOperation"]) / (a["cpuServers"] + a["cpuPerOperation"]) for a, b in pairs]),
            "cpu": Spread([a["cpuServers"] / b["cpuServers"] for a, b in pairs if b["cpuServers"] > 0]),
            "p99": Spread([a["latency"]["p99"] / b["latency"]["p99"] for a, b in pairs]),
        }

    @property
    def foreign(self):
        return max(report["foreign"] for _, reports in self.reports.values() for report in reports.values())

    def markdown(self):
        header = ["", "ops/s", "p50 ms", "p99 ms", "CPU µs/op, servers", "of these", "client"]
        return f"### {self.case.title}\n\n{table(header, self.rows())}\n"


def ratio_table(comparisons, ours, theirs, wanted):
    """One row a case; `wanted` says what each is held against, by case."""
    rows = []
    for comparison in comparisons:
        found = comparison.ratios(ours, theirs)
        if found:
            rows.append([comparison.case.title, found["rate"].text(ratio), wanted(comparison.case),
                         found["possible"].text(ratio), found["cpu"].text(ratio), found["p99"].text(ratio)])
    header = [f"{ours} / {theirs}", "ops/s", "goal", "by CPU alone", "CPU an op", "p99"]
    return table(header, rows) if rows else ""


# The machine.

def _first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return (done.stdout or done.stderr).strip().split("\n")[0]
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _processor():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(folder):
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, place, system, *_ = line.split()
        if (str(folder) + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, system
    return kind


def machine(folder, haproxy):
    """What it ran on, in one paragraph, without date or name."""
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))[1]) / 1024 / 1024
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        system = "Linux"
    redis = re.search(r"v=(\S+)", _first_line("redis-server", "--version"))
    proxy = re.search(r"version (\S+)", _first_line(haproxy, "-v"))
    parts = [
        f"{os.cpu_count()} cores of {_processor()}", f"{memory:.0f} GiB of memory", system,
        f"Linux {platform.release()}", f"data on {_file_system(folder)}",
        f"Redis {redis[1]}" if redis else "no Redis", f"HAProxy {proxy[1]}" if proxy else "no HAProxy",
    ]
    return ", ".join(parts)
