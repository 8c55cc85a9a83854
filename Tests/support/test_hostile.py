#!/usr/bin/env python3
"""Checks what the scenes of abuse stand on: rude clients, wrong clocks, counts, lying neighbours."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import measures
from clock_faults import HERE, Clocks, two_addresses
from compiler import compile_c
from neighbour import LARGEST, TO_PROXY, Mirror, random_frames, record, registration
from rude import SOURCE, Requests, Rude, Swarm, half_frame
from twinspace_protocol import FIRST, MORE, Answer, Frame, FrameReader, Reader, decoded, hello, request_payload

NOW = "import time; print(time.time())"


def response(sequence, status="ok", flags=FIRST, message=""):
    return Frame("response", Answer(status, message).payload(), flags, session=5, sequence=sequence).encoded()


class RudeTests(unittest.TestCase):
    def test_prebuilt_frames_are_those_of_the_protocol(self):
        reader = FrameReader()
        reader.feed(Requests("PUT", [[["a"], ["b"]]]).frames(9, 3, first=4, low_water=2))
        for sequence in (4, 5, 6):
            self.assertEqual(reader.next(), Frame("request", request_payload("PUT", [[["a"], ["b"]]]), session=9,
                                                  sequence=sequence, low_water=2))
        self.assertIsNone(reader.next())

    def test_each_session_has_a_sequence_of_its_own(self):
        reader = FrameReader()
        reader.feed(Requests("GET", ["a", "b"]).of_sessions(range(70, 73)))
        frames = [reader.next() for _ in range(3)]
        self.assertEqual([(frame.session, frame.sequence) for frame in frames], [(70, 1), (71, 2), (72, 3)])

    def test_a_half_frame_never_comes_whole(self):
        reader = FrameReader()
        reader.feed(half_frame("request", 1_000, 999))
        self.assertIsNone(reader.next())
        self.assertEqual(len(reader.buffer), 64 + 999)

    def test_answers_are_found_in_pieces_of_any_size(self):
        data = response(1) + response(2, "too-large", FIRST | MORE, "x" * 300) + response(2, "too-large", 0) + response(3)
        for size in (1, 63, 64, 65, 66, 200, len(data)):
            client = Rude(None)
            for at in range(0, len(data), size):
                client.take(memoryview(data)[at:at + size])
            self.assertEqual(client.answers, {(5, 1): "ok", (5, 2): "too-large", (5, 3): "ok"}, size)
            self.assertEqual(client.received, len(data))

    def test_a_swarm_sends_shared_bytes_from_its_own_address_and_notices_the_end(self):
        taken = []

        def serve(listener):
            for _ in range(2):
                end, address = listener.accept()
                reader = FrameReader()
                while (frame := reader.next()) is None:
                    reader.feed(end.recv(65_536))
                end.sendall(Frame("welcome", bytes(9)).encoded())
                while (request := reader.next()) is None:
                    reader.feed(end.recv(65_536))
                taken.append((address[0], frame.type, request.sequence))
                end.sendall(response(request.sequence))
                end.close()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = threading.Thread(target=serve, args=(listener,), daemon=True)
            server.start()
            for _ in range(2):
                with Swarm(listener.getsockname()[1]) as swarm:
                    swarm.connect(1)
                    self.assertEqual(swarm.greeted, 1)
                    swarm.send(Requests("GET", ["a", "b"]).frame(5, 8))
                    self.assertTrue(swarm.run(5, until=lambda: swarm.ended == 1))
                    self.assertEqual(swarm.statuses(), {"ok": 1})
            server.join(5)
        self.assertEqual(taken, [(SOURCE, "hello", 8)] * 2)


class ClockTests(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def run_program(self, prefix, source):
        return subprocess.run([*prefix, sys.executable, "-c", source], capture_output=True, text=True, timeout=20,
                              check=True).stdout

    def test_each_program_has_its_own_clock(self):
        clocks = Clocks(self.directory.name)
        for name, offset in (("a", {}), ("b", {"hours": 1}), ("c", {"seconds": -90.5})):
            prefix = clocks.prefix(name)
            clocks.set(name, **offset)
            difference = float(self.run_program(prefix, NOW)) - time.time()
            self.assertAlmostEqual(difference, {"a": 0, "b": 3600, "c": -90.5}[name], delta=5, msg=name)

    def test_a_clock_steps_while_the_program_runs_and_the_monotonic_one_does_not(self):
        clocks = Clocks(self.directory.name)
        source = ("import time\nm, t = time.monotonic(), time.time()\nprint('there', flush=True)\ninput()\n"
                  "print(time.time() - t, time.monotonic() - m)")
        with subprocess.Popen([*clocks.prefix("a"), sys.executable, "-c", source], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            clocks.set("a", days=3653)
            wall, monotonic = map(float, process.communicate("\n", timeout=20)[0].split())
        self.assertAlmostEqual(wall, 3653 * 86_400, delta=30)
        self.assertLess(monotonic, 30)

    def test_a_name_has_two_addresses(self):
        source = ("import socket\n"
                  "print(*[a[4][0] for a in socket.getaddrinfo('twice.test', 80, type=socket.SOCK_STREAM)])")
        self.assertEqual(self.run_program(two_addresses(self.directory.name), source).split(), ["127.0.0.99", "127.0.0.1"])

    def test_the_churn_opens_connections(self):
        program = os.path.join(self.directory.name, "churn")
        compile_c(HERE / "churn.c", program)
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
            port = listener.getsockname()[1]
            made = subprocess.run([program, SOURCE, str(port), "50"], capture_output=True, text=True, timeout=20, check=True)
            self.assertGreater(int(made.stdout), 0)
            first, address = listener.accept()
            first.close()
            self.assertEqual(address[0], SOURCE)


class MeasuresTests(unittest.TestCase):
    def test_memory_peaks_are_counted_anew(self):
        with subprocess.Popen([sys.executable, "-c", "x = bytearray(64 << 20); del x; print('there', flush=True); input()"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            now, most = measures.memory(process.pid)
            self.assertGreater(most - now, 48 << 20)
            measures.forget_peak(process.pid)
            now, most = measures.memory(process.pid)
            self.assertLess(most - now, 16 << 20)
            self.assertGreaterEqual(measures.descriptors(process.pid), 3)
            process.communicate("\n", timeout=20)
        self.assertEqual(measures.memory(process.pid), (0, 0))

    def test_children_that_nobody_has_waited_for_are_found(self):
        child = os.fork()
        if child == 0:
            os._exit(0)
        deadline = time.monotonic() + 10
        while child not in measures.zombies_of(os.getpid()) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertIn(child, measures.zombies_of(os.getpid()))
        os.waitpid(child, 0)
        self.assertNotIn(child, measures.zombies_of(os.getpid()))

    def test_the_reaper_kills_whoever_is_doomed_and_restarts_it_on_demand(self):
        suite = _Suite()
        with measures.Reaper(suite, ["a", "b"], lambda name, pid: name == "a" and not suite.killed) as reaper:
            deadline = time.monotonic() + 10
            while not suite.killed and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertFalse(suite.daemons["a"].running)
            reaper.restart()
        self.assertEqual((reaper.kills, suite.killed, suite.started), (["a"], ["a"], ["a"]))


class _Suite:
    """What the reaper needs of a suite."""

    class Daemon:
        running = True
        process = type("Process", (), {"pid": 0})

    def __init__(self):
        self.daemons = {name: self.Daemon() for name in "ab"}
        self.killed, self.started = [], []

    def kill(self, name, number=signal.SIGKILL):
        self.killed.append(name)
        self.daemons[name].running = False

    def start(self, name):
        self.started.append(name)
        self.daemons[name].running = True


class NeighbourTests(unittest.TestCase):
    def test_a_registration_says_what_it_is_told_to_say(self):
        last = record(99, 7, LARGEST, "a", ["a", "b"], rule=1)
        payload = registration("z", "10.0.0.2:7410", 3, 7, 42, last, True, rule=1).payload

        def take(reader):
            head = (reader.text(), reader.text(), reader.fixed("B"), reader.fixed("Q"), reader.fixed("Q"), reader.fixed("Q"))
            self.assertEqual(head, ("z", "10.0.0.2:7410", 1, 3, 7, 42))
            self.assertTrue(reader.flag())
            self.assertEqual([reader.fixed("Q") for _ in range(3)], [99, 7, LARGEST])
            self.assertEqual((reader.text(), [reader.text() for _ in range(reader.count(1))]), ("a", ["a", "b"]))
            return reader.fixed("B"), reader.flag()

        self.assertEqual(decoded(payload, take), (1, True))
        self.assertIsInstance(Reader(payload).text(), str)

    def test_random_frames_are_frames(self):
        reader = FrameReader()
        reader.feed(random_frames(random.Random(1), TO_PROXY, 200))
        types = [reader.next().type for _ in range(200)]
        self.assertGreater(len([kind for kind in types if kind in TO_PROXY]), 100)
        self.assertTrue(set(types) - set(TO_PROXY))

    def test_a_mirror_gives_back_what_it_is_given(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with Mirror(port) as mirror, socket.create_connection(("127.0.0.1", port), 5) as end:
            end.sendall(hello().encoded())
            self.assertEqual(end.recv(4096), hello().encoded())
            mirror.refuse_more()
            end.sendall(b"more")
            self.assertEqual(end.recv(4096), b"more")
            self.assertEqual((mirror.taken, mirror.closed_by_peer), (1, 0))


if __name__ == "__main__":
    unittest.main()
