"""What DNS answers promise, and the rules that hold conversations against it: PS805-PS809, PS811, PS902, and the names that PS214, PS424 and PS901 take from DNS."""
from __future__ import annotations

import ipaddress
import pickle

import pytest
from tests import dns_bytes as made

from pcapsec.protocols.dns_answers import read_answer
from pcapsec.records import Capture, Certificate, EspAssociation, EspFacts, RpcContext, RpcFacts, Sighting, TlsHandshake
from pcapsec.rules import Judge, Policy
from pcapsec.rules import dns_policy as module
from pcapsec.rules.deliveries import Deliveries
from pcapsec.rules.dns_policy import Dns, covers
from pcapsec.rules.policy import Match, Requirement, StsPolicy

NETWORK = ipaddress.ip_network
ADDRESS = "mx1.b.example. 60 IN A 203.0.113.5"  # the server of hand-made sessions
NOW = 1_700_000_000 * 10**9


def sighting(ts_ns: int = NOW, frame: int = 3, capture: str = "a.pcap") -> Sighting:
    return Sighting(ts_ns, capture, frame, made.CLIENT, made.RESOLVER)


def learn(judge: Judge, *messages: bytes, at: Sighting | None = None) -> None:
    for message in messages:
        for answer in read_answer(message):
            judge.site.collected.dns.take(answer, at or sighting())


def said(rule_id: str, *messages: bytes, sessions=(), captures=("a.pcap",), **policy):
    """Findings of a rule about captures and how often it answered what: by one judge, and the same by two workers whose collections travel."""
    results = []
    for n_workers in (1, 2):
        workers = [Judge(Policy(**policy)) for _ in range(n_workers)]
        for worker in workers:
            learn(worker, *messages)
        for n, session in enumerate(sessions):
            session.findings = []
            workers[n % n_workers].session(session)
        judge = Judge(Policy(**policy))
        for worker in reversed(workers):
            assert not worker.faults, worker.fault_log
            judge.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
        found = [finding for finding in judge.capture([Capture(name=name, packets=10) for name in captures]) if finding.rule.id == rule_id]
        assert not judge.faults, judge.fault_log
        results.append(([(x.finding_id, x.title, x.severity, x.confidence, x.variant, x.capture, x.frame, x.ts_ns, x.evidence, x.ends) for x in found], judge.counts[rule_id]))
    assert results[0] == results[1]
    for finding in found:
        page = finding.rule.page
        assert [key for key in finding.evidence if key not in page] == []
    return found, dict(zip(("fail", "pass", "not_applicable", "not_observable"), judge.counts[rule_id]))


def only(counts: dict[str, int]) -> str:
    [name] = [name for name, n in counts.items() if n]
    return name


