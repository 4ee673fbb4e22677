"""Samples of TLS: each version, weak suites and keys, good and bad certificates, resumption, alerts; see `scenarios` for what the fields mean."""
from __future__ import annotations

import tls
from net import SERVER
from pki import HOST
from scenarios import AEAD, CURL, DOVECOT, INN, Sample, Step, handshake, tls12, tls13
from servers import DOMAIN
from tls import EVERYWHERE, PORT, WEAK, Talk, TlsSample, across, at_one_place, gnutls, new, old, openssl

OPENSSL, GNUTLS, OLD, NGINX = "OpenSSL 3.0.19", "GnuTLS 3.7.9", "OpenSSL 0.9.8e of CentOS 5", "nginx 1.22.1"
ZLIB = {"OPENSSL_DEFAULT_ZLIB": "1"}
IMAPS = "tls imaps implicit - full"
SERVICES = {PORT: IMAPS, EVERYWHERE: "tls - implicit - full"}
OWA, AUTODISCOVER = f"owa.{DOMAIN}", f"autodiscover.{DOMAIN}"
SNI = {"sni": HOST}
RSA = {"subject": f"CN={HOST}", "key": "RSA", "bits": 2048, "signed": "ecdsa-with-SHA256", "chain": 1}
MATCHES = {**SNI, "name_matches": "yes"}
CURVED = {"group": "x25519", "signature": "rsa_pss_rsae_sha256"}
SHORT = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"


def of(name: str, about: str, software: str, *talks: Talk, **facts) -> TlsSample:
    """Sessions are those of the talks, in order, unless they are given."""
    sessions = [SERVICES[talk.port] for talk in talks for _ in talk.clients] if "sessions" not in facts else []
    return TlsSample(f"{name}.pcap", about, software, talks=list(talks), **{"sessions": sessions} | facts)


def only(suite: str, *words: str) -> str:
    """s_client's words for one suite of TLS 1.2."""
    return " ".join(["-tls1_2", "-cipher", f"{suite}:{WEAK}", *words])


def ec(*suite: str, **facts: object) -> str:
    """TLS 1.2 with the ECDSA certificate, a name asked for and found."""
    return tls12(*suite, **MATCHES | facts)


def rsa(suite: str = SHORT, **facts: object) -> str:
    """The same with the RSA certificate."""
    return tls12(suite, **{**MATCHES, **RSA, "signature": "rsa_pss_rsae_sha256"} | facts)


def key_exchange_by_rsa(suite: str, **facts: object) -> str:
    return rsa(suite, **{"group": None, "signature": None} | facts)


def as_of_old(version: str, suite: str, **facts: object) -> str:
    """OpenSSL 0.9.8e on both sides: no name asked for, none of the newer extensions but one."""
    return handshake(version, suite, **{**RSA, "ems": "no", "etm": "no", "secure_renegotiation": "yes", "established": "yes"} | facts)


def ssl2(suite: str, **facts: object) -> str:
    return handshake("SSLv2", suite, **RSA | {"established": "yes"} | facts)


def by_gnutls(version: str, suite: str, **facts: object) -> str:
    """GnuTLS on both sides; its server asks for a certificate, its client has none."""
    return handshake(version, suite, **{**RSA, **AEAD, **MATCHES, "group": "secp256r1", "signature": "rsa_pkcs1_sha256", "client_certificate": "no"} | facts)


def refused(alerts: str, sni: str | None = HOST, **facts: object) -> str:
    """A handshake that ended before the ServerHello."""
    return handshake("-", "-", **{"sni": sni, "established": "no", "alerts": alerts} | facts)


def upgraded(protocol: str, port: int) -> Step:
    return Step(["sh", "-c", "{ sleep 0.5; printf 'QUIT\\r\\n'; sleep 0.5; } | exec openssl s_client -quiet -no_ign_eof \"$@\"", "sh", "-starttls", protocol, "-tls1_2", "-servername", HOST,
                 "-connect", f"{SERVER}:{port}"], fails=True)


