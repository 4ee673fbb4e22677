"""PS504, PS505, PS506, PS508 and PS509: what NTLM makes of RPC's promises."""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, HttpRequest
from pcapsec.rules.exchange import MAX_FINDINGS
from rpc_sessions import ANONYMOUS, BITS_56, BITS_128, ESS, KEY_EXCH, SEAL, SIGN, STRONG, UUIDS, association, context, facts_of, kerberos, ntlm, security

STRONG_NAMES = ["SIGN", "SEAL", "EXTENDED_SESSIONSECURITY", "128", "KEY_EXCH"]


def at_6(login, kind="emsmdb", **fields):
    return context(kind, {6: 8}, security(login, 6, **fields))


# --- PS504

def test_128_bit_encryption(rpc, shown):
    judged = rpc(at_6(ntlm()))
    assert shown(judged, "PS504") == {
        "severity": "medium", "severity_reason": "", "confidence": "high", "variant": "mail",
        "title": "RPC of alice to 203.0.113.5 port 6001 (EMSMDB) is sealed by NTLM's RC4",
        "side": 0, "at": 100, "principal": "alice", "mechanism": "NTLM", "auth_result": "success",
        "evidence": {"interfaces": ["EMSMDB"], "auth_level": 6, "auth_type": 10, "spnego": False, "ntlm_flags": f"0x{STRONG:08x}", "ntlm_flag_names": STRONG_NAMES,
                     "ntlm_version": "NTLMv2", "key_bits": 128, "spec_key_bits": 128},
    }
    assert judged.verdict == "weak"


def test_chosen_by_spnego(rpc, court):
    finding = court.finding(rpc(at_6(ntlm(), auth_type=9)), "PS504")
    assert (finding.evidence["auth_type"], finding.evidence["spnego"]) == (9, True)


@pytest.mark.parametrize("kind", ["svcctl", None])
def test_sealed_windows_services_are_info(rpc, court, kind):
    finding = court.finding(rpc(at_6(ntlm(), kind)), "PS504")
    assert (finding.severity, finding.severity_reason, finding.variant) == ("info", "not an interface of Exchange", "other")


def test_both_56_and_128_is_128(rpc, court):
    assert court.finding(rpc(at_6(ntlm(STRONG | BITS_56))), "PS504").evidence["key_bits"] == 128
    assert court.verdict(rpc(at_6(ntlm(STRONG | BITS_56))), "PS505") == ("pass", "")


@pytest.mark.parametrize("flags", [STRONG & ~SEAL, STRONG & ~BITS_128, STRONG & ~ESS])
def test_not_128_bit_encryption(rpc, court, flags):
    assert court.verdict(rpc(at_6(ntlm(flags))), "PS504") == ("pass", "")


def test_kerberos_is_not_ntlm(rpc, court):
    assert court.verdict(rpc(at_6(kerberos(), auth_type=9)), "PS504") == ("pass", "")


def test_anonymous_seals_nothing(rpc, court):
    assert court.verdict(rpc(at_6(ntlm(STRONG | ANONYMOUS, version="anonymous"))), "PS504") == ("pass", "")


@pytest.mark.parametrize("level", [2, 5])
def test_not_at_privacy(rpc, court, level):
    assert court.verdict(rpc(context("emsmdb", {level: 4}, security(ntlm(), level))), "PS504") == ("pass", "")


def test_announced_and_never_used(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {}, security(ntlm(), 6))), "PS504") == ("not_applicable", "")


def test_two_securities_on_one_context_are_told_apart(rpc, court):
    """NTLM at CONNECT, then Kerberos at privacy: nothing was sealed by NTLM."""
    first, second = security(ntlm(), 2, auth_context_id=1), security(kerberos(), 6, auth_context_id=2)
    assert court.verdict(rpc(context("emsmdb", {2: 1, 6: 9}, first, second)), "PS504") == ("pass", "")


def test_announced_at_2_and_sealed_all_the_same(rpc, court):
    assert court.finding(rpc(context("emsmdb", {6: 3}, security(ntlm(), 2))), "PS504").severity == "medium"


def test_two_securities_whose_announcement_was_not_seen(rpc, court):
    judged = rpc(context("emsmdb", {6: 3}, security(ntlm(), auth_context_id=1), security(kerberos(), 6, auth_context_id=2)))
    assert court.finding(judged, "PS504").evidence["auth_level"] == 6


