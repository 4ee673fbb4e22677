"""Security exchanges of raw tokens: what is used, what was offered, whose login it is."""
from __future__ import annotations

import time

import pytest
from helpers import told
from hypothesis import given, settings
from hypothesis import strategies as st
from security_tokens import (ESS, KERBEROS, KEY_128, KEY_EXCHANGE, MS_KERBEROS, NEGOEX, NTLM, SEAL, SIGN, TARGET, UNICODE, VERSION, answer, ap_rep, ap_req, authenticate, challenge, der,
                             gss, init, krb_error, negotiate, v2_response)

from pcapsec.protocols import kerberos, spnego
from pcapsec.protocols.negotiation import MAX_TOKENS, Exchange

FLAGS = UNICODE | SIGN | SEAL | ESS | VERSION | KEY_128 | KEY_EXCHANGE
TYPE3 = authenticate(v2_response((10, b"\x55" * 16), (6, b"\2\0\0\0"), **TARGET), flags=FLAGS, mic=b"m" * 16)


def run(*tokens: tuple[str, bytes], protocol="dcerpc") -> Exchange:
    """Tokens with C or S in front; the client's stand at 100, 200, …"""
    exchange = Exchange(protocol, 7)
    at = 0
    for side, token in tokens:
        at += 100
        if side == "C":
            exchange.client(token, at)
        else:
            exchange.server(token)
    return exchange


ABOUT_NTLM = {
    "server_challenge_seen": True, "challenge_seen": True, "target": TARGET, "target_os_version": "10.0.17763", "workstation": "PC1", "os_version": "10.0.17763", "ntlm_flags": FLAGS,
    "nt_length": 166, "lm_length": 24, "ess": True, "anonymous": False,
    "ntlm_flag_names": ["UNICODE", "SIGN", "SEAL", "EXTENDED_SESSIONSECURITY", "VERSION", "128", "KEY_EXCH"], "sign": True, "seal": True, "key_exchange": True, "key_bits": 128,
    "spec_key_bits": 128, "mic": True, "channel_binding": True, "av_flags": 2, "ntlm_version": "NTLMv2"}
NTLM_LOGIN = {"protocol": "dcerpc", "mechanism": "NTLM", "at": 7, "principal": "tim", "domain": "CORP", "exposure": "guessable"}


def ntlm_login(secret_at: int, more: dict, **fields) -> dict:
    response = v2_response((10, b"\x55" * 16), (6, b"\2\0\0\0"), **TARGET)
    return NTLM_LOGIN | {"secret": response, "secret_at": secret_at, "details": ABOUT_NTLM | {"nt_length": len(response)} | more} | fields


def test_plain_ntlm():
    exchange = run(("C", negotiate()), ("S", challenge()), ("C", TYPE3))
    assert (exchange.mechanism, exchange.offered, exchange.has_login, exchange.result) == ("NTLM", (), True, "unknown")
    assert told(exchange.login("success")) == ntlm_login(300, {}, result="success")


def test_the_challenge_may_come_last():
    """RPC over HTTP: types 1 and 3 on one channel, type 2 on the other."""
    exchange = run(("C", negotiate()), ("C", TYPE3))
    assert exchange.login().details["server_challenge_seen"] is False
    exchange.server(challenge())
    assert told(exchange.login()) == ntlm_login(200, {})


@pytest.mark.parametrize("state, result", [(0, "success"), (1, None), (2, "failed"), (3, None)])
def test_ntlm_in_spnego(state, result):
    exchange = run(("C", init(MS_KERBEROS, KERBEROS, NTLM, token=negotiate())), ("S", answer(1, NTLM, challenge())), ("C", answer(token=TYPE3, mic=b"x" * 16)), ("S", answer(state)))
    more = {"spnego_offered": ["MS-KERBEROS", "KERBEROS", "NTLM"], "spnego_selected": "NTLM", "spnego_mic": True}
    assert told(exchange.login()) == ntlm_login(300, more, **({"result": result} if result else {}))
    assert told(exchange.login("failed", "refused", "5")) == ntlm_login(300, more, result="failed", reason="refused", reply_code="5")


