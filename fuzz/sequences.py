"""Sequences of steps with which fuzzing begins: what a target would be long in finding by itself."""

import pathlib

from steps import encode, types

here = pathlib.Path(__file__).resolve().parent
source = here / "src"

# What the steps are made of, by target.
TYPES = {
    "mint": types(source / "machine.rs"),
    "recovery": types(source / "machine.rs", source / "machine_recovery.rs"),
    "verifier": types(*(source / f"publisher{part}.rs" for part in ("", "_mint", "_store"))),
    "wallet": types(here / "fuzz_targets" / "wallet.rs"),
}

# Every token there is to choose.
ALL = 0xFFFF

MINT = {
    # A payment is refused for a refreshed token, then double-spent: another of its tokens was paid after it in the same deposit, whose first
    # answer is lost.
    "refused and double-spent": [
        ("Refresh", {"reader": True, "tokens": 1}),
        ("PayAgain", {"publisher": True, "tokens": 2, "amount": 1}),
        ("Deposit", {"publisher": True, "payments": 6, "fault": "Lost"}),
    ],
    # Amounts and rests that the denominations can make: taken, asked for once more, and taken back.
    "change and refund": [
        ("Pay", {"publisher": False, "tokens": 2, "amount": 4, "hours": 24}),
        ("Deposit", {"publisher": False, "payments": 4}),
        ("Change", {"payment": 2}),
        ("Change", {"payment": 2}),
        ("Refund", {"publisher": False, "payment": 2, "fault": "Lost"}),
        ("Reclaim", {"payment": 2}),
        ("Reclaim", {"payment": 2}),
        ("Retry", {"request": 2}),
    ],
}

# Each reader has two sessions; kind 2 is the denomination of which each holds one token, kind 1 is frozen.
RECOVERY = {
    # Counterfeits come back first, as many as were issued; then the denomination freezes itself, and the honest token is claimed.
    "counterfeits first": [
        ("Cash", {"kind": 2, "tokens": 2}),
        ("Claim", {"tokens": ALL, "session": 0}),
        ("Claim", {"tokens": ALL, "session": 1}),
        ("Claim", {"reader": True, "tokens": ALL}),
    ],
    # The same, frozen by the operator before there is one too many; the answer to the claim is lost.
    "counterfeits first, and the operator": [
        ("Cash", {"kind": 2, "tokens": 1, "fault": "Lost"}),
        ("Freeze", {"kind": 2}),
        ("Claim", {"tokens": ALL, "session": 0, "fault": "Lost"}),
    ],
    # Both readers claim all tokens of a session, frozen or not; then what they may.
    "claims of what is not frozen": [
        ("Claim", {"tokens": ALL, "session": 0, "place": 3}),
        ("Claim", {"reader": True, "tokens": ALL, "session": 1, "place": 2}),
        ("Claim", {"tokens": ALL, "session": 0}),
        ("Claim", {"reader": True, "tokens": ALL, "session": 1}),
        ("Claim", {"reader": True, "tokens": ALL, "session": 1, "place": 2}),
    ],
    # Payments on their way when the denomination is frozen are refused, and what is claimed in their place is not credited.
    "paid, frozen, claimed, deposited": [
        ("Other", {0: ("Deposit", {"publisher": True, "payments": 3})}),
        ("Claim", {"tokens": ALL, "session": 0}),
        ("Claim", {"reader": True, "tokens": ALL, "session": 0}),
        ("Other", {0: ("Deposit", {"publisher": True, "payments": 3})}),
    ],
    # The second reader's tokens by sessions and in places that did not make them.
    "in wrong places": [
        ("Counterfeit", {"kind": 1}),
        *[("Claim", {"reader": True, "tokens": 1, "session": session, "place": place}) for session in (0, 1) for place in (4, 5, 17)],
    ],
    # Sessions under the honest reader's name and under the own one once more; claims of what they made, and claims that show one for another.
    "another's name": [
        ("BuyAs", {"session": 0, "voucher": 1, "units": 20}),
        ("BuyAs", {"session": 1, "voucher": 1, "units": 20}),
        ("Freeze", {"kind": 2}),
        ("Claim", {"reader": True, "tokens": 1, "changes": [("OtherSession", {0: 0})]}),
        ("Claim", {"reader": True, "tokens": 1, "changes": [("Position", {0: 0, 1: 2})]}),
        *[("Claim", {"reader": True, "tokens": ALL, "session": session}) for session in range(4)],
    ],
}


def act(name, line=None, disk=None, **values):
    """A step of `verifier`; with a line or a disk they fail, with a flaw or a way of sending the payment has it."""
    careful = "flaw" not in values and "sending" not in values
    well = line is None and disk is None
    return {"act": (name, values), "careful": careful, "well": well, "line": line, "disk": disk}


def pay(tokens, page, reader=False, **values):
    return act("Pay", tokens=tokens, page=page, reader=reader, **values)


ROOMY = {"deferred": True, "outstanding": 15, "per_window": 15}

