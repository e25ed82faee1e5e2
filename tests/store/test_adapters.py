"""The adapter library: names and notes, what is in use, and files from people who may mean harm."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from naslora_napari.store.adapter_entries import compared
from naslora_napari.store.adapter_index import FILE, LONGEST_NAME, clean, read_index
from naslora_napari.store.adapters import AdapterLibrary
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.adapter_meta import MAX_BYTES, MAX_HEADER_BYTES
from naslora_trainer.errors import UserError

BASE, OTHER = "a" * 64, "b" * 64
REPORT = {
    "validation": {"click": {"before": 0.5, "after": 0.75}, "box": {"before": 0.8, "after": 0.81}},
    "better": True,
    "reason": "It is better.",
    "objects": {"train": 6, "validation": 2},
    "images": 3,
}


def an_adapter(value: float = 0.5, fingerprint: str = BASE, day: int = 1, **report: Any) -> Adapter:
    meta = AdapterMeta(
        base="litemedsam-click", fingerprint=fingerprint, method="lora", rank=2, report=REPORT | report,
        created=f"2026-11-{day:02d}T10:00:00+00:00",
    )  # fmt: skip
    return Adapter({"lora.l.down": torch.full((2, 3), float(value)), "lora.l.up": torch.ones(4, 2)}, meta)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with two adapters: ``first`` of the 1st, ``second``, which went on from it, of the 2nd."""
    folder = tmp_path.resolve() / "p.naslora"
    (folder / "adapters").mkdir(parents=True)
    first = an_adapter()
    first.save(folder / "adapters" / "first.safetensors")
    second = an_adapter(0.7, day=2, better=False, reason="It is not better.", start=first.id)
    second.save(folder / "adapters" / "second.safetensors")
    return folder


@pytest.fixture
def library(project: Path) -> AdapterLibrary:
    return AdapterLibrary(project)


def names(library: AdapterLibrary) -> list[str]:
    return [entry.name for entry in library.entries()]


def test_files_tell_what_they_are(library: AdapterLibrary) -> None:
    second, first = library.entries()
    assert (first.key, first.name, first.state) == ("first", "lora, 8 objects", "better")
    assert first.validation == {"click": (0.5, 0.75), "box": (0.8, 0.81)} and first.data == "8 objects on 3 images"
    assert first.id == an_adapter().id and len(first.sha256) == 64 and first.size == first.path.stat().st_size
    assert (second.state, second.reason, second.parent) == ("kept aside", "It is not better.", "first")
    assert json.loads(json.dumps(second.to_json()))["validation"]["box"]["after"] == 0.81
    table = dict(compared([first, second]))
    assert table["Held-out Dice, click"] == ["0.500 → 0.750"] * 2 and table["Went on from"] == ["", "first"]


