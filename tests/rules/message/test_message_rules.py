"""PS701 to PS709: each fires, stays silent on the near miss, and says unknown where the message was not seen."""
from __future__ import annotations

import pytest

from pcapsec.records import Hop, Sealing

ENVELOPED = {"system": "smime", "form": "enveloped-data", "encrypted": True, "smime_type": "enveloped-data", "content_oid": "1.2.840.113549.1.7.3", "encryption": "AES-256-GCM",
             "encryption_oid": "2.16.840.1.101.3.4.1.46", "key_bits": 256, "authenticated": True, "key_transports": ("RSA",), "recipient_key_bits": 2048, "n_recipients": 1}
SIGNED = {"system": "smime", "form": "multipart-signed", "signed": True, "micalg": "sha-256", "digests": ("SHA-256",), "signatures": ("rsaEncryption",)}
PGP = {"system": "pgp", "form": "multipart-encrypted", "encrypted": True, "packet": "SEIPDv1", "authenticated": True, "key_ids": ("c62442eb814ea031",), "key_transports": ("RSA",), "n_recipients": 1}
UNKNOWN = {"system": "smime", "form": "pkcs7-mime", "encrypted": None, "cut": True}
ALL = ("PS701", "PS702", "PS703", "PS704", "PS706", "PS707", "PS708", "PS709")  # silent on an ordinary mail
COMMON = {"message_id": "<1@a.example>", "partial": False, "cut": False, "from_domain": "a.example", "size_bytes": 500}


@pytest.fixture
def mail(session, message):
    """A relayed session with one message: `mail(sealing={…}, …)`."""
    def made(sealing=None, *, losses=None, protocol="smtp", **fields):
        if sealing is not None:
            fields["sealing"] = Sealing(**sealing)
        return session(protocol, messages=[message(**fields)], **(losses or {}))
    return made


def shown(finding):
    return finding.severity, finding.confidence, finding.variant, finding.evidence


def without(sealing: dict, *names: str, **changes) -> dict:
    return {**{name: value for name, value in sealing.items() if name not in names}, **changes}


# --- all of them

@pytest.mark.parametrize("rule_id", ALL)
def test_silent_on_an_ordinary_mail(court, mail, rule_id):
    assert court.verdict(mail(), rule_id) == ("pass", "")


@pytest.mark.parametrize("rule_id", (*ALL, "PS705"))
def test_no_content(court, mail, rule_id):
    assert court.verdict(mail(has_content=False, size_bytes=0), rule_id) == ("pass", "")


@pytest.mark.parametrize("rule_id", (*ALL, "PS705"))
@pytest.mark.parametrize("lacks, losses, reason", [
    ("headers", {"unseen_client": "gap"}, "gap"), ("headers", {}, "unfinished"), ("no-headers", {}, "no_headers"), ("headers", {"unseen_client": "snaplen", "unseen_server": "one_sided"}, "snaplen"),
])
def test_unknown_where_the_headers_were_not_seen(court, mail, rule_id, lacks, losses, reason):
    assert court.verdict(mail(lacks=lacks, losses=losses), rule_id) == ("not_observable", reason)


@pytest.mark.parametrize("rule_id", ["PS701", "PS702", "PS703", "PS705", "PS706"])
def test_unknown_where_the_structure_was_cut(court, mail, rule_id):
    assert court.verdict(mail(UNKNOWN, losses={"unseen_client": "gap"}), rule_id) == ("not_observable", "gap")
    assert court.verdict(mail(UNKNOWN), rule_id) == ("not_observable", "unfinished")


@pytest.mark.parametrize("rule_id", (*ALL, "PS705"))
@pytest.mark.parametrize("protocol, losses", [("pop3", {"unseen_server": "one_sided"}), ("smtp", {"unseen_client": "one_sided"}), ("smtp", {"unseen_server": "one_sided"})])
def test_unknown_where_a_message_may_have_passed_unseen(court, session, rule_id, protocol, losses):
    assert court.verdict(session(protocol, **losses), rule_id) == ("not_observable", "one_sided")
    assert court.verdict(session(protocol), rule_id) == ("pass", "")


# --- PS701

def test_ps701(court, mail):
    judged = mail(ENVELOPED)
    finding = court.finding(judged, "PS701")
    assert shown(finding) == ("info", "high", "enveloped-data", {
        **COMMON, "form": "enveloped-data", "smime_type": "enveloped-data", "content_oid": "1.2.840.113549.1.7.3", "encryption": "AES-256-GCM", "encryption_oid": "2.16.840.1.101.3.4.1.46",
        "key_bits": 256, "authenticated": True, "key_transports": ["RSA"], "recipient_key_bits": 2048, "n_recipients": 1})
    assert (finding.side, finding.at, finding.title) == (0, 100, "A message from a.example is encrypted with S/MIME (AES-256-GCM)")
    assert [rule_id for rule_id, verdict, _ in judged.assessments if verdict == "fail" and rule_id >= "PS7"] == ["PS701", "PS706"]


