"""What a mail client does over DCE/RPC, with impacket: `rpc_clients.py NAME ADDRESS [WORD...]`. Runs in the client's namespace with Debian's Python.

Each function below is one NAME; passwords come from `servers.ACCOUNTS`. impacket signs at levels 5 and 6 alone; `connected` makes it sign at 3 and 4 too, as [MS-RPCE] wants.
"""
from __future__ import annotations

import sys

import exchange_stubs as stubs
from impacket import ntlm
from impacket.dcerpc.v5 import epm, nspi, oxabref, rpcrt, samr, transport
from impacket.uuid import uuidtup_to_bin
from servers import ACCOUNTS, DOMAIN

EMSMDB, NSPI, RFR = (uuidtup_to_bin(name) for name in (stubs.EMSMDB, stubs.NSPI, stubs.RFR))
PORT = 49701
KEYS = {"128": 0, "56": ntlm.NTLMSSP_NEGOTIATE_128, "40": ntlm.NTLMSSP_NEGOTIATE_128 | ntlm.NTLMSSP_NEGOTIATE_56,
        "no-ess": ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY, "no-exchange": ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH,
        "no-seal": ntlm.NTLMSSP_NEGOTIATE_SEAL | ntlm.NTLMSSP_NEGOTIATE_SIGN, "no-ess-56": ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY | ntlm.NTLMSSP_NEGOTIATE_128}
type_1 = ntlm.getNTLMSSPType1


def ask_without(flags: int) -> None:
    """impacket's NEGOTIATE without these flags."""
    def negotiate(*words, **keywords):
        message = type_1(*words, **keywords)
        message["flags"] &= ~flags
        message.setWorkstation("CLIENT1")
        return message
    ntlm.getNTLMSSPType1 = negotiate


def connected(binding: str, user: str = "", level: int = 1, *, keys: str = "128", version: int = 2, password: str | None = None, proxy: str | None = None, scheme: str = "Basic"):
    """A DCE/RPC connection of impacket, not yet bound."""
    ask_without(KEYS[keys])
    ntlm.USE_NTLMv2 = version == 2
    if level in (3, 4):
        rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY = level  # "sign from this level on"
    link = transport.DCERPCTransportFactory(binding)
    link.doesSupportNTLMv2 = lambda: version == 2
    if proxy:
        link.set_rpc_proxy_url(proxy)
        link.set_auth_type(scheme)
    link.set_credentials(user, ACCOUNTS.get(user, "") if password is None else password, "EXAMPLE" if user else "")
    dce = link.get_dce_rpc()
    dce.connect()
    if level > 1:
        dce.set_credentials(user, ACCOUNTS.get(user, "") if password is None else password, "EXAMPLE" if user else "")
        dce.set_auth_type(rpcrt.RPC_C_AUTHN_WINNT)
    dce.set_auth_level(level)
    return dce


def tcp(address: str, port: int = PORT) -> str:
    return f"ncacn_ip_tcp:{address}[{port}]"


def call(dce, opnum: int, stub: bytes) -> bytes:
    dce.call(opnum, stub)
    return dce.recv()


def mailbox(dce, user: str, flags: int = 0, version=stubs.OUTLOOK_2013, steps: tuple[str, ...] = ("logon", "open", "write")) -> None:
    """EcDoConnectEx, some EcDoRpcExt2, EcDoDisconnect on a bound connection."""
    answer = call(dce, 10, stubs.do_connect_ex(user, version))
    if answer[-4:] != bytes(4):
        return
    for step in steps:
        call(dce, 11, stubs.do_rpc_ext2(stubs.rops_asked(step, user), flags))
    call(dce, 1, stubs.CONTEXT)


FLAGS = {"plain": 0, "xor": stubs.XOR_MAGIC, "compressed": stubs.COMPRESSED, "both": stubs.XOR_MAGIC | stubs.COMPRESSED}


def mapi(address: str, user: str = "alice", level: str = "6", *words: str) -> None:
    """A mailbox session; words: how payloads are obfuscated, the NTLM keys' strength, `v1`, `old`, a port, `fragments` (small ones), `late` (say so when bound, and wait)."""
    port = next((int(word) for word in words if word.isdigit() and int(word) > 128), PORT)
    keys = next((word for word in words if word in KEYS), "128")
    dce = connected(tcp(address, port), "" if user == "nobody" else user, int(level), keys=keys, version=1 if "v1" in words else 2)
    dce.bind(EMSMDB)
    if "fragments" in words:
        dce.set_max_fragment_size(320)
    if "late" in words:
        print("bound", flush=True)
        sys.stdin.readline()
    mailbox(dce, user, next((FLAGS[word] for word in words if word in FLAGS), 0), stubs.OUTLOOK_2003 if "old" in words else stubs.OUTLOOK_2013)
    dce.disconnect()


def mapped(address: str, user: str, level: str) -> None:
    """The endpoint mapper is asked where EMSMDB lives, then the mailbox is opened there."""
    asked = connected(tcp(address, 135))
    binding = epm.hept_map(address, EMSMDB, protocol="ncacn_ip_tcp", dce=asked)
    asked.disconnect()
    dce = connected(binding, user, int(level))
    dce.bind(EMSMDB)
    mailbox(dce, user)
    dce.disconnect()


