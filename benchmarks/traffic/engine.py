"""Conversations into a pcap file: thousands open at once, constant memory whatever the size.

Time runs in buckets. For each bucket new conversations are drawn and all their frames go into the buckets of their times, as (time, conversation, row);
then the bucket's frames are sorted and written. A conversation's place is used again after its last frame.
"""
from __future__ import annotations

import base64
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from . import kernels
from .kernels import N_COUNTERS, PLAY
from .library import Library
from .script import MESSAGE, PASSWORD, RECIPIENT, TOKEN_AT, USER, Slot, fill

EPOCH_NS = 1_715_580_000 * 1_000_000_000  # 2024-05-13 06:00 UTC
BUCKET_NS = 100_000_000
BYTES_PER_NS = 0.125  # 1 Gbit/s
OUT_BYTES = 16 << 20
N_CLIENTS = 50_021  # a prime, so that neighbours in time are strangers
BASE36 = np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyz", np.uint8)
# odd and no multiples of 3, so that multiplying by them modulo a power of 36 makes different serials of different numbers
FACTORS = {USER: 2654435761, RECIPIENT: 2246822519, PASSWORD: 3266489917, MESSAGE: 668265263}
# groups of addresses: IPv4 prefix, IPv6 prefix, how many servers
GROUPS = {"internet": (bytes([198, 18]), "20010db8000a", 3_000), "mail": (bytes([192, 168]), "20010db8000b", 40),
          "office": (bytes([10, 20]), "20010db8000c", 60)}


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares: of TCP segments lost, duplicated, reordered; of conversations over IPv6."""

    lost: float = 0.002
    duplicated: float = 0.005
    reordered: float = 0.01
    v6: float = 0.2


class Account(Protocol):
    """Who is told what was played."""

    def played(self, number: int, scripts: np.ndarray, plays: np.ndarray, lost: np.ndarray) -> None: ...


def serials(numbers: np.ndarray, slot: Slot, seed: int) -> np.ndarray:
    """uint8[n, width]: base 36, different for different numbers below 2**30."""
    modulus = 36 ** slot.width
    offset = (seed * 0x9E3779B97F4A7C15 + slot.at * 0xD1B54A32D192ED03) % modulus
    mixed = (numbers.astype(np.uint64) * np.uint64(FACTORS[slot]) + np.uint64(offset)) % np.uint64(modulus)
    digits = mixed[:, None] // np.uint64(36) ** np.arange(slot.width - 1, -1, -1, dtype=np.uint64) % np.uint64(36)
    return BASE36[digits.astype(np.intp)]


class Player:
    """Plays scripts until enough bytes are written.

    Args:
        library: what can be played.
        weights: float[scripts], how often each is started, relative to the others.
        size: bytes of the file, met within the length of a conversation.
        seed: same seed, same file.
        nanoseconds: write a nanosecond pcap.
        rate: bytes per second that the link carries on average.
        most: conversations, after which no more are started.
        spoofed: client addresses and ports at random instead of a population of clients.
    """

    def __init__(self, library: Library, weights: np.ndarray, size: int, seed: int, rates: Rates = Rates(), nanoseconds: bool = False,
                 rate: float = BYTES_PER_NS * 1e9,
                 spoofed: bool = False, most: int | None = None):
        self.library, self.size, self.seed, self.rates, self.nanoseconds, self.spoofed = library, size, seed, rates, nanoseconds, spoofed
        self.most = most
        self.rng = np.random.default_rng([seed, 2])
        self.cumulative = np.cumsum(weights) / np.sum(weights)
        mean = float(library.mean_bytes @ weights / np.sum(weights))
        self.per_bucket = rate * BUCKET_NS / 1e9 / mean
        self.counters = np.zeros((2, N_COUNTERS), np.int64)
        self.plays = np.zeros(4096, PLAY)
        self.free = np.arange(4096, dtype=np.int32)[::-1].copy()
        self.n_free = 4096
        self.n_started = 0
        self.n_filled = 0  # conversations with values of their own
        self.most_open = 0
        scripts = library.scripts
        self._mail = np.array([script.protocol is not None for script in scripts])
        self._filled = np.array([script.protocol is not None or any(step.slots for step in script.steps) for script in scripts])
        self._port = np.array([script.port for script in scripts])
        self._far = np.array([script.clients == "internet" or script.servers == "internet" for script in scripts])
        names = list(GROUPS)
        self._client_group = np.array([names.index(script.clients) for script in scripts])
        self._server_group = np.array([names.index(script.servers) for script in scripts])
        self._tokens = np.array([bool(script.tokens) for script in scripts])
        kernels.payload_sums(library.rows, library.pool)

    def run(self, out: BinaryIO, account: Account) -> None:
        """Write the whole capture."""
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D if self.nanoseconds else 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        waiting: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
        buffer = np.zeros(OUT_BYTES, np.uint8)
        done = np.zeros(OUT_BYTES // 64, np.int32)
        room, bucket, debt = self.size - 24, 0, np.zeros(1, np.int64)
        while room > 0 or waiting:
            if room > 0:
                room -= self._start(bucket, room, debt, waiting, account)
                if self.most is not None and self.n_started >= self.most:
                    room = 0
            parts = waiting.pop(bucket, None)
            if parts:
                self._write(parts, buffer, done, out)
            bucket += 1

    def _start(self, bucket: int, room: int, debt: np.ndarray, waiting: dict, account: Account) -> int:
        """Draw the bucket's new conversations; returns the bytes that they will take."""
        rng, library = self.rng, self.library
        n = int(rng.poisson(self.per_bucket))
        if self.most is not None:
            n = min(n, self.most - self.n_started)
        if not n:
            return 0
        scripts = np.minimum(np.searchsorted(self.cumulative, rng.random(n), side="right"), len(self.cumulative) - 1)
        v6 = (rng.random(n) < self.rates.v6).astype(np.int64)
        bounds = library.bounds[scripts, v6]
        places = self._take(n)
        plays = self._new_plays(scripts, v6, bounds[:, 0], EPOCH_NS + bucket * BUCKET_NS)
        self.plays[places] = plays
        n_rows = bounds[:, 1] - bounds[:, 0]
        capacity = int(n_rows.sum())
        times, of_play, of_row = np.empty(2 * capacity, np.int64), np.empty(2 * capacity, np.int32), np.empty(2 * capacity, np.int64)
        lost = np.empty((capacity, 2), np.int64)
        rates = self.rates
        taken, n_out, n_lost, made = kernels.schedule(
            library.rows, self.plays, places, n_rows, self.n_started, np.uint64(self.seed * 0x632BE59BD9B4E019 % (1 << 64)),
            rates.lost, rates.duplicated, rates.reordered, room, debt, times, of_play, of_row, lost, self.counters)
        nobody = np.concatenate([places[taken:], places[:taken][self.plays["left"][places[:taken]] == 0]])  # not started, or lost altogether
        account.played(self.n_started, scripts[:taken], plays[:taken], lost[:n_lost])
        self._give_back(nobody)
        self.n_started += taken
        self.n_filled += int(np.count_nonzero(self._filled[scripts[:taken]]))
        self.most_open = max(self.most_open, len(self.plays) - self.n_free)
        order = np.argsort(times[:n_out], kind="stable")
        times, of_play, of_row = times[:n_out][order], of_play[:n_out][order], of_row[:n_out][order]
        buckets = (times - EPOCH_NS) // BUCKET_NS
        cuts = np.flatnonzero(np.diff(buckets)) + 1
        for first, end in zip(np.concatenate([[0], cuts]), np.concatenate([cuts, [n_out]])):
            if end > first:
                waiting[int(buckets[first])].append((times[first:end].copy(), of_play[first:end].copy(), of_row[first:end].copy()))
        return int(made)

    def _new_plays(self, scripts: np.ndarray, v6: np.ndarray, first_row: np.ndarray, bucket_ns: int) -> np.ndarray:
        rng, n = self.rng, len(scripts)
        plays = np.zeros(n, PLAY)
        numbers = self.n_started + np.arange(n)
        plays["start_ns"] = bucket_ns + np.sort(rng.integers(0, BUCKET_NS, n))
        far = self._far[scripts]
        plays["rtt_ns"] = np.clip(rng.lognormal(0, 0.9, n) * np.where(far, 18e6, 1.2e6), 150e3, 400e6)
        plays["pace"] = np.clip(rng.lognormal(np.log(1.8), 0.7, n), 1, 20)
        plays["row"], plays["v6"] = first_row, v6
        plays["isn"] = rng.integers(0, 1 << 32, (n, 2))
        plays["ip_id"] = rng.integers(0, 1 << 16, (n, 2))
        plays["stamp"] = rng.integers(0, 1 << 30, (n, 2)) - EPOCH_NS // 1_000_000 % (1 << 30)
        plays["ttl"][:, 0], plays["ttl"][:, 1] = np.where(far, rng.integers(48, 60, n), 64), 63
        clients = (numbers * 7919 + self.seed * 31) % N_CLIENTS
        plays["ports"][:, 0] = 32768 + (clients * 2654435761 % 28232 + numbers // N_CLIENTS) % 28232
        plays["ports"][:, 1] = self._port[scripts]
        if self.spoofed:
            spoof = rng.integers(0, 1 << 32, n)
            clients = np.where(self._mail[scripts], clients, spoof)
            plays["ports"][:, 0] = np.where(self._mail[scripts], plays["ports"][:, 0], rng.integers(1024, 65536, n))
        servers = (rng.random(n) ** 2 * np.array([count for _v4, _v6, count in GROUPS.values()])[self._server_group[scripts]]).astype(np.int64)
        for side, groups, hosts in ((0, self._client_group[scripts], clients), (1, self._server_group[scripts], servers + 1)):
            addresses = np.zeros((n, 16), np.uint8)
            for code, (prefix4, prefix6, _count) in enumerate(GROUPS.values()):
                mine = groups == code
                four, six = mine & (v6 == 0), mine & (v6 == 1)
                addresses[np.ix_(four, [0, 1])] = np.frombuffer(prefix4, np.uint8)
                addresses[np.ix_(six, range(6))] = np.frombuffer(bytes.fromhex(prefix6), np.uint8)
                addresses[six, 6] = 1 + side  # clients and servers in networks of their own
                tail = hosts.astype(">u4").view(np.uint8).reshape(n, 4)
                addresses[np.ix_(six, range(12, 16))] = tail[six]
                addresses[np.ix_(four, [2, 3])] = tail[four][:, 2:] + np.array([128 * side if code == 0 else 0, 0], np.uint8)
                if self.spoofed and side == 0:
                    foreign = four & ~self._mail[scripts]
                    addresses[np.ix_(foreign, range(4))] = tail[foreign]
                    addresses[foreign, 0] = addresses[foreign, 0] % 190 + 20
            plays["addresses"][:, 16 * side:16 * side + 16] = addresses
        self._fill_values(scripts, plays)
        return plays

    def _fill_values(self, scripts: np.ndarray, plays: np.ndarray) -> None:
        """Serials and tokens of the conversations that have slots."""
        filled = np.flatnonzero(self._filled[scripts])
        if not len(filled):
            return
        numbers = self.n_filled + np.arange(len(filled))
        values = np.zeros((len(filled), PLAY["values"].shape[0]), np.uint8)
        for slot in FACTORS:
            values[:, slot.at:slot.at + slot.width] = serials(numbers, slot, self.seed)
        for i in np.flatnonzero(self._tokens[scripts[filled]]):
            row = values[i].tobytes()
            tokens = b"".join(base64.b64encode(fill(text, row).encode("latin-1")) for text in self.library.scripts[scripts[filled[i]]].tokens)
            values[i, TOKEN_AT:TOKEN_AT + len(tokens)] = np.frombuffer(tokens, np.uint8)
        plays["values"][filled] = values

    def _take(self, n: int) -> np.ndarray:
        while self.n_free < n:
            old = len(self.plays)
            self.plays = np.concatenate([self.plays, np.zeros(old, PLAY)])
            self.free = np.concatenate([self.free[:self.n_free], np.arange(old, 2 * old, dtype=np.int32)])
            self.n_free += old
            self.free = np.concatenate([self.free, np.zeros(2 * old - len(self.free), np.int32)])
        self.n_free -= n
        return self.free[self.n_free:self.n_free + n].copy()

    def _give_back(self, places: np.ndarray) -> None:
        self.free[self.n_free:self.n_free + len(places)] = places
        self.n_free += len(places)

    def _write(self, parts: list, buffer: np.ndarray, done: np.ndarray, out: BinaryIO) -> None:
        times, of_play, of_row = (np.concatenate(column) for column in zip(*parts))
        order = np.argsort(times, kind="stable")
        times, of_play, of_row = times[order], of_play[order], of_row[order]
        position = 0
        while position < len(times):
            position, written, ended = kernels.emit(times, of_play, of_row, position, self.library.rows, self.library.slots, self.library.pool, self.plays,
                                                    1 if self.nanoseconds else 1000, buffer, done)
            out.write(memoryview(buffer)[:written])
            self._give_back(done[:ended])
