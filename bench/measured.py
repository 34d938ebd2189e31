#!/usr/bin/env python3
"""The report of scripts/gpu_measure.sh: what is in FOLDER so far, as Markdown on stdout.

parts.csv says which parts ran and how they ended, log.txt what each of them printed ("result: ..." is for the
report). The other CSV files hold rows; what is missing is left out.
"""
import csv
import datetime
import math
import os
import re
import statistics
import sys

PRODUCTS = ("forward", "dw", "dx")
PEERS = {"cublas": "cuBLAS", "cublas_tf32": "cuBLAS TF32"}
MODES = {"eager": "step", "graph": "graph", "eager_tf32": "TF32 step", "graph_tf32": "TF32 graph"}


def read_rows(folder, name):
    """[] where there is no such file. A last line that was cut off is left out."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return [row for row in rows if None not in row.values()]


def read_log(folder):
    """{part: what it printed}"""
    with open(os.path.join(folder, "log.txt"), encoding="utf-8", errors="replace") as file:
        pieces = re.split(r"^=== (\w+) .*\n", file.read(), flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2]))


def results(log, part):
    return re.findall(r"^result: (.*)", log.get(part, ""), re.M)


def table(head, rows):
    """Markdown; numbers to the right."""
    numeric = [all(re.fullmatch("[-+.e0-9]*", cell) for cell in column) for column in zip(*rows)]
    rules = ["--:" if right else "---" for right in numeric]
    return ["| " + " | ".join(cells) + " |" for cells in [head, rules, *rows]]


def number(value, form=".4g"):
    return format(float(value), form) if value not in ("", None) else ""


def micro(ms):
    return number(1e3 * float(ms)) if ms else ""


def shape(row):
    return f"{row['batch']} x {row['in']} x {row['out']}"


def parts_table(rows, log):
    cells = []
    for row in rows:
        result = results(log, row["part"])
        if row["part"] == "suite":
            ended = re.findall(r"Test +#.*(Passed|Failed)", log.get("suite", ""))
            result.append(f"programs: {ended.count('Passed')} passed, {ended.count('Failed')} failed")
        if row["status"] != "done" and not result:
            result = log.get(row["part"], "").strip().splitlines()[-1:]  # most often it says why
        cells.append([row["part"], row["status"], row["seconds"], "; ".join(result).replace("|", "/")])
    return table(["part", "how it ended", "seconds", "result"], cells)


def rates_table(rows):
    return table(["memory, launches", "", ""], [[row["what"], row["value"], row["unit"]] for row in rows])


def bench_table(rows):
    peers = [p for p in PEERS if any(row.get(f"{p}_ms") for row in rows)]
    cells = []
    for row in rows:
        times = [micro(row.get(f"{p}_ms")) for p in ["oclin"] + peers]
        rates = number(row["gflops"], ".0f"), number(row["gbs"], ".0f")
        cells.append([row["op"], shape(row), *times, *rates, row["checked"]])
    names = ["oclin us", *(PEERS[p] + " us" for p in peers)]
    return table(["op", "batch x in x out", *names, "GFLOP/s", "GB/s", "checked"], cells)


def kernels_table(rows):
    names = ("kernel", "launches", "device_us")
    cells = [[row["op"], shape(row), *(row[name] for name in names)] for row in rows]
    return table(["op", "batch x in x out", "kernel", "launches", "us on the device's clock"], cells)


def plans_table(rows):
    """A column a plan, a line a product of a shape."""
    plans = list(dict.fromkeys(row["plan"] for row in rows))
    lines = {}
    for row in rows:
        text = micro(row["oclin_ms"]) if row["checked"] == "yes" else row["checked"]
        lines.setdefault((row["op"], shape(row)), {})[row["plan"]] = text
    cells = [[*key, *(line.get(plan, "") for plan in plans)] for key, line in lines.items()]
    return table(["op", "batch x in x out", *plans], cells)


def ptx_table(rows):
    cells = [[row["op"], shape(row), micro(row["ms"]), number(row["gflops"], ".0f"), row["checked"]] for row in rows]
    return table(["op", "batch x in x out", "us", "GFLOP/s", "checked"], cells)


def torch_table(rows):
    modes = [m for m in MODES if any(row["mode"] == m for row in rows)]
    lines = {}
    for row in rows:
        text = micro(row["torch_ms"]) if row["checked"] == "yes" else "wrong"
        lines.setdefault(shape(row), {})[row["mode"]] = text
    cells = [[key, *(line.get(mode, "") for mode in modes)] for key, line in lines.items()]
    return table(["batch x in x out", *(MODES[m] + " us" for m in modes)], cells)


def mean(ratios):
    return number(math.exp(statistics.fmean(map(math.log, ratios))), ".2f") if ratios else ""


def against_torch(bench, torch):
    """For each shape the fastest step of PyTorch in FP32 over the fastest of oclin."""
    own, peer = {}, {}
    for row in bench:
        if row["op"] in ("step", "fused_step") and row["oclin_ms"]:
            own.setdefault(shape(row), []).append(float(row["oclin_ms"]))
    for row in torch:
        if row["mode"] in ("eager", "graph") and row["checked"] == "yes":
            peer.setdefault(shape(row), []).append(float(row["torch_ms"]))
    return [min(peer[s]) / min(own[s]) for s in own if s in peer]


def summary(log, rates, bench, torch):
    """The row for docs/gpus.md."""
    launch = next((row["value"] for row in rates if row["what"] == "launch and wait"), "")
    largest = max((float(row["gflops"]) for row in bench if row["gflops"]), default=None)
    products = [row for row in bench if row["op"] in PRODUCTS and row.get("ratio_cublas")]
    cells = {
        "device, driver": "; ".join(results(log, "driver")).replace("|", "/"),
        "date": datetime.date.today().isoformat(),
        "self-check": "; ".join(results(log, "check")),
        "suite": "; ".join(results(log, "suite")),
        "launch us": launch,
        "GFLOP/s": number(largest, ".0f"),
        "products: cuBLAS / oclin": mean([float(row["ratio_cublas"]) for row in products]),
        "steps: PyTorch / oclin": mean(against_torch(bench, torch)),
    }
    return table(list(cells), [list(cells.values())])


def section(title, text, rows, make):
    return ["", f"## {title}", "", text, "", *make(rows)] if rows else []


def main():
    folder = sys.argv[1]
    log = read_log(folder)
    names = ("parts", "rates", "bench", "kernels", "plans", "torch", "ptx")
    rows = {name: read_rows(folder, name + ".csv") for name in names}
    lines = ["# oclin, measured on one device", "", *parts_table(rows["parts"], log), ""]
    lines += ["The row for docs/gpus.md; ratios are geometric means, above 1 oclin is faster:", ""]
    lines += summary(log, rows["rates"], rows["bench"], rows["torch"])
    lines += section("The device", "Each median of nine; results were checked.", rows["rates"], rates_table)
    text = "By the host's clock, many calls and one wait; every result was checked first."
    lines += section("Operations", text, rows["bench"], bench_table)
    text = "Forward, backward with dX, and SGD, one by one or recorded as a CUDA graph."
    lines += section("PyTorch", text, rows["torch"], torch_table)
    text = "Microseconds, by the host's clock. Empty: there was no time."
    lines += section("Plans", text, rows["plans"], plans_table)
    lines += section("Kernels", "The default plan; medians of nine.", rows["kernels"], kernels_table)
    text = "The kernels of an H100 without OpenCL, through NVIDIA's driver; checked first."
    lines += section("Kernels as PTX", text, rows["ptx"], ptx_table)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
