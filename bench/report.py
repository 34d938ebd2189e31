#!/usr/bin/env python3
"""Joins what scripts/bench.sh measured in several rounds into one Markdown table.

FOLDER holds, for each round N: oclin-N.csv and oclin-N.txt (oclin_bench), torch-N.csv (torch_step.py), and
fashion-oclin-N.txt, fashion-torch-N.txt. What is missing is left out, by name. Times are medians of the rounds, ratios
the medians of the ratios of each round.
"""
import csv
import datetime
import glob
import math
import os
import platform
import re
import statistics
import subprocess
import sys

PEERS = ("openblas", "clblast", "onednn", "torch")
TITLES = {"openblas": "OpenBLAS", "clblast": "CLBlast", "onednn": "oneDNN", "torch": "PyTorch"}
OPS = ("forward", "infer", "dw", "dx", "step", "fused_step")
REGIMES = ("tiny", "skinny", "square", "deep", "ragged")


def number(text):
    """None for an empty cell."""
    return float(text) if text else None


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def read_text(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def shape_of(row):
    return row["batch"], row["in"], row["out"]


class Row:
    """One operation on one shape, with the values of all rounds."""

    def __init__(self, first):
        self.op, self.regime, self.shape = first["op"], first["regime"], shape_of(first)
        self.values, self.checked = {}, set()

    def add(self, name, value):
        if value is not None and math.isfinite(value):
            self.values.setdefault(name, []).append(value)

    def get(self, name):
        return statistics.median(self.values[name]) if name in self.values else None

    def add_round(self, cells, torch_ms):
        """The cells of oclin_bench in one round, and PyTorch's step in the same round."""
        for name, text in cells.items():
            if name not in ("op", "regime", "batch", "in", "out", "checked"):
                self.add(name, number(text))
        self.checked.add(cells["checked"])
        oclin_ms = number(cells["oclin_ms"])
        if torch_ms and oclin_ms and self.op in ("step", "fused_step"):
            self.add("torch_ms", torch_ms)
            self.add("ratio_torch", torch_ms / oclin_ms)


def read_rounds(folder):
    rows = {}
    for path in sorted(glob.glob(f"{folder}/oclin-*.csv")):
        torch_path = path.replace("oclin-", "torch-")
        torch = {}
        if os.path.exists(torch_path):
            torch = {shape_of(r): number(r["torch_ms"]) for r in read_csv(torch_path)}
        for cells in read_csv(path):
            key = cells["op"], cells["regime"], shape_of(cells)
            rows.setdefault(key, Row(cells)).add_round(cells, torch.get(shape_of(cells)))
    return list(rows.values())


# ------------------------------------------------------------------------------------------------ the machine


def machine():
    """Lines on processor, caches and system."""
    try:
        out = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
        facts = dict(line.split(":", 1) for line in out.stdout.splitlines() if ":" in line)
    except (OSError, subprocess.CalledProcessError):
        facts = {}
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    vectors = [v for v in ("avx512f", "avx2", "fma", "asimd", "sve") if v in facts.get("Flags", "").split()]
    caches = ", ".join(f"{key[:-6]} {facts[key]}" for key in ("L1d cache", "L2 cache", "L3 cache") if key in facts)
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return [
        f"{facts.get('Model name', platform.processor())}, {os.cpu_count()} cores, {' '.join(vectors)}",
        f"caches {caches}",
        f"{system}, Linux {platform.release()}" if platform.system() == "Linux" else system,
    ]


def head(folder):
    lines = [f"Measured {datetime.date.today().isoformat()}.", ""]
    lines += [f"- {line}" for line in machine()]
    log = read_text(f"{folder}/oclin-1.txt")
    lines += [f"- {line}" for line in re.findall(r"^(?:library|device|driver|peer) +(.*)", log, re.M)]
    torch = re.search(r"^# (PyTorch.*)", read_text(f"{folder}/torch-1.csv"), re.M)
    lines.append(f"- {torch[1]}" if torch else "- PyTorch: MISSING (Debian: python3-torch)")
    rates = []
    for path in glob.glob(f"{folder}/oclin-*.txt"):
        rates += re.findall(r"^Largest rate of this run: ([0-9.]+) GFLOP/s, reached by (.*)", read_text(path), re.M)
    peak = max(((float(rate), by) for rate, by in rates), default=(None, ""))
    if peak[0]:
        lines.append(f"- largest rate of all rounds: {peak[0]:.1f} GFLOP/s, reached by {peak[1]}")
    return lines, peak[0]


# ----------------------------------------------------------------------------------------------------- tables


def cell(value, form, unit=""):
    return format(value, form) + unit if value is not None else ""


def peer_cell(row, peer):
    ms, ratio = row.get(f"{peer}_ms"), row.get(f"ratio_{peer}")
    return f"**{ratio:.2f}** ({ms:.4g})" if ms and ratio else ""


def table(rows, peers, peak):
    lines = [
        "| op | regime | batch x in x out | oclin ms | GFLOP/s | of peak | GB/s | of read | "
        + " | ".join(TITLES[p] for p in peers)
        + " | checked |",
        "|---|---|---|--:|--:|--:|--:|--:|" + "--:|" * len(peers) + "---|",
    ]
    for op in OPS:
        for row in rows:
            if row.op != op:
                continue
            gflops, read = row.get("gflops"), row.get("share_of_read_bandwidth")
            share = gflops / peak if gflops and peak else None
            cells = [row.op, row.regime, " x ".join(row.shape), cell(row.get("oclin_ms"), ".4g"), cell(gflops, ".1f")]
            cells += [cell(share, ".0%"), cell(row.get("gbs"), ".1f"), cell(read, ".0%")]
            cells += [peer_cell(row, p) for p in peers]
            checked = "; ".join(sorted(row.checked)) if row.checked != {"yes"} else "yes"
            lines.append("| " + " | ".join(cells + [checked]) + " |")
    return lines


def geometric_mean(rows, peer):
    """(mean, smallest, the row of the smallest, how many), or None."""
    ratios = [(row.get(f"ratio_{peer}"), " x ".join(row.shape)) for row in rows if row.get(f"ratio_{peer}")]
    if not ratios:
        return None
    mean = math.exp(statistics.fmean(math.log(r) for r, _ in ratios))
    return mean, *min(ratios), len(ratios)


def means(rows, peers):
    lines = ["| op | regime | " + " | ".join(TITLES[p] for p in peers) + " |", "|---|---|" + "---|" * len(peers)]
    for op in OPS:
        for regime in REGIMES + ("all",):
            chosen = [row for row in rows if row.op == op and regime in (row.regime, "all")]
            found = [geometric_mean(chosen, p) for p in peers]
            if any(found):
                cells = [f"**{f[0]:.2f}**, smallest {f[1]:.2f} at {f[2]}" if f else "" for f in found]
                lines.append(f"| {op} | {regime} | " + " | ".join(cells) + " |")
    return lines


def floors(rows):
    """Steps on small batches beside one plain read and one plain update in place of W."""
    chosen = [row for row in rows if row.op in ("step", "fused_step") and row.get("over_read_update")]
    if not chosen:
        return []
    lines = ["", "Steps on small batches against a plain read plus a plain update in place of as many bytes as W has:", ""]
    lines += ["| op | batch x in x out | oclin ms | read ms | update ms | oclin / (read + update) |", "|---|---|--:|--:|--:|--:|"]
    for row in chosen:
        values = [cell(row.get(n), ".4g") for n in ("oclin_ms", "read_ms", "update_ms")]
        lines.append(f"| {row.op} | {' x '.join(row.shape)} | {' | '.join(values)} | {row.get('over_read_update'):.2f} |")
    return lines


def fashion(folder):
    """Time of an epoch of Fashion-MNIST; a run's first epoch, in which kernels are built, does not count."""
    ours, theirs = [], []
    for path in glob.glob(f"{folder}/fashion-oclin-*.txt"):
        epochs = re.findall(r"^ *\d+ +[0-9.]+ +[0-9.]+ % +[0-9.]+ +[0-9.]+ % +([0-9.]+) ", read_text(path), re.M)
        ours += [float(s) for s in epochs[1:]]
    for path in glob.glob(f"{folder}/fashion-torch-*.txt"):
        theirs += [float(s) for s in re.findall(r"^epoch \d+ +([0-9.]+) s", read_text(path), re.M)[1:]]
    if not ours or not theirs:
        return ["", "Fashion-MNIST: not measured."]
    a, b = statistics.median(ours), statistics.median(theirs)
    return [
        "",
        f"Fashion-MNIST, 784-256-10, batch 128, an epoch of 60,000 images: oclin {a:.3f} s, PyTorch (indexed batches) "
        f"{b:.3f} s, ratio **{b / a:.2f}**.",
    ]


def quiet(rows):
    others = [max(row.values["other_cores"]) for row in rows if "other_cores" in row.values]
    busy = [o for o in others if o > 0.05]
    if not busy:
        return []
    return ["", f"NOT QUIET: other programs took more than 0.05 cores during {len(busy)} of {len(others)} rows, up to {max(busy):.2f}."]


def main():
    if len(sys.argv) != 2:
        print("usage: report.py FOLDER", file=sys.stderr)
        return 2
    folder = sys.argv[1]
    rows = read_rounds(folder)
    if not rows:
        print(f"report.py: no oclin-*.csv in {folder}", file=sys.stderr)
        return 1
    peers = [p for p in PEERS if any(row.get(f"ratio_{p}") for row in rows)]
    lines, peak = head(folder)
    lines += ["", "Peers: **time of the peer / time of oclin** (their ms). Above 1 oclin is the faster one.", ""]
    lines += means(rows, peers) + fashion(folder) + floors(rows) + [""] + table(rows, peers, peak) + quiet(rows)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