def test_few_findings_of_many_logins(rpc, court):
    judged = rpc(*(context("emsmdb", {6: 1}, security(ntlm(STRONG & ~KEY_EXCH, at=n, secret_at=n), 6, at=n), context_id=n) for n in range(MAX_FINDINGS + 5)))
    assert len(court.findings(judged, "PS504")) == MAX_FINDINGS
    assert sum(finding.rule.id == "PS506" for finding in judged.findings) == MAX_FINDINGS


def test_two_contexts_under_one_login_are_one_finding(rpc, court):
    one = security(ntlm(), 6)
    finding = court.finding(rpc(context("emsmdb", {6: 3}, one), context("rfr", {6: 1}, one, context_id=1)), "PS504")
    assert finding.evidence["interfaces"] == ["EMSMDB", "RFR"]


def test_only_the_first_message_offers_and_agrees_on_nothing(rpc, court):
    """Flags of type 1 stand in the details, too; only type 3 has a response."""
    offer = ntlm(details={"type1_only": True, "nt_length": None, "ntlm_version": None, "seal": None, "key_bits": None}, secret=None, exposure="none")
    judged = rpc(at_6(offer))
    for rule_id in ("PS504", "PS506"):
        assert court.verdict(judged, rule_id) == ("not_observable", "midstream")
    assert court.verdict(judged, "PS505") == ("pass", "")


@pytest.mark.parametrize("mechanism", ["NTLM", None])
def test_the_login_is_not_in_the_capture(rpc, court, mechanism):
    judged = rpc(context("emsmdb", {6: 3}, security(None, mechanism=mechanism, auth_type=9, established=None)), unseen_client="midstream")
    assert court.verdict(judged, "PS504") == ("not_observable", "midstream")
    assert court.verdict(rpc(context("emsmdb", {6: 3}), unseen_client="midstream"), "PS504") == ("not_observable", "midstream")
    assert court.verdict(rpc(context("emsmdb", {6: 3})), "PS504") == ("not_observable", "midstream")


def test_a_refused_login_seals_nothing(rpc, court):
    assert court.verdict(rpc(at_6(ntlm(), established=False)), "PS504") == ("pass", "")


def test_not_seen_to_go_on(rpc, court):
    judged = rpc(at_6(ntlm(STRONG & ~KEY_EXCH), established=None))
    assert [court.finding(judged, "PS504").confidence] + [finding.confidence for finding in judged.findings if finding.rule.id == "PS506"] == ["medium", "medium"]


def test_sealing_lost(rpc, court):
    assert court.verdict(rpc(at_6(kerberos()), unseen_client="gap"), "PS504") == ("not_observable", "gap")
    assert court.finding(rpc(at_6(ntlm()), unseen_client="gap", unseen_server="gap"), "PS504").severity == "medium"


# --- PS505

@pytest.mark.parametrize("flags, bits", [(SIGN | SEAL | ESS | KEY_EXCH | BITS_56, 56), (SIGN | SEAL | ESS | KEY_EXCH, 40)])
def test_weak_key(rpc, shown, flags, bits):
    judged = rpc(at_6(ntlm(flags)))
    found = shown(judged, "PS505")
    names = found["evidence"].pop("ntlm_flag_names")
    assert names[:2] == ["SIGN", "SEAL"] and "128" not in names
    assert found == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": str(bits),
        "title": f"NTLM of alice to 203.0.113.5 port 6001 seals with a key of {bits} bits", "side": 0, "at": 300, "principal": "alice", "mechanism": "NTLM",
        "auth_result": "success",
        "evidence": {"auth_result": "success", "secret_length": "12+", "challenge_seen": True, "ntlm_flags": f"0x{flags:08x}", "ntlm_version": "NTLMv2", "key_bits": bits,
                     "spec_key_bits": bits, "domain": "CORP", "auth_level": 6, "interfaces": ["EMSMDB"]},
    }


def test_without_extended_session_security_the_specification_says_two_things(rpc, court):
    finding = court.finding(rpc(at_6(ntlm(SIGN | SEAL | KEY_EXCH | BITS_128 | BITS_56))), "PS505")
    assert (finding.evidence["key_bits"], finding.evidence["spec_key_bits"], finding.confidence) == (56, 128, "medium")


@pytest.mark.parametrize("protocol", ["ldap", "smb"])
def test_weak_key_elsewhere(session, court, protocol):
    finding = court.finding(session(protocol, logins=[ntlm(SEAL | ESS, protocol=protocol)]), "PS505")
    assert (finding.severity, finding.variant) == ("high", "40")
    assert "auth_level" not in finding.evidence


