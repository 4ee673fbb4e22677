"""A Windows domain of Samba's, with Kerberos, LDAP, SMB and DCE/RPC, and an OpenLDAP beside it; started inside a namespace of `net.Lab` with configurations of their own."""
from __future__ import annotations

import os
import pathlib

import servers
from net import CONTROLLER, DEBIAN_PYTHON, HERE, SERVER, STRICT, Lab, need, run
from servers import ACCOUNTS, DOMAIN

REALM, NT_DOMAIN = DOMAIN.upper(), "EXAMPLE"
BASE = ",".join(f"dc={part}" for part in DOMAIN.split("."))
HOSTS = {"dc1": CONTROLLER, "mail": SERVER, "legacy": SERVER}
RC4_SERVICE = "legacy"  # a service account whose key is RC4 alone
ADMINISTRATOR = "Adm1n-of-recordings"  # nobody logs in with it


def hosts(lab: Lab) -> pathlib.Path:
    """A hosts file with the names of the domain, for `named`."""
    path = lab.work / "hosts"
    path.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}.{DOMAIN} {name}\n" for name, address in HOSTS.items()))
    path.chmod(0o644)
    return path


def named(lab: Lab, *argv: str) -> list[str]:
    """A command that resolves the names of `hosts`: `ip netns exec` has a mount namespace of its own, so the machine never sees the file."""
    return ["sh", "-c", f"mount --bind {lab.work}/hosts /etc/hosts && exec \"$@\"", "sh", *argv]


def kerberos(lab: Lab, name: str, etypes: str) -> pathlib.Path:
    """A krb5.conf for clients that want these encryption types."""
    path = lab.work / f"krb5-{name}.conf"
    path.write_text(f"""[libdefaults]
 default_realm = {REALM}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 rdns = false
 dns_canonicalize_hostname = false
 allow_weak_crypto = true
 allow_rc4 = true
 default_tkt_enctypes = {etypes}
 default_tgs_enctypes = {etypes}
 permitted_enctypes = {etypes}
[realms]
 {REALM} = {{
  kdc = {CONTROLLER}
 }}
[domain_realm]
 .{DOMAIN} = {REALM}
""")
    path.chmod(0o644)
    return path


