// Encodes a video on a separate thread while its last frames are still being made.
#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "worker/output/video.h"

namespace ferry::worker {

class Encoding {
 public:
  // Starts the encoder only with the first frame.
  Encoding(const VideoFormat& format, const VideoCodec& codec);
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;
  // Aborts an unfinished encoding.
  ~Encoding();

  // Adds frames [f, H, W, 3] uint8 on the CPU, of the format's size; they must not be written to afterwards.
  // Returns at once.  Throws std::invalid_argument for any other tensor, and rethrows the encoder's failure,
  // if any.
  void take(const at::Tensor& frames);
  // Waits for the encoder.  Returns the bytes of the file, once.  Calls `at_work` meanwhile, whenever more
  // frames are done.  Throws the encoder's failure; std::invalid_argument if there was no frame.
  std::string finish(const std::function<void()>& at_work);

 private:
  void run() noexcept;
  std::string encode();
  void frame_done();
  bool next(at::Tensor& frames);
  void stop() noexcept;

  VideoFormat format_;
  VideoCodec codec_;
  std::mutex mutex_;  // guards the members below, except the thread
  std::condition_variable changed_;
  std::deque<at::Tensor> waiting_;
  bool closed_ = false;  // no more frames come
  bool broken_off_ = false;
  bool over_ = false;
  int done_ = 0;  // calls of frame_done()
  std::string file_;
  std::exception_ptr error_;
  std::function<void()> at_work_;  // set if finish() encodes
  std::thread thread_;
};

}  // namespace ferry::worker
