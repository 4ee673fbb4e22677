"""PS906 to PS909: the logins of a run compared, by one judge and by several."""
from __future__ import annotations

import pickle

import pytest

from pcapsec.records import Capture, Facts, Finding, Login
from pcapsec.rules import Judge
from pcapsec.rules import accounts as module
from pcapsec.secret import Fingerprints, Secret
from tests.rules.conftest import check_finding, make_login, make_session

FINGERPRINT = Fingerprints(b"k" * 32).of
MINUTE = 60 * 10**9
T0 = 28_333_330 * MINUTE  # a full minute that begins ten of them
HASH = {"exposure": "guessable", "mechanism": "CRAM-MD5"}


def at(number: int, *logins: Login, inner: tuple[Login, ...] = (), **fields):
    """A session whose number is its id and, in minutes, its start."""
    start = fields.pop("start_ns", T0 + number * MINUTE)
    made = make_session(fields.pop("protocol", "smtp"), session_id=f"{number:04x}", start_ns=start, end_ns=start + 1, frame=number + 1,
                        **{"logins": list(logins), "locate": lambda side, offset: ("a.pcap", offset, start), **fields})
    if inner:
        made.inner, made.tls_mode, made.decrypted = Facts(protocol=made.protocol, logins=list(inner)), "implicit", True
    return made


def judged(rule_id: str, *sessions, captures=("a.pcap",)) -> tuple[list[Finding], list[int]]:
    """What a rule says in the end; the same where two workers saw every other session each and had their results joined in either order."""
    answers = []
    for jobs, backwards in ((1, False), (2, False), (2, True)):
        workers = [Judge(fingerprint=FINGERPRINT) for _ in range(jobs)]
        for number, one in enumerate(sessions):
            one.findings = []
            workers[number % jobs].session(one)
        last = Judge()
        for worker in workers[::-1] if backwards else workers:
            assert not worker.faults, worker.fault_log
            last.merge(worker.counts)
            last.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
        findings = [finding for finding in last.capture([Capture(name=name, packets=10) for name in captures]) if finding.rule.id == rule_id]
        assert not last.faults, last.fault_log
        for finding in findings:
            check_finding(finding)
        answers.append((findings, last.counts[rule_id]))
    shown = [[(f.title, f.severity, f.confidence, f.variant, f.evidence, f.finding_id, f.because_of, f.capture, f.frame, f.ts_ns, f.ends) for f in findings] for findings, _ in answers]
    assert shown[0] == shown[1] == shown[2] and answers[0][1] == answers[1][1]
    return answers[0]


def login(name: str | None = "alice@example.org", password: str = "correct horse", **fields) -> Login:
    return make_login(**{"principal": name, "secret": Secret(password.encode()), **fields})


# --- PS906

def test_ps906_two_accounts_with_one_password():
    sessions = at(1, login("alice@example.org")), at(2, login("bob@example.org"))
    [finding], counts = judged("PS906", *sessions)
    ids = [next(f.finding_id for f in one.findings if f.rule.id == "PS101") for one in sessions]
    assert (finding.severity, finding.confidence, finding.variant, finding.because_of, finding.principal) == ("high", "high", "accounts", None, None)
    assert finding.title == "alice@example.org and 1 more account have the same password"
    assert (finding.capture, finding.frame, finding.ts_ns, finding.ends.session_id, finding.ends.server_name) == ("a.pcap", 70, T0 + MINUTE, "0001", "mail.example")
    assert finding.evidence == {
        "accounts": ["alice@example.org", "bob@example.org"], "n_accounts": 2, "servers": ["203.0.113.5"], "n_servers": 1, "protocols": ["smtp"],
        "logins": [{"account": name, "server": "203.0.113.5:25", "protocol": "smtp", "mechanism": "PLAIN", "tls": False} for name in ("alice@example.org", "bob@example.org")],
        "source_finding_ids": ids, "related_session_ids": ["0001", "0002"]}
    assert counts == [1, 0, 0, 0] and "correct horse" not in repr(finding)


@pytest.mark.parametrize("second, fields, expected", [
    (login("bob"), {}, ("accounts", "high", "high")),
    (login("bob", result="unknown"), {}, ("accounts", "high", "medium")),
    (login("alice@example.net"), {}, ("organisations", "high", "high")),
    (login("Alice@example.org", protocol="imap", mechanism="LOGIN-COMMAND"), {"protocol": "imap"}, ("protocols", "info", "high")),
    (login("alice"), {"server_ip": "203.0.113.9"}, ("servers", "low", "high")),
    (login("alice@example.org"), {"server_ip": "203.0.113.9", "greeting": "220 mx.example.net"}, ("servers", "low", "high")),  # a provider for the same domain
])
def test_ps906_kinds(second, fields, expected):
    [finding], _ = judged("PS906", at(1, login()), at(2, second, **fields))
    assert (finding.variant, finding.severity, finding.confidence) == expected
    assert (finding.because_of is not None) == (expected[1] in ("low", "info"))


