#include "worker/planner/pipeline.h"

#include <algorithm>

namespace ferry::worker {
namespace {

constexpr int kForwards = 4;  // the last one is what all later ones are

class Pipeline {
 public:
  explicit Pipeline(const PipelineCase& of) : case_(of) {}

  void forward() {
    now_ += case_.head_s;
    for (std::size_t i = 0; i < case_.compute_s.size(); ++i) block(i);
    now_ += case_.tail_s;
  }
  double now() const { return now_; }
  double waited() const { return waited_; }

 private:
  void block(std::size_t index) {
    if (!case_.ferried[index]) {
      now_ += case_.compute_s[index];
      return;
    }
    const double there = arrival();
    waited_ += std::max(0.0, there - now_);
    now_ = std::max(now_, there) + case_.compute_s[index];
    released_.push_back(now_);
  }

  // Of the next ferried block, whose slot is free when its last user is through.
  double arrival() {
    const auto slots = static_cast<std::size_t>(case_.slots);
    const double free = released_.size() < slots ? 0 : released_[released_.size() - slots];
    const double begin = std::max(link_free_, free);
    link_free_ = begin + case_.copy_s;
    if (case_.together) return std::max(link_free_, begin + case_.gather_s);
    gather_free_ = std::max(link_free_, gather_free_) + case_.gather_s;
    return gather_free_;
  }

  const PipelineCase& case_;
  double now_ = 0;
  double waited_ = 0;
  double link_free_ = 0;
  double gather_free_ = 0;
  std::vector<double> released_;
};

}  // namespace

PipelineTime steady_forward(const PipelineCase& of) {
  Pipeline pipeline(of);
  for (int i = 1; i < kForwards; ++i) pipeline.forward();
  const double begin = pipeline.now();
  const double waited = pipeline.waited();
  pipeline.forward();
  return {.forward_s = pipeline.now() - begin, .waits_s = pipeline.waited() - waited};
}

}  // namespace ferry::worker
