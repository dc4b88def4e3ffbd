"""Lines of results.jsonl about question files: what they claim, and whether certificates prove that."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..importers.json_header import expect, shown
from .check import HOLDS, VIOLATED, Checked
from .reading import record_with

KIND = "question"
# A verdict has one certificate; an optimum two, of a witness that attains it and of nothing beyond.
CLAIMS: dict[str, tuple[str, ...]] = {
    HOLDS: (HOLDS,),
    VIOLATED: (VIOLATED,),
    "OPTIMAL": (VIOLATED, HOLDS),
    "EMPTY": (),
    "UNKNOWN": (),
}
KEYS: dict[str, type] = {"kind": str, "question": str, "networks": dict, "verdict": str, "reason": str}
OPTIONAL: dict[str, type] = {"certificate": str, "certificates": list, "objective": str}


def claims(entry: dict[str, Any], place: str) -> list[dict[str, Any]]:
    """What the line claims with a certificate: its name (None where there is none), the verdict that it must have, and hashes of networks.

    Raises `InputError` for what is no such line.
    """
    record_with({key: entry[key] for key in (*KEYS, *OPTIONAL) if key in entry}, KEYS, OPTIONAL, place)
    if entry["verdict"] not in CLAIMS:
        raise InputError(f"{place}: verdict {shown(entry['verdict'])} is unknown; expected {', '.join(CLAIMS)}")
    for sha256 in entry["networks"].values():
        expect(sha256, str, f"{place}: networks")
    names = entry.get("certificates") or [entry.get("certificate")]
    for name in names:
        if name is not None:
            expect(name, str, f"{place}: certificates")
    wanted = CLAIMS[entry["verdict"]]
    if len(names) < len(wanted):
        names = [None] * len(wanted)
    about = {"kind": KIND, "networks": sorted(entry["networks"].values())}
    extra = [name for name in names[len(wanted) :] if name is not None]
    if extra:
        raise InputError(f"{place}: {entry['verdict']} with a certificate {shown(extra[0])}, expected {len(wanted)}")
    return [{**about, "certificate": name, "verdict": verdict} for name, verdict in zip(names, wanted, strict=False)]


def against(claim: dict[str, Any], checked: Checked) -> str:
    """Where a claim is not what its certificate proves; else empty."""
    if claim["verdict"] != checked.verdict:
        return f"says {claim['verdict']}, the certificate {checked.verdict}"
    entries = checked.header["networks"]
    hashes = sorted(part["sha256"] for entry in entries for part in entry.get("parts", (entry,)))
    return "" if hashes == claim["networks"] else "is about other networks than the certificate"
