"""PS115: a password or token was sent in clear although STARTTLS was there to be used.

What
    A client sent a password or token in clear after the server had offered STARTTLS (variant ignored), or before it asked for STARTTLS on the same
    connection (variant before).

Why
    Protection was available and the client gave the secret away all the same: it is set to use TLS if at all, or not, and would do so wherever it
    connects from.

Evidence
    auth_result: whether the login succeeded; the login's own finding shows more of it.
    offered_at: server stream offset of the offer.
    login_at: client stream offset of the login.
    starttls_at: client stream offset of the later STARTTLS request.

Not a finding when
    - the login follows inside TLS, where it cannot be seen;
    - the offer came only after the login, and no STARTTLS request followed;
    - nothing was offered (PS201).

References
    RFC 8314 §5.2
    RFC 3207 §6
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Login, Session
from ..logins import PASSWORD_MECHANISMS, TOKEN_MECHANISMS, is_anonymous_command, login_finding, who
from ..rule import MAIL, PASS, Rule, Verdict, seen_before
from ..site import Site

RULE = Rule(
    id="PS115", slug="creds-before-starttls", title="Credentials sent although STARTTLS was offered, or sent before it was used",
    severity="critical", confidence="high", category="credential", scope="login", protocols=MAIL, needs=(CLIENT, SERVER),
    mechanisms=PASSWORD_MECHANISMS + TOKEN_MECHANISMS,
    remediation="Set the client to require TLS; let the server hide its login until TLS runs.",
    references=("RFC 8314 §5.2", "RFC 3207 §6"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure not in ("password", "token") or not login.secret or is_anonymous_command(login):
        return PASS
    facts = session.facts
    evidence = {"login_at": login.at}
    if facts.starttls_requested and facts.starttls_requested_at is not None and facts.starttls_requested_at > login.at:
        variant, how = "before", "before the client asked for STARTTLS"
        evidence["starttls_at"] = facts.starttls_requested_at
    # SMTP lists capabilities in the answer to the first command, so an offer there always precedes AUTH
    elif facts.starttls_offered and (session.protocol == "smtp" or seen_before(session, facts.starttls_offered_at, login.at)):
        variant, how = "ignored", "although it offered STARTTLS"
    else:
        return PASS
    if facts.starttls_offered_at is not None:
        evidence["offered_at"] = facts.starttls_offered_at
    title = f"{who(login)} logged in to {session.server_ip} port {session.server_port} in clear {how}"
    return login_finding(RULE, session, login, title, variant=variant, evidence=evidence, brief=True)
