#!/usr/bin/env python3
"""The main job, to watch: a real registry goes in while the active server is killed, and every row is there.

Starts a proxy and two servers on loopback, imports the IEEE's registry of network addresses (package ieee-data), kills
the active server with SIGKILL half-way, restores it, asks three questions, checks each row against its own reading of
the file, and stops everything. It fails where one row is missing or any client saw an error.

OUI_CSV names another copy of the registry. With --stay the suite is left running until Enter is pressed.
"""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from daemon import SuiteError, end_on_signals, require_programs, wait_until
from suite import Suite
from twinspace_protocol import Client

REGISTRY = Path(os.environ.get("OUI_CSV") or "/usr/share/ieee-data/oui.csv")
KEY_COLUMN, VALUE_COLUMN = "Assignment", "Organization Name"
# Few rows a request make a long import of many requests: there is something to interrupt.
ROWS_PER_REQUEST = 2
IMPORT_SECONDS = 60.0
PROBE_PAUSE_SECONDS = 0.001
SHOWN_ROWS = 4
SHOWN_CHARACTERS = 88
QUESTIONS = (
    ("Raspberry Pi in any spelling", ".*", "(?i)raspberry,pi.*"),
    ("Cisco in the oldest block", "000.*", "(?i)cisco,.*"),
    ("names whose first word comes again at once", ".*", r"(\w+),\1(,.*)?"),
)

COLOURS = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
BOLD, DIM, RED, GREEN, YELLOW, BLUE = "1", "2", "31", "32", "33", "36"


def paint(text, *codes):
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if COLOURS else str(text)


class Stage:
    """The lines of the demonstration, each with the seconds since its beginning."""

    def __init__(self):
        self.begin = time.monotonic()
        self.width = 0

    def say(self, text, *codes):
        self.clear()
        print(f"{paint(f'{time.monotonic() - self.begin:6.2f}', DIM)}  {paint(text, *codes) if codes else text}",
              flush=True)

    def detail(self, text, *codes):
        print(f"        {paint(text, *codes) if codes else text}", flush=True)

    def progress(self, done, whole, note):
        """A bar that is drawn over; only where somebody watches."""
        if not sys.stdout.isatty():
            return
        filled = 40 * min(done, whole) // whole
        line = f"        [{'#' * filled}{'.' * (40 - filled)}] {done:,} of {whole:,} {note}"
        self.width = max(self.width, len(line))
        print("\r" + line.ljust(self.width), end="", flush=True)

    def clear(self):
        if self.width:
            print("\r" + " " * self.width + "\r", end="")
            self.width = 0


def cut(text, width=SHOWN_CHARACTERS):
    return text if len(text) <= width else text[:width - 1] + "…"


def words(text):
    """The runs of alphanumeric characters."""
    return "".join(character if character.isalnum() else " " for character in text).split()


