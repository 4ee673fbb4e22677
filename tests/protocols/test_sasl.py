"""Every mechanism's tokens: what passes, what is known of it, and what malformed or missing tokens leave."""
from __future__ import annotations

import base64
import json
import random
import time

import pytest
from helpers import told
from security_tokens import KERBEROS, answer, ap_req, gss, init

from pcapsec.protocols import kerberos
from pcapsec.protocols.sasl import MAX_TOKENS, Exchange, decode_base64, read_pairs


def b64(value: bytes) -> bytes:
    return base64.b64encode(value)


def run(mechanism, *tokens, initial=False, result="success", **finish):
    """Tokens in order; bytes are the client's, ("S", bytes) the server's, "lost" a loss; base64 is put on."""
    exchange = Exchange("smtp", mechanism, 7)
    at = 7 if initial else 20
    for token in tokens:
        if token == "lost":
            exchange.lost()
        elif isinstance(token, tuple):
            exchange.server(b64(token[1]))
        else:
            exchange.client(token if token in (b"*", b"=", b"") else b64(token), at)
            at = at + 20 if at != 7 else 20
    return exchange.finish(result, **finish)


def expect(login, mechanism, details=None, *, initial=False, prompts=0, **fields):
    base = {"protocol": "smtp", "mechanism": mechanism, "at": 7, "result": "success", "details": {"initial_response": initial, "prompts": prompts} | (details or {})}
    assert told(login) == base | fields


@pytest.mark.parametrize("token, value", [
    (b"dGlt", b"tim"), (b" dGlt\t", b"tim"), (b"cHc", b"pw"), (b"cHc=", b"pw"), (b"cHc==", b"pw"), (b"", b""), (b"=", b""), (b"d", None), (b"user@example.com", None), (b"dG lt", None),
    (b"d\xe4dd", None), (b"A" * 65540, None),
])
def test_base64_is_tolerant_of_padding_and_of_nothing_else(token, value):
    assert decode_base64(token) == value


@pytest.mark.parametrize("token, fields", [
    (b"\0tim\0pw", {"principal": "tim", "secret": b"pw"}),
    (b"boss\0tim\0pw", {"principal": "tim", "authzid": "boss", "secret": b"pw"}),
    (b"tim\0\0pw", {"principal": "tim", "secret": b"pw"}),
    (b"\0t\xc3\xa4m\0p\xe4", {"principal": "täm", "secret": b"p\xe4"}),
])
def test_plain(token, fields):
    expect(run("PLAIN", token, initial=True), "PLAIN", initial=True, secret_at=7, exposure="password", **fields)


@pytest.mark.parametrize("token, fields", [
    (b"tim\0pw", {"principal": "tim", "secret": b"pw", "secret_at": 7, "exposure": "password"}),
    (b"\0tim\0p\0w", {"principal": "tim", "secret": b"p\0w", "secret_at": 7, "exposure": "password"}),
    (b"timpw", {}),
])
def test_plain_with_other_than_two_nuls_is_not_well_formed(token, fields):
    expect(run("PLAIN", token, initial=True), "PLAIN", initial=True, well_formed=False, **fields)


def test_plain_with_nothing_in_it():
    expect(run("PLAIN", b"=", initial=True), "PLAIN", initial=True)
    expect(run("PLAIN", b"\0tim\0", initial=True), "PLAIN", initial=True, principal="tim")
    exchange = Exchange("smtp", "PLAIN", 7)
    exchange.client(b"user@example.com", 20)
    expect(exchange.finish("success"), "PLAIN", well_formed=False)


def test_plain_cancelled_and_with_a_reason_of_its_own():
    expect(run("PLAIN", ("S", b""), b"*", result="failed"), "PLAIN", {"cancelled": True}, prompts=1, result="failed", reason="cancelled")
    expect(run("PLAIN", b"\0a\0b", result="failed", reason="locked", reply_code="535"), "PLAIN",
           result="failed", reason="locked", reply_code="535", principal="a", secret=b"b", secret_at=20, exposure="password")


