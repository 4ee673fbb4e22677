"""Hand-made sessions for tables, reports and commands."""
from __future__ import annotations

from pcapsec.records import CLIENT, SERVER, Anomaly, Capture, Facts, Finding, Login, Message, Session, TlsHandshake
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


def drops() -> Finding:
    """A judgement on a capture."""
    return Finding(rule=DROPS, severity="low", confidence="high", title="17 packets dropped", evidence={"dropped": 17}, finding_id="00000000000000cc",
                   capture="monday.pcap", frame=1, ts_ns=T0)


def capture(**changes) -> Capture:
    made = Capture(name="monday.pcap", link_types=(1,), packets=100, bytes=50_000, first_ns=T0, last_ns=T0 + 60_000_000_000, sessions=2)
    for name, value in changes.items():
        setattr(made, name, value)
    return made
