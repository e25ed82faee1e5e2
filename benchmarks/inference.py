"""Does a merged adapter cost anything when the model answers?

LiteMedSAM as it comes against the same model with an adapter: merged (what a fine-tune delivers), and with the branch
that is kept where a fold would lose too much. Both adapters have random values, which cost what trained ones cost. The
two models of a pair take turns in one process, and what counts is the ratio within a pair: what else the machine
does meets both alike. Wall time is what a person waits; CPU time leaves out the waiting for other programs. Run::

    python benchmarks/inference.py --data DIR --json > inference.json
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from machine import machine
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import load_base
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.images import list_images, read_image, to_rgb8
from naslora_trainer.merging import apply
from naslora_trainer.native import reuse_freed_memory
from naslora_trainer.network import TrainableSam
from repeated import add_threads, parser_of, printed, use_threads

BASE, RANK, BLOCKS = "litemedsam", 4, 8
IMAGES = Path("dsb2018_nuclei", "images")

Call = Callable[[], Any]
#: Wall and CPU seconds of one call.
Seconds = tuple[float, float]


def main() -> int:
    """Measure and print; exit status 1 when there is no image to measure with."""
    parser = parser_of(__doc__, "repeats", 60, "pairs of calls in each comparison")
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {IMAGES}")
    add_threads(parser)
    options = parser.parse_args()
    use_threads(options.threads)
    reuse_freed_memory()
    found = printed(lambda: measure(options.data / IMAGES, options.repeats), options.json)
    return int(found is None)


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """Return what the module is about, measured on the first image of ``folder``.

    Raises
    ------
    UserError
        There is no image.
    """
    path = list_images(folder)[0]
    rgb = to_rgb8(read_image(path))
    predictors = {name: _predictor(_model(name), rgb) for name in ("stock", "merged", "branch")}
    pixels = predictors["stock"].model.preprocess(_resized(predictors["stock"], rgb))
    encode = {name: _encoder_call(predictor.model, pixels) for name, predictor in predictors.items()}
    click = {name: _click_call(predictor, rgb) for name, predictor in predictors.items()}
    counts = {name: _counts(call) for name, call in encode.items()}  # which warms them up, too
    flops = {name: count for name, (count, _) in counts.items()}
    operations = {name: names for name, (_, names) in counts.items()}
    described = machine()
    found: dict[str, Any] = {
        "benchmark": "inference",
        "date": described.pop("date"),
        "machine": described | {"threads": torch.get_num_threads()},
        "base": BASE,
        "image": str(path.relative_to(folder.parent.parent)),
        "repeats": repeats,
        "flops_stock": flops["stock"],
        "flops_merged": flops["merged"],
        "flops_branch_over_stock": flops["branch"] / flops["stock"],
        "ops_stock": operations["stock"].total(),
        "ops_merged": operations["merged"].total(),
        "ops_branch": operations["branch"].total(),
        "same_operations": operations["stock"] == operations["merged"],
    }
    for key, first, second in (
        ("ratio_merged", encode["stock"], encode["merged"]),
        ("ratio_branch", encode["stock"], encode["branch"]),
        ("click_ratio", click["stock"], click["merged"]),
    ):
        pairs = _take_turns(first, second, repeats)
        for suffix, clock in (("", 0), ("_cpu", 1)):
            found[key + suffix] = _ratio([(a[clock], b[clock]) for a, b in pairs])
        print(f"{key}: {found[key]['median']:.3f}", file=sys.stderr)
    return found


def _model(name: str) -> Sam:
    """Return the model of that name; the adapter of ``branch`` has a spatial cell that was not folded."""
    sam = load_base(BASE)
    if name == "stock":
        return sam
    adapter = random_adapter("lora" if name == "merged" else "nas-lora")
    assert adapter.has_branch == (name == "branch")
    return apply(sam, adapter)


@torch.no_grad()
def random_adapter(method: str) -> Adapter:
    """Return an adapter as a training of that method leaves it before a fold, with random values."""
    config = FineTuneConfig.checked(method=method, base=BASE, rank=RANK, blocks=BLOCKS)
    network = TrainableSam(config, "cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in network.projection_parameters() + network.cell_parameters():
        parameter.normal_(std=0.02, generator=generator)
    meta = AdapterMeta(
        base=BASE, fingerprint=network.fingerprint, method=method, rank=RANK, operations=config.operations
    )
    return Adapter(network.tensors(), meta)


def _predictor(sam: Sam, rgb: np.ndarray) -> SamPredictor:
    predictor = SamPredictor(sam)
    predictor.set_image(rgb)
    return predictor


def _resized(predictor: SamPredictor, rgb: np.ndarray) -> torch.Tensor:
    """Return ``rgb`` (H, W, 3) as the model takes it, before padding: (1, 3, h, w)."""
    image = predictor.transform.apply_image(rgb)
    return torch.as_tensor(image).permute(2, 0, 1)[None].contiguous()


def _encoder_call(sam: Sam, pixels: torch.Tensor) -> Call:
    @torch.no_grad()
    def call() -> torch.Tensor:
        features: torch.Tensor = sam.image_encoder(pixels)
        return features

    return call


def _click_call(predictor: SamPredictor, rgb: np.ndarray) -> Call:
    """Return what a click in the middle of the encoded image calls."""
    point = np.array([[rgb.shape[1] / 2, rgb.shape[0] / 2]])
    return lambda: predictor.predict(point_coords=point, point_labels=np.array([1]))


class _Operations(TorchDispatchMode):
    """Counts the operations that reach a kernel, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def _counts(call: Call) -> tuple[int, Counter[str]]:
    """Return floating point operations, a multiplication and an addition being two, and what _Operations counts."""
    operations = _Operations()
    with operations, FlopCounterMode(display=False) as flops:
        call()
    return int(flops.get_total_flops()), operations.counts


def _take_turns(first: Call, second: Call, repeats: int) -> list[tuple[Seconds, Seconds]]:
    """Call the two alternately and return the seconds of each pair."""
    gc.collect()
    gc.disable()
    try:
        return [(_timed(first), _timed(second)) for _ in range(repeats)]
    finally:
        gc.enable()


def _timed(call: Call) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def _ratio(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the spread of second over first: quartiles, and where the true median lies with 95 % confidence.

    ``first_ms`` and ``second_ms`` are medians. The interval is that of order statistics: it asks nothing of the shape
    of the noise.
    """
    ratios = sorted(b / a for a, b in pairs)
    count = len(ratios)
    margin = 0.98 * math.sqrt(count)
    low, high = math.floor((count - 1) / 2 - margin), math.ceil((count - 1) / 2 + margin)
    p25, median, p75 = np.percentile(ratios, [25, 50, 75]).tolist()
    return {
        "median": median,
        "p25": p25,
        "p75": p75,
        "median_95": [ratios[max(0, low)], ratios[min(count - 1, high)]],
        "first_ms": 1e3 * statistics.median(a for a, _ in pairs),
        "second_ms": 1e3 * statistics.median(b for _, b in pairs),
    }


if __name__ == "__main__":
    sys.exit(main())
