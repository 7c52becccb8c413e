#include "tests/support/demo_judge.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

namespace ferry::testing {
namespace {

constexpr double kPeakQuantile = 0.985;
constexpr double kObjectOfPeak = 0.5;
constexpr double kCoreOfPeak = 0.85;
constexpr double kLeastContrast = 35;     // RGB units
constexpr double kLeastArea = 0.01;       // of the frame
constexpr double kFaint = 0.15;           // coverage below this is noise
constexpr double kLeastRadius = 0.10;     // of the frame
constexpr double kGreatestRadius = 0.24;  // of the frame
constexpr double kLeastTravel = 0.0875;   // of the frame, over the clip
constexpr double kGreatestSkew = 0.6;     // of the travel across to the travel along

struct Object {
  double x = 0;  // of the centre of mass, pixels
  double y = 0;
  Rgb rgb{};
  std::array<double, 3> overlap{};
};

// Of one frame: how far each pixel is from the background, and what that is where the object is.
struct Difference {
  std::vector<double> values;  // [height, width]
  double peak = 0;
};

double quantile(std::vector<double> values, double q) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

Rgb pixel(const worker::ImageView& frame, int x, int y) {
  const std::uint8_t* rgb = frame.rgb + (static_cast<std::ptrdiff_t>(y) * frame.width + x) * 3;
  return {static_cast<double>(rgb[0]), static_cast<double>(rgb[1]), static_cast<double>(rgb[2])};
}

double distance(const Rgb& a, const Rgb& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

Rgb median(const std::vector<Rgb>& colours) {
  Rgb result{};
  for (std::size_t c = 0; c < 3; ++c) {
    std::vector<double> values;
    for (const Rgb& colour : colours) values.push_back(colour[c]);
    result[c] = quantile(std::move(values), 0.5);
  }
  return result;
}

template <std::size_t N>
std::string_view nearest(const std::array<NamedColour, N>& names, const Rgb& rgb) {
  return std::min_element(names.begin(), names.end(),
                          [&](const NamedColour& a, const NamedColour& b) {
                            return distance(a.rgb, rgb) < distance(b.rgb, rgb);
                          })
      ->name;
}

Rgb border_colour(const worker::Clip& clip) {
  const int band = std::max(2, std::min(clip.width, clip.height) / 32);
  std::vector<Rgb> border;
  for (int f = 0; f < clip.frames; ++f) {
    for (int y = 0; y < clip.height; ++y) {
      for (int x = 0; x < clip.width; ++x) {
        const bool inside = std::min({x, y, clip.width - 1 - x, clip.height - 1 - y}) >= band;
        if (!inside) border.push_back(pixel(clip.frame(f), x, y));
      }
    }
  }
  return median(border);
}

Difference difference(const worker::ImageView& frame, const Rgb& background) {
  Difference result;
  for (int y = 0; y < frame.height; ++y) {
    for (int x = 0; x < frame.width; ++x) result.values.push_back(distance(pixel(frame, x, y), background));
  }
  result.peak = quantile(result.values, kPeakQuantile);
  return result;
}

// The frame as coverage by an object that is opaque where it differs from the background as it mostly does.
std::vector<double> soft_coverage(const Difference& difference, double least) {
  std::vector<double> inside;
  for (const double value : difference.values) {
    if (value > least) inside.push_back(value);
  }
  const double opaque = quantile(std::move(inside), 0.5);
  std::vector<double> result = difference.values;
  for (double& value : result) {
    value = std::min(1.0, value / opaque);
    if (value < kFaint) value = 0;
  }
  return result;
}

std::array<double, 2> centre_of_mass(const std::vector<double>& mass, int width) {
  double sum = 0, x = 0, y = 0;
  for (std::size_t i = 0; i < mass.size(); ++i) {
    sum += mass[i];
    x += mass[i] * (static_cast<double>(i % static_cast<std::size_t>(width)) + 0.5);
    y += mass[i] * (static_cast<double>(i / static_cast<std::size_t>(width)) + 0.5);
  }
  return {x / sum, y / sum};
}

// Soft IoU of `mass` with one template whose centre of mass lies at `centre`.
double overlap(const std::vector<double>& mass, int width, const std::array<double, 2>& centre,
               std::size_t shape, double radius) {
  const double drop = kShapes[shape] == "triangle" ? kTriangleDrop * radius : 0;
  double both = 0, either = 0;
  for (std::size_t i = 0; i < mass.size(); ++i) {
    const double x = static_cast<double>(i % static_cast<std::size_t>(width)) + 0.5 - centre[0];
    const double y = static_cast<double>(i / static_cast<std::size_t>(width)) + 0.5 - centre[1] + drop;
    const double covered = coverage(shape, x, y, radius);
    both += std::min(covered, mass[i]);
    either += std::max(covered, mass[i]);
  }
  return both / either;
}

std::array<double, 3> best_overlaps(const std::vector<double>& mass, int width, int extent) {
  const auto centre = centre_of_mass(mass, width);
  const double step = extent / 128.0;
  std::array<double, 3> best{};
  for (std::size_t shape = 0; shape < best.size(); ++shape) {
    for (double radius = kLeastRadius * extent; radius <= kGreatestRadius * extent; radius += step) {
      best[shape] = std::max(best[shape], overlap(mass, width, centre, shape, radius));
    }
  }
  return best;
}

std::optional<Object> find_object(const worker::ImageView& frame, const Rgb& background) {
  const Difference differs = difference(frame, background);
  const double least = std::max(kLeastContrast, kObjectOfPeak * differs.peak);
  std::vector<double> mask;
  std::vector<Rgb> core;
  double area = 0;
  for (std::size_t i = 0; i < differs.values.size(); ++i) {
    mask.push_back(differs.values[i] > least ? 1 : 0);
    area += mask.back();
    if (mask.back() == 0 || differs.values[i] < kCoreOfPeak * differs.peak) continue;
    const int x = static_cast<int>(i) % frame.width;
    core.push_back(pixel(frame, x, static_cast<int>(i) / frame.width));
  }
  if (area < kLeastArea * static_cast<double>(mask.size()) || core.empty()) return std::nullopt;
  const auto centre = centre_of_mass(mask, frame.width);
  return Object{.x = centre[0],
                .y = centre[1],
                .rgb = median(core),
                .overlap = best_overlaps(soft_coverage(differs, least), frame.width,
                                         std::min(frame.width, frame.height))};
}

// Slope of the least-squares line, per frame.
double slope(const std::vector<double>& times, const std::vector<double>& places) {
  double time = 0, place = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    time += times[i] / static_cast<double>(times.size());
    place += places[i] / static_cast<double>(times.size());
  }
  double both = 0, square = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    both += (times[i] - time) * (places[i] - place);
    square += (times[i] - time) * (times[i] - time);
  }
  return both / square;
}

std::string_view direction_of(const std::array<double, 2>& travel, int extent) {
  const double along = std::max(std::abs(travel[0]), std::abs(travel[1]));
  const double across = std::min(std::abs(travel[0]), std::abs(travel[1]));
  if (along < kLeastTravel * extent || across > kGreatestSkew * along) return {};
  return std::max_element(kDirections.begin(), kDirections.end(),
                          [&](const NamedDirection& a, const NamedDirection& b) {
                            return a.dx * travel[0] + a.dy * travel[1] < b.dx * travel[0] + b.dy * travel[1];
                          })
      ->name;
}

}  // namespace

