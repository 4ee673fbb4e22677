"""What was inside TLS, read with keys: the same facts as in clear, judged as protected, and nothing left behind."""
from __future__ import annotations

import asyncio
import io
import os
import random
import stat
import subprocess
import sys
from dataclasses import replace

import numpy
import pandas
import pytest
import tls_talk
from frames import Talk, mirrored, pcap
from samples import FOLDER, SAMPLES, analysed

import pcapsec
from pcapsec.errors import PcapsecError
from pcapsec.kernels import tables
from pcapsec.pipeline import decryption, wireshark
from pcapsec.pipeline.keylog import KeyLog
from pcapsec.protocols.tls import TlsParser

TWINS = {  # recorded with keys -> the same in clear
    "keys-submission.pcap": "submission-login.pcap", "keys-submission-tls12.pcap": "submission-login.pcap", "keys-imaps.pcap": "imap-login.pcap",
    "keys-pop3-stls.pcap": "pop3-user-pass.pcap", "keys-owa.pcap": "owa-login.pcap", "keys-owa-http2.pcap": "owa-login.pcap", "keys-ews-tls12.pcap": "ews-basic.pcap",
    "keys-ews-http2.pcap": "ews-basic.pcap", "keys-activesync.pcap": "activesync-basic.pcap", "keys-mapi.pcap": "mapi-http.pcap", "keys-rpc.pcap": "rpc-over-http-basic.pcap",
    "keys-embedded.pcapng": "imap-login.pcap"}
BY_ITSELF = {"time", "capture", "frame", "session_id", "client_ip", "client_port", "server_ip", "server_port", "decrypted", "http_version", "server_name"}
TABLES = ("credentials", "messages", "http", "rpc", "anomalies")
KEY = b"the same key for both runs 12345"
of_sample = {sample.name: sample for sample in SAMPLES}
each_twin = pytest.mark.parametrize("name", TWINS)


def with_keys(name: str, **more) -> pcapsec.Result:
    keys = FOLDER / name.replace(".pcap", ".keys")
    return pcapsec.analyze(str(FOLDER / name), keylog=keys if keys.exists() else None, fingerprint_key=KEY, **more)


def said(result: pcapsec.Result, table: str, *leave: str) -> list[dict]:
    frame = getattr(result, table)
    rows = frame[[name for name in frame.columns if name not in BY_ITSELF | set(leave)]].astype(object)
    return rows.where(rows.notna(), None).to_dict("records")


def rules(result: pcapsec.Result) -> list[tuple[str, str]]:
    return sorted(zip(result.findings["rule_id"], result.findings["severity"]))


@each_twin
def test_the_tables_are_those_of_the_clear_recording(name: str):
    secret, clear = with_keys(name), pcapsec.analyze(str(FOLDER / TWINS[name]), fingerprint_key=KEY)
    assert secret.errors == secret.internal_errors == []
    for table in TABLES:
        leave = ("secret_fp",) if name == "keys-rpc.pcap" else ()  # a response to NTLM's challenge is never the same twice
        assert said(secret, table, *leave) == said(clear, table, *leave), table
    one, other = secret.sessions, clear.sessions
    assert list(one["protocol"]) == list(other["protocol"])
    assert list(one["principals"]) == list(other["principals"]) and list(one["messages"]) == list(other["messages"]) and list(one["logins"]) == list(other["logins"])
    assert list(one["client_name"].fillna("")) == list(other["client_name"].fillna(""))
    if "imap" not in name and "embedded" not in name:
        assert list(one["service"]) == list(other["service"])


@each_twin
def test_what_passed_inside_is_judged_as_protected(name: str):
    result = with_keys(name)
    assert list(result.sessions["decrypted"]) == [True] * len(result.sessions)
    assert set(result.sessions["verdict"]) == {"protected"}
    assert result.credentials["decrypted"].all() and result.messages["decrypted"].all() and result.http["decrypted"].all() and result.rpc["decrypted"].all()
    about_it = {"PS513", "PS607"} if name == "keys-rpc.pcap" else set()
    without_keys = set(of_sample[name].findings) - {"PS453"}  # how TLS ended is not kept where all of it is put aside for tshark
    assert {rule for rule, _ in rules(result)} - about_it - {"PS453"} == without_keys
    assert list(result.captures["decrypted_sessions"]) == [len(result.sessions)]


