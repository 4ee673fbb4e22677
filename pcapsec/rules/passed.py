"""What passed in clear in a conversation that a policy speaks of: mail, a login, a mailbox, a page. Looking around (EHLO, CAPABILITY, a recipient tried) is none of it."""
from __future__ import annotations

from typing import NamedTuple

from ..records import CLIENT, Facts, Login, Message
from .logins import is_anonymous_command
from .requests import MAIL_SERVICES, is_page_around

_ALWAYS_READABLE = frozenset(("password", "token"))  # also where a SASL layer covers what follows the login


class Passed(NamedTuple):
    """The first thing of its kind."""

    what: str  # message, login, mailbox, page
    side: int | None
    at: int | None


def passed(facts: Facts, messages: list[Message] | None = None) -> Passed | None:
    """What passed, the gravest first; None: nothing was seen.

    Args:
        messages: only these count; None: everything does.
    """
    for message in facts.messages if messages is None else messages:
        if message.has_content and message.size_bytes:
            return Passed("message", message.side, message.at)
    if messages is not None:
        return None
    for login in facts.logins:
        if _counts(login, facts):
            return Passed("login", CLIENT, login.at if login.secret_at is None else login.secret_at)
    if facts.n_mailbox_commands and not facts.sasl_wrapped:
        return Passed("mailbox", None if facts.first_clear_command_at is None else CLIENT, facts.first_clear_command_at)
    if facts.http is not None:
        for request in facts.http.requests:
            if request.service in MAIL_SERVICES and request.status == 200 and not is_page_around(request.path):
                return Passed("page", CLIENT, request.at)
    return None


def _counts(login: Login, facts: Facts) -> bool:
    return (login.exposure in _ALWAYS_READABLE or login.exposure != "none" and not facts.sasl_wrapped) and not is_anonymous_command(login)
