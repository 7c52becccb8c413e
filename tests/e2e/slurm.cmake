# The batch scripts under a Slurm of this test's own; skipped where there is none.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME slurm_e2e COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/slurm_test.py)
set_tests_properties(slurm_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2 SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT}
  ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
