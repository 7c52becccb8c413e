# The program as a user meets it.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(name bad_input config elsewhere foreign job run)
  add_test(NAME launcher_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/launcher_${name}_test.py)
  set_tests_properties(launcher_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
