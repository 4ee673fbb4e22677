"""Hand-made sessions for tables, reports and commands."""
from __future__ import annotations

from pcapsec.records import (
    CLIENT, SERVER, Anomaly, Capture, Facts, Finding, HttpFacts, HttpRequest, Login, MapiFacts, Message, RpcContext, RpcFacts, RpcSecurity, Session, TlsHandshake,
)
from pcapsec.rules.rule import Rule
from pcapsec.secret import Secret

T0 = 1_714_550_400_000_000_000  # 2024-05-01T08:00:00Z
PASSWORD = b"S3cret,pass\xff"

PLAIN = Rule(id="PS101", slug="smtp-auth-plain", title="SMTP AUTH PLAIN in clear", severity="critical", confidence="high", category="credential", scope="login",
             protocols=("smtp",), remediation="require TLS before AUTH", references=("RFC 4954 §4", "RFC 8314 §3.3"))
UNUSED = Rule(id="PS204", slug="starttls-offered-unused", title="STARTTLS offered but client continued in clear", severity="high", confidence="high",
              category="cleartext", scope="session", protocols=("smtp",), remediation="make the client use STARTTLS", references=("RFC 3207",))
DROPS = Rule(id="PS005", slug="kernel-drops", title="Capture reports dropped packets", severity="low", confidence="high", category="capture", scope="capture",
             protocols=("any",), remediation="use larger buffers", references=("pcapng §4.6",))
RULES = {rule.id: rule for rule in (DROPS, PLAIN, UNUSED)}


def locate(side: int, at: int) -> tuple[str, int, int]:
    """One frame per 100 bytes and 1 µs per byte."""
    return "monday.pcap", 10 + at // 100, T0 + 1000 * at


