"""PS514: an endpoint mapper told at which ports Exchange's interfaces are.

What
    An answer of the endpoint mapper names EMSMDB, AsyncEMSMDB, NSPI or RFR with its address.

Why
    It is how clients find the server, and tells which later connections are mailbox traffic. Whoever can ask the mapper learns the same.

Evidence
    endpoints: interface, version, protocol, and port, pipe or address of each, at most 20.
    n_endpoints: how many there are.

Not a finding when
    - only interfaces of others were asked for;
    - the answer is lost: not_observable.

References
    [C706] App. L
"""
from __future__ import annotations

from typing import Any

from ...records import SERVER, Facts, Finding, RpcEndpoint, Session
from ..exchange import KINDS, MAX_SHOWN, unless_lost
from ..rule import NOT_APPLICABLE, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS514", slug="epm-mapi-endpoint", title="Endpoint mapper names Exchange RPC ports", severity="info", confidence="high",
    category="rpc", scope="session", protocols=RPC, needs=(SERVER,),
    remediation="Nothing to mend; let only those networks reach the endpoint mapper whose clients need it.",
    references=("[C706] App. L",),
)
MAPPER = "e1af8308-5d1f-11c9-91a4-08002b14a0fa"


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    found = [endpoint for association in facts.rpc or () for endpoint in association.endpoints if endpoint.interface_uuid in KINDS]
    if not found:
        asked = any(context.interface_uuid == MAPPER for association in facts.rpc or () for context in association.contexts)
        if asked:
            return unless_lost(session, facts, SERVER)
        return not_observable(session.unseen_server) if session.server_port == 135 and session.unseen_server is not None else NOT_APPLICABLE
    described = list({tuple(one.items()): one for one in map(_described, found)}.values())
    names = ", ".join(dict.fromkeys(one["interface"] for one in described))
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, title=f"Endpoint mapper of {session.server_ip} names the endpoints of {names}",
        side=SERVER, at=found[0].at, evidence={"endpoints": described[:MAX_SHOWN], "n_endpoints": len(described)},
    )


def _described(endpoint: RpcEndpoint) -> dict[str, Any]:
    name = endpoint.interface or KINDS[endpoint.interface_uuid].upper()
    shown: dict[str, Any] = {"interface": name, "version": endpoint.interface_version, "protocol": endpoint.protocol}
    for name in ("port", "address", "pipe"):
        value = getattr(endpoint, name)
        if value is not None:
            shown[name] = value
    return shown
