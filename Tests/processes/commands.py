#!/usr/bin/env python3
"""The command line as people and scripts meet it: exit codes, odd text, selections, exports, imports, words while one
waits."""
# time limit: 240 s

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from checks import expect, expect_equal, run_checks
from daemon import describe_end, free_port, program, wait_until
from suite import Suite

TEXT = ("--elements", "text")
ODD_KEYS = ("ada@example.org", "192.0.2.1", "2026-11-28", "user_name", "(x", "a b", "😀", "line\nfeed", "a*",
            "tab\there")


def raw(suite, *arguments, stdin=b"", environment=None):
    """Arguments as bytes, as a shell may pass them."""
    words = [os.fsencode(word) for word in suite.cli_arguments()] + list(arguments)
    return subprocess.run(words, input=stdin, capture_output=True, env=environment or suite.environment, timeout=30,
                          check=False)


def check_exit_codes():
    """malformed expressions 3, local files 12, usage 2; batch and send too"""
    with Suite(servers=1) as suite:
        suite.cli("put", "a", "b", expect=0)
        for command in ("get", "delete"):
            answer = suite.answer(command, "(", expect=3)
            expect_equal((answer["status"], answer["pairs"]), ("ok", []), f"{command} '('")
            expect("position 0" in answer["warning"], f"the warning: {answer}")
        suite.cli("send", "GET", '"no list"', expect=3)
        suite.cli("batch", stdin='{"op": "GET", "payload": ["(", ".*"]}\n', expect=3)
        for arguments in (("batch", "/nonexistent"), ("import", "/nonexistent.jsonl"), ("export", "/nonexistent/f"),
                          ("export", "/")):
            done = suite.cli(*arguments, expect=12)
            expect(arguments[1] in done.stderr, f"{arguments}: {done.stderr}")
        full = subprocess.run([*suite.cli_arguments("get", ".*"), ], stdout=open("/dev/full", "wb"),
                              stderr=subprocess.PIPE, env=suite.environment, timeout=30, check=False)
        expect_equal(full.returncode, 12, f"standard output that is full: {full.stderr}")


def check_odd_text():
    """any value is found by its key; --literal finds and removes one key exactly; no line feed hides a pair"""
    with Suite(servers=1, server_flags=TEXT) as suite:
        expect_equal(suite.answer("send", "SPACE")["pairs"], [[["elements"], ["text"]]], "what the space is like")
        for number, key in enumerate(ODD_KEYS):
            suite.cli("put", json.dumps([key]), json.dumps([f"v{number}", "two\nlines"]), expect=0)
        expect_equal(suite.answer("get", "--count", "(?s).*")["count"], len(ODD_KEYS), "pairs")
        plain = suite.answer("get", ".*")["pairs"]
        expect_equal(len(plain), len(ODD_KEYS) - 1, "pairs whose key is one line: a dot is Python's")
        for key in ODD_KEYS:
            found = suite.answer("get", "-F", key)["pairs"]
            expect_equal([pair[0] for pair in found], [[key]], f"get -F {key!r}")
        for place, key in enumerate(ODD_KEYS):
            dry = suite.answer("delete", "--dry-run", "--literal", key)
            expect_equal((dry["dryRun"], [pair[0] for pair in dry["pairs"]]), (True, [[key]]), f"dry run of {key!r}")
            suite.answer("delete", "--literal", key)
            left = suite.answer("get", "--keys-only", "(?s).*")["keys"]
            expect_equal(sorted(left), sorted([key] for key in ODD_KEYS[place + 1:]), f"keys after {key!r}")


