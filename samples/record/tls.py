"""TLS servers and clients for the recordings: Debian's OpenSSL and GnuTLS, OpenSSL 0.9.8e for what those no longer speak, and OpenSSL and aioquic from pip for what they do not speak yet.

A `Talk` is one server and what its clients say to it. Words of a command that begin with @ name a file of the recording: `@good.crt`, `@good.key`, `@good.chain`
(see `pki.KINDS`), `@modp1024.dh`, or one that a program makes; `$ADDRESS` and `$PORT` are the server's. The talks of a sample have servers of their own, so that none seems to change its key.
"""
from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field

import servers
from net import HERE, SERVER, TLS_SERVERS, Lab, RecordingError, need, run, stop
from pki import HOST, Authority
from scenarios import Sample

GROUP_2 = int(  # RFC 2409 §6.2: the 1024-bit prime that every old server brought along
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9"
    "A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF", 16)
WHEEL = ("psycopg2==2.7", "--python-version", "36", "--implementation", "cp", "--abi", "cp36m", "--platform", "manylinux1_x86_64")  # holds libssl and libcrypto of CentOS 5
WEAK = "@SECLEVEL=0"
PORT, EVERYWHERE = 993, 8993  # the second for servers that cannot be told one address: others have 993 on theirs


@dataclass
class Talk:
    """A server, and its clients one after another."""

    server: list[str]
    clients: list[list[str]]
    port: int = PORT
    address: str = ""  # empty: the sample chooses
    program: str = ""  # old_openssl or new_tls: whose folder the programs need
    udp: bool = False
    input: str = "a1 NOOP\r\n"  # what s_client and gnutls-cli send
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class TlsSample(Sample):
    """A capture of some talks."""

    talks: list[Talk] = field(default_factory=list)

    def play(self, lab: Lab) -> None:
        super().play(lab)
        for talk, address in zip(self.talks, TLS_SERVERS, strict=False):
            talk.address = talk.address or address
            play(lab, talk)


def play(lab: Lab, talk: Talk) -> None:
    environment = os.environ | talk.environment | (PROGRAMS[talk.program](lab) if talk.program else {})
    server = lab.start("server", *files(lab, talk, talk.server), env=environment, stdin=subprocess.PIPE, cwd=lab.work)
    lab.wait_for(lambda: listens(lab, talk) or server.poll() is not None, f"the server on {talk.address} port {talk.port}")
    if server.poll() is not None:
        raise RecordingError(f"{' '.join(talk.server)}: exit {server.returncode}\n" + (lab.work / "programs.log").read_text(errors="replace")[-1000:])
    for client in talk.clients:
        argv = files(lab, talk, client)
        if argv[0] in ("openssl", "gnutls-cli"):  # they end when their input does
            argv = ["sh", "-c", "{ sleep 0.3; printf %s \"$0\"; sleep 0.4; } | exec \"$@\"", talk.input, *argv]
        done = subprocess.run(lab.inside("client", *argv), capture_output=True, text=True, timeout=30, cwd=lab.work, env=environment, errors="replace")
        with (lab.work / "programs.log").open("a") as log:
            log.write(f"$ {' '.join(client)}: exit {done.returncode}\n{done.stdout[-500:]}{done.stderr[-500:]}")
    stop(server)
    lab.processes.remove(server)


def listens(lab: Lab, talk: Talk) -> bool:
    """Whether somebody listens on just this address, or on all: others may have the port on theirs."""
    number = socket.inet_aton(talk.address)[::-1].hex().upper()
    wanted = {f"{number}:{talk.port:04X}", f"{'0' * 8}:{talk.port:04X}"}
    lines = run(*lab.inside("server", "cat", f"/proc/net/{'udp' if talk.udp else 'tcp'}")).splitlines()[1:]
    return any(line.split()[1] in wanted and (talk.udp or line.split()[3] == "0A") for line in lines)


