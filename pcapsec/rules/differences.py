"""What differences between two taps are called, which of them matters most, and which innocent explanations they leave."""
from __future__ import annotations

from ..records import CLIENT, Difference, TapPair

ORDER = (  # the first that a conversation has is what its finding is about
    "offer-removed", "offer-masked", "command-garbled", "command-removed", "reply-injected", "command-changed", "command-added", "reply-changed", "reply-removed", "login-changed",
    "login-removed", "login-added", "offer-added", "capability-removed", "capability-masked", "capability-changed", "capability-added", "tls-changed", "tls-removed", "tls-added",
    "content-changed", "content-removed", "content-added", "bytes-changed", "bytes-removed", "bytes-added", "greeting-changed", "greeting-removed", "greeting-added",
    "header-removed", "header-changed", "header-added", "list-end-moved", "address-rewritten", "proxy-mark-added", "proxy-mark-removed")
_RANK = {meaning: rank for rank, meaning in enumerate(ORDER)}
_OFFERS = frozenset(("STARTTLS", "STLS", "X-ANONYMOUSTLS"))
_MARKS = frozenset(("address-rewritten", "proxy-mark-added", "proxy-mark-removed"))
_HEADERS = frozenset(("header-added", "header-changed", "header-removed"))

MEANINGS = (  # differences that are all of these words -> severity, reason
    (_MARKS, "low", "only addresses rewritten, or marks of a proxy"),
    (_MARKS | _HEADERS, "medium", "only header fields of HTTP, as proxies change them"),
    (_MARKS | {"greeting-changed"}, "high", "only the greeting was changed"),
)


def main_difference(differences: list[Difference]) -> Difference:
    """The one that matters most, of several the first."""
    return min(differences, key=lambda one: (_RANK.get(one.meaning, len(ORDER)), not (one.word in _OFFERS)))


def meanings_of(differences: list[Difference]) -> dict[str, int]:
    """What they do -> how many, the ones that matter most first."""
    counts: dict[str, int] = {}
    for one in sorted(differences, key=lambda one: _RANK.get(one.meaning, len(ORDER))):
        counts[one.meaning] = counts.get(one.meaning, 0) + 1
    return counts


def shown_difference(one: Difference, server_ip: str, server_port: int) -> str:
    """What the box did, as the rest of a sentence."""
    whose = "the client's" if one.side == CLIENT else "the server's"
    of_server = f"of {server_ip} port {server_port}"
    n_bytes = max(one.length)
    word = one.word if one.word is not None and any(shown is not None for shown in one.shown) else None
    what, _, did = one.meaning.rpartition("-")
    if what == "offer" and did == "removed":
        return f"removed {word or 'the offer of TLS'} from the reply {of_server}"
    if what == "offer" and did == "masked":
        return f"wrote over {word or 'the offer of TLS'} in the reply {of_server}"
    if what in ("offer", "capability"):
        return f"{'wrote over' if did == 'masked' else did} {word or 'a capability'} in the list {of_server}"
    if what == "command":
        return {"garbled": f"garbled the command {word or ''}".rstrip() + " from the client", "removed": f"swallowed the client's command {word or f'of {n_bytes} bytes'}",
                "added": f"sent the command {word or f'of {n_bytes} bytes'} that the client had not sent",
                "changed": f"changed the client's command {word or f'in {n_bytes} bytes'}"}[did] + f" to {server_ip} port {server_port}"
    if what == "reply":
        named = word or f"of {n_bytes} bytes"
        return {"injected": f"gave the client the reply {named}, which the server had not sent", "removed": f"kept the server's reply {named} from the client",
                "changed": f"changed the server's reply {named}"}[did] + f" ({server_ip} port {server_port})"
    if one.meaning == "list-end-moved":
        return f"rewrote the end of a reply {of_server}"
    if one.meaning == "address-rewritten":
        return f"rewrote addresses in what {whose} side says ({server_ip} port {server_port})"
    if what == "proxy-mark":
        return f"{did} a proxy's mark in what {whose} side says ({server_ip} port {server_port})"
    nouns = {"greeting": f"the greeting {of_server}", "login": f"{n_bytes} bytes of a login", "content": f"{n_bytes} bytes of message text or other content",
             "header": f"the header field {word}" if word else "a header field", "tls": f"TLS handshake bytes ({one.word or 'record'})", "bytes": f"{n_bytes} bytes"}
    verb = did if did in ("changed", "removed", "added") else "changed"
    return f"{verb} {nouns.get(what, f'{n_bytes} bytes')}" + ("" if what == "greeting" else f" in {whose} stream ({server_ip} port {server_port})")


def ruled_out(pair: TapPair) -> tuple[list[str], list[str]]:
    """Innocent explanations that the two captures rule out, and those that they do not."""
    out = ["loss in one of the captures", "other settings of the server for this client: what it sent is in a capture"]
    left = ["a firewall, mail gateway or proxy of your own that inspects mail"]
    if pair.joined_by in ("sequence-numbers", "tls-random"):
        out.append("two conversations taken for one")
    elif pair.joined_by in ("endpoints", "time"):
        left.append("two conversations taken for one: only addresses, ports or times say that they belong together")
    if pair.box in ("tcp-proxy", "tls-proxy", "tls-one-sided"):
        left.append("a relay that speaks the protocol itself and was meant to")
    return out, left
