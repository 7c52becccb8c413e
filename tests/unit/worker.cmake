ferry_test(worker_output_test SOURCES unit/worker_activations_test.cpp unit/worker_janitor_test.cpp
  unit/worker_output_test.cpp unit/worker_memory_check_test.cpp unit/worker_memory_watch_test.cpp
  unit/worker_progress_test.cpp unit/worker_record_test.cpp LIBS ferry::worker)
ferry_test(worker_resolve_test SOURCES unit/worker_latents_test.cpp unit/worker_resolve_test.cpp LIBS ferry::worker ferry_test_support)
ferry_test(worker_finite_test SOURCES unit/worker_finite_test.cpp LIBS ferry::worker ferry_test_support)
