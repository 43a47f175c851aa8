// The nearest codeword of every vector on an x86-64 processor; called by compiled_lookup.py.
//
// A matrix product writes every score to memory, and a second pass reads them all for the smallest. Here a few
// codewords meet a panel of vectors in registers, and only the smallest score so far and its index are kept. Vectors
// lie along the lanes, so that a score is never compared with another lane's.
//
// With the centre c of the codewords, |x - w|² = |x - c|² + 2 (|w - c|²/2 + (x - c)·(c - w)); the first term is the same
// for all codewords, and half of the rest is the score. Each lane adds its products in the order of the dimensions:
// neither the width of the registers nor the number of threads changes a bit of a score. tile_lookup.cpp has a third
// kernel, which leaves to these what it isn't sure of.
//
// Vector types are those of GCC and Clang.

#include "compiled_lookup.h"

#include <cpuid.h>

#include <cmath>
#include <cstring>

namespace {

using vqbn::Lookup;

// Two registers of vectors at a time against so many codewords. Their scores should fill the processor's registers.
template <int kLanes, int kCodewords>
struct Kernel {
    static constexpr int kPanel = 2 * kLanes;
    typedef float Floats __attribute__((vector_size(sizeof(float) * kLanes)));
    typedef int32_t Ints __attribute__((vector_size(sizeof(int32_t) * kLanes)));

    static int64_t blocks(const Lookup& job) { return (job.size - 1) / kCodewords + 1; }
    static int64_t panels(const Lookup& job) { return (job.count - 1) / kPanel + 1; }
    static int64_t block_floats(const Lookup& job) { return kCodewords * (job.dim + 1); }

    // Write a block of codewords in the order in which `search` reads it: half norms, then dimension after dimension.
    static void pack(const Lookup& job, int64_t codebook, int64_t block, float* packed) {
        const float* centre = job.centres + codebook * job.dim;
        for (int r = 0; r < kCodewords; r++) {
            const int64_t k = block * kCodewords + r;
            const float* codeword = job.codewords + (codebook * job.size + k) * job.dim;
            double norm = k < job.size ? 0 : INFINITY;
            for (int64_t d = 0; d < job.dim; d++) {
                const float direction = k < job.size ? centre[d] - codeword[d] : 0;
                packed[kCodewords * (d + 1) + r] = direction;
                norm += static_cast<double>(direction) * direction;
            }
            packed[r] = std::isfinite(norm) ? static_cast<float>(norm / 2) : INFINITY;
        }
    }

