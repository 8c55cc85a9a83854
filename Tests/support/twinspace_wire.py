"""The bytes of the protocol: checksum, frames and values, written from specs/0002-wire-protocol.md alone."""

import re
import struct
from dataclasses import dataclass

MAGIC = b"TWSP"
VERSION = 1
HEADER = struct.Struct("<4sBBHIIQQQQQI")
HEADER_BYTES = 64
FIRST, MORE, EXPLAIN = 1, 2, 4
EXPLAINED = 0x80

MAXIMUM_PAYLOAD_BYTES = 16_777_216
MAXIMUM_TERM_DEPTH = 64
MAXIMUM_TERMS = 2_097_152
MAXIMUM_TEXT_BYTES = 65_536
MAXIMUM_ELEMENT_BYTES = 65_535
MAXIMUM_TUPLE_ELEMENTS = 4_096

TYPES = {
    1: "hello", 2: "welcome", 3: "request", 4: "response", 5: "refused", 16: "operatorRequest", 17: "operatorReply",
    32: "register", 33: "registerRefused", 34: "view", 35: "takeOver", 36: "changeInSync", 37: "switchReply",
    38: "probe", 39: "probeReply", 40: "statusQuery", 41: "statusReply", 42: "shutdown", 43: "resync", 44: "holding", 45: "cancel",
    46: "proxyHeartbeat", 47: "proxyHeartbeatReply", 48: "trust", 49: "credit",
    64: "peerHello", 65: "peerWelcome", 66: "peerRefused", 67: "heartbeat", 68: "heartbeatReply", 69: "append",
    70: "appendReply", 71: "snapshotChunk", 72: "stop",
}
CODES = {name: code for code, name in TYPES.items()}
STATUSES = ("ok", "malformed", "not-implemented", "too-costly", "too-large", "refused", "unavailable", "unknown")
REASONS = ("exists", "absent", "malformed")

NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class ProtocolError(Exception):
    """What came is not what the page says."""


class FrameError(ProtocolError):
    """Bytes that are no frame; the connection is of no use any more. `reason` is one word."""

    def __init__(self, reason):
        super().__init__(f"no frame: {reason}")
        self.reason = reason


class Refused(Exception):
    """The other side does not take this connection."""


class OutOfTime(Exception):
    """A request's time was over before its answer came."""


# Checksum (section 2)


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


CRC_TABLE = _crc_table()


def crc32c(data):
    crc, table = 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


# Frames (section 2)


@dataclass(frozen=True)
class Frame:
    type: str
    payload: bytes = b""
    flags: int = 0
    session: int = 0
    sequence: int = 0
    epoch: int = 0
    connection: int = 0
    low_water: int = 0

    def encoded(self, version=VERSION):
        head = HEADER.pack(
            MAGIC, version, CODES[self.type], self.flags, len(self.payload), crc32c(self.payload), self.session,
            self.sequence, self.epoch, self.connection, self.low_water, 0)
        return head + struct.pack("<I", crc32c(head)) + self.payload


class FrameReader:
    """Finds the frames in bytes that come in pieces of any size."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data

    def next(self):
        """The next whole frame, or None while more bytes are needed."""
        buffer = self.buffer
        if len(buffer) >= 4 and buffer[:4] != MAGIC:
            raise FrameError("magic")
        if len(buffer) < HEADER_BYTES:
            return None
        head = bytes(buffer[:HEADER_BYTES])
        (_, version, code, flags, length, checksum, session, sequence, epoch, connection, low_water,
         reserved) = HEADER.unpack_from(head)
        if struct.unpack_from("<I", head, 60)[0] != crc32c(head[:60]):
            raise FrameError("header checksum")
        if version != VERSION:
            raise FrameError("version")
        if code not in TYPES:
            raise FrameError("type")
        if flags & ~(FIRST | MORE | EXPLAIN):
            raise FrameError("flags")
        if reserved:
            raise FrameError("reserved")
        if length > MAXIMUM_PAYLOAD_BYTES:
            raise FrameError("length")
        if len(buffer) < HEADER_BYTES + length:
            return None
        payload = bytes(buffer[HEADER_BYTES:HEADER_BYTES + length])
        if crc32c(payload) != checksum:
            raise FrameError("payload checksum")
        del buffer[:HEADER_BYTES + length]
        return Frame(TYPES[code], payload, flags, session, sequence, epoch, connection, low_water)


# Values (section 3)


@dataclass(frozen=True)
class Number:
    """A JSON number whose text Python's own int and float would not give back."""

    text: str


