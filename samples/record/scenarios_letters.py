"""Samples of messages: those that protect themselves, those that only look so, and the way that a message came as its header tells."""
from __future__ import annotations

import sys

import servers
from net import CLIENT, HERE, SERVER, Lab
from scenarios import ALICE, BOB, POSTFIX, PYTHON, SWAKS, Sample, Step, swaks, tls13
from servers import DOMAIN

OPENSSL, GNUPG = "OpenSSL 3.0.19 cms", "GnuPG 2.2.40"


def branch(lab: Lab) -> None:
    """A Postfix of the client side that takes mail from the network, with STARTTLS, and relays it to the server in clear."""
    servers.postfix(lab, "branch", "client", [f"{CLIENT}:2531 inet n - n - - smtpd"], default_transport="smtp", relay_transport="smtp", local_transport="smtp", relayhost=f"[{SERVER}]:25",
                    smtp_tls_security_level="none", myhostname="branch.example.net", relay_domains="", mynetworks="127.0.0.0/8 10.7.0.0/24")
    lab.wait_for_port(CLIENT, 2531, "client")


SERVERS = {"branch": branch}


def letters(name: str) -> Step:
    return Step([sys.executable, str(HERE / "letters.py"), name, SERVER, "25"])


def sent(**protections: str) -> list[str]:
    return [f"smtp relayed {ALICE} {BOB} <{name.replace('_', '-')}@{DOMAIN}> {protection}" for name, protection in protections.items()]


def chain(*words: str) -> list[Step]:
    """swaks on the server's side gives a message to the branch, which relays it back."""
    step = swaks("--server", f"{CLIENT}:2531", "--to", BOB, *words)
    return [Step(step.argv, side="server"), Step(["sleep", "1"])]


RELAYED = "smtp smtp none offered full"
SAMPLES = [
    Sample("message-smime.pcap", "S/MIME: encrypted with AES-CBC, triple DES and RC2, signed clear and opaque, signed over SHA-1", f"{POSTFIX}, {OPENSSL}, {PYTHON} smtplib", steps=[letters("smime")],
           sessions=[RELAYED], messages=sent(cbc="smime-encrypted", **{"3des": "smime-encrypted"}, rc2="smime-encrypted", clear_signed="smime-signed", opaque="smime-signed", sha1="smime-signed"),
           findings="PS204 PS206 PS213 PS701 PS702 PS703 PS705 PS706", servers=("mail",)),
    Sample("message-smime-strong.pcap", "S/MIME with AES-GCM and a hidden subject", f"{POSTFIX}, {OPENSSL}, {PYTHON} smtplib", steps=[letters("smime-strong")],
           sessions=[RELAYED], messages=sent(gcm="smime-encrypted"), findings="PS204 PS206 PS213 PS701", servers=("mail",)),
    Sample("message-openpgp.pcap", "OpenPGP: PGP/MIME with a hidden subject, inline for two, with a password, in the old way without integrity, signed", f"{POSTFIX}, {GNUPG}, {PYTHON} smtplib",
           steps=[letters("openpgp")], sessions=[RELAYED],
           messages=sent(pgp_mime="pgp-mime-encrypted", pgp_two="pgp-inline", pgp_password="pgp-inline", pgp_old="pgp-inline", pgp_signed="none"),
           findings="PS204 PS206 PS213 PS702 PS704 PS705 PS706", servers=("mail",)),
    Sample("message-lookalikes.pcap", "Messages that only look encrypted: named .p7m, declared, quoted, a public key, signed in the same armor; winmail.dat; one marked private",
           f"{POSTFIX}, {GNUPG}, {PYTHON} smtplib", steps=[letters("lookalikes")], sessions=[RELAYED],
           messages=sent(named_p7m="none", only_declared="none", quoted="none", public_key="none", armored_signed="none", winmail="tnef", private="none"),
           findings="PS204 PS206 PS213 PS702 PS705 PS707", servers=("mail",)),
    Sample("message-hop-clear.pcap", "A message on two hops, both in clear; the second copy's header tells of the first", f"{POSTFIX}, {SWAKS}", steps=chain(), sessions=[RELAYED] * 2,
           messages=[f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"] * 2, findings="PS204 PS206 PS213 PS705 PS708 PS905", servers=("mail", "branch")),
    Sample("message-hop-tls.pcap", "The same with TLS on the first hop: the header says so", f"{POSTFIX}, {SWAKS}", steps=chain("--tls"),
           sessions=["smtp smtp starttls tls_established full", RELAYED], messages=[f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"],
           findings="PS204 PS206 PS213 PS217 PS430 PS454 PS705 PS905", servers=("mail", "branch"), tls=[tls13()]),
]
