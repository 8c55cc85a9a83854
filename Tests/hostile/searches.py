"""Searches that cannot match, and searches that take long, of many clients at once."""

from rude import Requests
from scene import scene

EXPRESSIONS = 1_000_000


@scene(item=5, seconds=4, alone=True)
def long_lists(run):
    """A list of a million expressions matches no tuple: it is answered at once, and an honest search behind two of them is
    answered while they would still be compiled."""
    with run.stand() as stand:
        stand.put([[[f"key{number}"], ["value"]] for number in range(2_000)])
        request = Requests("GET", [[f"[a-z]{number}(b|c)" for number in range(run.amount(250_000, EXPRESSIONS))], ".*"])
        before = stand.processor_seconds()
        with stand.attack() as attack, stand.swarm() as swarm, stand.swarm() as honest:
            swarm.connect(2)
            for number, client in enumerate(swarm.clients):
                swarm.send(request.frame(300 + number, 1), [client])
            swarm.run(0.3)
            honest.connect(1)
            honest.send(Requests("GET", [".*7.*", "v.*"]).frames(5, 5))
            first = honest.run(20, until=lambda: honest.answered == 5)
            swarm.run(25, until=lambda: swarm.answered == 2 or swarm.ended == 2)
            used = stand.processor_seconds() - before
            run.count(server_ms=round(used * 1000), **swarm.statuses())
            attack.expect(first and honest.statuses() == {"ok": 5}, f"honest searches: {dict(honest.statuses())}")
            attack.expect(swarm.answered == 2, f"{swarm.answered} of 2 long lists were answered")
            # Nothing of such a list is worth compiling: reading it is all the work there is.
            attack.expect(used <= 1.5, f"the servers worked for {used:.1f} s on two lists that match nothing")


@scene(item=5, seconds=5, alone=True)
def alternations(run):
    """Fifty clients of one source search with long alternations, each for seconds: an honest search from elsewhere is
    answered before most of theirs."""
    with run.stand() as stand:
        stand.put([[[f"long{number}"], ["a" * 1_500]] for number in range(6_000)])
        words = "|".join(f"x{number}y" for number in range(run.amount(800, 3_000)))
        request = Requests("GET", ["long.*", f".*a.*a.*(?:{words})"])
        with stand.attack() as attack, stand.swarm() as swarm, stand.swarm(source="127.0.0.1") as honest:
            swarm.connect(50)
            for number, client in enumerate(swarm.clients):
                swarm.send(request.frames(400 + number, 3, low_water=1), [client])
            swarm.run(0.5)
            honest.connect(1)
            wanted = 5
            for number in range(1, wanted + 1):
                honest.send(Requests("GET", [f"long.*{number}", "a+"]).frame(5, number))
            for _ in range(run.amount(60, 250)):
                honest.run(0.05)
                swarm.run(0.05)
                if honest.answered == wanted:
                    break
            run.count(honest=honest.answered, others=swarm.answered)
            attack.expect(honest.answered == wanted, f"{honest.answered} of {wanted} honest searches were answered, and "
                                                     f"{swarm.answered} of 150 long ones")
            attack.expect(swarm.answered < 100, f"the honest search was answered after {swarm.answered} of 150 others")
