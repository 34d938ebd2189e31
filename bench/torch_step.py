#!/usr/bin/python3
"""Times PyTorch's training step of nn.Linear: forward, backward with the input's gradient, the update. CSV on stdout.

The update is SGD, or AdamW (--optimizer adamw), fused where this PyTorch can do that on the device.

The same rules as oclin_bench (bench/README.md): checked first, a pause of 100 ms and a warm-up before each timing, a
timing of 20 ms at least, medians; X and dY go round over --rotate-mb. As many threads as cores. PyTorch may clear
gradients by zeros or by dropping them (set_to_none); the faster of the two for the shape is reported.

On a GPU (--device cuda) a step may be recorded as a CUDA graph, one for each X and dY, and be replayed; and products may
round their operands to TF32: --modes.
"""
import argparse
import itertools
import os
import statistics
import sys
import time

import torch

REGIMES = ("tiny", "skinny", "square", "deep", "ragged")
MAX_SETS = 8
SHORTEST, WANTED, WARM_UP = 0.020, 0.025, 0.010  # seconds
U = 2.0**-24
TF32 = 2.0**-10  # rounding of an operand, cut off
MODES = ("eager", "graph", "eager_tf32", "graph_tf32")


def regime_of(batch, n_in, n_out):
    """As in shapes.c."""
    if batch * n_in * n_out < 1e6:
        return "tiny"
    if batch <= 16:
        return "skinny"
    if batch >= 4096 and n_out <= 64:
        return "deep"
    return "ragged" if batch % 4 or n_in % 4 or n_out % 4 else "square"


def read_shapes(path):
    """[(regime, batch, in, out)]"""
    shapes = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            fields = line.split("#")[0].strip().split(",")
            if fields == [""]:
                continue
            regime = fields.pop(0) if fields[0] in REGIMES else None
            batch, n_in, n_out = map(int, fields)
            shapes.append((regime or regime_of(batch, n_in, n_out), batch, n_in, n_out))
    return shapes


def make_optimizer(name, parameters, lr, captured):
    parameters = list(parameters)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr)
    for options in ({"fused": True}, {}):
        try:
            return torch.optim.AdamW(parameters, lr=lr, capturable=captured, **options)
        except (RuntimeError, TypeError):  # an older PyTorch cannot fuse on the CPU
            continue
    raise RuntimeError("this PyTorch has no AdamW")


