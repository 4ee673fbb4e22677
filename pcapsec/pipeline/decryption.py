"""Reading TLS with the keys that its ends wrote down.

While a capture is walked, the records of each connection whose client random stands in a key log go into a file of our own (`decryption_spool`); the session waits. At the end
of the capture tshark decrypts these files, driven through pyshark, and each record's plaintext goes to the same parsers that read clear conversations (`decryption_inner`).
Files and keys lie in a folder that only the user can read and that is removed whatever happens.
"""
from __future__ import annotations

import os
import tempfile
from typing import Any, Callable, Iterable

import numpy

from ..capture.inputs import Input
from ..errors import CaptureError, PcapsecError
from ..kernels.tables import P_WHOLE_TLS
from ..protocols.detect import PARSERS
from ..protocols.tls import MAX_RECORD_BYTES, TlsParser
from ..records import CLIENT, INNER, SERVER, Anomaly, Capture, Session
from . import wireshark
from .channels import Channels
from .decryption_http2 import heads_in
from .decryption_inner import Inner
from .decryption_spool import SERVER_PORT, Spool, Stream
from .keylog import KeyLog
from .services import service_of, sureness

MAX_WAITING_BYTES = 65_536  # of a connection whose ClientHello is not complete yet
MAX_STREAM_BYTES = 64 << 20  # taken of one connection
MAX_TAKEN_BYTES = 1 << 30  # of all connections of a capture: so much room is needed for temporary files
MAX_HELD = 20_000  # sessions of a capture that wait for their plaintext
SPOOL_BYTES = 32 << 20  # of one run of tshark, whose memory grows with it
SPOOL_STREAMS = 4096
_UPGRADABLE = frozenset(("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve", "ldap"))  # what STARTTLS goes on with
# whatever else would take the plaintext for its own: then its octets do not come out as they were
_OTHERS = ("http", "http2", "http3", "smtp", "imap", "pop", "ldap", "nntp", "rdpmt", "mq", "mqtt", "5gli", "fix", "credssp", "aim", "dns", "ftp", "xmpp", "mysql", "pgsql", "tpkt", "sip")


class Tap:
    """A TLS parser that also keeps the records of a connection for which there are keys.

    As long as it wants more bytes, the handshake does not say that nothing more can be learnt.
    """

    protocol = "tls"
    handover = None

    def __init__(self, owner: "Decryption", start_seen: bool, server_port: int):
        self._owner = owner
        self._parser = TlsParser(start_seen=start_seen, server_port=server_port)
        self.handshake = self._parser.handshake
        self._read = False  # the parser has all it wants
        self._waiting: list[tuple[int, bytes, int]] = []
        self._n_waiting = self.n_bytes = 0
        self._buffer = (bytearray(), bytearray())
        self._at: list[int | None] = [None, None]  # offset of the buffer's first byte
        self.ended: list[int | None] = [None, None]  # offset from which on a side cannot be followed
        self.stream: Stream | None = None
        self._left = False  # nobody has keys for it

    @property
    def anomalies(self) -> list[Anomaly]:
        return self._parser.anomalies

    def feed(self, side: int, data: bytes, at: int) -> None:
        handshake = self.handshake
        if not self._read:
            self._parser.feed(side, data, at)
            self._read = handshake.complete
        if self._left:
            return
        if self.stream is None:
            self._waiting.append((side, data, at))
            self._n_waiting += len(data)
            if handshake.client_random is None:
                if self._read or self._n_waiting > MAX_WAITING_BYTES:
                    self._let_go()
                return
            self.stream = self._owner.begin(handshake.client_random, self)
            if self.stream is None:
                self._let_go()
                return
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._take(*one)
        else:
            self._take(side, data, at)
        if self._read:
            handshake.complete = handshake.established is False or None not in self.ended

    def gap(self, side: int, length: int, at: int) -> None:
        if not self._read:
            self._parser.gap(side, length, at)
            self._read = self.handshake.complete
        if self._left:
            return
        if self.ended[side] is None:
            self.ended[side] = at
            self._buffer[side].clear()
        if self.stream is None and side == CLIENT and self.handshake.client_random is None:
            self._let_go()
        elif self.stream is not None and self._read:
            self.handshake.complete = None not in self.ended

    def finish(self) -> None:
        if not self._read:
            self._parser.finish()
        self.handshake.complete = True
        self._waiting.clear()

    def _let_go(self) -> None:
        """There are no keys for this connection: read the handshake and be done."""
        self._waiting.clear()
        self._left = True
        if self._read:
            self.handshake.complete = True

    def _take(self, side: int, data: bytes, at: int) -> None:
        """`type(1) version(2) length(2) fragment` (RFC 8446 §5.1): whole records go into the file."""
        if self.ended[side] is not None:
            return
        buffer = self._buffer[side]
        if not buffer:
            self._at[side] = at
        elif self._at[side] + len(buffer) != at:
            self.ended[side] = at
            return
        if not self._owner.has_room(self, len(data)):
            self.ended = [at if self.ended[one] is None else self.ended[one] for one in (CLIENT, SERVER)]
            return
        buffer += data
        self.n_bytes += len(data)
        pos, n = 0, len(buffer)
        while n - pos >= 5:
            length = buffer[pos + 3] << 8 | buffer[pos + 4]
            if not 20 <= buffer[pos] <= 24 or buffer[pos + 1] != 3 or length > MAX_RECORD_BYTES:
                self.ended[side] = self._at[side] + pos
                buffer.clear()
                return
            if n - pos < 5 + length:
                break
            self.stream.spool.add(self.stream, side, buffer[pos:pos + 5 + length], self._at[side] + pos)
            pos += 5 + length
        if pos:
            del buffer[:pos]
            self._at[side] += pos


