#!/usr/bin/env python3
"""The report of scripts/gpu_measure.sh: what is in FOLDER so far, as Markdown on stdout.

parts.csv says which parts ran and how they ended, log.txt what each of them printed ("result: ..." is for the report). The
other CSV files hold rows; what is missing is left out.
"""
import csv
import datetime
import os
import re
import sys

OPS = ("forward", "dw", "dx", "step", "fused_step")
PEERS = {"cublas": "cuBLAS", "cublas_tf32": "cuBLAS TF32", "openblas": "OpenBLAS", "clblast": "CLBlast", "onednn": "oneDNN"}


class Folder:
    def __init__(self, path):
        self.path = path

    def rows(self, name):
        """[] where there is no such file."""
        path = os.path.join(self.path, name)
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(line for line in file if not line.startswith("#")))

    def log(self):
        """{part: what it printed}"""
        with open(os.path.join(self.path, "log.txt"), encoding="utf-8", errors="replace") as file:
            pieces = re.split(r"^=== (\w+) .*\n", file.read(), flags=re.M)
        return dict(zip(pieces[1::2], pieces[2::2]))


def table(head, rows):
    """Markdown; numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i == 0 else "--:" for i in range(len(head))) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def number(text, form=".4g"):
    return format(float(text), form) if text else ""


def shape(row):
    return f"{row['batch']} x {row['in']} x {row['out']}"


def parts(folder, log):
    rows = []
    for row in folder.rows("parts.csv"):
        result = re.findall(r"^result: (.*)", log.get(row["part"], ""), re.M)
        rows.append([row["part"], row["status"], row["seconds"], "; ".join(result).replace("|", "/")])
    return ["| part | how it ended | seconds | result |", "|---|---|--:|---|"] + ["| " + " | ".join(r) + " |" for r in rows]


def bench(folder):
    rows = folder.rows("bench.csv")
    if not rows:
        return []
    peers = [p for p in PEERS if any(row.get(f"{p}_ms") for row in rows)]
    lines = ["", "## Operations", "", "Microseconds on the host's clock, many calls and one wait; every result was checked.", ""]
    cells = []
    for row in rows:
        micro = [number(1e3 * float(row[f"{p}_ms"])) if row.get(f"{p}_ms") else "" for p in ["oclin"] + peers]
        cells.append([row["op"], shape(row)] + micro + [number(row["gflops"], ".0f"), number(row["gbs"], ".0f"), row["checked"]])
    return lines + table(["op", "batch x in x out", "oclin"] + [PEERS[p] for p in peers] + ["GFLOP/s", "GB/s", "checked"], cells)


def main():
    folder = Folder(sys.argv[1])
    log = folder.log()
    lines = ["# oclin on this machine's GPU", "", f"Measured {datetime.date.today().isoformat()}.", ""]
    lines += parts(folder, log) + bench(folder)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
