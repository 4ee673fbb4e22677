"""PS1xx: secrets that can be read or guessed."""
from __future__ import annotations

import pytest

from pcapsec.rules.credential import ps126_default_or_weak_secret as ps126
from pcapsec.secret import Secret

PASSWORDS = [  # rule, protocol, mechanism, how the title names it
    ("PS101", "smtp", "PLAIN", "SMTP AUTH PLAIN"), ("PS101", "lmtp", "PLAIN", "SMTP AUTH PLAIN"), ("PS102", "smtp", "LOGIN", "SMTP AUTH LOGIN"),
    ("PS110", "imap", "LOGIN-COMMAND", "IMAP LOGIN"), ("PS111", "imap", "PLAIN", "IMAP AUTHENTICATE PLAIN"), ("PS111", "imap", "LOGIN", "IMAP AUTHENTICATE LOGIN"),
    ("PS112", "pop3", "USER-PASS", "POP3 USER and PASS"), ("PS112", "pop3", "PLAIN", "POP3 AUTH PLAIN"),
    ("PS113", "nntp", "AUTHINFO", "NNTP AUTHINFO USER and PASS"), ("PS113", "nntp", "PLAIN", "NNTP AUTHINFO SASL PLAIN"),
    ("PS114", "managesieve", "PLAIN", "ManageSieve AUTHENTICATE PLAIN"),
]
GUESSABLE = [("PS103", "smtp", "CRAM-MD5"), ("PS104", "imap", "DIGEST-MD5"), ("PS105", "pop3", "APOP"), ("PS109", "smtp", "SCRAM-SHA-256")]


def guessable(login, mechanism, **fields):
    details = {"challenge_seen": True, **fields.pop("details", {})}
    return login(mechanism, **{"exposure": "guessable", "secret": Secret(b"0123456789abcdef0123456789abcdef"), "details": details, **fields})


def ntlm(login, version="NTLMv2", **fields):
    details = {"ntlm_version": version, "server_challenge_seen": True, "challenge_seen": True, "nt_length": 24 if version == "NTLMv1" else 200, "lm_length": 24,
               **fields.pop("details", {})}
    return guessable(login, fields.pop("mechanism", "NTLM"), **{"principal": "alice", "domain": "CORP", "details": details, **fields})


# --- passwords

@pytest.mark.parametrize("rule_id, protocol, mechanism, how", PASSWORDS)
class TestPasswords:
    def test_fires(self, court, session, login, rule_id, protocol, mechanism, how):
        details = {"form": "quoted"} if mechanism == "LOGIN-COMMAND" else {"initial_response": True} if mechanism in ("PLAIN", "LOGIN") else {}
        more = {"authzid": "boss"} if mechanism == "PLAIN" else {}
        judged = session(protocol, logins=[login(mechanism, protocol=protocol, details=details, **more)])
        finding = court.finding(judged, rule_id)
        assert (finding.severity, finding.confidence, finding.severity_reason) == ("critical", "high", "")
        assert finding.evidence == {"auth_result": "success", "reply_code": "235", "secret_length": "12+", **details, **more}
        assert finding.title == f"Password of alice@example.com sent readable to 203.0.113.5 port {judged.server_port} ({how})"
        assert (finding.principal, finding.mechanism, finding.auth_result, finding.side, finding.at) == ("alice@example.com", mechanism, "success", 0, 70)
        assert (judged.verdict, judged.worst_severity) == ("exposed", "critical")

    @pytest.mark.parametrize("fields", [
        {"exposure": "none", "secret": None, "secret_at": None}, {"secret": Secret(b"")}, {"exposure": "none", "secret": None, "details": {"cancelled": True}},
    ])
    def test_near_miss(self, court, session, login, rule_id, protocol, mechanism, how, fields):
        assert court.verdict(session(protocol, logins=[login(mechanism, protocol=protocol, **fields)]), rule_id) == ("pass", "")

    def test_gap(self, court, session, login, rule_id, protocol, mechanism, how):
        lost = {"exposure": "none", "secret": None, "secret_at": None, "principal": None}
        assert court.verdict(session(protocol, unseen_client="gap", logins=[login(mechanism, protocol=protocol, **lost)]), rule_id) == ("not_observable", "gap")
        assert court.verdict(session(protocol, unseen_client="one_sided"), rule_id) == ("not_observable", "one_sided")

    def test_servers_side_is_not_needed(self, court, session, login, rule_id, protocol, mechanism, how):
        assert court.verdict(session(protocol, unseen_server="one_sided"), rule_id) == ("pass", "")
        judged = session(protocol, unseen_server="one_sided", logins=[login(mechanism, protocol=protocol, result="unknown", reply_code=None)])
        finding = court.finding(judged, rule_id)
        assert (finding.severity, finding.confidence, finding.severity_reason) == ("critical", "medium", "")

    def test_failed(self, court, session, login, rule_id, protocol, mechanism, how):
        finding = court.finding(session(protocol, logins=[login(mechanism, protocol=protocol, result="failed", reason="wrong-credentials")]), rule_id)
        assert (finding.severity, finding.confidence, finding.severity_reason) == ("high", "high", "login failed")
        assert finding.evidence["auth_reason"] == "wrong-credentials"

    @pytest.mark.parametrize("reason", ["refused", "temporary", "locked"])
    def test_refused_before_the_password_was_looked_at(self, court, session, login, rule_id, protocol, mechanism, how, reason):
        finding = court.finding(session(protocol, logins=[login(mechanism, protocol=protocol, result="failed", reason=reason)]), rule_id)
        assert (finding.severity, finding.confidence, finding.severity_reason) == ("critical", "medium", "")

    def test_malformed_token(self, court, session, login, rule_id, protocol, mechanism, how):
        assert court.finding(session(protocol, logins=[login(mechanism, protocol=protocol, well_formed=False)]), rule_id).confidence == "low"

    def test_other_protocols(self, court, session, rule_id, protocol, mechanism, how):
        for other in {"smtp", "imap", "pop3", "nntp", "managesieve"} - {protocol, "smtp" if protocol == "lmtp" else ""}:
            assert court.verdict(session(other, unseen_client="gap"), rule_id) == ("not_applicable", "")
        assert court.verdict(session("tls", tls_mode="implicit"), rule_id) == ("not_applicable", "")