def test_an_initial_response_may_be_told_by_word():
    exchange = Exchange("imap", "PLAIN", 7)
    exchange.client(b64(b"\0a\0b"), 28, initial=True)
    login = exchange.finish("unknown")
    assert (login.details["initial_response"], login.secret_at) == (True, 28)


def test_login():
    secret = {"principal": "tim", "secret": b"pw", "exposure": "password"}
    expect(run("LOGIN", ("S", b"Username:"), b"tim", ("S", b"Password:"), b"pw"), "LOGIN", prompts=2, secret_at=40, **secret)
    expect(run("LOGIN", b"tim", ("S", b"?"), b"pw", initial=True), "LOGIN", initial=True, prompts=1, secret_at=20, **secret)
    expect(run("LOGIN", b"tim", b"pw"), "LOGIN", secret_at=40, **secret)
    expect(run("LOGIN", ("S", b"Username:"), b"tim"), "LOGIN", prompts=1, principal="tim")
    expect(run("LOGIN", ("S", b"Username:"), b"tim", ("S", b"Password:"), b"*"), "LOGIN", {"cancelled": True}, prompts=2, principal="tim", reason="cancelled")
    expect(run("LOGIN", b"tim", b"pw", b"more"), "LOGIN", secret_at=40, well_formed=False, **secret)


def test_login_after_a_loss_never_shows_a_password_as_a_name():
    expect(run("LOGIN", "lost", ("S", b"Password:"), b"pw"), "LOGIN", prompts=1, secret=b"pw", secret_at=20, exposure="password")
    expect(run("LOGIN", "lost", ("S", b"Username:"), b"tim", ("S", b"x"), b"pw"), "LOGIN", prompts=2, principal="tim", secret=b"pw", secret_at=40, exposure="password")
    expect(run("LOGIN", "lost", b"pw"), "LOGIN", well_formed=False)
    expect(run("LOGIN", ("S", b"Username:"), "lost", b"pw"), "LOGIN", prompts=1, well_formed=False)
    expect(run("LOGIN", "lost", ("S", b"???"), b"pw"), "LOGIN", prompts=1, well_formed=False)
    expect(run("LOGIN", ("S", b"Username:"), b"tim", "lost", b"pw"), "LOGIN", prompts=1, principal="tim", secret=b"pw", secret_at=40, exposure="password")


DIGEST = b"0123456789abcdef0123456789ABCDEF"


def test_cram_md5():
    expect(run("CRAM-MD5", ("S", b"<1.2@x>"), b"tim tom " + DIGEST), "CRAM-MD5", {"challenge_seen": True}, prompts=1,
           principal="tim tom", secret=DIGEST, secret_at=20, exposure="guessable")
    expect(run("CRAM-MD5", b"tim " + DIGEST), "CRAM-MD5", {"challenge_seen": False}, principal="tim", secret=DIGEST, secret_at=20, exposure="guessable")
    expect(run("CRAM-MD5", ("S", b"<1.2@x>"), b"tim abc"), "CRAM-MD5", {"challenge_seen": True}, prompts=1, well_formed=False)


def test_digest_md5():
    challenge = b'realm="a.example",nonce="n1",qop="auth,auth-int",algorithm=md5-sess,charset=utf-8'
    answer = (b'charset=utf-8,username="ti\\"m",realm="a.example",nonce="n1",nc=00000001,cnonce="c1",digest-uri="smtp/a.example",response=' + DIGEST + b",qop=auth-conf,cipher=rc4")
    expect(run("DIGEST-MD5", ("S", challenge), answer, ("S", b"rspauth=x"), b""), "DIGEST-MD5",
           {"challenge_seen": True, "realm": "a.example", "qop": "auth-conf", "cipher": "rc4", "digest_uri": "smtp/a.example"}, prompts=2,
           principal='ti"m', domain="a.example", secret=DIGEST, secret_at=20, exposure="guessable")
    expect(run("DIGEST-MD5", ("S", challenge), b"username=tim"), "DIGEST-MD5", {"challenge_seen": True, "realm": None, "qop": "auth"}, prompts=1, principal="tim", well_formed=False)
    expect(run("DIGEST-MD5", ("S", challenge)), "DIGEST-MD5", {"challenge_seen": True, "realm": "a.example"}, prompts=1)


