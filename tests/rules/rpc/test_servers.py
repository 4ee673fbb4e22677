"""PS510, PS511, PS514, PS515, PS517 and PS518: what servers and clients of Exchange say."""
from __future__ import annotations

import pytest

from pcapsec.records import RpcEndpoint, SmbFacts
from pcapsec.rules.exchange import MAX_FINDINGS
from rpc_sessions import UUIDS, association, context, facts_of, kerberos, mapi, ntlm, security


# --- PS510

def test_header_not_signed(rpc, shown):
    judged = rpc(context("emsmdb", {6: 5}, security(kerberos(), 6)), association={"header_signing": False})
    assert shown(judged, "PS510") == {
        "severity": "low", "severity_reason": "", "confidence": "high", "variant": "mail", "title": "RPC headers to 203.0.113.5 port 6001 are not signed",
        "side": 0, "at": 70, "principal": None, "mechanism": "KERBEROS", "auth_result": None,
        "evidence": {"interface": "EMSMDB", "interface_source": "bind", "transport": "tcp", "auth_level": 6, "auth_level_name": "privacy", "auth_type": "KERBEROS",
                     "levels": {"privacy": 5}, "header_signing": False},
    }


def test_header_not_signed_elsewhere(rpc, court):
    finding = court.finding(rpc(context("svcctl", {5: 5}, security(ntlm(), 5)), association={"header_signing": False}), "PS510")
    assert (finding.severity, finding.severity_reason, finding.variant) == ("info", "not an interface of Exchange", "other")


def test_exchange_is_named_before_others(rpc, court):
    one = security(kerberos(), 6)
    judged = rpc(context("svcctl", {6: 5}, one), context("nspi", {1: 1, 6: 5}, one, context_id=1), association={"header_signing": False})
    finding = court.finding(judged, "PS510")
    assert (finding.evidence["interface"], finding.evidence["levels"]) == ("NSPI", {"none": 1, "privacy": 5})


@pytest.mark.parametrize("level, signing, unseen, expected", [
    (6, True, None, ("pass", "")), (6, None, None, ("not_observable", "midstream")), (6, None, "gap", ("not_observable", "gap")), (5, True, "gap", ("pass", "")),
    (4, False, None, ("not_applicable", "")), (2, False, None, ("not_applicable", "")), (1, False, "gap", ("not_observable", "gap")),
])
def test_header_signing_near_misses(rpc, court, level, signing, unseen, expected):
    judged = rpc(context("emsmdb", {level: 5}, security(kerberos(), level)), association={"header_signing": signing}, unseen_client=unseen)
    assert court.verdict(judged, "PS510") == expected


def test_header_signing_needs_the_answer(rpc, court):
    judged = rpc(context("emsmdb", {6: 5}, security(kerberos(), 6)), association={"header_signing": None}, unseen_server="one_sided")
    assert court.verdict(judged, "PS510") == ("not_observable", "one_sided")


def test_a_bind_that_was_not_seen_is_not_pointed_at(rpc, session, court):
    one = context("emsmdb", {6: 5}, security(kerberos(), 6), side=1, at=33)
    finding = court.finding(rpc(one, association={"header_signing": False, "bind_at": None}), "PS510")
    assert (finding.side, finding.at) == (1, 33)
    judged = session("smb", smb=SmbFacts(), **facts_of(association(context("nspi", {1: 2}, side=1, at=33, transport="smb"), bind_at=None)))
    finding = court.finding(judged, "PS515")
    assert (finding.side, finding.at) == (1, 33)


def test_one_finding_an_association(session, court):
    rows = [association(context("emsmdb", {6: 5}, security(kerberos(), 6)), header_signing=False, bind_at=n) for n in range(MAX_FINDINGS + 5)]
    assert len(court.findings(session("smb", smb=SmbFacts(), **facts_of(*rows)), "PS510")) == MAX_FINDINGS


# --- PS511

