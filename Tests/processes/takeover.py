#!/usr/bin/env python3
"""Kills and freezes of every process under load: no error that a client sees, nothing acknowledged lost, nothing twice.

ROUNDS=N takeovers by kill -9 (12 where it is not set; 50 is the whole measurement); RATE=N requests a second.
"""
# time limit: 600 s

import math
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from load import Load
from suite import Suite
from twinspace_protocol import Client

ROUNDS = int(os.environ.get("ROUNDS") or 12)
RATE = float(os.environ.get("RATE") or 4000)
CLIENTS = 4
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
SETTLE_SECONDS = 0.3
KILLS_WHILE_CATCHING_UP = max(6, ROUNDS // 2)


def percentile(values, share):
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def read_all(suite, name):
    """All pairs of one load client, through a client of our own."""
    with Client("127.0.0.1", suite.ports["clients"], timeout=30.0) as client:
        answer = client.get(f"{name},.*", ".*")
    expect_equal(answer.status, "ok", "status of the final GET")
    return sorted(answer.pairs)


def verify(suite, load, where):
    """No client saw anything wrong, and the space holds exactly what was acknowledged."""
    for report in load.reports:
        expect(not report["errors"], f"{where}: client {report['name']} saw errors: {report['errors'][:3]}")
        expect(not report["violations"],
               f"{where}: client {report['name']} got wrong answers: {report['violations'][:3]}")
    verify_pairs(suite, load, where)


def verify_pairs(suite, load, where):
    kept = 0
    for report in load.reports:
        found = {tuple(key): value for key, value in read_all(suite, report["name"])}
        wanted = {tuple(key): value for key, value in report["pairs"]}
        kept += len(wanted)
        lost = [key for key in wanted if key not in found]
        risen = [key for key in found if key not in wanted]
        other = [key for key in wanted if key in found and found[key] != wanted[key]]
        expect(not (lost or risen or other),
               f"{where}: {report['name']}: {len(lost)} pairs lost {lost[:3]}, {len(risen)} deleted ones are back"
               f" {risen[:3]}, {len(other)} have old values {other[:3]}")
    return kept


def verify_both_copies(suite, load):
    """The same on each server's copy: the active one is killed in between."""
    verify(suite, load, "on the active server's copy")
    active = suite.active()
    suite.kill(active)
    verify_pairs(suite, load, "on the other server's copy")


def total(load, member):
    return sum(report[member] for report in load.reports)


def summary(load, seconds):
    longest = max(report["longest"] for report in load.reports)
    return (f"{total(load, 'answered')} answers in {seconds:.1f} s ({total(load, 'answered') / seconds:.0f}/s), "
            f"{total(load, 'reconnects')} reconnects, {total(load, 'resent')} sent again, "
            f"slowest answer {longest * 1000:.0f} ms")


def check_kill_active(rounds=ROUNDS, threads=1):
    """kill -9 of the active server under load, again and again"""
    pauses = []
    with Suite(servers=2, proxy_threads=threads) as suite:
        begin = time.monotonic()
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            for number in range(rounds):
                time.sleep(SETTLE_SECONDS)
                active = suite.active()
                epoch = suite.status()["epoch"]
                mark = suite.mark()
                killed = time.monotonic()
                suite.kill(active)
                load.wait_flowing()
                time.sleep(SETTLE_SECONDS)
                pause = load.longest_gap(killed - 0.05, time.monotonic())
                pauses.append(pause)
                alert = suite.wait_alert("takeover", since=mark)
                expect(alert.fields.get("server") not in (None, active), f"who took over: {alert.text}")
                expect_equal(int(alert.fields.get("epoch", -1)), epoch + 1, "the epoch of the takeover")
                suite.wait_alert("active-lost", since=mark)
                standing = suite.status()
                expect(standing.get("active") != active, "the dead server is still called active")
                expect_equal(standing.get("redundant"), False, "`redundant` while one server is dead")
                suite.restart(active)
                suite.wait_redundant()
                suite.wait_alert("redundancy-restored", since=mark)
                print(f"    round {number + 1:>2}: {active} killed, no answer for {pause * 1000:.0f} ms", flush=True)
        seconds = time.monotonic() - begin
        verify_both_copies(suite, load)
    print(f"    pause over {len(pauses)} takeovers: p50 {percentile(pauses, 0.5) * 1000:.0f} ms, "
          f"p99 {percentile(pauses, 0.99) * 1000:.0f} ms, longest {max(pauses) * 1000:.0f} ms; 0 errors, 0 lost writes")
    print(f"    {summary(load, seconds)}", flush=True)


def check_kill_active_with_client_threads():
    """the same with the clients' connections on threads of the proxy's own"""
    check_kill_active(rounds=max(3, ROUNDS // 4), threads=3)


def check_freeze_active():
    """SIGSTOP of the active server: takeover; it steps down after SIGCONT, and nothing is lost"""
    with Suite(servers=2) as suite:
        begin = time.monotonic()
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            for _ in range(2):
                time.sleep(SETTLE_SECONDS)
                active = suite.active()
                mark = suite.mark()
                frozen = time.monotonic()
                suite.freeze(active)
                suite.wait_alert("takeover", since=mark)
                load.wait_flowing()
                time.sleep(SETTLE_SECONDS)
                pause = load.longest_gap(frozen - 0.05, time.monotonic())
                suite.thaw(active)
                suite.wait_redundant()
                expect(suite.active() != active, "the old active server came back as the active one")
                expect_equal(suite.server_status(active).get("role"), "passive", "the old active server's role")
                expect(suite.daemons[active].running, f"{active} has ended")
                print(f"    {active} frozen, no answer for {pause * 1000:.0f} ms", flush=True)
        seconds = time.monotonic() - begin
        verify_both_copies(suite, load)
    print(f"    {summary(load, seconds)}", flush=True)


def check_lose_passive():
    """kill -9 and SIGSTOP of the passive server: the service goes on, with alerts for the loss and its end"""
    with Suite(servers=2) as suite:
        begin = time.monotonic()
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            active = suite.active()
            passive = suite.passives()[0]
            epoch = suite.status()["epoch"]
            for way in ("kill", "freeze"):
                time.sleep(SETTLE_SECONDS)
                mark = suite.mark()
                lost = time.monotonic()
                getattr(suite, way)(passive)
                suite.wait_alert("passive-lost", since=mark)
                suite.wait_status(lambda status: status.get("redundant") is False, "`redundant` is false")
                load.wait_flowing()
                time.sleep(SETTLE_SECONDS)
                pause = load.longest_gap(lost - 0.05, time.monotonic())
                if way == "kill":
                    suite.restart(passive)
                else:
                    suite.thaw(passive)
                suite.wait_redundant()
                suite.wait_alert("redundancy-restored", since=mark)
                expect_equal((suite.active(), suite.status()["epoch"]), (active, epoch), "active server and epoch")
                print(f"    passive {passive}: {way}, no answer for {pause * 1000:.0f} ms", flush=True)
        seconds = time.monotonic() - begin
        verify_both_copies(suite, load)
    print(f"    {summary(load, seconds)}", flush=True)


def check_lose_proxy():
    """kill -9, SIGTERM and SIGSTOP of the proxy: clients reconnect and send again, nothing is lost or doubled"""
    with Suite(servers=2, proxy_threads=3) as suite:
        begin = time.monotonic()
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
                time.sleep(SETTLE_SECONDS)
                before = suite.status()
                lost = time.monotonic()
                if number == signal.SIGSTOP:
                    suite.freeze("proxy")
                    time.sleep(2.0)
                    suite.thaw("proxy")
                else:
                    suite.restart("proxy", number)
                load.wait_flowing()
                suite.wait_redundant()
                time.sleep(SETTLE_SECONDS)
                pause = load.longest_gap(lost - 0.05, time.monotonic())
                after = suite.status()
                expect_equal((after["active"], after["epoch"]), (before["active"], before["epoch"]),
                             "active server and epoch over the proxy's absence")
                print(f"    proxy {number.name}, no answer for {pause * 1000:.0f} ms", flush=True)
        seconds = time.monotonic() - begin
        expect(total(load, "resent") > 0, "nothing had to be sent again: this proves nothing")
        verify_both_copies(suite, load)
    print(f"    {summary(load, seconds)}", flush=True)


def check_proxy_and_active():
    """kill -9 of the proxy and the active server at one time; the record and both copies still agree"""
    with Suite(servers=2) as suite:
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            time.sleep(SETTLE_SECONDS)
            active = suite.active()
            suite.kill("proxy")
            suite.kill(active)
            suite.start("proxy")
            suite.wait_status(lambda status: status.get("active") not in (None, active), "the other server took over")
            load.wait_flowing()
            suite.restart(active)
            suite.wait_redundant()
        verify_both_copies(suite, load)


def check_everything_at_once():
    """kill -9 of all processes at one time, as when the power goes; started again, nothing is lost or doubled"""
    with Suite(servers=2) as suite:
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            for _ in range(3):
                time.sleep(SETTLE_SECONDS)
                for daemon in suite.daemons.values():
                    daemon.may_end = True
                    daemon.signal(signal.SIGKILL)
                for name in suite.daemons:
                    suite.daemons[name].wait()
                for name in suite.daemons:
                    suite.start(name)
                load.wait_flowing()
                suite.wait_redundant()
        verify_both_copies(suite, load)


def check_kill_while_catching_up():
    """kill -9 of the active server while the other one is still catching up: it is waited for, nothing is lost"""
    dice = random.Random(SEED)
    with Suite(servers=2) as suite:
        print(f"    SEED={SEED}", flush=True)
        with Load(suite, CLIENTS, rate=RATE) as load:
            load.wait_flowing()
            promoted = 0
            for _ in range(KILLS_WHILE_CATCHING_UP):
                time.sleep(SETTLE_SECONDS)
                active, passive = suite.active(), suite.passives()[0]
                suite.kill(passive)
                time.sleep(dice.random() * 0.2)
                suite.start(passive)
                time.sleep(dice.random() * 0.1)
                suite.kill(active)
                time.sleep(dice.random() * 0.2)
                suite.start(active)
                load.wait_flowing()
                suite.wait_redundant()
                promoted += suite.active() == passive
        verify_both_copies(suite, load)
        print(f"    {KILLS_WHILE_CATCHING_UP} rounds; the other server was in sync in time in {promoted}", flush=True)


def check_three_servers():
    """three servers: the active one is killed, then the next; no acknowledged write is lost"""
    with Suite(servers=3, proxy_threads=3) as suite:
        with Load(suite, CLIENTS, rate=RATE / 2) as load:
            load.wait_flowing()
            dead = []
            for _ in range(2):
                time.sleep(SETTLE_SECONDS)
                dead.append(suite.active())
                mark = suite.mark()
                suite.kill(dead[-1])
                suite.wait_alert("takeover", since=mark)
                load.wait_flowing()
            expect(len(set(dead)) == 2, f"two different servers were active: {dead}")
            for name in dead:
                suite.restart(name)
            suite.wait_redundant()
        verify_both_copies(suite, load)


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
