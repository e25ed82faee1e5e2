"""``run.sh``: a run folder trains itself on another machine, by hand, under SLURM or in a Colab notebook."""

from __future__ import annotations

import importlib.metadata
from contextlib import suppress
from pathlib import Path

from naslora_trainer.files import write_bytes

NAME = "run.sh"
_TEXT = """\
#!/bin/bash
# Trains what is in this folder. On a machine with bash and Python 3.11 or newer:
#     bash run.sh             by hand; in a notebook: !bash run.sh
#     sbatch run.sh           under SLURM, from within this folder
# Afterwards bring the folder home and run: naslora adopt PROJECT FOLDER
# Interrupted, it goes on where it was when it is started again.
#SBATCH --job-name=naslora
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=24G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=log.txt
set -eu

# SLURM runs a copy of this script, which lies somewhere else.
here="$(cd "$(dirname "$0")" && pwd)"
[ -f "$here/job.json" ] || here="${SLURM_SUBMIT_DIR:-$here}"
cd "$here"

python="${PYTHON:-python3}"
if ! "$python" -P -c "import naslora_trainer" 2>/dev/null; then
    # NASLORA names another source: a wheel, a folder, or git+https://...
    "$python" -m pip install "${NASLORA:-naslora-napari==@VERSION@}"
fi
rm -f stop
# In the place of this shell, which is what SLURM's signal goes to.
exec "$python" -P -u -m naslora_trainer --detached .
"""


def write_script(run: Path) -> None:
    """Write the script into a run folder.

    Raises
    ------
    UserError
        It cannot be written.
    """
    text = _TEXT.replace("@VERSION@", importlib.metadata.version("naslora-napari"))
    write_bytes(run / NAME, text.encode("ascii"))  # bash wants the same line ends everywhere
    with suppress(OSError):
        (run / NAME).chmod(0o755)
