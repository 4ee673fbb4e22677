"""NTLM messages, built field by field after [MS-NLMP] §2.2, alone and in mail's SASL."""
from __future__ import annotations

import base64
import struct

import pytest
from helpers import told
from security_tokens import (ESS, KEY_56, KEY_128, KEY_EXCHANGE, LM_KEY, NTLM, SEAL, SIGN, TARGET, UNICODE, VERSION, WINDOWS_10, answer, authenticate, challenge, init, negotiate,
                             ntlm_message, u, v2_response)

from pcapsec.protocols.ntlm import find_message, flag_names, key_strength
from pcapsec.protocols.sasl import Exchange

NT2, LM2 = b"\x22" * 60, b"\x33" * 24


def run(*tokens: bytes, mechanism="NTLM"):
    """Type 1, 2, 3 in their places: every second token is the server's."""
    exchange = Exchange("smtp", mechanism, 7)
    for number, token in enumerate(tokens):
        if number % 2:
            exchange.server(base64.b64encode(token))
        else:
            exchange.client(base64.b64encode(token), 20 + number)
    return told(exchange.finish("success"))


HEAD = {"protocol": "smtp", "mechanism": "NTLM", "at": 7, "result": "success"}
LOGIN = {"principal": "tim", "domain": "CORP", "secret": NT2, "secret_at": 22, "exposure": "guessable"}


def details(**more):
    return {"initial_response": False, "prompts": 1, "server_challenge_seen": True, "challenge_seen": True, "target": TARGET, "target_os_version": "10.0.17763", "workstation": "PC1",
            "os_version": "10.0.17763", "ntlm_flags": UNICODE | ESS | VERSION, "nt_length": 60, "lm_length": 24, "ess": True, "ntlm_version": "NTLMv2", "anonymous": False,
            "ntlm_flag_names": ["UNICODE", "EXTENDED_SESSIONSECURITY", "VERSION"], "sign": False, "seal": False, "key_exchange": False, "key_bits": None, "spec_key_bits": None,
            "mic": False, "channel_binding": None, "av_flags": None} | more


def test_a_whole_exchange():
    assert run(negotiate(), challenge(), authenticate()) == HEAD | LOGIN | {"details": details()}


def test_inside_spnego():
    assert run(init(NTLM, token=negotiate()), answer(1, NTLM, challenge()), answer(token=authenticate(), mic=b"m" * 16), mechanism="GSS-SPNEGO") == HEAD | LOGIN | {
        "mechanism": "GSS-SPNEGO", "details": details(spnego_offered=["NTLM"], spnego_selected="NTLM", spnego_mic=True)}


def test_inside_a_damaged_wrapper():
    login = run(b"\x60\x20wrap" + negotiate(), b"\xa1\x30" + challenge(), b"\xa1\x31" + authenticate(), mechanism="GSS-SPNEGO")
    assert login == HEAD | LOGIN | {"mechanism": "GSS-SPNEGO", "well_formed": False, "details": details()}


@pytest.mark.parametrize("nt, lm, flags, version, nt_length, lm_length", [
    (b"\x22" * 24, b"\x33" * 8 + b"\0" * 16, 0x1 | ESS, "NTLMv1", 24, 24),
    (b"\x22" * 24, b"\x33" * 24, 0x1, "NTLMv1", 24, 24),
    (b"", b"\x33" * 24, 0x1, "LM", 0, 24),
    (b"\x22" * 25, b"", 0x1, "NTLMv2", 25, 0),
])
def test_kinds_of_response(nt, lm, flags, version, nt_length, lm_length):
    login = run(negotiate(), challenge(), authenticate(nt, lm, flags=flags))
    assert (login["details"]["ntlm_version"], login["details"]["nt_length"], login["details"]["lm_length"], login["secret"]) == (version, nt_length, lm_length, nt or lm)


@pytest.mark.parametrize("lm", [b"", b"\0"])
def test_anonymous(lm):
    login = run(negotiate(), challenge(), authenticate(b"", lm, user="", domain="", workstation="", flags=UNICODE | 0x800))
    assert login["details"]["ntlm_version"] == "anonymous" and login["details"]["anonymous"] and "exposure" not in login and "principal" not in login


