"""tools/setup.sh asks what the build can find: programs and libraries are hidden from a copy of it, and it names them.

Nothing is installed: apt-get and sudo, where there are any, are scripts that write down what they were asked.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534
COPIED = ["tools/setup.sh", "tools/capabilities.sh", "tools/dependencies.txt", "tools/requirements-build.txt",
          "tools/requirements-gpu.txt", "cmake/FerryFind.cmake", "cmake/probe/CMakeLists.txt"]


# Where modules and folders of one's own put things; kept, so that an ordinary user may run this too.
KEPT = re.compile(r"(CC|CXX|CPATH|LIBRARY_PATH|LD_LIBRARY_PATH|CMAKE_.*|PKG_CONFIG.*|OPAL_PREFIX)$")


def places_of_programs():
    """Root's own programs are not for the ordinary user that the test becomes."""
    return ["/usr/bin", "/usr/local/bin"] if os.getuid() == 0 else os.environ["PATH"].split(":")


class Setup(unittest.TestCase):
    """A tree with a .venv that passes for complete, and a PATH of links to the programs of this machine."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.place = pathlib.Path(folder.name)
        self.tree = self.place / "tree"
        for name in COPIED:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.tree / name)
        self.programs = self.place / "programs"
        self.programs.mkdir()
        for folder in filter(os.path.isdir, places_of_programs()):
            for name in set(os.listdir(folder)) - {"sudo", "apt-get"}:
                if not (self.programs / name).is_symlink():
                    os.symlink(f"{folder}/{name}", self.programs / name)
        for name in {"ccache", "git", "pkg-config"} - set(os.listdir(self.programs)):
            self.script(self.programs / name, "exit 1")  # optional ones, which would be spoken of
        self.settings = {"PATH": str(self.programs), "HOME": str(self.place),
                         **{name: value for name, value in os.environ.items() if KEPT.match(name)}}
        self.plant_venv()

    def plant_venv(self):
        packages = self.tree / ".venv/lib/python3.11/site-packages"
        for name in ("torch/lib/libtorch_cpu.so", "torch-2.11.0.dist-info/RECORD"):
            (packages / name).parent.mkdir(parents=True, exist_ok=True)
            (packages / name).write_text("planted")
        version = (self.tree / "tools/requirements-build.txt").read_text()
        self.assertIn("torch==2.11.0", version, "the planted .venv is of another version")
        self.script(self.tree / ".venv/bin/python", "exit 0")

    def script(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def hide(self, *names):
        for name in names:
            (self.programs / name).unlink(missing_ok=True)

    def run_setup(self, level="build", **settings):
        """As an ordinary user, also where this test is root's."""
        words = [self.tree / "tools/setup.sh", level]
        user = {}
        if os.getuid() == 0:
            for path in [self.place, *self.place.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        done = subprocess.run(words, env={**self.settings, **settings}, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=100, **user)
        return done.returncode, done.stderr + done.stdout

    def ignore(self, *paths):
        """CMake finds nothing in these places: the system's copies are hidden."""
        toolchain = self.place / "hidden.cmake"
        toolchain.write_text("".join(f"list(APPEND CMAKE_IGNORE_PATH {path})\n" for path in paths))
        self.settings["CMAKE_TOOLCHAIN_FILE"] = str(toolchain)


def folders_of(*files):
    """Where the system has any of these files."""
    tops = ("/usr/include", "/usr/lib", "/usr/local")
    return {pathlib.Path(folder) for top in tops for folder, _, names in os.walk(top) if not set(files).isdisjoint(names)}


class OrdinaryUser(Setup):
    def test_one_who_has_everything_goes_on_and_is_not_asked_again(self):
        self.assertEqual(self.run_setup(), (0, ""))
        answers = self.tree / "build/probe/found.txt"
        self.assertIn("mpi.h", answers.read_text())
        self.script(self.programs / "cmake", "[ $1 = --version ] && echo cmake version 3.25.1")  # finds nothing
        self.assertEqual(self.run_setup(), (0, ""))

    def test_a_missing_program_is_named_with_the_packages_that_bring_it(self):
        self.hide("ninja")
        code, text = self.run_setup()
        self.assertEqual(code, 1, text)
        self.assertRegex(text, r"apt: ninja-build +dnf\*: ninja-build +conda-forge\*: ninja +Spack\*: ninja")
        self.assertNotIn("GoogleTest", text)
        self.assertIn("nobody has tried", text)

    def test_without_cmake_it_says_what_it_could_not_look_for(self):
        self.script(self.programs / "cmake", "echo cmake version 3.22.1")
        self.hide("mpirun")
        code, text = self.run_setup()
        self.assertEqual(code, 1, text)
        self.assertIn("CMake 3.25 or later (here is 3.22.1)", text)
        self.assertIn("Open MPI with mpicc and mpirun (no mpirun on PATH)", text)
        self.assertRegex(text, "not looked for, .*: boost compiler fmt .*utf8proc\n")

    def test_a_library_of_a_folder_of_ones_own_is_found_and_missed_when_it_goes(self):
        name = "utf8proc.h"
        folders = folders_of(name, "libutf8proc.a", "libutf8proc.so")
        if not folders:
            self.skipTest("utf8proc is not the system's here")
        self.ignore(*folders)
        # These folders have others of Ferry's libraries, which are therefore in the prefix too.
        prefix = self.place / "prefix"
        for folder in folders:
            to = prefix / ("include" if "include" in folder.parts else "lib")
            to.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if not (to / path.name).exists():
                    os.symlink(path, to / path.name)
        code, text = self.run_setup()
        self.assertEqual(code, 1, text)
        self.assertIn("apt: libutf8proc-dev", text)
        self.assertEqual(self.run_setup(CMAKE_PREFIX_PATH=str(prefix)), (0, ""))
        (prefix / "include" / name).unlink()
        code, text = self.run_setup(CMAKE_PREFIX_PATH=str(prefix))
        self.assertEqual(code, 1, text)
        self.assertEqual(text.count("apt:"), 1, text)
        self.assertIn("apt: libutf8proc-dev", text)

    def test_a_compiler_of_an_older_language_is_named(self):
        self.script(self.place / "old", 'for word; do [ "${word/++20/}" = "$word" ] || exit 1; done; exec /usr/bin/c++ "$@"')
        code, text = self.run_setup(CXX=str(self.place / "old"))
        self.assertEqual(code, 1, text)
        self.assertIn(f"({self.place}/old does not compile C++20)", text)
        self.assertEqual(text.count("apt:"), 1, text)

    def test_what_is_not_needed_is_only_said(self):
        self.hide("ccache")
        code, text = self.run_setup()
        self.assertEqual((code, text), (0, "setup: goes on without: ccache\n"))

    def test_what_only_tests_can_do_without_is_not_missed_by_a_build(self):
        self.hide("ip")
        self.assertEqual(self.run_setup(), (0, ""))
        _, text = self.run_setup("test")  # which then misses Python's packages
        self.assertIn("setup: goes on without: ip\n", text)

    def test_a_user_whom_sudo_refuses_is_told_and_one_whom_it_obeys_gets_the_packages_of_what_is_missing(self):
        self.hide("ninja")
        self.script(self.programs / "dpkg-query", "exit 0")
        asked = self.place / "asked"
        self.script(self.programs / "apt-get", f'echo "$@" >>{asked}')
        self.script(self.programs / "sudo", "exit 1")
        code, text = self.run_setup()
        self.assertEqual(code, 1, text)
        self.assertIn("apt: ninja-build", text)
        self.assertFalse(asked.exists())
        self.script(self.programs / "sudo", 'if [ "$1" = -n ]; then exit; fi; exec "$@"')
        code, text = self.run_setup()
        self.assertIn("setup: installing with apt-get: ninja-build\n", text)
        self.assertEqual(asked.read_text().split("\n")[1], "install -y -qq --no-install-recommends ninja-build")
        self.assertEqual(code, 1, "apt-get, which is a script here, installed nothing: " + text)
        self.assertIn("apt: ninja-build   dnf", text)


class Table(unittest.TestCase):
    def test_each_capability_that_cmake_reports_has_a_line_and_each_line_eight_columns(self):
        lines = [line.split("|") for line in (ROOT / "tools/dependencies.txt").read_text().splitlines()
                 if not line.startswith("#")]
        for line in lines:
            self.assertEqual(len(line), 8, line)
            self.assertTrue(all(column.strip() for column in line), line)
        of_cmake = {line[0].strip() for line in lines if line[2].strip() == "CMake"}
        text = (ROOT / "cmake/FerryFind.cmake").read_text()
        reported = set()
        for line in text.splitlines():
            word, _, rest = line.partition("(")
            if word in ("_ferry_capability", "_ferry_package", "_ferry_find_library"):
                reported.add(rest.split()[0])
        self.assertEqual(of_cmake, reported)


if __name__ == "__main__":
    unittest.main(verbosity=2)
