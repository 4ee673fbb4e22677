"""Applies the rules: to each session when it ends, to the captures when all is read.

Most rules have nothing to say about most sessions, so what they answer then is not asked for each time: sessions of one protocol with the same losses and
the same answers share a profile, which is counted and only spelt out when somebody reads `counts`. Rules about logins and messages are called for those
there are; their answer to a session without any follows from what its protocol is and which sides were seen.
"""
from __future__ import annotations

import time
import traceback
from typing import Any, Callable, Iterable

from ..records import CLIENT, SERVER, SEVERITIES, Capture, Facts, Finding, Login, RegularSession, Session, TapPair
from ..secret import Fingerprints, Secret
from .policy import Policy
from .registry import all_rules
from .requirements import went_against
from .rule import ANY, FAIL, IPSEC, LOWER, NOT_APPLICABLE, PASS, TOKENS, VERDICTS, Rule, Verdict, finding_id, not_observable
from .site import LOOPBACK, Site
from .stories import INVOLVED, LAYERED, RANK, link, link_layered
from .suppressions import Suppressions
from .verdict import ipsec_verdict, is_sound, layered_verdict, session_verdict
from .webnames import of_mail
from .visits import is_mail

MAX_PROFILES = 4096  # distinct answers kept apart; hostile traffic may make many, then they are added up and memory starts afresh
MAX_MECHANISMS = 256  # names come from the wire
MAX_FAULT_LOG = 100

_ELSEWHERE = "tls of others"  # plan for TLS that has nothing to do with mail: it is shown and not judged
_MASK = (1 << 64) - 1
_SERVICE_PROTOCOL = {
    "smtp": "smtp", "submission": "smtp", "lmtp": "lmtp", "imap": "imap", "pop3": "pop3", "nntp": "nntp", "sieve": "managesieve", "managesieve": "managesieve",
    "dcerpc": "dcerpc", "epmapper": "dcerpc", "http": "http", "ldap": "ldap", "smb": "smb",
}


class _Plan:
    """Which rules a protocol has, in order of ids."""

    def __init__(self, rules: Iterable[Rule], protocol: str, hint: str | None, with_tls: bool):
        self.rules = [rule for rule in rules if rule.scope not in ("capture", "comparison")]
        self.applies = {rule.id for rule in self.rules if (rule.protocols == ANY or protocol in rule.protocols) and (with_tls or rule.category != "tls")}
        self.unparsed = {rule.id for rule in self.rules if hint in rule.protocols} if hint else set()
        mine = [rule for rule in self.rules if rule.id in self.applies]
        of_session = [rule for rule in mine if rule.scope == "session"]
        self.quality_rules = [rule for rule in of_session if rule.category == "capture"]
        self.session_rules = [rule for rule in of_session if rule.category != "capture"]
        self.all_of_session = self.quality_rules + self.session_rules
        self.session_judges = [rule.judge for rule in self.session_rules]
        self.verdict = layered_verdict if protocol in LAYERED else ipsec_verdict if protocol in IPSEC else session_verdict
        self.several = any(rule.several for rule in self.session_rules)
        self.message_rules = [rule for rule in mine if rule.scope == "message"]
        self.index_of = {rule.id: index for index, rule in enumerate(self.rules)}
        self._protocol = protocol
        self._by_mechanism: dict[tuple[str, str], list[Rule]] = {}
        self._quiet: dict[tuple, list[tuple[str, Verdict]]] = {}

    def login_rules(self, login: Login) -> list[Rule]:
        """Those about a login. One protocol may carry another, each with its own login: a web login then opens the connection on which RPC or mail is spoken, or RPC's stands in a web
        request."""
        known = self._by_mechanism.get((login.protocol, login.mechanism))
        if known is None:
            spoken = login.protocol if login.protocol in TOKENS else self._protocol
            known = [rule for rule in self.rules if rule.scope == "login" and (rule.protocols == ANY or spoken in rule.protocols)
                     and (not rule.mechanisms or any(_matches(login.mechanism, name) for name in rule.mechanisms))]
            if len(self._by_mechanism) < MAX_MECHANISMS:
                self._by_mechanism[login.protocol, login.mechanism] = known
        return known

    def quiet(self, unseen: tuple[str | None, str | None], unparsed: bool, wrapped: bool) -> list[tuple[str, Verdict]]:
        """What the rules answer to a session where none of them finds anything to say; those about sessions are called anyway."""
        key = unseen, unparsed, wrapped
        known = self._quiet.get(key)
        if known is None:
            known = self._quiet[key] = [(rule.id, self._quiet_answer(rule, unseen, unparsed, wrapped)) for rule in self.rules]
        return known

    def _quiet_answer(self, rule: Rule, unseen: tuple[str | None, str | None], unparsed: bool, wrapped: bool) -> Verdict:
        if rule.id in self.unparsed:
            return not_observable("unparsed" if unparsed else unseen[CLIENT] or unseen[SERVER] or "unparsed")
        return _quiet(rule, unseen, wrapped) if rule.id in self.applies else NOT_APPLICABLE


