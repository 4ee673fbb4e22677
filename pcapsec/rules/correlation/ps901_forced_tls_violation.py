"""PS901: the policy demands protection, and a conversation went without.

What
    An entry of the policy file means this conversation, and what it demands is missing: mail, a login or a mailbox passed without TLS (variant no-tls) or before it
    began (before-tls), the TLS version is below the one demanded (version), the certificate holds none of the names demanded (name), or calls to Exchange were below RPC
    level privacy (rpc-privacy).

Why
    Somebody decided that this must not happen, in a contract with a partner or for one's own servers. A connector is set up wrong, or something on the way took TLS out.

Evidence
    policy_id: the entry; `require_rpc_privacy` for that list.
    matched_on: what of the conversation the entry holds for.
    required: what it demands: tls, a version, certificate names, rpc privacy.
    observed: what was seen instead.
    passed: what passed without: message, login, mailbox, page.
    n_messages: how many messages the entry means, where it means messages.
    sha256: of the certificate.

Not a finding when
    - the client only looked: no mail, no login, no mailbox; a recipient that was tried without sending a mail is a probe too;
    - the server sent the client away before anything passed;
    - TLS failed and nothing was sent after it;
    - domains are demanded and the conversation was TLS: its addresses are not readable, not_observable;
    - a certificate name is demanded and the certificate was hidden (TLS 1.3) or not sent again (resumption): not_observable;
    - a SASL security layer encrypted what passed: not_observable, for it is protection but not TLS.

References
    RFC 3207 §6
    RFC 8314 §4.1
    RFC 7672 §1.3
"""
from __future__ import annotations

from typing import Any

from ...records import CLIENT, SERVER, Certificate, Facts, Finding, Session
from ..exchange import PRIVACY, exchange_contexts, has_unknown, level_name, weakest_of
from ..handshake import MAX_SHOWN, cut, leaf, no_hello, place
from ..passed import Passed, passed
from ..policy import TLS_VERSIONS
from ..requirements import PROTOCOLS, Meant
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from ..rule import PROTOCOLS as ALL
from ..site import Site

RULE = Rule(
    id="PS901", slug="forced-tls-violation", title="The policy requires protection, and this went without", severity="high", confidence="high", category="correlation",
    scope="session", protocols=ALL, several=True,
    remediation="Set the sending connector or client to require TLS for this peer, and find out why it was missing.",
    references=("RFC 3207 §6", "RFC 8314 §4.1", "RFC 7672 §1.3"),
)
WHAT = {"message": "a message", "login": "a login", "mailbox": "mailbox commands", "page": "a page of a mail service"}


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    policy = site.policy
    if not policy.require_tls and not policy.require_rpc_privacy:
        return NOT_APPLICABLE
    answers = [_calls(session, facts, site)] if policy.require_rpc_privacy else []
    if policy.require_tls and (session.protocol in PROTOCOLS or session.protocol == "tls"):
        answers += [_judged(session, facts, meant) for meant in site.requirements.of(session)]
    findings = [answer for answer in answers if answer.__class__ is Finding]
    if findings:
        return findings  # type: ignore[return-value]
    return next((answer for answer in answers if answer is not PASS and answer is not NOT_APPLICABLE), PASS if PASS in answers else NOT_APPLICABLE)  # type: ignore[return-value]


def _judged(session: Session, facts: Facts, meant: Meant) -> Finding | Verdict:
    """What one entry has to say."""
    if meant.unseen is not None:
        return not_observable(meant.unseen)
    in_clear = meant.messages
    if in_clear is not None and session.inner is not None:
        in_clear = [message for message in in_clear if any(message is one for one in facts.messages)]
    found = passed(facts, in_clear)
    if found is not None:
        return _without(session, meant, found)
    if session.tls_mode == "none" or session.tls is None:
        if facts.sasl_wrapped:
            return not_observable("encrypted")
        return not_observable(session.unseen_client) if session.unseen_client is not None else NOT_APPLICABLE
    if session.tls.established is False:
        return NOT_APPLICABLE
    return _version(session, meant) or _name(session, meant) or PASS


