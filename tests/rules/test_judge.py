"""The engine: verdicts counted, modifiers applied, stories linked, faults survived."""
from __future__ import annotations

import base64
import json
import pickle
import random

import pytest

from pcapsec.records import Capture, Facts, Finding, Message, Note, OddCommand, Oddities, TlsHandshake
from pcapsec.rules import Judge, judge as judge_module
from pcapsec.rules.rule import ANY, FAIL, NOT_APPLICABLE, PASS, Rule, not_observable
from pcapsec.secret import Secret


# --- modifiers

@pytest.mark.parametrize("client, server, expected", [
    ("198.51.100.7", "203.0.113.5", {"PS101": ("critical", ""), "PS201": ("medium", "")}),
    ("10.0.0.1", "203.0.113.5", {"PS101": ("critical", ""), "PS201": ("medium", "")}),
    ("10.0.0.1", "192.168.3.4", {"PS101": ("critical", ""), "PS201": ("low", "both ends private")}),
    ("fd00::1", "fe80::2", {"PS101": ("critical", ""), "PS201": ("low", "both ends private")}),
    ("127.0.0.1", "127.0.0.1", {"PS101": ("info", "both ends loopback"), "PS201": ("info", "both ends loopback")}),
    ("::1", "::1", {"PS101": ("info", "both ends loopback"), "PS201": ("info", "both ends loopback")}),
    ("100.64.0.1", "100.64.0.2", {"PS101": ("critical", ""), "PS201": ("medium", "")}),
])
def test_addresses_change_severities(court, listed, login, client, server, expected):
    judged = court.try_session(listed("smtp", client_ip=client, server_ip=server, logins=[login()]))
    found = {finding.rule.id: (finding.severity, finding.severity_reason) for finding in judged.findings}
    assert {rule_id: found[rule_id] for rule_id in expected} == expected


def test_policy_networks_are_private(make_court, listed):
    import ipaddress

    court = make_court(internal_networks=(ipaddress.ip_network("198.51.100.0/24"), ipaddress.ip_network("203.0.113.0/24")))
    assert court.finding(listed("smtp"), "PS201").severity == "low"


def test_each_modifier_counts_once_and_is_recorded(court, session, login):
    judged = session("smtp", client_ip="127.0.0.1", server_ip="127.0.0.1", logins=[login(result="failed")])
    finding = court.finding(judged, "PS101")
    assert (finding.severity, finding.severity_reason) == ("info", "login failed;both ends loopback")


def test_never_below_info(court, listed, login, message):
    judged = court.try_session(listed("smtp", offer=True, client_ip="10.0.0.1", server_ip="10.0.0.2", tls_started=True, client_name="pc"))
    assert {finding.rule.id: (finding.severity, finding.severity_reason) for finding in judged.findings} == {"PS217": ("info", "")}


# --- stories

def clear_submission(listed, login, message, **fields):
    return listed("smtp", offer=True, server_port=587, service="submission", auth_mechanisms=("PLAIN",), first_clear_command="AUTH", first_clear_command_at=50,
                  accepted_clear_code="235", client_name="pc", messages=[message(direction="submitted")],
                  **{"logins": [login()], "accepted_clear_command": "AUTH", **fields})


def test_a_credential_is_the_root(court, listed, login, message):
    judged = court.try_session(clear_submission(listed, login, message))
    root = next(finding for finding in judged.findings if finding.rule.id == "PS101")
    missing = next(finding for finding in judged.findings if finding.rule.id == "PS202")
    assert {finding.rule.id: finding.because_of for finding in judged.findings} == {
        "PS101": None, "PS202": None, "PS705": missing.finding_id, **dict.fromkeys(("PS115", "PS121", "PS204", "PS206", "PS212"), root.finding_id)}
    assert (judged.worst_severity, judged.verdict) == ("critical", "exposed")


def test_the_unused_offer_is_the_root_without_one(court, listed, login, message):
    judged = court.try_session(clear_submission(listed, login, message, logins=[], accepted_clear_command="MAIL"))
    found = {finding.rule.id: finding for finding in judged.findings}
    assert found["PS206"].because_of in (found["PS202"].finding_id, found["PS204"].finding_id)
    assert [found[rule_id].because_of for rule_id in ("PS202", "PS204", "PS121")] == [None, None, None]


