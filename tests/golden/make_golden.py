#!/usr/bin/python3
"""Writes golden.h: what PyTorch makes of small layers and losses, in float64.

    python3 tests/golden/make_golden.py > tests/golden/golden.h

Every input is a float32. x, w and b have so few bits that z = x w^T + b is one too. The derivatives of the
activations are taken, as oclin takes them, from y rounded to float32 (z for GELU), by PyTorch's own backward
functions; main() asserts that autograd, which keeps y in float64, agrees but for that rounding.
"""
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


def c_number(c_type, value):
    """With the digits that give back every bit."""
    if c_type == "int32_t":
        return str(value)
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
    print("\n#endif")


if __name__ == "__main__":
    main()
