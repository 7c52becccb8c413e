# Whether the small model draws what it is asked for.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME demo_prompts_e2e COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/demo_prompts_test.py)
set_tests_properties(demo_prompts_e2e PROPERTIES TIMEOUT 180 LABELS e2e PROCESSORS 2
  ENVIRONMENT "${FERRY_TEST_ENV};FERRY_DEMO_JUDGE=$<TARGET_FILE:demo_judge>;PYTHONDONTWRITEBYTECODE=1")
