"""Which images of a project are listed, which comes next, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .records import ImageEntry, ImageStatus, ProjectSummary, State

StatusOf = Callable[[str], ImageStatus]
#: Images in these states need no more work.
FINISHED: tuple[State, ...] = ("complete", "skipped")


@dataclass(frozen=True)
class ImageFilter:
    """What a person wants to see of the images.

    Attributes
    ----------
    text : str
        Each of its words is in the name, the folder or the note; capitals do not count.
    kind : str
        A state, ``unfinished`` (neither complete nor skipped), ``doubtful`` (with doubtful objects), ``waiting`` (with
        automatic objects that nobody accepted), ``noted`` (with a note), or empty: all.
    """

    text: str = ""
    kind: str = ""

    def fits(self, image: ImageEntry, status: ImageStatus) -> bool:
        """Return whether an image is to be seen."""
        if not self._is_kind(status):
            return False
        words = self.text.casefold().split()
        text = f"{image.name} {image.path.parent.name} {status.marks.note}".casefold() if words else ""
        return all(word in text for word in words)

    def _is_kind(self, status: ImageStatus) -> bool:
        if self.kind == "unfinished":
            return status.state not in FINISHED
        if self.kind == "doubtful":
            return status.doubtful > 0
        if self.kind == "waiting":
            return status.waiting > 0
        if self.kind == "noted":
            return bool(status.marks.note)
        return not self.kind or status.state == self.kind


def next_unfinished(names: Sequence[str], status_of: StatusOf, current: str) -> str:
    """Return the next image after ``current`` that needs work, around the end; empty when all others are finished."""
    start = names.index(current) + 1 if current in names else 0
    around = [*names[start:], *names[:start]]
    return next((name for name in around if name != current and status_of(name).state not in FINISHED), "")


def progress_text(summary: ProjectSummary) -> str:
    """Return how far the work is: "34 of 120 images, 1,204 objects"."""
    return f"{summary.annotated:,} of {_counted(summary.images, 'image')}, {_counted(summary.objects, 'object')}"


def progress_details(summary: ProjectSummary) -> str:
    """Return what :func:`progress_text` leaves out."""
    images = _counted(summary.annotated, "image")
    return f"{images} with objects, {summary.complete:,} complete, {summary.skipped:,} skipped"


def status_text(status: ImageStatus) -> str:
    """Return what is told of an image below its name, such as "in progress, 12 objects, 2 doubtful"."""
    parts: list[str] = [status.state]
    if status.objects:
        parts.append(_counted(status.objects, "object"))
    if status.waiting:
        parts.append(f"{status.waiting:,} to review")
    if status.doubtful:
        parts.append(f"{status.doubtful:,} doubtful")
    if status.marks.rois:
        parts.append(_counted(len(status.marks.rois), "labelled area"))
    return ", ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
