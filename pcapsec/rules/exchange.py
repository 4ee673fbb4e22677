"""What the rules about RPC share: which interfaces carry mail, what protects a context, and how sure that is.

Only Exchange's interfaces are judged by the level of their calls. Windows asks its endpoint mapper and other services without protection all day
long, and that is none of mail's business.
"""
from __future__ import annotations

from typing import Any, Iterable, Iterator

from ..records import CLIENT, Facts, Login, RpcContext, RpcFacts, RpcSecurity, Session
from .rule import LESS_SURE, NOT_APPLICABLE, PASS, Verdict, not_observable

NONE, CONNECT, CALL, PACKET, INTEGRITY, PRIVACY = 1, 2, 3, 4, 5, 6  # [MS-RPCE] §2.2.1.1.8
LEVEL_NAMES = {NONE: "none", CONNECT: "connect", CALL: "call", PACKET: "packet", INTEGRITY: "integrity", PRIVACY: "privacy"}
KINDS = {  # [MS-OXCRPC] §1.9, [MS-OXNSPI] §1.9, [MS-OXABREF] §1.9
    "a4f1db00-ca47-1067-b31f-00dd010662da": "emsmdb",
    "5261574a-4572-206e-b268-6b199213b4e4": "asyncemsmdb",
    "f5cc5a18-4264-101a-8c59-08002b2f8426": "nspi",
    "1544f5e0-613c-11d1-93df-00c04fd7bd09": "rfr",
}
MAILBOX = frozenset(("emsmdb", "asyncemsmdb"))  # the others are the directory: names and addresses, no mail
RPC_METHODS = frozenset(("RPC_IN_DATA", "RPC_OUT_DATA", "RPC_CONNECT"))  # [MS-RPCH] §2.1
MAX_FINDINGS = 20  # of one rule about one conversation: a hostile one may define thousands of contexts
MAX_LOOKED_AT = 10_000  # contexts and their securities, when those of one login are looked for: there may be a hundred on each of a thousand
MAX_SHOWN = 20  # operations, names and endpoints in one finding's evidence


def contexts(facts: Facts) -> Iterator[tuple[RpcFacts, RpcContext]]:
    """All presentation contexts of a conversation, but those that the server refused."""
    for association in facts.rpc or ():
        for context in association.contexts:
            if context.accepted is not False:
                yield association, context


def exchange_contexts(facts: Facts) -> list[tuple[RpcFacts, RpcContext, str]]:
    """Those on an interface of Exchange, with its short name."""
    found: list[tuple[RpcFacts, RpcContext, str]] = []
    if facts.rpc:  # asked for every web page, too
        for association in facts.rpc:
            for context in association.contexts:
                if context.interface_uuid in KINDS and context.accepted is not False:
                    found.append((association, context, KINDS[context.interface_uuid]))
    return found


def is_unknown(context: RpcContext) -> bool:
    """Calls below privacy on an interface that nothing names: it may be the mailbox's."""
    return context.interface_uuid is None and context.interface is None and context.auth_level != PRIVACY


def has_unknown(facts: Facts) -> bool:
    for association in facts.rpc or ():
        for context in association.contexts:
            if context.interface_uuid is None and context.accepted is not False and is_unknown(context):
                return True
    return False


def nothing_to_judge(session: Session, facts: Facts) -> Verdict:
    """The answer where no context of Exchange's was seen: none there, or nobody can tell."""
    if facts.rpc:
        if has_unknown(facts):
            return not_observable(session.unseen_client or "midstream")
        if session.unseen_client is not None and not any(association.contexts for association in facts.rpc):
            return not_observable(session.unseen_client)
    elif facts.channels:
        return not_observable(session.unseen_client or "one_sided")  # the two channels of RPC over HTTP only make sense together
    elif session.protocol == "dcerpc" and session.unseen_client is not None:
        return not_observable(session.unseen_client)
    if facts.smb is not None and facts.smb.encrypted:
        return not_observable("encrypted")
    return NOT_APPLICABLE


def lost(session: Session, facts: Facts, side: int) -> str | None:
    """Why bytes of a side may be missing that could matter. A connection whose bind was seen lacks nothing before it: a bind is the first thing said."""
    reason = session.unseen_server if side else session.unseen_client
    if reason == "midstream" and facts.rpc and all(association.bind_at is not None for association in facts.rpc):
        return None
    return reason


def unless_lost(session: Session, facts: Facts, *sides: int) -> Verdict:
    """PASS where nothing of the sides was lost, else the reason why nobody can tell."""
    for side in sides:
        reason = lost(session, facts, side)
        if reason is not None:
            return not_observable(reason)
    return PASS


