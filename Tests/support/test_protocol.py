#!/usr/bin/env python3
"""Checks twinspace_protocol.py against the vectors of specs/0002-wire-protocol.md, and its client against a stand-in proxy."""

import random
import re
import socket
import struct
import threading
import unittest
from pathlib import Path

from twinspace_protocol import (
    FIRST, MORE, Answer, Client, Connection, Frame, FrameError, FrameReader, Members, Number, OutOfTime, ProtocolError,
    Reader, Refused, Reply, Welcome, Writer, crc32c, decoded, hello, request_payload)

PAGE = Path(__file__).resolve().parents[2] / "specs" / "0002-wire-protocol.md"
SESSION = 0x0123456789ABCDEF
USER = [["user", "42"], ["ada", "lovelace"]]
ALL = [None, False, True, Number("-1.50e3"), "é", [], {"k": ["v"]}]


def vectors():
    block = re.search(r"^```vectors\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S).group(1)
    return {name: bytes.fromhex(text) for name, text in re.findall(r"^(\S+) = ([0-9a-f]+)$", block, re.M)}


def term(value):
    return bytes(Writer().term(value).bytes)


def packed(elements):
    """Section 5.4."""
    joined = ",".join(elements).encode()
    if not any("," in element for element in elements):
        return joined
    table = bytearray()
    for element in elements[:-1]:
        rest = len(element.encode())
        while rest >= 0x7F:
            table.append(rest & 0x7F)
            rest >>= 7
        table.append(rest | 0x80)
    return joined + b"\xff" + table + struct.pack(">I", len(table)) + b"\xff"


def request(sequence, low_water, payload):
    return Frame("request", payload, session=SESSION, sequence=sequence, low_water=low_water)


def response(sequence, flags, answer):
    return Frame("response", answer.payload(), flags, session=SESSION, sequence=sequence)


def entry():
    writer = Writer().fixed("Q", 7).fixed("Q", 42).fixed("q", 1_700_000_000_000).fixed("B", 1)
    writer.fixed("Q", SESSION).fixed("Q", 1).fixed("Q", 1).run(b"").length(2)
    writer.fixed("B", 0).run(packed(USER[0])).run(packed(["a,b", "c"]))
    return bytes(writer.fixed("B", 2).run(packed(["old"])).bytes)


def frames():
    """What the page says of the vectors whose names begin with `frame-`."""
    record = Writer().fixed("Q", 99).fixed("Q", 7).fixed("Q", 12).run("a").length(2).run("a").run("b").fixed("B", 1)
    register = Writer().run("b").run("10.0.0.2:7410").fixed("B", 1).fixed("Q", 0).fixed("Q", 7).fixed("Q", 42)
    register.fixed("B", 1).bytes += record.bytes
    register.fixed("B", 1)
    append = Writer().fixed("Q", 7).fixed("Q", 41).fixed("Q", 41).length(1).run(entry())
    refused = "service refused: 2 clients are connected, the limit is 2"
    return {
        "hello": hello("example/1"),
        "welcome": Frame("welcome", struct.pack("<BII", 1, 16_777_216, 256)),
        "refused": Frame("refused", bytes(Writer().run(refused).bytes)),
        "request-put": request(1, 1, request_payload("PUT", [USER, 7])),
        "request-get": request(2, 2, request_payload("GET", ["user,.*", [".*", ".*"]])),
        "request-malformed": request(3, 3, request_payload("PUT", {"pairs": None})),
        "request-undecodable": request(4, 3, b"\x03PUT\x07"),
        "response-rejected": response(
            1, FIRST, Answer("ok", rejected=[USER, 7], reasons=["exists", "malformed"])),
        "response-first": response(2, FIRST | MORE, Answer("ok", warning="example", pairs=[USER])),
        "response-last": response(2, 0, Answer("ok", pairs=[[["user", "é"], [","]]])),
        "response-malformed": response(3, FIRST, Answer("malformed", "the payload of PUT is no list")),
        "operator-request": Frame("operatorRequest", request_payload("status", None), sequence=1),
        "operator-reply": Frame(
            "operatorReply", bytes(Writer().fixed("B", 0).run("").term({"active": "a", "epoch": 7}).bytes), sequence=1),
        "register": Frame("register", bytes(register.bytes)),
        "credit": Frame("credit", struct.pack("<I", 65_536), session=SESSION, sequence=2, epoch=7, connection=5),
        "change-in-sync": Frame(
            "changeInSync", bytes(Writer().fixed("Q", 12).length(1).run("a").bytes), sequence=3, epoch=7),
        "heartbeat": Frame("heartbeat", struct.pack("<QQ", 42, 0x1122334455667788), sequence=5, epoch=7),
        "append": Frame("append", bytes(append.bytes), epoch=7),
    }


def values():
    """Every vector of the page, made from what its table says."""
    lengths = (0, 127, 128, 300, 16_383, 16_384, 2**63 - 1)
    return {
        "crc32c-check": struct.pack("<I", crc32c(b"123456789")),
        "crc32c-zeros": struct.pack("<I", crc32c(bytes(32))),
        **{f"length-{value}": bytes(Writer().length(value).bytes) for value in lengths},
        "term-all": term(ALL),
        "term-bad-tag": b"\x07",
        "term-bad-count": b"\x05" + bytes(Writer().length(2**60).bytes),
        "term-bad-number": b"\x03\x0201",
        "packed-plain": packed(USER[0]),
        "packed-comma": packed(["a,b", "c"]),
        "packed-single": packed([","]),
        "packed-long": packed(["x" * 127, ","]),
        **{f"frame-{name}": frame.encoded() for name, frame in frames().items()},
    }


class Vectors(unittest.TestCase):
    def test_encoding_gives_the_bytes_of_the_page(self):
        page, made = vectors(), values()
        self.assertEqual(list(page), list(made))
        for name in page:
            self.assertEqual(page[name].hex(), made[name].hex(), name)

    def test_check_value(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)

    def test_decoding_gives_the_values_of_the_page(self):
        page = vectors()
        for name, frame in frames().items():
            reader = FrameReader()
            for byte in page[f"frame-{name}"]:
                self.assertIsNone(reader.next())
                reader.feed(bytes([byte]))
            self.assertEqual(reader.next(), frame, name)
        self.assertEqual(decoded(page["term-all"], Reader.term), ALL)
        for name, data in page.items():
            if name.startswith("length-"):
                self.assertEqual(decoded(data, Reader.length), int(name.removeprefix("length-")))
            if name.startswith("term-bad-"):
                with self.assertRaises(ProtocolError, msg=name):
                    decoded(data, Reader.term)

    def test_messages(self):
        made = frames()
        self.assertEqual(Welcome.of(made["welcome"].payload), Welcome(1, 16_777_216, 256))
        answer = Answer.of(made["response-rejected"].payload)
        self.assertEqual((answer.rejected, answer.reasons), ([USER, 7], ["exists", "malformed"]))
        self.assertEqual(answer.payload(), made["response-rejected"].payload)
        self.assertEqual(Answer.of(made["response-last"].payload).pairs, [[["user", "é"], [","]]])
        reply = Reply.of(made["operator-reply"].payload)
        self.assertEqual(reply, Reply("ok", "", {"active": "a", "epoch": 7}))


class HostileBytes(unittest.TestCase):
    def test_cut_or_changed_frames_are_refused(self):
        seed = random.randrange(2**32)
        source = random.Random(seed)
        for name, frame in frames().items():
            data = bytearray(frame.encoded())
            for cut in range(len(data)):
                reader = FrameReader()
                reader.feed(data[:cut])
                self.assertIsNone(reader.next())
            at = source.randrange(len(data))
            data[at] ^= 1 << source.randrange(8)
            reader = FrameReader()
            reader.feed(data)
            with self.assertRaises(FrameError, msg=f"{name}, byte {at}, seed {seed}"):
                reader.next()

    def test_payloads_cut_anywhere(self):
        payload = frames()["response-rejected"].payload
        for cut in range(len(payload)):
            with self.assertRaises(ProtocolError):
                Answer.of(payload[:cut])
        with self.assertRaises(ProtocolError):
            Answer.of(payload + b"\0")

    def test_terms(self):
        self.assertEqual(decoded(b"\x05\x01" * 64 + b"\x00", Reader.term), eval("[" * 64 + "None" + "]" * 64))
        for bad in (b"\x05\x01" * 65 + b"\x00", b"\x05\xff\xff\xff\xff\x0f", b"\x04\x02a", b"\x03\x01x"):
            with self.assertRaises(ProtocolError):
                decoded(bad, Reader.term)
        for value in (b"\xff\xfe", Members([("a", 1), ("a", 2)]), Number("1e400"), 10**30, 0.5, Number("-0"), {}):
            self.assertEqual(decoded(term(value), Reader.term), value)
        with self.assertRaises(ValueError):
            term(float("nan"))


class StandIn:
    """A proxy of which only the connection is real: `script` is called with each connection."""

    def __init__(self, *script):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.problems = []
        self.thread = threading.Thread(target=self._serve, args=(script,), daemon=True)
        self.thread.start()

    def _serve(self, script):
        for step in script:
            connection, _ = self.listener.accept()
            connection.settimeout(10)
            with connection:
                try:
                    step(connection, FrameReader())
                except Exception as error:
                    self.problems.append(error)

    def finish(self, case):
        self.thread.join(10)
        self.listener.close()
        case.assertFalse(self.thread.is_alive(), "the script did not come to its end")
        case.assertEqual(self.problems, [])


def receive(connection, reader):
    while not (frame := reader.next()):
        data = connection.recv(65_536)
        if not data:
            raise ConnectionError("closed")
        reader.feed(data)
    return frame


def welcome(connection, reader, in_flight=4):
    assert receive(connection, reader).type == "hello"
    connection.sendall(Frame("welcome", struct.pack("<BII", 1, 16_777_216, in_flight)).encoded())


def answer_to(frame, flags=FIRST, **parts):
    return Frame(
        "response", Answer("ok", **parts).payload(), flags, session=frame.session, sequence=frame.sequence).encoded()


class Conversation(unittest.TestCase):
    def test_a_lost_connection_costs_no_answer_and_a_begun_answer_is_void(self):
        sequences = []

        def first(connection, reader):
            welcome(connection, reader)
            one, _ = receive(connection, reader), receive(connection, reader)
            connection.sendall(answer_to(one, FIRST | MORE, warning="void", pairs=[USER]))

        def refusing(connection, reader):
            receive(connection, reader)
            connection.sendall(Frame("refused", bytes(Writer().run("full").bytes)).encoded())

        def second(connection, reader):
            welcome(connection, reader)
            again = [receive(connection, reader), receive(connection, reader)]
            sequences.extend((frame.session, frame.sequence, frame.low_water) for frame in again)
            connection.sendall(answer_to(again[1]))
            connection.sendall(answer_to(again[0], FIRST | MORE, pairs=[USER]) + answer_to(again[0], 0, pairs=[USER]))
            connection.sendall(answer_to(again[0], warning="a late duplicate"))
            third = receive(connection, reader)
            sequences.append((third.session, third.sequence, third.low_water))
            connection.sendall(answer_to(third))

        proxy = StandIn(first, refusing, second)
        with Client("127.0.0.1", proxy.port, session=77) as client:
            one, two = client.request_async("GET", [".*", ".*"]), client.request_async("PUT", [USER])
            self.assertEqual(client.collect(one), Answer("ok", pairs=[USER, USER]))
            self.assertEqual(client.collect(two), Answer("ok"))
            self.assertEqual(client.post([USER]), Answer("ok"))
            self.assertEqual((client.reconnects, client.resends), (1, 2))
        proxy.finish(self)
        self.assertEqual(sequences, [(77, 1, 1), (77, 2, 1), (77, 3, 3)])

    def test_no_more_in_flight_than_the_welcome_allows(self):
        def script(connection, reader):
            welcome(connection, reader, in_flight=2)
            for _ in range(5):
                waiting = [receive(connection, reader), receive(connection, reader)]
                connection.setblocking(False)
                try:
                    assert not connection.recv(1, socket.MSG_PEEK), "a third request"
                except BlockingIOError:
                    pass
                connection.settimeout(10)
                connection.sendall(b"".join(answer_to(frame) for frame in waiting))

        proxy = StandIn(script)
        with Client("127.0.0.1", proxy.port) as client:
            for number in range(10):
                client.request_async("PUT", [number])
            self.assertEqual(len(client.collect_all()), 10)
        proxy.finish(self)

    def test_silence_ends_with_the_requests_time(self):
        gone = threading.Event()

        def silent(connection, reader):
            welcome(connection, reader)
            gone.wait(10)

        proxy = StandIn(silent)
        with Client("127.0.0.1", proxy.port) as client:
            sequence = client.request_async("GET", [".*", ".*"], timeout=0.1)
            with self.assertRaises(OutOfTime):
                client.collect(sequence)
        gone.set()
        proxy.finish(self)

    def test_refusal_and_raw_bytes(self):
        def refusing(connection, reader):
            connection.sendall(Frame("refused", bytes(Writer().run("full").bytes)).encoded())

        def reading(connection, reader):
            try:
                receive(connection, reader)
            except FrameError as error:
                assert error.reason == "magic", error
            connection.sendall(Frame("refused", bytes(Writer().run("no frame").bytes)).encoded())

        proxy = StandIn(refusing, reading)
        with self.assertRaisesRegex(Refused, "full"):
            Client("127.0.0.1", proxy.port)
        with Connection("127.0.0.1", proxy.port) as raw:
            raw.send(b"GET / HTTP/1.1\r\n\r\n")
            self.assertEqual([frame.type for frame in raw.wait_closed()], ["refused"])
        proxy.finish(self)


if __name__ == "__main__":
    unittest.main()
