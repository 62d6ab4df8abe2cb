"""Tasks done one after another here, in processes of this machine, or on a Ray cluster: the same results.

A runner hands each finished task to `finished` at once, in this process and thread, which writes it:
workers write nothing, so they may be on machines that do not see the results folder.

Processes are spawned, never forked: a forward in the child of a process that has run torch may hang.
Each computes with one thread, here too, since a sum over threads may round otherwise.
"""

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for_handles
from pathlib import Path
from typing import Any

from study.ablation.tasks import Task, do_task
from utils.errors import UserFacingError
from utils.runtime.jobs import Progress

Finished = Callable[[Task, Any], None]

# How often progress is reported while nothing is finished, in seconds.
_TICK = 0.5
# What a task counts for before it is done is a share of this.
PARTS = 1000


@dataclass(frozen=True)
class RunnerOptions:
    """Where tasks run.

    Attributes:
        jobs: processes of this machine; 1 is this process itself.
        ray: None, or the address of a Ray cluster, "auto" for the one that this machine belongs to; where
            there is none it is started here for the time.
        cpus: CPUs that Ray gives a task.
        gpus: GPUs that Ray gives a task; a part of one lets several tasks share it.
    """

    jobs: int = 1
    ray: str | None = None
    cpus: float = 1
    gpus: float = 0


def run_tasks(
    tasks: Sequence[Task], options: RunnerOptions, finished: Finished, progress: Progress, what: str
) -> None:
    """Do all tasks; what is finished when something goes wrong has been handed over.

    Args:
        tasks: what to do; tasks of one model should stand together.
        options: where.
        finished: called in this thread with each task and what came of it.
        progress: called with how far all tasks are together, in parts of their costs.
        what: describes the work in progress messages.

    Raises:
        UserFacingError: a task failed, a worker was killed, or there is no Ray.
    """
    if not tasks:
        return
    if options.ray is not None:
        _run_on_ray(tasks, options, finished, progress, what)
    elif options.jobs == 1 or len(tasks) == 1:
        _run_here(tasks, finished, progress, what)
    else:
        _run_in_processes(tasks, min(options.jobs, len(tasks)), finished, progress, what)


def _tell(progress: Progress, what: str, tasks: Sequence[Task], shares: Sequence[int]) -> None:
    """Tell how far all tasks are, each weighed by its cost: the time left is then that of the work left.

    Args:
        progress: called once.
        what: describes the work.
        tasks: all of them.
        shares: how much of each is done, of `PARTS`.
    """
    weights = [max(1, round(task.cost)) for task in tasks]
    done = sum(share * weight for share, weight in zip(shares, weights, strict=True))
    progress(what, done, PARTS * sum(weights))


def _run_here(tasks: Sequence[Task], finished: Finished, progress: Progress, what: str) -> None:
    shares = [0] * len(tasks)
    with _one_thread():
        for position, task in enumerate(tasks):

            def tell(_: str, done: int, total: int, position: int = position) -> None:
                shares[position] = min(PARTS - 1, PARTS * done // max(total, 1))
                _tell(progress, what, tasks, shares)

            finished(task, do_task(task, tell))
            shares[position] = PARTS
            _tell(progress, what, tasks, shares)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run_in_processes(
    tasks: Sequence[Task], jobs: int, finished: Finished, progress: Progress, what: str
) -> None:
    spawning = multiprocessing.get_context("spawn")
    message: Any = spawning.Queue()
    pool = ProcessPoolExecutor(jobs, spawning, _begin_worker, (message,))
    shares = [0] * len(tasks)
    futures: dict[Future[Any], int] = {}
    try:
        for position, task in enumerate(tasks):
            futures[pool.submit(_in_worker, position, task)] = position
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, _TICK, FIRST_COMPLETED)
            with contextlib.suppress(queue.Empty):
                while True:
                    position, share = message.get_nowait()
                    shares[position] = max(shares[position], share)
            for future in done:
                finished(tasks[futures[future]], future.result())
                shares[futures[future]] = PARTS
            _tell(progress, what, tasks, shares)
    except BrokenProcessPool as error:
        raise UserFacingError(
            "A worker process was killed, perhaps because the memory is full.",
            "What is done is kept: call the same command again, with a smaller --jobs.",
        ) from error
    finally:
        # Nobody waits for what is under way: a half-done task is worth nothing.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        message.close()


