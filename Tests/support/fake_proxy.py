"""A proxy of a few lines, for what a real one never does to a server."""

import shutil
import socket
import tempfile
import time
from pathlib import Path

from twinspace_protocol import Frame, FrameReader, OutOfTime, Reader, Writer

WAIT_SECONDS = 15.0


class FakeProxy:
    """Takes one server, makes it active, and sends it requests."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="twinspace-fake-"))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(WAIT_SECONDS)
        self.port = self.listener.getsockname()[1]
        self.socket = None
        self.reader = FrameReader()
        self.record = None
        self.member = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self.socket, self.listener):
            if end is not None:
                end.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def accept(self):
        """Waits for a server's registration."""
        self.socket, _ = self.listener.accept()
        frame = self.receive()
        if frame.type != "register":
            raise AssertionError(f"{frame.type} instead of a registration")
        reader = Reader(frame.payload)
        self.member = (reader.text(), reader.text())

    def receive(self, seconds=WAIT_SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            frame = self.reader.next()
            if frame and frame.type == "proxyHeartbeat":
                self.send(Frame("proxyHeartbeatReply", b"", sequence=frame.sequence, epoch=frame.epoch))
                continue
            if frame:
                return frame
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise OutOfTime(f"no frame from the server within {seconds} s") from None
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self.reader.feed(data)

    def send(self, frame):
        self.socket.sendall(frame.encoded())

    def _record(self, writer, name):
        writer.fixed("B", 1)
        for number in (99, 1, 1):  # cluster, epoch, version
            writer.fixed("Q", number)
        writer.run(name).length(1).run(name).fixed("B", 0)

    def make_active(self, name):
        """Grants epoch 1 to the server, as a proxy does whose first server it is."""
        view = Writer().fixed("B", 0).length(1).run(self.member[0]).run(self.member[1])
        self.send(Frame("view", bytes(view.bytes)))
        while (frame := self.receive()).type != "takeOver":
            pass
        self._grant(frame, name)

    def _grant(self, frame, name):
        reply = Writer().fixed("B", 1)
        self._record(reply, name)
        reply.run("")
        self.send(Frame("switchReply", bytes(reply.bytes), sequence=frame.sequence, epoch=1))

    def request(self, payload, sequence, connection):
        self.send(Frame("request", payload, session=5, sequence=sequence, epoch=1, connection=connection, low_water=1))

    def responses(self, until):
        """Responses, up to the one for which `until` says so. Questions that come in between are answered."""
        found = []
        while not (found and until(found[-1])):
            frame = self.receive()
            if frame.type == "response":
                found.append(frame)
            elif frame.type in ("takeOver", "changeInSync"):
                self._grant(frame, self.member[0])
        return found
