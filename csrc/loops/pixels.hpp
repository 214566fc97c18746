// From the edges of a tile to the numbers of the output. Included by loops.cpp alone, once for every
// instruction set.
#pragma once

#include <cstring>
#include <type_traits>

#include "fixed.hpp"
#include "loops.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

using Column = int32_t __attribute__((vector_size(kTileWidth * sizeof(int32_t))));
using Floats = float __attribute__((vector_size(kTileWidth * sizeof(float))));
using Bytes = uint8_t __attribute__((vector_size(kTileWidth)));
struct Triples {
    Bytes third[3];
};
struct Halves {
    uint16_t of[kTileWidth];
};

// Sixteen gray values as bytes, as bytes thrice each, as floats, and floats as halves.

void convert(const Column& gray, Bytes& bytes) {
#if defined(__AVX512F__)
    bytes = reinterpret_cast<Bytes>(_mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(gray)));
#elif defined(__SSE2__)
    __m128i four[4];
    std::memcpy(four, &gray, sizeof four);
    bytes = reinterpret_cast<Bytes>(
        _mm_packus_epi16(_mm_packs_epi32(four[0], four[1]), _mm_packs_epi32(four[2], four[3])));
#else
    for (int32_t i = 0; i < kTileWidth; ++i) bytes[i] = static_cast<uint8_t>(gray[i]);
#endif
}

void convert(const Column& gray, Triples& triples) {
    Bytes bytes;
    convert(gray, bytes);
#if defined(__SSSE3__)
    const auto g = reinterpret_cast<__m128i>(bytes);
    const __m128i a = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5);
    const __m128i b = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
    const __m128i c = _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
    triples.third[0] = reinterpret_cast<Bytes>(_mm_shuffle_epi8(g, a));
    triples.third[1] = reinterpret_cast<Bytes>(_mm_shuffle_epi8(g, b));
    triples.third[2] = reinterpret_cast<Bytes>(_mm_shuffle_epi8(g, c));
#else
    for (int32_t i = 0; i < 3 * kTileWidth; ++i) triples.third[i / kTileWidth][i % kTileWidth] = bytes[i / 3];
#endif
}

void convert(const Column& gray, Floats& floats) {
#if defined(__AVX512F__)
    floats = reinterpret_cast<Floats>(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(gray)));
#else
    for (int32_t i = 0; i < kTileWidth; ++i) floats[i] = static_cast<float>(gray[i]);
#endif
}

void convert(const Floats& floats, Halves& halves) {
#if defined(__AVX512F__)
    const __m256i rounded = _mm512_cvtps_ph(reinterpret_cast<__m512>(floats), _MM_FROUND_TO_NEAREST_INT);
    std::memcpy(halves.of, &rounded, sizeof halves);
#elif defined(__F16C__)
    __m256 eight[2];
    std::memcpy(eight, &floats, sizeof eight);
    for (int32_t i = 0; i < 2; ++i) {
        const __m128i rounded = _mm256_cvtps_ph(eight[i], _MM_FROUND_TO_NEAREST_INT);
        std::memcpy(halves.of + 8 * i, &rounded, sizeof rounded);
    }
#else
    for (int32_t i = 0; i < kTileWidth; ++i) halves.of[i] = half_bits(floats[i]);
#endif
}

template <Format format>
struct Kind {
    static constexpr bool kTogether = format == Format::u8_hwc;
    static constexpr bool kReal = format == Format::f32_chw || format == Format::f32_gray;
    static constexpr bool kHalf = format == Format::f16_chw;
    static constexpr int kPlanes = format == Format::u8_chw || format == Format::f32_chw || kHalf ? 3 : 1;
    static constexpr int kPerPixel = kTogether ? 3 : 1;
    using Number = std::conditional_t<kReal, float, std::conditional_t<kHalf, uint16_t, uint8_t>>;
    using Source = std::conditional_t<kReal || kHalf, Floats, std::conditional_t<kTogether, Triples, Bytes>>;
    using Row = std::conditional_t<kHalf, Halves, Source>;
};

// One register to the picture, past the caches.
void stream(const Floats& values, float* to) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, reinterpret_cast<__m512>(values));
#elif defined(__AVX__)
    __m256 half[2];
    std::memcpy(half, &values, sizeof half);
    for (int i = 0; i < 2; ++i) _mm256_stream_ps(to + 8 * i, half[i]);
