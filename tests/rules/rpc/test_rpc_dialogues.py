"""Whole DCE/RPC conversations through the real parser: which findings each of them gives, and which it must not."""
from __future__ import annotations

import pytest

from pcapsec.protocols.dcerpc import DcerpcParser
from rpc_sessions import KEY_EXCH, SEAL, SIGN, STRONG
from tests import mapi_stubs as stubs, security_tokens as tokens
from tests.helpers import converse, one_sided
from tests.rpc_bytes import EMSMDB, EPM, NSPI, SAMR, SIGNATURE, ack, alter, altered, auth3, bind, fault, mapped, nak, request, response, tower

C, S = 0, 1
MAIL, DIRECTORY, OTHER = (0, EMSMDB, 0x510000), (0, NSPI, 56), (0, SAMR, 1)
UNICODE = 1
GSS_SEALED = bytes.fromhex("050406ff0000001c") + bytes(52)  # Wrap token of RFC 4121, sealed
RC4_SEALED = tokens.gss(bytes.fromhex("11001000ffff") + bytes(24), b"\2\1")  # of RFC 4757
RC4_SIGNED = tokens.gss(bytes.fromhex("1100ffffffff") + bytes(24), b"\2\1")


def call(number: int, opnum: int = 11, level: int = 0, **how) -> list:
    token = how.pop("token", SIGNATURE if how.get("auth_type", 10) != 16 else GSS_SEALED) if level else b""
    return [(C, request(number, opnum, level=level, token=token, **how)), (S, response(number, level=level, token=token, **how))]


def ntlm(level: int, flags: int = STRONG, interface: tuple = MAIL, nt: bytes = b"\x22" * 60, user: str = "tim", **how) -> list:
    key = b"k" * 16 if flags & KEY_EXCH else b""
    third = tokens.authenticate(nt, b"\x33" * 24 if nt else b"\0", user=user, domain="CORP" if user else "", workstation="PC1", flags=flags | UNICODE, mic=b"\1" * 16, key=key)
    return [(C, bind(interface, level=level, token=tokens.negotiate(), **how)), (S, ack(level=level, token=tokens.challenge(), **how)), (C, auth3(level=level, token=third, **how))]


def kerberos(level: int, ticket: int = 18, session_key: int = 18, interface: tuple = MAIL, signs: bool = True) -> list:
    flags = 7 if signs else 3
    return [(C, bind(interface, level=level, token=tokens.gss(tokens.ap_req(ticket, session_key)), auth_type=16, flags=flags)),
            (S, ack(level=level, token=tokens.gss(tokens.ap_rep(session_key), b"\2\0"), auth_type=16, flags=flags))]


def connect(number: int, result: int = 0, words=(12, 0x183E, 1000), payload: bytes = b"") -> list:
    """EcDoConnectEx without protection, and one EcDoRpcExt2 when it succeeded."""
    turns = [(C, request(number, 10, stubs.connect(words=words))), (S, response(number, stubs.connected(result=result)))]
    if payload:
        turns += [(C, request(number + 1, 11, stubs.rpc_ext(payload))), (S, response(number + 1, stubs.rpc_ext_answer(payload)))]
    return turns


LOGON = stubs.header(stubs.rops(b"\xfe\0\0\1" + bytes(8) + b"\0\0"), 2 | 4)
KERBEROS_SEALED = kerberos(6) + call(2, level=6, auth_type=16) + call(3, level=6, auth_type=16)