class TestRecords:
    def test_mta_sts(self):
        [finding], _ = said("PS805", made.answer(*made.STS, ad=True))
        assert (finding.title, finding.severity, finding.variant, finding.capture, finding.frame, finding.ts_ns) == (
            "b.example publishes an MTA-STS record", "info", "", "a.pcap", 3, NOW)
        assert finding.evidence == {"domain": "b.example", "records": ["v=STSv1; id=20240101;"], "id": "20240101", "mode": "unknown", "fetched": False, "authenticated": True,
                                    "asked_by": made.CLIENT, "answered_by": made.RESOLVER}
        [finding], _ = said("PS805", made.answer(*made.STS), mta_sts=(("b.example", StsPolicy(mode="testing")),))
        assert finding.evidence["mode"] == "testing"

    def test_its_policy_was_fetched(self, session):
        tls = TlsHandshake(version="TLSv1.3", cipher_suite="TLS_AES_128_GCM_SHA256", sni="mta-sts.b.example", established=True)
        fetch = session("tls", server_port=443, service="https", tls_mode="implicit", tls=tls)
        [finding], _ = said("PS805", made.answer(*made.STS), sessions=[fetch])
        assert finding.evidence["fetched"] is True

    def test_records_that_count_for_nothing(self):
        [finding], _ = said("PS805", made.answer(*made.STS, "_mta-sts.b.example. 60 IN TXT \"v=STSv1; id=2\""))
        assert (finding.variant, finding.title) == ("invalid", "b.example publishes an MTA-STS record that counts for nothing")
        assert only(said("PS805", made.answer("_mta-sts.b.example. 60 IN TXT \"v=spf1 -all\""))[1]) == "pass"
        [finding], _ = said("PS807", made.answer("_smtp._tls.b.example. 60 IN TXT \"v=TLSRPTv1; rua=b\""))
        assert finding.variant == "invalid"
        assert only(said("PS807", made.answer("_smtp._tls.b.example. 60 IN TXT \"hello\""))[1]) == "pass"

    def test_without_dns_nobody_can_tell(self):
        for rule_id in ("PS805", "PS806", "PS807", "PS808", "PS809"):
            assert only(said(rule_id)[1]) == "not_observable"

    def test_tlsrpt(self):
        [finding], _ = said("PS807", made.answer(*made.RPT))
        assert (finding.title, finding.evidence["rua"]) == ("b.example asks for reports about TLS", "mailto:tls@b.example")

    def test_srv(self):
        found, _ = said("PS808", made.answer(*made.SRV), made.answer(*made.NO_SRV))
        assert [(x.variant, x.title, x.evidence["offered"], x.evidence["implicit_tls"]) for x in found] == [
            ("imap", "b.example says that it has no imap", False, False), ("imaps", "b.example says that it has imaps", True, True)]

    def test_a_record_is_told_where_it_was_first_seen(self):
        judge = Judge()
        for at in (sighting(NOW + 5, 9, "b.pcap"), sighting(NOW, 3), sighting(NOW + 7, 12)):
            learn(judge, made.answer(*made.STS), at=at)
        found = [x for x in judge.capture([Capture(name="b.pcap"), Capture(name="a.pcap")]) if x.rule.id == "PS805"]
        assert [(x.capture, x.frame, x.ts_ns) for x in found] == [("a.pcap", 3, NOW)]

    def test_exchangers_that_were_spoken_to(self, listed):
        [finding], _ = said("PS809", made.answer(*made.MX, more=(ADDRESS,)), made.answer("other.example. 60 IN MX 1 mx.other.example."), sessions=[listed(), listed(session_id="5e56")])
        assert finding.title == "Mail for b.example goes to mx1.b.example, mx2.b.example"
        assert finding.evidence["records"] == ["10 mx1.b.example", "20 mx2.b.example"] and finding.evidence["servers"] == {"203.0.113.5": 2}
        assert only(said("PS809", made.answer(*made.MX))[1]) == "pass"


class TestTlsa:
    CHAIN = (Certificate(sha256="11" * 32, spki_sha256="ab" * 32), Certificate(sha256="22" * 32, spki_sha256="33" * 32))

    def shown(self, session, certificates):
        tls = TlsHandshake(version="TLSv1.2", cipher_suite="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", established=True, certificates=certificates, chain_length=len(certificates))
        return session(starttls_offered=True, starttls_requested=True, starttls_accepted=True, tls_started=True, tls_mode="starttls", tls=tls)

    def test_records_alone(self):
        [finding], _ = said("PS806", made.answer(*made.TLSA, ad=True))
        assert (finding.title, finding.severity, finding.variant) == ("mx1.b.example port 25 has TLSA records", "info", "")
        assert finding.evidence == {"domain": "mx1.b.example", "records": ["3 1 1 " + "ab" * 32], "port": 25, "usable": 1, "signed": False, "authenticated": True,
                                    "asked_by": made.CLIENT, "answered_by": made.RESOLVER}

    @pytest.mark.parametrize("data, matches", [
        ("3 1 1 " + "ab" * 32, True), ("3 0 1 " + "11" * 32, True), ("2 0 1 " + "22" * 32, True), ("2 1 1 " + "33" * 32, True), ("3 0 1 " + "22" * 32, False),
        ("3 1 1 " + "cd" * 32, False), ("3 1 2 " + "cd" * 64, None),
    ])
    def test_certificates_that_were_seen(self, session, data, matches):
        [finding], _ = said("PS806", made.answer(*made.MX, more=(ADDRESS,)), made.answer("_25._tcp.mx1.b.example. 60 IN TLSA " + data, ad=True), sessions=[self.shown(session, self.CHAIN)])
        assert finding.evidence.get("certificate_matches") is matches
        assert (finding.severity, finding.variant) == (("medium", "mismatch") if matches is False else ("info", ""))

    def test_a_mismatch_that_binds_nobody(self, session):
        [finding], _ = said("PS806", made.answer(*made.MX, more=(ADDRESS,)), made.answer("_25._tcp.mx1.b.example. 60 IN TLSA 3 1 1 " + "cd" * 32), sessions=[self.shown(session, self.CHAIN)])
        assert (finding.severity, finding.variant) == ("info", "mismatch")

    def test_a_key_that_was_changed(self, session):
        old, new = made.answer("_25._tcp.mx1.b.example. 60 IN TLSA 3 1 1 " + "cd" * 32, ad=True), made.answer(*made.TLSA, ad=True)
        found, _ = said("PS806", made.answer(*made.MX, more=(ADDRESS,)), old, new, sessions=[self.shown(session, self.CHAIN)])
        assert [x.evidence["certificate_matches"] for x in found] == [True]


