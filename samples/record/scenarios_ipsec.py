"""Samples of IPsec: what protects mail below the session, what only seems to, and how the two ends agree on it."""
from __future__ import annotations

import pathlib

import ipsec
from ipsec import HIDDEN_SERVER
from net import Lab
from scenarios import A, DOVECOT, IMAP_FINDINGS, IMAP_LOGIN, IMAP_READ, IMAP_SESSION, LUNCH, PYTHON, Sample, py

STRONGSWAN, SCAPY = "strongSwan 5.9.8 with kernel-libipsec", "scapy 2.8.0 for IPsec"
HIDDEN_READ = [py("imap_read", HIDDEN_SERVER, 143, "alice")]
IKE, ESP = "ike ike none - full", "esp - none - full"
ANY_IPSEC = "udp port 500 or udp port 4500 or tcp"
SERVERS = {"hidden": ipsec.hidden}


def tunnelled(**words):
    """Mail while strongSwan's tunnel is up, from its first message on."""
    def record(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
        with lab.capture(path, filter=sample.filter), ipsec.Tunnel(lab, path.name.split(".")[0], **words):
            sample.play(lab)

    return record


def bare(name: str, about: str, kind: str, **found) -> Sample:
    """imap-login as two gateways on the way send it: a mirror port of the switch in front of which scapy puts each packet into IPsec."""
    return Sample(name, about, f"{DOVECOT}, {PYTHON} imaplib, {SCAPY}", steps=IMAP_READ, side="probe", device="mirror", filter="", switch=("--mirror", kind), servers=("mail",), secrets=[A], **found)


READ = {"logins": [IMAP_LOGIN], "messages": [LUNCH]}
SAMPLES = [
    Sample("ipsec-ikev2.pcap", "IKEv2 with AES-GCM and group 19; IMAP inside ESP, which nobody can read, and between the same two hosts beside it", f"{STRONGSWAN}, {DOVECOT}, {PYTHON} imaplib",
           steps=HIDDEN_READ + IMAP_READ, sessions=[IKE, ESP, IMAP_SESSION], findings=f"{IMAP_FINDINGS} PS801", secrets=[A], filter=ANY_IPSEC, servers=("mail", "hidden"),
           record=tunnelled(ike="aes256gcm16-prfsha256-ecp256", esp="aes256gcm16-ecp256"), **READ),
    Sample("ipsec-null.pcap", "IKEv2 that is strong itself, and agrees on no encryption for ESP: IMAP inside can be read", f"{STRONGSWAN}, {DOVECOT}, {PYTHON} imaplib",
           steps=HIDDEN_READ, sessions=[IKE, ESP, IMAP_SESSION], findings=f"{IMAP_FINDINGS} PS802", secrets=[A], filter=ANY_IPSEC, servers=("mail", "hidden"),
           record=tunnelled(ike="aes256-sha256-modp2048", esp="null-sha256"), **READ),
    Sample("ipsec-aggressive.pcap", "IKEv1 in aggressive mode with a shared key, 3DES, MD5 and group 2", STRONGSWAN, sessions=[IKE], findings="PS804", filter=ANY_IPSEC,
           servers=("mail", "hidden"), record=tunnelled(version=1, ike="3des-md5-modp1024", esp="aes128-sha1", aggressive=True)),
    Sample("ipsec-main.pcap", "IKEv1 in main mode with AES and group 14", STRONGSWAN, sessions=[IKE], findings="PS804", filter=ANY_IPSEC,
           servers=("mail", "hidden"), record=tunnelled(version=1, ike="aes256-sha256-modp2048", esp="aes128-sha1")),
    bare("ipsec-ah.pcap", "imap-login inside AH in transport mode", "ah", sessions=[IMAP_SESSION], findings=f"{IMAP_FINDINGS} PS803", **READ),
    bare("ipsec-esp-null.pcap", "imap-login inside ESP in transport mode with NULL encryption and HMAC-SHA1-96", "esp-null", sessions=[ESP, IMAP_SESSION], findings=f"{IMAP_FINDINGS} PS802", **READ),
    bare("ipsec-esp-gmac.pcap", "imap-login inside ESP in tunnel mode with GMAC", "esp-gmac", sessions=[ESP, IMAP_SESSION], findings=f"{IMAP_FINDINGS} PS802", **READ),
    bare("ipsec-esp-gcm.pcap", "imap-login inside ESP in transport mode with AES-GCM: nothing can be seen", "esp-gcm"),
]
