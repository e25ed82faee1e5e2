"""What the demo measured, as a result file: from the report of ``make demo``.

python benchmarks/demo_figures.py demo-out/report.json --out benchmarks/results/demo.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from machine import machine


def main() -> None:
    """Read, add the machine as other result files have it, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    report = json.loads(options.report.read_text(encoding="utf-8"))
    document = {"benchmark": "demo", **report, "machine": machine()}
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
