"""tshark, driven through pyshark: packets of a file as they are dissected, one after the other.

pyshark works with an event loop of its own kind, so it lives in a thread that nobody else's loop can get in the way of. tshark runs with an empty configuration: what a user
has set in Wireshark (key logs, debug files, plugins, disabled protocols) changes no result and writes nothing. Nothing that tshark prints reaches a message of ours, since it
may quote what was decrypted.
"""
from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
from typing import Any, Iterator

from ..errors import PcapsecError

MAX_SILENCE_S = 300.0  # without a packet; tshark reads thousands in a second
MAX_ENDING_S = 10.0  # that a tshark which was killed, or has closed its output, may take to be gone
_AHEAD = 256  # packets that may wait for us
_CONFIGURATION = "WIRESHARK_CONFIG_DIR"
_environment = threading.Lock()


@contextlib.contextmanager
def _configured(folder: str) -> Iterator[None]:
    """Our environment names a folder of Wireshark's configuration for a moment."""
    before = os.environ.get(_CONFIGURATION)
    os.environ[_CONFIGURATION] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CONFIGURATION]
        else:
            os.environ[_CONFIGURATION] = before


class WiresharkMissing(PcapsecError):
    """tshark or pyshark is not installed."""


def find() -> str:
    """Path of tshark.

    Raises:
        WiresharkMissing: it is not there, or pyshark is not.
    """
    path = shutil.which("tshark")
    if path is None:
        raise WiresharkMissing("tshark is not installed, which decryption and --verify need; on Debian: apt-get install tshark; it comes with Wireshark elsewhere")
    try:
        import pyshark  # noqa: F401 - whether it is there
    except ImportError:
        raise WiresharkMissing("pyshark is not installed, which decryption and --verify need: pip install pyshark") from None
    return os.path.abspath(path)


@contextlib.contextmanager
def _waited_for() -> Iterator[None]:
    """A process that is started meanwhile is waited for by a thread of its own, whatever thread starts it.

    A program that used pyshark in its main thread was left with a watcher that hangs on a loop which may not run any more. Replacing it by `set_child_watcher` would close it.
    """
    import asyncio

    policy = asyncio.get_event_loop_policy() if sys.version_info < (3, 14) else None  # then there is nothing left to choose
    before = getattr(policy, "_watcher", None)
    if before is None or before.is_active():
        yield
        return
    policy._watcher = asyncio.ThreadedChildWatcher()
    try:
        yield
    finally:
        policy._watcher = before


class Packets:
    """The packets of a capture file as tshark dissects them; iterate once, in a `with` block.

    Args:
        path: the capture.
        tshark: what `find` returned.
        folder: a private folder for tshark's configuration, empty.
        preferences: Wireshark's names -> values.
        decode_as: "tcp.port==9" -> protocol.
        parameters: further words of tshark's command line.
        display_filter: which packets come.
        as_json: tshark writes JSON instead of XML: far quicker for pyshark to read where fields are long, but without the octets behind them.

    Raises, while iterating:
        PcapsecError: tshark could not be run, or gave nothing for MAX_SILENCE_S.
    """

    def __init__(self, path: str, *, tshark: str, folder: str, preferences: dict[str, str] | None = None, decode_as: dict[str, str] | None = None,
                 parameters: list[str] | None = None, display_filter: str | None = None, as_json: bool = False):
        self._arguments = {"input_file": path, "keep_packets": False, "tshark_path": tshark, "override_prefs": preferences or {}, "decode_as": decode_as or {},
                           "custom_parameters": parameters or [], "display_filter": display_filter, "use_json": as_json}
        self._folder = folder
        self._queue: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._kill = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pcapsec-tshark", daemon=True)

    def __enter__(self) -> "Packets":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        deadline = time.monotonic() + 2 * MAX_ENDING_S
        while self._thread.is_alive() and time.monotonic() < deadline:  # whoever waits to hand a packet over is let go
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                pass

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                packet = self._queue.get(timeout=MAX_SILENCE_S)
            except queue.Empty:
                self._kill.set()
                raise PcapsecError(f"tshark has said nothing for {MAX_SILENCE_S:.0f} seconds and was stopped") from None
            if packet is None:
                return
            if isinstance(packet, str):
                raise PcapsecError(packet)
            yield packet

    # --- in the thread

    def _work(self) -> None:
        import asyncio

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        end: str | None = None
        try:
            end = self._read(loop)
        except Exception as error:  # its message may quote what tshark printed
            end = f"tshark could not be run through pyshark ({type(error).__name__})"
        finally:
            self._put(end)
            loop.close()

    def _read(self, loop: Any) -> str | None:
        import asyncio

        from pyshark import FileCapture

        folder, started = self._folder, []

        class Isolated(FileCapture):
            """With a configuration of its own; and waited for, where pyshark would end tshark behind the back of the loop that watches it."""

            async def _get_tshark_process(self, *arguments: Any, **keywords: Any) -> Any:
                with _environment, _configured(folder), _waited_for():  # pyshark lets tshark inherit our environment
                    process = await super()._get_tshark_process(*arguments, **keywords)
                started.append(process)
                return process

            async def _cleanup_subprocess(self, process: Any) -> None:
                if not self._eof_reached:
                    _end(process)
                with contextlib.suppress(asyncio.TimeoutError):  # seen once: tshark had ended and the loop was never told
                    await asyncio.wait_for(_ended(process), MAX_ENDING_S)

        def look() -> None:
            """End a tshark that nobody waits for any more."""
            if self._stop.is_set() or self._kill.is_set():
                for process in started:
                    _end(process)
            else:
                watch[:] = [loop.call_later(1, look)]

        watch: list[Any] = []
        look()
        capture = Isolated(eventloop=loop, **self._arguments)
        try:
            came = False
            for packet in capture:
                came = True
                if not self._put(packet):
                    break
            # what is cut off at its end makes tshark fail too, with all packets given
            return None if came or not started or not started[0].returncode else f"tshark gave nothing and ended with status {started[0].returncode}"
        finally:
            capture.close()
            for handle in watch:
                handle.cancel()

    def _put(self, packet: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(packet, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False


async def _ended(process: Any) -> None:
    """Read what a process still says, and wait until it is gone."""
    while await process.stdout.read(1 << 16):
        pass
    await process.wait()


def _end(process: Any) -> None:
    """Kill a tshark of ours. Not through asyncio, which would collect its exit status before the loop's own watcher does and complain about it."""
    if process.returncode is None:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
