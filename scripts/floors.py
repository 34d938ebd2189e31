#!/usr/bin/env python3
"""floors.py BUILD: the folders of src/ are floors, and what a file includes or calls lies on its own floor or below.

Includes are read from the sources, calls from the symbols of the object files in BUILD. An edge that climbs is printed, and
so is every circle of files within a floor; either ends the script with 1. With --list the edges between floors are printed.
"""
import collections
import pathlib
import re
import subprocess
import sys

# From the ground up. "." are the files that stand in src/ itself: what users call.
FLOORS = ["core", "tensor", "plan", "ops", "check", ".", "top"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
# Everything at once, for tests and tools.
UMBRELLA = "oclin_internal.h"


def floor_of(path):
    return path.parent.name if path.parent.name != "src" else "."


def includes():
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        if path.name == UMBRELLA:
            continue
        for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
            if (ROOT / "src" / name).exists():
                yield path, ROOT / "src" / name


def symbols(build):
    """Of each source file: what its object defines, and what it wants."""
    for obj in sorted(build.rglob("oclin_objects.dir/src/**/*.o")):
        path = ROOT / "src" / str(obj).split("oclin_objects.dir/src/")[1].removesuffix(".o")
        if not path.exists():
            continue  # of an older tree
        defined, wanted = set(), set()
        for line in subprocess.run(["nm", str(obj)], capture_output=True, text=True, check=True).stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in "TDRBC":
                defined.add(words[2])
            elif words[0] == "U":
                wanted.add(words[1])
        yield path, defined, wanted


def calls(build):
    files = list(symbols(build))
    if not files:
        sys.exit("floors.py: %s has no object files of src/" % build)
    home = {name: path for path, defined, _ in files for name in defined}
    for path, _, wanted in files:
        for name in sorted(wanted & set(home)):
            if home[name] != path:
                yield path, home[name], name


def circles(edges):
    """Files of one floor that reach each other."""
    below = collections.defaultdict(set)
    for a, b in edges:
        below[a].add(b)

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for b in below[todo.pop()]:
                if b not in seen:
                    seen.add(b)
                    todo.append(b)
        return seen

    reached = {a: reach(a) for a in list(below)}
    return sorted({frozenset(b for b in reached[a] if a in reached.get(b, ())) for a in reached if a in reached[a]}, key=sorted)


def main():
    build = pathlib.Path(next((a for a in sys.argv[1:] if not a.startswith("-")), "build"))
    wrong, between, within = [], collections.Counter(), set()
    edges = [(a, b, "includes") for a, b in includes()] + [(a, b, "calls " + name) for a, b, name in calls(build)]
    for a, b, how in edges:
        up, down = FLOORS.index(floor_of(a)), FLOORS.index(floor_of(b))
        if down > up:
            wrong.append("%s %s of %s: up from %s to %s" % (a.relative_to(ROOT), how, b.relative_to(ROOT), FLOORS[up], FLOORS[down]))
        elif down < up:
            between[FLOORS[up], FLOORS[down]] += 1
        elif a.with_suffix("") != b.with_suffix(""):
            within.add((a.with_suffix(""), b.with_suffix("")))
    for circle in circles(within):
        wrong.append("a circle: " + ", ".join(sorted(str(p.relative_to(ROOT)) for p in circle)))
    if "--list" in sys.argv:
        for (a, b), n in sorted(between.items(), key=lambda e: (FLOORS.index(e[0][0]), FLOORS.index(e[0][1]))):
            print("%-6s -> %-6s %4d" % (a, b, n))
    print("\n".join(wrong) if wrong else "%d includes and calls: none climbs, and no circle" % len(edges))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
