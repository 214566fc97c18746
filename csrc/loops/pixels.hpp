// From the edges of a tile to the numbers of the output. Included by loops.cpp alone, once for every
// instruction set.
#pragma once

#include <cstring>

#include "fixed.hpp"
#include "loops.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

using Column = int32_t __attribute__((vector_size(kTileWidth * sizeof(int32_t))));
using Floats = float __attribute__((vector_size(kTileWidth * sizeof(float))));

// Gray values of one row of a tile, written to the picture.
template <Format format, bool full>
struct Writer {
    const Canvas& canvas;
    int32_t x, count;

    void operator()(int64_t y, Column gray) const {
        const int64_t at = y * canvas.width + x;
        const int64_t plane = canvas.width * canvas.height;
        if constexpr (format == Format::u8_hwc) {
            triple(gray, reinterpret_cast<uint8_t*>(canvas.data) + 3 * at);
        } else if constexpr (format == Format::u8_gray || format == Format::u8_chw) {
            const Bytes values = bytes_of(gray);
            for (int p = 0; p < (format == Format::u8_gray ? 1 : 3); ++p)
                put(&values, reinterpret_cast<uint8_t*>(canvas.data) + p * plane + at);
        } else if constexpr (format == Format::f16_chw) {
            for (int p = 0; p < 3; ++p) {
                uint16_t values[kTileWidth];
                for (int32_t i = 0; i < kTileWidth; ++i) values[i] = canvas.halves[256 * p + gray[i]];
                put(&values, reinterpret_cast<uint16_t*>(canvas.data) + p * plane + at);
            }
        } else {
            const Floats values = floats_of(gray);
            for (int p = 0; p < (format == Format::f32_gray ? 1 : 3); ++p) {
                const Floats normal = values * canvas.scale[p] + canvas.bias[p];
                put(&normal, reinterpret_cast<float*>(canvas.data) + p * plane + at);
            }
        }
    }

  private:
    struct Bytes {
        uint8_t of[kTileWidth];
    };

    static Bytes bytes_of(Column gray) {
        Bytes bytes;
#if defined(__AVX512F__)
        const __m128i g = _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(gray));
        std::memcpy(&bytes, &g, sizeof bytes);
#elif defined(__SSE2__)
        __m128i four[4];
        std::memcpy(four, &gray, sizeof four);
        const __m128i g =
            _mm_packus_epi16(_mm_packs_epi32(four[0], four[1]), _mm_packs_epi32(four[2], four[3]));
        std::memcpy(&bytes, &g, sizeof bytes);
#else
        for (int32_t i = 0; i < kTileWidth; ++i) bytes.of[i] = static_cast<uint8_t>(gray[i]);
#endif
        return bytes;
    }

    static Floats floats_of(Column gray) {
#if defined(__AVX512F__)
        return reinterpret_cast<Floats>(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(gray)));
#else
        int32_t whole[kTileWidth];
        float values[kTileWidth];
        std::memcpy(whole, &gray, sizeof whole);
        for (int32_t i = 0; i < kTileWidth; ++i) values[i] = static_cast<float>(whole[i]);
        Floats result;
        std::memcpy(&result, values, sizeof result);
        return result;
#endif
    }

    template <typename Values, typename Number>
    void put(const Values* values, Number* to) const {
        std::memcpy(to, values, full ? sizeof(Values) : static_cast<size_t>(count) * sizeof(Number));
    }

    void triple(Column gray, uint8_t* __restrict to) const {
        const Bytes values = bytes_of(gray);
#if defined(__AVX2__)
        if constexpr (full) {
            __m128i g;
            std::memcpy(&g, &values, sizeof g);
            const __m128i a = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5);
            const __m128i b = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
            const __m128i c = _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
            auto* out = reinterpret_cast<__m128i*>(to);
            _mm_storeu_si128(out, _mm_shuffle_epi8(g, a));
            _mm_storeu_si128(out + 1, _mm_shuffle_epi8(g, b));
            _mm_storeu_si128(out + 2, _mm_shuffle_epi8(g, c));
            return;
        }
#endif
        for (int32_t i = 0; i < (full ? kTileWidth : count); ++i)
            to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = values.of[i];
    }
};

template <Format format, bool full, bool grounded>
void resolve_to(const Band& band, const Canvas& canvas_) {
    const Canvas canvas = canvas_;
    const Writer<format, full> write{canvas, band.x, band.count};
    const auto put = [&](int32_t y, Column gray) {
        if constexpr (grounded) {
            const uint8_t* ground = canvas.ground + y * canvas.width + band.x;
            for (int32_t i = 0; i < band.count; ++i) gray[i] = over_ground(gray[i], ground[i]);
        }
        write(y, gray);
    };
    const Column white = Column{} + 255;
    Column above = {};
    int32_t* edges = band.edges + (band.first - band.top) * kTileWidth;
    const int32_t end = band.last + 1 < band.bottom ? band.last + 1 : band.bottom;
    for (int32_t y = band.top; y < band.first; ++y) put(y, white);
    for (int32_t y = band.first; y < end; ++y, edges += kTileWidth) {
        Column edge;
        std::memcpy(&edge, edges, sizeof edge);
        std::memset(edges, 0, sizeof edge);
        const Column first = (edge << 16) >> 16;
        const Column covered = above + first;
        above = covered + ((edge - first) >> 16);
        put(y, 255 - ((covered * band.darkness + (1 << 15)) >> 16));
    }
    if (band.last == band.bottom) std::memset(edges, 0, sizeof(Column));
    for (int32_t y = end > band.top ? end : band.top; y < band.bottom; ++y) put(y, white);
}

template <Format format>
void resolve_full(const Band& band, const Canvas& canvas) {
    if (canvas.ground)
        resolve_to<format, false, true>(band, canvas);
    else if (band.count == kTileWidth)
        resolve_to<format, true, false>(band, canvas);
    else
        resolve_to<format, false, false>(band, canvas);
}

void resolve(const Band& band, const Canvas& canvas) {
    switch (canvas.format) {
        case Format::u8_hwc:
            return resolve_full<Format::u8_hwc>(band, canvas);
        case Format::u8_chw:
            return resolve_full<Format::u8_chw>(band, canvas);
        case Format::f32_chw:
            return resolve_full<Format::f32_chw>(band, canvas);
        case Format::f16_chw:
            return resolve_full<Format::f16_chw>(band, canvas);
        case Format::u8_gray:
            return resolve_full<Format::u8_gray>(band, canvas);
        case Format::f32_gray:
            return resolve_full<Format::f32_gray>(band, canvas);
    }
}

}  // namespace
}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
