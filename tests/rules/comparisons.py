"""Conversations of one client with one server at several times, and what judges say when all are over."""
from __future__ import annotations

import pickle
from typing import Any, Iterable

from pcapsec.protocols.dns_answers import read_answer
from pcapsec.records import Capture, Finding, Session, Sighting, TlsHandshake, TlsOffer
from pcapsec.rules import Judge, Policy
from tests.rules.conftest import check_finding, make_login, make_message, make_session, with_list

BEGIN = 1_700_000_000  # s
SECOND = 10**9


def at(seconds: float) -> dict[str, Any]:
    """Fields of a session that begins so many seconds after all and lasts one; its id and frame are made of the time."""
    start = BEGIN * SECOND + int(seconds * SECOND)
    number = int(seconds * 100) * 100
    return {"start_ns": start, "end_ns": start + SECOND, "session_id": number_of(seconds), "frame": number + 1, "last_frame": number + 20}


def number_of(seconds: float) -> str:
    """Id of the session that begins so many seconds after all."""
    return f"{int(seconds * 100) * 100:016x}"


def handshake(**fields) -> TlsHandshake:
    return TlsHandshake(**{"version": "TLSv1.2", "cipher_suite": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "client_hello_at": 500, "server_hello_at": 500, "established": True,
                           "offer": TlsOffer(legacy_version="TLSv1.2", ja4="t12d0001"), **fields})


def looked(seconds: float, protocol: str = "smtp", *, offer: bool = True, **fields) -> Session:
    """A client that saw the list and left."""
    return with_list(protocol, offer=offer, **{"client_name": "relay.example", **at(seconds), **fields})


def clear(seconds: float, protocol: str = "smtp", *, offer: bool = True, **fields) -> Session:
    """A mail that was taken in clear, or a login and a mailbox."""
    if protocol in ("smtp", "lmtp"):
        used = {"first_clear_command": "MAIL", "first_clear_command_at": 60, "accepted_clear_command": "MAIL", "messages": [make_message()]}
    else:
        used = {"first_clear_command": "LOGIN", "first_clear_command_at": 60, "accepted_clear_command": "LOGIN", "n_mailbox_commands": 3,
                "logins": [make_login("LOGIN-COMMAND" if protocol == "imap" else "USER-PASS", protocol=protocol)]}
    return looked(seconds, protocol, offer=offer, **{**used, **fields})


def upgraded(seconds: float, protocol: str = "smtp", **fields) -> Session:
    """STARTTLS that worked."""
    tls = fields.pop("tls", None) or handshake()
    return looked(seconds, protocol, tls_mode="starttls", tls=tls, **{"starttls_requested": True, "starttls_accepted": True, "tls_started": True, **fields})


def failed(seconds: float, protocol: str = "smtp", *, alert: str | None = None, **fields) -> Session:
    """STARTTLS that was accepted, and a handshake that came to nothing."""
    told = {"alert": alert, "alert_side": 0, "alert_fatal": True, "established": False} if alert else {"established": None}
    return upgraded(seconds, protocol, tls=handshake(**told), **fields)


def refused(seconds: float, protocol: str = "smtp", *, code: str = "454", **fields) -> Session:
    return looked(seconds, protocol, starttls_requested=True, starttls_accepted=False, starttls_reply_code=code, starttls_requested_at=40, **fields)


def implicit(seconds: float, service: str, port: int, **fields) -> Session:
    """TLS from the first byte."""
    tls = fields.pop("tls", None) or handshake()
    return make_session("tls", service=service, server_port=port, tls_mode="implicit", tls=tls, **{**at(seconds), **fields})


def judged(*sessions: Session, rule: str, captures: tuple[str, ...] = ("a.pcap",), dns: Iterable[bytes] = (), **policy) -> list[Finding]:
    """Findings of a rule by one judge; it is checked that three workers whose collections travel, in other orders, say the same, and count the same."""
    said = []
    for parts in (1, 3):
        workers = [Judge(Policy(**policy)) for _ in range(parts)]
        for worker in workers:  # all workers read all answers
            for message in dns:
                for told in read_answer(message):
                    worker.site.collected.dns.take(told, Sighting(BEGIN * SECOND, "a.pcap", 1, "192.0.2.10", "192.0.2.53"))
        for n, session in enumerate(sessions if parts == 1 else sessions[::-1]):
            session.findings = []
            workers[n % parts].session(session)
        last = Judge(Policy(**policy))
        for worker in workers[::-1]:
            assert not worker.faults, worker.fault_log
            last.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
        found = [finding for finding in last.capture([Capture(name=name) for name in captures]) if finding.rule.id == rule]
        assert not last.faults, last.fault_log
        assert last.counts[rule][0] == len(found)
        for finding in found:
            check_finding(finding)
        said.append((found, last.counts[rule]))
    (one, counts), (other, others) = said
    assert [_plain(finding) for finding in one] == [_plain(finding) for finding in other] and counts == others
    return one


def answer(*sessions: Session, rule: str) -> str:
    """The one verdict of a rule on one capture, with its reason."""
    judge = Judge()
    for session in sessions:
        judge.session(session)
    [capture_rule] = [one for one in judge.rules.values() if one.id == rule]
    outcome = capture_rule.judge(Capture(name="a.pcap"), judge.site)
    return "fail" if isinstance(outcome, list) and outcome else repr(outcome)


def _plain(finding: Finding) -> tuple:
    return (finding.title, finding.severity, finding.severity_reason, finding.confidence, finding.variant, finding.evidence, finding.finding_id, finding.because_of,
            finding.capture, finding.frame, finding.ts_ns, finding.ends)

