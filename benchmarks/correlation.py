"""Correlation of a million conversations: two workers remember them, their memories are merged, and the rules that compare them find what was planted, and nothing else.

    python benchmarks/correlation.py --sessions 1000000 --servers 20000 [--seed 1] [--json FILE]

What is made: mail between servers over STARTTLS, servers without TLS, submission, IMAP and POP3 with TLS; beside them innocent twins (load balancers, servers that learnt
TLS, clients that did, several programs behind one address, TLS that failed and worked again), and among all that, each with servers of its own, the cases that rules must
find. `Plan` writes down which conversation each finding must point at. Time to make the conversations is not counted: they come in batches, and what is measured is
`Visits.take`, handing over, merging and the rules, in seconds of processor time of the slower worker and of the process that merges. Exit code 1 when a finding is missing or invented, or a target is missed.
"""
from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pcapsec.records import Capture, Facts, Login, Message, Session, TlsHandshake, TlsOffer  # noqa: E402
from pcapsec.rules import Judge  # noqa: E402
from pcapsec.rules.visits import Visits  # noqa: E402

RULES = ("PS205", "PS305", "PS308", "PS319", "PS903", "PS904", "PS911", "PS912")
MAX_SECONDS, MAX_BYTES, TARGET_SESSIONS = 60, 2 << 30, 1_000_000
BATCH = 10_000
BEGIN_NS, DAY, SECOND = 1_700_000_000 * 10**9, 86_400.0, 10**9
CAPTURE = "monday.pcap"
WORDS = "PIPELINING|SIZE 52428800|ETRN|%sAUTH %s|ENHANCEDSTATUSCODES|8BITMIME|DSN|CHUNKING"
STRONG, WEAK = ("PLAIN", "LOGIN", "SCRAM-SHA-256"), ("PLAIN", "LOGIN")
OFFERS = [TlsOffer(legacy_version="TLSv1.2", ja4=f"t13d{number:04d}h2_8daaf6152771_e5627efa2ab1") for number in range(40)]
ROW = numpy.dtype([("seconds", "f8"), ("kind", "u1"), ("server", "u4"), ("client", "u4"), ("name", "u1"), ("flavour", "u4")])
# kinds of conversations
UPGRADED, PLAIN, LOOKED, BARE, LOOKED_BARE, BROKEN, CUT, REFUSED, IMAPS, IMAP, SUBMISSION, RELAYED, WEAK_BARE = range(13)


