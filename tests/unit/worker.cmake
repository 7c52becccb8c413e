ferry_test(worker_output_test SOURCES unit/worker_activations_test.cpp unit/worker_device_full_test.cpp unit/worker_device_marks_test.cpp unit/worker_encoding_test.cpp unit/worker_janitor_test.cpp unit/worker_keep_test.cpp
  unit/worker_output_test.cpp unit/worker_memory_check_test.cpp unit/worker_memory_watch_test.cpp
  unit/worker_progress_test.cpp unit/worker_record_test.cpp LIBS ferry::worker ferry_test_support)
ferry_test(worker_planner_test SOURCES unit/worker_auto_type_test.cpp unit/worker_planner_test.cpp LIBS ferry::worker)
ferry_test(worker_batch_test SOURCES unit/worker_batch_test.cpp LIBS ferry::worker ferry_test_support)
ferry_test(worker_resolve_test SOURCES unit/worker_distillation_test.cpp unit/worker_latents_test.cpp unit/worker_resolve_test.cpp LIBS ferry::worker ferry_test_support)
ferry_test(worker_state_test SOURCES unit/worker_state_file_test.cpp unit/worker_stop_request_test.cpp unit/worker_unfinished_run_test.cpp LIBS ferry::worker ferry_test_support)
ferry_test(worker_finite_test SOURCES unit/worker_finite_test.cpp LIBS ferry::worker ferry_test_support)

# By default threads spin, and the limit leaves alone what the user set.
ferry_test(worker_spin_limit_test SOURCES unit/worker_spin_limit_test.cpp LIBS ferry::worker)
set(environment ${FERRY_TEST_ENV})
list(FILTER environment EXCLUDE REGEX OMP_WAIT_POLICY)
set_tests_properties(worker_spin_limit_test PROPERTIES ENVIRONMENT "${environment}" PROCESSORS 2)
