// Accounts for the device memory of weights on this rank, by purpose, across all stages.
//
// `vram_limit` and the reports' peaks count these bytes.  On the CPU the same bytes are counted, although the
// "device" is host memory, so that limits and leaks can be tested without a GPU.
//
// Used only by the thread that runs the stages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/device.h"

namespace ferry::parallel {
class Group;
}

namespace ferry::offload {

enum class Category : std::uint8_t {
  Resident,   // whole stages, head and tail, blocks not ferried, modules that sequential does not wrap
  Slots,      // async's block buffers
  Keep,       // sequential: modules in state onload or keep
  Temporary,  // sequential: copies and casts of one call
  Lora,
};
inline constexpr std::size_t kCategories = 5;

std::string_view name_of(Category category);  // "resident", "slots", "keep", "temporary", "lora"

class DeviceAccount {
 public:
  // Frees up to `bytes` of reclaimable memory; returns the number freed.
  using Reclaim = std::function<std::size_t(std::size_t bytes)>;

  void take(Category category, std::size_t bytes);
  void give(Category category, std::size_t bytes);

  std::size_t now(Category category) const { return now_[index(category)]; }
  std::size_t now() const { return total_; }
  // Peak of one category, and of all together, since the last reset_peaks().
  std::size_t peak(Category category) const { return peak_[index(category)]; }
  std::size_t peak() const { return peak_total_; }
  // Bytes of each category at the moment of peak().
  const std::array<std::size_t, kCategories>& at_peak() const { return at_peak_; }
  void reset_peaks();

  // The tightest limit of any existing stage; nothing: no limit.
  void add_limit(const void* owner, std::size_t bytes);
  void remove_limit(const void* owner);
  std::optional<std::size_t> limit() const;

  // Stages that can free memory when another one needs it.
  void add_reclaim(const void* owner, Reclaim reclaim);
  void remove_reclaim(const void* owner);
  // Calls them until `bytes` more fit under limit(); does nothing without a limit.
  void make_room(std::size_t bytes);
  // Calls them for `bytes`, regardless of the limit; returns the number freed.
  std::size_t reclaim(std::size_t bytes);

 private:
  static std::size_t index(Category category) { return static_cast<std::size_t>(category); }
  struct Limit {
    const void* owner;
    std::size_t bytes;
  };
  struct Reclaimer {
    const void* owner;
    Reclaim reclaim;
  };
  std::array<std::size_t, kCategories> now_{};
  std::array<std::size_t, kCategories> peak_{};
  std::array<std::size_t, kCategories> at_peak_{};
  std::size_t total_ = 0;
  std::size_t peak_total_ = 0;
  std::vector<Limit> limits_;
  std::vector<Reclaimer> reclaimers_;
};

// Device memory, counted while it exists.  The account must outlive it.
class AccountedMemory {
 public:
  AccountedMemory() = default;
  // Makes room under the limit first; if the device is full, calls the reclaimers and tries once more.
  // Throws OutOfMemory, and then counts nothing.  With a `group` the memory is the group's, which must
  // outlive it, and allocation is collective over its ranks.
  AccountedMemory(Device& device, DeviceAccount& account, Category category, std::size_t bytes,
                  parallel::Group* group = nullptr);
  AccountedMemory(AccountedMemory&& other) noexcept;
  AccountedMemory& operator=(AccountedMemory&& other) noexcept;
  ~AccountedMemory();
  std::byte* data() const { return memory_.data(); }
  std::size_t bytes() const { return memory_.bytes(); }
  explicit operator bool() const { return memory_.data() != nullptr; }

 private:
  void drop() noexcept;
  DeviceMemory memory_;
  DeviceAccount* account_ = nullptr;
  Category category_ = Category::Resident;
};

}  // namespace ferry::offload
