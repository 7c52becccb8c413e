ferry_test(base_gpu_test SOURCES gpu/base_gpu_test.cpp unit/base_stream_gate_test.cpp
  support/gpu_device.cpp LIBS ferry::base LABELS gpu)
# Measures speed and waits.  Started first: a serial test waits until all others that run have ended.
set_tests_properties(base_gpu_test PROPERTIES RUN_SERIAL ON COST 1000)
