"""A training on a worker of a Dask cluster: the run folder goes there, its events and its result come home."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_trainer.__main__ import ADAPTER, CHECKPOINT, EVENTS, STOP
from naslora_trainer.errors import UserError
from naslora_trainer.files import read_json, write_json

from ..store.runs import AWAY
from . import on_worker
from .commands import finetune_job
from .ending import SAFE, cancelled
from .following import Trains
from .stream import Event, Tail

if TYPE_CHECKING:
    from distributed import Client, Future
    from distributed.security import Security

log = logging.getLogger("naslora_napari")

ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^\s/]+")
#: Events are fetched so often, and a lost cluster is looked for again so often, in s.
FETCH_S, RETRY_S = 0.5, 3.0
CONNECT_S = 5
#: Dask's name for a resource that workers declare; where one has it, the training waits for one that is free.
GPU = "GPU"


def training_job(run: Path | str, address: str = "", threads: int | None = None) -> Trains:
    """Return the job of a run: on the cluster at ``address``, or where the run is now, or else on this computer.

    Raises
    ------
    UserError
        It is no address, or Dask is not installed.
    """
    run = Path(run).resolve()
    if not address and (run / AWAY).exists():
        address = str(_away(run).get("address", ""))
    return DaskJob(run, address) if address else finetune_job(run, threads)


def check_address(address: str) -> str:
    """Return an address without spaces around it.

    Raises
    ------
    UserError
        It is none, or Dask is not installed.
    """
    if not ADDRESS.fullmatch(address.strip()):
        raise UserError(f"'{address}' is no address of a Dask scheduler.", "It looks like tcp://computer:8786.")
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UserError("Dask's cluster part is not installed.", "Run: pip install 'naslora-napari[dask]'") from error
    return address.strip()


class DaskJob:
    """What :class:`naslora_napari.jobs.RunJob` is, for a training on a cluster.

    It belongs to the cluster, under the name of the run, and not to this program, which may come and go: the worker
    keeps the events, and what is missing here is fetched from the last byte on.

    Parameters
    ----------
    run : Path
        The run folder, absolute.
    address : str
        Of the scheduler: ``tcp://host:port`` or ``tls://host:port``.
    security : Security, optional
        Certificates; by default those of Dask's own configuration.

    Raises
    ------
    UserError
        It is no address, or Dask is not installed.
    """

    pid = None

    def __init__(self, run: Path, address: str, security: Security | None = None) -> None:
        self.run, self.address = run, check_address(address)
        self._security = security
        self._name = f"naslora-{run.name}"
        self._tail = Tail(run / EVENTS)
        self._said: deque[Event] = deque()
        self._leaving, self._cancelling = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._worker = ""
        self._lost = False

    def start(self) -> None:
        """Send the run to the cluster, or find it there; returns at once.

        Raises
        ------
        UserError
            The folder cannot be written.
        RuntimeError
            It was started before.
        """
        if self._thread is not None:
            raise RuntimeError("a job starts only once")
        if not (self.run / AWAY).exists():
            (self.run / EVENTS).unlink(missing_ok=True)
            (self.run / STOP).unlink(missing_ok=True)
        write_json(self.run / AWAY, {"attempt": "", **_away(self.run), "address": self.address})
        self._thread = threading.Thread(target=self._work, name="naslora-dask", daemon=True)
        self._thread.start()

    attach = start

    def poll(self) -> list[Event]:
        """Return the events since the last call, oldest first; the last one is a ``result`` or an ``error``."""
        running = self.running
        events = self._tail.read(all_of_it=not running)
        with suppress(IndexError):
            while True:
                events.append(self._said.popleft())
        return events

    @property
    def running(self) -> bool:
        """True from the start until the last event can be polled."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def cancelling(self) -> bool:
        """True once it was cancelled."""
        return self._cancelling.is_set()

    def cancel(self) -> None:
        """Ask the worker to stop the training; its checkpoint comes home. Returns at once."""
        if self.running:
            with suppress(OSError):
                (self.run / STOP).touch()  # if this program ends before the worker hears of it
            self._cancelling.set()

    kill = cancel

    def let_go(self) -> None:
        """Follow it no more; it goes on, and is found again."""
        self._leaving.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the last event can be polled, for at most ``timeout`` seconds, and return whether it can."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.running

    def _work(self) -> None:
        """Follow the training to its end, over as many connections as it takes."""
        from distributed import Client

        if (self.run / STOP).exists():
            self._cancelling.set()
        while not self._leaving.is_set():
            try:
                client = Client(
                    self.address, timeout=CONNECT_S, security=self._security, set_as_default=False, name="naslora"
                )
                with client:
                    self._tell_back()
                    return self._follow(client)
            except OSError as error:  # Dask's timeouts and broken connections are such
                log.info("%s: %s", self.address, error)
                if self._cancelling.is_set():
                    return self._end(cancelled())
                self._tell_lost()
                self._leaving.wait(RETRY_S)
            except UserError as error:
                return self._end({"event": "error", "message": error.message, "hint": error.hint})
            except Exception as error:
                log.exception("%s", self.address)
                message = f"The cluster at {self.address} could not train: {type(error).__name__}: {error}"
                hint = f"Its workers need the same naslora-napari as this computer. {SAFE}"
                return self._end({"event": "error", "message": message[:500].rstrip(".") + ".", "hint": hint})

    def _follow(self, client: Client) -> None:
        future = self._future(client)
        asked = False
        while not future.done():
            if client.status != "running":
                raise OSError("the connection is lost")
            if self._leaving.wait(FETCH_S):
                return
            self._fetch(client)
            if self._cancelling.is_set() and not asked:
                asked = any(client.run(on_worker.stop, self.run.name, on_error="ignore").values())
                if not asked and not any(self._name in tasks for tasks in client.processing().values()):
                    client.unpublish_dataset(self._name)
                    future.cancel()
                    return self._end(cancelled())
        if future.status in ("cancelled", "lost"):
            raise OSError("the cluster has lost the training")
        try:
            files = future.result()
        except OSError:
            raise
        except Exception:
            client.unpublish_dataset(self._name)  # so that it can be tried again
            raise
        on_worker.unpack(self.run, files, on_worker.HOME)
        if ADAPTER in files:
            (self.run / CHECKPOINT).unlink(missing_ok=True)
        (self.run / AWAY).unlink(missing_ok=True)
        client.unpublish_dataset(self._name)
        client.run(on_worker.forget, self.run.name, on_error="ignore")

    def _future(self, client: Client) -> Future:
        """Find the training on the cluster, or send it there."""
        if self._name in client.list_datasets():
            return client.get_dataset(self._name)
        workers = client.scheduler_info()["workers"].values()
        if not workers:
            self._said.append({"event": "warning", "message": f"{self.address} has no worker yet; it is waited for."})
        gpus = any(worker.get("resources", {}).get(GPU) for worker in workers)
        future = client.submit(
            on_worker.train,
            self.run.name,
            on_worker.pack(self.run, on_worker.THERE),
            key=self._name,
            pure=False,
            resources={GPU: 1} if gpus else None,
        )
        client.publish_dataset(future, name=self._name, override=True)
        return future

    def _fetch(self, client: Client) -> None:
        """Bring the events home that are not here yet."""
        known = _away(self.run)
        path = self.run / EVENTS
        offset = path.stat().st_size if path.exists() else 0
        attempt = str(known.get("attempt", ""))
        workers = [self._worker] if self._worker else None
        found: dict[str, Any] = client.run(
            on_worker.events_since, self.run.name, attempt, offset, workers=workers, on_error="ignore"
        )
        self._worker, news = next(((worker, news) for worker, news in found.items() if news), ("", None))
        if news is None:
            return
        with open(path, "ab" if news[0] == attempt else "wb") as file:
            file.write(news[1])
        if news[0] != attempt:  # begun, or begun again on another worker
            write_json(self.run / AWAY, known | {"attempt": news[0]})

    def _end(self, event: Event) -> None:
        """Be done, without a word of the training."""
        with suppress(OSError):
            (self.run / AWAY).unlink(missing_ok=True)
        self._said.append(event)

    def _tell_lost(self) -> None:
        if not self._lost:
            message = f"{self.address} cannot be reached; it is tried again. The training there goes on meanwhile."
            self._said.append({"event": "warning", "message": message})
        self._lost = True

    def _tell_back(self) -> None:
        if self._lost:
            self._said.append({"event": "warning", "message": f"{self.address} is reached again."})
        self._lost = False


def _away(run: Path) -> dict[str, Any]:
    """Return what is noted of a run that is on a cluster."""
    with suppress(UserError):
        found = read_json(run / AWAY)
        return found if isinstance(found, dict) else {}
    return {}
