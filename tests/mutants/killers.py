"""Which commands are asked about a mechanical mutant of a file: cheapest and likeliest first, all that could notice last.

A command is [TOOL] PROGRAM [PLAN] [PATTERN], for tests/test_PROGRAM; TOOL is
  oclgrind        under Oclgrind, whose log must be empty: races, uninitialised values, accesses out of bounds
  oclgrind-data   the same without uninitialised values, for which scripts/oclgrind.sh has the reason
  asan            built with AddressSanitizer, LeakSanitizer and UBSan
"""

# Functions of src/plan/ that estimate time, to choose between plans each of which gives right results: a
# mistake in them costs speed and nothing else, which benchmarks see and tests do not. All others there are in
# the sample.
SPEED_ONLY = {"cost_of", "cost_of_a", "cost_of_b", "cost_of_sums"}


def products(plan, *patterns):
    return ["products %s %s/%s" % (plan, plan, pattern) for pattern in patterns]


# Kernels of one activation first: each other one is a compilation more.
PLAIN = products("plain", "small/*/none/*", "edge/*", "small/*", "pair/*")
SIMT = (products("simt-16", "small/*/none/*", "edge/*", "small/*", "pair/*") + products("simt-64x32", "edge/*") +
        products("simt-128", "small/*/none/*", "pair/*"))
SPLIT = products("simt-16-split", "small/*/none/*", "edge/*", "pair/*") + ["sums *simt-16-split*"]
# simd-8 and not simd, which takes other kernels for small batches.
SIMD = (products("simd-8", "small/*/none/*", "edge/*") + products("simd-packed", "edge/*") +
        products("simd-8", "block/*", "small/*/tanh/*") + products("simd-packed", "block/*", "extreme/300x40*", "pair/*") +
        products("simd-8", "pair/*") + products("simd-4", "edge/*") + products("simd-16", "edge/*", "small/*") +
        products("simd-mixed", "edge/*", "block/*"))
NARROW = products("simd-narrow", "small/*/none/*", "block/*", "edge/*", "small/*")
SKINNY = products("simd-skinny", "small/*/none/*", "block/*", "edge/*", "small/*", "pair/*")
MATH = ["math plain", "math simd", "math simt-16", "golden plain", "golden simd", "golden simt-16"]
OCLGRIND = {
    "plain": ["oclgrind products plain plain/small/*", "oclgrind-data products plain plain/small_gelu/*"],
    "simt": ["oclgrind-data edges tight_end/simt-16", "oclgrind products simt-16 simt-16/small/*", "oclgrind products simt-16 simt-16/edge/?x1*x9*"],
    "simd": ["oclgrind products simd-4 simd-4/small/*", "oclgrind products simd-8 simd-8/edge/7x1*",
             "oclgrind-data products simd-packed simd-packed/small/*", "oclgrind-data edges tight_end/simd-whole", "oclgrind-data edges tight_end/simd-narrow"],
    "split": ["oclgrind-data products simt-16-split simt-16-split/small/*"],
    "skinny": ["oclgrind-data edges tight_end/simd", "oclgrind products simd-skinny simd-skinny/small/*", "oclgrind-data products simd-skinny simd-skinny/small_gelu/*"],
    "loss": ["oclgrind loss cross_entropy/*", "oclgrind loss mse/*"],
    "elements": ["oclgrind-data edges tight_end/%s" % plan for plan in ("plain", "simd", "simt-16")],
}

# Those of one activation; of those that keep z the rows have another name.
KEEP_Z = ("gelu", "silu", "gelu_tanh", "elu")


def activation(name):
    small = "small_gelu" if name in KEEP_Z else "small"
    return (products("plain", "%s/*/%s/*" % (small, name)) + ["math plain plain/edges/%s/*" % name] +
            products("simd-8", "%s/*/%s/*" % (small, name)) + ["layer_data plain/*", "math plain", "golden plain"])


OF_ALL_PRODUCTS = (PLAIN + SIMT[:3] + SIMD[:3] + SKINNY[:1] + ["accumulate"] + MATH + ["edges"] +
                   OCLGRIND["plain"] + OCLGRIND["simt"][1:2] +
                   OCLGRIND["simd"][:1] + OCLGRIND["elements"])

