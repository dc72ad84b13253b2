"""The closed sets of the built-in model: every word it may answer with.

One place holds what an integrator must know to consume the model's JSON, and
what a person may call each thing.  commands.py and sensors.py compose phrases
from these tables; the model card prints them.
"""

# ---------------------------------------------------------------- commands --
# Synonyms are folded on purpose: "start the pump" and "switch the pump on" are
# both turn_on, so a consumer handles one verb per effect.
ACTIONS = {
    "turn_on": "switch on, start, run, play, arm",
    "turn_off": "switch off, stop, shut down, cancel, disarm",
    "set": "bring to the given value",
    "increase": "raise, by the value if one was said",
    "decrease": "lower, by the value if one was said",
    "open": "open",
    "close": "close, shut",
    "lock": "lock",
    "unlock": "unlock",
    "pause": "pause, hold",
    "resume": "go on after a pause",
    "query": "tell the state (value: the quantity asked for, or null)",
    "none": "not a command this model knows",
}

# Traits say which commands make sense for a device:
#   s switch  d run for a time  b brightness  c colour  t temperature  f fan
#   speed  v volume  o open/close  p position  l lock  r revolutions  m pause
#   a air-conditioner mode  h humidity  B pressure  y play  x arm  k cancel
#   w clock alarm  T timer  i answers "how warm is it"
# English names are (singular, plural-or-None) so that "all the lights" works.
DEVICES = {
    "light": ("sdbc", ["light", "lights", "lamp", "lamps", "lighting"],
              ["電気", "照明", "ライト", "明かり", "ランプ"]),
    "fan": ("sdf", ["fan", "ceiling fan", "desk fan"], ["扇風機", "ファン", "サーキュレーター"]),
    "heater": ("sdt", ["heater", "heating", "radiator", "space heater"],
               ["暖房", "ヒーター", "ストーブ"]),
    "air_conditioner": ("sdtfa", ["air conditioner", "AC", "air con", "aircon", "air conditioning"],
                        ["エアコン", "クーラー", "空調"]),
    "exhaust_fan": ("sdf", ["exhaust fan", "extractor fan", "ventilation", "vent fan"],
                    ["換気扇", "換気ファン", "排気ファン"]),
    "air_purifier": ("sdf", ["air purifier", "air cleaner", "purifier"], ["空気清浄機", "空清"]),
    "humidifier": ("sdh", ["humidifier"], ["加湿器"]),
    "dehumidifier": ("sdh", ["dehumidifier"], ["除湿機", "除湿器"]),
    "blinds": ("op", ["blinds", "blind", "curtains", "curtain", "shades"],
               ["ブラインド", "カーテン", "ロールスクリーン"]),
    "window": ("ol", ["window", "windows"], ["窓", "まど"]),
    "door": ("ol", ["door", "doors"], ["ドア", "扉"]),
    "gate": ("ol", ["gate"], ["門", "ゲート"]),
    "shutter": ("opl", ["shutter", "roller shutter", "roll-up door"], ["シャッター"]),
    "valve": ("op", ["valve", "water valve"], ["バルブ", "弁", "元栓"]),
    "vacuum": ("sdm", ["robot vacuum", "vacuum", "vacuum cleaner", "robot cleaner"],
               ["ロボット掃除機", "掃除機", "掃除ロボット"]),
    "washing_machine": ("sm", ["washing machine", "washer", "laundry machine"], ["洗濯機"]),
    "oven": ("sdti", ["oven"], ["オーブン"]),
    "kettle": ("st", ["kettle", "electric kettle"], ["ケトル", "電気ケトル", "電気ポット"]),
    "coffee_maker": ("s", ["coffee maker", "coffee machine"], ["コーヒーメーカー", "コーヒーマシン"]),
    "rice_cooker": ("s", ["rice cooker"], ["炊飯器"]),
    "fridge": ("ti", ["fridge", "refrigerator"], ["冷蔵庫"]),
    "freezer": ("ti", ["freezer", "deep freezer"], ["冷凍庫", "フリーザー"]),
    "water_heater": ("sti", ["water heater", "boiler", "hot water"], ["給湯器", "ボイラー", "湯沸かし器"]),
    "tv": ("sv", ["TV", "television", "telly"], ["テレビ"]),
    "music": ("svmy", ["music", "stereo", "speakers", "background music"], ["音楽", "BGM", "スピーカー"]),
    "alarm": ("wk", ["alarm", "alarm clock", "wake-up alarm"], ["アラーム", "目覚まし", "目覚まし時計"]),
    "timer": ("Tmk", ["timer", "countdown timer", "countdown"], ["タイマー"]),
    "security": ("sx", ["security system", "burglar alarm", "intruder alarm"],
                 ["防犯システム", "警備システム", "セキュリティ"]),
    "camera": ("s", ["camera", "cameras", "CCTV", "webcam"], ["カメラ", "監視カメラ", "防犯カメラ"]),
    "sprinkler": ("sd", ["sprinkler", "sprinklers", "irrigation", "watering system"],
                  ["スプリンクラー", "散水機", "自動水やり機"]),
    "outlet": ("sd", ["outlet", "socket", "smart plug", "power strip"],
               ["コンセント", "スマートプラグ", "電源タップ"]),
    "pump": ("sdr", ["pump", "water pump", "coolant pump"], ["ポンプ", "水ポンプ", "送水ポンプ"]),
    "compressor": ("sdB", ["compressor", "air compressor"], ["コンプレッサー", "エアコンプレッサー", "圧縮機"]),
    "conveyor": ("sdmf", ["conveyor", "conveyor belt", "belt conveyor"],
                 ["コンベア", "ベルトコンベア", "コンベヤー"]),
    "drill_press": ("sr", ["drill press", "pillar drill", "bench drill"], ["ボール盤", "卓上ボール盤"]),
    "spindle": ("sr", ["spindle", "CNC spindle", "router spindle"], ["主軸", "スピンドル"]),
    "lathe": ("sr", ["lathe"], ["旋盤"]),
    "saw": ("s", ["saw", "table saw", "band saw"], ["丸ノコ", "帯のこ盤", "テーブルソー"]),
    "dust_extractor": ("sd", ["dust extractor", "dust collector", "dust extraction"], ["集塵機", "集じん機"]),
    "printer_3d": ("sm", ["3D printer", "three d printer"], ["3Dプリンター", "3Dプリンタ"]),
    "soldering_iron": ("st", ["soldering iron", "soldering station"], ["はんだごて", "ハンダごて"]),
    "sensor": ("", [], []),  # the target of "how humid is it in the attic"
}

