"""The architecture that a search found: its course over the training steps, as a table and as a picture.

A layer of it is the probability of each candidate operation; of a mixture of experts it is the share of maps that each
expert got (see :class:`naslora_trainer.experts.ExpertsCell`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .config import FineTuneConfig
from .files import saving
from .stages import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Probability of each operation, by layer.
Architecture = dict[str, dict[str, float]]

#: Dots per inch of a picture.
DPI = 150
#: Width of a picture in inches, and the narrowest and widest panel in it.
WIDTH, PANEL_WIDTHS = 11.0, (1.75, 5.0)
#: Height of a panel over its width.
PANEL_SHAPE = 0.72
#: Okabe and Ito's colours, told apart by every kind of colour vision; two greys for what does not mix tokens.
COLOURS = {
    "none": "#dddddd",
    "identity": "#8c8c8c",
    "conv1x1": "#f0e442",
    "conv3x3": "#222222",
    "dw_conv3x3": "#56b4e9",
    "dw_conv5x5": "#0072b2",
    "dil_conv3x3": "#009e73",
    "avg_pool3x3": "#e69f00",
    "max_pool3x3": "#d55e00",
    "sep_conv3x3_act": "#cc79a7",
}
#: The lines of stage boundaries, one after the other.
DASHES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
#: Parts of a path that say nothing beside its numbers.
_SILENT = ("layers", "blocks", "attn", "mlp")


class ArchitectureHistory:
    """Architectures of one training, in the order of its steps.

    Probabilities are kept to four significant digits: the history is part of the adapter file.
    """

    def __init__(self) -> None:
        self._records: list[tuple[int, Architecture]] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchitectureHistory) and self._records == other._records

    def __len__(self) -> int:
        return len(self._records)

    @property
    def steps(self) -> list[int]:
        """Training steps that were recorded."""
        return [step for step, _ in self._records]

    @property
    def last(self) -> Architecture:
        """What was recorded last; nothing at first."""
        return self._records[-1][1] if self._records else {}

    def record(self, step: int, architecture: Mapping[str, Mapping[str, float]]) -> None:
        """Add what the architecture is after ``step`` steps.

        Raises
        ------
        ValueError
            The step does not come after the last one, or a value is no probability.
        """
        if isinstance(step, bool) or not isinstance(step, int) or (self._records and step <= self._records[-1][0]):
            raise ValueError(f"step {step!r} does not come after {self.steps[-1:]}")
        kept = {layer: {name: _rounded(p) for name, p in row.items()} for layer, row in architecture.items()}
        self._records.append((step, kept))

    def course(self, layer: str, operation: str) -> list[float]:
        """Return one probability at every recorded step; 0 where it is no candidate."""
        return [architecture.get(layer, {}).get(operation, 0.0) for _, architecture in self._records]

    def to_json(self) -> list[dict[str, Any]]:
        """Return ``[{"step": int, "architecture": {layer: {operation: probability}}}, ...]``."""
        return [{"step": step, "architecture": architecture} for step, architecture in self._records]

    @classmethod
    def from_json(cls, records: Any) -> ArchitectureHistory:
        """Return the history of which :meth:`to_json` made ``records``.

        Raises
        ------
        ValueError
            They are something else.
        """
        history = cls()
        try:
            for record in records:
                history.record(record["step"], record["architecture"])
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"not the history of an architecture: {error}") from error
        return history


def _rounded(p: float) -> float:
    value = float(f"{p:.4g}")
    if not 0 <= value <= 1:
        raise ValueError(f"{p} is not a probability")
    return value


def stage_starts(config: FineTuneConfig) -> dict[str, int]:
    """Return the first step of each stage of a fine-tune."""
    plan = Schedule.of(config)
    return {"warm-up": 0, "search": plan.search, "settle": plan.settle, "consolidate": plan.consolidate}


def short_names(layers: Sequence[str]) -> dict[str, str]:
    """Return a short name for each path: ``block 2.3 qkv`` for ``layers.2.blocks.3.attn.qkv``; each is unique."""
    short = {layer: _short(layer) for layer in layers}
    names = list(short.values())
    return {layer: name if names.count(name) == 1 else layer for layer, name in short.items()}


def _short(path: str) -> str:
    parts = [part for part in path.split(".") if part not in _SILENT]
    numbers = ".".join(part for part in parts if part.isdigit())
    words = [part for part in parts if not part.isdigit()]
    if parts and parts[0].isdigit():
        return " ".join(["block", numbers, *words])
    return " ".join([*words, numbers]).strip() or path


def operations_of(architecture: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the candidates of all layers, each once, in their order."""
    return list(dict.fromkeys(name for row in architecture.values() for name in row))


