"""The checks of tools/ find what they look for: each is run over a planted tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(tool, files, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        done = subprocess.run([sys.executable, ROOT / "tools" / tool, *arguments, folder], capture_output=True, text=True)
    return done.returncode, done.stdout


class Includes(unittest.TestCase):
    def offence(self, path, header):
        return run("check_includes.py", {path: f'#include "{header}"\n'})

    def test_the_allowed_direction_passes(self):
        for path, header in [("worker/a.cpp", "base/error.h"), ("launcher/a.cpp", "bench/x.h"),
                             ("tests/a.cpp", "launcher/a.h"), ("model/dit/a.cpp", "model/weights.h")]:
            self.assertEqual(self.offence(path, header)[0], 0, (path, header))

    def test_each_kind_of_offence_is_found_with_its_place(self):
        for path, header in [("base/a.h", "parallel/group.h"), ("model/a.cpp", "offload/options.h"),
                             ("worker/a.cpp", "bench/x.h"), ("base/a.h", "ATen/core/Tensor.h"),
                             ("launcher/keys.cpp", "boost/any.hpp"), ("model/a.cu", "ATen/ATen.h"),
                             ("model/a.cpp", "torch/torch.h")]:
            code, text = self.offence(path, header)
            self.assertEqual(code, 1, (path, header))
            self.assertIn(f"{path}:1: ", text)

    def test_an_empty_tree_is_no_success(self):
        self.assertEqual(run("check_includes.py", {"base/readme": ""})[0], 1)


def function_of(lines):
    return "int f() {\n" + "  g();\n" * (lines - 2) + "}\n"


class Sizes(unittest.TestCase):
    def test_what_is_over_the_limit_is_found_and_what_is_at_it_is_not(self):
        self.assertEqual(run("check_sizes.py", {"base/a.cpp": function_of(80)})[0], 0)
        code, text = run("check_sizes.py", {"base/a.cpp": "\n" + function_of(81)})
        self.assertEqual(code, 1)
        self.assertIn("base/a.cpp:2: function int f has 81 lines", text)

    def test_long_signatures_methods_files_and_classes_count(self):
        long = "int f(int a,\n      int b) {\n" + "  g();\n" * 80 + "}\n"
        method = "class A {\n" + "".join("  " + line + "\n" for line in function_of(81).splitlines()) + "};\n"
        for content in [long, method, "int a;\n" * 501, "struct A {\n" + "  int a;\n" * 150 + "};\n"]:
            self.assertEqual(run("check_sizes.py", {"base/a.cpp": content})[0], 1)

    def test_kernels_may_be_longer(self):
        self.assertEqual(run("check_sizes.py", {"model/a.cu": function_of(100)})[0], 0)


if __name__ == "__main__":
    unittest.main()
