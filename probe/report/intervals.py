"""The 95 % interval of a mean, without scipy, which is slow to import."""

import math

_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
        2.042)  # fmt: skip
"""Student's t at 97.5 % for 1 to 30 degrees of freedom."""
_Z95 = 1.959964


def student95(degrees: int) -> float:
    """Half of the 95 % interval in standard errors; beyond 30 degrees Fisher's expansion."""
    if degrees <= len(_T95):
        return _T95[degrees - 1]
    z = _Z95
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def mean_half(std: float, count: int) -> float:
    """Half of the 95 % interval of the mean of `count` values with that standard deviation."""
    return student95(count - 1) * std / math.sqrt(count)