def test_kerberos_was_guessed_and_ntlm_used():
    guess = init(KERBEROS, NTLM, token=gss(ap_req()))
    exchange = run(("C", guess))
    assert (exchange.mechanism, exchange.has_login) == ("KERBEROS", True)
    exchange.server(answer(1, NTLM))
    assert (exchange.mechanism, exchange.has_login) == ("NTLM", False)
    assert told(exchange.login()) == {"protocol": "dcerpc", "mechanism": "NTLM", "at": 7, "details": {
        "spnego_offered": ["KERBEROS", "NTLM"], "spnego_selected": "NTLM", "server_challenge_seen": False, "challenge_seen": False, "refused_spn": "exchangeMDB/mx1.corp.example"}}
    for token in (negotiate(), TYPE3):
        exchange.client(answer(token=token), 400)
        exchange.server(answer(1, token=challenge()))
    assert told(exchange.login()) == ntlm_login(400, {"spnego_offered": ["KERBEROS", "NTLM"], "spnego_selected": "NTLM", "refused_spn": "exchangeMDB/mx1.corp.example"})


ABOUT_TICKET = {"realm": "CORP.EXAMPLE", "spn": "exchangeMDB/mx1.corp.example", "ticket_etype": 18, "etype": 18, "authenticator_etype": 23, "mutual": True}


@pytest.mark.parametrize("token, secret, more", [
    (init(KERBEROS, NTLM, token=gss(ap_req(18, 23))), gss(ap_req(18, 23)), {"spnego_offered": ["KERBEROS", "NTLM"], "spnego_selected": None}),
    (init(MS_KERBEROS, token=gss(ap_req(18, 23), mechanism=MS_KERBEROS), wrapped=False), gss(ap_req(18, 23), mechanism=MS_KERBEROS), {"spnego_offered": ["MS-KERBEROS"], "spnego_selected": None}),
    (init(MS_KERBEROS, token=ap_req(18, 23)), ap_req(18, 23), {"spnego_offered": ["MS-KERBEROS"], "spnego_selected": None}),
    (gss(ap_req(18, 23)), gss(ap_req(18, 23)), {}),
    (ap_req(18, 23), ap_req(18, 23), {}),
])
def test_kerberos_however_wrapped(token, secret, more):
    exchange = run(("C", token))
    expected = {"protocol": "dcerpc", "mechanism": "GSSAPI", "at": 7, "domain": "CORP.EXAMPLE", "secret": secret, "secret_at": 100, "exposure": "ticket", "details": ABOUT_TICKET | more}
    assert told(exchange.login()) == expected and exchange.mechanism == "KERBEROS" and exchange.has_login
    exchange.server(gss(ap_rep(), b"\2\0"))
    exchange.client(ap_rep(), 200)  # DCE style: a third leg
    assert told(exchange.login()) == expected | {"result": "success"}
    assert exchange.login(mechanism="GSS-SPNEGO").mechanism == "GSS-SPNEGO"


def test_names_of_logins_over_http():
    assert run(("C", gss(ap_req())), protocol="http").login().mechanism == "NEGOTIATE"
    assert run(("C", negotiate()), protocol="http").login().mechanism == "NTLM"


