// Runs the kernels that leave patterns on the device and make sinograms of them, on what tests/gpu/emulated_assembly.rs wrote, as
// src/cuda/lane.rs and src/cuda/tomo/assembly.rs do.
//
// In: arrays, each a 64-bit byte count and its bytes, in the order of `main`. Out: likewise the patterns, or the sinograms and
// the marks of empty bins.
#include "arrays.h"
#include "emulator.h"

#include "integrate/keep.cu"
#include "tomo/assembly.cu"

static Dim3 flat(size_t items) { return {(unsigned)((items + XRDCT_THREADS - 1) / XRDCT_THREADS), 1, 1}; }

static void leave_patterns(FILE* in, FILE* out) {
    const XrdctRecipe recipe = read_array<XrdctRecipe>(in).at(0);
    const XrdctRows rows = read_array<XrdctRows>(in).at(0);
    const auto verdicts = read_array<XrdctVerdict>(in);
    const auto signal = read_array<double>(in);
    const auto deficits = read_array<int64_t>(in);
    const auto norms = read_array<double>(in);
    const auto fixed = read_array<int64_t>(in);
    auto patterns = read_array<float>(in);
    const Dim3 grid = {(recipe.bins + XRDCT_THREADS - 1) / XRDCT_THREADS, (unsigned)verdicts.size(), 1};
    const XrdctKeep keep = {signal.data(),   deficits.empty() ? nullptr : deficits.data(),
                            verdicts.data(), norms.data(),
                            fixed.data(),    patterns.data(),
                            recipe,          rows};
    emulator::launch(grid, XRDCT_THREADS, 0, [&] { xrdct_patterns(keep); });
    write_array(out, patterns);
}

static void assemble(FILE* in, FILE* out) {
    const XrdctAssembly sizes = read_array<XrdctAssembly>(in).at(0);
    const uint32_t stripes = read_array<uint32_t>(in).at(0);
    const auto patterns = read_array<float>(in);
    const auto shares = read_array<XrdctShare>(in);
    const auto starts = read_array<uint32_t>(in);
    const auto sources = read_array<XrdctSource>(in);
    const auto factors = read_array<float>(in), shifts = read_array<float>(in);
    const size_t rays = rays_of(sizes), values = sizes.bins * rays;
    std::vector<float> sinograms(values, -7.0f), moved(values);
    std::vector<uint32_t> empty(sizes.bins);
    std::vector<double> means((size_t)sizes.bins * sizes.translations);

    const XrdctGather gather = {patterns.data(),  shares.data(), starts.data(), sources.data(),
                                sinograms.data(), empty.data(),  sizes};
    emulator::launch({(unsigned)((rays + SIDE - 1) / SIDE), (sizes.bins + SIDE - 1) / SIDE, 1}, XRDCT_THREADS, 0,
                     [&] { xrdct_tomo_gather(gather); });
    const XrdctAir air = {sinograms.data(), sizes};
    if (sizes.edge) emulator::launch(flat((size_t)sizes.bins * sizes.rotations), XRDCT_THREADS, 0, [&] { xrdct_tomo_air(air); });
    const XrdctScale scale = {sinograms.data(), factors.data(), sizes};
    if (!factors.empty()) emulator::launch(flat(values), XRDCT_THREADS, 0, [&] { xrdct_tomo_scale(scale); });
    if (!shifts.empty()) {
        const XrdctShift shift = {sinograms.data(), shifts.data(), moved.data(), sizes};
        emulator::launch(flat(values), XRDCT_THREADS, 0, [&] { xrdct_tomo_shift(shift); });
        sinograms = moved;
    }
    if (stripes) {
        const XrdctColumnMeans columns = {sinograms.data(), means.data(), sizes};
        emulator::launch(flat(means.size()), XRDCT_THREADS, 0, [&] { xrdct_tomo_column_means(columns); });
        const XrdctStripes off = {sinograms.data(), means.data(), sizes};
        emulator::launch(flat(values), XRDCT_THREADS, 0, [&] { xrdct_tomo_stripes(off); });
    }
    write_array(out, sinograms);
    write_array(out, empty);
}

int main(int, char** arguments) {
    FILE* in = fopen(arguments[1], "rb");
    FILE* out = fopen(arguments[2], "wb");
    if (!in || !out) return 1;
    const uint32_t what = read_array<uint32_t>(in).at(0);
    what == 0 ? leave_patterns(in, out) : assemble(in, out);
    fclose(in);
    return fclose(out) == 0 ? 0 : 1;
}
