"""Certificates for the TLS recordings, made with the command `openssl`: of the kinds that are found in the wild, good and bad. Keys and certificates are made anew each time."""
from __future__ import annotations

import datetime
import pathlib
from dataclasses import dataclass

from net import Lab, run
from servers import DOMAIN, reachable

HOST = f"mail.{DOMAIN}"


@dataclass(frozen=True)
class Kind:
    """What one certificate shall look like. Days count from the recording; `issuer` None: signed with its own key."""

    subject: str = HOST
    names: str = f"DNS:{HOST}"
    key: str = "ec"
    digest: str = "sha256"
    issuer: str | None = "middle"
    begin: int = -30
    end: int = 60
    ca: bool = False
    purposes: str = "serverAuth"


KINDS = {
    "root": Kind(subject="Recording Root", names="", issuer=None, begin=-1000, end=3000, ca=True),
    "middle": Kind(subject="Recording Issuing CA", names="", issuer="root", begin=-500, end=1000, ca=True),
    "old-root": Kind(subject="Recording Old Root", names="", key="rsa:2048", digest="sha1", issuer=None, begin=-3000, end=1000, ca=True),
    "good": Kind(),
    "rsa": Kind(key="rsa:2048"),
    "expired": Kind(begin=-400, end=-20),
    "early": Kind(begin=20, end=100),
    "self": Kind(issuer=None),
    "other-name": Kind(subject=f"www.{DOMAIN}", names=f"DNS:www.{DOMAIN},DNS:{DOMAIN}"),
    "wildcard": Kind(subject=f"*.{DOMAIN}", names=f"DNS:*.{DOMAIN}"),
    "no-names": Kind(names=""),
    "address": Kind(names="IP:10.7.0.1"),
    "web": Kind(subject=f"owa.{DOMAIN}", names=f"DNS:owa.{DOMAIN},DNS:autodiscover.{DOMAIN}"),
    "sha1": Kind(key="rsa:2048", digest="sha1", issuer="old-root"),
    "md5": Kind(key="rsa:2048", digest="md5", issuer="old-root"),
    "rsa-1024": Kind(key="rsa:1024"),
    "rsa-512": Kind(key="rsa:512", issuer="old-root"),
    "p384": Kind(key="ec:secp384r1"),
    "ed25519": Kind(key="ed25519"),
    "long": Kind(end=3650),
    "authority": Kind(ca=True),
    "client": Kind(subject="alice", names=f"email:alice@{DOMAIN}", purposes="clientAuth"),
    "stranger": Kind(subject="mallory", names="", issuer=None, purposes="clientAuth"),
}


def when(days: int) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y%m%d%H%M%SZ")


class Authority:
    """The certificates of one recording; each is made when it is first asked for."""

    def __init__(self, lab: Lab):
        self.folder = reachable(lab.work / "pki")

    def key(self, name: str) -> str:
        path = self.folder / f"{name}.key"
        if not path.exists():
            kind, _, size = KINDS[name].key.partition(":")
            if kind == "rsa":
                run("openssl", "genrsa", "-traditional", "-out", str(path), size)  # OpenSSL 0.9.8 reads this form too
            elif kind == "ec":
                run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{size or 'prime256v1'}", "-out", str(path))
            else:
                run("openssl", "genpkey", "-algorithm", kind, "-out", str(path))
            path.chmod(0o644)
        return str(path)

    def certificate(self, name: str) -> str:
        path = self.folder / f"{name}.crt"
        if not path.exists():
            self._make(name, path)
        return str(path)

    def chain(self, name: str) -> str:
        """File with the certificates between this one and its root."""
        path = self.folder / f"{name}.chain"
        parts, issuer = [], KINDS[name].issuer
        while issuer is not None and KINDS[issuer].issuer is not None:
            parts.append(pathlib.Path(self.certificate(issuer)).read_text())
            issuer = KINDS[issuer].issuer
        path.write_text("".join(parts))
        return str(path)

    def _make(self, name: str, path: pathlib.Path) -> None:
        kind = KINDS[name]
        work = self.folder / f"{name}.work"
        work.mkdir()
        (work / "index").write_text("")
        extensions = [f"basicConstraints=critical,CA:{str(kind.ca).upper()}", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
        extensions += [f"subjectAltName={kind.names}"] if kind.names else []
        extensions += ["keyUsage=critical,digitalSignature,keyCertSign,cRLSign"] if kind.ca else [f"extendedKeyUsage={kind.purposes}"]
        (work / "conf").write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={work}/index\nnew_certs_dir={work}\nrand_serial=yes\npolicy=p\nx509_extensions=e\nunique_subject=no\n"
                                   "[p]\ncommonName=supplied\n[e]\n" + "\n".join(extensions) + "\n[req]\ndistinguished_name=n\n[n]\n")
        request, conf = str(work / "request"), str(work / "conf")
        run("openssl", "req", "-new", "-config", conf, "-key", self.key(name), "-subj", f"/CN={kind.subject}", "-out", request, *([f"-{kind.digest}"] if kind.key != "ed25519" else []))
        signer = ["-selfsign", "-keyfile", self.key(name)] if kind.issuer is None else ["-keyfile", self.key(kind.issuer), "-cert", self.certificate(kind.issuer)]
        run("openssl", "ca", "-batch", "-notext", "-config", conf, "-md", kind.digest, *signer, "-startdate", when(kind.begin), "-enddate", when(kind.end), "-in", request, "-out", str(path))
        path.chmod(0o644)
