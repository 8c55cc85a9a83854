"""Clients that ask for too much, do not read, stop in the middle, or go away: many of them, and cheap ones.

    swarm = Swarm(port)
    swarm.connect(20)
    swarm.send(frames)
    swarm.run(5.0, until=lambda: swarm.answered >= 400)

They come from an address of their own (127.0.0.66 where nothing else is said), so that honest clients are told from them.
What they send is prebuilt; of what comes only headers are looked at.
"""

import collections
import select
import socket
import struct
import time

from twinspace_protocol import hello, request_payload
from twinspace_wire import CODES, FIRST, HEADER, HEADER_BYTES, MAGIC, MORE, STATUSES, VERSION, crc32c

SOURCE = "127.0.0.66"
CONNECT_SECONDS = 2.0
READ_BYTES = 1_048_576
WRITE_BYTES = 1_048_576
PACKED_HEADER_BYTES = HEADER_BYTES - 4
RESET = struct.pack("ii", 1, 0)


def header(kind, length, checksum, session=0, sequence=0, low_water=0, epoch=0, connection=0, flags=0):
    head = HEADER.pack(MAGIC, VERSION, CODES[kind], flags, length, checksum, session, sequence, epoch, connection,
                       low_water, 0)
    return head + struct.pack("<I", crc32c(head))


class Requests:
    """One request, whose payload's checksum is computed once, to be sent under any session and sequence."""

    def __init__(self, operator, payload):
        self.payload = request_payload(operator, payload)
        self.checksum = crc32c(self.payload)

    def frame(self, session, sequence, low_water=None):
        return header("request", len(self.payload), self.checksum, session, sequence,
                      sequence if low_water is None else low_water) + self.payload

    def frames(self, session, count, first=1, low_water=None):
        """`count` requests of one session, one after the other."""
        return b"".join(self.frame(session, number, low_water) for number in range(first, first + count))

    def of_sessions(self, sessions):
        """A request of each of those sessions, no two with the same sequence."""
        return b"".join(self.frame(session, number) for number, session in enumerate(sessions, 1))


def half_frame(kind, announced, sent, session=1):
    """A frame that announces so many bytes of payload, and `sent` of them."""
    return header(kind, announced, 0xBAD, session, 1, 1) + bytes(sent)


class Rude:
    """One connection, and what came on it."""

    def __init__(self, end):
        self.socket = end
        self.output = collections.deque()
        self.received = 0
        self.sent = 0
        self.ended = False
        self.frames = collections.Counter()
        self.answers = {}
        self.open = {}
        self._head = bytearray()
        self._skip = 0

    def take(self, data):
        """Finds the frames in what came; only headers and the first byte of each payload are looked at."""
        self.received += len(data)
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            wanted = HEADER_BYTES + 1 - len(self._head)
            piece = data[at:at + wanted]
            self._head += piece
            at += len(piece)
            if len(self._head) == HEADER_BYTES + 1:
                self._begin()

    def _begin(self):
        head = self._head
        kind, flags, length = head[5], *struct.unpack_from("<HI", head, 6)
        sequence, = struct.unpack_from("<Q", head, 24)
        session, = struct.unpack_from("<Q", head, 16)
        # Whatever comes to a client has a payload of at least a byte.
        self._skip = length - 1
        self.frames[kind] += 1
        name = (session, sequence)
        if kind in (CODES["response"], CODES["operatorReply"]):
            if flags & FIRST or kind == CODES["operatorReply"]:
                self.open[name] = STATUSES[head[HEADER_BYTES] & 0x7F]
            if not flags & MORE:
                self.answers[name] = self.open.pop(name, None)
        self._head = bytearray()


