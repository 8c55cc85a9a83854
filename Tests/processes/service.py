#!/usr/bin/env python3
"""What clients see: limits, unknown and malformed requests, raw bytes, big answers, the command line, HTTP."""
# time limit: 240 s

import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from daemon import free_port, program, run_program, wait_until
from fake_proxy import FakeProxy
from suite import Suite
from twinspace_protocol import (
    FIRST, MORE, Answer, Client, Connection, Frame, Operator, OutOfTime, Refused, Writer, hello, request_payload)

HOST = "127.0.0.1"
# The proxy gives a connection five seconds to say something sensible.
CLOSE_SECONDS = 12.0
MANY_PAIRS = 20_000
LIST_PAIRS = 1_000
COMMANDS = ("get", "put", "post", "set", "op", "delete", "send", "batch", "import", "export", "shell", "status",
            "switchover", "resync", "shutdown", "completions")


def connect(suite, **options):
    return Client(HOST, suite.ports["clients"], **options)


def check_client_limit(threads=1):
    """one client over the limit is refused and dropped, those below go on"""
    with Suite(servers=1, proxy_flags=("--max-clients", "3"), proxy_threads=threads) as suite:
        clients = [connect(suite) for _ in range(3)]
        for number, client in enumerate(clients):
            expect_equal(client.put([[[f"k{number}"], ["v"]]]).status, "ok", "PUT below the limit")
        with Connection(HOST, suite.ports["clients"]) as extra:
            try:
                extra.handshake()
                raise AssertionError("a fourth client was welcomed")
            except Refused as refusal:
                expect("service refused" in str(refusal), f"the refusal says: {refusal}")
            extra.wait_closed()
        done = suite.cli("--output", "json", "--timeout", "3s", "get", ".*", expect=5)
        answer = json.loads(done.stdout)
        expect_equal(answer["status"], "refused", "status")
        expect(answer.get("message"), "a refusal without a message")
        expect_equal(suite.status().get("clients"), 3, "clients in the status")
        for client in clients:
            expect_equal(len(client.get(".*").pairs), 3, "pairs that a client below the limit reads")
            expect_equal(client.reconnects, 0, "reconnects")
        clients.pop().close()
        wait_until(lambda: suite.cli("get", ".*").returncode == 0, 5, "a place is free after a client has left")
        for client in clients:
            client.close()


def check_pipelined_commands():
    """an operator's commands are carried out one after the other, however many come at once"""
    with Suite(servers=1) as suite, Connection(HOST, suite.ports["operators"]) as console:
        console.handshake()
        payload = bytes(Writer().run("resync").term(None).bytes)
        console.send(b"".join(
            Frame("operatorRequest", payload, sequence=number).encoded() for number in range(1, 201)))
        replies = [console.receive(20.0).sequence for _ in range(200)]
        expect_equal(replies, list(range(1, 201)), "replies")


def check_sessions_share_a_connection():
    """two sessions may use the same sequences on one connection"""
    with Suite(servers=1) as suite, Connection(HOST, suite.ports["clients"]) as connection:
        connection.handshake()
        for session in (11, 12):
            payload = request_payload("PUT", [[[f"s{session}"], ["v"]]])
            connection.send(Frame("request", payload, session=session, sequence=1, low_water=1))
        answers = [connection.receive(20.0) for _ in range(2)]
        expect_equal(sorted(frame.session for frame in answers), [11, 12], "sessions that were answered")


def check_unknown_operators():
    """any other operator is answered not-implemented, on a connection that stays usable"""
    with Suite(servers=1) as suite, connect(suite) as client:
        for operator, payload in (("LIST", None), ("get", [".*", ".*"]), ("", []), ("PATCH", {"a": [1, 2.5, None]}),
                                  ("Ω", "x"), ("PUT ", [[["a"], ["b"]]])):
            answer = client.send(operator, payload)
            expect_equal(answer.status, "not-implemented", f"status of {operator!r}")
            expect(answer.message, f"{operator!r}: no message")
        expect_equal(client.get().pairs, [], "pairs")
        expect_equal(client.reconnects, 0, "reconnects")
        expect_equal(suite.answer("send", "LIST", '{"a": 1}', expect=4)["status"], "not-implemented", "status")
        expect_equal(suite.answer("send", "LIST", expect=4)["status"], "not-implemented", "status without a payload")


