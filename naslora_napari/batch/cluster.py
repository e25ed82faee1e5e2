"""A folder shared out over processes: of this computer, or of a Dask cluster. Dask hands out the images one by one."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_trainer.errors import UserError

from ..jobs.remote import CONNECT_S, check_address
from .results import Wanted
from .sending import Content, Parcel, do_sent, packed, unpacked
from .work import Model, Outcome, Task, do

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger("naslora_napari")

#: So many images for each thread of the workers are handed out at once, so that none waits.
HANDED_OUT = 2
#: Where a worker keeps the model that it has loaded.
_KEPT = "naslora_batch_model"


@contextmanager
def connected(workers: int, address: str) -> Iterator[Client]:
    """Yield a connection to a cluster: the one at ``address``, or one of ``workers`` processes on this computer.

    Raises
    ------
    UserError
        It cannot be reached, has no workers, or Dask is not installed.
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
        yield client


def all_see(client: Client, folders: tuple[Path, ...], out: Path) -> bool:
    """Return whether all workers see the very same folders, and ``out``, under the same names.

    A folder of the same name may be another one there, so its names are compared; ``out`` gets one that is new.
    """
    mark = out / f".{secrets.token_hex(8)}"
    try:
        mark.touch()
        here = {str(folder): names_in(str(folder)) for folder in (*folders, out)}
        return all(names and set(client.run(names_in, folder).values()) == {names} for folder, names in here.items())
    finally:
        mark.unlink(missing_ok=True)


def names_in(folder: str) -> str:
    """Return 64 hex digits for the names in a folder; nothing where it cannot be read."""
    try:
        return hashlib.sha256("\n".join(sorted(os.listdir(folder))).encode("utf-8", "surrogateescape")).hexdigest()
    except OSError:
        return ""


def on_cluster(
    tasks: Iterator[Task], model: Model, wanted: Wanted, client: Client, sending: bool = False
) -> Generator[Outcome]:
    """Yield what comes of each image, in the order in which they are done.

    Workers that do not see the folders (``sending``) are sent the images, and their results come home.

    An image whose worker was killed is done again by another; one that has killed several is reported as broken.

    Raises
    ------
    UserError
        Results cannot be written, or the model cannot be loaded.
    """
    from distributed import as_completed

    # The model is what a task returns: scattered data would be lost with a worker that is killed.
    sent = _submitted(client, _itself, model)
    threads = sum(client.nthreads().values())
    running: dict[Any, Task | Parcel] = {}

    def hand_out() -> Any:
        task = next(tasks, None)
        if task is None:
            return None
        work = packed(task) if sending else task
        future = _submitted(client, _do, work, sent, wanted)
        running[future] = work
        return future

    first = [future for _ in range(HANDED_OUT * threads) if (future := hand_out()) is not None]
    completed = as_completed(first, loop=client.loop)
    try:
        for future in completed:
            outcome = _outcome(future, running.pop(future), wanted)
            if (another := hand_out()) is not None:
                completed.add(another)
            yield outcome
    finally:
        client.cancel(list(running))


def _submitted(client: Client, function: Callable[..., Any], *values: Any) -> Any:
    """Return the future of a task. It may be large, with a model or an image that another worker needs again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return client.submit(function, *values, pure=False)


def _itself(model: Model) -> Model:
    return model


def _outcome(future: Any, work: Task | Parcel, wanted: Wanted) -> Outcome:
    from distributed import KilledWorker

    task = work.task if isinstance(work, Parcel) else work
    try:
        outcome, contents = future.result()
        return unpacked(work, outcome, contents, wanted) if isinstance(work, Parcel) else outcome
    except KilledWorker as error:
        log.info("%s: %s", task.path, error)
        return Outcome({"name": task.name, "error": f"{task.name}: several workers ended while they segmented it."})


def _do(work: Task | Parcel, model: Model, wanted: Wanted) -> tuple[Outcome, list[Content]]:
    """Do one image on a worker, which keeps the model; return what came of it, and its files if they have to travel."""
    from distributed import get_worker

    worker = get_worker()
    kept = getattr(worker, _KEPT, None)
    if kept is None or not kept.same_as(model):
        kept = model.load()
        setattr(worker, _KEPT, kept)
    if isinstance(work, Parcel):
        return do_sent(work, kept, wanted, worker.local_directory)
    return do(work, kept, wanted), []


def _installed() -> str:
    """Raise a :class:`UserError` where Dask's cluster part is missing."""
    check_address("tcp://localhost:1")
    return ""