def test_a_web_login_seals_nothing(session, court):
    assert court.verdict(session("http", logins=[ntlm(SEAL | ESS, protocol="http")]), "PS505") == ("pass", "")


def test_weak_key_inside_rpc_over_http(session, court):
    one = security(ntlm(SEAL | SIGN | ESS), 6)
    judged = session("http", http=HttpFacts(), **facts_of(association(context("emsmdb", {6: 3}, one, transport="http"))))
    assert court.finding(judged, "PS505").severity == "high"


def test_a_weak_key_that_seals_nothing(rpc, court):
    finding = court.finding(rpc(context("emsmdb", {2: 3}, security(ntlm(SEAL | ESS), 2))), "PS505")
    assert (finding.severity, finding.severity_reason, finding.evidence["auth_level"]) == ("info", "nothing sealed with it", 2)


@pytest.mark.parametrize("login", [ntlm(), ntlm(ESS | SIGN), ntlm(SEAL | ESS, version="anonymous"), kerberos()])
def test_weak_key_near_misses(rpc, court, login):
    assert court.verdict(rpc(at_6(login)), "PS505") == ("pass", "")


def test_weak_key_outcomes(rpc, court):
    finding = court.finding(rpc(at_6(ntlm(SEAL | ESS, result="unknown"))), "PS505")
    assert (finding.severity, finding.confidence) == ("high", "medium")
    assert court.verdict(rpc(unseen_client="gap"), "PS505") == ("not_observable", "gap")


# --- PS506

@pytest.mark.parametrize("level, flags, details, missing, variant", [
    (6, STRONG & ~SEAL, {}, ["SEAL"], "no-seal"),
    (6, STRONG & ~(SEAL | SIGN), {}, ["SEAL", "SIGN"], "no-seal"),
    (5, STRONG & ~SIGN, {}, ["SIGN"], "no-sign"),
    (6, STRONG & ~KEY_EXCH, {}, ["KEY_EXCH"], "no-key-exchange"),
    (4, STRONG & ~(KEY_EXCH | SEAL), {}, ["KEY_EXCH"], "no-key-exchange"),
    (3, STRONG & ~KEY_EXCH, {}, ["KEY_EXCH"], "no-key-exchange"),
    (6, STRONG & ~ESS, {}, ["EXTENDED_SESSIONSECURITY"], "no-ess"),
    (6, STRONG, {"mic": False, "av_flags": 2}, ["MIC"], "no-mic"),
    (2, STRONG & ~(SEAL | SIGN | KEY_EXCH | ESS), {"mic": False, "av_flags": 2}, ["MIC"], "no-mic"),
])
def test_less_than_promised(rpc, court, level, flags, details, missing, variant):
    finding = court.finding(rpc(context("emsmdb", {level: 4}, security(ntlm(flags, details=details), level))), "PS506")
    assert (finding.severity, finding.variant, finding.evidence["missing"], finding.evidence["auth_level"]) == ("medium", variant, missing, level)


def test_less_than_promised_in_full(rpc, shown):
    found = shown(rpc(at_6(ntlm(SIGN | ESS | BITS_128, details={"av_flags": 0}))), "PS506")
    assert found == {
        "severity": "medium", "severity_reason": "", "confidence": "high", "variant": "no-seal",
        "title": "NTLM of alice to 203.0.113.5 port 6001 agreed on no SEAL, KEY_EXCH", "side": 0, "at": 300, "principal": "alice", "mechanism": "NTLM", "auth_result": "success",
        "evidence": {"missing": ["SEAL", "KEY_EXCH"], "interfaces": ["EMSMDB"], "ntlm_flags": "0x20080010", "ntlm_flag_names": ["SIGN", "EXTENDED_SESSIONSECURITY", "128"],
                     "ntlm_version": "NTLMv2", "auth_level": 6, "auth_level_name": "privacy", "av_flags": "0x0"},
    }


@pytest.mark.parametrize("level, flags, details", [
    (6, STRONG, {}), (5, STRONG & ~SEAL, {}), (4, STRONG & ~(SEAL | SIGN), {}), (2, 0, {}), (6, STRONG, {"mic": True, "av_flags": 2}), (6, STRONG, {"mic": False, "av_flags": 0}),
    (6, STRONG, {"mic": None, "av_flags": 2}),
])
def test_as_promised(rpc, court, level, flags, details):
    assert court.verdict(rpc(context("emsmdb", {level: 4}, security(ntlm(flags, details=details), level))), "PS506") == ("pass", "")


