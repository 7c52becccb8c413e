ferry_test(dit_test SOURCES unit/dit_activations_test.cpp unit/dit_golden_test.cpp unit/dit_forward_test.cpp unit/dit_reference.cpp unit/dit_row_plan_test.cpp support/cpu_device.cpp
  LIBS ferry_test_support)