def test_basic_to_the_rpc_proxy_is_seen_inside_tls():
    findings = with_keys("keys-rpc.pcap").findings
    [found] = findings[findings["rule_id"] == "PS513"].drop_duplicates("rule_id").to_dict("records")
    assert (found["severity"], found["variant"], found["principal"], found["mechanism"]) == ("medium", "used", "EXAMPLE\\alice", "BASIC")
    without = pcapsec.analyze(str(FOLDER / "keys-rpc.pcap"))
    assert ("PS513", "not_observable", "encrypted") in set(zip(without.assessments["rule_id"], without.assessments["verdict"], without.assessments["reason"]))


@pytest.mark.parametrize("name", ["keys-submission.pcap", "keys-owa-http2.pcap", "keys-embedded.pcapng"])
def test_secrets_stay_secret(name: str, tmp_path, capfd):
    from test_secrets import leaks

    from pcapsec.cli.main import run

    keys = FOLDER / name.replace(".pcap", ".keys")
    words = [str(FOLDER / name), *(["--keylog", str(keys)] if keys.exists() else [])]
    assert run(["analyze", *words]) == 0
    assert run(["analyze", *words, "-o", str(tmp_path / "out"), "--verify"]) == 0
    out, err = capfd.readouterr()
    told = (out + err).encode() + b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert leaks(told, {secret.encode() for secret in of_sample[name].secrets}) == []
    revealed = with_keys(name, reveal_secrets=True).credentials["secret"].dropna()
    assert set(revealed) <= set(of_sample[name].secrets) and len(revealed)
    lines = keys.read_text().splitlines() if keys.exists() else []
    assert [line for line in lines if line.split()[2].encode() in told] == []


# --- made in memory

def conversation(version=tls_talk.TLS13, *, port: int = 465, turns=tls_talk.SUBMISSION, client_port: int = 40000, size: int = 1400, alpn=None) -> tuple[Talk, str]:
    wire, keys = tls_talk.encrypted(turns, version, alpn)
    talk = Talk(server_port=port, client_port=client_port).open()
    for side, data in wire:
        talk.say(side, data, size, acknowledge=True)
    return talk.close(), keys


def read(tmp_path, frames, keys: str | None, **more) -> pcapsec.Result:
    capture, log = tmp_path / "made.pcap", tmp_path / "made.keys"
    capture.write_bytes(frames if isinstance(frames, bytes) else pcap(frames))
    if keys is not None:
        log.write_text(keys)
    return pcapsec.analyze(str(capture), keylog=None if keys is None else log, fingerprint_key=KEY, **more)


CLEAR = Talk(server_port=465).open().turns(tls_talk.SUBMISSION).close()


@pytest.fixture(scope="module")
def clear(tmp_path_factory) -> pcapsec.Result:
    return read(tmp_path_factory.mktemp("clear"), CLEAR.frames(), None)


def same(result: pcapsec.Result, clear: pcapsec.Result) -> bool:
    return all(said(result, table) == said(clear, table) for table in TABLES) and len(result.credentials) == len(result.messages) == 1


