"""PS910: shares of conversations over TLS; PS907 where all that is known is that the client uses TLS too."""
from __future__ import annotations

import pytest

from pcapsec.records import TlsHandshake
from tests.rules.conftest import make_login, make_session
from tests.rules.correlation.test_account_rules import at, judged, login

TLS = {"tls_mode": "implicit", "tls": TlsHandshake(version="TLSv1.3", established=True), "protocol": "tls", "service": "imaps", "server_port": 993, "first_clear_command": None, "greeting": None}


def tls(number: int, **fields):
    return at(number, **{**TLS, **fields})


def clear(number: int, **fields):
    return at(number, **{"service": "smtp", "first_clear_command": "MAIL", "bytes_client": 100, **fields})


def test_ps910():
    sessions = [*(tls(n, client_ip=f"198.51.100.{n}", bytes_client=1000) for n in range(6)), *(clear(n, n_mailbox_commands=3) for n in range(10, 13)),
                clear(20, unseen_client="gap", client_ip="2001:db8:1:2::7", server_ip="2001:db8:2::1", greeting=None), clear(30, first_clear_command=None)]
    [finding], counts = judged("PS910", *sessions)
    assert (finding.severity, finding.confidence, finding.title) == ("info", "high", "60% of 10 mail conversations went over TLS, 30% in clear, 10% cannot be told")
    assert finding.evidence == {
        "n_sessions": 10, "n_tls": 6, "n_clear": 3, "n_unknown": 1, "n_with_mail": 3, "bytes_tls": 6000, "bytes_clear": 300, "bytes_unknown": 100, "n_peers": 3, "peers": [
            {"client_net": "198.51.100.0/24", "server": "mail.example", "role": "relay", "n_tls": 0, "n_clear": 3, "n_unknown": 0, "n_with_mail": 3, "bytes_tls": 0, "bytes_clear": 300, "bytes_unknown": 0},
            {"client_net": "2001:db8:1::/48", "server": "2001:db8:2::1", "role": "relay", "n_tls": 0, "n_clear": 0, "n_unknown": 1, "n_with_mail": 0, "bytes_tls": 0, "bytes_clear": 0, "bytes_unknown": 100},
            {"client_net": "198.51.100.0/24", "server": "203.0.113.5", "role": "access", "n_tls": 6, "n_clear": 0, "n_unknown": 0, "n_with_mail": 0, "bytes_tls": 6000, "bytes_clear": 0, "bytes_unknown": 0}]}
    assert counts == [1, 0, 0, 0] and (finding.capture, finding.frame) == ("a.pcap", 1)


def test_ps910_what_cannot_be_told_is_never_protected():
    begun = TlsHandshake(version="TLSv1.3", established=None)
    [finding], _ = judged("PS910", *(tls(n, tls=begun) for n in range(10)))
    assert (finding.evidence["n_tls"], finding.evidence["n_unknown"]) == (0, 10)


def test_ps910_near_misses():
    assert judged("PS910", *(clear(n) for n in range(9))) == ([], [0, 1, 0, 0])
    assert judged("PS910", make_session("http")) == ([], [0, 0, 1, 0])


def test_ps907_the_client_uses_tls_too():
    [finding], _ = judged("PS907", at(1, login("alice", protocol="imap"), protocol="imap", client_name="pc"), tls(2), tls(3))
    assert (finding.severity, finding.confidence, finding.variant) == ("high", "medium", "client")
    assert (finding.evidence["n_clear"], finding.evidence["n_tls"], finding.evidence["tls_server"], finding.evidence["related_session_ids"]) == (1, 2, "203.0.113.5:993", ["0001", "0000000000000002"])


def test_ps907_several_accounts_at_the_client():
    findings, _ = judged("PS907", at(1, login("alice")), at(4, login("bob")), tls(2))
    assert [(finding.principal, finding.confidence) for finding in findings] == [("alice", "low"), ("bob", "low")]


@pytest.mark.parametrize("other", [
    {"client_ip": "198.51.100.8"}, {"server_ip": "203.0.113.9"}, {"tls": TlsHandshake(version="TLSv1.3", established=False)}, {"service": "smtp", "server_port": 25, "tls_mode": "starttls"},
    {"logins": [make_login(protocol="imap")], "protocol": "imap", "tls_mode": "starttls"},
], ids=["another client", "another server", "it failed", "between mail servers", "the same conversation"])
def test_ps907_near_misses(other):
    findings, _ = judged("PS907", at(1, login("alice")), tls(2, **other))
    assert findings == []
