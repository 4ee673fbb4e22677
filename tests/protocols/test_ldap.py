"""LDAP: binds of every kind, StartTLS, the root DSE, security layers."""
from __future__ import annotations

import pytest
from helpers import CLIENT, SERVER, converse, one_sided, same_however_cut, told
from ldap_bytes import (
    CLIENT_HELLO, DONE, SERVER_HELLO, STARTTLS, UNBIND, bind, challenge, der, entry, extended, extended_answer, message, result, sasl, search, simple, wrapped)
from security_tokens import KERBEROS, NTLM, answer, ap_rep, ap_req, authenticate, gss, init, negotiate
from security_tokens import challenge as ntlm_challenge

from pcapsec.protocols.ldap import LdapParser
from pcapsec.protocols.ldap_messages import MAX_MESSAGE_BYTES
from pcapsec.records import Facts, Login
from pcapsec.secret import Secret

DN = b"cn=admin,dc=example,dc=com"


def c(*data: bytes):
    return [(CLIENT, one) for one in data]


def s(*data: bytes):
    return [(SERVER, one) for one in data]


def ldap(*turns, **keywords) -> Facts:
    return same_however_cut(LdapParser, [turn for part in turns for turn in part], **keywords).facts


def login(*turns) -> dict:
    """The only login, without what the mechanism's own tests look at."""
    facts = ldap(*turns)
    assert len(facts.logins) == 1
    out = told(facts.logins[0], "details")
    out.pop("secret", None)
    return out


def test_whole_conversation():
    first, second = simple(1, DN, b"secret"), search(2)
    facts = ldap(c(first), s(result(1)), c(second), s(entry(2), entry(2), result(2, tag=DONE)), c(UNBIND))
    assert facts == Facts(
        protocol="ldap", starttls_requested=False, first_clear_command="BIND", first_clear_command_at=0, accepted_clear_command="BIND",
        accepted_clear_code="0", n_commands=3, n_replies=2,
        logins=[Login(
            protocol="ldap", mechanism="SIMPLE-BIND", at=0, principal=DN.decode(), secret=Secret(b"secret"), secret_at=0, exposure="password",
            result="success", reply_code="0")])


def test_the_login_stands_where_its_message_does():
    facts = ldap(c(search(1)), s(result(1, tag=DONE)), c(simple(2, DN, b"secret")), s(result(2)))
    assert (facts.logins[0].at, facts.logins[0].secret_at) == (len(search(1)), len(search(1)))
    assert (facts.first_clear_command, facts.accepted_clear_command) == ("SEARCH", "SEARCH")


@pytest.mark.parametrize("name, password, expected", [
    (b"", b"", {"details": {"anonymous": True}}),
    (DN, b"", {"principal": DN.decode(), "details": {"unauthenticated": True}}),
    (b"", b"secret", {"secret": b"secret", "secret_at": 0, "exposure": "password"}),
    ("cn=Jörg".encode(), b"p\xff", {"principal": "cn=Jörg", "secret": b"p\xff", "secret_at": 0, "exposure": "password"}),
])
def test_simple_binds(name, password, expected):
    facts = ldap(c(simple(1, name, password)), s(result(1)))
    assert told(facts.logins[0]) == {"protocol": "ldap", "mechanism": "SIMPLE-BIND", "at": 0, "result": "success", "reply_code": "0"} | expected


def test_version_2_and_kerberos_4():
    facts = ldap(c(simple(1, DN, b"secret", version=2)), s(result(1)), c(bind(2, DN, der(0x81, b"ticket"))), s(result(2, 7)), c(bind(3, DN, b"")), s(result(3, 2)))
    assert [(one.mechanism, one.exposure, one.result, one.well_formed, one.details) for one in facts.logins] == [
        ("SIMPLE-BIND", "password", "success", True, {"ldap_version": 2}), ("KERBEROS-V4", "none", "failed", True, {}), ("UNKNOWN-BIND", "none", "failed", False, {})]


def ad(code: str) -> bytes:
    return f"80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {code}, v3839\0".encode()


