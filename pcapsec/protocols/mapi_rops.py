"""Remote operations by number: their names and how long their requests are.

Source: [MS-OXCROPS] of October 2018, §2.2.2 for the names and the request buffers of §2.2.3 to §2.2.15.

ROPs stand back to back without a length of their own, so naming the second needs the size of the first. The size of a request is written here as steps:
a number is that many bytes; `w` is a 16-bit byte count and the bytes; `d` the same with 32 bits; `H`, `T`, `Q` are a 16-bit count of items of 2, 4 and 8 bytes;
`z` is a text that ends with a zero byte. The three bytes that all requests begin with (RopId, LogonId, a handle index) are not written.
"""
from __future__ import annotations

# RopId: name without "Rop", steps of the request; None: the length depends on more than counts, or it only occurs in responses
_TABLE: dict[int, tuple[str, str | None]] = {
    0x01: ("Release", ""), 0x02: ("OpenFolder", "10"), 0x03: ("OpenMessage", "20"), 0x04: ("GetHierarchyTable", "2"), 0x05: ("GetContentsTable", "2"),
    0x06: ("CreateMessage", "12"), 0x07: ("GetPropertiesSpecific", "4 T"), 0x08: ("GetPropertiesAll", "4"), 0x09: ("GetPropertiesList", ""),
    0x0A: ("SetProperties", "w"), 0x0B: ("DeleteProperties", "T"), 0x0C: ("SaveChangesMessage", "2"), 0x0D: ("RemoveAllRecipients", "4"),
    0x0E: ("ModifyRecipients", None), 0x0F: ("ReadRecipients", "6"), 0x10: ("ReloadCachedInformation", "2"), 0x11: ("SetMessageReadFlag", None),
    0x12: ("SetColumns", "1 T"), 0x13: ("SortTable", None), 0x14: ("Restrict", "1 w"), 0x15: ("QueryRows", "4"), 0x16: ("GetStatus", ""),
    0x17: ("QueryPosition", ""), 0x18: ("SeekRow", "6"), 0x19: ("SeekRowBookmark", "w 5"), 0x1A: ("SeekRowFractional", "8"),
    0x1B: ("CreateBookmark", ""), 0x1C: ("CreateFolder", None), 0x1D: ("DeleteFolder", "9"), 0x1E: ("DeleteMessages", "2 Q"),
    0x1F: ("GetMessageStatus", "8"), 0x20: ("SetMessageStatus", "16"), 0x21: ("GetAttachmentTable", "2"), 0x22: ("OpenAttachment", "6"),
    0x23: ("CreateAttachment", "1"), 0x24: ("DeleteAttachment", "4"), 0x25: ("SaveChangesAttachment", "2"), 0x26: ("SetReceiveFolder", "8 z"),
    0x27: ("GetReceiveFolder", "z"), 0x29: ("RegisterNotification", None), 0x2A: ("Notify", None), 0x2B: ("OpenStream", "6"),
    0x2C: ("ReadStream", None), 0x2D: ("WriteStream", "w"), 0x2E: ("SeekStream", "9"), 0x2F: ("SetStreamSize", "8"),
    0x30: ("SetSearchCriteria", "w Q 4"), 0x31: ("GetSearchCriteria", "3"), 0x32: ("SubmitMessage", "1"), 0x33: ("MoveCopyMessages", "1 Q 2"),
    0x34: ("AbortSubmit", "16"), 0x35: ("MoveFolder", None), 0x36: ("CopyFolder", None), 0x37: ("QueryColumnsAll", ""), 0x38: ("Abort", ""),
    0x39: ("CopyTo", "4 T"), 0x3A: ("CopyToStream", "9"), 0x3B: ("CloneStream", "1"), 0x3E: ("GetPermissionsTable", "2"),
    0x3F: ("GetRulesTable", "2"), 0x40: ("ModifyPermissions", None), 0x41: ("ModifyRules", None), 0x42: ("GetOwningServers", "8"),
    0x43: ("LongTermIdFromId", "8"), 0x44: ("IdFromLongTermId", "24"), 0x45: ("PublicFolderIsGhosted", "8"), 0x46: ("OpenEmbeddedMessage", "4"),
    0x47: ("SetSpooler", ""), 0x48: ("SpoolerLockMessage", "9"), 0x49: ("GetAddressTypes", ""), 0x4A: ("TransportSend", ""),
    0x4B: ("FastTransferSourceCopyMessages", "1 Q 2"), 0x4C: ("FastTransferSourceCopyFolder", "3"), 0x4D: ("FastTransferSourceCopyTo", "7 T"),
    0x4E: ("FastTransferSourceGetBuffer", None), 0x4F: ("FindRow", "1 w 1 w"), 0x50: ("Progress", "1"), 0x51: ("TransportNewMail", "16 z 4"),
    0x52: ("GetValidAttachments", ""), 0x53: ("FastTransferDestinationConfigure", "3"), 0x54: ("FastTransferDestinationPutBuffer", "w"),
    0x55: ("GetNamesFromPropertyIds", "H"), 0x56: ("GetPropertyIdsFromNames", None), 0x57: ("UpdateDeferredActionMessages", "w w"),
    0x58: ("EmptyFolder", "2"), 0x59: ("ExpandRow", "10"), 0x5A: ("CollapseRow", "8"), 0x5B: ("LockRegionStream", "20"),
    0x5C: ("UnlockRegionStream", "20"), 0x5D: ("CommitStream", ""), 0x5E: ("GetStreamSize", ""), 0x5F: ("QueryNamedProperties", None),
    0x60: ("GetPerUserLongTermIds", "16"), 0x61: ("GetPerUserGuid", "24"), 0x63: ("ReadPerUserInformation", "31"),
    0x64: ("WritePerUserInformation", None), 0x66: ("SetReadFlags", "2 Q"), 0x67: ("CopyProperties", "3 T"), 0x68: ("GetReceiveFolderTable", ""),
    0x69: ("FastTransferSourceCopyProperties", "4 T"), 0x6B: ("GetCollapseState", "12"), 0x6C: ("SetCollapseState", "w"),
    0x6D: ("GetTransportFolder", ""), 0x6E: ("Pending", None), 0x6F: ("OptionsData", "z 1"), 0x70: ("SynchronizationConfigure", "5 w 4 T"),
    0x72: ("SynchronizationImportMessageChange", None), 0x73: ("SynchronizationImportHierarchyChange", None),
    0x74: ("SynchronizationImportDeletes", None), 0x75: ("SynchronizationUploadStateStreamBegin", "8"),
    0x76: ("SynchronizationUploadStateStreamContinue", "d"), 0x77: ("SynchronizationUploadStateStreamEnd", ""),
    0x78: ("SynchronizationImportMessageMove", "d d d d d"), 0x79: ("SetPropertiesNoReplicate", "w"), 0x7A: ("DeletePropertiesNoReplicate", "T"),
    0x7B: ("GetStoreState", ""), 0x7E: ("SynchronizationOpenCollector", "2"), 0x7F: ("GetLocalReplicaIds", "4"),
    0x80: ("SynchronizationImportReadStateChanges", "w"), 0x81: ("ResetTable", ""), 0x82: ("SynchronizationGetTransferState", "1"),
    0x86: ("TellVersion", "6"), 0x89: ("FreeBookmark", "w"), 0x90: ("WriteAndCommitStream", "w"), 0x91: ("HardDeleteMessages", "2 Q"),
    0x92: ("HardDeleteMessagesAndSubfolders", "2"), 0x93: ("SetLocalReplicaMidsetDeleted", "w"),
    0x9D: ("FastTransferDestinationPutBufferExtended", "w"), 0xA3: ("WriteStreamExtended", "w"), 0xF9: ("Backoff", None), 0xFE: ("Logon", "9 w"),
    0xFF: ("BufferTooSmall", None),
}
ROP_NAMES: dict[int, str] = {number: "Rop" + name for number, (name, _) in _TABLE.items()}
LOGON = 0xFE
RESPONSE_ONLY = frozenset((0x2A, 0x6E, 0xF9, 0xFF))  # RopNotify, RopPending, RopBackoff, RopBufferTooSmall
_STEPS: dict[int, tuple[int | str, ...]] = {
    number: tuple(int(step) if step.isdigit() else step for step in steps.split()) for number, (_, steps) in _TABLE.items() if steps is not None}
