# The program as a user meets it.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(name archives bad_input elsewhere foreign run)
  add_test(NAME launcher_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/launcher_${name}_test.py)
  set_tests_properties(launcher_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
# What ends and what does not, by its class: each waits for jobs to start and to end.
foreach(class Family Deaths Readers Terminal)
  string(TOLOWER ${class} name)
  add_test(NAME launcher_job_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/launcher_job_test.py ${class})
  set_tests_properties(launcher_job_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
# The same while a thread of somebody else takes signals.  A sanitizer must be the first library of a process.
if(NOT FERRY_SANITIZE)
  add_library(ferry_stray_thread MODULE support/stray_thread.cpp)
  target_link_libraries(ferry_stray_thread PRIVATE ferry_flags)
  add_test(NAME launcher_job_threads_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/launcher_job_test.py Threads)
  set_tests_properties(launcher_job_threads_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1;FERRY_STRAY_THREAD=$<TARGET_FILE:ferry_stray_thread>")
endif()
# What is written in files and on the command line, by its class.
foreach(class Files Configuration Prompts Words Offload)
  string(TOLOWER ${class} name)
  add_test(NAME launcher_config_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/launcher_config_test.py ${class})
  set_tests_properties(launcher_config_${name}_e2e PROPERTIES TIMEOUT 300 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
