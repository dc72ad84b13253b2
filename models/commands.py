"""Generates spoken-style commands, in English and Japanese, with their intents.

A *template* is a phrase skeleton such as "turn {dev} on in the {area_in}": a
verb phrase joined with one way to name the place.  A *frame* is what people
wrap around it ("could you ... please", 〜てもらえますか).  Both are split by seed
into a training and a held-out part, per language and per kind of command, and
the held-out part is never rendered for training.
"""

import random
import re
from collections import defaultdict
from dataclasses import dataclass

from phrases import EN, EN_FRAMES, EN_NONE, JA, JA_FRAMES, JA_NONE, JA_TE_FRAMES, TOPICS_EN, TOPICS_JA, \
    UNKNOWN_EN, UNKNOWN_JA
from vocabulary import AC_MODES, AREAS, COLOURS, DEVICES, LEVELS, QUANTITIES

SPLIT_SEED = 20240
HELD_OUT_SHARE = 0.15

# kind of command -> (action, kind of value, trait a device must have)
KINDS = {
    "on": ("turn_on", None, "s"), "on_for": ("turn_on", "duration", "d"), "on_in": ("turn_on", "delay", "s"),
    "off": ("turn_off", None, "s"), "off_in": ("turn_off", "delay", "s"),
    "play": ("turn_on", None, "y"), "arm": ("turn_on", None, "x"), "disarm": ("turn_off", None, "x"),
    "cancel": ("turn_off", None, "k"),
    "open": ("open", None, "o"), "close": ("close", None, "o"),
    "lock": ("lock", None, "l"), "unlock": ("unlock", None, "l"),
    "pause": ("pause", None, "m"), "resume": ("resume", None, "m"),
    "set_temp": ("set", "temp", "t"), "set_bright": ("set", "percent", "b"),
    "set_position": ("set", "percent", "p"), "set_humidity": ("set", "percent", "h"),
    "set_rpm": ("set", "rpm", "r"), "set_level": ("set", "level", "f"), "set_volume": ("set", "volume", "v"),
    "set_colour": ("set", "colour", "c"), "set_mode": ("set", "mode", "a"),
    "set_pressure": ("set", "pressure", "B"), "set_alarm": ("set", "clock", "w"),
    "set_timer": ("set", "duration", "T"),
    "up": ("increase", None, "btfvr"), "up_by": ("increase", "step", "btv"),
    "down": ("decrease", None, "btfvr"), "down_by": ("decrease", "step", "btv"),
    "brighten": ("increase", None, "b"), "dim": ("decrease", None, "b"),
    "louder": ("increase", None, "v"), "quieter": ("decrease", None, "v"),
    "warmer": ("increase", None, "t"), "colder": ("decrease", None, "t"),
    "ask_on": ("query", None, "s"), "ask_open": ("query", None, "o"), "ask_lock": ("query", None, "l"),
    "ask_temp": ("query", "own_temp", "i"), "ask_room": ("query", "quantity", None),
}
# Rare or narrow kinds need fewer samples than the everyday ones.
WEIGHTS = defaultdict(lambda: 1.0, on=3, off=3, set_temp=2.5, set_bright=2, ask_on=2, open=1.5, close=1.5,
                      on_for=1.5, off_in=1.5, set_rpm=1.5, play=.5, arm=.5, disarm=.5, set_pressure=.6,
                      set_humidity=.6, ask_room=1.5, set_timer=1.5, set_alarm=1.5, none=7)
NONE = {"action": "none", "device": None, "area": None, "value": None}


@dataclass(frozen=True)
class Template:
    lang: str
    kind: str
    text: str          # skeleton with {dev}, {area_in}, {area_of}, {V} slots
    mood: str          # "do": takes request frames; "say": a whole sentence
    area: str          # "no", "yes" or "all"