VERIFIER = {
    "lost, and asked again": ({}, [pay(4, 2, line="Lost"), act("Again", payment=2), act("HandIn"), act("Again", payment=2)]),
    "the mint away": ({}, [pay(4, 2, line="Down"), act("Again", payment=2, line="Down"), act("Restart"), act("Again", payment=2)]),
    "answers that nobody may believe": (
        {"embedded": True},
        [pay(1 << number, number, line=line) for number, line in enumerate(["Garbage", "Unsigned", "OtherChange", "Invented", "Foreign"])],
    ),
    "several, and one answer that spoils them": (
        {"embedded": True},
        [*[pay(1 << number, number, line="Down") for number in range(2, 6)], *[act("HandIn", line=line) for line in ("Garbage", "Invented", None)]],
    ),
    "late, crashed, and handed in again": (
        {"embedded": True},
        [pay(4, 2, line="Late"), act("Crash"), act("LetGo"), act("HandIn"), act("HandInAgain"), act("Again", payment=2)],
    ),
    "held": ({}, [pay(4, 2, line="Held"), act("Again", payment=2), act("Wait"), act("LetGo"), act("Receipt", payment=2)]),
    "paid twice": ({}, [act("PayTwice", payment=0, tokens=8, page=3), act("PayTwice", payment=0, tokens=0, page=3), act("HandIn")]),
    "paid elsewhere": ({}, [act("PayElsewhere", tokens=16), act("Pay", reader=True, tokens=48, page=1), act("Again", payment=2)]),
    "refreshed elsewhere": ({}, [act("Refresh", tokens=16), pay(48, 1, reader=True), act("Again", payment=2)]),
    "on trust until the limit": (
        {"deferred": True, "outstanding": 3, "per_window": 4},
        [pay(1 << number, number % 3, line="Down") for number in range(5)] + [act("HandIn"), act("Again", payment=3)],
    ),
    "on trust, and refused": (
        {**ROOMY, "refuse": True, "embedded": True},
        [act("PayElsewhere", tokens=16), pay(16, 1, reader=True), act("Wait"), act("Again", payment=2), act("Restart")],
    ),
    "one window": (
        {"deferred": True, "outstanding": 15, "per_window": 3},
        [pay(1 << number, 0, reader=True) for number in range(4, 9)] + [act("Forward", hours=1), pay(1 << 9, 0, reader=True)],
    ),
    "given back": (
        {"embedded": True},
        [
            act("Receipt"),
            act("Refund", line="Lost"),
            act("Refund", line="Unsigned"),
            act("Refund", disk="NoDecisions"),
            act("Refund"),
            act("Again"),
            act("ReadAgain"),
            act("HandInAgain"),
        ],
    ),
    "read again": (
        {},
        [act("ReadAgain"), act("ReadAgain", keys=1), act("ReadAgain", other_page=True), act("Forward", hours=3), act("ReadAgain")],
    ),
    "flaws": (
        {},
        [
            pay(1 << number, number, flaw=flaw)
            for number, flaw in enumerate(
                ["Salt", "Challenge", "Stale", "Early", "Reused", ("Amount", {0: True}), ("Amount", {0: False}), ("Bytes", {0: 90, 1: 1})]
            )
        ]
        + [act("Look", payment=payment) for payment in range(2, 8)],
    ),
    "other pages and prices": (
        {},
        [pay(1 << number, 1, sending=sending) for number, sending in enumerate(["OtherPage", "OtherPrice", ("HangUp", {0: 3})])]
        + [act("Again", payment=payment) for payment in (2, 3, 4)],
    ),
    "disks": (
        {"embedded": True},
        [
            pay(1 << number, 1, disk=disk)
            for number, disk in enumerate(["NoClaims", "ClaimsUnsaid", "NoDecisions", "DecisionsUnsaid", "NoReads"])
        ]
        + [act("Again", payment=payment) for payment in range(2, 7)],
    ),
    **{
        f"time, {embedded}": (
            {"embedded": embedded},
            [
                act("Rotate"),
                *[act("Forward", hours=49)] * 4,
                act("Rotate"),
                act("Clock", minutes=-200),
                act("Again", payment=1),
                act("Clock", minutes=299),
                *[act("Forward", hours=49)] * 4,
                act("Wait"),
                act("Again"),
                act("Restart"),
                act("Again"),
            ],
        )
        for embedded in (False, True)
    },
}

WALLET = {
    # The mint says that a session is gone which it has booked: another takes its place.
    "gone": (False, [("Refresh", {"issue": [("Refused", {0: 3, 1: 0})]}), ("Refresh", {})]),
    "gone at the start": (False, [("Refresh", {"open": [("Refused", {0: 3, 1: 0})]}), ("Reopen", {}), ("Refresh", {})]),
    "replayed": (False, [(("TopUp", {0: 17}), {"issue": ["Replayed"]}), ("Reopen", {}), ("Refresh", {})]),
    "renamed": (False, [("Refresh", {}), ("Restore", {"restore": "Renamed"}), ("Refresh", {})]),
    **{f"frozen {kind}": (True, [(("Freeze", {0: kind}), {}), ("Refresh", {}), ("Refresh", {})]) for kind in range(6)},
    "frozen and topped up": (True, [(("TopUp", {0: 38}), {}), (("Freeze", {0: 3}), {}), ("Refresh", {}), ("Restore", {}), ("Refresh", {})]),
    # A restored wallet cannot ask of tokens that wait whether they were spent: it counts them until they can be claimed.
    "frozen and restored": (
        True,
        [("Refresh", {}), (("Freeze", {0: 105}), {}), (("Freeze", {0: 143}), {}), ("Restore", {}), ("Refresh", {}), ("Refresh", {})],
    ),
}


def sequences():
    """Inputs by target."""
    known = TYPES["mint"]
    yield "mint", [b"".join(encode(known, "Step", step) for step in steps) for steps in MINT.values()]
    known = TYPES["recovery"]
    yield "recovery", [b"".join(encode(known, "Move", move) for move in moves) for moves in RECOVERY.values()]
    known = TYPES["verifier"]
    inputs = (encode(known, "Setup", setup) + b"".join(encode(known, "Step", step) for step in steps) for setup, steps in VERIFIER.values())
    yield "verifier", list(inputs)
    known = TYPES["wallet"]
    moves = (bytes([honest]) + b"".join(encode(known, "(Move, Lies)", move) for move in moves) for honest, moves in WALLET.values())
    yield "wallet", list(moves)
