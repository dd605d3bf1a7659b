// Packed frames (or plain pixels) times the sparse matrix: a batch of patterns.
//
// What     packed : decodes a sub-tile of a group of frames into shared memory and multiplies it there, so that pixels
//                   never reach device memory;  plain : the same from decoded pixels;  bins : adds up the blocks' partial
//                   sums, each bin's in a fixed order
// Layout   matrix cut into items and passes (fused.cuh); partial sums [frame][item's slots], float64
// Mapping  blockIdx = (group of frames, item): blocks that share an item's entries run side by side and share the L2.
//          While decoding, THREADS/32/GROUP warps take a frame's steps in turn; while multiplying, a warp takes a pass
// Cost     a frame of 2.5 million pixels: 2.5 MB of packed bytes, the matrix once a group from the L2, about 0.8 MB of
//          partial sums written and read
// Safety   frames whose verdict is not good are left out and read as zeros
// CPU      src/integrate/engine.rs; notes and measurements in profiles/notes/tiles.md
#include "integrate/fused.cuh"

using namespace xrdct;

// Decodes byte-offset frames of up to 32 bits a pixel into the ring.
template <int GROUP>
struct Packed {
    static constexpr uint32_t TEAM = WARPS / GROUP;
    const uint8_t* arena;
    Index<uint32_t> index;
    ReadOnly<uint32_t> subtile_tile;
    ReadOnly<XrdctVerdict> verdicts;
    const XrdctBatch& batch;
    const XrdctRecipe& recipe;
    uint32_t column, end, step;
    bool awake;
    OpenStep<uint32_t> open;

    __device__ __forceinline__ void begin(const XrdctItem& item, uint32_t first_frame) {
        column = warp_id() % GROUP;
        const uint32_t frame = first_frame + column;
        awake = frame < batch.frames && verdicts[frame].status == XRDCT_GOOD;
        if (!awake) return;
        end = batch.span[frame].end;
        const uint32_t tile = subtile_tile[frame * batch.subtiles + item.first_subtile];
        step = first_step_of(index, tile, item.first_subtile * SUBTILE, end) + warp_id() / GROUP;
        look();
    }

    __device__ __forceinline__ void look() {
        awake = step * STEP < end;
        if (awake) open = open_step(arena, index, step, end);
    }

    __device__ __forceinline__ bool fill(float* ring, uint32_t subtile) {
        float most = 0.0f;
        const uint32_t stop = (subtile + 1) * SUBTILE;
        const SharedRow<float> row(ring + column * RING);
        // Pixels of the first step that lie before the item, and those past the sub-tile, land in the other half of the
        // ring: the former are overwritten before they are read, the latter are wanted next.
        while (awake && open.pixel < stop) {
            if (batch.pixel == XRDCT_I32) {
                decode_step(open, step * STEP, end, [&](uint32_t bit, uint32_t pixel, uint32_t value) {
                    const float count = validated((float)(int32_t)value, recipe);
                    most = fmaxf(most, count);
                    row.store_if(bit, swizzle(pixel & (RING - 1)), count);
                });
            } else {
                decode_step(open, step * STEP, end, [&](uint32_t bit, uint32_t pixel, uint32_t value) {
                    const float count = validated(as_pixel(value, batch.pixel), recipe);
                    most = fmaxf(most, count);
                    row.store_if(bit, swizzle(pixel & (RING - 1)), count);
                });
            }
            step += TEAM;
            look();
        }
        return most >= batch.cutoff;
    }
};

template <int GROUP, bool VARIANCE, typename Sum>
static __device__ __forceinline__ void integrate_packed(const XrdctPacked& a) {
    XRDCT_DYNAMIC_SHARED(shared);
    const ReadOnly<XrdctVerdict> verdicts = read_only(a.verdicts);
    Packed<GROUP> source = {
        a.arena, index_of<uint32_t>(a.tables), {a.tables.subtile_tile}, verdicts, a.batch, a.recipe, 0, 0, 0, false, {}};
    integrate_item<GROUP, VARIANCE, Sum>(source, shared, Matrix(a.matrix), Terms(a.terms), verdicts, a.batch, a.recipe);
}

