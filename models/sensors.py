"""Generates windows of sensor readings with their verdicts.

A window is 6 to 12 readings of one to three channels of one machine.  At most
one thing is wrong in it, so that the verdict follows from the readings alone:
each channel has a normal band, a watch limit and a fault limit, and every
anomaly is placed clearly inside one zone, never on a border.

How a window is written down (a *layout*) is a template; layouts, and the
sentences around them, are split by seed into a training and a held-out part.
"""

import json
import random
from dataclasses import dataclass

from vocabulary import CAUSES

SPLIT_SEED = 20241
HELD_OUT_SHARE = 0.15


@dataclass(frozen=True)
class Channel:
    kind: str
    normal: tuple          # band of healthy centres
    noise: float           # healthy scatter, as a half-width
    decimals: int
    high: tuple = None     # (watch limit, fault limit) above the band
    low: tuple = None      # the same below it
    cause_high: str = ""
    cause_low: str = ""
    swings: bool = False   # under closed-loop control, so it can hunt


# kind: (English labels, Japanese labels, units as written, key in CSV and JSON)
LABELS = {
    "vibration": (["vibration", "vib", "vibration velocity"], ["振動", "振動値"], ["mm/s"], "vibration_mm_s"),
    "temp": (["temp", "temperature", "temp"], ["温度"], ["C", "°C", "degC", "℃"], "temp_c"),
    "current": (["current", "motor current", "amps"], ["電流"], ["A"], "current_a"),
    "pressure": (["pressure", "press", "line pressure"], ["圧力"], ["bar"], "pressure_bar"),
    "flow": (["flow", "flow rate"], ["流量"], ["l/min", "L/min"], "flow_l_min"),
    "humidity": (["humidity", "rh", "relative humidity"], ["湿度"], ["%", "%RH"], "humidity_pct"),
    "soil": (["soil moisture", "soil", "moisture"], ["土壌水分", "土の水分"], ["%"], "soil_moisture_pct"),
    "level": (["level", "water level", "fill"], ["水位", "水量"], ["%"], "level_pct"),
    "voltage": (["voltage", "volts", "battery voltage"], ["電圧"], ["V"], "voltage_v"),
    "co2": (["CO2", "co2"], ["CO2", "CO2濃度"], ["ppm"], "co2_ppm"),
    "pm25": (["PM2.5", "pm25", "dust"], ["PM2.5", "粉じん"], ["ug/m3", "µg/m³"], "pm25_ug_m3"),
    "dp": (["dp", "differential pressure", "filter dp"], ["差圧"], ["kPa"], "dp_kpa"),
}

_VIBRATION = Channel("vibration", (1.0, 2.8), .25, 1, high=(4.5, 7.1), cause_high="imbalance")
_HOT = Channel("temp", (42, 62), 1.2, 0, high=(75, 90), cause_high="overheating", swings=True)
_CURRENT = Channel("current", (4.5, 8.5), .3, 1, high=(12, 16), cause_high="overload")
_PRESSURE = Channel("pressure", (5.5, 7.0), .12, 1, low=(4.5, 3.0), cause_low="slow leak", swings=True)
_FLOW = Channel("flow", (36, 50), 1.2, 1, low=(25, 14), cause_low="blocked filter", swings=True)
_ROOM_TEMP = Channel("temp", (19, 24.5), .3, 1, high=(30, 36), low=(12, 5), cause_high="too hot", cause_low="too cold",
                     swings=True)
_HUMIDITY = Channel("humidity", (42, 60), 1.3, 0)
_CO2 = Channel("co2", (450, 800), 22, 0, high=(1200, 2500), cause_high="stale air")
_PM25 = Channel("pm25", (4, 14), 1.3, 0, high=(40, 120), cause_high="dust or smoke")