def test_pairs_stop_at_the_first_thing_that_is_none_and_take_linear_time():
    assert read_pairs(b'a=1, b="x,y" ,c=') == {"a": b"1", "b": b"x,y", "c": b""}
    assert read_pairs(b"a=1,!!,b=2") == {"a": b"1"}
    started = time.process_time()
    for hostile in (b" " * 8000, b'a="' * 2700, b'a="\\"' * 1600, b"a=" + b"\\" * 8000, b"," * 8000):
        read_pairs(hostile)
    assert time.process_time() - started < 0.5


FIRST, SERVER_FIRST = b"n,,n=ti=2Cm=3D,r=abc", b"r=abcdef,s=c2FsdHNhbHQ=,i=4096"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS"])
def test_scram(mechanism):
    expect(run(mechanism, FIRST, ("S", SERVER_FIRST), b"c=biws,r=abcdef,p=cHJvb2Y=", ("S", b"v=eA=="), b"", initial=True), mechanism,
           {"challenge_seen": True, "salt_length": 8, "iterations": 4096, "low_iterations": False}, initial=True, prompts=2,
           principal="ti,m=", secret=b"cHJvb2Y=", secret_at=20, exposure="guessable")


def test_scram_variants():
    expect(run("SCRAM-SHA-1", b"p=tls-unique,a=boss,n=tim,r=x", ("S", b"r=xy,s=AAAA,i=1000")), "SCRAM-SHA-1",
           {"challenge_seen": True, "salt_length": 3, "iterations": 1000, "low_iterations": True}, prompts=1, principal="tim", authzid="boss")
    expect(run("SCRAM-SHA-1", b"y,,n=tim,r=x", b"c=eSws,r=xy,p=cA=="), "SCRAM-SHA-1", {"challenge_seen": False}, principal="tim", secret=b"cA==", secret_at=40, exposure="guessable")
    expect(run("SCRAM-SHA-1", b"tim"), "SCRAM-SHA-1", {"challenge_seen": False}, well_formed=False)
    expect(run("SCRAM-SHA-1", FIRST, ("S", b"r=x,s=AAAA,i=many")), "SCRAM-SHA-1", {"challenge_seen": True, "salt_length": 3}, prompts=1, principal="ti,m=", well_formed=False)


def jwt(payload) -> bytes:
    parts = (json.dumps({"alg": "RS256"}).encode(), payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts) + b".c2ln"


def test_oauth():
    token = jwt({"iss": "https://id.example/", "aud": ["mail", "x"], "exp": 1700000000.5, "name": "never kept"})
    fields = {"principal": "tim@example.com", "secret": token, "secret_at": 7, "exposure": "token"}
    details = {"token_type": "JWT", "jwt_iss": "https://id.example/", "jwt_aud": "mail x", "jwt_exp": 1700000000}
    expect(run("XOAUTH2", b"user=tim@example.com\1auth=Bearer " + token + b"\1\1", initial=True), "XOAUTH2", details, initial=True, **fields)
    expect(run("OAUTHBEARER", b"n,a=tim@example.com,\1host=x\1port=143\1auth=Bearer " + token + b"\1\1", initial=True), "OAUTHBEARER", details, initial=True, **fields)
    expect(run("XOAUTH2", b"user=tim\1auth=Bearer opaque\1\1", ("S", b'{"status":"400"}'), b"", initial=True, result="failed"), "XOAUTH2",
           {"token_type": "opaque"}, initial=True, prompts=1, result="failed", principal="tim", secret=b"opaque", secret_at=7, exposure="token")


