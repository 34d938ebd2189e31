"""Mechanical mutants: every place in a C or OpenCL C text where one small change can be made.

candidates(path, text) lists them. Comments, strings, preprocessor lines
and declarations of types are left alone. A candidate's key depends on the
file, the words of its line and the change, not on the line's number: it stays the same when other lines change, so that
survivors.md and a seed keep their meaning. sample() takes the candidates whose hash with the seed is smallest: a change of
the tree changes few of those chosen.
"""
import hashlib
import re
from collections import Counter, namedtuple

FILES = (
    *("cl/activation_%s.cl" % name for name in (
        "none", "relu", "sigmoid", "tanh", "gelu", "silu", "gelu_tanh", "leaky_relu", "softplus", "elu")),
    "cl/arrays.cl", "cl/common.cl", "cl/element_f32.cl", "cl/epilogue.cl", "cl/fill.cl", "cl/forward.cl", "cl/forward_narrow.cl",
    "cl/forward_skinny.cl", "cl/grad_w.cl", "cl/grad_x.cl", "cl/gradient.cl", "cl/loss_common.cl", "cl/loss_elements.cl", "cl/loss_mse.cl", "cl/softmax.cl", "cl/argmax.cl", "cl/loss_l1.cl",
    "cl/loss_huber.cl", "cl/loss_bce.cl", "cl/loss_soft_cross_entropy.cl", "cl/loss_total.cl", "cl/loss_cross_entropy.cl",
    "cl/loss_sum.cl", "cl/one_pass_skinny.cl",
    "cl/product_plain.cl", "cl/product_simd.cl", "cl/product_simt.cl", "cl/rule_sgd.cl", "cl/simd_pack.cl",
    "cl/split_sums.cl", "cl/update.cl",
    "src/arrays.c", "src/layer.c", "src/loss.c", "src/ops/product.c", "src/plan/narrow.c", "src/plan/occupancy.c",
    "src/plan/plain.c", "src/plan/plan.c", "src/plan/simd.c", "src/plan/simt.c", "src/plan/skinny.c", "src/plan/way.c",
)

# start, end: characters of the text that become `new`
Candidate = namedtuple("Candidate", "key path kind line start end old new")
Token = namedtuple("Token", "kind text start end")

TOKEN = re.compile(r"""
    (?P<skip>   \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<hash>   ^[ \t]*\#(?:[^\n\\]|\\.|\\\n)* )
  | (?P<string> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
  | (?P<number> (?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)[a-zA-Z]* )
  | (?P<name>   [A-Za-z_]\w* )
  | (?P<sign>   <<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^!~<>=?:;,.(){}\[\]] )
""", re.X | re.S | re.M)

OPERATORS = {
    "+": ["-"], "-": ["+"], "*": ["+"], "/": ["*"], "%": ["/"],
    "<": ["<=", ">="], "<=": ["<"], ">": [">=", "<="], ">=": [">"], "==": ["!="], "!=": ["=="],
    "&&": ["||"], "||": ["&&"], "&": ["|"], "|": ["&"],
    "+=": ["-=", "="], "-=": ["+=", "="], "*=": ["/="], "/=": ["*="], "|=": ["&="],
}
KEYWORDS = {"return", "if", "else", "for", "while", "do", "switch", "case", "default", "break", "continue", "goto", "sizeof"}
TYPES = {"void", "char", "short", "int", "long", "unsigned", "float", "double", "size_t", "uint", "real", "const", "struct",
         "enum", "static", "typedef", "global", "local", "kernel", "restrict", "FILE", "float2", "float4", "float8",
         "oclin_status", "oclin_tensor", "oclin_layer", "oclin_saved", "oclin_context", "OCLIN_INLINE", "PACKED",
         "int64_t", "uint64_t", "uint32_t", "cl_int", "cl_long", "cl_mem", "cl_kernel"}


def tokens(text):
    found = [Token(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)]
    return [t for t in found if t.kind in ("number", "name", "sign")]


def is_operand(token):
    """Whether the operator behind it takes two."""
    return token.kind == "number" or token.text in (")", "]") or (
        token.kind == "name" and token.text not in KEYWORDS | TYPES)