def test_two_logins_are_two_findings(court, session, login):
    judged = session("smtp", logins=[login(at=10, secret_at=20), login(at=50, secret_at=60, result="failed")])
    found = court.findings(judged, "PS101")
    assert [(finding.at, finding.severity) for finding in found] == [(20, "critical"), (60, "high")]
    assert len({finding.finding_id for finding in found}) == 2
    assert court.judge.counts["PS101"] == [1, 0, 0, 0]


def test_long_names_are_cut_in_titles_only(court, session, login):
    finding = court.finding(session("smtp", logins=[login(principal="a" * 300)]), "PS101")
    assert "a" * 64 + "…" in finding.title and "a" * 65 not in finding.title and finding.principal == "a" * 300


def test_imap_login_under_logindisabled_is_refused_unseen(court, session, login):
    judged = session("imap", logins=[login("LOGIN-COMMAND", protocol="imap", result="failed", reply_code="NO", details={"login_disabled": True})])
    assert court.finding(judged, "PS110").severity == "critical"


# --- answers that can be guessed

@pytest.mark.parametrize("rule_id, protocol, mechanism", GUESSABLE)
class TestGuessable:
    def test_fires(self, court, session, login, rules, rule_id, protocol, mechanism):
        judged = session(protocol, logins=[guessable(login, mechanism, protocol=protocol)])
        finding = court.finding(judged, rule_id)
        assert (finding.severity, finding.confidence, finding.variant) == (rules[rule_id].severity, "high", "")
        assert finding.evidence == {"auth_result": "success", "reply_code": "235", "secret_length": "12+", "challenge_seen": True}
        assert judged.verdict == "exposed"

    def test_near_miss(self, court, session, login, rule_id, protocol, mechanism):
        judged = session(protocol, logins=[guessable(login, mechanism, protocol=protocol, exposure="none", secret=None)])
        assert court.verdict(judged, rule_id) == ("pass", "")

    def test_challenge_not_seen(self, court, session, login, rule_id, protocol, mechanism):
        judged = session(protocol, unseen_server="one_sided", logins=[guessable(login, mechanism, protocol=protocol, details={"challenge_seen": False})])
        assert court.finding(judged, rule_id).confidence == "medium"

    def test_gap(self, court, session, rule_id, protocol, mechanism):
        assert court.verdict(session(protocol, unseen_client="gap"), rule_id) == ("not_observable", "gap")


