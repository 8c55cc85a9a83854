#!/usr/bin/env python3
"""How the programs start, what strangers can take at their doors, and what is said of what goes on."""
# time limit: 300 s

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from daemon import free_port, program, wait_until
from suite import Suite
from twinspace_protocol import Client

HOST = "127.0.0.1"


def proxy_command(directory, *flags):
    addresses = [text for sap in ("clients", "servers", "operators") for text in (f"--{sap}", f"{HOST}:{free_port()}")]
    return [program("twinspace-proxy"), *addresses, "--http", "off", "--data", str(directory / "proxy"),
            "--log", str(directory / "log"), *flags]


def limited(number, value, hard=None):
    """For a child: a limit, the soft one alone where `hard` is not given."""
    def apply():
        resource.setrlimit(number, (value, hard if hard is not None else resource.getrlimit(number)[1]))
    return apply


def close_standard_descriptors():
    for number in (0, 1, 2):
        os.close(number)


def open_if_read(pipe):
    """The writing end of a pipe; None while nobody has opened it for reading."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def check_closed_standard_descriptors():
    """A daemon whose standard descriptors are closed starts, and stops in good order with 0"""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        process = subprocess.Popen(proxy_command(directory), preexec_fn=close_standard_descriptors)
        try:
            wait_until(lambda: (directory / "log").exists() and "started" in (directory / "log").read_text(), 20,
                       "the proxy has started")
            process.send_signal(signal.SIGTERM)
            expect_equal(process.wait(20), 0, "exit code after SIGTERM")
        finally:
            process.kill()
            process.wait()


def check_signals_while_starting():
    """SIGTERM while a daemon starts ends it with 0; SIGHUP does not end it"""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        # Reading it waits for what never comes: the start goes on for as long as the check wants.
        os.mkfifo(directory / "pairs")
        command = [program("twinspace-server"), "--name", "a", "--proxy", f"{HOST}:{free_port()}",
                   "--listen", f"{HOST}:{free_port()}", "--data", str(directory / "a"),
                   "--import", str(directory / "pairs")]
        for number in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            try:
                writer = wait_until(lambda: open_if_read(directory / "pairs"), 20, "it reads the file")
                process.send_signal(signal.SIGHUP)
                time.sleep(0.2)
                expect(process.poll() is None, f"SIGHUP ended it, with {process.poll()}")
                process.send_signal(number)
                expect_equal(process.wait(20), 0, f"exit code after signal {number}")
            finally:
                process.kill()
                process.wait()
            os.close(writer)


def check_descriptor_limits():
    """What does not fit the limit of descriptors is refused with words; the default is lowered, and said"""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        limit = limited(resource.RLIMIT_NOFILE, 1024, 1024)
        done = subprocess.run(proxy_command(directory, "--max-clients", "5000"), preexec_fn=limit, timeout=20,
                              capture_output=True, text=True, check=False)
        expect_equal(done.returncode, 1, "exit code")
        expect("--max-clients 5000" in done.stderr and "1024" in done.stderr, f"words: {done.stderr}")
    with Suite(servers=0, start=False) as suite:
        suite.daemons["proxy"].arguments = ["/bin/sh", "-c", 'ulimit -n 1024; exec "$0" "$@"',
                                            *suite.daemons["proxy"].arguments]
        suite.start("proxy")
        line = wait_until(lambda: [line for line in suite.log_lines() if line.event == "clients-lowered"], 20,
                          "the lower number is said")[0]
        expect(0 < int(line.fields["clients"]) < 1000, line.text)
        # The soft limit alone does not count: it is raised.
        suite.daemons["proxy"].arguments[2] = 'ulimit -Sn 200; exec "$0" "$@"'
        mark = suite.mark()
        suite.restart("proxy")
        wait_until(lambda: any(line.event == "started" for line in suite.log_lines(since=mark)), 20, "it has started")
        expect(not [line for line in suite.log_lines(since=mark) if line.event == "clients-lowered"], "it was lowered")


class Strangers(threading.Thread):
    """So many silent connections to each port, new ones for those that are ended."""

    def __init__(self, counts):
        super().__init__(daemon=True)
        self.counts = counts
        self.ended = threading.Event()
        self.open = {port: [] for port in counts}
        self.made = 0

    def run(self):
        while not self.ended.wait(0.02):
            for port, count in self.counts.items():
                self.open[port] = [stranger for stranger in self.open[port] if not self.has_ended(stranger)]
                while len(self.open[port]) < count:
                    stranger = socket.socket()
                    stranger.setblocking(False)
                    stranger.connect_ex((HOST, port))
                    self.open[port].append(stranger)
                    self.made += 1
        for strangers in self.open.values():
            for stranger in strangers:
                stranger.close()

    @staticmethod
    def has_ended(stranger):
        try:
            if stranger.recv(4096):
                return False
        except BlockingIOError:
            return False
        except OSError:
            pass
        stranger.close()
        return True

    def __enter__(self):
        self.start()
        wait_until(lambda: self.made >= sum(self.counts.values()), 20, "the strangers are there")
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def check_strangers_at_the_doors():
    """With clients', HTTP's and the servers' own listeners full of silent strangers, servers restart and updates go on"""
    with Suite(servers=2, start=False) as suite:
        for daemon, limit in ((suite.daemons["proxy"], 620), (suite.daemons["a"], 220), (suite.daemons["b"], 220)):
            daemon.arguments = ["/bin/sh", "-c", f'ulimit -n {limit}; exec "$0" "$@"', *daemon.arguments]
        suite.start_all()
        with Client(HOST, suite.ports["clients"]) as client:
            listen = [suite.daemons[name].arguments for name in suite.names]
            ports = [int(arguments[arguments.index("--listen") + 1].split(":")[1]) for arguments in listen]
            with Strangers({suite.ports["http"]: 400, suite.ports["clients"]: 400, suite.ports["servers"]: 100,
                            **{port: 300 for port in ports}}):
                time.sleep(1)
                expect_equal(suite.http("/healthz")[0], 200, "/healthz with strangers at it")
                # Several segments of the journal, each of which needs a descriptor.
                big = "v" * 60_000
                for number in range(350):
                    expect_equal(client.put([[[f"k{number}"], [big]]]).status, "ok", f"PUT {number}")
                suite.restart(suite.passives()[0])
                wait_until(lambda: suite.status().get("redundant") is True, 60, "it is in sync again")
            wait_until(lambda: suite.http("/healthz")[0] == 200, 20, "/healthz when they have gone")
            expect_equal(client.put([[["last"], ["v"]]]).status, "ok", "PUT")


