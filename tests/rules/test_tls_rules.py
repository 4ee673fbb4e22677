"""PS4xx about handshakes and offers: each fires, a near miss stays silent, what was not seen is said."""
from __future__ import annotations

import dataclasses

import pytest

from pcapsec.records import CLIENT, SERVER, Certificate, TlsHandshake, TlsOffer
from pcapsec.rules.handshake import is_weak, suite, when
from pcapsec.rules.rule import TLS

SUITE = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
OFFER = TlsOffer(legacy_version="TLSv1.2", versions=("TLSv1.2",), suites=(SUITE, "TLS_AES_128_GCM_SHA256"), extensions=(0, 10), ja3="3" * 32, ja4="t12d0202ip_1_2",
                 secure_renegotiation=True, extended_master_secret=True)


def handshake(**fields) -> TlsHandshake:
    """A good full handshake of TLS 1.2 without a certificate; `offer_…` fields change what the client offers."""
    offered = {name[6:]: fields.pop(name) for name in list(fields) if name.startswith("offer_")}
    return TlsHandshake(**{
        "version": "TLSv1.2", "offered_versions": ("TLSv1.2",), "cipher_suite": SUITE, "sni": "mail.example", "client_hello_at": 5, "server_hello_at": 10, "key_exchange_at": 20,
        "certificate_at": 15, "established": True, "complete": True, "offer": dataclasses.replace(OFFER, **offered), "group": "x25519", "forward_secret": True, "compression": "null",
        "extended_master_secret": True, "encrypt_then_mac": False, "secure_renegotiation": True, "heartbeat": False, "resumed": False, "signature": "rsa_pkcs1_sha256", **fields})


@pytest.fixture
def tls(session):
    """A session over TLS on a port of its own; fields go to the handshake, `on` to the session."""
    def build(on=None, protocol="tls", **fields):
        return session(protocol, **{"tls_mode": "implicit" if protocol == "tls" else "starttls", "tls": handshake(**fields), **(on or {})})
    return build


NO_HELLO = {"version": None, "cipher_suite": None, "forward_secret": None, "compression": None, "extended_master_secret": None, "encrypt_then_mac": None, "secure_renegotiation": None,
            "heartbeat": None, "resumed": None, "group": None, "signature": None, "server_hello_at": None, "established": None}
MODERN = {"version": "TLSv1.3", "offered_versions": ("TLSv1.3",), "cipher_suite": "TLS_AES_128_GCM_SHA256", "extended_master_secret": None, "encrypt_then_mac": None,
          "secure_renegotiation": None, "heartbeat": None, "signature": None}

