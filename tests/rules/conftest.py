"""Sessions built by hand, so that rules are tested without parsers."""
from __future__ import annotations

import re

import pytest

from pcapsec.records import Facts, Finding, Login, Message, Session
from pcapsec.rules import Judge, Policy, all_rules
from pcapsec.rules.logins import COMMON_EVIDENCE
from pcapsec.rules.registry import SECTIONS
from pcapsec.secret import Secret

PORTS = {"smtp": 25, "lmtp": 24, "imap": 143, "pop3": 110, "nntp": 119, "managesieve": 4190, "tls": 993}
LISTS = {
    "smtp": ("PIPELINING", "SIZE 10240000"), "lmtp": ("PIPELINING",), "imap": ("IMAP4rev1", "IDLE"), "pop3": ("TOP", "UIDL"), "nntp": ("VERSION 2", "READER"),
    "managesieve": ('"SIEVE" "fileinto"',),
}
SESSION_FIELDS = set(Session.__dataclass_fields__)
FACT_FIELDS = set(Facts.__dataclass_fields__)


def make_session(protocol: str = "smtp", **fields) -> Session:
    """A whole session between two public addresses; `fields` go to the session or to its facts, whichever has them.

    The packet of an offset is numbered and timed by the offset, whatever the side, so that offsets of both sides are in the order of their numbers.
    """
    facts = {"protocol": protocol, "n_commands": 3, "starttls_requested": False, "greeting_code": "220", "greeting": "220 mail.example"}
    session = {
        "session_id": "5e55", "capture": "a.pcap", "start_ns": 1_700_000_000 * 10**9, "end_ns": 1_700_000_001 * 10**9, "frame": 1, "last_frame": 20,
        "client_ip": "198.51.100.7", "client_port": 40000, "server_ip": "203.0.113.5", "server_port": PORTS.get(protocol, 25), "role_source": "syn",
        "protocol": protocol, "packets_client": 10, "packets_server": 10, "bytes_client": 200, "bytes_server": 300, "n_checked_client": 10,
        "n_checked_server": 10, "finished": True, "locate": lambda side, at: ("a.pcap", at, at),
    }
    for name, value in fields.items():
        if name in SESSION_FIELDS and name != "protocol":
            session[name] = value
        elif name in FACT_FIELDS:
            facts[name] = value
        else:
            raise TypeError(f"neither session nor facts have {name}")
    if protocol == "tls" and session["server_port"] == 993:
        session.setdefault("service", "imaps")
    return Session(facts=Facts(**facts), **session)


def with_list(protocol: str = "smtp", *, offer: bool = False, **fields) -> Session:
    """A session whose server sent a complete capability list in clear, with or without the offer."""
    word = {"pop3": "STLS", "managesieve": '"STARTTLS"'}.get(protocol, "STARTTLS")
    words = LISTS[protocol] + ((word,) if offer else ())
    fields = {"capabilities": words, "capabilities_complete": True, "capabilities_at": 20, "starttls_offered": offer, "starttls_offered_at": 30 if offer else None,
              "login_disabled": False if protocol == "imap" else None, **fields}
    return make_session(protocol, **fields)


def make_login(mechanism: str = "PLAIN", **fields) -> Login:
    """A login by a password of 13 characters that the server accepted."""
    fields = {"protocol": "smtp", "at": 60, "principal": "alice@example.com", "secret": Secret(b"correct horse"), "secret_at": 70, "exposure": "password",
              "result": "success", "reply_code": "235", **fields}
    return Login(mechanism=mechanism, **fields)


def make_message(**fields) -> Message:
    """A mail from a.example to b.example that the server took."""
    fields = {"protocol": "smtp", "direction": "relayed", "side": 0, "at": 100, "mail_from": "x@a.example", "rcpt_to": ["y@b.example"],
              "rcpt_accepted": ["y@b.example"], "mail_from_reply": 250, "reply_code": "250", "accepted": True, "message_id": "<1@a.example>", "size_bytes": 500,
              "complete": True, "content_type": "text/plain", "from_domain": "a.example", "to_domains": ("b.example",), "subject_length": 5, **fields}
    return Message(**fields)


class Court:
    """A judge and what it said."""

    def __init__(self, **policy):
        self.judge = Judge(Policy(**policy), now_ns=1_800_000_000 * 10**9)
        self.judge.full = True

    def try_session(self, session: Session) -> Session:
        self.judge.session(session)
        assert not self.judge.faults, self.judge.fault_log
        for finding in session.findings:
            check_finding(finding)
        return session

    def findings(self, session: Session, rule_id: str) -> list[Finding]:
        return [finding for finding in self.try_session(session).findings if finding.rule.id == rule_id]

    def finding(self, session: Session, rule_id: str) -> Finding:
        """The one finding of a rule, after the session was judged."""
        found = self.findings(session, rule_id)
        assert len(found) == 1, (rule_id, [finding.rule.id for finding in session.findings], dict((a[0], a[1:]) for a in session.assessments)[rule_id])
        return found[0]

    def verdict(self, session: Session, rule_id: str) -> tuple[str, str]:
        """Verdict and reason of a rule, after the session was judged."""
        self.try_session(session)
        return next(assessment[1:] for assessment in session.assessments if assessment[0] == rule_id)


def check_finding(finding: Finding) -> None:
    """What holds for every finding of every rule."""
    page = documented(finding.rule.page)
    if finding.rule.scope == "login":
        page |= COMMON_EVIDENCE
    missing = [key for key in finding.evidence if key not in page]
    assert not missing, f"{finding.rule.id}: evidence {missing} is not on the manual page"
    assert finding.title and "\n" not in finding.title and "None" not in finding.title, finding.title
    assert re.fullmatch(r"[0-9a-f]{16}", finding.finding_id)
    assert finding.severity in ("info", "low", "medium", "high", "critical") and finding.confidence in ("low", "medium", "high")
    outweighed = finding.severity == finding.rule.severity and ";" in finding.severity_reason  # one modifier up, another down
    assert outweighed or (finding.severity == finding.rule.severity) == (not finding.severity_reason), (finding.rule.id, finding.severity, finding.severity_reason)


def documented(page: str) -> set[str]:
    """Keys that the section Evidence of a manual page names."""
    lines = page.splitlines()
    begin, end = lines.index("Evidence"), lines.index(SECTIONS[SECTIONS.index("Evidence") + 1])
    return {word for line in lines[begin + 1:end] for word in re.findall(r"[a-z][a-z0-9_]+", line)}


@pytest.fixture
def court() -> Court:
    return Court()


@pytest.fixture
def make_court():
    """A court with a policy: `make_court(local_domains=("contoso.com",))`."""
    return Court


@pytest.fixture(scope="session")
def rules():
    return all_rules()


@pytest.fixture
def session():
    return make_session


@pytest.fixture
def listed():
    return with_list


@pytest.fixture
def login():
    return make_login


@pytest.fixture
def message():
    return make_message
