"""Rows of hand-made sessions, byte for byte."""
from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import shutil
import struct
import subprocess
import time
from types import SimpleNamespace

import pytest

from pcapsec.records import SERVER, Certificate, Facts, Login, RpcSecurity, TlsHandshake, TlsOffer, ends_of
from pcapsec.secret import Fingerprints, Secret
from pcapsec.tables import compile, schema
from pcapsec.tables.rows import UNKNOWN_TIME, Rows, community_id, display_filter, starttls_state, tie_of
from tests import sessions as made

KEY = b"k" * 32


def texts(rows):
    """table -> its rows."""
    return {table: [entry[2] for entry in entries] for table, entries in rows.entries.items()}


def times(rows):
    return {table: [entry[0] for entry in entries] for table, entries in rows.entries.items()}


def rows_of(*sessions, text=True, **options):
    rows = Rows(text=text, fingerprints=Fingerprints(KEY), **options)
    for session in sessions:
        rows.session(session)
    return rows


def test_a_submission_as_csv():
    rows = rows_of(made.submission())
    ends = "0000000000000000,192.0.2.7,40000,198.51.100.25,587"
    community = base64.b64encode(hashlib.sha1(bytes.fromhex("0000 c0000207 c6336419 06 00 9c40 024b")).digest()).decode()
    watch = f"ip.addr == 192.0.2.7 && ip.addr == 198.51.100.25 && tcp.port == 40000 && tcp.port == 587 && frame.number in {{1..20}},1:{community}"
    plain = "PS101-" + hashlib.sha1(b"192.0.2.7\n198.51.100.25\n587\nPLAIN\nalice@example.com\nPLAIN").hexdigest()[:16]
    unused = "PS204-" + hashlib.sha1(b"192.0.2.7\n198.51.100.25\n587\n\nNone\nNone").hexdigest()[:16]
    assert texts(rows)["findings"] == [
        '00000000000000aa,PS101,smtp-auth-plain,Password of alice@example.com sent in clear,critical,high,credential,PLAIN,2024-05-01T08:00:00.000020000Z,monday.pcap,10,'
        + ends + ',smtp,submission,mail.example.com,alice@example.com,PLAIN,success,"{""initial_response"":true,""reply_code"":""235""}",require TLS before AUTH,'
        '"[""RFC 4954 \\u00a74"",""RFC 8314 \\u00a73.3""]",' + plain + ',,,,client,20,' + watch + "\n",
        '00000000000000bb,PS204,starttls-offered-unused,"STARTTLS offered, not used",high,medium,cleartext,,2024-05-01T08:00:00.000020000Z,monday.pcap,10,'
        + ends + ',smtp,submission,mail.example.com,,,,{},make the client use STARTTLS,"[""RFC 3207""]",' + unused + ',00000000000000aa,a;b,,client,20,' + watch + "\n"]
    assert texts(rows)["sessions"] == [
        ends + ",2024-05-01T08:00:00.000000000Z,2024-05-01T08:00:05.000000123Z,monday.pcap,1,20,smtp,submission,mail.example.com,port,,,syn,,,,full,,,,"
        'mail.example.com ESMTP,pc.example.com,"[""SIZE 1000"",""STARTTLS"",""AUTH PLAIN""]",true,true,false,,,offered,[],0,0,none,,,false,"[""PLAIN""]",'
        '"[""alice@example.com""]",1,1,0,false,9,8,700,300,,,,0,0,0,0,0,exposed,critical,2,' + watch + "\n"]
    assert texts(rows)["credentials"] == [
        "2024-05-01T08:00:00.000020000Z,monday.pcap,10," + ends + ",smtp,mail.example.com,PLAIN,alice@example.com,,,password,success,,235,"
        + Fingerprints(KEY).of(Secret(made.PASSWORD)) + ",12+,false\n"]
    assert texts(rows)["messages"] == [
        "2024-05-01T08:00:00.000200000Z,monday.pcap,12," + ends + ',smtp,submitted,alice@example.com,"[""bob@example.org"",""eve@example.net""]",250,true,<1@example.com>,'
        '512,true,none,text/plain,example.com,"[""example.org""]",5,,0,,false\n']
    assert texts(rows)["anomalies"] == ["2024-05-01T08:00:00.000007000Z,monday.pcap,10," + ends + ",smtp,line-too-long,server,7,600 bytes\n"]
    assert texts(rows)["assessments"] == [
        "0000000000000000,PS101,fail,,monday.pcap,1\n0000000000000000,PS204,fail,,monday.pcap,1\n0000000000000000,PS201,not_observable,gap,monday.pcap,1\n"]
    assert texts(rows)["tls"] == texts(rows)["hops"] == texts(rows)["rpc"] == texts(rows)["http"] == []
    assert times(rows)["findings"] == [made.T0 + 20_000] * 2 and times(rows)["sessions"] == [made.T0]
    assert rows.size() == sum(len(text) for lines in texts(rows).values() for text in lines)


