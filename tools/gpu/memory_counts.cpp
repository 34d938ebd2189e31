/*
 * A plug-in for Oclgrind: what the memory of a GPU would have to do for one work-group of a kernel.
 *
 * The n-th execution of a load or store by each work-item of a warp is one access of the warp. Counted are
 *   sectors   pieces of 32 bytes of global memory that the access touches; at best, the bytes that it moves / 32
 *   cycles    of local memory, in 32 banks of 4 bytes: an access of 8 or 16 bytes a work-item goes in 2 or 4 phases, and a
 *             phase takes as many cycles as its busiest bank has different words; at best one
 * for the first work-group of the kernel that OCLIN_COUNT_KERNEL names. OCLIN_COUNT_WARP: work-items in a warp, 32 if not
 * given. Build programs with -cl-opt-disable, so that accesses of 16 bytes stay whole.
 *
 * Prints a line for each kind of access: "SPACE OPERATION COUNT BEST", for example "global load 512 512".
 */
#include "oclgrind/Context.h"
#include "oclgrind/KernelInvocation.h"
#include "oclgrind/Memory.h"
#include "oclgrind/Plugin.h"
#include "oclgrind/WorkGroup.h"
#include "oclgrind/WorkItem.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace oclgrind
{
/* All that is needed of Kernel.h, which wants LLVM's headers. */
class Kernel
{
  public:
    const std::string &getName() const;
};
} // namespace oclgrind

namespace
{

const unsigned GLOBAL = 1, LOCAL = 3; /* Oclgrind's address spaces */

struct Access {
    size_t lane, address, size;
};

/* Which instruction, whether it stores, the address space, its n-th execution, the warp. */
using Key = std::tuple<const llvm::Instruction *, bool, unsigned, size_t, size_t>;

struct Total {
    size_t count = 0, best = 0;
};

void add_sectors(const std::vector<Access> &accesses, Total &total)
{
    std::set<size_t> sectors, words;
    for (const Access &a : accesses)
        for (size_t byte = 0; byte < a.size; byte += 4) {
            sectors.insert((a.address + byte) / 32);
            words.insert((a.address + byte) / 4);
        }
    total.count += sectors.size();
    total.best += (words.size() + 7) / 8;
}

void add_cycles(const std::vector<Access> &accesses, size_t warp, Total &total)
{
    const size_t phases = std::max<size_t>(1, accesses[0].size / 4), lanes = warp / phases;
    for (size_t phase = 0; phase < phases; phase++) {
        std::map<size_t, std::set<size_t>> words_of_bank;
        for (const Access &a : accesses)
            for (size_t byte = 0; byte < a.size && a.lane / lanes == phase; byte += 4) {
                const size_t word = (a.address + byte) / 4;
                words_of_bank[word % 32].insert(word);
            }
        size_t cycles = 0;
        for (const auto &bank : words_of_bank) cycles = std::max(cycles, bank.second.size());
        total.count += cycles;
        total.best += cycles > 0;
    }
}

class MemoryCounts : public oclgrind::Plugin
{
  public:
    explicit MemoryCounts(const oclgrind::Context *context) : Plugin(context)
    {
        const char *wanted = getenv("OCLIN_COUNT_KERNEL"), *width = getenv("OCLIN_COUNT_WARP");
        wanted_ = wanted ? wanted : "";
        warp_ = width ? strtoul(width, nullptr, 10) : 32;
    }
    bool isThreadSafe() const override
    {
        return false;
    }
    void kernelBegin(const oclgrind::KernelInvocation *invocation) override
    {
        on_ = !done_ && invocation->getKernel()->getName() == wanted_;
    }
    void memoryLoad(const oclgrind::Memory *memory, const oclgrind::WorkItem *item, size_t address,
                    size_t size) override
    {
        keep(memory, item, address, size, false);
    }
    void memoryStore(const oclgrind::Memory *memory, const oclgrind::WorkItem *item, size_t address,
                     size_t size, const uint8_t *) override
    {
        keep(memory, item, address, size, true);
    }
    void workGroupComplete(const oclgrind::WorkGroup *) override
    {
        if (on_) print();
        done_ = done_ || on_;
        on_ = false;
    }

  private:
    void keep(const oclgrind::Memory *memory, const oclgrind::WorkItem *item, size_t address, size_t size,
              bool store)
    {
        const unsigned space = memory->getAddressSpace();
        if (!on_ || (space != GLOBAL && space != LOCAL)) return;
        const size_t id = item->getLocalID().x;
        const llvm::Instruction *instruction = item->getCurrentInstruction();
        const size_t time = times_[{id, instruction}]++;
        accesses_[Key(instruction, store, space, time, id / warp_)].push_back({id % warp_, address, size});
    }
    void print() const
    {
        std::map<std::pair<unsigned, bool>, Total> totals;
        for (const auto &access : accesses_) {
            const unsigned space = std::get<2>(access.first);
            Total &total = totals[{space, std::get<1>(access.first)}];
            if (space == GLOBAL)
                add_sectors(access.second, total);
            else
                add_cycles(access.second, warp_, total);
        }
        for (const auto &total : totals)
            printf("%s %s %zu %zu\n", total.first.first == GLOBAL ? "global" : "local",
                   total.first.second ? "store" : "load", total.second.count, total.second.best);
    }

    std::string wanted_;
    size_t warp_;
    bool on_ = false, done_ = false;
    std::map<std::pair<size_t, const llvm::Instruction *>, size_t> times_;
    std::map<Key, std::vector<Access>> accesses_;
};

MemoryCounts *counts;

} // namespace

extern "C" void initializePlugins(oclgrind::Context *context)
{
    counts = new MemoryCounts(context);
    context->registerPlugin(counts);
}

extern "C" void releasePlugins(oclgrind::Context *context)
{
    context->unregisterPlugin(counts);
    delete counts;
}
