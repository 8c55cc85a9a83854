"""Neighbours that lie: directories that are another's or older, addresses that lead nowhere or home, settings that differ,
records and frames that are untrue."""

import contextlib
import os
import random
import shutil
import signal
import socket
import time

from checks import expect_equal
from clock_faults import two_addresses
from daemon import SuiteError, wait_until
from fake_proxy import FakeProxy
from neighbour import LARGEST, TO_PROXY, TO_SERVER, Mirror, cluster_of, random_frames, record, register, registration
from network import Network, Unavailable
from scene import Skipped, complaints, scene
from twinspace_protocol import Frame, OutOfTime, Writer

ROUTINE = ("no-active", "not-redundant", "active-restored", "redundancy-restored", "active-lost", "passive-lost",
           "takeover", "deposed", "server-lost", "proxy-lost")
SETTLE_SECONDS = 6.0


def keys(stand, pattern):
    with stand.client() as client:
        return {key[0] for key, _ in client.get(pattern).pairs}


def put_keys(stand, names):
    stand.put([[[name], ["x"]] for name in names])


def expect_nothing_gone(run, stand, names, mark):
    """Whoever is active now has all that was acknowledged, and if nobody is, or a copy was wrong, it was said."""
    suite = stand.suite
    deadline = time.monotonic() + SETTLE_SECONDS
    while not suite.status().get("active") and time.monotonic() < deadline:
        time.sleep(0.05)
    active = suite.status().get("active")
    if active:
        missing = set(names) - keys(stand, "kept.*|more.*")
        run.expect(not missing, f"{active} is active, and {len(missing)} of {len(names)} acknowledged updates are gone")
    said = complaints(suite, suite.daemons, mark, ROUTINE)
    run.expect(said, f"nothing was said of a directory that is not what it was; active: {active}")
    run.count(active=active or "nobody", said=len(said))


@scene(item=14, seconds=8)
def exchanged_directories(run):
    """b is out of the set, twenty updates are acknowledged, and the two data directories are exchanged: none of them is gone
    without a word."""
    with run.stand() as stand:
        suite = stand.suite
        put_keys(stand, [f"kept{number}" for number in range(5)])
        suite.kill("b")
        suite.wait_status(lambda status: status.get("insync") == ["a"], "only a is in sync")
        names = [f"more{number}" for number in range(20)]
        put_keys(stand, names)
        suite.kill("a")
        mark = suite.mark()
        homes = [suite.directory / f"server-{name}" for name in "ab"]
        spare = suite.directory / "spare"
        os.rename(homes[0], spare)
        os.rename(homes[1], homes[0])
        os.rename(spare, homes[1])
        for name in "ab":
            suite.start(name)
            # A directory names its server, so that another one may well refuse to start.
            suite.daemons[name].may_end = True
        expect_nothing_gone(run, stand, names, mark)


@scene(item=14, seconds=9)
def older_directory(run):
    """A directory of b is put back as it was earlier, while a is away: b does not become active without what was acknowledged
    meanwhile, and it is said."""
    with run.stand() as stand:
        suite = stand.suite
        put_keys(stand, [f"kept{number}" for number in range(5)])
        suite.kill("b")
        home, backup = suite.directory / "server-b", suite.directory / "backup"
        shutil.copytree(home, backup)
        suite.start("b")
        suite.wait_redundant()
        names = [f"more{number}" for number in range(9)]
        put_keys(stand, names)
        # Both at once: none of the two takes the other out of the set.
        for name in "ab":
            suite.freeze(name)
        for name in "ab":
            suite.kill(name, signal.SIGKILL)
        shutil.rmtree(home)
        os.rename(backup, home)
        mark = suite.mark()
        suite.start("b")
        suite.daemons["b"].may_end = True
        expect_nothing_gone(run, stand, names, mark)
        suite.start("a")
        suite.wait_status(lambda status: status.get("active"), "a server is active again", 15)
        missing = set(names) - keys(stand, "more.*")
        run.expect(not missing, f"{len(missing)} of {len(names)} acknowledged updates are gone when a is back")


@scene(item=15, seconds=4)
def mirror(run):
    """What a server finds at the proxy's address gives back whatever it says, as a connection to itself does: it leaves it,
    and finds the proxy when that is there."""
    with run.stand(servers=1, start=False) as stand:
        suite = stand.suite
        with Mirror(stand.port("servers")) as other:
            suite.start("a")
            wait_until(lambda: other.taken, 10, "the server dials")
            time.sleep(run.amount(1.5, 5))
            run.count(connections=other.taken, left=other.closed_by_peer)
            run.expect(other.closed_by_peer, "the server stays with somebody who says only what it says itself")
            other.refuse_more()
            suite.start("proxy")
            suite.wait_ready(10)