def submission(n: int = 0, **changes) -> Session:
    """An SMTP conversation in clear: EHLO, AUTH PLAIN, one message; two findings of one story."""
    facts = Facts(
        protocol="smtp", greeting="mail.example.com ESMTP", greeting_code="220", greeting_at=0, client_name="pc.example.com", hello_verb="EHLO",
        capabilities=("SIZE 1000", "STARTTLS", "AUTH PLAIN"), capabilities_complete=True, starttls_offered=True, starttls_requested=False,
        auth_mechanisms=("PLAIN",), n_commands=6, n_replies=7)
    facts.logins.append(Login(protocol="smtp", mechanism="PLAIN", at=20, principal="alice@example.com", secret=Secret(PASSWORD), secret_at=20,
                              exposure="password", result="success", reply_code="235"))
    facts.messages.append(Message(protocol="smtp", direction="submitted", side=CLIENT, at=200, mail_from="alice@example.com", rcpt_to=["bob@example.org", "eve@example.net"],
                                  reply_code="250", accepted=True, message_id="<1@example.com>", size_bytes=512, complete=True, content_type="text/plain",
                                  from_domain="example.com", to_domains=("example.org",), subject_length=5))
    facts.messages.append(Message(protocol="smtp", direction="submitted", side=CLIENT, at=300, mail_from="x@example.com", has_content=False))
    facts.anomalies.append(Anomaly(code="line-too-long", side=SERVER, at=7, detail="600 bytes"))
    session = Session(
        session_id=f"{n:08x}00000000", capture="monday.pcap", start_ns=T0 + n * 1_000_000, end_ns=T0 + n * 1_000_000 + 5_000_000_123, frame=1, last_frame=20,
        client_ip="192.0.2.7", client_port=40000 + n, server_ip="198.51.100.25", server_port=587, role_source="syn", facts=facts, protocol="smtp",
        service="submission", service_source="port", packets_client=9, packets_server=8, bytes_client=700, bytes_server=300, verdict="exposed",
        worst_severity="critical", not_observable=[("PS201", "gap")], locate=locate)
    session.findings = [
        Finding(rule=PLAIN, severity="critical", confidence="high", title="Password of alice@example.com sent in clear", variant="PLAIN", side=CLIENT, at=20,
                principal="alice@example.com", mechanism="PLAIN", auth_result="success", evidence={"initial_response": True, "reply_code": "235"},
                finding_id=f"{n:08x}000000aa"),
        Finding(rule=UNUSED, severity="high", confidence="medium", title="STARTTLS offered, not used", side=CLIENT, at=20, evidence={}, severity_reason="a;b",
                finding_id=f"{n:08x}000000bb", because_of=f"{n:08x}000000aa"),
    ]
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def imaps(n: int = 0, **changes) -> Session:
    """IMAP over TLS from the first byte, over IPv6: nothing to see."""
    tls = TlsHandshake(version="TLSv1.3", offered_versions=("TLSv1.3", "TLSv1.2"), cipher_suite="TLS_AES_128_GCM_SHA256", sni="imap.example.com", alpn="imap",
                       client_hello_at=0, server_hello_at=0, established=True, complete=True)
    session = Session(
        session_id=f"{n:08x}7ffffff7", capture="monday.pcap", start_ns=T0 + n * 1_000_000, end_ns=T0 + n * 1_000_000 + 1000, frame=5, last_frame=9,
        client_ip="2001:db8::7", client_port=40000, server_ip="2001:db8::25", server_port=993, role_source="syn", facts=Facts(), tls=tls, protocol="tls",
        service="imaps", service_source="port", tls_mode="implicit", bytes_client=1000, bytes_server=5000, verdict="protected", locate=locate)
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def mapi(n: int = 0, **changes) -> Session:
    """Outlook on MAPI/RPC: bound with NTLM at level 2, so that calls pass in clear; a second context that the server refused."""
    login = Login(protocol="dcerpc", mechanism="NTLM", at=300, principal="alice", domain="CORP", secret=Secret(b"response"), secret_at=300, exposure="guessable",
                  result="success", details={"ntlm_version": "NTLMv2", "ntlm_flags": 0xE2888235, "key_bits": 128})
    security = RpcSecurity(at=100, auth_context_id=1, auth_type=10, levels_announced=(2,), mechanism="NTLM", mechanisms_offered=("NTLM",), established=True, login=login)
    mailbox = RpcContext(
        at=0, context_id=0, interface_uuid="a4f1db00-ca47-1067-b31f-00dd010662da", interface="EMSMDB", interface_version="0.81", interface_source="bind",
        transfer_syntax="ndr", accepted=True, securities=[security], auth_type="NTLM", auth_level=2, levels={2: 12, 6: 3}, levels_announced=(2, 6), requests=15,
        responses=14, opnums={11: 13, 10: 2}, call_names=("EcDoConnectEx", "EcDoRpcExt2"), first_request_at=400, weakest_request_at=400, stub_bytes=9000,
        clear_stub_bytes=8000, obfuscation="xor", faults={0x6F7: 1},
        mapi=MapiFacts(user_dn="/o=CORP/cn=alice", client_version="12.0.4518", server_version="8.1.240", rop_names={"RopLogon": 1, "RopOpenFolder": 2}))
    refused = RpcContext(at=0, context_id=1, interface_uuid="99999999-9999-9999-9999-999999999999", interface_source="bind", accepted=False, reject_reason=2)
    facts = Facts(protocol="dcerpc", rpc=[RpcFacts(contexts=[mailbox, refused], securities=[security], header_signing=True)], logins=[login])
    session = Session(
        session_id=f"{n:08x}3ffffff3", capture="monday.pcap", start_ns=T0 + n * 1_000_000, end_ns=T0 + n * 1_000_000 + 1000, frame=7, last_frame=60,
        client_ip="192.0.2.7", client_port=49200, server_ip="198.51.100.30", server_port=6001, role_source="syn", facts=facts, protocol="dcerpc",
        service="emsmdb", service_source="content", bytes_client=5000, bytes_server=4000, verdict="exposed", locate=locate)
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def webmail(n: int = 0, **changes) -> Session:
    """OWA over http://: a Basic login, then a page; last an ActiveSync call that nobody answered."""
    login = Login(protocol="http", mechanism="BASIC", at=0, principal="CORP\\alice", secret=Secret(PASSWORD), secret_at=0, exposure="password", result="success",
                  reply_code="200")
    requests = [
        HttpRequest(at=0, method="GET", host="mail.example.com", path="/owa/", version="1.1", status=200, status_at=0, auth_scheme="BASIC", principal="CORP\\alice",
                    service="owa", user_agent="Mozilla/4.0 (compatible; MSIE 8.0)", response_type="text/html", response_bytes=5120, cookies=("sessionid", "cadata"),
                    set_cookies=("UserContext",), session_cookie=True, login=login),
        HttpRequest(at=500, method="OPTIONS", host="mail.example.com", path="/Microsoft-Server-ActiveSync", version="1.1", service="activesync",
                    auth_offered=("NEGOTIATE", "NTLM"), request_type="Sync", device_id="Appl1", request_bytes=7, content_type="application/vnd.ms-sync.wbxml"),
    ]
    facts = Facts(protocol="http", http=HttpFacts(requests=requests, n_requests=2, n_responses=1), logins=[login])
    session = Session(
        session_id=f"{n:08x}5ffffff5", capture="monday.pcap", start_ns=T0 + n * 1_000_000, end_ns=T0 + n * 1_000_000 + 1000, frame=8, last_frame=30,
        client_ip="192.0.2.7", client_port=49300, server_ip="198.51.100.31", server_port=80, role_source="syn", facts=facts, protocol="http",
        service="owa", service_source="content", bytes_client=900, bytes_server=6000, verdict="exposed", locate=locate)
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def drops() -> Finding:
    """A judgement on a capture."""
    return Finding(rule=DROPS, severity="low", confidence="high", title="17 packets dropped", evidence={"dropped": 17}, finding_id="00000000000000cc",
                   capture="monday.pcap", frame=1, ts_ns=T0)


def capture(**changes) -> Capture:
    made = Capture(name="monday.pcap", link_types=(1,), packets=100, bytes=50_000, first_ns=T0, last_ns=T0 + 60_000_000_000, sessions=2)
    for name, value in changes.items():
        setattr(made, name, value)
    return made