class TestDeliveries:
    MAP = made.answer(*made.MX, more=(ADDRESS,), ad=True)

    def letter(self, listed, make_one, **fields):
        return listed(offer=True, messages=[make_one(**fields.pop("message", {}))], first_clear_command="MAIL", first_clear_command_at=90, accepted_clear_command="MAIL", **fields)

    def test_mta_sts(self, listed, message):
        [finding], _ = said("PS902", self.MAP, made.answer(*made.STS), sessions=[self.letter(listed, message)])
        assert finding.title == "Mail for b.example went in clear to 203.0.113.5 port 25, although the domain promises TLS by MTA-STS"
        assert (finding.severity, finding.confidence, finding.variant, finding.capture, finding.frame, finding.ts_ns) == ("high", "low", "mta-sts", "a.pcap", 100, 100)
        assert (finding.ends.session_id, finding.ends.server_ip) == ("5e55", "203.0.113.5")
        assert finding.evidence == {
            "domain": "b.example", "exchangers": ["mx1.b.example"], "offered": True, "n_messages": 1, "mode": "unknown", "sts_id": "20240101",
            "possible_causes": ["the sending server knows neither MTA-STS nor DANE", "the sending server is set to do without TLS for this domain"],
            "sts_record": {"records": ["v=STSv1; id=20240101;"], "capture": "a.pcap", "frame": 3, "authenticated": False}}

    @pytest.mark.parametrize("mode, mx, expected", [
        ("enforce", (), ("medium", None)), ("enforce", ("*.b.example",), ("medium", True)), ("enforce", ("mail.b.example", "*.mx1.b.example"), ("medium", False)),
        ("testing", (), None), ("none", (), None),
    ])
    def test_what_the_policy_file_says(self, listed, message, mode, mx, expected):
        found, counts = said("PS902", self.MAP, made.answer(*made.STS), sessions=[self.letter(listed, message)], mta_sts=(("b.example", StsPolicy(mode=mode, mx=mx)),))
        assert [(x.confidence, x.evidence.get("listed")) for x in found] == ([expected] if expected else [])
        assert only(counts) == ("fail" if expected else "pass")

    def test_dane(self, listed, message):
        [finding], _ = said("PS902", self.MAP, made.answer(*made.TLSA, ad=True), sessions=[self.letter(listed, message)])
        assert (finding.variant, finding.confidence) == ("dane", "medium")
        assert finding.evidence["tlsa_records"] == {"records": ["3 1 1 " + "ab" * 32], "capture": "a.pcap", "frame": 3, "authenticated": True}
        [finding], _ = said("PS902", made.answer(*made.MX, more=(ADDRESS,)), made.answer(*made.TLSA, ad=True), made.answer(*made.STS), sessions=[self.letter(listed, message)])
        assert (finding.variant, finding.confidence) == ("both", "low")  # nobody vouches for the list of exchangers

    @pytest.mark.parametrize("answers", [
        (made.answer(*made.TLSA),),  # without DNSSEC's word
        (made.answer("_25._tcp.mx1.b.example. 60 IN TLSA 1 1 1 " + "ab" * 32, ad=True),),  # a usage that does not count
        (made.answer("_465._tcp.mx1.b.example. 60 IN TLSA 3 1 1 " + "ab" * 32, ad=True),), (made.answer("_25._tcp.mx2.b.example. 60 IN TLSA 3 1 1 " + "ab" * 32, ad=True),),
        (made.answer("_mta-sts.b.example. 60 IN TXT \"v=STSv1;\""),), (made.answer("_mta-sts.c.example. 60 IN TXT \"v=STSv1; id=1\""),),
    ])
    def test_no_promise(self, listed, message, answers):
        assert only(said("PS902", self.MAP, *answers, sessions=[self.letter(listed, message)])[1]) == "pass"

    @pytest.mark.parametrize("fields", [
        {"message": {"tls_required_no": True}}, {"message": {"has_content": False, "size_bytes": 0}}, {"message": {"rcpt_accepted": []}}, {"message": {"rcpt_accepted": ["y@c.example"]}},
    ])
    def test_no_mail_of_that_domain(self, listed, message, fields):
        found, _ = said("PS902", self.MAP, made.answer(*made.STS), sessions=[self.letter(listed, message, **fields)])
        assert found == []

    def test_a_relay_is_no_exchanger(self, listed, message):
        found, counts = said("PS902", self.MAP, made.answer(*made.STS), sessions=[self.letter(listed, message, server_ip="203.0.113.99")])
        assert found == [] and only(counts) == "not_observable"

    def test_answers_that_were_not_seen(self, listed, message):
        sent = self.letter(listed, message, message={"rcpt_accepted": [], "accepted": None, "reply_code": None}, unseen_server="one_sided")
        assert [x.variant for x in said("PS902", self.MAP, made.answer(*made.STS), sessions=[sent])[0]] == ["mta-sts"]

    def test_what_nobody_can_tell(self, listed, message):
        assert only(said("PS902", sessions=[self.letter(listed, message)])[1]) == "not_observable"
        assert only(said("PS902", self.MAP)[1]) == "not_applicable"

    def test_several(self, listed, message):
        letters = [self.letter(listed, message, session_id=f"5e5{n}", start_ns=n, locate=lambda side, at, n=n: ("a.pcap", n + 10, n)) for n in (3, 1, 2)]
        [finding], _ = said("PS902", self.MAP, made.answer(*made.STS), sessions=letters)
        assert (finding.evidence["n_messages"], finding.ends.session_id, finding.frame) == (3, "5e51", 11)

    def test_loopback(self, listed, message):
        local = made.answer(*made.MX, more=("mx1.b.example. 60 IN A 127.0.0.1",))
        [finding], _ = said("PS902", local, made.answer(*made.STS), sessions=[self.letter(listed, message, client_ip="127.0.0.1", server_ip="127.0.0.1")])
        assert (finding.severity, finding.severity_reason) == ("info", "both ends loopback")