FIRES = {  # rule: handshake fields -> severity, reason, variant, side, at, title, evidence
    "PS401": [
        ({"version": "SSLv2", "cipher_suite": "SSL_CK_RC4_128_WITH_MD5"}, ("critical", "", "negotiated", SERVER, 10, "203.0.113.5 port 993 speaks SSL 2.0",
         {"version": "SSLv2", "cipher_suite": "SSL_CK_RC4_128_WITH_MD5", "cipher_kinds": [SUITE, "TLS_AES_128_GCM_SHA256"]})),
        ({**NO_HELLO, "offer_legacy_version": "SSLv2", "offer_suites": ()}, ("critical", "", "offered", CLIENT, 5, "198.51.100.7 offers SSL 2.0 only",
         {"version": None, "cipher_suite": None, "cipher_kinds": []}))],
    "PS402": [({"version": "SSLv3"}, ("high", "", "", SERVER, 10, "203.0.113.5 port 993 and 198.51.100.7 agreed on SSL 3.0",
                                      {"version": "SSLv3", "cipher_suite": SUITE, "client_max": "TLSv1.2"}))],
    "PS403": [
        ({"version": "TLSv1.0"}, ("high", "submission or mailbox access", "TLSv1.0", SERVER, 10, "203.0.113.5 port 993 and 198.51.100.7 agreed on TLS 1.0",
                                  {"version": "TLSv1.0", "cipher_suite": SUITE, "client_max": "TLSv1.2", "role": "access"})),
        ({"version": "TLSv1.1", "on": {"server_port": 25}}, ("medium", "", "TLSv1.1", SERVER, 10, "203.0.113.5 port 25 and 198.51.100.7 agreed on TLS 1.1",
                                                             {"version": "TLSv1.1", "cipher_suite": SUITE, "client_max": "TLSv1.2", "role": "relay"})),
        ({"version": "TLSv1.1", "on": {"server_port": 443}}, ("medium", "", "TLSv1.1", SERVER, 10, "203.0.113.5 port 443 and 198.51.100.7 agreed on TLS 1.1",
                                                              {"version": "TLSv1.1", "cipher_suite": SUITE, "client_max": "TLSv1.2", "role": "other"}))],
    "PS404": [({"cipher_suite": name}, ("critical", "", "", SERVER, 10, f"TLS of 203.0.113.5 port 993 does not encrypt: {name}", {"cipher_suite": name, "version": "TLSv1.2"}))
              for name in ("TLS_RSA_WITH_NULL_SHA", "TLS_SHA256_SHA256", "TLS_NULL_WITH_NULL_NULL")],
    "PS405": [
        ({"cipher_suite": "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"}, ("high", "", "", SERVER, 10,
         "Neither end of TLS with 203.0.113.5 port 993 proved who it is: TLS_ECDH_anon_WITH_AES_128_CBC_SHA", {"cipher_suite": "TLS_ECDH_anon_WITH_AES_128_CBC_SHA", "port": 993})),
        ({"cipher_suite": "TLS_DH_anon_WITH_AES_128_CBC_SHA", "on": {"server_port": 25}}, ("medium", "opportunistic TLS between mail servers", "", SERVER, 10,
         "Neither end of TLS with 203.0.113.5 port 25 proved who it is: TLS_DH_anon_WITH_AES_128_CBC_SHA", {"cipher_suite": "TLS_DH_anon_WITH_AES_128_CBC_SHA", "port": 25}))],
    "PS406": [
        ({"cipher_suite": "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "temporary_rsa_bits": 512}, ("critical", "", "", SERVER, 10,
         "203.0.113.5 port 993 uses export-grade TLS: TLS_RSA_EXPORT_WITH_RC4_40_MD5 with a key of 512 bits",
         {"cipher_suite": "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "bits": 40, "key_bits": 512})),
        ({"cipher_suite": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "dh_bits": 512}, ("critical", "", "", SERVER, 10,
         "203.0.113.5 port 993 uses export-grade TLS: TLS_DHE_RSA_WITH_AES_128_CBC_SHA with a key of 512 bits",
         {"cipher_suite": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "bits": 128, "key_bits": 512}))],
    "PS407": [({"cipher_suite": "TLS_RSA_WITH_RC4_128_SHA"}, ("high", "", "", SERVER, 10, "203.0.113.5 port 993 encrypts with RC4: TLS_RSA_WITH_RC4_128_SHA",
                                                              {"cipher_suite": "TLS_RSA_WITH_RC4_128_SHA"}))],
    "PS408": [
        ({"cipher_suite": "TLS_RSA_WITH_3DES_EDE_CBC_SHA"}, ("medium", "", "3des", SERVER, 10, "203.0.113.5 port 993 encrypts with 3DES: TLS_RSA_WITH_3DES_EDE_CBC_SHA",
         {"cipher_suite": "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "bits": 112, "bytes_in_session": 500})),
        ({"cipher_suite": "TLS_RSA_WITH_DES_CBC_SHA"}, ("high", "56-bit key", "des", SERVER, 10, "203.0.113.5 port 993 encrypts with DES: TLS_RSA_WITH_DES_CBC_SHA",
         {"cipher_suite": "TLS_RSA_WITH_DES_CBC_SHA", "bits": 56, "bytes_in_session": 500}))],
    "PS409": [({"cipher_suite": "TLS_RSA_WITH_AES_128_GCM_SHA256", "forward_secret": False}, ("medium", "", "", SERVER, 10,
               "What passed with 203.0.113.5 port 993 can be read by whoever gets the server's key later: TLS_RSA_WITH_AES_128_GCM_SHA256",
               {"cipher_suite": "TLS_RSA_WITH_AES_128_GCM_SHA256", "version": "TLSv1.2"}))],
    "PS410": [({"cipher_suite": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}, ("low", "", "", SERVER, 10, "203.0.113.5 port 993 uses CBC with the MAC inside: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
               {"cipher_suite": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "version": "TLSv1.2"}))],
    "PS411": [
        ({"dh_bits": 1024, "group": "modp1024"}, ("high", "", "", SERVER, 20, "203.0.113.5 port 993 agrees on keys with a prime of 1024 bits, the well-known group modp1024",
                                                  {"p_bits": 1024, "group_name": "modp1024"})),
        ({"dh_bits": 768, "group": "dh"}, ("critical", "below 1024 bits", "", SERVER, 20, "203.0.113.5 port 993 agrees on keys with a prime of 768 bits", {"p_bits": 768, "group_name": "dh"}))],
    "PS412": [
        ({"group": "secp256k1", "group_recommended": "N"}, ("low", "", "", SERVER, 20, "203.0.113.5 port 993 agrees on keys over secp256k1", {"curve": "secp256k1", "recommended": "N"})),
        ({"group": "sect163k1", "group_recommended": "D"}, ("medium", "under 224 bits", "", SERVER, 20, "203.0.113.5 port 993 agrees on keys over sect163k1",
                                                            {"curve": "sect163k1", "recommended": "D"})),
        ({"group": "arbitrary_explicit_prime_curves"}, ("low", "", "", SERVER, 20, "203.0.113.5 port 993 agrees on keys over a curve of its own",
                                                        {"curve": "arbitrary_explicit_prime_curves", "recommended": None}))],
    "PS413": [({"signature": name}, ("medium", "", "", SERVER, 20, f"203.0.113.5 port 993 signed its key exchange with {name}", {"sigalg": name})) for name in ("rsa_pkcs1_sha1", "ecdsa_sha1", "rsa_pkcs1_md5")],
    "PS414": [({"compression": "DEFLATE"}, ("medium", "", "", SERVER, 10, "203.0.113.5 port 993 compresses inside TLS", {"method": "DEFLATE"}))],
    "PS415": [({"secure_renegotiation": False}, ("medium", "", "", SERVER, 10, "203.0.113.5 port 993 does not know secure renegotiation", {"client_signalled": True, "server_knows": False}))],
    "PS416": [({"extended_master_secret": False}, ("info", "", "", SERVER, 10, "TLS with 203.0.113.5 port 993 went without the extended master secret",
                                                   {"version": "TLSv1.2", "client_offered": True}))],
    "PS417": [
        ({"heartbeat_overread": (16384, 3), "heartbeat_side": CLIENT, "heartbeat_at": 77, "heartbeat_answer": 16384, "established": None}, ("critical", "", "answered", CLIENT, 77,
         "Heartbleed against 203.0.113.5 port 993, which answered with 16384 bytes", {"claimed": 16384, "record_length": 3, "answer_length": 16384, "sender": "client"})),
        ({"heartbeat_overread": (100, 50), "heartbeat_side": SERVER, "heartbeat_at": 77}, ("critical", "", "asked", SERVER, 77, "Heartbleed against 198.51.100.7",
                                                                                         {"claimed": 100, "record_length": 50, "answer_length": 0, "sender": "server"})),
        ({"heartbeat": True}, ("info", "extension only", "offered", SERVER, 10, "203.0.113.5 port 993 accepts TLS heartbeats", {}))],
    "PS418": [({**MODERN, "early_data": True}, ("low", "", "", CLIENT, 5, "198.51.100.7 sent early data to 203.0.113.5 port 993", {"version": "TLSv1.3", "alpn": None}))],
    "PS419": [
        ({"downgrade_sentinel": "TLSv1.2", "offered_versions": ("TLSv1.3", "TLSv1.2")}, ("critical", "the client offered the newer version", "active", SERVER, 10,
         "198.51.100.7 and 203.0.113.5 port 993 both know more than TLSv1.2, on which they agreed: somebody changed the hello",
         {"sentinel": "TLSv1.2", "negotiated": "TLSv1.2", "client_offered": ["TLSv1.3", "TLSv1.2"]})),
        ({"downgrade_sentinel": "TLSv1.1", "version": "TLSv1.0"}, ("critical", "the client offered the newer version", "active", SERVER, 10,
         "198.51.100.7 and 203.0.113.5 port 993 both know more than TLSv1.0, on which they agreed: somebody changed the hello",
         {"sentinel": "TLSv1.1", "negotiated": "TLSv1.0", "client_offered": ["TLSv1.2"]})),
        ({"downgrade_sentinel": "TLSv1.2"}, ("info", "the client offers nothing newer", "old-client", SERVER, 10, "203.0.113.5 port 993 could do more than TLSv1.2, 198.51.100.7 could not",
         {"sentinel": "TLSv1.2", "negotiated": "TLSv1.2", "client_offered": ["TLSv1.2"]})),
        ({"downgrade_sentinel": "TLSv1.2", "offer": None, "offered_versions": ()}, ("high", "", "", SERVER, 10, "203.0.113.5 port 993 could do more than TLSv1.2",
         {"sentinel": "TLSv1.2", "negotiated": "TLSv1.2", "client_offered": []}))],
    "PS420": [
        ({"offer_fallback_scsv": True}, ("medium", "", "", CLIENT, 5, "198.51.100.7 fell back to TLSv1.2 with 203.0.113.5 port 993", {"client_max": "TLSv1.2", "alert": None})),
        ({**NO_HELLO, "offer_fallback_scsv": True, "alert": "server:86 inappropriate_fallback", "established": False}, ("medium", "", "blocked", CLIENT, 5,
         "198.51.100.7 fell back to TLSv1.2 with 203.0.113.5 port 993, which refused", {"client_max": "TLSv1.2", "alert": "server:86 inappropriate_fallback"}))],
    "PS440": [
        ({"offer_suites": (SUITE, "TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA")}, ("low", "", "suites", CLIENT, 5, "198.51.100.7 offers 2 weak suites",
         {"max_version": "TLSv1.2", "weak_suites": ["TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"], "ja3": "3" * 32, "ja4": "t12d0202ip_1_2"})),
        ({"offer_versions": ("TLSv1.0",)}, ("medium", "nothing newer than TLS 1.1", "version", CLIENT, 5, "198.51.100.7 offers nothing newer than TLSv1.0",
         {"max_version": "TLSv1.0", "weak_suites": [], "ja3": "3" * 32, "ja4": "t12d0202ip_1_2"})),
        ({"offer_suites": ("TLS_DH_anon_WITH_AES_128_CBC_SHA",), "on": {"server_port": 25}}, ("info", "opportunistic TLS between mail servers", "suites", CLIENT, 5,
         "198.51.100.7 offers 1 weak suites", {"max_version": "TLSv1.2", "weak_suites": ["TLS_DH_anon_WITH_AES_128_CBC_SHA"], "ja3": "3" * 32, "ja4": "t12d0202ip_1_2"}))],
    "PS441": [({"offer_suites": ("TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA")}, ("medium", "", "", CLIENT, 5,
               "198.51.100.7 offers neither authenticated encryption nor forward secrecy",
               {"suites": ["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"], "max_version": "TLSv1.2"}))],
    "PS442": [({"offer_extensions": (10,), "sni": None}, ("info", "", "", CLIENT, 5, "198.51.100.7 does not say which server it means at 203.0.113.5 port 993",
                                                         {"ja4": "t12d0202ip_1_2", "port": 993}))],
    "PS452": [
        ({"established": False, "alert": "client:48 unknown_ca", "alert_fatal": True, "alert_side": CLIENT, "alert_at": 99}, ("medium", "", "unknown_ca", CLIENT, 99,
         "198.51.100.7 refused TLS: unknown ca",
         {"sender": "client", "description": "unknown_ca", "stage": "server_hello", "version": "TLSv1.2", "cipher_suite": SUITE, "hidden": False})),
        ({**NO_HELLO, "established": False, "alert": "server:40 handshake_failure", "alert_fatal": True, "alert_side": SERVER, "alert_at": 0}, ("medium", "", "handshake_failure", SERVER, 0,
         "203.0.113.5 port 993 refused TLS: handshake failure",
         {"sender": "server", "description": "handshake_failure", "stage": "client_hello", "version": None, "cipher_suite": None, "hidden": False})),
        ({"established": None, "client_key_bytes": 66}, ("medium", "", "closed", SERVER, 10, "TLS with 203.0.113.5 port 993 was closed before the handshake ended",
         {"sender": None, "description": None, "stage": "key_exchange", "version": "TLSv1.2", "cipher_suite": SUITE, "hidden": False})),
        ({**MODERN, "established": None, "hidden_alert": CLIENT}, ("medium", "", "closed", SERVER, 10, "TLS with 203.0.113.5 port 993 was closed before the handshake ended",
         {"sender": "client", "description": None, "stage": "server_hello", "version": "TLSv1.3", "cipher_suite": "TLS_AES_128_GCM_SHA256", "hidden": True})),
        ({**NO_HELLO, "on": {"bytes_server": 0}}, ("medium", "", "closed", CLIENT, 5, "TLS with 203.0.113.5 port 993 was closed without an answer",
         {"sender": None, "description": None, "stage": "client_hello", "version": None, "cipher_suite": None, "hidden": False}))],
    "PS454": [({}, ("info", "", "", CLIENT, 5, "198.51.100.7 uses a TLS client with the fingerprint t12d0202ip_1_2", {"ja3": "3" * 32, "ja4": "t12d0202ip_1_2"}))],
    "PS455": [({**MODERN, "group": "X25519MLKEM768", "offer_groups": ("X25519MLKEM768", "x25519")}, ("info", "", "", SERVER, 10,
               "198.51.100.7 and 203.0.113.5 port 993 agreed on keys with X25519MLKEM768", {"group": "X25519MLKEM768", "offered": ["X25519MLKEM768", "x25519"]}))],
    "PS456": [({"offer_encrypted_client_hello": True}, ("info", "", "", CLIENT, 5, "198.51.100.7 offers an encrypted hello behind the name mail.example", {"sni": "mail.example"}))],
}
CASES = [(rule_id, fields, expected) for rule_id, cases in FIRES.items() for fields, expected in cases]

OTHERWISE = [  # rule, handshake fields, verdict, reason
    *[(rule_id, {}, "pass", "") for rule_id in ("PS401", "PS402", "PS403", "PS404", "PS405", "PS406", "PS407", "PS408", "PS409", "PS410", "PS412", "PS413", "PS414", "PS415", "PS416", "PS417",
                                                "PS418", "PS419", "PS420", "PS440", "PS441", "PS442", "PS452", "PS455", "PS456")],
    *[(rule_id, NO_HELLO, "not_observable", "no_server_hello") for rule_id in ("PS402", "PS403", "PS404", "PS405", "PS406", "PS407", "PS408", "PS409", "PS410", "PS411", "PS412", "PS413",
                                                                               "PS414", "PS415", "PS416", "PS419", "PS455")],
    *[(rule_id, {**NO_HELLO, "on": {"unseen_server": "one_sided"}}, "not_observable", "one_sided") for rule_id in ("PS402", "PS404", "PS409", "PS411", "PS415", "PS452")],
    *[(rule_id, {**NO_HELLO, "established": False}, "not_applicable", "") for rule_id in ("PS402", "PS404", "PS409", "PS412", "PS416")],
    *[(rule_id, {"offer": None}, "not_observable", "no_client_hello") for rule_id in ("PS420", "PS440", "PS441", "PS442", "PS454", "PS456")],
    *[(rule_id, {"offer": None, "on": {"unseen_client": "one_sided"}}, "not_observable", "one_sided") for rule_id in ("PS420", "PS440", "PS441", "PS442", "PS454", "PS456")],
    *[(rule_id, MODERN, "not_applicable", "") for rule_id in ("PS411", "PS413", "PS415", "PS416")],
    ("PS401", {"offer_legacy_version": "TLSv1.0", "offered_versions": ("TLSv1.0", "SSLv2")}, "pass", ""),
    ("PS403", MODERN, "pass", ""),
    ("PS404", {"offer_suites": ("TLS_RSA_WITH_NULL_SHA",)}, "pass", ""),
    ("PS406", {"dh_bits": 1024}, "pass", ""),
    ("PS408", {"cipher_suite": "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA"}, "pass", ""),
    ("PS409", {"forward_secret": False, "resumed": True}, "not_observable", "resumed_session"),
    ("PS409", {**MODERN, "forward_secret": False, "resumed": True}, "fail", ""),
    ("PS409", {"cipher_suite": "0xabcd", "forward_secret": None}, "not_observable", "unknown_suite"),
    ("PS410", {"cipher_suite": "TLS_RSA_WITH_AES_128_CBC_SHA", "encrypt_then_mac": True}, "pass", ""),
    ("PS411", {"dh_bits": 2048}, "pass", ""), ("PS411", {}, "not_applicable", ""),
    ("PS411", {"cipher_suite": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"}, "not_observable", "no_key_exchange_seen"),
    ("PS411", {"cipher_suite": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "resumed": True}, "not_observable", "resumed_session"),
    *[("PS412", {"group": name}, "pass", "") for name in ("secp256r1", "secp521r1", "x448", "brainpoolP256r1", "ffdhe2048", "X25519MLKEM768", "SecP256r1MLKEM768", "0x1234")],
    ("PS412", {"group": None}, "not_observable", "no_key_exchange_seen"), ("PS412", {"group": None, "cipher_suite": "TLS_RSA_WITH_AES_128_GCM_SHA256"}, "not_applicable", ""),
    ("PS413", {"signature": None}, "not_applicable", ""),
    ("PS415", {"secure_renegotiation": False, "offer_secure_renegotiation": False}, "not_observable", "client_did_not_ask"),
    ("PS415", {"secure_renegotiation": False, "offer": None}, "not_observable", "no_client_hello"),
    ("PS418", {**MODERN, "early_data": True, "established": None}, "pass", ""),
    ("PS419", {"downgrade_sentinel": "TLSv1.1"}, "pass", ""), ("PS419", {"downgrade_sentinel": "TLSv1.2", "version": "TLSv1.1"}, "pass", ""),
    ("PS440", {"offer_versions": ("TLSv1.3", "TLSv1.0")}, "pass", ""),
    ("PS441", {"offer_suites": ("TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA")}, "pass", ""),
    ("PS441", {"offer_suites": ("TLS_RSA_WITH_AES_128_GCM_SHA256",)}, "pass", ""), ("PS441", {"offer_suites": ()}, "pass", ""),
    ("PS442", {"offer_extensions": (), "on": {"server_port": 25}}, "not_applicable", ""), ("PS442", {"offer_extensions": (), "on": {"server_port": 443}}, "not_applicable", ""),
    ("PS452", {"established": None, "on": {"finished": False}}, "not_observable", "not_finished"), ("PS452", {"established": None, "on": {"n_gaps": 1}}, "not_observable", "gap"),
    ("PS452", {**NO_HELLO, "client_hello_at": None, "offer": None}, "not_observable", "no_client_hello"),
]


@pytest.mark.parametrize("rule_id, fields, expected", CASES)
def test_fires(court, tls, rule_id, fields, expected):
    found = court.finding(tls(**fields), rule_id)
    assert (found.severity, found.severity_reason, found.variant, found.side, found.at, found.title, found.evidence) == expected
    assert found.confidence == ("medium" if found.variant == "closed" else found.rule.confidence)


@pytest.mark.parametrize("rule_id, fields, verdict, reason", OTHERWISE)
def test_does_not_fire(court, tls, rule_id, fields, verdict, reason):
    assert court.verdict(tls(**fields), rule_id) == (verdict, reason)


def test_after_starttls_the_rules_apply_too(court, tls, session):
    judged = court.try_session(tls(protocol="smtp", version="TLSv1.0", on={"server_port": 587, "tls_started": True}))
    assert [finding.severity for finding in judged.findings if finding.rule.id == "PS403"] == ["high"]
    for protocol in ("smtp", "imap", "ldap"):
        assert court.verdict(session(protocol), "PS403") == ("not_applicable", "")


def test_without_tls_no_rule_of_the_family_is_asked(court, session, rules):
    judged = court.try_session(session("imap"))
    verdicts = {assessment[1] for assessment in judged.assessments if rules[assessment[0]].category == "tls"}
    assert verdicts == {"not_applicable"}
    assert all(rule.protocols == TLS for rule in rules.values() if rule.category == "tls")


@pytest.mark.parametrize("rule_id, fields", [("PS416", {"extended_master_secret": False}), ("PS417", {"heartbeat": True}), ("PS442", {"offer_extensions": ()}),
                                             ("PS440", {"offer_versions": ("TLSv1.0",)}), ("PS441", {"offer_suites": ("TLS_RSA_WITH_AES_128_CBC_SHA",)}),
                                             ("PS455", {**MODERN, "group": "X25519MLKEM768"}), ("PS456", {"offer_encrypted_client_hello": True})])
def test_told_once(court, tls, rule_id, fields):
    assert len(court.findings(tls(**fields), rule_id)) == 1
    assert court.verdict(tls(**fields), rule_id) == ("pass", "")
    other = {"server_ip": "203.0.113.99", "client_ip": "198.51.100.99"}
    assert len(court.findings(tls(**fields, on=other), rule_id)) == (rule_id != "PS454")  # a program is told once, whoever runs it


def test_a_fingerprint_is_told_once_whoever_has_it(court, tls):
    assert len(court.findings(tls(), "PS454")) == 1
    assert court.verdict(tls(on={"server_ip": "203.0.113.99", "client_ip": "198.51.100.99"}), "PS454") == ("pass", "")


@pytest.mark.parametrize("name, weakness, bits, is_cbc, is_aead, is_ephemeral", [
    ("TLS_AES_128_GCM_SHA256", None, 128, False, True, True), ("TLS_CHACHA20_POLY1305_SHA256", None, 256, False, True, True), ("TLS_RSA_WITH_AES_128_CBC_SHA256", None, 128, True, False, False),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", None, 256, True, False, False), ("TLS_RSA_EXPORT1024_WITH_RC4_56_SHA", "export", 56, False, False, False), ("TLS_RSA_WITH_RC4_128_MD5", "rc4", 128, False, False, False),
    ("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", "export", 40, True, False, False), ("TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", "3des", 112, True, False, True),
    ("TLS_RSA_WITH_IDEA_CBC_SHA", "idea", 128, True, False, False), ("TLS_DH_anon_WITH_AES_128_GCM_SHA256", "anonymous", 128, False, True, True), ("TLS_RSA_WITH_NULL_MD5", "null", 0, False, False, False),
    ("SSL_CK_RC2_128_CBC_WITH_MD5", "rc2", 128, False, False, False), ("SSL_CK_DES_192_EDE3_CBC_WITH_MD5", "3des", 112, False, False, False), ("TLS_FALLBACK_SCSV", None, None, False, False, False),
    ("0xabcd", None, None, False, False, False), ("TLS_KRB5_WITH_DES_CBC_MD5", "des", 56, True, False, False)])
def test_what_a_suite_is_made_of(name, weakness, bits, is_cbc, is_aead, is_ephemeral):
    assert suite(name) == (name, weakness, bits, is_cbc, is_aead, is_ephemeral)


@pytest.mark.parametrize("fields, expected", [
    ({}, False), (MODERN, False), ({"version": "TLSv1.1"}, True), ({"cipher_suite": "TLS_RSA_WITH_RC4_128_SHA"}, True), ({"cipher_suite": "TLS_RSA_WITH_3DES_EDE_CBC_SHA"}, False),
    ({"dh_bits": 1024}, True), ({"dh_bits": 2048}, False), (NO_HELLO, False), ({"cipher_suite": "TLS_ECDH_anon_WITH_AES_256_CBC_SHA"}, True)])
def test_what_bcp_195_forbids(fields, expected):
    assert is_weak(handshake(**fields)) is expected


def test_times_in_evidence():
    assert [when(ns) for ns in (0, 1_700_000_000 * 10**9, 253402300799 * 10**9, -(10**18), 10**30)] == [
        "1970-01-01T00:00:00Z", "2023-11-14T22:13:20Z", "9999-12-31T23:59:59Z", "1938-04-24T22:13:20Z", "?"]


@pytest.mark.parametrize("fields, judged", [
    ({"server_port": 443, "service": "https", "sni": "cdn7.shop.example"}, False), ({"server_port": 443, "service": "https", "sni": None}, False),
    ({"server_port": 4433, "service": None, "sni": "build.example"}, False), ({"server_port": 443, "service": "https", "sni": "mail.example"}, True),
    ({"server_port": 443, "service": "owa", "sni": "owa.example"}, True), ({"server_port": 993, "service": "imaps", "sni": "anything.example"}, True),
    ({"server_port": 443, "service": "https", "sni": None, "names": ("www.example", "mail.example")}, True),
    ({"server_port": 443, "service": "https", "sni": "portal.contoso.com"}, False),
])
def test_tls_of_others_is_not_judged(court, session, fields, judged):
    """HTTPS to a host whose name tells nothing of mail is shown in the tables; rules about TLS leave it alone."""
    names = fields.pop("names", ())
    made = session("tls", tls_mode="implicit", tls=TlsHandshake(version="TLSv1.0", cipher_suite="TLS_RSA_WITH_RC4_128_MD5", sni=fields.pop("sni"), certificates=(Certificate(sha256="00", dns_names=names),)), **fields)
    court.try_session(made)
    assert {finding.rule.id for finding in made.findings if finding.rule.category == "tls"} >= {"PS403", "PS407"} if judged else not made.findings
    assert {rule_id for rule_id, verdict, _reason in made.assessments if rule_id[:3] == "PS4" and verdict != "not_applicable"} == set() or judged


def test_tls_of_ones_own_domain_is_judged(make_court, session):
    made = session("tls", tls_mode="implicit", server_port=443, service="https", tls=TlsHandshake(version="TLSv1.0", sni="portal.contoso.com"))
    make_court(local_domains=("contoso.com",)).try_session(made)
    assert "PS403" in {finding.rule.id for finding in made.findings}
