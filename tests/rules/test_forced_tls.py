"""PS901, what the policy's demands do to other findings, and suppressions."""
from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import pickle

import pytest

from pcapsec.records import Capture, Certificate, Ends, Facts, Finding, HttpFacts, HttpRequest, RpcContext, RpcFacts, TlsHandshake, group_id
from pcapsec.rules import Judge, Policy
from pcapsec.rules.policy import Match, Requirement, Suppression

NETWORK = ipaddress.ip_network
TLS12 = TlsHandshake(version="TLSv1.2", cipher_suite="TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", established=True, client_hello_at=200, server_hello_at=210, certificate_at=220,
                     certificates=(Certificate(sha256="ab" * 32, dns_names=("*.mail.protection.example", "mx.b.example"), common_name="mx.b.example"),), chain_length=1)


@pytest.fixture
def demanding(make_court):
    """A court whose policy demands TLS: `demanding({"server_port": (25,)}, min_tls="TLSv1.2")`."""
    def make(match, **options):
        return make_court(require_tls=(Requirement(id="partner", match=Match(**match), **options),))
    return make


@pytest.fixture
def letter(listed, message):
    """A message relayed in clear, although STARTTLS was offered."""
    def make(**fields):
        return listed(offer=True, first_clear_command="MAIL", first_clear_command_at=90, accepted_clear_command="MAIL", messages=fields.pop("messages", [message()]), **fields)
    return make


def upgraded(session, tls=TLS12, **fields):
    """STARTTLS before anything else."""
    return session(**{"starttls_offered": True, "starttls_requested": True, "starttls_accepted": True, "tls_started": True, "tls_mode": "starttls", "tls": tls, **fields})


def test_a_message_in_clear(demanding, letter):
    session = letter()
    finding = demanding({"server_port": (25,), "server": (NETWORK("203.0.113.0/24"),)}).finding(session, "PS901")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("high", "high", "no-tls", 0, 100)
    assert finding.title == "Policy partner requires TLS: 198.51.100.7 exchanged a message with 203.0.113.5 port 25 without it"
    assert finding.evidence == {"policy_id": "partner", "matched_on": {"server_port": 25, "server": "203.0.113.0/24"}, "required": "tls", "observed": "no tls", "passed": "message"}


@pytest.mark.parametrize("match", [
    {"server_port": (26,)}, {"server": (NETWORK("198.51.100.0/24"),)}, {"client": (NETWORK("203.0.113.0/24"),)}, {"ip": (NETWORK("10.0.0.0/8"),)}, {"protocol": ("imap",)},
    {"service": ("submission",)}, {"direction": ("outbound",)}, {"helo": ("a.example",)}, {"mx": ("other.example",)}, {"server_name": ("*.mail.example",)},
    {"rcpt_domain": ("*.b.example",)}, {"from_domain": ("b.example",)}, {"rcpt_domain": ("b.example",), "from_domain": ("c.example",)},
])
def test_other_conversations_are_not_meant(demanding, letter, match):
    session = letter(client_name="pc.b.example", greeting="220 mx.mail.test ESMTP")
    assert demanding(match).verdict(session, "PS901") == ("not_applicable", "")


@pytest.mark.parametrize("match, told", [
    ({"server_port": (24, 25)}, {"server_port": 25}), ({"client": (NETWORK("198.51.100.0/24"),)}, {"client": "198.51.100.0/24"}),
    ({"ip": (NETWORK("198.51.100.7/32"),)}, {"ip": "198.51.100.7/32"}), ({"protocol": ("smtp",)}, {"protocol": "smtp"}), ({"service": ("smtp",)}, {"service": "smtp"}),
    ({"helo": ("*.b.example",)}, {"helo": "PC.b.example"}), ({"mx": ("mx.mail.test",)}, {"mx": "mx.mail.test"}), ({"server_name": ("*.test",)}, {"server_name": "mx.mail.test"}),
    ({"rcpt_domain": ("b.example",)}, {"rcpt_domain": "b.example"}), ({"from_domain": ("*.example",)}, {"from_domain": "a.example"}),
    ({"rcpt_domain": ("b.example",), "from_domain": ("a.example",), "server_port": (25,)}, {"server_port": 25, "rcpt_domain": "b.example", "from_domain": "a.example"}),
])
def test_what_an_entry_means(demanding, letter, match, told):
    session = letter(client_name="PC.b.example", greeting="220 mx.mail.test ESMTP", service="smtp")
    assert demanding(match).finding(session, "PS901").evidence["matched_on"] == told


