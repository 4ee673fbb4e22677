"""PS503: the mailbox calls are obfuscated or compressed, which is not encryption.

What
    Payloads of EcDoConnectEx, EcDoRpcExt2 or the older EcDoRpc were read below level 6, or those of MAPI over HTTP outside TLS. At most every byte was XORed
    with 0xA5, or the buffer was compressed; both were undone while the capture was read.

Why
    The traffic looks encrypted and is not: the specification says that it is no security feature, and there is no key.

Evidence
    interface, interface_source, transport: what was called; MAPI over HTTP has host and path instead.
    auth_type, auth_level, auth_level_name: protection in force.
    obfuscation: none, xor, compressed or both; also the variant.
    header_ext_flags, n_header_ext: flags of RPC_HEADER_EXT, or-ed, and how many were read; zero of them with the older EcDoRpc.
    opnums: requests by operation number.
    n_decoded, decoded_bytes: payloads that made sense when undone, and their bytes.
    rops: names of the operations inside, with counts.

Not a finding when
    - the calls are at level 6, or the requests inside TLS: the same header is inside, but encrypted;
    - the header does not hold together (size over 32768, unknown flags): the bytes are something else;
    - no such payload was seen.

References
    [MS-OXCRPC] §2.2.2.1, §3.1.4.1.1.3, §3.1.4.2.1
    [MS-OXCMAPIHTTP] §2.2.4
"""
from __future__ import annotations

from typing import Any

from ...records import CLIENT, SERVER, Facts, Finding, MapiFacts, RpcContext, Session
from ..exchange import (
    MAILBOX, MAX_FINDINGS, MAX_SHOWN, PRIVACY, calls, columns, described, exchange_contexts, login_of, named, nothing_to_judge, sureness, unless_lost,
    weakest_of,
)
from ..requests import of_services, server
from ..rule import LESS_SURE, NOT_APPLICABLE, RPC, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS503", slug="rpc-xor-only", title="MAPI payload only XOR-obfuscated or LZ-compressed", severity="high", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT, SERVER),
    remediation="Use RPC level privacy, or HTTPS.",
    references=("[MS-OXCRPC] §2.2.2.1, §3.1.4.1.1.3, §3.1.4.2.1", "[MS-OXCMAPIHTTP] §2.2.4"),
)
WORDS = {"none": "as it is", "xor": "only XORed", "compressed": "only compressed", "both": "only XORed and compressed"}


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    if facts.http is not None and facts.http.obfuscation in WORDS:
        return [_web_finding(session, facts)]
    found = [context for _, context, kind in exchange_contexts(facts) if kind in MAILBOX]
    if not found:
        answer = nothing_to_judge(session, facts)
        return answer if not exchange_contexts(facts) else NOT_APPLICABLE
    findings = [_finding(session, context) for context in found if context.obfuscation in WORDS and (context.auth_level or 0) < PRIVACY]
    return findings[:MAX_FINDINGS] or unless_lost(session, facts, CLIENT, SERVER)


def _finding(session: Session, context: RpcContext) -> Finding:
    login, mapi, (side, at) = login_of(context), context.mapi, weakest_of(context)
    confidence = sureness(context)
    evidence = {**described(context), "obfuscation": context.obfuscation, "opnums": calls(context)}
    if mapi is None or not mapi.n_decoded:
        confidence = LESS_SURE[confidence]
    if mapi is not None:
        evidence |= _opened(mapi)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=confidence, variant=context.obfuscation or "",
        title=f"Mailbox payload{named(login)} to {session.server_ip} port {session.server_port} is {WORDS[context.obfuscation or 'none']}, not encrypted",
        side=side, at=at,
        **columns(login, context.auth_type), evidence=evidence,
    )


def _web_finding(session: Session, facts: Facts) -> Finding:
    """MAPI over HTTP: its payloads are those of the same calls."""
    http = facts.http
    request = next(iter(of_services(facts, ("mapi-http",))), None)
    evidence = {"transport": "http", "obfuscation": http.obfuscation}
    if request is not None:
        evidence |= {name: value for name, value in (("host", request.host), ("path", request.path)) if value is not None}
    if http.mapi is not None:
        evidence |= _opened(http.mapi)
    login = request.login if request is not None else None
    where = server(session, request) if request is not None else session.server_ip
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence if http.mapi is not None and http.mapi.n_decoded else LESS_SURE[RULE.confidence], variant=http.obfuscation,
        title=f"Mailbox payload{named(login)} to {where} over MAPI over HTTP is {WORDS[http.obfuscation]}, not encrypted",
        side=CLIENT, at=request.at if request is not None else 0, **columns(login, None), evidence=evidence,
    )


def _opened(mapi: MapiFacts) -> dict[str, Any]:
    """What the payloads showed."""
    return {
        "header_ext_flags": f"0x{mapi.flags:04x}", "n_header_ext": mapi.n_header_ext, "n_decoded": mapi.n_decoded, "decoded_bytes": mapi.decoded_bytes,
        "rops": dict(list(mapi.rop_names.items())[:MAX_SHOWN]),
    }
