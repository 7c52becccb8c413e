#include "worker/batch/failed_list.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "worker/output/files.h"

namespace ferry::worker {

void FailedList::check() const {
  try {
    check_can_write(path_, true);
  } catch (const UserError& error) {
    throw UserError(std::string("the list of failed items: ") + error.what());
  }
}

void FailedList::add(const BatchItem& item, const std::string& error, int exit_code) {
  const nlohmann::ordered_json line = {{"line", item.line},
                                       {"id", nlohmann::ordered_json::parse(item.id)},
                                       {"error", error},
                                       {"exit_code", exit_code}};
  lines_[item.line] = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void FailedList::write() const {
  std::string text;
  for (const auto& [number, line] : lines_) text += line;
  if (text.empty()) {
    ::unlink(path_.c_str());
  } else {
    publish(path_, text, true);
  }
}

}  // namespace ferry::worker
