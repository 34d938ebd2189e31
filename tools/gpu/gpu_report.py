#!/usr/bin/env python3
"""Every product of oclin as it is compiled for GPUs that are not there, with the tile that oclin chooses on each.

Run by scripts/gpu_report.sh, which builds and unpacks what this needs.
"""
import argparse
import concurrent.futures
import os
import subprocess
import sys
import tempfile

import compilers
import loops
import model
from gpus import GPUS
from tables import markdown_table, table, write_between

PRODUCTS = ['forward', 'grad_x', 'grad_w']
ACTIVATIONS = ['none', 'relu', 'gelu']
MOST_SECTORS, MOST_CYCLES = 1.05, 1.10  # the gate: global and local memory against the best possible
GROUPS_BY_REGISTERS = 2  # the gate: groups of a 128 x 128 tile that an NVIDIA multiprocessor has registers for


class Row:
    """One kernel on one GPU."""

    def __init__(self, gpu, product, activation, aligned, job, result):
        self.gpu, self.product, self.activation, self.aligned, self.job = gpu, product, activation, aligned, job
        self.result = result
        self.loop = loops.counts(result['code'], job.fmas_a_tile)

    @property
    def tile(self):
        t = self.job.tile
        return '%dx%dx%d, %dx%d' % (t['tile_m'], t['tile_n'], t['tile_k'], t['item_m'], t['item_n'])

    @property
    def plan(self):
        """The name by which the tile can be forced."""
        t = self.job.tile
        return 'simt-%d' % t['tile_m'] if t['tile_m'] == t['tile_n'] else 'simt-%dx%d' % (t['tile_m'], t['tile_n'])

    @property
    def share(self):
        return self.loop.get('share', 0)

    def name(self):
        return '%s %s %s %s' % (self.gpu.arch, self.product, self.activation, 'aligned' if self.aligned else 'ragged')

    def cells(self):
        r, l = self.result, self.loop
        width = lambda what: '%dx%d' % (l[what + '_loads'], l[what + '_width']) if l and l[what + '_loads'] else '-'
        return [self.gpu.arch, self.gpu.name, self.product, self.activation, 'aligned' if self.aligned else 'ragged',
                self.tile, r['wave'], r['registers'], r['spilled'], r['local'],
                '-' if r['occupancy'] is None else '%.0f' % r['occupancy'], '%.1f' % self.share, width('global'),
                width('local'), l.get('barriers', '-')]


HEADS = ['GPU', 'is', 'product', 'activation', 'rows', 'tile, item', 'wave', 'registers', 'spilled', 'local', 'occupancy %',
         'FMA %', 'global loads', 'local loads', 'barriers']


# ------------------------------------------------------------------------------------------------------ compiling

def plans(gpu, programs, folder):
    """plan_dump's lines for this GPU: product, activation, aligned, kernel, file, options."""
    os.makedirs(folder, exist_ok=True)
    facts = [gpu.vendor, gpu.units, gpu.local_limit, gpu.items, gpu.wave, gpu.sub_group, folder]
    done = subprocess.run([programs + '/plan_dump'] + [str(f) for f in facts], capture_output=True, text=True, check=True)
    return [line.split('\t') for line in done.stdout.splitlines()]


def compile_all(arguments, tools, work):
    """(rows, failures); work is a folder for the compilers."""
    jobs, skipped = [], set()
    for gpu in GPUS:
        if arguments.gpus and gpu.arch not in arguments.gpus:
            continue
        if gpu.compiler == compilers.nvidia and not (tools.nvvm and tools.ptxas):
            skipped.add('NVIDIA: no compiler, or no ptxas; its rows are left out')
            continue
        for product, activation, aligned, kernel, file, options in plans(gpu, arguments.programs, work + '/' + gpu.arch):
            if activation in arguments.activations:
                folder = '%s/%s/%s.%s.%s' % (work, gpu.arch, product, activation, aligned)
                os.mkdir(folder)
                jobs.append((gpu, product, activation, aligned == '1', compilers.Job(gpu, kernel, file, options, folder)))

    def one(entry):
        gpu, product, activation, aligned, job = entry
        try:
            return Row(gpu, product, activation, aligned, job, gpu.compiler(tools, job))
        except (compilers.CompilerError, OSError, KeyError, ValueError) as error:
            return '%s %s %s: %s' % (gpu.arch, product, activation, error)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(one, jobs))
    for line in sorted(skipped):
        print(line)
    return [r for r in results if isinstance(r, Row)], [r for r in results if isinstance(r, str)]


# -------------------------------------------------------------------------------------------------- memory counts

