# What counts as passed, failed and skipped.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
_ferry_test_binary(outcome_program SOURCES support/outcome_program.cpp LIBS ferry_test_main)
_ferry_test_binary(outcome_mpi_program SOURCES support/outcome_program.cpp support/mpi_main.cpp
  LIBS ferry::parallel GTest::gtest)
add_test(NAME outcome_test COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/unit/outcome_test.py
  $<TARGET_FILE:outcome_program> ${MPIEXEC_EXECUTABLE} $<TARGET_FILE:outcome_mpi_program> ${PROJECT_BINARY_DIR})
set_tests_properties(outcome_test PROPERTIES TIMEOUT 120 PROCESSORS 2
  ENVIRONMENT "${FERRY_TEST_ENV};OMP_NUM_THREADS=1;PYTHONDONTWRITEBYTECODE=1")