def test_ps701_by_the_parameter_alone(court, mail):
    declared = {"system": "smime", "form": "enveloped-data", "encrypted": True, "smime_type": "enveloped-data"}
    assert court.finding(mail(declared, from_domain=None), "PS701").confidence == "medium"


@pytest.mark.parametrize("sealing", [
    SIGNED, PGP, without(SIGNED, form="signed-data"), {"system": "smime", "form": "compressed-data"}, {"system": "smime", "form": "certs-only"},
    {"system": "smime", "form": "enveloped-data", "smime_type": "enveloped-data", "malformed": True},
])
def test_ps701_near_misses(court, mail, sealing):
    assert court.verdict(mail(sealing), "PS701") == ("pass", "")


# --- PS702

def test_ps702(court, mail):
    finding = court.finding(mail(SIGNED), "PS702")
    assert shown(finding) == ("info", "high", "multipart-signed", {
        **COMMON, "form": "multipart-signed", "system": "smime", "micalg": "sha-256", "digests": ["SHA-256"], "signatures": ["rsaEncryption"], "header_protection": None})
    assert court.finding(mail(without(SIGNED, form="signed-data")), "PS702").variant == "signed-data"
    assert court.finding(mail({**SIGNED, "system": "pgp"}), "PS702").variant == "pgp-multipart-signed"


@pytest.mark.parametrize("sealing", [ENVELOPED, {**ENVELOPED, "signed": True}, PGP, {"system": "smime", "form": "certs-only"}])
def test_ps702_near_misses(court, mail, sealing):
    assert court.verdict(mail(sealing), "PS702") == ("pass", "")


# --- PS703

@pytest.mark.parametrize("sealing, severity, variant, weak", [
    ({**ENVELOPED, "encryption": "3DES-CBC", "authenticated": False}, "medium", "cipher", ["encrypted with 3DES-CBC"]),
    ({**ENVELOPED, "encryption": "RC2-CBC", "key_bits": 40, "authenticated": False}, "medium", "cipher", ["encrypted with RC2-CBC with 40 bits"]),
    ({**ENVELOPED, "encryption": "DES-CBC", "authenticated": False}, "medium", "cipher", ["encrypted with DES-CBC"]),
    ({**SIGNED, "digests": ("SHA-1",)}, "medium", "digest", ["signed over SHA-1"]),
    ({**SIGNED, "digests": ("MD5", "SHA-256")}, "medium", "digest", ["signed over MD5"]),
    ({**SIGNED, "digests": (), "micalg": "sha1"}, "medium", "digest", ["signed over SHA-1"]),
    ({**ENVELOPED, "encryption": "3DES-CBC", "digests": ("MD5",)}, "medium", "cipher+digest", ["encrypted with 3DES-CBC", "signed over MD5"]),
    ({**ENVELOPED, "encryption": "AES-256-CBC", "authenticated": False}, "info", "cbc", ["AES-256-CBC notices no change of the ciphertext"]),
])
def test_ps703(court, mail, sealing, severity, variant, weak):
    finding = court.finding(mail(sealing), "PS703")
    assert (finding.severity, finding.confidence, finding.variant, finding.evidence["weak"]) == (severity, "medium", variant, weak)


@pytest.mark.parametrize("sealing", [
    ENVELOPED, SIGNED, {**SIGNED, "micalg": "sha1"}, {**ENVELOPED, "encryption": None, "encryption_oid": "1.2.3", "authenticated": None}, PGP, {**PGP, "packet": "SED", "authenticated": False},
    {**SIGNED, "system": "pgp", "digests": ("SHA-1",)}, {"system": "smime", "form": "certs-only"},
])
def test_ps703_near_misses(court, mail, sealing):
    """SHA-256 in the signature outweighs what the media type says."""
    assert court.verdict(mail(sealing), "PS703") == ("pass", "")


def test_ps703_the_algorithm_was_not_seen(court, mail):
    cut = without(ENVELOPED, "encryption", "encryption_oid", "key_bits", "authenticated", cut=True)
    assert court.verdict(mail(cut, losses={"unseen_client": "gap"}, complete=False), "PS703") == ("not_observable", "gap")
    assert court.verdict(mail(cut), "PS703") == ("not_observable", "unfinished")
    assert court.verdict(mail(without(SIGNED, "digests", "micalg", cut=True)), "PS703") == ("not_observable", "unfinished")
    assert court.verdict(mail(without(SIGNED, "digests", cut=True)), "PS703") == ("pass", "")


# --- PS704

