"""Whatever parsers may hand over: no rule raises, nothing lost is called clean, evidence is documented and can be written."""
from __future__ import annotations

import itertools
import json
import random

import pytest

from pcapsec.records import HttpFacts, HttpRequest, RpcChannel, RpcEndpoint, SmbFacts
from rpc_sessions import UUIDS, association, context, kerberos, mapi, ntlm, security

BLIND = ("PS502", "PS503", "PS504", "PS506", "PS516")  # rules that need the client's calls


def any_login(pick, at):
    kind = pick(("ntlm", "kerberos", "broken"))
    if kind == "kerberos":
        login = kerberos(pick((None, 0, 3, 17, 18, 23, 24, 999)), pick((None, 16, 18, 23, -1)), spn=pick((None, "", "host", "host/", "HTTP/192.0.2.1:80", "/x")))
    else:
        login = ntlm(pick((0, 0x20, 0x30, 0xFFFFFFFF, 0x20080030)), version=pick(("NTLMv2", "NTLMv1", "LM", "anonymous")))
    if kind == "broken":
        for name in list(login.details):
            if pick((True, False)):
                login.details[name] = None
            elif pick((True, False, False)):
                del login.details[name]
        login.principal, login.domain = pick((None, "", "x$")), pick((None, "", "D"))
    login.at, login.secret_at = at, pick((None, at + 1))
    login.protocol, login.result = pick(("dcerpc", "http", "ldap", "smb")), pick(("success", "failed", "unknown"))
    login.details["spnego_offered"] = pick((None, [], ["KERBEROS", "NTLM"], ["NTLM"]))
    return login


def any_context(pick, n, at):
    """Offsets are given once each, as in a stream."""
    securities = [security(pick((None, any_login(pick, next(at) * 10))), *pick(((), (2,), (6,), (2, 6), (9,))), auth_context_id=n, at=next(at) * 10, mechanism=pick((None, "NTLM", "KERBEROS", "1.2.3")),
                           established=pick((None, True, False)), auth_type=pick((9, 10, 16, 200)), side=pick((0, 1)), sealed_tokens=pick((None, True, False)),
                           token_algorithm=pick((None, "RC4", "AES", "DES"))) for n in range(pick((0, 0, 1, 2)))]
    one = context(pick((*UUIDS, None)), pick(({}, {1: 1}, {2: 3}, {6: 5}, {1: 1, 6: 2}, {5: 1})), *securities, context_id=n, at=next(at) * 10, first_request_at=next(at) * 10, weakest_request_at=next(at) * 10, first_fault_at=next(at) * 10, accepted=pick((None, True, False)),
                  mapi=pick((None, mapi(), mapi(user_dn="", client_version="x", not_encrypted_refused=1), mapi(n_decoded=1, rop_names={"RopLogon": 1}, client_version="11", flags=7,
                                                                                                          n_header_ext=1, user_dn="/o=x", strings={"utf16": 2}))),
                  obfuscation=pick((None, "none", "xor", "odd")), faults=pick(({}, {5: 1}, {0x1C010003: 2, 7: 1})), transport=pick(("tcp", "http", "smb")),
                  interface_source=pick((None, "bind", "epm", "port", "calls")), side=pick((0, 1)))
    for name in ("first_request_at", "weakest_request_at", "interface", "interface_version", "auth_type"):
        if pick((True, False, False)):
            setattr(one, name, None)
    return one


def any_session(session, seed):
    pick, at = random.Random(seed).choice, itertools.count(1)
    rows = [association(*(any_context(pick, n, at) for n in range(pick((0, 1, 2, 3)))), header_signing=pick((None, True, False)), bind_at=pick((None, next(at) * 10)),
                        naks=[(reason, next(at) * 10) for reason in pick(((), (8,), (9, 1)))], ncacn_http=pick((True, False)), pipe=pick((None, "\\PIPE\\x")),
                        endpoints=pick(([], [RpcEndpoint(at=0, interface_uuid=UUIDS["nspi"], interface=None, interface_version="", protocol="")]))) for _ in range(pick((0, 1, 2)))]
    protocol = pick(("dcerpc", "http", "smb", "ldap"))
    logins = [one.login for row in rows for one in row.securities if one.login is not None] + [any_login(pick, next(at) * 10) for _ in range(pick((0, 1)))]
    request = HttpRequest(at=0, method=pick(("RPC_IN_DATA", "RPC_CONNECT", "GET")), service=pick(("rpc-proxy", "owa", "other")), status=pick((None, 200, 302, 401)),
                          auth_scheme=pick((None, "BASIC", "NTLM")), auth_offered=pick(((), ("BASIC",))), location=pick((None, "https://x", "http://x")))
    return session(
        protocol, rpc=pick((rows or None, rows)), logins=logins, http=HttpFacts(requests=[request]) if protocol == "http" else None,
        smb=SmbFacts(encrypted=pick((True, False))) if protocol == "smb" else None, channels=pick((None, [RpcChannel(side=0)])) if protocol == "http" else None,
        unseen_client=pick((None, None, "gap", "midstream", "one_sided")), unseen_server=pick((None, None, "gap", "midstream")), server_port=pick((80, 135, 445, 6001)),
        client_ip=pick(("198.51.100.7", "10.0.0.1", "127.0.0.1")))


@pytest.mark.parametrize("block", range(20))
def test_no_rule_raises(make_court, session, block):
    for seed in range(block * 100, block * 100 + 100):
        judged = make_court().try_session(any_session(session, seed))
        by_id = {finding.finding_id: finding for finding in judged.findings}
        for finding in judged.findings:
            json.dumps(finding.evidence)
            assert finding.because_of is None or by_id[finding.because_of].because_of is None
        verdicts = {rule_id: verdict for rule_id, verdict, _ in judged.assessments}
        if judged.unseen_client in ("gap", "one_sided") and judged.facts.rpc:
            assert not [rule_id for rule_id in BLIND if verdicts[rule_id] == "pass"]
        assert judged.verdict in ("protected", "exposed", "weak", "unknown")
        if judged.verdict == "protected":
            assert not {"PS501", "PS502", "PS504", "PS505"} & {finding.rule.id for finding in judged.findings if finding.severity != "info"}, seed
