"""IKE, version 1 (RFC 2408, 2409) and 2 (RFC 7296): what two ends offer and agree on, as far as it passes in clear.

Messages come one by one, of which side is known. Version 1 shows the whole proposal and, in aggressive mode, identities and the responder's hash as well; version 2 shows what protects the rest of
the exchange. What protects the traffic afterwards (ESP) is agreed on under encryption in both. A damaged payload ends the reading of its message; the rest stands.
"""
from __future__ import annotations

from typing import Iterator

from ..records import CLIENT, SERVER, IkeFacts, IkeProposal
from .ike_numbers import (AUTH_METHODS_1, ENCRYPTION_1, ENCRYPTION_2, ERRORS_1, ERRORS_2, EXCHANGES_1, EXCHANGES_2, HASH_1, INTEGRITY_2, PRF_2)

HEADER_BYTES = 28
MAX_PAYLOADS = 64  # of a message
MAX_TRANSFORMS = 256  # of a message: an offer of everything has fewer
MAX_OFFERED = 48  # distinct algorithms remembered
MAX_EXCHANGES = 12  # distinct
MAX_IDENTITY = 200  # characters
SA_1, ID_1, HASH_PAYLOAD_1, NOTIFY_1 = 1, 5, 8, 11
SA_2, NOTIFY_2 = 33, 41
ENCRYPTED_2 = (46, 53)  # SK and SKF (RFC 7383)
_NAMES_2 = {1: ENCRYPTION_2, 2: PRF_2, 3: INTEGRITY_2}


def is_message(data: bytes) -> bool:
    """Whether bytes begin like an IKE message (RFC 7296 §3.1): a version and an exchange that exist."""
    return len(data) >= HEADER_BYTES and (data[17] >> 4 == 2 and data[18] in EXCHANGES_2 or data[17] >> 4 == 1 and data[18] in EXCHANGES_1)


def from_initiator(data: bytes) -> bool | None:
    """Whether the one who began the association sent this message; None: it does not show."""
    if data[17] >> 4 == 2:
        return bool(data[19] & 0x08)  # flag I (§3.1)
    return True if data[8:16] == bytes(8) else None  # version 1: the first message knows no responder's cookie


def read_message(facts: IkeFacts, side: int, data: bytes) -> None:
    """Take what a message tells. `data` begins with the header; of an encrypted one no more is needed.

    HDR = SPI_i 8, SPI_r 8, next payload 1, version 1, exchange 1, flags 1, message id 4, length 4 (RFC 7296 §3.1, RFC 2408 §3.1)
    """
    if not is_message(data):
        return
    version, exchange, flags = data[17] >> 4, data[18], data[19]
    facts.version = f"IKEv{version}"
    name = (EXCHANGES_1 if version == 1 else EXCHANGES_2)[exchange]
    if name not in facts.exchanges and len(facts.exchanges) < MAX_EXCHANGES:
        facts.exchanges += (name,)
    encrypted = bool(flags & 1) if version == 1 else data[16] in ENCRYPTED_2
    if encrypted:
        if exchange in (32, 36) or exchange == 35 and side == SERVER:  # what only comes after the two have authenticated, or the answer to it
            facts.went_on = True
        return
    if exchange in (2, 4):
        facts.mode = name
    for kind, begin, end in _payloads(data, data[16], HEADER_BYTES, min(len(data), int.from_bytes(data[24:28], "big"))):
        if version == 1:
            _payload_1(facts, side, data, kind, begin, end)
        elif exchange == 34:
            _payload_2(facts, side, data, kind, begin, end)


