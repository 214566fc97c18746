// Pictures that are the same on every machine: whole-number samples of every type, a grid of geometries, and
// one number that stands for all the bytes drawn.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "background.hpp"
#include "painter.hpp"
#include "pixel_math.hpp"
#include "render.hpp"

namespace eegvlm::pictures {

inline constexpr std::array<Format, 6> kFormats{Format::u8_hwc,  Format::u8_chw,  Format::f32_chw,
                                                Format::f16_chw, Format::u8_gray, Format::f32_gray};
inline constexpr std::array<SampleType, 5> kTypes{SampleType::f16, SampleType::f32, SampleType::f64,
                                                  SampleType::i16, SampleType::i32};
inline constexpr std::array<float, 3> kScale{0.0146f, 0.0150f, 0.0142f}, kBias{-1.79f, -1.75f, -1.48f};
inline constexpr std::array<double, 3> kShareMissing{0.0, 0.01, 0.3};

inline uint32_t next(uint32_t seed) { return seed * 1664525u + 1013904223u; }

class Digest {
  public:
    void add(const std::byte* bytes, size_t count) {
        size_t i = 0;
        for (; i + 8 <= count; i += 8) {
            uint64_t word = 0;
            std::memcpy(&word, bytes + i, sizeof word);
            add(word);
        }
        for (; i < count; ++i) add(static_cast<uint64_t>(bytes[i]));
    }
    void add(uint64_t word) {
        state_ = (state_ ^ word) * 0x9e3779b97f4a7c15u;
        state_ ^= state_ >> 29;
    }
    uint64_t value() const { return state_; }

  private:
    uint64_t state_ = 0xcbf29ce484222325u;
};

inline size_t size_of(SampleType type) {
    switch (type) {
        case SampleType::f16:
        case SampleType::i16:
            return 2;
        case SampleType::f32:
        case SampleType::i32:
            return 4;
        case SampleType::f64:
            return 8;
    }
    return 0;
}

template <typename T>
void put(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof value);
}

// A whole number from -2048 to 2047, or a gap (zero where the type has none), as each type holds it exactly.
inline void put_sample(std::byte* at, SampleType type, int32_t level, bool missing) {
    const float value = missing ? NAN : static_cast<float>(level);
    switch (type) {
        case SampleType::f16:
            return put(at, half_bits(value));
        case SampleType::f32:
            return put(at, value);
        case SampleType::f64:
            return put(at, static_cast<double>(value));
        case SampleType::i16:
            return put(at, static_cast<int16_t>(missing ? 0 : level));
        case SampleType::i32:
            return put(at, missing ? 0 : level);
    }
}

// A trace that wanders about zero.
inline std::vector<std::byte> walk(int64_t samples, SampleType type, double share_missing, uint32_t seed) {
    std::vector<std::byte> values(static_cast<size_t>(samples) * size_of(type));
    const auto gaps = static_cast<uint32_t>(share_missing * 1024.0);
    int32_t level = 0;
    for (size_t i = 0; i < static_cast<size_t>(samples); ++i) {
        seed = next(seed);
        level += static_cast<int32_t>(seed >> 24) - 128 - level / 16;
        put_sample(values.data() + i * size_of(type), type, level, ((seed >> 8) & 1023u) < gaps);
    }
    return values;
}

// Outputs, types, gaps, masks, ranges and marks come by lot, so that each meets each geometry somewhere.
struct Case {
    Geometry geometry;
    int64_t samples;
    SampleType type;
    double share_missing;
    double uv_range;  // of the first channel; of each other one it is 10 more
    int ticks;        // 0: no marks at all
    bool masked;
    std::array<Format, 2> formats;

    std::string name() const {
        const Geometry& g = geometry;
        return std::to_string(g.width) + "x" + std::to_string(g.height) + " rows " + std::to_string(g.rows) +
               " channels " + std::to_string(g.channels) + " line " + std::to_string(g.line_width) +
               " samples " + std::to_string(samples) + " type " + std::to_string(static_cast<int>(type)) +
               " cuts " + std::to_string(g.cuts) + " missing " + std::to_string(share_missing) + " ticks " +
               std::to_string(ticks) + " masked " + std::to_string(masked) + " outputs " +
               std::to_string(static_cast<int>(formats[0])) + " " +
               std::to_string(static_cast<int>(formats[1]));
    }
};

struct Grid {
    std::vector<std::array<int, 2>> sizes;
    std::vector<int> rows, channels;
    std::vector<double> lines;
    std::vector<int64_t> samples;
    std::vector<int> cuts{8};
};

// 30 s at 50, 100, 128, 200, 256, 500, 512 and 1000 Hz, and a few samples alone.
inline Grid whole_grid() {
    return {{{1, 64}, {97, 161}, {224, 224}, {336, 336}, {448, 224}, {896, 448}},
            {1, 3, 6},
            {1, 2, 8},
            {0.5, 1.0, 2.3, 8.0},
            {1, 100, 1500, 3000, 3840, 6000, 7680, 15000, 15360, 30000}};
}

// With fewer cuts a pixel.
inline Grid coarse_grid() {
    return {{{97, 161}, {336, 336}}, {1, 6}, {1, 2}, {0.7, 1.0, 2.3}, {100, 3000, 15360}, {4, 2}};
}