def test_ps906_names_without_a_domain_at_hosts_of_two_organisations():
    [finding], _ = judged("PS906", at(1, login("alice")), at(2, login("alice"), server_ip="203.0.113.9", greeting="220 mx.example.net"))
    assert (finding.variant, finding.title) == ("organisations", "alice has the same password at several organisations")


def test_ps906_devices():
    [finding], _ = judged("PS906", *(at(n, login(f"scanner{n:02d}@example.org")) for n in range(1, 30)))
    assert (finding.variant, finding.severity, finding.severity_reason) == ("devices", "medium", "names differ in their numbers alone: devices that share it on purpose?")
    assert (finding.evidence["n_accounts"], len(finding.evidence["accounts"]), len(finding.evidence["logins"]), len(finding.evidence["related_session_ids"])) == (29, 20, 20, 20)


def test_ps906_one_of_both_inside_tls():
    [finding], _ = judged("PS906", at(1, inner=(login("bob"),)), at(2, login("alice")))
    assert [one["tls"] for one in finding.evidence["logins"]] == [True, False] and finding.ends.session_id == "0002"


@pytest.mark.parametrize("sessions", [
    [at(1, login()), at(2, login())], [at(1, login()), at(2, login("bob", "another"))], [at(1, login()), at(2, login(), server_port=587)], [at(1, login()), at(2, login("bob", result="failed"))],
    [at(1, login()), at(2, login("bob", exposure="token", mechanism="XOAUTH2"))], [at(1, login("alice", "")), at(2, login("bob", ""))] + [at(3, login("carol"))],
    [at(1, login()), at(2, login("anonymous", protocol="imap", mechanism="LOGIN-COMMAND"), protocol="imap")], [at(1, login()), at(2, login("bob"), client_ip="127.0.0.1", server_ip="127.0.0.1")],
], ids=["one account", "two passwords", "another port", "refused", "token", "no password", "anonymous", "within one host"])
def test_ps906_near_misses(sessions):
    assert judged("PS906", *sessions) == ([], [0, 1, 0, 0])


def test_ps906_only_inside_tls_is_no_exposure():
    assert judged("PS906", at(1, inner=(login("bob"),)), at(2, inner=(login("alice"),))) == ([], [0, 1, 0, 0])


def test_ps906_answers_to_challenges_cannot_be_compared():
    assert judged("PS906", at(1, login("a", **HASH)), at(2, login("b", **HASH))) == ([], [0, 0, 0, 1])
    assert judged("PS906", at(1)) == ([], [0, 0, 1, 0])


# --- PS907

def test_ps907_the_account_inside_tls():
    clear = at(5, login("alice"))
    [finding], _ = judged("PS907", at(1, inner=(login("ALICE", "other"),), server_port=465), clear, at(3, inner=(login("alice", "other"),), server_port=993))
    assert (finding.severity, finding.confidence, finding.variant, finding.principal) == ("high", "high", "account", "alice")
    assert finding.title == "The secret of alice passed in clear to 203.0.113.5:25, which is reached over TLS too"
    assert finding.evidence == {
        "n_clear": 1, "n_tls": 2, "known_by": "account", "clear_server": "203.0.113.5:25", "tls_server": "203.0.113.5:465", "first_clear": "2023-11-14T22:15:00Z",
        "first_tls": "2023-11-14T22:11:00Z", "source_finding_ids": [next(f.finding_id for f in clear.findings if f.rule.id == "PS101")], "related_session_ids": ["0005", "0001"]}
    assert (finding.ends.session_id, finding.frame) == ("0005", 70)


def test_ps907_the_password_inside_tls_elsewhere():
    [finding], _ = judged("PS907", at(1, login("alice")), at(2, inner=(login("someone"),), server_ip="203.0.113.9"))
    assert (finding.variant, finding.evidence["tls_server"]) == ("password", "203.0.113.9:25")


def test_ps907_what_can_be_guessed_is_less_severe():
    [finding], _ = judged("PS907", at(1, login("alice", **HASH)), at(2, inner=(login("alice"),)))
    assert (finding.severity, finding.severity_reason, finding.title) == ("medium", "it can only be guessed offline", "An answer of alice passed in clear to 203.0.113.5:25, which is reached over TLS too")


