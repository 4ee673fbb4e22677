"""What the rules about logins share: one finding built alike for each of them.

The modifiers that hang on the outcome of the login are applied here, once: a failed login is one step less severe, an unknown outcome one step less sure.
A login that was refused before the server looked at the password keeps its severity: the password may well be right.
"""
from __future__ import annotations

from typing import Any

from ..records import CLIENT, SERVER, Finding, Login, Session
from .rule import LESS_SURE, LOWER, PASS, Rule, Verdict, not_observable, unless_unseen

NOT_TRIED = frozenset(("refused", "temporary", "locked"))  # reasons of a failure that say nothing about the password
PASSWORD_MECHANISMS = ("PLAIN", "LOGIN", "LOGIN-COMMAND", "USER-PASS", "AUTHINFO")
TOKEN_MECHANISMS = ("XOAUTH2", "OAUTHBEARER")
MAX_NAME_CHARACTERS = 64  # of an account in a title; the column has all of it
_EVIDENCE = ("initial_response", "cancelled", "challenge_seen", "form")
_CARRIERS = {"dcerpc": " in RPC", "http": " in HTTP", "ldap": " in LDAP", "smb": " in SMB"}
COMMON_EVIDENCE = frozenset(("auth_result", "auth_reason", "reply_code", "authzid", "secret_length", *_EVIDENCE))  # pages name what their logins usually show


def who(login: Login) -> str:
    """The account as titles name it."""
    name = login.principal
    if not name:
        return "an account without name"
    return name if len(name) <= MAX_NAME_CHARACTERS else name[:MAX_NAME_CHARACTERS] + "…"


def login_finding(
    rule: Rule, session: Session, login: Login, title: str, *,
    variant: str = "", severity: str | None = None, confidence: str | None = None, reason: str = "", evidence: dict[str, Any] | None = None,
    outcome_matters: bool = True, brief: bool = False,
) -> Finding:
    """A finding about one login.

    Args:
        severity, confidence: those of the rule when None.
        reason: why the rule gave another severity than its own.
        evidence: what the rule has to add to what all logins show.
        outcome_matters: whether a failed login is less severe.
        brief: another finding shows the login itself, so that only its result is repeated.
    """
    severity = severity or rule.severity
    confidence = confidence or rule.confidence
    result = login.result
    if not login.well_formed:
        confidence = "low"
    if result == "success":
        pass
    elif not outcome_matters:
        pass
    elif result == "failed" and login.reason not in NOT_TRIED and not login.details.get("login_disabled"):
        if severity != "info":
            severity = LOWER[severity]
            reason = reason + ";login failed" if reason else "login failed"
    else:
        confidence = LESS_SURE[confidence]
    shown: dict[str, Any] = {"auth_result": result}
    if not brief:
        if login.reason is not None:
            shown["auth_reason"] = login.reason
        if login.reply_code is not None:
            shown["reply_code"] = login.reply_code
        if login.authzid is not None:
            shown["authzid"] = login.authzid
        if login.secret is not None:
            shown["secret_length"] = login.secret.length_bucket()
        details = login.details
        if details:
            for name in _EVIDENCE:
                if name in details:
                    shown[name] = details[name]
    if evidence:
        shown.update(evidence)
    return Finding(
        rule=rule, severity=severity, confidence=confidence, title=title, variant=variant, severity_reason=reason,
        side=CLIENT, at=login.at if login.secret_at is None else login.secret_at,
        principal=login.principal, mechanism=login.mechanism, auth_result=result, evidence=shown,
    )


def password_finding(rule: Rule, session: Session, login: Login, how: str, variant: str = "") -> Finding | Verdict:
    """The common judgement of PS101, PS102 and PS110-PS114: a password that is not empty passed readable.

    Args:
        how: the way it was sent, as a title names it.
    """
    if login.exposure != "password" or not login.secret:
        return PASS
    return login_finding(
        rule, session, login, f"Password of {who(login)} sent readable to {session.server_ip} port {session.server_port} ({how})", variant=variant)


def challenge_unseen(session: Session, login: Login) -> Verdict:
    """The answer about an NTLM response whose challenge is not in the session: alone it cannot be tested."""
    if login.protocol == "dcerpc" and session.protocol == "http":  # the challenge comes over the other channel of RPC over HTTP
        return not_observable(session.unseen_server or "one_sided")
    return unless_unseen(session, SERVER)


def carried_by(login: Login) -> str:
    """` in RPC` and the like where the login's protocol is not a mail protocol, for a title."""
    return _CARRIERS.get(login.protocol, "")


def is_anonymous_command(login: Login) -> bool:
    """`LOGIN anonymous x`: the custom from before SASL ANONYMOUS, where the password is a mail address or anything."""
    return login.mechanism == "LOGIN-COMMAND" and login.principal is not None and login.principal.lower() == "anonymous"
