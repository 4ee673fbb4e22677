"""PS453: TLS of a mail connection ended without a word of farewell.

What
    Who closed the TCP connection had not sent an alert before (close_notify), so the other end cannot tell the end of the data from a connection that somebody cut.

Why
    Mail protocols say goodbye themselves (QUIT, LOGOUT), so little hangs on it. But a program that does not mind may take half a message for all of it.

Evidence
    closed_by: client or server, who closed first.
    version: of TLS.

Not a finding when
    - the version is TLS 1.3, which hides its alerts: not_observable;
    - it is not TLS of a mail protocol, or the end was not seen, or bytes are missing: not_observable;
    - the same side of the same server was told of before.

References
    RFC 5246 §7.2.1
    RFC 8446 §6.1
"""
from __future__ import annotations

from ...records import CLIENT, SIDE_NAMES, Facts, Finding, Session
from ..handshake import fail, is_modern, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS453", slug="tls-truncated", title="TLS closed without close_notify", severity="info", confidence="low", category="tls", scope="session", protocols=TLS,
    remediation="Nothing need be done; an update of the program that closes may help.",
    references=("RFC 5246 §7.2.1", "RFC 8446 §6.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None or not tls.established:
        return NOT_APPLICABLE
    if tls.version is None or is_modern(tls.version):
        return not_observable("encrypted" if tls.version else "no_server_hello")
    if session.goodbye is None or session.closed_by is None:
        return not_observable("not_finished" if not session.finished else "not_kept")
    if session.goodbye:
        return PASS
    if session.n_gaps or session.n_truncated_frames or session.unseen_client or session.unseen_server:
        return not_observable(session.unseen_client or session.unseen_server or ("gap" if session.n_gaps else "snaplen"))
    if not site.first_time((RULE.id, session.server_ip, session.server_port, session.closed_by)):
        return PASS
    who = session.client_ip if session.closed_by == CLIENT else place(session)
    return fail(RULE, tls, f"{who} closes TLS without saying so", {"closed_by": SIDE_NAMES[session.closed_by], "version": tls.version})
