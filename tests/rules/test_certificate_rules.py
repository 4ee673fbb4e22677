"""PS421-PS430, PS450: certificates, keys that change, choices of suites; PS207 and PS208: TLS and clear text on each other's ports."""
from __future__ import annotations

import dataclasses
import hashlib
import pickle

import pytest
from tests.rules.test_tls_rules import MODERN, NO_HELLO, OFFER, SUITE, handshake

from pcapsec.records import CLIENT, SERVER, Anomaly, Capture, Certificate, HttpFacts, HttpRequest
from pcapsec.rules import Judge
from pcapsec.rules.collected import MAX_CHOICES, MAX_KEYS, Collected

DAY = 86_400 * 10**9
NOW = 1_700_000_000 * 10**9  # 2023-11-14, when the sessions of conftest.py begin
GOOD = Certificate(
    sha256="a" * 64, subject="CN=mail.example", issuer="CN=CA", common_name="mail.example", sans=("mail.example",), dns_names=("mail.example",), not_before_ns=NOW - 30 * DAY,
    not_after_ns=NOW + 60 * DAY, key_type="RSA", key_bits=2048, spki_sha256="1" * 64, signature_algorithm="sha256WithRSAEncryption", is_ca=False, extended_key_usage=("serverAuth",))
ISSUER = dataclasses.replace(GOOD, sha256="b" * 64, subject="CN=CA", issuer="CN=Root", common_name="CA", sans=(), dns_names=(), is_ca=True, spki_sha256="2" * 64)
ROOT = dataclasses.replace(ISSUER, sha256="c" * 64, subject="CN=Root", common_name="Root", self_issued=True, self_signed=True)
WHICH = {"subject": "CN=mail.example", "issuer": "CN=CA", "sha256": "a" * 64}


@pytest.fixture
def tls(session):
    """A session over TLS whose server sent `own` and the chain behind it; `cert_…` fields change the server's certificate."""
    def build(*behind, on=None, own=GOOD, **fields):
        own = dataclasses.replace(own, **{name[5:]: fields.pop(name) for name in list(fields) if name.startswith("cert_")})
        chain = (own, *(behind or (ISSUER,)))
        fields = {"certificates": chain, "chain_length": len(chain), "name_matches": True, "name_matched_by": "san", **fields}
        return session("tls", **{"tls_mode": "implicit", "tls": handshake(**fields), **(on or {})})
    return build


