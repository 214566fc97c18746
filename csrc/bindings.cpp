// The Python face of the kernel. eegvlm_rt/rendering/renderer.py checks and explains; what is checked here
// again is what would otherwise be memory unsafe.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "background.hpp"
#include "render.hpp"
#include "sweep.hpp"

namespace py = pybind11;

namespace {

std::optional<eegvlm::SampleType> known_sample_type(const py::dtype& dtype) {
    if (dtype.byteorder() == '>' || dtype.itemsize() > 8) return std::nullopt;
    switch (dtype.kind() << 8 | static_cast<int>(dtype.itemsize())) {
        case 'f' << 8 | 2:
            return eegvlm::SampleType::f16;
        case 'f' << 8 | 4:
            return eegvlm::SampleType::f32;
        case 'f' << 8 | 8:
            return eegvlm::SampleType::f64;
        case 'i' << 8 | 2:
            return eegvlm::SampleType::i16;
        case 'i' << 8 | 4:
            return eegvlm::SampleType::i32;
        default:
            return std::nullopt;
    }
}

eegvlm::SampleType sample_type(const py::dtype& dtype) {
    if (const auto type = known_sample_type(dtype)) return *type;
    throw py::type_error("x: dtype must be native float16, float32, float64, int16 or int32");
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
constexpr double kMaxScaling = 1e30;  // no product with a range or a picture's height overflows

bool has_numbers_of(const py::array& out, size_t format) {
    const py::dtype number = out.dtype();
    return number.kind() == kKinds[format] && number.itemsize() == kSizes[format] &&
           number.byteorder() != '>';
}

bool is_whole(const py::array& out) { return (out.flags() & py::array::c_style) != 0; }

// Nothing for what is no text, or none that can be written down.
std::optional<std::string_view> text_of(py::handle object) {
    if (!PyUnicode_CheckExact(object.ptr())) return std::nullopt;
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
    if (text) return std::string_view(text, static_cast<size_t>(size));
    PyErr_Clear();
    return std::nullopt;
}

std::optional<size_t> known_format(std::string_view name) {
    for (size_t i = 0; i < kFormats.size(); ++i)
        if (name == kFormats[i]) return i;
    return std::nullopt;
}

size_t format_of(std::string_view name) {
    if (const auto format = known_format(name)) return *format;
    throw std::invalid_argument("output: unknown");
}

// The bytes that an array's elements lie in.
struct Extent {
    intptr_t begin, end;

    explicit Extent(const py::array& array) {
        begin = end = reinterpret_cast<intptr_t>(array.data());
        if (array.size() == 0) return;
        end += array.itemsize();
        for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
            const py::ssize_t reach = (array.shape(axis) - 1) * array.strides(axis);
            (reach < 0 ? begin : end) += reach;
        }
    }
    bool meets(const Extent& other) const { return begin < other.end && other.begin < end; }
};

// What pictures of one look have in common.
struct Plan {
    Plan(int width, int height, int rows, int channels, double line_width,
         const std::vector<double>& uv_ranges, const std::array<float, 3>& scale_,
         const std::array<float, 3>& bias_, int ticks, const std::vector<double>& scale_lines, int mark_gray,
         int cuts)
        : layout({width, height, rows, channels, line_width, cuts}),
          uv_range(uv_ranges),
          scale(scale_),
          bias(bias_) {
        const eegvlm::Marks marks{ticks, scale_lines, uv_range, mark_gray};
        const std::vector<uint8_t> checked = eegvlm::background(layout, marks);
        if (ticks > 0 || !scale_lines.empty()) background = checked;
    }

    std::vector<eegvlm::Scaling> scaling(const std::vector<double>& gain,
                                         const std::vector<double>& offset) const {
        const auto channels = static_cast<size_t>(layout.geometry.channels);
        const auto of = [&](const std::vector<double>& values, size_t channel, const char* name) {
            if (values.size() != 1 && values.size() != channels)
                throw std::invalid_argument(std::string(name) + ": one for all channels, or one each");
            const double value = values[values.size() == 1 ? 0 : channel];
            if (!std::isfinite(value)) throw std::invalid_argument(std::string(name) + ": must be finite");
            return value;
        };
        std::vector<eegvlm::Scaling> all;
        for (size_t c = 0; c < channels; ++c)
            all.push_back({of(uv_range, c, "uv_range"), of(gain, c, "scale"), of(offset, c, "offset")});
        return all;
    }

    eegvlm::Output output(size_t format, const py::array& out) const {
        return {static_cast<eegvlm::Format>(format), static_cast<std::byte*>(const_cast<void*>(out.data())),
                scale, bias, background.empty() ? nullptr : background.data()};
    }

    py::object background_picture() const {
        if (background.empty()) return py::none();
        py::array_t<uint8_t> picture({layout.geometry.height, layout.geometry.width});
        std::copy(background.begin(), background.end(), picture.mutable_data());
        return std::move(picture);
    }