NOBODY = dict.fromkeys(("subject", "key", "bits", "signed", "chain", "name_matches"))  # no certificate in sight
RESUMED = {**NOBODY, "group": None, "signature": None}
WEAK_SERVER = f"-cipher ALL:COMPLEMENTOFALL:{WEAK}"
CURVES = ("sect163k1", "secp160k1", "secp192k1", "brainpoolP256r1")
SAMPLES: list[Sample] = [
    of("tls-ssl2", "SSL 2.0: three suites; resumed; a server that does not know it any more; then TLS 1.0 from a hello in the form of SSL 2.0", f"{OLD}, {OPENSSL}",
       old("SSLv2", "DES-CBC3-MD5", "RC4-MD5", "RC2-CBC-MD5"), old("SSLv2", "DES-CBC3-MD5", words="again"), across(openssl(), old("SSLv2", "RC4-MD5")), old("SSLv23", "AES128-SHA:RC4-MD5", server="SSLv23"),
       sessions=[IMAPS] * 7,
       findings="PS401 PS403 PS407 PS408 PS409 PS410 PS416 PS427 PS430 PS440 PS441 PS442 PS452 PS454", tls=[ssl2("SSL_CK_DES_192_EDE3_CBC_WITH_MD5"), ssl2("SSL_CK_RC4_128_WITH_MD5"), ssl2("SSL_CK_RC2_128_CBC_WITH_MD5"), ssl2("SSL_CK_DES_192_EDE3_CBC_WITH_MD5"),
            handshake("SSLv2", "-", resumed="id", established="yes"), refused("server:fatal:70_protocol_version", sni=None), as_of_old("TLSv1.0", "TLS_RSA_WITH_AES_128_CBC_SHA")]),
    of("tls-ssl3", "SSL 3.0: AES, RC4, anonymous", OLD, old("SSLv3", "AES256-SHA", "RC4-MD5"), old("SSLv3", "ADH-AES128-SHA", dh="dh1024"),
       findings="PS402 PS405 PS407 PS409 PS410 PS411 PS416 PS427 PS440 PS441 PS442 PS454", tls=[as_of_old("SSLv3", "TLS_RSA_WITH_AES_256_CBC_SHA"), as_of_old("SSLv3", "TLS_RSA_WITH_RC4_128_MD5"),
            as_of_old("SSLv3", "TLS_DH_anon_WITH_AES_128_CBC_SHA", **NOBODY, group="dh", dh_bits=1024)]),
    of("tls-export", "Export suites of TLS 1.0: a temporary RSA key of 512 bit, DHE of 512 bit, anonymous; then a certificate's key of 512 bit", OLD,
       old("TLSv1", "EXP-RC4-MD5", "EXP-EDH-RSA-DES-CBC-SHA", "EXP-ADH-RC4-MD5", dh="dh512"), old("TLSv1", "EXP-RC4-MD5", cert="rsa-512"),
       findings="PS403 PS405 PS406 PS407 PS409 PS410 PS411 PS416 PS426 PS427 PS440 PS441 PS442 PS454", tls=[as_of_old("TLSv1.0", "TLS_RSA_EXPORT_WITH_RC4_40_MD5"), as_of_old("TLSv1.0", "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA", group="dh", dh_bits=512),
            as_of_old("TLSv1.0", "TLS_DH_anon_EXPORT_WITH_RC4_40_MD5", **NOBODY, group="dh", dh_bits=512),
            as_of_old("TLSv1.0", "TLS_RSA_EXPORT_WITH_RC4_40_MD5", bits=512, signed="sha256WithRSAEncryption")]),
    of("tls-weak-suites", "Suites of TLS 1.0: single DES, RC4, 3DES with a DHE of 1024 bit that everybody knows, no encryption", OLD,
       old("TLSv1", "DES-CBC-SHA", "RC4-SHA", "EDH-RSA-DES-CBC3-SHA", "NULL-MD5", dh="modp1024"),
       findings="PS403 PS404 PS407 PS408 PS409 PS410 PS411 PS416 PS427 PS440 PS441 PS442 PS454", tls=[as_of_old("TLSv1.0", "TLS_RSA_WITH_DES_CBC_SHA"), as_of_old("TLSv1.0", "TLS_RSA_WITH_RC4_128_SHA"),
            as_of_old("TLSv1.0", "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", group="modp1024", dh_bits=1024), as_of_old("TLSv1.0", "TLS_RSA_WITH_NULL_MD5")]),
    of("tls-compression", "TLS 1.0 with compression, and SSL 3.0 with it", OLD, old("TLSv1", "AES128-SHA", environment=ZLIB), old("SSLv3", "AES128-SHA", environment=ZLIB),
       findings="PS402 PS403 PS409 PS410 PS414 PS416 PS427 PS440 PS441 PS442 PS454", tls=[as_of_old(version, "TLS_RSA_WITH_AES_128_CBC_SHA", compression="DEFLATE") for version in ("TLSv1.0", "SSLv3")]),
    of("tls-versions", "TLS 1.0, 1.1, 1.2, 1.3 with the same server", OPENSSL,
       openssl(f"-tls1 -cipher ALL:{WEAK}", f"-tls1_1 -cipher ALL:{WEAK}", "-tls1_2", "-tls1_3", server=WEAK_SERVER),
       findings="PS403 PS419 PS427 PS430 PS440 PS454", tls=[*(handshake(version, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", **{**ec_facts, "sentinel": "TLSv1.1", "etm": "yes", "signature": None}) for version in ("TLSv1.0", "TLSv1.1")
              for ec_facts in [{"group": "x25519", **AEAD, **RSA, **MATCHES, "key": "EC", "bits": 256}]), ec(), tls13(**SNI)]),
    of("tls-null", "TLS 1.2 without encryption", OPENSSL, openssl(only("NULL-SHA256"), only("ECDHE-RSA-NULL-SHA"), cert="rsa", server=WEAK_SERVER),
       findings="PS404 PS409 PS419 PS427 PS440 PS441 PS454", tls=[key_exchange_by_rsa("TLS_RSA_WITH_NULL_SHA256", etm="yes"), rsa("TLS_ECDHE_RSA_WITH_NULL_SHA", etm="yes")]),
    of("tls-anonymous", "TLS 1.2 without certificate: DHE and ECDHE", OPENSSL,
       openssl(only("ADH-AES256-GCM-SHA384"), only("AECDH-AES128-SHA"), cert=None, server=WEAK_SERVER + " -tls1_2"),
       findings="PS405 PS440 PS454", tls=[tls12("TLS_DH_anon_WITH_AES_256_GCM_SHA384", **NOBODY | SNI, group="modp3072", dh_bits=3072, signature=None, sentinel=None),
            tls12("TLS_ECDH_anon_WITH_AES_128_CBC_SHA", **NOBODY | SNI, signature=None, sentinel=None, etm="yes")]),
    of("tls-no-forward-secrecy", "TLS 1.2 with RSA key exchange: GCM, CBC, CCM", OPENSSL,
       openssl(only("AES128-GCM-SHA256"), only("AES256-SHA256"), only("AES128-CCM8"), cert="rsa", server=WEAK_SERVER),
       findings="PS409 PS419 PS427 PS441 PS454", tls=[key_exchange_by_rsa("TLS_RSA_WITH_AES_128_GCM_SHA256"), key_exchange_by_rsa("TLS_RSA_WITH_AES_256_CBC_SHA256", etm="yes"), key_exchange_by_rsa("TLS_RSA_WITH_AES_128_CCM_8")]),
    of("tls-cbc", "CBC suites of TLS 1.2: OpenSSL's with encrypt_then_mac, GnuTLS's without", f"{OPENSSL}, {GNUTLS}", openssl(only("ECDHE-RSA-AES256-SHA384"), cert="rsa"),
       gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:%NO_ETM"),
       findings="PS410 PS419 PS427 PS454 PS606", tls=[rsa("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", etm="yes"), by_gnutls("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA")]),
    of("tls-gnutls", "GnuTLS: RC4, 3DES without extended master secret, no secure renegotiation, TLS 1.3", GNUTLS,
       gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+ARCFOUR-128"), gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.1:-CIPHER-ALL:+3DES-CBC:%NO_SESSION_HASH"),
       gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION", "NORMAL:-VERS-ALL:+VERS-TLS1.2"), gnutls("NORMAL"),
       findings="PS403 PS407 PS408 PS415 PS416 PS427 PS430 PS440 PS454 PS606", tls=[by_gnutls("TLSv1.2", "TLS_ECDHE_RSA_WITH_RC4_128_SHA"), by_gnutls("TLSv1.1", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", signature=None, ems="no", etm="yes"),
            by_gnutls("TLSv1.2", SHORT, secure_renegotiation="no"), tls13(**SNI, group="secp256r1")]),
    of("tls-dh", "DHE: 512 bit, which the client refuses; 1024 bit, a well-known 1024 bit, 2048 bit in TLS 1.2", f"{OPENSSL}, {OLD}",
       across(old("TLSv1", "ALL", dh="dh512"), openssl(f"-tls1 -cipher DHE-RSA-AES128-SHA:{WEAK}")),
       *(openssl(only("DHE-RSA-AES128-GCM-SHA256"), cert="rsa", server=f"{WEAK_SERVER} -tls1_2 -dhparam @{name}.dhpem") for name in ("dh1024", "modp1024")),
       openssl(only("DHE-RSA-AES128-GCM-SHA256"), cert="rsa", server="-tls1_2"),
       findings="PS403 PS406 PS410 PS411 PS416 PS427 PS440 PS452 PS454", tls=[as_of_old("TLSv1.0", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", **MATCHES, group="dh", dh_bits=512, established="no", alerts="client:fatal:40_handshake_failure"),
            *(rsa("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", group=group, dh_bits=bits, sentinel=None) for group, bits in (("dh", 1024), ("modp1024", 1024), ("modp2048", 2048)))]),
    of("tls-curves", "ECDHE with curves that nobody should use: " + ", ".join(CURVES), OPENSSL,
       *(openssl(f"-tls1_2 -groups {name} -cipher ECDHE:{WEAK}", cert="rsa", server=f"-groups {name} -cipher ALL:{WEAK}") for name in CURVES),
       findings="PS412 PS419 PS427 PS440 PS454", tls=[rsa(group=name) for name in CURVES]),
    of("tls-sha1-signature", "The key exchange of TLS 1.2 signed with SHA-1", OPENSSL,
       openssl(only("ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs RSA+SHA1"), cert="rsa", server=WEAK_SERVER), openssl(only("ECDHE-ECDSA-AES128-GCM-SHA256", "-sigalgs ECDSA+SHA1"), server=WEAK_SERVER),
       findings="PS413 PS419 PS427 PS454", tls=[rsa("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", signature="rsa_pkcs1_sha1"), ec("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", signature="ecdsa_sha1")]),
    of("tls-renegotiated", "A client that renegotiates: TLS 1.2, TLS 1.0", f"{OPENSSL}, {OLD}", openssl("-tls1_2", server="-client_renegotiation", input="R\na1 NOOP\r\n"),
       old("TLSv1", "AES128-SHA", words="twice"), findings="PS403 PS409 PS410 PS416 PS419 PS427 PS440 PS441 PS442 PS454", tls=[ec(), as_of_old("TLSv1.0", "TLS_RSA_WITH_AES_128_CBC_SHA")]),
    of("tls-retry", "TLS 1.3 with a HelloRetryRequest", OPENSSL, openssl("-groups X25519:P-384", server="-groups P-384"), findings="PS430 PS454", tls=[tls13(**SNI, group="secp384r1", retry="yes")]),
    of("tls-early-data", "TLS 1.3: a session, then one that sends early data, then one whose early data is refused", OPENSSL,
       openssl("-tls1_3 -sess_out @early.session", "-tls1_3 -sess_in @early.session -early_data @letter.txt", server="-early_data", mode="-quiet"),
       openssl("-tls1_3 -sess_in @early.session -early_data @letter.txt"),
       findings="PS418 PS430 PS454", tls=[tls13(**SNI), tls13(**SNI, early_data="yes", resumed="psk"), tls13(**SNI, early_data="yes")]),
    of("tls-resumed", "Resumption: by id and by ticket in TLS 1.2, by PSK in TLS 1.3", OPENSSL,
       openssl("-tls1_2 -no_ticket -sess_out @id.session", "-tls1_2 -no_ticket -sess_in @id.session"), openssl("-tls1_2 -sess_out @ticket.session", "-tls1_2 -sess_in @ticket.session"),
       openssl("-tls1_3 -sess_out @psk.session", "-tls1_3 -sess_in @psk.session"),
       findings="PS419 PS427 PS430 PS454", tls=[ec(), tls12(**RESUMED | SNI, resumed="id"), ec(), tls12(**RESUMED | SNI, resumed="ticket"), tls13(**SNI), tls13(**SNI, resumed="psk")]),
    of("tls-client-certificate", "A server that asks for a certificate: TLS 1.2 with one, without; TLS 1.3", OPENSSL,
       openssl("-tls1_2 -cert @client.crt -key @client.key", "-tls1_2", "-tls1_3 -cert @client.crt -key @client.key", server="-verify 2 -CAfile @root.crt"),
       findings="PS419 PS427 PS430 PS454", tls=[ec(client_certificate="yes", client_subject="CN=alice"), ec(client_certificate="no"), tls13(**SNI)]),
    of("tls-fallback", "A client that has fallen back to TLS 1.2 says so: the server knows no better; a server that does refuses", OPENSSL,
       openssl("-tls1_2 -fallback_scsv", server="-tls1_2"), openssl("-tls1_2 -fallback_scsv"), findings="PS420 PS427 PS452 PS454", tls=[ec(sentinel=None), refused("server:fatal:86_inappropriate_fallback")]),
    of("tls-alerts", "Handshakes that fail: no common suite, no common version, certificate not trusted, expired, missing, no common application protocol, unknown name", OPENSSL,
       openssl("-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", server="-cipher AES256-SHA256", cert="rsa"), openssl("-tls1_2", server="-tls1_3"),
       openssl("-tls1_2 -verify_return_error -CAfile @old-root.crt"), openssl("-tls1_2 -verify_return_error -CAfile @root.crt", cert="expired", chain=True),
       openssl("-tls1_2", "-tls1_2 -cert @stranger.crt -key @stranger.key", server="-Verify 2 -verify_return_error -CAfile @root.crt"),
       openssl("-tls1_2 -alpn imap", server="-alpn h2"),
       openssl("-tls1_2", sni=f"nobody.{DOMAIN}", server=f"-servername {HOST} -servername_fatal -cert2 @good.crt -key2 @good.key"),
       openssl("-tls1_3 -verify_return_error -CAfile @old-root.crt"),
       findings="PS419 PS421 PS427 PS452 PS454", tls=[refused("server:fatal:40_handshake_failure"), refused("server:fatal:70_protocol_version"), ec(established="no", alerts="client:fatal:48_unknown_ca"),
            ec(established="no", alerts="client:fatal:45_certificate_expired", chain=2), ec(established="no", alerts="server:fatal:40_handshake_failure", client_certificate="no"),
            ec(established="no", alerts="server:fatal:48_unknown_ca", client_certificate="yes", client_subject="CN=mallory"),
            refused("server:fatal:120_no_application_protocol", alpn="imap"), refused("server:fatal:112_unrecognized_name", sni=f"nobody.{DOMAIN}"),
            tls13(**SNI, established="no", alerts="client:fatal:48_unknown_ca")]),
    of("cert-dates", "Certificates that expired, that are not valid yet, that are valid for ten years", OPENSSL, *(openssl("-tls1_2", cert=name, chain=True) for name in ("expired", "early", "long")),
       findings="PS419 PS421 PS422 PS428 PS454", tls=[ec(chain=2)] * 3),
    of("cert-self-signed", "A self-signed certificate, and one that may sign others", OPENSSL, *(openssl("-tls1_2", cert=name) for name in ("self", "authority")), findings="PS419 PS423 PS427 PS428 PS454", tls=[ec()] * 2),
    of("cert-names", "Certificates for another name, a wildcard, a common name alone, an address", OPENSSL, *(openssl("-tls1_2", cert=name) for name in ("other-name", "wildcard", "no-names", "address")),
       findings="PS419 PS424 PS427 PS428 PS454", tls=[ec(subject=f"CN=www.{DOMAIN}", name_matches="no"), ec(subject=f"CN=*.{DOMAIN}"), ec(), ec(name_matches="no")]),
    of("cert-hashes", "Certificates signed with SHA-1 and MD5", OPENSSL, *(openssl(only("ALL"), cert=name, server=WEAK_SERVER) for name in ("sha1", "md5")),
       findings="PS419 PS425 PS427 PS440 PS454", tls=[rsa(signed=f"{name}WithRSAEncryption") for name in ("sha1", "md5")]),
    of("cert-keys", "Keys: RSA of 1024 and 512 bit, P-384, Ed25519", OPENSSL,
       openssl(only("ALL"), cert="rsa-1024", server=WEAK_SERVER), openssl(f"-tls1_1 -cipher AES128-SHA:{WEAK}", cert="rsa-512", server=WEAK_SERVER),
       openssl("-tls1_2", cert="p384"), openssl("-tls1_2", cert="ed25519"),
       findings="PS403 PS409 PS419 PS426 PS427 PS440 PS441 PS454", tls=[rsa(bits=1024),
            handshake("TLSv1.1", "TLS_RSA_WITH_AES_128_CBC_SHA", **{**AEAD, **RSA, **MATCHES, "etm": "yes", "sentinel": "TLSv1.1", "bits": 512, "signed": "sha256WithRSAEncryption"}),
            ec(bits=384), ec(key="Ed25519", bits=253, signature="ed25519")]),
    of("cert-chains", "Chains: the leaf alone, with the certificate above it, with the root that signed it, with all up to the root", OPENSSL,
       openssl("-tls1_2"), openssl("-tls1_2", chain=True), openssl("-tls1_2", cert="sha1", server=f"-cert_chain @old-root.crt {WEAK_SERVER}"), openssl("-tls1_2", server="-cert_chain @good.whole"),
       findings="PS419 PS425 PS427 PS454", tls=[ec(), ec(chain=2), rsa(signed="sha1WithRSAEncryption", chain=2), ec(chain=3)]),
    of("cert-changed", "The same server with one certificate, then with another", OPENSSL, *at_one_place(openssl("-tls1_2"), openssl("-tls1_2", cert="self")), findings="PS419 PS423 PS427 PS429 PS454", tls=[ec()] * 2),
    of("cert-hidden", "TLS 1.3: an expired and a self-signed certificate that nobody sees", OPENSSL, openssl("", cert="expired"), openssl("", cert="self"), findings="PS430 PS454", tls=[tls13(**SNI)] * 2),
    of("tls-post-quantum", "X25519MLKEM768: the hello spans two segments", "pyOpenSSL 26.4.0 with OpenSSL 4.0.3", new("pq"), findings="PS430 PS454 PS455", tls=[tls13(**SNI, group="X25519MLKEM768")]),
    of("https-h2", "HTTPS with ALPN: h2 in TLS 1.2, h2 in TLS 1.3, http/1.1", f"{NGINX}, {CURL}",
       steps=[Step(["curl", "--silent", "--insecure", "--output", "/dev/null", "--resolve", f"{OWA}:8443:{SERVER}", *words, f"https://{OWA}:8443/"])
              for words in (["--http2", "--tls-max", "1.2"], ["--http2"], ["--http1.1", "--tls-max", "1.2"])],
       servers=("nginx",), sessions=["tls owa implicit - full"] * 3,
       findings="PS419 PS427 PS430 PS454 PS606", tls=[ec(sni=OWA, alpn="h2", subject=f"CN={OWA}"), tls13(sni=OWA, alpn="h2"), ec(sni=OWA, alpn="http/1.1", subject=f"CN={OWA}")]),
    of("https-names", "Web services known by their names: three that are asked for, one that stands only in the certificate", OPENSSL,
       *(openssl("-tls1_2", cert="web", port=443, sni=name) for name in (OWA, AUTODISCOVER, "outlook.office365.com", None)),
       sessions=[f"tls {service} implicit - full" for service in ("owa", "autodiscover", "exchange-online", "owa")],
       findings="PS419 PS424 PS427 PS454 PS606", tls=[ec(sni=OWA, subject=f"CN={OWA}"), ec(sni=AUTODISCOVER, subject=f"CN={OWA}"), ec(sni="outlook.office365.com", subject=f"CN={OWA}", name_matches="no"),
            ec(sni=None, subject=f"CN={OWA}", name_matches=None)]),
    of("quic-h3", "HTTP/3 over QUIC", "aioquic 1.7.2", new("h3", OWA, cert="web", port=443), filter="udp port 443", sessions=["quic owa implicit - full"],
       findings="PS454 PS606", tls=[handshake("TLSv1.3", "TLS_AES_256_GCM_SHA384", group="secp256r1", sni=OWA, alpn="h3")]),
    Sample("starttls-tls12.pcap", "STARTTLS with TLS 1.2 in IMAP, POP3, NNTP and ManageSieve: the certificate is readable", f"{DOVECOT}, {INN}, {OPENSSL} s_client",
           steps=[upgraded(name, port) for name, port in (("imap", 143), ("pop3", 110), ("nntp", 119), ("sieve", 4190))],
           servers=("mail", "news"), sessions=[f"{name} {name} starttls tls_established full" for name in ("imap", "pop3", "nntp", "managesieve")], findings="PS121 PS211 PS419 PS423 PS428 PS454", tls=[ec()] * 4),
    Sample("ldap-starttls-tls12.pcap", "StartTLS of LDAP with TLS 1.2", f"OpenLDAP slapd 2.5.13, {OPENSSL} s_client",
           steps=[upgraded("ldap", 389)], servers=("domain", "openldap"),
           sessions=["ldap ldap starttls tls_established full"], findings="PS419 PS423 PS428 PS454", tls=[ec()]),
]
SERVERS = {"nginx": tls.nginx}