# machine: (English names, Japanese names, channels)
MACHINES = {
    "pump": (["pump", "water pump", "feed pump", "coolant pump"], ["ポンプ", "送水ポンプ", "給水ポンプ"],
             [_VIBRATION, _HOT, _PRESSURE, _FLOW, _CURRENT]),
    "motor": (["motor", "drive motor", "electric motor"], ["モーター", "電動機"], [_VIBRATION, _HOT, _CURRENT]),
    "bearing": (["bearing", "main bearing"], ["軸受", "ベアリング"], [_VIBRATION, _HOT]),
    "spindle": (["spindle", "cnc spindle"], ["主軸", "スピンドル"], [_VIBRATION, _HOT, _CURRENT]),
    "compressor": (["compressor", "air compressor"], ["コンプレッサー", "圧縮機"], [_VIBRATION, _HOT, _PRESSURE, _CURRENT]),
    "blower": (["fan", "blower", "exhaust fan"], ["送風機", "ファン", "換気扇"], [_VIBRATION, _CURRENT, _HOT]),
    "conveyor": (["conveyor", "belt"], ["コンベア", "コンベヤー"], [_CURRENT, _HOT, _VIBRATION]),
    "freezer": (["freezer", "cold store", "deep freezer"], ["冷凍庫", "冷凍倉庫"],
                [Channel("temp", (-22, -18.5), .4, 1, high=(-14, -9), cause_high="cooling loss", swings=True), _HUMIDITY]),
    "fridge": (["fridge", "cold room", "refrigerator"], ["冷蔵庫", "保冷庫"],
               [Channel("temp", (2.2, 4.8), .3, 1, high=(8, 12), cause_high="cooling loss"), _HUMIDITY]),
    "greenhouse": (["greenhouse", "polytunnel"], ["温室", "ビニールハウス"],
                   [Channel("temp", (18, 26), .5, 1, high=(33, 40), low=(9, 3), cause_high="too hot", cause_low="too cold",
                            swings=True),
                    Channel("humidity", (55, 72), 1.5, 0),
                    Channel("soil", (34, 52), .8, 0, low=(24, 13), cause_low="too dry")]),
    "tank": (["tank", "water tank", "rain tank"], ["タンク", "貯水槽", "水槽"],
             [Channel("level", (66, 90), .8, 0, low=(45, 22), cause_low="slow leak"),
              Channel("temp", (12, 20), .4, 1)]),
    "battery": (["battery", "12V battery", "backup battery"], ["バッテリー", "蓄電池"],
                [Channel("voltage", (12.6, 13.3), .05, 2, low=(12.0, 11.2), cause_low="battery ageing"),
                 Channel("temp", (19, 29), .5, 1, high=(45, 60), cause_high="overheating")]),
    "room": (["room", "office", "living room", "meeting room", "workshop", "bedroom"],
             ["部屋", "事務所", "リビング", "会議室", "工房", "寝室"], [_CO2, _ROOM_TEMP, _HUMIDITY, _PM25]),
    "filter": (["filter", "air filter", "oil filter"], ["フィルター", "ろ過器"],
               [Channel("dp", (.8, 1.6), .08, 2, high=(2.5, 4.0), cause_high="blocked filter"), _FLOW]),
}
MISSING = ["nan", "NaN", "-", "--", "null", "NA", "n/a", "err", "none", "?"]


# ----------------------------------------------------------------- readings --
def _limit_zone(rng, channel, side, state):
    """A level clearly inside the watch or the fault zone of one side."""
    watch, fault = channel.high if side == "high" else channel.low
    if state == "watch":
        return watch + (fault - watch) * rng.uniform(.2, .75)
    return fault + (fault - watch) * rng.uniform(.15, 1.0)


def _healthy(rng, channel, n):
    while True:
        centre, noise = rng.uniform(*channel.normal), channel.noise
        slope = rng.uniform(-1, 1) * noise * 1.5 if rng.random() < .3 else 0  # drift within the band is no alarm
        values = [round(centre + slope * (i / (n - 1) - .5) + rng.uniform(-noise, noise), channel.decimals)
                  for i in range(n)]
        if len(set(values)) > 1:            # identical readings mean a stuck sensor
            return values


