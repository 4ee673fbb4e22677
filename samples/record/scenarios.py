"""The samples: what is done, how it is captured, and what a reader of the capture must find in it.

What is expected is written down from what the programs did and were answered, never from what pcapsec says about the file.
`sessions`: protocol, service, tls_mode, starttls_state, completeness. `logins`: mechanism, principal, exposure, result (spaces separate, `-` is unknown).
`messages`: protocol, direction, sender, recipients (comma), message id, protection. `findings`: rule ids, each as often as it is found is not counted here. `rpc`, one for each presentation context: transport, interface, mechanism and level in force, requests, NTLM version and
sealing key bits, encryption type of Kerberos ticket and authenticator, obfuscation, client version. `http`: method, service, login scheme, its result, principal, status, request type.
`tls`, one for each handshake: version and suite, then `name=value` in the order of HANDSHAKE; what was not seen is left out, as are compression null, and retry and early_data where there were none.
"""
from __future__ import annotations

import bz2
import gzip
import pathlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import servers
from net import BARE, DIRECT, HERE, SERVER, SERVER6, STRICT, VXLAN_CLIENT, VXLAN_SERVER, Lab, RecordingError, need, run, stop
from servers import ACCOUNTS, DOMAIN

ALICE, BOB, CAROL, DAVE, ERIN = (f"{user}@{DOMAIN}" for user in ACCOUNTS)


@dataclass
class Step:
    """One program run by the client (or another side) to its end."""

    argv: list[str]
    side: str = "client"
    fails: bool = False  # its exit status may be anything: a refused login is what is recorded


def py(name: str, host: str, port: int, *words: str, side: str = "client") -> Step:
    return Step([sys.executable, str(HERE / "clients.py"), name, host, str(port), *words], side)


def swaks(*words: str, fails: bool = False) -> Step:
    return Step(["swaks", "--silent", "2", "--helo", "client.example.net", "--from", ALICE, "--header", f"Message-Id: <swaks@{DOMAIN}>", *words], fails=fails)


def curl(*words: str, fails: bool = False) -> Step:
    return Step(["curl", "--silent", "--show-error", "--insecure", "--max-time", "20", *words], fails=fails)


def s_client(*words: str) -> Step:
    return Step(["sh", "-c", "{ sleep 1; printf 'QUIT\\r\\n'; sleep 1; } | exec openssl s_client -quiet \"$@\"", "sh", *words], fails=True)


@dataclass
class Sample:
    """One capture of samples/."""

    file: str
    about: str
    software: str
    steps: list[Step] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    findings: str = ""
    rpc: list[str] = field(default_factory=list)
    http: list[str] = field(default_factory=list)
    tls: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    servers: tuple[str, ...] = ()  # which of SERVERS must run
    side: str = "server"
    device: str = "eth0"
    filter: str = "tcp"
    options: tuple[str, ...] = ()
    switch: tuple[str, ...] = ()  # options of relay.py
    box: tuple[str, ...] = ()  # options of on_path.py, in the switch's place
    record: Callable[[Lab, "Sample", pathlib.Path], None] | None = None  # instead of steps

    def make(self, lab: Lab, folder: pathlib.Path) -> None:
        """Record it into the folder."""
        lab.forward(*(self.box or self.switch), program="on_path.py" if self.box else "relay.py")
        path = folder / self.file
        if self.record:
            self.record(lab, self, path)
        else:
            with lab.capture(path, side=self.side, device=self.device, filter=self.filter, options=self.options):
                self.play(lab)

    def play(self, lab: Lab) -> None:
        for step in self.steps:
            lab.client(*step.argv, side=step.side, fails=step.fails)


HANDSHAKE = ("group", "dh_bits", "signature", "compression", "ems", "etm", "secure_renegotiation", "sentinel", "retry", "early_data", "sni", "alpn", "resumed", "established", "alerts",
             "subject", "key", "bits", "signed", "chain", "name_matches", "client_certificate", "client_subject")


def handshake(version: str, suite: str, **facts: object) -> str:
    """An entry of `tls`; facts that are None are left out."""
    if unknown := set(facts) - set(HANDSHAKE):
        raise ValueError(f"no facts of a handshake: {unknown}")
    return " ".join([version, suite, *(f"{name}={facts[name]}" for name in HANDSHAKE if facts.get(name) is not None)])


SIGNED = {"subject": f"CN=mail.{DOMAIN}", "key": "EC", "bits": 256, "signed": "ecdsa-with-SHA256", "chain": 1}  # `servers.certificate`
AEAD = {"ems": "yes", "etm": "no", "secure_renegotiation": "yes", "established": "yes"}  # what two OpenSSL of our days agree on in TLS 1.2


