#!/usr/bin/env python3
"""What operators do: start, stop, flags, files, alerts, fencing, a passive server that is started by the active one."""
# time limit: 300 s

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from daemon import describe_end, free_port, parent, run_program, wait_until
from operator_log import LOG_LINE
from suite import Suite
from twinspace_protocol import Client

HOST = "127.0.0.1"
PAIRS = [[["user", str(number)], ["name", f"n{number}"]] for number in range(300)]
# A request is parked for ten seconds where no active server is there.
PARKING_SECONDS = 10.0


def connect(suite, **options):
    return Client(HOST, suite.ports["clients"], **options)


def fill(suite, pairs=None):
    with connect(suite) as client:
        expect_equal(client.put(pairs or PAIRS).rejected, [], "pairs given back")


def contents(suite):
    with connect(suite) as client:
        answer = client.get("(?s).*", "(?s).*")
        expect_equal(answer.status, "ok", "status of GET")
        return sorted(answer.pairs)


def check_shutdown():
    """`twinspace shutdown` ends every process with 0, exports if asked, and the data is there after a start"""
    with Suite(servers=2) as suite:
        exports = {name: suite.directory / f"export-{name}.jsonl" for name in suite.names}
        for name, path in exports.items():
            suite.daemons[name].arguments += ["--export-on-shutdown", str(path)]
            suite.restart(name)
        suite.wait_redundant()
        active = suite.active()
        fill(suite)
        suite.cli("shutdown", expect=0)
        expect_equal(suite.end_all(), {"proxy": 0, "a": 0, "b": 0}, "exit codes")
        lines = [json.loads(line) for line in exports[active].read_text(encoding="utf-8").splitlines()]
        expect_equal(sorted(lines), sorted(PAIRS), "the exported file")
        suite.start_all()
        expect_equal(contents(suite), sorted(PAIRS), "pairs after the start")
        suite.cli("shutdown", expect=0)
        suite.end_all()
        expect(not suite.leftovers(), f"left: {suite.leftovers()}")
        done = suite.cli("--timeout", "1s", "shutdown")
        expect(done.returncode not in (0, 1) and done.stderr.strip(), "shutdown of what is not there")


def check_signals():
    """SIGTERM and SIGINT end a daemon in good order; a terminated active server is replaced"""
    with Suite(servers=2) as suite:
        fill(suite)
        active = suite.active()
        expect_equal(suite.kill(active, signal.SIGTERM), 0, f"exit code of {active} after SIGTERM")
        wait_until(lambda: suite.status().get("active") not in (None, active), 15, "the other server took over")
        expect_equal(contents(suite), sorted(PAIRS), "pairs after the takeover")
        suite.restart(active)
        suite.wait_redundant()
        for name in suite.names:
            expect_equal(suite.kill(name, signal.SIGINT), 0, f"exit code of {name} after SIGINT")
        expect_equal(suite.kill("proxy", signal.SIGTERM), 0, "exit code of the proxy after SIGTERM")


def _proxy(**changes):
    flags = {"--clients": f"{HOST}:{free_port()}", "--servers": f"{HOST}:{free_port()}",
             "--operators": f"{HOST}:{free_port()}", "--http": "off", "--data": "proxy"}
    return "twinspace-proxy", _changed(flags, changes)


def _server(**changes):
    flags = {"--name": "a", "--proxy": f"{HOST}:{free_port()}", "--listen": f"{HOST}:{free_port()}", "--data": "a"}
    return "twinspace-server", _changed(flags, changes)


def _changed(flags, changes):
    flags.update({"--" + name.replace("_", "-"): value for name, value in changes.items()})
    given = {name: value for name, value in flags.items() if value is not None}
    return [part for name, value in given.items() for part in ([name, value] if value else [name])]


