# Fuzz targets (tests/fuzz/target.h), all in one program, each a test for FERRY_FUZZ_SECONDS (60) seconds.
set(FERRY_FUZZ_TARGETS safetensors index pth pickle lora adapter_config quantized model_config tokenizer state cfg manifest grid
  rows machine)
add_library(ferry_fuzz_targets STATIC fuzz/targets.cpp fuzz/scratch.cpp fuzz/tensors.cpp fuzz/checkpoint_targets.cpp
  fuzz/folder_targets.cpp fuzz/lora_targets.cpp fuzz/tokenizer_target.cpp fuzz/state_target.cpp fuzz/config_rules.cpp
  fuzz/config_target.cpp fuzz/manifest_target.cpp fuzz/sweep_targets.cpp)
target_link_libraries(ferry_fuzz_targets PUBLIC ferry::launcher)

# Under libFuzzer only coverage is measured; the tests need the driver.
if(FERRY_SANITIZE MATCHES "fuzzer")
  add_executable(ferry_libfuzzer fuzz/libfuzzer.cpp)
  target_link_libraries(ferry_libfuzzer PRIVATE ferry_fuzz_targets)
  target_link_options(ferry_libfuzzer PRIVATE -fsanitize=fuzzer)
endif()
add_executable(ferry_fuzz fuzz/driver.cpp fuzz/mutate.cpp fuzz/planted.cpp fuzz/watch.cpp)
target_link_libraries(ferry_fuzz PRIVATE ferry_fuzz_targets)

# The list above and the table of targets are the same.
add_test(NAME fuzz_list COMMAND ferry_fuzz --list)
list(JOIN FERRY_FUZZ_TARGETS " " names)
set_tests_properties(fuzz_list PROPERTIES PASS_REGULAR_EXPRESSION "^${names}\n$" LABELS fuzz TIMEOUT 60)
# Beside other tests (tests/CMakeLists.txt), one at a time; with sanitizers, as many as ctest is told.
# What the program says of AddressSanitizer itself (watch.cpp) is ten times as fast as what LibTorch needs elsewhere.
set(environment ${FERRY_TEST_ENV})
list(FILTER environment EXCLUDE REGEX ASAN_OPTIONS)
foreach(target IN LISTS FERRY_FUZZ_TARGETS)
  if(FERRY_SANITIZE)
    add_test(NAME fuzz_${target} COMMAND ferry_fuzz ${target})
  else()
    add_test(NAME fuzz_${target} COMMAND nice -n 10 $<TARGET_FILE:ferry_fuzz> ${target})
    set_tests_properties(fuzz_${target} PROPERTIES RESOURCE_LOCK fuzz)
  endif()
  set_tests_properties(fuzz_${target} PROPERTIES TIMEOUT 1800 ENVIRONMENT "${environment};OMP_NUM_THREADS=1"
    LABELS "fuzz;beside")
endforeach()

# Faults that must be found, by what is said of them; the last two by sanitizers alone.
set(FERRY_FUZZ_FAULTS "lines=not one line" "exception=no UserError: planted" "crash=a crash" "hang=took too long"
  "memory=bad_alloc")
if(FERRY_SANITIZE MATCHES "address,undefined")
  set(FERRY_FUZZ_FAULTS "lines=not one line" "exception=no UserError: planted" "crash=SEGV" "hang=took too long"
    "memory=exceeds maximum supported size" "beyond=heap-buffer-overflow" "undefined=signed integer overflow")
endif()
foreach(fault IN LISTS FERRY_FUZZ_FAULTS)
  string(REGEX MATCH "^[a-z]+" name ${fault})
  string(REGEX REPLACE "^[a-z]+=" "" said ${fault})
  add_test(NAME fuzz_planted_${name} COMMAND ferry_fuzz --planted ${name})
  set_tests_properties(fuzz_planted_${name} PROPERTIES TIMEOUT 120 LABELS fuzz ENVIRONMENT "${environment}"
    PASS_REGULAR_EXPRESSION "${said}.*the input is in ./fuzz-planted|the input is in ./fuzz-planted.*${said}")
endforeach()
