"""TLS conversations that went the usual way: read from their digests (kernels/handshakes.py) where an equal one was read before.

A handshake consists of what the client offers, what the server answers, its certificates and the name asked for. Each of them is read once by the parsers that read any
other conversation, and remembered by its bytes; a conversation that is made of known pieces needs no parser, and one that equals another in all of them needs no rules and
nearly no tables either. What comes out is the same as on the general way; tests compare both over all samples.
"""
from __future__ import annotations

import hashlib
from typing import Any, Callable

import numpy

from ..kernels.assembly import locate
from ..kernels.handshakes import (CHAIN_KEY_BYTES, G_CHAIN, G_CHAIN_END, G_CLIENT, G_EXCHANGE_AT, G_HELLO, G_HELLO_END, G_HELLO_FRAME, G_ENDED, G_FLIP, G_ID, G_KEY, G_KEY_END, G_MARK, G_MARK_END, G_ROW,
                                  G_SERVER, G_SNI, G_SNI_END, G_TAIL, ID_BYTES)
from ..protocols.tls_exchange import read_certificates
from ..protocols.tls_hello import read_client_hello
from ..records import RegularSession, Session, TlsHandshake, TlsOffer
from ..rules.judge import Alike, Judge
from ..streams.engine import Batch
from .conversation import Conversation
from .session import address_text, reset_by

MAX_KINDS = 4096  # conversations remembered as examples of others, about 4 KB each
MAX_ONCE = 32768  # hashes of keys
MAX_PIECES = 1024  # offers, answers and chains remembered, 2 KB each, seldom 16
_MISSING: Any = object()
_DEFAULTS = TlsHandshake()
_OF_OTHERS = frozenset(("offer", "offered_versions", "sni", "certificates", "chain_length", "key_exchange_at", "name_matches", "name_matched_by"))  # than the server's answer
_blake2b = hashlib.blake2b


class _Chain:
    """A Certificate message as sent, and what was read of it."""

    __slots__ = ("body", "is_read", "n", "certificates")

    def __init__(self, body: bytes):
        anomaly, self.n, self.certificates = read_certificates(body, 0, len(body))
        self.body, self.is_read = body, anomaly is None


class _Kind:
    """Conversations with equal keys: the first of them, what the rules said of it, and its Certificate message."""

    __slots__ = ("like", "alike", "body")

    def __init__(self, like: Session, alike: Alike, body: bytes):
        self.like, self.alike, self.body = like, alike, body


