"""How packets were sent: from frames, through kernels and pipeline, to what a session says and rules make of it."""
from __future__ import annotations

from dataclasses import replace

import pytest
from frames import ACK, FIN, RST, Segment, Talk, pcap
from tls_bytes import client_hello, record, tls12

from pcapsec import pipeline
from pcapsec.pipeline.packets import content_of
from pcapsec.records import CLIENT, SERVER, Overlap, Reset, Sent, Stranger, Version

HELLO = record(22, client_hello())
GREETING, EHLO, OFFER, ASK, GO = b"220 mx.example ESMTP\r\n", b"EHLO pc.example\r\n", b"250-mx.example\r\n250-STARTTLS\r\n250 SIZE 1000\r\n", b"STARTTLS\r\n", b"220 go\r\n"
UPGRADE = [(SERVER, GREETING), (CLIENT, EHLO), (SERVER, OFFER), (CLIENT, ASK), (SERVER, GO), (CLIENT, HELLO)]
CLEAR = [(SERVER, GREETING), (CLIENT, EHLO), (SERVER, OFFER.replace(b"250-STARTTLS\r\n", b"")), (CLIENT, b"MAIL FROM:<a@a.example>\r\n"), (SERVER, b"250 ok\r\n"),
         (CLIENT, b"RCPT TO:<b@b.example>\r\n"), (SERVER, b"250 ok\r\n"), (CLIENT, b"DATA\r\n"), (SERVER, b"354 go\r\n"), (CLIENT, b"Subject: x\r\n\r\nhello\r\n.\r\n"),
         (SERVER, b"250 queued\r\n"), (CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n")]
TTL = {CLIENT: 64, SERVER: 52}


def talk(turns, **fields) -> Talk:
    """A conversation whose packets come as those of two real hosts: TTLs of their own, IP ids that count on, timestamps."""
    made = Talk(**fields).open().turns(turns)
    return usual(made)


def usual(made: Talk, stamped: bool = True) -> Talk:
    ids = {CLIENT: 100, SERVER: 30000}
    for segment in made.segments:
        segment.ttl, segment.identification = TTL[segment.side], ids[segment.side]
        ids[segment.side] += 1
        segment.timestamp = (segment.ts_ns // 1_000_000 + 7 * segment.side) & 0xFFFFFFFF if stamped else None
    return made


class _Sink:
    def __init__(self):
        self.sessions, self.found = [], []

    def session(self, session):
        session.packet_hints  # while the capture is at hand, as rules ask
        self.sessions.append(session)
        self.found += session.findings

    def findings(self, findings, capture=""):
        self.found += findings

    def close(self):
        return self


def analysed(tmp_path, *talks):
    """Sessions and findings of some conversations in one capture."""
    frames = sorted((frame for one in talks for frame in one.frames()), key=lambda frame: frame[0])
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap(frames))
    outcome = pipeline.run([str(path)], make_sink=lambda worker: _Sink())
    assert outcome.internal_errors == []
    return outcome.partials[0]


def rules(sink, *ids):
    return [finding for finding in sink.found if finding.rule.id in ids]


# --- nothing odd

def test_usual_conversations_have_nothing_to_say(tmp_path):
    (session,) = analysed(tmp_path, talk(CLEAR).close()).sessions
    assert (session.n_hints, session.ttl_client, session.ttl_server, session.ttl_outliers, session.reset_by) == (0, 64, 52, 0, None)
    hints = session.packet_hints
    assert (hints.ttl_syn_client, hints.ttl_syn_server, hints.resets, hints.strangers, hints.overlaps, hints.n_paths) == (64, 52, (), (), (), 0)


def test_the_syn_tells_where_a_side_said_nothing(tmp_path):
    (session,) = analysed(tmp_path, talk([(CLIENT, EHLO)])).sessions
    assert (session.ttl_client, session.ttl_server) == (64, 52)


# --- single packets

def forged(made: Talk, number: int, **changes) -> Segment:
    """Another sender's packet in the place of one with data."""
    one = replace(made.segments[number], ttl=240, identification=9, timestamp=None, **changes)
    made.segments[number] = one
    return one


def test_one_packet_that_came_another_way(tmp_path):
    made = talk(CLEAR)
    one = forged(made, 7)  # the server's answer to MAIL
    (session,) = analysed(tmp_path, made).sessions
    assert one.payload == b"250 ok\r\n"
    assert session.packet_hints.strangers == (Stranger(
        frame=8, ts_ns=one.ts_ns, ttl=240, ip_id=9, timestamp=None, checksum="right", side=SERVER, n=1, usual_ttl=52, ttl_differs=188, lacks_timestamp=True, ip_id_off=True),)
    assert (session.ttl_server, session.ttl_outliers) == (52, 1)
    (finding,) = session.findings and rules(analysed(tmp_path, made), "PS318")
    assert finding.evidence == {
        "packets": [{"side": "server", "frame": 8, "ttl": 240, "ip_id": 9, "checksum": "right", "usual_ttl": 52, "signs": ["ttl", "timestamp", "ip_id"]}], "resets": [], "signs": [],
        "n_packets": 1, "ruled_out": ["a change of route", "several paths between the two ends"], "not_ruled_out": ["a load balancer or firewall that answers for the server"]}
    assert (finding.severity, finding.confidence) == ("low", "low")


def test_the_first_packet_is_compared_with_its_syn(tmp_path):
    made = talk(CLEAR)
    forged(made, 3)
    (session,) = analysed(tmp_path, made).sessions
    assert [(one.frame, one.signs) for one in session.packet_hints.strangers] == [(4, ("ttl", "timestamp"))]


def test_a_timestamp_far_from_the_others(tmp_path):
    made = talk(CLEAR)
    made.segments[7].ttl, made.segments[7].timestamp = 60, 5
    sink = analysed(tmp_path, made)
    assert [one.signs for one in sink.sessions[0].packet_hints.strangers] == [("ttl", "timestamp")]
    assert len(rules(sink, "PS318")) == 1


@pytest.mark.parametrize("change", ["ttl alone", "timestamp alone", "route", "paths", "two taps"])
def test_what_is_no_hint(change, tmp_path):
    made = talk(CLEAR)
    servers = [segment for segment in made.segments if segment.side == SERVER and segment.payload]
    if change == "ttl alone":
        servers[2].ttl = 60
    elif change == "timestamp alone":
        servers[2].timestamp = None
    elif change == "route":
        for segment in servers[3:]:
            segment.ttl = 60
    elif change == "paths":
        for number, segment in enumerate(servers):
            segment.ttl -= number % 2
    else:
        for segment in list(made.segments):
            made.segments.append(replace(segment, ttl=segment.ttl - 2, ts_ns=segment.ts_ns + 2000))
        made.segments.sort(key=lambda segment: segment.ts_ns)
    sink = analysed(tmp_path, made.close())
    assert rules(sink, "PS318", "PS311", "PS307") == []
    strangers = sink.sessions[0].packet_hints.strangers
    assert [one.signs for one in strangers] == {"ttl alone": [("ttl",)], "timestamp alone": [("timestamp",)]}.get(change, [])


# --- two versions of the same bytes

STRIPPED = OFFER.replace(b"250-STARTTLS", b"250-XXXXXXXX")


def raced(version: bytes = STRIPPED, **changes) -> Talk:
    """Somebody's list comes before the server's own; both have the same place."""
    made = talk(CLEAR[:2] + [(SERVER, OFFER)] + CLEAR[3:])
    number = next(i for i, segment in enumerate(made.segments) if segment.payload == OFFER)
    own = made.segments[number]
    made.segments.insert(number, replace(own, payload=version, ts_ns=own.ts_ns - 500_000, **{"ttl": 240, "identification": 7, "timestamp": None, **changes}))
    return made.close()


def test_two_versions_of_a_list(tmp_path):
    sink = analysed(tmp_path, raced())
    (session,) = sink.sessions
    first = Version(sent=Sent(frame=6, ts_ns=session.packet_hints.overlaps[0].first.sent.ts_ns, ttl=240, ip_id=7, timestamp=None, checksum="right"), content="text", offers_starttls=False)
    second = session.packet_hints.overlaps[0].second
    at = len(GREETING) + OFFER.index(b"STARTTLS")
    assert session.packet_hints.overlaps == (Overlap(side=SERVER, at=at, length=len(OFFER) - OFFER.index(b"STARTTLS"), first=first, second=second),)
    assert (second.sent.frame, second.sent.ttl, second.sent.ip_id, second.sent.checksum, second.offers_starttls) == (7, 52, 30002, "right", True)
    (finding,) = rules(sink, "PS311")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("critical", "high", "offer", SERVER, at)
    assert finding.evidence == {
        "n_conflicts": 1, "offer_differs": True, "ttl_differs": 188, "overlaps": [{
            "side": "server", "offset": at, "length": len(OFFER) - OFFER.index(b"STARTTLS"), "acknowledged_first": False,
            "first": {"frame": 6, "ttl": 240, "ip_id": 7, "checksum": "right", "content": "text", "offers_starttls": False},
            "second": {"frame": 7, "ttl": 52, "ip_id": 30002, "checksum": "right", "content": "text", "offers_starttls": True}}],
        "ruled_out": ["the same bytes sent again", "a keep-alive or window probe", "a capture that cuts or fills up packets", "a packet that was damaged on its way",
                      "a sender that changed its data before it sent them again"],
        "not_ruled_out": ["a box that rewrites what passes"]}


def test_the_same_way_is_less_sure(tmp_path):
    (finding,) = rules(analysed(tmp_path, raced(ttl=52, identification=30001, timestamp=9)), "PS311")
    assert (finding.confidence, finding.evidence["not_ruled_out"]) == ("medium", ["a sender that changed its data before it sent them again", "a box that rewrites what passes"])


@pytest.mark.parametrize("changes", [
    {"version": OFFER}, {"bad_checksum": True}, {"version": b"\0" * len(OFFER)}, {"version": OFFER[:20]}, {"version": OFFER[:-1] + b"?"}])
def test_what_is_no_second_version(changes, tmp_path):
    """Equal, damaged and dropped by its receiver, filled up, cut otherwise, or one byte."""
    assert rules(analysed(tmp_path, raced(**changes)), "PS311") == []


def test_a_damaged_packet_that_came_second(tmp_path):
    made = raced()
    made.segments[5], made.segments[6] = replace(made.segments[6], ts_ns=made.segments[5].ts_ns), replace(made.segments[5], ts_ns=made.segments[6].ts_ns, bad_checksum=True)
    assert rules(analysed(tmp_path, made), "PS311") == []


def test_versions_of_different_days(tmp_path):
    made = raced(b"220-" + STRIPPED[4:])
    made.segments[5].ts_ns -= 301 * 10**9
    for segment in made.segments[:5]:
        segment.ts_ns -= 302 * 10**9
    assert rules(analysed(tmp_path, made), "PS311") == []


def test_padding_that_counts_as_data(tmp_path):
    """An acknowledgement of 40 bytes in a frame of 60: a box wrote 46 into its IP header."""
    made = raced(b"\x01\x02\x03\x04\x05\x06", timestamp=None)
    made.segments[5].flags = ACK
    assert rules(analysed(tmp_path, made), "PS311") == []


def test_a_keep_alive_with_another_byte(tmp_path):
    made = talk(CLEAR[:3])
    last = made.segments[-1]
    made.segments.append(replace(last, sequence=last.sequence + len(last.payload) - 1, payload=b"\0", ts_ns=last.ts_ns + 10**9))
    assert rules(analysed(tmp_path, made), "PS311") == []


def test_packets_cut_by_the_capture_are_compared_as_far_as_they_go(tmp_path):
    made = raced(OFFER)
    frames = [(ts, frame[:80]) for ts, frame in made.frames()]
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(frames, snap=80, original=[len(frame) for _ts, frame in made.frames()]))
    sink = pipeline.run([str(path)], make_sink=lambda worker: _Sink()).partials[0]
    assert rules(sink, "PS311") == []


# --- resets

def reset(made: Talk, side: int = SERVER, wait_ns: int = 3_000_000, ahead: int = 0, **changes) -> Talk:
    """An RST in the name of a side."""
    last = [segment for segment in made.segments if segment.side == side][-1]
    made.clock += wait_ns
    made.segments.append(Segment(side=side, sequence=made.next[side] + ahead, acknowledgement=made.next[1 - side], flags=RST | ACK, ts_ns=made.clock, **{
        "ttl": TTL[side], "identification": last.identification + 1, **changes}))
    return made


def test_what_a_reset_says_of_its_sender(tmp_path):
    made = reset(talk(UPGRADE), ttl=44, identification=4, ahead=1400)
    made.next[SERVER] += 1400
    made.say(SERVER, b"late")
    made.segments[-1].ttl = 52
    (session,) = analysed(tmp_path, made).sessions
    hints = session.packet_hints
    assert hints.reset_first and session.reset_by == SERVER
    assert hints.resets == (Reset(
        frame=10, ts_ns=made.segments[9].ts_ns, ttl=44, ip_id=4, timestamp=None, checksum=None, side=SERVER, fin=False, ahead=1400, acknowledged_ahead=0, usual_ttl=52,
        last_ids=(30003, 30002), n_later=1),)
    assert hints.resets[0].ttl_differs == 8 and hints.resets[0].ip_id_fits is False


def sessions_of(n: int, turns=UPGRADE):
    return [talk(turns, client_port=41000 + i, isn=(1000 + i, 5000 + i)) for i in range(n)]


def test_a_server_whose_tls_is_reset(tmp_path):
    """Twice, and mail in clear goes well; nothing says who sent the resets."""
    sink = analysed(tmp_path, *[reset(made, identification=0) for made in sessions_of(2)], talk(CLEAR).close())
    (finding,) = rules(sink, "PS307")
    first, second = [session for session in sink.sessions if session.tls is not None]
    assert (finding.severity, finding.confidence, finding.variant, finding.frame) == ("high", "low", "reset", finding.evidence["first_reset"]["frame"])
    assert finding.ends.session_id == first.session_id and finding.ts_ns == first.packet_hints.resets[0].ts_ns
    assert finding.evidence == {
        "attempts": 2, "clear_conversations": 1, "tls_conversations": 0, "stages": {"client-hello": 2}, "wait_ms": [3, 3], "signs": {},
        "first_reset": {"side": "server", "kind": "rst", "frame": finding.frame, "ttl": 52, "usual_ttl": 52, "ip_id": 0, "last_ip_ids": [30003, 30002], "ahead": 0, "later_packets": 0},
        "related_session_ids": [second.session_id], "ruled_out": ["a client that gave up", "an idle timeout", "an alert that names its cause"],
        "not_ruled_out": ["the server itself", "a load balancer or firewall that answers for the server", "a firewall that lets no TLS pass"]}


def test_after_the_consent_to_starttls(tmp_path):
    sink = analysed(tmp_path, *[reset(made, identification=0, ttl=44) for made in sessions_of(2, UPGRADE[:5])], talk(CLEAR).close())
    (finding,) = rules(sink, "PS307")
    assert (finding.confidence, finding.evidence["stages"], finding.evidence["signs"]) == ("medium", {"starttls": 2}, {"ttl": 2})


def test_one_reset_with_two_signs_is_enough(tmp_path):
    made = reset(talk(UPGRADE), ttl=44, identification=0)
    made.say(SERVER, b"\x15\x03\x03\0\2\2\x28")
    made.segments[-1].ttl = 52
    (finding,) = rules(analysed(tmp_path, made), "PS307")
    assert (finding.variant, finding.confidence, finding.evidence["signs"], finding.title) == (
        "forged", "high", {"late_data": 1, "ttl": 1}, "Somebody forged a reset of the connection to 198.51.100.20 port 25 once just where TLS was to begin")
    (hint,) = rules(analysed(tmp_path, made), "PS318")
    assert (hint.variant, hint.evidence["signs"], hint.evidence["n_packets"]) == ("reset", ["late_data", "ttl"], 1)


def test_a_burst_that_guesses(tmp_path):
    made = talk(UPGRADE)
    for ahead in (0, 1460, 2920):
        reset(made, ttl=44, ahead=ahead, wait_ns=1000)
    (finding,) = rules(analysed(tmp_path, made), "PS307")
    assert (finding.variant, finding.confidence, finding.evidence["signs"]) == ("forged", "high", {"stepped": 1, "ttl": 1})


def test_a_reset_in_the_clients_name(tmp_path):
    """A tap near the server sees the client reset the connection, from another distance."""
    sink = analysed(tmp_path, *[reset(made, side=CLIENT, ttl=120) for made in sessions_of(2)], talk(CLEAR).close())
    (finding,) = rules(sink, "PS307")
    assert (finding.variant, finding.confidence, finding.evidence["first_reset"]["side"]) == ("reset", "medium", "client")


def _refused(made):
    return reset(made.say(SERVER, b"\x15\x03\x03\0\2\2\x28"), identification=0, ttl=40)


def _bye(made):
    made._add(SERVER, FIN | ACK).ttl = 52
    return reset(made, identification=0, ttl=40)


def _client_bye(made):
    made._add(CLIENT, FIN | ACK)
    return reset(made, identification=0, ttl=40)


@pytest.mark.parametrize("end", [
    reset, lambda made: reset(made, side=CLIENT, identification=0), lambda made: reset(made, wait_ns=2_500_000_000, ttl=40), _refused, _bye, _client_bye,
    lambda made: usual(made.close())], ids=["own", "client", "late", "alert", "fin first", "client's fin first", "fin"])
def test_what_is_no_reset_of_tls(end, tmp_path):
    """The server's own reset, the client's, a timeout, an alert, a FIN before."""
    sink = analysed(tmp_path, *[end(made) for made in sessions_of(3)], talk(CLEAR).close())
    assert rules(sink, "PS307") == []


def test_once_or_without_mail_in_clear_is_not_enough(tmp_path):
    """A load balancer resets with a TTL and IP ids of its own."""
    assert rules(analysed(tmp_path, reset(talk(UPGRADE), identification=5, ttl=40), talk(CLEAR, client_port=5).close()), "PS307", "PS318") == []
    assert rules(analysed(tmp_path, *[reset(made, identification=5, ttl=40) for made in sessions_of(3)]), "PS307", "PS318") == []


@pytest.mark.parametrize("ttl, found", [(52, []), (40, ["PS307"])])
def test_a_server_whose_tls_works_for_others(ttl, found, tmp_path):
    works = talk(tls12(), client_port=9)
    attempts = [reset(made, identification=0, ttl=ttl) for made in sessions_of(3, [(CLIENT, HELLO)])]
    for one in (works, *attempts):
        one.server_port = 465
    sink = analysed(tmp_path, *attempts, works, talk(CLEAR, server_port=465, client_port=10).close())
    assert sum(session.tls is not None and session.tls.established is True for session in sink.sessions) == 1
    assert [finding.rule.id for finding in rules(sink, "PS307")] == found


# --- the end of TLS

DATA, GOODBYE = record(23, bytes(range(200)), 0x0303), record(21, bytes(26), 0x0303)


def ended(turns, closer: int = CLIENT, flags: int = FIN | ACK) -> Talk:
    made = talk(tls12() + turns, server_port=995)
    made._add(closer, flags)
    made._add(1 - closer, FIN | ACK)
    return usual(made)


@pytest.mark.parametrize("turns, closer, said", [
    ([(SERVER, DATA), (CLIENT, DATA), (CLIENT, GOODBYE)], CLIENT, True), ([(SERVER, DATA), (CLIENT, DATA + GOODBYE)], CLIENT, True), ([(SERVER, DATA), (CLIENT, DATA)], CLIENT, False),
    ([(SERVER, DATA), (CLIENT, DATA), (CLIENT, GOODBYE)], SERVER, False), ([(CLIENT, DATA), (SERVER, DATA * 9 + GOODBYE)], SERVER, True)])
def test_goodbye(turns, closer, said, tmp_path):
    sink = analysed(tmp_path, ended(turns, closer))
    (session,) = sink.sessions
    assert (session.goodbye, session.closed_by) == (said, closer)
    found = rules(sink, "PS453")
    assert [finding.evidence for finding in found] == ([] if said else [{"closed_by": ("client", "server")[closer], "version": "TLSv1.2"}])


def test_a_reset_without_goodbye(tmp_path):
    (finding,) = rules(analysed(tmp_path, ended([(SERVER, DATA), (CLIENT, DATA)], SERVER, RST | ACK)), "PS453")
    assert finding.evidence["closed_by"] == "server"


def test_the_end_of_web_traffic_is_not_looked_at(tmp_path):
    made = ended([(SERVER, DATA), (CLIENT, DATA)])
    made.server_port = 443
    (session,) = analysed(tmp_path, made).sessions
    assert session.goodbye is None and session.closed_by is None


@pytest.mark.parametrize("data, content", [
    (b"250 ok\r\n", "text"), (HELLO, "tls"), (bytes(9), "filler"), (b"", "filler"), (b"xxxx", "filler"), (b"x", "text"), (bytes(range(128, 200)), "binary")])
def test_content(data, content):
    assert content_of(data) == content
