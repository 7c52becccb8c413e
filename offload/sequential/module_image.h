// Images of one module's weights, with given dtypes and location, and conversion between them.
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

// An image at `data`, which is aligned to 256 bytes.
struct Image {
  ModulePlace place;  // offsets from the image's start
  Place where = Place::Host;
  const std::byte* data = nullptr;

  std::size_t bytes() const { return place.bytes; }
};

// Layout of a module with these dtypes, from offset 0.
ModulePlace image_place(const model::ModuleSpec& module, const std::vector<DType>& dtypes);

// True if the dtypes are equal, so that bytes can be copied unchanged.
bool same_dtypes(const ModulePlace& a, const ModulePlace& b);

// Temporary device memory needed by bring() in addition to the target.
std::size_t staging_bytes(const Image& from, const ModulePlace& to);

// Queues on `stream` the work that fills `target`, device memory laid out as `to`, from `from`.  Bytes from
// the host go over `link`; casts happen on the device, with memory from `pool`.
void bring(const Image& from, const ModulePlace& to, std::byte* target, Stream& stream, Link& link,
           StagingPool& pool);

// As above into host memory, synchronously.
void convert_on_host(const Image& from, const ModulePlace& to, std::byte* target);

}  // namespace ferry::offload
