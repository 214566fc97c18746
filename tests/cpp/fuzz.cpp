// Any bytes are a spec and samples: the spec is refused by name, or the picture is the same from every
// instruction set, in every output and on the emulated CUDA device.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "background.hpp"
#include "cuda/emulate.hpp"
#include "cuda/plan.hpp"
#include "pictures.hpp"
#include "sweep.hpp"

namespace {

using namespace eegvlm;

// Bytes of the input in turn; zeros when they are used up.
class Input {
  public:
    Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

    template <typename T>
    T raw() {
        T value{};
        const size_t some = size_ - at_ < sizeof value ? size_ - at_ : sizeof value;
        if (some > 0) std::memcpy(&value, data_ + at_, some);
        at_ += some;
        return value;
    }
    int32_t below(int32_t end) { return static_cast<int32_t>(raw<uint16_t>() % static_cast<uint32_t>(end)); }

    // One input in `so_many`, whichever they are: a fuzzer cannot make it more.
    bool by_lot(uint32_t so_many) const {
        uint32_t hash = 2166136261u;
        for (size_t i = 0; i < size_; ++i) hash = (hash ^ data_[i]) * 16777619u;
        return (hash >> 8) % so_many == 0;
    }

    // All that is left, over and over.
    void fill(std::vector<std::byte>& bytes) const {
        const size_t left = size_ - at_;
        if (left == 0) return;
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(data_[at_ + i % left]);
    }

