#include "render.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "painter.hpp"

namespace eegvlm {
namespace {

// A thread keeps its painter for the next call of the same shape, unless that would hold on to much memory.
constexpr int64_t kKeptSamples = 1 << 18;
constexpr int32_t kKeptColumns = 1 << 20;

Painter& painter_for(const Layout& layout, int64_t samples, std::unique_ptr<Painter>& large) {
    thread_local std::unique_ptr<Painter> kept;
    const bool keep = samples <= kKeptSamples && layout.columns * layout.geometry.channels <= kKeptColumns;
    std::unique_ptr<Painter>& place = keep ? kept : large;
    if (!place || !place->fits(layout, samples)) place = std::make_unique<Painter>(layout, samples);
    return *place;
}

}  // namespace

int64_t picture_bytes(const Geometry& g, Format format) {
    const int64_t pixels = static_cast<int64_t>(g.width) * g.height;
    switch (format) {
        case Format::u8_gray:
            return pixels;
        case Format::u8_hwc:
        case Format::u8_chw:
            return 3 * pixels;
        case Format::f32_gray:
            return 4 * pixels;
        case Format::f16_chw:
            return 6 * pixels;
        case Format::f32_chw:
            return 12 * pixels;
    }
    return 0;
}

void render(const Layout& layout, double uv_range, const Traces& traces, const Output& output, int threads) {
    std::atomic<int64_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_lock;
    const auto work = [&] {
        try {
            std::unique_ptr<Painter> large;
            Painter& painter = painter_for(layout, traces.samples.count, large);
            for (int64_t p = next++; p < traces.pictures; p = next++)
                painter.paint(traces, uv_range, p, output);
        } catch (...) {
            const std::lock_guard<std::mutex> hold(failure_lock);
            failure = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    const int64_t extra = std::min<int64_t>(threads, traces.pictures) - 1;
    helpers.reserve(static_cast<size_t>(std::max<int64_t>(extra, 0)));
    try {
        for (int64_t t = 0; t < extra; ++t) helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // As many threads as the system grants; those there are draw everything.
    }
    work();
    for (std::thread& helper : helpers) helper.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace eegvlm
