"""NTLM messages, built field by field after [MS-NLMP] §2.2."""
from __future__ import annotations

import base64
import struct

import pytest
from helpers import told

from pcapsec.protocols.ntlm import find_message
from pcapsec.protocols.sasl import Exchange

ESS, VERSION = 0x00080000, 0x02000000
WINDOWS_10 = bytes([10, 0]) + struct.pack("<H", 17763) + b"\0\0\0\x0f"


def message(kind: int, layout: str, fields: dict[str, bytes], flags: int, version: bytes = b"", size: int = 0) -> bytes:
    """`layout` names what stands behind the type: F flags, C challenge and 8 reserved bytes, other letters are fields."""
    head, payload = b"NTLMSSP\0" + struct.pack("<I", kind), b""
    start = 12 + sum({"F": 4, "C": 16}.get(letter, 8) for letter in layout) + len(version) + size
    for letter in layout:
        if letter == "F":
            head += struct.pack("<I", flags)
        elif letter == "C":
            head += b"\x11" * 8 + b"\0" * 8
        else:
            value = fields.get(letter, b"")
            head += struct.pack("<HHI", len(value), len(value), start + len(payload))
            payload += value
    return head + version + b"\0" * size + payload


def pairs(**values: str) -> bytes:
    ids = {"nb_host": 1, "nb_domain": 2, "dns_host": 3, "dns_domain": 4}
    return b"".join(struct.pack("<HH", ids[name], 2 * len(text)) + text.encode("utf-16-le") for name, text in values.items()) + struct.pack("<HHQ", 7, 8, 1) + b"\0\0\0\0"


def u(text: str) -> bytes:
    return text.encode("utf-16-le")


TYPE1 = message(1, "FDW", {"D": b"CORP", "W": b"PC1"}, 0x3207 | VERSION, WINDOWS_10)
TYPE2 = message(2, "TFCI", {"T": u("CORP"), "I": pairs(nb_host="MX1", nb_domain="CORP", dns_host="mx1.corp.example", dns_domain="corp.example")}, 0x1 | ESS | VERSION, WINDOWS_10)
NT2, LM2 = b"\x22" * 60, b"\x33" * 24


def type3(nt=NT2, lm=LM2, user="tim", domain="CORP", workstation="PC1", flags=0x1 | ESS | VERSION, encode=u) -> bytes:
    return message(3, "LNDUWKF", {"L": lm, "N": nt, "D": encode(domain), "U": encode(user), "W": encode(workstation)}, flags, WINDOWS_10, 16)


def run(*tokens: bytes, mechanism="NTLM"):
    """Type 1, 2, 3 in their places: every second token is the server's."""
    exchange = Exchange("smtp", mechanism, 7)
    for number, token in enumerate(tokens):
        if number % 2:
            exchange.server(base64.b64encode(token))
        else:
            exchange.client(base64.b64encode(token), 20 + number)
    return told(exchange.finish("success"))


TARGET = {"nb_host": "MX1", "nb_domain": "CORP", "dns_host": "mx1.corp.example", "dns_domain": "corp.example"}
HEAD = {"protocol": "smtp", "mechanism": "NTLM", "at": 7, "result": "success"}


def details(**more):
    return {"initial_response": False, "prompts": 1, "server_challenge_seen": True, "challenge_seen": True, "target": TARGET, "target_os_version": "10.0.17763", "workstation": "PC1",
            "os_version": "10.0.17763", "ntlm_flags": 0x1 | ESS | VERSION, "nt_length": 60, "lm_length": 24, "ess": True, "ntlm_version": "NTLMv2"} | more


def test_a_whole_exchange():
    assert run(TYPE1, TYPE2, type3()) == HEAD | {"principal": "tim", "domain": "CORP", "secret": NT2, "secret_at": 22, "exposure": "guessable", "details": details()}


def test_inside_spnego():
    assert run(b"\x60\x20wrap" + TYPE1, b"\xa1\x30" + TYPE2, b"\xa1\x31" + type3(), mechanism="GSS-SPNEGO") == HEAD | {
        "mechanism": "GSS-SPNEGO", "principal": "tim", "domain": "CORP", "secret": NT2, "secret_at": 22, "exposure": "guessable", "details": details()}


@pytest.mark.parametrize("nt, lm, flags, version, nt_length, lm_length", [
    (b"\x22" * 24, b"\x33" * 8 + b"\0" * 16, 0x1 | ESS, "NTLMv1", 24, 24),
    (b"\x22" * 24, b"\x33" * 24, 0x1, "NTLMv1", 24, 24),
    (b"", b"\x33" * 24, 0x1, "LM", 0, 24),
    (b"\x22" * 25, b"", 0x1, "NTLMv2", 25, 0),
])
def test_kinds_of_response(nt, lm, flags, version, nt_length, lm_length):
    login = run(TYPE1, TYPE2, type3(nt, lm, flags=flags))
    assert (login["details"]["ntlm_version"], login["details"]["nt_length"], login["details"]["lm_length"], login["secret"]) == (version, nt_length, lm_length, nt or lm)


@pytest.mark.parametrize("lm", [b"", b"\0"])
def test_anonymous(lm):
    login = run(TYPE1, TYPE2, type3(b"", lm, user="", domain="", workstation=""))
    assert login["details"]["ntlm_version"] == "anonymous" and "exposure" not in login and "principal" not in login


def test_names_in_an_oem_code_page():
    login = run(TYPE1, TYPE2, type3(flags=0x2, encode=lambda text: text.encode("ascii")))
    assert (login["principal"], login["domain"], login["details"]["workstation"]) == ("tim", "CORP", "PC1")


@pytest.mark.parametrize("encode", [u, lambda text: text.encode("ascii")])
def test_an_old_message_without_flags(encode):
    token = message(3, "LNDUW", {"L": b"", "N": b"\x22" * 24, "D": encode("CORP"), "U": encode("alice"), "W": encode("PC12")}, 0)
    found = find_message(token)
    assert (found.flags, found.user, found.domain, found.workstation, found.well_formed) == (None, "alice", "CORP", "PC12", True)


def test_only_the_first_message():
    assert run(TYPE1) == HEAD | {"details": {"initial_response": False, "prompts": 0, "server_challenge_seen": False, "challenge_seen": False, "workstation": "PC1",
                                             "os_version": "10.0.17763", "ntlm_flags": 0x3207 | VERSION, "type1_only": True, "client_domain": "CORP"}}


def test_the_answer_without_the_challenge():
    exchange = Exchange("smtp", "NTLM", 7)
    exchange.client(base64.b64encode(type3()), 20)
    login = exchange.finish("unknown")
    assert (login.principal, login.exposure, login.details["server_challenge_seen"]) == ("tim", "guessable", False)


def test_fields_that_point_outside_are_dropped():
    token = bytearray(type3())
    token[36:44] = struct.pack("<HHI", 6, 6, 0xFFFFFFF0)
    found = find_message(bytes(token))
    assert (found.user, found.domain, found.well_formed) == ("", "CORP", False)


def test_words_instead_of_messages():
    login = run(b"hello", b"NTLM supported")
    assert login == HEAD | {"well_formed": False, "details": {"initial_response": False, "prompts": 1, "server_challenge_seen": False, "challenge_seen": False}}


def test_every_cut_is_survived():
    for whole in (TYPE1, TYPE2, type3()):
        for n in range(len(whole)):
            find_message(whole[:n])
        assert find_message(whole[:8]) is None and find_message(whole).well_formed
    assert find_message(b"NTLMSSP\0\4\0\0\0") is None