def _drift(rng, channel, n, level, noise):
    start, hold = rng.uniform(*channel.normal), rng.randint(0, min(2, n - 6))
    curve = rng.choice([1, 1, 1.5])
    out = []
    for i in range(n):
        t = max(0, i - hold) / (n - 2 - hold)   # the last two readings are at the level
        out.append(start + (level - start) * min(1, t) ** curve + rng.uniform(-noise, noise) * .6)
    return out


def _step(rng, channel, n, level, noise):
    at = rng.choice([0, 0, rng.randint(2, n - 3)])
    start = rng.uniform(*channel.normal)
    return [(start if i < at else level) + rng.uniform(-noise, noise) for i in range(n)]


def _rounded(channel, values):
    return [round(v, channel.decimals) for v in values]


def _anomaly(rng, machine, channels, n, state):
    """Readings per channel and the cause, or None when state and machine do not meet."""
    rows = [_healthy(rng, c, n) for c in channels]
    k = rng.randrange(len(channels))
    channel = channels[k]
    kinds = ["limit"] * 6 + (["oscillation", "spike", "stuck", "missing"] if state == "watch" else ["missing"])
    kind = rng.choice(kinds)
    if kind == "limit":
        sides = [s for s in ("high", "low") if getattr(channel, s)]
        if not sides:
            return None
        side = rng.choice(sides)
        level = _limit_zone(rng, channel, side, state)
        if channel.kind in ("level", "flow", "soil", "pressure"):
            level = max(level, 0.3)
        cause = channel.cause_high if side == "high" else channel.cause_low
        sudden = rng.random() < .5
        if channel.kind == "vibration" and not sudden:
            cause = "bearing wear"
        values = (_step if sudden else _drift)(rng, channel, n, level, channel.noise)
        if channel.kind in ("level", "pressure") and machine in ("tank", "pump", "compressor") and state == "fault" \
                and sudden:                 # falls at once to nearly nothing
            at, cause = rng.randint(2, n - 4), "burst or open drain"
            start = rng.uniform(*channel.normal)
            values = [start + rng.uniform(-channel.noise, channel.noise) if i < at else
                      max(0, abs(channel.normal[0] * rng.uniform(.02, .15))) for i in range(n)]
        rows[k] = _rounded(channel, values)
        if cause == "bearing wear" and _HOT in channels and rng.random() < .6:
            hot = channels.index(_HOT)      # friction warms the bearing too, but stays below its own limit
            top = rng.uniform(66, 72)
            rows[hot] = _rounded(_HOT, _drift(rng, _HOT, n, top, 1))
        if len(set(rows[k])) == 1:
            return None
        return rows, cause
    if kind == "oscillation":
        if not channel.swings:
            return None
        limit = channel.high or channel.low
        centre = rng.uniform(*channel.normal)
        swing = abs(limit[0] - centre) * rng.uniform(.5, .85)
        period = rng.choice([1, 1, 2])
        sign = rng.choice([1, -1])
        rows[k] = _rounded(channel, [centre + sign * swing * (1 if (i // period) % 2 else -1) *
                                     rng.uniform(.85, 1.1) for i in range(n)])
        return rows, "unstable control"
    if kind == "spike":
        at = rng.randint(1, n - 3)
        span = max(channel.normal[1] - channel.normal[0], channel.noise * 8)
        far = rows[k][at] + rng.choice([1, 1, -1]) * span * rng.uniform(4, 12)
        if channel.kind not in ("temp",):
            far = abs(far)
        if abs(far - rows[k][at]) < span * 3.5:
            far = rows[k][at] + span * 6
        rows[k][at] = round(far, channel.decimals)
        return rows, "sensor spike"
    if kind == "stuck":
        rows[k] = [rows[k][0]] * n
        return rows, "stuck sensor"
    lost = rng.randint(1, max(1, n // 4)) if state == "watch" else rng.randint((2 * n + 2) // 3, n - 1)
    word = rng.choice(MISSING)
    start = rng.randrange(n - lost + 1)
    gone = range(start, start + lost) if rng.random() < .5 else rng.sample(range(n), lost)
    for i in gone:
        rows[k][i] = word
    return rows, "missing readings"


def window(rng):
    """(machine, channels, readings per channel, verdict)"""
    state = rng.choices(("ok", "watch", "fault"), (36, 34, 30))[0]
    while True:
        machine = rng.choice(list(MACHINES))
        pool = MACHINES[machine][2]
        channels = rng.sample(pool, min(len(pool), rng.choice([1, 1, 2, 2, 3])))
        n = rng.randint(6, 12)
        if state == "ok":
            rows, cause = [_healthy(rng, c, n) for c in channels], "none"
            break
        made = _anomaly(rng, machine, channels, n, state)
        if made and state in CAUSES[made[1]]:
            rows, cause = made
            break
    return machine, channels, rows, {"state": state, "cause": cause, "advice": CAUSES[cause][state]}


# ------------------------------------------------------------------ layouts --
# A layout is a tuple of parts; its string form is the template that is split.
_HEADS = {"en": ["{m}-{n} ", "{m} {n}: ", "{m}-{n}\n", "[{m}-{n}] ", "machine: {m} {n}\n", "{m}_{n} | ", "{M} {n}\n",
                 "device={m}-{n} ", "{m} #{n} - ", "readings of {m} {n}: ", "{m} no. {n}\n"],
          "ja": ["{m}{n}号 ", "{m}{n}: ", "{n}号{m}\n", "【{m}{n}】", "機器：{m}{n}\n", "{m}-{n} | ", "{m}{n}の", "{n}番の{m}：",
                 "{m}（{n}号機）\n"]}
_LABELS = ["{l} {u}: ", "{l} ({u}): ", "{l} [{u}] ", "{l} in {u}: ", "{l}({u})=", "{l}: *{u}", "{l} *{u}", "{l}, {u}: ",
           "{l} = *{u}", "{l}: ~{u}"]            # *: unit after the last value, ~: after each value
_VALUE_SEPARATORS = [" ", ", ", ",", "; ", " / ", "  "]
_CHANNEL_SEPARATORS = [" | ", "\n", " || ", ";\n", "\n- "]
_TIMES = ["", "index", "clock", "seconds"]
_ROW_STYLES = ["csv,", "csv;", "csv\t", "csv|", "table", "kv=", "kv: ", "kv=,", "units", "log"]
_WHOLE = ["json", "json-spaced", "json-id", "json-rows", "yaml", "yaml-list", "prose-was", "prose-reads", "prose-of", "ja-wa",
          "ja-ga", "ja-desu"]

_INTRO = {
    "en": ["check these readings", "please check this", "is this normal?", "what do you make of these values?", "look at this",
           "can you check my {m}?", "is the {m} okay?", "here is the latest window", "sensor window", "anything wrong here?",
           "diagnose this", "readings from the last hour", "tell me if this looks bad", "status check please", "gateway report",
           "new data from the {m}", "should I worry about this?", "judge these numbers", "what is going on with the {m}?",
           "evaluate", "the {m} sounds odd, check it", "last measurements", "please look at the {m} data", "health check",
           "how does the {m} look?", "analyse this window", "give me a verdict", "monitoring report", "quick check", "data"],
    "ja": ["この値を見て", "確認してください", "これは正常？", "{m}の様子を見て", "{m}は大丈夫？", "センサーの値です", "どう思う？", "異常はありますか",
           "診断して", "直近のデータです", "このデータを判定して", "{m}のデータ", "点検をお願いします", "おかしいところはある？", "測定値を見てください",
           "これ大丈夫かな", "状態を教えて", "最新の測定値", "{m}がおかしいかも", "監視レポート", "チェックして", "値の確認をお願い", "判断して", "{m}の記録"],
}
_INTRO_PLACES = ["{i}\n{w}", "{i}: {w}", "{i}\n\n{w}", "{w}\n{i}", "{i} {w}"]


def _all_layouts():
    layouts = []
    for lang in ("en", "ja"):
        for head in _HEADS[lang]:
            for label in _LABELS:
                for values in _VALUE_SEPARATORS:
                    for channels in _CHANNEL_SEPARATORS:
                        if not (values == "; " and ";" in channels):
                            layouts.append(("line", lang, head, label, values, channels))
        for style in _ROW_STYLES:
            for time in _TIMES:
                for head in _HEADS[lang][:5]:
                    layouts.append(("rows", lang, head, style, time))
        for style in _WHOLE:
            if style.startswith("ja") == (lang == "ja") or style[:4] in ("json", "yaml"):
                for head in _HEADS[lang][:4]:
                    layouts.append(("whole", lang, head, style))
    return layouts


def _split(items, seed):
    items = sorted(items, key=str)
    random.Random(f"{SPLIT_SEED}/{seed}").shuffle(items)
    held = round(len(items) * HELD_OUT_SHARE)
    return {"train": items[held:], "held": items[:held]}


LAYOUTS = {kind: _split([x for x in _all_layouts() if x[0] == kind], kind) for kind in ("line", "rows", "whole")}
INTROS = {lang: _split(texts, lang) for lang, texts in _INTRO.items()}


def _text(channel, value):
    return value if isinstance(value, str) else f"{value:.{channel.decimals}f}"


def _number(channel, value):
    """The value for JSON, where a lost reading is null."""
    if isinstance(value, str):
        return None
    return value if channel.decimals else int(value)


def _times(rng, kind, n):
    if kind == "index":
        return [str(i) for i in range(1, n + 1)]
    if kind == "seconds":
        step = rng.choice([1, 5, 10, 30, 60])
        return [f"{i * step}s" for i in range(n)]
    start, step = rng.randrange(24 * 60), rng.choice([1, 5, 10, 15])
    return [f"{(start + i * step) // 60 % 24:02d}:{(start + i * step) % 60:02d}" for i in range(n)]


# Training may ask for marks: a private-use character after each reading says in
# which zone it lies.  data.py takes them out of the text and trains on them.
ZONES = ("normal", "watch high", "fault high", "watch low", "fault low", "missing", "same as before")
MARK = 0xE000


def _marked(channel, row):
    out = []
    for i, value in enumerate(row):
        if isinstance(value, str):
            zone = 5
        elif channel.high and value >= channel.high[0]:
            zone = 2 if value >= channel.high[1] else 1
        elif channel.low and value <= channel.low[0]:
            zone = 4 if value <= channel.low[1] else 3
        else:
            zone = 6 if i and value == row[i - 1] else 0
        out.append(_text(channel, value) + chr(MARK + zone))
    return out


def write_down(rng, layout, machine, channels, rows, marks=False):
    """The window as text in the given layout."""
    kind, lang, head = layout[:3]
    col = 0 if lang == "en" else 1
    name, number = rng.choice(MACHINES[machine][col]), rng.randint(1, 12)
    labels = [rng.choice(LABELS[c.kind][col]) for c in channels]
    units = [rng.choice(LABELS[c.kind][2]) for c in channels]
    keys = [rng.choice([LABELS[c.kind][3], LABELS[c.kind][0][0].replace(" ", "_")]) for c in channels]
    if len(set(labels)) < len(labels) or len(set(keys)) < len(keys):
        keys = [LABELS[c.kind][3] for c in channels]
    n = len(rows[0])
    title = head.replace("{m}", name).replace("{n}", str(number)).replace("{M}", name.capitalize())
    cells = [_marked(c, row) if marks else [_text(c, v) for v in row] for c, row in zip(channels, rows)]

    if kind == "line":
        label, between, joint = layout[3:]
        parts = []
        for l, u, row in zip(labels, units, cells):
            text = label.replace("{l}", l)
            if "*" in text or "~" in text:
                tail, text = ("*" in text and " " + u), text.split("*")[0].split("~")[0]
                row = row if tail else [v + u for v in row]
                parts.append(text + between.join(row) + (tail or ""))
            else:
                parts.append(text.replace("{u}", u) + between.join(row))
        return title + joint.join(parts)

    if kind == "rows":
        style, time = layout[3:]
        times = _times(rng, time, n) if time else None
        lines = []
        if style.startswith(("csv", "table")):
            gap = " | " if style == "csv|" else "  " if style == "table" else style[3]
            names = labels if lang == "ja" or style == "table" else keys
            lines.append(gap.join((["t" if time != "clock" else "time"] if time else []) + names))
            lines += [gap.join(([times[i]] if time else []) + [row[i] for row in cells]) for i in range(n)]
        else:
            equals, gap = {"kv=": ("=", " "), "kv: ": (": ", ", "), "kv=,": ("=", ","), "units": (" ", ", "),
                           "log": (" ", " ")}[style]
            for i in range(n):
                pairs = [(k if style != "units" else l) + equals + row[i] + (u if style == "units" else "")
                         for k, l, u, row in zip(keys if lang == "en" else labels, labels, units, cells)]
                stamp = "" if not time else ("t=" if "kv" in style else "") + times[i] + gap
                lines.append(stamp + gap.join(pairs))
        return title.rstrip(" |:-\n") + "\n" + "\n".join(lines)

    style = layout[3]
    tag = f"{name.replace(' ', '-')}-{number}"
    values = [[_number(c, v) for v in row] for c, row in zip(channels, rows)]
    keys = [LABELS[c.kind][3] for c in channels]
    if style in ("json", "json-spaced", "json-id"):
        data = {"id" if style == "json-id" else "machine": tag, **dict(zip(keys, values))}
        return json.dumps(data, ensure_ascii=False, separators=None if style == "json-spaced" else (",", ":"))
    if style == "json-rows":
        data = {"machine": tag, "readings": [dict(zip(keys, column)) for column in zip(*values)]}
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if style == "yaml":
        return f"machine: {tag}\n" + "\n".join(f"{k}: [{', '.join(row)}]" for k, row in zip(keys, cells))
    if style == "yaml-list":
        return f"machine: {tag}\n" + "\n".join(f"{k}:\n" + "\n".join("  - " + v for v in row)
                                               for k, row in zip(keys, cells))
    spoken = [", ".join(row) for row in cells]
    form = {"prose-was": "the {l} was {v} {u}", "prose-reads": "{l} reads {v} {u}", "prose-of": "{l} of {v} {u}",
            "ja-wa": "{l}は{v}{u}", "ja-ga": "{l}が{v} {u}", "ja-desu": "{l}は{v}{u}です"}[style]
    parts = [form.replace("{l}", l).replace("{v}", v).replace("{u}", u) for l, u, v in zip(labels, units, spoken)]
    return f"on {name} {number} " + " and ".join(parts) if lang == "en" else f"{name}{number}の" + "、".join(parts)


def sample(rng, part="train", marks=False):
    """One (prompt, verdict).  Held-out windows use held-out layouts, and
    held-out intros for half of them."""
    machine, channels, rows, verdict = window(rng)
    kind = rng.choices(("line", "rows", "whole"), (5, 3, 2))[0]
    layout = rng.choice(LAYOUTS[kind][part])
    text = write_down(rng, layout, machine, channels, rows, marks)
    if rng.random() < .5:
        lang = layout[1]
        intro_part = part if part == "train" or rng.random() < .5 else "train"
        intro = rng.choice(INTROS[lang][intro_part]).replace("{m}", rng.choice(MACHINES[machine][lang == "ja"]))
        text = rng.choice(_INTRO_PLACES).replace("{i}", intro).replace("{w}", text)
    return text, verdict
