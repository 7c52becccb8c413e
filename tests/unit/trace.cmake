ferry_test(trace_test SOURCES unit/trace_test.cpp unit/stream_timer_test.cpp LIBS ferry::base)