def test_less_than_promised_elsewhere(rpc, court):
    finding = court.finding(rpc(at_6(ntlm(STRONG & ~SEAL), "svcctl")), "PS506")
    assert (finding.severity, finding.severity_reason) == ("info", "not an interface of Exchange")


def test_anonymous_is_judged_as_such(rpc, court):
    assert court.verdict(rpc(at_6(ntlm(0, version="anonymous"))), "PS506") == ("not_applicable", "")


def test_a_login_begun_and_given_up(rpc, court):
    begun = ntlm(details={"seal": None, "nt_length": None})
    assert court.verdict(rpc(context("emsmdb", {}, security(begun, 6, established=None))), "PS506") == ("not_applicable", "")


def test_less_than_promised_lost(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {6: 3}, security(None, mechanism="NTLM")), unseen_client="midstream"), "PS506") == ("not_observable", "midstream")
    assert court.verdict(rpc(context("emsmdb", {6: 3}), unseen_client="gap"), "PS506") == ("not_observable", "gap")
    assert court.verdict(rpc(at_6(kerberos())), "PS506") == ("not_applicable", "")


# --- PS508

def test_anonymous(rpc, shown):
    judged = rpc(at_6(ntlm(ANONYMOUS | ESS, version="anonymous")))
    assert shown(judged, "PS508") == {
        "severity": "low", "severity_reason": "", "confidence": "high", "variant": "rpc", "title": "Anonymous NTLM session on RPC to 203.0.113.5 port 6001",
        "side": 0, "at": 100, "principal": None, "mechanism": "NTLM", "auth_result": "success",
        "evidence": {"auth_result": "success", "challenge_seen": True, "ntlm_flags": "0x00080800", "ntlm_flag_names": ["ANONYMOUS", "EXTENDED_SESSIONSECURITY"],
                     "ntlm_version": "anonymous", "interfaces": ["EMSMDB"], "auth_level": 6, "auth_level_name": "privacy"},
    }
    assert {finding.rule.id for finding in judged.findings} & {"PS106", "PS107", "PS504", "PS505", "PS506"} == set()
    assert judged.verdict == "weak"


def test_anonymous_without_its_flag(rpc, court):
    assert court.finding(rpc(at_6(ntlm(ESS, version="anonymous"))), "PS508").confidence == "medium"


def test_anonymous_smb(session, court):
    judged = session("smb", logins=[ntlm(ANONYMOUS, protocol="smb", version="anonymous")])
    finding = court.finding(judged, "PS508")
    assert (finding.variant, "interfaces" in finding.evidence) == ("smb", False)
    assert (finding.severity, finding.severity_reason) == ("info", "not an interface of Exchange")
    assert [finding.rule.id for finding in judged.findings] == ["PS508"]
    mail = association(context("nspi", {1: 2}, transport="smb"))
    judged = session("smb", **facts_of(mail, logins=[ntlm(ANONYMOUS, protocol="smb", version="anonymous")]))
    assert court.finding(judged, "PS508").severity == "low"


def test_anonymous_elsewhere(rpc, court):
    finding = court.finding(rpc(at_6(ntlm(ANONYMOUS, version="anonymous"), "svcctl")), "PS508")
    assert (finding.severity, finding.severity_reason) == ("info", "not an interface of Exchange")


@pytest.mark.parametrize("login", [
    ntlm(ANONYMOUS, principal="EXCH01$"), ntlm(), ntlm(0, version="anonymous", principal="HOST$"), ntlm(0, details={"ntlm_version": None, "nt_length": 0}, principal=None),
])
def test_machine_accounts_and_others_are_not_anonymous(rpc, court, login):
    assert court.verdict(rpc(at_6(login)), "PS508") == ("pass", "")


def test_anonymous_on_the_web_is_ps118(session, court):
    judged = session("http", logins=[ntlm(ANONYMOUS, protocol="http", version="anonymous")])
    assert court.verdict(judged, "PS508") == ("pass", "")
    assert [finding.rule.id for finding in judged.findings if finding.rule.id < "PS119"] == ["PS118"]


def test_anonymous_lost(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {1: 2}), unseen_client="gap"), "PS508") == ("not_observable", "gap")


# --- PS509

def offered(first="KERBEROS", **fields):
    details = {"spnego_offered": [first, "NTLM"], "spnego_selected": "NTLM", "spn": "exchangeMDB/mail.corp.example", **fields.pop("details", {})}
    return ntlm(details=details, **fields)


