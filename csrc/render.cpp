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

// Painters are kept for the next call of the same shape, unless they would hold on to much memory.
constexpr int64_t kKeptSamples = 1 << 18;
constexpr int32_t kKeptColumns = 1 << 20;
constexpr size_t kKeptPainters = 16;

// More than that at a time is written past the caches, which are of more use to what is read again.
constexpr int64_t kHotBytes = 4 << 20;

class Painters {
  public:
    std::unique_ptr<Painter> take(const Layout& layout, int64_t samples) {
        {
            // Whoever cannot look at once makes one anew: nobody waits, not even the child of a fork.
            const std::unique_lock<std::mutex> hold(lock_, std::try_to_lock);
            if (hold)
                for (auto kept = idle_.rbegin(); kept != idle_.rend(); ++kept)
                    if ((*kept)->fits(layout, samples)) {
                        std::unique_ptr<Painter> found = std::move(*kept);
                        idle_.erase(std::next(kept).base());
                        return found;
                    }
        }
        return std::make_unique<Painter>(layout, samples);
    }

    void give(std::unique_ptr<Painter> painter, const Layout& layout, int64_t samples) {
        if (samples > kKeptSamples || layout.columns * layout.geometry.channels > kKeptColumns) return;
        const std::unique_lock<std::mutex> hold(lock_, std::try_to_lock);
        if (!hold) return;
        if (idle_.size() == kKeptPainters) idle_.erase(idle_.begin());
        idle_.push_back(std::move(painter));
    }

  private:
    std::mutex lock_;
    std::vector<std::unique_ptr<Painter>> idle_;
};

Painters& painters() {
    static Painters all;
    return all;
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
    Output to = output;
    to.past_caches = traces.pictures > kHotBytes / picture_bytes(layout.geometry, output.format);
    std::atomic<int64_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_lock;
    const auto work = [&] {
        try {
            std::unique_ptr<Painter> painter = painters().take(layout, traces.samples.count);
            for (int64_t p = next++; p < traces.pictures; p = next++) painter->paint(traces, uv_range, p, to);
            painters().give(std::move(painter), layout, traces.samples.count);
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