@pytest.mark.parametrize("token", [b"", b"\1"])
def test_oauth_error_answers_are_no_credential(token):
    expect(run("OAUTHBEARER", ("S", b'{"status":"invalid_token"}'), token), "OAUTHBEARER", prompts=1)


@pytest.mark.parametrize("payload", [b"", b"[" * 3000, b"1" * 5000, b'{"exp": 1e999, "iss": 5, "aud": {}}', b'{"exp": true}', b"\xff\xfe", b"{" + b'"a":{' * 1000])
def test_hostile_token_payloads(payload):
    login = run("XOAUTH2", b"user=tim\1auth=Bearer " + jwt(payload) + b"\1\1")
    assert login.exposure == "token" and "jwt_exp" not in login.details


def test_malformed_oauth():
    expect(run("XOAUTH2", b"user=tim\1auth=Basic x\1\1"), "XOAUTH2", principal="tim", well_formed=False)
    expect(run("XOAUTH2", b"tim"), "XOAUTH2", well_formed=False)


def test_external_anonymous_and_unknown_mechanisms():
    expect(run("EXTERNAL", b"=", initial=True), "EXTERNAL", initial=True)
    expect(run("EXTERNAL", b"tim", initial=True), "EXTERNAL", initial=True, principal="tim", authzid="tim")
    expect(run("ANONYMOUS", b"sirhc@example.com", initial=True), "ANONYMOUS", {"trace": "sirhc@example.com"}, initial=True)
    expect(run("X-ODD", b"\0tim\0pw"), "X-ODD")
    assert Exchange("smtp", "X" * 500, 0).mechanism == "X" * 40


def der(tag: int, *values: bytes) -> bytes:
    value = b"".join(values)
    length = bytes([len(value)]) if len(value) < 128 else b"\x82" + len(value).to_bytes(2, "big")
    return bytes([tag]) + length + value


def general(text: str) -> bytes:
    return der(0x1B, text.encode())


AP_REQ = der(0x60, kerberos.KRB5_OID, b"\1\0", der(0x6E, der(0x30, der(0xA0, b"\2\1\5"), der(0xA1, b"\2\1\x0e"), der(0xA2, b"\3\5\0\0\0\0\0"), der(0xA3, der(0x61, der(
    0x30, der(0xA0, b"\2\1\5"), der(0xA1, general("EXAMPLE.COM")), der(0xA2, der(0x30, der(0xA0, b"\2\1\3"), der(0xA1, der(0x30, general("smtp"), general("mx.example.com"))))),
    der(0xA3, der(0x30, der(0xA0, b"\2\1\x17"), der(0xA2, der(4, b"c" * 200))))))))))
TICKET = {"realm": "EXAMPLE.COM", "spn": "smtp/mx.example.com", "etype": 23, "ticket_etype": 23, "authenticator_etype": None}