    // Find the codewords of one panel of vectors. `panel` has kPanel × D floats to work in.
    __attribute__((always_inline)) static inline void search(const Lookup& job, int64_t codebook, int64_t first,
                                                             const float* packed, float* panel) {
        const float* centre = job.centres + codebook * job.dim;
        const int present = static_cast<int>(job.count - first < kPanel ? job.count - first : kPanel);
        for (int v = 0; v < present; v++) {
            const float* vector = job.vectors + (first + v) * job.vector_stride + codebook * job.codebook_stride;
            for (int64_t d = 0; d < job.dim; d++) panel[d * kPanel + v] = vector[d] - centre[d];
        }
        Floats lowest[2];
        Ints where[2];
        for (int h = 0; h < 2; h++) {
            lowest[h] = Floats{} + INFINITY;
            where[h] = Ints{};
        }
        for (int64_t k = 0; k < job.size; k += kCodewords) {
            Floats scores[kCodewords][2];
            for (int r = 0; r < kCodewords; r++) scores[r][0] = scores[r][1] = Floats{} + packed[r];
            packed += kCodewords;
            for (int64_t d = 0; d < job.dim; d++, packed += kCodewords) {
                Floats left, right;
                std::memcpy(&left, panel + d * kPanel, sizeof left);
                std::memcpy(&right, panel + d * kPanel + kLanes, sizeof right);
#pragma GCC unroll 12
                for (int r = 0; r < kCodewords; r++) {
                    scores[r][0] += packed[r] * left;
                    scores[r][1] += packed[r] * right;
                }
            }
            // In the order of the codewords, so that of equal scores the first stays. What is not a number is no lower.
#pragma GCC unroll 12
            for (int r = 0; r < kCodewords; r++) {
                const Ints index = Ints{} + static_cast<int32_t>(k + r);
#pragma GCC unroll 2
                for (int h = 0; h < 2; h++) {
                    const auto lower = scores[r][h] < lowest[h];
                    lowest[h] = lower ? scores[r][h] : lowest[h];
                    where[h] = lower ? index : where[h];
                }
            }
        }
        int32_t found[kPanel];
        std::memcpy(found, where, sizeof found);
        for (int v = 0; v < present; v++) job.indices[(first + v) * job.codebooks + codebook] = found[v];
    }
};

// The instructions are chosen at run time, so that one build serves every processor. 32 registers of 16 lanes hold 24
// scores, 16 of 8 lanes hold 12. OpenMP's regions don't take over a target: the functions that they call have one.
struct Wide : Kernel<16, 12> {
    __attribute__((target("avx512f"))) static void run(const Lookup& job, int64_t codebook, int64_t first,
                                                       const float* packed, float* panel) {
        search(job, codebook, first, packed, panel);
    }
};

struct Narrow : Kernel<8, 6> {
    __attribute__((target("avx2,fma"))) static void run(const Lookup& job, int64_t codebook, int64_t first,
                                                        const float* packed, float* panel) {
        search(job, codebook, first, packed, panel);
    }
};

template <typename Chosen>
bool look_up(const Lookup& job) {
    const int64_t blocks = Chosen::blocks(job), panels = Chosen::panels(job);
    const int64_t block_floats = Chosen::block_floats(job), panel_floats = Chosen::kPanel * job.dim;
    float* packed = vqbn::allocate<float>(job.codebooks * blocks * block_floats);
    float* work = vqbn::allocate<float>(job.threads * panel_floats);
    const bool possible = packed && work;
    if (possible) {
        // The lanes of the last panel that have no vector: what memory happens to hold could be slow to compute with.
        std::memset(work, 0, static_cast<size_t>(job.threads * panel_floats) * sizeof(float));
#pragma omp parallel num_threads(job.threads) if (job.threads > 1)
        {
            float* panel = work + vqbn::this_thread() * panel_floats;
#pragma omp for
            for (int64_t i = 0; i < job.codebooks * blocks; i++)
                Chosen::pack(job, i / blocks, i % blocks, packed + i * block_floats);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < job.codebooks * panels; i++)
                Chosen::run(job, i / panels, i % panels * Chosen::kPanel, packed + i / panels * blocks * block_floats,
                            panel);
        }
    }
    std::free(packed);
    std::free(work);
    return possible;
}

// Whether the processor has the instructions, and the system keeps the registers: those of AVX-512, or of AVX2 and FMA.
// Not __builtin_cpu_supports: it depends on a library that not every compiler brings.
bool runs(bool wide) {
    unsigned a, b, c, d, kept, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1) || !(c >> 12 & 1)) return false;
    __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned registers = wide ? 0xe6 : 0x06;
    return (kept & registers) == registers && (b >> (wide ? 16 : 5) & 1);
}

}  // namespace

extern "C" {

// The best kernel for this processor: 3 with AMX, 2 with AVX-512, 1 with AVX2, else 0.
int vqbn_best_kernel() {
    if (!runs(true)) return runs(false);
    return vqbn::tiles_are_there() ? 3 : 2;
}

// Write the indices of the nearest codewords; kernel 3 leaves out some, see look_up_by_tiles. `kernel` is from 1 to what
// `vqbn_best_kernel` gives; N, C, K and D are not 0. Returns 0, or 1 if there is too little memory. The number in the
// name changes with the arguments: an older build is refused.
int vqbn_nearest_codes_1(const float* vectors, int64_t count, int64_t vector_stride, int64_t codebook_stride,
                         const float* codewords, const float* centres, int64_t codebooks, int64_t size, int64_t dim,
                         int64_t* indices, int threads, int kernel) {
    const Lookup job{vectors, count, vector_stride, codebook_stride, codewords, centres,
                     codebooks, size, dim, indices, threads};
    const bool done = kernel == 3   ? vqbn::look_up_by_tiles(job)
                      : kernel == 2 ? look_up<Wide>(job)
                                    : look_up<Narrow>(job);
    return done ? 0 : 1;
}
}
