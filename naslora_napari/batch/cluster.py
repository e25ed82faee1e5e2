"""A folder shared out over processes: of this computer, or of a Dask cluster. Dask hands out the images one by one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_trainer.errors import UserError

from ..jobs.remote import CONNECT_S, check_address
from .results import Wanted
from .work import Model, Outcome, Task, do

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger("naslora_napari")

#: So many images for each thread of the workers are handed out at once, so that none waits.
HANDED_OUT = 2
#: Where a worker keeps the model that it has loaded.
_KEPT = "naslora_batch_model"


@contextmanager
def connected(workers: int, address: str, folders: tuple[Path, ...]) -> Iterator[Client]:
    """Yield a connection to a cluster: the one at ``address``, or one of ``workers`` processes on this computer.

    Raises
    ------
    UserError
        It cannot be reached, has no workers, one of them does not see the folders, or Dask is not installed.
    """
    address = check_address(address) if address else _installed()
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        if not address:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="naslora-", ignore_cleanup_errors=True))
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
                local_directory=scratch, silence_logs=logging.ERROR,
            )  # fmt: skip
            address = stack.enter_context(cluster).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_S, set_as_default=False, name="naslora"))
        except OSError as error:
            raise UserError(f"The cluster at {address} cannot be reached.", "Is its scheduler running?") from error
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise UserError(f"The cluster at {address} has no workers.", "Start some with: dask worker ADDRESS")
        for folder in folders:
            if not all(client.run(_sees, str(folder)).values()):
                raise UserError(
                    f"A worker of {address} does not see {folder}.",
                    "Images and results must lie where all workers see them under the same name.",
                )
        yield client


def on_cluster(tasks: Iterator[Task], model: Model, wanted: Wanted, client: Client) -> Generator[Outcome]:
    """Yield what comes of each image, in the order in which they are done.

    An image whose worker was killed is done again by another; one that has killed several is reported as broken.

    Raises
    ------
    UserError
        Results cannot be written, or the model cannot be loaded.
    """
    from distributed import as_completed

    # A task goes back to nobody: its result is used once, here.
    sent = client.scatter(model, broadcast=True, hash=False)
    threads = sum(client.nthreads().values())
    running: dict[Any, Task] = {}

    def hand_out() -> Any:
        task = next(tasks, None)
        if task is None:
            return None
        future = client.submit(_do, task, sent, wanted, pure=False)
        running[future] = task
        return future

    first = [future for _ in range(HANDED_OUT * threads) if (future := hand_out()) is not None]
    completed = as_completed(first, loop=client.loop)
    try:
        for future in completed:
            task = running.pop(future)
            outcome = _outcome(future, task)
            if (another := hand_out()) is not None:
                completed.add(another)
            yield outcome
    finally:
        client.cancel(list(running))


def _outcome(future: Any, task: Task) -> Outcome:
    from distributed import KilledWorker

    try:
        result: Outcome = future.result()
        return result
    except KilledWorker as error:
        log.info("%s: %s", task.path, error)
        return Outcome({"name": task.name, "error": f"{task.name}: several workers ended while they segmented it."})


def _do(task: Task, model: Model, wanted: Wanted) -> Outcome:
    """Do one image on a worker, which keeps the model."""
    from distributed import get_worker

    worker = get_worker()
    kept = getattr(worker, _KEPT, None)
    if kept is None or not kept.same_as(model):
        kept = model.load()
        setattr(worker, _KEPT, kept)
    return do(task, kept, wanted)


def _sees(folder: str) -> bool:
    return Path(folder).is_dir()


def _installed() -> str:
    """Raise a :class:`UserError` where Dask's cluster part is missing."""
    check_address("tcp://localhost:1")
    return ""
