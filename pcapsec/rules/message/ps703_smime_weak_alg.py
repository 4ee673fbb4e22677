"""PS703: S/MIME with a weak algorithm.

What
    A message's content is encrypted with DES, triple DES, RC2 or RC4, or its signature hashes with MD5, MD2 or SHA-1. Encryption in CBC mode, which most
    mailers still use, is told as info.

Why
    Forty bits of RC2 are tried through in hours, DES in days; 3DES and RC2 left the standard. Signatures over MD5 and SHA-1 can be moved to another text.
    CBC notices no change: EFAIL wrote itself into such messages and had the recipient's mailer send the text out.

Evidence
    weak: what is weak, in words.
    encryption, encryption_oid, key_bits, authenticated: of the content.
    micalg, digests, signatures: of the signature.
    form, message_id, from_domain, size_bytes: which message.
    partial, cut: only a part of the message is concerned; not all was seen.

Not a finding when
    - the content is in AES-GCM, AES-CCM or ChaCha20-Poly1305, and the digest SHA-256 or better.
    - the algorithm stands behind what was captured: not_observable.

References
    RFC 8551 §2.1
    RFC 8551 §2.7
    RFC 8551 App. B
    CVE-2017-17689
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Sealing, Session
from ..messages import WITH_MESSAGES, name_of, sealing_evidence, unseen, without_sealing
from ..rule import PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS703", slug="smime-weak-alg", title="S/MIME weak content cipher or digest", severity="medium", confidence="medium",
    category="message", scope="message", protocols=WITH_MESSAGES, needs=(CLIENT, SERVER),
    remediation="Let the mail program encrypt with AES-GCM (S/MIME 4.0) and sign with SHA-256 or better; renew certificates that announce old capabilities.",
    references=("RFC 8551 §2.1", "RFC 8551 §2.7", "RFC 8551 App. B", "CVE-2017-17689"),
)
WEAK_CIPHERS = frozenset(("DES-CBC", "3DES-CBC", "RC2-CBC", "RC4"))
WEAK_DIGESTS = frozenset(("MD2", "MD5", "SHA-1"))
WEAK_MICALGS = {"md2": "MD2", "md5": "MD5", "sha1": "SHA-1", "sha-1": "SHA-1", "rsa-md5": "MD5", "rsa-sha1": "SHA-1"}


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    sealing = message.sealing
    if sealing is None:
        return without_sealing(session, message)
    if sealing.system != "smime":
        return PASS
    if sealing.encrypted is None:
        return unseen(session, message)
    weak, variant = _weak(sealing)
    severity, reason = RULE.severity, ""
    if not weak:
        if sealing.authenticated is False:
            severity, reason, variant = "info", "CBC is what most mailers use", "cbc"
            weak = [f"{sealing.encryption} notices no change of the ciphertext"]
        elif sealing.cut and (sealing.encryption_oid is None if sealing.encrypted else sealing.signed and not (sealing.digests or sealing.micalg)):
            return not_observable("unfinished") if message.complete else unseen(session, message)
        else:
            return PASS
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=RULE.confidence, variant=variant,
        title=f"S/MIME message {name_of(message)}: {weak[0]}", side=message.side, at=message.at,
        evidence={
            **sealing_evidence(message, sealing), "weak": weak, "encryption": sealing.encryption, "encryption_oid": sealing.encryption_oid, "key_bits": sealing.key_bits,
            "authenticated": sealing.authenticated, "micalg": sealing.micalg, "digests": list(sealing.digests), "signatures": list(sealing.signatures),
        },
    )


def _weak(sealing: Sealing) -> tuple[list[str], str]:
    """What is weak, in words, and the finding's variant."""
    weak, variants = [], []
    if sealing.encryption in WEAK_CIPHERS:
        bits = f" with {sealing.key_bits} bits" if sealing.encryption == "RC2-CBC" and sealing.key_bits else ""
        weak.append(f"encrypted with {sealing.encryption}{bits}")
        variants.append("cipher")
    digests = [digest for digest in sealing.digests if digest in WEAK_DIGESTS]
    if not digests and not sealing.digests and sealing.micalg in WEAK_MICALGS:
        digests = [WEAK_MICALGS[sealing.micalg]]
    if digests:
        weak.append(f"signed over {' and '.join(digests)}")
        variants.append("digest")
    return weak, "+".join(variants)
