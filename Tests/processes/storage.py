#!/usr/bin/env python3
"""Disks of real servers: full ones (on a small tmpfs), failing and hanging ones, damaged files, returns after kill -9.

ROUNDS=N kills in the loop at the end (8 where it is not set). The checks with a full disk need root, for the tmpfs.
"""
# time limit: 420 s

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from checks import Skipped, expect, expect_equal, run_checks
from daemon import wait_until
from disk_faults import DiskFaults
from load import Load
from suite import Suite
from takeover import verify_both_copies
from twinspace_protocol import Client

ROUNDS = int(os.environ.get("ROUNDS") or 8)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
TMPFS_BYTES = 112 * 1_048_576
SEGMENT_HEADER_BYTES = 64
RECORD_HEADER_BYTES = 40
VALUE = "v" * 60_000
SCRUB = ("--scrub-interval", "200ms")


class SmallDisk:
    """A tmpfs in place of a server's data directory."""

    def __init__(self, suite, name):
        self.path = suite.directory / f"server-{name}"
        self.path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(self.path)],
                              capture_output=True, text=True, timeout=10, check=False)
        if done.returncode != 0:
            raise Skipped(f"no tmpfs can be mounted here: {done.stderr.strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", str(self.path)], timeout=10, check=False)

    def fill(self):
        """Takes all room that is left."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(65_536))
            except OSError:
                pass
            try:
                while True:
                    filler.write(bytes(512))
            except OSError:
                pass

    @contextmanager
    def kept_full(self):
        """While it lasts, what is given back is taken at once."""
        is_over = threading.Event()

        def keep():
            while not is_over.wait(0.0005):
                self.fill()

        keeper = threading.Thread(target=keep)
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join(timeout=10)

    def free(self):
        (self.path / "filler").unlink()


def put_many(client, label, count, statuses=("ok",)):
    """Large pairs, one request each; returns the numbers of those that were acknowledged, and the other statuses."""
    done, refused = [], []
    for number in range(count):
        answer = client.put([[[label, str(number)], [VALUE]]])
        if answer.status == "ok":
            done.append(number)
        else:
            refused.append(answer)
            expect(answer.status in statuses, f"PUT {number}: {answer.status}: {answer.message}")
            if len(refused) > 3:
                break
    return done, refused


def keys_of(client, label):
    answer = client.get(f"{label},.*", "v.*")
    expect_equal(answer.status, "ok", "GET")
    return sorted(int(key[1]) for key, _ in answer.pairs)


def connect(suite):
    return Client("127.0.0.1", suite.ports["clients"], timeout=30.0)


def check_full_disk_of_the_active():
    """full disk, active server: updates are refused, reads answered, alerted; it goes on by itself when there is room"""
    with Suite(servers=2, start=False) as suite, SmallDisk(suite, "a") as disk:
        suite.start_all()
        expect_equal(suite.active(), "a", "the active server")
        before = suite.status()
        with connect(suite) as client:
            done, _ = put_many(client, "x", 20)
            disk.fill()
            more, refused = put_many(client, "y", 900, ("ok", "unavailable"))
            expect(refused, "a full disk took 54 MB")
            expect("full" in refused[0].message, f"the message: {refused[0].message}")
            alert = suite.wait_alert("disk", names=["a"])
            expect_equal(alert.fields.get("problem"), "full", "what the alert says")
            expect_equal(keys_of(client, "x"), done, "reads on a full disk")
            # A tmpfs has nothing behind it: what is not refused is there.
            time.sleep(1.0)
            again, _ = put_many(client, "z", 1, ("unavailable",))
            expect_equal(again, [], "updates on a full disk")
            standing = suite.status()
            expect_equal((standing["active"], standing["epoch"], standing["redundant"]), ("a", before["epoch"], True),
                         "who is active, epoch, redundancy")
            mark = suite.mark()
            disk.free()
            suite.wait_alert("disk-restored", names=["a"], since=mark)
            last, _ = put_many(client, "z", 5)
            expect_equal(len(last), 5, "updates when there is room again")
        for where in ("the active server's copy", "the other copy"):
            with connect(suite) as client:
                expect_equal(keys_of(client, "x"), done, f"the first pairs on {where}")
                expect_equal(keys_of(client, "y"), more, f"those up to the full disk on {where}")
                expect_equal(keys_of(client, "z"), last, f"those after it on {where}")
            if where == "the active server's copy":
                suite.kill("a")
                suite.wait_alert("takeover", since=mark)


def check_full_disk_of_the_passive():
    """full disk, passive server: it leaves, alerted, and the service goes on; it comes back when there is room"""
    with Suite(servers=2, start=False) as suite, SmallDisk(suite, "b") as disk:
        suite.start_all()
        expect_equal(suite.active(), "a", "the active server")
        with connect(suite) as client:
            done, _ = put_many(client, "x", 20)
            disk.fill()
            mark = suite.mark()
            more, refused = put_many(client, "y", 900)
            expect_equal((len(more), refused), (900, []), "updates while the passive server's disk is full")
            suite.wait_alert("disk", names=["b"])
            suite.wait_alert("not-redundant", names=["a"], since=mark)
            disk.free()
            suite.wait_alert("disk-restored", names=["b"], since=mark)
            suite.wait_redundant()
        suite.kill("a")
        suite.wait_alert("takeover", since=mark)
        with connect(suite) as client:
            expect_equal(keys_of(client, "x"), done, "the first pairs on the passive server's copy")
            expect_equal(keys_of(client, "y"), more, "the others on the passive server's copy")


def check_takeover_on_a_full_disk_after_a_restart():
    """full disk and kill -9: who returns remembers who is active though others take every byte that is given back"""
    with Suite(servers=2, start=False) as suite, SmallDisk(suite, "a") as disk:
        suite.start_all()
        expect_equal(suite.active(), "a", "the active server")
        with connect(suite) as client:
            done, _ = put_many(client, "x", 20)
            disk.fill()
            # Until the segment that was made ahead is full too.
            more, refused = put_many(client, "y", 900, ("ok", "unavailable"))
            expect(refused, "a full disk took 54 MB")
        with disk.kept_full():
            for _ in range(3):
                mark = suite.mark()
                suite.kill("a")
                suite.wait_alert("takeover", names=["b"], since=mark)
                suite.start("a")
                suite.wait_redundant()
                mark = suite.mark()
                suite.kill("b")
                suite.wait_alert("takeover", names=["a"], since=mark)
                with connect(suite) as client:
                    expect_equal((keys_of(client, "x"), keys_of(client, "y")), (done, more), "pairs on the full disk")
                suite.start("b")
                suite.wait_redundant()
        mark = suite.mark()
        disk.free()
        suite.wait_alert("disk-restored", names=["a"], since=mark)
        with connect(suite) as client:
            expect_equal(len(put_many(client, "z", 5)[0]), 5, "updates when there is room again")


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def segments(suite, name):
    return sorted((suite.directory / f"server-{name}").glob("log-*[0-9]"))


def snapshots(suite, name):
    return sorted((suite.directory / f"server-{name}").glob("snapshot-*[0-9]"))


def damage_log(suite, name):
    """Flips a bit in the payload of the newest segment's first record."""
    flip(segments(suite, name)[-1], SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 5)


