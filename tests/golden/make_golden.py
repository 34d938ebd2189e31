#!/usr/bin/python3
"""Writes golden.h: what PyTorch makes of small layers, losses, softmax and argmax, in float64.

    python3 tests/golden/make_golden.py > tests/golden/golden.h

Every input is a float32. x, w and b have so few bits that z = x w^T + b is one too. The derivatives of the
activations are taken, as oclin takes them, from y rounded to float32 (z for GELU), by PyTorch's own backward
functions; main() asserts that autograd, which keeps y in float64, agrees but for that rounding.
"""
import math
import textwrap

import torch
from torch.nn import functional as F

SHAPES = [(1, 1, 1), (3, 5, 4), (7, 11, 6)]  # batch, in, out
ACTIVATIONS = ["none", "relu", "sigmoid", "tanh", "gelu", "silu", "gelu_tanh", "leaky_relu", "softplus",
               "elu"]
KEEPS_Z = ["gelu", "silu", "gelu_tanh", "elu"]
LR = torch.tensor(0.01, dtype=torch.float32).double().item()
ALPHA = LR  # of leaky ReLU, the same number

FORWARD = {
    "none": lambda z: z,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": F.gelu,  # its default is the erf form
    "silu": F.silu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "leaky_relu": lambda z: F.leaky_relu(z, ALPHA),
    "softplus": F.softplus,
    "elu": F.elu,
}
BACKWARD = {  # dz from dy and s
    "none": lambda dy, s: dy,
    "relu": lambda dy, s: torch.ops.aten.threshold_backward(dy, s, 0),
    "sigmoid": torch.ops.aten.sigmoid_backward,
    "tanh": torch.ops.aten.tanh_backward,
    "gelu": lambda dy, s: torch.ops.aten.gelu_backward(dy, s, approximate="none"),
    "silu": torch.ops.aten.silu_backward,
    "gelu_tanh": lambda dy, s: torch.ops.aten.gelu_backward(dy, s, approximate="tanh"),
    "leaky_relu": lambda dy, s: torch.ops.aten.leaky_relu_backward(dy, s, ALPHA, True),
    "softplus": lambda dy, s: dy * -torch.expm1(-s),  # PyTorch's own takes z
    "elu": lambda dy, s: torch.ops.aten.elu_backward(dy, 1, 1, 1, False, s),
}

HEAD = """/*
 * Made by make_golden.py with PyTorch %s. Do not edit.
 *
 * float64 results of nn.Linear, the activations, the losses and one step of SGD. dz comes from y rounded to
 * float32 (GELU: from z, which is exact in float32), as oclin stores it.
 */
/* clang-format off */
#ifndef OCLIN_TESTS_GOLDEN_H
#define OCLIN_TESTS_GOLDEN_H

#include <math.h>
#include <stdint.h>

#include "oclin.h"

/* Y = act(X W^T + b); gradients summed over the batch; w_step = w - golden_lr dw. */
struct golden_case {
    const char *name;
    int batch, in, out;
    oclin_activation activation;
    const float *x, *w, *b, *dy;
    const double *z; /* exact in float32 */
    const double *y, *dx, *dw, *db, *w_step, *b_step;
};

/* Losses of y (rows, cols) with targets t and class labels; the mean of the squared error is over all
 * elements, that of the cross-entropy over the rows. correct: rows whose largest score is at the label. */
struct golden_loss {
    const char *name;
    int rows, cols;
    const float *y, *t;
    const int32_t *labels;
    double mse_mean, mse_sum, cross_entropy_mean, cross_entropy_sum;
    const double *mse_mean_dy, *mse_sum_dy, *cross_entropy_mean_dy, *cross_entropy_sum_dy;
    int correct;
};
"""

# Behind all that is above, with random numbers of its own, so that the numbers above keep their bits.
MORE = """
/* Losses with options, by the functions of that name. row_losses are those of reduction 'none', summed over
 * the row; row_weights multiply them, and the mean divides by what it divides without. */
enum golden_kind {
    GOLDEN_MSE, GOLDEN_L1, GOLDEN_HUBER, GOLDEN_BCE, GOLDEN_CROSS_ENTROPY, GOLDEN_SOFT_CROSS_ENTROPY
};

struct golden_option_loss {
    const char *name;
    enum golden_kind kind;
    int rows, cols;
    const float *y;
    const void *target; /* float; int32_t for GOLDEN_CROSS_ENTROPY */
    const float *class_weights, *row_weights;
    float delta, label_smoothing;
    int64_t ignore_index;
    double mean, sum;
    const double *mean_dy, *sum_dy, *row_losses;
    int correct; /* of GOLDEN_CROSS_ENTROPY: rows that count, with the largest score at the label */
};

/* softmax and argmax of the rows of y. */
struct golden_rows {
    const char *name;
    int rows, cols;
    const float *y;
    const double *softmax;
    const int32_t *argmax;
};
"""


