"""The live curve of a fine-tune."""

from __future__ import annotations

import pyqtgraph
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

#: Colours of Okabe and Ito, which colour-blind eyes tell apart.
LOSS, CLICKS, BOXES = "#999999", "#56b4e9", "#e69f00"


class Curve(QWidget):
    """Loss over steps, and Dice on held-out objects for clicks and boxes."""

    def __init__(self) -> None:
        super().__init__()
        self._plot = pyqtgraph.PlotWidget(background=None)
        self._plot.setFixedHeight(170)
        self._plot.setMouseEnabled(False, False)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._legend = self._plot.addLegend(offset=(8, 1), labelTextSize="8pt", colCount=3)
        self._lines = {
            "loss": self._plot.plot(pen=pyqtgraph.mkPen(LOSS, width=1.5), name="loss"),
            "click": self._line(CLICKS, "Dice: click", "o"),
            "box": self._line(BOXES, "box", "s"),
        }
        self.points: dict[str, list[tuple[float, float]]] = {key: [] for key in self._lines}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plot)

    def start(self, steps: int) -> None:
        """Clear the curve for a run of ``steps`` steps."""
        self.points = {key: [] for key in self._lines}
        self._plot.setXRange(0, max(1, steps), padding=0.02)
        self._plot.setYRange(0, 1.2, padding=0)  # room for the legend
        self._draw()

    def add(self, key: str, step: float, value: float) -> None:
        """Add a point to ``loss``, ``click`` or ``box``."""
        self.points[key].append((step, value))
        self._lines[key].setData([s for s, _ in self.points[key]], [v for _, v in self.points[key]])

    def follow_theme(self, palette: QPalette) -> None:
        """Take the text colour of the window."""
        color = palette.color(QPalette.ColorRole.WindowText)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(color)
            axis.setTextPen(color)
        self._legend.setLabelTextColor(QColor(color))

    def _line(self, color: str, name: str, symbol: str) -> pyqtgraph.PlotDataItem:
        pen = pyqtgraph.mkPen(color, width=2.5)
        return self._plot.plot(pen=pen, name=name, symbol=symbol, symbolSize=7, symbolBrush=color, symbolPen=None)

    def _draw(self) -> None:
        for key, line in self._lines.items():
            line.setData([s for s, _ in self.points[key]], [v for _, v in self.points[key]])
