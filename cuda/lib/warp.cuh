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
