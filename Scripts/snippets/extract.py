"""Writes a package of the snippets in README.md and in documentation comments: extract.py REPOSITORY FOLDER.

A snippet of README.md that imports something is a program of its own; it is compiled and run as it is pasted. Snippets of
documentation comments are compiled inside functions, beside the names that Preamble.swift declares; "…" stands for nothing.
"""
import pathlib
import re
import sys

repository, target = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])


def write(path, text):
    """Writes a file unless it says that already, so that nothing is built twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


readme = (repository / "README.md").read_text(encoding="utf-8")
blocks = re.findall(r"^```(\w+)\n(.*?)^```$", readme, flags=re.M | re.S)

programs = []
for language, text in blocks:
    if language == "swift" and re.search(r"^import ", text, flags=re.M):
        name = "Snippet%d" % (len(programs) + 1)
        programs.append(name)
        write(target / "Sources" / name / ("Program.swift" if "@main" in text else "main.swift"), text)
    elif language == "python":
        write(target / "commands" / re.match(r"# (\S+)", text).group(1), text)
commands = [
    line.split("   #")[0].rstrip()
    for language, text in blocks if language == "sh" for line in text.splitlines() if line.startswith("heddle ")
]
write(target / "commands" / "commands.txt", "\n".join(commands) + "\n")

functions = []
for path in sorted((repository / "Sources").rglob("*.swift")):
    comment = re.compile(r"^ *///[ ]?", flags=re.M)
    for snippet in re.findall(r"^ */// ```swift\n(.*?)^ */// ```$", path.read_text(encoding="utf-8"), flags=re.M | re.S):
        code = comment.sub("", snippet).replace("…", "")
        functions.append(
            "// %s\nfunc snippet%d(%s) async throws {\n%s}\n"
            % (path.relative_to(repository), len(functions) + 1, "_ given: Given", re.sub(r"^", "  ", code.rstrip(), flags=re.M) + "\n"))
write(
    target / "Sources" / "Comments" / "Snippets.swift",
    "import Heddle\nimport HeddlePython\n\n" + "\n".join(functions))
write(target / "Sources" / "Comments" / "Preamble.swift", (repository / "Scripts/snippets/Preamble.swift").read_text(encoding="utf-8"))

products = '[.product(name: "Heddle", package: "heddle"), .product(name: "HeddlePython", package: "heddle")]'
targets = ['.executableTarget(name: "%s", dependencies: %s)' % (name, products) for name in programs]
# What a snippet makes and does not use is no mistake of it.
targets.append('.target(name: "Comments", dependencies: %s, swiftSettings: [.unsafeFlags(["-suppress-warnings"])])' % products)
write(
    target / "Package.swift",
    "// swift-tools-version:6.2\nimport PackageDescription\n\nlet package = Package(\n  name: \"Snippets\", platforms: [.macOS(.v26)],\n"
    "  dependencies: [.package(name: \"heddle\", path: \"%s\")],\n  targets: [\n    %s\n  ],\n  swiftLanguageModes: [.v6])\n"
    % (repository, ",\n    ".join(targets)))
print("snippets: %d programs, %d in comments, %d commands" % (len(programs), len(functions), len(commands)))
