"""The C compiler for what tests need in C: the system's, or the one beside the Swift compiler."""

import shutil
import subprocess
from pathlib import Path

from daemon import SuiteError


def compile_c(source, output, *flags):
    """Compiles one file into a program or, with the right flags, a library."""
    compiler = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if compiler is None:
        swift = shutil.which("swift")
        beside = Path(swift).resolve().parent / "clang" if swift else None
        if beside is None or not beside.exists():
            raise SuiteError("there is no C compiler: install gcc or clang")
        compiler = str(beside)
    done = subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(output), str(source), *flags],
                          capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise SuiteError(f"{source} does not compile:\n{done.stderr}")
