"""RPC as parsers would hand it over, built by hand: associations, contexts, securities and the logins behind them."""
from __future__ import annotations

from pcapsec.records import Login, MapiFacts, RpcContext, RpcFacts, RpcSecurity
from pcapsec.rules.exchange import KINDS
from pcapsec.secret import Secret

UUIDS = {kind: uuid for uuid, kind in KINDS.items()}
NAMES = {"emsmdb": "EMSMDB", "asyncemsmdb": "AsyncEMSMDB", "nspi": "NSPI", "rfr": "RFR", "epm": "EPM", "svcctl": "svcctl"}
UUIDS |= {"epm": "e1af8308-5d1f-11c9-91a4-08002b14a0fa", "mgmt": "afa8bd80-7d8a-11c9-bef4-08002b102989", "svcctl": "367abb81-9844-35f1-ad32-98f038001003"}
EXCHANGE = ("emsmdb", "asyncemsmdb", "nspi", "rfr")
SIGN, SEAL, ESS, BITS_128, BITS_56, KEY_EXCH, ANONYMOUS = 0x10, 0x20, 0x80000, 0x20000000, 0x80000000, 0x40000000, 0x800
STRONG = SIGN | SEAL | ESS | BITS_128 | KEY_EXCH
FLAG_NAMES = {SIGN: "SIGN", SEAL: "SEAL", ANONYMOUS: "ANONYMOUS", ESS: "EXTENDED_SESSIONSECURITY", BITS_128: "128", KEY_EXCH: "KEY_EXCH", BITS_56: "56"}


def ntlm(flags: int = STRONG, *, protocol: str = "dcerpc", version: str = "NTLMv2", **fields) -> Login:
    """A whole NTLM login of CORP's alice; what its details say follows from the flags of its last message."""
    anonymous = version == "anonymous"
    bits = None if not flags & SEAL else 128 if flags & ESS and flags & BITS_128 else 56 if flags & BITS_56 else 40
    details = {
        "ntlm_version": version, "server_challenge_seen": True, "challenge_seen": True, "nt_length": 0 if anonymous else 24 if version == "NTLMv1" else 200, "lm_length": 24,
        "ntlm_flags": flags, "ntlm_flag_names": [name for flag, name in FLAG_NAMES.items() if flags & flag], "sign": bool(flags & SIGN), "seal": bool(flags & SEAL),
        "key_exchange": bool(flags & KEY_EXCH), "ess": bool(flags & ESS), "anonymous": anonymous, "mic": None, "channel_binding": None, "av_flags": None,
        "key_bits": bits, "spec_key_bits": bits if flags & ESS or bits is None else 128, **fields.pop("details", {}),
    }
    account = {} if anonymous else {"principal": "alice", "domain": "CORP", "secret": Secret(b"0123456789abcdef0123456789abcdef"), "secret_at": 300, "exposure": "guessable"}
    return Login(**{"protocol": protocol, "mechanism": "NTLM", "at": 100, "result": "success", "details": details, **account, **fields})


def kerberos(ticket: int | None = 18, authenticator: int | None = 18, *, protocol: str = "dcerpc", spn: str | None = "exchangeMDB/mail.corp.example", **fields) -> Login:
    """A Kerberos login; encryption types of its ticket and of its session key."""
    details = {"realm": "CORP.EXAMPLE", "spn": spn, "ticket_etype": ticket, "etype": ticket, "authenticator_etype": authenticator, **fields.pop("details", {})}
    return Login(**{"protocol": protocol, "mechanism": "NEGOTIATE" if protocol == "http" else "GSSAPI", "at": 100, "domain": "CORP.EXAMPLE", "secret": Secret(b"ticket " * 20),
                    "secret_at": 110, "exposure": "ticket", "result": "success", "details": details, **fields})


def security(login: Login | None = None, *levels: int, **fields) -> RpcSecurity:
    """A security context, by NTLM or Kerberos as its login says; `levels` are those announced."""
    mechanism = None if login is None else "NTLM" if login.mechanism == "NTLM" else "KERBEROS"
    return RpcSecurity(**{"at": 100, "auth_context_id": 1, "auth_type": 16 if mechanism == "KERBEROS" else 10, "levels_announced": levels, "mechanism": mechanism,
                          "established": True, "login": login, **fields})


def context(kind: str | None = "emsmdb", levels: dict[int, int] | None = None, *securities: RpcSecurity, **fields) -> RpcContext:
    """A presentation context as it was used: `levels` are those in force, with the number of requests."""
    levels = levels or {}
    n, lowest = sum(levels.values()), min(levels, default=None)
    clear = sum(count for level, count in levels.items() if level < 6)
    under = securities[0].mechanism if securities and lowest != 1 else None
    return RpcContext(**{
        "at": 80, "context_id": 0, "interface_uuid": UUIDS.get(kind), "interface": NAMES.get(kind), "interface_version": "1.0", "interface_source": "bind" if kind else None,
        "transfer_syntax": "ndr", "accepted": True, "securities": list(securities), "auth_type": under, "auth_level": lowest, "levels": levels,
        "levels_announced": tuple(level for one in securities for level in one.levels_announced), "requests": n, "responses": n, "opnums": {11: n} if n else {},
        "call_names": ("EcDoRpcExt2",) if kind == "emsmdb" and n else (), "first_request_at": 400 if n else None, "weakest_request_at": 500 if n else None,
        "stub_bytes": 200 * n, "clear_stub_bytes": 200 * clear, **fields,
    })


def association(*contexts: RpcContext, **fields) -> RpcFacts:
    """One connection, with the securities of its contexts."""
    securities = list({id(one): one for row in contexts for one in row.securities}.values())
    return RpcFacts(**{"contexts": list(contexts), "securities": securities, "header_signing": True, "bind_at": 70, "n_pdus": 10, **fields})


def mapi(**fields) -> MapiFacts:
    return MapiFacts(**fields)


def facts_of(*associations: RpcFacts, logins: list[Login] | None = None) -> dict:
    """Fields of a session that carries them."""
    if logins is None:
        logins = [one.login for row in associations for one in row.securities if one.login is not None]
    return {"rpc": list(associations), "logins": logins}