@pytest.mark.parametrize("code, text, outcome, details, encryption", [
    (49, b"", ("failed", "wrong-credentials", "49"), {}, None),
    (49, ad("52e"), ("failed", "wrong-credentials", "49"), {"ad_error": "52e"}, None),
    (49, ad("775"), ("failed", "locked", "49"), {"ad_error": "775"}, None),
    (49, ad("532"), ("failed", "locked", "49"), {"ad_error": "532"}, None),
    (8, b"signing required", ("failed", "refused", "8"), {}, "8"),
    (13, b"confidentiality required", ("failed", "refused", "13"), {}, "13"),
    (53, b"", ("failed", "refused", "53"), {}, None),
    (51, b"", ("unknown", "temporary", "51"), {}, None),
    (10, b"", ("unknown", None, "10"), {}, None),
    (2, b"", ("failed", "malformed", "2"), {}, None),
    (80, b"", ("failed", None, "80"), {}, None),
])
def test_results(code, text, outcome, details, encryption):
    facts = ldap(c(simple(1, DN, b"secret")), s(result(1, code, text=text)))
    one = facts.logins[0]
    assert ((one.result, one.reason, one.reply_code), one.details, facts.encryption_required_code) == (outcome, details, encryption)
    assert facts.accepted_clear_command is None


def test_binds_are_matched_by_message_id():
    facts = ldap(c(simple(5, b"cn=a", b"1"), simple(6, b"cn=b", b"2")), s(result(6, 49), result(5)))
    assert [(one.principal, one.result) for one in facts.logins] == [("cn=a", "success"), ("cn=b", "failed")]


@pytest.mark.parametrize("turns", [
    (c(sasl(1, b"NTLM", negotiate())), s(challenge(1, ntlm_challenge())), c(sasl(2, b"NTLM", authenticate())), s(result(2))),
    (c(sasl(1, b"GSS-SPNEGO", init(NTLM, token=negotiate()))), s(challenge(1, answer(1, NTLM, ntlm_challenge()))),
     c(sasl(2, b"gss-spnego", answer(token=authenticate()))), s(result(2, 0, der(0x87, answer(0))))),
    (c(bind(1, b"", der(0x89, b""))), s(result(1, matched=b"NTLM")), c(bind(2, b"NTLM", der(0x8A, negotiate()))), s(result(2, matched=ntlm_challenge())),
     c(bind(3, b"", der(0x8B, authenticate()))), s(result(3))),
], ids=["ntlm", "spnego", "sicily"])
def test_ntlm(turns):
    facts = ldap(*turns)
    client = [data for part in turns for side, data in part if side == CLIENT]
    assert len(facts.logins) == 1
    one = facts.logins[0]
    assert (one.mechanism, one.principal, one.domain, one.exposure, one.result, one.reply_code) == ("NTLM", "tim", "CORP", "guessable", "success", "0")
    assert (one.secret, one.secret_at, one.at) == (Secret(b"\x22" * 60), sum(len(data) for data in client[:-1]), 0)
    assert (one.details["ntlm_version"], one.details["server_challenge_seen"]) == ("NTLMv2", True)
    assert one.details["sasl_mechanism"] in ("NTLM", "GSS-SPNEGO", "SICILY")


def test_kerberos():
    turns = (c(sasl(1, b"GSSAPI", gss(ap_req(spn=("ldap", "dc1.corp.example"))))), s(challenge(1, gss(ap_rep(), b"\2\0"))), c(sasl(2, b"GSSAPI", b"")),
             s(challenge(2, b"\x05\x04" + bytes(30))), c(sasl(3, b"GSSAPI", b"\x05\x04" + bytes(30))), s(result(3)))
    facts = ldap(*turns)
    one = facts.logins[0]
    assert len(facts.logins) == 1
    assert (one.mechanism, one.domain, one.exposure, one.result, one.details["spn"], one.details["ticket_etype"]) == (
        "GSSAPI", "CORP.EXAMPLE", "ticket", "success", "ldap/dc1.corp.example", 18)


DIGEST_1 = b'realm="example.com",nonce="abc",qop="auth,auth-int,auth-conf",algorithm=md5-sess,charset=utf-8'
DIGEST_2 = b'username="joe",realm="example.com",nonce="abc",nc=00000001,cnonce="x",digest-uri="ldap/h",qop=auth,response=0123456789abcdef0123456789abcdef'


