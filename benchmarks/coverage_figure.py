"""How much of the code the tests run, by package: from the report of ``make coverage`` to a result file.

python benchmarks/coverage_figure.py REPORT.json --tests tests/store ... --out benchmarks/results/coverage.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from machine import machine

#: Folders in which packages lie that are not at the top.
OUTER = ("trainer", "resources")


def main() -> None:
    """Read, sum up and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="of coverage.py, as JSON")
    parser.add_argument("--tests", nargs="+", required=True, help="what was run")
    parser.add_argument("--without", nargs="*", default=[], help="what of it was not run")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    report = json.loads(options.report.read_text(encoding="utf-8"))
    document = {
        "benchmark": "coverage",
        "machine": machine(),
        "tests": " ".join(options.tests),
        "without": " ".join(options.without),
        "coverage": report["meta"]["version"],
        **summarise(report["files"]),
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out}: {document['all']['share']:.1%} of lines and branches")


def summarise(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return statements, branches and the share of both that ran (0 to 1), of ``all`` and by package."""
    counts: dict[str, list[int]] = {}
    for path, found in files.items():
        summary = found["summary"]
        lines = (summary["num_statements"], summary["covered_lines"])
        branches = (summary["num_branches"], summary["covered_branches"])
        for name in ("all", package_of(path)):
            held = counts.get(name, [0, 0, 0, 0])
            counts[name] = [a + b for a, b in zip(held, (*lines, *branches), strict=True)]
    figures = {
        name: {
            "statements": lines,
            "branches": branches,
            "share": round((run + taken) / (lines + branches), 4) if lines + branches else 1.0,
        }
        for name, (lines, run, branches, taken) in counts.items()
    }
    return {"all": figures.pop("all"), "packages": dict(sorted(figures.items()))}


def package_of(path: str) -> str:
    """Return the package of a file, at most two names deep: ``naslora_napari/store``."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    inner = parts[1:] if parts[0] in OUTER else parts
    return "/".join(inner[:-1][:2])


if __name__ == "__main__":
    main()
