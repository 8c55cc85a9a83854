#!/usr/bin/env python3
"""What earlier releases left on disk (Tests/releases) is read by these programs, and the service goes on with it."""

import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from suite import Suite
from twinspace_protocol import Client

RELEASES = Path(__file__).resolve().parents[1] / "releases"


def lay(release, name, target):
    """Puts a recorded data directory back, with the zeros that were left out at the files' ends."""
    expected = json.loads((release / "expected.json").read_text(encoding="utf-8"))
    shutil.copytree(release / name, target)
    for path, length in expected["lengths"].items():
        if path.startswith(f"{name}/"):
            os.truncate(target / path[len(name) + 1:], length)
    for path in target.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    target.chmod(0o700)
    return expected


def expect_outcomes(client, expected):
    """The outcome of an operation that is known is the one that the release gave. After an upgrade it may be forgotten,
    but is never said not to have been carried out."""
    kept = 0
    for name, outcome in expected["outcomes"].items():
        answer = client.send("OUTCOME", [name, 60_000])
        if answer.status == "unknown":
            continue
        expect_equal([answer.status, answer.given_back, answer.reasons],
                     [outcome["status"], outcome["pairs"], outcome["reasons"]], f"outcome of {name}")
        kept += 1
    return kept


def check_data_directories():
    """Proxy and both servers start on what release 0.1 wrote: every pair is there, outcomes too, and all goes on."""
    for release in sorted(path.parent for path in RELEASES.glob("*/expected.json")):
        with Suite(["a", "b"], server_flags=("--elements", "text"), start=False) as suite:
            for name in ("a", "b"):
                expected = lay(release, name, suite.directory / f"server-{name}")
            lay(release, "proxy", suite.directory / "proxy")
            for name in ("proxy", "a", "b"):
                suite.start(name)
            suite.wait_redundant()
            expect(suite.status()["epoch"] >= expected["epoch"], "the epoch goes on from the recorded one")
            with Client("127.0.0.1", suite.ports["clients"]) as client:
                expect_equal(client.get(".*", "(?s).*").pairs, expected["pairs"], f"pairs of {release.name}")
                kept = expect_outcomes(client, expected)
                expect_equal(kept, len(expected["outcomes"]), "outcomes that are known")
                key = ["written", f"after{release.name.replace('.', '')}"]
                expect_equal(client.put([[key, ["v"]]]).status, "ok", "an update after the upgrade")
                suite.kill(suite.active())
                suite.wait_status(lambda status: status["active"], "another server is active")
                wanted = sorted([*expected["pairs"], [key, ["v"]]])
                expect_equal(sorted(client.get(".*", "(?s).*").pairs), wanted, "pairs after a takeover")
        print(f"    release {release.name}: {len(expected['pairs'])} pairs, {kept} outcomes")


def check_one_server_alone():
    """Each server's directory is a whole copy: without the proxy's and the other's, it serves what it held."""
    release = RELEASES / "0.1"
    for name in ("a", "b"):
        with Suite([name], server_flags=("--elements", "text"), start=False) as suite:
            expected = lay(release, name, suite.directory / f"server-{name}")
            suite.start("proxy")
            suite.start(name)
            suite.wait_alert("switch-record-lost")
            suite.cli("switchover", "--accept-data-loss", name, expect=0)
            suite.wait_ready()
            with Client("127.0.0.1", suite.ports["clients"]) as client:
                expect_equal(client.get(".*", "(?s).*").pairs, expected["pairs"], f"pairs of {name}")


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