Sighting judge(const worker::Clip& clip) {
  if (clip.frames < 3 || std::min(clip.width, clip.height) < 32) {
    throw std::invalid_argument(
        fmt::format("demo_judge: {} frames of {}x{}", clip.frames, clip.width, clip.height));
  }
  Sighting seen;
  const Rgb background = border_colour(clip);
  seen.background = nearest(kBackgrounds, background);
  std::vector<double> times, xs, ys;
  std::vector<Rgb> colours;
  std::array<double, 3> overlaps{};
  for (int f = 0; f < clip.frames; ++f) {
    const auto object = find_object(clip.frame(f), background);
    if (!object) continue;
    times.push_back(f);
    xs.push_back(object->x);
    ys.push_back(object->y);
    colours.push_back(object->rgb);
    for (std::size_t s = 0; s < overlaps.size(); ++s) overlaps[s] += object->overlap[s];
  }
  seen.frames = static_cast<int>(times.size());
  if (3 * seen.frames < 2 * clip.frames) return seen;
  for (std::size_t s = 0; s < overlaps.size(); ++s) seen.overlap[s] = overlaps[s] / seen.frames;
  seen.rgb = median(colours);
  seen.colour = nearest(kColours, seen.rgb);
  const auto best = std::max_element(seen.overlap.begin(), seen.overlap.end()) - seen.overlap.begin();
  seen.shape = kShapes[static_cast<std::size_t>(best)];
  seen.travel = {slope(times, xs) * (clip.frames - 1), slope(times, ys) * (clip.frames - 1)};
  seen.direction = direction_of(seen.travel, std::min(clip.width, clip.height));
  return seen;
}

std::string to_json(const Sighting& sighting) {
  nlohmann::ordered_json json;
  const auto word = [&](const char* name, std::string_view value) {
    json[name] = value.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(std::string(value));
  };
  word("colour", sighting.colour);
  word("shape", sighting.shape);
  word("direction", sighting.direction);
  word("background", sighting.background);
  for (std::size_t s = 0; s < kShapes.size(); ++s)
    json["overlap"][std::string(kShapes[s])] = sighting.overlap[s];
  json["rgb"] = sighting.rgb;
  json["travel"] = sighting.travel;
  json["frames"] = sighting.frames;
  return json.dump();
}

}  // namespace ferry::testing
