"""Samples of a Windows domain: DCE/RPC with NTLM, SPNEGO and Kerberos, LDAP, SMB pipes, Negotiate over HTTP; see `scenarios` for what the fields mean."""
from __future__ import annotations

import domain
from net import CONTROLLER, DEBIAN_PYTHON, HERE, SERVER, STRICT
from scenarios import Sample, Step, tls13
from scenarios_rpc import IMPACKET, context
from servers import ACCOUNTS, DOMAIN

A = ACCOUNTS["alice"]
SAMBA, SLAPD, LDAP_TOOLS = "Samba 4.17.12", "OpenLDAP slapd 2.5.13", "ldapsearch 2.5.13"
NO_KDC = "tcp and not port 88"
DC = f"dc1.{DOMAIN}"
ACCOUNT = f"EXAMPLE\\alice%{A}"


def named(*argv: str, etypes: str = "any", fails: bool = False) -> Step:
    """A program that knows the names and the realm of the domain; steps run in the recording's folder."""
    return Step(["sh", "-c", 'mount --bind hosts /etc/hosts && exec "$@"', "sh", "env", f"KRB5_CONFIG=krb5-{etypes}.conf",
           f"KRB5CCNAME=tickets-{etypes}", *argv], fails=fails)


def rpcclient(binding: str, *words: str, account: str = ACCOUNT, call: str = "enumdomains", etypes: str = "", fails: bool = False) -> Step:
    """rpcclient with NTLM, or with the Kerberos tickets that `kinit(etypes)` got."""
    login = "--use-kerberos=required" if etypes else f"--user={account}"
    return named("rpcclient", "--configfile=/dev/null", "--option=netbios name=CLIENT1", login, *words, binding, "-c", call, etypes=etypes or "any", fails=fails)


def over_tcp(*options: str, host: str = CONTROLLER) -> str:
    return f"ncacn_ip_tcp:{host}[{','.join(options)}]"


def ldapsearch(url: str, *words: str, base: str = domain.BASE, etypes: str = "any", fails: bool = False) -> Step:
    return named("env", "LDAPTLS_REQCERT=never", "LDAPCONF=/dev/null", "ldapsearch", "-LLL", "-N", "-H", url, *words, "-b", base, "-s", "base",
           "objectClass", etypes=etypes, fails=fails)


def kinit(etypes: str) -> Step:
    """Tickets for Alice: for the realm and for the domain controller's DCE/RPC."""
    return named("sh", "-c", f"printf %s '{A}' | kinit alice && kvno -q host/{DC}", etypes=etypes)


def negotiated(host: str, etypes: str) -> Step:
    return named("curl", "--silent", "--show-error", "--negotiate", "--user", ":", "--output", "/dev/null", f"http://{host}.{DOMAIN}:8084/private/", etypes=etypes)


def impacket(level: str, etypes: str) -> Step:
    """impacket with the ticket that `kinit(etypes)` got: Samba's KDC refuses the requests that impacket makes itself."""
    return named(DEBIAN_PYTHON, str(HERE / "rpc_clients.py"), "kerberos", CONTROLLER, "alice", level, etypes=etypes)


PERSON = f"cn=alice,{domain.BASE}"
ASKED = context("EPM", "-", 1, 1)
MAPPER, RPC, SMB, LDAP = "dcerpc epmapper none - full", "dcerpc rpc none - full", "smb smb none - full", "ldap ldap none - full"
NTLM, TICKET = "NTLM alice guessable success", "GSSAPI - ticket success"  # a ticket does not say in clear whose it is
SERVERS = {"domain": domain.controller, "kerberos-web": domain.kerberos_web, "openldap": domain.openldap}

