// Fibres, barriers and warps. Compiled once and linked to every candidate; the contained child drives it through `semrep_launch`.
#include "runtime.hpp"

#include <csignal>
#include <initializer_list>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

extern "C" {
// The linker makes these where a candidate has static __shared__ variables.
extern char __start_semrep_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_semrep_shared[] __attribute__((weak, visibility("hidden")));
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
constexpr unsigned MOST = 1024, WARPS = MOST / 32;
enum State : uint8_t { READY, AT_BARRIER, AT_WARP, DONE };

struct Fibre : Thread {
    void* stack_pointer;
    char* stack;
    State state;
    int line;
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
bool block_synchronised;  // this block has used an atomic: what it reads of other blocks may be meant
uint32_t block_number, launch_number;

// Who touched a word of global memory by plain accesses; or a byte of it, by accesses of less than a word.
struct Granule { uintptr_t key; uint32_t launch, reader, writer; };
constexpr unsigned GRANULES = 1 << 16, WORD = 4;
Granule granules[GRANULES];

struct Overwrite { void* at; unsigned bytes; uint32_t before; };  // another block's plain write, that this block writes over without reading it
constexpr unsigned OVERWRITES = 1 << 12;
Overwrite overwrites[OVERWRITES];
unsigned overwritten;
bool block_waited;  // this block has waited for another: the order of the two may be meant
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
    auto from = reinterpret_cast<uintptr_t>(__start_semrep_shared), to = reinterpret_cast<uintptr_t>(__stop_semrep_shared);
    if (at - dynamic < shared_size || (from && at - from < to - from)) return true;
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

// What is known of a word, or of a byte where a word is not touched whole.
Granule& granule_of(uintptr_t at, unsigned bytes) {
    uintptr_t key = at * 2 + (bytes < WORD);
    Granule& g = granules[at * 2654435761u >> 8 & (GRANULES - 1)];
    if (g.key != key || g.launch != launch_number) g = {key, launch_number, 0, 0};
    return g;
}

constexpr const char* UNORDERED = "blocks of one launch read and write the same place, and nothing orders the two";

// A word of global memory, or a byte of it, is about to be read or written. `meant`: in whatever order to other blocks.
void touch_global(uintptr_t at, unsigned bytes, bool writes, bool meant) {
    Granule& g = granule_of(at, bytes);
    bool ordered = meant || block_synchronised || block_waited, buffer = is_buffer(at);
    bool written = g.writer && g.writer != block_number, read = g.reader && g.reader != block_number;
    if (!writes) {
        if (buffer && written && !ordered) fail(RACE, UNORDERED, 0);
        g.reader = block_number;
        return;
    }
    if (!ordered && ((buffer && read) || (written && g.reader == block_number))) fail(RACE, UNORDERED, 0);
    if (buffer && written && g.reader != block_number && overwritten < OVERWRITES) {
        Overwrite& o = overwrites[overwritten++] = {reinterpret_cast<void*>(at), bytes, 0};
        memcpy(&o.before, o.at, bytes);
    }
    g.writer = block_number;
}

// Called before every access of a candidate to memory (g++ -fsanitize=thread, without its library).
void touch(void* where, size_t bytes, bool writes, bool meant = false) {
    if (!self || report->status != RUNNING) return;
    auto at = reinterpret_cast<uintptr_t>(where), word = at & ~uintptr_t(WORD - 1);
    if (word != polled || (writes && !quiet)) {
        if (!belongs_to_a_thread(word)) polled = word, polls = 0;
    } else if (++polls > MOST_POLLS && (size_of_block > 1 || grid_size.x * grid_size.y * grid_size.z > 1)) {
        fail(UNSUPPORTED, "a thread waits for what another is to write, and threads change at barriers only here", 0);
    }
    if (quiet) return;
    if (at - reinterpret_cast<uintptr_t>(me()->stack) >= STACK && !is_shared(at)) {
        unsigned unit = bytes < WORD ? 1 : WORD;
        for (size_t done = 0; done < bytes; done += unit) touch_global(unit == 1 ? at + done : word + done, unit, writes, meant);
    }
    if (preempting && random64() % 8 == 0) park();
}

// As `touch`, of a volatile variable: who reads what another block has written may be waiting for it, and so is ordered behind it.
void touch_volatile(void* where, size_t bytes, bool writes) {
    if (self && report->status == RUNNING && !writes) {
        auto at = reinterpret_cast<uintptr_t>(where);
        unsigned writer = granule_of(bytes < WORD ? at : at & ~uintptr_t(WORD - 1), bytes).writer;
        if (writer && writer != block_number) block_synchronised = true;
    }
    touch(where, bytes, writes, true);
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

// What g++ -fsanitize=alignment calls, without its library.
struct Unaligned { const char* file; unsigned line, column; const void* type; uint8_t log_alignment, kind; };
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
    int count = 0, line = 0;
    for (unsigned t = 0; t < size_of_block; t++)
        if (fibres[t].state == AT_BARRIER) {
            if (line && fibres[t].line != line) {
                char text[200];
                snprintf(text, sizeof text, "divergent barrier: threads of one block wait at line %d and at line %d", line, fibres[t].line);
                self = &fibres[t];
                fail(RACE, text, fibres[t].line);
            }
            line = fibres[t].line;
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
    for (unsigned i = 0; i < overwritten && !block_waited; i++)
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
                f.index = {x, y, z}, f.linear = t, f.state = READY, f.stack = nullptr;
            }
    live = size_of_block;
    for (unsigned w = 0; w <= (size_of_block - 1) / 32; w++) warps[w].used = 0;
    memset(shared_memory, 0xff, shared_size);
    if (__start_semrep_shared) memset(__start_semrep_shared, 0xff, __stop_semrep_shared - __start_semrep_shared);
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

int block_barrier(int line, Vote vote, bool predicate) {
    Fibre* fibre = me();
    fibre->state = AT_BARRIER, fibre->line = line, fibre->predicate = predicate;
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
void yield() { block_waited = true, park(); }
Atomic::Atomic() { quiet++, block_synchronised = true; }
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
__attribute__((visibility("hidden"))) void __ubsan_handle_type_mismatch_v1(Unaligned* what, uintptr_t at) {
    if (what->kind == LOAD || what->kind == STORE) expect_aligned(at, 1u << what->log_alignment, int(what->line));
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
    preempting = schedule >= 2, quiet = 0, polls = 0, launch_number++;
    report->launch = launch;
    unsigned long blocks = (unsigned long)dims[0] * dims[1] * dims[2];
    unsigned long step = 1, at = schedule == 1 ? blocks - 1 : 0;
    if (schedule == 1) step = blocks - 1;
    if (schedule >= 2 && blocks > 2) {  // a stride that is prime to the number of blocks visits each once
        step = random64() % blocks | 1, at = random64() % blocks;
        auto common = [](unsigned long a, unsigned long b) { while (b) { unsigned long c = a % b; a = b, b = c; } return a; };
        while (common(step, blocks) != 1) step = (step + 1) % blocks ? (step + 1) % blocks : 1;
    }
    for (unsigned long b = 0; b < blocks; b++, at = (at + step) % blocks) {
        block = {unsigned(at % dims[0]), unsigned(at / dims[0] % dims[1]), unsigned(at / dims[0] / dims[1])};
        block_number = unsigned(b) + 1, block_synchronised = block_waited = false;
        run_block(schedule);
        compare_overwrites();
    }
    self = nullptr;
}

// The stacks are given back, so that the library can be loaded anew.
extern "C" __attribute__((visibility("default"))) void semrep_end() {
    while (free_count) munmap(free_stacks[--free_count] - GUARD, STACK + GUARD);
}
