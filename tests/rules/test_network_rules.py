"""PS801-PS804, PS810: IPsec and tunnels under mail, from records and from frames."""
from __future__ import annotations

import struct

import pandas
import pytest
from tests.frames import START_NS, Talk, pcap
from tests.ike_bytes import BROKEN, OLD, STRONG, WEAK, aggressive, answer, init, main_mode
from tests.ipsec_frames import AH, associations, ethernet, ip, random_esp, sealed, wesp

import pcapsec
from pcapsec.records import EspAssociation, EspFacts, IkeFacts, IkeProposal
from pcapsec.rules import carriers

A, B = "192.0.2.10", "198.51.100.20"
MAIL = [(1, b"220 mx.example ESMTP\r\n"), (0, b"EHLO pc.example\r\n"), (1, b"250-mx.example\r\n250 AUTH PLAIN\r\n"), (0, b"AUTH PLAIN AGFsaWNlAHNlY3JldHdvcmQ=\r\n"), (1, b"235 ok\r\n"),
        (0, b"QUIT\r\n"), (1, b"221 bye\r\n")]
GATEWAYS = ("203.0.113.1", "203.0.113.2")


def mail(**words) -> Talk:
    return Talk(**words).open().turns(MAIL).close()


def later(frames, seconds: int = 10):
    return [(ts_ns + seconds * 10**9, frame) for ts_ns, frame in frames]


def analysed(tmp_path, *several, jobs: int = 1, **options) -> pcapsec.Result:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(sorted((frame for frames in several for frame in frames), key=lambda one: one[0])))
    result = pcapsec.analyze(str(path), jobs=jobs, **options)
    assert result.captures["internal_errors"].tolist() == [0]
    return result


def found(result: pcapsec.Result, rule_id: str) -> list[dict]:
    return result.findings[result.findings["rule_id"] == rule_id].to_dict("records")


def family(result: pcapsec.Result) -> list[str]:
    return [rule_id for rule_id in result.findings["rule_id"] if rule_id.startswith("PS8")]


def ike_frames(messages, *, port: int = 500, ends=(A, B), marker: bytes = b"") -> list[tuple[int, bytes]]:
    frames = []
    for n, data in enumerate(messages):
        payload = struct.pack("!HHHH", port, port, 8 + len(marker + data), 0) + marker + data
        frames.append((START_NS + n * 1_000_000, ethernet(ip(payload, 17, *(ends if n % 2 == 0 else ends[::-1])))))
    return frames


# --- PS802


@pytest.mark.parametrize("tunnel", [None, GATEWAYS], ids=["transport", "tunnel"])
def test_mail_inside_esp_without_encryption(tmp_path, tunnel):
    result = analysed(tmp_path, sealed(mail(), associations("NULL", "SHA2-256-128", tunnel=tunnel)))
    rows = result.sessions.sort_values("protocol")[["protocol", "encapsulation", "completeness", "verdict"]].fillna("").values.tolist()
    assert rows == [["esp", "", "full", "weak"], ["smtp", "esp-null", "full", "exposed"]]
    assert result.credentials["principal"].tolist() == ["alice"]
    [finding] = found(result, "PS802")
    ends = tunnel or (A, B)
    assert finding["evidence"] == {"n_mail_sessions": 1, "associations": [
        {"source": ends[side], "destination": ends[1 - side], "spi": spi, "kind": "esp", "mode": "tunnel" if tunnel else "transport", "icv_bytes": 16, "iv_bytes": 0, "packets_tested": 3,
         "packets": n} for side, spi, n in ((0, "0x00001000", 7), (1, "0xc0ffee00", 6))]}
    assert (finding["severity"], finding["frame"], finding["client_ip"], finding["server_ip"], finding["protocol"]) == ("high", 1, *ends, "esp")
    assert family(result) == ["PS802"]


