// One row of a tile: sixteen numbers, in as many registers as they fill, and what they become in a picture.
// Included by loops.cpp alone, once for every instruction set.
#pragma once

#include <cstring>

#include "pixel_math.hpp"
#include "simd/intrinsics.hpp"
#include "simd/loops.hpp"

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

#if defined(__AVX512BW__)
constexpr int kRegister = 64;  // bytes
#elif defined(__AVX2__)
constexpr int kRegister = 32;
#else
constexpr int kRegister = 16;
#endif
constexpr int kParts = kTileWidth * 4 / kRegister;

// Compilers take vectors wider than a register apart, number by number: these are never wider.
using IntsPart = int32_t __attribute__((vector_size(kRegister)));
using FloatsPart = float __attribute__((vector_size(kRegister)));

template <typename T, typename Part>
struct Row {
    static constexpr int kNumbers = kRegister / sizeof(T);

    Part part[kParts];

    static Row all(T x) {
        Row row;
        for (Part& part : row.part) part = Part{} + x;
        return row;
    }
    // Register by register: copied as a whole, it would go through memory in pieces of another size.
    static Row load(const T* at) {
        Row row;
        for (int i = 0; i < kParts; ++i) std::memcpy(&row.part[i], at + i * kNumbers, kRegister);
        return row;
    }
    void store(T* at) const {
        for (int i = 0; i < kParts; ++i) std::memcpy(at + i * kNumbers, &part[i], kRegister);
    }

    template <typename Operation>
    static Row each(const Row& a, const Row& b, Operation operation) {
        Row row;
        for (int i = 0; i < kParts; ++i) row.part[i] = operation(a.part[i], b.part[i]);
        return row;
    }
    friend Row operator+(const Row& a, const Row& b) {
        return each(a, b, [](Part x, Part y) { return x + y; });
    }
    friend Row operator-(const Row& a, const Row& b) {
        return each(a, b, [](Part x, Part y) { return x - y; });
    }
    friend Row operator*(const Row& a, const Row& b) {
        return each(a, b, [](Part x, Part y) { return x * y; });
    }
    friend Row operator>>(const Row& a, int bits) {
        return each(a, a, [bits](Part x, Part) { return x >> bits; });
    }
    friend Row operator<<(const Row& a, int bits) {
        return each(a, a, [bits](Part x, Part) { return x << bits; });
    }
};

using Ints = Row<int32_t, IntsPart>;
using Floats = Row<float, FloatsPart>;
struct Bytes {
    uint8_t of[kTileWidth];
};
struct Triples {
    uint8_t of[3 * kTileWidth];
};
struct Halves {
    uint16_t of[kTileWidth];
};

// Sixteen gray values as bytes, as bytes thrice each, as floats, and floats as halves.

void convert(const Ints& gray, Bytes& bytes) {
#if defined(__AVX512BW__)
    const __m128i sixteen = _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(gray.part[0]));
    std::memcpy(bytes.of, &sixteen, sizeof bytes);
#elif defined(__SSE2__)
#if defined(__AVX2__)
    const auto a = reinterpret_cast<__m256i>(gray.part[0]), b = reinterpret_cast<__m256i>(gray.part[1]);
    const __m256i mixed = _mm256_packs_epi32(a, b);  // by halves: 0-3, 8-11, 4-7, 12-15
    const __m256i words = _mm256_permute4x64_epi64(mixed, 0xd8);
    const __m128i sixteen =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
#else
    const auto four = [&](int i) { return reinterpret_cast<__m128i>(gray.part[i]); };
    const __m128i sixteen =
        _mm_packus_epi16(_mm_packs_epi32(four(0), four(1)), _mm_packs_epi32(four(2), four(3)));
#endif
    std::memcpy(bytes.of, &sixteen, sizeof bytes);
#elif defined(__aarch64__)
    const auto eight = [&](int i) {
        return vcombine_s16(vmovn_s32(gray.part[i]), vmovn_s32(gray.part[i + 1]));
    };
    vst1q_u8(bytes.of, vcombine_u8(vqmovun_s16(eight(0)), vqmovun_s16(eight(2))));
#else
    int32_t values[kTileWidth];
    gray.store(values);
    for (int32_t i = 0; i < kTileWidth; ++i) bytes.of[i] = static_cast<uint8_t>(values[i]);
#endif
}

