"""Redis with Sentinel and HAProxy when its primary is struck: what users would run instead, at its quickest.

Three sentinels, one replica, `down-after-milliseconds` at the lowest value at which they stay calm, HAProxy asking
every 50 ms who is primary and cutting all connections of one that is down. Writes do not `WAIT`: with two data nodes
none would ever succeed again after a failover, and waiting makes the pause longer. Unlike Twinspace's they can be lost.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from daemon import SuiteError, free_port, wait_until
from systems import START_SECONDS, Redis, haproxy_path, start_process, wait_port

DOWN_AFTER_MILLISECONDS = 100
LOAD_SECONDS = 5.0
STRIKE_SECONDS = 1.0
SENTINELS = 3


def _ask(port, *words):
    """The reply to a command of Redis, as bytes."""
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        connection.settimeout(2)
        connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return connection.recv(65536)


class SentinelRedis(Redis):
    """A primary, a replica, three sentinels, HAProxy."""

    def __init__(self, tools):
        super().__init__(tools, 1)
        self.sentinel_ports = []

    def start(self, durable):
        self.directory = Path(tempfile.mkdtemp(prefix="twinspace-bench-sentinel-"))
        self.ports = {role: free_port() for role in self.roles}
        self.sentinel_ports = [free_port() for _ in range(SENTINELS)]
        try:
            self._redis("primary", durable)
            self._redis("replica", durable, f"replicaof 127.0.0.1 {self.ports['primary']}")
            wait_until(self._is_synchronised, START_SECONDS, "the replica is online")
            for number, port in enumerate(self.sentinel_ports):
                self._sentinel(number, port)
            wait_until(self._is_watched, 30.0, "the sentinels know each other and the replica")
            self._haproxy()
            wait_until(self._is_served, START_SECONDS, "HAProxy has found the primary")
        except BaseException:
            self.stop()
            raise

    def _sentinel(self, number, port):
        folder = self.directory / f"sentinel-{number}"
        folder.mkdir()
        settings = (
            "bind 127.0.0.1", f"port {port}", f"dir {folder}", "daemonize no", "protected-mode no",
            f"sentinel monitor service 127.0.0.1 {self.ports['primary']} 2",
            f"sentinel down-after-milliseconds service {DOWN_AFTER_MILLISECONDS}",
            "sentinel failover-timeout service 60000", "sentinel parallel-syncs service 1")
        (folder / "sentinel.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
        log = folder / "log"
        self.running[f"sentinel {number}"] = start_process(
            ["redis-server", str(folder / "sentinel.conf"), "--sentinel"], log)
        wait_port(port, log)

    def _is_watched(self):
        for port in self.sentinel_ports:
            words = _ask(port, "SENTINEL", "MASTER", "service").split(b"\r\n")
            def value(name):
                return words[words.index(name) + 2] if name in words else b""
            if (value(b"num-other-sentinels"), value(b"num-slaves"), value(b"flags")) != (b"2", b"1", b"master"):
                return False
        return True

    def _is_served(self):
        try:
            return b"+OK" in _ask(self.ports["HAProxy"], "SET", "probe", "1")
        except OSError:
            return False

    def _haproxy(self):
        text = f"""
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    maxconn 4000
    retries 0
    timeout connect 200ms
    timeout client 1h
    timeout server 1h
    timeout check 150ms
frontend clients
    bind 127.0.0.1:{self.ports['HAProxy']}
    default_backend redis
backend redis
    option tcp-check
    tcp-check connect
    tcp-check send info\\ replication\\r\\n
    tcp-check expect string role:master
    default-server inter 50ms fall 2 rise 1 on-marked-down shutdown-sessions
    default-server observe layer4 error-limit 1 on-error mark-down
    server one 127.0.0.1:{self.ports['primary']} check
    server two 127.0.0.1:{self.ports['replica']} check
"""
        config, log = self.directory / "haproxy.cfg", self.directory / "haproxy.log"
        config.write_text(text, encoding="utf-8")
        self.running["HAProxy"] = start_process([haproxy_path(), "-db", "-f", str(config)], log)
        wait_port(self.ports["HAProxy"], log)


def strike(tools, number):
    """The longest time without an answer in µs, and how many errors and lost connections clients saw; one failover."""
    system = SentinelRedis(tools)
    system.start(False)
    try:
        load = subprocess.Popen(
            [str(tools / "load"), "--protocol", "redis", "--port", str(system.ports["HAProxy"]), "--operation", "put",
             "--keys", "100000", "--warmup", "0.3", "--seconds", str(LOAD_SECONDS), "--reconnect"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            time.sleep(0.3 + STRIKE_SECONDS)
            os.kill(system.running["primary"].pid, number)
            output, errors = load.communicate(timeout=60)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
            if number == signal.SIGSTOP:
                os.kill(system.running["primary"].pid, signal.SIGCONT)
        try:
            report = json.loads(output)
        except ValueError:
            raise SuiteError(f"the load ended with {load.returncode}: {errors[-600:]}") from None
        return report["longestPause"], report["failures"] + report["reconnects"]
    finally:
        system.stop()
