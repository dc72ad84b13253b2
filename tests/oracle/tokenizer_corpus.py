"""Texts to tokenize: many scripts, and whatever makes pre-tokenizers differ. Written for mote; none is quoted."""

PROSE = [
    "The lamp by the north window stays on until nine; after that the hall is dark, isn't it?",
    "She said: “I’d rather we didn’t.” They'd have gone, but it's late and we'll manage. I'm sure you've seen it.",
    "IT'S LATE. WE'LL GO, THEY'VE GONE, I'D STAY, YOU'RE HERE, I'M IN, DON'T. 'Sound 'tis 'LL 'Re o'clock rock'n'roll",
    "long s: 'ſ it'ſ IT'ſ  primes: 5'4\" 'd'd'd ''s '’s 'x",
    "Grüße aus Köln: Größe, Maß, weiß – und ÄÖÜ. Ça va? Où ça? Señor Núñez, mañana. Ærøskøbing. Žluťoučký kůň.",
    "Cafe\u0301 nai\u0308ve a\u0308o\u0308u\u0308 E\u0301cole n\u0303 s\u0323\u0307 s\u0307\u0323 q\u0307\u0323 \u0301start \u0301\u0302\u0303 x\u0301\u0301\u0301",
    "Şişli'de güneşli bir gün. İstanbul ılık. Ħal Għaxaq. Łódź. Đà Nẵng, Việt Nam, Tiếng Việt rất hay.",
    "Τρεις λέξεις στα ελληνικά: ΚΑΛΗΜΕΡΑ, Ὀδυσσεύς, ᾳ ῲ ώ.",
    "Быстрый поезд идёт на север. Ещё два дня. СССР, МГУ; й = и\u0306, ё = е\u0308. Українська мова: ґанок, їжак.",
    "今日は雨です。明日は晴れるでしょう。ランプを消してください。が = か\u3099、ぱ = は\u309a。東京タワー１２３。",
    "今天下雨，明天會放晴。請把燈關掉。数据库里有三千条记录。龍馬精神，㐀𠀀𪜀 豈 更.",
    "오늘은 비가 옵니다. 불을 꺼 주세요. \u1112\u1161\u11ab\u1100\u1173\u11af 가\u11a8 \uac00\uac01 ㄱㄴㄷ.",
    "วันนี้ฝนตก กรุณาปิดไฟด้วย น้ำใจ ปู่ ก็ ๑๒๓",
    "आज बारिश हो रही है। कृपया दीया बुझा दें। क्षत्रिय, ज़िंदगी, क\u093c, १२३ ग्राम।",
    "আজ বৃষ্টি হচ্ছে। ক\u09c7\u09be தமிழ் மொழி க்ஷ ஶ்ரீ తెలుగు ಕನ್ನಡ മലയാളം සිංහල",
    "السماء تمطر اليوم. من فضلك أطفئ المصباح؟ مُحَمَّدٌ ١٢٣ ۴۵۶ لا إله آ = ا\u0653",
    "היום יורד גשם. נא לכבות את האור. שָׁלוֹם עֲלֵיכֶם שׁ\u05bc \ufb2a",
    "ይህ ፈተና ነው። ՀԱՅԵՐԵՆ հայերեն ქართული ᲥᲐᲠᲗᲣᲚᲘ ᏣᎳᎩ ᓀᐦᐃᔭᐍᐏᐣ ᚠᚢᚦ ខ្មែរ မြန်မာ བོད་ཡིག ລາວ",
]

SYMBOLS = [
    "👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 🧑🏿‍🚀 ❤️ ☎︎ 1️⃣ #️⃣ 😀😀😀 🫠 a😀b 😀's",
    "∀x∈ℝ: x² ≥ 0; ∑ᵢ aᵢ ≤ √2·π ≈ 4.44, ½ ⅓ Ⅳ ⅷ ①②③ ㊀ 𝛼𝐀𝟘 ℵ₀ Ω Å ﬁ ﬀ ﬃ",
    "$5 + 3 < 9 > 2 = ~`^| {a} [b] (c) <d> €10 £20 ¥30 ₿1 50% 30‰ § ¶ © ® ™ ° ª º µ",
    "...!!! ?!?! ---- ==== //// \\\\ ____ **bold** ~~no~~ `code` #tag @name a.b.c a-b a_b a/b /etc/hosts //x\n/y",
    "–—―‐‑ ‘single’ «guillemets» ‹a› „low“ 「括弧」『』【】〈〉《》 ．，！？：；（） ･ﾊﾝｶｸ ＦＵＬＬ ｗｉｄｅ",
    "zero\u200bwidth \u200cnon\u200djoiner \u2060word \ufefftext so\u00adft \u200eltr\u200f \U000e0041tag \ue000private \U0010ffff",
]

DIGITS = [
    "0 1 12 123 1234 12345 123456 1234567 12345678901234567890 3.14159 1,000,000 -42 1e-9 0xFF 0b1010 2026-11-23T13:05:59Z",
    "a1 1a a1b2 v1.2.3 x2y ab12cd345 １２３４ ١٢٣٤٥ १२३४५ ๑๒๓๔ 12٣45 123٤ 1²3 1½ ⅣⅤⅥ ৪৫৬৭৮ 𝟘𝟙𝟚𝟛𝟜 二十三 〇",
    " 1  2   3 \t4\n5 6\n\n7 8 9%",
]

