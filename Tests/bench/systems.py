"""What is compared: Twinspace, Redis with a replica behind HAProxy, and a bare relay with the same hops."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from compiler import compile_c
from daemon import ROOT, SuiteError, _die_with_parent, free_port, program, wait_until
from suite import Suite

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20.0
# Keys that GETs look for, and POSTs replace; fewer where their values would take more than so many bytes.
KEYS = 200_000
VALUES_BYTES = 512 * 1024 * 1024
KEY_BYTES = 16
# Answers may take so long in all before a load counts as hung.
PATIENCE_SECONDS = 3000.0


@dataclass(frozen=True)
class Case:
    """One kind of load. `depth` requests at once on each of the connections."""

    operation: str
    depth: int
    connections: int
    durable: bool
    value_bytes: int = 16
    pairs: int = 1

    @property
    def title(self):
        clients = "one client" if self.connections == 1 else f"{self.connections} clients"
        store = "" if self.operation == "get" else (", fdatasync" if self.durable else ", in memory")
        return f"{self.operation.upper()}{self.of_what}, {clients}, depth {self.depth}{store}"

    @property
    def of_what(self):
        if self.pairs > 1:
            return f" of {self.pairs} pairs"
        # The longest element is a byte short of 64 KiB.
        return "" if self.value_bytes == 16 else f" of {(self.value_bytes + 1) // 1024} KiB" \
            if self.value_bytes >= 1024 else f" of {self.value_bytes} B"

    @property
    def keys(self):
        """How many there are for GET and POST: a multiple of 1,000."""
        return min(KEYS, max(1_000, VALUES_BYTES // self.value_bytes // 1_000 * 1_000))

    @property
    def brings(self):
        return self.operation != "get"

    def request_bytes(self):
        """Of Twinspace's frame."""
        def run(count):
            return count + (1 if count < 128 else 2 if count < 16_384 else 3)
        header, operator = 64, 1 + len(self.operation)
        if not self.brings:
            key = 1 + run(KEY_BYTES) + (0 if self.pairs > 1 else 2)
            return header + operator + 2 + key + 4
        pair = 2 + 2 + 1 + run(KEY_BYTES) + 2 + 1 + run(self.value_bytes)
        return header + operator + run(self.pairs) - self.pairs + 1 + self.pairs * pair

    def answer_bytes(self):
        """Of the frame that answers a GET."""
        def run(count):
            return count + (1 if count < 128 else 2 if count < 16_384 else 3)
        return 64 + 5 + self.pairs * (1 + run(KEY_BYTES) + 1 + run(self.value_bytes))