RELAY = {"server_port": 25}
FIRES = [  # rule, arguments, fields, severity, reason, variant, title, evidence besides WHICH
    ("PS421", (), {"cert_not_after_ns": NOW - DAY}, "high", "", "", "The certificate of 203.0.113.5 port 993 had expired on 2023-11-13",
     {"not_after": "2023-11-13T22:13:20Z", "checked_at": "2023-11-14T22:13:20Z", "position": 0, "established": True}),
    ("PS421", (), {"cert_not_after_ns": NOW - DAY, "on": RELAY}, "medium", "opportunistic TLS between mail servers", "", "The certificate of 203.0.113.5 port 25 had expired on 2023-11-13",
     {"not_after": "2023-11-13T22:13:20Z", "checked_at": "2023-11-14T22:13:20Z", "position": 0, "established": True}),
    ("PS421", (dataclasses.replace(ISSUER, not_after_ns=NOW - DAY),), {}, "high", "", "chain", "A certificate in the chain of 203.0.113.5 port 993 had expired on 2023-11-13",
     {"not_after": "2023-11-13T22:13:20Z", "checked_at": "2023-11-14T22:13:20Z", "position": 1, "established": True, "subject": "CN=CA", "issuer": "CN=Root", "sha256": "b" * 64}),
    ("PS422", (), {"cert_not_before_ns": NOW + DAY}, "medium", "", "", "The certificate of 203.0.113.5 port 993 is valid from 2023-11-15 only",
     {"not_before": "2023-11-15T22:13:20Z", "checked_at": "2023-11-14T22:13:20Z", "established": True}),
    ("PS423", (), {"cert_self_issued": True, "cert_self_signed": True}, "medium", "", "", "203.0.113.5 port 993 shows a certificate that it signed itself: CN=mail.example", {"established": True}),
    ("PS423", (), {"cert_self_issued": True, "cert_self_signed": True, "on": RELAY}, "low", "opportunistic TLS between mail servers", "",
     "203.0.113.5 port 25 shows a certificate that it signed itself: CN=mail.example", {"established": True}),
    ("PS424", (), {"name_matches": False, "sni": "other.example"}, "medium", "", "", "The certificate of 203.0.113.5 port 993 is not for other.example",
     {"sni": "other.example", "sans": ["mail.example"], "common_name": "mail.example", "reference": "sni", "established": True}),
    ("PS424", (), {"name_matches": False, "cert_common_name": None, "on": RELAY}, "low", "mail servers do not check names unless DANE or MTA-STS tells them to", "",
     "The certificate of 203.0.113.5 port 25 is not for mail.example", {"sni": "mail.example", "sans": ["mail.example"], "common_name": None, "reference": "sni", "established": True}),
    ("PS425", (), {"cert_signature_algorithm": "sha1WithRSAEncryption"}, "high", "", "sha1", "The certificate of 203.0.113.5 port 993 is signed with sha1WithRSAEncryption",
     {"signature_algorithm": "sha1WithRSAEncryption", "position": 0}),
    ("PS425", (dataclasses.replace(ISSUER, signature_algorithm="md5WithRSAEncryption"),), {}, "critical", "forged certificates were made this way", "md5",
     "A certificate in the chain of 203.0.113.5 port 993 is signed with md5WithRSAEncryption",
     {"signature_algorithm": "md5WithRSAEncryption", "position": 1, "subject": "CN=CA", "issuer": "CN=Root", "sha256": "b" * 64}),
    ("PS426", (), {"cert_key_bits": 1024}, "high", "", "", "The certificate of 203.0.113.5 port 993 has a key of only 1024 bits (RSA)", {"key_type": "RSA", "key_bits": 1024, "position": 0}),
    ("PS426", (), {"cert_key_bits": 512, "cert_exponent": 3}, "critical", "below 1024 bits", "", "The certificate of 203.0.113.5 port 993 has a key of only 512 bits (RSA)",
     {"key_type": "RSA", "key_bits": 512, "position": 0, "exponent": 3}),
    ("PS426", (dataclasses.replace(ISSUER, key_type="EC", key_bits=192),), {"cert_key_bits": 1024}, "high", "", "", "A certificate in the chain of 203.0.113.5 port 993 has a key of only 192 bits (EC)",
     {"key_type": "EC", "key_bits": 192, "position": 1, "subject": "CN=CA", "issuer": "CN=Root", "sha256": "b" * 64}),
    ("PS427", (), {"chain_length": 1, "certificates": (GOOD,)}, "low", "", "leaf-only", "203.0.113.5 port 993 sends its certificate without the one that signed it",
     {"chain_length": 1, "top_issuer": "CN=CA", "trust_error": None}),
    ("PS427", (), {"trusted": False, "trust_error": "issuer unknown"}, "low", "", "untrusted", "203.0.113.5 port 993 has a chain that leads to no given root: issuer unknown",
     {"chain_length": 2, "top_issuer": "CN=Root", "trust_error": "issuer unknown"}),
    ("PS428", (), {"cert_not_after_ns": NOW + 400 * DAY}, "info", "", "", "The certificate of 203.0.113.5 port 993 is unusual: long-validity",
     {"odd": ["long-validity"], "days": 430, "common_name": "mail.example"}),
    ("PS428", (), {"cert_dns_names": (), "cert_is_ca": True, "cert_extended_key_usage": ("clientAuth",), "cert_self_issued": True, "cert_common_name": "EXCH01"}, "info", "", "",
     "The certificate of 203.0.113.5 port 993 is unusual: no-dns-name, ca, no-server-auth, default-name",
     {"odd": ["no-dns-name", "ca", "no-server-auth", "default-name"], "days": 90, "common_name": "EXCH01"}),
    ("PS428", (), {"cert_dns_names": ("*.example",)}, "info", "", "", "The certificate of 203.0.113.5 port 993 is unusual: wildcard", {"odd": ["wildcard"], "days": 90, "common_name": "mail.example"}),
    ("PS428", (), {"cert_malformed": "validity", "cert_not_after_ns": None}, "info", "", "", "The certificate of 203.0.113.5 port 993 is unusual: malformed",
     {"odd": ["malformed"], "days": None, "common_name": "mail.example"}),
]
RULES = ("PS421", "PS422", "PS423", "PS424", "PS425", "PS426", "PS427", "PS428")


