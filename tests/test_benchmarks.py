"""The capture maker makes what it says, and the comparison notices when tables differ from it."""
from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import checking  # noqa: E402
import make_capture  # noqa: E402
import make_flood  # noqa: E402
import measuring  # noqa: E402
from sizes import size_in_bytes  # noqa: E402
from targets import Verdict, judge  # noqa: E402
from traffic.engine import Player, Rates  # noqa: E402
from traffic.message import sizes  # noqa: E402
from traffic.script import CLIENT, Pool, Script, Span  # noqa: E402
from traffic.truth import Truth  # noqa: E402

FIVE_MB = 5 << 20
CLEAN = Rates(lost=0, duplicated=0, reordered=0)


def frames_of(path: Path) -> list[tuple[int, bytes]]:
    """(time in µs, frame) of each record of a microsecond pcap, read without any of our kernels."""
    data = path.read_bytes()
    assert struct.unpack("<IHHiIII", data[:24]) == (0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    at, frames = 24, []
    while at < len(data):
        seconds, micros, captured, length = struct.unpack_from("<IIII", data, at)
        assert captured == length
        frames.append((seconds * 1_000_000 + micros, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    assert at == len(data)
    return frames


def tshark(path: Path, display_filter: str, *fields: str) -> list[list[str]]:
    """Fields of the frames that a filter lets through, with all checksums verified."""
    checks = [word for layer in ("ip", "tcp", "udp") for word in ("-o", f"{layer}.check_checksum:TRUE")]
    command = ["tshark", "-n", "-r", str(path), *checks, "-Y", display_filter, "-T", "fields", *(word for name in fields for word in ("-e", name))]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in output.splitlines()]


@pytest.fixture(scope="module", params=["mail", "mixed"])
def clean(request, tmp_path_factory) -> tuple[Path, dict]:
    """A capture in which nothing is lost, doubled or out of order, and its truth."""
    path = tmp_path_factory.mktemp("clean") / f"{request.param}.pcap"
    return path, make_capture.make(request.param, path, FIVE_MB, 3, rates=CLEAN)


@pytest.fixture(scope="module", params=["mail", "mixed"])
def real(request, tmp_path_factory) -> tuple[Path, dict]:
    """A capture with everything that mirrors do to traffic, and its truth."""
    path = tmp_path_factory.mktemp("real") / f"{request.param}.pcap"
    return path, make_capture.make(request.param, path, FIVE_MB, 1, listing=True)


def test_size_in_bytes():
    assert [size_in_bytes(text) for text in ("7", "5M", "2G", "1.5k", "200MB")] == [7, 5 << 20, 2 << 30, 1536, 200 << 20]


def test_tshark_finds_nothing_wrong(clean):
    path, _truth = clean
    analysis = ("lost_segment", "ack_lost_segment", "retransmission", "out_of_order", "duplicate_ack", "zero_window", "window_full")
    wrong = " || ".join(["_ws.malformed", *(f"{layer}.checksum.status == 0" for layer in ("ip", "tcp", "udp")), *(f"tcp.analysis.{word}" for word in analysis)])
    assert tshark(path, wrong, "frame.number") == []


def test_frames_and_conversations_are_as_counted(clean):
    path, truth = clean
    rows = tshark(path, "frame", "frame.number", "tcp.stream", "udp.stream", "frame.time_delta", "ipv6.src")
    assert path.stat().st_size == truth["bytes"]
    assert abs(truth["bytes"] - FIVE_MB) < FIVE_MB // 10
    assert len(rows) == truth["frames"]
    assert len({row[1] for row in rows if row[1]}) == truth["flows"]["tcp"]
    assert len({row[2] for row in rows if row[2]}) == truth["flows"]["udp"]
    assert min(float(row[3]) for row in rows) >= 0
    v6 = {row[1] + "/" + row[2] for row in rows if row[4]}
    assert 0.1 < len(v6) / truth["flows"]["total"] < 0.3
    assert truth["most_open_conversations"] > 0.5 * truth["flows"]["total"]


def test_mail_is_what_tshark_dissects(clean):
    path, truth = clean
    made, certain = truth["mail"]["made"], truth["mail"]["certain"]
    assert {name: certain[name] for name in made} == made  # nothing was lost
    assert truth["mail"]["gapped"]["conversations"] == 0
    commands: Counter[str] = Counter()
    for protocol, field in (("smtp", "smtp.req.command"), ("imap", "imap.request.command"), ("pop", "pop.request.command")):
        for (cell,) in tshark(path, field, field):
            commands.update(f"{protocol} {word}" for word in cell.upper().split(","))
    nntp_passwords = tshark(path, 'tcp.dstport == 119 && tcp.payload contains "AUTHINFO PASS "', "frame.number")
    hellos = Counter(row[0] for row in tshark(path, "tls.handshake.type == 1", "tcp.dstport"))
    tls_ports = {"smtp": ("465",), "imap": ("993",), "pop3": ("995",)}
    starttls_ports = {"smtp": ("25", "587"), "imap": ("143",), "pop3": ("110",)}
    assert commands["smtp AUTH"] == made["logins"]["by_protocol"].get("smtp", 0)
    assert commands["imap LOGIN"] == made["logins"]["by_mechanism"].get("LOGIN-COMMAND", 0)
    assert commands["pop PASS"] == made["logins"]["by_mechanism"].get("USER-PASS", 0)
    assert len(nntp_passwords) == made["logins"]["by_mechanism"].get("AUTHINFO", 0)
    assert commands["smtp MAIL"] == made["messages"]["by_protocol"].get("smtp relayed", 0) + made["messages"]["by_protocol"].get("smtp submitted", 0)
    assert commands["imap FETCH"] == made["messages"]["by_protocol"].get("imap fetched", 0)
    assert commands["pop RETR"] == made["messages"]["by_protocol"].get("pop3 fetched", 0)
    for protocol, ports in tls_ports.items():
        assert sum(hellos[port] for port in ports) == made["implicit_tls"]["by_protocol"].get(protocol, 0)
    for protocol, ports in starttls_ports.items():
        assert sum(hellos[port] for port in ports) == made["starttls"]["by_protocol"].get(protocol, 0)


def test_faults_are_as_counted(tmp_path):
    """The same conversations with and without faults: the difference is exactly what the truth says."""
    played = {}
    for name, rates in (("clean", CLEAN), ("faulty", Rates(lost=0.01, duplicated=0.01, reordered=0.02))):
        library, weights = make_capture.build("mail", FIVE_MB, 5, rates)
        player = Player(library, weights, 1 << 40, 5, rates, most=120)
        path = tmp_path / f"{name}.pcap"
        with open(path, "wb", buffering=0) as out, open(tmp_path / f"{name}.gapped.jsonl", "w") as gapped:
            truth = Truth(library, gapped)
            player.run(out, truth)
        played[name] = [frame for _time, frame in frames_of(path)], truth.summary(player, path), frames_of(path)
    before, after = Counter(played["clean"][0]), Counter(played["faulty"][0])
    truth = played["faulty"][1]
    lost, doubled = before - after, after - before
    assert sum(lost.values()) == sum(truth["lost_frames"]["all"].values()) > 20
    assert sum(doubled.values()) == sum(truth["duplicated_frames"]["all"].values()) > 20
    assert set(doubled) <= set(before)
    times: dict[bytes, list[int]] = {}
    for when, frame in played["faulty"][2]:
        if frame in doubled:
            times.setdefault(frame, []).append(when)
    assert max(max(seen) - min(seen) for seen in times.values()) <= 1_000
    position = {frame: number for number, frame in enumerate(played["clean"][0])}
    flows: dict[tuple, int] = {}
    late = 0
    for frame in dict.fromkeys(played["faulty"][0]):
        size = 14 + (40 if frame[12:14] == b"\x86\xdd" else 20)
        addresses = (frame[22:38], frame[38:54]) if size == 54 else (frame[26:30], frame[30:34])
        flow = tuple(sorted(addresses)) + tuple(sorted((frame[size:size + 2], frame[size + 2:size + 4])))
        late += position[frame] < flows.get(flow, -1)
        flows[flow] = max(flows.get(flow, -1), position[frame])
    made = sum(truth["reordered_frames"]["all"].values())
    assert 0.9 * made <= late <= made and made > 40  # one that should have come behind a lost frame is not seen to be late


def test_rates_of_a_real_capture(real):
    _path, truth = real
    segments = truth["segments_made"]
    assert 0.0005 < sum(truth["lost_frames"]["all"].values()) / segments < 0.006
    assert 0.002 < sum(truth["duplicated_frames"]["all"].values()) / segments < 0.008
    assert 0.005 < sum(truth["reordered_frames"]["all"].values()) / segments < 0.015
    made, certain, gapped = (truth["mail"][name]["conversations"] for name in ("made", "certain", "gapped"))
    assert made["total"] == certain["total"] + gapped


def test_every_conversation_is_its_own(tmp_path):
    path = tmp_path / "mail.pcap"
    truth = make_capture.make("mail", path, FIVE_MB, 9, rates=CLEAN, listing=True)
    listed = [json.loads(line) for line in (tmp_path / "mail.conversations.jsonl").read_text().splitlines()]
    assert len(listed) == truth["mail"]["made"]["conversations"]["total"] == len({(one["client_ip"], one["client_port"]) for one in listed})
    facts = [fact for one in listed for fact in one["facts"]]
    for kind, name in (("login", "principal"), ("message", "message_id")):
        values = [fact[name] for fact in facts if fact["kind"] == kind]
        assert len(values) == len(set(values)) > 20
    text = path.read_bytes()
    assert all(fact["message_id"].encode() in text for fact in facts if fact["kind"] == "message" and fact["size"] < 1_000)


def test_same_seed_same_capture(tmp_path):
    def made(name: str, seed: int) -> tuple[str, str]:
        make_capture.make("mixed", tmp_path / f"{name}.pcap", 1 << 20, seed)
        truth = json.loads((tmp_path / f"{name}.json").read_text())
        del truth["file"], truth["mail"]["gapped"]["file"]
        return hashlib.sha256((tmp_path / f"{name}.pcap").read_bytes()).hexdigest(), json.dumps(truth)

    first = made("first", 1)
    assert first == made("again", 1)
    assert first[0] != made("other", 2)[0]


def test_nanoseconds_are_the_same_frames(tmp_path):
    for name, nanoseconds in (("micro", False), ("nano", True)):
        make_capture.make("mail", tmp_path / f"{name}.pcap", 1 << 18, 1, nanoseconds)
    micro, nano = (tmp_path / "micro.pcap").read_bytes(), (tmp_path / "nano.pcap").read_bytes()
    assert nano[:4] == struct.pack("<I", 0xA1B23C4D) and len(micro) == len(nano)
    assert struct.unpack_from("<I", micro, 28)[0] == struct.unpack_from("<I", nano, 28)[0] // 1000
    assert micro[40:40 + 54] == nano[40:40 + 54]


def test_shares_of_the_mixed_capture():
    library, weights = make_capture.build("mixed", FIVE_MB, 1, Rates())
    by_script = weights * library.mean_bytes
    mail = sum(share for script, share in zip(library.scripts, by_script) if script.protocol)
    assert mail / by_script.sum() == pytest.approx(0.05)
    web = sum(share for script, share in zip(library.scripts, by_script) if script.kind.startswith("https"))
    assert 0.5 < web / by_script.sum() < 0.7


def test_message_sizes():
    drawn = sorted(sizes(1_000, 4 << 20))
    assert drawn[500] == pytest.approx(12_000, rel=0.01)
    assert 25_000 < sum(drawn) / len(drawn) < 40_000


def test_fields_of_lost_lines_are_unknowable(tmp_path):
    """One submission with one lost client segment after the other."""
    expected = {"AUTH PLAIN": {"principal", "mechanism", "result"}, "235": {"result"}, "MAIL FROM": {"mail_from"}, "RCPT TO": {"rcpt_to"},
                "DATA\r\n": {"message_id", "size", "accepted"}}
    library, weights = make_capture.build("mail", FIVE_MB, 1, CLEAN)
    number = next(n for n, script in enumerate(library.scripts) if script.kind == "submission-auth-plain")
    script = library.scripts[number]
    seen = {}
    for step, span in zip(script.steps, spans_of(script)):
        for word, fields in expected.items():
            if bytes(script.pool.data[step.pool_at:step.pool_at + 10]).startswith(word.encode()):
                unknowable = {name for fact in script.facts for name, needs in fact.needs.items() if any(need.hit_by(*span) for need in needs)}
                seen[word] = unknowable
    assert seen == expected


def spans_of(script: Script) -> list[Span]:
    at, spans = [0, 0], []
    for step in script.steps:
        spans.append(Span(step.side, at[step.side], at[step.side] + step.length))
        at[step.side] += step.length
    return spans


def test_slots_may_be_cut_by_segments():
    """A slot across a segment border is filled on both sides of it."""
    from traffic.library import Library
    from traffic.script import USER

    pool = Pool()
    script = Script(pool, "cut", 25, "smtp")
    script.client(b"x" * 1445, USER, b"y")
    library = Library([script], pool, 0.0)
    first, last = library.bounds[0, 0]
    slots = [slot for row in library.rows[first:last] for slot in library.slots[row["slot"]:row["slot_end"]]]
    pieces = [(int(slot["at"]), int(slot["value_at"]), int(slot["width"])) for slot in slots]
    assert pieces == [(1445, USER.at, 3), (0, USER.at + 3, 4)]
    assert script.length[CLIENT] == 1453


@pytest.mark.parametrize(("kind", "flows"), [("syn", 3_000), ("idle", 500)])
def test_floods(tmp_path, kind, flows):
    path = tmp_path / "flood.pcap"
    truth = make_flood.make(kind, path, flows, n_mail=20)
    syns = tshark(path, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.stream")
    assert len(syns) == truth["flows"]["total"]
    if kind == "syn":
        assert truth["flows"]["total"] == flows + 20
        assert 5 <= truth["mail"]["made"]["conversations"]["total"] == truth["flows"]["total"] - truth["flows"]["by_kind"]["syn-flood"]
    else:
        assert truth["flows"]["total"] == flows == truth["mail"]["made"]["conversations"]["total"]
        assert tshark(path, "tcp.flags.fin == 1 || tcp.flags.reset == 1", "frame.number") == []
        assert len(tshark(path, "smtp.req.command == EHLO", "frame.number")) == truth["flows"]["by_kind"]["idle-smtp-ehlo"] > 20


@pytest.fixture(scope="module")
def tables(real, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tables") / "out"
    done = subprocess.run([sys.executable, "-m", "pcapsec", "analyze", "--quiet", "-o", str(out), str(real[0])], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_tables_agree_with_what_was_made(real, tables):
    report = checking.check(tables, real[0])
    assert [line for line in report.lines if line.right is False] == [], "\n".join(report.examples)
    single = checking.differences(tables, real[0])
    assert [line for line in single.lines if line.right is False] == [], "\n".join(single.examples)


@pytest.mark.parametrize(("table", "old", "new", "what"), [
    ("credentials", ",success,", ",failed,", "digest of logins"), ("sessions", ",smtp,", ",imap,", "digest of sessions"),
    ("messages", "@", "@x.", "digest of messages")])
def test_wrong_tables_are_noticed(real, tables, tmp_path, table, old, new, what):
    copy = tmp_path / "out"
    shutil.copytree(tables, copy)
    path = copy / f"{table}.csv"
    lines = path.read_text().splitlines(keepends=True)
    gapped = {f"{one['client_ip']},{one['client_port']}," for one in map(json.loads, open(real[0].with_name(real[0].stem + ".gapped.jsonl")))}
    number = next(n for n, line in enumerate(lines) if n and old in line and not any(key in line for key in gapped))
    lines[number] = lines[number].replace(old, new)
    path.chmod(0o600)
    path.write_text("".join(lines))
    assert what in [line.what for line in checking.check(copy, real[0]).lines if line.right is False]


def test_a_process_is_measured(tmp_path):
    code = "import time; block = bytearray(80_000_000); time.sleep(0.2)"
    tool = measuring.Tool("sleeper", (sys.executable, "-c", code))
    measured = measuring.run(tool, tmp_path / "none", tmp_path / "out", tmp_path / "log")
    assert measured.status == 0 and measured.wall_s > 0.2 > 0 and measured.peak_bytes > 80_000_000
    failing = measuring.Tool("failing", (sys.executable, "-c", "raise SystemExit(3)"))
    assert measuring.run(failing, tmp_path / "none", tmp_path / "out", tmp_path / "log").status == 3


SERVICES = {  # kind: what its conversations are, by protocol; what tshark counts in each conversation, and how often
    "rpc": ("dcerpc", "dcerpc.pkt_type == 0", 50), "rpc-alter": ("dcerpc", "dcerpc.pkt_type == 0", 50), "web": ("http", "http.request", 10), "tls-same": ("tls", "tls.handshake.type == 11", 1),
    "tls-distinct": ("tls", "tls.handshake.type == 11", 1), "https": ("tls", "tls.handshake.type == 1", 1)}


@pytest.mark.parametrize("kind", SERVICES)
def test_services_are_made_as_they_should_be(kind, tmp_path):
    protocol, counted, times = SERVICES[kind]
    path = tmp_path / f"{kind}.pcap"
    truth = make_capture.make(kind, path, 1 << 20, 5, rates=CLEAN)
    assert set(truth["mail"]["made"]["conversations"]["by_protocol"]) <= {protocol}
    assert Counter(stream for stream, in tshark(path, counted, "tcp.stream")) == {str(n): times for n in range(truth["flows"]["total"])}
    if kind == "tls-distinct":
        serials = [serial for serial, in tshark(path, "tls.handshake.type == 11", "x509af.serialNumber")]
        assert len(serials) == len({serial.partition(",")[0] for serial in serials}) > 50


@pytest.mark.parametrize("kind", SERVICES)
def test_tables_agree_with_the_services_that_were_made(kind, tmp_path):
    path, out = tmp_path / f"{kind}.pcap", tmp_path / "out"
    truth = make_capture.make(kind, path, FIVE_MB, 1, listing=True, rates=Rates(lost=0.001) if kind == "https" else Rates())
    done = subprocess.run([sys.executable, "-m", "pcapsec", "analyze", "--quiet", "-o", str(out), str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for report in (checking.check(out, path), checking.differences(out, path)):
        assert [line for line in report.lines if line.right is False] == [], "\n".join(report.examples)
    protocol, certain = SERVICES[kind][0], truth["mail"]["certain"]
    assert truth["mail"]["made"]["conversations"]["by_protocol"][protocol] > 1
    if kind in ("rpc", "rpc-alter", "web"):
        assert certain["logins"]["by_protocol"] == certain["conversations"]["by_protocol"]
    else:
        assert certain["implicit_tls"]["by_protocol"] == certain["conversations"]["by_protocol"]
    lines = (out / "sessions.csv").read_text().splitlines(keepends=True)
    (out / "sessions.csv").chmod(0o600)
    (out / "sessions.csv").write_text("".join(lines[:-1]))  # one is gone
    assert not checking.check(out, path).right


def series_of(times: dict[tuple[str, str], float], peak: int = 100_000_000) -> dict[tuple[str, str], measuring.Series]:
    return {(tool, size): measuring.Series(tool, size, [measuring.Measured(time_s, time_s, peak, 0, 0)]) for (tool, size), time_s in times.items()}


def test_targets_pass_and_fall_short():
    truths = {"2G": {"bytes": 2_000_000_000}, "8G": {"bytes": 8_000_000_000}}
    times = {("pcapsec", "2G"): 1.0, ("pcapsec", "8G"): 2.5, ("suricata", "2G"): 4.0, ("suricata", "8G"): 13.0, ("read", "2G"): 0.2, ("read", "8G"): 0.5}
    slopes = {"pcapsec": 0.25, "suricata": 1.5, "tshark": 9.0, "read": 0.05}
    words = {verdict.target: verdict.word for verdict in judge("mixed", series_of(times), truths, slopes, 0.5)}
    assert words == {
        "mixed: Suricata's cost per further GB at least 5 times ours": "PASS", "mixed: tshark's cost per further GB at least 40 times ours": "SHORT",
        "mixed: our cost per further GB at most 6 times a plain read": "PASS", "mixed: whole process at 8 GB at least 3 times as fast as Suricata": "PASS",
        "mixed: pcapsec at 2G peak below 400 MB": "PASS", "mixed: pcapsec at 8G peak below 400 MB": "PASS",
        "mixed: time per GB constant within 15 % from 2G to 8G (start-up left out)": "PASS"}
    heavy = judge("mixed", series_of({("pcapsec", "2G"): 1.0, ("pcapsec", "8G"): 5.0}, peak=500_000_000), truths, {"pcapsec": 0.67}, 0.5)
    assert [verdict.word for verdict in heavy] == ["not measured"] * 4 + ["SHORT"] * 3
    mail = judge("mail", series_of({("pcapsec", "8G"): 5.0, ("pcapsec --jobs 2", "8G"): 3.0, ("suricata", "8G"): 5.5}), truths, {}, None)
    assert [(verdict.word, verdict.found) for verdict in mail[:4]] == [
        ("PASS", "1.10 times"), ("not measured", "a tool or a second size is missing"), ("not measured", "a tool or a second size is missing"),
        ("PASS", "1.67 times")]
    assert isinstance(mail[0], Verdict)


@pytest.mark.parametrize("kind, suricata_s, words", [
    ("rpc", 5.0, ["PASS"]), ("rpc", 4.9, ["SHORT"]), ("web", 5.0, ["PASS"]), ("tls-same", 10.0, ["PASS"]), ("tls-distinct", 9.9, ["SHORT"])])
def test_targets_of_services(kind, suricata_s, words):
    truths = {"2G": {"bytes": 2_000_000_000}}
    found = judge(kind, series_of({("pcapsec", "2G"): 5.0, ("suricata", "2G"): suricata_s}), truths, {}, None)
    assert [verdict.word for verdict in found] == [*words, "PASS", "not measured"]
    assert found[0].target == f"{kind}: at least {'twice as' if 'tls' in kind else 'as'} fast as Suricata, whole process at the largest size"
    assert [verdict.word for verdict in judge(kind, series_of({("pcapsec", "2G"): 5.0}), truths, {}, None)] == ["not measured", "PASS", "not measured"]


def test_targets_of_long_transfers():
    truths = {"1G": {"bytes": 1_000_000_000}, "2G": {"bytes": 2_000_000_000}}
    series = series_of({("pcapsec", "1G"): 1.0, ("pcapsec", "2G"): 1.5})
    assert [verdict.word for verdict in judge("https", series, truths, {"pcapsec": 0.5, "read": 0.09, "suricata": 2.5}, 0.5)[:2]] == ["PASS", "PASS"]
    assert [verdict.word for verdict in judge("https", series, truths, {"pcapsec": 0.5, "read": 0.08, "suricata": 2.4}, 0.5)[:2]] == ["SHORT", "SHORT"]


def test_short_comparison_runs(tmp_path):
    """The long form's whole way on 1 MB, tables checked, figures written."""
    command = [sys.executable, str(ROOT / "benchmarks" / "compare.py"), "--kind", "mixed", "--sizes", "1M,2M", "--tools", "pcapsec,tshark,read"]
    command += ["--tshark-sizes", "1M", "--runs", "1", "--dir", str(tmp_path), "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {(one["tool"], one["size"]) for one in figures["series"]} == {("pcapsec", "1M"), ("pcapsec", "2M"), ("tshark", "1M"), ("read", "1M"), ("read", "2M")}
    assert all(run["status"] == 0 for one in figures["series"] for run in one["runs"])
    assert set(figures["checks"]) == {"pcapsec 1M", "pcapsec 2M"}
    assert "us/conversation" in done.stdout and "not measured" in done.stdout