def test_tls_as_csv():
    rows = rows_of(made.imaps())
    assert texts(rows)["tls"] == [
        '2024-05-01T08:00:00.000000000Z,monday.pcap,10,000000007ffffff7,2001:db8::7,40000,2001:db8::25,993,'
        'TLSv1.3,"[""TLSv1.3"",""TLSv1.2""]",TLS_AES_128_GCM_SHA256,,,,,,,,,,,false,false,imap.example.com,imap,false,,,,,,true,,[]' + "," * 23 + "\n"]
    assert texts(rows)["assessments"] == texts(rows)["findings"] == []
    values = dict(zip((c.name for c in schema.columns("sessions")), texts(rows_of(made.imaps(), text=False))["sessions"][0]))
    assert {name: values[name] for name in ("tls_version", "tls_sni", "starttls_state", "auth_mechanisms", "capabilities", "server_name", "principals")} == {
        "tls_version": "TLSv1.3", "tls_sni": "imap.example.com", "starttls_state": None, "auth_mechanisms": None, "capabilities": None,
        "server_name": "imap.example.com", "principals": ()}


def test_a_certificate_as_csv():
    session = made.imaps()
    tls = session.tls
    tls.offer = TlsOffer(legacy_version="TLSv1.2", ja3="0123", ja4="t13d0000h2_000000000000_000000000000")
    tls.group, tls.resumed, tls.forward_secret, tls.chain_length, tls.name_matches, tls.trusted = "x25519", False, True, 2, True, False
    tls.certificates = (
        Certificate(sha256="ab" * 32, subject="CN=imap.example.com,O=Example", sans=("imap.example.com", "10.0.0.1"), issuer="CN=Example CA", self_signed=False,
                    not_before_ns=made.T0, not_after_ns=253402300799 * 10**9, key_type="RSA", key_bits=2048, signature_algorithm="sha256WithRSAEncryption"),
        Certificate(sha256="cd" * 32))
    tls.client_certificates, tls.client_certificate_sent = tls.certificates[1:], True
    values = dict(zip((c.name for c in schema.columns("tls")), next(csv.reader(texts(rows_of(session))["tls"]))))
    assert {name: value for name, value in list(values.items())[8:] if value} == {
        "version": "TLSv1.3", "offered_versions": '["TLSv1.3","TLSv1.2"]', "cipher_suite": "TLS_AES_128_GCM_SHA256", "group": "x25519", "forward_secret": "true",
        "hello_retry": "false", "early_data": "false", "sni": "imap.example.com", "alpn": "imap", "alpn_chosen": "false", "ja3": "0123",
        "ja4": "t13d0000h2_000000000000_000000000000", "ech_offered": "false", "resumed": "false", "established": "true", "alerts": "[]", "certificate_sha256": "ab" * 32,
        "subject": "CN=imap.example.com,O=Example", "sans": '["imap.example.com","10.0.0.1"]', "issuer": "CN=Example CA", "not_before": "2024-05-01T08:00:00.000000000Z",
        "not_after": "2262-04-11T23:47:16.854775806Z", "key_type": "RSA", "key_bits": "2048", "signature_algorithm": "sha256WithRSAEncryption", "self_signed": "false",
        "chain_length": "2", "name_matches": "true", "trusted": "false", "client_certificate": "true", "client_certificate_sha256": "cd" * 32}
    tls.certificates = (dataclasses.replace(tls.certificates[0], not_before_ns=-(10**20)),)
    assert ",1677-09-21T00:12:43.145224193Z,2262-04-11" in texts(rows_of(session))["tls"][0]


