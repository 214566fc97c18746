// The Python face of the kernel. eegvlm_rt/render.py checks and explains; what is checked here again is what
// would otherwise be memory unsafe.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <stdexcept>
#include <string>

#include "render.hpp"

namespace py = pybind11;

namespace {

eegvlm::SampleType sample_type(const py::dtype& dtype) {
    if (dtype.byteorder() == '>') throw py::type_error("x: big-endian samples; use native byte order");
    const std::string name = std::string(1, dtype.kind()) + std::to_string(dtype.itemsize());
    if (name == "f2") return eegvlm::SampleType::f16;
    if (name == "f4") return eegvlm::SampleType::f32;
    if (name == "f8") return eegvlm::SampleType::f64;
    if (name == "i2") return eegvlm::SampleType::i16;
    if (name == "i4") return eegvlm::SampleType::i32;
    throw py::type_error("x: dtype must be float16, float32, float64, int16 or int32");
}

size_t product(std::initializer_list<size_t> factors) {
    size_t total = 1;
    for (const size_t factor : factors)
        if (__builtin_mul_overflow(total, factor, &total))
            throw std::invalid_argument("x: picture too large");
    return total;
}

const std::array<const char*, 6> kFormats{"u8", "u8_chw", "f32", "f16", "gray", "gray_f32"};
constexpr std::array<char, 6> kKinds{'u', 'u', 'f', 'f', 'u', 'f'};
constexpr std::array<py::ssize_t, 6> kSizes{1, 1, 4, 2, 1, 4};
constexpr std::array<size_t, 6> kPlanes{3, 3, 3, 3, 1, 1};

size_t format_of(const std::string& name) {
    for (size_t i = 0; i < kFormats.size(); ++i)
        if (name == kFormats[i]) return i;
    throw std::invalid_argument("output: unknown");
}

eegvlm::Output output_of(const py::array& out, size_t values, size_t kind, const std::array<float, 3>& scale,
                         const std::array<float, 3>& bias) {
    const auto format = static_cast<eegvlm::Format>(kind);
    if (out.dtype().kind() != kKinds[kind] || out.itemsize() != kSizes[kind])
        throw py::type_error("out: dtype is not that of the output");
    if (!out.writeable()) throw std::invalid_argument("out: read-only");
    if (!(out.flags() & py::array::c_style)) throw std::invalid_argument("out: must be C-contiguous");
    if (static_cast<size_t>(out.size()) != values) throw std::invalid_argument("out: wrong size");
    auto* data = static_cast<std::byte*>(const_cast<void*>(out.data()));
    if (reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(out.itemsize()) != 0)
        throw std::invalid_argument("out: misaligned");
    return {format, data, scale, bias};
}

void render(const py::array& x, const py::array& out, const std::string& output, int width, int height,
            int rows, double line_width, double uv_range, double gain, double offset,
            const std::array<float, 3>& scale, const std::array<float, 3>& bias, int threads) {
    if (x.ndim() != 3) throw std::invalid_argument("x: must be (pictures, channels, samples)");
    if (x.shape(1) > eegvlm::kMaxChannels) throw std::invalid_argument("channels: too many");
    if (x.shape(2) > eegvlm::kMaxSamples) throw std::invalid_argument("x: too many samples");
    const eegvlm::Layout layout({width, height, rows, static_cast<int>(x.shape(1)), line_width});
    const size_t values = product({static_cast<size_t>(x.shape(0)), kPlanes[format_of(output)],
                                   static_cast<size_t>(width), static_cast<size_t>(height), sizeof(float)}) /
                          sizeof(float);
    const eegvlm::Output target = output_of(out, values, format_of(output), scale, bias);
    const eegvlm::Traces traces{
        {static_cast<const std::byte*>(x.data()), x.strides(2), x.shape(2), sample_type(x.dtype())},
        x.strides(0),
        x.strides(1),
        x.shape(0),
        gain,
        offset};
    const py::gil_scoped_release unlocked;
    eegvlm::render(layout, uv_range, traces, target, threads);
}

std::string names(const std::vector<std::string>& all) {
    std::string joined;
    for (const std::string& name : all) joined += (joined.empty() ? "" : " ") + name;
    return joined;
}

py::dict build_config() {
    py::dict config;
    config["compiler"] = EEGVLM_COMPILER;
    config["build_type"] = EEGVLM_BUILD_TYPE;
    config["processor"] = EEGVLM_PROCESSOR;
    config["cxx_standard"] = static_cast<long>(__cplusplus);
    config["instruction_set"] = std::string(eegvlm::loops().name);
    config["instruction_sets"] = names(eegvlm::instruction_sets());
    config["flags"] = EEGVLM_FLAGS;
    config["vertical_units"] = 1 << eegvlm::kMostUnitBits;
    config["max_side"] = eegvlm::kMaxSide;
    config["max_rows"] = eegvlm::kMaxRows;
    config["max_channels"] = eegvlm::kMaxChannels;
    config["max_samples"] = eegvlm::kMaxSamples;
    return config;
}

}  // namespace

PYBIND11_MODULE(_kernel, module) {
    module.doc() = "The rendering kernel.";
    module.def("render", &render, py::arg("x"), py::arg("out"), py::kw_only(), py::arg("output"),
               py::arg("width"), py::arg("height"), py::arg("rows"), py::arg("line_width"),
               py::arg("uv_range"), py::arg("gain"), py::arg("offset"), py::arg("scale"), py::arg("bias"),
               py::arg("threads"));
    module.def("use_instruction_set", &eegvlm::use_instruction_set, py::arg("name"));
    module.def("build_config", &build_config);
}