def check_damaged_passive_at_start():
    """damaged log or snapshot of the passive server at its start: alerted, set aside, fetched anew, alerted as repaired"""
    with Suite(servers=2) as suite:
        with connect(suite) as client:
            done, _ = put_many(client, "x", 30)
            for what in ("log", "snapshot", "header", "garbage", "record"):
                suite.kill("b")
                folder = suite.directory / "server-b"
                if what == "log":
                    damage_log(suite, "b")
                elif what == "snapshot":
                    flip(snapshots(suite, "b")[-1], 100)
                elif what == "header":
                    flip(segments(suite, "b")[-1], 20)
                elif what == "garbage":
                    for path in segments(suite, "b") + snapshots(suite, "b"):
                        path.write_bytes(random.Random(SEED).randbytes(20_000))
                else:
                    (folder / "member.record").write_bytes(b"nonsense" * 100)
                mark = suite.mark()
                suite.start("b")
                suite.wait_alert("corruption", names=["b"], since=mark)
                suite.wait_redundant()
                suite.wait_alert("repaired", names=["b"], since=mark)
                expect(list((folder / "quarantine").iterdir()), "what was damaged is kept")
                expect_equal(suite.active(), "a", "the active server")
            with_new, _ = put_many(client, "y", 3)
        mark = suite.mark()
        suite.kill("a")
        suite.wait_alert("takeover", since=mark)
        with connect(suite) as client:
            expect_equal(keys_of(client, "x"), done, "the repaired copy")
            expect_equal(keys_of(client, "y"), with_new, "what came after the repair")