def test_rpc_contexts_as_csv():
    rows = rows_of(made.mapi())
    place = "2024-05-01T08:00:00.000000000Z,monday.pcap,10,000000003ffffff3,192.0.2.7,49200,198.51.100.30,6001,"
    assert texts(rows)["rpc"] == [
        place + '0,a4f1db00-ca47-1067-b31f-00dd010662da,EMSMDB,0.81,bind,ndr,tcp,,true,,NTLM,2,connect,"[2,6]","{""2"":12,""6"":3}","[""NTLM""]",true,alice,CORP,success,'
        'NTLMv2,0xe2888235,128,,,,15,14,"[10,11]","[""EcDoConnectEx"",""EcDoRpcExt2""]",9000,8000,xor,/o=CORP/cn=alice,12.0.4518,8.1.240,'
        '"[""RopLogon"",""RopOpenFolder""]","[""0x000006f7""]",false\n',
        place + "1,99999999-9999-9999-9999-999999999999,,,bind,,tcp,,false,2,,,,[],{},[],true,,,,,,,,,,0,0,[],[],0,0,,,,,[],[],false\n"]
    assert texts(rows)["credentials"] == [
        "2024-05-01T08:00:00.000300000Z,monday.pcap,13,000000003ffffff3,192.0.2.7,49200,198.51.100.30,6001,dcerpc,,NTLM,alice,CORP,,guessable,success,,,"
        + Fingerprints(KEY).of(Secret(b"response")) + ",8-11,false\n"]


def test_kerberos_and_levels_that_no_request_used():
    session = made.mapi()
    [association] = session.facts.rpc
    one, two = association.contexts
    login = Login(protocol="dcerpc", mechanism="GSSAPI", at=0, principal="bob", domain="CORP.EXAMPLE", exposure="ticket",
                  details={"ticket_etype": 23, "authenticator_etype": 18, "spn": "exchangeMDB/ex1.corp.example"})
    first = RpcSecurity(at=0, auth_context_id=1, auth_type=9, mechanisms_offered=("KERBEROS", "NTLM"), login=Login(protocol="dcerpc", mechanism="NTLM", at=0))
    two.securities = [first, RpcSecurity(at=0, auth_context_id=2, auth_type=9, mechanisms_offered=("NTLM", "NEGOEX"), login=login)]
    two.levels_announced, two.interface_uuid, two.interface_source, association.pipe, two.transport = (6,), None, None, "srvsvc", "smb"
    values = dict(zip((c.name for c in schema.columns("rpc")), texts(rows_of(session, text=False))["rpc"][1]))
    assert {name: value for name, value in values.items() if value not in (None, (), [], {}) and (value or value is False) and name not in {c.name for c in schema.PLACE + schema.ENDS}} == {
        "context_id": 1, "transport": "smb", "pipe": "srvsvc", "accepted": False, "decrypted": False, "reject_reason": 2, "auth_level_announced": (6,),
        "mechanisms_offered": ("KERBEROS", "NTLM", "NEGOEX"), "header_signing": True, "principal": "bob", "domain": "CORP.EXAMPLE", "auth_result": "unknown",
        "kerberos_etype": 23, "authenticator_etype": 18, "spn": "exchangeMDB/ex1.corp.example"}
    login.principal = None
    assert dict(zip((c.name for c in schema.columns("rpc")), texts(rows_of(session, text=False))["rpc"][1]))["auth_result"] == "unknown"


def test_a_context_seen_from_the_server_alone():
    session = made.mapi(bytes_client=0)
    session.locate = lambda side, at: ("monday.pcap", 100 + side, made.T0)
    assert texts(rows_of(session, text=False))["rpc"][0][2] == 101


