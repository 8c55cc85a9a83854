"""Neighbours that lie: servers of a few lines that register with anything at all, and a listener that gives everything back.

What they send is well formed to the last byte, where nothing else is said; it is only untrue.
"""

import select
import socket
import threading

from twinspace_protocol import Connection, Frame, OutOfTime, Reader, Writer
from twinspace_wire import CODES, FIRST, MORE

WAIT_SECONDS = 2.0
LARGEST = 2**64 - 1


def record(cluster, epoch, version, active, insync, rule=0):
    """The bytes of a switch record that says so."""
    writer = Writer().fixed("Q", cluster).fixed("Q", epoch).fixed("Q", version).run(active).length(len(insync))
    for name in insync:
        writer.run(name)
    return bytes(writer.fixed("B", rule).bytes)


def registration(name, address="127.0.0.66:9", active_epoch=0, epoch=0, index=0, last=None, holds=False, rule=0):
    """A registration that says so; `last` is a record's bytes, or None."""
    writer = Writer().run(name).run(address).fixed("B", rule).fixed("Q", active_epoch).fixed("Q", epoch)
    writer.fixed("Q", index).fixed("B", 0 if last is None else 1)
    writer.bytes += last or b""
    return Frame("register", bytes(writer.fixed("B", holds).bytes))


def register(port, frame, seconds=WAIT_SECONDS, *, then=()):
    """What the proxy's servers' port says to a registration: its first frame; None where it closes, or says nothing.

    `then` are frames that are sent behind it.
    """
    with Connection("127.0.0.1", port) as connection:
        try:
            for one in (frame, *then):
                connection.send(one)
            said = connection.receive(seconds)
            if then and said.type == "view":
                connection.wait_closed(seconds)
            return said
        except (ConnectionError, OutOfTime):
            return None


def cluster_of(port):
    """The cluster that the proxy names to a server that brings nothing."""
    frame = register(port, registration("asks"))
    if frame is None or frame.type != "view":
        raise AssertionError(f"a server without data is answered {frame}")
    reader = Reader(frame.payload)
    if not reader.flag():
        raise AssertionError("the proxy has no record yet")
    return reader.fixed("Q")


# What a server may send to the proxy, and to another server.
TO_PROXY = ("takeOver", "changeInSync", "response", "probeReply", "statusReply", "holding", "proxyHeartbeat")
TO_SERVER = ("peerHello", "heartbeat", "appendReply")


def random_frames(dice, kinds, count):
    """Frames, all of whose checksums are right: mostly of these kinds, with numbers that cannot be, some of any other type
    or with random payloads."""
    return b"".join(
        Frame(kind, _payload(dice, kind), dice.choice((0, FIRST, MORE)), _number(dice), _number(dice), _number(dice),
              _number(dice), _number(dice)).encoded()
        for kind in (dice.choice(kinds if dice.random() < 0.9 else list(CODES)) for _ in range(count)))


def _payload(dice, kind):
    if dice.random() < 0.05:
        return dice.randbytes(dice.choice((0, 1, 9, 40, 120)))
    writer = Writer()
    names = [dice.choice(("a", "b", "z0", "z1", "nobody")) for _ in range(dice.randrange(4))]
    match kind:
        case "takeOver":
            writer.run("because")
        case "changeInSync":
            writer.fixed("Q", _number(dice))
            _names(writer, names)
        case "statusReply":
            writer.run("passive").run("following")
            for _ in range(5):
                writer.fixed("Q", _number(dice))
            writer.length(len(names))
            for name in names:
                writer.run(name).fixed("Q", _number(dice))
        case "proxyHeartbeat":
            writer.fixed("I", dice.choice((1, 1000, 2**31, 2**32 - 1)))
        case "register":
            last = record(_number(dice), _number(dice), _number(dice), "z0", names) if dice.random() < 0.5 else None
            return registration(dice.choice(("z0", "z1")), "127.0.0.66:9", _number(dice), _number(dice), _number(dice),
                                last, dice.random() < 0.5).payload
        case "response":
            writer.fixed("B", 0).run("").run("").length(0).length(0)
        case "peerHello":
            writer.fixed("B", dice.choice((0, 1, 2))).run("z0")
            for _ in range(3):
                writer.fixed("Q", _number(dice))
            writer.fixed("B", 0)
        case "heartbeat" | "heartbeatReply":
            writer.fixed("Q", _number(dice)).fixed("Q", _number(dice))
        case "appendReply":
            writer.fixed("Q", _number(dice))
    return bytes(writer.bytes)


def _names(writer, names):
    writer.length(len(names))
    for name in names:
        writer.run(name)


def _number(dice):
    return dice.choice((0, 1, 2, 3, 255, 2**32, 2**62, 2**63 - 1, 2**63, LARGEST - 1, LARGEST, dice.getrandbits(64)))


class Mirror:
    """A listener that gives back whatever comes, as a connection does that a program has made to itself.

    `refuse_more` closes the listener and keeps the connections.
    """

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.taken = 0
        self.closed_by_peer = 0
        self._ends = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(5)
        for end in (self.listener, *self._ends):
            end.close()

    def refuse_more(self):
        self.listener.close()

    def _serve(self):
        while not self._over.is_set():
            watched = [end for end in (self.listener, *self._ends) if end.fileno() >= 0]
            try:
                readable = select.select(watched, [], [], 0.02)[0]
            except (OSError, ValueError):
                continue
            for end in readable:
                try:
                    self._take(end)
                except OSError:
                    self._lose(end)

    def _take(self, end):
        if end is self.listener:
            self._ends.append(end.accept()[0])
            self.taken += 1
            return
        data = end.recv(65_536)
        if not data:
            self._lose(end)
            return
        end.sendall(data)

    def _lose(self, end):
        if end in self._ends:
            self.closed_by_peer += 1
            self._ends.remove(end)
            end.close()