class Swarm:
    """Many such connections to one port, from one address."""

    def __init__(self, port, source=SOURCE):
        self.port = port
        self.source = source
        self.clients = []
        self.refused = 0
        self.poll = select.epoll()
        self.by_descriptor = {}
        self.scratch = bytearray(READ_BYTES)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Connections.

    def connect(self, count, greet=True, receive_bytes=None):
        """Opens so many, and waits for their welcome; returns those that came about.

        `receive_bytes` is the size of the kernel's buffer for answers.
        """
        made = []
        for _ in range(count):
            end = socket.socket()
            try:
                if receive_bytes:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                end.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
                end.bind((self.source, 0))
                end.settimeout(CONNECT_SECONDS)
                end.connect(("127.0.0.1", self.port))
            except OSError:
                end.close()
                self.refused += 1
                continue
            end.setblocking(False)
            client = Rude(end)
            made.append(client)
            self.clients.append(client)
            self.by_descriptor[end.fileno()] = client
            self.poll.register(end.fileno(), select.EPOLLIN)
            if greet:
                self.send(hello("rude/1").encoded(), [client])
        if greet:
            # Nothing may be sent between hello and welcome.
            self.run(CONNECT_SECONDS, until=lambda: all(client.frames or client.ended for client in made))
        return made

    def close(self, reset=False):
        for client in self.clients:
            self._drop(client, reset)
        self.clients = []
        self.poll.close()
        self.poll = select.epoll()

    def leave(self, clients, reset=False):
        for client in list(clients):
            self._drop(client, reset)
            self.clients.remove(client)

    def _drop(self, client, reset=False):
        if client.socket.fileno() < 0:
            return
        self.by_descriptor.pop(client.socket.fileno(), None)
        if reset:
            try:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            except OSError:
                pass
        client.socket.close()

    # Bytes.

    def send(self, data, clients=None):
        """Queues bytes for all of them, or for some. The bytes are shared, not copied."""
        for client in self.clients if clients is None else clients:
            if not client.ended:
                client.output.append(memoryview(data))
                self._watch(client)

    def reading(self, clients, reads):
        """Whether these clients read what comes."""
        for client in clients:
            client.reads = reads
            self._watch(client)

    def _watch(self, client):
        if client.ended:
            return
        events = (select.EPOLLIN if getattr(client, "reads", True) else 0) | (select.EPOLLOUT if client.output else 0)
        self.poll.modify(client.socket.fileno(), events)

    def run(self, seconds, until=None):
        """Moves bytes for so long, or until `until()` is true; returns whether it was."""
        deadline = time.monotonic() + seconds
        while True:
            if until is not None and until():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for descriptor, events in self.poll.poll(min(left, 0.05)):
                client = self.by_descriptor.get(descriptor)
                if client is not None:
                    self._serve(client, events)

    def _serve(self, client, events):
        try:
            if events & select.EPOLLOUT and client.output:
                self._write(client)
            if events & ~select.EPOLLOUT:
                if not getattr(client, "reads", True) and not events & (select.EPOLLHUP | select.EPOLLERR):
                    return
                count = client.socket.recv_into(self.scratch)
                if not count:
                    raise ConnectionError("closed")
                client.take(memoryview(self.scratch)[:count])
        except BlockingIOError:
            pass
        except OSError:
            client.ended = True
            client.output.clear()
            self.poll.unregister(client.socket.fileno())

    def _write(self, client):
        data = client.output.popleft()
        count = client.socket.send(data[:WRITE_BYTES])
        client.sent += count
        if count < len(data):
            client.output.appendleft(data[count:])
        elif not client.output:
            self._watch(client)

    # What came of it.

    @property
    def answered(self):
        return sum(len(client.answers) for client in self.clients)

    @property
    def ended(self):
        return sum(client.ended for client in self.clients)

    @property
    def greeted(self):
        """How many have been welcomed."""
        return sum(client.frames[CODES["welcome"]] > 0 for client in self.clients)

    @property
    def pending_bytes(self):
        return sum(len(piece) for client in self.clients for piece in client.output)

    def statuses(self):
        return collections.Counter(status for client in self.clients for status in client.answers.values())
