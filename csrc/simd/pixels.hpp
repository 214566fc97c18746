// From the edges of a tile to the numbers of the output. Included by loops.cpp alone, once for every
// instruction set.
#pragma once

#include <cstring>
#include <type_traits>

#include "pixel_math.hpp"
#include "simd/columns.hpp"
#include "simd/loops.hpp"

namespace eegvlm {
namespace EEGVLM_LEVEL {
namespace {

template <Format format>
struct Kind {
    static constexpr bool kTogether = format == Format::u8_hwc;
    static constexpr bool kReal = format == Format::f32_chw || format == Format::f32_gray;
    static constexpr bool kHalf = format == Format::f16_chw;
    static constexpr int kPlanes = format == Format::u8_chw || format == Format::f32_chw || kHalf ? 3 : 1;
    static constexpr int kPerPixel = kTogether ? 3 : 1;
    using Number = std::conditional_t<kReal, float, std::conditional_t<kHalf, uint16_t, uint8_t>>;
    using Source = std::conditional_t<kReal || kHalf, Floats, std::conditional_t<kTogether, Triples, Bytes>>;
    using Stored = std::conditional_t<kHalf, Halves, Source>;
};

// A row to the picture, past the caches.
void stream(const Floats& values, float* to) {
    for (int i = 0; i < kParts; ++i, to += kRegister / 4) {
#if defined(__AVX512BW__)
        _mm512_stream_ps(to, reinterpret_cast<__m512>(values.part[i]));
#elif defined(__AVX2__)
        _mm256_stream_ps(to, reinterpret_cast<__m256>(values.part[i]));
#elif defined(__SSE2__)
        _mm_stream_ps(to, reinterpret_cast<__m128>(values.part[i]));
#else
        std::memcpy(to, &values.part[i], kRegister);
#endif
    }
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
    using Stored = typename Is::Stored;

  public:
    Writer(const Canvas& canvas, int32_t x, int32_t y, int32_t count)
        : step_(Is::kPerPixel * canvas.width),
          plane_(canvas.height * step_),
          bytes_(full ? sizeof(Stored) : static_cast<size_t>(Is::kPerPixel * count) * sizeof(Number)),
          to_(reinterpret_cast<Number*>(canvas.data) + y * step_ + Is::kPerPixel * x) {
        for (int p = 0; p < Is::kPlanes; ++p) {
            scale_[p] = Floats::all(canvas.scale[p]);
            bias_[p] = Floats::all(canvas.bias[p]);
        }
    }

    // Where the next row goes is fetched for writing.
    void fetch() const {
        if constexpr (full && !streaming)
            for (int p = 0; p < Is::kPlanes; ++p) __builtin_prefetch(to_ + p * plane_, 1);
    }

    void put(const Ints (&gray)[tiles]) {
        Source source[tiles];
        for (int i = 0; i < tiles; ++i) convert(gray[i], source[i]);
        for (int p = 0; p < Is::kPlanes; ++p)
            for (int i = 0; i < tiles; ++i) store(row_of(source[i], p), to_ + p * plane_ + kNumbers * i);
        to_ += step_;
    }

    void fill(const Ints& gray, int32_t rows) {
        Source source;
        convert(gray, source);
        Stored row[Is::kPlanes];
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
        else if constexpr (Is::kReal)
            row.store(to);
        else
            std::memcpy(to, &row, sizeof row);
    }

    Stored row_of(const Source& source, [[maybe_unused]] int p) const {
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

// Runs down the columns of a tile, for a darkness that fits in 16 bits.
class Shade {
  public:
    explicit Shade(int32_t darkness)
        : darkness_(static_cast<int16_t>(darkness)),
          lifted_(Ints::all(kNoEdges * darkness)),
          covered_(Ints::all(255 * 65536 + 32767 + kNoEdges * darkness)) {}

    // gray_of(above + within(words)); `above` becomes that plus below(words). The rounding of gray_of is in
    // the sum that `covered_` begins with.
    Ints next(const Ints& words) {
        const Weighed weighed = weigh(words, darkness_);
        const Ints gray = (covered_ - weighed.lower) >> 16;
        covered_ = covered_ + (lifted_ - weighed.both);
        return gray;
    }

  private:
    int16_t darkness_;
    Ints lifted_, covered_;
};

// As Shade, for any darkness.
class WideShade {
  public:
    explicit WideShade(int32_t darkness) : darkness_(Ints::all(darkness)) {}

    Ints next(const Ints& lifted) {
        const Ints words = lifted - Ints::all(kNoEdges);
        const Ints first = (words << 16) >> 16;
        const Ints covered = above_ + first;
        above_ = covered + ((words - first) >> 16);
        return Ints::all(255) - ((covered * darkness_ + Ints::all(1 << 15)) >> 16);
    }

  private:
    Ints darkness_;
    Ints above_ = Ints::all(0);
};

constexpr int32_t kMostDarkness = 32767;

// `general`: for any darkness and any background.
template <Format format, int tiles, bool full, bool general, bool streaming>
void resolve_to(const Band& band, const Canvas& canvas) {
    Writer<format, tiles, full, streaming> write(canvas, band.x, band.top, band.count);
    const Ints white = Ints::all(255), none = Ints::all(kNoEdges);
    const int32_t end = band.last + 1 < band.bottom ? band.last + 1 : band.bottom;
    const int32_t after = end > band.top ? end : band.top;
    [[maybe_unused]] int64_t at = band.top * canvas.width + band.x;
    const auto over = [&](const Ints& gray) {
        int32_t values[kTileWidth];
        gray.store(values);
        for (int32_t i = 0; canvas.background && i < band.count; ++i)
            values[i] = over_background(values[i], canvas.background[at + i]);
        at += canvas.width;
        return Ints::load(values);
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
        Ints gray[tiles];
        for (int i = 0; i < tiles; ++i) {
            int32_t* const row = edges + i * band.other;
            gray[i] = shade[i].next(Ints::load(row));
            none.store(row);
        }
        if constexpr (general) gray[0] = over(gray[0]);
        write.put(gray);
    }
    if (band.last == band.bottom)
        for (int i = 0; i < tiles; ++i) none.store(edges + i * band.other);
    fill(band.bottom - after);
}

template <Format format>
void resolve_full(const Band& band, const Canvas& canvas) {
    if (canvas.background || band.darkness > kMostDarkness) {
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
