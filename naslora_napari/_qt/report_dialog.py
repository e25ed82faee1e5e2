"""The report of an error, to be read before it is copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari import current_viewer
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from ..doctor import examine
from ..reporting import report_text
from .notify import last_error, said
from .reader import docks_in
from .tasks import Tasks
from .widgets import button, wrapped

LOOKS = "Looking at this computer…"
PRIVATE = (
    "Nothing is sent. Paths and the names of you, this computer, project and images are left out; read it before you "
    "share it."
)


class ReportDialog(QDialog):
    """Shows the report as soon as the computer was looked at, in a thread, and copies it.

    Parameters
    ----------
    error : BaseException or None
        What went wrong.
    told : sequence of str
        What the person was told lately.
    names : mapping of str to str
        What is private, and what stands in its place.
    """

    def __init__(
        self,
        error: BaseException | None,
        told: Sequence[str],
        names: Mapping[str, str],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Report")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.text = QPlainTextEdit(LOOKS)
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName("Report")
        self.text.setToolTip("Select a part to copy only that, with Ctrl+C")
        self.copy_button = button("Copy", self._copy, "Put the whole report on the clipboard")
        self.copy_button.setEnabled(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        rows = QVBoxLayout(self)
        rows.addWidget(wrapped(PRIVATE))
        rows.addWidget(self.text, 1)
        rows.addWidget(buttons)
        self.resize(760, 480)
        self._tasks = Tasks(self, "naslora-report")
        self._tasks.run(lambda: report_text(examine(), told, error, names), self._show)

    def done(self, result: int) -> None:
        """End the thread."""
        self._tasks.close()
        super().done(result)

    def _show(self, text: str) -> None:
        self.text.setPlainText(text)
        self.copy_button.setEnabled(True)

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.text.toPlainText())
        self.copy_button.rename("Copied")


def open_report(error: BaseException | None = None) -> ReportDialog:
    """Show the report of an error, by default of the last one if there was any, in the current window."""
    viewer = current_viewer()
    docks = [] if viewer is None else docks_in(viewer)
    names: dict[str, str] = {}
    for project in (dock.project for dock in docks if dock.project is not None):
        names |= {entry.name: "<image>" for entry in project.images}
        names |= {entry.path.name: "<image>" for entry in project.images}
        names[project.name] = "<project>"
    dialog = ReportDialog(error or last_error(), said(), names, docks[0].window() if docks else None)
    dialog.show()
    return dialog
