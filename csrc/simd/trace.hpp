// From samples to the lowest and highest point of each cell. Included by loops.cpp alone, once for every
// instruction set.
#pragma once

#include <cstring>

#include "pixel_math.hpp"
#include "simd/intrinsics.hpp"
#include "simd/loops.hpp"
#include "simd/words.hpp"

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

struct Half {
    uint16_t bits;
};

double widen(Half half) { return static_cast<double>(half_value(half.bits)); }

template <typename T>
double widen(T value) {
    return static_cast<double>(value);
}

template <typename T>
bool read_as(const SampleView& samples, double gain, double offset, float* __restrict positions) {
    const std::byte* at = samples.data;
    int64_t missing = 0;  // as wide as the numbers it counts
    const auto one = [&](int64_t i, std::ptrdiff_t stride) {
        T raw;
        std::memcpy(&raw, at + i * stride, sizeof raw);
        const double value = widen(raw);
        const double moved = value * gain + offset;
        const double low = moved < kFar ? moved : kFar;
        const double held = low > -kFar ? low : -kFar;
        missing += finite(value) ? 0 : 1;
        positions[i] = static_cast<float>(finite(value) ? held : __builtin_nan(""));
    };
    if (samples.stride == static_cast<std::ptrdiff_t>(sizeof(T)))
        for (int64_t i = 0; i < samples.count; ++i) one(i, sizeof(T));
    else
        for (int64_t i = 0; i < samples.count; ++i) one(i, samples.stride);
    return missing == 0;
}

bool read(const SampleView& samples, double gain, double offset, float* positions) {
    switch (samples.type) {
        case SampleType::f16:
            return read_as<Half>(samples, gain, offset, positions);
        case SampleType::f32:
            return read_as<float>(samples, gain, offset, positions);
        case SampleType::f64:
            return read_as<double>(samples, gain, offset, positions);
        case SampleType::i16:
            return read_as<int16_t>(samples, gain, offset, positions);
        case SampleType::i32:
            return read_as<int32_t>(samples, gain, offset, positions);
    }
    return true;
}

void settle_all(const float* __restrict positions, int64_t count, float highest, float lowest,
                int16_t* __restrict heights) {
    for (int64_t i = 0; i < count; ++i)
        heights[i] = static_cast<int16_t>(settle(positions[i], highest, lowest));
}

void read_edges(const float* __restrict positions, const int32_t* __restrict left,
                const float* __restrict share, float highest, float lowest, int16_t* __restrict edges,
                int32_t count) {
    for (int32_t c = 0; c < count; ++c) {
        const float* at = positions + left[c];
        edges[c] = static_cast<int16_t>(settle(between(at[0], at[1], share[c]), highest, lowest));
    }
}

// As many neighboring cells as lie between the samples of one register: permuting that is faster than
// gathering. `a` and `b` are the samples on either side of each left edge, `last` the one before the right.
#if defined(__AVX512F__)
constexpr int32_t kCellsAtOnce = 16;

void store_settled(__m512 y, float highest, float lowest, int16_t* to) {
    const __m512 held = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(highest)), _mm512_set1_ps(lowest));
    const __m512i whole = _mm512_cvttps_epi32(_mm512_add_ps(held, _mm512_set1_ps(0.5f)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(whole));
}

void read_cells(const float* positions, const int32_t* left, const float* share, float highest, float lowest,
                int16_t* edges, int16_t* inside) {
    const __m512i origin = _mm512_set1_epi32(*left);
    const __m512i from = _mm512_sub_epi32(_mm512_loadu_si512(left), origin);
    const __m512i to = _mm512_sub_epi32(_mm512_loadu_si512(left + 1), origin);
    const __m512 window = _mm512_loadu_ps(positions + *left);
    const __m512 a = _mm512_permutexvar_ps(from, window);
    const __m512 b = _mm512_permutexvar_ps(from, _mm512_loadu_ps(positions + *left + 1));
    const __m512 last = _mm512_permutexvar_ps(to, window);
    const __m512 s = _mm512_loadu_ps(share);
    const __m512 y =
        _mm512_add_ps(_mm512_mul_ps(a, _mm512_sub_ps(_mm512_set1_ps(1.0f), s)), _mm512_mul_ps(b, s));
    store_settled(y, highest, lowest, edges);
    store_settled(_mm512_mask_blend_ps(_mm512_cmpneq_epi32_mask(from, to), y, last), highest, lowest, inside);
}
#elif defined(__AVX2__)
constexpr int32_t kCellsAtOnce = 8;

