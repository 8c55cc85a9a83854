#!/usr/bin/env python3
"""Plays scenes of abuse against real processes: many and rude clients on every port, clocks that jump, neighbours that
lie. One scene or more for each fault; a bystander's answers are checked in each.

usage: run.py [--seconds 120] [--scene NAME]... [--hour] [--list]

In two minutes every scene is played once, scaled down, and again as long as time is left; which comes first changes from
run to run. Nothing is judged by time then. --hour plays them at full size for an hour on an idle machine, and judges
pauses and turns too. Exit code: 0 all held, 77 nothing could be played, else 1.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
sys.path.insert(0, str(HERE))

from daemon import end_on_signals, require_programs
from scene import SCENES, Failed, Run, Skipped

KINDS = ("clients", "answers", "doors", "searches", "clocks", "neighbours", "processes")
HOUR_SECONDS = 3600
# What a scene may take before it is ended, as a multiple of what it usually takes, and more than that at the least.
LIMIT_FACTOR, LEAST_LIMIT_SECONDS = 4, 75
SKIPPED_CODE = 77
WIDTH = 110


def play(name, full):
    """Plays one scene in this process; its exit code, and a line of JSON with counts and problems for the parent."""
    run = Run(full)
    code, note = 0, ""
    try:
        SCENES[name].play(run)
        run.end()
    except Skipped as reason:
        code, note = SKIPPED_CODE, str(reason)
    except Failed as problems:
        code, note = 1, str(problems)
    except Exception as error:  # whatever it is, the scene did not hold; what was counted before is told too
        traceback.print_exc()
        code, note = 1, "\n".join([*run.problems, f"{type(error).__name__}: {error}"])
    print(json.dumps({"note": note, "counts": run.counts}), flush=True)
    return code


def start(scene, full):
    """Plays one scene in a process of its own; (state, note, counts, seconds)."""
    begin = time.monotonic()
    limit = max(LEAST_LIMIT_SECONDS, scene.seconds * LIMIT_FACTOR) * (8 if full else 1)
    command = [sys.executable, str(HERE / "run.py"), "--play", scene.name, *(["--full"] if full else [])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return "FAILED", f"no end within {limit:.0f} s", {}, time.monotonic() - begin
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        raise
    try:
        said = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        said = {"note": f"exit code {process.returncode}: {errors[-400:]}", "counts": {}}
    state = {0: "ok", SKIPPED_CODE: "SKIPPED"}.get(process.returncode, "FAILED")
    if state == "FAILED":
        print(errors, file=sys.stderr, flush=True)
    return state, said["note"], said["counts"], time.monotonic() - begin


def show(scene, state, note, counts, seconds):
    figures = " ".join(f"{name}={value}" for name, value in counts.items())
    print(f"  {state:<7} {seconds:6.1f} s  {scene.item:>2} {scene.name}: {figures}", flush=True)
    for line in note.splitlines():
        print(f"             - {line[:600]}", flush=True)


def rounds(scenes, seconds):
    """Every scene once, beginning anywhere, then again those for which there is time."""
    first = random.SystemRandom().randrange(len(scenes))
    scenes = scenes[first:] + scenes[:first]
    deadline = time.monotonic() + seconds
    yield from scenes
    while True:
        fitting = [scene for scene in scenes if scene.seconds <= deadline - time.monotonic()]
        if not fitting:
            return
        yield fitting[0]
        scenes = scenes[1:] + scenes[:1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--scene", action="append", default=[], metavar="NAME")
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--full", action="store_true", help="each scene once, at full size")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for kind in KINDS:
        if (HERE / f"{kind}.py").exists():
            __import__(kind)
    if options.list:
        for scene in SCENES.values():
            print(f"{scene.item:>2} {scene.name:<20} {scene.note}")
        return 0
    require_programs()
    end_on_signals()
    if options.play:
        return play(options.play, options.full)
    unknown = set(options.scene) - set(SCENES)
    if unknown:
        parser.error(f"no such scene: {', '.join(sorted(unknown))}; --list names them")
    os.environ["PYTHONUNBUFFERED"] = "1"
    chosen = [scene for scene in SCENES.values() if not options.scene or scene.name in options.scene]
    seconds = HOUR_SECONDS if options.hour else 0 if options.scene else options.seconds
    states = {}
    begin = time.monotonic()
    for scene in rounds(chosen, seconds):
        state, *rest = start(scene, options.hour or options.full)
        show(scene, state, *rest)
        states.setdefault(scene.name, []).append(state)
    played = sum(map(len, states.values()))
    failed = [name for name, found in states.items() if "FAILED" in found]
    skipped = [name for name, found in states.items() if "SKIPPED" in found]
    print(f"\n{len(states)} scenes, played {played} times in {time.monotonic() - begin:.0f} s; "
          f"{len(failed)} failed {failed or ''}, {len(skipped)} skipped {skipped or ''}")
    if failed:
        return 1
    return SKIPPED_CODE if len(skipped) == len(states) else 0


if __name__ == "__main__":
    sys.exit(main())