def _without(session: Session, meant: Meant, found: Passed) -> Finding:
    began = session.tls_mode != "none"
    return _finding(
        session, meant, "before-tls" if began else "no-tls", found.side, found.at,
        f"Policy {cut(meant.requirement.id)} requires TLS: {session.client_ip} exchanged {WHAT[found.what]} with {place(session)} {'before TLS began' if began else 'without it'}",
        {"required": "tls", "observed": "tls later" if began else "no tls", "passed": found.what,
         **({"n_messages": len(meant.messages)} if meant.messages is not None else {})})


def _version(session: Session, meant: Meant) -> Finding | Verdict | None:
    least, tls = meant.requirement.min_tls, session.tls
    if least is None or tls is None:
        return None
    if tls.version is None:
        return no_hello(session, tls)
    version = tls.version.partition("-")[0]
    if version in TLS_VERSIONS and TLS_VERSIONS.index(version) >= TLS_VERSIONS.index(least):
        return None
    if version not in TLS_VERSIONS and not version.startswith("SSL"):
        return not_observable("unknown_version")
    return _finding(session, meant, "version", SERVER, tls.server_hello_at, f"Policy {cut(meant.requirement.id)} requires {least}: {place(session)} chose {version}",
                    {"required": least, "observed": tls.version})


def _name(session: Session, meant: Meant) -> Finding | Verdict | None:
    names, tls = meant.requirement.names, session.tls
    if not names or tls is None:
        return None
    own = leaf(session, tls)
    if own.__class__ is not Certificate:
        return not_observable("no_certificate_seen") if own is NOT_APPLICABLE else own  # type: ignore[return-value]
    if own.malformed is not None:  # type: ignore[union-attr]
        return not_observable("certificate_malformed")
    if any(_holds(own, name) for name in names):  # type: ignore[arg-type]
        return None
    held = list(own.dns_names or ((own.common_name,) if own.common_name else ()))  # type: ignore[union-attr]
    return _finding(
        session, meant, "name", SERVER, tls.certificate_at, f"Policy {cut(meant.requirement.id)} requires another certificate than the one of {place(session)}",
        {"required": [cut(name) for name in names[:MAX_SHOWN]], "observed": [cut(name) for name in held[:MAX_SHOWN]], "sha256": own.sha256})  # type: ignore[union-attr]


def _holds(own: Certificate, wanted: str) -> bool:
    """Whether a certificate holds a name; a wildcard in the policy stands for one label, and for the same wildcard in the certificate."""
    if not wanted.startswith("*."):
        return own.covers(wanted) is not None
    held = own.dns_names or ((own.common_name.lower(),) if own.common_name else ())
    return any(name == wanted or name.partition(".")[2] == wanted[2:] for name in held)


def _calls(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    """What the list of servers that must be called at level privacy has to say."""
    network = site.private_rpc[session.server_ip]
    if network is None:
        return NOT_APPLICABLE
    found = [(context, kind) for _, context, kind in exchange_contexts(facts) if context.auth_level is not None]
    for context, kind in found:
        if context.auth_level < PRIVACY:  # type: ignore[operator]
            side, at = weakest_of(context)
            title = f"The policy requires RPC privacy: {session.client_ip} called {context.interface or kind.upper()} on {place(session)} at level {level_name(context.auth_level)}"
            return Finding(
                rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="rpc-privacy", title=title, side=side, at=at,
                evidence={"policy_id": "require_rpc_privacy", "matched_on": {"server": network}, "required": "rpc privacy", "observed": level_name(context.auth_level)})
    if has_unknown(facts):
        return not_observable(session.unseen_client or "midstream")
    return PASS if found else NOT_APPLICABLE


def _finding(session: Session, meant: Meant, variant: str, side: int | None, at: int | None, title: str, evidence: dict[str, Any]) -> Finding:
    policy_id = meant.requirement.id
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant, title=title, side=side if at is not None else None, at=at,
        finding_id=finding_id(RULE.id, f"{variant}\0{policy_id}", session.session_id, f"{CLIENT if side is None else side}:{at}"),
        evidence={"policy_id": policy_id, "matched_on": meant.matched_on, **evidence})
