"""Memory that a step frees stays with the process, so that the next step need not ask for it."""

import ctypes
import sys

# What glibc's malloc.h calls M_TRIM_THRESHOLD and M_MMAP_MAX.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Whether the C library does so from now on; False where it has no such setting.

    glibc gives each block of more than 32 MB back to the system as soon as it is freed, and gets
    the next one page by page, filled with zeros. A step on a CPU frees and takes the same gigabytes
    over and over: tensors of that size cost a tenth of it, and half of it and more beside other
    busy processes. In exchange the process holds a little more than it needs, one to two percent
    in training. The setting is of the whole process, and changes no result.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):  # musl
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, 2**31 - 1))