class TestSites:
    SITES = (("dublin", (NETWORK("10.1.0.0/16"),)), ("amsterdam", (NETWORK("10.2.0.0/16"),)))

    def between(self, make, client="10.1.0.5", server="10.2.0.5", **fields):
        return make(client_ip=client, server_ip=server, **fields)

    def test_mail(self, listed, message):
        sessions = [self.between(listed, session_id=f"5e5{n}", start_ns=n, messages=[message()], locate=lambda side, at, n=n: ("a.pcap", n + 10, n)) for n in (2, 1)]
        [finding], _ = said("PS811", sessions=sessions, sites=self.SITES)
        assert (finding.title, finding.severity, finding.confidence, finding.variant) == ("SMTP passes in clear from dublin to amsterdam: 2 conversations", "high", "medium", "smtp")
        assert (finding.ends.session_id, finding.frame) == ("5e51", 11)
        assert finding.evidence == {"site_a": "dublin", "site_b": "amsterdam", "passed": ["message"], "n_sessions": 2, "bytes": 1000, "related_session_ids": ["5e51", "5e52"],
                                    "possible_causes": ["IPsec between gateways behind the place of capture", "MACsec or another encryption of the link"]}

    def test_calls(self, session):
        context = RpcContext(at=0, context_id=0, interface_uuid="a4f1db00-ca47-1067-b31f-00dd010662da", interface="EMSMDB", interface_source="bind", accepted=True, auth_level=2,
                             levels={2: 5}, requests=5, weakest_request_at=450)
        [finding], _ = said("PS811", sessions=[self.between(session, protocol="dcerpc", server_port=6001, rpc=[RpcFacts(contexts=[context], bind_at=0)])], sites=self.SITES)
        assert (finding.variant, finding.evidence["passed"], finding.frame) == ("dcerpc", ["calls"], 450)

    @pytest.mark.parametrize("ends, answer", [
        ({"server": "10.1.0.9"}, "not_applicable"), ({"server": "10.3.0.1"}, "not_applicable"), ({"client": "192.0.2.1"}, "not_applicable"),
    ])
    def test_one_site(self, listed, message, ends, answer):
        assert only(said("PS811", sessions=[self.between(listed, messages=[message()], **ends)], sites=self.SITES)[1]) == answer

    @pytest.mark.parametrize("server, clear, answer", [("10.2.0.1", False, "not_observable"), ("10.2.0.1", True, "fail"), ("10.3.0.1", False, "fail")])
    def test_a_tunnel_between_them(self, listed, message, session, server, clear, answer):
        judge = Judge(Policy(sites=self.SITES))
        judge.session(self.between(listed, messages=[message()]))
        tunnel = session("esp", client_ip="10.1.0.1", server_ip=server, esp=EspFacts(associations=[EspAssociation(spi=7, source="10.1.0.1", destination=server, kind="esp", clear=clear)]))
        judge.site.collected.carriers.esp.append(tunnel)
        judge.capture([Capture(name="a.pcap", packets=10)])
        assert not judge.faults and only(dict(zip(("fail", "pass", "not_applicable", "not_observable"), judge.counts["PS811"]))) == answer

    def test_protected(self, listed, session):
        tls = TlsHandshake(version="TLSv1.3", cipher_suite="TLS_AES_128_GCM_SHA256", established=True)
        sessions = [self.between(session, tls_started=True, tls_mode="starttls", tls=tls), self.between(listed, session_id="5e56")]
        assert only(said("PS811", sessions=sessions, sites=self.SITES)[1]) == "pass"
        assert only(said("PS811", sessions=sessions)[1]) == "not_applicable"


