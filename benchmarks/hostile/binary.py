"""Conversations to mutate of services that carry mail or logins to it: DCE/RPC, HTTP, LDAP, SMB, TLS; DNS answers; and QUIC, whose mutations have to happen under its encryption."""
from __future__ import annotations

import random
import struct

import numpy

from tests import ldap_bytes as ldap
from tests import mapi_stubs as mapi
from tests import rpc_bytes as rpc
from tests import security_tokens as tokens
from tests import smb_bytes as smb
from tests import tls_bytes as tls
from tests.frames import Talk, ones_complement, pcap

from .mutations import Turn, mutate_bytes

CLIENT, SERVER = 0, 1
C, S = CLIENT, SERVER
MAIL = (0, rpc.EMSMDB, 0x510000)
FIRST, SECOND, THIRD = tokens.negotiate(), tokens.challenge(), tokens.authenticate()


def _spnego() -> tuple[bytes, bytes, bytes, bytes]:
    return tokens.init(tokens.KERBEROS, tokens.NTLM, token=FIRST), tokens.answer(1, tokens.NTLM, SECOND), tokens.answer(token=THIRD, mic=b"m" * 16), tokens.answer(0)


def _rpc() -> dict[str, list[Turn]]:
    first, second, third, fourth = _spnego()
    rops = mapi.rops(b"\xfe\0\0\1" + struct.pack("<IIH", 0, 0, len(mapi.USER)) + mapi.USER, b"\x07\0\0\0\0\0\0\2\0" + bytes(8))
    calls = [(C, rpc.request(2, 10, mapi.connect(auxiliary=mapi.header(mapi.auxiliary((2, bytes(8))))))), (S, rpc.response(2, mapi.connected()))]
    calls += [(C, rpc.request(3 + n, 11, mapi.rpc_ext(mapi.header(rops, flags)))) for n, flags in enumerate((4, 5, 6, 7))]
    calls += [(S, rpc.response(3 + n, mapi.rpc_ext_answer(mapi.header(rops, flags)))) for n, flags in enumerate((4, 5, 6, 7))]
    kerberos = [(C, rpc.bind(MAIL, (1, rpc.NSPI, 0x380000, rpc.NDR, rpc.NDR64), (2, rpc.FEATURES[0], 1, rpc.FEATURES), level=6, token=tokens.gss(tokens.ap_req(23, 17)), auth_type=16, flags=7)),
                (S, rpc.ack((0, 0, rpc.NDR), (2, 1, rpc.NDR), (3, 3, rpc.NDR), level=6, token=tokens.gss(tokens.ap_rep(), b"\2\0"), auth_type=16, flags=7)),
                (C, rpc.auth3(level=6, token=tokens.ap_rep(), auth_type=16)),
                (C, rpc.object_request(2, 11, b"x" * 40, level=6, token=b"\x05\x04\x06\xff" + bytes(28), auth_type=16)), (S, rpc.fault(2, 5))]
    return {
        "rpc-ntlm": rpc.ntlm_bind(2, MAIL) + calls,
        "rpc-spnego": [(C, rpc.bind(MAIL, level=5, token=first, auth_type=9)), (S, rpc.ack(level=5, token=second, auth_type=9)), (C, rpc.alter(MAIL, level=5, token=third, auth_type=9)),
                       (S, rpc.altered(level=5, token=fourth, auth_type=9)), (C, rpc.request(3, 11, b"stub", level=5, token=rpc.SIGNATURE, auth_type=9)),
                       (S, rpc.response(3, level=5, token=rpc.SIGNATURE, auth_type=9))],
        "rpc-kerberos": kerberos,
        "rpc-epm": [(C, rpc.bind((0, rpc.EPM, 3))), (S, rpc.ack()), (C, rpc.request(2, 3, bytes(80))), (S, rpc.response(2, rpc.mapped(rpc.tower(rpc.EMSMDB), rpc.tower(rpc.NSPI, kind=0x1F))))],
        "rpc-big-endian": [(C, rpc.bind(MAIL, order=">")), (S, rpc.ack(order=">")), (C, rpc.request(2, 11, mapi.rpc_ext(mapi.header(rops, 6), little=False), order=">"))],
        "rpc-fragments": rpc.ntlm_bind(5, MAIL) + [(C, rpc.request(2, 11, b"a" * 200, flags=1) + rpc.request(2, 11, b"b" * 200, flags=0) + rpc.request(2, 11, b"c", flags=2)),
                                                   (S, rpc.response(2, b"d" * 90, flags=1) + rpc.response(2, b"e", flags=2)), (C, rpc.pdu(18, b"", 2) + rpc.pdu(19, b"", 2))],
        "rpc-greeted": [(S, b"ncacn_http/1.0"), (C, rpc.bind((0, rpc.SAMR, 1))), (S, rpc.nak(8)), (C, rpc.bind(MAIL)), (S, rpc.ack())] + calls,
        "rpc-late": calls,
    }


