"""The gradient of a step is the same in small parts, after memory ran out, and in two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from naslora_trainer.adapter import Adapter
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of, write_snapshot
from naslora_trainer.distributed import World
from naslora_trainer.feed import Feed
from naslora_trainer.frames import PADDING, Frame, frame_of
from naslora_trainer.gradients import Gradients, Sample, prompt_loss
from naslora_trainer.network import TrainableSam
from naslora_trainer.simulate import PromptBatch, plan_prompts
from naslora_trainer.splits import split_images
from naslora_trainer.train import finetune


def config(**values: object) -> FineTuneConfig:
    settings = {"steps": 5, "blocks": 1, "rank": 2, "prompts_per_step": 3, "images_per_step": 2, **values}
    return FineTuneConfig.checked(precision="float32", **settings)


@pytest.fixture(scope="module")
def network() -> TrainableSam:
    torch.manual_seed(0)
    network = TrainableSam(config(), "cpu")
    for layer in network.layers.values():
        torch.nn.init.normal_(layer.up, std=0.02)
    return network


@pytest.fixture(scope="module")
def samples(nuclei: list[TrainingImage]) -> list[Sample]:
    feed = Feed(config(correction_share=1.0, mask_share=1.0), split_images(nuclei), 256)
    return feed.samples()


def parameters(network: TrainableSam) -> list[torch.nn.Parameter]:
    return [*network.projection_parameters(), *network.cell_parameters(), *network.decoder_parameters()]


def gradient(network: TrainableSam, gradients: Gradients, samples: list[Sample]) -> tuple[float, torch.Tensor]:
    trained = parameters(network)
    loss = gradients.add(samples, trained)
    return loss, torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in trained])


def test_small_parts_give_the_same_gradient(network: TrainableSam, samples: list[Sample]) -> None:
    whole = Gradients(network, World(), torch.float32)
    loss, wanted = gradient(network, whole, samples)
    assert wanted.abs().max() > 0 and np.isfinite(loss)
    parts = Gradients(network, World(), torch.float32)
    parts.prompts, parts.images = 1, 1
    again, found = gradient(network, parts, samples)
    assert again == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)


def test_memory_that_runs_out_halves_prompts_then_images_and_goes_on(
    network: TrainableSam, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault injection: the allocator refuses passes of the mask decoder over more than one prompt."""
    loss, wanted = gradient(network, Gradients(network, World(), torch.float32), samples)
    real_decode, real_embed, said = network.decode, network.embed, []

    def decode(embedding: torch.Tensor, sparse: torch.Tensor, *rest: object) -> object:
        if len(sparse) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB")
        return real_decode(embedding, sparse, *rest)

    def embed(views: list[object]) -> torch.Tensor:
        if len(views) > 1 and gradients.prompts == 1:
            raise MemoryError
        return real_embed(views)

    monkeypatch.setattr(network, "decode", decode)
    monkeypatch.setattr(network, "embed", embed)
    gradients = Gradients(network, World(), torch.float32, said.append)
    again, found = gradient(network, gradients, samples)
    assert (gradients.prompts, gradients.images) == (1, 1) and len(said) == 2
    assert again == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)