def c_number(c_type, value):
    """With the digits that give back every bit."""
    if c_type == "int32_t":
        return str(value)
    if math.isnan(value) or math.isinf(value):
        return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    digits = f"{value:.9g}" if c_type == "float" else f"{value:.17g}"
    if "." not in digits and "e" not in digits:
        digits += ".0"
    return digits + ("f" if c_type == "float" else "")


def wrapped(text):
    return textwrap.fill(text, 110, initial_indent="    ", subsequent_indent="    ", break_long_words=False,
                         break_on_hyphens=False)


def array(c_type, name, tensor):
    """One C array, flattened."""
    items = ", ".join(c_number(c_type, v) for v in tensor.flatten().tolist())
    print(f"static const {c_type} {name}[] = {{\n{wrapped(items)}\n}};")


def row(name, *fields):
    """One row of a table of structs."""
    return wrapped(f'{{"{name}", {", ".join(str(f) for f in fields)}}},')


def dyadic(generator, shape, limit, denominator):
    """Random multiples of 1 / denominator, at most limit in magnitude."""
    top = limit * denominator
    return torch.randint(-top, top + 1, shape, generator=generator).double() / denominator


def is_float32(tensor):
    return torch.equal(tensor, tensor.float().double())


def make_layer(name, activation, x, w, b, dy):
    """One forward, backward and step; prints the results."""
    layer = torch.nn.Linear(w.shape[1], w.shape[0]).double()
    with torch.no_grad():
        layer.weight.copy_(w)
        layer.bias.copy_(b)
    leaf = x.clone().requires_grad_()
    z = layer(leaf)
    y = FORWARD[activation](z)
    assert is_float32(z.detach())

    exact = torch.autograd.grad(y, z, dy, retain_graph=True)[0]
    s = z.detach() if activation in KEEPS_Z else y.detach().float().double()
    dz = BACKWARD[activation](dy, s)
    assert torch.allclose(dz, exact, rtol=0, atol=2**-22)

    z.backward(dz)
    dw, db = layer.weight.grad.clone(), layer.bias.grad.clone()
    torch.optim.SGD(layer.parameters(), lr=LR).step()
    results = {"y": y, "dx": leaf.grad, "dw": dw, "db": db, "w_step": layer.weight, "b_step": layer.bias}
    for key, value in results.items():
        array("double", f"{name}_{activation}_{key}", value.detach())
    return [f"{name}_{activation}_{key}" for key in results]


def make_losses(name, y, t, labels):
    """Both losses with both reductions; prints the gradients, returns the fields of the table."""
    numbers, gradients = [], []
    for loss, function, target in (("mse", F.mse_loss, t), ("cross_entropy", F.cross_entropy, labels)):
        for reduction in ("mean", "sum"):
            leaf = y.clone().requires_grad_()
            value = function(leaf, target, reduction=reduction)
            value.backward()
            gradients.append(f"{name}_{loss}_{reduction}_dy")
            array("double", gradients[-1], leaf.grad)
            numbers.append(c_number("double", value.item()))
    return numbers + gradients


# Name, function, and options; weights (True) are those of the data. -100 is a label in no_class alone.
OPTION_LOSSES = [
    ("row weights", "mse", {"row_weights": True}),
    ("", "l1", {}),
    ("row weights", "l1", {"row_weights": True}),
    ("", "huber", {}),
    ("delta", "huber", {"delta": 0.75}),
    ("row weights", "huber", {"delta": 2.5, "row_weights": True}),
    ("", "bce", {}),
    ("pos_weight", "bce", {"class_weights": True}),
    ("row weights", "bce", {"class_weights": True, "row_weights": True}),
    ("class weights", "cross_entropy", {"class_weights": True}),
    ("smoothing", "cross_entropy", {"label_smoothing": 0.1}),
    ("ignored", "cross_entropy", {"ignore_index": 2}),
    ("ignored, no class", "cross_entropy", {"ignore_index": -100, "labels": "no_class"}),
    ("class weights, ignored", "cross_entropy", {"class_weights": True, "ignore_index": 2}),
    ("class weights, smoothing", "cross_entropy", {"class_weights": True, "label_smoothing": 0.1}),
    ("smoothing, ignored", "cross_entropy", {"label_smoothing": 0.1, "ignore_index": 2}),
    ("class weights, smoothing, ignored", "cross_entropy",
     {"class_weights": True, "label_smoothing": 0.3, "ignore_index": -100, "labels": "no_class"}),
    ("smoothing of 1", "cross_entropy", {"label_smoothing": 1}),
    ("all ignored", "cross_entropy", {"ignore_index": 1, "labels": "all_ignored"}),
    ("class weights, all ignored", "cross_entropy",
     {"class_weights": True, "ignore_index": 1, "labels": "all_ignored"}),
    ("row weights", "cross_entropy", {"row_weights": True}),
    ("class weights, ignored, row weights", "cross_entropy",
     {"class_weights": True, "ignore_index": 2, "row_weights": True}),
    ("", "soft_cross_entropy", {}),
    ("class weights", "soft_cross_entropy", {"class_weights": True}),
    ("smoothing", "soft_cross_entropy", {"label_smoothing": 0.1}),
    ("class weights, smoothing", "soft_cross_entropy", {"class_weights": True, "label_smoothing": 0.3}),
    ("row weights", "soft_cross_entropy", {"class_weights": True, "row_weights": True}),
]
FUNCTIONS = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss,
             "bce": F.binary_cross_entropy_with_logits, "cross_entropy": F.cross_entropy,
             "soft_cross_entropy": F.cross_entropy}