def check_malformed_requests():
    """malformed lists, pairs and expressions are answered as the contract says"""
    with Suite(servers=1) as suite:
        for payload in ("{}", "null", "7", '"x"', "true", '{"pairs": null}'):
            for operator in ("PUT", "POST"):
                answer = suite.answer("send", operator, payload, expect=3)
                expect_equal(answer["status"], "malformed", f"{operator} {payload}")
                expect(answer.get("message"), "no message")
        items = [[["a"], ["b"]], [["a b"], ["c"]], 7, {"k": [1.50, "é"]}, [["a"], ["z"]], [[], ["b"]], [["c"], ["d"]]]
        answer = suite.answer("send", "PUT", json.dumps(items), expect=1)
        expect_equal(answer["pairs"], [items[1], items[2], items[3], items[4], items[5]], "items given back by PUT")
        expect_equal(answer["reasons"], ["malformed", "malformed", "malformed", "exists", "malformed"], "reasons")
        answer = suite.answer("post", "a", "e,f", '["nobody"]', '["x"]', expect=1)
        expect_equal((answer["pairs"], answer["reasons"]), ([[["nobody"], ["x"]]], ["absent"]), "POST gave back")
        expect_equal(sorted(suite.answer("get", ".*")["pairs"]), [[["a"], ["e", "f"]], [["c"], ["d"]]], "the space")
        for operator in ("GET", "DELETE"):
            for payload in ('["(", ".*"]', '[["a", "("], ".*"]', '[".*", "*"]', '[".*"]', '["a", "b", "c"]', "7", "[]",
                            '[7, ".*"]', '[["a", 7], ".*"]', '{"key": ".*"}'):
                answer = suite.answer("send", operator, payload, expect=3)
                expect_equal((answer["status"], answer["pairs"]), ("ok", []), f"{operator} {payload}")
                expect(answer.get("warning"), f"{operator} {payload}: no warning")
        expect_equal(len(suite.answer("get", ".*", ".*")["pairs"]), 2, "pairs after malformed requests")
        warning = suite.answer("get", "ab(c", ".*", expect=3)["warning"]
        expect("2" in warning, f"the warning does not give the position 2 of the group: {warning}")


def _hostile_bytes(dice):
    sound = Frame("request", request_payload("GET", [".*", ".*"]), session=1, sequence=1, low_water=1).encoded()
    flipped = bytearray(sound)
    flipped[20] ^= 1
    spoiled = bytearray(sound)
    spoiled[-1] ^= 1
    greeting = hello().encoded()
    return {
        "random": dice.randbytes(5000),
        "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "zeros": bytes(4096),
        "a request before the hello": sound,
        "a bad header checksum": greeting + bytes(flipped),
        "a bad payload checksum": greeting + bytes(spoiled),
        "a version that is not spoken": greeting + Frame("request").encoded(version=9),
        "another room's frame": greeting + Frame("heartbeat", bytes(24)).encoded(),
        "a second hello": greeting + greeting,
        "a hello without sense": Frame("hello", b"\x09").encoded(),
        "a hello of other versions": hello(lowest=7, highest=9).encoded(),
        "nothing, for long": b"",
        "half a header": greeting[:30],
        "sound, then random": greeting + sound + dice.randbytes(200),
    }


def check_hostile_bytes(threads=1):
    """bytes that are no protocol close their connection and harm nobody else, on every port"""
    dice = random.Random(7)
    with Suite(servers=2, proxy_threads=threads) as suite, connect(suite) as witness:
        witness.put([[["a"], ["b"]]])
        listen = suite.daemons["a"].arguments[suite.daemons["a"].arguments.index("--listen") + 1]
        ports = {"clients": suite.ports["clients"], "operators": suite.ports["operators"],
                 "servers": suite.ports["servers"], "the server's own": int(listen.rsplit(":", 1)[1])}
        mark = suite.mark()
        open_ones = []
        for where, port in ports.items():
            for what, data in _hostile_bytes(dice).items():
                connection = Connection(HOST, port)
                connection.reader.feed = lambda _: None
                try:
                    connection.send(data)
                except OSError:
                    pass
                open_ones.append((where, what, connection))
                expect_equal(len(witness.get("a").pairs), 1, f"the witness's pairs after {what} at {where}")
        for where, what, connection in open_ones:
            try:
                connection.wait_closed(CLOSE_SECONDS)
            except OutOfTime:
                raise AssertionError(f"still open on {where} after: {what}") from None
            finally:
                connection.close()
        for port in ports.values():
            # Half a frame, then a reset.
            half = socket.create_connection((HOST, port))
            half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            half.send(hello().encoded()[:40])
            half.close()
        expect_equal(len(witness.get("a").pairs), 1, "the witness's pairs at the end")
        expect_equal(witness.reconnects, 0, "the witness's reconnects")
        wait_until(lambda: suite.status().get("clients") == 1, 10, "only the witness is connected",
                   lambda: str(suite.status().get("clients")))
        expect(not suite.alerts("takeover", since=mark), "a takeover because of strangers' bytes")
        suite.wait_redundant()