def test_http_requests_as_csv():
    rows = rows_of(made.webmail())
    ends = "000000005ffffff5,192.0.2.7,49300,198.51.100.31,80"
    assert texts(rows)["http"] == [
        f"2024-05-01T08:00:00.000000000Z,monday.pcap,10,{ends},GET,mail.example.com,/owa/,1.1,200,BASIC,[],false,CORP\\alice,success,owa,true,"
        'Mozilla/4.0 (compatible; MSIE 8.0),,,text/html,0,5120,,,"[""sessionid"",""cadata""]","[""UserContext""]",true,false,,false\n',
        f'2024-05-01T08:00:00.000500000Z,monday.pcap,15,{ends},OPTIONS,mail.example.com,/Microsoft-Server-ActiveSync,1.1,,,"[""NEGOTIATE"",""NTLM""]",false,,,activesync,'
        "true,,,application/vnd.ms-sync.wbxml,,7,0,Sync,Appl1,[],[],false,false,,false\n"]
    assert ends + ",2024-05-01T08:00:00.000000000Z,2024-05-01T08:00:00.000001000Z,monday.pcap,8,30,http,owa,mail.example.com,content," in texts(rows)["sessions"][0]
    assert texts(rows)["credentials"][0].startswith(f"2024-05-01T08:00:00.000000000Z,monday.pcap,10,{ends},http,mail.example.com,BASIC,CORP\\alice,,,password,success,,200,")


def test_outer_layers_stand_in_csv_too():
    session = made.submission(encapsulation="vlan.10/vxlan.5000")
    assert ",port,,,syn,vlan.10/vxlan.5000,,,full," in texts(rows_of(session))["sessions"][0]


def test_columns_looked_up_together_read_as_those_alone(monkeypatch):
    columns = [schema.Column(name, dtype, "", missing=missing, ours=ours) for name, dtype, missing, ours in (
        ("a", "string", "none", True), ("b", "list", "none", False), ("c", "boolean", "none", False), ("d", "UInt32", "never", False), ("e", "string", "none", False))]
    fill = {"a": "x.a or None", "b": "x.b", "c": "x.c", "d": "x.d", "e": "x.e"}
    alone = compile.row_function("alone", "x", columns, fill, text=True)
    together = compile.row_function("together", "x", columns, fill, text=True, together=(("a", "d"),))
    monkeypatch.setattr(compile, "MAX_TOGETHER", 2)
    for a, b, c, d, e in (("", None, None, 0, None), ("one", ("x", "y"), True, 1, "=1"), ("", (), False, 2, "f,g"), ("one", ("x", "y"), True, 1, ""), ("z" * 2000, ("x",), None, 3, "")):
        x = SimpleNamespace(a=a, b=b, c=c, d=d, e=e)
        assert together(x) == together(x) == alone(x)
    assert alone(SimpleNamespace(a="one", b=("x",), c=False, d=7, e="=1")) == 'one,"[""x""]",false,7,\'=1\n'


def test_a_handshake_that_said_nothing_has_no_row():
    assert texts(rows_of(made.imaps(tls=TlsHandshake())))["tls"] == []
    assert texts(rows_of(made.imaps(tls=None)))["tls"] == []
    assert len(texts(rows_of(made.imaps(tls=TlsHandshake(server_hello_at=3))))["tls"]) == 1


def test_text_and_tuples_hold_the_same_columns():
    sessions = made.submission(), made.imaps(), made.mapi(), made.webmail()
    one, two = rows_of(*sessions), rows_of(*sessions, text=False)
    for table in schema.TABLES:
        for row in texts(two)[table]:
            assert len(row) == len(schema.columns(table))
        assert "".join(texts(one)[table]).count("\n") == len(texts(two)[table])


def test_the_secret_only_when_revealed():
    hidden, shown = rows_of(made.submission()), rows_of(made.submission(), reveal=True)
    assert "S3cret" not in repr(texts(hidden))
    assert texts(shown)["credentials"][0].endswith(',12+,false,"S3cret,pass\\xff"\n')
    assert texts(rows_of(made.submission(), reveal=True, text=False))["credentials"][0][-1] == "S3cret,pass\udcff"


def test_logins_without_a_secret():
    session = made.submission()
    session.facts.logins = [Login(protocol="smtp", mechanism="PLAIN", at=0), Login(protocol="smtp", mechanism="LOGIN", at=0, principal="bob", secret=Secret(b""))]
    rows = rows_of(session, reveal=True, text=False)
    names = [c.name for c in schema.columns("credentials", True)]
    one, two = (dict(zip(names, row)) for row in texts(rows)["credentials"])
    assert (one["principal"], one["exposure"], one["secret_fp"], one["secret_length"], one["secret"]) == (None, "none", None, None, None)
    assert (two["secret_length"], two["secret"], len(two["secret_fp"])) == ("0", "", 16)
    assert dict(zip([c.name for c in schema.columns("sessions")], texts(rows)["sessions"][0]))["principals"] == ("bob",)


