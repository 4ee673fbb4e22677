"""RPC over HTTP version 2: the IN and the OUT channel are two connections; joined by their cookie they are one association ([MS-RPCH] §3.2.1.4).

The PDUs of both, in the order of their packets' times, go through the DCE/RPC parser; what it finds belongs to the session of the IN channel.
"""
from __future__ import annotations

from ..records import CLIENT, SERVER, Facts, RpcChannel, Session

OTHER_CONVERSATION = 1 << 48  # added to offsets of the OUT channel, so that `locate` knows where to look
MAX_WAITING = 1024  # channels whose partner has not ended yet


class Channels:
    """Channels that wait for their partner."""

    def __init__(self):
        self.waiting: dict[tuple, tuple[Session, RpcChannel]] = {}

    def take(self, session: Session) -> list[Session]:
        """A session that carries channels. Returns the sessions that are complete now: none while it waits."""
        ready: list[Session] = []
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
                continue
            del self.waiting[key]
            other_session, other = partner
            if channel.side == CLIENT:
                _read(session, channel, other_session, other)
            else:
                _read(other_session, other, session, channel)
            if other_session is not session and not self._waits(other_session):
                ready.append(other_session)
        if not self._waits(session):
            ready.append(session)
        while len(self.waiting) > MAX_WAITING:
            ready += self._alone(next(iter(self.waiting)))
        return ready

    def _alone(self, key: tuple) -> list[Session]:
        session, channel = self.waiting.pop(key)
        _read(session, channel, None, None)
        return [] if self._waits(session) else [session]

    def _waits(self, session: Session) -> bool:
        return any(waiting is session for waiting, _channel in self.waiting.values())

    def settle(self) -> list[Session]:
        """The rest, whose partner never came."""
        ready = []
        while self.waiting:
            ready += self._alone(next(iter(self.waiting)))
        return ready


def _read(session: Session, channel: RpcChannel, other_session: Session | None, other: RpcChannel | None) -> None:
    """Put the association that one or two channels carry into the facts of `session`."""
    from ..protocols.dcerpc import DcerpcParser

    pieces = _placed(session, channel, 0)
    if other is not None:
        pieces += _placed(other_session, other, OTHER_CONVERSATION)
    pieces.sort(key=lambda piece: piece[0])
    parser = DcerpcParser(start_seen=channel.complete, server_port=session.server_port, transport="http")
    for _when, side, at, data in pieces:
        parser.feed(side, data, at)
    parser.finish()
    facts = _facts(session)
    if parser.facts.rpc:
        facts.rpc = (facts.rpc or []) + parser.facts.rpc
        facts.logins += parser.facts.logins
    facts.anomalies += parser.facts.anomalies
    if other_session is not None and other_session is not session:
        here, there = session.locate, other_session.locate

        def locate(side: int, at: int) -> tuple[str, int, int]:
            return there(side, at - OTHER_CONVERSATION) if at >= OTHER_CONVERSATION else here(side, at)

        session.locate = locate


def _facts(session: Session) -> Facts:
    """Where a session's channels stand: inside TLS where that was decrypted."""
    return session.facts if session.inner is None else session.inner


def _placed(session: Session, channel: RpcChannel, shift: int) -> list[tuple[int, int, int, bytes]]:
    """(time, side, offset, bytes) of a channel's pieces."""
    return [(session.locate(channel.side, at)[2], channel.side, at + shift, data) for at, data in channel.pieces]