_progress_queue: Any = None


def _begin_worker(queue: Any) -> None:
    """Set a worker process up: one thread, no Ctrl+C of its own, and an end when its parent ends."""
    import torch

    global _progress_queue
    _progress_queue = queue
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's business
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: Any) -> None:
    """End this process when the parent is gone: killed, it could not say so."""
    wait_for_handles([sentinel])
    os._exit(1)


def _in_worker(position: int, task: Task) -> Any:
    def tell(what: str, done: int, total: int) -> None:
        _progress_queue.put((position, min(PARTS - 1, PARTS * done // max(total, 1))))

    return do_task(task, tell)


def _run_on_ray(
    tasks: Sequence[Task], options: RunnerOptions, finished: Finished, progress: Progress, what: str
) -> None:
    with _ray(options) as ray:
        remote = ray.remote(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=2)(_on_ray)
        from utils.models.sources import BUNDLED

        positions = {remote.remote(task, str(BUNDLED)): position for position, task in enumerate(tasks)}
        waiting = list(positions)
        try:
            while waiting:
                done, waiting = ray.wait(waiting, timeout=_TICK)
                for reference in done:
                    finished(tasks[positions[reference]], _fetched(ray, reference))
                left = {positions[reference] for reference in waiting}
                shares = [0 if position in left else PARTS for position in range(len(tasks))]
                _tell(progress, what, tasks, shares)
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)


def _on_ray(task: Task, models: str) -> Any:
    import torch

    torch.set_num_threads(1)
    return do_task(with_model(task, Path(models)), lambda what, done, total: None)


def with_model(task: Task, models: Path) -> Task:
    """The task with its model in `models`, the folder of the machine that sent it, where it is not here.

    Ray sends what git knows, and so a bundled model, but not one that was unpacked.
    """
    from utils.models.sources import BUNDLED, looks_like_model

    folder = models / task.model.where
    if looks_like_model(BUNDLED / task.model.where) or not looks_like_model(folder):
        return task
    return replace(task, model=replace(task.model, where=str(folder)))


def _fetched(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except UserFacingError as error:  # Ray raises what the task raised, as a kind of it
        cause = getattr(error, "cause", None)
        raise cause if isinstance(cause, UserFacingError) else error from None
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, UserFacingError):
            raise cause from None
        said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise UserFacingError(
            f"A task failed on the Ray cluster ({said[0][:300]}).",
            "What is done is kept: mend the cluster and call the same command again.",
        ) from error


@contextlib.contextmanager
def _ray(options: RunnerOptions) -> Iterator[Any]:
    """Ray, connected; it is left again at the end.

    Raises:
        UserFacingError: it is not installed, or there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]  (optional)
    except ImportError:
        raise UserFacingError(
            "Ray is not installed.",
            "Install it with: pip install -r requirements-ray.txt, or leave --ray out.",
        ) from None
    from utils.models.sources import BUNDLED

    root = BUNDLED.parent
    # The code and the bundled models go to every node; results and the like stay here.
    kept_here = [".git", ".venv", "runs", "study/results/", "tests", "docs"]
    address = None if options.ray == "auto" else options.ray
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=None if address else False,
            runtime_env={"working_dir": str(root), "excludes": kept_here},
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise UserFacingError(
            f"There is no Ray cluster at {options.ray}.",
            "Give the address of its head (host:port), or --ray auto.",
        ) from error
    try:
        _check_resources(ray, options)
        yield ray
    finally:
        ray.shutdown()


def _check_resources(ray: Any, options: RunnerOptions) -> None:
    """Refuse what no node has: Ray would wait for it for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node.get("Alive")]
    for name, wanted in (("CPU", options.cpus), ("GPU", options.gpus)):
        most = max((node.get(name, 0) for node in nodes), default=0)
        if wanted > most:
            raise UserFacingError(
                f"A task is to have {wanted:g} {name}s, and no node of the Ray cluster has over {most:g}.",
                f"Ask for fewer with --{name.lower()}s-per-task.",
            )


def default_jobs(devices: Sequence[str]) -> int:
    """As many processes as cores; one where a model runs on a GPU, which they would share."""
    if any(device != "cpu" for device in devices):
        return 1
    with contextlib.suppress(AttributeError):  # not on every system
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