def upgraded(address: str, user: str, first: str) -> None:
    """Bound without protection (level 1 or 2), raised to level 6 by alter_context before any call."""
    dce = connected(tcp(address), user, int(first))
    dce.bind(EMSMDB)
    dce.set_credentials(user, ACCOUNTS[user], "EXAMPLE")
    dce.set_auth_level(6)
    raised = dce.alter_ctx(EMSMDB)
    mailbox(raised, user)
    dce.disconnect()


def lowered(address: str, user: str, then: str) -> None:
    """Bound at level 6, but the calls go without protection: after an alter_context at level 2, or (`then` is 1) just so."""
    dce = connected(tcp(address), user, 6)
    dce.bind(EMSMDB)
    dce.set_auth_level(int(then))
    if then == "2":
        lower = dce.alter_ctx(EMSMDB)
    else:
        lower = dce
    mailbox(lower, user, stubs.XOR_MAGIC)
    dce.disconnect()


def refused_then_encrypted(address: str, user: str) -> None:
    """ecNotEncrypted at level 2, then the same again at level 6."""
    mapi(address, user, "2", "49702")
    mapi(address, user, "6", "49702")


def directory(address: str, user: str, level: str) -> None:
    """NSPI: NspiBind and NspiUnbind; RFR: RfrGetFQDNFromServerDN."""
    dce = connected(tcp(address), user, int(level))
    dce.bind(NSPI)
    stat = nspi.STAT()
    stat["CodePage"] = 1252
    handle = nspi.hNspiBind(dce, stat)["contextHandle"]
    nspi.hNspiUnbind(dce, handle)
    dce.disconnect()
    dce = connected(tcp(address), user, int(level))
    dce.bind(RFR)
    oxabref.hRfrGetFQDNFromServerDN(dce, stubs.SERVER_DN + "\0")
    dce.disconnect()


def denied(address: str, user: str) -> None:
    """A wrong password (the first call is a fault), a server that faults below level 6, one that knows no authentication, an interface that nobody serves."""
    for port, level, password in ((PORT, 6, "autumn-leaves-1"), (49703, 2, None), (49704, 6, None)):
        dce = connected(tcp(address, port), user, level, password=password)
        try:
            dce.bind(EMSMDB)
            mailbox(dce, user)
        except rpcrt.DCERPCException as error:
            print(error)
        dce.disconnect()
    dce = connected(tcp(address, 135))
    try:
        dce.bind(uuidtup_to_bin(("12345678-1234-abcd-ef00-01234567cffb", "1.0")))
    except rpcrt.DCERPCException as error:
        print(error)
    dce.disconnect()


def greeted(address: str, user: str, level: str, port: str) -> None:
    """ncacn_http straight to the server: it greets with ncacn_http/1.0, then DCE/RPC as over TCP."""
    dce = connected(f"ncacn_http:{address}[{port}]", user, int(level))
    dce.bind(EMSMDB)
    mailbox(dce, user, stubs.XOR_MAGIC)
    dce.disconnect()


def piped(address: str, user: str, level: str) -> None:
    """A mailbox session over a named pipe."""
    dce = connected(rf"ncacn_np:{address}[\pipe\exchange]", user, int(level))
    dce.bind(EMSMDB)
    mailbox(dce, user, stubs.XOR_MAGIC)
    dce.disconnect()


def over_http(address: str, user: str, level: str, scheme: str, tls: str = "") -> None:
    """RPC over HTTP version 2 through a proxy."""
    dce = connected("ncacn_http:exch1[6001]", user, int(level), proxy=f"http{'s' if tls else ''}://{address}/rpc/rpcproxy.dll", scheme=scheme)
    dce.bind(EMSMDB)
    mailbox(dce, user, stubs.XOR_MAGIC)
    dce.disconnect()


class Bind(rpcrt.MSRPCBind):
    """impacket writes a bind's contexts once more each time it is asked for the bytes; Samba minds."""

    def getData(self) -> bytes:
        self["ctx_items"] = b""
        return super().getData()


def kerberos(address: str, user: str, level: str) -> None:
    """SAMR on the domain controller with the Kerberos ticket in KRB5CCNAME."""
    rpcrt.MSRPCBind = Bind
    link = transport.DCERPCTransportFactory(epm.hept_map(f"dc1.{DOMAIN}", samr.MSRPC_UUID_SAMR, protocol="ncacn_ip_tcp"))
    link.set_kerberos(True, kdcHost=address)
    dce = link.get_dce_rpc()
    dce.connect()
    dce.set_credentials(user, ACCOUNTS[user], DOMAIN.upper())
    dce.set_auth_type(rpcrt.RPC_C_AUTHN_GSS_NEGOTIATE)
    dce.set_auth_level(int(level))
    dce.bind(samr.MSRPC_UUID_SAMR)
    handle = samr.hSamrConnect(dce)["ServerHandle"]
    samr.hSamrEnumerateDomainsInSamServer(dce, handle)
    samr.hSamrCloseHandle(dce, handle)
    dce.disconnect()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
