# The timeline that --trace.file writes.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME trace_lanes_e2e COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/trace_lanes_test.py)
set_tests_properties(trace_lanes_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
  ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
