"""Interfaces told by the shape of their calls, where a capture starts behind the bind.

Only calls that cannot well be anything else count: an RPC_HEADER_EXT where EcDoRpcExt2 has its own ([MS-OXCRPC] §3.1.4.2), a distinguished name where EcDoConnectEx has the user's
(§3.1.4.1), and towers in an answer.
"""
from __future__ import annotations

import struct
from typing import Any, Callable

from .endpoint_mapper import EPT_LOOKUP, EPT_MAP, read_towers
from .mapi_ndr import Cursor
from .rpc_interfaces import EMSMDB, EPM

MAX_LOOKS = 50  # calls of one context that are looked at
EC_DO_CONNECT, EC_DO_CONNECT_EX, EC_DO_RPC_EXT2 = 0, 10, 11
MAX_PAYLOAD_BYTES = 0x40000  # [MS-OXCRPC] §3.1.4.2: cbIn
_ORDERS = (struct.Struct(">III"), struct.Struct("<III"))
_header_ext = struct.Struct("<HHHH").unpack_from  # Version, Flags, Size, SizeActual ([MS-OXCRPC] §2.2.2.1)


class CallShapes:
    """Takes the clear calls of a context of unknown interface until one tells.

    Args:
        found: called with the interface's UUID; returns who reads its calls from now on.
    """

    def __init__(self, found: Callable[[str], Any]):
        self.found = found
        self.looks = 0

    def request(self, opnum: int, stub: bytes, at: int, little_endian: bool = True) -> None:
        """The stub of a request."""
        if self.looks < MAX_LOOKS:
            self.looks += 1
            shape = _REQUESTS.get(opnum)
            if shape is not None and shape(stub, little_endian):
                self.looks = MAX_LOOKS
                self.found(EMSMDB).request(opnum, stub, at, little_endian)

    def response(self, opnum: int, stub: bytes, at: int, little_endian: bool = True) -> None:
        """The stub of a response."""
        if self.looks < MAX_LOOKS:
            self.looks += 1
            if opnum in (EPT_LOOKUP, EPT_MAP) and read_towers(stub, at, 1):
                self.looks = MAX_LOOKS
                self.found(EPM).response(opnum, stub, at, little_endian)


def is_rpc_ext2(stub: bytes, little_endian: bool = True) -> bool:
    """`pcxh(20) pulFlags(4) rgbIn: count(4, in NDR64 8) RPC_HEADER_EXT` at the start of EcDoRpcExt2's request; the header is little endian always."""
    if len(stub) < 40 or stub[:4] != b"\0\0\0\0" or stub[4:20] == bytes(16):
        return False
    flags, count, following = _ORDERS[little_endian].unpack_from(stub, 20)
    if flags > 0xFF or not 8 <= count <= MAX_PAYLOAD_BYTES:
        return False
    for at in (28, 32) if following == 0 else (28,):
        version, ext_flags, size, actual = _header_ext(stub, at)
        if version == 0 and ext_flags & ~7 == 0 and 0 < size <= actual <= 0x8000 and 8 + size <= count:
            return True
    return False


def is_connect(stub: bytes, little_endian: bool = True) -> bool:
    """`szUserDN` at the start of EcDoConnect's and EcDoConnectEx's request: a string that begins as all legacy distinguished names do and ends with a zero byte."""
    for wide in (False, True):
        cursor = Cursor(stub, little_endian, wide)
        name = cursor.varying()
        if not cursor.failed and name[:3].lower() == b"/o=" and name[-1] == 0:
            return True
    return False


_REQUESTS = {EC_DO_CONNECT: is_connect, EC_DO_CONNECT_EX: is_connect, EC_DO_RPC_EXT2: is_rpc_ext2}