SAMPLES = [
    Sample("rpc-samba-levels.pcap", "SAMR calls with NTLM at levels connect, packet, integrity and privacy", SAMBA, [rpcclient(over_tcp(level,
           "ntlm")) for level in ("connect", "packet", "sign", "seal")],
           filter=NO_KDC, secrets=[A], servers=("domain",),
           sessions=[MAPPER, RPC] * 4, logins=[NTLM] * 4, findings="PS106 PS120 PS504",
           rpc=[ASKED, context("SAMR", "NTLM", 2, 5, "NTLMv2 -"), ASKED, context("SAMR", "NTLM", 4, 5, "NTLMv2 -"), ASKED, context("SAMR", "NTLM", 5, 5,
           "NTLMv2 -"), ASKED, context("SAMR", "NTLM", 6, 5, "NTLMv2 128")]),
    Sample("rpc-samba-spnego.pcap", "SAMR calls sealed by SPNEGO, which chooses NTLM, then Kerberos", SAMBA, [rpcclient(over_tcp("seal", "spnego")), kinit("any"),
           rpcclient(over_tcp("seal", "spnego", host=DC), etypes="any")],
           filter=NO_KDC, secrets=[A], servers=("domain",),
           sessions=[MAPPER, RPC] * 2, logins=[NTLM, TICKET], findings="PS106 PS120 PS504",
           rpc=[ASKED, context("SAMR", "NTLM", 6, 5, "NTLMv2 128"), ASKED, context("SAMR", "KERBEROS", 6, 5, etypes="18 18")]),
    Sample("rpc-samba-ntlmv1.pcap", "SAMR calls sealed with NTLMv1: with extended session security and 56 bit, without it", SAMBA,
           [rpcclient(over_tcp("seal", "ntlm"), "--option=client ntlmv2 auth=no", *more) for more in (["--option=ntlmssp_client:128bit=no"], ["--option=ntlmssp_client:ntlm2=no"])],
           filter=NO_KDC, secrets=[A], servers=("domain",),
           sessions=[MAPPER, RPC] * 2, logins=[NTLM] * 2, findings="PS106 PS107 PS120 PS505 PS506",
           rpc=[ASKED, context("SAMR", "NTLM", 6, 5, "NTLMv1 40"), ASKED, context("SAMR", "NTLM", 6, 5, "NTLMv1 40")]),
    Sample("rpc-samba-anonymous.pcap", "SAMR calls of nobody: NTLM with an empty name, and no authentication at all", SAMBA, [rpcclient(over_tcp("seal",
           "ntlm"), account="%"), rpcclient(over_tcp(), account="%", fails=True)],
           filter=NO_KDC, servers=("domain",),
           sessions=[MAPPER, RPC] * 2, logins=["NTLM - none success"], findings="PS118 PS120 PS508",
           rpc=[ASKED, context("SAMR", "NTLM", 6, 5, "anonymous 40"), ASKED, context("SAMR", "-", 1, 5)]),
    Sample("rpc-samba-wrong.pcap", "A wrong password: with NTLM the first SAMR call is a fault, with SPNEGO the second step of binding", SAMBA,
           [rpcclient(over_tcp("seal", "ntlm"), account="EXAMPLE\\alice%letmein-7", fails=True), rpcclient(over_tcp("seal",
           "spnego"), account="EXAMPLE\\alice%letmein-7", fails=True)],
           filter=NO_KDC, secrets=["letmein-7"], servers=("domain",),
           sessions=[MAPPER, RPC] * 2, logins=["NTLM alice guessable failed"] * 2, findings="PS106 PS120 PS518",
           rpc=[ASKED, context("SAMR", "NTLM", 6, 1, "NTLMv2 128"), ASKED, context("SAMR", ntlm="NTLMv2 128")]),
    Sample("rpc-kerberos-aes.pcap", "SAMR calls with Kerberos and AES: sealed, signed only, at level connect (impacket)", f"{SAMBA}, {IMPACKET}",
           [kinit("aes"), rpcclient(over_tcp("seal", "krb5", host=DC), etypes="aes"), rpcclient(over_tcp("sign", "krb5", host=DC), etypes="aes"), impacket("2",
           "aes")],
           filter=NO_KDC, secrets=[A], servers=("domain",),
           sessions=[MAPPER, RPC] * 3, logins=[TICKET] * 3, rpc=[ASKED, context("SAMR", "KERBEROS", 6, 5, etypes="18 18"), ASKED, context("SAMR",
           "KERBEROS", 5, 5, etypes="18 18"), ASKED, context("SAMR", "KERBEROS", 2, 3, etypes="18 18")]),
    Sample("rpc-kerberos-rc4.pcap", "SAMR calls with Kerberos and RC4 session keys (the ticket is AES): sealed, signed only", SAMBA,
           [kinit("rc4"), rpcclient(over_tcp("seal", "krb5", host=DC), etypes="rc4"), rpcclient(over_tcp("sign", "krb5", host=DC), etypes="rc4")], filter=NO_KDC,
           secrets=[A], servers=("domain",),
           sessions=[MAPPER, RPC] * 2, logins=[TICKET] * 2, findings="PS507",
           rpc=[ASKED, context("SAMR", "KERBEROS", 6, 5, etypes="18 23"), ASKED, context("SAMR", "KERBEROS", 5, 5, etypes="18 23")]),
    Sample("smb-pipe.pcap", "LSA over a named pipe: SMB 3.1.1, signed, not encrypted", SAMBA, [rpcclient(CONTROLLER, "--port=445", call="lsaquery")],
           filter="tcp port 445", secrets=[A], servers=("domain",),
           sessions=[SMB], logins=[NTLM], findings="PS106 PS120", rpc=[context("LSARPC", "-", 1, 3, transport="smb")]),
    Sample("smb-pipe-smb2.pcap", "LSA over a named pipe of SMB 2.1, with Kerberos", SAMBA, [kinit("any"), rpcclient(DC, "--port=445",
           "--option=client ipc max protocol=SMB2_10", call="lsaquery", etypes="any")], filter="tcp port 445",
           secrets=[A], servers=("domain",),
           sessions=[SMB], logins=[TICKET], rpc=[context("LSARPC", "-", 1, 3, transport="smb")]),
    Sample("smb-pipe-encrypted.pcap", "LSA over a named pipe: SMB 3.1.1, encrypted", SAMBA, [rpcclient(CONTROLLER, "--port=445",
           "--client-protection=encrypt", call="lsaquery")], filter="tcp port 445", secrets=[A],
           servers=("domain",),
           sessions=[SMB], logins=[NTLM], findings="PS106 PS120"),
    Sample("ldap-simple.pcap", "Simple binds in clear: right, wrong, anonymous, a name without a password", f"{SLAPD}, {LDAP_TOOLS}",
           [ldapsearch(f"ldap://{SERVER}", "-x", "-D", PERSON, "-w", A), ldapsearch(f"ldap://{SERVER}", "-x", "-D", PERSON, "-w", "letmein-7", fails=True),
           ldapsearch(f"ldap://{SERVER}", "-x"),
            ldapsearch(f"ldap://{SERVER}", "-x", "-D", PERSON, fails=True)], secrets=[A, "letmein-7"], servers=("domain", "openldap"),
           sessions=[LDAP] * 4, logins=[f"SIMPLE-BIND {PERSON} password success", f"SIMPLE-BIND {PERSON} password failed", "SIMPLE-BIND - none success",
           f"SIMPLE-BIND {PERSON} none failed"], findings="PS116 PS118"),
    Sample("ldap-refused.pcap", "A simple bind to a server that wants TLS first", f"{SLAPD}, {LDAP_TOOLS}", [ldapsearch(f"ldap://{STRICT}", "-x", "-D", PERSON,
           "-w", A, fails=True)], secrets=[A],
           servers=("domain", "openldap"),
           sessions=[LDAP], logins=[f"SIMPLE-BIND {PERSON} password failed"], findings="PS116"),
    Sample("ldap-starttls.pcap", "StartTLS before a simple bind", f"{SLAPD}, {LDAP_TOOLS}", [ldapsearch(f"ldap://{SERVER}", "-ZZ", "-x", "-D", PERSON, "-w", A)],
           secrets=[A], servers=("domain", "openldap"),
           sessions=["ldap ldap starttls tls_established full"], findings="PS430 PS454", tls=[tls13(group="secp256r1")]),
    Sample("ldaps.pcap", "TLS from the first byte on port 636", f"{SLAPD}, {LDAP_TOOLS}", [ldapsearch(f"ldaps://{SERVER}", "-x", "-D", PERSON, "-w", A)],
           secrets=[A], servers=("domain", "openldap"),
           sessions=["tls ldaps implicit - full"], findings="PS430 PS454", tls=[tls13(group="secp256r1")]),
    Sample("ldap-active-directory.pcap", "Simple bind with a user principal name, SASL GSSAPI with AES and RC4, SASL GSS-SPNEGO with NTLM", f"{SAMBA}, {LDAP_TOOLS}",
           [ldapsearch(f"ldap://{DC}", "-x", "-D", f"alice@{DOMAIN}", "-w", A), kinit("aes"), ldapsearch(f"ldap://{DC}", "-Q", "-Y", "GSSAPI", etypes="aes"),
           kinit("rc4"),
            ldapsearch(f"ldap://{DC}", "-Q", "-Y", "GSSAPI", "-O", "maxssf=0", etypes="rc4"),
            named("samba-tool", "group", "list", "--configfile=/dev/null", "--option=netbios name=CLIENT1", "-H", f"ldap://{CONTROLLER}", f"--user={ACCOUNT}",
           "--use-kerberos=off")],
           filter=NO_KDC, secrets=[A], servers=("domain",),
           sessions=[LDAP] * 4, logins=[f"SIMPLE-BIND alice@{DOMAIN} password success", TICKET, TICKET, NTLM], findings="PS106 PS116 PS120 PS127 PS507"),
    Sample("http-negotiate.pcap", "Negotiate with Kerberos: a service whose key is AES, one whose key is RC4",
           "Python 3.11 http.server with python3-gssapi 1.8.2, curl 7.88.1, Samba 4.17.12",
           [kinit("any"), negotiated("mail", "any"), negotiated("legacy", "any")], filter=NO_KDC, secrets=[A], servers=("domain", "kerberos-web"),
           sessions=["http http none - full"] * 2, logins=["NEGOTIATE - ticket success"] * 2, findings="PS124 PS507",
           http=["GET other NEGOTIATE success - 200 -"] * 2),
]
