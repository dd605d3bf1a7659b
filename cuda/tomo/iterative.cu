// SIRT and MLEM: Joseph's projector, its exact transpose, and one step of each method in their last lines.
//
// What     start    : the first image of MLEM, 1 where pixels are kept
//          forward  : A·x for every ray, then what is left of the measurement (sirt) or its ratio to it (mlem)
//          backward : Aᵀ of that for every kept pixel, then the pixel's step (sirt: added, mlem: multiplied)
// Layout   planes of float4 as in fbp.cu: images [plane][pixel], rows [plane][ray]
// Mapping  forward: a thread one ray of 16 bins; backward: tiles as in back_project, a thread one pixel of 16 bins
// Cost     an iteration reads two pixels a ray and line, and two rays a pixel and rotation, through the caches
// Safety   as in fbp.cu; both directions gather: no atomics, the same order always
// CPU      src/tomo/project.rs, src/tomo/iterative.rs; weights are computed here in the same order, bit for bit: u is a large
//          number whose last bit is worth 1e-5 of a weight
#include "tomo/tomo.cuh"

#include <float.h>

using namespace xrdct;

// One value of the four bins of a plane after the other.
template <typename Step>
static __device__ __forceinline__ float4 each(float4 a, float4 b, Step step) {
    return make_float4(step(a.x, b.x), step(a.y, b.y), step(a.z, b.z), step(a.w, b.w));
}

