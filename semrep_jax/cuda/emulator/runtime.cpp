// Fibres, barriers and warps. Compiled once and linked to every candidate; the contained child drives it through `semrep_launch`.
#include "runtime.hpp"

#include <algorithm>
#include <csignal>
#include <initializer_list>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

extern "C" {
// The linker makes this where the candidate's static __shared__ variables begin; ours of that section comes behind them.
extern char __start_semrep_shared[] __attribute__((visibility("hidden")));
// And these around the whole library, which holds a template's __shared__ and the __device__ variables among others.
extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));
}

namespace semrep {

// What the judge reads when a launch has ended, however it ended. Plain numbers in memory that outlives this process.
struct Report {
    int64_t status, line, launch, fault_address;
    int64_t block[3], thread[3];
    char text[240];
};

namespace {

constexpr size_t STACK = 128 << 10, GUARD = 4096;
__attribute__((section("semrep_shared"), aligned(16))) char behind_shared[GUARD] = {};  // nobody's
constexpr unsigned MOST = 1024, WARPS = MOST / 32;
enum State : uint8_t { READY, AT_BARRIER, AT_WARP, DONE };

struct Fibre : Thread {
    void* stack_pointer;
    char* stack;
    State state;
    int line;
    uint64_t calls, barrier;  // the calls of functions with barriers that it is in, and the barrier that it waits at
    bool predicate;
    int count, total;
};

struct Meeting {  // lanes of one mask that exchange values; two sets of slots, because a lane may be one exchange ahead
    unsigned mask, arrived;
    unsigned turn;
    uint64_t slots[2][32];
    unsigned present[2];
};

struct Warp {
    Meeting meetings[34];
    unsigned used;
};

Fibre fibres[MOST];
Warp warps[WARPS];
unsigned size_of_block, live, order[MOST];
char* free_stacks[MOST];
unsigned free_count, made_stacks;
void* scheduler;
void (*body)(void**);
void** arguments;
Report* report;
char* shared_memory;
size_t shared_size;
uint64_t random_state, clock_ticks;
bool asked_for_active_mask;
unsigned preempting;      // the schedule is random: a thread may be stopped before any access to memory
unsigned quiet;           // inside of an atomic: nobody else runs
uint32_t block_number, launch_number;

// Times are counted over all launches. As blocks run one after the other, a time tells whose it is.
uint32_t now, launch_began, block_began;

// When a word of global memory was touched last by plain accesses; or a byte of it, by accesses of less than a word.
struct Granule { uintptr_t key; uint32_t read, written; };
constexpr unsigned GRANULES = 1 << 16, WORD = 4;
Granule granules[GRANULES];

// One block's use of a word of global memory as a flag: by atomics or as volatile. `acquired` is when it first read
// there, `released` when it last wrote, `older` the flag of the block before that used this word so (or NONE), `seen` a
// plain write of another block that it found there (or 0).
struct Flag { uint32_t block, acquired, released, seen, older; };
struct Block { uint32_t began, flags; };         // its flags lie one behind the other, from that one on
constexpr uint32_t NONE = ~0u, NEVER = ~0u, MOST_FLAGS = 1 << 20;
std::vector<Flag> flags;
std::vector<Block> blocks;                       // of this launch, in the order in which they run
std::unordered_map<uintptr_t, uint32_t> newest;  // the newest flag of each word
std::vector<uint32_t> known;                     // to the block that runs: what each block did before that time
uint32_t known_to;                               // `known` is of the block that began then

struct Overwrite { void* at; unsigned bytes; uint32_t before; };  // another block's plain write, that this block writes over without reading it
constexpr unsigned OVERWRITES = 1 << 12;
Overwrite overwrites[OVERWRITES];
unsigned overwritten;
uintptr_t polled;          // the place that was touched last, and how often without any other between
unsigned polls;
constexpr unsigned MOST_POLLS = 1 << 22;
constexpr unsigned SWEEPS_AHEAD = 1 << 10;  // of a warp that runs ahead of the others

struct Static { uintptr_t at; size_t bytes; uint32_t launch, block; };  // a __shared__ variable, and the block that has begun with it
constexpr unsigned MOST_STATICS = 256;
Static statics[MOST_STATICS];
unsigned known_statics;

uint64_t random64() {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}

Fibre* me() { return static_cast<Fibre*>(self); }

// A number for a place that is reached by these calls; no two are taken for one but by a rare chance.
uint64_t reached(uint64_t calls, Place place) {
    return (calls ^ (uint64_t(place.line()) << 20 ^ place.column())) * 0x9e3779b97f4a7c15ull;
}

extern "C" void semrep_switch(void** from, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.globl semrep_switch
.hidden semrep_switch
.type semrep_switch, @function
semrep_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
constexpr int SAVED = 6;
#elif defined(__aarch64__)
asm(R"(
.text
.globl semrep_switch
.hidden semrep_switch
.type semrep_switch, @function
semrep_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
#else
#error "the emulator switches stacks on x86-64 and aarch64"
#endif

void park() { semrep_switch(&me()->stack_pointer, scheduler); }

bool is_shared(uintptr_t at) {
    auto dynamic = reinterpret_cast<uintptr_t>(shared_memory);
    auto from = reinterpret_cast<uintptr_t>(__start_semrep_shared), to = reinterpret_cast<uintptr_t>(behind_shared);
    if (at - dynamic < shared_size || at - from < to - from) return true;
    for (unsigned i = 0; i < known_statics; i++)
        if (at - statics[i].at < statics[i].bytes) return true;
    return false;
}

// A task's array or a scratch buffer: no thread's stack, no shared memory, no variable of the program.
bool is_buffer(uintptr_t at) {
    bool library = at - reinterpret_cast<uintptr_t>(__ehdr_start) < uintptr_t(_end - __ehdr_start);
    return !library && at - reinterpret_cast<uintptr_t>(shared_memory) >= shared_size;
}

// Its stack, its indices, or the sizes of the launch: what no other thread writes.
bool belongs_to_a_thread(uintptr_t at) {
    auto within = [at](const void* what, size_t bytes) { return at - reinterpret_cast<uintptr_t>(what) < bytes; };
    return within(me()->stack, STACK) || within(fibres, sizeof fibres) || within(&self, sizeof self) || within(&block, sizeof block) ||
           within(&block_size, sizeof block_size) || within(&grid_size, sizeof grid_size);
}

bool is_global(uintptr_t at) { return at - reinterpret_cast<uintptr_t>(me()->stack) >= STACK && !is_shared(at); }

// What is known of a word, or of a byte where a word is not touched whole.
Granule& granule_of(uintptr_t at, unsigned bytes) {
    uintptr_t key = at * 2 + (bytes < WORD);
    Granule& g = granules[at * 2654435761u >> 8 & (GRANULES - 1)];
    if (g.key != key) g = {key, 0, 0};
    return g;
}

// Whether it was then that another block of this launch ran.
bool is_of_another(uint32_t time) { return time >= launch_began && time < block_began; }

uint32_t block_at(uint32_t time) {
    auto later = [](uint32_t t, const Block& b) { return t < b.began; };
    return uint32_t(std::upper_bound(blocks.begin(), blocks.end(), time, later) - blocks.begin()) - 1;
}

// Brings `known` up to date: what others did before they released a flag that the block that runs has acquired, and
// what those knew by then.
void learn() {
    if (known_to != block_began) known_to = block_began, known.assign(blocks.size(), 0);
    std::vector<std::pair<uint32_t, uint32_t>> heard = {{uint32_t(blocks.size()) - 1, now + 1}};
    while (!heard.empty()) {
        auto [of, until] = heard.back();
        heard.pop_back();
        uint32_t from = std::exchange(known[of], std::max(known[of], until));
        uint32_t end = of + 1 < blocks.size() ? blocks[of + 1].flags : uint32_t(flags.size());
        for (uint32_t i = blocks[of].flags; i < end; i++) {
            if (flags[i].acquired < from || flags[i].acquired >= until) continue;
            if (flags[i].seen) heard.push_back({block_at(flags[i].seen), flags[i].seen + 1});
            for (uint32_t o = flags[i].older; o != NONE; o = flags[o].older) {
                if (known[flags[o].block] < flags[o].released) heard.push_back({flags[o].block, flags[o].released});
                if (flags[o].acquired < flags[o].released) break;  // whoever released it had learnt of the older ones
            }
        }
    }
}

// Whether a flag has told the block that runs of what another did at a time. Threads of a block are not told apart: that
// one thread acquires before the others read, and releases after they have written, is for the schedules to show.
bool is_known(uint32_t time) {
    if (flags.size() >= MOST_FLAGS) return true;
    uint32_t of = block_at(time);
    if (known_to != block_began || known[of] <= time) learn();
    return known[of] > time;
}

void use_flag(uintptr_t word, bool reads, bool writes, uint32_t written) {
    if (flags.size() >= MOST_FLAGS) return;
    uint32_t& last = newest.try_emplace(word, NONE).first->second;
    if (last == NONE || flags[last].block + 1 != blocks.size()) {
        flags.push_back({uint32_t(blocks.size()) - 1, NEVER, 0, 0, last});
        last = uint32_t(flags.size()) - 1;
    }
    Flag& flag = flags[last];
    if (reads && flag.acquired == NEVER) flag.acquired = ++now, flag.seen = is_of_another(written) ? written : 0;
    if (writes) flag.released = ++now;
}

// An access by an atomic or as volatile, to whatever memory.
void use_flags(void* where, size_t bytes, bool reads, bool writes) {
    auto at = reinterpret_cast<uintptr_t>(where), end = at + bytes;
    if (!self || report->status != RUNNING || !is_global(at)) return;
    for (at = bytes < WORD ? at : at & ~uintptr_t(WORD - 1); at < end; at += WORD)
        use_flag(at & ~uintptr_t(WORD - 1), reads, writes, granule_of(at, bytes).written);
}

constexpr const char* BEYOND = "it reads or writes outside of a variable";
constexpr const char* UNORDERED = "blocks of one launch read and write the same place, and nothing orders the two";

// A word of global memory, or a byte of it, is about to be read or written. `meant`: as volatile, in whatever order to
// other blocks.
void touch_global(uintptr_t at, unsigned bytes, bool writes, bool meant) {
    Granule& g = granule_of(at, bytes);
    bool written = is_of_another(g.written), buffer = is_buffer(at);
    if (!writes) {
        bool guard = !buffer && bytes < WORD;  // says that a static variable has been made, and g++ reads and writes it
        if (written && !meant && !guard && !is_known(g.written)) fail(RACE, UNORDERED, 0);
        if (!meant) g.read = now;
        return;
    }
    if (buffer && !meant && is_of_another(g.read) && !is_known(g.read)) fail(RACE, UNORDERED, 0);
    if (buffer && written && !is_known(g.written) && overwritten < OVERWRITES) {
        Overwrite& o = overwrites[overwritten++] = {reinterpret_cast<void*>(at), bytes, 0};
        memcpy(&o.before, o.at, bytes);
    }
    g.written = ++now;
    uintptr_t word = at & ~uintptr_t(WORD - 1);
    bool opens = !meant && !newest.empty() && newest.count(word);  // a lock, by a plain write
    if (opens) use_flag(word, false, true, 0);
}

// Called before every access of a candidate to memory (g++ -fsanitize=thread, without its library).
void touch(void* where, size_t bytes, bool writes, bool meant = false) {
    if (!self || report->status != RUNNING) return;
    auto at = reinterpret_cast<uintptr_t>(where), word = at & ~uintptr_t(WORD - 1);
    if (at - reinterpret_cast<uintptr_t>(behind_shared) < GUARD) fail(OUTSIDE, BEYOND, 0);
    if (word != polled || (writes && !quiet)) {
        if (!belongs_to_a_thread(word)) polled = word, polls = 0;
    } else if (++polls > MOST_POLLS && (size_of_block > 1 || grid_size.x * grid_size.y * grid_size.z > 1)) {
        fail(UNSUPPORTED, "a thread waits for what another is to write, and threads change at barriers only here", 0);
    }
    if (quiet) return;
    if (is_global(at)) {
        unsigned unit = bytes < WORD ? 1 : WORD;
        for (size_t done = 0; done < bytes; done += unit) touch_global(unit == 1 ? at + done : word + done, unit, writes, meant);
    }
    if (preempting && random64() % 8 == 0) park();
}

// As `touch`, of a volatile variable: who reads what another block has written may be waiting for it, and so is ordered behind it.
void touch_volatile(void* where, size_t bytes, bool writes) {
    touch(where, bytes, writes, true);
    use_flags(where, bytes, !writes, writes);
}

// Reports an access that is not at a multiple of its type's alignment, where the place is not one that we have laid out.
void expect_aligned(uintptr_t at, unsigned bytes, int line) {
    constexpr unsigned OF_BUFFERS = 16;
    if (bytes > OF_BUFFERS) bytes = OF_BUFFERS;
    if (!self || report->status != RUNNING || at % bytes == 0) return;
    if (at - reinterpret_cast<uintptr_t>(me()->stack) < STACK) return;
    char text[120];
    snprintf(text, sizeof text, "misaligned address: %u bytes behind a multiple of the %u that its type asks for", unsigned(at % bytes), bytes);
    fail(MISALIGNED, text, line);
}

// What g++ -fsanitize=alignment and object-size call, without their library: an access is not aligned, or (and then its
// alignment is 1) not within the variable that its pointer was made from, as far as g++ has followed that.
struct Mismatch { const char* file; unsigned line, column; const void* type; uint8_t log_alignment, kind; };
enum { LOAD = 0, STORE = 1 };

void leave_meetings(Fibre* fibre) {  // a thread that has returned is waited for by nobody
    Warp& warp = warps[fibre->linear / 32];
    for (unsigned i = 0; i < warp.used; i++) {
        Meeting& m = warp.meetings[i];
        if (m.arrived == 0) continue;
        unsigned wanted = 0;
        for (unsigned l = 0; l < 32; l++) {
            unsigned t = fibre->linear / 32 * 32 + l;
            if ((m.mask >> l & 1) && t < size_of_block && fibres[t].state != DONE) wanted |= 1u << l;
        }
        if ((m.arrived & wanted) != wanted) continue;
        m.present[m.turn & 1] = m.arrived;
        for (unsigned l = 0; l < 32; l++)
            if (m.arrived >> l & 1) fibres[fibre->linear / 32 * 32 + l].state = READY;
        m.arrived = 0, m.turn++;
    }
}

void thread_main() {
    body(arguments);
    Fibre* fibre = me();
    fibre->state = DONE;
    live--;
    leave_meetings(fibre);
    park();
    __builtin_unreachable();
}

char* take_stack() {
    if (free_count) return free_stacks[--free_count];
    char* base = static_cast<char*>(mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (base == MAP_FAILED) fail(LAUNCH, "no memory for the threads' stacks", 0);
    mprotect(base, GUARD, PROT_NONE);
    made_stacks++;
    return base + GUARD;
}

void prepare(Fibre* fibre) {
    fibre->stack = take_stack();
    auto top = reinterpret_cast<uintptr_t>(fibre->stack + STACK) & ~uintptr_t(15);
    auto* frame = reinterpret_cast<void**>(top);
#if defined(__x86_64__)
    *--frame = nullptr;  // as after a call: the stack is 8 off a multiple of 16
    *--frame = reinterpret_cast<void*>(thread_main);
    for (int i = 0; i < SAVED; i++) *--frame = nullptr;
#else
    frame -= 20;
    memset(frame, 0, 160);
    frame[11] = reinterpret_cast<void*>(thread_main);
#endif
    fibre->stack_pointer = frame;
}

void resume(Fibre* fibre) {
    if (fibre->stack == nullptr) prepare(fibre);
    self = fibre;
    semrep_switch(&scheduler, fibre->stack_pointer);
    if (fibre->state == DONE) {
        free_stacks[free_count++] = fibre->stack;
        fibre->stack = nullptr;
    }
}

void open_barrier() {
    int count = 0;
    const Fibre* first = nullptr;
    for (unsigned t = 0; t < size_of_block; t++)
        if (fibres[t].state == AT_BARRIER) {
            if (first && fibres[t].barrier != first->barrier) {
                char text[200];
                const char* how = fibres[t].line == first->line ? " (two barriers, or one in two calls)" : "";
                snprintf(text, sizeof text, "divergent barrier: threads of one block wait at line %d and at line %d%s",
                         first->line, fibres[t].line, how);
                self = &fibres[t];
                fail(RACE, text, fibres[t].line);
            }
            if (!first) first = &fibres[t];
            count += fibres[t].predicate;
        }
    for (unsigned t = 0; t < size_of_block; t++)
        if (fibres[t].state == AT_BARRIER) fibres[t].count = count, fibres[t].total = int(live), fibres[t].state = READY;
}

[[noreturn]] void stuck() {
    unsigned at_barrier = 0, at_warp = 0;
    int barrier_line = 0, warp_line = 0;
    for (unsigned t = 0; t < size_of_block; t++) {
        if (fibres[t].state == AT_BARRIER) at_barrier++, barrier_line = fibres[t].line;
        if (fibres[t].state == AT_WARP) at_warp++, warp_line = fibres[t].line, self = &fibres[t];
    }
    char text[200];
    if (at_barrier)
        snprintf(text, sizeof text, "deadlock: %u threads wait at the barrier of line %d, %u for lanes of their mask at line %d", at_barrier,
                 barrier_line, at_warp, warp_line);
    else
        snprintf(text, sizeof text, "deadlock: %u threads wait for lanes of their mask at line %d that never come", at_warp, warp_line);
    fail(asked_for_active_mask ? UNSUPPORTED : RACE, asked_for_active_mask ? "__activemask() in divergent code" : text, warp_line);
}

void shuffle_order(unsigned schedule) {
    for (unsigned t = 0; t < size_of_block; t++) order[t] = schedule == 1 ? size_of_block - 1 - t : t;
    if (schedule >= 2)
        for (unsigned t = size_of_block - 1; t > 0; t--) {
            unsigned other = random64() % (t + 1), kept = order[t];
            order[t] = order[other], order[other] = kept;
        }
}

// A warp runs until none of its threads can: it may be far ahead of its block, as on a GPU.
bool run_ahead(unsigned warp, bool backwards) {
    unsigned first = warp * 32, count = size_of_block - first < 32 ? size_of_block - first : 32;
    bool moved = false, again = true;
    for (unsigned sweep = 0; again && sweep < SWEEPS_AHEAD; sweep++) {
        again = false;
        for (unsigned i = 0; i < count; i++) {
            Fibre& f = fibres[first + (backwards ? count - 1 - i : i)];
            if (f.state == READY) resume(&f), moved = again = true;
        }
    }
    return moved;
}

// What two blocks have written to one place is one value, or which of them is last decides.
void compare_overwrites() {
    for (unsigned i = 0; i < overwritten; i++)
        if (memcmp(overwrites[i].at, &overwrites[i].before, overwrites[i].bytes))
            fail(RACE, "blocks of one launch write different values to the same place; which one is last is not known", 0);
    overwritten = 0;
}

void run_block(unsigned schedule) {
    unsigned t = 0;
    for (unsigned z = 0; z < block_size.z; z++)
        for (unsigned y = 0; y < block_size.y; y++)
            for (unsigned x = 0; x < block_size.x; x++, t++) {
                Fibre& f = fibres[t];
                f.index = {x, y, z}, f.linear = t, f.state = READY, f.stack = nullptr, f.calls = 0;
            }
    live = size_of_block;
    for (unsigned w = 0; w <= (size_of_block - 1) / 32; w++) warps[w].used = 0;
    memset(shared_memory, 0xff, shared_size);
    memset(__start_semrep_shared, 0xff, behind_shared - __start_semrep_shared);
    shuffle_order(schedule);
    while (live) {
        bool moved = false;
        for (unsigned i = 0; i < size_of_block; i++)
            if (fibres[order[i]].state != READY) continue;
            else if (schedule & 1) moved |= run_ahead(order[i] / 32, schedule == 1);
            else resume(&fibres[order[i]]), moved = true;
        if (!live) break;
        unsigned waiting = 0;
        for (unsigned i = 0; i < size_of_block; i++) waiting += fibres[i].state == AT_BARRIER;
        if (waiting == live) {
            open_barrier();
            if (schedule >= 2) shuffle_order(schedule);
        } else if (!moved) {
            stuck();
        }
    }
}

void on_signal(int number, siginfo_t* info, void*) {
    if (report->status == RUNNING || report->status == FINISHED) {
        report->status = FAULT;
        report->line = number;
        report->fault_address = reinterpret_cast<int64_t>(info->si_addr);
        if (self) {
            report->thread[0] = self->index.x, report->thread[1] = self->index.y, report->thread[2] = self->index.z;
            report->block[0] = block.x, report->block[1] = block.y, report->block[2] = block.z;
        }
    }
    _exit(3);
}

}  // namespace

Thread* self;
uint3 block, block_size, grid_size;

void fail(int status, const char* text, int line) {
    report->status = status;
    report->line = line;
    if (self) {
        report->thread[0] = self->index.x, report->thread[1] = self->index.y, report->thread[2] = self->index.z;
        report->block[0] = block.x, report->block[1] = block.y, report->block[2] = block.z;
    }
    strncpy(report->text, text, sizeof report->text - 1);
    _exit(3);
}

Call::Call(Place place) : before(me()->calls) { me()->calls = reached(before, place); }
Call::~Call() { me()->calls = before; }

int block_barrier(Vote vote, bool predicate, Place place) {
    Fibre* fibre = me();
    fibre->state = AT_BARRIER, fibre->line = int(place.line()), fibre->predicate = predicate;
    fibre->barrier = reached(fibre->calls, place);
    park();
    int held = fibre->count;
    if (vote == AND) return held == fibre->total;
    if (vote == OR) return held > 0;
    return held;
}

const uint64_t* warp_exchange(unsigned mask, uint64_t mine, unsigned* present, int line) {
    Fibre* fibre = me();
    unsigned own = fibre->linear % 32, first = fibre->linear / 32 * 32;
    if (!(mask >> own & 1)) fail(RACE, "a thread calls a warp function with a mask that does not hold its own lane", line);
    Warp& warp = warps[fibre->linear / 32];
    Meeting* m = nullptr;
    for (unsigned i = 0; i < warp.used && !m; i++)
        if (warp.meetings[i].mask == mask) m = &warp.meetings[i];
    if (!m) {
        if (warp.used == 34) fail(UNSUPPORTED, "more than 34 different warp masks in one block", line);
        m = &warp.meetings[warp.used++];
        m->mask = mask, m->arrived = 0, m->turn = 0;
    }
    unsigned turn = m->turn & 1, wanted = 0;
    m->slots[turn][own] = mine;
    m->arrived |= 1u << own;
    for (unsigned l = 0; l < 32; l++)
        if ((mask >> l & 1) && first + l < size_of_block && fibres[first + l].state != DONE) wanted |= 1u << l;
    if ((m->arrived & wanted) == wanted) {
        m->present[turn] = m->arrived;
        for (unsigned l = 0; l < 32; l++)
            if ((m->arrived >> l & 1) && l != own) fibres[first + l].state = READY;
        m->arrived = 0, m->turn++;
    } else {
        fibre->state = AT_WARP, fibre->line = line;
        park();
    }
    *present = m->present[turn];
    return m->slots[turn];
}

unsigned active_mask() {
    asked_for_active_mask = true;
    unsigned mask = 0, first = me()->linear / 32 * 32;
    for (unsigned l = 0; l < 32; l++)
        if (first + l < size_of_block && fibres[first + l].state != DONE) mask |= 1u << l;
    return mask;
}

unsigned lane() { return me()->linear % 32; }
void expect_aligned(const void* at, unsigned bytes) { expect_aligned(reinterpret_cast<uintptr_t>(at), bytes, 0); }
void yield() { park(); }
Atomic::Atomic(void* at, size_t bytes) { quiet++, use_flags(at, bytes, true, true); }
Atomic::~Atomic() { quiet--; }

void shared(const volatile void* where, size_t bytes) {
    auto at = reinterpret_cast<uintptr_t>(where);
    unsigned i = 0;
    while (i < known_statics && statics[i].at != at) i++;
    if (i == MOST_STATICS) fail(UNSUPPORTED, "more than 256 variables of shared memory", 0);
    if (i == known_statics) statics[known_statics++] = {at, bytes, 0, 0};
    if (statics[i].launch == launch_number && statics[i].block == block_number) return;
    statics[i] = {at, bytes, launch_number, block_number};
    memset(reinterpret_cast<void*>(at), 0xff, bytes);
}

namespace { Dynamic* dynamics; }
Dynamic::Dynamic(void** where) : where(where), next(dynamics) { dynamics = this, *where = shared_memory; }
void* dynamic_shared() { return shared_memory; }
uint64_t ticks() { return clock_ticks += 8; }

}  // namespace semrep

using namespace semrep;

#define SEMREP_HIDDEN __attribute__((visibility("hidden")))
#define SEMREP_HOOK(size)                                                                              \
    SEMREP_HIDDEN void __tsan_read##size(void* p) { touch(p, size, false); }                           \
    SEMREP_HIDDEN void __tsan_write##size(void* p) { touch(p, size, true); }                           \
    SEMREP_HIDDEN void __tsan_unaligned_read##size(void* p) { touch(p, size, false); }                 \
    SEMREP_HIDDEN void __tsan_unaligned_write##size(void* p) { touch(p, size, true); }                 \
    SEMREP_HIDDEN void __tsan_volatile_read##size(void* p) { touch_volatile(p, size, false); }         \
    SEMREP_HIDDEN void __tsan_volatile_write##size(void* p) { touch_volatile(p, size, true); }         \
    SEMREP_HIDDEN void __tsan_unaligned_volatile_read##size(void* p) { touch_volatile(p, size, false); } \
    SEMREP_HIDDEN void __tsan_unaligned_volatile_write##size(void* p) { touch_volatile(p, size, true); }
extern "C" {
__attribute__((visibility("hidden"))) void __ubsan_handle_type_mismatch_v1(Mismatch* what, uintptr_t at) {
    if (!self || report->status != RUNNING || (what->kind != LOAD && what->kind != STORE)) return;
    if (what->log_alignment == 0) fail(OUTSIDE, BEYOND, int(what->line));
    expect_aligned(at, 1u << what->log_alignment, int(what->line));
}
SEMREP_HOOK(1) SEMREP_HOOK(2) SEMREP_HOOK(4) SEMREP_HOOK(8) SEMREP_HOOK(16)
__attribute__((visibility("hidden"))) void __tsan_read_range(void* p, size_t n) { touch(p, n, false); }
__attribute__((visibility("hidden"))) void __tsan_write_range(void* p, size_t n) { touch(p, n, true); }
__attribute__((visibility("hidden"))) void __tsan_func_entry(void*) {}
__attribute__((visibility("hidden"))) void __tsan_func_exit() {}
__attribute__((visibility("hidden"))) void __tsan_init() {}
__attribute__((visibility("hidden"))) void __tsan_vptr_update(void**, void*) {}
__attribute__((visibility("hidden"))) void __tsan_vptr_read(void**) {}
}

// Once in a process: where to report, and handlers on a stack of their own.
extern "C" __attribute__((visibility("default"))) void semrep_begin(void* where) {
    report = static_cast<Report*>(where);
    stack_t alternative = {};
    alternative.ss_size = 64 << 10;
    alternative.ss_sp = malloc(alternative.ss_size);
    sigaltstack(&alternative, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(number, &action, nullptr);
}

// One launch. `dims` is grid then block; `shared` points at `bytes` of dynamic shared memory. Schedule 0 is in order, 1 reversed, others random.
extern "C" __attribute__((visibility("default"))) void semrep_launch(
    void (*kernel)(void**), void** args, const unsigned* dims, void* shared, unsigned long bytes, unsigned schedule, long launch) {
    body = kernel, arguments = args;
    grid_size = {dims[0], dims[1], dims[2]}, block_size = {dims[3], dims[4], dims[5]};
    size_of_block = dims[3] * dims[4] * dims[5];
    shared_memory = static_cast<char*>(shared), shared_size = bytes;
    for (Dynamic* d = dynamics; d; d = d->next) *d->where = shared_memory;
    random_state = 0x9e3779b97f4a7c15ull * (schedule + 1);
    preempting = schedule >= 2, quiet = 0, polls = 0, launch_number++, launch_began = ++now;
    flags.clear(), blocks.clear(), newest.clear();
    report->launch = launch;
    unsigned long count = (unsigned long)dims[0] * dims[1] * dims[2];
    unsigned long step = 1, at = schedule == 1 ? count - 1 : 0;
    if (schedule == 1) step = count - 1;
    if (schedule >= 2 && count > 2) {  // a stride that is prime to the number of blocks visits each once
        step = random64() % count | 1, at = random64() % count;
        auto common = [](unsigned long a, unsigned long b) { while (b) { unsigned long c = a % b; a = b, b = c; } return a; };
        while (common(step, count) != 1) step = (step + 1) % count ? (step + 1) % count : 1;
    }
    for (unsigned long b = 0; b < count; b++, at = (at + step) % count) {
        block = {unsigned(at % dims[0]), unsigned(at / dims[0] % dims[1]), unsigned(at / dims[0] / dims[1])};
        block_number = unsigned(b) + 1, block_began = ++now;
        blocks.push_back({now, uint32_t(flags.size())});
        run_block(schedule);
        compare_overwrites();
    }
    self = nullptr;
}

// The stacks are given back, so that the library can be loaded anew.
extern "C" __attribute__((visibility("default"))) void semrep_end() {
    while (free_count) munmap(free_stacks[--free_count] - GUARD, STACK + GUARD);
}
