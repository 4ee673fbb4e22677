"""PS427: an incomplete chain of certificates.

What
    The server sent its own certificate alone, although another one signed it; or, where roots were given with --ca, its chain leads to none of them.

Why
    Clients that do not happen to know the missing certificate refuse the connection, or are told to check nothing.

Evidence
    chain_length: certificates sent.
    top_issuer: who signed the last of them.
    trust_error: why the chain leads to no root, where roots were given.
    subject, issuer, sha256: the server's certificate.

Not a finding when
    - the certificate is self-signed (PS423);
    - the chain leads to a given root;
    - it was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 8446 §4.4.2
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import cut, describe, fail, leaf, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS427", slug="cert-chain-incomplete", title="Chain incomplete or unverifiable", severity="low", confidence="medium", category="tls", scope="session", protocols=TLS,
    remediation="Let the server send every certificate up to the root, the root itself left out.",
    references=("RFC 8446 §4.4.2",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    if tls.trusted:
        return PASS
    if own.self_issued:
        return NOT_APPLICABLE
    if tls.chain_length != 1 and tls.trusted is None:
        return PASS
    top = tls.certificates[-1]
    alone = tls.chain_length == 1
    what = "sends its certificate without the one that signed it" if alone else f"has a chain that leads to no given root: {tls.trust_error}"
    return fail(RULE, tls, f"{place(session)} {what}", {"chain_length": tls.chain_length, "top_issuer": cut(top.issuer), "trust_error": tls.trust_error, **describe(own)},
                variant="leaf-only" if alone else "untrusted", side=SERVER, at=tls.certificate_at)
