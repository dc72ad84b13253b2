#!/usr/bin/env python3
"""The check of the check: tools/check-layers passes a lawful tree and names every kind of violation."""
import os
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("MOTE_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
CHECK = os.path.join(SOURCE, "tools", "check-layers")

LAWFUL = {
    "include/mote/mote.h": "#include <stddef.h>\n",
    "src/base/status.h": "#include <mote/mote.h>\n",
    "src/quant/formats.h": '#include "base/status.h"\n#include "quant/formats.h"\n',
    "src/format/gguf.h": '#include "base/status.h"\n#include "quant/formats.h"\n',
    "src/kernel/kernels.h": '#include "quant/formats.h"\n#include <utf8proc.h>\n',
    "src/kernel/generic/dot.c": '#include "kernel/kernels.h"\n',
    "src/text/tokenizer.h": '#include "format/gguf.h"\n',
    "src/model/forward.h": '#include "kernel/kernels.h"\n#include "format/gguf.h"\n',
    "src/meter/energy.h": '#include "base/status.h"\n',
    "src/engine/step.c": '#include "text/tokenizer.h"\n#include "model/forward.h"\n#include "meter/energy.h"\n',
    "app/cli/main.c": '#include <mote/mote.h>\n#include <jansson.h>\n#include "options.h"\n',
    "app/cli/options.h": "",
    "examples/hello.c": "#include <mote/mote.h>\n#include <stdio.h>\n",
    "tests/unit/test_step.c": '#include "engine/step.h"\n#include "model/forward.h"\n',
    "fuzz/fuzz_gguf.c": '#include "format/gguf.h"\n',
    "fuzz/corpus/gguf/one": "",
    "fuzz/corpus/other/one": "",
    "tests/README.md": "",
    "README.md": "",
}

# path, text, line of the violation, a word of the message
VIOLATIONS = [
    ("src/base/up.c", '#include "quant/formats.h"\n', 1, "base may not include quant"),
    ("src/quant/up.c", '\n#include "format/gguf.h"\n', 2, "quant may not include format"),
    ("src/quant/side.c", '#include "kernel/kernels.h"\n', 1, "quant may not include kernel"),
    ("src/format/side.c", '#include "kernel/kernels.h"\n', 1, "format may not include kernel"),
    ("src/kernel/side.c", '#include "format/gguf.h"\n', 1, "kernel may not include format"),
    ("src/kernel/generic/up.c", '#include "text/tokenizer.h"\n', 1, "kernel may not include text"),
    ("src/text/side.c", '#include "quant/formats.h"\n', 1, "text may not include quant"),
    ("src/text/over.c", '#include "kernel/kernels.h"\n', 1, "text may not include kernel"),
    ("src/model/side.c", '#include "text/tokenizer.h"\n', 1, "model may not include text"),
    ("src/model/meter.c", '#include "meter/energy.h"\n', 1, "model may not include meter"),
    ("src/meter/up.c", '#include "quant/formats.h"\n', 1, "meter may not include quant"),
    ("src/model/up.c", '#include "engine/step.h"\n', 1, "model may not include engine"),
    ("src/engine/up.c", '#include "options.h"\n', 1, "names no room"),
    ("src/engine/app.c", '#include "app/cli/options.h"\n', 1, "no room of src/"),
    ("src/engine/missing.c", '#include "base/nowhere.h"\n', 1, "there is no src/base/nowhere.h"),
    ("src/base/same_room.c", '#include "status.h"\n', 1, "names no room"),
    ("src/base/angled.c", "#include <quant/formats.h>\n", 1, "is ours"),
    ("src/base/private.c", "#include <mote/secret.h>\n", 1, "one public header"),
    ("src/base/dots.c", '#include "base/../quant/formats.h"\n', 1, '".."'),
    ("src/base/absolute.c", '#include "/usr/include/stdio.h"\n', 1, "neither absolute"),
    ("src/base/macro.c", "#define HEADER <stdio.h>\n#include HEADER\n", 2, "not a macro"),
    ("src/base/next.c", "#include_next <stdio.h>\n", 1, "#include_next"),
    ("src/base/imported.c", '#import "base/status.h"\n', 1, "#import"),
    ("src/base/source.c", '#include "base/other.c"\n', 1, "not a header"),
    ("src/base/spaced.c", '  #  include   "quant/formats.h"  /* why */\n', 1, "base may not include quant"),
    ("src/base/commented.c", '/* a\n b */ #include /* c */ "quant/formats.h"\n', 2, "base may not include quant"),
    ("src/base/joined.c", '#inc\\\nlude "quant/formats.h"\n', 1, "base may not include quant"),
    ("src/base/digraph.c", '%:include "quant/formats.h"\n', 1, "base may not include quant"),
    ("src/attic/any.c", "", 1, "no room for this file"),
    ("src/loose.c", "", 1, "no room for this file"),
    ("app/cli/inside.c", '#include "engine/step.h"\n', 1, "through <mote/mote.h> alone"),
    ("app/cli/angled.c", "#include <engine/step.h>\n", 1, "is ours"),
    ("app/cli/dots.c", '#include "../../src/base/status.h"\n', 1, '".."'),
    ("examples/inside.c", '#include "base/status.h"\n', 1, "<mote/mote.h> and system headers only"),
    ("include/mote/more.h", '#include "base/status.h"\n', 1, "<mote/mote.h> and system headers only"),
    ("tests/unit/test_dots.c", '#include "../../src/base/status.h"\n', 1, '".."'),
    ("tests/unit/status.h", "", 1, "a second file named status.h"),
    ("docs/main.c", "", 1, "a second file named main.c"),
]

# Lawful, however much it looks otherwise.
INNOCENT = [
    ("src/base/quoted.c", '/*\n#include "quant/formats.h"\n*/\n// #include "quant/formats.h"\n'),
    ("src/base/text.c", 'const char *text = "/*";\n#include "base/status.h"\nconst char *more = "*/";\n'),
    ("docs/example.md", '#include "quant/formats.h"\n'),
    ("build/release/main.c", ""),
]


def run(extra, git):
    """Lays the lawful tree and some more files, and lets the check look at it."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in list(LAWFUL.items()) + extra:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        if git:
            subprocess.run(["git", "init", "-q", root], check=True)
            with open(os.path.join(root, ".gitignore"), "w", encoding="utf-8") as file:
                file.write("/build/\n")
        done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def has_git():
    try:
        return subprocess.run(["git", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main():
    failures = []

    def expect(truth, what):
        if not truth:
            failures.append(what)

    for git in (False, True) if has_git() else (False,):
        status, output = run([], git)
        expect(status == 0, f"the lawful tree fails (git: {git}):\n{output}")
        for path, text in INNOCENT:
            status, output = run([(path, text)], git)
            expect(status == 0, f"{path} is lawful but fails (git: {git}):\n{output}")
    for path, text, line, message in VIOLATIONS:
        status, output = run([(path, text)], False)
        named = any(said.endswith(message) or message in said for said in output.splitlines()
                    if said.startswith(f"{path}:{line}: "))
        # Of two files of one name, the later one in the alphabet is told.
        named = named or ("second file" in message and message in output)
        expect(status == 1 and named and output.count("\n") == 1, f"{path}: not found as it should be:\n{output}")
    print("\n".join(failures) if failures else f"{len(VIOLATIONS)} violations found, {len(INNOCENT)} innocents spared")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