inline Grid quick_grid() {
    return {{{1, 64}, {97, 161}, {336, 336}}, {1, 6}, {1, 2}, {0.7, 3.0}, {1, 100, 3000, 15360}};
}

inline std::vector<std::pair<int64_t, int>> lengths_and_cuts(const Grid& grid) {
    std::vector<std::pair<int64_t, int>> all;
    for (const int64_t samples : grid.samples)
        for (const int cuts : grid.cuts) all.emplace_back(samples, cuts);
    return all;
}

inline std::vector<Case> cases(const Grid& grid) {
    std::vector<Case> all;
    uint32_t dice = 1;
    const auto lot = [&dice](size_t sides) {
        dice = next(dice);
        return static_cast<size_t>(dice >> 16) % sides;
    };
    for (const auto& [width, height] : grid.sizes)
        for (const int rows : grid.rows)
            for (const int channels : grid.channels)
                for (const double line : grid.lines)
                    for (const auto& [samples, cuts] : lengths_and_cuts(grid)) {
                        if (line * rows * channels > height) continue;
                        const SampleType type = kTypes[lot(kTypes.size())];
                        const double missing = kShareMissing[lot(kShareMissing.size())];
                        const double range = 50.0 + 25.0 * static_cast<double>(lot(4));
                        const size_t format = lot(kFormats.size());
                        const size_t other = (format + 1 + lot(kFormats.size() - 1)) % kFormats.size();
                        const int ticks = lot(3) == 0 ? 30 : 0;
                        const bool masked = lot(4) == 0;
                        all.push_back({{width, height, rows, channels, line, cuts},
                                       samples,
                                       type,
                                       missing,
                                       range,
                                       ticks,
                                       masked,
                                       {kFormats[format], kFormats[other]}});
                    }
    return all;
}

inline std::vector<std::byte> samples_of(const Case& c) {
    return walk(c.samples * c.geometry.channels, c.type, c.share_missing, 7);
}

// Layout, traces and output of a case; what they point to stays here.
class Scene {
  public:
    Scene(const Case& c, const std::vector<std::byte>& values, int64_t pictures)
        : layout(c.geometry), missing_(c.masked ? static_cast<size_t>(c.samples) : 0) {
        Marks marks{c.ticks, {-37.5, 37.5}, {}, 208};
        for (int channel = 0; channel < c.geometry.channels; ++channel) {
            scaling_.push_back({c.uv_range + 10.0 * channel, 0.37, -1.5});
            marks.uv_range.push_back(scaling_.back().uv_range);
        }
        if (c.ticks > 0) background_ = background(layout, marks);
        for (size_t i = 0; i < missing_.size(); ++i) missing_[i] = static_cast<std::byte>(i % 97 > 90);
        const auto size = static_cast<std::ptrdiff_t>(size_of(c.type));
        traces = {{values.data(), size, c.samples, c.type}, 0, c.samples * size, pictures, 1.0, 0.0};
        traces.scaling = scaling_.data();
        if (c.masked) traces.mask = {missing_.data(), 0, 0, 1};
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;

    Output output(Format format, std::byte* data) const {
        return {format, data, kScale, kBias, background_.empty() ? nullptr : background_.data()};
    }

    const Layout layout;
    Traces traces{};

  private:
    std::vector<Scaling> scaling_;
    std::vector<std::byte> missing_;
    std::vector<uint8_t> background_;
};

// Pictures that are all alike, one after another.
inline std::vector<std::byte> draw(const Case& c, const std::vector<std::byte>& values, Format format,
                                   int threads = 1, int64_t pictures = 1) {
    const Scene scene(c, values, pictures);
    std::vector<std::byte> bytes(static_cast<size_t>(picture_bytes(c.geometry, format) * pictures));
    render(scene.layout, 0.0, scene.traces, scene.output(format, bytes.data()), threads);
    return bytes;
}

// A picture as it is drawn when there are more than the caches hold: at a multiple of 64 bytes, where the
// kernel may write past them.
inline std::vector<std::byte> drawn_past_caches(const Layout& layout, const Traces& traces, Output output) {
    constexpr size_t kLine = 64;
    const auto size = static_cast<size_t>(picture_bytes(layout.geometry, output.format));
    std::vector<std::byte> room(size + kLine, std::byte{77});
    output.data = room.data() + (kLine - reinterpret_cast<uintptr_t>(room.data()) % kLine) % kLine;
    output.past_caches = true;
    Painter(layout, traces.samples.count).paint(traces, 0.0, 0, output);
    return {output.data, output.data + size};
}

inline uint64_t digest(const Case& c) {
    const std::vector<std::byte> values = samples_of(c);
    Digest all;
    for (const Format format : c.formats) {
        const std::vector<std::byte> bytes = draw(c, values, format);
        all.add(bytes.data(), bytes.size());
        if (format != Format::f32_chw) continue;
        const Scene scene(c, values, 1);
        // Nothing to add: it is the same picture.
        const std::vector<std::byte> past =
            drawn_past_caches(scene.layout, scene.traces, scene.output(format, nullptr));
        if (past != bytes) all.add(past.data(), past.size());
    }
    return all.value();
}

}  // namespace eegvlm::pictures
