"""Compiles a kernel for a GPU that is not there, and reads registers, memory and machine code out of the result.

Each compiler is a function of a Job that returns a dict: registers, spilled (bytes), local (bytes), occupancy (percent, or
None), wave (work-items that run in step), and code (a list of loops.Instruction).
"""
import glob
import os
import re
import shutil
import struct
import subprocess

from loops import Instruction


class CompilerError(Exception):
    """The compiler failed, or printed what this file does not understand."""


class Tools:
    """The compilers: those unpacked in `root`; ptxas of a CUDA installation where there is one. `programs` has nvcl."""

    def __init__(self, root, programs):
        self.root, self.programs = root, programs
        self.clang = root + '/usr/lib/llvm-19/bin/clang'
        self.ocloc = root + '/usr/bin/ocloc'
        self.nvvm = self.unpacked('nvidia/**/libnvidia-nvvm.so.4')
        self.ptxas = shutil.which('ptxas') or shutil.which('ptxas', path='/usr/local/cuda/bin') or \
            self.unpacked('nvidia/**/ptxas')
        library = glob.glob(root + '/usr/lib/*-linux-gnu')
        self.environment = dict(os.environ, LD_LIBRARY_PATH=':'.join(library))

    def unpacked(self, pattern):
        return next(iter(glob.glob('%s/%s' % (self.root, pattern), recursive=True)), None)

    def library_of(self, target):
        return '%s/usr/lib/clc/%s.bc' % (self.root, target)

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)
        if done.returncode:
            raise CompilerError('%s: %s' % (os.path.basename(command[0]), (done.stderr + done.stdout)[-1500:]))
        return done.stdout + done.stderr

    def clang_cl(self, job, target, library, arguments, output):
        """OpenCL C to assembler text."""
        self.run([self.clang, '-x', 'cl', '-target', target, '-Xclang', '-finclude-default-header', '-Wno-everything',
                  '-Xclang', '-mlink-builtin-bitcode', '-Xclang', self.library_of(library), '-O3', '-S', '-o', output]
                 + arguments + job.options + [job.file])
        with open(output) as file:
            return file.read()


class Job:
    """One kernel for one GPU. `file` and `options` are plan_dump's; `folder` is this job's own."""

    def __init__(self, gpu, kernel, file, options, folder):
        self.gpu, self.kernel, self.file, self.options, self.folder = gpu, kernel, file, options.split(), folder
        self.tile = {name.lower(): int(value) for name, value in re.findall(r'-DOCLIN_(\w+)=(\d+)', options)}

    @property
    def group(self):
        return self.tile['group']

    @property
    def fmas_a_tile(self):
        """Multiply-adds of a work-item between two barriers."""
        return self.tile['item_m'] * self.tile['item_n'] * self.tile['tile_k']


def number(pattern, text, default=None):
    found = re.search(pattern, text)
    if not found and default is None:
        raise CompilerError('no "%s" in what the compiler printed' % pattern)
    return int(found[1]) if found else default


def elf_sections(blob):
    """name -> bytes, of a little-endian 64-bit ELF file."""
    start, = struct.unpack_from('<Q', blob, 0x28)
    count, names = struct.unpack_from('<HH', blob, 0x3c)
    heads = [struct.unpack_from('<IIQQQQIIQQ', blob, start + 64 * i) for i in range(count)]

    def name_of(head):
        at = heads[names][4] + head[0]
        return blob[at:blob.index(b'\0', at)].decode()
    return {name_of(head): blob[head[4]:head[4] + head[5]] for head in heads if head[1] != 8}


def resolved(code, labels):
    """Labels that branches name become indexes."""
    return [i._replace(target=labels.get(i.target)) if i.target else i for i in code]


# ------------------------------------------------------------------------------------------------------ NVIDIA

# the low 9 bits of an instruction of 16 bytes
SASS_KINDS = {0x023: 'fma', 0x181: 'global_load', 0x184: 'local_load', 0x188: 'local_store', 0x183: 'scratch',
              0x187: 'scratch', 0x11d: 'barrier', 0x147: 'branch'}
SASS_WIDTHS = {4: 32, 5: 64, 6: 128}


def sass_code(text, sm):
    code = []
    for at in range(0, len(text), 16):
        low, high = struct.unpack_from('<QQ', text, at)
        kind, target = SASS_KINDS.get(low & 0x1ff, 'other'), None
        if kind == 'branch':
            offset = (low >> 34) | ((high & 0x3ffff) << 30)
            offset -= (offset >> 47) << 48
            if sm >= 90:
                offset = (offset << 8) | ((low >> 16) & 0xff)
            target = (at + 16 + 4 * offset) // 16
            if target == at // 16:  # a branch to itself fills up behind the end
                target = None
        width = SASS_WIDTHS.get((high >> 9) & 7, 0) if kind in ('global_load', 'local_load') else 0
        code.append(Instruction(kind, target, kind == 'fma', width))
    return code