def check_arguments_that_are_not_utf8():
    """arguments, variables and lines of the shell that are not UTF-8 are refused, and nothing is made of them"""
    with Suite(servers=1, server_flags=TEXT) as suite:
        for words in ((b"put", b"k\xe9", b"v"), (b"put", b"k", b"\xff"), (b"get", b"k\xe9"), (b"delete", b"k\xe8"),
                      (b"op", b"op\xe9"), (b"put", b"k", b"v", b"--op-id", b"op\xe9")):
            done = raw(suite, *words)
            expect(done.returncode == 2 and b"is not UTF-8" in done.stderr and b"\\x" in done.stderr,
                   f"{words}: {done.returncode} {done.stderr}")
        done = raw(suite, b"get", b"k", environment={**suite.environment, "TWINSPACE_OUTPUT": "j\udce9"})
        expect(done.returncode == 2 and b"TWINSPACE_OUTPUT" in done.stderr, f"a variable: {done}")
        done = raw(suite, b"shell", stdin=b"put k\xe9y v\nput key v\n")
        expect(b"not UTF-8" in done.stderr, f"a line of the shell: {done.stderr}")
        expect_equal(suite.answer("get", "(?s).*")["pairs"], [[["key"], ["v"]]], "pairs")
        daemon = subprocess.run([program("twinspace-server"), "--name", "x", "--data", b"d\xe9"], capture_output=True,
                                timeout=30, check=False)
        expect(daemon.returncode == 2 and b"is not UTF-8" in daemon.stderr, f"a daemon's argument: {daemon}")
        for locale in ("C", "C.UTF-8"):
            done = raw(suite, b"shell", stdin="put kéy v\n".encode(),
                       environment={**suite.environment, "LC_ALL": locale})
            expect(done.returncode in (0, 1), f"{locale}: {done}")
            expect_equal(suite.answer("get", "kéy")["pairs"], [[["kéy"], ["v"]]], f"in the locale {locale}")


def check_why_something_is_malformed():
    """`details` says which element, which character, which rule; on standard error too; in batch, in import"""
    with Suite(servers=1) as suite:
        answer = suite.answer("put", "user_name", "bob", "a", "b", expect=1)
        expect_equal(answer["reasons"], ["malformed"], "reasons")
        for word in ("element 1 of the key", "'user_name'", "'_' (U+005F)", "character 5", "--elements alphanumeric",
                     "--elements text"):
            expect(word in answer["details"][0], f"no {word}: {answer}")
        done = suite.cli("put", "a.b", "c", expect=1)
        expect(done.stdout == "malformed\ta.b\tc\n" and "U+002E" in done.stderr, f"plain: {done}")
        done = suite.cli("batch", stdin='{"op": "PUT", "payload": [7, [["a"],["c"]]]}\n' * 3, expect=1)
        for line in done.stdout.splitlines():
            details = json.loads(line)["details"]
            expect("the item is the number 7" in details[0] and details[1] is None, f"batch: {line}")
        path = suite.directory / "rows.csv"
        path.write_text("id,mail\n1,a@b\n", encoding="utf-8")
        done = suite.cli("import", str(path), expect=1)
        expect(f"{path}:2: malformed: 1: element 1 of the value, 'a@b'" in done.stderr, f"import: {done.stderr}")
        expect("elements text" in suite.cli("put", "--help", expect=0).stdout, "put --help says nothing of elements")


def check_selections():
    """--limit, --count, --keys-only; set adds and replaces; delete --paged removes pair by pair"""
    with Suite(servers=1) as suite:
        suite.cli("put", *[word for number in range(30) for word in (f"k,{number:02}", f"v{number}")], expect=0)
        expect_equal(suite.answer("get", ".*", "--limit", "2")["pairs"],
                     [[["k", "00"], ["v0"]], [["k", "01"], ["v1"]]], "--limit 2")
        expect_equal(suite.cli("get", ".*", "--count", expect=0).stdout, "30\n", "--count")
        expect_equal(suite.cli("get", "k,0.", "--keys-only", "--limit", "2", expect=0).stdout, "k,00\nk,01\n", "keys")
        suite.cli("set", "k,00", "new", "x", "y", "x", "z", expect=0)
        expect_equal(suite.answer("get", "k,00|x")["pairs"], [[["k", "00"], ["new"]], [["x"], ["z"]]], "what was set")
        answer = suite.answer("set", "a_b", "v", "c", "d", expect=1)
        expect_equal((answer["reasons"], len(answer["details"])), (["malformed"], 1), "set gives back")
        removed = suite.answer("delete", "--paged", "k,[01].")["pairs"]
        expect_equal([pair[0] for pair in removed], [["k", f"{number:02}"] for number in range(20)], "removed in parts")
        expect_equal(suite.cli("get", ".*", "--count").stdout, "12\n", "pairs after delete --paged")
        for word, hint in (("rm", "delete"), ("list", "get"), ("gett", "get")):
            done = suite.cli(word, expect=2)
            expect(f"did you mean {hint}" in done.stderr, f"{word}: {done.stderr}")
        done = suite.cli("put", "k", "v", "--op-id", "ABCDEF0123456789", expect=2)
        expect("abcdef0123456789" in done.stderr, f"an id in upper case: {done.stderr}")