_ITEM_BYTES = {"w": 1, "H": 2, "T": 4, "Q": 8}
_MAX_ITEMS = 1024  # recipients or property names walked in one ROP
_LARGE = 0xBABE  # "the size stands in the next field" (§2.2.9.2.1, §2.2.12.3.1)
MAX_ROPS = 256  # named in one buffer


def _u16(data: bytes, pos: int) -> int:
    return data[pos] | data[pos + 1] << 8 if pos + 2 <= len(data) else 1 << 20  # too much for any buffer


def _request_end(rop: int, data: bytes, pos: int) -> int | None:
    """Where the request ends whose steps begin at `pos`; None when its length is not told by counts."""
    steps = _STEPS.get(rop)
    if steps is None:
        special = _SPECIAL.get(rop)
        return special(data, pos) if special is not None else None
    for step in steps:
        if step.__class__ is int:
            pos += step
        elif step == "z":
            pos = data.find(0, pos) + 1
            if not pos:
                return None
        elif step == "d":
            pos += 4 + int.from_bytes(data[pos:pos + 4], "little")
        else:
            pos += 2 + _ITEM_BYTES[step] * _u16(data, pos)
    return pos


def _read_end(data: bytes, pos: int) -> int:
    """RopReadStream, RopFastTransferSourceGetBuffer: a size, and a second one behind 0xBABE, of 4 and 2 bytes."""
    return pos + 2 + (4 if _u16(data, pos) == _LARGE else 0)