def test_a_list_of_a_hundred_reads_no_tensor_and_needs_no_torch(library: AdapterLibrary, project: Path) -> None:
    for number in range(100):
        an_adapter(number, day=3).save(project / "adapters" / f"n{number}.safetensors")
    code = (
        "import sys, time; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from naslora_napari.store.adapters import AdapterLibrary\n"
        "started = time.perf_counter()\n"
        f"found = AdapterLibrary(Path({str(project)!r})).entries()\n"
        "assert len(found) == 102 and not any(entry.problem for entry in found)\n"
        "assert time.perf_counter() - started < 5\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_names_and_notes_outlive_the_program_and_files_stay(library: AdapterLibrary, project: Path) -> None:
    before = (project / "adapters" / "first.safetensors").read_bytes()
    library.rename("first", " wheat\nleaves ")
    library.note("first", "trained on\tplate 3")
    entry = AdapterLibrary(project)["first"]
    assert (entry.name, entry.note) == ("wheat leaves", "trained on plate 3")
    assert entry.path.read_bytes() == before
    library.rename("first", "")
    assert library["first"].name == "lora, 8 objects"


def test_the_one_in_use_is_remembered_and_cannot_be_deleted(library: AdapterLibrary, project: Path) -> None:
    assert library.in_use is None
    library.use("second")
    assert AdapterLibrary(project).in_use == project / "adapters" / "second.safetensors"
    assert library.entries()[0].state == "in use"
    with pytest.raises(UserError, match="in use cannot be deleted"):
        library.delete("second")
    library.use("")
    library.rename("second", "worse")
    gone = library.delete("second")
    assert gone.parent.name == "deleted" and [entry.key for entry in library.entries()] == ["first"]
    assert library.import_from(gone, BASE).key == "second"
    assert library.delete("second").name == "second-2.safetensors"  # the other one is still in the bin
    library.use("first")
    os.remove(project / "adapters" / "first.safetensors")
    assert library.in_use is None


@pytest.mark.parametrize("act", [
    lambda library: library.use("x"), lambda library: library.rename("../p", "x"),
    lambda library: library.note("", "x"),
    lambda library: library.delete("deleted"), lambda library: library.export_to("nothing", "x"),
])  # fmt: skip
def test_a_key_is_one_of_a_file_that_is_there(library: AdapterLibrary, act: Callable[[AdapterLibrary], object]) -> None:
    with pytest.raises(UserError, match="no adapter"):
        act(library)


def test_who_may_not_change_the_project_changes_nothing(project: Path, tmp_path: Path) -> None:
    def refuse() -> None:
        raise UserError("Another program has it.")

    library = AdapterLibrary(project, refuse)
    an_adapter(2).save(tmp_path / "x.safetensors")
    for act in (
        lambda: library.use("first"),
        lambda: library.rename("first", "x"),
        lambda: library.delete("first"),
        lambda: library.import_from(tmp_path / "x.safetensors", BASE),
    ):
        with pytest.raises(UserError, match="Another program"):
            act()
    assert sorted(os.listdir(project / "adapters")) == ["first.safetensors", "second.safetensors"]
    library.use("")  # what it is already


def test_a_file_goes_to_a_colleague_and_is_the_same_there(library: AdapterLibrary, tmp_path: Path) -> None:
    library.rename("first", "wheat: leaves/2")
    out = library.export_to("first", tmp_path)
    assert out.name == "wheat_ leaves_2.safetensors" and out.read_bytes() == library["first"].path.read_bytes()
    assert library.export_to("first", tmp_path / "mine").name == "mine.safetensors"
    there = AdapterLibrary(tmp_path / "q.naslora")
    (tmp_path / "q.naslora").mkdir()
    entry = there.import_from(out, BASE)
    assert (entry.name, entry.state, entry.id) == ("wheat_ leaves_2", "imported", library["first"].id)
    assert there.import_from(out, BASE) == entry and len(there.entries()) == 1  # it is there already
    an_adapter(3).save(out)
    assert there.import_from(out, BASE).key == "wheat_ leaves_2-2" and there[entry.key].id == entry.id
    with pytest.raises(UserError, match="own adapters"):
        library.export_to("first", library["first"].path)
    data = bytearray(library["first"].path.read_bytes())
    data[-1] ^= 1
    library["first"].path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        library.export_to("first", tmp_path / "broken")
    assert not (tmp_path / "broken.safetensors").exists()


def nan(path: Path) -> None:
    """An adapter whose checksum is right and whose values are not finite."""
    bad = an_adapter(float("nan"))
    object.__setattr__(bad, "check", lambda what: None)
    bad.save(path)


def unsealed(path: Path) -> None:
    """An adapter without a checksum, as the first version wrote it."""
    adapter = an_adapter(8)
    save_file(adapter.tensors, path, metadata={"naslora": adapter.meta.model_dump_json()})


def cut(path: Path) -> None:
    an_adapter(8).save(path)
    path.write_bytes(path.read_bytes()[:-5])


def flipped(path: Path) -> None:
    an_adapter(8).save(path)
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def other_text(path: Path) -> None:
    """Somebody made its report nicer."""
    adapter = an_adapter(8)
    adapter.save(path)
    data = path.read_bytes().replace(b"0.75", b"0.99")
    path.write_bytes(data)


def other_id(path: Path) -> None:
    an_adapter(8).save(path)
    path.write_bytes(path.read_bytes().replace(an_adapter(8).id.encode(), b"0" * 12))


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": np.zeros(3)}))


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)


def long_header(path: Path) -> None:
    with path.open("wb") as file:
        file.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
        file.truncate(2 * MAX_HEADER_BYTES)


