#!/usr/bin/env python3
"""How long the products of a few layers take on GPUs that are not there: predicted, not measured.

It asks the library for its plan (plan_dump), so that it judges what the library would do, and moves with it.
The time of a launch is that of the busiest processor, or of the memory. A processor makes the tiles of k of
its groups one after the other. Each takes the multiply-adds of all its groups or, if those take less, the
wait for the next tile, which groups that run side by side share. All constants stand in the tables below.
"""
import argparse
import functools
import math
import subprocess
import sys
from collections import namedtuple

from tables import markdown_table, parts_of, table, write_between

NVIDIA, AMD, INTEL = 'NVIDIA Corporation', 'Advanced Micro Devices, Inc.', 'Intel(R) Corporation'

# facts        as the driver reports them: vendor, units, local memory and items of a group, wave, sub-group
# tflops, gbs  float32 and memory (GB/s) as published; None: nowhere
# processors   that groups run on: multiprocessors (NVIDIA), units (MI), pairs of units (RX), Xe cores (Intel)
# lanes, ghz   float32 multiply-adds of a processor in a cycle; the highest clock
# cache        the last one, MB
# threads, registers (None: each thread has as many), local (bytes), groups    that a processor holds
# launch       microseconds from the end of a kernel to the start of the next: assumed
Device = namedtuple('Device', 'name facts tflops gbs processors lanes ghz cache '
                    'threads registers local groups launch')
DEVICES = [
    # NVIDIA's data sheet of the H100 SXM; limits of compute capability 9.0 in the CUDA programming guide
    Device('H100', (NVIDIA, 132, 49152, 1024, 32, 0), 67, 3350, 132, 128, 1.98, 50,
           2048, 65536, 233472, 32, 3),
    # NVIDIA's paper on the Ada architecture; limits of 8.9 in the same guide
    Device('RTX 4090', (NVIDIA, 128, 49152, 1024, 32, 0), 82.6, 1008, 128, 128, 2.52, 72,
           1536, 65536, 102400, 24, 3),
    # AMD's data sheet of the MI300X, which counts two multiply-adds an instruction; CDNA 3 ISA guide
    Device('MI300X', (AMD, 304, 65536, 256, 64, 0), 163.4, 5300, 304, 128, 2.1, 256,
           2048, 131072, 65536, 32, 6),
    # AMD's page of the RX 7900 XTX, which counts two as well; RDNA 3 ISA guide
    Device('RX 7900 XTX', (AMD, 48, 65536, 256, 32, 0), 61.4, 960, 48, 256, 2.5, 96,
           2048, 196608, 131072, 32, 6),
    # Intel's page of the Arc A770: 32 Xe cores of 16 engines with 8 lanes and 8 threads each
    Device('Arc A770', (INTEL, 512, 65536, 1024, 0, 8), None, 560, 32, 128, 2.1, 16,
           1024, None, 131072, 64, 8),
    # assumed throughout: Qualcomm publishes little of it
    Device('Adreno 740', ('QUALCOMM', 6, 32768, 1024, 0, 0), None, 67, 6, 256, 0.68, 3,
           2048, 131072, 32768, 16, 30),
]

# By the results of a work-item: registers, and the share of multiply-adds among the instructions, as NVIDIA's
# compiler has them (sm_90, forward, aligned). Other compilers take more registers and have smaller shares.
Item = namedtuple('Item', 'registers share')
ITEMS = {(8, 8): Item(128, 0.88), (8, 4): Item(72, 0.81), (4, 4): Item(43, 0.72)}

# Assumptions.
SUSTAINED = 0.9  # of the highest clock, and of the memory's bandwidth
ISSUED = 0.9  # of a processor's cycles, those in which it issues an instruction while it has enough to do
# Cycles of a tile for a group that is alone: a load, a store to local memory, a barrier, loads from there.
WAIT_CACHE, WAIT_MEMORY = 400, 850
CACHED = 0.5  # of the last cache: operands up to that size are still there from whoever wrote them
CACHE_SPEED = 3  # the last cache, in bandwidths of the memory

STEP = 'step'
CASES = [('forward', 1, 4096, 4096), ('grad_x', 1, 4096, 4096), (STEP, 1, 4096, 4096),
         ('grad_x', 4, 2048, 8192), ('forward', 16, 4096, 1024), ('forward', 64, 1024, 1024),
         ('grad_w', 10000, 784, 10), ('grad_w', 8192, 128, 64), ('grad_w', 512, 768, 3072),
         ('forward', 256, 4096, 1024), ('forward', 1024, 1024, 1024), (STEP, 32, 32, 32)]
NAMES = {'forward': 'forward', 'grad_x': 'dX', 'grad_w': 'dW', STEP: 'step'}


@functools.lru_cache(None)
def plans(programs, device, case):
    """plan_dump's lines: a dict for each product, numbers where it prints numbers."""
    command = [programs + '/plan_dump'] + [str(f) for f in device.facts] + [str(c) for c in case]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    number = lambda text: int(text) if text.isdigit() else text
    of_line = lambda words: {key: number(value) for key, value in (word.split('=') for word in words)}
    return [dict(of_line(words[1:]), product=words[0]) for words in (line.split() for line in lines)]