# --------------------------------------------------------------- templates --
def _english(kind, phrase):
    """Every way to say where, applied to one verb phrase holding {D}."""
    if "{D}" not in phrase:                   # the phrase names the place itself, or none
        yield phrase, "yes" if "{area" in phrase else "no"
        return
    put = lambda noun: phrase.replace("{D}", noun)
    yield put("the {dev}"), "no"
    if kind in ("set_alarm", "set_timer", "cancel"):
        yield put("my {dev}"), "no"
        return
    yield put("my {dev}"), "no"
    yield put("the {dev} in the {area_in}"), "yes"
    yield put("the {area_of} {dev}"), "yes"
    yield put("{area_of} {dev}"), "yes"
    yield put("the {dev}") + " in the {area_in}", "yes"
    yield "in the {area_in} " + put("the {dev}"), "yes"
    yield "in the {area_in}, " + put("the {dev}"), "yes"
    yield put("the {dev} over in the {area_in}"), "yes"
    yield put("the {dev} at the {area_in}"), "yes"
    if kind in ("on", "off", "open", "close", "lock", "unlock", "set_bright", "set_temp", "set_colour"):
        yield put("all the {dev}"), "all"
        yield put("every {dev}"), "all"
        yield put("the {dev}") + " everywhere", "all"


def _japanese(kind, phrase):
    if "{D}" not in phrase:
        yield phrase, "yes" if "{area" in phrase else "no"
        return
    put = lambda noun: phrase.replace("{D}", noun)
    yield put("{dev}"), "no"
    if kind in ("set_alarm", "set_timer", "cancel"):
        return
    yield put("{area_in}の{dev}"), "yes"
    yield put("{area_in}{dev}"), "yes"
    yield "{area_in}、" + put("{dev}"), "yes"
    yield put("{area_in}にある{dev}"), "yes"
    yield put("{area_in}のほうの{dev}"), "yes"
    yield "{area_in}なんだけど、" + put("{dev}"), "yes"
    yield "{area_in}で" + put("{dev}"), "yes"
    if kind in ("on", "off", "open", "close", "lock", "unlock", "set_bright", "set_temp", "set_colour"):
        yield put("全部の{dev}"), "all"
        yield put("家中の{dev}"), "all"
        yield put("すべての{dev}"), "all"


def _split(items, key, seed):
    """Seeded, order-independent split into (training, held out)."""
    items = sorted(items, key=key)
    random.Random(f"{SPLIT_SEED}/{seed}").shuffle(items)
    held = max(1, round(len(items) * HELD_OUT_SHARE)) if len(items) > 3 else 0
    return items[held:], items[:held]


def _build():
    parts = {"train": defaultdict(list), "held": defaultdict(list)}
    for lang, grammar, none, arrange in (("en", EN, EN_NONE, _english), ("ja", JA, JA_NONE, _japanese)):
        for kind in KINDS:
            found = {}
            for mood, phrases in grammar[kind].items():
                for phrase in phrases:
                    for text, area in arrange(kind, phrase):
                        found.setdefault(text, Template(lang, kind, text, mood, area))
            train, held = _split(found.values(), lambda t: t.text, f"{lang}/{kind}")
            parts["train"][lang, kind], parts["held"][lang, kind] = train, held
        train, held = _split([Template(lang, "none", t, "whole", "no") for t in set(none)], lambda t: t.text,
                             f"{lang}/none")
        parts["train"][lang, "none"], parts["held"][lang, "none"] = train, held
        # "set {dev} to {V}" serves several kinds; held out in one but trained in
        # another it is not new, so it does not count as held out at all.
        trained = {t.text for (l, _), ts in parts["train"].items() if l == lang for t in ts}
        for (l, _), ts in parts["held"].items():
            if l == lang:
                ts[:] = [t for t in ts if t.text not in trained]
    return parts


def _frames(name, frames):
    train, held = _split(list(dict.fromkeys(frames)), str, name)
    return {"train": train, "held": held}


TEMPLATES = _build()
FRAMES = {"en/do": _frames("en/do", EN_FRAMES["do"]), "en/say": _frames("en/say", EN_FRAMES["say"]),
          "ja/do": _frames("ja/do", JA_TE_FRAMES), "ja/say": _frames("ja/say", JA_FRAMES)}


