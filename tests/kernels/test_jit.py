"""What kernels are made of."""
from __future__ import annotations

import numba
import numpy

from pcapsec.kernels.jit import part


@part
def _scaled(value, factor):
    return value * factor


def test_a_part_is_compiled_once_whatever_constants_it_is_called_with():
    @numba.njit
    def twice_and_thrice(values):
        return _scaled(values[0], 2) + _scaled(values[0], 3) + _scaled(values[1], values[0])

    assert twice_and_thrice(numpy.array([5, 7])) == 60
    assert len(_scaled.overloads) == 1


def test_python_can_call_a_part_all_the_same():
    assert (_scaled(3, 4), _scaled(0.5, 4)) == (12, 2.0)