def test_ps104_shows_the_digest(court, session, login):
    details = {"realm": "r", "qop": "auth-conf", "cipher": "rc4", "digest_uri": "smtp/x"}
    finding = court.finding(session("smtp", logins=[guessable(login, "DIGEST-MD5", details=details)]), "PS104")
    assert finding.variant == "auth-conf" and {key: finding.evidence[key] for key in details} == details


def test_ps104_foreign_qop_is_no_variant(court, session, login):
    finding = court.finding(session("smtp", logins=[guessable(login, "DIGEST-MD5", details={"qop": "<script>"})]), "PS104")
    assert (finding.variant, finding.evidence["qop"]) == ("", "<script>")


def test_ps105_bad_challenge(court, session, login):
    finding = court.finding(session("pop3", logins=[guessable(login, "APOP", details={"malformed_timestamp": True})]), "PS105")
    assert finding.variant == "bad-challenge"


@pytest.mark.parametrize("iterations, variant", [(1000, "low-iterations"), (4095, "low-iterations"), (4096, "")])
def test_ps109_iterations(court, session, login, iterations, variant):
    finding = court.finding(session("imap", logins=[guessable(login, "SCRAM-SHA-1", details={"iterations": iterations, "salt_length": 16})]), "PS109")
    assert (finding.severity, finding.variant, finding.evidence["iterations"], finding.evidence["salt_length"]) == ("medium", variant, iterations, 16)


def test_ps109_plus_is_a_misreading(court, session, login):
    assert court.verdict(session("imap", logins=[guessable(login, "SCRAM-SHA-1-PLUS")]), "PS109") == ("pass", "")


# --- NTLM

@pytest.mark.parametrize("mechanism", ["NTLM", "GSS-SPNEGO"])
def test_ps106_ntlmv2(court, session, login, mechanism):
    details = {"workstation": "PC", "target": {"nb_host": "MAIL"}}
    judged = session("imap", logins=[ntlm(login, mechanism=mechanism, details=details)])
    finding = court.finding(judged, "PS106")
    assert (finding.severity, finding.confidence, finding.variant) == ("high", "high", "NTLMv2")
    assert finding.evidence == {"auth_result": "success", "reply_code": "235", "secret_length": "12+", "challenge_seen": True, "ntlm_version": "NTLMv2", "domain": "CORP",
                                "workstation": "PC", "nt_length": 200, "target": {"nb_host": "MAIL"}}
    assert [finding.rule.id for finding in judged.findings if finding.rule.id == "PS107"] == []


def test_ps106_machine_account(court, session, login):
    finding = court.finding(session("smtp", logins=[ntlm(login, principal="PC01$")]), "PS106")
    assert (finding.severity, finding.severity_reason) == ("medium", "machine account")


@pytest.mark.parametrize("rule_id", ["PS106", "PS107"])
def test_ntlm_without_challenge(court, session, login, rule_id):
    unseen = ntlm(login, "NTLMv1", details={"server_challenge_seen": False})
    assert court.verdict(session("smtp", unseen_server="one_sided", logins=[unseen]), rule_id) == ("not_observable", "one_sided")
    assert court.verdict(session("smtp", logins=[unseen]), rule_id) == ("pass", "")


@pytest.mark.parametrize("rule_id", ["PS106", "PS107"])
def test_ntlm_anonymous_or_first_message_only(court, session, login, rule_id):
    for details in ({"ntlm_version": "anonymous"}, {"ntlm_version": None, "type1_only": True}):
        judged = session("smtp", logins=[ntlm(login, exposure="none", secret=None, principal=None, details=details)])
        assert court.verdict(judged, rule_id) == ("pass", "")


@pytest.mark.parametrize("version", ["NTLMv1", "LM"])
def test_ps107(court, session, login, version):
    judged = session("smtp", logins=[ntlm(login, version, details={"ntlm_flags": 0x8201, "ess": False})])
    finding = court.finding(judged, "PS107")
    assert (finding.severity, finding.variant, finding.evidence["ntlm_flags"], finding.evidence["ess"]) == ("critical", version, "0x00008201", False)
    guess = next(other for other in judged.findings if other.rule.id == "PS106")
    assert (guess.because_of, finding.because_of) == (finding.finding_id, None)


# --- tokens

@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_ps108_token(court, session, login, mechanism):
    details = {"token_type": "JWT", "jwt_iss": "https://idp", "jwt_aud": "mail", "jwt_exp": 1_900_000_000}
    finding = court.finding(session("imap", logins=[login(mechanism, exposure="token", details=details)]), "PS108")
    assert (finding.severity, finding.variant) == ("critical", mechanism)
    assert finding.evidence == {"auth_result": "success", "reply_code": "235", "secret_length": "12+", **details}


