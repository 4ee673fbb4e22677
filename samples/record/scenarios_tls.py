"""Samples of TLS: each version, weak suites and keys, good and bad certificates, resumption, alerts; see `scenarios` for what the fields mean.

An entry of `tls` is version and suite, then `name=value` of what is known: no entry means not seen or not so.
"""
from __future__ import annotations

import tls
from net import SERVER
from pki import HOST
from scenarios import CURL, DOVECOT, INN, POSTFIX, Sample, Step, curl
from servers import DOMAIN
from tls import WEAK, Talk, TlsSample, gnutls, new, old, openssl

OPENSSL, GNUTLS, OLD, NGINX = "OpenSSL 3.0.19", "GnuTLS 3.7.9", "OpenSSL 0.9.8e of CentOS 5", "nginx 1.22.1"
ZLIB = {"OPENSSL_DEFAULT_ZLIB": "1"}
IMAPS = "tls imaps implicit - full"
OWA = f"owa.{DOMAIN}"


def of(name: str, about: str, software: str, *talks: Talk, **facts) -> TlsSample:
    return TlsSample(f"{name}.pcap", about, software, talks=list(talks), **{"sessions": [IMAPS] * len(facts.get("tls", ()))} | facts)


def only(suite: str, *words: str) -> str:
    """s_client's words for one suite of TLS 1.2."""
    return " ".join(["-tls1_2", "-cipher", suite + WEAK if WEAK in suite else f"{suite}:{WEAK}", *words])