def test_the_missing_offer_is_the_root(court, listed, message):
    judged = court.try_session(listed("smtp", messages=[message()]))
    found = {finding.rule.id: finding for finding in judged.findings}
    assert found["PS206"].because_of == found["PS201"].finding_id and found["PS201"].because_of is None


def test_the_message_in_clear_is_the_root_of_what_is_said_about_it(court, session, listed, login, message):
    """Each message its own; with a credential all hang on that."""
    judged = court.try_session(session("smtp", messages=[message(at=100), message(at=500)]))
    by_place = {(finding.rule.id, finding.at): finding for finding in judged.findings}
    assert {place: finding.because_of for place, finding in by_place.items()} == {
        ("PS206", 100): None, ("PS206", 500): None, ("PS705", 100): by_place["PS206", 100].finding_id, ("PS705", 500): by_place["PS206", 500].finding_id}
    judged = court.try_session(session("imap", logins=[login("LOGIN-COMMAND", protocol="imap")], messages=[message(direction="fetched", side=1)], greeting="* OK x"))
    found = {finding.rule.id: finding for finding in judged.findings}
    assert found["PS705"].because_of == found["PS206"].because_of == found["PS110"].finding_id
    judged = court.try_session(session("smtp", client_ip="10.0.0.1", server_ip="10.0.0.2", messages=[message()]))
    assert {finding.rule.id: (finding.severity, finding.because_of) for finding in judged.findings} == {"PS206": ("low", None), "PS213": ("low", None), "PS705": ("medium", None)}


def test_a_root_is_never_the_weaker_one(court, listed, login, message):
    """A SCRAM login is medium: the mail that passed in clear must not hide behind it."""
    scram = login("SCRAM-SHA-1", protocol="imap", exposure="guessable", details={"challenge_seen": True})
    judged = court.try_session(listed("imap", logins=[scram], messages=[message(direction="fetched", side=1)], n_mailbox_commands=1))
    found = {finding.rule.id: finding for finding in judged.findings}
    assert (found["PS109"].severity, found["PS206"].severity, found["PS206"].because_of, found["PS121"].because_of) == (
        "medium", "high", None, found["PS109"].finding_id)


# --- ids

def test_equal_input_gives_equal_ids(make_court, listed, login, message):
    first, second = ([finding.finding_id for finding in make_court().try_session(clear_submission(listed, login, message)).findings] for _ in range(2))
    assert first == second and len(set(first)) == len(first)


def test_ids_differ_by_session_rule_variant_side_and_place(court, session, listed, login):
    ids = set()
    for session_id in ("a1b2", "a1b3", "not hex", "not hex either"):
        for at in (10, 11, 20):
            for mechanism in ("PLAIN", "LOGIN"):
                ids.add(court.finding(session("imap", session_id=session_id, logins=[login(mechanism, secret_at=at)]), "PS111").finding_id)
        for at in (10, 11):
            ids.add(court.finding(listed("smtp", session_id=session_id, capabilities_at=at), "PS201").finding_id)
    assert len(ids) == 4 * (6 + 2)


# --- verdicts of sessions

@pytest.mark.parametrize("protocol, fields, verdict", [
    ("tls", {"tls_mode": "implicit"}, "protected"),
    ("tls", {"tls_mode": "implicit", "tls": TlsHandshake(established=True)}, "protected"),
    ("tls", {"tls_mode": "implicit", "tls": TlsHandshake(established=False)}, "weak"),
    ("smtp", {"tls_mode": "starttls", "tls_started": True}, "protected"),
    ("smtp", {"tls_mode": "starttls", "tls_started": True, "tls": TlsHandshake(established=False)}, "weak"),
    ("smtp", {"tls_mode": "starttls", "tls_started": True, "unseen_client": "gap"}, "unknown"),
    ("smtp", {"tls_mode": "starttls", "tls_started": True, "messages": [Message(protocol="smtp", direction="relayed", side=0, at=1, has_content=False)]}, "weak"),
    ("smtp", {}, "weak"), ("smtp", {"starttls_accepted": False}, "weak"), ("smtp", {"unseen_server": "one_sided"}, "unknown"),
    ("imap", {"n_mailbox_commands": 1}, "exposed"), ("imap", {"n_mailbox_commands": 1, "sasl_wrapped": True}, "weak"), ("nntp", {"n_mailbox_commands": 1}, "weak"),
    ("unknown", {}, "unknown"),
])
def test_verdict_of_a_session(court, session, protocol, fields, verdict):
    judged = court.try_session(session(protocol, **fields))
    assert judged.verdict == verdict


