#!/usr/bin/env python3
"""Breaks oclin on purpose, one small mistake at a time, and looks which test notices.

    run.py --chosen              the mistakes of chosen.py
    run.py --sample 160 --seed 1 mechanical ones (sample.py), until so many have compiled
    run.py --only PATTERN        chosen or mechanical ones by name, * and ? allowed
    run.py --ci                  a few of chosen.py: under a minute
    run.py --check build         does each still fit the sources, and each command a test of that build?
    run.py ... --with COMMAND    asks this one first
    run.py ... --first 4         only with the first four commands of each: a quick look
    run.py ... --report FILE     writes the table

Never touches the tree it lies in: works on a copy in --work (build/mutants), where results.jsonl keeps what was found, so
that a run that was cut off goes on. Mutants of kernels need no build: OCLIN_CL_DIR points at the changed file. Those of
host code rebuild the static library and the test programs that are asked. Each is tried with the commands of chosen.py
or killers.py in turn, cheapest first; the first test that fails has killed it, and the rest is not run. Every command has
passed on the unchanged tree before it counts.

The exit code is 0 only if all were killed, or argued in survivors.md to change nothing that may be seen.
"""
import argparse
import collections
import fcntl
import fnmatch
import json
import os
import pathlib
import queue
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import killers
import sample
from chosen import MUTANTS

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
SURVIVORS = HERE / "survivors.md"

# A mutant may loop for ever: seconds of CPU time beyond ten times what the command took unbroken. Or it waits for ever: so
# many seconds without any CPU time.
CPU_SECONDS, IDLE_SECONDS = 40, 30
FILE_SIZE = 1 << 30


class Broken(Exception):
    """Something is wrong with the run itself."""


