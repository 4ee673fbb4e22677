"""An Exchange-like DCE/RPC server on impacket's server class, with NTLM at every level: `exchange.py ADDRESS`. Runs in the server's namespace with Debian's Python.

Ports: 135 endpoint mapper; 49701 EMSMDB, AsyncEMSMDB, NSPI and RFR at any level; 49702 the same, but mailbox calls below level 6 are refused with ecNotEncrypted;
49703 faults "access denied" below level 6; 49704 takes no authentication at all (bind_nak); 593 and 6001 as 49701 behind the greeting of ncacn_http (RPC over HTTP version 1).
"""
from __future__ import annotations

import hmac
import os
import socket
import struct
import sys
import threading
import time
import traceback

import exchange_stubs as stubs
from impacket import ntlm
from impacket.dcerpc.v5 import rpcrt
from impacket.uuid import uuidtup_to_bin
from servers import ACCOUNTS, DOMAIN

NT_DOMAIN, NT_SERVER = "EXAMPLE", "EXCH1"
PORTS = {135: "", 593: "greets", 6001: "greets", 49701: "", 49702: "encrypted-only", 49703: "denies", 49704: "naks"}
EMSMDB, ASYNC_EMSMDB, NSPI, RFR, EPM = (uuidtup_to_bin(name) for name in (stubs.EMSMDB, stubs.ASYNC_EMSMDB, stubs.NSPI, stubs.RFR, stubs.EPM))
NDR = uuidtup_to_bin(("8a885d04-1ceb-11c9-9fe8-08002b104860", "2.0"))
ACCESS_DENIED, UNKNOWN_INTERFACE, OP_RANGE_ERROR = 0x5, 0x1C010003, 0x1C010002
AUTH_TYPE_NOT_RECOGNISED = 8


class NtlmServer:
    """Server side of one NTLM exchange ([MS-NLMP] §3.2.5) and of the messages that follow."""

    def __init__(self) -> None:
        self.challenge = os.urandom(8)
        self.user: str | None = None
        self.ok = False
        self.flags = 0
        self.offered = 0

    def answer(self, negotiate: bytes) -> bytes:
        """CHALLENGE for a NEGOTIATE."""
        asked = struct.unpack_from("<I", negotiate, 12)[0]
        charset = "utf-16-le" if asked & ntlm.NTLMSSP_NEGOTIATE_UNICODE else "ascii"
        self.offered = (asked & ~(ntlm.NTLM_NEGOTIATE_OEM if charset != "ascii" else 0)) | ntlm.NTLMSSP_NEGOTIATE_VERSION | ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO | ntlm.NTLMSSP_TARGET_TYPE_DOMAIN | ntlm.NTLMSSP_REQUEST_TARGET
        pairs = ntlm.AV_PAIRS()
        pairs[ntlm.NTLMSSP_AV_DOMAINNAME] = NT_DOMAIN.encode("utf-16-le")
        pairs[ntlm.NTLMSSP_AV_HOSTNAME] = NT_SERVER.encode("utf-16-le")
        pairs[ntlm.NTLMSSP_AV_DNS_DOMAINNAME] = DOMAIN.encode("utf-16-le")
        pairs[ntlm.NTLMSSP_AV_DNS_HOSTNAME] = stubs.SERVER_NAME.encode("utf-16-le")
        pairs[ntlm.NTLMSSP_AV_TIME] = struct.pack("<Q", 116444736000000000 + int(time.time()) * 10_000_000)
        message = ntlm.NTLMAuthChallenge()
        message["flags"] = self.offered
        message["challenge"] = self.challenge
        message["domain_name"] = NT_DOMAIN.encode(charset)
        message["domain_len"] = message["domain_max_len"] = len(message["domain_name"])
        message["Version"] = struct.pack("<BBH4s", 10, 0, 17763, b"\0\0\0\x0f")
        message["TargetInfoFields"] = pairs
        message["domain_offset"], message["TargetInfoFields_offset"] = 56, 56 + len(message["domain_name"])
        return message.getData()

    def finish(self, authenticate: bytes) -> bool:
        """Check AUTHENTICATE and make the keys. An anonymous one is let in, without keys worth the name."""
        message = ntlm.NTLMAuthChallengeResponse()
        message.fromString(authenticate)
        self.flags = message["flags"]
        charset = "utf-16-le" if self.flags & ntlm.NTLMSSP_NEGOTIATE_UNICODE else "ascii"
        self.user, domain = bytes(message["user_name"]).decode(charset), bytes(message["domain_name"]).decode(charset)
        response, lm = bytes(message["ntlm"]), bytes(message["lanman"])
        if not self.user and not response:
            base_key, self.ok = bytes(16), True
        else:
            password = ACCOUNTS.get(self.user, "")
            if len(response) > 24:
                key = ntlm.NTOWFv2(self.user, password, domain)
                proof = hmac.digest(key, self.challenge + response[16:], "md5")
                self.ok = proof == response[:16]
                base_key = hmac.digest(key, proof, "md5")
            else:
                client_challenge = lm[:8]
                expected, _, base_key = ntlm.computeResponseNTLMv1(self.offered, self.challenge, client_challenge, b"", domain, self.user, password)
                self.ok = bytes(expected) == response
                base_key = ntlm.KXKEY(self.offered, base_key, lm, self.challenge, password, "", "", use_ntlmv2=False)
        if self.flags & ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH:
            base_key = ntlm.generateEncryptedSessionKey(base_key, bytes(message["session_key"]))
        if self.flags & ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY:
            self.signing = [ntlm.SIGNKEY(self.flags, base_key, mode) for mode in ("Client", "Server")]
            self.sealing = [ntlm.ARC4.new(ntlm.SEALKEY(self.flags, base_key, mode)).encrypt for mode in ("Client", "Server")]
        else:
            cipher = ntlm.ARC4.new(base_key).encrypt  # one state for both directions, as impacket's client has it
            self.signing, self.sealing = [base_key] * 2, [cipher] * 2
        self.sequence = [0, 0]
        return self.ok

    def number(self, side: int) -> int:
        """Sequence number of the next message of a side; without extended session security both share one."""
        if not self.flags & ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY:
            side = 0
        self.sequence[side] += 1
        return self.sequence[side] - 1

    def signature(self, side: int, signed: bytes) -> bytes:
        return ntlm.MAC(self.flags, self.sealing[side], self.signing[side], self.number(side), signed).getData()


