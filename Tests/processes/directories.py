#!/usr/bin/env python3
"""What stands at the other end: directories that are another's or older, addresses, settings, records of nobody's."""
# time limit: 240 s

import shutil
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from checks import expect, expect_equal, run_checks
from daemon import free_port, wait_until
from storage import connect, keys_of, put_many
from suite import HEARTBEAT_FLAGS, Suite
from twinspace_protocol import Frame, FrameReader, Reader, Writer


def directory(suite, name):
    return suite.directory / f"server-{name}"


def end_both_at_once(suite):
    """The switch goes on counting both: the passive server is frozen when the active one ends."""
    suite.freeze("b")
    suite.kill("a")
    suite.kill("b")


def expect_only_the_active_server_comes_back(suite, done, mark):
    """`b` is not promoted, and says why; what was acknowledged is on `a`, and then on both."""
    suite.start("b")
    alert = suite.wait_alert("copy-stale", names=["proxy"], since=mark)
    expect_equal(alert.fields.get("server"), "b", "who is said to be stale")
    time.sleep(1)
    expect_equal(suite.alerts("takeover", since=mark), [], "takeovers by a copy that lacks updates")
    expect_equal(suite.status().get("active"), None, "who is active")
    suite.start("a")
    suite.wait_redundant()
    expect_equal(suite.active(), "a", "the active server")
    suite.kill("a")
    suite.wait_alert("takeover", names=["b"], since=mark)
    with connect(suite) as client:
        expect_equal(keys_of(client, "x"), done, "what was acknowledged, on the copy that caught up")


def check_exchanged_directories():
    """b is out of the set, 20 updates, and the directories of a and b are exchanged: neither starts, nothing is lost"""
    with Suite(servers=2) as suite:
        suite.kill("b")
        with connect(suite) as client:
            done, _ = put_many(client, "x", 20)
        suite.kill("a")
        a, b, aside = directory(suite, "a"), directory(suite, "b"), suite.directory / "aside"

        def exchange():
            a.rename(aside)
            b.rename(a)
            aside.rename(b)

        exchange()
        mark = suite.mark()
        for name, owner in (("a", "b"), ("b", "a")):
            suite.start(name)
            suite.daemons[name].may_end = True
            expect(suite.daemons[name].wait() != 0, f"{name} starts on the directory of {owner}")
            said = suite.log_text(name, mark)
            expect(f"directory of server {owner}, and this is server {name}" in said, f"{name} says why: {said}")
        expect_equal(suite.alerts("takeover", since=mark), [], "takeovers")
        exchange()
        for name in ("a", "b"):
            suite.start(name)
        suite.wait_redundant()
        expect_equal(suite.active(), "a", "the active server")
        with connect(suite) as client:
            expect_equal(keys_of(client, "x"), done, "what was acknowledged")


def check_an_older_copy_while_the_other_is_away():
    """b starts on a backup of its directory while a is away: it is not promoted, and no acknowledged update is lost"""
    with Suite(servers=2) as suite:
        suite.kill("b")
        shutil.copytree(directory(suite, "b"), suite.directory / "backup")
        suite.start("b")
        suite.wait_redundant()
        with connect(suite) as client:
            done, _ = put_many(client, "x", 9)
        end_both_at_once(suite)
        # What is known of b's starts has to outlive the proxy's process.
        suite.restart("proxy")
        shutil.rmtree(directory(suite, "b"))
        (suite.directory / "backup").rename(directory(suite, "b"))
        expect_only_the_active_server_comes_back(suite, done, suite.mark())


def check_a_copy_of_a_running_servers_directory():
    """the same with a copy that was made while b ran: its log ends before what it had confirmed"""
    with Suite(servers=2) as suite:
        time.sleep(0.5)
        shutil.copytree(directory(suite, "b"), suite.directory / "backup")
        with connect(suite) as client:
            done, _ = put_many(client, "x", 9)
        # The next heartbeats tell the proxy.
        time.sleep(0.5)
        end_both_at_once(suite)
        shutil.rmtree(directory(suite, "b"))
        (suite.directory / "backup").rename(directory(suite, "b"))
        expect_only_the_active_server_comes_back(suite, done, suite.mark())


def check_listening_on_all_addresses():
    """servers that listen on 0.0.0.0 without --advertise are reached where they reach the proxy from"""
    with Suite(servers=2, start=False) as suite:
        for name in suite.names:
            arguments = suite.daemons[name].arguments
            arguments[arguments.index("--listen") + 1] = f"0.0.0.0:{free_port()}"
        suite.start_all()
        with connect(suite) as client:
            put_many(client, "x", 3)
        registered = [line for line in suite.log_lines(["proxy"]) if line.event == "server-registered"]
        expect(all(line.fields["address"].startswith("127.0.0.1:") for line in registered),
               f"registered: {[line.text for line in registered]}")


def check_an_address_that_nobody_can_dial():
    """a server that advertises 0.0.0.0 is refused with words and ends"""
    with Suite(servers=1) as suite:
        suite.add_server("b", *HEARTBEAT_FLAGS, "--advertise", "0.0.0.0:7410")
        suite.start("b")
        suite.daemons["b"].may_end = True
        expect(suite.daemons["b"].wait() != 0, "b goes on")
        expect("--advertise" in suite.log_text("b"), f"b says what to do: {suite.log_text('b')}")


def check_heartbeat_settings_that_differ():
    """a expects a heartbeat each 100 ms, b sends one a second: said once by each, and nobody is lost"""
    flags = {"a": HEARTBEAT_FLAGS, "b": ("--heartbeat-interval", "1s", "--heartbeat-misses", "4")}
    with Suite(servers=2, heartbeat=(), flags_of=flags) as suite:
        mark = suite.mark()
        time.sleep(5)
        expect_equal([line.text for line in suite.alerts(since=mark)], [], "alerts while nothing happens")
        for name in ("a", "b"):
            said = [line for line in suite.log_lines([name]) if line.event == "settings-differ"]
            expect_equal(len(said), 1, f"how often {name} says that settings differ")


def check_a_record_that_no_switch_ever_had():
    """a registration with epoch 2^64-1 is refused with words, and the proxy goes on"""
    with Suite(servers=1) as suite:
        for epoch, members in ((2**64 - 1, ["z"]), (3, []), (3, ["y"])):
            record = Writer().fixed("B", 1).fixed("Q", 9).fixed("Q", epoch).fixed("Q", epoch).run("z")
            record.length(len(members))
            for name in members:
                record.run(name)
            payload = Writer().run("z").run("127.0.0.1:9").fixed("B", 0).fixed("Q", 0).fixed("Q", 0).fixed("Q", 0)
            payload.bytes += record.fixed("B", 0).bytes
            payload.fixed("B", 1)
            with socket.create_connection(("127.0.0.1", suite.ports["servers"]), timeout=10) as link:
                link.sendall(Frame("register", bytes(payload.bytes)).encoded())
                reader, frame = FrameReader(), None
                while frame is None:
                    data = link.recv(65536)
                    expect(data, "the proxy closes the connection without a word")
                    reader.feed(data)
                    frame = reader.next()
                expect_equal(frame.type, "registerRefused", "the answer")
                words = Reader(frame.payload)
                expect_equal(words.fixed("B"), 1, "whether there is no use in trying again")
                expect("cannot be read" in words.text(), "it says why")
        with connect(suite) as client:
            put_many(client, "x", 3)
        wait_until(lambda: suite.status().get("active") == "a", 10, "the service goes on")


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
