"""Samples of DCE/RPC between a mail client and an Exchange-like server: each level, each kind of NTLM key, each obfuscation; see `scenarios` for what the fields mean."""
from __future__ import annotations

import subprocess

import exchange_stubs as stubs
import servers
from net import DEBIAN_PYTHON, HERE, SERVER, Lab, RecordingError
from scenarios import Sample, Step, midstream

IMPACKET = "impacket 0.10.0"
A = servers.ACCOUNTS["alice"]
WRONG = "autumn-leaves-1"


def rpc(name: str, *words: str) -> Step:
    return Step([DEBIAN_PYTHON, str(HERE / "rpc_clients.py"), name, SERVER, *words])


def need_module(*modules: str) -> None:
    for module in modules:
        if subprocess.run([DEBIAN_PYTHON, "-c", f"import {module}"], capture_output=True).returncode:
            raise RecordingError(f"not installed: python3-{module}")


def exchange(lab: Lab) -> None:
    """The DCE/RPC server of `exchange.py`."""
    need_module("impacket")
    lab.start("server", DEBIAN_PYTHON, str(HERE / "exchange.py"), SERVER)
    for port in (135, 593, 6001, 49701, 49702, 49703, 49704):
        lab.wait_for_port(SERVER, port)


def pipes(lab: Lab) -> None:
    """The same behind a named pipe."""
    lab.start("server", DEBIAN_PYTHON, str(HERE / "pipes.py"), SERVER)
    lab.wait_for_port(SERVER, 445)


SERVERS = {"exchange": exchange, "pipes": pipes}
MAPI, MAPPER = "dcerpc mapi none - full", "dcerpc epmapper none - full"
LOGIN, UNUSED = "NTLM alice guessable success", "NTLM alice guessable unknown"  # no call uses the second: nothing says whether it was taken


def context(interface: str, auth: str = "-", level: object = "-", requests: int = 0, ntlm: str = "- -", etypes: str = "- -", payload: str = "- -", transport: str = "tcp") -> str:
    """An entry of `rpc`; `ntlm`: version and key bits, `etypes`: of ticket and authenticator, `payload`: obfuscation and the client's version."""
    return f"{transport} {interface} {auth} {level} {requests} {ntlm} {etypes} {payload}"


def mailbox(name: str, about: str, *steps: Step, **facts) -> Sample:
    return Sample(f"rpc-{name}.pcap", about, IMPACKET, list(steps), **{"secrets": [A, stubs.SUBJECT], "servers": ("exchange",)} | facts)


