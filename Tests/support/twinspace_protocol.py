"""A client of Twinspace in plain Python, written from specs/0002-wire-protocol.md and from nothing else.

    with Client("127.0.0.1", 7400) as client:
        client.put([[["user", "42"], ["ada", "lovelace"]]])
        client.get("user,.*", ".*").pairs

A lost connection is made anew, and what was not answered is sent again under the same session and sequence, until the
request's time is over. `Connection` sends any bytes at all, for tests of what must be refused.
"""

import collections
import secrets
import select
import socket
import time
from dataclasses import dataclass, field

from twinspace_wire import (  # noqa: F401 (what callers of this module use too)
    MAGIC, VERSION, HEADER, HEADER_BYTES, MAXIMUM_PAYLOAD_BYTES, MAXIMUM_TERM_DEPTH, MAXIMUM_TERMS,
    MAXIMUM_TEXT_BYTES, MAXIMUM_ELEMENT_BYTES, MAXIMUM_TUPLE_ELEMENTS, TYPES, CODES, STATUSES, REASONS,
    NUMBER, ProtocolError, FrameError, Refused, OutOfTime, crc32c, Frame, FrameReader, Number, Members,
    Writer, Reader, decoded, EXPLAINED, FIRST, MORE,
)

# Messages (section 5)


def hello(agent="twinspace-tests/1", lowest=VERSION, highest=VERSION):
    return Frame("hello", bytes(Writer().fixed("B", lowest).fixed("B", highest).run(agent).bytes))


@dataclass(frozen=True)
class Welcome:
    version: int
    maximum_payload_bytes: int
    maximum_requests_in_flight: int

    @classmethod
    def of(cls, payload):
        return decoded(payload, lambda reader: cls(reader.fixed("B"), reader.fixed("I"), reader.fixed("I")))


def request_payload(operator, payload):
    return bytes(Writer().run(operator).term(payload).bytes)


@dataclass
class Answer:
    """A whole answer. `rejected` are the items of PUT and POST that were not used, `reasons` says why, one each."""

    status: str
    message: str = ""
    warning: str = ""
    pairs: list = field(default_factory=list)
    rejected: list = field(default_factory=list)
    reasons: list = field(default_factory=list)
    explanation: str = ""

    @classmethod
    def of(cls, payload):
        return decoded(payload, cls._take)

    @classmethod
    def _take(cls, reader):
        code = reader.fixed("B")
        if code & ~EXPLAINED >= len(STATUSES):
            raise ProtocolError("no such value")
        answer = cls(STATUSES[code & ~EXPLAINED], reader.text(), reader.text())
        answer.pairs = [[reader.tuple(), reader.tuple()] for _ in range(reader.count(2))]
        for _ in range(reader.count(2)):
            answer.reasons.append(reader.choice(REASONS))
            answer.rejected.append(reader.term())
        if code & EXPLAINED:
            answer.explanation = reader.text()
            if not answer.explanation:
                raise ProtocolError("no such value")
        return answer

    def payload(self):
        code = STATUSES.index(self.status) | (EXPLAINED if self.explanation else 0)
        writer = Writer().fixed("B", code).run(self.message).run(self.warning)
        writer.length(len(self.pairs))
        for key, value in self.pairs:
            writer.tuple(key).tuple(value)
        writer.length(len(self.rejected))
        for reason, item in zip(self.reasons, self.rejected, strict=True):
            writer.fixed("B", REASONS.index(reason)).term(item)
        if self.explanation:
            writer.run(self.explanation)
        return bytes(writer.bytes)

    def extend(self, part):
        self.pairs += part.pairs
        self.rejected += part.rejected
        self.reasons += part.reasons

    @property
    def given_back(self):
        """`pairs` as the command line prints it: what matched, or what PUT and POST did not use."""
        return self.pairs or self.rejected


@dataclass
class Reply:
    """The answer to an operator's command."""

    status: str
    message: str
    result: object

    @classmethod
    def of(cls, payload):
        return decoded(payload, lambda reader: cls(reader.choice(STATUSES), reader.text(), reader.term()))


# Connections


