"""Numbers of IKE and their names.

Sources: the IANA registries "Internet Key Exchange (IKE) Attributes" and "Internet Key Exchange Version 2 (IKEv2) Parameters" as Wireshark 4.0 (November 2022) has them, with the key exchange
methods 35-37 (ML-KEM) and the exchanges 39-44 of the registry of 2025 added. The two versions number the same algorithms differently; here both get one name. A number that is not here is
written as it is.
"""
from __future__ import annotations

EXCHANGES_1 = {1: "base", 2: "main", 3: "authentication-only", 4: "aggressive", 5: "informational", 6: "transaction", 32: "quick", 33: "new-group"}  # RFC 2408 §3.1, RFC 2409 App. A
EXCHANGES_2 = {34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL", 38: "IKE_SESSION_RESUME", 39: "GSA_AUTH", 40: "GSA_REGISTRATION", 41: "GSA_REKEY",
               42: "GSA_INBAND_REKEY", 43: "IKE_INTERMEDIATE", 44: "IKE_FOLLOWUP_KE"}
ENCRYPTION_1 = {1: "DES", 2: "IDEA", 3: "BLOWFISH", 4: "RC5", 5: "3DES", 6: "CAST", 7: "AES-CBC", 8: "CAMELLIA-CBC"}
HASH_1 = {1: "HMAC-MD5", 2: "HMAC-SHA1", 3: "HMAC-TIGER", 4: "HMAC-SHA2-256", 5: "HMAC-SHA2-384", 6: "HMAC-SHA2-512"}
AUTH_METHODS_1 = {1: "PSK", 2: "DSS-signature", 3: "RSA-signature", 4: "RSA-encryption", 5: "RSA-revised-encryption", 9: "ECDSA-256", 10: "ECDSA-384", 11: "ECDSA-521",
                  64221: "hybrid-RSA", 64222: "hybrid-RSA", 64223: "hybrid-DSS", 64224: "hybrid-DSS", 65001: "XAUTH-PSK", 65002: "XAUTH-PSK", 65003: "XAUTH-DSS", 65004: "XAUTH-DSS",
                  65005: "XAUTH-RSA", 65006: "XAUTH-RSA"}
ENCRYPTION_2 = {1: "DES-IV64", 2: "DES", 3: "3DES", 4: "RC5", 5: "IDEA", 6: "CAST", 7: "BLOWFISH", 8: "3IDEA", 9: "DES-IV32", 11: "NULL", 12: "AES-CBC", 13: "AES-CTR", 14: "AES-CCM-8",
                15: "AES-CCM-12", 16: "AES-CCM-16", 18: "AES-GCM-8", 19: "AES-GCM-12", 20: "AES-GCM-16", 21: "NULL-AES-GMAC", 23: "CAMELLIA-CBC", 24: "CAMELLIA-CTR", 25: "CAMELLIA-CCM-8",
                26: "CAMELLIA-CCM-12", 27: "CAMELLIA-CCM-16", 28: "CHACHA20-POLY1305"}
PRF_2 = {1: "HMAC-MD5", 2: "HMAC-SHA1", 3: "HMAC-TIGER", 4: "AES-XCBC", 5: "HMAC-SHA2-256", 6: "HMAC-SHA2-384", 7: "HMAC-SHA2-512", 8: "AES-CMAC"}
INTEGRITY_2 = {0: "none", 1: "HMAC-MD5-96", 2: "HMAC-SHA1-96", 3: "DES-MAC", 4: "KPDK-MD5", 5: "AES-XCBC-96", 6: "HMAC-MD5-128", 7: "HMAC-SHA1-160", 8: "AES-CMAC-96", 9: "AES-128-GMAC",
               10: "AES-192-GMAC", 11: "AES-256-GMAC", 12: "HMAC-SHA2-256-128", 13: "HMAC-SHA2-384-192", 14: "HMAC-SHA2-512-256"}
GROUPS = {1: "MODP-768", 2: "MODP-1024", 3: "EC2N-155", 4: "EC2N-185", 5: "MODP-1536", 14: "MODP-2048", 15: "MODP-3072", 16: "MODP-4096", 17: "MODP-6144", 18: "MODP-8192", 19: "ECP-256",
          20: "ECP-384", 21: "ECP-521", 22: "MODP-1024-160", 23: "MODP-2048-224", 24: "MODP-2048-256", 25: "ECP-192", 26: "ECP-224", 27: "brainpool-224", 28: "brainpool-256",
          29: "brainpool-384", 30: "brainpool-512", 31: "curve25519", 32: "curve448", 33: "GOST-256", 34: "GOST-512", 35: "ML-KEM-512", 36: "ML-KEM-768", 37: "ML-KEM-1024"}
ERRORS_1 = {14: "NO_PROPOSAL_CHOSEN", 18: "INVALID_ID_INFORMATION", 23: "INVALID_HASH_INFORMATION", 24: "AUTHENTICATION_FAILED"}  # RFC 2408 §3.14.1
ERRORS_2 = {5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX", 14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD", 24: "AUTHENTICATION_FAILED"}  # RFC 7296 §3.10.1


def group_name(number: int | None) -> str | None:
    """`2 (MODP-1024)`: what administrators configure, and what it is."""
    return None if number is None else f"{number} ({GROUPS[number]})" if number in GROUPS else str(number)