@pytest.mark.parametrize("clear, inside", [
    (login("alice", result="failed"), login("alice")), (login("alice"), login("bob", "other")), (login("alice"), login("alice", "other", result="failed")), (login(None), login(None, "other")),
])
def test_ps907_near_misses(clear, inside):
    assert judged("PS907", at(1, clear), at(2, inner=(inside,))) == ([], [0, 1, 0, 0])


# --- PS908

def wrong(name: str, password: str, **fields) -> Login:
    return login(name, password, result="failed", reason="wrong-credentials", **fields)


def attempts(n: int, names: int, passwords: int, begin: int = 0, step_s: int = 30, **fields):
    """Failed logins, one in each session, names and passwords in turn."""
    return [at(begin + k, wrong(f"user{k % names}", f"guess{k % passwords}"), start_ns=T0 + begin * MINUTE + k * step_s * 10**9, **fields) for k in range(n)]


def test_ps908_one_account():
    [finding], counts = judged("PS908", *attempts(12, 1, 12), at(90, login("user0", "right")))
    assert (finding.severity, finding.confidence, finding.variant, finding.principal, finding.auth_result) == ("medium", "medium", "account", "user0", "failed")
    assert finding.title == "12 logins of user0 on 203.0.113.5 failed within ten minutes"
    assert finding.evidence == {
        "n_failed": 12, "n_inside_tls": 0, "begin": "2023-11-14T22:10:00Z", "minutes": 6, "n_accounts": 1, "n_passwords": 12, "accounts": ["user0"], "clients": ["198.51.100.7"],
        "servers": ["203.0.113.5"], "n_worked": 0, "worked": ["user0"]}
    assert counts == [1, 0, 0, 0] and (finding.capture, finding.ts_ns, finding.ends.session_id) == ("a.pcap", T0, "0000")


def test_ps908_spray():
    [finding], _ = judged("PS908", *attempts(40, 40, 1, step_s=10))
    assert (finding.variant, finding.principal, finding.evidence["n_accounts"], finding.evidence["n_passwords"]) == ("spray", None, 16, 1)
    assert finding.title == "198.51.100.7 failed 40 times to log in, to at least 16 accounts, within ten minutes"


def test_ps908_many_of_both_is_one_finding():
    [finding], _ = judged("PS908", *attempts(60, 5, 60, step_s=5))
    assert (finding.variant, finding.evidence["n_failed"], finding.evidence["n_accounts"]) == ("accounts", 60, 5)


