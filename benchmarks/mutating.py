"""Files of a project are damaged, one at a time and in many ways; who opens the project must not be fooled."""

from __future__ import annotations

import hashlib
import logging
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import numpy as np

from killing import accept, context_for
from naslora_napari.live import AnnotationSession
from naslora_napari.store import Project
from naslora_napari.store.backups import backup_of
from naslora_napari.store.sealing import BACKUP
from naslora_trainer.errors import UserError

IMAGES = ("a", "b", "c")
SIZE = 300
#: A project that is not open after so many seconds hangs.
LIMIT_S = 20
PAGE = 512
TARGETS = {"annotations/a.h5": 6, "project.toml": 3, "history": 2, "project.lock": 1, "annotations/b.h5": 1}

Mutation = Callable[[bytes, random.Random, list[Path]], bytes]


def make(folder: Path) -> Path:
    """Return a project of three images with objects, a history, and backups that differ from the files."""
    for name in IMAGES:
        iio.imwrite(folder / f"{name}.png", np.zeros((SIZE, SIZE), np.uint8))
    project = Project.create(folder / "sound", [folder / f"{name}.png" for name in IMAGES], ("cell", "lesion"))
    project.set_limits("a", (1.0, 200.0))
    session = AnnotationSession(project)
    for name in IMAGES:
        session.open(name, project.annotation(name))
        for number in range(9):
            mask = np.zeros((SIZE, SIZE), bool)
            mask[30 * number : 30 * number + 20, 10 * number : 10 * number + 50] = True
            session.class_id = 1 + number % 2
            accept(session, mask)
    project.set_complete("b", True)
    lock = (project.path / "project.lock").read_bytes()
    project.close()
    (project.path / "project.lock").write_bytes(lock)  # as after a crash
    return project.path


def flipped(content: bytes, drawn: random.Random, _: list[Path]) -> bytes:
    """One to eight bits are another."""
    changed = bytearray(content)
    for _number in range(drawn.choice((1, 1, 1, 2, 8))):
        changed[drawn.randrange(len(changed))] ^= 1 << drawn.randrange(8)
    return bytes(changed)


def cut(content: bytes, drawn: random.Random, _: list[Path]) -> bytes:
    """The end is missing."""
    return content[: drawn.choice((drawn.randrange(len(content)), len(content) - drawn.randrange(1, 100)))]


def zeroed(content: bytes, drawn: random.Random, _: list[Path]) -> bytes:
    """A page is zero."""
    start = drawn.randrange(0, len(content), PAGE)
    return content[:start] + bytes(len(content[start : start + PAGE])) + content[start + PAGE :]


def spliced(content: bytes, drawn: random.Random, others: list[Path]) -> bytes:
    """A part is that of another file."""
    other = drawn.choice(others).read_bytes()
    start = drawn.randrange(len(content))
    return (content[:start] + other[start : start + drawn.randrange(1, 4096)]).ljust(len(content), b"\0")


def doubled(content: bytes, drawn: random.Random, _: list[Path]) -> bytes:
    """A part is there twice."""
    start, end = sorted((drawn.randrange(len(content)), drawn.randrange(len(content))))
    return content[:end] + content[start:]


def foreign(content: bytes, drawn: random.Random, others: list[Path]) -> bytes:
    """It is another file."""
    return drawn.choice((b"", drawn.randbytes(5000), *(other.read_bytes() for other in others)))


def digit(content: bytes, drawn: random.Random, _: list[Path]) -> bytes:
    """A digit or letter is another one, as a slip of the hand leaves it."""
    places = [place for place, byte in enumerate(content) if chr(byte).isalnum()] or [0]
    place = drawn.choice(places)
    return content[:place] + drawn.choice(b"0123456789abz").to_bytes(1, "big") + content[place + 1 :]


MUTATIONS: tuple[Mutation, ...] = (flipped, flipped, cut, zeroed, spliced, doubled, foreign, digit)


def hostile(path: Path, drawn: random.Random) -> str:
    """Let a stranger edit an annotation file, and return what they did."""
    kind = drawn.choice(("external link", "soft link", "external storage", "virtual", "bomb", "many lines"))
    with h5py.File(path, "a") as file:
        if kind == "bomb":
            del file["labels"]
            file.create_dataset("labels", (2**31 - 1, 2**20), "<i4", chunks=(1024, 1024), compression="gzip")
            file.attrs["rows"], file.attrs["columns"] = 2**31 - 1, 2**20
        elif kind == "many lines":
            del file["prompts"]
            lines = file.create_dataset(
                "prompts", (2**28,), np.uint8, chunks=(2**22,), compression="gzip", fillvalue=10
            )
            lines[: 2**22] = 10
        else:
            name = drawn.choice(("labels", "objects", "prompts"))
            dtype, shape = file[name].dtype, file[name].shape
            del file[name]
            if kind == "external link":
                file[name] = h5py.ExternalLink(str(path.with_name("b.h5")), f"/{name}")
            elif kind == "soft link":
                file[name] = h5py.SoftLink("/elsewhere")
            elif kind == "external storage":
                file.create_dataset(name, shape, dtype, external=[(str(path.with_name("b.h5")), 0, 2**20)])
            else:
                layout = h5py.VirtualLayout(shape, dtype)
                layout[...] = h5py.VirtualSource(str(path.with_name("b.h5")), name, shape)
                file.create_virtual_dataset(name, layout)
    return kind


