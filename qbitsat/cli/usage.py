"""Options that need others, or contradict them: commands refuse these before they read a file."""

from __future__ import annotations

import argparse

from ..errors import ArgumentError
from ..properties.region import own_distance

FOLDERS = {"certificates": "the folder for them", "resume": "the folder of an earlier run"}
# What asks for a proof, and its value where it is not given.
OF_PROOFS = {"inputs": None, "eps": None, "within": None, "region": None, "print": False, "certificates": False}
# What is about samples, and its value where it is not given.
OF_SAMPLES = {"eps": None, "region": None, "samples": ":"}


def expect_folder(args: argparse.Namespace) -> None:
    """What is written, or gone on with, has a folder."""
    for name, what in FOLDERS.items():
        if getattr(args, name, False) and not args.out:
            raise ArgumentError(name, f"needs --out DIR, {what}")


def expect_samples(args: argparse.Namespace, distance: bool = True) -> None:
    """Distances and regions are around samples; `distance` says whether samples need one."""
    if args.inputs is None:
        for name, nothing in OF_SAMPLES.items():
            if getattr(args, name) != nothing:
                raise ArgumentError(name, "around no sample, expected --inputs FILE as well")
    elif distance:
        distance_of(args)


def distance_of(args: argparse.Namespace, nothing: str | None = None) -> str:
    """What --eps says; without it the largest distance in --region, if every part has one, or `nothing`."""
    if args.eps is not None:
        return args.eps
    own = own_distance(args.region)
    found = nothing if own is None else str(own)
    if found is None:
        raise ArgumentError("inputs", "needs --eps LIST, the distance around samples, or a distance in every part of --region")
    return found


def expect_no_proof(args: argparse.Namespace) -> None:
    """Who observes asks for none."""
    for name, nothing in OF_PROOFS.items():
        if getattr(args, name) != nothing:
            raise ArgumentError(name, "asks for a proof, expected none with --observe")
