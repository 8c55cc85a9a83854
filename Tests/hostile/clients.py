"""Clients in numbers and over their limits: sessions, outcomes, a full space, two sessions on one connection, and the
project's own client before a large answer."""

import subprocess

from checks import expect_equal
from daemon import program
from rude import Requests
from scene import import_file, large_pairs, scene
from twinspace_protocol import Connection

VICTIM = 4711
SESSIONS_A_CONNECTION = 5_000
CLIENT_PROCESSOR_SECONDS = 6
SPACE_MIB = 48


@scene(item=1, seconds=6, alone=True)
def sessions(run):
    """One source makes more sessions than are remembered, then asks for outcomes by the thousand: another client's update
    is still remembered, so that it does not take effect a second time, and nobody waits."""
    with run.stand() as stand:
        stand.put([[["shared"], ["0"]], [["once"], ["first"]]])
        with stand.client(session=VICTIM) as victim:
            expect_equal(victim.delete("once").pairs, [[["once"], ["first"]]], "the pair that the update removes")
        stand.put([[["once"], ["second"]]])
        request = Requests("POST", [[["shared"], ["1"]]])
        outcome = Requests("OUTCOME", ["nobody knows it", 300_000])
        with stand.attack() as attack, stand.swarm() as swarm:
            clients = swarm.connect(run.amount(15, 40))
            for number, client in enumerate(clients):
                first = 1_000_000 + number * SESSIONS_A_CONNECTION
                swarm.send(request.of_sessions(range(first, first + SESSIONS_A_CONNECTION)), [client])
            wanted = len(clients) * SESSIONS_A_CONNECTION
            swarm.run(run.amount(25, 120), until=lambda: swarm.answered >= wanted or swarm.ended)
            run.count(sessions=swarm.answered, **{f"was_{name}": count for name, count in swarm.statuses().items()})
            attack.expect(swarm.answered == wanted, f"{swarm.answered} of {wanted} updates of new sessions were answered, "
                                                    f"{swarm.ended} connections were ended")
            asking = swarm.connect(4)
            questions = run.amount(400, 5_000)
            for number, client in enumerate(asking):
                swarm.send(outcome.frames(900_000 + number, questions), [client])
            answered = swarm.run(run.amount(25, 120), until=lambda: sum(len(c.answers) for c in asking) >= 4 * questions)
            attack.expect(answered, f"{sum(len(c.answers) for c in asking)} of {4 * questions} questions were answered")
        with stand.client(session=VICTIM) as victim:
            again = victim.delete("once")
        with stand.client() as client:
            left = client.get("once").pairs
        run.expect(again.status == "ok" and again.pairs == [[["once"], ["first"]]],
                   f"the update that is sent again is answered {again.status} {again.pairs}, not what it was before")
        run.expect(left == [[["once"], ["second"]]], f"it took effect twice: {left} is left")


@scene(item=7, seconds=1)
def same_sequence(run):
    """Two sessions send updates with the same sequence on one connection: both are answered, and it stays."""
    with run.stand() as stand:
        rounds = run.amount(50, 500)
        with stand.attack(least=5) as attack, stand.swarm() as swarm:
            client, = swarm.connect(1)
            for number in range(1, rounds + 1):
                put = Requests("PUT", [[["named", str(number)], ["x"]]])
                # One in flight of each session, and both under one number.
                swarm.send(b"".join(put.frame(session, number) for session in (11, 12, 13)))
            swarm.run(8, until=lambda: swarm.answered >= 3 * rounds or swarm.ended)
            attack.expect(swarm.answered == 3 * rounds and not swarm.ended,
                          f"{swarm.answered} of {3 * rounds} updates were answered, the connection "
                          f"{'was ended' if client.ended else 'stands'}")
            attack.expect(swarm.statuses() == {"ok": 3 * rounds}, f"statuses: {dict(swarm.statuses())}")
        with Connection("127.0.0.1", stand.port()) as connection:
            connection.handshake()


@scene(item=8, seconds=6, alone=True)
def outcomes(run):
    """Lists of 11 MB are given back whole, of a few sessions that never raise their low-water mark: what is kept of them is
    bounded in bytes."""
    with run.stand() as stand:
        pairs = list(large_pairs(46))
        stand.put(pairs)
        request = Requests("PUT", pairs)
        with stand.attack() as attack, stand.swarm() as swarm:
            swarm.connect(1)
            lists = run.amount(30, 43)
            for number in range(lists):
                swarm.send(request.frame(50 + number % 6, 1 + number, low_water=1))
            swarm.run(run.amount(40, 120), until=lambda: swarm.answered >= lists or swarm.ended)
            run.count(lists=swarm.answered, **{f"was_{name}": count for name, count in swarm.statuses().items()})
            attack.expect(swarm.answered == lists, f"{swarm.answered} of {lists} lists were answered")


@scene(item=8, seconds=3)
def full_space(run):
    """Somebody puts more than --max-space allows: refused as too large in the end; reads and removals go on, both servers
    stay, and after a removal there is room again."""
    flags = ("--max-space", f"{SPACE_MIB}MiB")
    with run.stand(server_flags=flags) as stand:
        # Whoever puts something is refused here, so nobody stands by; a removal and a read are tried instead.
        with stand.attack(bystander=False) as attack, stand.client() as client:
            statuses = []
            for number in range(4 * SPACE_MIB):
                pairs = [[[f"much{number:04}", str(part)], value] for part, (_, value) in enumerate(large_pairs(4))]
                statuses.append(client.put(pairs).status)
                if statuses[-1] != "ok":
                    break
            run.count(accepted=statuses.count("ok"))
            attack.expect(statuses[-1] == "too-large", f"{statuses.count('ok')} MB were taken, then: {statuses[-1]}")
            attack.expect(statuses.count("ok") >= SPACE_MIB // 4, f"only {statuses.count('ok')} MB were taken")
            attack.expect(len(client.get("much0001,.*").pairs) == 4, "what is there cannot be read")
            for number in range(statuses.count("ok") // 2):
                attack.expect(len(client.delete(f"much{number:04},.*").pairs) == 4, f"a removal removed nothing: {number}")
            attack.expect(client.put([[["small"], ["again"]]]).status == "ok", "there is no room after a removal")
            attack.expect(stand.suite.status().get("redundant") is True, "one of the servers is out")


@scene(item=9, seconds=7, alone=True)
def whole_table(run):
    """The command line reads, and exports, some hundred thousand pairs: work in proportion to them, counted in processor
    seconds of its own."""
    with run.stand(servers=1, start=False) as stand:
        suite = stand.suite
        count = run.amount(300_000, 1_000_000)
        suite.start("proxy")
        suite.start("a", *import_file(suite, ([[f"key{number:07}"], [f"{number:0200}"]] for number in range(count))))
        suite.wait_status(lambda status: status.get("pairs", 0) >= count, "the pairs are there")
        limit = CLIENT_PROCESSOR_SECONDS * (1 if not run.full else 3)
        with stand.attack(least=5):
            for words in (("get", ".*"), ("export",)):
                done = subprocess.run(
                    ["prlimit", f"--cpu={limit}", "--", program("twinspace"), *suite.cli_arguments(
                        "--output", "plain", "--timeout", "60s", *words)[1:]],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90,
                    env=suite.environment, check=False)
                lines = done.stdout.count(b"\n")
                run.expect(done.returncode == 0 and lines >= count,
                           f"{words[0]} of {count} pairs: exit code {done.returncode}, {lines} lines, within {limit} "
                           f"processor seconds {done.stderr[-200:].decode()}")