def check_exports():
    """permissions and links stay; devices and pipes are written to; a link at the temporary name is not followed"""
    with Suite(servers=1) as suite:
        suite.cli("put", "k", "v", expect=0)
        line = '[["k"],["v"]]\n'
        secret, link, pipe = (suite.directory / name for name in ("secret", "link", "pipe"))
        secret.write_text("old", encoding="utf-8")
        secret.chmod(0o600)
        link.symlink_to(secret)
        suite.cli("export", str(link), expect=0)
        expect_equal(secret.read_text(encoding="utf-8"), line, "what the link names")
        expect(link.is_symlink() and stat.S_IMODE(secret.stat().st_mode) == 0o600, "the link or the permissions")
        # A terminal of its own: were it replaced, nobody else would miss it.
        terminal, other_end = os.openpty()
        device = os.ttyname(other_end)
        suite.cli("export", device, expect=0)
        expect_equal(os.read(terminal, 100), line.replace("\n", "\r\n").encode(), "on the terminal")
        expect(Path(device).is_char_device(), "the terminal is a file now")
        os.close(terminal)
        os.close(other_end)
        done = suite.cli("export", "/dev/stdout", expect=0)
        expect_equal(done.stdout, line + "exported 1 to /dev/stdout\n", "standard output by its name")
        os.mkfifo(pipe)
        with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
            suite.cli("export", str(pipe), expect=0)
            expect_equal(reader.communicate(timeout=10)[0], line, "through the pipe")
        expect(pipe.is_fifo(), "the pipe is a file now")
    victim_folder = None
    with Suite(servers=1, start=False) as suite:
        victim_folder = suite.directory
        victim, target = victim_folder / "victim", victim_folder / "out.jsonl"
        victim.write_text("precious", encoding="utf-8")
        (victim_folder / "out.jsonl.tmp").symlink_to(victim)
        suite.daemons["a"].arguments += ["--export-on-shutdown", str(target)]
        suite.start_all()
        suite.wait_ready()
        suite.cli("put", "k", "v", expect=0)
        suite.cli("shutdown", expect=0)
        suite.end_all()
        expect_equal(target.read_text(encoding="utf-8"), '[["k"],["v"]]\n', "exported on shutdown")
        expect_equal(victim.read_text(encoding="utf-8"), "precious", "what a link at FILE.tmp names")
    with Suite(servers=1, start=False) as suite:
        suite.start("proxy")
        suite.start("a", "--export-on-shutdown", "/nonexistent/folder/file")
        daemon = suite.daemons["a"]
        daemon.may_end = True
        code = daemon.wait()
        expect(code > 0 and "--export-on-shutdown" in suite.log_text("a"), f"no such folder: {describe_end(code)}")