def test_ps704(court, mail):
    finding = court.finding(mail(PGP, protocol="imap", side=1, direction="fetched"), "PS704")
    assert shown(finding) == ("info", "high", "multipart-encrypted", {
        **COMMON, "form": "multipart-encrypted", "packet": "SEIPDv1", "aead": False, "authenticated": True, "encryption": None, "key_bits": None, "key_ids": ["c62442eb814ea031"],
        "key_transports": ["RSA"], "n_recipients": 1})
    assert finding.side == 1


def test_ps704_generations(court, mail):
    old = court.finding(mail({**PGP, "packet": "SED", "authenticated": False}), "PS704")
    assert (old.severity, old.severity_reason, old.evidence["authenticated"]) == ("medium", "no integrity protection", False)
    assert court.finding(mail({**PGP, "packet": "SEIPDv2"}), "PS704").evidence["aead"] is True
    assert court.finding(mail({**PGP, "form": "inline", "packet": "OCB"}), "PS704").evidence["aead"] is True
    declared = court.finding(mail({"system": "pgp", "form": "multipart-encrypted", "encrypted": True, "cut": True}), "PS704")
    assert (declared.confidence, declared.evidence["aead"], declared.evidence["cut"]) == ("medium", None, True)


@pytest.mark.parametrize("sealing", [SIGNED, ENVELOPED, {"system": "pgp", "form": "inline", "signed": True}, {"system": "pgp", "form": "multipart-encrypted", "malformed": True}])
def test_ps704_near_misses(court, mail, sealing):
    assert court.verdict(mail(sealing), "PS704") == ("pass", "")


def test_ps704_unknown(court, mail):
    assert court.verdict(mail({"system": "pgp", "form": "inline", "encrypted": None, "cut": True}, losses={"unseen_client": "gap"}), "PS704") == ("not_observable", "gap")


# --- PS705

def test_ps705(court, mail):
    finding = court.finding(mail(), "PS705")
    assert shown(finding) == ("medium", "high", "relayed", {
        "message_id": "<1@a.example>", "size_bytes": 500, "content_type": "text/plain", "part_types": [], "labels": [], "protection": "none"})


@pytest.mark.parametrize("fields, severity, reason", [
    ({"labels": ("sensitivity: private",)}, "high", "headers claim confidentiality"), ({"bulk": True}, "low", "list or bulk mail"), ({"content_type": "multipart/report"}, "low", "delivery report"),
    ({"bulk": True, "labels": ("Secret",)}, "high", "headers claim confidentiality"), ({"sealing": SIGNED}, "medium", ""), ({"sealing": {**ENVELOPED, "partial": True}}, "low", "part of it encrypted"),
    ({"protection": "tnef", "tnef": True}, "medium", ""), ({"sealing": {"system": "smime", "form": "enveloped-data", "malformed": True}}, "medium", ""),
])
def test_ps705_severity(court, mail, fields, severity, reason):
    finding = court.finding(mail(**fields), "PS705")
    assert (finding.severity, finding.severity_reason) == (severity, reason)


@pytest.mark.parametrize("fields", [{"sealing": ENVELOPED}, {"sealing": PGP}, {"size_bytes": 0}, {"lacks": "body"}])
def test_ps705_near_misses(court, mail, fields):
    assert court.verdict(mail(**fields), "PS705") == ("pass", "")


def test_ps705_the_body_was_lost(court, mail):
    assert court.verdict(mail(lacks="body", complete=False, losses={"unseen_client": "gap"}), "PS705") == ("not_observable", "gap")
    assert court.verdict(mail(lacks="body", complete=False), "PS705") == ("pass", "")  # the headers were all that was asked for
    assert court.finding(mail(losses={"unseen_client": "gap"}, complete=False), "PS705").severity == "medium"  # what was seen of it was readable


def test_ps705_articles_are_public(court, mail):
    assert court.verdict(mail(protocol="nntp"), "PS705") == ("not_applicable", "")


# --- PS706

def test_ps706(court, mail):
    finding = court.finding(mail(PGP), "PS706")
    assert shown(finding) == ("low", "high", "", {
        "subject_present": True, "subject_length": 5, "system": "pgp", "form": "multipart-encrypted", "from_domain": "a.example", "to_domains": ["b.example"], "message_id": "<1@a.example>"})
    assert court.finding(mail(ENVELOPED), "PS706").evidence["system"] == "smime"


@pytest.mark.parametrize("fields", [
    {"sealing": PGP, "subject_hidden": True}, {"sealing": PGP, "subject_length": None}, {"sealing": PGP, "subject_length": 0}, {"sealing": SIGNED}, {"sealing": {**PGP, "partial": True}},
])
def test_ps706_near_misses(court, mail, fields):
    assert court.verdict(mail(**fields), "PS706") == ("pass", "")


# --- PS707

