"""What the name of a host says about the mail web service behind it. A guess: the name is chosen by people."""
from __future__ import annotations

SURE, LIKELY, PERHAPS = 0.9, 0.6, 0.4
_CLOUD = (  # ends of names of Microsoft's cloud, longest first
    ("mail.protection.outlook.com", "exchange-online"), ("protection.outlook.com", "exchange-online"), ("mail.microsoftonline.com", "exchange-online"),
    ("outlook.office365.com", "exchange-online"), ("outlook.office.com", "exchange-online"), ("outlook.com", "exchange-online"),
    ("outlook.de", "exchange-online"), ("partner.outlook.cn", "exchange-online"), ("office365.us", "exchange-online"),
)
_FIRST_LABEL = {
    "autodiscover": ("autodiscover", SURE), "owa": ("owa", LIKELY), "webmail": ("webmail", LIKELY), "exchange": ("exchange", LIKELY), "eas": ("activesync", LIKELY),
    "activesync": ("activesync", LIKELY), "ews": ("ews", LIKELY), "outlook": ("exchange", LIKELY), "mail": ("webmail", PERHAPS), "legacy": ("exchange", PERHAPS),
}
MAX_MEMO = 4096
_memo: dict[str, tuple[str, float] | None] = {}


def guess(name: str) -> tuple[str, float] | None:
    """(service, score) for a host name, None where it suggests no mail."""
    try:
        return _memo[name]
    except KeyError:
        pass
    if len(_memo) >= MAX_MEMO:
        _memo.clear()
    found = _memo[name] = _look_up(name.lower().rstrip(".").removeprefix("*."))
    return found


def _look_up(name: str) -> tuple[str, float] | None:
    for end, service in _CLOUD:
        if name == end or name.endswith("." + end):
            return ("autodiscover" if name.startswith("autodiscover") else service), SURE
    first, dot, rest = name.partition(".")
    return _FIRST_LABEL.get(first) if dot and rest else None
