"""Words for the harmless causes of what looks like tampering: findings list those that the capture rules out and those that it leaves open."""
from __future__ import annotations

LOST = "bytes that the capture lacks"
OWN_FIREWALL = "a firewall of one's own that inspects mail (Cisco: ESMTP inspection)"
SCANNER = "a mail scanner on the client's host"
NO_TLS = "a server that has no TLS: it had offered it"
BUILT_WITHOUT = "a server that lists STARTTLS and was built or configured without it"
BROKEN_KEY = "a server whose certificate or key is broken"
LIMIT = "a limit on the server that was reached"
OTHER_KEYWORD = "another keyword of the same length was written over"
CARELESS_SERVER = "a server that writes its list in an unusual way"
BROKEN_CLIENT = "a client that does not keep to the protocol"
EAGER_CLIENT = "a client that does not wait for the answer"
TYPED = "somebody typing by hand"
SECURITY_TEST = "a test for this very weakness"
OLD_SERVER = "a server too old to know EHLO"
POLICY = "a server that treats this client differently from others"
DECRYPTED = "a capture that was decrypted in place, so that bytes inside TLS appear in clear"
HELLO_AHEAD = "a ClientHello sent ahead of the answer, which RFC 9051 allows"
MULTILINE = "further lines of the accepting answer"
LATER_LOGIN = "a login that came before"


def causes(*weighed: tuple[str, bool]) -> dict[str, list[str]]:
    """`ruled_out` and `not_ruled_out` of an evidence, from causes and whether each is ruled out."""
    return {"ruled_out": [cause for cause, is_out in weighed if is_out], "not_ruled_out": [cause for cause, is_out in weighed if not is_out]}