def check_damaged_active_at_start():
    """both end, and the active one's log is damaged: the other goes on, and repairs it; the damaged one never serves"""
    with Suite(servers=2) as suite:
        with connect(suite) as client:
            done, _ = put_many(client, "x", 30)
        suite.kill("b")
        suite.wait_status(lambda status: status.get("insync") == ["a"], "a is alone")
        suite.start("b")
        suite.wait_redundant()
        for name in ("a", "b"):
            suite.daemons[name].may_end = True
            suite.daemons[name].signal(9)
        for name in ("a", "b"):
            suite.daemons[name].wait()
        damage_log(suite, "a")
        mark = suite.mark()
        suite.start("a")
        suite.wait_alert("corruption", names=["a"], since=mark)
        time.sleep(1.0)
        expect_equal(suite.status().get("active"), None, "who is active with a damaged copy alone")
        suite.start("b")
        suite.wait_redundant()
        expect_equal(suite.active(), "b", "the active server")
        suite.wait_alert("repaired", names=["a"], since=mark)
        mark = suite.mark()
        suite.kill("b")
        suite.wait_alert("takeover", since=mark)
        with connect(suite) as client:
            expect_equal(keys_of(client, "x"), done, "the repaired copy")


def check_both_damaged():
    """both copies are damaged: nobody serves, alerted, until an operator accepts the loss in so many words"""
    with Suite(servers=2) as suite:
        with connect(suite) as client:
            put_many(client, "x", 5)
        for name in ("a", "b"):
            suite.kill(name)
            damage_log(suite, name)
        mark = suite.mark()
        for name in ("a", "b"):
            suite.start(name)
        suite.wait_alert("corruption", names=["a"], since=mark)
        suite.wait_alert("corruption", names=["b"], since=mark)
        suite.wait_alert("no-active", since=mark)
        time.sleep(1.0)
        expect_equal(suite.status().get("active"), None, "who is active")
        expect(suite.cli("switchover", "b").returncode != 0, "a switchover without the operator's words")
        suite.cli("switchover", "--accept-data-loss", "b", expect=0)
        suite.wait_redundant()
        expect_equal(suite.active(), "b", "the active server")
        with connect(suite) as client:
            expect_equal(keys_of(client, "x"), [], "pairs of the lost copies")
            put_many(client, "y", 3)


def check_failed_sync_of_the_active():
    """a sync of the active server fails: it ends with exit code 1 and is replaced; nothing that was answered is lost"""
    failed_sync("a")


def check_failed_sync_of_the_passive():
    """a sync of the passive server fails: it ends with exit code 1, and the active one goes on alone; nothing is lost"""
    failed_sync("b")


def failed_sync(name):
    other = "b" if name == "a" else "a"
    with Suite(servers=2, start=False) as suite:
        faults = DiskFaults(suite)
        suite.start_all()
        expect_equal(suite.active(), "a", "the active server")
        with Load(suite, 3, rate=1500) as load:
            load.wait_flowing()
            mark = suite.mark()
            suite.daemons[name].may_end = True
            faults.fail(name)
            expect_equal(suite.daemons[name].wait(), 1, "the exit code after a failed sync")
            alert = suite.wait_alert("disk", names=[name], since=mark)
            expect("sync" in alert.fields.get("reason", ""), f"the alert says what failed: {alert.text}")
            if name == "a":
                suite.wait_alert("takeover", names=[other], since=mark)
            suite.wait_alert("not-redundant", names=[other], since=mark)
            load.wait_flowing()
            faults.mend()
            suite.start(name)
            suite.wait_redundant()
            expect_equal(suite.active(), other, "the active server; there is no failback")
            load.wait_flowing()
        verify_both_copies(suite, load)


def check_hanging_disk_of_the_active():
    """the active server's disk hangs: it steps aside, and comes back when it is well; nothing that was answered is lost"""
    with Suite(servers=2, start=False) as suite:
        faults = DiskFaults(suite)
        suite.start_all()
        expect_equal(suite.active(), "a", "the active server")
        with Load(suite, 3, rate=1500) as load:
            load.wait_flowing()
            mark = suite.mark()
            faults.hang("a")
            alert = suite.wait_alert("disk", names=["a"], since=mark)
            expect_equal(alert.fields.get("problem"), "stuck", "what the alert says")
            suite.wait_alert("stepping-aside", names=["a"], since=mark)
            suite.wait_alert("takeover", names=["b"], since=mark)
            load.wait_flowing()
            time.sleep(1.0)
            expect_equal(suite.active(), "b", "the active server while the disk hangs")
            faults.mend()
            suite.wait_alert("disk-restored", names=["a"], since=mark)
            suite.wait_redundant()
            expect_equal(suite.active(), "b", "the active server; there is no failback")
            load.wait_flowing()
        verify_both_copies(suite, load)