def cpu_seconds(pid):
    """CPU time of a process with all its threads, or 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def machine_busy():
    """Seconds of CPU that the whole machine has spent, and has had."""
    fields = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICKS, sum(fields) / TICKS


def start_process(arguments, log):
    with open(log, "ab") as output:
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                start_new_session=True, preexec_fn=_die_with_parent)


def wait_port(port, log):
    def is_open():
        try:
            socket.create_connection(("127.0.0.1", port), 0.3).close()
            return True
        except OSError:
            return False
    wait_until(is_open, START_SECONDS, f"port {port} is open", lambda: Path(log).read_text("utf-8", "replace")[-600:])


def run_load(arguments, processes):
    """Runs a load generator to its end. Its report, with CPU of all processes in µs an operation, and how much of the
    machine was used by nobody of these."""
    before = {role: cpu_seconds(pid) for role, pid in processes.items()}
    busy, whole = machine_busy()
    own = os.times()
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SuiteError(f"no end within {PATIENCE_SECONDS:g} s: {' '.join(arguments)}") from None
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise SuiteError(f"{' '.join(arguments)}: exit code {done.returncode}: {done.stderr[-600:]}") from None
    used = {role: cpu_seconds(pid) - before[role] for role, pid in processes.items()}
    busy_after, whole_after = machine_busy()
    ended = os.times()
    generator = sum(ended[2:4]) - sum(own[2:4]) + sum(ended[:2]) - sum(own[:2])
    operations = max(1, report["totalOperations"])
    report["cpu"] = {role: seconds / operations * 1e6 for role, seconds in used.items()}
    report["cpuServers"] = sum(report["cpu"].values())
    foreign = busy_after - busy - sum(used.values()) - generator
    report["foreign"] = max(0.0, foreign / max(0.01, whole_after - whole))
    return report


class System:
    """Something that can be started, loaded and stopped."""

    name = ""
    # What its processes are called in tables, from the client on.
    roles = ()

    def supports(self, case):
        raise NotImplementedError

    def start(self, durable, case=None):
        """Starts it on empty data, for loads like `case`."""
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def processes(self):
        """Role to pid."""
        raise NotImplementedError

    def load(self, case, seconds, warmup):
        raise NotImplementedError

    def fill(self, count, depth=16, value_bytes=16):
        """Puts so many keys; returns the report."""
        raise NotImplementedError


class Twinspace(System):
    name = "Twinspace"
    roles = ("proxy", "active", "passive")

    def __init__(self, proxy_flags=(), server_flags=()):
        self.proxy_flags = tuple(proxy_flags)
        self.server_flags = tuple(server_flags)
        self.suite = None
        self.next_key = 0

    def supports(self, case):
        return True

    def start(self, durable, case=None):
        # Default heartbeats: what is measured is what users get.
        self.suite = Suite(
            2, heartbeat=(), proxy_flags=("--max-clients", "4000", *self.proxy_flags),
            server_flags=("--sync", "always" if durable else "never", *self.server_flags), label="twinspace-bench")
        try:
            self.suite.start_all()
        except BaseException:
            self.suite.show_logs()
            self.stop()
            raise
        self.next_key = 0

    def stop(self):
        if self.suite:
            self.suite.close()
            self.suite = None

    def processes(self):
        active = self.suite.active()
        names = {"proxy": "proxy", "active": active}
        names["passive"] = next(name for name in self.suite.names if name != active)
        return {role: self.suite.daemons[name].process.pid for role, name in names.items()}

    def command(self, *arguments):
        return [program("twinspace-bench"), "load", "--json", "--proxy", self.suite.address("clients"),
                *map(str, arguments)]

    def run(self, *arguments):
        report = run_load(self.command("--first-key", self.next_key, *arguments), self.processes())
        self.next_key = report["nextKey"]
        return report

    def load(self, case, seconds, warmup):
        return self.run("--mix", f"{case.operation}=1", "--depth", case.depth, "--connections", case.connections,
                        "--keys", 1_000_000_000 if case.operation == "put" else case.keys, "--seconds", seconds,
                        "--warmup", warmup, "--value-bytes", case.value_bytes, "--pairs", case.pairs)

    def fill(self, count, depth=16, value_bytes=16):
        return self.run("--operations", count, "--keys", count, "--depth", depth, "--value-bytes", value_bytes)


class Redis(System):
    name = "Redis"
    roles = ("HAProxy", "primary", "replica")

    def __init__(self, tools, haproxy_threads, haproxy_busy_polling=False):
        self.tools = tools
        self.haproxy_threads = haproxy_threads
        self.haproxy_busy_polling = haproxy_busy_polling
        self.directory = None
        self.running = {}
        self.ports = {}
        self.next_key = 0

    def supports(self, case):
        return True

    def start(self, durable, case=None):
        self.directory = Path(tempfile.mkdtemp(prefix="twinspace-bench-redis-"))
        self.ports = {role: free_port() for role in self.roles}
        try:
            self._redis("primary", durable)
            self._redis("replica", durable, f"replicaof 127.0.0.1 {self.ports['primary']}")
            wait_until(self._is_synchronised, START_SECONDS, "the replica is online")
            self._haproxy()
        except BaseException:
            self.stop()
            raise
        self.next_key = 0

    def _redis(self, role, durable, *lines):
        folder = self.directory / role
        folder.mkdir()
        aof = ("appendonly yes", "appendfsync always", "auto-aof-rewrite-percentage 0") if durable else (
            "appendonly no",)
        settings = (
            "bind 127.0.0.1", f"port {self.ports[role]}", f"dir {folder}", 'save ""', "daemonize no",
            "protected-mode no", "maxclients 4000", "repl-diskless-sync yes", "repl-diskless-sync-delay 0", *aof,
            *lines)
        (folder / "redis.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
        log = self.directory / f"{role}.log"
        self.running[role] = start_process(["redis-server", str(folder / "redis.conf")], log)
        wait_port(self.ports[role], log)

    def _haproxy(self):
        text = f"""
global
    nbthread {self.haproxy_threads}
    {"busy-polling" if self.haproxy_busy_polling else ""}
    maxconn 4000
defaults
    mode tcp
    maxconn 4000
    timeout connect 1s
    timeout client 1h
    timeout server 1h
frontend clients
    bind 127.0.0.1:{self.ports['HAProxy']}
    default_backend redis