def shell(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    return done.returncode, done.stdout


# ------------------------------------------------------------------------------------------------ the mutants

class Mutant:
    """name; what it is; {path: text} of the changed files; the commands that may kill it."""

    def __init__(self, name, what, texts, commands):
        self.name, self.what, self.texts, self.commands = name, what, texts, commands
        self.of_kernel = all(path.startswith("cl/") and path.endswith(".cl") for path in texts)


def read(path):
    return (TREE / path).read_text()


def replaced(name, path, text, old, new, occurrence):
    parts = text.split(old)
    at = occurrence or 0
    if len(parts) != 2 if occurrence is None else len(parts) < at + 2:
        raise Broken("%s: %d places in %s are\n%s" % (name, len(parts) - 1, path, old))
    return old.join(parts[:at + 1]) + new + old.join(parts[at + 1:])


def chosen_mutant(m):
    texts = {}
    for path, old, new, *occurrence in m["edits"]:
        if not (TREE / path).is_file():
            raise Broken("%s: there is no file %s" % (m["name"], path))
        text = texts.get(path) or read(path)
        texts[path] = replaced(m["name"], path, text, old, new, occurrence[0] if occurrence else None)
    return Mutant(m["name"], m["what"], texts, m["tests"])


def chosen_mutants():
    return [chosen_mutant(m) for m in MUTANTS]


def function_at(text, position):
    """The name of the C function around a place: the last one that begins at the start of a line."""
    above = re.sub(r"__attribute__\(\(\w+\([^()]*\)\)\)", "", text[:position])
    heads = re.findall(r"^(?![ \t#/*{}])[^;{}()]*?(\w+(?:\(\w+\))?)\([^;{}]*\)\s*\{", above, re.M)
    return heads[-1] if heads else ""


def sampled_mutants(seed):
    """All mechanical ones, in the order of the seed."""
    texts = {path: read(path) for path in sample.FILES}
    everything = [c for path in sample.FILES for c in sample.candidates(path, texts[path])]
    found = []
    for c in sample.sample(everything, seed):
        text = texts[c.path]
        if c.path.startswith("src/plan/") and function_at(text, c.start) in killers.SPEED_ONLY:
            continue
        old, new = " ".join(c.old.split()), " ".join(c.new.split())
        what = "%s:%d %s: `%s` -> `%s`" % (c.path, c.line, function_at(text, c.start), old, new)
        found.append(Mutant(c.key, what, {c.path: text[:c.start] + c.new + text[c.end:]}, killers.of(c.path)))
    return found


# ---------------------------------------------------------------------------------------------- the commands

TAKE_A_PLAN = ("products", "math", "golden")


def parts_of(command):
    """Of [oclgrind | oclgrind-data | asan] PROGRAM [PLAN] [PATTERN]: tool or "", program, the rest."""
    words = command.split()
    tool = words.pop(0) if words[0] in ("oclgrind", "oclgrind-data", "asan") else ""
    return tool, "test_" + words[0], words[1:]


def environment_of(**more):
    environment = dict(os.environ, OCLIN_CACHE_DIR="", **more)
    environment.setdefault("OCLIN_DEVICE", "portable computing")
    for name in ("OCLIN_PLAN", "OCLIN_TEST", "OCLIN_VERIFY"):
        environment.pop(name, None)
    return environment


class Tests:
    """The tests of a build, by name."""

    def __init__(self, build):
        self.folder, self.known = pathlib.Path(build).resolve() / "tests", {}

    def names(self, program, arguments):
        key = (program, *arguments)
        if key not in self.known:
            said = subprocess.run([str(self.folder / program), *arguments], stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.DEVNULL, env=environment_of(), cwd="/tmp").stdout
            self.known[key] = said.splitlines()
        return self.known[key]

    def complaint(self, command):
        """None, or why it cannot run."""
        program, rest = parts_of(command)[1:]
        if not (HERE.parent / (program + ".c")).is_file() or not (self.folder / program).is_file():
            return "there is no program %s" % program
        plan = [rest.pop(0)] if program[len("test_"):] in TAKE_A_PLAN and rest else []
        if len(rest) > 1:
            return "one pattern too many"
        pattern = rest[0] if rest else "*"
        names = self.names(program, plan + ["--list"])
        if pattern.startswith("huge/"):
            names = self.names(program, ["huge/names"])
        matches = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
        return None if any(matches.fullmatch(name) for name in names) else "no test of %s matches" % program


def check(build):
    """Whether every edit has its place, and every command a test: moves of the sources leave them behind."""
    wrong, asked, tests = [], {}, Tests(build)
    for m in MUTANTS:
        try:
            chosen_mutant(m)
        except Broken as e:
            wrong.append(str(e))
        for command in m["tests"]:
            asked.setdefault(command, m["name"])
    for path in sample.FILES:
        if not (TREE / path).is_file() or path not in killers.KILLERS:
            wrong.append("sample.py: %s is no file, or has no row in killers.py" % path)
    for path, commands in killers.KILLERS.items():
        for command in commands:
            asked.setdefault(command, "killers.py, " + path)
    for command, by in asked.items():
        complaint = tests.complaint(command)
        if complaint:
            wrong.append("%s: `%s`: %s" % (by, command, complaint))
    for name, count in collections.Counter(m["name"] for m in MUTANTS).items():
        if count > 1:
            wrong.append("%s: %d have this name" % (name, count))
    known = {c.key for path in sample.FILES for c in sample.candidates(path, read(path))}
    wrong += ["survivors.md: no mechanical mistake is called %s" % name for name in sorted(argued() - known)]
    for text in wrong:
        print(text)
    print("%d chosen mistakes and %d commands, %d do not fit" % (len(MUTANTS), len(asked), len(wrong)))
    return 1 if wrong else 0


# ------------------------------------------------------------------------------------------------- the work

class Worker:
    """A copy of the tree, its builds and its PoCL cache."""

    def __init__(self, folder, unbroken):
        self.folder, self.unbroken = folder, unbroken
        self.tree, self.pocl = folder / "tree", folder / "pocl"
        self.copied = self.configured = None
        folder.mkdir(parents=True, exist_ok=True)
        if not self.pocl.exists():  # what is compiled already need not be compiled again
            seed = os.environ.get("POCL_CACHE_DIR")
            if seed and os.path.isdir(seed):
                shell(["cp", "-al", seed, str(self.pocl)])
            self.pocl.mkdir(exist_ok=True)

    def kernels_cached(self):
        return set(self.pocl.glob("*/*"))

    def copy_tree(self):
        """Only what has changed, so that little is built again."""
        names = shell(["git", "ls-files", "-co", "--exclude-standard"], cwd=TREE)[1].split("\n")
        for name in filter(None, names):
            if (TREE / name).is_file():
                self.write(name, (TREE / name).read_bytes())

    def write(self, name, content):
        to = self.tree / name
        if not to.exists() or to.read_bytes() != content:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(content)

    def build(self, programs, sanitized=False):
        """Of the copy; None, or what the compiler says."""
        folder = self.folder / ("asan" if sanitized else "build")
        if not (folder / "CMakeCache.txt").exists():
            code, said = shell(["cmake", "-S", str(self.tree), "-B", str(folder), "-DCMAKE_BUILD_TYPE=",
                                "-DCMAKE_C_FLAGS=-O1 -g -w" if sanitized else "-DCMAKE_C_FLAGS=-O1 -w",
                                "-DOCLIN_BUILD_EXAMPLES=OFF", "-DOCLIN_SANITIZE=" + ("address,undefined" if sanitized else "")]
                               + (["-GNinja"] if shutil.which("ninja") else []))
            if code:
                raise Broken(said)
        code, said = shell(["cmake", "--build", str(folder), "-j2", "--target", *programs])
        return said if code else None


def limits(cpu):
    def set_limits():
        os.setsid()
        os.nice(5)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu), int(cpu) + 5))
    return set_limits


