#include "emulator.h"

#include <cuda_runtime.h>

#include <setjmp.h>
#include <stdio.h>
#include <ucontext.h>

#include <utility>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t stack_bytes = 64 << 10;
constexpr int max_threads = 1024;

struct fiber {
    jmp_buf at;
    char *stack;
    dim3 index;
    bool started, done;
};

struct machine {
    fiber fibers[max_threads];
    jmp_buf scheduler;
    int threads, running;
    uint32_t order;
    int block_arrived, warp_arrived[max_threads / 32];
    uint32_t block_round, warp_round[max_threads / 32];
    uint32_t slots[2][max_threads];
    std::vector<float> shared;
    void (*thread)(const void *);
    const void *call;
    bool progress;
} m;

[[noreturn]] void give_up(const char *why) {
    fprintf(stderr, "CUDA on the CPU: %s (block %u, %u; thread %d)\n", why, blockIdx.x, blockIdx.y, m.running);
    abort();
}

/// Goes on when the scheduler comes back to this thread.
void change() {
    if (!_setjmp(m.fibers[m.running].at)) _longjmp(m.scheduler, 1);
}

/// One thread after the other in the same coroutine: making one costs far more than changing to it.
void run_threads() {
    for (;;) {
        m.thread(m.call);
        m.fibers[m.running].done = true;
        m.progress = true;
        change();
    }
}

void wait(int *arrived, uint32_t *round, int count) {
    const uint32_t mine = *round;
    m.progress = true;
    if (++*arrived == count) {
        *arrived = 0;
        ++*round;
    }
    while (*round == mine) change();
}

void enter(int thread) {
    fiber &f = m.fibers[thread];
    m.running = thread;
    threadIdx = f.index;
    if (_setjmp(m.scheduler)) return;
    if (f.started) _longjmp(f.at, 1);
    f.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack;
    context.uc_stack.ss_size = stack_bytes;
    context.uc_link = nullptr;
    makecontext(&context, run_threads, 0);
    setcontext(&context);
}

void run_block(dim3 block) {
    for (int t = 0; t < m.threads; t++) {
        fiber &f = m.fibers[t];
        if (!f.stack) f.stack = static_cast<char *>(malloc(stack_bytes));
        f.index = dim3(t % block.x, t / block.x % block.y, t / block.x / block.y);
        f.done = false;
    }
    m.block_arrived = 0;
    memset(m.warp_arrived, 0, sizeof m.warp_arrived);
    for (float &value : m.shared) value = NAN; // what is read without being written shows
    std::vector<int> order(m.threads);
    for (int t = 0; t < m.threads; t++) order[t] = m.order == 1 ? m.threads - 1 - t : t;
    uint32_t random = m.order;
    for (int t = m.threads - 1; t > 0 && m.order > 1; t--) {
        random = random * 1664525u + 1013904223u; // Numerical Recipes: any order will do
        std::swap(order[t], order[(random >> 16) % (t + 1)]);
    }
    for (int left = m.threads; left > 0;) {
        m.progress = false;
        left = 0;
        for (int t : order) {
            if (!m.fibers[t].done) enter(t);
            left += !m.fibers[t].done;
        }
        if (left && !m.progress) give_up("threads wait for others that do not come");
    }
    if (m.block_arrived) give_up("some threads are at a barrier, others have ended");
}

} // namespace

void nm_emulator_run(dim3 grid, dim3 block, size_t shared, void (*thread)(const void *), const void *call) {
    m.threads = (int)(block.x * block.y * block.z);
    if (m.threads > max_threads) give_up("too many threads in a block");
    m.shared.assign(shared / sizeof(float), 0.0f);
    m.thread = thread;
    m.call = call;
    blockDim = block;
    gridDim = grid;
    for (unsigned y = 0; y < grid.y; y++) {
        for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = dim3(x, y);
            run_block(block);
        }
    }
}

float *nm_emulator_shared() {
    return m.shared.data();
}
void __syncthreads() {
    wait(&m.block_arrived, &m.block_round, m.threads);
}
int nm_emulator_lane() {
    return m.running % 32;
}
const uint32_t *nm_emulator_exchange(uint32_t value) {
    // Two sets of slots in turn: a lane can be one exchange ahead of another, not two.
    const int warp = m.running / 32;
    uint32_t *slots = m.slots[m.warp_round[warp] & 1];
    slots[m.running] = value;
    wait(&m.warp_arrived[warp], &m.warp_round[warp], 32);
    return slots + warp * 32;
}
void nm_emulator_set_order(uint32_t order) {
    m.order = order;
}
