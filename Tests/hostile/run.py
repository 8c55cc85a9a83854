#!/usr/bin/env python3
"""Plays scenes of abuse against real processes: many and rude clients on every port, clocks that jump, neighbours that
lie. One scene or more for each fault; a bystander's answers are checked in each.

usage: run.py [--seconds 120] [--scene NAME]... [--hour] [--list]

In two minutes every scene is played once, scaled down, and again as long as time is left; which comes first changes from
run to run. Quiet scenes are played a few at a time. Nothing is judged by time then. --hour plays them at full size for an
hour on an idle machine, and judges pauses and turns too. Exit code: 0 all held, 77 nothing could be played, else 1.
"""

import argparse
import concurrent.futures
import json
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
LIMIT_FACTOR, LEAST_LIMIT_SECONDS, FULL_FACTOR = 4, 75, 8
# Quiet scenes that are played at the same time.
AT_ONCE = 3
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


class Stage:
    """Plays scenes in processes of their own, and knows which are being played."""

    def __init__(self, full):
        self.full = full
        self.states = {}
        self.processes = set()

    def play(self, scene):
        """Plays one scene to its end, and shows what came of it."""
        begin = time.monotonic()
        limit = max(LEAST_LIMIT_SECONDS, scene.seconds * LIMIT_FACTOR) * (FULL_FACTOR if self.full else 1)
        command = [sys.executable, str(HERE / "run.py"), "--play", scene.name, *(["--full"] if self.full else [])]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.processes.add(process)
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            # Asked to end, a scene ends its processes first.
            self.end(process)
            output, errors = "", f"no end within {limit:.0f} s"
        self.processes.discard(process)
        try:
            said = json.loads(output.splitlines()[-1])
        except (IndexError, ValueError):
            said = {"note": f"exit code {process.returncode}: {errors[-400:]}", "counts": {}}
        state = {0: "ok", SKIPPED_CODE: "SKIPPED"}.get(process.returncode, "FAILED")
        if state == "FAILED":
            print(errors, file=sys.stderr, flush=True)
        show(scene, state, said["note"], said["counts"], time.monotonic() - begin)
        self.states.setdefault(scene.name, []).append(state)

    def together(self, scenes):
        """Plays scenes, some at a time."""
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for played in [pool.submit(self.play, scene) for scene in scenes]:
                    played.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.end_all()
                raise

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def end_all(self):
        for process in list(self.processes):
            process.send_signal(signal.SIGTERM)


def show(scene, state, note, counts, seconds):
    figures = " ".join(f"{name}={value}" for name, value in counts.items())
    print(f"  {state:<7} {seconds:6.1f} s  {scene.item:>2} {scene.name}: {figures}", flush=True)
    for line in note.splitlines():
        print(f"             - {line[:600]}", flush=True)


def rotated(scenes):
    """The same scenes, beginning anywhere."""
    first = random.SystemRandom().randrange(len(scenes)) if scenes else 0
    return scenes[first:] + scenes[:first]


def play_all(stage, scenes, seconds):
    """Every scene once, those together that leave the machine in peace, then again those for which there is time."""
    deadline = time.monotonic() + seconds
    quiet = [] if stage.full else [scene for scene in scenes if not scene.alone]
    # The long ones first, so that the last of them does not run on by itself.
    stage.together(sorted(rotated(quiet), key=lambda scene: -scene.seconds))
    loud = rotated([scene for scene in scenes if scene not in quiet])
    for scene in loud:
        stage.play(scene)
    again = rotated(scenes)
    while fitting := [scene for scene in again if scene.seconds <= deadline - time.monotonic()]:
        stage.play(fitting[0])
        again.remove(fitting[0])
        again.append(fitting[0])


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
    chosen = [scene for scene in SCENES.values() if not options.scene or scene.name in options.scene]
    stage = Stage(options.hour or options.full)
    begin = time.monotonic()
    try:
        # Those that somebody names are played once.
        once = options.full or options.scene
        play_all(stage, chosen, HOUR_SECONDS if options.hour else 0 if once else options.seconds)
    except BaseException:
        stage.end_all()
        raise
    states = stage.states
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
