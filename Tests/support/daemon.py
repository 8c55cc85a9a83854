"""The project's programs as processes on this machine: where they are, ports for them, how they start and end."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("twinspace-proxy", "twinspace-server", "twinspace")

DEATH_SECONDS = 10.0
POLL_SECONDS = 0.01


class SuiteError(AssertionError):
    """What a test expected of the processes did not come to pass."""


def program(name):
    """The path of one of the project's programs: in $TWINSPACE_BIN, or where `make` puts them."""
    return str(Path(os.environ.get("TWINSPACE_BIN") or ROOT / ".build" / "release") / name)


def require_programs():
    missing = [program(name) for name in PROGRAMS if not os.access(program(name), os.X_OK)]
    if missing:
        sys.exit(f"not there: {', '.join(missing)}\nrun `make`, or set TWINSPACE_BIN to the folder of the programs")


def wait_until(condition, seconds, what, detail=None):
    """Polls `condition` until it returns something true, which is returned.

    `detail`, where given, is called when time is up, and says how things stand instead.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            note = f"; {detail()}" if detail else ""
            raise SuiteError(f"not within {seconds:g} s: {what}{note}")
        time.sleep(POLL_SECONDS)


# Ports.

def _ephemeral_ports():
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return range(int(low), int(high) + 1)
    except (OSError, ValueError):
        return range(32768, 61000)


_given_out = set()


def free_port():
    """A port that can be bound now and that the kernel does not give to outgoing connections.

    A port from the kernel's own range would not do: while its server is dead, an outgoing connection may get it, and a
    peer that keeps dialling it on loopback may even connect to itself.
    """
    ephemeral = _ephemeral_ports()
    candidates = [range(10000, ephemeral.start), range(ephemeral.stop, 65000)]
    pool = max(candidates, key=len)
    for _ in range(1000):
        port = random.SystemRandom().choice(pool) if len(pool) > 500 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            port = probe.getsockname()[1]
        if port not in _given_out:
            _given_out.add(port)
            return port
    raise SuiteError("no free port on 127.0.0.1 after 1,000 attempts")


# Processes.

def _die_with_parent():
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


_LIBC = ctypes.CDLL(None)


@dataclass
class Daemon:
    """One process of the suite, across its restarts."""

    name: str
    arguments: list
    log: Path
    process: subprocess.Popen = None
    starts: int = 0
    stopped: bool = False
    may_end: bool = False
    ends: list = field(default_factory=list)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, environment):
        if self.running:
            raise SuiteError(f"{self.name} runs already")
        # Daemons write few lines, and a test that starts one again wants to see the earlier ones too.
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.starts += 1
        self.stopped = False
        self.may_end = False

    def signal(self, number):
        if self.running:
            self.process.send_signal(number)

    def wait(self, seconds=DEATH_SECONDS):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise SuiteError(f"{self.name} did not end within {seconds:g} s") from None
        self.ends.append(code)
        return code

    def end_group(self):
        """Ends the process and whatever it started; its group is one of its own."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            self.process.wait(DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            pass


def parent(pid):
    """The process's parent; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def describe_end(code):
    """An exit code of subprocess in words."""
    if code is None:
        return "running"
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def run_program(name, *arguments, environment=None, seconds=10.0, stdin="", prefix=()):
    """Runs one of the programs by itself until it ends; (code, stdout, stderr). Code None: it was still running.

    `prefix` stands before the program on the command line, such as `prlimit --nofile=64`.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TWINSPACE_")}
    process = subprocess.Popen(
        [*prefix, program(name), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**clean, **(environment or {})}, start_new_session=True, preexec_fn=_die_with_parent)
    try:
        output, errors = process.communicate(stdin, timeout=seconds)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        return None, output, errors


def end_on_signals():
    """Makes SIGTERM end the program like an exception, so that every suite cleans up."""
    def leave(number, _frame):
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, leave)