// What a ray counts in a pixel that is seen this far from it.
static __device__ __forceinline__ float weight_of(const XrdctView& view, float distance) {
    return view.height * fmaxf(__fsub_rn(1.0f, __fmul_rn(fabsf(distance), view.slope)), 0.0f);
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_start(const __grid_constant__ XrdctStart a) {
    const XrdctTomo& tomo = a.tomo;
    const size_t pixels = pixels_of(tomo), pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const float value = read_only(a.kept)[pixel] ? 1.0f : 0.0f;
    reinterpret_cast<float4*>(a.image)[blockIdx.y * pixels + pixel] = make_float4(value, value, value, value);
}

// The ray's sums, and where its values lie; false beyond the last ray.
static __device__ __forceinline__ bool project(const XrdctForward& a, size_t* ray, Side* sums) {
    const XrdctTomo& tomo = a.tomo;
    const size_t pixels = pixels_of(tomo);
    *ray = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (*ray >= rays_of(tomo)) return false;
    const XrdctView view = read_only(a.views)[*ray / tomo.translations];
    const float t = (float)(*ray % tomo.translations);
    const bool by_rows = fabsf(view.along_x) >= fabsf(view.along_y);
    const uint32_t lines = by_rows ? tomo.rows : tomo.columns, across = by_rows ? tomo.columns : tomo.rows;
    const float along_line = by_rows ? view.along_y : view.along_x;
    const float along_across = by_rows ? view.along_x : view.along_y;
    const size_t line_stride = by_rows ? tomo.columns : 1, across_stride = by_rows ? 1 : tomo.columns;
    const ReadOnly<float4> from = read_only_as<float4>(a.image) + (size_t)blockIdx.y * PLANES * pixels;
    for (uint32_t line = 0; line < lines; ++line) {
        const float start = __fadd_rn(view.origin, __fmul_rn((float)line, along_line));
        // Where the ray crosses this line, in pixels across it: at most one pixel outside matters.
        const float crossing = floorf((t - start) / along_across);
        if (!(crossing >= -1.0f && crossing < (float)across)) continue;
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            const int place = (int)crossing + side;
            if (place < 0 || place >= (int)across) continue;
            const float u = __fadd_rn(start, __fmul_rn((float)place, along_across));
            sums->add(weight_of(view, t - u), from + line * line_stride + (size_t)place * across_stride, pixels);
        }
    }
    return true;
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_forward_sirt(const __grid_constant__ XrdctForward a) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<float4> measured = read_only_as<float4>(a.measured);
    float4* rest = reinterpret_cast<float4*>(a.rest);
    size_t ray;
    Side sums = {};
    if (!project(a, &ray, &sums)) return;
    const float scale = read_only(a.scales)[ray];
#pragma unroll
    for (uint32_t k = 0; k < PLANES; ++k) {
        const size_t at = ((size_t)blockIdx.y * PLANES + k) * rays_of(tomo) + ray;
        rest[at] = each(measured[at], sums.plane[k], [&](float seen, float sum) { return (seen - sum) * scale; });
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_forward_mlem(const __grid_constant__ XrdctForward a) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<float4> measured = read_only_as<float4>(a.measured);
    float4* ratio = reinterpret_cast<float4*>(a.rest);
    size_t ray;
    Side sums = {};
    if (!project(a, &ray, &sums)) return;
    const bool counts = read_only(a.scales)[ray] > 0.0f;
#pragma unroll
    for (uint32_t k = 0; k < PLANES; ++k) {
        const size_t at = ((size_t)blockIdx.y * PLANES + k) * rays_of(tomo) + ray;
        ratio[at] = each(measured[at], sums.plane[k],
                         [&](float seen, float sum) { return counts && sum > FLT_MIN ? fmaxf(seen, 0.0f) / sum : 0.0f; });
    }
}

// The pixel's sums over all rays that it lies on.
static __device__ __forceinline__ void project_back(const XrdctBackward& a, const Pixel& pixel, Side* sums) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<XrdctView> views = {a.views};
    __shared__ XrdctView staged[TURNS];
    const size_t rays = rays_of(tomo);
    const uint32_t n = tomo.translations;
    const float row = (float)pixel.row, column = (float)pixel.column();
    ReadOnly<float4> from = read_only_as<float4>(a.rest) + (size_t)blockIdx.y * PLANES * rays;
    for (uint32_t first = 0; first < tomo.rotations; first += TURNS) {
        const uint32_t count = min(TURNS, tomo.rotations - first);
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) staged[i] = views[first + i];
        __syncthreads();
        for (uint32_t i = 0; i < count; ++i, from = from + n) {
            const XrdctView view = staged[i];
            const float u = __fadd_rn(__fadd_rn(view.origin, __fmul_rn(row, view.along_y)), __fmul_rn(column, view.along_x));
            const float reach = 1.0f / view.slope;
            const float end = fminf(floorf(u + reach), (float)(n - 1));
            for (float t = fmaxf(ceilf(u - reach), 0.0f); t <= end; t += 1.0f) {
                sums->add(weight_of(view, t - u), from + (uint32_t)t, rays);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_TOMO_TILE_THREADS)
    xrdct_tomo_backward_sirt(const __grid_constant__ XrdctBackward a) {
    const XrdctTomo& tomo = a.tomo;
    float4* image = reinterpret_cast<float4*>(a.image);
    const Pixel pixel(tomo);
    Side sums = {};
    project_back(a, pixel, &sums);
    if (!pixel.is_inside(tomo) || !read_only(a.kept)[pixel.index(tomo)]) return;
    const float scale = read_only(a.scales)[pixel.index(tomo)];
#pragma unroll
    for (uint32_t k = 0; k < PLANES; ++k) {
        const size_t at = ((size_t)blockIdx.y * PLANES + k) * pixels_of(tomo) + pixel.index(tomo);
        image[at] =
            each(image[at], sums.plane[k], [&](float value, float step) { return fmaxf(value + step * scale, tomo.least); });
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_TOMO_TILE_THREADS)
    xrdct_tomo_backward_mlem(const __grid_constant__ XrdctBackward a) {
    const XrdctTomo& tomo = a.tomo;
    float4* image = reinterpret_cast<float4*>(a.image);
    const Pixel pixel(tomo);
    Side sums = {};
    project_back(a, pixel, &sums);
    if (!pixel.is_inside(tomo) || !read_only(a.kept)[pixel.index(tomo)]) return;
    const float scale = read_only(a.scales)[pixel.index(tomo)];
#pragma unroll
    for (uint32_t k = 0; k < PLANES; ++k) {
        const size_t at = ((size_t)blockIdx.y * PLANES + k) * pixels_of(tomo) + pixel.index(tomo);
        image[at] = each(image[at], sums.plane[k], [&](float value, float step) { return value * (step * scale); });
    }
}
