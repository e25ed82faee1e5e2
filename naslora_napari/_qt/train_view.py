"""What a training shows of itself: its curve, the architecture it searches, and held-out images."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from naslora_trainer.architecture import COLOURS, Architecture, short_names

from .curve import Curve
from .widgets import wrapped

#: Longer texts, in characters, are no pictures of a training, and larger pictures neither, in pixels.
LONGEST, LARGEST = 1 << 19, 1024
HEIGHT = 218


class TrainView(QTabWidget):
    """Three views of one training, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.curve, self.cells, self.sights = Curve(), Cells(), Sights()
        self.addTab(self.curve, "Curve")
        self.addTab(self.sights, "Held-out images")
        self.addTab(self.cells, "Architecture")
        self.setTabToolTip(0, "Loss, and Dice on objects that are held out")
        self.setTabToolTip(1, "White: your outline; orange: what the model answers to one click")
        self.setTabToolTip(2, "How probable each operation is in each adapted layer: the search chooses among them")
        self.setFixedHeight(HEIGHT)
        self.setDocumentMode(True)

    def start(self, steps: int) -> None:
        """Begin with a training of ``steps`` steps."""
        self.curve.start(steps)
        self.cells.show_layers(0, {})
        self.sights.show_pictures(0, [])

    def show_event(self, event: Mapping[str, Any]) -> None:
        """Show an event of kind ``architecture``, ``sights``, ``metric`` or ``progress``."""
        kind = event["event"]
        if kind == "architecture":
            self.cells.show_layers(event["step"], event["layers"])
        elif kind == "sights":
            self.sights.show_pictures(event["step"], event["pictures"])
        elif kind == "metric":
            self.curve.add("click", event["step"], event["click_dice"])
            self.curve.add("box", event["step"], event["box_dice"])
        elif kind == "progress" and event.get("loss") is not None:
            self.curve.add("loss", event["step"], event["loss"])

    def follow_theme(self, palette: QPalette) -> None:
        """Take the text colour of the window."""
        self.curve.follow_theme(palette)


class Sights(QWidget):
    """Held-out images with what was drawn and what the model answers now."""

    def __init__(self) -> None:
        super().__init__()
        self._row = QHBoxLayout()
        self._note = wrapped()
        self.pictures: list[QLabel] = []
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 4, 0, 0)
        whole.addLayout(self._row, 1)
        whole.addWidget(self._note)
        self.show_pictures(0, [])

    def show_pictures(self, step: int, pictures: Sequence[Mapping[str, Any]]) -> None:
        """Show the pictures of a ``sights`` event; what is no picture is left out."""
        images = [(str(one.get("name", "")), picture_in(one.get("jpeg"))) for one in pictures]
        known = [(name, image) for name, image in images if image is not None]
        while len(self.pictures) > len(known):
            self.pictures.pop().deleteLater()
        while len(self.pictures) < len(known):
            label = QLabel()
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            self.pictures.append(label)
            self._row.addWidget(label)
        side = HEIGHT - 70
        for label, (name, image) in zip(self.pictures, known, strict=True):
            label.setPixmap(_scaled(image, side, side))
            label.setToolTip(f"{name}, after {step} steps. White: your outline; orange: the model's.")
        self._note.setText(f"Step {step}: one click on each object, white is your outline" if known else "Not yet.")


class Cells(QWidget):
    """A bar for each adapted layer, divided as the probabilities of its operations are."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: Architecture = {}
        self._note = QLabel(alignment=Qt.AlignmentFlag.AlignBottom)
        self._note.setTextFormat(Qt.TextFormat.RichText)
        self._note.setWordWrap(True)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addStretch(1)
        whole.addWidget(self._note)
        self.show_layers(0, {})

    def show_layers(self, step: int, layers: Mapping[str, Mapping[str, float]]) -> None:
        """Show the probabilities of an ``architecture`` event."""
        self.layers = {path: dict(row) for path, row in layers.items()}
        names = list(dict.fromkeys(name for row in self.layers.values() for name in row))
        marks = (f'<span style="color:{_colour(name)}">■</span>&nbsp;{name}' for name in names)
        self._note.setText("&ensp;".join(marks) if names else "This training searches no architecture, or not yet.")
        self.setToolTip(_winners(step, self.layers))
        self.update()

    def paintEvent(self, event: Any) -> None:
        """Draw the bars."""
        if not self.layers:
            return
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        high = (self._note.y() - 6) / len(self.layers)
        for number, row in enumerate(self.layers.values()):
            left = 0.0
            for name, p in row.items():
                wide = p * self.width()
                painter.setBrush(QColor(_colour(name)))
                painter.drawRect(QRectF(left, 4 + number * high, wide, max(1.0, high - 1)))
                left += wide


def picture_in(text: Any) -> QImage | None:
    """Return the picture in a base64 text of an event; None for anything else."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    try:
        # PySide refuses the bytes that its stubs ask for.
        image = QImage.fromData(base64.b64decode(text, validate=True), "JPEG")  # type: ignore[arg-type]
    except (binascii.Error, ValueError):
        return None
    fits = not image.isNull() and max(image.width(), image.height()) <= LARGEST
    return image if fits else None


def _scaled(image: QImage, width: int, height: int) -> QPixmap:
    ratio, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image).scaled(width, height, ratio, smooth)


def _colour(name: str) -> str:
    return COLOURS.get(name, "#7f7f7f")


def _winners(step: int, layers: Architecture) -> str:
    """Return which operation is ahead in each layer."""
    names = short_names(list(layers))
    ahead = {path: max(row, key=lambda name: row[name]) for path, row in layers.items() if row}
    lines = (f"{names[path]}: {best} {layers[path][best]:.2f}" for path, best in ahead.items())
    return "\n".join([f"After {step} steps:", *lines]) if layers and math.isfinite(step) else ""
