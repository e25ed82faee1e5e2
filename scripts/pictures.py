"""Make the pictures of the documentation: `make pictures`.

The real window is worked in with mouse and keys, on the sample project and on drawn leaves, a model is fine-tuned, and
`docs/pictures/` gets what is to be seen meanwhile. It takes some minutes; without a screen it uses a virtual one.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari._qt.dialogs.qt_notification import NapariQtNotification
from PIL import Image
from qtpy.QtCore import QCoreApplication, Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog, QInputDialog, QLineEdit, QScrollArea, QWidget

from leaves import draw_leaves
from naslora_napari._qt import driving
from naslora_napari._qt.canvas import IMAGE
from naslora_napari._qt.report_dialog import ReportDialog
from naslora_napari.demo.hands import Hands, choose_in, pause
from naslora_napari.demo.pictures import Tile, overview
from naslora_napari.demo.screen import screen
from naslora_napari.store.sample import NEW_IMAGES, TO_LABEL
from naslora_resources.samples import sample_folder
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels
from naslora_trainer.prompts import Prediction, box_of, deepest_point, next_click
from naslora_trainer.scores import dice

ROOT = Path(__file__).resolve().parent.parent
#: What this makes, in the order in which it does.
PICTURES = (
    "dock-empty", "sample-open", "image-list", "click", "correct", "accepted", "box", "brush", "light", "report",
    "plan", "training", "search", "trained", "comparison", "models", "batch", "result", "loop",
    "leaves-open", "leaves-class", "leaves-click", "leaves-area",
)  # fmt: skip
#: What people drew.
DRAWN = ("method.svg",)
WINDOW = (1380, 1000)
#: A picture has so many colours: a mask on a gray image needs no more, and files stay small.
COLOURS = 255
FIRST, SECOND = TO_LABEL
#: Fewer pixels are a nucleus that the border of the tile cuts off.
WHOLE = 200
#: A mask of this Dice is not corrected any more; after so many clicks one that is below RIGHT is given up for a box.
GOOD, RIGHT, CORRECTIONS = 0.92, 0.84, 3
#: Half the side of a piece of an image, in its pixels.
REACH = 40.0
TRAINING_S = 3600.0
#: Seed of the first leaf: its lesions leave room for the border of an area.
LEAVES = 7


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
        self._save(name, self._seen())

    def image(self, name: str) -> None:
        """Take the image with what is drawn on it."""
        layer = self.dock.canvas.layers[IMAGE]
        (left, top, *_), (*_, right, bottom) = (
            self.hands.frame_around(place, 1) for place in ((0, 0), tuple(layer.data.shape[:2]))
        )
        self._save(name, self._seen().crop((left, top, right, bottom)))

    def panels(self, name: str, *widgets: QWidget) -> None:
        """Take panels of the dock that are below each other."""
        (scroll,) = (area for area in self.dock.findChildren(QScrollArea) if area.isAncestorOf(self.dock.status))
        for widget in reversed(widgets):
            scroll.ensureWidgetVisible(widget)
            pause(50)
        frames = [self.hands.frame_of(widget) for widget in widgets]
        left, top = (min(frame[i] for frame in frames) for i in (0, 1))
        right, bottom = (max(frame[i] for frame in frames) for i in (2, 3))
        self._save(name, self._seen().crop((left - 4, top - 4, right + 4, bottom + 4)))

    def widget(self, name: str, widget: QWidget) -> None:
        """Take a dialog."""
        pause(200)
        self._save(name, _picture_of(widget))

    def piece(self, path: Path, place: tuple[float, float]) -> tuple[Path, tuple[int, int, int, int]]:
        """Keep what is around a place of the image for the overview."""
        self._seen().save(path)
        return path, self.hands.frame_around(place, REACH)

    def keep(self, name: str, picture: Path) -> None:
        """Take over a picture that something else made."""
        with Image.open(picture) as image:
            self._save(name, image.convert("RGB"))

    def _seen(self) -> Image.Image:
        for told in driving.canvas_widget(self.viewer).findChildren(NapariQtNotification):
            told.close()  # what was told may hold a path
        pause(250)
        return Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")

    def _save(self, name: str, picture: Image.Image) -> None:
        few = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(self.out / f"{name}.png", "PNG", optimize=True)
        self.made.append(name)
        print(f"{name}.png  {(self.out / f'{name}.png').stat().st_size / 1000:.0f} kB", file=sys.stderr)


def nuclei(album: Album) -> None:
    """Work through the tutorial with nuclei."""
    hands, dock = album.hands, album.dock
    outlines = read_labels(sample_folder("labelled") / "masks" / f"{FIRST}.png")
    hands.wait(lambda: not dock.busy, "the model")
    pause(500)
    album.panels("dock-empty", dock.status, dock.open_panel, dock.prompt_panel)
    place = album.work / "NAS-LoRA sample"
    _opens_image(hands, lambda: _in_file_dialog(place, lambda: hands.press(dock.open_panel.sample_button)))
    album.window("sample-open")
    if not dock.open_panel.list_button.isChecked():
        hands.press(dock.open_panel.list_button)
    hands.rest()
    hands.wait(lambda: "objects" in dock.open_panel.summary.text(), "the count of objects")
    pause(2000)  # for the small pictures
    album.panels("image-list", dock.open_panel)
    hands.press(dock.open_panel.list_button)  # room for the panels below
    tiles = _annotate(album, outlines)
    _around(album)
    tiles += _train(album)
    _segment(album, place / NEW_IMAGES)
    _overview(album, tiles)


def _annotate(album: Album, outlines: np.ndarray) -> list[Tile]:
    hands, dock, work = album.hands, album.dock, album.work
    keys = [int(i) for i in np.unique(outlines) if i and (outlines == i).sum() >= WHOLE]
    gains = {key: _gain(hands, outlines == key) for key in keys}
    corrected = max(keys, key=lambda key: gains[key])
    boxed = min(keys, key=lambda key: gains[key])
    outline = outlines == corrected
    answer = hands.click(deepest_point(outline))
    album.image("click")
    tiles = [Tile(*album.piece(work / "click.png", deepest_point(outline)), "click")]
    answer = _corrected(hands, answer, outline)
    album.image("correct")
    tiles.append(Tile(*album.piece(work / "correct.png", deepest_point(outline)), "correct"))
    hands.key(Qt.Key.Key_A)
    pause(300)
    album.image("accepted")
    hands.press(dock.prompt_panel.mode_buttons["box"])
    hands.drag_box(box_of(outlines == boxed))
    album.image("box")
    hands.press(dock.prompt_panel.accept_button)
    for key in keys:
        if key not in (corrected, boxed):
            _corrected(hands, hands.click(deepest_point(outlines == key)), outlines == key)
            hands.key(Qt.Key.Key_A)
    hands.press(dock.prompt_panel.mode_buttons["brush"])
    pause(300)
    album.window("brush")
    hands.press(dock.prompt_panel.mode_buttons["click"])
    return tiles


def _train(album: Album) -> list[Tile]:
    hands, dock, panel = album.hands, album.dock, album.dock.train_panel
    unseen = read_labels(sample_folder("labelled") / "masks" / f"{SECOND}.png")
    _opens_image(hands, lambda: driving.press(album.viewer, Qt.Key.Key_PageDown))
    hands.press(panel.more_button)
    hands.press(panel.plan_button)
    hands.wait(lambda: _dialog("What the fine-tune learns from") is not None, "the plan")
    plan = _dialog("What the fine-tune learns from")
    assert plan is not None
    album.widget("plan", plan)
    plan.reject()
    hands.press(panel.more_button)
    place = deepest_point(unseen == _largest(unseen))
    hands.click(place)
    tiles = [Tile(*album.piece(album.work / "before.png", place), "an unseen image, before")]
    ended: list[dict[str, Any]] = []
    dock.trained.connect(ended.append)
    hands.press(panel.start_button)
    hands.wait(lambda: bool(ended) or panel.progress.value() >= 0.6 * panel.progress.maximum() > 9, "it", TRAINING_S)
    album.panels("training", panel)
    album._seen().save(album.work / "training.png")
    tiles.insert(0, Tile(album.work / "training.png", hands.frame_of(panel.curve), "fine-tune"))
    hands.wait(lambda: bool(ended), "the end of the training", TRAINING_S)
    if not ended[0].get("swapped"):
        raise UserError(f"The training did not lead to a better model: {ended[0]}.")
    hands.wait(lambda: not dock.busy, "the answer of the new model")
    assert dock.project is not None
    album.keep("search", next((dock.project.path / "runs").glob("*/architecture.png")))
    pause(500)
    album.window("trained")
    tiles.append(Tile(*album.piece(album.work / "after.png", place), "after"))
    hands.press(panel.compare_button)
    dialog = _dialog("")
    assert dialog is not None
    album.widget("comparison", dialog)
    dialog.reject()
    hands.press(panel.models_button)
    hands.wait(lambda: dock.library.dialog.table.rowCount() > 1, "the list of models")
    album.widget("models", dock.library.dialog)
    dock.library.dialog.close()
    dock.editing.discard()
    return tiles


def _segment(album: Album, folder: Path) -> None:
    hands, dock, panel = album.hands, album.dock, album.dock.batch_panel
    ended: list[dict[str, Any]] = []
    shown: list[bool] = []
    dock.batchFinished.connect(ended.append)
    hands.choose_folder(panel.run_button, folder)
    hands.wait(lambda: bool(ended), "the end of the batch", TRAINING_S)
    album.panels("batch", panel)
    dock.batching.shown.connect(lambda: shown.append(True))
    hands.press(panel.open_button)
    hands.wait(lambda: bool(shown), "the result")
    pause(500)
    album.window("result")


def _around(album: Album) -> None:
    hands, dock = album.hands, album.dock
    album.viewer.theme = "light"
    pause(500)
    album.window("light")
    album.viewer.theme = "dark"
    pause(500)
    dock.open_panel.report_asked.emit()
    dialog = _dialog("Report")
    assert isinstance(dialog, ReportDialog)
    hands.wait(dialog.copy_button.isEnabled, "the report")
    album.widget("report", dialog)
    dialog.close()


def _overview(album: Album, tiles: list[Tile]) -> None:
    overview(album.work / "loop.png", tiles)
    album.keep("loop", album.work / "loop.png")


def leaves(album: Album) -> None:
    """Work through the tutorial with leaves."""
    hands, dock, viewer = album.hands, album.dock, album.viewer
    lesions = draw_leaves(album.work / "leaves", 5, LEAVES)[0]
    _opens_image(hands, lambda: hands.choose_folder(dock.open_panel.folder_button, album.work / "leaves"))
    album.window("leaves-open")
    for name in ("leaf", "rust"):
        _type_in(name, lambda: dock.prompt_panel.class_box.activated.emit(dock.prompt_panel.class_box.count() - 1))
    dock.prompt_panel.class_box.showPopup()
    pause(300)
    album._save("leaves-class", _on_screen(dock.prompt_panel))
    dock.prompt_panel.class_box.hidePopup()
    count, border = _gap(lesions)
    for key in range(1, count + 1):
        lesion = lesions == key
        _corrected(hands, hands.click(deepest_point(lesion)), lesion)
        if key == count:
            album.window("leaves-click")
        hands.key(Qt.Key.Key_A)
    hands.press(dock.open_panel.area_button)
    row0, col0, row1, _ = box_of((lesions > 0) & (lesions <= count))
    driving.drag(viewer, dock.canvas.layers[IMAGE], (row0 - 20, col0 - 20), (row1 + 20, border))
    hands.press(dock.prompt_panel.mode_buttons["click"])  # it is not selected any more
    pause(500)
    album.window("leaves-area")


def _corrected(hands: Hands, answer: Prediction, outline: np.ndarray) -> Prediction:
    """Correct a proposal with clicks until it is right; where three do not lead there, draw a box."""
    answer = _by_clicks(hands, answer, outline)
    if dice(answer.mask, outline) < RIGHT:
        hands.key(Qt.Key.Key_Escape)
        answer = hands.drag_box(box_of(outline))
    return answer


def _by_clicks(hands: Hands, answer: Prediction, outline: np.ndarray) -> Prediction:
    for _ in range(CORRECTIONS):
        correction = next_click(answer.mask, outline)
        if correction is None or dice(answer.mask, outline) > GOOD:
            break
        answer = hands.click(correction[0], negative=correction[1] == 0)
        hands.rest()
    return answer


def _gain(hands: Hands, outline: np.ndarray) -> float:
    """Try how much better clicks make the first answer; below 0 where they do not lead to what is right."""
    answer = hands.click(deepest_point(outline))
    before, after = dice(answer.mask, outline), dice(_by_clicks(hands, answer, outline).mask, outline)
    hands.key(Qt.Key.Key_Escape)
    return after - before if after > RIGHT else after - 1


def _gap(lesions: np.ndarray) -> tuple[int, float]:
    """Return how many lesions are left of the widest gap between columns, about in the middle, and where that is."""
    boxes = [box_of(lesions == key) for key in range(1, int(lesions.max()) + 1)]
    gaps = {}
    for count in range(4, len(boxes) - 2):
        right, left = max(box[3] for box in boxes[:count]), min(box[1] for box in boxes[count:])
        gaps[count] = (left - right, (left + right) / 2)
    count = max(gaps, key=lambda found: gaps[found][0])
    return count, gaps[count][1]


def _largest(outlines: np.ndarray) -> int:
    return int(np.bincount(outlines[outlines > 0]).argmax())


def _opens_image(hands: Hands, act: Callable[[], object]) -> None:
    ready: list[str] = []
    hands.dock.imageReady.connect(ready.append)
    try:
        act()
        hands.wait(lambda: bool(ready), "the opening of an image")
    finally:
        hands.dock.imageReady.disconnect(ready.append)
    hands.rest()


def _dialog(title: str) -> QDialog | None:
    """Return the dialog that is open, by its title or the only one."""
    dialogs = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible()]
    return next((w for w in dialogs if not title or w.windowTitle() == title), None)


def _in_file_dialog(path: Path, act: Callable[[], object]) -> None:
    _when_modal(QFileDialog, lambda dialog: choose_in(dialog, path))
    act()


def _type_in(text: str, act: Callable[[], object]) -> None:
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


def _picture_of(widget: QWidget) -> Image.Image:
    from qtpy.QtCore import QBuffer, QIODevice

    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.ReadWrite)
    widget.grab().save(buffer, "PNG")
    return Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")


def _on_screen(widget: QWidget) -> Image.Image:
    """Return what is seen of a widget on the screen, with a list that is open over it."""
    from qtpy.QtCore import QBuffer, QIODevice, QPoint

    corner = widget.mapToGlobal(QPoint(0, 0))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.ReadWrite)
    seen = QApplication.primaryScreen().grabWindow(0, corner.x(), corner.y(), widget.width(), widget.height())
    seen.save(buffer, "PNG")
    return Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")


CHAPTERS: dict[str, Callable[[Album], None]] = {"nuclei": nuclei, "leaves": leaves}


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--only", choices=list(CHAPTERS), action="append", help="a chapter; all of them by default")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, screen(headless=True):
        import napari

        QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)  # so that it can fill them in
        made: set[str] = set()
        for name in chosen.only or CHAPTERS:
            viewer = napari.Viewer(title="napari")
            viewer.window.resize(*WINDOW)
            _, dock = viewer.window.add_plugin_dock_widget("naslora-napari", "NAS-LoRA")
            album = Album(Hands(viewer, dock), chosen.out, Path(work))
            try:
                CHAPTERS[name](album)
            finally:
                viewer.close()
            made.update(album.made)
    if not chosen.only and (missing := set(PICTURES) ^ made):
        raise SystemExit(f"made or listed, but not both: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
