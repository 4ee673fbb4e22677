"""The compact memory of mail conversations: what a visit holds, merging, ceilings, and that the order of rows hangs on nothing but the visits."""
from __future__ import annotations

import pickle
import random

import pytest

from pcapsec.records import Facts, Finding, RegularSession, TlsHandshake, TlsOffer
from pcapsec.rules import Judge, visits as module
from pcapsec.rules.comparing import chosen, groups
from pcapsec.rules.visit_flags import (ACCEPTED, CLEAR, CONTENT, DECRYPTED, DELIVERED, ENFORCED, ESTABLISHED, FAILED, FINISHED, HELO, IMPLICIT, LISTED, LOGGED_IN, MAIL_SENT, MASKED,
                                       OFFERED, PROBE, REFUSED, REQUESTED, RESET, STARTED, UNSEEN_CLIENT, UNSEEN_SERVER, lost)
from pcapsec.rules.visits import ROW_BYTES, Offer, Visits, ordered, row_type

START = 1_700_000_000 * 10**9


def only(visits):
    [row] = visits.rows()
    return visits.look_up(row)


def taken(session):
    visits = Visits()
    visits.take(session)
    return only(visits)


def tls(**fields):
    return TlsHandshake(**{"version": "TLSv1.3", "cipher_suite": "TLS_AES_128_GCM_SHA256", "sni": "MX.example.com", "client_hello_at": 0, "server_hello_at": 0, "established": True,
                           "offer": TlsOffer(legacy_version="TLSv1.2", ja4="t13d1"), **fields})


def many(session, n, seed=1):
    """Conversations of few servers, in any order."""
    rng = random.Random(seed)
    made = []
    for number in range(n):
        made.append(session(
            rng.choice(("smtp", "imap")), session_id="%016x" % rng.getrandbits(63), start_ns=START + rng.randrange(50) * 10**9, end_ns=START + 60 * 10**9,
            capture=rng.choice(("a.pcap", "b.pcap")), frame=number + 1, client_ip=f"198.51.100.{rng.randrange(9)}", server_ip=f"203.0.113.{rng.randrange(5)}",
            greeting=f"220 mx{rng.randrange(3)}.example", client_name=f"c{rng.randrange(4)}.example", capabilities=("A", f"B{rng.randrange(3)}"), capabilities_complete=True,
            starttls_offered=False, verdict=rng.choice(("weak", "exposed"))))
    return made


def test_what_a_visit_holds(listed, message, login):
    one = listed(
        "smtp", offer=True, session_id="00000000000000aa", client_name="Client.Example.", first_clear_command="MAIL", accepted_clear_command="MAIL", last_frame=20, verdict="exposed",
        messages=[message(mail_from="X@A.example", rcpt_to=["y@B.example"], size_bytes=500), message(size_bytes=70)], logins=[login()], auth_mechanisms=("PLAIN",))
    visit = taken(one)
    assert visit._replace(envelope=0) == module.Visit(
        start_ns=START, end_ns=START + 10**9, session_id="00000000000000aa", capture="a.pcap", frame=1, last_frame=20, client_ip="198.51.100.7", client_port=40000,
        server_ip="203.0.113.5", server_port=25, protocol="smtp", service=None, flags=visit.flags, verdict="exposed", root=None, root_rank=-1, name="mail.example",
        offer=Offer(("PIPELINING", "SIZE 10240000", "STARTTLS"), ("PLAIN",), ()), banner="mail.example", client_name="client.example", ja4=None, reason=None, version=None, envelope=0,
        from_domain="a.example", rcpt_domain="b.example", size=570, bytes_client=200)
    assert visit.flags & 0xFFFFFF == LISTED | OFFERED | CLEAR | MAIL_SENT | CONTENT | DELIVERED | LOGGED_IN | FINISHED
    assert visit.envelope and visit.envelope != taken(listed("smtp", messages=[message(rcpt_to=["z@b.example"])])).envelope
    assert visit.envelope == taken(listed("smtp", messages=[message(mail_from="x@a.EXAMPLE")])).envelope
    assert visit.ends == ("00000000000000aa", "198.51.100.7", 40000, "203.0.113.5", 25, "smtp", None, 1, 20, "mail.example")