class Plan:
    """Which conversations there are, in columns, and what must be found among them.

    Attributes:
        rows: seconds, kind, server, client, name, flavour of each, as a structured array; the number of a row is the conversation's id.
        planted: (rule_id, number of the conversation that the finding points at).
    """

    def __init__(self, n_sessions: int, n_servers: int, seed: int):
        self.rng = numpy.random.default_rng(seed)
        self._cases: list[tuple[float, int, int, int, int, int]] = []
        self.planted: list[tuple[str, int]] = []
        self._server, self._client = 0, 1 << 24
        n_each = max(1, n_sessions // 2500)
        for number in range(n_each):
            for case in (_fallbacks, _offers, _blocked, _downgraded, _regressions, _beside_tls, _mixtures, _hops, _innocent):
                case(self, number)
        self.rows = numpy.concatenate([numpy.array(self._cases, dtype=ROW), self._traffic(n_sessions - len(self._cases), n_servers - self._server)])
        del self._cases

    def server(self) -> int:
        self._server += 1
        return self._server

    def client(self) -> int:
        self._client += 1
        return self._client

    def add(self, seconds: float, kind: int, server: int, client: int, name: int = 0, flavour: int = 0, finds: tuple[str, ...] = ()) -> None:
        for rule_id in finds:
            self.planted.append((rule_id, len(self._cases)))
        self._cases.append((seconds, kind, server, client, name, flavour))

    def begin(self) -> float:
        """A time that leaves a case room until the end."""
        return float(self.rng.uniform(0, 6 * DAY))

    def _traffic(self, n: int, n_servers: int) -> numpy.ndarray:
        """Conversations that have nothing to tell: each server has its way, some are asked much more often than others."""
        first = self._server + 1
        popularity = 1 / numpy.arange(1, n_servers + 1) ** 0.7
        servers = self.rng.choice(n_servers, size=n, p=popularity / popularity.sum())
        ways = numpy.array([UPGRADED] * 12 + [BARE] * 2 + [IMAPS] * 4 + [SUBMISSION] * 2)
        rows = numpy.zeros(n, dtype=ROW)
        rows["client"], rows["seconds"], rows["flavour"] = self.rng.integers(0, 50_000, size=n), self.rng.uniform(0, 7 * DAY, size=n), self.rng.integers(0, 1 << 16, size=n)
        rows["server"], rows["kind"] = first + servers, ways[servers % len(ways)]
        return rows


def _fallbacks(plan: Plan, number: int) -> None:
    at, server, client = plan.begin(), plan.server(), plan.client()
    if number % 3 == 0:
        plan.add(at, REFUSED, server, client, finds=("PS205",))
        return
    for attempt in range(number % 3):
        plan.add(at + attempt, BROKEN, server, client)
    plan.add(at + 400 * (number % 9 + 1), PLAIN, server, client, finds=("PS205",))


def _offers(plan: Plan, number: int) -> None:
    at, server, client = plan.begin(), plan.server(), plan.client()
    if number % 2:  # until a moment
        plan.add(at, LOOKED, server, client), plan.add(at + 50, LOOKED_BARE, server, client, finds=("PS305",))
        return
    for turn in range(6):
        plan.add(at + turn * 100, LOOKED_BARE if turn % 2 else LOOKED, server, client, finds=("PS305",) if turn == 1 else ())


def _blocked(plan: Plan, number: int) -> None:
    at, server = plan.begin(), plan.server()
    for attempt in range(3 + number % 4):
        plan.add(at + attempt * 60, CUT, server, plan.client(), finds=() if attempt else ("PS308",))
    plan.add(at + 1000, PLAIN, server, plan.client())


def _downgraded(plan: Plan, number: int) -> None:
    at, server, client = plan.begin(), plan.server(), plan.client()
    plan.add(at, LOOKED, server, client), plan.add(at + 9, WEAK_BARE, server, client, finds=("PS305", "PS319")), plan.add(at + 20, LOOKED, server, client)


def _regressions(plan: Plan, number: int) -> None:
    at, server, client = plan.begin(), plan.server(), plan.client()
    for turn in range(1 + number % 3):
        plan.add(at + turn, UPGRADED, server, client)
    plan.add(at + 9000, PLAIN, server, client, finds=("PS903",)), plan.add(at + 9100, PLAIN, server, client)


def _beside_tls(plan: Plan, number: int) -> None:
    at, server = plan.begin(), plan.server()
    plan.add(at + 500, IMAPS, server, plan.client())
    client = plan.client()
    for turn in range(1 + number % 3):
        plan.add(at + turn * 1000, IMAP, server, client, finds=() if turn else ("PS904",))


def _mixtures(plan: Plan, number: int) -> None:
    at, server, client = plan.begin(), plan.server(), plan.client()
    plan.add(at, PLAIN, server, client, finds=("PS911",))
    for turn in range(1 + number % 3):
        plan.add(at + 3700 + turn, UPGRADED, server, client)
    plan.add(at + 9000, PLAIN, server, client)


def _hops(plan: Plan, number: int) -> None:
    at, relay, further = plan.begin(), plan.server(), plan.server()
    plan.add(at, SUBMISSION, relay, plan.client(), flavour=number % 50), plan.add(at + 5 + number % 290, RELAYED, further, relay, flavour=number % 50, finds=("PS912",))


def _innocent(plan: Plan, number: int) -> None:
    """Twins of all these, of which nothing must be said."""
    at, case = plan.begin(), number % 8
    server, client = plan.server(), plan.client()
    if case == 0:  # TLS failed, worked, and somebody else speaks in clear
        plan.add(at, BROKEN, server, client), plan.add(at + 10, UPGRADED, server, client), plan.add(at + 20, PLAIN, server, plan.client())
    elif case == 1:  # several programs behind one address
        plan.add(at, BROKEN, server, client, 1), plan.add(at + 10, PLAIN, server, client, 2), plan.add(at + 20, UPGRADED, server, client, 3)
    elif case == 2:  # two machines behind one address: `name` 9 and more shows in the server's greeting
        plan.add(at, LOOKED, server, client, 9), plan.add(at + 10, LOOKED_BARE, server, client, 10), plan.add(at + 20, LOOKED, server, client, 9)
    elif case == 3:  # the server learnt TLS
        plan.add(at, LOOKED_BARE, server, client), plan.add(at + 10, LOOKED_BARE, server, client), plan.add(at + 20, LOOKED, server, client)
    elif case == 4:  # the client learnt TLS
        plan.add(at, PLAIN, server, client), plan.add(at + 90, PLAIN, server, client), plan.add(at + 4000, UPGRADED, server, client)
    elif case == 5:  # two attempts are no pattern, and the mail waited too long
        plan.add(at, CUT, server, client), plan.add(at + 1, CUT, server, client), plan.add(at + 4000, PLAIN, server, client)
    elif case == 6:  # another size, and too late
        plan.add(at, SUBMISSION, server, client), plan.add(at + 9, RELAYED, plan.server(), server, flavour=40), plan.add(at + 400, RELAYED, plan.server(), server)
    else:  # TLS on the other port failed
        plan.add(at, IMAPS, server, client, 5), plan.add(at + 9, IMAP, server, plan.client())


def _address(number: int, prefix: int) -> str:
    return f"{prefix}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def made(number: int, row: tuple[float, int, int, int, int, int]) -> Session:
    """The conversation of a row. Texts are made afresh, as those of a capture are."""
    seconds, kind, server, client, name, flavour = row
    offers = kind not in (BARE, LOOKED_BARE, RELAYED, WEAK_BARE)
    mechanisms = WEAK if kind == WEAK_BARE else STRONG
    start_ns = BEGIN_NS + int(seconds * SECOND)
    size = 9000 * (flavour % 50 + 1)
    relayed = kind == RELAYED
    common: dict[str, Any] = {
        "session_id": f"{number:016x}", "capture": CAPTURE, "start_ns": start_ns, "end_ns": start_ns + SECOND // 2, "frame": number % 1_000_000_000 + 1, "last_frame": number + 9,
        "client_ip": _address(client, 10) if not relayed else _address(client, 20), "client_port": 1024 + number % 60_000, "server_ip": _address(server, 20), "server_port": 25,
        "role_source": "syn", "finished": True, "bytes_client": size + 900, "bytes_server": 900, "packets_client": 9, "packets_server": 9, "verdict": "weak"}
    if kind == IMAPS:
        tls = TlsHandshake(version="TLSv1.3", sni=f"imap{server}.example", client_hello_at=0, established=name != 5 or None, offer=OFFERS[flavour % 40])
        return Session(facts=Facts(protocol="tls"), tls=tls, protocol="tls", tls_mode="implicit", service="imaps", **{**common, "server_port": 993})
    if kind == IMAP:
        facts = Facts(protocol="imap", greeting=f"* OK imap{server}.example ready", capabilities=tuple("IMAP4rev1|IDLE|AUTH=PLAIN".split("|")), capabilities_complete=True, starttls_offered=False,
                      starttls_requested=False, first_clear_command="LOGIN", accepted_clear_command="LOGIN", n_mailbox_commands=4,
                      logins=[Login(mechanism="LOGIN-COMMAND", protocol="imap", at=30, principal="alice", result="success")])
        return Session(facts=facts, protocol="imap", service="imap", **{**common, "server_port": 143})
    facts = Facts(
        protocol="smtp", greeting=f"220 mx{server}{'' if name < 9 else name}.example ESMTP Postfix", greeting_code="220", client_name=f"c{client}n{name}.example", hello_verb="EHLO",
        capabilities=tuple((WORDS % ("STARTTLS|" if offers else "", " ".join(mechanisms))).split("|")), capabilities_complete=True, auth_mechanisms=mechanisms,
        starttls_offered=offers, starttls_requested=kind in (UPGRADED, SUBMISSION, BROKEN, CUT, REFUSED), n_commands=3)
    tls, mode = None, "none"
    if kind in (UPGRADED, SUBMISSION, BROKEN, CUT):
        facts.starttls_accepted, facts.tls_started, mode = True, True, "starttls"
        tls = TlsHandshake(version="TLSv1.3", sni=f"mx{server}.example", client_hello_at=300, established=True, offer=OFFERS[client % 40])
        if kind == BROKEN:
            tls.established, tls.alert, tls.alert_side, tls.alert_fatal = False, "client:48 unknown_ca", 0, True
        elif kind == CUT:
            tls.established = None
    elif kind == REFUSED:
        facts.starttls_accepted, facts.starttls_reply_code, facts.starttls_requested_at = False, "454", 40
    if kind in (PLAIN, BARE, REFUSED, RELAYED):
        facts.first_clear_command = facts.accepted_clear_command = "MAIL"
        facts.messages = [Message(protocol="smtp", direction="relayed", side=0, at=100, mail_from=f"a{number % 999}@c{client}.example", rcpt_to=[f"b@mx{server}.example"], accepted=True,
                                  reply_code="250", size_bytes=size)]
    service = "submission" if kind == SUBMISSION else "smtp"
    return Session(facts=facts, tls=tls, protocol="smtp", tls_mode=mode, service=service, **common)


def batches(plan: Plan, job: int, jobs: int) -> Iterator[list[Session]]:
    """A worker's share, in order of time: the pairs of addresses that are its own."""
    rows, batch = plan.rows, []
    mine = numpy.flatnonzero((rows["server"].astype("i8") * 2654435761 ^ rows["client"].astype("i8") * 40503) % jobs == job)
    for number in mine[numpy.argsort(rows["seconds"][mine], kind="stable")]:
        batch.append(made(int(number), rows[number].item()))
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def remembered(plan: Plan, job: int, jobs: int) -> tuple[Visits, float]:
    """What a worker remembers, and the seconds of processor time that it took to."""
    visits, seconds = Visits(), 0.0
    for batch in batches(plan, job, jobs):
        begin = time.process_time()
        for session in batch:
            visits.take(session)
        seconds += time.process_time() - begin
    return visits, seconds


def judged(memories: list[Visits]) -> list[tuple[str, int]]:
    """What the rules find in what workers remember, which is used up: (rule_id, number of the conversation)."""
    judge = Judge(now_ns=BEGIN_NS)
    while memories:  # what was merged goes
        judge.site.collected.visits.merge(memories.pop(0))
    findings = [finding for finding in judge.capture([Capture(name=CAPTURE)]) if finding.rule.id in RULES]
    if judge.faults:
        raise RuntimeError(judge.fault_log)
    return sorted((finding.rule.id, int(finding.ends.session_id, 16)) for finding in findings)  # type: ignore[union-attr]


def run(n_sessions: int, n_servers: int, seed: int) -> dict[str, Any]:
    """The whole, in two processes and this one."""
    plan = Plan(n_sessions, n_servers, seed)
    files, children = [], []
    for job in range(2):
        file = tempfile.TemporaryFile()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                visits, seconds = remembered(plan, job, 2)
                begin = time.process_time()
                pickle.dump((visits, seconds), file)
                pickle.dump((time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), file)
                file.flush()
                code = 0
            finally:
                os._exit(code)
        files.append(file), children.append(child)
    for child in children:
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("a worker failed")
    begin, begin_wall = time.process_time(), time.perf_counter()
    memories, takes, dumps, peaks = [], [], [], []
    for file in files:
        file.seek(0)
        visits, seconds = pickle.load(file)
        spent, peak = pickle.load(file)
        memories.append(visits), takes.append(seconds), dumps.append(spent), peaks.append(peak)
    found = judged(memories)
    rules_s = time.process_time() - begin
    planted, seen = Counter(sorted(plan.planted)), Counter(found)
    return {
        "sessions": len(plan.rows), "servers": len(numpy.unique(plan.rows["server"])), "take_s": round(max(takes), 2), "take_us": round(sum(takes) / len(plan.rows) * 1e6, 2),
        "hand_over_s": round(max(dumps), 2), "merge_and_rules_s": round(rules_s, 2),
        "merge_and_rules_wall_s": round(time.perf_counter() - begin_wall, 2), "seconds": round(max(takes) + max(dumps) + rules_s, 2),
        "peak_bytes": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + sum(peaks)),
        "planted": dict(sorted(Counter(rule_id for rule_id, _ in plan.planted).items())), "found": dict(sorted(Counter(rule_id for rule_id, _ in found).items())),
        "missing": sorted((planted - seen).elements())[:20], "invented": sorted((seen - planted).elements())[:20]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=TARGET_SESSIONS)
    parser.add_argument("--servers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = run(arguments.sessions, arguments.servers, arguments.seed)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    for name, value in result.items():
        print(f"{name:24} {value}")
    kept = result["seconds"] < MAX_SECONDS and result["peak_bytes"] < MAX_BYTES
    exact = not result["missing"] and not result["invented"]
    print("PASS" if kept and exact else "SHORT", f"under {MAX_SECONDS} s and {MAX_BYTES >> 30} GB: {kept}; exactly what was planted: {exact}")
    return 0 if kept and exact else 1


if __name__ == "__main__":
    sys.exit(main())
