ferry_test(worker_output_test SOURCES unit/worker_output_test.cpp LIBS ferry::worker)