@scene(item=15, seconds=6)
def itself(run):
    """A server dials a local port before the proxy is there, in a place where the kernel soon gives that port to the server
    itself: the proxy starts, and they find each other."""
    try:
        Network([])
    except Unavailable as reason:
        raise Skipped(str(reason)) from None
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as ports:
        ports.write("40000 40031\n")
    with run.stand(servers=1, start=False) as stand:
        suite = stand.suite
        old, new = suite.address("servers"), "127.0.0.1:40008"
        for daemon in suite.daemons.values():
            daemon.arguments = [new if word == old else word for word in daemon.arguments]
        suite.start("a")
        time.sleep(run.amount(4, 10))
        deadline = time.monotonic() + 10
        while suite.http("/readyz")[0] != 200 and time.monotonic() < deadline:
            if not suite.daemons["proxy"].running:
                # Whoever holds the port may need a moment to leave it; a supervisor starts the proxy again.
                suite.start("proxy")
                suite.daemons["proxy"].may_end = True
            time.sleep(0.1)
        run.expect(suite.http("/readyz")[0] == 200, "no active server: "
                   + (suite.log_text("proxy").strip().splitlines() or ["the proxy says nothing"])[-1][:200])


@scene(item=15, seconds=6)
def addresses(run):
    """The second of a name's two addresses is tried when the first is dead; an address on which nobody can be dialled is not
    told to others, nor taken from them."""
    with FakeProxy() as proxy, run.stand(servers=1, start=False) as stand:
        daemon = stand.suite.daemons["a"]
        usual = list(daemon.arguments)
        daemon.arguments = [word.replace("127.0.0.1", "0.0.0.0") if usual[at - 1] == "--listen" else word
                            for at, word in enumerate(usual)]
        daemon.arguments[daemon.arguments.index("--proxy") + 1] = f"127.0.0.1:{proxy.port}"
        stand.suite.start("a")
        daemon.may_end = True
        try:
            proxy.listener.settimeout(4.0)
            proxy.accept()
            run.expect(not proxy.member[1].startswith(("0.0.0.0", "[::]")), f"a server tells others to dial {proxy.member[1]}")
        except (TimeoutError, OutOfTime):
            run.expect(not daemon.running, "a server with --listen 0.0.0.0 neither registers nor ends")
    with run.stand(servers=1, start=False) as stand, dead_end(stand.port("servers")):
        daemon = stand.suite.daemons["a"]
        at = daemon.arguments.index("--proxy") + 1
        daemon.arguments[at] = daemon.arguments[at].replace("127.0.0.1", "twice.test")
        daemon.arguments[:0] = two_addresses(stand.suite.directory)
        stand.suite.start("proxy")
        stand.suite.start("a")
        try:
            stand.suite.wait_ready(8)
        except SuiteError as error:
            run.expect(False, f"a name with two addresses, the first dead: {error}"[:300])
            return
        for address in ("0.0.0.0:7410", "[::]:7410"):
            said = register(stand.port("servers"), registration("z", address))
            run.expect(said is None or said.type != "view", f"a server that wants to be dialled at {address} is taken")
        with stand.attack():
            time.sleep(0.5)


@contextlib.contextmanager
def dead_end(port):
    """Whoever dials the first address of `twice.test` hears nothing: what listens there takes nobody any more."""
    with socket.create_server(("127.0.0.99", port), backlog=0), contextlib.ExitStack() as stack:
        for _ in range(4):
            end = stack.enter_context(socket.socket())
            end.setblocking(False)
            end.connect_ex(("127.0.0.99", port))
        yield


@scene(item=15, seconds=6)
def settings_that_differ(run):
    """Two servers whose heartbeat settings cannot agree: it is said once, and they do not lose and find each other for
    ever."""
    differing = {"a": ("--heartbeat-interval", "40ms", "--heartbeat-misses", "4"),
                 "b": ("--heartbeat-interval", "2s", "--heartbeat-misses", "4")}
    with run.stand(start=False, heartbeat=(), flags_of=differing) as stand:
        suite = stand.suite
        suite.start("proxy")
        suite.start("a")
        suite.wait_ready()
        # Nobody stands by: what others ask for is a sign of life too, and would hide it.
        with stand.attack(kills=True, bystander=False):
            suite.start("b")
            suite.daemons["b"].may_end = True
            time.sleep(run.amount(5, 30))
        put_keys(stand, ["afterwards"])
        lost = len(suite.alerts("passive-lost")) + len(suite.alerts("active-lost"))
        run.count(lost=lost)
        run.expect(lost <= 2, f"they lost each other {lost} times")
        told = [line for line in suite.log_lines() if line.level in ("WARN", "ERROR", "ALERT")
                and ("differ" in line.event or "heartbeat" in line.text)]
        run.expect(told, "nobody says that their settings differ")
        run.expect(len(told) <= 6, f"that their settings differ is said {len(told)} times")


