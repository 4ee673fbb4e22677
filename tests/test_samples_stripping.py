"""Recordings of boxes on the path and of their innocent twins: which rules must speak on each, and which must not.

`test_samples.py` compares all findings of each recording; here stands what matters about stripping and what is told across sessions, so that it is seen at a glance.
A rule that is not built yet is named on the output.
"""
from __future__ import annotations

import pytest
from samples import SAMPLES, Sample, analysed, built

TAMPERED = ("PS301", "PS302", "PS303", "PS304", "PS305", "PS306", "PS307", "PS308", "PS309", "PS310", "PS311", "PS312", "PS313", "PS314", "PS315", "PS316", "PS317", "PS318", "PS319")
ACROSS = ("PS205", "PS903", "PS904", "PS905", "PS911", "PS912")
SPEAK = {  # sample -> rules about tampering and about sessions together that must speak; the others must not
    "strip-smtp-removed-inside": "",
    "strip-smtp-removed-outside": "",
    "strip-smtp-masked-inside": "PS301",
    "strip-smtp-masked-outside": "",
    "strip-smtp-inspected-inside": "PS301 PS302 PS303",
    "strip-smtp-inspected-outside": "",
    "strip-smtp-pix-inside": "PS303 PS309",
    "strip-smtp-pix-outside": "PS309",
    "strip-smtp-pix-banner-inside": "PS303",
    "strip-smtp-pix-banner-outside": "",
    "strip-smtp-ehlo-refused-inside": "PS309 PS318",
    "strip-smtp-ehlo-refused-outside": "",
    "strip-smtp-ehlo-to-helo-inside": "",
    "strip-smtp-ehlo-to-helo-outside": "",
    "strip-smtp-garbled-inside": "PS205 PS304 PS306",
    "strip-smtp-garbled-outside": "PS304",
    "strip-smtp-refused-inside": "PS205 PS306 PS318",
    "strip-smtp-refused-outside": "",
    "strip-smtp-padded-inside": "PS310",
    "strip-smtp-padded-outside": "",
    "strip-smtp-last-line-inside": "PS310",
    "strip-smtp-last-line-outside": "",
    "strip-smtp-overlap-inside": "PS310 PS311 PS318",
    "strip-smtp-overlap-outside": "",
    "strip-smtp-desync-inside": "PS317 PS318",
    "strip-smtp-desync-outside": "",
    "strip-smtp-reset-inside": "PS205 PS307 PS308 PS318",
    "strip-smtp-reset-outside": "PS205",
    "strip-imap-removed-inside": "",
    "strip-imap-removed-outside": "",
    "strip-imap-masked-inside": "PS301",
    "strip-imap-masked-outside": "",
    "strip-imap-logindisabled-inside": "",
    "strip-imap-logindisabled-outside": "",
    "strip-imap-preauth-inside": "",
    "strip-imap-preauth-outside": "",
    "strip-imap-refused-inside": "PS306 PS318",
    "strip-imap-refused-outside": "",
    "strip-pop3-removed-inside": "",
    "strip-pop3-removed-outside": "",
    "strip-pop3-masked-inside": "PS301",
    "strip-pop3-masked-outside": "",
    "strip-pop3-garbled-inside": "PS304 PS306",
    "strip-pop3-garbled-outside": "PS304",
    "strip-managesieve-removed-inside": "",
    "strip-managesieve-removed-outside": "",
    "strip-nntp-removed-inside": "",
    "strip-nntp-removed-outside": "",
    "strip-smtp-for-a-while-inside": "PS305 PS903",
    "strip-smtp-for-a-while-outside": "PS903 PS911",
    "strip-imap-mechanisms-inside": "PS305 PS319 PS903",
    "strip-imap-mechanisms-outside": "PS903 PS911",
    "strip-submission-mechanisms-inside": "PS305 PS319 PS903",
    "strip-submission-mechanisms-outside": "PS903 PS911",
    "inject-smtp-command-inside": "",
    "inject-smtp-command-outside": "PS313",
    "inject-submission-command-inside": "",
    "inject-submission-command-outside": "PS313",
    "inject-imap-command-inside": "",
    "inject-imap-command-outside": "PS313",
    "inject-smtp-response-inside": "PS314",
    "inject-smtp-response-outside": "",
    "inject-imap-response-inside": "PS314",
    "inject-imap-response-outside": "",
    "inject-pop3-response-inside": "PS314",
    "inject-pop3-response-outside": "",
}
BY_NAME = {sample.name.partition(".")[0]: sample for sample in SAMPLES}


@pytest.mark.parametrize("name", SPEAK)
def test_rules_speak_where_they_must_and_nowhere_else(name: str):
    found = set(analysed(BY_NAME[name]).findings["rule_id"])
    assert sorted(found.intersection(TAMPERED + ACROSS)) == built(tuple(SPEAK[name].split()))


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.name.startswith(("strip-", "inject-", "twin-"))], ids=lambda sample: sample.name)
def test_each_recording_of_a_box_and_each_twin_stands_here(sample: Sample):
    """With the same rules as samples.csv names."""
    assert [rule_id for rule_id in sample.findings if rule_id in TAMPERED + ACROSS] == SPEAK[sample.name.partition(".")[0]].split()