class Regular:
    """Turns digests into sessions.

    Args:
        judge: says whether a conversation like one that it has judged need be judged again.
        locate_frame: global frame number -> (capture name, frame in it).
    """

    def __init__(self, judge: Judge, locate_frame: Callable[[int], tuple[str, int]]):
        self._judge = judge
        self._locate_frame = locate_frame
        self._kinds: dict[bytes, _Kind] = {}
        self._answers: dict[bytes, dict[str, Any] | None] = {}  # what the server answered -> fields of a handshake; None: it is read each time
        self._offers: dict[bytes, TlsOffer | None] = {}
        self._chains: dict[bytes, _Chain] = {}
        self._once: dict[int, None] = {}  # hashes of keys that were seen

    def take(self, batch: Batch) -> list[tuple[int, RegularSession | Conversation]]:
        """What became of each digest, with its place in the order of the batch: a session, or a conversation to be treated like any other that is over."""
        taken: list[tuple[int, RegularSession | Conversation]] = []
        kinds, keys, data, marks, locate_frame, place = self._kinds, batch.keys, batch.data, batch.marks, self._locate_frame, self._place
        for row in batch.regular:
            key = keys[row[G_KEY]:row[G_KEY_END]]
            kind = kinds.get(key)
            if kind is not None and kind.body == data[row[G_CHAIN]:row[G_CHAIN_END]]:
                (hello_frame, hello_ns, start_ns, end_ns, first, last, client_high, client_low, server_high, server_low, client_port, _server_port, client_said,
                 server_said, client_checked, server_checked, max_ip, client_ttl, server_ttl, state) = row[G_HELLO_FRAME:G_ENDED + 1]
                capture, first = locate_frame(first)
                last_capture, last = locate_frame(last)
                hello_capture, hello_frame = locate_frame(hello_frame)
                if capture == last_capture == hello_capture:
                    at = row[G_ID]
                    taken.append((row[G_ROW], RegularSession(
                        kind.like, _blake2b(keys[at:at + ID_BYTES], digest_size=8).hexdigest(), capture, start_ns, end_ns, first, last, address_text(client_high, client_low),
                        client_port, address_text(server_high, server_low), client_said & 0xFFFFFF, server_said & 0xFFFFFF, client_said >> 24, server_said >> 24,
                        client_checked, server_checked, max_ip, client_ttl or None, server_ttl or None, reset_by(state, row[G_FLIP]), hello_frame, hello_ns, place, (marks, row[G_MARK], row[G_MARK_END], row[G_FLIP]), kind.alike)))
                    continue
            taken.append((row[G_ROW], self._conversation(batch, row, key)))
        return taken

    def _place(self, marks: numpy.ndarray, first: int, last: int, flip: int, role: int, at: int) -> tuple[str, int, int]:
        """Where a stream offset of a side stands, as Conversation.place() tells it."""
        row = locate(marks, first, last, role ^ flip, at)
        return *self._locate_frame(marks.item(row, 2)), marks.item(row, 3)

    def remember(self, session: Session, said: Any, example: tuple[bytes, bytes]) -> None:
        """A session has been judged: others may be like it."""
        alike = self._judge.alike(session, said)
        if alike is not None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            self._kinds[example[0]] = _Kind(session, alike, example[1])

    # --- what was not seen before

    def _conversation(self, batch: Batch, row: list[int], key: bytes) -> Conversation:
        """A conversation made of known pieces, or else read from the beginning."""
        flow, result = batch.parts(row[G_ROW])
        conversation = Conversation(flow, result)
        answer_key = batch.keys[row[G_SERVER]:row[G_TAIL]]
        answer = self._answers.get(answer_key, _MISSING)
        if answer is not _MISSING and answer is not None:
            handshake = self._handshake(batch, row, answer)
            if handshake is not None:
                conversation.adopt(handshake, result, batch.marks)
                mark = hash(key)
                if mark in self._once:  # most that come twice come often, and most come once
                    conversation.example = key, batch.data[row[G_CHAIN]:row[G_CHAIN_END]]
                else:
                    _keep(self._once, mark, None, MAX_ONCE)
                return conversation
        conversation.take(flow, result, batch.turns_of(result), batch.data, batch.marks, batch.hints)
        if answer is _MISSING:
            _keep(self._answers, answer_key, _fields(conversation))
        return conversation

    def _handshake(self, batch: Batch, row: list[int], answer: dict[str, Any]) -> TlsHandshake | None:
        """A handshake put together from the server's answer, the client's offer, the certificates and the name; None when one of them has to be read in its place."""
        keys, data = batch.keys, batch.data
        offer_key = keys[row[G_CLIENT]:row[G_SERVER]]
        offer = self._offers.get(offer_key, _MISSING)
        if offer is _MISSING:
            made = TlsHandshake()
            anomaly, _session_id, _ticket = read_client_hello(made, data, row[G_HELLO], row[G_HELLO_END])
            offer = made.offer if anomaly is None else None
            _keep(self._offers, offer_key, offer)
        if offer is None:
            return None
        handshake = TlsHandshake(**answer)
        handshake.offer, handshake.offered_versions = offer, offer.versions
        if not handshake.alpn_chosen:
            handshake.alpn = offer.alpn[0] if offer.alpn else None
        if row[G_SNI_END] > row[G_SNI]:
            handshake.sni = data[row[G_SNI]:row[G_SNI_END]].decode("latin-1")
        handshake.key_exchange_at = row[G_EXCHANGE_AT] or None
        if row[G_CHAIN]:
            chain = self._chain(keys[row[G_TAIL]:row[G_TAIL] + CHAIN_KEY_BYTES], data[row[G_CHAIN]:row[G_CHAIN_END]])
            if not chain.is_read:
                return None
            handshake.chain_length, handshake.certificates = chain.n, chain.certificates
            if handshake.sni is not None and chain.certificates:
                handshake.name_matched_by = chain.certificates[0].covers(handshake.sni)
                handshake.name_matches = handshake.name_matched_by is not None
        return handshake

    def _chain(self, key: bytes, body: bytes) -> _Chain:
        chain = self._chains.get(key)
        if chain is None or chain.body != body:
            chain = _Chain(body)
            _keep(self._chains, key, chain)
        return chain


def _keep(known: dict, key: Any, value: Any, limit: int = MAX_PIECES) -> None:
    if len(known) >= limit:
        known.clear()
    known[key] = value


def _fields(conversation: Conversation) -> dict[str, Any] | None:
    """What a handshake that was read has from the server's answer; None when there was more to be said of it."""
    handshake = conversation.handshake
    if conversation.fault is not None or conversation.facts is not None or conversation.protocol != "tls" or handshake is None or not handshake.complete:
        return None
    fields = {name: getattr(handshake, name) for name in TlsHandshake.__slots__ if name not in _OF_OTHERS and getattr(handshake, name) != getattr(_DEFAULTS, name)}
    if not handshake.alpn_chosen:
        fields.pop("alpn", None)
    return fields
