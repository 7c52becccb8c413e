#include "offload/arena/huge_pages.h"

#include <fmt/format.h>

#include <fstream>

namespace ferry::offload {

namespace {

constexpr const char* kSetting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
constexpr std::size_t kMatters = std::size_t{1} << 30;

}  // namespace

// "always within_size advise [never] deny force": the bracketed value is active.
bool shared_huge_pages(const std::string& root) {
  std::ifstream file(root + kSetting);
  std::string words;
  std::getline(file, words);
  const std::size_t begin = words.find('[');
  if (begin == std::string::npos) return false;
  const std::string chosen = words.substr(begin + 1, words.find(']') - begin - 1);
  return chosen != "never" && chosen != "deny";
}

std::string huge_page_advice(const std::string& name, std::size_t bytes, bool huge_pages) {
  if (huge_pages || bytes < kMatters) return {};
  return fmt::format(
      "{}: the {:.1f} GB of weights lie on pages of 4 KiB, which makes page-locking them and giving them "
      "back "
      "slower; for pages of 2 MiB, as root: echo advise > {}",
      name, static_cast<double>(bytes) / 1e9, kSetting);
}

}  // namespace ferry::offload
