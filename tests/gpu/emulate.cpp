// Runs the whole chain of kernels on one batch, read from a file that tests/cuda.rs wrote, and writes what came out.
//
// In : arrays, each a 64-bit byte count and its bytes, in the order of `Input` below.
// Out: arrays likewise, in the order in which `main` writes them.
#include "arrays.h"
#include "emulator.h"

#include "codec/byte_offset.cu"
#include "integrate/tiles.cu"

typedef std::vector<uint8_t> Bytes;

template <typename T>
static const T* or_null(const std::vector<T>& values) {
    return values.empty() ? nullptr : values.data();
}

struct Input {
    XrdctBatch batch;
    XrdctRecipe recipe;
    std::vector<uint8_t> arena;
    uint32_t max_slots, with_variance, group;
    std::vector<XrdctItem> items;
    std::vector<XrdctPart> parts;
    std::vector<XrdctPass> passes;
    std::vector<uint16_t> row_slot;
    std::vector<float2> entry_weight;
    std::vector<float> dark, normalization;
    std::vector<uint32_t> entry_pixel, slot_bin, bin_first, position, used;
};

static Input read_input(const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file) abort();
    Input in;
    in.batch = read_array<XrdctBatch>(file).at(0);
    in.recipe = read_array<XrdctRecipe>(file).at(0);
    in.arena = read_array<uint8_t>(file);
    const std::vector<uint32_t> options = read_array<uint32_t>(file);
    in.max_slots = options.at(0);
    in.with_variance = options.at(1);
    in.group = options.at(2);
    in.items = read_array<XrdctItem>(file);
    in.parts = read_array<XrdctPart>(file);
    in.passes = read_array<XrdctPass>(file);
    in.row_slot = read_array<uint16_t>(file);
    in.entry_pixel = read_array<uint32_t>(file);
    in.entry_weight = read_array<float2>(file);
    in.dark = read_array<float>(file);
    in.normalization = read_array<float>(file);
    in.slot_bin = read_array<uint32_t>(file);
    in.bin_first = read_array<uint32_t>(file);
    in.position = read_array<uint32_t>(file);
    in.used = read_array<uint32_t>(file);
    fclose(file);
    return in;
}

// Device memory of the emulated codec: exact sizes, so that the address sanitizer sees every step outside.
template <typename Value>
struct Tables {
    std::vector<unsigned long long> exits;
    std::vector<uint8_t> entries;
    std::vector<uint16_t> step_codes;
    std::vector<Value> step_value;
    std::vector<uint32_t> tile_pixel;
    std::vector<Value> tile_value;
    std::vector<uint32_t> subtile_tile;
    std::vector<XrdctVerdict> verdicts;

    Tables(const Input& in) {
        const size_t tiles = in.arena.size() / TILE;
        exits.resize(tiles);
        entries.resize(in.arena.size() / CHUNK);
        step_codes.resize(tiles * STEPS);
        step_value.resize(tiles * STEPS);
        tile_pixel.resize(tiles);
        tile_value.resize(tiles);
        subtile_tile.resize(in.batch.frames * in.batch.subtiles);
        verdicts.resize(in.batch.frames);
    }
};

template <typename Value, typename Count, typename Prefix>
static void index_frames(const Input& in, Tables<Value>& t, Count count, Prefix prefix) {
    uint32_t tiles = 1;
    for (uint32_t f = 0; f < in.batch.frames; ++f)
        tiles = std::max(tiles, (in.batch.span[f].end + TILE - 1) / TILE - in.batch.span[f].first / TILE);
    const Dim3 grid = {(tiles + 7) / 8, in.batch.frames, 1};
    emulator::launch(grid, XRDCT_THREADS, 0, [&] { xrdct_byte_offset_exits(in.arena.data(), t.exits.data(), in.batch); });
    emulator::launch(grid, XRDCT_THREADS, 0, [&] {
        count(in.arena.data(), t.exits.data(), t.entries.data(), t.step_codes.data(), t.step_value.data(), t.tile_pixel.data(),
              t.tile_value.data(), in.batch);
    });
    emulator::launch({in.batch.frames, 1, 1}, XRDCT_FRAME_THREADS, 0, [&] {
        prefix(t.tile_pixel.data(), t.tile_value.data(), t.subtile_tile.data(), t.verdicts.data(), in.batch);
    });
}

template <typename Value, typename Pixel, typename Kernel>
static Bytes decode(const Input& in, const Tables<Value>& t, Kernel kernel) {
    std::vector<Pixel> pixels((size_t)in.batch.frames * in.batch.pixels, (Pixel)0x5A5A5A5A);
    uint32_t tiles = 1;
    for (uint32_t f = 0; f < in.batch.frames; ++f)
        tiles = std::max(tiles, (in.batch.span[f].end + TILE - 1) / TILE - in.batch.span[f].first / TILE);
    emulator::launch({(tiles + 7) / 8, in.batch.frames, 1}, XRDCT_THREADS, 0, [&] {
        kernel(in.arena.data(), t.entries.data(), t.step_codes.data(), t.step_value.data(), t.tile_pixel.data(),
               t.tile_value.data(), t.verdicts.data(), pixels.data(), in.batch);
    });
    Bytes bytes(pixels.size() * sizeof(Pixel));
    memcpy(bytes.data(), pixels.data(), bytes.size());
    return bytes;
}

struct Sums {
    std::vector<double> partial_signal, partial_variance, signal, variance;
    std::vector<unsigned long long> deficits;
    std::vector<uint32_t> saturated;

