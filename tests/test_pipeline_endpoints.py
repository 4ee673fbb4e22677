"""RPC connections whose bind was not seen: the endpoint mapper, or another connection to the same port, tells their interface."""
from __future__ import annotations

import struct
from pathlib import Path

import pytest

import pcapsec

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
MAPI_PORT = 49701


def frames(name: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """File header, and (record header, frame) of each packet of a classic pcap."""
    data = (SAMPLES / name).read_bytes()
    out, at = [], 24
    while at + 16 <= len(data):
        (captured,) = struct.unpack_from("<I", data, at + 8)
        out.append((data[at:at + 16], data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return data[:24], out


def ports(frame: bytes) -> set[int]:
    """TCP ports of an IPv4 frame over Ethernet."""
    start = 14 + (frame[14] & 15) * 4
    return set(struct.unpack_from("!HH", frame, start)) if frame[12:14] == b"\x08\0" and frame[23] == 6 else set()


def is_before_calls(frame: bytes) -> bool:
    """SYN, SYN/ACK, bind, bind_ack, alter_context and its answer, auth3."""
    start = 14 + (frame[14] & 15) * 4
    payload = frame[start + (frame[start + 12] >> 4) * 4:]
    return bool(frame[start + 13] & 2) or len(payload) > 16 and payload[0] == 5 and payload[2] in (11, 12, 14, 15, 16)


def late(tmp_path: Path, keep_mapper: bool) -> Path:
    """A sealed MAPI connection from its calls on; with or without a conversation with the endpoint mapper behind it."""
    header, records = frames("rpc-mapi-privacy.pcap")
    chosen = [(head, frame) for head, frame in records if MAPI_PORT in ports(frame) and not is_before_calls(frame)]
    assert 0 < len(chosen) < len(records)
    if keep_mapper:
        chosen += [(head, frame) for head, frame in frames("rpc-mapi-connect.pcap")[1] if 135 in ports(frame)]
    path = tmp_path / "late.pcap"
    path.write_bytes(header + b"".join(head + frame for head, frame in chosen))
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_endpoint_mapper_tells_the_interface_of_a_late_start(tmp_path, jobs):
    result = pcapsec.analyze(str(late(tmp_path, True)), jobs=jobs)
    rows = result.rpc[result.rpc.session_id == result.sessions[result.sessions.server_port == MAPI_PORT].session_id.item()]
    assert rows[["interface", "interface_source"]].drop_duplicates().values.tolist() == [["EMSMDB", "epm"]]
    assert result.sessions[result.sessions.server_port == MAPI_PORT][["service", "service_source"]].values.tolist() == [["mapi", "epm"]]


def test_without_anybody_who_tells_the_interface_stays_unknown(tmp_path):
    result = pcapsec.analyze(str(late(tmp_path, False)))
    assert result.rpc.interface.isna().all() and len(result.rpc)
    assert not set(result.findings.rule_id) & {"PS501", "PS502"}


def test_a_bind_elsewhere_on_the_port_tells_the_interface(tmp_path):
    header, records = frames("rpc-mapi-privacy.pcap")
    first = [(head, frame) for head, frame in records if MAPI_PORT in ports(frame)]
    moved = []
    for head, frame in first:  # the same connection from another client port, without its bind
        if is_before_calls(frame):
            continue
        start = 14 + (frame[14] & 15) * 4
        source, target = struct.unpack_from("!HH", frame, start)
        moved.append((head, frame[:start] + struct.pack("!HH", source if source == MAPI_PORT else 61000, target if target == MAPI_PORT else 61000) + frame[start + 4:]))
    path = tmp_path / "both.pcap"
    path.write_bytes(header + b"".join(head + frame for head, frame in moved + first))
    result = pcapsec.analyze(str(path))
    late_session = result.sessions[result.sessions.client_port == 61000].session_id.item()
    assert result.rpc[result.rpc.session_id == late_session][["interface", "interface_source"]].drop_duplicates().values.tolist() == [["EMSMDB", "port"]]
