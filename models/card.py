"""Rewrites the generated parts of README.md, so that no number is typed by hand.

    python3 card.py         needs nothing but Python; reads eval.json
"""

import json
import os
import re

from sensors import LABELS, MACHINES
from vocabulary import ACTIONS, AREAS, CAUSES, DEVICES, STATES

HERE = os.path.dirname(os.path.abspath(__file__))
TITLES = {"intent-en": "English command", "intent-ja": "Japanese command", "sensor": "sensor window"}


def percent(x):
    return f"{100 * x:.1f} %"


def accuracy(report):
    lines = [f"File: {report['file_bytes']:,} bytes, {report['parameters']:,} parameters, Q8_0.", "",
             "| skill | held-out phrasings | of them | seen phrasings, new values | handwritten |",
             "|---|---|---|---|---|"]
    for skill, title in TITLES.items():
        held, seen, wild = (report[k][skill] for k in ("held_out", "seen_templates_new_values", "handwritten"))
        what = "exact answer" if skill == "sensor" else "exact intent"
        lines.append(f"| {title}, {what} | **{percent(held['exact'])}** | {held['count']} | {percent(seen['exact'])} | "
                     f"{percent(wild['exact'])} of {wild['count']} |")
        if skill == "sensor":
            for key in ("state", "cause"):
                bold = "**" if key == "state" else ""
                lines.append(f"| {title}, right {key} | {bold}{percent(held[key])}{bold} | {held['count']} | {percent(seen[key])} | "
                             f"{percent(wild[key])} of {wild['count']} |")
    lines += ["", "Field by field on the held-out phrasings:", "", "| skill | action | device | area | value | valid JSON |",
              "|---|---|---|---|---|---|"]
    for skill in ("intent-en", "intent-ja"):
        h = report["held_out"][skill]
        lines.append(f"| {TITLES[skill]} | " + " | ".join(percent(h[k]) for k in ("action", "device", "area", "value", "valid_json"))
                     + " |")
    lines += ["", "States on the held-out layouts (rows: right, columns: given; `?` is an unusable answer):", "",
              "| | ok | watch | fault | ? |", "|---|---|---|---|---|"]
    for state, row in report["state_confusion"].items():
        lines.append(f"| **{state}** | " + " | ".join(str(row[k]) for k in ("ok", "watch", "fault", "?")) + " |")
    lines += ["", "Causes found: " + ", ".join(f"{c} {n}" for c, n in report["cause_recall"].items()) + "."]
    return "\n".join(lines)


def failures(report):
    lines = []
    for skill in TITLES:
        for group in (skill, "handwritten " + skill):
            for x in report["failures"].get(group, [])[:3]:
                prompt = x["prompt"].replace("\n", "⏎")
                lines += [f"- `{prompt}`", f"  - expected `{x['expect']}`", f"  - got `{x['got']}`"]
    return "\n".join(lines) or "None."


def closed_sets():
    lines = ["| action | meaning |", "|---|---|"] + [f"| `{k}` | {v} |" for k, v in ACTIONS.items()]
    lines += ["", "**Devices:** " + ", ".join(f"`{d}`" for d in DEVICES) + ".", "",
              "**Areas:** " + ", ".join(f"`{a}`" for a in AREAS) + ", or `null`.", "",
              "| state | meaning |", "|---|---|"] + [f"| `{k}` | {v} |" for k, v in STATES.items()]
    lines += ["", "| cause | advice when `watch` | advice when `fault` |", "|---|---|---|"]
    for cause, advice in CAUSES.items():
        if cause != "none":
            lines.append(f"| {cause} | {advice.get('watch', '–')} | {advice.get('fault', '–')} |")
    lines += ["", f"With `ok` the cause is `none` and the advice `{CAUSES['none']['ok']}`."]
    return "\n".join(lines)


def limits():
    """The same channel serves many machines; each is listed once per set of limits."""
    users = {}
    for machine, (_, _, channels) in MACHINES.items():
        for c in channels:
            users.setdefault(c, []).append(machine)
    lines = ["| channel | machines | normal | watch | fault | cause |", "|---|---|---|---|---|---|"]
    for c, machines in users.items():
        unit, normal = LABELS[c.kind][2][0], f"{c.normal[0]:g} … {c.normal[1]:g}"
        sides = [("≥", c.high, c.cause_high), ("≤", c.low, c.cause_low)]
        for sign, limit, cause in [x for x in sides if x[1]] or [("", None, "")]:
            watch, fault = (f"{sign} {limit[0]:g}", f"{sign} {limit[1]:g}") if limit else ("–", "–")
            lines.append(f"| {c.kind}, {unit} | {', '.join(machines)} | {normal} | {watch} | {fault} | {cause or '–'} |")
    return "\n".join(lines)


def main():
    with open(os.path.join(HERE, "eval.json"), encoding="utf-8") as f:
        report = json.load(f)
    path = os.path.join(HERE, "README.md")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, body in (("accuracy", accuracy(report)), ("failures", failures(report)), ("limits", limits()),
                       ("sets", closed_sets())):
        text = re.sub(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", lambda m: m[1] + body + "\n" + m[2], text, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
