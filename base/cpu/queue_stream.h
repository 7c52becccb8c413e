// A stream made of a queue and one thread that works through it.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/cpu/event.h"
#include "base/device.h"

namespace ferry {

// Executes its queue in order.  Once an operation or a wait has failed, later copies, fills, casts and calls
// are skipped and later records fire with that error.  The destructor first completes all queued work.  Any
// thread may queue; ordering between threads is up to the callers.
class QueueStream final : public Stream {
 public:
  explicit QueueStream(std::string name);
  QueueStream(const QueueStream&) = delete;
  QueueStream& operator=(const QueueStream&) = delete;
  ~QueueStream() override;

  const std::string& name() const override { return name_; }
  void record(Event& event) override;
  void wait(const Event& event) override;
  void copy(void* dst, const void* src, std::size_t bytes) override;
  void fill(void* dst, std::uint8_t byte, std::size_t bytes) override;
  void cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) override;
  void call(std::function<void()> work) override;
  void synchronize() override;
  void* native() const override { return nullptr; }

 private:
  struct Mark {  // a record of an event
    std::shared_ptr<EventState> event;
    EventState::Record record;
  };
  struct Fire : Mark {};
  struct Await : Mark {};
  struct Copy {
    void* dst;
    const void* src;
    std::size_t bytes;
  };
  struct Fill {
    void* dst;
    std::uint8_t byte;
    std::size_t bytes;
  };
  struct Cast {
    void* dst;
    const void* src;
    std::size_t count;
    DType dst_type;
    DType src_type;
  };
  using Work = std::variant<Fire, Await, Copy, Fill, Cast, std::function<void()>>;

  void push(Work work);
  void run();
  bool take(std::vector<Work>& batch);
  void execute(Work& work);
  static void perform(Work& work);

  std::string name_;
  std::shared_ptr<EventState> finished_ = std::make_shared<EventState>();  // for synchronize()
  std::exception_ptr error_;                                               // used by the thread only
  std::mutex mutex_;
  std::condition_variable queued_;
  std::vector<Work> queue_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace ferry