def level_name(level: int | None) -> str:
    return LEVEL_NAMES.get(level, str(level)) if level is not None else "unknown"


def sureness(context: RpcContext, best: str = "high") -> str:
    """How sure a judgement on a context can be: less where its interface was not read from a bind, or no answer shows that the server took it."""
    confidence = best
    if context.interface_source not in (None, "bind"):
        confidence = LESS_SURE[confidence]
        if context.interface_source == "calls" and not (context.mapi is not None and context.mapi.n_decoded):
            confidence = LESS_SURE[confidence]
    elif context.accepted is None and not context.responses:
        confidence = LESS_SURE[confidence]
    return confidence


def login_of(context: RpcContext) -> Login | None:
    """The account behind a context: the first of its securities that names one."""
    return next((security.login for security in context.securities if security.login is not None and security.login.principal), None)


def named(login: Login | None) -> str:
    """` of alice`, for a title."""
    return f" of {login.principal[:64]}" if login is not None and login.principal else ""


def columns(login: Login | None, mechanism: str | None) -> dict[str, Any]:
    """The columns of a finding that name an account."""
    if login is None:
        return {"mechanism": mechanism}
    return {"principal": login.principal, "mechanism": mechanism or login.mechanism, "auth_result": login.result}


def described(context: RpcContext) -> dict[str, Any]:
    """Evidence that all findings about one context show."""
    shown: dict[str, Any] = {
        "interface": context.interface or context.interface_uuid, "interface_source": context.interface_source, "transport": context.transport,
    }
    if context.auth_level is not None:
        shown["auth_level"], shown["auth_level_name"] = context.auth_level, level_name(context.auth_level)
    if context.auth_type is not None:
        shown["auth_type"] = context.auth_type
    return shown


def calls(context: RpcContext) -> dict[str, int]:
    """Operation number -> requests, the most used first."""
    most = sorted(context.opnums.items(), key=lambda item: (-item[1], item[0]))[:MAX_SHOWN]
    return {str(opnum): count for opnum, count in most}


def securities(facts: Facts) -> Iterator[tuple[RpcFacts, RpcSecurity]]:
    for association in facts.rpc or ():
        for security in association.securities:
            yield association, security


def security_of(facts: Facts, login: Login) -> tuple[RpcFacts, RpcSecurity] | None:
    """The security context that a login set up."""
    n_looked_at = 0
    for association, security in securities(facts):
        n_looked_at += 1
        if security.login is login:
            return association, security
        if n_looked_at == MAX_LOOKED_AT:
            break
    return None


def users(association: RpcFacts, security: RpcSecurity) -> list[RpcContext]:
    """The presentation contexts that a security context protects."""
    found: list[RpcContext] = []
    n_looked_at = 0
    for context in association.contexts:
        n_looked_at += 1 + len(context.securities)
        if n_looked_at > MAX_LOOKED_AT:
            break
        if context.accepted is not False and any(one is security for one in context.securities):
            found.append(context)
    return found


def level_of(context: RpcContext, security: RpcSecurity) -> int | None:
    """The highest level at which a security was in force on a context's requests; a context that two securities share is told apart by what each announced."""
    levels = [level for level in context.levels if level > NONE]
    if len(context.securities) > 1 and security.levels_announced:
        levels = [level for level in levels if level in security.levels_announced]
    return max(levels, default=None)


def interface_names(found: Iterable[RpcContext]) -> list[str]:
    return list(dict.fromkeys(str(context.interface or context.interface_uuid or "unknown") for context in found))[:MAX_SHOWN]


def serves_mail(found: Iterable[RpcContext]) -> bool:
    return any(context.interface_uuid in KINDS for context in found)


def ntlm_evidence(login: Login) -> dict[str, Any]:
    """What NTLM agreed on, as its last message says."""
    details = login.details
    shown: dict[str, Any] = {}
    if details.get("ntlm_flags") is not None:
        shown["ntlm_flags"] = f"0x{details['ntlm_flags']:08x}"
    for name in ("ntlm_flag_names", "ntlm_version", "key_bits", "spec_key_bits"):
        if details.get(name) is not None:
            shown[name] = details[name]
    return shown


def start_of(context: RpcContext) -> tuple[int, int]:
    """Side and offset of a context's first request; of what defines it where none was seen."""
    return (context.side, context.at) if context.first_request_at is None else (CLIENT, context.first_request_at)


def weakest_of(context: RpcContext) -> tuple[int, int]:
    """Side and offset of its first request at the lowest level."""
    return start_of(context) if context.weakest_request_at is None else (CLIENT, context.weakest_request_at)
