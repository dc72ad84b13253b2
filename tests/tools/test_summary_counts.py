#!/usr/bin/env python3
"""The check of the count: tools/test-summary counts the cases of cmocka and of unittest, and never a skipped or a lost
test as passed."""
import os
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("MOTE_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
SUMMARY = os.path.join(SOURCE, "tools", "test-summary")


def cmocka(run, passed, skipped=0, failed=0):
    lines = [f"[==========] {run} test(s) run.", f"[  PASSED  ] {passed} test(s)."]
    if skipped:
        lines.append(f"[  SKIPPED ] {skipped} test(s), listed below:")
    if failed:
        lines.append(f"[  FAILED  ] {failed} test(s), listed below:")
    return "\n".join(lines)


def unittest(run, verdict):
    return f"Ran {run} test{'s' if run != 1 else ''} in 0.123s\n\n{verdict}\n"


def case(status, output="", inner=""):
    return f'<testcase name="x" status="{status}">{inner}<system-out>{output}</system-out></testcase>'


SKIPPED = '<skipped message="SKIP_RETURN_CODE=77"/>'

# what ctest reports, the checks beside it, the closing line, the exit status
EXPECTED = [
    ([case("run")], "", "1 passed, 0 failed, 0 skipped", 0),
    ([case("run", cmocka(7, 7))], "passed layers\n", "8 passed, 0 failed, 0 skipped", 0),
    ([case("run", cmocka(7, 5, skipped=2))], "", "5 passed, 0 failed, 2 skipped", 0),
    ([case("fail", cmocka(7, 4, failed=3))], "", "4 passed, 3 failed, 0 skipped", 1),
    ([case("fail", cmocka(7, 7))], "", "7 passed, 1 failed, 0 skipped", 1),
    ([case("fail")], "", "0 passed, 1 failed, 0 skipped", 1),
    ([case("run", unittest(1, "OK"))], "", "1 passed, 0 failed, 0 skipped", 0),
    ([case("run", unittest(9, "OK (skipped=2)"))], "", "7 passed, 0 failed, 2 skipped", 0),
    ([case("fail", unittest(9, "FAILED (failures=1, errors=2, skipped=3)"))], "", "3 passed, 3 failed, 3 skipped", 1),
    ([case("run"), case("notrun", inner=SKIPPED)], "", "1 passed, 0 failed, 1 skipped", 0),
    ([case("notrun", inner=SKIPPED)], "", "0 passed, 0 failed, 1 skipped", 1),
    ([case("run"), case("notrun")], "", "1 passed, 1 failed, 0 skipped", 1),
    ([case("run")], "failed layers\n", "1 passed, 1 failed, 0 skipped", 1),
    ([], "", "0 passed, 1 failed, 0 skipped", 1),
]


def main():
    failures = 0
    for cases, checks, line, status in EXPECTED:
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "release.xml"), "w", encoding="utf-8") as report:
                report.write(f"<testsuite>{''.join(cases)}</testsuite>")
            with open(os.path.join(folder, "checks"), "w", encoding="utf-8") as file:
                file.write(checks)
            done = subprocess.run([sys.executable, SUMMARY, folder], capture_output=True, text=True, check=False)
        if done.returncode != status or done.stdout.splitlines()[-1:] != [line]:
            print(f"expected '{line}' and status {status}, got {done.returncode}:\n{done.stdout}{done.stderr}")
            failures += 1
    print(f"{len(EXPECTED) - failures} of {len(EXPECTED)} counts are right")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
