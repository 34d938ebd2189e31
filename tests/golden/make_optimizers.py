#!/usr/bin/env python3
"""Writes optimizers.h: what the optimizers of PyTorch, lion-pytorch and schedulefree make of a parameter.

    python3 tests/golden/make_optimizers.py > tests/golden/optimizers.h

Every step is taken in float64, but from float32 values: before it, the parameter and its state are rounded.
So a test can set both, take one step and compare, without the errors of the steps before. main() asserts that
each step is that of the rule's equations, which are written here a second time. They are those of PyTorch 2:
the mean of Adam's gradients that is Inf becomes NaN in the next step; in PyTorch 1 it stayed Inf.
"""
import itertools
import math
from importlib import metadata

import torch
from lion_pytorch import Lion
from schedulefree import AdamWScheduleFree

from make_golden import array, c_number, rounded, row

STEPS, ELEMENTS = 20, 6
RULES = {  # in the order of their numbers; the names of the states
    "sgd": ["momentum_buffer"],
    "adam": ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
    "adamw": ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
    "lion": ["exp_avg"],
    "schedule-free": ["z", "exp_avg_sq"],
}
NEUTRAL = {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "beta1": 0.0, "beta2": 0.0, "eps": 0.0,
           "weight_decay": 0.0, "amsgrad": False, "maximize": False}