def winner(row: Mapping[str, float]) -> str | None:
    """Return the most probable operation; None where all have zero."""
    best = max(row, key=lambda name: row[name], default=None)
    return best if best is not None and row[best] > 0 else None


def table(architecture: Mapping[str, Mapping[str, float]]) -> str:
    """Return a plain text: a row per layer, a column per operation, and their mean over the layers."""
    if not architecture:
        return "No layer of the image encoder is adapted."
    operations = operations_of(architecture)
    names = short_names(list(architecture))
    mean = {o: math.fsum(row.get(o, 0.0) for row in architecture.values()) / len(architecture) for o in operations}
    rows = {**{names[layer]: row for layer, row in architecture.items()}, "mean": mean}
    cells = [["layer", *(f"{name} " for name in operations)]]
    cells += [[name, *_cells(row, operations)] for name, row in rows.items()]
    widths = [max(len(row[column]) for row in cells) for column in range(len(operations) + 1)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], "", _explained(operations)])


def _cells(row: Mapping[str, float], operations: Sequence[str]) -> list[str]:
    best = winner(row)

    def cell(name: str) -> str:
        if name not in row:
            return ""
        return f"{row[name]:.2f}{'*' if name == best else ' '}" if row[name] else "- "

    return [cell(name) for name in operations]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]


def _explained(operations: Sequence[str]) -> str:
    if _are_experts(operations):
        return "Share of maps that each expert got. *: the largest of a row, -: never picked."
    return "Probability of each operation. *: the largest of a row, -: dropped, empty: not a candidate there."


def _are_experts(operations: Sequence[str]) -> bool:
    return all(name.startswith("expert_") for name in operations)


