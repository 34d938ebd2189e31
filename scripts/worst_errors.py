#!/usr/bin/env python3
"""worst_errors.py FILE...: brings docs/numbers.md up to date with what test programs wrote into these files
(OCLIN_WORST_FILE): the largest error of each operation, in units of its bound, by runtime and kernel family.
What a runtime, family and operation had before is replaced; all else stays. The rows are kept in
docs/worst_errors.tsv, the tables of the page are made of them.

worst_errors.py --print FILE...: writes the tables of these files alone, to standard output, and changes nothing.
Fails when there is nothing to write, or an error above 1."""
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
PAGE, ROWS = DOCS / "numbers.md", DOCS / "worst_errors.tsv"
BEGIN, END = "<!-- tables: written by scripts/worst_errors.py -->", "<!-- end of tables -->"
FAMILIES = ["plain", "simd", "skinny", "simt"]
TITLES = {  # of operations, as tests name them; others are called what the tests call them, and follow
    "forward, none": "Y, no activation", "z": "Z, where it is kept", "dx": "dX", "dw": "dW", "db": "db",
    "dw accumulated": "dW added to dW", "db accumulated": "db added to db",
    "w after backward and step": "W after the step", "b after backward and step": "b after the step",
    "mse, loss": "MSE, loss", "mse, dy": "MSE, dY",
    "cross_entropy, loss": "cross-entropy, loss", "cross_entropy, dy": "cross-entropy, dY"}


def title(operation):
    return TITLES.get(operation, re.sub("^forward, ", "Y, ", operation).replace("_", " "))


def place(operation):
    """Forwards first, then the others with a title, then those without one."""
    titles = list(TITLES)
    kind = 0 if operation.startswith("forward") else 1 if operation in TITLES else 2
    return kind, titles.index(operation) if operation in TITLES else len(titles), operation


def read(path):
    """{(runtime, family, operation): (worst, elements, case)}, the largest of all lines."""
    rows = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 6 or fields[1] not in FAMILIES:
            sys.exit(f"worst_errors.py: {path}:{number} is not such a line: {line}")
        key, worst, elements, case = tuple(fields[:3]), float(fields[3]), int(fields[4]), fields[5]
        old = rows.get(key, (-1.0, 0, ""))
        rows[key] = (max(worst, old[0]), elements + old[1], case if worst > old[0] else old[2])
    return rows


def order(key):
    runtime, family, operation = key
    return runtime, FAMILIES.index(family), place(operation)


def tables(rows):
    out = []
    for runtime in sorted({key[0] for key in rows}):
        mine = {key[1:]: row for key, row in rows.items() if key[0] == runtime}
        families = [f for f in FAMILIES if any(key[0] == f for key in mine)]
        elements = sum(row[1] for row in mine.values())
        out += [f"### {runtime}", "", f"{elements} elements compared.", "",
                "| | " + " | ".join(families) + " | the largest one's case |", "|---|" + "---|" * (len(families) + 1)]
        for operation in sorted({key[1] for key in mine}, key=place):
            found = {f: mine[f, operation] for f in families if (f, operation) in mine}
            cells = [f"{found[f][0]:.3f}" if f in found else "" for f in families]
            largest = max(found.values(), key=lambda row: row[0])
            out.append(f"| {title(operation)} | " + " | ".join(cells) + f" | {largest[2]} |")
        out.append("")
    return "\n".join(out)


def main(arguments):
    only_print = arguments[:1] == ["--print"]
    new = {}
    for path in arguments[only_print:]:
        for key, row in read(pathlib.Path(path)).items():
            if key not in new or row[0] > new[key][0]:
                new[key] = row
    if not new:
        sys.exit(__doc__)
    for key, row in new.items():
        if not row[0] <= 1:
            sys.exit(f"worst_errors.py: {', '.join(key)}: {row[0]} bounds ({row[2]})")
    if only_print:
        print(tables(new))
        return
    rows = {**(read(ROWS) if ROWS.exists() else {}), **new}
    ROWS.write_text("".join("\t".join([*key, f"{row[0]:.4g}", str(row[1]), row[2]]) + "\n"
                            for key, row in sorted(rows.items(), key=lambda item: order(item[0]))))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(rows)}\n{END}{after}")


main(sys.argv[1:])
