"""Samples that look like stripped STARTTLS and have an innocent cause, and sessions that tell something only together: fallbacks, regressions, messages on several hops."""
from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

import servers
from net import HERE, OTHER_CLIENTS, SERVER, Lab, stop
from scenarios import A, ALICE, BOB, D, DOVECOT, IMAP_FINDINGS, IMAP_SESSION, POSTFIX, PYTHON, SENT, SWAKS, Sample, Step, handshake, py, tls13
from scenarios_stripping import CLEAR_RELAY, CUT_OFF, NOT_OFFERED, OFFERED, READ, REFUSED, WITH_TLS, both_sides, letter, own, relayed, seen, taps, together
from servers import DOMAIN, PEERS

HAPROXY, EXIM = "haproxy 2.6.12", "Exim 4.96"
INSIDE, SHARED, OUTER = "10.7.5.1", "10.7.5.3", "10.7.0.60"  # the proxies' addresses: towards the clients, and towards the servers
DAVE = f"dave@{DOMAIN}"


# --- servers ----------------------------------------------------------------------------------------------------------------------------------

def changing(lab: Lab) -> None:
    """A Postfix whose administrator switches TLS on or off; it begins without."""
    servers.postfix(lab, "changing", "server", [f"{PEERS['changing']}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no"], smtpd_tls_security_level="none")
    lab.wait_for_port(PEERS["changing"], 25)


def set_up(lab: Lab, tls: str) -> None:
    folder = str(lab.work / "changing" / "etc")
    lab.client("postconf", "-c", folder, "-e", f"smtpd_tls_security_level={tls}", side="server")
    lab.client("postfix", "-c", folder, "reload", side="server")
    time.sleep(1)


def pair(lab: Lab) -> None:
    """Two servers that a balancer shows as one: the first has TLS, the second has not."""
    servers.postfix(lab, "pair", "server", [
        f"{PEERS['first']}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no -o myhostname=mx1.{DOMAIN}",
        f"{PEERS['second']}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no -o myhostname=mx2.{DOMAIN} -o smtpd_tls_security_level=none -o smtpd_discard_ehlo_keywords=silent-discard,dsn,chunking",
    ])
    lab.wait_for_port(PEERS["second"], 25)


def chain(lab: Lab) -> None:
    """Office (Postfix, takes mail with TLS, relays in clear) → Exim at another of the client side's addresses (relays with TLS) → MX (Postfix, gives it to Dovecot)."""
    servers.postfix(lab, "office", "server", [f"{PEERS['office']}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no"], myhostname=f"office.{DOMAIN}", relayhost=f"[{OTHER_CLIENTS[1]}]:25",
                    relay_transport="smtp", default_transport="smtp", smtp_bind_address=PEERS["office"])
    servers.postfix(lab, "mx", "server", [f"{PEERS['mx']}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no"], myhostname=f"mx.{DOMAIN}", relay_transport=f"lmtp:inet:{SERVER}:24",
                    default_transport="discard:recorded")
    servers.exim(lab, "middle", "client", f"""
local_interfaces = {OTHER_CLIENTS[1]}
daemon_smtp_ports = 25
tls_advertise_hosts =
begin acl
begin routers
onward:
  driver = manualroute
  route_list = * {PEERS['mx']}
  transport = onward
  self = send
begin transports
onward:
  driver = smtp
  hosts_require_tls = *
  tls_verify_certificates =
  interface = {OTHER_CLIENTS[1]}
""")
    for address, side in ((PEERS["office"], "server"), (PEERS["mx"], "server"), (OTHER_CLIENTS[1], "client")):
        lab.wait_for_port(address, 25, side)


