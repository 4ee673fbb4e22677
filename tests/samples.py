"""The recorded samples as tests see them: `samples/samples.csv` read, and each sample analysed once per run."""
from __future__ import annotations

import csv
import functools
import json
import pathlib
from dataclasses import dataclass

import pandas

import pcapsec

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
                       **{name: tuple(json.loads(row[name])) for name in ("sessions", "logins", "messages", "findings", "rpc", "http", "secrets")}) for row in csv.DictReader(file)]


SAMPLES = read()


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