@pytest.mark.parametrize("client, server, direction", [
    ("10.0.0.1", "203.0.113.5", "outbound"), ("203.0.113.5", "192.0.2.1", "inbound"), ("10.0.0.1", "192.0.2.1", "internal"), ("198.51.100.7", "203.0.113.5", None),
])
def test_directions(make_court, letter, client, server, direction):
    for word in ("inbound", "outbound", "internal"):
        court = make_court(internal_networks=(NETWORK("192.0.2.0/24"),), require_tls=(Requirement(id="x", match=Match(direction=(word,))),))
        assert bool(court.findings(letter(client_ip=client, server_ip=server), "PS901")) == (word == direction)


def test_only_the_messages_that_are_meant_count(demanding, letter, message):
    meant = message(at=300, rcpt_to=["z@partner.example", "y@b.example"])
    finding = demanding({"rcpt_domain": ("partner.example",)}).finding(letter(messages=[message(), meant, message(at=400, rcpt_to=["q@partner.example"])]), "PS901")
    assert (finding.at, finding.evidence["n_messages"], finding.evidence["passed"]) == (300, 2, "message")


class TestProbes:
    def test_nothing_but_a_look(self, demanding, listed):
        assert demanding({"server_port": (25,)}).verdict(listed(offer=True), "PS901") == ("not_applicable", "")

    def test_a_recipient_that_was_only_tried(self, demanding, letter, message):
        session = letter(messages=[message(has_content=False, size_bytes=0, accepted=None, reply_code=None)])
        assert demanding({"server_port": (25,)}).verdict(session, "PS901") == ("not_applicable", "")
        assert demanding({"rcpt_domain": ("b.example",)}).verdict(session, "PS901") == ("not_applicable", "")

    def test_the_server_insisted(self, demanding, listed, login):
        session = listed(offer=True, logins=[login(exposure="none", secret=None, secret_at=None, result="failed", reply_code="530")], first_clear_command="AUTH", first_clear_command_at=60)
        assert demanding({"server_port": (25,)}).verdict(session, "PS901") == ("not_applicable", "")

    def test_what_was_not_captured(self, demanding, listed):
        assert demanding({"server_port": (25,)}).verdict(listed(offer=True, unseen_client="gap"), "PS901") == ("not_observable", "gap")
        assert demanding({"rcpt_domain": ("b.example",)}).verdict(listed(offer=True, unseen_client="one_sided"), "PS901") == ("not_observable", "one_sided")

    def test_tls_that_failed(self, demanding, session):
        failed = dataclasses.replace(TLS12, established=False, version=None)
        assert demanding({"server_port": (25,)}).verdict(upgraded(session, failed), "PS901") == ("not_applicable", "")

    def test_without_a_policy(self, court, letter):
        assert court.verdict(letter(), "PS901") == ("not_applicable", "")


class TestOtherProtocols:
    def test_a_login(self, demanding, session, login):
        finding = demanding({"protocol": ("imap",)}).finding(session("imap", logins=[login("LOGIN-COMMAND", protocol="imap")]), "PS901")
        assert (finding.variant, finding.at, finding.evidence["passed"]) == ("no-tls", 70, "login")

    def test_a_mailbox(self, demanding, session):
        finding = demanding({"server_port": (143,)}).finding(session("imap", preauth=True, n_mailbox_commands=3, first_clear_command="SELECT", first_clear_command_at=40), "PS901")
        assert (finding.side, finding.at, finding.evidence["passed"]) == (0, 40, "mailbox")

    def test_a_layer_of_sasl(self, demanding, session, login):
        made = session("imap", sasl_wrapped=True, n_mailbox_commands=3, logins=[login("GSSAPI", protocol="imap", exposure="ticket", secret=None)])
        assert demanding({"server_port": (143,)}).verdict(made, "PS901") == ("not_observable", "encrypted")

    def test_a_page(self, demanding, session):
        def owa(path, status):
            request = HttpRequest(at=10, method="GET", host="mail.b.example", path=path, status=status, service="owa")
            return session("http", server_port=80, http=HttpFacts(requests=[request], n_requests=1))
        court = demanding({"server_name": ("mail.b.example",)})
        assert court.finding(owa("/owa/", 200), "PS901").evidence["passed"] == "page"
        assert court.verdict(owa("/owa/", 301), "PS901") == ("not_applicable", "")

    def test_rpc_is_no_matter_of_tls(self, demanding, session):
        assert demanding({"server_port": (25,)}).verdict(session("dcerpc", server_port=25), "PS901") == ("not_applicable", "")