class _Profile:
    """Sessions that got the same answers from all rules."""

    __slots__ = ("count", "verdicts", "not_observable", "assessments")

    def __init__(self, verdicts: list[tuple[str, Verdict]]):
        self.count = 0
        self.verdicts = verdicts
        self.not_observable = tuple((rule_id, verdict.reason) for rule_id, verdict in verdicts if verdict.name == "not_observable")
        self.assessments: tuple[tuple[str, str, str], ...] | None = None

    def spelt_out(self) -> tuple[tuple[str, str, str], ...]:
        if self.assessments is None:
            self.assessments = tuple((rule_id, verdict.name, verdict.reason) for rule_id, verdict in self.verdicts)
        return self.assessments


class Alike:
    """What was said of a TLS conversation, as far as it holds for all with an equal handshake on the same server port.

    era: of the judge's memory; key: under which its answers are counted; rules: those that must be asked of each; profiles: what they said -> whose answers are counted;
    is_mail: they are with a mail server.
    """

    __slots__ = ("era", "key", "rules", "judges", "several", "places", "profiles", "is_mail")

    def __init__(self, era: int, key: tuple, rules: list[Rule], places: list[int], is_mail: bool):
        self.era, self.key, self.rules, self.places, self.is_mail = era, key, rules, places, is_mail
        self.judges = [rule.judge for rule in rules]
        self.several = any(rule.several for rule in rules)
        self.profiles: dict[tuple[Verdict, ...], _Profile] = {}


class _Watched:
    """A session that notices what is read of it."""

    def __init__(self, session: Session):
        self._session = session
        self.looked = False

    def __getattr__(self, name: str) -> Any:
        if name in RegularSession.VARYING:
            self.looked = True
        return getattr(self._session, name)


