"""The gradient of a step is the same in small parts, after memory ran out, and in two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.distributed import World
from naslora_trainer.feed import Feed
from naslora_trainer.frames import PADDING, Frame, frame_of
from naslora_trainer.gradients import Gradients, Sample, prompt_loss
from naslora_trainer.network import TrainableSam
from naslora_trainer.simulate import PromptBatch, plan_prompts
from naslora_trainer.splits import split_images


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


SCRIPT = """
import sys, torch
from pathlib import Path
from torch import distributed
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import read_snapshot
from naslora_trainer.distributed import World
from naslora_trainer.train import finetune
torch.set_num_threads(1)
world, events = World.joined(), []
images_per_step = int(sys.argv[3])
config = FineTuneConfig(method="lora", steps=5, blocks=1, rank=2, prompts_per_step=3, precision="float32",
                        shown_images=0, seed_head=False, images_per_step=images_per_step,
                        correction_share=0.0, cache_mb=0)
features = Path(sys.argv[2]) / "features"
adapter = finetune(config, read_snapshot(Path(sys.argv[1])), events.append, scratch=features)
adapter.save(Path(sys.argv[2]) / f"{world.size}-{world.rank}.safetensors")
print(len(events))
"""


@pytest.mark.parametrize("images_per_step", [1, 2])
def test_two_processes_train_the_same_as_one(images_per_step: int, nuclei: list[TrainingImage], tmp_path: Path) -> None:
    """Real processes with gloo; with two images they share images, with one its prompts."""
    from naslora_trainer.adapter import Adapter
    from naslora_trainer.data import write_snapshot

    write_snapshot(tmp_path / "data.h5", nuclei)
    (tmp_path / "script.py").write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(rank: int, size: int) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "WORLD_SIZE": str(size), "RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        call = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "data.h5"), str(tmp_path)]
        return subprocess.Popen(
            [*call, str(images_per_step)], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    said = []
    for size in (1, 2):
        processes = [start(rank, size) for rank in range(size)]
        for process in processes:
            out, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
            said.append(int(out))
    assert said[0] == said[1] > 5 and said[2] == 0  # the second process is silent
    alone, first, second = (Adapter.load(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    assert first.id == second.id
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(first.tensors[name], tensor, atol=2e-4, rtol=2e-2, msg=name)