class TestTls:
    def test_before_it_began(self, demanding, session, login):
        finding = demanding({"server_port": (25,)}).finding(upgraded(session, logins=[login()]), "PS901")
        assert (finding.variant, finding.evidence["observed"], finding.evidence["passed"]) == ("before-tls", "tls later", "login")

    @pytest.mark.parametrize("version, least, verdict", [
        ("TLSv1.2", "TLSv1.2", "pass"), ("TLSv1.3", "TLSv1.2", "pass"), ("TLSv1.3-draft28", "TLSv1.3", "pass"), ("TLSv1.1", "TLSv1.2", "fail"), ("SSLv3", "TLSv1.0", "fail"),
        ("SSLv2", "TLSv1.0", "fail"), ("TLSv1.2", "TLSv1.3", "fail"), ("TLSv1.0", None, "pass"), ("0x0399", "TLSv1.2", "not_observable"), (None, "TLSv1.2", "not_observable"),
    ])
    def test_versions(self, demanding, session, version, least, verdict):
        made = upgraded(session, dataclasses.replace(TLS12, version=version))
        assert demanding({"server_port": (25,)}, min_tls=least).verdict(made, "PS901")[0] == verdict

    def test_a_version_too_low(self, demanding, session):
        finding = demanding({"server_port": (25,)}, min_tls="TLSv1.3").finding(upgraded(session), "PS901")
        assert (finding.variant, finding.side, finding.at) == ("version", 1, 210)
        assert finding.title == "Policy partner requires TLSv1.3: 203.0.113.5 port 25 chose TLSv1.2"
        assert finding.evidence == {"policy_id": "partner", "matched_on": {"server_port": 25}, "required": "TLSv1.3", "observed": "TLSv1.2"}

    @pytest.mark.parametrize("names, verdict", [
        (("mx.b.example",), "pass"), (("*.mail.protection.example",), "pass"), (("b-example.mail.protection.example",), "pass"), (("*.b.example",), "pass"),
        (("x.y.mail.protection.example",), "fail"), (("*.example",), "fail"), (("other.example", "mx.b.example"), "pass"), (("other.example",), "fail"),
    ])
    def test_names(self, demanding, session, names, verdict):
        assert demanding({"server_port": (25,)}, names=names).verdict(upgraded(session), "PS901")[0] == verdict

    def test_another_name(self, demanding, session):
        finding = demanding({"server_port": (25,)}, names=("other.example",)).finding(upgraded(session), "PS901")
        assert (finding.variant, finding.at) == ("name", 220)
        assert finding.evidence == {"policy_id": "partner", "matched_on": {"server_port": 25}, "required": ["other.example"],
                                    "observed": ["*.mail.protection.example", "mx.b.example"], "sha256": "ab" * 32}

    @pytest.mark.parametrize("changes, reason", [
        ({"version": "TLSv1.3", "certificates": (), "chain_length": None}, "tls13_cert_hidden"), ({"resumed": True, "certificates": (), "chain_length": None}, "resumed_session"),
        ({"cipher_suite": "TLS_ECDH_anon_WITH_AES_256_CBC_SHA", "certificates": (), "chain_length": None}, "no_certificate_seen"),
    ])
    def test_hidden_names(self, demanding, session, changes, reason):
        made = upgraded(session, dataclasses.replace(TLS12, **changes))
        assert demanding({"server_port": (25,)}, names=("mx.b.example",)).verdict(made, "PS901") == ("not_observable", reason)
        assert demanding({"server_port": (25,)}).verdict(made, "PS901") == ("pass", "")

    def test_domains_are_hidden(self, demanding, session, message):
        court = demanding({"rcpt_domain": ("b.example",)}, min_tls="TLSv1.3")
        assert court.verdict(upgraded(session), "PS901") == ("not_observable", "encrypted")
        made = upgraded(session, decrypted=True, inner=Facts(protocol="smtp", messages=[message(at=(1 << 46) + 5)]))
        assert court.finding(made, "PS901").variant == "version"

    def test_implicit(self, demanding, session):
        made = session("tls", server_port=993, service="imaps", tls_mode="implicit", tls=dataclasses.replace(TLS12, version="TLSv1.1", sni="imap.b.example"))
        assert demanding({"protocol": ("imap",), "server_name": ("imap.b.example",)}, min_tls="TLSv1.2").finding(made, "PS901").variant == "version"
        assert demanding({"helo": ("pc.b.example",)}).verdict(made, "PS901") == ("not_observable", "encrypted")