TARGETS = {"bce": "probabilities", "soft_cross_entropy": "probabilities", "cross_entropy": "labels"}


def rounded(number):
    """The float32 that oclin is given."""
    return torch.tensor(number, dtype=torch.float32).double().item()


def option_loss(kind, o, y, target, reduction):
    """PyTorch's own reduction; where rows have weights, 'none' with them, by PyTorch's own divisor."""
    options = {}
    if kind == "huber":
        options["delta"] = o["delta"]
    if kind == "bce":
        options["pos_weight"] = o["class_weights"]
    if "cross" in kind:
        options.update(weight=o["class_weights"], label_smoothing=o["label_smoothing"])
    if kind == "cross_entropy":
        options["ignore_index"] = o["ignore_index"]
    if reduction != "none" and o["row_weights"] is None:
        return FUNCTIONS[kind](y, target, reduction=reduction, **options)
    losses = FUNCTIONS[kind](y, target, reduction="none", **options).reshape(y.shape[0], -1).sum(1)
    if o["row_weights"] is not None:
        losses = losses * o["row_weights"]
    if reduction == "none":
        return losses
    if kind == "cross_entropy":
        weights = torch.ones(y.shape[1]).double() if o["class_weights"] is None else o["class_weights"]
        counts = weights[target[target != o["ignore_index"]]].sum()
    else:
        counts = y.shape[0] if kind == "soft_cross_entropy" else y.numel()
    return losses.sum() / (counts if reduction == "mean" else 1)


def make_option_loss(name, kind, data, given):
    """Prints its results; returns a row of the table."""
    o = {"delta": 1, "label_smoothing": 0, "ignore_index": -100, **given}
    o["label_smoothing"] = rounded(o["label_smoothing"])
    for key in ("class_weights", "row_weights"):
        o[key] = data[key] if key in given else None
    target = given.get("labels", TARGETS.get(kind, "t"))
    y, t = data["y"], data[target]
    symbol = f"{data['name']}_{kind}_{name}".replace(",", "").replace(" ", "_").rstrip("_")
    array("double", f"{symbol}_row_losses", option_loss(kind, o, y, t, "none"))
    numbers, gradients = [], []
    for reduction in ("mean", "sum"):
        leaf = y.clone().requires_grad_()
        value = option_loss(kind, o, leaf, t, reduction)
        value.backward()
        array("double", f"{symbol}_{reduction}_dy", leaf.grad)
        numbers.append(c_number("double", value.item()))
        gradients.append(f"{symbol}_{reduction}_dy")
    correct = 0
    if kind == "cross_entropy":
        correct = int(((y.argmax(1) == t) & (t != o["ignore_index"])).sum())
    weights = [f"{data['name']}_{key}" if key in given else "NULL"
               for key in ("class_weights", "row_weights")]
    ignored = given.get("ignore_index", "INT64_MIN")
    title = f"{kind} {data['name'][1:]}" + (f", {name}" if name else "")
    return row(title, f"GOLDEN_{kind.upper()}", *y.shape, f"{data['name']}_y", f"{data['name']}_{target}",
               *weights, c_number("float", o["delta"]), c_number("float", o["label_smoothing"]), ignored,
               *numbers, *gradients, f"{symbol}_row_losses", correct)


