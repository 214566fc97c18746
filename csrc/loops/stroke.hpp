// From the envelope to the edges of a tile. Included by loops.cpp alone, once for every instruction set.
#pragma once

#include "fixed.hpp"
#include "loops.hpp"
#include "loops/words.hpp"

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

// Cut by cut of all pixels: two additions in a row are to different words, and need not wait for one another.
Reach scatter(const int16_t* __restrict top, const int16_t* __restrict bottom,
              const int32_t* __restrict column, int32_t count, int32_t base, int32_t unit_bits,
              int32_t* __restrict edges) {
    alignas(64) int32_t place[2][kMostCuts];
    alignas(64) int32_t weight[2][kMostCuts];
    int32_t least = INT32_MAX, most = 0;
    for (int32_t j = 0; j < count; ++j) {
        const int32_t t = base + top[j], b = base + bottom[j];
        least = t < least ? t : least;
        most = b > most ? b : most;
        place[0][j] = (t >> unit_bits) * kTileWidth + column[j];
        place[1][j] = (b >> unit_bits) * kTileWidth + column[j];
        weight[0][j] = edge_weights(t, unit_bits);
        weight[1][j] = edge_weights(b, unit_bits);
    }
    const int32_t quarter = count / 4;
    for (int32_t q = 0; q < quarter; ++q)
        for (int32_t j = q; j < 4 * quarter; j += quarter) {
            edges[place[0][j]] += weight[0][j];
            edges[place[1][j]] -= weight[1][j];
        }
    for (int32_t j = 4 * quarter; j < count; ++j) {
        edges[place[0][j]] += weight[0][j];
        edges[place[1][j]] -= weight[1][j];
    }
    return {least >> unit_bits, most >> unit_bits};
}

}  // namespace
}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
