"""Mail and news servers with private configurations, started inside a namespace of `net.Lab`; nothing of the machine's own configuration is read or written."""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import subprocess

from net import BARE, CLIENT, DIRECT, MORE_SERVERS, SERVER, SERVER6, STRICT, Lab, RecordingError, need, run

ACCOUNTS = {  # made for these recordings, used nowhere else
    "alice": "Tr0ub4dor-and-3",
    "bob": "correct horse battery staple",
    "carol": "K\u00e4sekuchen-2024",
    "dave": 'quo"te\\slash9',
    "erin": "Erin-news-4711",
}
JWT_KEY = b"a key for recordings only, 32 b."
DOMAIN = "example.org"
PEERS = dict(zip(("plain", "last", "broken", "chosen", "old", "verified", "first", "second", "dovecot", "office", "changing", "mx", "front", "behind"), MORE_SERVERS))  # mail servers beside SERVER, each set up in its own way (scenarios_stripping.py)


def token(user: str) -> str:
    """A JSON web token (RFC 7519) that the Dovecot of these recordings accepts."""
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"sub": f"{user}@{DOMAIN}", "iss": "https://login.example.org", "aud": "mail", "nbf": 1700000000, "iat": 1700000000, "exp": 4000000000}).encode())
    return f"{head}.{body}." + part(hmac.digest(JWT_KEY, f"{head}.{body}".encode(), hashlib.sha256))


def certificate(lab: Lab) -> tuple[pathlib.Path, pathlib.Path]:
    """A key and a self-signed certificate, made anew for each recording."""
    key, cert = lab.work / "key.pem", lab.work / "cert.pem"
    if not cert.exists():
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650", "-subj", f"/CN=mail.{DOMAIN}",
            "-addext", f"subjectAltName=DNS:mail.{DOMAIN}", "-keyout", str(key), "-out", str(cert))
    return key, cert


def reachable(path: pathlib.Path) -> pathlib.Path:
    """A folder of the recording that servers may enter after they have dropped root."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def dovecot(lab: Lab, name: str, listen: list[str], *, ssl: str = "yes", plaintext: bool = True, sasl_socket: pathlib.Path | None = None, lmtp: bool = False,
            submission: bool = False) -> None:
    """IMAP, POP3, ManageSieve (LMTP, submission) on the well-known ports of the given addresses."""
    need("dovecot", "doveadm")
    key, cert = certificate(lab)
    home = reachable(lab.work / name)
    mail = home / "mail"
    mail.mkdir()
    shutil.chown(mail, "mail", "mail")
    (home / "users").write_text("".join(f"{user}@{DOMAIN}:{{PLAIN}}{secret}::::::\n" for user, secret in ACCOUNTS.items()), encoding="utf-8")
    keys = reachable(home / "keys" / "default" / "HS256")
    reachable(home / "keys")
    reachable(home / "keys" / "default")
    (keys / "default").write_text(base64.b64encode(JWT_KEY).decode())
    (home / "oauth2.conf").write_text(f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={home}/keys/\nusername_attribute = sub\n")
    mechanisms = "plain login cram-md5 digest-md5 apop scram-sha-1 scram-sha-256 xoauth2 oauthbearer anonymous"
    if not plaintext:
        mechanisms = "plain login"
    socket = f"unix_listener {sasl_socket} {{\n mode = 0666\n }}" if sasl_socket else ""
    (home / "dovecot.conf").write_text(f"""
