"""Who came to Exchange by which road: what is kept of it, and how it is shown."""
from __future__ import annotations

import pickle

import pytest

from pcapsec.records import HttpFacts, HttpRequest
from pcapsec.report import exchange as module
from pcapsec.report.summary import Summary
from pcapsec.report.terminal import render
from pcapsec.rules import Judge
from tests import rpc_sessions as rpc
from tests import sessions as made

EX1, EX2 = "198.51.100.30", "198.51.100.31"


def of_rpc(n, *contexts, **changes):
    """A conversation of RPC with such contexts."""
    session = made.mapi(n, **changes)
    session.facts.rpc = [rpc.association(*contexts)]
    session.facts.logins = [security.login for context in contexts for security in context.securities if security.login is not None]
    return session


def of_http(n, *requests, logins=(), **changes):
    session = made.webmail(n, **changes)
    session.facts.http = HttpFacts(requests=[HttpRequest(**{"at": 10 * index, "method": "GET", "host": "ex2.example", "path": "/", "status": 200, **request})
                                             for index, request in enumerate(requests)])
    session.facts.logins = list(logins)
    return session


def summary_of(*sessions, judge=True):
    summary, judges = Summary(), Judge()
    for session in sessions:
        if judge:
            session.findings = []
            judges.session(session)
        summary.session(session)
    assert not judges.faults, judges.fault_log
    return summary


def roads(summary):
    return {key: (road.n, road.worst) for key, road in summary.exchange.roads.items()}


def one_of_each():
    sealed, plain = rpc.ntlm(), made.mapi(0, server_ip=EX2)
    ticket = rpc.kerberos(principal="bob")
    return [
        plain, made.webmail(1), made.submission(2, server_ip=EX2), made.imaps(3, server_ip=EX2), made.imaps(4, server_ip=EX2),
        of_rpc(5, rpc.context("emsmdb", {6: 5}, rpc.security(sealed, 6), auth_type="NTLM")),
        of_rpc(6, rpc.context("nspi", {6: 5}, rpc.security(ticket, 6, token_algorithm="AES"), auth_type="KERBEROS")),
        of_rpc(7, rpc.context("emsmdb", {1: 5})),
        made.imaps(8, server_ip=EX2, service=None, server_port=443),
    ]


TABLE = """\
EXCHANGE ACCESS, BY SERVER AND ACCOUNT

mail.example.com (198.51.100.31)  2 accounts
  account             road           outside   inside            worst finding
  CORP\\alice          ActiveSync     none      none (Basic)      critical PS117
  CORP\\alice          OWA            none      none (Basic)      critical PS117
  alice@example.com   SMTP           none      none (password)   critical PS101
  CORP\\alice          RPC/TCP        none      NTLM connect:     high PS502
                                               readable (xor)
  (not visible)       HTTPS          TLS       not visible       ·
  (not visible)       IMAP           TLS       not visible, 2×   ·

mail.corp.example (198.51.100.30)  2 accounts
  account             road           outside   inside            worst finding
  CORP\\alice          RPC/TCP        none      NTLM 128 bit      high PS106
                                               privacy
  (name not seen)     RPC/TCP        none      none: readable    high PS502
  CORP.EXAMPLE\\bob    RPC/TCP        none      Kerberos AES      ·
                                               privacy
"""


def shown(summary, width=80):
    text = render(summary, [made.capture()], width=width, color=False)
    begin = text.find("EXCHANGE ACCESS")
    return text[begin:text.index("\nWHAT THIS CAPTURE")] if begin >= 0 else ""


def test_the_whole_table():
    assert shown(summary_of(*one_of_each())) == TABLE


def test_on_a_wide_terminal_nothing_is_folded():
    text = shown(summary_of(*one_of_each()), 160)
    assert "  CORP\\alice                        RPC/TCP        none      NTLM connect: readable (xor)     high PS502\n" in text
    assert max(map(len, text.splitlines())) <= 120 and len(text.splitlines()) == len(TABLE.splitlines()) - 3


def test_workers_say_the_same_as_one():
    sessions = one_of_each()
    whole, parts = summary_of(*sessions), [Summary(), Summary(), Summary()]
    for n, session in enumerate(sessions):
        parts[n % 3].session(session)
    joined = Summary()
    for part in parts[::-1]:
        joined.merge(pickle.loads(pickle.dumps(part)))
    assert roads(joined) == roads(whole)
    assert (joined.exchange.encrypted, joined.exchange.names) == (whole.exchange.encrypted, whole.exchange.names)
    assert shown(joined) == shown(whole)