def check_bad_flags():
    """a bad address or flag: a message that names it, and an exit code other than 0"""
    with Suite(servers=0, start=False) as suite:
        here = str(suite.directory)
        (suite.directory / "file").write_text("", encoding="utf-8")
        cases = []
        for flag in ("clients", "servers", "operators", "http"):
            for value in ("nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:7x",
                          "[::1:7000", "no.such.host.invalid:7000", "192.0.2.1:7000"):
                cases.append((_proxy(**{flag: value}), f"--{flag}"))
        cases += [(_proxy(**{"max_clients": value}), "--max-clients") for value in ("0", "-1", "many", "1.5", "9" * 30)]
        cases += [(_proxy(**{"threads": value}), "--threads") for value in ("0", "65", "two")]
        cases += [
            (_proxy(data=None), "--data"), (_proxy(data="file/below"), "--data"),
            (_proxy(log="/nonexistent/log"), "--log"), (_proxy(log_format="xml"), "--log-format"),
            (_proxy(nonsense=""), "--nonsense"), (("twinspace-proxy", [*_proxy()[1], "stray"]), "stray"),
            (("twinspace-proxy", [*_proxy()[1], "--max-clients"]), "--max-clients"),
            (_server(name=None), "--name"), (_server(name="a b"), "--name"), (_server(name="x" * 65), "--name"),
            (_server(proxy="nonsense"), "--proxy"),
            (_server(listen="nonsense"), "--listen"), (_server(listen="192.0.2.1:7000"), "--listen"),
            (_server(advertise="nonsense"), "--advertise"),
            (_server(data=None), "--data"), (_server(data="file/below"), "--data"),
            (_server(heartbeat_interval="5"), "--heartbeat-interval"),
            (_server(heartbeat_interval="soon"), "--heartbeat-interval"),
            (_server(heartbeat_interval="0s"), "--heartbeat-interval"),
            (_server(heartbeat_misses="0"), "--heartbeat-misses"),
            (_server(heartbeat_misses="x"), "--heartbeat-misses"),
            (_server(sync="sometimes"), "--sync"), (_server(resync="maybe"), "--resync"),
            (_server(elements="words"), "--elements"), (_server(log_format="xml"), "--log-format"),
            (_server(nonsense=""), "--nonsense"),
        ]
        wrong = []
        for (name, arguments), flag in cases:
            code, text = run_in(name, arguments, here)
            shown = " ".join(arguments[-2:]) if flag == "stray" else flag
            if code is None or code <= 0:
                wrong.append(f"{name} {arguments}: {describe_end(code) if code is not None else 'still running'}")
            elif flag not in text:
                wrong.append(f"{name}, {shown}: the message does not name it: {text.strip()[:200]}")
            elif len(text.strip()) < len(flag) + 15:
                wrong.append(f"{name}, {shown}: no explanation: {text.strip()}")
        expect(not wrong, f"{len(wrong)} of {len(cases)}:\n  " + "\n  ".join(wrong))


def run_in(name, arguments, folder):
    previous = os.getcwd()
    os.chdir(folder)
    try:
        code, output, errors = run_program(name, *arguments, seconds=8.0)
    finally:
        os.chdir(previous)
    return code, output + errors


def check_port_in_use():
    """an address that is taken already is named with its flag and a remedy"""
    with Suite(servers=1) as suite:
        for flag in ("clients", "servers", "operators", "http"):
            changes = {flag: suite.address(flag), "data": str(suite.directory / "other")}
            name, arguments = _proxy(**changes)
            code, text = run_in(name, arguments, str(suite.directory))
            expect(code not in (None, 0) and code > 0, f"--{flag} in use: exit code {code}")
            expect(f"--{flag}" in text and suite.address(flag) in text, f"--{flag} in use: {text}")
        listen = suite.daemons["a"].arguments[suite.daemons["a"].arguments.index("--listen") + 1]
        name, arguments = _server(name="z", listen=listen, proxy=suite.address("servers"),
                                  data=str(suite.directory / "z"))
        code, text = run_in(name, arguments, str(suite.directory))
        expect(code not in (None, 0) and "--listen" in text and listen in text, f"--listen in use: {code} {text}")
        for data, (name, arguments) in (("proxy", _proxy(data=str(suite.directory / "proxy"))),
                                        ("server", _server(name="a", data=str(suite.directory / "server-a"),
                                                           proxy=suite.address("servers")))):
            code, text = run_in(name, arguments, str(suite.directory))
            expect(code not in (None, 0) and "--data" in text, f"data of a running {data}: {code} {text}")
        expect(suite.active() == "a", "the running suite was disturbed")