class Judge:
    """All rules, a policy, and the counts of their verdicts.

    Args:
        policy: the site's own knowledge; None: nothing known.
        fingerprint: what makes equal secrets look equal, the same for all judges of a run; None: one of this judge.
        rules: those to apply; all when None.
        now_ns: the present for rules about timestamps; the clock's when None.

    Attributes:
        full: whether sessions also get `assessments`, all four verdicts.
        faults: how often a rule raised; `fault_log` says which, where, and never with what data.
    """

    def __init__(self, policy: Policy | None = None, *, fingerprint: Callable[[Secret], str] | None = None, rules: dict[str, Rule] | None = None, now_ns: int | None = None):
        self.rules = all_rules() if rules is None else rules
        self.site = Site(policy)
        self._fingerprint = fingerprint or Fingerprints().of
        self.site.now_ns = time.time_ns() if now_ns is None else now_ns
        self.suppressions = Suppressions(self.site.policy.suppress, self.site.now_ns)
        self.full = False
        self.faults = 0
        self.fault_log: list[str] = []
        self._totals = {rule_id: [0, 0, 0, 0] for rule_id in self.rules}
        self._salts: dict[tuple[str, str], int] = {}
        self._plans: dict[str | tuple[str, str], _Plan] = {}
        self._profiles: dict[tuple, _Profile] = {}
        self._era = 0  # how often they were forgotten

    def session(self, session: Session) -> tuple[tuple, tuple[str, ...]]:
        """Fill findings, not_observable, verdict and worst_severity of a session that is over.

        Returns: what `alike` asks for: the key of its answers, and the rules that asked whether they had spoken before.
        """
        facts, site, findings = session.facts, self.site, session.findings
        site.consulted.clear()
        plan_key: Any = session.protocol if session.tls_mode != "implicit" else "tls" if of_mail(session, site.is_local) else _ELSEWHERE
        if plan_key == "unknown":
            plan_key = "unknown", session.service
        elif session.tls is not None and plan_key != "tls" and plan_key is not _ELSEWHERE:
            plan_key = f"{plan_key}+tls"
        plan = self._plans.get(plan_key)
        if plan is None:
            plan = self._plan(plan_key)
        quality: tuple[Verdict, ...] | None = None
        if not is_sound(session):
            quality = self._quality(plan, session, facts, findings)
        try:
            outcomes = [judge(session, facts, site) for judge in plan.session_judges]
        except Exception:  # which one raised is found out by asking again, one by one
            outcomes = self._carefully(plan.session_rules, session, facts)
        if plan.several:
            outcomes = _unpacked(outcomes, findings)
        answers = _sorted_out(outcomes, findings)
        said: tuple = ()
        if facts.logins or facts.messages:
            said = self._ask(plan, session, facts, findings)
        key = plan_key, session.unseen_client, session.unseen_server, facts.sasl_wrapped, quality, answers, said
        profile = self._profiles.get(key)
        if profile is None:
            profile = self._new_profile(key, plan, (quality or (PASS,) * len(plan.quality_rules)) + answers, dict(said), session)
        profile.count += 1
        session.not_observable = profile.not_observable  # type: ignore[assignment]  # shared, so a tuple
        if facts.http is not None or session.tls is not None:
            site.collected.session(session, plan_key is not _ELSEWHERE)
        if self.full:
            session.assessments = profile.spelt_out()  # type: ignore[assignment]
        if findings:
            self._settle(session, findings)
        if facts.logins or session.inner is not None and session.inner.logins:
            site.collected.accounts.take(session, self._fingerprint)
        session.verdict = plan.verdict(session, facts)
        if facts.messages:
            site.collected.trail.take(session, facts, False)
        if session.inner is not None and session.inner.messages:
            site.collected.trail.take(session, session.inner, True)
        site.collected.judged(session, facts, site)
        return key, tuple(site.consulted)

    def alike(self, session: Session, said: tuple[tuple, tuple[str, ...]]) -> Alike | None:
        """Of a session and what `session` returned for it: what `repeat` asks for; None when each must be judged for itself.

        A rule is asked again when it found something, asked whether it had spoken before, or looked at anything but what all that are like it share.
        """
        key, consulted = said
        plan, quality, answers = self._plans[key[0]], key[4], key[5]
        if key[0] not in ("tls", _ELSEWHERE) or quality is not None or session.tls_mode != "implicit" or key[6]:
            return None
        chosen = []
        for index, (rule, answer) in enumerate(zip(plan.session_rules, answers)):
            if answer is FAIL or rule.id in consulted or self._varies(rule, session):
                chosen.append(index)
        return Alike(self._era, key, [plan.session_rules[index] for index in chosen], chosen, is_mail(session))

    def _varies(self, rule: Rule, session: Session) -> bool:
        """Whether a rule, on its way to an answer that it gave before, looks at what differs between sessions that are alike."""
        watched: Any = _Watched(session)
        try:
            rule.judge(watched, session.facts, self.site)
        except Exception:  # it failed before, and that was said
            return True
        return watched.looked

    def repeat(self, session: RegularSession) -> None:
        """The same as `session`, for a session whose like was judged."""
        alike: Alike = session.alike
        if alike.era != self._era:
            session.findings = []
            self.session(session)
            return
        site, facts, findings = self.site, session.facts, []
        try:
            outcomes = [judge(session, facts, site) for judge in alike.judges]
        except Exception:
            outcomes = self._carefully(alike.rules, session, facts)
        if alike.several:
            outcomes = _unpacked(outcomes, findings)
        answers = _sorted_out(outcomes, findings)
        profile = alike.profiles.get(answers)
        if profile is None:
            profile = self._profile_like(alike, answers, session)
        profile.count += 1
        session.not_observable = profile.not_observable  # type: ignore[assignment]
        site.collected.session(session, alike.key[0] is not _ELSEWHERE)
        if alike.is_mail:
            site.collected.visits.take(session)
            site.collected.carriers.take(session)
        if self.full:
            session.assessments = profile.spelt_out()  # type: ignore[assignment]
        session.findings = findings
        if findings:
            self._settle(session, findings)
        else:
            session.worst_severity = None

    def _profile_like(self, alike: Alike, answers: tuple[Verdict, ...], session: Session) -> _Profile:
        every = list(alike.key[5])
        for index, answer in zip(alike.places, answers):
            every[index] = answer
        key = *alike.key[:5], tuple(every), ()
        profile = self._profiles.get(key)
        if profile is None:
            plan = self._plans[key[0]]
            profile = self._new_profile(key, plan, (PASS,) * len(plan.quality_rules) + key[5], {}, session)
        if alike.era == self._era:  # else its profiles were just forgotten
            alike.profiles[answers] = profile
        return profile

    def capture(self, captures: list[Capture]) -> list[Finding]:
        """Judge the captures as such, after all sessions."""
        findings = []
        for rule in self.rules.values():
            if rule.scope != "capture":
                continue
            for capture in captures:
                try:
                    outcome = rule.judge(capture, self.site)
                except Exception as error:
                    outcome = self._fault(rule, capture.name, error)
                for one in outcome if outcome.__class__ is list else (outcome,):
                    if one.__class__ is Finding:
                        if not one.finding_id:
                            one.finding_id = finding_id(rule.id, one.variant, capture.name, capture.first_ns)
                        if not one.capture:  # it stands for the capture as a whole
                            one.capture, one.frame, one.ts_ns = capture.name, 1 if capture.packets else 0, capture.first_ns or 0
                        if one.ends is not None:
                            self._near(one, one.ends.client_ip, one.ends.server_ip)
                        if self.suppressions:
                            self.suppressions.apply(one, one.ends)
                        findings.append(one)
                        one = FAIL
                    self._totals[rule.id][VERDICTS.index(one.name)] += 1
        return findings

    def comparison(self, pair: TapPair) -> None:
        """Judge one conversation that was captured at two places: fill findings of its first session."""
        session = pair.sessions[0]
        rules = [rule for rule in self.rules.values() if rule.scope == "comparison"]
        for rule, answer in zip(rules, _sorted_out(self._carefully(rules, session, pair), session.findings)):
            self._totals[rule.id][VERDICTS.index(answer.name)] += 1
        if session.findings:
            self._settle(session, session.findings)

    @property
    def counts(self) -> dict[str, list[int]]:
        """rule_id -> [n_fail, n_pass, n_not_applicable, n_not_observable]: of sessions, or of captures for rules about those."""
        self._fold()
        return {rule_id: list(row) for rule_id, row in self._totals.items()}

    def merge(self, counts: dict[str, list[int]], faults: int = 0, fault_log: Iterable[str] = ()) -> None:
        """Add what another process counted."""
        for rule_id, row in counts.items():
            mine = self._totals.setdefault(rule_id, [0, 0, 0, 0])
            for index, n in enumerate(row):
                mine[index] += n
        self.faults += faults
        self.fault_log.extend(list(fault_log)[:MAX_FAULT_LOG - len(self.fault_log)])

    # --- inside

    def _quality(self, plan: _Plan, session: Session, facts: Facts, findings: list[Finding]) -> tuple[Verdict, ...]:
        """Call the rules about the quality of the capture, for a session that is not sound."""
        return _sorted_out(self._carefully(plan.quality_rules, session, facts), findings)

    def _carefully(self, rules: list[Rule], session: Session, facts: Facts | TapPair) -> list[Finding | Verdict]:
        """What each rule about the session says, or that it failed."""
        outcomes: list[Finding | Verdict] = []
        for rule in rules:
            try:
                outcomes.append(rule.judge(session, facts, self.site))
            except Exception as error:
                outcomes.append(self._fault(rule, session.session_id, error))
        return outcomes

    def _ask(self, plan: _Plan, session: Session, facts: Facts, findings: list[Finding]) -> tuple[tuple[str, Verdict], ...]:
        """Call the rules about logins and messages; returns what they said other than the quiet answer."""
        said: dict[str, Verdict] = {}
        for login in facts.logins:
            self._ask_about(plan.login_rules(login), session, login, findings, said)
        for message in facts.messages:
            self._ask_about(plan.message_rules, session, message, findings, said)
        return tuple(said.items())

    def _ask_about(self, rules: list[Rule], session: Session, subject: Any, findings: list[Finding], said: dict[str, Verdict]) -> None:
        site = self.site
        for rule in rules:
            try:
                outcome = rule.judge(session, subject, site)
            except Exception as error:
                outcome = self._fault(rule, session.session_id, error)
            if outcome is PASS or outcome is NOT_APPLICABLE:
                continue
            if outcome.__class__ is Finding:
                findings.append(outcome)
                said[rule.id] = FAIL
            else:
                said.setdefault(rule.id, outcome)

    def _plan(self, key: Any) -> _Plan:
        protocol, hint = (key[0], _SERVICE_PROTOCOL.get(key[1])) if isinstance(key, tuple) else (key.partition("+")[0], None)
        if key == _ELSEWHERE:
            protocol = "tls"
        plan = self._plans[key] = _Plan(self.rules.values(), protocol, hint, key == "tls" or key[-4:] == "+tls")
        return plan

    def _new_profile(self, key: tuple, plan: _Plan, outcomes: tuple[Verdict, ...], said: dict[str, Verdict], session: Session) -> _Profile:
        if len(self._profiles) >= MAX_PROFILES:
            self._fold()
            self._profiles.clear()
            self._era += 1
        verdicts = plan.quiet((session.unseen_client, session.unseen_server), bool(session.unparsed), session.facts.sasl_wrapped).copy()
        index_of = plan.index_of
        for rule_id, verdict in said.items():
            verdicts[index_of[rule_id]] = rule_id, verdict
        for rule, outcome in zip(plan.all_of_session, outcomes):
            verdicts[index_of[rule.id]] = rule.id, outcome
        profile = self._profiles[key] = _Profile(verdicts)
        return profile

    def _fold(self) -> None:
        """Add the counts of all profiles to the totals."""
        for profile in self._profiles.values():
            if profile.count:
                for rule_id, verdict in profile.verdicts:
                    self._totals[rule_id][VERDICTS.index(verdict.name)] += profile.count
                profile.count = 0

    def _settle(self, session: Session, findings: list[Finding]) -> None:
        """Severity modifiers that hang on the addresses, ids, and which finding is the root of which."""
        near = self.site.nearness(session.client_ip, session.server_ip)
        worst = 0
        try:
            seed = int(session.session_id, 16)
        except ValueError:
            seed = int(finding_id("", "", session.session_id, ""), 16)
        salts, involved, suppressions = self._salts, [], self.suppressions
        required = went_against(findings) if self.site.policy.require_tls and near is not LOOPBACK else None
        for finding in findings:
            rule = finding.rule
            rule_id = rule.id
            if near is not None:
                if near is LOOPBACK:
                    _modify(finding, "info", "both ends loopback")
                elif rule.category == "cleartext":
                    _modify(finding, LOWER[finding.severity], "both ends private")
            if required is not None and rule.category == "cleartext" and rule.severity != "info" and RANK[finding.severity] < RANK["high"]:
                _modify(finding, "high", f"policy {required} requires TLS")
            if not finding.finding_id:
                salt = salts.get((rule_id, finding.variant))
                if salt is None:
                    salt = self._salt(rule_id, finding.variant)
                # the session's own hash and the rule's are both spread over 64 bits; the offset is spread by an odd factor
                finding.finding_id = "%016x" % (((seed ^ salt) + (2 * (finding.at or 0) + (finding.side or 0)) * 0x9E3779B97F4A7C15) & _MASK)
            rank = RANK[finding.severity]
            if rank > worst:
                worst = rank
            if suppressions and suppressions.apply(finding, session):  # what hangs on it stands for itself
                continue
            if rule_id in INVOLVED:
                involved.append(finding)
        if len(involved) > 1:
            (link_layered if session.protocol in LAYERED else link)(involved)
        session.worst_severity = SEVERITIES[worst]

    def _near(self, finding: Finding, client_ip: str, server_ip: str) -> None:
        """Severity modifiers of a finding of capture scope that hang on the addresses; once, however often it is asked for."""
        near = self.site.nearness(client_ip, server_ip)
        if near is LOOPBACK:
            _modify(finding, "info", "both ends loopback")
        elif near is not None and finding.rule.category == "cleartext" and "both ends private" not in finding.severity_reason:
            _modify(finding, LOWER[finding.severity], "both ends private")

    def _salt(self, rule_id: str, variant: str) -> int:
        """64 bits for a rule and variant, remembered while there are few: variants are a rule's own words."""
        salt = int(finding_id(rule_id, variant, "", ""), 16)
        if len(self._salts) < MAX_PROFILES:
            self._salts[rule_id, variant] = salt
        return salt

    def _fault(self, rule: Rule, where: str, error: Exception) -> Verdict:
        """A rule raised: say which and at what line, not with what message, which may hold bytes of the wire."""
        self.faults += 1
        if len(self.fault_log) < MAX_FAULT_LOG:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.fault_log.append(f"{rule.id} failed on {where}: {type(error).__name__} in {last.name}, line {last.lineno}")
        return not_observable("rule_failed")