def test_server_requires_encryption(rpc, shown):
    read = mapi(not_encrypted_refused=1, not_encrypted_at=220, user_dn="/o=CORP/cn=Recipients/cn=alice", client_version="11.0.5608")
    judged = rpc(context("emsmdb", {2: 1}, security(ntlm(), 2), mapi=read))
    assert shown(judged, "PS511") == {
        "severity": "info", "severity_reason": "", "confidence": "high", "variant": "",
        "title": "203.0.113.5 port 6001 refused an unencrypted mailbox connection of alice", "side": 1, "at": 220, "principal": "alice", "mechanism": "NTLM",
        "auth_result": "success",
        "evidence": {"interface": "EMSMDB", "interface_source": "bind", "transport": "tcp", "auth_level": 2, "auth_level_name": "connect", "auth_type": "NTLM", "refused": 1,
                     "user_dn": "/o=CORP/cn=Recipients/cn=alice", "client_version": "11.0.5608"},
    }


def test_retried_with_encryption_on_the_same_connection(rpc, court):
    judged = rpc(context("emsmdb", {2: 1, 6: 20}, security(kerberos(), 2, 6), mapi=mapi(not_encrypted_refused=1, not_encrypted_at=220)))
    finding = court.finding(judged, "PS511")
    assert (finding.variant, finding.evidence["next_level"]) == ("retried", 6)


@pytest.mark.parametrize("kind, level, unseen, expected", [
    ("emsmdb", 2, None, ("pass", "")), ("emsmdb", 2, "gap", ("not_observable", "gap")), ("emsmdb", 6, "gap", ("pass", "")), ("nspi", 2, None, ("not_applicable", "")),
    ("epm", 1, None, ("not_applicable", "")), (None, 1, None, ("not_observable", "midstream")),
])
def test_server_requires_encryption_near_misses(rpc, court, kind, level, unseen, expected):
    assert court.verdict(rpc(context(kind, {level: 2}, mapi=mapi()), unseen_server=unseen), "PS511") == expected


def test_the_clients_side_is_not_needed(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {2: 2}, mapi=mapi()), unseen_client="gap"), "PS511") == ("pass", "")


# --- PS514

def endpoint(kind="emsmdb", **fields):
    return RpcEndpoint(**{"at": 300, "interface_uuid": UUIDS[kind], "interface": None if kind == "rfr" else kind.upper(), "interface_version": "0.81", "protocol": "ncacn_ip_tcp",
                          "port": 1025, **fields})


def test_endpoints_of_exchange(rpc, shown):
    answers = [endpoint(), endpoint(), endpoint("rfr", protocol="ncacn_http", port=6002, address="192.0.2.1"), endpoint("nspi", protocol="ncacn_np", port=None, pipe="\\pipe\\x"),
               endpoint("svcctl")]
    judged = rpc(context("epm", {1: 3}), association={"endpoints": answers}, server_port=135)
    assert shown(judged, "PS514") == {
        "severity": "info", "severity_reason": "", "confidence": "high", "variant": "", "title": "Endpoint mapper of 203.0.113.5 names the endpoints of EMSMDB, RFR, NSPI",
        "side": 1, "at": 300, "principal": None, "mechanism": None, "auth_result": None,
        "evidence": {"endpoints": [
            {"interface": "EMSMDB", "version": "0.81", "protocol": "ncacn_ip_tcp", "port": 1025},
            {"interface": "RFR", "version": "0.81", "protocol": "ncacn_http", "port": 6002, "address": "192.0.2.1"},
            {"interface": "NSPI", "version": "0.81", "protocol": "ncacn_np", "pipe": "\\pipe\\x"}], "n_endpoints": 3},
    }


def test_a_dump_of_all_endpoints_is_cut(rpc, court):
    finding = court.finding(rpc(context("epm", {1: 1}), association={"endpoints": [endpoint(port=n) for n in range(500)]}), "PS514")
    assert (len(finding.evidence["endpoints"]), finding.evidence["n_endpoints"]) == (20, 500)