@pytest.mark.parametrize("turns, expected", [
    (c(sasl(1, b"PLAIN", b"\0joe\0secret")) + s(result(1)), ("PLAIN", "joe", "password", b"secret", "success")),
    (c(sasl(1, b"DIGEST-MD5")) + s(challenge(1, DIGEST_1)) + c(sasl(2, b"DIGEST-MD5", DIGEST_2)) + s(challenge(2, b"rspauth=00", 0)),
     ("DIGEST-MD5", "joe", "guessable", b"0123456789abcdef0123456789abcdef", "success")),
    (c(sasl(1, b"CRAM-MD5")) + s(challenge(1, b"<1.2@example>")) + c(sasl(2, b"CRAM-MD5", b"joe " + b"0f" * 16)) + s(result(2, 49)),
     ("CRAM-MD5", "joe", "guessable", b"0f" * 16, "failed")),
    (c(sasl(1, b"EXTERNAL", b"")) + s(result(1, 48)), ("EXTERNAL", None, "none", None, "failed")),
    (c(sasl(1, b"ANONYMOUS", b"joe@example.com")) + s(result(1)), ("ANONYMOUS", None, "none", None, "success")),
    (c(sasl(1, b"X-OWN", b"??", name=DN)) + s(result(1, 7)), ("X-OWN", DN.decode(), "none", None, "failed")),
])
def test_text_mechanisms(turns, expected):
    one = ldap(turns).logins
    assert len(one) == 1
    one = one[0]
    assert (one.mechanism, one.principal, one.exposure, one.secret and one.secret.reveal(), one.result) == expected


def test_an_abandoned_exchange_ends_with_the_next():
    facts = ldap(c(sasl(1, b"DIGEST-MD5")), s(challenge(1, DIGEST_1)), c(sasl(2, b"GSS-SPNEGO", gss(ap_req()))), s(result(2)))
    assert [(one.mechanism, one.result, one.reason) for one in facts.logins] == [("DIGEST-MD5", "unknown", "cancelled"), ("GSSAPI", "success", None)]


def test_guesses_one_after_the_other():
    turns = []
    for number in range(0, 10, 2):
        turns += c(sasl(number, b"NTLM", negotiate())) + s(challenge(number, ntlm_challenge()))
        turns += c(sasl(number + 1, b"NTLM", authenticate(user=f"user{number}"))) + s(result(number + 1, 49))
    assert [(one.principal, one.result) for one in ldap(turns).logins] == [(f"user{number}", "failed") for number in range(0, 10, 2)]
    alone = one_sided(LdapParser, turns, CLIENT).facts
    assert [(one.principal, one.result, one.details["server_challenge_seen"]) for one in alone.logins] == [(f"user{n}", "unknown", False) for n in range(0, 10, 2)]


# --- one side only

def test_only_the_client():
    turns = c(simple(1, DN, b"secret")) + s(result(1)) + c(sasl(2, b"PLAIN", b"\0joe\0pw")) + s(result(2))
    facts = one_sided(LdapParser, turns, CLIENT).facts
    assert [(one.mechanism, one.exposure, one.result) for one in facts.logins] == [("SIMPLE-BIND", "password", "unknown"), ("PLAIN", "password", "unknown")]
    assert (facts.n_commands, facts.n_replies, facts.starttls_requested) == (2, 0, False)


def test_only_the_server():
    facts = one_sided(LdapParser, c(simple(1, DN, b"secret")) + s(result(1, 13)), SERVER).facts
    assert told(facts) == {"protocol": "ldap", "encryption_required_code": "13", "n_replies": 1}


# --- StartTLS

def test_starttls():
    asked, agreed = extended(1, STARTTLS), extended_answer(1, name=STARTTLS)
    parser = same_however_cut(LdapParser, c(asked) + s(agreed) + c(CLIENT_HELLO) + s(SERVER_HELLO))
    assert told(parser.facts) == {
        "protocol": "ldap", "starttls_requested": True, "starttls_requested_at": 0, "starttls_verb": "STARTTLS", "starttls_accepted": True,
        "starttls_reply_code": "0", "starttls_reply_text": "", "starttls_answered_at": 0, "n_starttls_requests": 1, "tls_started": True, "n_commands": 1,
        "n_replies": 1}
    parser = converse(LdapParser, c(asked) + s(agreed) + c(CLIENT_HELLO))
    assert (parser.handover.to, parser.handover.rest, parser.handover.at) == ("tls", (CLIENT_HELLO, b""), (len(asked), 0))


def test_starttls_answered_without_a_name():
    parser = same_however_cut(LdapParser, c(extended(9, STARTTLS)) + s(extended_answer(9)) + c(CLIENT_HELLO))
    assert (parser.facts.starttls_accepted, parser.handover.to) == (True, "tls")


