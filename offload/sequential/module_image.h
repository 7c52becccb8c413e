// One module's weights in some dtypes, somewhere in memory, and the way from one such image to another.
#pragma once

#include <cstddef>
#include <vector>

#include "base/device.h"
#include "model/weights.h"
#include "offload/arena/layout.h"
#include "offload/sequential/module_config.h"
#include "offload/sequential/staging_pool.h"
#include "offload/transport/link.h"

namespace ferry::offload {

// Where the tensors stand in an image that starts at `data`, which is a multiple of 256.
struct Image {
  ModulePlace place;  // offsets from the image's start
  Place where = Place::Host;
  const std::byte* data = nullptr;

  std::size_t bytes() const { return place.bytes; }
};

// The place of a module whose tensors have these dtypes, from offset 0 on.
ModulePlace image_place(const model::ModuleSpec& module, const std::vector<DType>& dtypes);

// Same dtypes, so that bytes can be copied as they are.
bool same_dtypes(const ModulePlace& a, const ModulePlace& b);

// Device memory beside the target that bring() needs for a while.
std::size_t staging_bytes(const Image& from, const ModulePlace& to);

// Queues on `stream` what makes `target`, device memory laid out as `to`, an image of `from`.  Bytes that
// leave the host go over `link`; casts happen on the device, through `pool`.
void bring(const Image& from, const ModulePlace& to, std::byte* target, Stream& stream, Link& link,
           StagingPool& pool);

// The same into host memory, at once.
void convert_on_host(const Image& from, const ModulePlace& to, std::byte* target);

}  // namespace ferry::offload