@pytest.mark.parametrize("exposure, verdict", [("password", "exposed"), ("token", "exposed"), ("guessable", "exposed"), ("ticket", "weak"), ("none", "weak")])
def test_exposure_decides(court, session, login, exposure, verdict):
    judged = court.try_session(session("smtp", logins=[login("X-OTHER", exposure=exposure, secret=None)]))
    assert judged.verdict == verdict


def test_a_loss_does_not_hide_an_exposure(court, session, login):
    assert court.try_session(session("smtp", unseen_client="gap", logins=[login()])).verdict == "exposed"


# --- counting

def test_counts_are_of_sessions(court, listed, login, session):
    for n in range(3):
        court.try_session(listed("smtp", session_id=f"{n}", logins=[login(), login(at=90, secret_at=95)]))
    court.try_session(session("smtp"))
    court.try_session(session("imap"))
    court.try_session(session("smtp", unseen_client="gap"))
    counts = court.judge.counts
    assert counts["PS101"] == [3, 1, 1, 1]
    assert counts["PS201"] == [3, 0, 0, 3]
    assert counts["PS110"] == [0, 1, 5, 0]
    assert {sum(row) for rule_id, row in counts.items() if court.judge.rules[rule_id].scope not in ("capture", "comparison")} == {6}
    assert court.judge.counts == counts


def test_counts_survive_many_profiles(monkeypatch, court, session):
    monkeypatch.setattr(judge_module, "MAX_PROFILES", 5)
    for n in range(40):
        court.try_session(session("smtp", unseen_client=f"reason {n}"))
        assert len(court.judge._profiles) <= 5
    assert court.judge.counts["PS101"] == [0, 0, 0, 40]


def test_merge(make_court, session, login):
    one, other = make_court(), make_court()
    one.try_session(session("smtp", logins=[login()]))
    other.try_session(session("smtp"))
    one.judge.merge(other.judge.counts, 2, ["PS101 failed on x"])
    assert (one.judge.counts["PS101"], one.judge.faults, one.judge.fault_log) == ([1, 1, 0, 0], 2, ["PS101 failed on x"])


def test_what_is_not_observable_is_shared(court, session):
    first, second = (court.try_session(session("smtp", unseen_client="gap")) for _ in range(2))
    assert ("PS101", "gap") in first.not_observable and first.not_observable is second.not_observable


@pytest.mark.parametrize("protocol, carried, mechanism, expected", [
    ("dcerpc", "http", "BASIC", ["PS117"]), ("smtp", "http", "BASIC", ["PS117"]), ("tls", "http", "BASIC", ["PS117"]), ("http", "http", "NTLM", ["PS106", "PS124"]),
    ("http", "dcerpc", "NTLM", ["PS106"]), ("smb", "dcerpc", "NTLM", ["PS106"]), ("dcerpc", "dcerpc", "NTLM", ["PS106"]), ("smtp", "smtp", "BASIC", []), ("imap", "smtp", "LOGIN-COMMAND", ["PS110"]),
])
def test_a_login_is_judged_by_the_protocol_that_carried_it(court, session, login, protocol, carried, mechanism, expected):
    exposure = {"NTLM": {"exposure": "guessable", "details": {"ntlm_version": "NTLMv2", "server_challenge_seen": True, "challenge_seen": True}}}.get(mechanism, {})
    judged = court.try_session(session(protocol, logins=[login(mechanism, protocol=carried, **exposure)]))
    assert sorted(finding.rule.id for finding in judged.findings if finding.rule.scope == "login" and finding.rule.id != "PS120") == expected


def test_assessments_only_when_asked_for(session):
    judge = Judge()
    one = session("smtp")
    judge.session(one)
    assert one.assessments is None and one.not_observable
    judge.full = True
    other = session("smtp")
    judge.session(other)
    assert [row[0] for row in other.assessments] == sorted(rule_id for rule_id, rule in judge.rules.items() if rule.scope not in ("capture", "comparison"))
    assert [(rule_id, reason) for rule_id, verdict, reason in other.assessments if verdict == "not_observable"] == list(one.not_observable)