SPACES = [
    " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n", "\n ", "\n\n\n\n\n", "\r", "\r\r\n\n", "a ", " a", "  a", "a  ", "a  b",
    "a   b", "a\tb", "a\t b", "a \tb", "a\n b", "a \nb", "a \n b", "a\n\n\n b", "a  \n\n  b", "  \n  \n  x", "\t\tif (x)\n\t\t\ty();\n",
    "    four\n        eight\n   three\n", "x\u00a0y \u00a0z\u00a0\u00a0w \u00a0", "全角\u3000空白 \u3000 \u3000\u3000x",
    "em\u2003en\u2002thin\u2009hair\u200anarrow\u202fmath\u205fogham\u1680", "line\u2028para\u2029next\u0085feed\u000bvt\u000cff",
    "fs\x1cgs\x1drs us\x1f nul\x00 bel\x07 del\x7f", " " * 33 + "deep", " " * 70, "\n" * 40, "\t" * 20 + "x", "\r\n\r\n  \r\n",
    "a" + " " * 5 + "\n" * 5 + " " * 5 + "b", " !", "  !", " \n!", "! !", "!\n\n", "!\r\nx", "? \n?", "  's", " 's", "\n's",
    "▁", "▁▁", "a▁b", "▁ ▁", " ▁▁ x", "  ▁▁x", "x▁▁▁", "▁▁  ▁ ", "> </b>", ">▁</b>", "a> b", ">  </",
]

CODE = [
    "int main(void)\n{\n    for (size_t i = 0; i < n; i++)\n        sum += a[i]->value * 2;\n    return sum != 0 ? 1 : -1;\n}\n",
    "def read(path: str) -> bytes:\n\twith open(path, 'rb') as f:\n\t\treturn f.read()[:-1]  # it's all\n",
    "SELECT name, COUNT(*) FROM devices WHERE room_id = 12 AND state <> 'off' GROUP BY 1 HAVING COUNT(*) >= 3;\r\n",
    "<table><tr><td class=\"x\">A &amp; B</td></tr></table>\n<b>bold</b> <s>old</s> </s> <h1>T</h1>",
    "fn main() { let v: Vec<u8> = vec![0; 16]; println!(\"{:?}\", &v[1..]); } // λ → ∀\n",
    "const f = async (x) => { await g(`${x}/${y}`); return x?.y ?? 'none'; };\n",
    "{\"name\": \"turn_on\", \"arguments\": {\"lamp\": 3, \"on\": true, \"level\": 0.75, \"tags\": [null, \"é\\u00e9\"]}}",
    "https://example.org/a/b?q=x%20y&z=1#top user@example.org C:\\Users\\x\\file.txt $HOME/.config ~/bin git@host:repo.git",
    "parseHTTPRequest XMLHttpRequest iPhone eBay McDonald ABCdef ABCDef aBcDeF HTTPServer2Go ǅungla ǈ ʰa ªb",
    "#!/bin/sh\nset -eu\nfor f in *.c; do\n  cc -O2 \"$f\" || exit 1\ndone\n\n\n# end",
]

MARKS = [
    "\u0301", "\u0301A", "\u0301ABC", "\u0301Abc", "\u0301abc", "A\u0301B", "AB\u0301CD", "ABC\u0301", "aB\u0301", "ABC\u0301DEF ghi",
    " \u0301ABC", "!\u0301ABC", "!ABC", "!ABCd", "1\u0301", " \u0301", "\n\u0301x", "ᵃABC", "ABCᵃ", "ABᵃCD", "日ABC", "ABC日", "AB日CDe",
    "A'S", "a'S", "AB'sc", "日's", "\u0301's", "A'ſ", "a's's", "a'll'LL", "A\u0345\u0301\u0323", "\u0344", "e\u0327\u0301", "ẛ\u0323",
    "\u1e9b\u0323 \u212b \u2126 \u0958 \ufb1d \u2adc \U0001d15e \U0002f800", "\u0f71\u0f72\u0f74 \u0f73 \u0f75 \u0f81",
]

SPECIAL = [
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<|im_start", "|im_start|>", "<|im_start|><|im_start|>", "<<|im_end|>>",
    "<think>\nno\n</think>\n\nyes", " <think> ", "<thin", "<think", "</think>", "<tool_call>\n{}\n</tool_call>", "x<|im_end|>'s  <|im_end|> \n",
    "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n", "<bos>", "<unk>", "<pad>", "<s>a</s> b", "<0x41>", "<0x0A>", "<|endoftext|>",
    "e\u0301<think>e\u0301<|im_end|>\u0301",
]

TEXTS = PROSE + SYMBOLS + DIGITS + SPACES + CODE + MARKS + SPECIAL
TEXTS += [a + " " + b for a, b in zip(PROSE, SYMBOLS * 3)] + ["".join(SPACES), "\n".join(PROSE), ""]