def check_files_of_lines():
    """a byte order mark and blank lines are skipped by import, batch and --import"""
    text = '\ufeff[["a"],["1"]]\n\n  \n[["b"],["2"]]\n'
    with Suite(servers=1, start=False) as suite:
        path = suite.directory / "start.jsonl"
        path.write_text(text, encoding="utf-8")
        suite.start("proxy")
        suite.start("a", "--import", str(path))
        suite.wait_ready()
        expect_equal(suite.answer("get", ".*", "--count")["count"], 2, "pairs of --import")
        suite.cli("delete", ".*", expect=0)
        report = suite.answer("import", str(path))
        expect_equal((report["imported"], report["malformed"]), (2, 0), "import")
        lines = '\ufeff{"op": "GET", "payload": ["a", ".*"]}\n\n \t\n{"op": "GET", "payload": ["b", ".*"]}\n'
        done = suite.cli("batch", stdin=lines, expect=0)
        expect_equal([len(json.loads(line)["pairs"]) for line in done.stdout.splitlines()], [1, 1], "batch")


def check_tables_that_are_not_what_they_seem():
    """ragged rows, another delimiter, a column named twice, other encodings: refused with line and reason"""
    with Suite(servers=1, server_flags=TEXT) as suite:
        path = suite.directory / "table.csv"

        def load(content, *flags, expected):
            path.write_bytes(content)
            done = suite.cli("import", str(path), *flags, expect=expected)
            return done.stdout + done.stderr

        text = load(b"id,a,b\n1,x,y\n2,x\n3,x,y,z\n", expected=1)
        for word in (":3: malformed: the row has 2", ":4: malformed: the row has 4", "imported 1"):
            expect(word in text, f"ragged rows: no {word!r}: {text}")
        text = load(b"id,a,b\n2,x\n", "--short-rows", "fill", expected=0)
        expect_equal(suite.answer("get", "2")["pairs"], [[["2"], ["x"]]], "a short row")
        text = load(b"id;price\n5;3,50\n", expected=3)
        expect("line 1" in text and "--delimiter ';'" in text, f"another delimiter: {text}")
        load(b"id;price\n5;3,50\n", "--delimiter", ";", expected=0)
        expect_equal(suite.answer("get", "5")["pairs"], [[["5"], ["3,50"]]], "with its delimiter")
        text = load(b"id,x,x\n6,a,b\n", expected=3)
        expect("line 1: column 'x' is there twice" in text, f"a column twice: {text}")
        text = load(b"id,x\n7,Caf\xe9s\n", "--split-words", expected=1)
        expect(":2: malformed: column 2 ('x') is not UTF-8" in text, f"Latin-1: {text}")
        text = load(b"Id,Name\n8,a\n", "--key-columns", "nmae", expected=2)
        expect("did you mean 'Name'" in text, f"a column's name: {text}")
        expect_equal(sorted(pair[0][0] for pair in suite.answer("get", "(?s).*")["pairs"]), ["1", "2", "5"], "keys")


def check_an_interrupted_import_says_how_to_go_on():
    """after Ctrl-C the rows that are in are told by a line, and from there it goes on"""
    with Suite(servers=1) as suite:
        path = suite.directory / "many.jsonl"
        path.write_text("".join(f'[["k{number}"],["v"]]\n' for number in range(100_000)), encoding="utf-8")
        process = subprocess.Popen(suite.cli_arguments("import", str(path), "--batch-pairs", "1"), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=suite.environment)
        wait_until(lambda: suite.answer("get", "k[0-9]", "--count")["count"] == 10, 20, "some rows are in")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        expect_equal(process.returncode, 130, f"exit code: {errors}")
        found = re.search(r"add --from-line (\d+)", errors)
        expect(found, f"nothing says how to go on: {errors}")
        count = suite.answer("get", ".*", "--count")["count"]
        expect_equal(count, int(found[1]) - 1, "rows before that line")
        report = suite.answer("import", str(path), "--from-line", found[1], seconds=120)
        expect_equal((report["imported"], report["exists"]), (100_000 - count, 0), "what was left")