def test_wesp(tmp_path):
    result = analysed(tmp_path, wesp(mail()))
    [finding] = found(result, "PS802")
    assert (finding["variant"], finding["evidence"]["associations"][0]["kind"], sorted(result.sessions["protocol"])) == ("wesp", "wesp", ["esp", "smtp"])


def test_esp_without_encryption_that_carries_no_mail_is_nobodys_business(tmp_path):
    talk = Talk(server_port=8080).open().turns([(0, b"GET / HTTP/1.0\r\n\r\n"), (1, b"HTTP/1.0 200 ok\r\n\r\n")]).close()
    assert family(analysed(tmp_path, sealed(talk, associations(tunnel=GATEWAYS)))) == []


def test_too_few_packets_cannot_tell(court, session):
    esp = EspFacts(associations=[EspAssociation(spi=1, source=A, destination=B, kind="esp", packets=2)])
    assert court.verdict(session("esp", esp=esp), "PS802") == ("not_observable", "too_few_packets")
    assert court.verdict(session("esp", esp=EspFacts(associations=[EspAssociation(spi=1, source=A, destination=B, kind="esp", packets=2, sealed=True)])), "PS802") == ("pass", "")


# --- PS801


def test_esp_between_mail_hosts(tmp_path):
    hidden = sealed(mail(client_port=50000), associations("AES-GCM", None))
    result = analysed(tmp_path, mail().frames(), later(hidden))
    [finding] = found(result, "PS801")
    assert finding["evidence"] == {"n_associations": 2, "packets": 13, "bytes": finding["evidence"]["bytes"], "natt": False, "associations": [
        {"source": source, "destination": destination, "spi": spi, "packets": n, "bytes": n_bytes["bytes"], "natt": False}
        for (source, destination, spi, n), n_bytes in zip(((A, B, "0x00001000", 7), (B, A, "0xc0ffee00", 6)), finding["evidence"]["associations"])]}
    assert (finding["severity"], finding["frame"], family(result)) == ("info", 14, ["PS801"])
    row = result.sessions[result.sessions["protocol"] == "esp"].iloc[0]
    assert (row["client_ip"], row["client_port"], row["server_ip"], row["verdict"], row["completeness"], row["packets_client"], row["packets_server"]) == (A, 0, B, "protected", "full", 7, 6)
    assert row["display_filter"] == f"ip.addr == {A} && ip.addr == {B} && esp && frame.number in {{14..26}}"
    assert result.captures["sessions"].tolist() == [2]


def test_esp_between_gateways_is_not_between_mail_hosts(tmp_path):
    result = analysed(tmp_path, mail().frames(), later(sealed(mail(client_port=50000), associations("AES-GCM", None, tunnel=GATEWAYS))))
    assert family(result) == [] and result.sessions["protocol"].tolist() == ["smtp"]


def test_two_clients_of_one_server_are_no_mail_peers(tmp_path):
    other = mail(client="192.0.2.11")
    between = [(START_NS + 10**10 + n, frame.replace(b"\xc6\x33\x64\x14", b"\xc0\x00\x02\x0b")) for n, (_ts, frame) in enumerate(sealed(mail(), associations("AES-GCM", None)))]
    assert family(analysed(tmp_path, mail().frames(), later(other.frames(), 5), between)) == []


def test_port_4500_may_be_anybodys(tmp_path):
    noise = [ethernet(ip(struct.pack("!HHHHI", 4500, 4500, 40, 0, 0x80000000 + n * 7919) + bytes(28), 17, A, B)) for n in range(50)]
    assert family(analysed(tmp_path, mail().frames(), [(START_NS + n, frame) for n, frame in enumerate(noise)])) == []
    natt = sealed(mail(client_port=50000), associations("AES-GCM", None, tunnel=(A, B), udp=True))
    [finding] = found(analysed(tmp_path, mail().frames(), later(natt)), "PS801")
    assert finding["evidence"]["natt"] is True


# --- PS803


