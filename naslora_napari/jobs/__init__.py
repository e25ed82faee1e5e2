"""Child processes, their events and how they end. No Qt, no torch."""

from .commands import child_environment, finetune_command, finetune_job, segment_command, segment_job
from .job import Job
from .run import run_to_end
from .stream import Event

__all__ = [
    "Event",
    "Job",
    "child_environment",
    "finetune_command",
    "finetune_job",
    "run_to_end",
    "segment_command",
    "segment_job",
]
