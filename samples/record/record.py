#!/usr/bin/env python3
"""Record the samples from real programs in network namespaces: `record.py [-o FOLDER] [NAME...]`.

Without names all samples are recorded into samples/, and samples.csv and the table in samples/README.md are written anew. Needs root, a Debian machine and the programs
named in samples/README.md. Everything it starts lives in namespaces of its own and ends with it.
"""
from __future__ import annotations

import argparse
import csv
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import scenarios
import scenarios_dns
import scenarios_domain
import scenarios_ipsec
import scenarios_keys
import scenarios_letters
import scenarios_rpc
import scenarios_stripping
import scenarios_tls
import scenarios_twins
import scenarios_web
from net import Lab, RecordingError

COLUMNS = ["file", "about", "software", "sessions", "logins", "messages", "findings", "rpc", "http", "tls", "secrets"]
SAMPLES = scenarios.SAMPLES + scenarios_rpc.SAMPLES + scenarios_domain.SAMPLES + scenarios_web.SAMPLES + scenarios_tls.SAMPLES + scenarios_keys.SAMPLES + scenarios_letters.SAMPLES + scenarios_stripping.SAMPLES + scenarios_twins.SAMPLES + scenarios_dns.SAMPLES + scenarios_ipsec.SAMPLES
SERVERS = scenarios.SERVERS | scenarios_rpc.SERVERS | scenarios_domain.SERVERS | scenarios_web.SERVERS | scenarios_tls.SERVERS | scenarios_keys.SERVERS | scenarios_letters.SERVERS | scenarios_stripping.SERVERS | scenarios_twins.SERVERS | scenarios_dns.SERVERS | scenarios_ipsec.SERVERS
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def record(names: list[str], folder: pathlib.Path) -> list[scenarios.Sample]:
    """Record samples, sharing the servers among them."""
    chosen = [sample for sample in SAMPLES if not names or sample.file in names or sample.file.split(".")[0] in names]
    if names and len(chosen) < len(names):
        raise RecordingError("no such sample among " + ", ".join(sample.file for sample in SAMPLES))
    work = pathlib.Path(tempfile.mkdtemp(prefix="pcapsec-record-"))
    work.chmod(0o755)
    (work / "letter.txt").write_text(scenarios.LETTER)
    folder.mkdir(parents=True, exist_ok=True)
    running = set()
    try:
        with Lab(work) as lab:
            lab.forward()
            for sample in chosen:
                for name in sample.servers:
                    if name == "mail" and "mail" not in running and all(s.file in scenarios.QUICK for s in chosen):
                        name = "mailboxes"  # Dovecot alone will do
                    if name not in running:
                        running.add(name)
                        SERVERS[name](lab)
                sample.make(lab, folder)
                print(sample.file, sum((folder / name).stat().st_size for name in sample.file.split()), "bytes", flush=True)
    except Exception:
        for log in sorted(work.glob("*log")) + sorted(work.glob("*/log")) + sorted(work.glob("*/log/*")):
            if log.is_file():
                print(f"--- {log.relative_to(work)}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(work)
    return chosen


def describe(folder: pathlib.Path) -> None:
    """Write samples.csv and the table of README.md."""
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for sample in SAMPLES:
            lists = [sample.sessions, sample.logins, sample.messages, sorted(sample.findings.split()), sample.rpc, sample.http, sample.tls, sample.secrets]
            table.writerow([sample.file, sample.about, sample.software, *(json.dumps(value, ensure_ascii=False) for value in lists)])
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    rows = ["| file | what is in it | recorded from | secrets in it |", "| --- | --- | --- | --- |"]
    for sample in SAMPLES:
        secrets = "<br>".join(f"`{secret if len(secret) < 40 else secret[:12] + '…'}`" for secret in sample.secrets)
        rows.append(f"| {'<br>'.join(sample.file.split())} | {sample.about} | {sample.software} | {secrets} |")
    head, _, rest = text.partition(BEGIN)
    readme.write_text(head + BEGIN + "\n" + "\n".join(rows) + "\n" + END + rest.partition(END)[2], encoding="utf-8")


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("-o", "--output", type=pathlib.Path, help="folder for the captures")
    ask.add_argument("--describe", action="store_true", help="only write samples.csv and the table")
    ask.add_argument("names", nargs="*", help="samples, with or without ending")
    ask = ask.parse_args()
    home = pathlib.Path(__file__).parent.parent
    try:
        if not ask.describe:
            record(ask.names, ask.output or home)
    except RecordingError as error:
        print(f"record.py: {error}", file=sys.stderr)
        return 1
    if ask.output is None and not ask.names:
        describe(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