def test_only_mail_is_no_exchange():
    summary = summary_of(made.submission(), made.imaps(1), of_rpc(2, rpc.context("svcctl", {1: 5})), of_http(3, {"service": "webmail"}, {"service": "other"}),
                         of_http(4, {"service": "owa", "service_sure": False}))
    assert roads(summary) == {} and shown(summary) == ""


@pytest.mark.parametrize("context, inner", [
    (rpc.context("emsmdb", {}, rpc.security(rpc.ntlm(), 2, 6)), "no call seen; privacy announced"), (rpc.context("emsmdb"), "no call seen"),
    (rpc.context("rfr", {5: 1}, rpc.security(rpc.ntlm(), 5)), "NTLM integrity: readable"), (rpc.context("emsmdb", {1: 1, 6: 1}, rpc.security(rpc.ntlm(), 6)), "none: readable"),
    (rpc.context("emsmdb", {6: 1}, rpc.security(rpc.ntlm(rpc.SEAL | rpc.BITS_56), 6)), "NTLM 56 bit privacy"),
    (rpc.context("emsmdb", {6: 1}, rpc.security(rpc.kerberos(), 6)), "Kerberos privacy"), (rpc.context("emsmdb", {6: 1}, auth_type="SPNEGO"), "SPNEGO privacy"),
    (rpc.context("emsmdb", {6: 1}), "unknown privacy"), (rpc.context("emsmdb", {2: 1}, rpc.security(rpc.ntlm(), 2), obfuscation="both"), "NTLM connect: readable (both)"),
])
def test_inner_protection(context, inner):
    assert module.rpc_protection(context) == inner


@pytest.mark.parametrize("transport, road", [("tcp", "RPC/TCP"), ("http", "RPC over HTTP"), ("smb", "RPC over SMB")])
def test_roads_of_rpc(transport, road):
    summary = summary_of(of_rpc(0, rpc.context("emsmdb", {6: 1}, rpc.security(rpc.ntlm(), 6), transport=transport)), judge=False)
    assert list(roads(summary)) == [(EX1, "CORP\\alice", road, "none", "NTLM 128 bit privacy")]


def test_a_name_from_mapi_where_the_login_has_none():
    ticket = rpc.security(rpc.kerberos(), 6)
    context = made.mapi().facts.rpc[0].contexts[0]
    context.securities = [ticket]
    assert list(roads(summary_of(of_rpc(0, context), judge=False)))[0][:3] == (EX1, "alice", "RPC/TCP")


def test_names_of_servers():
    target = rpc.ntlm(details={"target": {"dns_host": "EX1.corp.example"}})
    summary = summary_of(of_rpc(0, rpc.context("emsmdb", {6: 1}, rpc.security(target, 6))), of_http(1, {"service": "ews"}), judge=False)
    assert summary.exchange.names == {EX1: "ex1.corp.example", EX2: "ex2.example"}
    summary.session(of_http(2, {"service": "ews", "host": "a.example"}))
    assert summary.exchange.names[EX2] == "a.example"


def test_roads_of_http():
    [login] = made.webmail().facts.logins
    login.mechanism = "NTLM"
    cases = [
        ([{"service": "ews", "auth_scheme": "NTLM", "principal": "CORP\\alice"}, {"service": "ews"}], (), {("CORP\\alice", "EWS", "none (NTLM)")}),
        ([{"service": "ews"}, {"service": "mapi-http"}], (login,), {("CORP\\alice", "EWS", "none (NTLM)"), ("CORP\\alice", "MAPI/HTTP", "none (NTLM)")}),
        ([{"service": "activesync", "auth_scheme": "BASIC", "principal": "a"}, {"service": "activesync", "auth_scheme": "BASIC", "principal": "b"}], (),
         {("a", "ActiveSync", "none (Basic)"), ("b", "ActiveSync", "none (Basic)")}),
        ([{"service": "ecp", "session_cookie": True}], (), {(None, "OWA", "none (cookie)")}),
        ([{"service": "rpc-proxy", "auth_scheme": "X" * 50, "principal": "a"}], (), {("a", "RPC over HTTP", "none (" + "X" * 20 + ")")}),
        ([{"service": "autodiscover", "status": 401}], (), set()), ([{"service": "owa", "status": 302, "location": "https://x"}], (), set()),
        ([{"service": "oab"}, {"service": "caldav"}], (), set()), ([{"service": "owa"}], (), {(None, "OWA", "none")}),
    ]
    for requests, logins, expected in cases:
        found = roads(summary_of(of_http(0, *requests, logins=logins), judge=False))
        assert {(account, road, inner) for _, account, road, _, inner in found} == expected, requests


