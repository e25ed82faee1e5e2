"""Tell what draws the window: a child of :mod:`naslora_napari.doctor`, since a bad driver may end its process."""

from __future__ import annotations

from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext

#: Names of OpenGL's strings.
RENDERER, VERSION = 0x1F01, 0x1F02


def main() -> None:
    """Print the renderer and the version of OpenGL, a line each; exit status 1 where there is none."""
    app = QGuiApplication([])
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    if not context.create() or not context.makeCurrent(surface):
        raise SystemExit("There is no OpenGL.")
    for name in (RENDERER, VERSION):
        print(context.functions().glGetString(name))
    context.doneCurrent()
    del app


if __name__ == "__main__":
    main()