def _http() -> dict[str, list[Turn]]:
    import base64

    def packed(data: bytes) -> bytes:
        return base64.b64encode(data)

    def ask(line: bytes, *fields: bytes, body: bytes = b"") -> Turn:
        return C, line + b" HTTP/1.1\r\nHost: mail.example\r\n" + b"".join(field + b"\r\n" for field in fields) + (b"Content-Length: %d\r\n" % len(body) if body else b"") + b"\r\n" + body

    def say(status: bytes, *fields: bytes, body: bytes = b"") -> Turn:
        return S, b"HTTP/1.1 " + status + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"Content-Length: %d\r\n\r\n" % len(body) + body

    first, second, third, fourth = _spnego()
    connection = struct.pack("<HHI", 0, 3, 6) + b"\1\0\0\0" + struct.pack("<I", 3) + b"c" * 16 + struct.pack("<I", 3) + b"i" * 16
    rts = struct.pack("<BBBB4sHHI", 5, 0, 20, 3, b"\x10\0\0\0", 16 + len(connection), 0, 0) + connection
    rops = mapi.header(mapi.rops(b"\x07\0\0\0\0\0\0\2\0" + bytes(8)), 6)
    execute = struct.pack("<II", 0, len(rops)) + rops + struct.pack("<II", 0x8007, 0)
    chunked = b"5;name=value\r\nhello\r\n%x\r\n" % 300 + b"x" * 300 + b"\r\n0\r\nTrailer: x\r\n\r\n"
    return {
        "http-logins": [
            ask(b"GET /ews/exchange.asmx"), say(b"401 no", b"WWW-Authenticate: Negotiate", b'WWW-Authenticate: NTLM, Basic realm="x", Digest realm="y", nonce="z", qop="auth"'),
            ask(b"GET /ews/exchange.asmx", b"Authorization: NTLM " + packed(FIRST)), say(b"401 no", b"WWW-Authenticate: NTLM " + packed(SECOND)),
            ask(b"GET /ews/exchange.asmx", b"Authorization: NTLM " + packed(THIRD)), say(b"200 ok", body=b"<x/>"),
            ask(b"GET /owa/", b"Authorization: Negotiate " + packed(first)), say(b"401 no", b"WWW-Authenticate: Negotiate " + packed(second)),
            ask(b"GET /owa/", b"Authorization: Negotiate " + packed(third)), say(b"200 ok", b"WWW-Authenticate: Negotiate " + packed(fourth), b"Set-Cookie: cadata=1; path=/"),
            ask(b"GET /autodiscover/autodiscover.xml", b"Authorization: Basic " + packed(b"CORP\\alice:secret")), say(b"302 there", b"Location: https://mail.example/x"),
            ask(b"OPTIONS /Microsoft-Server-ActiveSync?Cmd=Sync&User=a&DeviceId=1&DeviceType=x", b"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJpIn0.x"), say(b"200 ok"),
            ask(b"GET /x", b'Authorization: Digest username="a", realm="y", nonce="z", uri="/x", response="0123456789abcdef0123456789abcdef", qop=auth, nc=00000001, cnonce="c"'), say(b"200 ok"),
            ask(b"POST /owa/auth.owa", b"Content-Type: application/x-www-form-urlencoded", body=b"destination=x&username=CORP%5Calice&password=secret&flags=0"),
            say(b"302 there", b"Location: /owa/", b"Set-Cookie: cadata=abc")],
        "http-bodies": [
            ask(b"POST /a", b"Transfer-Encoding: chunked"), (C, chunked), (S, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ok\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + chunked),
            ask(b"PROPFIND /exchange/alice/", b"Content-Type: text/xml", body=b"<x/>"), ask(b"HEAD /owa/"), ask(b"GET /ecp/"), say(b"207 many", body=b"<y/>"), say(b"304 same"),
            (S, b"HTTP/1.0 200 ok\r\n\r\nto the end")],
        "http-mapi": [
            ask(b"POST /mapi/emsmdb/", b"X-RequestType: Connect", b"Content-Type: application/mapi-http", body=mapi.USER + bytes(21)),
            say(b"200 ok", b"X-ResponseCode: 0", body=b"PROCESSING\r\nDONE\r\n\r\n" + bytes(20) + b"/o=x\0a\0\0\0" + bytes(4)),
            ask(b"POST /mapi/emsmdb/", b"X-RequestType: Execute", body=execute), say(b"200 ok", body=b"DONE\r\n\r\n" + bytes(12) + struct.pack("<I", len(rops)) + rops + bytes(4))],
        "http-rpc": [
            ask(b"RPC_IN_DATA /rpc/rpcproxy.dll?ex:6001", b"Authorization: Basic " + packed(b"a:secret"), b"Content-Length: 1073741824"), (C, rts), (C, rpc.bind(MAIL)),
            (C, rpc.request(2, 11, b"stub"))],
        "http-rpc-out": [
            ask(b"RPC_OUT_DATA /rpc/rpcproxy.dll?ex:6001", b"Authorization: Basic " + packed(b"a:secret"), body=rts),
            (S, b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n" + rts), (S, rpc.ack() + rpc.response(2))],
        "http-rpc-1": [ask(b"RPC_CONNECT ex:593", b"Authorization: Basic " + packed(b"a:secret")), (S, b"HTTP/1.1 200 ok\r\n\r\nncacn_http/1.0"), (C, rpc.bind(MAIL)), (S, rpc.ack())],
        "http-upgraded": [ask(b"GET /", b"Upgrade: TLS/1.2", b"Connection: Upgrade"), (S, b"HTTP/1.1 101 go\r\nUpgrade: TLS/1.2\r\n\r\n"), *tls.tls12()],
    }


def _directory() -> dict[str, list[Turn]]:
    first, second, third, fourth = _spnego()

    def both(asked: bytes, told: bytes) -> list[Turn]:
        return [(C, smb.netbios(asked)), (S, smb.netbios(told))]

    pipe = both(smb.tree2(3), smb.treed2(3)) + both(smb.create2(4, "epmapper"), smb.created2(4))
    return {
        "ldap": [(C, ldap.simple(1, b"cn=alice,dc=example", b"secret")), (S, ldap.result(1, 49)), (C, ldap.sasl(2, b"GSS-SPNEGO", first)), (S, ldap.challenge(2, second)),
                 (C, ldap.sasl(3, b"GSS-SPNEGO", third)), (S, ldap.challenge(3, fourth, 0)), (C, ldap.search(4)), (S, ldap.entry(4, mail=[b"a@example"]) + ldap.result(4, tag=0x65)),
                 (C, ldap.message(5, b"\x42\0"))],
        "ldap-digest": [(C, ldap.sasl(1, b"DIGEST-MD5")), (S, ldap.challenge(1, b'realm="x",nonce="abc",qop="auth-conf"')),
                        (C, ldap.sasl(2, b"DIGEST-MD5", b'username="a",realm="x",nonce="abc",cnonce="d",nc=00000001,qop=auth-conf,digest-uri="ldap/x",response=' + b"0" * 32)), (S, ldap.result(2)),
                        (C, ldap.wrapped(b"w" * 60)), (S, ldap.wrapped(b"v" * 90))],
        "ldap-starttls": [(C, ldap.extended(1, ldap.STARTTLS)), (S, ldap.extended_answer(1, name=ldap.STARTTLS)), *tls.tls13()],
        "smb2": both(smb.negotiate2(), smb.negotiated2()) + both(smb.setup2(1, first), smb.set_up2(1, smb.MORE_PROCESSING, second, session=9))
        + both(smb.setup2(2, third, session=9), smb.set_up2(2, token=fourth, session=9)) + pipe + both(smb.write2(5, rpc.bind((0, rpc.EPM, 3))), smb.written2(5))
        + both(smb.read2(6), smb.was_read2(6, rpc.ack())) + both(smb.ioctl2(7, rpc.request(2, 3, bytes(60))), smb.ioctled2(7, rpc.response(2, rpc.mapped(rpc.tower(rpc.EMSMDB)))))
        + both(smb.related(smb.create2(8, "lsarpc"), smb.write2(9, rpc.bind((0, rpc.SAMR, 1)), smb.SAME), smb.close2(10, smb.SAME)),
               smb.related(smb.created2(8), smb.written2(9), smb.closed2(10))) + both(b"\xfdSMB" + bytes(48) + b"e" * 90, b"\xfcSMB" + bytes(40)),
        "smb1": both(smb.negotiate1(b"LANMAN1.0", b"NT LM 0.12"), smb.negotiated1()) + both(smb.setup1(first), smb.set_up1(smb.MORE_PROCESSING, second))
        + both(smb.old_setup1(bytes(24), b"\x11" * 24, "alice", "CORP"), smb.set_up1()) + both(smb.tree1(), smb.treed1()) + both(smb.create1("\\srvsvc"), smb.created1())
        + both(smb.transact1(rpc.bind((0, rpc.SAMR, 1))), smb.transacted1(rpc.ack())) + both(smb.write1(rpc.request(2, 1)), smb.smb1(0x2F, smb.andx() + bytes(8), b"", 4, reply=True))
        + both(smb.read1(), smb.was_read1(rpc.response(2))) + both(smb.close1(), smb.closed1()),
    }


def _tls() -> dict[str, list[Turn]]:
    from traffic.certificates import usual_chain

    chain = usual_chain()
    alert = tls.record(21, b"\2\x28")
    return {
        "tls12": tls.tls12(chain=chain, exchange=tls.ecdhe()), "tls12-dhe": tls.tls12(chain=chain[:1], exchange=tls.dhe(b"\xff" * 96)), "tls13": tls.tls13(),
        "tls-alert": [(C, tls.record(22, tls.client_hello(extensions=tls.VERSIONS + tls.SNI + tls.ALPN))), (S, alert)],
        "tls-heartbeat": tls.tls12(chain=chain)[:2] + [(C, tls.record(24, b"\1\x40\0")), (S, tls.record(24, b"\2\x40\0" + bytes(3000)))],
    }


def conversations() -> dict[str, list[Turn]]:
    """By name; each side's bytes in the order spoken."""
    return _rpc() | _http() | _directory() | _tls()


# --- DNS


def _name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def _record(kind: int, held: bytes, owner: bytes = b"\xc0\x0c") -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, 60, len(held)) + held


def _answers() -> list[bytes]:
    """Answers as a mail server gets them: exchangers and their addresses, TLSA, MTA-STS, TLSRPT, SRV, autodiscover."""
    def text(words: bytes) -> bytes:
        return bytes([len(words)]) + words

    def message(name: str, kind: int, *records: bytes, more: tuple[bytes, ...] = ()) -> bytes:
        return struct.pack("!6H", 7, 0x81A0, 1, len(records), 0, len(more)) + _name(name) + struct.pack("!HH", kind, 1) + b"".join(records + more)

    address = b"\xc6\x33\x64\x14"
    return [
        message("b.example", 15, _record(15, b"\0\x0a\3mx1\xc0\x0c"), _record(15, b"\0\x14\3mx2\xc0\x0c"), more=(_record(1, address, b"\3mx1\xc0\x0c"),)),
        message("mx1.b.example", 1, _record(1, address)), message("_25._tcp.mx1.b.example", 52, _record(52, b"\3\1\1" + b"h" * 32), _record(46, bytes(60))),
        message("_mta-sts.b.example", 16, _record(16, text(b"v=STSv1; id=1"))), message("_smtp._tls.b.example", 16, _record(16, text(b"v=TLSRPTv1; rua=mailto:a@b.example"))),
        message("_imaps._tcp.b.example", 33, _record(33, b"\0\0\0\1\x03\xe1\4imap\xc0\x18")),
        message("autodiscover.b.example", 1, _record(5, _name("autodiscover.outlook.com")), _record(1, address, b"\xc0\x34")),
    ]


def dns(chance: random.Random) -> bytes:
    """A capture of DNS answers that may be wrong, over UDP and over TCP: lengths that lie, pointers in circles, records cut off."""
    frames, clock = [], 1_700_000_000 * 10**9
    for _ in range(chance.choice((1, 5, 40))):
        message = chance.choice(_answers())
        for _ in range(chance.choice((0, 1, 1, 2, 6))):
            message = mutate_bytes(message, chance)
        for _ in range(chance.choice((0, 0, 1, 3))):
            at = chance.randrange(max(1, len(message)))
            message = message[:at] + b"\xc0" + bytes([chance.choice((12, at & 0xFF, max(0, at - 2) & 0xFF, 0, 255))]) + message[at + 2:]
        message = message[:60_000]
        clock += 1_000_000
        if chance.random() < 0.7:
            frames.append((clock, datagram(message, 1, (40053, 53))))
        else:
            talk = Talk(server_port=53, clock=clock).open().say(1, (len(message) if chance.random() < 0.9 else 9).to_bytes(2, "big") + message).close()
            frames += talk.frames()
            clock = talk.clock
    return pcap(frames)


# --- QUIC


def datagram(payload: bytes, side: int, ports: tuple[int, int] = (50000, 443)) -> bytes:
    """An Ethernet frame of IPv4 and UDP between two fixed hosts."""
    addresses = (b"\xc0\0\2\x0a", b"\xc6\x33\x64\x14")
    head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 7, 0, 64, 17, 0, addresses[side], addresses[1 - side]))
    struct.pack_into("!H", head, 10, ones_complement(bytes(head)))
    return bytes(12) + b"\x08\0" + bytes(head) + struct.pack("!HHHH", ports[side], ports[1 - side], 8 + len(payload), 0) + payload


