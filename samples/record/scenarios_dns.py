"""Samples in which DNS promises TLS for a domain: a signed zone served by Knot, a validating Unbound, Postfixes that obey and that do not."""
from __future__ import annotations

import subprocess
import sys

import servers
from net import HERE, SERVER, Lab, need, run
from scenarios import ALICE, BOB, POSTFIX, SWAKS, Sample, Step, swaks, tls13
from servers import DOMAIN

RESOLVER = "10.7.0.53"
KNOT, UNBOUND = "Knot DNS 3.2.6", "Unbound 1.17.1"
DANE, CLEAR = 2541, 2542  # loopback ports of the two senders
_PORT = 5300


def zone(lab: Lab) -> None:
    """A signed zone and its resolver, which answers with the AD bit."""
    need("knotd", "keymgr", "unbound")
    home = servers.reachable(lab.work / "dns")
    _, cert = servers.certificate(lab)
    key = subprocess.run(["openssl", "x509", "-in", str(cert), "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout.decode().split()[0]
    (home / "zone").write_text(f"""$ORIGIN {DOMAIN}.
$TTL 3600
@ SOA ns hostmaster 1 3600 600 86400 300
@ NS ns
@ MX 10 mx
ns A {RESOLVER}
mx A {SERVER}
_25._tcp.mx TLSA 3 1 1 {digest}
_mta-sts TXT "v=STSv1; id=20240501T000000;"
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls-reports@{DOMAIN}"
_imaps._tcp SRV 0 1 993 mail
_imap._tcp SRV 0 0 0 .
mail A {SERVER}
""")
    (home / "knot.conf").write_text(f"""server:
    rundir: "{home}"
    listen: 127.0.0.1@{_PORT}
log:
  - target: "{home}/knot.log"
    any: info
database:
    storage: "{home}"
zone:
  - domain: {DOMAIN}
    storage: "{home}"
    file: zone
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    dnssec-signing: on
""")
    lab.start("server", "knotd", "-c", str(home / "knot.conf"))
    lab.wait_for_port("127.0.0.1", _PORT)
    lab.wait_for(lambda: "DNSSEC, successfully signed" in (home / "knot.log").read_text(), "the signed zone")
    anchor = next(line for line in run("keymgr", "-c", str(home / "knot.conf"), DOMAIN, "ds").splitlines() if " 13 2 " in line)
    (home / "unbound.conf").write_text(f"""server:
    interface: {RESOLVER}
    access-control: 10.7.0.0/24 allow
    do-not-query-localhost: no
    do-ip6: no
    chroot: ""
    username: ""
    directory: "{home}"
    pidfile: "{home}/unbound.pid"
    use-syslog: no
    logfile: "{home}/unbound.log"
    module-config: "validator iterator"
    trust-anchor: "{anchor}"
stub-zone:
    name: "{DOMAIN}"
    stub-addr: 127.0.0.1@{_PORT}
remote-control:
    control-enable: no
""")
    lab.ip("server", "addr", "add", f"{RESOLVER}/24", "dev", "eth0")
    lab.start("server", "unbound", "-d", "-c", str(home / "unbound.conf"))
    lab.wait_for_port(RESOLVER, 53)
    (home / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions trust-ad\n")
    for name, port, level in (("sender-dane", DANE, "dane"), ("sender-clear", CLEAR, "none")):
        servers.postfix(lab, name, "client", [f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_security_level=none"], resolver=home / "resolv.conf", disable_dns_lookups="no",
                        smtp_host_lookup="dns", smtp_dns_support_level="dnssec", default_transport="smtp", relay_transport="smtp", local_transport="smtp", smtp_tls_security_level=level,
                        inet_protocols="ipv4", myhostname="branch.example.net", relay_domains="")


SERVERS = {"zone": zone}


def ask(*names: str) -> Step:
    return Step([sys.executable, str(HERE / "clients.py"), "resolver", RESOLVER, "53", *names])


def send(port: int) -> list[Step]:
    return [swaks("--server", f"127.0.0.1:{port}", "--to", BOB), Step(["sleep", "1.5"])]


ASKED = ask(f"TXT/_mta-sts.{DOMAIN}", f"TXT/_smtp._tls.{DOMAIN}", f"SRV/_imaps._tcp.{DOMAIN}", f"SRV/_imap._tcp.{DOMAIN}")
PROMISES = "PS805 PS806 PS807 PS808 PS809"
SAMPLES = [
    Sample("dns-promise-kept.pcap", "DNS of a domain promises TLS by DANE and MTA-STS; a Postfix that obeys DANE delivers to it", f"{POSTFIX}, {KNOT}, {UNBOUND}, {SWAKS}",
           steps=[*send(DANE), ASKED], filter="tcp or udp port 53", sessions=["smtp smtp starttls tls_established full"], findings=f"PS217 PS430 PS454 {PROMISES}",
           servers=("mail", "zone"), tls=[tls13(sni=f"mx.{DOMAIN}")]),
    Sample("dns-promise-broken.pcap", "The same, and a Postfix set to do without TLS delivers in clear", f"{POSTFIX}, {KNOT}, {UNBOUND}, {SWAKS}",
           steps=[ask(f"TLSA/_25._tcp.mx.{DOMAIN}"), ASKED, *send(DANE), *send(CLEAR)], filter="tcp or udp port 53",
           sessions=["smtp smtp starttls tls_established full", "smtp smtp none offered full"], messages=[f"smtp relayed {ALICE} {BOB} <swaks@{DOMAIN}> none"],
           findings=f"PS204 PS206 PS213 PS217 PS430 PS454 PS705 PS902 PS903 {PROMISES}", servers=("mail", "zone"), tls=[tls13(sni=f"mx.{DOMAIN}")]),
]