def draw(history: ArchitectureHistory, path: Path | str, stages: Mapping[str, int] | None = None) -> None:
    """Draw the probabilities over the training steps as a PNG: one panel of stacked areas for each layer.

    Parameters
    ----------
    history : ArchitectureHistory
        At least one record; its last one says which layers are drawn.
    path : Path or str
        The file to write.
    stages : mapping of str to int, optional
        First step of each stage; those within the recorded steps get a line.

    Raises
    ------
    ValueError
        Nothing was recorded.
    UserError
        The file cannot be written.
    """
    if not history.last:
        raise ValueError("no architecture was recorded")
    # Not pyplot: it keeps figures in a global list and looks for a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = math.ceil(math.sqrt(len(history.last)))
    figure = Figure(figsize=_size(len(history.last), columns), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    shown = {name: step for name, step in (stages or {}).items() if history.steps[0] < step < history.steps[-1]}
    _fill(figure, history, columns, shown)
    with saving(path) as temporary:
        figure.savefig(temporary, format="png")


def _size(panels: int, columns: int) -> tuple[float, float]:
    """Width and height in inches: panels of one shape, and room for the titles and the legend."""
    narrowest, widest = PANEL_WIDTHS
    width = min(widest, max(narrowest, WIDTH / columns))
    rows = math.ceil(panels / columns)
    return 0.6 + columns * width, 1.2 + rows * (width * PANEL_SHAPE + 0.3)


def _fill(figure: Figure, history: ArchitectureHistory, columns: int, stages: Mapping[str, int]) -> None:
    layers, operations = list(history.last), operations_of(history.last)
    names, colours = short_names(layers), _colours(operations)
    rows = math.ceil(len(layers) / columns)
    grid = figure.subplots(rows, columns, squeeze=False)  # shared axes take seconds, and all are alike
    for place, axes in enumerate(grid.flat):
        if place >= len(layers):
            axes.set_visible(False)
            continue
        _panel(axes, history, layers[place], names[layers[place]], colours)
        _boundaries(axes, stages)
        # The panel that is lowest in its column has the numbers, be there an empty place below it or not.
        axes.tick_params(labelbottom=place + columns >= len(layers), labelleft=place % columns == 0)
    figure.supxlabel("training step", fontsize=9)
    figure.supylabel("share of maps" if _are_experts(operations) else "probability", fontsize=9)
    _legend(figure, colours, stages)


def _colours(operations: Sequence[str]) -> dict[str, Any]:
    """Return a colour for each operation; experts, and a set with a new operation, get a scale of one order."""
    if all(name in COLOURS for name in operations):
        return {name: COLOURS[name] for name in operations}
    from matplotlib import colormaps

    scale = colormaps["cividis"]
    return {name: scale(i / max(1, len(operations) - 1)) for i, name in enumerate(operations)}


def _panel(axes: Axes, history: ArchitectureHistory, layer: str, name: str, colours: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    steps: list[float] = [float(step) for step in history.steps]
    courses = [history.course(layer, operation) for operation in colours]
    if len(steps) == 1:  # an area needs a width
        steps, courses = [steps[0] - 0.5, steps[0] + 0.5], [course * 2 for course in courses]
    axes.stackplot(steps, courses, colors=list(colours.values()), edgecolor="white", linewidth=0.4)
    axes.set(xlim=(steps[0], steps[-1]), ylim=(0, 1), yticks=(0, 0.5, 1))
    locator = MaxNLocator(nbins=3, integer=True) if len(history) > 1 else FixedLocator(history.steps)
    axes.xaxis.set_major_locator(locator)
    axes.tick_params(labelsize=7, length=2.5, color="0.4", labelcolor="0.25")
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="0.4")
    best = winner(history.last[layer])
    axes.set_title(f"{best}  {history.last[layer][best]:.2f}" if best else " ", loc="left", fontsize=7, color="0.35")
    axes.annotate(name, (0, 1), (0, 16), "axes fraction", "offset points", fontsize=8, fontweight="bold")


def _boundaries(axes: Axes, stages: Mapping[str, int]) -> None:
    from matplotlib.patheffects import withStroke

    for step, dashes in zip(stages.values(), DASHES, strict=False):
        halo = [withStroke(linewidth=2.0, foreground="white")]  # it is seen on dark colours, too
        axes.axvline(step, color="black", linewidth=0.8, linestyle=dashes, path_effects=halo)


def _legend(figure: Figure, colours: Mapping[str, Any], stages: Mapping[str, int]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    operations: list[Any] = [Patch(color=colour, label=name) for name, colour in colours.items()]
    lines = [
        Line2D([], [], color="black", linewidth=0.8, linestyle=dashes, label=f"{name} from {step}")
        for (name, step), dashes in zip(stages.items(), DASHES, strict=False)
    ]
    fit = int(figure.get_figwidth() / 1.4)
    if len(operations) + len(lines) <= fit:
        columns = len(operations) + len(lines)
    else:  # rows of one length, and the stages begin in a row of their own
        columns = math.ceil(len(operations) / math.ceil(len(operations) / fit))
        operations += [Patch(alpha=0, label=" ")] * (-len(operations) % columns)
    handles = operations + lines
    by_row = [handle for column in range(columns) for handle in handles[column::columns]]  # it fills column by column
    figure.legend(handles=by_row, loc="outside upper center", ncols=columns, fontsize=8, frameon=False)