def test_gssapi_ticket_and_layer():
    sealed = b"\x05\x04\x02\xff" + b"\0" * 40
    layer = b"\x05\x04\x00\xff\x00\x0c\x00\x00" + b"\0" * 8 + b"\4\0\xff\xff" + b"tim" + b"m" * 12
    rotated = b"\x05\x04\x00\xff\x00\x0c\x00\x0c" + b"\0" * 8 + b"m" * 12 + b"\1\0\xff\xff" + b"tim"
    secret = {"domain": "EXAMPLE.COM", "secret": AP_REQ, "secret_at": 7, "exposure": "ticket"}
    expect(run("GSSAPI", AP_REQ, ("S", b"x"), b"", ("S", b"y"), layer, initial=True), "GSSAPI", TICKET | {"layer": "confidentiality"}, initial=True, prompts=2, principal="tim", **secret)
    expect(run("GSSAPI", AP_REQ, rotated, initial=True), "GSSAPI", TICKET | {"layer": "none"}, initial=True, principal="tim", **secret)
    expect(run("GSSAPI", AP_REQ, sealed, initial=True), "GSSAPI", TICKET, initial=True, **secret)
    whole = gss(ap_req(18, 23, ("smtp", "mx.example.com"), "EXAMPLE.COM"))
    about = {"realm": "EXAMPLE.COM", "spn": "smtp/mx.example.com", "etype": 18, "ticket_etype": 18, "authenticator_etype": 23, "mutual": True}
    expect(run("GSS-SPNEGO", init(KERBEROS, token=whole), ("S", answer(0, KERBEROS)), layer, initial=True), "GSS-SPNEGO",
           about | {"spnego_offered": ["KERBEROS"], "spnego_selected": "KERBEROS", "layer": "confidentiality"}, initial=True, prompts=1, principal="tim", **secret | {"secret": whole})
    expect(run("GSSAPI", b"nonsense"), "GSSAPI", well_formed=False)


def test_every_cut_of_a_ticket_is_survived():
    for n in range(len(AP_REQ)):
        found = kerberos.find_ap_req(AP_REQ[:n])
        assert found is None or found.realm in ("", "EXAMPLE.COM")


def test_tokens_have_a_ceiling():
    login = run("PLAIN", *[b"x"] * (MAX_TOKENS + 3))
    assert login.well_formed is False


MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "GSS-SPNEGO", "GSSAPI", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "ANONYMOUS"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_nothing_raises_and_no_secret_is_shown(mechanism):
    chance = random.Random(mechanism)
    seeds = [b"\0tim\0pw", FIRST, SERVER_FIRST, b"c=biws,r=abcdef,p=cHJvb2Y=", b"tim " + DIGEST, b"user=tim\1auth=Bearer x.y.z\1\1", AP_REQ, b'username="tim",realm="x",response=' + DIGEST,
             b"NTLMSSP\0\3\0\0\0" + bytes(range(80)), b"NTLMSSP\0\2\0\0\0" + bytes(range(60))]
    for _ in range(400):
        exchange = Exchange("smtp", mechanism, 7)
        for _ in range(chance.randrange(5)):
            token = bytearray(chance.choice(seeds))
            for _ in range(chance.randrange(6)):
                token[chance.randrange(len(token))] = chance.randrange(256)
            token = bytes(token[:chance.randrange(len(token) + 1)])
            chance.choice((exchange.server, lambda value: exchange.client(value, 20), lambda value: exchange.lost()))(chance.choice((b64(token), token)))
        login = exchange.finish("unknown")
        if login.secret is not None:
            assert login.exposure != "none" and login.secret_at == 20 and "***" in repr(login)


def test_an_encryption_type_is_a_number_of_four_octets():
    """A longer one would be a number that Python refuses to write down."""
    def ap_req(etype: bytes) -> bytes:
        def der(tag: int, *parts: bytes) -> bytes:
            inner = b"".join(parts)
            return bytes((tag, 0x82)) + len(inner).to_bytes(2, "big") + inner
        ticket = der(0x61, der(0x30, der(0xA1, der(0x1B, b"EXAMPLE.COM")), der(0xA3, der(0x30, der(0xA0, der(2, etype))))))
        return kerberos.KRB5_OID + b"\1\0" + der(0x6E, der(0x30, der(0xA3, ticket)))

    found = [kerberos.find_ap_req(ap_req(etype)) for etype in (b"\x17", b"\xff", b"\x7f" * 4, b"\x7f" * 5, b"\x7f" * 4000, b"")]
    assert [ticket.ticket_etype for ticket in found] == [23, -1, 0x7F7F7F7F, None, None, 0]
    assert found[4].realm == "EXAMPLE.COM"