CASES = {
    # RULES.md §17
    "bound at 2, XOR": (ntlm(2, 0) + connect(2, payload=LOGON), "exposed",
                        {"PS106": "high", "PS120": "low", "PS502": "high", "PS503": "high", "PS516": "high", "PS517": "info"}),
    "6, NTLM with 128 bits": (ntlm(6, flags=STRONG) + call(2, level=6), "weak", {"PS106": "high", "PS120": "low", "PS504": "medium", "PS510": "low"}),
    "6, NTLM without session security": (ntlm(6, flags=SIGN | SEAL | KEY_EXCH) + call(2, level=6), "weak",
                                         {"PS106": "high", "PS120": "low", "PS505": "high", "PS506": "medium", "PS510": "low"}),
    "6, Kerberos with RC4": (kerberos(6, 23, 23) + call(2, level=6, auth_type=16, token=RC4_SEALED), "weak", {"PS507": "medium"}),
    "6, Kerberos that signs only": (kerberos(6) + call(2, level=6, auth_type=16, token=RC4_SIGNED), "weak", {}),
    "6, AES agreed on behind an RC4 ticket": (kerberos(6, 23, 23) + call(2, level=6, auth_type=16), "protected", {"PS507": "medium"}),
    "6, Kerberos with AES": (KERBEROS_SEALED, "protected", {}),
    "6, Kerberos, headers not signed": (kerberos(6, signs=False) + call(2, level=6, auth_type=16), "protected", {"PS510": "low"}),
    "none, then altered to 6": ([(C, bind(MAIL)), (S, ack()), (C, alter(MAIL, level=6, token=tokens.gss(tokens.ap_req()), auth_type=16)),
                                 (S, altered(level=6, token=tokens.gss(tokens.ap_rep(), b"\2\0"), auth_type=16))] + call(3, level=6, auth_type=16), "protected", {"PS510": "low"}),
    "ncacn_http": ([(S, b"ncacn_http/1.0"), (C, bind((0, EPM, 3))), (S, ack())] + call(2, 3), "weak", {"PS512": "high"}),
    "refused, then at 6": (kerberos(2) + connect(2, 0x970) + [
        (C, alter(MAIL, level=6, token=tokens.gss(tokens.ap_req()), auth_type=16, auth_id=1, call=5)),
        (S, altered(level=6, token=tokens.gss(tokens.ap_rep(), b"\2\0"), auth_type=16, auth_id=1, call=5))] + call(6, level=6, auth_type=16, auth_id=1), "exposed",
        {"PS502": "high", "PS511": "info", "PS516": "high", "PS517": "info"}),
    # issue 3: announced is not in force
    "announced 2, altered to 6 before any call": (kerberos(2) + [
        (C, alter(MAIL, level=6, token=tokens.gss(tokens.ap_req()), auth_type=16, auth_id=1)),
        (S, altered(level=6, token=tokens.gss(tokens.ap_rep(), b"\2\0"), auth_type=16, auth_id=1))] + call(3, level=6, auth_type=16, auth_id=1), "protected", {}),
    "bound at 6, called at 2": (kerberos(6) + [(C, request(2, 11, level=2, token=SIGNATURE, auth_type=16)), (S, response(2))], "exposed", {"PS502": "high"}),
    "bound at 6, called without a trailer": (kerberos(6) + call(2), "exposed", {"PS502": "high"}),
    "bound at 2, called at 6": (kerberos(2) + call(2, level=6, auth_type=16), "protected", {}),
    # near misses
    "no authentication": ([(C, bind(MAIL)), (S, ack())] + call(2), "exposed", {"PS501": "high", "PS502": "high"}),
    "no authentication, refused": ([(C, bind(MAIL)), (S, ack((2, 1, None)))], "weak", {}),
    "no authentication, never called": ([(C, bind(MAIL)), (S, ack())], "weak", {}),
    "the directory at 2": (kerberos(2, interface=DIRECTORY) + call(2, 3), "exposed", {"PS502": "medium"}),
    "another interface at 1": ([(C, bind(OTHER)), (S, ack())] + call(2), "weak", {}),
    "the mapper": ([(C, bind((0, EPM, 3))), (S, ack()), (C, request(2, 3)), (S, response(2, mapped(tower(EMSMDB, (0, 81)))))], "weak", {"PS514": "info"}),
    "the mapper, something else": ([(C, bind((0, EPM, 3))), (S, ack()), (C, request(2, 3)), (S, response(2, mapped(tower(SAMR, (1, 0)))))], "weak", {}),
    "anonymous": (ntlm(6, STRONG | 0x800, nt=b"", user="") + call(2, level=6), "weak", {"PS118": "info", "PS120": "low", "PS508": "low", "PS510": "low"}),
    "NTLMv1": (ntlm(6, STRONG, nt=b"\x22" * 24) + call(2, level=6), "exposed", {"PS106": "high", "PS107": "critical", "PS120": "low", "PS504": "medium", "PS510": "low"}),
    "a machine account": (ntlm(6, STRONG, user="EXCH01$") + call(2, level=6), "weak", {"PS106": "medium", "PS120": "low", "PS504": "medium", "PS510": "low"}),
    "refused login": (ntlm(6) + [(C, request(2, 11, level=6, token=SIGNATURE)), (S, fault(2, 5))], "weak",
                      {"PS106": "high", "PS120": "low", "PS518": "low"}),
    "unknown authentication type": ([(C, bind(MAIL, level=6, token=b"what", auth_type=99)), (S, nak(8))], "weak", {"PS518": "low"}),
    "unknown interface": ([(C, bind(OTHER)), (S, ack()), (C, request(2)), (S, fault(2, 0x1C010003))], "weak", {"PS518": "info"}),
}