def cpu_time(pid):
    """Of all threads, in ticks."""
    try:
        fields = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def run_until_failure(command, environment, cpu):
    """(code, the output up to the first test that failed, whether it was ended by a limit)"""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", preexec_fn=limits(cpu), cwd="/tmp")
    late = threading.Event()

    def end():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def watch():
        used, idle = -1.0, 0
        while process.poll() is None:
            time.sleep(2)
            now = cpu_time(process.pid)
            idle = idle + 2 if now == used else 0
            used = now
            if idle >= IDLE_SECONDS:
                late.set()
                return end()
    threading.Thread(target=watch, daemon=True).start()
    output, failed = [], False
    for line in process.stdout:
        output.append(line)
        if line.startswith("[  FAILED  ]") and not failed:
            failed = True
            end()
    process.wait()
    return 1 if failed else process.returncode, output, late.is_set() or process.returncode == -signal.SIGXCPU


def first_words(output):
    """The test that failed and what it said, in one line each."""
    test, said = "", ""
    for line in output:
        if line.startswith("[ RUN      ]"):
            test, said = line.split("]", 1)[1].strip(), ""
        elif line.startswith("[  FAILED  ]"):
            break
        elif not line.startswith("[") or line.startswith("[  ERROR   ]"):
            said = said or line.replace("[  ERROR   ] ---", "").strip()
    return test, said[:160]