@pytest.mark.parametrize(("make", "words"), [
    (lambda path: an_adapter(fingerprint=OTHER).save(path), "another base model"), (nan, "not finite"),
    (unsealed, "no checksum"), (cut, "damaged"), (flipped, "damaged"), (other_text, "damaged"), (other_id, "damaged"),
    (pickled, "damaged"), (huge, "larger than"), (long_header, "damaged"), (lambda path: None, "does not exist"),
    (lambda path: path.write_bytes(b""), "damaged"), (lambda path: path.mkdir(), "does not exist"),
    (lambda path: save_file({"a": torch.ones(2)}, path), "not a naslora-napari adapter"),
])  # fmt: skip
def test_what_is_no_sound_adapter_is_not_taken_over(
    library: AdapterLibrary, project: Path, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    before = sorted(os.listdir(project / "adapters"))
    make(tmp_path / "from outside.safetensors")
    with pytest.raises(UserError, match=words) as error:
        library.import_from(tmp_path / "from outside.safetensors", BASE)
    assert "from outside" in str(error.value) and ".tmp" not in str(error.value)
    assert sorted(os.listdir(project / "adapters")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
def test_links_and_pipes(library: AdapterLibrary, project: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UserError, match="a pipe"):
        library.import_from(tmp_path / "pipe.safetensors", BASE)
    an_adapter(4).save(tmp_path / "real.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real.safetensors")  # the person's own link is followed
    entry = library.import_from(tmp_path / "link.safetensors", BASE)
    assert not entry.path.is_symlink()
    (project / "adapters" / "stranger.safetensors").symlink_to(tmp_path / "real.safetensors")
    assert "stranger" not in {entry.key for entry in library.entries()}
    other = tmp_path / "q.naslora"
    other.mkdir()
    (other / "adapters").symlink_to(project / "adapters", target_is_directory=True)
    with pytest.raises(UserError, match="leads out"):
        AdapterLibrary(other.resolve()).entries()
    with pytest.raises(UserError, match="leads out"):
        AdapterLibrary(other.resolve()).import_from(tmp_path / "real.safetensors", BASE)


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not have")
@pytest.mark.parametrize("name", ["a\nb", "..\\..\\x", "con", ".hidden", "-rf", "é" * 100, "<b>x"])
def test_a_name_from_outside_is_made_one_that_every_system_has(
    library: AdapterLibrary, project: Path, tmp_path: Path, name: str
) -> None:
    an_adapter(5).save(tmp_path / "x.safetensors")
    os.rename(tmp_path / "x.safetensors", tmp_path / f"{name}.safetensors")
    entry = library.import_from(tmp_path / f"{name}.safetensors", BASE)
    assert entry.path.parent == project / "adapters" and library[entry.key] == entry
    assert not set(entry.path.name) & set('\\/:\n<>"|?*') and not entry.name.startswith(".")


def test_an_adapter_that_lies_in_its_report_is_shown_by_what_is_left(library: AdapterLibrary, project: Path) -> None:
    lies = {
        "validation": {"click": {"before": "0.5", "after": 2.0}, "box": [1]},
        "better": "yes", "reason": "<b>x</b>\n" * 1000, "objects": {"train": -1}, "images": True, "start": ["x"],
    }  # fmt: skip
    adapter = an_adapter(6, **lies)
    path = project / "adapters" / "liar.safetensors"
    adapter.save(path)
    entry = library["liar"]
    assert not entry.validation and entry.better is None and entry.state == "" and entry.objects is None
    assert entry.images is None and entry.parent == "" and len(entry.reason) <= 400 and "\n" not in entry.reason
    path.write_bytes(b"damaged")
    entry = library["liar"]
    assert entry.state == "damaged" and "liar" in entry.problem and entry in library.entries()
    library.delete("liar")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {"version": st.just(1), "in_use": JSON, "adapters": st.dictionaries(st.sampled_from(["first", ".."]), JSON)}
    )
    | JSON
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_index_is_read_or_left(library: AdapterLibrary, project: Path, content: Any) -> None:
    (project / "adapters" / FILE).write_text(json.dumps(content))
    assert {entry.key for entry in library.entries()} == {"first", "second"}
    assert all(entry.name and len(entry.name) <= LONGEST_NAME for entry in library.entries())
    library.rename("first", "mine")
    assert library["first"].name == "mine"


@pytest.mark.parametrize("content", [b"", b"\0" * 20, b"{", b"[" * 100_000, b'{"version": 2}', b"\xff\xfe"])
def test_a_damaged_index_costs_names_and_no_adapter(library: AdapterLibrary, project: Path, content: bytes) -> None:
    library.rename("first", "mine")
    (project / "adapters" / FILE).write_bytes(content)
    assert names(library) == ["lora, 8 objects"] * 2 and library.in_use is None


def test_an_index_that_leads_out_is_not_read(library: AdapterLibrary, project: Path, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("links")
    (tmp_path / "index.json").write_text(json.dumps({"version": 1, "in_use": "first", "adapters": {}}))
    (project / "adapters" / FILE).symlink_to(tmp_path / "index.json")
    assert read_index(project).in_use == "" and library.in_use is None


@given(st.text())
def test_what_is_shown_is_one_line(text: str) -> None:
    shown = clean(text)
    assert shown == clean(shown) and len(shown) <= LONGEST_NAME and "\n" not in shown and shown == shown.strip()


def test_the_tensors_are_those_of_the_file(library: AdapterLibrary, tmp_path: Path, project: Path) -> None:
    an_adapter(9).save(tmp_path / "x.safetensors")
    entry = library.import_from(tmp_path / "x.safetensors", BASE)
    found, wanted = load_file(entry.path), an_adapter(9).tensors
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in found)