def test_a_call_within_one_host_is_not_anonymous():
    login = run(negotiate(), challenge(), authenticate(b"", b"", user="", domain="", workstation="", flags=UNICODE | 0x4000))
    assert "ntlm_version" not in login["details"] and not login["details"]["anonymous"] and "exposure" not in login


def test_names_in_an_oem_code_page():
    login = run(negotiate(), challenge(), authenticate(flags=0x2, encode=lambda text: text.encode("ascii")))
    assert (login["principal"], login["domain"], login["details"]["workstation"]) == ("tim", "CORP", "PC1")


def test_an_odd_length_is_not_utf16():
    found = find_message(authenticate(user="bob", domain="CORPS", workstation="X", encode=lambda text: text.encode("cp437")))
    assert (found.user, found.domain, found.workstation, found.well_formed) == ("bob", "CORPS", "X", True)


@pytest.mark.parametrize("encode", [u, lambda text: text.encode("ascii")])
def test_an_old_message_without_flags(encode):
    token = ntlm_message(3, "LNDUW", {"L": b"", "N": b"\x22" * 24, "D": encode("CORP"), "U": encode("alice"), "W": encode("PC12")}, 0)
    found = find_message(token)
    assert (found.flags, found.user, found.domain, found.workstation, found.mic, found.well_formed) == (None, "alice", "CORP", "PC12", None, True)


def test_only_the_first_message():
    assert run(negotiate()) == HEAD | {"details": {
        "initial_response": False, "prompts": 0, "server_challenge_seen": False, "challenge_seen": False, "workstation": "PC1", "os_version": "10.0.17763",
        "ntlm_flags": 0x3207 | VERSION, "type1_only": True, "client_domain": "CORP"}}


def test_the_answer_without_the_challenge():
    exchange = Exchange("smtp", "NTLM", 7)
    exchange.client(base64.b64encode(authenticate(v2_response(**TARGET))), 20)
    login = exchange.finish("unknown")
    assert (login.principal, login.exposure, login.details["server_challenge_seen"], login.details["target"]) == ("tim", "guessable", False, TARGET)


BINDING, NO_BINDING, WITH_MIC, SERVICE = (10, b"\x55" * 16), (10, b"\0" * 16), (6, b"\2\0\0\0"), (9, u("exchangeMDB/mx1"))


@pytest.mark.parametrize("more, mic, expected", [
    ((), b"", {"mic": False, "channel_binding": False, "av_flags": None}),
    ((BINDING, WITH_MIC, SERVICE), b"\x66" * 16, {"mic": True, "channel_binding": True, "av_flags": 2, "spn": "exchangeMDB/mx1"}),
    ((NO_BINDING, WITH_MIC), b"\0" * 16, {"mic": False, "channel_binding": False, "av_flags": 2}),
    ((NO_BINDING, (6, b"\1\0")), b"\x66" * 16, {"mic": True, "channel_binding": False, "av_flags": None}),
])
def test_what_an_ntlmv2_response_holds(more, mic, expected):
    response = v2_response(*more, **TARGET)
    login = run(negotiate(), challenge(), authenticate(response, mic=mic))
    assert login["details"] == details(nt_length=len(response)) | expected


@pytest.mark.parametrize("flags, bits", [
    (SEAL | ESS | KEY_128 | KEY_56, (128, 128)), (SEAL | ESS | KEY_128, (128, 128)), (SEAL | ESS | KEY_56, (56, 56)), (SEAL | ESS, (40, 40)),
    (SEAL | LM_KEY | KEY_128 | KEY_56, (56, 56)), (SEAL | LM_KEY | KEY_128, (40, 40)), (SEAL | 0x40 | KEY_56, (56, 56)),  # DATAGRAM
    (SEAL | KEY_128 | KEY_56, (56, 128)), (SEAL | KEY_128, (40, 128)), (SIGN | ESS | KEY_128, (None, None)),
])
def test_key_strength(flags, bits):
    """§3.4.5.3; without ESS and LM_KEY its summary and its pseudo-code differ."""
    assert key_strength(flags) == bits
    told = run(negotiate(), challenge(), authenticate(flags=flags | UNICODE | KEY_EXCHANGE, key=b"k" * 16))["details"]
    assert (told["key_bits"], told["spec_key_bits"]) == bits
    assert (told["sign"], told["seal"], told["key_exchange"], told["ess"]) == (bool(flags & SIGN), bool(flags & SEAL), True, bool(flags & ESS))


