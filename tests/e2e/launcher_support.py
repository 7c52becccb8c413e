"""Running the program from tests: FERRY_BINARY is the program, FERRY_SOURCE_DIR the repository (set by CTest)."""

import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

BINARY = os.environ["FERRY_BINARY"]
SOURCE = pathlib.Path(os.environ["FERRY_SOURCE_DIR"])
DEMO = SOURCE / "models" / "demo"
SKIPPED = 77  # FERRY_SKIPPED_EXIT in CMake


def ferry(*arguments, env=None, timeout=120, cwd=None, input=None):
    """Runs it to its end; text of both streams, exit code."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, cwd=cwd,
                          input=input,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})})


def state_of(process):
    """The letter of ps; Z also for one that is not there."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "Z"


def gpus():
    """Those of this machine."""
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.count("GPU ")
    except FileNotFoundError:
        return 0


def require_device(device, ranks):
    """Ends a test that runs on so many ranks of a device where they are not there: skipped, but with FERRY_REQUIRE_GPU=1
    failed for one rank and where nvidia-smi lists as many GPUs as there are ranks."""
    done = ferry("generate", "-n", ranks, "--device", device, "--model", DEMO, "--prompt", "x", "--run.dry_run")
    print(done.stderr.strip(), flush=True)
    if done.returncode == 2 and device == "cuda" and "GPU" in done.stderr:
        required = os.environ.get("FERRY_REQUIRE_GPU") == "1" and (ranks == 1 or gpus() >= ranks)
        sys.exit(1 if required else SKIPPED)
    if done.returncode != 0:
        sys.exit(1)


class FerryTest(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def assert_refused(self, done, *words):
        """Exit code 2 and one line on stderr that has all the words."""
        lines = done.stderr.strip().splitlines()
        self.assertEqual((done.returncode, len(lines)), (2, 1), f"{done.returncode}: {done.stderr}")
        self.assertTrue(lines[0].startswith("ferry: "), lines[0])
        for word in words:
            self.assertIn(str(word), lines[0])

    def copy_of_demo(self):
        """The small model, free to be damaged."""
        return pathlib.Path(shutil.copytree(DEMO, self.folder / "model"))


def relative_l2(found, wanted):
    """Of two sequences of numbers: |found - wanted| / |wanted|."""
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(found, wanted, strict=True)) / sum(y * y for y in wanted))


def psnr(found, wanted):
    """Of two tensors of torch whose values are in 0 .. 255, in dB."""
    error = (found.double() - wanted.double()).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def read_safetensors(path):
    """The header (without metadata) and the data of a file."""
    raw = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__", None)
    return header, raw[8 + size :]


def write_safetensors(path, tensors):
    """{name: (dtype, shape, bytes)} -> file."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def change_tensors(path, change):
    """Rewrites a safetensors file; change(name, dtype, shape, bytes) gives the new triple, or None to drop it."""
    header, data = read_safetensors(path)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kept = change(name, entry["dtype"], entry["shape"], data[begin:end])
        if kept is not None:
            tensors[name] = kept
    write_safetensors(path, tensors)