def option_data(generator, rows, cols):
    """y and t by which Huber's |d| is delta, and L1's 0, in one element each; labels with 2 among them."""
    y, t = (3 * torch.randn(rows, cols, generator=generator) for _ in "yt")
    y[0, 0], t[0, 0] = 1.5, 0.75
    y[1, 1] = t[1, 1]
    y[1, 2], t[1, 2] = -0.25, 0.75
    labels = torch.randint(0, cols, (rows,), generator=generator)
    labels[0], labels[1], labels[-1] = y[0].argmax(), 2, y[-1].argmax()
    no_class = torch.where(labels == 2, -100, labels)
    probabilities = torch.rand(rows, cols, generator=generator)
    probabilities[0, 0], probabilities[1, 1] = 0, 1
    data = {"y": y, "t": t, "probabilities": probabilities,
            "class_weights": 0.25 + 2 * torch.rand(cols, generator=generator),
            "row_weights": 2 * torch.rand(rows, generator=generator) - 0.5,
            "labels": labels, "no_class": no_class, "all_ignored": torch.ones_like(labels)}
    return {key: value.double() if value.is_floating_point() else value for key, value in data.items()}


def make_options():
    """Losses with options; softmax and argmax."""
    generator = torch.Generator().manual_seed(43)
    print(MORE)
    losses, of_rows = [], []
    for rows, cols in ((3, 5), (5, 19)):
        data = option_data(generator, rows, cols)
        name = data["name"] = f"o{rows}x{cols}"
        for key, value in data.items():
            if key != "name":
                array("float" if value.is_floating_point() else "int32_t", f"{name}_{key}", value)
        for title, kind, given in OPTION_LOSSES:
            losses.append(make_option_loss(title, kind, data, given))
    nan, inf = math.nan, math.inf
    for name, y in (
            ("random", torch.randn(4, 19, generator=generator)),
            ("one column", torch.randn(3, 1, generator=generator)),
            ("far apart", 300 * torch.randn(4, 6, generator=generator)),
            ("ties", torch.tensor([[2.0, 5, 5], [5, 5, 5], [7, 1, 7], [-0.0, 0, -1], [0, -0.0, 0]])),
            ("NaN", torch.tensor([[1, nan, 2], [nan, 1, nan], [1, 2, nan], [3, nan, inf]])),
            ("Inf", torch.tensor([[1, -inf, 2], [-inf] * 3, [inf, 1, 2], [-inf, inf, inf],
                                  [-inf, 0, -inf]]))):
        symbol = "r_" + name.replace(" ", "_")
        array("float", f"{symbol}_y", y)
        array("double", f"{symbol}_softmax", F.softmax(y.double(), 1))
        array("int32_t", f"{symbol}_argmax", y.double().argmax(1))
        of_rows.append(row(name, *y.shape, *(f"{symbol}_{key}" for key in ("y", "softmax", "argmax"))))
    print("\nstatic const struct golden_option_loss golden_option_losses[] = {", *losses, "};", sep="\n")
    print("\nstatic const struct golden_rows golden_rows[] = {", *of_rows, "};", sep="\n")


def main():
    generator = torch.Generator().manual_seed(42)
    layers, losses = [], []
    print(HEAD % torch.__version__)
    print(f"static const float golden_lr = {LR:.9g}f;\n")
    for batch, n_in, n_out in SHAPES:
        shape = f"g{batch}x{n_in}x{n_out}"
        x, w = dyadic(generator, (batch, n_in), 2, 16), dyadic(generator, (n_out, n_in), 1, 32)
        b, dy = dyadic(generator, (n_out,), 1, 512), torch.rand(batch, n_out, generator=generator)
        dy = (2 * dy - 1).double()
        y, t = (torch.randn(batch, n_out, generator=generator).double() for _ in "yt")
        labels = torch.randint(0, n_out, (batch,), generator=generator)
        labels[0] = y[0].argmax()  # at least one is right
        for key, value in {"x": x, "w": w, "b": b, "dy": dy, "y": y, "t": t}.items():
            assert is_float32(value)
            array("float", f"{shape}_{key}", value)
        array("int32_t", f"{shape}_labels", labels)
        array("double", f"{shape}_z", F.linear(x, w, b))

        inputs = [f"{shape}_{key}" for key in ("x", "w", "b", "dy", "z")]
        for activation in ACTIVATIONS:
            results = make_layer(shape, activation, x, w, b, dy)
            layers.append(row(f"{shape[1:]} {activation}", batch, n_in, n_out, f"OCLIN_{activation.upper()}",
                              *inputs, *results))
        fields = make_losses(shape, y, t, labels)
        correct = int((y.argmax(1) == labels).sum())
        losses.append(row(f"{batch}x{n_out}", batch, n_out, f"{shape}_y", f"{shape}_t", f"{shape}_labels",
                          *fields, correct))
    print("\nstatic const struct golden_case golden_cases[] = {", *layers, "};", sep="\n")
    print("\nstatic const struct golden_loss golden_losses[] = {", *losses, "};", sep="\n")
    make_options()
    print("\n#endif")


if __name__ == "__main__":
    main()