def test_implicit_tls_is_nobodys_business(court, session):
    judged = court.try_session(session("tls", tls_mode="implicit"))
    packets = ("PS311", "PS318")  # what they look at is there whatever is spoken
    assert {verdict for rule_id, verdict, _ in judged.assessments if rule_id > "PS1" and rule_id not in packets} == {"not_applicable"}
    assert judged.findings == [] and judged.worst_severity is None and judged.not_observable == ()


def test_findings_say_fail(court, listed, login):
    judged = court.try_session(listed("smtp", logins=[login()]))
    assert {rule_id for rule_id, verdict, _ in judged.assessments if verdict == "fail"} == {finding.rule.id for finding in judged.findings}


@pytest.mark.parametrize("n, verdict", [(0, "pass"), (1, "fail"), (3, "fail")])
def test_a_rule_may_find_several_things(session, n, verdict):
    rule = rule_that(None, "PS297", several=True)
    rule.judge = lambda judged, facts, site: [Finding(rule=rule, severity="low", confidence="high", title=f"t{at}", side=0, at=at) for at in range(n)]
    judge = Judge(rules={"PS297": rule})
    judge.full = True
    judged = session("smtp")
    judge.session(judged)
    assert judged.assessments == (("PS297", verdict, ""),)
    assert [finding.title for finding in judged.findings] == [f"t{at}" for at in range(n)] and len({finding.finding_id for finding in judged.findings}) == n
    assert judge.counts["PS297"] == ([1, 0, 0, 0] if n else [0, 1, 0, 0]) and not judge.faults


# --- faults

def rule_that(answer, rule_id="PS097", scope="session", **fields):
    def judge(subject, *_):
        if isinstance(answer, Exception):
            raise answer
        return answer
    return Rule(id=rule_id, slug="made-up", title="t", severity="low", confidence="high", category="capture" if rule_id < "PS1" else "cleartext", scope=scope,
                protocols=ANY, remediation="r", references=("x",), judge=judge, **fields)


@pytest.mark.parametrize("scope", ["session", "login", "message"])
@pytest.mark.parametrize("sound", [True, False])
def test_a_rule_that_raises_stops_nobody(session, login, message, rules, scope, sound):
    broken = rule_that(ValueError("hunter2 on the wire"), "PS297", scope)
    judge = Judge(rules={"PS101": rules["PS101"], "PS297": broken, "PS003": rules["PS003"]})
    judge.full = True
    judged = session("smtp", n_gaps=0 if sound else 1, logins=[login()], messages=[message()])
    judge.session(judged)
    assert {finding.rule.id for finding in judged.findings} == ({"PS101"} if sound else {"PS101", "PS003"})
    assert ("PS297", "not_observable", "rule_failed") in judged.assessments
    assert judge.faults == 1 and judge.counts["PS297"] == [0, 0, 0, 1]
    assert judge.fault_log[0].startswith("PS297 failed on 5e55: ValueError in judge, line ") and "hunter2" not in judge.fault_log[0]


def test_a_broken_capture_rule_stops_nobody(rules):
    judge = Judge(rules={"PS005": rules["PS005"], "PS097": rule_that(KeyError("x"), scope="capture"), "PS096": rule_that(RuntimeError(), "PS096")})
    found = judge.capture([Capture(name="a", dropped=1, packets=1, first_ns=1, last_ns=2)])
    assert [finding.rule.id for finding in found] == ["PS005"] and judge.faults == 1 and judge.counts["PS097"] == [0, 0, 0, 1]


def test_the_log_of_faults_has_a_ceiling(session):
    judge = Judge(rules={"PS297": rule_that(ValueError(), "PS297")})
    for _ in range(300):
        judge.session(session("smtp"))
    assert (judge.faults, len(judge.fault_log)) == (300, judge_module.MAX_FAULT_LOG)


@pytest.mark.parametrize("answer, row", [(PASS, [0, 1, 0, 0]), (NOT_APPLICABLE, [0, 0, 1, 0]), (not_observable("gap"), [0, 0, 0, 1])])
def test_answers_are_counted_as_given(session, answer, row):
    judge = Judge(rules={"PS297": rule_that(answer, "PS297")})
    judge.session(session("smtp"))
    assert judge.counts == {"PS297": row}


