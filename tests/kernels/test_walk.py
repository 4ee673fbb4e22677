"""The walk: compiled = its plain Python = a slow obvious reader, whatever the bytes and however they are cut into windows."""
from __future__ import annotations

import pathlib
import random
import re
import struct
import types

import numpy as np
import pytest

from pcapsec.capture import formats
from pcapsec.kernels import walk, walk_ng
from tests import capture_files as made


COMPILED = types.SimpleNamespace(walk_pcap=walk.walk_pcap, walk_pcapng=walk_ng.walk_pcapng)


def in_plain_python() -> types.SimpleNamespace:
    """The kernels without numba: their source run with decorators that do nothing."""
    space: dict = {"kernel": lambda function: function, "part": lambda function: function}
    for module in (walk, walk_ng):
        source = re.sub(r"^from \.\w+ import (\([^)]*\)|.*)$", "", pathlib.Path(module.__file__).read_text(), flags=re.MULTILINE)
        exec(compile(source, module.__name__ + " in plain Python", "exec"), space)
    return types.SimpleNamespace(walk_pcap=space["walk_pcap"], walk_pcapng=space["walk_pcapng"])


PLAIN = in_plain_python()


def walked(data: bytes, kernels=COMPILED, *, cuts=(), capacity=1 << 12, state=None):
    """Walk bytes that arrive in pieces cut at `cuts`: (list of (frame, original, ts_ns, link), final state)."""
    data = bytes(data)
    form, first_state = formats.start_of_capture("made", data, None)
    state = first_state if state is None else state
    interfaces = np.zeros((2, walk_ng.INTERFACE_COLUMNS), np.int64)
    rows = np.full((capacity, walk.FRAME_COLUMNS), -7, np.int64)
    found = []
    base, at = 0, int(state[walk.AT])  # base: place in the file of the window's first byte
    for end in [*sorted(cut for cut in cuts if cut >= at), len(data), None]:
        final = end is None
        end = len(data) if final else end
        while True:
            window = np.frombuffer(data[base:end], np.uint8).copy()
            if form == "pcap":
                n = kernels.walk_pcap(window, len(window), int(final), state, rows)
            else:
                n = kernels.walk_pcapng(window, len(window), int(final), state, interfaces, rows)
            for row in rows[:n]:
                place, captured = int(row[0]), int(row[1])
                assert 0 <= place and 0 <= captured and place + captured <= len(window)
                found.append((window[place : place + captured].tobytes(), int(row[2]), int(row[3]), int(row[4])))
            at = int(state[walk.AT])
            assert 0 <= at <= len(window)
            if state[walk.STATUS] == walk.INTERFACES_FULL:
                interfaces = np.concatenate([interfaces, np.zeros_like(interfaces)])
            elif state[walk.STATUS] == walk.HEADER_INSIDE:
                formats.read_pcap_head(data[base + at : base + at + 24], state)
                state[walk.AT] += at
            elif state[walk.STATUS] == walk.WINDOW_DONE:
                break
        assert state[walk.NEEDED] > len(window) - at or final
        base += at
        state[walk.AT] = 0
    state[walk.AT] = base
    state[walk.NEEDED] = 0
    return found, state


def same_every_way(data: bytes, seed=0):
    """Rows and state are the same compiled and plain, in one window and in many, with a long table and a short one."""
    whole = walked(data)
    shaken = random.Random(seed)
    for cuts, capacity, kernels in (
        ((), 1 << 12, PLAIN),
        (sorted(shaken.sample(range(len(data)), min(5, len(data)))), 3, COMPILED),
        (range(0, len(data), 37), 1, COMPILED),
    ):
        rows, state = walked(data, kernels, cuts=cuts, capacity=capacity)
        assert rows == whole[0], (list(cuts), capacity)
        differing = [column for column in range(walk.STATE_COLUMNS) if state[column] != whole[1][column] and column != walk.STATUS]
        assert not differing, (list(cuts), differing)
    return whole


PCAPS = {
    "little": made.pcap(made.frames(9)),
    "big": made.pcap(made.frames(9), order=">"),
    "little-nano": made.pcap(made.frames(9), nano=True, step_ns=1_000_001),
    "big-nano": made.pcap(made.frames(9), order=">", nano=True, step_ns=1_000_001),
    "long-frames": made.pcap(made.frames(3, 5000)),
    "empty-frames": made.pcap([b"", b"a", b"", b""]),
    "no-frames": made.pcap([]),
}

