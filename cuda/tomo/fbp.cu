// Sinograms to slices: bins laid side by side, rows filtered, back-projected, bins taken apart again.
//
// What     side_by_side : [bin][ray] to planes of four bins, [plane][ray]; 0 for bins that are marked as empty, if any are
//          filter       : every row convolved with the filter's taps
//          back_project : every pixel collects the filtered rows' values where each rotation sees it
//          apart        : [plane][pixel] to [bin][pixel]; pixels that are not kept become 0
// Layout   planes of float4: neighbouring translations, and neighbouring pixels, are 16 bytes apart
// Mapping  filter: blockIdx.x = (rotation, run of the row), blockIdx.y = two planes, a thread two values of each;
//          back_project: blockIdx.x = tile of 16 x 16 pixels, blockIdx.y = four planes, a thread one pixel of 16 bins
// Cost     back_project reads two values a bin, pixel and rotation through the first-level cache: 8 bytes, at 128 a clock and
//          multiprocessor; 1000 bins, 300 rotations, 300 x 300 pixels: 216 GB, 8 ms on an H200
// Safety   everything is checked against rows, columns and translations; planes are padded to a whole group of bins
// CPU      src/tomo/fbp.rs, whose u is computed here in the same order, bit for bit: rows have ends, and a pixel that is seen
//          at an end is inside for both or for none; src/tomo/filter.rs (taps)
#include "tomo/tomo.cuh"

using namespace xrdct;

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_side_by_side(const __grid_constant__ XrdctSideBySide a) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<float> bins = {a.bins};
    const ReadOnly<uint32_t> empty = {a.empty};
    const size_t rays = rays_of(tomo), ray = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (ray >= rays) return;
    float value[4];
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
        const uint32_t bin = blockIdx.y * 4 + k;
        value[k] = bin < tomo.bins && !(empty && empty[bin]) ? bins[bin * rays + ray] : 0.0f;
    }
    reinterpret_cast<float4*>(a.rows)[blockIdx.y * rays + ray] = make_float4(value[0], value[1], value[2], value[3]);
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_tomo_apart(const __grid_constant__ XrdctApart a) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<float4> planes = read_only_as<float4>(a.image);
    const size_t pixels = pixels_of(tomo), pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const float4 of = read_only(a.kept)[pixel] ? planes[blockIdx.y * pixels + pixel] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const float value[4] = {of.x, of.y, of.z, of.w};
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
        const uint32_t bin = blockIdx.y * 4 + k;
        if (bin < tomo.bins) a.slices[bin * pixels + pixel] = value[k];
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_TOMO_RUN / 2) xrdct_tomo_filter(const __grid_constant__ XrdctFilter a) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<float4> rows = read_only_as<float4>(a.rows);
    const ReadOnly<float> taps = {a.taps};
    float4* filtered = reinterpret_cast<float4*>(a.filtered);
    // A thread makes the values at `place` and half a run further, of two planes: each value and each tap that it reads from
    // shared memory serves several multiply-adds.
    constexpr uint32_t RUN = XRDCT_TOMO_RUN, HALF = RUN / 2, TOGETHER = 2;
    __shared__ float4 values[TOGETHER][RUN];
    // Taps of the distances that occur between the block's own run and the one in `values`.
    __shared__ float near[2 * RUN];
    const uint32_t n = tomo.translations, runs = (n + RUN - 1) / RUN;
    const uint32_t rotation = blockIdx.x / runs, first = blockIdx.x % runs * RUN, place = threadIdx.x;
    const size_t rays = rays_of(tomo);
    const size_t row = (size_t)blockIdx.y * TOGETHER * rays + (size_t)rotation * n;
    float4 sum[2][TOGETHER] = {};
    for (uint32_t from = 0; from < n; from += RUN) {
        const uint32_t count = min(RUN, n - from);
        __syncthreads();
        for (uint32_t i = place; i < count; i += HALF) {
#pragma unroll
            for (uint32_t k = 0; k < TOGETHER; ++k) values[k][i] = rows[row + k * rays + from + i];
        }
        // Tap n - 1 is that of distance 0.
        for (uint32_t i = place; i < 2 * RUN; i += HALF) {
            const int tap = (int)(first + i + n) - (int)(from + RUN);
            near[i] = tap >= 0 && tap < (int)(2 * n - 1) ? taps[tap] : 0.0f;
        }
        __syncthreads();
        for (uint32_t s = 0; s < count; ++s) {
            const float tap[2] = {near[RUN - 1 + place - s], near[RUN - 1 + HALF + place - s]};
#pragma unroll
            for (uint32_t k = 0; k < TOGETHER; ++k) {
                const float4 value = values[k][s];
#pragma unroll
                for (uint32_t half = 0; half < 2; ++half) {
                    sum[half][k].x = fmaf(tap[half], value.x, sum[half][k].x);
                    sum[half][k].y = fmaf(tap[half], value.y, sum[half][k].y);
                    sum[half][k].z = fmaf(tap[half], value.z, sum[half][k].z);
                    sum[half][k].w = fmaf(tap[half], value.w, sum[half][k].w);
                }
            }
        }
    }
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t at = first + half * HALF + place;
        if (at >= n) return;
#pragma unroll
        for (uint32_t k = 0; k < TOGETHER; ++k) filtered[row + k * rays + at] = sum[half][k];
    }
}

extern "C" __global__ void __launch_bounds__(XRDCT_TOMO_TILE_THREADS)
    xrdct_tomo_back_project(const __grid_constant__ XrdctBackProject a) {
    const XrdctTomo& tomo = a.tomo;
    const ReadOnly<XrdctTurn> turns = {a.turns};
    float4* image = reinterpret_cast<float4*>(a.image);
    __shared__ XrdctTurn staged[TURNS];
    const Pixel pixel(tomo);
    const size_t rays = rays_of(tomo), pixels = pixels_of(tomo);
    const uint32_t n = tomo.translations;
    const float last = (float)(n - 1);
    const float x = (float)__dadd_rn(tomo.x0, __dmul_rn((double)pixel.first_column, tomo.pixel));
    const float y = (float)__dadd_rn(tomo.y0, __dmul_rn((double)pixel.row, tomo.pixel));
    const float along = (float)pixel.in_tile;
    ReadOnly<float4> row = read_only_as<float4>(a.rows) + (size_t)blockIdx.y * PLANES * rays;
    Side sums = {};
    for (uint32_t from = 0; from < tomo.rotations; from += TURNS) {
        const uint32_t count = min(TURNS, tomo.rotations - from);
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) staged[i] = turns[from + i];
        __syncthreads();
        for (uint32_t i = 0; i < count; ++i, row = row + n) {
            const XrdctTurn turn = staged[i];
            const float start = __fadd_rn(tomo.axis, __fsub_rn(__fmul_rn(x, turn.cosine), __fmul_rn(y, turn.sine)));
            const float u = __fadd_rn(start, __fmul_rn(along, turn.step));
            if (!(u >= 0.0f && u <= last)) continue;
            const uint32_t left = (uint32_t)u;
            const float part = (u - (float)left) * turn.weight;
            sums.add(turn.weight - part, row + left, rays);
            sums.add(part, row + min(left + 1, n - 1), rays);
        }
    }
    if (!pixel.is_inside(tomo)) return;
#pragma unroll
    for (uint32_t k = 0; k < PLANES; ++k) image[((size_t)blockIdx.y * PLANES + k) * pixels + pixel.index(tomo)] = sums.plane[k];
}
