"""RPC over HTTP: RTS PDUs, channels and their cookies, version 1, echo and login requests."""
from __future__ import annotations

import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import converse, cut, merged, one_sided, same_however_cut

from pcapsec.protocols import rpc_http
from pcapsec.protocols.http import HttpParser
from pcapsec.protocols.rpc_http import ChannelReader, echo_answer, read_rts, virtual_connection
from pcapsec.records import CLIENT, SERVER, Facts, Handover, RpcChannel

CONNECTION, OTHER, INBOUND, OUTBOUND, GROUP = (bytes([n]) * 16 for n in (1, 2, 3, 4, 5))


def command(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<I", kind) + content


def rts(*commands: bytes, flags: int = 0) -> bytes:
    """[MS-RPCH] §2.2.3.6.1"""
    body = struct.pack("<HH", flags, len(commands)) + b"".join(commands)
    return struct.pack("<BBBB4sHHI", 5, 0, 20, 3, b"\x10\0\0\0", 16 + len(body), 0, 0) + body


def pdu(kind: int, body: bytes, big: bool = False) -> bytes:
    return struct.pack((">" if big else "<") + "BBBB4sHHI", 5, 0, kind, 3, b"\0\0\0\0" if big else b"\x10\0\0\0", 16 + len(body), 0, 7) + body


VERSION, WINDOW = command(6, b"\1\0\0\0"), command(0, b"\0\0\1\0")
CONN_A1 = rts(VERSION, command(3, CONNECTION), command(3, OUTBOUND), WINDOW)
CONN_B1 = rts(VERSION, command(3, CONNECTION), command(3, INBOUND), command(4, b"\0\0\0\x40"), command(5, b"\xe0\x93\4\0"), command(12, GROUP))
CONN_A3 = rts(command(2, b"\xc0\xd4\1\0"))
CONN_C2 = rts(VERSION, WINDOW, command(2, b"\xc0\xd4\1\0"))
FLOW_ACK = rts(command(13, bytes(4)), command(1, struct.pack("<II", 9, 9) + OUTBOUND), flags=2)
PING = rts(flags=1)
BIND, BIND_ACK, REQUEST, RESPONSE = pdu(11, b"b" * 60), pdu(12, b"a" * 50), pdu(0, b"r" * 500), pdu(2, b"s" * 300, big=True)

IN_HEAD = b"RPC_IN_DATA /rpc/rpcproxy.dll?mail.example:6001 HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1073741824\r\nUser-Agent: MSRPC\r\n\r\n"
OUT_HEAD = b"RPC_OUT_DATA /rpc/rpcproxy.dll?mail.example:6001 HTTP/1.1\r\nHost: proxy\r\nContent-Length: 76\r\n\r\n"
OUT_ANSWER = b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n"

INBOUND_TURNS = [(CLIENT, IN_HEAD), (CLIENT, CONN_B1 + BIND), (CLIENT, PING + REQUEST + FLOW_ACK)]
OUTBOUND_TURNS = [(CLIENT, OUT_HEAD + CONN_A1), (SERVER, OUT_ANSWER + CONN_A3), (SERVER, CONN_C2 + BIND_ACK), (SERVER, RESPONSE)]


def test_sizes_of_the_specification():
    """§2.2.4.2 and §2.2.4.5 give these as fragment lengths."""
    assert (len(CONN_A1), len(CONN_B1), len(CONN_A3), len(CONN_C2)) == (76, 104, 28, 44)


def test_commands():
    assert read_rts(CONN_B1) == [(6, b"\1\0\0\0"), (3, CONNECTION), (3, INBOUND), (4, b"\0\0\0\x40"), (5, b"\xe0\x93\4\0"), (12, GROUP)]
    assert read_rts(rts(command(8, b"\3\0\0\0xyz"), command(11, bytes(4) + b"\x0a\0\0\1" + bytes(12)), command(11, b"\1\0\0\0" + bytes(28)), command(7))) == [
        (8, b"\3\0\0\0xyz"), (11, bytes(4) + b"\x0a\0\0\1" + bytes(12)), (11, b"\1\0\0\0" + bytes(28)), (7, b"")]


@pytest.mark.parametrize("bad", [CONN_B1[:19], CONN_B1[:-1], rts(command(15, bytes(40))), rts(command(8, b"\xff\xff\xff\xff")), rts(command(11)), rts(*[command(7)] * 65)])
def test_commands_that_lie(bad):
    assert read_rts(bad) is None


@pytest.mark.parametrize("opened, expected", [
    (CONN_A1, CONNECTION), (CONN_B1, CONNECTION), (rts(VERSION, command(3, CONNECTION), command(3, INBOUND), command(3, OUTBOUND), flags=4), CONNECTION),
    (rts(command(3, INBOUND)), None), (rts(command(13, bytes(4)), command(3, INBOUND), VERSION, flags=16), None), (CONN_A3, None)])
def test_which_cookie_is_the_virtual_connection(opened, expected):
    assert virtual_connection(read_rts(opened)) == expected


def test_in_channel():
    parser = same_however_cut(HttpParser, INBOUND_TURNS)
    at = len(IN_HEAD + CONN_B1)
    assert parser.facts.channels == [RpcChannel(
        side=CLIENT, virtual_connection=CONNECTION, association_group=GROUP, target="mail.example:6001", n_bytes=len(BIND + REQUEST),
        pieces=[(at, BIND), (at + len(BIND + PING), REQUEST)])]
    row = parser.http.requests[0]
    assert (row.method, row.service, row.rpc_target, row.status, row.request_bytes) == ("RPC_IN_DATA", "rpc-proxy", "mail.example:6001", None, len(CONN_B1 + BIND + PING + REQUEST + FLOW_ACK))


def test_out_channel():
    parser = same_however_cut(HttpParser, OUTBOUND_TURNS)
    at = len(OUT_ANSWER + CONN_A3 + CONN_C2)
    assert parser.facts.channels == [RpcChannel(
        side=SERVER, virtual_connection=CONNECTION, target="mail.example:6001", n_bytes=len(BIND_ACK + RESPONSE), pieces=[(at, BIND_ACK), (at + len(BIND_ACK), RESPONSE)])]
    assert [(row.method, row.status, row.response_type) for row in parser.http.requests] == [("RPC_OUT_DATA", 200, "application/rpc")]


def test_out_channel_of_the_server_side_alone():
    channel, = one_sided(HttpParser, OUTBOUND_TURNS, SERVER).facts.channels
    assert (channel.side, channel.virtual_connection, [piece for _, piece in channel.pieces]) == (SERVER, None, [BIND_ACK, RESPONSE])


def test_out_channel_of_the_client_side_alone():
    channel, = one_sided(HttpParser, OUTBOUND_TURNS, CLIENT).facts.channels
    assert (channel.virtual_connection, channel.pieces) == (CONNECTION, [])


def test_login_before_the_channel():
    """The requests of a login have no body, or one below 17 bytes; a proxy's echo is no channel either."""
    first = IN_HEAD.replace(b"1073741824", b"0").replace(b"\r\n\r\n", b"\r\nAuthorization: Basic YTpi\r\n\r\n")
    echo = IN_HEAD.replace(b"1073741824", b"4") + b"echo"
    turns = [(CLIENT, first), (SERVER, b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"), (CLIENT, echo),
             (SERVER, b"HTTP/1.1 200 Ok\r\nContent-Type: application/rpc\r\nContent-Length: 20\r\n\r\n" + rts(flags=64)), (CLIENT, IN_HEAD + CONN_B1 + BIND)]
    facts = same_however_cut(HttpParser, turns).facts
    assert [(row.status, row.request_bytes) for row in facts.http.requests] == [(401, 0), (200, 4), (None, len(CONN_B1 + BIND))]
    assert [(len(channel.pieces), channel.virtual_connection) for channel in facts.channels] == [(1, CONNECTION)]
    assert [(login.principal, login.details["service"]) for login in facts.logins] == [("a", "rpc-proxy")]


@pytest.mark.parametrize("turns, result", [(INBOUND_TURNS, "success"), (INBOUND_TURNS[:1] + [(CLIENT, CONN_B1)], "unknown")])
def test_calls_on_a_channel_show_that_its_login_was_accepted(turns, result):
    """An IN channel gets no answer while it lasts."""
    asking = IN_HEAD.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic YTpi\r\n\r\n")
    facts = same_however_cut(HttpParser, [(CLIENT, asking), *turns[1:]]).facts
    assert [(login.principal, login.result, login.reply_code) for login in facts.logins] == [("a", result, None)]


def test_refused_channel_is_left_out():
    turns = [(CLIENT, OUT_HEAD), (SERVER, b"HTTP/1.1 503 RPC Error: 6ba\r\nContent-Length: 30\r\n\r\n" + b"x" * 30)]
    assert same_however_cut(HttpParser, turns).facts.channels is None


def test_echo_answer():
    assert echo_answer(rts(flags=64)) and not echo_answer(rts(flags=1)) and not echo_answer(b"x" * 20)


def test_chunked_channel():
    """Proxies between may chunk a body anew; a PDU then lies in several chunks."""
    body = CONN_A3 + CONN_C2 + BIND_ACK + RESPONSE
    pieces = [body[at:at + 100] for at in range(0, len(body), 100)]
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    channel, = same_however_cut(HttpParser, [(CLIENT, OUT_HEAD + CONN_A1), (SERVER, answer)]).facts.channels
    assert ([piece for _, piece in channel.pieces], channel.complete) == ([BIND_ACK, RESPONSE], True)


def test_lost_bytes_in_a_channel():
    parser = same_however_cut(HttpParser, INBOUND_TURNS[:2] + [(CLIENT, REQUEST[:100]), (CLIENT, 1000), (CLIENT, b"\5\0tail\5" + REQUEST + PING + REQUEST)])
    channel, = parser.facts.channels
    assert ([piece for _, piece in channel.pieces], channel.complete, parser.facts.anomalies) == ([BIND, REQUEST, REQUEST], False, [])


def test_damaged_channel_finds_its_way_back():
    parser = same_however_cut(HttpParser, INBOUND_TURNS[:2] + [(CLIENT, b"junk" * 20 + REQUEST)])
    channel, = parser.facts.channels
    assert ([piece for _, piece in channel.pieces], channel.complete, [one.code for one in parser.facts.anomalies]) == ([BIND, REQUEST], False, ["rpc-channel-damaged"])


def test_unfinished_pdu():
    channel, = same_however_cut(HttpParser, INBOUND_TURNS[:2] + [(CLIENT, REQUEST[:100])]).facts.channels
    assert ([piece for _, piece in channel.pieces], channel.complete) == ([BIND], False)


def test_second_cookie_on_one_channel():
    again = rts(VERSION, command(3, OTHER), command(3, INBOUND))
    parser = same_however_cut(HttpParser, INBOUND_TURNS[:2] + [(CLIENT, again + REQUEST)])
    assert (parser.facts.channels[0].virtual_connection, [one.code for one in parser.facts.anomalies]) == (CONNECTION, ["rpc-channel-cookie-changed"])


def test_channels_are_bounded(monkeypatch):
    monkeypatch.setattr(rpc_http, "MAX_CHANNEL_BYTES", 1200)
    parser = same_however_cut(HttpParser, INBOUND_TURNS + [(CLIENT, REQUEST * 5 + BIND)])
    channel, = parser.facts.channels
    assert (channel.n_bytes, len(channel.pieces), channel.complete, [one.code for one in parser.facts.anomalies]) == (1108, 3, False, ["rpc-channel-too-large"])


# --- version 1

V1 = b"RPC_CONNECT mail.example:6001 HTTP/1.1\nUser-Agent: RPC\nContent-Length: 0\n\n"


def test_version_1_goes_on_as_rpc():
    turns = [(CLIENT, V1), (SERVER, b"HTTP/1.1 200 OK\r\n\r\nncacn_http/1.0"), (CLIENT, BIND)]
    parser = same_however_cut(HttpParser, turns)
    assert (parser.handover.to, parser.handover.at) == ("dcerpc", (len(V1), 19))
    assert converse(HttpParser, turns).handover == Handover(to="dcerpc", rest=(b"", b"ncacn_http/1.0"), at=(len(V1), 19))
    row = parser.http.requests[0]
    assert (row.method, row.host, row.service, row.rpc_target, row.status) == ("RPC_CONNECT", "mail.example", "rpc-proxy", "mail.example:6001", 200)


def test_version_1_of_the_client_side_alone():
    parser = converse(HttpParser, [(CLIENT, V1), (CLIENT, BIND)])
    assert parser.handover == Handover(to="dcerpc", rest=(BIND, b""), at=(len(V1), 0))


def test_version_1_that_is_refused():
    parser = same_however_cut(HttpParser, [(CLIENT, V1), (SERVER, b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"), (CLIENT, V1),
                                           (SERVER, b"HTTP/1.1 200 OK\r\n\r\n")])
    assert ([(row.status, row.auth_offered) for row in parser.http.requests], parser.handover.to) == ([(407, ("BASIC",)), (200, ())], "dcerpc")


# --- anything

@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([CONN_B1, BIND, PING, REQUEST, RESPONSE, b"\5\0\x14\3\x10\0\0\0\x10\0", b"\5"]), st.binary(max_size=60)), max_size=8), st.integers(0, 100))
def test_reader_says_the_same_however_its_bytes_are_cut(parts, seed):
    data, chance = b"".join(parts), random.Random(seed)
    outcomes = []
    for sizes in (lambda: len(data) or 1, lambda: 1, lambda: chance.randint(1, 40)):
        facts, channel = Facts(), RpcChannel(side=CLIENT)
        reader, at = ChannelReader(channel, facts, CLIENT), 0
        for _, piece in cut(merged([(CLIENT, data)]), sizes):
            reader.feed(piece, at)
            at += len(piece)
        reader.finish()
        outcomes.append((channel, facts.anomalies))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("filler", [b"\5", b"\5\0\x14\3\x10\0\0\0\xff\xff", b"\5\0\x14\3\x10\0\0\0\0\0", b"x", b"\5\0\0\3\x10\0\0\0\x10\0\0\0\0\0\0\0"])
def test_small_pieces_cost_no_more_than_their_number(filler):
    data = filler * (200_000 // len(filler))
    began = time.process_time()
    for step in (2, 1 << 20):
        reader = ChannelReader(RpcChannel(side=CLIENT), Facts(), CLIENT)
        for at in range(0, len(data), step):
            reader.feed(data[at:at + step], at)
        assert len(reader._held) <= 65535
    assert time.process_time() - began < 5