def check_undecodable_payload():
    """a sound frame with a payload that cannot be decoded is answered malformed, and the connection stays usable"""
    with Suite(servers=1) as suite, connect(suite) as client:
        for payload in (b"", b"\x03PUT", b"\x03PUT\x07", b"\x03PUT\x05\xff\xff\xff\xff\x7f", b"\xff" * 40,
                        b"\x03PUT" + b"\x05\x01" * 80 + b"\x00", b"\x03PUT\x00trailing"):
            answer = client.collect(client.request_bytes(payload))
            expect_equal(answer.status, "malformed", f"status of the payload {payload[:20]!r}")
        expect_equal(client.put([[["a"], ["b"]]]).rejected, [], "PUT on the same connection")
        expect_equal(client.reconnects, 0, "reconnects")


def check_connection_indicator():
    """the proxy sets the indicator and strips it; a server refuses a request without one"""
    with Suite(servers=1) as suite, Connection(HOST, suite.ports["clients"]) as connection:
        connection.handshake()
        connection.send(Frame("request", request_payload("GET", [".*", ".*"]), session=9, sequence=1, low_water=1,
                              connection=999, epoch=77))
        frame = connection.receive()
        expect_equal((frame.type, frame.sequence, frame.connection), ("response", 1, 0), "the response")
    with FakeProxy() as proxy:
        server = subprocess.Popen(
            [program("twinspace-server"), "--name", "a", "--proxy", f"{HOST}:{proxy.port}", "--listen",
             f"{HOST}:{free_port()}", "--data", str(proxy.directory / "a")],
            stderr=open(proxy.directory / "a.log", "wb"), stdin=subprocess.DEVNULL)
        try:
            proxy.accept()
            proxy.make_active("a")
            put = request_payload("PUT", [[["a"], ["b"]]])
            get = request_payload("GET", [".*", ".*"])
            proxy.request(put, sequence=1, connection=0)
            proxy.request(get, sequence=2, connection=4711)
            frames = proxy.responses(until=lambda frame: frame.sequence == 2)
            expect_equal(frames[-1].connection, 4711, "the indicator of the response")
            expect_equal(Answer.of(frames[-1].payload).pairs, [], "pairs: the request without an indicator took effect")
            for frame in frames[:-1]:
                expect(Answer.of(frame.payload).status != "ok", "a request without an indicator was answered ok")
            expect(server.poll() is None, "the server has ended")
        except BaseException:
            print((proxy.directory / "a.log").read_text(encoding="utf-8")[-3000:], file=sys.stderr)
            raise
        finally:
            server.kill()
            server.wait()