  private:
    const uint8_t* data_;
    size_t size_, at_ = 0;
};

constexpr int kSide = 36;
constexpr int kSamples = 64;
constexpr std::array<const char*, 10> kArguments{"width",      "height", "rows",        "channels",
                                                 "line_width", "ticks",  "scale_lines", "uv_range",
                                                 "mark_gray",  "cuts"};

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

Geometry geometry_of(Input& input, bool hostile) {
    if (hostile)
        return {input.raw<int32_t>(), input.raw<int32_t>(), input.raw<int32_t>(),
                input.raw<int32_t>(), input.raw<double>(),  input.below(2) == 0 ? 8 : input.raw<int32_t>()};
    // Most are small, which is quick; one in eight is wider than a tile.
    const int side = input.below(8) == 0 ? kSide : 10;
    const int width = input.below(16) == 0 ? 16 : 1 + input.below(side), height = 1 + input.below(side),
              rows = 1 + input.below(3), channels = 1 + input.below(input.below(4) == 0 ? 3 : 1);
    const double line_width = 0.5 + input.below(input.below(4) > 0 ? 256 : 1024) / 128.0;
    return {width, height, rows, channels, line_width, 8 >> input.below(3)};
}

// Named by the argument that it begins with.
bool is_named(const std::string& message) {
    for (const std::string name : kArguments)
        if (message.rfind(name + ": ", 0) == 0) return true;
    return false;
}

struct Recording {
    std::vector<std::byte> bytes, missing;
    std::vector<Scaling> scaling;  // by channel
    Traces traces;
};

Recording recording_of(Input& input, int channels) {
    const SampleType type = pictures::kTypes[static_cast<size_t>(input.below(5))];
    const auto size = static_cast<std::ptrdiff_t>(pictures::size_of(type));
    const int64_t count = input.below(kSamples);
    const std::ptrdiff_t stride = input.below(4) > 0 ? size : input.below(41) - 20;
    const std::ptrdiff_t span = (stride < 0 ? -stride : stride) * (count > 0 ? count - 1 : 0) + size;
    Recording found;
    // Readable to the last byte and not one further, at any address.
    found.bytes.resize(static_cast<size_t>(span * channels));
    const std::byte* first = found.bytes.data() + (stride < 0 ? span - size : 0);
    found.traces = {{first, stride, count, type}, 0, span, 1, 1.0, 0.0};
    for (int c = 0; c < channels; ++c) {
        const bool wild = input.below(8) == 0;
        found.scaling.push_back({wild ? input.raw<double>() : 1.0 + input.below(500),
                                 wild ? input.raw<double>() : 1.0, wild ? input.raw<double>() : 0.0});
    }
    if (input.below(3) == 0) found.missing.resize(static_cast<size_t>(count * channels));
    for (std::byte& one : found.missing) one = static_cast<std::byte>(input.below(5) == 0);
    input.fill(found.bytes);
    return found;
}

// As the kernel takes it: the vectors must not move any more.
Traces traces_of(const Recording& recording) {
    Traces traces = recording.traces;
    traces.scaling = recording.scaling.data();
    if (!recording.missing.empty())
        traces.mask = {recording.missing.data(), 0, static_cast<std::ptrdiff_t>(traces.samples.count), 1};
    return traces;
}

Marks marks_of(Input& input, bool hostile) {
    if (hostile)
        return {input.raw<int32_t>(), {input.raw<double>()}, {input.raw<double>()}, input.raw<int32_t>()};
    return {input.below(40), {-20.0 + input.below(40)}, {1.0 + input.below(100)}, input.below(256)};
}

std::vector<std::byte> drawn(const Layout& layout, const Traces& traces, Format format,
                             const std::vector<uint8_t>& background) {
    std::vector<std::byte> bytes(static_cast<size_t>(picture_bytes(layout.geometry, format)), std::byte{77});
    const uint8_t* behind = background.empty() ? nullptr : background.data();
    render(layout, 0.0, traces, {format, bytes.data(), pictures::kScale, pictures::kBias, behind}, 1);
    return bytes;
}

// What another output must hold where the gray picture is known.
template <typename Number, typename Of>
void put_planes(const std::vector<std::byte>& gray, size_t planes, std::vector<std::byte>& bytes, Of of) {
    bytes.resize(planes * gray.size() * sizeof(Number));
    for (size_t i = 0; i < planes * gray.size(); ++i)
        pictures::put<Number>(bytes.data() + i * sizeof(Number), of(i / gray.size(), i % gray.size()));
}

std::vector<std::byte> from_gray(const std::vector<std::byte>& gray, Format format) {
    std::vector<std::byte> bytes;
    const auto level = [&](size_t, size_t i) { return gray[i]; };
    const auto normal = [&](size_t plane, size_t i) {
        return normalized(static_cast<int32_t>(gray[i]), pictures::kScale[plane], pictures::kBias[plane]);
    };
    switch (format) {
        case Format::u8_gray:
            return gray;
        case Format::u8_hwc:
            put_planes<std::byte>(
                gray, 3, bytes, [&](size_t plane, size_t i) { return gray[(plane * gray.size() + i) / 3]; });
            break;
        case Format::u8_chw:
            put_planes<std::byte>(gray, 3, bytes, level);
            break;
        case Format::f32_chw:
            put_planes<float>(gray, 3, bytes, normal);
            break;
        case Format::f32_gray:
            put_planes<float>(gray, 1, bytes, normal);
            break;
        case Format::f16_chw:
            put_planes<uint16_t>(gray, 3, bytes,
                                 [&](size_t plane, size_t i) { return half_bits(normal(plane, i)); });
            break;
    }
    return bytes;
}

std::vector<std::byte> emulated(const Layout& layout, const Traces& traces,
                                const std::vector<uint8_t>& background) {
    const cuda::Plan plan(layout, traces.samples.count);
    cuda::Job job = plan.job({163 * 1024, 1}, 1);
    for (int c = 0; c < layout.geometry.channels; ++c)
        plan.scale(job, c, traces.scaling[c].uv_range, traces.scaling[c].gain, traces.scaling[c].offset);
    std::vector<std::byte> bytes(static_cast<size_t>(picture_bytes(layout.geometry, Format::u8_gray)),
                                 std::byte{77});
    job.left = plan.left.data();
    job.share = plan.share.data();
    job.profile = plan.profile.data();
    job.x = traces.samples.data;
    job.channel_stride = traces.channel_stride;
    job.stride = traces.samples.stride;
    job.type = traces.samples.type;
    job.mask = traces.mask;
    job.background = background.empty() ? nullptr : background.data();
    job.out = bytes.data();
    job.values = cuda::Values::u8;
    job.planes = cuda::Planes::gray;
    cuda::emulate(job, 1);
    return bytes;
}

// The device reads samples at addresses that suit their type.
bool suits_device(const Traces& traces) {
    const auto size = static_cast<std::ptrdiff_t>(pictures::size_of(traces.samples.type));
    return traces.samples.count > 0 && traces.samples.stride % size == 0 &&
           traces.channel_stride % size == 0 &&
           reinterpret_cast<uintptr_t>(traces.samples.data) % static_cast<size_t>(size) == 0;
}

// Samples come in piece by piece, in any order: the picture is always that of what is there.
void sweep_in_pieces(const Layout& layout, Input& input, Recording& recording, Format format,
                     const std::vector<uint8_t>& background, const std::vector<std::byte>& expected) {
    const int64_t count = recording.traces.samples.count;
    const std::vector<std::byte> given = recording.missing;
    const auto channels = static_cast<size_t>(layout.geometry.channels);
    recording.missing.assign(channels * static_cast<size_t>(count), std::byte{1});
    std::vector<std::byte> bytes(expected.size(), std::byte{77});
    const uint8_t* behind = background.empty() ? nullptr : background.data();
    const Traces traces = traces_of(recording);
    Sweep sweep(layout, recording.scaling, traces,
                {format, bytes.data(), pictures::kScale, pictures::kBias, behind});
    const auto show = [&](int64_t begin, int64_t end) {
        for (size_t c = 0; c < channels; ++c)
            for (int64_t i = begin; i < end; ++i) {
                const size_t at = c * static_cast<size_t>(count) + static_cast<size_t>(i);
                recording.missing[at] = given.empty() ? std::byte{0} : given[at];
            }
        sweep.redraw(begin, end);
    };
    const int64_t first = input.below(static_cast<int32_t>(count));
    const int64_t second = first + input.below(static_cast<int32_t>(count - first) + 1);
    show(first, second);
    require(bytes == drawn(layout, traces, format, background), "a sweep in part shows other bytes");
    show(second, count);
    show(0, first);
    require(bytes == expected, "a whole sweep shows other bytes");
}

void draw_in_every_way(const Layout& layout, Input& input) {
    const std::vector<uint8_t> behind = input.below(4) == 0
                                            ? background(layout, marks_of(input, input.below(8) == 0))
                                            : std::vector<uint8_t>();
    const Format format = pictures::kFormats[static_cast<size_t>(input.below(6))];
    static const std::vector<std::string> sets = instruction_sets();
    const auto set = static_cast<size_t>(input.below(static_cast<int32_t>(sets.size())));
    Recording recording = recording_of(input, layout.geometry.channels);
    const Traces traces = traces_of(recording);
    use_instruction_set(sets[set]);
    const std::vector<std::byte> gray = drawn(layout, traces, Format::u8_gray, behind);
    use_instruction_set(sets[(set + 1) % sets.size()]);
    const std::vector<std::byte> picture = drawn(layout, traces, format, behind);
    require(picture == from_gray(gray, format),
            "another output from another instruction set shows another picture");
    if (input.by_lot(64) && suits_device(traces))
        require(emulated(layout, traces, behind) == gray, "the CUDA program draws other bytes");
    if (input.by_lot(7)) {
        const uint8_t* below = behind.empty() ? nullptr : behind.data();
        require(pictures::drawn_past_caches(
                    layout, traces, {format, nullptr, pictures::kScale, pictures::kBias, below}) == picture,
                "written past the caches it is another picture");
    }
    if (input.by_lot(5) && traces.samples.count > 0)
        sweep_in_pieces(layout, input, recording, format, behind, picture);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Input input(data, size);
    const Geometry geometry = geometry_of(input, input.below(32) == 0);
    try {
        const Layout layout(geometry);
        // Of what is accepted, only what can be drawn thousands of times a second.
        if (geometry.width <= kSide && geometry.height <= kSide) draw_in_every_way(layout, input);
    } catch (const std::invalid_argument& refused) {
        require(is_named(refused.what()), refused.what());
    }
    return 0;
}
