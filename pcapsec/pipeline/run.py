"""Inputs in; sessions judged and given to sinks; with several jobs, the same in as many processes that share nothing."""
from __future__ import annotations

import gc
import ipaddress
import itertools
import secrets
import struct
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Callable

import numpy

from ..capture.inputs import plan
from ..capture.source import open_source
from ..errors import BaselineError, CaptureError, PcapsecError
from ..kernels import tables
from ..kernels.handshakes import G_ENTRY
from ..protocols.x509_trust import TrustStore
from ..records import Capture, DnsAnswer, Finding, RegularSession, Session, Sighting
from ..rules import Judge, Policy
from ..rules.collected import Collected
from ..rules.remembered import Remembered
from ..secret import Fingerprints
from ..streams.engine import FORGET, SOMETHING_ELSE, Engine
from . import wireshark
from .carriers import CarrierRows
from .channels import Channels
from .conversation import HOME_PORTS, Conversation
from .decryption import Decryption
from .dns import DnsReader
from .endpoints import Endpoints
from .history import History
from .ike import IkeAssociations
from .keylog import KeyLog
from .places import Files
from .quic import QuicConnections
from .regular import Regular
from .session import build_session, verify
from .workers import fork

MAX_OPEN = 20_000  # conversations that were parsed in part and go on, a few KiB each; beyond it those that have been silent longest are given up


_number = itemgetter(0)
MAX_OPEN_ROWS = 200_000  # logins, messages, requests and the like that such conversations hold, some 500 bytes each; beyond it the same is done
_NOT_MAIL = (None, "other", "tunnel")  # protocols of conversations that turned out to be none of ours