class Decryption:
    """Keys, connections taken for them, and the sessions that wait: of one capture.

    Args:
        keys: what the user gave; None: only what the capture itself holds is used, and without tshark it stays encrypted.
        inputs: of the capture.
        parameters: of the kernels that walk it.

    Attributes:
        parsers: what conversations are to be read with.
    """

    def __init__(self, keys: KeyLog | None, inputs: list[Input], parameters: numpy.ndarray):
        self.parsers: dict[str, Any] = PARSERS
        self._required = keys is not None
        self._keys = KeyLog() if keys is None else keys
        self._parameters = parameters
        self._folder: tempfile.TemporaryDirectory | None = None
        self._spools: list[Spool] = []
        self._held: dict[int, tuple[Session, Tap]] = {}
        self._taken = 0
        self._n_refused = 0
        self._cut: set[int] = set()
        if self._required or any(one.has_secrets for one in inputs):
            self.use([])

    def use(self, secrets: list[bytes]) -> None:
        """From now on what TLS hides is kept; takes the key logs, which stood in the capture, out of the list."""
        self._parameters[P_WHOLE_TLS] = 1
        self.parsers = {**PARSERS, "tls": self.parser}
        for text in secrets:
            self._keys.take([text])
        secrets.clear()

    def parser(self, *, start_seen: bool = True, server_port: int = 0) -> Tap:
        """What stands where a TLS parser would."""
        return Tap(self, start_seen, server_port)

    def close(self) -> None:
        """Remove what was put aside."""
        for spool in self._spools:
            spool.close()
        if self._folder is not None:
            self._folder.cleanup()

    # --- while the capture is walked

    def begin(self, client_random: bytes, tap: Tap) -> Stream | None:
        """Where a connection's records go; None when there are no keys for it, or no room."""
        if client_random not in self._keys:
            return None
        if self._taken >= MAX_TAKEN_BYTES:
            self._n_refused += 1
            return None
        if not self._spools or self._spools[-1].size > SPOOL_BYTES or len(self._spools[-1].streams) >= SPOOL_STREAMS:
            self._spools.append(Spool(self._path(f"records-{len(self._spools)}.pcap")))
        return self._spools[-1].open(tap)

    def has_room(self, tap: Tap, n: int) -> bool:
        """Whether more of a connection may be taken."""
        if tap.n_bytes + n > MAX_STREAM_BYTES or self._taken + n > MAX_TAKEN_BYTES:
            self._cut.add(id(tap))
            return False
        self._taken += n
        return True

    def holds(self, session: Session, parser: Any) -> bool:
        """Whether a session waits for its plaintext; it is taken when it does."""
        if not isinstance(parser, Tap) or parser.stream is None:
            return False
        if len(self._held) >= MAX_HELD:
            self._n_refused += 1
            return False
        self._held[id(parser)] = session, parser
        return True

    # --- at its end

    def run(self, files: list[Capture], errors: list[CaptureError], faults: list[str]) -> list[Session]:
        """Decrypt.

        Args:
            files: the capture's; what a reader should know is noted in the last one.
            errors: gets what tshark could not do; those sessions stay encrypted.
            faults: gets faults of ours, with place and offset.

        Returns:
            all sessions that waited, with what was read in them.
        """
        sessions = [session for session, _tap in self._held.values()]
        notes: list[str] = files[-1].notes if files else []
        if not sessions:
            if self._required:
                notes.append("no conversation stands in the key log")
            return []
        n_silent = 0
        try:
            tshark = wireshark.find()
            for spool in self._spools:
                spool.close()
                n_silent += self._decrypt(spool, tshark, faults)
                os.unlink(spool.path)
        except wireshark.WiresharkMissing as missing:  # then nobody asked for it, or it went away meanwhile
            notes.append(f"{len(sessions)} conversations could be read with the keys in the capture: {missing}")
        except (PcapsecError, OSError) as error:
            reason = error if isinstance(error, PcapsecError) else error.strerror
            errors.append(CaptureError(files[-1].name, None, f"the plaintext of {len(sessions)} conversations", f"trouble: {reason}", "what was not decrypted counts as encrypted"))
        if n_silent:
            notes.append(f"{n_silent} conversations stand in the key log but could not be decrypted, or held nothing")
        if self._n_refused:
            notes.append(f"{self._n_refused} conversations with keys were left encrypted: more than {MAX_TAKEN_BYTES >> 20} MiB, or than {MAX_HELD} conversations")
        if self._cut:
            notes.append(f"{len(self._cut)} conversations were decrypted in part: more than {MAX_STREAM_BYTES >> 20} MiB of one, or {MAX_TAKEN_BYTES >> 20} MiB of all")
        if files:
            files[-1].decrypted_sessions += sum(session.decrypted for session in sessions)
        return _with_channels(sessions)

    def _path(self, name: str) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pcapsec-", ignore_cleanup_errors=True)  # created with mode 0700
        return os.path.join(self._folder.name, name)

    def _decrypt(self, spool: Spool, tshark: str, faults: list[str]) -> int:
        """One run of tshark, and one more for HTTP/2; returns the number of sessions of which nothing came out."""
        keys = self._path("keys")
        with os.fdopen(os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            self._keys.write(file, {stream.owner.handshake.client_random for stream in spool.streams if id(stream.owner) in self._held})
        heads = Spool(self._path("heads.pcap"))
        inners: dict[int, Inner] = {}
        for stream in spool.streams:
            held = self._held.get(id(stream.owner))
            if held is not None:
                session = held[0]
                inners[id(stream.owner)] = Inner(session.protocol if session.tls_mode == "starttls" and session.protocol in _UPGRADABLE else None, session.server_port, heads)
        try:
            parameters = ["-j", "frame data data.data"] + [word for name in _OTHERS for word in ("--disable-protocol", name)]
            seen = 0
            for number, packet in self._packets(spool, tshark, {"tls.keylog_file": keys}, "tls", parameters, as_json=True):
                seen = number
                if "data" not in packet:
                    continue
                tap, side, at = spool.of_packet(number)
                inner = inners.get(id(tap))
                if inner is not None:
                    inner.feed(side, _octets(packet.data), at)
            if seen != spool.n:
                raise PcapsecError(f"tshark read {seen} of {spool.n} packets and ended; try a newer one, or without the key log")
            self._finish(inners)
            heads.close()
            if heads.n:
                for number, packet in self._packets(heads, tshark, {}, "http2", ["-J", "http2"]):
                    http2, side, stream_number = heads.of_packet(number)
                    found = heads_in(packet)
                    if found:
                        http2.head(side, stream_number, found)
        finally:
            heads.close()
            for path in (keys, heads.path):
                os.unlink(path)
        n_silent = 0
        for key, inner in inners.items():
            inner.settle_http2()
            if inner.fault is not None:
                faults.append(inner.fault)
            n_silent += not inner.n_bytes
            _put_in(self._held[key][0], inner)
        return n_silent

    def _finish(self, inners: dict[int, Inner]) -> None:
        for key, inner in inners.items():
            session, tap = self._held[key]
            for side in (CLIENT, SERVER):
                if tap.ended[side] is not None and inner.n_bytes:
                    inner.lost(side, max(0, (session.bytes_server if side else session.bytes_client) - tap.ended[side]))
            inner.finish()

    def _packets(self, spool: Spool, tshark: str, preferences: dict[str, str], protocol: str, parameters: list[str],
                 as_json: bool = False) -> Iterable[tuple[int, Any]]:
        configuration = self._path("configuration")
        os.makedirs(configuration, mode=0o700, exist_ok=True)
        with wireshark.Packets(spool.path, tshark=tshark, folder=configuration, preferences=preferences, decode_as={f"tcp.port=={SERVER_PORT}": protocol},
                               parameters=parameters, as_json=as_json) as packets:
            for packet in packets:
                number = int(packet.number)
                if 0 < number <= spool.n:
                    yield number, packet


def _with_channels(sessions: list[Session]) -> list[Session]:
    """The same sessions; the two channels of RPC over HTTPS are one association now."""
    channels, ready = Channels(), []
    for session in sessions:
        ready += [session] if session.inner is None or session.inner.channels is None else channels.take(session)
    return ready + channels.settle()


def _octets(layer: Any) -> bytes:
    """data.data of a packet: `47:45:54`."""
    try:
        return bytes.fromhex(str(layer.get_field("data")).replace(":", ""))
    except (AttributeError, ValueError):
        return b""


def _put_in(session: Session, inner: Inner) -> None:
    """A session gets what was read inside it."""
    if not inner.n_bytes:
        return
    session.decrypted = True
    if inner.facts is None or inner.fault is not None:
        return
    session.inner = facts = inner.facts
    outer: Callable[[int, int], tuple[str, int, int]] = session.locate
    session.locate = lambda side, at: outer(side, inner.outer_place(side, at) if at >= INNER else at)
    if session.tls_mode != "implicit":
        return
    session.protocol = facts.protocol
    if session.service in (None, "https") or facts.protocol not in _UPGRADABLE:
        service, source = service_of(facts.protocol, facts, None, session.server_port)
        if service is not None:
            session.service, session.service_source, session.service_confidence = service, source, sureness(source, None)
