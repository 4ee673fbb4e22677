"""No output holds a secret unless it was asked for: every output of every sample is searched for all secrets of that sample, in each form they may take."""
from __future__ import annotations

import base64
import json
import pathlib

import pytest
from samples import SAMPLES, Sample, analysed

from pcapsec.cli.main import run
from pcapsec.kernels import jit

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
FORMATS = ("csv", "jsonl", "parquet")
MIN_CHUNK = 8  # characters of base64 that are searched for: shorter ones turn up by chance


def known_secrets(sample: Sample) -> set[bytes]:
    """Passwords and tokens that the recording used, and what the tables say when asked: responses to challenges are secrets too."""
    revealed = analysed(sample, reveal_secrets=True).credentials
    found = {str(value).encode("utf-8", "surrogateescape") for value in revealed["secret"].dropna()} if "secret" in revealed else set()
    return {secret for secret in found | {text.encode() for text in sample.secrets} if secret}


def forms(secret: bytes) -> set[bytes]:
    """A secret in plain, hexadecimal, base64 at each of the three alignments (as inside SASL PLAIN), quoted, and percent-encoded."""
    said = {secret, secret.hex().encode(), secret.hex().upper().encode(), json.dumps(secret.decode("utf-8", "replace"))[1:-1].encode(), secret.replace(b" ", b"%20"),
            secret.replace(b'"', b'""'), secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"')}
    for lead in range(3):
        whole = base64.b64encode(b"\0" * lead + secret)
        begin = (lead * 8 + 5) // 6  # the first characters also hold bits of what stands before
        end = (lead + len(secret)) * 8 // 6  # and the last ones of what follows
        for text in (whole[begin:end], whole[begin:end].translate(bytes.maketrans(b"+/", b"-_"))):
            if len(text) >= MIN_CHUNK:
                said.add(text)
    return said


def leaks(data: bytes, secrets: set[bytes]) -> list[bytes]:
    return [secret for secret in secrets if any(form in data for form in forms(secret))]


def outputs(folder: pathlib.Path) -> dict[str, bytes]:
    """What lies in a folder of tables; Parquet as the text of its rows too, for it compresses."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                import pyarrow.parquet
                data += json.dumps(pyarrow.parquet.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
            found[path.name] = data
    return found


@pytest.fixture
def analyze(capfd):
    """Run `pcapsec analyze`; returns what it wrote to stdout and stderr."""
    def command(*words: str) -> bytes:
        code = run(["analyze", *words])
        out, err = capfd.readouterr()
        assert code == 0, err
        return (out + err).encode()
    return command


@each_sample
def test_no_output_holds_a_secret(sample: Sample, tmp_path: pathlib.Path, analyze):
    said: dict[str, bytes] = {}
    for shape in FORMATS:
        said[f"terminal with {shape}"] = analyze(*sample.paths, "-o", str(tmp_path / shape), "--format", shape, "--assessments", "full")
        said |= {f"{shape}/{name}": data for name, data in outputs(tmp_path / shape).items()}
    said["terminal"] = analyze(*sample.paths)
    said["--csv -"] = analyze(*sample.paths, "--csv", "-")
    result = analysed(sample)
    said["Python"] = repr(result).encode() + b"".join(repr(getattr(result, name).to_dict("records")).encode() for name in ("findings", "sessions", "credentials", "messages", "anomalies"))
    secrets = known_secrets(sample)
    assert {name: found for name, data in said.items() if (found := leaks(data, secrets))} == {}


@each_sample
@pytest.mark.parametrize("shape", FORMATS)
def test_asked_for_they_are_there(sample: Sample, shape: str, tmp_path: pathlib.Path, analyze):
    """The search above can find: with --reveal-secrets the table of credentials, and it alone, holds what was readable."""
    table = analysed(sample, reveal_secrets=True).credentials
    readable = {str(value).encode("utf-8", "surrogateescape") for value in table.loc[table["exposure"].isin(["password", "token"]), "secret"]}
    said = {"terminal": analyze(*sample.paths, "-o", str(tmp_path), "--format", shape, "--reveal-secrets")} | outputs(tmp_path)
    assert set(leaks(said.pop(f"credentials.{shape}"), readable)) == readable
    assert {name: found for name, data in said.items() if (found := leaks(data, readable))} == {}


def test_the_search_knows_each_form():
    secret = b"Tr0ub4dor-and-3"
    for carrier in (secret, secret.hex().encode(), base64.b64encode(b"\0alice\0" + secret), base64.b64encode(b"\0alice@example.org\0" + secret), base64.b64encode(secret),
                    base64.b64encode(b"\0bob\0" + secret + b"\0more")):
        assert leaks(b"... " + carrier + b" ...", {secret}) == [secret], carrier
    assert leaks(b"nothing here", {secret}) == []


def test_no_secret_in_the_cache_of_compiled_code():
    analysed(SAMPLES[0])
    secrets = {text.encode() for sample in SAMPLES for text in sample.secrets if len(text) >= MIN_CHUNK}
    files = [path for path in pathlib.Path(jit.FOLDER).rglob("*") if path.is_file()]
    assert files
    assert {path.name: found for path in files if (found := leaks(path.read_bytes(), secrets))} == {}
