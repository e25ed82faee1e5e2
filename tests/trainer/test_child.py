"""How a process behaves that works for another one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import os, threading
from naslora_trainer.child import lower_priority
lower_priority()
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
thread.start()
thread.join()
print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), *found)
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has a class of programs that take idle cores")
def test_all_threads_of_a_child_run_where_a_core_is_free() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True, check=True)
    niceness, *classes = map(int, done.stdout.split())
    assert niceness > os.getpriority(os.PRIO_PROCESS, 0) or niceness == 19
    assert classes == [os.SCHED_IDLE] * 2
