ferry_test(parallel_test SOURCES unit/parallel_choose_cfg_test.cpp unit/parallel_descriptor_test.cpp unit/parallel_gate_test.cpp unit/parallel_test.cpp
  unit/parallel_ulysses_test.cpp unit/parallel_watch_test.cpp LIBS ferry::parallel)

# Ranks that fail, each case in an mpirun of its own.
add_executable(session_program support/session_program.cpp)
target_link_libraries(session_program PRIVATE ferry::parallel)
ferry_test(parallel_session_test SOURCES unit/parallel_session_test.cpp LIBS ferry::base)
target_compile_definitions(parallel_session_test PRIVATE
  FERRY_MPIEXEC="${MPIEXEC_EXECUTABLE}" FERRY_SESSION_PROGRAM="$<TARGET_FILE:session_program>")
add_dependencies(parallel_session_test session_program)