def test_equal_secrets_have_equal_fingerprints_within_a_run_only():
    fingerprints = Fingerprints()
    rows = Rows(text=False, fingerprints=fingerprints)
    rows.session(made.submission(0)), rows.session(made.submission(1))
    at = [c.name for c in schema.columns("credentials")].index("secret_fp")
    one, two = (row[at] for row in texts(rows)["credentials"])
    other = Rows(text=False)
    other.session(made.submission(0))
    assert one == two != texts(other)["credentials"][0][at]


def test_hostile_values_stay_in_their_cells():
    session = made.submission(capture="=cmd,\n.pcap")
    session.facts.greeting = "=1+1\x1b[31m,\"x\""
    session.facts.logins[0].principal = "+a\r\nb"
    session.findings[0].title = "a,b\n"
    rows = rows_of(session)
    for table, lines in texts(rows).items():
        for row in csv.reader("".join(lines).splitlines()):
            assert len(row) == len(schema.columns(table)), table
            assert all(text.isprintable() and text[:1] not in ("=", "+", "-", "@") for text in row)


def test_findings_alone():
    rows = rows_of(made.submission(), made.imaps(), wanted=("findings",))
    assert {table for table, lines in texts(rows).items() if lines} == {"findings"}
    assert texts(rows)["findings"] == texts(rows_of(made.submission()))["findings"]


def test_findings_of_a_capture_have_no_conversation():
    rows = Rows(text=False)
    rows.capture_findings([made.drops()])
    values = dict(zip((c.name for c in schema.columns("findings")), texts(rows)["findings"][0]))
    assert {name for name, value in values.items() if value is None} == {
        "session_id", "client_ip", "client_port", "server_ip", "server_port", "protocol", "service", "server_name", "principal", "mechanism", "auth_result", "variant",
        "because_of", "severity_reason", "suppressed", "direction", "evidence_offset", "display_filter", "community_id"}
    assert (values["capture"], values["frame"], values["time"]) == ("monday.pcap", 1, made.T0)
    nowhere = made.drops()
    nowhere.frame = nowhere.ts_ns = 0
    nowhere.capture = ""
    rows.capture_findings([nowhere])
    assert times(rows)["findings"] == [made.T0, UNKNOWN_TIME]
    text = Rows(text=True)
    text.capture_findings([made.drops()])
    assert texts(text)["findings"][0].count(",") >= len(schema.columns("findings")) - 1


def test_findings_of_a_capture_that_point_at_a_conversation():
    session = made.submission()
    finding = made.drops()
    finding.ends = ends_of(session, "mail.example.org")
    tables = []
    for text in (False, True):
        rows = Rows(text=text)
        rows.capture_findings([finding])
        tables.append((rows.entries["findings"], rows.firsts))
    [(ns, tie, row)], firsts = tables[0]
    values = dict(zip((c.name for c in schema.columns("findings")), row))
    assert (ns, tie, firsts["PS005"]) == (made.T0, tie_of(session.session_id), (made.T0, "monday.pcap", 1, session.session_id))
    assert {name: values[name] for name in ("session_id", "client_ip", "client_port", "server_ip", "server_port", "protocol", "service", "server_name", "display_filter")} == {
        "session_id": session.session_id, "client_ip": session.client_ip, "client_port": session.client_port, "server_ip": session.server_ip, "server_port": session.server_port,
        "protocol": session.protocol, "service": session.service, "server_name": "mail.example.org", "display_filter": display_filter(session)}
    assert session.session_id in tables[1][0][0][2]


def test_group_id_is_equal_for_repeats_and_differs_otherwise():
    rows = rows_of(made.submission(0), made.submission(1), made.submission(2, server_ip="198.51.100.26"), text=False)
    at = [c.name for c in schema.columns("findings")].index("group_id")
    groups = [row[at] for row in texts(rows)["findings"]]
    assert groups[:2] == groups[2:4]
    assert len(set(groups)) == 4


def test_all_assessments_when_asked_for():
    session = made.submission(assessments=(("PS101", "fail", ""), ("PS103", "pass", ""), ("PS201", "not_observable", "gap"), ("PS110", "not_applicable", "")))
    assert texts(rows_of(session))["assessments"] == [
        "0000000000000000,PS101,fail,,monday.pcap,1\n0000000000000000,PS103,pass,,monday.pcap,1\n0000000000000000,PS201,not_observable,gap,monday.pcap,1\n"
        "0000000000000000,PS110,not_applicable,,monday.pcap,1\n"]


