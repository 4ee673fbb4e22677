"""PS501, PS502, PS503 and PS516: is mailbox traffic encrypted?"""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, HttpRequest, RpcChannel, SmbFacts
from pcapsec.rules.exchange import MAX_FINDINGS
from rpc_sessions import EXCHANGE, NAMES, UUIDS, association, context, facts_of, kerberos, mapi, ntlm, security

SILENT = ("PS501", "PS502", "PS503", "PS516")


# --- PS502

def test_mailbox_calls_at_connect(rpc, shown):
    one = security(ntlm(), 2)
    judged = rpc(context("emsmdb", {2: 12}, one, mapi=mapi(n_header_ext=4, flags=7), opnums={11: 9, 10: 1, 1: 2}, call_names=("EcDoDisconnect", "EcDoConnectEx", "EcDoRpcExt2")))
    assert shown(judged, "PS502") == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": "emsmdb",
        "title": "Mailbox traffic of alice readable: EMSMDB to 203.0.113.5 port 6001 at RPC level connect",
        "side": 0, "at": 500, "principal": "alice", "mechanism": "NTLM", "auth_result": "success",
        "evidence": {
            "interface": "EMSMDB", "interface_uuid": UUIDS["emsmdb"], "interface_source": "bind", "context_id": 0, "transport": "tcp", "auth_type": "NTLM",
            "auth_level": 2, "auth_level_name": "connect", "levels": {"connect": 12}, "levels_announced": [2], "auth_ctx_ids": [1], "requests": 12,
            "opnums": {"11": 9, "1": 2, "10": 1}, "calls": ["EcDoDisconnect", "EcDoConnectEx", "EcDoRpcExt2"], "clear_stub_bytes": 2400, "header_ext_flags": "0x0007",
        },
    }
    assert judged.verdict == "exposed"


@pytest.mark.parametrize("kind, severity, reason, word", [
    ("emsmdb", "high", "", "Mailbox"), ("asyncemsmdb", "high", "", "Mailbox"), ("nspi", "medium", "directory data", "Directory"), ("rfr", "medium", "directory data", "Directory"),
])
@pytest.mark.parametrize("level, name", [(1, "none"), (2, "connect"), (3, "call"), (4, "packet"), (5, "integrity")])
def test_every_level_below_privacy(rpc, court, kind, severity, reason, word, level, name):
    finding = court.finding(rpc(context(kind, {level: 3}, security(kerberos(), level))), "PS502")
    assert (finding.severity, finding.severity_reason, finding.variant) == (severity, reason, kind)
    assert finding.title == f"{word} traffic readable: {NAMES[kind]} to 203.0.113.5 port 6001 at RPC level {name}"
    assert (finding.evidence["auth_level"], finding.evidence["auth_level_name"], finding.evidence["levels"]) == (level, name, {name: 3})


@pytest.mark.parametrize("kind", EXCHANGE)
def test_privacy_is_a_pass(rpc, court, kind):
    judged = rpc(context(kind, {6: 20}, security(kerberos(), 6)))
    assert court.verdict(judged, "PS502") == ("pass", "")
    assert [finding.rule.id for finding in judged.findings] == []


def test_announced_at_2_raised_to_6_before_any_call(rpc, court):
    """Only what is in force on requests counts."""
    first, second = security(kerberos(), 2, auth_context_id=1), security(kerberos(at=200), 6, auth_context_id=2)
    judged = rpc(context("emsmdb", {6: 9}, second, levels_announced=(2, 6)), association={"securities": [first, second]})
    assert court.verdict(judged, "PS502") == ("pass", "")


def test_bound_at_6_and_called_at_2(rpc, court):
    judged = rpc(context("emsmdb", {2: 1, 6: 40}, security(kerberos(), 6)))
    finding = court.finding(judged, "PS502")
    assert (finding.evidence["levels"], finding.evidence["levels_announced"], finding.evidence["auth_level"]) == ({"connect": 1, "privacy": 40}, [6], 2)


