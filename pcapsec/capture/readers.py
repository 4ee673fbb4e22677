"""Readers: bytes of a file, a pipe or a packed stream, a buffer at a time and without ever holding more than one.

Each has `readinto(view)`: bytes written, 0 at the end, None when nothing came yet; `wait(seconds)`: whether a read would give something; `live`:
whether bytes may come slowly; `position`: bytes taken from the file itself; `broken`: why the stream could not be read to its end, None when it could; `cut`: it is broken only in
that it stops early, as a file does that is still being written or was copied too soon.
"""
from __future__ import annotations

import os
import select
import stat
import zlib

from . import formats

CHUNK_BYTES = 1 << 18  # packed bytes read at a time
UNPACKED_BYTES = 1 << 20  # unpacked bytes made at a time; bounds what a decompression bomb can ask for
MAX_ZSTD_WINDOW = 1 << 27  # zstd's own default limit (--long=27)
MAX_XZ_MEMORY = 1 << 28
SNIFF_BYTES = 10
FIRST_READ_BYTES = 1 << 20  # from a pipe: more than a buffered file object holds back, so that afterwards it can be left aside


class Stream:
    """A binary file object as it is, with a way to wait for it and to look at its first bytes."""

    def __init__(self, file):
        self._file = file
        self._ahead = b""
        self._poll = None
        self.position = 0
        self.broken: str | None = None
        self.cut = False
        self.live = False
        self._regular = False
        self._begin = 0  # where in a regular file the capture begins
        self._take = getattr(file, "readinto", None)
        try:
            descriptor = file.fileno()
            mode = os.fstat(descriptor).st_mode
        except (OSError, AttributeError, ValueError):
            descriptor, mode = -1, 0
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
            # readinto of a buffered file would wait until all is filled; readinto1 gives what is there
            self._take = getattr(file, "readinto1", self._take)
            if hasattr(select, "poll"):
                self.live = True
                self._poll = select.poll()
                self._poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
        elif stat.S_ISREG(mode):
            self._regular = True
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)  # the kernel reads further ahead

    def wait(self, seconds: float) -> bool:
        return bool(self._ahead) or self._poll is None or bool(self._poll.poll(max(0, int(seconds * 1000))))

    def sniff(self) -> bytes:
        """The first SNIFF_BYTES bytes, fewer only when there are no more; the next reads give them again."""
        if self._regular and getattr(self._file, "seekable", bool)():
            self._begin = self._file.tell()
            head = self._read(SNIFF_BYTES)
            self._file.seek(self._begin)
            self.position = 0
            return head
        while len(self._ahead) < SNIFF_BYTES:
            more = self._read(FIRST_READ_BYTES)
            if not more:
                break
            self._ahead += more
        if self.live and getattr(self._file, "raw", None) is not None:
            self._take = self._file.raw.readinto  # what lies in a buffered file's own buffer cannot be waited for
        return self._ahead[:SNIFF_BYTES]

    def readinto(self, view: memoryview) -> int:
        if self._ahead:
            n = min(len(self._ahead), len(view))
            view[:n] = self._ahead[:n]
            self._ahead = self._ahead[n:]
            return n
        try:
            if self._take is not None:
                n = self._take(view)
                while n is None:  # a descriptor that does not block
                    self.wait(1)
                    n = self._take(view)
            else:
                data = self._file.read(len(view))
                n = len(data)
                view[:n] = data
        except OSError as error:  # a disk or a network file system gave up
            self.broken = f"reading failed at byte {self.position}: {error.strerror or error}"
            n = 0
        except (EOFError, ValueError) as error:  # a file object that unpacks by itself
            self.broken = f"reading failed at byte {self.position}: {error}"
            n = 0
        self.position += n
        return n

    def read(self, n: int) -> bytes:
        """At most n bytes, as few as one read gives."""
        if self._ahead:
            data, self._ahead = self._ahead[:n], self._ahead[n:]
            return data
        return self._read(n)

    @property
    def size(self) -> int | None:
        """Bytes there are to read here and there with `read_at`; None: it can only be read from front to back."""
        if not self._regular or not getattr(self._file, "seekable", bool)():
            return None
        return max(0, os.fstat(self._file.fileno()).st_size - self._begin)

    def read_at(self, at: int, n: int) -> memoryview:
        """At most n bytes from a place on, fewer at the end; only where `size` is known."""
        buffer = memoryview(bytearray(max(0, min(n, (self.size or 0) - at))))
        filled, furthest = 0, self.position
        if buffer:
            self._file.seek(self._begin + at)
        while filled < len(buffer):
            got = self.readinto(buffer[filled:])
            if not got:
                break
            filled += got
        self.position = max(furthest, at + filled)
        return buffer[:filled]

    def _read(self, n: int) -> bytes:
        buffer = bytearray(n)
        ahead, self._ahead = self._ahead, b""
        n = self.readinto(memoryview(buffer))
        self._ahead = ahead
        return bytes(buffer[:n])


class _Gzip:
    """zlib behind the interface that bz2, lzma and lz4 share (RFC 1952; one member)."""

    def __init__(self):
        self._inflate = zlib.decompressobj(31)
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        inflate = self._inflate
        out = inflate.decompress(inflate.unconsumed_tail + data if data else inflate.unconsumed_tail, max_length)
        self.needs_input = not inflate.unconsumed_tail and len(out) < max_length
        return out

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data


