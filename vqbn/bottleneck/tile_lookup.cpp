// The nearest codewords by the matrix unit of newer Intel processors (AMX), with the same outcome as in float32.
//
// The unit multiplies bfloat16, sixteen times as fast as float32 is multiplied elsewhere. A float32 is nearly the sum of
// two bfloat16, v = high + low, so that three products give a score to 16 bits. Where the lowest score leads by more than
// the error that this and all rounding can make, its codeword is the nearest in float32 too; the index of any other
// vector is left at -1, for a kernel that computes in float32.

#include "compiled_lookup.h"

#if defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cfloat>
#include <cmath>
#include <cstring>

#define TILES __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace {

using vqbn::Lookup;

typedef uint16_t Bfloat16;

constexpr int kRows = 16;       // of a tile: codewords, or pairs of dimensions
constexpr int kStep = 32;       // dimensions that one instruction multiplies
constexpr int kBlock = 32;      // codewords that meet a panel of vectors
constexpr int kPanel = 32;      // vectors
constexpr int kGroup = 4;       // panels for which a block is read once
constexpr int kTile = kRows * kStep;  // bfloat16 of a tile

struct Palette {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
};

// What one thread works with: vectors and the state of their search.
struct Work {
    Bfloat16* panels;  // (group, step, high or low, half of the panel, pair of dimensions, vector, 2)
    float norms[kGroup][kPanel];
    __m512 lowest[kGroup][2], second[kGroup][2];
    __m512i where[kGroup][2];
};

// The codewords, and the largest norm of those that can be chosen.
struct Packed {
    Bfloat16* codewords;  // (codebook, block of 16, step, high or low, codeword, dimension)
    float* half_norms;    // (codebook, K), infinite for codewords that can't be chosen
    double largest;
};

int64_t steps(const Lookup& job) { return (job.dim - 1) / kStep + 1; }
int64_t blocks(const Lookup& job) { return (job.size - 1) / kBlock + 1; }
int64_t panel_numbers(const Lookup& job) { return steps(job) * 4 * kTile; }

// Read 16 numbers less those of the centre, zeros after the last.
TILES inline __m512 read(const float* values, const float* centre, int64_t left) {
    const __mmask16 there = left >= 16 ? 0xffff : left > 0 ? (1 << left) - 1 : 0;
    return _mm512_sub_ps(_mm512_maskz_loadu_ps(there, values), _mm512_maskz_loadu_ps(there, centre));
}

TILES inline void split(__m512 value, __m256i* high, __m256i* low) {
    *high = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value));
    const __m512i back = _mm512_slli_epi32(_mm512_cvtepu16_epi32(*high), 16);
    *low = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_sub_ps(value, _mm512_castsi512_ps(back))));
}

// Write 16 codewords as tiles. Returns the largest of their squared norms.
TILES double pack(const Lookup& job, int64_t codebook, int64_t first, Bfloat16* codewords, float* half_norms) {
    const float* centre = job.centres + codebook * job.dim;
    double largest = 0;
    for (int r = 0; r < kRows; r++) {
        const bool there = first + r < job.size;
        const float* codeword = job.codewords + (codebook * job.size + (there ? first + r : 0)) * job.dim;
        __m512d norms = _mm512_setzero_pd();
        for (int64_t d = 0; d < steps(job) * kStep; d += 16) {
            const __m512 value = read(codeword + d, centre + d, there ? job.dim - d : 0);
            const __m512d front = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
            const __m512d back = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
            norms = _mm512_fmadd_pd(front, front, _mm512_fmadd_pd(back, back, norms));
            __m256i high, low;
            split(_mm512_sub_ps(_mm512_setzero_ps(), value), &high, &low);
            Bfloat16* place = codewords + (d / kStep * 2 * kRows + r) * kStep + d % kStep;
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(place), high);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(place + kTile), low);
        }
        const double norm = _mm512_reduce_add_pd(norms);
        half_norms[r] = there ? static_cast<float>(norm / 2) : INFINITY;
        if (std::isfinite(half_norms[r])) {
            largest = norm > largest ? norm : largest;
        } else {
            // Its products would be no numbers, and leave vectors open that have nothing to do with it.
            half_norms[r] = INFINITY;
            for (int64_t s = 0; s < 2 * steps(job); s++)
                std::memset(codewords + (s * kRows + r) * kStep, 0, kStep * sizeof(Bfloat16));
        }
    }
    return largest;
}

