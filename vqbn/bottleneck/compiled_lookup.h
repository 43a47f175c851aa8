// What the kernels of compiled_lookup.cpp and tile_lookup.cpp share.

#pragma once

#include <cstdint>
#include <cstdlib>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace vqbn {

struct Lookup {
    const float* vectors;  // (N, C, D), any strides but the last, which is 1
    int64_t count, vector_stride, codebook_stride;
    const float* codewords;  // (C, K, D), contiguous
    const float* centres;    // (C, D)
    int64_t codebooks, size, dim;
    int64_t* indices;  // (N, C)
    int threads;
};

// Memory for vectors of any width, or null.
template <typename Number>
Number* allocate(int64_t numbers) {
    const size_t bytes = (static_cast<size_t>(numbers) * sizeof(Number) + 63) / 64 * 64;
    return static_cast<Number*>(std::aligned_alloc(64, bytes));
}

inline int this_thread() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// Whether this processor has tiles for matrices (AMX) and the system lets this process use them.
bool tiles_are_there();

// Look up with tiles: the same indices as the other kernels', but -1 where only they can tell. False without memory.
bool look_up_by_tiles(const Lookup& job);

}  // namespace vqbn
