"""What processes say, and how they end: attempts that fail for ever, closed descriptors, signals at any moment, file size
limits, orphans of the fence command, and a health check during a long resync."""

import collections
import os
import random
import signal
import subprocess
import time

from daemon import ROOT, Daemon, describe_end, free_port, program, wait_until
from disk_faults import DiskFaults
from measures import zombies_of
from scene import HOST, Skipped, complaints, import_file, large_pairs, scene

MOST_LINES = 25
CLOSED = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")


@scene(item=17, seconds=6)
def said_once(run):
    """Servers that never get anywhere (nobody at the proxy's address, a name that is taken, the clients' port): each says
    why, and not again for each attempt; nor does the proxy."""
    with run.stand(servers=1) as stand:
        suite = stand.suite
        seconds = run.amount(5, 60)
        lost = {}
        for title, name, address in (("nobody there", "lost", f"{HOST}:{free_port()}"),
                                     ("a taken name", "a", suite.address("servers")),
                                     ("the clients' port", "astray", suite.address("clients"))):
            key = title.replace(" ", "-").replace("'", "")
            # What is not in the suite's list of names is not waited for, but ended with it, and its log looked into.
            suite.daemons[key] = Daemon(key, [
                program("twinspace-server"), "--name", name, "--proxy", address, "--listen", f"{HOST}:0",
                "--data", str(suite.directory / f"data-{key}")], suite.directory / f"{key}.log")
            lost[title] = key
        with stand.attack(lines=MOST_LINES * 2, watched=["proxy", "a"]):
            for key in lost.values():
                suite.start(key)
                # It may see that it is of no use, and end.
                suite.daemons[key].may_end = True
            time.sleep(seconds)
            most = MOST_LINES * run.amount(1, 2)
            for title, key in lost.items():
                lines = suite.log_lines([key])
                said = [line for line in lines if line.level in ("WARN", "ERROR", "ALERT")]
                run.count(**{key: len(lines)})
                run.expect(said, f"a server that meets {title} says nothing of it in {seconds} s")
                run.expect(len(lines) <= most, f"a server that meets {title} wrote {len(lines)} lines in {seconds} s")


@scene(item=18, seconds=2)
def closed_descriptors(run):
    """Processes that are started without standard input, output and error work, and end in good order."""
    with run.stand(start=False) as stand:
        suite = stand.suite
        for daemon in suite.daemons.values():
            daemon.arguments = [*CLOSED, *daemon.arguments, "--log", str(daemon.log)]
        suite.start_all()
        with stand.attack():
            time.sleep(0.5)
        for name in ("b", "a", "proxy"):
            code = suite.kill(name, signal.SIGTERM)
            run.expect(code == 0, f"{name} ended with {describe_end(code)} after SIGTERM")


@scene(item=18, seconds=4)
def early_signals(run):
    """SIGTERM comes at any moment of a start, from the making of the data directory on: each process ends in good order, and
    what it leaves behind is in nobody's way."""
    dice = random.Random(18)
    ends = collections.Counter()
    with run.stand() as stand:
        suite = stand.suite
        with stand.attack() as attack:
            for number in range(run.amount(24, 400)):
                data = suite.directory / f"early-{number}"
                words = [program("twinspace-server"), "--name", "early", "--proxy", suite.address("servers"),
                         "--listen", f"{HOST}:0", "--data", str(data)]
                if number % 2:
                    words = [program("twinspace-proxy"), "--data", str(data),
                             *(f"--{sap}={HOST}:{free_port()}" for sap in ("clients", "servers", "operators", "http"))]
                with open(suite.directory / "early.log", "ab") as log:
                    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                try:
                    wait_until(data.exists, 6, "the data directory is there")
                    time.sleep(dice.choice((0, 0, 0.002, 0.01)))
                    process.send_signal(signal.SIGTERM)
                    ends[describe_end(process.wait(6))] += 1
                except subprocess.TimeoutExpired:
                    ends["no end"] += 1
                finally:
                    process.kill()
                    process.wait()
            run.count(**{word.replace(" ", "_"): count for word, count in ends.items()})
            attack.expect(set(ends) == {"exit code 0"}, f"after SIGTERM while they start: {dict(ends)}")
            # One that was a member for a moment does no harm.
            suite.wait_redundant(names=["a", "b"])


