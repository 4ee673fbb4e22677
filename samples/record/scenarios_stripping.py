"""Samples of a box on the path (`on_path.py`) that takes STARTTLS away, breaks it or writes into the dialogue, each recorded on both sides of the box.

`NAME-inside.pcap` is the client's side, `NAME-outside.pcap` the server's; where nothing else is said, the box keeps the length of what it changes.
"""
from __future__ import annotations

import pathlib
import sys

import servers
from net import HERE, SERVER, STRICT, Lab, RecordingError
from scenarios import A, ALICE, B, BOB, DOVECOT, E, IMAP_FINDINGS, IMAP_LOGIN, IMAP_READ, IMAP_SESSION, INN, LUNCH, POSTFIX, PYTHON, SENT, SWAKS, Sample, Step, py, swaks, tls13
from servers import DOMAIN

together: set[pathlib.Path] = set()  # recordings made in this run, both sides at once


def both_sides(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """Capture at the client and at the server while the steps run; the second of the two samples finds its file there."""
    if path in together:
        return
    stem = path.name.removesuffix("-inside.pcap").removesuffix("-outside.pcap")
    inside, outside = path.with_name(f"{stem}-inside.pcap"), path.with_name(f"{stem}-outside.pcap")
    if path not in (inside, outside):
        raise RecordingError(f"{path.name} is neither the inside nor the outside of something")
    with lab.capture(inside, side="client", filter=sample.filter), lab.capture(outside, side="server", filter=sample.filter):
        sample.play(lab)
    together.update((inside, outside))


def taps(name: str, about: str, software: str, steps: list[Step], *, inside: dict, outside: dict, **common) -> list[Sample]:
    """The two samples of one recording; `inside` and `outside` are what a reader of each must find."""
    return [Sample(f"{name}-{side}.pcap", about if side == "inside" else f"{name}-inside, captured at the server", software, steps=steps, **{"record": both_sides} | common, **found)
            for side, found in (("inside", inside), ("outside", outside))]


def fallback(lab: Lab) -> None:
    """A Postfix of the client side with opportunistic TLS that comes back after a second, so that what takes it minutes elsewhere fits into a recording; some domains have servers of their own."""
    routes = {f"{name}.{DOMAIN}": f"smtp:[{address}]:25" for name, address in servers.PEERS.items()}
    servers.postfix(lab, "fallback", "client", ["127.0.0.1:2532 inet n - n - - smtpd -o smtpd_tls_security_level=none"], default_transport="smtp", relay_transport="smtp", local_transport="smtp",
                    relayhost=f"[{SERVER}]:25", smtp_tls_security_level="may", myhostname="branch.example.net", relay_domains="", minimal_backoff_time="1s", maximal_backoff_time="2s",
                    queue_run_delay="1s", smtp_helo_timeout="2s",
                    transport_maps="inline:{" + ", ".join(f"{{{domain}={route}}}" for domain, route in routes.items()) + "}",
                    smtp_tls_policy_maps=f"inline:{{{{[{servers.PEERS['verified']}]:25=verify}}, {{[{servers.PEERS['old']}]:25=may protocols=>=TLSv1.3}}}}")
    lab.wait_for_port("127.0.0.1", 2532, "client")


def peers(lab: Lab) -> None:
    """One Postfix of the server's side that is several: each address of servers.PEERS is set up in its own way."""
    home = lab.work / "peers"
    settings = {
        "plain": "smtpd_tls_security_level=none",  # no TLS
        "last": "smtpd_discard_ehlo_keywords=silent-discard,dsn,enhancedstatuscodes,8bitmime,smtputf8,chunking",  # STARTTLS is the last keyword
        "broken": f"smtpd_tls_cert_file={home}/no-such-file",  # offers STARTTLS and cannot
        "chosen": f"smtpd_discard_ehlo_keyword_address_maps=cidr:{home}/chosen",  # offers it to some clients
        "old": "smtpd_tls_protocols=<=TLSv1.2",
        "verified": "smtpd_tls_security_level=may",
    }
    servers.reachable(home)
    (home / "chosen").write_text("10.7.0.3/32 starttls\n")
    servers.postfix(lab, "peers", "server", [f"{servers.PEERS[name]}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no -o {setting}" for name, setting in settings.items()])
    lab.wait_for_port(servers.PEERS["plain"], 25)


def submissions(lab: Lab) -> None:
    """Dovecot's submission server, with the mailboxes beside it."""
    servers.dovecot(lab, "submission", [servers.PEERS["dovecot"]], submission=True)
    lab.wait_for_port(servers.PEERS["dovecot"], 587)


SERVERS = {"fallback": fallback, "peers": peers, "submissions": submissions}


def letter(server: str, message: str, *words: str, to: str = BOB, fails: bool = False) -> Step:
    """swaks sends a message with this id."""
    step = swaks("--server", server, "--to", to, *words, fails=fails)
    step.argv[step.argv.index(f"Message-Id: <swaks@{DOMAIN}>")] = f"Message-Id: <{message}@{DOMAIN}>"
    return step


def relayed(port: int = 2527, to: str = BOB, seconds: float = 1, message: str = "swaks") -> list[Step]:
    """swaks gives a message to a Postfix of the client side, which relays it."""
    return [letter(f"127.0.0.1:{port}", message, to=to), Step(["sleep", str(seconds)])]


def own(name: str, host: str, port: int, *words: str) -> Step:
    return Step([sys.executable, str(HERE / "path_clients.py"), name, host, str(port), *words])


def seen(session: str, findings: str, **more: list[str]) -> dict:
    return {"sessions": [session], "findings": findings} | more


MESSAGE = f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"
NOT_OFFERED, OFFERED, REFUSED = (f"smtp smtp none {state} full" for state in ("not_offered", "offered", "refused"))
CLEAR_RELAY = "PS206 PS213 PS705"
SENT_CLEAR = {"messages": [MESSAGE]}
UNTOUCHED = seen(OFFERED, f"PS204 {CLEAR_RELAY}", **SENT_CLEAR)  # the server's side: an offer that nobody takes
BY_POSTFIX = {"software": f"{POSTFIX}, {SWAKS}", "steps": relayed(), "servers": ("mail", "branch-tls")}

SWAKS_ITSELF = {"software": f"{POSTFIX}, {SWAKS}", "steps": [swaks("--server", SERVER, "--to", BOB, "--tls-optional")], "servers": ("mail",)}
NO_KEYWORDS = "smtp smtp none no_capability_seen full"
MASKED_BANNER = ("--mask", "server", r"(?<=\A220 )[^\r]+", "*")

SMTP = [
    *taps("strip-smtp-removed", "A box cuts the line STARTTLS out of the reply to EHLO", **BY_POSTFIX, box=("--edit", "server", r"250-STARTTLS\r\n", ""),
          inside=seen(NOT_OFFERED, f"PS201 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-masked", "A box writes XXXXXXXA over STARTTLS, as Cisco's ESMTP inspection does", **BY_POSTFIX, box=("--edit", "server", "STARTTLS", "XXXXXXXA"),
          inside=seen(NOT_OFFERED, f"PS301 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-inspected", "A box masks banner, STARTTLS and other keywords, as Cisco's ESMTP inspection does by default", **SWAKS_ITSELF,
          box=("--edit", "server", "STARTTLS", "XXXXXXXA", *MASKED_BANNER, "--mask", "server", "(?<=250-)(PIPELINING|ENHANCEDSTATUSCODES|DSN|SMTPUTF8)|(?<=250 )CHUNKING", "X"),
          inside=seen(NOT_OFFERED, f"PS301 PS302 PS303 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-pix", "A box of the PIX kind masks the banner and lets no EHLO through: the server sees XXXX, the client falls back to HELO", **SWAKS_ITSELF,
          box=(*MASKED_BANNER, "--edit", "client", r"\AEHLO", "XXXX"),
          inside=seen(NO_KEYWORDS, f"PS303 PS309 {CLEAR_RELAY}", **SENT_CLEAR), outside=seen(NO_KEYWORDS, f"PS203 PS309 {CLEAR_RELAY}", **SENT_CLEAR)),
    *taps("strip-smtp-pix-banner", "A box masks nothing but the banner: Postfix takes it for a PIX and says HELO", **BY_POSTFIX, box=MASKED_BANNER,
          inside=seen(NO_KEYWORDS, f"PS203 PS303 {CLEAR_RELAY}", **SENT_CLEAR), outside=seen(NO_KEYWORDS, f"PS203 {CLEAR_RELAY}", **SENT_CLEAR)),
    *taps("strip-smtp-ehlo-refused", "A box refuses EHLO in the server's name; the client falls back to HELO", **BY_POSTFIX, box=("--answer", "EHLO ", r"500 5.5.1 Command unrecognized\r\n"),
          inside=seen(NO_KEYWORDS, f"PS309 PS318 {CLEAR_RELAY}", **SENT_CLEAR), outside=seen(NO_KEYWORDS, f"PS203 {CLEAR_RELAY}", **SENT_CLEAR)),
    *taps("strip-smtp-ehlo-to-helo", "A box makes HELO of EHLO: the reply has no keywords", **BY_POSTFIX, box=("--edit", "client", r"\AEHLO", "HELO"),
          inside=seen(NOT_OFFERED, f"PS201 {CLEAR_RELAY}", **SENT_CLEAR), outside=seen(NO_KEYWORDS, f"PS203 {CLEAR_RELAY}", **SENT_CLEAR)),
    *taps("strip-smtp-garbled", "A box garbles the command: the client sends STARTTLS, the server receives XXXXXXXX and refuses it; the client goes on in clear", **BY_POSTFIX,
          box=("--edit", "client", r"\ASTARTTLS", "XXXXXXXX"),
          inside=seen(REFUSED, f"PS205 PS215 PS304 PS306 {CLEAR_RELAY}", **SENT_CLEAR), outside=seen(OFFERED, f"PS204 PS304 {CLEAR_RELAY}", **SENT_CLEAR)),
    *taps("strip-smtp-refused", "A box keeps STARTTLS to itself and answers 454 in the server's name; the client goes on in clear", **BY_POSTFIX,
          box=("--answer", "STARTTLS", r"454 4.7.0 TLS not available due to temporary reason\r\n"),
          inside=seen(REFUSED, f"PS205 PS215 PS306 PS318 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-padded", "A box writes spaces over STARTTLS", **BY_POSTFIX, box=("--edit", "server", "STARTTLS", " " * 8),
          inside=seen(NOT_OFFERED, f"PS310 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-last-line", "A box cuts the last line out of the reply to EHLO; the client waits for another one, then says HELO", f"{POSTFIX}, {SWAKS}",
          [swaks("--server", servers.PEERS["last"], "--to", BOB, "--tls-optional", "--timeout", "2")], box=("--edit", "server", r"250 STARTTLS\r\n", ""), servers=("peers",),
          inside=seen(NO_KEYWORDS, f"PS310 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-overlap", "A box beside the path: a forged reply to EHLO without STARTTLS arrives first, the server's own one covers the same numbers with other bytes", **BY_POSTFIX,
          box=("--forge", "STARTTLS", "8BITMIME"), inside=seen(NOT_OFFERED, f"PS310 PS311 PS318 {CLEAR_RELAY}", **SENT_CLEAR), outside=UNTOUCHED),
    *taps("strip-smtp-desync", "A box answers STARTTLS itself with 220, and the client goes on in clear: a server that never heard of it answers", f"{POSTFIX}, {PYTHON} socket",
          [own("smtp_goes_on", SERVER, 25)], box=("--answer", "STARTTLS", r"220 2.0.0 Ready to start TLS\r\n"), servers=("mail",),
          inside=seen("smtp smtp none accepted full", f"PS317 PS318 {CLEAR_RELAY}", messages=[MESSAGE.replace("swaks", "went-on")]),
          outside=seen(OFFERED, f"PS204 {CLEAR_RELAY}", messages=[MESSAGE.replace("swaks", "went-on")])),
]

WITH_TLS = "smtp smtp starttls tls_established full"
TLS_FINDINGS = "PS217 PS430 PS454"
STARTED = {"tls": [tls13()]}
ENCRYPTED = seen(WITH_TLS, TLS_FINDINGS, **STARTED)
CUT_OFF, ACCEPTED = "smtp smtp starttls tls_clienthello full", "smtp smtp none accepted full"
SUBMISSION_TLS = "smtp submission starttls tls_established full"
IMAP_TLS, POP3_TLS = "imap imap starttls tls_established full", "pop3 pop3 starttls tls_established full"
BY_SMTPLIB = {"software": f"{POSTFIX}, {PYTHON} smtplib", "steps": [py("smtp_send", SERVER, 25, "", "", "starttls")], "servers": ("mail",)}
DECODE_ERROR = "- - established=no alerts=client:fatal:50_decode_error"
RESETS = {"messages": [MESSAGE.replace("swaks", f"reset-{n}") for n in (1, 2)]}

INTO_TLS = [
    *taps("strip-smtp-reset", "A box resets connections at the ClientHello, both sides; Postfix comes back, is reset again, and sends its two messages in clear", f"{POSTFIX}, {SWAKS}",
          [*relayed(2532, seconds=5, message="reset-1"), *relayed(2532, seconds=5, message="reset-2")], box=("--reset", r"\x16\x03"), servers=("mail", "fallback"),
          inside={"sessions": [CUT_OFF, CUT_OFF, OFFERED] * 2, "findings": f"PS204 PS205 PS217 PS307 PS308 PS440 PS452 PS454 {CLEAR_RELAY}", "tls": ["- -"] * 4, **RESETS},
          outside={"sessions": [ACCEPTED, ACCEPTED, OFFERED] * 2, "findings": f"PS204 PS205 PS307 {CLEAR_RELAY}", **RESETS}),
    *taps("inject-smtp-command", "A box puts RSET behind the client's STARTTLS; Postfix drops it and goes on", **BY_SMTPLIB, box=("--edit", "client", r"\ASTARTTLS\r\n", r"STARTTLS\r\nRSET\r\n"),
          inside=ENCRYPTED, outside=seen(WITH_TLS, f"PS313 {TLS_FINDINGS}", **STARTED)),
    *taps("inject-submission-command", "A box puts RSET behind the client's STARTTLS to Dovecot's submission server, which closes the connection", f"{DOVECOT}, {PYTHON} smtplib",
          [Step(py("smtp_send", servers.PEERS["dovecot"], 587, "", "", "starttls").argv, fails=True)], servers=("submissions",), box=("--edit", "client", r"\ASTARTTLS\r\n", r"STARTTLS\r\nRSET\r\n"),
          inside=seen("smtp submission starttls tls_clienthello full", "PS121 PS217 PS442 PS452 PS454", tls=["- -"]),
          outside=seen("smtp submission starttls tls_clienthello full", "PS121 PS217 PS313 PS442 PS452 PS454", tls=["- -"])),
    *taps("inject-imap-command", "A box puts a command behind the client's STARTTLS to Dovecot, which closes the connection", f"{DOVECOT}, {PYTHON} imaplib",
          [Step(py("imap_read", SERVER, 143, "alice", "starttls").argv, fails=True)], servers=("mail",), box=("--edit", "client", r"(?<=STARTTLS)\r\n", r"\r\nx1 NOOP\r\n"),
          inside=seen("imap imap starttls tls_failed full", "PS121 PS211 PS442 PS452 PS454", tls=[DECODE_ERROR]),
          outside=seen("imap imap starttls tls_failed full", "PS121 PS211 PS313 PS442 PS452 PS454", tls=[DECODE_ERROR])),
    *taps("inject-pop3-command", "A box puts a command behind the client's STLS to Dovecot, which closes the connection", f"{DOVECOT}, {PYTHON} poplib",
          [Step(py("pop3_read", SERVER, 110, "alice", "stls").argv, fails=True)], servers=("mail",), box=("--edit", "client", r"\ASTLS\r\n", r"STLS\r\nNOOP\r\n"),
          inside=seen("pop3 pop3 starttls tls_clienthello full", "PS121 PS442 PS452 PS454", tls=["- -"]),
          outside=seen("pop3 pop3 starttls tls_clienthello full", "PS121 PS313 PS442 PS452 PS454", tls=["- -"])),
    *taps("inject-managesieve-command", "A box puts a command behind the client's STARTTLS to Dovecot, which closes the connection", f"{DOVECOT}, {PYTHON} socket",
          [Step(py("sieve_put", SERVER, 4190, "alice", "starttls").argv, fails=True)], servers=("mail",), box=("--edit", "client", r"\ASTARTTLS\r\n", r"STARTTLS\r\nNOOP\r\n"),
          inside=seen("managesieve managesieve starttls tls_clienthello full", "PS121 PS452 PS454", tls=[f"- - sni=mail.{DOMAIN}"]),
          outside=seen("managesieve managesieve starttls tls_clienthello full", "PS121 PS313 PS452 PS454", tls=[f"- - sni=mail.{DOMAIN}"])),
    *taps("inject-nntp-command", "A box puts a command behind the client's STARTTLS to INN", f"{INN}, {PYTHON} socket",
          [Step(py("nntp_read", SERVER, 119, "starttls").argv, fails=True)], servers=("news",), box=("--edit", "client", r"\ASTARTTLS\r\n", r"STARTTLS\r\nDATE\r\n"),
          inside=seen("nntp nntp starttls tls_established full", "PS121 PS430 PS454", tls=[tls13(sni=f"mail.{DOMAIN}")]),
          outside=seen("nntp nntp starttls tls_established full", "PS121 PS313 PS430 PS454", tls=[tls13(sni=f"mail.{DOMAIN}")])),
    *taps("inject-imap-mailboxes", "A box puts a mailbox list and a number of messages before the answer to CAPABILITY; the client goes on with STARTTLS", f"{DOVECOT}, {PYTHON} imaplib",
          [py("imap_read", SERVER, 143, "alice", "starttls")], servers=("mail",), box=("--edit", "server", r"\A\* CAPABILITY", r'* LIST (\\Noselect) "/" Payroll\r\n* 7 EXISTS\r\n* CAPABILITY'),
          inside=seen(IMAP_TLS, "PS121 PS211 PS315 PS430 PS442 PS454", **STARTED), outside=seen(IMAP_TLS, "PS121 PS211 PS430 PS442 PS454", **STARTED)),
    *taps("inject-imap-referral", "A box makes a referral to another server of the greeting", f"{DOVECOT}, {PYTHON} imaplib",
          [Step(py("imap_read", SERVER, 143, "alice", "starttls").argv, fails=True)], servers=("mail",), box=("--edit", "server", r"\A\* OK \[[^\r]+", r"* BYE [REFERRAL imap://mail.example.net/] Server has moved."),
          inside=seen("imap imap none no_capability_seen full", "PS315"), outside=seen("imap imap none offered full", "PS121 PS211")),
    *taps("inject-smtp-response", "A box puts a reply of its own behind the server's 220; smtplib drops it and goes on", **BY_SMTPLIB,
          box=("--edit", "server", r"(?<=Ready to start TLS)\r\n", r"\r\n250-mail.example.org\r\n250 AUTH PLAIN LOGIN\r\n"),
          inside=seen(WITH_TLS, f"PS314 {TLS_FINDINGS}", **STARTED), outside=ENCRYPTED),
    *taps("inject-imap-response", "A box puts capabilities of its own behind the server's OK; imaplib drops them and goes on", f"{DOVECOT}, {PYTHON} imaplib",
          [py("imap_read", SERVER, 143, "alice", "starttls")], servers=("mail",), box=("--edit", "server", r"(?<=Begin TLS negotiation now.)\r\n", r"\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
          inside=seen(IMAP_TLS, "PS314 PS121 PS211 PS430 PS442 PS454", **STARTED), outside=seen(IMAP_TLS, "PS121 PS211 PS430 PS442 PS454", **STARTED)),
    *taps("inject-pop3-response", "A box puts an answer of its own behind the server's +OK; poplib drops it and goes on", f"{DOVECOT}, {PYTHON} poplib",
          [py("pop3_read", SERVER, 110, "alice", "stls")], servers=("mail",), box=("--edit", "server", r"(?<=Begin TLS negotiation now.)\r\n", r"\r\n+OK Logged in.\r\n"),
          inside=seen(POP3_TLS, "PS314 PS121 PS430 PS442 PS454", **STARTED), outside=seen(POP3_TLS, "PS121 PS430 PS442 PS454", **STARTED)),
]

IMAP_BARE, POP3_BARE, POP3_SESSION = "imap imap none not_offered full", "pop3 pop3 none not_offered full", "pop3 pop3 none offered full"
READ = {"logins": [IMAP_LOGIN], "messages": [LUNCH], "secrets": [A]}
BY_IMAPLIB = {"software": f"{DOVECOT}, {PYTHON} imaplib", "steps": IMAP_READ, "servers": ("mail",)}
IMAP_UNTOUCHED = seen(IMAP_SESSION, IMAP_FINDINGS, **READ)
POPPED = {"logins": [f"USER-PASS {BOB} password success"], "messages": [f"pop3 fetched - - <lunch@{DOMAIN}> none"], "secrets": [B]}
BY_POPLIB = {"software": f"{DOVECOT}, {PYTHON} poplib", "steps": [py("pop3_read", SERVER, 110, "bob")], "servers": ("mail",)}
POP3_UNTOUCHED = seen(POP3_SESSION, "PS112 PS115 PS121 PS204 PS206 PS212 PS705", **POPPED)
DRAFT = [f"imap submitted - - <draft@{DOMAIN}> none"]
REFUSED_LOGIN = {"logins": [f"LOGIN-COMMAND {ALICE} password failed"], "secrets": [A]}
SIEVE_LOGIN = {"logins": [f"PLAIN {ALICE} password success"], "secrets": [A]}
NEWS = {"logins": ["AUTHINFO erin password success"], "messages": [f"nntp submitted - - <posted-clear@{DOMAIN}> none"], "secrets": [E]}

MAILBOXES = [
    *taps("strip-imap-removed", "A box cuts STARTTLS out of the capabilities", **BY_IMAPLIB, box=("--edit", "server", " STARTTLS", ""),
          inside=seen(IMAP_BARE, "PS110 PS121 PS201 PS206 PS212 PS705", **READ), outside=IMAP_UNTOUCHED),
    *taps("strip-imap-masked", "A box writes XXXXXXXX over STARTTLS", **BY_IMAPLIB, box=("--edit", "server", "STARTTLS", "XXXXXXXX"),
          inside=seen(IMAP_BARE, "PS110 PS121 PS206 PS212 PS301 PS705", **READ), outside=IMAP_UNTOUCHED),
    *taps("strip-imap-logindisabled", "A box cuts STARTTLS and LOGINDISABLED out of the capabilities; the client logs in, and the server that wants TLS first refuses", f"{DOVECOT}, {PYTHON} socket",
          [py("imap_refused", STRICT, 143, "alice")], servers=("mail",), box=("--edit", "server", " STARTTLS LOGINDISABLED", ""),
          inside=seen(IMAP_BARE, "PS110 PS121 PS201", **REFUSED_LOGIN), outside=seen(IMAP_SESSION, "PS110 PS115 PS204 PS210", **REFUSED_LOGIN)),
    *taps("strip-imap-preauth", "A box makes PREAUTH of the greeting's OK: the client believes that it is logged in, cannot start TLS, and stores a message in clear", f"{DOVECOT}, {PYTHON} imaplib",
          [own("imap_preauth", SERVER, 143)], servers=("mail",), box=("--edit", "server", r"\A\* OK", "* PREAUTH"),
          inside=seen(IMAP_SESSION, "PS206 PS209 PS212 PS705", messages=DRAFT), outside=seen(IMAP_SESSION, "PS121 PS204 PS206 PS211 PS212 PS705", messages=DRAFT)),
    *taps("strip-imap-refused", "A box keeps STARTTLS to itself and answers NO in the server's name; the client logs in", f"{DOVECOT}, {PYTHON} socket",
          [own("imap_goes_on", SERVER, 143, "alice")], servers=("mail",), box=("--answer", r"(\S+) STARTTLS", r"\1 NO TLS is not available.\r\n"),
          inside=seen("imap imap none refused full", "PS110 PS115 PS121 PS211 PS212 PS215 PS306 PS318", logins=[IMAP_LOGIN], secrets=[A]),
          outside=seen(IMAP_SESSION, "PS110 PS115 PS121 PS204 PS211 PS212", logins=[IMAP_LOGIN], secrets=[A])),
    *taps("strip-pop3-removed", "A box cuts STLS out of the capabilities", **BY_POPLIB, box=("--edit", "server", r"STLS\r\n", ""),
          inside=seen(POP3_BARE, "PS112 PS121 PS201 PS206 PS212 PS705", **POPPED), outside=POP3_UNTOUCHED),
    *taps("strip-pop3-masked", "A box writes XXXX over STLS", **BY_POPLIB, box=("--edit", "server", "STLS", "XXXX"),
          inside=seen(POP3_BARE, "PS112 PS121 PS206 PS212 PS301 PS705", **POPPED), outside=POP3_UNTOUCHED),
    *taps("strip-pop3-garbled", "A box garbles the command: the client sends STLS, the server receives XXXX; the client logs in", f"{DOVECOT}, {PYTHON} socket",
          [own("pop3_goes_on", SERVER, 110, "bob")], servers=("mail",), box=("--edit", "client", r"\ASTLS", "XXXX"),
          inside=seen("pop3 pop3 none refused full", "PS112 PS115 PS121 PS212 PS215 PS304 PS306", logins=POPPED["logins"], secrets=[B]),
          outside=seen(POP3_SESSION, "PS112 PS115 PS121 PS204 PS212 PS304", logins=POPPED["logins"], secrets=[B])),
    *taps("strip-managesieve-removed", "A box cuts STARTTLS out of the capabilities", f"{DOVECOT}, {PYTHON} socket", [py("sieve_put", SERVER, 4190, "alice")], servers=("mail",),
          box=("--edit", "server", r'"STARTTLS"\r\n', ""), inside=seen("managesieve managesieve none not_offered full", "PS114 PS121 PS201 PS212", **SIEVE_LOGIN),
          outside=seen("managesieve managesieve none offered full", "PS114 PS115 PS121 PS204 PS212", **SIEVE_LOGIN)),
    *taps("strip-managesieve-masked", "A box writes XXXXXXXX over STARTTLS", f"{DOVECOT}, {PYTHON} socket", [py("sieve_put", SERVER, 4190, "alice")], servers=("mail",),
          box=("--edit", "server", "STARTTLS", "XXXXXXXX"), inside=seen("managesieve managesieve none not_offered full", "PS114 PS121 PS212 PS301", **SIEVE_LOGIN),
          outside=seen("managesieve managesieve none offered full", "PS114 PS115 PS121 PS204 PS212", **SIEVE_LOGIN)),
    *taps("strip-nntp-garbled", "A box garbles the command: the client sends STARTTLS, the server receives XXXXXXXX; the client logs in", f"{INN}, {PYTHON} socket",
          [own("nntp_goes_on", SERVER, 119)], servers=("news",), box=("--edit", "client", r"\ASTARTTLS", "XXXXXXXX"),
          inside=seen("nntp nntp none refused full", "PS113 PS115 PS121 PS215 PS304 PS306", logins=NEWS["logins"], secrets=[E]),
          outside=seen("nntp nntp none offered full", "PS113 PS115 PS121 PS204 PS304", logins=NEWS["logins"], secrets=[E])),
    *taps("strip-nntp-removed", "A box cuts STARTTLS out of the capabilities", f"{INN}, {PYTHON} socket", [py("nntp_read", SERVER, 119)], servers=("news",),
          box=("--edit", "server", r"STARTTLS\r\n", ""), inside=seen("nntp nntp none not_offered full", "PS113 PS121 PS201 PS206", **NEWS),
          outside=seen("nntp nntp none offered full", "PS113 PS115 PS121 PS204 PS206", **NEWS)),
]

FOR_A_WHILE = ("--skip", "1", "--until", "2")  # of three connections the second
AUTH_PLAIN = {"logins": [f"PLAIN {ALICE} password success"], "secrets": [A]}

AMONG_OTHERS = [
    *taps("strip-smtp-for-a-while", "Six messages from one Postfix to another; from the third to the fourth a box cuts the line STARTTLS out", f"{POSTFIX}, {SWAKS}",
          [step for n in range(6) for step in relayed(message=f"n{n + 1}")], servers=("mail", "branch-tls"), box=("--skip", "2", "--until", "4", "--edit", "server", r"250-STARTTLS\r\n", ""),
          inside={"sessions": [WITH_TLS] * 2 + [NOT_OFFERED] * 2 + [WITH_TLS] * 2, "tls": [tls13()] * 4, "findings": f"PS201 PS217 PS305 PS430 PS440 PS454 PS903 {CLEAR_RELAY}",
                  "messages": [MESSAGE.replace("swaks", f"n{n}") for n in (3, 4)]},
          outside={"sessions": [WITH_TLS] * 2 + [OFFERED] * 2 + [WITH_TLS] * 2, "tls": [tls13()] * 4, "findings": f"PS204 PS217 PS430 PS440 PS454 PS903 PS911 {CLEAR_RELAY}",
                   "messages": [MESSAGE.replace("swaks", f"n{n}") for n in (3, 4)]}),
    *taps("strip-imap-mechanisms", "Of three sessions the second passes a box that leaves nothing but AUTH=PLAIN of offer and mechanisms", f"{DOVECOT}, {PYTHON} imaplib, {PYTHON} socket",
          [py("imap_read", SERVER, 143, "alice", "starttls"), py("imap_sasl", SERVER, 143, "PLAIN", "alice"), py("imap_read", SERVER, 143, "alice", "starttls")], servers=("mail",),
          box=(*FOR_A_WHILE, "--edit", "server", r"STARTTLS( AUTH=[A-Z0-9-]+)+", "AUTH=PLAIN"),
          inside={"sessions": [IMAP_TLS, IMAP_BARE, IMAP_TLS], "tls": [tls13()] * 2, "findings": "PS111 PS121 PS201 PS211 PS212 PS305 PS319 PS430 PS442 PS454 PS903 PS907", **AUTH_PLAIN},
          outside={"sessions": [IMAP_TLS, IMAP_SESSION, IMAP_TLS], "tls": [tls13()] * 2, "findings": "PS111 PS115 PS121 PS204 PS211 PS212 PS430 PS442 PS454 PS903 PS907 PS911", **AUTH_PLAIN}),
    *taps("strip-submission-mechanisms", "Of three submissions the second passes a box that leaves nothing but AUTH PLAIN of offer and mechanisms", f"{POSTFIX}, {PYTHON} smtplib",
          [py("smtp_send", SERVER, 587, "alice", "PLAIN", *words) for words in (["starttls"], [], ["starttls"])], servers=("mail",),
          box=(*FOR_A_WHILE, "--edit", "server", r"250-STARTTLS\r\n250-AUTH [^\r]+", "250-AUTH PLAIN"),
          inside={"sessions": [SUBMISSION_TLS, "smtp submission none not_offered full", SUBMISSION_TLS], "tls": [tls13()] * 2, "messages": [f"smtp submitted {SENT} <smtplib@{DOMAIN}> none"],
                  "findings": "PS101 PS121 PS201 PS202 PS206 PS212 PS217 PS305 PS319 PS430 PS442 PS454 PS705 PS903 PS907", **AUTH_PLAIN},
          outside={"sessions": [SUBMISSION_TLS, "smtp submission none offered full", SUBMISSION_TLS], "tls": [tls13()] * 2, "messages": [f"smtp submitted {SENT} <smtplib@{DOMAIN}> none"],
                   "findings": "PS101 PS115 PS121 PS202 PS204 PS206 PS212 PS217 PS430 PS442 PS454 PS705 PS903 PS907 PS911", **AUTH_PLAIN}),
]

SAMPLES = SMTP + INTO_TLS + MAILBOXES + AMONG_OTHERS
