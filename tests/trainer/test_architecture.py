"""The course of a search: kept exactly, shown as a table and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslora_trainer.__main__ import PICTURE, TABLE, _show_architecture
from naslora_trainer.adapter import AdapterMeta
from naslora_trainer.architecture import COLOURS, ArchitectureHistory, draw, short_names, stage_starts, table, winner
from naslora_trainer.cell import Cell
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.errors import UserError
from naslora_trainer.experts import ExpertsCell

PROBABILITIES = st.floats(0, 1)
LAYERS = st.sampled_from(["layers.2.blocks.0.attn.qkv", "blocks.11.mlp.lin1", "neck.0", "Zelle ä"])
ARCHITECTURES = st.dictionaries(LAYERS, st.dictionaries(st.sampled_from(list(COLOURS)), PROBABILITIES))


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=6).map(sorted), st.data())
def test_a_history_comes_back_from_json(steps: list[int], data: st.DataObject) -> None:
    history = ArchitectureHistory()
    for step in steps:
        history.record(step, data.draw(ARCHITECTURES))
    again = ArchitectureHistory.from_json(json.loads(json.dumps(history.to_json())))
    assert again == history and again.steps == steps and again.last == history.last


@given(PROBABILITIES)
def test_a_probability_is_kept_to_four_digits_and_is_zero_only_when_it_was(p: float) -> None:
    history = ArchitectureHistory()
    history.record(0, {"layer": {"identity": p}})
    kept = history.last["layer"]["identity"]
    assert kept == pytest.approx(p, rel=1e-3) and (kept == 0) == (p == 0)


def test_what_is_recorded_stays_as_it_was() -> None:
    history, row = ArchitectureHistory(), {"identity": 0.5}
    assert history.last == {} and len(history) == 0
    history.record(0, {"layer": row})
    row["identity"] = 0.9
    assert history.last == {"layer": {"identity": 0.5}}


@pytest.mark.parametrize("step", [3, 2, -1, True, 4.5])
def test_steps_go_forward(step: Any) -> None:
    history = ArchitectureHistory()
    history.record(3, {})
    with pytest.raises(ValueError, match="does not come after"):
        history.record(step, {})


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf")])
def test_only_probabilities_are_recorded(p: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        ArchitectureHistory().record(0, {"layer": {"identity": p}})


@pytest.mark.parametrize(
    "records", [7, None, [7], [{}], [{"step": 0}], [{"step": 0, "architecture": [1]}],
        [{"step": 0, "architecture": {"l": {"identity": "much"}}}], [{"step": 1, "architecture": {}}] * 2],
)  # fmt: skip
def test_other_json_is_refused(records: Any) -> None:
    with pytest.raises(ValueError, match="not the history"):
        ArchitectureHistory.from_json(records)


def test_a_row_says_who_won_and_what_was_dropped() -> None:
    lines = table(
        {
            "layers.2.blocks.3.attn.qkv": {"none": 0.0, "identity": 0.301, "dw_conv3x3": 0.699},
            "neck.0": {"none": 0.25, "identity": 0.75},
        }
    ).splitlines()
    assert lines[0].split() == ["layer", "none", "identity", "dw_conv3x3"]
    assert lines[2].split() == ["block", "2.3", "qkv", "-", "0.30", "0.70*"]
    assert lines[3].split() == ["neck", "0", "0.25", "0.75*"]
    assert lines[5].split() == ["mean", "0.12", "0.53*", "0.35"]
    assert "dropped" in lines[-1]


def test_columns_stand_below_their_names() -> None:
    cell = Cell(4, ("none", "identity", "dw_conv5x5"))
    lines = table({f"blocks.{block}.attn.qkv": cell.summary() for block in (9, 10)}).splitlines()
    for name in cell.operations:
        end = lines[0].index(name) + len(name)
        assert all(line[end - 4 : end] == "0.33" for line in (*lines[2:4], lines[5]))


def test_of_experts_it_is_the_share_of_maps() -> None:
    text = table({"blocks.0.attn.qkv": ExpertsCell(2).summary()})
    assert "Share of maps" in text and "expert_x8" in text and "*" not in text.splitlines()[2]


def test_without_layers_there_is_a_sentence() -> None:
    assert table({}) == "No layer of the image encoder is adapted."
    assert winner({}) is None


def test_short_names_differ() -> None:
    layers = ["layers.2.blocks.0.attn.qkv", "blocks.11.mlp.lin1", "neck.2", "layers.2.blocks.0.mlp.qkv"]
    names = short_names(layers)
    assert [names[layer] for layer in layers[1:3]] == ["block 11 lin1", "neck 2"]
    assert len(set(names.values())) == 4


def walk(layers: int, operations: tuple[str, ...], records: int = 12) -> ArchitectureHistory:
    """A search in which the probabilities of every layer drift."""
    rng, history = np.random.default_rng(0), ArchitectureHistory()
    alpha = np.zeros((layers, len(operations)))
    for step in range(records):
        p = np.exp(alpha) / np.exp(alpha).sum(axis=1, keepdims=True)
        history.record(
            10 * step, {f"blocks.{i}.attn.qkv": dict(zip(operations, p[i], strict=True)) for i in range(layers)}
        )
        alpha += rng.normal(0, 0.4, alpha.shape)
    return history


@pytest.mark.parametrize(("layers", "operations", "size"), [
    (1, tuple(COLOURS), (840, 765)),
    (5, ("identity", "dw_conv3x3", "another"), (1740, 1062)),
    (64, ExpertsCell.operations, (2190, 2052)),
])  # fmt: skip
def test_the_picture_is_a_png_with_every_colour(
    layers: int, operations: tuple[str, ...], size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    draw(walk(layers, operations), path, stage_starts(FineTuneConfig(steps=120)))
    assert path.read_bytes().startswith(b"\x89PNG\r\n") and list(tmp_path.iterdir()) == [path]
    picture = iio.imread(path)[..., :3]
    assert picture.shape[1::-1] == size
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    assert (counts > 200 * layers).sum() > len(operations)
    if set(operations) <= set(COLOURS):
        wanted = {tuple(bytes.fromhex(COLOURS[name][1:])) for name in operations}
        assert wanted <= {tuple(colour) for colour in colours.tolist()}


def test_nothing_touches_the_edge_of_the_picture(tmp_path: Path) -> None:
    draw(walk(3, tuple(COLOURS), records=1), tmp_path / "a.png")
    picture = iio.imread(tmp_path / "a.png")[..., :3]
    edges = (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:])
    assert all((edge == 255).all() for edge in edges)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no architecture"):
        draw(ArchitectureHistory(), tmp_path / "a.png")
    with pytest.raises(UserError, match="could not be saved"):
        draw(walk(1, ("none", "identity")), tmp_path / "missing" / "a.png")


@pytest.mark.parametrize(("kept", "files", "warnings"), [
    (walk(2, ("none", "identity")).to_json(), [PICTURE, TABLE], 0), ([], [], 0), ([{"step": 0}], [TABLE], 1),
])  # fmt: skip
def test_a_run_goes_on_when_its_search_cannot_be_drawn(
    kept: list[Any], files: list[str], warnings: int, tmp_path: Path
) -> None:
    meta = AdapterMeta(base="b", fingerprint="0" * 64, method="nas-lora", rank=1, report={"architecture_history": kept})
    events: list[dict[str, Any]] = []
    _show_architecture(tmp_path, meta, FineTuneConfig(), events.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert [event["event"] for event in events] == ["warning"] * warnings


def test_stages_are_those_of_the_schedule() -> None:
    assert stage_starts(FineTuneConfig(steps=100)) == {"warm-up": 0, "search": 20, "settle": 60, "consolidate": 90}