def test_another_context_of_the_association_at_6_hides_nothing_and_is_not_blamed(rpc, court):
    sealed, plain = security(kerberos(), 6, auth_context_id=1), security(ntlm(), 2, auth_context_id=2)
    judged = rpc(context("emsmdb", {6: 5}, sealed), context("nspi", {2: 2}, plain, context_id=1))
    assert [finding.variant for finding in court.findings(judged, "PS502")] == ["nspi"]


@pytest.mark.parametrize("kind", ["epm", "mgmt", "svcctl"])
@pytest.mark.parametrize("level", [1, 2, 5])
def test_other_interfaces_are_none_of_mails_business(rpc, court, kind, level):
    judged = court.try_session(rpc(context(kind, {level: 3}), server_port=135))
    assert {rule_id: verdict for rule_id, verdict, _ in judged.assessments if rule_id in SILENT} == dict.fromkeys(SILENT, "not_applicable")
    assert judged.findings == [] and judged.verdict == "weak"


def test_a_refused_context_has_no_traffic(rpc, court):
    judged = rpc(context("emsmdb", {}, accepted=False, reject_reason=1))
    assert court.verdict(judged, "PS502") == ("not_applicable", "")


def test_bound_and_never_called(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {}, security(ntlm(), 2))), "PS502") == ("not_applicable", "")
    assert court.verdict(rpc(context("emsmdb", {}, security(ntlm(), 2)), unseen_client="gap"), "PS502") == ("not_observable", "gap")


def test_answers_without_requests_tell_no_level(rpc, court):
    judged = rpc(context("emsmdb", {}, responses=4, clear_stub_bytes=900), unseen_client="one_sided")
    assert court.verdict(judged, "PS502") == ("not_observable", "one_sided")


@pytest.mark.parametrize("reason", ["gap", "one_sided", "snaplen"])
def test_lost_requests_may_have_been_weaker(rpc, court, reason):
    assert court.verdict(rpc(context("emsmdb", {6: 4}, security(kerberos(), 6)), unseen_client=reason), "PS502") == ("not_observable", reason)
    assert court.verdict(rpc(context("emsmdb", {6: 4}, security(kerberos(), 6)), unseen_server=reason), "PS502") == ("pass", "")


def test_nothing_comes_before_a_bind(rpc, court):
    """A capture that begins with the bind, but behind the handshake of TCP, lacks nothing; one that begins with an alter_context does."""
    late = {"unseen_client": "midstream", "unseen_server": "midstream"}
    sealed, plain = (context("emsmdb", {6: 4}, security(kerberos(), 6)) for _ in range(2)), (context("emsmdb", {1: 4}) for _ in range(2))
    for bind_at, verdict in ((0, "pass"), (None, "not_observable")):
        judged = rpc(next(sealed), association={"bind_at": bind_at}, **late)
        assert court.verdict(judged, "PS502")[0] == verdict
        assert judged.verdict == ("protected" if bind_at == 0 else "unknown")
        assert court.verdict(rpc(next(plain), association={"bind_at": bind_at}, **late), "PS501")[0] == ("fail" if bind_at == 0 else "not_observable")


def test_a_loss_hides_no_weak_call(rpc, court):
    judged = rpc(context("emsmdb", {2: 4}, security(ntlm(), 2)), unseen_client="gap", unseen_server="gap")
    assert court.finding(judged, "PS502").confidence == "high" and judged.verdict == "exposed"


def test_an_unknown_interface_is_unknown(rpc, court):
    judged = rpc(context(None, {1: 7}, accepted=None), unseen_client="midstream", unseen_server="midstream")
    for rule_id in SILENT:
        assert court.verdict(judged, rule_id) == ("not_observable", "midstream")
    assert judged.verdict == "unknown"


def test_a_bind_that_is_missing_though_nothing_was_lost(rpc, court):
    """A connection whose SYN was seen, but whose first call stands on a context nobody defined."""
    assert court.verdict(rpc(context(None, {1: 7}, accepted=None)), "PS502") == ("not_observable", "midstream")


