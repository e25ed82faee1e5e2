"""What is read of an image before the window shows it: in a thread, since a large one takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .planes import ShownObjects

if TYPE_CHECKING:
    from naslora_trainer.pictures import Picture

    from ..live import AnnotationSession
    from ..store import Annotation, Project


@dataclass(frozen=True, eq=False)
class Content:
    """An image as it is to be shown.

    Attributes
    ----------
    name : str
        The image.
    picture : Picture
        Its pixels.
    annotation : Annotation
        Its labels.
    objects : ShownObjects
        The same for their layer.
    channels : tuple of str
        Names of its channels.
    edits : int
        How many edits the session had made when the labels were read.
    """

    name: str
    picture: Picture
    annotation: Annotation
    objects: ShownObjects
    channels: tuple[str, ...]
    edits: int

    @classmethod
    def read(cls, project: Project, session: AnnotationSession, name: str) -> Content:
        """Read an image; what is not on disk yet comes from the session.

        Raises
        ------
        UserError
            A file of it is missing or cannot be read.
        """
        edits = session.saving.taken
        annotation = session.waiting(name) or project.annotation(name)
        objects = ShownObjects.of(annotation.labels)
        return cls(name, project.picture(name), annotation, objects, project.channel_names(name), edits)

    def out_of_date(self, session: AnnotationSession) -> bool:
        """Return whether the person has changed this image since, which was open already."""
        return session.name == self.name and session.saving.taken != self.edits
