"""Make captures that try to fill tables.

    python benchmarks/make_flood.py syn OUT.pcap --flows 5000000      SYNs from invented addresses to mail ports, and a few real mail conversations among them
    python benchmarks/make_flood.py idle OUT.pcap --flows 1000000     mail connections that are opened and never closed

An idle connection is a handshake and a greeting, in a tenth of them EHLO and its reply too.

Both in constant memory, with OUT.json as make_capture.py writes it (without digests in idle). Nothing is lost, doubled or reordered.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_capture import mail_scripts  # noqa: E402
from traffic.engine import Player, Rates  # noqa: E402
from traffic.library import Library  # noqa: E402
from traffic.script import MS, USER, Pool, Script  # noqa: E402
from traffic.tls_bytes import tls_region  # noqa: E402
from traffic.truth import Truth  # noqa: E402

RATES = Rates(lost=0, duplicated=0, reordered=0)
BYTES_PER_S = 20e6
GREETINGS = ((60, "smtp", 25, b"220 mx1.example.net ESMTP Postfix\r\n"), (25, "imap", 143, b"* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n"),
             (15, "pop3", 110, b"+OK Dovecot ready.\r\n"))


def syn_flood(flows: int, n_mail: int, seed: int) -> tuple[Library, np.ndarray]:
    """SYNs to four ports, and mail in its usual mix."""
    rng, pool = np.random.default_rng([seed, 1]), Pool()
    scripts, weights = mail_scripts(pool, rng, tls_region(rng, pool), 100, 100_000)
    floods = []
    for port in (25, 587, 143, 993):
        script = Script(pool, "syn-flood", port)
        script.start, script.clients, script.servers = "syn", "internet", "mail"
        floods.append(script)
    share = n_mail / (flows + n_mail)
    all_weights = [weight * share / sum(weights) for weight in weights] + [(1 - share) / len(floods)] * len(floods)
    return Library(scripts + floods, pool, RATES.v6), np.array(all_weights)


def idle_connections(seed: int) -> tuple[Library, np.ndarray]:
    """Greeted and left alone; one in ten SMTP clients says EHLO first."""
    pool, scripts, weights = Pool(), [], []
    for share, protocol, port, greeting in GREETINGS:
        for talks in (False, True) if protocol == "smtp" else (False,):
            script = Script(pool, f"idle-{protocol}" + ("-ehlo" if talks else ""), port, protocol)
            script.servers, script.clients, script.ending = "mail", "internet", "open"
            script.server(greeting, think_ns=5 * MS)
            if talks:
                script.client(b"EHLO host-", USER, b".example.com\r\n", think_ns=5 * MS)
                script.server(b"250-mx1.example.net\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n")
            scripts.append(script)
            weights.append(10 if talks else share - 10 if protocol == "smtp" else share)
    return Library(scripts, pool, RATES.v6), np.array(weights, dtype=float)


def make(kind: str, path: Path, flows: int, seed: int = 1, n_mail: int = 300) -> dict:
    """Write the capture and its truth; returns the truth."""
    begun = time.perf_counter()
    library, weights = syn_flood(flows, n_mail, seed) if kind == "syn" else idle_connections(seed)
    most = flows + n_mail if kind == "syn" else flows
    player = Player(library, weights, 1 << 60, seed, RATES, rate=BYTES_PER_S, spoofed=kind == "syn", most=most)
    with open(path, "wb", buffering=0) as out, open(path.with_name(path.stem + ".gapped.jsonl"), "w") as gapped:
        truth = Truth(library, gapped, digests=kind == "syn")
        player.run(out, truth)
    summary = truth.summary(player, path, kind=f"{kind} flood", seed=seed)
    path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    summary["seconds"] = time.perf_counter() - begun
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description="Make captures that try to fill tables.")
    parser.add_argument("kind", choices=("syn", "idle"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--flows", type=int, help="default 5,000,000 SYNs or 1,000,000 idle connections")
    parser.add_argument("--mail", type=int, default=300, help="mail conversations among the SYNs, about")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    summary = make(given.kind, given.out, given.flows or (5_000_000 if given.kind == "syn" else 1_000_000), given.seed, given.mail)
    print(f"{given.out}: {summary['bytes']:,} bytes, {summary['frames']:,} frames, {summary['flows']['by_kind']}; {summary['seconds']:.1f} s")


if __name__ == "__main__":
    main()