class Security:
    """One security context of a connection."""

    def __init__(self, trailer: rpcrt.SEC_TRAILER):
        self.type, self.level, self.id = trailer["auth_type"], trailer["auth_level"], trailer["auth_ctx_id"]
        self.ntlm = NtlmServer()

    def trailer(self, pad: int = 0, level: int | None = None) -> bytes:
        return struct.pack("<BBBBI", self.type, level or self.level, pad, 0, self.id)


class Connection(rpcrt.DCERPCServer):
    """One client: impacket's server with authentication, several contexts, and calls of Exchange."""

    def __init__(self, sock: socket.socket, manner: str):
        super().__init__()
        self._sock.close()  # the base class would listen by itself
        self._clientSock, self.manner = sock, manner
        self.contexts: dict[int, bytes] = {}
        self.securities: dict[int, Security] = {}
        self.stub = b""  # fragments of a request so far
        for interface in (stubs.EMSMDB, stubs.ASYNC_EMSMDB, stubs.NSPI, stubs.RFR, stubs.EPM):
            self.addCallbacks(interface, "", {})

    def run(self) -> None:
        try:
            if self.manner == "greets":
                self._clientSock.sendall(b"ncacn_http/1.0")
            while (pdu := self.pdu()) and self.processRequest(pdu) is not False:
                pass
        except (ConnectionError, OSError):
            pass
        except Exception:  # shown, and the client sees the connection end
            traceback.print_exc()
        self._clientSock.close()

    def pdu(self) -> bytes:
        data = b""
        while len(data) < 16 or len(data) < struct.unpack_from("<H", data, 8)[0]:
            want = 16 - len(data) if len(data) < 16 else struct.unpack_from("<H", data, 8)[0] - len(data)
            piece = self._clientSock.recv(want)
            if not piece:
                return b""
            data += piece
        return data

    def out(self, kind: int, call_id: int, body: bytes, auth: bytes = b"", flags: int = 3) -> None:
        auth_length = max(len(auth) - 8, 0)
        self._clientSock.sendall(struct.pack("<BBBBIHHI", 5, 0, kind, flags, 0x10, 16 + len(body) + len(auth), auth_length, call_id) + body + auth)

    def processRequest(self, data: bytes) -> bool | None:
        packet = rpcrt.MSRPCHeader(data)
        kind = packet["type"]
        if kind in (rpcrt.MSRPC_BIND, rpcrt.MSRPC_ALTERCTX):
            return self.bind(packet, rpcrt.MSRPCBind(packet["pduData"]))
        if kind == rpcrt.MSRPC_AUTH3:
            security = self.securities[rpcrt.SEC_TRAILER(packet["sec_trailer"])["auth_ctx_id"]]
            security.ntlm.finish(packet["auth_data"])
            return None
        if kind == rpcrt.MSRPC_REQUEST:
            return self.request(data)
        return None

    def bind(self, packet, bind) -> bool | None:
        """bind and alter_context: contexts accepted by interface, and the first token of a security context answered."""
        alter = packet["type"] == rpcrt.MSRPC_ALTERCTX
        if self.manner == "naks" and packet["auth_len"]:
            self.out(rpcrt.MSRPC_BINDNAK, packet["call_id"], struct.pack("<HBBBBB", AUTH_TYPE_NOT_RECOGNISED, 1, 5, 0, 0, 0))
            return False
        results, items = b"", bind["ctx_items"]
        for _ in range(bind["ctx_num"]):
            item = rpcrt.CtxItem(items)
            items = items[len(item):]
            known = item["AbstractSyntax"] in self._listenUUIDS
            result, reason = (0, 0) if known and item["TransferSyntax"] == NDR else (2, 1 if not known else 2)
            if not result:
                self.contexts[item["ContextID"]] = item["AbstractSyntax"]
            results += struct.pack("<HH", result, reason) + (bytes(20) if result else NDR)
        auth = b""
        if packet["auth_len"]:
            security = Security(rpcrt.SEC_TRAILER(packet["sec_trailer"]))
            self.securities[security.id] = security
            auth = security.trailer() + security.ntlm.answer(packet["auth_data"])
        address = b"" if alter else str(self._clientSock.getsockname()[1]).encode() + b"\0"
        body = struct.pack("<HHIH", 4280, 4280, 0x7A11, len(address)) + address
        body += bytes(-(16 + len(body)) % 4) + struct.pack("<I", bind["ctx_num"]) + results
        self.out(rpcrt.MSRPC_ALTERCTX_R if alter else rpcrt.MSRPC_BINDACK, packet["call_id"], body, auth, 3 | packet["flags"] & rpcrt.MSRPC_SUPPORT_SIGN)
        return None

    def opened(self, data: bytes) -> tuple[bytes, Security | None, int]:
        """A request's stub in clear, its security context and its level; ValueError when the signature is wrong."""
        frag_length, auth_length = struct.unpack_from("<HH", data, 8)
        if not auth_length:
            return data[24:frag_length], None, 1
        at = frag_length - auth_length - 8
        trailer = rpcrt.SEC_TRAILER(data[at:at + 8])
        security, level = self.securities[trailer["auth_ctx_id"]], trailer["auth_level"]
        if not security.ntlm.ok:
            raise ValueError("no such account or a wrong password")
        stub, signature = data[24:at], data[at + 8:]
        if level == 6:
            stub = security.ntlm.sealing[0](stub)
        extended = security.ntlm.flags & ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY
        if security.ntlm.signature(0, data[:24] + stub + data[at:at + 8] if extended else stub) != signature:
            raise ValueError("wrong signature")
        return stub[:len(stub) - trailer["auth_pad_len"]], security, level

    def request(self, data: bytes) -> bool | None:
        call_id, _, context_id, opnum = struct.unpack_from("<IIHH", data, 12)
        refused = next((security for security in self.securities.values() if not security.ntlm.ok), None)
        try:
            stub, security, level = self.opened(data)
        except ValueError:
            return self.fault(call_id, context_id, ACCESS_DENIED)
        if refused and security is None or self.manner == "denies" and level < 6:
            return self.fault(call_id, context_id, ACCESS_DENIED)
        interface = self.contexts.get(context_id)
        if interface is None:
            return self.fault(call_id, context_id, UNKNOWN_INTERFACE)
        self.stub += stub
        if not data[3] & rpcrt.PFC_LAST_FRAG:
            return None
        stub, self.stub = self.stub, b""
        answer = self.call(interface, opnum, stub, level)
        if answer is None:
            return self.fault(call_id, context_id, OP_RANGE_ERROR)
        head = struct.pack("<IHH", len(answer), context_id, 0)
        if security is None:
            self.out(rpcrt.MSRPC_RESPONSE, call_id, head + answer)
            return None
        pad = -len(answer) % 16
        answer += bytes(pad)
        trailer = security.trailer(pad, level)
        begin = struct.pack("<BBBBIHHI", 5, 0, rpcrt.MSRPC_RESPONSE, 3, 0x10, 24 + len(answer) + 8 + 16, 16, call_id) + head
        sealed = security.ntlm.sealing[1](answer) if level == 6 else answer
        extended = security.ntlm.flags & ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY
        signature = security.ntlm.signature(1, begin + answer + trailer if extended else answer)
        self._clientSock.sendall(begin + sealed + trailer + signature)
        return None

    def fault(self, call_id: int, context_id: int, status: int) -> None:
        self.out(rpcrt.MSRPC_FAULT, call_id, struct.pack("<IHHII", 32, context_id, 0, status, 0), flags=3 | rpcrt.PFC_DID_NOT_EXECUTE)

    # --- calls ------------------------------------------------------------------------------------------------------------------------------

    def call(self, interface: bytes, opnum: int, stub: bytes, level: int) -> bytes | None:
        """The response's stub; None for an opnum that nobody here knows."""
        if interface == EMSMDB:
            return self.mailbox_call(opnum, stub, level)
        if interface == ASYNC_EMSMDB and opnum == 0:
            return struct.pack("<II", 1, 0)
        if interface == NSPI and opnum in (0, 1):
            return stubs.nspi_bind_answer() if opnum == 0 else bytes(20) + struct.pack("<I", 1)
        if interface == RFR and opnum in (0, 1):
            return stubs.rfr_dsa_answer() if opnum == 0 else stubs.rfr_server_answer()
        if interface == EPM and opnum == 3:
            tower = stub[stub.index(b"\x13\0\x0d"):]  # its first floor: interface and major version, then the minor one
            over_http = b"\x01\0\x1f" in tower
            return stubs.ept_map_answer(tower[3:21] + tower[23:25], 6001 if over_http else 49701, socket.inet_aton(self._clientSock.getsockname()[0]), over_http)
        return None

    def mailbox_call(self, opnum: int, stub: bytes, level: int) -> bytes | None:
        """EcDoDisconnect 1, EcDoConnectEx 10, EcDoRpcExt2 11, EcDoAsyncConnectEx 14."""
        if opnum == 10:
            return stubs.do_connect_ex_answer(stubs.EC_NOT_ENCRYPTED if self.manner == "encrypted-only" and level < 6 else 0)
        if opnum == 11:
            reader = stubs.Reader(stub, 24)
            _, flags, size, _ = struct.unpack("<HHHH", (payload := reader.array())[:8])
            rops = payload[8:8 + size]
            if flags & stubs.XOR_MAGIC:
                rops = stubs.xored(rops)
            if flags & stubs.COMPRESSED:
                rops = b"??\x0a"  # only the client's third step shrinks: RopSetProperties
            return stubs.do_rpc_ext2_answer(stubs.rops_answered(rops), flags & (stubs.XOR_MAGIC | stubs.COMPRESSED))
        if opnum == 1:
            return bytes(20) + struct.pack("<I", 0)
        if opnum == 14:
            return stubs.CONTEXT + struct.pack("<I", 0)
        return None


def listen(address: str, port: int, manner: str) -> None:
    with socket.create_server((address, port)) as server:
        while True:
            sock, _ = server.accept()
            Connection(sock, manner).start()


if __name__ == "__main__":
    for number, how in PORTS.items():
        threading.Thread(target=listen, args=(sys.argv[1], number, how)).start()
