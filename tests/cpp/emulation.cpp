// The CUDA program, one thread after another, draws the CPU's bytes: with and without gaps, for tiles of
// every width, and in every kind of output.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <vector>

#include "background.hpp"
#include "cuda/emulate.hpp"
#include "cuda/plan.hpp"
#include "pixel_math.hpp"
#include "render.hpp"

namespace {

constexpr double kRange = 60.0, kGain = 0.37, kOffset = -1.5;
constexpr float kScale[3] = {0.0146f, 0.0150f, 0.0142f}, kBias[3] = {-1.79f, -1.75f, -1.48f};
constexpr eegvlm::cuda::Device kDevices[] = {{227 * 1024, 1}, {163 * 1024, 264}};

enum class Gaps { none, few, many };

std::vector<float> walk(size_t samples, Gaps gaps) {
    std::vector<float> values(samples);
    uint32_t seed = 7;
    int32_t level = 0;
    for (float& value : values) {
        seed = seed * 1664525u + 1013904223u;
        level += static_cast<int32_t>(seed >> 24) - 128 - level / 16;
        const uint32_t dice = (seed >> 8) % 100;
        const bool missing = gaps == Gaps::few ? dice < 2 : gaps == Gaps::many && dice < 35;
        value = missing ? NAN : static_cast<float>(level);
    }
    return values;
}

struct Case {
    eegvlm::Geometry geometry;
    int64_t samples;
    Gaps gaps;
    bool marked;  // ticks, scale lines, a mask, and channels that differ in range, gain and offset
};

template <typename T>
std::vector<T> drawn(eegvlm::cuda::Job job, eegvlm::cuda::Values values, eegvlm::cuda::Planes planes,
                     size_t count) {
    std::vector<T> out(count, T(77));
    job.out = reinterpret_cast<std::byte*>(out.data());
    job.values = values;
    job.planes = planes;
    eegvlm::cuda::emulate(job, 1);
    return out;
}

bool same(const Case& c) {
    using eegvlm::cuda::Planes;
    using eegvlm::cuda::Values;
    const eegvlm::Layout layout(c.geometry);
    const auto channels = static_cast<size_t>(c.geometry.channels);
    const std::vector<float> x = walk(static_cast<size_t>(c.samples) * channels, c.gaps);
    const auto* data = reinterpret_cast<const std::byte*>(x.data());
    const int64_t row = 4 * c.samples;
    const auto pixels = static_cast<size_t>(c.geometry.width * c.geometry.height);
    std::vector<uint8_t> bytes(3 * pixels);
    std::vector<float> floats(3 * pixels);
    eegvlm::Traces traces{{data, 4, c.samples, eegvlm::SampleType::f32}, 0, row, 1, kGain, kOffset};
    std::vector<eegvlm::Scaling> scaling;
    for (size_t channel = 0; channel < channels; ++channel) {
        const double more = c.marked ? static_cast<double>(channel) : 0.0;
        scaling.push_back({kRange + 7.0 * more, kGain - 0.1 * more, kOffset + more});
    }
    traces.scaling = scaling.data();
    std::vector<std::byte> missing(c.marked ? channels * static_cast<size_t>(c.samples) : 0);
    for (size_t i = 0; i < missing.size(); ++i) missing[i] = std::byte{i % 97 < 9};
    std::vector<uint8_t> background;
    if (c.marked) {
        traces.mask = {missing.data(), 0, c.samples, 1};
        background = eegvlm::background(layout, {30, {37.5, -12.0}, {kRange}, 200});
    }
    const uint8_t* behind = background.empty() ? nullptr : background.data();
    const std::array<float, 3> scale{kScale[0], kScale[1], kScale[2]}, bias{kBias[0], kBias[1], kBias[2]};
    eegvlm::render(layout, kRange, traces,
                   {eegvlm::Format::u8_hwc, reinterpret_cast<std::byte*>(bytes.data()), scale, bias, behind},
                   1);
    eegvlm::render(
        layout, kRange, traces,
        {eegvlm::Format::f32_chw, reinterpret_cast<std::byte*>(floats.data()), scale, bias, behind}, 1);

    bool equal = true;
    for (const eegvlm::cuda::Device& device : kDevices) {
        const eegvlm::cuda::Plan plan(layout, c.samples);
        eegvlm::cuda::Job job = plan.job(device, 1);
        for (int channel = 0; channel < c.geometry.channels; ++channel)
            plan.scale(job, channel, scaling[static_cast<size_t>(channel)].uv_range,
                       scaling[static_cast<size_t>(channel)].gain,
                       scaling[static_cast<size_t>(channel)].offset);
        job.left = plan.left.data();
        job.share = plan.share.data();
        job.profile = plan.profile.data();
        job.x = data;
        job.channel_stride = row;
        job.stride = 4;
        job.type = eegvlm::SampleType::f32;
        job.mask = traces.mask;
        job.background = behind;
        std::memcpy(job.scale, kScale, sizeof kScale);
        std::memcpy(job.bias, kBias, sizeof kBias);
        equal &= drawn<uint8_t>(job, Values::u8, Planes::hwc, 3 * pixels) == bytes;
        equal &= drawn<float>(job, Values::f32, Planes::chw, 3 * pixels) == floats;
        const auto halves = drawn<uint16_t>(job, Values::f16, Planes::chw, 3 * pixels);
        const auto gray = drawn<uint8_t>(job, Values::u8, Planes::gray, pixels);
        for (size_t i = 0; i < pixels; ++i) equal &= gray[i] == bytes[3 * i];
        for (size_t i = 0; i < halves.size(); ++i) equal &= halves[i] == eegvlm::half_bits(floats[i]);
    }
    return equal;
}

}  // namespace

int main() {
    int failures = 0, cases = 0;
    // A quarter of the cases by fewer cuts a pixel.
    const auto cuts_of = [](int number) { return number % 8 == 3 ? 4 : number % 8 == 6 ? 2 : 8; };
    for (const int width : {5, 70, 336})
        for (const int rows : {1, 6})
            for (const int channels : {1, 2})
                for (const double line : {0.7, 1.0, 3.0})
                    for (const int64_t samples :
                         width == 336 ? std::vector<int64_t>{3000} : std::vector<int64_t>{1, 100, 3000})
                        for (const Gaps gaps : {Gaps::none, Gaps::few, Gaps::many}) {
                            const bool marked = ++cases % 4 == 0;
                            const int cuts = cuts_of(cases);
                            if (same({{width, 69, rows, channels, line, cuts}, samples, gaps, marked}))
                                continue;
                            ++failures;
                            std::cerr << (marked ? "marked, width " : "width ") << width << " rows " << rows
                                      << " channels " << channels << " line " << line << " samples "
                                      << samples << " cuts " << cuts << " gaps " << static_cast<int>(gaps)
                                      << ": another picture than the CPU's\n";
                        }
    std::cout << cases << " cases, " << failures << " differ\n";
    return failures == 0 ? 0 : 1;
}