def quic(chance: random.Random) -> bytes:
    """A capture of one QUIC connection whose CRYPTO frames, hellos and headers may be wrong, each under encryption that holds."""
    from traffic import quic_bytes, tls_bytes

    rng = numpy.random.default_rng(chance.getrandbits(32))
    hello = tls_bytes.client_hello(rng, b"mail.example", (b"h3",), True, True)
    answer = tls_bytes.server_hello(rng, True)
    hello, answer = (mutate_bytes(one, chance)[:4000] if chance.random() < 0.4 else one for one in (hello, answer))
    said: list[list[bytes]] = [[], []]
    for side, message in ((C, hello), (S, answer)):
        cut = chance.choice((len(message), len(message), 1, 40, 200))
        frames = b""
        pieces = [(at, message[at:at + cut]) for at in range(0, max(1, len(message)), max(1, cut))][:60]
        if chance.random() < 0.3:
            chance.shuffle(pieces)
        for at, piece in pieces:
            offset = at if chance.random() < 0.9 else chance.choice((0, 1, 5000, 16383, 65535, 1 << 20, (1 << 62) - 1))
            frames += b"\6" + (0xC0 << 56 | offset).to_bytes(8, "big") + struct.pack("!H", 0x4000 | len(piece)) + piece
            frames += chance.choice((b"", b"", b"\0" * 30, b"\1", b"\2\0\0\0\0", b"\x1c\0\0\0"))
        said[side].append((mutate_bytes(frames, chance) if chance.random() < 0.4 else frames)[:4000])
    client_id, source = rng.bytes(chance.choice((8, 8, 0, 20))), rng.bytes(8)
    packets = [(C, quic_bytes.initial(client_id, client_id, source, frames.ljust(1180, b"\0"), False)) for frames in said[C]]
    packets += [(S, quic_bytes.initial(client_id, source, b"s" * 8, frames.ljust(1180, b"\0"), True)) for frames in said[S]]
    packets = [(side, mutate_bytes(packet, chance) if chance.random() < 0.25 else packet) for side, packet in packets]
    packets *= chance.choice((1, 1, 1, 2, 30))
    if chance.random() < 0.3:
        chance.shuffle(packets)
    return pcap([(1_700_000_000 * 10**9 + n * 1_000_000, datagram(packet[:60_000], side)) for n, (side, packet) in enumerate(packets)])