def check_import_at_start():
    """--import FILE fills an empty space; a malformed file is named with its line, and nothing is lost"""
    with Suite(servers=1) as source:
        fill(source)
        exported = source.cli("export", expect=0).stdout
    with Suite(servers=2, start=False) as suite:
        good = suite.directory / "good.jsonl"
        good.write_text(exported, encoding="utf-8")
        suite.start("proxy")
        suite.start("a", "--import", str(good))
        suite.wait_ready()
        expect_equal(contents(suite), sorted(PAIRS), "pairs of the file")
        suite.start("b")
        suite.wait_redundant()
        suite.kill("a")
        wait_until(lambda: suite.status().get("active") == "b", 15, "b took over")
        expect_equal(contents(suite), sorted(PAIRS), "pairs on the other copy")
    lines = exported.splitlines()
    for what, number, line in (("no JSON", 3, "this is not JSON"), ("no pair", 5, '["just one"]'),
                               ("a bad element", 2, '[["a b"],["c"]]'), ("cut off", len(lines) + 1, '[["a"],["b')):
        with Suite(servers=1, start=False) as suite:
            bad = suite.directory / "bad.jsonl"
            bad.write_text("\n".join(lines[:number - 1] + [line] + lines[number - 1:]) + "\n", encoding="utf-8")
            suite.start("proxy")
            suite.start("a", "--import", str(bad))
            daemon = suite.daemons["a"]
            daemon.may_end = True
            code = daemon.wait()
            text = suite.log_text("a")
            expect(code > 0, f"{what}: {describe_end(code)}")
            expect(str(bad) in text and f"{number}" in text.replace(str(bad), ""),
                   f"{what}: file and line {number} are not named: {text[-400:]}")
            expect_equal(bad.read_text(encoding="utf-8").count("\n"), len(lines) + 1, "lines of the file afterwards")
            place = daemon.arguments.index("--import")
            del daemon.arguments[place:place + 2]
            suite.start("a")
            suite.wait_ready()
            expect_equal(contents(suite), [], f"pairs after an import that failed ({what})")
    with Suite(servers=1, start=False) as suite:
        suite.start("proxy")
        suite.start("a", "--import", "/nonexistent/file.jsonl")
        suite.daemons["a"].may_end = True
        code = suite.daemons["a"].wait()
        expect(code > 0 and "/nonexistent/file.jsonl" in suite.log_text("a"), f"a missing file: {describe_end(code)}")


