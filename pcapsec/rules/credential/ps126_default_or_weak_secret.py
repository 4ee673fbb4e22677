"""PS126: a password that was captured is trivially weak.

What
    A password that passed in clear is shorter than eight characters, equals the account's name or its local part, or is on a short list of defaults.

Why
    It would be guessed without any capture. Changing it to something alike does not help: the rule that allowed it has to change.

Evidence
    weak_reason: short, equals-name or common.
    source_finding_id: the finding that carries the password.
    auth_result: whether the login succeeded.

Not a finding when
    - no password passed, or an empty one;
    - the secret is a token or a response.
    The password is compared in memory only and never shown; no word list is loaded.

References
    CWE-521
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ...secret import Secret
from ..logins import PASSWORD_MECHANISMS, is_anonymous_command, login_finding, who
from ..rule import MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS126", slug="default-or-weak-secret", title="Captured secret is trivially weak", severity="high", confidence="high",
    category="credential", scope="login", protocols=MAIL + ("http", "ldap", "smb"), needs=(CLIENT,),
    mechanisms=PASSWORD_MECHANISMS + ("BASIC", "FORM", "SIMPLE-BIND", "PLAINTEXT"),
    remediation="Change the password and the rule that allowed it; use long random passwords for devices.",
    references=("CWE-521",),
)
COMMON = frozenset(Secret(word.encode()) for word in (
    "password", "Password", "PASSWORD", "password1", "Password1", "Password1!", "passw0rd", "Passw0rd", "P@ssw0rd", "P@ssword", "P@ssw0rd1",
    "password123", "Password123", "12345678", "123456789", "1234567890", "changeme", "ChangeMe", "changeit", "Changeme1", "administrator",
    "Administrator", "admin123", "admin1234", "Admin123", "welcome1", "Welcome1", "welcome123", "Welcome123", "letmein1", "qwertyui", "qwerty123",
    "qwertyuiop", "00000000", "11111111", "88888888", "iloveyou", "scanner1", "printer1", "public123", "test1234", "testtest", "user1234",
    "mailadmin", "postmaster", "supervisor", "defaultpassword",
))


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    secret = login.secret
    if login.exposure != "password" or not secret or is_anonymous_command(login):
        return PASS
    if secret.length_bucket() == "1-7":
        weak = "short"
    elif _equals_name(secret, login.principal):
        weak = "equals-name"
    elif secret in COMMON:
        weak = "common"
    else:
        return PASS
    return login_finding(
        RULE, session, login, f"Password of {who(login)} on {session.server_ip} port {session.server_port} is trivially weak",
        variant=weak, evidence={"weak_reason": weak}, brief=True)


def _equals_name(secret: Secret, name: str | None) -> bool:
    if not name:
        return False
    local = name.rpartition("\\")[2].partition("@")[0]
    return secret.is_among((name.encode("utf-8", "surrogatepass"), local.encode("utf-8", "surrogatepass")))
