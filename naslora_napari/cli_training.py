"""``naslora finetune`` and ``naslora adopt``: here, in a cluster, or on any machine that gets the run folder."""

from __future__ import annotations

import shlex
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.errors import UserError

from .cli_adapters import starting_point
from .console import Json, follow, say, show


class Method(StrEnum):
    """How to fine-tune."""

    nas_lora = "nas-lora"
    nas_pc_lora = "nas-pc-lora"
    conv_lora = "conv-lora"
    conv_lora_experts = "conv-lora-experts"
    lora = "lora"
    decoder_only = "decoder-only"


class Preset(StrEnum):
    """How long to fine-tune."""

    quick = "quick"
    standard = "standard"
    thorough = "thorough"


def finetune(
    project: Annotated[Path, typer.Argument(help="a folder NAME.naslora")],
    method: Method = Method.nas_lora,
    preset: Preset = Preset.quick,
    base: Annotated[str, typer.Option(help="base model, see 'naslora models'")] = DEFAULT_MODEL,
    rank: Annotated[int | None, typer.Option(help="rank of the update")] = None,
    blocks: Annotated[int | None, typer.Option(help="how many of the last attention blocks are adapted")] = None,
    steps: Annotated[int | None, typer.Option(help="steps, in place of the preset's")] = None,
    seed: int = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    start: Annotated[
        str, typer.Option(help="go on from an adapter: 'current', an id of 'naslora adapters' or a file")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="copy the adapter to this file as well")] = None,
    dask: Annotated[str, typer.Option(help="train on a worker of the cluster at tcp://... or tls://...")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that was interrupted last")] = False,
    prepare: Annotated[
        Path | None, typer.Option(help="train nothing; write a folder with run.sh, which does so on any machine")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune on the labels of a project, from the base model, in a process of its own."""
    from naslora_trainer.config import FineTuneConfig
    from naslora_trainer.files import saving

    from .jobs import run_to_end, training_job
    from .jobs.cores import cores
    from .store import Project

    opened = Project.open(project)
    given: dict[str, Any] = {"rank": rank, "blocks": blocks, "steps": steps}
    config = FineTuneConfig.checked(
        method=method.value,
        preset=preset.value,
        base=base,
        seed=seed,
        device=device,
        **starting_point(opened.library, start, base),
        **{name: value for name, value in given.items() if value is not None},
    )
    if prepare is not None:
        run_dir = opened.new_run(config, prepare)
        home = shlex.join(["naslora", "adopt", str(opened.path), str(run_dir)])
        text = f"{run_dir}: bash run.sh trains there; bring it home with: {home}"
        return show({"run": str(run_dir)}, as_json, text)
    run_dir = _interrupted(opened) if resume else opened.new_run(config)
    job = training_job(run_dir, dask, threads=cores())
    result = run_to_end(job, follow(as_json))
    if result["status"] == "cancelled":
        raise UserError("The fine-tune was stopped; labels and adapters are as they were.", "It goes on with --resume.")
    adapter = opened.adopt(run_dir)
    if out is not None:
        with saving(out) as temporary:
            shutil.copyfile(adapter, temporary)
    say(f"{result['reason']} {adapter}")


def _interrupted(project: Any) -> Path:
    """Return the last run of a project, which was interrupted, or runs on a cluster."""
    from .store.runs import state_of

    runs: list[Path] = project.runs()
    if not runs or state_of(runs[-1]) not in ("interrupted", "running"):
        raise UserError(f"The last fine-tune of {project.name} was not interrupted.", "Start one without --resume.")
    return runs[-1]


def adopt(
    project: Annotated[Path, typer.Argument(help="a folder NAME.naslora")],
    run: Annotated[Path, typer.Argument(help="a run folder in which a training has ended")],
    as_json: Json = False,
) -> None:
    """Take over the adapter of a run folder that was trained elsewhere."""
    from naslora_trainer import Adapter
    from naslora_trainer.__main__ import ADAPTER

    from .store import Project

    opened = Project.open(project)
    if (run / ADAPTER).exists():
        Adapter.load(run / ADAPTER)  # refuses what is damaged, or no adapter
    kept = opened.adopt(run)
    show({"adapter": str(kept)}, as_json, str(kept))