def check_nobody_waits_in_silence():
    """after a second standard error says what is waited for: no proxy, no active server, a silent proxy"""
    with Suite(servers=1, start=False) as suite:
        for command in (("get", "k"), ("batch",), ("export",)):
            done = suite.cli("--timeout", "3s", *command, stdin='{"op": "GET", "payload": ["a", ".*"]}\n', expect=6)
            expect(done.stderr.startswith("twinspace: waiting: ") and suite.address("clients") in done.stderr,
                   f"{command} without a proxy: {done.stderr}")
        suite.start("proxy")
        wait_until(lambda: suite.cli("--timeout", "1s", "status").returncode == 0, 10, "the proxy is there")
        done = suite.cli("--timeout", "2s", "get", "k", expect=6)
        expect("waiting: the proxy has the request" in done.stderr, f"without a server: {done.stderr}")
        suite.freeze("proxy")
        done = suite.cli("--timeout", "2s", "status")
        suite.thaw("proxy")
        expect("waiting: no reply of" in done.stderr, f"a proxy that is frozen: {done.stderr}")
        suite.start("a")
        suite.wait_ready()
        expect_equal(suite.cli("get", "k", expect=0).stderr, "", "words where all is well")


def check_operators_commands_say_what_became_of_them():
    """switchover and resync end when it is done, and say who is active now"""
    with Suite(servers=2) as suite:
        suite.wait_redundant()
        active = suite.active()
        other = next(name for name in suite.names if name != active)
        answer = suite.answer("switchover")
        expect_equal((answer["result"]["from"], answer["result"]["to"]), (active, other), "switchover")
        expect_equal(suite.status()["active"], other, "the active server when the command has ended")
        suite.wait_redundant()
        done = suite.cli("resync", active, expect=0)
        expect(f"{active} holds every acknowledged write" in done.stdout, f"resync: {done.stdout}")
        expect("server\tname" not in done.stdout, "what is no table")
        text = suite.cli("status", expect=0).stdout
        expect("# server\tname\trole\tstate\tindex\tlag\taddress\n" in text, f"status without headings: {text}")


def check_the_interrupt_key_clears_the_line():
    """Ctrl-C at the shell's prompt begins a new line and does not end the shell"""
    with Suite(servers=1) as suite:
        pid, terminal = pty.fork()
        if pid == 0:
            environment = {**suite.environment, "HOME": str(suite.directory), "TERM": "xterm", "LC_ALL": "C"}
            os.execve(program("twinspace"), suite.cli_arguments("shell"), environment)
        seen = bytearray()

        def read_until(text, seconds=10):
            deadline = time.monotonic() + seconds
            while text not in seen:
                expect(time.monotonic() < deadline, f"no {text!r} within {seconds} s: {bytes(seen)!r}")
                if select.select([terminal], [], [], 0.1)[0]:
                    seen.extend(os.read(terminal, 65_536))
            del seen[:seen.index(text) + len(text)]

        read_until(b"twinspace> ")
        os.write(terminal, b"delete everyth")
        read_until(b"delete everyth")
        os.write(terminal, b"\x03")
        read_until(b"twinspace> ")
        os.write(terminal, "put kéy v\r".encode())
        read_until(b"1 pair added")
        os.write(terminal, b"exit\r")
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        expect_equal(os.waitstatus_to_exitcode(status), 0, "exit code of the shell")
        expect_equal(suite.answer("get", ".*")["pairs"], [[["kéy"], ["v"]]], "what was typed after it")


def check_a_servers_variable_for_the_proxy():
    """TWINSPACE_SERVER_PROXY is the servers' address, and goes before TWINSPACE_PROXY, which is the clients'"""
    with Suite(servers=1, start=False) as suite:
        daemon = suite.daemons["a"]
        place = daemon.arguments.index("--proxy")
        address = daemon.arguments[place + 1]
        del daemon.arguments[place:place + 2]
        suite.environment = {**suite.environment, "TWINSPACE_SERVER_PROXY": address,
                             "TWINSPACE_PROXY": f"127.0.0.1:{free_port()}"}
        suite.start_all()
        suite.wait_ready()


if __name__ == "__main__":
    sys.exit(run_checks(globals()))