# ------------------------------------------------------------------ values --
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen " \
        "sixteen seventeen eighteen nineteen".split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def english_number(n):
    if n < 0:
        return "minus " + english_number(-n)
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (" " + _ONES[n % 10] if n % 10 else "")
    if n < 1000:
        return _ONES[n // 100] + " hundred" + (" " + english_number(n % 100) if n % 100 else "")
    if n % 1000 and n % 100 == 0 and n < 2000:
        return english_number(n // 100) + " hundred"
    return english_number(n // 1000) + " thousand" + (" " + english_number(n % 1000) if n % 1000 else "")


def japanese_number(n):
    if n < 0:
        return "マイナス" + japanese_number(-n)
    if n == 0:
        return "ゼロ"
    out = ""
    if n >= 10000:                          # 万 keeps its 一, unlike 千
        out, n = japanese_number(n // 10000) + "万", n % 10000
    for size, mark in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, n = divmod(n, size)
        if digit:
            out += ("" if digit == 1 and mark else "〇一二三四五六七八九"[digit]) + mark
    return out


def _number(rng, lang, n):
    if rng.random() < .6:
        text = str(n)
        if lang == "ja" and rng.random() < .08:
            text = text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
        return text if n >= 0 or lang == "ja" or rng.random() < .5 else "minus " + str(-n)
    return english_number(n) if lang == "en" else japanese_number(n)


def _duration(rng, lang):
    """(said, minutes-or-hours as the intent writes it)"""
    odd = {"en": [("half an hour", "30 min"), ("an hour", "1 h"), ("an hour and a half", "90 min"),
                  ("a minute", "1 min"), ("a quarter of an hour", "15 min"), ("a couple of hours", "2 h")],
           "ja": [("1時間半", "90 min"), ("一時間半", "90 min"), ("30分間", "30 min"), ("半時間", "30 min")]}[lang]
    if rng.random() < .12:
        return rng.choice(odd)
    unit = rng.choices(("s", "min", "h"), (1, 5, 2))[0]
    n = {"s": rng.choice([5, 10, 15, 20, 30, 40, 45, 50, 90]), "h": rng.choice([1, 2, 3, 4, 5, 6, 8, 10, 12]),
         "min": rng.choice([rng.randint(1, 60), 5 * rng.randint(1, 12)])}[unit]
    said = _number(rng, lang, n)
    if lang == "ja":
        return said + {"s": "秒", "min": "分", "h": "時間"}[unit], f"{n} {unit}"
    word = {"s": ("second", "sec"), "min": ("minute", "min"), "h": ("hour", "hour")}[unit][rng.random() < .15]
    return said + " " + word + ("s" if n != 1 else ""), f"{n} {unit}"


def _clock(rng, lang):
    hour, minute = rng.randint(1, 12), rng.choice([0, 0, 30, 15, 45, 5 * rng.randint(0, 11), rng.randint(0, 59)])
    half = rng.choice(["", "am", "pm"])
    true = hour % 12 + (12 if half == "pm" else 0) if half else hour
    if not half and rng.random() < .3:
        true = hour = rng.randint(13, 23)
    value = f"{true:02d}:{minute:02d}"
    digits = rng.random() < .6
    if lang == "ja":
        number = str if digits else japanese_number
        day = {"am": rng.choice(["午前", "朝の", "朝"]), "pm": rng.choice(["午後", "夜の", "夜"]), "": ""}[half]
        if half and hour == 12:
            return _clock(rng, lang)
        tail = "" if not minute else "半" if minute == 30 and rng.random() < .6 else number(minute) + "分"
        return day + number(hour) + "時" + tail, value
    tail = {"am": rng.choice([" am", " a.m.", " in the morning"]),
            "pm": rng.choice([" pm", " p.m.", " in the evening"]), "": ""}[half]
    if minute == 30 and hour < 13 and rng.random() < .3:
        return "half past " + _number(rng, lang, hour) + tail, value
    if minute in (15, 45) and hour < 12 and rng.random() < .3:
        return ("quarter past " + _number(rng, lang, hour) if minute == 15 else
                "quarter to " + _number(rng, lang, hour + 1)) + tail, value
    if digits:
        return (f"{hour}:{minute:02d}" if minute or not half or rng.random() < .4 else str(hour)) + tail, value
    if minute == 0:
        return english_number(hour) + (tail or " o'clock"), value
    return english_number(hour) + (" oh " if minute < 10 else " ") + english_number(minute) + tail, value


def _percent(rng, lang):
    n = rng.choice([rng.randint(1, 99), 5 * rng.randint(1, 20), 10 * rng.randint(0, 10)])
    if rng.random() < .1:
        said, n = rng.choice({"en": [("half", 50), ("full", 100), ("maximum", 100)],
                              "ja": [("半分", 50), ("最大", 100), ("全開", 100)]}[lang])
        return said, f"{n}%"
    said = _number(rng, lang, n)
    if lang == "ja":
        return said + rng.choice(["%", "パーセント", "％"]), f"{n}%"
    return said + (rng.choice(["%", "%", " percent"]) if said.isdigit() else " percent"), f"{n}%"


def _temperature(rng, lang, device):
    low, high = {"oven": (100, 250), "kettle": (60, 100), "freezer": (-30, -10), "fridge": (1, 9),
                 "water_heater": (36, 65), "soldering_iron": (250, 420)}.get(device, (15, 31))
    n = rng.randint(low, high)
    if low >= 100 and rng.random() < .7:
        n = 10 * (n // 10)
    half = low == 15 and rng.random() < .08
    if lang == "ja":
        said = _number(rng, lang, n) + (rng.choice(["度半", ".5度"]) if half else rng.choice(["度", "度", "℃"]))
        if ".5" in said and not said[0].isdigit():
            said = f"{n}.5度"
        return said, n + .5 if half else n
    said = _number(rng, lang, n)
    said += (".5" if said.isdigit() else rng.choice([" point five", " and a half"])) if half else ""
    return said + rng.choice([" degrees", " degrees", " degrees celsius", "°C", " C", ""]
                             if said[-1].isdigit() else [" degrees", " degrees celsius", ""]), n + .5 if half else n


def value_for(rng, lang, kind, device, traits):
    """One value, as (words said, what the intent carries)."""
    col = 0 if lang == "en" else 1
    if kind == "duration":
        return _duration(rng, lang)
    if kind == "delay":
        said, value = _duration(rng, lang)
        return said, "in " + value
    if kind == "clock":
        return _clock(rng, lang)
    if kind == "percent":
        return _percent(rng, lang)
    if kind == "temp":
        return _temperature(rng, lang, device)
    if kind == "rpm":
        n = rng.choice([100 * rng.randint(2, 40), 50 * rng.randint(4, 60), 1000 * rng.randint(1, 12)])
        said = _number(rng, lang, n)
        return (said + rng.choice([" rpm", " rpm", " RPM", " revs"]) if lang == "en" else
                rng.choice(["", "", "毎分"]) + said + rng.choice(["回転", "回転", "rpm"])), f"{n} rpm"
    if kind == "pressure":
        n = rng.randint(2, 12)
        return _number(rng, lang, n) + (" bar" if lang == "en" else rng.choice(["バール", "bar"])), f"{n} bar"
    if kind == "level":
        if rng.random() < .5:
            n = rng.randint(1, 6)
            head = ["speed ", "level ", "setting "] if lang == "en" else ["レベル", "風速", "速度"]
            return rng.choice(head) + _number(rng, lang, n), n
        value = rng.choice(list(LEVELS))
        return rng.choice(LEVELS[value][col]), value
    if kind == "volume":
        n = rng.randint(0, 60)
        return _number(rng, lang, n), n
    if kind == "step":
        if "t" in traits:
            n = rng.randint(1, 5)
            return _number(rng, lang, n) + ((" degree" if n == 1 else " degrees") if lang == "en" else "度"), n
        if "v" in traits:
            n = rng.randint(1, 15)
            return _number(rng, lang, n) + ("" if lang == "ja" else rng.choice([" points", " notches", ""])), n
        n = 5 * rng.randint(1, 10)
        return _number(rng, lang, n) + (" percent" if lang == "en" else rng.choice(["%", "パーセント"])), f"{n}%"
    table = {"colour": COLOURS, "mode": AC_MODES, "quantity": QUANTITIES, "own_temp": {"temperature": (["_"], ["_"])}}
    value = rng.choice(list(table[kind]))
    return rng.choice(table[kind][value][col]), value


# --------------------------------------------------------------- rendering --
_FILLERS = {"en": ["um", "uh", "er", "like", "you know"], "ja": ["えっと", "あの", "えーと", "その", "あー"]}


def _pseudo_word(rng, lang):
    """A word nobody has: teaches that an unknown thing is not a known device."""
    if lang == "ja":
        return "".join(rng.choice("アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムモラリルレロガギグゴザジズダデドバビブボパピプポン")
                       for _ in range(rng.randint(2, 5)))
    return "".join(rng.choice(["b", "bl", "c", "ch", "d", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "qu", "r",
                               "s", "st", "t", "tr", "v", "w", "z"]) + rng.choice("aeiou") +
                   rng.choice(["", "", "n", "r", "m", "x", "b", "t", "ck"]) for _ in range(rng.randint(1, 3)))


def _finish_english(rng, text, question):
    """How it reaches us: as an ASR engine types it, or as a person does."""
    if rng.random() < .12:
        words = text.split(" ")
        words.insert(rng.randrange(len(words)), rng.choice(_FILLERS["en"]) + rng.choice(["", ","]))
        text = " ".join(words)
    if rng.random() < .1:
        text = re.sub(r"\bthe ", "", text)
    style = rng.random()
    if style < .5:  # ASR: no case, no punctuation except inside numbers
        text = re.sub(r"(?<!\d)[,.?!:](?!\d)|[,.?!:](?!\d)", "", text.lower())
        if rng.random() < .3:
            text = text.replace("'", "")
    elif style < .9:
        text = text[0].upper() + text[1:] + ("?" if question else rng.choice([".", ".", "!", ""]))
    elif style < .93:
        text = text.upper()
    return re.sub(r"  +", " ", text).strip()


def _finish_japanese(rng, text, question):
    if rng.random() < .12:
        text = rng.choice(_FILLERS["ja"]) + rng.choice(["、", "", " "]) + text
    style = rng.random()
    if style < .5:
        text = re.sub("[、。？！]", rng.choice(["", "", " "]), text)
    elif style < .9:
        text += ("？" if question else rng.choice(["。", "。", "！", ""]))
    return text.strip()


def _te_form(text, frame):
    """Joins a request ending in て/で with a register: つけて + といて = つけといて."""
    if frame.startswith("~"):               # ~ replaces the て
        return text[:-1] + (frame[1:].replace("と", "ど", 1) if text[-1] == "で" else frame[1:])
    return text + frame


def _finish(rng, lang, text, question):
    return (_finish_english if lang == "en" else _finish_japanese)(rng, text, question)


def _render_none(rng, template, frame_part):
    """A prompt the model must refuse: chat, a negation, a thing it cannot steer."""
    lang, text = template.lang, template.text
    col = 0 if lang == "en" else 1
    if "{thing}" in text:
        thing = _pseudo_word(rng, lang) if rng.random() < .4 else rng.choice((UNKNOWN_EN, UNKNOWN_JA)[col])
        text = text.replace("{thing}", thing)
    text = text.replace("{topic}", rng.choice((TOPICS_EN, TOPICS_JA)[col]))
    for slot in ("{dev}", "{area}"):
        if slot in text:
            device = rng.choice([d for d in DEVICES if DEVICES[d][1]])
            area = rng.choice([a for a in AREAS if AREAS[a][0]])
            text = text.replace(slot, rng.choice(DEVICES[device][1 + col] if slot == "{dev}" else AREAS[area][2 * col]))
    if rng.random() < .25:
        text = rng.choice(FRAMES[f"{lang}/say"][frame_part]).replace("{x}", text)
    return _finish(rng, lang, text, rng.random() < .5), dict(NONE)


def _counted_name(rng, device, text, name):
    """A name that agrees with "all the" or "every" in the template."""
    if "every {dev}" not in text and "all the {dev}" not in text:
        return name
    many, names = "all the" in text, DEVICES[device][1]
    wants_s = many and any(n.endswith("s") for n in names)
    name = rng.choice([n for n in names if n.endswith("s") == wants_s] or names)
    if many and not name.endswith(("s", "ing", "music")):
        name += "es" if name.endswith("ch") else "s"
    return name


def render(rng, template, frame_part):
    """One (prompt, intent) from a template, with frames of the given split."""
    lang, kind, text = template.lang, template.kind, template.text
    if kind == "none":
        return _render_none(rng, template, frame_part)
    col = 0 if lang == "en" else 1
    action, value_kind, trait = KINDS[kind]
    device, traits, name = "sensor", "", ""
    if trait is not None:
        device = rng.choice([d for d, (has, _, _) in DEVICES.items() if set(trait) & set(has)])
        if kind in ("on", "off", "ask_on", "set_colour") and rng.random() < .12:
            device = "light"                # by far the most common target
        traits = DEVICES[device][0]
        name = rng.choice(DEVICES[device][1 + col])
    area = {"no": None, "all": "all"}[template.area] if template.area != "yes" else \
        rng.choice([a for a in AREAS if a != "all"])
    said, value = value_for(rng, lang, value_kind, device, traits) if value_kind else ("", None)

    if lang == "en":
        name = _counted_name(rng, device, text, name)
        if name.endswith("s"):              # "is the lights on": people say are
            text = re.sub(r"\bis\b(?=.*{dev})", "are", text, count=1)
    if area and area != "all":
        if lang == "en":
            text = text.replace("{area_in}", rng.choice(AREAS[area][0])).replace("{area_of}", rng.choice(AREAS[area][1]))
            if area.startswith("line_"):
                text = text.replace("in the ", "on the ")
        else:
            text = text.replace("{area_in}", rng.choice(AREAS[area][2]))
    text = text.replace("{dev}", name).replace("{V}", said)
    if lang == "en" and name.endswith("s"):
        text = text.replace(name + " is ", name + " are ").replace(name + " has ", name + " have ")

    question = kind.startswith("ask")
    if lang == "ja" and template.mood == "do":
        frame = rng.choice(FRAMES["ja/do"][frame_part])
        text = _te_form(text, frame)
        question = frame.endswith(("くれる", "くれない", "ますか", "せんか", "もらえる", "もらえない", "かな"))
        if rng.random() < .3:
            text = rng.choice(FRAMES["ja/say"][frame_part]).replace("{x}", text)
    elif rng.random() < (.6 if template.mood == "do" else .3):
        frame = rng.choice(FRAMES[f"{lang}/{template.mood}"][frame_part])
        question = question or frame.startswith(("could", "can", "would", "will"))
        text = frame.replace("{x}", text)
    return _finish(rng, lang, text, question), {"action": action, "device": device, "area": area, "value": value}


def sample(rng, lang, part="train"):
    """One (prompt, intent).  part is "train" or "held": held-out templates, and
    held-out frames for half of them so that both kinds of novelty are measured."""
    kinds = list(KINDS) + ["none"]
    while True:
        kind = rng.choices(kinds, [WEIGHTS[k] for k in kinds])[0]
        pool = TEMPLATES[part][lang, kind]
        if pool:
            break
    # Most templates name a place; most people do not.
    wanted = rng.choices(("no", "yes", "all"), (35, 58, 7))[0]
    template = rng.choice([t for t in pool if t.area == wanted] or pool)
    frame_part = part if part == "train" or rng.random() < .5 else "train"
    return render(rng, template, frame_part)
