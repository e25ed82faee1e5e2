"""Does a person notice that the model is swapped?

A client clicks ten times a second on the live predictor while another thread swaps its weights: to an adapter that it
never saw, and back to the base, in turn. Each answer is compared with what the same model answers alone, bit by bit: it
has to be the one of the model whose version it carries, or it is torn. While a new model is built and encodes the
image, the old one answers; clicks only share the processor with it, and ``wait_ms_swapping`` shows how much that costs.
The gap of a swap is how long the predictor was not to be had: the longest time from a click to the model's first
operation on it (locks and encoding would fall into it), of all clicks from the beginning of the swap to the first one
after it. The adapters have random values, which cost what trained ones cost. Run::

    python benchmarks/swap.py --json > swap.json
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import PromptEncoder
from torch.nn.modules.module import register_module_forward_pre_hook

from machine import machine
from naslora_napari.live import LivePredictor
from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.images import list_images, read_image
from naslora_trainer.network import TrainableSam
from naslora_trainer.pictures import Picture, picture_of
from naslora_trainer.prompts import Prompts
from repeated import add_threads, parser_of, printed, use_threads

#: Seconds from a click to the next.
PACE = 0.1
#: Places that are clicked in turn, as shares of rows and columns.
PLACES = ((0.5, 0.5), (0.25, 0.4), (0.7, 0.3), (0.4, 0.8))
#: Seconds without a swap before the first one and after each, so that clicks are made without one.
REST = 0.6


@dataclass(frozen=True)
class Swap:
    """When a swap began and ended (``perf_counter``), and the seconds that the exchange of the models took."""

    began: float
    ended: float
    exchange: float


@dataclass
class Client:
    """A person who clicks, in a thread.

    Attributes
    ----------
    answered : list
        Place, version and mask of each answer.
    errors : list of str
        What was raised in place of an answer.
    waited : list of (float, float, float)
        When each click was made (``perf_counter``), seconds until the model began with it, and to its answer.
    """

    live: LivePredictor
    prompts: Sequence[Prompts]
    answered: list[tuple[int, str, np.ndarray]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    waited: list[tuple[float, float, float]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Click until told to stop; a click that comes late is made at once."""
        here, began = threading.get_ident(), 0.0

        def note(module: torch.nn.Module, _: Any) -> None:
            nonlocal began
            if isinstance(module, PromptEncoder) and threading.get_ident() == here:
                began = time.perf_counter()

        with register_module_forward_pre_hook(note):
            self._click(lambda: began)

    def _click(self, began: Callable[[], float]) -> None:
        due = time.perf_counter()
        click = 0
        while not self.stop.is_set():
            self.stop.wait(max(0.0, due - time.perf_counter()))
            due = max(due + PACE, time.perf_counter())
            place = click % len(self.prompts)
            asked = time.perf_counter()
            try:
                found = self.live.predict(self.prompts[place])
            except Exception as error:  # each counts
                self.errors.append(repr(error))
            else:
                self.answered.append((place, found.version, found.mask))
            ended = time.perf_counter()
            self.waited.append((asked, (began() if began() > asked else ended) - asked, ended - asked))
            click += 1


def main() -> int:
    """Measure and print; exit status 1 when an answer was an error or torn."""
    parser = parser_of(__doc__, "swaps", 20, "every second one goes back to the base")
    add_threads(parser)
    options = parser.parse_args()
    use_threads(options.threads)
    found = printed(lambda: measure(options.swaps), options.json)
    return int(found is None or found["errors"] + found["torn"] > 0)


