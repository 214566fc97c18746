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

eegvlm::Output output_of(const py::array& out, size_t values, const std::array<float, 3>& scale,
                         const std::array<float, 3>& bias) {
    const bool is_u8 = out.dtype().kind() == 'u' && out.itemsize() == 1;
    const bool is_f32 = out.dtype().kind() == 'f' && out.itemsize() == 4;
    if (!is_u8 && !is_f32) throw py::type_error("out: dtype must be uint8 or float32");
    if (!out.writeable()) throw std::invalid_argument("out: read-only");
    if (!(out.flags() & py::array::c_style)) throw std::invalid_argument("out: must be C-contiguous");
    if (static_cast<size_t>(out.size()) != values) throw std::invalid_argument("out: wrong size");
    auto* data = static_cast<std::byte*>(const_cast<void*>(out.data()));
    if (reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(out.itemsize()) != 0)
        throw std::invalid_argument("out: misaligned");
    return {is_u8 ? eegvlm::OutputType::u8_hwc : eegvlm::OutputType::f32_chw, data, scale, bias};
}

void render(const py::array& x, const py::array& out, int width, int height, int rows, double line_width,
            double uv_range, double gain, double offset, const std::array<float, 3>& scale,
            const std::array<float, 3>& bias, int threads) {
    if (x.ndim() != 3) throw std::invalid_argument("x: must be (pictures, channels, samples)");
    if (x.shape(1) > eegvlm::kMaxChannels) throw std::invalid_argument("channels: too many");
    if (x.shape(2) > eegvlm::kMaxSamples) throw std::invalid_argument("x: too many samples");
    const eegvlm::Layout layout({width, height, rows, static_cast<int>(x.shape(1)), line_width});
    const size_t values = product({static_cast<size_t>(x.shape(0)), 3, static_cast<size_t>(width),
                                   static_cast<size_t>(height), sizeof(float)}) /
                          sizeof(float);
    const eegvlm::Output output = output_of(out, values, scale, bias);
    const eegvlm::Traces traces{
        {static_cast<const std::byte*>(x.data()), x.strides(2), x.shape(2), sample_type(x.dtype())},
        x.strides(0),
        x.strides(1),
        x.shape(0),
        gain,
        offset};
    const py::gil_scoped_release unlocked;
    eegvlm::render(layout, uv_range, traces, output, threads);
}

py::dict build_config() {
    py::dict config;
    config["compiler"] = EEGVLM_COMPILER;
    config["build_type"] = EEGVLM_BUILD_TYPE;
    config["processor"] = EEGVLM_PROCESSOR;
    config["cxx_standard"] = static_cast<long>(__cplusplus);
    config["vertical_units"] = eegvlm::kOne;
    config["max_side"] = eegvlm::kMaxSide;
    config["max_rows"] = eegvlm::kMaxRows;
    config["max_channels"] = eegvlm::kMaxChannels;
    config["max_samples"] = eegvlm::kMaxSamples;
    return config;
}

}  // namespace

PYBIND11_MODULE(_kernel, module) {
    module.doc() = "The rendering kernel.";
    module.def("render", &render, py::arg("x"), py::arg("out"), py::kw_only(), py::arg("width"),
               py::arg("height"), py::arg("rows"), py::arg("line_width"), py::arg("uv_range"),
               py::arg("gain"), py::arg("offset"), py::arg("scale"), py::arg("bias"), py::arg("threads"));
    module.def("build_config", &build_config);
}
