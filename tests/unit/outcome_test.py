"""outcome_test.py PROGRAM MPIEXEC MPI_PROGRAM BUILD: what a test program skipped altogether is not counted as passed.

Both programs are tests/support/outcome_program.cpp, with the main() of tests in one process and on several ranks.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
PROGRAM, MPIEXEC, MPI_PROGRAM, BUILD = sys.argv[1:5]


def exit_code(*tests, ranks=None):
    start = [PROGRAM] if ranks is None else [MPIEXEC, "-n", str(ranks), MPI_PROGRAM]
    chosen = "--gtest_filter=" + ":".join("Outcome." + test for test in tests)
    return subprocess.run([*start, chosen], capture_output=True).returncode


class ExitCodes(unittest.TestCase):
    def test_one_process(self):
        self.assertEqual(exit_code("Skips"), SKIPPED)
        self.assertEqual(exit_code("Passes"), 0)
        self.assertEqual(exit_code("Passes", "Skips"), 0)
        self.assertEqual(exit_code("Fails", "Skips"), 1)

    def test_several_ranks(self):
        self.assertEqual(exit_code("Skips", ranks=1), SKIPPED)
        self.assertEqual(exit_code("Skips", ranks=2), SKIPPED)
        self.assertEqual(exit_code("Skips", "Passes", ranks=2), 0)
        self.assertEqual(exit_code("PassesOnTheSecondRankAlone", ranks=2), 0)
        self.assertEqual(exit_code("FailsOnTheSecondRankAlone", ranks=2), 1)


class Registered(unittest.TestCase):
    def test_every_program_of_tests_may_skip(self):
        listed = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, check=True)
        tests = [test for test in json.loads(listed.stdout)["tests"] if "command" in test]
        programs = [test for test in tests if test["command"][-1].endswith(("_test", "_probe"))]
        self.assertGreater(len(programs), 5)
        for test in programs:
            properties = {each["name"]: each["value"] for each in test["properties"]}
            self.assertEqual(properties.get("SKIP_RETURN_CODE"), SKIPPED, test["name"])


class Summary(unittest.TestCase):
    def test_the_last_line_counts_each_kind(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "tools").mkdir()
            (root / "build").mkdir()
            shutil.copy(ROOT / "tools" / "run_tests.sh", root / "tools")
            lines = [f'add_test({name} "{PROGRAM}" "--gtest_filter={tests}")\n'
                     f"set_tests_properties({name} PROPERTIES SKIP_RETURN_CODE {SKIPPED})\n"
                     for name, tests in [("a", "*.Passes"), ("b", "*.Passes:*.Skips"), ("c", "*.Fails:*.Skips"),
                                         ("d", "*.Skips"), ("e", "*.Skips"), ("f", "*.Skips")]]
            (root / "build" / "CTestTestfile.cmake").write_text("".join(lines))
            done = subprocess.run([root / "tools" / "run_tests.sh"], capture_output=True, text=True)
        self.assertEqual(done.stdout.splitlines()[-1], "2 passed, 1 failed, 3 skipped", done.stdout + done.stderr)
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
