"""kill -9 at random moments of a campaign that is resumed each time: `python tests/kill_campaign.py --kills 100 --queries 2000`.

After every kill: what was finished before is there byte for byte, so is every line that was printed, lines but the last are whole,
and no process is left. In the end: one line for each query, the verdicts of a run that nobody killed, all certificates,
no unfinished file and nothing in the folder for temporary files.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import wait_until

import qbitsat
from qbitsat.examples import images_path, network_path


def write_images(path: Path, count: int, seed: int) -> None:
    """The shipped images with noise, which the network then takes for what it takes them for."""
    rng, images = np.random.default_rng(seed), np.load(images_path()).astype(np.int64)
    chosen = images[np.arange(count) % len(images)]
    np.save(path, np.clip(chosen + rng.integers(-1, 2, chosen.shape), 0, 16).astype(np.uint8))


class Campaign:
    """A command, in a folder of its own, that is run again and again."""

    def __init__(self, folder: Path, images: Path, jobs: int):
        self.out, self.temporary, self.printed = folder / "out", folder / "tmp", folder / "printed"
        self.temporary.mkdir(parents=True)
        words = [
            "verify",
            network_path(),
            "--inputs",
            images,
            "--eps",
            "1",
            "--jobs",
            jobs,
            "--out",
            self.out,
            "--certificates",
            "--resume",
        ]
        self.command = [sys.executable, "-m", "qbitsat", *map(str, words)]
        self.whole = b""

    def start(self) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent), "TMPDIR": str(self.temporary)}
        with open(self.printed, "wb") as stream:
            return subprocess.Popen(self.command, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)

    def data(self) -> bytes:
        path = self.out / "results.jsonl"
        return path.read_bytes() if path.exists() else b""

    def check(self) -> None:
        """What must be true whenever no run is under way."""
        data = self.data()
        assert data.startswith(self.whole), "a finished line was lost or changed"
        self.whole = data[: data.rfind(b"\n") + 1]
        found = {(entry["sample"], entry["eps"]) for entry in map(json.loads, self.whole.splitlines())}
        printed = {
            (int(s), int(eps)) for s, eps in re.findall(r"^sample (\d+) +eps (\d+) .* s CPU", self.printed.read_text(), re.MULTILINE)
        }
        assert printed <= found, "a line was printed and is not there"

    def verdicts(self) -> dict[int, str]:
        entries = [json.loads(line) for line in self.whole.splitlines()]
        result = {entry["sample"]: entry["verdict"] for entry in entries}
        assert len(result) == len(entries), "two lines about one query"
        names = {entry["certificate"] for entry in entries if entry["certificate"]}
        assert names == {f"certificates/{path.name}" for path in (self.out / "certificates").iterdir()}, "unfinished or unnamed files"
        assert not list(self.temporary.iterdir()), "temporary files are left"
        return result

    def run(self) -> int:
        """To the end; the exit code."""
        code = self.start().wait()
        self.check()
        return code

    def run_and_kill(self, rng: random.Random) -> bool:
        """Whether the run was killed before it ended: half of them at any moment from the start, half once there are new lines."""
        before, process = len(self.data()), self.start()
        if rng.random() < 0.5:
            wait_until(lambda: len(self.data()) > before or process.poll() is not None)
            time.sleep(rng.uniform(0, 0.5))
        else:
            time.sleep(rng.uniform(0, 2))
        ended = process.poll() is not None
        process.kill()
        process.wait()
        assert wait_until(lambda: not is_group(process.pid)), "a child outlived the command"
        self.check()
        return not ended


def is_group(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def kill(folder: Path, kills: int, queries: int, jobs: int = 2, seed: int = 0) -> tuple[int, int, int]:
    """Campaigns that are killed so many times in all: their number, how often lines were torn, and lines that were kept over kills."""
    rng, images = random.Random(seed), folder / "images.npy"
    write_images(images, queries, seed)
    undisturbed = Campaign(folder / "undisturbed", images, jobs)
    assert undisturbed.run() in (0, 10)
    wanted = undisturbed.verdicts()
    number = torn = kept = done = 0
    while done < kills:
        campaign, number = Campaign(folder / str(number), images, jobs), number + 1
        while done < kills and campaign.run_and_kill(rng):
            done += 1
            kept += campaign.whole.count(b"\n")
            torn += len(campaign.data()) > len(campaign.whole)
        assert campaign.run() in (0, 10)
        assert campaign.verdicts() == wanted
        assert len(wanted) == queries
    return number, torn, kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 100), ("queries", 2000), ("jobs", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start = time.monotonic()
        campaigns, torn, kept = kill(Path(name), args.kills, args.queries, args.jobs, args.seed)
        seconds = time.monotonic() - start
    print(f"{args.kills} kills of {campaigns} campaigns of {args.queries} queries in {seconds:.0f} s: no finished line lost or damaged;")
    print(f"{kept} finished lines were there after kills, {torn} last lines were cut off")
