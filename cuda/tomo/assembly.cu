// Patterns to mended sinograms, on the device where the patterns lie.
//
// What     gather       : each value the weighted mean of its frames' patterns, or between two such means where a point is missing;
//                         marks bins that hold something that is not a number
//          air          : takes off what both ends of each row see;          scale : multiplies each row
//          shift        : moves each row between its neighbours
//          column_means, stripes : what a translation has too much of at every rotation
// Layout   patterns [frame][bin], sinograms [bin][rotation][translation], float32
// Mapping  gather: a block takes 32 values of 32 bins: a warp reads 32 bins of a pattern at once, and writes 32 values of a bin at
//          once; air: a thread a row; column_means: a thread a column; the others: a thread a value
// Cost     each pattern read once, each sinogram written once: 0.2 ms for 90,000 patterns of 1000 bins on an H200
// Safety   bins and values are checked against their counts; frames, points and rows are checked by the host when the tables
//          are made
// CPU      src/tomo/assembly.rs (scan.rs, repair.rs), bit for bit: no multiply-add is fused
#include "lib/warp.cuh"
#include "params.h"

constexpr uint32_t SIDE = 32;

static __device__ __forceinline__ size_t rays_of(const XrdctAssembly& a) { return (size_t)a.rotations * a.translations; }

// The point's mean in one bin; NaN when it has no value.
static __device__ __forceinline__ float mean_of(const float* __restrict__ patterns, const XrdctShare* __restrict__ shares,
                                                const uint32_t* __restrict__ starts, uint32_t point, uint32_t npt, uint32_t bin) {
    double sum = 0.0, weights = 0.0;
    for (uint32_t i = starts[point]; i < starts[point + 1]; ++i) {
        const XrdctShare share = shares[i];
        const float value = patterns[(size_t)share.frame * npt + bin];
        if (!isfinite(value)) continue;
        sum = __dadd_rn(sum, __dmul_rn(share.factor, (double)value));
        weights = __dadd_rn(weights, (double)share.weight);
    }
    return weights > 0.0 ? (float)(sum / weights) : __int_as_float(0x7fffffff);
}

static __device__ __forceinline__ float between(float left, float right, float share) {
    return __fadd_rn(__fmul_rn(left, 1.0f - share), __fmul_rn(right, share));
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS)
    xrdct_tomo_gather(const float* __restrict__ patterns, const XrdctShare* __restrict__ shares,
                      const uint32_t* __restrict__ starts, const XrdctSource* __restrict__ sources, float* __restrict__ sinograms,
                      uint32_t* __restrict__ empty, const __grid_constant__ XrdctAssembly a) {
    // One column more than is used: neither the rows nor the columns of it meet in a bank.
    __shared__ float tile[SIDE][SIDE + 1];
    const size_t rays = rays_of(a), first_ray = (size_t)blockIdx.x * SIDE;
    const uint32_t first_bin = blockIdx.y * SIDE, lane = xrdct::lane_id(), warps = blockDim.x / SIDE;
    const uint32_t bin = first_bin + lane;
    if (bin < a.bins) {
        for (uint32_t r = xrdct::warp_id(); r < SIDE && first_ray + r < rays; r += warps) {
            const XrdctSource source = sources[first_ray + r];
            float value = mean_of(patterns, shares, starts, source.left, a.npt, a.first + bin);
            if (source.right != source.left)
                value = between(value, mean_of(patterns, shares, starts, source.right, a.npt, a.first + bin), source.share);
            // Many may say so; all say the same.
            if (!isfinite(value)) empty[bin] = 1;
            tile[r][lane] = value;
        }
    }
    __syncthreads();
    const size_t ray = first_ray + lane;
    if (ray >= rays) return;
    for (uint32_t b = xrdct::warp_id(); b < SIDE && first_bin + b < a.bins; b += warps)
        sinograms[(first_bin + b) * rays + ray] = tile[lane][b];
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS)
    xrdct_tomo_air(float* __restrict__ sinograms, const __grid_constant__ XrdctAssembly a) {
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (size_t)a.bins * a.rotations) return;
    const uint32_t n = a.translations;
    float* row = sinograms + index * n;
    float left = 0.0f, right = 0.0f;
    for (uint32_t t = 0; t < a.edge; ++t) left += row[t], right += row[n - a.edge + t];
    left /= (float)a.edge;
    right /= (float)a.edge;
    const float first = ((float)a.edge - 1.0f) / 2.0f, span = (float)(n - a.edge);
    for (uint32_t t = 0; t < n; ++t) {
        const float along = __fmul_rn(right - left, (float)t - first) / span;
        row[t] -= left + along;
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS)
    xrdct_tomo_scale(float* __restrict__ sinograms, const float* __restrict__ factors, const __grid_constant__ XrdctAssembly a) {
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < a.bins * rays_of(a)) sinograms[index] *= factors[index / a.translations % a.rotations];
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS)
    xrdct_tomo_shift(const float* __restrict__ sinograms, const float* __restrict__ shifts, float* __restrict__ shifted,
                     const __grid_constant__ XrdctAssembly a) {
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= a.bins * rays_of(a)) return;
    const uint32_t n = a.translations, t = index % n;
    const float place = fminf(fmaxf((float)t - shifts[index / n % a.rotations], 0.0f), (float)(n - 1));
    const uint32_t left = (uint32_t)place;
    const float* row = sinograms + (index - t);
    shifted[index] = between(row[left], row[min(left + 1, n - 1)], place - (float)left);
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS)
    xrdct_tomo_column_means(const float* __restrict__ sinograms, double* __restrict__ means,
                            const __grid_constant__ XrdctAssembly a) {
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const uint32_t n = a.translations;
    if (index >= (size_t)a.bins * n) return;
    const float* column = sinograms + index / n * rays_of(a) + index % n;
    double sum = 0.0;
    for (uint32_t r = 0; r < a.rotations; ++r) sum += (double)column[(size_t)r * n];
    means[index] = sum / (double)a.rotations;
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS)
    xrdct_tomo_stripes(float* __restrict__ sinograms, const double* __restrict__ means, const __grid_constant__ XrdctAssembly a) {
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= a.bins * rays_of(a)) return;
    const uint32_t n = a.translations, t = index % n;
    const double* of = means + index / rays_of(a) * n;
    const double before = of[t > 0 ? t - 1 : 0], after = of[min(t + 1, n - 1)];
    const double usual = fmin(fmax(of[t], fmin(before, after)), fmax(before, after));
    sinograms[index] -= (float)(of[t] - usual);
}