NEWEST_PTX = 90  # the newest GPU that this version of NVIDIA's compiler knows; ptxas takes its PTX for newer ones


def nvidia(tools, job):
    source, binary, sm = job.folder + '/kernel.ptx', job.folder + '/kernel.cubin', int(job.gpu.arch[3:])
    tools.run([tools.programs + '/nvcl', tools.nvvm, job.file, source, '-cl-nv-cstd=CL1.2', '-nv-m64', '-cl-nv-arch',
               'sm_%d' % min(sm, NEWEST_PTX)] + job.options)
    log = tools.run([tools.ptxas, '-v', '-arch=' + job.gpu.arch, '-o', binary, source])
    with open(binary, 'rb') as file:
        machine = elf_sections(file.read())['.text.' + job.kernel]
    registers, local = number(r'Used (\d+) registers', log), number(r'(\d+) bytes smem', log, 0)
    spilled = max(sum(int(n) for n in re.findall(r'(\d+) bytes spill', log)), number(r'(\d+) bytes stack frame', log, 0))
    return {'registers': registers, 'spilled': spilled, 'local': local, 'wave': 32,
            'occupancy': nvidia_occupancy(job, registers, local), 'code': sass_code(machine, sm)}


def nvidia_groups_by_registers(job, registers):
    return 65536 // (-(-registers * 32 // 256) * 256) // -(-job.group // 32)