backend redis
    server primary 127.0.0.1:{self.ports['primary']} maxconn 4000
"""
        config, log = self.directory / "haproxy.cfg", self.directory / "haproxy.log"
        config.write_text(text, encoding="utf-8")
        self.running["HAProxy"] = start_process([haproxy_path(), "-db", "-f", str(config)], log)
        wait_port(self.ports["HAProxy"], log)

    def _is_synchronised(self):
        with socket.create_connection(("127.0.0.1", self.ports["primary"]), 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"INFO replication\r\n")
            return b"state=online" in connection.recv(65536)

    def stop(self):
        for process in self.running.values():
            end_process(process)
        self.running = {}
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def processes(self):
        return {role: self.running[role].pid for role in self.roles}

    def run(self, operation, *arguments, waits=False):
        command = [str(self.tools / "load"), "--protocol", "redis", "--port", str(self.ports["HAProxy"]), "--operation",
                   operation, "--first-key", str(self.next_key), *(["--wait"] if waits else []), *map(str, arguments)]
        report = run_load(command, self.processes())
        self.next_key = report["nextKey"]
        return report

    def load(self, case, seconds, warmup):
        keys = 1_000_000_000 if case.operation == "put" else case.keys
        return self.run(case.operation, "--depth", case.depth, "--connections", case.connections, "--keys", keys,
                        "--seconds", seconds, "--warmup", warmup, "--value-bytes", case.value_bytes, "--pairs",
                        case.pairs, waits=case.brings)

    def fill(self, count, depth=16, value_bytes=16):
        return self.run("put", "--operations", count, "--keys", count, "--depth", depth, "--value-bytes", value_bytes,
                        waits=True)


class Relay(System):
    name = "bare relay"
    roles = ("proxy", "server", "passive")

    def __init__(self, tools):
        self.tools = tools
        self.directory = None
        self.running = {}
        self.ports = {}

    def supports(self, case):
        return not case.durable

    def start(self, durable, case=None):
        self.directory = Path(tempfile.mkdtemp(prefix="twinspace-bench-relay-"))
        self.ports = {role: free_port() for role in self.roles}
        answer = case.answer_bytes() if case else 105
        onward = {"passive": (), "server": (self.ports["passive"], answer), "proxy": (self.ports["server"],)}
        try:
            for role, ports in onward.items():
                log = self.directory / f"{role}.log"
                words = [str(self.tools / "relay"), role, str(self.ports[role]), *map(str, ports)]
                self.running[role] = start_process(words, log)
                wait_port(self.ports[role], log)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for process in self.running.values():
            end_process(process)
        self.running = {}
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def processes(self):
        return {role: self.running[role].pid for role in self.roles}

    def load(self, case, seconds, warmup):
        command = [str(self.tools / "load"), "--protocol", "relay", "--port", str(self.ports["proxy"]), "--operation",
                   case.operation, "--depth", str(case.depth), "--connections", str(case.connections), "--seconds",
                   str(seconds), "--warmup", str(warmup), "--request-bytes", str(case.request_bytes())]
        return run_load(command, self.processes())

    def fill(self, count, depth=16, value_bytes=16):
        return None


def end_process(process):
    """Ends one that this program started, by its group."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


# What has to be there.

def haproxy_path():
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin") or "haproxy"


def require_anchors():
    """Installs Redis and HAProxy from the system's packages where they are missing, and stops the services that come
    with them: only what is started here may run. Returns why they are not there, or None."""
    missing = [package for package, command in (("redis-server", "redis-server"), ("haproxy", "haproxy"))
               if not (shutil.which(command) or shutil.which(command, path="/usr/sbin:/usr/local/sbin"))]
    if not missing:
        return None
    done = subprocess.run([str(ROOT / "scripts" / "deps.sh"), *missing], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        return f"cannot install {', '.join(missing)}: {(done.stderr or done.stdout).strip()[-300:]}"
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    for service in missing:
        if Path("/run/systemd/system").is_dir():
            subprocess.run([*as_root, "systemctl", "stop", service], capture_output=True, check=False)
        elif shutil.which("service"):
            subprocess.run([*as_root, "service", service, "stop"], capture_output=True, check=False)
    return None


def build_tools(folder):
    """Compiles the C programs beside this file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("load", "relay"):
        output = folder / name
        sources = [HERE / f"{name}.c", HERE / "wire.h"]
        if output.exists() and all(output.stat().st_mtime >= source.stat().st_mtime for source in sources):
            continue
        compile_c(sources[0], output, "-lm")
    return folder