def test_memory_that_is_never_enough_is_an_error(
    network: TrainableSam, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(views: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(network, "embed", embed)
    with pytest.raises(MemoryError):
        Gradients(network, World(), torch.float32).add(samples, parameters(network))


def test_other_errors_are_not_taken_for_memory(
    network: TrainableSam, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(views: object) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(network, "embed", embed)
    with pytest.raises(RuntimeError, match="do not fit"):
        Gradients(network, World(), torch.float32).add(samples, parameters(network))


def test_bfloat16_gives_nearly_the_same_loss(network: TrainableSam, nuclei: list[TrainingImage]) -> None:
    """Without corrections, which are other clicks after other answers."""
    samples = Feed(config(correction_share=0.0), split_images(nuclei), 256).samples()
    exact, _ = gradient(network, Gradients(network, World(), torch.float32), samples)
    rounded, found = gradient(network, Gradients(network, World(), torch.bfloat16), samples)
    assert rounded == pytest.approx(exact, rel=0.05) and found.dtype == torch.float32 and torch.isfinite(found).all()


def test_all_that_is_not_the_object_is_pushed_down_labelled_or_not() -> None:
    """An answer is one object: unlabelled cells far away are not it, no more than labelled ones. Padding is nothing."""
    labels = np.zeros((300, 200), np.int32)
    labels[40:60, 40:60] = 1
    for complete in (False, True):
        frame = frame_of(TrainingImage("a", np.zeros((300, 200, 3), np.uint8), labels, complete), 0, 256)
        batch = plan_prompts(frame, config(scribble_share=0.0), np.random.default_rng(0)).first
        logits = torch.zeros(1, 1, 256, 256, requires_grad=True)
        prompt_loss(logits, torch.zeros(1, 1), torch.zeros(1, dtype=torch.bool), batch).backward()
        assert logits.grad is not None
        pushed = logits.grad[0, 0].numpy()
        assert (pushed[frame.labels == 0] > 0).all() and (pushed[frame.labels == 1] < 0).all()
        assert not pushed[frame.labels < 0].any()


def test_clicks_are_corrected_wherever_the_mask_is_wrong_in_the_image() -> None:
    labels = np.zeros((256, 256), np.int32)
    labels[40:60, 40:60], labels[240:] = 1, PADDING
    target = labels == 1
    batch = PromptBatch([[(50, 50, 1)]], [None], target[None], Frame(labels, np.array([1])).inside)
    answer = target | (labels < 0)
    (_, (row, col, label)) = batch.corrected(answer[None]).clicks[0]
    assert label == 1 and target[row, col]  # nothing is wrong but in the padding
    answer[150:220] = True
    (_, (row, col, label)) = batch.corrected(answer[None]).clicks[0]
    assert label == 0 and 150 <= row < 220


def test_a_part_of_the_objects_knows_only_the_regions_that_kept_theirs() -> None:
    labels = np.zeros((90, 90), np.int32)
    for key in range(1, 9):
        labels[10 * key : 10 * key + 5, 10:15] = key
    rois = tuple((10 * key - 2, 0, 10 * key + 6, 90) for key in range(1, 9))
    split = split_images([TrainingImage("a", np.zeros((90, 90, 3), np.uint8), labels, rois=rois)])
    for (part,) in (split.train, split.validation):
        assert set(part.rois) == {rois[key - 1] for key in objects_of(part)} and 0 < len(part.rois) < 8


def trained(images: Sequence[TrainingImage], images_per_step: int, features: Path) -> tuple[Adapter, int]:
    """Return an adapter, and how many events were told."""
    events: list[dict[str, object]] = []
    settings = config(
        method="lora", shown_images=0, seed_head=False, interpolate=False, images_per_step=images_per_step,
        correction_share=0.0, cache_mb=0, device="cpu",
    )  # fmt: skip
    adapter = finetune(settings, images, events.append, scratch=features)
    assert adapter is not None
    return adapter, len(events)


SCRIPT = """
import sys
from pathlib import Path
import torch
from naslora_trainer.data import read_snapshot
sys.path.insert(0, sys.argv[1])
from test_gradients import trained
torch.set_num_threads(1)
folder = Path(sys.argv[2])
for images_per_step in (1, 2):
    adapter, told = trained(read_snapshot(folder / "data.h5"), images_per_step, folder / "features")
    adapter.save(folder / f"{images_per_step}-{torch.distributed.get_rank()}.safetensors")
    print(told)
"""


def test_two_processes_train_the_same_as_one(nuclei: list[TrainingImage], tmp_path: Path) -> None:
    """Real processes with gloo; with two images in a step they share images, with one its prompts."""
    write_snapshot(tmp_path / "data.h5", nuclei)
    (tmp_path / "script.py").write_text(SCRIPT)
    alone = {count: trained(nuclei, count, tmp_path / "features") for count in (1, 2)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(rank: int) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        call = [sys.executable, str(tmp_path / "script.py"), str(Path(__file__).parent), str(tmp_path)]
        return subprocess.Popen(call, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    told = []
    for process in [start(rank) for rank in range(2)]:
        out, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        told.append([int(line) for line in out.split()])
    assert told[0] == [count for _, count in alone.values()] and min(told[0]) > 5
    assert told[1] == [0, 0]  # the second process is silent
    for count, (adapter, _) in alone.items():
        first, second = (Adapter.load(tmp_path / f"{count}-{rank}.safetensors") for rank in range(2))
        assert first.id == second.id
        for name, tensor in adapter.tensors.items():
            torch.testing.assert_close(first.tensors[name], tensor, atol=2e-4, rtol=2e-2, msg=name)
