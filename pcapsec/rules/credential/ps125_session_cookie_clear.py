"""PS125: a cookie that stands for a mail login crosses the network readable.

What
    Over http:// a client sent, or a server set, a cookie that carries a login: those of Exchange's form login (cadata and its companions, sessionid beside
    cadata), of MAPI over HTTP (MapiContext, MapiSequence), or the session cookie of another webmail.

Why
    Whoever copies the cookie is that user until it expires, without any password.

Evidence
    cookies: names of such cookies, never their values.
    host, path, service: the request that carried one.
    set: the server set it, rather than that the client sent it; also the variant.
    user: account, where the connection shows one.

Not a finding when
    - the cookies are those of load balancers, or the canary alone (X-OWA-CANARY): neither is a login;
    - the server only takes a cookie away (sets it to nothing).
    Whether a cookie that is set says Secure makes no difference here: it was readable on this way.

References
    [MS-OXCMAPIHTTP] §3.1.5
    CWE-319
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, HttpRequest, Session
from ..requests import MAIL_SERVICES, nothing_seen, of_services, target
from ..rule import Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS125", slug="session-cookie-clear", title="Mail session cookie over http://", severity="high", confidence="medium",
    category="credential", scope="session", protocols=("http",), needs=(CLIENT, SERVER),
    remediation="Serve the mail pages over HTTPS only and mark their cookies Secure.",
    references=("[MS-OXCMAPIHTTP] §3.1.5", "CWE-319"),
)
FORM_LOGIN = frozenset(("cadata", "cadatattl", "cadatakey", "cadataiv", "cadatasig"))  # Exchange 2003 to 2019
OTHERS = frozenset((  # MAPI over HTTP; Exchange's back end; Roundcube, Zimbra, SquirrelMail, SOGo, Horde
    "mapicontext", "mapisequence", "x-backendcookie", "roundcube_sessauth", "zm_auth_token", "sqmsessid", "0xhighflyxsogo", "horde_secret_key"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    requests = of_services(facts, MAIL_SERVICES)
    if not requests:
        return nothing_seen(session)
    for was_set in (False, True):
        for request in requests:
            names = logins_among(request.set_cookies if was_set else request.cookies)
            if names:
                return _finding(session, facts, request, names, was_set)
    return unless_unseen(session, CLIENT, SERVER)


def logins_among(cookies: tuple[str, ...]) -> list[str]:
    """The names that stand for a login."""
    found = [name for name in cookies if name.lower() in FORM_LOGIN or name.lower() in OTHERS]
    if any(name.lower() in FORM_LOGIN for name in found):
        found += [name for name in cookies if name.lower() == "sessionid"]
    return found


def _finding(session: Session, facts: Facts, request: HttpRequest, names: list[str], was_set: bool) -> Finding:
    user = request.principal or next((login.principal for login in facts.logins if login.principal), None)
    evidence = {"cookies": sorted(set(names)), "host": request.host, "path": request.path, "service": request.service, "set": was_set, "user": user}
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="set" if was_set else "sent", principal=user,
        title=f"The cookie of a mail login {'came from' if was_set else 'went to'} {target(session, request)} readable",
        side=SERVER if was_set and request.status_at is not None else CLIENT, at=request.status_at if was_set and request.status_at is not None else request.at,
        evidence={name: value for name, value in evidence.items() if value is not None})