    eegvlm::Layout layout;
    std::vector<double> uv_range;
    std::array<float, 3> scale, bias;
    std::vector<uint8_t> background;  // empty: white
};

// `x` and `mask` are (pictures, channels, samples).
eegvlm::Traces traces_of(const Plan& plan, const py::array& x, const std::optional<py::array>& mask) {
    if (x.ndim() != 3) throw std::invalid_argument("x: must be (pictures, channels, samples)");
    if (x.shape(1) != plan.layout.geometry.channels)
        throw std::invalid_argument("x: another number of channels than the plan's");
    if (x.shape(2) > eegvlm::kMaxSamples) throw std::invalid_argument("x: too many samples");
    eegvlm::Traces traces{
        {static_cast<const std::byte*>(x.data()), x.strides(2), x.shape(2), sample_type(x.dtype())},
        x.strides(0),
        x.strides(1),
        x.shape(0),
        1.0,
        0.0};
    if (mask) {
        if (mask->dtype().kind() != 'b') throw py::type_error("mask: dtype must be bool");
        if (mask->ndim() != 3 || !std::equal(x.shape(), x.shape() + 3, mask->shape()))
            throw std::invalid_argument("mask: must have the shape of x");
        traces.mask = {static_cast<const std::byte*>(mask->data()), mask->strides(0), mask->strides(1),
                       mask->strides(2)};
    }
    return traces;
}

eegvlm::Output output_of(const Plan& plan, const py::array& x, const std::optional<py::array>& mask,
                         const py::array& out, const std::string& name) {
    const size_t kind = format_of(name);
    const eegvlm::Geometry& g = plan.layout.geometry;
    const size_t values =
        product({static_cast<size_t>(x.shape(0)), kPlanes[kind], static_cast<size_t>(g.width),
                 static_cast<size_t>(g.height), sizeof(float)}) /
        sizeof(float);
    if (!has_numbers_of(out, kind)) throw py::type_error("out: dtype is not that of the output");
    if (!out.writeable()) throw std::invalid_argument("out: read-only");
    if (!is_whole(out)) throw std::invalid_argument("out: must be C-contiguous");
    if (static_cast<size_t>(out.size()) != values) throw std::invalid_argument("out: wrong size");
    if (reinterpret_cast<uintptr_t>(out.data()) % static_cast<size_t>(out.itemsize()) != 0)
        throw std::invalid_argument("out: misaligned");
    const Extent target(out);
    if (target.meets(Extent(x))) throw std::invalid_argument("out: overlaps x");
    if (mask && target.meets(Extent(*mask))) throw std::invalid_argument("out: overlaps mask");
    return plan.output(kind, out);
}

void render(const Plan& plan, const py::array& x, const py::array& out, const std::optional<py::array>& mask,
            const std::string& output, const std::vector<double>& gain, const std::vector<double>& offset,
            int threads) {
    const std::vector<eegvlm::Scaling> scaling = plan.scaling(gain, offset);
    eegvlm::Traces traces = traces_of(plan, x, mask);
    traces.scaling = scaling.data();
    const eegvlm::Output target = output_of(plan, x, mask, out, output);
    const py::gil_scoped_release unlocked;
    eegvlm::render(plan.layout, 0.0, traces, target, threads);
}

// Nothing for an array of a derived class, which may mean something else by its numbers, or for one that is
// misaligned.
std::optional<py::array> plain_array(py::handle object) {
    if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_) return std::nullopt;
    const auto array = py::reinterpret_borrow<py::array>(object);
    if (!(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) return std::nullopt;
    return array;
}

bool has_shape(const py::array& array, const Plan& plan, size_t format) {
    const eegvlm::Geometry& g = plan.layout.geometry;
    const auto is = [&](std::initializer_list<py::ssize_t> shape) {
        return static_cast<size_t>(array.ndim()) == shape.size() &&
               std::equal(shape.begin(), shape.end(), array.shape());
    };
    if (kPlanes[format] == 1) return is({g.height, g.width});
    return static_cast<eegvlm::Format>(format) == eegvlm::Format::u8_hwc ? is({g.height, g.width, 3})
                                                                         : is({3, g.height, g.width});
}

// One picture in the way most are drawn: samples in an array, all channels in one unit, none masked, `out` as
// it should be. False, and nothing is drawn, where any of that is otherwise or wrong.
bool render_one(const Plan& plan, py::handle x, py::handle out, py::handle output, py::handle gain,
                py::handle offset) {
    const auto samples = plain_array(x), picture = plain_array(out);
    const auto name = text_of(output);
    if (!samples || !picture || !name || plan.uv_range.size() != 1 || !PyFloat_CheckExact(gain.ptr()) ||
        !PyFloat_CheckExact(offset.ptr()))
        return false;
    const auto type = known_sample_type(samples->dtype());
    const auto format = known_format(*name);
    const eegvlm::Geometry& g = plan.layout.geometry;
    const py::ssize_t axes = samples->ndim();
    if (!type || !format || axes < 1 || axes > 2 || (axes == 1 ? 1 : samples->shape(0)) != g.channels ||
        samples->shape(axes - 1) > eegvlm::kMaxSamples)
        return false;
    if (!has_numbers_of(*picture, *format) || !picture->writeable() || !is_whole(*picture) ||
        !has_shape(*picture, plan, *format) || Extent(*picture).meets(Extent(*samples)))
        return false;
    const double scale = PyFloat_AS_DOUBLE(gain.ptr()), shift = PyFloat_AS_DOUBLE(offset.ptr());
    if (!(std::abs(scale) <= kMaxScaling && std::abs(shift) <= kMaxScaling)) return false;
    const eegvlm::Traces traces{{static_cast<const std::byte*>(samples->data()), samples->strides(axes - 1),
                                 samples->shape(axes - 1), *type},
                                0,
                                axes == 1 ? 0 : samples->strides(0),
                                1,
                                scale,
                                shift};
    const eegvlm::Output target = plan.output(*format, *picture);
    const py::gil_scoped_release unlocked;
    eegvlm::render(plan.layout, plan.uv_range[0], traces, target, 1);
    return true;
}

// Keeps the arrays that the picture is drawn from and to.
class Sweep {
  public:
    Sweep(const std::shared_ptr<Plan>& plan, const py::array& x, const py::array& out, const py::array& mask,
          const std::string& output, const std::vector<double>& gain, const std::vector<double>& offset)
        : plan_(plan), x_(x), out_(out), mask_(mask) {
        if (x.ndim() != 3 || x.shape(0) != 1 || x.shape(2) < 1)
            throw std::invalid_argument("x: must be one picture of at least one sample");
        const eegvlm::Traces traces = traces_of(*plan, x, mask);
        const eegvlm::Output target = output_of(*plan, x, mask, out, output);
        sweep_ = std::make_unique<eegvlm::Sweep>(plan->layout, plan->scaling(gain, offset), traces, target);
    }