@pytest.mark.parametrize("version", [tls_talk.TLS12, tls_talk.TLS13], ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize("size", [1400, 61, 60_000])
def test_records_over_segments(tmp_path, clear, version, size):
    talk, keys = conversation(version, size=size)
    assert same(read(tmp_path, talk.frames(), keys), clear)


def test_a_mirror_port_that_repeats_and_reorders(tmp_path, clear):
    talk, keys = conversation()
    segments = mirrored(talk.segments, random.Random(3), reordered=0.3, duplicated=0.3)
    assert same(read(tmp_path, [(segment.ts_ns, talk.frame(segment)) for segment in segments], keys), clear)


def test_evidence_points_at_the_frame_of_the_record(tmp_path):
    turns = [(0, b"GET /owa/ HTTP/1.1\r\nHost: mail.example.org\r\nAuthorization: Basic YWxpY2U6cHc=\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
    talk, keys = conversation(port=443, turns=turns)
    frames = talk.frames()
    by_client = [number for number, segment in enumerate(talk.segments, 1) if segment.side == 0 and segment.payload]
    result = read(tmp_path, frames, keys)
    assert list(result.http["frame"]) == list(result.credentials["frame"]) == [by_client[-1]]
    assert result.http["time"][0].value == frames[by_client[-1] - 1][0]


def test_many_conversations_in_several_jobs(tmp_path, clear):
    frames, keys = [], ""
    for number in range(6):
        talk, more = conversation(tls_talk.TLS13 if number % 2 else tls_talk.TLS12, client_port=40000 + number)
        talk.client = f"192.0.2.{number + 1}"
        frames += [(ts_ns + number * 100, frame) for ts_ns, frame in talk.frames()]
        keys += more
    frames.sort()
    one, several = read(tmp_path, frames, keys), read(tmp_path, frames, keys, jobs=3)
    for result in (one, several):
        assert list(result.captures["decrypted_sessions"]) == [6]
        assert len(result.credentials) == len(result.messages) == 6
    for table in ("credentials", "messages", "sessions"):
        tables = (getattr(result, table).drop(columns=["findings", "worst_severity"], errors="ignore") for result in (one, several))
        pandas.testing.assert_frame_equal(*tables)


def test_one_run_for_each_part_of_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(decryption, "SPOOL_STREAMS", 2)
    frames, keys = [], ""
    for number in range(5):
        talk, more = conversation(client_port=40000 + number)
        frames += talk.frames()
        keys += more
    result = read(tmp_path, sorted(frames), keys)
    assert (len(result.credentials), list(result.captures["decrypted_sessions"])) == (5, [5])


def test_from_a_pipe(tmp_path, clear):
    talk, keys = conversation()
    log = tmp_path / "made.keys"
    log.write_text(keys)
    assert same(pcapsec.analyze(io.BytesIO(pcap(talk.frames())), keylog=[str(log)], fingerprint_key=KEY), clear)


def test_inside_a_running_event_loop(tmp_path, clear):
    talk, keys = conversation()

    async def main() -> pcapsec.Result:
        return read(tmp_path, talk.frames(), keys)

    assert same(asyncio.run(main()), clear)


# --- keys that do not help

def encrypted_rows(result: pcapsec.Result) -> None:
    assert list(result.sessions["protocol"]) == ["tls"] and not result.sessions["decrypted"].any() and set(result.sessions["verdict"]) == {"protected"}
    assert len(result.credentials) == len(result.messages) == len(result.http) == 0
    assert result.errors == result.internal_errors == []


def notes(result: pcapsec.Result) -> list[str]:
    return [note for row in result.captures["notes"] for note in row]


@pytest.mark.parametrize("version", [tls_talk.TLS12, tls_talk.TLS13], ids=["TLS 1.2", "TLS 1.3"])
def test_wrong_keys(tmp_path, version):
    talk, keys = conversation(version)
    wrong = "\n".join(" ".join([*line.split()[:2], "00" * (len(line.split()[2]) // 2)]) for line in keys.splitlines() if line[0] != "#")
    result = read(tmp_path, talk.frames(), wrong)
    encrypted_rows(result)
    assert notes(result) == ["1 conversations stand in the key log but could not be decrypted, or held nothing"]


def test_the_keys_of_another_connection(tmp_path):
    (talk, _), (_, other) = conversation(), conversation()
    result = read(tmp_path, talk.frames(), other)
    encrypted_rows(result)
    assert notes(result) == ["no conversation stands in the key log"]


def test_a_key_log_that_lacks_the_keys_of_the_data(tmp_path):
    talk, keys = conversation()
    encrypted_rows(read(tmp_path, talk.frames(), "\n".join(line for line in keys.splitlines() if "HANDSHAKE" in line)))


def test_a_key_log_that_was_cut_off(tmp_path):
    talk, keys = conversation(tls_talk.TLS12)
    other = conversation()[1]
    encrypted_rows(read(tmp_path, talk.frames(), other + keys.rstrip()[:-10]))


def test_one_side_of_the_keys(tmp_path):
    talk, keys = conversation()
    result = read(tmp_path, talk.frames(), "\n".join(line for line in keys.splitlines() if "SERVER_" not in line))
    assert list(result.credentials["principal"]) == ["alice"] and list(result.credentials["auth_result"]) == ["unknown"]


def test_hostile_lines(tmp_path, clear):
    talk, keys = conversation()
    assert same(read(tmp_path, talk.frames(), "-o tls.debug_file:/tmp/x\n" + "CLIENT_RANDOM " * 9000 + "\n\x00\n" + keys), clear)


def test_lost_segments(tmp_path):
    talk, keys = conversation(size=500)
    for lost in range(5, len(talk.segments), 19):
        segments = talk.segments[:lost] + talk.segments[lost + 1:]
        result = read(tmp_path, [(segment.ts_ns, talk.frame(segment)) for segment in segments], keys)
        assert result.internal_errors == result.errors == []
        assert len(result.credentials) <= 1


def test_bytes_that_were_changed(tmp_path):
    """The record fails its check and counts as lost; nobody stumbles."""
    talk, keys = conversation()
    for number in range(12, len(talk.segments), 9):
        segments = list(talk.segments)
        if segments[number].payload:
            segments[number] = replace(segments[number], payload=bytes(byte ^ 0x55 for byte in segments[number].payload))
        result = read(tmp_path, [(segment.ts_ns, talk.frame(segment)) for segment in segments], keys)
        assert result.internal_errors == result.errors == []


def test_something_else_inside(tmp_path):
    talk, keys = conversation(turns=[(0, b"\x00\x01binary" * 20), (1, b"\xff\xfe" * 50)], port=993)
    result = read(tmp_path, talk.frames(), keys)
    assert (list(result.sessions["protocol"]), list(result.sessions["decrypted"]), list(result.sessions["service"])) == (["tls"], [True], ["imaps"])


# --- limits, tshark, and what is left behind

def test_a_limit_of_one_connection(tmp_path, monkeypatch):
    monkeypatch.setattr(decryption, "MAX_STREAM_BYTES", 4000)
    talk, keys = conversation()
    result = read(tmp_path, talk.frames(), keys)
    assert list(result.credentials["principal"]) == ["alice"] and not any(result.messages["complete"])
    assert notes(result) == ["1 conversations were decrypted in part: more than 0 MiB of one, or 1024 MiB of all"]


@pytest.mark.parametrize("limit", ["MAX_HELD", "MAX_TAKEN_BYTES"])
def test_limits_of_all_connections(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(decryption, limit, 0)
    talk, keys = conversation()
    result = read(tmp_path, talk.frames(), keys)
    encrypted_rows(result)


def test_tshark_is_missing(tmp_path, monkeypatch):
    talk, keys = conversation()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PcapsecError, match="tshark is not installed.*apt-get install tshark"):
        read(tmp_path, talk.frames(), keys)
    result = pcapsec.analyze(str(FOLDER / "keys-embedded.pcapng"))
    encrypted_rows(result)
    assert [note.partition(":")[0] for note in notes(result)] == ["1 conversations could be read with the keys in the capture"]


def test_pyshark_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyshark", None)
    with pytest.raises(PcapsecError, match="pip install pyshark"):
        wireshark.find()


def test_tshark_fails(tmp_path, monkeypatch):
    """What was found without it is not lost, and what it printed is not repeated."""
    bad = tmp_path / "bin" / "tshark"
    bad.parent.mkdir()
    bad.write_text("#!/bin/sh\n[ \"$1\" = -v ] && { echo 'TShark (Wireshark) 4.0.17 (x)'; exit 0; }\necho S3cret-1 >&2\nexit 3\n")
    bad.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bad.parent}:{os.environ['PATH']}")
    talk, keys = conversation()
    result = read(tmp_path, talk.frames(), keys)
    [error] = result.errors
    assert "the plaintext of 1 conversations, found trouble: tshark " in str(error) and "S3cret" not in str(error)  # how it ended depends on who looks first
    assert list(result.sessions["protocol"]) == ["tls"]


def test_private_files_that_are_gone_afterwards(tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    seen: dict[str, int] = {}
    packets = wireshark.Packets

    class Looking(packets):
        def __enter__(self):
            for folder, folders, names in os.walk(place):
                for name in folders + names:
                    path = os.path.join(folder, name)
                    seen[name.partition("-")[0]] = stat.S_IMODE(os.stat(path).st_mode)
            return super().__enter__()

    monkeypatch.setattr(wireshark, "Packets", Looking)
    talk, keys = conversation()
    read(tmp_path, talk.frames(), keys)
    assert seen == {"pcapsec": 0o700, "records": 0o600, "heads.pcap": 0o600, "keys": 0o600, "configuration": 0o700}
    assert list(place.iterdir()) == []

    class Broken(packets):
        def __iter__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(wireshark, "Packets", Broken)
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path, talk.frames(), keys)
    assert list(place.iterdir()) == []


def test_an_ordinary_run_asks_nobody(monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("tshark was looked for")

    monkeypatch.setattr(wireshark, "find", never)
    monkeypatch.setattr(wireshark, "Packets", never)
    analysed.cache_clear()
    result = pcapsec.analyze(str(FOLDER / "imaps-implicit.pcap"))
    assert not result.sessions["decrypted"].any()


def test_a_users_own_configuration_of_wireshark_changes_nothing(tmp_path, monkeypatch, clear):
    """Preferences of the user could write what is decrypted into a file, or switch TLS off."""
    home = tmp_path / "config"
    home.mkdir()
    (home / "preferences").write_text(f"tls.debug_file: {tmp_path}/debug.txt\n")
    (home / "disabled_protos").write_text("tls\n")
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(home))
    talk, keys = conversation()
    assert same(read(tmp_path, talk.frames(), keys), clear)
    assert not (tmp_path / "debug.txt").exists() and os.environ["WIRESHARK_CONFIG_DIR"] == str(home)


# --- the tap, by itself

def tapped(wire: list[tuple[int, bytes]], keys: str, *, step: int = 0) -> tuple[decryption.Decryption, decryption.Tap]:
    log = KeyLog()
    log.take([keys.encode()])
    owner = decryption.Decryption(log, [], numpy.zeros(tables.N_PARAMETER, numpy.int64))
    tap = owner.parsers["tls"](start_seen=True, server_port=465)
    ends = [0, 0]
    for side, data in wire:
        for begin in range(0, len(data), step or len(data)):
            piece = data[begin:begin + (step or len(data))]
            tap.feed(side, piece, ends[side])
            ends[side] += len(piece)
            if tap.handshake.complete:
                break
    tap.finish()
    return owner, tap


def records(owner: decryption.Decryption) -> bytes:
    """The file for tshark."""
    if not owner._spools:
        return b""
    owner._spools[0].close()
    with open(owner._spools[0].path, "rb") as file:
        return file.read()


def test_the_same_records_however_they_are_cut():
    wire, keys = tls_talk.encrypted(tls_talk.SUBMISSION)
    files = []
    for step in (0, 1, 7, 1000):
        owner, tap = tapped(wire, keys, step=step)
        files.append(records(owner))
        assert tap.handshake.complete and tap.handshake.established and owner._spools[0].n > 15
        owner.close()
    assert files[1:] == [files[0]] * 3


def test_without_keys_a_tap_is_a_tls_parser():
    wire, _ = tls_talk.encrypted(tls_talk.SUBMISSION)
    owner, tap = tapped(wire, "")
    parser = TlsParser()
    for side, data in wire:
        parser.feed(side, data, 0)
    parser.finish()
    assert (tap.handshake.version, tap.handshake.sni, tap.handshake.established, tap.handshake.complete, tap.stream) == ("TLSv1.3", "mail.example.org", True, True, None)
    assert tap.handshake.cipher_suite == parser.handshake.cipher_suite and owner._folder is None


def test_a_tap_never_raises():
    wire, keys = tls_talk.encrypted(tls_talk.SUBMISSION[:6])
    shaken = random.Random(17)
    for _ in range(200):
        damaged = [(side, bytearray(data)) for side, data in wire]
        for _ in range(shaken.randrange(6)):
            data = shaken.choice(damaged)[1]
            data[shaken.randrange(len(data))] ^= 1 << shaken.randrange(8)
        if shaken.randrange(3) == 0:
            del damaged[shaken.randrange(len(damaged))]
        owner, tap = tapped([(side, bytes(data)) for side, data in damaged], keys, step=shaken.choice((0, 3, 500)))
        tap.gap(shaken.randrange(2), 100, 10**6)
        owner.close()


USED_BEFORE = """
import asyncio, pyshark
asyncio.set_event_loop(asyncio.new_event_loop())
with pyshark.FileCapture("samples/smtp-helo.pcap", keep_packets=False) as capture:
    assert sum(1 for packet in capture) > 5
import pcapsec
result = pcapsec.analyze("samples/keys-embedded.pcapng")
print(result.errors, result.captures["decrypted_sessions"].tolist())
"""


def test_a_program_that_used_pyshark_itself():
    """In the main thread pyshark leaves a watcher of processes that hangs on its own loop."""
    done = subprocess.run([sys.executable, "-c", USED_BEFORE], cwd=FOLDER.parent, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "[] [1]\n"), done.stderr
