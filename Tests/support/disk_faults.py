"""Disks of real servers whose syncs fail or hang: a library that is preloaded, and the file that it looks into."""

import os
from pathlib import Path

from compiler import compile_c

SOURCE = Path(__file__).resolve().with_name("disk_faults.c")


class DiskFaults:
    """For a suite that is not started yet.

        with Suite(servers=2, start=False) as suite:
            faults = DiskFaults(suite)
            suite.start_all()
            faults.hang("a")
    """

    def __init__(self, suite):
        self.suite = suite
        library = suite.directory / "disk_faults.so"
        compile_c(SOURCE, library, "-shared", "-fPIC", "-ldl")
        self.order = suite.directory / "disk-faults"
        suite.environment.update({"LD_PRELOAD": str(library), "DISK_FAULTS": str(self.order)})

    def fail(self, name):
        """From now on every sync of that server's data fails."""
        self._say(f"fail {self._directory(name)}")

    def hang(self, name):
        """From now on no sync of that server's data ends, before `mend`."""
        self._say(f"hang {self._directory(name)}")

    def mend(self):
        self.order.unlink()

    def _directory(self, name):
        return (self.suite.directory / f"server-{name}").resolve()

    def _say(self, words):
        # As a whole: the library may look at any moment.
        draft = self.order.with_suffix(".new")
        draft.write_text(words, encoding="utf-8")
        os.replace(draft, self.order)
