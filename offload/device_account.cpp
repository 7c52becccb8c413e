#include "offload/device_account.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/error.h"
#include "parallel/group.h"

namespace ferry::offload {

std::string_view name_of(Category category) {
  static constexpr std::array<std::string_view, kCategories> kNames = {"resident", "slots", "keep",
                                                                       "temporary", "lora"};
  return kNames[static_cast<std::size_t>(category)];
}

void DeviceAccount::take(Category category, std::size_t bytes) {
  std::size_t& now = now_[index(category)];
  now += bytes;
  total_ += bytes;
  peak_[index(category)] = std::max(peak_[index(category)], now);
  if (total_ > peak_total_) {
    peak_total_ = total_;
    at_peak_ = now_;
  }
}

void DeviceAccount::give(Category category, std::size_t bytes) {
  assert(now_[index(category)] >= bytes);
  now_[index(category)] -= bytes;
  total_ -= bytes;
}

void DeviceAccount::reset_peaks() {
  peak_ = now_;
  at_peak_ = now_;
  peak_total_ = total_;
}

void DeviceAccount::add_limit(const void* owner, std::size_t bytes) { limits_.push_back({owner, bytes}); }

void DeviceAccount::remove_limit(const void* owner) {
  std::erase_if(limits_, [owner](const Limit& limit) { return limit.owner == owner; });
}

std::optional<std::size_t> DeviceAccount::limit() const {
  std::optional<std::size_t> least;
  for (const Limit& limit : limits_) least = std::min(least.value_or(limit.bytes), limit.bytes);
  return least;
}

void DeviceAccount::add_reclaim(const void* owner, Reclaim reclaim) {
  reclaimers_.push_back({owner, std::move(reclaim)});
}

void DeviceAccount::remove_reclaim(const void* owner) {
  std::erase_if(reclaimers_, [owner](const Reclaimer& each) { return each.owner == owner; });
}

void DeviceAccount::make_room(std::size_t bytes) {
  const std::optional<std::size_t> most = limit();
  if (most && now() + bytes > *most) reclaim(now() + bytes - *most);
}

std::size_t DeviceAccount::reclaim(std::size_t bytes) {
  std::size_t given = 0;
  for (const Reclaimer& each : reclaimers_) {
    if (given < bytes) given += each.reclaim(bytes - given);
  }
  return given;
}

namespace {

DeviceMemory allocate(Device& device, DeviceAccount& account, std::size_t bytes, parallel::Group* group) {
  const auto take = [&] {
    return group == nullptr ? device.allocate(bytes) : group->allocate(device, bytes);
  };
  account.make_room(bytes);
  try {
    return take();
  } catch (const OutOfMemory&) {
    // A group tells all its ranks: they try again together, whatever each of them could free.
    if (account.reclaim(bytes) == 0 && group == nullptr) throw;
  }
  return take();
}

}  // namespace

AccountedMemory::AccountedMemory(Device& device, DeviceAccount& account, Category category, std::size_t bytes,
                                 parallel::Group* group)
    : memory_(allocate(device, account, bytes, group)), account_(&account), category_(category) {
  account_->take(category_, memory_.bytes());
}

AccountedMemory::AccountedMemory(AccountedMemory&& other) noexcept
    : memory_(std::move(other.memory_)),
      account_(std::exchange(other.account_, nullptr)),
      category_(other.category_) {}

AccountedMemory& AccountedMemory::operator=(AccountedMemory&& other) noexcept {
  if (this != &other) {
    drop();
    memory_ = std::move(other.memory_);
    account_ = std::exchange(other.account_, nullptr);
    category_ = other.category_;
  }
  return *this;
}

AccountedMemory::~AccountedMemory() { drop(); }

void AccountedMemory::drop() noexcept {
  if (account_ != nullptr) account_->give(category_, memory_.bytes());
  account_ = nullptr;
  memory_ = DeviceMemory();
}

}  // namespace ferry::offload
