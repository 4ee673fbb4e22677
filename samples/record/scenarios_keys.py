"""Samples of TLS whose keys the client wrote down: beside `keys-NAME.pcap` lies `keys-NAME.keys`, the file that SSLKEYLOGFILE named.

Each does what another sample does in clear (tests/pipeline/test_decryption.py says which): read with the keys it must say the same, but for what protects
it. What stands in `sessions` and the like is what can be seen without the keys, and with them in the capture that holds them itself. The keys open these
recordings and nothing else.
"""
from __future__ import annotations

import pathlib

import exchange_stubs as stubs
import servers
from net import BARE, DEBIAN_PYTHON, HERE, SERVER, Lab, need, run
from scenarios import DOVECOT, PLAIN_IMAP, POSTFIX, PYTHON, Sample, Step, curl, tls12, tls13
from scenarios import py as mail
from scenarios_rpc import IMPACKET
from scenarios_web import A, COOKIES, CURL, FORM, FRONT, HOST, HTTPS, OUTLOOK, SOAP, XML, basic, get, py
from servers import ACCOUNTS

B = ACCOUNTS["bob"]


def web_http2(lab: Lab) -> None:
    """nginx with HTTP/2 on another address, in front of the pages that the server `web` has."""
    need("nginx")
    home = servers.reachable(lab.work / "web-http2")
    key, cert = servers.certificate(lab)
    (home / "users").write_text(f"alice:{run('openssl', 'passwd', '-6', A).strip()}\n")
    (home / "users").chmod(0o644)
    temporary = "\n    ".join(f"{name}_temp_path {home}/tmp-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""
worker_processes 1; pid {home}/pid; error_log {home}/log; user root;
events {{ }}
http {{
    access_log off; default_type text/html; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
    {temporary}
    server {{ listen {BARE}:443 ssl http2; ssl_protocols TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};
        location /owa/ {{ proxy_pass http://127.0.0.1:8080; }}
        location ~* ^/ews {{ auth_basic "mail"; auth_basic_user_file {home}/users; proxy_pass http://127.0.0.1:8080; }}
    }}
}}
""")
    lab.start("server", "nginx", "-c", str(home / "nginx.conf"), "-p", str(home), "-e", str(home / "log"), "-g", "daemon off;")
    lab.wait_for_port(BARE, 443)


SERVERS = {"web-http2": web_http2}


def keep_keys(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """Record it, and lay the keys beside it."""
    written, only_12 = lab.work / "written.keys", lab.work / "tls12.cnf"
    written.unlink(missing_ok=True)
    only_12.write_text("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = limits\n[limits]\nMaxProtocol = TLSv1.2\n")
    settings = [f"SSLKEYLOGFILE={written}"] + ([f"OPENSSL_CONF={only_12}"] if "tls12" in sample.file else [])
    with lab.capture(path, side=sample.side, device=sample.device, filter=sample.filter):
        for step in sample.steps:
            lab.client("env", *settings, *step.argv, side=step.side, fails=step.fails)
    lines = [line for line in written.read_text().splitlines() if not line.startswith("#")]
    path.with_suffix(".keys").write_text("\n".join(lines) + "\n")


def embed_keys(lab: Lab, sample: Sample, path: pathlib.Path) -> None:
    """Record it, and put the keys into the capture."""
    need("editcap")
    plain = lab.work / "plain.pcap"
    keep_keys(lab, sample, plain)
    run("editcap", "--inject-secrets", f"tls,{plain.with_suffix('.keys')}", str(plain), str(path))


def kept(name: str, about: str, software: str, *steps: Step, **facts) -> Sample:
    return Sample(f"keys-{name}.pcap", about, software, list(steps), **{"secrets": [A], "record": keep_keys, "servers": ("mail",)} | facts)


def web(name: str, about: str, software: str, *steps: Step, more: tuple[str, ...] = (), **facts) -> Sample:
    return kept(name, about, software, *steps, **{"servers": ("web", *more), "sessions": [HTTPS], "findings": WEB_12, "filter": "tcp port 443"} | facts)


WEB_12, WEB_13 = "PS423 PS428 PS454 PS606", "PS430 PS454 PS606"
STARTTLS = "smtp submission starttls tls_established full"
OWA_STEP = [*get("/owa/auth/logon.aspx", port=443), "--next", "--silent", "--insecure", *get("/owa/auth.owa", *FORM, "--data-urlencode", f"password={A}", port=443),
            "--next", "--silent", "--insecure", *get("/owa/", "--cookie", COOKIES, port=443)]


def at(address: str, words: list[str]) -> list[str]:
    """The same at another address."""
    return [word.replace(f"::{SERVER}:", f"::{address}:") for word in words]


EWS_STEP = get("/EWS/Exchange.asmx", *basic(*OUTLOOK, *XML, "--data", SOAP), port=443)
SAMPLES = [
    kept("submission", "Submission with STARTTLS, AUTH LOGIN and a message, and the keys", f"{POSTFIX}, {PYTHON} smtplib", mail("smtp_send", SERVER, 587, "bob", "LOGIN", "starttls"),
         sessions=[STARTTLS], findings="PS121 PS217 PS430 PS442 PS454", secrets=[B], tls=[tls13()]),
    kept("submission-tls12", "The same with TLS 1.2", f"{POSTFIX}, {PYTHON} smtplib", mail("smtp_send", SERVER, 587, "bob", "LOGIN", "starttls"),
         sessions=[STARTTLS], findings="PS121 PS217 PS419 PS423 PS428 PS442 PS453 PS454", secrets=[B], tls=[tls12()]),
    kept("imaps", "IMAP inside TLS, a message fetched, and the keys", f"{DOVECOT}, {PYTHON} imaplib", mail("imap_read", SERVER, 993, "alice", "tls"),
         sessions=["tls imaps implicit - full"], findings="PS430 PS442 PS454", tls=[tls13()]),
    kept("pop3-stls", "STLS, USER and PASS, a message fetched, and the keys", f"{DOVECOT}, {PYTHON} poplib", mail("pop3_read", SERVER, 110, "bob", "stls"),
         sessions=["pop3 pop3 starttls tls_established full"], findings="PS121 PS430 PS442 PS454", secrets=[B], tls=[tls13()]),
    web("owa", "Outlook Web App inside TLS: login page, form posted, inbox read, and the keys", f"{FRONT}, {CURL}", curl("--http1.1", *OWA_STEP), secrets=[A, stubs.COOKIE_VALUE], tls=[tls12(sentinel=None, sni=HOST, alpn="http/1.1", name_matches="yes")]),
    web("owa-http2", "The same over HTTP/2", f"{FRONT}, {CURL}", curl("--http2", *at(BARE, OWA_STEP)), more=("web-http2",), findings=WEB_13, secrets=[A, stubs.COOKIE_VALUE], tls=[tls13(sni=HOST, alpn="h2")]),
    web("ews-tls12", "Exchange Web Services with Basic inside TLS 1.2, and the keys", f"{FRONT}, {CURL}", curl("--http1.1", "--tls-max", "1.2", *EWS_STEP), tls=[tls12(sentinel=None, sni=HOST, alpn="http/1.1", name_matches="yes")]),
    web("ews-http2", "The same over HTTP/2 and TLS 1.3", f"{FRONT}, {CURL}", curl("--http2", *at(BARE, EWS_STEP)), more=("web-http2",), findings=WEB_13, tls=[tls13(sni=HOST, alpn="h2")]),
    web("activesync", "ActiveSync inside TLS, and the keys", f"{FRONT} and http.client", py("activesync", 443, "alice"), tls=[tls12(sentinel=None)]),
    web("mapi", "MAPI over HTTP inside TLS, and the keys", f"{FRONT} and http.client", py("mapi", 443, "alice"), secrets=[A, stubs.MAPI_CONTEXT, stubs.SUBJECT], tls=[tls12(sentinel=None)]),
    web("rpc", "RPC over HTTP version 2 inside TLS, and the keys", f"{FRONT}, {IMPACKET}",
        Step([DEBIAN_PYTHON, str(HERE / "keys_clients.py"), str(HERE / "rpc_clients.py"), "over_http", SERVER, "alice", "2", "Basic", "tls"]), more=("exchange",),
        sessions=[HTTPS] * 2, secrets=[A, stubs.SUBJECT], tls=[tls12(sentinel=None)] * 2),
    Sample("keys-embedded.pcapng", "IMAP inside TLS with the keys in the capture itself", f"{DOVECOT}, {PYTHON} imaplib, Wireshark 4.0 editcap",
           record=embed_keys, **PLAIN_IMAP | {"steps": [mail("imap_read", SERVER, 993, "alice", "tls")], "sessions": ["imap imaps implicit - full"], "findings": "PS430 PS442 PS454"}, tls=[tls13()]),
]