def check_big_answers(threads=1):
    """20,000 pairs go in, come out in several frames, and are deleted as one"""
    with Suite(servers=2, proxy_threads=threads) as suite, connect(suite, timeout=60.0) as client:
        pairs = [[["big", f"{number:05}"], ["value", str(number * 7)]] for number in range(MANY_PAIRS)]
        waiting = [client.request_async("PUT", pairs[at:at + LIST_PAIRS]) for at in range(0, MANY_PAIRS, LIST_PAIRS)]
        for sequence in waiting:
            expect_equal(client.collect(sequence).rejected, [], "items given back")
        expect(sorted(client.get("big,.*").pairs) == pairs, "GET by a prefix differs from what went in")
        with Connection(HOST, suite.ports["clients"]) as connection:
            connection.handshake()
            connection.send(Frame("request", request_payload("GET", [".*", ".*"]), session=5, sequence=1, low_water=1))
            frames = [connection.receive()]
            while frames[-1].flags & MORE:
                frames.append(connection.receive())
        expect(len(frames) > 3, f"{len(frames)} frames only")
        expect_equal([frame.flags & FIRST for frame in frames], [FIRST] + [0] * (len(frames) - 1), "flags `first`")
        expect(sorted(suite.answer("get", ".*")["pairs"]) == pairs, "the command line's GET differs")
        exported = sorted(json.loads(line) for line in suite.cli("export", expect=0).stdout.splitlines())
        expect(exported == pairs, f"the export has {len(exported)} lines or differs")
        expect_equal(len(client.delete([".*", r"\d*[05]"]).pairs), MANY_PAIRS // 5, "pairs removed")
        expect_equal(len(client.delete(".*").pairs), MANY_PAIRS // 5 * 4, "pairs removed at the end")
        expect_equal(client.get().pairs, [], "pairs left")


def check_client_threads():
    """with three event loops in the proxy: the client limit, hostile bytes and big answers as with one"""
    check_client_limit(threads=3)
    check_hostile_bytes(threads=3)
    check_big_answers(threads=3)


def check_batch():
    """batch answers in order, one a line, malformed lines too, each as soon as it can be given"""
    with Suite(servers=1) as suite:
        lines = [
            ('{"op": "PUT", "payload": [[["user","42"],["ada","lovelace"]]]}', "ok"),
            ('{"op": "GET", "payload": ["user,.*", ".*"]}', "ok"),
            ("this is no JSON", "malformed"),
            ('{"op": 5, "payload": []}', "malformed"),
            ("[]", "malformed"),
            ("{}", "malformed"),
            ('{"op": "LIST", "payload": null}', "not-implemented"),
            ('{"op": "PUT", "payload": 7}', "malformed"),
            ('{"op": "PUT", "payload": [[["user","42"],["again"]]]}', "ok"),
            ('{"op": "DELETE", "payload": [["user","\\\\d+"], ".*"]}', "ok"),
            ('{"op": "GET", "payload": [".*", ".*"]}', "ok"),
        ]
        text = "".join(line + "\n" for line, _ in lines)
        batch_file = suite.directory / "batch.jsonl"
        batch_file.write_text(text, encoding="utf-8")
        for arguments, stdin in ((("batch", "-"), text), (("batch",), text), (("batch", str(batch_file)), "")):
            done = suite.cli(*arguments, stdin=stdin)
            answers = [json.loads(line) for line in done.stdout.splitlines()]
            expect_equal([answer["status"] for answer in answers], [status for _, status in lines],
                         f"statuses of {arguments}: {done.stderr[-200:]}")
            ada = [["user", "42"], ["ada", "lovelace"]]
            expect_equal(answers[1]["pairs"], [ada], "pairs of the first GET")
            expect_equal((answers[8]["pairs"], answers[8]["reasons"]), ([[["user", "42"], ["again"]]], ["exists"]),
                         "what the second PUT gave back")
            expect_equal(answers[9]["pairs"], [ada], "pairs of DELETE")
            expect_equal(answers[10]["pairs"], [], "pairs of the last GET")
        process = subprocess.Popen(suite.cli_arguments("batch", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=suite.environment)
        try:
            os.set_blocking(process.stdout.fileno(), False)
            for line, status in lines[:3]:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
                answer = wait_until(process.stdout.readline, 10, f"an answer to {line} while standard input is open")
                expect_equal(json.loads(answer)["status"], status, line)
            process.stdin.close()
            expect(process.wait(10) is not None, "batch ends with its input")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def check_outputs():
    """json, plain and table; help, version and completions; usage errors"""
    with Suite(servers=1) as suite:
        answer = suite.answer("put", "user,42", "ada,lovelace", '["user","43"]', '["grace"]')
        expect_equal((answer["status"], answer["pairs"]), ("ok", []), "PUT")
        for output in ("json", "plain", "table"):
            text = suite.cli("--output", output, "get", "user,.*", expect=0).stdout
            for word in ("42", "ada", "lovelace", "43", "grace"):
                expect(word in text, f"--output {output}: no {word} in {text!r}")
            expect("\x1b" not in text, f"--output {output}: colours, where nobody is at a terminal")
        expect_equal(suite.answer("get", '["user","4[0-9]"]', '["gr.*"]')["pairs"], [[["user", "43"], ["grace"]]],
                     "pairs by lists of expressions")
        expect_equal(suite.answer("delete", "user,43")["pairs"], [[["user", "43"], ["grace"]]], "what DELETE removed")
        for command in COMMANDS:
            done = suite.cli(command, "--help", expect=0)
            expect("xample" in done.stdout and command in done.stdout, f"{command} --help has no example")
        for name in ("twinspace", "twinspace-proxy", "twinspace-server"):
            code, output, _ = run_program(name, "--help")
            expect(code == 0 and "--" in output, f"{name} --help: code {code}")
            code, output, _ = run_program(name, "--version")
            expect(code == 0 and any(c.isdigit() for c in output), f"{name} --version: code {code}, {output!r}")
        for shell in ("bash", "zsh", "fish"):
            script = suite.cli("completions", shell, expect=0).stdout
            expect("switchover" in script, f"completions {shell} do not know switchover")
            if shell == "bash":
                syntax = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
                expect(syntax.returncode == 0, f"completions bash: {syntax.stderr}")
        for wrong in (("nonsense",), ("get",), ("put", "a"), ("put", "a", "b", "c"), ("--output", "xml", "get", ".*"),
                      ("get", "--nonsense"), ("--timeout", "soon", "get", ".*"), ("send",), ("completions", "tcsh"),
                      ("--proxy", "nowhere", "get", ".*"), ("send", "PUT", "{not json")):
            done = suite.cli(*wrong)
            expect_equal(done.returncode, 2, f"exit code of {wrong}")
            expect(done.stderr.strip(), f"{wrong}: nothing on standard error")
        for missing in ("/nonexistent/file",):
            for command in ("batch", "import"):
                done = suite.cli(command, missing)
                expect(done.returncode not in (0, 1) and missing in done.stderr,
                       f"{command} {missing}: {done.returncode} {done.stderr!r}")


def check_exit_codes():
    """6 where there is no service, 7 where nobody knows, 8 where it costs too much or is too large"""
    with Suite(servers=1) as suite:
        suite.answer("put", "a" * 60 + "b", "x")
        for operator in ("get", "delete"):
            answer = suite.answer(operator, "(a|aa)+[cde]", expect=8)
            expect_equal((answer["status"], answer["pairs"]), ("too-costly", []), f"{operator} that costs too much")
        expect_equal(len(suite.answer("get", ".*")["pairs"]), 1, "pairs after a DELETE that cost too much")
        suite.freeze("a")
        answer = suite.answer("--timeout", "1s", "put", "k", "v", expect=7)
        expect_equal(answer["status"], "unknown", "PUT to a frozen server")
        suite.thaw("a")
        wait_until(lambda: len(suite.answer("get", ".*")["pairs"]) in (1, 2), 10, "the service answers again")
        suite.kill("a")
        suite.kill("proxy")
        begin = time.monotonic()
        answer = suite.answer("--timeout", "1s", "put", "k", "v", expect=6)
        expect_equal(answer["status"], "unavailable", "PUT without a proxy")
        expect(answer.get("message"), "no message")
        expect(time.monotonic() - begin < 10, f"--timeout 1s took {time.monotonic() - begin:.1f} s")
        done = suite.cli("--timeout", "1s", "status")
        expect(done.returncode == 6 and done.stderr.strip(), f"status without a proxy: {done.returncode}")


def check_http():
    """health, readiness and status over HTTP; anything else is refused"""
    with Suite(servers=2) as suite:
        expect_equal(suite.http("/healthz")[0], 200, "/healthz")
        expect_equal(suite.http("/readyz")[0], 200, "/readyz")
        code, body = suite.http("/v1/status")
        expect_equal(code, 200, "/v1/status")
        status_is_right(json.loads(body))
        status_is_right(json.loads(suite.cli("status", "--output", "json", expect=0).stdout))
        status_is_right(json.loads(suite.cli("--output", "json", "status", expect=0).stdout))
        with Operator(HOST, suite.ports["operators"]) as operator:
            status_is_right(operator.status())
            expect_equal(operator.send("dance").status, "not-implemented", "an unknown command of an operator")
        for output in ("table", "plain"):
            text = suite.cli("--output", output, "status", expect=0).stdout
            expect("a" in text and "passive" in text, f"status --output {output}: {text}")
        expect_equal(suite.http("/nonsense")[0], 404, "/nonsense")
        for method in ("PATCH", "BREW"):
            code, _ = suite.http("/v1/tuples", method)
            expect(code is None or code >= 400, f"{method} /v1/tuples: {code}")
        code, _ = suite.http("/healthz", "POST", b"x" * 100_000)
        expect(code is None or code >= 400, f"POST /healthz: {code}")
        expect_equal(suite.http("/healthz")[0], 200, "/healthz after all that")
        suite.kill("a")
        suite.kill("b")
        suite.wait_not_ready()
        expect_equal(suite.http("/readyz")[0], 503, "/readyz without servers")
        expect_equal(suite.http("/healthz")[0], 200, "/healthz without servers")
        expect_equal(suite.status().get("active"), None, "`active` without servers")


def status_is_right(status):
    expect_equal((status["active"], status["epoch"], status["redundant"], status["insync"]), ("a", 1, True, ["a", "b"]),
                 "active, epoch, redundant, insync")
    expect(isinstance(status["clients"], int), "`clients` is no number")
    roles = [(server["name"], server["role"]) for server in status["servers"]]
    expect_equal(roles, [("a", "active"), ("b", "passive")], "names and roles")
    for server in status["servers"]:
        for key in ("name", "role", "state", "index", "lag", "address"):
            expect(key in server, f"a server without `{key}` in the status: {server}")


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
