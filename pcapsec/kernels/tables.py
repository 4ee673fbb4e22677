"""The arrays in which flows live between windows, and how they are laid out.

All are allocated once at their ceiling by `new_tables`; the operating system gives memory only to what is touched, and entries are
handed out densely, so a small capture stays small. Kernels own the layout; Python reads it through the constants below.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy

from .layers import N_PACKET

# --- one flow: int64[16], 128 bytes. Endpoint A is the smaller of (address, port).
KEY_A0, KEY_A1, KEY_B0, KEY_B1, KEY_PORTS = 0, 1, 2, 3, 4  # 64 address bits each; port A << 48 | port B << 32 | tunnel
STATE, BASE, NEXT, ACKED = 5, 6, 7, 8  # BASE: sequence of the first byte not yet handed on, NEXT: end of what was seen, ACKED: highest acknowledgement sent; A << 32 | B
FIRST_NS, LAST_NS = 9, 10
BYTES_A, BYTES_B = 11, 12  # payload bytes << 24 | frames
FRAMES = 13  # first frame << 28 | last minus first
SEGMENTS = 14  # first kept segment + 1 << 32 | last + 1
KEPT = 15  # kept bytes << 32 | kept segments
N_FLOW = 16

# --- bits of STATE
CLASS_MASK = 15
UNDECIDED, MAIL, MAIL_TLS, TLS, HTTP, RPC, LDAP, SMB, OTHER, FREE, DONE_WITH = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
CLASS_NAMES = ("undecided", "mail", "mail-tls", "tls", "http", "rpc", "ldap", "smb", "other", "free", "done")
LAST_KEPT = SMB  # classes up to it keep bytes
COUNT_A, COUNT_B = 1 << 4, 1 << 5  # bytes of this side are counted, no longer kept
SYN_A, SYN_B, SYNACK_A, SYNACK_B = 1 << 6, 1 << 7, 1 << 8, 1 << 9
FIN_A, FIN_B, RST_A, RST_B = 1 << 10, 1 << 11, 1 << 12, 1 << 13
SEEN_A, SEEN_B = 1 << 14, 1 << 15  # BASE of the side is set
DETACHED = 1 << 16  # its key belongs to a newer conversation
SPOKE_B = 1 << 17  # HTTP, SMB: side B sent the last payload
EVICTED = 1 << 18
TURNED_TLS = 1 << 19  # it began as something else, and then both went over to TLS
ISN_A, ISN_B = 1 << 21, 1 << 22  # the side's initial sequence number is known
OVERWRITTEN = 1 << 23  # the start may have been seen and forgotten
TRIES_SHIFT = 24  # 4 bits: segments sifted in a flow without a start; HTTP, SMB: how much of the turn is kept
BASED_A, BASED_B = 1 << 28, 1 << 29  # BASE of the side is where the last hand-over ended
HELLO_A, HELLO_B = 1 << 30, 1 << 31  # a segment of the side began with a TLS hello
WRAP_SHIFT = 32  # 12 bits: wrappings, as in layers
ALERT_A, ALERT_B = 1 << 44, 1 << 45  # mail: the side sent a TLS alert record among or behind its encrypted data
ENDED_B, ENDED_RST = 1 << 46, 1 << 47  # of the first FIN or RST: side B sent it; it is an RST
VLAN_SHIFT = 48  # 12 bits

# --- one kept segment: int64[8]
S_FLOW, S_SEQ, S_LENGTH, S_AT, S_NS, S_FRAME, S_NEXT, S_INFO = 0, 1, 2, 3, 4, 5, 6, 7
# S_FLOW: side | lower 31 bits of TSval << 32; S_SEQ: sequence << 32 | acknowledgement; S_LENGTH: captured << 32 | on the wire
# S_INFO: TCP flags | TTL << 8 | IP length << 16 | STAMPED | LOOKED_AT | marks << 40 | IP id << 47; notes have neither TTL nor IP id
# the first FIN and each RST without data stand among the segments too, with S_FLOW 2 + side, no bytes, and in S_AT how far the sequence number is from what was expected << 32 | the acknowledgement, 31 bits each
N_SEGMENT = 8
MARK_DUPLICATE, MARK_BAD_CHECKSUM, MARK_CHECKED, MARK_NO_ACK, MARK_OFFLOAD, MARK_DROPPED = 1, 2, 4, 8, 16, 32  # DROPPED: seen, of no use, not kept
STAMPED, LOOKED_AT = 1 << 32, 1 << 33  # it has the timestamps option; assembly has looked at how it was sent
SIDE = 3  # bits of S_FLOW
ENDING = 2  # S_FLOW of a FIN or RST, plus its side
UNEXPECTED = -(1 << 30)  # in S_AT of such: what was expected is not known; more than this is told as this
MAX_ENDINGS = 4096  # segments kept of a flow beyond which no RST is noted
MARK_COUNTED = 64  # DCE/RPC calls that were counted and not kept: S_AT is the place of NOTE_WORDS words, or there are none

# --- calls of one DCE/RPC flow: int64[N_CALL]; the row is the flow's number modulo CALL_ROWS, a flow that finds it taken takes it over
CALL_ROWS = 1 << 14
CALL_KINDS = 8  # distinct (opnum, context, trailer) that are counted on a flow between two binds; others are kept
CLEAR_CALLS = 8  # of a kind whose stubs can be read are kept with their answers: they say who connects, how buffers are packed and which operations are done; then
CLEAR_SAMPLE = 16  # one in so many, for a long connection may come to other operations
C_OWNER, C_CLIENT, C_NEXT, C_HOLES, C_EXACT, C_NOTES, C_KINDS, C_READABLE, C_COUNTED, C_KIND = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
# owner: flow number + 1; client: its side; next: sequence at which each side's next PDU begins, A << 32 | B; holes: segments since bytes are missing, A << 32 | B;
# exact: bits of the sides whose bytes so far end with a PDU; notes: segment rows + 1 of the client's note << 32 | the server's; readable: 0 when only interfaces
# were bound whose stubs nobody reads; counted: segments; kinds: how many, then each
# opnum | context id << 16, auth_type | auth_level << 8 | auth_context_id << 16, how often it passed
N_CALL = C_KIND + 3 * CALL_KINDS
CALLS_WAITING = 7  # counted requests whose answers are still to come
NOTE_CHECKED, NOTE_WAITING, NOTE_KIND, NOTE_KIND_WORDS = 0, 1, 8, 5  # checksums computed of A | of B << 16 | wrong ones of A << 32 | of B << 48; call id << 8 | kind + 1; per kind: its two words as above, requests << 32 | answers, stub bytes asked, stub bytes answered
NOTE_WORDS = NOTE_KIND + NOTE_KIND_WORDS * CALL_KINDS

# --- one remembered SYN: int64[4]: key hash, ts_ns, initial sequence A << 32 | B, frame << 24 | TTL of B's << 16 | of A's << 8 | timestamps option in B's << 6 | in A's << 5 | who
SYN_ENTRIES = 1 << 17
WAYS = 4  # rows of a set; enough that only a flood makes it forget
# --- one remembered frame for duplicates: 36 bits of its hash, 28 bits of its time
SEEN_ENTRIES = 1 << 15
DUPLICATE_WINDOW_NS = 20_000_000

# --- scalars, int64[N_SCALAR]
FLOW_TOP, FLOW_FREE, SEGMENT_TOP, SEGMENT_FREE, ARENA_TOP, INDEX_USED, NOW_NS, N_LIVE = 0, 1, 2, 3, 4, 5, 6, 7
C_FRAMES, C_UNDECODED, C_DUPLICATES, C_TCP, C_OTHER_IP, C_FRAGMENTS, C_EVICTED, C_UNKNOWN_STARTS = 8, 9, 10, 11, 12, 13, 14, 15
LIVE_BYTES = 24  # bytes of the arena in use
C_SUPERFRAMES, C_MAX_IP, C_FILTERED, C_FRAGMENTS_LOST, C_UNKEPT, C_DUPLICATE_PAYLOAD, C_CUT = 16, 17, 18, 19, 21, 22, 23
C_RPC_UDP, C_RPC_UDP_BYTES = 20, 25  # connectionless DCE/RPC: packets and their bytes
DATAGRAM_TOP, DATAGRAM_BYTES = 26, 27  # kept datagrams not yet fetched, and their bytes
HAS_EXCHANGERS = 30  # 1 once a host was named as a mail exchanger
C_TUNNELS, C_CARRIED = 28, 29  # 1: some tunnel may have been begun, 2: was begun, so that what may go on with it is kept; kept datagrams that kernels/carriers.py is for
CLASS_FLOWS, CLASS_BYTES = 32, 48  # sixteen each
ARENA_FREE = 64  # one list head per size class
N_SCALAR = 64 + 32

# --- parameters, int64[N_PARAMETER]
P_JOB, P_JOBS, P_HOST0, P_HOST1, P_HOST_MASK0, P_HOST_MASK1, P_HOST_SET, P_PORT, P_SINCE, P_UNTIL, P_SEED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
P_WHOLE_TLS = 11  # 1: somebody holds keys, so what TLS hides is kept as well
P_WHOLE_RPC = 12  # 1: keep every call
N_PARAMETER = 16
ALWAYS = (-(1 << 63), (1 << 63) - 1)  # P_SINCE and P_UNTIL of everything: clocks say what they like

CHECKED_BYTES = 512  # checksums are computed of segments up to this size, where commands and replies are, and of
CHECKED_SEGMENTS = 16  # the first kept segments of a flow
BLOCK = 64  # arena bytes come in multiples of this
MAX_BLOCKS = 24  # a larger payload is kept as several segments
KEPT_UNDECIDED = 65536  # bytes kept of a flow whose protocol is not known yet

FRAGMENT_SLOTS = 64
FRAGMENT_BYTES = 65536
# fragment meta, int64[12]: key hash, ts, total length (-1 unknown), bytes so far, address words 0..7 come from the packet that completes it

# --- one kept datagram: int64[11]: source and destination address, both ports and tunnel as in a flow's key, ts_ns, frame, place, length, state bits (wrappings, VLAN, kind), and of what is
# worked on in kernels: IP identification | TTL << 16 | what carries ESP << 24 (see PROTOCOL in layers) | length on the wire << 32
D_SRC0, D_SRC1, D_DST0, D_DST1, D_PORTS, D_NS, D_FRAME, D_AT, D_LENGTH, D_STATE, D_IP = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
N_DATAGRAM = 11
D_KIND = 15  # mask of the kind: the first three are handed to Python, the others are what kernels/carriers.py is for
D_QUIC, D_IKE, D_ANSWER, D_ESP, D_AH, D_TUNNEL = 0, 1, 2, 3, 4, 5  # ANSWER: of DNS, over UDP or TCP
DATAGRAMS = 4096
DATAGRAM_ROOM = 4 << 20

# --- one name that DNS gave to an address: int64[4] and its labels as they stood on the wire
N_HIGH, N_LOW, N_NS, N_LENGTH = 0, 1, 2, 3
NAME_ENTRIES = 1 << 15
NAME_BYTES = 128  # longer names are left out
# --- rows behind those, directly mapped: the hash of a mail exchanger's name, whose addresses are of interest; the hash of an answer kept lately, which is not kept again
N_EXCHANGER, N_ANSWER = 0, 1
HASH_ROWS = 1 << 13
MAX_ANSWER_BYTES = 4096  # of a DNS message that is kept: what EDNS usually allows

# --- one security association or tunnel that hides what it carries: int64[N_CARRIER]; a set of WAYS rows is found by the hash of the first five words
V_A0, V_A1, V_B0, V_B1, V_KEY = 0, 1, 2, 3, 4  # source and destination; kind << 32 | SPI, for tunnels the smaller end first and kind << 32 | ports
V_PACKETS, V_BYTES, V_FIRST_NS, V_LAST_NS, V_FRAME, V_LAST_FRAME = 5, 6, 7, 8, 9, 10
V_PORTS, V_STATE, V_FORM, V_PASSES, V_FAILS, V_SEQUENCE, V_ORDERLY, V_NEXT, V_WRAPPED = 11, 12, 13, 14, 15, 16, 17, 18, 19
# PORTS: of the last packet in UDP, source << 16 | destination; STATE: CARRIER_*; FORM: bytes before the payload << 8 | bytes of ICV, of ESP that seems unencrypted; PASSES, FAILS: packets that
# are whole without decryption, that cannot be; SEQUENCE, ORDERLY: the last sequence number, how often it went up by a little; NEXT: the last next header; tunnels: what an answer must repeat
N_CARRIER = 20
CARRIER_SETS = 1 << 10
KIND_ESP, KIND_WESP, KIND_AH, KIND_WIREGUARD, KIND_OPENVPN = 1, 2, 3, 4, 5
CARRIER_OPEN, CARRIER_CLEAR, CARRIER_SEALED = 0, 1, 2  # not known yet; ESP without encryption, a tunnel that was answered; ESP that hides what it carries

# --- what assembly.py makes of a flow
DATA, GAP, GAP_SNAPLEN, CONFLICT, SILENT, SKIPPED, COUNTED = 0, 1, 2, 3, 4, 5, 6  # SKIPPED: seen, and dropped on purpose; COUNTED: whole DCE/RPC calls, NOTE_WORDS words at its place unless that is -1
# out_turns: kind (DATA …), side, place in out_bytes (CONFLICT: row of out_hints, or -1), length, stream offset from the side's first byte of this call
N_TURN = 5
# out_marks: side, stream offset, frame, ts_ns: one for each segment that brought new bytes
N_MARK = 4
# out_results
R_ENTRY, R_MORE, R_TURN, R_TURNS, R_MARK, R_MARKS, R_DUPLICATES, R_TRUNCATED, R_TRUNCATED_BYTES, R_CONFLICTS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
R_CHECKED_A, R_CHECKED_B, R_BAD_A, R_BAD_B, R_MAX_IP, R_FIRST_A, R_FIRST_B, R_OVER, R_UNSEEN_A, R_UNSEEN_B = 10, 11, 12, 13, 14, 15, 16, 17, 18, 19
R_DELIVERED_A, R_DELIVERED_B, R_LATER = 20, 21, 22  # R_LATER: pieces of the flow were handed on before
R_SENT_A, R_SENT_B, R_START, R_HINT, R_HINTS = 23, 24, 25, 26, 27  # TTL of the side's first segment (0: none, nor a SYN) | segments looked at << 8; its starts; its rows of out_hints (hints.py)
N_RESULT = 28

# why scan() came back
DONE, INDEX_FULL, FLOWS_FULL, SEGMENTS_FULL, ARENA_FULL, DATAGRAMS_FULL = 0, 1, 2, 3, 4, 5


class Tables(NamedTuple):
    """All state of one capture's flows."""

    flows: numpy.ndarray  # int64[ceiling, N_FLOW]
    starts: numpy.ndarray  # int64[ceiling], of each flow: what is remembered of its SYNs but for the frame, 0: none
    index: numpy.ndarray  # int32[power of two], flow number + 1
    segments: numpy.ndarray  # int64[ceiling, N_SEGMENT]
    arena: numpy.ndarray  # uint8[ceiling]
    blocks: numpy.ndarray  # int64 view of arena, for its free lists
    syns: numpy.ndarray  # int64[SYN_ENTRIES, 4]
    seen: numpy.ndarray  # int64[SEEN_ENTRIES]
    fragments: numpy.ndarray  # int64[FRAGMENT_SLOTS, 12]
    fragment_data: numpy.ndarray  # uint8[FRAGMENT_SLOTS, FRAGMENT_BYTES]
    fragment_map: numpy.ndarray  # uint8[FRAGMENT_SLOTS, FRAGMENT_BYTES // 8]
    names: numpy.ndarray  # int64[NAME_ENTRIES + HASH_ROWS, 4]
    name_data: numpy.ndarray  # uint8[NAME_ENTRIES * NAME_BYTES]
    datagrams: numpy.ndarray  # int64[DATAGRAMS, N_DATAGRAM]
    datagram_data: numpy.ndarray  # uint8[DATAGRAM_ROOM]
    calls: numpy.ndarray  # int64[CALL_ROWS, N_CALL]
    carriers: numpy.ndarray  # int64[CARRIER_SETS * WAYS, N_CARRIER]
    packet: numpy.ndarray  # int64[N_PACKET], what decode() found
    scalars: numpy.ndarray  # int64[N_SCALAR]
    parameters: numpy.ndarray  # int64[N_PARAMETER]