#elif defined(__SSE2__)
    __m128 quarter[4];
    std::memcpy(quarter, &values, sizeof quarter);
    for (int i = 0; i < 4; ++i) _mm_stream_ps(to + 4 * i, quarter[i]);
#else
    std::memcpy(to, &values, sizeof values);
#endif
}

void flush() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

bool may_stream(const Canvas& canvas) {
    return canvas.past_caches && canvas.format == Format::f32_chw && canvas.width % kTileWidth == 0 &&
           reinterpret_cast<uintptr_t>(canvas.data) % sizeof(Floats) == 0;
}

// Writes the rows of `tiles` tiles side by side, each below the last. `full`: all of them are as wide as a
// tile is.
template <Format format, int tiles, bool full, bool streaming>
class Writer {
    using Is = Kind<format>;
    using Number = typename Is::Number;
    using Source = typename Is::Source;
    using Row = typename Is::Row;

  public:
    Writer(const Canvas& canvas, int32_t x, int32_t y, int32_t count)
        : step_(Is::kPerPixel * canvas.width),
          plane_(canvas.height * step_),
          bytes_(full ? sizeof(Row) : static_cast<size_t>(Is::kPerPixel * count) * sizeof(Number)),
          to_(reinterpret_cast<Number*>(canvas.data) + y * step_ + Is::kPerPixel * x) {
        for (int p = 0; p < Is::kPlanes; ++p) {
            scale_[p] = Floats{} + canvas.scale[p];
            bias_[p] = Floats{} + canvas.bias[p];
        }
    }

    // Where the next row goes is fetched for writing.
    void fetch() const {
        if constexpr (full && !streaming)
            for (int p = 0; p < Is::kPlanes; ++p) __builtin_prefetch(to_ + p * plane_, 1);
    }

    void put(const Column (&gray)[tiles]) {
        Source source[tiles];
        for (int i = 0; i < tiles; ++i) convert(gray[i], source[i]);
        for (int p = 0; p < Is::kPlanes; ++p)
            for (int i = 0; i < tiles; ++i) store(row_of(source[i], p), to_ + p * plane_ + kNumbers * i);
        to_ += step_;
    }

    void fill(const Column& gray, int32_t rows) {
        Source source;
        convert(gray, source);
        Row row[Is::kPlanes];
        for (int p = 0; p < Is::kPlanes; ++p) row[p] = row_of(source, p);
        for (int32_t y = 0; y < rows; ++y, to_ += step_)
            for (int p = 0; p < Is::kPlanes; ++p)
                for (int i = 0; i < tiles; ++i) store(row[p], to_ + p * plane_ + kNumbers * i);
    }

  private:
    static constexpr int kNumbers = Is::kPerPixel * kTileWidth;

    template <typename Values>
    void store(const Values& row, Number* to) const {
        if constexpr (!full)
            std::memcpy(to, &row, bytes_);
        else if constexpr (streaming)
            stream(row, to);
        else if constexpr (std::is_same_v<Values, Triples>)
            for (int i = 0; i < 3; ++i) std::memcpy(to + kTileWidth * i, &row.third[i], sizeof(Bytes));
        else
            std::memcpy(to, &row, sizeof row);
    }

    Row row_of(const Source& source, [[maybe_unused]] int p) const {
        if constexpr (Is::kReal) {
            return source * scale_[p] + bias_[p];
        } else if constexpr (Is::kHalf) {
            Halves halves;
            convert(source * scale_[p] + bias_[p], halves);
            return halves;
        } else {
            return source;
        }
    }

    int64_t step_, plane_;
    size_t bytes_;
    Number* to_;
    Floats scale_[Is::kPlanes], bias_[Is::kPlanes];
};

// In each column the lower half of a word times `lower` plus the upper half times `upper`, as signed numbers.
Column weigh(Column words, int16_t lower, int16_t upper) {
#if defined(__AVX512BW__)
    const __m512i by = _mm512_set1_epi32(static_cast<uint16_t>(lower) | upper * 65536);
    return reinterpret_cast<Column>(_mm512_madd_epi16(reinterpret_cast<__m512i>(words), by));
#else
    return ((words << 16) >> 16) * lower + (words >> 16) * upper;
#endif
}

