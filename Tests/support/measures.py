"""What processes take: memory, descriptors, children, processor time; and how often they die of memory."""

import os
import threading
from pathlib import Path

MIB = 1_048_576
POLL_SECONDS = 0.004
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def memory(pid):
    """(resident now, most ever since the last `forget_peak`) in bytes; (0, 0) where the process is gone."""
    found = {}
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found[name] = int(rest.split()[0]) * 1024
    except OSError:
        pass
    return found.get("VmRSS", 0), found.get("VmHWM", 0)


def forget_peak(pid):
    """From now on the most ever is counted anew."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        pass


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def processor_seconds(pid):
    """User and system time of the process so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def busiest_other_thread(pid):
    """The processor time of the busiest thread that is not the process's first, in seconds."""
    most = 0.0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            if int(thread) != pid:
                most = max(most, processor_seconds(f"{pid}/task/{thread}"))
    except OSError:
        pass
    return most


def zombies_of(pid):
    """The children of a process that have ended and that it has not waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
            except OSError:
                continue
            if fields[0] == "Z" and int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


class Reaper:
    """Kills daemons of a suite, as a kernel does that is short of memory; `restart` is the supervisor beside it.

    `doomed(name, pid)` says whether a process has to die now. It is asked every few milliseconds, by a thread. Who calls
    `restart` again and again is the main thread: a daemon dies with the thread that has started it.
    """

    def __init__(self, suite, names, doomed):
        self.suite = suite
        self.names = names
        self.doomed = doomed
        self.kills = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(20)
        self.restart()

    def _watch(self):
        while not self._ended.wait(POLL_SECONDS):
            for name in self.names:
                daemon = self.suite.daemons[name]
                if daemon.running and self.doomed(name, daemon.process.pid):
                    self.kills.append(name)
                    self.suite.kill(name)

    def restart(self):
        """Starts whatever does not run."""
        for name in self.names:
            if not self.suite.daemons[name].running:
                self.suite.start(name)
