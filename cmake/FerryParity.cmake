# ferry_parity_test(text_parity PROBE parity/text_probe.cpp SCRIPT parity/text_parity.py [TIMEOUT 300] [GPU]): a
# Python script compares the probe, its one argument, with diffusers' and transformers' classes.  GPU: once more as
# text_parity_gpu, label gpu, with a probe that computes on GPU 0 and the script's option --gpu; skipped without one
# (with FERRY_REQUIRE_GPU=1 a failure).  Everything is local: the hub is not asked, since a machine without a network
# would wait for it.
# Without a Python (tools/setup.sh makes .venv, which has the packages) the probe is built and no test registered.
include_guard(GLOBAL)
find_program(FERRY_PYTHON python3 HINTS ${PROJECT_SOURCE_DIR}/.venv/bin NO_DEFAULT_PATH)
mark_as_advanced(FERRY_PYTHON)

function(_ferry_add_parity name)
  cmake_parse_arguments(T "" "DEVICE;TIMEOUT" "PROBE;COMMAND;LABELS" ${ARGN})
  _ferry_test_binary(${name}_probe SOURCES ${T_PROBE} support/${T_DEVICE}_device.cpp LIBS ferry_test_support)
  if(NOT FERRY_PYTHON)
    message(STATUS "${name}: no .venv with Python, not registered")
    return()
  endif()
  list(TRANSFORM T_COMMAND PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  add_test(NAME ${name} COMMAND ${FERRY_PYTHON} ${T_COMMAND} $<TARGET_FILE:${name}_probe>)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}" SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT}
    ENVIRONMENT "${FERRY_TEST_ENV};OMP_NUM_THREADS=1;HF_HUB_OFFLINE=1")
endfunction()

function(ferry_parity_test name)
  cmake_parse_arguments(T "GPU" "SCRIPT;TIMEOUT" "PROBE" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  _ferry_add_parity(${name} DEVICE cpu TIMEOUT ${T_TIMEOUT} PROBE ${T_PROBE} COMMAND ${T_SCRIPT} LABELS parity)
  if(T_GPU AND FERRY_CUDA)
    _ferry_add_parity(${name}_gpu DEVICE gpu TIMEOUT ${T_TIMEOUT} PROBE ${T_PROBE} COMMAND parity/on_gpu.py ${T_SCRIPT}
      LABELS parity gpu)
  endif()
endfunction()
