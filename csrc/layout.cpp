#include "layout.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "pixel_math.hpp"
#include "simd/loops.hpp"

namespace eegvlm {
namespace {

void require(bool holds, const std::string& message) {
    if (!holds) throw std::invalid_argument(message);
}

void check(const Geometry& g) {
    const std::string side = " must lie in 1.." + std::to_string(kMaxSide);
    require(g.width >= 1 && g.width <= kMaxSide, "width: " + std::to_string(g.width) + side);
    require(g.height >= 1 && g.height <= kMaxSide, "height: " + std::to_string(g.height) + side);
    require(g.rows >= 1 && g.rows <= kMaxRows, "rows: must lie in 1.." + std::to_string(kMaxRows));
    require(g.channels >= 1 && g.channels <= kMaxChannels,
            "channels: must lie in 1.." + std::to_string(kMaxChannels));
    require(g.line_width >= 0.5 && g.line_width <= 8.0, "line_width: must lie in 0.5..8 px");
    require(g.line_width * g.rows * g.channels <= g.height,
            "height: too small for rows x channels strips of one line_width each");
    require(g.cuts == 2 || g.cuts == 4 || g.cuts == 8,
            "cuts: " + std::to_string(g.cuts) + " must be 2, 4 or 8");
}

// Below that a disc of a pixel is too few cells.
constexpr int kManyCuts = 8;
constexpr double kFewestTaps = 5.0;

// A steep edge is only as fine as the cuts lie dense. EEG drawn in a strip that is tall for its length is
// steep: of eight cuts asked for it takes as many as keep pictures of 224 pixels and more equally exact.
int of_eight(const Geometry& g) {
    const int64_t height = g.height;
    const int64_t length = static_cast<int64_t>(g.width) * g.rows * g.rows * g.channels;
    if (32 * height <= length) return 8;
    if (16 * height <= length) return 10;
    if (8 * height <= length) return 12;
    if (4 * height <= length) return 16;
    return height <= length ? 20 : 32;
}

int fewest_cuts(const Geometry& g) {
    if (g.cuts >= kManyCuts) return of_eight(g);
    const int cuts = (of_eight(g) * (g.cuts + 1) + 7) / 8;
    return std::max(cuts, static_cast<int>(std::ceil(kFewestTaps / g.line_width)));
}

// Cuts per pixel. The stroke reaches over a whole number of cells: of up to twice the fewest cuts, the first
// that bring its width within 0.5 % of that, or else those that come nearest.
int cuts_per_pixel(const Geometry& g) {
    const int fewest = fewest_cuts(g);
    int best = fewest;
    double least = 1.0;
    for (int cuts = fewest; cuts < 2 * fewest; ++cuts) {
        const double cells = g.line_width * cuts;
        const double miss = std::abs(cells - std::floor(cells + 0.5)) / cells;
        if (miss <= 0.005) return cuts;
        if (miss < least) {
            least = miss;
            best = cuts;
        }
    }
    return best;
}

// Height a disc of radius `half` adds to a cell whose middle lies `distance` sideways. The tangent to the
// disc at the cell's middle, read at the cell's far edge: exact for a line of the slope that touches there.
double raise(double half, double distance, double cell) {
    if (distance < 0.75 * cell) return half;
    const double height = std::sqrt(std::max(half * half - distance * distance, 0.0));
    if (height == 0.0) return 0.0;
    return std::max(height - 0.5 * cell * distance / height, 0.0);
}

// The outermost of a few wide cells sees all steep lines: it is raised for one of this slope, as steep as EEG
// in six rows commonly is.
constexpr double kSteep = 3.0;

double raise_of_few(double half, double distance, double cell) {
    if (distance < 0.75 * cell || distance + 0.75 * cell < half) return raise(half, distance, cell);
    return half * (std::sqrt(1.0 + kSteep * kSteep) - kSteep);
}

}  // namespace

bool Geometry::operator==(const Geometry& other) const {
    return width == other.width && height == other.height && rows == other.rows &&
           channels == other.channels && line_width == other.line_width && cuts == other.cuts;
}

Layout::Layout(const Geometry& g) : geometry(g) {
    check(g);
    sub_columns = cuts_per_pixel(g);
    row_columns = g.width * sub_columns;
    columns = row_columns * g.rows;
    taps = std::max(1, static_cast<int>(std::floor(g.line_width * sub_columns + 0.5)));
    unit_bits = kMostUnitBits;
    while (((g.height << unit_bits) - 1) / (g.rows * g.channels) >= kMostStripUnits) --unit_bits;
    strip_height = g.height * one() / (g.rows * g.channels);
    half_stroke = static_cast<int>(std::floor(g.line_width * one() / 2.0));
    profile.resize(static_cast<size_t>(taps));
    for (int k = 0; k < taps; ++k) {
        const double distance = std::abs(k - (taps - 1) / 2.0) / sub_columns;
        const auto height = g.cuts < kManyCuts ? raise_of_few : raise;
        const double units =
            std::floor(height(g.line_width / 2.0, distance, 1.0 / sub_columns) * one() + 0.5);
        profile[static_cast<size_t>(k)] =
            static_cast<int16_t>(std::min(static_cast<int>(units), half_stroke));
    }
    column.resize(static_cast<size_t>(kTileWidth * sub_columns));
    for (int j = 0; j < kTileWidth * sub_columns; ++j) column[static_cast<size_t>(j)] = j / sub_columns;
}

int Layout::strip_top(int row, int channel) const {
    const int strip = row * geometry.channels + channel;
    return strip * geometry.height * one() / (geometry.rows * geometry.channels);
}

}  // namespace eegvlm