def test_ps108_expired_token(court, session, login):
    finding = court.finding(session("imap", logins=[login("XOAUTH2", exposure="token", details={"jwt_exp": 1_600_000_000})]), "PS108")
    assert (finding.severity, finding.severity_reason) == ("high", "token had expired")


def test_ps108_expired_and_failed(court, session, login):
    finding = court.finding(session("imap", logins=[login("XOAUTH2", exposure="token", result="failed", details={"jwt_exp": 1})]), "PS108")
    assert (finding.severity, finding.severity_reason) == ("medium", "token had expired;login failed")


def test_ps108_answer_to_an_error_report(court, session, login):
    assert court.verdict(session("imap", logins=[login("XOAUTH2", exposure="none", secret=None)]), "PS108") == ("pass", "")


# --- before STARTTLS

class TestPS115:
    @pytest.mark.parametrize("protocol, mechanism", [(row[1], row[2]) for row in PASSWORDS] + [("smtp", "XOAUTH2")])
    def test_offer_ignored(self, court, listed, login, protocol, mechanism):
        exposure = "token" if mechanism == "XOAUTH2" else "password"
        judged = listed(protocol, offer=True, logins=[login(mechanism, protocol=protocol, exposure=exposure)])
        finding = court.finding(judged, "PS115")
        assert (finding.severity, finding.confidence, finding.variant) == ("critical", "high", "ignored")
        assert finding.evidence == {"auth_result": "success", "login_at": 60, "offered_at": 30}
        root = next(other for other in judged.findings if other.rule.id in {row[0] for row in PASSWORDS} | {"PS108"})
        assert (finding.because_of, root.because_of) == (root.finding_id, None)

    def test_login_then_starttls(self, court, listed, login):
        judged = listed("smtp", offer=True, starttls_requested=True, starttls_requested_at=90, starttls_accepted=True, tls_started=True, logins=[login()])
        finding = court.finding(judged, "PS115")
        assert (finding.variant, finding.evidence) == ("before", {"auth_result": "success", "login_at": 60, "starttls_at": 90, "offered_at": 30})
        assert judged.verdict == "exposed"

    def test_offer_after_the_login(self, court, listed, login):
        assert court.verdict(listed("pop3", offer=True, starttls_offered_at=80, logins=[login("USER-PASS")]), "PS115") == ("pass", "")

    def test_starttls_refused_before_the_login(self, court, listed, login):
        judged = listed("smtp", starttls_requested=True, starttls_requested_at=40, starttls_accepted=False, logins=[login()])
        assert court.verdict(judged, "PS115") == ("pass", "")

    def test_nothing_offered(self, court, listed, login):
        assert court.verdict(listed("smtp", logins=[login()]), "PS115") == ("pass", "")

    def test_guessable_does_not_count(self, court, listed, login):
        assert court.verdict(listed("smtp", offer=True, logins=[guessable(login, "CRAM-MD5")]), "PS115") == ("pass", "")

    def test_servers_side_missing(self, court, session, login):
        assert court.verdict(session("smtp", unseen_server="one_sided", logins=[login()]), "PS115") == ("not_observable", "one_sided")

    def test_each_login_hangs_on_its_own_finding(self, court, listed, login):
        judged = court.try_session(listed("smtp", offer=True, logins=[login(at=60, secret_at=60), login(at=90, secret_at=90, result="failed")]))
        roots = {finding.at: finding.finding_id for finding in judged.findings if finding.rule.id == "PS101"}
        assert {finding.at: finding.because_of for finding in judged.findings if finding.rule.id == "PS115"} == roots


# --- names and anonymous logins

@pytest.mark.parametrize("mechanism, fields, confidence", [
    ("ANONYMOUS", {"principal": None, "secret": None, "exposure": "none", "details": {"trace": "bob@x"}}, "high"),
    ("LOGIN-COMMAND", {"principal": "Anonymous"}, "medium"),
    ("NTLM", {"principal": None, "secret": None, "exposure": "none", "details": {"ntlm_version": "anonymous"}}, "high"),
])
def test_ps118_anonymous(court, session, login, mechanism, fields, confidence):
    judged = session("imap", logins=[login(mechanism, protocol="imap", **fields)])
    finding = court.finding(judged, "PS118")
    assert (finding.severity, finding.confidence, finding.variant) == ("info", confidence, mechanism)
    assert finding.evidence.get("trace") == fields.get("details", {}).get("trace")
    assert {other.rule.id for other in judged.findings} == {"PS118", "PS212"} and judged.verdict == "weak"