SAMPLES = [
    mailbox("mapi-none", "A mailbox session without authentication", rpc("mapi", "nobody", "1", "plain"), secrets=[stubs.SUBJECT],
            sessions=[MAPI], findings="PS501 PS502 PS503 PS516", rpc=[context("EMSMDB", "-", 1, 5, payload="none 15.0.4420.1017")]),
    mailbox("mapi-connect", "The endpoint mapper asked, then a mailbox session bound with NTLM at level connect: calls without trailers, payloads as they are",
            rpc("mapped", "alice", "2"),
            sessions=[MAPPER, MAPI], logins=[LOGIN], findings="PS106 PS120 PS502 PS503 PS514 PS516",
            rpc=[context("EPM", "-", 1, 1), context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="none 15.0.4420.1017")]),
    mailbox("mapi-levels", "Mailbox sessions at levels call, packet and integrity: compressed, XORed, both", *(rpc("mapi",
            "alice", level, how) for level, how in (("3", "compressed"), ("4", "xor"), ("5", "both"))),
            sessions=[MAPI] * 3, logins=[LOGIN] * 3, findings="PS106 PS120 PS502 PS503 PS510 PS516",
            rpc=[context("EMSMDB", "NTLM", 3, 5, "NTLMv2 128", payload="compressed 15.0.4420.1017"), context("EMSMDB", "NTLM", 4, 5,
            "NTLMv2 128", payload="xor 15.0.4420.1017"), context("EMSMDB", "NTLM", 5, 5, "NTLMv2 128", payload="both 15.0.4420.1017")]),
    mailbox("mapi-privacy", "A mailbox session at level privacy, 128 bit, NTLMv2", rpc("mapi", "alice", "6", "xor"),
            sessions=[MAPI], logins=[LOGIN], findings="PS106 PS120 PS504 PS510", rpc=[context("EMSMDB", "NTLM", 6, 5, "NTLMv2 128")]),
    mailbox("mapi-fragments", "Requests in fragments, at level connect and at level privacy", rpc("mapi", "alice", "2", "xor", "fragments"), rpc("mapi", "alice",
            "6", "xor", "fragments"),
            sessions=[MAPI] * 2, logins=[LOGIN] * 2, findings="PS106 PS120 PS502 PS503 PS504 PS510 PS516",
            rpc=[context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="xor 15.0.4420.1017"), context("EMSMDB", "NTLM", 6, 5, "NTLMv2 128")]),
    mailbox("mapi-outlook-2003", "A client of version 11 at level connect", rpc("mapi", "alice", "2", "old", "compressed"),
            sessions=[MAPI], logins=[LOGIN], findings="PS106 PS120 PS502 PS503 PS516 PS517",
            rpc=[context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="compressed 11.0.8161.8000")]),
    mailbox("mapi-keys", "Level privacy with NTLM keys of 56 and of 40 bit", rpc("mapi", "alice", "6", "56"), rpc("mapi", "alice", "6", "40"),
            sessions=[MAPI] * 2, logins=[LOGIN] * 2, findings="PS106 PS120 PS505 PS510",
            rpc=[context("EMSMDB", "NTLM", 6, 5, "NTLMv2 56"), context("EMSMDB", "NTLM", 6, 5, "NTLMv2 40")]),
    mailbox("mapi-bare-keys", "Level privacy where NTLM agreed on no extended session security, on no key exchange, on neither signing nor sealing",
            *(rpc("mapi", "alice", "6", keys) for keys in ("no-ess", "no-exchange", "no-seal")),
            sessions=[MAPI] * 3, logins=[LOGIN] * 3, findings="PS106 PS120 PS504 PS505 PS506 PS510",
            rpc=[context("EMSMDB", "NTLM", 6, 5, "NTLMv2 56"), context("EMSMDB", "NTLM", 6, 5, "NTLMv2 128"), context("EMSMDB", "NTLM", 6, 5, "NTLMv2 -")]),
    mailbox("mapi-ntlmv1", "Level privacy with NTLMv1: with and without extended session security", rpc("mapi", "alice", "6", "v1"), rpc("mapi", "alice", "6",
            "v1", "no-ess"),
            sessions=[MAPI] * 2, logins=[LOGIN] * 2, findings="PS106 PS107 PS120 PS504 PS505 PS506 PS510",
            rpc=[context("EMSMDB", "NTLM", 6, 5, "NTLMv1 128"), context("EMSMDB", "NTLM", 6, 5, "NTLMv1 56")]),
    mailbox("mapi-anonymous", "Level integrity with an anonymous NTLM login", rpc("mapi", "nobody", "5"), secrets=[stubs.SUBJECT],
            sessions=[MAPI], logins=["NTLM - none success"], findings="PS118 PS120 PS502 PS503 PS508 PS510 PS516",
            rpc=[context("EMSMDB", "NTLM", 5, 5, "anonymous 128", payload="none 15.0.4420.1017")]),
    mailbox("mapi-raised", "Bound without protection, and at level connect; alter_context raises both to privacy before any call", rpc("upgraded", "alice", "1"),
            rpc("upgraded", "alice", "2"),
            sessions=[MAPI] * 2, logins=[LOGIN, UNUSED, LOGIN], findings="PS106 PS120 PS504 PS510",
            rpc=[context("EMSMDB"), context("EMSMDB", "NTLM", 6, 5, "NTLMv2 128"), context("EMSMDB", ntlm="NTLMv2 128"), context("EMSMDB", "NTLM", 6, 5,
            "NTLMv2 128")]),
    mailbox("mapi-lowered", "Bound at level privacy, but the calls go without: after an alter_context at level connect, and just so", rpc("lowered", "alice", "2"),
            rpc("lowered", "alice", "1"),
            sessions=[MAPI] * 2, logins=[UNUSED, LOGIN, UNUSED], findings="PS106 PS120 PS502 PS503 PS516",
            rpc=[context("EMSMDB", ntlm="NTLMv2 128"), context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="xor 15.0.4420.1017"), context("EMSMDB", "-", 1, 5,
            "NTLMv2 128", payload="xor 15.0.4420.1017")]),
    mailbox("mapi-not-encrypted", "The server refuses a mailbox at level connect (ecNotEncrypted); the client comes back at level privacy",
            rpc("refused_then_encrypted", "alice"),
            sessions=[MAPI] * 2, logins=[LOGIN] * 2, findings="PS106 PS120 PS502 PS504 PS510 PS511 PS516",
            rpc=[context("EMSMDB", "NTLM", 2, 1, "NTLMv2 128", payload="- 15.0.4420.1017"), context("EMSMDB", "NTLM", 6, 5, "NTLMv2 128")]),
    mailbox("directory-connect", "NSPI and RFR at level connect", rpc("directory", "alice", "2"),
            sessions=["dcerpc nspi none - full", "dcerpc rfr none - full"], logins=[LOGIN] * 2, findings="PS106 PS120 PS502 PS516",
            rpc=[context("NSPI", "NTLM", 2, 2, "NTLMv2 128"), context("RFR", "NTLM", 2, 1, "NTLMv2 128")]),
    mailbox("directory-privacy", "NSPI and RFR at level privacy", rpc("directory", "alice", "6"),
            sessions=["dcerpc nspi none - full", "dcerpc rfr none - full"], logins=[LOGIN] * 2, findings="PS106 PS120 PS504 PS510",
            rpc=[context("NSPI", "NTLM", 6, 2, "NTLMv2 128"), context("RFR", "NTLM", 6, 1, "NTLMv2 128")]),
    mailbox("denied", "A wrong password (fault), a server that faults below level privacy, one that knows no authentication (bind_nak), an interface that nobody serves", rpc("denied", "alice"), secrets=[A, WRONG, stubs.SUBJECT],
            sessions=[MAPI] * 3 + ["dcerpc rpc none - full"], logins=["NTLM alice guessable failed"] * 2, findings="PS106 PS120 PS502 PS516 PS518",
            rpc=[context("EMSMDB", "NTLM", 6, 1, "NTLMv2 128"), context("EMSMDB", "NTLM", 2, 1, "NTLMv2 128", payload="- 15.0.4420.1017"), context("EMSMDB"),
            context("NETLOGON")]),
    mailbox("ncacn-http", "Port 593: the server greets with ncacn_http/1.0, then a mailbox session at level connect", rpc("greeted", "alice", "2", "593"),
            sessions=[MAPI], logins=[LOGIN], findings="PS106 PS120 PS502 PS503 PS512 PS516",
            rpc=[context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="xor 15.0.4420.1017", transport="http")]),
    mailbox("mapi-pipe", "A mailbox session at level connect over a named pipe of SMB 2", rpc("piped", "alice", "2"), filter="tcp port 445",
            servers=("exchange", "pipes"),
            sessions=["smb smb none - full"], logins=[LOGIN, LOGIN], findings="PS106 PS120 PS502 PS503 PS515 PS516",
            rpc=[context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="xor 15.0.4420.1017", transport="smb")]),
    mailbox("mapi-midstream", "The capture begins after the login at level connect", rpc("mapi", "alice", "2", "xor", "late"), record=midstream,
            sessions=["dcerpc mapi none - midstream"], findings="PS002 PS502 PS503 PS516", rpc=[context("EMSMDB", "-", 1, 5, payload="xor 15.0.4420.1017")]),
]
