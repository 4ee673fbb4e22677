"""Wireshark reads the TLS of each sample too: the same handshakes, versions, suites, names, certificates and alerts."""
from __future__ import annotations

import hashlib
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

import pandas
import pytest
from samples import SAMPLES, Sample, analysed

VERSIONS = {"0x0002": "SSLv2", "0x0300": "SSLv3", "0x0301": "TLSv1.0", "0x0302": "TLSv1.1", "0x0303": "TLSv1.2", "0x0304": "TLSv1.3"}
HELLO_RETRY = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"  # RFC 8446 §4.1.3
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE = "1", "2", "11"
WITH_TLS = [sample for sample in SAMPLES if sample.tls and len(sample.files) == 1 and not sample.name.startswith("keys-embedded")]  # there tshark decrypts by itself


@dataclass
class Handshake:
    """What the first handshake of a connection says in clear."""

    version: str | None = None
    suite: str | None = None
    sni: str | None = None
    alpn: str | None = None
    certificates: dict[str, list[str]] = field(default_factory=dict)  # who sent them (address) -> SHA-256 of each
    alerts: list[str] = field(default_factory=list)
    retry: bool = False


def value(element: ElementTree.Element, name: str, attribute: str = "show") -> str | None:
    found = next((one for one in element.iter("field") if one.get("name") == name), None)
    return found.get(attribute) if found is not None else None


def wireshark(path: str) -> dict[frozenset[str], Handshake]:
    """Handshakes by their two ends, `address:port`."""
    asked = ["tshark", "-n", "-r", path, "-T", "pdml", "-Y", "tls.handshake.type or tls.alert_message"]
    done = subprocess.run(asked, capture_output=True, check=True)
    found: dict[frozenset[str], Handshake] = {}
    for packet in ElementTree.fromstring(done.stdout).iter("packet"):
        transport = "udp" if value(packet, "udp.stream") is not None else "tcp"
        source, target = (f"{value(packet, f'ip.{side}')}:{value(packet, f'{transport}.{side}port')}" for side in ("src", "dst"))
        one = found.setdefault(frozenset((source, target)), Handshake())
        for element in packet.iter("field"):
            if element.get("name") == "tls.handshake":
                message(one, element, source)
            elif element.get("name") == "tls.record" and element.get("showname", "").startswith("SSLv2"):
                old_message(one, element, source)
            elif element.get("name") == "tls.alert_message" and value(element, "tls.alert_message.desc") is not None:
                one.alerts.append(f"{value(element, 'tls.alert_message.level')}:{value(element, 'tls.alert_message.desc')}")
    return found


def message(one: Handshake, element: ElementTree.Element, source: str) -> None:
    kind = value(element, "tls.handshake.type")
    if kind == CLIENT_HELLO and one.sni is None:
        one.sni = value(element, "tls.handshake.extensions_server_name")
    elif kind == SERVER_HELLO and one.suite is None:
        if value(element, "tls.handshake.random", "value") == HELLO_RETRY:
            one.retry = True
            return
        number = value(element, "tls.handshake.extensions.supported_version") or value(element, "tls.handshake.version")
        one.version = VERSIONS[number.lower()]
        one.suite = value(element, "tls.handshake.ciphersuite", "showname").split()[2]
        one.alpn = value(element, "tls.handshake.extensions_alpn_str")
    elif kind == CERTIFICATE and source not in one.certificates:
        ders = [bytes.fromhex(part.get("value")) for part in element.iter("field") if part.get("name") == "tls.handshake.certificate"]
        one.certificates[source] = [hashlib.sha256(der).hexdigest() for der in ders]


def old_message(one: Handshake, element: ElementTree.Element, source: str) -> None:
    """A message of SSL 2.0: the server's hello holds its certificate, the client's master key names the suite."""
    kind = value(element, "tls.handshake.type")
    if kind == "4":
        one.version = VERSIONS[value(element, "tls.handshake.version")]
        der = bytes.fromhex(value(element, "tls.handshake.certificate", "value") or "")
        one.certificates[source] = [hashlib.sha256(der).hexdigest()] if der else []
    elif kind == "2":
        one.suite = value(element, "tls.handshake.cipherspec", "showname").split()[2].replace("SSL2_", "SSL_CK_")


def ours(row: pandas.Series) -> dict[str, object]:
    def known(name: str) -> object:
        return row[name] if isinstance(row[name], list) or not pandas.isna(row[name]) else None

    return {"version": known("version"), "suite": known("cipher_suite"), "sni": known("sni"), "certificate": known("certificate_sha256"), "chain": known("chain_length") or 0,
            "client_certificate": known("client_certificate_sha256"), "alerts": [alert.partition(" ")[0].partition(":")[2] for alert in row["alerts"]], "retry": bool(row["hello_retry"])}


def theirs(one: Handshake, row: pandas.Series) -> dict[str, object]:
    server, client = (f"{row[f'{side}_ip']}:{row[f'{side}_port']}" for side in ("server", "client"))
    chain = one.certificates.get(server, [])
    alerts = [("fatal:" if level == "2" else "warning:") + number for level, _, number in (alert.partition(":") for alert in one.alerts)]
    if one.suite is not None and "_NULL_" in one.suite:  # there Wireshark reads on where the handshake has ended
        alerts = [alert for alert in alerts if alert != "warning:0"]
    return {"version": one.version, "suite": one.suite, "sni": one.sni, "certificate": chain[0] if chain else None, "chain": len(chain),
            "client_certificate": (one.certificates.get(client) or [None])[0], "alerts": alerts, "retry": one.retry}


@pytest.mark.parametrize("sample", WITH_TLS, ids=lambda sample: sample.name)
def test_wireshark_reads_the_same_handshakes(sample: Sample):
    there, table = wireshark(sample.paths[0]), analysed(sample).tls
    for _, row in table.iterrows():
        ends = frozenset((f"{row['client_ip']}:{row['client_port']}", f"{row['server_ip']}:{row['server_port']}"))
        wireshark_says = theirs(there.pop(ends), row)
        if sample.name == "twin-hello-ahead.pcap":  # Wireshark takes a ClientHello that comes before STARTTLS is answered for SMTP
            wireshark_says["sni"] = row["sni"]
        assert ours(row) == wireshark_says
    assert there == {}
