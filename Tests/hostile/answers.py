"""Clients that ask for large answers: those who read them, those who do not, and those who leave."""

import time

from measures import MIB, Reaper, busiest_other_thread, memory
from rude import Requests
from scene import import_file, large_pairs, scene

# A client from which nothing drains is ended after ten seconds.
DISMISS_SECONDS = 20.0
# Four elements of 60,000 bytes: 4 of them are 0.96 MB.
PAIR_BYTES = 240_000
DEATH_BYTES = 256 * MIB


@scene(item=2, seconds=5, alone=True)
def answers_read(run):
    """One client that reads asks for answers of 0.96 MB, many in flight, and others ask and leave; all that is read comes
    whole, nobody else notices, and neither process holds what is not read yet."""
    with run.stand() as stand:
        stand.put(list(large_pairs(4)))
        request = Requests("GET", ["large.*", ".*"])
        with stand.attack() as attack, stand.swarm() as swarm:
            count = run.amount(300, 600)
            reader = swarm.connect(1)
            swarm.send(request.frames(7, count, low_water=1))
            swarm.run(run.amount(15, 60), until=lambda: swarm.answered >= count or swarm.ended)
            run.count(read_MB=reader[0].received // 1_000_000, answered=swarm.answered)
            attack.expect(swarm.answered == count, f"{swarm.answered} of {count} large answers came")
            attack.expect(swarm.statuses()["ok"] == count, f"statuses: {dict(swarm.statuses())}")
            attack.expect(reader[0].received >= count * 4 * PAIR_BYTES, f"{reader[0].received} bytes came")
            _ask_and_leave(run, stand, request)


def _ask_and_leave(run, stand, request):
    """Ten clients send 60 KB of requests and leave, twice a second."""
    with stand.swarm() as leaving:
        burst = request.frames(8, 500, low_water=1)
        for _ in range(run.amount(4, 40)):
            clients = leaving.connect(10)
            leaving.send(burst, clients)
            leaving.run(0.5)
            leaving.leave(clients)


@scene(item=2, seconds=15)
def answers_unread(run):
    """Twenty clients ask for 40 to 290 MB each and do not read: memory is bounded in all, others are served, and the silent
    ones are ended."""
    with run.stand() as stand:
        stand.put(list(large_pairs(4)))
        request = Requests("GET", ["large.*", ".*"])
        with stand.attack() as attack, stand.swarm() as swarm:
            clients = swarm.connect(20, receive_bytes=8192)
            swarm.reading(clients, False)
            for number, client in enumerate(clients):
                swarm.send(request.frames(100 + number, run.amount(60, 300), low_water=1), [client])
            gone = swarm.run(DISMISS_SECONDS, until=lambda: stand.suite.status().get("clients", 99) <= 2)
            attack.expect(gone, f"{stand.suite.status().get('clients')} clients are connected after "
                                f"{DISMISS_SECONDS:.0f} s in which 20 read nothing")


@scene(item=2, seconds=7, alone=True)
def whole_space(run):
    """The whole of a space of 103 MB is asked for, first by one client who reads and then by ten who do not: no takeover,
    and neither process holds it."""
    with run.stand(start=False) as stand:
        suite = stand.suite
        suite.start("proxy")
        suite.start("a", *import_file(suite, large_pairs(430)))
        suite.wait_ready()
        suite.start("b")
        suite.wait_redundant()
        request = Requests("GET", [".*", "x.*"])
        with stand.attack() as attack, stand.swarm() as swarm:
            reader = swarm.connect(1)
            swarm.send(request.frames(7, 1))
            swarm.run(20, until=lambda: swarm.answered == 1 or swarm.ended)
            attack.expect(swarm.statuses() == {"ok": 1}, f"the answer of 103 MB: {dict(swarm.statuses())}")
            attack.expect(reader[0].received >= 430 * PAIR_BYTES, f"{reader[0].received} bytes came of it")
            silent = swarm.connect(run.amount(10, 50), receive_bytes=8192)
            swarm.reading(silent, False)
            for number, client in enumerate(silent):
                swarm.send(request.frames(200 + number, 1), [client])
            swarm.run(run.amount(3, 15))


@scene(item=10, seconds=5, alone=True)
def request_of_death(run):
    """Whatever server carries one search out dies of it, again and again: the request is given up after it was alone with
    a loss, and what others asked for is answered all the same."""
    with run.stand() as stand:
        suite = stand.suite
        stand.put([[[f"long{number}"], ["a" * 600]] for number in range(6_000)])
        before = {}

        def doomed(name, pid):
            # Who searches for a tenth of a second dies; a thread that did so before counts from there.
            busy = busiest_other_thread(pid)
            return busy - before.setdefault(pid, busy) > 0.1

        with stand.attack(kills=True) as attack, stand.swarm() as swarm:
            with Reaper(suite, suite.names, doomed) as reaper:
                swarm.connect(1)
                swarm.send(Requests("GET", ["long.*", ".*a.*[bc]"]).frames(66, 1))
                answered = swarm.run(run.amount(14, 60), until=lambda: reaper.restart() or swarm.answered or swarm.ended)
                kills = len(reaper.kills)
            run.count(kills=kills)
            attack.expect(answered and swarm.statuses()["unavailable"] == 1,
                          f"the request of death after {kills} deaths: {dict(swarm.statuses()) or 'no answer'}")
            attack.expect(2 <= kills <= 4, f"{kills} servers died of one request")
            attack.expect("request-given-up" in suite.log_text("proxy"), "the log says nothing of it")
            suite.wait_redundant()


@scene(item=10, seconds=5, alone=True)
def small_servers(run):
    """Both servers die at 256 MiB of memory, and somebody asks for 96 MB: nobody dies, and the answer comes."""
    with run.stand(start=False) as stand:
        suite = stand.suite
        suite.start("proxy")
        suite.start("a", *import_file(suite, large_pairs(400)))
        suite.wait_ready()
        del suite.daemons["a"].arguments[-2:]
        suite.start("b")
        suite.wait_redundant()
        # A fresh start of both: what reading the file and filling the copy took is given back.
        for name in ("b", "a"):
            suite.restart(name)
            suite.wait_redundant()
        resting = {stand.pid(name): memory(stand.pid(name))[0] for name in "ab"}
        run.count(rest_MiB=max(resting.values()) // MIB)
        with stand.attack(kills=True) as attack, stand.swarm() as swarm:
            with Reaper(suite, suite.names, lambda name, pid: memory(pid)[0] > DEATH_BYTES) as reaper:
                swarm.connect(1)
                swarm.send(Requests("GET", [".*", "x.*"]).frames(7, 1))
                swarm.run(12, until=lambda: reaper.restart() or swarm.answered or swarm.ended)
                time.sleep(0.2)
            run.count(kills=len(reaper.kills))
            attack.expect(not reaper.kills, f"servers died of memory {len(reaper.kills)} times")
            attack.expect(swarm.statuses() == {"ok": 1}, f"the answer of 96 MB: {dict(swarm.statuses()) or 'none'}")
            received = sum(client.received for client in swarm.clients)
            attack.expect(received >= 400 * PAIR_BYTES, f"{received} bytes came of 96 MB")
