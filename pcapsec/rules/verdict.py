"""One word for a session: protected, exposed, weak or unknown.

    protected  TLS throughout, or begun before anything that matters; RPC whose calls are all sealed by Kerberos with AES; SMB that encrypts; LDAP in
               such a layer
    exposed    a credential or content passed in clear; in RPC a call to Exchange below level 6, or an NTLMv1 login, from which the keys can be computed
    weak       nothing passed that matters, and nothing would have protected it; TLS that failed or is below what BCP 195 demands; RPC that is sealed by
               NTLM's RC4 or by weak Kerberos; RPC of other interfaces below level 6
    unknown    bytes that could have told are missing
"""
from __future__ import annotations

from ..records import CLIENT, SERVER, Facts, HttpRequest, Login, RpcContext, RpcSecurity, Session
from .exchange import PRIVACY, contexts, exchange_contexts, is_unknown, lost
from .handshake import is_weak
from .ike_strength import weaknesses
from .logins import is_anonymous_command
from .requests import MAIL_SERVICES, is_page_around

_READABLE = frozenset(("password", "token", "guessable"))
_BROKEN_NTLM = frozenset(("NTLMv1", "LM"))
_CONTENT_SERVICES = MAIL_SERVICES - {"autodiscover", "rpc-proxy"}  # what stands behind the RPC proxy is told by the calls
_AES = frozenset((17, 18, 19, 20))  # Kerberos encryption types
_SEALED = frozenset(("smime-encrypted", "pgp-mime-encrypted"))


def is_sound(session: Session) -> bool:
    """Whether the rules about the quality of the capture (PS001-PS009) would all pass: the common case, told by one look instead of many."""
    return bool(
        session.bytes_client and session.bytes_server and session.start_seen and session.unparsed is None and session.protocol != "unknown"
        and not session.n_gaps and not session.n_truncated_frames and not session.n_duplicate_frames
        and not session.n_bad_checksum_client and not session.n_bad_checksum_server and session.n_checked_client + session.n_checked_server
    )


def session_verdict(session: Session, facts: Facts) -> str:
    """protected: TLS throughout, or begun before anything that matters. exposed: a credential or content passed in clear.

    unknown: bytes that could have held either are missing. weak: nothing passed that matters, and nothing would have protected it.
    """
    if session.tls_mode == "implicit" or session.protocol == "tls":
        return "protected" if _is_strong(session) else "weak"
    if _is_exposed(session, facts):
        return "exposed"
    if session.protocol == "unknown" or session.unseen_client is not None or session.unseen_server is not None:
        return "unknown"
    if facts.tls_started and not facts.messages and _is_strong(session):
        return "protected"
    return "weak"


def _is_strong(session: Session) -> bool:
    """TLS that did not fail and is not below what BCP 195 demands, as far as it was seen."""
    return session.tls is None or session.tls.established is not False and not is_weak(session.tls)


def _is_exposed(session: Session, facts: Facts) -> bool:
    for login in facts.logins:
        if login.exposure in _READABLE and not is_anonymous_command(login):
            return True
    if session.protocol == "nntp":  # articles are public
        return False
    if facts.n_mailbox_commands and not facts.sasl_wrapped:
        return True
    for message in facts.messages:
        if message.has_content and message.size_bytes and message.protection not in _SEALED:
            return True
    return False


def layered_verdict(session: Session, facts: Facts) -> str:
    """The same for HTTP, DCE/RPC, LDAP and SMB, which have protection of their own besides TLS."""
    if any(_is_readable(login, facts) for login in facts.logins):
        return "exposed"
    if any(context.auth_level is not None and context.auth_level < PRIVACY for _, context, _ in exchange_contexts(facts)):
        return "exposed"
    if facts.http is not None and any(_is_content(request) for request in facts.http.requests):
        return "exposed"
    if lost(session, facts, CLIENT) is not None or lost(session, facts, SERVER) is not None:
        return "unknown"
    if session.protocol == "ldap":
        return _ldap_verdict(facts)
    if facts.smb is not None and facts.smb.encrypted:
        return "protected"
    if session.protocol == "http":
        return "weak"
    return _rpc_verdict(facts)


def _is_readable(login: Login, facts: Facts) -> bool:
    """A secret that passed in clear. NTLMv2 in RPC, SMB or before a sealed LDAP layer is only what the sealing hangs on: weak, not exposed."""
    if login.exposure in ("password", "token"):
        return True
    if login.exposure != "guessable":
        return False
    if login.details.get("ntlm_version") in _BROKEN_NTLM:
        return True
    if login.protocol == "ldap":
        return not (facts.sasl_wrapped and login.details.get("layer") != "integrity")
    return login.protocol == "http"


def _is_content(request: HttpRequest) -> bool:
    """A page or answer of a mail service, other than what anybody may see."""
    return (
        request.service in _CONTENT_SERVICES and request.status == 200 and bool(request.response_bytes or request.request_bytes)
        and (request.service_sure or request.session_cookie or request.auth_scheme is not None) and not is_page_around(request.path)
    )


def _rpc_verdict(facts: Facts) -> str:
    called = [context for _, context in contexts(facts) if context.auth_level is not None]
    if any(is_unknown(context) for context in called):
        return "unknown"
    mail = {id(context) for _, context, _ in exchange_contexts(facts)}
    called = [context for context in called if id(context) in mail] or called  # what else the same connection was asked is none of mail's business
    if not called or any(context.auth_level != PRIVACY for context in called):
        return "weak"
    strengths = {_strength(context) for context in called}
    return "weak" if "weak" in strengths else "unknown" if None in strengths else "protected"


def _strength(context: RpcContext) -> str | None:
    """strong or weak: the cryptography behind level 6; None when it was not seen."""
    strengths = {_security_strength(security) for security in context.securities}
    return "weak" if "weak" in strengths else None if None in strengths or not strengths else "strong"


def _security_strength(security: RpcSecurity) -> str | None:
    if security.mechanism == "NTLM" or security.sealed_tokens is False or security.token_algorithm in ("RC4", "DES"):
        return "weak"
    if security.mechanism == "SCHANNEL" or security.token_algorithm == "AES":
        return "strong"
    if security.mechanism == "KERBEROS" and security.login is not None:
        return _kerberos_strength(security.login)
    return None


def _kerberos_strength(login: Login) -> str | None:
    """By the session key's type, else the ticket's: a domain controller chooses both alike."""
    etype = login.details.get("authenticator_etype") or login.details.get("ticket_etype")
    return None if etype is None else "strong" if etype in _AES else "weak"


def _ldap_verdict(facts: Facts) -> str:
    if facts.sasl_wrapped:
        layers = [login for login in facts.logins if login.details.get("layer") is not None or login.exposure in ("guessable", "ticket")]
        return "protected" if layers and all(map(_is_strong_layer, layers)) else "weak"
    return "protected" if facts.tls_started and not facts.logins else "weak"


def _is_strong_layer(login: Login) -> bool:
    return login.exposure == "ticket" and login.details.get("layer") == "confidentiality" and _kerberos_strength(login) == "strong"


def ipsec_verdict(session: Session, facts: Facts) -> str:
    """ESP: weak where an association does not encrypt, protected where all that were tried could not be read. IKE: by what was chosen."""
    if facts.ike is not None:
        return "weak" if weaknesses(facts.ike) else "protected" if facts.ike.chosen is not None else "unknown"
    if facts.esp is None or not facts.esp.associations:
        return "unknown"
    return "weak" if any(one.clear for one in facts.esp.associations) else "protected" if all(one.sealed for one in facts.esp.associations) else "unknown"
