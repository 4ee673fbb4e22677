"""Sessions that carry RPC, judged whole."""
from __future__ import annotations

import pytest

from rpc_sessions import association, facts_of


@pytest.fixture
def rpc(session):
    """`rpc(context, …)`: a DCE/RPC session of one association; other arguments go to session, facts, or (as `association=`) to the association."""

    def make(*contexts, logins=None, protocol="dcerpc", **fields):
        whole = association(*contexts, **fields.pop("association", {}))
        return session(protocol, **{"server_port": 6001, **facts_of(whole, logins=logins), **fields})

    return make


@pytest.fixture
def shown(court):
    """The finding of a rule as one comparable dict."""

    def show(judged, rule_id):
        return as_dict(court.finding(judged, rule_id))

    return show


def as_dict(finding):
    names = ("severity", "severity_reason", "confidence", "variant", "title", "side", "at", "principal", "mechanism", "auth_result", "evidence")
    return {name: getattr(finding, name) for name in names}