def test_ps707(court, mail):
    finding = court.finding(mail(tnef=True, protection="tnef", content_type="multipart/mixed", part_types=("text/plain", "application/ms-tnef")), "PS707")
    assert shown(finding) == ("info", "high", "", {
        "size_bytes": 500, "message_id": "<1@a.example>", "content_type": "multipart/mixed", "part_types": ["text/plain", "application/ms-tnef"], "place": "part"})
    assert court.finding(mail(tnef=True, content_type="application/ms-tnef"), "PS707").evidence["place"] == "message"


# --- PS708, PS709

def hop(number: int, protected: bool | None, **fields) -> Hop:
    return Hop(hop=number, from_host=f"h{number - 1}.example", by_host=f"h{number}.example", with_protocol="ESMTPS" if protected else "ESMTP", protected=protected, **fields)


def test_ps708(court, mail):
    finding = court.finding(mail(hops=[hop(2, False, from_ip="192.0.2.1"), hop(1, True)], n_hops=2, n_clear_hops=1), "PS708")
    assert shown(finding) == ("medium", "medium", "", {
        "hops": [{"hop": 2, "from": "h1.example", "ip": "192.0.2.1", "by": "h2.example", "with": "ESMTP"}], "n_hops": 2, "n_clear_hops": 1, "message_id": "<1@a.example>"})
    assert finding.title == "A mail went from h1.example to h2.example in clear, its header says"


@pytest.mark.parametrize("hops, confidence", [
    ([hop(2, True), hop(1, False)], "low"), ([hop(2, None, local=True), hop(1, False)], "medium"), ([hop(2, None), hop(1, False)], "low"), ([hop(3, False), hop(2, True), hop(1, False)], "medium"),
])
def test_ps708_only_the_last_server_is_to_be_believed(court, mail, hops, confidence):
    clear = sum(one.protected is False for one in hops)
    assert court.finding(mail(hops=hops, n_hops=len(hops), n_clear_hops=clear), "PS708").confidence == confidence


def test_ps708_many(court, mail):
    finding = court.finding(mail(hops=[hop(n, False) for n in range(30, 0, -1)], n_hops=30, n_clear_hops=30), "PS708")
    assert [one["hop"] for one in finding.evidence["hops"]] == list(range(30, 20, -1))
    assert finding.title == "A mail passed 30 hops in clear, its header says; the last from h29.example to h30.example"


@pytest.mark.parametrize("hops, clear", [([hop(1, True)], 0), ([hop(1, None, local=True)], None), ([hop(1, None)], None)])
def test_ps708_near_misses(court, mail, hops, clear):
    assert court.verdict(mail(hops=hops, n_hops=1, n_clear_hops=clear), "PS708") == ("pass", "")


def test_ps708_hosts_without_a_name(court, mail):
    nameless = Hop(hop=1, with_protocol="SMTP", protected=False)
    assert court.finding(mail(hops=[nameless], n_hops=1, n_clear_hops=1), "PS708").title == "A mail went from an unnamed host to an unnamed host in clear, its header says"


@pytest.mark.parametrize("version, cipher", [
    ("TLSv1.0", None), ("TLSv1.1", "ECDHE-RSA-AES256-SHA"), ("SSLv3", None), ("TLSv1.2", "DES-CBC3-SHA"), ("TLSv1.2", "ECDHE-RSA-RC4-SHA"), (None, "RSA_3DES_EDE_CBC_SHA1"), (None, "TLS_RSA_WITH_NULL_SHA"),
    (None, "RSA_ARCFOUR_128_MD5"), (None, "EXP-DES-CBC-SHA"), (None, "ADH-AES256-SHA"),
])
def test_ps709(court, mail, version, cipher):
    finding = court.finding(mail(hops=[hop(1, True, tls_version=version, tls_cipher=cipher)], n_hops=1, n_clear_hops=0), "PS709")
    one = {"hop": 1, "from": "h0.example", "by": "h1.example", "with": "ESMTPS", "tls_version": version, "tls_cipher": cipher}
    assert shown(finding) == ("low", "medium", "", {"hops": [{k: v for k, v in one.items() if v is not None}], "n_hops": 1, "message_id": "<1@a.example>"})


@pytest.mark.parametrize("version, cipher", [
    ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"), ("TLSv1.3", "TLS_AES_256_GCM_SHA384"), (None, "DHE-RSA-AES128-SHA"), (None, None), ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384_P384"),
    (None, "ECDHE_RSA_CHACHA20_POLY1305"), ("TLSv1.2", "Aes256"),
])
def test_ps709_near_misses(court, mail, version, cipher):
    assert court.verdict(mail(hops=[hop(1, True, tls_version=version, tls_cipher=cipher)], n_hops=1, n_clear_hops=0), "PS709") == ("pass", "")
