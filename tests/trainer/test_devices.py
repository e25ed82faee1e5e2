from __future__ import annotations

import pytest
import torch

from naslora_trainer.devices import autocast, pick_device, pick_precision
from naslora_trainer.distributed import _takes_a_gpu
from naslora_trainer.errors import UserError, is_out_of_memory


def test_a_wish_is_a_command_where_it_can_be() -> None:
    assert pick_device("cpu") == "cpu" and pick_device("auto") in ("cpu", "cuda", "mps")
    for missing in ("cuda:99", "tpu", "cuda:x"):
        with pytest.raises(UserError, match=missing):
            pick_device(missing)
    assert pick_precision("cpu", "float32") == torch.float32
    assert pick_precision("cpu", "bfloat16") == torch.bfloat16


def test_auto_takes_bfloat16_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement decides, whatever this machine is."""
    seconds = {torch.float32: 2.0, torch.bfloat16: 1.0}
    monkeypatch.setattr("naslora_trainer.devices._product_s", lambda dtype: seconds[dtype])
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    assert pick_precision("cpu") == torch.bfloat16
    seconds[torch.bfloat16] = 1.9
    assert pick_precision("cpu") == torch.float32
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False, raising=False)
    seconds[torch.bfloat16] = 0.1
    assert pick_precision("cpu") == torch.float32
    assert pick_precision("mps") == torch.float32


def test_a_gpu_that_only_emulates_bfloat16_keeps_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert pick_precision("cuda:0") == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert pick_precision("cuda:0") == torch.bfloat16


def test_autocast_changes_products_and_nothing_else() -> None:
    a = torch.ones(4, 4)
    with autocast("cpu", torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
    with autocast("cpu", torch.float32):
        assert (a @ a).dtype == torch.float32
    assert (a @ a).dtype == torch.float32


def test_out_of_memory_is_recognised() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.parametrize(("device", "processes", "own"), [("cuda", 2, True), ("cuda", 3, False), ("cpu", 2, False)])
def test_each_process_of_a_machine_takes_a_gpu_of_its_own(
    device: str, processes: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NCCL refuses two processes on one GPU; those that have to share one talk through gloo."""
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for rank in range(processes):
        for name, value in (("WORLD_SIZE", processes), ("LOCAL_WORLD_SIZE", processes), ("LOCAL_RANK", rank)):
            monkeypatch.setenv(name, str(value))
        assert _takes_a_gpu(device) is own
    assert taken == ([rank % 2 for rank in range(processes)] if device == "cuda" else [])
