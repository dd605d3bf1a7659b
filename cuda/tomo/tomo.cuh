// What the reconstruction kernels share: bins side by side in planes, and tiles of pixels.
#ifndef XRDCT_TOMO_CUH
#define XRDCT_TOMO_CUH

#include "lib/read_only.cuh"
#include "lib/warp.cuh"
#include "params.h"

namespace xrdct {

constexpr uint32_t PLANES = XRDCT_TOMO_PLANES;
constexpr uint32_t TILE = XRDCT_TOMO_TILE;
constexpr uint32_t TURNS = XRDCT_TOMO_TURNS;

// Values of the bins that a thread works on.
struct Side {
    float4 plane[PLANES];

    // Adds weight times the values at `from`, whose planes lie `stride` values apart.
    __device__ __forceinline__ void add(float weight, ReadOnly<float4> from, size_t stride) {
#pragma unroll
        for (uint32_t k = 0; k < PLANES; ++k) {
            const float4 value = from[k * stride];
            plane[k].x = fmaf(weight, value.x, plane[k].x);
            plane[k].y = fmaf(weight, value.y, plane[k].y);
            plane[k].z = fmaf(weight, value.z, plane[k].z);
            plane[k].w = fmaf(weight, value.w, plane[k].w);
        }
    }
};

__device__ __forceinline__ size_t rays_of(const XrdctTomo& tomo) { return (size_t)tomo.rotations * tomo.translations; }
__device__ __forceinline__ size_t pixels_of(const XrdctTomo& tomo) { return (size_t)tomo.rows * tomo.columns; }

// The pixel of this thread: blockIdx.x counts tiles of the image, a warp takes 8 x 4 pixels of one, so that its rays lie close
// together whatever the rotation.
struct Pixel {
    uint32_t first_column, in_tile, row;

    __device__ __forceinline__ explicit Pixel(const XrdctTomo& tomo) {
        const uint32_t across = (tomo.columns + TILE - 1) / TILE;
        const uint32_t lane = lane_id(), warp = warp_id();
        first_column = blockIdx.x % across * TILE;
        in_tile = warp % 2 * 8 + lane % 8;
        row = blockIdx.x / across * TILE + warp / 2 * 4 + lane / 8;
    }

    __device__ __forceinline__ uint32_t column() const { return first_column + in_tile; }
    __device__ __forceinline__ bool is_inside(const XrdctTomo& tomo) const { return row < tomo.rows && column() < tomo.columns; }
    __device__ __forceinline__ size_t index(const XrdctTomo& tomo) const { return (size_t)row * tomo.columns + column(); }
};

}  // namespace xrdct

#endif
