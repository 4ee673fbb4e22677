"""PS310: a capability list shows signs that a line was taken out or changed.

What
    The list lacks the offer and is not as servers write it (variant): two lists of one connection differ by the offer alone (offer-withdrawn,
    offer-appeared); a line or gap of blanks in which the offer has room (padded-line); further keyword lines behind the last one (lines-after-end); the last
    line never came, and both sides waited (unfinished); a word of the offer's length stands twice (repeated-word); an empty line or two blanks in a row
    (empty-line).

Why
    A middlebox that takes STARTTLS out of a list leaves such traces when it does so carelessly. The client believes that TLS is not to be had.

Evidence
    sign: what is wrong with the list.
    detail: more about it: how many blanks, or what came in place of the last line.
    capabilities: the list as it arrived, at most 40 entries.
    other_signs: further signs in the lists of this connection.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - the offer stands in the list, unless another list of the connection lacks it;
    - bytes of the server are missing, or of the client where its commands matter: not_observable;
    - nothing came behind an unfinished list, and the conversation ended within five seconds: not_observable;
    - the second list came after a login, a request for STARTTLS, or XCLIENT.
    A repeated word or an empty line alone is low: careless servers write such lists.

References
    RFC 5321 §4.2.1
    Cisco ASA, ESMTP inspection: STARTTLS indication removed
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Note, Session
from ..innocence import CARELESS_SERVER, LOST, OWN_FIREWALL, POLICY, SCANNER, causes
from ..offers import OFFER
from ..rule import LOWER, MAIL, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS310", slug="offer-dropped-line", title="Capability reply shows signs of a deleted or edited line", severity="medium", confidence="low",
    category="stripping", scope="session", protocols=MAIL, needs=(SERVER,),
    remediation="Ask the server for its list from another network; where STARTTLS stands there, find the middlebox on this path, and require TLS.",
    references=("RFC 5321 §4.2.1", "Cisco ASA, ESMTP inspection: STARTTLS indication removed"),
)
MAX_SHOWN = 40
PATIENCE_NS = 5 * 10**9  # a scanner that leaves in mid-list is gone sooner
SIGNS = {  # the stronger first: what it says of the list
    "offer-withdrawn": "the offer stood in one list and is missing in the next", "offer-appeared": "the offer is missing in one list and stands in the next",
    "padded-line": "blanks where a keyword may have stood", "lines-after-end": "keywords behind the line that ends the list",
    "unfinished": "the line that ends the list never came", "repeated-word": "a word of the offer's length stands twice", "empty-line": "an empty entry",
}
SURER = frozenset(("offer-withdrawn", "offer-appeared", "padded-line"))
OF_TWO = frozenset(("offer-withdrawn", "offer-appeared"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    notes = facts.oddities.list_notes if facts.oddities is not None else ()
    if facts.starttls_offered:
        notes = [note for note in notes if note.code in OF_TWO]
    if not notes:
        return PASS if facts.capabilities_complete else not_observable(session.unseen_server or "no_capability_list")
    note = min(notes, key=lambda one: tuple(SIGNS).index(one.code))
    unseen = session.unseen_server or (session.unseen_client if note.code in OF_TWO or note.code == "lines-after-end" else None)
    if unseen is not None:
        return not_observable(unseen)
    if note.code == "unfinished" and not _waited(session, note):
        return not_observable("unfinished")
    weak = note.code in ("repeated-word", "empty-line")
    return Finding(
        rule=RULE, severity=LOWER[RULE.severity] if weak else RULE.severity, severity_reason="careless servers write such lists" if weak else "",
        confidence="medium" if note.code in SURER else RULE.confidence, variant=note.code, side=SERVER, at=note.at,
        title=f"The list of {session.server_ip} port {session.server_port} looks as if a middlebox had taken {OFFER[session.protocol]} out: {SIGNS[note.code]}",
        evidence={"sign": SIGNS[note.code], "detail": note.detail, "capabilities": list(facts.capabilities[:MAX_SHOWN]) if facts.capabilities is not None else [],
                  "other_signs": sorted({one.code for one in notes} - {note.code}),
                  **causes((LOST, True), (CARELESS_SERVER, note.code in OF_TWO), (POLICY, True), (OWN_FIREWALL, False), (SCANNER, False))},
    )


def _waited(session: Session, note: Note) -> bool:
    """Whether the conversation went on, or both sides waited, after the last line that came."""
    if note.detail:
        return True
    if not session.finished or session.locate is None:
        return False
    return session.end_ns - session.locate(SERVER, note.at)[2] >= PATIENCE_NS
