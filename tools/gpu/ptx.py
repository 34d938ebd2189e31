#!/usr/bin/env python3
"""Makes FOLDER/N.ptx of each kernel that ptx_record wrote to FOLDER, for an H100 and newer, and removes the texts."""
import concurrent.futures
import os
import re
import sys
import tempfile

import compilers
from gpus import GPUS


def plain(ptx):
    """Without what OpenCL's driver alone provides: textures' mode, which no kernel uses, and registers that hold the offset
    of a range, which is always 0."""
    return re.sub(r'%envreg\d+', '0', ptx.replace(', texmode_independent', ''))


def make(tools, folder, line):
    """line: kernel N NAME GROUP OPTIONS"""
    number, kernel, _, options = line.split(' ', 4)[1:]
    gpu = next(gpu for gpu in GPUS if gpu.arch == 'sm_90')
    source = '%s/%s.cl' % (folder, number)
    with tempfile.TemporaryDirectory() as work:
        compilers.nvidia(tools, compilers.Job(gpu, kernel, source, options, work))
        with open(work + '/kernel.ptx') as file:
            text = file.read()
    with open('%s/%s.ptx' % (folder, number), 'w') as file:
        file.write(plain(text))
    os.remove(source)


def main():
    root, programs, folder = sys.argv[1:]
    tools = compilers.Tools(root, programs)
    if not (tools.ptxas and tools.nvvm):
        sys.exit("ptx.py: NVIDIA's OpenCL compiler or ptxas is not there")
    with open(folder + '/record') as file:
        lines = [line.rstrip('\n') for line in file if line.startswith('kernel ')]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda line: make(tools, folder, line), lines))
    print('%d kernels as PTX' % len(lines))


if __name__ == '__main__':
    main()
