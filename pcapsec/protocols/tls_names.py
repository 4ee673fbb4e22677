"""Names of TLS groups, signature schemes, alerts and versions, with IANA's "Recommended" column where the registry has one.

Source: IANA registry "Transport Layer Security (TLS) Parameters" (https://www.iana.org/assignments/tls-parameters): supported groups and signature schemes as of its
CSV files of May 2025, alerts as of Wireshark 4.0's table (2022) with 121 and 117 of RFC 9849 and RFC 9846. Column "Recommended": Y, N, D for discouraged (RFC 9847).
Not registered: the Kyber drafts that browsers used from 2023 to 2024, 0x6399 and 0x639A, and SSL 2.0's errors (its specification, Appendix A).
"""
from __future__ import annotations

GREASE = frozenset(0x0A0A + 0x1010 * i for i in range(16))  # RFC 8701: values that clients send to keep servers tolerant; never a suite, extension, group or version

VERSIONS = {0x0002: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLSv1.0", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3",
            0x7E01: "TLSv1.3-experiment", 0x7E02: "TLSv1.3-experiment2"}  # the last two: trials of browsers in 2017

ALERTS = {  # RFC 8446 §6, and the retired ones of RFC 5246 §7.2 and RFC 6101 §5.4
    0: "close_notify", 1: "end_of_early_data", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow", 30: "decompression_failure",
    40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
    70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
    109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name", 113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value", 115: "unknown_psk_identity", 116: "certificate_required", 117: "general_error", 120: "no_application_protocol", 121: "ech_required"}

SSLV2_ERRORS = {1: "no_cipher", 2: "no_certificate", 4: "bad_certificate", 6: "unsupported_certificate_type"}

COMPRESSIONS = {0: "null", 1: "DEFLATE", 64: "LZS"}  # RFC 3749, RFC 3943

# A line: the first code, then `name` or `name:column` of consecutive codes; without a column it is N.
_GROUPS = """
1 sect163k1:D sect163r1:D sect163r2:D sect193r1:D sect193r2:D sect233k1:D sect233r1:D sect239k1:D sect283k1 sect283r1 sect409k1 sect409r1 sect571k1 sect571r1
15 secp160k1:D secp160r1:D secp160r2:D secp192k1:D secp192r1:D secp224k1:D secp224r1:D secp256k1 secp256r1:Y secp384r1:Y secp521r1
26 brainpoolP256r1 brainpoolP384r1 brainpoolP512r1 x25519:Y x448:Y brainpoolP256r1tls13 brainpoolP384r1tls13 brainpoolP512r1tls13
34 GC256A GC256B GC256C GC256D GC512A GC512B GC512C curveSM2
256 ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192
512 MLKEM512 MLKEM768 MLKEM1024
4587 SecP256r1MLKEM768 X25519MLKEM768 SecP384r1MLKEM1024
25497 X25519Kyber768Draft00 SecP256r1Kyber768Draft00
65281 arbitrary_explicit_prime_curves arbitrary_explicit_char2_curves
"""

_SIGNATURE_SCHEMES = """
513 rsa_pkcs1_sha1
515 ecdsa_sha1
1025 rsa_pkcs1_sha256:Y
1027 ecdsa_secp256r1_sha256:Y
1056 rsa_pkcs1_sha256_legacy
1281 rsa_pkcs1_sha384:Y
1283 ecdsa_secp384r1_sha384:Y
1312 rsa_pkcs1_sha384_legacy
1537 rsa_pkcs1_sha512:Y
1539 ecdsa_secp521r1_sha512:Y
1568 rsa_pkcs1_sha512_legacy
1796 eccsi_sha256 iso_ibs1 iso_ibs2 iso_chinese_ibs sm2sig_sm3 gostr34102012_256a gostr34102012_256b gostr34102012_256c gostr34102012_256d
1805 gostr34102012_512a gostr34102012_512b gostr34102012_512c
2052 rsa_pss_rsae_sha256:Y rsa_pss_rsae_sha384:Y rsa_pss_rsae_sha512:Y ed25519:Y ed448:Y rsa_pss_pss_sha256:Y rsa_pss_pss_sha384:Y rsa_pss_pss_sha512:Y
2074 ecdsa_brainpoolP256r1tls13_sha256 ecdsa_brainpoolP384r1tls13_sha384 ecdsa_brainpoolP512r1tls13_sha512
2308 mldsa44 mldsa65 mldsa87
"""

# Pairs of TLS 1.2 that have no name of their own as a scheme (RFC 5246 §7.4.1.4.1)
_HASHES = {0: "none", 1: "md5", 2: "sha1", 3: "sha224", 4: "sha256", 5: "sha384", 6: "sha512"}
_SIGNATURE_ALGORITHMS = {0: "anonymous", 1: "rsa_pkcs1", 2: "dsa", 3: "ecdsa", 64: "gostr34102012_256", 65: "gostr34102012_512"}


def read_registry(text: str) -> tuple[dict[int, str], dict[int, str]]:
    """Names and "Recommended" column of a table as it is written above."""
    names: dict[int, str] = {}
    columns: dict[int, str] = {}
    for line in text.split("\n"):
        words = line.split()
        for code, word in enumerate(words[1:], int(words[0]) if words else 0):
            names[code], _, column = word.partition(":")
            columns[code] = column or "N"
    return names, columns


GROUPS, GROUPS_RECOMMENDED = read_registry(_GROUPS)
SIGNATURE_SCHEMES, SIGNATURES_RECOMMENDED = read_registry(_SIGNATURE_SCHEMES)


def version_name(code: int) -> str:
    """SSLv3, TLSv1.2, TLSv1.3-draft28, or 0x1234."""
    name = VERSIONS.get(code)
    if name is None:
        name = f"TLSv1.3-draft{code & 0xFF}" if code >> 8 == 0x7F else f"0x{code:04x}"
    return name


def group_name(code: int) -> str:
    """IANA name of a group, or its code as 0x1234."""
    return GROUPS.get(code) or f"0x{code:04x}"


def signature_name(code: int) -> str:
    """IANA name of a signature scheme; `algorithm_hash` for a pair of TLS 1.2 without one; else its code as 0x1234."""
    name = SIGNATURE_SCHEMES.get(code)
    if name is None:
        hash_name, algorithm = _HASHES.get(code >> 8), _SIGNATURE_ALGORITHMS.get(code & 0xFF)
        name = f"{algorithm}_{hash_name}" if hash_name and algorithm else f"0x{code:04x}"
    return name


def alert_name(description: int) -> str:
    """`48 unknown_ca`."""
    return f"{description} {ALERTS.get(description, 'unknown')}"
