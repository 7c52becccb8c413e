#include "model/vae/band.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <vector>

#include "base/even_part.h"

namespace ferry::model::vae {

namespace {

Band band_of_rank(parallel::Group* group, std::int64_t height, std::int64_t rank) {
  const Part rows = even_part(height, group->size(), rank);
  return {group, rows.begin, rows.count, height};
}

// Consecutive rows of one frame.
struct Rows {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};

Rows rows_of(const at::Tensor& frames, std::int64_t frame, std::int64_t begin, std::int64_t count) {
  const auto element = static_cast<std::int64_t>(frames.element_size());
  const std::int64_t row = frames.stride(1) * element;
  auto* data = static_cast<std::byte*>(frames.mutable_data_ptr());
  return {data + frame * frames.stride(0) * element + begin * row, static_cast<std::size_t>(count * row)};
}

// A tensor for the rows of all ranks, with this rank's filled in.
at::Tensor with_own_rows(const Band& band, const at::Tensor& mine, std::int64_t scale) {
  std::vector<std::int64_t> shape = mine.sizes().vec();
  shape[1] = band.height * scale;
  const at::Tensor all = at::empty(shape, mine.options());
  all.narrow(1, band.begin * scale, mine.size(1)).copy_(mine);
  return all;
}

// Messages for the other ranks' rows of `all`, frame by frame.
std::vector<parallel::Incoming> from_others(const Band& band, const at::Tensor& all, std::int64_t scale) {
  std::vector<parallel::Incoming> receives;
  for (int peer = 0; peer < band.group->size(); ++peer) {
    if (peer == band.group->rank()) continue;
    const Band theirs = band_of_rank(band.group, band.height, peer);
    for (std::int64_t t = 0; t < all.size(0); ++t) {
      const Rows rows = rows_of(all, t, theirs.begin * scale, theirs.rows * scale);
      receives.push_back({peer, rows.data, rows.bytes});
    }
  }
  return receives;
}

void send_to(int peer, const at::Tensor& mine, std::vector<parallel::Outgoing>& sends) {
  for (std::int64_t t = 0; t < mine.size(0); ++t) {
    const Rows rows = rows_of(mine, t, 0, mine.size(1));
    sends.push_back({peer, rows.data, rows.bytes});
  }
}

std::int64_t scale_of(const Band& band, const at::Tensor& mine) {
  assert(mine.is_contiguous() && mine.size(1) % band.rows == 0);
  return mine.size(1) / band.rows;
}

}  // namespace

Band band_of(parallel::Group* group, std::int64_t height) {
  if (group == nullptr || group->size() == 1 || height < group->size()) return {nullptr, 0, height, height};
  return band_of_rank(group, height, group->rank());
}

void fetch_halos(const Band& band, const at::Tensor& frames, Stream& stream) {
  const std::int64_t last = frames.size(1) - 1;
  std::vector<parallel::Outgoing> sends;
  std::vector<parallel::Incoming> receives;
  // Row `edge` is outside the band, `next` is the band's row beside it.
  const auto trade = [&](int peer, std::int64_t edge, std::int64_t next) {
    if (peer < 0 || peer == band.group->size()) {
      frames.select(1, edge).zero_();
      return;
    }
    for (std::int64_t t = 0; t < frames.size(0); ++t) {
      const Rows own = rows_of(frames, t, next, 1);
      const Rows theirs = rows_of(frames, t, edge, 1);
      sends.push_back({peer, own.data, own.bytes});
      receives.push_back({peer, theirs.data, theirs.bytes});
    }
  };
  trade(band.group->rank() - 1, 0, 1);
  trade(band.group->rank() + 1, last, last - 1);
  band.group->send_recv(sends, receives, stream);
}

at::Tensor gather_rows(const Band& band, const at::Tensor& mine, Stream& stream) {
  const std::int64_t scale = scale_of(band, mine);
  const at::Tensor all = with_own_rows(band, mine, scale);
  std::vector<parallel::Outgoing> sends;
  for (int peer = 0; peer < band.group->size(); ++peer) {
    if (peer != band.group->rank()) send_to(peer, mine, sends);
  }
  band.group->send_recv(sends, from_others(band, all, scale), stream);
  return all;
}

at::Tensor gather_rows_on_first(const Band& band, const at::Tensor& mine, Stream& stream) {
  const std::int64_t scale = scale_of(band, mine);
  at::Tensor all;
  std::vector<parallel::Outgoing> sends;
  std::vector<parallel::Incoming> receives;
  if (band.group->rank() == 0) {
    all = with_own_rows(band, mine, scale);
    receives = from_others(band, all, scale);
  } else {
    send_to(0, mine, sends);
  }
  band.group->send_recv(sends, receives, stream);
  return all;
}

}  // namespace ferry::model::vae
