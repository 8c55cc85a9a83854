"""A small network of namespaces: this process and the proxy in one, each server in one of its own, all on one bridge.

    network = Network(["a", "b"])          # raises Unavailable where the machine does not allow it
    network.cut("a", "proxy")              # what a sends to the proxy vanishes; the other way goes on
    network.heal()

What is cut vanishes without a word: connections stay open, as they do when a cable is pulled. Everything goes away with
the process; nothing is changed outside the namespaces.
"""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from daemon import SuiteError

CLONE_NEWNET = 0x40000000
COMMAND_SECONDS = 20.0
PREFIX = "10.77.0."
PROXY = "proxy"
FILL_ATTEMPTS = 100

_LIBC = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """This machine, or this user, has no network namespaces, or lacks a program for them."""


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Unavailable(f"{' '.join(command)}: {said[0] if said else done.returncode}")
    return done.stdout


def _die_with_parent():
    _LIBC.prctl(1, signal.SIGKILL)


class Network:
    """Begins with this process moving into a namespace of its own, for good."""

    def __init__(self, names):
        missing = [tool for tool in ("ip", "iptables", "unshare", "nsenter") if not shutil.which(tool)]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}")
        self.addresses = {PROXY: PREFIX + "1"}
        self.holders = {}
        if _LIBC.unshare(CLONE_NEWNET) != 0:
            raise Unavailable(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", "bridge", "type", "bridge")
            _run("ip", "address", "add", self.addresses[PROXY] + "/24", "dev", "bridge")
            _run("ip", "link", "set", "bridge", "up")
            for number, name in enumerate(names, 2):
                self._add(name, PREFIX + str(number))
            for place in self.addresses:
                self._in(place, "iptables", "-w", "-N", "CUTS")
                self._in(place, "iptables", "-w", "-A", "INPUT", "-j", "CUTS")
        except BaseException:
            self.close()
            raise

    def _add(self, name, address):
        holder = subprocess.Popen(
            ["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        self.holders[name] = holder
        self.addresses[name] = address
        own = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + COMMAND_SECONDS
        while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
            if time.monotonic() > deadline or holder.poll() is not None:
                raise Unavailable("unshare made no namespace")
            time.sleep(0.01)
        _run("ip", "link", "add", f"port-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "set", f"port-{name}", "master", "bridge", "up")
        self._in(name, "ip", "link", "set", "lo", "up")
        self._in(name, "ip", "address", "add", address + "/24", "dev", "eth0")
        self._in(name, "ip", "link", "set", "eth0", "up")

    def command(self, name):
        """What to put before a command line so that it runs where the server is."""
        return [] if name == PROXY else ["nsenter", f"--net=/proc/{self.holders[name].pid}/ns/net", "--"]

    def _in(self, place, *command):
        return _run(*self.command(place), *command)

    def cut(self, source, target):
        """From now on nothing that `source` sends reaches `target`."""
        self._in(target, "iptables", "-w", "-A", "CUTS", "-s", self.addresses[source], "-j", "DROP")

    def unplug(self, name):
        """The server's cable is pulled: nothing goes in or out."""
        _run("ip", "link", "set", f"port-{name}", "down")

    def heal(self):
        for name in self.holders:
            _run("ip", "link", "set", f"port-{name}", "up")
        for place in self.addresses:
            self._in(place, "iptables", "-w", "-F", "CUTS")

    def close(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()
        self.holders = {}


class SmallDisk:
    """A small file system of its own in place of a server's data directory."""

    def __init__(self, path, megabytes):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))

    def fill(self):
        """Takes all room that is left, also where others take and give some meanwhile."""
        with open(self.path / "filler", "ab") as filler:
            for _ in range(FILL_ATTEMPTS):
                room = os.statvfs(self.path)
                if room.f_bavail == 0:
                    return
                try:
                    size = os.fstat(filler.fileno()).st_size
                    os.posix_fallocate(filler.fileno(), size, room.f_bavail * room.f_frsize)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        raise SuiteError(f"{self.path} was never full in {FILL_ATTEMPTS} attempts")

    def free(self):
        (self.path / "filler").unlink(missing_ok=True)

    def remove(self):
        _run("umount", "--lazy", str(self.path))
