"""Others' captures: as many packets as tshark counts, at the times that it gives. PCAPSEC_CORPUS names the directory with manifest.csv."""
from __future__ import annotations

import csv
import datetime
import json
import os
import pathlib
import warnings

import pytest

from pcapsec.capture.inputs import plan
from pcapsec.capture.source import open_source
from pcapsec.errors import CaptureError

CORPUS = os.environ.get("PCAPSEC_CORPUS")
ROWS = list(csv.DictReader(open(pathlib.Path(CORPUS) / "manifest.csv", newline=""))) if CORPUS else []
N_CAPTURES = 658  # of the corpus that the project is measured with

MICROSECOND = 1000
# tshark keeps the fraction in 32 bits and so misreads fractions above a second, which fuzzed files have
ODD_TIMES = {
    name
    for name in """atm-oam-heapoverflow-7a034e bgp-bgp_capabilities_print-oobr-2-173c44 bgp_mvpn_6_and_7_oobr-0d64c3 esis_opt_prot-oobr-98e060 esis_snpa_asan-2-b1b86d
    esis_snpa_asan-5-11f739 frf15-heapoverflow-294ce0 heap-overflow-1-52ad99 heap-overflow-2-29c607 heapoverflow-ppp_hdlc_if_print-955890
    heapoverflow-sl_if_print-71cbf7 hoobr_juniper-a39ed6 hoobr_juniper4-a1a06e ipv6-mobility-header-oobr-be65a9 isakmpv1-attr-oobr-4ac9c3
    llc-xid-heapoverflow-a7fc97 rpki-rtr-oobr-f1c0ce""".split()
}


def nanoseconds(text: str | None) -> int | None:
    if not text:
        return None
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    return int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int((fraction + "0" * 9)[:9])


def test_there_is_a_corpus():
    if not CORPUS:
        warnings.warn(f"corpus not given: {N_CAPTURES} captures not checked (set PCAPSEC_CORPUS)", stacklevel=1)
        return
    assert len(ROWS) > 100


@pytest.mark.parametrize("row", ROWS or [None], ids=[row["file"] for row in ROWS] or ["no corpus"])
def test_packets_and_times_are_those_of_tshark(row):
    if row is None:  # said above
        return
    truth = json.loads((pathlib.Path(CORPUS) / row["truth"]).read_text())
    path = pathlib.Path(CORPUS) / "captures" / row["file"]
    if truth["format"] not in ("pcap", "pcapng", "snoop", "netmon"):
        with pytest.raises(CaptureError) as caught:
            plan([str(path)])
        assert "editcap" in caught.value.hint
        return
    [group] = plan([str(path)])
    source = open_source(group)
    packets = sum(window.n_frames for window in source)
    capture = source.captures[0]
    complaints = " ".join(truth["tshark_messages"])
    if "damaged or corrupt" in complaints:
        # tshark stops there, after reading a record of rubbish in one file; the walk steps over it and says so
        assert packets >= truth["packets"] - 1
        assert capture.skipped_bytes > 0 and not capture.complete and capture.notes
        return
    if "doesn't support" in complaints:  # tshark stops at a link type or version that it does not know; the walk need not know it
        assert packets > truth["packets"] or path.stat().st_size == 24  # one is a head without packets
        return
    assert packets == truth["packets"]
    assert capture.complete == ("cut short" not in complaints)
    if truth["format"] in ("pcap", "pcapng"):  # of other formats the truth has no LINKTYPE
        assert sorted(capture.link_types) == sorted(truth.get("linktype") or [])
    if not any(row["file"].removesuffix(".pcap").endswith(name) for name in ODD_TIMES):
        for ours, theirs in ((capture.first_ns, nanoseconds(truth.get("first_time"))), (capture.last_ns, nanoseconds(truth.get("last_time")))):
            assert (ours is None) == (theirs is None)
            assert ours is None or abs(ours - theirs) <= MICROSECOND
