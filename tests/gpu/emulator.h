// CUDA for a host compiler, small and slow: enough to run this project's kernels, exactly, without a GPU.
//
// Every thread of a block is a fiber. A collective (shuffle, vote, barrier) makes a fiber wait until all others of its
// warp or block have come to the same place. Blocks run one after another. With -fsanitize=address,undefined this also
// finds accesses outside a buffer. What it cannot find are races between warps: compute-sanitizer does that on a GPU.
#ifndef XRDCT_EMULATOR_H
#define XRDCT_EMULATOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __restrict__
#define __grid_constant__
#define XRDCT_DYNAMIC_SHARED(name) unsigned char* name = emulator::dynamic_shared.data()

struct Dim3 {
    unsigned x = 1, y = 1, z = 1;
};
inline Dim3 threadIdx, blockIdx, blockDim, gridDim;

struct uint4 {
    uint32_t x, y, z, w;
};
struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

namespace emulator {

inline std::vector<unsigned char> dynamic_shared;

// A place where `expected` fibers meet; the last to come opens it.
struct Meeting {
    unsigned expected = 0, arrived = 0;
    uint64_t round = 0;
};

struct Warp {
    Meeting meeting;
    uint64_t given[32], result[32];
};

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool done = false;
};

inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline Meeting block;
inline ucontext_t scheduler;
inline unsigned current;
inline const std::function<void()>* body;

inline void wait() {
    const unsigned self = current;
    swapcontext(&fibers[self].context, &scheduler);
}

inline void open(Meeting& meeting) {
    meeting.arrived = 0;
    ++meeting.round;
}

// What the block's fibers say at this barrier, and at the one after it.
inline int votes[2];

inline void open_block() {
    open(block);
    votes[block.round & 1] = 0;
}

inline void open_warp(Warp& warp) {
    memcpy(warp.result, warp.given, sizeof warp.given);
    open(warp.meeting);
}

// Gives a value to the warp; returns all that were given.
inline const uint64_t* meet_warp(uint64_t value) {
    Warp& warp = warps[current / 32];
    const uint64_t round = warp.meeting.round;
    warp.given[current % 32] = value;
    if (++warp.meeting.arrived == warp.meeting.expected) open_warp(warp);
    while (warp.meeting.round == round) wait();
    return warp.result;
}

// Whether any fiber of the block votes for it.
inline int meet_block(int vote) {
    const uint64_t round = block.round;
    votes[round & 1] |= vote;
    if (++block.arrived == block.expected) open_block();
    while (block.round == round) wait();
    return votes[round & 1];
}

// A fiber that ends is waited for no longer.
inline void run_fiber() {
    (*body)();
    const unsigned self = current;
    Warp& warp = warps[self / 32];
    fibers[self].done = true;
    if (--warp.meeting.expected == warp.meeting.arrived && warp.meeting.arrived > 0) open_warp(warp);
    if (--block.expected == block.arrived && block.arrived > 0) open_block();
    swapcontext(&fibers[self].context, &scheduler);
}

inline void launch(Dim3 grid, unsigned threads, size_t shared_bytes, const std::function<void()>& kernel) {
    body = &kernel;
    gridDim = grid;
    blockDim = {threads, 1, 1};
    fibers.resize(threads);
    for (unsigned y = 0; y < grid.y; ++y) {
        for (unsigned x = 0; x < grid.x; ++x) {
            blockIdx = {x, y, 0};
            dynamic_shared.assign(shared_bytes, 0xA5);
            warps.assign((threads + 31) / 32, Warp());
            for (unsigned t = 0; t < threads; ++t) ++warps[t / 32].meeting.expected;
            block = Meeting();
            block.expected = threads;
            votes[0] = votes[1] = 0;
            for (Fiber& fiber : fibers) {
                fiber.done = false;
                fiber.stack.resize(1 << 16);
                getcontext(&fiber.context);
                fiber.context.uc_stack.ss_sp = fiber.stack.data();
                fiber.context.uc_stack.ss_size = fiber.stack.size();
                fiber.context.uc_link = &scheduler;
                makecontext(&fiber.context, run_fiber, 0);
            }
            for (bool busy = true; busy;) {
                busy = false;
                for (current = 0; current < threads; ++current) {
                    if (fibers[current].done) continue;
                    busy = true;
                    threadIdx = {current, 0, 0};
                    swapcontext(&scheduler, &fibers[current].context);
                }
            }
        }
    }
}

template <typename T>
uint64_t pack(T value) {
    uint64_t word = 0;
    memcpy(&word, &value, sizeof value);
    return word;
}

template <typename T>
T unpack(uint64_t word) {
    T value;
    memcpy(&value, &word, sizeof value);
    return value;
}

}  // namespace emulator

// `threadIdx` is one variable for all fibers, set when a fiber is resumed: the scheduler sets it before each resumption.
inline void __syncthreads() { emulator::meet_block(0); }
inline int __syncthreads_or(int predicate) { return emulator::meet_block(predicate != 0); }
inline void __syncwarp() { emulator::meet_warp(0); }

template <typename T>
T __shfl_sync(unsigned, T value, int from) {
    return emulator::unpack<T>(emulator::meet_warp(emulator::pack(value))[from & 31]);
}
template <typename T>
T __shfl_up_sync(unsigned, T value, unsigned reach) {
    const unsigned lane = threadIdx.x & 31;
    return emulator::unpack<T>(emulator::meet_warp(emulator::pack(value))[lane >= reach ? lane - reach : lane]);
}
template <typename T>
T __shfl_down_sync(unsigned, T value, unsigned reach) {
    const unsigned lane = threadIdx.x & 31;
    return emulator::unpack<T>(emulator::meet_warp(emulator::pack(value))[lane + reach < 32 ? lane + reach : lane]);
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, unsigned mask) {
    const unsigned lane = threadIdx.x & 31;
    return emulator::unpack<T>(emulator::meet_warp(emulator::pack(value))[lane ^ mask]);
}
inline unsigned __ballot_sync(unsigned, int predicate) {
    const uint64_t* votes = emulator::meet_warp(predicate != 0);
    unsigned ballot = 0;
    for (int lane = 0; lane < 32; ++lane) ballot |= (unsigned)(votes[lane] & 1) << lane;
    return ballot;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }

inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz((unsigned)x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; ++i) sum += (int)(int8_t)(a >> (8 * i)) * (int)(int8_t)(b >> (8 * i));
    return sum;
}
inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift) {
    return (uint32_t)(((uint64_t)high << 32 | low) >> (shift & 31));
}
inline uint32_t __funnelshift_l(uint32_t low, uint32_t high, uint32_t shift) {
    return (uint32_t)(((uint64_t)high << 32 | low) << (shift & 31) >> 32);
}
template <typename T>
T atomicAdd(T* to, T value) {
    const T before = *to;
    *to += value;
    return before;
}
inline float __int_as_float(int bits) { return emulator::unpack<float>((uint32_t)bits); }
inline long long __double2ll_rn(double x) { return llrint(x); }
template <typename T>
T __ldg(const T* from) {
    return *from;
}
// x86-64 without -march has no fused multiply-add that a compiler could contract these to.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
using std::min;

#endif