class Connection:
    """A TCP connection that takes and gives frames, and sends any bytes that a test wants to send."""

    def __init__(self, host, port, timeout=5.0):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.reader = FrameReader()
        self.frames = collections.deque()
        self.output = bytearray()
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Queues bytes (or a frame), and sends what can be sent at once."""
        self.output += data.encoded() if isinstance(data, Frame) else data
        self.step(time.monotonic())

    def step(self, deadline):
        """Sends and receives what is possible; waits for something to happen until `deadline` at most."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN | (select.POLLOUT if self.output else 0))
        events = poll.poll(max(0, (deadline - time.monotonic()) * 1000))
        if not events:
            return
        if events[0][1] & select.POLLOUT and self.output:
            try:
                del self.output[:self.socket.send(self.output[:262_144])]
            except BlockingIOError:
                pass
        if events[0][1] & ~select.POLLOUT:
            try:
                data = self.socket.recv(262_144)
            except BlockingIOError:
                return
            if not data:
                self.ended = True
                return
            self.reader.feed(data)
            while frame := self.reader.next():
                self.frames.append(frame)

    def receive(self, timeout=5.0):
        """The next frame. Raises ConnectionError where the other side has closed, OutOfTime where nothing comes."""
        deadline = time.monotonic() + timeout
        while not self.frames:
            if self.ended:
                raise ConnectionResetError("the other side closed the connection")
            if time.monotonic() >= deadline:
                raise OutOfTime(f"no frame within {timeout} s")
            self.step(deadline)
        return self.frames.popleft()

    def wait_closed(self, timeout=5.0):
        """Waits until the other side closes; returns the frames that came before. Raises OutOfTime where it does not."""
        deadline = time.monotonic() + timeout
        try:
            while not self.ended:
                if time.monotonic() >= deadline:
                    raise OutOfTime(f"the connection is still open after {timeout} s")
                self.step(deadline)
        except (ConnectionError, BrokenPipeError):
            pass
        frames = list(self.frames)
        self.frames.clear()
        return frames

    def handshake(self, agent="twinspace-tests/1", timeout=5.0):
        self.send(hello(agent))
        try:
            frame = self.receive(timeout)
        except ConnectionError:
            # What the other side said before it closed may be here, though sending to it has failed.
            if not self.frames:
                raise
            frame = self.frames.popleft()
        if frame.type == "refused":
            raise Refused(decoded(frame.payload, Reader.text))
        if frame.type != "welcome":
            raise ProtocolError(f"{frame.type} instead of a welcome")
        welcome = Welcome.of(frame.payload)
        if welcome.version != VERSION:
            raise ProtocolError(f"version {welcome.version} was not offered")
        return welcome


@dataclass
class _Pending:
    payload: bytes
    deadline: float
    answer: Answer = None


