"""A report of an error holds no private path and no private name."""

from __future__ import annotations

import re
import traceback
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslora_napari.doctor import Check
from naslora_napari.reporting import PATH, own_names, redacted, report_text
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_image

#: In every part of a path that is private here.
MARK = "Zq7x"
#: All of a name but what separates paths; line breaks are escaped by whatever tells of a path.
LETTERS = st.characters(blacklist_characters="/\\\n\0", blacklist_categories=["Cs"])
PARTS = st.lists(st.builds(lambda a, b: f"{a}{MARK}{b}", *2 * [st.text(LETTERS, max_size=6)]), min_size=1, max_size=4)
STYLES = (
    lambda parts: "/" + "/".join(parts),
    lambda parts: "/home/" + "/".join(parts) + "/",
    lambda parts: "~/" + "/".join(parts),
    lambda parts: "C:\\Users\\" + "\\".join(parts),
    lambda parts: "d:/" + "/".join(parts),
    lambda parts: "\\\\server\\" + "\\".join(parts),
    lambda parts: "file:///" + quote("/".join(parts)),
    lambda parts: "file:" + quote(parts[0]),
    lambda parts: "tcp://" + "/".join(parts),
)
SENTENCES = (
    "The image {} does not exist. Choose another file.",
    "[Errno 2] No such file or directory: {!r}",
    "rename {!r} -> {!r}",
    "opening '{}' (page 3) failed",
    "read(filename={!r}, mode='r')",
    "{}: cut off",
    "The files “{}” and (“{}”) differ",
)


@given(PARTS, st.sampled_from(STYLES), st.sampled_from(SENTENCES))
def test_no_path_survives(parts: list[str], style: object, sentence: str) -> None:
    path = style(parts)  # type: ignore[operator]
    found = redacted(sentence.format(path, path), {})
    assert MARK not in found and PATH in found
    assert "The image" in found or "The image" not in sentence


@given(st.text(LETTERS, min_size=1), st.text())
def test_no_name_survives(name: str, text: str) -> None:
    found = redacted(f"{text} {name} {text} ({name.upper()})", {name: "<user>"})
    assert not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", found.replace("<user>", "").replace("<name>", ""), re.I)


def test_what_says_nothing_of_a_person_stays() -> None:
    text = "The training ended: out of memory (3.2 GB of 8.0 GB, 12% free); it can't go on."
    assert redacted(text, {"jane": "<user>"}) == text
    assert redacted("open('/home/jane/a b.tif') failed", {}) == f"open('{PATH}') failed"
    assert redacted("By Jane on JANES-PC.", {"jane": "<user>", "janes-pc": "<computer>"}) == "By <user> on <computer>."


def _failing(path: str) -> BaseException:
    try:
        try:
            read_image(path)  # type: ignore[arg-type]
        except UserError as error:
            raise RuntimeError(f"while opening {path}") from error
    except RuntimeError as error:
        return error
    raise AssertionError("the image was read")


@pytest.mark.parametrize("kind", [PurePosixPath, PureWindowsPath])
def test_the_report_tells_what_went_wrong_where_and_on_what(kind: type[PurePosixPath | PureWindowsPath]) -> None:
    path = kind(f"/{MARK}/my cells/{MARK}.tif")
    error = _failing(str(path))
    checks = [Check("qt", "ok", "PySide6 6.10"), Check("cache", "warn", f"/home/{MARK}/.cache, 1 GB", "Delete it.")]
    text = report_text(checks, [f"WARNING: {path} is damaged"], error, {"my project": "<project>", "6": "<image>"})
    assert MARK not in text and all(name not in text for name in own_names())
    for told in ("naslora-napari ", "ok   qt: PySide6 6.10", "warn cache: <path> (Delete it.)", "RuntimeError: while"):
        assert told in text, told
    assert re.search(r"naslora_trainer\.\w+, line \d+, in \w+: \w+", text) and "which came of" in text
    assert MARK in "".join(traceback.format_exception(error))  # which is why nobody should copy that