def state(project: Project) -> dict[str, str]:
    """Return a fingerprint of the classes and of each image: its limits, and all that its annotation holds."""
    found = {"classes": repr(project.classes), "images": repr([(i.name, i.plane, i.limits) for i in project.images])}
    for entry in project.images:
        annotation = project.annotation(entry.name)
        held = {part.name: getattr(annotation, part.name) for part in fields(annotation)}
        labels = held.pop("labels").tobytes()
        rest = repr(
            sorted((name, sorted(part.items()) if isinstance(part, dict) else part) for name, part in held.items())
        )
        found[entry.name] = hashlib.sha256(labels + rest.encode()).hexdigest()
    return found


def look(work: Connection) -> None:
    """Open projects and answer how that went, until the other end is closed."""
    logging.disable()
    while True:
        try:
            path, sound, older, steps = work.recv()
        except EOFError:
            return
        work.send(_outcome(path, sound, older, steps))


def _outcome(path: Path, sound: dict[str, str], older: dict[str, str], steps: dict[str, str]) -> str:
    """Return how opening a project went: same, recovered, told, refused, wrong or crashed."""
    try:
        project = Project.open(path, write=True)
        found = state(project)
        told = bool(project.take_notices())
        for file in (file for files in project.steps.listed() for file in files):
            if _step(project, file) not in (steps.get(file.name), ""):
                return "wrong"
        project.close()
    except UserError:
        return "refused"
    except BaseException as error:
        return f"crashed: {type(error).__name__}: {error}"
    if any(found[key] not in (sound[key], older.get(key)) for key in IMAGES if key in found):
        return "wrong"
    if found == sound:
        return "told" if told else "same"
    if not told:
        return "wrong"
    return "recovered" if found.keys() == sound.keys() and found["images"] == sound["images"] else "told"


def _step(project: Project, file: Path) -> str:
    """Return a fingerprint of a step of the history; empty where it is dropped."""
    step = project.steps.read(file)
    if step is None:
        return ""
    edit = step.edit
    pixels = b"".join(part.tobytes() for part in (edit.rows, edit.cols, edit.before, edit.after))
    return hashlib.sha256(pixels + repr((step.image, step.prompts, sorted(edit.objects.items()))).encode()).hexdigest()


def mutate(folder: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Damage so many files of projects in ``folder``, and open each project in another process.

    Returns
    -------
    dict
        ``mutated_files``; ``crashes_or_hangs``; ``silent_wrong`` (labels, objects, classes or images that are not what
        was saved, and nobody is told); ``refused`` (with a sentence), ``recovered`` (from the backup, which is told),
        ``told`` (it holds, and the person is told), ``same`` (the damage is in what can be done without: a step of the
        history, which is dropped, or the lock); ``failures`` (how the first ones came about).
    """
    sound_path = make(folder)
    truth = _truth(sound_path, folder)
    # An older state of a file in its place is what the program wrote; nobody can tell that.
    others = [file for file in sound_path.rglob("*") if file.is_file() and BACKUP not in file.parts]
    others.append(folder / "a.png")
    drawn, counts, failures = random.Random(seed), Counter[str](), []
    worker = _Worker()
    for number in range(count):
        path = folder / "mutated"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(sound_path, path)
        what = _damage(path, drawn, others)
        outcome = worker.ask((path, *truth))
        counts[outcome.partition(":")[0]] += 1
        if outcome.startswith(("crashed", "hangs", "wrong")):
            failures.append(f"{number}: {what}: {outcome}")
            worker = _Worker() if not worker.alive else worker
    worker.close()
    return {
        "mutated_files": count,
        "crashes_or_hangs": counts["crashed"] + counts["hangs"],
        "silent_wrong": counts["wrong"],
        **{name: counts[name] for name in ("refused", "recovered", "told", "same")},
        "failures": failures[:20],
    }


def _truth(path: Path, folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return fingerprints of a sound project, of the labels in its backups, and of the steps of its history."""
    project = Project.open(path)
    sound = state(project)
    steps = {file.name: _step(project, file) for files in project.steps.listed() for file in files}
    older = folder / "older"
    shutil.copytree(path, older)
    shutil.copytree(older / BACKUP / "annotations", older / "annotations", dirs_exist_ok=True)
    return sound, {name: found for name, found in state(Project.open(older)).items() if name in IMAGES}, steps


def _damage(path: Path, drawn: random.Random, others: list[Path]) -> str:
    """Damage one file of a project, which may have no backup, and return what was done."""
    name = drawn.choices(list(TARGETS), list(TARGETS.values()))[0]
    file = path / name if name != "history" else drawn.choice(sorted((path / name).glob("*.h5")))
    backup = backup_of(path, file)
    if drawn.random() < 0.5:
        backup.unlink(missing_ok=True)
    if file.suffix == ".h5" and name != "history" and drawn.random() < 0.08:
        return f"{name}: {hostile(file, drawn)}"
    content = file.read_bytes()
    change = drawn.choice(MUTATIONS)
    changed = change(content, drawn, [other for other in others if other.read_bytes() != content])
    while changed == content:
        changed = flipped(content, drawn, others)
    file.write_bytes(changed)
    return f"{name}: {change.__name__}"


class _Worker:
    """A process that opens projects."""

    def __init__(self) -> None:
        context = context_for(__name__)
        self._here, there = context.Pipe()
        self._process = context.Process(target=look, args=(there,), daemon=True)
        self._process.start()
        there.close()
        self.alive = True

    def ask(self, work: tuple) -> str:
        """Return the outcome for a project; a process that hangs or died is not asked again."""
        try:
            self._here.send(work)
            if self._here.poll(LIMIT_S):
                return str(self._here.recv())
            self.close()
            return "hangs"
        except (EOFError, OSError):
            self.close()
            return "crashed: the process died"

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.alive = False