LAYER = (["layer_gradients", "layer_state", "accumulate", "products simd-skinny simd-skinny/small/*/none/*",
          "layer_args", "layer", "failure", "layer_data", "sharing",
          "products simd-8 simd-8/small/*/none/*", "math simd", "products simd-skinny simd-skinny/small/*", "golden simd", "lifetime",
          "fit", "program", "edges", "random", "tensor"] + products("plain", "small/*", "pair/*") +
         ["tune_wrong", "tune", "layer_failure", "layer_strict", "asan layer_state", "asan layer_gradients",
          "asan layer_failure", "asan layer", "asan failure"])

PLAN = (["plan"] + products("simd-8", "small/*/none/*", "edge/*") + products("simt-16", "small/*/none/*") +
        products("simd-skinny", "small/*/none/*", "block/*") + SPLIT[:1] +
        ["layer_state", "layer_gradients", "fit", "program", "failure"] +
        products("plain", "edge/*") + products("simt-16", "edge/*") +
        products("simd-packed", "edge/*", "pair/*") + products("simd-8", "block/*") +
        ["context", "tensor", "layer", "layer_data", "edges", "loss", "tune_file", "tune_wrong", "tune", "self_check"])

LOSSES = ["loss simt/*", "loss", "golden simt-16", "edges"] + OCLGRIND["loss"]

KILLERS = {
    **{"cl/activation_%s.cl" % name: activation(name) for name in (
        "none", "relu", "sigmoid", "tanh", "gelu", "silu", "gelu_tanh", "leaky_relu", "softplus", "elu")},
    "cl/common.cl": OF_ALL_PRODUCTS,
    "cl/element_f32.cl": OF_ALL_PRODUCTS,
    "cl/epilogue.cl": PLAIN[:1] + ["queue", "accumulate"] + OF_ALL_PRODUCTS,
    "cl/gradient.cl": PLAIN[:1] + ["layer_gradients"] + OF_ALL_PRODUCTS,
    "cl/rule_sgd.cl": PLAIN[:1] + ["layer_gradients"] + OF_ALL_PRODUCTS,
    "cl/simd_pack.cl": SIMD + ["math simd", "golden simd", "edges"] + OCLGRIND["simd"],
    "cl/forward_narrow.cl": NARROW + ["math simd", "edges"] + OCLGRIND["simd"],
    "cl/forward.cl": OF_ALL_PRODUCTS,
    "cl/grad_x.cl": OF_ALL_PRODUCTS,
    "cl/grad_w.cl": OF_ALL_PRODUCTS,
    "cl/product_plain.cl": PLAIN + ["math plain", "golden plain", "edges"] + OCLGRIND["plain"],
    "cl/product_simt.cl": SIMT + SPLIT + ["math simt-16", "golden simt-16", "edges"] + OCLGRIND["simt"],
    "cl/split_sums.cl": SPLIT + OCLGRIND["split"],
    "cl/product_simd.cl": SIMD + ["math simd", "golden simd", "edges"] + OCLGRIND["simd"],
    "cl/forward_skinny.cl": SKINNY + ["layer_data", "math simd", "edges"] + OCLGRIND["skinny"],
    "cl/one_pass_skinny.cl": SKINNY + ["layer_data", "math simd", "edges"] + OCLGRIND["skinny"],
    **{"cl/%s.cl" % name: LOSSES for name in (
        "loss_common", "loss_elements", "loss_mse", "loss_l1", "loss_huber", "loss_bce", "loss_cross_entropy",
        "loss_soft_cross_entropy", "loss_total", "loss_sum", "softmax", "argmax")},
    "cl/fill.cl": ["tensor", "layer", "edges"] + OCLGRIND["elements"],
    "cl/arrays.cl": ["arrays", "large */arrays/*"] + ["oclgrind arrays %s/small/*" % plan for plan in ("plain", "simd-4", "simt-16")],
    "src/arrays.c": ["arrays", "faults add*", "faults copy*", "faults gather*", "asan arrays"],
    "cl/update.cl": ["layer_gradients", "products simt-16 simt-16/edge/*", "layer", "golden simd", "edges"] + OCLGRIND["elements"],
    "src/layer.c": LAYER,
    "src/loss.c": ["loss", "golden simd", "fit", "failure", "edges", "lifetime", "asan loss"],
    "src/ops/product.c": ["layer_gradients", "layer_state", "products simd-packed simd-packed/small/*", "products simd-skinny simd-skinny/small/*",
                      "tensor", "fit", "failure", "program", "layer", "products simt-16 simt-16/small/*", "edges", "tune_wrong", "tune", "cache"],
    **{"src/plan/%s.c" % name: PLAN for name in ("narrow", "occupancy", "plain", "plan", "simd", "simt", "skinny", "way")},
}


def of(path):
    return KILLERS[path]