def files(lab: Lab, talk: Talk, words: list[str]) -> list[str]:
    pki = Authority(lab)
    words = [word.replace("$ADDRESS", talk.address).replace("$PORT", str(talk.port)) for word in words]
    return [word.partition("@")[0] + path_of(lab, pki, word.partition("@")[2]) if "@" in word and WEAK not in word else word for word in words]


def path_of(lab: Lab, pki: Authority, name: str) -> str:
    stem, _, kind = name.partition(".")
    if kind in ("crt", "key", "chain"):
        return {"crt": pki.certificate, "key": pki.key, "chain": pki.chain}[kind](stem)
    if kind in ("dh", "dhpem"):
        return parameters(pki.folder, stem, kind)
    if kind == "whole":  # all above it, its root too
        path = pki.folder / f"{stem}.whole"
        path.write_text(pathlib.Path(pki.chain(stem)).read_text() + pathlib.Path(pki.certificate("root")).read_text())
        return str(path)
    if kind == "all":  # certificate and all above it in one file
        path = pki.folder / f"{stem}.all"
        path.write_text(pathlib.Path(pki.certificate(stem)).read_text() + pathlib.Path(pki.chain(stem)).read_text())
        return str(path)
    return str(lab.work / name)


def parameters(folder: pathlib.Path, name: str, form: str) -> str:
    """Diffie-Hellman parameters (PKCS #3), `dh` in DER or `dhpem` in PEM: the well-known modp1024, else new ones of that many bits."""
    der, pem = folder / f"{name}.dh", folder / f"{name}.dhpem"
    if not der.exists():
        if name == "modp1024":
            prime = b"\0" + GROUP_2.to_bytes(128, "big")
            body = b"\x02\x81" + bytes([len(prime)]) + prime + b"\x02\x01\x02"
            der.write_bytes(b"\x30\x81" + bytes([len(body)]) + body)
        else:
            run("openssl", "dhparam", "-outform", "DER", "-out", str(der), name.removeprefix("dh"))
        run("openssl", "dhparam", "-inform", "DER", "-in", str(der), "-out", str(pem))
    return str(der if form == "dh" else pem)


# --- what Debian does not have ------------------------------------------------------------------------------------------------------------

def pip(lab: Lab, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], capture_output=True, text=True, cwd=lab.work)
    if done.returncode:
        raise RecordingError(f"pip {' '.join(words)}: exit {done.returncode}\n{done.stderr[-1000:]}")


def old_openssl(lab: Lab) -> dict[str, str]:
    """OpenSSL 0.9.8e of CentOS 5, out of a wheel: SSL 2.0, export suites, compression. It is given this machine's resolver, for its own fits no newer C library."""
    folder = lab.work / "openssl-0.9.8"
    if not folder.exists():
        need("ldconfig")
        pip(lab, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), *WHEEL)
        shutil.unpack_archive(next(folder.glob("*.whl")), folder, "zip")
        for library in (folder / "psycopg2" / ".libs").iterdir():
            library.rename(folder / library.name)
        resolver = next(line.split()[-1] for line in run("ldconfig", "-p").splitlines() if "libresolv.so.2" in line and "x86-64" in line)
        for theirs in folder.glob("libresolv-*"):
            theirs.unlink()
            theirs.symlink_to(resolver)
    return {"LD_LIBRARY_PATH": str(folder)}


def new_tls(lab: Lab) -> dict[str, str]:
    """aioquic, and pyOpenSSL, which it needs, with an OpenSSL of 3.5 or later."""
    folder = lab.work / "new-tls"
    if not folder.exists():
        pip(lab, "install", "--target", str(folder), "aioquic")
    return {"PYTHONPATH": str(folder)}


PROGRAMS = {"old_openssl": old_openssl, "new_tls": new_tls}


# --- talks --------------------------------------------------------------------------------------------------------------------------------

def use(name: str, chain: bool = False) -> list[str]:
    return ["-cert", f"@{name}.crt", "-key", f"@{name}.key", *(["-cert_chain", f"@{name}.chain"] if chain else [])]


