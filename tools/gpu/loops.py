"""Finds the main loop in a kernel's machine code and counts what an iteration of it executes."""
from collections import namedtuple

# kind: fma, global_load, local_load, local_store, barrier, scratch, or other
# target: index of the instruction that a branch goes to, or None
# fmas: multiply-adds of one lane; width: bits that a load brings to each work-item
Instruction = namedtuple('Instruction', 'kind target fmas width', defaults=(None, 0, 0))


def loops_of(code):
    """(first, last) of every loop: a branch back, and where it goes; one loop for all branches to one place."""
    ends = {}
    for last, instruction in enumerate(code):
        if instruction.target is not None and instruction.target <= last:
            ends[instruction.target] = max(last, ends.get(instruction.target, 0))
    return sorted(ends.items())


def fmas_in(code, loop):
    return sum(instruction.fmas for instruction in code[loop[0]:loop[1] + 1])


def has(code, loop, kind):
    return any(instruction.kind == kind for instruction in code[loop[0]:loop[1] + 1])


def main_loop(code):
    """The loop over tiles: the smallest with a barrier and multiply-adds in it."""
    candidates = [loop for loop in loops_of(code) if has(code, loop, 'barrier') and fmas_in(code, loop)]
    return min(candidates, key=lambda loop: loop[1] - loop[0], default=None)


def weights(code, loop, fmas_a_tile):
    """How often each instruction of the main loop runs in one iteration. A loop inside that multiplies (it reads local
    memory) runs as often as a tile has multiply-adds for it; any other counts once."""
    weight = [1] * (loop[1] + 1 - loop[0])
    for first, last in loops_of(code):
        inside = (first, last)
        if not loop[0] < first <= last < loop[1] or not has(code, inside, 'local_load') or not fmas_in(code, inside):
            continue
        for at in range(first, last + 1):
            weight[at - loop[0]] = max(1, round(fmas_a_tile / fmas_in(code, inside)))
    return weight


def counts(code, fmas_a_tile):
    """What an iteration of the main loop executes: a dict, empty if there is no such loop."""
    loop = main_loop(code)
    if not loop:
        return {}
    weight = weights(code, loop, fmas_a_tile)
    body = list(zip(code[loop[0]:loop[1] + 1], weight))
    number = lambda kind: sum(w for instruction, w in body if instruction.kind == kind)
    loads = [instruction.width for instruction, _ in body if instruction.kind == 'global_load']
    local = [instruction.width for instruction, _ in body if instruction.kind == 'local_load']
    total = sum(w for _, w in body)
    return {'share': 100 * sum(w for instruction, w in body if instruction.fmas) / total, 'instructions': total,
            'global_loads': number('global_load'), 'global_width': min(loads, default=0),
            'local_loads': number('local_load'), 'local_width': min(local, default=0),
            'local_stores': number('local_store'), 'barriers': number('barrier'), 'scratch': number('scratch')}
