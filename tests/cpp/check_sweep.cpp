#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "background.hpp"
#include "check.hpp"
#include "sweep.hpp"

namespace eegvlm::checks {
namespace {

constexpr int64_t kSamples = 700;

// Samples and mask that change, and the picture that follows them.
struct Scene {
    explicit Scene(const Geometry& geometry)
        : layout(geometry),
          channels(static_cast<size_t>(geometry.channels)),
          x(channels * kSamples),
          missing(channels * kSamples),
          scaling(channels, Scaling{100.0, 1.0, 0.0}),
          behind(background(layout, {7, {37.5}, {100.0}, 208})),
          drawn(static_cast<size_t>(picture_bytes(geometry, Format::u8_gray))) {
        for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 7919) % 230) - 115.0f;
    }

    Traces traces() const {
        Traces all{{reinterpret_cast<const std::byte*>(x.data()), 4, kSamples, SampleType::f32},
                   0,
                   4 * kSamples,
                   1,
                   1.0,
                   0.0};
        all.scaling = scaling.data();
        all.mask = {missing.data(), 0, kSamples, 1};
        return all;
    }

    Output output(std::vector<std::byte>& to) const {
        return {Format::u8_gray, to.data(), {}, {}, behind.data()};
    }

    std::vector<std::byte> afresh() const {
        std::vector<std::byte> whole(drawn.size());
        render(layout, 100.0, traces(), output(whole), 1);
        return whole;
    }

    Layout layout;
    size_t channels;
    std::vector<float> x;
    std::vector<std::byte> missing;
    std::vector<Scaling> scaling;
    std::vector<uint8_t> behind;
    std::vector<std::byte> drawn;
};

void what_changes_is_drawn_again_and_nothing_else_differs() {
    for (const Geometry& geometry :
         {Geometry{70, 60, 3, 1, 1.0}, Geometry{33, 97, 5, 2, 2.3}, Geometry{64, 64, 1, 1, 8.0},
          Geometry{70, 60, 3, 1, 1.0, 4}, Geometry{33, 97, 5, 2, 2.3, 2}}) {
        Scene scene(geometry);
        Sweep sweep(scene.layout, scene.scaling, scene.traces(), scene.output(scene.drawn));
        CHECK(scene.drawn == scene.afresh());
        uint32_t seed = 11;
        for (int step = 0; step < 60; ++step) {
            seed = seed * 1664525u + 1013904223u;
            const int64_t begin = (seed >> 8) % kSamples;
            const int64_t end = std::min<int64_t>(begin + 1 + (seed >> 3) % 90, kSamples);
            for (size_t c = 0; c < scene.channels; ++c)
                for (int64_t i = begin; i < end; ++i) {
                    const size_t at = c * kSamples + static_cast<size_t>(i);
                    scene.x[at] = step % 5 == 4 && i % 3 == 0 ? NAN : 90.0f - scene.x[at];
                    scene.missing[at] = std::byte{step % 3 == 2};
                }
            sweep.redraw(begin, end);
            CHECK(scene.drawn == scene.afresh());
        }
    }
}

void an_empty_change_draws_nothing() {
    Scene scene({70, 60, 3, 1, 1.0});
    Sweep sweep(scene.layout, scene.scaling, scene.traces(), scene.output(scene.drawn));
    scene.x[100] = 0.0f;
    const std::vector<std::byte> before = scene.drawn;
    sweep.redraw(100, 100);
    CHECK(scene.drawn == before);
}

void marks_beyond_the_picture_are_refused_by_name() {
    const Layout layout({70, 60, 3, 2, 1.0});
    const auto refusal = [&](const Marks& marks) {
        try {
            background(layout, marks);
        } catch (const std::invalid_argument& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(refusal({-1, {}, {100.0}, 0}).rfind("ticks", 0) == 0);
    CHECK(refusal({1 << 30, {}, {100.0}, 0}).rfind("ticks", 0) == 0);
    CHECK(refusal({0, {NAN}, {100.0}, 0}).rfind("scale_lines", 0) == 0);
    CHECK(refusal({0, {}, {0.0}, 0}).rfind("uv_range", 0) == 0);
    CHECK(refusal({0, {0.0}, {5e-324}, 0}).rfind("uv_range", 0) == 0);
    CHECK(refusal({0, {}, {1.0, 2.0, 3.0}, 0}).rfind("uv_range", 0) == 0);
    CHECK(refusal({0, {}, {100.0}, 256}).rfind("mark_gray", 0) == 0);
}

void marks_fit_the_smallest_and_the_tallest_picture() {
    for (const Geometry& geometry : {Geometry{1, 1, 1, 1, 0.5}, Geometry{1, 4, 8, 1, 0.5},
                                     Geometry{3, 4096, 1, 1, 1.0}, Geometry{4096, 5, 5, 1, 0.6}}) {
        const Layout layout(geometry);
        const std::vector<uint8_t> picture = background(layout, {4096, {0.0, 1e300, -1e300}, {1e-6}, 0});
        CHECK_EQUAL(picture.size(), static_cast<size_t>(geometry.width * geometry.height));
        CHECK(std::any_of(picture.begin(), picture.end(), [](uint8_t gray) { return gray < 255; }));
    }
}

}  // namespace

void sweep() {
    what_changes_is_drawn_again_and_nothing_else_differs();
    an_empty_change_draws_nothing();
    marks_beyond_the_picture_are_refused_by_name();
    marks_fit_the_smallest_and_the_tallest_picture();
}

}  // namespace eegvlm::checks