def test_mail_inside_ah(tmp_path):
    result = analysed(tmp_path, sealed(mail(), associations(protocol=AH, auth="SHA2-256-128")))
    [finding] = found(result, "PS803")
    assert finding["evidence"] == {"client": A, "server": B, "spis": ["0x00001000", "0xc0ffee00"], "n_sessions": 1, "n_clear": 1}
    assert (finding["severity"], finding["frame"], finding["session_id"], finding["protocol"]) == ("high", 1, result.sessions["session_id"][0], "smtp")
    assert result.sessions["encapsulation"].tolist() == ["ah"] and family(result) == ["PS803"]


def test_ah_over_esp_or_around_tls_is_no_finding(tmp_path, court, session):
    inside = sealed(mail(), associations())
    outer = associations(protocol=AH, auth="SHA2-256-128", tunnel=GATEWAYS)
    from scapy.layers.inet import IP
    both = [(ts_ns, ethernet(bytes(outer[segment.side].encrypt(IP(frame[14:]))))) for (ts_ns, frame), segment in zip(inside, mail().segments)]
    assert family(analysed(tmp_path, both)) == ["PS802"]
    court.try_session(session("tls", encapsulation="ah", tls_mode="implicit"))
    [[key, seen]] = court.judge.site.collected.carriers.in_ah.items()
    assert (key, seen.n_sessions, seen.n_clear) == (("a.pcap", "198.51.100.7", "203.0.113.5"), 1, 0)


# --- PS804


def proposal(**words) -> IkeProposal:
    return IkeProposal(**{"encryption": "AES-GCM-16", "key_bits": 256, "prf": "HMAC-SHA2-256", "group": 19, **words})


@pytest.mark.parametrize("chosen, severity, variant, text", [
    ({"group": 1}, "medium", "group", "Diffie-Hellman group 1, which must not be used"), ({"group": 22}, "medium", "group", "Diffie-Hellman group 22, which must not be used"),
    ({"group": 2}, "medium", "group", "Diffie-Hellman group 2, which should not be used"), ({"group": 24}, "medium", "group", "Diffie-Hellman group 24, which should not be used"),
    ({"encryption": "DES"}, "medium", "encryption", "encryption with DES"), ({"encryption": "NULL"}, "medium", "encryption", "no encryption"), ({"encryption": "3DES"}, "low", "encryption", "encryption with 3DES"),
    ({"integrity": "HMAC-MD5-96"}, "medium", "integrity", "integrity with HMAC-MD5-96"), ({"prf": "HMAC-MD5"}, "medium", "integrity", "integrity with HMAC-MD5"),
    ({"integrity": "DES-MAC"}, "medium", "integrity", "integrity with DES-MAC")])
def test_weak_choices(court, session, chosen, severity, variant, text):
    finding = court.finding(session("ike", ike=IkeFacts(version="IKEv2", chosen=proposal(**chosen))), "PS804")
    assert (finding.severity, finding.variant, finding.evidence["weak"]) == (severity, variant, [text])


@pytest.mark.parametrize("chosen", [{}, {"group": 14}, {"group": 31}, {"group": 36}, {"encryption": "AES-CBC", "integrity": "HMAC-SHA1-96", "prf": "HMAC-SHA1"}, {"encryption": "CHACHA20-POLY1305"}])
def test_good_choices(court, session, chosen):
    made = session("ike", ike=IkeFacts(version="IKEv2", chosen=proposal(**chosen), offered=("DES", "group 1")))
    assert court.verdict(made, "PS804") == ("pass", "") and made.verdict == "protected"


@pytest.mark.parametrize("facts, reason", [({"error": "NO_PROPOSAL_CHOSEN"}, "refused"), ({}, "midstream")])
def test_without_the_answer_nobody_can_tell(court, session, facts, reason):
    made = session("ike", ike=IkeFacts(version="IKEv2", offered=("DES",), **facts))
    assert court.verdict(made, "PS804") == ("not_observable", reason) and made.verdict == "unknown"
    assert court.verdict(session("ike", completeness="one_sided", ike=IkeFacts(version="IKEv2")), "PS804") == ("not_observable", "one_sided")