@pytest.mark.parametrize("protocol, fields, flags, reason", [
    ("smtp", {"starttls_offered": False}, LISTED | PROBE | FINISHED, None),
    ("smtp", {"masked_tokens": ("XXXXXXXX",), "finished": False}, LISTED | MASKED, None),
    ("smtp", {"hello_verb": "HELO", "capabilities": None, "first_clear_command": "MAIL"}, HELO | CLEAR | FINISHED, None),
    ("imap", {"preauth": True, "first_clear_command": "SELECT", "n_mailbox_commands": 2}, CLEAR | CONTENT | FINISHED, None),
    ("smtp", {"unseen_server": "midstream", "greeting_code": None, "unseen_client": "gap"}, UNSEEN_SERVER | UNSEEN_CLIENT | FINISHED, None),
    ("smtp", {"first_clear_command": "MAIL", "encryption_required_code": "530"}, LISTED | CLEAR | ENFORCED | FINISHED, None),
    ("smtp", {"starttls_requested": True, "starttls_accepted": False, "starttls_reply_code": "454"}, LISTED | REQUESTED | REFUSED | PROBE | FINISHED, "454"),
    ("smtp", {"starttls_requested": True, "starttls_accepted": False, "starttls_reply_code": "503"}, LISTED | REQUESTED | PROBE | FINISHED, None),
    ("smtp", {"starttls_requested": True, "starttls_accepted": True, "reset_by": 1}, LISTED | REQUESTED | ACCEPTED | FAILED | PROBE | RESET | FINISHED, "not begun"),
    ("smtp", {"starttls_requested": True, "starttls_accepted": True, "cleartext_after_accept": "EHLO", "first_clear_command": "MAIL"},
     LISTED | REQUESTED | ACCEPTED | FINISHED, None),
    ("pop3", {"first_clear_command": "AUTH", "sasl_wrapped": True}, LISTED | FINISHED, None),
])
def test_flags(listed, protocol, fields, flags, reason):
    visit = taken(listed(protocol, **fields))
    assert (visit.flags & 0xFFFFFF, visit.reason) == (flags, reason)


@pytest.mark.parametrize("handshake, fields, flags, reason", [
    ({}, {}, STARTED | ESTABLISHED | FINISHED, None),
    ({"established": False, "alert": "client:48 unknown_ca", "alert_side": 0, "alert_fatal": True}, {}, STARTED | FAILED | FINISHED, "unknown_ca"),
    ({"established": None}, {}, STARTED | FAILED | FINISHED, "closed"),
    ({"established": None}, {"bytes_server": 0, "reset_by": 0}, STARTED | FAILED | RESET | FINISHED, "unanswered"),
    ({"established": None}, {"finished": False}, STARTED, None),
    ({"established": None}, {"unseen_server": "one_sided"}, STARTED | UNSEEN_SERVER | FINISHED, None),
])
def test_tls(session, handshake, fields, flags, reason):
    visit = taken(session("tls", service="imaps", tls_mode="implicit", tls=tls(**handshake), **fields))
    assert (visit.flags & 0xFFFFFF, visit.reason) == (flags | IMPLICIT, reason)
    assert (visit.protocol, visit.service, visit.name, visit.ja4, visit.version) == ("tls", "imaps", "mx.example.com", "t13d1", "TLSv1.3")
    upgraded = taken(session("smtp", tls_mode="starttls", tls_started=True, starttls_accepted=True, starttls_requested=True, tls=tls(**handshake), **fields))
    assert (upgraded.flags & 0xFFFFFF, upgraded.reason) == (flags | REQUESTED | ACCEPTED, reason)


