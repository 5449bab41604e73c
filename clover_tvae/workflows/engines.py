"""Where work is done: in processes of this machine, or as tasks of a Ray cluster.

An engine calls a function of a module, in a process of its own for each task, and hands on what it returns as it ends. It
knows neither jobs nor rows. Scheduling and trying again are Ray's; the processes here are joblib's.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from clover_tvae.errors import CloverError, ConfigError, TrainingError, WorkerLostError, package

ENGINES = ("local", "ray")
#: How soon a worker notices that the process that started it has been killed, and how long a cluster may take to answer.
_SECONDS_BETWEEN_LOOKS, _SECONDS_TO_ANSWER = 1.0, 5.0
#: Tasks that a cluster is told of at a time, where nobody says: more than it has room for, so that none of it idles.
_TASKS_AHEAD = 1_000
#: So often workers of one training begin anew; Ray tries a task again as often.
_MOST_LOSSES = 3


@dataclass(frozen=True)
class Resources:
    """What a task needs of a cluster; processes of one machine share what it has.

    Args:
        cpus: Cores, at least 0; also the threads that its computation may use.
        gpus: Devices, or a share of one.
        memory: Gigabytes (10^9 bytes) that are kept free for it; ``None``: nothing is.
    """

    cpus: float = 1
    gpus: float = 0
    memory: float | None = None

    def of_ray(self) -> dict[str, Any]:
        """Return them as Ray calls them."""
        memory = {} if self.memory is None else {"memory": int(self.memory * 10**9)}
        return {"num_cpus": self.cpus, **({"num_gpus": self.gpus} if self.gpus else {}), **memory}


@dataclass(frozen=True)
class Task:
    """One call of the function: its number, what it is called, its arguments, and what it needs."""

    index: int
    name: str
    arguments: tuple[Any, ...]
    resources: Resources = field(default_factory=Resources)


class Engine(Protocol):
    """What runs tasks."""

    @property
    def is_remote(self) -> bool:
        """Whether tasks may run on other machines."""

    @property
    def n_workers(self) -> int | None:
        """How many tasks run at a time; ``None``: as many as there is room for."""

    def each(self, function: Callable[..., Any], tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        """Yield the number of each task and what ``function`` returned for it, in the order in which they end.

        ``tasks`` is asked for the next one when there is room for it. A task whose process was killed gives a
        ``WorkerLostError``; what the function raises ends the run.
        """


@dataclass(frozen=True)
class Local:
    """Processes of this machine; with one worker, this process.

    Each of N workers may use a N-th of the cores, at least one, unless ``OMP_NUM_THREADS`` says otherwise. When one is killed,
    what ran is tried once more, one task at a time, and the rest goes on.
    """

    n_workers: int = 1
    is_remote = False

    def each(self, function: Callable[..., Any], tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        if self.n_workers == 1:
            for task in tasks:
                yield task.index, function(*task.arguments)
            return
        from concurrent.futures.process import BrokenProcessPool

        from joblib import Parallel, delayed

        left, waiting = dict[int, Task](), iter(tasks)

        def pooled(given: Iterable[Task]) -> Iterator[tuple[int, Any]]:
            """Run tasks until they are done or a process is killed, which ends all: what has not ended is ``left``."""

            def calls() -> Iterator[Any]:
                for task in given:
                    left[task.index] = task
                    yield delayed(_in_worker)(os.getpid(), function, task)

            # joblib shares the cores among the workers.
            how: dict[str, Any] = {"return_as": "generator_unordered", "pre_dispatch": self.n_workers, "batch_size": 1}
            pool = Parallel(self.n_workers, "loky", **how)
            with contextlib.suppress(BrokenProcessPool):
                for index, value in pool(calls()):
                    del left[index]
                    yield index, value

        yield from pooled(waiting)
        while left:
            # Nobody tells which of them was killed: each is tried once more, alone, when it has all the memory.
            for index, task in [*left.items()]:
                yield from pooled([task])
                if left.pop(index, None) is not None:
                    yield index, WorkerLostError("its process was killed, twice; often memory is short")
            yield from pooled(waiting)


def _in_worker(parent: int, function: Callable[..., Any], task: Task) -> tuple[int, Any]:
    _end_with(parent)
    try:
        return task.index, function(*task.arguments)
    except Exception as error:
        try:
            copy.deepcopy(error)  # built anew as pickle does there, where a failure would look like a killed process
        except Exception:
            raise CloverError(_bug_told(error, "--jobs")) from None
        raise


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after ``parent``: loky's workers outlive a parent that is killed."""

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@dataclass(frozen=True)
class Ray:
    """Tasks of a Ray cluster, each tried again by Ray when its process or its machine is lost.

    Args:
        address: ``host:port``, ``ray://host:port``, or ``auto`` for the one that runs on this machine; ``None``: what the
            environment variable RAY_ADDRESS says, else one of this machine's cores that is started here and ended again.
        n_workers: Tasks at a time; ``None``: as many as the cluster has room for.
        shows_output: Whether what workers print is shown here.
    """

    address: str | None = None
    n_workers: int | None = None
    shows_output: bool = True
    is_remote = True

    def each(self, function: Callable[..., Any], tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        ray = _ray()
        with self._connected(ray) as is_ours:
            call, waiting, running = ray.remote(_call), iter(tasks), dict[Any, int]()
            while True:
                while len(running) < (self.n_workers or _TASKS_AHEAD) and (task := next(waiting, None)) is not None:
                    if is_ours:
                        _check_room(ray.cluster_resources(), task)
                    options = {**task.resources.of_ray(), "name": task.name}
                    running[call.options(**options).remote(function, *task.arguments)] = task.index
                if not running:
                    return
                (ended, *_), _ = ray.wait([*running], num_returns=1)
                yield running.pop(ended), _returned(ray, ended)

    def together(self, function: Callable[..., Any], *arguments: Any, gpu: bool = False) -> Any:
        """Call a function in all workers at once, a process group of ``torch.distributed``; return what the first returns.

        Where a worker is lost, all begin anew, up to three times: the function goes on from what it has kept.

        Raises:
            WorkerLostError: Workers were lost more often than that. What the function raises is raised at once.
        """
        ray, n_workers = _ray(), self.n_workers or 1
        with self._connected(ray) as is_ours, tempfile.TemporaryDirectory() as folder:
            from ray import train
            from ray.train.torch import TorchTrainer

            if is_ours:
                _check_room(ray.cluster_resources(), Task(0, "--workers", (), Resources(n_workers, n_workers * gpu)))
            trainer: Any = TorchTrainer(
                functools.partial(_in_group, function, arguments, gpu),
                scaling_config=train.ScalingConfig(num_workers=n_workers, use_gpu=gpu),
                run_config=train.RunConfig(storage_path=folder),  # nothing is kept there
            )
            trainer._register_sigint_handler = lambda controller: None  # Ctrl-C is the command's, and not Ray's
            lost = Exception()
            for _ in range(1 + _MOST_LOSSES):
                try:
                    return trainer.fit().return_value
                except train.TrainingFailedError as error:
                    for failure in getattr(error, "worker_failures", {}).values():
                        if isinstance(failure, CloverError) and not isinstance(failure, WorkerLostError):
                            raise failure from None
                    lost = error
            raise WorkerLostError(f"workers were lost again and again: {_told(lost)}; look at their memory first")

    @contextlib.contextmanager
    def _connected(self, ray: Any) -> Iterator[bool]:
        """Connect to the cluster, or start one, which the yield tells; one that this program is connected to already is used."""
        if ray.is_initialized():
            yield False
            return
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        is_ours = address == "local"
        options: dict[str, Any] = {"log_to_driver": self.shows_output, "logging_level": "ERROR"}
        if is_ours:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what runs here is told to nobody
            options |= {"include_dashboard": False}
        elif address != "auto":
            _check_answers(address)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        ended: SystemExit | None = None
        try:
            ray.init(address=address, **options)
        except SystemExit as error:  # Ray's own handler, for a signal that comes while it connects
            ended = error
        except Exception as error:
            if address == "auto":
                text = "found no Ray cluster on this machine; start one with: ray start --head, or leave the option out"
            else:
                text = f"{'a' if is_ours else 'the'} Ray cluster could not be {'started' if is_ours else 'joined'}: {_told(error)}"
                cure = "; one that asks for a token needs RAY_AUTH_MODE=token and the token here, too"
                text += "" if is_ours else cure
            raise ConfigError(text, "--address") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():  # Ray puts its own in their place
                    signal.signal(number, handler)
        if ended is not None:
            ray.shutdown()
            signal.raise_signal(signal.SIGTERM)  # which ends the command as ever
            raise ended
        try:
            yield is_ours
        finally:
            ray.shutdown()


def _in_group(function: Callable[..., Any], arguments: tuple[Any, ...], gpu: bool) -> Any:
    """Call a function in one of the workers of a group."""
    if gpu:
        import torch
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    try:
        return function(*arguments)
    except CloverError:
        raise
    except Exception as error:  # its text may quote the table, and Ray would keep it
        raise TrainingError(_bug_told(error, "--engine ray")) from None


def _bug_told(error: Exception, option: str) -> str:
    """Return what is told of an error that cannot come from a worker; its own text may quote the table."""
    return f"{type(error).__name__} in a worker, an error of clover_tvae; without {option}, --debug shows where"


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function: Ray's tasks must be plain functions of a module, and this may be a partial."""
    return function(*arguments)


_ray = functools.partial(package, "ray", "--engine ray", extra="ray")


def _check_answers(address: str) -> None:
    """Refuse an address at which nobody answers: Ray itself would try for minutes.

    Raises:
        ConfigError: It is none, or nobody answers.
    """
    try:
        parts = urlsplit(address if "://" in address else f"ray://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise ConfigError("must be host:port, ray://host:port or auto", "--address")
    try:
        socket.create_connection((host, port), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        text = f"nobody answers at {host}:{port} ({error.strerror or 'no answer'}); ray status, on the head, says whether it runs"
        raise ConfigError(text, "--address") from None


def _check_room(there: dict[str, float], task: Task) -> None:
    """Refuse a task that this machine never has room for: it would wait for ever."""
    needs = task.resources
    for name, amount, size in (("CPU", needs.cpus, 1), ("GPU", needs.gpus, 1), ("memory", needs.memory or 0, 10**9)):
        if amount > (room := there.get(name, 0) / size):
            found = f"{amount:g} GB of memory of {room:.1f}" if name == "memory" else f"{amount:g} {name}s of {room:g}"
            raise ConfigError(f"resources must fit into this machine, found {found} wanted", task.name)


def _returned(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        return WorkerLostError(f"its process was lost, and Ray gave it up: {_told(error)}; often memory is short")


def _told(error: Exception) -> str:
    """Return what Ray says, in one line; it speaks of processes and machines, and never of a table."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__} ({lines[0][:200]})"


def make_engine(name: str, *, address: str | None, n_workers: int | None, shows_output: bool) -> Engine:
    """Return the engine of a name; ``n_workers`` is ``None`` where nobody has said.

    Raises:
        ConfigError: The name, or an address without Ray.
        MissingExtraError: Ray is not installed.
    """
    if name not in ENGINES:
        raise ConfigError(f"must be {' or '.join(ENGINES)}, found {name!r}", "--engine")
    if name == "ray":
        _ray()
        return Ray(address, n_workers, shows_output)
    if address is not None:
        raise ConfigError("belongs to --engine ray", "--address")
    return Local(n_workers or 1)
