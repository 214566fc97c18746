// From the envelope to the edges of a tile. Included by loops.cpp alone, once for every instruction set.
#pragma once

#include "pixel_math.hpp"
#include "simd/loops.hpp"
#include "simd/words.hpp"

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

// The profile is its own mirror image: of the two cells it raises alike, the more extreme is enough.
void dilate(const int16_t* low, const int16_t* high, const int16_t* profile, int32_t taps,
            int32_t strip_height, int16_t* top, int16_t* bottom, int32_t count) {
    const Words height = Words::all(static_cast<int16_t>(strip_height));
    for (int32_t j = 0; j < count; j += Words::kCount) {
        Words upper = height, lower = Words::all(kNoHigh);
        for (int32_t k = 0; 2 * k < taps; ++k) {
            const Words by = Words::all(profile[k]);
            const int32_t mirrored = j + taps - 1 - k;
            upper = least(upper, least(Words::load(low + j + k), Words::load(low + mirrored)) - by);
            lower = most(lower, most(Words::load(high + j + k), Words::load(high + mirrored)) + by);
        }
        upper.store(top + j);
        most(lower, upper).store(bottom + j);
    }
}

constexpr int32_t kMostCuts = kTileWidth * 64;

// The same words in one order after another: two additions in a row are to different columns, and need not
// wait for one another.
template <bool fetching, int32_t known>
void add_edges(const uint32_t* __restrict place, const int32_t* __restrict weight, int32_t any,
               int32_t* __restrict edges, const Ahead& ahead) {
    const int32_t count = known > 0 ? known : any, eighth = count / 8;
    [[maybe_unused]] const int32_t rows = fetching && eighth > 0 ? (ahead.rows + eighth - 1) / eighth : 0;
    [[maybe_unused]] const std::byte* at = ahead.at;
    for (int32_t q = 0; q < eighth; ++q) {
        if constexpr (fetching)
            for (int32_t r = 0; r < rows; ++r, at += ahead.step) {
                __builtin_prefetch(at, 1);
                __builtin_prefetch(at + ahead.plane, 1);
                __builtin_prefetch(at + 2 * ahead.plane, 1);
            }
        edges[place[q]] += weight[q];
        edges[place[q + eighth]] += weight[q + eighth];
        edges[place[q + 2 * eighth]] += weight[q + 2 * eighth];
        edges[place[q + 3 * eighth]] += weight[q + 3 * eighth];
        edges[place[q + 4 * eighth]] += weight[q + 4 * eighth];
        edges[place[q + 5 * eighth]] += weight[q + 5 * eighth];
        edges[place[q + 6 * eighth]] += weight[q + 6 * eighth];
        edges[place[q + 7 * eighth]] += weight[q + 7 * eighth];
    }
    for (int32_t j = 8 * eighth; j < count; ++j) edges[place[j]] += weight[j];
}

// `known`: how many, where pictures commonly have as many, so that the compiler knows it; or 0.
template <int32_t known>
void add_known(const uint32_t* place, const int32_t* weight, int32_t count, int32_t* edges,
               const Ahead& ahead) {
    if (ahead.rows > 0)
        add_edges<true, known>(place, weight, count, edges, ahead);
    else
        add_edges<false, known>(place, weight, count, edges, ahead);
}

// `common`: cuts a pixel that pictures commonly have.
template <int32_t... common>
void add_all(const uint32_t* place, const int32_t* weight, int32_t count, int32_t* edges,
             const Ahead& ahead) {
    const bool added = ((count == 2 * kTileWidth * common &&
                         (add_known<2 * kTileWidth * common>(place, weight, count, edges, ahead), true)) ||
                        ...);
    if (!added) add_known<0>(place, weight, count, edges, ahead);
}

Reach scatter(const int16_t* __restrict top, const int16_t* __restrict bottom,
              const int32_t* __restrict column, int32_t count, int32_t base, int32_t unit_bits,
              int32_t* __restrict edges, const Ahead& ahead) {
    alignas(64) uint32_t place[2 * kMostCuts];
    alignas(64) int32_t weight[2 * kMostCuts];
    int32_t least = INT32_MAX, most = 0;
    for (int32_t j = 0; j < count; ++j) {
        const int32_t t = base + top[j], b = base + bottom[j];
        least = t < least ? t : least;
        most = b > most ? b : most;
        place[j] = static_cast<uint32_t>((t >> unit_bits) * kTileWidth + column[j]);
        place[count + j] = static_cast<uint32_t>((b >> unit_bits) * kTileWidth + column[j]);
        weight[j] = edge_weights(t, unit_bits);
        weight[count + j] = -edge_weights(b, unit_bits);
    }
    add_all<5, 8, 10, 13, 20>(place, weight, 2 * count, edges, ahead);
    return {least >> unit_bits, most >> unit_bits};
}

}  // namespace
}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
