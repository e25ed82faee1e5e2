"""The dialog of models alone: what a person types, drops and presses becomes a signal; nothing needs a canvas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit

from naslora_napari._qt.library_dialog import BASE, NAME, NOTE, LibraryDialog
from naslora_napari.store.adapter_entries import AdapterEntry

LEFT = Qt.MouseButton.LeftButton


def entry(key: str, **values: object) -> AdapterEntry:
    shown = {"name": f"<b>{key}", "note": "", "created": datetime(2026, 11, 1, tzinfo=UTC)} | values
    return AdapterEntry(key, Path(f"{key}.safetensors"), **shown)  # type: ignore[arg-type]


@pytest.fixture
def dialog(qtbot: QtBot) -> LibraryDialog:
    """A dialog with the base model, ``one`` in use, ``two``, and a damaged one."""
    made = LibraryDialog()
    qtbot.addWidget(made)
    entries = [
        entry("one", validation={"click": (0.5, 0.6)}),
        entry("two", reason="x < y"),
        entry("no", problem="Bad."),
    ]
    made.show_entries("base", entries, "one")
    made.show()
    return made


def buttons(dialog: LibraryDialog) -> str:
    """The first letters of the buttons that can be pressed."""
    made = (dialog.use_button, dialog.rename_button, dialog.note_button, dialog.export_button, dialog.delete_button)
    return "".join(button.text()[0] for button in made if button.isEnabled())


@pytest.mark.parametrize(
    ("chosen", "can"), [([BASE], "U"), (["one"], "RNE"), (["two"], "URNED"), (["no"], "RNED"), (["one", "two"], "")]
)
def test_what_can_be_done_with_what_is_selected(dialog: LibraryDialog, chosen: list[str], can: str) -> None:
    assert dialog.selected() == ["one"]
    dialog.select(chosen)
    assert dialog.selected() == chosen and buttons(dialog) == can
    assert ("<b>Name</b>" in dialog.details.text()) == (chosen != [BASE])


def test_texts_of_files_are_shown_as_they_are(dialog: LibraryDialog) -> None:
    dialog.select(["one", "two"])
    assert "&lt;b&gt;one" in dialog.details.text() and "x &lt; y" in dialog.details.text()
    assert dialog.table.item(1, NAME).text() == "<b>one" and dialog.table.item(1, NAME).toolTip() == "&lt;b&gt;one"


@pytest.mark.parametrize(("column", "signal"), [(NAME, "renamed"), (NOTE, "noted")])
def test_names_and_notes_are_typed_in_the_table(dialog: LibraryDialog, qtbot: QtBot, column: int, signal: str) -> None:
    dialog.select(["two"])
    with qtbot.waitSignal(getattr(dialog, signal)) as told:
        qtbot.mouseClick(dialog.rename_button if column == NAME else dialog.note_button, LEFT)
        (editor,) = dialog.table.findChildren(QLineEdit)
        editor.selectAll()
        QTest.keyClicks(editor, "wheat leaves")
        QTest.keyClick(editor, Qt.Key.Key_Return)
    assert told.args == ["two", "wheat leaves"] and dialog.isVisible()


def test_use_and_delete_name_the_model(dialog: LibraryDialog, qtbot: QtBot) -> None:
    for key, button, signal in (
        ("two", dialog.use_button, dialog.use_asked),
        (BASE, dialog.use_button, dialog.use_asked),
        ("two", dialog.delete_button, dialog.delete_asked),
    ):
        dialog.select([key])
        with qtbot.waitSignal(signal) as told:
            qtbot.mouseClick(button, LEFT)
        assert told.args == [key]


def test_files_are_dropped_and_chosen(
    dialog: LibraryDialog, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    dialog.import_asked.connect(asked.append)
    wanted = tmp_path / "from Ada.safetensors"

    def drop(*paths: Path) -> list[bool]:
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        how = (Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier)
        accepted = []
        for event in (QDragEnterEvent(QPoint(20, 20), *how), QDropEvent(QPointF(20, 20), *how)):
            event.setAccepted(False)
            QApplication.sendEvent(dialog, event)
            accepted.append(event.isAccepted())
        return accepted

    assert drop(wanted, tmp_path / "x.txt") == [True, True] and asked == [wanted]
    assert drop(tmp_path / "x.pth")[0] is False and asked == [wanted]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(wanted), ""))
    qtbot.mouseClick(dialog.import_button, LEFT)
    assert asked == [wanted] * 2
    monkeypatch.setattr(QFileDialog, "getSaveFileName", _chosen(tmp_path))
    dialog.select(["two"])
    with qtbot.waitSignal(dialog.export_asked) as told:
        qtbot.mouseClick(dialog.export_button, LEFT)
    assert told.args == ["two", tmp_path / "_b_two.safetensors"]


def _chosen(folder: Path) -> Callable[..., tuple[str, str]]:
    """Somebody who takes the proposed name."""
    return lambda parent, title, proposed, kinds: (str(folder / proposed), "")