    Sums(const Input& in) {
        const size_t slots = (size_t)in.batch.frames * in.recipe.total_slots, bins = (size_t)in.batch.frames * in.recipe.bins;
        partial_signal.assign(slots, NAN);
        signal.assign(bins, NAN);
        if (in.with_variance) {
            partial_variance.assign(slots, NAN);
            variance.assign(bins, NAN);
        }
        deficits.assign(bins * XRDCT_DEFICITS, 0);
        saturated.assign(in.batch.frames, 0);
    }
};

static void add_bins(const Input& in, const std::vector<XrdctVerdict>& verdicts, const std::vector<double>& partials,
                     std::vector<double>& sums) {
    emulator::launch({(in.recipe.bins + 255) / 256, in.batch.frames, 1}, XRDCT_THREADS, 0, [&] {
        xrdct_bins(partials.data(), in.bin_first.data(), in.position.data(), verdicts.data(), sums.data(), in.recipe);
    });
}

template <typename Kernel>
static Sums integrate(const Input& in, const std::vector<XrdctVerdict>& verdicts, uint32_t group, Kernel kernel) {
    Sums sums(in);
    const size_t shared = (size_t)group * (XRDCT_RING_PIXELS * 4 + in.max_slots * 8 * (in.with_variance ? 2 : 1)) +
                          (in.dark.empty() ? 0 : XRDCT_SUBTILE_PIXELS * 4);
    emulator::launch({(in.batch.frames + group - 1) / group, (unsigned)in.items.size(), 1}, XRDCT_INTEGRATE_THREADS, shared, [&] {
        kernel(in.items.data(), in.parts.data(), in.passes.data(), in.row_slot.data(), in.entry_pixel.data(),
               in.entry_weight.data(), or_null(in.dark), in.normalization.data(), in.slot_bin.data(), sums.deficits.data(),
               sums.partial_signal.data(), sums.partial_variance.data(), in.used.data(), sums.saturated.data());
    });
    add_bins(in, verdicts, sums.partial_signal, sums.signal);
    if (in.with_variance) add_bins(in, verdicts, sums.partial_variance, sums.variance);
    return sums;
}

static void write_sums(FILE* out, const Sums& sums) {
    write_array(out, sums.signal);
    write_array(out, sums.variance);
    write_array(out, sums.deficits);
    write_array(out, sums.saturated);
}

#define PLAIN(kernel)                                                                                                   \
    integrate(in, verdicts, group, [&](auto items, auto parts, auto passes, auto slots, auto pixel, auto weight, auto dark, \
                                       auto norm, auto bins, auto deficits, auto signal, auto variance, auto used,      \
                                       auto saturated) {                                                               \
        kernel(pixels.data(), verdicts.data(), items, parts, passes, slots, pixel, weight, dark, norm, bins, deficits,  \
               signal, variance, used, saturated, plain_batch, in.recipe);                                             \
    })
#define PACKED(kernel)                                                                                                  \
    integrate(in, verdicts, group, [&](auto items, auto parts, auto passes, auto slots, auto pixel, auto weight, auto dark, \
                                       auto norm, auto bins, auto deficits, auto signal, auto variance, auto used,      \
                                       auto saturated) {                                                               \
        kernel(in.arena.data(), narrow.entries.data(), narrow.step_codes.data(), narrow.step_value.data(),             \
               narrow.tile_pixel.data(), narrow.tile_value.data(), narrow.subtile_tile.data(), verdicts.data(), items, parts, \
               passes, slots, pixel, weight, dark, norm, bins, deficits, signal, variance, used, saturated, in.batch,   \
               in.recipe);                                                                                             \
    })
#define CHOOSE(which, form)                                                                          \
    (!in.dark.empty() ? (in.with_variance ? which(xrdct_##form##_dark_variance) : which(xrdct_##form##_dark)) \
     : in.with_variance ? which(xrdct_##form##_variance)                                             \
     : group == XRDCT_GROUP_WIDE ? which(xrdct_##form##_wide)                                        \
                                 : which(xrdct_##form##_narrow))

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const Input in = read_input(arguments[1]);
    FILE* out = fopen(arguments[2], "wb");
    Tables<uint32_t> narrow(in);
    Tables<unsigned long long> wide(in);
    if (in.batch.wide) index_frames(in, wide, xrdct_byte_offset_count_64, xrdct_byte_offset_prefix_64);
    else index_frames(in, narrow, xrdct_byte_offset_count_32, xrdct_byte_offset_prefix_32);
    const std::vector<XrdctVerdict>& verdicts = in.batch.wide ? wide.verdicts : narrow.verdicts;
    Bytes pixels;
    switch (in.batch.pixel) {
        case XRDCT_I8:
        case XRDCT_U8: pixels = decode<uint32_t, uint8_t>(in, narrow, xrdct_byte_offset_pixels_8); break;
        case XRDCT_I16:
        case XRDCT_U16: pixels = decode<uint32_t, uint16_t>(in, narrow, xrdct_byte_offset_pixels_16); break;
        case XRDCT_I32:
        case XRDCT_U32: pixels = decode<uint32_t, uint32_t>(in, narrow, xrdct_byte_offset_pixels_32); break;
        default: pixels = decode<unsigned long long, uint64_t>(in, wide, xrdct_byte_offset_pixels_64);
    }
    write_array(out, verdicts);
    write_array(out, pixels);
    if (!in.items.empty()) {
        const uint32_t group = in.group;
        XrdctBatch plain_batch = in.batch;
        plain_batch.contiguous = 1;
        write_sums(out, CHOOSE(PLAIN, plain));
        if (!in.batch.wide) write_sums(out, CHOOSE(PACKED, packed));
    }
    fclose(out);
    return 0;
}
