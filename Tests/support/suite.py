"""A suite of real processes on loopback: one proxy, some servers, and everything a test wants to do to them.

    with Suite(servers=2) as suite:
        suite.wait_redundant()
        mark = suite.mark()
        suite.kill(suite.active())
        suite.wait_alert("takeover", since=mark)

Every wait has a deadline. Only processes that the suite itself started are ended, by their process group. When a test
fails inside the block, the ends of all logs are printed.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daemon import DEATH_SECONDS, Daemon, SuiteError, describe_end, free_port, parent, program, wait_until
from operator_log import LogLine

READY_SECONDS = 20.0
REDUNDANT_SECONDS = 30.0
COMMAND_SECONDS = 60.0
LOG_TAIL_LINES = 25

# Freezes are noticed after interval * misses. A busy build machine stalls a healthy process for tens of milliseconds.
HEARTBEAT_FLAGS = ("--heartbeat-interval", "100ms", "--heartbeat-misses", "8")


class Suite:
    """A proxy and its servers. `servers` is how many, or their names; `proxy_threads` how many event loops the proxy has
    where $PROXY_THREADS does not say it for all suites."""

    def __init__(self, servers=2, *, proxy_flags=(), server_flags=(), flags_of=None, environment=None,
                 heartbeat=HEARTBEAT_FLAGS, start=True, label="twinspace-suite", proxy_threads=1):
        names = "abcdefgh"[:servers] if isinstance(servers, int) else servers
        self.names = list(names)
        self.directory = Path(tempfile.mkdtemp(prefix=f"{label}-"))
        self.ports = {sap: free_port() for sap in ("clients", "servers", "operators", "http")}
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith("TWINSPACE_") or key == "TWINSPACE_BIN"
        }
        self.environment.update(environment or {})
        self._start = start
        self.daemons = {}
        self._closed = False
        self.daemons["proxy"] = Daemon(
            "proxy",
            [
                program("twinspace-proxy"),
                "--clients", self.address("clients"),
                "--servers", self.address("servers"),
                "--operators", self.address("operators"),
                "--http", self.address("http"),
                "--data", str(self.directory / "proxy"),
                "--threads", os.environ.get("PROXY_THREADS") or str(proxy_threads),
                *proxy_flags,
            ],
            self.directory / "proxy.log",
        )
        for name in self.names:
            self.add_server(name, *heartbeat, *server_flags, *(flags_of or {}).get(name, ()))

    def add_server(self, name, *flags):
        """Describes a server; `start` starts it."""
        if name not in self.names:
            self.names.append(name)
        self.daemons[name] = Daemon(
            name,
            [
                program("twinspace-server"),
                "--name", name,
                "--proxy", self.address("servers"),
                "--listen", f"127.0.0.1:{free_port()}",
                "--data", str(self.directory / f"server-{name}"),
                *flags,
            ],
            self.directory / f"{name}.log",
        )
        return self.daemons[name]

    def address(self, sap):
        return f"127.0.0.1:{self.ports[sap]}"

    # Lifetime.

    def __enter__(self):
        try:
            if self._start:
                self.start_all()
        except BaseException:
            self.show_logs()
            self.close()
            raise
        return self

    def __exit__(self, kind, error, traceback):
        problem = None
        try:
            if kind is None:
                self.check_health()
                self.check_nothing_left()
        except SuiteError as found:
            problem = found
        if (kind is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit))) or problem:
            self.show_logs()
        self.close()
        if problem:
            raise problem
        return False

    def start_all(self):
        """Starts the proxy and the servers, one after the other, so that the first of them becomes active."""
        self.start("proxy")
        for name in self.names:
            self.start(name)
            if name == self.names[0]:
                self.wait_ready()
        if len(self.names) > 1:
            self.wait_redundant()

    def close(self):
        if self._closed:
            return
        self._closed = True
        for daemon in self.daemons.values():
            daemon.end_group()
        # A passive server that an active one has started has a session of its own, so that it outlives its parent. Its
        # command line names this suite's folder, as no other process's does.
        for pid, _ in self.leftovers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if os.environ.get("TWINSPACE_KEEP"):
            print(f"kept: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def check_health(self):
        """No process has ended that was not told to, and none has written of a trap."""
        for daemon in self.daemons.values():
            if daemon.process is not None and not daemon.may_end and daemon.process.poll() is not None:
                raise SuiteError(f"{daemon.name} ended by itself, with {describe_end(daemon.process.returncode)}")
            if daemon.log.exists():
                text = daemon.log.read_text(encoding="utf-8", errors="replace")
                for sign in ("Fatal error", "Precondition failed", "*** Signal", "Program crashed"):
                    if sign in text:
                        raise SuiteError(f"{daemon.name} has crashed: its log says `{sign}`")

    def leftovers(self):
        """Processes that mention the suite's folder on their command lines, as (pid, command line)."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            except OSError:
                continue
            if str(self.directory) in line:
                found.append((int(entry.name), line))
        return found

    def check_nothing_left(self):
        """No process is there but those that the suite started and their children."""
        def strangers():
            known = {daemon.process.pid for daemon in self.daemons.values() if daemon.running}
            return [(pid, line) for pid, line in self.leftovers() if pid not in known and parent(pid) not in known]
        wait_until(lambda: not strangers(), DEATH_SECONDS, "nothing of the suite is left without its parent",
                   lambda: f"left: {strangers()}")

    # Processes.

    def start(self, name, *extra):
        """Starts a daemon; `extra` flags hold for this start and those that follow."""
        self.daemons[name].arguments += extra
        self.daemons[name].start(self.environment)

    def kill(self, name, number=signal.SIGKILL):
        """Ends a daemon by a signal and waits for its death; returns its exit code."""
        daemon = self.daemons[name]
        daemon.may_end = True
        daemon.signal(number)
        if daemon.stopped and number != signal.SIGKILL:
            daemon.signal(signal.SIGCONT)
        return daemon.wait()

    def freeze(self, name):
        self.daemons[name].signal(signal.SIGSTOP)
        self.daemons[name].stopped = True

    def thaw(self, name):
        self.daemons[name].signal(signal.SIGCONT)
        self.daemons[name].stopped = False

    def restart(self, name, number=signal.SIGKILL):
        """Ends a daemon, where it runs, and starts it again on the same data."""
        if self.daemons[name].running:
            self.kill(name, number)
        self.start(name)

    def end_all(self, seconds=DEATH_SECONDS):
        """Waits for every daemon to end by itself; returns the exit codes by name."""
        codes = {}
        deadline = time.monotonic() + seconds
        for name, daemon in self.daemons.items():
            daemon.may_end = True
            if daemon.process is not None:
                codes[name] = daemon.wait(max(0.1, deadline - time.monotonic()))
        return codes

    # State.

    def http(self, path, method="GET", body=None, seconds=5.0):
        """(status, body) of a request to the proxy's HTTP port; (None, reason) where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=seconds)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return None, repr(error)
        finally:
            connection.close()

    def status(self):
        """What `/v1/status` says, or {} while there is no answer."""
        code, body = self.http("/v1/status")
        try:
            return json.loads(body) if code == 200 else {}
        except ValueError:
            return {}

    def server_status(self, name):
        return next((server for server in self.status().get("servers", []) if server.get("name") == name), {})

    def wait_ready(self, seconds=READY_SECONDS):
        wait_until(lambda: self.http("/readyz")[0] == 200, seconds, "/readyz says 200", self._standing)

    def wait_not_ready(self, seconds=READY_SECONDS):
        wait_until(lambda: self.http("/readyz")[0] not in (200, None), seconds, "/readyz stops saying 200",
                   self._standing)

    def wait_status(self, condition, what, seconds=REDUNDANT_SECONDS):
        """Waits until `condition(status)` is true; returns that status."""
        def probe():
            status = self.status()
            return status if status and condition(status) else None
        return wait_until(probe, seconds, what, self._standing)

    def wait_redundant(self, seconds=REDUNDANT_SECONDS, names=None):
        """Waits until all servers that run (or `names`) are in sync."""
        wanted = sorted(names or [n for n in self.names if self.daemons[n].running and not self.daemons[n].stopped])
        return self.wait_status(
            lambda status: status.get("redundant") is True and sorted(status.get("insync", [])) == wanted,
            f"status says redundant, in sync: {wanted}", seconds)

    def active(self, seconds=READY_SECONDS):
        """The name of the active server."""
        return self.wait_status(lambda status: status.get("active"), "status names an active server",
                                seconds)["active"]

    def passives(self):
        active = self.active()
        return [name for name in self.names if name != active and self.daemons[name].running]

    def _standing(self):
        code, body = self.http("/v1/status")
        running = [daemon.name for daemon in self.daemons.values() if daemon.running]
        return f"running: {running}, /readyz: {self.http('/readyz')[0]}, /v1/status: {code} {body.strip()[:600]}"

    # The operator log.

    def mark(self):
        """Where every log ends now, for `since`."""
        return {name: daemon.log.stat().st_size if daemon.log.exists() else 0 for name, daemon in self.daemons.items()}

    def log_text(self, name, since=None):
        daemon = self.daemons[name]
        if not daemon.log.exists():
            return ""
        with open(daemon.log, "rb") as log:
            log.seek((since or {}).get(name, 0))
            return log.read().decode("utf-8", "replace")

    def log_lines(self, names=None, since=None):
        """The parsed lines of the logs, in the order of their times. Unfinished last lines are left for later."""
        lines = []
        for name in names or self.daemons:
            for text in self.log_text(name, since).split("\n")[:-1]:
                line = LogLine.parse(name, text)
                if line:
                    lines.append(line)
        return sorted(lines, key=lambda line: line.time)

    def alerts(self, event=None, names=None, since=None):
        return [line for line in self.log_lines(names, since)
                if line.level == "ALERT" and event in (None, line.event)]

    def wait_alert(self, event, names=None, since=None, seconds=READY_SECONDS):
        """The first ALERT of that event; waits for it."""
        return wait_until(
            lambda: self.alerts(event, names, since), seconds, f"ALERT {event} in the log of {names or 'any'}",
            lambda: f"alerts: {[line.text for line in self.alerts(since=since)]}")[0]

    def show_logs(self):
        for daemon in self.daemons.values():
            if not daemon.log.exists():
                continue
            state = "running" if daemon.running else "not started"
            if daemon.process is not None and not daemon.running:
                state = describe_end(daemon.process.returncode)
            lines = daemon.log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"    --- {daemon.name} ({state}): {' '.join(daemon.arguments)}", file=sys.stderr)
            for line in lines[-LOG_TAIL_LINES:]:
                print(f"        {line[:400]}", file=sys.stderr)
        sys.stderr.flush()

    # The command line.

    def cli_arguments(self, *arguments):
        return [program("twinspace"), "--proxy", self.address("clients"), "--operators", self.address("operators"),
                *arguments]

    def cli(self, *arguments, stdin="", seconds=COMMAND_SECONDS, expect=None):
        """Runs `twinspace`; with `expect`, its exit code has to be that."""
        try:
            done = subprocess.run(
                self.cli_arguments(*arguments), input=stdin, capture_output=True, text=True, timeout=seconds,
                env=self.environment, check=False)
        except subprocess.TimeoutExpired:
            raise SuiteError(f"no end within {seconds:g} s: twinspace {' '.join(arguments)}") from None
        if expect is not None and done.returncode != expect:
            raise SuiteError(
                f"twinspace {' '.join(arguments)[:200]}: exit code {done.returncode}, not {expect}\n"
                f"stdout: {done.stdout[-600:]}\nstderr: {done.stderr[-600:]}")
        return done

    def answer(self, *arguments, expect=0, **options):
        """The one JSON answer of a client command."""
        done = self.cli("--output", "json", *arguments, expect=expect, **options)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise SuiteError(f"twinspace {arguments}: no JSON answer: {done.stdout[:300]!r}") from None
