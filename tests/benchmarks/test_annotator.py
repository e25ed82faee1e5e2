"""The simulated person of the annotator benchmark: what each way costs, and when a folder is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslora_trainer.data import TrainingImage
from naslora_trainer.files import write_json
from naslora_trainer.scores import iou

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    import person
    from annotator import Simulation, in_four, summarise
    from answers import Answers
    from person import ACCEPT, CLICK, DELETE, GOAL, OPEN, STROKE, brushed, by_clicks, by_review, cheapest, matched


def square(row: int, col: int, side: int, size: int = 60) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[row : row + side, col : col + side] = True
    return mask


TARGET = square(10, 10, 20)


def test_the_brush_corrects_the_largest_error_first_and_no_more_than_needed() -> None:
    good = brushed(TARGET, TARGET)
    assert good.seconds == 0 and good.iou == 1
    cut = TARGET.copy()
    cut[10:20] = False  # half is missing
    spot = cut | square(45, 45, 3)  # and a little is too much, which may stay
    way = brushed(spot, TARGET)
    assert way.iou == pytest.approx(iou(way.mask, TARGET)) and way.iou >= GOAL
    assert way.mask[46, 46] and way.mask[10, 10]
    edge = 10 + 20 + 10 - 2  # of the missing half, on three sides
    assert way.seconds == pytest.approx(STROKE + edge * person.SCREEN / 60 / person.SPEED)
    erased = brushed(TARGET | square(10, 30, 20), TARGET)
    assert erased.iou == 1 and erased.seconds > STROKE


def test_the_cheapest_way_is_clicks_or_brush() -> None:
    nothing = np.zeros_like(TARGET)
    by_hand = brushed(nothing, TARGET).seconds + ACCEPT
    assert cheapest([nothing, nothing], TARGET).seconds == by_hand
    assert cheapest([nothing, TARGET], TARGET).seconds == 2 * CLICK + ACCEPT
    assert cheapest([TARGET], TARGET).seconds == CLICK + ACCEPT


def labels_of(*masks: np.ndarray) -> np.ndarray:
    return sum((mask.astype(np.int32) * k for k, mask in enumerate(masks, 1)), np.zeros((60, 60), np.int32))


def test_a_review_leaves_what_is_good_and_deletes_what_is_none() -> None:
    truth = labels_of(TARGET, square(40, 40, 10)) * 7  # ids 7 and 14
    found = labels_of(square(2, 50, 5), TARGET)
    pairs, false = matched(found, truth, [7, 14])
    assert pairs == {7: (2, 1.0)} and false == [1]
    ways = {7: cheapest([], TARGET), 14: cheapest([truth == 14], truth == 14)}
    work = by_review(found, ways, truth)
    assert work.seconds == OPEN + DELETE + ACCEPT + (CLICK + ACCEPT)
    assert (work.labels == truth).all() and work.ious == (1.0, 1.0)
    clicked = by_clicks(ways, truth)
    assert clicked.seconds == pytest.approx(OPEN + ways[7].seconds + CLICK + ACCEPT)


def simulation(folder: Path, automatic: list[list[float]], one_click: list[list[float]]) -> Simulation:
    """A folder of images with two objects each, of which the answers of the base model are known."""
    rgb = np.zeros((60, 60, 3), np.uint8)
    truth = labels_of(TARGET, square(40, 40, 10))
    images = [TrainingImage(f"pack/masks/{k}", rgb, truth, True) for k in range(len(automatic))]
    kept = folder / "answers" / "leaf"
    model = Answers(kept)
    for image, auto, click in zip(images, automatic, one_click, strict=True):
        stem = image.name.replace("/", "-")
        write_json(
            kept / model.version / f"{stem}-rest.json", {"automatic": auto, "one_click": click, "seconds": [10.0]}
        )
        np.savez(
            kept / model.version / f"{stem}-work.npz", labels=truth, ious=[0.9, 0.9], seconds=[20, 30], way="clicks"
        )
    return Simulation(images, folder, "leaf", "base", 0)


def test_a_folder_is_done_as_soon_as_the_rest_is_good_enough(tmp_path: Path) -> None:
    poor, fine = [0.5, 0.5], [0.9, 0.9]
    run = simulation(tmp_path / "a", [poor, fine, fine], [poor] * 3)
    run.run()
    assert (run.best, run.labelled_at_best) == (20, 1)  # the poor one is labelled, the others are left
    run = simulation(tmp_path / "b", [poor] * 3, [poor] * 3)
    run.run()
    assert (run.best, run.labelled_at_best) == (60, 3)
    run = simulation(tmp_path / "c", [poor] * 3, [poor, fine, fine])
    run.run()
    assert (run.best, run.labelled_at_best) == (40, 1)  # one image, and a click on each object of two
    run = simulation(tmp_path / "d", [[*fine, 0.0]] * 2, [fine] * 2)  # a false find in each: 0.6
    run.run()
    assert (run.best, run.labelled_at_best) == (20, 0)
    assert len(run.stages) == 2


def test_a_frame_in_four_is_all_of_it() -> None:
    labels = np.arange(35, dtype=np.int32).reshape(5, 7)
    frame = TrainingImage("pack/masks/16", np.stack([labels.astype(np.uint8)] * 3, -1), labels, complete=True)
    fields = in_four(frame)
    assert [field.name for field in fields] == [f"pack/masks/16-{k}" for k in range(4)]
    assert sorted(np.concatenate([field.labels.ravel() for field in fields])) == list(range(35))
    assert all(np.array_equal(field.image[..., 0], field.labels) and field.complete for field in fields)


def test_speed_ups_are_of_the_same_folder() -> None:
    def run(target: str, seed: int, who: str, seconds: float) -> dict[str, object]:
        return {"target": target, "seed": seed, "person": who, "user_s": seconds}

    runs = [run("leaf", 0, "base", 60), run("leaf", 0, "finetune", 30), run("leaf", 1, "base", 80)]
    runs += [run("leaf", 1, "finetune", 20), run("leaf", 1, "ranked", 10)]
    found = summarise(runs)
    assert found["speedup_finetune"]["mean"] == 3 and found["speedup_finetune"]["n"] == 2
    assert found["speedup_finetune"]["spread"] == pytest.approx(2**0.5)
    assert found["speedup_ranked"]["targets"] == {"leaf": {"mean": 2, "spread": 0, "n": 1}}
    assert summarise(runs[:1])["speedup_ranked"] == {}


def test_a_training_starts_with_half_of_the_folder_left(tmp_path: Path) -> None:
    run = simulation(tmp_path, [[0.5]] * 12, [[0.5]] * 12)
    work = run.model.work(run.images[0])
    worth = []
    for image in run.images:
        run.done[image.name] = replace(work)
        worth.append(run._worth_training())
    assert worth == [False] * 3 + [True] * 3 + [False] * 6
