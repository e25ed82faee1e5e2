from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from naslora_trainer.prompts import Prompts, Stroke
from naslora_trainer.regions import HALO, WHOLE_UP_TO, Region, extent_of, larger, region_for, side_for, whole

FRAME = 256
sizes = st.integers(1, 9000)


@given(sizes, sizes, st.data())
def test_a_region_holds_what_is_asked_and_lies_in_the_image(height: int, width: int, data: st.DataObject) -> None:
    shape = (height, width)
    row0, row1 = sorted(data.draw(st.tuples(*[st.floats(0, height)] * 2)))
    col0, col1 = sorted(data.draw(st.tuples(*[st.floats(0, width)] * 2)))
    side = min(FRAME * 2 ** data.draw(st.integers(0, 6)), max(shape))
    asked = (row0, col0, row1, col1)
    region = region_for(shape, asked, side)
    assert 0 <= region.row0 < region.row1 <= height and 0 <= region.col0 < region.col1 <= width
    assert region.row0 <= row0 and row1 <= region.row1 and region.col0 <= col0 and col1 <= region.col1
    assert region == whole(shape) or region.holds(asked, shape)
    assert region.side >= side or region == whole(shape)
    if max(row1 - row0, col1 - col0) < side / 4:
        assert region.side == side  # a small object is never seen from farther away
    assert region_for(shape, asked, side, last=region) == region
    bigger = larger(shape, region, asked)
    assert bigger.side > region.side or bigger == whole(shape)


@given(sizes, sizes, st.data())
def test_the_side_follows_the_zoom(height: int, width: int, data: st.DataObject) -> None:
    assume(max(height, width) > WHOLE_UP_TO * FRAME)
    shape = (height, width)
    span = data.draw(st.floats(1, 2 * max(shape)))
    visible = (height / 2 - span / 2, width / 2 - span / 2, height / 2 + span / 2, width / 2 + span / 2)
    side = side_for(shape, visible, FRAME)
    seen = max(min(span, height), min(span, width))
    assert side >= min(seen, max(shape)) and (side == FRAME or side < 2 * seen or side == max(shape))
    assert side_for(shape, None, FRAME) == max(shape)


def test_a_small_image_is_seen_whole() -> None:
    shape = (WHOLE_UP_TO * FRAME, 300)
    assert side_for(shape, (0, 0, 10, 10), FRAME) == max(shape)
    assert region_for(shape, (3, 3, 4, 4), max(shape)) == whole(shape)


def test_the_last_region_is_kept_as_long_as_it_fits() -> None:
    shape = (8192, 8192)
    first = region_for(shape, (1000, 1000, 1000, 1000), 512)
    near = (first.row1 - HALO * 512 - 1, first.col0 + HALO * 512 + 1)
    assert region_for(shape, (*near, *near), 512, last=first) == first
    assert region_for(shape, (*near, *near), 512) != first
    assert region_for(shape, (*near, *near), 1024, last=first).side == 1024
    assert not first.holds((first.row1, near[1], first.row1, near[1]), shape)


def test_the_halo_is_not_wanted_at_the_edge_of_the_image() -> None:
    assert Region(0, 0, 256, 256).holds((0, 0, 10, 10), (8192, 8192))
    assert not Region(128, 128, 384, 384).holds((130, 200, 140, 210), (8192, 8192))


def test_the_extent_of_prompts() -> None:
    prompts = Prompts(((5, 60),), (0,), (10, 20, 30, 40), strokes=(Stroke(((1, 30), (12, 90))),))
    assert extent_of(prompts) == (1, 20, 30, 90)
