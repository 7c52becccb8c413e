// Even split of consecutive items.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ferry {

struct Part {
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

// Part `index` of `count` items split into `parts` parts: the first count % parts of them have one item more.
constexpr Part even_part(std::int64_t count, std::int64_t parts, std::int64_t index) {
  const std::int64_t least = count / parts;
  const std::int64_t longer = count % parts;
  return {index * least + std::min(index, longer), least + (index < longer ? 1 : 0)};
}

}  // namespace ferry
