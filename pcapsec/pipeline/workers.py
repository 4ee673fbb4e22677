"""The same work in several processes that share nothing, and what they tell one another."""
from __future__ import annotations

import os
import pickle
import socket
import tempfile
from typing import TYPE_CHECKING, Any, Callable

from ..errors import PcapsecError
from .endpoints import Endpoints

if TYPE_CHECKING:
    from .run import Outcome


def say(channel: socket.socket, what: Any) -> None:
    """One object over a channel between parent and worker: its length in 8 bytes, then its pickle."""
    packed = pickle.dumps(what)
    channel.sendall(len(packed).to_bytes(8, "big") + packed)


def hear(channel: socket.socket) -> Any:
    """The next object of a channel; None when its other end is gone."""
    try:
        with channel.makefile("rb") as stream:
            size = int.from_bytes(stream.read(8), "big")
            return pickle.loads(stream.read(size)) if size else None
    except (OSError, EOFError, pickle.UnpicklingError):
        return None


def fork(work: Callable[[int, Callable], tuple[dict, Any]], jobs: int, outcome: Outcome) -> list[dict]:
    """Run work(job) in forked processes; kernels are loaded before, so that workers compile nothing.

    Once each worker has read everything, all of them tell what they know of RPC endpoints and hear what the others know.
    """
    from ..streams.warm import load_kernels

    load_kernels()
    files, children, channels = [], [], []
    for job in range(jobs):
        file = tempfile.TemporaryFile()
        mine, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            code = 4
            mine.close()
            for other in channels:
                other.close()

            def exchange(endpoints: Endpoints) -> Endpoints:
                say(theirs, endpoints.known)
                merged = Endpoints()
                merged.known = hear(theirs) or endpoints.known
                return merged

            try:
                report, sink = work(job, exchange)
                pickle.dump((report, sink.close()), file)
                file.flush()
                code = 0
            except KeyboardInterrupt:
                code = 130
            except PcapsecError as error:  # its message is ours; the parent raises it again
                pickle.dump(error, file)
                file.flush()
            except BaseException as error:  # any other message may quote the wire: say only what and where
                place = error.__traceback__
                while place.tb_next is not None:
                    place = place.tb_next
                pickle.dump(f"worker {job}: {type(error).__name__} in {os.path.basename(place.tb_frame.f_code.co_filename)}, line {place.tb_lineno}", file)
                file.flush()
            finally:
                os._exit(code)
        theirs.close()
        channels.append(mine)
        files.append(file)
        children.append(child)
    everybody = Endpoints()
    for channel in channels:
        told = Endpoints()
        told.known = hear(channel) or {}
        everybody.merge(told)
    for channel in channels:
        try:
            say(channel, everybody.known)
        except OSError:  # that worker ended early; its exit says why
            pass
        channel.close()
    reports, refused = [], None
    for job, (file, child) in enumerate(zip(files, children)):
        _pid, status = os.waitpid(child, 0)
        file.seek(0)
        try:
            said = pickle.load(file)
        except (EOFError, pickle.UnpicklingError):
            said = f"worker {job} ended with status {status} and left nothing"
        if isinstance(said, PcapsecError):
            refused = refused or said
        elif isinstance(said, str):
            outcome.internal_errors.append(said)
        else:
            reports.append(said[0])
            outcome.partials.append(said[1])
    if refused is not None:
        raise refused
    return reports