def test_ps118_a_user_named_anonymous(court, session, login):
    judged = session("smtp", logins=[login("PLAIN", principal="anonymous")])
    assert court.verdict(judged, "PS118") == ("pass", "")
    assert "PS101" in {finding.rule.id for finding in judged.findings}


def test_ps119_name_without_secret(court, session, login):
    finding = court.finding(session("pop3", logins=[login("USER-PASS", secret=None, secret_at=None, exposure="none", result="failed", reply_code="-ERR")]), "PS119")
    assert (finding.severity, finding.confidence, finding.at) == ("info", "high", 60)
    assert finding.evidence == {"auth_result": "failed", "reply_code": "-ERR"}
    assert finding.title == "Account name alice@example.com sent readable to 203.0.113.5 port 110 (USER-PASS)"


@pytest.mark.parametrize("fields", [{}, {"secret": None, "exposure": "none", "principal": None}, {"exposure": "ticket"}])
def test_ps119_near_misses(court, session, login, fields):
    assert court.verdict(session("smtp", logins=[login(**fields)]), "PS119") == ("pass", "")


def test_ps119_gap(court, session):
    assert court.verdict(session("smtp", unseen_client="midstream"), "PS119") == ("not_observable", "midstream")


class TestPS120:
    TARGET = {"target": {"nb_host": "MAIL", "dns_host": "mail.corp.example"}, "target_os_version": "10.0.17763"}

    def test_once_per_server(self, court, session, login):
        first, second = (session("smtp", session_id=name, logins=[ntlm(login, details=dict(self.TARGET))]) for name in ("a1", "a2"))
        finding = court.finding(first, "PS120")
        assert (finding.severity, finding.variant) == ("low", "server")
        assert {key: finding.evidence[key] for key in ("nb_host", "dns_host", "os_version")} == {"nb_host": "MAIL", "dns_host": "mail.corp.example", "os_version": "10.0.17763"}
        assert finding.title == "Server 203.0.113.5 tells its internal names by NTLM: mail.corp.example"
        assert court.verdict(second, "PS120")[0] == "pass" and court.findings(session("smtp", server_ip="203.0.113.6", logins=[ntlm(login, details=dict(self.TARGET))]), "PS120")

    def test_same_id_in_every_process(self, make_court, session, login):
        ids = {make_court().finding(session("smtp", session_id=name, logins=[ntlm(login, details=dict(self.TARGET))]), "PS120").finding_id for name in ("a1", "a2")}
        assert len(ids) == 1

    def test_client_names(self, court, session, login):
        details = {"ntlm_version": None, "type1_only": True, "workstation": "PC", "client_domain": "CORP", "os_version": "6.1.7601"}
        finding = court.finding(session("smtp", logins=[ntlm(login, principal=None, secret=None, exposure="none", result="failed", details=details)]), "PS120")
        assert (finding.variant, finding.severity) == ("client", "info")
        assert {key: finding.evidence[key] for key in ("workstation", "client_domain", "os_version")} == {"workstation": "PC", "client_domain": "CORP", "os_version": "6.1.7601"}

    def test_no_names(self, court, session, login):
        assert court.verdict(session("smtp", logins=[ntlm(login)]), "PS120") == ("pass", "")


# --- mechanisms on offer