NG_MIXED = (
    made.section(options=made.option(4, b"dumpcap") + made.option(0, b""))
    + made.interface(1, 262144)
    + made.interface(113, 100, options=made.option(9, b"\x09") + made.option(0, b""))
    + made.block(4, struct.pack("<HH", 0, 0))
    + made.enhanced(b"one", made.START_NS // 1000)
    + made.enhanced(b"zwei", made.START_NS + 7, 1, original=400)
    + made.block(0x0A, struct.pack("<II", 0x544C534B, 8) + b"CLIENT_R")
    + made.simple(b"three", 5)
    + made.old_packet(b"vier", made.START_NS // 1000 + 5)
    + made.statistics(0, if_dropped=3, os_dropped=4)
    + made.block(0x7777, b"whatever")
    + made.section(">")
    + made.interface(276, order=">", options=made.option(9, b"\x8a", ">") + made.option(14, struct.pack(">q", 1_700_000_000), ">"))
    + made.enhanced(b"six", 5 * 1024 + 512, order=">")
    + made.statistics(0, ">", if_dropped=10)
)
PCAPNGS = {
    "little": made.pcapng(made.frames(9)),
    "big": made.pcapng(made.frames(9), order=">"),
    "mixed": NG_MIXED,
    "no-packets": made.section(),
}


@pytest.mark.parametrize("name", PCAPS)
def test_pcap_is_what_the_slow_reader_sees(name):
    rows, state = same_every_way(PCAPS[name])
    assert rows == made.read_pcap_slowly(PCAPS[name])
    assert (state[walk.AT], state[walk.SKIPPED], state[walk.DAMAGES], state[walk.PACKETS]) == (len(PCAPS[name]), 0, 0, len(rows))


@pytest.mark.parametrize("name", PCAPNGS)
def test_pcapng_is_what_the_slow_reader_sees(name):
    rows, state = same_every_way(PCAPNGS[name])
    assert rows == made.read_pcapng_slowly(PCAPNGS[name])
    assert (state[walk.AT], state[walk.SKIPPED], state[walk.DAMAGES], state[walk.PACKETS]) == (len(PCAPNGS[name]), 0, 0, len(rows))


@pytest.mark.parametrize("name", ["little", "big-nano", "empty-frames"])
def test_every_truncation_of_a_pcap_gives_the_whole_records_before_it(name):
    data = PCAPS[name]
    for length in range(24, len(data)):
        rows, state = walked(data[:length])
        assert rows == made.read_pcap_slowly(data[:length]), length
        assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (0, 0), length


@pytest.mark.parametrize("name", ["big", "mixed"])
def test_every_truncation_of_a_pcapng_gives_the_whole_blocks_before_it(name):
    data = PCAPNGS[name]
    for length in range(12, len(data)):
        rows, state = walked(data[:length])
        assert rows == made.read_pcapng_slowly(data[:length]), length
        assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (0, 0), length


def test_what_a_mixed_pcapng_says_about_itself():
    _rows, state = walked(NG_MIXED)
    assert [int(link) for link in state[walk.LINKS : walk.LINKS + state[walk.N_LINKS]]] == [1, 113, 276]
    assert (state[walk.DROPPED], state[walk.HAS_DROPPED], state[walk.SNAP_LENGTH], state[walk.SECTIONS]) == (17, 1, 100, 2)
    assert (state[walk.TRUNCATED], state[walk.N_TIMED]) == (1, 4)


def test_interface_statistics_are_totals_so_the_last_of_each_interface_counts():
    data = made.section() + made.interface() + made.interface() + b"".join(made.statistics(which, if_dropped=n) for which, n in ((0, 5), (0, 9), (1, 2), (7, 99)))
    assert walked(data)[1][walk.DROPPED] == 11


def test_drop_counters_of_packets_add_up():
    drops = made.option(2, b"\0\0\0\0") + made.option(4, struct.pack("<Q", 6))
    data = made.section() + made.interface() + made.enhanced(b"abcde", 5, options=drops) * 2 + made.old_packet(b"x", 6, drops=3)
    state = walked(data)[1]
    assert (state[walk.DROP_OPTIONS], state[walk.HAS_DROP_OPTIONS], state[walk.HAS_DROPPED]) == (15, 1, 0)


@pytest.mark.parametrize(
    "kernels", [COMPILED, PLAIN], ids=["compiled", "plain"]
)
@pytest.mark.parametrize("exponent", [0, 3, 6, 9, 10, 12, 15, 18, 19, 27, 28, 40, 127] + [128 + n for n in (0, 1, 10, 20, 31, 32, 33, 45, 63, 64, 70, 95, 96, 127)])
def test_time_units(exponent, kernels):
    """Against exact fractions; finer binary units than 2**-32 s are cut to that, times beyond 2262 are held there."""
    shaken = random.Random(exponent)
    units = 2 ** (exponent & 127) if exponent & 128 else 10**exponent
    for offset in (0, 1_600_000_000, -5, 2**63 - 1, -(2**63)):
        near_now = min(1_700_000_000 * units + shaken.randrange(units), 2**64 - 1)
        for ticks in (0, 1, near_now, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, shaken.randrange(2**64)):
            options = made.option(9, bytes([exponent])) + made.option(14, struct.pack("<q", offset))
            data = made.section() + made.interface(options=options) + made.enhanced(b"x", ticks)
            ts_ns = walked(data, kernels)[0][0][2]
            exact = ticks * 10**9 // units
            if exponent & 128 and units > 2**32:
                exact = ticks // units * 10**9 + (((ticks % units) << 32) // units * 10**9 >> 32)
            held = max(-9_223_372_036, min(offset, 9_223_372_036)) * 10**9
            expected = max(-walk.MAX_NS, min(min(exact, walk.MAX_NS) + held, walk.MAX_NS))
            assert abs(ts_ns - expected) <= (1_999_999_999 if exact > walk.MAX_NS - 2 * 10**9 else 0), (ticks, offset)


def test_blocks_that_wireshark_numbers_hold_their_place():
    """Compared with tshark 4.0: journal entries, custom blocks and system calls take a frame number; name tables, secrets and statistics do not."""
    numbered = [9, 0x0BAD, 0x40000BAD, 0x204, 0x216, 0x221]
    silent = [4, 5, 7, 8, 10, 11, 0x201, 0x205, 0x80000001]
    data = made.section() + made.interface() + b"".join(made.block(kind, bytes(20)) for kind in numbered + silent) + made.enhanced(b"last", 1)
    rows, _ = same_every_way(data)
    assert [(frame, link) for frame, _, _, link in rows] == [(b"", walk.NO_LINK)] * 6 + [(b"last", 1)]


def test_a_packet_of_an_interface_that_no_block_describes_keeps_its_number():
    rows, state = same_every_way(made.section() + made.enhanced(b"lost", 77, 3) + made.interface() + made.enhanced(b"good", 5))
    assert rows == [(b"lost", 4, 0, walk.NO_LINK), (b"good", 4, 5000, 1)]
    assert state[walk.NO_INTERFACE] == 1


def test_interfaces_beyond_the_table_make_it_grow():
    data = made.section() + b"".join(made.interface(link) for link in range(40)) + made.enhanced(b"x", 1, 39)
    rows, state = same_every_way(data)
    assert rows == [(b"x", 1, 1000, 39)]
    assert state[walk.N_INTERFACES] == 40 and state[walk.N_LINKS] == walk.MAX_LINKS


def test_more_interfaces_than_believable_are_passed_over():
    state = np.zeros(walk.STATE_COLUMNS, np.int64)
    state[walk.N_INTERFACES] = walk_ng.MAX_INTERFACES
    interfaces = np.zeros((4, walk_ng.INTERFACE_COLUMNS), np.int64)
    window = np.frombuffer(made.interface() * 3, np.uint8).copy()
    assert walk_ng.walk_pcapng(window, len(window), 1, state, interfaces, np.zeros((4, 5), np.int64)) == 0
    assert (state[walk.STATUS], state[walk.AT], state[walk.N_INTERFACES]) == (walk.WINDOW_DONE, len(window), walk_ng.MAX_INTERFACES)


# ---- damage -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcap_with_bytes_missing_goes_on_at_the_next_record(order):
    records = [made.pcap_record(frame, made.START_NS + n * 1000, order=order) for n, frame in enumerate(made.frames(8, 200))]
    data = made.pcap_head(order=order) + b"".join(records[:3]) + records[3][:30] + b"".join(records[4:])
    rows, state = same_every_way(data)
    frames = made.frames(8, 200)
    swallowed = (records[3] + records[4])[16:30] + records[4][: len(frames[3]) - 14]  # the cut record's frame, completed by what follows it
    assert [row[0] for row in rows] == frames[:3] + [swallowed] + frames[5:]
    assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (1, 30 + len(records[4]) - len(records[3]))


def test_strange_bytes_between_two_records_are_skipped_and_counted():
    frames = made.frames(6)
    records = [made.pcap_record(frame, made.START_NS + n) for n, frame in enumerate(frames)]
    rubbish = bytes(range(200, 256)) * 3
    rows, state = same_every_way(made.pcap_head() + b"".join(records[:3]) + rubbish + b"".join(records[3:]))
    assert [row[0] for row in rows] == frames
    assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (1, len(rubbish))


@pytest.mark.parametrize("hole", [16, 4096, 70001])
def test_a_hole_of_zeros_is_no_packets(hole):
    frames = made.frames(6)
    records = [made.pcap_record(frame, made.START_NS + n) for n, frame in enumerate(frames)]
    rows, state = walked(made.pcap_head() + b"".join(records[:3]) + bytes(hole) + b"".join(records[3:]))
    assert [row[0] for row in rows] == frames
    assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (1, hole)


def test_a_captured_length_that_lies_beyond_the_end_costs_one_record():
    frames = made.frames(8)
    records = [made.pcap_record(frame, made.START_NS + n) for n, frame in enumerate(frames)]
    records[2] = records[2][:8] + struct.pack("<I", 200_000) + records[2][12:]
    rows, state = same_every_way(made.pcap_head() + b"".join(records))
    assert [row[0] for row in rows] == frames[:2] + frames[3:]
    assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (1, len(records[2]))


def test_times_a_day_off_need_four_records_in_a_row_to_be_found():
    rubbish = b"\xee" * 50
    for n_after, n_found in ((3, 0), (4, 4)):
        after = [made.pcap_record(frame, made.START_NS + 9 * made.DAY_NS + n) for n, frame in enumerate(made.frames(n_after))]
        rows, state = same_every_way(made.pcap(made.frames(3)) + rubbish + b"".join(after) + b"\xee" * 30)
        assert len(rows) == 3 + n_found
        assert state[walk.SKIPPED] == len(rubbish) + 30 + (0 if n_found else sum(map(len, after)))


def test_a_file_whose_fractions_are_all_wrong_is_read_as_it_is():
    """Nanoseconds under a microsecond magic: writers do it, and every packet is there."""
    records = [made.pcap_record(frame, made.START_NS + 999_000_000 + n, nano=True) for n, frame in enumerate(made.frames(6))]
    rows, state = same_every_way(made.pcap_head() + b"".join(records))
    assert [row[0] for row in rows] == made.frames(6)
    assert state[walk.DAMAGES] == 0


def test_pcap_files_joined_with_cat_are_read_on():
    first, second = made.pcap(made.frames(3)), made.pcap(made.frames(4), order=">", nano=True, link=113, start_ns=made.START_NS + 10**12)
    rows, state = walked(first + second + first)
    assert rows == made.read_pcap_slowly(first) + made.read_pcap_slowly(second) + made.read_pcap_slowly(first)
    assert state[walk.DAMAGES] == 0


def test_a_pcapng_block_with_a_broken_length_costs_that_block():
    frames = made.frames(6)
    packets = [made.enhanced(frame, n) for n, frame in enumerate(frames)]
    start = made.section() + made.interface()
    for broken in (packets[2][:4] + struct.pack("<I", 5) + packets[2][8:], packets[2][:4] + struct.pack("<I", 1 << 30) + packets[2][8:], packets[2][:-9]):
        rows, state = same_every_way(start + b"".join(packets[:2]) + broken + b"".join(packets[3:]))
        assert [row[0] for row in rows] == frames[:2] + frames[3:]
        assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (1, len(broken))


def test_a_pcapng_block_whose_second_length_alone_is_wrong_is_kept():
    frames = made.frames(4)
    packets = [made.enhanced(frame, n) for n, frame in enumerate(frames)]
    packets[1] = packets[1][:-4] + b"\xff" * 4
    rows, state = same_every_way(made.section() + made.interface() + b"".join(packets))
    assert [row[0] for row in rows] == frames
    assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (1, 0)


def test_a_captured_length_beyond_its_block_is_cut_to_the_block():
    rows, state = same_every_way(made.section() + made.interface() + made.enhanced(b"abcd", 1, captured=1 << 31, original=1 << 31) + made.enhanced(b"ok", 2))
    assert rows == [(b"abcd", 1 << 31, 1000, 1), (b"ok", 2, 2000, 1)]
    assert state[walk.MISFIT] == 1


def test_an_oversized_key_log_is_passed_over_without_being_held():
    length = walk.MAX_BLOCK_BYTES + 4096
    secrets = struct.pack("<II", 10, length) + bytes(length - 12) + struct.pack("<I", length)
    data = made.section() + made.interface() + secrets + made.enhanced(b"after", 1)
    for cuts in ((), (1000, 1 << 20, length, length + 30)):
        rows, state = walked(data, cuts=cuts)
        assert rows == [(b"after", 5, 1000, 1)]
        assert (state[walk.DAMAGES], state[walk.SKIPPED]) == (0, 0)
    liar = data[:-40].replace(struct.pack("<I", length), struct.pack("<I", length - 4), 1) + data[-40:]
    rows, state = walked(liar)
    assert rows == [(b"after", 5, 1000, 1)]
    assert state[walk.DAMAGES] == 1


def test_a_backstep_is_an_hour():
    hour = 3600 * 10**9
    times = [0, 2 * hour, hour, hour - 1000, 3 * hour, 0]
    data = made.pcap_head() + b"".join(made.pcap_record(b"x", made.START_NS + ts) for ts in times)
    state = walked(data)[1]
    assert (state[walk.BACKSTEPS], state[walk.FIRST_NS], state[walk.NEWEST_NS], state[walk.LAST_NS]) == (
        2,
        made.START_NS,
        made.START_NS + 3 * hour,
        made.START_NS,
    )


@pytest.mark.parametrize("seed", range(60))
def test_random_bytes_behind_a_head(seed):
    shaken = random.Random(seed)
    for head in (made.pcap_head(order=shaken.choice("<>")), made.section(shaken.choice("<>")) + made.interface()):
        weighted = bytes(shaken.choice((0, 0, 0, 0, 1, 3, 6, 10, 13, 16, shaken.randrange(256))) for _ in range(shaken.randrange(2000)))
        same_every_way(head + weighted, seed)


@pytest.mark.parametrize("seed", range(120))
def test_mutations_of_good_files(seed):
    shaken = random.Random(1000 + seed)
    data = bytearray(shaken.choice([*PCAPS.values(), *PCAPNGS.values()]))
    fixed = 24 if data[:1] != b"\x0a" else 12
    for _ in range(shaken.randrange(1, 6)):
        if len(data) <= fixed + 1:
            break
        at = shaken.randrange(fixed, len(data))
        match shaken.randrange(5):
            case 0:
                data[at] = shaken.randrange(256)
            case 1:
                del data[at : at + shaken.randrange(40)]
            case 2:
                data[at:at] = shaken.randbytes(shaken.randrange(40))
            case 3:
                data[at : at + 4] = struct.pack(shaken.choice("<>") + "I", shaken.choice([0, 1, 12, 2**31 - 1, 2**31, 2**32 - 1, 262144, 262145, 1 << 24]))
            case 4:
                data[at:at] = data[fixed : shaken.randrange(fixed, len(data))]
    same_every_way(bytes(data), seed)


def test_each_kernel_is_compiled_once():
    same_every_way(PCAPS["little"])
    same_every_way(PCAPNGS["mixed"])
    assert len(walk.walk_pcap.signatures) == 1
    assert len(walk_ng.walk_pcapng.signatures) == 1
