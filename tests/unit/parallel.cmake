ferry_test(parallel_test SOURCES unit/parallel_test.cpp LIBS ferry::parallel)