def count_memory(arguments, plan, tile, product):
    """(space, operation, count, best) of one full tile of the product under Oclgrind."""
    environment = dict(os.environ, OCLIN_PLAN=plan, OCLIN_DEVICE='', OCLIN_COUNT_KERNEL=product + '_simt')
    command = ['oclgrind', '--quick', '--num-threads', '1', '--build-options', '-cl-opt-disable', '--plugins',
               arguments.plugin, arguments.programs + '/one_product', product, str(tile['tile_m']), str(tile['tile_n']),
               str(2 * tile['tile_k'])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    if done.returncode or len(lines) != 4 or any(len(line) != 4 for line in lines):
        raise RuntimeError('%s %s under Oclgrind: %s' % (plan, product, (done.stdout + done.stderr)[-500:]))
    return [(space, operation, int(count), int(best)) for space, operation, count, best in lines]


def count_all(arguments, rows):
    """plan, product, count_memory() for every tile that is some GPU's default."""
    tiles = {row.plan: row.job.tile for row in rows if row.aligned}
    wanted = [(plan, product) for plan in sorted(tiles) for product in PRODUCTS]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = pool.map(lambda w: count_memory(arguments, w[0], tiles[w[0]], w[1]), wanted)
        return [(plan, product, counts) for (plan, product), counts in zip(wanted, counted)]


# ----------------------------------------------------------------------------------------------------------- gate

def gate(rows, memory):
    """What is not as it must be, in sentences."""
    wrong = []
    for row in rows:
        if not row.loop:
            wrong.append('%s: no main loop found' % row.name())
        if row.result['spilled']:
            wrong.append('%s: %d bytes spilled' % (row.name(), row.result['spilled']))
        registers = row.result['registers']
        if row.gpu.compiler == compilers.nvidia and row.plan == 'simt-128' and \
                compilers.nvidia_groups_by_registers(row.job, registers) < GROUPS_BY_REGISTERS:
            wrong.append('%s: %d registers are too many for %d groups' %
                         (row.name(), registers, GROUPS_BY_REGISTERS))
        # GELU's erfc() reads tables of its own
        if row.aligned and row.loop and row.activation != 'gelu' and row.loop['global_width'] != 128:
            wrong.append('%s: global loads of %d bits' % (row.name(), row.loop['global_width']))
        if row.aligned and row.activation == 'none' and round(row.share, 1) < row.gpu.share:
            wrong.append('%s: %.1f %% multiply-adds, %s is the least' % (row.name(), row.share, row.gpu.share))
    for plan, product, counts in memory:
        for space, operation, count, best in counts:
            most = MOST_SECTORS if space == 'global' else MOST_CYCLES
            if count > most * best:
                wrong.append('%s %s: %s %ss take %.2f of the best' % (plan, product, space, operation, count / best))
    return wrong


# --------------------------------------------------------------------------------------------------------- output

def memory_lines(memory):
    heads = {('global', 'load'): 0, ('global', 'store'): 1, ('local', 'load'): 2, ('local', 'store'): 3}
    lines = []
    for plan, product, counts in memory:
        cells = [''] * 4
        for space, operation, count, best in counts:
            cells[heads[space, operation]] = '%.3f' % (count / best)
        lines.append([plan, product] + cells)
    return lines


MEMORY_HEADS = ['plan', 'product', 'sectors loaded', 'sectors stored', 'local load cycles', 'local store cycles']


def shares(rows, aligned):
    """The FMA share of every kernel, a line a GPU; spilled bytes in brackets."""
    columns = [(p, a) for p in PRODUCTS for a in ACTIVATIONS if any(r.activation == a for r in rows)]
    lines = []
    for gpu in GPUS:
        found = {(r.product, r.activation): r for r in rows if r.gpu == gpu and r.aligned == aligned}
        if found:
            cell = lambda r: '%.0f' % r.share + (' (%d)' % r.result['spilled'] if r.result['spilled'] else '')
            lines.append([gpu.arch] + [cell(found[c]) if c in found else '-' for c in columns])
    return ['GPU'] + ['%s %s' % c for c in columns], lines


def markdown(rows, memory):
    main = [r.cells() for r in rows if r.aligned and r.activation == 'none']
    keep = [i for i, head in enumerate(HEADS) if head not in ('activation', 'rows')]
    pick = lambda line: [line[i] for i in keep]
    parts = ['Aligned rows, no activation; the gate holds for these. Registers are those of a work-item (Intel: of a\n'
             'thread); spilled and local memory are in bytes; loads are those of a work-item in an iteration of the main\n'
             'loop, with their width in bits.\n',
             markdown_table(pick(HEADS), [pick(line) for line in main]),
             '\nFMA share in percent, aligned rows, with fused activations (spilled bytes in brackets):\n',
             markdown_table(*shares(rows, True)), '\nThe same with ragged rows:\n', markdown_table(*shares(rows, False)),
             '\nMemory accesses of one work-group, as a multiple of the fewest possible:\n',
             markdown_table(MEMORY_HEADS, memory_lines(memory))]
    return '\n'.join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--programs', required=True, help='the folder of plan_dump and one_product')
    parser.add_argument('--plugin', help='memory_counts.so, its whole path; without it memory is not counted')
    parser.add_argument('--compilers', required=True, help='the folder that the compilers were unpacked in')
    parser.add_argument('--activations', default=','.join(ACTIVATIONS), type=lambda text: text.split(','))
    parser.add_argument('--gpus', help='only these, by the first column', type=lambda text: text.split(','))
    parser.add_argument('--page', help='whose table of predictions must be what the plans give')
    parser.add_argument('--gate', action='store_true', help='exit 1 where a kernel is not as it must be')
    parser.add_argument('--markdown', metavar='FILE', help='write the tables between their marks in this page')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        rows, failures = compile_all(arguments, compilers.Tools(arguments.compilers, arguments.programs), work)
    memory = count_all(arguments, rows) if arguments.plugin else []
    print(table(HEADS, [row.cells() for row in rows]))
    print()
    print(table(MEMORY_HEADS, memory_lines(memory)))
    print()
    model.show(arguments.programs, arguments.markdown)
    if arguments.markdown:
        write_between(arguments.markdown, 'gpu_report', markdown(rows, memory))
    wrong = failures + (gate(rows, memory) if rows else ['no GPU could be compiled for'])
    wrong += model.wrong(arguments.programs, arguments.page)
    print('\n%d kernels on %d GPUs' % (len(rows), len({row.gpu.arch for row in rows})))
    for sentence in wrong:
        print('gpu_report: ' + sentence, file=sys.stderr)
    if failures or (arguments.gate and wrong):
        sys.exit(1)


main()