def test_ntlm_instead_of_kerberos(rpc, shown):
    found = shown(rpc(at_6(offered(), auth_type=9), client_ip="10.1.2.3"), "PS509")
    assert found == {
        "severity": "info", "severity_reason": "", "confidence": "high", "variant": "dcerpc",
        "title": "alice offered Kerberos first and used NTLM to 203.0.113.5 port 6001", "side": 0, "at": 300, "principal": "alice", "mechanism": "NTLM", "auth_result": "success",
        "evidence": {"auth_result": "success", "secret_length": "12+", "challenge_seen": True, "spnego_offered": ["KERBEROS", "NTLM"], "domain": "CORP",
                     "spnego_selected": "NTLM", "spn": "exchangeMDB/mail.corp.example"},
    }


@pytest.mark.parametrize("host", ["mail.eu.corp.example", "1.2.3", "exch01", "10.corp"])
def test_names_are_no_addresses(rpc, court, host):
    assert court.finding(rpc(at_6(offered(details={"spn": f"exchangeMDB/{host}"})), client_ip="10.1.2.3"), "PS509").evidence["spn"] == f"exchangeMDB/{host}"


@pytest.mark.parametrize("login", [offered("MS-KERBEROS"), offered(details={"kerberos_error": 7, "refused_spn": "exchangeMDB/mail"})])
def test_also_by_the_other_name_and_with_an_error(rpc, court, login):
    finding = court.finding(rpc(at_6(login), client_ip="10.1.2.3"), "PS509")
    assert finding.evidence.get("kerberos_error") == login.details.get("kerberos_error")


@pytest.mark.parametrize("login, client", [
    (offered("NTLM"), "10.1.2.3"), (ntlm(), "10.1.2.3"), (ntlm(details={"spnego_offered": []}), "10.1.2.3"), (offered(), "198.51.100.7"),
    (offered(version="anonymous"), "10.1.2.3"), (kerberos(details={"spnego_offered": ["KERBEROS", "NTLM"]}), "10.1.2.3"),
    *((offered(details={"spn": f"exchangeMDB/{host}"}), "10.1.2.3") for host in ("192.0.2.9", "192.0.2.9:6001", "[2001:db8::1]", "2001:db8::1", "192.0.2.9@CORP")),
    (offered(details={"spn": None, "refused_spn": "host/192.0.2.9"}), "10.1.2.3"),
])
def test_ntlm_is_expected(rpc, court, login, client):
    assert court.verdict(rpc(at_6(login), client_ip=client), "PS509") == ("pass", "")


@pytest.mark.parametrize("host, expected", [("mail.corp.example", "fail"), ("192.0.2.9", "pass"), (None, "fail")])
def test_ntlm_on_the_web_is_expected_for_an_address(session, court, host, expected):
    login = offered(protocol="http", details={"spn": None})
    judged = session("http", client_ip="10.1.2.3", logins=[login], http=HttpFacts(requests=[HttpRequest(at=300, method="GET", host=host, login=login, auth_scheme="NEGOTIATE")]))
    assert court.verdict(judged, "PS509")[0] == expected


def test_ldap_is_not_asked(session, court):
    assert court.verdict(session("ldap", client_ip="10.1.2.3", logins=[offered(protocol="ldap")]), "PS509") == ("not_applicable", "")


def test_ntlm_instead_of_kerberos_lost(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {6: 2}), unseen_client="gap"), "PS509") == ("not_observable", "gap")


def test_interfaces_are_those_of_exchange():
    assert {kind: UUIDS[kind][:8] for kind in ("emsmdb", "asyncemsmdb", "nspi", "rfr")} == {
        "emsmdb": "a4f1db00", "asyncemsmdb": "5261574a", "nspi": "f5cc5a18", "rfr": "1544f5e0"}


def test_many_logins_on_many_contexts_take_no_time(rpc, court):
    """A hundred securities, each in force on each of a thousand contexts, is what one hostile connection may hold."""
    import time

    securities = [security(ntlm(SEAL | ESS, at=n, secret_at=n), 6, at=n, auth_context_id=n) for n in range(100)]
    judged = rpc(*(context("svcctl", {6: 1}, *securities, context_id=n) for n in range(1000)))
    began = time.process_time()
    court.try_session(judged)
    assert time.process_time() - began < 2
    assert sum(finding.rule.id == "PS505" for finding in judged.findings) == 100
