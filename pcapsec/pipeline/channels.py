"""RPC over HTTP version 2: the IN and the OUT channel are two connections; joined by their cookie they are one association ([MS-RPCH] §3.2.1.4).

The PDUs of both, in the order of their packets' times, go through the DCE/RPC parser; what it finds belongs to the session of the IN channel.
"""
from __future__ import annotations

from typing import Callable

from ..records import CLIENT, Facts, RpcChannel, Session

OTHER_BITS = 48  # above these bits of an offset stands the number of the OUT channel's conversation, from 1 on, so that `locate` knows where to look
MAX_WAITING = 1024  # channels whose partner has not ended yet
MAX_ANOMALIES = 1000  # of one session, whose channels may be many
MAX_OTHERS = 1000  # conversations that one session's channels are joined with; a client opens a successor after some ten minutes


class Channels:
    """Channels that wait for their partner."""

    def __init__(self):
        self.waiting: dict[tuple, tuple[Session, RpcChannel]] = {}
        self._held: dict[int, list] = {}  # by id: a session, and how many of its channels wait

    def take(self, session: Session) -> list[Session]:
        """A session that carries channels. Returns the sessions that are complete now: not those that wait."""
        ready: list[Session] = []
        self._held[id(session)] = [session, 1]  # for itself, until all its channels are taken
        for channel in _facts(session).channels:
            if channel.virtual_connection is None:
                _read(session, channel, None, None)
                continue
            key = (session.server_ip, session.server_port, channel.virtual_connection)
            partner = self.waiting.get(key)
            if partner is None or partner[1].side == channel.side:  # a cookie that collides, or a successor of the same channel: each is read alone
                if partner is not None:
                    ready += self._alone(key)
                self.waiting[key] = (session, channel)
                self._held[id(session)][1] += 1
                continue
            del self.waiting[key]
            other_session, other = partner
            if channel.side == CLIENT:
                _read(session, channel, other_session, other)
            else:
                _read(other_session, other, session, channel)
            ready += self._release(other_session)
        ready += self._release(session)
        while len(self.waiting) > MAX_WAITING:
            ready += self._alone(next(iter(self.waiting)))
        return ready

    def settle(self) -> list[Session]:
        """The rest, whose partner never came."""
        ready = []
        while self.waiting:
            ready += self._alone(next(iter(self.waiting)))
        return ready

    def _alone(self, key: tuple) -> list[Session]:
        session, channel = self.waiting.pop(key)
        _read(session, channel, None, None)
        return self._release(session)

    def _release(self, session: Session) -> list[Session]:
        """One reason less to wait; the session when it was the last."""
        held = self._held[id(session)]
        held[1] -= 1
        if held[1]:
            return []
        del self._held[id(session)]
        return [session]


class _Joined:
    """`locate` of a session whose associations were carried by other conversations too."""

    __slots__ = ("here", "others")

    def __init__(self, here: Callable[[int, int], tuple[str, int, int]]):
        self.here = here
        self.others: list[Callable[[int, int], tuple[str, int, int]]] = []

    def __call__(self, side: int, at: int) -> tuple[str, int, int]:
        number = at >> OTHER_BITS
        return self.others[number - 1](side, at - (number << OTHER_BITS)) if number > 0 else self.here(side, at)

    def add(self, there: Callable[[int, int], tuple[str, int, int]]) -> int:
        """What is added to offsets of another conversation; 0 when there are too many."""
        if there.__class__ is _Joined:
            there = there.here
        if there in self.others:
            return self.others.index(there) + 1 << OTHER_BITS
        if len(self.others) >= MAX_OTHERS:
            return 0
        self.others.append(there)
        return len(self.others) << OTHER_BITS


def _read(session: Session, channel: RpcChannel, other_session: Session | None, other: RpcChannel | None) -> None:
    """Put the association that one or two channels carry into the facts of `session`."""
    from ..protocols.dcerpc import DcerpcParser

    pieces, shift = _placed(session, channel, 0), 0
    if other is not None and other_session is not session:
        if session.locate.__class__ is not _Joined:
            session.locate = _Joined(session.locate)
        shift = session.locate.add(other_session.locate)
    if other is not None and (shift or other_session is session):
        pieces += _placed(other_session, other, shift)
    pieces.sort(key=lambda piece: piece[0])
    parser = DcerpcParser(start_seen=channel.complete, server_port=session.server_port, transport="http")
    for _when, side, at, data in pieces:
        parser.feed(side, data, at)
    parser.finish()
    facts = _facts(session)
    if parser.facts.rpc:
        if facts.rpc is None:
            facts.rpc = []
        facts.rpc += parser.facts.rpc
        facts.logins += parser.facts.logins
    facts.anomalies += parser.facts.anomalies[:max(0, MAX_ANOMALIES - len(facts.anomalies))]
    for one in (channel, other):
        if one is not None:
            one.pieces.clear()
            if one.share is not None:
                one.share.release()


def _facts(session: Session) -> Facts:
    """Where a session's channels stand: inside TLS where that was decrypted."""
    return session.facts if session.inner is None else session.inner


def _placed(session: Session, channel: RpcChannel, shift: int) -> list[tuple[int, int, int, bytes]]:
    """(time, side, offset, bytes) of a channel's pieces."""
    return [(session.locate(channel.side, at)[2], channel.side, at + shift, data) for at, data in channel.pieces]