protocols = imap pop3 sieve{' lmtp' if lmtp else ''}{' submission' if submission else ''}
{f'submission_relay_host = {SERVER}' if submission else ''}
hostname = mail.{DOMAIN}
listen = {', '.join(listen)}
base_dir = {home}/run
state_dir = {home}/state
instance_name = {name}
log_path = {home}/log
auth_verbose = yes
ssl = {ssl}
{f'ssl_cert = <{cert}' if ssl != 'no' else ''}
{f'ssl_key = <{key}' if ssl != 'no' else ''}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = {'no' if plaintext else 'yes'}
auth_mechanisms = {mechanisms}
auth_username_format = %Lu
auth_default_realm = {DOMAIN}
auth_realms = {DOMAIN}
auth_failure_delay = 1 secs
auth_anonymous_username = anonymous@{DOMAIN}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%Lu {home}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={home}/mail/%n allow_all_users=yes
}}
mail_location = maildir:{home}/mail/%n/Maildir
first_valid_uid = 8
mail_privileged_group = mail
login_greeting = Dovecot ready.
service anvil {{
  chroot =
}}
service auth {{
  {socket}
}}
service stats {{
  process_limit = 1
}}
{'service lmtp {' + chr(10) + ' inet_listener lmtp {' + chr(10) + '  port = 24' + chr(10) + ' }' + chr(10) + '}' if lmtp else ''}
service managesieve-login {{
  inet_listener sieve {{
    port = 4190
  }}
}}
protocol imap {{
  mail_plugins = imap_zlib
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
""", encoding="utf-8")
    lab.start("server", "dovecot", "-F", "-c", str(home / "dovecot.conf"))
    for port in (143, 110, 4190):
        lab.wait_for_port(listen[0], port)


def deliver(lab: Lab, name: str, user: str, *messages: str) -> None:
    """Put messages into a mailbox of a Dovecot, without network."""
    for text in messages:
        lab.client("doveadm", "-c", str(lab.work / name / "dovecot.conf"), "save", "-u", f"{user}@{DOMAIN}", "-m", "INBOX", side="server", data=text)


POSTFIX_SERVICES = """
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
lmtp      unix  -       -       n       -       -       lmtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


def postfix(lab: Lab, name: str, side: str, services: list[str], resolver: pathlib.Path | None = None, **settings: str) -> pathlib.Path:
    """A Postfix of its own with these smtpd lines of master.cf; mail goes to the discard transport unless settings say otherwise. `resolver`: its /etc/resolv.conf. Returns its folder."""
    need("postfix", "postconf")
    key, cert = certificate(lab)
    home = reachable(lab.work / name)
    etc, queue, data = reachable(home / "etc"), reachable(home / "queue"), home / "data"
    data.mkdir()
    shutil.chown(data, "postfix")
    main = {
        "compatibility_level": "3.6", "queue_directory": queue, "data_directory": data, "maillog_file": home / "log", "maillog_file_prefixes": home,
        "myhostname": f"mail.{DOMAIN}", "mydestination": "", "mynetworks": "127.0.0.0/8", "inet_interfaces": "all", "inet_protocols": "all",
        "alias_maps": "", "local_recipient_maps": "", "default_transport": "discard:recorded", "relay_transport": "discard:recorded", "local_transport": "discard:recorded",
        "relay_domains": DOMAIN, "smtpd_relay_restrictions": "permit_mynetworks,permit_sasl_authenticated,reject_unauth_destination",
        "smtpd_peername_lookup": "no", "smtp_host_lookup": "native", "disable_dns_lookups": "yes", "smtputf8_enable": "yes",
        "smtpd_tls_cert_file": cert, "smtpd_tls_key_file": key, "smtpd_tls_security_level": "may", "smtpd_tls_received_header": "yes",
        "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth", "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noanonymous",
        "smtp_tls_security_level": "none", "smtpd_client_connection_count_limit": "0", "smtpd_client_event_limit_exceptions": "static:all", "smtpd_error_sleep_time": "0",
        "notify_classes": "",
    } | settings
    (etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in main.items()))
    (etc / "master.cf").write_text("\n".join(services) + POSTFIX_SERVICES)
    for shared in ("dynamicmaps.cf",):
        if (source := pathlib.Path("/etc/postfix") / shared).exists():
            shutil.copy(source, etc / shared)
    run("postfix", "-c", str(etc), "check")
    sbin = run("postconf", "-c", str(etc), "-h", "daemon_directory").strip()
    # `ip netns exec` has a mount namespace of its own, so the machine never sees the file
    see = ["sh", "-c", 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"', "sh", str(resolver)] if resolver else []
    lab.start(side, *see, f"{sbin}/master", "-c", str(etc), "-d", env=os.environ | {"MAIL_CONFIG": str(etc)})
    return home


def submission(lab: Lab) -> None:
    """The Postfix of the server: relay on 25, submission on 587, implicit TLS on 465, no TLS on 2525, TLS required on 588, PROXY protocol on 2529, XCLIENT on 2530."""
    postfix(lab, "postfix", "server", [
        f"{SERVER}:25 inet  n - n - - smtpd -o smtpd_sasl_auth_enable=no",
        f"{SERVER}:587 inet  n - n - - smtpd -o smtpd_sasl_auth_enable=yes",
        f"{SERVER}:588 inet  n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=encrypt",
        f"{SERVER}:465 inet  n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_wrappermode=yes",
        f"{SERVER}:2525 inet  n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=none",
        f"{SERVER}:2529 inet  n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy",
        f"{SERVER}:2530 inet  n - n - - smtpd -o smtpd_authorized_xclient_hosts={CLIENT}",
    ])


def relay(lab: Lab, name: str, tls: str, port: int) -> pathlib.Path:
    """A Postfix of the client side that takes mail on its loopback and relays it to the server."""
    home = postfix(lab, name, "client", [f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_security_level=none"], default_transport="smtp", relay_transport="smtp",
                   local_transport="smtp", relayhost=f"[{SERVER}]:25", smtp_tls_security_level=tls, myhostname="branch.example.net", relay_domains="")
    return home


def exim(lab: Lab, name: str, side: str, settings: str) -> None:
    """An Exim of its own with these settings. Its package and Postfix's exclude one another, so it is unpacked into the recording's folder."""
    need("apt-get", "dpkg-deb")
    program, home = reachable(lab.work / "exim-program"), reachable(lab.work / name)
    if not (program / "usr").exists():
        if subprocess.run(["apt-get", "download", "exim4-daemon-heavy"], cwd=program, capture_output=True).returncode:
            raise RecordingError("exim4-daemon-heavy cannot be downloaded with apt-get; run apt-get update first")
        run("dpkg-deb", "-x", str(next(program.glob("*.deb"))), str(program))
    for folder in ("spool", "log"):
        (home / folder).mkdir()
    run("chown", "-R", "mail:mail", str(home / "spool"), str(home / "log"))
    (home / "exim.conf").write_text(f"""
primary_hostname = exim.{DOMAIN}
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
exim_path = {program}/usr/sbin/exim4
exim_user = mail
exim_group = mail
host_lookup =
rfc1413_hosts =
chunking_advertise_hosts =
keep_environment =
acl_smtp_rcpt = accept
acl_smtp_data = accept
{settings}""")
    mounts = []  # the binary insists on a user and a group of this name; `ip netns exec` has a mount namespace of its own, so the machine never sees them
    for table, line in (("passwd", "Debian-exim:x:8:8::/nonexistent:/usr/sbin/nologin\n"), ("group", "Debian-exim:x:8:\n")):
        (home / table).write_text(pathlib.Path("/etc", table).read_text() + line)
        (home / table).chmod(0o644)
        mounts.append(f"mount --bind {home}/{table} /etc/{table} && ")
    lab.start(side, "sh", "-c", "".join(mounts) + f"exec {program}/usr/sbin/exim4 -C {home}/exim.conf -bdf -q1h")


def haproxy(lab: Lab, name: str, side: str, frontends: str) -> subprocess.Popen:
    """A haproxy with these `listen` sections, in the mode that passes bytes on; `%CERT%` is a file with key and certificate."""
    need("haproxy")
    home = reachable(lab.work / name)
    both = home / "both.pem"
    both.write_text("".join(path.read_text() for path in certificate(lab)))
    config = home / "haproxy.cfg"
    config.write_text("global\n maxconn 50\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n" + frontends.replace("%CERT%", str(both)))
    return lab.start(side, "haproxy", "-db", "-f", str(config))


def news(lab: Lab) -> None:
    """INN's reader on 119 and 563: articles in one group, reading needs AUTHINFO, STARTTLS offered."""
    need("nnrpd", "makedbz")
    key, cert = certificate(lab)
    home = reachable(lab.work / "news")
    for folder in ("etc", "db", "log", "run", "spool", "spool/articles", "spool/overview", "spool/incoming", "spool/incoming/tmp", "spool/incoming/bad", "spool/outgoing", "spool/archive", "tmp"):
        reachable(home / folder)
    etc = home / "etc"
    (etc / "inn.conf").write_text(f"""
organization: Recording
domain: example.net
pathhost: news.{DOMAIN}
mta: /bin/true
hismethod: hisv6
ovmethod: tradindexed
enableoverview: true
pathnews: /usr/lib/news
pathetc: {etc}
pathdb: {home}/db
pathlog: {home}/log
pathrun: {home}/run
pathspool: {home}/spool
patharticles: {home}/spool/articles
pathoverview: {home}/spool/overview
pathincoming: {home}/spool/incoming
pathoutgoing: {home}/spool/outgoing
patharchive: {home}/spool/archive
pathtmp: {home}/tmp
pathfilter: {etc}
tlscertfile: {etc}/cert.pem
tlskeyfile: {etc}/key.pem
nnrpdloadlimit: 0
readerswhenstopped: true
port: 1190
""")
    for source in (key, cert):
        shutil.copy(source, etc)  # nnrpd reads them as user news and refuses a key that others may read
    (etc / "readers.conf").write_text(f"""
auth "all" {{
    hosts: "*"
    auth: "ckpasswd -f {etc}/newsusers"
    default-domain: "{DOMAIN}"
}}
access "members" {{
    users: "erin@{DOMAIN}"
    newsgroups: "*"
    access: RPAN
}}
""")
    (etc / "storage.conf").write_text("method tradspool {\n    newsgroups: *\n    class: 0\n}\n")
    (etc / "incoming.conf").write_text("streaming: true\nmax-connections: 2\npeer ME {\n hostname: \"localhost, 127.0.0.1\"\n}\n")
    (etc / "newsfeeds").write_text("ME:*::\n")
    (etc / "expire.ctl").write_text("*:A:1:10:never\n")
    for name in ("control.ctl", "moderators", "distrib.pats", "passwd.nntp", "cycbuff.conf", "buffindexed.conf", "innreport.conf", "inn-secrets.conf", "subscriptions", "distributions", "localgroups", "motd.innd"):
        (etc / name).write_text("")
    secret = run("openssl", "passwd", "-6", ACCOUNTS["erin"]).strip()
    (etc / "newsusers").write_text(f"erin:{secret}\n")
    (home / "db" / "active").write_text("local.test 0000000000 0000000001 y\n")
    (home / "db" / "newsgroups").write_text("local.test\tRecordings.\n")
    for name in ("active.times", "history"):
        (home / "db" / name).write_text("")
    run("chown", "-R", "news:news", str(home))
    environment = os.environ | {"INNCONF": str(etc / "inn.conf"), "PATH": os.environ["PATH"] + ":/usr/lib/news/bin"}
    news_user = ["setpriv", "--reuid=news", "--regid=news", "--clear-groups"]
    run(*news_user, "/usr/lib/news/bin/makedbz", "-i", "-o", env=environment, cwd=home / "db")
    lab.start("server", *news_user, "/usr/lib/news/bin/innd", "-d", "-f", env=environment)
    lab.wait_for(lambda: (home / "run" / "nntpin").exists(), "innd")
    lab.start("server", "/usr/lib/news/bin/nnrpd", "-D", "-f", "-4", SERVER, "-p", "119", env=environment)
    lab.start("server", "/usr/lib/news/bin/nnrpd", "-D", "-f", "-4", SERVER, "-p", "563", "-S", env=environment)
    lab.wait_for_port(SERVER, 119)


def mailboxes(lab: Lab) -> None:
    """The three Dovecots: open (clear-text logins taken, TLS offered), strict (TLS required), bare (no TLS)."""
    queue = lab.work / "postfix" / "queue" / "private" / "auth"
    dovecot(lab, "open", [SERVER, SERVER6, DIRECT, "127.0.0.1"], sasl_socket=queue if (lab.work / "postfix").exists() else None, lmtp=True)
    dovecot(lab, "strict", [STRICT], ssl="required", plaintext=False)
    dovecot(lab, "bare", [BARE], ssl="no")
