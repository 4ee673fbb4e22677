"""PS110: an IMAP password crosses the network readable, by the LOGIN command.

What
    Outside TLS a client sent `LOGIN name password`, as atoms, quoted strings or literals.

Why
    Everybody on the way can read the password and use it.

Evidence
    auth_result, auth_reason, reply_code: what the server answered; AUTHORIZATIONFAILED means that the password was right, PRIVACYREQUIRED that the
    server refused before it looked.
    form: how the password was written (atom, quoted, literal), where the parser says so.
    secret_length: the password's length as a class.

Not a finding when
    - the word stands in a literal or a message;
    - a literal was announced and its bytes never came: the password was not sent;
    - the name is `anonymous` (PS118).

References
    RFC 9051 §4.3, §6.2.3
    RFC 3501 §6.2.3
    RFC 7888 §3, §5
    RFC 5530 §3
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import is_anonymous_command, password_finding
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS110", slug="imap-login", title="IMAP LOGIN in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("imap",), needs=(CLIENT,), mechanisms=("LOGIN-COMMAND",),
    remediation="Change the password; announce LOGINDISABLED until TLS runs, or serve 993 only.",
    references=("RFC 9051 §4.3, §6.2.3", "RFC 3501 §6.2.3", "RFC 7888 §3, §5", "RFC 5530 §3"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if is_anonymous_command(login):
        return PASS
    return password_finding(RULE, session, login, "IMAP LOGIN")
