"""Samples of HTTP: logins of each kind, Exchange's web services, RPC over HTTP; see `scenarios` for what the fields mean."""
from __future__ import annotations

import hashlib
import os
import shutil

import exchange_stubs as stubs
import servers
from net import BARE, DEBIAN_PYTHON, HERE, SERVER, STRICT, Lab, need, run
from scenarios import Sample, Step, curl, tls12
from scenarios_rpc import IMPACKET, context, need_module, rpc
from servers import ACCOUNTS, DOMAIN, token

HOST = f"mail.{DOMAIN}"
A, E = ACCOUNTS["alice"], ACCOUNTS["erin"]
CURL, NGINX, APACHE = "curl 7.88.1", "nginx 1.22.1", "Apache httpd 2.4.71"
NTLM_PORT, BEARER_PORT = 8081, 8082


def py(name: str, port: int, *words: str) -> Step:
    return Step([DEBIAN_PYTHON, str(HERE / "web_clients.py"), name, SERVER, str(port), *words])


def get(path: str, *words: str, host: str = HOST, address: str = SERVER, port: int = 80, fails: bool = False) -> list[str]:
    """curl's words for a URL of a named host at an address."""
    scheme = "https" if port == 443 else "http"
    return ["--connect-to", f"::{address}:", *words, "--output", "/dev/null", f"{scheme}://{host}{'' if port in (80, 443) else f':{port}'}{path}"]


