"""Whole captures to mutate: files there are, and some that are made because no sample is like them."""
from __future__ import annotations

import io
import random
import struct
from pathlib import Path

from pcapsec.capture.inputs import plan
from pcapsec.capture.source import open_source
from pcapsec.kernels import assembly, tables
from pcapsec.streams.engine import FORGET, Engine
from tests.frames import Talk, ones_complement, pcap

from .mutations import Turn
from .seeds import dialogues

LARGEST_FILE = 60_000  # bytes; what mutates fast


def made() -> dict[str, bytes]:
    """Captures by name: formats without a sample, fragments, and more conversations at once than tight tables hold."""
    chance = random.Random(1)
    said = dialogues()
    talk = Talk().open().turns(said["smtp"]).close()
    frames = talk.frames()
    crowd: list[tuple[int, bytes]] = []
    for n in range(60):
        one = Talk(client=f"192.0.2.{n + 1}", server_port=chance.choice((25, 110, 143, 40001)), clock=talk.clock + n)
        one.open().turns(chance.choice(list(said.values()))[:chance.choice((1, 2, 8))])
        crowd += (one.close() if n % 3 == 0 else one).frames()
    crowd.sort()
    return {
        "made-conversation": pcap(frames), "made-crowd": pcap(crowd), "made-raw": pcap([(ts_ns, frame[14:]) for ts_ns, frame in frames], link=101),
        "made-fragments": pcap([piece for one in frames for piece in _fragments(*one)]), "made-snoop": _snoop(frames), "made-netmon2": _netmon(frames, 2),
        "made-netmon1": _netmon(frames, 1)}


def _fragments(ts_ns: int, frame: bytes) -> list[tuple[int, bytes]]:
    """An Ethernet frame of IPv4 as frames with 48 bytes of IP payload each."""
    head, body = bytearray(frame[14:34]), frame[34:]
    pieces = []
    for at in range(0, len(body), 48):
        part = body[at:at + 48]
        struct.pack_into("!H", head, 2, 20 + len(part))
        struct.pack_into("!H", head, 6, (0x2000 if at + 48 < len(body) else 0) | at // 8)
        struct.pack_into("!H", head, 10, 0)
        struct.pack_into("!H", head, 10, ones_complement(bytes(head)))
        pieces.append((ts_ns + at, frame[:14] + bytes(head) + part))
    return pieces


def _snoop(frames: list[tuple[int, bytes]]) -> bytes:
    """RFC 1761."""
    out = [b"snoop\0\0\0" + struct.pack(">II", 2, 4)]
    for ts_ns, frame in frames:
        padding = -len(frame) % 4
        out.append(struct.pack(">6I", len(frame), len(frame), 24 + len(frame) + padding, 0, ts_ns // 10**9, ts_ns % 10**9 // 1000) + frame + bytes(padding))
    return b"".join(out)


def _netmon(frames: list[tuple[int, bytes]], major: int) -> bytes:
    """Microsoft Network Monitor's formats, 1.1 and 2.0: records, and a table of their places at the end."""
    body, table = b"", b""
    for n, (_ts, frame) in enumerate(frames):
        table += struct.pack("<I", 128 + len(body))
        body += (struct.pack("<QII", n * 1000, len(frame), len(frame)) if major == 2 else struct.pack("<IHH", n, len(frame), len(frame))) + frame
    head = struct.pack("<4sBBH8HII", b"GMBU" if major == 2 else b"RTSS", 0 if major == 2 else 1, major, 1, 2023, 11, 3, 14, 22, 13, 20, 0, 128 + len(body), len(table))
    return head.ljust(128, b"\0") + body + table


def files(*folders: Path | None) -> dict[str, bytes]:
    """Capture files that are small enough, by name; those of a corpus have no business being listed elsewhere."""
    found = {}
    for folder in folders:
        if folder is None:
            continue
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.endswith((".csv", ".md", ".py", ".txt", ".json", ".jsonl")) and 24 <= path.stat().st_size <= LARGEST_FILE:
                found[path.name if path.name not in found else str(path)] = path.read_bytes()
    return found


def conversations_of(captures: dict[str, bytes]) -> list[list[Turn]]:
    """The conversations inside captures as the engine rebuilds them."""
    found: list[list[Turn]] = []
    for data in captures.values():
        engine = Engine()
        for window in open_source(plan(io.BytesIO(data), errors=[])[0], errors=[]):
            for batch in engine.take(window.data, window.frames, window.n_frames, window.first_frame):
                engine.steer(batch.entries, [FORGET] * len(batch.entries))
        for batch in engine.finish():
            for row, result in zip(batch.flows, batch.results):
                ports = row[tables.KEY_PORTS]
                flip = 1 if row[tables.STATE] & (tables.SYN_B | tables.SYNACK_A) or (ports >> 48) & 0xFFFF < (ports >> 32) & 0xFFFF else 0
                turns = [(turn[1] ^ flip, batch.data[turn[2]:turn[2] + turn[3]]) for turn in batch.turns[result[assembly.R_TURN]:result[assembly.R_TURN] + result[assembly.R_TURNS]]
                         if turn[0] == assembly.DATA]
                if turns and sum(len(text) for _side, text in turns) < LARGEST_FILE:
                    found.append(turns)
            engine.steer(batch.entries, [FORGET] * len(batch.entries))
    return found
