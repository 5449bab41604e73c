"""Saves a generator file while something goes wrong, in a process of its own: ``save_driver.py WHAT FOLDER N``.

Prints what it found as JSON. What goes wrong is real: signals, limits of the system, other writers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from clover_tvae.artifact import read_artifact, write_artifact
from clover_tvae.errors import ArtifactError

STEPS = {"open", "write", "flush", "fsync", "close", "replace", "unlink", "stat", "fstat", "read", "__exit__"}


def content(fill: int) -> dict[str, Any]:
    parts = {"writer": {}, "metadata": {}, "transforms": {}, "training": {"fill": fill}, "privacy": None}
    return {**parts, "model": {}, "weights": bytes([fill]) * 50_000}


def temporary_files(folder: Path) -> list[str]:
    return sorted(set(os.listdir(folder)) - {"generator.pkl"})


def fill_of(path: Path) -> int:
    """Which writer's file it is; whole, or this raises."""
    found = read_artifact(path)
    assert found["weights"] == content(found["training"]["fill"])["weights"]
    return found["training"]["fill"]


def save_with(profile: Callable[[FrameType, str, Any], None], path: Path) -> None:
    """Save file 2, with ``profile`` called at each event between the start and the end of the writing."""

    def inside(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal started
        if event == "call" and frame.f_code.co_name == "atomic_write":
            started = True
        if started:
            profile(frame, event, argument)

    started = False
    sys.setprofile(inside)
    try:
        write_artifact(path, content(2))
    finally:
        sys.setprofile(None)


def points(path: Path, n_runs: int) -> list[int]:
    """Which events to stop at: each step that touches the disk, before and after, and some in between."""
    events: list[bool] = []
    write_artifact(path, content(2))  # what happens once in a process, happens here
    save_with(lambda _, event, argument: events.append(getattr(argument, "__name__", "") in STEPS), path)
    steps = [index for index, is_step in enumerate(events) if is_step]
    if n_runs < len(steps):
        return [steps[i * (len(steps) - 1) // (n_runs - 1)] for i in range(n_runs)]
    between = [i * len(events) // (n_runs - len(steps) + 1) for i in range(n_runs - len(steps))]
    return sorted(steps + between)


def stop_at(point: int, stop: Callable[[], None]) -> Callable[[FrameType, str, Any], None]:
    n_events = 0

    def profile(*_: Any) -> None:
        nonlocal n_events
        if n_events == point:
            n_events += 1
            stop()
        n_events += 1

    return profile


def killed(path: Path, n_runs: int) -> dict[str, Any]:
    stops = points(path, n_runs)
    counts, broken = {1: 0, 2: 0}, []
    for point in stops:
        write_artifact(path, content(1))
        child = os.fork()
        if child == 0:
            save_with(stop_at(point, lambda: os.kill(os.getpid(), signal.SIGKILL)), path)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        try:
            assert os.WIFSIGNALED(status), "the child was not killed"
            counts[fill_of(path)] += 1
        except (ArtifactError, AssertionError) as error:
            broken.append(f"{point}: {error}")
        for name in temporary_files(path.parent):
            (path.parent / name).unlink()
    return {"old": counts[1], "new": counts[2], "runs": len(stops), "broken": broken}


def interrupted(path: Path, n_runs: int) -> dict[str, Any]:
    def interrupt() -> None:
        raise KeyboardInterrupt

    counts, broken, left = {1: 0, 2: 0}, [], []
    for point in points(path, n_runs):
        write_artifact(path, content(1))
        try:
            save_with(stop_at(point, interrupt), path)
            broken.append(f"{point}: not interrupted")
        except KeyboardInterrupt:
            counts[fill_of(path)] += 1
        left += [f"{point}: {name}" for name in temporary_files(path.parent)]
        for name in temporary_files(path.parent):
            (path.parent / name).unlink()
    return {"old": counts[1], "new": counts[2], "broken": broken, "left": left}


def failed(path: Path, prepare: Callable[[], None]) -> dict[str, Any]:
    """Save in a child after ``prepare``, and tell how that failed and what is left."""
    write_artifact(path, content(1))
    before = path.read_bytes()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        told: dict[str, Any] = {"error": None}
        try:
            os.chdir(path.parent)
            prepare()
            write_artifact(path.name, content(2))
        except BaseException as error:
            told = {"error": type(error).__name__, "message": str(error)}
        os.write(write_end, json.dumps(told).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = json.loads(os.read(read_end, 10_000))
    return {**told, "files": sorted(os.listdir(path.parent)), "same": path.read_bytes() == before}


def full(path: Path, n_runs: int) -> dict[str, Any]:
    import resource

    return failed(path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))


def readonly(path: Path, n_runs: int) -> dict[str, Any]:
    from children import keep_capabilities

    def prepare() -> None:
        path.parent.chmod(0o555)
        if os.geteuid() == 0:  # to whom no folder is closed
            keep_capabilities()

    try:
        return failed(path, prepare)
    finally:
        path.parent.chmod(0o755)


def two(path: Path, n_runs: int) -> dict[str, Any]:
    write_artifact(path, content(1))
    children = set()
    for fill in (1, 2):
        child = os.fork()
        if child == 0:
            for _ in range(n_runs):
                write_artifact(path, content(fill))
            os._exit(0)
        children.add(child)
    broken: list[str] = []
    reads = 0
    while children:
        for child in list(children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                children.remove(child)
                if status != 0:
                    broken.append(f"a writer ended with {status}")
        try:
            fill_of(path)
            reads += 1
        except ArtifactError as error:
            broken.append(str(error))
    return {"broken": broken, "reads": reads, "files": sorted(os.listdir(path.parent))}


if __name__ == "__main__":
    task = {"kill": killed, "interrupt": interrupted, "full": full, "readonly": readonly, "two": two}[sys.argv[1]]
    print(json.dumps(task(Path(sys.argv[2]) / "generator.pkl", int(sys.argv[3]))))