def test_aggressive_mode_with_a_shared_key(tmp_path):
    result = analysed(tmp_path, ike_frames(aggressive(OLD)))
    [finding] = found(result, "PS804")
    assert finding["evidence"] == {
        "version": "IKEv1", "mode": "aggressive", "exchanges": ["aggressive"], "offered": ["AES-CBC-128", "HMAC-SHA1", "group 2"], "auth_offered": ["PSK"], "hash_seen": True,
        "identities": ["office@example.org", "vpn.example.org"], "went_on": False,
        "chosen": {"encryption": "AES-CBC", "key_bits": 128, "integrity": "HMAC-SHA1", "prf": "HMAC-SHA1", "group": 2, "auth_method": "PSK"},
        "weak": ["aggressive mode with a pre-shared key: a hash passed in clear from which the key can be guessed", "Diffie-Hellman group 2, which should not be used",
                 "IKEv1, which RFC 9395 deprecates"]}
    assert (finding["severity"], finding["variant"], finding["client_ip"], finding["client_port"], finding["server_ip"], finding["frame"]) == ("high", "aggressive-psk", A, 500, B, 1)
    assert result.sessions[["protocol", "service", "completeness", "packets_client", "packets_server"]].values.tolist() == [["ike", "ike", "full", 2, 1]]


def test_aggressive_mode_that_nobody_answers_or_with_certificates(tmp_path):
    [finding] = found(analysed(tmp_path, ike_frames(aggressive(OLD)[:1])), "PS804")
    assert (finding["severity"], finding["variant"]) == ("low", "ikev1")
    signed = [data.replace(b"\x80\x03\x00\x01", b"\x80\x03\x00\x03") for data in aggressive(OLD)]
    [finding] = found(analysed(tmp_path, ike_frames(signed)), "PS804")
    assert finding["variant"] == "group"


@pytest.mark.parametrize("messages, expected", [([init(STRONG, WEAK), answer(STRONG)], []), ([init(WEAK, STRONG), answer(WEAK)], ["PS804"]), (main_mode([BROKEN, OLD], OLD), ["PS804"])])
@pytest.mark.parametrize("port, marker", [(500, b""), (4500, bytes(4))])
def test_ike_on_both_ports(tmp_path, messages, expected, port, marker):
    result = analysed(tmp_path, ike_frames(messages, port=port, marker=marker))
    assert family(result) == expected and result.sessions["protocol"].tolist() == ["ike"]


def test_the_responder_is_known_whoever_is_seen_first(tmp_path):
    frames = ike_frames([init(STRONG), answer(STRONG)])
    result = analysed(tmp_path, [(START_NS, frames[1][1]), (START_NS + 1, frames[0][1])])
    assert result.sessions[["client_ip", "server_ip", "completeness"]].values.tolist() == [[A, B, "full"]]


# --- PS810


def gre(frames):
    return [(ts_ns, ethernet(ip(struct.pack("!HH", 0, 0x0800) + frame[14:], 47, *GATEWAYS))) for ts_ns, frame in frames]


def test_mail_in_gre(tmp_path):
    result = analysed(tmp_path, gre(mail().frames()), gre(later(mail(client_port=50000).frames())))
    [finding] = found(result, "PS810")
    assert finding["evidence"] == {"encapsulation": "gre", "n_sessions": 2, "n_clear": 2, "first_session": result.sessions["session_id"][0]}
    assert (finding["severity"], finding["variant"], finding["frame"], family(result)) == ("info", "gre", 1, ["PS810"])


def test_what_only_brings_the_capture_here_is_no_tunnel(court, session):
    for encapsulation in ("vlan.10", "erspan/vlan.10", "pppoe", "ah", "esp-null"):
        court.try_session(session("smtp", encapsulation=encapsulation))
    assert court.judge.site.collected.carriers.stacks == {}


