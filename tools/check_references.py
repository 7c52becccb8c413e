#!/usr/bin/env python3
"""Checks that what comments and manuals refer to exists: documents, their sections, files, folders, links.

  section     "wan21.md section 2.7", "sections 4.1 to 4.6": that document has headings that begin with the numbers.
              Without a document's name it is a section of the one that the file named last, in a manual its own.
  document    a name in .md or .txt: beside the file, from the root, in docs/, or the end of a path
  path        one that begins with a top folder (model/dit/dit.h, tools/gpu): from the root or from the file's folder
  file        a source's name with or without some of its folders (dit.h, kernels/patch.h): the end of a path
  link        [text](path#heading) in Markdown: relative to the document

In sources comments are read, and Python's docstrings; in manuals everything.  A reference may run over a line's end.
A name with a part in capitals (OUT/model, NAME_test.cpp) stands for others and is not looked for.

  tools/check_references.py [root]     prints each dangling reference as file:line and exits 1 when there is one
"""

import io
import pathlib
import re
import sys
import tokenize

FOLDERS = ["launcher", "worker", "offload", "checkpoint", "model", "parallel", "base", "bench", "tests", "tools", "docs",
           "configs", "cmake", "slurm", "models"]
SLASHES = {".h", ".cpp", ".cu", ".cuh", ".inc"}
HASHES = {".sh", ".cmake", ".cfg", ".sbatch", ".supp", ".txt"}
# In comments, but not of this tree: another program's, an example's, and what scripts write.
ELSEWHERE = {"convert_lora.py", "a_test.cpp", "many.jsonl", "measure.jsonl", "sweep.jsonl"}

NUMBER = r"\d+(?:\.\d+)*"
SECTION = re.compile(rf"\b[Ss]ections?\s+({NUMBER}(?:(?:,|\s+(?:and|or|to))\s+{NUMBER})*)")
DOCUMENT = re.compile(r"(?<![\w/.*<$}-])((?:[\w.-]+/)*[\w-]+\.(?:md|txt))\b")
SOURCE = "h|cuh|cpp|cu|inc|py|sh|cmake|sbatch|jsonl"
FILE = re.compile(rf"(?<![\w/.*<$}}-])(?:\.\./)*((?:[\w.-]+/)*[\w-]+\.(?:{SOURCE}))\b(?!/)")
PATH = re.compile(rf"(?<![\w/.*<$}}-])((?:{'|'.join(FOLDERS)})/[\w./-]*)(?![\w*<{{$])")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CAPITALS = re.compile(r"(?:^|[/_.-])[A-Z]{2,}(?:$|[/_.-])")
HEADING = re.compile(r"^#+ (.*)", re.MULTILINE)


def comments_of(path, text):
    """`text` with all but comments and line ends blanked out; a manual as it is."""
    if path.suffix == ".md":
        return text
    if path.suffix == ".py":
        return python_comments(text)
    mark = "//" if path.suffix in SLASHES else "#"
    kept = [re.search(rf"(?:^|\s){mark}(.*)", line) for line in text.split("\n")]
    return "\n".join(match.group(1) if match else "" for match in kept)


def python_comments(text):
    lines = [""] * (text.count("\n") + 2)
    start_of_line = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        docstring = token.type == tokenize.STRING and start_of_line
        if token.type == tokenize.COMMENT or docstring:
            for i, line in enumerate(token.string.split("\n")):
                lines[token.start[0] - 1 + i] += line.lstrip("#")
        if token.type not in {tokenize.NL, tokenize.COMMENT}:
            start_of_line = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    return "\n".join(lines)


class Tree:
    def __init__(self, root):
        self.root = root
        found = [p for folder in FOLDERS for p in (root / folder).rglob("*")] + list(root.iterdir())
        found = [p.relative_to(root) for p in found if "__pycache__" not in p.parts]
        self.files = sorted(p for p in found if (root / p).is_file())
        self.ends = {"/".join(p.parts[i:]) for p in self.files for i in range(len(p.parts))}
        self.sections = {}

    def sources(self):
        for path in self.files:
            if path.suffix in SLASHES | HASHES | {".md", ".py"} or path.name == "Makefile":
                yield path

    def has(self, path):
        return (self.root / path).exists()

    def document(self, name, source):
        """The document that `source` calls `name`, or None."""
        for place in [source.parent / name, pathlib.Path(name), pathlib.Path("docs") / name]:
            if self.has(place):
                return place
        return next((p for p in self.files if str(p).endswith("/" + name)), None)

    def headings(self, document):
        """Its headings, as numbers and as GitHub's anchors."""
        if document not in self.sections:
            names = HEADING.findall((self.root / document).read_text(encoding="utf-8"))
            numbers = {match.group() for name in names if (match := re.match(NUMBER, name))}
            anchors = {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}
            self.sections[document] = (numbers, anchors)
        return self.sections[document]


def wrong_sections(tree, path, text):
    """Documents and sections in the order of the text."""
    manual = path.suffix == ".md"
    named, end = None, 0
    for match in sorted([*DOCUMENT.finditer(text), *SECTION.finditer(text)], key=lambda match: match.start()):
        if match.re is DOCUMENT:
            named, end = tree.document(match.group(1), path), match.end()
            if named is None and not stands_for_others(match.group(1)):
                yield match, "no such document"
            continue
        document = path if manual and match.start() - end > 3 else named
        if document is None:
            yield match, "of which document?"
            continue
        for number in re.findall(NUMBER, match.group(1)):
            if number not in tree.headings(document)[0]:
                yield match, f"{document} has no section {number}"


def stands_for_others(name):
    return name in ELSEWHERE or CAPITALS.search(name)


def wrong_paths(tree, path, text):
    for match in PATH.finditer(text):
        name = match.group(1).rstrip("./-")
        if not (tree.has(name) or tree.has(path.parent / name) or stands_for_others(name)):
            yield match, "no such path"
    for match in FILE.finditer(text):
        name = match.group(1)
        if name.split("/")[0] not in FOLDERS and name not in tree.ends and not stands_for_others(name):
            yield match, "no such file"


def wrong_links(tree, path, text):
    for match in LINK.finditer(text) if path.suffix == ".md" else []:
        target, _, anchor = match.group(1).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = path.parent / target if target else path
        if not tree.has(place):
            yield match, "no such file"
        elif anchor and place.suffix == ".md" and anchor not in tree.headings(place)[1]:
            yield match, "no such heading"


def main() -> int:
    tree = Tree(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    count, found = 0, 0
    for path in tree.sources():
        count += 1
        text = comments_of(path, (tree.root / path).read_text(encoding="utf-8"))
        for check in [wrong_sections, wrong_paths, wrong_links]:
            for match, why in check(tree, path, text):
                line = text.count("\n", 0, match.start()) + 1
                print(f"{path}:{line}: {' '.join(match.group().split())}: {why}")
                found += 1
    print(f"{count} files, {found} dangling references")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