def openssl(*clients: str, cert: str | None = "good", server: str = "", chain: bool = False, port: int = PORT, sni: str | None = HOST, input: str = "a1 NOOP\r\n", mode: str = "-rev") -> Talk:
    """Debian's OpenSSL on both sides; each client is a line of s_client's words."""
    certificate = use(cert, chain) if cert else ["-nocert"]
    name = ["-servername", sni] if sni else ["-noservername"]
    ends = [] if input.startswith("R") else ["-quiet", "-no_ign_eof"]  # R is a command, and -quiet would send it
    return Talk(["openssl", "s_server", *mode.split(), "-accept", "$ADDRESS:$PORT", *certificate, *server.split()],
                [["openssl", "s_client", *ends, "-connect", "$ADDRESS:$PORT", *name, *client.split()] for client in clients or ("",)], port=port, input=input)


def gnutls(priority: str, *clients: str, cert: str = "rsa", server: str = "") -> Talk:
    """Debian's GnuTLS on both sides; each client is its priority string."""
    return Talk(["gnutls-serv", "--echo", "--quiet", "--port=$PORT", f"--x509certfile=@{cert}.crt", f"--x509keyfile=@{cert}.key", f"--priority={priority}", *server.split()],
                [["gnutls-cli", "--insecure", f"--priority={client}", "--port=$PORT", "--sni-hostname", HOST, "$ADDRESS"] for client in clients or (priority,)], port=EVERYWHERE)


def old(method: str, *suites: str, cert: str = "rsa", dh: str | None = None, server: str | None = None, words: str = "", environment: dict[str, str] | None = None) -> Talk:
    """OpenSSL 0.9.8e on both sides; each suite is a connection of its own."""
    program = [sys.executable, str(HERE / "old_openssl.py"), "@openssl-0.9.8"]
    more = [f"dh=@{dh}.dh"] if dh else []
    return Talk([*program, "server", "$ADDRESS", "$PORT", server or method, "ALL:eNULL", f"certificate=@{cert}.crt", f"key=@{cert}.key", *more],
                [[*program, "client", "$ADDRESS", "$PORT", method, suite, *words.split()] for suite in suites], program="old_openssl", environment=environment or {})


def at_one_place(*talks: Talk) -> list[Talk]:
    """Talks with the same address."""
    for talk in talks:
        talk.address = TLS_SERVERS[0]
    return list(talks)


def across(server: Talk, client: Talk) -> Talk:
    """One talk's server and another's clients."""
    return Talk(server.server, client.clients, program=server.program or client.program)


def new(kind: str, name: str = HOST, cert: str = "good", port: int = PORT) -> Talk:
    """`new_tls.py` on both sides."""
    program = [sys.executable, str(HERE / "new_tls.py")]
    return Talk([*program, f"{kind}-server", "$ADDRESS", "$PORT", name, f"@{cert}.all", f"@{cert}.key"], [[*program, f"{kind}-client", "$ADDRESS", "$PORT", name]],
                port=port, program="new_tls", udp=kind == "h3")


def nginx(lab: Lab) -> None:
    """nginx with HTTP/2 on port 8443."""
    need("nginx")
    home, pki = servers.reachable(lab.work / "nginx-h2"), Authority(lab)
    servers.reachable(home / "site")
    (home / "site" / "index.html").write_text("<p>Nothing to see</p>\n")
    temporary = " ".join(f"{name}_temp_path {home}/tmp-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""
worker_processes 1; pid {home}/pid; error_log {home}/log; user root;
events {{ }}
http {{
    access_log off; {temporary} root {home}/site; ssl_protocols TLSv1.2 TLSv1.3;
    server {{ listen {SERVER}:8443 ssl http2; ssl_certificate {pki.certificate("web")}; ssl_certificate_key {pki.key("web")}; }}
}}
""")
    lab.start("server", "nginx", "-c", str(home / "nginx.conf"), "-p", str(home), "-e", str(home / "log"), "-g", "daemon off;")
    lab.wait_for_port(SERVER, 8443)
