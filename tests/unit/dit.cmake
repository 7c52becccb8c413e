ferry_test(dit_test SOURCES unit/dit_golden_test.cpp unit/dit_forward_test.cpp unit/dit_reference.cpp support/cpu_device.cpp
  LIBS ferry_test_support)