class TestNamesFromDns:
    def asked(self, court, *messages, at=None):
        learn(court.judge, *messages, at=at or sighting())
        return court

    def test_an_exchanger_is_no_open_relay(self, make_court, listed, message):
        relayed = {"messages": [message(rcpt_accepted=["y@b.example", "z@c.example"])]}
        court = make_court(local_domains=("contoso.com",))
        assert court.finding(listed(**relayed), "PS214").evidence == {"mail_from_domain": "a.example", "rcpt_domains": ["b.example", "c.example"], "reply_code": "250"}
        court = self.asked(make_court(local_domains=("contoso.com",)), made.answer(*made.MX, more=(ADDRESS,)), made.answer("c.example. 60 IN MX 1 mx.c.example."))
        assert court.finding(listed(**relayed), "PS214").evidence == {"mail_from_domain": "a.example", "rcpt_domains": ["c.example"], "reply_code": "250", "exchangers": ["mx.c.example"]}
        assert court.verdict(listed(messages=[message()]), "PS214") == ("pass", "")

    def test_the_name_of_an_exchanger_must_stand_in_its_certificate(self, make_court, session):
        def relay(*names):
            tls = TlsHandshake(version="TLSv1.2", cipher_suite="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", established=True, chain_length=1, server_hello_at=50, certificate_at=60,
                               certificates=(Certificate(sha256="11" * 32, dns_names=names, sans=names, subject="CN=x", issuer="CN=y"),))
            return session(starttls_offered=True, starttls_requested=True, starttls_accepted=True, tls_started=True, tls_mode="starttls", tls=tls)
        court = make_court()
        assert court.verdict(relay("mx.other.example"), "PS424") == ("not_observable", "no_reference_name")
        self.asked(court, made.answer(*made.MX, more=(ADDRESS,)))
        finding = court.finding(relay("mx.other.example"), "PS424")
        assert (finding.severity, finding.evidence["reference"], finding.evidence["sni"]) == ("low", "mx", "mx1.b.example")
        assert court.verdict(relay("*.b.example"), "PS424") == ("pass", "")

    def test_what_was_answered_later_is_not_known_yet(self, make_court, session, listed, message):
        court = self.asked(make_court(local_domains=("contoso.com",)), made.answer(*made.MX, more=(ADDRESS,)), at=sighting(NOW + 2 * 10**9))
        assert court.finding(listed(messages=[message()]), "PS214")

    def test_a_requirement_by_exchanger(self, make_court, listed, message):
        court = make_court(require_tls=(Requirement(id="x", match=Match(mx=("*.b.example",))),))
        letter = {"messages": [message()], "greeting": "220 gateway ESMTP"}
        assert court.verdict(listed(**letter), "PS901") == ("not_applicable", "")
        self.asked(court, made.answer(*made.MX, more=(ADDRESS,)))
        assert court.finding(listed(**letter), "PS901").evidence["matched_on"] == {"mx": "mx1.b.example"}