def test_kerberos_refused():
    exchange = run(("C", gss(ap_req())), ("S", gss(krb_error(37, "tim"), b"\3\0")))
    assert told(exchange.login()) == {
        "protocol": "dcerpc", "mechanism": "GSSAPI", "at": 7, "principal": "tim", "domain": "CORP.EXAMPLE", "secret": gss(ap_req()), "secret_at": 100, "exposure": "ticket",
        "result": "failed", "reason": "refused", "details": ABOUT_TICKET | {
            "authenticator_etype": 18, "kerberos_error": 37, "kerberos_error_name": "clock-skew", "client_principal": "tim@CORP.EXAMPLE"}}
    exchange.server(gss(ap_rep(), b"\2\0"))  # the client's next attempt
    assert exchange.login().result == "success"
    assert run(("C", gss(ap_req())), ("S", gss(krb_error(18), b"\3\0"))).login().reason == "locked"
    assert kerberos.read(krb_error(41)).client_principal == ""


def test_negoex_and_other_mechanisms():
    exchange = run(("C", init(NEGOEX, NTLM, bytes.fromhex("2b060105050f01"), token=b"NEGOEXTS" + b"\0" * 60)), ("S", answer(1, NEGOEX)))
    assert (exchange.mechanism, exchange.offered, exchange.has_login, exchange.negoex) == ("NEGOEX", ("NEGOEX", "NTLM", "1.3.6.1.5.5.15.1"), False, True)
    assert told(exchange.login()) == {"protocol": "dcerpc", "mechanism": "GSSAPI", "at": 7, "details": {
        "spnego_offered": ["NEGOEX", "NTLM", "1.3.6.1.5.5.15.1"], "spnego_selected": "NEGOEX"}}


def test_a_server_hint_is_no_offer_of_the_client():
    exchange = run(("S", init(KERBEROS, NTLM, hint="not_defined_in_RFC4178@please_ignore")))
    assert exchange.offered == () and exchange.login() is None
    assert spnego.read(init(NTLM, hint="not_defined_in_RFC4178@please_ignore", mic=b"m")) == spnego.SpnegoToken(
        kind="init", mechanisms=("NTLM",), hint="not_defined_in_RFC4178@please_ignore", has_mic=True)


def test_an_echo_changes_nothing():
    other = authenticate(user="eve", domain="EVIL")
    exchange = run(("C", negotiate()), ("S", challenge()), ("C", TYPE3), ("S", other), ("C", challenge(UNICODE)))
    assert told(exchange.login("success")) == ntlm_login(300, {}, result="success")
    assert run(("S", other)).login().principal == "eve"  # roles were guessed wrong


def test_nothing_understood():
    exchange = run(("C", b"hello"), ("S", b""), ("C", b"\x60"), ("C", b"\xa0\x84\xff\xff\xff\xff"))
    assert exchange.login() is None and exchange.mechanism is None and not exchange.has_login


def test_spnego_inside_spnego_has_a_depth():
    token = negotiate()
    for _ in range(2):
        token = init(NTLM, token=token)
    assert run(("C", token)).mechanism == "NTLM"
    token = b"\x60" * 40
    for _ in range(1000):
        token = init(KERBEROS, token=token)
    began = time.perf_counter()
    exchange = run(("C", token))
    assert exchange.mechanism is None and exchange.offered == ("KERBEROS",) and time.perf_counter() - began < 0.05


def test_tokens_and_mechanisms_have_a_ceiling():
    exchange = run(*[("C", negotiate())] * (MAX_TOKENS + 1))
    assert exchange.login().well_formed is False
    many = spnego.read(init(*[NTLM] * 500))
    assert len(many.mechanisms) == spnego.MAX_MECHANISMS
    assert spnego.read(init(NTLM, token=b"x" * spnego.MAX_TOKEN_BYTES)) is None


@pytest.mark.parametrize("damage", [b"\xa0\x03\x30\x05\xa0", der(0xA0, der(0x30, der(0xA0, der(0x30, b"\x06\x84\xff\xff\xff\xff")))), der(0xA1, der(0x30, der(0xA0, b"\x0a\x01\x09")))])
def test_lengths_that_lie(damage):
    found = spnego.read(damage)
    assert found is None or not found.well_formed


