"""Texts for make_tokenizer.py: what the small tokenizers are trained on, and golden strings.

Everything is written here, drawn from a seed, or read from this repository.
"""

import random
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# One sentence or two a language, of our own: they give each script its common letters.
SENTENCES = [
    "The worker asks for rows, and each expert answers with one row for every token it was given.",
    "Don't worry: it's what we'd expect, they're late, I'll wait, you've seen it, he's gone.",
    "Der schnelle Zug fährt über die große Brücke, während draußen schon der Regen fällt.",
    "Où étais-tu hier soir ? J'ai cherché la clé près de l'église, mais je ne l'ai pas trouvée.",
    "El niño comió una manzana en el jardín y después corrió hacia su mamá. ¿Quién lo vio?",
    "Dzień dobry, czy mógłby pan powiedzieć, gdzie jest najbliższa stacja kolejowa?",
    "Trời hôm nay đẹp quá, chúng ta đi dạo quanh hồ rồi uống cà phê nhé.",
    "Güneş doğarken ışıklar söndü, çocuklar okula doğru yürüdü.",
    "Сегодня утром мы пошли на рынок и купили свежий хлеб, яблоки и немного сыра.",
    "Сьогодні ввечері буде дощ, тому візьми із собою парасольку.",
    "Το πρωί ο ήλιος ανατέλλει πάνω από τη θάλασσα και τα καράβια φεύγουν από το λιμάνι.",
    "Ծովի ափին երեխաները խաղում են ավազով։",
    "დილით ბავშვები სკოლაში მიდიან და წიგნებს კითხულობენ.",
    "הילדים הלכו לגן בבוקר ושיחקו יחד עד הצהריים.",
    "ذهب الأولاد إلى المدرسة في الصباح ثم لعبوا في الحديقة حتى المساء.",
    "صبح زود به بازار رفتیم و نان تازه خریدیم.",
    "आज सुबह बच्चे बगीचे में खेल रहे थे और माँ चाय बना रही थी।",
    "আজ সকালে আমরা নদীর ধারে হাঁটতে গিয়েছিলাম।",
    "இன்று காலை குழந்தைகள் பள்ளிக்குச் சென்றார்கள்.",
    "ఈ రోజు ఉదయం పిల్లలు తోటలో ఆడుకున్నారు.",
    "เมื่อเช้านี้เด็กๆ ไปโรงเรียนและเล่นกันในสวนจนถึงเย็น",
    "ຕອນເຊົ້າເດັກນ້ອຍໄປໂຮງຮຽນ.",
    "ယနေ့မနက် ကလေးများ ကျောင်းသွားကြသည်။",
    "ዛሬ ጠዋት ልጆቹ ወደ ትምህርት ቤት ሄዱ።",
    "今天早上我们去市场买了新鲜的面包和苹果，然后在河边散步。天气很好！",
    "這個模型把專家放在別的機器上，所以一台機器壞了，其他的還能繼續工作。",
    "今朝、子どもたちは学校へ行き、夕方まで公園で遊んだ。コーヒーを飲みましょう。",
    "오늘 아침에 아이들은 학교에 가서 저녁까지 공원에서 놀았습니다.",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎣᏍᏓ.",
    "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ",
]

EMOJI = ["😀", "😂", "❤️", "👍🏽", "👩‍💻", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇰🇷", "1️⃣",
         "#️⃣", "☎︎", "✌🏿", "🧑🏻‍🤝‍🧑🏿", "🫠", "🛸", "⏰", "™️", "🅰️", "㊗️", "🈚",
         "♟️"]

# White_Space of Unicode, and five that look like it and are not.
SPACES = ("\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
          "\u200a\u2028\u2029\u202f\u205f\u3000")
NOT_SPACES = "\u180e\u200b\u2060\ufeff\x1f"

DIGITS = "0123456789٠١٢٣۴۵०१२๑๒①②⑳Ⅳⅷ½¾²³₁₂〇〡㉈㊿𝟘𝟙𐄇፩௧௰𑁦𞥐🄋０９六一二"

