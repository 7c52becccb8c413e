ferry_test(trace_test SOURCES unit/trace_test.cpp LIBS ferry::base)