def test_ps908_one_account_from_many_clients():
    sessions = [at(k, wrong("alice", f"guess{k}"), client_ip=f"198.51.100.{k}", start_ns=T0 + k * MINUTE // 2) for k in range(10)]
    [finding], _ = judged("PS908", *sessions)
    assert (finding.variant, len(finding.evidence["clients"])) == ("account", 10)


def test_ps908_challenges_show_the_spray_but_not_the_passwords():
    [finding], _ = judged("PS908", *(at(k, wrong(f"user{k}", "x", **HASH), start_ns=T0) for k in range(12)))
    assert (finding.variant, finding.evidence["n_passwords"], finding.evidence["n_accounts"]) == ("accounts", 0, 12)
    assert judged("PS908", *(at(k, wrong("user", f"{k}", **HASH), start_ns=T0) for k in range(12))) == ([], [0, 1, 0, 0])


@pytest.mark.parametrize("sessions", [
    attempts(9, 1, 9), attempts(500, 1, 1, step_s=1), attempts(500, 1, 4, step_s=1), attempts(30, 6, 6, step_s=10), attempts(40, 1, 40, step_s=90), attempts(20, 4, 2, step_s=10),
    [at(k, login(f"user{k}", f"{k}", result="failed", reason="refused"), start_ns=T0) for k in range(20)],
    [at(k, wrong(f"user{k}", f"{k}", exposure="token", mechanism="XOAUTH2"), start_ns=T0) for k in range(20)],
    attempts(20, 20, 20, step_s=10) + [at(100 + k, login(f"user{k}"), start_ns=T0 + k) for k in range(20)],
], ids=["nine", "one password in a loop", "four", "six devices with a wrong password each", "slowly", "few accounts, few passwords", "refused", "tokens", "as many worked"])
def test_ps908_near_misses(sessions):
    assert judged("PS908", *sessions) == ([], [0, 1, 0, 0])


def test_ps908_answers_that_were_not_seen():
    assert judged("PS908", *(at(k, login(f"user{k}", f"{k}", result="unknown"), start_ns=T0, unseen_server="one_sided") for k in range(20))) == ([], [0, 0, 0, 1])


# --- PS909

def test_ps909():
    first = at(1, login("alice@example.org", **HASH))
    sessions = (first, at(2, login("alice", domain="example.org", exposure="guessable", mechanism="DIGEST-MD5")),
                at(3, *(login("bob", domain="EX", exposure="guessable", mechanism="NTLM", details={"ntlm_version": "NTLMv1"}, result=result) for result in ("success", "failed"))),
                at(4, login("carol", exposure="ticket", mechanism="GSSAPI", domain="EX", details={"ticket_etype": 23})))
    [finding], counts = judged("PS909", *sessions)
    assert (finding.severity, finding.confidence, finding.title) == ("info", "high", "5 logins of 3 accounts can be guessed offline: NetNTLMv1, CRAM-MD5, DIGEST-MD5, Kerberos RC4 ticket")
    assert finding.evidence["accounts"] == [
        {"account": "bob", "domain": "EX", "kind": "NetNTLMv1", "hashcat_mode": 5500, "servers": ["203.0.113.5:25"], "n": 2, "n_success": 1},
        {"account": "alice@example.org", "kind": "CRAM-MD5", "hashcat_mode": 10200, "servers": ["203.0.113.5:25"], "n": 1, "n_success": 1},
        {"account": "alice", "domain": "example.org", "kind": "DIGEST-MD5", "servers": ["203.0.113.5:25"], "n": 1, "n_success": 1},
        {"account": "carol", "domain": "EX", "kind": "Kerberos RC4 ticket", "hashcat_mode": 13100, "servers": ["203.0.113.5:25"], "n": 1, "n_success": 1}]
    assert {name: finding.evidence[name] for name in ("n_accounts", "n_exchanges", "kinds", "strongest")} == {
        "n_accounts": 3, "n_exchanges": 5, "kinds": {"NetNTLMv1": 1, "CRAM-MD5": 1, "DIGEST-MD5": 1, "Kerberos RC4 ticket": 1}, "strongest": "NetNTLMv1"}
    assert next(f.finding_id for f in first.findings if f.rule.id == "PS103") in finding.evidence["source_finding_ids"] and counts == [1, 0, 0, 0]


@pytest.mark.parametrize("sessions", [
    [at(1, login("alice", **HASH)), at(2, login("ALICE", **HASH))], [at(1, login("alice", **HASH)), at(2, login("bob"))], [at(1, login("alice", **HASH)), at(2, inner=(login("bob", **HASH),))],
    [at(1, login("alice", exposure="ticket", details={"ticket_etype": 18})), at(2, login("bob", **HASH))],
])
def test_ps909_near_misses(sessions):
    assert judged("PS909", *sessions) == ([], [0, 1, 0, 0])


# --- the memory

def test_everything_has_a_ceiling_and_what_stays_is_the_same_for_all(monkeypatch):
    for name, limit in (("MAX_USES", 5), ("MAX_MINUTES", 6), ("MAX_SLOTS", 4)):
        monkeypatch.setattr(module, name, limit)
    sessions = [at(k, login(f"user{k % 40}", f"{k % 40}", result="success" if k % 3 else "failed"), client_ip=f"198.51.100.{k % 23}") for k in range(200)]
    kept = []
    for jobs in (1, 3):
        workers = [Judge(fingerprint=FINGERPRINT) for _ in range(jobs)]
        for number, one in enumerate(sessions if jobs == 1 else sessions[::-1]):
            one.findings = []
            workers[number % jobs].session(one)
        whole = module.Accounts()
        for worker in workers:
            whole.merge(pickle.loads(pickle.dumps(worker.site.collected.accounts)))
        uses = whole.settled()
        assert (len(uses), len(whole.failures), len(whole.worked)) == (5, 6, 4) and whole.uses.full and whole.failures.full and whole.worked.full
        kept.append(([(key, use.n, use.n_success, use.clients, use.first, use.last_ns) for key, use in uses], {key: (one.n, one.names, one.first) for key, one in whole.failures.items()}, dict(whole.worked)))
    assert kept[0] == kept[1]


def test_no_secret_and_no_key_is_kept():
    judge = Judge(fingerprint=Fingerprints(b"the key of this run").of)
    judge.session(at(1, login(password="correct horse"), login("bob", "battery staple", result="failed", reason="wrong-credentials")))
    packed = pickle.dumps(judge.site.collected)
    assert b"horse" not in packed and b"staple" not in packed and b"the key" not in packed
    with pytest.raises(TypeError):
        pickle.dumps(Fingerprints())