@pytest.mark.parametrize("rule_id, behind, fields, severity, reason, variant, title, evidence", FIRES)
def test_fires(court, tls, rule_id, behind, fields, severity, reason, variant, title, evidence):
    fields = dict(fields)
    if "cert_malformed" in fields or rule_id == "PS428":
        fields["own"] = dataclasses.replace(GOOD, sha256=hashlib.sha256(title.encode()).hexdigest())  # oddities are remembered by certificate
    found = court.finding(tls(*behind, **fields), rule_id)
    which = {**WHICH, "sha256": fields["own"].sha256} if "own" in fields else WHICH
    assert (found.severity, found.severity_reason, found.variant, found.side, found.at, found.title, found.evidence, found.confidence) == (
        severity, reason, variant, SERVER, 15, title, {**which, **evidence}, found.rule.confidence)


@pytest.mark.parametrize("rule_id", RULES)
def test_a_good_chain_passes(court, tls, rule_id):
    assert court.verdict(tls(ISSUER, ROOT), rule_id) == ("pass", "")


@pytest.mark.parametrize("rule_id", RULES)
@pytest.mark.parametrize("fields, verdict", [
    (MODERN, ("not_observable", "tls13_cert_hidden")), ({"resumed": True}, ("not_observable", "resumed_session")), ({}, ("not_observable", "no_certificate_seen")),
    ({"on": {"unseen_server": "one_sided"}}, ("not_observable", "one_sided")), ({"cipher_suite": "TLS_DH_anon_WITH_AES_128_CBC_SHA"}, ("not_applicable", "")),
    ({"cipher_suite": "TLS_PSK_WITH_AES_128_CBC_SHA"}, ("not_applicable", "")), (NO_HELLO, ("not_observable", "no_server_hello")),
    ({**NO_HELLO, "established": False}, ("not_applicable", ""))])
def test_without_a_certificate(court, tls, rule_id, fields, verdict):
    assert court.verdict(tls(**{**fields, "certificates": (), "chain_length": None, "name_matches": None}), rule_id) == verdict


OTHERWISE = [
    ("PS421", (dataclasses.replace(ROOT, not_after_ns=NOW - DAY),), {}, "pass", ""), ("PS421", (), {"cert_not_after_ns": None}, "pass", ""),
    ("PS421", (), {"cert_not_after_ns": NOW - DAY, "on": {"start_ns": 1000}}, "not_observable", "clock"), ("PS422", (), {"on": {"start_ns": 1000}}, "not_observable", "clock"),
    ("PS422", (), {"cert_not_before_ns": None}, "pass", ""), ("PS423", (ROOT,), {}, "pass", ""), ("PS423", (), {"cert_self_issued": True}, "pass", ""),
    ("PS423", (), {"cert_self_issued": True, "cert_self_signed": True, "trusted": True}, "pass", ""), ("PS424", (), {"sni": None, "name_matches": None}, "not_observable", "no_reference_name"),
    ("PS424", (), {"name_matched_by": "cn"}, "pass", ""), ("PS424", (), {"name_matches": False, "cert_malformed": "subject"}, "not_observable", "certificate_malformed"),
    ("PS425", (dataclasses.replace(ROOT, signature_algorithm="md5WithRSAEncryption"),), {}, "pass", ""), ("PS425", (), {"cert_signature_algorithm": "sha1WithRSAEncryption", "cert_self_issued": True}, "pass", ""),
    ("PS426", (), {"cert_key_type": "EC", "cert_key_bits": 256}, "pass", ""), ("PS426", (), {"cert_key_type": "Ed25519", "cert_key_bits": 253}, "pass", ""),
    ("PS426", (), {"cert_key_bits": None}, "pass", ""), ("PS427", (), {"chain_length": 1, "certificates": (GOOD,), "trusted": True}, "pass", ""),
    ("PS427", (), {"chain_length": 1, "cert_self_issued": True}, "not_applicable", ""), ("PS428", (), {"cert_not_after_ns": NOW + 368 * DAY - DAY}, "pass", ""),
    ("PS428", (), {"cert_extended_key_usage": None, "cert_is_ca": None}, "pass", "")]


