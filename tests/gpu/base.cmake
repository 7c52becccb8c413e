ferry_test(base_gpu_test SOURCES gpu/base_gpu_test.cpp unit/base_stream_gate_test.cpp
  support/gpu_device.cpp LIBS ferry::base LABELS gpu)
set_tests_properties(base_gpu_test PROPERTIES RUN_SERIAL ON)  # measures speed and waits
