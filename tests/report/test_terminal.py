"""The summary as it is read."""
from __future__ import annotations

import io
import re

import pytest

from pcapsec.report.summary import Summary
from pcapsec.report.terminal import render
from tests import sessions as made


def summary_of(*sessions):
    summary = Summary()
    for session in sessions:
        summary.session(session)
    return summary


def text_of(summary, captures=None, **options):
    return render(summary, [made.capture()] if captures is None else captures, **{"width": 100, "color": False, **options})


def test_the_whole_summary():
    summary = summary_of(made.submission(), made.imaps())
    summary.findings([made.drops()])
    assert text_of(summary, [made.capture(dropped=17, duplicate_frames=3, flows_by_class={"tls": (7, 12345)})], elapsed_s=1.25) == """\
monday.pcap
100 packets · 50.0 kB · read in 1.2 s
2024-05-01 08:00:00 to 08:01:00 UTC (1 min 00 s)

 1 account exposed  on 1 server: whoever could see this traffic can log in, or try to.
 1 critical finding, and 1 related

FINDINGS, WORST FIRST

 CRITICAL  SMTP AUTH PLAIN in clear  PS101
           mail.example.com (198.51.100.25:587)  1 account, 1 client
           With it: STARTTLS offered but client continued in clear (PS204)
           What to do: Require TLS before AUTH.
           Seen: Password of alice@example.com sent in clear; 2024-05-01 08:00:00, monday.pcap frame
           10

PASSWORDS TO CHANGE

mail.example.com (198.51.100.25:587)  SMTP, 1 account
  alice@example.com  password readable  login worked  2024-05-01 08:00:00

WHAT THIS CAPTURE SHOWS

                    conversations   encrypted   exposed   in clear   cannot tell    bytes
  IMAP over TLS                 1           1         ·          ·             ·   6.0 kB
  SMTP submission               1           ·         1          ·             ·   1.0 kB
  all                           2           1         1          ·             ·   7.0 kB
  1 conversation (50 %) went encrypted: nothing in them could be read here.
  All traffic by kind: tls 7 connections with 12.3 kB

WHAT THIS CAPTURE CANNOT SHOW

  • 17 packets never reached the capture: the interface or kernel dropped them.
  • 3 packets (3 %) were captured twice and counted once; that is harmless.

All findings with their evidence: pcapsec analyze -o DIR. About a rule: pcapsec explain ID.
"""


HOSTILE = "evil\x1b[31m\x1b]0;owned\x07[bold red]x[/]\u202egpj\r\nFAKE\x9b2J:smile:\udcff"


def test_hostile_text_is_shown_not_obeyed():
    session = made.submission(capture=HOSTILE)
    session.facts.logins[0].principal = session.findings[0].principal = HOSTILE
    session.findings[0].title = HOSTILE
    session.facts.greeting = HOSTILE
    session.tls = made.imaps().tls
    session.tls.sni = HOSTILE
    session.locate = lambda side, at: (HOSTILE, 1, made.T0)
    summary = summary_of(session)
    capture = made.capture(name=HOSTILE, notes=[HOSTILE], complete=False, flows_by_class={HOSTILE: (1, 1)})
    plain = text_of(summary, [capture, capture], unread=[HOSTILE])
    plain.encode()
    assert all(line.isprintable() for line in plain.splitlines())
    assert "\nFAKE" not in plain and "[bold red]x[/]" in plain and ":smile:" in plain and "\\x1b[31m" in plain
    coloured = text_of(summary, [capture], color=True)
    assert set(re.findall(r"\x1b.", coloured)) == {"\x1b["}
    assert set(re.findall(r"\x1b\[[0-9;]*(.)", coloured)) == {"m"}


def test_no_secret_is_shown():
    assert "S3cret" not in text_of(summary_of(made.submission()))


@pytest.mark.parametrize("width, widest", [(40, 80), (80, 80), (100, 100), (300, 120)])
def test_width_is_kept(width, widest):
    sessions = [made.submission(n, server_ip=f"2001:db8:1111:2222:3333:4444:5555:{n}", client_ip=f"2001:db8::{n}") for n in range(3)]
    for session in sessions:
        session.facts.logins[0].principal = "a" * 300
    text = text_of(summary_of(*sessions), width=width)
    assert max(map(len, text.splitlines())) <= widest
    assert text == "".join(line.rstrip() + "\n" for line in text.splitlines())


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("file, environment, coloured", [
    (Terminal(), {}, True), (io.StringIO(), {}, False), (Terminal(), {"NO_COLOR": "1"}, False), (Terminal(), {"TERM": "dumb"}, False),
])
def test_colour_only_where_it_is_wanted(monkeypatch, file, environment, coloured):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in render(summary_of(made.submission()), [made.capture()], file=file)) == coloured


@pytest.mark.parametrize("sessions, capture, words", [
    ([], made.capture(packets=0), "No packets were read, so nothing can be said."),
    ([], made.capture(), "No mail was seen in this capture."),
    ([made.imaps()], made.capture(), "Nothing exposed was seen"),
    ([made.submission(findings=[])], made.capture(), "1 account exposed"),
])
def test_the_first_sentence(sessions, capture, words):
    assert words in text_of(summary_of(*sessions), [capture])


def test_findings_without_a_password():
    session = made.submission()
    session.facts.logins = []
    session.findings = session.findings[1:]
    session.findings[0].because_of = None
    assert "1 finding  but no password was seen in clear." in text_of(summary_of(session))


def test_long_lists_are_cut_and_counted():
    sessions = []
    for n in range(100):
        session = made.submission(n, server_ip=f"198.51.100.{n % 30}")
        session.facts.logins[0].principal = f"user{n}"
        sessions.append(session)
    for n in range(60):
        session = made.submission(n)
        session.facts.logins[0].principal = f"other{n}"
        sessions.append(session)
    text = text_of(summary_of(*sessions))
    assert "160×" in text and "on 26 other servers" in text
    assert "… and 38 more accounts" in text  # 63 on 198.51.100.25, 25 shown
    assert "… and accounts on 10 more servers" in text
    assert "writes it to credentials.csv" in text
    assert len(text.splitlines()) < 250


def test_losses_say_what_to_do():
    sessions = [made.imaps(n, completeness=word, gap_bytes_server=2500 * (word == "gapped"), unparsed="x" if word == "full" else None)
                for n, word in enumerate(("full", "one_sided", "midstream", "gapped", "truncated", "evicted"))]
    text = " ".join(text_of(summary_of(*sessions), [made.capture(complete=False, skipped_bytes=12, undecoded_frames=50, evicted_flows=2, time_backsteps=1,
                                                                 notes=["link type 147 was not read"])], unread=["/x: expected a capture"]).split())
    for words in ("1 of 6 conversations (17 %) were captured in one direction only", "had begun before", "lack 2.5 kB in between", "without a snap length (tcpdump -s 0)",
                  "too many were open", "1 conversation on a mail port could not be understood", "Cut off or damaged: monday.pcap", "12 B of damage",
                  "50 packets (50 %) hold no IP", "2 connections had to be dropped", "jumped back 1 time;", "link type 147 was not read", "Not read: /x: expected a capture"):
        assert words in text, words
