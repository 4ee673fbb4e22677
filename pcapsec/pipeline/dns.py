"""Kept DNS answers to what the rules remember of them."""
from __future__ import annotations

from typing import Callable

from ..kernels import tables
from ..protocols.dns_answers import read_answer
from ..records import Sighting
from ..rules.dns_policy import Dns
from .session import address_text

MAX_READ = 32_768  # answers of a capture that are parsed, about 200 µs each; the kernels keep none that says what one before it said


class DnsReader:
    """Reads the answers of one capture.

    Args:
        dns: what remembers them.
        locate_frame: global frame number -> (capture, frame in it).
    """

    def __init__(self, dns: Dns, locate_frame: Callable[[int], tuple[str, int]]):
        self._dns, self._locate, self._n = dns, locate_frame, 0

    def take(self, answers: list[tuple[list[int], bytes]]) -> None:
        """Rows of the engine's datagrams, and payloads."""
        for row, payload in answers:
            self._n += 1
            if self._n > MAX_READ:
                self._dns.n_more += 1
                continue
            for answer in read_answer(payload):
                capture, frame = self._locate(row[tables.D_FRAME])
                self._dns.take(answer, Sighting(row[tables.D_NS], capture, frame, address_text(row[tables.D_DST0], row[tables.D_DST1]),
                                                address_text(row[tables.D_SRC0], row[tables.D_SRC1])))