def test_what_was_read_inside(session, message):
    inner = Facts(protocol="smtp", client_name="pc", greeting="220 inside.example", messages=[message(size_bytes=9)])
    visit = taken(session("tls", service="submissions", tls_mode="implicit", tls=tls(sni=None, dns_name=None), inner=inner))
    assert (visit.name, visit.client_name, visit.from_domain, visit.size, visit.flags & DECRYPTED) == ("inside.example", "pc", "a.example", 9, DECRYPTED)
    assert not visit.flags & (MAIL_SENT | CONTENT | CLEAR)


def test_only_mail(session):
    visits = Visits()
    for other in (session("http"), session("tls", service="https", tls_mode="implicit"), session("dcerpc"), session("unknown", service="smtp"), session("ldap", tls_mode="starttls")):
        visits.take(other)
    assert len(visits) == 0
    visits.take(session("unknown", service="smtp", tls_mode="starttls"))
    assert len(visits) == 1


def test_the_root_of_its_story(court, listed, login):
    one = court.try_session(listed("smtp", offer=True, server_port=587, session_id="00000000000000aa", first_clear_command="AUTH", accepted_clear_command="AUTH", logins=[login()]))
    visit = only(court.judge.site.collected.visits)
    [root] = [finding for finding in one.findings if finding.rule.id == "PS101"]
    assert (visit.root, visit.root_rank, visit.verdict) == (root.finding_id, 4, "exposed")


def test_other_families_are_no_roots(session):
    rules = Judge().rules
    one = session("smtp", starttls_offered=True, capabilities=("STARTTLS",))
    one.findings = [Finding(rule=rules["PS402"], severity="high", confidence="high", title="x", finding_id="1" * 16),
                    Finding(rule=rules["PS206"], severity="high", confidence="high", title="x", finding_id="2" * 16, because_of="3" * 16)]
    assert taken(one).root is None


def test_connections_on_which_nothing_was_said(session):
    visits = Visits()
    for fields in ({}, {"finished": False}, {"reset_by": 0}, {"hello_verb": "HELO", "client_name": "x"}):
        visits.take(session("smtp", **fields))
    assert len(visits) == 0 and not len(visits.texts) and not visits.n_more


def test_regular_sessions(session):
    like = session("tls", service="imaps", tls_mode="implicit", tls=tls(), server_port=993)
    web = session("tls", service="https", tls_mode="implicit", tls=tls(), server_port=443)
    visits = Visits()
    for n in range(4):
        visits.take(RegularSession((like, web)[n % 2], "%016x" % n, "b.pcap", START + n, START + n + 10**9, 5, 9, "192.0.2.1", 50000 + n, "203.0.113.9", 1, 1, 700, 800, 1, 1, 100, None, None,
                                   None, 5, START, None, (), None))
    assert [visits.look_up(row)[:10] for row in visits.rows()] == [
        (START + n, START + n + 10**9, "%016x" % n, "b.pcap", 5, 9, "192.0.2.1", 50000 + n, "203.0.113.9", 993) for n in (0, 2)]
    assert all(visits.look_up(row).name == "mx.example.com" for row in visits.rows())


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_whoever_saw_what(session, parts):
    made = many(session, 200)
    alone = Visits()
    for one in made:
        alone.take(one)
    workers = [Visits() for _ in range(parts)]
    for n, one in enumerate(sorted(made, key=lambda one: one.session_id)):
        workers[n % parts].take(one)
    merged = Visits()
    for worker in workers[::-1]:
        merged.merge(pickle.loads(pickle.dumps(worker)))
    assert len(merged) == len(alone) == 200
    assert [merged.look_up(row) for row in merged.rows()] == [alone.look_up(row) for row in alone.rows()]
    for columns in (("server", "client"), ("client",)):
        ways = []
        for visits in (merged, alone):
            rows = ordered(visits.rows(), *columns)
            starts = groups(rows, *columns)
            every = chosen(rows, starts, starts >= 0)
            ways.append(sorted([visits.look_up(row) for row in group] for group in every))
        assert ways[0] == ways[1]
        assert all(group == sorted(group, key=lambda one: one.start_ns) for group in ways[0])
        assert sum(map(len, ways[0])) == 200