def test_an_unknown_interface_beside_a_sealed_mailbox(rpc, court):
    judged = rpc(context("emsmdb", {6: 4}, security(kerberos(), 6)), context(None, {1: 2}, accepted=None, context_id=3))
    assert court.verdict(judged, "PS502") == ("not_observable", "midstream")


def test_an_unknown_interface_at_6_is_encrypted_whatever_it_is(rpc, court):
    assert court.verdict(rpc(context(None, {6: 7}, accepted=None), unseen_client="midstream"), "PS502") == ("not_applicable", "")


@pytest.mark.parametrize("fields, confidence", [
    ({}, "high"), ({"accepted": None}, "high"), ({"accepted": None, "responses": 0}, "medium"), ({"interface_source": "epm"}, "medium"), ({"interface_source": "port"}, "medium"),
    ({"interface_source": "calls"}, "low"), ({"interface_source": "calls", "mapi": mapi(n_decoded=3)}, "medium"),
])
def test_confidence_hangs_on_how_the_interface_is_known(rpc, court, fields, confidence):
    finding = court.finding(rpc(context("emsmdb", {1: 4}, **fields)), "PS502")
    assert (finding.confidence, finding.evidence["interface_source"]) == (confidence, fields.get("interface_source", "bind"))


def test_without_an_account(rpc, shown):
    found = shown(rpc(context("nspi", {1: 2})), "PS502")
    assert (found["title"], found["principal"], found["mechanism"], found["auth_result"]) == (
        "Directory traffic readable: NSPI to 203.0.113.5 port 6001 at RPC level none", None, None, None)


def test_through_a_pipe(rpc, court):
    judged = rpc(context("nspi", {1: 2}, transport="smb"), protocol="smb", server_port=445, association={"pipe": "\\PIPE\\nspi"}, smb=SmbFacts(dialect="2.1"))
    assert court.finding(judged, "PS502").evidence["pipe"] == "\\PIPE\\nspi"


def test_thousands_of_contexts_make_few_findings(rpc, court):
    judged = rpc(*(context("emsmdb", {1: 1}, context_id=n, opnums={opnum: 1 for opnum in range(200)}, first_request_at=n, weakest_request_at=n) for n in range(1000)))
    for rule_id in ("PS501", "PS502"):
        found = court.findings(judged, rule_id)
        assert len(found) == MAX_FINDINGS == len({finding.finding_id for finding in found})
        judged.findings.clear()
        assert len(found[0].evidence["opnums"]) == 20


# --- where the calls are not to be seen

def test_inside_https_nothing_is_asked(session, court):
    judged = court.try_session(session("tls", tls_mode="implicit", server_port=443))
    assert {rule_id: (verdict, reason) for rule_id, verdict, reason in judged.assessments if rule_id in SILENT} == dict.fromkeys(SILENT, ("not_applicable", ""))


def test_one_channel_of_rpc_over_http_alone(session, court):
    requests = [HttpRequest(at=0, method="RPC_OUT_DATA", service="rpc-proxy", status=200)]
    judged = session("http", http=HttpFacts(requests=requests), channels=[RpcChannel(side=1, complete=False)])
    assert court.verdict(judged, "PS502") == ("not_observable", "one_sided")
    assert court.verdict(session("http", http=HttpFacts(requests=requests)), "PS502") == ("not_applicable", ""), "no channel came to be"


def test_a_web_page_is_not_applicable(session, court):
    judged = session("http", http=HttpFacts(requests=[HttpRequest(at=0, method="GET", service="owa", status=200)]))
    for rule_id in (*SILENT, "PS504", "PS506", "PS510", "PS511", "PS512", "PS513", "PS514", "PS517", "PS518"):
        assert court.verdict(judged, rule_id) == ("not_applicable", "")


