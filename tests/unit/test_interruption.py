"""Runs end when they are asked to, and when nobody waits for them any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from escalometer.runtime.interruption import Interruption


def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_check():
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        interruption = Interruption()
        interruption.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_child_ends_with_its_parent():
    child = (
        "import time; from escalometer.runtime.interruption import end_with_parent\n"
        "end_with_parent(); print('up', flush=True); time.sleep(60)\n"
    )
    parent = (
        "import subprocess, sys, os, signal\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", parent]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