def test_endpoints_near_misses(rpc, session, court):
    assert court.verdict(rpc(context("epm", {1: 3}), association={"endpoints": [endpoint("svcctl")]}), "PS514") == ("pass", "")
    assert court.verdict(rpc(context("svcctl", {1: 3})), "PS514") == ("not_applicable", "")
    assert court.verdict(rpc(context("epm", {1: 3}), unseen_server="gap"), "PS514") == ("not_observable", "gap")
    assert court.verdict(rpc(context("epm", {1: 3}), unseen_client="gap"), "PS514") == ("pass", "")
    assert court.verdict(session("dcerpc", server_port=135, unseen_server="one_sided"), "PS514") == ("not_observable", "one_sided")
    assert court.verdict(session("dcerpc", server_port=135), "PS514") == ("not_applicable", "")
    assert court.verdict(session("dcerpc", server_port=6001, unseen_server="one_sided"), "PS514") == ("not_applicable", "")


# --- PS515

def test_through_a_pipe(session, shown):
    row = association(context("nspi", {6: 2}, security(kerberos(), 6), transport="smb"), context("rfr", {6: 2}, transport="smb", context_id=1), pipe="\\PIPE\\nspi")
    judged = session("smb", server_port=445, smb=SmbFacts(dialect="3.0", signed=True, signing_required=False), **facts_of(row))
    assert shown(judged, "PS515") == {
        "severity": "info", "severity_reason": "", "confidence": "medium", "variant": "", "title": "NSPI, RFR of 203.0.113.5 reached by SMB through the pipe \\PIPE\\nspi",
        "side": 0, "at": 70, "principal": None, "mechanism": "KERBEROS", "auth_result": None,
        "evidence": {"interfaces": ["NSPI", "RFR"], "encrypted": False, "pipe": "\\PIPE\\nspi", "dialect": "3.0", "signed": True, "signing_required": False},
    }


def test_one_finding_a_pipe(session, court):
    rows = [association(context("nspi", {1: 2}, transport="smb"), bind_at=n) for n in range(40)]
    assert len(court.findings(session("smb", smb=SmbFacts(), **facts_of(*rows)), "PS515")) == MAX_FINDINGS


def test_pipes_near_misses(session, rpc, court):
    other = session("smb", smb=SmbFacts(pipes=("\\PIPE\\lsarpc",)), **facts_of(association(context("svcctl", {1: 2}, transport="smb"))))
    assert court.verdict(other, "PS515") == ("not_applicable", "")
    assert court.verdict(rpc(context("nspi", {1: 2})), "PS515") == ("not_applicable", "")
    lost = session("smb", smb=SmbFacts(), unseen_client="gap", **facts_of(association(context(None, {1: 2}, transport="smb", accepted=None))))
    assert court.verdict(lost, "PS515") == ("not_observable", "gap")


# --- PS517

@pytest.mark.parametrize("version, variant, what", [
    ("11.0.5608", "2003", "version 11.0.5608 (Outlook 2003)"), ("12.0.4518.1014", "2007", "version 12.0.4518.1014 (Outlook 2007)"), ("10.0.2627", "older", "version 10.0.2627"),
])
def test_old_clients(rpc, court, version, variant, what):
    finding = court.finding(rpc(context("emsmdb", {2: 3}, security(ntlm(), 2), mapi=mapi(client_version=version), opnums={10: 1, 11: 2})), "PS517")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("info", "medium", variant, 0, 400)
    assert finding.title == f"The mailbox client 198.51.100.7 of 203.0.113.5 uses {what}"
    assert finding.evidence == {"interface": "EMSMDB", "interface_source": "bind", "transport": "tcp", "auth_level": 2, "auth_level_name": "connect", "auth_type": "NTLM",
                                "opnums": {"11": 2, "10": 1}, "client_version": version}


def test_the_old_call_is_seen_even_when_sealed(rpc, court):
    finding = court.finding(rpc(context("emsmdb", {6: 3}, security(kerberos(), 6), opnums={0: 1, 2: 2})), "PS517")
    assert (finding.variant, "client_version" in finding.evidence) == ("ecdoconnect", False)


