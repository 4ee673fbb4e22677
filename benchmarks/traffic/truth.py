"""What was made, so that tables can be checked against it.

OUT.json holds counts and digests. A digest is the sum, modulo 2**64, of the BLAKE2b hashes of all facts of a kind: equal sums mean equal multisets,
whatever the number of facts and in whatever order they come. Facts of conversations that lost a frame with payload are not in `certain`; each such
conversation has a line of its own in OUT.gapped.jsonl, with its facts and, per fact, the fields that nobody can know, because the bytes that carry
them are missing. With --list all other mail conversations have such a line in OUT.conversations.jsonl, to find out what differs when a digest does.
"""
from __future__ import annotations

import hashlib
import ipaddress
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from . import kernels
from .engine import Player
from .library import SYN, Library

SESSION_FIELDS = ("protocol", "tls_mode", "client_ip", "client_port", "server_ip", "server_port")
LOGIN_FIELDS = ("protocol", "mechanism", "principal", "result")
MESSAGE_FIELDS = ("protocol", "direction", "message_id", "mail_from", "rcpt_to")
MESSAGE_SIZE_FIELDS = ("protocol", "message_id", "size")
DIGESTS = {"login": (("logins", LOGIN_FIELDS),), "message": (("messages", MESSAGE_FIELDS), ("message_sizes", MESSAGE_SIZE_FIELDS))}


def fact_hash(fact: dict[str, Any], fields: tuple[str, ...]) -> int:
    """64 bits of the hash of a fact's fields; a missing field counts as empty."""
    text = "\x1f".join([str(fact.get(name, "")) for name in fields])
    return int.from_bytes(hashlib.blake2b(text.encode("latin-1", "replace"), digest_size=8).digest(), "little")


def address_text(address: bytes) -> str:
    return "%d.%d.%d.%d" % tuple(address) if len(address) == 4 else str(ipaddress.IPv6Address(address))


class Tally:
    """Counts and digests of the facts of a set of conversations."""

    def __init__(self) -> None:
        self.conversations: Counter[str] = Counter()  # by kind
        self.facts: Counter[tuple[str, ...]] = Counter()
        self.digests: dict[str, int] = defaultdict(int)

    def counts(self) -> dict[str, Any]:
        """The facts by what readers count."""
        logins: dict[str, Counter[str]] = {"by_mechanism": Counter(), "by_result": Counter(), "by_protocol": Counter()}
        messages: Counter[str] = Counter()
        starttls: Counter[str] = Counter()
        implicit: Counter[str] = Counter()
        for (kind, protocol, *more), n in self.facts.items():
            if kind == "login":
                logins["by_protocol"][protocol] += n
                logins["by_mechanism"][more[0]] += n
                logins["by_result"][more[1]] += n
            elif kind == "message":
                messages[f"{protocol} {more[0]}"] += n
            elif kind == "starttls":
                starttls[protocol] += n
            else:
                implicit[protocol] += n
        return {"logins": {"total": sum(logins["by_result"].values()), **{name: dict(sorted(counter.items())) for name, counter in logins.items()}},
                "messages": {"total": sum(messages.values()), "by_protocol": dict(sorted(messages.items()))},
                "starttls": {"total": sum(starttls.values()), "by_protocol": dict(sorted(starttls.items()))},
                "implicit_tls": {"total": sum(implicit.values()), "by_protocol": dict(sorted(implicit.items()))}}


