"""What a Summary keeps, how two become one, and that it stays small."""
from __future__ import annotations

import pickle

from pcapsec.records import SEVERITIES, Login, ends_of
from pcapsec.report import summary as module
from pcapsec.report.summary import Summary, Tally
from pcapsec.secret import Secret
from tests import sessions as made


def summary_of(*sessions):
    summary = Summary()
    for session in sessions:
        summary.session(session)
    return summary


def shown(summary):
    """Everything a Summary says, as plain values."""
    return {
        "roots": summary.roots, "findings": summary.n_findings, "sessions": summary.n_sessions,
        "groups": {rule_id: (g.severities, g.n_elsewhere, g.first, g.part_of_it,
                             {key: (s.n, s.name, sorted(s.clients), sorted(s.accounts)) for key, s in g.servers.items()}) for rule_id, g in summary.groups.items()},
        "accounts": {key: {name: (a.exposure, sorted(a.mechanisms), a.n, a.result, a.last_ns) for name, a in accounts.items()}
                     for key, accounts in summary.accounts.items()},
        "names": summary.names, "shares": {label: (s.sessions, s.bytes, s.verdicts) for label, s in summary.shares.items()},
        "completeness": summary.completeness, "more": summary.n_more_accounts, "gap": summary.gap_bytes, "unparsed": summary.n_unparsed,
    }


def test_one_story():
    assert shown(summary_of(made.submission(), made.imaps(completeness="one_sided", gap_bytes_client=7, unparsed="x"))) == {
        "roots": {**dict.fromkeys(SEVERITIES, 0), "critical": 1}, "findings": 2, "sessions": 2,
        "groups": {"PS101": ({**dict.fromkeys(SEVERITIES, 0), "critical": 1}, 0,
                             (made.T0 + 20_000, "monday.pcap", 10, "Password of alice@example.com sent in clear"),
                             {("PS204", "STARTTLS offered but client continued in clear"): 1},
                             {("198.51.100.25", 587): (1, "mail.example.com", ["192.0.2.7"], ["alice@example.com"])})},
        "accounts": {("198.51.100.25", 587, "smtp"): {"alice@example.com": ("password", ["PLAIN"], 1, "success", made.T0)}},
        "names": {("198.51.100.25", 587, "smtp"): "mail.example.com"},
        "shares": {"submission": (1, 1000, {"protected": 0, "exposed": 1, "weak": 0, "unknown": 0}),
                   "imaps": (1, 6000, {"protected": 1, "exposed": 0, "weak": 0, "unknown": 0})},
        "completeness": {"full": 1, "one_sided": 1}, "more": 0, "gap": 7, "unparsed": 1,
    }


def some_sessions():
    result = []
    for n in range(12):
        session = made.submission(n, server_ip=f"198.51.100.{n % 3}", client_ip=f"192.0.2.{n % 5}")
        session.facts.logins[0].principal = session.findings[0].principal = f"user{n % 4}"
        session.facts.logins[0].result = ("failed", "unknown", "success")[n % 3]
        session.facts.logins[0].exposure = ("password", "guessable")[n % 2]
        session.findings[0].severity = ("critical", "high")[n % 2]
        result.append(session)
    return result


def test_workers_say_the_same_as_one():
    sessions = some_sessions()
    parts = [pickle.loads(pickle.dumps(summary_of(*sessions[i::3]).close())) for i in range(3)]
    whole = Summary()
    for part in parts:
        whole.merge(part)
    assert shown(whole) == shown(summary_of(*sessions))


def test_the_worst_of_an_account_counts():
    session = made.submission()
    login = session.facts.logins[0]
    for exposure, result in (("guessable", "failed"), ("token", "unknown"), ("password", "failed"), ("none", "success")):
        session.facts.logins.append(Login(protocol="smtp", mechanism="X", at=0, principal="bob", secret=Secret(b"x"), exposure=exposure, result=result))
    accounts = summary_of(session).accounts["198.51.100.25", 587, "smtp"]
    assert (accounts["bob"].exposure, accounts["bob"].result, accounts["bob"].n) == ("password", "unknown", 3)
    assert accounts[login.principal].n == 1


def test_logins_without_exposure_are_no_accounts():
    session = made.submission()
    session.facts.logins[0].exposure = "ticket"
    assert summary_of(session).accounts == {}


def test_judgements_on_captures_are_counted():
    summary = summary_of()
    summary.findings([made.drops()])
    assert summary.roots["low"] == 1 and summary.groups["PS005"].first == (made.T0, "monday.pcap", 1, "17 packets dropped")


def test_judgements_on_captures_that_point_at_a_conversation_are_counted_at_its_server():
    finding = made.drops()
    finding.ends = ends_of(made.submission(), "mail.example.org")
    summary = summary_of()
    summary.findings([finding])
    [(key, server)] = summary.groups["PS005"].servers.items()
    assert (key, server.n, server.name, server.clients) == ((finding.ends.server_ip, finding.ends.server_port), 1, "mail.example.org", {finding.ends.client_ip})


def test_everything_has_a_ceiling(monkeypatch):
    for name, limit in (("MAX_SERVERS", 3), ("MAX_ACCOUNTS", 5), ("MAX_DISTINCT", 6), ("MAX_LABELS", 2)):
        monkeypatch.setattr(module, name, limit)
    parts = []
    for start in (0, 50):
        summary = Summary()
        for n in range(start, start + 50):
            session = made.submission(n, server_ip=f"198.51.100.{n}", service=f"kind{n}")
            session.facts.logins[0].principal = session.findings[0].principal = f"user{n}"
            summary.session(session)
        parts.append(summary)
    for summary in (parts[0], Summary()):
        summary.merge(parts[1])
        if summary.n_sessions == 50:
            summary.merge(parts[0])
        group = summary.groups["PS101"]
        assert len(group.servers) == 3 and group.n == 100 or group.n == 150
        assert group.n == group.n_elsewhere + sum(server.n for server in group.servers.values())
        assert len(summary.accounts) <= 3 and summary.n_accounts <= 5
        assert summary.n_more_accounts + sum(a.n for accounts in summary.accounts.values() for a in accounts.values()) == group.n
        assert len(summary.shares) <= 3 and sum(share.sessions for share in summary.shares.values()) == group.n


def test_worst_first():
    sessions = some_sessions()
    for session in sessions:
        session.findings[1].because_of = None
    summary = summary_of(*sessions)
    summary.findings([made.drops()])
    assert [group.rule_id for group in summary.worst_first()] == ["PS101", "PS204", "PS005"]


def test_tally_counts_roots():
    tally, other = Tally(), Tally()
    tally.session(made.submission()), other.session(made.submission(1)), other.session(made.imaps())
    other.findings([made.drops()])
    tally.merge(pickle.loads(pickle.dumps(other)))
    assert (tally.n_sessions, tally.n_findings, tally.roots) == (3, 5, {"info": 0, "low": 1, "medium": 0, "high": 0, "critical": 2})