def heard(court, session, turns, **losses):
    parser = converse(DcerpcParser, turns, start_seen=losses.get("unseen_client") != "midstream")
    made = session("dcerpc", server_port=6001, **losses)
    made.facts = parser.facts
    return court.try_session(made)


@pytest.mark.parametrize("name", CASES)
def test_dialogue(court, session, name):
    turns, verdict, expected = CASES[name]
    made = heard(court, session, turns)
    assert ({finding.rule.id: finding.severity for finding in made.findings}, made.verdict) == (expected, verdict)


@pytest.mark.parametrize("name", CASES)
def test_one_side_alone_invents_nothing(court, session, name):
    """What a whole capture does not say, half of it must not say either; nor may it call anything protected."""
    turns, verdict, expected = CASES[name]
    for side, losses in ((C, {"unseen_server": "one_sided"}), (S, {"unseen_client": "one_sided"})):
        parser = one_sided(DcerpcParser, turns, side)
        made = session("dcerpc", server_port=6001, **losses)
        made.facts = parser.facts
        court.try_session(made)
        guessed = {finding.rule.id for finding in made.findings if finding.confidence != "high"}  # a refusal that was not seen leaves them standing
        assert {finding.rule.id for finding in made.findings} <= {*expected, "PS001", "PS120"} | (guessed if name == "refused login" else set())
        assert made.verdict in ("unknown", "exposed") and (made.verdict == "unknown" or verdict == "exposed")


@pytest.mark.parametrize("name", CASES)
def test_a_late_start_invents_nothing(court, session, name):
    """Without bind and its answer nobody knows what is called."""
    turns, verdict, expected = CASES[name]
    made = heard(court, session, turns[4:], unseen_client="midstream", unseen_server="midstream", start_seen=False)
    found = {finding.rule.id for finding in made.findings}
    assert found <= {*expected, "PS002"}, found
    assert not found & {"PS501", "PS502"} or made.facts.rpc[0].contexts[0].interface_uuid is not None


def test_calls_tell_the_interface_of_a_late_start(court, session):
    """EcDoConnectEx is known by its shape; that is less sure than a bind."""
    made = heard(court, session, connect(2, payload=LOGON) + connect(4, payload=LOGON), unseen_client="midstream", unseen_server="midstream", start_seen=False)
    found = {finding.rule.id: finding for finding in made.findings}
    assert (found["PS502"].evidence["interface_source"], found["PS502"].confidence in ("low", "medium")) == ("calls", True)
    assert ("PS501", "midstream") in made.not_observable and made.verdict == "exposed"


def test_evidence_holds_no_content(court, session):
    for name, (turns, _, _) in CASES.items():
        for finding in heard(court, session, turns).findings:
            text = str((finding.title, finding.evidence))
            assert "\x22\x22" not in text and "22222222" not in text, (name, finding.rule.id)