def web(lab: Lab) -> None:
    """nginx on 80 and 443 with Basic, in front of the pages of `web.py`; the same without nginx on 8081 (NTLM, Basic) and 8082 (Bearer). A redirect to https on another address."""
    need("nginx")
    need_module("impacket")
    home = servers.reachable(lab.work / "web")
    key, cert = servers.certificate(lab)
    servers.reachable(home / "site")
    (home / "site" / "index.html").write_text("<h1>Opening hours</h1><p>Nine to five.</p>\n")
    (home / "users").write_text("".join(f"{prefix}{user}:{run('openssl', 'passwd', '-6', ACCOUNTS[user]).strip()}\n" for user in ("alice",
         "erin") for prefix in ("", "EXAMPLE\\")))
    (home / "users").chmod(0o644)
    ask = f'auth_basic "{HOST}"; auth_basic_user_file {home}/users;'
    places = f"""
        root {home}/site;
        location /private/ {{ {ask} alias {home}/site/; }}
        location /owa/ {{ proxy_pass http://127.0.0.1:8080; }}
        location /webmail/ {{ proxy_pass http://127.0.0.1:8080; }}
        location /autodiscover/ {{ limit_except GET {{ {ask} }} proxy_pass http://127.0.0.1:8080; }}
        location ~* ^/(ews|mapi|microsoft-server-activesync) {{ {ask} proxy_pass http://127.0.0.1:8080; }}
        location /rpc/ {{ {ask} proxy_pass http://127.0.0.1:8080; proxy_buffering off; proxy_request_buffering off; client_max_body_size 0; }}"""
    temporary = "\n    ".join(f"{name}_temp_path {home}/tmp-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""
worker_processes 1; pid {home}/pid; error_log {home}/log; user root;
events {{ }}
http {{
    access_log off; server_tokens on; default_type text/html; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
    {temporary}
    server {{ listen {SERVER}:80 default_server; {places}
    }}
    server {{ listen {SERVER}:443 ssl default_server; ssl_certificate {cert}; ssl_certificate_key {key}; {places}
    }}
    server {{ listen {STRICT}:80; return 301 https://$host$request_uri; }}
}}
""")
    lab.start("server", "nginx", "-c", str(home / "nginx.conf"), "-p", str(home), "-e", str(home / "log"), "-g", "daemon off;")
    for address, port, *words in (("127.0.0.1", "8080", "basic", "trusted", "behind"), (SERVER, str(NTLM_PORT), "ntlm", "basic"), (SERVER, str(BEARER_PORT),
         "bearer"), (BARE, "80", "ntlm", "basic")):
        lab.start("server", DEBIAN_PYTHON, str(HERE / "web.py"), address, port, *words)
        lab.wait_for_port(address, int(port))
    lab.wait_for_port(SERVER, 443)


def apache(lab: Lab) -> None:
    """Apache with Digest on port 8083."""
    need("apache2")
    home = servers.reachable(lab.work / "apache")
    servers.reachable(home / "site")
    (home / "site" / "index.html").write_text("<p>Members only</p>\n")
    shutil.copytree(home / "site", home / "site" / "private")
    (home / "users").write_text("".join(f"{user}:members:{hashlib.md5(f'{user}:members:{ACCOUNTS[user]}'.encode()).hexdigest()}\n" for user in ("alice", "erin")))
    (home / "users").chmod(0o644)
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in ("mpm_event", "authn_core", "authn_file", "authz_core",
         "authz_user", "auth_digest", "dir"))
    (home / "apache.conf").write_text(f"""
{modules}
ServerRoot {home}
ServerName {HOST}
PidFile {home}/pid
ErrorLog {home}/log
DefaultRuntimeDir {home}
Listen {SERVER}:8083
User www-data
Group www-data
DocumentRoot {home}/site
DirectoryIndex index.html
<Location /private/>
  AuthType Digest
  AuthName members
  AuthDigestAlgorithm MD5
  AuthUserFile {home}/users
  Require valid-user
</Location>
""")
    lab.start("server", "apache2", "-f", str(home / "apache.conf"), "-X", env=os.environ | {"APACHE_RUN_DIR": str(home)})
    lab.wait_for_port(SERVER, 8083)


def web_proxy(lab: Lab) -> None:
    """tinyproxy that wants a login."""
    need("tinyproxy")
    config = lab.work / "web-proxy.conf"
    config.write_text(f"Port 3128\nListen {SERVER}\nTimeout 60\nAllow 10.7.0.0/24\nBasicAuth erin {E}\nLogLevel Error\nUser nobody\nGroup nogroup\nMaxClients 5\n")
    config.chmod(0o644)
    lab.start("server", "tinyproxy", "-d", "-c", str(config))
    lab.wait_for_port(SERVER, 3128)


SERVERS = {"web": web, "apache": apache, "web-proxy": web_proxy}
FORM = ["--data-urlencode", f"destination=http://{HOST}/owa/", "--data", "flags=4&forcedownlevel=0", "--data-urlencode", "username=EXAMPLE\\alice"]
OUTLOOK = ["--user-agent", "Microsoft Office/14.0 (Windows NT 6.1; Microsoft Outlook 14.0.4734; Pro)"]
XML = ["--header", "Content-Type: text/xml; charset=utf-8"]
ASKED = "<Autodiscover><Request><EMailAddress>alice@example.org</EMailAddress></Request></Autodiscover>"
SOAP = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><GetFolder/></s:Body></s:Envelope>"
COOKIES = "; ".join(f"{name}={stubs.COOKIE_VALUE}" for name in stubs.COOKIES)
HTTP, OWA, EWS, AUTODISCOVER, PROXY = (f"http {service} none - full" for service in ("http", "owa", "ews", "autodiscover", "rpc-proxy"))
HTTPS = "tls https implicit - full"
BASIC, BASIC_DOMAIN, NTLM = "BASIC alice password success", "BASIC EXAMPLE\\alice password success", "NTLM alice guessable success"


def site(name: str, about: str, software: str, *steps: Step, more: tuple[str, ...] = (), **facts) -> Sample:
    return Sample(f"{name}.pcap", about, software, list(steps), servers=("web", *more), **{"secrets": [A]} | facts)


def basic(*words: str) -> tuple[str, ...]:
    return ("--user", f"alice:{A}", *words)


def form(password: str) -> list[str]:
    return get("/owa/auth.owa", *FORM, "--data-urlencode", f"password={password}")


PYTHON_WEB = "Python 3.11 http.server"
FRONT = f"{NGINX}, {PYTHON_WEB}"
SAMPLES = [
    site("http-plain", "A web site with nothing to say", f"{NGINX}, {CURL}", curl(*get("/"), "--next", "--silent", *get("/nowhere")), secrets=[]),
    site("http-redirect", "A mail server that sends every request to https", f"{NGINX}, {CURL}", curl(*get("/owa/", address=STRICT)), secrets=[],
         sessions=[OWA], http=["GET owa - - - 301 -"]),
    site("http-basic", "Basic: at once, and after 401; a wrong password", f"{NGINX}, {CURL}", curl(*get("/private/", *basic())), curl(*get("/private/",
         "--anyauth", *basic())),
         curl(*get("/private/", "--anyauth", "--user", "alice:winter-2024")), secrets=[A, "winter-2024"],
         sessions=[HTTP] * 3, logins=[BASIC, BASIC, "BASIC alice password failed"], findings="PS117 PS121",
         http=["GET other BASIC success alice 200 -", "GET other - - - 401 -", "GET other BASIC success alice 200 -", "GET other - - - 401 -",
         "GET other BASIC failed alice 401 -"]),
    site("http-basic-kept", "Two accounts in one kept connection, and a page without login between them", f"{NGINX}, {CURL}",
         curl(*get("/private/", *basic()), "--next", "--silent", *get("/"), "--next", "--silent", *get("/private/", "--user", f"erin:{E}")), secrets=[A, E],
         sessions=[HTTP], logins=[BASIC, "BASIC erin password success"], findings="PS117",
         http=["GET other BASIC success alice 200 -", "GET other BASIC success erin 200 -"]),
    site("http-digest", "Digest with MD5 and qop auth", f"{APACHE}, {CURL}", curl(*get("/private/", "--digest", "--user", f"alice:{A}", port=8083)),
         more=("apache",),
         sessions=[HTTP], logins=["DIGEST alice guessable success"], findings="PS123", http=["GET other - - - 401 -", "GET other DIGEST success alice 200 -"]),
    site("http-ntlm", "NTLM: NTLMv2, and a wrong password", f"{PYTHON_WEB}, {CURL}", curl(*get("/private/", "--ntlm", "--user",
         f"EXAMPLE\\alice:{A}", port=NTLM_PORT)),
         curl(*get("/private/", "--ntlm", "--user", "EXAMPLE\\alice:winter-2024", port=NTLM_PORT)), secrets=[A, "winter-2024"],
         sessions=[HTTP] * 2, logins=[NTLM, "NTLM alice guessable failed"], findings="PS106 PS120 PS121 PS124",
         http=["GET other NTLM - - 401 -", "GET other NTLM success alice 200 -", "GET other NTLM - - 401 -", "GET other NTLM failed alice 401 -"]),
    site("http-bearer", "A bearer token that is taken, one that is not", f"{PYTHON_WEB}, {CURL}", curl(*get("/private/",
         "--oauth2-bearer", token("alice"), port=BEARER_PORT)),
         curl(*get("/private/", "--oauth2-bearer", token("alice")[:-4] + "AAAA", port=BEARER_PORT)), secrets=[token("alice"), token("alice")[:-4] + "AAAA"],
         sessions=[HTTP] * 2, logins=["BEARER - token success", "BEARER - token failed"], findings="PS108",
         http=["GET other BEARER success - 200 -", "GET other BEARER failed - 401 -"]),
    site("http-proxy-basic", "A web proxy that wants Basic", f"tinyproxy 1.11.1, {NGINX}, {CURL}", curl("--proxy", f"http://{SERVER}:3128", "--proxy-user",
         f"erin:{E}", "--output", "/dev/null", f"http://{SERVER}/"),
         more=("web-proxy",), secrets=[E], filter="tcp port 3128",
         sessions=[HTTP], logins=["BASIC erin password success"], findings="PS117", http=["GET other BASIC success erin 200 -"]),
    site("owa-login", "Outlook Web App: login page, form posted, inbox read", f"{FRONT}, {CURL}", curl("--cookie-jar", "/dev/null", *get("/owa/auth/logon.aspx"),
         "--next", "--silent", *form(A), "--next", "--silent", *get("/owa/", "--cookie", COOKIES)),
         sessions=[OWA], logins=["FORM EXAMPLE\\alice password success"], findings="PS125 PS601 PS602",
         http=["GET owa - - - 200 -", "POST owa FORM success EXAMPLE\\alice 302 -", "GET owa - - - 200 -"], secrets=[A, stubs.COOKIE_VALUE]),
    site("owa-wrong", "Outlook Web App: form posted with a wrong password", f"{FRONT}, {CURL}", curl(*form("winter-2024")), secrets=["winter-2024"],
         sessions=[OWA], logins=["FORM EXAMPLE\\alice password failed"], findings="PS601", http=["POST owa FORM failed EXAMPLE\\alice 302 -"]),
    site("owa-https", "The same login inside TLS", f"{FRONT}, {CURL}", curl(*get("/owa/auth.owa", *FORM, "--data-urlencode", f"password={A}", port=443)),
         sessions=[HTTPS], findings="PS423 PS428 PS454 PS606", tls=[tls12(sentinel=None, sni=HOST, alpn="http/1.1", name_matches="yes")]),
    site("webmail-form", "A webmail's login form", f"{FRONT}, {CURL}", curl(*get("/webmail/", "--data-urlencode", f"_user=alice@{DOMAIN}", "--data-urlencode",
         f"_pass={A}")),
         sessions=["http webmail none - full"], logins=[f"FORM alice@{DOMAIN} password success"], findings="PS122 PS125",
         http=["POST webmail FORM success alice@example.org 302 -"], secrets=[A, stubs.WEBMAIL_COOKIE]),
    site("ews-basic", "Exchange Web Services: a SOAP request with Basic", f"{FRONT}, {CURL}", curl(*get("/EWS/Exchange.asmx", *basic(*OUTLOOK, *XML,
         "--data", SOAP))),
         sessions=[EWS], logins=[BASIC], findings="PS117 PS602 PS605", http=["POST ews BASIC success alice 200 -"]),
    site("ews-ntlm", "Exchange Web Services: a SOAP request with NTLM", f"{PYTHON_WEB}, {CURL}", curl(*get("/EWS/Exchange.asmx", "--ntlm", "--user",
         f"EXAMPLE\\alice:{A}", *OUTLOOK, *XML, "--data", SOAP, address=BARE)),
         sessions=[EWS], logins=[NTLM], findings="PS106 PS120 PS124 PS602 PS605", http=["POST ews NTLM - - 401 -", "POST ews NTLM success alice 200 -"]),
    site("ews-https", "The same with Basic inside TLS", f"{FRONT}, {CURL}", curl(*get("/EWS/Exchange.asmx", *basic(*OUTLOOK, *XML, "--data", SOAP), port=443)),
         sessions=[HTTPS], findings="PS423 PS428 PS454 PS606", tls=[tls12(sentinel=None, sni=HOST, alpn="http/1.1", name_matches="yes")]),
    site("activesync-basic", "ActiveSync: OPTIONS and FolderSync with Basic", f"{FRONT} and http.client", py("activesync", 80, "alice"),
         sessions=["http activesync none - full"], logins=[BASIC_DOMAIN], findings="PS117 PS605",
         http=["OPTIONS activesync BASIC success EXAMPLE\\alice 200 -", "POST activesync BASIC success EXAMPLE\\alice 200 FolderSync"]),
    site("activesync-https", "The same inside TLS", f"{FRONT} and http.client", py("activesync", 443, "alice"),
         sessions=[HTTPS], findings="PS423 PS428 PS454 PS606", tls=[tls12(sentinel=None)]),
    site("autodiscover-redirect", "Autodiscover's redirect probe: GET without login, answered with https", f"{FRONT}, {CURL}",
         curl(*get("/autodiscover/autodiscover.xml", *OUTLOOK, host=f"autodiscover.{DOMAIN}")), secrets=[],
         sessions=[AUTODISCOVER], findings="PS603", http=["GET autodiscover - - - 302 -"]),
    site("autodiscover-post", "Autodiscover: POST with an address and Basic", f"{FRONT}, {CURL}",
         curl(*get("/autodiscover/autodiscover.xml", *basic(*OUTLOOK, *XML, "--data", ASKED), host=f"autodiscover.{DOMAIN}")),
         sessions=[AUTODISCOVER], logins=[BASIC], findings="PS117 PS603", http=["POST autodiscover BASIC success alice 200 -"]),
    site("mapi-http", "MAPI over HTTP: Connect, Execute, Disconnect, Bind, Unbind with Basic", f"{FRONT} and http.client", py("mapi", 80, "alice"),
         sessions=["http mapi-http none - full"], logins=[BASIC_DOMAIN], findings="PS117 PS125 PS503 PS602 PS605",
         http=[f"POST mapi-http BASIC success EXAMPLE\\alice 200 {kind}" for kind in ("Connect", "Execute", "Execute", "Disconnect", "Bind", "Unbind")],
         secrets=[A, stubs.MAPI_CONTEXT, stubs.SUBJECT]),
    site("mapi-https", "The same inside TLS", f"{FRONT} and http.client", py("mapi", 443, "alice"),
         sessions=[HTTPS], findings="PS423 PS428 PS454 PS606", secrets=[A, stubs.MAPI_CONTEXT, stubs.SUBJECT], tls=[tls12(sentinel=None)]),
    site("rpc-over-http-basic", "RPC over HTTP version 2 with Basic; the mailbox session inside is bound at level connect", f"{FRONT}, {IMPACKET}",
         rpc("over_http", "alice", "2", "Basic"), more=("exchange",), filter="tcp port 80",
         sessions=[PROXY] * 2, logins=[BASIC_DOMAIN, BASIC_DOMAIN, NTLM],
         findings="PS106 PS117 PS120 PS502 PS503 PS512 PS513 PS516 PS605",
         rpc=[context("EMSMDB", "NTLM", 2, 5, "NTLMv2 128", payload="xor 15.0.4420.1017", transport="http")],
         http=["RPC_IN_DATA rpc-proxy BASIC success EXAMPLE\\alice - -", "RPC_OUT_DATA rpc-proxy BASIC success EXAMPLE\\alice 200 -"], secrets=[A, stubs.SUBJECT]),
    site("rpc-over-http-ntlm", "RPC over HTTP version 2 with NTLM; the mailbox session inside is at level privacy", f"{PYTHON_WEB}, {IMPACKET}",
         Step([DEBIAN_PYTHON, str(HERE / "rpc_clients.py"), "over_http", BARE, "alice", "6", "NTLM"]), more=("exchange",), filter="tcp port 80",
         sessions=[PROXY] * 2, logins=[NTLM, NTLM, NTLM], findings="PS106 PS120 PS124 PS504 PS510 PS512 PS605",
         rpc=[context("EMSMDB", "NTLM", 6, 5, "NTLMv2 128", transport="http")],
         http=["RPC_IN_DATA rpc-proxy NTLM - - 401 -", "RPC_IN_DATA rpc-proxy NTLM success alice - -", "RPC_OUT_DATA rpc-proxy NTLM - - 401 -",
         "RPC_OUT_DATA rpc-proxy NTLM success alice 200 -"], secrets=[A, stubs.SUBJECT]),
    site("rpc-over-https", "RPC over HTTP version 2 inside TLS", f"{FRONT}, {IMPACKET}", rpc("over_http", "alice", "2", "Basic", "tls"), more=("exchange",),
         filter="tcp port 443",
         sessions=[HTTPS] * 2, findings="PS423 PS428 PS454 PS606", secrets=[A, stubs.SUBJECT], tls=[tls12(sentinel=None)] * 2),
    site("rpc-over-http-v1", "RPC over HTTP version 1: RPC_CONNECT with Basic; the mailbox session inside is not authenticated", f"{PYTHON_WEB}, {IMPACKET}",
         Step([DEBIAN_PYTHON, str(HERE / "web_clients.py"), "rpc_connect", BARE, "80", "alice"]),
         more=("exchange",), filter="tcp port 80",
         sessions=["dcerpc mapi none - full"], logins=[BASIC_DOMAIN], findings="PS117 PS501 PS502 PS503 PS512 PS513 PS516",
         rpc=[context("EMSMDB", "-", 1, 5, payload="xor 15.0.4420.1017", transport="http")], http=["RPC_CONNECT rpc-proxy BASIC success EXAMPLE\\alice 200 -"],
         secrets=[A, stubs.SUBJECT]),
]
