#!/usr/bin/env python3
"""The compose file on a real Docker engine, with the programs that were built here.

Starts a proxy and two servers with `compose up` from the project's root, writes through the published port, kills the
container of the active server, reads everything back, and lets it come back: once started by an operator, once by the
restart policy. Then all is stopped and started again, and everything must still be there.

usage: docker_test.py BIN      BIN is the folder of the release build

Where an engine answers already, it is used, under a project name of the test's own. Otherwise, as root, dockerd is
started in network, mount and process namespaces of its own: its bridges, firewall rules and mounts are seen by nobody,
the usual ports are free there, and everything ends with the test however that ends. Needed for it: docker.io (or another
package with dockerd), debootstrap, docker-compose or the compose plugin; overlayfs, bridge, veth and netfilter in the
kernel. What is missing is installed by apt. Where no engine can be had the test says so and ends with code 77.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".build" / "docker"
WHOLE_LIMIT_SECONDS = 840
USER_ID = "10001"
PAIR_COUNT = 100
INSIDE = "--inside"


class Skip(Exception):
    """No engine can be had here."""


def say(text):
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def run(*command, timeout=60, check=True, **options):
    """Runs a command to its end, and returns what it printed."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", timeout=timeout, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def works(*command, timeout=20):
    try:
        run(*command, timeout=timeout)
        return True
    except (AssertionError, OSError, subprocess.TimeoutExpired):
        return False