// Write a panel of vectors as tiles: pairs of dimensions side by side.
TILES void begin(const Lookup& job, int64_t codebook, int64_t first, Work& work, int g) {
    const float* centre = job.centres + codebook * job.dim;
    Bfloat16* panel = work.panels + g * panel_numbers(job);
    for (int v = 0; v < kPanel; v++) {
        const bool there = first + v < job.count;
        const int64_t row = (first + v) * job.vector_stride + codebook * job.codebook_stride;
        const float* vector = job.vectors + (there ? row : 0);
        __m512 norms = _mm512_setzero_ps();
        for (int64_t d = 0; d < steps(job) * kStep; d += 16) {
            const __m512 value = read(vector + d, centre + d, there ? job.dim - d : 0);
            norms = _mm512_fmadd_ps(value, value, norms);
            __m256i parts[2];
            split(value, &parts[0], &parts[1]);
            for (int part = 0; part < 2; part++) {
                uint32_t pairs[8];
                std::memcpy(pairs, &parts[part], sizeof pairs);
                Bfloat16* tile = panel + ((d / kStep * 2 + part) * 2 + v / kRows) * kTile;
                for (int p = 0; p < 8; p++)
                    std::memcpy(tile + ((d % kStep / 2 + p) * kRows + v % kRows) * 2, &pairs[p], sizeof pairs[p]);
            }
        }
        work.norms[g][v] = _mm512_reduce_add_ps(norms);
    }
    for (int h = 0; h < 2; h++) {
        work.lowest[g][h] = work.second[g][h] = _mm512_set1_ps(INFINITY);
        work.where[g][h] = _mm512_setzero_si512();
    }
}