def test_rule_summary_and_captures():
    rows = rows_of(made.submission())
    firsts = rows.firsts
    rows.rule_summary(made.RULES, {"PS101": [1, 2, 3, 4]}, firsts)
    rows.captures([made.capture(dropped=17, notes=["a,b"], snap_length=96), made.capture(name="empty.pcap", first_ns=None, last_ns=None, packets=0)])
    assert texts(rows)["rule_summary"] == [
        "PS005,kernel-drops,0,0,0,0,,,\n",
        "PS101,smtp-auth-plain,1,2,3,4,monday.pcap,10,0000000000000000\n",
        "PS204,starttls-offered-unused,0,0,0,0,monday.pcap,10,0000000000000000\n"]
    assert texts(rows)["captures"] == [
        'monday.pcap,pcap,,[1],96,100,50000,2024-05-01T08:00:00.000000000Z,2024-05-01T08:01:00.000000000Z,17,0,0,0,0,0,0,2,0,true,0,"[""a,b""]"\n',
        "empty.pcap,pcap,,[1],,0,50000,,,,0,0,0,0,0,0,2,0,true,0,[]\n"]


@pytest.mark.parametrize("ends, expected", [  # from the Community ID specification's reference values
    (("128.232.110.120", 34855, "66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (("66.35.250.204", 80, "128.232.110.120", 34855), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
])
def test_community_id(ends, expected):
    assert community_id(*ends) == expected


@pytest.mark.parametrize("mode, protocol, known, established, state", [
    ("none", "smtp", {}, None, "no_capability_seen"),
    ("none", "smtp", {"starttls_offered": False}, None, "not_offered"),
    ("none", "smtp", {"starttls_offered": True}, None, "offered"),
    ("none", "smtp", {"starttls_offered": True, "starttls_requested": True}, None, "requested"),
    ("none", "smtp", {"starttls_requested": True, "starttls_accepted": False}, None, "refused"),
    ("none", "smtp", {"starttls_requested": True, "starttls_accepted": True}, None, "accepted"),
    ("starttls", "smtp", {"starttls_accepted": True}, None, "tls_clienthello"),
    ("starttls", "smtp", {"starttls_accepted": True}, False, "tls_failed"),
    ("starttls", "smtp", {"starttls_accepted": True}, True, "tls_established"),
    ("implicit", "tls", {}, True, None),
    ("none", "unknown", {}, None, None),
])
def test_starttls_state(mode, protocol, known, established, state):
    session = made.submission(tls_mode=mode, protocol=protocol)
    assert starttls_state(session, Facts(**known), TlsHandshake(established=established)) == state


def test_evidence_place_falls_back_to_the_first_frame():
    session = made.submission()
    session.findings[0].at = None
    session.findings[1].side, session.findings[1].at = SERVER, 100
    rows = rows_of(session, text=False)
    at = [c.name for c in schema.columns("findings")].index("time")
    assert [row[at:at + 3] for row in texts(rows)["findings"]] == [(made.T0, "monday.pcap", 1), (made.T0 + 100_000, "monday.pcap", 11)]


@pytest.mark.parametrize("session", [made.submission(), made.imaps(), made.imaps(last_frame=2)])
def test_display_filters_are_valid(session, tmp_path):
    tshark = shutil.which("tshark")
    assert tshark, "tshark is needed to check display filters; the command that installs what tests need brings it"
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    text = display_filter(session)
    assert (".." in text) == (session.last_frame >= session.frame)
    result = subprocess.run([tshark, "-r", str(empty), "-Y", text], capture_output=True)
    assert result.returncode == 0, result.stderr
    assert subprocess.run([tshark, "-r", str(empty), "-Y", text + " && nonsense.field"], capture_output=True).returncode != 0


def test_a_packet_full_of_logins_takes_linear_time():
    session = made.submission()
    session.findings = session.findings * 4000
    begun = time.process_time()
    rows = rows_of(session)
    assert time.process_time() - begun < 2
    assert len(texts(rows)["findings"]) == 8000