def check_hanging_disk_of_the_passive():
    """the passive server's disk hangs: it leaves, and comes back when it is well; nothing that was answered is lost"""
    with Suite(servers=2, start=False) as suite:
        faults = DiskFaults(suite)
        suite.start_all()
        expect_equal(suite.active(), "a", "the active server")
        with Load(suite, 3, rate=1500) as load:
            load.wait_flowing()
            mark = suite.mark()
            faults.hang("b")
            suite.wait_alert("not-redundant", names=["a"], since=mark)
            suite.wait_alert("disk", names=["b"], since=mark)
            load.wait_flowing()
            faults.mend()
            suite.wait_alert("disk-restored", names=["b"], since=mark)
            suite.wait_redundant()
            expect_equal(suite.active(), "a", "the active server")
            load.wait_flowing()
        verify_both_copies(suite, load)


def check_record_and_a_members_data_lost():
    """the proxy's record and a passive server's data are lost: all wait, alerted, until an operator decides; nothing is lost"""
    with Suite(servers=2) as suite:
        with connect(suite) as client:
            done, _ = put_many(client, "x", 5)
        suite.kill("proxy")
        suite.kill("b")
        shutil.rmtree(suite.directory / "proxy")
        shutil.rmtree(suite.directory / "server-b")
        mark = suite.mark()
        suite.start("proxy")
        suite.wait_alert("switch-record-lost", since=mark)
        suite.start("b")
        alert = suite.wait_alert("copy-lost", since=mark)
        expect("--accept-data-loss" in alert.fields.get("reason", ""), f"the alert says what to do: {alert.text}")
        suite.wait_alert("no-active", since=mark)
        expect_equal(suite.status().get("active"), None, "who is active")
        expect(suite.cli("switchover", "a").returncode != 0, "a switchover without the operator's words")
        suite.cli("switchover", "--accept-data-loss", "a", expect=0)
        suite.wait_redundant()
        expect_equal(suite.active(), "a", "the active server")
        suite.kill("a")
        suite.wait_alert("takeover", names=["b"], since=mark)
        with connect(suite) as client:
            expect_equal(keys_of(client, "x"), done, "what was acknowledged, on the copy that was made anew")


def check_scrub_repairs_a_running_server():
    """files that rot under running servers are found, alerted, replaced from memory, and alerted as repaired"""
    with Suite(servers=2, server_flags=SCRUB) as suite:
        with connect(suite) as client:
            done, _ = put_many(client, "x", 30)
            for name in ("a", "b"):
                for what in ("log", "snapshot", "record"):
                    if what == "log":
                        damage_log(suite, name)
                    elif what == "snapshot":
                        wait_until(lambda: snapshots(suite, name), 20, f"{name} has a snapshot")
                        flip(snapshots(suite, name)[-1], 100)
                    else:
                        flip(suite.directory / f"server-{name}" / "member.record", 40)
                    mark = suite.mark()
                    suite.wait_alert("corruption", names=[name], since=mark, seconds=60)
                    suite.wait_alert("repaired", names=[name], since=mark, seconds=60)
            more, _ = put_many(client, "y", 5)
            expect_equal(keys_of(client, "x"), done, "pairs while files rot")
        standing = suite.status()
        expect_equal((standing["active"], standing["redundant"]), ("a", True), "nobody was deposed")
        # What is on disk now is whole: both start again on it.
        for name in ("a", "b"):
            suite.daemons[name].may_end = True
            suite.daemons[name].signal(9)
        for name in ("a", "b"):
            suite.daemons[name].wait()
        mark = suite.mark()
        for name in ("a", "b"):
            suite.start(name)
        suite.wait_redundant()
        expect_equal([line.text for line in suite.alerts("corruption", since=mark)], [], "damage after the repair")
        with connect(suite) as client:
            expect_equal((keys_of(client, "x"), keys_of(client, "y")), (done, more), "pairs after a restart of both")


def check_returning_servers_need_no_snapshot():
    """kill -9 of active and passive servers under load, in turn: who returns takes what it lacks from the log"""
    dice = random.Random(SEED)
    print(f"    SEED={SEED}", flush=True)
    with Suite(servers=2) as suite:
        with Load(suite, 3, rate=2500) as load:
            load.wait_flowing()
            mark = suite.mark()
            for number in range(ROUNDS):
                time.sleep(0.3 + dice.random() * 0.3)
                victim = suite.active() if number % 2 == 0 else suite.passives()[0]
                suite.kill(victim)
                time.sleep(dice.random())
                suite.start(victim)
                load.wait_flowing()
                suite.wait_redundant()
        lines = suite.log_lines(["a", "b"], since=mark)
        events = {event: sum(line.event == event for line in lines) for event in ("catch-up", "rewind", "resync")}
        print(f"    {ROUNDS} returns: {events}", flush=True)
        expect_equal(events["resync"], 0, "snapshots for servers that lacked little")
        verify_both_copies(suite, load)


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
