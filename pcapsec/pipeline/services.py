"""What a session is for, and how that is known: the protocol's own words first, then what TLS shows, then the port."""
from __future__ import annotations

from ..records import Facts, TlsHandshake

_BY_PORT = {25: "smtp", 587: "submission", 465: "submissions", 24: "lmtp", 143: "imap", 993: "imaps", 110: "pop3", 995: "pop3s", 119: "nntp", 563: "nntps",
            4190: "managesieve", 443: "https", 636: "ldaps", 3269: "ldaps"}
_BY_ALPN = {"imap": "imaps", "pop3": "pop3s", "smtp": "submissions", "managesieve": "managesieve", "nntp": "nntps", "h2": "https", "http/1.1": "https"}
_FAMILY_OF = {"smtp": ("smtp", "submission"), "lmtp": ("lmtp",), "imap": ("imap",), "pop3": ("pop3",), "nntp": ("nntp",), "managesieve": ("managesieve",)}
_BY_INTERFACE = {"EMSMDB": "mapi", "AsyncEMSMDB": "mapi", "NSPI": "nspi", "RFR": "rfr", "EPM": "epmapper"}  # in order of what matters most


def rpc_service(facts: Facts) -> tuple[str, str]:
    """What a DCE/RPC session is for: the interface that matters most to mail, and what told it."""
    contexts = [context for rpc in facts.rpc or () for context in rpc.contexts]
    for interface, service in _BY_INTERFACE.items():
        for context in contexts:
            if context.interface == interface:
                return service, {"epm": "epm", "port": "port"}.get(context.interface_source or "", "content")
    return "rpc", "content"


def service_of(protocol: str, facts: Facts, handshake: TlsHandshake | None, port: int) -> tuple[str | None, str | None]:
    """(service, content, port, alpn or tunnel: what told it)."""
    by_port = _BY_PORT.get(port)
    if facts.tunnel is not None and protocol != "tls":
        return protocol, "tunnel"
    if protocol == "tls":
        if handshake is not None and handshake.alpn in _BY_ALPN:
            return _BY_ALPN[handshake.alpn], "alpn"
        return by_port, "port" if by_port else None
    if protocol == "dcerpc":
        return rpc_service(facts)
    if protocol == "http":
        return next((request.service for request in facts.http.requests if request.service != "other"), "http") if facts.http is not None else "http", "content"
    if protocol in ("ldap", "smb"):
        return protocol, "content"
    if by_port in _FAMILY_OF.get(protocol, ()):
        return by_port, "port"
    if protocol == "smtp" and facts.logins:
        return "submission", "content"
    return (protocol, "content") if protocol in _FAMILY_OF else (by_port, "port" if by_port else None)
