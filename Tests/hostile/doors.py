"""Strangers at every door: half frames, connections by the thousand, idle ones, floods of the operators' and HTTP ports,
and a table of descriptors that is full."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from compiler import compile_c
from daemon import free_port, run_program
from measures import MIB, processor_seconds
from rude import SOURCE, Requests, half_frame, header
from scene import HOST, large_pairs, scene
from twinspace_protocol import Connection, Operator, OutOfTime, Refused, crc32c, request_payload

SUPPORT = Path(__file__).resolve().parents[1] / "support"
FRAME_BYTES = 16 * MIB - 1
DOORS = ("clients", "operators", "servers")
NEWCOMER_SECONDS = 12.0
# How long a connection may stand without a greeting, and what the proxy may work for a bystander afterwards.
GREETING_SECONDS = 5.0
QUIET_PROCESSOR_SECONDS = 0.13
# How many answers to operators there may be for each of the bystander's.
OPERATORS_SHARE = 400


def is_welcome(stand, sap="clients"):
    """Whether somebody who comes now, from an address of his own, is welcomed."""
    try:
        with Connection(HOST, stand.port(sap), timeout=3.0) as connection:
            connection.handshake(timeout=3.0)
            return True
    except (OSError, Refused, OutOfTime):
        return False


def expect_open_doors(attack, when):
    """An honest client, an operator and a health check are served."""
    stand = attack.stand
    try:
        with stand.client(timeout=8.0) as client:
            answer = client.get("no such key")
            attack.expect(answer.status == "ok", f"a client {when}: {answer.status}: {answer.message}")
    except Exception as error:  # whatever it is, it is what the honest client saw
        attack.expect(False, f"a client {when}: {error!r}")
    try:
        with Operator(HOST, stand.port("operators"), timeout=8.0) as operator:
            attack.expect(operator.status()["active"] is not None, f"the operator {when} is told of no active server")
    except Exception as error:
        attack.expect(False, f"an operator {when}: {error!r}")
    code = stand.suite.http("/healthz", seconds=8.0)[0]
    attack.expect(code == 200, f"/healthz {when}: {code or 'no answer'}")


@scene(item=3, seconds=5, alone=True)
def half_frames(run):
    """Frames and bodies of 16 MB less a byte on every port, before and after the greeting: they are not kept, and whoever is
    honest is served meanwhile."""
    with run.stand() as stand:
        with stand.attack() as attack:
            many = run.amount(12, 50)
            swarms = []
            try:
                greeted = stand.swarm()
                swarms.append(greeted)
                greeted.connect(run.amount(44, 200))
                greeted.send(half_frame("request", 16 * MIB, FRAME_BYTES))
                for door in DOORS:
                    swarms.append(stand.swarm(door))
                    swarms[-1].connect(many, greet=False)
                    kind = "register" if door == "servers" else "hello"
                    swarms[-1].send(half_frame(kind, 16 * MIB, FRAME_BYTES, session=0))
                for name in "ab":
                    swarms.append(stand.swarm(stand.listener_port(name)))
                    swarms[-1].connect(2 * many, greet=False)
                    swarms[-1].send(half_frame("peerHello", 16 * MIB, FRAME_BYTES, session=0))
                swarms.append(stand.swarm("http"))
                swarms[-1].connect(many, greet=False)
                body = b"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (FRAME_BYTES + 1)
                swarms[-1].send(body + bytes(FRAME_BYTES))
                deadline = time.monotonic() + run.amount(6, 30)
                while time.monotonic() < deadline and any(swarm.pending_bytes for swarm in swarms):
                    for swarm in swarms:
                        swarm.run(0.02)
                expect_open_doors(attack, "beside half frames")
                run.count(sent_MB=sum(client.sent for swarm in swarms for client in swarm.clients) // 1_000_000)
            finally:
                for swarm in swarms:
                    swarm.close()


@scene(item=4, seconds=8, alone=True)
def churn(run):
    """Connections are opened and reset as fast as they can be, behind one that says nothing: nobody else notices, and when
    the time for its greeting is over the proxy has no work left with the others."""
    with run.stand() as stand:
        proxy = stand.pid("proxy")
        with stand.attack() as attack, stand.swarm() as swarm:
            rounds = run.amount(1, 5)
            for _ in range(rounds):
                swarm.connect(1, greet=False)
                made = _churn(stand, GREETING_SECONDS - 0.4)
                before = processor_seconds(proxy)
                time.sleep(2.0)
                used = processor_seconds(proxy) - before
                run.count(connections=made, processor_ms=round(used * 1000))
                attack.expect(used <= QUIET_PROCESSOR_SECONDS, f"after {made} connections have gone the proxy worked for "
                                                               f"{used:.1f} s more")
            expect_open_doors(attack, "after the churn")


def _churn(stand, seconds):
    """Opens and resets connections, in two processes; how many came about."""
    generator = stand.suite.directory / "churn"
    if not generator.exists():
        compile_c(SUPPORT / "churn.c", generator)
    processes = [subprocess.Popen([generator, SOURCE, str(stand.port()), str(round(seconds * 1000))],
                                  stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(int(process.communicate(timeout=seconds + 20)[0]) for process in processes)


@scene(item=4, seconds=2)
def slots(run):
    """One source holds every place for a client and says nothing: somebody from elsewhere is welcomed all the same."""
    limit = run.amount(64, 1000)
    with run.stand(proxy_flags=("--max-clients", str(limit))) as stand:
        with stand.attack() as attack, stand.swarm() as swarm:
            swarm.connect(limit + 20)
            run.count(welcomed=swarm.greeted)
            welcome = False
            deadline = time.monotonic() + NEWCOMER_SECONDS
            while not welcome and time.monotonic() < deadline:
                welcome = is_welcome(stand)
                swarm.run(0.2)
            attack.expect(welcome, f"a newcomer from elsewhere is not let in within {NEWCOMER_SECONDS:.0f} s, while one "
                                   f"source has {swarm.greeted} of {limit} places")
            attack.expect(swarm.greeted >= limit // 4, f"only {swarm.greeted} of {limit} were welcomed while there was room")


@scene(item=6, seconds=4, alone=True)
def operators_flood(run):
    """Twenty operators send `status` by the thousand without waiting: clients do not wait for them, and an honest operator
    is answered."""
    with run.stand() as stand:
        payload = request_payload("status", None)
        checksum = crc32c(payload)
        count = run.amount(4_000, 15_000)
        burst = b"".join(header("operatorRequest", len(payload), checksum, sequence=number) + payload
                         for number in range(1, count + 1))
        with stand.attack() as attack, stand.swarm("operators") as swarm:
            swarm.connect(20)
            swarm.send(burst)
            swarm.run(run.amount(2, 30), until=lambda: swarm.answered >= 20 * count)
            run.count(answered=swarm.answered, ended=swarm.ended)
            flooded = swarm.answered
            attack.expect(swarm.answered > 0, "no operator was answered")
            expect_open_doors(attack, "beside the flood")
        answers = run.counts["answers"]
        run.expect(answers * OPERATORS_SHARE >= flooded, f"{answers} answers to the bystander beside "
                                                               f"{flooded} to operators")


@scene(item=6, seconds=4)
def idle_http(run):
    """1,100 HTTP connections that say nothing: health checks are answered meanwhile, and when they have gone."""
    with run.stand() as stand:
        with stand.attack() as attack, stand.swarm("http") as swarm:
            swarm.connect(1_100, greet=False)
            swarm.run(run.amount(2, 35))
            run.count(connected=len(swarm.clients) - swarm.ended)
            expect_open_doors(attack, "beside idle HTTP connections")
            swarm.close()
            code = None
            for _ in range(3):
                code = code or stand.suite.http("/healthz", seconds=4.0)[0]
            attack.expect(code == 200, f"/healthz after they have gone: {code or 'no answer'}")


@scene(item=6, seconds=5, alone=True)
def strangers(run):
    """Strangers fill the descriptors of both servers: they go on, begin new segments of their journals, and are redundant."""
    with run.stand(start=False) as stand:
        suite = stand.suite
        for name in "ab":
            suite.daemons[name].arguments[:0] = ["prlimit", "--nofile=96:96", "--"]
        suite.start_all()
        pairs = list(large_pairs(8))
        stand.put(pairs)
        update = Requests("POST", pairs)
        with stand.attack() as attack, stand.swarm() as writer:
            swarms = [stand.swarm(stand.listener_port(name)) for name in "ab"]
            try:
                writer.connect(1)
                rounds = run.amount(24, 200)
                for number in range(1, rounds + 1):
                    for swarm in swarms:
                        # Whoever was sent away comes again.
                        swarm.leave([stranger for stranger in swarm.clients if stranger.ended])
                        swarm.connect(150 - len(swarm.clients), greet=False)
                        swarm.run(0.02)
                    writer.send(update.frame(5, number))
                    if not writer.run(5, until=lambda: writer.answered >= number or writer.ended):
                        break
                attack.expect(writer.statuses() == {"ok": rounds}, f"updates meanwhile: {dict(writer.statuses())}")
                attack.expect(suite.status().get("redundant") is True, "one of the servers is out")
            finally:
                for swarm in swarms:
                    swarm.close()


@scene(item=11, seconds=4)
def reserves(run):
    """Clients and slow HTTP connections take every descriptor of the proxy: servers that restart are let in nevertheless,
    operators are answered, and the log says that clients are not."""
    directory = tempfile.mkdtemp(prefix="twinspace-hostile-")
    code, _, words = run_program(
        "twinspace-proxy", *(f"--{sap}={HOST}:{free_port()}" for sap in ("clients", "servers", "operators", "http")),
        f"--data={directory}", "--max-clients=5000", prefix=("prlimit", "--nofile=1024:1024", "--"), seconds=3)
    shutil.rmtree(directory)
    run.expect(code not in (0, None) and "--max-clients" in words,
               f"--max-clients 5000 with 1,024 descriptors: exit code {code}, {words[-200:]!r}")
    with run.stand(start=False) as stand:
        suite = stand.suite
        suite.daemons["proxy"].arguments[:0] = ["prlimit", "--nofile=1024:1024", "--"]
        suite.start_all()
        mark = suite.mark()
        with stand.attack(kills=True, watched=["proxy"]) as attack:
            with stand.swarm() as clients, stand.swarm("http") as slow:
                for name in suite.names:
                    suite.kill(name)
                clients.connect(1_050)
                slow.connect(300, greet=False)
                slow.send(b"GET /healthz HTTP/1.1\r\nHost:")
                slow.run(0.2)
                for name in suite.names:
                    suite.start(name)
                said = []
                deadline = time.monotonic() + 12
                while time.monotonic() < deadline and len(said) < 2:
                    clients.run(0.05)
                    said = suite.log_text("proxy", mark).split("server-registered")[1:]
                attack.expect(len(said) == 2, f"{len(said)} of 2 servers were let in")
                try:
                    with Operator(HOST, stand.port("operators"), timeout=5.0) as operator:
                        attack.expect(operator.status()["active"] is not None, "there is no active server")
                except Exception as error:  # it is what the operator saw
                    attack.expect(False, f"an operator while all is full: {error!r}")
                worrying = [line for line in suite.log_lines(["proxy"], mark) if line.level in ("WARN", "ERROR", "ALERT")
                            and line.event not in ("no-active", "active-restored", "takeover")]
                attack.expect(worrying, "the log says nothing of clients that cannot be taken")
                run.count(welcomed=clients.greeted)
