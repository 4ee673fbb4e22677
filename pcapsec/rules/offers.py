"""The word that offers STARTTLS, and words that stand where it should be."""
from __future__ import annotations

import re

from ..records import Facts

OFFER = {"smtp": "STARTTLS", "lmtp": "STARTTLS", "imap": "STARTTLS", "pop3": "STLS", "nntp": "STARTTLS", "managesieve": "STARTTLS"}
COMMON_EIGHT = frozenset(("8BITMIME", "CHUNKING", "SMTPUTF8"))  # as long as STARTTLS: when these stand in clear, the masked one is not one of them
COMMON_FOUR = frozenset(("USER", "UIDL"))  # as long as STLS
UNKNOWN_COMMAND = frozenset(("500", "502", "BAD"))  # answers to a command that the server does not know
MAX_DISTANCE = 2
MIN_STARS = 80  # per cent of a greeting, below which its asterisks may be decoration
_RUN_OF_EIGHT = re.compile(r"(.)\1{5,}.?\Z", re.DOTALL)
_RUN_OF_FOUR = re.compile(r"(.)\1{2,}.?\Z", re.DOTALL)
_MASK = re.compile(r"X{3,}[A-Z]?\Z")
_UNKNOWN_TEXT = re.compile(r"unknown|unrecogni[sz]ed|not recogni[sz]ed|invalid command|bad command|not (?:implemented|understood|supported)", re.IGNORECASE)
_KNOWN = frozenset((
    "STARTTLS", "STLS", "8BITMIME", "CHUNKING", "SMTPUTF8", "PIPELINING", "SIZE", "AUTH", "ETRN", "VRFY", "HELP", "DSN", "ENHANCEDSTATUSCODES", "BINARYMIME",
    "XEXCH50", "XCLIENT", "XFORWARD", "X-ANONYMOUSTLS", "USER", "UIDL", "SASL", "LANG", "UTF8", "CAPA", "TOP", "RESP-CODES", "STARTTLS=", "START-TLS", "X-STARTTLS",
))


def masks_offer(token: str, protocol: str) -> bool:
    """Whether a capability word looks like the offer after a middlebox wrote over it: a run of one letter in its length, or the word with at most two edits."""
    word, offer = token.upper(), OFFER.get(protocol)
    if offer is None or word in _KNOWN:
        return False
    if is_run(word, offer):
        return True
    if offer == "STLS":
        return len(word) == 4 and distance(word, offer) == 1
    return abs(len(word) - 8) <= MAX_DISTANCE and distance(word, offer) <= MAX_DISTANCE


def is_run(word: str, offer: str) -> bool:
    """Whether an upper-case word is as long as the offer and made of one letter, of which the last may differ."""
    return len(word) == len(offer) and (_RUN_OF_FOUR if len(offer) == 4 else _RUN_OF_EIGHT).match(word) is not None


def is_mask(word: str) -> bool:
    """Whether a word is what firewalls put in the place of any keyword: X and X, or with a letter behind it that counts them."""
    return _MASK.match(word.upper()) is not None


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


def misused(facts: Facts) -> bool:
    """Whether the client asked for STARTTLS twice or with parameters."""
    return facts.oddities is not None and bool(facts.oddities.misuse)


def rewritten(facts: Facts, protocol: str) -> str | None:
    """Why a capability list without the offer says nothing about the server: somebody on the way wrote over it, or over what stands around it."""
    tokens, odd = facts.masked_tokens, facts.oddities
    if tokens:
        if masked_offer(tokens, protocol) is not None:
            return "masked_token"
        if sum(map(is_mask, tokens)) > 1:
            return "masked_list"
    if odd is not None:
        if odd.greeting_stars is not None and odd.greeting_stars >= MIN_STARS:
            return "masked_greeting"
        if odd.list_notes:
            return "edited_list"
    return None


def says_unknown(code: str | None, text: str | None, protocol: str) -> bool:
    """Whether a refusal says that the server does not know the command; POP3 and ManageSieve have words for it alone."""
    code = (code or "").partition(" ")[0].upper()
    if code in UNKNOWN_COMMAND:
        return not (code == "502" and protocol == "nntp")  # RFC 4642 §2.2: not now
    return code in ("-ERR", "NO") and _UNKNOWN_TEXT.search(text or "") is not None


def went_on(facts: Facts) -> str:
    """What the client did after a refusal: clear, retry or quit."""
    return "clear" if facts.first_clear_command is not None else "retry" if facts.n_starttls_requests > 1 else "quit"
