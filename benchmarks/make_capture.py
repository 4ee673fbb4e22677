"""Make a capture of any size, and the truth about it.

    python benchmarks/make_capture.py KIND OUT.pcap --size 2G --seed 1

Writes OUT.pcap (classic pcap, Ethernet), OUT.json (how many of what was made) and OUT.gapped.jsonl (mail conversations that lost bytes, see
traffic/truth.py). The same kind, size, seed and options give the same bytes. Memory stays near 300 MB whatever the size.

mixed: 5 % of the bytes are mail as below. The rest, by bytes: HTTPS over TLS 1.3 48.6 % and 1.2 14 %, QUIC-like UDP 16 %, HTTP 9 %, SMB-like 6.9 %,
SSH 5 %, DNS 0.4 %, and FTP, Redis and IRC, which look like mail to the careless (traffic/bulk.py).

mail: mail alone. By conversations, in percent (traffic/mail.py):
    SMTP relay in clear, 1-2 messages                    20      IMAP LOGIN and FETCH in clear               8
    SMTP relay with STARTTLS                             20      IMAP STARTTLS                               3
    submission 587, AUTH PLAIN (4) or LOGIN (2) in clear  6      POP3 USER/PASS and RETR in clear            5
    submission 587 with STARTTLS                          8      POP3 STLS                                   2
    submissions 465, TLS from the start                   6      failed logins: SMTP 2, IMAP 1.5, POP3 1     4.5
    imaps 993 11, pop3s 995 4                            15      NNTP readers, half with AUTHINFO            2.5
Message sizes are log-normal, median 12 KB, mean about 32 KB, with text, HTML and base64 attachments; TLS carries messages of the same sizes.
Accounts, addresses, Message-IDs and passwords are different in every conversation.

rpc, rpc-alter, web, tls-same, tls-distinct, https: one kind of conversation alone (traffic/services.py): DCE/RPC connections of 50 calls; HTTP connections of ten
requests, 5 % of them mail services; TLS 1.2 handshakes with one certificate, or with another one each; long transfers over HTTPS.

All: 20 % IPv6; of the TCP segments 1 % come too late (behind one to three later frames of their conversation, within 1 ms), 0.2 % are missing though
the peer acknowledges them, 0.5 % are there twice within 1 ms. Handshakes, acknowledgements, timestamps and both FINs (or a reset) are there,
checksums are right. Arrivals make 1 Gbit/s on average; all conversations are played to their end, so the rate rises over the first second and falls
over the last ones.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Iterator

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sizes import size_in_bytes  # noqa: E402
from traffic import bulk, mail, message, services  # noqa: E402
from traffic.engine import Player, Rates  # noqa: E402
from traffic.library import Library  # noqa: E402
from traffic.script import Pool, Script  # noqa: E402
from traffic.tls_bytes import tls_region  # noqa: E402
from traffic.truth import Truth  # noqa: E402

FULL_LIBRARY_BYTES = 256 << 20
MAIL_SHARE = 0.05  # of the bytes of a mixed capture


def endless_sizes(rng: np.random.Generator, n: int, ceiling: int) -> Iterator[int]:
    """Message sizes in random order; each round of `n` has the right distribution."""
    while True:
        yield from rng.permutation(message.sizes(n, ceiling)).tolist()


def mail_scripts(pool: Pool, rng: np.random.Generator, region, count: int, ceiling: int) -> tuple[list[Script], list[float]]:
    """About `count` scripts in the shares of mail.MIX, and how often each is started."""
    scripts, weights = [], []
    sizes = endless_sizes(rng, max(count // 25, 10), ceiling)
    mailer = mail.Mailer(pool, rng, region, sizes)
    for share, write in mail.MIX:
        n = max(int(count * share / 100), 4)
        scripts += [write(mailer) for _n in range(n)]
        weights += [share / 100 / n] * n
    return scripts, weights


def build(kind: str, size: int, seed: int, rates: Rates) -> tuple[Library, np.ndarray]:
    """Scripts and their weights.

    From 256 MB on the same for every size, so that a GB costs the same in each. A smaller capture has fewer scripts and smaller transfers, so that
    one of them does not fill it.
    """
    rng = np.random.default_rng([seed, 1])
    pool = Pool()
    region = tls_region(rng, pool)
    size = min(size, FULL_LIBRARY_BYTES)
    if kind in services.KINDS:
        writer = services.ServiceWriter(pool, rng, region, ceiling=max(size // 8, 60_000))
        scripts, weights = [], []
        for share, write, count in services.KINDS[kind]:
            scripts += [write(writer) for _n in range(count)]
            weights += [share / count] * count
        return Library(scripts, pool, rates.v6), np.array(weights)
    mail_bytes = size if kind == "mail" else size * MAIL_SHARE
    scripts, weights = mail_scripts(pool, rng, region, int(min(max(mail_bytes / 200_000, 60), 1_000)), int(min(max(mail_bytes / 20, 20_000), 4 << 20)))
    n_mail = len(scripts)
    shares = []
    if kind == "mixed":
        writer = bulk.BulkWriter(pool, rng, bulk.Regions(pool, rng, region), ceiling=max(size // 40, 60_000))
        for share, write, count in bulk.MIX:
            scripts += [write(writer) for _n in range(count)]
            shares += [(share, count)]
    library = Library(scripts, pool, rates.v6)
    if kind == "mail":
        return library, np.array(weights)
    weights = np.array(weights)
    weights *= MAIL_SHARE / float(library.mean_bytes[:n_mail] @ weights)
    total, at, rest = sum(share for share, _count in shares), n_mail, []
    for share, count in shares:
        rest += [(1 - MAIL_SHARE) * share / total / float(library.mean_bytes[at:at + count].sum())] * count
        at += count
    return library, np.concatenate([weights, rest])


def make(kind: str, path: Path, size: int, seed: int = 1, nanoseconds: bool = False, rates: Rates = Rates(), listing: bool = False) -> dict:
    """Write the capture and its truth; returns the truth."""
    begun = time.perf_counter()
    library, weights = build(kind, size, seed, rates)
    player = Player(library, weights, size, seed, rates, nanoseconds)
    gapped_path = path.with_name(path.stem + ".gapped.jsonl")
    listing_path = path.with_name(path.stem + ".conversations.jsonl") if listing else os.devnull
    with open(path, "wb", buffering=0) as out, open(gapped_path, "w") as gapped, open(listing_path, "w") as listed:
        truth = Truth(library, gapped, listing=listed if listing else None)
        player.run(out, truth)
    summary = truth.summary(player, path, kind=kind, seed=seed, size_asked=size, nanoseconds=nanoseconds,
                            rates={"lost": rates.lost, "duplicated": rates.duplicated, "reordered": rates.reordered, "ipv6": rates.v6})
    path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    summary["seconds"] = time.perf_counter() - begun
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a capture of any size, and the truth about it.")
    parser.add_argument("kind", choices=("mixed", "mail", *services.KINDS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="100M", help="bytes, with K, M or G (powers of 1024)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nanoseconds", action="store_true", help="write a nanosecond pcap")
    parser.add_argument("--list", action="store_true", help="write every mail conversation and its facts to OUT.conversations.jsonl")
    given = parser.parse_args()
    summary = make(given.kind, given.out, size_in_bytes(given.size), given.seed, given.nanoseconds, listing=given.list)
    rate = summary["bytes"] / summary["seconds"] / 1e6
    print(f"{given.out}: {summary['bytes']:,} bytes, {summary['frames']:,} frames, {summary['flows']['total']:,} conversations "
          f"({summary['mail']['made']['conversations']['total']:,} mail), at most {summary['most_open_conversations']:,} open; "
          f"{summary['seconds']:.1f} s, {rate:.0f} MB/s")


if __name__ == "__main__":
    main()