// Copies one sub-tile of a group's frames into the ring; not inlined, because there are eight of it in five kernels.
template <typename Pixel>
static __device__ __noinline__ bool fill_ring(float* ring, uint32_t group, const uint8_t* pixels, const XrdctVerdict* verdicts,
                                              const XrdctBatch& batch, const XrdctRecipe& recipe, uint32_t first_frame,
                                              uint32_t subtile) {
    float most = 0.0f;
    for (uint32_t g = 0; g < group; ++g) {
        const uint32_t frame = first_frame + g;
        if (frame >= batch.frames || verdicts[frame].status != XRDCT_GOOD) continue;
        const size_t start = batch.contiguous ? (size_t)frame * batch.pixels * sizeof(Pixel) : batch.span[frame].first;
        const Pixel* from = reinterpret_cast<const Pixel*>(pixels + start);
        for (uint32_t i = threadIdx.x; i < SUBTILE; i += THREADS) {
            const uint32_t pixel = subtile * SUBTILE + i;
            if (pixel >= batch.pixels) continue;
            const float count = validated((float)from[pixel], recipe);
            most = fmaxf(most, count);
            ring[g * RING + swizzle(pixel & (RING - 1))] = count;
        }
    }
    return most >= batch.cutoff;
}

// Takes decoded pixels from device memory. Frames of type T at their spans (plain uploads) or one after another.
template <int GROUP>
struct Plain {
    const uint8_t* pixels;
    const XrdctVerdict* verdicts;
    const XrdctBatch& batch;
    const XrdctRecipe& recipe;
    uint32_t first_frame;

    __device__ __forceinline__ void begin(const XrdctItem&, uint32_t first) { first_frame = first; }

    __device__ __forceinline__ bool fill(float* ring, uint32_t subtile) const {
        switch (batch.pixel) {
            case XRDCT_I8: return fill_ring<int8_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            case XRDCT_U8: return fill_ring<uint8_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            case XRDCT_I16: return fill_ring<int16_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            case XRDCT_U16: return fill_ring<uint16_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            case XRDCT_I32: return fill_ring<int32_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            case XRDCT_U32: return fill_ring<uint32_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            case XRDCT_I64: return fill_ring<int64_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
            default: return fill_ring<uint64_t>(ring, GROUP, pixels, verdicts, batch, recipe, first_frame, subtile);
        }
    }
};

template <int GROUP, bool VARIANCE, typename Sum>
static __device__ __forceinline__ void integrate_plain(const XrdctPlain& a) {
    XRDCT_DYNAMIC_SHARED(shared);
    Plain<GROUP> source = {a.pixels, a.verdicts, a.batch, a.recipe, 0};
    integrate_item<GROUP, VARIANCE, Sum>(source, shared, Matrix(a.matrix), Terms(a.terms), read_only(a.verdicts), a.batch,
                                         a.recipe);
}

// One kernel a combination: frames a group, with variance or not, sums of a row in float or (with dark) double.
#define XRDCT_INTEGRATE(name, group, with_variance, Sum)                                         \
    extern "C" __global__ void __launch_bounds__(XRDCT_INTEGRATE_THREADS, 2)                     \
        xrdct_packed_##name(const __grid_constant__ XrdctPacked a) {                             \
        integrate_packed<group, with_variance, Sum>(a);                                          \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(XRDCT_INTEGRATE_THREADS, 2)                     \
        xrdct_plain_##name(const __grid_constant__ XrdctPlain a) {                               \
        integrate_plain<group, with_variance, Sum>(a);                                           \
    }

XRDCT_INTEGRATE(wide, XRDCT_GROUP_WIDE, false, float)
XRDCT_INTEGRATE(narrow, XRDCT_GROUP_NARROW, false, float)
XRDCT_INTEGRATE(variance, XRDCT_GROUP_NARROW, true, float)
XRDCT_INTEGRATE(dark, XRDCT_GROUP_NARROW, false, double)
XRDCT_INTEGRATE(dark_variance, XRDCT_GROUP_NARROW, true, double)

// blockIdx.y = frame; a thread takes a bin and adds its partial sums, four at a time, always in the same order.
static __device__ __forceinline__ double add_partials(ReadOnly<double> partials, ReadOnly<uint32_t> position, uint32_t from,
                                                      uint32_t to) {
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    uint32_t i = from;
    for (; i + 4 <= to; i += 4)
        for (uint32_t j = 0; j < 4; ++j) sum[j] += partials[position[i + j]];
    for (; i < to; ++i) sum[0] += partials[position[i]];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

extern "C" __global__ void __launch_bounds__(XRDCT_THREADS) xrdct_bins(const __grid_constant__ XrdctBins a) {
    const ReadOnly<uint32_t> first = {a.bin_first};
    const uint32_t bin = blockIdx.x * blockDim.x + threadIdx.x, frame = blockIdx.y;
    if (bin >= a.recipe.bins) return;
    double sum = 0.0;
    if (read_only(a.verdicts)[frame].status == XRDCT_GOOD)
        sum = add_partials(read_only(a.partials + (size_t)frame * a.recipe.total_slots), read_only(a.position), first[bin],
                           first[bin + 1]);
    a.sums[(size_t)frame * a.recipe.bins + bin] = sum;
}