class TestPS121:
    @pytest.mark.parametrize("protocol, mechanisms, shown", [
        ("smtp", ("CRAM-MD5", "PLAIN", "LOGIN"), ["PLAIN", "LOGIN"]), ("smtp", ("XOAUTH2",), ["XOAUTH2"]), ("imap", ("PLAIN",), ["PLAIN", "LOGIN-COMMAND"]),
        ("imap", (), ["LOGIN-COMMAND"]), ("pop3", ("USER",), ["USER"]), ("nntp", ("USER",), ["USER"]), ("managesieve", ("PLAIN",), ["PLAIN"]),
    ])
    def test_fires(self, court, listed, protocol, mechanisms, shown):
        finding = court.finding(listed(protocol, offer=True, auth_mechanisms=mechanisms, auth_mechanisms_at=25 if mechanisms else None), "PS121")
        assert (finding.severity, finding.confidence, finding.side, finding.at) == ("medium", "high", 1, 25 if mechanisms else 20)
        assert finding.evidence == {"mechanisms": shown, "starttls_offered": True}

    @pytest.mark.parametrize("protocol, fields", [
        ("smtp", {}), ("smtp", {"auth_mechanisms": ("CRAM-MD5", "NTLM", "SCRAM-SHA-1")}), ("imap", {"login_disabled": True, "auth_mechanisms": ("PLAIN",)}),
    ])
    def test_near_misses(self, court, listed, protocol, fields):
        assert court.verdict(listed(protocol, **fields), "PS121") == ("pass", "")

    def test_gap_in_the_list(self, court, listed, session):
        assert court.verdict(listed("smtp", capabilities_complete=False, unseen_server="gap"), "PS121") == ("not_observable", "gap")
        assert court.verdict(session("smtp"), "PS121") == ("not_observable", "no_capability_list")

    def test_a_half_seen_list_may_be_enough(self, court, listed):
        assert court.finding(listed("smtp", capabilities_complete=False, unseen_server="gap", auth_mechanisms=("PLAIN",)), "PS121")

    def test_private_addresses_change_nothing(self, court, listed):
        assert court.finding(listed("smtp", client_ip="10.0.0.1", server_ip="10.0.0.2", auth_mechanisms=("PLAIN",)), "PS121").severity == "medium"


# --- weak passwords

class TestPS126:
    @pytest.mark.parametrize("password, weak", [
        (b"geheim", "short"), (b"alice@example.com", "equals-name"), (b"changeme", "common"), (b"Passw0rd", "common"),
    ])
    def test_fires(self, court, session, login, password, weak):
        judged = session("smtp", logins=[login(secret=Secret(password))])
        finding = court.finding(judged, "PS126")
        source = next(other for other in judged.findings if other.rule.id == "PS101")
        assert (finding.severity, finding.variant, finding.because_of) == ("high", weak, None)
        assert finding.evidence == {"auth_result": "success", "weak_reason": weak, "source_finding_id": source.finding_id}

    @pytest.mark.parametrize("name", ["wilhelmina@example.com", "CORP\\wilhelmina", "wilhelmina"])
    def test_local_part(self, court, session, login, name):
        assert court.finding(session("imap", logins=[login("LOGIN-COMMAND", principal=name, secret=Secret(b"wilhelmina"))]), "PS126").variant == "equals-name"

    @pytest.mark.parametrize("protocol, mechanism", [("http", "BASIC"), ("http", "FORM"), ("ldap", "SIMPLE-BIND"), ("smb", "PLAINTEXT")])
    def test_of_other_services(self, court, session, login, protocol, mechanism):
        assert court.finding(session(protocol, logins=[login(mechanism, protocol=protocol, secret=Secret(b"geheim"))]), "PS126").variant == "short"

    @pytest.mark.parametrize("fields", [
        {}, {"secret": Secret(b"8 chars!")}, {"secret": Secret(b""), "exposure": "password"}, {"exposure": "token", "secret": Secret(b"short")},
        {"principal": None, "secret": Secret(b"long enough")}, {"principal": "\udcff", "secret": Secret(b"long enough")},
    ])
    def test_near_misses(self, court, session, login, fields):
        assert court.verdict(session("smtp", logins=[login(**fields)]), "PS126") == ("pass", "")

    def test_every_common_word_is_long_enough_to_need_the_list(self):
        assert [secret.length_bucket() for secret in ps126.COMMON if secret.length_bucket() == "1-7"] == []


# --- Kerberos

def test_ps127_ticket(court, session, login):
    details = {"realm": "CORP", "spn": "smtp/mail", "etype": 18, "layer": "none"}
    judged = session("smtp", logins=[login("GSSAPI", exposure="ticket", details=details)])
    finding = court.finding(judged, "PS127")
    assert (finding.severity, finding.confidence, finding.variant) == ("medium", "high", "GSSAPI")
    assert finding.evidence == {"auth_result": "success", "reply_code": "235", "secret_length": "12+", **details}
    assert judged.verdict == "weak"


@pytest.mark.parametrize("fields", [{"details": {"layer": "confidentiality"}}, {"exposure": "none", "secret": None}])
def test_ps127_near_misses(court, session, login, fields):
    assert court.verdict(session("imap", logins=[login("GSSAPI", **{"exposure": "ticket", **fields})]), "PS127") == ("pass", "")


def test_ps127_gap(court, session):
    assert court.verdict(session("imap", unseen_client="gap"), "PS127") == ("not_observable", "gap")
