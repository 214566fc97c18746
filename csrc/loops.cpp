#include "loops.hpp"

#include <cstring>
#include <type_traits>

#include "fixed.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef EEGVLM_LEVEL
#define EEGVLM_LEVEL plain
#endif
#define EEGVLM_TEXT(name) #name
#define EEGVLM_NAME(name) EEGVLM_TEXT(name)

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
    int32_t missing = 0;
    const auto one = [&](int64_t i, std::ptrdiff_t stride) {
        T raw;
        std::memcpy(&raw, at + i * stride, sizeof raw);
        const double value = widen(raw);
        const double moved = value * gain + offset;
        const double low = moved < kFar ? moved : kFar;
        const double held = low > -kFar ? low : -kFar;
        const bool gap = !finite(value);
        missing |= gap;
        positions[i] = gap ? __builtin_nanf("") : static_cast<float>(held);
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
                const float* __restrict share, [[maybe_unused]] bool apart, float highest, float lowest,
                int16_t* __restrict edges, int32_t count) {
    int32_t c = 0;
    // Neighboring cells lie between samples of one register: permuting it is faster than gathering.
#if defined(__AVX512F__)
    if (apart)
        for (; c + 16 <= count; c += 16) {
            const float* window = positions + left[c];
            const __m512i from = _mm512_sub_epi32(_mm512_loadu_si512(left + c), _mm512_set1_epi32(left[c]));
            const __m512 a = _mm512_permutexvar_ps(from, _mm512_loadu_ps(window));
            const __m512 b = _mm512_permutexvar_ps(from, _mm512_loadu_ps(window + 1));
            const __m512 s = _mm512_loadu_ps(share + c);
            const __m512 y =
                _mm512_add_ps(_mm512_mul_ps(a, _mm512_sub_ps(_mm512_set1_ps(1.0f), s)), _mm512_mul_ps(b, s));
            const __m512 held =
                _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(highest)), _mm512_set1_ps(lowest));
            const __m512i whole = _mm512_cvttps_epi32(_mm512_add_ps(held, _mm512_set1_ps(0.5f)));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(edges + c), _mm512_cvtepi32_epi16(whole));
        }
#elif defined(__AVX2__)
    if (apart)
        for (; c + 8 <= count; c += 8) {
            const float* window = positions + left[c];
            const __m256i from = _mm256_sub_epi32(
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(left + c)), _mm256_set1_epi32(left[c]));
            const __m256 a = _mm256_permutevar8x32_ps(_mm256_loadu_ps(window), from);
            const __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(window + 1), from);
            const __m256 s = _mm256_loadu_ps(share + c);
            const __m256 y =
                _mm256_add_ps(_mm256_mul_ps(a, _mm256_sub_ps(_mm256_set1_ps(1.0f), s)), _mm256_mul_ps(b, s));
            const __m256 held =
                _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(highest)), _mm256_set1_ps(lowest));
            const __m256i whole = _mm256_cvttps_epi32(_mm256_add_ps(held, _mm256_set1_ps(0.5f)));
            const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole, whole), 0x08);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(edges + c), _mm256_castsi256_si128(packed));
        }
#endif
    for (; c < count; ++c) {
        const float* at = positions + left[c];
        edges[c] = static_cast<int16_t>(settle(between(at[0], at[1], share[c]), highest, lowest));
    }
}

void span(const int16_t* __restrict edges, int16_t* __restrict low, int16_t* __restrict high, int32_t count) {
    for (int32_t c = 0; c < count; ++c) {
        const int16_t a = edges[c], b = edges[c + 1];
        low[c] = a < b ? a : b;
        high[c] = a < b ? b : a;
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

extern const Loops kLoops;
const Loops kLoops{
    EEGVLM_NAME(EEGVLM_LEVEL), read, settle_all, read_edges, span, include, dilate, scatter, resolve};

}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
