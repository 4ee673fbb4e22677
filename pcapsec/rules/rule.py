"""What a rule is, and the four answers that it can give.

A rule answers for one login, message, session or capture: a `Finding` (it failed), `PASS`, `NOT_APPLICABLE`, or `not_observable(reason)` where the capture
cannot tell. Absence of evidence is only a pass where the bytes that could hold it were seen.
"""
from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Callable

from ..records import CLIENT, SERVER, Capture, Session

SCOPES = ("login", "message", "session", "capture", "comparison")
CATEGORIES = {"0": "capture", "1": "credential", "2": "cleartext", "3": "stripping", "4": "tls", "5": "rpc", "6": "web", "7": "message", "8": "network",
              "9": "correlation"}  # by the first digit of the id
VERDICTS = ("fail", "pass", "not_applicable", "not_observable")  # also the order of Judge.counts

SMTP = ("smtp", "lmtp")
ACCESS = ("imap", "pop3", "nntp", "managesieve")
MAIL = SMTP + ACCESS
RPC = ("dcerpc", "http", "smb")  # what carries DCE/RPC: TCP itself, RPC over HTTP, named pipes
TOKENS = RPC + ("ldap",)  # where logins are NTLM or Kerberos tokens as they are, without SASL's base64
IPSEC = ("esp", "ike")  # what may lie under a session, as rows of their own
PROTOCOLS = MAIL + TOKENS + ("tls",) + IPSEC
TLS = ("tls",) + MAIL + ("ldap", "http")  # where TLS begins: at once, or after STARTTLS or its like
ANY = ("any",)  # every conversation, whatever its protocol

LOWER = {"critical": "high", "high": "medium", "medium": "low", "low": "info", "info": "info"}  # severity one step down
LESS_SURE = {"high": "medium", "medium": "low", "low": "low"}  # confidence one step down


@dataclass(slots=True, kw_only=True, eq=False)
class Rule:
    """One judgement: what stands in tables about it, and the function that makes it."""

    id: str  # PSnnn, permanent
    slug: str  # for humans, may change
    title: str  # one line, general; a finding's own title is filled in
    severity: str  # before modifiers
    confidence: str  # at best
    category: str  # one of CATEGORIES
    scope: str  # login, message, session, capture or comparison (one conversation at two taps): what `judge` is called for
    protocols: tuple[str, ...]  # those it applies to; ANY: all
    several: bool = False  # session and capture scope: its answer may be a list of findings, one for each thing that it speaks of
    needs: tuple[int, ...] = ()  # sides whose clear bytes must all be seen for a pass
    mechanisms: tuple[str, ...] = ()  # login scope: those it is called for, "SCRAM-*" is a prefix; empty: all
    remediation: str
    references: tuple[str, ...]
    page: str = ""  # manual page: the module's docstring, filled in by the registry
    judge: Callable[..., Any] | None = None  # filled in by the registry

    def __reduce__(self):
        return _by_id, (self.id,)


def _by_id(rule_id: str) -> Rule:
    """The rule of this process, for findings that come from another one."""
    from .registry import all_rules

    return all_rules()[rule_id]


class Verdict:
    """An answer other than a finding; equal answers are the same object."""

    __slots__ = ("name", "reason")

    def __init__(self, name: str, reason: str = ""):
        self.name, self.reason = name, reason

    def __repr__(self) -> str:
        return f"{self.name}({self.reason})" if self.reason else self.name


FAIL, PASS, NOT_APPLICABLE = Verdict("fail"), Verdict("pass"), Verdict("not_applicable")
_NOT_OBSERVABLE: dict[str, Verdict] = {}


def not_observable(reason: str) -> Verdict:
    """The capture cannot tell; reasons are a small fixed set: one_sided, midstream, gap, snaplen, evicted, unparsed, no_capability_list, …"""
    known = _NOT_OBSERVABLE.get(reason)
    if known is None:
        known = _NOT_OBSERVABLE[reason] = Verdict("not_observable", reason)
    return known


def unless_unseen(session: Session, *sides: int) -> Verdict:
    """PASS where all clear bytes of the sides were seen, else the reason why nobody can tell."""
    if session.unseen_client is not None and CLIENT in sides:
        return not_observable(session.unseen_client)
    if session.unseen_server is not None and SERVER in sides:
        return not_observable(session.unseen_server)
    return PASS


def finding_id(rule_id: str, variant: str, subject: str, at: object) -> str:
    """16 hex digits: equal input gives an equal id in any run.

    Args:
        subject: session_id, or the key of a group for findings that are made once for several sessions.
        at: side and stream offset of the primary evidence.
    """
    return blake2b(f"{rule_id}\0{variant}\0{subject}\0{at}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def seen_before(session: Session, server_at: int | None, client_at: int | None) -> bool:
    """Whether the server said something before the client did: offsets of two sides have no order of their own, packet times have."""
    locate = session.locate
    if locate is None or server_at is None or client_at is None:
        return True
    _, server_frame, server_ns = locate(SERVER, server_at)
    _, client_frame, client_ns = locate(CLIENT, client_at)
    return (server_ns, server_frame) < (client_ns, client_frame)


def file_name(capture: Capture) -> str:
    """A capture as titles name it: without its directory, which the column `capture` has."""
    return capture.name.rpartition("/")[2] or capture.name
