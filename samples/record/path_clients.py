"""What clients do in the recordings of boxes on the path where the clients of `clients.py` do not serve: `path_clients.py NAME ADDRESS PORT [WORD...]`."""
from __future__ import annotations

import sys

from clients import MAIL, NAME, Talk


def smtp_goes_on(host: str, port: int) -> None:
    """STARTTLS is accepted, but this client takes no notice and sends its message in clear."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"STARTTLS", b"220 ")
    talk.ask(b"MAIL FROM:<alice@example.org>", b"250 ")
    talk.ask(b"RCPT TO:<bob@example.org>", b"250 ")
    talk.ask(b"DATA", b"354 ")
    talk.ask(MAIL.format(id="went-on").encode() + b".", b"250 ")
    talk.ask(b"QUIT", b"221 ")


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