class TestMemory:
    def test_services(self):
        dns = Dns()
        for message in (made.answer(*made.SRV, "_imaps._tcp.b.example. 60 IN SRV 0 9 994 big.b.example.", "_imaps._tcp.b.example. 60 IN SRV 5 1 993 late.b.example."),
                        made.answer(*made.NO_SRV), made.answer("_submissions._tcp.b.example. 60 IN SRV 0 0 0 .")):
            for answer in read_answer(message):
                dns.take(answer, sighting())
        assert dns.implicit_tls("b.example") == {"imaps": [("big.b.example", 994), ("imap.b.example", 993), ("late.b.example", 993)]}
        assert dns.not_offered("b.example") == {"imap", "submissions"}
        assert (dns.implicit_tls("c.example"), dns.not_offered("c.example")) == ({}, set())

    def test_times(self):
        dns = Dns()
        [mx] = read_answer(made.answer(*made.MX))
        [address] = read_answer(made.answer(ADDRESS))
        dns.take(mx, sighting(50))
        dns.take(address, sighting(60))
        assert [(dns.hosts_at("b.example", "203.0.113.5", until), dns.exchanger_names("203.0.113.5", until), sorted(dns.exchangers("b.example", until))) for until in (49, 59, 60, None)] == [
            ([], [], []), ([], [], ["mx1.b.example", "mx2.b.example"]), *[(["mx1.b.example"], ["mx1.b.example"], ["mx1.b.example", "mx2.b.example"])] * 2]
        assert dns.exchangers("b.example") == {"mx1.b.example": 10, "mx2.b.example": 20}
        dns.take(mx, sighting(40))
        assert dns.exchangers("b.example", 45) and dns.seen[mx].ts_ns == 40

    def test_ceilings(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_ANSWERS", 3)
        dns = Dns()
        for n in range(10):
            for answer in read_answer(made.answer(f"d{n}.example. 60 IN MX 10 mx.d{n}.example.")):
                dns.take(answer, sighting())
        assert (len(dns.seen), dns.n_more) == (3, 7)
        other = pickle.loads(pickle.dumps(dns))
        dns.merge(other)
        assert (len(dns.seen), dns.n_more, dns.exchangers("d1.example")) == (3, 7, {"mx.d1.example": 10})
        monkeypatch.setattr(module, "MAX_RELATED", 4)
        wide = Dns()
        for n in range(9):
            for answer in read_answer(made.answer(f"mx.b.example. 60 IN A 192.0.2.{n}")):
                wide.take(answer, sighting())
        assert len(wide.addresses("mx.b.example")) <= 4

    def test_deliveries_have_a_ceiling(self, monkeypatch, listed, message):
        from pcapsec.rules import deliveries
        monkeypatch.setattr(deliveries, "MAX_DELIVERIES", 2)
        monkeypatch.setattr(deliveries, "MAX_SERVERS", 2)
        kept = Deliveries()
        for n in range(5):
            session = listed(server_ip=f"203.0.113.{n}", messages=[message()])
            kept.take(session, session.facts)
        assert (len(kept.clear), len(kept.servers), kept.n_more) == (2, 2, 3)

    @pytest.mark.parametrize("pattern, host, listed", [("mx.b.example", "mx.b.example", True), ("*.b.example", "mx.b.example", True), ("*.b.example", "a.mx.b.example", False), ("*.b.example", "b.example", False)])
    def test_hosts_that_a_policy_lists(self, pattern, host, listed):
        assert covers((pattern,), host) is listed