def _buffer_end(data: bytes, pos: int) -> int:
    return pos + 2 + (2 if _u16(data, pos) == _LARGE else 0)


def _sort_end(data: bytes, pos: int) -> int:
    """RopSortTable: flags, SortOrderCount, CategoryCount, ExpandedCount, then orders of property type, id and direction."""
    return pos + 7 + 5 * _u16(data, pos + 1)


def _notification_end(data: bytes, pos: int) -> int:
    """RopRegisterNotification: output handle, types, reserved, WantWholeStore, and without that a folder and a message."""
    return pos + 4 + (0 if data[pos + 3:pos + 4] == b"\1" else 16)


def _query_end(data: bytes, pos: int) -> int:
    """RopQueryNamedProperties: flags, HasGuid, GUID."""
    return pos + 2 + (16 if data[pos + 1:pos + 2] == b"\1" else 0)


def _recipients_end(data: bytes, pos: int) -> int | None:
    """RopModifyRecipients: columns of 4 bytes, then rows of id 4, type 1, size 2 and data."""
    pos += 2 + 4 * _u16(data, pos)
    n_rows = _u16(data, pos)
    if n_rows > _MAX_ITEMS:
        return None
    pos += 2
    for _ in range(n_rows):
        pos += 7 + _u16(data, pos + 5)
    return pos


def _names_end(data: bytes, pos: int) -> int | None:
    """RopGetPropertyIdsFromNames: flags, count, then PropertyNames of kind, GUID and a number (0) or a sized name (1) ([MS-OXCDATA] §2.6.1)."""
    n_names = _u16(data, pos + 1)
    if n_names > _MAX_ITEMS:
        return None
    pos += 3
    for _ in range(n_names):
        kind = data[pos:pos + 1]
        pos += 17
        if kind == b"\0":
            pos += 4
        elif kind == b"\1":
            pos += 1 + (data[pos] if pos < len(data) else 0)
        elif kind != b"\xff":
            return None
    return pos


_SPECIAL = {0x0E: _recipients_end, 0x13: _sort_end, 0x29: _notification_end, 0x2C: _read_end, 0x4E: _buffer_end, 0x56: _names_end, 0x5F: _query_end}


def request_rops(data: bytes) -> list[tuple[int, int]]:
    """(RopId, position behind its first three bytes) of the requests in a ROP list, as far as their lengths are told; empty when the first is no ROP."""
    found: list[tuple[int, int]] = []
    pos, end = 0, len(data)
    while pos + 3 <= end and len(found) < MAX_ROPS:
        rop = data[pos]
        if rop not in ROP_NAMES or rop in RESPONSE_ONLY:
            break
        after = _request_end(rop, data, pos + 3)
        if after is not None and after > end:
            break
        found.append((rop, pos + 3))
        if after is None:
            break
        pos = after
    return found