class Step:
    """One layer, its optimizer, and the sets of X and dY that calls take in turn."""

    def __init__(self, batch, n_in, n_out, rotate_bytes, device, mode, optimizer="sgd"):
        set_bytes = 4 * 2 * batch * (n_in + n_out)
        sets = min(max(-(-rotate_bytes // set_bytes), 1), MAX_SETS)
        self.cuda, self.mode, self.graphs, self.optimizer = device == "cuda", mode, [], optimizer
        torch.set_float32_matmul_precision("high" if mode.endswith("tf32") else "highest")
        self.layer = torch.nn.Linear(n_in, n_out, device=device)
        with torch.no_grad():
            self.layer.weight.uniform_(-0.5, 0.5)
            self.layer.bias.uniform_(-0.5, 0.5)
        self.x = [(torch.rand(batch, n_in, device=device) - 0.5).requires_grad_() for _ in range(sets)]
        self.dy = [torch.rand(batch, n_out, device=device) - 0.5 for _ in range(sets)]
        self.set_to_none = True
        self.set_lr(1e-7)

    def set_lr(self, lr):
        self.update = make_optimizer(self.optimizer, self.layer.parameters(), lr, self.mode.startswith("graph"))
        self.graphs = [self.record(i) for i in range(len(self.x))] if self.mode.startswith("graph") else []

    def record(self, i):
        """(the graph of step i, where its Y and dX will be)"""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                self.eager(i)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        self.update.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            y, dx = self.eager(i)
        return graph, y, dx

    def run(self, i):
        if not self.graphs:
            return self.eager(i)
        graph, y, dx = self.graphs[i % len(self.graphs)]
        graph.replay()
        return y, dx

    def eager(self, i):
        x, dy = self.x[i % len(self.x)], self.dy[i % len(self.x)]
        x.grad = None
        self.update.zero_grad(set_to_none=self.set_to_none)
        y = self.layer(x)
        y.backward(dy)
        self.update.step()
        return y, x.grad

    def check(self):
        """Y, dX and the new W against double precision, within the bound of oclin.h for a sum of k products."""
        lr = 0.125
        rounding = 2 * TF32 if self.mode.endswith("tf32") else 0
        self.set_lr(lr)
        x, dy = self.x[0].detach().double(), self.dy[0].double()
        w, b = self.layer.weight.detach().double(), self.layer.bias.detach().double()
        y, dx = (t.detach().clone() for t in self.run(0))
        new_w = self.layer.weight.detach().clone()
        self.set_lr(1e-7)
        if self.optimizer == "adamw":  # m and v are new: (1 - beta) g and (1 - beta) g^2, corrected g and g^2
            dw = dy.t() @ x
            certain = dw.abs() > 1e-3 * (dy.t().abs() @ x.abs())
            want_w = w * (1 - lr * 0.01) - lr * dw / (dw.abs() + 1e-8)
            return bool(((new_w.double() - want_w).abs()[certain] < 1e-2 * lr).all())

        def wrong(got, want, magnitude, k):
            bound = (min(k + 1, 8 + 2 * k**0.5) * U + rounding) * magnitude + 2 * U * want.abs()
            return bool(((got.double() - want).abs() > bound).any())

        dw = dy.t() @ x
        return not (
            wrong(y, x @ w.t() + b, x.abs() @ w.t().abs() + b.abs(), x.shape[1])
            or wrong(dx, dy @ w, dy.abs() @ w.abs(), dy.shape[1])
            or wrong(new_w, w - lr * dw, lr * (dy.t().abs() @ x.abs()) + w.abs(), x.shape[0])
        )

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def timed(self, calls):
        start = time.perf_counter()
        for i in range(calls):
            self.run(i)
        self.wait()
        return time.perf_counter() - start

    def time_once(self, calls):
        """(ms a call, calls that fill a timing)"""
        time.sleep(0.1)
        start, i = time.perf_counter(), 0
        while time.perf_counter() - start < WARM_UP:
            self.run(i)
            self.wait()
            i += 1
        seconds = self.timed(calls)
        while seconds < SHORTEST:
            calls = min(16 * calls, int(WANTED / seconds * calls) + 1)
            seconds = self.timed(calls)
        return 1e3 * seconds / calls, calls


def measure(step, runs):
    """The median in ms, and which way of clearing gradients it is of."""
    results = []
    for step.set_to_none in (True,) if step.graphs else (True, False):
        calls, times = 1, []
        step.run(0)
        for _ in range(runs):
            ms, calls = step.time_once(calls)
            times.append(ms)
        results.append((statistics.median(times), "none" if step.set_to_none else "zeros"))
    return min(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", required=True, help="lines batch,in,out or regime,batch,in,out")
    parser.add_argument("--runs", type=int, default=7, help="timings of which the median is taken")
    parser.add_argument("--csv", help="write there, not to stdout")
    parser.add_argument("--rotate-mb", type=int, default=128, help="X, dY, Y and dX go round over so many MB")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--optimizer", choices=("sgd", "adamw"), default="sgd")
    parser.add_argument("--modes", default="eager", help=f"some of {','.join(MODES)}; graphs need --device cuda")
    o = parser.parse_args()
    modes = o.modes.split(",")
    if not set(modes) <= set(MODES) or (o.device == "cpu" and any(m.startswith("graph") for m in modes)):
        parser.error(f"--modes {o.modes} with --device {o.device}")
    if o.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"torch_step.py: PyTorch {torch.__version__} has no GPU")
    torch.set_num_threads(os.cpu_count())
    where = f"{torch.get_num_threads()} threads" if o.device == "cpu" else torch.cuda.get_device_name()
    torch.manual_seed(1)
    wrong = False
    with open(o.csv, "w", encoding="utf-8") if o.csv else sys.stdout as out:
        print(f"# PyTorch {torch.__version__}, {where}", file=out)
        print("op,regime,batch,in,out,torch_ms,checked,zero_grad,mode", file=out)
        for (regime, batch, n_in, n_out), mode in itertools.product(read_shapes(o.shapes), modes):
            step = Step(batch, n_in, n_out, o.rotate_mb << 20, o.device, mode, o.optimizer)
            right = step.check()
            wrong |= not right
            ms, how = measure(step, o.runs) if right else (float("nan"), "")
            cells = f"{batch},{n_in},{n_out},{ms:.6g},{'yes' if right else 'no'},{how},{mode}"
            print(f"step,{regime},{cells}", file=out, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
