"""The checks of tools/ find what they look for: each is run over a planted tree, or over planted rows."""

import json
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
                             ("launcher/options/keys.cpp", "boost/any.hpp"), ("model/a.cu", "ATen/ATen.h"),
                             ("model/a.cpp", "torch/torch.h")]:
            code, text = self.offence(path, header)
            self.assertEqual(code, 1, (path, header))
            self.assertIn(f"{path}:1: ", text)

    def test_rooms_of_a_folder_form_no_cycle(self):
        line = {"offload/x/a.h": "offload/y/b.h", "offload/y/b.h": "offload/z/c.h", "offload/z/c.h": "offload/d.h",
                "offload/d.h": "offload/x/a.h", "tests/unit/a.h": "tests/mpi/a.h", "tests/mpi/a.h": "tests/unit/a.h"}
        for header, want in [("base/x/a.h", 0), ("offload/x/a.h", 1), ("offload/y/b.h", 1)]:
            includes = {path: f'#include "{to}"\n' for path, to in {**line, "offload/z/e.cpp": header}.items()}
            code, text = run("check_includes.py", includes)
            self.assertEqual(code, want, (header, text))
            self.assertEqual("offload/z/e.cpp:1: " in text, want == 1, text)
            self.assertEqual("offload/x/a.h:1: " in text, header == "offload/x/a.h", text)

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

    def test_a_folder_holds_no_more_than_thirty_files(self):
        def tree(folder, count):
            return {"base/a.cpp": "", **{f"{folder}/{i}.txt": "" for i in range(count)}}

        for folder, count, want in [("offload/x", 30, 0), ("offload/x", 31, 1), ("tools/x", 31, 1), ("base", 30, 1),
                                    ("tests/unit", 31, 0), ("docs/results", 31, 0)]:
            code, text = run("check_sizes.py", tree(folder, count))
            self.assertEqual(code, want, (folder, count, text))
            self.assertEqual(f"{folder}/: " in text, want == 1, text)


class References(unittest.TestCase):
    TREE = {"docs/wan.md": "# A manual\n\n## 2. Blocks\n\n### 2.7 A block\n\nSection 2.7, `model/`.\n", "model/a.h": ""}

    def test_what_exists_may_be_named_and_what_is_no_comment_is_not_read(self):
        code, text = run("check_references.py", {
            **self.TREE,
            "model/b.h": "// A block (wan.md section 2.7), and (section 2); model/a.h, a.h and docs/wan.md.\n",
            "model/c.cpp": 'int a;  // by wan.md\n// sections 2 to 2.7\nauto b = "model/none.h, none.md section 9";\n',
            "tools/d.py": 'NAME = "none.md"\n\n\ndef f():\n    """Reads OUT/video.md."""\n',
            "tools/e.sh": "# Calls tools/d.py.\ncat none.md\n",
            "README.md": "[manual](docs/wan.md#27-a-block), [page](https://none.org/none), `docs/wan.md` section 2,\n"
                         "[code](model/a.h#L1)\n"})
        self.assertEqual((code, text), (0, "7 files, 0 dangling references\n"))

    def test_each_kind_of_dangling_reference_is_found_with_its_place(self):
        cases = [("model/b.h", "int a;\n// (wan.md section 2.8).\n", "2: section 2.8: docs/wan.md has no section 2.8"),
                 ("model/c.h", "// (wan.md sections 2\n// to 3).\n", "1: sections 2 to 3: docs/wan.md has no section 3"),
                 ("model/d.h", "// A block (section 2.7).\n", "1: section 2.7: of which document?"),
                 ("model/e.h", "// A block (none.md).\n", "1: none.md: no such document"),
                 ("model/f.cu", "int a;  // as notes.txt says\n", "1: notes.txt: no such document"),
                 ("model/g.cpp", "// See model/none.h.\n", "1: model/none.h.: no such path"),
                 ("model/h.cpp", "// See model/vae, which is old.\n", "1: model/vae: no such path"),
                 ("model/i.cpp", "// See none.h.\n", "1: none.h: no such file"),
                 ("tools/j.py", '"""Reads model/none.h, twice."""\n', "1: model/none.h: no such path"),
                 ("tools/k.sh", "cat a  # as tools/none.sh does\n", "1: tools/none.sh: no such path"),
                 ("docs/l.md", "a\n\n`model/none/`\n", "3: model/none/: no such path"),
                 ("docs/m.md", "[a](../other/none.png)\n", "1: ](../other/none.png): no such file"),
                 ("docs/n.md", "[a](wan.md#none)\n", "1: ](wan.md#none): no such heading"),
                 ("docs/o.md", "# 1\n\nSection 1, section 3.\n", "3: section 3: docs/o.md has no section 3"),
                 ("docs/p.md", "wan.md section 3\n", "1: section 3: docs/wan.md has no section 3")]
        code, text = run("check_references.py", {**self.TREE, **{path: content for path, content, _ in cases}})
        self.assertEqual(code, 1)
        self.assertEqual(sorted(text.splitlines()[:-1]), sorted(f"{path}:{found}" for path, _, found in cases))


class PredictionErrors(unittest.TestCase):
    ROW = {"ranks": 1, "cfg": "paired", "type": "none", "transport": None, "link_gbps": None, "step_s": 2.0, "step_least_s": 1.9,
           "step_most_s": 2.1, "predicted_step_s": 2.1, "gpu_bytes": 100, "node_bytes": 100,
           "predicted": {"gpu_bytes": 101, "node_bytes": 98}}

    def judged(self, *changes):
        with tempfile.TemporaryDirectory() as folder:
            rows = pathlib.Path(folder, "rows.jsonl")
            rows.write_text("".join(json.dumps({**self.ROW, **change}) + "\n" for change in changes))
            done = subprocess.run([sys.executable, ROOT / "tools/prediction_error.py", rows], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_errors_within_their_limits_pass_and_are_said(self):
        code, text = self.judged({}, {"predicted_step_s": 1.7}, {"predicted_step_s": 1.8}, {"step_s": None, "error": "no"})
        self.assertEqual(code, 0, text)
        self.assertIn("+5.0 % | -2.00 % |", text)
        self.assertIn("3 cells, 1 rows without prediction or step: median 10.0 % (limit 10), worst 15.0 % (limit 20), "
                      "bytes, worst 2.0 % (limit 3)", text)

    def test_each_limit_counts(self):
        for changes in ([{}, {}, {"predicted_step_s": 2.5}], [{"predicted_step_s": 1.7}],
                        [{"predicted": {"gpu_bytes": 104, "node_bytes": 100}}]):
            self.assertEqual(self.judged(*changes)[0], 1, changes)

    def test_rows_without_predictions_are_no_success(self):
        code, text = self.judged({"predicted_step_s": None})
        self.assertEqual((code, text.count("\n")), (1, 1), text)


if __name__ == "__main__":
    unittest.main()
