// Runs the kernel of digests on what tests/gpu/emulated_md5.rs wrote, as src/cuda/codec/md5.rs does: slice after slice until all are done.
//
// In: arrays, each a 64-bit byte count and its bytes: digests (their `next` counted from the arena's first byte), the arena, the entries of
// a slice, its budget. Out: the digests.
#include "arrays.h"
#include "emulator.h"

#include "codec/md5.cu"

int main(int, char** argv) {
    FILE* in = fopen(argv[1], "rb");
    FILE* out = fopen(argv[2], "wb");
    if (!in || !out) abort();
    auto digests = read_array<XrdctDigest>(in);
    const auto arena = read_array<uint8_t>(in);
    const auto entries = read_array<uint32_t>(in);
    XrdctHash hash = {digests.data(), {read_array<uint32_t>(in).at(0), {}}};
    std::copy(entries.begin(), entries.end(), hash.slice.entry);
    // The sanitizer sees each step outside the arena, which begins on an edge of 16 bytes as device memory does.
    if ((uintptr_t)arena.data() % 16) abort();
    for (XrdctDigest& digest : digests) digest.next += (uint64_t)(uintptr_t)arena.data();
    const auto unfinished = [&] {
        for (uint32_t entry : entries)
            for (uint32_t frame = 0; frame < XRDCT_MAX_BATCH; ++frame)
                if (digests[entry * XRDCT_MAX_BATCH + frame].blocks != XRDCT_DIGEST_DONE) return true;
        return false;
    };
    while (unfinished()) {
        const Dim3 grid = {XRDCT_MAX_BATCH / XRDCT_DIGEST_THREADS, (unsigned)entries.size(), 1};
        emulator::launch(grid, XRDCT_DIGEST_THREADS, 0, [&] { xrdct_md5(hash); });
    }
    write_array(out, digests);
    fclose(in);
    return fclose(out);
}