WEAK_SERVER = f"-cipher ALL:COMPLEMENTOFALL:{WEAK}"
SAMPLES = [
    of("tls-ssl2", "SSL 2.0: three suites, one of them export grade; resumed; then TLS 1.0 from a hello in the form of SSL 2.0", OLD,
       old("SSLv2", "DES-CBC3-MD5", "RC4-MD5", "SSLv2+EXP"), old("SSLv2", "DES-CBC3-MD5", words="again"), old("SSLv23", "AES128-SHA:RC4-MD5", server="SSLv23")),
    of("tls-ssl3", "SSL 3.0: AES, RC4, anonymous", OLD, old("SSLv3", "AES256-SHA", "RC4-MD5"), old("SSLv3", "ADH-AES128-SHA", dh="dh1024")),
    of("tls-export", "Export suites of TLS 1.0: a temporary RSA key of 512 bit, DHE of 512 bit, anonymous", OLD,
       old("TLSv1", "EXP-RC4-MD5", "EXP-EDH-RSA-DES-CBC-SHA", "EXP-ADH-RC4-MD5", dh="dh512"), old("TLSv1", "EXP-RC4-MD5", cert="rsa-512")),
    of("tls-weak-suites", "Suites of TLS 1.0: single DES, RC4, 3DES with a DHE of 1024 bit that everybody knows, no encryption", OLD,
       old("TLSv1", "DES-CBC-SHA", "RC4-SHA", "EDH-RSA-DES-CBC3-SHA", "NULL-MD5", dh="modp1024")),
    of("tls-compression", "TLS 1.0 with compression, and SSL 3.0 with it", OLD, old("TLSv1", "AES128-SHA", environment=ZLIB), old("SSLv3", "AES128-SHA", environment=ZLIB)),
    of("tls-versions", "TLS 1.0, 1.1, 1.2, 1.3 with the same server", OPENSSL,
       openssl(f"-tls1 -cipher ALL:{WEAK}", f"-tls1_1 -cipher ALL:{WEAK}", "-tls1_2", "-tls1_3", server=WEAK_SERVER)),
    of("tls-null", "TLS 1.2 without encryption", OPENSSL, openssl(only("NULL-SHA256"), only("ECDHE-RSA-NULL-SHA"), cert="rsa", server=WEAK_SERVER)),
    of("tls-anonymous", "TLS 1.2 without certificate: DHE and ECDHE", OPENSSL,
       openssl(only("ADH-AES256-GCM-SHA384"), only("AECDH-AES128-SHA"), cert=None, server=WEAK_SERVER + " -tls1_2")),
    of("tls-no-forward-secrecy", "TLS 1.2 with RSA key exchange: GCM, CBC, CCM", OPENSSL, openssl(only("AES128-GCM-SHA256"), only("AES256-SHA256"), only("AES128-CCM8"), cert="rsa")),
    of("tls-cbc", "CBC suites of TLS 1.2: OpenSSL's with encrypt_then_mac, GnuTLS's without", f"{OPENSSL}, {GNUTLS}", openssl(only("ECDHE-RSA-AES256-SHA384"), cert="rsa"),
       gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:%NO_ETM")),
    of("tls-gnutls", "GnuTLS: RC4, 3DES, no extended master secret, no secure renegotiation, TLS 1.3", GNUTLS,
       gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+ARCFOUR-128"), gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.1:-CIPHER-ALL:+3DES-CBC:%NO_SESSION_HASH"),
       gnutls("NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION", "NORMAL:-VERS-ALL:+VERS-TLS1.2"), gnutls("NORMAL")),
    of("tls-dh", "DHE of TLS 1.2: 512 bit, 1024 bit, a well-known 1024 bit, ffdhe2048, 3072 bit", f"{OPENSSL}, {OLD}",
       *(openssl(only("DHE-RSA-AES128-GCM-SHA256"), cert="rsa", server=f"{WEAK_SERVER} -tls1_2 -dhparam @{name}.dh") for name in ("dh512", "dh1024", "modp1024")),
       openssl(only("DHE-RSA-AES128-GCM-SHA256"), cert="rsa", server="-tls1_2")),
    of("tls-curves", "ECDHE with curves that nobody should use: sect163k1, secp160k1, secp192k1, brainpoolP256r1", OPENSSL,
       *(openssl(f"-tls1_2 -groups {name} -cipher ALL:{WEAK}", server=f"-groups {name} {WEAK_SERVER}") for name in ("sect163k1", "secp160k1", "secp192k1", "brainpoolP256r1"))),
    of("tls-sha1-signature", "The key exchange of TLS 1.2 signed with SHA-1", OPENSSL,
       openssl(only("ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs RSA+SHA1"), cert="rsa", server=WEAK_SERVER), openssl(only("ECDHE-ECDSA-AES128-GCM-SHA256", "-sigalgs ECDSA+SHA1"), server=WEAK_SERVER)),
    of("tls-renegotiated", "A client that renegotiates: TLS 1.2, TLS 1.0", f"{OPENSSL}, {OLD}", openssl("-tls1_2", server="-client_renegotiation", input="R\na1 NOOP\r\n"),
       old("TLSv1", "AES128-SHA", words="twice")),
    of("tls-retry", "TLS 1.3 with a HelloRetryRequest", OPENSSL, openssl("-groups X25519:P-384", server="-groups P-384")),
    of("tls-early-data", "TLS 1.3: a session, then one that sends early data, then one whose early data is refused", OPENSSL,
       openssl("-tls1_3 -sess_out @early.session", "-tls1_3 -sess_in @early.session -early_data @letter.txt", server="-early_data", mode="-quiet"),
       openssl("-tls1_3 -sess_in @early.session -early_data @letter.txt")),
    of("tls-resumed", "Resumption: by id and by ticket in TLS 1.2, by PSK in TLS 1.3", OPENSSL,
       openssl("-tls1_2 -no_ticket -sess_out @id.session", "-tls1_2 -no_ticket -sess_in @id.session"), openssl("-tls1_2 -sess_out @ticket.session", "-tls1_2 -sess_in @ticket.session"),
       openssl("-tls1_3 -sess_out @psk.session", "-tls1_3 -sess_in @psk.session")),
    of("tls-client-certificate", "A server that asks for a certificate: TLS 1.2 with one, without; TLS 1.3", OPENSSL,
       openssl("-tls1_2 -cert @client.crt -key @client.key", "-tls1_2", "-tls1_3 -cert @client.crt -key @client.key", server="-verify 2 -CAfile @root.crt")),
    of("tls-fallback", "A client that has fallen back to TLS 1.2 says so: the server knows no better; a server that does refuses", OPENSSL,
       openssl("-tls1_2 -fallback_scsv", server="-tls1_2"), openssl("-tls1_2 -fallback_scsv")),
    of("tls-alerts", "Handshakes that fail: no common suite, no common version, certificate not trusted, expired, missing, no common application protocol, unknown name", OPENSSL,
       openssl("-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", server="-cipher AES256-SHA256", cert="rsa"), openssl("-tls1_2", server="-tls1_3"),
       openssl("-tls1_2 -verify_return_error -CAfile @old-root.crt"), openssl("-tls1_2 -verify_return_error -CAfile @root.crt", cert="expired", chain=True),
       openssl("-tls1_2", "-tls1_2 -cert @stranger.crt -key @stranger.key", server="-Verify 2 -verify_return_error -CAfile @root.crt"),
       openssl("-tls1_2 -alpn imap", server="-alpn h2"),
       openssl("-tls1_2", sni=f"nobody.{DOMAIN}", server=f"-servername {HOST} -servername_fatal -cert2 @good.crt -key2 @good.key"),
       openssl("-tls1_3 -verify_return_error -CAfile @old-root.crt")),
    of("cert-dates", "Certificates that expired, that are not valid yet, that are valid for ten years", OPENSSL, *(openssl("-tls1_2", cert=name, chain=True) for name in ("expired", "early", "long"))),
    of("cert-self-signed", "A self-signed certificate, and one that may sign others", OPENSSL, *(openssl("-tls1_2", cert=name) for name in ("self", "authority"))),
    of("cert-names", "Certificates for another name, a wildcard, a common name alone, an address", OPENSSL, *(openssl("-tls1_2", cert=name) for name in ("other-name", "wildcard", "no-names", "address"))),
    of("cert-hashes", "Certificates signed with SHA-1 and MD5", OPENSSL, *(openssl(only("ALL"), cert=name, server=WEAK_SERVER) for name in ("sha1", "md5"))),
    of("cert-keys", "Keys: RSA of 1024 and 512 bit, P-384, Ed25519", OPENSSL,
       openssl(only("ALL"), cert="rsa-1024", server=WEAK_SERVER), openssl(f"-tls1_1 -cipher AES128-SHA:{WEAK}", cert="rsa-512", server=WEAK_SERVER),
       openssl("-tls1_2", cert="p384"), openssl("-tls1_2", cert="ed25519")),
    of("cert-chains", "Chains: the leaf alone, with the certificate above it, with another's, with the root too", OPENSSL,
       openssl("-tls1_2"), openssl("-tls1_2", chain=True), openssl("-tls1_2", cert="sha1", server=f"-cert_chain @old-root.crt {WEAK_SERVER}"), openssl("-tls1_2", server="-cert_chain @whole.pem")),
    of("cert-hidden", "TLS 1.3: an expired and a self-signed certificate that nobody sees", OPENSSL, openssl("", cert="expired"), openssl("", cert="self")),
    of("tls-post-quantum", "X25519MLKEM768: the hello spans two segments", "pyOpenSSL 26.4.0 with OpenSSL 4.0.3", new("pq")),
    of("https-h2", "HTTPS with ALPN: h2 in TLS 1.2, h2 in TLS 1.3, http/1.1", f"{NGINX}, {CURL}", servers=("nginx",)),
    of("https-names", "Web services known by their names: asked for, and only in the certificate", OPENSSL),
    of("quic-h3", "HTTP/3 over QUIC", "aioquic 1.7.2", new("h3", OWA, cert="web", port=443), filter="udp port 443"),
]
SERVERS = {"nginx": tls.nginx}
