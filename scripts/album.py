"""A person at the window who takes pictures of it: of all of it, the image, panels, dialogs."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari._qt.dialogs.qt_notification import NapariQtNotification
from PIL import Image
from qtpy.QtCore import QBuffer, QIODevice, QPoint, QTimer
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog, QInputDialog, QLineEdit, QScrollArea, QWidget

from naslora_napari._qt.canvas import IMAGE
from naslora_napari.demo.hands import Hands, choose_in, pause

#: A picture has so many colours: a mask on a gray image needs no more, and files stay small.
COLOURS = 255
#: Half the side of a piece of an image, in its pixels.
REACH = 40.0
#: Messages come one after the other; so often it is looked whether there is one.
MOST_TOLD = 20


class Album:
    """Takes pictures of a window and writes them.

    Parameters
    ----------
    hands : Hands
        At the window.
    out : Path
        Folder for the pictures.
    work : Path
        Folder for what is worked on.
    """

    def __init__(self, hands: Hands, out: Path, work: Path) -> None:
        self.hands, self.dock, self.viewer = hands, hands.dock, hands.viewer
        self.out, self.work = out, work
        self.made: list[str] = []

    def window(self, name: str) -> None:
        """Take the whole window."""
        self.save(name, self.seen())

    def image(self, name: str) -> None:
        """Take the image with what is drawn on it."""
        layer = self.dock.canvas.layers[IMAGE]
        (left, top, *_), (*_, right, bottom) = (
            self.hands.frame_around(place, 1) for place in ((0, 0), tuple(layer.data.shape[:2]))
        )
        self.save(name, self.seen().crop((left, top, right, bottom)))

    def panels(self, name: str, *widgets: QWidget) -> None:
        """Take panels of the dock that are below each other."""
        (scroll,) = (area for area in self.dock.findChildren(QScrollArea) if area.isAncestorOf(self.dock.status))
        for widget in reversed(widgets):
            scroll.ensureWidgetVisible(widget)
            pause(50)
        frames = [self.hands.frame_of(widget) for widget in widgets]
        left, top = (min(frame[i] for frame in frames) for i in (0, 1))
        right, bottom = (max(frame[i] for frame in frames) for i in (2, 3))
        self.save(name, self.seen().crop((left - 4, top - 4, right + 4, bottom + 4)))

    def widget(self, name: str, widget: QWidget) -> None:
        """Take a dialog."""
        pause(200)
        self.save(name, picture_of(widget))

    def piece(self, path: Path, place: tuple[float, float]) -> tuple[Path, tuple[int, int, int, int]]:
        """Keep what is around a place of the image for the overview."""
        self.seen().save(path)
        return path, self.hands.frame_around(place, REACH)

    def keep(self, name: str, picture: Path) -> None:
        """Take over a picture that something else made."""
        with Image.open(picture) as image:
            self.save(name, image.convert("RGB"))

    def seen(self) -> Image.Image:
        """Return what is seen of the window."""
        for _ in range(MOST_TOLD):
            pause(250)
            told = [box for box in self.dock.window().findChildren(NapariQtNotification) if box.isVisible()]
            if not told:
                break
            for box in told:
                box.close()  # what was told may hold a path
        return Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")

    def save(self, name: str, picture: Image.Image) -> None:
        """Write a picture."""
        few = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(self.out / f"{name}.png", "PNG", optimize=True)
        self.made.append(name)
        print(f"{name}.png  {(self.out / f'{name}.png').stat().st_size / 1000:.0f} kB", file=sys.stderr)


def opens_image(hands: Hands, act: Callable[[], object]) -> None:
    """Do what opens an image, and wait until it is open."""
    ready: list[str] = []
    hands.dock.imageReady.connect(ready.append)
    try:
        act()
        hands.wait(lambda: bool(ready), "the opening of an image")
    finally:
        hands.dock.imageReady.disconnect(ready.append)
    hands.rest()


def open_dialog(title: str) -> QDialog | None:
    """Return the dialog that is open, by its title or the only one."""
    dialogs = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
    return next((w for w in dialogs if not title or w.windowTitle() == title), None)


def in_file_dialog(path: Path, act: Callable[[], object]) -> None:
    """Do what asks for a file or folder, and choose one."""
    _when_modal(QFileDialog, lambda dialog: choose_in(dialog, path))
    act()


def type_in(text: str, act: Callable[[], object]) -> None:
    """Do what asks for a line of text, and type it."""

    def fill_in(dialog: Any) -> None:
        dialog.findChild(QLineEdit).setText(text)
        dialog.accept()

    _when_modal(QInputDialog, fill_in)
    act()


def _when_modal(kind: type[QDialog], act: Callable[[Any], object]) -> None:
    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind):
            act(dialog)
        else:
            QTimer.singleShot(50, look)

    QTimer.singleShot(50, look)


def picture_of(widget: QWidget) -> Image.Image:
    """Return a widget as it paints itself."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.ReadWrite)
    widget.grab().save(buffer, "PNG")
    return Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")


def on_screen(widget: QWidget) -> Image.Image:
    """Return what is seen of a widget on the screen, with a list that is open over it."""
    corner = widget.mapToGlobal(QPoint(0, 0))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.ReadWrite)
    seen = QApplication.primaryScreen().grabWindow(0, corner.x(), corner.y(), widget.width(), widget.height())
    seen.save(buffer, "PNG")
    return Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")