@pytest.mark.parametrize("one, unseen, expected", [
    (context("emsmdb", {2: 3}, mapi=mapi(client_version="14.0.4760")), None, ("pass", "")),
    (context("emsmdb", {2: 3}, mapi=mapi(client_version="16.0.1")), "gap", ("pass", "")),
    (context("emsmdb", {2: 3}, mapi=mapi(client_version="0.0.0")), None, ("pass", "")),
    (context("emsmdb", {6: 3}), None, ("not_observable", "encrypted")), (context("emsmdb", {2: 3}), None, ("not_applicable", "")),
    (context("emsmdb", {2: 3}), "gap", ("not_observable", "gap")), (context("nspi", {2: 3}, opnums={0: 1}), None, ("not_applicable", "")),
    (context("asyncemsmdb", {2: 3}, opnums={0: 1}), None, ("not_applicable", "")), (context("svcctl", {2: 3}, opnums={0: 1}), None, ("not_applicable", "")),
    (context("emsmdb", {2: 3}, mapi=mapi(client_version="junk")), None, ("not_applicable", "")),
])
def test_old_clients_near_misses(rpc, court, one, unseen, expected):
    assert court.verdict(rpc(one, unseen_client=unseen), "PS517") == expected


# --- PS518

@pytest.mark.parametrize("status, variant", [(5, "access-denied"), (0x1C010003, "unknown-interface")])
def test_refused_calls(rpc, shown, status, variant):
    judged = rpc(context("emsmdb", {6: 3}, security(kerberos(), 6), faults={status: 2, 0x6F7: 9}, first_fault_at=700))
    assert shown(judged, "PS518") == {
        "severity": "low", "severity_reason": "", "confidence": "high", "variant": variant,
        "title": f"RPC server 203.0.113.5 port 6001 refused 198.51.100.7: {variant.replace('-', ' ')}", "side": 1, "at": 700, "principal": None, "mechanism": "GSSAPI",
        "auth_result": "success", "evidence": {"interfaces": ["EMSMDB"], "faults": {f"0x{status:08x}": 2}},
    }


@pytest.mark.parametrize("reason, variant", [(8, "auth-type-unknown"), (9, "checksum-wrong")])
def test_refused_binds(rpc, court, reason, variant):
    refused = security(ntlm(result="failed", reason="refused"), 6, established=False)
    judged = rpc(context("emsmdb", {}, refused, accepted=False), association={"naks": [(reason, 150), (reason, 250), (4, 90)]})
    finding = court.finding(judged, "PS518")
    assert (finding.severity, finding.variant, finding.side, finding.at, finding.principal) == ("low", variant, 1, 150, "alice")
    assert finding.evidence == {"interfaces": ["EMSMDB"], "bind_refusals": {variant: 2}, "login_refused": True}


def test_a_login_that_ends_in_a_fault(rpc, court):
    refused = security(ntlm(result="failed", reason="refused"), 2, established=False)
    judged = rpc(context("nspi", {2: 1}, refused, faults={5: 1}, first_fault_at=520, responses=0))
    finding = court.finding(judged, "PS518")
    assert (finding.variant, finding.at, finding.auth_result, finding.evidence["login_refused"]) == ("login-refused", 520, "failed", True)
    assert court.finding(rpc(context("nspi", {}, security(ntlm(), 2, established=False))), "PS518").side == 0


def test_refusals_elsewhere_are_info(rpc, court):
    finding = court.finding(rpc(context("svcctl", {1: 1}, faults={5: 1}, first_fault_at=520)), "PS518")
    assert (finding.severity, finding.severity_reason) == ("info", "not an interface of Exchange")


def test_refusals_near_misses(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {6: 3}, security(kerberos(), 6), faults={0x6F7: 2}, first_fault_at=9)), "PS518") == ("pass", "")
    assert court.verdict(rpc(context("emsmdb", {}), association={"naks": [(4, 150)]}), "PS518") == ("pass", "")
    assert court.verdict(rpc(context("emsmdb", {6: 3}), unseen_server="gap"), "PS518") == ("not_observable", "gap")
    assert court.verdict(rpc(context("emsmdb", {6: 3}), unseen_client="gap"), "PS518") == ("pass", "")
