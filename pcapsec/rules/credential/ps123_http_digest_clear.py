"""PS123: an HTTP Digest login can be read, so that the password can be guessed offline.

What
    Outside TLS a request carried `Authorization: Digest` with the user's name and a response to the server's nonce.

Why
    Nonce, address and response are all in the request: anyone who recorded it can try passwords. What the request fetches is readable besides.

Evidence
    auth_result, auth_reason, reply_code: by the status.
    realm, algorithm, qop: as sent; the variant is the algorithm, rfc2069 where no qop stands (the old form without a nonce of the client).
    userhash: the name is sent as a hash, so that the column principal holds none that reads.
    host, path, status, location, service, user_agent, proxy, rpc_target: the request.
    secret_length, challenge_seen: length of the response as a class, and whether the server's challenge was captured.

Not a finding when
    - only the server named Digest;
    - the header lacks nonce or response.

References
    RFC 7616 §3.4, §3.4.2, §3.4.4, §6.1
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..requests import request_of, shown, target
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS123", slug="http-digest-clear", title="HTTP Digest over http://", severity="medium", confidence="high",
    category="credential", scope="login", protocols=("http",), needs=(CLIENT,), mechanisms=("DIGEST",),
    remediation="Offer the service over HTTPS only.",
    references=("RFC 7616 §3.4, §3.4.2, §3.4.4, §6.1",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "guessable" or not login.secret:
        return PASS
    details, request = login.details, request_of(session, login)
    evidence = shown(request)
    for name in ("realm", "algorithm", "qop", "userhash"):
        if details.get(name) is not None:
            evidence[name] = details[name]
    if "realm" not in evidence and login.domain is not None:
        evidence["realm"] = login.domain
    name = "an account (its name is hashed)" if details.get("userhash") else who(login)
    return login_finding(RULE, session, login, f"Password of {name} can be guessed offline: HTTP Digest to {target(session, request)} in clear",
                         variant=str(details.get("algorithm") or "MD5") if details.get("qop") else "rfc2069", evidence=evidence)