def test_merging_leaves_the_other_as_it_was(session):
    one, other = Visits(), Visits()
    for n, made in enumerate(many(session, 40)):
        (one if n % 2 else other).take(made)
    before = [other.look_up(row) for row in other.rows()]
    merged = Visits()
    merged.merge(other), merged.merge(one), merged.merge(other)
    merged.take(many(session, 1, seed=9)[0])
    assert (len(merged), len(other), len(one)) == (61, 20, 20)
    assert [other.look_up(row) for row in other.rows()] == before


def test_taking_after_reading(session):
    visits = Visits()
    made = many(session, 30)
    for one in made[:20]:
        visits.take(one)
    assert len(visits.rows()) == 20
    visits.answers["PS305"] = 1
    for one in made[20:]:
        visits.take(one)
    assert len(visits.rows()) == 30 and not visits.answers


def test_the_earliest_stay(session, monkeypatch):
    monkeypatch.setattr(module, "MAX_VISITS", 50)
    monkeypatch.setattr(module, "CHUNK_BYTES", 7 * ROW_BYTES)
    made = many(session, 300)
    alone, workers, merged = Visits(), [Visits(), Visits()], Visits()
    for n, one in enumerate(made):
        alone.take(one)
        workers[n % 2].take(one)
        assert len(alone) <= 50 + 50 // 4 + 14
    for worker in workers:
        merged.merge(worker)
    kept = [alone.look_up(row) for row in alone.rows()]
    assert len(kept) == 50 and alone.n_more == merged.n_more == 250
    assert [merged.look_up(row) for row in merged.rows()] == kept
    assert [visit.session_id for visit in kept] == [one.session_id for one in sorted(made, key=lambda one: (one.start_ns, one.frame, one.session_id))[:50]]


def test_tables_have_ceilings(session, listed, monkeypatch):
    for name in ("MAX_SERVERS", "MAX_CLIENTS", "MAX_CAPTURES", "MAX_TEXTS", "MAX_OFFERS"):
        monkeypatch.setattr(module, name, 4)
    visits = Visits()
    for n in range(20):
        visits.take(session("smtp", greeting=f"220 mx{n}.example", capabilities=(f"A{n}",), starttls_offered=True, client_ip=f"198.51.100.{n % 5}", server_ip=f"203.0.113.{n % 3}"))
    assert {len(table) for table in (visits.servers, visits.clients, visits.texts, visits.offers)} == {3}
    assert (len(visits), visits.n_more) == (12, 8)
    assert [visits.look_up(row).offer is not None for row in visits.rows()].count(True) == 3  # the others are unknown
    other = Visits()
    other.take(listed("smtp", client_ip="192.0.2.1")), other.take(listed("smtp", client_ip="198.51.100.1", server_ip="203.0.113.1"))
    visits.merge(other)
    assert (len(visits), visits.n_more) == (13, 9)
    long_list = Visits()
    long_list.take(session("smtp", starttls_offered=True, capabilities=tuple(map(str, range(module.MAX_LISTED + 1)))))
    assert only(long_list).offer is None


def test_odd_values(session):
    visit = taken(session("smtp", hello_verb="EHLO", starttls_offered=True, capabilities=(), session_id="no hex", frame=1 << 33, last_frame=1 << 33, end_ns=0, bytes_client=1 << 40, client_name="x" * 5000, greeting="220 \udcff\x00"))
    assert (visit.frame, visit.last_frame, visit.end_ns, visit.bytes_client, len(visit.client_name), len(visit.session_id)) == (0, 0, START, 0xFFFFFFFF, 200, 16)


def test_rows_are_small():
    assert ROW_BYTES == row_type().itemsize <= 100


@pytest.mark.parametrize("client, server, why", [(None, None, ""), ("gap", None, "gap"), (None, "midstream", "midstream"), ("gap", "one_sided", "one_sided"), ("new", None, "unseen")])
def test_why_bytes_were_not_seen(session, client, server, why):
    assert lost(taken(session("smtp", starttls_offered=True, capabilities=(), unseen_client=client, unseen_server=server)).flags) == why