class Truth:
    """Keeps account while a Player plays.

    Args:
        library: the scripts.
        gapped: where lines about hit conversations go.
        listing: where lines about all other mail conversations go, None for nowhere.
        digests: False leaves out the digests (they cost about 10 µs per mail conversation).
    """

    def __init__(self, library: Library, gapped: TextIO, digests: bool = True, listing: TextIO | None = None):
        self.library, self.gapped, self.with_digests, self.listing = library, gapped, digests, listing
        self.made, self.certain = Tally(), Tally()
        self.started = np.zeros(len(library.scripts), np.int64)
        self.n_gapped, self.n_start_lost = Counter(), 0
        self.n_unknowable: Counter[str] = Counter()
        self._is_mail = np.array([script.protocol is not None for script in library.scripts])
        modes = {"starttls": "starttls", "tls": "implicit"}
        self._tls_mode = [modes.get(script.facts[0].kind, "none") if script.facts else "none" for script in library.scripts]
        self._fact_keys = [[self._key(fact) for fact in script.facts] for script in library.scripts]

    @staticmethod
    def _key(fact) -> tuple[str, ...]:
        extra = {"login": ("mechanism", "result"), "message": ("direction",)}.get(fact.kind, ())
        return fact.kind, fact.plain["protocol"], *(fact.plain[name] for name in extra)

    def played(self, number: int, scripts: np.ndarray, plays: np.ndarray, lost: np.ndarray) -> None:
        """Conversations that were started: script and play of each, and lost frames as (conversation, row)."""
        np.add.at(self.started, scripts, 1)
        rows = self.library.rows
        hit: dict[int, list[int]] = defaultdict(list)
        for conversation, row in lost.tolist():
            if rows["mail"][row]:
                hit[conversation].append(row)
        for conversation in np.flatnonzero(self._is_mail[scripts]).tolist():
            script = int(scripts[conversation])
            gone = [row for row in hit.get(conversation, ()) if rows["length"][row]]
            if any(rows["flags"][row] & SYN for row in hit.get(conversation, ())):
                self.n_start_lost += 1
            if gone:
                self._hit(script, plays[conversation], gone, hit[conversation])
                continue
            kind = self.library.scripts[script].kind
            self.certain.conversations[kind] += 1
            self.certain.facts.update(self._fact_keys[script])
            if self.with_digests:
                self._digest_facts(script, plays[conversation], kind)

    def _digest_facts(self, number: int, play: np.ndarray, kind: str) -> None:
        """Account for a conversation that lost nothing."""
        session, values, listed = self._session(number, play), play["values"].tobytes(), []
        self._digest("sessions", session, SESSION_FIELDS)
        for fact in self.library.facts[number]:
            if fact.kind in DIGESTS:
                filled = fact.filled(values)
                listed.append({"kind": fact.kind, **filled, "unknowable": []})
                for name, fields in DIGESTS[fact.kind]:
                    self._digest(name, filled, fields)
            elif self.listing is not None:
                listed.append({"kind": fact.kind, **fact.plain, "unknowable": []})
        if self.listing is not None:
            self.listing.write(json.dumps({"kind": kind, **session, "lost": [], "facts": listed}) + "\n")

    def _digest(self, name: str, fact: dict[str, Any], fields: tuple[str, ...]) -> None:
        self.certain.digests[name] = (self.certain.digests[name] + fact_hash(fact, fields)) & 0xFFFFFFFFFFFFFFFF

    def _session(self, number: int, play: np.ndarray) -> dict[str, Any]:
        """How a reader names the conversation."""
        script, addresses, width = self.library.scripts[number], play["addresses"].tobytes(), 16 if play["v6"] else 4
        ports = play["ports"].tolist()
        return {"protocol": "tls" if self._tls_mode[number] == "implicit" else script.protocol, "tls_mode": self._tls_mode[number],
                "client_ip": address_text(addresses[:width]), "client_port": ports[0],
                "server_ip": address_text(addresses[16:16 + width]), "server_port": ports[1]}

    def _hit(self, number: int, play: np.ndarray, gone: list[int], lost: list[int]) -> None:
        script, rows = self.library.scripts[number], self.library.rows
        holes = [(int(rows["side"][row]), int(rows["seq"][row]) - 1, int(rows["seq"][row]) - 1 + int(rows["length"][row])) for row in gone]
        values = play["values"].tobytes()
        facts = []
        for fact in script.facts:
            unknowable = sorted(name for name, spans in fact.needs.items() if any(span.hit_by(*hole) for span in spans for hole in holes))
            self.n_unknowable.update(f"{fact.kind} {name}" for name in unknowable)
            facts.append({"kind": fact.kind, **fact.filled(values), "unknowable": unknowable})
        self.n_gapped[script.kind] += 1
        self.gapped.write(json.dumps({
            "kind": script.kind, **self._session(number, play),
            "lost": [[("client", "server")[side], start, end - start] for side, start, end in holes],
            "start_lost": any(int(rows["flags"][row]) & SYN for row in lost), "facts": facts}) + "\n")

    def summary(self, player: Player, path: Path, **given: Any) -> dict[str, Any]:
        """What OUT.json holds."""
        scripts, counters = self.library.scripts, player.counters
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        for script, n, n_facts in zip(scripts, self.started.tolist(), self._fact_keys):
            kinds[script.kind]["conversations"] += n
            self.made.facts.update({key: n * count for key, count in Counter(n_facts).items() if n})
            if script.protocol is not None and n:
                self.made.conversations[script.kind] += n
        by_protocol: Counter[str] = Counter()
        certain_by_protocol: Counter[str] = Counter()
        protocol_of = {script.kind: script.protocol for script in scripts}
        for kind, n in self.made.conversations.items():
            by_protocol[protocol_of[kind]] += n
            certain_by_protocol[protocol_of[kind]] += self.certain.conversations[kind]

        def frames(column_payload: int) -> dict[str, Any]:
            def of(part: np.ndarray) -> dict[str, int]:
                return {"with_payload": int(part[column_payload]), "without_payload": int(part[column_payload + 1])}
            return {"all": of(counters.sum(axis=0)), "mail": of(counters[1])}

        everything = counters.sum(axis=0)
        return {
            **given, "file": path.name, "bytes": int(everything[kernels.BYTES]) + 24, "frames": int(everything[kernels.FRAMES]),
            "segments_made": int(everything[kernels.SEGMENTS]), "most_open_conversations": player.most_open,
            "mail_bytes": int(counters[1, kernels.BYTES]), "mail_frames": int(counters[1, kernels.FRAMES]),
            "flows": {"total": int(self.started.sum()), "tcp": int(sum(n for script, n in zip(scripts, self.started.tolist()) if not script.udp)),
                      "udp": int(sum(n for script, n in zip(scripts, self.started.tolist()) if script.udp)),
                      "by_kind": {kind: counter["conversations"] for kind, counter in sorted(kinds.items())}},
            "lost_frames": frames(kernels.LOST_PAYLOAD), "duplicated_frames": frames(kernels.DUPLICATED_PAYLOAD),
            "reordered_frames": frames(kernels.REORDERED_PAYLOAD),
            "mail": {"made": {"conversations": {"total": sum(by_protocol.values()), "by_protocol": dict(sorted(by_protocol.items())),
                                                "by_kind": dict(sorted(self.made.conversations.items()))},
                              **self.made.counts()},
                     "certain": {"conversations": {"total": sum(certain_by_protocol.values()), "by_protocol": dict(sorted((+certain_by_protocol).items())),
                                                   "by_kind": dict(sorted((+self.certain.conversations).items()))},
                                 **self.certain.counts(), "digests": dict(sorted(self.certain.digests.items()))},
                     "gapped": {"conversations": sum(self.n_gapped.values()), "by_kind": dict(sorted(self.n_gapped.items())),
                                "file": path.stem + ".gapped.jsonl",
                                "unknowable": dict(sorted(self.n_unknowable.items()))},
                     "start_frame_lost": self.n_start_lost},
        }