def tls12(suite: str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", **facts: object) -> str:
    """TLS 1.2 between two OpenSSL of our days, the server's certificate an ECDSA one; a server that could speak 1.3 says so by the sentinel."""
    return handshake("TLSv1.2", suite, **{"group": "x25519", "signature": "ecdsa_secp256r1_sha256", "sentinel": "TLSv1.2", **AEAD, **SIGNED, **facts})


def tls13(suite: str = "TLS_AES_256_GCM_SHA384", **facts: object) -> str:
    """TLS 1.3 between them: the certificate is hidden."""
    return handshake("TLSv1.3", suite, **{"group": "x25519", "established": "yes", **facts})


# --- servers that only some samples need ----------------------------------------------------------------------------------------------------

def bystanders(lab: Lab) -> None:
    """FTP, Redis, IRC and HTTP on their own ports: what must never become mail."""
    need("vsftpd", "redis-server", "ngircd")
    home = servers.reachable(lab.work / "others")
    (home / "empty").mkdir()
    (home / "vsftpd.conf").write_text(f"listen=YES\nlisten_address={SERVER}\nanonymous_enable=YES\nlocal_enable=NO\nsecure_chroot_dir={home}/empty\nanon_root={home}/empty\nbackground=NO\nseccomp_sandbox=NO\n")
    (home / "vsftpd.conf").chmod(0o644)
    lab.start("server", "vsftpd", str(home / "vsftpd.conf"))
    lab.start("server", "redis-server", "--bind", SERVER, "--port", "6379", "--requirepass", ACCOUNTS["alice"], "--save", "", "--dir", str(home))
    (home / "ngircd.conf").write_text(f"[Global]\nName = irc.example.org\nInfo = Recording\nListen = {SERVER}\nPorts = 6667\nPassword = {ACCOUNTS['bob'].split()[0]}\nServerUID = nobody\nServerGID = nogroup\n[Options]\nIdent = no\nDNS = no\nPAM = no\nChrootDir =\n")
    lab.start("server", "ngircd", "-n", "-f", str(home / "ngircd.conf"))
    lab.start("server", sys.executable, "-m", "http.server", "8080", "--bind", SERVER, "--directory", str(home / "empty"))
    for port in (21, 6379, 6667, 8080):
        lab.wait_for_port(SERVER, port)


def proxies(lab: Lab) -> None:
    """An HTTP proxy that allows CONNECT and a SOCKS server, both in front of the mail server."""
    need("tinyproxy", "microsocks")
    config = lab.work / "tinyproxy.conf"
    config.write_text(f"Port 8888\nListen {SERVER}\nTimeout 60\nAllow 10.7.0.0/24\nConnectPort 143\nConnectPort 25\nLogLevel Error\nUser nobody\nGroup nogroup\nMaxClients 5\n")
    config.chmod(0o644)
    lab.start("server", "tinyproxy", "-d", "-c", str(config))
    lab.start("server", "microsocks", "-i", SERVER, "-p", "1080")
    for port in (8888, 1080):
        lab.wait_for_port(SERVER, port)


def exim(lab: Lab) -> None:
    """Exim on port 2528 with NTLM (which it calls SPA)."""
    servers.exim(lab, "exim", "server", f"""
daemon_smtp_ports = 2528
tls_advertise_hosts =
begin acl
begin routers
sink:
  driver = accept
  transport = sink
begin transports
sink:
  driver = appendfile
  file = /dev/null
begin authenticators
ntlm:
  driver = spa
  public_name = NTLM
  server_password = ${{if eq{{$auth1}}{{alice}}{{{ACCOUNTS['alice']}}}fail}}
  server_set_id = $auth1
""")
    lab.wait_for_port(SERVER, 2528)


def branch_clear(lab: Lab) -> None:
    servers.relay(lab, "branch-clear", "none", 2526)
    lab.wait_for_port("127.0.0.1", 2526, "client")


def branch_tls(lab: Lab) -> None:
    servers.relay(lab, "branch-tls", "may", 2527)
    lab.wait_for_port("127.0.0.1", 2527, "client")


def vxlan(lab: Lab) -> None:
    """A VXLAN (VNI 5000) between server and client over their link."""
    for side, own, other, inner in (("server", SERVER, "10.7.0.2", VXLAN_SERVER), ("client", "10.7.0.2", SERVER, VXLAN_CLIENT)):
        lab.ip(side, "link", "add", "vx0", "mtu", "1400", "type", "vxlan", "id", "5000", "local", own, "remote", other, "dstport", "4789", "dev", "eth0")
        lab.ip(side, "addr", "add", f"{inner}/24", "dev", "vx0")
        lab.ip(side, "link", "set", "vx0", "up")
        lab.no_offload(side, "vx0")
    servers.dovecot(lab, "overlay", [VXLAN_SERVER])


LETTER = f"From: Bob <{BOB}>\r\nTo: Alice <{ALICE}>\r\nSubject: Lunch\r\nMessage-ID: <lunch@{DOMAIN}>\r\nDate: Mon, 06 May 2024 11:00:00 +0000\r\n\r\nAt noon, as ever?\r\n"
REPORT = f"From: Carol <{CAROL}>\r\nTo: Alice <{ALICE}>\r\nSubject: Report\r\nMessage-ID: <report@{DOMAIN}>\r\n\r\n" + "".join(f"{i:4} " + "figures " * 8 + "\r\n" for i in range(120))


def mail(lab: Lab) -> None:
    """Postfix and the three Dovecots, with a letter for Alice."""
    servers.submission(lab)
    servers.mailboxes(lab)
    for name in ("open", "strict", "bare"):
        servers.deliver(lab, name, "alice", LETTER)
    servers.deliver(lab, "open", "bob", LETTER)
    servers.deliver(lab, "open", "erin", REPORT)
    lab.wait_for_port(SERVER, 25)


def mailboxes(lab: Lab) -> None:
    """The three Dovecots alone, with a letter for Alice."""
    servers.mailboxes(lab)
    for name in ("open", "strict", "bare"):
        servers.deliver(lab, name, "alice", LETTER)


SERVERS = {"mail": mail, "mailboxes": mailboxes, "news": servers.news, "bystanders": bystanders, "proxies": proxies, "exim": exim, "branch-clear": branch_clear,
           "branch-tls": branch_tls, "vxlan": vxlan}


# --- recordings that are more than "capture while the steps run" ------------------------------------------------------------------------------

def midstream(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """The capture begins after the login."""
    step = sample.steps[0]
    client = lab.start("client", *step.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    client.stdout.readline()
    with lab.capture(path):
        client.stdin.write("\n")
        client.stdin.flush()
        client.wait(timeout=20)
    stop(client)


def compressed(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    plain = lab.work / "plain.pcap"
    with lab.capture(plain):
        sample.play(lab)
    data = plain.read_bytes()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data, mtime=0))
    elif path.suffix == ".bz2":
        path.write_bytes(bz2.compress(data))
    else:
        command = {".zst": ["zstd", "-o"], ".lz4": ["lz4"]}[path.suffix]
        need(command[0])
        run(command[0], "-q", "-f", str(plain), *command[1:], str(path))


def two_interfaces(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    need("dumpcap")
    with lab.capture(path, program="dumpcap", options=("-i", "eth0", "-f", "tcp", "-i", "lo", "-f", "tcp")):
        sample.play(lab)


def rotated(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """dumpcap begins a new file every 12 packets: conversations span files."""
    need("dumpcap")
    folder = lab.work / "ring"
    folder.mkdir()
    with lab.capture(folder / "ring.pcapng", program="dumpcap", options=("-i", "eth0", "-f", "tcp", "-b", "packets:12")):
        sample.play(lab)
    parts = sorted(folder.glob("ring_*"))
    names = sample.file.split()
    if len(parts) != len(names):
        raise RecordingError(f"{len(parts)} files, expected {len(names)}")
    for name, part in zip(names, parts, strict=True):
        (path.parent / name).write_bytes(part.read_bytes())


# --- the samples ------------------------------------------------------------------------------------------------------------------------------

POSTFIX, DOVECOT = "Postfix 3.7.11", "Dovecot 2.3.19.1"
PYTHON = "Python 3.11"
SWAKS, CURL, INN = "swaks 20201014", "curl 7.88.1", "INN 2.7.1"
A, B, C, D, E = (ACCOUNTS[name] for name in ("alice", "bob", "carol", "dave", "erin"))
SENT = f"{ALICE} {BOB},{CAROL}"
IMAP_READ = [py("imap_read", SERVER, 143, "alice")]
IMAP_SESSION = "imap imap none offered full"
IMAP_LOGIN = f"LOGIN-COMMAND {ALICE} password success"
LUNCH = f"imap fetched - - <lunch@{DOMAIN}> none"
IMAP_FINDINGS = "PS110 PS115 PS121 PS204 PS206 PS211 PS212 PS705"
PLAIN_IMAP = {"steps": IMAP_READ, "sessions": [IMAP_SESSION], "logins": [IMAP_LOGIN], "messages": [LUNCH], "findings": IMAP_FINDINGS, "secrets": [A], "servers": ("mail",)}

SAMPLES = [
    Sample("smtp-relay-clear.pcap", "One Postfix relays a message to another; STARTTLS is offered and not used", f"{POSTFIX}, {SWAKS}",
           steps=[swaks("--server", "127.0.0.1:2526", "--to", BOB), Step(["sleep", "1"])],
           sessions=["smtp smtp none offered full"], messages=[f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"], findings="PS204 PS206 PS213 PS705",
           servers=("mail", "branch-clear")),
    Sample("smtp-relay-starttls.pcap", "The same relay with opportunistic TLS", f"{POSTFIX}, {SWAKS}", steps=[swaks("--server", "127.0.0.1:2527", "--to", BOB), Step(["sleep", "1"])],
           sessions=["smtp smtp starttls tls_established full"], findings="PS217 PS430 PS440 PS454", servers=("mail", "branch-tls"), tls=[tls13()]),
    Sample("smtp-kinds.pcap", "Three messages in one session on port 25: OpenPGP, S/MIME, unprotected", f"{POSTFIX}, {PYTHON} smtplib", steps=[py("smtp_kinds", SERVER, 25)],
           sessions=["smtp smtp none offered full"],
           messages=[f"smtp relayed {ALICE} {BOB} <pgp@{DOMAIN}> pgp-mime-encrypted", f"smtp relayed {ALICE} {BOB} <smime@{DOMAIN}> smime-encrypted",
                     f"smtp relayed {ALICE} {BOB} <open@{DOMAIN}> none"], findings="PS204 PS206 PS213 PS701 PS704 PS705", servers=("mail",)),
    Sample("smtp-bdat.pcap", "Commands and two BDAT chunks pipelined in one burst", f"{POSTFIX}, {PYTHON} socket", steps=[py("smtp_bdat", SERVER, 25)],
           sessions=["smtp smtp none offered full"], messages=[f"smtp relayed {SENT} <bdat@{DOMAIN}> none"], findings="PS204 PS206 PS213 PS705", servers=("mail",)),
    Sample("smtp-proxied.pcap", "A PROXY protocol preamble before the greeting", f"{POSTFIX}, {PYTHON} socket", steps=[py("smtp_proxied", SERVER, 2529)],
           sessions=["smtp smtp none offered full"], messages=[f"smtp relayed {ALICE} {BOB} <proxied@{DOMAIN}> none"], findings="PS204 PS206 PS705", servers=("mail",)),
    Sample("smtp-xclient.pcap", "XCLIENT names another client, the server greets again", f"{POSTFIX}, {SWAKS}",
           steps=[swaks("--server", SERVER, "--port", "2530", "--to", BOB, "--xclient", "NAME=printer.example.net ADDR=203.0.113.7")], sessions=["smtp smtp none offered full"],
           messages=[f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"], findings="PS204 PS206 PS705", servers=("mail",)),
    Sample("smtp-helo.pcap", "HELO instead of EHLO: TLS cannot be offered", f"{POSTFIX}, {SWAKS}", steps=[swaks("--server", SERVER, "--protocol", "SMTP", "--to", BOB)],
           sessions=["smtp smtp none no_capability_seen full"], messages=[f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"], findings="PS203 PS206 PS213 PS705", servers=("mail",)),
    Sample("smtp-starttls-refused.pcap", "STARTTLS asked of a server without TLS, refused, and the message sent in clear", f"{POSTFIX}, {PYTHON} socket", steps=[py("smtp_without_tls", SERVER, 2525)],
           sessions=["smtp smtp none refused full"], messages=[f"smtp submitted {ALICE} {BOB} <refused@{DOMAIN}> none"], findings="PS121 PS201 PS206 PS213 PS215 PS705", servers=("mail",)),
    Sample("smtp-no-starttls.pcap", "A server without TLS takes AUTH PLAIN and a message", f"{POSTFIX}, {PYTHON} smtplib", steps=[py("smtp_send", SERVER, 2525, "alice", "PLAIN")],
           sessions=["smtp submission none not_offered full"], logins=[f"PLAIN {ALICE} password success"], messages=[f"smtp submitted {SENT} <smtplib@{DOMAIN}> none"],
           findings="PS101 PS121 PS201 PS202 PS206 PS212 PS705", secrets=[A], servers=("mail",)),
    Sample("submission-plain.pcap", "AUTH PLAIN on port 587 although STARTTLS is offered, and a message", f"{POSTFIX}, {SWAKS}",
           steps=[swaks("--server", SERVER, "--port", "587", "--to", BOB, "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", A)],
           sessions=["smtp submission none offered full"], logins=[f"PLAIN {ALICE} password success"], messages=[f"smtp submitted {ALICE} {BOB} <swaks@{DOMAIN}> none"],
           findings="PS101 PS115 PS121 PS202 PS204 PS206 PS212 PS705", secrets=[A], servers=("mail",)),
    Sample("submission-login.pcap", "AUTH LOGIN with a password that holds spaces", f"{POSTFIX}, {PYTHON} smtplib", steps=[py("smtp_send", SERVER, 587, "bob", "LOGIN")],
           sessions=["smtp submission none offered full"], logins=[f"LOGIN {BOB} password success"], messages=[f"smtp submitted {SENT} <smtplib@{DOMAIN}> none"],
           findings="PS102 PS115 PS121 PS202 PS204 PS206 PS212 PS705", secrets=[B], servers=("mail",)),
    Sample("submission-attempts.pcap", "AUTH LOGIN cancelled, AUTH PLAIN refused, then AUTH PLAIN with continuation", f"{POSTFIX}, {PYTHON} socket", steps=[py("smtp_cancelled", SERVER, 587)],
           sessions=["smtp submission none offered full"],
           logins=["LOGIN - none failed", f"PLAIN {ALICE} password failed", f"PLAIN {ALICE} password success"], findings="PS101 PS115 PS121 PS202 PS204 PS212",
           secrets=[A, "not-my-password"], servers=("mail",)),
    Sample("submission-challenge.pcap", "CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, SCRAM-SHA-256, one session each", f"{POSTFIX}, {PYTHON} socket",
           steps=[py("smtp_sasl", SERVER, 587, name, "alice") for name in ("CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")],
           sessions=["smtp submission none offered full"] * 4,
           logins=[f"CRAM-MD5 {ALICE} guessable success", "DIGEST-MD5 alice guessable success", f"SCRAM-SHA-1 {ALICE} guessable success", f"SCRAM-SHA-256 {ALICE} guessable success"],
           findings="PS103 PS104 PS109 PS121 PS202 PS204 PS212", secrets=[A], servers=("mail",)),
    Sample("submission-token.pcap", "XOAUTH2 and OAUTHBEARER with a JSON web token", f"{POSTFIX}, {PYTHON} socket",
           steps=[py("smtp_sasl", SERVER, 587, name, "alice") for name in ("XOAUTH2", "OAUTHBEARER")], sessions=["smtp submission none offered full"] * 2,
           logins=[f"XOAUTH2 {ALICE} token success", f"OAUTHBEARER {ALICE} token success"], findings="PS108 PS115 PS121 PS202 PS204 PS212",
           secrets=[servers.token("alice")], servers=("mail",)),
    Sample("submission-ntlm.pcap", "AUTH NTLM with a right and a wrong password", f"Exim 4.96, {CURL}",
           steps=[curl("--ntlm", "--login-options", "AUTH=NTLM", "--user", f"alice:{word}", "--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", "letter.txt", f"smtp://{SERVER}:2528", fails=True)
                  for word in (A, "wrong-word")],
           sessions=["smtp submission none not_offered full"] * 2, logins=["NTLM alice guessable success", "NTLM alice guessable failed"],
           messages=[f"smtp submitted {ALICE} {BOB} <lunch@{DOMAIN}> none"], findings="PS106 PS107 PS120 PS201 PS202 PS206 PS212 PS705", secrets=[A, "wrong-word"], servers=("exim",)),
    Sample("submission-starttls.pcap", "STARTTLS before AUTH, as it should be", f"{POSTFIX}, {SWAKS}",
           steps=[swaks("--server", SERVER, "--port", "587", "--to", BOB, "--tls", "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", A)],
           sessions=["smtp submission starttls tls_established full"], findings="PS121 PS217 PS430 PS442 PS454", secrets=[A], servers=("mail",), tls=[tls13()]),
    Sample("submission-tls12.pcap", "STARTTLS with TLS 1.2: the certificate is readable", f"{POSTFIX}, OpenSSL 3.0.19 s_client",
           steps=[s_client("-starttls", "smtp", "-tls1_2", "-connect", f"{SERVER}:587")], sessions=["smtp submission starttls tls_established full"], findings="PS121 PS217 PS419 PS423 PS428 PS442 PS454", servers=("mail",), tls=[tls12()]),
    Sample("submission-tls-rejected.pcap", "The client does not trust the certificate and gives up with an alert", f"{POSTFIX}, OpenSSL 3.0.19 s_client",
           steps=[s_client("-starttls", "smtp", "-tls1_2", "-verify_return_error", "-connect", f"{SERVER}:587")], sessions=["smtp submission starttls tls_failed full"], findings="PS121 PS217 PS419 PS423 PS428 PS442 PS452 PS454",
           servers=("mail",), tls=[tls12(established="no", alerts="client:fatal:48_unknown_ca")]),
    Sample("submission-injected.pcap", "A command pipelined behind STARTTLS", f"{POSTFIX}, {PYTHON} socket", steps=[py("smtp_injected", SERVER, 587)],
           sessions=["smtp submission starttls tls_established full"], findings="PS121 PS217 PS313 PS430 PS454", servers=("mail",), tls=[tls13(sni=f"mail.{DOMAIN}")]),
    Sample("submission-tls-required.pcap", "MAIL before STARTTLS is answered 530", f"{POSTFIX}, {PYTHON} socket", steps=[py("smtp_refused", SERVER, 588)],
           sessions=["smtp smtp none offered full"], findings="PS204", servers=("mail",)),
    Sample("submissions-implicit.pcap", "TLS from the first byte on port 465", f"{POSTFIX}, {CURL}",
           steps=[curl("--user", f"{ALICE}:{A}", "--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", "letter.txt", f"smtps://{SERVER}:465")],
           sessions=["tls submissions implicit - full"], secrets=[A], servers=("mail",), findings="PS430 PS442 PS454", tls=[tls13()]),
    Sample("lmtp-deliver.pcap", "LMTP with two recipients", f"{DOVECOT}, {SWAKS}",
           steps=[swaks("--server", SERVER, "--port", "24", "--protocol", "LMTP", "--to", f"{BOB},{CAROL}")], sessions=["lmtp lmtp none offered full"],
           messages=[f"lmtp delivered {ALICE} {BOB},{CAROL} <swaks@{DOMAIN}> none"], findings="PS204 PS206 PS705", servers=("mail",)),

    Sample("imap-login.pcap", "LOGIN in clear although STARTTLS is offered, a message fetched", f"{DOVECOT}, {PYTHON} imaplib", **PLAIN_IMAP),
    Sample("imap-literals.pcap", "Passwords as quoted string with escapes, as literal, as LITERAL+", f"{DOVECOT}, {PYTHON} socket", steps=[py("imap_literals", SERVER, 143)],
           sessions=[IMAP_SESSION] * 3,
           logins=[f"LOGIN-COMMAND {DAVE} password success", f"LOGIN-COMMAND {DAVE} password success", f"LOGIN-COMMAND {CAROL} password success"],
           findings="PS110 PS115 PS121 PS204 PS211 PS212", secrets=[D, C], servers=("mail",)),
    Sample("imap-append.pcap", "A stored message holds a line like a LOGIN command", f"{DOVECOT}, {PYTHON} socket", steps=[py("imap_append", SERVER, 143, "alice")],
           sessions=[IMAP_SESSION], logins=[IMAP_LOGIN], messages=[f"imap submitted - - <append@{DOMAIN}> none"], findings=IMAP_FINDINGS, secrets=[A], servers=("mail",)),
    Sample("imap-compress.pcap", "COMPRESS DEFLATE without TLS", f"{DOVECOT}, {PYTHON} socket", steps=[py("imap_compressed", SERVER, 143, "alice")],
           sessions=[IMAP_SESSION], logins=[IMAP_LOGIN], findings="PS110 PS115 PS121 PS204 PS211 PS212 PS218", secrets=[A], servers=("mail",)),
    Sample("imap-sasl.pcap", "AUTHENTICATE with nine mechanisms, one session each", f"{DOVECOT}, {PYTHON} socket",
           steps=[py("imap_sasl", SERVER, 143, *words) for words in (("PLAIN", "alice"), ("PLAIN", "bob", "late"), ("LOGIN", "alice"), ("CRAM-MD5", "alice"), ("DIGEST-MD5", "alice"),
                                                                     ("SCRAM-SHA-1", "alice"), ("SCRAM-SHA-256", "alice"), ("XOAUTH2", "alice"), ("OAUTHBEARER", "alice"), ("ANONYMOUS", "alice"))],
           sessions=[IMAP_SESSION] * 10,
           logins=[f"PLAIN {ALICE} password success", f"PLAIN {BOB} password success", f"LOGIN {ALICE} password success", f"CRAM-MD5 {ALICE} guessable success",
                   "DIGEST-MD5 alice guessable success", f"SCRAM-SHA-1 {ALICE} guessable success", f"SCRAM-SHA-256 {ALICE} guessable success", f"XOAUTH2 {ALICE} token success",
                   f"OAUTHBEARER {ALICE} token success", "ANONYMOUS - none success"],
           findings="PS103 PS104 PS108 PS109 PS111 PS115 PS118 PS121 PS204 PS211 PS212 PS910", secrets=[A, B, servers.token("alice")], servers=("mail",)),
    Sample("imap-logindisabled.pcap", "LOGIN although the server forbids it before TLS", f"{DOVECOT}, {PYTHON} socket", steps=[py("imap_refused", STRICT, 143, "alice")],
           sessions=[IMAP_SESSION], logins=[f"LOGIN-COMMAND {ALICE} password failed"], findings="PS110 PS115 PS204 PS210", secrets=[A], servers=("mail",)),
    Sample("imap-starttls.pcap", "STARTTLS before LOGIN", f"{DOVECOT}, {PYTHON} imaplib", steps=[py("imap_read", SERVER, 143, "alice", "starttls")],
           sessions=["imap imap starttls tls_established full"], findings="PS121 PS211 PS430 PS442 PS454", secrets=[A], servers=("mail",), tls=[tls13()]),
    Sample("imap-no-starttls.pcap", "A server without TLS", f"{DOVECOT}, {PYTHON} imaplib", steps=[py("imap_read", BARE, 143, "alice")],
           sessions=["imap imap none not_offered full"], logins=[IMAP_LOGIN], messages=[LUNCH], findings="PS110 PS121 PS201 PS206 PS212 PS705", secrets=[A], servers=("mail",)),
    Sample("imaps-implicit.pcap", "TLS from the first byte on port 993", f"{DOVECOT}, {PYTHON} imaplib", steps=[py("imap_read", SERVER, 993, "alice", "tls")],
           sessions=["tls imaps implicit - full"], secrets=[A], servers=("mail",), findings="PS430 PS442 PS454", tls=[tls13()]),
    Sample("imap-ipv6.pcap", "LOGIN over IPv6", f"{DOVECOT}, {PYTHON} imaplib", **PLAIN_IMAP | {"steps": [py("imap_read", SERVER6, 143, "alice")]}),

    Sample("pop3-user-pass.pcap", "USER and PASS with a password that holds spaces, a message fetched", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", SERVER, 110, "bob")],
           sessions=["pop3 pop3 none offered full"], logins=[f"USER-PASS {BOB} password success"], messages=[f"pop3 fetched - - <lunch@{DOMAIN}> none"],
           findings="PS112 PS115 PS121 PS204 PS206 PS212 PS705", secrets=[B], servers=("mail",)),
    Sample("pop3-apop.pcap", "APOP", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", SERVER, 110, "alice", "apop")],
           sessions=["pop3 pop3 none offered full"], logins=[f"APOP {ALICE} guessable success"], messages=[f"pop3 fetched - - <lunch@{DOMAIN}> none"],
           findings="PS105 PS121 PS204 PS206 PS212 PS705", secrets=[A], servers=("mail",)),
    Sample("pop3-attempts.pcap", "A wrong password, then AUTH PLAIN in two steps; CAPA never asked", f"{DOVECOT}, {PYTHON} socket", steps=[py("pop3_wrong", SERVER, 110, "bob")],
           sessions=["pop3 pop3 none no_capability_seen full"], logins=[f"USER-PASS {BOB} password failed", f"PLAIN {BOB} password success"], findings="PS112 PS212",
           secrets=[B, "last years password"], servers=("mail",)),
    Sample("pop3-stls.pcap", "STLS before USER", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", SERVER, 110, "alice", "stls")],
           sessions=["pop3 pop3 starttls tls_established full"], findings="PS121 PS430 PS442 PS454", secrets=[A], servers=("mail",), tls=[tls13()]),
    Sample("pop3-no-stls.pcap", "A server without TLS", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", BARE, 110, "alice")],
           sessions=["pop3 pop3 none not_offered full"], logins=[f"USER-PASS {ALICE} password success"], messages=[f"pop3 fetched - - <lunch@{DOMAIN}> none"],
           findings="PS112 PS121 PS201 PS206 PS212 PS705", secrets=[A], servers=("mail",)),
    Sample("pop3s-implicit.pcap", "TLS from the first byte on port 995", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", SERVER, 995, "alice", "tls")],
           sessions=["tls pop3s implicit - full"], secrets=[A], servers=("mail",), findings="PS430 PS442 PS454", tls=[tls13()]),

    Sample("nntp-authinfo.pcap", "AUTHINFO USER and PASS, an article posted", f"{INN}, {PYTHON} socket", steps=[py("nntp_read", SERVER, 119)],
           sessions=["nntp nntp none offered full"], logins=["AUTHINFO erin password success"], messages=[f"nntp submitted - - <posted-clear@{DOMAIN}> none"],
           findings="PS113 PS115 PS121 PS204 PS206", secrets=[E], servers=("news",)),
    Sample("nntp-wrong.pcap", "AUTHINFO with a wrong password", f"{INN}, {PYTHON} socket", steps=[py("nntp_read", SERVER, 119, "wrong")],
           sessions=["nntp nntp none offered full"], logins=["AUTHINFO erin password failed"], findings="PS113 PS115 PS121 PS126 PS204", secrets=["letmein"], servers=("news",)),
    Sample("nntp-starttls.pcap", "STARTTLS before AUTHINFO", f"{INN}, {PYTHON} socket", steps=[py("nntp_read", SERVER, 119, "starttls")],
           sessions=["nntp nntp starttls tls_established full"], findings="PS121 PS430 PS454", secrets=[E], servers=("news",), tls=[tls13(sni=f"mail.{DOMAIN}")]),

    Sample("managesieve-plain.pcap", 'AUTHENTICATE "PLAIN" with a quoted string', f"{DOVECOT}, {PYTHON} socket", steps=[py("sieve_put", SERVER, 4190, "alice")],
           sessions=["managesieve managesieve none offered full"], logins=[f"PLAIN {ALICE} password success"], findings="PS114 PS115 PS121 PS204 PS212", secrets=[A], servers=("mail",)),
    Sample("managesieve-literal.pcap", 'AUTHENTICATE "PLAIN" with a literal', f"{DOVECOT}, {PYTHON} socket", steps=[py("sieve_put", SERVER, 4190, "bob", "literal")],
           sessions=["managesieve managesieve none offered full"], logins=[f"PLAIN {BOB} password success"], findings="PS114 PS115 PS121 PS204 PS212", secrets=[B], servers=("mail",)),
    Sample("managesieve-starttls.pcap", "STARTTLS before AUTHENTICATE", f"{DOVECOT}, {PYTHON} socket", steps=[py("sieve_put", SERVER, 4190, "alice", "starttls")],
           sessions=["managesieve managesieve starttls tls_established full"], findings="PS121 PS430 PS454", secrets=[A], servers=("mail",), tls=[tls13(sni=f"mail.{DOMAIN}")]),

    Sample("path-vlan.pcap", "imap-login behind one VLAN tag", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="", switch=("--mirror", "vlan"), **PLAIN_IMAP),
    Sample("path-qinq.pcap", "imap-login behind two VLAN tags", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="", switch=("--mirror", "qinq"), **PLAIN_IMAP),
    Sample("path-vlan-sides.pcap", "imap-login, each direction in a VLAN of its own", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="", switch=("--mirror", "vlan-sides"), **PLAIN_IMAP),
    Sample("path-routed-twice.pcap", "imap-login mirrored on both sides of a router: each packet twice", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="",
           switch=("--mirror", "routed-twice"), **PLAIN_IMAP | {"findings": "PS008 " + IMAP_FINDINGS}),
    Sample("path-erspan1.pcap", "imap-login inside ERSPAN type I", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="", switch=("--mirror", "erspan1"), **PLAIN_IMAP),
    Sample("path-erspan2.pcap", "imap-login inside ERSPAN type II", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="", switch=("--mirror", "erspan2"), **PLAIN_IMAP),
    Sample("path-gretap.pcap", "imap-login as Ethernet inside GRE", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="", switch=("--mirror", "gretap"), **PLAIN_IMAP | {"findings": f"{IMAP_FINDINGS} PS810"}),
    Sample("path-gre.pcap", "imap-login as IP inside GRE with a key", f"{DOVECOT}, {PYTHON} imaplib", side="probe", device="mirror", filter="ip proto 47", switch=("--mirror", "gre"), **PLAIN_IMAP | {"findings": f"{IMAP_FINDINGS} PS810"}),
    Sample("path-vxlan.pcap", "LOGIN inside VXLAN, captured on the outer network", f"{DOVECOT}, {PYTHON} imaplib", steps=[py("imap_sasl", VXLAN_SERVER, 143, "PLAIN", "alice")], filter="udp port 4789",
           sessions=[IMAP_SESSION], logins=[f"PLAIN {ALICE} password success"], findings="PS111 PS115 PS121 PS204 PS211 PS212 PS810", secrets=[A], servers=("mail", "vxlan")),
    Sample("path-reordered.pcap", "A long message fetched over a path that swaps every third segment", f"{DOVECOT}, {PYTHON} imaplib", steps=[py("imap_read", SERVER, 143, "erin")], side="client",
           switch=("--swap", "3"), sessions=[IMAP_SESSION], logins=[f"LOGIN-COMMAND {ERIN} password success"], messages=[f"imap fetched - - <report@{DOMAIN}> none"],
           findings=IMAP_FINDINGS, secrets=[E], servers=("mail",)),
    Sample("path-lossy.pcap", "The same over a path that loses every fifth segment, captured before the loss: retransmissions", f"{DOVECOT}, {PYTHON} imaplib",
           steps=[py("imap_read", SERVER, 143, "erin")], switch=("--lose", "5"), sessions=[IMAP_SESSION], logins=[f"LOGIN-COMMAND {ERIN} password success"],
           messages=[f"imap fetched - - <report@{DOMAIN}> none"], findings=IMAP_FINDINGS, secrets=[E], servers=("mail",)),

    Sample("capture-snaplen.pcap", "A POP3 login and message with each frame cut after 96 bytes", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", SERVER, 110, "alice")], options=("-s", "96"),
           sessions=["pop3 pop3 none no_capability_seen truncated"], logins=[f"USER-PASS {ALICE} password success"], messages=["pop3 fetched - - - none"], findings="PS004 PS112 PS206 PS212",
           secrets=[A], servers=("mail",)),
    Sample("capture-client-only.pcap", "submission-plain, only what the client sends", f"{POSTFIX}, {SWAKS}",
           steps=[swaks("--server", SERVER, "--port", "587", "--to", BOB, "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", A)], filter="src host 10.7.0.2 and tcp",
           sessions=["smtp submission none no_capability_seen one_sided"], logins=[f"PLAIN {ALICE} password unknown"], messages=[f"smtp submitted {ALICE} {BOB} <swaks@{DOMAIN}> none"],
           findings="PS001 PS101 PS206 PS212 PS705", secrets=[A], servers=("mail",)),
    Sample("capture-server-only.pcap", "submission-plain, only what the server sends", f"{POSTFIX}, {SWAKS}",
           steps=[swaks("--server", SERVER, "--port", "587", "--to", BOB, "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", A)], filter="src host 10.7.0.1 and tcp",
           sessions=["smtp submission none offered one_sided"], findings="PS001 PS121", secrets=[A], servers=("mail",)),
    Sample("capture-midstream.pcap", "The capture begins after the login", f"{DOVECOT}, {PYTHON} socket", steps=[py("imap_idle", SERVER, 143, "alice")], record=midstream,
           sessions=["imap imap none no_capability_seen midstream"], messages=[LUNCH], findings="PS002 PS206 PS705", secrets=[A], servers=("mail",)),
    Sample("capture-gap.pcap", "A long message fetched; frames above 1000 bytes are missing, all of its headers with them", f"{DOVECOT}, {PYTHON} imaplib", steps=[py("imap_read", SERVER, 143, "erin")], filter="tcp and less 1000",
           sessions=["imap imap none offered gapped"], logins=[f"LOGIN-COMMAND {ERIN} password success"], findings="PS003 PS110 PS115 PS121 PS204 PS211 PS212", secrets=[E], servers=("mail",)),
    Sample("capture-offload.pcap", "A long message fetched, captured on the server with offload on: large frames, unfinished checksums", f"{DOVECOT}, {PYTHON} imaplib",
           steps=[py("imap_read", DIRECT, 143, "erin")], device="direct", sessions=[IMAP_SESSION], logins=[f"LOGIN-COMMAND {ERIN} password success"],
           messages=[f"imap fetched - - <report@{DOMAIN}> none"], findings="PS006 PS007 " + IMAP_FINDINGS, secrets=[E], servers=("mail",)),
    Sample("capture-sll.pcap", "imap-login captured on the device any (Linux cooked, version 1)", f"{DOVECOT}, {PYTHON} imaplib", device="any", options=("-y", "LINUX_SLL"), **PLAIN_IMAP),
    Sample("capture-sll2.pcap", "imap-login captured on the device any (Linux cooked, version 2)", f"{DOVECOT}, {PYTHON} imaplib", device="any", options=("-y", "LINUX_SLL2"), **PLAIN_IMAP),
    Sample("capture-loopback.pcap", "imap-login on the loopback of the server", f"{DOVECOT}, {PYTHON} imaplib", device="lo", **PLAIN_IMAP | {"steps": [py("imap_read", "127.0.0.1", 143, "alice", side="server")]}),
    Sample("capture-nanoseconds.pcap", "imap-login with nanosecond times", f"{DOVECOT}, {PYTHON} imaplib", options=("--time-stamp-precision=nano",), **PLAIN_IMAP),
    Sample("capture-two-interfaces.pcapng", "imap-login over the network and on loopback, two interfaces in one pcapng", f"{DOVECOT}, {PYTHON} imaplib, dumpcap 4.0.17", record=two_interfaces,
           **PLAIN_IMAP | {"steps": [*IMAP_READ, py("imap_read", "127.0.0.1", 143, "alice", side="server")], "sessions": [IMAP_SESSION] * 2, "logins": [IMAP_LOGIN] * 2, "messages": [LUNCH] * 2}),
    Sample("capture-rotated-1.pcapng capture-rotated-2.pcapng capture-rotated-3.pcapng", "imap-login in files of 12 packets each: one conversation spans them",
           f"{DOVECOT}, {PYTHON} imaplib, dumpcap 4.0.17", record=rotated, **PLAIN_IMAP),
    *(Sample(f"capture-compressed.pcap.{suffix}", f"pop3-apop, compressed with {name}", f"{DOVECOT}, {PYTHON} poplib", steps=[py("pop3_read", SERVER, 110, "alice", "apop")], record=compressed,
             sessions=["pop3 pop3 none offered full"], logins=[f"APOP {ALICE} guessable success"], messages=[f"pop3 fetched - - <lunch@{DOMAIN}> none"],
             findings="PS105 PS121 PS204 PS206 PS212 PS705", secrets=[A], servers=("mail",)) for suffix, name in (("gz", "gzip"), ("bz2", "bzip2"), ("zst", "zstd"), ("lz4", "lz4"))),

    Sample("tunnel-http-connect.pcap", "IMAP through an HTTP proxy's CONNECT", f"{DOVECOT}, {CURL}, tinyproxy 1.11.1",
           steps=[curl("--proxytunnel", "--proxy", f"http://{SERVER}:8888", "--login-options", "AUTH=PLAIN", "--user", f"{ALICE}:{A}", f"imap://{SERVER}/INBOX;MAILINDEX=1")],
           sessions=[IMAP_SESSION], logins=[f"PLAIN {ALICE} password success"], messages=[LUNCH], findings="PS111 PS115 PS121 PS204 PS206 PS211 PS212 PS705", secrets=[A],
           servers=("mail", "proxies")),
    Sample("tunnel-socks5.pcap", "POP3 through a SOCKS 5 server", f"{DOVECOT}, {CURL}, microsocks 1.0.3",
           steps=[curl("--socks5", f"{SERVER}:1080", "--login-options", "AUTH=PLAIN", "--user", f"{ALICE}:{A}", f"pop3://{SERVER}/1")],
           sessions=["pop3 pop3 none offered full"], logins=[f"PLAIN {ALICE} password success"], messages=[f"pop3 fetched - - <lunch@{DOMAIN}> none"],
           findings="PS112 PS115 PS121 PS204 PS206 PS212 PS705", secrets=[A], servers=("mail", "proxies")),
    Sample("bystanders.pcap", "FTP, Redis, IRC and HTTP with logins: not mail", "vsftpd 3.0.3, Redis 7.0.15, ngIRCd 26.1, Python http.server, curl 7.88.1",
           steps=[curl("--user", f"anonymous:{A}", f"ftp://{SERVER}/", fails=True), Step(["redis-cli", "-h", SERVER, "-a", A, "--no-auth-warning", "SET", "mail", "220 ready"]),
                  py("irc", SERVER, 6667), curl(f"http://{SERVER}:8080/?user=alice", fails=True)],
           secrets=[A, B.split()[0]], servers=("bystanders",)),
]
QUICK = ("imap-login.pcap", "pop3-stls.pcap", "managesieve-plain.pcap", "lmtp-deliver.pcap", "path-vlan.pcap", "tls-versions.pcap")  # need Dovecot alone or nothing; tests record these