@pytest.mark.parametrize("rule_id, behind, fields, verdict, reason", OTHERWISE)
def test_does_not_fire(court, tls, rule_id, behind, fields, verdict, reason):
    fields = {**fields, "own": dataclasses.replace(GOOD, sha256=f"{len(str(fields)):064x}")} if rule_id == "PS428" else fields
    assert court.verdict(tls(*behind, **fields), rule_id) == (verdict, reason)


@pytest.mark.parametrize("begin, days, odd", [("2019-06-01", 800, False), ("2020-09-02", 398, False), ("2020-09-02", 399, True), ("2026-03-16", 201, True), ("2027-03-16", 101, True), ("2029-03-16", 48, True),
                                              ("2029-03-16", 47, False)])
def test_how_long_public_authorities_may_issue(court, tls, begin, days, odd):
    import datetime

    since = int(datetime.datetime.fromisoformat(begin + "T00:00:00+00:00").timestamp()) * 10**9
    judged = court.try_session(tls(own=dataclasses.replace(GOOD, sha256=f"{begin}{days}"), cert_not_before_ns=since, cert_not_after_ns=since + days * DAY))
    assert [finding.evidence["odd"] for finding in judged.findings if finding.rule.id == "PS428"] == ([["long-validity"]] if odd else [])


@pytest.mark.parametrize("fields, cause, title", [
    (MODERN, "tls13", "TLS 1.3 encrypts it"), ({"resumed": True}, "resumed", "sessions are resumed"), ({}, "missing", "bytes are missing")])
def test_hidden_certificates_are_told_once(court, tls, fields, cause, title):
    hidden = {**fields, "certificates": (), "chain_length": None, "name_matches": None}
    found = court.finding(tls(**hidden), "PS430")
    assert (found.severity, found.variant, found.title, found.evidence) == (
        "info", cause, f"The certificate of 203.0.113.5 port 993 is not seen: {title}", {"cause": cause, "version": hidden.get("version", "TLSv1.2"), "sni": "mail.example"})
    assert court.verdict(tls(**hidden), "PS430") == ("pass", "")
    assert court.verdict(tls(**{**hidden, "established": None}), "PS430") == ("not_applicable", "")
    assert court.verdict(tls(), "PS430") == ("pass", "")


# --- PS429 keys that change, PS450 choices

CAPTURE = Capture(name="a.pcap", packets=10, first_ns=NOW, last_ns=NOW + DAY)


def capture_findings(judge: Judge, rule_id: str):
    return [finding for finding in judge.capture([CAPTURE]) if finding.rule.id == rule_id]


def other_key(n: int, issuer: str = "CN=CA") -> Certificate:
    return dataclasses.replace(GOOD, sha256=f"{n:064x}", spki_sha256=f"{n:064x}", issuer=issuer)


def seen(court, tls, *order):
    """Sessions a second apart, each with the key of that number and its issuer."""
    for second, (n, issuer) in enumerate(order):
        court.try_session(tls(own=other_key(n, issuer), on={"start_ns": NOW + second * 10**9, "session_id": f"{second:x}", "frame": second + 1}))