def _payloads(data: bytes, kind: int, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each payload's body: next payload 1, reserved 1, length 2 (RFC 7296 §3.2)."""
    for _ in range(MAX_PAYLOADS):
        if kind == 0 or at + 4 > end:
            return
        length = int.from_bytes(data[at + 2:at + 4], "big")
        if length < 4 or at + length > end:
            return
        yield kind, at + 4, at + length
        kind, at = data[at], at + length


def _payload_1(facts: IkeFacts, side: int, data: bytes, kind: int, begin: int, end: int) -> None:
    if kind == SA_1:
        if end - begin >= 8 and data[begin + 7] == 1:  # DOI 4, situation 4: SIT_IDENTITY_ONLY, then proposals (RFC 2408 §3.4)
            proposals = list(_transforms_1(data, begin + 8, end))
            if side == CLIENT:
                _offer(facts, proposals)
                facts.auth_offered = facts.auth_offered or tuple(dict.fromkeys(one.auth_method for one in proposals if one.auth_method is not None))
            elif len(proposals) == 1:  # the responder repeats the one that it takes (§4.2)
                facts.chosen = facts.chosen or proposals[0]
    elif kind == ID_1 and facts.mode == "aggressive":
        facts.identities = _identity(facts.identities, side, data, begin, end)
    elif kind == HASH_PAYLOAD_1 and facts.mode == "aggressive" and side == SERVER:
        facts.hash_seen = True
    elif kind == NOTIFY_1 and end - begin >= 8 and side == SERVER:  # DOI 4, protocol 1, SPI size 1, type 2 (§3.14)
        facts.error = facts.error or ERRORS_1.get(int.from_bytes(data[begin + 6:begin + 8], "big"))


def _payload_2(facts: IkeFacts, side: int, data: bytes, kind: int, begin: int, end: int) -> None:
    if kind == SA_2:
        proposals = list(_proposals_2(data, begin, end))
        if side == CLIENT:
            _offer(facts, [one for alternatives in proposals for one in alternatives])
        elif len(proposals) == 1:
            chosen = IkeProposal()
            for one in proposals[0]:  # one transform of each type (§3.3)
                chosen = _joined(chosen, one)
            facts.chosen = facts.chosen or chosen
    elif kind == NOTIFY_2 and end - begin >= 4 and side == SERVER:  # protocol 1, SPI size 1, type 2 (§3.10)
        facts.error = facts.error or ERRORS_2.get(int.from_bytes(data[begin + 2:begin + 4], "big"))


def _offer(facts: IkeFacts, proposals: list[IkeProposal]) -> None:
    for one in proposals:
        for word in (*one.words(), *([f"group {one.group}"] if one.group is not None else [])):
            if word not in facts.offered and len(facts.offered) < MAX_OFFERED:
                facts.offered += (word,)


def _joined(one: IkeProposal, other: IkeProposal) -> IkeProposal:
    return IkeProposal(encryption=one.encryption or other.encryption, key_bits=one.key_bits or other.key_bits, integrity=one.integrity or other.integrity, prf=one.prf or other.prf,
                       group=one.group if one.group is not None else other.group, more_groups=one.more_groups + other.more_groups)


def _structures(data: bytes, at: int, end: int, least: int) -> Iterator[tuple[int, int]]:
    """Begin and end of proposals or transforms that follow one another: more 1, reserved 1, length 2 (RFC 7296 §3.3.1-2)."""
    for _ in range(MAX_TRANSFORMS):
        if at + least > end:
            return
        length = int.from_bytes(data[at + 2:at + 4], "big")
        if length < least or at + length > end:
            return
        yield at, at + length
        if data[at] == 0:
            return
        at += length


def _attributes(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Type and value of attributes; long ones as a number of at most eight bytes (RFC 2408 §3.3, RFC 7296 §3.3.5)."""
    while at + 4 <= end:
        kind, value = int.from_bytes(data[at:at + 2], "big"), int.from_bytes(data[at + 2:at + 4], "big")
        at += 4
        if not kind & 0x8000:  # value is a length
            if at + value > end:
                return
            at, value = at + value, int.from_bytes(data[at:at + min(value, 8)], "big")
        yield kind & 0x7FFF, value


def _transforms_1(data: bytes, at: int, end: int) -> Iterator[IkeProposal]:
    """Each transform of version 1 is a whole proposal: number 1, id 1, reserved 2, attributes (RFC 2408 §3.6, RFC 2409 App. A)."""
    for begin, stop in _structures(data, at, end, 8):
        if data[begin + 5] != 1:  # protocol: ISAKMP itself
            continue
        for first, last in _structures(data, begin + 8 + data[begin + 6], stop, 8):
            values = dict(_attributes(data, first + 8, last))
            digest = _name(HASH_1, values.get(2))
            yield IkeProposal(encryption=_name(ENCRYPTION_1, values.get(1)), key_bits=values.get(14), integrity=digest, prf=digest, group=values.get(4),
                              auth_method=_name(AUTH_METHODS_1, values.get(3)))


def _proposals_2(data: bytes, at: int, end: int) -> Iterator[list[IkeProposal]]:
    """Each transform of version 2 is one algorithm: type 1, reserved 1, id 2, attributes (RFC 7296 §3.3.2); key exchanges beyond the first have types 6-12 (RFC 9370)."""
    for begin, stop in _structures(data, at, end, 8):
        if data[begin + 5] != 1:  # protocol: IKE
            continue
        found = []
        for first, last in _structures(data, begin + 8 + data[begin + 6], stop, 8):
            kind, number = data[first + 4], int.from_bytes(data[first + 6:first + 8], "big")
            if kind == 4:
                found.append(IkeProposal(group=number))
            elif 6 <= kind <= 12:
                found.append(IkeProposal(more_groups=(number,)))
            elif kind == 1:
                found.append(IkeProposal(encryption=_name(ENCRYPTION_2, number), key_bits=dict(_attributes(data, first + 8, last)).get(14)))
            elif kind in _NAMES_2:
                name = _name(_NAMES_2[kind], number)
                found.append(IkeProposal(prf=name) if kind == 2 else IkeProposal(integrity=name))
        yield found


def _name(names: dict[int, str], number: int | None) -> str | None:
    return None if number is None else names.get(number, str(number))


def _identity(known: tuple[str | None, str | None], side: int, data: bytes, begin: int, end: int) -> tuple[str | None, str | None]:
    """The identities of both sides, with one more: type 1, protocol 1, port 2, then the name (RFC 2407 §4.6.2). Names and mail addresses as text, addresses dotted, others by kind."""
    if end - begin < 5 or known[side] is not None:
        return known
    kind, value = data[begin], data[begin + 4:end]
    if kind in (2, 3):
        text = value[:MAX_IDENTITY].decode("utf-8", "backslashreplace")
    elif kind == 1 and len(value) == 4:
        text = ".".join(map(str, value))
    else:
        text = {5: "IPv6 address", 9: "distinguished name", 10: "general name", 11: "key id"}.get(kind, f"type {kind}")
    return (text, known[SERVER]) if side == CLIENT else (known[CLIENT], text)
