"""Labelled sample images: fluorescence nuclei, 16 tiles of 128 x 128 px.

They are cut from the image that the ``stardist`` package carries (BSD-3-Clause, see ``samples/NOTICE``)
by ``benchmarks/make_samples.py``.
"""

from __future__ import annotations

from pathlib import Path

PARTS = ("labelled", "held_out")


def sample_folder(part: str) -> Path:
    """Return the folder of one half of the sample tiles.

    Parameters
    ----------
    part : str
        ``labelled`` (to fine-tune on) or ``held_out`` (to measure on), eight tiles each.

    Returns
    -------
    Path
        A folder with ``images/NN.png`` (uint8) and ``masks/NN.png`` (uint16, 0 is background, objects 1..N).

    Raises
    ------
    ValueError
        There is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"there is no sample part {part!r}; choose one of {', '.join(PARTS)}")
    return Path(__file__).parent / "samples" / part
