// Any bytes are a spec and samples: the spec is refused by name, or the picture is the same from every
// instruction set, in every output and on the emulated CUDA device.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/emulate.hpp"
#include "cuda/plan.hpp"
#include "pictures.hpp"

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

constexpr int kSide = 24;
constexpr int kSamples = 96;
constexpr std::array<const char*, 5> kArguments{"width", "height", "rows", "channels", "line_width"};

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

// Of what Layout accepts, only what is small enough to draw thousands of times a second.
bool is_small(const Geometry& g) { return g.width <= kSide && g.height <= kSide; }

Geometry geometry_of(Input& input, bool hostile) {
    if (hostile)
        return {input.raw<int32_t>(), input.raw<int32_t>(), input.raw<int32_t>(), input.raw<int32_t>(),
                input.raw<double>()};
    const int width = 1 + input.below(kSide), height = 1 + input.below(kSide), rows = 1 + input.below(4),
              channels = 1 + input.below(3);
    return {width, height, rows, channels, 0.5 + input.below(input.below(4) > 0 ? 256 : 1024) / 128.0};
}

// Named by the argument that it begins with.
bool is_named(const std::string& message) {
    for (const std::string name : kArguments)
        if (message.rfind(name + ": ", 0) == 0) return true;
    return false;
}

struct Recording {
    std::vector<std::byte> bytes;
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
    const bool plain = input.below(4) > 0;
    const double gain = plain ? 1.0 : input.raw<double>(), offset = plain ? 0.0 : input.raw<double>();
    found.traces = {{first, stride, count, type}, 0, span, 1, gain, offset};
    input.fill(found.bytes);
    return found;
}

std::vector<std::byte> drawn(const Layout& layout, double uv_range, const Traces& traces, Format format) {
    std::vector<std::byte> bytes(static_cast<size_t>(picture_bytes(layout.geometry, format)), std::byte{77});
    render(layout, uv_range, traces, {format, bytes.data(), pictures::kScale, pictures::kBias}, 1);
    return bytes;
}

// What another output must hold where the gray picture is known.
std::vector<std::byte> from_gray(const std::vector<std::byte>& gray, Format format) {
    const size_t pixels = gray.size();
    std::vector<std::byte> bytes;
    for (size_t plane = 0; plane < (format == Format::f32_gray || format == Format::u8_gray ? 1 : 3); ++plane)
        for (size_t i = 0; i < pixels; ++i) {
            const size_t at = format == Format::u8_hwc ? (plane * pixels + i) / 3 : i;
            const auto value = static_cast<int32_t>(gray[at]);
            const float normal = normalized(value, pictures::kScale[plane], pictures::kBias[plane]);
            const uint16_t half = half_bits(normal);
            const bool floats = format == Format::f32_chw || format == Format::f32_gray;
            const size_t size = floats ? 4 : format == Format::f16_chw ? 2 : 1;
            const void* from = floats                      ? static_cast<const void*>(&normal)
                               : format == Format::f16_chw ? static_cast<const void*>(&half)
                                                           : static_cast<const void*>(&gray[at]);
            bytes.resize(bytes.size() + size);
            std::memcpy(bytes.data() + bytes.size() - size, from, size);
        }
    return bytes;
}

std::vector<std::byte> emulated(const Layout& layout, double uv_range, const Traces& traces) {
    const cuda::Plan plan(layout, traces.samples.count);
    cuda::Job job = plan.job({163 * 1024, 1}, 1);
    for (int c = 0; c < layout.geometry.channels; ++c)
        plan.scale(job, c, uv_range, traces.gain, traces.offset);
    std::vector<std::byte> bytes(static_cast<size_t>(picture_bytes(layout.geometry, Format::u8_gray)),
                                 std::byte{77});
    job.left = plan.left.data();
    job.share = plan.share.data();
    job.profile = plan.profile.data();
    job.x = traces.samples.data;
    job.channel_stride = traces.channel_stride;
    job.stride = traces.samples.stride;
    job.type = traces.samples.type;
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

void draw_in_every_way(const Layout& layout, Input& input) {
    const Format format = pictures::kFormats[static_cast<size_t>(input.below(6))];
    const double uv_range = input.below(8) > 0 ? 1.0 + input.below(500) : input.raw<double>();
    const Recording recording = recording_of(input, layout.geometry.channels);
    const Traces& traces = recording.traces;
    static const std::vector<std::string> sets = instruction_sets();
    const auto set = static_cast<size_t>(input.below(static_cast<int32_t>(sets.size())));
    use_instruction_set(sets[set]);
    const std::vector<std::byte> gray = drawn(layout, uv_range, traces, Format::u8_gray);
    use_instruction_set(sets[(set + 1) % sets.size()]);
    require(drawn(layout, uv_range, traces, format) == from_gray(gray, format),
            "another output from another instruction set shows another picture");
    if (input.by_lot(16) && suits_device(traces))
        require(emulated(layout, uv_range, traces) == gray, "the CUDA program draws other bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Input input(data, size);
    const Geometry geometry = geometry_of(input, input.below(32) == 0);
    try {
        const Layout layout(geometry);
        if (is_small(geometry)) draw_in_every_way(layout, input);
    } catch (const std::invalid_argument& refused) {
        require(is_named(refused.what()), refused.what());
    }
    return 0;
}