@dataclass(slots=True, kw_only=True)
class Filters:
    """What part of a capture is looked at.

    host: an address or network in CIDR form; port: either side's TCP port; since_ns, until_ns: packet times, the second exclusive.
    """

    host: str | None = None
    port: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run leaves behind besides what its sinks hold."""

    partials: list[Any] = field(default_factory=list)  # what each sink's close() returned
    captures: list[Capture] = field(default_factory=list)
    counts: dict[str, list[int]] = field(default_factory=dict)  # rule_id -> fail, pass, not applicable, not observable
    errors: list[CaptureError] = field(default_factory=list)  # inputs that could not be read
    internal_errors: list[str] = field(default_factory=list)  # faults of ours, with flow and offset
    baseline_errors: list[BaselineError] = field(default_factory=list)  # why the baseline was not compared with, or not added to
    collected: Collected | None = None  # what all sessions together told

    def answers(self) -> list[tuple[DnsAnswer, Sighting]]:
        """What DNS said of mail, and where."""
        return list(self.collected.dns.seen.items()) if self.collected is not None else []


def parameters_of(filters: Filters | None, job: int = 0, jobs: int = 1, seed: int = 0) -> numpy.ndarray:
    """int64[N_PARAMETER] for the kernels."""
    p = numpy.zeros(tables.N_PARAMETER, dtype=numpy.int64)
    p[tables.P_JOB], p[tables.P_JOBS], p[tables.P_SEED] = job, jobs, seed
    p[tables.P_SINCE], p[tables.P_UNTIL] = tables.ALWAYS
    if filters is None:
        return p
    if filters.since_ns is not None:
        p[tables.P_SINCE] = filters.since_ns
    if filters.until_ns is not None:
        p[tables.P_UNTIL] = filters.until_ns
    if filters.port:
        p[tables.P_PORT] = filters.port
    if filters.host:
        try:
            network = ipaddress.ip_network(filters.host, strict=False)
        except ValueError:
            raise PcapsecError(f"--host {filters.host!r} is no address or network; write it like 192.0.2.7 or 2001:db8::/32") from None
        mapped = network.version == 4
        number = int(network.network_address) | (0xFFFF << 32 if mapped else 0)
        bits = network.prefixlen + (96 if mapped else 0)
        mask = ((1 << bits) - 1) << (128 - bits)
        p[tables.P_HOST0], p[tables.P_HOST1] = struct.unpack("!qq", (number & mask).to_bytes(16, "big"))
        p[tables.P_HOST_MASK0], p[tables.P_HOST_MASK1] = struct.unpack("!qq", mask.to_bytes(16, "big"))
        p[tables.P_HOST_SET] = 1
    return p


class _Worker:
    """Walks groups of inputs, judges what it finds, and feeds one sink."""

    def __init__(self, sink, policy: Policy | None, filters: Filters | None, job: int, jobs: int, full: bool, progress, seed: int = 0,
                 keys: KeyLog | None = None, trust: TrustStore | None = None, fingerprints: Fingerprints | None = None):
        self.sink = sink
        self.keys = keys
        self.trust = trust
        self.judge = Judge(policy, fingerprint=fingerprints.of if fingerprints is not None else None)
        self.judge.full = full
        self.parameters = parameters_of(filters, job, jobs, seed)
        self.jobs = jobs
        self.job = job
        self.progress = progress
        self.captures: list[Capture] = []
        self.errors: list[CaptureError] = []
        self.faults: list[str] = []
        self.n_findings = 0
        self.endpoints = Endpoints()
        self.files: Files | None = None  # of the capture at hand

    def group(self, inputs: list, bytes_before: int, bytes_total: int) -> None:
        """One capture: a list of inputs in order of time whose conversations may span them."""
        try:
            self._group(inputs, bytes_before, bytes_total)
        finally:
            self.decryption.close()

    def _group(self, inputs: list, bytes_before: int, bytes_total: int) -> None:
        engine = self.engine = Engine(self.parameters)
        self.channels = Channels()
        files = self.files = Files()
        self.regular = Regular(self.judge, files.locate)
        quic, associations, carriers = QuicConnections(files.locate), IkeAssociations(files.locate), CarrierRows(engine, self.job)
        answers = DnsReader(self.judge.site.collected.dns, files.locate)
        self.open: dict[int, Conversation] = {}
        self.open_rows = 0
        seen = 0
        source = open_source(inputs, errors=self.errors)
        decryption = self.decryption = Decryption(self.keys, inputs, engine.tables.parameters)
        for window in source:
            if source.secrets:
                decryption.use(source.secrets)
            files.begin(window.capture, seen)
            base = files.bases[-1] + window.first_frame
            for batch in engine.take(window.data, window.frames, window.n_frames, base):
                answers.take(engine.fetch_answers())  # first: rules about conversations ask for what was answered before their end
                self._batch(batch)
            answers.take(engine.fetch_answers())
            datagrams = engine.fetch_datagrams()
            if datagrams:
                of_ike = [one for one in datagrams if one[0][tables.D_STATE] & tables.D_KIND == tables.D_IKE]
                self._judge(quic.take([one for one in datagrams if one[0][tables.D_STATE] & tables.D_KIND == tables.D_QUIC] if of_ike else datagrams) + associations.take(of_ike))
            carriers.look()
            seen = base + window.n_frames - 1
            if self.progress is not None:
                self.progress(bytes_before + window.bytes_done, bytes_total, self.n_findings)
        for batch in engine.finish():
            self._batch(batch)
        self._judge(quic.settle() + associations.settle() + self._with_endpoints(self.channels.settle()))
        carriers.settle(self.judge.site.collected.carriers, files.locate, self._asked_for)
        self._judge(decryption.run(files.read, self.errors, self.faults))
        self._account(engine, source.captures)

    def _asked_for(self, row: list[int]) -> bool:
        """Whether an association or tunnel has an end that `--host` names."""
        p = self.parameters
        return not p[tables.P_HOST_SET] or any((row[at] & p[tables.P_HOST_MASK0]) == p[tables.P_HOST0] and (row[at + 1] & p[tables.P_HOST_MASK1]) == p[tables.P_HOST1] for at in (0, 2))

    def _account(self, engine: Engine, files: list[Capture]) -> None:
        scalars = engine.scalars
        self.captures.extend(files)
        if not files:
            return
        last = files[-1]  # counters of the tables belong to the capture as a whole; its last file carries them
        last.undecoded_frames += int(scalars[tables.C_UNDECODED])
        last.duplicate_frames += int(scalars[tables.C_DUPLICATES])
        last.evicted_flows += int(scalars[tables.C_EVICTED])
        last.superframes += int(scalars[tables.C_SUPERFRAMES])
        last.max_ip_length = max(last.max_ip_length, int(scalars[tables.C_MAX_IP]))
        last.unknown_starts += int(scalars[tables.C_UNKNOWN_STARTS])
        if scalars[tables.C_UNKEPT]:
            last.notes.append(f"{int(scalars[tables.C_UNKEPT])} frames could not be kept: there was no room left for them")
        for kind, name in enumerate(tables.CLASS_NAMES):
            n = int(scalars[tables.CLASS_FLOWS + kind])
            if n and name != "free":
                flows, size = last.flows_by_class.get(name, (0, 0))
                last.flows_by_class[name] = (flows + n, size + int(scalars[tables.CLASS_BYTES + kind]))
        if scalars[tables.C_RPC_UDP]:
            last.flows_by_class["rpc over udp, packets"] = (int(scalars[tables.C_RPC_UDP]), int(scalars[tables.C_RPC_UDP_BYTES]))

    def _batch(self, batch) -> None:
        """Pieces of conversations to their parsers; those that are over become sessions."""
        conversations = self.open
        orders: list[int] = []
        over: list[tuple[int, Conversation | RegularSession]] = []
        turns, data, marks, hints = batch.turns, batch.data, batch.marks, batch.hints
        for number, entry, row, result in zip(batch.numbers, batch.entries, batch.flows, batch.results):
            conversation = conversations.get(entry)
            if conversation is None:
                conversation = Conversation(row, result, self.decryption.parsers)
                order = conversation.take(row, result, turns, data, marks, hints)
                if order != FORGET:
                    conversation.settle_marks()
                    conversations[entry] = conversation
                    self.open_rows += conversation.grown()
            else:
                self.open_rows -= conversation.n_rows
                order = conversation.take(row, result, turns, data, marks, hints)
                del conversations[entry]
                if order != FORGET:
                    conversations[entry] = conversation  # at the end again: those at the beginning have been silent longest
                    conversation.grown()
                    self.open_rows += conversation.n_rows
            if order == FORGET and conversation.protocol in _NOT_MAIL:
                orders.append(SOMETHING_ELSE)
            else:
                orders.append(order)
            if order == FORGET:
                over.append((number, conversation))
            elif conversation.protocol == "other":
                if self._worth_a_row(conversation):
                    over.append((number, conversation))
                if conversations.pop(entry, None) is not None:
                    self.open_rows -= conversation.n_rows
        if batch.regular:
            over += self.regular.take(batch)
            over.sort(key=_number)  # rules that speak once of something speak of the first
            self.engine.steer(batch.entries + [row[G_ENTRY] for row in batch.regular], orders + [FORGET] * len(batch.regular))
        else:
            self.engine.steer(batch.entries, orders)
        if len(conversations) > MAX_OPEN:
            over += [(-1, conversation) for conversation in self._give_up(len(conversations) - MAX_OPEN * 3 // 4)]
        while self.open_rows > MAX_OPEN_ROWS and conversations:
            over += [(-1, conversation) for conversation in self._give_up(len(conversations) // 4 + 1)]
        sessions: list[Session] = []
        examples = []
        for _, one in over:
            if one.__class__ is RegularSession:
                sessions.append(one)
                continue
            session = self._session(one)
            if session is not None:
                sessions.append(session)
                if one.example is not None and self.trust is None:  # trust hangs on the time, so each is asked for
                    examples.append((session, one.example))
        if any(session.facts.rpc is not None or session.facts.channels is not None for session in sessions):
            sessions = self._with_endpoints(self._with_channels(sessions))
        said = self._judge(sessions)
        if examples:
            said_of = dict(zip(map(id, sessions), said))
            for session, example in examples:
                self.regular.remember(session, said_of[id(session)], example)

    def _judge(self, sessions: list[Session]) -> list[Any]:
        """Judge sessions and show them. Returns what was said of each, for those that others may be like."""
        judge, repeat, sink = self.judge.session, self.judge.repeat, self.sink.session
        # stage by stage: each stage's code stays in the processor's cache
        said = [repeat(session) if session.__class__ is RegularSession else judge(session) for session in sessions]
        for session in sessions:
            self.n_findings += len(session.findings)
            sink(session)
            for file in self.files.read if self.files is not None else self.captures:
                if file.name == session.capture:
                    file.sessions += 1
                    break
        return said

    def _with_channels(self, sessions: list[Session]) -> list[Session]:
        """The sessions, without those that wait for their other channel, and with those whose other channel has come."""
        ready = []
        for session in sessions:
            if session.facts.channels is None:
                ready.append(session)
            else:
                ready += self.channels.take(session)
        return ready

    def _with_endpoints(self, sessions: list[Session]) -> list[Session]:
        """The sessions, without those that wait for somebody to tell their RPC interface."""
        ready = []
        for session in sessions:
            if session.facts.rpc is not None:
                self.endpoints.learn(session)
                if self.endpoints.holds(session):
                    continue
            ready.append(session)
        return ready

    def _give_up(self, n: int) -> list[Conversation]:
        """The n conversations that have been silent longest, ended where they are."""
        entries = list(itertools.islice(self.open, n))
        given_up = [self.open.pop(entry) for entry in entries]
        for conversation, row in zip(given_up, self.engine.tables.flows[entries].tolist()):
            self.open_rows -= conversation.n_rows
            conversation.give_up(row)
        self.engine.give_up(entries)
        return given_up

    def _worth_a_row(self, conversation: Conversation) -> bool:
        """Whether a conversation tells anything about mail: else it is counted by its class and gets no row."""
        if conversation.server_port() in HOME_PORTS:
            return True
        protocol, facts = conversation.protocol, conversation.facts
        if protocol in _NOT_MAIL:
            return False
        if protocol == "http":
            return bool(facts.logins or facts.channels or facts.http is not None and facts.http.requests)
        if protocol == "smb":
            return facts.rpc is not None
        if protocol == "tls":
            return conversation.handshake.client_hello_at is not None or conversation.handshake.server_hello_at is not None
        return True

    def _session(self, conversation: Conversation) -> Session | None:
        """The session that a finished conversation is; None when it is none of ours."""
        if conversation.fault is not None:
            self.faults.append(conversation.fault)
        protocol = conversation.protocol
        if protocol == "tunnel":
            if not conversation.facts.logins:
                return None
            conversation.protocol = conversation.facts.protocol = "http"  # a proxy that was asked, with a login, and refused
        if not self._worth_a_row(conversation):
            return None
        handshake = conversation.handshake
        if handshake is not None and handshake.sni is None:
            server = conversation.row[2:4] if conversation.flip == 0 else conversation.row[0:2]
            handshake.dns_name = self.engine.name_of(*server)
            if handshake.dns_name is not None and handshake.certificates and handshake.name_matches is None:
                handshake.name_matched_by = handshake.certificates[0].covers(handshake.dns_name)
                handshake.name_matches = handshake.name_matched_by is not None
        session = build_session(conversation, self.files.locate)
        if self.trust is not None:
            verify(session, self.trust)
        return None if self.decryption.holds(session, conversation.parser) else session

    def settle(self, exchange: Callable[[Endpoints], Endpoints]) -> None:
        """All is read: judge what waited for what other sessions, and other workers, know of RPC endpoints."""
        self.files = None
        everybody = exchange(self.endpoints)
        if everybody is not self.endpoints:
            self.endpoints.merge(everybody)
        self._judge(self.endpoints.settle())

    def close(self) -> dict:
        if self.captures and self.faults:
            self.captures[-1].internal_errors = len(self.faults)
        return {"captures": self.captures, "counts": dict(self.judge.counts), "errors": self.errors, "faults": self.faults + list(self.judge.fault_log),
                "collected": self.judge.site.collected}


def run(inputs, *, make_sink: Callable[[int], Any], policy: Policy | None = None, filters: Filters | None = None, jobs: int = 1, join: bool = False,
        full_assessments: bool = False, progress: Callable[[int, int, int], None] | None = None, keys: KeyLog | None = None,
        trust: TrustStore | None = None, fingerprints: Fingerprints | None = None, baseline: History | None = None) -> Outcome:
    """Analyse captures.

    Args:
        inputs: paths (files, directories, globs, "-"), or one binary file object.
        make_sink: worker number -> object with session(Session), findings(list[Finding], capture name) and close() -> picklable.
        policy, filters: what to judge by and what to look at.
        jobs: processes; each walks everything and keeps its own share of address pairs.
        join: treat overlapping inputs as one capture.
        full_assessments: keep all four verdicts per session.
        progress: called with bytes done, bytes in all, findings so far.
        keys: secrets of TLS connections, which are then decrypted; None: only with those that captures hold themselves.
        trust: roots that certificates are verified against; None: they are not.
        fingerprints: what equal secrets are known by in all workers, best the sinks' own; None: one for this run.
        baseline: what earlier captures showed, to compare with and to add to; None: nothing.
    Raises: PcapsecError for filters that make no sense, CaptureError only through Outcome.errors.
    """
    outcome = Outcome()
    remembered = None
    if baseline is not None:
        try:
            remembered = baseline.read()
        except BaselineError as error:
            outcome.baseline_errors.append(error)
    fingerprints = fingerprints or Fingerprints()  # before workers are forked: all of them need the same key
    if keys is not None:
        wireshark.find()  # better said now than after hours
    try:
        groups = plan(inputs if isinstance(inputs, (list, tuple)) else [inputs], join=join, errors=outcome.errors)
    except CaptureError as error:
        outcome.errors.append(error)
        return outcome
    parameters_of(filters, 0, 1)
    total = sum(max(0, item.size or 0) for group in groups for item in group)
    splittable = jobs > 1 and all(item.plain for group in groups for item in group)
    n_jobs = jobs if splittable else 1

    seed = secrets.randbits(62)  # one for all workers: each must find the same share of address pairs as its own

    def work(job: int, exchange: Callable[[Endpoints], Endpoints]) -> tuple[dict, Any]:
        before = gc.get_threshold()
        gc.set_threshold(200_000, 20, 100)  # records die by reference counting; the default looks for cycles every 700 of them, an eighth of the run
        try:
            sink = make_sink(job)
            worker = _Worker(sink, policy, filters, job, n_jobs, full_assessments, progress if job == 0 else None, seed, keys, trust, fingerprints)
            done = 0
            for group in groups:
                worker.group(group, done, total)
                done += sum(max(0, item.size or 0) for item in group)
            worker.settle(exchange)
            return worker.close(), sink
        finally:
            gc.set_threshold(*before)  # the program that called may want it otherwise

    if n_jobs == 1:
        results = [work(0, lambda endpoints: endpoints)]
        reports = [report for report, _sink in results]
        sink = results[0][1]
        _judge_captures(outcome, reports, sink, policy, full_assessments, remembered, baseline)
        outcome.partials = [sink.close()]
        return outcome
    reports = fork(work, n_jobs, outcome)
    sink = make_sink(n_jobs)
    _judge_captures(outcome, reports, sink, policy, full_assessments, remembered, baseline)
    outcome.partials.append(sink.close())
    return outcome


def _judge_captures(outcome: Outcome, reports: list[dict], sink, policy: Policy | None, full: bool, remembered: Remembered | None, baseline: History | None) -> None:
    """Add up what the workers say, judge the sessions that only all of them together can choose, run the rules that look at captures as a whole, and remember what was seen."""
    judge = Judge(policy)
    judge.full = full
    if remembered is not None:
        judge.site.remembered = remembered
    for number, report in enumerate(reports):
        outcome.internal_errors.extend(report["faults"])
        told = {str(error) for error in outcome.errors}
        outcome.errors.extend(error for error in report["errors"] if str(error) not in told)  # all workers read all inputs
        if number == 0:
            outcome.captures = report["captures"]
        else:
            for mine, theirs in zip(outcome.captures, report["captures"]):
                mine.duplicate_frames += theirs.duplicate_frames
                mine.evicted_flows += theirs.evicted_flows
                mine.superframes += theirs.superframes
                mine.max_ip_length = max(mine.max_ip_length, theirs.max_ip_length)
                mine.unknown_starts += theirs.unknown_starts
                mine.sessions += theirs.sessions
                mine.decrypted_sessions += theirs.decrypted_sessions
                mine.internal_errors += theirs.internal_errors
                mine.notes += [note for note in theirs.notes if note not in mine.notes]
                for name, (n, size) in theirs.flows_by_class.items():
                    flows, known = mine.flows_by_class.get(name, (0, 0))
                    mine.flows_by_class[name] = (flows + n, known + size)
        judge.merge(report["counts"])
        judge.site.collected.merge(report.pop("collected"))
    for session in judge.site.collected.carriers.sessions():
        judge.session(session)
        sink.session(session)
        for capture in outcome.captures:
            if capture.name == session.capture:
                capture.sessions += 1
                break
    findings: list[Finding] = judge.capture(outcome.captures)
    if findings:
        sink.findings(findings)
    outcome.collected = judge.site.collected
    outcome.counts = dict(judge.counts)
    if baseline is not None:
        try:
            baseline.update(judge.site.collected, judge.site.now_ns)
        except BaselineError as error:
            outcome.baseline_errors.append(error)