@pytest.mark.parametrize("order, variant", [([(1, "CN=CA"), (1, "CN=CA"), (2, "CN=CA")], "key"), ([(1, "CN=CA"), (2, "CN=Other")], "issuer")])
def test_a_changed_key(court, tls, order, variant):
    seen(court, tls, *order)
    found, = capture_findings(court.judge, "PS429")
    assert (found.severity, found.confidence, found.variant, found.capture, found.frame, found.ts_ns) == ("medium", "medium", variant, "a.pcap", len(order), NOW + (len(order) - 1) * 10**9)
    assert found.title == "203.0.113.5 port 993 came with another key" + (", signed by CN=Other" if variant == "issuer" else "")
    assert found.evidence == {
        "server": "203.0.113.5:993", "sni": "mail.example", "old_spki_sha256": f"{1:064x}", "new_spki_sha256": f"{2:064x}", "old_issuer": "CN=CA", "new_issuer": order[-1][1],
        "last_seen_old": "2023-11-14T22:13:21Z" if variant == "key" else "2023-11-14T22:13:20Z", "first_seen_new": "2023-11-14T22:13:22Z" if variant == "key" else "2023-11-14T22:13:21Z",
        "n_keys": 2}


@pytest.mark.parametrize("order", [[(1, "CN=CA"), (2, "CN=CA"), (1, "CN=CA")], [(1, "CN=CA"), (1, "CN=Other")]])
def test_a_pool_or_a_renewal_is_no_change(court, tls, order):
    seen(court, tls, *order)
    assert capture_findings(court.judge, "PS429") == []
    assert court.judge.counts["PS429"] == [0, 1, 0, 0]


def chosen(tls, suite, offered, second=0, **fields):
    return tls(cipher_suite=suite, offer=dataclasses.replace(OFFER, suites=offered), on={"start_ns": NOW + second * 10**9, "frame": second + 1, "session_id": f"{second:x}"}, **fields)


CBC = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"


@pytest.mark.parametrize("offered, confidence, client_order", [((SUITE, CBC), "medium", False), ((CBC, SUITE), "low", True)])
def test_a_weaker_choice(court, tls, offered, confidence, client_order):
    court.try_session(chosen(tls, SUITE, (SUITE,)))
    court.try_session(chosen(tls, CBC, offered, 1))
    found, = capture_findings(court.judge, "PS450")
    assert (found.severity, found.confidence, found.capture, found.frame) == ("low", confidence, "a.pcap", 2)
    assert found.title == f"203.0.113.5 port 993 chose {CBC}, although both know {SUITE}"
    assert found.evidence == {"server": "203.0.113.5:993", "chosen": CBC, "better": SUITE, "client_order": client_order, "session": "1"}