def closing(all_tokens, i):
    """The index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(all_tokens)):
        depth += (all_tokens[j].text in "([{") - (all_tokens[j].text in ")]}")
        if depth == 0:
            return j
    raise ValueError("unbalanced brackets")


def other_numbers(text):
    """n + 1 and n - 1."""
    digits = re.match(r"0[xX][0-9a-fA-F]+|[0-9.]+(?:[eE][-+]?\d+)?", text).group()
    suffix = text[len(digits):]
    if re.fullmatch(r"0[xX].*|\d+", digits):
        n = int(digits, 0)
        return ["%d%s" % (n + d, suffix) for d in (1, -1) if n + d >= 0]
    return ["%r%s" % (float(digits) + d, suffix) for d in (1.0, -1.0) if float(digits) + d >= 0.0]


def is_statement(t, i, opener):
    """Whether a statement that may be dropped begins at token i. opener: of the bracket that t[i - 1] closes, or None."""
    first, second, before = t[i:i + 2] + t[i - 1:i]
    if before.text == ")":
        if t[opener - 1].text not in ("if", "for", "while"):
            return False
    elif before.text not in (";", "{", "}", "else"):
        return False
    if first.text in ("break", "continue", "return"):
        return second.text == ";"
    if first.text == "*":
        return True
    return first.kind == "name" and first.text not in KEYWORDS | TYPES and second.kind == "sign" and second.text not in "*:"


def changes(text):
    """(kind, start, end, new)"""
    t = tokens(text)
    open_brackets, closes, skipped = [], {}, 0
    for i in range(1, len(t) - 1):
        if t[i].text in ("(", "[", "{"):
            open_brackets.append(i)
        if t[i].text in (")", "]", "}"):
            closes[i] = open_brackets.pop()
        if t[i].text == "typedef":  # checks at compile time
            skipped = next(j for j in range(i, len(t)) if t[j].text == ";")
        around = [t[j].text for j in open_brackets]
        if "{" not in around or i < skipped:
            continue  # declarations
        if t[i].kind == "number":
            for new in other_numbers(t[i].text):
                yield "constant", t[i].start, t[i].end, new
        if t[i].text in OPERATORS and is_operand(t[i - 1]) and not (t[i].text in "+-" and t[i + 1].text == "0"):
            for new in OPERATORS[t[i].text]:
                yield "operator", t[i].start, t[i].end, new
        if t[i].text in ("if", "while") and t[i + 1].text == "(":
            inside = text[t[i + 1].end:t[closing(t, i + 1)].start]
            yield "condition", t[i + 1].end, t[closing(t, i + 1)].start, "!(%s)" % inside
        if set(around) == {"{"} and is_statement(t, i, closes.get(i - 1)):
            j = i
            while t[j].text != ";":
                j = closing(t, j) if t[j].text in ("(", "[", "{") else j + 1
                if t[j].text in (")", "]", "}") and t[j + 1].text == "{":
                    break  # a call of a macro that ends without a semicolon
            if t[j].text == ";":
                yield "dropped", t[i].start, t[j].end, ";"


def candidates(path, text):
    seen = Counter()
    found = []
    for kind, start, end, new in changes(text):
        line_start = text.rfind("\n", 0, start) + 1
        line_end = text.find("\n", start)
        words = " ".join(text[line_start:line_end].split())
        what = "%s|%s|%d|%s|%s" % (path, words, start - line_start, text[start:end], new)
        seen[what] += 1
        digest = hashlib.sha1(("%s|%d" % (what, seen[what])).encode()).hexdigest()[:8]
        key = "%s-%s" % (path.split("/")[-1], digest)
        found.append(Candidate(key, path, kind, text.count("\n", 0, start) + 1, start, end, text[start:end], new))
    return found


def sample(all_candidates, seed):
    """All of them, in the order in which a sample takes them."""
    return sorted(all_candidates, key=lambda c: hashlib.sha1(("%d|%s" % (seed, c.key)).encode()).hexdigest())