def test_starttls_refused():
    facts = ldap(c(extended(1, STARTTLS)), s(extended_answer(1, 2, text=b"unsupported extended operation")), c(simple(2, DN, b"secret")), s(result(2)))
    assert (facts.starttls_accepted, facts.starttls_reply_code, facts.starttls_reply_text) == (False, "2", "unsupported extended operation")
    assert (facts.logins[0].exposure, facts.logins[0].at, facts.first_clear_command_at) == ("password", len(extended(1, STARTTLS)), len(extended(1, STARTTLS)))


def test_pipelined_behind_starttls():
    asked, more = extended(1, STARTTLS), search(2)
    parser = same_however_cut(LdapParser, c(asked + more + CLIENT_HELLO) + s(extended_answer(1)))
    assert (parser.facts.injected_client_bytes, parser.handover.rest[0], parser.handover.at[0]) == (len(more), CLIENT_HELLO, len(asked + more))
    assert [one.code for one in parser.facts.anomalies] == ["pipelined-behind-starttls"]


def test_pipelined_behind_a_refused_starttls():
    facts = ldap(c(extended(1, STARTTLS) + simple(2, DN, b"secret")), s(extended_answer(1, 1)))
    assert (facts.starttls_accepted, facts.logins[0].secret, facts.n_commands) == (False, Secret(b"secret"), 2)


def test_answers_before_the_first_record():
    agreed, injected = extended_answer(1), result(2)
    parser = converse(LdapParser, c(extended(1, STARTTLS)) + s(agreed + injected + SERVER_HELLO) + c(CLIENT_HELLO))
    assert (parser.facts.injected_server_bytes, parser.handover.rest, parser.handover.at[1]) == (len(injected), (CLIENT_HELLO, SERVER_HELLO), len(agreed + injected))


def test_clear_in_spite_of_yes():
    facts = ldap(c(extended(1, STARTTLS)), s(extended_answer(1)), c(simple(2, DN, b"secret")), s(result(2)))
    assert (facts.starttls_accepted, facts.tls_started, facts.cleartext_after_accept, facts.cleartext_after_accept_at) == (
        True, False, "BIND", len(extended(1, STARTTLS)))
    assert (facts.logins[0].exposure, facts.logins[0].result) == ("password", "success")


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_starttls_with_one_side_only(side):
    parser = one_sided(LdapParser, c(extended(1, STARTTLS)) + s(extended_answer(1, name=STARTTLS)) + c(CLIENT_HELLO) + s(SERVER_HELLO), side)
    assert (parser.facts.tls_started, parser.handover.to) == (True, "tls")
    assert parser.handover.rest == ((CLIENT_HELLO, b""), (b"", SERVER_HELLO))[side]


# --- the root DSE

def test_root_dse():
    asked, root = search(1, b"", 0, b"supportedExtension"), entry(1, b"", supportedExtension=[b"1.2.3", STARTTLS], supportedSASLMechanisms=[b"gssapi", b"EXTERNAL"])
    facts = ldap(c(asked), s(root + result(1, tag=DONE)))
    assert told(facts) == {
        "protocol": "ldap", "starttls_offered": True, "starttls_offered_at": 0, "starttls_requested": False, "auth_mechanisms": ("GSSAPI", "EXTERNAL"),
        "auth_mechanisms_at": 0, "n_commands": 1, "n_replies": 1}


@pytest.mark.parametrize("attributes, offered", [({"supportedExtension": [b"1.2.3"]}, False), ({"namingContexts": [b"dc=example"]}, None), ({}, None)])
def test_root_dse_without_starttls(attributes, offered):
    assert ldap(c(search(1, b"", 0)), s(entry(1, b"", **attributes))).starttls_offered is offered


# --- security layers

SEALED = b"\x05\x04\x06\xff" + b"\x99" * 60
SIGNED = b"\x05\x04\x04\xff\0\x0c\0\0" + bytes(8) + search(3) + b"\x88" * 12
RC4 = der(0x60, der(6, KERBEROS), b"\2\1\x11\0\x10\0\xff\xff" + b"\x99" * 60)


@pytest.mark.parametrize("mechanism, token, layer", [
    (b"GSSAPI", SEALED, "confidentiality"), (b"GSSAPI", SIGNED, "integrity"), (b"GSS-SPNEGO", RC4, "confidentiality"),
    (b"GSSAPI", RC4.replace(b"\x10\0\xff\xff", b"\xff\xff\xff\xff"), "integrity"),
])
def test_kerberos_layers(mechanism, token, layer):
    facts = ldap(c(sasl(1, mechanism, gss(ap_req()))), s(result(1)), c(wrapped(token), wrapped(token)), s(wrapped(token)))
    assert (facts.sasl_wrapped, [one.details.get("layer") for one in facts.logins], facts.n_commands, facts.anomalies) == (True, [layer], 1, [])