@scene(item=18, seconds=4)
def file_size(run):
    """One server may not write files beyond a size: it says so and leaves, or waits; it does not just die, and the other goes
    on."""
    with run.stand(start=False) as stand:
        suite = stand.suite
        suite.daemons["b"].arguments[:0] = ["prlimit", "--fsize=8388608", "--"]
        suite.start("proxy")
        suite.start("a")
        suite.wait_ready()
        suite.start("b")
        suite.daemons["b"].may_end = True
        with stand.attack(kills=True):
            for number in range(run.amount(10, 40)):
                stand.put([[[f"much{number}", str(part)], value] for part, (_, value) in enumerate(large_pairs(4))])
            time.sleep(0.3)
        code = suite.daemons["b"].process.poll()
        said = complaints(suite, ["b"], but=("active-lost", "not-redundant"))
        run.count(end=describe_end(code))
        run.expect(code is None or code >= 0, f"b ended with {describe_end(code)}")
        run.expect(said, "b says nothing of files that may not grow")


@scene(item=18, seconds=3)
def orphans(run):
    """A server is process 1, as in a container, and its fence command leaves a process behind: nothing stays dead and not
    buried."""
    if subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "--", "true"], capture_output=True,
                      check=False).returncode != 0:
        raise Skipped("no namespace of processes can be made here")
    fence = ("--fence-command", "(sleep 0.2 &); (sleep 0.3 &); true")
    with run.stand(start=False, flags_of={"b": fence}) as stand:
        suite = stand.suite
        suite.daemons["b"].arguments[:0] = ["unshare", "--pid", "--fork", "--kill-child", "--"]
        suite.start_all()
        with stand.attack(kills=True):
            suite.kill("a")
            suite.wait_status(lambda status: status.get("active") == "b", "b is active")
            outer = stand.pid("b")
            with open(f"/proc/{outer}/task/{outer}/children", encoding="ascii") as children:
                server = int(children.read().split()[0])
            time.sleep(1.2)
            dead = zombies_of(server)
            run.expect(not dead, f"{len(dead)} processes have ended and are not waited for")


@scene(item=18, seconds=4)
def health_in_resync(run):
    """A server takes a long time to fetch its copy: its health check calls it well meanwhile, so that nobody restarts it; one
    that is not there is not called well."""
    with run.stand(start=False) as stand:
        suite = stand.suite
        faults = DiskFaults(suite)
        suite.start("proxy")
        suite.start("a", *import_file(suite, large_pairs(run.amount(100, 400))))
        suite.wait_ready()
        suite.start("b")
        wait_until(lambda: "resync server=b" in suite.log_text("a"), 15, "b fetches a copy")
        faults.hang("b")
        with stand.attack(kills=True):
            time.sleep(0.3)
            run.expect(not suite.status().get("redundant"), "b has its copy already, so that nothing is shown")
            code, words = _health(suite, "b")
            run.expect(code == 0, f"the health check of a server that fetches its copy: exit code {code}, {words}")
            faults.mend()
            suite.wait_redundant()
            code, words = _health(suite, "b")
            run.expect(code == 0, f"the health check of a server in sync: exit code {code}, {words}")
            suite.kill("b")
            wait_until(lambda: suite.server_status("b") == {} or not suite.server_status("b").get("insync"), 10, "b is out")
            code, words = _health(suite, "b")
            run.expect(code != 0, "the health check of a server that is not there: exit code 0")


def _health(suite, name):
    """What the image's health check says of a server."""
    done = subprocess.run(
        ["sh", str(ROOT / "docker" / "healthcheck.sh")], capture_output=True, text=True, timeout=20, check=False,
        env={"PATH": f"{os.path.dirname(program('twinspace'))}:{os.environ['PATH']}", "TWINSPACE_NAME": name,
             "TWINSPACE_LISTEN": suite.address(name), "TWINSPACE_OPERATORS": suite.address("operators")})
    return done.returncode, (done.stdout + done.stderr).strip()[:200]
