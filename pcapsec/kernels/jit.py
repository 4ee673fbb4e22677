"""How kernels are compiled, and where the machine code is kept.

The cache is executable code, so its folder is writable by the user alone, and it is named by everything that decides what the code does:
`<user cache>/pcapsec/<sha256 of kernels/*.py, numba and numpy version, boundscheck flag>/`. numba's own key knows neither a callee in another
file nor NUMBA_BOUNDSCHECK. The place is set for our kernels alone and never through numba.config, so a program that imports pcapsec keeps its own.
"""
from __future__ import annotations

import hashlib
import os
import pathlib
import stat
import sys

import numba
import numpy
from numba.core import config, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.registry import CPUDispatcher

N_ENTRY_KERNELS = 6  # kernels that any capture needs (walk_pcap or walk_pcapng, scan, sweep, assemble, digest, steer); each leaves an index file in the cache


def _digest() -> str:
    seen = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        seen.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    seen.update(f"{numba.__version__} {numpy.__version__} {sys.version_info[:2]} {config.BOUNDSCHECK} {config.CPU_NAME}".encode())
    return seen.hexdigest()[:24]


def _cache_root() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "pcapsec"


def _private_folder() -> str | None:
    """The cache folder, made if need be; None when there is no place that only this user can write."""
    folder = _cache_root() / _digest()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place in (folder.parent, folder):
            about = place.lstat()
            if not stat.S_ISDIR(about.st_mode) or (hasattr(os, "getuid") and about.st_uid != os.getuid()):
                return None
            if about.st_mode & 0o022:
                place.chmod(0o700)
        return str(folder) if os.access(folder, os.W_OK) else None
    except OSError:
        return None


FOLDER = _private_folder()


def is_compiled() -> bool:
    """Whether an earlier run left compiled kernels, so that this one starts at once."""
    return FOLDER is not None and len(list(pathlib.Path(FOLDER).glob("*.nbi"))) >= N_ENTRY_KERNELS


class _Locator(_CacheLocator):
    """Tells numba our folder; freshness lies in the folder's name."""

    def __init__(self, function):
        self._name = function.__module__

    def get_cache_path(self):
        return FOLDER

    def get_source_stamp(self):
        return 0

    def get_disambiguator(self):
        return self._name.replace(".", "_")

    @classmethod
    def from_function(cls, function, _path):
        return cls(function)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _Cache(FunctionCache):
    _impl_class = _Implementation


# _nrt=False: kernels allocate nothing, and without it each array that is handed from function to function costs two atomic reference counts
# (measured: 285 ns a frame against 80).
_OPTIONS = {"error_model": "numpy", "nogil": True, "_nrt": False}


def kernel(function):
    """Compile a function that Python calls, on first use, and keep the machine code."""
    compiled = numba.njit(function, **_OPTIONS)
    if FOLDER is not None and hasattr(compiled, "_cache"):
        compiled._cache = _Cache(compiled.py_func)
    return compiled


class _Part(CPUDispatcher):
    """A function that has no entry for Python until Python calls it, and is compiled once for all constants that it is called with.

    Both halve the time of compilation: a wrapper is as much code as a small function, and to numba a constant is a type of its own, so that
    `f(0)` and `f(1)` would be two functions.
    """

    def __call__(self, *arguments):
        entry = self.__dict__.get("entry")
        if entry is None:
            entry = self.entry = numba.njit(self.py_func, **_OPTIONS)
        return entry(*arguments)

    def get_call_template(self, args, kws):
        return super().get_call_template(tuple(map(types.unliteral, args)), {name: types.unliteral(value) for name, value in kws.items()})


def part(function):
    """Compile a function that only kernels call: it is kept inside them."""
    compiled = numba.njit(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)
    if compiled.__class__ is CPUDispatcher:  # not with NUMBA_DISABLE_JIT
        compiled.__class__ = _Part
    return compiled


def inlined(function):
    """Compile a function into its one caller: handing the tables over by value costs more than what small kernels do with them."""
    return numba.njit(function, inline="always", **_OPTIONS)