void convert(const Ints& gray, Triples& triples) {
    Bytes bytes;
    convert(gray, bytes);
#if defined(__SSSE3__)
    __m128i g;
    std::memcpy(&g, bytes.of, sizeof g);
    const __m128i a = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5);
    const __m128i b = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
    const __m128i c = _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(triples.of), _mm_shuffle_epi8(g, a));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(triples.of + 16), _mm_shuffle_epi8(g, b));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(triples.of + 32), _mm_shuffle_epi8(g, c));
#elif defined(__aarch64__)
    const uint8x16_t g = vld1q_u8(bytes.of);
    const uint8x16x3_t thrice{{g, g, g}};  // clang's intrinsic is a macro: no braces in its arguments
    vst3q_u8(triples.of, thrice);
#else
    // A pixel is written as four bytes; the next one overwrites the last.
    for (int32_t i = 0; i < kTileWidth - 1; ++i) {
        const uint32_t thrice = bytes.of[i] * 0x010101u;
        std::memcpy(triples.of + 3 * i, &thrice, sizeof thrice);
    }
    for (int32_t i = 3 * (kTileWidth - 1); i < 3 * kTileWidth; ++i) triples.of[i] = bytes.of[kTileWidth - 1];
#endif
}

void convert(const Ints& gray, Floats& floats) {
    for (int i = 0; i < kParts; ++i) floats.part[i] = __builtin_convertvector(gray.part[i], FloatsPart);
}

void convert(const Floats& floats, Halves& halves) {
#if defined(__AVX512BW__)
    const __m256i rounded =
        _mm512_cvtps_ph(reinterpret_cast<__m512>(floats.part[0]), _MM_FROUND_TO_NEAREST_INT);
    std::memcpy(halves.of, &rounded, sizeof halves);
#elif defined(__AVX2__) && defined(__F16C__)
    for (int i = 0; i < kParts; ++i) {
        const __m128i rounded =
            _mm256_cvtps_ph(reinterpret_cast<__m256>(floats.part[i]), _MM_FROUND_TO_NEAREST_INT);
        std::memcpy(halves.of + 8 * i, &rounded, sizeof rounded);
    }
#elif defined(__aarch64__)
    for (int i = 0; i < kParts; ++i) {
        const float16x4_t rounded = vcvt_f16_f32(floats.part[i]);
        std::memcpy(halves.of + 4 * i, &rounded, sizeof rounded);
    }
#else
    float values[kTileWidth];
    floats.store(values);
    for (int32_t i = 0; i < kTileWidth; ++i) halves.of[i] = half_bits(values[i]);
#endif
}

// A row of words, weighed by a darkness: the lower halves alone, and both halves together.
struct Weighed {
    Ints lower, both;
};

Weighed weigh(const Ints& words, int16_t darkness) {
    Weighed weighed;
    for (int i = 0; i < kParts; ++i) {
        const IntsPart w = words.part[i];
        IntsPart &lower = weighed.lower.part[i], &both = weighed.both.part[i];
#if defined(__AVX512BW__)
        const auto v = reinterpret_cast<__m512i>(w);
        lower = reinterpret_cast<IntsPart>(
            _mm512_madd_epi16(v, _mm512_set1_epi32(static_cast<uint16_t>(darkness))));
        both = reinterpret_cast<IntsPart>(_mm512_madd_epi16(v, _mm512_set1_epi16(darkness)));
#elif defined(__AVX2__)
        const auto v = reinterpret_cast<__m256i>(w);
        lower = reinterpret_cast<IntsPart>(
            _mm256_madd_epi16(v, _mm256_set1_epi32(static_cast<uint16_t>(darkness))));
        both = reinterpret_cast<IntsPart>(_mm256_madd_epi16(v, _mm256_set1_epi16(darkness)));
#elif defined(__SSE2__)
        const auto v = reinterpret_cast<__m128i>(w);
        lower =
            reinterpret_cast<IntsPart>(_mm_madd_epi16(v, _mm_set1_epi32(static_cast<uint16_t>(darkness))));
        both = reinterpret_cast<IntsPart>(_mm_madd_epi16(v, _mm_set1_epi16(darkness)));
#elif defined(__aarch64__)
        lower = vmull_n_s16(vmovn_s32(w), darkness);
        both = vmlal_n_s16(lower, vshrn_n_s32(w, 16), darkness);
#else
        lower = ((w << 16) >> 16) * darkness;
        both = lower + (w >> 16) * darkness;
#endif
    }
    return weighed;
}

}  // namespace
}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
