#!/usr/bin/env python3
"""on_gpu.py SCRIPT PROBE: runs the parity script with --gpu, or skips it (exit code 77) where no GPU is usable.

A probe without arguments ends with 77 where its device is not there; asking it first saves the imports.
"""
import os
import subprocess
import sys

script, probe = sys.argv[1:]
if subprocess.run([probe], capture_output=True).returncode == 77:
    print("no usable GPU")
    sys.exit(1 if os.environ.get("FERRY_REQUIRE_GPU") == "1" else 77)
os.execv(sys.executable, [sys.executable, script, probe, "--gpu"])