def udp(payload: bytes, back: bool) -> bytes:
    ports = (51820, 40000) if back else (40000, 51820)
    return ethernet(ip(struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload, 17, *((B, A) if back else (A, B))))


WIREGUARD = [(START_NS, udp(b"\1\0\0\0ABCD" + bytes(range(140)), False)), (START_NS + 10**6, udp(b"\2\0\0\0WXYZABCD" + bytes(range(80)), True)),
             (START_NS + 2 * 10**6, udp(b"\4\0\0\0WXYZ" + bytes(range(120)), False))]


def test_wireguard_between_mail_hosts(tmp_path):
    [finding] = found(analysed(tmp_path, WIREGUARD, later(mail().frames())), "PS810")
    assert finding["evidence"] == {"encapsulation": "wireguard", "ends": [f"{A} port 40000", f"{B} port 51820"], "packets": 3, "bytes": 148 + 92 + 128}
    assert family(analysed(tmp_path, WIREGUARD, later(mail(client="192.0.2.99").frames()))) == []
    assert family(analysed(tmp_path, WIREGUARD[:1] + WIREGUARD[2:], later(mail().frames()))) == []


# --- all together


def test_the_number_of_workers_changes_nothing(tmp_path):
    several = (sealed(mail(), associations(tunnel=GATEWAYS)), later(mail(client_port=50000).frames()), later(sealed(mail(client_port=50001), associations("AES-GCM", None, spis=(7, 8))), 20),
               later(sealed(mail(client_port=50002), associations(protocol=AH, auth="SHA2-256-128")), 30), later(ike_frames(aggressive(OLD)), 40), later(WIREGUARD, 50), gre(later(mail(client_port=50003).frames(), 60)))
    one, three = (analysed(tmp_path, *several, jobs=jobs) for jobs in (1, 3))
    assert sorted(family(one)) == ["PS801", "PS802", "PS803", "PS804", "PS810", "PS810"]
    for table in ("sessions", "findings", "assessments", "rule_summary", "captures"):
        pandas.testing.assert_frame_equal(getattr(one, table), getattr(three, table))


def test_host_names_whose_associations_are_told(tmp_path):
    from pcapsec import pipeline
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(mail().frames() + later(sealed(mail(client_port=50000), associations("AES-GCM", None)))))
    for host, n in ((A, 1), ("203.0.113.99", 0)):
        outcome = pipeline.run([str(path)], make_sink=lambda _n: Sink(), filters=pipeline.Filters(host=host))
        assert sum(session.protocol == "esp" for session in outcome.partials[0]) == n


class Sink:
    def __init__(self):
        self.sessions = []

    def session(self, session):
        self.sessions.append(session)

    def findings(self, findings, capture=""):
        pass

    def close(self):
        return self.sessions


def test_everything_has_a_ceiling(monkeypatch, session):
    for name in ("MAX_HOSTS", "MAX_CARRIERS", "MAX_STACKS"):
        monkeypatch.setattr(carriers, name, 3)
    noted, other = carriers.Carriers(), carriers.Carriers()
    for n in range(20):
        (noted if n % 2 else other).take(session("smtp", client_ip=f"192.0.2.{n}", server_ip=f"198.51.100.{n}", encapsulation="ah/gre", capture=f"{n}.pcap"))
    noted.merge(other)
    assert len(noted.hosts) == 3 and len(noted.stacks) == 3 and len(noted.in_ah) == 3 and noted.n_more > 0


def test_a_random_flood_is_one_silent_row(tmp_path):
    import random
    result = analysed(tmp_path, mail().frames(), random_esp(300, random.Random(2)))
    [finding] = found(result, "PS801")
    assert (finding["evidence"]["packets"], sorted(result.sessions["completeness"])) == (300, ["full", "one_sided"])