def _decompressor(compression: str):
    if compression == formats.GZIP:
        return _Gzip()
    if compression == formats.LZ4:
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()
    if compression == formats.BZIP2:
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(memlimit=MAX_XZ_MEMORY)


class Unpacked:
    """gzip, lz4, bzip2 or xz, one or several members one after the other."""

    def __init__(self, stream: Stream, compression: str):
        self._stream, self._compression = stream, compression
        self._decompressor = _decompressor(compression)
        self._between = False  # a member has ended and no other has begun
        self._ended = False
        self._rest = b""
        self.live = stream.live
        self.broken: str | None = None
        self.cut = False

    @property
    def position(self) -> int:
        return self._stream.position

    def wait(self, seconds: float) -> bool:
        return not self._decompressor.needs_input or bool(self._rest) or self._stream.wait(seconds)

    def readinto(self, view: memoryview) -> int | None:
        if self._ended:
            return 0
        data = b""
        if self._between or self._decompressor.needs_input:
            data, self._rest = self._rest, b""
            data = data or self._stream.read(CHUNK_BYTES)
            if not data:
                self._ended = True
                self.broken = self._stream.broken
                if not self.broken and not self._between:
                    self.cut = True
                    self.broken = f"the {self._compression} stream is cut off at byte {self.position}"
                return 0
        if self._between:
            data = data.lstrip(b"\0")  # tapes and some writers pad with zeros
            if not data:
                return None
            while len(data) < SNIFF_BYTES:
                more = self._stream.read(CHUNK_BYTES)
                if not more:
                    break
                data += more
            if formats.compression_of(data) != self._compression:
                self._ended = self.cut = True
                self.broken = f"bytes that are not {self._compression} follow the {self._compression} stream"
                return 0
            self._decompressor = _decompressor(self._compression)
            self._between = False
        try:
            out = self._decompressor.decompress(data, min(len(view), UNPACKED_BYTES))
        except Exception as error:  # each library has its own; whatever it is, the stream cannot be followed further
            self._ended = True
            self.broken = f"the {self._compression} stream is damaged before byte {self.position}: {error}"
            return 0
        if self._decompressor.eof:
            self._rest = self._decompressor.unused_data or b""
            self._between = True
        view[: len(out)] = out
        return len(out) or None


class _ZstdFrames:
    """Follows the outer structure of zstd frames, for the library does not tell a whole stream from one that was cut (RFC 8878 §3.1)."""

    def __init__(self):
        self._held = b""
        self._jump = 0  # bytes to pass over unseen
        self._step = self._magic
        self._checksum = 0
        self.whole = True  # the bytes so far end with a frame

    def feed(self, data: bytes) -> None:
        at = min(self._jump, len(data))
        self._jump -= at
        data = self._held + data[at:]
        at = 0
        self._held = b""
        while self._jump == 0:
            n = self._step(data, at)
            if n == 0:
                self._held = data[at:]
                break
            at += n
            if at + self._jump > len(data):
                self._jump -= len(data) - at
                break
            at += self._jump
            self._jump = 0
        self.whole = self._step == self._magic and not self._held and not self._jump

    def _magic(self, data: bytes, at: int) -> int:
        if len(data) - at < 8:
            return 0
        if data[at] != 0x28:  # skippable: its length
            self._jump = int.from_bytes(data[at + 4 : at + 8], "little")
            return 8
        descriptor = data[at + 4]
        single = descriptor & 0x20
        content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
        self._checksum = 4 if descriptor & 4 else 0
        self._jump = (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + content
        self._step = self._block
        return 5

    def _block(self, data: bytes, at: int) -> int:
        if len(data) - at < 3:
            return 0
        header = int.from_bytes(data[at : at + 3], "little")
        self._jump = 1 if (header >> 1) & 3 == 1 else header >> 3
        if header & 1:
            self._jump += self._checksum
            self._step = self._magic
        return 3


class UnpackedZstd:
    """zstd, one or several frames; it unpacks straight into the window."""

    def __init__(self, stream: Stream):
        import zstandard

        self._stream = stream
        self._frames = _ZstdFrames()
        self._error = zstandard.ZstdError
        self._reader = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).stream_reader(self, read_size=CHUNK_BYTES, read_across_frames=True)
        self._ended = False
        self.live = stream.live
        self.broken: str | None = None
        self.cut = False

    @property
    def position(self) -> int:
        return self._stream.position

    def wait(self, seconds: float) -> bool:
        return self._stream.wait(seconds)

    def read(self, n: int) -> bytes:
        """Packed bytes for the library."""
        data = self._stream.read(n)
        self._frames.feed(data)
        return data

    def readinto(self, view: memoryview) -> int:
        if self._ended:
            return 0
        try:
            n = self._reader.readinto1(view[:UNPACKED_BYTES])
        except self._error as error:
            self.broken = f"the zstd stream is damaged before byte {self.position}: {error}"
            n = 0
        if n == 0:
            self._ended = True
            self.broken = self.broken or self._stream.broken
            if not self.broken and not self._frames.whole:
                self.cut = True
                self.broken = f"the zstd stream is cut off at byte {self.position}"
        return n


def open_reader(file):
    """A reader for a binary file object, and the name of its compression (None: none), told by its first bytes."""
    stream = Stream(file)
    compression = formats.compression_of(stream.sniff())
    if compression is None:
        return stream, None
    return (UnpackedZstd(stream) if compression == formats.ZSTD else Unpacked(stream, compression)), compression