def read_registry():
    """What the space has to hold, by key, and the rows that it must not take: (line, reason)."""
    wanted, given_back = {}, []
    with open(REGISTRY, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        line = rows.reader.line_num + 1
        count = 0
        for row in rows:
            count += 1
            key, value = tuple(words(row[KEY_COLUMN] or "")), words(row[VALUE_COLUMN] or "")
            if not key or not value:
                given_back.append((line, "malformed"))
            elif key in wanted:
                given_back.append((line, "exists"))
            else:
                wanted[key] = value
            line = rows.reader.line_num + 1
    return wanted, given_back, count


class Probe(threading.Thread):
    """A second client that writes and reads all the time; what it waits for is what a user would notice."""

    KEY = ["demoprobe"]

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client = Client("127.0.0.1", port, timeout=30.0)
        self.ending = threading.Event()
        self.answers = 0
        self.longest = 0.0
        self.error = None
        self._expect(self.client.put([[self.KEY, ["0"]]]), [], "PUT")

    def _expect(self, answer, pairs, what):
        if answer.status != "ok" or answer.given_back != pairs:
            raise SuiteError(f"{what}: {answer.status} {answer.message} {answer.given_back}, not {pairs}")

    def run(self):
        last = time.monotonic()
        number = 0
        try:
            while not self.ending.is_set():
                number += 1
                value = [str(number)]
                self._expect(self.client.post([[self.KEY, value]]), [], "POST")
                last = self._answered(last)
                self._expect(self.client.get(self.KEY), [[self.KEY, value]], "GET")
                last = self._answered(last)
                self.ending.wait(PROBE_PAUSE_SECONDS)
            self._expect(self.client.delete(self.KEY), [[self.KEY, [str(number)]]], "DELETE")
        except Exception as error:  # reported by the main thread, which fails
            self.error = error
        finally:
            self.client.close()

    def _answered(self, last):
        now = time.monotonic()
        self.longest = max(self.longest, now - last)
        self.answers += 1
        return now

    def finish(self):
        self.ending.set()
        self.join(35)
        if self.is_alive():
            raise SuiteError("the probing client has not come to its end")
        if self.error:
            raise SuiteError(f"the probing client saw an error: {self.error}")


def import_with_a_death(stage, suite, rows):
    """Runs `twinspace import` and kills the active server half-way; returns (killed server, output)."""
    arguments = ["import", str(REGISTRY), "--format", "csv", "--key-columns", KEY_COLUMN,
                 "--value-columns", VALUE_COLUMN, "--split-words", "--batch-pairs", str(ROWS_PER_REQUEST)]
    stage.say(f"$ twinspace {shlex.join(arguments)}", BOLD)
    output = suite.directory / "import.out"
    errors = suite.directory / "import.err"
    with open(output, "wb") as out, open(errors, "wb") as err:
        process = subprocess.Popen(suite.cli_arguments("--timeout", "30s", *arguments), stdout=out, stderr=err,
                                   stdin=subprocess.DEVNULL, env=suite.environment)
    try:
        killed = None
        deadline = time.monotonic() + IMPORT_SECONDS
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise SuiteError(f"the import has not ended within {IMPORT_SECONDS:g} s")
            status = suite.status()
            pairs = status.get("pairs", 0)
            if killed is None and pairs >= rows // 2 and status.get("active"):
                killed = status["active"]
                suite.kill(killed)
                stage.say(f"SIGKILL to {killed}, the active server, with {pairs:,} pairs in", BOLD, RED)
            stage.progress(pairs, rows, f"active: {status.get('active') or 'nobody'}")
            time.sleep(0.005)
        stage.clear()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if killed is None:
        raise SuiteError("the import was over before the active server could be killed: this proves nothing")
    if process.returncode not in (0, 1):
        raise SuiteError(f"the import ended with exit code {process.returncode}: "
                         f"{errors.read_text(encoding='utf-8')[-800:]}")
    return killed, output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8")


def check_rows(suite, wanted, where):
    with Client("127.0.0.1", suite.ports["clients"], timeout=60.0) as client:
        answer = client.get()
    if answer.status != "ok":
        raise SuiteError(f"reading everything back: {answer.status} {answer.message}")
    found = {tuple(key): value for key, value in answer.pairs}
    missing = [key for key in wanted if key not in found]
    wrong = [key for key in wanted if key in found and found[key] != wanted[key]]
    extra = [key for key in found if key not in wanted]
    if missing or wrong or extra:
        raise SuiteError(
            f"{where}: {len(missing)} rows are MISSING {missing[:3]}, {len(wrong)} are wrong "
            f"{[(key, found[key], wanted[key]) for key in wrong[:3]]}, {len(extra)} are invented {extra[:3]}")
    return len(found)


def check_report(errors, given_back):
    """Each row that was not taken is reported with its line."""
    reported = {int(line) for line in re.findall(rf"{re.escape(REGISTRY.name)}:(\d+)", errors)}
    due = {line for line, _ in given_back}
    if reported != due:
        raise SuiteError(f"rows reported by the import: lines {sorted(reported)[:10]}, not {sorted(due)[:10]}\n"
                         f"{errors[-800:]}")


def ask(stage, suite, wanted):
    for what, key, value in QUESTIONS:
        arguments = ["--output", "json", "get", key, value]
        begin = time.monotonic()
        pairs = json.loads(suite.cli(*arguments, expect=0).stdout)["pairs"]
        seconds = time.monotonic() - begin
        stage.say(f"$ twinspace get {shlex.quote(key)} {shlex.quote(value)}", BOLD)
        stage.detail(f"{what}: {len(pairs):,} in {seconds * 1000:.0f} ms", GREEN)
        for row_key, row_value in sorted(pairs)[:SHOWN_ROWS]:
            stage.detail(cut(f"{','.join(row_key)}  {' '.join(row_value)}"))
        if len(pairs) > SHOWN_ROWS:
            stage.detail(f"… and {len(pairs) - SHOWN_ROWS:,} more", DIM)
        due = [name for name, owner in wanted.items()
               if re.fullmatch(key, ",".join(name)) and re.fullmatch(value, ",".join(owner))]
        if sorted(tuple(found) for found, _ in pairs) != sorted(due):
            raise SuiteError(f"{key!r} {value!r}: {len(pairs)} answers; CPython's re finds {len(due)} in the file")


def run(stage):
    if not REGISTRY.exists():
        raise SuiteError(f"{REGISTRY} is not there: install the package ieee-data (`make deps`), or set OUI_CSV")
    wanted, given_back, rows = read_registry()
    stage.say(f"{REGISTRY}: {rows:,} rows, {len(wanted):,} to go in, {len(given_back)} given twice or not well formed")
    with Suite(servers=2, label="twinspace-demo") as suite:
        stage.say(f"proxy at {suite.address('clients')}, active server {suite.active()}, passive server "
                  f"{', '.join(suite.passives())}; every acknowledged write is on both")
        begin = suite.mark()
        probe = Probe(suite.ports["clients"])
        probe.start()
        start = time.monotonic()
        killed, output, errors = import_with_a_death(stage, suite, rows)
        seconds = time.monotonic() - start
        stage.say(f"the import is through after {seconds:.1f} s; active server: {suite.active()}", BOLD, GREEN)
        for line in output.splitlines()[-3:]:
            stage.detail(cut(line))
        for line in errors.splitlines()[-5:]:
            stage.detail(cut(line), DIM)
        check_report(errors, given_back)

        suite.restart(killed)
        suite.wait_redundant()
        suite.wait_alert("redundancy-restored", since=begin)
        stage.say(f"{killed} is back, as the passive server, with everything it missed", BOLD, GREEN)
        probe.finish()

        stage.say("what the operators' log says:", BOLD)
        for line in suite.alerts(since=begin):
            stage.detail(cut(f"{line.source:<6}{line.text[11:]}", 120),
                         GREEN if line.event in ("redundancy-restored", "repaired") else YELLOW)
        stage.say(f"the longest pause that a client saw: {probe.longest * 1000:.0f} ms "
                  f"(writing and reading all the time: {probe.answers:,} answers, no error)", BOLD, BLUE)

        ask(stage, suite, wanted)

        count = check_rows(suite, wanted, f"on {suite.active()}")
        stage.say(f"every row is there: {count:,} pairs on {suite.active()}, compared one by one", BOLD, GREEN)
        survivor = suite.active()
        suite.cli("switchover", expect=0)
        wait_until(lambda: suite.status().get("active") not in (None, survivor), 15, "the restored server is active")
        check_rows(suite, wanted, f"on {suite.active()}, which was dead")
        stage.say(f"and on {suite.active()}, which was dead: the same", BOLD, GREEN)

        if "--stay" in sys.argv[1:]:
            stage.say(f"clients: {suite.address('clients')}, operators: {suite.address('operators')}, "
                      f"http://{suite.address('http')}/; press Enter to stop")
            input()
        suite.cli("shutdown", expect=0)
        codes = suite.end_all()
        if any(codes.values()):
            raise SuiteError(f"exit codes after the shutdown: {codes}")
        stage.say("stopped: the proxy and both servers ended with 0")


def main():
    require_programs()
    end_on_signals()
    stage = Stage()
    try:
        run(stage)
    except SuiteError as error:
        stage.clear()
        print(paint(f"\nFAILED: {error}", BOLD, RED), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        stage.clear()
        print("\ninterrupted", file=sys.stderr)
        return 130
    seconds = time.monotonic() - stage.begin
    print(paint(f"\nPASSED in {seconds:.1f} s: no row missing, no client saw an error", BOLD, GREEN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
