"""PS409: no forward secrecy.

What
    The keys hang on the server's long-lived key alone: RSA key transport, fixed Diffie-Hellman, or a pre-shared key without a fresh exchange.

Why
    Whoever records today and gets that key later reads everything.

Evidence
    cipher_suite: the suite.
    version: TLS version.

Not a finding when
    - the session was resumed by TLS 1.2 or less: how its keys once came about was decided in an earlier handshake: not_observable.

References
    RFC 9325 §4.1, §7.3
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, is_modern, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS409", slug="no-forward-secrecy", title="No forward secrecy", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Offer and prefer ECDHE suites; in TLS 1.3 do not allow psk_ke.",
    references=("RFC 9325 §4.1, §7.3",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.forward_secret is None:
        return no_hello(session, tls) if tls.cipher_suite is None else not_observable("unknown_suite")
    if tls.resumed and not is_modern(tls.version):
        return not_observable("resumed_session")
    if tls.forward_secret:
        return PASS
    return fail(RULE, tls, f"What passed with {place(session)} can be read by whoever gets the server's key later: {tls.cipher_suite}",
                {"cipher_suite": tls.cipher_suite, "version": tls.version})
