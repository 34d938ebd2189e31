#!/usr/bin/env python3
"""Makes FOLDER/N.ptx of each kernel that ptx_record wrote to FOLDER, for an H100 and newer, and removes the texts."""
import concurrent.futures
import os
import sys
import tempfile

import compilers
from gpus import GPUS


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
        file.write(text.replace(', texmode_independent', ''))  # how OpenCL has textures, which no kernel uses
    os.remove(source)


def main():
    root, folder = sys.argv[1:]
    tools = compilers.Tools(root)
    if not tools.ptxas:
        sys.exit('ptx.py: no ptxas on this machine (it comes with CUDA)')
    with open(folder + '/record') as file:
        lines = [line.rstrip('\n') for line in file if line.startswith('kernel ')]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda line: make(tools, folder, line), lines))
    print('%d kernels as PTX' % len(lines))


if __name__ == '__main__':
    main()