class Members(list):
    """An object as a list of (name, value): where a name comes twice, or is no UTF-8."""


class Writer:
    def __init__(self):
        self.bytes = bytearray()

    def fixed(self, layout, value):
        self.bytes += struct.pack("<" + layout, value)
        return self

    def length(self, value):
        while value >= 0x80:
            self.bytes.append(value & 0x7F | 0x80)
            value >>= 7
        self.bytes.append(value)
        return self

    def run(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.length(len(data))
        self.bytes += data
        return self

    def tuple(self, elements):
        self.length(len(elements))
        for element in elements:
            self.run(element)
        return self

    def term(self, value):
        if value is None:
            self.bytes.append(0)
        elif isinstance(value, bool):
            self.bytes.append(2 if value else 1)
        elif isinstance(value, (int, float, Number)):
            text = value.text if isinstance(value, Number) else repr(value)
            if not NUMBER.fullmatch(text.encode()):
                raise ValueError(f"{text} is no JSON number")
            self.bytes.append(3)
            self.run(text)
        elif isinstance(value, (str, bytes)):
            self.bytes.append(4)
            self.run(value)
        elif isinstance(value, (dict, Members)):
            members = value.items() if isinstance(value, dict) else value
            self.bytes.append(6)
            self.length(len(members))
            for name, member in members:
                self.run(name).term(member)
        elif isinstance(value, (list, tuple)):
            self.bytes.append(5)
            self.length(len(value))
            for item in value:
                self.term(item)
        else:
            raise TypeError(f"{type(value).__name__} is nothing that JSON can say")
        return self


class Reader:
    """Takes a payload apart; whatever it is not, is a ProtocolError."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def remaining(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.remaining():
            raise ProtocolError("truncated")
        self.at += count
        return self.data[self.at - count:self.at]

    def fixed(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))[0]

    def length(self, most=2**63 - 1):
        value = 0
        for digit in range(9):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * digit
            if not byte & 0x80:
                if value > most:
                    raise ProtocolError("too long")
                return value
        raise ProtocolError("too long")

    def count(self, least):
        value = self.length()
        if value * least > self.remaining():
            raise ProtocolError("truncated")
        return value

    def run(self, most=2**63 - 1):
        return self.take(self.length(most))

    def text(self, most=MAXIMUM_TEXT_BYTES):
        try:
            return self.run(most).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("no UTF-8") from error

    def flag(self):
        return self.choice((False, True))

    def choice(self, values):
        value = self.fixed("B")
        if value >= len(values):
            raise ProtocolError("no such value")
        return values[value]

    def tuple(self):
        count = self.count(1)
        if not 1 <= count <= MAXIMUM_TUPLE_ELEMENTS:
            raise ProtocolError("no tuple")
        elements = [self.text(MAXIMUM_ELEMENT_BYTES) for _ in range(count)]
        if "" in elements:
            raise ProtocolError("no tuple")
        return elements

    def term(self):
        self.budget = MAXIMUM_TERMS
        return self._term(0)

    def _term(self, depth):
        self.budget -= 1
        if depth > MAXIMUM_TERM_DEPTH or self.budget < 0:
            raise ProtocolError("too long")
        tag = self.fixed("B")
        if tag <= 2:
            return (None, False, True)[tag]
        if tag == 3:
            return _number(self.run(MAXIMUM_TEXT_BYTES))
        if tag == 4:
            return _string(self.run())
        if tag == 5:
            return [self._term(depth + 1) for _ in range(self.count(1))]
        if tag == 6:
            members = Members((_string(self.run()), self._term(depth + 1)) for _ in range(self.count(2)))
            names = {name for name, _ in members}
            plain = len(names) == len(members) and all(isinstance(name, str) for name in names)
            return dict(members) if plain else members
        raise ProtocolError("no such tag")

    def end(self):
        if self.remaining():
            raise ProtocolError("trailing bytes")


def _string(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return bytes(data)


def _number(data):
    if not NUMBER.fullmatch(data):
        raise ProtocolError("no number")
    text = data.decode()
    for kind in (int, float):
        try:
            if repr(kind(text)) == text:
                return kind(text)
        except ValueError:
            pass
    return Number(text)


def decoded(payload, take):
    """What `take` makes of the whole of `payload`."""
    reader = Reader(payload)
    value = take(reader)
    reader.end()
    return value
