"""Wall clocks that are wrong, that step, and that run too fast; and an hour that passes between a question and its answer."""

import re
import subprocess
import time

from checks import expect_equal
from clock_faults import Clocks
from scene import scene

DONE, NOT_DONE, UNKNOWN = 0, 6, 7


def with_clocks(stand):
    """Gives every daemon of a stand that is not started yet a clock of its own."""
    clocks = Clocks(stand.suite.directory)
    for name, daemon in stand.suite.daemons.items():
        daemon.arguments[:0] = clocks.prefix(name)
    return clocks


def cli(stand, *arguments):
    return stand.suite.cli("--timeout", "8s", *arguments)


def expect_not_denied(attack, stand, name, what):
    """An operation that was carried out is never said not to have been; sent again, it takes no effect a second time."""
    done = cli(stand, "op", name)
    attack.expect(done.returncode != NOT_DONE,
                  f"{what}: `op` says of what was carried out: {(done.stderr or done.stdout).strip()[:160]}")


def delete_and_ask(attack, stand, disturb, what):
    """An update under a name, then clocks are disturbed: asked for it and sent again, it is remembered or not known."""
    expect_equal(cli(stand, "put", "w", "first").returncode, 0, "exit code of put")
    name = what.replace(" ", "-")
    expect_equal(cli(stand, "delete", "w", "--op-id", name).returncode, 0, "exit code of delete")
    disturb()
    expect_equal(cli(stand, "put", "w", "later").returncode, 0, "exit code of put afterwards")
    expect_not_denied(attack, stand, name, what)
    again = cli(stand, "delete", "w", "--op-id", name)
    left = cli(stand, "get", "w").stdout
    attack.expect("later" in left, f"{what}: sent again (exit code {again.returncode}), it removed a later value")
    cli(stand, "delete", "w")


@scene(item=12, seconds=4)
def skewed_clock(run):
    """The other server's clock is an hour ahead, or six minutes, and it takes over: what was carried out just before is
    not denied, and does not take effect again."""
    for title, offset in (("an hour ahead", {"hours": 1}), ("six minutes ahead", {"minutes": 6})):
        with run.stand(start=False) as stand:
            clocks = with_clocks(stand)
            clocks.set("b", **offset)
            stand.suite.start_all()
            with stand.attack(kills=True) as attack:

                def lose_a():
                    stand.suite.kill("a")
                    stand.suite.wait_status(lambda status: status.get("active") == "b", "b is active")

                delete_and_ask(attack, stand, lose_a, title)
                stand.suite.start("a")
                stand.suite.wait_redundant()


@scene(item=12, seconds=3)
def stepping_clocks(run):
    """All clocks step by minutes, hours and ten years, and back: nothing is forgotten for it, nothing denied, and no server
    is taken for lost."""
    steps = [("six minutes on", {"minutes": 6}), ("an hour on", {"hours": 1}), ("ten years on", {"days": 3653}),
             ("back again", {"seconds": 0}), ("an hour back", {"hours": -1})]
    with run.stand(start=False) as stand:
        clocks = with_clocks(stand)
        stand.suite.start_all()
        with stand.attack() as attack:
            for title, offset in steps * run.amount(1, 4):

                def step():
                    for name in stand.suite.daemons:
                        clocks.set(name, **offset)
                    # The step is noticed by an entry of the log.
                    cli(stand, "put", f"noticed,{time.monotonic_ns()}", "x")

                delete_and_ask(attack, stand, step, f"{title} {time.monotonic_ns()}")
        expect_redundant(run, stand)


def expect_redundant(run, stand):
    run.expect(stand.suite.status().get("redundant") is True, "one of the servers is out afterwards")


@scene(item=13, seconds=2)
def own_advice(run):
    """A command ends as unknown and says how to ask; a quarter of an hour later, with those words, what was carried out is
    not denied."""
    with run.stand(servers=1, start=False) as stand:
        suite = stand.suite
        clocks = with_clocks(stand)
        suite.start("proxy")
        suite.start("a")
        suite.wait_ready()
        command = [*clocks.prefix("client"), *suite.cli_arguments()]
        with stand.attack(kills=True, bystander=False) as attack:
            suite.freeze("a")
            done = subprocess.run([*command, "--timeout", "400ms", "put", "asked", "later"], capture_output=True, text=True,
                                  timeout=20, env=suite.environment, check=False)
            suite.thaw("a")
            attack.expect(done.returncode == UNKNOWN, f"exit code {done.returncode}, not {UNKNOWN}: {done.stderr}")
            suite.wait_ready()
            with stand.client() as client:
                carried_out = client.get("asked").pairs
            attack.expect(len(carried_out) == 1, "the update was not carried out, so there is nothing to ask for")
            advice = re.search(r"twinspace (?:[^\n]* )?op ([0-9a-f.]+)", done.stderr)
            attack.expect(advice, f"the message names no command: {done.stderr}")
            for name in ("client", *suite.daemons):
                clocks.set(name, minutes=16)
            # Enough updates of others that idle sessions are looked at, and forgotten if they are.
            for number in range(run.amount(8, 50)):
                stand.put([[["others", str(number)], ["x"]]])
                time.sleep(0.05)
            # Whoever leaves the age out has said nothing of it; whoever says it, says what is true.
            for words in (("op", advice[1]), ("op", advice[1], "--age", "17m")) if advice else ():
                asked = subprocess.run([*command, *words], capture_output=True, text=True, timeout=20,
                                       env=suite.environment, check=False)
                attack.expect(asked.returncode in (DONE, UNKNOWN),
                              f"`{' '.join(words)}` says of what was carried out (exit code {asked.returncode}): "
                              f"{(asked.stderr or asked.stdout).strip()[:200]}")
