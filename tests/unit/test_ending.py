"""A process that ends at once has written everything and has the exit code that Python gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
import atexit, sys, threading, time
from escalometer.runtime.ending import end_at_once, leave_with
end_at_once()
class Last:
    def __del__(self):
        print("deleted")
last = Last()
last.itself = last
atexit.register(print, "handled")
"""


def ended(body: str) -> tuple[int, str]:
    code = f"{HEAD}\ndef main():\n    {body}\nleave_with(main)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return None", 0),
        ("return 5", 5),
        ("sys.exit()", 0),
        ("sys.exit(6)", 6),
        ("sys.exit('a reason')", 1),
        ("raise ValueError", 1),
        ("raise KeyboardInterrupt", 130),
    ],
)
def test_the_exit_code_is_kept_and_handlers_run(body: str, code: int) -> None:
    assert ended(body) == (code, "handled\n")


def test_output_is_written_and_threads_are_waited_for() -> None:
    late = "threading.Thread(target=lambda: (time.sleep(0.3), print('late'))).start()"
    code, said = ended(f"print('x' * 100_000); {late}; return 3")
    assert code == 3
    assert said == "x" * 100_000 + "\nlate\nhandled\n"


def test_output_that_nobody_reads_is_an_error() -> None:
    code = f"{HEAD}\ndef main():\n    sys.stdout.close()\n    open(1, 'w')\nleave_with(main)"
    done = subprocess.run(
        [sys.executable, "-c", code.replace('atexit.register(print, "handled")', "")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 120
