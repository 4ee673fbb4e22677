"""DNS answers that tell how mail is sent or read (RFC 1035 §4), read by dnspython: MX, TLSA, MTA-STS, TLSRPT, SRV of mail services, autodiscover, addresses of exchangers.

The kernels keep such answers only (kernels/names.py), a few thousand bytes each; an answer that is damaged, or that is about something else after all, says nothing.
"""
from __future__ import annotations

import hashlib
import re
from typing import Any

from ..records import DnsAnswer

MAX_VALUES = 20  # records of one answer
MAX_TEXT = 300  # characters of one
MAIL_SERVICES = ("submission", "submissions", "imap", "imaps", "pop3", "pop3s", "sieve", "autodiscover")  # RFC 6186 §3, RFC 8314 §5.1, RFC 5804 §1.8, [MS-OXDISCO]
MAIL_PORTS = frozenset((24, 25, 110, 143, 465, 587, 993, 995, 4190))
_STS_ID = re.compile(r"v=STSv1[ \t]*;(?:.*;)?[ \t]*id[ \t]*=[ \t]*([A-Za-z0-9]{1,32})[ \t]*(?:;|\Z)", re.DOTALL).match  # RFC 8461 §3.1
_RUA = re.compile(r"v=TLSRPTv1[ \t]*;(?:.*;)?[ \t]*rua[ \t]*=[ \t]*((?:mailto|https):[^;]+)(?:;|\Z)", re.DOTALL).match  # RFC 8460 §3
_SHA256, _SHA512 = 1, 2  # matching types of TLSA


def read_answer(data: bytes) -> list[DnsAnswer]:
    """What a message says of mail; nothing when it is damaged.

    Args:
        data: the message, without the length that stands before it over TCP.
    """
    import dns.message

    try:
        message = dns.message.from_wire(data, ignore_trailing=True)
        return _read(message)
    except Exception:  # hostile bytes in somebody else's parser: whatever it says of them, they say nothing of mail
        return []


def _read(message: Any) -> list[DnsAnswer]:
    import dns.flags
    import dns.rdatatype

    [question] = message.question
    name = _text(question.name)
    result = message.resolve_chaining()
    kind = question.rdtype
    proofs = bool(message.flags & dns.flags.AD), any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in message.answer)
    if kind == dns.rdatatype.CNAME:
        aliases = [_text(record.target) for record in result.answer or ()]
        return [_answer("autodiscover", name.partition(".")[2], name, aliases, proofs)] if aliases and _is_autodiscover(name) else []
    if result.answer is None:
        aliases = [_text(record.target) for rrset in result.cnames for record in rrset]
        return [_answer("autodiscover", name.partition(".")[2], name, aliases[:1], proofs)] if aliases and _is_autodiscover(name) else []
    records = list(result.answer)[:MAX_VALUES]
    if kind == dns.rdatatype.MX:
        hosts = [(record.preference, _text(record.exchange)) for record in records]
        found = [_answer("mx", name, name, [f"{preference} {host or '.'}" for preference, host in hosts], proofs, hosts)]
        return found + _addresses(message, {host for _, host in hosts}, proofs)
    if kind == dns.rdatatype.TLSA:
        return _tlsa(name, records, proofs)
    if kind == dns.rdatatype.TXT:
        return _texts(name, [b"".join(record.strings).decode("latin-1") for record in records], proofs)
    if kind == dns.rdatatype.SRV:
        return _srv(name, records, proofs)
    if kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        if _is_autodiscover(name):
            aliases = [_text(record.target) for rrset in result.cnames for record in rrset][:1]
            return [_answer("autodiscover", name.partition(".")[2], name, aliases or [record.address for record in records], proofs)]
        return [_answer("address", name, name, [record.address for record in records], proofs)]
    return []


def _answer(kind: str, domain: str, name: str, values: list[str], proofs: tuple[bool, bool], records: list[tuple] | None = None, valid: bool | None = None) -> DnsAnswer:
    return DnsAnswer(kind, domain, name, tuple(sorted(value[:MAX_TEXT] for value in values)), tuple(sorted(set(records or ()))), valid, *proofs)


def _text(name: Any) -> str:
    """A name in lower case without the dot at its end; other bytes than letters are escaped as in a zone file."""
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""


def _is_autodiscover(name: str) -> bool:
    return name.startswith("autodiscover.")


def _addresses(message: Any, hosts: set[str], proofs: tuple[bool, bool]) -> list[DnsAnswer]:
    """Addresses that came along for the exchangers (RFC 1035 §3.3.9). What an AD bit says of them is not said (RFC 4035 §3.2.3)."""
    import dns.rdatatype

    found = []
    for rrset in message.additional:
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and (host := _text(rrset.name)) in hosts and len(found) < MAX_VALUES:
            found.append(_answer("address", host, host, [record.address for record in list(rrset)[:MAX_VALUES]], (False, False)))
    return found


def _tlsa(name: str, records: list[Any], proofs: tuple[bool, bool]) -> list[DnsAnswer]:
    """_port._tcp.host (RFC 6698 §3)."""
    port, _, rest = name.partition(".")
    protocol, _, host = rest.partition(".")
    if protocol != "_tcp" or not (port[1:].isascii() and port[1:].isdigit()) or len(port) > 6 or int(port[1:]) not in MAIL_PORTS or not host:
        return []
    parts, texts = [], []
    for record in records:
        held = record.cert
        texts.append(f"{record.usage} {record.selector} {record.mtype} {held[:64].hex()}")
        if record.mtype == 0:  # the whole certificate or key: its hash says the same
            parts.append((int(port[1:]), record.usage, record.selector, _SHA256, hashlib.sha256(held).hexdigest()))
        else:
            parts.append((int(port[1:]), record.usage, record.selector, record.mtype, held[:64].hex()))
    return [_answer("tlsa", host, name, texts, proofs, parts)]


def _texts(name: str, texts: list[str], proofs: tuple[bool, bool]) -> list[DnsAnswer]:
    """TXT records that are not of the right version do not count; of those that are there must be one (RFC 8461 §3.1, RFC 8460 §3)."""
    if name.startswith("_mta-sts."):
        mine = [text for text in texts if text.startswith("v=STSv1;") or text.startswith("v=STSv1 ")]
        return [_answer("mta-sts", name[9:], name, mine or texts, proofs, [(found[1],) for text in mine if (found := _STS_ID(text))],
                        len(mine) == 1 and _STS_ID(mine[0]) is not None)]
    if name.startswith("_smtp._tls."):
        mine = [text for text in texts if text.startswith("v=TLSRPTv1;")]
        return [_answer("tlsrpt", name[11:], name, mine or texts, proofs, [(found[1].strip()[:MAX_TEXT],) for text in mine if (found := _RUA(text))],
                        len(mine) == 1 and _RUA(mine[0]) is not None)]
    return []


def _srv(name: str, records: list[Any], proofs: tuple[bool, bool]) -> list[DnsAnswer]:
    """_service._tcp.domain (RFC 2782); the target `.` says that there is no such service."""
    service, _, rest = name.partition(".")
    protocol, _, domain = rest.partition(".")
    if service[:1] != "_" or service[1:] not in MAIL_SERVICES or protocol != "_tcp" or not domain:
        return []
    parts = [(service[1:], record.priority, record.weight, record.port, _text(record.target)) for record in records]
    return [_answer("srv", domain, name, [f"{priority} {weight} {port} {target or '.'}" for _, priority, weight, port, target in parts], proofs, parts)]
