#include "offload/arena/loader.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/host/pages.h"

namespace ferry::offload {

namespace {

constexpr std::size_t kPieceBytes = 32 << 20;

// MADV_PAGEOUT, Linux 5.4: also drops clean pages of a file from the page cache.
constexpr int kPageOut = 21;

void add_pieces(std::vector<Piece>& pieces, const model::TensorSpec& spec, const TensorPlace& place,
                std::size_t offset, std::size_t most_bytes) {
  const std::int64_t rows = spec.shape.empty() ? 1 : spec.shape[0];
  if (rows == 0) return;
  const std::size_t row_bytes = place.format.bytes / static_cast<std::size_t>(rows);
  const std::int64_t step =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(most_bytes / std::max<std::size_t>(1, row_bytes)));
  for (std::int64_t row = 0; row < rows; row += step) {
    const std::int64_t end = std::min(rows, row + step);
    pieces.push_back({.tensor = &spec,
                      .offset = offset,
                      .row_begin = row,
                      .row_end = end,
                      .bytes = row_bytes * static_cast<std::size_t>(end - row)});
  }
}

// Drops rows of a mapped file that will not be read again; whole pages only, since neighbours may still be
// needed.
void forget_rows(const checkpoint::TensorEntry& entry, std::int64_t row_begin, std::int64_t row_end,
                 bool drop_cache) {
  if (entry.shape.empty() || !entry.contiguous()) return;
  const auto row_bytes = static_cast<std::size_t>(entry.numel() / std::max<std::int64_t>(1, entry.shape[0])) *
                         size_of(entry.dtype);
  const std::size_t page = page_bytes();
  const auto data = reinterpret_cast<std::uintptr_t>(entry.data);
  const std::uintptr_t begin = round_up(data + static_cast<std::size_t>(row_begin) * row_bytes, page);
  const std::uintptr_t end = (data + static_cast<std::size_t>(row_end) * row_bytes) / page * page;
  if (begin >= end) return;
  auto* const pages = const_cast<std::byte*>(entry.data) + (begin - data);
  if (drop_cache) ::madvise(pages, end - begin, kPageOut);
  ::madvise(pages, end - begin, MADV_DONTNEED);
}

// Threads take pieces from a shared counter; the first failure stops all.
class Work {
 public:
  Work(const LoadPlan& plan, std::vector<Piece> pieces, const TensorSource& source)
      : plan_(plan), pieces_(std::move(pieces)), source_(source) {
    for (const Piece& piece : pieces_) total_ += piece.bytes;
  }
  // Returns true if a piece was done.
  bool step() {
    const std::size_t i = next_.fetch_add(1);
    if (i >= pieces_.size() || stop_) return false;
    try {
      const Piece& piece = pieces_[i];
      source_(*piece.tensor, plan_.arena + piece.offset, piece.row_begin, piece.row_end);
      done_ += piece.bytes;
      return true;
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!stop_.exchange(true)) failure_ = std::current_exception();
      return false;
    }
  }
  LoadProgress progress() const { return {.bytes_done = done_, .bytes_total = total_}; }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const LoadPlan& plan_;
  std::vector<Piece> pieces_;
  const TensorSource& source_;
  std::size_t total_ = 0;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

std::vector<Piece> pieces_of(const model::NetworkSpec& stored, const ArenaLayout& layout,
                             std::size_t most_bytes) {
  std::vector<Piece> pieces;
  for (const model::ModuleId id : all_modules(stored)) {
    const model::ModuleSpec& module = model::module_of(stored, id);
    const ModulePlace& place = place_of(layout, id);
    const std::size_t blob = blob_of(layout, id).offset;
    for (std::size_t t = 0; t < module.tensors.size(); ++t) {
      add_pieces(pieces, module.tensors[t], place.tensors[t], blob + place.tensors[t].offset, most_bytes);
    }
  }
  return pieces;
}

std::vector<Piece> portion_of(const std::vector<Piece>& pieces, int rank, int ranks) {
  double total = 0;
  for (const Piece& piece : pieces) total += static_cast<double>(piece.bytes);
  std::vector<Piece> share;
  double before = 0;
  for (const Piece& piece : pieces) {
    const double middle = before + static_cast<double>(piece.bytes) / 2;
    const int owner = std::min(ranks - 1, static_cast<int>(middle / total * ranks));
    if (owner == rank) share.push_back(piece);
    before += static_cast<double>(piece.bytes);
  }
  return share;
}

std::vector<Piece> spread(const std::vector<Piece>& pieces, int threads) {
  const auto parts = static_cast<std::size_t>(threads);
  const std::size_t stride = (pieces.size() + parts - 1) / parts;
  std::vector<Piece> order;
  for (std::size_t first = 0; first < stride; ++first) {
    for (std::size_t i = first; i < pieces.size(); i += stride) order.push_back(pieces[i]);
  }
  return order;
}

std::vector<checkpoint::LoraAddition> Merge::additions_to(const std::string& key) const {
  if (loras == nullptr) return {};
  return checkpoint::additions_to(key, *loras, terms);
}

bool operator==(const Merge& a, const Merge& b) {
  const checkpoint::LoraStack none;
  const checkpoint::LoraStack& first = a.loras == nullptr ? none : *a.loras;
  const checkpoint::LoraStack& second = b.loras == nullptr ? none : *b.loras;
  return a.terms == b.terms && std::equal(first.begin(), first.end(), second.begin(), second.end(),
                                          [](const auto& x, const auto& y) {
                                            return x.file == y.file && x.strength == y.strength;
                                          });
}

TensorSource checkpoint_source(const checkpoint::Checkpoint& checkpoint, bool drop_cache,
                               const Merge& merge) {
  return [&checkpoint, drop_cache, merge](const model::TensorSpec& spec, std::byte* tensor,
                                          std::int64_t row_begin, std::int64_t row_end) {
    const checkpoint::TensorEntry* entry = checkpoint.find(spec.key);
    if (entry == nullptr) throw UserError("checkpoint has no tensor " + spec.key);
    if (spec.shape.empty()) return checkpoint::read_tensor(*entry, spec, tensor);
    const std::vector<checkpoint::LoraAddition> additions = merge.additions_to(spec.key);
    if (additions.empty()) {
      checkpoint::read_tensor_rows(*entry, spec, tensor, row_begin, row_end);
    } else {
      checkpoint::read_merged_rows(*entry, spec, additions, tensor, {row_begin, row_end});
    }
    forget_rows(*entry, row_begin, row_end, drop_cache);
  };
}

void load_portion(const LoadPlan& plan, const TensorSource& source,
                  const std::function<void(const LoadProgress&)>& progress) {
  std::vector<Piece> all = pieces_of(*plan.stored, *plan.layout, kPieceBytes);
  if (plan.only) std::erase_if(all, [&](const Piece& piece) { return !plan.only(*piece.tensor); });
  Work work(plan, spread(portion_of(all, plan.rank, plan.ranks), plan.threads), source);
  std::vector<std::jthread> threads;
  for (int i = 1; i < plan.threads; ++i) {
    threads.emplace_back([&work] {
      while (work.step()) continue;
    });
  }
  while (work.step()) {
    if (progress) progress(work.progress());
  }
  threads.clear();  // joins
  work.rethrow();
  if (progress) progress(work.progress());
}

}  // namespace ferry::offload