def _unpacked(outcomes: list[Any], findings: list[Finding]) -> list[Any]:
    """Put the findings of rules that answer with several aside."""
    for index, outcome in enumerate(outcomes):
        if outcome.__class__ is list:
            findings.extend(outcome)
            outcomes[index] = FAIL if outcome else PASS
    return outcomes


def _sorted_out(outcomes: list[Any], findings: list[Finding]) -> tuple[Verdict, ...]:
    """Put the findings among the outcomes aside; FAIL stands for each."""
    for index, outcome in enumerate(outcomes):
        if outcome.__class__ is Finding:
            findings.append(outcome)
            outcomes[index] = FAIL
    return tuple(outcomes)


def _matches(mechanism: str, name: str) -> bool:
    return mechanism.startswith(name[:-1]) if name.endswith("*") else mechanism == name


def _quiet(rule: Rule, unseen: tuple[str | None, str | None], wrapped: bool) -> Verdict:
    """What a rule about logins or messages answers when none of them made it fail."""
    for side in rule.needs:
        reason = unseen[side]
        if reason is not None:
            return not_observable(reason)
    if wrapped and rule.scope == "message":
        return not_observable("encrypted")
    return PASS


def _modify(finding: Finding, severity: str, reason: str) -> None:
    if finding.severity != severity:
        finding.severity = severity
        finding.severity_reason = f"{finding.severity_reason};{reason}" if finding.severity_reason else reason