def terminated(lab: Lab) -> None:
    """A proxy takes mail in clear and gives it to a Postfix with TLS, which relays it in clear to another one of the client side."""
    servers.haproxy(lab, "wrapper", "server", f"listen mail\n bind {PEERS['front']}:25\n server behind {PEERS['behind']}:465 ssl verify none\n")
    servers.postfix(lab, "behind", "server", [f"{PEERS['behind']}:465 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no -o smtpd_tls_wrappermode=yes"], myhostname=f"behind.{DOMAIN}",
                    relay_transport="smtp", default_transport="smtp", relayhost=f"[{OTHER_CLIENTS[0]}]:25", smtp_bind_address=PEERS["behind"])
    servers.postfix(lab, "last-stop", "client", [f"{OTHER_CLIENTS[0]}:25 inet n - n - - smtpd -o smtpd_sasl_auth_enable=no"], myhostname="branch.example.net")
    lab.wait_for_port(PEERS["front"], 25)
    lab.wait_for_port(OTHER_CLIENTS[0], 25, "client")


SERVERS = {"changing": changing, "pair": pair, "chain": chain, "terminated": terminated}


# --- recordings that are more than "capture while the steps run" ------------------------------------------------------------------------------

@contextlib.contextmanager
def between(lab: Lab, start: Callable[[], subprocess.Popen]):
    """A program in the switch's place: nothing passes but through it."""
    lab.cut()
    for side, device, address in (("switch", "to-client", INSIDE), ("switch", "to-client", SHARED), ("switch", "to-server", OUTER), ("client", "eth0", "10.7.5.2")):
        lab.ip(side, "addr", "replace", f"{address}/24", "dev", device)
    process = start()
    lab.wait_for_port(INSIDE, 25, "switch")
    try:
        yield
    finally:
        stop(process)
        for device in ("to-client", "to-server"):
            lab.ip("switch", "addr", "flush", "dev", device, "scope", "global")


PROXIES = (f"listen mail\n bind {INSIDE}:25\n server s {SERVER}:25\n"
           f"listen pair\n bind {SHARED}:25\n balance roundrobin\n server first {PEERS['first']}:25\n server second {PEERS['second']}:25\n"
           f"listen imaps\n bind {INSIDE}:993 ssl crt %CERT%\n server s {SERVER}:143\n")