def new_tables(max_flows: int = 1 << 21, max_segments: int = 1 << 21, arena_bytes: int = 128 << 20, index_entries: int = 1 << 16) -> Tables:
    """Empty tables at their ceilings; untouched parts take no memory."""
    arena = numpy.zeros(arena_bytes, dtype=numpy.uint8)
    parameters = numpy.zeros(N_PARAMETER, dtype=numpy.int64)
    parameters[P_JOBS] = 1
    parameters[P_SINCE], parameters[P_UNTIL] = ALWAYS
    scalars = numpy.zeros(N_SCALAR, dtype=numpy.int64)
    scalars[NOW_NS] = -(1 << 62)
    return Tables(
        flows=numpy.zeros((max_flows, N_FLOW), dtype=numpy.int64), starts=numpy.zeros(max_flows, dtype=numpy.int64), index=numpy.zeros(index_entries, dtype=numpy.int32),
        segments=numpy.zeros((max_segments, N_SEGMENT), dtype=numpy.int64), arena=arena, blocks=arena.view(numpy.int64),
        syns=numpy.zeros((SYN_ENTRIES, 4), dtype=numpy.int64), seen=numpy.zeros(SEEN_ENTRIES, dtype=numpy.int64),
        fragments=numpy.zeros((FRAGMENT_SLOTS, 12), dtype=numpy.int64), fragment_data=numpy.zeros((FRAGMENT_SLOTS, FRAGMENT_BYTES), dtype=numpy.uint8),
        fragment_map=numpy.zeros((FRAGMENT_SLOTS, FRAGMENT_BYTES // 8), dtype=numpy.uint8),
        names=numpy.zeros((NAME_ENTRIES + HASH_ROWS, 4), dtype=numpy.int64), name_data=numpy.zeros(NAME_ENTRIES * NAME_BYTES, dtype=numpy.uint8),
        datagrams=numpy.zeros((DATAGRAMS, N_DATAGRAM), dtype=numpy.int64), datagram_data=numpy.zeros(DATAGRAM_ROOM, dtype=numpy.uint8),
        calls=numpy.zeros((CALL_ROWS, N_CALL), dtype=numpy.int64), carriers=numpy.zeros((CARRIER_SETS * WAYS, N_CARRIER), dtype=numpy.int64),
        packet=numpy.zeros(N_PACKET, dtype=numpy.int64), scalars=scalars, parameters=parameters)