def controller(lab: Lab) -> None:
    """An Active Directory controller that takes NTLMv1, level connect and simple binds without TLS, as old ones do."""
    need("samba", "samba-tool", "smbclient", "rpcclient", "kinit")
    home = servers.reachable(lab.work / "dc")
    hosts(lab)
    for name, etypes in (("aes", "aes256-cts-hmac-sha1-96"), ("rc4", "arcfour-hmac-md5"), ("any", "aes256-cts-hmac-sha1-96 arcfour-hmac-md5")):
        kerberos(lab, name, etypes)
    base = home / "base.conf"
    base.write_text("[global]\n")
    run("samba-tool", "domain", "provision", f"--configfile={base}", f"--targetdir={home}", f"--realm={REALM}", f"--domain={NT_DOMAIN}", "--server-role=dc", "--host-name=dc1", f"--host-ip={CONTROLLER}",
        "--dns-backend=SAMBA_INTERNAL", f"--adminpass={ADMINISTRATOR}")
    config = home / "etc" / "smb.conf"
    settings = f"""
 interfaces = {CONTROLLER}
 bind interfaces only = yes
 server services = s3fs rpc ldap kdc winbindd
 log file = {home}/log
 pid directory = {home}
 ncalrpc dir = {home}/ncalrpc
 ntp signd socket directory = {home}/ntp_signd
 ntlm auth = ntlmv1-permitted
 client ntlmv2 auth = yes
 allow dcerpc auth level connect = yes
 allow dcerpc auth level connect:samr = yes
 ldap server require strong auth = no
 server min protocol = NT1
 disable netbios = yes
 smb ports = 445
 load printers = no
 printing = bsd
"""
    text = "\n".join(line for line in config.read_text().splitlines() if "dns forwarder" not in line and "log file" not in line)
    config.write_text(text.replace("[global]", "[global]" + settings, 1))
    tool = ["samba-tool"]
    words = (f"--configfile={config}",)
    run(*tool, "domain", "passwordsettings", "set", "--complexity=off", "--min-pwd-length=6", *words)
    for user in ("alice", "erin"):
        run(*tool, "user", "create", user, ACCOUNTS[user], *words)
    for account, host, secret in (("webserver", "mail", ACCOUNTS["bob"]), (RC4_SERVICE, RC4_SERVICE, ACCOUNTS["carol"])):
        run(*tool, "user", "create", account, secret, *words)
        run(*tool, "spn", "add", f"HTTP/{host}.{DOMAIN}", account, *words)
    run(*tool, "spn", "add", f"ldap/dc1.{DOMAIN}", "DC1$", *words)
    for folder in ("ncalrpc", "run"):
        servers.reachable(home / folder)
    private = f"mkdir -p /run/samba && mount --bind {home}/run /run/samba && exec \"$@\""  # where the parts of Samba look for each other, whatever smb.conf says
    lab.start("server", *named(lab, "sh", "-c", private, "sh", "samba", "-F", "--no-process-group", "-M", "standard", "-s", str(config)))
    for port in (445, 389, 88, 135, 49152):
        lab.wait_for_port(CONTROLLER, port)
    for account, etypes in (("webserver", 24), (RC4_SERVICE, 4)):  # AES alone, RC4 alone
        change = f"dn: CN={account},CN=Users,{BASE}\nchangetype: modify\nreplace: msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: {etypes}\n"
        lab.client("ldapmodify", "-x", "-H", f"ldap://{CONTROLLER}", "-D", f"administrator@{DOMAIN}", "-w", ADMINISTRATOR, side="server", data=change)
    for host in ("mail", RC4_SERVICE):
        run(*tool, "domain", "exportkeytab", str(home / "web.keytab"), f"--principal=HTTP/{host}.{DOMAIN}", *words)


def kerberos_web(lab: Lab) -> None:
    """The pages of `web.py` behind Negotiate on port 8084, for two names: one whose key is AES, one whose key is RC4."""
    environment = os.environ | {"KRB5_KTNAME": str(lab.work / "dc" / "web.keytab"), "KRB5_CONFIG": str(lab.work / "krb5-any.conf")}
    lab.start("server", *named(lab, DEBIAN_PYTHON, str(HERE / "web.py"), SERVER, "8084", "negotiate"), env=environment)
    lab.wait_for_port(SERVER, 8084)


def openldap(lab: Lab) -> None:
    """slapd on 389 (StartTLS offered, not asked for) and 636; on another address one that wants TLS before a simple bind."""
    need("slapd", "slapadd", "ldapsearch")
    key, cert = servers.certificate(lab)
    for name, address, more in (("open", SERVER, ""), ("strict", STRICT, "security simple_bind=128")):
        home = servers.reachable(lab.work / f"slapd-{name}")
        (home / "data").mkdir()
        config = home / "slapd.conf"
        config.write_text(f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {home}/pid
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
{more}
database mdb
suffix "{BASE}"
rootdn "cn=manager,{BASE}"
directory {home}/data
""")
        people = "".join(f"\ndn: cn={user},{BASE}\nobjectClass: inetOrgPerson\ncn: {user}\nsn: {user}\nmail: {user}@{DOMAIN}\nuserPassword: {ACCOUNTS[user]}\n" for user in ("alice", "erin"))
        entries = home / "entries.ldif"
        entries.write_text(f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n{people}")
        run("slapadd", "-f", str(config), "-l", str(entries))
        lab.start("server", "slapd", "-d", "0", "-f", str(config), "-h", f"ldap://{address} ldaps://{address}")
        lab.wait_for_port(address, 389)
