"""Freed memory is taken again without the system's help."""

import resource
import subprocess
import sys

import pytest

TAKE_AND_FREE = """
import resource, sys, torch
from omnimask.foundation.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for number in range(40):  # in the first ones the heap grows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the system had to find for 80 MB that had been there before."""
    command = [sys.executable, "-c", TAKE_AND_FREE, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_a_large_tensor_is_made_where_the_last_one_was():
    pages = 80_000_000 // resource.getpagesize()
    assert faults("usual") > pages / 2
    assert faults("kept") < pages / 100