// Runs down the columns of a tile, for a darkness that fits in 16 bits.
class Shade {
  public:
    explicit Shade(int32_t darkness)
        : by_(static_cast<int16_t>(darkness)),
          lifted_(Column{} + kLift * darkness),
          covered_(Column{} + (255 * 65536 + 32767 + kLift * darkness)) {}

    // gray_of(above + within(words)); `above` becomes that plus below(words). The rounding of gray_of is in
    // the sum that `covered_` begins with.
    Column next(Column words) {
        const Column lift = words + kLift;
        const Column gray = (covered_ - weigh(lift, by_, 0)) >> 16;
        covered_ -= weigh(lift, by_, by_) - lifted_;
        return gray;
    }

  private:
    // Added to the lower half of a word, which is no less than -63 cuts of 256 units, it keeps that from
    // borrowing from the upper half.
    static constexpr int32_t kLift = 1 << 14;

    int16_t by_;
    Column lifted_, covered_;
};

// As Shade, for any darkness.
class WideShade {
  public:
    explicit WideShade(int32_t darkness) : darkness_(darkness) {}

    Column next(Column words) {
        const Column first = (words << 16) >> 16;
        const Column covered = above_ + first;
        above_ = covered + ((words - first) >> 16);
        return 255 - ((covered * darkness_ + (1 << 15)) >> 16);
    }

  private:
    int32_t darkness_;
    Column above_ = {};
};

constexpr int32_t kMostDarkness = 32767;

// `general`: for any darkness and any ground.
template <Format format, int tiles, bool full, bool general, bool streaming>
void resolve_to(const Band& band, const Canvas& canvas) {
    Writer<format, tiles, full, streaming> write(canvas, band.x, band.top, band.count);
    const Column white = Column{} + 255;
    const int32_t end = band.last + 1 < band.bottom ? band.last + 1 : band.bottom;
    const int32_t after = end > band.top ? end : band.top;
    [[maybe_unused]] int64_t at = band.top * canvas.width + band.x;
    const auto over = [&](Column gray) {
        for (int32_t i = 0; canvas.ground && i < band.count; ++i)
            gray[i] = over_ground(gray[i], canvas.ground[at + i]);
        at += canvas.width;
        return gray;
    };
    const auto fill = [&](int32_t rows) {
        if constexpr (general)
            for (int32_t y = 0; y < rows; ++y) write.put({over(white)});
        else
            write.fill(white, rows);
    };
    fill(band.first - band.top);
    int32_t* edges = band.edges + (band.first - band.top) * kTileWidth;
    using Run = std::conditional_t<general, WideShade, Shade>;
    Run shade[2] = {Run(band.darkness), Run(band.darkness)};
    for (int32_t y = band.first; y < end; ++y, edges += kTileWidth) {
        write.fetch();
        Column gray[tiles];
        for (int i = 0; i < tiles; ++i) {
            Column words;
            std::memcpy(&words, edges + i * band.other, sizeof words);
            std::memset(edges + i * band.other, 0, sizeof words);
            gray[i] = shade[i].next(words);
        }
        if constexpr (general) gray[0] = over(gray[0]);
        write.put(gray);
    }
    if (band.last == band.bottom)
        for (int i = 0; i < tiles; ++i) std::memset(edges + i * band.other, 0, sizeof(Column));
    fill(band.bottom - after);
}

template <Format format>
void resolve_full(const Band& band, const Canvas& canvas) {
    if (canvas.ground || band.darkness > kMostDarkness) {
        Band left = band, right = band;
        left.count = band.count < kTileWidth ? band.count : kTileWidth;
        resolve_to<format, 1, false, true, false>(left, canvas);
        right.x += kTileWidth;
        right.count -= kTileWidth;
        right.edges += band.other;
        if (right.count > 0) resolve_to<format, 1, false, true, false>(right, canvas);
    } else if (band.count == 2 * kTileWidth) {
        if constexpr (format == Format::f32_chw)
            if (may_stream(canvas)) return resolve_to<format, 2, true, false, true>(band, canvas);
        resolve_to<format, 2, true, false, false>(band, canvas);
    } else if (band.count == kTileWidth) {
        resolve_to<format, 1, true, false, false>(band, canvas);
    } else {
        resolve_to<format, 1, false, false, false>(band, canvas);
    }
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
