#!/usr/bin/env python3
"""Where a request's CPU time goes: every process of a suite under load, by `perf`.

usage: hotpath.py [--mix MIX] [--depth N] [--connections N] [--sync always|never] [--seconds S] [--top N]

For each process: user and system time a request, system calls a request, kinds of work, and functions. What Swift's
runtime and the C library do (counting references, allocating, hashing) is charged to the function of ours that called
them. Needs perf (Debian: linux-perf) and the right to use it.
"""

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from daemon import ROOT, SuiteError, end_on_signals, require_programs
from figures import table
from systems import KEYS, TICKS, Twinspace

SYSTEM_CALLS = ("read", "readv", "write", "writev", "sendto", "sendmsg", "recvfrom", "epoll_wait", "epoll_pwait",
                "epoll_ctl", "pwrite64", "pwritev", "fdatasync", "futex")
WARMUP_SECONDS = 1.0
SAMPLES_PER_SECOND = 1999

# What belongs to whoever called it, by how its name begins.
RUNTIME = ("swift_", "_swift_", "swift::", "malloc", "_int_", "cfree", "free", "unlink_chunk", "__mem", "operator",
           "Hasher", "_Native", "__Raw", "_Hash", "Array.", "_Contiguous", "calloc", "realloc", "outlined",
           "initializeWithCopy", "destroy for", "by_instruction", "twinspace_crc", "Dictionary", "Set.", "Optional.",
           "partial apply", "getEnumTag", "storeEnumTag", "[unknown]", "__swift_instantiate")
KINDS = (
    ("reference counting", ("swift_retain", "swift_release", "swift::RefC", "swift_bridgeObject", "swift_unowned",
                            "swift_weak", "_swift_release", "swift_isUnique")),
    ("memory", ("malloc", "_int_", "cfree", "free", "unlink_chunk", "calloc", "realloc", "swift_alloc", "swift_slow",
                "swift_dealloc", "swift_arrayDestroy", "_swift_release_dealloc")),
    ("hash tables", ("Hasher", "_Native", "__Raw", "_Hash", "Dictionary", "Set.")),
    ("copying", ("__memmove", "__memcpy", "__memset", "outlined", "initializeWithCopy", "destroy for", "swift_array")),
    ("checksums", ("by_instruction", "twinspace_crc")),
    ("exclusivity", ("swift_beginAccess", "swift_endAccess", "swift::runtime::AccessSet", "swift::runtime::SwiftTLS")),
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--mix", default="put=1", help="as for twinspace-bench load (default put=1)")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--sync", choices=("always", "never"), default="never")
    parser.add_argument("--seconds", type=int, default=5, help="of each of the two measurements (default 5)")
    parser.add_argument("--top", type=int, default=20, help="functions that are listed (default 20)")
    return parser.parse_args()