DEFAULTS = {  # those of the packages, except lr
    "sgd": {"lr": 0.1},
    "adam": {"lr": 0.02, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "adamw": {"lr": 0.02, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    "lion": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99},
    "schedule-free": {"lr": 0.02, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
}
# "lr 0": steps (from 1) with a learning rate of 0. "g": the last element's gradient at all steps, or SPECIAL.
SPECIAL = "special"
CASES = [
    ("sgd plain", "sgd", {}),
    ("sgd weight_decay", "sgd", {"weight_decay": 0.1}),
    ("sgd momentum", "sgd", {"momentum": 0.9}),
    ("sgd momentum, dampening", "sgd", {"momentum": 0.9, "dampening": 0.5}),
    ("sgd momentum, nesterov", "sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd momentum, nesterov, weight_decay, maximize", "sgd",
     {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("sgd momentum 1.5", "sgd", {"momentum": 1.5}),
    ("adam default", "adam", {}),
    ("adam weight_decay", "adam", {"weight_decay": 0.01}),
    ("adam amsgrad", "adam", {"amsgrad": True}),
    ("adam maximize", "adam", {"maximize": True}),
    ("adamw default", "adamw", {}),
    ("adamw amsgrad", "adamw", {"amsgrad": True}),
    ("adamw weight_decay, maximize", "adamw", {"weight_decay": 0.1, "maximize": True}),
    ("adamw beta1 0", "adamw", {"beta1": 0.0}),
    ("adamw eps 0", "adamw", {"eps": 0.0}),
    ("adamw lr 0", "adamw", {"lr 0": (1, 2, 7, 8, 15)}),
    ("lion default", "lion", {}),
    ("lion weight_decay", "lion", {"weight_decay": 0.1}),
    ("schedule-free default", "schedule-free", {}),
    ("schedule-free weight_decay", "schedule-free", {"weight_decay": 0.1}),
    ("schedule-free beta1 0.95", "schedule-free", {"beta1": 0.95}),
    ("schedule-free lr 0", "schedule-free", {"lr 0": (1, 2, 7, 8, 15)}),
    ("sgd momentum, special gradients", "sgd", {"momentum": 0.9, "g": SPECIAL}),
    ("adamw special gradients", "adamw", {"g": SPECIAL}),
    ("adamw amsgrad, special gradients", "adamw", {"amsgrad": True, "g": SPECIAL}),
    ("adamw beta1 0, special gradients", "adamw", {"beta1": 0.0, "g": SPECIAL}),
    ("adamw eps 0, a zero gradient", "adamw", {"eps": 0.0, "g": 0}),
    ("lion special gradients", "lion", {"weight_decay": 0.1, "g": SPECIAL}),
    ("schedule-free special gradients", "schedule-free", {"weight_decay": 0.1, "g": SPECIAL}),
]

HEAD = """/*
 * Made by make_optimizers.py with PyTorch %s, lion-pytorch %s and schedulefree %s. Do not edit.
 *
 * Steps of torch.optim.SGD, Adam and AdamW, of lion-pytorch's Lion and of schedulefree's AdamWScheduleFree in
 * train mode, whose w is its y. They are taken in float64 from float32 values: a step starts from what the
 * last one left, rounded to float32. The first one starts from w0 and states of 0, but SGD from no state, and
 * schedule-free from z = w0. Learning rates and gradients are float32 values; the other options are not.
 *
 * Special gradients are those of the elements, in this order: NaN at the third step; Inf at the third step; 0
 * at all steps; 1e-30; 1e30; none. The square of 1e30 is no float32. So the first step of this element, with
 * Adam and schedule-free, is not the one of float32, where v is Inf and w changes by its decay alone. All
 * others start from that Inf.
 */
/* clang-format off */
#ifndef OCLIN_TESTS_OPTIMIZERS_H
#define OCLIN_TESTS_OPTIMIZERS_H

#include <math.h>
#include <stddef.h>

enum { OPTIMIZER_STEPS = %d, OPTIMIZER_ELEMENTS = %d };

struct optimizer_golden {
    const char *name;
    int rule; /* 0 SGD, 1 Adam, 2 AdamW, 3 Lion, 4 schedule-free AdamW */
    double momentum, dampening;
    int nesterov;
    double beta1, beta2, eps, weight_decay;
    int amsgrad, maximize;
    int states;
    const double *lr;        /* [steps] */
    const float *w0, *g;     /* [elements], [steps][elements] */
    const double *w, *state; /* [steps][elements], [steps][states][elements], of SGD: momentum_buffer; Adam:
                              * exp_avg, exp_avg_sq, max_exp_avg_sq; Lion: exp_avg; schedule-free: z,
                              * exp_avg_sq */
    const double *largest_lr, *weight_sum; /* [steps]; schedule-free, else NULL */
    const double *eval; /* [elements]: what eval() makes of the last w and z, rounded; else NULL */
};
"""


def make_optimizer(rule, w, o):
    """The package's own. Its lr is set at each step."""
    betas, decay = (o["beta1"], o["beta2"]), o["weight_decay"]
    if rule == "sgd":
        return torch.optim.SGD([w], lr=1, momentum=o["momentum"], dampening=o["dampening"],
                               nesterov=o["nesterov"], weight_decay=decay, maximize=o["maximize"],
                               foreach=False, fused=False)
    if rule == "lion":
        return Lion([w], lr=1, betas=betas, weight_decay=decay)
    if rule == "schedule-free":
        optimizer = AdamWScheduleFree([w], lr=1, betas=betas, eps=o["eps"], weight_decay=decay, foreach=False)
        optimizer.train()
        return optimizer
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[rule]
    return make([w], lr=1, betas=betas, eps=o["eps"], weight_decay=decay, amsgrad=o["amsgrad"],
                maximize=o["maximize"], foreach=False, fused=False)


# The rules once more: w and the states after a step, from those before it, the gradient, and the learning
# rates of all steps so far.

def lerp(start, end, weight):
    """start + weight (end - start), from the nearer end."""
    return start + weight * (end - start) if abs(weight) < 0.5 else end - (1 - weight) * (end - start)


def sgd(o, w, g, states, rates):
    g = (-g if o["maximize"] else g) + (o["weight_decay"] * w if o["weight_decay"] else 0)
    if not o["momentum"]:
        return w - rates[-1] * g, []
    b = g if len(rates) == 1 else o["momentum"] * states[0] + (1 - o["dampening"]) * g
    g = g + o["momentum"] * b if o["nesterov"] else b
    return w - rates[-1] * g, [b]


def adam(o, w, g, states, rates, decoupled=False):
    t, lr = len(rates), rates[-1]
    g = -g if o["maximize"] else g
    if decoupled:
        w = (1 - lr * o["weight_decay"]) * w
    elif o["weight_decay"]:
        g = g + o["weight_decay"] * w
    m = lerp(states[0], g, 1 - o["beta1"])
    v = o["beta2"] * states[1] + (1 - o["beta2"]) * g * g
    new = [m, v]
    if o["amsgrad"]:
        v = torch.where((states[2] > v) | states[2].isnan(), states[2], v)
        new.append(v)
    rate, root = lr / (1 - o["beta1"]**t), math.sqrt(1 - o["beta2"]**t)
    return w - rate * (m / (v.sqrt() / root + o["eps"])), new


def adamw(o, w, g, states, rates):
    return adam(o, w, g, states, rates, decoupled=True)


def lion(o, w, g, states, rates):
    c = o["beta1"] * states[0] + (1 - o["beta1"]) * g
    sign = (c > 0).double() - (c < 0).double()  # 0 of NaN
    w = (1 - rates[-1] * o["weight_decay"]) * w - rates[-1] * sign
    return w, [o["beta2"] * states[0] + (1 - o["beta2"]) * g]


def schedule_free_sums(rates):
    """The largest lr so far, and the sum of the weights."""
    largest = list(itertools.accumulate(rates, max))
    return largest[-1], list(itertools.accumulate(lr * lr for lr in largest))[-1]


def schedule_free(o, y, g, states, rates):
    z, v = states
    largest, weights = schedule_free_sums(rates)
    c = largest * largest / weights if weights else 0  # none before the first lr above 0
    v = o["beta2"] * v + (1 - o["beta2"]) * g * g
    d = g / ((v / (1 - o["beta2"]**len(rates))).sqrt() + o["eps"])
    if o["weight_decay"]:
        d = d + o["weight_decay"] * y
    y = lerp(y, z, c) + rates[-1] * (o["beta1"] * (1 - c) - 1) * d
    return y, [z - rates[-1] * d, v]


EQUATIONS = {"sgd": sgd, "adam": adam, "adamw": adamw, "lion": lion, "schedule-free": schedule_free}


def assert_close(actual, expected, before):
    """To 1e-14 of the larger one of the values before and after the step; Inf and NaN in the same places."""
    scale = torch.stack([before, expected]).abs().nan_to_num(0, 0, 0).amax(0)
    same = (actual == expected) | (actual.isnan() & expected.isnan())
    assert (same | ((actual - expected).abs() <= 1e-14 * scale)).all(), (actual, expected)


def round_(tensor):
    tensor.copy_(tensor.float().double())


def learning_rates(peak, without):
    """Up for four steps, down over all; 0 at some."""
    rates = [rounded(peak * min(1, t / 4) * (1 - t / 25)) for t in range(1, STEPS + 1)]
    return [0.0 if t in without else lr for t, lr in enumerate(rates, 1)]


def gradients(generator, special):
    """Of mixed sign, from 1e-4 to 10 in magnitude."""
    decades = torch.tensor([1e-4, -1e-4, 1e-3, -1e-3, 1e-2, -1e-2, 0.1, -0.1, 1, -1])
    g = decades[torch.randint(0, len(decades), (STEPS, ELEMENTS), generator=generator)]
    g *= 1 + 9 * torch.rand(STEPS, ELEMENTS, generator=generator)
    if special == SPECIAL:
        g[2, 0], g[2, 1] = math.nan, math.inf
        g[:, 2:5] = torch.tensor([0, 1e-30, 1e30])
    elif special is not None:
        g[:, -1] = special
    return g.double()


@torch.no_grad()
def make_case(generator, name, rule, given):
    """Takes the steps and prints the results; returns a row of the table."""
    o = {**NEUTRAL, **DEFAULTS[rule], **given}
    rates = learning_rates(o["lr"], o.get("lr 0", ()))
    w = torch.nn.Parameter((2 * torch.rand(ELEMENTS, generator=generator) - 1).double())
    g = gradients(generator, o.get("g"))
    w0 = w.clone()
    results = {"w0": w0, "g": g, "w": [], "state": [], "largest_lr": [], "weight_sum": []}
    optimizer = make_optimizer(rule, w, o)
    group, state = optimizer.param_groups[0], optimizer.state[w]
    states = [w0 if key == "z" else torch.zeros_like(w) for key in RULES[rule]]
    for t in range(1, STEPS + 1):
        round_(w)
        for value in states if t > 1 else []:
            round_(value)
        group["lr"], w.grad = rates[t - 1], g[t - 1].clone()  # schedulefree changes the gradient
        before = [value.clone() for value in (w, *states)]
        expected = EQUATIONS[rule](o, before[0], g[t - 1], before[1:], rates[:t])
        optimizer.step()
        states = [state[key] for key in RULES[rule] if state.get(key) is not None]

        assert len(states) == len(expected[1])
        for checked in zip((w, *states), (expected[0], *expected[1]), before):
            assert_close(*checked)
        results["w"].append(w.clone())
        results["state"] += [value.clone() for value in states]
        if rule == "schedule-free":
            largest, weights = schedule_free_sums(rates[:t])
            assert group["lr_max"] == largest and math.isclose(group["weight_sum"], weights, rel_tol=1e-14)
            for key, value in {"largest_lr": group["lr_max"], "weight_sum": group["weight_sum"]}.items():
                results[key].append(torch.tensor(value, dtype=torch.float64))
    if rule == "schedule-free":
        round_(w)
        round_(state["z"])
        y = w.clone()
        optimizer.eval()
        assert_close(w, y + (1 - 1 / o["beta1"]) * (state["z"] - y), y)
        results["eval"] = w.clone()
    return print_case(name, rule, o, rates, results)


def print_case(name, rule, o, rates, results):
    """Prints the arrays; returns a row of the table."""
    symbol = name.replace(",", "").replace(".", "_").replace("-", "_").replace(" ", "_")
    fields = []
    for key, value in {"lr": torch.tensor(rates, dtype=torch.float64), **results}.items():
        if isinstance(value, list):
            value = torch.stack(value) if value else None
        fields.append("NULL" if value is None else f"{symbol}_{key}")
        if value is not None:
            array("float" if key in ("w0", "g") else "double", fields[-1], value)
    if "eval" not in results:
        fields.append("NULL")
    options = [int(o[key]) if isinstance(value, bool) else c_number("double", o[key])
               for key, value in NEUTRAL.items()]
    states = len(results["state"]) // STEPS
    return row(name, list(RULES).index(rule), *options, states, *fields)


def main():
    generator = torch.Generator().manual_seed(44)
    print(HEAD % (torch.__version__.split("+")[0], metadata.version("lion-pytorch"),
                  metadata.version("schedulefree"), STEPS, ELEMENTS))
    rows = [make_case(generator, *case) for case in CASES]
    print("\nstatic const struct optimizer_golden optimizer_goldens[] = {", *rows, "};", sep="\n")
    print("\n#endif")


if __name__ == "__main__":
    main()