def test_rpc_over_http_is_told_by_its_contexts():
    session = of_http(0, {"service": "rpc-proxy", "auth_scheme": "BASIC", "principal": "CORP\\alice", "method": "RPC_IN_DATA"})
    session.facts.rpc = [rpc.association(rpc.context("emsmdb", {6: 1}, rpc.security(rpc.ntlm(), 6), transport="http"))]
    assert list(roads(summary_of(session, judge=False))) == [(EX2, "CORP\\alice", "RPC over HTTP", "none", "NTLM 128 bit privacy")]


def test_what_was_decrypted_has_an_outer_protection():
    session = of_http(0, {"service": "owa", "auth_scheme": "FORM", "principal": "a"}, tls_mode="implicit")
    assert list(roads(summary_of(session, judge=False))) == [(EX2, "a", "OWA", "TLS", "none (form)")]


def test_worst_finding_of_each_account():
    findings = made.submission().findings
    critical, high = findings
    critical.principal, high.principal, high.because_of = "alice", None, None
    worst = module.Worst(findings)
    assert (worst.of("alice"), worst.of("bob"), worst.of(None)) == ((4, "PS101"), (3, "PS204"), (3, "PS204"))
    assert module.Worst([]).of("alice") == module.NOTHING
    high.severity, high.principal, critical.because_of = "critical", "alice", "x"
    assert module.Worst(findings).of("alice") == (4, "PS204")  # the root of the story, though its id is higher
    assert module.Worst([made.drops()]).of(None) == module.NOTHING


def test_everything_has_a_ceiling(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROADS", 3)
    monkeypatch.setattr(module, "MAX_ENCRYPTED", 3)
    summary = summary_of(*(of_http(n, {"service": "ews", "principal": f"user{n}"}, server_ip=f"10.0.0.{n}") for n in range(10)),
                         *(made.imaps(n, server_ip=f"10.0.0.{n}") for n in range(10)), judge=False)
    access = summary.exchange
    assert (len(access.roads), len(access.encrypted), len(access.names), access.n_more) == (3, 3, 3, 7)
    other = summary_of(of_http(0, {"service": "ews", "principal": "new"}), made.imaps(0, server_ip="10.9.9.9"), judge=False)
    summary.merge(other)
    assert (len(access.roads), len(access.encrypted), len(access.names), access.n_more) == (3, 3, 3, 8)
    text = shown(summary, 120)
    assert "… and 8 uses of roads that are not listed here\nAll of them: pcapsec analyze -o DIR CAPTURE writes rpc.csv, http.csv and credentials.csv." in text


def test_long_lists_are_cut_and_counted():
    requests = [{"service": "ews", "principal": f"user{n:02}", "auth_scheme": "NTLM"} for n in range(20)]
    summary = summary_of(*(of_http(n, *requests, server_ip=f"10.0.0.{n}") for n in range(12)), judge=False)
    text = shown(summary)
    assert text.count("  … and 5 more lines\n") == 10 and "\n… and 2 more servers\n" in text
    assert "user14" in text and "user15" not in text


def test_hostile_names_are_shown_not_obeyed():
    hostile = "evil\x1b[31m[bold]x[/]\u202egpj\r\nFAKE"
    session = of_http(0, {"service": "ews", "principal": hostile, "auth_scheme": hostile, "host": hostile})
    text = shown(summary_of(session, judge=False))
    assert "\x1b" not in text and "\u202e" not in text and "\r" not in text and "\nFAKE" not in text and "[bold]" in text.replace("\n", "")


def test_many_logins_on_one_connection_take_linear_time():
    import time

    session = of_http(0, *({"service": "ews", "principal": f"user{n}", "auth_scheme": "BASIC"} for n in range(4000)))
    session.findings = made.submission().findings * 4000
    begun = time.process_time()
    summary_of(session, judge=False)
    assert time.process_time() - begun < 2
