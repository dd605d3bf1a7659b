// Runs the reconstruction kernels on one block of bins, read from a file that tests/gpu/emulated_tomo.rs wrote, as the lane of
// src/cuda/tomo/lane.rs does, and writes the slices.
//
// In: arrays, each a 64-bit byte count and its bytes, in the order of `main`. Out: the slices likewise.
#include "arrays.h"
#include "emulator.h"

#include "tomo/fbp.cu"
#include "tomo/iterative.cu"

int main(int, char** arguments) {
    FILE* in = fopen(arguments[1], "rb");
    if (!in) return 1;
    const XrdctTomo tomo = read_array<XrdctTomo>(in).at(0);
    const uint32_t method = read_array<uint32_t>(in).at(0), iterations = read_array<uint32_t>(in).at(0);
    const auto sinograms = read_array<float>(in);
    const auto kept = read_array<uint8_t>(in);
    const auto turns = read_array<XrdctTurn>(in);
    const auto taps = read_array<float>(in);
    const auto views = read_array<XrdctView>(in);
    const auto row_scales = read_array<float>(in), column_scales = read_array<float>(in);
    fclose(in);

    // Exact sizes, so that the address sanitizer sees every step outside.
    const size_t rays = rays_of(tomo), pixels = pixels_of(tomo);
    const uint32_t groups = (tomo.bins + XRDCT_TOMO_BINS - 1) / XRDCT_TOMO_BINS, planes = groups * PLANES;
    std::vector<float> rows(4 * planes * rays), work(4 * planes * rays), image(4 * planes * pixels);
    std::vector<uint32_t> empty(tomo.bins);
    std::vector<float> slices(tomo.bins * pixels, -7.0f);
    const auto flat = [](size_t items, uint32_t y) {
        return Dim3{(unsigned)((items + XRDCT_THREADS - 1) / XRDCT_THREADS), y, 1};
    };
    const Dim3 tiles = {(tomo.rows + TILE - 1) / TILE * ((tomo.columns + TILE - 1) / TILE), groups, 1};
    const uint32_t runs = (tomo.translations + XRDCT_TOMO_RUN - 1) / XRDCT_TOMO_RUN;

    const XrdctSideBySide beside = {sinograms.data(), empty.data(), rows.data(), tomo};
    emulator::launch(flat(rays, planes), XRDCT_THREADS, 0, [&] { xrdct_tomo_side_by_side(beside); });
    if (method == 0) {
        const XrdctFilter filter = {rows.data(), taps.data(), work.data(), tomo};
        emulator::launch({tomo.rotations * runs, planes / 2, 1}, XRDCT_TOMO_RUN / 2, 0, [&] { xrdct_tomo_filter(filter); });
        const XrdctBackProject back = {work.data(), turns.data(), image.data(), tomo};
        emulator::launch(tiles, XRDCT_TOMO_TILE_THREADS, 0, [&] { xrdct_tomo_back_project(back); });
    }
    const XrdctStart start = {kept.data(), image.data(), tomo};
    if (method == 2) emulator::launch(flat(pixels, planes), XRDCT_THREADS, 0, [&] { xrdct_tomo_start(start); });
    const XrdctForward there = {image.data(), rows.data(), views.data(), row_scales.data(), work.data(), tomo};
    const XrdctBackward back = {work.data(), views.data(), column_scales.data(), kept.data(), image.data(), tomo};
    for (uint32_t i = 0; i < iterations; ++i) {
        const auto forward = method == 1 ? xrdct_tomo_forward_sirt : xrdct_tomo_forward_mlem;
        const auto backward = method == 1 ? xrdct_tomo_backward_sirt : xrdct_tomo_backward_mlem;
        emulator::launch(flat(rays, groups), XRDCT_THREADS, 0, [&] { forward(there); });
        emulator::launch(tiles, XRDCT_TOMO_TILE_THREADS, 0, [&] { backward(back); });
    }
    const XrdctApart apart = {image.data(), kept.data(), slices.data(), tomo};
    emulator::launch(flat(pixels, planes), XRDCT_THREADS, 0, [&] { xrdct_tomo_apart(apart); });

    FILE* out = fopen(arguments[2], "wb");
    if (!out) return 1;
    write_array(out, slices);
    return fclose(out) == 0 ? 0 : 1;
}
