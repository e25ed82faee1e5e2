"""How a quantity is distributed over a run, with two lines between which it passes."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ..batch.doubt import ANY, QUANTITIES, Quantity
from ..batch.review import Review
from .colours import FAILS, PASSES
from .image_list import SearchField

TITLES: dict[Quantity, str] = {
    "area": "Size of objects",
    "confidence": "Confidence of objects",
    "count": "Objects per image",
}
BINS = 40
#: The gallery follows a line that is dragged so often, in ms.
FOLLOW_MS = 60


class LogAxis(pyqtgraph.AxisItem):
    """An axis whose values may be logarithms, and which shows what they are of."""

    logarithmic = False

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Return the texts of ticks."""
        if not self.logarithmic:
            return list(super().tickStrings(values, scale, spacing))
        return [f"{float(f'{10**value:.2g}'):,.10g}" for value in values]


class Distribution(QWidget):
    """A histogram of one quantity at a time; the lines can be dragged, or typed into the fields below."""

    #: The limits of a quantity are others: its name, the lower and the upper one; and whether the hand has let go.
    limited = Signal(str, float, float, bool)

    def __init__(self) -> None:
        super().__init__()
        self._review: Review | None = None
        self._edges = np.zeros(2)
        self.choice = QComboBox()
        self.choice.setToolTip("What is plotted")
        for quantity in QUANTITIES:
            self.choice.addItem(TITLES[quantity], quantity)
        self._axis = LogAxis("bottom")
        self.plot = pyqtgraph.PlotWidget(background=None, axisItems={"bottom": self._axis})
        self.plot.setMouseEnabled(False, False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.hideAxis("left")
        self.plot.setMinimumHeight(70)
        self.plot.setToolTip("Drag the lines: what lies outside of them fails, and is shown in orange")
        self._bars = pyqtgraph.BarGraphItem(x=[], height=[], width=1)
        self.plot.addItem(self._bars)
        self.lines = [pyqtgraph.InfiniteLine(movable=True, pen=pyqtgraph.mkPen(FAILS, width=3)) for _ in range(2)]
        self._follow = QTimer(self, singleShot=True, interval=FOLLOW_MS)
        self._follow.timeout.connect(lambda: self._dragged(False))
        for line in self.lines:
            line.setHoverPen(pyqtgraph.mkPen(FAILS, width=6))
            self.plot.addItem(line)
            line.sigDragged.connect(lambda _: self._follow.start() if not self._follow.isActive() else None)
            line.sigPositionChangeFinished.connect(lambda _: self._dragged(True))
        self.fields = [SearchField(), SearchField()]
        for field, side in zip(self.fields, ("Lower", "Upper"), strict=True):
            field.setPlaceholderText("no limit")
            field.setAccessibleName(f"{side} limit")
            field.setToolTip(f"{side} limit; empty: there is none")
            field.editingFinished.connect(self._typed)
        self._unit = QLabel()
        self.choice.currentIndexChanged.connect(lambda _: self.show_quantity())
        row = QHBoxLayout()
        for widget in (QLabel("from"), self.fields[0], QLabel("to"), self.fields[1], self._unit):
            row.addWidget(widget)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.choice)
        rows.addWidget(self.plot, 1)
        rows.addLayout(row)

    @property
    def quantity(self) -> Quantity:
        """What is plotted."""
        found: Quantity = self.choice.currentData()
        return found

    def use(self, review: Review) -> None:
        """Plot a run."""
        self._review = review
        self.show_quantity()

    def show_quantity(self) -> None:
        """Plot the chosen quantity, with its limits as they are now."""
        if self._review is None:
            return
        self._axis.logarithmic = self.quantity == "area"
        values = self._to_axis(self._review.values(self.quantity))
        if len(values):
            low, high = float(values.min()), float(values.max())
            if self.quantity == "count":
                low, high = low - 0.5, high + 0.5
            bins = min(BINS, round(high - low) if self.quantity == "count" else max(8, round(2 * len(values) ** 0.5)))
            spare = 0.02 * (high - low) or 0.5
            heights, self._edges = np.histogram(values, max(1, bins), (low - spare, high + spare))
        else:
            heights, self._edges = np.zeros(1), np.array([0.0, 1.0])
        width = self._edges[1] - self._edges[0]
        self._bars.setOpts(x=(self._edges[:-1] + self._edges[1:]) / 2, height=heights, width=0.9 * width)
        self.plot.setXRange(self._edges[0] - width / 2, self._edges[-1] + width / 2, padding=0.02)
        self.plot.setYRange(0, max(1, heights.max()), padding=0.05)
        self._unit.setText({"area": self._review.run.objects.unit, "confidence": "", "count": "objects"}[self.quantity])
        self.show_limits()

    def show_limits(self) -> None:
        """Show the limits as they are now."""
        if self._review is None:
            return
        limits = getattr(self._review.limits, self.quantity)
        margin = (self._edges[1] - self._edges[0]) / 2
        ends = self._edges[0] - margin, self._edges[-1] + margin
        low, high = (
            end if math.isinf(edge) else float(np.clip(self._to_axis(np.array([edge]))[0], *ends))
            for edge, end in zip(limits, ends, strict=True)
        )
        bounds = (ends[0], high), (low, ends[1])  # one line cannot be dragged over the other
        for line, place, between, field, edge in zip(self.lines, (low, high), bounds, self.fields, limits, strict=True):
            line.setBounds((None, None))
            line.setValue(place)
            line.setBounds(between)
            field.setText("" if math.isinf(edge) else f"{edge:.6g}")
        middles = (self._edges[:-1] + self._edges[1:]) / 2
        passing = (middles >= low) & (middles <= high)
        self._bars.setOpts(brushes=[QColor(PASSES if fine else FAILS) for fine in passing], pen=None)

    def follow_theme(self, palette: QPalette) -> None:
        """Take the colours of the window."""
        self.plot.setBackground(palette.color(QPalette.ColorRole.Window))
        color = palette.color(QPalette.ColorRole.WindowText)
        self._axis.setPen(color)
        self._axis.setTextPen(color)

    def _dragged(self, done: bool) -> None:
        """Take over where the lines are; at the ends of the plot there is no limit."""
        self._follow.stop()
        margin = 0.49 * (self._edges[1] - self._edges[0])
        places = sorted(float(line.value()) for line in self.lines)
        low = ANY[0] if places[0] <= self._edges[0] - margin else self._from_axis(places[0])
        high = ANY[1] if places[1] >= self._edges[-1] + margin else self._from_axis(places[1])
        self.limited.emit(self.quantity, low, high, done)

    def _typed(self) -> None:
        if self._review is None:
            return
        pair = [_number(field.text(), none) for field, none in zip(self.fields, ANY, strict=True)]
        old = getattr(self._review.limits, self.quantity)
        if [f"{edge:.6g}" for edge in pair] != [f"{edge:.6g}" for edge in old]:
            self.limited.emit(self.quantity, *pair, True)
        else:
            self.show_limits()

    def _to_axis(self, values: np.ndarray) -> np.ndarray:
        return np.log10(np.maximum(values, 1e-9)) if self.quantity == "area" else values

    def _from_axis(self, value: float) -> float:
        if self.quantity == "area":
            return float(f"{10**value:.3g}")
        return float(f"{value:.3g}") if self.quantity == "confidence" else round(value)


def _number(text: str, none: float) -> float:
    """Return what was typed; ``none`` where it is no number."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return none
    return value if abs(value) < 1e15 else none