class TestRpc:
    def called(self, session, level, **fields):
        context = RpcContext(at=0, context_id=0, interface_uuid="a4f1db00-ca47-1067-b31f-00dd010662da", interface="EMSMDB", interface_source="bind", accepted=True, auth_type="NTLM",
                             auth_level=level, levels={level: 5}, requests=5, responses=5, first_request_at=400, weakest_request_at=450)
        return session("dcerpc", server_port=6001, rpc=[RpcFacts(contexts=[context], bind_at=0)], **fields)

    def test_levels(self, make_court, session):
        court = make_court(require_rpc_privacy=(NETWORK("203.0.113.0/24"),))
        finding = court.finding(self.called(session, 5), "PS901")
        assert (finding.variant, finding.side, finding.at) == ("rpc-privacy", 0, 450)
        assert finding.evidence == {"policy_id": "require_rpc_privacy", "matched_on": {"server": "203.0.113.0/24"}, "required": "rpc privacy", "observed": "integrity"}
        assert court.verdict(self.called(session, 6), "PS901") == ("pass", "")
        assert court.verdict(self.called(session, 2, server_ip="192.0.2.1"), "PS901") == ("not_applicable", "")

    def test_an_interface_that_nothing_names(self, make_court, session):
        made = session("dcerpc", server_port=6001, unseen_client="midstream", rpc=[RpcFacts(contexts=[RpcContext(at=0, context_id=0, auth_level=2, levels={2: 1}, requests=1)])])
        assert make_court(require_rpc_privacy=(NETWORK("203.0.113.0/24"),)).verdict(made, "PS901") == ("not_observable", "midstream")


def test_two_entries_are_two_findings(make_court, letter):
    court = make_court(require_tls=tuple(Requirement(id=name, match=Match(server_port=(25,))) for name in ("one", "two")))
    found = court.findings(letter(), "PS901")
    assert [finding.evidence["policy_id"] for finding in found] == ["one", "two"] and len({finding.finding_id for finding in found}) == 2


class TestSeverities:
    def test_missing_protection_is_raised(self, demanding, letter, court):
        severities = {finding.rule.id: (finding.severity, finding.severity_reason) for finding in demanding({"server_port": (25,)}).try_session(letter()).findings}
        assert severities == {"PS204": ("high", ""), "PS206": ("high", "port 25 between mail servers;policy partner requires TLS"), "PS705": ("medium", ""), "PS901": ("high", "")}
        assert {finding.rule.id: finding.severity for finding in court.try_session(letter()).findings} == {"PS204": "high", "PS206": "medium", "PS705": "medium"}

    def test_private_ends_do_not_lower_it(self, demanding, letter):
        session = demanding({"server_port": (25,)}).try_session(letter(client_ip="10.0.0.1", server_ip="10.0.0.2"))
        assert {finding.rule.id: finding.severity for finding in session.findings if finding.rule.category == "cleartext"} == {"PS204": "high", "PS206": "high", "PS213": "high"}

    def test_loopback_is_nobodys_network(self, demanding, letter):
        session = demanding({"server_port": (25,)}).try_session(letter(client_ip="127.0.0.1", server_ip="127.0.0.1"))
        assert {finding.severity for finding in session.findings} == {"info"}

    def test_a_version_raises_nothing(self, demanding, session):
        made = demanding({"server_port": (25,)}, min_tls="TLSv1.3").try_session(upgraded(session, client_name="pc.b.example", n_commands=2))
        assert {finding.rule.id: finding.severity for finding in made.findings if finding.rule.category == "cleartext"} == {"PS217": "info"}