def times(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def load(system, options, work):
    """Does `work` while a load runs; returns the load's report and what `work` returned."""
    keys = 1_000_000_000 if options.mix == "put=1" else KEYS
    process = subprocess.Popen(
        system.command("--mix", options.mix, "--depth", options.depth, "--connections", options.connections, "--keys",
                       keys, "--first-key", system.next_key, "--warmup", WARMUP_SECONDS, "--seconds",
                       options.seconds + 1),
        stdout=subprocess.PIPE, text=True)
    time.sleep(WARMUP_SECONDS + 0.3)
    result = work(process.pid)
    output, _ = process.communicate(timeout=options.seconds + 60)
    report = json.loads(output)
    system.next_key = report["nextKey"]
    return report, result


def count_calls(pids, seconds):
    """System calls, context switches, and user and system seconds of each process."""
    events = ",".join([f"syscalls:sys_enter_{name}" for name in SYSTEM_CALLS] + ["context-switches"])
    before = {role: times(pid) for role, pid in pids.items()}
    watchers = {role: subprocess.Popen(["perf", "stat", "-x", ",", "-e", events, "-p", str(pid), "--", "sleep",
                                        str(seconds)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
                for role, pid in pids.items()}
    found = {}
    for role, watcher in watchers.items():
        counts = {}
        for line in watcher.communicate()[1].splitlines():
            fields = line.split(",")
            if len(fields) > 2 and fields[0].isdigit():
                counts[fields[2].replace("syscalls:sys_enter_", "")] = int(fields[0])
        user, system = (after - first for after, first in zip(times(pids[role]), before[role]))
        found[role] = (user, system, counts)
    return found


def record(pids, seconds, folder):
    watchers = [subprocess.Popen(["perf", "record", "-q", "-F", str(SAMPLES_PER_SECOND), "-g", "-p", str(pid), "-o",
                                  str(folder / f"{role}.data"), "--", "sleep", str(seconds)], stderr=subprocess.DEVNULL)
                for role, pid in pids.items()]
    for watcher in watchers:
        watcher.wait()


def stacks(file):
    """Sampled stacks, innermost first, as (function, is the kernel's)."""
    text = subprocess.run(["perf", "script", "-i", str(file), "-F", "ip,sym,dso"], capture_output=True, text=True,
                          check=False).stdout
    found, current = [], []
    for line in text.splitlines() + [""]:
        frame = re.match(r"\s*[0-9a-f]+ (.*) \((.*)\)$", line)
        if frame:
            current.append((frame[1], "kernel" in frame[2] or "vdso" in frame[2]))
        elif not line.strip() and current:
            found.append(current)
            current = []
    names = sorted({name for stack in found for name, _ in stack if name.startswith("$s")})
    demangler = shutil.which("swift-demangle") or str(Path(shutil.which("swift") or "swift").resolve().parent
                                                      / "swift-demangle")
    plain = {}
    if names and os.access(demangler, os.X_OK):
        lines = subprocess.run([demangler, "-compact", "-simplified"], input="\n".join(names), capture_output=True,
                               text=True, check=False).stdout.splitlines()
        plain = dict(zip(names, lines))
    return [[(plain.get(name, name).replace("specialized ", ""), kernel) for name, kernel in stack] for stack in found]


def kind(name):
    return next((title for title, beginnings in KINDS if name.startswith(beginnings)), "other")


def summarise(found, top):
    """The shares of kinds of work, and of functions with what was done on their behalf."""
    kinds, own = collections.Counter(), collections.Counter()
    helpers = collections.defaultdict(collections.Counter)
    for stack in found:
        leaf, is_kernel = stack[0]
        title = "kernel" if is_kernel else kind(leaf)
        kinds[title] += 1
        owner = next((name for name, kernel in stack if not kernel and not name.startswith(RUNTIME)), "unknown")
        own[owner] += 1
        if title != "other":
            helpers[owner][title] += 1
    whole = max(1, len(found))
    lines = [", ".join(f"{title} {100 * count / whole:.0f} %" for title, count in kinds.most_common())]
    for name, count in own.most_common(top):
        parts = ", ".join(f"{title} {100 * part / whole:.1f}" for title, part in helpers[name].most_common(4))
        lines.append(f"  {100 * count / whole:5.1f} %  {name[:100]}" + (f"   of that {parts}" if parts else ""))
    return "\n".join(lines)


def main():
    end_on_signals()
    options = arguments()
    require_programs()
    if not shutil.which("perf"):
        sys.exit("hotpath: there is no perf; Debian has it in linux-perf")
    build = ROOT / ".build" / "bench"
    build.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(build)
    system = Twinspace()
    system.start(durable=options.sync == "always")
    try:
        if options.mix != "put=1":
            system.fill(KEYS)
        pids = system.processes()
        report, counted = load(system, options,
                               lambda client: count_calls({**pids, "client": client}, options.seconds))
        operations = report["perSecond"] * options.seconds
        print(f"{options.mix}, {options.connections} clients, depth {options.depth}, --sync {options.sync}: "
              f"{report['perSecond']:.0f} requests a second")
        rows = []
        for role, (user, kernel, counts) in counted.items():
            calls = ", ".join(f"{name} {count / operations:.3f}" for name, count in counts.items() if count)
            rows.append([role, f"{user / operations * 1e6:.2f}", f"{kernel / operations * 1e6:.2f}", calls])
        print(table(["", "user µs", "system µs", "calls a request"], rows))
        with tempfile.TemporaryDirectory() as folder:
            load(system, options, lambda client: record(pids, options.seconds, Path(folder)))
            for role in pids:
                found = stacks(Path(folder) / f"{role}.data")
                print(f"\n{role}, {len(found)} samples: {summarise(found, options.top)}")
    finally:
        system.stop()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SuiteError as error:
        sys.exit(f"hotpath: {error}")
