"""Child processes, their events and how they end, here and on other computers. No Qt, no torch."""

from .commands import child_environment, finetune_command, finetune_job, segment_command, segment_job
from .detached import RunJob
from .job import Job
from .remote import DaskJob, training_job
from .run import run_to_end
from .stream import Event

__all__ = [
    "DaskJob",
    "Event",
    "Job",
    "RunJob",
    "child_environment",
    "finetune_command",
    "finetune_job",
    "run_to_end",
    "segment_command",
    "segment_job",
    "training_job",
]
