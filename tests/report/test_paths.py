"""Mail paths: built from messages and conversations, and as people read them."""
from __future__ import annotations

import pickle

import pytest

from pcapsec.report import paths as module
from pcapsec.report.paths import build
from pcapsec.report.paths_table import path_parts
from pcapsec.report.summary import Summary
from pcapsec.report.terminal import render
from pcapsec.rules import Judge
from tests import sessions as made
from tests.rules.conftest import make_login, make_message, make_session
from tests.rules.correlation.test_same_message import MX, PC, RELAY, SECOND, STORE, T0, clear, inside


def collected(*sessions, jobs: int = 1):
    workers = [Judge() for _ in range(jobs)]
    for number, one in enumerate(sessions):
        one.findings = []
        workers[number % jobs].session(one)
        assert not workers[number % jobs].faults, workers[number % jobs].fault_log
    last = Judge()
    for worker in workers[::-1]:
        last.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
    return last.site.collected


def paths_of(*sessions):
    """The same for one worker and for two."""
    one, two = build(collected(*sessions)), build(collected(*sessions, jobs=2))
    assert one == two
    return one.paths


def shown(path) -> list[tuple]:
    return [(step.role, step.sender, step.receiver, step.verdict, step.tls, step.source) for step in path.steps]


def access(number: int, server: str, start_s: int, **fields):
    """Somebody reads a mailbox over TLS."""
    return inside(number, PC, server, start_s, **{"service": "imaps", "server_port": 993, "tls_mode": "implicit", "greeting": None, "client_name": None, **fields})


def test_a_message_read_on_one_hop_tells_its_way():
    [path] = paths_of(inside(1, RELAY, MX, 19), clear(2, MX, STORE, 2, 29))
    assert shown(path) == [
        ("submission", None, "relay.example", "protected", "TLSv1.2", "header"), ("relay", "relay.example", "mx.example", "protected", "TLSv1.3", "both"),
        ("relay", "mx.example", "store.example", "exposed", None, "captured"), ("mailbox", None, "store.example", "unknown", None, "unseen")]
    assert (path.verdict, path.complete, path.n_messages, path.n_sealed, path.from_domains, path.to_domains) == ("exposed", False, 1, 0, ("a.example",), ("b.example",))
    assert path.first == (T0 + 29 * SECOND, "a.pcap", 2, "0000000000000002")


def test_the_mailbox_belongs_to_the_way():
    [path] = paths_of(clear(2, MX, STORE, 2, 29), access(3, STORE, 40), access(4, STORE, 50, client_ip="192.0.2.77"))
    assert shown(path)[-1] == ("mailbox", None, "store.example", "protected", "TLSv1.3", "captured")
    assert (path.verdict, path.complete, path.steps[-1].n_sessions, path.steps[-1].n_senders) == ("exposed", True, 2, 2)


def test_messages_that_went_the_same_way_are_one_path():
    sessions = [clear(n, MX, STORE, 2, 29 + n, message={"message_id": f"<{n}@a.example>", "protection": "smime-encrypted" if n % 2 else "none"}) for n in range(6)]
    [path] = paths_of(*sessions)
    assert (path.n_messages, path.n_sealed, path.verdict, path.steps[2].n_sessions) == (6, 3, "exposed", 6)


def test_a_message_that_protects_itself():
    [path] = paths_of(clear(2, MX, STORE, 2, 29, message={"protection": "pgp-mime-encrypted"}))
    assert (path.verdict, path.steps[2].verdict) == ("weak", "exposed")


def test_conversations_inside_tls_are_put_behind_one_another():
    submission = inside(1, PC, RELAY, 0, service="submission", server_port=587)
    [path] = paths_of(submission, inside(2, RELAY, MX, 5), access(3, MX, 60))
    assert shown(path) == [
        ("submission", None, "relay.example", "protected", "TLSv1.3", "captured"), ("relay", "relay.example", "mx.example", "protected", "TLSv1.3", "captured"),
        ("mailbox", None, "mx.example", "protected", "TLSv1.3", "captured")]
    assert (path.verdict, path.complete, path.n_messages) == ("protected", True, 0)


def test_what_was_not_seen_is_no_claim():
    [path] = paths_of(inside(2, RELAY, MX, 5))
    assert shown(path) == [("relay", "relay.example", "mx.example", "protected", "TLSv1.3", "captured"), ("mailbox", None, "mx.example", "unknown", None, "unseen")]
    assert (path.verdict, path.complete) == ("protected", False)
    [path] = paths_of(access(1, STORE, 0))
    assert (len(path.steps), path.complete) == (1, False)
    assert paths_of(clear(1, RELAY, MX, 0, 0, messages=[], first_clear_command=None)) == () and build(None).paths == ()


