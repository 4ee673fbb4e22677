"""IKE: what is offered and chosen in both versions, aggressive mode, refusals, and hostile bytes."""
from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.protocols import ike
from pcapsec.records import CLIENT, SERVER, IkeFacts, IkeProposal
from tests.ike_bytes import BROKEN, NOBODY, OLD, STRONG, WEAK, aggressive, answer, auth, init, main_mode, message, payload, refused, sa1, sa2, transform2


def read(*messages: tuple[int, bytes]) -> IkeFacts:
    facts = IkeFacts()
    for side, data in messages:
        ike.read_message(facts, side, data)
    return facts


def turns(messages: list[bytes]) -> list[tuple[int, bytes]]:
    return [(n % 2, data) for n, data in enumerate(messages)]


GCM = IkeProposal(encryption="AES-GCM-16", key_bits=256, prf="HMAC-SHA2-256", group=19)


def test_version_2():
    facts = read((CLIENT, init(STRONG, WEAK)), (SERVER, answer(STRONG)), (CLIENT, auth(0x08)), (SERVER, auth(0x20)))
    assert facts == IkeFacts(version="IKEv2", exchanges=("IKE_SA_INIT", "IKE_AUTH"), chosen=GCM, went_on=True,
                             offered=("AES-GCM-16-256", "HMAC-SHA2-256", "group 19", "3DES", "HMAC-MD5", "HMAC-MD5-96", "group 2"))


def test_version_2_is_refused():
    facts = read((CLIENT, init(WEAK)), (SERVER, refused()))
    assert (facts.chosen, facts.error, facts.went_on) == (None, "NO_PROPOSAL_CHOSEN", False)


def test_more_key_exchanges():
    hybrid = [*STRONG[:2], transform2(4, 31), transform2(6, 36)]
    assert read((CLIENT, init(hybrid)), (SERVER, answer(hybrid))).chosen == IkeProposal(encryption="AES-GCM-16", key_bits=256, prf="HMAC-SHA2-256", group=31, more_groups=(36,))


def test_a_proposal_for_esp_is_not_ikes():
    facts = read((SERVER, message(2, 34, [sa2(WEAK, protocol=3)])))
    assert facts.chosen == IkeProposal() or facts.chosen is None


def test_main_mode():
    facts = read(*turns(main_mode([BROKEN, OLD], OLD)))
    assert facts == IkeFacts(
        version="IKEv1", exchanges=("main", "quick"), mode="main", offered=("DES", "HMAC-MD5", "group 1", "AES-CBC-128", "HMAC-SHA1", "group 2"), auth_offered=("PSK",), went_on=True,
        chosen=IkeProposal(encryption="AES-CBC", key_bits=128, integrity="HMAC-SHA1", prf="HMAC-SHA1", group=2, auth_method="PSK"))


def test_aggressive_mode():
    facts = read(*turns(aggressive(OLD)))
    assert (facts.mode, facts.hash_seen, facts.identities, facts.chosen.group) == ("aggressive", True, ("office@example.org", "vpn.example.org"), 2)


def test_the_responder_that_repeats_several_has_chosen_nothing():
    assert read((SERVER, message(1, 2, [sa1(OLD, BROKEN)]))).chosen is None
    assert read((SERVER, message(1, 2, [sa1(OLD, situation=2)]))).chosen is None


def test_who_began():
    assert ike.from_initiator(init(STRONG)) is True and ike.from_initiator(answer(STRONG)) is False
    assert ike.from_initiator(message(1, 2, [], responder=NOBODY)) is True and ike.from_initiator(message(1, 2, [])) is None


@pytest.mark.parametrize("data", [b"", bytes(27), bytes(28), message(3, 34, []), message(2, 33, []), message(1, 34, [])])
def test_no_message(data):
    assert not ike.is_message(data)
    assert read((CLIENT, data)) == IkeFacts()


def test_payloads_that_lie_end_the_message_and_nothing_else():
    whole = init(STRONG)
    for n in range(28, len(whole)):
        cut = whole[:n]
        facts = read((CLIENT, cut), (SERVER, answer(STRONG)))
        assert facts.chosen == GCM
        read((CLIENT, whole[:n] + b"\xff\xff" + whole[n + 2:]))
    loop = message(2, 34, [payload(43, b"")] * 5000)
    assert read((CLIENT, loop)).version == "IKEv2"


def test_everything_is_bounded():
    many = [transform2(1, n % 30, 8 * (n % 60) + 8) for n in range(250)] + [transform2(4, n) for n in range(200)]
    facts = read((CLIENT, init(many, many)))
    assert len(facts.offered) <= ike.MAX_OFFERED
    facts = read((CLIENT, aggressive(OLD)[0].replace(b"office@example.org", b"x" * 18)), *[(CLIENT, message(2, kind, [])) for kind in range(34, 45)] * 3)
    assert len(facts.exchanges) <= ike.MAX_EXCHANGES and len(facts.identities[0]) <= ike.MAX_IDENTITY


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_mutations_never_raise(seed, n):
    chance = random.Random(seed)
    seeds = [init(STRONG, WEAK), answer(WEAK), refused(), *aggressive(OLD), *main_mode([OLD, BROKEN], OLD)]
    facts = IkeFacts()
    for _ in range(n):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((0, 1, 3, 20))):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 3, 4, 8, 127, 128, 255, chance.randrange(256)))
        ike.read_message(facts, chance.randrange(2), bytes(data[:chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data))