def test_flag_names():
    assert flag_names(0xE2088235) == ["UNICODE", "REQUEST_TARGET", "SIGN", "SEAL", "NTLM", "ALWAYS_SIGN", "EXTENDED_SESSIONSECURITY", "VERSION", "128", "KEY_EXCH", "56"]
    assert flag_names(0x00000008) == ["0x00000008"] and flag_names(0) == []
    flag_names(0xE2088235).append("mine")  # a caller's list is its own
    assert flag_names(0xE2088235)[-1] == "56"


def test_fields_that_point_outside_are_dropped():
    token = bytearray(authenticate())
    token[36:44] = struct.pack("<HHI", 6, 6, 0xFFFFFFF0)
    found = find_message(bytes(token))
    assert (found.user, found.domain, found.well_formed) == ("", "CORP", False)


def test_names_and_pair_lists_are_bounded():
    token = authenticate(user="x" * 20000, nt=v2_response(*[(99, b"")] * 40, (10, b"\1" * 16)))
    found = find_message(token)
    assert len(found.user) == 512 and found.channel_bindings is False


def test_words_instead_of_messages():
    login = run(b"hello", b"NTLM supported")
    assert login == HEAD | {"well_formed": False, "details": {"initial_response": False, "prompts": 1, "server_challenge_seen": False, "challenge_seen": False}}


def test_every_cut_is_survived():
    for whole in (negotiate(), challenge(), authenticate(v2_response(BINDING, **TARGET))):
        for n in range(len(whole)):
            find_message(whole[:n])
        assert find_message(whole[:8]) is None and find_message(whole).well_formed
    assert find_message(b"NTLMSSP\0\4\0\0\0") is None


def test_scapy_reads_the_same():
    """A second opinion on whole messages: scapy's fields beside ours."""
    from scapy.layers.ntlm import NTLM_Header

    token = authenticate(v2_response(BINDING, WITH_MIC, SERVICE, **TARGET), flags=UNICODE | SIGN | SEAL | ESS | VERSION | KEY_128 | KEY_EXCHANGE, mic=b"\x66" * 16, key=b"k" * 16)
    ours, theirs = find_message(token), NTLM_Header(token)
    assert {name: value.decode("utf-16-le") if isinstance(value, bytes) else value for name, value in theirs.Payload if name in ("DomainName", "UserName", "Workstation")} == {
        "DomainName": ours.domain, "UserName": ours.user, "Workstation": ours.workstation}
    assert int(theirs.NegotiateFlags) == ours.flags and theirs.MIC == b"\x66" * 16 and ours.mic
    second = NTLM_Header(challenge())
    mine = find_message(challenge())
    listed = {pair.AvId: pair.Value for name, value in second.Payload if name == "TargetInfo" for pair in value}
    assert [listed[number] for number in (1, 2, 3, 4)] == [mine.target[name] for name in ("nb_host", "nb_domain", "dns_host", "dns_domain")]
    assert WINDOWS_10[:2] == bytes([second.ProductMajorVersion, second.ProductMinorVersion]) and mine.os_version == f"10.0.{second.ProductBuild}"


@pytest.mark.parametrize("flags", [SEAL | ESS | KEY_128, SEAL | ESS | KEY_128 | KEY_56, SEAL | ESS | KEY_56, SEAL | ESS])
def test_scapy_weakens_the_key_as_much(flags):
    """The bytes of the session's key on which scapy's sealing key hangs."""
    from scapy.layers.ntlm import NTLM_NEGOTIATE, SEALKEY

    agreed = NTLM_NEGOTIATE(NegotiateFlags=flags).NegotiateFlags
    different = sum(SEALKEY(agreed, bytes(16), "Client") != SEALKEY(agreed, bytes(n) + b"\1" + bytes(15 - n), "Client") for n in range(16))
    assert 8 * different == key_strength(flags)[0]
