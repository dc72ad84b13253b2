"""What the end-to-end tests share: running the program, terminals, and GGUF files made to order.

The program's path comes in MOTE and the source tree's in MOTE_SOURCE, both with a default, so that a test can be run by
hand: MOTE=build/mote tests/e2e/test_run.py
"""
import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

SOURCE = os.environ.get("MOTE_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOTE = os.environ.get("MOTE") or os.path.join(SOURCE, "build", "mote")
PATIENCE = 60  # seconds; a run takes a fraction of one, but machines can be slow, emulated or busy


class Result:
    def __init__(self, status, out, err):
        self.status, self.raw = status, out
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out!r}\nstderr: {self.err!r}"


def environment(**changes):
    """The environment, with a home of its own so that no test reads or writes a person's history."""
    env = {**os.environ, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **changes}
    env.pop("XDG_STATE_HOME", None)
    return {key: value for key, value in env.items() if value is not None}


def mote(*words, stdin=b"", **options):
    """Runs the program to its end. A string for stdin is written as UTF-8."""
    options.setdefault("env", environment())
    if "stdout" not in options:
        options["stdout"] = subprocess.PIPE
    if isinstance(stdin, (str, bytes)):
        options["input"] = stdin.encode() if isinstance(stdin, str) else stdin
    else:
        options["stdin"] = stdin
    done = subprocess.run([MOTE, *map(str, words)], stderr=subprocess.PIPE, timeout=PATIENCE, **options)
    return Result(done.returncode, done.stdout or b"", done.stderr)


class Case(unittest.TestCase):
    """With a folder of its own, and what is true of every failure: one line, begun by the program's name."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def expect_error(self, result, status, *parts):
        self.assertEqual(result.status, status, result)
        lines = result.err.splitlines()
        self.assertEqual(len(lines), 1, result)
        self.assertTrue(lines[0].startswith("mote: "), result)
        for part in parts:
            self.assertIn(part, lines[0])
        if status == 2:
            self.assertRegex(lines[0], r"see mote help( \w+)*$")
        return lines[0]

    def expect_done(self, result):
        self.assertEqual(result.status, 0, result)
        return result


# ---------------------------------------------------------------------------------------------------------- GGUF files

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def value_bytes(kind, value):
    if kind == STRING:
        return text(value)
    if kind == ARRAY:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(value_bytes(inner, item) for item in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q"}[kind], value)


def q8_0_bytes(floats):
    """Blocks of 32 values: a half-precision scale and levels of one byte."""
    blocks = b""
    for i in range(0, len(floats), 32):
        scale = max(abs(value) for value in floats[i:i + 32]) / 127 or 1.0
        blocks += struct.pack("<e32b", scale, *(round(value / scale) for value in floats[i:i + 32]))
    return blocks


def gguf(entries, tensors=(), q8_0=False):
    """A file's bytes: entries are (key, kind, value), tensors (name, shape, floats), all of float32; with `q8_0` those of
    two dimensions are of that type."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    for key, kind, value in entries:
        head += text(key) + struct.pack("<I", kind) + value_bytes(kind, value)
    data = b""
    for name, shape, floats in tensors:
        small = q8_0 and len(shape) == 2
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 8 if small else 0, len(data))
        data += q8_0_bytes(floats) if small else struct.pack(f"<{len(floats)}f", *floats)
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


