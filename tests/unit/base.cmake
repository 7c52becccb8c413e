ferry_test(base_test
  SOURCES unit/base_dtype_test.cpp unit/base_exhausted_test.cpp unit/base_file_test.cpp unit/base_hardware_queues_test.cpp unit/base_memory_use_test.cpp unit/base_numa_test.cpp
    unit/base_pending_file_test.cpp unit/base_reservation_test.cpp unit/base_small_test.cpp
    unit/base_stream_gate_test.cpp unit/base_stream_test.cpp support/cpu_device.cpp
  LIBS ferry::base)