SCRIPT_RANGES = [
    (0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x586),
    (0x5D0, 0x5EA), (0x620, 0x64A), (0x904, 0x939), (0x985, 0x9B9), (0xB85, 0xBB9),
    (0xE01, 0xE3A), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x135A), (0x13A0, 0x13FD),
    (0x1E00, 0x1FFF), (0x2C00, 0x2CFF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FFF),
    (0xA4D0, 0xA4FF), (0xAC00, 0xD7A3), (0xFF21, 0xFF5A), (0x10400, 0x1044F),
    (0x1E900, 0x1E943), (0x20000, 0x20100), (0x30000, 0x30050),
]

CODE = [
    "def f(x: int) -> int:\n    return x ** 2  # squared\n",
    "for (size_t i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    "#include <vector>\r\nint main() { return 0; }\r\n",
    "SELECT id, name FROM users WHERE age >= 18 AND name LIKE '%o''Neil%';",
    "<div class=\"row\" id='a'>&nbsp;&amp;</div>\n\n\n",
    "git commit -m \"fix: don't\" && git push --force-with-lease",
    "{\"key\": [1, 2.5e-10, null, true], \"nested\": {\"a\\u0041\": \"\\n\"}}",
    "https://example.org/a/b?c=d&e=%20f#g  mailto:a.b+c@example.org",
    "x = y if z else w; a, *b = (1, 2, 3); print(f'{a!r:>10}')",
    "\\frac{1}{2}\\sum_{i=0}^{n} x_i^2 \\leq \\epsilon",
    "0x1F 0b1010 1_000_000 3.14159 1e9 v2.10.3 12:34:56 2024-02-29",
    "\t\tif err != nil {\n\t\t\treturn nil, fmt.Errorf(\"x: %w\", err)\n\t\t}\n",
]


def repository_text() -> str:
    paths = [p for end in ("*.md", "*.h", "*.cc", "*.py") for folder in ("docs", "model", "kernels",
             "cluster", "tools") for p in sorted((ROOT / folder).rglob(end))]
    return "\n".join(p.read_text() for p in paths if "tokenizer" not in str(p.relative_to(ROOT)))


def training_texts() -> list[str]:
    rng = random.Random(20260401)
    texts = [repository_text()]
    for _ in range(60):
        order = SENTENCES + EMOJI + CODE
        rng.shuffle(order)
        texts.append(" ".join(order))
        texts.append("\n\n".join(s + " " * rng.randrange(9) for s in order))
    return texts


