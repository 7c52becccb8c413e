# The same video on 1, 2 and 4 ranks, and what a run leaves behind.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(name finite kept lora lora_jobs lost_rank neighbours nodes ranks results)
  add_test(NAME worker_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_${name}_test.py)
  set_tests_properties(worker_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
# What is stopped goes on, by the test's class.
foreach(class SameBits Signals Refusals)
  string(TOLOWER ${class} name)
  add_test(NAME worker_resume_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_resume_test.py ${class})
  set_tests_properties(worker_resume_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
# Manifests, by the test's class.
foreach(class Results Refusals Killed Stopped Groups)
  string(TOLOWER ${class} name)
  add_test(NAME worker_jobs_${name}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_jobs_test.py ${class})
  set_tests_properties(worker_jobs_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
    ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endforeach()
# Two videos of one process and those of two.
_ferry_test_binary(worker_videos_program SOURCES support/videos_program.cpp LIBS ferry::worker)
add_test(NAME worker_videos_e2e COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_videos_test.py
  ${MPIEXEC_EXECUTABLE} $<TARGET_FILE:worker_videos_program>)
set_tests_properties(worker_videos_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
  ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
# Compared with torch, so they run with the Python that has it.
include(FerryParity)
if(FERRY_PYTHON)
  foreach(name fp8 lora_kinds lora_merge)
    add_test(NAME worker_${name}_e2e COMMAND ${FERRY_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_${name}_test.py)
    set_tests_properties(worker_${name}_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
      ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
  endforeach()
endif()
# Programs of a device and a number of ranks: whole runs, and runs in which a rank fails.
function(ferry_device_e2e test name device ranks label)
  add_test(NAME worker_${test}_${name}_${ranks}_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_${test}_test.py ${device} ${ranks})
  set_tests_properties(worker_${test}_${name}_${ranks}_e2e PROPERTIES TIMEOUT 600 LABELS "${label}" PROCESSORS 2
    SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT} ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endfunction()
ferry_device_e2e(devices cpu cpu 2 e2e)
ferry_device_e2e(stop_report cpu cpu 2 e2e)
ferry_device_e2e(stop_report cpu cpu 3 e2e)
if(FERRY_CUDA)
  foreach(ranks 1 2 4)
    ferry_device_e2e(devices gpu cuda ${ranks} gpu)
  endforeach()
  ferry_device_e2e(stop_report gpu cuda 2 gpu)
  add_executable(ballast support/ballast.cpp)
  target_link_libraries(ballast PRIVATE ferry::base)
  add_test(NAME worker_memory_gpu_e2e
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_memory_gpu_test.py $<TARGET_FILE:ballast>)
  set_tests_properties(worker_memory_gpu_e2e PROPERTIES TIMEOUT 1200 LABELS gpu RUN_SERIAL ON
    SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT} ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
endif()
# The program with a CPU whose memory is limited: what is said when it is full, and that what is named then works.
add_executable(ferry_limited ${PROJECT_SOURCE_DIR}/launcher/main.cpp support/limited_device.cpp)
target_link_libraries(ferry_limited PRIVATE ferry::launcher)
target_link_options(ferry_limited PRIVATE -Wl,--wrap=_ZN5ferry15make_cpu_deviceEv
  -Wl,--wrap=_ZN5ferry7offload9make_noneERNS0_9NodeArenaERKNS0_9StagePlanERKNS0_10StageSetupE)
add_test(NAME worker_memory_e2e
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_memory_test.py $<TARGET_FILE:ferry_limited>)
set_tests_properties(worker_memory_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
  ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
# Two hosts of namespaces; skipped where the kernel allows none.
add_test(NAME worker_hosts_e2e COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/worker_hosts_test.py)
set_tests_properties(worker_hosts_e2e PROPERTIES TIMEOUT 600 LABELS e2e PROCESSORS 2
  SKIP_RETURN_CODE ${FERRY_SKIPPED_EXIT} ENVIRONMENT "${FERRY_TEST_ENV};PYTHONDONTWRITEBYTECODE=1")
