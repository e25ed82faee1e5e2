"""Colours that colour-blind eyes tell apart and that stand out from the window; no meaning is told by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtGui import QColor, QPalette

#: On the image: prompts on the object and on the background, labelled areas, and the mask that is proposed.
POSITIVE, NEGATIVE, AREA, MASK = "#2f9cf4", "#ff5a00", "#d98ca6", "#ffd91a"


@dataclass(frozen=True)
class Themed:
    """A colour for the dark theme, and one for the light theme."""

    dark: str
    light: str

    def on(self, palette: QPalette) -> str:
        """Return the one that suits a palette."""
        return self.beside(palette.color(QPalette.ColorRole.WindowText))

    def beside(self, ink: QColor) -> str:
        """Return the one that suits where text is of the colour ``ink``."""
        return self.dark if ink.lightness() > 127 else self.light


#: What passes and what fails or is doubtful, on either theme: sky blue and vermilion of Okabe and Ito.
PASSES, FAILS = "#56b4e9", "#d55e00"
#: What is wrong: text.
TROUBLE = Themed("#ff8b8e", "#b4232a")
#: Lines of a training.
LOSS, CLICKS, BOXES = Themed("#999999", "#666666"), Themed("#56b4e9", "#0072b2"), Themed("#e69f00", "#a65200")
#: How far an image is.
QUIET, BEGUN, DONE = Themed("#a0a0a0", "#666666"), Themed("#e69f00", "#a65200"), Themed("#00b283", "#00735a")