def test_encrypted_smb(session, court):
    judged = session("smb", server_port=445, smb=SmbFacts(dialect="3.1.1", encrypted=True))
    for rule_id in (*SILENT, "PS504", "PS515"):
        assert court.verdict(judged, rule_id) == ("not_observable", "encrypted")
    assert judged.verdict == "protected"


def test_a_connection_of_which_nothing_was_understood(session, court):
    assert court.verdict(session("dcerpc", rpc=[association()], unseen_client="gap"), "PS502") == ("not_observable", "gap")
    assert court.verdict(session("dcerpc", unseen_client="one_sided"), "PS502") == ("not_observable", "one_sided")
    assert court.verdict(session("dcerpc", rpc=[association()]), "PS502") == ("not_applicable", "")


# --- PS501

def test_no_authentication(rpc, shown):
    judged = rpc(context("emsmdb", {1: 5}, opnums={10: 1, 11: 4}, stub_bytes=1234))
    assert shown(judged, "PS501") == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": "emsmdb", "title": "EMSMDB of 203.0.113.5 port 6001 used without authentication",
        "side": 0, "at": 400, "principal": None, "mechanism": None, "auth_result": None,
        "evidence": {"interface": "EMSMDB", "interface_source": "bind", "transport": "tcp", "auth_level": 1, "auth_level_name": "none", "interface_uuid": UUIDS["emsmdb"],
                     "context_id": 0, "requests": 5, "responses": 5, "opnums": {"11": 4, "10": 1}, "stub_bytes": 1234},
    }


@pytest.mark.parametrize("kind", EXCHANGE)
def test_no_authentication_on_any_interface_of_exchange(rpc, court, kind):
    finding = court.finding(rpc(context(kind, {1: 5})), "PS501")
    assert (finding.severity, finding.variant) == ("high", kind)


def test_authentication_that_comes_later(rpc, court):
    """A first bind without it and an alter_context or auth3 with it is legal."""
    late = security(kerberos(), 6)
    assert court.verdict(rpc(context("emsmdb", {6: 4}, late)), "PS501") == ("pass", "")
    assert court.verdict(rpc(context("emsmdb", {1: 1}), association={"securities": [late]}), "PS501") == ("pass", "")


def test_connect_level_is_authenticated(rpc, court):
    """Calls at CONNECT have no trailer, and are no anonymous ones."""
    assert court.verdict(rpc(context("emsmdb", {2: 4}, security(ntlm(), 2))), "PS501") == ("pass", "")


@pytest.mark.parametrize("fields, expected", [
    ({"accepted": False}, ("not_applicable", "")), ({"levels": {}, "auth_level": None, "requests": 0}, ("pass", "")),
    ({"accepted": None, "responses": 0}, ("pass", "")), ({"transport": "smb"}, ("pass", "")),
    ({"interface_source": "epm"}, ("not_observable", "midstream")), ({"interface_source": "calls"}, ("not_observable", "midstream")),
])
def test_no_authentication_near_misses(rpc, court, fields, expected):
    one = context("emsmdb", {1: 5})
    for name, value in fields.items():
        setattr(one, name, value)
    assert court.verdict(rpc(one), "PS501") == expected


@pytest.mark.parametrize("fields", [{"accepted": None}, {"responses": 0}])
def test_taken_by_the_server_in_one_way_or_the_other(rpc, court, fields):
    """Its answer to the bind, or answers to calls."""
    assert court.finding(rpc(context("emsmdb", {1: 5}, **fields)), "PS501").variant == "emsmdb"


def test_no_authentication_lost_bytes(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {1: 5}), unseen_client="gap"), "PS501") == ("not_observable", "gap")
    assert court.verdict(rpc(context("emsmdb", {1: 5}), unseen_client="gap", unseen_server="one_sided"), "PS501") == ("not_observable", "gap")
    assert court.verdict(rpc(context("emsmdb", {1: 5}, accepted=None, responses=0), unseen_server="one_sided"), "PS501") == ("not_observable", "one_sided")
    assert court.verdict(rpc(context("emsmdb", {6: 5}, security(kerberos(), 6)), unseen_client="gap"), "PS501") == ("not_observable", "gap")
    assert court.finding(rpc(context("emsmdb", {1: 5}), unseen_server="gap"), "PS501").confidence == "high"