def behind_proxy(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    with between(lab, lambda: servers.haproxy(lab, f"proxy{len(lab.processes)}", "switch", PROXIES)):
        both_sides(lab, sample, path)


def decrypted(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    key, certificate = servers.certificate(lab)
    with between(lab, lambda: lab.start("switch", sys.executable, str(HERE / "decrypting.py"), INSIDE, "25", SERVER, str(certificate), str(key))), \
            lab.capture(path, side="probe", device="mirror"):
        sample.play(lab)


def switched(lab: Lab, sample: Sample, path: pathlib.Path, *, on: bool) -> None:
    """The steps, then the administrator switches TLS on (or off), then the steps again."""
    set_up(lab, "none" if on else "may")
    with lab.capture(path, side="client"):
        sample.play(lab)
        set_up(lab, "may" if on else "none")
        sample.play(lab)


def undelivered(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """What Postfix could not deliver is taken out of its queue afterwards."""
    with lab.capture(path, side="client"):
        sample.play(lab)
    lab.client("postsuper", "-c", str(lab.work / "fallback" / "etc"), "-d", "ALL", side="client")


def three_views(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """All hops, the clear one alone, and what the reader fetched."""
    if path in together:
        return
    hop, fetched, whole = (path.with_name(name) for name in ("chain-hop.pcap", "chain-fetched.pcap", "chain.pcap"))
    clear_hop = f"host {PEERS['office']} and host {OTHER_CLIENTS[1]}"
    with lab.capture(whole, filter="tcp"), lab.capture(hop, filter=clear_hop), lab.capture(fetched, filter="tcp port 110"):
        sample.play(lab)
    together.update((hop, fetched, whole))


# --- the samples ------------------------------------------------------------------------------------------------------------------------------

def clear(*names: str, to: str = BOB) -> list[str]:
    return [f"smtp relayed {ALICE} {to} <{name}@{DOMAIN}> none" for name in names]


def there(name: str) -> str:
    return f"bob@{name}.{DOMAIN}"


BY_SWAKS = f"{POSTFIX}, {SWAKS}"
TLS = "PS217 PS430 PS454"
POSTFIX_TLS = f"{TLS} PS440"
OPTIONAL = ("--tls-optional",)
NAT = ("--nat", "10.7.0.2", "10.7.0.50")
NO_TLS = seen(NOT_OFFERED, f"PS201 {CLEAR_RELAY}", messages=clear("no-tls", to=there("plain")))
BOTH_WAYS = {"sessions": [OFFERED, WITH_TLS], "tls": [tls13()], "messages": clear("clear"), "findings": f"PS204 {TLS} {CLEAR_RELAY}"}
ALTERNATING = {"sessions": [WITH_TLS, NOT_OFFERED] * 2, "tls": [tls13()] * 2, "messages": clear("n2", "n4"), "findings": f"PS201 {TLS} {CLEAR_RELAY}"}
SWITCHED = [letter(PEERS["changing"], f"n{n}", *OPTIONAL) for n in (1, 2)]

TWINS = [
    *taps("twin-no-tls", "A server without TLS, and nothing between the two sides", BY_SWAKS, relayed(2532, to=there("plain"), message="no-tls"), servers=("peers", "fallback"), inside=NO_TLS, outside=NO_TLS),
    *taps("twin-nat", "Behind a router the client has another address and other ports; the bytes are the same", BY_SWAKS, [letter(SERVER, "clear"), letter(SERVER, "tls", "--tls")],
          servers=("mail",), box=NAT, inside=BOTH_WAYS, outside=BOTH_WAYS),
    *taps("twin-balanced", "A balancer shows two servers as one; the first has TLS, the second has not", f"{BY_SWAKS}, {HAPROXY}",
          [letter(SHARED, f"n{n}", *OPTIONAL) for n in (1, 2, 3, 4)], servers=("mail", "pair"), record=behind_proxy, inside=ALTERNATING, outside=ALTERNATING),
    *taps("twin-proxy", "A proxy ends TCP and passes on what it reads as it is", f"{BY_SWAKS}, {HAPROXY}", [letter(INSIDE, "clear"), letter(INSIDE, "tls", "--tls")], servers=("mail",), record=behind_proxy,
          inside=BOTH_WAYS, outside=BOTH_WAYS),
    *taps("twin-tls-proxy", "A proxy ends TLS; behind it IMAP goes in clear", f"{DOVECOT}, {PYTHON} imaplib, {HAPROXY}", [py("imap_read", INSIDE, 993, "alice", "tls")], servers=("mail",), record=behind_proxy,
          inside=seen("tls imaps implicit - full", "PS430 PS442 PS454", tls=[tls13()], secrets=[A]), outside=seen(IMAP_SESSION, IMAP_FINDINGS, **READ)),
    Sample("twin-switched-on.pcap", "The administrator switches TLS on between two messages", BY_SWAKS, steps=SWITCHED, record=lambda *lab: switched(*lab, on=True), servers=("changing",),
           sessions=[NOT_OFFERED] * 2 + [WITH_TLS] * 2, tls=[tls13()] * 2, messages=clear("n1", "n2"), findings=f"PS201 {TLS} {CLEAR_RELAY}"),
    Sample("twin-switched-off.pcap", "The administrator switches TLS off between two messages", BY_SWAKS, steps=SWITCHED, record=lambda *lab: switched(*lab, on=False), servers=("changing",),
           sessions=[WITH_TLS] * 2 + [NOT_OFFERED] * 2, tls=[tls13()] * 2, messages=clear("n1", "n2"), findings=f"PS201 PS305 {TLS} PS903 {CLEAR_RELAY}"),
    Sample("twin-refused.pcap", "A server without its certificate offers STARTTLS and refuses it itself; the message goes in clear", BY_SWAKS, side="client",
           steps=relayed(2532, to=there("broken"), message="broken"), servers=("peers", "fallback"), sessions=[REFUSED], messages=clear("broken", to=there("broken")),
           findings=f"PS205 PS215 PS306 {CLEAR_RELAY}"),
    Sample("twin-distrusted.pcap", "A client that does not trust the certificate gives up with an alert, three times, and sends nothing", f"{POSTFIX}, {PYTHON} smtplib", side="client",
           steps=[own("smtp_distrusts", SERVER, 25)] * 3, servers=("mail",), sessions=["smtp smtp starttls tls_failed full"] * 3, findings="PS217 PS452 PS454",
           tls=[handshake("TLSv1.3", "TLS_AES_256_GCM_SHA384", group="x25519", sni=f"mail.{DOMAIN}", established="no", alerts="client:fatal:48_unknown_ca")] * 3),
    Sample("twin-unverified.pcap", "A Postfix that must verify the certificate cannot, and keeps the message", BY_SWAKS, record=undelivered, steps=relayed(2532, to=there("verified"), message="kept", seconds=4),
           servers=("peers", "fallback"), sessions=[WITH_TLS] * 5, tls=[tls13()] * 5, findings=TLS),
    Sample("twin-reset-after-quit.pcap", "A client that resets its connections once it has said goodbye, with TLS and without", f"{POSTFIX}, {PYTHON} socket", side="client",
           steps=[own("smtp_hangs_up", SERVER, 25, *words) for words in ([], ["starttls"], ["starttls"])], servers=("mail",), sessions=[OFFERED] + [WITH_TLS] * 2,
           tls=[tls13(sni=f"mail.{DOMAIN}")] * 2, messages=clear("hung-up"), findings=f"PS204 {TLS} {CLEAR_RELAY}"),
    Sample("twin-decrypted.pcap", "A tap that was given a certificate decrypts in place: STARTTLS, 220, and then commands in clear that nobody sent so", f"{POSTFIX}, {PYTHON} smtplib", record=decrypted,
           steps=[py("smtp_send", INSIDE, 25, "", "", "starttls")], servers=("mail",), sessions=["smtp smtp none accepted full"], messages=[f"smtp relayed {SENT} <smtplib@{DOMAIN}> none"],
           findings=f"PS317 {CLEAR_RELAY}"),
    Sample("twin-hello-ahead.pcap", "A client sends its ClientHello in one segment with STARTTLS, as RFC 9051 allows", f"{DOVECOT}, {PYTHON} ssl", side="client",
           steps=[own("imap_hello_ahead", SERVER, 143)], servers=("mail",), sessions=["imap imap starttls tls_established full"], tls=[tls13(sni=f"mail.{DOMAIN}")],
           findings="PS121 PS211 PS430 PS454"),
    Sample("twin-chosen.pcap", "A server that offers STARTTLS to some addresses and not to others, in turns", BY_SWAKS, side="client",
           steps=[letter(PEERS["chosen"], f"n{n}", *OPTIONAL, "--local-interface", f"10.7.0.{2 + n % 2}") for n in range(4)], servers=("peers",),
           sessions=[WITH_TLS, NOT_OFFERED] * 2, tls=[tls13()] * 2, messages=clear("n1", "n3"), findings=f"PS201 PS305 {TLS} {CLEAR_RELAY}"),
]

FALLBACKS = [
    Sample("fallback-protocol.pcap", "Client and server have no TLS version in common: Postfix defers, fails again, and sends the message in clear on a new connection", BY_SWAKS, side="client",
           steps=relayed(2532, to=there("old"), message="old", seconds=5), servers=("peers", "fallback"), sessions=["smtp smtp starttls tls_failed full"] * 2 + [OFFERED],
           tls=["- - established=no alerts=server:fatal:70_protocol_version"] * 2, messages=clear("old", to=there("old")), findings=f"PS204 PS205 PS217 PS452 PS454 {CLEAR_RELAY}"),
    Sample("fallback-then-tls.pcap", "A box resets two handshakes; the first message goes in clear, the next one with TLS", BY_SWAKS, side="client", box=("--reset", r"\x16\x03", "--until", "2"),
           steps=[*relayed(2532, message="first", seconds=5), *relayed(2532, message="second", seconds=2)], servers=("mail", "fallback"), sessions=[CUT_OFF] * 2 + [OFFERED, WITH_TLS],
           tls=["- -"] * 2 + [tls13()], messages=clear("first"), findings=f"PS204 PS205 PS307 PS452 {POSTFIX_TLS} {CLEAR_RELAY}"),
    Sample("fallback-deferred.pcap", "A box resets one handshake; Postfix waits and sends the message with TLS: nothing went in clear", BY_SWAKS, side="client", box=("--reset", r"\x16\x03", "--until", "1"),
           steps=relayed(2532, message="deferred", seconds=4), servers=("mail", "fallback"), sessions=[CUT_OFF, WITH_TLS], tls=["- -", tls13()], findings=f"PS452 {POSTFIX_TLS}"),
    Sample("regression-client.pcap", "The same client sends two messages with TLS, then two in clear to a server that still offers it", BY_SWAKS, side="client",
           steps=[step for port, n in ((2527, 1), (2527, 2), (2526, 3), (2526, 4)) for step in relayed(port, message=f"n{n}")], servers=("mail", "branch-tls", "branch-clear"),
           sessions=[WITH_TLS] * 2 + [OFFERED] * 2, tls=[tls13()] * 2, messages=clear("n3", "n4"), findings=f"PS204 PS903 {POSTFIX_TLS} {CLEAR_RELAY}"),
]

FETCHED = {"logins": [f"USER-PASS {DAVE} password success"], "secrets": [D]}
POP3 = "pop3 pop3 none offered full"
CHAIN = {"about": "", "software": f"{POSTFIX}, {EXIM}, {DOVECOT}, {SWAKS}, {PYTHON} poplib", "servers": ("mail", "chain"), "record": three_views,
         "steps": [letter(PEERS["office"], "chain", "--tls", to=DAVE), Step(["sleep", "3"]), py("pop3_read", SERVER, 110, "dave")]}
MIDDLE = "smtp smtp none not_offered full"
READ_IN_CLEAR = "PS112 PS115 PS121 PS204 PS206 PS212 PS705 PS708"
PATHS = [
    Sample("chain.pcap", **CHAIN | {"about": "A message on all its hops: TLS to Postfix, clear to Exim, TLS to Postfix, fetched in clear"},
           sessions=[WITH_TLS, MIDDLE, WITH_TLS, POP3], tls=[tls13(), tls13(group="secp256r1")], messages=[f"smtp relayed {ALICE} {DAVE} <chain@{DOMAIN}> none", f"pop3 fetched - - <chain@{DOMAIN}> none"],
           findings=f"PS201 PS213 PS217 PS430 PS454 PS905 PS912 {READ_IN_CLEAR}", **FETCHED),
    Sample("chain-hop.pcap", **CHAIN | {"about": "Of the same path the clear hop alone"}, sessions=[MIDDLE], messages=[f"smtp relayed {ALICE} {DAVE} <chain@{DOMAIN}> none"], findings=f"PS201 {CLEAR_RELAY}"),
    Sample("chain-fetched.pcap", **CHAIN | {"about": "Of the same path what the reader fetches: the header tells of the hops"}, sessions=[POP3], messages=[f"pop3 fetched - - <chain@{DOMAIN}> none"],
           findings=READ_IN_CLEAR, **FETCHED),
    Sample("hop-claims-tls.pcap", "A proxy takes a message in clear and hands it over with TLS: the next copy's header says TLS of a hop that was in clear", f"{BY_SWAKS}, {HAPROXY}",
           steps=[letter(PEERS["front"], "claimed"), Step(["sleep", "2"])], servers=("terminated",), sessions=[OFFERED.replace("offered", "not_offered"), OFFERED], messages=clear("claimed") * 2,
           findings=f"PS201 PS204 PS710 PS905 {CLEAR_RELAY}"),
]

SAMPLES = TWINS + FALLBACKS + PATHS
