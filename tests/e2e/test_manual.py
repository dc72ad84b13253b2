#!/usr/bin/env python3
"""The manual page names every command and every option that the program has, and no other."""
import os
import re

from e2e_support import SOURCE, Case, main, mote

OPTION = re.compile(r"^ +(?:-(\w), |    )--([a-z-]+)(?: (\S+))?(?:  |$)", re.MULTILINE)


def options_of_help(page):
    """{name: (letter, argument)}"""
    return {name: (letter, argument) for letter, name, argument in OPTION.findall(page)}


def sections_of_manual(text):
    r"""{heading: {option: (letter, argument)}} as the page has them: \fB-n\fR, \fB--tokens\fR \fIN\fR"""
    sections, heading = {}, None
    for line in text.replace("\\-", "-").split("\n"):
        if line.startswith(".SS "):
            heading = line[4:].strip('"')
            sections[heading] = {}
        elif line.startswith(".SH "):
            heading = None
        match = re.match(r"(?:\\fB-(\w)\\fR, )?\\fB--([a-z-]+)\\fR(?: \\fI(\S+)\\fR)?$", line)
        if heading is not None and match:
            letter, name, argument = match.groups()
            sections[heading][name] = (letter or "", argument or "")
    return sections


class Manual(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(SOURCE, "docs", "mote.1"), encoding="utf-8") as file:
            self.manual = file.read()

    def test_options_agree_with_help(self):
        sections = sections_of_manual(self.manual)
        overview = mote("help").out
        commands = re.findall(r"^  (\w+(?: \w+)?)  ", overview.split("Commands\n")[1], re.MULTILINE)
        self.assertGreater(len(commands), 8)
        shared = {**sections["Model"], **sections["Sampling"], **sections["Context"], **sections["Machine"]}
        seen = {}
        for command in commands:
            self.assertIn(f"mote {command}", sections, "the page lacks a command")
            told = options_of_help(mote("help", *command.split()).out)
            seen.update(told)
            for name, option in told.items():
                written = sections[f"mote {command}"].get(name) or shared.get(name)
                self.assertEqual(written, option, f"--{name} of mote {command}")
            for name in sections[f"mote {command}"]:
                self.assertIn(name, told, f"mote {command} has no --{name}")
        for name in shared:
            self.assertIn(name, seen, f"no command has --{name}")

    def test_summaries(self):
        for line in mote("help").out.split("Commands\n")[1].split("\n\n")[0].splitlines():
            self.assertIn(line[18:].strip(), self.manual)

    def test_exit_statuses_and_files(self):
        for part in (".SH EXIT STATUS", ".SH FILES", ".SH SIGNALS", ".SH EXAMPLES", "XDG_STATE_HOME"):
            self.assertIn(part, self.manual)


if __name__ == "__main__":
    main()