def children(pid):
    """Processes whose parent is `pid`."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [number for number in numbers if parent(number) == pid]


def check_spawn_passive():
    """--spawn-passive starts the passive server and restarts it, a limited number of times"""
    with Suite(servers=1, server_flags=("--spawn-passive",)) as suite:
        def redundant():
            return suite.wait_status(lambda status: status.get("redundant") is True, "`redundant` is true")

        def child():
            return wait_until(lambda: children(suite.daemons["a"].process.pid), 20, "the server has a child")[0]

        redundant()
        fill(suite)
        mark = suite.mark()
        first = child()
        os.kill(first, signal.SIGKILL)
        suite.wait_alert("passive-lost", since=mark)
        redundant()
        suite.wait_alert("redundancy-restored", since=mark)
        expect(child() != first, "the same child")
        deaths = 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            quiet = time.monotonic() + 8
            while not (found := children(suite.daemons["a"].process.pid)) and time.monotonic() < quiet:
                time.sleep(0.01)
            if not found:
                break
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            deaths += 1
            time.sleep(0.02)
        else:
            raise AssertionError(f"the passive server is started again without end ({deaths} deaths in 60 s)")
        expect_equal(contents(suite), sorted(PAIRS), "pairs without a passive server")
        print(f"    given up after {deaths} more deaths", flush=True)
        suite.cli("shutdown", expect=0)
        expect_equal(suite.end_all(), {"proxy": 0, "a": 0}, "exit codes")
    with Suite(servers=1, server_flags=("--spawn-passive",)) as suite:
        suite.wait_status(lambda status: status.get("redundant") is True, "`redundant` is true")
        suite.cli("shutdown", expect=0)
        expect_equal(suite.end_all(), {"proxy": 0, "a": 0}, "exit codes with a spawned passive server")


def check_fence_command():
    """--fence-command runs at a takeover and knows the old active server; its failure alerts"""
    with Suite(servers=2, start=False) as suite:
        note = suite.directory / "fenced"
        for name in suite.names:
            suite.daemons[name].arguments += ["--fence-command", f"env > {note}.new && mv {note}.new {note}"]
        suite.start_all()
        fill(suite)
        suite.kill("a")
        suite.wait_alert("takeover")
        wait_until(note.exists, 10, "the fence command has run")
        environment = [line for line in note.read_text(encoding="utf-8").splitlines() if line.startswith("TWINSPACE_")]
        expect(any(line.endswith("=a") for line in environment), f"the old active server is not named: {environment}")
        expect_equal(contents(suite), sorted(PAIRS), "pairs after the takeover")
        expect(not suite.alerts("fence-failed"), "fence-failed, though the command succeeded")
    with Suite(servers=2, server_flags=("--fence-command", "exit 3")) as suite:
        fill(suite)
        suite.kill("a")
        suite.wait_alert("takeover")
        suite.wait_alert("fence-failed")
        expect_equal(contents(suite), sorted(PAIRS), "pairs, though fencing by command has failed")


def check_elements_belong_to_the_space():
    """--elements is fixed at the first start; a server with another value refuses to start"""
    with Suite(servers=2, server_flags=("--elements", "text")) as suite:
        odd = [[["a b", "c,d", "é!"], ["\n", "😀"]]]
        fill(suite, odd)
        expect_equal(contents(suite), odd, "pairs of any text")
        suite.kill("a")
        wait_until(lambda: suite.status().get("active") == "b", 15, "b took over")
        expect_equal(contents(suite), odd, "pairs on the other copy")
        suite.add_server("c", "--elements", "alphanumeric")
        for name in ("c", "a"):
            daemon = suite.daemons[name]
            if name == "a":
                daemon.arguments[daemon.arguments.index("text")] = "alphanumeric"
            daemon.start(suite.environment)
            daemon.may_end = True
            code = daemon.wait()
            expect(code > 0, f"{name}: {describe_end(code)}")
            text = suite.log_text(name)
            expect("--elements" in text, f"{name} does not name --elements: {text[-300:]}")
        expect_equal(contents(suite), odd, "pairs afterwards")


def check_cold_restart():
    """after everything was killed and started again all is there, in either order"""
    with Suite(servers=2) as suite:
        fill(suite)
        for order in (("a", "b"), ("b", "a")):
            for name in ("proxy", *suite.names):
                suite.kill(name)
            suite.start("proxy")
            for name in order:
                suite.start(name)
            suite.wait_redundant()
            expect_equal(contents(suite), sorted(PAIRS), f"pairs after a start in the order {order}")


def check_stale_server_is_not_promoted():
    """a server that missed writes does not become active, though it is the only one"""
    with Suite(servers=2) as suite:
        suite.kill("b")
        suite.wait_status(lambda status: status.get("insync") == ["a"], "only a is in sync")
        fill(suite)
        suite.kill("a")
        suite.start("b")
        suite.wait_alert("no-active")
        time.sleep(1.0)
        expect_equal(suite.http("/readyz")[0], 503, "/readyz with only a stale server")
        suite.start("a")
        suite.wait_redundant()
        expect_equal(contents(suite), sorted(PAIRS), "pairs")
        expect_equal(suite.active(), "a", "the active server")


def check_parking():
    """without an active server requests wait for one, then are answered; too long: unavailable"""
    with Suite(servers=1) as suite:
        fill(suite)
        mark = suite.mark()
        suite.kill("a")
        process = subprocess.Popen(suite.cli_arguments("--output", "json", "--timeout", "30s", "get", ".*"),
                                   stdout=subprocess.PIPE, text=True, env=suite.environment)
        suite.wait_alert("no-active", since=mark)
        suite.start("a")
        output, _ = process.communicate(timeout=30)
        expect_equal(process.returncode, 0, "exit code of the request that waited")
        expect_equal(len(json.loads(output)["pairs"]), len(PAIRS), "pairs that it got")
        suite.kill("a")
        begin = time.monotonic()
        answer = suite.answer("--timeout", "60s", "put", "k", "v", expect=6)
        expect_equal(answer["status"], "unavailable", "status of a request that waited in vain")
        expect(time.monotonic() - begin < PARKING_SECONDS * 2, f"it waited for {time.monotonic() - begin:.1f} s")
        suite.start("a")
        suite.wait_ready()
        expect_equal(contents(suite), sorted(PAIRS), "pairs: nothing that was unavailable has taken effect")


def check_environment_variables():
    """every flag can be an environment variable; a flag wins"""
    with Suite(servers=1, start=False) as suite:
        def as_variables(daemon, keep=()):
            flags = dict(zip(daemon.arguments[1::2], daemon.arguments[2::2]))
            daemon.arguments = daemon.arguments[:1] + [part for flag in keep for part in (flag, flags[flag])]
            return {f"TWINSPACE_{flag[2:].upper().replace('-', '_')}": value for flag, value in flags.items()}
        plain = dict(suite.environment)
        proxy = as_variables(suite.daemons["proxy"])
        proxy["TWINSPACE_MAX_CLIENTS"] = "1"
        suite.environment = {**plain, **proxy}
        suite.start("proxy")
        server = as_variables(suite.daemons["a"], keep=("--name",))
        suite.environment = {**plain, **server, "TWINSPACE_NAME": "overruled"}
        suite.start("a")
        suite.environment = plain
        suite.wait_ready()
        expect_equal(suite.active(), "a", "the server's name: its flag wins over the variable")
        with connect(suite):
            suite.cli("get", ".*", expect=5)
        suite.environment = {**plain, "TWINSPACE_PROXY": suite.address("clients"), "TWINSPACE_OUTPUT": "json"}
        code, output, errors = run_program("twinspace", "get", ".*", environment=suite.environment)
        wait_until(lambda: run_program("twinspace", "get", ".*", environment=suite.environment)[0] == 0, 5,
                   "the command line finds the proxy by its variable", lambda: f"{code} {output} {errors}")
        _, output, _ = run_program("twinspace", "get", ".*", environment=suite.environment)
        expect_equal(json.loads(output)["status"], "ok", "status")
        code, _, errors = run_program("twinspace-server", "--name", "x", environment={**server, "TWINSPACE_SYNC": "no"})
        expect(code not in (None, 0) and "TWINSPACE_SYNC" in errors, f"a bad variable: {code} {errors}")


def check_operator_log():
    """every line is time, level, event, key=value; --log FILE and --log-format json"""
    with Suite(servers=2) as suite:
        suite.kill("a")
        suite.wait_alert("takeover")
        suite.restart("a")
        suite.wait_redundant()
        suite.cli("shutdown", expect=0)
        suite.end_all()
        for name in suite.daemons:
            lines = suite.log_text(name).splitlines()
            expect(lines, f"{name} has logged nothing")
            for line in lines:
                expect(LOG_LINE.match(line), f"{name} has logged what is no line of the log: {line!r}")
        for event, names in (("active-lost", ["b"]), ("takeover", ["b"]), ("not-redundant", None),
                             ("redundancy-restored", None)):
            expect(suite.alerts(event, names), f"no ALERT {event} of {names or 'anybody'}")
        times = [line.time for line in suite.log_lines(["b"])]
        expect_equal(times, sorted(times), "times of one server's lines")
    with Suite(servers=1, start=False) as suite:
        written = {name: suite.directory / f"{name}-flag.log" for name in suite.daemons}
        suite.start("proxy", "--log", str(written["proxy"]), "--log-format", "json")
        suite.start("a", "--log", str(written["a"]), "--log-format", "json")
        suite.wait_ready()
        wait_until(lambda: "not-redundant" in written["a"].read_text(encoding="utf-8"), 5, "the server has alerted")
        for name, path in written.items():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                expect({"time", "level", "event"} <= entry.keys(), f"{name}: {line}")
                expect(entry["event"] != "not-redundant" or entry["level"] == "ALERT", f"{name}: {line}")
            expect_equal(suite.log_text(name), "", f"what {name} wrote to standard error besides")


def check_switchover_and_resync():
    """`twinspace switchover` changes roles without loss; with --resync manual a server waits for `twinspace resync`"""
    with Suite(servers=2) as suite:
        fill(suite)
        active, epoch = suite.active(), suite.status()["epoch"]
        suite.cli("switchover", expect=0)
        wait_until(lambda: suite.status().get("active") not in (None, active), 15, "the other server is active")
        suite.wait_redundant()
        expect(suite.status()["epoch"] > epoch, "the epoch has not grown")
        expect_equal(contents(suite), sorted(PAIRS), "pairs after the switchover")
        suite.cli("resync", active, expect=0)
        suite.cli("resync", expect=0)
        suite.wait_redundant()
    with Suite(servers=2, server_flags=("--resync", "manual")) as suite:
        suite.kill("b")
        suite.wait_status(lambda status: status.get("insync") == ["a"], "only a is in sync")
        fill(suite)
        suite.start("b")
        wait_until(lambda: len(suite.status().get("servers", [])) == 2, 15, "b is registered")
        time.sleep(1.5)
        expect_equal(suite.status()["redundant"], False, "`redundant` before `resync` was commanded")
        suite.cli("resync", "b", expect=0)
        suite.wait_redundant()


def check_operations_have_names():
    """--op-id: sent again it takes effect once, across a takeover; `twinspace op` tells done, not done, or not known"""
    with Suite(servers=2) as suite:
        put = ("put", "user,42", "ada,lovelace", "user,42", "alan,turing", "--op-id", "signup42")
        first = suite.answer(*put, expect=1)
        expect_equal(suite.answer("op", "signup42", expect=1), first, "the answer told later")
        suite.cli("delete", "user,42", expect=0)
        expect_equal(suite.answer(*put, expect=1), first, "the answer to the second sending")
        expect_equal(contents(suite), [], "pairs: the second sending had no effect")
        suite.kill("a")
        wait_until(lambda: suite.status().get("active") == "b", 15, "b took over")
        expect_equal(suite.answer(*put, expect=1), first, "the answer to a sending after the takeover")
        expect_equal(suite.answer("op", "signup42", expect=1), first, "the answer told after the takeover")
        expect_equal(contents(suite), [], "pairs after the takeover")
        expect_equal(suite.answer("op", "signup43", expect=6)["status"], "unavailable", "nothing was ever forgotten")
        expect_equal(suite.answer("op", "signup43", "--age", "2h", expect=6)["status"], "unavailable", "of what nobody did")
        # A freeze of everybody: the client gives up, and does not know.
        suite.freeze("b")
        done = suite.cli("--timeout", "300ms", "put", "user,43", "grace,hopper", expect=7)
        name = re.search(r"twinspace op ([0-9a-f.]+)", done.stderr)
        expect(name, f"no name to ask with: {done.stderr}")
        told = suite.cli("--timeout", "300ms", "op", name[1], expect=7)
        expect("could not be asked" in told.stderr, f"the question was not answered either: {told.stderr}")
        suite.thaw("b")
        suite.cli("op", name[1], expect=0)
        expect_equal(contents(suite), [[["user", "43"], ["grace", "hopper"]]], "pairs after the freeze")


def check_idle_return():
    """a passive server that dies and returns while nothing is written is in sync again"""
    with Suite(servers=2) as suite:
        fill(suite)
        for number in (signal.SIGKILL, signal.SIGTERM):
            suite.kill("b", number)
            suite.wait_status(lambda status: status.get("insync") == ["a"], "only a is in sync")
            suite.start("b")
            suite.wait_redundant(15)
        suite.kill("a")
        wait_until(lambda: suite.status().get("active") == "b", 15, "b took over")
        expect_equal(contents(suite), sorted(PAIRS), "pairs")


def check_one_server_alone():
    """a server that is alone serves, says that nothing is redundant, and takes up the second one when it comes"""
    with Suite(servers=2, start=False) as suite:
        suite.start("a")
        time.sleep(0.5)
        expect(suite.daemons["a"].running, "a server that finds no proxy has ended")
        suite.start("proxy")
        suite.wait_ready()
        suite.wait_alert("not-redundant")
        expect_equal(suite.status()["redundant"], False, "`redundant` with one server")
        fill(suite)
        suite.start("b")
        suite.wait_redundant()
        suite.wait_alert("redundancy-restored")
        suite.kill("a")
        wait_until(lambda: suite.status().get("active") == "b", 15, "b took over")
        expect_equal(contents(suite), sorted(PAIRS), "pairs that were put before b came")


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