def test_some_of_the_conversations_in_clear():
    login = make_login(protocol="imap")
    [path] = paths_of(*(access(n, STORE, n) for n in range(3)), access(9, STORE, 9, logins=[login], tls_mode="none", tls=None, service="imap", server_port=143, first_clear_command="LOGIN"))
    assert (path.verdict, path.steps[0].n_sessions, path.steps[0].n_worst) == ("exposed", 4, 1)


def test_a_fetched_message_without_received_fields_tells_nothing_of_its_way():
    fetched = make_session("imap", session_id="0007", client_ip=PC, server_ip=STORE, service="imap", first_clear_command="LOGIN",
                           messages=[make_message(protocol="imap", direction="fetched", side=1, n_hops=0)])
    [path] = paths_of(fetched)
    assert (shown(path), path.complete) == ([("mailbox", None, "mail.example", "exposed", None, "captured")], False)


def test_weak_and_without_tls_is_not_called_tls():
    weak = inside(1, RELAY, MX, 5, tls_mode="none", tls=None, tls_started=False, messages=[make_message(size_bytes=0, message_id=None)], first_clear_command="MAIL")
    [path] = paths_of(weak, inside(2, RELAY, MX, 6))
    assert shown(path)[0] == ("relay", "relay.example", "mx.example", "weak", None, "captured")


def test_handshakes_whose_end_was_not_seen_prove_nothing():
    session = inside(2, RELAY, MX, 5)
    session.tls.established = None
    [path] = paths_of(session)
    assert (path.verdict, path.steps[0].verdict) == ("unknown", "unknown")


def test_a_server_that_sends_to_many_is_one_path():
    [path] = paths_of(*(inside(n, RELAY, f"203.0.113.{n}", n, greeting=f"220 mx{n}.example ESMTP") for n in range(1, 20)))
    step = path.steps[0]
    assert (step.sender, step.receiver, step.n_receivers, step.n_sessions, path.steps[1].source) == ("relay.example", None, 19, 19, "unseen")
    [path] = paths_of(*(inside(n, f"203.0.113.{n}", MX, n, client_name=f"mx{n}.example") for n in range(1, 20)))
    assert (path.steps[0].sender, path.steps[0].n_senders, path.steps[0].receiver) == (None, 19, "mx.example")


def test_the_worst_first_and_no_more_than_fit(monkeypatch):
    sessions = [access(n, f"203.0.113.{n}", n) for n in range(5)] + [clear(9, MX, STORE, 2, 29)]
    assert [path.verdict for path in paths_of(*sessions)] == ["exposed"] + ["protected"] * 5
    monkeypatch.setattr(module, "MAX_PATHS", 2)
    assert (len(build(collected(*sessions)).paths), build(collected(*sessions)).n_more) == (2, 4)


def text_of(*sessions, width: int = 100) -> str:
    text = render(Summary(), [made.capture()], width=width, color=False, paths=build(collected(*sessions)))
    return text[text.index("MAIL PATHS"):].split("\n\nWHAT")[0]


def test_as_people_read_it():
    assert text_of(inside(1, RELAY, MX, 19), clear(2, MX, STORE, 2, 29), access(3, STORE, 40)) == """\
MAIL PATHS

EXPOSED    1 message from a.example to b.example; content not encrypted by the sender
           submission  1 client → relay.example    TLSv1.2  Received header
           relay       relay.example → mx.example  TLSv1.3  captured, Received header
           relay       mx.example → store.example  no TLS   captured
           mailbox     1 client → store.example    TLSv1.3  captured
"""


def test_of_many_the_rest_is_counted():
    text = text_of(*(access(n, f"203.0.113.{n}", n) for n in range(9)))
    assert "… and 5 more paths: 5 protected. All of them: pcapsec analyze -o DIR CAPTURE writes" in text and text.count("PROTECTED") == 4


@pytest.mark.parametrize("width", [80, 120])
def test_names_from_the_wire_steer_nothing(width):
    text = text_of(clear(2, MX, STORE, 0, 29, client_name="evil\x1b[31m.example", message={"from_domain": "x\x1b]0;y\x07.example"}), width=width)
    assert "\x1b" not in text and "\x07" not in text and all(len(line) <= width for line in text.splitlines())


def test_without_paths_there_is_no_section():
    assert path_parts(build(None)) == [] and "MAIL PATHS" not in render(Summary(), [made.capture()], width=100, color=False)