def check_file_size_limit():
    """A file that may not grow so far costs words, not a signal"""
    with tempfile.TemporaryDirectory() as name:
        command = [program("twinspace-server"), "--name", "a", "--proxy", f"{HOST}:{free_port()}",
                   "--listen", f"{HOST}:{free_port()}", "--data", str(Path(name) / "a")]
        done = subprocess.run(command, preexec_fn=limited(resource.RLIMIT_FSIZE, 1 << 20), timeout=60,
                              capture_output=True, text=True, check=False)
        expect_equal(done.returncode, 1, "exit code")
        expect("ulimit -f" in done.stderr, f"words: {done.stderr}")


def check_what_goes_on_is_said_once():
    """A wrong address, a wrong port and a taken name: the reason at once, then few lines"""
    with Suite(servers=1) as suite:
        log = suite.mark()
        nowhere = suite.add_server("b")
        nowhere.arguments[nowhere.arguments.index("--proxy") + 1] = f"{HOST}:{free_port()}"
        clients = suite.add_server("c")
        clients.arguments[clients.arguments.index("--proxy") + 1] = suite.address("clients")
        twin = suite.add_server("d")
        twin.arguments[twin.arguments.index("--name") + 1] = "a"
        for name in ("b", "c", "d"):
            suite.daemons[name].may_end = True
            suite.start(name)
        time.sleep(8)
        counts = {}
        for line in suite.log_lines(since=log):
            counts[line.source, line.event] = counts.get((line.source, line.event), 0) + 1
        expect(all(count <= 6 for count in counts.values()), f"lines in eight seconds: {counts}")
        unreachable = [line for line in suite.log_lines(["b"]) if line.event == "proxy-unreachable"]
        expect(unreachable and "refused" in unreachable[0].fields["reason"], f"{suite.log_text('b')}")
        refused = [line for line in suite.log_lines(["c"]) if line.event == "register-refused"]
        expect(refused, f"what the wrong port said is in the log: {suite.log_text('c')}")
        taken = [line for line in suite.log_lines(["d", "proxy"]) if line.event == "register-refused"]
        expect(taken and taken[0].fields["reason"], f"{suite.log_text('d')}")


def check_longest_turn():
    """Status tells the longest turn of each event loop"""
    with Suite(servers=2) as suite:
        status = suite.wait_status(lambda status: len(status.get("servers", [])) == 2, "both servers are there")
        for of in [status, *status["servers"]]:
            expect(0 <= of["recent_turn_ms"] <= of["longest_turn_ms"], f"{of}")


def check_health_of_a_server():
    """The container's health check: a server is well while its loop turns, in sync or not; one that stands still is not"""
    script = Path(__file__).resolve().parents[2] / "docker" / "healthcheck.sh"
    with Suite(servers=2) as suite:
        def health(name):
            arguments = suite.daemons[name].arguments
            listen = arguments[arguments.index("--listen") + 1]
            return subprocess.run([script], env={**os.environ, "TWINSPACE_NAME": name, "TWINSPACE_LISTEN": listen},
                                  capture_output=True, text=True, timeout=30, check=False).returncode

        for name in suite.names:
            expect_equal(health(name), 0, f"health of {name}")
        suite.freeze("b")
        expect_equal(health("b"), 1, "health of a frozen server")
        suite.thaw("b")
        suite.kill("proxy")
        for name in suite.names:
            expect_equal(health(name), 0, f"health of {name} without a proxy")
        suite.start("proxy")
        suite.wait_redundant()


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
