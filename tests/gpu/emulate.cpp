// Runs the whole chain of kernels on one batch, read from a file that tests/cuda.rs wrote, and writes what came out.
//
// In : arrays, each a 64-bit byte count and its bytes, in the order of `Input` below.
// Out: arrays likewise, in the order in which `main` writes them.
#include "arrays.h"
#include "emulator.h"

#include "codec/byte_offset.cu"
#include "integrate/fused.cu"

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
    std::vector<float> entry_weight, dark, normalization;
    std::vector<uint16_t> entry_pixel;
    std::vector<uint32_t> slot_bin, bin_first, position, used;
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
    in.entry_pixel = read_array<uint16_t>(file);
    in.entry_weight = read_array<float>(file);
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

// The tables as a kernel takes them: those of the other width are null.
static XrdctTables addresses(Tables<uint32_t>& t) {
    return {(uint64_t*)t.exits.data(),
            t.entries.data(),
            t.step_codes.data(),
            t.tile_pixel.data(),
            t.subtile_tile.data(),
            t.step_value.data(),
            t.tile_value.data(),
            nullptr,
            nullptr};
}
static XrdctTables addresses(Tables<unsigned long long>& t) {
    return {(uint64_t*)t.exits.data(),
            t.entries.data(),
            t.step_codes.data(),
            t.tile_pixel.data(),
            t.subtile_tile.data(),
            nullptr,
            nullptr,
            (uint64_t*)t.step_value.data(),
            (uint64_t*)t.tile_value.data()};
}

static Dim3 codec_grid(const Input& in) {
    uint32_t tiles = 1;
    for (uint32_t f = 0; f < in.batch.frames; ++f)
        tiles = std::max(tiles, (in.batch.span[f].end + TILE - 1) / TILE - in.batch.span[f].first / TILE);
    return {(tiles + 7) / 8, in.batch.frames, 1};
}

template <typename Value, typename Count, typename Prefix>
static void index_frames(const Input& in, Tables<Value>& t, Count count, Prefix prefix) {
    const XrdctTables tables = addresses(t);
    const XrdctExits exits = {in.arena.data(), tables.exits, in.batch};
    const XrdctCount counted = {in.arena.data(), tables, in.batch};
    const XrdctPrefix before = {tables, t.verdicts.data(), in.batch};
    emulator::launch(codec_grid(in), XRDCT_THREADS, 0, [&] { xrdct_byte_offset_exits(exits); });
    emulator::launch(codec_grid(in), XRDCT_THREADS, 0, [&] { count(counted); });
    emulator::launch({in.batch.frames, 1, 1}, XRDCT_FRAME_THREADS, 0, [&] { prefix(before); });
}

template <typename Value, typename Pixel, typename Kernel>
static Bytes decode(const Input& in, Tables<Value>& t, Kernel kernel) {
    std::vector<Pixel> pixels((size_t)in.batch.frames * in.batch.pixels, (Pixel)0x5A5A5A5A);
    const XrdctPixels a = {in.arena.data(), addresses(t), t.verdicts.data(), (uint8_t*)pixels.data(), in.batch};
    emulator::launch(codec_grid(in), XRDCT_THREADS, 0, [&] { kernel(a); });
    Bytes bytes(pixels.size() * sizeof(Pixel));
    memcpy(bytes.data(), pixels.data(), bytes.size());
    return bytes;
}

struct Sums {
    std::vector<double> partial_signal, partial_variance, signal, variance;
    std::vector<int64_t> deficits;
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
    const XrdctBins a = {partials.data(), in.bin_first.data(), in.position.data(), verdicts.data(), sums.data(), in.recipe};
    emulator::launch({(in.recipe.bins + 255) / 256, in.batch.frames, 1}, XRDCT_THREADS, 0, [&] { xrdct_bins(a); });
}

static XrdctMatrix matrix_of(const Input& in) {
    return {in.items.data(),    in.parts.data(),       in.passes.data(),
            in.row_slot.data(), in.entry_pixel.data(), in.entry_weight.data()};
}

// Launches `kernel` on what `arguments` makes of the terms.
template <typename Kernel, typename Arguments>
static Sums integrate(const Input& in, const std::vector<XrdctVerdict>& verdicts, Kernel kernel, Arguments arguments) {
    Sums sums(in);
    const size_t shared = (size_t)in.group * (XRDCT_RING_PIXELS * 4 + in.max_slots * 8 * (in.with_variance ? 2 : 1)) +
                          (in.dark.empty() ? 0 : XRDCT_SUBTILE_PIXELS * 4);
    const auto a =
        arguments(XrdctTerms{or_null(in.dark), in.normalization.data(), in.slot_bin.data(), in.used.data(), sums.deficits.data(),
                             sums.saturated.data(), sums.partial_signal.data(), sums.partial_variance.data()});
    const Dim3 grid = {(in.batch.frames + in.group - 1) / in.group, (unsigned)in.items.size(), 1};
    emulator::launch(grid, XRDCT_INTEGRATE_THREADS, shared, [&] { kernel(a); });
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

// The kernel of a form for what is wanted.
#define CHOOSE(form)                                                                                \
    (!in.dark.empty() ? (in.with_variance ? xrdct_##form##_dark_variance : xrdct_##form##_dark)     \
     : in.with_variance ? xrdct_##form##_variance                                                   \
     : in.group == XRDCT_GROUP_WIDE ? xrdct_##form##_wide                                           \
                                    : xrdct_##form##_narrow)

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
        XrdctBatch plain_batch = in.batch;
        plain_batch.contiguous = 1;
        const auto plain = [&](const XrdctTerms& terms) {
            return XrdctPlain{pixels.data(), verdicts.data(), matrix_of(in), terms, plain_batch, in.recipe};
        };
        const auto packed = [&](const XrdctTerms& terms) {
            return XrdctPacked{in.arena.data(), verdicts.data(), addresses(narrow), matrix_of(in), terms, in.batch, in.recipe};
        };
        write_sums(out, integrate(in, verdicts, CHOOSE(plain), plain));
        if (!in.batch.wide) write_sums(out, integrate(in, verdicts, CHOOSE(packed), packed));
    }
    fclose(out);
    return 0;
}