def nvidia_occupancy(job, registers, local):
    warps = -(-job.group // 32)
    by_registers = nvidia_groups_by_registers(job, registers)
    by_local = job.gpu.local // (-(-(local + 1024) // 128) * 128)
    return 100 * min(by_registers, by_local, job.gpu.warps // warps, job.gpu.groups) * warps / job.gpu.warps


# --------------------------------------------------------------------------------------------------------- AMD

AMD_FMA = re.compile(r'v_(?:dual_)?(?:fma|fmac|mad|mac)(?:ak|mk)?_(?:legacy_)?f32')


def amd_instruction(line):
    operation = re.match(r'[a-z]\w+', line)[0]
    width = re.search(r'(dwordx|_b)(\d+)$', operation)
    width = int(width[2]) * (32 if width[1] == 'dwordx' else 1) if width else 32
    fmas = len(AMD_FMA.findall(line)) + 2 * line.count('v_pk_fma_f32')
    if fmas:
        return Instruction('fma', None, fmas)
    if operation.startswith(('scratch_', 'buffer_')):  # buffers are how this target reaches scratch memory
        return Instruction('scratch')
    if re.match(r'(global|flat)_load', operation):
        return Instruction('global_load', None, 0, width)
    if re.match(r'ds_(read|load)', operation):
        return Instruction('local_load', None, 0, width * (2 if '2' in operation.split('_')[1] else 1))
    if re.match(r'ds_(write|store)', operation):
        return Instruction('local_store')
    if operation in ('s_barrier', 's_barrier_wait'):
        return Instruction('barrier')
    return Instruction('other', line.split()[-1] if 'branch' in operation else None)


def amd(tools, job):
    text = tools.clang_cl(job, 'amdgcn-amd-amdhsa', 'amdgcn--amdhsa', ['-mcpu=' + job.gpu.arch, '-nogpulib'],
                          job.folder + '/kernel.s')
    begin = re.search(r'^%s:' % job.kernel, text, re.M).end()
    code, labels = [], {}
    for line in text[begin:text.index('.Lfunc_end', begin)].splitlines():
        line = line.split(';')[0].strip()
        label = re.match(r'(\.LBB\w+):', line)
        if label:
            labels[label[1]] = len(code)
        elif re.match(r'[a-z]\w+', line) and not line.endswith(':'):
            code.append(amd_instruction(line))
    facts = text[text.index('.amdhsa_kernel ' + job.kernel):]
    registers = number(r'; TotalNumVgprs: (\d+)', facts, -1)
    return {'registers': registers if registers >= 0 else number(r'; NumVgprs: (\d+)', facts),
            'spilled': number(r'; ScratchSize: (\d+)', facts), 'local': number(r'; LDSByteSize: (\d+)', facts),
            'wave': job.gpu.wave, 'occupancy': 100 * number(r'; Occupancy: (\d+)', facts) / job.gpu.warps,
            'code': resolved(code, labels)}


# ------------------------------------------------------------------------------------------------------- Intel


def intel_width(comment, lanes, register):
    """Bits that a load brings to each lane: by the number of elements that it names, or of registers that come back."""
    named, registers = re.search(r'd32x(\d)', comment), re.search(r'rd:(\d+)', comment)
    if named:
        return 32 * int(named[1])
    return max(32, int(registers[1]) * register * 8 // lanes) if registers else 32


def intel_instruction(line, operation, lanes, register):
    comment = line.split('//')[-1] if '//' in line else ''
    if operation in ('mad', 'mac', 'madm') and ':f ' in line + ' ':
        return Instruction('fma', None, 1)
    if operation in ('jmpi', 'goto', 'while', 'brd', 'brc'):
        labels = re.findall(r'\b(L\d+)\b', line)
        return Instruction('other', labels[-1] if labels else None)
    if not operation.startswith('send'):
        return Instruction('other')
    if 'scratch' in comment:
        return Instruction('scratch')
    if 'signal barrier' in comment:
        return Instruction('barrier')
    load, store = re.search(r'load|read', comment), re.search(r'store|write', comment)
    if 'slm' in operation or 'slm' in comment.lower() or re.search(r'0x[0-9A-Fa-f]{6}FE\b', line):
        width = intel_width(comment, lanes, register)
        return Instruction('local_load', None, 0, width) if load else Instruction('local_store' if store else 'other')
    return Instruction('global_load', None, 0, intel_width(comment, lanes, register)) if load else Instruction('other')


def intel_code(lines, register):
    code, labels, fma_lanes = [], {}, 8
    for line in lines:
        line = line.strip()
        label = re.match(r'(L\d+):$', line)
        if label:
            labels[label[1]] = len(code)
            continue
        # "(W&f0.0) operation (lanes|M0) ..."
        found = re.match(r'(?:\([^)]*\)\s*)?([a-z][\w.]*)\s+(?:\((\d+)\|)?', line)
        if found and not line.startswith('//') and found[1] != 'illegal':
            instruction = intel_instruction(line, found[1], int(found[2] or 1), register)
            fma_lanes = int(found[2]) if instruction.fmas else fma_lanes
            code.append(instruction)
    return resolved(code, labels), fma_lanes


def intel(tools, job):
    gpu, folder = job.gpu, job.folder
    tools.run([tools.ocloc, 'compile', '-file', job.file, '-device', gpu.arch, '-out_dir', folder, '-output', 'kernel',
               '-output_no_suffix', '--format', 'zebin', '-options', ' '.join(job.options)])
    with open(folder + '/kernel', 'rb') as file:
        info = elf_sections(file.read())['.ze_info'].decode(errors='replace')
    shutil.rmtree(folder + '/disassembly', ignore_errors=True)
    os.mkdir(folder + '/disassembly')
    tools.run([tools.ocloc, 'disasm', '-file', folder + '/kernel', '-dump', folder + '/disassembly', '-device', gpu.arch])
    assembler = glob.glob('%s/disassembly/*%s*.asm' % (folder, job.kernel)) + \
        glob.glob('%s/disassembly/.*%s*.asm' % (folder, job.kernel))
    if not assembler:
        raise CompilerError('ocloc did not disassemble %s' % job.kernel)
    kernel = re.search(r'name:\s+%s\b(.*?)(?=- name:|kernels_misc_info|\Z)' % job.kernel, info, re.S)
    if not kernel:
        raise CompilerError('ocloc says nothing of %s' % job.kernel)
    info = kernel[1]
    wave, registers = number(r'simd_size:\s+(\d+)', info), number(r'grf_count:\s+(\d+)', info, 128)
    with open(assembler[0]) as file:
        code, fma_lanes = intel_code(file, gpu.register)
    code = [i._replace(fmas=i.fmas * fma_lanes / wave) for i in code]  # a wide sub-group takes several instructions
    local = number(r'slm_size:\s+(\d+)', info, 0)
    return {'registers': registers, 'local': local, 'wave': wave, 'code': code,
            'spilled': sum(int(n) for n in re.findall(r'type:\s+scratch\s+usage:\s+\w+\s+size:\s+(\d+)', info)),
            'occupancy': intel_occupancy(job, wave, registers, local)}


def intel_occupancy(job, wave, registers, local):
    gpu = job.gpu
    threads = gpu.warps * gpu.groups // (2 if registers > 128 else 1)
    a_group = -(-job.group // wave)
    by_local = gpu.local // max(1024, 1 << (local - 1).bit_length()) if local else 99
    return 100 * min(threads // a_group, by_local) * a_group / threads
