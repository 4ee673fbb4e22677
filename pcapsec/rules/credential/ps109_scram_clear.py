"""PS109: a SCRAM exchange can be read outside TLS.

What
    Outside TLS a client logged in by SCRAM; its proof, the salt and the iteration count are in the capture.

Why
    SCRAM slows guessing by its iterations but does not prevent it, and the rest of the session is readable and can be altered.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    iterations, salt_length: from the server's challenge; below 4096 iterations the variant is low-iterations.
    challenge_seen: whether salt and iteration count are in the capture.
    secret_length: length of the proof as a class.
    initial_response, cancelled, authzid: how the exchange went.

Not a finding when
    - no proof passed;
    - the mechanism's name ends in -PLUS: it is bound to a TLS channel, and seeing it in clear means that something was misread.

References
    RFC 5802 §5, §5.1, §6
    RFC 7677 §3
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..rule import LESS_SURE, MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS109", slug="scram-clear", title="SCRAM exchange readable outside TLS", severity="medium", confidence="high",
    category="credential", scope="login", protocols=MAIL + ("ldap",), needs=(CLIENT,), mechanisms=("SCRAM-*",),
    remediation="Require TLS before the login; raise the iteration count.",
    references=("RFC 5802 §5, §5.1, §6", "RFC 7677 §3"),
)
LEAST_ITERATIONS = 4096


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "guessable" or not login.secret or login.mechanism.endswith("-PLUS"):
        return PASS
    details = login.details
    iterations = details.get("iterations")
    return login_finding(
        RULE, session, login, f"Password of {who(login)} can be guessed offline: {login.mechanism} to {session.server_ip} port {session.server_port} in clear",
        variant="low-iterations" if iterations is not None and iterations < LEAST_ITERATIONS else "",
        confidence=None if details.get("challenge_seen", True) else LESS_SURE[RULE.confidence],
        evidence={name: details[name] for name in ("iterations", "salt_length") if details.get(name) is not None})