class Strings:
    """Golden strings, by kind, all from one seed."""

    def __init__(self, seed: int, added: list[str], boundaries: list[int]):
        self.rng = random.Random(seed)
        self.added = added
        self.boundaries = boundaries  # Code points where some character class begins or ends.
        self.categories: dict[str, list[int]] = {}
        for code in range(0x110000):
            self.categories.setdefault(unicodedata.category(chr(code))[0], []).append(code)
        self.lines = [line for line in repository_text().splitlines() if line.strip()]

    def word(self) -> str:
        first, last = self.rng.choice(SCRIPT_RANGES)
        return "".join(chr(self.rng.randint(first, last)) for _ in range(self.rng.randint(1, 7)))

    def spaces(self, most: int = 6) -> str:
        rng = self.rng
        if rng.random() < 0.5:
            return rng.choice([" ", "\n", "\r\n", "\t", "  ", "\n\n"]) * rng.randint(1, most)
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, most)))

    def of_category(self, letter: str) -> str:
        return chr(self.rng.choice(self.categories[letter]))

    def any_character(self) -> str:
        while True:
            code = self.rng.choice([self.rng.randrange(0x80), self.rng.randrange(0x800),
                                    self.rng.randrange(0x10000), self.rng.randrange(0x110000)])
            if not 0xD800 <= code <= 0xDFFF:
                return chr(code)

    def several(self, parts, least: int, most: int) -> str:
        return "".join(self.rng.choice(parts)() for _ in range(self.rng.randint(least, most)))

    def script(self) -> str:
        return self.several([self.word, self.word, self.spaces, lambda: " ",
                             lambda: self.of_category("P")], 2, 10)

    def sentence(self) -> str:
        words = self.rng.choice(SENTENCES).split(" ")
        begin = self.rng.randrange(len(words))
        glue = self.rng.choice([" ", "  ", "\n", " \n", "\r\n", ""])
        return glue.join(words[begin:begin + self.rng.randint(1, 12)])

    def emoji(self) -> str:
        return self.several([lambda: self.rng.choice(EMOJI), lambda: " ", self.word,
                             lambda: "\u200d", lambda: "\ufe0f"], 1, 8)

    def digits(self) -> str:
        return self.several([lambda: self.rng.choice(DIGITS), lambda: self.rng.choice(DIGITS),
                             lambda: self.of_category("N"), lambda: self.rng.choice(" ,.-+%"),
                             lambda: str(self.rng.randrange(10 ** 6))], 1, 9)

    def whitespace(self) -> str:
        return self.several([lambda: self.spaces(12), lambda: self.spaces(12),
                             lambda: self.rng.choice(NOT_SPACES),
                             lambda: self.rng.choice(["a", "1", "!", "é", "中", "\u0301"])], 1, 6)

    def code(self) -> str:
        if self.rng.random() < 0.3:
            return self.rng.choice(CODE)
        begin = self.rng.randrange(len(self.lines) - 3)
        glue = self.rng.choice(["\n", "\r\n", "\n\n", "\n    "])
        return glue.join(self.lines[begin:begin + self.rng.randint(1, 2)])[:150]

    def combining(self) -> str:
        return self.several([lambda: self.of_category("M"), self.word, lambda: "e\u0301",
                             lambda: " \u0308", lambda: "क्षि", lambda: " "], 2, 8)

    def with_added(self) -> str:
        def part() -> str:
            token = self.rng.choice(self.added)
            return token[self.rng.randint(0, 2):self.rng.randint(1, len(token))]
        def token() -> str:
            return self.rng.choice(self.added)
        return self.several([token, token, part, self.word, self.spaces, self.sentence,
                             lambda: "<"], 1, 6)

    def boundary(self) -> str:
        code = self.rng.choice(self.boundaries) + self.rng.choice([-1, 0, 1])
        if not 0 <= code < 0x110000 or 0xD800 <= code <= 0xDFFF:
            code = 0x41
        c = chr(code)
        return self.rng.choice(
            [c, f"a{c}b {c} {c}{c}", f" {c}1{c}!{c}", f"{c}\n{c} ", f"中{c}中 {c}a"])

    def random(self) -> str:
        return "".join(self.any_character() for _ in range(self.rng.randint(1, 24)))

    def by_category(self) -> str:
        return "".join(self.of_category(self.rng.choice("LLMNPSZ"))
                       for _ in range(self.rng.randint(1, 16)))

    def ascii(self) -> str:
        return "".join(chr(self.rng.choice([self.rng.randrange(128), self.rng.randrange(32, 127)]))
                       for _ in range(self.rng.randint(1, 40)))

    def all(self, count: int) -> list[str]:
        kinds = [self.script, self.sentence, self.emoji, self.digits, self.whitespace, self.code,
                 self.combining, self.with_added, self.boundary, self.boundary, self.random,
                 self.by_category, self.ascii]
        texts = ["", " ", "\n", "a", "  a", "\r\n", "Hello world", " Hello World!", "3333",
                 "ied 4 ½ months", "Cửa Việt", " discards", "a" * 300, " " * 300, "!" * 100,
                 "ab " * 60, "\n" * 70, " \n" * 40, "١٢٣" * 20, "中" * 100, "é" * 80, "\u0301" * 50]
        texts += SENTENCES + EMOJI + CODE
        texts += [before + c + after for c in SPACES + NOT_SPACES
                  for before, after in (("", ""), ("a", ""), ("", "a"), ("a ", " "), ("1", "!"))]
        seen = set(texts)
        while len(texts) < count:
            text = kinds[len(texts) % len(kinds)]()
            if text not in seen and not any(0xD800 <= ord(c) <= 0xDFFF for c in text):
                seen.add(text)
                texts.append(text)
        return texts