def test_mechanisms_from_the_wire_do_not_fill_memory(session, login):
    judge = Judge()
    for n in range(1000):
        judge.session(session("smtp", logins=[login(f"X{n}", exposure="none", secret=None)]))
    assert len(judge._plans["smtp"]._by_mechanism) <= judge_module.MAX_MECHANISMS


def test_verdicts_are_words():
    assert [repr(verdict) for verdict in (FAIL, PASS, NOT_APPLICABLE, not_observable("gap"))] == ["fail", "pass", "not_applicable", "not_observable(gap)"]
    assert not_observable("gap") is not_observable("gap")


def test_findings_travel_between_processes(court, listed, rules):
    finding = court.finding(listed("smtp"), "PS201")
    copy = pickle.loads(pickle.dumps(finding))
    assert copy == finding and copy.rule is rules["PS201"]


# --- nothing leaks, nothing raises

def test_no_secret_in_any_finding(court, listed, login, message):
    secret = b"s3cr3t-Qx9"
    spellings = {secret.decode(), secret.hex(), base64.b64encode(secret).decode().rstrip("=")}
    for protocol in ("smtp", "imap", "pop3", "nntp", "managesieve"):
        for mechanism in ("PLAIN", "LOGIN", "LOGIN-COMMAND", "USER-PASS", "AUTHINFO", "APOP", "CRAM-MD5", "DIGEST-MD5", "NTLM", "SCRAM-SHA-1", "XOAUTH2", "GSSAPI"):
            for exposure in ("password", "token", "guessable", "ticket"):
                details = {"ntlm_version": "NTLMv1", "server_challenge_seen": True, "target": {"nb_host": "H"}}
                judged = listed(protocol, offer=True, logins=[login(mechanism, exposure=exposure, secret=Secret(secret), details=details)], messages=[message()])
                for finding in court.try_session(judged).findings:
                    text = json.dumps([finding.title, finding.evidence, finding.variant, finding.severity_reason, finding.principal])
                    assert not any(spelling in text for spelling in spellings), finding.rule.id


def random_oddities(chance: random.Random) -> Oddities:
    maybe = {
        "commands": [[], [OddCommand(word=chance.choice(("XXXX", "XXXXXXXX", "STARTTLX", "")), like=chance.choice(("STARTTLS", "STLS", "EHLO")), at=chance.choice((5, 80)),
                                     reply_code=chance.choice((None, "500", "-ERR", "250")))]],
        "list_notes": [[], [Note(code=chance.choice(("unfinished", "padded-line", "offer-withdrawn", "empty-line")), at=20, detail=chance.choice(("", "9 blanks")))]],
        "greeting_stars": [None, 10, 100], "ehlo_rejected_at": [None, 9], "client_clear": [None, "commands", "text", "proxy", "blank", "binary"], "client_verbs": [(), ("NOOP",)],
        "client_clear_at": [None, 55], "pipelined_bytes": [0, 6], "server_clear": [None, "replies", "text", "blank", "binary"], "server_clear_at": [None, 66],
        "misuse": [(), ("again",), ("parameters",)], "early_data": [[], [Note(code=chance.choice(("alert", "referral", "mailbox-data")), at=7, detail="")]],
        "n_replies_before": [None, 0, 2], "offer_after_accept": [None, True, False],
    }
    return Oddities(**{name: chance.choice(values) for name, values in maybe.items()})