# area: (after "in the", in front of the device, Japanese)
AREAS = {
    "living_room": (["living room", "lounge", "sitting room"], ["living room", "lounge"],
                    ["リビング", "居間"]),
    "dining_room": (["dining room"], ["dining room"], ["ダイニング", "食堂"]),
    "kitchen": (["kitchen"], ["kitchen"], ["キッチン", "台所"]),
    "bedroom": (["bedroom", "master bedroom"], ["bedroom"], ["寝室", "ベッドルーム"]),
    "kids_room": (["kids' room", "children's room", "nursery"], ["kids' room", "nursery"],
                  ["子供部屋", "子ども部屋"]),
    "bathroom": (["bathroom", "shower room"], ["bathroom"], ["風呂場", "浴室", "お風呂"]),
    "toilet": (["toilet", "restroom"], ["toilet", "restroom"], ["トイレ"]),
    "hallway": (["hallway", "corridor", "hall"], ["hallway", "corridor", "hall"], ["廊下"]),
    "entrance": (["entrance", "entryway", "foyer"], ["front", "entrance"], ["玄関", "入口"]),
    "stairs": (["stairwell", "staircase"], ["stairwell", "staircase"], ["階段"]),
    "office": (["office", "study"], ["office", "study"], ["書斎", "事務所", "オフィス"]),
    "laundry_room": (["laundry room", "utility room"], ["laundry room", "laundry"], ["洗濯室", "洗面所"]),
    "basement": (["basement", "cellar"], ["basement", "cellar"], ["地下室"]),
    "attic": (["attic", "loft"], ["attic", "loft"], ["屋根裏", "ロフト"]),
    "balcony": (["balcony", "terrace"], ["balcony", "terrace"], ["ベランダ", "バルコニー"]),
    "garden": (["garden", "yard", "back yard"], ["garden", "yard"], ["庭"]),
    "greenhouse": (["greenhouse"], ["greenhouse"], ["温室", "ビニールハウス"]),
    "barn": (["barn", "stable"], ["barn"], ["納屋", "牛舎"]),
    "garage": (["garage"], ["garage"], ["ガレージ", "車庫"]),
    "workshop": (["workshop", "machine shop"], ["workshop", "shop"], ["工房", "作業場", "工場"]),
    "paint_booth": (["paint booth", "spray booth"], ["paint booth"], ["塗装ブース", "塗装室"]),
    "warehouse": (["warehouse", "storeroom"], ["warehouse", "storeroom"], ["倉庫"]),
    "loading_dock": (["loading dock", "loading bay"], ["loading dock", "loading bay"], ["搬入口", "荷捌き場"]),
    "server_room": (["server room"], ["server room"], ["サーバー室", "サーバールーム"]),
    "meeting_room": (["meeting room", "conference room"], ["meeting room", "conference room"],
                     ["会議室"]),
    "line_1": (["first line"], ["line 1", "line one"], ["1番ライン", "ライン1", "第1ライン"]),
    "line_2": (["second line"], ["line 2", "line two"], ["2番ライン", "ライン2", "第2ライン"]),
    "all": ([], [], []),  # "all the lights", 家中の電気
}

