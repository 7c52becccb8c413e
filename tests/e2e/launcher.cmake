# The program as a user meets it.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# NAME is launcher_PART_e2e; runs launcher_SCRIPT_test.py with the further arguments, a class of it say.
function(ferry_launcher_e2e part script timeout)
  add_test(NAME launcher_${part}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/launcher_${script}_test.py ${ARGN})
  set_tests_properties(launcher_${part}_e2e PROPERTIES TIMEOUT ${timeout} LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endfunction()

foreach(name archives bad_input elsewhere foreign run)
  ferry_launcher_e2e(${name} ${name} 600)
endforeach()
# What ends and what does not, by its class: each waits for jobs to start and to end.
foreach(class Family Deaths Readers Terminal)
  string(TOLOWER ${class} name)
  ferry_launcher_e2e(job_${name} job 600 ${class})
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
# Plans, by their class.
foreach(class Requests Runs Auto Calibrated)
  string(TOLOWER ${class} name)
  ferry_launcher_e2e(plan_${name} plan 600 ${class})
endforeach()
# What is written in files and on the command line, by its class.
foreach(class Files Configuration Prompts Words Offload)
  string(TOLOWER ${class} name)
  ferry_launcher_e2e(config_${name} config 300 ${class})
endforeach()
# Each starts ranks for several cells.
foreach(class Whole Predicted Failing Refused Plot)
  string(TOLOWER ${class} name)
  ferry_launcher_e2e(sweep_${name} sweep 600 ${class})
endforeach()
# These start one process after another, most of which refuse something and end.
foreach(name archives bad_input elsewhere foreign plan_requests config_files config_configuration config_prompts config_words
    config_offload)
  set_tests_properties(launcher_${name}_e2e PROPERTIES PROCESSORS 1)
endforeach()
