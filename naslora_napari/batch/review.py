"""Looking through the results of a run: what comes first, what was looked at, and what passes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from naslora_trainer.errors import UserError
from naslora_trainer.files import write_json

from ..store import Project
from ..store.automatic import taken_in
from ..store.records import ObjectInfo, now
from .doubt import DOUBTFUL, Limits, Quantity, doubts, image_doubts
from .found import FoundRun
from .table import Row, Table

log = logging.getLogger("naslora_napari")

FILE, TABLE, VERSION = "review.json", "review.csv", 1
COLUMNS = ("image", "objects", "failing", "passes", "doubt", "seen")
#: A larger file is none of ours, in bytes.
LARGEST_FILE = 2**26
State = Literal["", "opened", "accepted"]
Kind = Literal["all", "failing", "new"]


class Review:
    """The images of a run in the order of doubt, with the person's limits and what they have seen.

    Both are kept beside the results, in ``review.json``, and what passes in ``review.csv``. What was seen counts for
    one project, until the image is segmented anew.

    Parameters
    ----------
    run : FoundRun
        The results.

    Attributes
    ----------
    doubts, image_doubts : ndarray
        Of objects and images, 0 to 1.
    order : list of int
        Numbers of the images, the most doubtful first.
    limits : Limits
        What passes.
    failing, failing_images : ndarray
        Which objects and images do not pass, bool.
    """

    def __init__(self, run: FoundRun) -> None:
        self.run = run
        self.doubts = doubts(run.objects)
        self.image_doubts = image_doubts(run, self.doubts)
        self.order: list[int] = np.argsort(-self.image_doubts, kind="stable").tolist()
        self._seen: dict[str, tuple[State, str, str]] = {}
        self._load()
        self.limit(self.limits)

    def limit(self, limits: Limits) -> None:
        """Set other limits."""
        self.limits = limits
        self.failing = limits.failing(self.run.objects)
        self.failing_images = limits.failing_images(self.run)

    def values(self, quantity: Quantity) -> np.ndarray:
        """Return what a quantity is for all objects, or for all images; without unknown ones."""
        if quantity == "count":
            return self.run.counts.astype(float)
        found: np.ndarray = getattr(self.run.objects, quantity)
        return found[~np.isnan(found)]

    def failing_in(self, image: int) -> int:
        """Return how many objects of an image do not pass."""
        return int(np.count_nonzero(self.failing[self.run.of(image)]))

    def doubtful_in(self, image: int) -> set[int]:
        """Return the labels of those objects of an image that a person should look at."""
        own = self.run.of(image)
        chosen = self.failing[own] | (self.doubts[own] >= DOUBTFUL)
        return set(self.run.objects.label[own][chosen].tolist())

    def state(self, image: int, project: str) -> State:
        """Return what a person did with an image in a project."""
        state, where, edition = self._seen.get(self.run.names[image], ("", "", ""))
        return state if (where, edition) == (project, self.run.editions[image]) else ""

    def note(self, image: int, project: str, state: State) -> None:
        """Note what a person did with an image; it is on disk after :meth:`save`."""
        self._seen[self.run.names[image]] = (state, project, self.run.editions[image])

    def chosen(self, kind: Kind, project: str) -> list[int]:
        """Return the images that are to be seen, the most doubtful first.

        Parameters
        ----------
        kind : str
            ``all``; ``failing``: those that do not pass; ``new``: those that nobody has looked at.
        project : str
            Where they are looked at.
        """
        if kind == "failing":
            return [image for image in self.order if self.failing_images[image]]
        if kind == "new":
            return [image for image in self.order if not self.state(image, project)]
        return list(self.order)

    def save(self) -> None:
        """Keep limits and what was seen beside the results, with a table of what passes.

        Raises
        ------
        UserError
            It cannot be written.
        """
        seen = {name: list(what) for name, what in list(self._seen.items())}
        write_json(self._file, {"naslora_review": VERSION, "limits": self.limits.to_json(), "seen": seen})
        Table(self.run.wanted.out / TABLE, COLUMNS).replace(self._rows())

    def _rows(self) -> Iterator[Row]:
        for image, name in enumerate(self.run.names):
            state, _, edition = self._seen.get(name, ("", "", ""))
            yield {
                "image": name,
                "objects": int(self.run.counts[image]),
                "failing": self.failing_in(image),
                "passes": int(not self.failing_images[image]),
                "doubt": float(self.image_doubts[image]),
                "seen": state if edition == self.run.editions[image] else "",
            }

    @property
    def _file(self) -> Path:
        return self.run.wanted.out / FILE

    def _load(self) -> None:
        """Take over what was kept, as far as it is sound."""
        self.limits = Limits()
        try:
            if self._file.stat().st_size > LARGEST_FILE:
                return
            content = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            log.info("%s is made anew: %s", self._file, error)
            return
        if not isinstance(content, dict) or content.get("naslora_review") != VERSION:
            return
        self.limits = Limits.from_json(content.get("limits"))
        seen = content.get("seen")
        for name, what in seen.items() if isinstance(seen, dict) else ():
            if _is_seen(what):
                self._seen[name] = what[0], what[1], what[2]


def _named(project: Project, path: Path, plane: tuple[int, ...]) -> str:
    """Return the name of an image in a project, to which it is added where it is missing."""
    names = set(project.add_images([path]))
    for entry in project.images:
        if entry.name in names and entry.plane == plane:
            return entry.name
    raise UserError(f"{path.name} has other planes than when it was segmented.", "Segment it again.")


def _is_seen(what: Any) -> bool:
    return (
        isinstance(what, list)
        and len(what) == 3
        and all(isinstance(part, str) for part in what)
        and what[0] in ("opened", "accepted")
    )


def take_in(review: Review, image: int, project: Project) -> str:
    """Make the objects that were found on an image objects of a project that wait for a person; return its name there.

    The image is added to the project where it is not in it. Objects that are there keep every pixel. An image whose
    objects were taken in before, into this project, is left as it is: what the person deleted stays away.

    Raises
    ------
    UserError
        The image or its label image is missing, damaged or of another size, or the project cannot be written.
    """
    run = review.run
    name = _named(project, run.source(image), run.planes[image])
    if review.state(image, str(project.path)):
        return name
    labels = run.labels(image)
    old = project.annotation(name)
    if labels.shape != old.labels.shape:
        raise UserError(f"The image {name} and its result are not of the same size.", "Segment it again.")
    doubtful, own, time = review.doubtful_in(image), run.of(image), now()
    ids = {info.name.casefold(): info.id for info in project.classes}
    first, kinds = project.classes[0].id, run.objects.kinds
    of_class = {
        label: ids.get(kinds[kind].casefold(), first)
        for label, kind in zip(run.objects.label[own].tolist(), run.objects.kind[own].tolist(), strict=True)
    }

    def info_of(label: int) -> ObjectInfo:
        looked = "doubtful" if label in doubtful else ""
        return ObjectInfo(of_class.get(label, first), "automatic", run.model, time, review=looked)  # type: ignore[arg-type]

    edit = taken_in(old, labels, info_of)
    if not edit.empty:
        project.save(name, edit)
    review.note(image, str(project.path), "opened")
    return name
