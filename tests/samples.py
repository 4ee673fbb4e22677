"""The recorded samples as tests see them: `samples/samples.csv` read, and each sample analysed once per run."""
from __future__ import annotations

import csv
import functools
import json
import pathlib
from dataclasses import dataclass

import pandas

import pcapsec
from pcapsec.rules.registry import all_rules

FOLDER = pathlib.Path(__file__).parent.parent / "samples"


@dataclass(frozen=True)
class Sample:
    """A row of samples.csv."""

    files: tuple[str, ...]  # more than one: files of one capture
    about: str
    software: str
    sessions: tuple[str, ...]
    logins: tuple[str, ...]
    messages: tuple[str, ...]
    findings: tuple[str, ...]
    rpc: tuple[str, ...]
    http: tuple[str, ...]
    tls: tuple[str, ...]
    secrets: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        return [str(FOLDER / name) for name in self.files]

    @property
    def name(self) -> str:
        return self.files[0]


def read() -> list[Sample]:
    with (FOLDER / "samples.csv").open(newline="", encoding="utf-8") as file:
        return [Sample(files=tuple(row["file"].split()), about=row["about"], software=row["software"],
                       **{name: tuple(json.loads(row[name])) for name in ("sessions", "logins", "messages", "findings", "rpc", "http", "tls", "secrets")}) for row in csv.DictReader(file)]


SAMPLES = read()


def built(rule_ids: tuple[str, ...]) -> list[str]:
    """Those of the rules that exist; the others are named on the output, so that none is left out in silence."""
    rules = all_rules()
    for rule_id in rule_ids:
        if rule_id not in rules:
            print(f"not built yet: {rule_id}")
    return [rule_id for rule_id in rule_ids if rule_id in rules]


@functools.cache
def analysed(sample: Sample, reveal_secrets: bool = False) -> pcapsec.Result:
    return pcapsec.analyze(sample.paths, reveal_secrets=reveal_secrets)


def words(*values: object) -> str:
    """Values as samples.csv writes them: lists with commas, `-` for unknown."""
    def word(value: object) -> str:
        if isinstance(value, (list, tuple)):
            return ",".join(map(str, value)) or "-"
        return "-" if value is None or pandas.isna(value) or value == "" else str(value)
    return " ".join(map(word, values))


def rows(frame: pandas.DataFrame, *columns: str) -> list[str]:
    return [words(*row) for row in frame[list(columns)].itertuples(index=False, name=None)]


TLS_FACTS = {  # name in samples.csv -> column of table `tls`
    "group": "group", "dh_bits": "dh_bits", "signature": "signature_scheme", "compression": "compression", "ems": "extended_master_secret", "etm": "encrypt_then_mac",
    "secure_renegotiation": "secure_renegotiation", "sentinel": "downgrade_sentinel", "retry": "hello_retry", "early_data": "early_data", "sni": "sni", "alpn": "alpn",
    "resumed": "resumption", "established": "established", "alerts": "alerts", "subject": "subject", "key": "key_type", "bits": "key_bits", "signed": "signature_algorithm",
    "chain": "chain_length", "name_matches": "name_matches", "client_certificate": "client_certificate", "client_subject": "client_subject",
}
USUAL = {"compression": "null", "retry": "no", "early_data": "no"}  # left out


def handshakes(frame: pandas.DataFrame) -> list[str]:
    """Rows of table `tls` as samples.csv writes them: version, suite, then `name=value` of what is known and not usual."""
    found = []
    for _, row in frame.iterrows():
        facts = [words(row["version"], row["cipher_suite"])]
        for name, column in TLS_FACTS.items():
            value = words(row[column])
            value = {"True": "yes", "False": "no"}.get(value, value)
            if value not in ("-", USUAL.get(name)):
                facts.append(f"{name}={value}".replace(" ", "_"))
        found.append(" ".join(facts))
    return found
