#include "worker/planner/step_time.h"

#include "parallel/ulysses.h"

namespace ferry::worker {
namespace {

constexpr int kTrips = 4;  // values, keys, queries, and back

struct Rows {
  std::int64_t own = 0;     // tokens of this rank
  std::int64_t padded = 0;  // of all ranks
  std::int64_t heads = 0;   // of the rank that has the most
};

Rows rows_of(const ForwardShape& shape) {
  const parallel::Shard shard = parallel::shard_of(shape.tokens, shape.ulysses, 0);
  return {.own = shard.per_rank,
          .padded = shard.padded,
          .heads = parallel::HeadSplit(shape.dit.heads, shape.ulysses).most()};
}

class Times {
 public:
  Times(const ForwardShape& shape, const MachineRates& machine, const RankRates& rates, RateUse& use)
      : shape_(shape), machine_(machine), rates_(rates), use_(use), rows_(rows_of(shape)) {}

  double linear(std::int64_t in, std::int64_t out) const {
    const double flop =
        2.0 * static_cast<double>(rows_.own) * static_cast<double>(in) * static_cast<double>(out);
    return flop * 1e-12 / use_("linear", linear_rate(rates_, rows_.own, in, out));
  }

  double attention(std::int64_t queries, std::int64_t keys, std::int64_t heads) const {
    const double flop = 4.0 * static_cast<double>(queries) * static_cast<double>(keys) *
                        static_cast<double>(heads * shape_.dit.head_dim());
    return flop * 1e-12 / use_("attention", attention_rate(rates_, queries, keys, heads));
  }

  double passes() const {
    const auto bytes =
        static_cast<double>(rows_.own * pass_bytes(shape_.dit, shape_.compute, shape_.ulysses));
    return bytes * 1e-9 / use_("pass_gbps", rates_.pass_gbps) + use_("block_s", rates_.block_s);
  }

  // What branches share in the first block.
  double self_attention() const {
    const std::int64_t c = shape_.dit.dim;
    return 4 * linear(c, c) + attention(rows_.padded, shape_.tokens, rows_.heads);
  }

  double rest() const {
    const std::int64_t c = shape_.dit.dim;
    const std::int64_t f = shape_.dit.ffn_dim;
    return 2 * linear(c, c) + linear(c, f) + linear(f, c) +
           attention(rows_.own, shape_.dit.text_len, shape_.dit.heads) + passes();
  }

  // Computing of ranks that wait for the slowest.
  double with_loss(double seconds) const {
    return shape_.ulysses == 1 ? seconds : seconds * (1 + use_("ranks_loss", rates_.ranks_loss));
  }

  // The least that an exchange takes.
  double least_exchange() const {
    return shape_.over_network ? use_("network_s", machine_.network_s)
                               : use_("exchange_s", rates_.exchange_s);
  }

  double exchange() const {
    if (shape_.ulysses == 1) return 0;
    const double sent = static_cast<double>(rows_.own * shape_.dit.dim) *
                        static_cast<double>(size_of(shape_.compute)) * (shape_.ulysses - 1) / shape_.ulysses;
    const double gbps = shape_.over_network ? use_("network_gbps", machine_.network_gbps)
                                            : use_("exchange_gbps", rates_.exchange_gbps);
    return kTrips * (least_exchange() + sent * 1e-9 / gbps);
  }

  // The time embedding reads its fp32 weights for one row.
  double head() const {
    const auto c = static_cast<double>(shape_.dit.dim);
    const double bytes = 4 * c * (static_cast<double>(shape_.dit.freq_dim) + 7 * c);
    return bytes * 1e-9 / use_("pass_gbps", rates_.pass_gbps);
  }

  // The last norm and the gather of the result.
  double tail() const {
    const double bytes = 6.0 * static_cast<double>(rows_.own * shape_.dit.dim * shape_.branches);
    const double gather = shape_.ulysses == 1 ? 0 : least_exchange();
    return bytes * 1e-9 / use_("pass_gbps", rates_.pass_gbps) + gather;
  }

 private:
  const ForwardShape& shape_;
  const MachineRates& machine_;
  const RankRates& rates_;
  RateUse& use_;
  Rows rows_;
};

}  // namespace

std::int64_t pass_bytes(const model::DitConfig& dit, DType compute, int ulysses) {
  const auto e = static_cast<std::int64_t>(size_of(compute));
  const auto wide = static_cast<std::int64_t>(size_of(DType::F32));
  const std::int64_t norms = 3 * (2 * wide + 2 * e) * dit.dim;  // each adds the pending sum
  const std::int64_t heads = 6 * e * dit.dim;                   // queries, keys, queries for the text
  const std::int64_t packing = ulysses == 1 ? 0 : 4 * e * dit.dim;
  return norms + heads + packing + 2 * e * dit.ffn_dim;
}

ForwardTime forward_time(const ForwardShape& shape, const MachineRates& machine, const RankRates& rates,
                         RateUse& use) {
  const Times times(shape, machine, rates, use);
  const int branches = shape.branches;
  const double shared = times.self_attention();
  const double rest = times.rest();
  ForwardTime time;
  time.first = {times.with_loss(shared + branches * rest), times.exchange()};
  time.block = {times.with_loss(branches * (shared + rest)), branches * times.exchange()};
  time.head_s = times.head();
  time.tail_s = times.tail();
  return time;
}

}  // namespace ferry::worker
