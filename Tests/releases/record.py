#!/usr/bin/env python3
"""Records what a release leaves behind: the data directory of each process, frames of each link, and what they hold.

It was run with the programs of the release itself, and what it wrote is kept here for good: every later build reads it
(`Tests/processes/releases.py`, `ReleaseTests`). usage: TWINSPACE_BIN=FOLDER record.py RELEASE
"""

import json
import random
import shutil
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from daemon import free_port, wait_until
from suite import Suite
from twinspace_protocol import Client, FrameReader

HERE = Path(__file__).resolve().parent
# Of each type of frame so many are kept, and none that is larger: a registry of forms, not of traffic.
FRAMES_OF_A_TYPE = 6
LARGEST_FRAME = 4_096
RANDOM = random.Random(20_261_128)


class Recorder:
    """Passes connections on to another port, and keeps some frames of each direction."""

    def __init__(self, target, link):
        self.target, self.link = target, link
        self.kept = {"to": {}, "from": {}}
        self.lock = threading.Lock()
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for source, sink, way in ((near, far, "to"), (far, near, "from")):
                threading.Thread(target=self._pass, args=(source, sink, way), daemon=True).start()

    def _pass(self, source, sink, way):
        reader = FrameReader()
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
                reader.feed(data)
                while frame := reader.next():
                    self._keep(frame, way)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _keep(self, frame, way):
        with self.lock:
            frames = self.kept[way].setdefault(frame.type, [])
            # The first ones and the last ones: those of a beginning and those of every day.
            if len(frame.payload) > LARGEST_FRAME:
                return
            if len(frames) >= FRAMES_OF_A_TYPE:
                frames.pop(FRAMES_OF_A_TYPE // 2)
            frames.append(frame)

    def write(self, folder):
        for way, types in self.kept.items():
            data = b"".join(frame.encoded() for name in sorted(types) for frame in types[name])
            (folder / f"{self.link}-{way}.frames").write_bytes(data)


def keep_directory(source, target, lengths):
    """Copies a data directory; zeros at a file's end are left out, and its length is noted."""
    for path in sorted(source.rglob("*")):
        # What is unfinished holds nothing, and recovery removes it.
        if not path.is_file() or path.name == "lock" or path.name.startswith("spare-"):
            continue
        name = f"{target.name}/{path.relative_to(source)}"
        data = path.read_bytes()
        lengths[name] = len(data)
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.rstrip(b"\0"))


def words():
    return "".join(RANDOM.choice("abcdefghijklmnopqrstuvwxyzéß,") for _ in range(RANDOM.randint(1, 12)))


def pairs(count, group):
    return [[[group, str(number)], [words() for _ in range(RANDOM.randint(1, 3))]] for number in range(count)]


def work(client, sessions, group, proxy):
    """Every operator, with every kind of outcome; and operations with names, of which the outcomes are kept."""
    for pair in pairs(40, group):
        client.put([pair])
    # What comes together becomes one entry.
    for pair in pairs(40, f"{group}run"):
        client.request_async("PUT", [pair])
    client.collect_all()
    client.put(pairs(60, f"{group}list"))
    client.post([[[group, "3"], ["replaced"]], [[group, "absent"], ["x"]]])
    client.put([[[group, "3"], ["exists"]], 7, [["a"], []], [["comma,in", "it"], [",", "é"]]])
    client.delete(f"{group},1.", ".*")
    client.get(f"{group},2.", ".*")
    client.get("(", ".*")
    for number in range(8):
        session = RANDOM.getrandbits(63) + 1
        with Client("127.0.0.1", proxy, session=session) as other:
            if number % 2:
                other.put([[[group, "named", str(number)], ["v"]]])
            else:
                other.put([[[group, "3"], ["again"]], [[group, "named", str(number)], ["v"]]])
        sessions.append(session)
    for number in range(3):
        session = RANDOM.getrandbits(63) + 1
        with Client("127.0.0.1", proxy, session=session) as other:
            other.delete(f"{group}list,{number}.", ".*")
        sessions.append(session)


def record(release):
    target = HERE / release
    shutil.rmtree(target, ignore_errors=True)
    (target / "frames").mkdir(parents=True)
    flags = ("--elements", "text", "--scrub-interval", "3600s")
    with Suite(["a", "b"], server_flags=flags, start=False, label="twinspace-record") as suite:
        links = {"clients": Recorder(suite.ports["clients"], "client-proxy"),
                 "operators": Recorder(suite.ports["operators"], "operator-proxy"),
                 "servers": Recorder(suite.ports["servers"], "server-proxy")}
        peers = []
        for name in "ab":
            arguments = suite.daemons[name].arguments
            arguments[arguments.index("--proxy") + 1] = f"127.0.0.1:{links['servers'].port}"
            listen = int(arguments[arguments.index("--listen") + 1].rsplit(":", 1)[1])
            peers.append(Recorder(listen, f"peer-{name}"))
            arguments += ["--advertise", f"127.0.0.1:{peers[-1].port}"]
        port = links["clients"].port
        sessions = []
        suite.start("proxy")
        suite.start("a")
        suite.wait_ready()
        with Client("127.0.0.1", port) as client:
            work(client, sessions, "first", port)
            suite.start("b")
            suite.wait_redundant()
            work(client, sessions, "second", port)
            suite.kill("a")
            suite.wait_status(lambda status: status["active"] == "b", "b is active")
            work(client, sessions, "third", port)
            suite.start("a")
            suite.wait_redundant()
            client.send("NOPE", None)
            suite.cli("--operators", f"127.0.0.1:{links['operators'].port}", "switchover", "a", expect=0)
            suite.wait_redundant()
            work(client, sessions, "fourth", port)
            suite.cli("--operators", f"127.0.0.1:{links['operators'].port}", "status", expect=0)
            suite.cli("--operators", f"127.0.0.1:{links['operators'].port}", "resync", "b", expect=0)
            suite.wait_redundant()
            found = client.get(".*", "(?s).*").pairs
            outcomes = {}
            for session in sessions:
                name = f"{session:016x}"
                answer = client.send("OUTCOME", [name, 60_000])
                outcomes[name] = {"status": answer.status, "pairs": answer.given_back, "reasons": answer.reasons}
        wait_until(lambda: len({(s["index"]) for s in suite.status()["servers"]}) == 1, 10, "both are at one entry")
        status = suite.status()
        for name in ("a", "b", "proxy"):
            suite.kill(name)
        lengths = {}
        for name in "ab":
            keep_directory(suite.directory / f"server-{name}", target / name, lengths)
        keep_directory(suite.directory / "proxy", target / "proxy", lengths)
        for link in (*links.values(), *peers):
            link.write(target / "frames")
        expected = {"release": release, "epoch": status["epoch"], "active": status["active"], "insync": status["insync"],
                    "index": status["servers"][0]["index"], "pairs": found, "outcomes": outcomes, "lengths": lengths}
        (target / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1])
