"""Keep activation memory in the process on Linux.

glibc hands large freed blocks back to the kernel at once, and a network frees one at every layer: small networks ran 2
to 4 times slower. Must run before the first large allocation, so before torch is imported.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 30


def keep_memory() -> bool:
    """Raise glibc's thresholds; False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, _KEEP_BYTES) for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD))