void store_settled(__m256 y, float highest, float lowest, int16_t* to) {
    const __m256 held = _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(highest)), _mm256_set1_ps(lowest));
    const __m256i whole = _mm256_cvttps_epi32(_mm256_add_ps(held, _mm256_set1_ps(0.5f)));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole, whole), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}

void read_cells(const float* positions, const int32_t* left, const float* share, float highest, float lowest,
                int16_t* edges, int16_t* inside) {
    const auto load = [](const int32_t* at) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    };
    const __m256i origin = _mm256_set1_epi32(*left);
    const __m256i from = _mm256_sub_epi32(load(left), origin);
    const __m256i to = _mm256_sub_epi32(load(left + 1), origin);
    const __m256 window = _mm256_loadu_ps(positions + *left);
    const __m256 a = _mm256_permutevar8x32_ps(window, from);
    const __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(positions + *left + 1), from);
    const __m256 last = _mm256_permutevar8x32_ps(window, to);
    const __m256 s = _mm256_loadu_ps(share);
    const __m256 y =
        _mm256_add_ps(_mm256_mul_ps(a, _mm256_sub_ps(_mm256_set1_ps(1.0f), s)), _mm256_mul_ps(b, s));
    const __m256 none = _mm256_castsi256_ps(_mm256_cmpeq_epi32(from, to));
    store_settled(y, highest, lowest, edges);
    store_settled(_mm256_blendv_ps(last, y, none), highest, lowest, inside);
}
#endif

void read_apart(const float* positions, const int32_t* left, const float* share, float highest, float lowest,
                int16_t* edges, int16_t* inside, int32_t count) {
    int32_t c = 0;
#if defined(__AVX2__)
    for (; c + kCellsAtOnce <= count; c += kCellsAtOnce)
        read_cells(positions, left + c, share + c, highest, lowest, edges + c, inside + c);
#endif
    for (; c < count; ++c) {
        const float* at = positions + left[c];
        edges[c] = static_cast<int16_t>(settle(between(at[0], at[1], share[c]), highest, lowest));
        const int32_t last = left[c + 1];
        inside[c] =
            last == left[c] ? edges[c] : static_cast<int16_t>(settle(positions[last], highest, lowest));
    }
}

void span(const int16_t* edges, const int16_t* inside, int16_t* low, int16_t* high, int32_t count) {
    int32_t c = 0;
    for (; c + Words::kCount <= count; c += Words::kCount) {
        const Words a = Words::load(edges + c), b = Words::load(edges + c + 1), y = Words::load(inside + c);
        least(least(a, b), y).store(low + c);
        most(most(a, b), y).store(high + c);
    }
    for (; c < count; ++c) {
        const int16_t a = edges[c], b = edges[c + 1], y = inside[c];
        const int16_t upper = a < b ? a : b, lower = a < b ? b : a;
        low[c] = y < upper ? y : upper;
        high[c] = y > lower ? y : lower;
    }
}

void include(const int16_t* __restrict heights, const int32_t* __restrict cells, int64_t count,
             int16_t* __restrict low, int16_t* __restrict high) {
    for (int64_t i = 0; i < count; ++i) {
        const int32_t c = cells[i];
        const int16_t y = heights[i];
        low[c] = y < low[c] ? y : low[c];
        high[c] = y > high[c] ? y : high[c];
    }
}

}  // namespace
}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
