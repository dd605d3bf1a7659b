// How tests and emulated kernels talk: a file of arrays, each a 64-bit byte count and its bytes.
#ifndef XRDCT_ARRAYS_H
#define XRDCT_ARRAYS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

template <typename T>
std::vector<T> read_array(FILE* file) {
    uint64_t size = 0;
    if (fread(&size, 8, 1, file) != 1) abort();
    std::vector<T> values(size / sizeof(T));
    if (size && fread(values.data(), 1, size, file) != size) abort();
    return values;
}

template <typename T>
void write_array(FILE* file, const std::vector<T>& values) {
    const uint64_t size = values.size() * sizeof(T);
    if (fwrite(&size, 8, 1, file) != 1) abort();
    if (size && fwrite(values.data(), 1, size, file) != size) abort();
}

#endif