@pytest.mark.parametrize("verifier, state", [
    (bytes.fromhex("0504 06ff 0010 001c 0000000000000001") + b"\0" * 28, ("AES", True)), (bytes.fromhex("0504 05ff 000c 000c 0000000000000001") + b"\0" * 12, ("AES", False)),
    (bytes.fromhex("0404 04ff ffffffff 0000000000000001") + b"\0" * 12, ("AES", False)),
    (gss(bytes.fromhex("1100 1000 ffff") + b"\0" * 24, b"\2\1"), ("RC4", True)), (gss(bytes.fromhex("1100 ffff ffff") + b"\0" * 24, b"\2\1"), ("RC4", False)),
    (gss(bytes.fromhex("0000 0000 ffff") + b"\0" * 24, b"\2\1"), ("DES", True)), (gss(bytes.fromhex("0400 0200 ffff") + b"\0" * 24, b"\2\1"), ("3DES", True)),
    (gss(bytes.fromhex("1100 ffffffff") + b"\0" * 16, b"\1\1"), ("RC4", False)), (gss(bytes.fromhex("9900 9900 ffff") + b"\0" * 24, b"\2\1"), None),
    (b"\1\0\0\0" + b"\0" * 12, None), (b"", None), (b"\x60", None), (b"\5\4\2\xff", None), (gss(b"", b"\2\1"), None),
])
def test_per_message_tokens(verifier, state):
    assert kerberos.token_state(verifier) == state


def test_a_sound_cut_of_every_token():
    for whole in (init(KERBEROS, NTLM, token=gss(ap_req())), answer(1, NTLM, challenge(), b"m"), gss(krb_error(37, "tim"), b"\3\0"), TYPE3):
        for n in range(len(whole)):
            exchange = run(("C", whole[:n]), ("S", whole[:n]))
            exchange.login()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("CS"), st.sampled_from([init(KERBEROS, NTLM, token=gss(ap_req())), answer(0, NTLM, TYPE3), TYPE3, challenge(), gss(krb_error(9), b"\3\0")]),
                          st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6)), max_size=5))
def test_damaged_tokens_never_raise(pieces):
    exchange = Exchange("ldap", 0)
    for side, token, changes in pieces:
        damaged = bytearray(token)
        for place, value in changes:
            damaged[place % len(damaged)] = value
        exchange.client(bytes(damaged), 1) if side == "C" else exchange.server(bytes(damaged))
        exchange.login()
        kerberos.token_state(bytes(damaged))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_never_raise(data):
    for head in (b"", b"NTLMSSP\0\3\0\0\0", b"\x60", b"\xa0\x81", b"\x6e\x82\x01", b"\x7e\x81\xc0\x30"):
        exchange = run(("C", head + data), ("S", head + data))
        exchange.login()
        kerberos.token_state(head + data)


def test_scapy_reads_the_same():
    import scapy.layers.spnego  # noqa: F401  (tells the wrapper its content)
    from scapy.layers.gssapi import GSSAPI_BLOB
    from scapy.layers.kerberos import KRB_AP_REQ

    theirs = KRB_AP_REQ(ap_req(17, 23))
    ours = kerberos.read(ap_req(17, 23))
    assert (int(theirs.ticket.encPart.etype.val), int(theirs.authenticator.etype.val), theirs.ticket.realm.val.decode()) == (ours.ticket_etype, ours.authenticator_etype, ours.realm)
    assert "/".join(part.val.decode() for part in theirs.ticket.sname.nameString) == ours.spn
    blob = GSSAPI_BLOB(init(MS_KERBEROS, KERBEROS, NTLM, token=gss(ap_req(17, 23))))
    token = blob.innerToken.token
    assert [mechanism.oid.val for mechanism in token.mechTypes] == ["1.2.840.48018.1.2.2", "1.2.840.113554.1.2.2", "1.3.6.1.4.1.311.2.2.10"]
    assert spnego.read(bytes(blob)).mechanisms == ("MS-KERBEROS", "KERBEROS", "NTLM")
