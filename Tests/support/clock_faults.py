"""Wall clocks of single processes that are wrong, jump or run too fast: a library that is preloaded, and a file each.

    clocks = Clocks(directory)
    program = [*clocks.prefix("b"), "twinspace-server", ...]
    clocks.set("b", hours=1)
"""

import struct
from pathlib import Path

from compiler import compile_c

HERE = Path(__file__).resolve().parent
OFFSET = struct.Struct("=q")
SECOND = 1_000_000_000


class Clocks:
    """One offset for each name; zero until it is set."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.library = self.directory / "clock_faults.so"
        compile_c(HERE / "clock_faults.c", self.library, "-shared", "-fPIC", "-ldl")

    def prefix(self, name):
        """What to put before a command line, so that the program has this clock."""
        if not self._file(name).exists():
            self._file(name).write_bytes(OFFSET.pack(0))
        return ["env", f"LD_PRELOAD={self.library}", f"CLOCK_OFFSET={self._file(name)}"]

    def set(self, name, seconds=0.0, minutes=0.0, hours=0.0, days=0.0):
        """How far the clock is ahead of the machine's from now on; negative: behind it."""
        offset = seconds + 60 * (minutes + 60 * (hours + 24 * days))
        with open(self._file(name), "r+b") as file:
            file.write(OFFSET.pack(int(offset * SECOND)))

    def _file(self, name):
        return self.directory / f"clock-{name}"


def two_addresses(directory):
    """What to put before a command line, so that its program finds two addresses for `twice.test`, the first one dead."""
    library = Path(directory) / "name_faults.so"
    compile_c(HERE / "name_faults.c", library, "-shared", "-fPIC", "-ldl")
    return ["env", f"LD_PRELOAD={library}"]
