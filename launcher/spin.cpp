// How long OpenMP threads spin before they sleep, settled before LibTorch's libgomp is loaded.
//
// By default libgomp's threads spin for milliseconds at every barrier.  Two runs on one machine then wait for
// threads that have no core, and each takes many times its share.  With a short spin two at once take 2.3
// times as long as one (7.1 times by default), and one alone 1.03 to 1.08 times as long as by default
// (denoising with the small model on two cores, at 914c346 and 9d34073; the whole run of 20 to 40 steps 1.03
// to 1.05 times as long as at bb05212).
//
// libgomp reads GOMP_SPINCOUNT in a constructor, before main, and has no call to change it later.  A function
// of .preinit_array runs before all constructors, but only the list of variables that the kernel laid on the
// stack is there to change, and it cannot grow.  The shell's `_` gives its place up: it repeats this
// program's path, for nobody.  A parent that passes no `_` makes the program start itself once more, which
// takes 70 ms. Ranks inherit the variable from `ferry -n`; under another mpirun or srun each sets it for
// itself.
#include <sys/auxv.h>
#include <unistd.h>

#include <cstddef>

namespace {

char kSpin[] = "GOMP_SPINCOUNT=1000";

// Sanitizers are not ready yet either.
#define FERRY_EARLY __attribute__((no_sanitize("address", "thread", "undefined")))

FERRY_EARLY bool begins_with(const char* text, const char* with) {
  while (*with != '\0' && *text == *with) ++text, ++with;
  return *with == '\0';
}

// libc's environ is not set yet, so nothing here calls getenv or setenv.
FERRY_EARLY void limit_spinning(int /*argc*/, char** argv, char** environment) {
  std::size_t count = 0;
  char** shells = nullptr;
  for (; environment[count] != nullptr; ++count) {
    // What the user has settled holds.
    if (begins_with(environment[count], "GOMP_SPINCOUNT=")) return;
    if (begins_with(environment[count], "OMP_WAIT_POLICY=")) return;
    if (begins_with(environment[count], "_=")) shells = &environment[count];
  }
  if (shells != nullptr) {
    *shells = kSpin;
    return;
  }
  // The path this program was started by: unlike /proc/self/exe it leaves the process its name.  Without an
  // interpreter (AT_BASE) the loader was called by hand, and it would be the loader's.
  const auto* program = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  if (program == nullptr || ::getauxval(AT_BASE) == 0) return;
  auto** longer = static_cast<char**>(__builtin_alloca((count + 2) * sizeof(char*)));
  for (std::size_t i = 0; i < count; ++i) longer[i] = environment[i];
  longer[count] = kSpin;
  longer[count + 1] = nullptr;
  ::execve(program, argv, longer);
  // It could not: the run is as good, and slower beside others.
}

__attribute__((section(".preinit_array"), used)) void (*const kBeforeLibraries)(int, char**,
                                                                                char**) = limit_spinning;

}  // namespace
