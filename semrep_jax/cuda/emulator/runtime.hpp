// What the emulator's runtime offers to the header that candidates are compiled against (cuda.hpp).
//
// A block runs at a time, each of its threads on a fibre of its own. A barrier parks the fibre until the others are there; nothing is
// preemptive, so a schedule (the order in which parked fibres go on) is chosen, not suffered, and can be fuzzed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>

struct uint3 { unsigned x, y, z; };

namespace semrep {

struct Thread {
    uint3 index;
    unsigned linear;
};

extern Thread* self;             // the thread that runs
extern uint3 block, block_size, grid_size;

enum Vote { NONE, COUNT, AND, OR };

using Place = std::source_location;  // in a text whose macros are expanded: line and column tell any two apart
// Waits for every thread of the block that has not returned; the count of those whose predicate holds. The barrier is
// known by its place and by the calls that led there.
int block_barrier(Vote vote = NONE, bool predicate = false, Place place = Place::current());
struct Call {                    // while one lives, the thread is in a call of a function that has a barrier
    uint64_t before;
    explicit Call(Place place = Place::current());
    ~Call();
};
// Gives 8 bytes to the lanes of `mask` and waits for theirs: the slots of all 32 lanes, and which lanes took part.
const uint64_t* warp_exchange(unsigned mask, uint64_t mine, unsigned* present, int line);
unsigned active_mask();
unsigned lane();
void yield();                    // let others run: a failed compare-and-swap may be waiting for them
struct Atomic { Atomic(void* at, size_t bytes); ~Atomic(); };  // while one lives, no other thread runs
void* dynamic_shared();
struct Dynamic {                 // a variable that points at the dynamic shared memory, set by every launch
    void** where;
    Dynamic* next;
    explicit Dynamic(void** where);
};
// Tells that a static __shared__ variable lies here: the first thread of a block that comes by finds rubbish in it.
void shared(const volatile void* at, size_t bytes);
void expect_aligned(const void* at, unsigned bytes);  // or the launch ends
uint64_t ticks();
[[noreturn]] void fail(int status, const char* text, int line);

enum Status {
    RUNNING = 0, FINISHED = 1, RACE = 2, UNSUPPORTED = 3, ASSERT = 4, FAULT = 5, LAUNCH = 6, MISALIGNED = 7, OUTSIDE = 8
};

}  // namespace semrep
