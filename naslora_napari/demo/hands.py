"""A person at the window: moves the mouse, presses keys and buttons, waits, looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from napari import Viewer
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QDialogButtonBox, QFileDialog, QLineEdit, QWidget

from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Point, Prediction

from .._qt import driving
from .._qt.canvas import IMAGE
from .._qt.dock import NasLoraDock

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
POLL_MS = 4
#: How long a model on a slow machine may take to answer, in seconds.
ANSWER_S = 120.0


#: A hand that aims comes from so far, in pixels of the canvas, in so many ms; the mouse tells where it is every so many
#: ms.
REACH, REACH_MS, TELLS_MS = 300, 400, 8


class Took(NamedTuple):
    """Milliseconds from the mouse button until napari had the answer's mask, and until a frame with it was shown."""

    handed: float
    drawn: float


def pause(milliseconds: int) -> None:
    """Let the window work for a while. vispy's replacement of ``QTest.qWait`` would keep a processor core busy."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class Hands:
    """Drives a window with real mouse and key events.

    Parameters
    ----------
    viewer : Viewer
        The window.
    dock : NasLoraDock
        Open in it.
    rest_s : float
        Pause after each action, for a person who watches.
    """

    def __init__(self, viewer: Viewer, dock: NasLoraDock, rest_s: float = 0.0) -> None:
        self.viewer, self.dock, self.rest_s = viewer, dock, rest_s
        self._told = len(notification_manager.records)

    def wait(self, happened: Callable[[], bool], what: str, timeout_s: float = ANSWER_S) -> None:
        """Let the window work until something has happened.

        Raises
        ------
        UserError
            It has not; the sentence names ``what`` and the window's last complaint.
        """
        end = time.monotonic() + timeout_s
        while not happened():
            if time.monotonic() > end:
                raise UserError(f"Waited {timeout_s:.0f} s in vain for {what}.", self.complaint())
            pause(POLL_MS)

    def complaint(self) -> str:
        """Return the last warning or error that the window showed, or nothing."""
        for record in reversed(list(notification_manager.records)[self._told :]):
            if record.severity >= NotificationSeverity.WARNING:
                return f"The window said: {record.message}"
        return ""

    def rest(self) -> None:
        """Pause, with the window alive."""
        pause(max(20, round(1000 * self.rest_s)))

    def press(self, button: QAbstractButton) -> None:
        """Click on a button of the dock.

        Raises
        ------
        UserError
            It is not shown or greyed out.
        """
        self.wait(lambda: button.isVisible() and button.isEnabled(), f"the button “{button.text()}”", 30)
        QTest.mouseClick(button, LEFT)

    def key(self, key: Qt.Key) -> None:
        """Press a key over the canvas."""
        driving.press(self.viewer, key)
        self.rest()

    def choose_folder(self, button: QAbstractButton, folder: Path) -> None:
        """Press a button that asks for a folder, and choose one in the dialog.

        Raises
        ------
        UserError
            No dialog came.
        """
        waiting = iter(range(200))
        found: list[QFileDialog] = []

        def fill_in() -> None:
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, QFileDialog):
                found.append(dialog)
                choose_in(dialog, folder)
            elif next(waiting, None) is not None:
                QTimer.singleShot(50, fill_in)

        QTimer.singleShot(50, fill_in)
        self.press(button)
        if not found:
            raise UserError(f"The button “{button.text()}” asked for no folder.", self.complaint())

    def click(self, place: Point, negative: bool = False) -> Prediction:
        """Click on a place (row, col) of the image and return the answer that then is on the screen."""
        return self.timed_click(place, negative)[0]

    def timed_click(self, place: Point, negative: bool = False, still_ms: int | None = None) -> tuple[Prediction, Took]:
        """Click, and return the answer and what it took from the button on.

        Parameters
        ----------
        place : (row, col)
            Of the image.
        negative : bool
            Click with the right button.
        still_ms : int, optional
            The mouse comes as a hand does and stands still for so long before the button; None: it jumps there.
        """
        layer = self.dock.canvas.layers[IMAGE]
        if still_ms is not None:
            self._approach(driving.canvas_position(self.viewer, layer, place))
            pause(still_ms)
        return self._answer(lambda: driving.click(self.viewer, layer, place, RIGHT if negative else LEFT))

    def _approach(self, target: QPoint) -> None:
        """Move the mouse to a pixel of the canvas as a hand does: minimum jerk (Flash and Hogan 1985)."""
        canvas = driving.canvas_widget(self.viewer)
        away = QPoint(-REACH if target.x() > REACH else REACH, 0)
        started = time.perf_counter()
        share = 0.0
        while share < 1:
            share = min(1.0, 1000 * (time.perf_counter() - started) / REACH_MS)
            left = 1 - share**3 * (10 - 15 * share + 6 * share**2)
            QTest.mouseMove(canvas, target + away * left)
            pause(TELLS_MS)

    def drag_box(self, box: tuple[float, float, float, float]) -> Prediction:
        """Draw a box (row0, col0, row1, col1) and return the answer."""
        self.press(self.dock.prompt_panel.mode_buttons["box"])
        corners = [(row - 0.5, col - 0.5) for row, col in (box[:2], box[2:])]  # from pixel edges to pixel centres
        layer = self.dock.canvas.layers[IMAGE]
        found, _ = self._answer(lambda: driving.drag(self.viewer, layer, corners[0], corners[1]))
        self.press(self.dock.prompt_panel.mode_buttons["click"])
        self.rest()
        return found

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole window."""
        pause(150)
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)

    def frame_of(self, widget: QWidget) -> tuple[int, int, int, int]:
        """Return where a widget is in a screenshot: (left, top, right, bottom)."""
        corner = widget.mapTo(widget.window(), QPoint(0, 0))
        return self._scaled(corner.x(), corner.y(), corner.x() + widget.width(), corner.y() + widget.height())

    def frame_around(self, place: Point, reach: float) -> tuple[int, int, int, int]:
        """Return where a square of the image is in a screenshot, moved so that it lies in the image.

        Parameters
        ----------
        place : (row, col)
            Its centre.
        reach : float
            Half its side, in pixels of the image.
        """
        layer, canvas = self.dock.canvas.layers[IMAGE], driving.canvas_widget(self.viewer)
        row, col = (min(max(x, reach), n - reach) - 0.5 for x, n in zip(place, layer.data.shape, strict=False))
        first, last = (driving.canvas_position(self.viewer, layer, (row + d, col + d)) for d in (-reach, reach))
        corner = canvas.mapTo(canvas.window(), QPoint(0, 0))
        return self._scaled(
            corner.x() + first.x(), corner.y() + first.y(), corner.x() + last.x(), corner.y() + last.y()
        )

    def _scaled(self, *pixels: int) -> tuple[int, int, int, int]:
        ratio = self.dock.devicePixelRatioF()
        left, top, right, bottom = (round(ratio * pixel) for pixel in pixels)
        return left, top, right, bottom

    def _answer(self, act: Callable[[], None]) -> tuple[Prediction, Took]:
        """Do something that asks the model; wait until a frame with the new answer was shown."""
        dock, shown = self.dock, self.shown
        before = shown()
        moments: dict[str, float] = {}
        loop = QEventLoop()  # asking again and again whether it is there would slow the model's thread down

        def answered() -> None:
            if shown() is not None and shown() is not before:
                moments.setdefault("answered", time.perf_counter())

        def drawn() -> None:
            if "answered" in moments:
                moments.setdefault("drawn", time.perf_counter())
                loop.quit()

        frames = driving.canvas_widget(self.viewer).frameSwapped  # type: ignore[attr-defined]
        dock.previewChanged.connect(answered)
        frames.connect(drawn)
        started = time.perf_counter()
        try:
            act()
            if "drawn" not in moments:
                QTimer.singleShot(round(1000 * ANSWER_S), loop, loop.quit)
                loop.exec()
            self.wait(lambda: "drawn" in moments, "the answer to a prompt", 0)
        finally:
            dock.previewChanged.disconnect(answered)
            frames.disconnect(drawn)
        prediction = shown()
        if prediction is None:
            raise UserError("The answer to a prompt went away at once.", self.complaint())
        return prediction, Took(1000 * (moments["answered"] - started), 1000 * (moments["drawn"] - started))

    def shown(self) -> Prediction | None:
        """Return the answer that the window shows now."""
        return None if self.dock.session is None else self.dock.session.preview


def choose_in(dialog: QFileDialog, folder: Path) -> None:
    """Type a path into a file dialog and accept it."""
    edit, buttons = dialog.findChild(QLineEdit, "fileNameEdit"), dialog.findChild(QDialogButtonBox)
    if edit is None or buttons is None:
        dialog.reject()
        return
    edit.setText(str(folder))
    accept = next(b for b in buttons.buttons() if buttons.buttonRole(b) == QDialogButtonBox.ButtonRole.AcceptRole)
    QTest.mouseClick(accept, LEFT)
