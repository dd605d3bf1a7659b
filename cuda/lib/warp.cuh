// What 32 threads do together: prefix sums and broadcasts. Every function must be called by the whole warp.
#ifndef XRDCT_WARP_CUH
#define XRDCT_WARP_CUH

#include <stdint.h>

// Shared memory whose size the launch decides. (The emulator of tests/gpu brings its own.)
#ifndef XRDCT_DYNAMIC_SHARED
#define XRDCT_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

namespace xrdct {

constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xFFFFFFFFu;

__device__ __forceinline__ unsigned lane_id() { return threadIdx.x & (WARP - 1); }
__device__ __forceinline__ unsigned warp_id() { return threadIdx.x / WARP; }

// Sum over this lane and all lanes below it; wraps. T is uint32_t or unsigned long long.
template <typename T>
__device__ __forceinline__ T warp_inclusive_sum(T value) {
    const unsigned lane = lane_id();
#pragma unroll
    for (unsigned reach = 1; reach < WARP; reach *= 2) {
        const T below = __shfl_up_sync(ALL_LANES, value, reach);
        if (lane >= reach) value += below;
    }
    return value;
}

// Sum over the warp, in every lane; wraps.
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (unsigned reach = WARP / 2; reach > 0; reach /= 2) value += __shfl_xor_sync(ALL_LANES, value, reach);
    return value;
}

// A row in shared memory, written where a bit says so, without a branch. (Through an ordinary pointer the compiler works
// out the address of shared memory again at every store.) T is float or an unsigned integer.
template <typename T>
struct SharedRow {
#if defined(__CUDA_ARCH__)
    uint32_t address;
    __device__ __forceinline__ explicit SharedRow(T* row) : address((uint32_t)__cvta_generic_to_shared(row)) {}
    __device__ __forceinline__ void store_if(uint32_t bit, uint32_t place, T value) const {
        const uint32_t to = address + (uint32_t)sizeof(T) * place;
#define XRDCT_STORE_IF(type, constraint, bits) \
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %2, 0; @p st.shared." type " [%0], %1; }" ::"r"(to), constraint(bits), "r"(bit) : "memory")
        if constexpr (sizeof(T) == 1) XRDCT_STORE_IF("u8", "r", (uint32_t)value);
        else if constexpr (sizeof(T) == 2) XRDCT_STORE_IF("u16", "h", (unsigned short)value);
        else if constexpr (sizeof(T) == 8) XRDCT_STORE_IF("u64", "l", (unsigned long long)value);
        else if constexpr ((T)0.5f != (T)0) XRDCT_STORE_IF("f32", "f", value);
        else XRDCT_STORE_IF("u32", "r", (uint32_t)value);
#undef XRDCT_STORE_IF
    }
#else
    T* row;
    explicit SharedRow(T* row) : row(row) {}
    void store_if(uint32_t bit, uint32_t place, T value) const {
        if (bit) row[place] = value;
    }
#endif
};

// Bits that any lane has set, in every lane.
__device__ __forceinline__ uint32_t warp_or(uint32_t bits) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    return __reduce_or_sync(ALL_LANES, bits);
#else
#pragma unroll
    for (unsigned reach = WARP / 2; reach > 0; reach /= 2) bits |= __shfl_xor_sync(ALL_LANES, bits, reach);
    return bits;
#endif
}

}  // namespace xrdct

#endif