def random_facts(chance: random.Random, protocol: str, login, message) -> dict:
    """Any value that the records allow, in any combination."""
    maybe = {
        "greeting": [None, "220 x"], "greeting_code": [None, "220", "OK", "PREAUTH"], "greeting_at": [None, 0], "client_name": [None, "pc", ""], "hello_verb": [None, "EHLO", "HELO"],
        "ehlo_reject_code": [None, "502"], "capabilities": [None, (), ("STARTTLS", "AUTH PLAIN"), ("XXXXXXXX", "X-ANONYMOUSTLS"), ("",)], "capabilities_complete": [True, False],
        "capabilities_at": [None, 10], "masked_tokens": [(), ("XXXXXXXX",), ("XXXX", ""), ("\udcff" * 8,)], "starttls_offered": [None, True, False],
        "starttls_offered_at": [None, 20], "starttls_requested": [None, True, False], "starttls_requested_at": [None, 40], "starttls_verb": [None, "STARTTLS", "X-ANONYMOUSTLS"],
        "starttls_accepted": [None, True, False], "starttls_reply_code": [None, "454", "BAD", ""], "tls_started": [True, False], "injected_client_bytes": [0, 6],
        "injected_server_bytes": [0, 9], "cleartext_after_accept": [None, "EHLO", "QUIT"], "n_replies": [0, 4], "auth_mechanisms": [(), ("PLAIN", "NTLM")],
        "login_disabled": [None, True, False], "login_disabled_at": [None, 15], "preauth": [True, False], "first_clear_command": [None, "MAIL", "AUTH"],
        "first_clear_command_at": [None, 50], "accepted_clear_command": [None, "MAIL", "NOOP"], "encryption_required_code": [None, "530"], "n_mailbox_commands": [0, 2],
        "n_commands": [0, 5], "compressed": [True, False], "requiretls": [(), ("ehlo",), ("mail",)], "identity": [{}, {"xclient": "a"}], "sasl_wrapped": [True, False],
    }
    fields = {name: chance.choice(values) for name, values in maybe.items()}
    fields["oddities"] = chance.choice((None, random_oddities(chance)))
    fields["logins"] = [login(chance.choice(("PLAIN", "LOGIN", "LOGIN-COMMAND", "USER-PASS", "NTLM", "SCRAM-SHA-1", "XOAUTH2", "GSSAPI", "ANONYMOUS", "APOP", "")),
                              at=chance.choice((5, 60)), secret_at=chance.choice((None, 70)), principal=chance.choice((None, "", "anonymous", "bob", "PC$")),
                              secret=chance.choice((None, Secret(b""), Secret(b"x"), Secret(b"longer than that"))), result=chance.choice(("success", "failed", "unknown")),
                              reason=chance.choice((None, "refused")), exposure=chance.choice(("none", "password", "token", "guessable", "ticket")),
                              well_formed=chance.random() < 0.8, details=chance.choice(({}, {"ntlm_version": "NTLMv1", "server_challenge_seen": True, "ntlm_flags": 5},
                                                                                       {"iterations": 1, "jwt_exp": 0, "target": {"nb_host": "A"}})))
                        for _ in range(chance.randrange(3))]
    fields["messages"] = [message(has_content=chance.random() < 0.7, size_bytes=chance.choice((0, 9)), mail_from=chance.choice((None, "", "a@b.c", "nobody")),
                                  rcpt_accepted=chance.choice(([], ["x@y.z"], ["@"], ["plain"])), accepted=chance.choice((None, True, False)), content_type=None,
                                  protection=chance.choice(("none", "smime-encrypted")), mail_from_reply=chance.choice((None, 250, 550)))
                          for _ in range(chance.randrange(3))]
    return fields


@pytest.mark.parametrize("seed", range(8))
def test_rules_never_raise_and_never_pass_blindly(make_court, session, login, message, seed):
    chance = random.Random(seed)
    court = make_court(local_domains=("b.c",)) if seed % 2 else make_court()
    n = 150
    for _ in range(n):
        protocol = chance.choice(("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve", "tls", "unknown"))
        losses = {name: chance.choice((None, None, "gap", "one_sided", "midstream")) for name in ("unseen_client", "unseen_server")}
        judged = session(protocol, **losses, client_ip=chance.choice(("10.0.0.1", "127.0.0.1", "8.8.8.8")), server_port=chance.choice((25, 587, 143)),
                         finished=chance.random() < 0.5, tls_mode="implicit" if protocol == "tls" else "none", locate=chance.choice((None, lambda side, at: ("a", at, at))),
                         **random_facts(chance, protocol, login, message))
        court.try_session(judged)
        for rule_id, verdict, reason in judged.assessments:
            rule = court.judge.rules[rule_id]
            assert bool(reason) == (verdict == "not_observable")
            if verdict == "pass" and rule.scope in ("login", "message"):
                assert not any(losses[name] for side, name in ((0, "unseen_client"), (1, "unseen_server")) if side in rule.needs), rule_id
    assert {sum(row) for rule_id, row in court.judge.counts.items() if court.judge.rules[rule_id].scope not in ("capture", "comparison")} == {n}


def test_empty_facts(session):
    judge = Judge()
    empty = session("smtp")
    empty.facts, empty.locate = Facts(protocol="smtp"), None
    judge.session(empty)
    assert judge.faults == 0 and [finding for finding in empty.findings if isinstance(finding, Finding)] == []