    void redraw(int64_t begin, int64_t end) {
        if (begin < 0 || end > sweep_->samples() || begin > end)
            throw std::invalid_argument("begin: 0 <= begin <= end <= samples must hold");
        const py::gil_scoped_release unlocked;
        const std::lock_guard<std::mutex> hold(lock_);
        sweep_->redraw(begin, end);
    }

  private:
    std::shared_ptr<Plan> plan_;
    py::array x_, out_, mask_;
    std::mutex lock_;
    std::unique_ptr<eegvlm::Sweep> sweep_;
};

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
    config["max_ticks"] = eegvlm::kMaxTicks;
    config["max_scale_lines"] = eegvlm::kMaxScaleLines;
    config["max_samples"] = eegvlm::kMaxSamples;
    return config;
}

}  // namespace

PYBIND11_MODULE(_kernel, module) {
    module.doc() = "The rendering kernel.";
    py::class_<Plan, std::shared_ptr<Plan>>(module, "Plan")
        .def(py::init<int, int, int, int, double, const std::vector<double>&, const std::array<float, 3>&,
                      const std::array<float, 3>&, int, const std::vector<double>&, int, int>(),
             py::kw_only(), py::arg("width"), py::arg("height"), py::arg("rows"), py::arg("channels"),
             py::arg("line_width"), py::arg("uv_range"), py::arg("scale"), py::arg("bias"), py::arg("ticks"),
             py::arg("scale_lines"), py::arg("mark_gray"), py::arg("cuts"))
        .def("background", &Plan::background_picture)
        .def("render", &render, py::arg("x"), py::arg("out"), py::arg("mask"), py::arg("output"),
             py::arg("gain"), py::arg("offset"), py::arg("threads"))
        .def("render_one", &render_one, py::arg("x"), py::arg("out"), py::arg("output"), py::arg("gain"),
             py::arg("offset"));
    py::class_<Sweep>(module, "Sweep")
        .def(py::init<const std::shared_ptr<Plan>&, const py::array&, const py::array&, const py::array&,
                      const std::string&, const std::vector<double>&, const std::vector<double>&>(),
             py::arg("plan"), py::arg("x"), py::arg("out"), py::arg("mask"), py::arg("output"),
             py::arg("gain"), py::arg("offset"))
        .def("redraw", &Sweep::redraw, py::arg("begin"), py::arg("end"));
    module.attr("MAX_SCALING") = kMaxScaling;
    module.def("use_instruction_set", &eegvlm::use_instruction_set, py::arg("name"));
    module.def("build_config", &build_config);
}