# --- PS503

@pytest.mark.parametrize("obfuscation, flags, words", [
    ("none", 4, "as it is"), ("xor", 6, "only XORed"), ("compressed", 5, "only compressed"), ("both", 7, "only XORed and compressed"),
])
def test_obfuscated_payload(rpc, shown, obfuscation, flags, words):
    read = mapi(n_header_ext=3, flags=flags, n_decoded=3, decoded_bytes=900, rop_names={"RopLogon": 1, "RopOpenFolder": 2})
    judged = rpc(context("emsmdb", {2: 3}, security(ntlm(), 2), obfuscation=obfuscation, mapi=read))
    assert shown(judged, "PS503") == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": obfuscation,
        "title": f"Mailbox payload of alice to 203.0.113.5 port 6001 is {words}, not encrypted",
        "side": 0, "at": 500, "principal": "alice", "mechanism": "NTLM", "auth_result": "success",
        "evidence": {"interface": "EMSMDB", "interface_source": "bind", "transport": "tcp", "auth_level": 2, "auth_level_name": "connect", "auth_type": "NTLM",
                     "obfuscation": obfuscation, "opnums": {"11": 3}, "header_ext_flags": f"0x000{flags}", "n_header_ext": 3, "n_decoded": 3, "decoded_bytes": 900,
                     "rops": {"RopLogon": 1, "RopOpenFolder": 2}},
    }


def test_the_older_call_has_no_header(rpc, court):
    judged = rpc(context("emsmdb", {1: 2}, obfuscation="xor", opnums={0: 1, 2: 1}, mapi=mapi(n_decoded=1, decoded_bytes=40, rop_names={"RopRelease": 1})))
    finding = court.finding(judged, "PS503")
    assert (finding.variant, finding.evidence["n_header_ext"], finding.evidence["header_ext_flags"], finding.evidence["opnums"]) == ("xor", 0, "0x0000", {"0": 1, "2": 1})


def test_what_does_not_make_sense_is_less_sure(rpc, court):
    assert court.finding(rpc(context("emsmdb", {1: 2}, obfuscation="xor", mapi=mapi(n_header_ext=1))), "PS503").confidence == "medium"


@pytest.mark.parametrize("fields, expected", [
    ({"levels": {6: 3}, "auth_level": 6}, ("pass", "")), ({"obfuscation": None}, ("pass", "")), ({"interface_uuid": UUIDS["nspi"]}, ("not_applicable", "")),
    ({"accepted": False}, ("not_applicable", "")),
])
def test_obfuscated_payload_near_misses(rpc, court, fields, expected):
    one = context("emsmdb", {2: 3}, obfuscation="xor", mapi=mapi(n_header_ext=1, n_decoded=1))
    for name, value in fields.items():
        setattr(one, name, value)
    assert court.verdict(rpc(one), "PS503") == expected


@pytest.mark.parametrize("side", ["unseen_client", "unseen_server"])
def test_obfuscated_payload_lost(rpc, court, side):
    assert court.verdict(rpc(context("emsmdb", {2: 3}), **{side: "gap"}), "PS503") == ("not_observable", "gap")
    judged = rpc(context("emsmdb", {2: 3}, obfuscation="both", mapi=mapi(n_decoded=1)), **{side: "gap"})
    assert court.finding(judged, "PS503").variant == "both"


def web(session, obfuscation, **fields):
    """A conversation of MAPI over HTTP outside TLS."""
    request = HttpRequest(at=40, method="POST", host="ex.corp.example", path="/mapi/emsmdb/", service="mapi-http", status=200)
    http = HttpFacts(requests=[request], n_requests=1, mapi=mapi(n_header_ext=3, flags=6, n_decoded=2, decoded_bytes=900, rop_names={"RopLogon": 1}), obfuscation=obfuscation)
    return session("http", server_port=80, http=http, **fields)