class Client:
    """Requests under one session, by one thread. `reconnects` and `resends` count what went on behind them.

    `timeout` is a request's whole time in seconds, connecting again and again included; `attempt` is how long one
    connection may be silent while answers are due before it is given up.
    """

    def __init__(self, host, port, session=None, timeout=30.0, attempt=10.0, agent="twinspace-tests/1"):
        self.address = (host, port)
        self.session = session if session is not None else secrets.randbits(63) + 1
        self.timeout = timeout
        self.attempt = attempt
        self.agent = agent
        self.sequence = 0
        self.reconnects = 0
        self.resends = 0
        self.pending = {}
        self.answers = {}
        self.connection = None
        self.welcome = None
        self._connect(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    # Requests

    def get(self, key=".*", value=".*"):
        return self.send("GET", [key, value])

    def put(self, pairs):
        return self.send("PUT", pairs)

    def post(self, pairs):
        return self.send("POST", pairs)

    def delete(self, key, value=".*"):
        return self.send("DELETE", [key, value])

    def send(self, operator, payload=None):
        """Any operator and any payload, as they are."""
        return self.collect(self.request_async(operator, payload))

    def request_async(self, operator, payload=None, timeout=None):
        """Sends a request and returns its sequence, for `collect`. Waits only while too many are in flight."""
        return self.request_bytes(request_payload(operator, payload), timeout)

    def request_bytes(self, payload, timeout=None):
        """The same with a payload of any bytes, decodable or not."""
        if len(payload) > self.welcome.maximum_payload_bytes:
            raise ValueError("too-large: a request this long is not sent")
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.pending) >= self.welcome.maximum_requests_in_flight:
            self._progress(deadline)
        if not self.pending:
            # Nothing was due until now, so silence until now says nothing.
            self.heard = time.monotonic()
        self.sequence += 1
        self.pending[self.sequence] = _Pending(payload, deadline)
        if self.connection:
            self._guarded(lambda: self.connection.send(self._frame(self.sequence)))
        return self.sequence

    def collect(self, sequence):
        """The answer to the request of this sequence. Raises OutOfTime where its time is over."""
        while sequence not in self.answers:
            if sequence not in self.pending:
                raise KeyError(f"no request {sequence} is waiting for an answer")
            try:
                self._progress(self.pending[sequence].deadline)
            except OutOfTime:
                # Given up: from now on its outcome need not be kept, and a late answer is dropped.
                self.pending.pop(sequence, None)
                raise
        return self.answers.pop(sequence)

    def collect_all(self):
        """The answers to all requests that are waiting, by sequence."""
        return {sequence: self.collect(sequence) for sequence in sorted([*self.pending, *self.answers])}

    # Connection

    def drop_connection(self):
        """Loses the connection, as a fault would; the next request or `collect` makes a new one."""
        self.close()

    def _frame(self, sequence):
        return Frame(
            "request", self.pending[sequence].payload, session=self.session, sequence=sequence,
            low_water=min(self.pending))

    def _connect(self, timeout):
        connection = Connection(*self.address, timeout=timeout)
        try:
            self.welcome = connection.handshake(self.agent, timeout)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        self.heard = time.monotonic()

    def _guarded(self, action):
        try:
            return action()
        except (OSError, FrameError):
            self.close()
            return None

    def _progress(self, deadline):
        now = time.monotonic()
        if now >= deadline:
            raise OutOfTime(f"no answer in time ({self.reconnects} reconnects)")
        if self.connection is None:
            self._reconnect(deadline)
            return
        limit = self.heard + self.attempt
        if now >= limit:
            self.close()
            return
        self._guarded(lambda: self.connection.step(min(deadline, limit)))
        connection = self.connection
        while connection and connection.frames:
            self.heard = time.monotonic()
            self._receive(connection.frames.popleft())
        if connection and connection.ended:
            self.close()

    def _reconnect(self, deadline):
        try:
            self._connect(max(0.05, min(self.attempt, deadline - time.monotonic())))
        except (OSError, FrameError, Refused, OutOfTime):
            time.sleep(min(0.02, max(0, deadline - time.monotonic())))
            return
        self.reconnects += 1
        for sequence in sorted(self.pending):
            # What had come of an answer is void.
            self.pending[sequence].answer = None
            self.resends += 1
            self.connection.output += self._frame(sequence).encoded()

    def _receive(self, frame):
        if frame.type == "refused":
            self.close()
            return
        if frame.type != "response":
            raise ProtocolError(f"{frame.type} from the proxy to a client")
        if frame.session != self.session or frame.connection:
            raise ProtocolError("a response's header is not a client's")
        pending = self.pending.get(frame.sequence)
        if pending is None:
            return
        part = Answer.of(frame.payload)
        if frame.flags & FIRST:
            pending.answer = part
        elif pending.answer is None:
            raise ProtocolError("an answer without its beginning")
        else:
            pending.answer.extend(part)
        if not frame.flags & MORE:
            self.answers[frame.sequence] = pending.answer
            del self.pending[frame.sequence]


class Operator:
    """The operators' service access point."""

    def __init__(self, host, port, timeout=30.0, agent="twinspace-tests/1"):
        self.timeout = timeout
        self.sequence = 0
        self.connection = Connection(host, port, timeout)
        try:
            self.welcome = self.connection.handshake(agent, timeout)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def send(self, command, argument=None):
        self.sequence += 1
        payload = request_payload(command, argument)
        self.connection.send(Frame("operatorRequest", payload, sequence=self.sequence))
        deadline = time.monotonic() + self.timeout
        while True:
            frame = self.connection.receive(max(0.0, deadline - time.monotonic()))
            if frame.type == "operatorReply" and frame.sequence == self.sequence:
                return Reply.of(frame.payload)
            if frame.type == "refused":
                raise Refused(decoded(frame.payload, Reader.text))

    def status(self):
        reply = self.send("status")
        if reply.status != "ok":
            raise ProtocolError(f"status: {reply.status}: {reply.message}")
        return reply.result

    def shutdown(self):
        return self.send("shutdown")

    def switchover(self):
        return self.send("switchover")

    def resync(self, name=None):
        return self.send("resync", name)
