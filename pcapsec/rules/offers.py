"""The word that offers STARTTLS, and words that stand where it should be."""
from __future__ import annotations

import re

from ..records import Facts

OFFER = {"smtp": "STARTTLS", "lmtp": "STARTTLS", "imap": "STARTTLS", "pop3": "STLS", "nntp": "STARTTLS", "managesieve": "STARTTLS"}
COMMON_EIGHT = frozenset(("8BITMIME", "CHUNKING", "SMTPUTF8"))  # as long as STARTTLS: when these stand in clear, the masked one is not one of them
COMMON_FOUR = frozenset(("USER", "UIDL"))  # as long as STLS
MAX_DISTANCE = 2
_RUN_OF_EIGHT = re.compile(r"(.)\1{5,}.?\Z", re.DOTALL)
_RUN_OF_FOUR = re.compile(r"(.)\1{2,}.?\Z", re.DOTALL)
_KNOWN = frozenset((
    "STARTTLS", "STLS", "8BITMIME", "CHUNKING", "SMTPUTF8", "PIPELINING", "SIZE", "AUTH", "ETRN", "VRFY", "HELP", "DSN", "ENHANCEDSTATUSCODES", "BINARYMIME",
    "XEXCH50", "XCLIENT", "XFORWARD", "X-ANONYMOUSTLS", "USER", "UIDL", "SASL", "LANG", "UTF8", "CAPA", "TOP", "RESP-CODES", "STARTTLS=", "START-TLS",
))


def masks_offer(token: str, protocol: str) -> bool:
    """Whether a capability word looks like the offer after a middlebox wrote over it: a run of one letter in its length, or the word with at most two edits."""
    word, offer = token.upper(), OFFER.get(protocol)
    if offer is None or word in _KNOWN:
        return False
    if offer == "STLS":
        return len(word) == 4 and _RUN_OF_FOUR.match(word) is not None
    if len(word) == 8 and _RUN_OF_EIGHT.match(word):
        return True
    return abs(len(word) - 8) <= MAX_DISTANCE and distance(word, offer) <= MAX_DISTANCE


def distance(a: str, b: str) -> int:
    """Edits (insert, delete, replace) from one word to the other; words are short."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (left != right))
    return row[-1]


def masked_offer(tokens: tuple[str, ...], protocol: str) -> str | None:
    """The first word that masks the offer, None without one."""
    for token in tokens:
        if masks_offer(token, protocol):
            return token
    return None


def refusal(facts: Facts) -> str | None:
    """The code by which STARTTLS was refused; None when it was not, or came at the wrong time (503, or after a login), where the client erred."""
    code = (facts.starttls_reply_code or "").upper()
    if not facts.starttls_requested or facts.tls_started or facts.starttls_accepted is not False or code == "503":
        return None
    at = facts.starttls_requested_at
    if at is not None and any(login.result == "success" and login.at < at for login in facts.logins):
        return None
    return code