@scene(item=15, seconds=5)
def wildcard(run):
    """Servers on machines of their own listen on all networks and are not told what they are called: they come to be
    redundant, or say why not."""
    try:
        network = Network(["a", "b"])
    except Unavailable as reason:
        raise Skipped(str(reason)) from None
    try:
        with run.stand(start=False) as stand:
            suite = stand.suite
            inside = suite.address("servers")
            outside = f"{network.addresses['proxy']}:{stand.port('servers')}"
            for name, daemon in suite.daemons.items():
                words = [outside if word == inside else word for word in daemon.arguments]
                if name != "proxy":
                    at = words.index("--listen") + 1
                    words[at] = words[at].replace("127.0.0.1", "0.0.0.0")
                    words = [*network.command(name), *words]
                daemon.arguments = words
            suite.start("proxy")
            suite.start("a")
            suite.wait_ready()
            suite.start("b")
            suite.daemons["b"].may_end = True
            with stand.attack(kills=True):
                deadline = time.monotonic() + 6
                while time.monotonic() < deadline and not suite.status().get("redundant"):
                    time.sleep(0.05)
            told = "advertise" in suite.log_text("b") + suite.log_text("a") + suite.log_text("proxy")
            run.expect(suite.status().get("redundant") or told, "they never come to be redundant, and nobody says why")
    finally:
        network.close()


@scene(item=16, seconds=6)
def records(run):
    """Registrations bring records with the largest numbers there are, empty or foreign sets: none is believed, the proxy
    lives, also after a restart and while it has no record of its own."""
    with run.stand() as stand:
        suite = stand.suite
        with stand.attack(least=5):
            cluster = cluster_of(stand.port("servers"))
            # Who has believed it grants the epoch after it.
            ask = Frame("takeOver", bytes(Writer().run("lost").bytes), sequence=1, epoch=LARGEST)
            for number, frame in enumerate(untrue(cluster)):
                register(stand.port("servers"), frame, 0.3, then=[ask])
                run.expect(suite.daemons["proxy"].running, f"the proxy died of untrue registration {number}")
                if not suite.daemons["proxy"].running:
                    return
        suite.restart("proxy")
        suite.wait_redundant(12)
        # A proxy without a record hears the liar first.
        for name in "ab":
            suite.freeze(name)
        suite.kill("proxy")
        shutil.rmtree(suite.directory / "proxy")
        suite.start("proxy")
        wait_until(lambda: suite.http("/healthz")[0] == 200, 10, "the proxy is there")
        for frame in untrue(cluster):
            register(stand.port("servers"), frame, 0.2)
        for name in "ab":
            suite.thaw(name)
        suite.wait_redundant(12)
        put_keys(stand, ["afterwards"])
        expect_equal(suite.status().get("epoch", 0) < 2**32, True, "the epoch is one that can be counted on")


def untrue(cluster):
    """Registrations under names of nobody, each with something that cannot be."""
    for epoch, version, active, insync in [
            (LARGEST, 5, "z", ["z"]), (5, LARGEST, "z", ["z"]), (LARGEST - 1, LARGEST - 1, "z", ["z"]), (9, 9, "z", []),
            (9, 9, "z", ["y"]), (9, 9, "z", ["z", "z"]), (0, 0, "z", ["z"])]:
        yield registration("z", epoch=1, index=1, last=record(cluster, epoch, version, active, insync), holds=True)
    yield registration("z", epoch=LARGEST, index=LARGEST, last=record(cluster, 1, 1, "z", ["z"]), holds=True)
    yield registration("z", active_epoch=LARGEST, epoch=1, index=1, last=record(cluster, 1, 1, "z", ["z"]), holds=True)
    yield registration("z", epoch=1, index=1, last=record(0, 7, 7, "z", ["z"]), holds=True)


@scene(item=16, seconds=3)
def frames_without_business(run):
    """Random frames with right checksums on the servers' port and on the servers' own listeners, after a registration and
    without one: nobody dies, and roles stay as they are."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    dice = random.Random(seed)
    run.count(seed=seed)
    with run.stand() as stand:
        cluster = cluster_of(stand.port("servers"))
        ports = {stand.port("servers"): TO_PROXY, **{stand.listener_port(name): TO_SERVER for name in "ab"}}
        with stand.attack(lines=2_000) as attack:
            for number in range(run.amount(60, 1_000)):
                for port, kinds in ports.items():
                    with stand.swarm(port) as liars:
                        liars.connect(1, greet=False)
                        first = greeting(dice, cluster, number).encoded() if kinds is TO_PROXY else b""
                        liars.send(first + random_frames(dice, kinds, 8))
                        liars.run(0.02, until=lambda: liars.ended)
                if not all(daemon.running for daemon in stand.suite.daemons.values()):
                    attack.expect(False, f"somebody died in round {number} of seed {seed}")
                    return


def greeting(dice, cluster, number):
    """A registration under a name of nobody, that may be true, or has a number that cannot be."""
    large = dice.choice((2**63 - 1, 2**63, LARGEST - 1, LARGEST))
    epoch, version = dice.choice(((1, dice.randrange(3)), (large, 1), (1, large), (large, large)))
    name = f"z{number % 8}"
    last = record(cluster, epoch, version, name, [name]) if dice.random() < 0.7 else None
    return registration(name, epoch=dice.randrange(2), index=dice.choice((0, 9, large)), last=last,
                        holds=dice.random() < 0.5)
