#include "render.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "envelope.hpp"
#include "stroke.hpp"
#include "tile.hpp"

namespace eegvlm {
namespace {

class Painter {
  public:
    Painter(const Layout& layout, double uv_range, const Traces& traces, const Output& output)
        : layout_(layout),
          uv_range_(uv_range),
          traces_(traces),
          output_(output),
          positions_(static_cast<size_t>(traces.samples.count)),
          envelope_(layout),
          strokes_(static_cast<size_t>(layout.geometry.channels), Stroke(layout)),
          tile_(layout.geometry.height) {}

    void paint(int64_t picture) {
        for (int c = 0; c < layout_.geometry.channels; ++c) {
            read(picture, c);
            envelope_.trace(positions_.data(), traces_.samples.count);
            strokes_[static_cast<size_t>(c)].follow(envelope_);
        }
        for (int left = 0; left < layout_.geometry.width; left += Tile::kWidth) {
            tile_.clear();
            for (int row = 0; row < layout_.geometry.rows; ++row)
                for (int c = 0; c < layout_.geometry.channels; ++c) add_strip(row, c, left);
            tile_.begin();
            store(picture, left);
        }
    }

  private:
    int columns_from(int left) const { return std::min(Tile::kWidth, layout_.geometry.width - left); }

    void read(int64_t picture, int channel) {
        SampleView view = traces_.samples;
        view.data += picture * traces_.picture_stride + channel * traces_.channel_stride;
        const double units_per_uv = layout_.strip_height / (2.0 * uv_range_);
        const double gain = -traces_.gain * units_per_uv;
        const double offset = layout_.strip_height / 2.0 - traces_.offset * units_per_uv;
        read_positions(view, gain, offset, positions_.data());
    }

    void add_strip(int row, int channel, int left) {
        const Stroke& stroke = strokes_[static_cast<size_t>(channel)];
        const int32_t base = layout_.strip_top(row, channel);
        const int32_t begin = row * layout_.row_columns + left * kSubColumns;
        const int32_t end = begin + columns_from(left) * kSubColumns;
        for (int32_t j = begin; j < end; ++j) {
            const auto at = static_cast<size_t>(j);
            tile_.add((j - begin) / kSubColumns, base + stroke.top()[at], base + stroke.bottom()[at]);
        }
        const auto& more = stroke.more();
        auto span = std::lower_bound(more.begin(), more.end(), begin,
                                     [](const Span& s, int32_t column) { return s.column < column; });
        for (; span != more.end() && span->column < end; ++span)
            tile_.add((span->column - begin) / kSubColumns, base + span->top, base + span->bottom);
    }

    void store(int64_t picture, int left) {
        const auto width = static_cast<size_t>(layout_.geometry.width);
        const auto height = static_cast<size_t>(layout_.geometry.height);
        const auto columns = static_cast<size_t>(columns_from(left));
        const size_t plane = width * height;
        const size_t first = static_cast<size_t>(picture) * 3 * plane;
        uint8_t gray[Tile::kWidth];
        for (size_t y = 0; y < height; ++y) {
            tile_.next_row(gray);
            const size_t at = y * width + static_cast<size_t>(left);
            if (output_.type == OutputType::u8_hwc) {
                auto* to = reinterpret_cast<uint8_t*>(output_.data) + first + 3 * at;
                for (size_t x = 0; x < columns; ++x) to[3 * x] = to[3 * x + 1] = to[3 * x + 2] = gray[x];
            } else {
                for (size_t p = 0; p < 3; ++p) {
                    auto* to = reinterpret_cast<float*>(output_.data) + first + p * plane + at;
                    for (size_t x = 0; x < columns; ++x)
                        to[x] = static_cast<float>(gray[x]) * output_.scale[p] + output_.bias[p];
                }
            }
        }
    }

    const Layout& layout_;
    double uv_range_;
    const Traces& traces_;
    const Output& output_;
    std::vector<float> positions_;
    Envelope envelope_;
    std::vector<Stroke> strokes_;
    Tile tile_;
};

}  // namespace

void render(const Layout& layout, double uv_range, const Traces& traces, const Output& output, int threads) {
    std::atomic<int64_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_lock;
    const auto work = [&] {
        try {
            Painter painter(layout, uv_range, traces, output);
            for (int64_t p = next++; p < traces.pictures; p = next++) painter.paint(p);
        } catch (...) {
            const std::lock_guard<std::mutex> hold(failure_lock);
            failure = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> helpers;
        const int64_t extra = std::min<int64_t>(threads, traces.pictures) - 1;
        for (int64_t t = 0; t < extra; ++t) helpers.emplace_back(work);
        work();
    }
    if (failure) std::rethrow_exception(failure);
}

}  // namespace eegvlm