def measure(swaps: int) -> dict[str, Any]:
    """Return what the module is about, measured on a sample image."""
    picture = picture_of(read_image(list_images(sample_folder("held_out") / "images")[0]))
    height, width = picture.shape
    prompts = [Prompts().with_click((row * height, col * width)) for row, col in PLACES]
    new_ones = random_adapters((swaps + 1) // 2)
    alone = _answers_alone(picture, prompts, [None, *new_ones])
    live = LivePredictor()
    live.set_image(picture)
    client = Client(live, prompts)
    thread = threading.Thread(target=client.run)
    thread.start()
    try:
        time.sleep(2 * REST)
        times = [_swap(live, None if k % 2 else new_ones[k // 2]) for k in range(swaps)]
    finally:
        client.stop.set()
        thread.join()
    torn = sum(not np.array_equal(mask, alone[version][place]) for place, version, mask in client.answered)
    described = machine()
    return {
        "benchmark": "swap",
        "date": described.pop("date"),
        "machine": described | {"threads": torch.get_num_threads()},
        "base": DEFAULT_MODEL,
        "swaps": swaps,
        "clicks": len(client.waited),
        "models_that_answered": len({version for _, version, _ in client.answered}),
        "errors": len(client.errors),
        "error_messages": sorted(set(client.errors)),
        "torn": torn,
    } | _waits(client.waited, times)


def random_adapters(count: int) -> list[Adapter]:
    """Return different adapters as fine-tunes with LoRA leave them, with random values."""
    config = FineTuneConfig.checked(method="lora", base=DEFAULT_MODEL, rank=4, blocks=8)
    network = TrainableSam(config, "cpu")
    generator = torch.Generator().manual_seed(0)
    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=network.fingerprint, method="lora", rank=4)
    found = []
    for _ in range(count):
        with torch.no_grad():
            for parameter in network.projection_parameters():
                parameter.normal_(std=0.03, generator=generator)
        found.append(Adapter({name: tensor.clone() for name, tensor in network.tensors().items()}, meta))
    return found


def _answers_alone(
    picture: Picture, prompts: Sequence[Prompts], adapters: Sequence[Adapter | None]
) -> dict[str, list[np.ndarray]]:
    """Return the masks of each model by its version, from a predictor that has nothing else to do.

    Raises
    ------
    RuntimeError
        Two models answer alike, so that their answers cannot be told apart.
    """
    found: dict[str, list[np.ndarray]] = {}
    for adapter in adapters:
        live = LivePredictor(adapter=adapter)
        live.set_image(picture)
        masks = [live.predict(one).mask for one in prompts]
        if any(all(map(np.array_equal, masks, others)) for others in found.values()):
            raise RuntimeError(f"{live.version} answers like another model")
        found[live.version] = masks
    return found


def _swap(live: LivePredictor, adapter: Adapter | None) -> Swap:
    """Swap, rest, and return when it was and how long the exchange itself took."""
    began = time.perf_counter()
    live.swap(adapter)
    found = Swap(began, time.perf_counter(), live.swap_seconds)
    time.sleep(REST)
    return found


def _waits(waited: Sequence[tuple[float, float, float]], swaps: Sequence[Swap]) -> dict[str, Any]:
    """Return what clicks waited with and without a swap, and the gaps, in ms."""
    asked, begun, took = np.array(waited).T * [[1], [1e3], [1e3]]
    touched = np.zeros(len(asked), bool)
    gaps = []
    for swap in swaps:
        first_after = int(np.searchsorted(asked, swap.ended))
        during = asked + took / 1e3 >= swap.began
        during[first_after + 1 :] = False
        gaps.append(max(begun[during].max(initial=0), 1e3 * swap.exchange))
        touched |= during
    lasted = [swap.ended - swap.began for swap in swaps]
    return {
        "gap_ms_p50": _percentile(gaps, 50),
        "gap_ms_p95": _percentile(gaps, 95),
        "gap_ms_max": _percentile(gaps, 100),
        "begun_ms_usual_p95": _percentile(begun[~touched], 95),
        "exchange_ms_max": round(1e3 * max(swap.exchange for swap in swaps), 4),
        "wait_ms_usual": {"p50": _percentile(took[~touched], 50), "p95": _percentile(took[~touched], 95)},
        "wait_ms_swapping": {"p50": _percentile(took[touched], 50), "p95": _percentile(took[touched], 95)},
        "swap_s": {"p50": _percentile(lasted, 50), "max": _percentile(lasted, 100)},
    }


def _percentile(values: Sequence[float] | np.ndarray, share: int) -> float:
    return round(float(np.percentile(values, share)), 3)


if __name__ == "__main__":
    sys.exit(main())
