// Registers of 16-bit numbers. Included by loops.cpp alone, once for every instruction set.
#pragma once

#include <cstdint>

#include "simd/intrinsics.hpp"

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

// As many 16-bit numbers as one register holds.
struct Words {
#if defined(__AVX512BW__)
    static constexpr int32_t kCount = 32;
    __m512i v;
    static Words load(const int16_t* at) { return {_mm512_loadu_si512(at)}; }
    static Words all(int16_t x) { return {_mm512_set1_epi16(x)}; }
    void store(int16_t* at) const { _mm512_storeu_si512(at, v); }
    friend Words least(Words a, Words b) { return {_mm512_min_epi16(a.v, b.v)}; }
    friend Words most(Words a, Words b) { return {_mm512_max_epi16(a.v, b.v)}; }
    friend Words operator+(Words a, Words b) { return {_mm512_add_epi16(a.v, b.v)}; }
    friend Words operator-(Words a, Words b) { return {_mm512_sub_epi16(a.v, b.v)}; }
#elif defined(__AVX2__)
    static constexpr int32_t kCount = 16;
    __m256i v;
    static Words load(const int16_t* at) {
        return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))};
    }
    static Words all(int16_t x) { return {_mm256_set1_epi16(x)}; }
    void store(int16_t* at) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v); }
    friend Words least(Words a, Words b) { return {_mm256_min_epi16(a.v, b.v)}; }
    friend Words most(Words a, Words b) { return {_mm256_max_epi16(a.v, b.v)}; }
    friend Words operator+(Words a, Words b) { return {_mm256_add_epi16(a.v, b.v)}; }
    friend Words operator-(Words a, Words b) { return {_mm256_sub_epi16(a.v, b.v)}; }
#elif defined(__SSE2__)
    static constexpr int32_t kCount = 8;
    __m128i v;
    static Words load(const int16_t* at) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))}; }
    static Words all(int16_t x) { return {_mm_set1_epi16(x)}; }
    void store(int16_t* at) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(at), v); }
    friend Words least(Words a, Words b) { return {_mm_min_epi16(a.v, b.v)}; }
    friend Words most(Words a, Words b) { return {_mm_max_epi16(a.v, b.v)}; }
    friend Words operator+(Words a, Words b) { return {_mm_add_epi16(a.v, b.v)}; }
    friend Words operator-(Words a, Words b) { return {_mm_sub_epi16(a.v, b.v)}; }
#elif defined(__aarch64__)
    static constexpr int32_t kCount = 8;
    int16x8_t v;
    static Words load(const int16_t* at) { return {vld1q_s16(at)}; }
    static Words all(int16_t x) { return {vdupq_n_s16(x)}; }
    void store(int16_t* at) const { vst1q_s16(at, v); }
    friend Words least(Words a, Words b) { return {vminq_s16(a.v, b.v)}; }
    friend Words most(Words a, Words b) { return {vmaxq_s16(a.v, b.v)}; }
    friend Words operator+(Words a, Words b) { return {vaddq_s16(a.v, b.v)}; }
    friend Words operator-(Words a, Words b) { return {vsubq_s16(a.v, b.v)}; }
#else
    static constexpr int32_t kCount = 1;
    int16_t v;
    static Words load(const int16_t* at) { return {*at}; }
    static Words all(int16_t x) { return {x}; }
    void store(int16_t* at) const { *at = v; }
    friend Words least(Words a, Words b) { return a.v < b.v ? a : b; }
    friend Words most(Words a, Words b) { return a.v > b.v ? a : b; }
    friend Words operator+(Words a, Words b) { return {static_cast<int16_t>(a.v + b.v)}; }
    friend Words operator-(Words a, Words b) { return {static_cast<int16_t>(a.v - b.v)}; }
#endif
};

}  // namespace
}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