// Compare a panel with 32 codewords.
TILES void compare(const Bfloat16* codewords, const float* half_norms, int64_t steps, const Bfloat16* panel,
                   int32_t index, __m512* lowest, __m512* second, __m512i* where) {
    alignas(64) float scores[2][2][kRows][kRows];
    const Bfloat16* later = codewords + steps * 2 * kTile;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t s = 0; s < steps; s++, codewords += 2 * kTile, later += 2 * kTile, panel += 4 * kTile) {
        // High with low, high with high, low with high. Low with low is below what is kept.
        _tile_loadd(4, codewords, 64);
        _tile_loadd(5, later, 64);
        _tile_loadd(6, panel + 2 * kTile, 64);
        _tile_loadd(7, panel + 3 * kTile, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(6, panel, 64);
        _tile_loadd(7, panel + kTile, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(4, codewords + kTile, 64);
        _tile_loadd(5, later + kTile, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, scores[0][0], 64);
    _tile_stored(1, scores[0][1], 64);
    _tile_stored(2, scores[1][0], 64);
    _tile_stored(3, scores[1][1], 64);
    // In registers: written through the pointers, they would go to memory after every score.
    __m512 low[2] = {lowest[0], lowest[1]}, next[2] = {second[0], second[1]};
    __m512i best[2] = {where[0], where[1]};
    for (int r = 0; r < kBlock; r++) {
        const __m512 half_norm = _mm512_set1_ps(half_norms[r]);
        const __m512i this_one = _mm512_set1_epi32(index + r);
        for (int h = 0; h < 2; h++) {
            // What is not a number is not lower, but makes the second as low as the lowest: that vector stays open.
            const __m512 score = _mm512_add_ps(_mm512_load_ps(scores[r / kRows][h][r % kRows]), half_norm);
            const __mmask16 lower = _mm512_cmp_ps_mask(score, low[h], _CMP_LT_OQ);
            next[h] = _mm512_min_ps(next[h], _mm512_max_ps(score, low[h]));
            best[h] = _mm512_mask_mov_epi32(best[h], lower, this_one);
            low[h] = _mm512_mask_mov_ps(low[h], lower, score);
        }
    }
    for (int h = 0; h < 2; h++) {
        lowest[h] = low[h];
        second[h] = next[h];
        where[h] = best[h];
    }
}

// Write the indices of a panel, -1 where another codeword could be nearer.
TILES void end(const Lookup& job, int64_t codebook, int64_t first, const Work& work, int g, double largest) {
    float lowest[kPanel], second[kPanel];
    int32_t where[kPanel];
    std::memcpy(lowest, work.lowest[g], sizeof lowest);
    std::memcpy(second, work.second[g], sizeof second);
    std::memcpy(where, work.where[g], sizeof where);
    const double longest = std::sqrt(largest);
    for (int v = 0; v < kPanel && first + v < job.count; v++) {
        const double norm = std::sqrt(static_cast<double>(work.norms[g][v]));
        // A score is off by what splitting leaves away, 3 · 2^-16 of the norms' product; by the rounding of its sums, here
        // and in float32, 4 D + 2 times 2^-24; and by what is too small for the unit, which takes it for zero.
        const double error = std::ldexp(norm * longest, -14) +
                             std::ldexp(static_cast<double>(job.dim + 2) * longest * (norm + longest), -22) +
                             4.0 * FLT_MIN * static_cast<double>(job.dim) * (1 + norm + longest);
        const bool sure = static_cast<double>(second[v]) - lowest[v] > 2 * error;
        job.indices[(first + v) * job.codebooks + codebook] = sure ? where[v] : -1;
    }
}

// Look up the panels of a group, in one codebook.
TILES void search(const Lookup& job, const Packed& packed, int64_t codebook, int64_t first, Work& work) {
    const int64_t left = (job.count - first - 1) / kPanel + 1, all_steps = steps(job);
    const int present = static_cast<int>(left < kGroup ? left : kGroup);
    for (int g = 0; g < present; g++) begin(job, codebook, first + g * kPanel, work, g);
    // Neither compiler knows that the instructions on tiles read what was written here.
    asm volatile("" ::: "memory");
    for (int64_t b = codebook * blocks(job); b < (codebook + 1) * blocks(job); b++)
        for (int g = 0; g < present; g++)
            compare(packed.codewords + b * 4 * all_steps * kTile, packed.half_norms + b * kBlock, all_steps,
                    work.panels + g * panel_numbers(job), static_cast<int32_t>((b - codebook * blocks(job)) * kBlock),
                    work.lowest[g], work.second[g], work.where[g]);
    for (int g = 0; g < present; g++) end(job, codebook, first + g * kPanel, work, g, packed.largest);
}

// Other libraries in this process use tiles too, and may rely on the shapes that they chose.
TILES void use_tiles(Palette* before) {
    Palette ours{};
    ours.palette = 1;
    for (int i = 0; i < 8; i++) ours.bytes[i] = 64, ours.rows[i] = kRows;
    _tile_storeconfig(before);
    asm volatile("" : : "r"(&ours), "r"(before) : "memory");
    _tile_loadconfig(&ours);
}

TILES void give_tiles_back(const Palette* before) {
    asm volatile("" : : "r"(before) : "memory");
    if (before->palette == 0)
        _tile_release();
    else
        _tile_loadconfig(before);
}

bool ask_for_tiles() {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool tiles = (d >> 24 & 1) && (d >> 22 & 1), wide = (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
    if (!tiles || !wide || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return false;
    // ARCH_REQ_XCOMP_PERM for the tiles' data: Linux keeps no room for it until it is asked.
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

}  // namespace

namespace vqbn {

bool tiles_are_there() {
    static const bool there = ask_for_tiles();
    return there;
}

bool look_up_by_tiles(const Lookup& job) {
    if (!tiles_are_there()) return false;
    const int64_t halves = job.codebooks * blocks(job) * 2, numbers = steps(job) * 2 * kTile;
    const int64_t groups = (job.count - 1) / (kGroup * kPanel) + 1;
    Packed packed{allocate<Bfloat16>(halves * numbers), allocate<float>(halves * kRows), 0};
    Bfloat16* panels = allocate<Bfloat16>(job.threads * kGroup * panel_numbers(job));
    const bool possible = packed.codewords && packed.half_norms && panels;
    if (possible) {
        double largest = 0;
#pragma omp parallel num_threads(job.threads) if (job.threads > 1)
        {
#pragma omp for reduction(max : largest)
            for (int64_t i = 0; i < halves; i++) {
                const int64_t per_codebook = blocks(job) * 2;
                const double here = pack(job, i / per_codebook, i % per_codebook * kRows, packed.codewords + i * numbers,
                                         packed.half_norms + i * kRows);
                largest = here > largest ? here : largest;
            }
#pragma omp single
            packed.largest = largest;
            Work work;
            work.panels = panels + this_thread() * kGroup * panel_numbers(job);
            Palette before;
            use_tiles(&before);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < job.codebooks * groups; i++)
                search(job, packed, i / groups, i % groups * kGroup * kPanel, work);
            give_tiles_back(&before);
        }
    }
    std::free(packed.codewords);
    std::free(packed.half_norms);
    std::free(panels);
    return possible;
}

}  // namespace vqbn

#else

namespace vqbn {

bool tiles_are_there() { return false; }
bool look_up_by_tiles(const Lookup&) { return false; }

}  // namespace vqbn

#endif
