// To be preloaded: in each process named ferry a thread that was there before main and blocks no signal, as
// CUDA's driver starts one.  With STRAY_SETS set it sets that variable without end in the process that
// becomes no rank.  With STRAY_NO_PIDFD set the kernel also seems too old for pidfd_open.
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace {

void* stay(void*) {
  const char* value = std::getenv("FERRY_MPIRUN") == nullptr ? std::getenv("STRAY_SETS") : nullptr;
  // To what it is already: what others get meanwhile stays where it is.
  while (value != nullptr) ::setenv("STRAY_SETS", value, 1);
  while (true) ::poll(nullptr, 0, -1);
}

__attribute__((constructor)) void start() {
  pthread_t thread = {};
  if (std::strcmp(program_invocation_short_name, "ferry") == 0) {
    ::pthread_create(&thread, nullptr, stay, nullptr);
    ::pthread_setname_np(thread, "stray");
  }
}

}  // namespace

extern "C" long syscall(long number, ...) {
  if (number == SYS_pidfd_open && std::getenv("STRAY_NO_PIDFD") != nullptr) {
    errno = ENOSYS;
    return -1;
  }
  va_list list;
  va_start(list, number);
  long words[6];
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  static const auto next = reinterpret_cast<long (*)(long, ...)>(::dlsym(RTLD_NEXT, "syscall"));
  return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