COLOURS = {
    "red": (["red"], ["赤", "赤色"]), "blue": (["blue"], ["青", "青色"]),
    "green": (["green"], ["緑", "緑色"]), "yellow": (["yellow"], ["黄色"]),
    "orange": (["orange"], ["オレンジ", "オレンジ色"]), "purple": (["purple", "violet"], ["紫", "紫色"]),
    "pink": (["pink"], ["ピンク", "ピンク色"]), "white": (["white"], ["白", "白色"]),
    "warm white": (["warm white"], ["電球色", "暖色"]), "daylight": (["daylight", "daylight white"], ["昼光色", "昼白色"]),
}
AC_MODES = {
    "cool": (["cooling", "cool", "cold"], ["冷房"]), "heat": (["heating", "heat", "warm"], ["暖房"]),
    "dry": (["dry", "dehumidify"], ["除湿", "ドライ"]), "auto": (["auto", "automatic"], ["自動", "オート"]),
    "fan": (["fan", "fan only"], ["送風"]), "eco": (["eco", "energy saving"], ["エコ", "省エネ"]),
}
LEVELS = {
    "low": (["low", "the lowest", "slow"], ["弱", "低速", "弱め"]),
    "medium": (["medium", "mid", "middle"], ["中", "中速"]),
    "high": (["high", "the highest", "fast"], ["強", "高速", "強め"]),
}
QUANTITIES = {  # what the "sensor" device can be asked for
    "temperature": (["temperature"], ["温度", "気温", "室温"]),
    "humidity": (["humidity"], ["湿度"]),
    "co2": (["CO2 level", "carbon dioxide level", "CO2"], ["CO2濃度", "二酸化炭素濃度", "CO2"]),
}

# ----------------------------------------------------------------- sensors --
STATES = {
    "ok": "readings lie in the normal band and scatter as readings do",
    "watch": "outside the normal band but below the fault limit, or doubtful readings",
    "fault": "beyond the fault limit, or most of the readings are missing",
}

# cause -> advice by state.  Advice is a function of both, so the model cannot
# give soothing advice with an alarming state.
CAUSES = {
    "none": {"ok": "no action needed"},
    "bearing wear": {"watch": "grease the bearing and plan a replacement",
                     "fault": "stop the machine and replace the bearing"},
    "imbalance": {"watch": "check for loose or dirty rotating parts",
                  "fault": "stop the machine and rebalance it"},
    "overheating": {"watch": "clean the cooling path and check the load",
                    "fault": "stop the machine and let it cool"},
    "overload": {"watch": "reduce the load",
                 "fault": "stop the machine and clear the jam"},
    "slow leak": {"watch": "inspect seals and joints for leaks",
                  "fault": "isolate the line and repair the leak"},
    "burst or open drain": {"fault": "close the valve and look for a burst"},
    "blocked filter": {"watch": "clean or replace the filter",
                       "fault": "stop the flow and clear the blockage"},
    "cooling loss": {"watch": "check that the door is closed and the coil is free of ice",
                     "fault": "move the goods and repair the cooling"},
    "too hot": {"watch": "open the vents or add shade",
                "fault": "cool the room at once"},
    "too cold": {"watch": "close the vents and check the heating",
                 "fault": "heat the room at once"},
    "too dry": {"watch": "water the plants soon",
                "fault": "water the plants now and check the supply"},
    "stale air": {"watch": "open a window or raise the ventilation",
                  "fault": "ventilate now and leave the room"},
    "dust or smoke": {"watch": "run the air purifier and look for the source",
                      "fault": "leave the area and find the source"},
    "battery ageing": {"watch": "charge the battery and test its capacity",
                       "fault": "disconnect and replace the battery"},
    "unstable control": {"watch": "retune the controller or check the actuator"},
    "sensor spike": {"watch": "check the sensor cable and keep logging"},
    "stuck sensor": {"watch": "test or replace the sensor"},
    "missing readings": {"watch": "check the sensor connection",
                         "fault": "repair the sensor link, the state is unknown"},
}