def test_obfuscated_mapi_over_http(session, shown):
    assert shown(web(session, "xor"), "PS503") == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": "xor", "side": 0, "at": 40, "principal": None, "mechanism": None, "auth_result": None,
        "title": "Mailbox payload to ex.corp.example (203.0.113.5) over MAPI over HTTP is only XORed, not encrypted",
        "evidence": {"transport": "http", "obfuscation": "xor", "host": "ex.corp.example", "path": "/mapi/emsmdb/", "header_ext_flags": "0x0006", "n_header_ext": 3, "n_decoded": 2,
                     "decoded_bytes": 900, "rops": {"RopLogon": 1}}}


def test_mapi_over_http_that_shows_no_payload(session, court):
    assert court.verdict(web(session, None), "PS503") == ("not_applicable", "")


# --- PS516

def test_content_read(rpc, shown):
    read = mapi(user_dn="/o=CORP/ou=X/cn=Recipients/cn=alice", user_dn_at=410, rop_names={"RopLogon": 1}, strings={"legacy-dn": 1, "utf16": 12}, decoded_bytes=700)
    judged = rpc(context("emsmdb", {2: 3}, security(ntlm(), 2), obfuscation="xor", mapi=read))
    found = shown(judged, "PS516")
    assert found == {
        "severity": "high", "severity_reason": "", "confidence": "medium", "variant": "emsmdb", "title": "Mailbox data of alice read from RPC calls to 203.0.113.5 port 6001",
        "side": 0, "at": 410, "principal": "alice", "mechanism": "NTLM", "auth_result": "success",
        "evidence": {"interface": "EMSMDB", "interface_source": "bind", "transport": "tcp", "auth_level": 2, "auth_level_name": "connect", "auth_type": "NTLM",
                     "user_dn_seen": True, "strings": {"legacy-dn": 1, "utf16": 12}, "rops": {"RopLogon": 1}, "decoded_bytes": 700, "clear_stub_bytes": 600, "obfuscation": "xor"},
    }
    assert "Recipients" not in str(found["evidence"]), "kinds and counts, no text"


def test_directory_data_is_medium(rpc, court):
    finding = court.finding(rpc(context("nspi", {2: 3}, mapi=mapi(strings={"utf16": 3}))), "PS516")
    assert (finding.severity, finding.severity_reason, finding.at) == ("medium", "directory data", 500)


@pytest.mark.parametrize("read", [None, {}, {"strings": {"utf16": 0}}, {"n_header_ext": 4, "client_version": "14.0.1"}])
def test_nothing_readable(rpc, court, read):
    assert court.verdict(rpc(context("emsmdb", {2: 3}, mapi=None if read is None else mapi(**read))), "PS516") == ("pass", "")


def test_content_at_6_is_none(rpc, court):
    judged = rpc(context("emsmdb", {6: 3}, security(kerberos(), 6), mapi=mapi(strings={"utf16": 3})))
    assert court.verdict(judged, "PS516") == ("pass", "")


@pytest.mark.parametrize("side", ["unseen_client", "unseen_server"])
def test_content_lost(rpc, court, side):
    assert court.verdict(rpc(context("emsmdb", {2: 3}), **{side: "gap"}), "PS516") == ("not_observable", "gap")
    judged = rpc(context("emsmdb", {}, responses=3, clear_stub_bytes=600, mapi=mapi(rop_names={"RopLogon": 1})), **{side: "one_sided"})
    assert court.finding(judged, "PS516").evidence["rops"] == {"RopLogon": 1}


def test_several_associations_over_pipes(session, court):
    plain, sealed = association(context("nspi", {1: 2}, transport="smb")), association(context("emsmdb", {6: 2}, security(kerberos(), 6), transport="smb"))
    judged = session("smb", server_port=445, smb=SmbFacts(), **facts_of(sealed, plain))
    assert [finding.variant for finding in court.findings(judged, "PS502")] == ["nspi"]