def suppression(*rules, expires=None, **match):
    return Suppression(rules=rules, match=Match(**match), reason="replaced in March", expires=expires, place="p.yml, line 3")


class TestSuppressions:
    def said(self, make_court, letter, *entries, **fields):
        return {finding.rule.id: (finding.suppressed, finding.because_of is not None) for finding in make_court(suppress=entries).try_session(letter(**fields)).findings}

    def test_a_suppressed_root_hides_nothing_else(self, make_court, letter):
        assert self.said(make_court, letter) == {"PS204": (None, False), "PS206": (None, True), "PS705": (None, True)}
        assert self.said(make_court, letter, suppression("PS204")) == {"PS204": ("replaced in March", False), "PS206": (None, False), "PS705": (None, True)}

    @pytest.mark.parametrize("match, means", [
        ({"ip": (NETWORK("198.51.100.7/32"),)}, True), ({"ip": (NETWORK("192.0.2.0/24"),)}, False), ({"server": (NETWORK("203.0.113.0/24"),)}, True),
        ({"server": (NETWORK("198.51.100.0/24"),)}, False), ({"client": (NETWORK("198.51.100.0/24"),)}, True), ({"server_port": (25,)}, True), ({"server_port": (587,)}, False),
        ({"protocol": ("imap",)}, False), ({"server": (NETWORK("203.0.113.5/32"),), "server_port": (587,)}, False), ({"principal": ("bob",)}, False),
    ])
    def test_what_is_meant(self, make_court, letter, match, means):
        assert self.said(make_court, letter, suppression("PS204", **match))["PS204"][0] == ("replaced in March" if means else None)

    def test_accounts_groups_and_single_findings(self, make_court, listed, login):
        def session():
            return listed(logins=[login(), login(at=160, secret_at=170, principal="bob@example.com")])
        alice, bob = make_court().findings(session(), "PS101")
        for match, expected in (
            ({"principal": ("alice@example.com",)}, ["replaced in March", None]), ({"finding": (bob.finding_id,)}, [None, "replaced in March"]),
            ({"group": (group_id(alice, session()),)}, ["replaced in March", None]), ({"group": (group_id(bob, session())[6:],)}, [None, "replaced in March"]),
        ):
            assert [finding.suppressed for finding in make_court(suppress=(suppression("PS101", **match),)).findings(session(), "PS101")] == expected

    def test_expiry(self, make_court, letter):  # the court's present is 2027-01-15
        assert self.said(make_court, letter, suppression("PS204", expires=datetime.date(2027, 1, 14)))["PS204"][0] is None
        assert self.said(make_court, letter, suppression("PS204", expires=datetime.date(2027, 1, 15)))["PS204"][0] == "replaced in March"

    def test_judgements_on_captures(self):
        judge = Judge(Policy(suppress=(suppression("PS005"), suppression("PS006", server=(NETWORK("10.0.0.0/8"),)))))
        [finding] = [finding for finding in judge.capture([Capture(name="a.pcap", packets=10, dropped=5)]) if finding.rule.id == "PS005"]
        assert finding.suppressed == "replaced in March"

    def test_the_conversation_that_a_finding_points_at(self, rules):
        judge = Judge(Policy(suppress=(suppression("PS204", server=(NETWORK("10.0.0.0/8"),)),)))
        for server, suppressed in (("10.0.0.1", "replaced in March"), ("192.0.2.1", None)):
            finding = Finding(rule=rules["PS204"], severity="high", confidence="high", title="x", ends=Ends("5e55", "192.0.2.7", 40000, server, 25, "smtp", "smtp", 1, 2))
            judge.suppressions.apply(finding, finding.ends)
            assert finding.suppressed == suppressed
        judge.suppressions.apply(finding := Finding(rule=rules["PS204"], severity="high", confidence="high", title="x"), None)
        assert finding.suppressed is None


def test_a_policy_travels_to_workers():
    policy = Policy.parse("version: 1\nrequire_tls: [{id: a, match: {server_port: 25}}]\nsuppress: [{rule: PS204, reason: x}]\n")
    assert pickle.loads(pickle.dumps(policy)) == policy
