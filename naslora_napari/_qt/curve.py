"""The live curve of a fine-tune."""

from __future__ import annotations

import pyqtgraph
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

from .colours import BOXES, CLICKS, LOSS


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
            "loss": self._plot.plot(name="loss"),
            "click": self._plot.plot(name="Dice: click", symbol="o", symbolSize=7),
            "box": self._plot.plot(name="box", symbol="s", symbolSize=7),
        }
        self.points: dict[str, list[tuple[float, float]]] = {key: [] for key in self._lines}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plot)
        self.follow_theme(self.palette())

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
        """Take the text colour of the window, and colours that stand out from it."""
        color = palette.color(QPalette.ColorRole.WindowText)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(color)
            axis.setTextPen(color)
        self._legend.setLabelTextColor(QColor(color))
        for key, of_line, width in (("loss", LOSS, 1.5), ("click", CLICKS, 2.5), ("box", BOXES, 2.5)):
            line = self._lines[key]
            line.setPen(pyqtgraph.mkPen(of_line.on(palette), width=width))
            if key != "loss":
                line.setSymbolBrush(of_line.on(palette))
                line.setSymbolPen(None)

    def _draw(self) -> None:
        for key, line in self._lines.items():
            line.setData([s for s, _ in self.points[key]], [v for _, v in self.points[key]])
