# ferry_parity_test(text_parity PROBE parity/text_probe.cpp SCRIPT parity/text_parity.py [TIMEOUT 300]): a Python
# script compares the probe, its one argument, with diffusers' and transformers' classes.  Without a .venv that
# has them (tools/setup.sh makes it) the probe is built and the test is not registered.
include_guard(GLOBAL)
find_program(FERRY_PYTHON python3 HINTS ${PROJECT_SOURCE_DIR}/.venv/bin NO_DEFAULT_PATH)
mark_as_advanced(FERRY_PYTHON)

function(ferry_parity_test name)
  cmake_parse_arguments(T "" "SCRIPT;TIMEOUT" "PROBE" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  _ferry_test_binary(${name}_probe SOURCES ${T_PROBE} LIBS ferry_test_support)
  if(NOT FERRY_PYTHON)
    message(STATUS "${name}: no .venv with Python, not registered")
    return()
  endif()
  add_test(NAME ${name} COMMAND ${FERRY_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${T_SCRIPT} $<TARGET_FILE:${name}_probe>)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS parity
    ENVIRONMENT "${FERRY_TEST_ENV};OMP_NUM_THREADS=1")
endfunction()