@pytest.mark.parametrize("sessions", [
    [(CBC, (SUITE, CBC))], [(SUITE, (SUITE,)), (CBC, (CBC,))], [(SUITE, (SUITE, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")), ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", (SUITE, CBC))]])
def test_no_weaker_choice(court, tls, sessions):
    for second, (suite, offered) in enumerate(sessions):
        court.try_session(chosen(tls, suite, offered, second))
    assert capture_findings(court.judge, "PS450") == []
    assert court.judge.counts["PS450"] == [0, 1, 0, 0]


def test_other_versions_are_not_compared(court, tls):
    court.try_session(chosen(tls, SUITE, (SUITE,)))
    court.try_session(chosen(tls, CBC, (SUITE, CBC), 1, version="TLSv1.0"))
    assert capture_findings(court.judge, "PS450") == []


def test_workers_see_the_same_as_one(tls):
    sessions = [tls(own=other_key(n), on={"start_ns": NOW + second * 10**9, "frame": second + 1, "server_port": port}, cipher_suite=suite, offer=dataclasses.replace(OFFER, suites=offered))
                for second, (n, port, suite, offered) in enumerate([(1, 993, SUITE, (SUITE,)), (2, 993, CBC, (SUITE, CBC)), (1, 995, CBC, (CBC,)), (3, 995, SUITE, (SUITE, CBC)), (3, 995, CBC, (SUITE, CBC))])]
    whole, parts = Collected(), [Collected(), Collected()]
    for index, session in enumerate(sessions):
        whole.session(session)
        parts[index % 2].session(session)
    merged = Collected()
    for part in reversed(parts):
        merged.merge(pickle.loads(pickle.dumps(part)))

    def shown(collected):
        return {name: {spki: (use.first, use.last_ns, use.issuer) for spki, use in uses.items()} for name, uses in collected.keys.items()}, collected.choices

    assert shown(merged) == shown(whole)
    assert len(whole.keys) == 2 and len(whole.choices[("203.0.113.5", 995)]) == 3


def test_collections_have_limits(tls):
    collected = Collected()
    for n in range(100):
        collected.session(tls(own=other_key(n), offer=dataclasses.replace(OFFER, suites=(SUITE, f"0x{n:04x}"))))
    assert (len(collected.keys[("203.0.113.5", 993, "mail.example")]), len(collected.choices[("203.0.113.5", 993)])) == (MAX_KEYS, MAX_CHOICES)


# --- PS207, PS208

@pytest.mark.parametrize("protocol, port, fields, severity, reason", [
    ("imap", 993, {}, "high", ""), ("smtp", 465, {"tls_started": True}, "medium", "TLS followed"), ("pop3", 995, {}, "high", ""), ("nntp", 563, {}, "high", "")])
def test_clear_text_on_a_tls_port(court, session, protocol, port, fields, severity, reason):
    found = court.finding(session(protocol, **{"server_port": port, "greeting": "x" * 100, "greeting_at": 0, "first_clear_command": "LOGIN", "first_clear_command_at": 9, **fields}), "PS207")
    assert (found.severity, found.severity_reason, found.variant, found.side, found.at, found.title) == (
        severity, reason, protocol, SERVER, 0, f"203.0.113.5 port {port} speaks {protocol.upper()} without TLS")
    assert found.evidence == {"port": port, "banner": "x" * 64, "first_command": "LOGIN", "tls_followed": bool(reason)}


def test_http_on_443(court, session):
    def web(*statuses):
        return session("http", server_port=443, greeting=None, http=HttpFacts(requests=[HttpRequest(at=n, method="GET", status=status, service="owa") for n, status in enumerate(statuses)]))

    assert court.finding(web(400, 200), "PS207").title == "203.0.113.5 port 443 speaks HTTP without TLS"
    for statuses in ((), (400,), (None, 400)):
        assert court.verdict(web(*statuses), "PS207") == ("pass", "")


def test_clear_text_elsewhere(court, session, tls):
    assert court.verdict(session("imap"), "PS207") == ("not_applicable", "")
    assert court.verdict(session("imap", server_port=993, tunnel="socks5"), "PS207") == ("not_applicable", "")
    assert court.verdict(tls(), "PS207") == ("not_applicable", "")


def test_tls_on_a_port_for_clear_text(court, tls):
    found = court.finding(tls(on={"server_port": 143}), "PS208")
    assert (found.severity, found.variant, found.side, found.at, found.title) == ("info", "143", CLIENT, 5, "198.51.100.7 opened TLS at once on port 143 of 203.0.113.5")
    assert found.evidence == {"port": 143, "established": True, "answered_in_text": False}
    failed = tls(on={"server_port": 25, "anomalies": [Anomaly(code="not-a-tls-record", side=SERVER, at=0)]}, **{**NO_HELLO, "certificates": ()})
    assert court.finding(failed, "PS208").evidence == {"port": 25, "established": None, "answered_in_text": True}
    assert court.verdict(tls(), "PS208") == ("not_applicable", "")
    assert court.verdict(tls(on={"server_port": 143, "tls_mode": "starttls"}), "PS208") == ("not_applicable", "")
    assert court.verdict(tls(on={"server_port": 143}, client_hello_at=None), "PS208") == ("pass", "")
