"""What a session is for, how that is known, and how sure it is: the protocol's own words first, then what TLS shows (application protocol, names), then the port."""
from __future__ import annotations

from ..records import Facts, TlsHandshake
from ..rules.webnames import LIKELY, MAX_NAMES, NOTHING, SURE, WEB_SERVICES, Known, look_up

_BY_PORT = {25: "smtp", 587: "submission", 465: "submissions", 24: "lmtp", 143: "imap", 993: "imaps", 110: "pop3", 995: "pop3s", 119: "nntp", 563: "nntps",
            4190: "managesieve", 443: "https", 636: "ldaps", 3269: "ldaps"}
_BY_ALPN = {"imap": "imaps", "pop3": "pop3s", "smtp": "submissions", "managesieve": "managesieve", "nntp": "nntps", "nnsp": "nntps", "h2": "https", "http/1.1": "https",
            "http/1.0": "https", "h3": "https"}
_FAMILY_OF = {"smtp": ("smtp", "submission"), "lmtp": ("lmtp",), "imap": ("imap",), "pop3": ("pop3",), "nntp": ("nntp",), "managesieve": ("managesieve",)}
_BY_INTERFACE = {"EMSMDB": "mapi", "AsyncEMSMDB": "mapi", "NSPI": "nspi", "RFR": "rfr", "EPM": "epmapper"}  # in order of what matters most
_SURENESS = {"content": "high", "alpn": "high", "epm": "high", "tunnel": "high", "port": "medium"}


def rpc_service(facts: Facts) -> tuple[str, str]:
    """What a DCE/RPC session is for: the interface that matters most to mail, and what told it."""
    contexts = [context for rpc in facts.rpc or () for context in rpc.contexts]
    for interface, service in _BY_INTERFACE.items():
        for context in contexts:
            if context.interface == interface:
                return service, {"epm": "epm", "port": "port"}.get(context.interface_source or "", "content")
    return "rpc", "content"


def service_of(protocol: str, facts: Facts, handshake: TlsHandshake | None, port: int) -> tuple[str | None, str | None]:
    """(service, what told it: content, port, alpn, sni, dns, certificate, epm or tunnel)."""
    by_port = _BY_PORT.get(port)
    if facts.tunnel is not None and protocol != "tls":
        return protocol, "tunnel"
    if protocol == "tls":
        return _encrypted(handshake, by_port)
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


def _encrypted(handshake: TlsHandshake | None, by_port: str | None) -> tuple[str | None, str | None]:
    """TLS from the first byte. A mail protocol's ALPN or port says it all; a web server's name says which of its services, when the name is a telling one."""
    if handshake is None:
        return by_port, "port" if by_port else None
    by_alpn = _BY_ALPN.get(handshake.alpn) if handshake.alpn is not None else None
    told, source = (by_alpn, "alpn") if by_alpn else (by_port, "port")
    if told is not None and told != "https":
        return told, source
    known, where = named(handshake)
    if known.score >= LIKELY and known.service is not None and (told is None or known.service in WEB_SERVICES):
        return known.service, where
    return told, source if told is not None else None


def named(handshake: TlsHandshake) -> tuple[Known, str]:
    """What the name asked for tells, else the server's certificate: and which of both it was."""
    known = look_up(handshake.sni) if handshake.sni is not None else NOTHING
    if known is not NOTHING:
        return known, "sni"
    if handshake.dns_name is not None:
        found = look_up(handshake.dns_name)
        if found.score >= LIKELY or found.provider is not None:
            return found, "dns"
    if not handshake.certificates:
        return known, "sni"
    for name in handshake.certificates[0].dns_names[:MAX_NAMES]:
        found = look_up(name)
        if found.score >= LIKELY or found.provider is not None:
            return found, "certificate"
    return NOTHING, "certificate"


def provider_of(handshake: TlsHandshake | None) -> str | None:
    """Whose server it is, where it is a large mail provider's."""
    return named(handshake)[0].provider if handshake is not None else None


def sureness(source: str | None, handshake: TlsHandshake | None) -> str | None:
    """How sure a service is: high (the bytes say it, or a provider's own name), medium (a port, or a name that people chose), None without a service."""
    if source in ("sni", "certificate", "dns") and handshake is not None:
        return "high" if named(handshake)[0].score >= SURE else "medium"
    return _SURENESS.get(source) if source is not None else None