@pytest.mark.parametrize("body, layer", [(search(3), "integrity"), (b"\xa7" * 70, "confidentiality")])
def test_ntlm_layers(body, layer):
    turns = c(sasl(1, b"NTLM", negotiate())) + s(challenge(1, ntlm_challenge())) + c(sasl(2, b"NTLM", authenticate())) + s(result(2))
    facts = ldap(turns, c(wrapped(b"\1\0\0\0" + b"\x5a" * 12 + body)))
    assert (facts.sasl_wrapped, facts.logins[0].details["layer"]) == (True, layer)


@pytest.mark.parametrize("token, layer", [(search(3) + b"\x99" * 10 + b"\0\1\0\0\0\0", "integrity"), (b"\xa7" * 64 + b"\0\1\0\0\0\0", "confidentiality")])
def test_digest_layers(token, layer):
    turns = c(sasl(1, b"DIGEST-MD5")) + s(challenge(1, DIGEST_1)) + c(sasl(2, b"DIGEST-MD5", DIGEST_2)) + s(result(2))
    facts = ldap(turns, c(wrapped(token)))
    assert (facts.sasl_wrapped, facts.logins[0].details["layer"]) == (True, layer)


def test_a_layer_shows_that_the_bind_succeeded():
    facts = one_sided(LdapParser, c(sasl(1, b"GSSAPI", gss(ap_req())), wrapped(SEALED)), CLIENT).facts
    assert (facts.logins[0].result, facts.logins[0].reply_code, facts.sasl_wrapped) == ("success", None, True)


def test_no_layer_without_a_bind():
    facts = ldap(c(search(1), wrapped(SEALED)))
    assert (facts.sasl_wrapped, [one.code for one in facts.anomalies]) == (False, ["not-an-ldap-message"])


def test_no_layer_behind_a_bind():
    facts = ldap(c(sasl(1, b"GSSAPI", gss(ap_req()))), s(result(1)), c(search(2)), s(entry(2) + result(2, tag=DONE)))
    assert (facts.sasl_wrapped, facts.n_commands, "layer" in facts.logins[0].details) == (False, 2, False)


# --- long answers

def test_long_answers_are_not_kept():
    """A 10 MB entry in pieces, then many entries at once: nothing but a head is ever held."""
    parser = LdapParser()
    big = entry(1, jpegPhoto=[bytes(8_000_000)])
    for at in range(0, len(big), 1460):
        parser.feed(SERVER, big[at:at + 1460], at)
        assert len(parser._rest[SERVER]) < 32
    many = entry(1, cn=[b"x" * 400]) * 20_000
    parser.feed(SERVER, many, len(big))
    parser.feed(SERVER, result(1, tag=DONE), len(big) + len(many))
    parser.finish()
    assert (parser.facts.n_replies, parser.facts.anomalies) == (1, [])


def test_the_largest_message():
    head = b"\x30\x84" + MAX_MESSAGE_BYTES.to_bytes(4, "big") + b"\2\1\1" + b"\x64\x84" + (MAX_MESSAGE_BYTES - 9).to_bytes(4, "big") + b"\4\1x"
    parser = LdapParser()
    parser.feed(SERVER, head, 0)
    assert parser.facts.anomalies == []
    parser = LdapParser()
    parser.feed(SERVER, b"\x30\x84" + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + head[6:], 0)
    assert [one.code for one in parser.facts.anomalies] == ["not-an-ldap-message"]


def test_long_forms_of_lengths():
    """Windows writes four bytes of length everywhere."""
    def long(tag, *values):
        value = b"".join(values)
        return bytes([tag, 0x84]) + len(value).to_bytes(4, "big") + value

    facts = ldap(c(long(0x30, b"\2\1\1", long(0x60, b"\2\1\3", der(4, DN), der(0x80, b"secret")))), s(long(0x30, b"\2\1\1", long(0x61, b"\x0a\1\0\4\0\4\0"))))
    assert (facts.logins[0].secret, facts.logins[0].result) == (Secret(b"secret"), "success")


def test_controls():
    facts = ldap(c(message(1, der(0x60, b"\2\1\3", der(4, DN), der(0x80, b"secret")), der(0xA0, der(0x30, der(4, b"1.2.3"))))), c(search(2)))
    assert (facts.n_commands, facts.logins[0].secret) == (2, Secret(b"secret"))