def side_by_side(device, plan):
    """Returns how many groups of the plan a processor holds."""
    local = 4 * 2 * plan['tile_k'] * (plan['tile_m'] + plan['tile_n'] + 8)
    held = [device.threads // plan['group'], device.local // local, device.groups]
    if device.registers:
        held.append(device.registers // (plan['group'] * ITEMS[plan['item_m'], plan['item_n']].registers))
    return max(1, min(held))


def bytes_of(case):
    """Returns the bytes of all operands and results, each moved once; a step reads W twice and writes it."""
    product, batch, inputs, outputs = case
    w, x, y = inputs * outputs, batch * inputs, batch * outputs
    return 4.0 * (3 * w + 3 * x + 2 * y if product == STEP else w + x + y)


def stays_in_cache(device, size):
    return size <= CACHED * device.cache * 1e6


def floor(device, case, of_memory=True):
    """Returns the roofline in microseconds: the bytes at the published bandwidth, the sums at the peak."""
    product, batch, inputs, outputs = case
    flops = 2.0 * batch * inputs * outputs * (3 if product == STEP else 1)
    return max(bytes_of(case) / (device.gbs * 1e3) if of_memory else 0.0,
               flops / (2e3 * device.processors * device.lanes * device.ghz))


def launch_time(device, plan, updates):
    """Microseconds of one product; None where the plan is none that this model knows."""
    item = ITEMS.get((plan['item_m'], plan['item_n']))
    if not plan['kernel'].startswith('simt') or not item:
        return None
    m, n, k = plan['m'], plan['n'], plan['k']
    tiles = math.ceil(m / plan['tile_m']) * math.ceil(n / plan['tile_n'])
    parts = max(1, plan['groups'] // tiles)  # of a sum that is split over groups
    launches = math.ceil(k / plan['slice_k'])
    steps = launches * math.ceil(min(k, plan['slice_k']) / parts / plan['tile_k'])
    busiest = math.ceil(plan['groups'] / device.processors)
    rounds = math.ceil(busiest / side_by_side(device, plan))
    fmas = plan['tile_m'] * plan['tile_n'] * plan['tile_k']
    lanes = min(device.lanes, plan['group'] * min(busiest, side_by_side(device, plan)))
    work = busiest * fmas / lanes / (item.share * ISSUED)

    results = 4.0 * m * n
    moved = 4.0 * (m * k + k * n) + results * (2 if updates else 1)
    cached = stays_in_cache(device, moved)
    cycles = steps * max(work, rounds * (WAIT_CACHE if cached else WAIT_MEMORY))
    speed = device.gbs * 1e3 * SUSTAINED  # bytes in a microsecond
    panels = 4.0 * plan['groups'] * (plan['tile_m'] + plan['tile_n']) * steps * plan['tile_k']
    memory = max((0 if cached else moved) / speed, panels / (CACHE_SPEED * speed))
    added = 2.0 * parts * results / (CACHE_SPEED * speed) if parts > 1 else 0.0
    return max(cycles / (device.ghz * 1e3 * SUSTAINED), memory) + added + \
        device.launch * (launches + (parts > 1))


def predicted(programs, device, case):
    """(us, plan's names); us is None where a plan is not known to this model."""
    chosen = plans(programs, device, case)
    times = [launch_time(device, plan, case[0] == STEP and plan['product'] == 'grad_w') for plan in chosen]
    names = '+'.join(plan['way'] for plan in chosen)
    return (None if None in times else sum(times)), names


def figure(us):
    return '?' if us is None else '%.0f' % us if us >= 9.95 else '%.1f' % us if us >= 0.1 else '%.1g' % us


def rows(programs):
    """A line a case: for each device 'predicted / floor', and the plan on the first one."""
    lines = []
    for case in CASES:
        cells = ['%s %d x %d x %d' % ((NAMES[case[0]],) + case[1:])]
        answers = [predicted(programs, device, case) for device in DEVICES]
        for device, (us, _) in zip(DEVICES, answers):
            cells.append('%s / %s' % (figure(us), figure(floor(device, case))))
        lines.append(cells + [answers[0][1]])
    return lines


HEADS = ['batch x in x out'] + [device.name for device in DEVICES] + ['plan on ' + DEVICES[0].name]
MARK = 'model'


def show(programs, page):
    """Prints the table, and writes it into the page if there is one."""
    lines = rows(programs)
    print(table(HEADS, lines))
    if page:
        write_between(page, MARK, markdown_table(HEADS, lines))


def wrong(programs, page=None):
    """What cannot be, in sentences."""
    sentences = []
    for device in DEVICES:
        peak = 2e-3 * device.processors * device.lanes * device.ghz
        if device.tflops and abs(peak / device.tflops - 1) > 0.02:
            sentences.append('model: %s has %.1f TFLOP/s by its parts, %.1f published' %
                             (device.name, peak, device.tflops))
        for case in CASES:
            us = predicted(programs, device, case)[0]
            least = floor(device, case, of_memory=not stays_in_cache(device, bytes_of(case)))
            if us is not None and us < least:
                sentences.append('model: %s %s: %.1f us, the floor is %.1f' % (device.name, case, us, least))
    if page and parts_of(page, MARK)[1] != markdown_table(HEADS, rows(programs)):
        sentences.append('model: the table in %s is not what the plans give; to write it:\n'
                         '  tools/gpu/model.py --programs build-gpu/tools --markdown %s' % (page, page))
    return sentences


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--programs', required=True, help='the folder of plan_dump')
    parser.add_argument('--markdown', metavar='FILE', help='write the table between its marks in this page')
    arguments = parser.parse_args()
    show(arguments.programs, arguments.markdown)
    sentences = wrong(arguments.programs)
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    sys.exit(bool(sentences))


if __name__ == '__main__':
    main()
