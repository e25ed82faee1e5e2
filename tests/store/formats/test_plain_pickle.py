"""Nothing that a pickle names is imported or called."""

from __future__ import annotations

import builtins
import copyreg
import os
import pickle
import pickletools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslora_napari.store.formats.cellpose import read
from naslora_napari.store.formats.plain_pickle import UNKNOWN, StoredArray, plain_data
from naslora_trainer.errors import UserError

MASKS = np.arange(12, dtype=np.uint16).reshape(3, 4) % 5


class Calls:
    """Something that pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def save(path: Path, record: Any) -> Path:
    np.save(path, np.array(record, dtype=object), allow_pickle=True)
    return path


def masks_of(path: Path, size: tuple[int, int] = (3, 4)) -> np.ndarray:
    (found,) = read(path)
    return found.draw(size).labels


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, ">u2", bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_masks_of_a_file_as_cellpose_writes_it(tmp_path: Path, dtype: Any, order: Any) -> None:
    """The keys are those of masks_flows_to_seg in cellpose's io module."""
    flows = [np.zeros((1, 3, 4, 3), np.uint8), np.zeros((1, 3, 4), np.float32), [], np.zeros((2, 3, 4), np.float32)]
    masks = np.asarray(MASKS.astype(dtype), order=order)
    record = {
        "outlines": masks * 0,
        "colors": [np.array([1, 2, 3])],
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(4, bool),
        "filename": "somewhere/a.png",
        "flows": flows,
        "est_diam": np.float64(17.2),
        "diameter": np.nan,
        "path": Path("x"),
        "set": {1, 2},
        "nested": {"t": (1, 2.5, True, None, b"x", 2**70, -1)},
    }
    path = tmp_path / "a_seg.npy"
    np.save(path, record)  # type: ignore[arg-type]
    assert np.array_equal(masks_of(path), masks)
    (found,) = read(path)
    assert found.file_name == "a"


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_that_numpy_saves_in_is_read(protocol: int) -> None:
    record = {"masks": MASKS, "list": [1, "two", None], "long": "x" * 300, 5: (), "t": (1, 2, 3, 4)}
    found = plain_data(pickle.dumps(record, protocol))
    assert np.array_equal(found["masks"].array(), MASKS)
    assert (found["list"], found["long"], found[5], found["t"]) == ([1, "two", None], "x" * 300, (), (1, 2, 3, 4))


def test_the_interpreter_agrees_with_pickle_on_plain_data() -> None:
    @settings(max_examples=150, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
            max_leaves=20,
        ),
        st.integers(3, pickle.HIGHEST_PROTOCOL),
    )
    def check(value: Any, protocol: int) -> None:
        assert plain_data(pickle.dumps(value, protocol)) == value

    check()


def gadgets(target: Path) -> dict[str, Any]:
    """Return what would make ``target`` if it were unpickled."""
    code = f"open({str(target)!r}, 'w').close()"
    return {
        "system": Calls(os.system, f"touch '{target}'"),
        "eval": Calls(builtins.eval, code),
        "exec": Calls(builtins.exec, code),
        "open": Calls(builtins.open, str(target), "w"),
        "import": Calls(builtins.__import__, "os"),
        "numpy": Calls(np.lib.format.open_memmap, str(target), "w+", "u1", (1,)),
        "load": Calls(np.load, str(target), None, True),
        "copyreg": Calls(copyreg._reconstructor, Calls, object, None),
        "reconstruct": Calls(sys.modules[np.ndarray.__module__].ndarray, (2, 3)),
    }


@pytest.mark.parametrize("name", list(gadgets(Path("x"))))
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_calls_are_not_made(tmp_path: Path, name: str, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "made"
    content = pickle.dumps({"masks": gadgets(target)[name], "more": 1}, protocol)
    assert any("GLOBAL" in opcode.name for opcode, _, _ in pickletools.genops(content))
    for module, function in (("pickle", "loads"), ("pickle", "Unpickler"), ("pickle", "_Unpickler")):
        monkeypatch.setattr(sys.modules[module], function, None)
    found = plain_data(content)
    assert found == {"masks": UNKNOWN, "more": 1} and not target.exists()
    monkeypatch.undo()
    if name in ("system", "eval", "exec", "open", "numpy"):  # the test can fail: pickle does it
        pickle.loads(content)
        assert target.exists()


def test_nothing_is_imported(tmp_path: Path) -> None:
    (tmp_path / "trap_of_formats.py").write_text("raise SystemExit('imported')")
    sys.path.insert(0, str(tmp_path))
    try:
        assert plain_data(b"\x80\x02ctrap_of_formats\nx\n)R.") is UNKNOWN
        assert plain_data(b"\x80\x04\x8c\x10trap_of_formats_\x8c\x01x\x93)R.") is UNKNOWN
    finally:
        sys.path.remove(str(tmp_path))
    assert "trap_of_formats" not in sys.modules


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04N",
        b"\x80\x04Nb.",
        b"\x80\x04]u.",
        b"\x80\x04(u.",
        b"\x80\x04h\x05.",
        b"\x80\x04}]b.",
        b"ios\nsystem\n(S'echo'\no.",  # INST and OBJ
        b"\x80\x02Pid\n.",
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x05\x97.",  # NEXT_BUFFER
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # more bytes than there are
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"not a pickle",
    ],
)
def test_what_is_damaged_or_not_known_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        plain_data(content)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_is_refused_or_read(data: st.DataObject) -> None:
    content = bytearray(pickle.dumps({"masks": MASKS, "x": [1, (2, {"k": "v"})]}, 4))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = plain_data(bytes(content))
        if isinstance(found, dict) and isinstance(found.get("masks"), StoredArray):
            found["masks"].array()
    except ValueError:
        pass


@pytest.mark.parametrize(
    "record",
    [
        {"masks": np.array([{"a": 1}, None], object)},
        {"masks": np.zeros(2, [("a", "u2"), ("b", "f4")])},
        {"masks": np.array(["a", "b"])},
        {"masks": [1, 2]},
        {"no": 1},
        [1, 2],
        {"masks": np.zeros((2, 3, 4), np.uint16)},
        {"masks": np.full((3, 4), -1)},
        {"masks": np.full((3, 4), 0.5)},
        {"masks": np.zeros((30, 40), np.uint16)},
    ],
)
def test_a_file_without_masks_is_refused(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "a_seg.npy"
    whole = np.empty((), object)
    whole[()] = record
    np.save(path, whole)
    with pytest.raises(UserError, match="a_seg.npy"):
        masks_of(path)


def test_an_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a_seg.npy"
    np.save(path, {"masks": MASKS})  # type: ignore[arg-type]
    content = path.read_bytes()
    old = b"K\x03K\x04\x86"  # the shape (3, 4)
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"))
    with pytest.raises(UserError, match="not of its size"):
        masks_of(path)
    for other in (b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 70000, b"", b"\x93NUMPY\x09\x00"):
        path.write_bytes(other)
        with pytest.raises(UserError, match="a_seg.npy"):
            masks_of(path)
