"""Calls of Exchange's interfaces whose stubs stand in clear: EMSMDB ([MS-OXCRPC] §3.1.4), NSPI ([MS-OXNSPI] §3.1.4), RFR ([MS-OXABREF] §3.1.4).

Told are who connects, with which program, which operations are done and what kinds of text can be read; content is never kept. Payloads that were obfuscated or
compressed are opened to show that this is no encryption. A stub that is none of these, because it is encrypted or damaged, leaves the facts as they were.

NDR and NDR64 are told apart by the counts that each parameter states twice.
"""
from __future__ import annotations

from ..records import MapiFacts
from . import mapi_payload, mapi_rops
from .mapi_ndr import Cursor
from .mapi_payload import KINDS, STRENGTH

EC_NOT_ENCRYPTED = 0x00000970  # [MS-OXCRPC] §3.1.4.1: the server wants RPC encryption
MAX_NAME_BYTES = 512  # of a distinguished name kept
MAX_SCANNED_PAYLOADS = 64  # searched for readable text, of each side: what is counted then is "at least"
MAX_EXPANDED_PAYLOADS = 64  # decompressed to their end; afterwards as far as ROP names need
SHORT_EXPANSION_BYTES = 512
_CONTEXT_HANDLE_BYTES = 20


class MapiReader:
    """Reads the stubs of one interface's calls on one presentation context.

    Args:
        interface: EMSMDB, NSPI, RFR; others are accepted and left alone.
    """

    __slots__ = ("interface", "facts", "obfuscation", "_requests", "_responses", "_n_scanned", "_n_expanded", "_rops_named")

    def __init__(self, interface: str):
        self.interface = interface
        self.facts = MapiFacts()
        self.obfuscation: str | None = None  # strongest seen: none, xor, compressed, both; None: no payload read
        self._requests, self._responses = _READERS.get(interface, ({}, {}))
        self._n_scanned = [0, 0]
        self._n_expanded = 0
        self._rops_named = False  # a request's operations were named: those of responses are the same

    def request(self, opnum: int, stub: bytes, at: int, little_endian: bool = True) -> None:
        """The stub of a request, all fragments joined; `at` is its client stream offset."""
        read = self._requests.get(opnum)
        if read is not None:
            read(self, stub, at, little_endian)
        elif self.interface in ("NSPI", "RFR"):
            self._scan(stub, 0)

    def response(self, opnum: int, stub: bytes, at: int, little_endian: bool = True) -> None:
        """The stub of a response; `at` is its server stream offset."""
        read = self._responses.get(opnum)
        if read is not None:
            read(self, stub, at, little_endian)
        elif self.interface in ("NSPI", "RFR"):
            self._scan(stub, 1)

    # --- EMSMDB

    def user(self, name: bytes, at: int) -> None:
        """The distinguished name of who connects, with its zero byte."""
        facts = self.facts
        if facts.user_dn is None and name[:1] == b"/":
            facts.user_dn, facts.user_dn_at = _text(name), at
        self._scan(name, 0)

    def _connect(self, stub: bytes, at: int, little_endian: bool, extended: bool = False) -> None:
        """EcDoConnect: szUserDN, seven unsigned longs, usFCanConvertCodePages, rgwClientVersion 3 × 2, pulTimeStamp; EcDoConnectEx also rgbAuxIn, cbAuxIn."""
        for wide in (False, True):
            cursor = Cursor(stub, little_endian, wide)
            name = cursor.varying()
            if cursor.failed or not name or len(name) > 2 * MAX_NAME_BYTES or name[-1]:
                continue
            for _ in range(7):
                cursor.integer(4)
            cursor.integer(2)
            words = [cursor.integer(2) for _ in range(3)]
            if cursor.failed:
                return
            self.user(name, at)
            if self.facts.client_version is None and words[0]:
                self.facts.client_version = version(words)
            if extended:
                cursor.integer(4)
                auxiliary = cursor.array()
                if auxiliary and not cursor.failed:
                    self.auxiliary(auxiliary, 0)
            return

    def _connect_ex(self, stub: bytes, at: int, little_endian: bool) -> None:
        self._connect(stub, at, little_endian, True)

    def _connected(self, stub: bytes, at: int, little_endian: bool) -> None:
        """Their answers: context handle, three unsigned longs, picxr, szDNPrefix, szDisplayName, rgwServerVersion, rgwBestVersion, pulTimeStamp, …, return value."""
        if len(stub) < _CONTEXT_HANDLE_BYTES + 4:
            return
        if int.from_bytes(stub[-4:], "little" if little_endian else "big") == EC_NOT_ENCRYPTED:
            self.facts.not_encrypted_refused += 1
            if self.facts.not_encrypted_at is None:
                self.facts.not_encrypted_at = at
            return
        for wide in (False, True):
            cursor = Cursor(stub, little_endian, wide, _CONTEXT_HANDLE_BYTES)
            for _ in range(3):
                cursor.integer(4)
            cursor.integer(2)
            prefix, shown = cursor.pointed(), cursor.pointed()
            words = [cursor.integer(2) for _ in range(3)]
            for _ in range(3):
                cursor.integer(2)
            cursor.integer(4)
            if cursor.failed or (prefix and prefix[-1]) or (shown and shown[-1]):
                continue
            if self.facts.server_version is None and words[0]:
                self.facts.server_version = version(words)
            self._scan(prefix + shown, 1)
            auxiliary = cursor.varying()
            if auxiliary and not cursor.failed:
                self.auxiliary(auxiliary, 1)
            return

    def _rpc_ext(self, stub: bytes, at: int, little_endian: bool) -> None:
        """EcDoRpcExt2: context handle 20, pulFlags, rgbIn and its count, cbIn, pcbOut, rgbAuxIn, cbAuxIn, pcbAuxOut; EcDoRpcExt begins alike."""
        order = "little" if little_endian else "big"
        length = int.from_bytes(stub[24:28], order)
        after = 28 + length + 3 & ~3
        if int.from_bytes(stub[after:after + 4], order) == length and after + 4 <= len(stub):
            start = 28
        else:
            length = int.from_bytes(stub[24:32], order)
            after = 32 + length + 3 & ~3
            if after + 4 > len(stub) or int.from_bytes(stub[after:after + 4], order) != length:
                return
            start = 32
        if length:
            self.operations(stub[start:start + length], 0)
        cursor = Cursor(stub, little_endian, start == 32, after + 8)
        auxiliary = cursor.array()
        if auxiliary and not cursor.failed:
            self.auxiliary(auxiliary, 0)

    def _rpc_ext_answer(self, stub: bytes, at: int, little_endian: bool) -> None:
        """Context handle 20, pulFlags, rgbOut (varying), pcbOut, rgbAuxOut (varying), pcbAuxOut, pulTransTime, return value."""
        for wide in (True, False) if stub[32:36] == b"\0\0\0\0" else (False,):  # in NDR64 the offset, always zero, in NDR the length
            cursor = Cursor(stub, little_endian, wide, 24)
            data = cursor.varying()
            if cursor.failed or cursor.integer(4) != len(data):
                continue
            if data:
                self.operations(data, 1)
            auxiliary = cursor.varying()
            if auxiliary and not cursor.failed:
                self.auxiliary(auxiliary, 1)
            return

    def _rpc(self, stub: bytes, at: int, little_endian: bool) -> None:
        self._legacy(stub, little_endian, 0)

    def _rpc_answer(self, stub: bytes, at: int, little_endian: bool) -> None:
        self._legacy(stub, little_endian, 1)

    def _legacy(self, stub: bytes, little_endian: bool, side: int) -> None:
        """EcDoRpc: context handle 20, then a varying array that is exclusive or 0xA5 throughout and has no header of its own."""
        cursor = Cursor(stub, little_endian, False, _CONTEXT_HANDLE_BYTES)
        data = cursor.varying()
        if cursor.failed or len(data) > mapi_payload.MAX_PAYLOAD_BYTES:
            return
        for kind, plain in (("xor", mapi_payload.undo_xor(data)), ("none", data)):
            listed = mapi_payload.rop_list(plain, len(plain))
            if listed and listed[0] in mapi_rops.ROP_NAMES:
                self._decoded(kind, plain)
                self._name(listed, side)
                self._scan(plain, side)
                return

    def operations(self, data: bytes, side: int) -> None:
        """An extended buffer of ROPs (rgbIn, rgbOut); `side` sent it."""
        for payload in self._headers(data):
            plain = payload.data
            if plain is None:
                continue
            listed = mapi_payload.rop_list(plain, payload.size_actual)
            if listed is None:
                continue
            self._decoded(KINDS[payload.flags & 3], plain)
            if listed:
                self._name(listed, side)
                self._scan(listed, side)

    def auxiliary(self, data: bytes, side: int) -> None:
        """An extended buffer of blocks about client and server (rgbAuxIn, rgbAuxOut)."""
        for payload in self._headers(data):
            if payload.data and mapi_payload.is_auxiliary(payload.data):
                self._decoded(KINDS[payload.flags & 3], payload.data)
                self._scan(payload.data, side)

    def _headers(self, data: bytes) -> list[mapi_payload.Payload]:
        short = self._n_expanded >= MAX_EXPANDED_PAYLOADS
        found = mapi_payload.read_headers(data, SHORT_EXPANSION_BYTES if short else mapi_payload.MAX_PAYLOAD_BYTES)
        facts = self.facts
        for payload in found:
            facts.n_header_ext += 1
            facts.flags |= payload.flags
            self._n_expanded += payload.flags & mapi_payload.COMPRESSED
        return found

    def _decoded(self, kind: str, plain: bytes) -> None:
        if STRENGTH[kind] > STRENGTH[self.obfuscation]:
            self.obfuscation = kind
        if kind != "none":
            self.facts.n_decoded += 1
            self.facts.decoded_bytes += len(plain)

    def _name(self, listed: bytes, side: int) -> None:
        facts = self.facts
        if side:
            first = listed[0]
            if first in mapi_rops.RESPONSE_ONLY or (not self._rops_named and first in mapi_rops.ROP_NAMES):
                mapi_payload.rop_names([(first, 0)], facts.rop_names)
            return
        found = mapi_rops.request_rops(listed)
        if not found:
            return
        self._rops_named = True
        mapi_payload.rop_names(found, facts.rop_names)
        if facts.mailbox_dn is None:
            for rop, pos in found:
                if rop == mapi_rops.LOGON:  # LogonFlags 1, OpenFlags 4, StoreState 4, EssdnSize 2, Essdn ([MS-OXCROPS] §2.2.3.1.1)
                    length = listed[pos + 9] | listed[pos + 10] << 8
                    name = listed[pos + 11:pos + 11 + length]
                    if name[:1] == b"/":
                        facts.mailbox_dn = _text(name)
                    break

    # --- NSPI and RFR

    def _nspi_bind(self, stub: bytes, at: int, little_endian: bool) -> None:
        """dwFlags 4, pStat of nine unsigned longs whose seventh is CodePage, pServerGuid ([MS-OXNSPI] §2.2.8, §3.1.4.1.1)."""
        if len(stub) >= 40 and self.facts.bind_codepage is None:
            codepage = int.from_bytes(stub[28:32], "little" if little_endian else "big")
            if 0 < codepage < 65536:  # else an encrypted stub
                self.facts.bind_codepage = codepage

    def _get_new_dsa(self, stub: bytes, at: int, little_endian: bool) -> None:
        """ulFlags 4, pUserDN, … ([MS-OXABREF] §3.1.4.1)."""
        for wide in (False, True):
            cursor = Cursor(stub, little_endian, wide, 4)
            name = cursor.varying()
            if cursor.failed or not name or name[-1]:
                continue
            self.user(name, at)
            return

    def _scan(self, data: bytes, side: int) -> None:
        if data and self._n_scanned[side] < MAX_SCANNED_PAYLOADS:
            self._n_scanned[side] += 1
            mapi_payload.count_strings(data, self.facts.strings)


_READERS = {
    "EMSMDB": (
        {0: MapiReader._connect, 2: MapiReader._rpc, 9: MapiReader._rpc_ext, 10: MapiReader._connect_ex, 11: MapiReader._rpc_ext},
        {0: MapiReader._connected, 2: MapiReader._rpc_answer, 9: MapiReader._rpc_ext_answer, 10: MapiReader._connected, 11: MapiReader._rpc_ext_answer}),
    "NSPI": ({0: MapiReader._nspi_bind}, {}),
    "RFR": ({0: MapiReader._get_new_dsa}, {}),
}


def version(words: list[int]) -> str:
    """Three words of the wire as the four numbers that products are known by ([MS-OXCRPC] §3.1.4.1.3.1)."""
    if words[1] & 0x8000:
        return f"{words[0] >> 8}.{words[0] & 0xFF}.{words[1] & 0x7FFF}.{words[2]}"
    return f"{words[0]}.0.{words[1]}.{words[2]}"


def _text(name: bytes) -> str:
    return name.split(b"\0", 1)[0][:MAX_NAME_BYTES].decode("utf-8", "replace")