def byte_letters():
    """The 256 letters that byte-level BPE writes bytes as (GPT-2): printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return [letters[byte] for byte in range(256)]


IM_START, IM_END, VOCABULARY = 256, 257, 260  # 258: "he", 259: "hell"


def vocabulary(chat=True, name="tiny"):
    """Every byte, two control tokens, those of ChatML with `chat`, and two merges."""
    control = ["<|im_start|>", "<|im_end|>"] if chat else ["<|a|>", "<|b|>"]
    tokens = byte_letters() + control + ["he", "ll"]
    kinds = [1] * 256 + [3, 3, 1, 1]
    entries = [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, name),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "qwen2"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, kinds)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, ["h e", "l l"])),
    ]
    if chat:
        entries += [
            ("tokenizer.ggml.eos_token_id", U32, IM_END),
            ("tokenizer.chat_template", STRING,
             "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"),
        ]
    return entries


def tiny_model(chat=True, context=4096, name="tiny", q8_0=False, begin=False):
    """A llama of one layer with random weights: it says random bytes, and without `chat` it never ends. Its matrices are
    F32, which are multiplied where they lie in the file, or Q8_0, which are packed. With `begin` every text begins with
    IM_START."""
    width, ffn, heads = 32, 32, 2
    chance = random.Random(1)

    def matrix(rows, columns, gain=1.0):
        return [chance.gauss(0, gain / columns ** 0.5) for _ in range(rows * columns)]

    entries = vocabulary(chat, name) + [
        ("llama.block_count", U32, 1),
        ("llama.context_length", U32, context),
        ("llama.embedding_length", U32, width),
        ("llama.feed_forward_length", U32, ffn),
        ("llama.attention.head_count", U32, heads),
        ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
    ]
    if begin:
        entries += [("tokenizer.ggml.bos_token_id", U32, IM_START), ("tokenizer.ggml.add_bos_token", BOOL, True)]
    tensors = [
        ("token_embd.weight", (width, VOCABULARY), matrix(VOCABULARY, width)),
        ("output.weight", (width, VOCABULARY), matrix(VOCABULARY, width)),
        ("output_norm.weight", (width,), [1.0] * width),
        ("blk.0.attn_norm.weight", (width,), [1.0] * width),
        ("blk.0.attn_q.weight", (width, width), matrix(width, width)),
        ("blk.0.attn_k.weight", (width, width), matrix(width, width)),
        ("blk.0.attn_v.weight", (width, width), matrix(width, width)),
        ("blk.0.attn_output.weight", (width, width), matrix(width, width)),
        ("blk.0.ffn_norm.weight", (width,), [1.0] * width),
        ("blk.0.ffn_gate.weight", (width, ffn), matrix(ffn, width)),
        ("blk.0.ffn_up.weight", (width, ffn), matrix(ffn, width)),
        ("blk.0.ffn_down.weight", (ffn, width), matrix(width, ffn)),
    ]
    return gguf(entries, tensors, q8_0)


# An answer that lasts: with these a run goes on until something stops it.
ENDLESS = ("--ctx", "1000000", "--logit-bias", f"{IM_END}=-10000")
ENDLESS_CONTEXT = 1 << 20


# ----------------------------------------------------------------------------------------------------------- processes


def wait_for(condition, what):
    """Polls until `condition` is true, and returns what it gave."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, *words, rows=24, columns=80, env=None):
        self.seen, self.status = b"", None
        try:
            self.process, self.fd = pty.fork()
        except OSError as error:
            raise unittest.SkipTest(f"no pseudo-terminal here: {error}")
        if self.process == 0:
            try:
                os.execve(MOTE, [MOTE, *map(str, words)], env or environment(TERM="xterm"))
            finally:
                os._exit(127)
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def read(self, seconds):
        """Takes what has come; False at the end."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            got = os.read(self.fd, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.seen += got
        return bool(got)

    def expect(self, wanted):
        """Waits for a text; what came up to its end is returned and forgotten."""
        wanted = wanted.encode()
        end = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            if not self.read(0.1) and wanted not in self.seen:
                raise AssertionError(f"ended without {wanted!r}; seen: {self.seen[-2000:]!r}")
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {wanted!r}; seen: {self.seen[-2000:]!r}")
        at = self.seen.index(wanted) + len(wanted)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before.decode("utf-8", "replace")

    def signal(self, number):
        os.kill(self.process, number)

    def end(self):
        """Waits for the program to end; its exit status, negative for a signal."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            open_still = self.read(0.05)
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process != 0:
                self.status = os.waitstatus_to_exitcode(status)
                while open_still and self.read(0):
                    ready, _, _ = select.select([self.fd], [], [], 0)
                    open_still = bool(ready)
                return self.status
        raise AssertionError(f"it does not end; seen: {self.seen[-2000:]!r}")

    def close(self):
        if self.status is None:
            try:
                os.kill(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        os.close(self.fd)


main = unittest.main
