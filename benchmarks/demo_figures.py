"""What the demo measured, as a result file: from the report of ``make demo``.

python benchmarks/demo_figures.py demo-out/report.json --out benchmarks/results/demo.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from machine import machine
from naslora_trainer.files import read_json, write_json


def main() -> None:
    """Read, add the machine as other result files have it, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write_json(options.out, {"benchmark": "demo", **read_json(options.report), "machine": machine()})


if __name__ == "__main__":
    main()