class Run:
    def __init__(self, work, jobs, first, more):
        self.first, self.more = first, more
        self.work = pathlib.Path(work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.lock_file = open(self.work / "lock", "w")
        try:
            fcntl.flock(self.lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Broken("another run works in %s" % self.work)
        self.results_file = self.work / "results.jsonl"
        self.lock = threading.Lock()
        self.results, self.passed = {}, {}
        if self.results_file.exists():
            for line in self.results_file.read_text().splitlines():
                r = json.loads(line)
                (self.passed if "command" in r else self.results)[r.get("command") or r["name"]] = r
        self.workers = queue.Queue()
        for i in range(jobs):
            self.workers.put(Worker(self.work / str(i), self))

    def keep(self, result):
        with self.lock:
            with open(self.results_file, "a") as f:
                f.write(json.dumps(result) + "\n")

    def try_command(self, worker, command, kernels, limit):
        """None if it passes, else (test, what it said)."""
        tool, program, rest = parts_of(command)
        said = worker.build([program], tool == "asan")
        if said is not None:
            return "(build)", next((line for line in said.splitlines() if "error:" in line), said[-200:])
        path = worker.folder / ("asan" if tool == "asan" else "build") / "tests" / program
        environment = environment_of(POCL_CACHE_DIR=str(worker.pocl), OCLIN_CL_DIR=kernels or "")
        full = [str(path), *rest]
        log = worker.folder / "oclgrind.log"
        if tool.startswith("oclgrind"):
            log.write_text("")
            full = ["oclgrind", "--data-races", *(["--uninitialized"] if tool == "oclgrind" else []), "--check-api", "--log",
                    str(log), "--build-options", "-cl-opt-disable -DOCLIN_USE_SHUFFLE2", *full]
            environment["OCLIN_DEVICE"] = ""
        if tool == "asan":
            environment["LSAN_OPTIONS"] = "suppressions=%s:print_suppressions=0" % (TREE / "tests/lsan.supp")
            icds = [p for p in pathlib.Path("/etc/OpenCL/vendors").glob("*.icd") if "libpocl" in p.read_text()]
            if icds:
                environment["OCL_ICD_VENDORS"] = str(icds[0])
        code, output, late = run_until_failure(full, environment, limit)
        test, said = first_words(output)
        if tool.startswith("oclgrind") and log.read_text().strip():
            return "(Oclgrind) " + test, next(line.strip() for line in log.read_text().splitlines() if line.strip())
        if code == 0:
            return None
        if late:
            return test, "does not end: stopped"
        return test, said or "ends with code %d: %s" % (code, output[-1].strip() if output else "")

    def check_unbroken(self, worker, command):
        if command in self.passed:
            return self.passed[command]["cpu"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        failed = self.try_command(worker, command, None, 900)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if failed:
            raise Broken("%s fails on the unchanged tree: %s: %s" % ((command,) + failed))
        result = {"command": command, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
        self.passed[command] = result
        self.keep(result)
        return result["cpu"]

    def test(self, worker, mutant):
        """killed, survived or no build; the command, the test and what it said."""
        worker.copy_tree()
        commands = self.more + mutant.commands[:self.first]
        cpu = {command: self.check_unbroken(worker, command) for command in commands[:1]}
        kernels = None
        if mutant.of_kernel:
            kernels = worker.folder / "cl"
            shutil.rmtree(kernels, ignore_errors=True)
            kernels.mkdir()
            for path, text in mutant.texts.items():
                (kernels / os.path.basename(path)).write_text(text)
        for command in commands:
            if command not in cpu:
                worker.copy_tree()
                cpu[command] = self.check_unbroken(worker, command)
            if not mutant.of_kernel:
                for path, text in mutant.texts.items():
                    worker.write(path, text.encode())
            failed = self.try_command(worker, command, str(kernels) if kernels else None, CPU_SECONDS + 10 * cpu[command])
            if failed:
                test, said = failed
                if test == "(build)" and not any(os.path.basename(path) in said for path in mutant.texts):
                    raise Broken("the build fails elsewhere: %s" % said)
                no_build = test == "(build)" or (mutant.of_kernel and "OCLIN_E_BUILD" in said)
                return "no build" if no_build else "killed", command, test, said
        return "survived", "", "", ""

    def one(self, mutant):
        worker = self.workers.get()
        started, cached = time.monotonic(), worker.kernels_cached()
        try:
            outcome, command, test, said = self.test(worker, mutant)
        finally:
            worker.copy_tree()
            if mutant.of_kernel:  # broken kernels are of no use to anybody
                for path in worker.kernels_cached() - cached:
                    shutil.rmtree(path, ignore_errors=True)
            self.workers.put(worker)
        result = {"name": mutant.name, "what": mutant.what, "outcome": outcome, "by": command, "test": test, "said": said,
                  "seconds": round(time.monotonic() - started, 1)}
        self.results[mutant.name] = result
        self.keep(result)
        print("%-9s %-28s %5.1f s  %s\n          %s %s: %s" % (
            outcome, mutant.name, result["seconds"], mutant.what[:150], command, test, said[:150]), flush=True)
        return result

    def all(self, mutants, wanted=None):
        """Tests those that have no result yet; wanted: until so many have compiled."""
        mutants = iter(mutants)
        lock, done, broken = threading.Lock(), [], []

        def counted():
            return sum(r["outcome"] != "no build" for r in done)

        def work():
            while not broken:
                with lock:
                    if wanted is not None and counted() >= wanted:
                        return
                    mutant = next(mutants, None)
                    if mutant is None:
                        return
                try:
                    result = self.results.get(mutant.name) or self.one(mutant)
                except Exception as e:
                    broken.append(e)
                    return
                with lock:
                    done.append(result)
        threads = [threading.Thread(target=work) for _ in range(self.workers.qsize())]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if broken:
            raise broken[0]
        return done


# ---------------------------------------------------------------------------------------------------- report

def argued():
    """The mechanical mutants of which survivors.md says why nothing can notice them."""
    return set(re.findall(r"^- `([\w.]+-[0-9a-f]{8})`", SURVIVORS.read_text(), re.M)) if SURVIVORS.exists() else set()


def summary(results):
    counted = [r for r in results if r["outcome"] != "no build"]
    killed = [r for r in counted if r["outcome"] == "killed"]
    known = argued()
    left = [r for r in counted if r["outcome"] == "survived"]
    unexplained = [r for r in left if r["name"] not in known]
    text = "%d mutants, %d killed (%.1f %%), %d survived, of which %d are argued" % (
        len(counted), len(killed), 100.0 * len(killed) / max(1, len(counted)), len(left), len(left) - len(unexplained))
    not_built = len(results) - len(counted)
    return text + (", %d did not build and are not counted" % not_built if not_built else ""), unexplained


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ").strip()


def table(results):
    yield "| mutant | what | killed by | test | it said |"
    yield "|---|---|---|---|---|"
    for r in results:
        by = r["by"] if r["outcome"] == "killed" else "**%s**" % r["outcome"]
        yield "| %s | %s | %s | %s | %s |" % (r["name"], cell(r["what"]), cell(by), cell(r["test"]), cell(r["said"][:100]))


def report(path, title, results):
    text = ["# %s" % title, "", "Written by run.py: not to be edited.", "", summary(results)[0] + ".", ""]
    text += table([r for r in results if r["outcome"] != "no build"])
    pathlib.Path(path).write_text("\n".join(text) + "\n")


# ------------------------------------------------------------------------------------------------------ main

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--chosen", action="store_true")
    p.add_argument("--ci", action="store_true")
    p.add_argument("--check", metavar="BUILD", help="a folder where the tests are built")
    p.add_argument("--sample", type=int, metavar="N")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", action="append", metavar="PATTERN")
    p.add_argument("--again", choices=("survived", "all"), help="forgets those results first, but for survivors that are argued")
    p.add_argument("--first", type=int, metavar="N")
    p.add_argument("--with", dest="more", action="append", default=[], metavar="COMMAND")
    p.add_argument("--report", metavar="FILE")
    p.add_argument("--work", default=str(TREE / "build" / "mutants"))
    p.add_argument("-j", "--jobs", type=int, default=1)
    o = p.parse_args()
    if o.check:
        return check(o.check)
    run = Run(o.work, o.jobs, o.first, o.more)
    if o.again:
        kept = argued() if o.again == "survived" else ()
        run.results = {n: r for n, r in run.results.items()
                       if o.again == "survived" and (r["outcome"] != "survived" or n in kept)}
    if o.only:
        everything = chosen_mutants() + sampled_mutants(o.seed)
        some = [m for m in everything if any(fnmatch.fnmatch(m.name, pattern) for pattern in o.only)]
        for m in some:
            run.results.pop(m.name, None)
        results, title = run.all(some), "Some mutants"
    elif o.sample:
        results = run.all(sampled_mutants(o.seed), o.sample)
        title = "Mechanical mutants: %d with seed %d" % (o.sample, o.seed)
    elif o.ci or o.chosen:
        ids = {m["name"] for m in MUTANTS if m.get("ci") or not o.ci}
        results, title = run.all(m for m in chosen_mutants() if m.name in ids), "Chosen mutants"
    else:
        p.error("--chosen, --ci, --sample or --only is needed")
    said, unexplained = summary(results)
    if o.report:
        report(o.report, title, results)
    for r in unexplained:
        print("survived: %s  %s" % (r["name"], r["what"]))
    print(said)
    return 1 if unexplained or not results else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as e:
        print("run.py: %s" % e, file=sys.stderr)
        sys.exit(2)
