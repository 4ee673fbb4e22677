"""What an encrypted session is for: application protocol, port and names, in the order in which they are believed."""
from __future__ import annotations

import re

import pytest

from pcapsec.pipeline.services import MAX_NAMES, provider_of, service_of, sureness
from pcapsec.records import Certificate, Facts, TlsHandshake
from pcapsec.rules import webnames
from pcapsec.rules.providers import PROVIDERS, REGIONAL
from pcapsec.rules.webnames import WEB_SERVICES, guess, look_up


def hello(sni: str | None = None, alpn: str | None = None, *names: str) -> TlsHandshake:
    certificates = (Certificate(sha256="00", dns_names=names),) if names else ()
    return TlsHandshake(sni=sni, alpn=alpn, certificates=certificates)


def by_dns(name: str, *names: str) -> TlsHandshake:
    handshake = hello(None, None, *names)
    handshake.dns_name = name
    return handshake


def told(handshake: TlsHandshake | None, port: int) -> tuple:
    service, source = service_of("tls", Facts(), handshake, port)
    return service, source, sureness(source, handshake), provider_of(handshake)


@pytest.mark.parametrize("handshake, port, expected", [
    (None, 993, ("imaps", "port", "medium", None)),
    (None, 8443, (None, None, None, None)),
    (hello(), 8443, (None, None, None, None)),
    (hello("mail.example.com"), 443, ("https", "port", "medium", None)),  # everything is called mail
    (hello("www.example.com", "h2"), 8443, ("https", "alpn", "high", None)),
    (hello("www.example.com", "h3"), 443, ("https", "alpn", "high", None)),
    (hello("owa.example.com", "h2"), 443, ("owa", "sni", "medium", None)),
    (hello("OWA.Example.COM."), 443, ("owa", "sni", "medium", None)),
    (hello("owa.example.com"), 4443, ("owa", "sni", "medium", None)),
    (hello("autodiscover.example.com", "http/1.1"), 443, ("autodiscover", "sni", "high", None)),
    (hello("outlook.office365.com", "h2"), 443, ("exchange-online", "sni", "high", "Microsoft 365")),
    (hello("outlook.office365.com"), 993, ("imaps", "port", "medium", "Microsoft 365")),  # the port says which of its services
    (hello("autodiscover-s.outlook.com"), 443, ("autodiscover", "sni", "high", "Microsoft 365")),
    (hello("autodiscover.contoso.onmicrosoft.com"), 443, ("autodiscover", "sni", "high", "Microsoft 365")),
    (hello("contoso-com.mail.protection.outlook.com"), 25, ("smtp", "port", "medium", "Microsoft 365")),
    (hello("eas.outlook.com", "h2"), 443, ("activesync", "sni", "high", "Outlook.com")),
    (hello("imap.gmail.com", "imap"), 443, ("imaps", "alpn", "high", "Gmail")),
    (hello("imap.gmail.com"), 10993, ("imaps", "sni", "high", "Gmail")),
    (hello("imap.gmail.com", "h2"), 443, ("https", "alpn", "high", "Gmail")),  # the bytes say HTTP, whatever the name
    (hello("imap.example.com"), 10993, ("imaps", "sni", "medium", None)),
    (hello("imap.example.com"), 443, ("https", "port", "medium", None)),
    (hello("email-smtp.eu-west-1.amazonaws.com"), 2465, ("submission", "sni", "high", "Amazon SES")),
    (hello("s3.eu-west-1.amazonaws.com"), 443, ("https", "port", "medium", None)),
    (hello(None, None, "example.com", "ews.example.com"), 443, ("ews", "certificate", "medium", None)),
    (hello(None, None, "*.outlook.com"), 443, ("exchange-online", "certificate", "high", "Microsoft 365")),
    (hello(None, None, "mx.example.com", "mail.example.com"), 443, ("https", "port", "medium", None)),
    (by_dns("owa.example.com"), 443, ("owa", "dns", "medium", None)),
    (by_dns("imap.gmail.com"), 993, ("imaps", "port", "medium", "Gmail")),
    (by_dns("outlook.office365.com", "owa.example.com"), 443, ("exchange-online", "dns", "high", "Microsoft 365")),
    (by_dns("www.example.com", "owa.example.com"), 443, ("owa", "certificate", "medium", None)),
    (hello("outlook.office.com", "h2", "owa.example.com"), 443, ("exchange-online", "sni", "high", "Microsoft 365")),
    (hello("mail.example.com", "h2", "owa.example.com"), 443, ("https", "alpn", "high", None)),  # what was asked for counts, not what else is there
    (hello("evil-outlook.com", "h2"), 443, ("https", "alpn", "high", None)),
    (hello("outlook.com.evil.example", "h2"), 443, ("exchange", "sni", "medium", None)),  # first label outlook: somebody's Exchange, not Microsoft's
    (hello("owa", "h2"), 443, ("https", "alpn", "high", None)),
])
def test_encrypted(handshake, port, expected):
    assert told(handshake, port) == expected


def test_certificates_of_shared_hosts_are_not_searched_to_the_end():
    names = [f"site{n}.example.com" for n in range(MAX_NAMES)]
    assert told(hello(None, None, *names, "owa.example.com"), 443) == ("https", "port", "medium", None)
    assert told(hello(None, None, *names[1:], "owa.example.com"), 443) == ("owa", "certificate", "medium", None)


def test_clear_protocols_keep_what_their_bytes_say():
    handshake = hello("outlook.office365.com")
    assert service_of("imap", Facts(protocol="imap"), handshake, 143) == ("imap", "port")
    assert service_of("smtp", Facts(protocol="smtp"), handshake, 2525) == ("smtp", "content")
    assert [sureness(source, None) for source in ("content", "epm", "tunnel", "alpn", "port", None)] == ["high", "high", "high", "high", "medium", None]


def test_names_of_providers_are_names():
    """Lower case, two labels or more, and no entry says what a shorter one of the same provider and service says already."""
    assert [name for name in PROVIDERS if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", name)] == []
    idle = []
    for name, entry in PROVIDERS.items():
        above = name.partition(".")[2]
        while above and above not in PROVIDERS:
            above = above.partition(".")[2]
        if above and PROVIDERS[above] == entry and name not in ("mail.protection.outlook.com", "protection.outlook.com", "outlook.com"):
            idle.append(name)
    assert idle == []
    services = {service for _provider, service in [*PROVIDERS.values(), *REGIONAL.values()] if service is not None}
    assert services - WEB_SERVICES == {"imaps", "pop3s", "submission", "smtp"}


def test_hostile_names():
    for name in ("", ".", "*.", "a." * 2000, "autodiscover." * 2000 + "com", "*." * 50, "outlook.com.\0", "é.outlook.com"):
        assert look_up(name).service in (None, "exchange-online", "exchange"), name
    assert guess("x" * 70000 + ".owa") is None


def test_the_memory_of_names_is_bounded(monkeypatch):
    monkeypatch.setattr(webnames, "MAX_MEMO", 8)
    monkeypatch.setattr(webnames, "_memo", {})
    for n in range(100):
        look_up(f"host{n}.example.com")
    assert len(webnames._memo) <= 8