def eventually(what, seconds, attempt):
    """Asks again and again until the answer is true; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = attempt()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.25)


# What the test needs


def compose_command():
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and works(*command, "version"):
            return command
    return None


def install_missing(needed):
    """Lets apt install what is missing. `needed` maps a package to the question whether it is there."""
    missing = [package for package, there in needed.items() if not there()]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0:
        raise Skip(f"missing: {names} (as root: apt-get install {names})")
    say(f"installing {names}")
    try:
        run(ROOT / "scripts" / "deps.sh", *missing, timeout=600)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise Skip(f"missing, and apt cannot install it: {names}\n{error}") from error
    for package, there in needed.items():
        if not there():
            raise Skip(f"{package} is installed but does not work")


def enter_own_namespaces(bin_folder):
    """Prepares what needs the network, then runs this test again where only it is. Returns its exit code."""
    if os.geteuid() != 0:
        raise Skip("no Docker engine answers, and only root can start one")
    install_missing({
        "docker.io": lambda: shutil.which("dockerd") and shutil.which("docker"),
        "docker-compose": lambda: compose_command() is not None,
        "debootstrap": lambda: shutil.which("debootstrap") is not None,
        "iproute2": lambda: shutil.which("ip") is not None,
    })
    codename = run("bash", "-c", ". /etc/os-release; echo $VERSION_CODENAME").strip()
    try:
        print(run(ROOT / "docker" / "base-image.sh", CACHE / f"base-{codename}.tar", *programs(bin_folder),
                  timeout=400), end="", flush=True)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise Skip(f"no base image can be made here\n{error}") from error

    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if not works(*namespaces, "ip", "link", "set", "lo", "up"):
        raise Skip("the kernel grants no namespaces: " + run(*namespaces, "true", check=False).strip())
    # The shell is there to collect what the engine's children leave behind: it is process 1.
    script = 'ip link set lo up; "$@"; exit $?'
    with tempfile.TemporaryDirectory(prefix="twinspace-docker-") as scratch:
        inner = subprocess.Popen(
            [*namespaces, "bash", "-c", script, "bash", sys.executable, str(Path(__file__).resolve()),
             str(bin_folder), INSIDE, scratch, str(STARTED)],
            stdin=subprocess.DEVNULL)
        try:
            return inner.wait(timeout=WHOLE_LIMIT_SECONDS + 30)
        except BaseException:
            inner.kill()
            inner.wait()
            raise


class Engine:
    """A dockerd of the test's own."""

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.log = self.scratch / "dockerd.log"
        self.process = None

    def start(self):
        address = f"unix://{self.scratch}/docker.sock"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--data-root", self.scratch / "data", "--exec-root", self.scratch / "exec",
                 "--pidfile", self.scratch / "dockerd.pid", "--host", address],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        os.environ["DOCKER_HOST"] = address
        deadline = time.monotonic() + 60
        while not works("docker", "info"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Skip("dockerd does not start here:\n" + self.last_words())
            time.sleep(0.25)
        say("engine: " + run("docker", "info", "--format", "dockerd {{.ServerVersion}}, {{.Driver}}, "
                                                           "cgroups {{.CgroupVersion}}").strip())

    def last_words(self):
        lines = self.log.read_text(errors="replace").splitlines()
        telling = [line for line in lines if "level=info" not in line] or lines
        return "\n".join(telling[-15:])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # The engine leaves the handle of a network namespace mounted.
        subprocess.run(f"umount {self.scratch}/exec/netns/* {self.scratch}/data/*/* 2>/dev/null", shell=True, check=False)


def programs(bin_folder):
    return [bin_folder / name for name in ("twinspace", "twinspace-proxy", "twinspace-server")]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


# The suite in containers


class Suite:
    def __init__(self, bin_folder, own_engine):
        self.client = bin_folder / "twinspace"
        self.compose = compose_command()
        self.name = f"twinspacetest{os.getpid()}"
        self.image = f"{self.name}-image"
        self.own_engine = own_engine
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("TWINSPACE_")}
        self.environment.update(COMPOSE_PROJECT_NAME=self.name, TWINSPACE_IMAGE=self.image, COMPOSE_HTTP_TIMEOUT="120")
        # In the test's own network the usual ports are free, and the file's defaults are tested.
        ports = (7400, 7402, 7403)
        if not own_engine:
            ports = free_ports(3)
            for variable, port in zip(("CLIENTS", "OPERATORS", "HTTP"), ports):
                self.environment[f"TWINSPACE_{variable}_PORT"] = str(port)
        self.clients, self.operators, self.http = ports

    def composed(self, *arguments, timeout=180, check=True):
        """Without `-f`: the project's `.env` names the file."""
        return run(*self.compose, *arguments, timeout=timeout, check=check, cwd=ROOT, env=self.environment)

    def container(self, service):
        return self.composed("ps", "-a", "-q", service).split()[-1] if self.compose[0] == "docker" else \
            self.composed("ps", "-q", service).split()[-1]

    def inspected(self, service, template):
        return run("docker", "inspect", "--format", template, self.container(service)).strip()

    def twinspace(self, *arguments, check=True, timeout=90):
        environment = {key: value for key, value in self.environment.items() if not key.startswith("TWINSPACE_")}
        done = subprocess.run(
            [self.client, "--proxy", f"127.0.0.1:{self.clients}", "--operators", f"127.0.0.1:{self.operators}",
             "--output", "json", "--timeout", "60s", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
        if check and done.returncode != 0:
            raise AssertionError(f"twinspace {' '.join(arguments[:3])}: exit code {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def status(self):
        return self.twinspace("status", check=False)

    def redundant_status(self):
        status = self.status()
        return status if status.get("redundant") and len(status.get("insync", [])) == 2 else None

    def logs(self):
        return self.composed("logs", "--no-color")

    def alerts(self, event):
        return self.logs().count(f" ALERT {event} ")

    def put(self, first, count):
        arguments = []
        for number in range(first, first + count):
            arguments += [f"row,{number}", f"value,{number}"]
        answer = self.twinspace("put", *arguments)
        assert answer["status"] == "ok" and answer["pairs"] == [], answer

    def check_everything(self, count):
        answer = self.twinspace("get", '["row", "[0-9]+"]')
        found = {key[1]: value for key, value in answer["pairs"]}
        wanted = {str(number): ["value", str(number)] for number in range(count)}
        assert found == wanted, f"of {count} pairs, missing: {sorted(wanted.keys() - found.keys())}, " \
                                f"wrong: {sorted(key for key in found if found[key] != wanted.get(key))}"
        say(f"all {count} pairs are there")

    def is_healthy(self, service):
        health, restarts = self.inspected(service, "{{.State.Health.Status}} {{.RestartCount}}").split()
        assert int(restarts) < 5, f"{service} ends again and again"
        return health == "healthy"

    def wait_until_healthy(self):
        for service in ("proxy", "server-a", "server-b"):
            eventually(f"{service} is healthy", 90, lambda: self.is_healthy(service))

    def http_code(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def show_what_happened(self):
        print(self.composed("ps", check=False), flush=True)
        print("\n".join(self.composed("logs", "--no-color", check=False).splitlines()[-80:]), flush=True)

    def remove(self):
        self.composed("down", "--volumes", "--timeout", "5", check=False)
        if not self.own_engine:
            run("docker", "image", "rm", "--force", self.image, f"{self.image}-base", check=False)


def check_confinement(suite):
    for service in ("proxy", "server-a", "server-b"):
        container = suite.container(service)
        assert run("docker", "exec", container, "id", "-u").strip() == USER_ID, f"{service} runs as another user"
        assert not works("docker", "exec", container, "touch", "/usr/local/bin/x"), f"{service}: can write its root"
    say(f"all three run as user {USER_ID}, on a root file system they cannot write")


def check_takeover(suite, count, kill):
    """Kills the active server, writes at once, and reads back all that was acknowledged before and after."""
    active = suite.redundant_status()["active"]
    takeovers = suite.alerts("takeover")
    kill(active)
    start = time.monotonic()
    suite.put(count, 10)
    say(f"active {active} killed; the next write was answered after {(time.monotonic() - start) * 1000:.0f} ms")
    suite.check_everything(count + 10)
    status = eventually("another server is active", 30,
                        lambda: (lambda now: now if now.get("active") not in (None, "", active) else None)(suite.status()))
    eventually("an alert tells of the takeover", 10, lambda: suite.alerts("takeover") > takeovers)
    say(f"{status['active']} has taken over, in epoch {status['epoch']}, and the alert is in the log")
    return active


def wait_until_redundant(suite, restored_before):
    eventually("both servers are in sync again", 90, suite.redundant_status)
    eventually("an alert tells that redundancy is restored", 10,
               lambda: suite.alerts("redundancy-restored") > restored_before)
    suite.wait_until_healthy()
    say("redundancy is restored")


def check_suite(suite):
    suite.composed("config")
    suite.composed("up", "-d", "--no-build")
    say("up; waiting for health")
    suite.wait_until_healthy()
    eventually("both servers are in sync", 60, suite.redundant_status)
    assert suite.http_code("/healthz") == 200 and suite.http_code("/readyz") == 200
    say("all three are healthy, and the HTTP port answers")
    check_confinement(suite)

    count = PAIR_COUNT
    for first in range(0, count, 10):
        suite.put(first, 10)
    suite.check_everything(count)

    # An operator's kill: the engine takes it for a wish, so an operator starts the container again.
    restored = suite.alerts("redundancy-restored")
    dead = check_takeover(
        suite, count, lambda name: run("docker", "kill", "--signal", "KILL", suite.container(name)))
    count += 10
    run("docker", "start", suite.container(dead))
    wait_until_redundant(suite, restored)

    # A crash: the restart policy sees to it. The main process has to be visible from here.
    if suite.own_engine:
        restored = suite.alerts("redundancy-restored")
        dead = check_takeover(
            suite, count, lambda name: os.kill(int(suite.inspected(name, "{{.State.Pid}}")), signal.SIGKILL))
        count += 10
        wait_until_redundant(suite, restored)
        assert int(suite.inspected(dead, "{{.RestartCount}}")) >= 1
    else:
        say("the engine is not the test's own: no crash behind its back, so the restart policy is not tested")

    suite.composed("stop")
    codes = {service: suite.inspected(service, "{{.State.ExitCode}}") for service in ("server-a", "server-b", "proxy")}
    assert set(codes.values()) == {"0"}, f"exit codes after `compose stop`: {codes}"
    suite.composed("start")
    suite.wait_until_healthy()
    suite.check_everything(count)
    say("stopped in good order, started again")


def test(bin_folder, scratch):
    """Runs the test on its own engine when there is a scratch folder for it, otherwise on the one that answers."""
    engine = Engine(scratch) if scratch else None
    suite = None
    try:
        if engine:
            engine.start()
        suite = Suite(bin_folder, own_engine=engine is not None)
        environment = dict(os.environ, PULL="no" if engine else "yes", CACHE=str(CACHE), DOCKER_CLI_HINTS="false")
        run(ROOT / "docker" / "image.sh", "prebuilt", suite.image, bin_folder, timeout=400, env=environment)
        say("image: " + run("docker", "image", "inspect", "--format", "{{.Size}} bytes", suite.image).strip())
        check_suite(suite)
    except Skip:
        raise
    except BaseException:
        if suite:
            suite.show_what_happened()
        if engine:
            print(engine.last_words(), flush=True)
        raise
    finally:
        signal.alarm(0)
        try:
            if suite:
                suite.remove()
        finally:
            if engine:
                engine.stop()
    say("passed")
    return 0


def on_signal(number, _frame):
    raise SystemExit(f"ended by {signal.Signals(number).name}"
                     + (f": {WHOLE_LIMIT_SECONDS} s were not enough" if number == signal.SIGALRM else ""))


def main():
    global STARTED
    bin_folder = Path(sys.argv[1]).resolve()
    inside = INSIDE in sys.argv
    if inside:
        STARTED = float(sys.argv[sys.argv.index(INSIDE) + 2])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, on_signal)

    try:
        for program in programs(bin_folder):
            assert os.access(program, os.X_OK), f"{program} is not built"
        if inside:
            signal.alarm(WHOLE_LIMIT_SECONDS)
            return test(bin_folder, sys.argv[sys.argv.index(INSIDE) + 1])
        if shutil.which("docker") and works("docker", "info", timeout=10):
            say("an engine answers already and is used")
            install_missing({"docker-compose": lambda: compose_command() is not None})
            signal.alarm(WHOLE_LIMIT_SECONDS)
            return test(bin_folder, None)
        return enter_own_namespaces(bin_folder)
    except Skip as reason:
        print(f"\nDOCKER TEST SKIPPED: {reason}\n", flush=True)
        return 77
    except AssertionError as error:
        print(f"\nDOCKER TEST FAILED: {error}\n", flush=True)
        return 1


STARTED = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
